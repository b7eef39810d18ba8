package merkle

import (
	"fmt"
	"math/bits"
	"slices"
)

// NodeReader gives complete subtree hashes: node (level, index) covers the
// leaves [index<<level, (index+1)<<level). It is only asked for nodes that the
// size in question fills, and its errors are returned wrapped.
type NodeReader interface {
	Node(level int, index uint64) (Hash, error)
}

// RootAt returns the root of the first size leaves.
func RootAt(r NodeReader, size uint64) (Hash, error) {
	if size == 0 {
		return emptyRoot, nil
	}
	if err := checkSize(size); err != nil {
		return Hash{}, fmt.Errorf("root: %w", err)
	}
	return spanRoot(r, 0, size)
}

// PeaksAt returns the roots of the complete subtrees that the first size
// leaves fall into, highest first: one for each bit set in size.
func PeaksAt(r NodeReader, size uint64) ([]Hash, error) {
	if err := checkSize(size); err != nil {
		return nil, fmt.Errorf("peaks: %w", err)
	}
	peaks := make([]Hash, 0, bits.OnesCount64(size))
	for begin := uint64(0); begin < size; {
		level := bits.Len64(size-begin) - 1
		h, err := readNode(r, level, begin>>level)
		if err != nil {
			return nil, err
		}
		peaks = append(peaks, h)
		begin += 1 << level
	}
	return peaks, nil
}

// ProveInclusion returns the inclusion path of the leaf at index in the tree
// of the first size leaves (RFC 9162 section 2.1.3.1), the leaf's sibling
// first. VerifyInclusion checks it.
func ProveInclusion(r NodeReader, index, size uint64) ([]Hash, error) {
	if err := checkSize(size); err != nil {
		return nil, fmt.Errorf("prove inclusion: %w", err)
	}
	if index >= size {
		return nil, fmt.Errorf("prove inclusion: leaf %d of %d: %w", index, size, ErrRange)
	}
	path := make([]Hash, 0, bits.Len64(size-1))
	for level := 0; (size-1)>>level != 0; level++ {
		// The sibling's leaves; in the last column there may be fewer, or none.
		begin := (index>>level ^ 1) << level
		if begin >= size {
			continue
		}
		h, err := spanRoot(r, begin, min(begin+1<<level, size))
		if err != nil {
			return nil, fmt.Errorf("prove inclusion: %w", err)
		}
		path = append(path, h)
	}
	return path, nil
}

// ProveConsistency returns the proof that the tree of the first old leaves is
// a prefix of that of the first size leaves (RFC 9162 section 2.1.4.1, in its
// order). It is empty when old is 0 or size. VerifyConsistency checks it.
func ProveConsistency(r NodeReader, old, size uint64) ([]Hash, error) {
	if err := checkSize(size); err != nil {
		return nil, fmt.Errorf("prove consistency: %w", err)
	}
	if old > size {
		return nil, fmt.Errorf("prove consistency: size %d of %d: %w", old, size, ErrRange)
	}
	if old == 0 || old == size {
		return nil, nil
	}
	proof := make([]Hash, 0, bits.Len64(size))
	add := func(begin, end uint64) error {
		h, err := spanRoot(r, begin, end)
		proof = append(proof, h)
		return err
	}
	// Going down from the root to the last subtree of the old tree, each split
	// leaves one side aside; the proof lists those sides from the bottom up.
	begin, end := uint64(0), size
	for end != old {
		mid := begin + split(end-begin)
		var err error
		if old <= mid {
			err = add(mid, end)
			end = mid
		} else {
			err = add(begin, mid)
			begin = mid
		}
		if err != nil {
			return nil, fmt.Errorf("prove consistency: %w", err)
		}
	}
	// That subtree itself, unless it is the whole old tree, whose root the
	// verifier has.
	if begin != 0 {
		if err := add(begin, end); err != nil {
			return nil, fmt.Errorf("prove consistency: %w", err)
		}
	}
	slices.Reverse(proof)
	return proof, nil
}

// ProveRange returns the proof that leaves [from, to) stand at their places in
// the tree of the first size leaves: the roots of the largest subtrees that
// hold none of them, left to right, so all those before from come first. There
// is one such list, none shorter. VerifyRange checks it.
func ProveRange(r NodeReader, from, to, size uint64) ([]Hash, error) {
	if err := checkSize(size); err != nil {
		return nil, fmt.Errorf("prove range: %w", err)
	}
	if from >= to || to > size {
		return nil, fmt.Errorf("prove range: leaves [%d, %d) of %d: %w", from, to, size, ErrRange)
	}
	proof, err := appendOutside(nil, r, 0, size, from, to)
	if err != nil {
		return nil, fmt.Errorf("prove range: %w", err)
	}
	return proof, nil
}

// appendOutside appends the roots of the largest subtrees below [begin, end)
// that hold no leaf of [from, to). It recurses to the height of the tree.
func appendOutside(proof []Hash, r NodeReader, begin, end, from, to uint64) ([]Hash, error) {
	if from <= begin && end <= to {
		return proof, nil
	}
	if end <= from || to <= begin {
		h, err := spanRoot(r, begin, end)
		return append(proof, h), err
	}
	mid := begin + split(end-begin)
	proof, err := appendOutside(proof, r, begin, mid, from, to)
	if err != nil {
		return nil, err
	}
	return appendOutside(proof, r, mid, end, from, to)
}

// split returns the number of leaves on the left side of a tree of n leaves,
// n > 1: the largest power of two below n (RFC 6962 section 2.1).
func split(n uint64) uint64 { return 1 << (bits.Len64(n-1) - 1) }

// spanRoot returns the root of the subtree over the leaves [begin, end), which
// must be one that the splits of a tree lead to: begin is a multiple of a
// power of two that is at least end-begin.
func spanRoot(r NodeReader, begin, end uint64) (Hash, error) {
	rest := end - begin
	level := bits.TrailingZeros64(rest)
	h, err := readNode(r, level, (end-1)>>level)
	for rest &= rest - 1; err == nil && rest != 0; rest &= rest - 1 {
		var left Hash
		level = bits.TrailingZeros64(rest)
		left, err = readNode(r, level, (begin+rest-1)>>level)
		nodeHash(&h, &left, &h)
	}
	return h, err
}

func readNode(r NodeReader, level int, index uint64) (Hash, error) {
	h, err := r.Node(level, index)
	if err != nil {
		return Hash{}, fmt.Errorf("read node (%d, %d): %w", level, index, err)
	}
	return h, nil
}

func checkSize(size uint64) error {
	if size > MaxSize {
		return fmt.Errorf("size %d is over %d: %w", size, uint64(MaxSize), ErrRange)
	}
	return nil
}
