package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"

	"cairn/ingest/frame"
	"cairn/ingest/reading"
	"cairn/merkle"
)

// Columns hold consecutive readings of one stream, a compartment apart: the
// envelope's fields in one block, the measurements of each class in one more, the
// evidence (how to show the frame again) in the last. They are what is sealed,
// per group commit and again per quarter hour. All integers are unsigned LEB128;
// signed ones are zigzag coded.
//
//	envelope = first, n, device (len, bytes), starts, shapes, received deltas, counter deltas, measured deltas
//	  starts = count, { readings, incarnation (16) }
//	  shapes = count, { clock(1) verdict(1) flags(1) transport (len, bytes) }, run count, { shape, readings }
//	data     = first, n, schemas, run count, { schema, readings }, values
//	  schema = count, { index, name, unit (len, bytes), kind(1) }; no index in scheme 0
//	evidence = first, n, forms, run count, { form, readings }, payloads
//	  form   = kind(1) type(1) id length(1) key epoch
//
// An index is a measurement's place in its reading, so that the blocks of any
// classes can be put together. Payloads hold what measurements of every class
// were: from scheme 1 on they are compressed as a segment is and sealed under the
// stream's joint key, and left out where no reading has one.
type columns struct {
	scheme byte
	slot   uint64
	first  uint64
	n      int
	device string

	starts []startRun
	shapes table[shape]
	recv   []byte
	ctr    []byte
	meas   []byte

	class []dataColumns // by class of the stream

	forms   table[form]
	payload []byte

	lastRecv, lastMeas, lastCtr uint64
}

// dataColumns are the measurements of one class.
type dataColumns struct {
	schemas [][]column
	runs    []runLength
	values  []byte
	last    []int64 // by column of the current schema
	row     []IndexedMeasurement
}

// IndexedMeasurement is a measurement with its place among those of its reading:
// it is item 7 + Index.
type IndexedMeasurement struct {
	Index int
	reading.Measurement
}

type startRun struct {
	n           uint64
	incarnation [16]byte
}

type runLength struct{ id, n uint64 }

type shape struct {
	clock, verdict, flags byte // flags: 1 counter, 2 measured
	transport             string
}

// form says how the frame of a reading is shown again.
type form struct {
	kind, typ, idLen byte
	epoch            uint32 // of the key
}

const (
	evidenceNone   = 0 // nothing was kept: there was no frame
	evidenceReseal = 1 // sealed again from the measurements, the counter and the key
	evidenceBody   = 2 // sealed again from the body kept in the payload
	evidenceWire   = 3 // the frame or line itself is in the payload
)

type column struct {
	index      int
	name, unit string
	kind       byte
	last       int // place of the last value: from scheme 1 on columns of one name share it
}

const (
	columnScaled = 'n' // number × 10^4, delta against the last one of that name and unit; of scheme 0 in the same run
	columnNumber = 'e' // exponent and mantissa
	columnText   = 't'
	columnBool   = 'b'
	columnBytes  = 'x'
)

const scaleDigits = 4

// table gives small numbers to values that repeat and keeps their run lengths.
type table[T comparable] struct {
	vals []T
	runs []runLength
}

func (t *table[T]) add(v T, times uint64) {
	id := -1
	if n := len(t.runs); n > 0 && t.vals[t.runs[n-1].id] == v {
		t.runs[n-1].n += times
		return
	}
	for i := range t.vals {
		if t.vals[i] == v {
			id = i
			break
		}
	}
	if id < 0 {
		id = len(t.vals)
		t.vals = append(t.vals, v)
	}
	t.runs = append(t.runs, runLength{uint64(id), times})
}

func (t *table[T]) reset() { t.vals, t.runs = t.vals[:0], t.runs[:0] }

// reset empties c for readings of another run, keeping its buffers.
func (c *columns) reset(slot uint64) {
	c.slot, c.first, c.n, c.device = slot, 0, 0, ""
	c.starts = c.starts[:0]
	c.shapes.reset()
	c.forms.reset()
	c.recv, c.ctr, c.meas = c.recv[:0], c.ctr[:0], c.meas[:0]
	for i := range c.class {
		d := &c.class[i]
		d.schemas, d.runs, d.values, d.last = d.schemas[:0], d.runs[:0], d.values[:0], d.last[:0]
	}
	c.payload = c.payload[:0]
	c.lastRecv, c.lastMeas, c.lastCtr = 0, 0, 0
}

// stored is one reading with what else is needed to show it again.
type stored struct {
	reading.Reading
	slot        uint64
	incarnation [16]byte
	form        form
	payload     []byte // aliases
	class       []byte // of each measurement; nil where all are of one
	left        *left  // where compartments of it were shredded; measurements of these are blank
}

// add appends the next reading: sequences must be consecutive.
func (c *columns) add(r *stored) {
	if c.n == 0 {
		c.slot, c.first, c.device = r.slot, r.Sequence, r.Device
	}
	c.n++
	c.addStart(1, r.incarnation)
	s := shape{clock: byte(r.Clock), verdict: byte(r.Origin.Verdict), transport: r.Origin.Transport}
	c.recv = appendDelta(c.recv, uint64(r.Received), &c.lastRecv)
	if r.Origin.HasCounter {
		s.flags |= 1
		c.ctr = appendDelta(c.ctr, r.Origin.Counter, &c.lastCtr)
	}
	if r.HasMeasured {
		s.flags |= 2
		c.meas = appendDelta(c.meas, uint64(r.Measured), &c.lastMeas)
	}
	c.shapes.add(s, 1)
	c.addValues(r)
	c.forms.add(r.form, 1)
	if r.form.hasPayload() {
		c.payload = appendBytes(c.payload, r.payload)
	}
}

func (c *columns) addStart(n uint64, incarnation [16]byte) {
	if last := len(c.starts) - 1; last >= 0 && c.starts[last].incarnation == incarnation {
		c.starts[last].n += n
	} else {
		c.starts = append(c.starts, startRun{n, incarnation})
	}
}

func (f form) hasPayload() bool { return f.kind == evidenceBody || f.kind == evidenceWire }

// addValues puts each measurement where its class is.
func (c *columns) addValues(r *stored) {
	if len(c.class) == 0 {
		c.class = make([]dataColumns, 1)
	}
	for i := range c.class {
		c.class[i].row = c.class[i].row[:0]
	}
	for i := range r.Measurements {
		d := &c.class[0]
		if r.class != nil {
			d = &c.class[r.class[i]]
		}
		d.row = append(d.row, IndexedMeasurement{i, r.Measurements[i]})
	}
	for i := range c.class {
		c.class[i].add(c.scheme)
	}
}

// add appends the row.
func (d *dataColumns) add(scheme byte) {
	id := d.schema()
	if d.addRun(id, 1) && scheme == schemeSite {
		clear(d.last)
	}
	for i := range d.row {
		c := &d.schemas[id][i]
		d.values = appendValue(d.values, c.kind, d.row[i].Value, &d.last[c.last])
	}
}

// addRun says that the next n rows are of a schema, and whether the last was of another.
func (d *dataColumns) addRun(id int, n uint64) bool {
	if last := len(d.runs) - 1; last >= 0 && d.runs[last].id == uint64(id) {
		d.runs[last].n += n
		return false
	}
	d.runs = append(d.runs, runLength{uint64(id), n})
	return true
}

func (d *dataColumns) schema() int {
	for id, s := range d.schemas {
		if schemaFits(s, d.row) {
			return id
		}
	}
	s := make([]column, len(d.row))
	for i := range d.row {
		m := &d.row[i]
		s[i] = column{m.Index, m.Name, m.Unit, columnKind(m.Value), i}
	}
	return d.addSchema(s)
}

func (d *dataColumns) addSchema(s []column) int {
	d.schemas = append(d.schemas, s)
	d.last = append(d.last, make([]int64, max(0, shareLast(d.schemas)-len(d.last)))...)
	return len(d.schemas) - 1
}

// shareLast gives the columns of the newest schemas their places among the last
// values, one for each name with its unit, and says how many there are.
func shareLast(schemas [][]column) (places int) {
	if len(schemas) == 1 { // as nearly always in a commit
		return len(schemas[0])
	}
	at := map[[2]string]int{}
	for _, s := range schemas {
		for i := range s {
			key := [2]string{s[i].name, s[i].unit}
			if _, ok := at[key]; !ok {
				at[key] = len(at)
			}
			s[i].last = at[key]
		}
	}
	return len(at)
}

func schemaFits(s []column, row []IndexedMeasurement) bool {
	if len(s) != len(row) {
		return false
	}
	for i := range row {
		m := &row[i]
		if s[i].index != m.Index || s[i].name != m.Name || s[i].unit != m.Unit || s[i].kind != columnKind(m.Value) {
			return false
		}
	}
	return true
}

func columnKind(v reading.Value) byte {
	switch v.Kind {
	case reading.KindText:
		return columnText
	case reading.KindBool:
		return columnBool
	case reading.KindBytes:
		return columnBytes
	}
	if _, ok := scaled(v); ok {
		return columnScaled
	}
	return columnNumber
}

// scaled gives the number times 10^4 when that is a small integer.
func scaled(v reading.Value) (int64, bool) {
	m := v.Mantissa
	if v.Exp > 0 || v.Exp < -scaleDigits || m > math.MaxInt64/1_000_000 || m < math.MinInt64/1_000_000 {
		return 0, false
	}
	for e := v.Exp; e > -scaleDigits; e-- {
		m *= 10
	}
	return m, true
}

func appendValue(b []byte, kind byte, v reading.Value, last *int64) []byte {
	switch kind {
	case columnScaled:
		m, _ := scaled(v)
		b = binary.AppendVarint(b, m-*last)
		*last = m
		return b
	case columnNumber:
		return binary.AppendVarint(append(b, byte(v.Exp)), v.Mantissa)
	case columnBool:
		return append(b, byte(v.Mantissa))
	default:
		return appendBytes(b, []byte(v.Text))
	}
}

func appendDelta(b []byte, v uint64, last *uint64) []byte {
	b = binary.AppendVarint(b, int64(v-*last))
	*last = v
	return b
}

func appendBytes(b, v []byte) []byte {
	return append(binary.AppendUvarint(b, uint64(len(v))), v...)
}

func appendString(b []byte, v string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(v))), v...)
}

func appendRuns(b []byte, runs []runLength) []byte {
	b = binary.AppendUvarint(b, uint64(len(runs)))
	for _, r := range runs {
		b = binary.AppendUvarint(binary.AppendUvarint(b, r.id), r.n)
	}
	return b
}

// envelope, data and evidence encode the three blocks.
func (c *columns) envelope(b []byte) []byte {
	b = slices.Grow(b, 128+len(c.recv)+len(c.ctr)+len(c.meas))
	b = binary.AppendUvarint(b, c.first)
	b = binary.AppendUvarint(b, uint64(c.n))
	b = appendString(b, c.device)
	b = binary.AppendUvarint(b, uint64(len(c.starts)))
	for _, s := range c.starts {
		b = append(binary.AppendUvarint(b, s.n), s.incarnation[:]...)
	}
	b = binary.AppendUvarint(b, uint64(len(c.shapes.vals)))
	for _, s := range c.shapes.vals {
		b = appendString(append(b, s.clock, s.verdict, s.flags), s.transport)
	}
	b = appendRuns(b, c.shapes.runs)
	b = append(b, c.recv...)
	b = append(b, c.ctr...)
	return append(b, c.meas...)
}

// data encodes the measurements of one class.
func (c *columns) data(b []byte, class int) []byte {
	d := &dataColumns{}
	if class < len(c.class) {
		d = &c.class[class]
	}
	b = slices.Grow(b, 128+len(d.values))
	b = binary.AppendUvarint(b, c.first)
	b = binary.AppendUvarint(b, uint64(c.n))
	b = binary.AppendUvarint(b, uint64(len(d.schemas)))
	for _, s := range d.schemas {
		b = binary.AppendUvarint(b, uint64(len(s)))
		for _, col := range s {
			if c.scheme > 0 {
				b = binary.AppendUvarint(b, uint64(col.index))
			}
			b = append(appendString(appendString(b, col.name), col.unit), col.kind)
		}
	}
	b = appendRuns(b, d.runs)
	return append(b, d.values...)
}

// evidence encodes the forms, and the payloads as seal gives them back; they
// stand as they are where it is nil.
func (c *columns) evidence(b []byte, seal func(dst, payload []byte) []byte) []byte {
	b = binary.AppendUvarint(b, c.first)
	b = binary.AppendUvarint(b, uint64(c.n))
	b = binary.AppendUvarint(b, uint64(len(c.forms.vals)))
	for _, f := range c.forms.vals {
		b = binary.AppendUvarint(append(b, f.kind, f.typ, f.idLen), uint64(f.epoch))
	}
	b = appendRuns(b, c.forms.runs)
	if seal == nil || len(c.payload) == 0 {
		return append(b, c.payload...)
	}
	return seal(b, packContent(c.payload))
}

// size is about how many bytes c holds.
func (c *columns) size() int {
	n := len(c.recv) + len(c.ctr) + len(c.meas) + len(c.payload)
	for i := range c.class {
		n += len(c.class[i].values)
	}
	return n
}

var errColumns = errors.New("damaged columns")

// cursor reads what the append functions wrote; the first error sticks.
type cursor struct {
	b   []byte
	err error
}

func (c *cursor) fail() {
	if c.err == nil {
		c.err = errColumns
	}
	c.b = nil
}

func (c *cursor) uvarint() uint64 {
	v, n := binary.Uvarint(c.b)
	if n <= 0 {
		c.fail()
		return 0
	}
	c.b = c.b[n:]
	return v
}

func (c *cursor) varint() int64 {
	v, n := binary.Varint(c.b)
	if n <= 0 {
		c.fail()
		return 0
	}
	c.b = c.b[n:]
	return v
}

func (c *cursor) delta(last *uint64) uint64 {
	*last += uint64(c.varint())
	return *last
}

// count reads a number that cannot be larger than what is left.
func (c *cursor) count() int {
	v := c.uvarint()
	if v > uint64(len(c.b)) {
		c.fail()
		return 0
	}
	return int(v)
}

func (c *cursor) take(n int) []byte {
	if n < 0 || n > len(c.b) {
		c.fail()
		return nil
	}
	v := c.b[:n:n]
	c.b = c.b[n:]
	return v
}

func (c *cursor) bytes() []byte { return c.take(c.count()) }

func (c *cursor) byte() byte {
	if v := c.take(1); v != nil {
		return v[0]
	}
	return 0
}

// runs reads run lengths over n readings and ids values.
func (c *cursor) runs(ids, n int) []runLength {
	out := make([]runLength, c.count())
	var sum uint64
	for i := range out {
		out[i] = runLength{c.uvarint(), c.uvarint()}
		sum += out[i].n
		if out[i].id >= uint64(ids) || out[i].n == 0 || out[i].n > uint64(n) {
			c.fail()
			return nil
		}
	}
	if sum != uint64(n) {
		c.fail()
		return nil
	}
	return out
}

// maxColumns bounds the readings of one block.
const maxColumns = 1 << 20

func (c *cursor) head(what string, least, most uint64) (first uint64, n int, err error) {
	first = c.uvarint()
	u := c.uvarint()
	if c.err != nil || u < least || u > most {
		return 0, 0, fmt.Errorf("%s: %w", what, errColumns)
	}
	return first, int(u), nil
}

// blocks are the encoded columns of some readings.
type blocks struct {
	envelope []byte
	data     [][]byte // by class
	evidence []byte
}

// decodeColumns gives the readings of one stream back. Measurements of a class
// whose block is nil are missing, and without evidence that is. open opens
// sealed payloads; where it is nil they stand in the clear.
func decodeColumns(slot uint64, scheme byte, b blocks, open func([]byte) ([]byte, error)) ([]stored, error) {
	out, err := decodeEnvelope(slot, b.envelope, 1, maxColumns)
	if err != nil {
		return nil, err
	}
	if err := decodeClasses(out, scheme, b.data); err != nil {
		return nil, err
	}
	if b.evidence != nil {
		if err := decodeEvidence(out, b.evidence, open); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// decodeClasses puts the measurements of all classes together.
func decodeClasses(out []stored, scheme byte, data [][]byte) error {
	if len(data) == 1 && data[0] != nil {
		return decodeRows(data[0], scheme, out[0].Sequence, len(out), func(at int, s []column, row []reading.Measurement) bool {
			out[at].Measurements = row
			return len(s) == 0 || s[len(s)-1].index == len(s)-1
		})
	}
	all := true
	for class, b := range data {
		if b == nil {
			all = false
			continue
		}
		err := decodeRows(b, scheme, out[0].Sequence, len(out), func(at int, s []column, row []reading.Measurement) bool {
			r := &out[at]
			for i := range row {
				r.place(s[i].index, byte(class), row[i])
			}
			return true
		})
		if err != nil {
			return err
		}
	}
	for i := range out {
		for j := range out[i].Measurements {
			if all && out[i].Measurements[j].Name == "" {
				return fmt.Errorf("data: %w: measurement %d of reading %d is missing", errColumns, j, out[i].Sequence)
			}
		}
	}
	return nil
}

// place puts a measurement at its index.
func (r *stored) place(index int, class byte, m reading.Measurement) {
	for len(r.Measurements) <= index {
		r.Measurements, r.class = append(r.Measurements, reading.Measurement{}), append(r.class, 0)
	}
	r.Measurements[index], r.class[index] = m, class
}

func decodeEnvelope(slot uint64, b []byte, least, most uint64) ([]stored, error) {
	c := cursor{b: b}
	first, n, err := c.head("envelope", least, most)
	if err != nil {
		return nil, err
	}
	device := string(c.bytes())
	if n > len(c.b) { // each takes a byte for its received time at least
		return nil, fmt.Errorf("envelope: %w", errColumns)
	}
	out := make([]stored, n)
	c.decodeStarts(out)
	shapes := make([]shape, c.count())
	for i := range shapes {
		shapes[i] = shape{clock: c.byte(), verdict: c.byte(), flags: c.byte(), transport: string(c.bytes())}
	}
	at := 0
	flags := make([]byte, n)
	for _, run := range c.runs(len(shapes), n) {
		s := shapes[run.id]
		for range run.n {
			if at >= n {
				break
			}
			r := &out[at]
			r.slot, r.Device, r.Sequence = slot, device, first+uint64(at)
			r.Clock = reading.Clock(s.clock)
			r.Origin = reading.Origin{Transport: s.transport, Verdict: reading.Verdict(s.verdict)}
			flags[at] = s.flags
			at++
		}
	}
	var recv, ctr, meas uint64
	for i := range out {
		out[i].Received = int64(c.delta(&recv))
	}
	for i := range out {
		if flags[i]&1 != 0 {
			out[i].Origin.HasCounter, out[i].Origin.Counter = true, c.delta(&ctr)
		}
	}
	for i := range out {
		if flags[i]&2 != 0 {
			out[i].HasMeasured, out[i].Measured = true, int64(c.delta(&meas))
		}
	}
	if c.err != nil || len(c.b) != 0 {
		return nil, fmt.Errorf("envelope: %w", errColumns)
	}
	return out, nil
}

func (c *cursor) decodeStarts(out []stored) {
	at := 0
	for range c.count() {
		n, inc := c.uvarint(), c.take(16)
		if c.err != nil || n > uint64(len(out)-at) {
			c.fail()
			return
		}
		for range n {
			copy(out[at].incarnation[:], inc)
			at++
		}
	}
	if at != len(out) {
		c.fail()
	}
}

// decodeRows reads a data block of n readings from first on: emit is shown each
// reading's measurements with their columns, whose indices go up, and says whether
// they will do.
func decodeRows(b []byte, scheme byte, first uint64, n int, emit func(at int, s []column, row []reading.Measurement) bool) error {
	c := cursor{b: b}
	if f, got, err := c.head("data", 0, maxColumns); err != nil {
		return err
	} else if got != n || f != first {
		return fmt.Errorf("data: %w: other readings than the envelope's", errColumns)
	}
	schemas := make([][]column, c.count())
	for i := range schemas {
		schemas[i] = c.schema(scheme)
	}
	last := make([]int64, shareLast(schemas))
	at := 0
	for _, run := range c.runs(len(schemas), n) {
		s := schemas[run.id]
		if uint64(len(s)) > uint64(len(c.b))/run.n { // a value takes a byte at least
			return fmt.Errorf("data: %w", errColumns)
		}
		if scheme == schemeSite {
			clear(last)
		}
		ms := make([]reading.Measurement, len(s)*int(run.n))
		for range run.n {
			row := ms[:len(s):len(s)]
			ms = ms[len(s):]
			for j, col := range s {
				row[j] = reading.Measurement{Name: col.name, Unit: col.unit, Value: c.value(col.kind, &last[col.last])}
			}
			if len(row) == 0 {
				row = nil
			}
			if !emit(at, s, row) {
				c.fail()
			}
			at++
		}
	}
	if c.err != nil || len(c.b) != 0 {
		return fmt.Errorf("data: %w", errColumns)
	}
	return nil
}

// schema reads the columns of one schema.
func (c *cursor) schema(scheme byte) []column {
	s := make([]column, c.count())
	next := uint64(0)
	for j := range s {
		index := uint64(j)
		if scheme > 0 {
			if index = c.uvarint(); index < next || index >= reading.MaxMeasurements {
				c.fail()
			}
			next = index + 1
		}
		s[j] = column{int(index), string(c.bytes()), string(c.bytes()), c.byte(), j}
		if scheme > 0 && s[j].name == "" {
			c.fail()
		}
	}
	return s
}

func (c *cursor) value(kind byte, last *int64) reading.Value {
	switch kind {
	case columnScaled:
		*last += c.varint()
		return reading.Decimal(*last, -scaleDigits)
	case columnNumber:
		exp := int8(c.byte())
		return reading.Decimal(c.varint(), int(exp))
	case columnBool:
		return reading.Bool(c.byte() != 0)
	case columnText:
		return reading.Text(string(c.bytes()))
	case columnBytes:
		return reading.Bytes(c.bytes())
	}
	c.fail()
	return reading.Value{}
}

func decodeEvidence(out []stored, b []byte, open func([]byte) ([]byte, error)) error {
	c := cursor{b: b}
	first, n, err := c.head("evidence", 1, maxColumns)
	if err != nil {
		return err
	}
	if n != len(out) || first != out[0].Sequence {
		return fmt.Errorf("evidence: %w: other readings than the envelope's", errColumns)
	}
	forms := make([]form, c.count())
	for i := range forms {
		forms[i] = form{c.byte(), c.byte(), c.byte(), uint32(c.uvarint())}
	}
	runs := c.runs(len(forms), n)
	payloads := &c
	if open != nil && len(c.b) > 0 {
		plain, err := open(c.b)
		if err == nil {
			plain, err = unpackContent(plain)
		}
		if err != nil {
			return fmt.Errorf("evidence: payloads: %w", err)
		}
		c.b, payloads = nil, &cursor{b: plain}
	}
	at := 0
	for _, run := range runs {
		for range run.n {
			out[at].form = forms[run.id]
			if out[at].form.hasPayload() {
				out[at].payload = payloads.bytes()
			}
			at++
		}
	}
	if c.err != nil || payloads.err != nil || len(c.b)+len(payloads.b) != 0 {
		return fmt.Errorf("evidence: %w", errColumns)
	}
	return nil
}

// evidenceOf says how the frame of a reading will be shown again: sealed again
// bit for bit where measurements or body and counter allow it, else kept.
func evidenceOf(a *Arrival, scratch []byte) (form, []byte) {
	switch {
	case len(a.Wire) == 0:
		return form{kind: evidenceNone}, nil
	case a.Verdict != reading.Authenticated,
		len(a.Wire) < 3 || a.Wire[1] != a.Type || a.Wire[2]&0xf != a.IDLen: // could not be sealed alike
		return form{kind: evidenceWire}, a.Wire
	}
	f := form{kind: evidenceReseal, typ: a.Type, idLen: a.IDLen, epoch: a.Epoch}
	if body, ok := rebuildBody(scratch, a.Measurements); ok && string(body) == string(a.Body) {
		return f, nil
	}
	f.kind = evidenceBody
	return f, a.Body
}

// rebuildBody makes the body of an 'O' frame from measurements, if that can be done.
func rebuildBody(dst []byte, ms []reading.Measurement) ([]byte, bool) {
	if len(ms) == 0 {
		return dst[:0], true
	}
	var buf [16]frame.Stat
	body, stats := frame.Body{Valve: -1}, buf[:0]
	for i := range ms {
		m := &ms[i]
		switch m.Name {
		case reading.NameValve:
			body.Valve = int(m.Value.Mantissa)
		case reading.NameHeat:
			body.CallForHeat = true
		case reading.NameFault:
			body.Fault = true
		case reading.NameBatteryLow:
			body.LowBattery = true
		case reading.NameTamper:
			body.Tamper = true
		case reading.NameFrost:
			body.FrostRisk = true
		case reading.NameOccupancy:
			body.Occupancy = int(m.Value.Mantissa)
		default:
			key, unit, isInt, n, text, ok := reading.ToStat(*m)
			if !ok {
				return nil, false
			}
			stats = append(stats, frame.Stat{Key: key, Unit: unit, IsInt: isInt, Int: n, Text: text})
		}
	}
	var text [64]byte
	if len(stats) > 0 {
		body.Stats = frame.AppendStats(text[:0], stats, false)
	}
	out, err := frame.AppendBody(dst[:0], body)
	return out, err == nil
}

// resealed gives the wire frame or line of a reading back; nil if there was none.
func resealed(r *stored, id frame.ID, opener *frame.Opener) ([]byte, error) {
	switch r.form.kind {
	case evidenceNone:
		return nil, nil
	case evidenceWire:
		return r.payload, nil
	}
	body := r.payload
	if r.form.kind == evidenceReseal {
		var ok bool
		if body, ok = rebuildBody(make([]byte, 0, 32), r.Measurements); !ok {
			return nil, fmt.Errorf("reading %d of stream %d: its frame cannot be built again", r.Sequence, r.slot)
		}
	}
	if opener == nil {
		return nil, fmt.Errorf("reading %d of stream %d: the device's key is not in the keyring", r.Sequence, r.slot)
	}
	return opener.Seal(nil, r.form.typ, id, int(r.form.idLen), frame.Counter(r.Origin.Counter), body)
}

var noHash merkle.Hash
