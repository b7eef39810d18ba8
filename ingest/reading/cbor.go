package reading

import (
	"encoding/binary"
	"fmt"
	"math"
	"unicode/utf8"
)

// Major types of RFC 8949 section 3.1, in the upper three bits of a head.
const (
	majorUint     = 0 << 5
	majorNegative = 1 << 5
	majorBytes    = 2 << 5
	majorText     = 3 << 5
	majorArray    = 4 << 5
	majorTag      = 6 << 5
	majorSimple   = 7 << 5
)

// The simple values that are allowed, as whole heads.
const (
	cborFalse = majorSimple | 20
	cborTrue  = majorSimple | 21
	cborNull  = majorSimple | 22
)

const tagDecimal = 4 // RFC 8949 section 3.4.4, decimal fraction

// appendHead appends the shortest head of a major type with argument n.
func appendHead(dst []byte, major byte, n uint64) []byte {
	switch {
	case n < 24:
		return append(dst, major|byte(n))
	case n <= math.MaxUint8:
		return append(dst, major|24, byte(n))
	case n <= math.MaxUint16:
		return append(dst, major|25, byte(n>>8), byte(n))
	case n <= math.MaxUint32:
		return binary.BigEndian.AppendUint32(append(dst, major|26), uint32(n))
	}
	return binary.BigEndian.AppendUint64(append(dst, major|27), n)
}

func appendInt(dst []byte, n int64) []byte {
	if n < 0 {
		return appendHead(dst, majorNegative, uint64(^n))
	}
	return appendHead(dst, majorUint, uint64(n))
}

func appendText(dst []byte, s string) []byte {
	return append(appendHead(dst, majorText, uint64(len(s))), s...)
}

// decoder reads core deterministic CBOR and remembers the first error, after
// which every read gives zeros. It accepts one encoding of each value only, so
// what it accepts is encoded again to the same bytes.
type decoder struct {
	b   []byte
	err error
}

func (d *decoder) fail(sentinel error, format string, args ...any) {
	if d.err == nil {
		d.err = fmt.Errorf("%w: %s", sentinel, fmt.Sprintf(format, args...))
	}
	d.b = nil
}

// head reads one head: its major type and its argument, which for the simple
// values is their number.
func (d *decoder) head() (major byte, n uint64) {
	if len(d.b) == 0 {
		d.fail(ErrEncoding, "it ends early")
		return 0, 0
	}
	major, info := d.b[0]&0xe0, d.b[0]&0x1f
	if info < 24 {
		d.b = d.b[1:]
		return major, uint64(info)
	}
	size := 1 << (info - 24) // 24, 25, 26, 27: one, two, four, eight bytes
	switch {
	case info > 27:
		d.fail(ErrEncoding, "indefinite length or reserved head 0x%02x", d.b[0])
		return 0, 0
	case major == majorSimple:
		d.fail(ErrEncoding, "float or unassigned simple value")
		return 0, 0
	case len(d.b) < 1+size:
		d.fail(ErrEncoding, "it ends inside a head")
		return 0, 0
	}
	for _, c := range d.b[1 : 1+size] {
		n = n<<8 | uint64(c)
	}
	if n < 24 || size > 1 && n>>(4*size) == 0 {
		d.fail(ErrEncoding, "a head is not the shortest")
		return 0, 0
	}
	d.b = d.b[1+size:]
	return major, n
}

// expect reads a head of the given major type.
func (d *decoder) expect(major byte, what string) uint64 {
	m, n := d.head()
	if d.err == nil && m != major {
		d.fail(ErrItem, "%s has major type %d", what, m>>5)
		return 0
	}
	return n
}

// null reports whether the next value is null, and reads it if so.
func (d *decoder) null() bool {
	if len(d.b) == 0 || d.b[0] != cborNull {
		return false
	}
	d.b = d.b[1:]
	return true
}

func (d *decoder) uint(what string) uint64 { return d.expect(majorUint, what) }

// int gives the signed integer whose head was read.
func (d *decoder) int(major byte, n uint64) int64 {
	if n > math.MaxInt64 {
		d.fail(ErrInvalid, "an integer needs more than 64 bits with its sign")
		return 0
	}
	if major == majorNegative {
		return ^int64(n)
	}
	return int64(n)
}

// take reads n bytes of content, at most limit.
func (d *decoder) take(n uint64, limit int, what string) []byte {
	switch {
	case d.err != nil:
		return nil
	case n > uint64(limit):
		d.fail(ErrInvalid, "%s is longer than %d bytes", what, limit)
		return nil
	case n > uint64(len(d.b)):
		d.fail(ErrEncoding, "it ends inside %s", what)
		return nil
	}
	s := d.b[:n]
	d.b = d.b[n:]
	return s
}

func (d *decoder) text(limit int, what string) string {
	s := d.take(d.expect(majorText, what), limit, what)
	if !utf8.Valid(s) {
		d.fail(ErrEncoding, "%s is not UTF-8", what)
		return ""
	}
	return string(s)
}

func (d *decoder) bytes(limit int, what string) []byte {
	return d.take(d.expect(majorBytes, what), limit, what)
}

// is reads a text that has to be this one.
func (d *decoder) is(want, what string) {
	s := d.take(d.expect(majorText, what), MaxItem, what)
	if d.err == nil && string(s) != want {
		d.fail(ErrItem, "%s is not %q", what, want)
	}
}

func (d *decoder) end() {
	if d.err == nil && len(d.b) != 0 {
		d.fail(ErrEncoding, "%d bytes follow it", len(d.b))
	}
}
