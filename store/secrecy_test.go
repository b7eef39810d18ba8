package store

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"cairn/anchor/proof"
	"cairn/ingest/frame"
	"cairn/ingest/reading"
	"cairn/merkle"
	"cairn/merkle/ledger"
)

// material is what somebody has who wants to know a field that he was not shown:
// all byte strings of some proofs, decoded, and of the public log.
type material struct {
	blobs  [][]byte
	seen   map[string]bool
	salts  map[[16]byte]bool    // strings of 16 bytes
	hashes map[merkle.Hash]bool // strings of 32 bytes, and those in headers and summaries

	index  map[uint64]bool // the first 8 bytes of every window
	filter []uint64        // says quickly that index has not
}

func newMaterial() *material {
	return &material{seen: map[string]bool{}, salts: map[[16]byte]bool{}, hashes: map[merkle.Hash]bool{}}
}

func (m *material) add(b []byte) {
	if len(b) == 0 || m.seen[string(b)] {
		return
	}
	m.seen[string(b)] = true
	m.blobs, m.index = append(m.blobs, b), nil
	switch len(b) {
	case 16:
		m.salts[[16]byte(b)] = true
	case 32:
		m.hashes[merkle.Hash(b)] = true
	}
	if h, err := ledger.ParseHeader(b); err == nil {
		m.walk(reflect.ValueOf(h))
	}
	if s, err := ledger.ParseSummary(b); err == nil {
		m.walk(reflect.ValueOf(s))
	}
	for _, word := range bytes.Fields(b) { // signatures and roots of notes
		if plain, err := base64.StdEncoding.DecodeString(string(word)); err == nil && len(plain) >= 16 {
			m.add(plain)
		}
	}
}

// walk adds every string of bytes in a value.
func (m *material) walk(v reflect.Value) {
	switch k := v.Kind(); {
	case k == reflect.String:
		m.add([]byte(v.String()))
	case k == reflect.Slice && v.Type().Elem().Kind() == reflect.Uint8:
		m.add(v.Bytes())
	case k == reflect.Array && v.Type().Elem().Kind() == reflect.Uint8:
		b := make([]byte, v.Len())
		reflect.Copy(reflect.ValueOf(b), v)
		m.add(b)
	case k == reflect.Slice || k == reflect.Array:
		for i := range v.Len() {
			m.walk(v.Index(i))
		}
	case k == reflect.Pointer && !v.IsNil():
		m.walk(v.Elem())
	case k == reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).Name != "_" {
				m.walk(v.Field(i))
			}
		}
	}
}

// windows gives every string of 16 bytes anywhere in the material, each once.
func (m *material) windows() [][16]byte {
	have := map[[16]byte]bool{}
	for _, b := range m.blobs {
		for i := 0; i+16 <= len(b); i++ {
			have[[16]byte(b[i:])] = true
		}
	}
	return keysOf(have)
}

func keysOf[K [16]byte | merkle.Hash](m map[K]bool) []K {
	out := make([]K, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	return out
}

func (m *material) prepare() {
	m.index, m.filter = map[uint64]bool{}, make([]uint64, 1<<14)
	for _, w := range m.windows() {
		k := binary.BigEndian.Uint64(w[:])
		m.index[k] = true
		m.filter[k>>50] |= 1 << (k >> 44 & 63)
	}
}

// holds says whether a hash, or its first half, is anywhere in the material.
func (m *material) holds(h *merkle.Hash) bool {
	k := binary.BigEndian.Uint64(h[:])
	return m.filter[k>>50]>>(k>>44&63)&1 == 1 && m.index[k] &&
		slices.ContainsFunc(m.blobs, func(b []byte) bool { return bytes.Contains(b, h[:16]) })
}

// hiding is how a digest and a salt become what is hashed on: a leaf of a record
// tree, or a value hidden in a summary or header.
type hiding func(entry []byte) merkle.Hash

func inHeader(entry []byte) merkle.Hash { return sha256.Sum256(entry) }

// guesser tries whether an item leads to something in the material: by its
// digest, by what that gives with each salt and without any, and by the parent of
// each such hash with each sibling on either side.
type guesser struct {
	*material
	hide     hiding
	salts    [][16]byte
	siblings []merkle.Hash
}

// search returns which of the items lead somewhere.
func (g guesser) search(items ...[]byte) (found []int) {
	const workers = 2
	var wg sync.WaitGroup
	var mu sync.Mutex
	for w := range workers {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := w; i < len(items); i += workers {
				if g.leads(items[i]) {
					mu.Lock()
					found = append(found, i)
					mu.Unlock()
				}
			}
		}()
	}
	wg.Wait()
	slices.Sort(found)
	return found
}

func (g *guesser) leads(item []byte) bool {
	digest := merkle.Hash(sha256.Sum256(item))
	bare := [...]merkle.Hash{digest, merkle.LeafHash(item), merkle.LeafHash(digest[:])}
	for i := range bare {
		if g.holds(&bare[i]) || g.holdsParent(&bare[i]) {
			return true
		}
	}
	var entry [48]byte
	copy(entry[:], digest[:])
	for i := range g.salts {
		copy(entry[32:], g.salts[i][:])
		if h := g.hide(entry[:]); g.holds(&h) || g.holdsParent(&h) {
			return true
		}
	}
	return false
}

func (g *guesser) holdsParent(h *merkle.Hash) bool {
	for i := range g.siblings {
		left, right := merkle.NodeHash(*h, g.siblings[i]), merkle.NodeHash(g.siblings[i], *h)
		if g.holds(&left) || g.holds(&right) {
			return true
		}
	}
	return false
}

// secret is one thing that is hidden, with all that it could be.
type secret struct {
	name       string
	candidates [][]byte
	at         int // place of the true one
	salt       [16]byte
	hide       hiding
	sibling    *merkle.Hash // of its leaf, where the file has their parent
}

const guesses = 1 << 16

// guess makes a secret of an item that is one of 2^16.
func guess(t *testing.T, name string, item []byte, salt [16]byte, hide hiding, make func(n int) []byte) secret {
	t.Helper()
	s := secret{name: name, at: -1, salt: salt, hide: hide}
	for n := range guesses {
		c := make(n)
		if bytes.Equal(c, item) {
			s.at = n
		}
		s.candidates = append(s.candidates, c)
	}
	if s.at < 0 {
		t.Fatalf("%s: the true item is none of those tried", name)
	}
	return s
}

// secretsOf guesses the fields of a reading that a file does not show, each with
// all others known: of one that came as a line, what the line was.
func secretsOf(t *testing.T, e *Evidence, shown []int, line func(n int) []byte) (out []secret) {
	t.Helper()
	with := func(index int, change func(r *reading.Reading, n int)) {
		if slices.Contains(shown, index) {
			t.Fatalf("item %d is shown", index)
		}
		var items reading.Items
		s := guess(t, fmt.Sprintf("reading %d of stream %d, item %d", e.Seq, e.Slot, index), e.Items[index], e.Salts[index], merkle.LeafHash, func(n int) []byte {
			r := e.Reading
			r.Measurements = slices.Clone(r.Measurements)
			change(&r, n)
			items.Set(&r)
			return bytes.Clone(items.At(index))
		})
		if sibling := index ^ 1; !slices.Contains(shown, sibling) {
			s.sibling = &e.Leaves[sibling]
		}
		out = append(out, s)
	}
	if line != nil {
		with(reading.IndexFrame, func(r *reading.Reading, n int) { r.Frame = sha256.Sum256(line(n)) })
		return out
	}
	value := func(r *reading.Reading, n int) { r.Measurements[0].Value = reading.Decimal(int64(n)*625, -4) }
	with(0, value)
	with(reading.IndexData, value)
	with(reading.IndexDevice, func(r *reading.Reading, n int) { r.Device = fmt.Sprintf("80%04x%s", n, r.Device[6:]) })
	with(reading.IndexReceived, func(r *reading.Reading, n int) { r.Received = r.Received/60_000*60_000 + int64(n) })
	with(reading.IndexOrigin, func(r *reading.Reading, n int) { r.Origin.Counter = r.Origin.Counter&^0xffff | uint64(n) })
	return out
}

// show is a reading with the items of it that a file shows; none: all.
type show struct {
	slot, seq uint64
	items     []int
}

// prove makes a file as it is given away.
func (x *site) prove(t *testing.T, rests bool, all ...show) *proof.Builder {
	t.Helper()
	b := proof.NewBuilder([32]byte(x.s.FirstLogKey()), x.keys.Nonce())
	for _, s := range all {
		e, err := x.s.Evidence(s.slot, s.seq)
		if err != nil {
			t.Fatal(err)
		}
		sum, err := x.s.SummaryAt(s.slot, e.Batch)
		if err != nil {
			t.Fatal(err)
		}
		if len(s.items) == 0 {
			for i := range e.Items {
				s.items = append(s.items, i)
			}
		}
		r := proof.Reading{Summary: x.proveSummary(t, b, sum, rests), Seq: s.seq, Width: len(e.Leaves), Hidden: proof.Cover(e.Leaves, s.items), Run: e.RunPath}
		for _, i := range s.items {
			r.Fields = append(r.Fields, proof.Field{Index: i, Item: e.Items[i], Salt: e.Salts[i]})
		}
		b.Reading(r)
	}
	return b
}

// proveSummary adds a summary, its batch and the newest checkpoint.
func (x *site) proveSummary(t *testing.T, b *proof.Builder, sum *SummaryEvidence, rest bool) int {
	t.Helper()
	ev, err := x.s.Batch(sum.Batch)
	if err != nil {
		t.Fatal(err)
	}
	slots, statements := ev.Hidden[ledger.HiddenSlots], ev.Hidden[ledger.HiddenStatements]
	at := b.Batch(ev.Header, proof.Shown{Item: slots.Item, Salt: slots.Salt}, &proof.Shown{Item: statements.Item, Salt: statements.Salt})
	note, size, _ := x.s.Checkpoint()
	path, err := x.s.LogPath(sum.Batch, size)
	if err != nil {
		t.Fatal(err)
	}
	b.Cover(at, b.Head(note), path)
	head, err := ledger.ParseStatementsHead(statements.Item)
	if err != nil {
		t.Fatal(err)
	}
	item, salt, statementPath, err := x.s.StatementAt(0, head.Size)
	if err != nil {
		t.Fatal(err)
	}
	b.Statement(proof.Statement{Batch: at, Index: 0, Item: item, Salt: salt, Path: statementPath})
	s := proof.Summary{Batch: at, Tag: sum.Tag, Item: sum.Item, Salt: sum.Salt, Path: sum.Path}
	if rest {
		s.Rest = &proof.Shown{Item: sum.Rest, Salt: sum.RestSalt}
	}
	return b.Summary(s)
}

// proveRange makes a file of all of a stream's readings, of which it shows no
// more than their numbers, and no summary's rest.
func (x *site) proveRange(t *testing.T, slot uint64) *proof.Builder {
	t.Helper()
	b := proof.NewBuilder([32]byte(x.s.FirstLogKey()), x.keys.Nonce())
	var r proof.Range
	var next uint64
	for batch := range x.s.LogSize() {
		sum, err := x.s.SummaryAt(slot, batch)
		if err != nil {
			t.Fatal(err)
		}
		r.Summaries, next = append(r.Summaries, x.proveSummary(t, b, sum, false)), sum.Next
	}
	r.From, _, _ = x.s.Span(0)
	_, r.To, _ = x.s.Span(x.s.LogSize() - 1)
	shown := []int{reading.IndexSequence}
	err := x.s.ShowRange(t.Context(), slot, 0, next, func(s *Shown) error {
		i := shown[0]
		r.Readings = append(r.Readings, proof.Numbered{
			Seq: s.Reading.Sequence, Width: len(s.Leaves), Hidden: proof.Cover(s.Leaves, shown),
			Fields: []proof.Field{{Index: i, Item: bytes.Clone(s.Items[i]), Salt: s.Salts[i]}},
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	b.Range(r)
	return b
}

// addFile adds a file as it is and all that is in it, and returns m.
func (m *material) addFile(t *testing.T, b *proof.Builder) *material {
	t.Helper()
	enc, err := b.File().Encode()
	if err != nil {
		t.Fatal(err)
	}
	f, err := proof.Decode(enc)
	if err != nil {
		t.Fatal(err)
	}
	m.add(enc)
	m.walk(reflect.ValueOf(f))
	return m
}

// addLog adds what is public: every header, the newest checkpoint and the one at
// every size.
func (m *material) addLog(t *testing.T, x *site) {
	t.Helper()
	for i := range x.s.LogSize() {
		header, err := x.s.Header(i)
		if err != nil {
			t.Fatal(err)
		}
		m.add(header)
		note, err := x.s.CheckpointAt(i + 1)
		if err != nil {
			t.Fatal(err)
		}
		m.add(note)
	}
}

// answer is a frame with the humidity and, before it, a temperature.
func (n *node) both(t *testing.T, sixteenths, humidity int) Arrival {
	t.Helper()
	a := n.arrival(t, sixteenths)
	h, err := reading.FromStat("H", "%", true, int64(humidity), "")
	if err != nil {
		t.Fatal(err)
	}
	a.Measurements = append(a.Measurements, h)
	if a.Body, err = frame.AppendBody(nil, frame.Body{Valve: -1, Stats: fmt.Appendf(nil, `{"T|C16":%d,"H|%%":%d`, sixteenths, humidity)}); err != nil {
		t.Fatal(err)
	}
	if a.Wire, err = n.opener.Seal(nil, a.Type, n.id, int(a.IDLen), a.Counter, a.Body); err != nil {
		t.Fatal(err)
	}
	return a
}

// TestNothingIsGuessed: somebody who is shown some fields of a reading, who has
// the public log and what neighbours were shown, and who knows everything of a
// hidden field but 16 bits, does not find these.
//
// All 2^16 candidates are tried with every string of 16 bytes as the salt, and
// some of them without a salt beside every hash of the file. With each 16 bytes at
// any offset of anything as the salt, and then beside those hashes, only the true
// one is tried: where it is not found nobody finds it, whatever else he tries.
func TestNothingIsGuessed(t *testing.T) {
	x := newSite(t, 9)
	line := func(n int) []byte { return fmt.Appendf(nil, `{"@":"a1","T|C16":%d}`, n) }
	text := x.nodes[4].insecure(string(line(0x12a)), 0x12a)
	text.Measurements = append(text.Measurements, reading.Measurement{Name: "H", Unit: "%RH", Value: reading.Int(50)})
	for i := range 6 {
		x.pass(7 * time.Second)
		x.submit(x.nodes[0].both(t, 60+i, 40), x.nodes[1].both(t, 70, 41), x.nodes[2].both(t, 75, 42))
		if i == 3 {
			x.submit(x.nodes[0].both(t, 99, 40), text) // those to be guessed
		}
		x.submit(x.nodes[0].both(t, 61+i, 40), x.nodes[3].both(t, 80, 40))
		x.pass(53 * time.Second)
	}
	shown := []int{reading.IndexMeasured, reading.IndexSequence, reading.IndexData + 1}
	target, other := show{0, 7, shown}, show{4, 0, shown}

	own := x.prove(t, false, target, other) // what he was shown
	m := newMaterial().addFile(t, own)
	m.addLog(t, x)
	m.addFile(t, x.prove(t, false, show{0, 6, nil}, show{0, 8, nil}))                              // the same run, others
	m.addFile(t, x.prove(t, true, show{1, 3, nil}, show{2, 3, nil}, show{3, 3, []int{1, 4, 7}}))   // other streams, the same batch
	m.addFile(t, x.prove(t, true, show{0, 0, nil}, show{0, 9, []int{3, 7}}, show{1, 5, []int{7}})) // other batches
	m.addFile(t, x.proveRange(t, 0))
	m.addFile(t, x.proveRange(t, 4))
	m.prepare()
	salts, windows, hashes := keysOf(m.salts), m.windows(), keysOf(newMaterial().addFile(t, own).hashes)
	t.Logf("%d strings, %d of 16 bytes, %d windows; %d hashes in the file", len(m.blobs), len(salts), len(windows), len(hashes))

	for _, s := range x.secrets(t, target, other, line) {
		if found := (guesser{m, s.hide, salts, nil}).search(m.unknown(&s, slowdown)...); found != nil {
			t.Errorf("%s: %d candidates lead somewhere", s.name, len(found))
		}
		if found := (guesser{m, s.hide, nil, hashes}).search(m.unknown(&s, 64*slowdown)...); found != nil {
			t.Errorf("%s: %d candidates lead somewhere without a salt", s.name, len(found))
		}
		if found := (guesser{m, s.hide, windows, hashes}).search(s.candidates[s.at]); found != nil {
			t.Errorf("%s: the true item leads somewhere", s.name)
		}
		controlGuess(t, m, &s)
	}
}

// unknown gives every n-th candidate of those that nobody was shown, as another
// reading's, and the true one in any case.
func (m *material) unknown(s *secret, n int) [][]byte {
	out := [][]byte{s.candidates[s.at]}
	for i := 0; i < len(s.candidates); i += n {
		if c := s.candidates[i]; i != s.at && !m.seen[string(c)] {
			out = append(out, c)
		}
	}
	return out
}

// secrets are what target and other hide, what their summaries and batches do.
func (x *site) secrets(t *testing.T, target, other show, line func(int) []byte) []secret {
	t.Helper()
	e, err := x.s.Evidence(target.slot, target.seq)
	if err != nil {
		t.Fatal(err)
	}
	out := secretsOf(t, e, target.items, nil)
	o, err := x.s.Evidence(other.slot, other.seq)
	if err != nil {
		t.Fatal(err)
	}
	out = append(out, secretsOf(t, o, other.items, line)...)
	out = append(out, guess(t, "rest of the target's summary", e.Rest, e.RestSalt, inHeader, rests(t, e)))
	ev, err := x.s.Batch(e.Batch)
	if err != nil {
		t.Fatal(err)
	}
	counts := ev.Hidden[ledger.HiddenCounts]
	return append(out, guess(t, "counts of the batch", counts.Item, counts.Salt, inHeader, func(n int) []byte {
		return ledger.Counts{Readings: uint64(n & 0xff), Streams: uint64(n >> 8)}.Append(nil)
	}))
}

// rests makes a summary's rest again for each time that its first reading may
// have come at.
func rests(t *testing.T, e *Evidence) func(n int) []byte {
	t.Helper()
	rest, err := ledger.ParseRest(e.Rest)
	if err != nil || len(rest.Ranges) > 0 {
		t.Fatalf("rest %x: %v, %d ranges, want none", e.Rest, err, len(rest.Ranges))
	}
	from := rest.From / 60_000 * 60_000
	return func(n int) []byte {
		rest.From = from + int64(n)
		return rest.Append(nil)
	}
}

// controlGuess makes sure that the search would find a secret: who has its salt,
// and where it takes that the sibling of its leaf, finds it and no other.
func controlGuess(t *testing.T, m *material, s *secret) {
	t.Helper()
	g := guesser{m, s.hide, [][16]byte{s.salt}, nil}
	if s.sibling != nil {
		g.siblings = []merkle.Hash{*s.sibling}
	}
	if found := g.search(m.unknown(s, 1)...); !slices.Equal(found, []int{0}) {
		t.Errorf("%s: with its salt %d candidates lead somewhere, want the true one alone", s.name, len(found))
	}
}
