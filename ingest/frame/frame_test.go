package frame

import (
	"bytes"
	"encoding/gob"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
)

func TestSealRoundTrip(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for n := range MaxSecureBody + 1 {
		for il := range maxIDLength + 1 {
			var k Key
			var id ID
			for i := range k {
				k[i] = byte(rng.Uint32())
			}
			for i := range id {
				id[i] = byte(rng.Uint32())
			}
			body := make([]byte, n)
			for i := range body {
				body[i] = byte(rng.Uint32()) & 1 // many zeros, as in the padding
			}
			c := Counter(rng.Uint64()) & MaxCounter
			o := mustOpener(t, k)
			wire, err := o.Seal(nil, TypeBasic, id, il, c, body)
			if n > 0 && il > 5 {
				if !errors.Is(err, ErrLong) {
					t.Errorf("%d bytes, il %d: got %v want ErrLong", n, il, err)
				}
				continue
			}
			if err != nil {
				t.Fatalf("%d bytes, il %d: %v", n, il, err)
			}
			f, err := Parse(wire)
			if err != nil {
				t.Fatalf("Parse(%x): %v", wire, err)
			}
			if f.Counter() != c {
				t.Errorf("counter: got %v want %v", f.Counter(), c)
			}
			got, err := o.Open(nil, f, id)
			if err != nil || !bytes.Equal(got, body) {
				t.Errorf("%d bytes, il %d: got %x, %v want %x", n, il, got, err, body)
			}
		}
	}
}

func TestSealRefuses(t *testing.T) {
	o := mustOpener(t, Key{})
	for _, tt := range []struct {
		name  string
		typ   byte
		idLen int
		c     Counter
		body  []byte
		want  error
	}{
		{"type 00", 0, 4, 1, nil, ErrType},
		{"type 80", 0x80, 4, 1, nil, ErrType},
		{"type 7f", 0x7f, 4, 1, nil, ErrType},
		{"ID of -1", TypeAlive, -1, 1, nil, ErrIDLength},
		{"ID of 9", TypeAlive, 9, 1, nil, ErrIDLength},
		{"counter", TypeAlive, 4, MaxCounter + 1, nil, ErrCounter},
		{"body of 32", TypeBasic, 4, 1, make([]byte, 32), ErrBodyLength},
		{"no room", TypeBasic, 6, 1, make([]byte, 1), ErrLong},
	} {
		if b, err := o.Seal([]byte("x"), tt.typ, v3ID, tt.idLen, tt.c, tt.body); !errors.Is(err, tt.want) || b != nil {
			t.Errorf("%s: got %x, %v want %v", tt.name, b, err, tt.want)
		}
	}
	for _, tt := range []struct {
		name     string
		typ, seq byte
		id, body []byte
		want     error
	}{
		{"secure type", TypeBasic | SecureBit, 0, nil, nil, ErrType},
		{"type 7f", 0x7f, 0, nil, nil, ErrType},
		{"seq 16", TypeBasic, 16, nil, nil, ErrSequence},
		{"ID of 9", TypeBasic, 0, make([]byte, 9), nil, ErrIDLength},
		{"too long", TypeBasic, 0, nil, make([]byte, 60), ErrLong},
		{"far too long", TypeBasic, 0, nil, make([]byte, 256), ErrLong},
	} {
		if b, err := AppendInsecure(nil, tt.typ, tt.seq, tt.id, tt.body); !errors.Is(err, tt.want) || b != nil {
			t.Errorf("%s: got %x, %v want %v", tt.name, b, err, tt.want)
		}
	}
	longest, err := AppendInsecure(nil, TypeBasic, 15, nil, make([]byte, 59))
	if err != nil || len(longest) != MaxWire {
		t.Errorf("longest: got %d bytes, %v want %d", len(longest), err, MaxWire)
	}
}

// Every last block but the exact padding is authentic and refused.
func TestPadding(t *testing.T) {
	o := mustOpener(t, Key{})
	seal := func(pt [blockSize]byte) Frame {
		header, err := appendHeader(nil, TypeBasic|SecureBit, 9, v3ID[:4], blockSize, secureTrailer)
		if err != nil {
			t.Fatal(err)
		}
		sealed := o.aead.Seal(nil, v3Counter.Append(v3ID[:6:6]), pt[:], header)
		wire := append(header, sealed[:blockSize]...)
		wire = append(v3Counter.Append(wire), sealed[blockSize:]...)
		f, err := Parse(append(wire, secureVersion))
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	for last := range 256 {
		f := seal([blockSize]byte{blockSize - 1: byte(last)})
		body, err := o.Open(nil, f, v3ID)
		if last > 31 {
			if !errors.Is(err, ErrPadding) {
				t.Errorf("count %d: got %x, %v want ErrPadding", last, body, err)
			}
		} else if err != nil || len(body) != 31-last {
			t.Errorf("count %d: got %d bytes, %v want %d", last, len(body), err, 31-last)
		}
	}
	for fill := 1; fill <= 31; fill++ {
		for at := range 31 {
			pt := [blockSize]byte{blockSize - 1: byte(fill)}
			pt[at] = 1
			_, err := o.Open(nil, seal(pt), v3ID)
			if inFill := at >= 31-fill; errors.Is(err, ErrPadding) != inFill {
				t.Errorf("fill %d, byte at %d: got %v", fill, at, err)
			}
		}
	}
}

func TestOpenerConcurrently(t *testing.T) {
	o := mustOpener(t, Key{})
	wire := unhex(t, v3)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 200 {
				body := []byte{byte(i), byte(j), 3}
				b, err := o.Seal(nil, TypeBasic, v3ID, 4, Counter(j), body)
				if err != nil {
					t.Error(err)
					return
				}
				f, err := Parse(b)
				if err != nil {
					t.Error(err)
					return
				}
				if got, err := o.Open(nil, f, v3ID); err != nil || !bytes.Equal(got, body) {
					t.Errorf("got %x, %v want %x", got, err, body)
				}
				var buf [MaxWire]byte
				if f, err = ParseDatagram(wire[1:], &buf); err != nil {
					t.Error(err)
					return
				}
				if _, err := o.Open(nil, f, v3ID); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

func TestHotPathDoesNotAllocate(t *testing.T) {
	o := mustOpener(t, Key{})
	datagram := unhex(t, v3)[1:]
	insecure := unhex(t, v2)
	dst := make([]byte, 0, blockSize)
	out := make([]byte, 0, MaxWire)
	for name, f := range map[string]func(){
		"ParseDatagram, Open, ParseBody": func() {
			var buf [MaxWire]byte
			f, err := ParseDatagram(datagram, &buf)
			if err != nil {
				t.Fatal(err)
			}
			pt, err := o.Open(dst[:0], f, v3ID)
			if err != nil {
				t.Fatal(err)
			}
			if b, err := ParseBody(pt); err != nil || b.Valve != -1 {
				t.Fatal(b, err)
			}
		},
		"Open, wrong key": func() {
			var buf [MaxWire]byte
			f, err := ParseDatagram(datagram, &buf)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := o.Open(dst[:0], f, ID{0xaa, 0xaa, 0xaa, 0xaa}); err != ErrTag {
				t.Fatal(err)
			}
		},
		"Parse insecure": func() {
			if _, err := Parse(insecure); err != nil {
				t.Fatal(err)
			}
		},
		"Seal": func() {
			if _, err := o.Seal(out[:0], TypeBasic, v3ID, 4, v3Counter, datagram[:31]); err != nil {
				t.Fatal(err)
			}
		},
	} {
		if got := testing.AllocsPerRun(200, f); got != 0 {
			t.Errorf("%s: got %v allocations want 0", name, got)
		}
	}
}

// A caller may append behind a parsed part without touching the next one.
func TestPartsDoNotOverlap(t *testing.T) {
	f := mustParse(t, v3)
	_ = append(f.ID, 1)
	_ = append(f.Body, 2)
	if !bytes.Equal(f.Wire, unhex(t, v3)) {
		t.Errorf("appending changed the frame: %x", f.Wire)
	}
}

func TestParseDump(t *testing.T) {
	for _, wire := range []string{v1, v2, v3, v6a, v6b, v7[0], v7[4]} {
		b := unhex(t, wire)
		var buf [MaxWire]byte
		for _, dump := range [][]byte{b, b[1:]} {
			f, err := ParseDump(dump, &buf)
			if err != nil || !bytes.Equal(f.Wire, b) {
				t.Errorf("ParseDump(%x): got %x, %v want %x", dump, f.Wire, err, b)
			}
		}
	}
	var buf [MaxWire]byte
	for _, dump := range [][]byte{nil, {0}, make([]byte, 200), append([]byte{199}, make([]byte, 199)...)} {
		if _, err := ParseDump(dump, &buf); !errors.Is(err, ErrMalformed) {
			t.Errorf("ParseDump of %d bytes: got %v want ErrMalformed", len(dump), err)
		}
	}
}

func TestID(t *testing.T) {
	id, err := ParseID("8CD3878aCDCE86BB")
	if err != nil || id.String() != "8cd3878acdce86bb" {
		t.Errorf("got %v, %v", id, err)
	}
	for _, s := range []string{"", "8cd3", "8cd3878acdce86b", "8cd3878acdce86bbb", "8cd3878acdce86bx", " 8cd3878acdce86b"} {
		if _, err := ParseID(s); !errors.Is(err, ErrID) {
			t.Errorf("ParseID(%q): got %v want ErrID", s, err)
		}
	}
	for n := range 9 {
		if !id.HasPrefix(id[:n]) {
			t.Errorf("prefix of %d bytes not seen", n)
		}
	}
	if id.HasPrefix([]byte{0x8c, 0xd4}) || id.HasPrefix(make([]byte, 9)) {
		t.Error("foreign prefix accepted")
	}
}

func TestParseKey(t *testing.T) {
	k, err := ParseKey("000102030405060708090a0b0c0d0eFF")
	if err != nil || k != (Key{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 255}) {
		t.Errorf("got %x, %v", [16]byte(k), err)
	}
	for _, s := range []string{"", "00", strings.Repeat("f", 32), strings.Repeat("0", 31) + "g", strings.Repeat("0", 33)} {
		if _, err := ParseKey(s); err != ErrKey {
			t.Errorf("ParseKey(%q): got %v want ErrKey alone", s, err)
		}
	}
	if _, err := NewOpener(Key(bytes.Repeat([]byte{0xff}, 16))); !errors.Is(err, ErrKey) {
		t.Errorf("NewOpener of all ff: got %v want ErrKey", err)
	}
}

func TestKeyIsNeverPrinted(t *testing.T) {
	k := Key(bytes.Repeat([]byte{0xab}, 16))
	holder := struct {
		K  Key
		P  *Key
		Ks []Key
	}{k, &k, []Key{k}}
	var out strings.Builder
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%o", "%c", "%b", "%08x"} {
		fmt.Fprintf(&out, verb+"\n", k)
		fmt.Fprintf(&out, verb+"\n", &k)
		fmt.Fprintf(&out, verb+"\n", holder)
	}
	fmt.Fprintln(&out, k, k.String(), k.GoString())
	for _, h := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
		slog.New(h).Info("m", "key", k, "pointer", &k, "holder", holder)
	}
	for _, form := range []string{"abab", "ABAB", "171", "253", "10101011", "«"} {
		if strings.Contains(out.String(), form) {
			t.Errorf("printed as %s:\n%s", form, out.String())
		}
	}
	if b, err := json.Marshal(holder); err == nil {
		t.Errorf("marshalled: %s", b)
	}
	if err := gob.NewEncoder(io.Discard).Encode(k); err == nil {
		t.Error("gob wrote a key")
	}
}

func BenchmarkParse(b *testing.B) {
	for name, s := range map[string]string{"secure": v3, "insecure": v2} {
		wire := unhex(b, s)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Parse(wire); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkOpen(b *testing.B) {
	o := mustOpener(b, Key{})
	datagram := unhex(b, v3)[1:]
	dst := make([]byte, 0, blockSize)
	var buf [MaxWire]byte
	b.ReportAllocs()
	for b.Loop() {
		f, err := ParseDatagram(datagram, &buf)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := o.Open(dst[:0], f, v3ID); err != nil {
			b.Fatal(err)
		}
	}
}
