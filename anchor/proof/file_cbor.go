package proof

import (
	"fmt"
	"math"

	"cairn/merkle"
	"cairn/merkle/cbor"
)

func appendPath(dst []byte, p []merkle.Hash) []byte {
	dst = cbor.AppendHead(dst, cbor.Bytes, uint64(len(p)*merkle.HashSize))
	for i := range p {
		dst = append(dst, p[i][:]...)
	}
	return dst
}

// bodyErrors: a body is good, or no file.
var bodyErrors = func() *cbor.Errors {
	err := fmt.Errorf("%w: %w", ErrFile, ErrEncoding)
	return &cbor.Errors{Encoding: err, Item: err, Content: err}
}()

// bodyReader reads the body of a file of version 1. Byte strings that it returns
// are parts of the body; it hands out fields and hashes from slabs, as a file may
// have millions.
type bodyReader struct {
	cbor.Reader

	fields []Field
	hashes []merkle.Hash
}

func newBodyReader(b []byte) bodyReader { return bodyReader{Reader: cbor.NewReader(b, bodyErrors)} }

func (r *bodyReader) fail(format string, args ...any) { r.Fail(bodyErrors.Content, format, args...) }

func (r *bodyReader) uint() uint64       { return r.Uint("a number") }
func (r *bodyReader) int63() int64       { return int64(r.Uint63("a number")) }
func (r *bodyReader) tuple(n int)        { r.Tuple(n, "an array") }
func (r *bodyReader) list(limit int) int { return r.Array(limit, "elements") }
func (r *bodyReader) bytes() []byte      { return r.Bytes(math.MaxInt, "a string") }
func (r *bodyReader) text() string       { return r.Text(math.MaxInt, "a text") }
func (r *bodyReader) fixed(dst []byte)   { r.Fixed(dst, "a string") }

// position reads a position in a list, or another small number.
func (r *bodyReader) position() int {
	n := r.uint()
	if n > math.MaxInt32 {
		r.fail("the number %d is too great", n)
		return 0
	}
	return int(n)
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
