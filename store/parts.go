package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"

	"cairn/ingest/reading"
	"cairn/merkle"
	"cairn/store/share"
)

// ErrPart is an opened object that does not hold what it should.
var ErrPart = errors.New("not a part of a stream's segment")

// EnvelopePart is what the object of a stream's envelope says of one group: each
// reading's envelope fields, and what it takes to get from them, or from more
// fields, to the stream's tree.
type EnvelopePart struct {
	Slot, First uint64 // the stream, and the number of its first reading here
	Tag         [reading.TagSize]byte
	Device      string
	Readings    []EnvelopeReading
	Peaks       []merkle.Hash // roots of the complete subtrees of the stream's tree before First, highest first
	Carry       *uint64       // counter before First, as the rest of a summary takes it; nil for none
	Runs        []PartRun     // of Readings, in order
}

// EnvelopeReading is one reading as far as its envelope goes: measurements and
// frame are missing.
type EnvelopeReading struct {
	reading.Reading
	Incarnation [16]byte // of the start that salted it
	Items       int      // N+1
	// Hidden are the leaf hashes of items 0, 6, 7…N of the record tree, and behind
	// them the roots of the smallest aligned subtrees that cover its decoys.
	Hidden []merkle.Hash
}

// PartRun is how many readings came with one batch.
type PartRun struct {
	Batch uint64
	N     int
}

// DataPart is what the object of one of a stream's data compartments says: the
// measurements of its class, by reading from First on.
type DataPart struct {
	Slot, First uint64
	Readings    [][]IndexedMeasurement
}

// streamBlock unpacks the content of a stream's object: one block.
func streamBlock(content []byte) (slot uint64, columns []byte, err error) {
	plain, err := unpackContent(content)
	if err != nil {
		return 0, nil, fmt.Errorf("%w: %w", ErrPart, err)
	}
	c := cursor{b: plain}
	slot, columns = c.uvarint(), c.bytes()
	if c.err != nil || len(c.b) != 0 {
		return 0, nil, fmt.Errorf("%w: no single block", ErrPart)
	}
	return slot, columns, nil
}

// OpenEnvelopePart reads an envelope object that was opened (share.OpenObject),
// of the group of batches that begins with group. Whether what it says is true
// only the hashes tell that lead from it to the log.
func OpenEnvelopePart(content, hidden []byte, group uint64) (*EnvelopePart, error) {
	slot, columns, err := streamBlock(content)
	if err != nil {
		return nil, err
	}
	all, err := decodeEnvelope(slot, columns, 0, segmentReadings)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPart, err)
	}
	c := cursor{b: columns}
	p := &EnvelopePart{Slot: slot, First: c.uvarint()}
	c.uvarint()
	p.Device = string(c.bytes())
	p.Readings = make([]EnvelopeReading, len(all))
	for i := range all {
		p.Readings[i].Reading, p.Readings[i].Incarnation = all[i].Reading, all[i].incarnation
	}
	if err := p.open(&cursor{b: hidden}, group); err != nil {
		return nil, err
	}
	return p, nil
}

// open reads the hidden part.
func (p *EnvelopePart) open(c *cursor, group uint64) error {
	version := c.byte()
	copy(p.Tag[:], c.take(len(p.Tag)))
	first, n := c.uvarint(), c.uvarint()
	if c.err != nil || version != hiddenVersion || first != p.First || n != uint64(len(p.Readings)) || first+n > merkle.MaxSize {
		return fmt.Errorf("%w: its hidden part is of other readings", ErrPart)
	}
	p.Peaks = c.hashes(c.count())
	if len(p.Peaks) != bits.OnesCount64(first) {
		return fmt.Errorf("%w: %d peaks of %d readings", ErrPart, len(p.Peaks), first)
	}
	switch c.byte() {
	case 0:
	case 1:
		if b := c.take(8); b != nil {
			counter := binary.BigEndian.Uint64(b)
			p.Carry = &counter
		}
	default:
		c.fail()
	}
	p.openRuns(c, group)
	for i := range p.Readings {
		r := &p.Readings[i]
		items := c.uvarint()
		if c.err != nil || items < reading.IndexData || items > reading.MaxLeaves {
			c.fail()
			break
		}
		r.Items = int(items)
		r.Hidden = c.hashes(r.Items - reading.IndexFrame + 1 + len(decoyCover(r.Items, reading.Width(r.Items))))
	}
	if c.err != nil || len(c.b) != 0 {
		return fmt.Errorf("%w: its hidden part is garbled", ErrPart)
	}
	return nil
}

// openRuns reads the runs: batches go up, and the readings are all of the part's.
func (p *EnvelopePart) openRuns(c *cursor, group uint64) {
	left := uint64(len(p.Readings))
	p.Runs = make([]PartRun, min(c.count(), len(p.Readings)+1))
	for i := range p.Runs {
		batch, n := c.uvarint(), c.uvarint()
		if n == 0 || n > left || group+batch < group || i > 0 && group+batch <= p.Runs[i-1].Batch {
			c.fail()
			return
		}
		p.Runs[i] = PartRun{group + batch, int(n)}
		left -= n
	}
	if left != 0 {
		c.fail()
	}
}

// hashes reads n of them.
func (c *cursor) hashes(n int) []merkle.Hash {
	b := c.take(n * merkle.HashSize)
	if c.err != nil || n == 0 {
		return nil
	}
	out := make([]merkle.Hash, n)
	for i := range out {
		copy(out[i][:], b[i*merkle.HashSize:])
	}
	return out
}

// OpenDataPart reads the object of a data compartment that was opened.
func OpenDataPart(content []byte) (*DataPart, error) {
	slot, columns, err := streamBlock(content)
	if err != nil {
		return nil, err
	}
	c := cursor{b: columns}
	first, n, err := c.head("data", 0, segmentReadings)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPart, err)
	}
	// A stream that was bound before there were rules has columns without an index.
	for _, scheme := range []byte{schemeJoint, schemeSite} {
		p := &DataPart{Slot: slot, First: first, Readings: make([][]IndexedMeasurement, n)}
		err = decodeRows(columns, scheme, first, n, func(at int, s []column, row []reading.Measurement) bool {
			for i := range row {
				p.Readings[at] = append(p.Readings[at], IndexedMeasurement{s[i].index, row[i]})
			}
			return true
		})
		if err == nil {
			return p, nil
		}
	}
	return nil, fmt.Errorf("%w: %w", ErrPart, err)
}

// RecordRoot gives the record root of a reading of which leaves says some leaf
// hashes, by index; the others are those that the envelope's object names.
func (r *EnvelopeReading) RecordRoot(leaves map[int]merkle.Hash) (merkle.Hash, error) {
	width := reading.Width(r.Items)
	var all [reading.MaxLeaves]merkle.Hash
	var have [reading.MaxLeaves]bool
	hidden := r.Hidden
	next := func() (h merkle.Hash) {
		if len(hidden) > 0 {
			h, hidden = hidden[0], hidden[1:]
		}
		return h
	}
	all[reading.IndexReading], have[reading.IndexReading] = next(), true
	for i := reading.IndexFrame; i < r.Items; i++ {
		all[i], have[i] = next(), true
	}
	for i, h := range leaves {
		if i < 0 || i >= r.Items {
			return noHash, fmt.Errorf("%w: leaf %d of %d items", ErrPart, i, r.Items)
		}
		all[i], have[i] = h, true
	}
	for i := range r.Items {
		if !have[i] {
			return noHash, fmt.Errorf("%w: leaf %d of reading %d is missing", ErrPart, i, r.Sequence)
		}
	}
	return foldCover(all[:width], r.Items, next), nil
}

// foldCover gives the root over leaves of which those from items on are known as
// the subtrees that cover them, left to right.
func foldCover(leaves []merkle.Hash, items int, next func() merkle.Hash) merkle.Hash {
	if items >= len(leaves) {
		return merkle.PerfectRoot(leaves)
	}
	if items <= 0 {
		return next()
	}
	half := len(leaves) / 2
	left := foldCover(leaves[:half], min(items, half), next)
	return merkle.NodeHash(left, foldCover(leaves[half:], items-half, next))
}

// FieldSalts are the salts of a stream's fields for one who has some of its
// compartments: of the envelope, and of the measurements of one class.
func FieldSalts(k share.HourKey, slot uint64, incarnation [16]byte) reading.Salts {
	b := k.SaltBlock("field", slot, incarnation)
	return reading.Salts{Envelope: b, Data: b}
}
