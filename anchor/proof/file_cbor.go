package proof

import (
	"encoding/binary"
	"fmt"
	"math"
	"unicode/utf8"

	"cairn/merkle"
)

// Major types of RFC 8949 section 3.1, in the upper three bits of a head, and
// the one simple value that a body has.
const (
	majorUint  = 0 << 5
	majorBytes = 2 << 5
	majorText  = 3 << 5
	majorArray = 4 << 5
	cborNull   = 0xf6
)

// appendCBORHead appends the shortest head of a major type with argument n.
func appendCBORHead(dst []byte, major byte, n uint64) []byte {
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

func appendCBORUint(dst []byte, n uint64) []byte { return appendCBORHead(dst, majorUint, n) }

func appendCBORArray(dst []byte, n int) []byte { return appendCBORHead(dst, majorArray, uint64(n)) }

func appendCBORText(dst []byte, s string) []byte {
	return append(appendCBORHead(dst, majorText, uint64(len(s))), s...)
}

func appendCBORBytes(dst, b []byte) []byte {
	return append(appendCBORHead(dst, majorBytes, uint64(len(b))), b...)
}

func appendCBORPath(dst []byte, p []merkle.Hash) []byte {
	dst = appendCBORHead(dst, majorBytes, uint64(len(p)*merkle.HashSize))
	for i := range p {
		dst = append(dst, p[i][:]...)
	}
	return dst
}

// bodyReader reads the body of a file of version 1, and remembers the first
// error, after which every read gives zeros. It accepts one encoding of each
// value only, so what it accepts is written again to the same bytes. Byte
// strings that it returns are parts of the body; it hands out fields and hashes
// from slabs, as a file may have millions.
type bodyReader struct {
	b   []byte
	err error

	fields []Field
	hashes []merkle.Hash
}

func (r *bodyReader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: %w: %s", ErrFile, ErrEncoding, fmt.Sprintf(format, args...))
	}
	r.b = nil
}

// head reads one head of a major type, and returns its argument.
func (r *bodyReader) head(major byte) uint64 {
	if len(r.b) == 0 {
		r.fail("it ends early")
		return 0
	}
	first := r.b[0]
	if first&0xe0 != major {
		r.fail("byte %02x begins another type than %02x", first, major)
		return 0
	}
	info := first & 0x1f
	if info < 24 {
		r.b = r.b[1:]
		return uint64(info)
	}
	if info > 27 {
		r.fail("byte %02x begins no value of a known length", first)
		return 0
	}
	size := 1 << (info - 24)
	if len(r.b) < 1+size {
		r.fail("it ends early")
		return 0
	}
	var n uint64
	for _, c := range r.b[1 : 1+size] {
		n = n<<8 | uint64(c)
	}
	if size == 1 && n < 24 || size > 1 && n>>(4*size) == 0 {
		r.fail("the number %d is longer than it must be", n)
		return 0
	}
	r.b = r.b[1+size:]
	return n
}

func (r *bodyReader) uint() uint64 { return r.head(majorUint) }

// int63 reads a number that a signed one of 63 bits can hold.
func (r *bodyReader) int63() int64 {
	n := r.uint()
	if n > math.MaxInt64 {
		r.fail("the number %d is too great", n)
		return 0
	}
	return int64(n)
}

// position reads a position in a list, or another small number.
func (r *bodyReader) position() int {
	n := r.uint()
	if n > math.MaxInt32 {
		r.fail("the number %d is too great", n)
		return 0
	}
	return int(n)
}

// tuple reads the head of an array of so many elements.
func (r *bodyReader) tuple(n uint64) {
	if got := r.head(majorArray); r.err == nil && got != n {
		r.fail("an array of %d, want %d", got, n)
	}
}

// list reads the head of an array of at most limit elements.
func (r *bodyReader) list(limit int) int {
	n := r.head(majorArray)
	if n > uint64(limit) {
		r.fail("an array of %d, at most %d", n, limit)
		return 0
	}
	return int(n)
}

// null reads a null if there is one.
func (r *bodyReader) null() bool {
	if len(r.b) == 0 || r.b[0] != cborNull {
		return false
	}
	r.b = r.b[1:]
	return true
}

// bytes reads a byte string.
func (r *bodyReader) bytes() []byte { return r.take(r.head(majorBytes)) }

func (r *bodyReader) take(n uint64) []byte {
	if n > uint64(len(r.b)) {
		r.fail("a string of %d bytes ends early", n)
		return nil
	}
	b := r.b[:n:n]
	r.b = r.b[n:]
	return b
}

// fixed reads a byte string of just the length of dst.
func (r *bodyReader) fixed(dst []byte) {
	b := r.bytes()
	if r.err == nil && len(b) != len(dst) {
		r.fail("%d bytes, want %d", len(b), len(dst))
	}
	copy(dst, b)
}

func (r *bodyReader) text() string {
	b := r.take(r.head(majorText))
	if !utf8.Valid(b) {
		r.fail("a text is not UTF-8")
		return ""
	}
	return string(b)
}

// slab is how many elements are made at once for small lists.
const slab = 1024

func (r *bodyReader) path() Path {
	b := r.bytes()
	n := len(b) / merkle.HashSize
	if len(b)%merkle.HashSize != 0 || n > maxPath {
		r.fail("a path of %d bytes", len(b))
		return nil
	}
	if n == 0 {
		return nil
	}
	if len(r.hashes) < n {
		r.hashes = make([]merkle.Hash, slab)
	}
	p := r.hashes[:n:n]
	r.hashes = r.hashes[n:]
	for i := range p {
		copy(p[i][:], b[i*merkle.HashSize:])
	}
	return p
}

// fieldList reads up to maxShown fields.
func (r *bodyReader) fieldList() []Field {
	n := r.list(maxShown)
	if n == 0 {
		return nil
	}
	if len(r.fields) < n {
		r.fields = make([]Field, slab)
	}
	list := r.fields[:n:n]
	r.fields = r.fields[n:]
	for i := range list {
		r.tuple(3)
		list[i].Index = r.position()
		list[i].Item = r.bytes()
		r.fixed(list[i].Salt[:])
	}
	return list
}
