package store

import (
	"fmt"

	"cairn/ingest/frame"
	"cairn/ingest/reading"
	"cairn/merkle"
	"cairn/merkle/ledger"
	"cairn/store/share"
)

// Evidence is all that proves one reading, up to the header of its batch. What
// of it is shown to whom is the caller's choice.
type Evidence struct {
	Slot, Seq uint64
	Tag       [12]byte
	Reading   reading.Reading
	Items     [][]byte      // 0…N
	Salts     [][16]byte    // of the items
	Leaves    []merkle.Hash // of the record tree, decoys included
	Frame     []byte        // wire frame or line; nil if there was none

	Batch       uint64
	First, Next uint64        // sequence numbers of its run
	RunPath     []merkle.Hash // of leaf Seq-First in the run's tree
	Summary     []byte
	SummarySalt [16]byte
	Rest        []byte
	RestSalt    [16]byte
	SlotPath    []merkle.Hash // of leaf Slot in the batch tree
}

// Evidence gathers the evidence of a reading. ErrNotBatched: its window is still
// open; ErrNotFound: there is no such reading.
func (s *Store) Evidence(slot, seq uint64) (*Evidence, error) {
	r := s.reader()
	defer r.close()
	e, err := r.evidence(slot, seq)
	if err != nil {
		return nil, fmt.Errorf("reading %d of stream %d: %w", seq, slot, err)
	}
	return e, nil
}

func (r *reader) evidence(slot, seq uint64) (*Evidence, error) {
	if slot >= uint64(len(r.v.streams)) {
		return nil, ErrNotFound
	}
	in := &r.v.streams[slot]
	run, err := r.runOf(in, seq)
	if err != nil {
		return nil, err
	}
	if run == nil {
		if open, err := r.nextRun(in, r.v.size); err != nil || open == nil || seq >= open.next {
			return nil, ErrNotFound
		}
		return nil, ErrNotBatched
	}
	e := &Evidence{Slot: slot, Seq: seq, Tag: in.tag, Batch: run.batch, First: run.first, Next: run.next}
	if err := r.record(in, e); err != nil {
		return nil, err
	}
	var runRoot merkle.Hash
	nodes := &treeNodes{r: r, in: in, run: run}
	if e.RunPath, err = merkle.ProveInclusion(nodes, seq-run.first, run.next-run.first); err != nil {
		return nil, err
	}
	if runRoot, err = merkle.RootAt(nodes, run.next-run.first); err != nil {
		return nil, err
	}
	w, err := r.s.windowRow(r.snap, run.batch)
	if err != nil {
		return nil, err
	}
	leaf, err := r.summary(in, run, runRoot, &w.Window, e)
	if err != nil {
		return nil, err
	}
	if leaf != run.leaf {
		return nil, fmt.Errorf("%w: the summary made again from the readings is not the one of batch %d", ErrDamaged, run.batch)
	}
	e.SlotPath, err = r.slotPath(in, w, run)
	return e, err
}

// record fills in the reading and its record tree.
func (r *reader) record(in *streamInfo, e *Evidence) error {
	all, err := r.readings(in, e.Seq, e.Seq+1)
	if err != nil {
		return err
	}
	st := &all[0]
	if e.Frame, err = r.frameOf(st); err != nil {
		return err
	}
	var h reading.Hasher
	if _, err := r.leaf(in, &h, st); err != nil {
		return err
	}
	k, err := r.hourKeysOf(in, st)
	if err != nil {
		return err
	}
	e.Reading = st.Reading
	e.Leaves = append([]merkle.Hash(nil), h.Leaves(&st.Reading, &k.salts)...)
	items := h.Items()
	for i := range items.Len() {
		e.Items = append(e.Items, append([]byte(nil), items.At(i)...))
		e.Salts = append(e.Salts, k.salts.Salt(st.Sequence, i, items.Len()))
	}
	return nil
}

func (r *reader) hourKeysOf(in *streamInfo, st *stored) (*hourKeys, error) {
	hour, err := share.HourOf(st.Received)
	if err != nil {
		return nil, err
	}
	return r.hourKeys(in, hour, st.incarnation)
}

// summary makes a run's summary again, and its leaf in the batch tree.
func (r *reader) summary(in *streamInfo, run *runRow, runRoot merkle.Hash, w *window, e *Evidence) (merkle.Hash, error) {
	inc, err := r.s.start(w.Start)
	if err != nil {
		return noHash, err
	}
	k, err := r.hourKeys(in, w.hour(), inc)
	if err != nil {
		return noHash, err
	}
	sum := ledger.Summary{
		Slot: in.slot, From: w.From, To: w.To, First: run.first, Next: run.next,
		Closed: in.closed && run.batch == in.closedBy, Run: runRoot, Stream: run.stream, Hidden: run.hidden,
	}
	block := ledger.SummaryBlock(run.batch)
	if !run.hasHidden {
		rest, err := r.rest(in, run, w)
		if err != nil {
			return noHash, err
		}
		e.Rest, e.RestSalt = rest.Append(nil), encrypt(k.rest, block)
		sum.Hidden = ledger.Hide(e.Rest, e.RestSalt)
	}
	e.Summary, e.SummarySalt = sum.Append(nil), encrypt(k.summary, block)
	entry := ledger.SummaryEntry(in.tag, e.Summary, e.SummarySalt)
	return merkle.LeafHash(entry[:]), nil
}

// rest makes a run's hidden item again from its readings and the one before.
func (r *reader) rest(in *streamInfo, run *runRow, w *window) (ledger.Rest, error) {
	var stats runStats
	from := run.first
	if from > 0 {
		from--
	}
	all, err := r.readings(in, from, run.next)
	if err != nil {
		return ledger.Rest{}, err
	}
	if from < run.first {
		if err := r.carry(in, &stats, &all[0], from); err != nil {
			return ledger.Rest{}, err
		}
		all = all[1:]
	}
	for i := range all {
		stats.add(&all[i].Reading)
	}
	return stats.rest(w.gaps()), nil
}

// carry finds the counter before a run: that of the newest reading before it
// that has one.
func (r *reader) carry(in *streamInfo, stats *runStats, last *stored, at uint64) error {
	for {
		if last.Origin.HasCounter {
			stats.prev, stats.hasPrev = frame.Counter(last.Origin.Counter), true
			return nil
		}
		if at == 0 || r.v.streamKind(in) != ledger.BindSecure {
			return nil
		}
		at--
		all, err := r.readings(in, at, at+1)
		if err != nil {
			return err
		}
		last = &all[0]
	}
}

func (v *view) streamKind(in *streamInfo) string {
	for i := range v.devices {
		if v.devices[i].Number == in.device {
			return v.devices[i].Kind
		}
	}
	return ""
}

// slotPath proves a stream's leaf in the batch tree. Only the leaves of its group
// are made again; the rest of the tree is read.
func (r *reader) slotPath(in *streamInfo, w *windowRow, run *runRow) ([]merkle.Hash, error) {
	width := uint64(1) << min(groupLevel, int(w.Depth))
	first := in.slot / width * width
	leaves := make([]merkle.Hash, width)
	for i := range leaves {
		var err error
		if slot := first + uint64(i); slot == in.slot {
			leaves[i] = run.leaf
		} else if leaves[i], err = r.slotLeaf(slot, w, run.batch); err != nil {
			return nil, err
		}
	}
	path := merkle.PerfectPath(leaves, int(in.slot-first))
	groups, err := r.batchNodes(run.batch, 1<<w.Depth/width)
	if err != nil {
		return nil, err
	}
	if root := merkle.PerfectRoot(leaves); root != groups[first/width] {
		return nil, fmt.Errorf("%w: group %d of batch %d", ErrDamaged, first/width, run.batch)
	}
	return append(path, merkle.PerfectPath(groups, int(first/width))...), nil
}

// batchNodes reads the batch tree's nodes at the group level.
func (r *reader) batchNodes(batch, n uint64) ([]merkle.Hash, error) {
	val, closer, err := r.snap.Get(r.s.keys.u64(kindBatchNodes, batch))
	if err != nil {
		return nil, notFound(err, "tree of batch %d", batch)
	}
	defer closer.Close()
	if uint64(len(val)) != 1+32*n || val[0] != format {
		return nil, fmt.Errorf("%w: tree of batch %d", ErrDamaged, batch)
	}
	out := make([]merkle.Hash, n)
	for i := range out {
		copy(out[i][:], val[1+32*i:])
	}
	return out, nil
}

// slotLeaf makes the leaf of any slot of a closed batch again: the stored one of
// a run, a heartbeat, or a decoy.
func (r *reader) slotLeaf(slot uint64, w *windowRow, batch uint64) (merkle.Hash, error) {
	inc, err := r.s.start(w.Window.Start)
	if err != nil {
		return noHash, err
	}
	if slot >= uint64(len(r.v.streams)) || !r.v.streams[slot].active(batch) {
		site, err := r.siteKey(w.Window.hour())
		if err != nil {
			return noHash, err
		}
		return newDecoys(site, inc, batch).leaf(slot), nil
	}
	in := &r.v.streams[slot]
	run, ok, err := r.run(slot, batch)
	if err != nil || ok {
		return run.leaf, err
	}
	sum, rest, err := r.heartbeat(in, &w.Window, batch)
	if err != nil {
		return noHash, err
	}
	k, err := r.hourKeys(in, w.Window.hour(), inc)
	if err != nil {
		return noHash, err
	}
	leaf, _ := summaryLeaf(&sum, in.tag, rest, k, batch)
	return leaf, nil
}

// heartbeat is the summary of a stream in a window in which nothing came.
func (r *reader) heartbeat(in *streamInfo, w *window, batch uint64) (ledger.Summary, ledger.Rest, error) {
	sum := ledger.Summary{
		Slot: in.slot, From: w.From, To: w.To, Closed: in.closed && batch == in.closedBy,
		Run: merkle.EmptyRoot(), Stream: merkle.EmptyRoot(),
	}
	last, err := r.lastRun(in.slot, batch)
	if err != nil {
		return sum, ledger.Rest{}, err
	}
	if last != nil {
		sum.First, sum.Next, sum.Stream = last.next, last.next, last.stream
	}
	return sum, new(runStats).rest(w.gaps()), nil
}

// treeNodes reads the run's tree, or with no run the stream's: level 6 and up
// from disk, what is below from the readings.
type treeNodes struct {
	r    *reader
	in   *streamInfo
	run  *runRow
	base uint64        // index of the first of leaves
	have []merkle.Hash // up to 64 leaves, aligned
}

func (t *treeNodes) Node(level int, index uint64) (merkle.Hash, error) {
	if level >= nodeLevel {
		key := t.r.s.keys.streamNode(t.in.slot, level, index)
		if t.run != nil {
			key = t.r.s.keys.runNode(t.in.slot, t.run.batch, level, index)
		}
		h, err := getHash(t.r.snap, key)
		if err != nil {
			return h, notFound(err, "stream %d: node %d of level %d", t.in.slot, index, level)
		}
		return h, nil
	}
	if err := t.load(index << level); err != nil {
		return noHash, err
	}
	from := index<<level - t.base
	if from+1<<level > uint64(len(t.have)) {
		return noHash, fmt.Errorf("stream %d: node %d of level %d: %w", t.in.slot, index, level, ErrNotFound)
	}
	return merkle.RootOf(t.have[from : from+1<<level]), nil
}

// load makes the 64 leaves around one again.
func (t *treeNodes) load(leaf uint64) error {
	base := leaf >> nodeLevel << nodeLevel
	if t.have != nil && t.base == base {
		return nil
	}
	first, next := uint64(0), uint64(0)
	if t.run != nil {
		first, next = t.run.first, t.run.next
	} else {
		var err error
		if next, err = t.r.closedNext(t.in.slot); err != nil {
			return err
		}
	}
	all, err := t.r.readings(t.in, first+base, min(first+base+1<<nodeLevel, next))
	if err != nil {
		return err
	}
	var h reading.Hasher
	t.base, t.have = base, make([]merkle.Hash, len(all))
	for i := range all {
		if t.have[i], err = t.r.leaf(t.in, &h, &all[i]); err != nil {
			return err
		}
	}
	return nil
}
