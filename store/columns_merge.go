package store

import (
	"encoding/binary"
	"fmt"
	"slices"
)

// merge appends the readings that encoded columns of the same stream hold, as adding
// each would, without making them: nearly all is taken over as it stands. It is for
// scheme 1 on. After an error c is of no use.
func (c *columns) merge(b blocks, open func([]byte) ([]byte, error)) error {
	first, n, err := c.mergeEnvelope(b.envelope)
	if err != nil {
		return err
	}
	if len(b.data) != len(c.class) {
		return fmt.Errorf("data: %w: %d classes, want %d", errColumns, len(b.data), len(c.class))
	}
	for i := range b.data {
		if err := c.class[i].merge(b.data[i], c.scheme, first, n); err != nil {
			return err
		}
	}
	if err := c.mergeEvidence(b.evidence, first, n, open); err != nil {
		return err
	}
	c.n += n
	return nil
}

func (c *columns) mergeEnvelope(b []byte) (first uint64, n int, err error) {
	in := cursor{b: b}
	if first, n, err = in.head("envelope", 1, maxColumns); err != nil {
		return 0, 0, err
	}
	device := in.bytes()
	if c.n == 0 {
		c.first, c.device = first, string(device)
	}
	if first != c.first+uint64(c.n) || string(device) != c.device || n > len(in.b) {
		in.fail()
	}
	starts := 0
	for range in.count() {
		times, incarnation := in.uvarint(), in.take(16)
		if in.err != nil || times > uint64(n-starts) {
			in.fail()
			break
		}
		c.addStart(times, [16]byte(incarnation))
		starts += int(times)
	}
	var buf [4]shape
	shapes := buf[:0]
	for range in.count() {
		shapes = append(shapes, shape{clock: in.byte(), verdict: in.byte(), flags: in.byte(), transport: string(in.bytes())})
	}
	counters, measured := 0, 0
	for _, run := range in.runs(len(shapes), n) {
		s := shapes[run.id]
		c.shapes.add(s, run.n)
		counters += int(s.flags&1) * int(run.n)
		measured += int(s.flags>>1&1) * int(run.n)
	}
	c.recv = mergeDeltas(c.recv, &in, n, &c.lastRecv)
	c.ctr = mergeDeltas(c.ctr, &in, counters, &c.lastCtr)
	c.meas = mergeDeltas(c.meas, &in, measured, &c.lastMeas)
	if in.err != nil || len(in.b) != 0 || starts != n {
		return 0, 0, fmt.Errorf("envelope: %w", errColumns)
	}
	return first, n, nil
}

// mergeDeltas appends n values that were coded from zero: all but the first differ
// from the one before by as much as they did.
func mergeDeltas(dst []byte, in *cursor, n int, last *uint64) []byte {
	if n == 0 {
		return dst
	}
	value := uint64(in.varint())
	dst = appendDelta(dst, value, last)
	rest := in.b
	for range n - 1 {
		value += uint64(in.varint())
	}
	*last = value
	return append(dst, rest[:len(rest)-len(in.b)]...)
}

// merge appends the rows of a data block of n readings from first on.
func (d *dataColumns) merge(b []byte, scheme byte, first uint64, n int) error {
	in := cursor{b: b}
	if f, got, err := in.head("data", 0, maxColumns); err != nil {
		return err
	} else if f != first || got != n {
		return fmt.Errorf("data: %w: other readings than the envelope's", errColumns)
	}
	schemas := make([][]column, in.count())
	ids := make([]int, len(schemas))
	for i := range schemas {
		schemas[i] = in.schema(scheme)
		if ids[i] = slices.IndexFunc(d.schemas, func(s []column) bool { return sameSchema(s, schemas[i]) }); ids[i] < 0 {
			ids[i] = d.addSchema(slices.Clone(schemas[i]))
		}
	}
	last := make([]int64, shareLast(schemas))
	for _, run := range in.runs(len(schemas), n) {
		from, to := schemas[run.id], d.schemas[ids[run.id]]
		if uint64(len(from)) > uint64(len(in.b))/run.n { // a value takes a byte at least
			in.fail()
			break
		}
		d.addRun(ids[run.id], run.n)
		for range run.n {
			for i := range from {
				d.values = mergeValue(d.values, &in, from[i].kind, &last[from[i].last], &d.last[to[i].last])
			}
		}
	}
	if in.err != nil || len(in.b) != 0 {
		return fmt.Errorf("data: %w", errColumns)
	}
	return nil
}

func sameSchema(a, b []column) bool {
	return slices.EqualFunc(a, b, func(a, b column) bool {
		return a.index == b.index && a.kind == b.kind && a.name == b.name && a.unit == b.unit
	})
}

// mergeValue appends one value: from is the last that was read of its column, to the
// last that was appended.
func mergeValue(dst []byte, in *cursor, kind byte, from, to *int64) []byte {
	before := in.b
	switch kind {
	case columnScaled:
		*from += in.varint()
		dst = binary.AppendVarint(dst, *from-*to)
		*to = *from
		return dst
	case columnNumber:
		in.byte()
		in.varint()
	case columnBool:
		in.byte()
	case columnText, columnBytes:
		in.bytes()
	default:
		in.fail()
	}
	return append(dst, before[:len(before)-len(in.b)]...)
}

func (c *columns) mergeEvidence(b []byte, first uint64, n int, open func([]byte) ([]byte, error)) error {
	in := cursor{b: b}
	if f, got, err := in.head("evidence", 1, maxColumns); err != nil {
		return err
	} else if f != first || got != n {
		return fmt.Errorf("evidence: %w: other readings than the envelope's", errColumns)
	}
	var buf [4]form
	forms := buf[:0]
	for range in.count() {
		forms = append(forms, form{in.byte(), in.byte(), in.byte(), uint32(in.uvarint())})
	}
	wanted := uint64(0)
	for _, run := range in.runs(len(forms), n) {
		c.forms.add(forms[run.id], run.n)
		if forms[run.id].hasPayload() {
			wanted += run.n
		}
	}
	payloads := in.b
	if open != nil && len(payloads) > 0 {
		plain, err := open(payloads)
		if err == nil {
			payloads, err = unpackContent(plain)
		}
		if err != nil {
			return fmt.Errorf("evidence: payloads: %w", err)
		}
	}
	c.payload = append(c.payload, payloads...)
	for in.b = payloads; wanted > 0 && in.err == nil; wanted-- {
		in.bytes()
	}
	if in.err != nil || len(in.b) != 0 {
		return fmt.Errorf("evidence: %w", errColumns)
	}
	return nil
}
