package store

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sort"
	"sync"

	"github.com/cockroachdb/pebble/v2"

	"cairn/ingest/reading"
	"cairn/merkle"
	"cairn/merkle/ledger"
)

// The runs of a stream lie in rows n, one for each batch, until their quarter hour
// is sealed, and then in one row r for the quarter hour:
//
//	format(1) first, count, { batches skipped, batches, readings in each,
//	  for more than 64 readings: the summary's hidden digest (32) for each batch }
//
// All numbers are unsigned LEB128; batches are skipped since the group's first or
// since the end of what stands before. Stream roots and summaries follow from the
// readings: streamGroup makes them again, and the batch's header tells whether
// they are the right ones.
type runsRow struct {
	group uint64
	runs  []runRow // without stream and leaf
}

// append encodes the row, which has one run at least.
func (x *runsRow) append(b []byte) []byte {
	b = binary.AppendUvarint(append(b, format), x.runs[0].first)
	type stretch struct{ skip, from, to uint64 } // of x.runs
	var all []stretch
	next := x.group
	for i := range x.runs {
		r := &x.runs[i]
		if n := len(all); n > 0 && r.batch == next && r.next-r.first == x.runs[i-1].next-x.runs[i-1].first {
			all[n-1].to++
		} else {
			all = append(all, stretch{r.batch - next, uint64(i), uint64(i) + 1})
		}
		next = r.batch + 1
	}
	b = binary.AppendUvarint(b, uint64(len(all)))
	for _, s := range all {
		n := x.runs[s.from].next - x.runs[s.from].first
		b = binary.AppendUvarint(binary.AppendUvarint(binary.AppendUvarint(b, s.skip), s.to-s.from), n)
		if n > longRun {
			for _, r := range x.runs[s.from:s.to] {
				b = append(b, r.hidden[:]...)
			}
		}
	}
	return b
}

// maxGroupBatches bounds the batches of a sealed group: a quarter hour of seconds.
const maxGroupBatches = 900

func parseRuns(group uint64, b []byte) (*runsRow, error) {
	x := &runsRow{group: group}
	c := cursor{b: b}
	version, first := c.byte(), c.uvarint()
	batch := group
	for range c.count() {
		skip, batches, n := c.uvarint(), c.uvarint(), c.uvarint()
		if batches == 0 || batches > maxGroupBatches || skip > maxGroupBatches || len(x.runs)+int(batches) > maxGroupBatches || n == 0 || n > merkle.MaxSize-first {
			c.fail()
			break
		}
		batch += skip
		for range batches {
			r := runRow{batch: batch, first: first, next: first + n, sealed: true, group: group}
			if r.hasHidden = n > longRun; r.hasHidden {
				copy(r.hidden[:], c.take(merkle.HashSize))
			}
			if r.next < r.first || r.next > merkle.MaxSize {
				c.fail()
			}
			x.runs = append(x.runs, r)
			first, batch = r.next, batch+1
		}
	}
	if c.err != nil || version != format || len(c.b) != 0 || len(x.runs) == 0 {
		return nil, fmt.Errorf("%w: runs of the group of batch %d", ErrDamaged, group)
	}
	return x, nil
}

// groupRuns gathers the rows n of a stream in the group that is being sealed, to
// take their place.
func (l *sealer) groupRuns(slot uint64) (*runsRow, error) {
	x := &runsRow{group: l.group.first}
	k := l.r.s.keys
	err := each(l.r.snap, k.pair(kindRun, slot, l.group.first), k.pair(kindRun, slot, l.group.next), func(key, val []byte) (bool, error) {
		r, err := parseRun(binary.BigEndian.Uint64(suffix(key)[8:]), val)
		x.runs = append(x.runs, r)
		return true, err
	})
	if err != nil || len(x.runs) == 0 {
		return nil, err
	}
	return x, nil
}

// putRuns replaces a stream's rows n of the group by one row r.
func (l *sealer) putRuns(b *pebble.Batch, slot uint64) error {
	x, err := l.groupRuns(slot)
	if err != nil || x == nil {
		return err
	}
	k := l.r.s.keys
	if err := b.Set(k.pair(kindRuns, slot, l.group.first), x.append(nil), nil); err != nil {
		return err
	}
	for i := range x.runs {
		if err := b.Delete(k.pair(kindRun, slot, x.runs[i].batch), nil); err != nil {
			return err
		}
	}
	return nil
}

// runsAt gives the row r of a stream whose group is the last that begins before
// batch, or the first that begins at it or later; nil if there is none.
func (r *reader) runsAt(slot, batch uint64, later bool) (*runsRow, error) {
	if x := r.runs.row; x != nil && r.runs.slot == slot && !later && x.group < batch && batch <= x.runs[len(x.runs)-1].batch+1 {
		return x, nil
	}
	prefix := r.s.keys.u64(kindRuns, slot)
	it, err := r.snap.NewIter(&pebble.IterOptions{LowerBound: prefix, UpperBound: after(prefix)})
	if err != nil {
		return nil, err
	}
	defer it.Close()
	key := r.s.keys.pair(kindRuns, slot, batch)
	if ok := later && it.SeekGE(key) || !later && it.SeekLT(key); !ok {
		return nil, it.Error()
	}
	val, err := it.ValueAndErr()
	if err != nil {
		return nil, err
	}
	x, err := parseRuns(binary.BigEndian.Uint64(suffix(it.Key())[8:]), val)
	if err != nil {
		return nil, fmt.Errorf("stream %d: %w", slot, err)
	}
	r.runs.slot, r.runs.row = slot, x
	return x, nil
}

// sealedRun gives the first run of a sealed group in batch b or later, or with
// before the last one before b; nil if there is none.
func (r *reader) sealedRun(slot, b uint64, before bool) (*runRow, error) {
	if before {
		return r.sealedBefore(slot, b)
	}
	x, err := r.runsAt(slot, b+1, false) // a row that begins earlier may hold it
	if err != nil {
		return nil, err
	}
	for later := false; ; later = true {
		if x != nil {
			for i := range x.runs {
				if x.runs[i].batch >= b {
					run := x.runs[i]
					return &run, nil
				}
			}
		}
		if later {
			return nil, nil
		}
		if x, err = r.runsAt(slot, b+1, true); err != nil {
			return nil, err
		}
	}
}

func (r *reader) sealedBefore(slot, b uint64) (*runRow, error) {
	for at := b; ; {
		x, err := r.runsAt(slot, at, false)
		if err != nil || x == nil {
			return nil, err
		}
		for i := len(x.runs) - 1; i >= 0; i-- {
			if x.runs[i].batch < b {
				run := x.runs[i]
				return &run, nil
			}
		}
		at = x.group
	}
}

// streamGroup is one stream in one sealed group: its runs as they were, and its
// leaf in each batch's tree, also where nothing came.
type streamGroup struct {
	runs   []runRow
	leaves []merkle.Hash // by batch, from the group's first on
}

// streamGroups keeps those that were made last: neighbours in a batch's tree are
// asked for again by whoever proves the next batch. They never change.
type streamGroups struct {
	mu     sync.Mutex // covers groups
	groups map[streamGroupKey]*streamGroup
}

// maxStreamGroups bounds those kept, each of a kilobyte or two.
const maxStreamGroups = 2048

type streamGroupKey struct{ slot, group uint64 }

// streamGroup makes the summaries of a stream in one sealed group again from its
// readings. That takes those of the group and up to 63 before them.
func (r *reader) streamGroup(in *streamInfo, group uint64) (*streamGroup, error) {
	at := streamGroupKey{in.slot, group}
	c := r.made
	c.mu.Lock()
	g := c.groups[at]
	c.mu.Unlock()
	if g != nil {
		return g, nil
	}
	g, err := r.makeStreamGroup(in, group)
	if err != nil {
		return nil, fmt.Errorf("summaries of stream %d from batch %d on: %w", in.slot, group, err)
	}
	if group+uint64(len(g.leaves)) > r.v.size {
		return g, nil // the view may not know yet that the stream was closed in it
	}
	c.mu.Lock()
	if c.groups == nil || len(c.groups) >= maxStreamGroups {
		c.groups = map[streamGroupKey]*streamGroup{}
	}
	c.groups[at] = g
	c.mu.Unlock()
	return g, nil
}

func (r *reader) makeStreamGroup(in *streamInfo, group uint64) (*streamGroup, error) {
	row, err := r.groupRow(group)
	if err != nil {
		return nil, err
	}
	val, closer, err := r.snap.Get(r.s.keys.pair(kindRuns, in.slot, group))
	if err != nil {
		return nil, fmt.Errorf("%w: its runs: %w", ErrDamaged, err)
	}
	x, err := parseRuns(group, val)
	closer.Close()
	if err != nil {
		return nil, err
	}
	if last := x.runs[len(x.runs)-1].batch; last >= row.Next || row.Next-group > maxGroupBatches {
		return nil, fmt.Errorf("%w: a run of batch %d in a group that ends before %d", ErrDamaged, last, row.Next)
	}
	t, err := r.trailAt(in, x.runs[0].first)
	if err != nil {
		return nil, err
	}
	g := &streamGroup{runs: x.runs, leaves: make([]merkle.Hash, row.Next-group)}
	s := summaries{r: r, in: in, tree: t.tree, stats: t.carry}
	s.stats.bare = in.classes.scheme != schemeSite
	runs := g.runs
	for batch := group; batch < row.Next; batch++ {
		if !in.active(batch) {
			continue
		}
		var run *runRow
		if len(runs) > 0 && runs[0].batch == batch {
			run, runs = &runs[0], runs[1:]
		}
		if g.leaves[batch-group], err = s.next(batch, run); err != nil {
			return nil, err
		}
	}
	return g, nil
}

// summaries makes the summaries of a stream again, batch after batch.
type summaries struct {
	r      *reader
	in     *streamInfo
	tree   merkle.Tree
	stats  runStats
	hasher reading.Hasher
}

// next gives the leaf of a batch, with the run that came with it, if any, and
// fills in the run's hashes.
func (s *summaries) next(batch uint64, run *runRow) (merkle.Hash, error) {
	w, err := s.r.window(batch)
	if err != nil {
		return noHash, err
	}
	sum := ledger.Summary{
		Slot: s.in.slot, From: w.Window.From, To: w.Window.To, First: s.tree.Size(), Next: s.tree.Size(),
		Closed: s.in.closed && batch == s.in.closedBy, Run: merkle.EmptyRoot(),
	}
	rest := new(runStats).rest(w.Window.gaps())
	if run != nil {
		if run.first != sum.First {
			return noHash, fmt.Errorf("%w: its run of batch %d begins at %d, after %d readings", ErrDamaged, batch, run.first, sum.First)
		}
		if sum.Run, err = s.take(run); err != nil {
			return noHash, err
		}
		sum.Next, rest = run.next, s.stats.rest(w.Window.gaps())
	}
	sum.Stream = s.tree.Root()
	if leaf, gone, err := s.r.goneSummary(s.in, &w.Window, batch); gone || err != nil {
		if run != nil {
			run.stream, run.leaf, run.sealed = sum.Stream, leaf, false
		}
		return leaf, err
	}
	inc, err := s.r.s.start(w.Window.Start)
	if err != nil {
		return noHash, err
	}
	k, err := s.r.hourKeys(s.in, w.Window.hour(), inc)
	if err != nil {
		return noHash, err
	}
	leaf, hidden := summaryLeaf(&sum, s.in.tag, rest, k, batch)
	if run != nil {
		if run.hasHidden && run.hidden != hidden {
			return noHash, fmt.Errorf("%w: the readings of batch %d give another hidden digest", ErrDamaged, batch)
		}
		run.stream, run.leaf, run.sealed = sum.Stream, leaf, false
	}
	return leaf, nil
}

// take appends a run's readings and gives the run's root.
func (s *summaries) take(run *runRow) (merkle.Hash, error) {
	var tree merkle.Tree
	s.stats.begin()
	for at := run.first; at < run.next; {
		gone, err := s.r.goneLeaves(s.in, at, run.next)
		if err != nil {
			return noHash, err
		}
		for _, leaf := range gone {
			s.tree.Append(leaf)
			tree.Append(leaf)
		}
		if at += uint64(len(gone)); len(gone) > 0 {
			continue
		}
		all, err := s.r.stretch(s.in, at, run.next)
		if err != nil {
			return noHash, err
		}
		for i := range all {
			leaf, err := s.r.leaf(s.in, &s.hasher, &all[i])
			if err != nil {
				return noHash, err
			}
			s.tree.Append(leaf)
			tree.Append(leaf)
			s.stats.add(&all[i].Reading)
		}
		at += uint64(len(all))
	}
	return tree.Root(), nil
}

// fill makes sure that a run's hashes are there.
func (r *reader) fill(in *streamInfo, run *runRow) error {
	if !run.sealed {
		return nil
	}
	g, err := r.streamGroup(in, run.group)
	if err != nil {
		return err
	}
	for i := range g.runs {
		if g.runs[i].batch == run.batch {
			*run = g.runs[i]
			return nil
		}
	}
	return fmt.Errorf("%w: stream %d has no run in batch %d", ErrDamaged, in.slot, run.batch)
}

// window is windowRow that keeps some of the rows.
func (r *reader) window(batch uint64) (*windowRow, error) {
	if w := r.windows[batch]; w != nil {
		return w, nil
	}
	w, err := r.s.windowRow(r.snap, batch)
	if err != nil {
		return nil, err
	}
	if r.windows == nil || len(r.windows) >= maxGroupBatches {
		r.windows = map[uint64]*windowRow{}
	}
	r.windows[batch] = w
	return w, nil
}

// run gives a stream's run in one batch, of a sealed one without its hashes; ok is
// false when it is empty.
func (r *reader) run(slot, batch uint64) (row runRow, ok bool, err error) {
	if x, err := r.openRuns(slot, batch); x != nil || err != nil {
		if i, ok := x.at(batch); ok {
			return x.runs[i], true, nil
		}
		return row, false, err
	}
	val, closer, err := r.snap.Get(r.s.keys.pair(kindRun, slot, batch))
	if err == nil {
		defer closer.Close()
		row, err = parseRun(batch, val)
		return row, err == nil, err
	}
	if !errors.Is(err, pebble.ErrNotFound) {
		return row, false, err
	}
	run, err := r.sealedRun(slot, batch, false)
	if err != nil || run == nil || run.batch != batch {
		return row, false, err
	}
	return *run, true, nil
}

// seekRun gives a stream's first run in batch b or later.
func (r *reader) seekRun(slot, b uint64) (run *runRow, err error) {
	if run, err = r.sealedRun(slot, b, false); err != nil {
		return nil, err
	}
	end := after(r.s.keys.u64(kindRun, slot))
	if run != nil { // only one that an earlier version sealed may come before
		end = r.s.keys.pair(kindRun, slot, run.batch)
	}
	err = each(r.snap, r.s.keys.pair(kindRun, slot, b), end, func(key, val []byte) (bool, error) {
		x, err := parseRun(binary.BigEndian.Uint64(suffix(key)[8:]), val)
		run = &x
		return false, err
	})
	return run, err
}

// openRuns are a stream's runs in the group that is being sealed, and the last one
// before: read at once, as the group's object asks for those of each batch.
type openRuns struct {
	before *runRow
	runs   []runRow
}

// at gives the place of a batch's run, or of the one that would come behind it.
func (x *openRuns) at(batch uint64) (int, bool) {
	if x == nil {
		return 0, false
	}
	return slices.BinarySearchFunc(x.runs, batch, func(r runRow, b uint64) int { return cmp.Compare(r.batch, b) })
}

// openRuns gives nil where the reader is not sealing a batch.
func (r *reader) openRuns(slot, batch uint64) (*openRuns, error) {
	if batch < r.sealing.first || batch >= r.sealing.row.Next {
		return nil, nil
	}
	if x := r.open[slot]; x != nil {
		return x, nil
	}
	x := new(openRuns)
	var err error
	if x.before, err = r.lastRunOnDisk(slot, r.sealing.first); err != nil {
		return nil, err
	}
	k := r.s.keys
	err = each(r.snap, k.pair(kindRun, slot, r.sealing.first), k.pair(kindRun, slot, r.sealing.row.Next), func(key, val []byte) (bool, error) {
		run, err := parseRun(binary.BigEndian.Uint64(suffix(key)[8:]), val)
		x.runs = append(x.runs, run)
		return true, err
	})
	if err != nil {
		return nil, err
	}
	if r.open == nil {
		r.open = map[uint64]*openRuns{}
	}
	r.open[slot] = x
	return x, nil
}

// lastRun gives the last non-empty run before batch b.
func (r *reader) lastRun(slot, b uint64) (*runRow, error) {
	x, err := r.openRuns(slot, b)
	if x == nil || err != nil {
		if err == nil {
			return r.lastRunOnDisk(slot, b)
		}
		return nil, err
	}
	last := x.before
	if i, _ := x.at(b); i > 0 {
		last = &x.runs[i-1]
	}
	if last == nil {
		return nil, nil
	}
	run := *last
	return &run, nil
}

func (r *reader) lastRunOnDisk(slot, b uint64) (*runRow, error) {
	it, err := r.snap.NewIter(&pebble.IterOptions{LowerBound: r.s.keys.u64(kindRun, slot), UpperBound: r.s.keys.pair(kindRun, slot, b)})
	if err != nil {
		return nil, err
	}
	defer it.Close()
	var open *runRow
	if it.Last() {
		val, err := it.ValueAndErr()
		if err != nil {
			return nil, err
		}
		run, err := parseRun(binary.BigEndian.Uint64(suffix(it.Key())[8:]), val)
		if err != nil {
			return nil, err
		}
		open = &run
	} else if err := it.Error(); err != nil {
		return nil, err
	}
	sealed, err := r.sealedRun(slot, b, true)
	if err != nil || sealed == nil || open != nil && open.batch > sealed.batch {
		return open, err
	}
	return sealed, nil
}

// indexedRun finds the sealed run that holds a reading by the index of sealed
// stretches; nil if it is none, or an earlier version sealed it.
func (r *reader) indexedRun(slot, seq uint64) (*runRow, error) {
	if x := r.runs.row; x != nil && r.runs.slot == slot {
		if run := x.find(seq); run != nil {
			return run, nil
		}
	}
	_, index, err := r.indexAt(slot, seq)
	if err != nil || index == nil {
		return nil, err
	}
	val, closer, err := r.snap.Get(r.s.keys.pair(kindRuns, slot, index.Batch))
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer closer.Close()
	x, err := parseRuns(index.Batch, val)
	if err != nil {
		return nil, fmt.Errorf("stream %d: %w", slot, err)
	}
	r.runs.slot, r.runs.row = slot, x
	return x.find(seq), nil
}

// find gives the run that holds a reading.
func (x *runsRow) find(seq uint64) *runRow {
	i := sort.Search(len(x.runs), func(i int) bool { return x.runs[i].next > seq })
	if i == len(x.runs) || x.runs[i].first > seq {
		return nil
	}
	run := x.runs[i]
	return &run
}
