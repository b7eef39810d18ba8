package proof

import (
	"bytes"
	"crypto/aes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"testing"

	"cairn/ingest/reading"
	"cairn/merkle"
	"cairn/merkle/ledger"

	"github.com/ethereum/go-ethereum/common"
)

const (
	siteStart  = int64(1_760_000_400_000) // a quarter hour
	siteWindow = int64(60_000)
)

// site is a ledger made by hand from the real parts: streams at slots 0, 2 and
// 5, some windows, two heads, an anchor for each. The hooks let it commit to
// what no honest gateway would, so that everything above hashes well.
type site struct {
	key    ed25519.PrivateKey
	nonce  [32]byte
	id     merkle.Hash
	tagKey [32]byte
	salts  reading.Salts
	block  testBlock // where it anchors

	item      func(slot, seq uint64, index int, item []byte) []byte
	decoy     func(slot, seq uint64, index int) []byte // an item in a decoy's place
	entry     func(slot uint64, seq *uint64)
	summary   func(*ledger.Summary)
	leafAt    func(slot uint64) uint64
	slots     func([]byte) []byte
	header    func(*ledger.Header)
	statement func(i int, s *ledger.Statement)
	reading   func(slot, seq uint64, r *reading.Reading)
	span      func(w int) (from, to int64)
	many      func(slot uint64, w int) int                            // readings of a window
	rest      func(slot uint64, w int, s *ledger.Summary) ledger.Rest // what a summary hides
	grow      map[int][]ledger.Statement                              // recorded in a window
	signer    func(size int) ed25519.PrivateKey

	windows    []window
	log        merkle.Leaves
	bound      []ledger.Statement
	statements merkle.Leaves
	receiptOf  map[int]EthereumReceipt
}

type window struct {
	header    []byte
	slotsItem []byte
	stateItem []byte
	stated    int // statements in the ledger when it closed
	leaves    []merkle.Hash
	streams   map[uint64]*run
}

type run struct {
	first   uint64
	records []record1
	entries merkle.Leaves
	summary []byte
	rest    []byte // if it hides one
}

type record1 struct {
	seq    uint64
	items  [][]byte // 0…N
	leaves []merkle.Hash
	root   merkle.Hash
}

var siteSlots = []uint64{0, 2, 5}

func newSite(name string) *site {
	seed := sha256.Sum256([]byte(name))
	s := &site{key: ed25519.NewKeyFromSeed(seed[:]), nonce: sha256.Sum256(seed[:]), tagKey: sha256.Sum256(seed[1:])}
	s.id = ledger.ID(s.key.Public().(ed25519.PublicKey), s.nonce)
	for i, class := range []*reading.Salts{&s.salts} {
		k := sha256.Sum256(append(seed[:], byte(i)))
		class.Envelope, _ = aes.NewCipher(k[:])
		class.Data, _ = aes.NewCipher(append([]byte{1}, k[1:]...))
		class.Site, _ = aes.NewCipher(append([]byte{2}, k[1:]...))
	}
	s.block = aBlock()
	s.block.Ledger = common.Hash(s.id)
	s.block.Sender = common.BytesToAddress(seed[:20])
	s.block.Contract = common.BytesToAddress(seed[12:])
	s.block.Time = uint64(siteStart/1000) + 3600
	s.receiptOf = make(map[int]EthereumReceipt)
	return s
}

func salt(label string, a, b uint64) (s [16]byte) {
	h := sha256.Sum256(binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64([]byte(label), a), b))
	copy(s[:], h[:])
	return s
}

func siteReading(slot, seq uint64, received int64) *reading.Reading {
	r := &reading.Reading{
		Device: "00000000000000a" + string('0'+byte(slot)), Received: received, Clock: reading.Synced, Sequence: seq,
		Origin:   reading.Origin{Transport: reading.TransportUDP, Verdict: reading.Authenticated, Counter: 100 + seq, HasCounter: true},
		HasFrame: true, Frame: sha256.Sum256([]byte{byte(slot), byte(seq)}),
		Measurements: []reading.Measurement{
			{Name: "T", Unit: "Cel", Value: reading.Decimal(40625+int64(seq), -4)},
			{Name: "H", Unit: "%RH", Value: reading.Int(50)},
		},
	}
	if slot == 5 { // more items than eight leaves hold
		r.Measurements = append(r.Measurements, reading.Measurement{Name: "note", Value: reading.Text("door \x1b[31m")})
	}
	return r
}

// perWindow is how many readings a stream has in each window; none in one.
func perWindow(slot uint64, w int) int {
	if slot == 0 && w == 3 {
		return 0
	}
	return 3 + (w+int(slot))%4
}

func (s *site) build(windows int) *site {
	for i, st := range s.opening() {
		if s.statement != nil {
			s.statement(i, &st)
		}
		s.state(st)
	}
	next := map[uint64]uint64{}
	streams := map[uint64]*merkle.Tree{0: {}, 2: {}, 5: {}}
	for w := range windows {
		s.windows = append(s.windows, s.window(w, next, streams))
	}
	return s
}

func (s *site) state(st ledger.Statement) {
	e := ledger.HiddenEntry(st.Append(nil), salt("statement", uint64(len(s.bound)), 0))
	s.bound = append(s.bound, st)
	s.statements = append(s.statements, merkle.LeafHash(e[:]))
}

func (s *site) opening() []ledger.Statement {
	all := []ledger.Statement{{Kind: ledger.KindGenesis, At: siteStart, Body: map[string]any{
		"log-key": []byte(s.key.Public().(ed25519.PublicKey)), "nonce": s.nonce[:], "window": siteWindow, "routes": []string{"ethereum:1"},
	}}}
	for _, slot := range siteSlots {
		b := ledger.Binding{Number: uint32(slot), ID: [8]byte{7: 0xa0 + byte(slot)}, Name: "fridge", Slot: slot, Kind: ledger.BindSecure, From: siteStart}
		all = append(all, b.Statement())
	}
	return all
}

func (s *site) window(w int, next map[uint64]uint64, streams map[uint64]*merkle.Tree) window {
	from, to := siteStart+int64(w)*siteWindow, siteStart+int64(w+1)*siteWindow
	if s.span != nil {
		from, to = s.span(w)
	}
	many := perWindow
	if s.many != nil {
		many = s.many
	}
	win := window{streams: map[uint64]*run{}, leaves: make([]merkle.Hash, 8)}
	for i := range win.leaves {
		e := ledger.DecoyEntry(salt("slot", uint64(w), uint64(i)))
		win.leaves[i] = merkle.LeafHash(e[:])
	}
	for _, slot := range siteSlots {
		r := &run{first: next[slot]}
		for i := range many(slot, w) {
			rec := s.record(slot, next[slot], from+int64(i)*1000)
			seq := next[slot]
			if s.entry != nil {
				s.entry(slot, &seq)
			}
			leaf := reading.EntryLeaf(ledger.Tag(s.tagKey, s.id, slot), seq, rec.root)
			r.records, r.entries = append(r.records, rec), append(r.entries, leaf)
			streams[slot].Append(leaf)
			next[slot]++
		}
		sum := ledger.Summary{
			Slot: slot, From: from, To: to, First: r.first, Next: next[slot],
			Run: merkle.RootOf(r.entries), Stream: streams[slot].Root(), Hidden: merkle.Hash{1},
		}
		if s.rest != nil {
			r.rest = s.rest(slot, w, &sum).Append(nil)
			sum.Hidden = ledger.Hide(r.rest, salt("rest", slot, uint64(w)))
		}
		if s.summary != nil {
			s.summary(&sum)
		}
		r.summary = sum.Append(nil)
		e := ledger.SummaryEntry(ledger.Tag(s.tagKey, s.id, slot), r.summary, salt("summary", slot, uint64(w)))
		at := slot
		if s.leafAt != nil {
			at = s.leafAt(slot)
		}
		win.leaves[at] = merkle.LeafHash(e[:])
		win.streams[slot] = r
	}
	s.close(w, from, to, &win)
	return win
}

func (s *site) record(slot, seq uint64, received int64) record1 {
	r := siteReading(slot, seq, received)
	if s.reading != nil {
		s.reading(slot, seq, r)
	}
	var items reading.Items
	items.Set(r)
	rec := record1{seq: seq}
	n := items.Len()
	for i := range reading.Width(n) {
		e := reading.DecoyEntry(s.salts.Salt(seq, i, n))
		if i < n {
			item := bytes.Clone(items.At(i))
			if s.item != nil {
				item = s.item(slot, seq, i, item)
			}
			rec.items = append(rec.items, item)
			e = reading.HiddenEntry(item, s.salts.Salt(seq, i, n))
		} else if s.decoy != nil {
			e = reading.HiddenEntry(s.decoy(slot, seq, i), s.salts.Salt(seq, i, n))
		}
		rec.leaves = append(rec.leaves, merkle.LeafHash(e[:]))
	}
	rec.root = merkle.RootOf(rec.leaves)
	return rec
}

func (s *site) close(w int, from, to int64, win *window) {
	win.slotsItem = ledger.Slots{Depth: 3}.Append(nil)
	if s.slots != nil {
		win.slotsItem = s.slots(win.slotsItem)
	}
	for _, st := range s.grow[w] {
		s.state(st)
	}
	win.stated = len(s.statements)
	win.stateItem = ledger.StatementsHead{Size: uint64(len(s.statements)), Root: merkle.RootOf(s.statements)}.Append(nil)
	h := ledger.Header{
		Ledger: s.id, Index: uint64(w), From: from, To: to, Root: merkle.RootOf(win.leaves),
		Seen: []ledger.Seen{{Route: "ethereum:1", Height: s.block.Number - 300 + uint64(w), Hash: merkle.Hash{byte(w), 7}, Time: from - 12_000}},
	}
	h.Hidden[ledger.HiddenSlots] = ledger.Hide(win.slotsItem, salt("header", uint64(w), 2))
	h.Hidden[ledger.HiddenStatements] = ledger.Hide(win.stateItem, salt("header", uint64(w), 4))
	if s.header != nil {
		s.header(&h)
	}
	win.header = h.Append(nil)
	s.log = append(s.log, merkle.LeafHash(win.header))
}

func (s *site) head(t testing.TB, size int) []byte {
	t.Helper()
	c := merkle.Checkpoint{Origin: ledger.Origin(s.id), Size: uint64(size), Root: merkle.RootOf(s.log[:size])}
	key := s.key
	if s.signer != nil {
		key = s.signer(size)
	}
	note, err := merkle.SignCheckpoint(c, key)
	if err != nil {
		t.Fatal(err)
	}
	return note
}

func (s *site) receipt(t testing.TB, size int) EthereumReceipt {
	t.Helper()
	if r, ok := s.receiptOf[size]; ok {
		return r
	}
	b := s.block
	b.Root = common.Hash(merkle.RootOf(s.log[:size]))
	s.receiptOf[size] = b.receipt(t)
	return s.receiptOf[size]
}

// pick says which reading to show, and which of its fields; none means all.
type pick struct {
	window int
	slot   uint64
	at     int // in its run
	fields []int
}

// newBuilder0 begins a file of version 0.
func newBuilder0(logKey, nonce [32]byte) *Builder {
	b := NewBuilder(logKey, nonce)
	b.f.Version = 0
	return b
}

// newer returns a file of version 0 as one of version 1.
func newer(f *File) *File {
	g := *f
	g.Version = 1
	return &g
}

// file builds a file of version 0 that shows these readings under the head of this size,
// with the head's receipt and, for slot 2, genesis and binding.
func (s *site) file(t testing.TB, size int, picks ...pick) *File {
	t.Helper()
	b := newBuilder0([32]byte(s.key.Public().(ed25519.PublicKey)), s.nonce)
	head := b.Head(s.head(t, size))
	for _, p := range picks {
		s.show(t, b, head, size, p)
	}
	data, err := s.receipt(t, size).MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	b.Receipt(Receipt{Route: "ethereum:1", Head: head, Kind: KindEthereum, Data: data})
	return b.File()
}

// tell adds a statement to a file under a head of this size, as a window's
// batch shows it.
func (s *site) tell(t testing.TB, b *Builder, head, size, window, index int) {
	t.Helper()
	win := &s.windows[window]
	batch := b.Batch(win.header, Shown{Item: win.slotsItem, Salt: salt("header", uint64(window), 2)},
		&Shown{Item: win.stateItem, Salt: salt("header", uint64(window), 4)})
	path, err := merkle.ProveInclusion(s.log, uint64(window), uint64(size))
	if err != nil {
		t.Fatal(err)
	}
	b.Cover(batch, head, path)
	if path, err = merkle.ProveInclusion(s.statements, uint64(index), uint64(win.stated)); err != nil {
		t.Fatal(err)
	}
	b.Statement(Statement{Batch: batch, Index: uint64(index), Item: s.bound[index].Append(nil), Salt: salt("statement", uint64(index), 0), Path: path})
}

func (s *site) show(t testing.TB, b *Builder, head, size int, p pick) {
	t.Helper()
	win := &s.windows[p.window]
	r := win.streams[p.slot]
	var statements *Shown
	if p.slot == 2 {
		statements = &Shown{Item: win.stateItem, Salt: salt("header", uint64(p.window), 4)}
	}
	batch := b.Batch(win.header, Shown{Item: win.slotsItem, Salt: salt("header", uint64(p.window), 2)}, statements)
	path, err := merkle.ProveInclusion(s.log, uint64(p.window), uint64(size))
	if err != nil {
		t.Fatal(err)
	}
	b.Cover(batch, head, path)
	at := p.slot
	if s.leafAt != nil {
		at = s.leafAt(p.slot)
	}
	sum := b.Summary(Summary{
		Batch: batch, Tag: ledger.Tag(s.tagKey, s.id, p.slot), Item: r.summary,
		Salt: salt("summary", p.slot, uint64(p.window)), Path: merkle.PerfectPath(win.leaves, int(at)),
	})
	rec := &r.records[p.at]
	n := len(rec.items)
	if len(p.fields) == 0 {
		for i := range n {
			p.fields = append(p.fields, i)
		}
	}
	var fields []Field
	for _, i := range p.fields {
		fields = append(fields, Field{Index: i, Item: rec.items[i], Salt: s.salts.Salt(rec.seq, i, n)})
	}
	runPath, err := merkle.ProveInclusion(r.entries, uint64(p.at), uint64(len(r.entries)))
	if err != nil {
		t.Fatal(err)
	}
	b.Reading(Reading{
		Summary: sum, Seq: rec.seq, Width: len(rec.leaves), Root: rec.root, Fields: fields,
		Hidden: Cover(rec.leaves, p.fields), Run: runPath,
	})
	if p.slot == 2 {
		for _, i := range []int{0, slices.Index(siteSlots, p.slot) + 1} {
			s.tell(t, b, head, size, p.window, i)
		}
	}
}

func (s *site) policy() *Policy {
	return &Policy{
		Ledger: s.id, Key: s.key.Public().(ed25519.PublicKey), Late: 2 * 3600e9,
		Routes: []Route{{Place: s.place()}},
	}
}

// place is where the site anchors.
func (s *site) place() EthereumRoute {
	return EthereumRoute{ChainID: s.block.Chain, Contract: s.block.Contract, Code: s.block.CodeHash, Sender: s.block.Sender}
}

func (s *site) pinned(t testing.TB, size int) Pinned {
	return Pinned{keccak256(s.receipt(t, size).Header)}
}

func (s *site) options(t testing.TB, size int) Options {
	return Options{Policy: s.policy(), Trust: s.pinned(t, size)}
}
