package merkle

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"slices"
	"testing"

	"github.com/transparency-dev/merkle/compact"
	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"golang.org/x/mod/sumdb/tlog"
)

// golden freezes every root, proof, path and tile that the tests below make,
// in the order that they make them. It may change only with the format.
const golden = "e5d9d4df49c98b649cbb9d6ece2b7484740c7eb809359efb28fc9c1de8bbcf2e"

const (
	mostLeaves = 68 // for inclusion and consistency
	mostRange  = 34 // for ranges
)

func TestProofs(t *testing.T) {
	leaves := testLeaves(mostLeaves)
	var stored tlogTree
	for _, h := range leaves {
		stored.add(tlog.Hash(h))
	}
	d := sha256.New()
	for n := uint64(1); n <= mostLeaves; n++ {
		root := literalRoot(leaves[:n])
		fmt.Fprintf(d, "root %d %v\n", n, root)
		if got, err := tlog.TreeHash(int64(n), &stored); err != nil || Hash(got) != root {
			t.Fatalf("root of %d: tlog says %v, %v, want %v", n, got, err, root)
		}
		for i := range n {
			checkInclusion(t, d, leaves, &stored, i, n, root)
		}
		for old := range n + 1 {
			checkConsistency(t, d, leaves, &stored, old, n, root)
		}
	}
	for n := uint64(1); n <= mostRange; n++ {
		root := literalRoot(leaves[:n])
		for from := range n {
			for to := from + 1; to <= n; to++ {
				checkRange(t, d, leaves, from, to, n, root)
			}
		}
	}
	freezeTiles(t, d)
	if got := hex.EncodeToString(d.Sum(nil)); got != golden {
		t.Errorf("all outputs: got %s, want %s", got, golden)
	}
}

// freezeTiles puts tiles, paths, tree bytes and a checkpoint into the golden
// hash; their own tests check them.
func freezeTiles(t *testing.T, d hash.Hash) {
	leaves := testLeaves(600)
	var tree Tree
	for i, h := range leaves {
		tree.Append(h)
		n := uint64(i + 1)
		d.Write(tree.AppendBinary(nil))
		for level := EntriesLevel; level < 3; level++ {
			for index := range uint64(4) {
				fmt.Fprintln(d, TilePath(level, index*777, TileWidth(level, index, n)))
			}
		}
	}
	for index, width := range []int{256, 256, 88} {
		b, err := ReadTile(leaves, 0, uint64(index), width)
		if err != nil {
			t.Fatal(err)
		}
		d.Write(b)
	}
	signed, err := SignCheckpoint(Checkpoint{Origin: "example.org/log", Size: tree.Size(), Root: tree.Root()}, testKey(1))
	if err != nil {
		t.Fatal(err)
	}
	d.Write(signed)
}

func checkInclusion(t *testing.T, d hash.Hash, leaves Leaves, stored *tlogTree, i, n uint64, root Hash) {
	t.Helper()
	p, err := ProveInclusion(leaves, i, n)
	if err != nil {
		t.Fatalf("prove %d of %d: %v", i, n, err)
	}
	fmt.Fprintf(d, "inclusion %d %d %v\n", i, n, p)
	byTlog, err := tlog.ProveRecord(int64(n), int64(i), stored)
	if err != nil || !equalHashes(p, fromTlog(byTlog)) {
		t.Fatalf("inclusion of %d in %d: got %v, tlog says %v, %v", i, n, p, byTlog, err)
	}
	byDev, err := devInclusion(leaves, i, n)
	if err != nil || !equalHashes(p, byDev) {
		t.Fatalf("inclusion of %d in %d: got %v, transparency-dev says %v, %v", i, n, p, byDev, err)
	}
	if err := VerifyInclusion(leaves[i], i, n, p, root); err != nil {
		t.Fatalf("verify %d of %d: %v", i, n, err)
	}
	for what, bad := range mutations(p) {
		wantProofError(t, VerifyInclusion(leaves[i], i, n, bad, root), "inclusion of %d in %d, %s", i, n, what)
	}
	wantProofError(t, VerifyInclusion(flip(leaves[i], i), i, n, p, root), "inclusion of %d in %d, other leaf", i, n)
	wantProofError(t, VerifyInclusion(leaves[i], i, n, p, flip(root, i)), "inclusion of %d in %d, other root", i, n)
	for j := range n + 3 {
		if j != i {
			wantProofError(t, VerifyInclusion(leaves[i], j, n, p, root), "inclusion of %d in %d, said of %d", i, n, j)
		}
	}
	// Trees of another size may lead along the same path to the same root:
	// only a checkpoint binds the two. What matters is that all agree.
	for size := range n + 5 {
		got := VerifyInclusion(leaves[i], i, size, p, root)
		want := proof.VerifyInclusion(rfc6962.DefaultHasher, i, size, leaves[i][:], toDev(p), root[:])
		if (got == nil) != (want == nil) {
			t.Fatalf("inclusion of %d in %d, said of size %d: got %v, transparency-dev says %v", i, n, size, got, want)
		}
	}
}

func checkConsistency(t *testing.T, d hash.Hash, leaves Leaves, stored *tlogTree, old, n uint64, root Hash) {
	t.Helper()
	oldRoot := literalRoot(leaves[:old])
	p, err := ProveConsistency(leaves, old, n)
	if err != nil {
		t.Fatalf("prove %d in %d: %v", old, n, err)
	}
	fmt.Fprintf(d, "consistency %d %d %v\n", old, n, p)
	if err := VerifyConsistency(old, n, oldRoot, root, p); err != nil {
		t.Fatalf("verify %d in %d: %v", old, n, err)
	}
	byDev, err := devConsistency(leaves, old, n)
	if err != nil || !equalHashes(p, byDev) {
		t.Fatalf("consistency of %d with %d: got %v, transparency-dev says %v, %v", old, n, p, byDev, err)
	}
	if old > 0 {
		byTlog, err := tlog.ProveTree(int64(n), int64(old), stored)
		if err != nil || !equalHashes(p, fromTlog(byTlog)) {
			t.Fatalf("consistency of %d with %d: got %v, tlog says %v, %v", old, n, p, byTlog, err)
		}
	}
	for what, bad := range mutations(p) {
		wantProofError(t, VerifyConsistency(old, n, oldRoot, root, bad), "consistency of %d with %d, %s", old, n, what)
	}
	wantProofError(t, VerifyConsistency(old, n, flip(oldRoot, n), root, p), "consistency of %d with %d, other old root", old, n)
	if old > 0 {
		wantProofError(t, VerifyConsistency(old, n, oldRoot, flip(root, old), p), "consistency of %d with %d, other root", old, n)
	}
	for other := range n + 3 {
		if other != old {
			wrongOld := VerifyConsistency(other, n, oldRoot, root, p)
			agree(t, wrongOld, other, n, oldRoot, root, p)
		}
		wrongSize := VerifyConsistency(old, other, oldRoot, root, p)
		agree(t, wrongSize, old, other, oldRoot, root, p)
	}
}

// agree compares a verdict on consistency with that of transparency-dev.
func agree(t *testing.T, got error, old, size uint64, oldRoot, root Hash, p []Hash) {
	t.Helper()
	if got != nil && !errors.Is(got, ErrProof) {
		t.Fatalf("consistency said of %d with %d: got %v, want %v", old, size, got, ErrProof)
	}
	if old == 0 && oldRoot != EmptyRoot() {
		// Transparency-dev takes any root for the empty tree's.
		if got == nil {
			t.Fatalf("consistency said of the empty tree with %d: root %v held", size, oldRoot)
		}
		return
	}
	want := proof.VerifyConsistency(rfc6962.DefaultHasher, old, size, toDev(p), oldRoot[:], root[:])
	if old == 0 && size == 0 && root != EmptyRoot() {
		want = errors.New("the empty tree has another root")
	}
	if (got == nil) != (want == nil) {
		t.Fatalf("consistency said of %d with %d: got %v, transparency-dev says %v", old, size, got, want)
	}
}

func checkRange(t *testing.T, d hash.Hash, leaves Leaves, from, to, n uint64, root Hash) {
	t.Helper()
	p, err := ProveRange(leaves, from, to, n)
	if err != nil {
		t.Fatalf("prove [%d, %d) of %d: %v", from, to, n, err)
	}
	fmt.Fprintf(d, "range %d %d %d %v\n", from, to, n, p)
	if want := literalRange(t, leaves, from, to, n); !equalHashes(p, want) {
		t.Fatalf("range [%d, %d) of %d: got %v, want %v", from, to, n, p, want)
	}
	shown := leaves[from:to]
	if err := VerifyRange(shown, from, n, p, root); err != nil {
		t.Fatalf("verify [%d, %d) of %d: %v", from, to, n, err)
	}
	if got := literalRoot(leaves[:n]); got != root {
		t.Fatalf("verify [%d, %d) of %d changed the leaves", from, to, n)
	}
	for what, bad := range mutations(p) {
		wantProofError(t, VerifyRange(shown, from, n, bad, root), "range [%d, %d) of %d, %s", from, to, n, what)
	}
	for what, bad := range mutations(shown) {
		wantProofError(t, VerifyRange(bad, from, n, p, root), "range [%d, %d) of %d, leaves: %s", from, to, n, what)
	}
	wantProofError(t, VerifyRange(shown, from, n, p, flip(root, from)), "range [%d, %d) of %d, other root", from, to, n)
	for other := range n + 3 {
		if other != from {
			wantProofError(t, VerifyRange(shown, other, n, p, root), "range [%d, %d) of %d, said of %d", from, to, n, other)
		}
	}
	// As for inclusion; one leaf must get the verdict that its path gets.
	for size := range n + 5 {
		got := VerifyRange(shown, from, size, p, root)
		if got != nil && !errors.Is(got, ErrProof) {
			t.Fatalf("range [%d, %d) of %d, said of size %d: got %v", from, to, n, size, got)
		}
		if to > from+1 {
			continue
		}
		path, err := ProveInclusion(leaves, from, n)
		if err != nil {
			t.Fatal(err)
		}
		if want := VerifyInclusion(shown[0], from, size, path, root); (got == nil) != (want == nil) {
			t.Fatalf("leaf %d of %d, said of size %d: range %v, inclusion %v", from, n, size, got, want)
		}
	}
}

// literalRange is what a range proof must be: on the left the nodes that
// transparency-dev makes of [0, from), highest first; on the right what is left
// of the inclusion path of the last leaf, all that stands after it.
func literalRange(t *testing.T, leaves Leaves, from, to, n uint64) []Hash {
	t.Helper()
	left, err := devNodes(leaves, compact.RangeNodes(0, from, nil))
	if err != nil {
		t.Fatal(err)
	}
	want := fromDev(left)
	path, err := devInclusion(leaves, to-1, n)
	if err != nil {
		t.Fatal(err)
	}
	for level, i := 0, 0; i < len(path); level++ {
		node := (to - 1) >> level
		switch {
		case node&1 == 1:
			i++ // a left sibling: of the range, or before it
		case (node+1)<<level < n:
			want = append(want, path[i])
			i++
		}
	}
	return want
}

// mutations returns every single change to a list of hashes that must make it
// worthless: each hash with a bit flipped, dropped, doubled or swapped with the
// next, and a hash added at either end.
func mutations(p []Hash) map[string][]Hash {
	out := map[string][]Hash{
		"a hash more at the end":   append(slices.Clone(p), LeafHash([]byte("more"))),
		"a hash more at the start": append([]Hash{LeafHash([]byte("more"))}, p...),
		"a zero hash at the end":   append(slices.Clone(p), Hash{}),
	}
	for i := range p {
		flipped := slices.Clone(p)
		flipped[i] = flip(p[i], uint64(i*37))
		out[fmt.Sprintf("bit flipped in hash %d", i)] = flipped
		out[fmt.Sprintf("hash %d dropped", i)] = slices.Delete(slices.Clone(p), i, i+1)
		out[fmt.Sprintf("hash %d doubled", i)] = slices.Insert(slices.Clone(p), i, p[i])
		if i > 0 {
			swapped := slices.Clone(p)
			swapped[i], swapped[i-1] = swapped[i-1], swapped[i]
			out[fmt.Sprintf("hashes %d and %d swapped", i-1, i)] = swapped
		}
	}
	return out
}

// flip returns h with one of its bits changed.
func flip(h Hash, bit uint64) Hash {
	h[bit/8%HashSize] ^= 1 << (bit % 8)
	return h
}

func wantProofError(t *testing.T, err error, format string, args ...any) {
	t.Helper()
	if !errors.Is(err, ErrProof) {
		t.Fatalf("%s: got %v, want %v", fmt.Sprintf(format, args...), err, ErrProof)
	}
}

// failingReader fails from the n-th node on.
type failingReader struct {
	Leaves
	n int
}

var errDisk = errors.New("disk on fire")

func (f *failingReader) Node(level int, index uint64) (Hash, error) {
	if f.n--; f.n < 0 {
		return Hash{}, errDisk
	}
	return f.Leaves.Node(level, index)
}

// TestReaderErrors fails each node read in turn until all goes well.
func TestReaderErrors(t *testing.T) {
	leaves := testLeaves(300)
	for name, f := range map[string]func(NodeReader) error{
		"root":        func(r NodeReader) error { _, err := RootAt(r, 299); return err },
		"peaks":       func(r NodeReader) error { _, err := PeaksAt(r, 299); return err },
		"inclusion":   func(r NodeReader) error { _, err := ProveInclusion(r, 100, 299); return err },
		"consistency": func(r NodeReader) error { _, err := ProveConsistency(r, 100, 299); return err },
		"range":       func(r NodeReader) error { _, err := ProveRange(r, 100, 200, 299); return err },
		"tile":        func(r NodeReader) error { _, err := ReadTile(r, 0, 1, 40); return err },
	} {
		n := 0
		for ; ; n++ {
			err := f(&failingReader{leaves, n})
			if err == nil {
				break
			}
			if !errors.Is(err, errDisk) {
				t.Fatalf("%s, node read %d: got %v, want %v", name, n, err, errDisk)
			}
		}
		if n < 5 {
			t.Errorf("%s: %d node reads, want more", name, n)
		}
	}
}
