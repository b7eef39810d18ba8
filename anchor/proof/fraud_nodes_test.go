package proof

import (
	"crypto/sha256"
	"slices"
	"testing"

	"cairn/merkle"
)

func someLeaves(n int) merkle.Leaves {
	l := make(merkle.Leaves, n)
	for i := range l {
		l[i] = sha256.Sum256([]byte{byte(i), byte(i >> 8)})
	}
	return l
}

// TestNodes holds what one path tells of a tree against the tree itself, for all
// sizes up to some: it never tells what is not so, and it tells all that it can.
func TestNodes(t *testing.T) {
	const most = 33
	leaves := someLeaves(most)
	for n := uint64(1); n <= most; n++ {
		root := merkle.RootOf(leaves[:n])
		for i := range n {
			path, err := merkle.ProveInclusion(leaves, i, n)
			if err != nil {
				t.Fatal(err)
			}
			known := newNodes()
			known.root(n, root)
			known.inclusion(leaves[i], i, n, path)
			for m := range n + 1 {
				p, ok := known.prefix(m, n, root)
				want, _ := merkle.ProveConsistency(leaves, m, n)
				if ok && (p.Root != merkle.RootOf(leaves[:m]) || !slices.Equal([]merkle.Hash(p.Path), want)) {
					t.Fatalf("leaf %d of %d: the prefix of %d is wrong", i, n, m)
				}
				if !ok && (m == i || m == i+1) {
					t.Fatalf("leaf %d of %d: the prefix of %d is not known", i, n, m)
				}
			}
			for level := 0; n>>level > 0; level++ {
				index := i >> level
				if index >= n>>level {
					continue
				}
				up, ok := known.path(level, index, n)
				node := FraudNode{Level: uint64(level), Index: index, Hash: merkle.RootOf(leaves[index<<level : (index+1)<<level]), Path: up}
				if !ok || nodeUnder(&node, n, root) != nil {
					t.Fatalf("leaf %d of %d: no path from level %d", i, n, level)
				}
				if node.Hash[0] ^= 1; nodeUnder(&node, n, root) == nil {
					t.Fatalf("leaf %d of %d: another node of level %d holds", i, n, level)
				}
			}
		}
	}
}

// TestNodesConsistency: what a consistency proof tells is so as well.
func TestNodesConsistency(t *testing.T) {
	const most = 40
	leaves := someLeaves(most)
	for n := uint64(2); n <= most; n++ {
		for m := uint64(1); m < n; m++ {
			path, err := merkle.ProveConsistency(leaves, m, n)
			if err != nil || len(path) != len(consistencySpans(m, n)) {
				t.Fatalf("%d to %d: %v", m, n, err)
			}
			known := newNodes()
			known.consistency(m, n, merkle.RootOf(leaves[:m]), path)
			for s, h := range known.complete {
				if h != merkle.RootOf(leaves[s.begin:s.end]) {
					t.Fatalf("%d to %d: leaves %d to %d", m, n, s.begin, s.end)
				}
			}
			if p, ok := known.prefix(m, n, merkle.RootOf(leaves[:n])); !ok || p.Root != merkle.RootOf(leaves[:m]) {
				t.Fatalf("%d to %d: the prefix is not known", m, n)
			}
		}
	}
}

// TestRangeNodes: a range gives what the tree was at every size from its first
// leaf on.
func TestRangeNodes(t *testing.T) {
	const most = 40
	leaves := someLeaves(most)
	for first := range uint64(most) {
		peaks, err := merkle.PeaksAt(leaves, first)
		if err != nil {
			t.Fatal(err)
		}
		r := rangeNodes{first: first, left: peaks, leaves: slices.Clone(leaves[first:])}
		r.grow()
		for n := first + 1; n <= most; n++ {
			root := merkle.RootOf(leaves[:n])
			for m := uint64(1); m <= n; m++ {
				p, ok := r.prefix(m, n, root)
				if ok && p.Root != merkle.RootOf(leaves[:m]) || !ok && m >= first {
					t.Fatalf("from %d: %d of %d: known %v", first, m, n, ok)
				}
			}
		}
	}
}
