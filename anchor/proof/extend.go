package proof

import (
	"cmp"
	"fmt"
	"slices"

	"cairn/merkle"
)

// extensions holds that the log of one head is the beginning of another's,
// where the file says so: RFC 9162 section 2.1.4.
func (c *checker) extensions() *fault {
	for i := range c.f.Extends {
		e := &c.f.Extends[i]
		old, new := &c.heads[e.Old], &c.heads[e.New]
		if old.Size >= new.Size {
			return faultf(CodeExtension, "extension %d: a log of %d from one of %d", i, new.Size, old.Size)
		}
		if err := merkle.VerifyConsistency(old.Size, new.Size, old.Root, new.Root, e.Path); err != nil {
			return &fault{CodeExtension, fmt.Errorf("extension %d, head %d to %d: %w", i, e.Old, e.New, err)}
		}
	}
	return nil
}

// newestFirst returns the positions of the extensions, those of the newest old
// head first: so what goes from new to old needs one pass.
func (c *checker) newestFirst() []int {
	order := make([]int, len(c.f.Extends))
	for i := range order {
		order[i] = i
	}
	size := func(i int) uint64 { return c.heads[c.f.Extends[i].Old].Size }
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(size(b), size(a)) })
	return order
}

// inherit gives each head the anchors of those that extend it: what is in its
// log is in theirs.
func (c *checker) inherit(heads []anchorsOfHead) {
	for _, i := range c.newestFirst() {
		e := &c.f.Extends[i]
		old, new := &heads[e.Old], &heads[e.New]
		old.elsewhere = old.elsewhere || new.elsewhere
		for _, a := range new.routes {
			at := old.of(a.route)
			at.add(a.best)
			at.add(a.other)
		}
	}
}

// oneHistory reports whether the extensions show all heads to be of one
// history: each is the beginning of the greatest.
func (c *checker) oneHistory() bool {
	var most uint64
	for i := range c.heads {
		most = max(most, c.heads[i].Size)
	}
	// Two heads of one size have one root, so that the size stands for both.
	leads := map[uint64]bool{most: true}
	for _, i := range c.newestFirst() {
		e := &c.f.Extends[i]
		if leads[c.heads[e.New].Size] {
			leads[c.heads[e.Old].Size] = true
		}
	}
	return !slices.ContainsFunc(c.heads, func(h merkle.Checkpoint) bool { return !leads[h.Size] })
}
