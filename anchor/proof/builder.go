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

	heads      map[string]int // by checkpoint and the log's signature
	batches    map[string]int // by header
	summaries  map[summaryKey]int
	statements map[statementKey]bool
	extends    map[[2]int]bool
}

type summaryKey struct {
	batch int
	item  string
}

type statementKey struct {
	batch int
	index uint64
}

// NewBuilder begins a file, of the newest version, of the ledger with this log
// key and nonce.
func NewBuilder(logKey, nonce [32]byte) *Builder {
	return &Builder{
		f:     File{Version: 1, Ledger: Ledger{Key: logKey, Nonce: nonce}},
		heads: make(map[string]int), batches: make(map[string]int), summaries: make(map[summaryKey]int),
		statements: make(map[statementKey]bool), extends: make(map[[2]int]bool),
	}
}

// Continue begins with what a file has, of whatever version, and makes one of
// the newest. The file itself is not changed by what is added.
func Continue(f *File) *Builder {
	b := NewBuilder(f.Ledger.Key, f.Ledger.Nonce)
	b.f = *f.clone()
	b.f.Version = 1
	for i, h := range f.Heads {
		signed, _ := cutCosignatures(h.Note)
		b.heads[string(signed)] = i
	}
	for i := range f.Batches {
		b.batches[string(f.Batches[i].Header)] = i
	}
	for i := range f.Summaries {
		b.summaries[summaryKey{f.Summaries[i].Batch, string(f.Summaries[i].Item)}] = i
	}
	for i := range f.Statements {
		b.statements[statementKey{f.Statements[i].Batch, f.Statements[i].Index}] = true
	}
	for _, e := range f.Extends {
		b.extends[[2]int{e.Old, e.New}] = true
	}
	return b
}

// clone returns a copy of what a Builder changes.
func (f *File) clone() *File {
	g := *f
	g.Readings, g.Summaries, g.Batches = slices.Clone(f.Readings), slices.Clone(f.Summaries), slices.Clone(f.Batches)
	g.Heads, g.Receipts, g.Statements = slices.Clone(f.Heads), slices.Clone(f.Receipts), slices.Clone(f.Statements)
	g.Ranges, g.Extends, g.Vouches = slices.Clone(f.Ranges), slices.Clone(f.Extends), slices.Clone(f.Vouches)
	for i := range g.Batches {
		g.Batches[i].Heads = slices.Clone(g.Batches[i].Heads)
	}
	for i := range g.Heads {
		g.Heads[i].Note = bytes.Clone(g.Heads[i].Note)
	}
	for i := range g.Ranges {
		g.Ranges[i].Readings = slices.Clip(g.Ranges[i].Readings)
	}
	return &g
}

// Head adds a signed checkpoint, or finds it, and returns its position. Of one
// that is found the cosignatures which it did not have are added.
func (b *Builder) Head(note []byte) int {
	signed, others := cutCosignatures(note)
	i, ok := b.heads[string(signed)]
	if !ok {
		i = len(b.f.Heads)
		b.heads[string(signed)] = i
		b.f.Heads = append(b.f.Heads, Head{Note: bytes.Clone(note)})
		return i
	}
	have := &b.f.Heads[i].Note
	_, held := cutCosignatures(*have)
	for line := range bytes.Lines(others) {
		if !slices.ContainsFunc(slices.Collect(bytes.Lines(held)), func(l []byte) bool { return sameSigner(l, line) }) {
			*have = append(*have, line...)
		}
	}
	return i
}

// cutCosignatures cuts a note after its first signature line.
func cutCosignatures(note []byte) (signed, others []byte) {
	text := bytes.Index(note, []byte("\n\n")) + 2
	end := bytes.IndexByte(note[text:], '\n') + 1
	if text < 2 || end == 0 {
		return note, nil
	}
	return note[:text+end], note[text+end:]
}

// sameSigner reports whether two cosignature lines are by one key: name and key
// ID are the same, whatever the time.
func sameSigner(a, b []byte) bool {
	n, x, err := cutSignature(string(bytes.TrimSuffix(a, []byte("\n"))))
	m, y, err2 := cutSignature(string(bytes.TrimSuffix(b, []byte("\n"))))
	if err != nil || err2 != nil {
		return bytes.Equal(a, b)
	}
	return n == m && len(x) > 4 && len(y) > 4 && bytes.Equal(x[:4], y[:4])
}

// Batch adds a batch without heads, or finds the one with this header, and
// returns its position. Statements may be nil; a second call with them adds
// them.
func (b *Builder) Batch(header []byte, slots Shown, statements *Shown) int {
	i, ok := b.batches[string(header)]
	if !ok {
		i = len(b.f.Batches)
		b.batches[string(header)] = i
		b.f.Batches = append(b.f.Batches, Batch{Header: header, Slots: slots})
	}
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

// Extend says that the log of one head is the beginning of another's, by this
// consistency proof. Of a head and itself there is nothing to say.
func (b *Builder) Extend(old, new int, path []merkle.Hash) {
	if old == new || b.extends[[2]int{old, new}] {
		return
	}
	b.extends[[2]int{old, new}] = true
	b.f.Extends = append(b.f.Extends, Extension{Old: old, New: new, Path: path})
}

// Summary adds a summary, or finds it, and returns its position.
func (b *Builder) Summary(s Summary) int {
	key := summaryKey{s.Batch, string(s.Item)}
	i, ok := b.summaries[key]
	if !ok {
		i = len(b.f.Summaries)
		b.summaries[key] = i
		b.f.Summaries = append(b.f.Summaries, s)
	}
	if s.Rest != nil {
		b.f.Summaries[i].Rest = s.Rest
	}
	return i
}

// Rest shows what a summary hides.
func (b *Builder) Rest(summary int, rest Shown) { b.f.Summaries[summary].Rest = &rest }

// Reading adds a reading. Fields may come in any order; field 0, if it is
// among them, with or without its item. A record root of zero is computed.
func (b *Builder) Reading(r Reading) {
	r.Fields = sortedFields(r.Fields)
	if r.Root == (merkle.Hash{}) && r.check() == nil {
		if root, bad := r.recompute(); bad == nil {
			r.Root = root
		}
	}
	b.f.Readings = append(b.f.Readings, r)
}

// sortedFields returns the fields as a file has them.
func sortedFields(fields []Field) []Field {
	fields = slices.Clone(fields)
	slices.SortFunc(fields, func(x, y Field) int { return x.Index - y.Index })
	if len(fields) != 0 && fields[0].Index == 0 {
		fields[0].Item = nil
	}
	return fields
}

// Range adds a range, and returns its position. Its readings may be added
// later, by Numbered.
func (b *Builder) Range(r Range) int {
	readings := r.Readings
	r.Readings = make([]Numbered, 0, len(readings))
	b.f.Ranges = append(b.f.Ranges, r)
	for _, n := range readings {
		b.Numbered(len(b.f.Ranges)-1, n)
	}
	return len(b.f.Ranges) - 1
}

// Numbered adds the next reading of a range. Fields may come in any order, as
// of Reading; without any, Hidden is the record root alone, and Width counts
// for nothing.
func (b *Builder) Numbered(at int, n Numbered) {
	n.Fields = sortedFields(n.Fields)
	if len(n.Fields) == 0 {
		n.Width = 0
	}
	r := &b.f.Ranges[at]
	r.Readings = append(r.Readings, n)
}

// Receipt adds a receipt for a head, and returns its position.
func (b *Builder) Receipt(r Receipt) int {
	b.f.Receipts = append(b.f.Receipts, r)
	return len(b.f.Receipts) - 1
}

// Vouch adds what someone says about a receipt's block.
func (b *Builder) Vouch(v Vouch) { b.f.Vouches = append(b.f.Vouches, v) }

// Statement adds a statement, unless it is there.
func (b *Builder) Statement(s Statement) {
	key := statementKey{s.Batch, s.Index}
	if !b.statements[key] {
		b.statements[key] = true
		b.f.Statements = append(b.f.Statements, s)
	}
}

// File returns the file. Encode checks that it is whole.
func (b *Builder) File() *File { return &b.f }
