package cbor

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math"
	"testing"

	fxamacker "github.com/fxamacker/cbor/v2"
)

var test = &Errors{errors.New("encoding"), errors.New("item"), errors.New("content")}

// TestVectors holds the examples of RFC 8949 appendix A that are of this part.
func TestVectors(t *testing.T) {
	for _, v := range []struct {
		n    int64
		want string
	}{
		{0, "00"}, {1, "01"}, {10, "0a"}, {23, "17"}, {24, "1818"}, {25, "1819"}, {100, "1864"}, {1000, "1903e8"}, {1000000, "1a000f4240"},
		{1000000000000, "1b000000e8d4a51000"}, {-1, "20"}, {-10, "29"}, {-100, "3863"}, {-1000, "3903e7"},
		{255, "18ff"}, {256, "190100"}, {65535, "19ffff"}, {65536, "1a00010000"}, {math.MaxUint32, "1affffffff"}, {1 << 32, "1b0000000100000000"},
		{math.MaxInt64, "1b7fffffffffffffff"}, {math.MinInt64, "3b7fffffffffffffff"},
	} {
		b := AppendInt(nil, v.n)
		if hex.EncodeToString(b) != v.want {
			t.Errorf("%d is %x, want %s", v.n, b, v.want)
		}
		r := NewReader(b, test)
		if got := r.Int("n"); got != v.n || r.Err != nil || len(r.Rest) != 0 {
			t.Errorf("%x is %d, %v, want %d", b, got, r.Err, v.n)
		}
	}
}

func TestReader(t *testing.T) {
	b := AppendArray(nil, 8)
	b = AppendUint(b, math.MaxUint64)
	b = AppendText(AppendBytes(b, []byte{1, 2, 3}), "ü")
	b = append(b, Null, True, False)
	b = AppendInt(AppendUint(b, math.MaxUint32), -7)
	r := NewReader(b, test)
	r.Tuple(8, "it")
	n, s, text := r.Uint("n"), r.Bytes(3, "s"), r.Text(2, "text")
	null, yes, no, m, i := r.Null(), r.Bool("yes"), r.Bool("no"), r.Uint32("m"), r.Int("i")
	r.End()
	if r.Err != nil || n != math.MaxUint64 || !bytes.Equal(s, []byte{1, 2, 3}) || text != "ü" || !null || !yes || no || m != math.MaxUint32 || i != -7 {
		t.Errorf("got %d %x %q %v %v %v %d %d, %v", n, s, text, null, yes, no, m, i, r.Err)
	}
	if cap(s) != len(s) {
		t.Error("a string can be appended to in place: it would overwrite what follows")
	}
}

func TestErrors(t *testing.T) {
	for _, tt := range []struct {
		name, hex string
		read      func(r *Reader)
		want      error
		text      string
	}{
		{"empty", "", func(r *Reader) { r.Uint("n") }, test.Encoding, "encoding: it ends early"},
		{"half a head", "1903", func(r *Reader) { r.Uint("n") }, test.Encoding, "encoding: it ends inside a head"},
		{"long of 23", "1817", func(r *Reader) { r.Uint("n") }, test.Encoding, "encoding: a head is not the shortest"},
		{"long of 255", "1900ff", func(r *Reader) { r.Uint("n") }, test.Encoding, "encoding: a head is not the shortest"},
		{"long of 65535", "1a0000ffff", func(r *Reader) { r.Uint("n") }, test.Encoding, "encoding: a head is not the shortest"},
		{"long of 32 bits", "1b00000000ffffffff", func(r *Reader) { r.Uint("n") }, test.Encoding, "encoding: a head is not the shortest"},
		{"indefinite", "5f", func(r *Reader) { r.Bytes(9, "s") }, test.Encoding, "encoding: indefinite length or reserved head 0x5f"},
		{"reserved", "1c", func(r *Reader) { r.Uint("n") }, test.Encoding, "encoding: indefinite length or reserved head 0x1c"},
		{"float", "fa47c35000", func(r *Reader) { r.Bool("b") }, test.Encoding, "encoding: float or unassigned simple value"},
		{"another type", "01", func(r *Reader) { r.Text(9, "the name") }, test.Item, "item: the name has major type 0"},
		{"undefined", "f7", func(r *Reader) { r.Bool("b") }, test.Item, "item: b is neither true nor false"},
		{"text for integer", "6161", func(r *Reader) { r.Int("i") }, test.Item, "item: i is not an integer"},
		{"64 bits", "1b8000000000000000", func(r *Reader) { r.Int("i") }, test.Content, "content: an integer needs more than 64 bits with its sign"},
		{"negative of 65 bits", "3bffffffffffffffff", func(r *Reader) { r.Int("i") }, test.Content, "content: an integer needs more than 64 bits with its sign"},
		{"33 bits", "1b0000000100000000", func(r *Reader) { r.Uint32("n") }, test.Content, "content: n is beyond 32 bits"},
		{"beyond 63 bits", "1b8000000000000000", func(r *Reader) { r.Uint63("n") }, test.Content, "content: n is beyond 63 bits"},
		{"long string", "43010203", func(r *Reader) { r.Bytes(2, "s") }, test.Content, "content: s is longer than 2 bytes"},
		{"cut string", "430102", func(r *Reader) { r.Bytes(3, "s") }, test.Encoding, "encoding: it ends inside s"},
		{"huge string", "5bffffffffffffffff", func(r *Reader) { r.Bytes(math.MaxInt32, "s") }, test.Content, "content: s is longer than 2147483647 bytes"},
		{"short fixed", "420102", func(r *Reader) { r.Fixed(make([]byte, 3), "s") }, test.Content, "content: s has 2 bytes, not 3"},
		{"not UTF-8", "61ff", func(r *Reader) { r.Text(9, "s") }, test.Encoding, "encoding: s is not UTF-8"},
		{"long array", "83010203", func(r *Reader) { r.Array(2, "numbers") }, test.Content, "content: over 2 numbers"},
		{"cut array", "9a7fffffff", func(r *Reader) { r.Array(math.MaxInt32, "numbers") }, test.Encoding, "encoding: it ends inside numbers"},
		{"other array", "8101", func(r *Reader) { r.Tuple(2, "it") }, test.Item, "item: it has 1 elements, not 2"},
		{"more", "0102", func(r *Reader) { r.Uint("n"); r.End() }, test.Encoding, "encoding: 1 bytes follow it"},
	} {
		b, err := hex.DecodeString(tt.hex)
		if err != nil {
			t.Fatal(err)
		}
		r := NewReader(b, test)
		tt.read(&r)
		if !errors.Is(r.Err, tt.want) || r.Err.Error() != tt.text {
			t.Errorf("%s: got %v, want %s", tt.name, r.Err, tt.text)
		}
		first := r.Err
		n, s, text, list := r.Uint("n"), r.Bytes(9, "s"), r.Text(9, "t"), r.Array(9, "l")
		if r.End(); n != 0 || s != nil || text != "" || list != 0 || r.Int("i") != 0 || r.Null() || r.Err != first {
			t.Errorf("%s: after the error it reads on", tt.name)
		}
	}
}

// copyValue reads any value and writes it again.
func copyValue(r *Reader, dst []byte, depth int) []byte {
	if r.Null() {
		return append(dst, Null)
	}
	major, n := r.Head()
	if r.Err != nil || depth > 16 {
		r.Fail(test.Content, "too deep")
		return dst
	}
	switch major {
	case Uint, Negative:
		return AppendHead(dst, major, n)
	case Bytes:
		return AppendBytes(dst, r.BytesOf(n, math.MaxInt, "bytes"))
	case Text:
		return AppendText(dst, r.TextOf(n, math.MaxInt, "text"))
	case Tag:
		return copyValue(r, AppendHead(dst, major, n), depth+1)
	case Simple:
		return append(dst, Simple|byte(n))
	}
	dst = AppendHead(dst, major, n)
	for i := uint64(0); i < n && r.Err == nil; i++ {
		if dst = copyValue(r, dst, depth+1); major == Map {
			dst = copyValue(r, dst, depth+1)
		}
	}
	return dst
}

// FuzzReader holds that what is accepted is well-formed to another decoder, and
// is written again to the same bytes.
func FuzzReader(f *testing.F) {
	for _, s := range []string{"", "00", "1818", "3903e7", "43010203", "6161", "83f6f5f4", "a1616101", "c48221196ab3", "9bffffffffffffffff", "5f", "f97e00"} {
		b, _ := hex.DecodeString(s)
		f.Add(b)
	}
	strict, err := fxamacker.DecOptions{IndefLength: fxamacker.IndefLengthForbidden, MaxNestedLevels: 32, MaxArrayElements: 1 << 20, MaxMapPairs: 1 << 20}.DecMode()
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r := NewReader(b, test)
		again := copyValue(&r, nil, 0)
		if r.End(); r.Err != nil {
			if len(r.Rest) != 0 {
				t.Fatalf("%x: %v, and %d bytes are left", b, r.Err, len(r.Rest))
			}
			return
		}
		if !bytes.Equal(again, b) {
			t.Fatalf("%x is written again as %x", b, again)
		}
		if err := strict.Wellformed(b); err != nil {
			t.Fatalf("%x: %v", b, err)
		}
	})
}
