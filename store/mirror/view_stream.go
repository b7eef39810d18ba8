package mirror

import (
	"context"
	"crypto/cipher"
	"errors"
	"fmt"

	"cairn/ingest/reading"
	"cairn/merkle"
	"cairn/merkle/ledger"
	"cairn/store"
	"cairn/store/share"
)

// viewWindow is what one batch has of one stream, proven up to the batch's header.
type viewWindow struct {
	group    *viewGroup
	at       int // the batch's place in the group
	batch    uint64
	tag      [reading.TagSize]byte
	sum      ledger.Summary
	item     []byte // of the summary
	salt     [ledger.SaltSize]byte
	rest     []byte
	restSalt [ledger.SaltSize]byte
	before   []merkle.Hash // peaks of the stream's tree before its readings
	readings []viewReading
}

// viewReading is one reading that was proven, with what was opened of it.
type viewReading struct {
	r        reading.Reading // measurements at their places; those that were not opened are empty
	shown    []int           // items that were opened, ascending
	record   viewRecord
	leaf     merkle.Hash // of its entry
	salts    *viewSalts
	class    []int8 // of each measurement, the place of its compartment among the salts; -1 if not opened
	envelope int    // the part that it is of
}

// viewSalts are a stream's salts in one hour under one incarnation.
type viewSalts struct {
	envelope cipher.Block
	data     []cipher.Block // by class of the stream; nil where it is not granted
}

func (r *viewReading) salt(index int) (salt [reading.SaltSize]byte) {
	block := r.salts.envelope
	if index >= reading.IndexData {
		block = r.salts.data[r.class[index-reading.IndexData]]
	}
	salt = ledger.FieldBlock(r.r.Sequence, uint64(index))
	block.Encrypt(salt[:], salt[:])
	return salt
}

// item is an item that was opened.
func (r *viewReading) item(index int) []byte { return reading.AppendItem(nil, &r.r, index) }

func (r *viewReading) itemLeaf(index int) merkle.Hash {
	e := reading.HiddenEntry(r.item(index), r.salt(index))
	return merkle.LeafHash(e[:])
}

// streamOpener opens what a group has of one stream.
type streamOpener struct {
	v    *View
	vg   *viewGroup
	s    *viewStream
	miss func(compartment string, why Why, detail string)

	key    share.HourKey // the envelope's
	refs   []store.ObjectRef
	parts  []*store.EnvelopePart
	data   []share.HourKey // by class
	has    []bool
	whole  bool // the one class that there is was opened, in full
	salts  map[[16]byte]*viewSalts
	tree   merkle.Tree
	state  viewRest
	active bool // some batch before this one had a summary
	closed bool
}

// openStream gives what a group has of a stream, window by window; none if it has
// nothing that can be opened. It is all proven, or a [Lie].
func (v *View) openStream(ctx context.Context, vg *viewGroup, s *viewStream, miss func(compartment string, why Why, detail string)) ([]viewWindow, error) {
	o := &streamOpener{v: v, vg: vg, s: s, miss: miss, salts: make(map[[16]byte]*viewSalts)}
	if ok, err := o.envelopes(ctx); err != nil || !ok {
		return nil, err
	}
	if err := o.classes(); err != nil {
		return nil, err
	}
	windows, err := o.windows()
	if err != nil {
		return nil, err
	}
	for i := range s.classes {
		if o.has[i] {
			if err := o.measurements(ctx, i, windows); err != nil {
				return nil, o.blame(err, windows)
			}
		}
	}
	active, err := o.summaries(windows)
	if errors.Is(err, errUnproven) {
		miss(s.name, Unproven, "of a stream of an earlier version the envelope is verified along with the data")
		return nil, nil
	}
	return active, err
}

// errUnproven says that a summary may be the true one of a stream that was bound
// before there were classes: what it hides is under the key of the data, and names
// their extremes.
var errUnproven = errors.New("what the summary hides is not known")

// unproven reports whether that may be: of the stream there is one class, and it was
// not opened.
func (o *streamOpener) unproven() bool {
	classes := map[string]bool{}
	for i := range o.vg.g.Objects {
		if slot, class, ok := streamCompartment(o.vg.g.Objects[i].Name); ok && slot == o.s.slot && class != envelopeClass {
			classes[class] = true
		}
	}
	return len(classes) == 1 && !o.whole
}

// blame finds out whether it is the envelope that lies where an object of
// measurements does not fit it.
func (o *streamOpener) blame(err error, windows []viewWindow) error {
	var lie *Lie
	if !errors.As(err, &lie) {
		return err
	}
	o.whole = true // as far as there are values, they are at hand
	if _, other := o.summaries(windows); errors.As(other, &lie) {
		return other
	}
	return err
}

// envelopes opens the parts of the stream's envelope.
func (o *streamOpener) envelopes(ctx context.Context) (bool, error) {
	o.refs = o.vg.objects(o.s.envelope)
	if len(o.refs) == 0 {
		return false, nil // the stream was not bound yet, or not any more
	}
	name := o.s.name
	var ok bool
	var err error
	if o.key, ok, err = o.v.key(o.s.envelope, o.vg.ref.Hour); err != nil || !ok {
		if err == nil {
			o.miss(name, NotGranted, "")
		}
		return false, err
	}
	next := uint64(0)
	for i := range o.refs {
		ref := &o.refs[i]
		content, hidden, err := o.v.open(ctx, o.vg, ref, o.key)
		if err != nil {
			return false, o.lost(err, name)
		}
		p, err := store.OpenEnvelopePart(content, hidden, o.vg.ref.First)
		switch {
		case err != nil:
			return false, o.vg.lie(ref, "%w", err)
		case ref.Part != uint32(i):
			return false, o.vg.lie(ref, "it is part %d, and there is no part %d", ref.Part, i)
		case p.Slot != o.s.slot:
			return false, o.vg.lie(ref, "it is of stream %d", p.Slot)
		case i > 0 && (p.First != next || p.Tag != o.parts[0].Tag):
			return false, o.vg.lie(ref, "it does not follow the part before it")
		}
		next = p.First + uint64(len(p.Readings))
		o.parts = append(o.parts, p)
	}
	return true, nil
}

// lost tells of an object that cannot be had, and returns what is an error.
func (o *streamOpener) lost(err error, compartment string) error {
	if o.vg.ref.Live && errors.Is(err, ErrNotFound) {
		return errOtherGroup
	}
	why, detail, ok := why(err)
	if !ok {
		return err
	}
	o.miss(compartment, why, detail)
	return nil
}

// classes takes the keys of the compartments that are granted in this hour.
func (o *streamOpener) classes() (err error) {
	o.data, o.has = make([]share.HourKey, len(o.s.classes)), make([]bool, len(o.s.classes))
	for i, c := range o.s.classes {
		if o.data[i], o.has[i], err = o.v.key(c.id, o.vg.ref.Hour); err != nil {
			return err
		}
		if !o.has[i] {
			o.miss(c.name, NotGranted, "")
		}
	}
	return nil
}

func (o *streamOpener) saltsOf(incarnation [16]byte) *viewSalts {
	s := o.salts[incarnation]
	if s == nil {
		s = &viewSalts{envelope: o.key.SaltBlock(ledger.FieldLabel, o.s.slot, incarnation), data: make([]cipher.Block, len(o.data))}
		for i := range o.data {
			if o.has[i] {
				s.data[i] = o.data[i].SaltBlock(ledger.FieldLabel, o.s.slot, incarnation)
			}
		}
		o.salts[incarnation] = s
	}
	return s
}

// windows sorts the readings into the batches that they came with, and rehashes
// each as far as the envelope goes.
func (o *streamOpener) windows() ([]viewWindow, error) {
	all := make([]viewWindow, len(o.vg.headers))
	for i := range all {
		all[i] = viewWindow{group: o.vg, at: i, batch: o.vg.ref.First + uint64(i), tag: o.parts[0].Tag}
	}
	last := -1
	for p, part := range o.parts {
		at := 0
		for _, run := range part.Runs {
			i := int(run.Batch - o.vg.ref.First)
			if run.Batch < o.vg.ref.First || i >= len(all) || i < last || run.N < 1 || run.N > len(part.Readings)-at {
				return nil, o.vg.lie(&o.refs[p], "it has %d readings with batch %d", run.N, run.Batch)
			}
			last = i
			for n := range run.N {
				r, err := o.reading(part, at+n, &o.vg.headers[i])
				if err != nil {
					return nil, o.vg.lie(&o.refs[p], "reading %d: %w", part.First+uint64(at+n), err)
				}
				r.envelope = p
				all[i].readings = append(all[i].readings, r)
			}
			at += run.N
		}
		if at != len(part.Readings) {
			return nil, o.vg.lie(&o.refs[p], "%d of its %d readings are of no batch", len(part.Readings)-at, len(part.Readings))
		}
	}
	return all, nil
}

// reading rehashes one reading of an envelope.
func (o *streamOpener) reading(part *store.EnvelopePart, at int, h *ledger.Header) (r viewReading, err error) {
	e := &part.Readings[at]
	r = viewReading{r: e.Reading, salts: o.saltsOf(e.Incarnation)}
	r.r.Measurements, r.r.Frame, r.r.HasFrame = nil, merkle.Hash{}, false
	if err := r.r.Validate(); err != nil {
		return r, err
	}
	switch {
	case r.r.Sequence != part.First+uint64(at):
		return r, fmt.Errorf("it says that it is number %d", r.r.Sequence)
	case r.r.Received < h.From || r.r.Received >= h.To:
		return r, fmt.Errorf("it says that it was received outside of its window")
	}
	if r.record, err = newRecord(e.Items, e.Hidden); err != nil {
		return r, err
	}
	for i := reading.IndexDevice; i < reading.IndexFrame; i++ {
		r.record.leaves[i] = r.itemLeaf(i)
		r.shown = append(r.shown, i)
	}
	r.leaf = reading.EntryLeaf(part.Tag, r.r.Sequence, r.record.root())
	r.r.Measurements = make([]reading.Measurement, e.Items-reading.IndexData)
	r.class = make([]int8, len(r.r.Measurements))
	for i := range r.class {
		r.class[i] = -1
	}
	return r, nil
}

// measurements opens a class's objects, and holds each of its measurements against
// the leaf that the envelope has for it. What the envelope says was not held
// against the batch yet: a lie of either is found, whichever it is.
func (o *streamOpener) measurements(ctx context.Context, class int, windows []viewWindow) error {
	c := &o.s.classes[class]
	refs := o.vg.objects(c.id)
	if len(refs) == 0 {
		o.miss(c.name, NotThere, "the group has no object of it")
		return nil
	}
	at := make(map[uint64]*viewReading)
	for i := range windows {
		for j := range windows[i].readings {
			r := &windows[i].readings[j]
			at[r.r.Sequence] = r
		}
	}
	for i := range refs {
		ref := &refs[i]
		content, _, err := o.v.open(ctx, o.vg, ref, o.data[class])
		if err != nil {
			return o.lost(err, c.name)
		}
		p, err := store.OpenDataPart(content)
		if err == nil && p.Slot != o.s.slot {
			err = fmt.Errorf("it is of stream %d", p.Slot)
		}
		if err != nil {
			return o.vg.lie(ref, "%w", err)
		}
		for n, ms := range p.Readings {
			r := at[p.First+uint64(n)]
			if r == nil {
				return o.vg.lie(ref, "reading %d is none of this quarter hour", p.First+uint64(n))
			}
			if err := r.place(class, ms); err != nil {
				return o.vg.lie(ref, "reading %d: %w", r.r.Sequence, err)
			}
			delete(at, r.r.Sequence)
		}
	}
	for seq := range at {
		return o.vg.lie(&refs[len(refs)-1], "it leaves reading %d out", seq)
	}
	o.whole = true
	return nil
}

// place adds the measurements of a class to a reading.
func (r *viewReading) place(class int, ms []store.IndexedMeasurement) error {
	if len(ms) == 0 {
		return nil
	}
	opened := make([]reading.Measurement, 0, reading.MaxMeasurements)
	for _, i := range r.shown[reading.IndexOrigin:] {
		opened = append(opened, r.r.Measurements[i-reading.IndexData])
	}
	for _, m := range ms {
		if m.Index < 0 || m.Index >= len(r.class) || r.class[m.Index] >= 0 {
			return fmt.Errorf("measurement %d has no place in it", m.Index)
		}
		opened = append(opened, m.Measurement)
		check := r.r
		check.Measurements = opened
		if err := check.Validate(); err != nil {
			return err
		}
		r.r.Measurements[m.Index], r.class[m.Index] = m.Measurement, int8(class)
		index := reading.IndexData + m.Index
		if r.itemLeaf(index) != r.record.leaves[index] {
			return fmt.Errorf("its %q is not the one that was recorded", m.Name)
		}
		at := len(r.shown)
		for r.shown[at-1] > index {
			at--
		}
		r.shown = append(r.shown[:at:at], append([]int{index}, r.shown[at:]...)...)
	}
	return nil
}

// summaries makes the summary of each window again, from the first reading on, and
// holds its leaf against the batch tree's. It returns the windows in which the
// stream was active.
func (o *streamOpener) summaries(windows []viewWindow) ([]viewWindow, error) {
	first := o.parts[0]
	tree, err := merkle.TreeFromPeaks(first.First, first.Peaks)
	if err != nil {
		return nil, o.vg.lie(&o.refs[0], "%w", err)
	}
	o.tree = tree
	if first.Carry != nil {
		o.state.prev, o.state.hasPrev = *first.Carry, true
	}
	var active []viewWindow
	for i := range windows {
		w := &windows[i]
		is, err := o.summary(w)
		if err != nil {
			return nil, err
		}
		if is {
			active = append(active, *w)
		}
	}
	if len(active) == 0 {
		return nil, o.vg.lie(&o.refs[0], "no batch has a summary that it leads to")
	}
	return active, nil
}

// summary makes the summary of a window; false if the stream was not active in it.
func (o *streamOpener) summary(w *viewWindow) (bool, error) {
	first := o.tree.Size()
	if o.closed && len(w.readings) == 0 {
		return false, nil
	}
	w.before = peaksOf(&o.tree)
	var run merkle.Tree
	o.state.begin()
	for i := range w.readings {
		r := &w.readings[i]
		o.tree.Append(r.leaf)
		run.Append(r.leaf)
		o.state.add(&r.r)
	}
	h, b := &o.vg.headers[w.at], &o.vg.g.Batches[w.at]
	w.sum = ledger.Summary{
		Slot: o.s.slot, From: h.From, To: h.To, First: first, Next: o.tree.Size(), Run: run.Root(), Stream: o.tree.Root(),
	}
	if o.s.slot < uint64(len(b.Leaves)) && o.matches(w, b.Leaves[o.s.slot], b) {
		o.active, o.closed = true, w.sum.Closed
		return true, nil
	}
	// Before its first batch a stream has no readings, and its slot another leaf.
	if !o.active && first == 0 && len(w.readings) == 0 {
		return false, nil
	}
	if o.unproven() {
		return false, errUnproven
	}
	part := 0
	if n := len(w.readings); n > 0 {
		part = w.readings[n-1].envelope
	}
	return false, o.vg.lie(&o.refs[part], "batch %d has another summary than the one that its readings %d to %d lead to", w.batch, first, w.sum.Next)
}

func peaksOf(t *merkle.Tree) []merkle.Hash { return splitHashes(t.AppendBinary(nil)[8:]) }

// matches completes the summary of a window, if there is one that has this leaf:
// of a stream that goes on or ends with it.
func (o *streamOpener) matches(w *viewWindow, leaf merkle.Hash, b *store.GroupBatch) bool {
	block := ledger.SummaryBlock(w.batch)
	w.salt = viewSalt(o.key, ledger.SummaryLabel, o.s.slot, b.Incarnation, block)
	rest := o.state.rest(b.Gap)
	if o.isLeaf(w, leaf, rest.Append(nil), viewSalt(o.key, ledger.RestLabel, o.s.slot, b.Incarnation, block)) {
		return true
	}
	// A stream that was bound before there were rules has one class, and its rest is
	// under that one's key.
	if len(o.has) != 1 || !o.has[0] {
		return false
	}
	extremes(&rest, w.readings)
	return o.isLeaf(w, leaf, rest.Append(nil), viewSalt(o.data[0], ledger.RestLabel, o.s.slot, b.Incarnation, block))
}

func (o *streamOpener) isLeaf(w *viewWindow, leaf merkle.Hash, rest []byte, salt [16]byte) bool {
	w.rest, w.restSalt = rest, salt
	w.sum.Hidden = ledger.Hide(rest, salt)
	for _, w.sum.Closed = range []bool{false, true} {
		w.item = w.sum.Append(nil)
		entry := ledger.SummaryEntry(w.tag, w.item, w.salt)
		if merkle.LeafHash(entry[:]) == leaf {
			return true
		}
	}
	return false
}

func viewSalt(k share.HourKey, label string, slot uint64, incarnation, block [16]byte) (salt [16]byte) {
	k.SaltBlock(label, slot, incarnation).Encrypt(salt[:], block[:])
	return salt
}

// path proves a window's summary in its batch tree.
func (w *viewWindow) path() []merkle.Hash {
	return merkle.PerfectPath(w.group.g.Batches[w.at].Leaves, int(w.sum.Slot))
}
