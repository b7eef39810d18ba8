package store

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"

	"cairn/merkle"
	"cairn/merkle/ledger"
	"cairn/store/share"
)

// What follows holds rows against each other that no hash covers, so that a row
// that is damaged or missing is found before it is needed.

// besideHeader checks what a closed batch has beside its header: its window's
// row, what that says of its readings and segments, and the stored nodes of its
// tree.
func (f *fsck) besideHeader(h *ledger.Header, w *windowRow, nodes []merkle.Hash) error {
	if !slices.Equal(w.Window.seen(), h.Seen) {
		f.find("batch %d: header and row name other blocks", h.Index)
	}
	if w.Window.FirstCommit != f.commits || w.Window.NextCommit < w.Window.FirstCommit {
		f.find("batch %d: its commits go from %d to %d, want them to begin at %d", h.Index, w.Window.FirstCommit, w.Window.NextCommit, f.commits)
	}
	f.commits = w.Window.NextCommit
	if err := f.hidden(h.Index, w); err != nil {
		return err
	}
	stored, err := f.batchNodes(h.Index, uint64(len(nodes)))
	if err != nil {
		return err
	}
	if !slices.Equal(stored, nodes) {
		f.find("batch %d: a stored node of its tree is not what the summaries give", h.Index)
	}
	return nil
}

// hidden checks what a header counts against the runs, and the root of what it
// lists against the segments.
func (f *fsck) hidden(batch uint64, w *windowRow) error {
	var streams, readings uint64
	for i := range f.v.streams {
		in := &f.v.streams[i]
		if !in.active(batch) {
			continue
		}
		streams++
		run, ok, err := f.run(in.slot, batch)
		if err != nil {
			return err
		}
		if ok {
			readings += run.next - run.first
		}
	}
	if streams != w.Streams || readings != w.Readings {
		f.find("batch %d: its header counts %d readings of %d streams, there are %d of %d", batch, w.Readings, w.Streams, readings, streams)
	}
	segments, err := f.s.listedSegments(f.snap, batch)
	if err != nil {
		return err
	}
	inc, err := f.s.start(w.Window.Start)
	if err != nil {
		return err
	}
	root, err := f.s.segmentsRoot(segments, f.s.cursor(share.Ledger), inc)
	if err != nil {
		return err
	}
	if uint64(len(segments)) != w.Segments || !bytes.Equal(root, w.SegmentsRoot) {
		f.find("batch %d: its segments give another root than its header hides", batch)
	}
	return nil
}

// groupNodes gives a batch tree's nodes at the group level; leaves are rubbish
// after it.
func groupNodes(leaves []merkle.Hash) []merkle.Hash {
	width := min(1<<groupLevel, len(leaves))
	nodes := make([]merkle.Hash, 0, len(leaves)/width)
	for i := 0; i < len(leaves); i += width {
		nodes = append(nodes, merkle.PerfectRoot(leaves[i:i+width]))
	}
	return nodes
}

// openSequence checks that the commits of the open window go on where the
// streams' last closed runs, and their commits before, ended.
func (f *fsck) openSequence(rec *record) error {
	if rec.batch != f.v.size {
		return nil
	}
	for i := range rec.streams {
		st := &rec.streams[i]
		next, ok := f.open[st.slot]
		if !ok {
			var err error
			if next, err = f.closedNext(st.slot); err != nil {
				return err
			}
		}
		if st.first != next {
			return fmt.Errorf("stream %d goes on at %d, want %d", st.slot, st.first, next)
		}
		f.open[st.slot] = next + uint64(st.n)
	}
	return nil
}

// groups checks that the sealed quarter hours follow each other up to where
// commits begin, each listed by a batch after it.
func (f *fsck) groups() error {
	next := uint64(0)
	k := f.s.keys.key(kindHour)
	err := each(f.snap, k, f.s.keys.u64(kindHour, f.v.state.SealFrom), func(key, val []byte) (bool, error) {
		first := binary.BigEndian.Uint64(suffix(key))
		r, err := decodeHour(key, val)
		if err != nil {
			f.find("sealed quarter hour of batch %d: %v", first, err)
			return false, nil
		}
		if first != next || r.Next <= first || r.Listed < r.Next || r.Listed > f.v.size {
			f.find("sealed quarter hour from batch %d to %d, listed by %d: want it to begin at %d", first, r.Next, r.Listed, next)
		}
		next = r.Next
		return true, f.ctx.Err()
	})
	if err == nil && next != f.v.state.SealFrom {
		f.find("quarter hours are sealed up to batch %d, want %d", next, f.v.state.SealFrom)
	}
	return err
}

// objects makes every object again and holds it against what its header lists.
func (f *fsck) objects() error {
	k := f.s.keys.key(kindHour)
	return each(f.snap, k, f.s.keys.u64(kindHour, f.v.state.SealFrom), func(key, val []byte) (bool, error) {
		first := binary.BigEndian.Uint64(suffix(key))
		row, err := decodeHour(key, val)
		if err != nil || !row.objects() {
			return true, f.ctx.Err()
		}
		segments, err := f.s.segmentRows(row.Hour, first, row.Next)
		if err != nil {
			return false, err
		}
		for i := range segments {
			if err := f.segment(segments[i].key); err != nil {
				f.find("%v", err)
			}
		}
		return true, f.ctx.Err()
	})
}

// keptHeads checks the signatures that outlived their commits.
func (f *fsck) keptHeads() error {
	k := f.s.keys.key(kindHead)
	return each(f.snap, k, after(k), func(key, val []byte) (bool, error) {
		number := binary.BigEndian.Uint64(suffix(key))
		c := cursor{b: val}
		version, item := c.byte(), c.bytes()
		signature := c.take(64)
		head, err := ledger.VerifyIntake(f.v.keys.ofCommit(number), item, signature)
		if version != format || c.err != nil || len(c.b) != 0 || err != nil || head.Number != number || head.Ledger != f.s.keys.id {
			f.find("the intake head of commit %d does not hold", number)
		}
		return true, f.ctx.Err()
	})
}

// journals checks no more than the format: what a journal says is its route's
// to judge.
func (f *fsck) journals() error {
	k := f.s.keys.key(kindJournal)
	return each(f.snap, k, after(k), func(key, val []byte) (bool, error) {
		if len(val) == 0 || val[0] != format || len(suffix(key)) < 1 || len(suffix(key)) < 1+int(suffix(key)[0]) {
			f.find("journal row %q has an unknown format", suffix(key))
		}
		return true, f.ctx.Err()
	})
}
