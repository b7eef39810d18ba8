package proof

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"cairn/merkle"
)

// wrapped returns a body as a file of version 1, with the right checksum. It
// stands in blocks as it is, which is quick.
func wrapped(t testing.TB, body []byte) []byte {
	t.Helper()
	b := binary.BigEndian.AppendUint32([]byte(Magic), uint32(len(body)))
	for last := false; !last; {
		n := min(len(body), maxStored)
		last = n == len(body)
		b = append(b, 0, byte(n), byte(n>>8), ^byte(n), ^byte(n>>8))
		if last {
			b[len(b)-5] = 1
		}
		b, body = append(b, body[:n]...), body[n:]
	}
	sum := sha256.Sum256(b)
	return append(b, sum[:sumSize]...)
}

// bodyOf returns the body of a file of version 1.
func bodyOf(t testing.TB, file []byte) []byte {
	t.Helper()
	body, err := unwrap1(file)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// extend adds to a file the site's head of a size, with a proof that the log of
// the file's head of another is its beginning, and that head's receipt.
func (s *site) extend(t testing.TB, b *Builder, old, size int) {
	t.Helper()
	path, err := merkle.ProveConsistency(s.log, uint64(old), uint64(size))
	if err != nil {
		t.Fatal(err)
	}
	head := b.Head(s.head(t, size))
	b.Extend(b.Head(s.head(t, old)), head, path)
	b.Receipt(Receipt{Route: "ethereum:1", Head: head, Kind: KindEthereum, Data: mustMarshal(t, s.receipt(t, size))})
}

// TestVersion1: what version 0 says version 1 says too, in fewer bytes, and
// reads it as it was written.
func TestVersion1(t *testing.T) {
	s := newSite("a").build(5)
	old := s.file(t, 5, thePicks()...)
	b0, b := mustEncode(t, old), mustEncode(t, newer(old))
	if len(b) > len(b0)*9/10 {
		t.Errorf("%d bytes, of version 0 it has %d", len(b), len(b0))
	}
	f, err := Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	if again := mustEncode(t, f); !bytes.Equal(again, b) {
		t.Error("written again it differs")
	}
	want, got := VerifyBytes(b0, s.options(t, 5)), VerifyBytes(b, s.options(t, 5))
	if got.Level != LevelAnchored || !bytes.Equal(got.JSON(), want.JSON()) {
		t.Error(got.Text())
	}
}

// TestExtension: an anchor of a newer head counts for what is in the log of an
// older one, over any number of steps, and not the other way.
func TestExtension(t *testing.T) {
	s := newSite("a").build(8)
	p := pick{window: 2, slot: 5, at: 0}
	o := Options{Policy: s.policy(), Trust: append(s.pinned(t, 8), s.pinned(t, 3)...)}
	shown := func(steps ...int) *Builder {
		f := s.file(t, 4, p)
		f.Receipts = nil
		b := Continue(f)
		for i, size := range steps {
			s.extend(t, b, append([]int{4}, steps...)[i], size)
		}
		return b
	}
	check := func(name string, f *File, level Level, code Code) Verdict {
		t.Helper()
		v := VerifyBytes(mustEncode(t, f), o)
		if v.Level != level || v.Code != code {
			t.Errorf("%s: %v %q\n%s", name, v.Level, v.Code, v.Text())
		}
		return v
	}
	check("none", shown().File(), LevelLogged, CodeNoReceipt)
	check("one step", shown(8).File(), LevelAnchored, "")
	check("two steps", shown(6, 8).File(), LevelAnchored, "")
	f := shown(5, 6, 8).File()
	f.Extends[0], f.Extends[2] = f.Extends[2], f.Extends[0]
	check("three, in another order", f, LevelAnchored, "")

	back := shown()
	s.extend(t, back, 3, 4)
	f = back.File()
	f.Receipts = []Receipt{{Route: "ethereum:1", Head: f.Extends[0].Old, Kind: KindEthereum, Data: mustMarshal(t, s.receipt(t, 3))}}
	check("of an older head", f, LevelLogged, CodeNoReceipt)

	f = shown(6, 8).File()
	f.Extends[1].Path[0][5] ^= 1
	check("altered", f, LevelNone, CodeExtension)
	f = shown(8).File()
	f.Extends[0].Old, f.Extends[0].New = f.Extends[0].New, f.Extends[0].Old
	check("turned round", f, LevelNone, CodeExtension)
	f = shown(8).File()
	f.Extends = append(f.Extends, f.Extends[0])
	if _, err := f.Encode(); !errors.Is(err, ErrFile) {
		t.Errorf("twice: %v", err)
	}
}

// TestUpdate: a file of heads and receipts alone is told as what it is, whatever
// holds in it.
func TestUpdate(t *testing.T) {
	s := newSite("a").build(8)
	b := NewBuilder(s.policyKey(), s.nonce)
	s.extend(t, b, 4, 8)
	v := VerifyBytes(mustEncode(t, b.File()), s.options(t, 8))
	if v.Outcome != Unchecked || v.Code != CodeUpdate || len(v.Anchors) != 1 || !v.Anchors[0].Trusted {
		t.Error(v.Text())
	}
	f := b.File()
	f.Receipts = nil
	if _, err := f.Encode(); !errors.Is(err, ErrFile) {
		t.Errorf("no receipt: %v", err)
	}
}

// TestDecode1Refuses: what is wrong around the body of version 1, or with the
// form of the body.
func TestDecode1Refuses(t *testing.T) {
	s := newSite("a").build(5)
	good := mustEncode(t, newer(s.file(t, 5, pick{window: 3, slot: 2, at: 1})))
	body := bodyOf(t, good)
	seal := func(b []byte) []byte {
		sum := sha256.Sum256(b)
		return append(bytes.Clone(b), sum[:sumSize]...)
	}
	stated := func(n int, packed []byte) []byte {
		return seal(append(binary.BigEndian.AppendUint32([]byte(Magic), uint32(n)), packed...))
	}
	packed := good[len(Magic)+lengthSize : len(good)-sumSize]
	cases := []struct {
		name string
		b    []byte
		want error
	}{
		{"magic alone", []byte(Magic), ErrDamaged},
		{"cut", good[:len(good)-1], ErrDamaged},
		{"longer", append(bytes.Clone(good), 0), ErrDamaged},
		{"nothing packed", stated(0, nil), ErrFile},
		{"one byte less stated", stated(len(body)-1, packed), ErrFile},
		{"one byte more stated", stated(len(body)+1, packed), ErrFile},
		{"much more stated", stated(MaxFile, packed), ErrFile},
		{"more stated than such a file may hold", stated(maxRatio*(len(packed)+1), packed), ErrFile},
		{"more than any file stated", stated(MaxFile+1, make([]byte, 1<<20)), ErrFile},
		{"a byte after what is packed", stated(len(body), append(bytes.Clone(packed), 0)), ErrFile},
		{"not packed", stated(len(body), body), ErrFile},
		{"a byte after the body", wrapped(t, append(bytes.Clone(body), 0)), ErrFile},
		{"cut body", wrapped(t, body[:len(body)-1]), ErrFile},
		{"empty body", wrapped(t, nil), ErrFile},
		{"indefinite", wrapped(t, append([]byte{0x9f}, body[1:]...)), ErrFile},
		{"a long head", wrapped(t, append([]byte{0x98, 0x0a}, body[1:]...)), ErrFile},
		{"of version 0", wrapped(t, bodyOf0(t, s)), ErrFile},
	}
	for _, c := range cases {
		if _, err := Decode(c.b); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, err, c.want)
		}
	}
}

func bodyOf0(t testing.TB, s *site) []byte {
	body, err := unwrap0(mustEncode(t, s.file(t, 5, pick{window: 3, slot: 2, at: 1})))
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// TestUpdateText: what a person reads of an update.
func TestUpdateText(t *testing.T) {
	s := newSite("a").build(8)
	b := NewBuilder(s.policyKey(), s.nonce)
	s.extend(t, b, 4, 8)
	v := VerifyBytes(mustEncode(t, b.File()), s.options(t, 8))
	text := v.Text()
	for _, want := range []string{"COULD NOT CHECK: the file is an update: it shows no reading", "[update-shows-no-reading]", "cairn-verify upgrade", "an update: 2 heads, 1 receipt, no reading", "anchor      ethereum:1", "readings: it shows none"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
	if strings.Contains(text, "completeness") || strings.Contains(text, "IDENTITY") {
		t.Errorf("too much in\n%s", text)
	}
}
