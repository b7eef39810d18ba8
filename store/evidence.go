package store

import (
	"fmt"

	"cairn/ingest/reading"
	"cairn/merkle"
	"cairn/store/share"
)

// Evidence is all that proves one reading, up to the header of its batch. What
// of it is shown to whom is the caller's choice. Of a reading that was shredded in
// part, items that were have neither bytes nor salt, their measurements are blank,
// and Leaves ends with the last item's.
type Evidence struct {
	Slot, Seq uint64
	Tag       [12]byte
	Reading   reading.Reading
	Items     [][]byte      // 0…N
	Salts     [][16]byte    // of the items
	Leaves    []merkle.Hash // of the record tree, decoys included
	Frame     []byte        // wire frame or line; nil if there was none
	shredded                // where compartments of it were shredded: see Cover

	Batch       uint64
	First, Next uint64        // sequence numbers of its run
	RunPath     []merkle.Hash // of leaf Seq-First in the run's tree
	Summary     []byte
	SummarySalt [16]byte
	Rest        []byte // nil for a run of more than 64 readings: SummaryAt makes it
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
	in, err := r.stream(slot)
	if err != nil {
		return nil, err
	}
	run, err := r.closedRun(in, seq)
	if err != nil {
		return nil, err
	}
	e := &Evidence{Slot: slot, Seq: seq, Tag: in.tag, Batch: run.batch, First: run.first, Next: run.next}
	if err := r.record(in, e); err != nil {
		return nil, err
	}
	nodes := &treeNodes{r: r, in: in, run: run}
	if e.RunPath, err = merkle.ProveInclusion(nodes, seq-run.first, run.next-run.first); err != nil {
		return nil, err
	}
	sum, err := r.runSummary(in, nodes, !run.hasHidden)
	if err != nil {
		return nil, err
	}
	e.Summary, e.SummarySalt, e.Rest, e.RestSalt, e.SlotPath = sum.Item, sum.Salt, sum.Rest, sum.RestSalt, sum.Path
	return e, nil
}

// record fills in the reading and its record tree.
func (r *reader) record(in *streamInfo, e *Evidence) error {
	all, err := r.readings(in, e.Seq, e.Seq+1)
	if err != nil {
		return err
	}
	return r.recordOf(in, &all[0], e)
}

// recordOf fills in a reading that is at hand, and its record tree.
func (r *reader) recordOf(in *streamInfo, st *stored, e *Evidence) (err error) {
	if st.left != nil {
		return r.leftRecord(in, st, e)
	}
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
	salts := k.of(st)
	e.Leaves = append([]merkle.Hash(nil), h.Leaves(&st.Reading, salts)...)
	items := h.Items()
	for i := range items.Len() {
		e.Items = append(e.Items, append([]byte(nil), items.At(i)...))
		e.Salts = append(e.Salts, salts.Salt(st.Sequence, i, items.Len()))
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
	if level >= t.level() {
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

// level is the lowest that is on disk.
func (t *treeNodes) level() int {
	if t.run == nil {
		return t.in.classes.nodeLevel()
	}
	return nodeLevel
}

// load makes the 32 or 64 leaves around one again.
func (t *treeNodes) load(leaf uint64) error {
	size := t.level()
	base := leaf >> size << size
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
	have, err := t.r.leaves(t.in, first+base, min(first+base+1<<size, next))
	if err != nil {
		return err
	}
	t.base, t.have = base, have
	return nil
}

// leaves gives the leaves of a stream's readings from…to-1, also of those that
// were shredded.
func (r *reader) leaves(in *streamInfo, from, to uint64) ([]merkle.Hash, error) {
	var h reading.Hasher
	out := make([]merkle.Hash, 0, to-min(from, to))
	for at := from; at < to; at = from + uint64(len(out)) {
		gone, err := r.goneLeaves(in, at, to)
		if err != nil {
			return nil, err
		}
		if len(gone) > 0 {
			out = append(out, gone...)
			continue
		}
		all, err := r.stretch(in, at, to)
		if err != nil {
			return nil, err
		}
		for i := range all {
			leaf, err := r.leaf(in, &h, &all[i])
			if err != nil {
				return nil, err
			}
			out = append(out, leaf)
		}
	}
	return out, nil
}
