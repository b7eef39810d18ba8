package merkle

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"
)

// testLeaves returns n different leaf hashes, the same in each run.
func testLeaves(n int) Leaves {
	leaves := make(Leaves, n)
	for i := range leaves {
		leaves[i] = LeafHash(testEntry(i))
	}
	return leaves
}

func testEntry(i int) []byte { return binary.BigEndian.AppendUint64(nil, uint64(i)) }

// literalRoot is the definition of RFC 6962 section 2.1, word for word.
func literalRoot(leaves []Hash) Hash {
	switch n := len(leaves); n {
	case 0:
		return EmptyRoot()
	case 1:
		return leaves[0]
	default:
		k := 1
		for 2*k < n {
			k *= 2
		}
		return NodeHash(literalRoot(leaves[:k]), literalRoot(leaves[k:]))
	}
}

func TestRoots(t *testing.T) {
	all := testLeaves(300)
	var tree Tree
	for n := range len(all) + 1 {
		if n > 0 {
			tree.Append(all[n-1])
		}
		leaves := all[:n]
		want := literalRoot(leaves)
		if tree.Size() != uint64(n) || tree.Root() != want {
			t.Fatalf("tree of %d: size %d, root %v, want %v", n, tree.Size(), tree.Root(), want)
		}
		if got := RootOf(leaves); got != want {
			t.Fatalf("RootOf %d: got %v, want %v", n, got, want)
		}
		if got, err := RootAt(all, uint64(n)); err != nil || got != want {
			t.Fatalf("RootAt %d: got %v, %v, want %v", n, got, err, want)
		}
		if got := RootInPlace(append([]Hash(nil), leaves...)); got != want {
			t.Fatalf("RootInPlace %d: got %v, want %v", n, got, want)
		}
	}
	if literalRoot(all) != literalRoot(testLeaves(300)) {
		t.Error("RootOf or RootAt changed its argument")
	}
}

func TestTreeBytes(t *testing.T) {
	leaves := testLeaves(130)
	var tree Tree
	for n := range len(leaves) + 1 {
		b := tree.AppendBinary([]byte("before"))[len("before"):]
		got, err := ParseTree(b)
		if err != nil || got.Root() != tree.Root() || got.Size() != tree.Size() {
			t.Fatalf("tree of %d: parsed size %d, root %v, %v, want %v", n, got.Size(), got.Root(), err, tree.Root())
		}
		for cut := range b {
			if _, err := ParseTree(b[:cut]); err == nil {
				t.Fatalf("tree of %d: first %d bytes of %d parsed", n, cut, len(b))
			}
		}
		if _, err := ParseTree(append(b, 0)); err == nil {
			t.Fatalf("tree of %d: one byte too many parsed", n)
		}
		peaks, err := PeaksAt(leaves, uint64(n))
		if err != nil {
			t.Fatal(err)
		}
		fromPeaks, err := TreeFromPeaks(uint64(n), peaks)
		if err != nil || !bytes.Equal(fromPeaks.AppendBinary(nil), b) {
			t.Fatalf("tree of %d from its peaks: %x, %v, want %x", n, fromPeaks.AppendBinary(nil), err, b)
		}
		if _, err := TreeFromPeaks(uint64(n), append(peaks, Hash{})); err == nil {
			t.Fatalf("tree of %d: one peak too many taken", n)
		}
		if n < len(leaves) {
			// A copy goes its own way, and what was parsed goes on the same way.
			fork := tree
			fork.Append(Hash{})
			tree.Append(leaves[n])
			got.Append(leaves[n])
			if got.Root() != tree.Root() || fork.Root() == tree.Root() {
				t.Fatalf("tree of %d and one: parsed %v, copy %v, tree %v", n, got.Root(), fork.Root(), tree.Root())
			}
		}
	}
}

func TestTreeLimits(t *testing.T) {
	huge := make([]byte, 8+HashSize)
	huge[0] = 0x80 // 2^63
	if _, err := ParseTree(huge); err == nil {
		t.Error("a tree of 2^63 leaves parsed")
	}
	most, err := TreeFromPeaks(MaxSize, make([]Hash, 63))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := ParseTree(most.AppendBinary(nil)); err != nil || got.Root() != most.Root() {
		t.Errorf("largest tree: %v, %v, want %v", got.Root(), err, most.Root())
	}
	none := Leaves{}
	for name, f := range map[string]func() error{
		"root":        func() error { _, err := RootAt(none, MaxSize+1); return err },
		"peaks":       func() error { _, err := PeaksAt(none, MaxSize+1); return err },
		"inclusion":   func() error { _, err := ProveInclusion(none, 0, MaxSize+1); return err },
		"consistency": func() error { _, err := ProveConsistency(none, 1, MaxSize+1); return err },
		"range":       func() error { _, err := ProveRange(none, 0, 1, MaxSize+1); return err },
		"index":       func() error { _, err := ProveInclusion(none, 5, 5); return err },
		"old size":    func() error { _, err := ProveConsistency(none, 6, 5); return err },
		"empty range": func() error { _, err := ProveRange(none, 2, 2, 5); return err },
		"long range":  func() error { _, err := ProveRange(none, 2, 6, 5); return err },
		"leaves":      func() error { _, err := RootAt(testLeaves(4), 5); return err },
		"low node":    func() error { _, err := none.Node(-1, 0); return err },
		"high node":   func() error { _, err := testLeaves(1).Node(64, 0); return err },
		"late node":   func() error { _, err := testLeaves(5).Node(1, 2); return err },
	} {
		if err := f(); !errors.Is(err, ErrRange) {
			t.Errorf("%s: got %v, want %v", name, err, ErrRange)
		}
	}
}

func TestAppendCollect(t *testing.T) {
	type node struct {
		level int
		index uint64
	}
	leaves := testLeaves(600)
	for _, level := range []int{-1, 0, 1, 3, 8, 20} {
		got := make(map[node]Hash)
		var collected, plain Tree
		for i, leaf := range leaves {
			last := level - 1
			collected.AppendCollect(leaf, level, func(l int, index uint64, h Hash) {
				if l <= last || l < level || (index+1)<<l != uint64(i+1) {
					t.Fatalf("leaf %d, from level %d: node (%d, %d) after level %d", i, level, l, index, last)
				}
				last = l
				got[node{l, index}] = h
			})
			plain.Append(leaf)
			if collected != plain {
				t.Fatalf("leaf %d, from level %d: the tree differs from Append's", i, level)
			}
		}
		n := 0
		for l := max(level, 0); len(leaves)>>l > 0; l++ {
			for index := range uint64(len(leaves) >> l) {
				n++
				want, err := leaves.Node(l, index)
				if h := got[node{l, index}]; err != nil || h != want {
					t.Fatalf("from level %d: node (%d, %d): got %v, want %v, %v", level, l, index, h, want, err)
				}
			}
		}
		if len(got) != n {
			t.Errorf("from level %d: %d nodes, want %d", level, len(got), n)
		}
	}
}

func TestPerfect(t *testing.T) {
	for height := range 8 {
		n := 1 << height
		leaves := testLeaves(n)
		want := literalRoot(leaves)
		for i := range n {
			path := PerfectPath(leaves, i)
			same, err := ProveInclusion(leaves, uint64(i), uint64(n))
			if err != nil || !equalHashes(path, same) {
				t.Fatalf("path of leaf %d of %d: got %v, want %v, %v", i, n, path, same, err)
			}
			for index := range uint64(n + 1) {
				got, err := RootFromPerfectPath(leaves[i], index, path)
				switch {
				case index == uint64(n) && !errors.Is(err, ErrProof):
					t.Fatalf("leaf %d of %d at %d: got %v, want %v", i, n, index, err, ErrProof)
				case index < uint64(n) && (err != nil || (got == want) != (index == uint64(i))):
					t.Fatalf("leaf %d of %d at %d: got %v, %v; its root is %v", i, n, index, got, err, want)
				}
			}
		}
		if got := PerfectRoot(leaves); got != want {
			t.Errorf("perfect root of %d: got %v, want %v", n, got, want)
		}
	}
	if _, err := RootFromPerfectPath(Hash{}, 0, make([]Hash, 64)); !errors.Is(err, ErrProof) {
		t.Errorf("path of 64 hashes: got %v, want %v", err, ErrProof)
	}
	for name, f := range map[string]func(){
		"root of none":  func() { PerfectRoot(nil) },
		"root of three": func() { PerfectRoot(make([]Hash, 3)) },
		"path of six":   func() { PerfectPath(make([]Hash, 6), 0) },
		"path below":    func() { PerfectPath(make([]Hash, 4), -1) },
		"path beyond":   func() { PerfectPath(make([]Hash, 4), 4) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			f()
		}()
	}
}

func equalHashes(a, b []Hash) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}
