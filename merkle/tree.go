package merkle

import (
	"encoding/binary"
	"fmt"
	"math/bits"
)

// maxLevels is the number of levels that a tree of MaxSize leaves can have
// complete nodes on.
const maxLevels = 63

// Tree is the frontier of an append-only tree: its size and, for each bit set
// in the size, the root of the complete subtree which that bit stands for (a
// peak). That is all it takes to append and to give the root, so a tree costs
// the same memory whatever its length.
//
// The zero value is the empty tree. A Tree may be copied by value; the copy
// goes its own way from there. It is not safe for concurrent use.
type Tree struct {
	size  uint64
	peaks [maxLevels]Hash // peaks[i] counts only while bit i of size is set
}

// Append adds one leaf hash. It computes one node per leaf on average, at most
// one per level, and allocates nothing. It panics beyond MaxSize.
func (t *Tree) Append(leaf Hash) {
	// The levels that this leaf completes are the low bits set in the size.
	full := bits.TrailingZeros64(^t.size)
	if full == 0 {
		t.peaks[0] = leaf
		t.size++
		return
	}
	p := &t.peaks[full]
	nodeHash(p, &t.peaks[0], &leaf)
	for level := 1; level < full; level++ {
		nodeHash(p, &t.peaks[level], p)
	}
	t.size++
}

// AppendCollect adds one leaf hash as Append does, and calls emit for each
// complete node at a level of at least the given one that this leaf completes,
// ascending. A leaf is itself the complete node of level 0. The node (level,
// index) covers the leaves [index<<level, (index+1)<<level).
func (t *Tree) AppendCollect(leaf Hash, level int, emit func(level int, index uint64, h Hash)) {
	if level <= 0 {
		emit(0, t.size, leaf)
	}
	full := bits.TrailingZeros64(^t.size)
	h := leaf
	for l := range full {
		nodeHash(&h, &t.peaks[l], &h)
		if l+1 >= level {
			emit(l+1, t.size>>(l+1), h)
		}
	}
	t.peaks[full] = h
	t.size++
}

// Size returns the number of leaves.
func (t *Tree) Size() uint64 { return t.size }

// Root returns the root over all leaves so far (RFC 6962 section 2.1), or
// EmptyRoot when there are none. It computes one node less than there are
// peaks, and changes nothing.
func (t *Tree) Root() Hash {
	if t.size == 0 {
		return emptyRoot
	}
	rest := t.size
	level := bits.TrailingZeros64(rest)
	h := t.peaks[level]
	for rest &= rest - 1; rest != 0; rest &= rest - 1 {
		nodeHash(&h, &t.peaks[bits.TrailingZeros64(rest)], &h)
	}
	return h
}

// AppendBinary appends the tree's bytes to dst: the size, 8 bytes big-endian,
// then its peaks, 32 bytes each, highest first.
func (t *Tree) AppendBinary(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint64(dst, t.size)
	for rest := t.size; rest != 0; {
		level := bits.Len64(rest) - 1
		dst = append(dst, t.peaks[level][:]...)
		rest &^= 1 << level
	}
	return dst
}

// ParseTree reads what AppendBinary wrote. The length must be exact: 8 + 32
// bytes for each bit set in the size.
func ParseTree(b []byte) (Tree, error) {
	if len(b) < 8 {
		return Tree{}, fmt.Errorf("parse tree: %d bytes, want at least 8", len(b))
	}
	size := binary.BigEndian.Uint64(b)
	b = b[8:]
	if len(b) != HashSize*bits.OnesCount64(size) {
		return Tree{}, fmt.Errorf("parse tree: %d bytes of peaks for size %d, want %d", len(b), size, HashSize*bits.OnesCount64(size))
	}
	peaks := make([]Hash, len(b)/HashSize)
	for i := range peaks {
		copy(peaks[i][:], b[i*HashSize:])
	}
	return TreeFromPeaks(size, peaks)
}

// TreeFromPeaks returns the tree of this size with these peaks, highest first,
// as PeaksAt gives them. Whether they are the right ones, only the root tells.
func TreeFromPeaks(size uint64, peaks []Hash) (Tree, error) {
	if size > MaxSize {
		return Tree{}, fmt.Errorf("tree from peaks: size %d is over %d", size, uint64(MaxSize))
	}
	if len(peaks) != bits.OnesCount64(size) {
		return Tree{}, fmt.Errorf("tree from peaks: %d peaks for size %d, want %d", len(peaks), size, bits.OnesCount64(size))
	}
	t := Tree{size: size}
	for _, p := range peaks {
		level := bits.Len64(size) - 1
		t.peaks[level] = p
		size &^= 1 << level
	}
	return t, nil
}
