package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"cairn/ingest/frame"
	"cairn/ingest/reading"
	"cairn/merkle"
)

// Columns hold consecutive readings of one stream, a compartment class apart:
// the envelope's fields in one block, the measurements in another, the evidence
// (how to show the frame again) in a third. They are what is sealed, per group
// commit and again per quarter hour. All integers are unsigned LEB128; signed
// ones are zigzag coded.
//
//	envelope = first, n, device (len, bytes), starts, shapes, received deltas, counter deltas, measured deltas
//	  starts = count, { readings, incarnation (16) }
//	  shapes = count, { clock(1) verdict(1) flags(1) transport (len, bytes) }, run count, { shape, readings }
//	data     = first, n, schemas, run count, { schema, readings }, values
//	  schema = count, { name, unit (len, bytes), kind(1) }
//	evidence = first, n, forms, run count, { form, readings }, payloads
//	  form   = kind(1) type(1) id length(1) key epoch
type columns struct {
	slot   uint64
	first  uint64
	n      int
	device string

	starts []startRun
	shapes table[shape]
	recv   []byte
	ctr    []byte
	meas   []byte

	schemas  [][]column
	schemaRL []runLength
	values   []byte

	forms   table[form]
	payload []byte

	lastRecv, lastMeas, lastCtr uint64
	last                        []int64 // by column of the current schema
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
	name, unit string
	kind       byte
}

const (
	columnScaled = 'n' // number × 10^4, delta against the last reading's
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

func (t *table[T]) add(v T) {
	id := -1
	if n := len(t.runs); n > 0 && t.vals[t.runs[n-1].id] == v {
		t.runs[n-1].n++
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
	t.runs = append(t.runs, runLength{uint64(id), 1})
}

func (t *table[T]) reset() { t.vals, t.runs = t.vals[:0], t.runs[:0] }

// reset empties c for readings of another run, keeping its buffers.
func (c *columns) reset(slot uint64) {
	c.slot, c.first, c.n, c.device = slot, 0, 0, ""
	c.starts = c.starts[:0]
	c.shapes.reset()
	c.forms.reset()
	c.recv, c.ctr, c.meas = c.recv[:0], c.ctr[:0], c.meas[:0]
	c.schemas, c.schemaRL, c.values = c.schemas[:0], c.schemaRL[:0], c.values[:0]
	c.payload = c.payload[:0]
	c.lastRecv, c.lastMeas, c.lastCtr = 0, 0, 0
	c.last = c.last[:0]
}

// stored is one reading with what else is needed to show it again.
type stored struct {
	reading.Reading
	slot        uint64
	incarnation [16]byte
	form        form
	payload     []byte // aliases
}

// add appends the next reading: sequences must be consecutive.
func (c *columns) add(r *stored) {
	if c.n == 0 {
		c.slot, c.first, c.device = r.slot, r.Sequence, r.Device
	}
	c.n++
	if n := len(c.starts); n > 0 && c.starts[n-1].incarnation == r.incarnation {
		c.starts[n-1].n++
	} else {
		c.starts = append(c.starts, startRun{1, r.incarnation})
	}
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
	c.shapes.add(s)
	c.addValues(r.Measurements)
	c.forms.add(r.form)
	if r.form.kind == evidenceBody || r.form.kind == evidenceWire {
		c.payload = appendBytes(c.payload, r.payload)
	}
}

func (c *columns) addValues(ms []reading.Measurement) {
	id := c.schema(ms)
	if n := len(c.schemaRL); n > 0 && c.schemaRL[n-1].id == uint64(id) {
		c.schemaRL[n-1].n++
	} else {
		c.schemaRL = append(c.schemaRL, runLength{uint64(id), 1})
		c.last = append(c.last[:0], make([]int64, len(ms))...)
	}
	for i := range ms {
		c.values = appendValue(c.values, c.schemas[id][i].kind, ms[i].Value, &c.last[i])
	}
}

func (c *columns) schema(ms []reading.Measurement) int {
	for id, s := range c.schemas {
		if schemaFits(s, ms) {
			return id
		}
	}
	s := make([]column, len(ms))
	for i := range ms {
		s[i] = column{ms[i].Name, ms[i].Unit, columnKind(ms[i].Value)}
	}
	c.schemas = append(c.schemas, s)
	return len(c.schemas) - 1
}

func schemaFits(s []column, ms []reading.Measurement) bool {
	if len(s) != len(ms) {
		return false
	}
	for i := range ms {
		if s[i].name != ms[i].Name || s[i].unit != ms[i].Unit || s[i].kind != columnKind(ms[i].Value) {
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

func (c *columns) data(b []byte) []byte {
	b = binary.AppendUvarint(b, c.first)
	b = binary.AppendUvarint(b, uint64(c.n))
	b = binary.AppendUvarint(b, uint64(len(c.schemas)))
	for _, s := range c.schemas {
		b = binary.AppendUvarint(b, uint64(len(s)))
		for _, col := range s {
			b = append(appendString(appendString(b, col.name), col.unit), col.kind)
		}
	}
	b = appendRuns(b, c.schemaRL)
	return append(b, c.values...)
}

func (c *columns) evidence(b []byte) []byte {
	b = binary.AppendUvarint(b, c.first)
	b = binary.AppendUvarint(b, uint64(c.n))
	b = binary.AppendUvarint(b, uint64(len(c.forms.vals)))
	for _, f := range c.forms.vals {
		b = binary.AppendUvarint(append(b, f.kind, f.typ, f.idLen), uint64(f.epoch))
	}
	b = appendRuns(b, c.forms.runs)
	return append(b, c.payload...)
}

// size is about how many bytes c holds.
func (c *columns) size() int {
	return len(c.recv) + len(c.ctr) + len(c.meas) + len(c.values) + len(c.payload)
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

func (c *cursor) head(what string) (first uint64, n int, err error) {
	first = c.uvarint()
	u := c.uvarint()
	if c.err != nil || u == 0 || u > maxColumns {
		return 0, 0, fmt.Errorf("%s: %w", what, errColumns)
	}
	return first, int(u), nil
}

// decodeColumns gives the readings of one stream back. Data and evidence may be
// nil: then measurements and evidence are missing.
func decodeColumns(slot uint64, envelope, data, evidence []byte) ([]stored, error) {
	out, err := decodeEnvelope(slot, envelope)
	if err != nil {
		return nil, err
	}
	if data != nil {
		if err := decodeData(out, data); err != nil {
			return nil, err
		}
	}
	if evidence != nil {
		if err := decodeEvidence(out, evidence); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func decodeEnvelope(slot uint64, b []byte) ([]stored, error) {
	c := cursor{b: b}
	first, n, err := c.head("envelope")
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

func decodeData(out []stored, b []byte) error {
	c := cursor{b: b}
	first, n, err := c.head("data")
	if err != nil {
		return err
	}
	if n != len(out) || first != out[0].Sequence {
		return fmt.Errorf("data: %w: other readings than the envelope's", errColumns)
	}
	schemas := make([][]column, c.count())
	for i := range schemas {
		schemas[i] = make([]column, c.count())
		for j := range schemas[i] {
			schemas[i][j] = column{string(c.bytes()), string(c.bytes()), c.byte()}
		}
	}
	at := 0
	for _, run := range c.runs(len(schemas), n) {
		s := schemas[run.id]
		if uint64(len(s)) > uint64(len(c.b))/run.n { // a value takes a byte at least
			return fmt.Errorf("data: %w", errColumns)
		}
		last := make([]int64, len(s))
		ms := make([]reading.Measurement, len(s)*int(run.n))
		for range run.n {
			row := ms[:len(s):len(s)]
			ms = ms[len(s):]
			for j, col := range s {
				row[j] = reading.Measurement{Name: col.name, Unit: col.unit, Value: c.value(col.kind, &last[j])}
			}
			if len(row) > 0 {
				out[at].Measurements = row
			}
			at++
		}
	}
	if c.err != nil || len(c.b) != 0 {
		return fmt.Errorf("data: %w", errColumns)
	}
	return nil
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

func decodeEvidence(out []stored, b []byte) error {
	c := cursor{b: b}
	first, n, err := c.head("evidence")
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
	at := 0
	for _, run := range c.runs(len(forms), n) {
		for range run.n {
			out[at].form = forms[run.id]
			if k := forms[run.id].kind; k == evidenceBody || k == evidenceWire {
				out[at].payload = c.bytes()
			}
			at++
		}
	}
	if c.err != nil || len(c.b) != 0 {
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
