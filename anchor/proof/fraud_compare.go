package proof

import (
	"bytes"
	"cmp"
	"slices"

	"cairn/merkle"
)

// side returns a batch as one side of a contradiction.
func (s *finder) side(i int, slots, statements bool) (FraudSide, int) {
	b := &s.batches[i]
	batch := b.FraudBatch
	if slots {
		batch.Slots = &b.slots
	}
	if statements {
		batch.Statements = b.shown
	}
	h := &s.heads[b.head]
	return FraudSide{Head: &h.FraudHead, Batch: &batch}, h.by
}

func (s *finder) summarySide(i int) (FraudSide, int) {
	side, by := s.side(s.summaries[i].batch, true, false)
	side.Summary = &s.summaries[i].FraudSummary
	return side, by
}

// between keeps a contradiction of two summaries.
func (s *finder) between(kind FraudKind, a, b int, p *FraudPrefix) bool {
	first, x := s.summarySide(a)
	second, y := s.summarySide(b)
	return s.add(kind, first, second, p, x, y)
}

// batchOrder returns positions of batches by their index in the log.
func (s *finder) batchOrder() []int {
	order := make([]int, len(s.batches))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		return cmp.Compare(s.batches[a].header.Index, s.batches[b].header.Index)
	})
	return order
}

// compareBatches looks for two batches at one index.
func (s *finder) compareBatches() {
	order := s.batchOrder()
	for n := 1; n < len(order) && !s.full(); n++ {
		a, b := order[n-1], order[n]
		if s.batches[a].header.Index != s.batches[b].header.Index {
			continue
		}
		first, x := s.side(a, false, false)
		second, y := s.side(b, false, false)
		s.add(FraudTwoHeaders, first, second, nil, x, y)
	}
	if len(order) > 0 {
		first, last := s.batches[order[0]].header.Index, s.batches[order[len(order)-1]].header.Index
		s.compared("%s (%s): no number may have two", count(len(order), "batch"), batches(first, last+1))
	}
}

// compareStreams holds the summaries of each slot against one another, and
// against the readings that ranges and proofs of single readings show of it.
func (s *finder) compareStreams() {
	bySlot := make(map[uint64][]int)
	var slots []uint64
	for i := range s.summaries {
		slot := s.summaries[i].sum.Slot
		if bySlot[slot] == nil {
			slots = append(slots, slot)
		}
		bySlot[slot] = append(bySlot[slot], i)
	}
	slices.Sort(slots)
	for _, slot := range slots {
		all := bySlot[slot]
		slices.SortStableFunc(all, func(a, b int) int { return cmp.Compare(s.index(a), s.index(b)) })
		s.compareRuns(all)
		s.compareSizes(all)
		for i := range s.ranges {
			if s.summaries[s.ranges[i].summaries[0]].sum.Slot == slot {
				s.compareRange(&s.ranges[i], all)
			}
		}
		s.compared("%s of the stream at slot %d, in %s", count(len(all), "summary"), slot, batches(s.index(all[0]), s.index(all[len(all)-1])+1))
	}
	s.compareReadings()
}

// index returns the index in the log of a summary's batch.
func (s *finder) index(summary int) uint64 { return s.batches[s.summaries[summary].batch].header.Index }

// compareRuns holds the runs of a slot, by ascending batch, against the farthest
// before: of one stream, none goes back or on after its end.
func (s *finder) compareRuns(all []int) {
	farthest, closed := all[0], -1
	for n, i := range all {
		if s.full() {
			return
		}
		sum := &s.summaries[i].sum
		if n > 0 && s.summaries[i].Tag != s.summaries[all[n-1]].Tag {
			s.between(FraudTags, all[n-1], i, nil)
		}
		for _, before := range []int{farthest, closed} {
			if before >= 0 && s.index(before) < s.index(i) && contradictRuns(&s.summaries[before].sum, sum) {
				s.between(FraudRuns, before, i, nil)
				break
			}
		}
		if sum.Next > s.summaries[farthest].sum.Next {
			farthest = i
		}
		if sum.Closed && closed < 0 {
			closed = i
		}
	}
}

// compareSizes looks for two streams of one length.
func (s *finder) compareSizes(all []int) {
	of := make(map[uint64]int, len(all))
	for _, i := range all {
		sum := &s.summaries[i].sum
		k, ok := of[sum.Next]
		if !ok {
			of[sum.Next] = i
		} else if s.summaries[k].sum.Stream != sum.Stream && !s.full() {
			s.between(FraudStream, k, i, &FraudPrefix{Root: sum.Stream})
		}
	}
}

// compareRange holds summaries of a slot against what a range shows that the
// stream was at their size.
func (s *finder) compareRange(r *foundRange, all []int) {
	last := r.summaries[len(r.summaries)-1]
	held := 0
	for _, i := range all {
		sum := &s.summaries[i].sum
		if slices.Contains(r.summaries, i) || sum.Next > s.summaries[last].sum.Next || s.full() {
			continue
		}
		// The first that has as many readings: the shorter the evidence.
		at := last
		for _, k := range r.summaries {
			if s.summaries[k].sum.Next >= sum.Next {
				at = k
				break
			}
		}
		p, ok := r.nodes.prefix(sum.Next, s.summaries[at].sum.Next, s.summaries[at].sum.Stream)
		if !ok {
			s.notCompared("the first %d readings of the stream at slot %d with a range of it: that begins later", sum.Next, sum.Slot)
			continue
		}
		if held++; p.Root != sum.Stream {
			s.between(FraudStream, i, at, p)
		}
	}
	if held > 0 {
		s.compared("%s with the readings up to %d of the stream at slot %d", count(held, "summary"), s.summaries[last].sum.Next, s.summaries[last].sum.Slot)
	}
}

// compareReadings holds single readings, which their runs show, against ranges
// of the same stream.
func (s *finder) compareReadings() {
	for i := range s.runLeaves {
		l := &s.runLeaves[i]
		sum := &s.summaries[l.summary].sum
		seq := sum.First + l.index
		for k := range s.ranges {
			r := &s.ranges[k]
			last := r.summaries[len(r.summaries)-1]
			t := &s.summaries[last].sum
			if t.Slot != sum.Slot || seq < r.nodes.first || seq >= t.Next || r.nodes.leaves[seq-r.nodes.first] == l.leaf || s.full() {
				continue
			}
			path, err := merkle.ProveInclusion(&r.nodes, seq, t.Next)
			if err != nil {
				continue
			}
			first, x := s.summarySide(l.summary)
			second, y := s.summarySide(last)
			first.Node = &FraudNode{Index: l.index, Hash: l.leaf, Path: l.path}
			second.Node = &FraudNode{Index: seq, Hash: r.nodes.leaves[seq-r.nodes.first], Path: path}
			s.add(FraudTwoReadings, first, second, nil, x, y)
		}
	}
}

// compareStatements holds the statements of one number, and the trees of
// statements that batches name, against one another.
func (s *finder) compareStatements() {
	byIndex := make(map[uint64]int)
	for i := range s.statements {
		st := &s.statements[i]
		k, ok := byIndex[st.Index]
		if !ok {
			byIndex[st.Index] = i
			continue
		}
		if bytes.Equal(s.statements[k].Item, st.Item) || s.full() {
			continue
		}
		first, x := s.side(s.statements[k].batch, false, true)
		second, y := s.side(st.batch, false, true)
		first.Statement, second.Statement = &s.statements[k].FraudStatement, &st.FraudStatement
		s.add(FraudTwoStatements, first, second, nil, x, y)
	}
	var all []int // batches that show how many statements there were, one of each tree
	seen := make(map[headKey]bool)
	most := -1
	for _, i := range s.batchOrder() {
		b := &s.batches[i]
		if b.shown == nil {
			continue
		}
		if most >= 0 && s.batches[most].statements.Size > b.statements.Size && !s.full() {
			first, x := s.side(most, false, true)
			second, y := s.side(i, false, true)
			s.add(FraudStatementsShrunk, first, second, nil, x, y)
		}
		if most < 0 || b.statements.Size > s.batches[most].statements.Size {
			most = i
		}
		if at := (headKey{b.statements.Size, b.statements.Root}); !seen[at] {
			seen[at] = true
			all = append(all, i)
		}
	}
	slices.SortStableFunc(all, func(a, b int) int {
		return cmp.Compare(s.batches[a].statements.Size, s.batches[b].statements.Size)
	})
	s.compareStatementTrees(all)
	if len(s.statements) > 0 {
		s.compared("%s: no number may have two", count(len(byIndex), "statement"))
	}
}

// compareStatementTrees holds trees of statements, by ascending size, against
// what greater ones were at their size.
func (s *finder) compareStatementTrees(all []int) {
	for n, tries := 0, 0; n < len(all); n++ {
		for m := 0; m < n && tries < maxPairs && !s.full(); m++ {
			tries++
			a, b := &s.batches[all[m]].statements, &s.batches[all[n]].statements
			p, ok := s.stated[headKey{b.Size, b.Root}].prefix(a.Size, b.Size, b.Root)
			if !ok || p.Root == a.Root {
				continue
			}
			first, x := s.side(all[m], false, true)
			second, y := s.side(all[n], false, true)
			s.add(FraudStatements, first, second, p, x, y)
		}
	}
}

// compareParts holds what is known of two histories of the log against one
// another, where nothing plainer has been found: one part with two contents.
func (s *finder) compareParts() {
	if len(s.found.Frauds) != 0 {
		return
	}
	var firsts []int
	for i := range s.heads {
		if s.first(i) == i {
			firsts = append(firsts, i)
		}
	}
	for n, tries := 0, 0; n < len(firsts); n++ {
		for m := 0; m < n && tries < maxPairs && !s.full(); m++ {
			tries++
			s.compareTwo(firsts[m], firsts[n])
		}
	}
}

// compareTwo looks for the smallest part that two histories differ in.
func (s *finder) compareTwo(a, b int) {
	t, u := s.tree[a], s.tree[b]
	if len(t.complete) > len(u.complete) {
		t, u = u, t
		a, b = b, a
	}
	var best span
	found := false
	for at, h := range t.complete {
		if o, ok := u.complete[at]; !ok || o == h {
			continue
		}
		if size, least := at.end-at.begin, best.end-best.begin; !found || size < least || size == least && at.begin < best.begin {
			best, found = at, true
		}
	}
	if !found {
		return
	}
	first, x, ok := s.partOf(a, best)
	second, y, also := s.partOf(b, best)
	if ok && also {
		s.add(FraudTwoParts, first, second, nil, x, y)
	}
}

// partOf returns a complete subtree of a history under a head that the path to
// is known of.
func (s *finder) partOf(first int, at span) (FraudSide, int, bool) {
	t := s.tree[first]
	level := 0
	for (at.end-at.begin)>>level > 1 {
		level++
	}
	for i := range s.heads {
		h := &s.heads[i]
		if s.first(i) != first || h.Size < at.end {
			continue
		}
		if path, ok := t.path(level, at.begin>>level, h.Size); ok {
			node := &FraudNode{Level: uint64(level), Index: at.begin >> level, Hash: t.complete[at], Path: path}
			return FraudSide{Head: &h.FraudHead, Node: node}, h.by, true
		}
	}
	return FraudSide{}, 0, false
}
