package store

import (
	"errors"
	"fmt"

	"cairn/ingest/frame"
	"cairn/merkle"
	"cairn/merkle/ledger"
)

// SummaryEvidence is what one batch says of one stream, opened and proven up to
// the batch's header.
type SummaryEvidence struct {
	Slot, Batch uint64
	Tag         [12]byte
	First, Next uint64 // sequence numbers of its run; equal when nothing came
	Item        []byte
	Salt        [16]byte
	Rest        []byte // what the summary hides
	RestSalt    [16]byte
	Path        []merkle.Hash // of leaf Slot in the batch tree
}

// SummaryAt makes a stream's summary of a batch again, also of a window in which
// nothing came, and proves it in the batch's tree. It takes the readings of the
// run and some before it, so a summary costs the same however long stream and
// log are. ErrNotBatched: that window is still open; ErrNotFound: the batch has
// no summary of that stream; ErrDamaged: it is not what the batch committed.
func (s *Store) SummaryAt(slot, batch uint64) (*SummaryEvidence, error) {
	r := s.reader()
	defer r.close()
	e, err := r.summaryAt(slot, batch)
	if err != nil {
		return nil, fmt.Errorf("summary of stream %d in batch %d: %w", slot, batch, err)
	}
	return e, nil
}

func (r *reader) summaryAt(slot, batch uint64) (*SummaryEvidence, error) {
	in, err := r.stream(slot)
	switch {
	case err != nil:
		return nil, err
	case batch > r.v.size || !in.active(batch):
		return nil, ErrNotFound
	case batch == r.v.size:
		return nil, ErrNotBatched
	}
	run, ok, err := r.run(slot, batch)
	if err != nil {
		return nil, err
	}
	if ok {
		return r.runSummary(in, &treeNodes{r: r, in: in, run: &run}, true)
	}
	return r.heartbeatSummary(in, batch)
}

// runSummary makes the summary of a window in which readings came, from the
// run's tree. Without withRest the hidden digest is the stored one: long runs
// have it, so that one reading of theirs can be proven without all others.
func (r *reader) runSummary(in *streamInfo, nodes *treeNodes, withRest bool) (*SummaryEvidence, error) {
	run := nodes.run
	if err := r.fill(in, run); err != nil {
		return nil, err
	}
	w, err := r.s.windowRow(r.snap, run.batch)
	if err != nil {
		return nil, err
	}
	sum := ledger.Summary{
		Slot: in.slot, From: w.Window.From, To: w.Window.To, First: run.first, Next: run.next,
		Closed: in.closed && run.batch == in.closedBy, Stream: run.stream, Hidden: run.hidden,
	}
	if sum.Run, err = merkle.RootAt(nodes, run.next-run.first); err != nil {
		return nil, err
	}
	var rest *ledger.Rest
	if withRest {
		if rest, err = r.rest(in, run, &w.Window); err != nil {
			return nil, err
		}
	}
	return r.openSummary(in, run.batch, w, sum, rest, &run.leaf)
}

func (r *reader) heartbeatSummary(in *streamInfo, batch uint64) (*SummaryEvidence, error) {
	w, err := r.s.windowRow(r.snap, batch)
	if err != nil {
		return nil, err
	}
	sum, rest, err := r.heartbeat(in, &w.Window, batch)
	if err != nil {
		return nil, err
	}
	return r.openSummary(in, batch, w, sum, &rest, nil)
}

// openSummary salts a summary that was made again, and its rest if there is one,
// and holds its leaf against the stored one of its run and against the header.
func (r *reader) openSummary(in *streamInfo, batch uint64, w *windowRow, sum ledger.Summary, rest *ledger.Rest, want *merkle.Hash) (*SummaryEvidence, error) {
	inc, err := r.s.start(w.Window.Start)
	if err != nil {
		return nil, err
	}
	k, err := r.hourKeys(in, w.Window.hour(), inc)
	if err != nil {
		return nil, err
	}
	block := ledger.SummaryBlock(batch)
	e := &SummaryEvidence{Slot: in.slot, Batch: batch, Tag: in.tag, First: sum.First, Next: sum.Next, Salt: encrypt(k.summary, block)}
	if rest != nil {
		e.Rest, e.RestSalt = rest.Append(nil), encrypt(k.rest, block)
		sum.Hidden = ledger.Hide(e.Rest, e.RestSalt)
	}
	e.Item = sum.Append(nil)
	entry := ledger.SummaryEntry(in.tag, e.Item, e.Salt)
	leaf := merkle.LeafHash(entry[:])
	if want != nil && *want != leaf {
		return nil, fmt.Errorf("%w: the summary made again from the readings is not the one of batch %d", ErrDamaged, batch)
	}
	e.Path, err = r.slotPath(in.slot, w, batch, leaf)
	return e, err
}

// rest makes a run's hidden item again from its readings and the one before.
func (r *reader) rest(in *streamInfo, run *runRow, w *window) (*ledger.Rest, error) {
	stats := runStats{bare: in.classes.scheme != schemeSite}
	if err := r.carry(in, &stats, run.first); err != nil {
		return nil, err
	}
	for at := run.first; at < run.next; { // a run may be too long for the memory
		all, err := r.stretch(in, at, run.next)
		if err != nil {
			return nil, err
		}
		for i := range all {
			stats.add(&all[i].Reading)
		}
		at += uint64(len(all))
	}
	rest := stats.rest(w.gaps())
	return &rest, nil
}

// carryMost is how many readings at once are looked at for a counter.
const carryMost = 1024

// carry finds the counter before a run: that of the newest reading before it
// that has one.
func (r *reader) carry(in *streamInfo, stats *runStats, first uint64) error {
	for n := uint64(1); first > 0; n = min(2*n, carryMost) {
		if done, err := r.goneCarry(in, stats, first-1); done || err != nil {
			return err
		}
		from := first - min(n, first)
		all, err := r.readings(in, from, first)
		if (errors.Is(err, ErrShredded) || errors.Is(err, ErrDropped)) && from < first-1 {
			n, from = 1, first-1
			all, err = r.readings(in, from, first)
		}
		if err != nil {
			return err
		}
		for i := len(all) - 1; i >= 0; i-- {
			if o := &all[i].Origin; o.HasCounter {
				stats.prev, stats.hasPrev = frame.Counter(o.Counter), true
				return nil
			}
		}
		if r.v.streamKind(in) != ledger.BindSecure {
			return nil
		}
		first = from
	}
	return nil
}

func (v *view) streamKind(in *streamInfo) string {
	if in.late {
		return ledger.BindLate
	}
	for i := range v.devices {
		if v.devices[i].Number == in.device {
			return v.devices[i].Kind
		}
	}
	return ""
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
		if err := r.fill(in, last); err != nil {
			return sum, ledger.Rest{}, err
		}
		sum.First, sum.Next, sum.Stream = last.next, last.next, last.stream
	}
	return sum, new(runStats).rest(w.gaps()), nil
}

// slotPath proves the leaf of a slot in the batch tree, and that this gives the
// header's root. Only the leaves of its group are made again; the rest of the
// tree is read.
func (r *reader) slotPath(slot uint64, w *windowRow, batch uint64, leaf merkle.Hash) ([]merkle.Hash, error) {
	width := uint64(1) << min(groupLevel, int(w.Depth))
	first := slot / width * width
	leaves := make([]merkle.Hash, width)
	for i := range leaves {
		var err error
		if other := first + uint64(i); other == slot {
			leaves[i] = leaf
		} else if leaves[i], err = r.slotLeaf(other, w, batch); err != nil {
			return nil, err
		}
	}
	path := merkle.PerfectPath(leaves, int(slot-first))
	groups, err := r.batchNodes(batch, 1<<w.Depth/width)
	if err != nil {
		return nil, err
	}
	path = append(path, merkle.PerfectPath(groups, int(first/width))...)
	root, err := merkle.RootFromPerfectPath(leaf, slot, path)
	if err != nil {
		return nil, fmt.Errorf("%w: slot %d of batch %d: %w", ErrDamaged, slot, batch, err)
	}
	return path, r.isBatchRoot(batch, root)
}

// isBatchRoot holds a root against a batch's header.
func (r *reader) isBatchRoot(batch uint64, root merkle.Hash) error {
	item, err := r.s.header(r.snap, batch)
	if err != nil {
		return err
	}
	h, err := ledger.ParseHeader(item)
	if err != nil {
		return fmt.Errorf("%w: batch %d: %w", ErrDamaged, batch, err)
	}
	if h.Root != root {
		return fmt.Errorf("%w: the summaries give another root of batch %d than its header", ErrDamaged, batch)
	}
	return nil
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
	if leaf, ok, err := r.goneSummary(in, &w.Window, batch); ok || err != nil {
		return leaf, err
	}
	run, ok, err := r.run(slot, batch)
	if err == nil && ok {
		err = r.fill(in, &run)
	}
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
