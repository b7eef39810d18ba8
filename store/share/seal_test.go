package share

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestSealRoundTrip(t *testing.T) {
	k := goldenKey(t)
	random := [32]byte{1}
	for _, n := range []int{0, 1, 16, 1000, 1 << 16} {
		plain := bytes.Repeat([]byte{7}, n)
		sealed := k.SealMessage([]byte("before"), "segment", &random, []byte("aad"), plain)
		if len(sealed) != 6+n+Overhead || string(sealed[:6]) != "before" {
			t.Fatalf("%d bytes: got %d sealed, want %d after the prefix", n, len(sealed)-6, n+Overhead)
		}
		got, err := k.OpenMessage([]byte("dst"), "segment", &random, []byte("aad"), sealed[6:])
		if err != nil || string(got[:3]) != "dst" || !bytes.Equal(got[3:], plain) {
			t.Fatalf("%d bytes: %v, or other bytes", n, err)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	tree := goldenTree(t)
	k := goldenKey(t)
	random, aad := [32]byte{1}, []byte("aad")
	sealed := k.SealMessage(nil, "segment", &random, aad, []byte("a reading"))
	next, err := tree.Hour(goldenHour + 1)
	if err != nil {
		t.Fatal(err)
	}
	refuse := func(what string, k HourKey, purpose string, random [32]byte, aad, sealed []byte) {
		t.Helper()
		if got, err := k.OpenMessage(nil, purpose, &random, aad, sealed); !errors.Is(err, ErrSeal) || got != nil {
			t.Errorf("%s: got %q, %v, want ErrSeal", what, got, err)
		}
	}
	refuse("next hour", next, "segment", random, aad, sealed)
	refuse("purpose", k, "segments", random, aad, sealed)
	refuse("no purpose", k, "", random, aad, sealed)
	refuse("random", k, "segment", [32]byte{2}, aad, sealed)
	refuse("blank random", k, "segment", [32]byte{}, aad, sealed)
	refuse("additional data", k, "segment", random, []byte("aae"), sealed)
	refuse("no additional data", k, "segment", random, nil, sealed)
	for n := range sealed {
		refuse(fmt.Sprintf("cut to %d", n), k, "segment", random, aad, sealed[:n])
		flipped := bytes.Clone(sealed)
		flipped[n] ^= 1
		refuse(fmt.Sprintf("flip in byte %d", n), k, "segment", random, aad, flipped)
	}
}

func TestSealPanics(t *testing.T) {
	k := goldenKey(t)
	for name, f := range map[string]func(){
		"blank random": func() { k.SealMessage(nil, "segment", new([32]byte), nil, nil) },
		"long label":   func() { k.SaltBlock(string(make([]byte, 256)), 0, [16]byte{}) },
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

func TestSaltBlocksDiffer(t *testing.T) {
	k := goldenKey(t)
	seen := map[[16]byte]string{}
	for _, c := range []struct {
		label       string
		slot        uint64
		incarnation [16]byte
	}{
		{"field", 0, [16]byte{}}, {"field", 1, [16]byte{}}, {"field", NoStream, [16]byte{}},
		{"field", 0, [16]byte{1}}, {"rest", 0, [16]byte{}}, {"", 0, [16]byte{}},
		{string(make([]byte, 255)), 0, [16]byte{}},
	} {
		var salt [16]byte
		k.SaltBlock(c.label, c.slot, c.incarnation).Encrypt(salt[:], salt[:])
		name := fmt.Sprint(c)
		if other, ok := seen[salt]; ok {
			t.Errorf("%s and %s give the same salt", name, other)
		}
		seen[salt] = name
	}
}

func BenchmarkSaltBlock(b *testing.B) {
	k := goldenKey(b)
	b.ReportAllocs()
	for b.Loop() {
		k.SaltBlock("field", 7, [16]byte{})
	}
}

func BenchmarkSealMessage(b *testing.B) {
	for _, n := range []int{256, 4096} {
		b.Run(fmt.Sprintf("%dB", n), func(b *testing.B) {
			k := goldenKey(b)
			random, aad := [32]byte{1}, make([]byte, 32)
			plain, dst := make([]byte, n), make([]byte, 0, n+Overhead)
			b.SetBytes(int64(n))
			b.ReportAllocs()
			for b.Loop() {
				k.SealMessage(dst, "commit", &random, aad, plain)
			}
		})
	}
}

// What messages are sealed under is HKDF-SHA256 as the standard library has it.
func TestSealKeyIsHKDF(t *testing.T) {
	k := HourKey{Seal: [32]byte{1, 2, 3}}
	random := [32]byte{4, 5, 6}
	for _, purpose := range []string{"", "commit", "evidence/18446744073709551615", strings.Repeat("long", 40)} {
		key, err := hkdf.Key(sha256.New, k.Seal[:], random[:], sealInfo+purpose, 32)
		if err != nil {
			t.Fatal(err)
		}
		block, err := aes.NewCipher(key)
		if err != nil {
			t.Fatal(err)
		}
		aead, err := cipher.NewGCM(block)
		if err != nil {
			t.Fatal(err)
		}
		want := aead.Seal(nil, make([]byte, 12), []byte("plain"), []byte("aad"))
		if got := k.SealMessage(nil, purpose, &random, []byte("aad"), []byte("plain")); !bytes.Equal(got, want) {
			t.Errorf("purpose %q: another key", purpose)
		}
	}
}
