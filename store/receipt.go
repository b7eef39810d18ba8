package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/cockroachdb/pebble/v2"

	"cairn/ingest/reading"
	"cairn/merkle"
)

// ErrNoReceipt tells that a reading's group commit is gone: its quarter hour is
// sealed, and a proof shows more.
var ErrNoReceipt = errors.New("its quarter hour is sealed: ask for a proof of it")

// Receipt is what shows at once that a reading was taken: its record, and its place
// in the group commit whose head is signed.
type Receipt struct {
	Evidence                // without what is known when its window is closed
	Index     uint64        // of its entry in the commit
	Path      []merkle.Hash // inclusion in the commit's tree
	Head      []byte        // ledger.IntakeHead
	Signature []byte        // of the log's key at that time, over Head
}

// Receipt gives the receipt of a reading that was taken lately. ErrNoReceipt: it was
// sealed since; ErrNotFound: there is no such reading.
func (s *Store) Receipt(slot, seq uint64) (*Receipt, error) {
	r := s.reader()
	defer r.close()
	x, err := r.receipt(slot, seq)
	if err != nil {
		return nil, fmt.Errorf("receipt of reading %d of stream %d: %w", seq, slot, err)
	}
	return x, nil
}

func (r *reader) receipt(slot, seq uint64) (*Receipt, error) {
	in, err := r.stream(slot)
	if err != nil {
		return nil, err
	}
	rec, at, err := r.commitOf(slot, seq)
	if err != nil {
		return nil, err
	}
	if rec == nil {
		if _, sealed, err := r.indexAt(slot, seq); err != nil || sealed != nil {
			return nil, errors.Join(err, ErrNoReceipt)
		}
		return nil, ErrNotFound
	}
	w, err := r.s.windowOf(r.snap, &r.v.state, rec.batch)
	if err != nil {
		return nil, err
	}
	all, err := r.openStream(rec, at, in, w)
	if err != nil {
		return nil, err
	}
	x := &Receipt{Evidence: Evidence{Slot: slot, Seq: seq, Tag: in.tag}, Head: rec.head, Signature: rec.signature}
	if err := r.recordOf(in, &all[seq-rec.streams[at].first], &x.Evidence); err != nil {
		return nil, err
	}
	leaves, err := r.commitLeaves(rec)
	if err != nil {
		return nil, err
	}
	x.Index = rec.place(at, seq)
	x.Path, err = merkle.ProveInclusion(merkle.Leaves(leaves), x.Index, uint64(len(leaves)))
	return x, err
}

// commitOf finds the commit that has a reading, from the newest back: it is asked for
// mostly at once. It gives nil if none that is left has it.
func (r *reader) commitOf(slot, seq uint64) (rec *record, at int, err error) {
	it, err := r.snap.NewIter(&pebble.IterOptions{LowerBound: r.s.keys.key(kindCommit), UpperBound: r.s.keys.u64(kindCommit, math.MaxUint64)})
	if err != nil {
		return nil, 0, err
	}
	defer it.Close()
	for ok := it.Last(); ok; ok = it.Prev() {
		val, err := it.ValueAndErr()
		if err != nil {
			return nil, 0, err
		}
		rec, err := parseRecord(binary.BigEndian.Uint64(suffix(it.Key())), append([]byte(nil), val...))
		if err != nil {
			return nil, 0, err
		}
		for i := range rec.streams {
			st := &rec.streams[i]
			if st.slot != slot {
				continue
			}
			if seq >= st.first+uint64(st.n) {
				return nil, 0, nil // it is yet to come
			}
			if seq >= st.first {
				return rec, i, nil
			}
		}
	}
	return nil, 0, it.Error()
}

// commitLeaves gives the leaves of a commit's readings in the order of the commit.
func (r *reader) commitLeaves(rec *record) ([]merkle.Hash, error) {
	next := make([]int, len(rec.streams))
	leaves := make([]merkle.Hash, len(rec.order))
	for i, at := range rec.order {
		st := &rec.streams[at]
		in, err := r.stream(st.slot)
		if err != nil {
			return nil, err
		}
		leaves[i] = reading.EntryLeaf(in.tag, st.first+uint64(next[at]), st.root(next[at]))
		next[at]++
	}
	return leaves, nil
}

// place is where in the order of a commit a reading of one of its streams stands.
func (r *record) place(stream int, seq uint64) uint64 {
	left := seq - r.streams[stream].first
	for i, at := range r.order {
		if int(at) != stream {
			continue
		}
		if left == 0 {
			return uint64(i)
		}
		left--
	}
	return uint64(len(r.order)) // there is none: its inclusion cannot be proven
}
