package witness

import (
	"bytes"
	"testing"

	"cairn/merkle"
)

// FuzzRequest: what is read is written again byte for byte.
func FuzzRequest(f *testing.F) {
	l := newTestLog(f, "example.com/log").grow(9, 0)
	f.Add(l.request(5, 9))
	f.Add(l.request(0, 0))
	f.Add([]byte("old 0\n\n\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := ParseRequest(b)
		if err != nil {
			return
		}
		if got := r.Append(nil); !bytes.Equal(got, b) {
			t.Errorf("written again:\n%q\nwant\n%q", got, b)
		}
	})
}

// FuzzSubmit: whatever comes, a witness gives no cosignature but of the log's own
// heads.
func FuzzSubmit(f *testing.F) {
	l := newTestLog(f, "example.com/log").grow(9, 0)
	f.Add(l.request(5, 9))
	f.Add(l.fork(4).grow(9, 1).request(5, 9))
	w := newWitness(f, f.TempDir(), l)
	root := l.root(5)
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := w.open(b)
		if err != nil {
			return
		}
		h := head{size: 5, root: root}
		if h.check(s) == nil && (s.Old != 5 || s.Origin != l.origin || merkle.VerifyConsistency(5, s.Size, root, s.Root, s.Proof) != nil) {
			t.Errorf("cosigns\n%s", b)
		}
	})
}

// FuzzAnswer: no answer passes for a cosignature that the key did not make.
func FuzzAnswer(f *testing.F) {
	l := newTestLog(f, "example.com/log").grow(9, 0)
	s := newSigner(f, "witness.example/w")
	text := NoteText(l.head(9))
	good := s.Cosign(text, 1700000000)
	f.Add(good.Line())
	f.Add(append([]byte("— x AAAAAAA=\n"), good.Line()...))
	f.Add([]byte("12\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if c, err := parseCosignatures(b, s.Key, text); err == nil && c != good {
			t.Errorf("takes %+v", c)
		}
		if size, err := parseConflict(sizeType, b); err == nil && size > merkle.MaxSize {
			t.Errorf("takes size %d", size)
		}
		if c, err := ParseCosignature(b); err == nil && !bytes.Equal(c.Line(), b) {
			t.Errorf("written again: %q", c.Line())
		}
		_ = harmless(b)
	})
}

// FuzzKeys: what is read is written again byte for byte.
func FuzzKeys(f *testing.F) {
	s := newSigner(f, "witness.example/w")
	f.Add(s.Key.String())
	f.Add(s.Secret())
	f.Fuzz(func(t *testing.T, text string) {
		if k, err := ParseKey(text); err == nil && k.String() != text {
			t.Errorf("%q: written again %q", text, k)
		}
		if p, err := ParseSigner(text); err == nil && p.Secret() != text {
			t.Errorf("a private key of %d bytes is written another way", len(text))
		}
		_ = keyring{}.read(text)
	})
}
