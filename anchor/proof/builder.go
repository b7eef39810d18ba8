package proof

import (
	"bytes"
	"slices"

	"cairn/merkle"
)

// Builder puts a File together from what a store gives: the same summary,
// batch or head, added again, is found again. The zero value is not usable.
type Builder struct {
	f File
}

// NewBuilder begins a file of the ledger with this log key and nonce.
func NewBuilder(logKey, nonce [32]byte) *Builder {
	return &Builder{File{Ledger: Ledger{Key: logKey, Nonce: nonce}}}
}

// Head adds a signed checkpoint, or finds it, and returns its position.
func (b *Builder) Head(note []byte) int {
	return put(&b.f.Heads, Head{Note: note}, func(h Head) bool { return bytes.Equal(h.Note, note) })
}

// Batch adds a batch without heads, or finds the one with this header, and
// returns its position. Statements may be nil; a second call with them adds
// them.
func (b *Builder) Batch(header []byte, slots Shown, statements *Shown) int {
	i := put(&b.f.Batches, Batch{Header: header, Slots: slots}, func(have Batch) bool { return bytes.Equal(have.Header, header) })
	if statements != nil {
		b.f.Batches[i].Statements = statements
	}
	return i
}

// Cover says that a batch is in the log of a head, by this inclusion path.
func (b *Builder) Cover(batch, head int, path []merkle.Hash) {
	heads := &b.f.Batches[batch].Heads
	at, found := slices.BinarySearchFunc(*heads, head, func(p HeadPath, h int) int { return p.Head - h })
	if !found {
		*heads = slices.Insert(*heads, at, HeadPath{Head: head, Path: path})
	}
}

// Summary adds a summary, or finds it, and returns its position.
func (b *Builder) Summary(s Summary) int {
	return put(&b.f.Summaries, s, func(have Summary) bool { return have.Batch == s.Batch && bytes.Equal(have.Item, s.Item) })
}

// Reading adds a reading. Fields may come in any order; field 0, if it is
// among them, with or without its item. A record root of zero is computed.
func (b *Builder) Reading(r Reading) {
	r.Fields = slices.Clone(r.Fields)
	slices.SortFunc(r.Fields, func(x, y Field) int { return x.Index - y.Index })
	if len(r.Fields) != 0 && r.Fields[0].Index == 0 {
		r.Fields[0].Item = nil
	}
	if r.Root == (merkle.Hash{}) && r.check() == nil {
		if root, bad := r.recompute(); bad == nil {
			r.Root = root
		}
	}
	b.f.Readings = append(b.f.Readings, r)
}

// Receipt adds a receipt for a head.
func (b *Builder) Receipt(r Receipt) { b.f.Receipts = append(b.f.Receipts, r) }

// Statement adds a statement, unless it is there.
func (b *Builder) Statement(s Statement) {
	put(&b.f.Statements, s, func(have Statement) bool { return have.Batch == s.Batch && have.Index == s.Index })
}

// File returns the file. Encode checks that it is whole.
func (b *Builder) File() *File { return &b.f }

// put returns the position of the element that is the same, or adds v.
func put[T any](list *[]T, v T, same func(T) bool) int {
	if i := slices.IndexFunc(*list, same); i >= 0 {
		return i
	}
	*list = append(*list, v)
	return len(*list) - 1
}
