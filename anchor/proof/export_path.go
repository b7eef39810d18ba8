package proof

import (
	"bytes"
	"fmt"
	"math/bits"

	"cairn/merkle"
	"cairn/merkle/ledger"
)

// rangeTrails leads from a field of a reading in a range to the log, by each of
// the range's summaries that came with the reading or later.
func (f *File) rangeTrails(s Selection) ([]*trail, error) {
	if s.rng >= len(f.Ranges) || s.at < 0 || s.at >= len(f.Ranges[s.rng].Readings) {
		return nil, fmt.Errorf("%w: reading %d of range %d", ErrSelection, s.at, s.rng)
	}
	r := &f.Ranges[s.rng]
	n := &r.Readings[s.at]
	record, err := recordTrail(n.alone(), s.field)
	if err != nil {
		return nil, err
	}
	var all []*trail
	var stream *streamPart
	for _, at := range r.Summaries {
		if at < 0 || at >= len(f.Summaries) {
			return nil, fmt.Errorf("%w: range %d has no summary %d", ErrExportFalse, s.rng, at)
		}
		sum, err := ledger.ParseSummary(f.Summaries[at].Item)
		if err != nil {
			return nil, fmt.Errorf("%w: summary %d: %w", ErrExportFalse, at, err)
		}
		if sum.Next <= n.Seq {
			continue
		}
		if stream == nil {
			if stream, err = newStreamPart(r, f.Summaries[at].Tag); err != nil {
				return nil, err
			}
		}
		t := *record
		t.steps = append([]step(nil), record.steps...)
		t.entry(f.Summaries[at].Tag, n.Seq)
		path, ok := stream.path(n.Seq, sum.Next)
		if !ok {
			return nil, fmt.Errorf("%w: range %d does not reach to the end of summary %d", ErrExportFalse, s.rng, at)
		}
		if err := t.inclusion(n.Seq, sum.Next, path); err != nil {
			return nil, err
		}
		if err := t.summary(f, at, fromStream); err != nil {
			return nil, err
		}
		all = append(all, &t)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%w: no summary of range %d holds reading %d", ErrExportFalse, s.rng, n.Seq)
	}
	return all, nil
}

// alone is a range's reading as one that has no place yet.
func (n *Numbered) alone() *Reading {
	return &Reading{Seq: n.Seq, Width: n.Width, Fields: n.Fields, Hidden: n.Hidden}
}

// streamPart is a stream's tree as a range shows it: the complete subtrees
// before its first reading, and all leaves from there on.
type streamPart struct {
	first  uint64
	left   []merkle.Hash
	leaves []merkle.Hash

	// known are roots of complete subtrees. Trees of other sizes have them too, so
	// that after the first path one costs no more than its own height squared.
	known map[subtree]merkle.Hash
}

type subtree struct{ begin, end uint64 }

// minKnown is the least number of leaves of a subtree whose root is kept.
const minKnown = 16

func newStreamPart(r *Range, tag [12]byte) (*streamPart, error) {
	p := &streamPart{first: r.First, left: r.Left, known: make(map[subtree]merkle.Hash)}
	if bits.OnesCount64(r.First) != len(r.Left) {
		return nil, fmt.Errorf("%w: %d subtrees before reading %d", ErrExportFalse, len(r.Left), r.First)
	}
	for i := range r.Readings {
		n := &r.Readings[i]
		root, err := n.recordRoot()
		if err != nil {
			return nil, err
		}
		var t trail
		t.at = root
		t.entry(tag, n.Seq)
		p.leaves = append(p.leaves, t.at)
	}
	return p, nil
}

// recordRoot is that of the fields shown, or the one hash that stands for all.
func (n *Numbered) recordRoot() (merkle.Hash, error) {
	if len(n.Fields) == 0 {
		if len(n.Hidden) != 1 {
			return merkle.Hash{}, fmt.Errorf("%w: reading %d shows nothing, with %d hidden hashes", ErrExportFalse, n.Seq, len(n.Hidden))
		}
		return n.Hidden[0], nil
	}
	r := n.alone()
	if err := r.check(); err != nil {
		return merkle.Hash{}, fmt.Errorf("%w: reading %d: %w", ErrExportFalse, n.Seq, err)
	}
	t, err := recordTrail(r, r.Fields[0].Index)
	if err != nil {
		return merkle.Hash{}, err
	}
	return t.at, nil
}

// path is the inclusion path of a leaf in the tree of the first size leaves; not
// ok if the range does not hold that leaf, or not all after it.
func (p *streamPart) path(index, size uint64) (path []merkle.Hash, ok bool) {
	if index < p.first || index >= size || size-p.first > uint64(len(p.leaves)) {
		return nil, false
	}
	_, path = p.walk(0, size, index)
	return path, true
}

func (p *streamPart) walk(begin, end, index uint64) (h merkle.Hash, path []merkle.Hash) {
	if end-begin == 1 && begin >= p.first {
		return p.leaves[begin-p.first], nil
	}
	if end <= p.first {
		return p.left[p.subtreeAt(begin)], nil
	}
	at, inside := subtree{begin, end}, index >= begin && index < end
	if h, ok := p.known[at]; ok && !inside {
		return h, nil
	}
	mid := begin + 1<<(bits.Len64(end-begin-1)-1)
	left, below := p.walk(begin, mid, index)
	right, above := p.walk(mid, end, index)
	h = merkle.NodeHash(left, right)
	if n := end - begin; n >= minKnown && n&(n-1) == 0 {
		p.known[at] = h
	}
	switch {
	case !inside:
		return h, nil
	case index < mid:
		return h, append(below, right)
	}
	return h, append(above, left)
}

// subtreeAt returns which of the complete subtrees before the first leaf begins
// there. One of a larger tree that ends at or before first is one of these.
func (p *streamPart) subtreeAt(begin uint64) int {
	return bits.OnesCount64(p.first) - bits.OnesCount64(p.first-begin)
}

// cover is a head whose log holds a batch, with the path.
type cover struct {
	head  int // position in Heads
	cp    merkle.Checkpoint
	index uint64
	path  []merkle.Hash
}

// covers returns all heads that the file shows to hold a batch, in the order of
// the file's heads: those that the batch names, and those whose log an
// extension shows to begin with one of these.
func (f *File) covers(batch int) ([]cover, error) {
	b := &f.Batches[batch]
	h, err := ledger.ParseHeader(b.Header)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrExportFalse, err)
	}
	leaf := merkle.LeafHash(b.Header)
	known := make(map[int]*cover)
	var queue []int
	add := func(head int, path []merkle.Hash) error {
		if head < 0 || head >= len(f.Heads) || known[head] != nil {
			return nil
		}
		cp, err := checkpointOf(f.Heads[head].Note)
		if err == nil {
			err = merkle.VerifyInclusion(leaf, h.Index, cp.Size, path, cp.Root)
		}
		if err != nil {
			return fmt.Errorf("%w: batch %d under head %d: %w", ErrExportFalse, batch, head, err)
		}
		known[head] = &cover{head, cp, h.Index, path}
		queue = append(queue, head)
		return nil
	}
	for _, p := range b.Heads {
		if err := add(p.Head, p.Path); err != nil {
			return nil, err
		}
	}
	for ; len(queue) != 0; queue = queue[1:] {
		for i := range f.Extends {
			e := &f.Extends[i]
			if e.Old != queue[0] || e.New < 0 || e.New >= len(f.Heads) || known[e.New] != nil {
				continue
			}
			next, err := checkpointOf(f.Heads[e.New].Note)
			if err != nil {
				return nil, fmt.Errorf("%w: head %d: %w", ErrExportFalse, e.New, err)
			}
			old := known[e.Old]
			path, ok := extendPath(h.Index, old.path, old.cp.Size, next.Size, old.cp.Root, e.Path)
			if !ok {
				return nil, fmt.Errorf("%w: extension %d", ErrExportFalse, i)
			}
			if err := add(e.New, path); err != nil {
				return nil, err
			}
		}
	}
	var all []cover
	for head := range f.Heads {
		if c := known[head]; c != nil {
			all = append(all, *c)
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%w: no head covers batch %d", ErrExportFalse, batch)
	}
	return all, nil
}

// checkpointOf reads a head's checkpoint without its signatures, which a
// verification has checked.
func checkpointOf(note []byte) (merkle.Checkpoint, error) {
	at := bytes.LastIndex(note, []byte("\n\n"))
	if at < 0 {
		return merkle.Checkpoint{}, merkle.ErrCheckpoint
	}
	return merkle.ParseCheckpoint(string(note[:at+1]))
}

// extendPath makes of a leaf's path in a tree of old leaves the one in a tree
// of size leaves that begins with it, by the consistency proof of both. A
// consistency proof is the path in the new tree of the last complete subtree of
// the old; what stands to its left there are the old tree's other complete
// subtrees, and in the one that holds the leaf both paths are the same.
func extendPath(index uint64, path []merkle.Hash, old, size uint64, oldRoot merkle.Hash, proof []merkle.Hash) ([]merkle.Hash, bool) {
	if old == 0 || old >= size || index >= old {
		return nil, false
	}
	fn, sn, level := old-1, size-1, 0
	for ; fn&1 == 1; level++ {
		fn, sn = fn>>1, sn>>1
	}
	h := oldRoot
	if fn != 0 {
		if len(proof) == 0 {
			return nil, false
		}
		h, proof = proof[0], proof[1:]
	}
	inner := func() ([]merkle.Hash, bool) { // the path inside of a complete subtree as high as this level
		if len(path) < level {
			return nil, false
		}
		return path[:level:level], true
	}
	if index>>level == fn {
		below, ok := inner()
		return append(below, proof...), ok
	}
	for ; sn != 0; fn, sn, level = fn>>1, sn>>1, level+1 {
		if fn&1 == 0 && fn == sn {
			continue
		}
		if len(proof) == 0 {
			return nil, false
		}
		if fn&1 == 1 && index>>level == fn-1 {
			below, ok := inner()
			return append(append(below, h), proof[1:]...), ok
		}
		if fn&1 == 1 {
			h = merkle.NodeHash(proof[0], h)
		} else {
			h = merkle.NodeHash(h, proof[0])
		}
		proof = proof[1:]
	}
	return nil, false
}
