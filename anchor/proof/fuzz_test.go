package proof

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"testing"
)

// FuzzDecode gives the decoder a body, and puts magic and checksum around it,
// so that it is not the checksum that is tested.
func FuzzDecode(f *testing.F) {
	s := newSite("a").build(5)
	b := mustEncode(f, s.file(f, 5, pick{window: 3, slot: 2, at: 1}))
	f.Add(b[len(magic0) : len(b)-sha256.Size])
	f.Add([]byte{0x87, 0x82, 0x40, 0x40, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80})
	every, _, _, bitcoin := everyChain(f)
	b = mustEncode(f, every)
	f.Add(b[len(magic0) : len(b)-sha256.Size])
	o := s.options(f, 5)
	chains := s.policy2()
	f.Fuzz(func(t *testing.T, body []byte) {
		b := append([]byte(magic0), body...)
		sum := sha256.Sum256(b)
		b = append(b, sum[:]...)
		file, err := Decode(b)
		if err != nil {
			if !errors.Is(err, ErrFile) {
				t.Errorf("error without a name: %v", err)
			}
			return
		}
		if again, err := file.Encode(); err != nil || !bytes.Equal(again, b) {
			t.Errorf("accepted bytes are not written again: %v", err)
		}
		for _, o := range []Options{o, {Policy: chains, Trust: AnyTrust{bitcoin}}, {Trust: bitcoin}} {
			v := Verify(file, o)
			if v.Text() == "" || len(v.JSON()) == 0 || v.Level < LevelAnchored && v.Code == "" {
				t.Errorf("verdict without words: %+v", v)
			}
		}
	})
}

// FuzzDecode1 does so for version 1, whose body a reader must write again as it
// is.
func FuzzDecode1(f *testing.F) {
	all := makeVersion1(f)
	for _, file := range all.files {
		f.Add(bodyOf(f, mustEncode(f, file)))
	}
	o := all.options(f)
	f.Fuzz(func(t *testing.T, body []byte) {
		file, err := Decode(wrapped(t, body))
		if err != nil {
			if !errors.Is(err, ErrFile) {
				t.Errorf("error without a name: %v", err)
			}
			return
		}
		if err := file.check(); err != nil {
			t.Errorf("accepted, and refused again: %v", err)
		}
		if again, err := file.appendBody(nil); err != nil || !bytes.Equal(again, body) {
			t.Errorf("an accepted body is not written again: %v", err)
		}
		for _, o := range []Options{o, {}} {
			v := Verify(file, o)
			if v.Text() == "" || len(v.JSON()) == 0 || v.Level < LevelAnchored && v.Code == "" {
				t.Errorf("verdict without words: %+v", v)
			}
		}
	})
}

// FuzzInflate gives what stands packed in a file of version 1, and how much that
// is said to be: no more is made of it than that.
func FuzzInflate(f *testing.F) {
	body := bodyOf(f, mustEncode(f, makeVersion1(f).files["file1.update.proof"]))
	var b bytes.Buffer
	if err := deflate(&b, body); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes(), len(body))
	f.Add([]byte{1, 0, 0, 0xff, 0xff}, 0)
	f.Fuzz(func(t *testing.T, packed []byte, n int) {
		body, err := inflate(packed, n)
		if err != nil && !errors.Is(err, ErrFile) {
			t.Errorf("error without a name: %v", err)
		}
		if err == nil && len(body) != n || cap(body) > 2*(maxRatio*len(packed)+4096) {
			t.Errorf("%d bytes with room for %d of %d stated, packed in %d", len(body), cap(body), n, len(packed))
		}
	})
}

func FuzzParsePolicy(f *testing.F) {
	f.Add(newSite("a").policy().Append(nil))
	f.Add(newSite("a").policy2().Append(nil))
	f.Add([]byte("cairn-policy 1\nlate 1h\n# x\n"))
	f.Add([]byte("cairn-policy 2\nroute x ots\ngroup g any x\nquorum g\n"))
	f.Add(makeVersion1(f).policy.Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := ParsePolicy(b)
		if err != nil {
			if !errors.Is(err, ErrPolicy) {
				t.Errorf("error without a name: %v", err)
			}
			return
		}
		text := p.Append(nil)
		again, err := ParsePolicy(text)
		if err != nil || !bytes.Equal(again.Append(nil), text) {
			t.Errorf("%v for what was written:\n%s", err, text)
		}
		q := newQuorum(p)
		if (q == nil) != (p.Quorum == QuorumNone) {
			t.Errorf("quorum %+v of\n%s", q, text)
		}
		routes := make([]standing, max(1, len(p.Routes)))
		for i := range routes {
			routes[i] = standing{level: LevelPending, code: CodeNotTrusted}
		}
		if s := q.weigh(routes); s.code == "" || q.missing(routes) == "" && q != nil && q.need > 1 {
			t.Errorf("standing %+v, missing %q of\n%s", s, q.missing(routes), text)
		}
	})
}

func FuzzParseHeaders(f *testing.F) {
	f.Add(AppendHeader(nil, 1, aBlock().receipt(f).Header))
	f.Add([]byte("cairn-headers 1\n# x\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := ParseHeaders(b)
		if err != nil {
			if !errors.Is(err, ErrHeaders) {
				t.Errorf("error without a name: %v", err)
			}
			return
		}
		for k, v := range h.known {
			if _, ok, _ := h.Trusted(k.route, v.number, k.hash); !ok {
				t.Errorf("header %x was read and is not trusted", k.hash)
			}
		}
	})
}
