package share

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"
)

func TestObject(t *testing.T) {
	k, other := HourKey{Seal: [32]byte{1}}, HourKey{Seal: [32]byte{2}}
	aad := []byte("where it belongs")
	for _, n := range [][2]int{{0, 0}, {1, 0}, {0, 1}, {100, 3000}, {4096, 127}, {50000, 128}} {
		content, hidden := bytes.Repeat([]byte{7}, n[0]), bytes.Repeat([]byte{9}, n[1])
		object, err := k.SealObject(nil, aad, &[32]byte{5}, content, hidden, 4096)
		if err != nil || len(object)%4096 != 0 {
			t.Fatalf("content of %d, hidden of %d: got %d bytes, %v; want a multiple of 4096", n[0], n[1], len(object), err)
		}
		c, h, err := k.OpenObject(aad, object)
		if err != nil || !bytes.Equal(c, content) || !bytes.Equal(h, hidden) {
			t.Errorf("content of %d, hidden of %d: got %d, %d, %v", n[0], n[1], len(c), len(h), err)
		}
		if sealed := k.SealContent(nil, aad, &[32]byte{5}, content); !bytes.Contains(object, sealed) {
			t.Errorf("content of %d: the object does not hold it as it is kept at the site", n[0])
		}
		if _, _, err := other.OpenObject(aad, object); !errors.Is(err, ErrSeal) {
			t.Errorf("another hour's key: got %v, want %v", err, ErrSeal)
		}
		if _, _, err := k.OpenObject([]byte("elsewhere"), object); !errors.Is(err, ErrSeal) {
			t.Errorf("in another place: got %v, want %v", err, ErrSeal)
		}
		for i := 0; i < len(object); i += 1 + len(object)/97 {
			object[i] ^= 1
			if _, _, err := k.OpenObject(aad, object); err == nil {
				t.Errorf("content of %d: byte %d was changed and it opens", n[0], i)
			}
			object[i] ^= 1
		}
	}
	if _, err := k.SealObject(nil, aad, &[32]byte{5}, make([]byte, 100), nil, MaxObject+1); !errors.Is(err, ErrObject) {
		t.Errorf("padded beyond the limit: got %v, want %v", err, ErrObject)
	}
}

// An object that its sealer made wrong is refused, whole as its seals are.
func TestOpenObjectRefuses(t *testing.T) {
	k, random := HourKey{Seal: [32]byte{1}}, [32]byte{5}
	object := func(random [32]byte, size uint32, content, rest []byte) []byte {
		b := append([]byte(nil), random[:]...)
		r := &random
		if random == [32]byte{} {
			r = &[32]byte{1} // sealing under none panics
		}
		b = k.SealMessage(b, purposeSize, r, nil, binary.BigEndian.AppendUint32(nil, size))
		b = k.SealContent(b, nil, r, content)
		return k.SealMessage(b, purposeRest, r, nil, rest)
	}
	if c, h, err := k.OpenObject(nil, object(random, 2, []byte("ab"), []byte{1, 'c', 0})); err != nil || string(c) != "ab" || string(h) != "c" {
		t.Fatalf("got %q, %q, %v, want ab and c", c, h, err)
	}
	for name, c := range map[string]struct {
		object []byte
		want   error
	}{
		"empty":              {nil, ErrObject},
		"too short":          {object(random, 0, nil, nil), ErrObject},
		"blank random":       {object([32]byte{}, 2, []byte("ab"), []byte{1, 'c'}), ErrObject},
		"content too long":   {object(random, 1000, []byte("ab"), []byte{1, 'c'}), ErrObject},
		"longest content":    {object(random, ^uint32(0), []byte("ab"), []byte{1, 'c'}), ErrObject},
		"content too short":  {object(random, 1, []byte("ab"), []byte{1, 'c'}), ErrSeal},
		"hidden too long":    {object(random, 2, []byte("ab"), []byte{2, 'c'}), ErrObject},
		"hidden far longer":  {object(random, 2, []byte("ab"), binary.AppendUvarint(nil, 1<<63)), ErrObject},
		"length has no end":  {object(random, 2, []byte("ab"), []byte{0x80}), ErrObject},
		"length in two":      {object(random, 2, []byte("ab"), []byte{0x80, 0}), ErrObject},
		"padding of a one":   {object(random, 2, []byte("ab"), []byte{1, 'c', 0, 1}), ErrObject},
		"something after it": {append(object(random, 2, []byte("ab"), []byte{1, 'c'}), 0), ErrSeal},
	} {
		if content, hidden, err := k.OpenObject(nil, c.object); !errors.Is(err, c.want) || content != nil || hidden != nil {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
}

// A joint key changes with each of its parts and their order.
func TestJoint(t *testing.T) {
	key := func(b byte) HourKey { return HourKey{Seal: [32]byte{b}, Salt: [32]byte{b, 1}} }
	seen := map[HourKey]int{}
	for i, k := range []HourKey{
		Joint(key(1), key(2)), Joint(key(2), key(1)), Joint(key(1), key(2), key(3)), Joint(key(1), key(2), key(4)),
		Joint(key(1), key(2), key(3), key(4)), Joint(key(1), key(2), key(4), key(3)), Joint(key(1), key(3), key(2)), key(1), key(2),
	} {
		if before, there := seen[k]; there || k.Seal == k.Salt {
			t.Errorf("key %d is that of %d", i, before)
		}
		seen[k] = i
	}
}

func FuzzOpenObject(f *testing.F) {
	k := HourKey{Seal: [32]byte{1}}
	object, err := k.SealObject(nil, nil, &[32]byte{5}, []byte("content"), []byte("hidden"), 512)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(object)
	f.Add(object[:100])
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, _, err := k.OpenObject(nil, b); err == nil && !bytes.Equal(b, object) {
			t.Errorf("%d bytes open that were not sealed so", len(b))
		}
	})
}
