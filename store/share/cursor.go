package share

import "math/bits"

// Cursor derives the keys of hours near each other: it keeps the path to the
// last one, so that the next costs four HMACs on average. Not safe for concurrent
// use; the tree may be punctured meanwhile, and the cursor then follows it.
type Cursor struct {
	tree  *Tree
	epoch uint64 // of the tree when the path was derived
	valid bool
	base  uint8               // level of the held node that the path begins at
	hour  Hour                // that the path leads to
	path  [Depth + 1][32]byte // node keys by level, from base to the leaf
}

// NewCursor returns a cursor over t.
func NewCursor(t *Tree) *Cursor { return &Cursor{tree: t} }

// Hour is [Tree.Hour].
func (c *Cursor) Hour(h Hour) (HourKey, error) {
	t := c.tree
	t.mu.RLock()
	defer t.mu.RUnlock()
	if c.valid && c.epoch != t.epoch {
		c.Clear()
	}
	from, ok := c.shared(h)
	if !ok {
		c.Clear()
		n, err := t.above(h)
		if err != nil {
			return HourKey{}, err
		}
		c.valid, c.epoch, c.base = true, t.epoch, n.Level
		c.path[n.Level] = n.Key
		from = n.Level
	}
	c.hour = h
	for l := from; l < t.depth; l++ {
		label := leftLabel
		if h>>(t.depth-l-1)&1 == 1 {
			label = rightLabel
		}
		c.path[l+1] = mac(&c.path[l], label)
	}
	return hourKey(&c.path[t.depth]), nil
}

// shared is the deepest level of the path that is above h too.
func (c *Cursor) shared(h Hour) (level uint8, ok bool) {
	if !c.valid || h>>c.tree.depth != 0 {
		return 0, false
	}
	level = c.tree.depth - uint8(bits.Len32(uint32(c.hour^h)))
	return level, level >= c.base
}

// Clear overwrites the path. After a puncture the next Hour does so by itself.
func (c *Cursor) Clear() {
	clear(c.path[:])
	c.valid = false
}
