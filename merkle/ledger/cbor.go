package ledger

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"unicode/utf8"

	"cairn/merkle"
)

// Errors say what to do with foreign bytes: an ErrEncoding was not written by
// a program that follows the format at all; an ErrItem is something else than
// was asked for, so look for a mix-up of items; an ErrInvalid has the right
// shape but a content that no ledger may have. All are final.
var (
	ErrEncoding = errors.New("not core deterministic CBOR")
	ErrItem     = errors.New("not this item")
	ErrInvalid  = errors.New("invalid content")
)

// Major types of RFC 8949 section 3.1, in the upper three bits of a head.
const (
	majorUint     = 0 << 5
	majorNegative = 1 << 5
	majorBytes    = 2 << 5
	majorText     = 3 << 5
	majorArray    = 4 << 5
	majorMap      = 5 << 5
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

// appendOpen appends the head of an item's array and its type.
func appendOpen(dst []byte, elements int, kind string) []byte {
	return appendText(appendHead(dst, majorArray, uint64(elements)), kind)
}

func appendUint(dst []byte, n uint64) []byte { return appendHead(dst, majorUint, n) }

func appendInt(dst []byte, n int64) []byte {
	if n < 0 {
		return appendHead(dst, majorNegative, uint64(^n))
	}
	return appendHead(dst, majorUint, uint64(n))
}

// appendTime appends Unix milliseconds. Times before 1970 have no encoding as
// such; they come out as numbers that no reader accepts.
func appendTime(dst []byte, ms int64) []byte { return appendHead(dst, majorUint, uint64(ms)) }

func appendText(dst []byte, s string) []byte {
	return append(appendHead(dst, majorText, uint64(len(s))), s...)
}

func appendBytes(dst, b []byte) []byte {
	return append(appendHead(dst, majorBytes, uint64(len(b))), b...)
}

func appendHash(dst []byte, h *merkle.Hash) []byte {
	return append(append(dst, majorBytes|24, merkle.HashSize), h[:]...)
}

func appendBool(dst []byte, b bool) []byte {
	if b {
		return append(dst, cborTrue)
	}
	return append(dst, cborFalse)
}

// decoder reads one item in core deterministic CBOR and remembers the first
// error, after which every read gives zeros. It accepts one encoding of each
// value only, so what it accepts is encoded again to the same bytes.
type decoder struct {
	item string // its name, for errors
	b    []byte
	err  error
}

// decode starts to read an item of at most limit bytes, which is an array of
// so many elements, its type first.
func decode(item string, b []byte, limit, elements int, kind string) *decoder {
	d := &decoder{item: item, b: b}
	if n := d.expect(majorArray, "it"); d.err == nil && n != uint64(elements) {
		d.fail(ErrItem, "%d elements, not %d", n, elements)
	}
	if s := d.text(64, "the type"); d.err == nil && s != kind {
		d.fail(ErrItem, "its type is not %q", kind)
	}
	if len(b) > limit {
		d.fail(ErrInvalid, "over %d bytes", limit)
	}
	return d
}

// finish returns what was read, or its zero value and the first error.
func finish[T any](d *decoder, v T) (T, error) {
	if d.err == nil && len(d.b) != 0 {
		d.fail(ErrEncoding, "%d bytes follow it", len(d.b))
	}
	if d.err != nil {
		var zero T
		return zero, d.err
	}
	return v, nil
}

func (d *decoder) fail(sentinel error, format string, args ...any) {
	if d.err == nil {
		d.err = fmt.Errorf("%s: %w: %s", d.item, sentinel, fmt.Sprintf(format, args...))
	}
	d.b = nil
}

// require refuses the content unless ok.
func (d *decoder) require(ok bool, otherwise string) {
	if d.err == nil && !ok {
		d.fail(ErrInvalid, "%s", otherwise)
	}
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

func (d *decoder) uint32(what string) uint32 {
	n := d.uint(what)
	if n > math.MaxUint32 {
		d.fail(ErrInvalid, "%s is beyond 32 bits", what)
		return 0
	}
	return uint32(n)
}

// size reads a number of leaves, or the place of one.
func (d *decoder) size(what string) uint64 {
	n := d.uint(what)
	if n > merkle.MaxSize {
		d.fail(ErrInvalid, "%s is beyond 63 bits", what)
		return 0
	}
	return n
}

func (d *decoder) time(what string) int64 { return int64(d.size(what)) }

func (d *decoder) bool(what string) bool {
	n := d.expect(majorSimple, what)
	if d.err == nil && n != cborFalse&0x1f && n != cborTrue&0x1f {
		d.fail(ErrItem, "%s is neither true nor false", what)
	}
	return n == cborTrue&0x1f
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
	s := d.b[:n:n]
	d.b = d.b[n:]
	return s
}

func (d *decoder) text(limit int, what string) string {
	return d.textOf(d.expect(majorText, what), limit, what)
}

// textOf reads the text whose head was read.
func (d *decoder) textOf(n uint64, limit int, what string) string {
	s := d.take(n, limit, what)
	if !utf8.Valid(s) {
		d.fail(ErrEncoding, "%s is not UTF-8", what)
		return ""
	}
	return string(s)
}

// fixed reads a byte string of just the length of dst into it.
func (d *decoder) fixed(dst []byte, what string) {
	s := d.take(d.expect(majorBytes, what), len(dst), what)
	d.require(len(s) == len(dst), what+" is too short")
	copy(dst, s)
}

func (d *decoder) hash(what string) (h merkle.Hash) {
	d.fixed(h[:], what)
	return h
}

// list reads the head of an array of at most limit elements.
func (d *decoder) list(limit int, what string) int {
	n := d.expect(majorArray, what)
	if n > uint64(limit) {
		d.fail(ErrInvalid, "over %d %s", limit, what)
		return 0
	}
	return int(n)
}

// tuple reads the head of an array of just n elements.
func (d *decoder) tuple(n int, what string) {
	if got := d.expect(majorArray, what); d.err == nil && got != uint64(n) {
		d.fail(ErrItem, "%s has %d elements, not %d", what, got, n)
	}
}

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

func (d *decoder) signed(what string) int64 {
	major, n := d.head()
	if d.err == nil && major != majorUint && major != majorNegative {
		d.fail(ErrItem, "%s is not an integer", what)
	}
	if d.err != nil {
		return 0
	}
	return d.int(major, n)
}

// number reads an integer or decimal fraction in the value coding of a reading
// and returns its bytes.
func (d *decoder) number(what string) []byte {
	start := d.b
	if len(start) > 0 && start[0] == majorTag|tagDecimal {
		d.b = d.b[1:]
		d.tuple(2, what)
		exp, mantissa := d.signed(what), d.signed(what)
		d.require(exp < 0 && exp >= -128 && mantissa%10 != 0, what+" is no decimal fraction in its normal form")
	} else {
		d.signed(what)
	}
	if d.err != nil {
		return nil
	}
	n := len(start) - len(d.b)
	return start[:n:n]
}

// printable reads a text of printable ASCII.
func (d *decoder) printable(limit int, what string) string {
	s := d.text(limit, what)
	d.require(printable(s), what+" is not printable ASCII")
	return s
}

func printable(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}
