package store

import (
	"encoding/binary"
	"fmt"
	"math"
	"unicode/utf8"

	"cairn/merkle"
)

// What leaves the site and is read by others is coded by hand: no read makes more
// than the bytes that it was given, and of each value there is one encoding.

// The major types that a group has, in the upper three bits of a head.
const (
	cborUint  = 0 << 5
	cborBytes = 2 << 5
	cborText  = 3 << 5
	cborArray = 4 << 5
	cborNull  = 7<<5 | 22
)

func putHead(dst []byte, major byte, n uint64) []byte {
	switch {
	case n < 24:
		return append(dst, major|byte(n))
	case n <= math.MaxUint8:
		return append(dst, major|24, byte(n))
	case n <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(dst, major|25), uint16(n))
	case n <= math.MaxUint32:
		return binary.BigEndian.AppendUint32(append(dst, major|26), uint32(n))
	}
	return binary.BigEndian.AppendUint64(append(dst, major|27), n)
}

func putUint(dst []byte, n uint64) []byte { return putHead(dst, cborUint, n) }
func putArray(dst []byte, n int) []byte   { return putHead(dst, cborArray, uint64(n)) }
func putText(dst []byte, s string) []byte {
	return append(putHead(dst, cborText, uint64(len(s))), s...)
}
func putBytes(dst, b []byte) []byte            { return append(putHead(dst, cborBytes, uint64(len(b))), b...) }
func putHash(dst []byte, h merkle.Hash) []byte { return putBytes(dst, h[:]) }

// wireReader reads such an encoding. After the first error all reads give zeros.
type wireReader struct {
	b   []byte
	err error
}

// readWire begins to read an array of so many elements, its type first.
func readWire(b []byte, elements int, kind string) *wireReader {
	r := &wireReader{b: b}
	if len(b) > MaxGroup {
		r.fail("%d bytes, at most %d", len(b), MaxGroup)
	}
	r.tuple(elements)
	if got := r.text(64); r.err == nil && got != kind {
		r.fail("its type is not %q", kind)
	}
	return r
}

func (r *wireReader) fail(format string, a ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: %s", ErrGroup, fmt.Sprintf(format, a...))
	}
	r.b = nil
}

func (r *wireReader) require(ok bool, format string, a ...any) {
	if r.err == nil && !ok {
		r.fail(format, a...)
	}
}

// end is the first error, or one for bytes that are left.
func (r *wireReader) end() error {
	r.require(len(r.b) == 0, "%d bytes follow it", len(r.b))
	return r.err
}

// head reads the head of a value of this major type, the shortest there is.
func (r *wireReader) head(major byte) uint64 {
	if len(r.b) == 0 || r.b[0]&0xe0 != major || r.b[0]&0x1f > 27 {
		r.fail("it holds something else, or ends")
		return 0
	}
	info := r.b[0] & 0x1f
	if info < 24 {
		r.b = r.b[1:]
		return uint64(info)
	}
	size := 1 << (info - 24)
	if len(r.b) < 1+size {
		r.fail("it ends inside a number")
		return 0
	}
	var n uint64
	for _, c := range r.b[1 : 1+size] {
		n = n<<8 | uint64(c)
	}
	if n < 24 || size > 1 && n>>(4*size) == 0 {
		r.fail("a number is not the shortest")
		return 0
	}
	r.b = r.b[1+size:]
	return n
}

func (r *wireReader) uint() uint64 { return r.head(cborUint) }

// at reads a number of leaves, the place of one, or a time.
func (r *wireReader) at() uint64 {
	n := r.uint()
	if n > merkle.MaxSize {
		r.fail("a number beyond 63 bits")
		return 0
	}
	return n
}

func (r *wireReader) uint32() uint32 {
	n := r.uint()
	if n > math.MaxUint32 {
		r.fail("a number beyond 32 bits")
		return 0
	}
	return uint32(n)
}

func (r *wireReader) string(major byte, limit int) []byte {
	n := r.head(major)
	if n > uint64(limit) || n > uint64(len(r.b)) {
		r.fail("a string of %d bytes", n)
		return nil
	}
	s := r.b[:n:n]
	r.b = r.b[n:]
	return s
}

func (r *wireReader) bytes(limit int) []byte {
	return append([]byte(nil), r.string(cborBytes, limit)...)
}

func (r *wireReader) text(limit int) string {
	s := r.string(cborText, limit)
	r.require(utf8.Valid(s), "a text that is not UTF-8")
	return string(s)
}

// fixed reads a byte string of just the length of dst.
func (r *wireReader) fixed(dst []byte) {
	n := copy(dst, r.string(cborBytes, len(dst)))
	r.require(n == len(dst), "a string of %d bytes, not %d", n, len(dst))
}

func (r *wireReader) hash() (h merkle.Hash) {
	r.fixed(h[:])
	return h
}

func (r *wireReader) salt() (s [16]byte) {
	r.fixed(s[:])
	return s
}

// list reads the head of an array, of at most limit elements of at least size
// bytes each.
func (r *wireReader) list(limit, size int) int {
	n := r.head(cborArray)
	if n > uint64(limit) || n*uint64(size) > uint64(len(r.b)) {
		r.fail("a list of %d", n)
		return 0
	}
	return int(n)
}

func (r *wireReader) tuple(n int) {
	if got := r.head(cborArray); got != uint64(n) {
		r.fail("%d elements, not %d", got, n)
	}
}

// null reports whether null comes next, and reads it if so.
func (r *wireReader) null() bool {
	if len(r.b) == 0 || r.b[0] != cborNull {
		return false
	}
	r.b = r.b[1:]
	return true
}
