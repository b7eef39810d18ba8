package proof

import (
	"fmt"
	"math/bits"

	"cairn/merkle"
)

// Cover returns, for a perfect tree over these leaf hashes, the roots of the
// largest subtrees that hold none of the shown leaves, from left to right:
// what a verifier needs beside the shown leaves, and no more. shown is
// ascending; there must be at least one.
func Cover(leaves []merkle.Hash, shown []int) []merkle.Hash {
	if len(leaves)&(len(leaves)-1) != 0 || len(shown) == 0 || len(leaves) == 0 {
		panic(fmt.Sprintf("proof: cover of %d leaves, %d shown", len(leaves), len(shown)))
	}
	if len(shown) == len(leaves) {
		return nil
	}
	half := len(leaves) / 2
	n := 0 // shown leaves on the left
	for n < len(shown) && shown[n] < half {
		n++
	}
	right := make([]int, 0, len(shown)-n)
	for _, i := range shown[n:] {
		right = append(right, i-half)
	}
	return append(coverHalf(leaves[:half], shown[:n]), coverHalf(leaves[half:], right)...)
}

func coverHalf(leaves []merkle.Hash, shown []int) []merkle.Hash {
	if len(shown) == 0 {
		return []merkle.Hash{merkle.RootOf(leaves)}
	}
	return Cover(leaves, shown)
}

// record is a perfect tree of which some leaves are known, and the hidden
// subtrees that Cover gave for the others.
type record struct {
	leaves [maxShown]merkle.Hash
	known  uint64 // bit i: leaves[i] is known
	hidden []merkle.Hash
}

// root returns the root over width leaves, at least one of them known; not ok
// when the hidden hashes are too few or too many.
func (r *record) root(width int) (merkle.Hash, bool) {
	h, ok := r.subtree(0, width)
	return h, ok && len(r.hidden) == 0
}

func (r *record) subtree(begin, width int) (merkle.Hash, bool) {
	mask := (^uint64(0) >> (64 - width)) << begin
	if r.known&mask == 0 {
		if len(r.hidden) == 0 {
			return merkle.Hash{}, false
		}
		h := r.hidden[0]
		r.hidden = r.hidden[1:]
		return h, true
	}
	if width == 1 {
		return r.leaves[bits.TrailingZeros64(mask)], true
	}
	left, ok := r.subtree(begin, width/2)
	if !ok {
		return left, false
	}
	right, ok := r.subtree(begin+width/2, width/2)
	return merkle.NodeHash(left, right), ok
}
