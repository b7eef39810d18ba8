package store

import (
	"errors"
	"fmt"
	"math/bits"

	"cairn/ingest/frame"
	"cairn/ingest/reading"
	"cairn/merkle"
	"cairn/store/share"
)

// What is kept of shredded parts of a stream, so that everything above them can
// still be made and proven. Both rows are sealed under the local key, and are
// written before the keys go.
//
// Row x, where data went and the envelope stayed: the hidden part of the
// envelope's object, as object.go has it. It names the hashes of all items that
// the envelope does not hold, so that each record root can be made again.
//
// Row X, where the envelope went too:
//
//	1 ‖ first ‖ n ‖ n × record root (32)
//	carry: 0, or 1 ‖ counter (8)                the newest counter up to the part's end, for the summary after it
//	summaries: first batch, count, 32 each      leaves of the batches that the group's part 0 stands for; none in others
const rootsVersion = 1

// errGone is content that is not on disk any more, with a key that is there.
var errGone = errors.New("its content is not on disk any more")

// left is what row x says of one reading.
type left struct {
	items  int
	hidden []merkle.Hash // of items 0, 6, 7…, then the subtrees that cover the decoys
	lost   []string      // compartments
}

// shredded is what Evidence and Shown have of a reading that was shredded in part.
type shredded struct {
	tree     *recordTree
	Shredded []string // compartments whose part of the reading was shredded
}

// shreddedBefore gives the first hour that a compartment still has keys of.
func (r *reader) shreddedBefore(compartment uint32) share.Hour {
	return r.s.shreddedBefore(compartment)
}

func (s *Store) shreddedBefore(compartment uint32) share.Hour {
	c, ok := s.opt.Keyring.Compartment(compartment)
	if !ok {
		return 0
	}
	return c.Tree.First()
}

// openLeft gives the readings of a stretch of which some classes were shredded;
// key is the envelope's.
func (r *reader) openLeft(in *streamInfo, key segmentKey, b blocks) ([]stored, error) {
	out, err := decodeColumns(in.slot, in.classes.scheme, b, nil)
	if err != nil {
		return nil, fmt.Errorf("%w: segment of stream %d: %w", ErrDamaged, in.slot, err)
	}
	hidden, err := r.hiddenRow(key)
	if err != nil {
		return nil, fmt.Errorf("stream %d: %w", in.slot, err)
	}
	p := EnvelopePart{First: out[0].Sequence, Readings: make([]EnvelopeReading, len(out))}
	for i := range out {
		p.Readings[i].Sequence = out[i].Sequence
	}
	if err := p.open(&cursor{b: hidden}, key.First); err != nil || p.Tag != in.tag {
		return nil, fmt.Errorf("%w: what was kept of the shredded readings of stream %d from %d on: %w", ErrDamaged, in.slot, p.First, err)
	}
	lost := r.lostAt(in, share.Hour(key.Hour))
	for i := range out {
		st := &out[i]
		st.left = &left{items: p.Readings[i].Items, hidden: p.Readings[i].Hidden, lost: lost}
		n := st.left.items - reading.IndexData
		if len(st.Measurements) > n {
			return nil, fmt.Errorf("%w: reading %d of stream %d has %d measurements, was sealed with %d", ErrDamaged, st.Sequence, in.slot, len(st.Measurements), n)
		}
		for len(st.Measurements) < n {
			st.Measurements = append(st.Measurements, reading.Measurement{})
		}
		for st.class != nil && len(st.class) < n {
			st.class = append(st.class, 0)
		}
	}
	return out, nil
}

// lostAt names the compartments of a stream that have no keys of an hour.
func (r *reader) lostAt(in *streamInfo, hour share.Hour) (names []string) {
	for _, id := range in.all() {
		if c, ok := r.s.opt.Keyring.Compartment(id); ok && c.Tree.First() > hour {
			names = append(names, c.Name)
		}
	}
	return names
}

// all are the compartments of a stream, the envelope first.
func (i *streamInfo) all() []uint32 {
	out := []uint32{i.envelope}
	for _, c := range i.classes.list {
		out = append(out, c.compartment)
	}
	return out
}

// hiddenRow gives row x. It cannot be missing, but for a reader that began before
// it was written and came to the keys when they had gone.
func (r *reader) hiddenRow(key segmentKey) (hidden []byte, err error) {
	err = row(r.snap, r.s.local, r.s.keys.part(kindHidden, key), &hidden)
	if err != nil {
		return nil, fmt.Errorf("%w: what was kept of compartment %d, quarter hour %d, part %d: %w", ErrShredded, key.Compartment, key.Hour, key.Part, missing(notFound(err, "row x")))
	}
	return hidden, nil
}

// keptHidden gives an envelope object's hidden part where it cannot be made again;
// nil where it can.
func (r *reader) keptHidden(in *streamInfo, key segmentKey) ([]byte, error) {
	for _, c := range in.classes.list {
		if r.shreddedBefore(c.compartment) > share.Hour(key.Hour) {
			return r.hiddenRow(key)
		}
	}
	return nil, nil
}

// record makes the record tree of a reading that was shredded in part: by its
// leaves as row x has them, and those of what is left, which are computed.
func (r *reader) leftTree(in *streamInfo, st *stored) (*recordTree, *hourKeys, error) {
	t, err := newRecordTree(st.left)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: reading %d of stream %d: %w", ErrDamaged, st.Sequence, in.slot, err)
	}
	k, err := r.hourKeysOf(in, st)
	if err != nil {
		return nil, nil, err
	}
	salts := k.of(st)
	for i := range t.items {
		if !st.has(i) {
			continue
		}
		e := reading.HiddenEntry(reading.AppendItem(nil, &st.Reading, i), salts.Salt(st.Sequence, i, t.items))
		t.leaves[i] = merkle.LeafHash(e[:])
	}
	return t, k, nil
}

// has says whether an item of a reading that was shredded in part is left.
func (st *stored) has(item int) bool {
	switch {
	case item == reading.IndexReading || item == reading.IndexFrame:
		return false
	case item < reading.IndexData:
		return true
	}
	return st.Measurements[item-reading.IndexData].Name != ""
}

func (r *reader) leftLeaf(in *streamInfo, st *stored) (merkle.Hash, error) {
	t, _, err := r.leftTree(in, st)
	if err != nil {
		return noHash, err
	}
	return reading.EntryLeaf(in.tag, st.Sequence, t.root()), nil
}

// leftItems gives what is left of a record: items and salts, nil and zeros where
// they are not, and the leaves of all items.
func (r *reader) leftItems(in *streamInfo, st *stored, items [][]byte, salts [][16]byte) ([][]byte, [][16]byte, *recordTree, error) {
	t, k, err := r.leftTree(in, st)
	if err != nil {
		return nil, nil, nil, err
	}
	block := k.of(st)
	for i := range t.items {
		if !st.has(i) {
			items, salts = append(items, nil), append(salts, [16]byte{})
			continue
		}
		items = append(items, reading.AppendItem(nil, &st.Reading, i))
		salts = append(salts, block.Salt(st.Sequence, i, t.items))
	}
	return items, salts, t, nil
}

// leftRecord fills in what is left of a record.
func (r *reader) leftRecord(in *streamInfo, st *stored, e *Evidence) (err error) {
	e.Reading = st.Reading
	e.Items, e.Salts, e.tree, err = r.leftItems(in, st, nil, nil)
	if err == nil {
		e.Leaves, e.Shredded = e.tree.leaves[:e.tree.items], st.left.lost
	}
	return err
}

func (s *shower) showLeft(st *stored) (err error) {
	x := &s.shown
	x.Reading = st.Reading
	if x.Items, x.Salts, x.tree, err = s.r.leftItems(s.in, st, x.Items[:0], x.Salts[:0]); err != nil {
		return err
	}
	x.Leaves, x.Shredded = x.tree.leaves[:x.tree.items], st.left.lost
	s.tree.Append(reading.EntryLeaf(s.in.tag, st.Sequence, x.tree.root()))
	return s.fn(x)
}

// Width is how many leaves the record tree has.
func (e *Evidence) Width() int { return width(e.Leaves, e.tree) }

// Cover gives the roots of the largest subtrees of the record tree that have no
// shown leaf, from left to right, also where some leaves are not known because they
// were shredded. shown is ascending and not empty.
func (e *Evidence) Cover(shown []int) []merkle.Hash { return cover(e.Leaves, e.tree, shown) }

// Width and Cover: see [Evidence].
func (s *Shown) Width() int                      { return width(s.Leaves, s.tree) }
func (s *Shown) Cover(shown []int) []merkle.Hash { return cover(s.Leaves, s.tree, shown) }

func width(leaves []merkle.Hash, t *recordTree) int {
	if t != nil {
		return reading.Width(t.items)
	}
	return len(leaves)
}

func cover(leaves []merkle.Hash, t *recordTree, shown []int) []merkle.Hash {
	if t != nil {
		return coverIn(nil, 0, reading.Width(t.items), shown, t.subtree)
	}
	return coverIn(nil, 0, len(leaves), shown, func(begin, width int) merkle.Hash { return merkle.RootOf(leaves[begin : begin+width]) })
}

func coverIn(dst []merkle.Hash, begin, width int, shown []int, subtree func(begin, width int) merkle.Hash) []merkle.Hash {
	if len(shown) == 0 {
		return append(dst, subtree(begin, width))
	}
	if width == 1 {
		return dst
	}
	half := begin + width/2
	n := 0
	for n < len(shown) && shown[n] < half {
		n++
	}
	dst = coverIn(dst, begin, width/2, shown[:n], subtree)
	return coverIn(dst, half, width/2, shown[n:], subtree)
}

// recordTree is a record tree of whose decoys only the roots of the smallest
// aligned subtrees that cover them are known.
type recordTree struct {
	items  int
	leaves [reading.MaxLeaves]merkle.Hash
	decoys [8]merkle.Hash // by level
}

func newRecordTree(l *left) (*recordTree, error) {
	if l.items < reading.IndexData || l.items > reading.MaxLeaves {
		return nil, errColumns
	}
	t := &recordTree{items: l.items}
	blocks := decoyCover(t.items, reading.Width(t.items))
	fixed := t.items - reading.IndexFrame + 1
	if len(l.hidden) != fixed+len(blocks) {
		return nil, errColumns
	}
	t.leaves[reading.IndexReading] = l.hidden[0]
	copy(t.leaves[reading.IndexFrame:t.items], l.hidden[1:fixed])
	for i, b := range blocks {
		t.decoys[bits.TrailingZeros(uint(b.to-b.from))] = l.hidden[fixed+i]
	}
	return t, nil
}

func (t *recordTree) root() merkle.Hash { return t.subtree(0, reading.Width(t.items)) }

// subtree is the root of an aligned subtree that does not lie inside of a block of
// decoys.
func (t *recordTree) subtree(begin, width int) merkle.Hash {
	if begin >= t.items && begin&-begin == width {
		return t.decoys[bits.TrailingZeros(uint(width))]
	}
	if width == 1 {
		return t.leaves[begin]
	}
	return merkle.NodeHash(t.subtree(begin, width/2), t.subtree(begin+width/2, width/2))
}

// goneRow is row X: what is kept of a part whose envelope was shredded.
type goneRow struct {
	_         struct{} `cbor:",toarray"`
	Version   uint8
	First     uint64
	Roots     []byte // 32 each
	HasCarry  bool
	Carry     uint64
	Batch     uint64 // of the first of Summaries
	Summaries []byte // 32 each
}

// goneAt gives the sealed stretch that holds a reading, if its envelope was
// shredded; nil if it was not.
func (r *reader) goneAt(in *streamInfo, seq uint64) (*indexed, error) {
	before, err := r.goneBefore(in)
	if before == 0 || err != nil {
		return nil, err
	}
	x, err := r.stretchAt(in, seq)
	if err != nil || x == nil || share.Hour(x.row.Hour) >= before {
		return nil, err
	}
	return x, nil
}

// stretchAt finds the sealed stretch that holds a reading; nil if it is not sealed.
func (r *reader) stretchAt(in *streamInfo, seq uint64) (*indexed, error) {
	first, x, err := r.indexAt(in.slot, seq)
	if x == nil || err != nil {
		return nil, err
	}
	return &indexed{slot: in.slot, first: first, row: *x}, nil
}

// goneLeaves gives the leaves of a stream's readings from one on as far as they lie
// in one part whose envelope was shredded; none where it was not.
func (r *reader) goneLeaves(in *streamInfo, from, to uint64) ([]merkle.Hash, error) {
	x, err := r.goneAt(in, from)
	if x == nil || err != nil {
		return nil, err
	}
	g, err := r.goneRow(in, segmentKey{Hour: x.row.Hour, First: x.row.Batch, Part: x.row.Part})
	if err != nil {
		return nil, err
	}
	if g.First != x.first || len(g.Roots) != 32*int(x.row.Count) {
		return nil, fmt.Errorf("%w: what was kept of stream %d from %d on is of other readings", ErrDamaged, in.slot, x.first)
	}
	var out []merkle.Hash
	for seq := from; seq < min(to, x.first+uint64(x.row.Count)); seq++ {
		out = append(out, reading.EntryLeaf(in.tag, seq, merkle.Hash(g.Roots[32*(seq-x.first):])))
	}
	return out, nil
}

// goneRow reads row X of a part of a stream.
func (r *reader) goneRow(in *streamInfo, key segmentKey) (*goneRow, error) {
	key.Compartment = in.envelope
	if r.lastGone.row != nil && r.lastGone.key == key {
		return r.lastGone.row, nil
	}
	g := new(goneRow)
	err := row(r.snap, r.s.local, r.s.keys.part(kindRoots, key), g)
	if err == nil && (g.Version != rootsVersion || len(g.Roots)%32 != 0 || len(g.Summaries)%32 != 0) {
		err = fmt.Errorf("%w: its format", ErrDamaged)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: what was kept of stream %d, quarter hour %d, part %d: %w", ErrShredded, in.slot, key.Hour, key.Part, missing(notFound(err, "row X")))
	}
	r.lastGone.key, r.lastGone.row = key, g
	return g, nil
}

// goneCarry takes the newest counter up to a reading from what was kept of its
// part, if its envelope was shredded.
func (r *reader) goneCarry(in *streamInfo, stats *runStats, seq uint64) (done bool, err error) {
	x, err := r.goneAt(in, seq)
	if x == nil || err != nil {
		return false, err
	}
	g, err := r.goneRow(in, segmentKey{Hour: x.row.Hour, First: x.row.Batch, Part: x.row.Part})
	if err != nil {
		return false, err
	}
	if g.HasCarry {
		stats.prev, stats.hasPrev = frame.Counter(g.Carry), true
	}
	return true, nil
}

// goneSummary gives the leaf of a stream's summary in a batch whose envelope was
// shredded.
func (r *reader) goneSummary(in *streamInfo, w *window, batch uint64) (leaf merkle.Hash, ok bool, err error) {
	if before, err := r.goneBefore(in); before <= w.hour() || err != nil {
		return leaf, false, err
	}
	first, err := r.groupAt(batch)
	if err != nil {
		return leaf, false, err
	}
	g, err := r.goneRow(in, segmentKey{Hour: uint32(w.hour()), First: first})
	if err != nil {
		return leaf, false, err
	}
	if batch < g.Batch || batch-g.Batch >= uint64(len(g.Summaries)/32) {
		return leaf, false, fmt.Errorf("%w: the summary of stream %d in batch %d was not kept", ErrDamaged, in.slot, batch)
	}
	return merkle.Hash(g.Summaries[32*(batch-g.Batch):]), true, nil
}

// overShredded gives the first reading from one on whose envelope was not shredded
// with its part.
func (r *reader) overShredded(in *streamInfo, seq uint64) (uint64, error) {
	x, err := r.goneAt(in, seq)
	if x == nil || err != nil {
		return seq, err
	}
	return x.first + uint64(x.row.Count), nil
}

// found is a reading as a query shows it.
func (r *reader) found(in *streamInfo, st *stored) *Found {
	f := &Found{Reading: st.Reading, Slot: in.slot, Late: in.late}
	if st.left == nil {
		return f
	}
	f.Shredded, f.Measurements = st.left.lost, nil
	for _, m := range st.Measurements {
		if m.Name != "" {
			f.Measurements = append(f.Measurements, m)
		}
	}
	return f
}

// Shredded is a compartment of a stream that has no keys of some hours any more.
type Shredded struct {
	Slot        uint64
	Device      uint32
	Compartment uint32
	Name        string
	Class       string
	Before      share.Hour // the first one that it has
}

// Shredded lists what was shredded, by stream and compartment.
func (s *Store) Shredded() (out []Shredded) {
	v := s.view.Load()
	for i := range v.streams {
		in := &v.streams[i]
		for j, id := range in.all() {
			c, ok := s.opt.Keyring.Compartment(id)
			if !ok || c.Tree.First() == 0 {
				continue
			}
			x := Shredded{Slot: in.slot, Device: in.device, Compartment: id, Name: c.Name, Class: EnvelopeClass, Before: c.Tree.First()}
			if j > 0 {
				x.Class = in.classes.list[j-1].name
			}
			out = append(out, x)
		}
	}
	return out
}
