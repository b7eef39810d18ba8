package share

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"testing"
)

// The frozen values of this file were computed once by another implementation
// (Python's hmac and the OpenSSL ciphers) from the formulas of the package doc.

const goldenHour Hour = 1982800 // July 2026

func goldenTree(t testing.TB) *Tree {
	t.Helper()
	var root [32]byte
	for i := range root {
		root[i] = byte(i)
	}
	tree, err := FromNodes([]Node{{Key: root}})
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

func wantHex(t *testing.T, what string, got []byte, want string) {
	t.Helper()
	if hex.EncodeToString(got) != want {
		t.Errorf("%s: got %x, want %s", what, got, want)
	}
}

func TestGoldenNodes(t *testing.T) {
	tree := goldenTree(t)
	half, err := tree.Cover(0, Hours/2)
	if err != nil || len(half) != 1 {
		t.Fatalf("left half: got %d nodes, %v, want one", len(half), err)
	}
	wantHex(t, "left child", half[0].Key[:], "c4798ac0e4a21936f0f78f47ad29a8d6f05baf8033985401d5b302424a84a386")
	leaf, err := tree.Cover(goldenHour, goldenHour+1)
	if err != nil || len(leaf) != 1 || leaf[0].Level != Depth || leaf[0].First() != goldenHour {
		t.Fatalf("leaf: got %d nodes, %v, want the leaf of hour %d", len(leaf), err, goldenHour)
	}
	wantHex(t, "leaf", leaf[0].Key[:], "035a7fc7edc2713fea97e64340e604d5e093d847299e0fab01d0fd6e5a7668e4")
	k, err := tree.Hour(goldenHour)
	if err != nil {
		t.Fatal(err)
	}
	wantHex(t, "seal key", k.Seal[:], "c12249d4c15409b659c9678df543132653218679311ee50463ee71b8ddf99ba6")
	wantHex(t, "salt key", k.Salt[:], "61d1c065ff97ffc0e3557128bfbf3a8256d754615b032bd0ff8827e48dd0feec")
}

func goldenKey(t testing.TB) HourKey {
	t.Helper()
	k, err := goldenTree(t).Hour(goldenHour)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestGoldenSalt(t *testing.T) {
	k := goldenKey(t)
	var incarnation [16]byte
	for i := range incarnation {
		incarnation[i] = byte(0x40 + i)
	}
	key := k.saltKey("field", 7, incarnation)
	wantHex(t, "key of salts", key[:], "cedabc312639e8c2faba827364d720aa7aec091ebb62caae7c94376f0ffc1351")
	block := [16]byte{7: 3, 15: 9}
	k.SaltBlock("field", 7, incarnation).Encrypt(block[:], block[:])
	wantHex(t, "salt", block[:], "c86a930d80323d3bebd1b2a0abfc76db")
}

func TestGoldenSeal(t *testing.T) {
	var random [32]byte
	for i := range random {
		random[i] = byte(0x80 + i)
	}
	got := goldenKey(t).SealMessage(nil, "segment", &random, []byte("hour 1982800"), []byte("a reading"))
	wantHex(t, "sealed", got, "e74f70435835289f3b1817d4624cec086d7161efdf2aa1e44c")
}

func TestGoldenObject(t *testing.T) {
	var random [32]byte
	for i := range random {
		random[i] = byte(0x80 + i)
	}
	hidden := bytes.Repeat([]byte("h"), 130)
	got, err := goldenKey(t).SealObject(nil, []byte("where it belongs"), &random, []byte("a content"), hidden, 256)
	if err != nil || len(got) != 256 {
		t.Fatalf("got %d bytes, %v, want 256", len(got), err)
	}
	wantHex(t, "size", got[32:52], "3b1bd62f772e427ce2693b3a39f38c3d158b62d9")
	sum := sha256.Sum256(got)
	wantHex(t, "object", sum[:], "af1ed417ef302541f4d8bd341c39ba4e9f479c1c4a85b8c1b9d3d18b2cd9aeda")
}

func TestGoldenJoint(t *testing.T) {
	key := func(n byte) (k HourKey) {
		copy(k.Seal[:], bytes.Repeat([]byte{n}, 32))
		copy(k.Salt[:], bytes.Repeat([]byte{n + 0x40}, 32))
		return k
	}
	k := Joint(key(1), key(2), key(3), key(4))
	wantHex(t, "joint seal key", k.Seal[:], "2189dfc511a87f6549d98743e20be6d8b2c392ee07a5f267ec18c7c166ef31ff")
	wantHex(t, "joint salt key", k.Salt[:], "9c0a0c930018d3103aee0cd2b2a8f460391e0ca33232884cd8fd8386b4ed6ff6")
}

// TestGoldenSeed freezes what MemorySeed draws, so that golden tests of other
// packages stay.
func TestGoldenSeed(t *testing.T) {
	k := MemorySeed([32]byte{31: 1})
	id := uint32(0)
	if err := k.Change(func(e *Edit) error { id = e.AddCompartment("stream/0/data"); return nil }); err != nil {
		t.Fatal(err)
	}
	h := sha256.New()
	h.Write(k.LogKey().Seed())
	for _, b := range [][32]byte{k.Nonce(), k.TagKey(), k.LocalKey()} {
		h.Write(b[:])
	}
	for _, c := range k.Compartments() {
		h.Write(c.Tree.Append(nil))
	}
	if id != 3 {
		t.Errorf("id of the first compartment added: got %d, want 3", id)
	}
	wantHex(t, "secrets of the seed", h.Sum(nil), "616ce729b81276d414e8b352cc319c432ed42eaa1c9178c2668d83425e6a0cd3")
}

func TestMac(t *testing.T) {
	key := [32]byte{1, 2, 3, 31: 9}
	for n := range 300 {
		message := bytes.Repeat([]byte{byte(n)}, n)
		m := hmac.New(sha256.New, key[:])
		m.Write(message)
		if got := mac(&key, message); !bytes.Equal(got[:], m.Sum(nil)) {
			t.Fatalf("message of %d bytes: got %x, want %x", n, got, m.Sum(nil))
		}
	}
}
