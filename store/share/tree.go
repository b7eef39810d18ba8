package share

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sort"
	"sync"
)

var (
	// ErrShredded tells that the key of an hour cannot be derived: it was
	// shredded, or never given to the holder of this tree.
	ErrShredded = errors.New("no key for this hour: shredded or never granted")
	// ErrTree tells that bytes or nodes are not a key tree.
	ErrTree = errors.New("malformed key tree")
	// ErrOwned tells that a tree belongs to a keyring: use [Keyring.Change] and
	// [Edit.Puncture], so that file and memory agree.
	ErrOwned = errors.New("tree belongs to a keyring: puncture it in a change of the keyring")
)

const (
	treeMagic  = "cairn/tree/1"
	leftLabel  = "cairn/left/1"
	rightLabel = "cairn/right/1"
	nodeSize   = 1 + 4 + 32

	// MaxNodes is the largest number of nodes in a tree's binary form. A punctured
	// tree has at most 22, the cover of one range at most 42.
	MaxNodes = 1024
)

// Node is one node of a key tree: it gives the keys of all hours below it.
type Node struct {
	Level uint8  // 0 is the root, Depth a leaf
	Index uint32 // from the left, below 1<<Level
	Key   [32]byte
}

// First is the first hour below the node.
func (n Node) First() Hour { return n.first(Depth) }

// Until is the hour after the last one below the node.
func (n Node) Until() Hour { return n.until(Depth) }

func (n *Node) first(depth uint8) Hour { return Hour(n.Index) << (depth - n.Level) }
func (n *Node) until(depth uint8) Hour { return Hour(n.Index+1) << (depth - n.Level) }

// child returns the left (0) or right (1) child.
func (n *Node) child(side uint32) Node {
	label := leftLabel
	if side == 1 {
		label = rightLabel
	}
	return Node{Level: n.Level + 1, Index: n.Index<<1 | side, Key: mac(&n.Key, label)}
}

// Tree is a set of nodes of one key tree: the root alone at first, fewer hours
// after [Tree.Puncture], and in the hands of an audience just what was granted.
// It is safe for concurrent use.
type Tree struct {
	depth uint8 // Depth; smaller in tests
	owned bool  // belongs to a keyring; fixed before the tree is shared

	mu    sync.RWMutex // covers what follows
	nodes []Node       // in order of hours, disjoint; the slice is replaced, never edited, by Puncture
	epoch uint64       // counts punctures, so that a Cursor knows its path is old
}

// NewTree draws the root of a new tree from rand.
func NewTree(rand io.Reader) (*Tree, error) { return newTree(rand, Depth) }

func newTree(rand io.Reader, depth uint8) (*Tree, error) {
	t := &Tree{depth: depth, nodes: make([]Node, 1)}
	if _, err := io.ReadFull(rand, t.nodes[0].Key[:]); err != nil {
		return nil, fmt.Errorf("draw key tree: %w", err)
	}
	return t, nil
}

// FromNodes makes a tree of nodes, which are in order of hours and disjoint, such
// as [Tree.Cover] returns. The nodes are copied. It fails with [ErrTree].
func FromNodes(nodes []Node) (*Tree, error) { return fromNodes(nodes, Depth) }

func fromNodes(nodes []Node, depth uint8) (*Tree, error) {
	if err := checkNodes(nodes, depth); err != nil {
		return nil, err
	}
	return &Tree{depth: depth, nodes: append(make([]Node, 0, len(nodes)), nodes...)}, nil
}

func checkNodes(nodes []Node, depth uint8) error {
	if len(nodes) > MaxNodes {
		return fmt.Errorf("%w: %d nodes, at most %d", ErrTree, len(nodes), MaxNodes)
	}
	var next Hour
	for i := range nodes {
		n := &nodes[i]
		switch {
		case n.Level > depth || n.Index>>n.Level != 0:
			return fmt.Errorf("%w: node %d is outside the tree", ErrTree, i)
		case n.first(depth) < next:
			return fmt.Errorf("%w: node %d overlaps or is out of order", ErrTree, i)
		case n.Key == [32]byte{}:
			return fmt.Errorf("%w: node %d is blank", ErrTree, i)
		}
		next = n.until(depth)
	}
	return nil
}

// ParseTree reads the binary form, which fills all of b. It fails with [ErrTree].
func ParseTree(b []byte) (*Tree, error) { return parseTree(b, Depth) }

func parseTree(b []byte, depth uint8) (*Tree, error) {
	const head = len(treeMagic) + 2
	if len(b) < head || string(b[:len(treeMagic)]) != treeMagic {
		return nil, fmt.Errorf("%w: does not begin with %q", ErrTree, treeMagic)
	}
	count := int(binary.BigEndian.Uint16(b[len(treeMagic):]))
	b = b[head:]
	if count > MaxNodes || len(b) != count*nodeSize {
		return nil, fmt.Errorf("%w: %d nodes in %d bytes", ErrTree, count, len(b))
	}
	nodes := make([]Node, count)
	for i := range nodes {
		f := b[i*nodeSize:]
		nodes[i].Level, nodes[i].Index = f[0], binary.BigEndian.Uint32(f[1:])
		copy(nodes[i].Key[:], f[5:nodeSize])
	}
	t, err := fromNodes(nodes, depth)
	clear(nodes)
	return t, err
}

// Append appends the binary form to dst. It is the secret itself: wrap it.
func (t *Tree) Append(dst []byte) []byte {
	t.mu.RLock()
	defer t.mu.RUnlock()
	dst = append(dst, treeMagic...)
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(t.nodes)))
	for i := range t.nodes {
		n := &t.nodes[i]
		dst = append(dst, n.Level)
		dst = binary.BigEndian.AppendUint32(dst, n.Index)
		dst = append(dst, n.Key[:]...)
	}
	return dst
}

// Hour derives the keys of hour h. It fails with [ErrShredded] when no node above
// h is held, [ErrHour] when there is no such hour. It costs at most 24 HMACs; for
// hours in a row use a [Cursor].
func (t *Tree) Hour(h Hour) (HourKey, error) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	n, err := t.above(h)
	if err != nil {
		return HourKey{}, err
	}
	return n.hour(h, t.depth), nil
}

// hour derives the keys of an hour below the node.
func (n *Node) hour(h Hour, depth uint8) HourKey {
	leaf := *n
	for leaf.Level < depth {
		leaf = leaf.child(uint32(h) >> (depth - leaf.Level - 1) & 1)
	}
	return hourKey(&leaf.Key)
}

// above finds the held node above h; t.mu is held.
func (t *Tree) above(h Hour) (*Node, error) {
	if h>>t.depth != 0 {
		return nil, fmt.Errorf("hour %d: %w", h, ErrHour)
	}
	n := above(t.nodes, h, t.depth)
	if n == nil {
		return nil, fmt.Errorf("hour %d: %w", h, ErrShredded)
	}
	return n, nil
}

// above finds the node above h, nil if there is none.
func above(nodes []Node, h Hour, depth uint8) *Node {
	i := sort.Search(len(nodes), func(i int) bool { return nodes[i].until(depth) > h })
	if i == len(nodes) || nodes[i].first(depth) > h {
		return nil
	}
	return &nodes[i]
}

// Cover returns the smallest set of nodes that gives the hours from ≤ h < until
// and no other, in order of hours; none for an empty range. It fails with
// [ErrShredded] when any of these hours is missing, [ErrHour] when the range runs
// backwards or beyond the tree.
func (t *Tree) Cover(from, until Hour) ([]Node, error) {
	if from > until || until > 1<<t.depth {
		return nil, fmt.Errorf("cover hours %d to %d: %w", from, until, ErrHour)
	}
	t.mu.RLock()
	defer t.mu.RUnlock()
	var out []Node
	reached := from
	for i := range t.nodes {
		n := &t.nodes[i]
		if reached == until || n.until(t.depth) <= reached {
			continue
		}
		if n.first(t.depth) > reached {
			break
		}
		out = t.cover(out, n, from, until)
		reached = min(n.until(t.depth), until)
	}
	if reached != until {
		clear(out)
		return nil, fmt.Errorf("cover hours %d to %d: hour %d: %w", from, until, reached, ErrShredded)
	}
	return out, nil
}

// First is the first hour that the tree has: 0 where nothing was shredded,
// [Hours] where nothing is left.
func (t *Tree) First() Hour {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if len(t.nodes) == 0 {
		return 1 << t.depth
	}
	return t.nodes[0].first(t.depth)
}

// cover appends the smallest set of nodes at or below n for from ≤ h < until.
func (t *Tree) cover(out []Node, n *Node, from, until Hour) []Node {
	first, end := n.first(t.depth), n.until(t.depth)
	if end <= from || first >= until {
		return out
	}
	if from <= first && end <= until {
		return append(out, *n)
	}
	for side := range uint32(2) {
		child := n.child(side)
		out = t.cover(out, &child, from, until)
	}
	return out
}

// Puncture forgets all hours below before, for good: what stays is the smallest
// set of nodes for the rest, and the nodes given up are overwritten. It fails with
// [ErrOwned] for a tree of a keyring, which is left as it was.
func (t *Tree) Puncture(before Hour) error {
	if t.owned {
		return ErrOwned
	}
	t.puncture(before)
	return nil
}

// puncture tells whether any hour went.
func (t *Tree) puncture(before Hour) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.nodes) == 0 || t.nodes[0].first(t.depth) >= before {
		return false
	}
	keep := make([]Node, 0, len(t.nodes)+int(t.depth)) // never grown: no copy of a node is left behind
	for i := range t.nodes {
		keep = t.cover(keep, &t.nodes[i], before, 1<<t.depth)
	}
	t.replace(keep)
	return true
}

// replace takes the nodes and overwrites those held; t.mu is held.
func (t *Tree) replace(nodes []Node) {
	clear(t.nodes)
	t.nodes = nodes
	t.epoch++
}

// clone copies the tree, not owned by any keyring.
func (t *Tree) clone() *Tree {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return &Tree{depth: t.depth, nodes: append(make([]Node, 0, len(t.nodes)), t.nodes...)}
}

// adopt moves the nodes of from, which nobody else holds, into t.
func (t *Tree) adopt(from *Tree) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.replace(from.nodes)
	from.nodes = nil
}

// wipe overwrites the nodes.
func (t *Tree) wipe() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.replace(nil)
}
