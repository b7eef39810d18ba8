package reading

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"testing"

	"cairn/merkle"
)

func block(t testing.TB, name string) cipher.Block {
	t.Helper()
	key := sha256.Sum256([]byte(name))
	b, err := aes.NewCipher(key[:])
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func testSalts(t testing.TB) *Salts {
	return &Salts{Envelope: block(t, "envelope"), Data: block(t, "data"), Site: block(t, "site")}
}

// rootByHand follows the package doc step by step.
func rootByHand(t *testing.T, r *Reading) ([]merkle.Hash, merkle.Hash) {
	keys := map[int]string{0: "site", 1: "envelope", 2: "envelope", 3: "envelope", 4: "envelope", 5: "envelope", 6: "site"}
	var it Items
	it.Set(r)
	width := 8
	for width < it.Len() {
		width *= 2
	}
	var leaves []merkle.Hash
	for i := range width {
		what, key := []byte("cairn/decoy/1"), "site"
		if i < it.Len() {
			what, key = it.At(i), keys[i]
			if i >= 7 {
				key = "data"
			}
		}
		salt := binary.BigEndian.AppendUint64(nil, r.Sequence)
		salt = binary.BigEndian.AppendUint64(salt, uint64(i))
		block(t, key).Encrypt(salt, salt)
		h := sha256.Sum256(what)
		leaves = append(leaves, sha256.Sum256(append(append([]byte{0}, h[:]...), salt...)))
	}
	level := leaves
	for len(level) > 1 {
		var up []merkle.Hash
		for i := 0; i < len(level); i += 2 {
			up = append(up, sha256.Sum256(append(append([]byte{1}, level[i][:]...), level[i+1][:]...)))
		}
		level = up
	}
	return leaves, level[0]
}

func TestRoot(t *testing.T) {
	s := testSalts(t)
	var h Hasher
	for n := range MaxMeasurements + 1 {
		r := withMeasurements(n)
		leaves, root := rootByHand(t, r)
		got := h.Leaves(r, s)
		if len(got) != len(leaves) || len(got) != Width(r.Items()) {
			t.Fatalf("%d measurements: got %d leaves, want %d", n, len(got), len(leaves))
		}
		for i := range got {
			if got[i] != leaves[i] {
				t.Errorf("%d measurements: leaf %d: got %v, want %v", n, i, got[i], leaves[i])
			}
			entry := DecoyEntry(s.Salt(r.Sequence, i, r.Items()))
			if i < r.Items() {
				entry = HiddenEntry(h.Items().At(i), s.Salt(r.Sequence, i, r.Items()))
			}
			if merkle.LeafHash(entry[:]) != leaves[i] {
				t.Errorf("%d measurements: entry %d %x has another leaf", n, i, entry)
			}
		}
		if got := h.Root(r, s); got != root {
			t.Errorf("%d measurements: got root %v, want %v", n, got, root)
		}
		if path := merkle.PerfectPath(leaves, 0); len(path) > 6 {
			t.Errorf("%d measurements: a path of %d", n, len(path))
		}
	}
}

func TestWidth(t *testing.T) {
	for n, want := range map[int]int{7: 8, 8: 8, 9: 16, 16: 16, 17: 32, 32: 32, 33: 64, 64: 64} {
		if got := Width(n); got != want {
			t.Errorf("Width(%d): got %d, want %d", n, got, want)
		}
	}
}

func TestEntry(t *testing.T) {
	tag, root := [12]byte([]byte("twelve bytes")), merkle.Hash{1}
	want := "twelve bytes\x00\x00\x00\x00\x00\x00\x01\x02" + string(root[:])
	if e := Entry(tag, 258, root); string(e[:]) != want {
		t.Errorf("got %x, want %x", e, want)
	}
	if got, want := EntryLeaf(tag, 258, root), merkle.LeafHash([]byte(want)); got != want {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestNoAllocations(t *testing.T) {
	s := testSalts(t)
	var h Hasher
	var leaf merkle.Hash
	for _, r := range []*Reading{greatest(), bare(), withMeasurements(1), full()} {
		h.Root(r, s)
		if n := testing.AllocsPerRun(100, func() { leaf = EntryLeaf([12]byte{}, r.Sequence, h.Root(r, s)) }); n != 0 {
			t.Errorf("%d items, leaf %v: got %v allocations, want 0", r.Items(), leaf, n)
		}
	}
}

func TestInvalidPanics(t *testing.T) {
	long := full()
	long.Measurements[0].Value = Text(string(make([]byte, 300)))
	for name, f := range map[string]func(){
		"58 measurements": func() { new(Items).Set(withMeasurements(58)) },
		"long item":       func() { new(Items).Set(long) },
		"no value":        func() { AppendValue(nil, Value{}) },
		"item of none":    func() { new(Items).At(0) },
		"item below":      func() { new(Items).At(-1) },
		"item 0":          func() { AppendItem(nil, full(), 0) },
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

func BenchmarkRoot(b *testing.B) {
	s := testSalts(b)
	for _, n := range []int{1, 2, 8} {
		b.Run(fmt.Sprintf("measurements=%d", n), func(b *testing.B) {
			r := withMeasurements(n)
			var h Hasher
			b.ReportAllocs()
			for b.Loop() {
				h.Root(r, s)
			}
		})
	}
}

// BenchmarkShare measures what the root of one measurement is made of: its
// items' bytes, its salts, its items' hashes, and its leaves and nodes.
func BenchmarkShare(b *testing.B) {
	s, r := testSalts(b), withMeasurements(1)
	var h Hasher
	h.Root(r, s)
	it := h.Items()
	b.Run("items", func(b *testing.B) {
		for b.Loop() {
			it.Set(r)
		}
	})
	b.Run("salts", func(b *testing.B) {
		for b.Loop() {
			for i := range 8 {
				binary.BigEndian.PutUint64(h.block[8:], uint64(i))
				s.block(i, 8).Encrypt(h.entry[sha256.Size:], h.block[:])
			}
		}
	})
	b.Run("item-hashes", func(b *testing.B) {
		var sum [32]byte
		for b.Loop() {
			for i := range 8 {
				sum = sha256.Sum256(it.At(i))
			}
		}
		_ = sum
	})
	b.Run("tree", func(b *testing.B) {
		for b.Loop() {
			for i := range 8 {
				h.leaves[i] = merkle.LeafHash(h.entry[:])
			}
			merkle.PerfectRoot(h.leaves[:8])
		}
	})
}

// TestSplitSalts: each measurement is salted under the block that it is given,
// and nothing else changes.
func TestSplitSalts(t *testing.T) {
	r := Reading{Device: "80d1d2d3d4d5d6d7", Received: 1, Sequence: 5, Measurements: []Measurement{
		{"temperature", "Cel", Int(1)}, {"occupancy", "", Int(2)}, {"humidity", "%RH", Int(3)},
	}}
	one := testSalts(t)
	split := *one
	other := block(t, "occupancy")
	split.Split = []cipher.Block{one.Data, other, one.Data}
	n := r.Items()
	for i := range Width(n) {
		want := one.Salt(r.Sequence, i, n)
		if i == IndexData+1 {
			want = (&Salts{Data: other}).Salt(r.Sequence, i, n)
		}
		if got := split.Salt(r.Sequence, i, n); got != want {
			t.Errorf("salt %d is %x, want %x", i, got, want)
		}
	}
	var h Hasher
	a, b := h.Root(&r, one), h.Root(&r, &split)
	if a == b {
		t.Error("the root does not change with the key of a measurement")
	}
}
