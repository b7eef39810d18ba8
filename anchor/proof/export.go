package proof

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"

	"cairn/ingest/reading"
	"cairn/merkle"
	"cairn/merkle/ledger"
)

// Why something is not exported. Nothing was written then.
var (
	// ErrSelection says that a file does not show what was chosen of it.
	ErrSelection = errors.New("the file does not show that")
	// ErrUnexportable says that the format cannot hold what the file proves:
	// keep to the proof file, or choose another format.
	ErrUnexportable = errors.New("this format cannot hold it")
	// ErrExportFalse says that the file contradicts itself. Verify tells where.
	ErrExportFalse = errors.New("the file is false, verify it")
)

// Selection is one thing that a file shows: a field of a reading, a statement
// or a batch header.
type Selection struct {
	kind  selectionKind
	rng   int // position in Ranges, of a reading that stands in one; else -1
	at    int // position of the reading, there or in Readings, of the statement, or of the batch
	field int // index; 0 is the whole reading
}

type selectionKind int

const (
	selectField selectionKind = iota
	selectStatement
	selectHeader
)

// SelectField chooses a field of File.Readings[reading] by its index; 0 is the
// whole reading, of which all fields must be shown.
func SelectField(reading, field int) Selection {
	return Selection{kind: selectField, rng: -1, at: reading, field: field}
}

// SelectRangeField chooses a field of File.Ranges[rng].Readings[reading].
func SelectRangeField(rng, reading, field int) Selection {
	return Selection{kind: selectField, rng: rng, at: reading, field: field}
}

// SelectStatement chooses File.Statements[statement].
func SelectStatement(statement int) Selection {
	return Selection{kind: selectStatement, rng: -1, at: statement}
}

// SelectHeader chooses the header of File.Batches[batch].
func SelectHeader(batch int) Selection { return Selection{kind: selectHeader, rng: -1, at: batch} }

// SelectReading chooses of the n-th reading that the file shows, from 0, first
// File.Readings and then those of the ranges, the field of this name: one of
// those that package reading names, a measurement's, or "reading" for all of
// it. Without a name it is the whole reading if that is shown, and else the
// only field that is.
func (f *File) SelectReading(n int, name string) (Selection, error) {
	s, fields, err := f.nthReading(n)
	if err != nil {
		return s, err
	}
	var names []string
	var found []int
	for _, shown := range fields {
		at := fieldName(&shown)
		names = append(names, at)
		if at == name {
			found = append(found, shown.Index)
		}
	}
	if name == "" {
		for _, shown := range fields {
			if shown.Index == reading.IndexReading || len(fields) == 1 {
				s.field = shown.Index
				return s, nil
			}
		}
		return s, fmt.Errorf("%w: say which field of reading %d: %q", ErrSelection, n, names)
	}
	if len(found) != 1 {
		return s, fmt.Errorf("%w: %d fields %.40q of reading %d, it shows %q", ErrSelection, len(found), name, n, names)
	}
	s.field = found[0]
	return s, nil
}

// SelectHeaderOf chooses the header of the batch of the n-th reading, counted as
// by SelectReading. In a file without readings n counts batches.
func (f *File) SelectHeaderOf(n int) (Selection, error) {
	s, _, err := f.nthReading(n)
	if err != nil && n >= 0 && n < len(f.Batches) && len(f.Readings)+len(f.Ranges) == 0 {
		return SelectHeader(n), nil
	}
	if err != nil {
		return s, err
	}
	at := -1
	if s.rng < 0 {
		at = f.Readings[s.at].Summary
	} else {
		for _, k := range f.Ranges[s.rng].Summaries {
			if k < 0 || k >= len(f.Summaries) {
				continue
			}
			sum, err := ledger.ParseSummary(f.Summaries[k].Item)
			if err == nil && sum.Next > f.Ranges[s.rng].Readings[s.at].Seq {
				at = k
				break
			}
		}
	}
	if at < 0 || at >= len(f.Summaries) {
		return s, fmt.Errorf("%w: no summary holds reading %d", ErrExportFalse, n)
	}
	return SelectHeader(f.Summaries[at].Batch), nil
}

func (f *File) nthReading(n int) (Selection, []Field, error) {
	if n >= 0 && n < len(f.Readings) {
		return SelectField(n, 0), f.Readings[n].Fields, nil
	}
	rest := n - len(f.Readings)
	for i := range f.Ranges {
		all := f.Ranges[i].Readings
		if rest >= 0 && rest < len(all) {
			return SelectRangeField(i, rest, 0), all[rest].Fields, nil
		}
		rest -= len(all)
	}
	return Selection{}, nil, fmt.Errorf("%w: reading %d, of %d from 0 on", ErrSelection, n, n-rest)
}

// fieldName is what a shown field is called: a measurement by its own name.
func fieldName(f *Field) string {
	if f.Index == reading.IndexReading {
		return "reading"
	}
	var r reading.Reading
	if f.Index < reading.IndexData || r.SetItem(f.Index, f.Item) != nil {
		return reading.ItemName(f.Index)
	}
	return r.Measurements[f.Index-reading.IndexData].Name
}

// step is what a path consists of: the message becomes SHA-256, so many times,
// of itself with something before and after it.
type step struct {
	before, after []byte
	times         int
}

func (s *step) apply(msg [32]byte) [32]byte {
	h := sha256.Sum256(bytes.Join([][]byte{s.before, msg[:], s.after}, nil))
	for range s.times - 1 {
		h = sha256.Sum256(h[:])
	}
	return h
}

// trail leads by steps from the SHA-256 of what is shown to the leaf of a batch
// in the log.
type trail struct {
	shown []byte
	steps []step
	at    [32]byte // where the steps have led to
	batch int      // position in Batches
}

func newTrail(shown []byte) *trail { return &trail{shown: shown, at: sha256.Sum256(shown)} }

func (t *trail) step(before, after []byte) {
	s := step{before, after, 1}
	t.steps, t.at = append(t.steps, s), s.apply(t.at)
}

// leaf goes from the hash of an item to the leaf of it hidden by a salt.
func (t *trail) leaf(salt [16]byte) { t.step([]byte{0x00}, salt[:]) }

// item goes on inside an item that holds the hash at this place, and checks it.
func (t *trail) item(what string, item []byte, at int) error {
	if at < 0 || at+len(t.at) > len(item) || [32]byte(item[at:]) != t.at {
		return fmt.Errorf("%w: the path does not lead to the %s", ErrExportFalse, what)
	}
	t.step(item[:at:at], item[at+len(t.at):])
	return nil
}

// climb goes up a tree by siblings, bit k of right telling on which side the
// message is at level k.
func (t *trail) climb(path []merkle.Hash, right uint64) {
	for k := range path {
		if right>>k&1 == 1 {
			t.step(append([]byte{0x01}, path[k][:]...), nil)
		} else {
			t.step([]byte{0x01}, path[k][:])
		}
	}
}

// inclusion goes up a tree of this size.
func (t *trail) inclusion(index, size uint64, path []merkle.Hash) error {
	if _, err := merkle.RootFromInclusion(t.at, index, size, path); err != nil {
		return fmt.Errorf("%w: %w", ErrExportFalse, err)
	}
	t.climb(path, sides(index, size))
	return nil
}

// sides tells which siblings of an inclusion path stand on the left: bit k is
// of the k-th. A level at which a node is the last and has none is passed over.
func sides(index, size uint64) (right uint64) {
	n := 0
	for fn, sn := index, size-1; sn != 0; fn, sn = fn>>1, sn>>1 {
		if fn&1 == 0 && fn == sn {
			continue
		}
		right |= (fn & 1) << n
		n++
	}
	return right
}

// trails returns the paths from what was chosen to the log's leaves. There is
// one, but for a reading in a range: it is in all summaries from its own on,
// and the earliest stands first.
func (f *File) trails(s Selection) ([]*trail, error) {
	switch s.kind {
	case selectHeader:
		if s.at < 0 || s.at >= len(f.Batches) {
			return nil, fmt.Errorf("%w: batch %d of %d", ErrSelection, s.at, len(f.Batches))
		}
		// The hash of the header alone is on no path: its leaf is one with a zero before.
		t := newTrail(append([]byte{0x00}, f.Batches[s.at].Header...))
		t.batch = s.at
		return []*trail{t}, nil
	case selectStatement:
		t, err := f.statementTrail(s.at)
		return []*trail{t}, err
	}
	if s.rng >= 0 {
		return f.rangeTrails(s)
	}
	t, err := f.readingTrail(s)
	return []*trail{t}, err
}

func (f *File) statementTrail(at int) (*trail, error) {
	if at < 0 || at >= len(f.Statements) {
		return nil, fmt.Errorf("%w: statement %d of %d", ErrSelection, at, len(f.Statements))
	}
	s := &f.Statements[at]
	if s.Batch < 0 || s.Batch >= len(f.Batches) || f.Batches[s.Batch].Statements == nil {
		return nil, fmt.Errorf("%w: statement %d has no batch that shows statements", ErrExportFalse, at)
	}
	shown := f.Batches[s.Batch].Statements
	head, err := ledger.ParseStatementsHead(shown.Item)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrExportFalse, err)
	}
	t := newTrail(s.Item)
	t.leaf(s.Salt)
	if err := t.inclusion(s.Index, head.Size, s.Path); err != nil {
		return nil, err
	}
	if err := t.item("tree of statements", shown.Item, len(shown.Item)-merkle.HashSize); err != nil {
		return nil, err
	}
	t.step(nil, shown.Salt[:])
	return t, t.header(f, s.Batch, hiddenAt(ledger.HiddenStatements))
}

// In a summary the run root, the stream root and the hidden item stand at the
// end, each after a head of two bytes; in a header the batch root, the head of
// an array and five hidden items.
const (
	boxed        = 2 + merkle.HashSize
	fromRun      = 3*boxed - 2
	fromStream   = 2*boxed - 2
	hiddenValues = 5
	fromRoot     = merkle.HashSize + 1 + hiddenValues*boxed
)

// hiddenAt is how far from a header's end its i-th hidden value begins.
func hiddenAt(i int) int { return (hiddenValues-i)*boxed - 2 }

// header goes on to the leaf of a header that holds the hash so far from its end.
func (t *trail) header(f *File, batch, fromEnd int) error {
	h := f.Batches[batch].Header
	at := len(h) - fromEnd
	if at < 0 || at+merkle.HashSize > len(h) || [32]byte(h[at:]) != t.at {
		return fmt.Errorf("%w: the path does not lead to the header of batch %d", ErrExportFalse, batch)
	}
	t.batch = batch
	t.step(append([]byte{0x00}, h[:at]...), h[at+merkle.HashSize:])
	return nil
}

// summary goes on from a summary's run or stream root to the log's leaf.
func (t *trail) summary(f *File, at, fromEnd int) error {
	s := &f.Summaries[at]
	sum, err := ledger.ParseSummary(s.Item)
	if err != nil {
		return fmt.Errorf("%w: summary %d: %w", ErrExportFalse, at, err)
	}
	if err := t.item(fmt.Sprintf("summary %d", at), s.Item, len(s.Item)-fromEnd); err != nil {
		return err
	}
	t.step(nil, s.Salt[:])
	entry := ledger.SummaryEntry(s.Tag, s.Item, s.Salt)
	t.step(append([]byte{0x00}, entry[:len(entry)-merkle.HashSize]...), nil)
	t.climb(s.Path, sum.Slot)
	if s.Batch < 0 || s.Batch >= len(f.Batches) {
		return fmt.Errorf("%w: summary %d has no batch", ErrExportFalse, at)
	}
	return t.header(f, s.Batch, fromRoot)
}

// entry goes on from a record root to the leaf of the reading in its stream.
func (t *trail) entry(tag [12]byte, seq uint64) {
	e := reading.Entry(tag, seq, t.at)
	t.step(append([]byte{0x00}, e[:len(e)-merkle.HashSize]...), nil)
}

func (f *File) readingTrail(s Selection) (*trail, error) {
	if s.at < 0 || s.at >= len(f.Readings) {
		return nil, fmt.Errorf("%w: reading %d of %d", ErrSelection, s.at, len(f.Readings))
	}
	r := &f.Readings[s.at]
	if r.Summary < 0 || r.Summary >= len(f.Summaries) {
		return nil, fmt.Errorf("%w: reading %d has no summary", ErrExportFalse, s.at)
	}
	t, err := recordTrail(r, s.field)
	if err != nil {
		return nil, err
	}
	sum, err := ledger.ParseSummary(f.Summaries[r.Summary].Item)
	if err != nil {
		return nil, fmt.Errorf("%w: summary %d: %w", ErrExportFalse, r.Summary, err)
	}
	if r.Seq < sum.First || r.Seq >= sum.Next {
		return nil, fmt.Errorf("%w: reading %d is not of its run", ErrExportFalse, s.at)
	}
	t.entry(f.Summaries[r.Summary].Tag, r.Seq)
	if err := t.inclusion(r.Seq-sum.First, sum.Next-sum.First, r.Run); err != nil {
		return nil, err
	}
	return t, t.summary(f, r.Summary, fromRun)
}

// recordTrail leads from a field to the record root.
func recordTrail(r *Reading, field int) (*trail, error) {
	if err := r.check(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSelection, err)
	}
	whole, bad := wholeItem(r)
	if bad != nil {
		return nil, fmt.Errorf("%w: %w", ErrExportFalse, bad.err)
	}
	w := recordWalk{record: record{hidden: r.Hidden}, want: field}
	var t *trail
	for _, f := range r.Fields {
		item := f.Item
		if f.Index == reading.IndexReading {
			item = whole
		}
		if f.Index == field {
			t = newTrail(item)
			t.leaf(f.Salt)
		}
		e := reading.HiddenEntry(item, f.Salt)
		w.leaves[f.Index], w.known = merkle.LeafHash(e[:]), w.known|1<<f.Index
	}
	if t == nil {
		return nil, fmt.Errorf("%w: field %d of the reading", ErrSelection, field)
	}
	if _, ok := w.walk(0, r.Width); !ok || len(w.hidden) != 0 {
		return nil, fmt.Errorf("%w: the hidden hashes do not fit the fields shown", ErrExportFalse)
	}
	t.climb(w.path, uint64(field))
	return t, nil
}

// recordWalk is record.root that notes the siblings of one leaf's path.
type recordWalk struct {
	record
	want int
	path []merkle.Hash // from the leaf up
}

func (w *recordWalk) walk(begin, width int) (merkle.Hash, bool) {
	if w.want < begin || w.want >= begin+width || width == 1 {
		return w.subtree(begin, width)
	}
	half := width / 2
	left, ok := w.walk(begin, half)
	if !ok {
		return left, false
	}
	right, ok := w.walk(begin+half, half)
	if w.want < begin+half {
		w.path = append(w.path, right)
	} else {
		w.path = append(w.path, left)
	}
	return merkle.NodeHash(left, right), ok
}
