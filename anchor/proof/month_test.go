package proof

import (
	"encoding/binary"
	"fmt"
	"testing"

	"cairn/ingest/reading"
	"cairn/merkle"
	"cairn/merkle/ledger"
)

// sparse is a tree of which some leaves are known and the others are noise.
type sparse struct {
	label  string
	leaves map[uint64]merkle.Hash
}

func (s sparse) Node(level int, index uint64) (merkle.Hash, error) {
	known := false
	for at := range s.leaves {
		known = known || at>>level == index
	}
	if !known {
		return noise(s.label, level<<24|int(index)), nil
	}
	if level == 0 {
		return s.leaves[index], nil
	}
	left, _ := s.Node(level-1, 2*index)
	right, _ := s.Node(level-1, 2*index+1)
	return merkle.NodeHash(left, right), nil
}

// month is a stream of a reading a minute for some days, in a log of a million
// batches and after a million readings before them, with an anchor in Bitcoin a
// day: a proof that its readings are complete.
type month struct {
	*site
	t          testing.TB
	days       int
	slot       uint64
	first      uint64 // number of the first reading
	begin      uint64 // batch of the first reading
	tag        [ledger.TagSize]byte
	newest     merkle.Hash // entry leaf of the newest reading
	log        sparse
	statements sparse
	b          *Builder
	trust      Pinned
	script     []byte
}

const (
	minutesADay   = 24 * 60
	monthStated   = 1 << 10 // statements
	monthBatchLog = 1 << 20
)

func newMonth(t testing.TB, days int) *month {
	m := &month{site: newSite("month"), t: t, days: days, slot: 37, first: 1<<20 + 12_345, begin: monthBatchLog - uint64(days+2)*minutesADay}
	m.tag = ledger.Tag(m.tagKey, m.id, m.slot)
	m.log, m.statements = sparse{"log", map[uint64]merkle.Hash{}}, sparse{"statements", map[uint64]merkle.Hash{}}
	m.b = NewBuilder(m.policyKey(), m.nonce)
	return m
}

func (m *month) must(err error) {
	m.t.Helper()
	if err != nil {
		m.t.Fatal(err)
	}
}

// build makes the file; fields are shown of each reading, all if there are none.
func (m *month) build(fields ...int) *File {
	left := pathTo("left", len(peaksOf(m.first)))
	stream, err := merkle.ParseTree(treeBytes(m.first, left))
	m.must(err)
	from := siteStart + int64(m.begin)*siteWindow
	r := Range{From: from, To: from + int64(m.days)*minutesADay*siteWindow, First: m.first, Left: left}
	genesis := m.bound0()
	// Batch and summary before the range, at each day's end, and of the last minute.
	var headers [][]byte
	var sums []Summary
	var slots []Shown
	var state []Shown
	for d := range m.days + 1 {
		if d > 0 {
			for i := range minutesADay {
				r.Readings = append(r.Readings, m.reading(&stream, (d-1)*minutesADay+i, fields))
			}
		}
		index := m.begin + uint64(d)*minutesADay - 1
		h, s, sl, st := m.batch(index, m.first+uint64(d)*minutesADay, &stream)
		headers, sums, slots, state = append(headers, h), append(sums, s), append(slots, sl), append(state, st)
		m.log.leaves[index] = merkle.LeafHash(h)
	}
	heads := make([]int, len(headers))
	for d, header := range headers {
		index := m.begin + uint64(d)*minutesADay - 1
		heads[d] = m.head1(index + 1)
		batch := m.b.Batch(header, slots[d], nil)
		if d == len(headers)-1 {
			m.b.Batch(header, slots[d], &state[d])
			for n, st := range genesis {
				path, err := merkle.ProveInclusion(m.statements, uint64(n), monthStated)
				m.must(err)
				m.b.Statement(Statement{Batch: batch, Index: uint64(n), Item: st, Salt: salt("statement", uint64(n), 0), Path: path})
			}
		}
		path, err := merkle.ProveInclusion(m.log, index, index+1)
		m.must(err)
		m.b.Cover(batch, heads[d], path)
		sums[d].Batch = batch
		r.Summaries = append(r.Summaries, m.b.Summary(sums[d]))
		if d > 0 {
			path, err := merkle.ProveConsistency(m.log, index+1-minutesADay, index+1)
			m.must(err)
			m.b.Extend(heads[d-1], heads[d], path)
		}
	}
	m.b.Range(r)
	return m.b.File()
}

// bound0 are the statements shown: genesis and binding.
func (m *month) bound0() (items [][]byte) {
	bind := ledger.Binding{Number: 3, ID: [8]byte{7: 0xa3}, Name: "fridge", Slot: m.slot, Kind: ledger.BindSecure, From: siteStart}
	for n, st := range []ledger.Statement{m.opening()[0], bind.Statement()} {
		item := st.Append(nil)
		e := ledger.HiddenEntry(item, salt("statement", uint64(n), 0))
		m.statements.leaves[uint64(n)] = merkle.LeafHash(e[:])
		items = append(items, item)
	}
	return items
}

func (m *month) reading(stream *merkle.Tree, minute int, fields []int) Numbered {
	seq := m.first + uint64(minute)
	rec := m.record(3, seq, siteStart+int64(m.begin+uint64(minute))*siteWindow+31_415)
	m.newest = reading.EntryLeaf(m.tag, seq, rec.root)
	stream.Append(m.newest)
	n := len(rec.items)
	shown := fields
	if len(shown) == 0 {
		for i := range n {
			shown = append(shown, i)
		}
	}
	out := Numbered{Seq: seq, Width: len(rec.leaves), Hidden: Cover(rec.leaves, shown)}
	for _, i := range shown {
		f := Field{Index: i, Salt: m.salts.Salt(seq, i, n)}
		if i > 0 {
			f.Item = rec.items[i]
		}
		out.Fields = append(out.Fields, f)
	}
	return out
}

// batch makes the header of one batch whose summary of the stream ends at next.
func (m *month) batch(index, next uint64, stream *merkle.Tree) (header []byte, s Summary, slots, state Shown) {
	from := siteStart + int64(index)*siteWindow
	sum := ledger.Summary{
		Slot: m.slot, From: from, To: from + siteWindow, First: next - 1, Next: next,
		Run: m.newest, Stream: stream.Root(), Hidden: noise("rest", int(index)),
	}
	s = Summary{Tag: m.tag, Item: sum.Append(nil), Salt: salt("summary", m.slot, index), Path: pathTo(fmt.Sprint("batch", index), batchDepth)}
	entry := ledger.SummaryEntry(m.tag, s.Item, s.Salt)
	root, err := merkle.RootFromPerfectPath(merkle.LeafHash(entry[:]), m.slot, s.Path)
	m.must(err)
	slots = Shown{Item: ledger.Slots{Depth: batchDepth}.Append(nil), Salt: salt("header", index, 2)}
	all, err := merkle.RootAt(m.statements, monthStated)
	m.must(err)
	state = Shown{Item: ledger.StatementsHead{Size: monthStated, Root: all}.Append(nil), Salt: salt("header", index, 4)}
	h := ledger.Header{
		Ledger: m.id, Index: index, From: from, To: from + siteWindow, Root: root,
		Seen: []ledger.Seen{{Route: "bitcoin:regtest", Height: 918_000, Hash: noise("seen", int(index)), Time: from - 500_000}},
	}
	for i := range h.Hidden {
		h.Hidden[i] = noise("hidden", int(index)*8+i)
	}
	h.Hidden[ledger.HiddenSlots] = ledger.Hide(slots.Item, slots.Salt)
	h.Hidden[ledger.HiddenStatements] = ledger.Hide(state.Item, state.Salt)
	return h.Append(nil), s, slots, state
}

// head1 signs the head of a size, and anchors it in a busy block.
func (m *month) head1(size uint64) int {
	root, err := merkle.RootAt(m.log, size)
	m.must(err)
	note, err := merkle.SignCheckpoint(merkle.Checkpoint{Origin: ledger.Origin(m.id), Size: size, Root: root}, m.key)
	m.must(err)
	head := m.b.Head(note)
	r := busyBlock(m.t, root)
	receipt := btc(m.t, r)
	receipt.Head = head
	m.b.Receipt(receipt)
	m.trust, m.script = append(m.trust, shown(r.Following[4])), txScript(m.t, r)
	return head
}

// peaksOf lists the levels of a tree's peaks.
func peaksOf(size uint64) (levels []int) {
	for l := 63; l >= 0; l-- {
		if size>>l&1 == 1 {
			levels = append(levels, l)
		}
	}
	return levels
}

func treeBytes(size uint64, peaks []merkle.Hash) []byte {
	b := binary.BigEndian.AppendUint64(nil, size)
	for i := range peaks {
		b = append(b, peaks[i][:]...)
	}
	return b
}

// TestMonthSize bounds what completeness costs to carry: a month of a device's
// minute readings, each day fixed by an anchor of its own, takes at most 100 KB
// beside the readings.
func TestMonthSize(t *testing.T) {
	m := newMonth(t, 30)
	f := m.build(reading.IndexReceived, reading.IndexData)
	whole := mustEncode(t, f)
	readings, receipts := f.Ranges[0].Readings, f.Receipts
	f.Ranges[0].Readings = nil
	bare := len(mustEncode(t, f))
	f.Receipts = nil
	// The blocks here are much alike, and pack as real ones do not: receipts count
	// in full.
	most := len(mustEncode(t, f))
	for _, r := range receipts {
		most += len(r.Data)
	}
	f.Ranges[0].Readings, f.Receipts = readings, receipts
	t.Logf("%d readings: %d bytes; beside them %d, %d with receipts that do not pack", len(readings), len(whole), bare, most)
	if most > 100_000 {
		t.Errorf("%d bytes beside the readings, at most 100,000", most)
	}
	o := Options{Policy: m.only(BitcoinRoute{Network: BitcoinRegtest, Script: m.script, Depth: 6}), Trust: m.trust}
	o.Policy.Late = 0
	v := VerifyBytes(whole, o)
	if v.Level != LevelAnchored || v.Outcome != Verified || len(v.Ranges) != 1 || !v.Ranges[0].Complete {
		t.Fatal(v.Text())
	}
	if n := len(v.Ranges[0].Parts); n != 30 {
		t.Errorf("got %d parts, want one a day", n)
	}
}
