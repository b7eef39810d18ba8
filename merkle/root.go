package merkle

import (
	"fmt"
	"math/bits"
)

// RootOf returns the root over these leaf hashes, which it leaves as they are.
// It takes one scratch copy half their length.
func RootOf(leaves []Hash) Hash {
	switch len(leaves) {
	case 0:
		return emptyRoot
	case 1:
		return leaves[0]
	}
	return RootInPlace(foldLevel(make([]Hash, (len(leaves)+1)/2), leaves))
}

// RootInPlace returns the root over these leaf hashes, allocates nothing, and
// leaves rubbish in its argument.
func RootInPlace(leaves []Hash) Hash {
	if len(leaves) == 0 {
		return emptyRoot
	}
	for len(leaves) > 1 {
		leaves = foldLevel(leaves, leaves)
	}
	return leaves[0]
}

// Fold replaces one level of a tree by the next, in place: a node for each two
// of nodes, and the last as it is if it has no neighbour.
func Fold(nodes []Hash) []Hash { return foldLevel(nodes, nodes) }

// foldLevel writes the level above src to dst, which may be src itself, and
// returns it. A last node without a sibling moves up as it is; that gives the
// same tree as the splits of RFC 6962 section 2.1.
func foldLevel(dst, src []Hash) []Hash {
	n := len(src) / 2
	for i := range n {
		nodeHash(&dst[i], &src[2*i], &src[2*i+1])
	}
	if len(src)%2 == 1 {
		dst[n] = src[len(src)-1]
		n++
	}
	return dst[:n]
}

// Leaves is a NodeReader over leaf hashes held in memory. It computes each
// node anew, so a node costs as much as it has leaves.
type Leaves []Hash

// Node returns the root of the complete subtree at (level, index), or an
// ErrRange when these leaves do not fill it.
func (l Leaves) Node(level int, index uint64) (Hash, error) {
	n := uint64(len(l))
	if level < 0 || level >= maxLevels || index >= n>>level {
		return Hash{}, fmt.Errorf("node (%d, %d) of %d leaves: %w", level, index, n, ErrRange)
	}
	return subtreeRoot(l[index<<level : (index+1)<<level]), nil
}

// subtreeRoot returns the root over leaves, at least one, in constant memory
// and without changing them.
func subtreeRoot(leaves []Hash) Hash {
	if len(leaves) == 1 {
		return leaves[0]
	}
	var t Tree
	for _, h := range leaves {
		t.Append(h)
	}
	return t.Root()
}

// PerfectRoot returns the root over a power of two of leaf hashes, allocates
// nothing, and leaves rubbish in its argument. It panics on any other length.
func PerfectRoot(leaves []Hash) Hash {
	mustBePerfect(leaves)
	return RootInPlace(leaves)
}

// PerfectPath returns the inclusion path of the leaf at index in the tree over
// a power of two of leaf hashes, the leaf's sibling first. It leaves them as
// they are, and panics on any other length or an index outside of them.
func PerfectPath(leaves []Hash, index int) []Hash {
	mustBePerfect(leaves)
	if index < 0 || index >= len(leaves) {
		panic(fmt.Sprintf("merkle: index %d of %d leaves", index, len(leaves)))
	}
	if len(leaves) == 1 {
		return nil
	}
	path := make([]Hash, 0, bits.Len(uint(len(leaves)))-1)
	path = append(path, leaves[index^1])
	for level := foldLevel(make([]Hash, len(leaves)/2), leaves); len(level) > 1; level = foldLevel(level, level) {
		index /= 2
		path = append(path, level[index^1])
	}
	return path
}

func mustBePerfect(leaves []Hash) {
	if n := len(leaves); n == 0 || n&(n-1) != 0 {
		panic(fmt.Sprintf("merkle: %d leaves are not a power of two", n))
	}
}

// RootFromPerfectPath returns the root that a leaf hash at index has by this
// path, the leaf's sibling first, in the tree of 1<<len(path) leaves. An index
// outside of it is an ErrProof.
func RootFromPerfectPath(leaf Hash, index uint64, path []Hash) (Hash, error) {
	if len(path) >= maxLevels || index>>len(path) != 0 {
		return Hash{}, fmt.Errorf("%w: index %d with a path of %d hashes", ErrProof, index, len(path))
	}
	h := leaf
	for i := range path {
		climb(&h, &path[i], index>>i&1 == 1)
	}
	return h, nil
}

// climb replaces *h by its parent with the given sibling, which stands on the
// left or on the right.
func climb(h, sibling *Hash, left bool) {
	if left {
		nodeHash(h, sibling, h)
	} else {
		nodeHash(h, h, sibling)
	}
}
