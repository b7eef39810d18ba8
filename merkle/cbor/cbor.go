// Package cbor writes and reads the part of CBOR (RFC 8949) that what is hashed
// and what leaves the site is made of: integers, byte strings, texts, arrays,
// maps and tags by their heads, false, true and null, in core deterministic
// encoding (section 4.2.1). No floats, no indefinite lengths.
//
// A Reader accepts one encoding of each value only, so what it accepts is written
// again to the same bytes, and it makes nothing larger than what it was given:
// strings are parts of the input. The order of a map's keys is for who reads it.
// The structures that are read by their Go types, and then written again to compare,
// go through github.com/fxamacker/cbor/v2 instead.
package cbor

import (
	"encoding/binary"
	"fmt"
	"math"
	"unicode/utf8"
)

// Major types of RFC 8949 section 3.1, in the upper three bits of a head.
const (
	Uint     = 0 << 5
	Negative = 1 << 5
	Bytes    = 2 << 5
	Text     = 3 << 5
	Array    = 4 << 5
	Map      = 5 << 5
	Tag      = 6 << 5
	Simple   = 7 << 5
)

// The simple values that are allowed, as whole heads.
const (
	False = Simple | 20
	True  = Simple | 21
	Null  = Simple | 22
)

// Decimal is the tag of a decimal fraction (RFC 8949 section 3.4.4).
const Decimal = 4

// AppendHead appends the shortest head of a major type with argument n.
func AppendHead(dst []byte, major byte, n uint64) []byte {
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

// AppendUint appends an unsigned integer.
func AppendUint(dst []byte, n uint64) []byte { return AppendHead(dst, Uint, n) }

// AppendInt appends an integer.
func AppendInt(dst []byte, n int64) []byte {
	if n < 0 {
		return AppendHead(dst, Negative, uint64(^n))
	}
	return AppendHead(dst, Uint, uint64(n))
}

// AppendBytes appends a byte string.
func AppendBytes(dst, b []byte) []byte {
	return append(AppendHead(dst, Bytes, uint64(len(b))), b...)
}

// AppendText appends a text.
func AppendText(dst []byte, s string) []byte {
	return append(AppendHead(dst, Text, uint64(len(s))), s...)
}

// AppendArray appends the head of an array of n elements.
func AppendArray(dst []byte, n int) []byte { return AppendHead(dst, Array, uint64(n)) }

// Errors are what the errors of a Reader wrap, which may be one and the same.
type Errors struct {
	Encoding error // bytes that are no value in this encoding
	Item     error // another value than was asked for
	Content  error // such a value beyond a limit
}

// Reader reads values one after the other and remembers the first error, after
// which every read gives zeros. What each read is told is the value's name, for
// the error.
type Reader struct {
	Rest []byte // what is still to be read
	Err  error  // the first; set by Fail

	errs *Errors
}

// NewReader begins to read b.
func NewReader(b []byte, errs *Errors) Reader { return Reader{Rest: b, errs: errs} }

// Fail ends the reading with an error that wraps the sentinel, unless one came before.
func (r *Reader) Fail(sentinel error, format string, args ...any) {
	if r.Err == nil {
		r.Err = fmt.Errorf("%w: %s", sentinel, fmt.Sprintf(format, args...))
	}
	r.Rest = nil
}

// End fails if anything is left.
func (r *Reader) End() {
	if r.Err == nil && len(r.Rest) != 0 {
		r.Fail(r.errs.Encoding, "%d bytes follow it", len(r.Rest))
	}
}

// Head reads a head: its major type and its argument, which for the simple values
// is their number.
func (r *Reader) Head() (major byte, n uint64) {
	if len(r.Rest) == 0 {
		r.Fail(r.errs.Encoding, "it ends early")
		return 0, 0
	}
	first := r.Rest[0]
	major, info := first&0xe0, first&0x1f
	if info < 24 {
		r.Rest = r.Rest[1:]
		return major, uint64(info)
	}
	size := 1 << (info - 24) // 24, 25, 26, 27: one, two, four, eight bytes
	switch {
	case info > 27:
		r.Fail(r.errs.Encoding, "indefinite length or reserved head 0x%02x", first)
		return 0, 0
	case major == Simple:
		r.Fail(r.errs.Encoding, "float or unassigned simple value")
		return 0, 0
	case len(r.Rest) < 1+size:
		r.Fail(r.errs.Encoding, "it ends inside a head")
		return 0, 0
	}
	for _, c := range r.Rest[1 : 1+size] {
		n = n<<8 | uint64(c)
	}
	if n < 24 || size > 1 && n>>(4*size) == 0 {
		r.Fail(r.errs.Encoding, "a head is not the shortest")
		return 0, 0
	}
	r.Rest = r.Rest[1+size:]
	return major, n
}

// Expect reads a head of this major type and returns its argument.
func (r *Reader) Expect(major byte, what string) uint64 {
	m, n := r.Head()
	if r.Err == nil && m != major {
		r.Fail(r.errs.Item, "%s has major type %d", what, m>>5)
		return 0
	}
	return n
}

// Null reports whether null comes next, and reads it if so.
func (r *Reader) Null() bool {
	if len(r.Rest) == 0 || r.Rest[0] != Null {
		return false
	}
	r.Rest = r.Rest[1:]
	return true
}

// Bool reads false or true.
func (r *Reader) Bool(what string) bool {
	n := r.Expect(Simple, what)
	if r.Err == nil && n != False&0x1f && n != True&0x1f {
		r.Fail(r.errs.Item, "%s is neither true nor false", what)
	}
	return n == True&0x1f
}

// Uint reads an unsigned integer.
func (r *Reader) Uint(what string) uint64 { return r.Expect(Uint, what) }

// Uint32 reads an unsigned integer of 32 bits.
func (r *Reader) Uint32(what string) uint32 {
	n := r.Uint(what)
	if n > math.MaxUint32 {
		r.Fail(r.errs.Content, "%s is beyond 32 bits", what)
		return 0
	}
	return uint32(n)
}

// Uint63 reads an unsigned integer of 63 bits: a number of leaves, the place of
// one, a time.
func (r *Reader) Uint63(what string) uint64 {
	n := r.Uint(what)
	if n > math.MaxInt64 {
		r.Fail(r.errs.Content, "%s is beyond 63 bits", what)
		return 0
	}
	return n
}

// Int reads an integer of 64 bits with its sign.
func (r *Reader) Int(what string) int64 {
	major, n := r.Head()
	if r.Err == nil && major != Uint && major != Negative {
		r.Fail(r.errs.Item, "%s is not an integer", what)
	}
	return r.IntOf(major, n)
}

// IntOf gives the integer whose head was read.
func (r *Reader) IntOf(major byte, n uint64) int64 {
	if r.Err != nil {
		return 0
	}
	if n > math.MaxInt64 {
		r.Fail(r.errs.Content, "an integer needs more than 64 bits with its sign")
		return 0
	}
	if major == Negative {
		return ^int64(n)
	}
	return int64(n)
}

// take reads n bytes of content, at most limit.
func (r *Reader) take(n uint64, limit int, what string) []byte {
	switch {
	case r.Err != nil:
		return nil
	case n > uint64(limit):
		r.Fail(r.errs.Content, "%s is longer than %d bytes", what, limit)
		return nil
	case n > uint64(len(r.Rest)):
		r.Fail(r.errs.Encoding, "it ends inside %s", what)
		return nil
	}
	s := r.Rest[:n:n]
	r.Rest = r.Rest[n:]
	return s
}

// Bytes reads a byte string of at most limit bytes, which is part of the input.
func (r *Reader) Bytes(limit int, what string) []byte {
	return r.take(r.Expect(Bytes, what), limit, what)
}

// BytesOf reads the byte string whose head was read.
func (r *Reader) BytesOf(n uint64, limit int, what string) []byte { return r.take(n, limit, what) }

// Fixed reads a byte string of just the length of dst into it.
func (r *Reader) Fixed(dst []byte, what string) {
	s := r.Bytes(len(dst), what)
	if r.Err == nil && len(s) != len(dst) {
		r.Fail(r.errs.Content, "%s has %d bytes, not %d", what, len(s), len(dst))
	}
	copy(dst, s)
}

// Text reads a text of at most limit bytes.
func (r *Reader) Text(limit int, what string) string {
	return r.TextOf(r.Expect(Text, what), limit, what)
}

// TextOf reads the text whose head was read.
func (r *Reader) TextOf(n uint64, limit int, what string) string {
	s := r.take(n, limit, what)
	if !utf8.Valid(s) {
		r.Fail(r.errs.Encoding, "%s is not UTF-8", what)
		return ""
	}
	return string(s)
}

// Array reads the head of an array of at most limit elements. Each has a byte at
// least, so that there are no more of them than bytes.
func (r *Reader) Array(limit int, what string) int {
	n := r.Expect(Array, what)
	switch {
	case n > uint64(limit):
		r.Fail(r.errs.Content, "over %d %s", limit, what)
		return 0
	case n > uint64(len(r.Rest)):
		r.Fail(r.errs.Encoding, "it ends inside %s", what)
		return 0
	}
	return int(n)
}

// Tuple reads the head of an array of just n elements.
func (r *Reader) Tuple(n int, what string) {
	if got := r.Expect(Array, what); r.Err == nil && got != uint64(n) {
		r.Fail(r.errs.Item, "%s has %d elements, not %d", what, got, n)
	}
}
