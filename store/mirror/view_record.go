package mirror

import (
	"fmt"
	"math/bits"

	"cairn/ingest/reading"
	"cairn/merkle"
)

// viewRecord is a record tree of which the leaves of all items are known, and of
// its decoys only the roots of the smallest aligned subtrees that cover them. The
// subtrees that hide what is not shown follow from these, so that whoever opened a
// reading can show any part of what was opened.
type viewRecord struct {
	items, width int
	leaves       [reading.MaxLeaves]merkle.Hash // of the items
	decoys       [6]merkle.Hash                 // by level
}

// newRecord makes the record of a reading with so many items, item 0 counted, out
// of what an envelope hides: the leaves of items 0, 6, 7… and the decoys. Leaves 1
// to 5 are left to be set.
func newRecord(items int, hidden []merkle.Hash) (r viewRecord, err error) {
	if items < reading.IndexData || items > reading.MaxLeaves {
		return r, fmt.Errorf("a reading of %d items", items)
	}
	r.items, r.width = items, reading.Width(items)
	blocks := decoyBlocks(items, r.width)
	if want := 2 + items - reading.IndexData + bits.OnesCount64(blocks); len(hidden) != want {
		return r, fmt.Errorf("a reading of %d items hides %d hashes, not %d", items, len(hidden), want)
	}
	r.leaves[reading.IndexReading] = hidden[0]
	n := 1 + copy(r.leaves[reading.IndexFrame:items], hidden[1:])
	for at := items; at < r.width; n++ {
		level := bits.TrailingZeros(uint(at))
		r.decoys[level] = hidden[n]
		at += 1 << level
	}
	return r, nil
}

// decoyBlocks has a bit for each level of the subtrees that cover the decoys. No
// level comes twice: each block ends where a larger one may begin.
func decoyBlocks(items, width int) (levels uint64) {
	for at := items; at < width; at += at & -at {
		levels |= uint64(at & -at)
	}
	return levels
}

// root is the record root.
func (r *viewRecord) root() merkle.Hash { return r.subtree(0, r.width) }

// subtree is the root of an aligned subtree that does not lie inside of a block of
// decoys.
func (r *viewRecord) subtree(begin, width int) merkle.Hash {
	if begin >= r.items && begin&-begin == width {
		return r.decoys[bits.TrailingZeros(uint(width))]
	}
	if width == 1 {
		return r.leaves[begin]
	}
	return merkle.NodeHash(r.subtree(begin, width/2), r.subtree(begin+width/2, width/2))
}

// cover gives the roots of the largest subtrees without a shown leaf, from left to
// right, as proof.Cover does. shown is ascending and not empty.
func (r *viewRecord) cover(shown []int) []merkle.Hash {
	return r.coverIn(nil, 0, r.width, shown)
}

func (r *viewRecord) coverIn(dst []merkle.Hash, begin, width int, shown []int) []merkle.Hash {
	if len(shown) == 0 {
		return append(dst, r.subtree(begin, width))
	}
	if width == 1 {
		return dst
	}
	half := begin + width/2
	n := 0
	for n < len(shown) && shown[n] < half {
		n++
	}
	return r.coverIn(r.coverIn(dst, begin, width/2, shown[:n]), half, width/2, shown[n:])
}
