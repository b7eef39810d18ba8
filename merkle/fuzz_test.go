package merkle

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"

	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
)

// Whatever parses must write itself as it was read, and nothing may panic.

func FuzzParseCheckpoint(f *testing.F) {
	f.Add(testCheckpoint().Text())
	f.Add("o\n0\n" + EmptyRoot().Base64() + "\nextension\n")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := ParseCheckpoint(text)
		if err != nil {
			if !errors.Is(err, ErrCheckpoint) {
				t.Errorf("got %v, want %v", err, ErrCheckpoint)
			}
			return
		}
		if got := c.Text(); got != text {
			t.Errorf("got %q, want %q", got, text)
		}
	})
}

func FuzzOpenCheckpoint(f *testing.F) {
	signed := mustSign(f, testCheckpoint(), testKey(1))
	f.Add(signed)
	f.Add(append(signed, signed[bytes.LastIndex(signed, []byte("\n\n"))+2:]...))
	f.Fuzz(func(t *testing.T, b []byte) {
		origin, _, _ := bytes.Cut(b, []byte("\n"))
		c, err := OpenCheckpoint(b, string(origin), testPub(1))
		if err == nil && !bytes.HasPrefix(b, []byte(c.Text()+"\n")) {
			t.Errorf("opened %q to %q", b, c.Text())
		}
	})
}

func FuzzParseVerifierKey(f *testing.F) {
	f.Add(VerifierKey(testOrigin, testPub(1)))
	f.Fuzz(func(t *testing.T, vkey string) {
		name, pub, err := ParseVerifierKey(vkey)
		if err == nil && VerifierKey(name, pub) != vkey {
			t.Errorf("got %s, want %s", VerifierKey(name, pub), vkey)
		}
	})
}

func FuzzParseTilePath(f *testing.F) {
	f.Add("tile/0/x001/234.p/5")
	f.Add("tile/entries/x001/x234/067")
	f.Fuzz(func(t *testing.T, path string) {
		level, index, width, err := ParseTilePath(path)
		if err == nil && TilePath(level, index, width) != path {
			t.Errorf("got %s, want %s", TilePath(level, index, width), path)
		}
		if w := TileWidth(level, index, MaxSize); w < 0 || w > 256 {
			t.Errorf("width %d", w)
		}
	})
}

func FuzzParseEntries(f *testing.F) {
	f.Add([]byte{0, 1, 'a', 0, 0, 0, 2, 'b', 'c'})
	f.Fuzz(func(t *testing.T, b []byte) {
		entries, err := ParseEntries(b)
		if err != nil {
			return
		}
		var got []byte
		for _, e := range entries {
			if got, err = AppendEntry(got, e); err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.Equal(got, b) {
			t.Errorf("got %x, want %x", got, b)
		}
	})
}

func FuzzParseTree(f *testing.F) {
	var tree Tree
	for _, h := range testLeaves(7) {
		f.Add(tree.AppendBinary(nil))
		tree.Append(h)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		tree, err := ParseTree(b)
		if err != nil {
			return
		}
		if got := tree.AppendBinary(nil); !bytes.Equal(got, b) {
			t.Errorf("got %x, want %x", got, b)
		}
		tree.Root()
		if tree.Size() < MaxSize {
			tree.Append(Hash{})
		}
	})
}

// FuzzVerify gives any numbers and hashes to all verifiers, and compares the
// two that have an oracle with it.
func FuzzVerify(f *testing.F) {
	leaves := testLeaves(9)
	for i := range uint64(9) {
		path, err := ProveInclusion(leaves, i, 9)
		if err != nil {
			f.Fatal(err)
		}
		b := append([]byte(nil), leaves[i][:]...)
		for _, h := range path {
			b = append(b, h[:]...)
		}
		f.Add(i, uint64(9), uint8(1), b)
	}
	f.Add(uint64(1<<63), ^uint64(0), uint8(3), make([]byte, 80*HashSize))
	f.Fuzz(func(t *testing.T, a, b uint64, split uint8, raw []byte) {
		hashes := make([]Hash, len(raw)/HashSize)
		for i := range hashes {
			copy(hashes[i][:], raw[i*HashSize:])
		}
		shown := hashes[:min(int(split), len(hashes))]
		rest := hashes[len(shown):]
		var leaf Hash
		if len(shown) > 0 {
			leaf = shown[0]
		}
		got, err := RootFromInclusion(leaf, a, b, rest)
		want, oracle := proof.RootFromInclusionProof(rfc6962.DefaultHasher, a, b, leaf[:], toDev(rest))
		if b <= MaxSize && ((err == nil) != (oracle == nil) || err == nil && !bytes.Equal(got[:], want)) {
			t.Errorf("inclusion of %d in %d: got %v, %v, want %x, %v", a, b, got, err, want, oracle)
		}
		for _, err := range []error{
			VerifyInclusion(leaf, a, b, rest, Hash{}),
			VerifyConsistency(a, b, leaf, Hash{}, rest),
			VerifyConsistency(b, a, leaf, Hash{1}, rest),
			VerifyRange(shown, a, b, rest, Hash{}),
		} {
			if !errors.Is(err, ErrProof) && err != nil {
				t.Errorf("got %v, want %v", err, ErrProof)
			}
		}
		_, _ = RootFromPerfectPath(leaf, a, rest)
		// What is proven in a tree over these very hashes must verify.
		if n := uint64(len(hashes)); n > 0 {
			from := a % n
			to := from + 1 + b%(n-from)
			p, err := ProveRange(Leaves(hashes), from, to, n)
			if err != nil {
				t.Fatal(err)
			}
			if err := VerifyRange(hashes[from:to], from, n, p, RootOf(hashes)); err != nil {
				t.Error(err)
			}
		}
		var tree Tree
		tree.AppendCollect(leaf, int(binary.BigEndian.Uint16(append(raw, 0, 0))), func(int, uint64, Hash) {})
	})
}
