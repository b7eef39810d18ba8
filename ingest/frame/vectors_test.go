package frame

import (
	"bytes"
	"encoding/hex"
	"errors"
	"testing"
)

// Published vectors of the OpenTRV standards and of the firmware's own tests.
const (
	v1 = "084f028081" + "020001" + "23"
	v2 = "0e4f028081" + "087f117b2262223a31" + "61"
	v3 = "3ecf94aaaaaaaa20" +
		"b345f92969570cb8286614b4f069b00871dad8fe47c1c353834888037d587575" +
		"00002a000319" + "293b3152c326d26dd08d701e4b680dcb" + "80"
	v6a = "0421000065"
	v6b = "0c2148000000000000000000" + "29"
)

// v7 holds secure beacons with 0, 1, 2 and 4 ID bytes, otherwise as v3.
var v7 = map[int]string{
	0: "1aa1900000002a000319efbd995431739648381e8e5205f73c6180",
	1: "1ba191aa0000002a000319f27eb4d88e845cf4fc47c6f07e56c5f780",
	2: "1ca192aaaa0000002a000319f7eb79f676dca1b1075e1349ad98c28380",
	4: "1ea194aaaaaaaa0000002a0003195cd60720c93edf7552e8c4a1160b6bcb80",
}

const (
	v3Plaintext = `7f117b2262223a31`
	v3Counter   = Counter(0x00002a000319)
)

var v3ID = ID{0xaa, 0xaa, 0xaa, 0xaa, 0x55, 0x55, 0x55, 0x55}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func mustParse(t testing.TB, s string) Frame {
	t.Helper()
	f, err := Parse(unhex(t, s))
	if err != nil {
		t.Fatalf("Parse(%s): %v", s, err)
	}
	return f
}

func mustOpener(t testing.TB, k Key) *Opener {
	t.Helper()
	o, err := NewOpener(k)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func TestInsecureVectors(t *testing.T) {
	for _, tt := range []struct {
		name, wire    string
		typ, seq, crc byte
		id, body      string
	}{
		{"V1 valve", v1, TypeBasic, 0, 0x23, "8081", "0001"},
		{"V2 stats", v2, TypeBasic, 0, 0x61, "8081", v3Plaintext},
		{"V6 beacon without ID", v6a, TypeAlive, 0, 0x65, "", ""},
		{"V6 beacon with zero ID", v6b, TypeAlive, 4, 0x29, "0000000000000000", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := mustParse(t, tt.wire)
			if f.Type != tt.typ || f.Seq != tt.seq || f.Secure() || f.Counter() != 0 {
				t.Errorf("got type %#x seq %d secure %v counter %v", f.Type, f.Seq, f.Secure(), f.Counter())
			}
			if got := hex.EncodeToString(f.ID); got != tt.id {
				t.Errorf("ID: got %s want %s", got, tt.id)
			}
			if got := hex.EncodeToString(f.Body); got != tt.body {
				t.Errorf("body: got %s want %s", got, tt.body)
			}
			if !bytes.Equal(f.Trailer, []byte{tt.crc}) {
				t.Errorf("trailer: got %x want %x", f.Trailer, tt.crc)
			}
			again, err := AppendInsecure([]byte("before"), f.Type, f.Seq, f.ID, f.Body)
			if err != nil {
				t.Fatal(err)
			}
			if got := hex.EncodeToString(again[len("before"):]); got != tt.wire {
				t.Errorf("appended: got %s want %s", got, tt.wire)
			}
			if _, err := mustOpener(t, Key{}).Open(nil, f, v3ID); !errors.Is(err, ErrInsecure) {
				t.Errorf("Open: got %v want ErrInsecure", err)
			}
		})
	}
}

func TestSecureVector(t *testing.T) {
	wire := unhex(t, v3)
	var buf [MaxWire]byte
	datagram, err := ParseDatagram(wire[1:], &buf)
	if err != nil {
		t.Fatalf("ParseDatagram: %v", err)
	}
	if !bytes.Equal(datagram.Wire, wire) {
		t.Errorf("restored wire: got %x want %x", datagram.Wire, wire)
	}
	o := mustOpener(t, Key{})
	for _, f := range []Frame{mustParse(t, v3), datagram} {
		if f.Type != TypeBasic|SecureBit || f.Seq != 9 || f.Counter() != v3Counter {
			t.Errorf("got type %#x seq %d counter %v", f.Type, f.Seq, f.Counter())
		}
		if f.Counter().Restart() != 42 || f.Counter().Message() != 793 {
			t.Errorf("counter: got %d, %d want 42, 793", f.Counter().Restart(), f.Counter().Message())
		}
		got, err := o.Open(nil, f, v3ID)
		if err != nil {
			t.Fatalf("Open: %v", err)
		}
		if hex.EncodeToString(got) != v3Plaintext {
			t.Errorf("plaintext: got %x want %s", got, v3Plaintext)
		}
	}
	sealed, err := o.Seal(nil, TypeBasic, v3ID, 4, v3Counter, unhex(t, v3Plaintext))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(sealed, wire) {
		t.Errorf("sealed: got %x want %x", sealed, wire)
	}
}

func TestSecureBeacons(t *testing.T) {
	o := mustOpener(t, Key{})
	for il, want := range v7 {
		f := mustParse(t, want)
		body, err := o.Open([]byte("x"), f, v3ID)
		if err != nil || string(body) != "x" {
			t.Errorf("il %d: Open: got %q, %v want x", il, body, err)
		}
		if len(f.Wire) != 27+il || len(f.ID) != il {
			t.Errorf("il %d: got %d bytes, %d of ID", il, len(f.Wire), len(f.ID))
		}
		sealed, err := o.Seal([]byte("x"), TypeAlive, v3ID, il, v3Counter, nil)
		if err != nil || string(sealed[:1]) != "x" || hex.EncodeToString(sealed[1:]) != want {
			t.Errorf("il %d: Seal: got %x, %v want %s", il, sealed, err, want)
		}
	}
}

// N1: an early encoder wrote fl one too high and sequence number 0, and sealed
// with that header. Its tag is right, and the frame is refused all the same.
func TestLegacyEncoder(t *testing.T) {
	o := mustOpener(t, Key{})
	wire := unhex(t, v3)
	wire[0], wire[2] = 0x3f, 0x04
	pt := make([]byte, blockSize)
	copy(pt, unhex(t, v3Plaintext))
	pt[blockSize-1] = MaxSecureBody - 8
	nonce := unhex(t, "aaaaaaaa5555"+"00002a000319")
	sealed := o.aead.Seal(nil, nonce, pt, wire[:8])
	copy(wire[8:40], sealed)
	copy(wire[46:62], sealed[blockSize:])

	if _, err := Parse(wire); !errors.Is(err, ErrTruncated) {
		t.Errorf("fl one too high: got %v want ErrTruncated", err)
	}
	var buf [MaxWire]byte
	if _, err := ParseDatagram(wire[1:], &buf); !errors.Is(err, ErrSequence) {
		t.Errorf("sequence number 0: got %v want ErrSequence", err)
	}
	// With the sequence number repaired the header is not the sealed one.
	wire[2] = 0x94
	f, err := ParseDatagram(wire[1:], &buf)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := o.Open(nil, f, v3ID); !errors.Is(err, ErrTag) {
		t.Errorf("repaired: got %v want ErrTag", err)
	}
}

// N2, and each check of Parse at its edges.
func TestParseRefuses(t *testing.T) {
	flip := func(off int, v byte) string {
		b := unhex(t, v3)
		b[off] = v
		return hex.EncodeToString(b)
	}
	tests := []struct {
		name, wire string
		want       error
	}{
		{"empty", "", ErrShort},
		{"four bytes", "034f0000", ErrShort},
		{"fl below four", "034f000001", ErrShort},
		{"fl zero", "004f000001", ErrShort},
		{"fl 64", "40" + v3[2:] + "80", ErrLong},
		{"fl 255", "ff" + v3[2:], ErrLong},
		{"N2 truncated", "084f028081", ErrTruncated},
		{"one byte more", v1 + "00", ErrTrailing},
		{"type 00", "080002808102000123", ErrType},
		{"type 80", "088002808102000123", ErrType},
		{"type 7f", "087f02808102000123", ErrType},
		{"type ff", "08ff02808102000123", ErrType},
		{"il 9", "0d4f09010203040506070809" + "0023", ErrIDLength},
		{"il 15", flip(2, 0x9f), ErrIDLength},
		{"il over fl-4", "044f010023", ErrIDLength},
		{"bl over the frame", "084f028081040001" + "23", ErrBodyLength},
		{"bl 255", "084f028081ff0001" + "23", ErrBodyLength},
		{"N2 last byte 00", "084f02808102000100", ErrLastByte},
		{"N2 last byte ff", "084f028081020001ff", ErrLastByte},
		{"insecure trailer of 2", "084f02808101000123", ErrTrailerLength},
		{"insecure, wrong CRC", "084f02808102000122", ErrCRC},
		{"insecure, CRC with bit 7", "084f028081020001a3", ErrCRC},
		{"secure, scheme 81", flip(62, 0x81), ErrScheme},
		{"secure, trailer of 1", "04cf000080", ErrTrailerLength},
		{"secure, trailer of 22", "19a1900000002a000319efbd995431739648381e8e5205f73c80", ErrTrailerLength},
		{"secure, trailer of 24", "1ba1900000002a000319efbd995431739648381e8e5205f73c610080", ErrTrailerLength},
		{"secure, body of 16", "2acf9010" + v3[16:48] + v3[80:], ErrBodyLength},
		{"secure, body of 31", "3dcf94aaaaaaaa1f" + v3[16:78] + v3[80:], ErrBodyLength},
		{"secure, sequence", flip(2, 0x84), ErrSequence},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f, err := Parse(unhex(t, tt.wire))
			if !errors.Is(err, tt.want) || !errors.Is(err, ErrMalformed) {
				t.Errorf("got %v want %v", err, tt.want)
			}
			if f.Wire != nil {
				t.Errorf("got a frame: %+v", f)
			}
		})
	}
}

// N3: no bit of a frame can change unseen.
func TestSingleBitFlips(t *testing.T) {
	o := mustOpener(t, Key{})
	orig := unhex(t, v3)
	flips := 0
	for i := range 8 * len(orig) {
		wire := bytes.Clone(orig)
		wire[i/8] ^= 0x80 >> (i % 8)
		flips++
		f, err := Parse(wire)
		if err == nil {
			_, err = o.Open(nil, f, v3ID)
		}
		if err == nil {
			t.Errorf("bit %d: accepted", i)
		}
	}
	if flips != 504 {
		t.Errorf("got %d flips want 504", flips)
	}
}

// Nor can a frame be cut, lengthened or opened with anything but its key and ID.
func TestOpenRefuses(t *testing.T) {
	o := mustOpener(t, Key{})
	f := mustParse(t, v3)
	other := v3ID
	other[5] ^= 1
	if _, err := o.Open(nil, f, other); !errors.Is(err, ErrTag) {
		t.Errorf("ID differs beyond the wire: got %v want ErrTag", err)
	}
	beyond := v3ID
	beyond[6] ^= 1
	if _, err := o.Open(nil, f, beyond); err != nil {
		t.Errorf("ID differs beyond the nonce: got %v want nil", err)
	}
	other = v3ID
	other[0] ^= 1
	if _, err := o.Open(nil, f, other); !errors.Is(err, ErrNodeID) {
		t.Errorf("ID differs on the wire: got %v want ErrNodeID", err)
	}
	if _, err := mustOpener(t, Key{15: 1}).Open(nil, f, v3ID); !errors.Is(err, ErrTag) {
		t.Errorf("other key: got %v want ErrTag", err)
	}
	for _, made := range []Frame{
		{Type: TypeBasic | SecureBit},
		{Type: f.Type, Trailer: f.Trailer},
		{Type: f.Type, Trailer: f.Trailer, Body: f.Body[:16], Wire: f.Wire},
		{Type: f.Type, Trailer: f.Trailer, Body: f.Body, Wire: f.Wire, ID: make([]byte, 200)},
	} {
		if _, err := o.Open(nil, made, v3ID); !errors.Is(err, ErrMalformed) {
			t.Errorf("made up %+v: got %v want ErrMalformed", made, err)
		}
	}
	for i := range len(f.Wire) {
		if _, err := Parse(f.Wire[:i]); err == nil {
			t.Errorf("cut to %d bytes: accepted", i)
		}
	}
}

func TestCRC7(t *testing.T) {
	for _, tt := range []struct {
		crc  byte
		data string
		want byte
	}{
		{0, "123456789", 0x04},
		{0, "\x40\x27\x33\x34\x35\x36\x37", 11},
		{0x00, "\x00", 0x00},
		{0x40, "\x00", 0x1a},
		{0x50, "\x28", 0x7b},
		{0x7f, "", 0x7f},
	} {
		if got := CRC7(tt.crc, []byte(tt.data)); got != tt.want {
			t.Errorf("CRC7(%#x, %q): got %#x want %#x", tt.crc, tt.data, got, tt.want)
		}
	}
	// The table against the definition, bit by bit, over all its inputs.
	for crc := range 128 {
		for b := range 256 {
			want := byte(crc)
			for mask := 0x80; mask > 0; mask >>= 1 {
				feedback := (want&0x40 != 0) != (b&mask != 0)
				want <<= 1
				if feedback {
					want ^= 0x37
				}
				want &= 0x7f
			}
			if got := CRC7(byte(crc), []byte{byte(b)}); got != want {
				t.Fatalf("CRC7(%#x, %#x): got %#x want %#x", crc, b, got, want)
			}
		}
	}
}

// A CRC of 0 goes over the wire as 0x80; 00 is refused as a last byte.
func TestZeroCRC(t *testing.T) {
	for i := range 1 << 16 {
		wire, err := AppendInsecure(nil, TypeBasic, 0, nil, []byte{byte(i >> 8), byte(i)})
		if err != nil {
			t.Fatal(err)
		}
		last := len(wire) - 1
		if CRC7(0x7f, wire[:last]) != 0 {
			continue
		}
		if wire[last] != 0x80 {
			t.Fatalf("got %#x want 0x80", wire[last])
		}
		if _, err := Parse(wire); err != nil {
			t.Fatalf("Parse(%x): %v", wire, err)
		}
		wire[last] = 0
		if _, err := Parse(wire); !errors.Is(err, ErrLastByte) {
			t.Fatalf("Parse(%x): got %v want ErrLastByte", wire, err)
		}
		return
	}
	t.Fatal("no body has CRC 0")
}

func TestCounter(t *testing.T) {
	if a, b := Counter(0x000083000000), Counter(0x000082880101); a <= b {
		t.Errorf("%v is not after %v", a, b)
	}
	for _, tt := range []struct {
		c       Counter
		n       uint64
		want    Counter
		refused bool
	}{
		{0x000083000000, 1, 0x000083000001, false},
		{0x000083000001, 255, 0x000083000100, false},
		{0x000082ffffff, 1, 0x000083000000, false},
		{MaxCounter, 0, MaxCounter, false},
		{MaxCounter, 1, MaxCounter, true},
		{MaxCounter, 42, MaxCounter, true},
		{MaxCounter, 1<<64 - 1, MaxCounter, true},
		{MaxCounter - 1, 1, MaxCounter, false},
		{5, 1<<64 - 1, 5, true},
		{MaxCounter + 1, 0, MaxCounter + 1, true},
	} {
		got, err := tt.c.Add(tt.n)
		if got != tt.want || errors.Is(err, ErrCounter) != tt.refused {
			t.Errorf("%v + %d: got %v, %v want %v, refused %v", tt.c, tt.n, got, err, tt.want, tt.refused)
		}
	}
	// The receiver's sequence: accepted is what is greater than all before.
	last := Counter(0)
	for _, tt := range []struct {
		c    Counter
		want bool
	}{
		{0, false}, {0x000102030405, true}, {0, false}, {0x000102030406, true},
		{0x000102030409, true}, {0x000102030463, true}, {0x000102030463, false}, {0x000199018100, true},
	} {
		if got := tt.c > last; got != tt.want {
			t.Errorf("%v after %v: got %v want %v", tt.c, last, got, tt.want)
		} else if got {
			last = tt.c
		}
	}
	c := NewCounter(42, 793)
	if c != v3Counter || c.String() != "00002a000319" {
		t.Errorf("got %v want %v", c, v3Counter)
	}
	if got := hex.EncodeToString(c.Append([]byte{1})); got != "0100002a000319" {
		t.Errorf("appended: got %s", got)
	}
	if got := counterOf(c.Append(nil)); got != c {
		t.Errorf("read back: got %v want %v", got, c)
	}
}

// The primitive itself, against the published NIST vectors.
func TestAESGCM(t *testing.T) {
	for _, tt := range []struct{ key, iv, pt, aad, ct, tag string }{
		{
			"298efa1ccf29cf62ae6824bfc19557fc", "6f58a93fe1d207fae4ed2f6d",
			"cc38bccd6bc536ad919b1395f5d63801f99f8068d65ca5ac63872daf16b93901",
			"021fafd238463973ffe80256e5b1c6b1",
			"dfce4e9cd291103d7fe4e63351d9e79d3dfd391e3267104658212da96521b7db",
			"542465ef599316f73a7a560509a2d9f2",
		},
		{
			"00000000000000000000000000000000", "000000000000000000000000",
			"000000000000000000000000000000000000000000000000000000000000", "00000000",
			"0388dace60b6a392f328c2b971b2fe78f795aaab494b5923f7fd89ff948b",
			"614772c7929cd0dd681bd8a37a656f33",
		},
	} {
		o := mustOpener(t, Key(unhex(t, tt.key)))
		got := o.aead.Seal(nil, unhex(t, tt.iv), unhex(t, tt.pt), unhex(t, tt.aad))
		if hex.EncodeToString(got) != tt.ct+tt.tag {
			t.Errorf("got %x want %s%s", got, tt.ct, tt.tag)
		}
	}
}
