package store

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"

	"cairn/ingest/frame"
	"cairn/merkle"
	"cairn/store/share"
)

const (
	purposeCommit   = "commit"
	purposeSegment  = "segment"
	purposeEvidence = "evidence"
)

// record is one group commit as written under c:
//
//	format(1) head (len, bytes) signature(64) batch random(32)
//	streams: count, { slot, first, n, envelope length, classes, { data length } }
//	order:   for each reading in order of arrival, its stream's place in the list
//	roots:   for each reading, stream after stream, its record root (32)
//	sealed envelope and data columns, stream after stream, by class
//	sealed site chunk (len, bytes): for each stream its evidence (len, bytes)
//	devices, under the local key: count, { number, epoch, count, { counter(6), digest(8) } }
//
// A commit of format 1 has one class a stream and does not count it; its devices
// stand at the end of the site chunk, which has no length of its own.
//
// Roots stand in the clear, so that a start appends them as they are, without
// hashing each reading again; they are salted.
type record struct {
	number    uint64
	head      []byte
	signature []byte
	batch     uint64
	random    [32]byte
	streams   []recordStream
	order     []uint32
	site      []byte // sealed
	devices   []byte // sealed under the local key; nil in format 1
}

type recordStream struct {
	slot, first uint64
	n           int
	roots       []byte   // n×32
	envelope    []byte   // sealed
	data        [][]byte // sealed, by class
}

func (r *record) draw() { rand.Read(r.random[:]) }

// encode appends the record of a hashed group.
func (r *record) encode(b []byte, c *committer, g *group) []byte {
	b = append(b, formatClasses)
	b = appendBytes(b, r.head)
	b = append(b, r.signature...)
	b = binary.AppendUvarint(b, r.batch)
	b = append(b, r.random[:]...)
	b = binary.AppendUvarint(b, uint64(len(g.touched)))
	place := make(map[*stream]uint64, len(g.touched))
	for i, st := range g.touched {
		place[st] = uint64(i)
		b = binary.AppendUvarint(b, st.slot)
		b = binary.AppendUvarint(b, st.tree.Size()-uint64(len(st.pending)))
		b = binary.AppendUvarint(b, uint64(len(st.pending)))
		b = binary.AppendUvarint(b, uint64(len(st.out.envelope)))
		b = binary.AppendUvarint(b, uint64(len(st.out.data)))
		for i := range st.out.data {
			b = binary.AppendUvarint(b, uint64(len(st.out.data[i])))
		}
	}
	for _, p := range g.items[:g.n] {
		b = binary.AppendUvarint(b, place[c.streams[p.r.slot]])
	}
	for _, st := range g.touched {
		for i := range st.out.roots {
			b = append(b, st.out.roots[i][:]...)
		}
	}
	for _, st := range g.touched {
		b = append(b, st.out.envelope...)
		for i := range st.out.data {
			b = append(b, st.out.data[i]...)
		}
	}
	var site []byte
	for _, st := range g.touched {
		site = appendBytes(site, st.out.evidence)
	}
	b = appendBytes(b, c.s.sealMessage(&c.siteKey, nil, &r.random, c.s.commitAAD(r.number, share.Site), site))
	if c.s.bench.noSealing {
		return append(b, devicesChunk(g)...)
	}
	return append(b, c.s.local.seal(c.s.keys.u64(kindCommit, r.number), devicesChunk(g))...)
}

// devicesChunk says which counters were accepted.
func devicesChunk(g *group) []byte {
	var b []byte
	live := 0
	for _, st := range g.touched {
		if !st.late {
			live++
		}
	}
	b = binary.AppendUvarint(b, uint64(live))
	for _, st := range g.touched {
		if st.late {
			continue
		}
		d := st.device
		b = binary.AppendUvarint(b, uint64(d.binding.Number))
		b = binary.AppendUvarint(b, uint64(d.epoch))
		recent := d.recent[max(0, len(d.recent)-len(st.pending)):]
		b = binary.AppendUvarint(b, uint64(len(recent)))
		for _, f := range recent {
			b = f.counter.Append(b)
			b = append(b, f.digest[:]...)
		}
	}
	return b
}

// commitAAD binds a sealed chunk to its ledger, compartment and commit.
func (s *Store) commitAAD(number uint64, compartment uint32) []byte {
	b := make([]byte, 0, 32+12)
	b = append(b, s.keys.id[:]...)
	b = binary.BigEndian.AppendUint32(b, compartment)
	return binary.BigEndian.AppendUint64(b, number)
}

// parseRecord reads what encode wrote; the result aliases b.
func parseRecord(number uint64, b []byte) (*record, error) {
	r := &record{number: number}
	c := cursor{b: b}
	version := c.byte()
	if version != format && version != formatClasses {
		return nil, fmt.Errorf("%w: commit %d has an unknown format", ErrDamaged, number)
	}
	r.head = c.bytes()
	r.signature = c.take(64)
	r.batch = c.uvarint()
	copy(r.random[:], c.take(32))
	r.streams = make([]recordStream, c.count())
	lens := make([][]int, len(r.streams)) // of envelope and data
	total := 0
	for i := range r.streams {
		st := &r.streams[i]
		st.slot, st.first = c.uvarint(), c.uvarint()
		st.n = c.count()
		lens[i] = append(lens[i], c.count())
		classes := 1
		if version != format {
			if classes = c.count(); classes > maxClasses {
				c.fail()
				break
			}
		}
		st.data = make([][]byte, classes)
		for range st.data {
			lens[i] = append(lens[i], c.count())
		}
		total += st.n
	}
	if total > len(c.b) {
		c.fail()
	}
	r.parseOrder(&c, total)
	for i := range r.streams {
		r.streams[i].roots = c.take(32 * r.streams[i].n)
	}
	for i := range r.streams {
		st := &r.streams[i]
		if c.err != nil {
			break
		}
		st.envelope = c.take(lens[i][0])
		for j := range st.data {
			st.data[j] = c.take(lens[i][1+j])
		}
	}
	if r.site = c.b; version != format {
		r.site, r.devices = c.bytes(), c.b
	}
	if c.err != nil {
		return nil, fmt.Errorf("%w: commit %d is cut off or garbled", ErrDamaged, number)
	}
	return r, nil
}

// parseOrder reads the order of arrival: every stream as often as it has
// readings.
func (r *record) parseOrder(c *cursor, total int) {
	if c.err != nil {
		return
	}
	left := make([]int, len(r.streams))
	for i := range left {
		left[i] = r.streams[i].n
	}
	r.order = make([]uint32, total)
	for i := range r.order {
		at := c.uvarint()
		if c.err != nil || at >= uint64(len(left)) || left[at] == 0 {
			c.fail()
			return
		}
		left[at]--
		r.order[i] = uint32(at)
	}
}

func (st *recordStream) root(i int) merkle.Hash { return merkle.Hash(st.roots[32*i : 32*i+32]) }

// parseSite splits an opened site chunk: what is left behind the evidence are the
// devices of a commit of format 1.
func (r *record) parseSite(b []byte) (evidence [][]byte, rest []byte, err error) {
	c := cursor{b: b}
	evidence = make([][]byte, len(r.streams))
	for i := range evidence {
		evidence[i] = c.bytes()
	}
	if c.err != nil || r.devices != nil && len(c.b) != 0 {
		return nil, nil, fmt.Errorf("%w: site chunk of commit %d", ErrDamaged, r.number)
	}
	return evidence, c.b, nil
}

// openDevices reads which counters a commit accepted; rest is what its site chunk
// has behind the evidence.
func (s *Store) openDevices(r *record, rest []byte) ([]replayed, error) {
	if r.devices != nil {
		var err error
		if rest, err = s.local.open(s.keys.u64(kindCommit, r.number), r.devices); err != nil {
			return nil, fmt.Errorf("%w: devices of commit %d: %w", ErrDamaged, r.number, err)
		}
	}
	return r.parseDevices(rest)
}

// replayed are the counters that a commit accepted of one device.
type replayed struct {
	device, epoch uint32
	recent        []seenFrame
}

func (r *record) parseDevices(b []byte) ([]replayed, error) {
	c := cursor{b: b}
	devices := make([]replayed, c.count())
	for i := range devices {
		d := &devices[i]
		d.device, d.epoch = uint32(c.uvarint()), uint32(c.uvarint())
		d.recent = make([]seenFrame, c.count())
		for j := range d.recent {
			var n frame.Counter
			for _, x := range c.take(6) {
				n = n<<8 | frame.Counter(x)
			}
			d.recent[j] = seenFrame{counter: n, epoch: d.epoch}
			copy(d.recent[j].digest[:], c.take(8))
		}
	}
	if c.err != nil || len(c.b) != 0 {
		return nil, fmt.Errorf("%w: devices of commit %d", ErrDamaged, r.number)
	}
	return devices, nil
}
