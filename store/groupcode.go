package store

import (
	"cairn/merkle"
	"cairn/merkle/cbor"
)

func putArray(dst []byte, n int) []byte        { return cbor.AppendArray(dst, n) }
func putUint(dst []byte, n uint64) []byte      { return cbor.AppendUint(dst, n) }
func putText(dst []byte, s string) []byte      { return cbor.AppendText(dst, s) }
func putBytes(dst, b []byte) []byte            { return cbor.AppendBytes(dst, b) }
func putHash(dst []byte, h merkle.Hash) []byte { return cbor.AppendBytes(dst, h[:]) }

// groupErrors: whatever is wrong with a group, it is no group.
var groupErrors = &cbor.Errors{Encoding: ErrGroup, Item: ErrGroup, Content: ErrGroup}

// wireReader reads what leaves the site and is read by others.
type wireReader struct{ cbor.Reader }

// readWire begins to read an array of so many elements, its type first.
func readWire(b []byte, elements int, kind string) *wireReader {
	r := &wireReader{cbor.NewReader(b, groupErrors)}
	r.require(len(b) <= MaxGroup, "%d bytes, at most %d", len(b), MaxGroup)
	r.tuple(elements)
	got := r.text(64)
	r.require(got == kind, "its type is not %q", kind)
	return r
}

func (r *wireReader) require(ok bool, format string, a ...any) {
	if r.Err == nil && !ok {
		r.Fail(ErrGroup, format, a...)
	}
}

// end is the first error, or one for bytes that are left.
func (r *wireReader) end() error {
	r.End()
	return r.Err
}

func (r *wireReader) uint() uint64            { return r.Uint("a number") }
func (r *wireReader) uint32() uint32          { return r.Uint32("a number") }
func (r *wireReader) at() uint64              { return r.Uint63("a number") } // of leaves, the place of one, or a time
func (r *wireReader) text(limit int) string   { return r.Text(limit, "a text") }
func (r *wireReader) string(limit int) []byte { return r.Bytes(limit, "a string") } // part of the input
func (r *wireReader) bytes(limit int) []byte  { return append([]byte(nil), r.string(limit)...) }
func (r *wireReader) tuple(n int)             { r.Tuple(n, "an array") }

func (r *wireReader) hash() (h merkle.Hash) {
	r.Fixed(h[:], "a hash")
	return h
}

func (r *wireReader) salt() (s [16]byte) {
	r.Fixed(s[:], "a salt")
	return s
}

// list reads the head of an array, of at most limit elements of at least size
// bytes each.
func (r *wireReader) list(limit, size int) int {
	n := r.Array(limit, "elements")
	if n > len(r.Rest)/size {
		r.require(false, "a list of %d", n)
		return 0
	}
	return n
}
