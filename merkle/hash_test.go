package merkle

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"math/rand/v2"
	"testing"
)

// randomBytes returns n bytes that are the same in each run.
func randomBytes(seed uint64, n int) []byte {
	b := make([]byte, n)
	r := rand.New(rand.NewPCG(seed, 1))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

func TestLeafHash(t *testing.T) {
	for n := range 300 {
		for _, entry := range [][]byte{make([]byte, n), bytes.Repeat([]byte{0xff}, n), randomBytes(uint64(n), n)} {
			want := Hash(sha256.Sum256(append([]byte{0x00}, entry...)))
			if got := LeafHash(entry); got != want {
				t.Fatalf("leaf hash of %d bytes %x: got %v, want %v", n, entry, got, want)
			}
		}
	}
}

func TestNodeHash(t *testing.T) {
	var l, r Hash
	for i := range uint64(2000) {
		b := randomBytes(i, 2*HashSize)
		copy(l[:], b)
		copy(r[:], b[HashSize:])
		want := Hash(sha256.Sum256(append([]byte{0x01}, b...)))
		if got := NodeHash(l, r); got != want {
			t.Fatalf("node over %x: got %v, want %v", b, got, want)
		}
		left, right, slow := l, r, l
		nodeHash(&left, &left, &r)
		nodeHash(&right, &l, &right)
		slowNodeHash(&slow, &slow, &r)
		if left != want || right != want || slow != want {
			t.Fatalf("node over %x in place: left %v, right %v, slow %v, want %v", b, left, right, slow, want)
		}
	}
}

// The roots that certificate transparency's implementations share for their
// eight test entries.
var knownEntries = []string{
	"", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f",
}
var knownRoots = []string{
	"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
	"6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
	"fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
	"aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
	"d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
	"4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
	"76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
	"ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
	"5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
}

func TestKnownRoots(t *testing.T) {
	var tree Tree
	for n, want := range knownRoots {
		if n > 0 {
			entry, err := hex.DecodeString(knownEntries[n-1])
			if err != nil {
				t.Fatal(err)
			}
			tree.Append(LeafHash(entry))
		}
		if got := tree.Root().String(); got != want {
			t.Errorf("root of %d: got %s, want %s", n, got, want)
		}
	}
	if got := EmptyRoot().String(); got != knownRoots[0] {
		t.Errorf("empty root: got %s, want %s", got, knownRoots[0])
	}
	if got, want := EmptyRoot().Base64(), "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="; got != want {
		t.Errorf("empty root: got %s, want %s", got, want)
	}
}

func TestAllocations(t *testing.T) {
	short, long := make([]byte, 119), make([]byte, 4000)
	var tree Tree
	leaves, scratch := testLeaves(64), make([]Hash, 64)
	proof, err := ProveInclusion(leaves, 17, 64)
	if err != nil {
		t.Fatal(err)
	}
	root := RootOf(leaves)
	for name, f := range map[string]func(){
		"LeafHash short":  func() { leaves[3] = LeafHash(short) },
		"LeafHash long":   func() { leaves[3] = LeafHash(long) },
		"NodeHash":        func() { leaves[3] = NodeHash(leaves[1], leaves[2]) },
		"Append and Root": func() { tree.Append(leaves[0]); tree.Root() },
		"AppendCollect":   func() { tree.AppendCollect(leaves[0], 0, func(int, uint64, Hash) {}) },
		"RootInPlace":     func() { copy(scratch, leaves); RootInPlace(scratch[:61]) },
		"PerfectRoot":     func() { copy(scratch, leaves); PerfectRoot(scratch) },
	} {
		if got := testing.AllocsPerRun(100, f); got != 0 {
			t.Errorf("%s: %v allocations, want none", name, got)
		}
	}
	leaves = testLeaves(64)
	if got := testing.AllocsPerRun(100, func() { err = VerifyInclusion(leaves[17], 17, 64, proof, root) }); got != 0 || err != nil {
		t.Errorf("VerifyInclusion: %v allocations, error %v, want none", got, err)
	}
}
