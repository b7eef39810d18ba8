package share

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"math/rand/v2"
	"testing"
)

func testTree(t testing.TB, depth uint8) *Tree {
	t.Helper()
	tree, err := newTree(rand.NewChaCha8([32]byte{1}), depth)
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

// leaves derives every hour of a small tree; missing ones are nil.
func leaves(t testing.TB, tree *Tree) []*HourKey {
	t.Helper()
	out := make([]*HourKey, 1<<tree.depth)
	for h := range out {
		k, err := tree.Hour(Hour(h))
		switch {
		case err == nil:
			out[h] = &k
		case !errors.Is(err, ErrShredded):
			t.Fatalf("hour %d: got %v, want ErrShredded", h, err)
		}
	}
	return out
}

// checkSpan demands that tree derives exactly the hours from ≤ h < until, as all does.
func checkSpan(t testing.TB, what string, tree *Tree, all []*HourKey, from, until int) {
	t.Helper()
	for h, k := range leaves(t, tree) {
		inside := from <= h && h < until
		if (k != nil) != inside {
			t.Fatalf("%s: hour %d derivable: got %v, want %v", what, h, k != nil, inside)
		}
		if inside && *k != *all[h] {
			t.Fatalf("%s: hour %d: another key than the root gives", what, h)
		}
	}
}

// smallest is the size of the smallest cover, by the definition: how many nodes lie
// inside the range whose parent does not.
func smallest(depth, from, until int) int {
	inside := func(level, index int) bool {
		first, end := index<<(depth-level), (index+1)<<(depth-level)
		return from <= first && end <= until
	}
	n := 0
	for level := range depth + 1 {
		for index := range 1 << level {
			if inside(level, index) && (level == 0 || !inside(level-1, index/2)) {
				n++
			}
		}
	}
	return n
}

func TestLeavesDiffer(t *testing.T) {
	seen := map[[32]byte]bool{}
	for _, k := range leaves(t, testTree(t, 7)) {
		if seen[k.Seal] || seen[k.Salt] {
			t.Fatal("two keys are equal")
		}
		seen[k.Seal], seen[k.Salt] = true, true
	}
}

func TestCoverExhaustive(t *testing.T) {
	const depth = 5
	tree := testTree(t, depth)
	all := leaves(t, tree)
	for from := range 1<<depth + 1 {
		for until := from; until <= 1<<depth; until++ {
			nodes, err := tree.Cover(Hour(from), Hour(until))
			if err != nil {
				t.Fatalf("cover %d to %d: %v", from, until, err)
			}
			if want := smallest(depth, from, until); len(nodes) != want {
				t.Fatalf("cover %d to %d: got %d nodes, want %d", from, until, len(nodes), want)
			}
			granted, err := fromNodes(nodes, depth)
			if err != nil {
				t.Fatalf("cover %d to %d: %v", from, until, err)
			}
			checkSpan(t, "cover", granted, all, from, until)
		}
	}
}

func TestPunctureExhaustive(t *testing.T) {
	const depth = 5
	all := leaves(t, testTree(t, depth))
	for first := range 1<<depth + 2 {
		for second := range 1<<depth + 2 {
			tree := testTree(t, depth)
			for _, before := range []int{first, second} {
				held := tree.nodes
				epoch := tree.epoch
				if err := tree.Puncture(Hour(before)); err != nil {
					t.Fatal(err)
				}
				if tree.epoch == epoch {
					continue
				}
				for _, n := range held {
					if n != (Node{}) {
						t.Fatalf("puncture before %d: a node given up is not overwritten", before)
					}
				}
			}
			gone := min(max(first, second), 1<<depth)
			checkSpan(t, "puncture", tree, all, gone, 1<<depth)
			if want := smallest(depth, gone, 1<<depth); len(tree.nodes) != want {
				t.Fatalf("puncture before %d and %d: got %d nodes, want %d", first, second, len(tree.nodes), want)
			}
			checkCovers(t, tree, all, gone)
		}
	}
}

// checkCovers covers some ranges of a tree punctured before gone.
func checkCovers(t testing.TB, tree *Tree, all []*HourKey, gone int) {
	t.Helper()
	end := len(all)
	for _, from := range []int{gone - 1, gone, gone + 1, end - 1} {
		if from < 0 || from > end {
			continue
		}
		nodes, err := tree.Cover(Hour(from), Hour(end))
		if from < gone && from < end {
			if !errors.Is(err, ErrShredded) || nodes != nil {
				t.Fatalf("cover %d to %d after puncture before %d: got %d nodes, %v, want ErrShredded", from, end, gone, len(nodes), err)
			}
			continue
		}
		if err != nil {
			t.Fatalf("cover %d to %d after puncture before %d: %v", from, end, gone, err)
		}
		if want := smallest(int(tree.depth), from, end); len(nodes) != want {
			t.Fatalf("cover %d to %d after puncture before %d: got %d nodes, want %d", from, end, gone, len(nodes), want)
		}
	}
}

func TestRandomFullDepth(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	root := testTree(t, Depth)
	for range 200 {
		from, until := Hour(r.Uint32N(uint32(Hours))), Hour(r.Uint32N(uint32(Hours)))
		from, until = min(from, until), max(from, until)
		nodes, err := root.Cover(from, until)
		if err != nil || len(nodes) > 2*Depth-2 {
			t.Fatalf("cover %d to %d: got %d nodes, %v", from, until, len(nodes), err)
		}
		granted, err := ParseTree(must(FromNodes(nodes)).Append(nil))
		if err != nil {
			t.Fatalf("cover %d to %d: %v", from, until, err)
		}
		kept := root.clone()
		if err := kept.Puncture(from); err != nil {
			t.Fatal(err)
		}
		for range 50 {
			h := Hour(r.Uint32N(uint32(Hours)))
			if r.IntN(2) == 0 {
				h = min(from-min(from, 4)+Hour(r.Uint32N(8)), Hours-1)
			}
			want, err := root.Hour(h)
			if err != nil {
				t.Fatal(err)
			}
			checkHour(t, "granted", granted, h, want, from <= h && h < until)
			checkHour(t, "punctured", kept, h, want, from <= h)
		}
	}
}

func checkHour(t testing.TB, what string, tree *Tree, h Hour, want HourKey, held bool) {
	t.Helper()
	got, err := tree.Hour(h)
	if held && (err != nil || got != want) {
		t.Fatalf("%s: hour %d: %v, or another key", what, h, err)
	}
	if !held && !errors.Is(err, ErrShredded) {
		t.Fatalf("%s: hour %d: got %v, want ErrShredded", what, h, err)
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// TestCoverOfNeighbours: a tree made of two nodes side by side covers across them.
func TestCoverOfNeighbours(t *testing.T) {
	root := testTree(t, Depth)
	nodes := append(must(root.Cover(8, 16)), must(root.Cover(16, 32))...)
	granted := must(FromNodes(nodes))
	got, err := granted.Cover(15, 17)
	if err != nil || len(got) != 2 {
		t.Fatalf("cover 15 to 17: got %d nodes, %v, want 2", len(got), err)
	}
	holed := must(FromNodes(append(must(root.Cover(8, 16)), must(root.Cover(17, 32))...)))
	if _, err := holed.Cover(10, 20); !errors.Is(err, ErrShredded) {
		t.Fatalf("cover over a hole: got %v, want ErrShredded", err)
	}
	if nodes, err := holed.Cover(17, 17); err != nil || len(nodes) != 0 {
		t.Fatalf("empty range: got %d nodes, %v, want none", len(nodes), err)
	}
}

func TestHourLimits(t *testing.T) {
	tree := testTree(t, Depth)
	if _, err := tree.Hour(Hours); !errors.Is(err, ErrHour) {
		t.Errorf("hour %d: got %v, want ErrHour", Hours, err)
	}
	if _, err := NewCursor(tree).Hour(Hours); !errors.Is(err, ErrHour) {
		t.Errorf("cursor at hour %d: got %v, want ErrHour", Hours, err)
	}
	for _, r := range [][2]Hour{{5, 4}, {0, Hours + 1}} {
		if _, err := tree.Cover(r[0], r[1]); !errors.Is(err, ErrHour) {
			t.Errorf("cover %d to %d: got %v, want ErrHour", r[0], r[1], err)
		}
	}
	for _, c := range []struct {
		ms   int64
		hour Hour
		err  error
	}{
		{-1, 0, ErrHour}, {0, 0, nil}, {899_999, 0, nil}, {900_000, 1, nil},
		{int64(Hours)*900_000 - 1, Hours - 1, nil}, {int64(Hours) * 900_000, 0, ErrHour},
	} {
		h, err := HourOf(c.ms)
		if h != c.hour || !errors.Is(err, c.err) {
			t.Errorf("HourOf(%d): got %d, %v, want %d, %v", c.ms, h, err, c.hour, c.err)
		}
		if err == nil && (c.ms < h.Start() || c.ms >= h.End()) {
			t.Errorf("%d ms is not between %d and %d", c.ms, h.Start(), h.End())
		}
	}
}

func TestCursor(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	tree := testTree(t, Depth)
	c := NewCursor(tree)
	before := Hour(0)
	for i := range 3000 {
		h := Hour(r.Uint32N(uint32(Hours)))
		if i%3 != 0 {
			h = (c.hour + Hour(r.Uint32N(5)) - 1) % Hours
		}
		if i%500 == 499 {
			before = h
			if err := tree.Puncture(before); err != nil {
				t.Fatal(err)
			}
			before = max(before, tree.nodes[0].First())
		}
		want, wantErr := tree.Hour(h)
		got, err := c.Hour(h)
		if got != want || (err == nil) != (wantErr == nil) || (err != nil && !errors.Is(err, ErrShredded)) {
			t.Fatalf("hour %d, punctured before %d: got %v, want what the tree gives: %v", h, before, err, wantErr)
		}
	}
	c.Clear()
	if c.path != (NewCursor(tree).path) {
		t.Error("the path is there after Clear")
	}
}

func TestFromNodesRefuses(t *testing.T) {
	key := [32]byte{1}
	for name, nodes := range map[string][]Node{
		"too deep":      {{Level: Depth + 1, Key: key}},
		"deepest level": {{Level: 255, Key: key}},
		"index":         {{Level: 3, Index: 8, Key: key}},
		"blank":         {{Level: 3}},
		"order":         {{Level: 3, Index: 2, Key: key}, {Level: 3, Index: 1, Key: key}},
		"twice":         {{Level: 3, Index: 2, Key: key}, {Level: 3, Index: 2, Key: key}},
		"overlap":       {{Level: 0, Key: key}, {Level: 22, Index: 5, Key: key}},
		"too many":      make([]Node, MaxNodes+1),
	} {
		if _, err := FromNodes(nodes); !errors.Is(err, ErrTree) {
			t.Errorf("%s: got %v, want ErrTree", name, err)
		}
	}
}

func TestNewTreeShortRandom(t *testing.T) {
	if _, err := NewTree(bytes.NewReader(make([]byte, 31))); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Fatalf("got %v, want io.ErrUnexpectedEOF", err)
	}
}

func FuzzParseTree(f *testing.F) {
	tree := testTree(f, Depth)
	f.Add(tree.Append(nil))
	tree.Puncture(1234567)
	f.Add(tree.Append(nil))
	tree.Puncture(Hours)
	f.Add(tree.Append(nil))
	f.Add([]byte(treeMagic))
	f.Fuzz(func(t *testing.T, b []byte) {
		tree, err := ParseTree(b)
		if err != nil {
			if !errors.Is(err, ErrTree) {
				t.Fatalf("got %v, want ErrTree", err)
			}
			return
		}
		if again := tree.Append(nil); !bytes.Equal(again, b) {
			t.Fatalf("got %s again, want %s", hex.EncodeToString(again), hex.EncodeToString(b))
		}
		tree.Hour(1234567)
		tree.Cover(5, 1234567)
		tree.Puncture(1234567)
		if _, err := ParseTree(tree.Append(nil)); err != nil {
			t.Fatalf("after puncture: %v", err)
		}
	})
}

func BenchmarkHour(b *testing.B) {
	tree := testTree(b, Depth)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := tree.Hour(1982800); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCursor(b *testing.B) {
	c := NewCursor(testTree(b, Depth))
	b.ReportAllocs()
	h := Hour(0)
	for b.Loop() {
		h = (h + 1) % Hours
		if _, err := c.Hour(h); err != nil {
			b.Fatal(err)
		}
	}
}
