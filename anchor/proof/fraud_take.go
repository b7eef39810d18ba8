package proof

import (
	"slices"

	"cairn/ingest/reading"
	"cairn/merkle"
	"cairn/merkle/ledger"
)

// take collects what one file proves.
func (s *finder) take(f *File) {
	batches := s.takeLog(f)
	summaries := make([]int, len(f.Summaries))
	for i := range f.Summaries {
		summaries[i] = s.takeSummary(&f.Summaries[i], batches)
	}
	for i := range f.Readings {
		s.takeReading(&f.Readings[i], summaries)
	}
	for i := range f.Ranges {
		s.takeRange(&f.Ranges[i], summaries)
	}
	for i := range f.Statements {
		s.takeStatement(&f.Statements[i], batches)
	}
}

// takeLog collects what a file proves of the log, and returns where its batches
// are; -1 for one that it does not prove.
func (s *finder) takeLog(f *File) []int {
	at := make([]int, len(f.Heads)) // of each head; -1: it is not the log's
	for i := range f.Heads {
		at[i] = s.takeHead(f.Heads[i].Note)
	}
	for _, e := range f.Extends {
		s.takeExtension(&e, at)
	}
	batches := make([]int, len(f.Batches))
	for i := range f.Batches {
		batches[i] = s.takeBatch(&f.Batches[i], at)
	}
	return batches
}

func inside(list []int, i int) int {
	if i < 0 || i >= len(list) {
		return -1
	}
	return list[i]
}

func (s *finder) takeHead(note []byte) int {
	signed, _ := cutCosignatures(note)
	p, err := packHead(signed, s.origin)
	if err != nil {
		return -1
	}
	h := FraudHead{Size: p.checkpoint.Size, Root: p.checkpoint.Root, Key: p.key, Signature: p.signature}
	at := headKey{h.Size, h.Root}
	if i, ok := s.headAt[at]; ok {
		return i
	}
	x := fraudFacts{id: s.id}
	for _, k := range s.keys {
		x.keys = append(x.keys, k.logKey)
	}
	by, err := x.signer(&h)
	if err != nil {
		return -1
	}
	i := len(s.heads)
	s.heads, s.headAt[at] = append(s.heads, foundHead{h, by}), i
	s.log, s.tree = append(s.log, i), append(s.tree, newNodes())
	s.tree[i].root(h.Size, h.Root)
	return i
}

func (s *finder) takeExtension(e *Extension, at []int) {
	old, new := inside(at, e.Old), inside(at, e.New)
	if old < 0 || new < 0 || old == new {
		return
	}
	a, b := &s.heads[old], &s.heads[new]
	if a.Size < b.Size && merkle.VerifyConsistency(a.Size, b.Size, a.Root, b.Root, e.Path) == nil {
		s.unite(old, new, e.Path)
	}
}

// takeBatch keeps a batch, under the first head that it is shown to be under,
// and what its paths tell of the log.
func (s *finder) takeBatch(b *Batch, at []int) int {
	h, err := ledger.ParseHeader(b.Header)
	if err != nil || h.Ledger != s.id {
		return -1
	}
	leaf, found := merkle.LeafHash(b.Header), FraudBatch{}
	head := -1
	for _, p := range b.Heads {
		i := inside(at, p.Head)
		if i < 0 || merkle.VerifyInclusion(leaf, h.Index, s.heads[i].Size, p.Path, s.heads[i].Root) != nil {
			continue
		}
		s.tree[s.first(i)].inclusion(leaf, h.Index, s.heads[i].Size, p.Path)
		if head < 0 {
			head, found = i, FraudBatch{Header: b.Header, Path: p.Path}
		}
	}
	if head < 0 {
		return -1
	}
	i, ok := s.batchAt[string(b.Header)]
	if !ok {
		i = len(s.batches)
		s.batches, s.batchAt[string(b.Header)] = append(s.batches, foundBatch{FraudBatch: found, header: h, head: head, depth: -1}), i
	}
	s.takeHidden(&s.batches[i], b)
	return i
}

// takeHidden keeps what a file shows of the header's hidden values.
func (s *finder) takeHidden(to *foundBatch, b *Batch) {
	if to.depth < 0 && ledger.Hide(b.Slots.Item, b.Slots.Salt) == to.header.Hidden[ledger.HiddenSlots] {
		if slots, err := ledger.ParseSlots(b.Slots.Item); err == nil {
			to.slots, to.depth = b.Slots, slots.Depth
		}
	}
	if to.shown == nil && b.Statements != nil && ledger.Hide(b.Statements.Item, b.Statements.Salt) == to.header.Hidden[ledger.HiddenStatements] {
		if head, err := ledger.ParseStatementsHead(b.Statements.Item); err == nil {
			to.shown, to.statements = b.Statements, head
			at := headKey{head.Size, head.Root}
			if s.stated[at] == nil {
				s.stated[at] = newNodes()
				s.stated[at].root(head.Size, head.Root)
			}
		}
	}
}

func (s *finder) takeSummary(m *Summary, batches []int) int {
	batch := inside(batches, m.Batch)
	if batch < 0 || s.batches[batch].depth < 0 {
		return -1
	}
	b := &s.batches[batch]
	sum, err := ledger.ParseSummary(m.Item)
	if err != nil || !summaryAt(m.Tag, m.Item, m.Salt, m.Path, sum.Slot, b.depth, b.header.Root) {
		return -1
	}
	// A slot of a batch holds one summary: no other leads to the root.
	at := [2]uint64{uint64(batch), sum.Slot}
	if i, ok := s.sumAt[at]; ok {
		return i
	}
	s.sumAt[at] = len(s.summaries)
	s.summaries = append(s.summaries, foundSummary{FraudSummary{Tag: m.Tag, Item: m.Item, Salt: m.Salt, Path: m.Path}, batch, sum})
	return len(s.summaries) - 1
}

func (s *finder) takeReading(r *Reading, summaries []int) {
	at := inside(summaries, r.Summary)
	if at < 0 {
		return
	}
	sum := &s.summaries[at].sum
	if r.Seq < sum.First || r.Seq >= sum.Next {
		return
	}
	root, bad := r.recompute()
	if bad != nil {
		return
	}
	leaf, index := reading.EntryLeaf(s.summaries[at].Tag, r.Seq, root), r.Seq-sum.First
	if merkle.VerifyInclusion(leaf, index, sum.Next-sum.First, r.Run, sum.Run) == nil {
		s.runLeaves = append(s.runLeaves, foundLeaf{at, index, leaf, r.Run})
	}
}

// takeRange keeps a range as far as its readings are without hole and lead to
// the streams of its summaries.
func (s *finder) takeRange(r *Range, summaries []int) {
	var found foundRange
	for _, i := range r.Summaries {
		if at := inside(summaries, i); at >= 0 {
			found.summaries = append(found.summaries, at)
		}
	}
	if len(found.summaries) == 0 {
		return
	}
	tag := s.summaries[found.summaries[0]].Tag
	tree, err := merkle.TreeFromPeaks(r.First, r.Left)
	if err != nil {
		return
	}
	found.nodes = rangeNodes{first: r.First, left: r.Left}
	found.summaries = slices.DeleteFunc(found.summaries, func(at int) bool { return s.summaries[at].Tag != tag })
	sums := slices.Clone(found.summaries)
	found.summaries = found.summaries[:0]
	for n := 0; ; n++ {
		for len(sums) > 0 && s.summaries[sums[0]].sum.Next == tree.Size() {
			if tree.Root() == s.summaries[sums[0]].sum.Stream {
				found.summaries = append(found.summaries, sums[0])
			}
			sums = sums[1:]
		}
		if n == len(r.Readings) || r.Readings[n].Seq != tree.Size() {
			break
		}
		root, err := r.Readings[n].recordRoot()
		if err != nil {
			break
		}
		leaf := reading.EntryLeaf(tag, tree.Size(), root)
		tree.Append(leaf)
		found.nodes.leaves = append(found.nodes.leaves, leaf)
	}
	if len(found.summaries) == 0 {
		return
	}
	// Leaves after the last summary that they lead to are nobody's word.
	last := s.summaries[found.summaries[len(found.summaries)-1]].sum.Next
	found.nodes.leaves = found.nodes.leaves[:last-r.First]
	found.nodes.grow()
	s.ranges = append(s.ranges, found)
}

func (s *finder) takeStatement(m *Statement, batches []int) {
	batch := inside(batches, m.Batch)
	if batch < 0 || s.batches[batch].shown == nil {
		return
	}
	head := s.batches[batch].statements
	st := FraudStatement{Index: m.Index, Item: m.Item, Salt: m.Salt, Path: m.Path}
	if st.under(&head) != nil {
		return
	}
	e := ledger.HiddenEntry(m.Item, m.Salt)
	s.stated[headKey{head.Size, head.Root}].inclusion(merkle.LeafHash(e[:]), m.Index, head.Size, m.Path)
	s.statements = append(s.statements, foundStatement{st, batch})
}
