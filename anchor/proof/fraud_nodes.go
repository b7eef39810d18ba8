package proof

// What paths tell of a tree beside what they were made for: nodes of it. Enough
// of them give what the tree was at another size.

import (
	"errors"
	"math/bits"

	"cairn/merkle"
)

// span is a subtree by the leaves below it, [begin, end).
type span struct{ begin, end uint64 }

func nodeSpan(level int, index uint64) span { return span{index << level, (index + 1) << level} }

// complete reports whether a span is that of a complete subtree, which is a node
// of every tree that has its leaves.
func (s span) complete() bool {
	n := s.end - s.begin
	return n&(n-1) == 0 && s.begin&(n-1) == 0
}

// nodes is what is known of one append-only tree: complete subtrees, whatever
// the size, and of each size the others on the right edge.
type nodes struct {
	complete map[span]merkle.Hash
	edges    map[uint64]map[span]merkle.Hash // by size
}

func newNodes() *nodes {
	return &nodes{complete: make(map[span]merkle.Hash), edges: make(map[uint64]map[span]merkle.Hash)}
}

// put notes a subtree of the tree of a size.
func (t *nodes) put(size uint64, s span, h merkle.Hash) {
	if s.complete() {
		t.complete[s] = h
		return
	}
	if t.edges[size] == nil {
		t.edges[size] = make(map[span]merkle.Hash)
	}
	t.edges[size][s] = h
}

// join takes what another has of the same tree.
func (t *nodes) join(o *nodes) {
	for s, h := range o.complete {
		t.complete[s] = h
	}
	for size, edge := range o.edges {
		for s, h := range edge {
			t.put(size, s, h)
		}
	}
}

// root notes a tree's root.
func (t *nodes) root(size uint64, root merkle.Hash) {
	if size > 0 {
		t.put(size, span{0, size}, root)
	}
}

// inclusion notes the nodes on and beside a path that was verified.
func (t *nodes) inclusion(leaf merkle.Hash, index, size uint64, path []merkle.Hash) {
	h := leaf
	t.put(size, span{index, index + 1}, h)
	for level, n := 0, 0; n < len(path); level++ {
		sib := index>>level ^ 1
		begin := sib << level
		if begin >= size {
			continue
		}
		t.put(size, span{begin, min(begin+1<<level, size)}, path[n])
		if sib&1 == 0 {
			h = merkle.NodeHash(path[n], h)
		} else {
			h = merkle.NodeHash(h, path[n])
		}
		parent := index >> (level + 1) << (level + 1)
		t.put(size, span{parent, min(parent+2<<level, size)}, h)
		n++
	}
}

// consistency notes the nodes of a consistency proof that was verified,
// 0 < old < size.
func (t *nodes) consistency(old, size uint64, oldRoot merkle.Hash, path []merkle.Hash) {
	spans := consistencySpans(old, size)
	if old&(old-1) == 0 {
		t.put(size, span{0, old}, oldRoot)
	}
	if len(spans) != len(path) {
		return
	}
	for i, s := range spans {
		t.put(size, s, path[i])
	}
	t.root(old, oldRoot)
}

// consistencySpans returns which subtrees a consistency proof consists of, in
// its order: as merkle.ProveConsistency goes down.
func consistencySpans(old, size uint64) []span {
	if old == 0 || old == size {
		return nil
	}
	var spans []span
	begin, end := uint64(0), size
	for end != old {
		if mid := begin + splitAt(end-begin); old <= mid {
			spans, end = append(spans, span{mid, end}), mid
		} else {
			spans, begin = append(spans, span{begin, mid}), mid
		}
	}
	if begin != 0 {
		spans = append(spans, span{begin, end})
	}
	for i, j := 0, len(spans)-1; i < j; i, j = i+1, j-1 {
		spans[i], spans[j] = spans[j], spans[i]
	}
	return spans
}

// splitAt is the greatest power of two below n, n > 1.
func splitAt(n uint64) uint64 { return 1 << (bits.Len64(n-1) - 1) }

// maxSpanTries bounds how many subtrees are looked up to put one together.
const maxSpanTries = 4096

// find returns the hash of a subtree of the tree of a size, put together from
// smaller ones where need be.
func (t *nodes) find(size uint64, s span) (merkle.Hash, bool) {
	tries := maxSpanTries
	return t.lookup(size, s, &tries)
}

func (t *nodes) lookup(size uint64, s span, tries *int) (merkle.Hash, bool) {
	if h, ok := t.complete[s]; ok {
		return h, true
	}
	if h, ok := t.edges[size][s]; ok {
		return h, true
	}
	if *tries--; *tries < 0 || s.end-s.begin < 2 {
		return merkle.Hash{}, false
	}
	// The right side first: on an edge it is the one that is less often known.
	mid := s.begin + splitAt(s.end-s.begin)
	right, ok := t.lookup(size, span{mid, s.end}, tries)
	if !ok {
		return merkle.Hash{}, false
	}
	left, ok := t.lookup(size, span{s.begin, mid}, tries)
	if !ok {
		return merkle.Hash{}, false
	}
	return merkle.NodeHash(left, right), true
}

// prefix returns what the tree of size n was at size m, with the consistency
// proof between, if enough of it is known. 0 ≤ m ≤ n.
func (t *nodes) prefix(m, n uint64, root merkle.Hash) (*FraudPrefix, bool) {
	switch m {
	case 0:
		return &FraudPrefix{Root: merkle.EmptyRoot()}, true
	case n:
		return &FraudPrefix{Root: root}, true
	}
	var p FraudPrefix
	for _, s := range consistencySpans(m, n) {
		h, ok := t.find(n, s)
		if !ok {
			return nil, false
		}
		p.Path = append(p.Path, h)
	}
	// The old root is made of the hashes that lie before m: of the last leaf's
	// subtree, or the root itself where m is a power of two, and those to its left.
	peaks, ok := t.peaks(m, n)
	if !ok {
		return nil, false
	}
	tree, err := merkle.TreeFromPeaks(m, peaks)
	if err != nil {
		return nil, false
	}
	p.Root = tree.Root()
	return &p, merkle.VerifyConsistency(m, n, p.Root, root, p.Path) == nil
}

// peaks returns the complete subtrees that the first m leaves fall into.
func (t *nodes) peaks(m, n uint64) (peaks []merkle.Hash, ok bool) {
	for begin := uint64(0); begin < m; {
		level := bits.Len64(m-begin) - 1
		h, ok := t.find(n, nodeSpan(level, begin>>level))
		if !ok {
			return nil, false
		}
		peaks = append(peaks, h)
		begin += 1 << level
	}
	return peaks, true
}

// path returns the inclusion path of a complete subtree in the tree of a size.
func (t *nodes) path(level int, index, size uint64) (path []merkle.Hash, ok bool) {
	for l := level; (size-1)>>l != 0; l++ {
		begin := (index>>(l-level) ^ 1) << l
		if begin >= size {
			continue
		}
		h, ok := t.find(size, span{begin, min(begin+1<<l, size)})
		if !ok {
			return nil, false
		}
		path = append(path, h)
	}
	return path, true
}

// errUnknownNode says that a range does not hold enough of its stream's tree.
var errUnknownNode = errors.New("the range does not show that part of the tree")

// rangeNodes are the nodes of a stream's tree that a range shows: the leaves
// from first on, and the roots of the complete subtrees before.
type rangeNodes struct {
	first  uint64
	left   Path
	leaves []merkle.Hash
	levels [][]merkle.Hash // above the leaves: complete subtrees of [first, …), each level from the first such on
}

// grow computes the complete subtrees of the leaves, so that each is hashed once.
func (r *rangeNodes) grow() {
	below, begin := r.leaves, r.first
	for len(below) > 1 {
		below = below[begin&1:] // a left side that lies before the range is not there
		begin = (begin + 1) >> 1
		level := make([]merkle.Hash, len(below)/2)
		for i := range level {
			level[i] = merkle.NodeHash(below[2*i], below[2*i+1])
		}
		r.levels = append(r.levels, level)
		below = level
	}
}

// Node implements merkle.NodeReader.
func (r *rangeNodes) Node(level int, index uint64) (merkle.Hash, error) {
	s := nodeSpan(level, index)
	switch {
	case s.end <= r.first:
		return r.peak(s)
	case s.begin >= r.first:
		row := r.leaves
		if level > len(r.levels) {
			return merkle.Hash{}, errUnknownNode
		}
		if level > 0 {
			row = r.levels[level-1]
		}
		at := index - (r.first+1<<level-1)>>level
		if at >= uint64(len(row)) {
			return merkle.Hash{}, errUnknownNode
		}
		return row[at], nil
	}
	left, err := r.Node(level-1, index<<1)
	if err != nil {
		return merkle.Hash{}, err
	}
	right, err := r.Node(level-1, index<<1|1)
	return merkle.NodeHash(left, right), err
}

func (r *rangeNodes) peak(s span) (merkle.Hash, error) {
	i := 0
	for begin := uint64(0); begin < r.first; i++ {
		level := bits.Len64(r.first-begin) - 1
		if nodeSpan(level, begin>>level) == s {
			return r.left[i], nil
		}
		begin += 1 << level
	}
	return merkle.Hash{}, errUnknownNode
}

// prefix is as that of nodes.
func (r *rangeNodes) prefix(m, n uint64, root merkle.Hash) (*FraudPrefix, bool) {
	if n < r.first || n-r.first > uint64(len(r.leaves)) || m > n {
		return nil, false
	}
	old, err := merkle.RootAt(r, m)
	if err != nil {
		return nil, false
	}
	path, err := merkle.ProveConsistency(r, m, n)
	if err != nil {
		return nil, false
	}
	return &FraudPrefix{Root: old, Path: path}, merkle.VerifyConsistency(m, n, old, root, path) == nil
}
