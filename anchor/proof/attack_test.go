package proof

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"cairn/contracts"
	"cairn/ingest/reading"
	"cairn/merkle"
	"cairn/merkle/ledger"
)

// join puts the parts of several files of one ledger into one.
func join(t testing.TB, files ...*File) *File {
	t.Helper()
	b := newBuilder0(files[0].Ledger.Key, files[0].Ledger.Nonce)
	for _, f := range files {
		heads, batches, summaries := map[int]int{}, map[int]int{}, map[int]int{}
		for i, h := range f.Heads {
			heads[i] = b.Head(h.Note)
		}
		for i, x := range f.Batches {
			batches[i] = b.Batch(x.Header, x.Slots, x.Statements)
			for _, p := range x.Heads {
				b.Cover(batches[i], heads[p.Head], p.Path)
			}
		}
		for i, s := range f.Summaries {
			s.Batch = batches[s.Batch]
			summaries[i] = b.Summary(s)
		}
		for _, r := range f.Readings {
			r.Summary = summaries[r.Summary]
			b.Reading(r)
		}
		for _, r := range f.Receipts {
			r.Head = heads[r.Head]
			b.Receipt(r)
		}
		for _, s := range f.Statements {
			s.Batch = batches[s.Batch]
			b.Statement(s)
		}
	}
	return b.File()
}

// both trusts what one of two sites' anchors rest on.
func both(t testing.TB, a, b *site, size int) Pinned {
	return append(a.pinned(t, size), b.pinned(t, size)...)
}

// TestBackdated: a window that covers years would make any anchor of a reading
// that claims an old time look in time. No honest window leaves its quarter
// hour.
func TestBackdated(t *testing.T) {
	for _, c := range []struct {
		name     string
		from, to int64
	}{
		{"from years ago", siteStart - 5*365*24*3600_000, siteStart + 3*siteWindow},
		{"to years ahead", siteStart, siteStart + 5*365*24*3600_000},
		{"endless", 0, 1<<63 - 1},
		{"over a quarter hour's border", siteStart - 1, siteStart + 1},
		{"longer than a quarter hour", siteStart, siteStart + 15*60_000 + 1},
	} {
		s := newSite("a")
		s.header = func(h *ledger.Header) { h.From, h.To = c.from, c.to }
		s.summary = func(u *ledger.Summary) { u.From, u.To = c.from, c.to }
		s.build(5)
		p := pick{window: 3, slot: 2, at: 1, fields: []int{7}}
		t.Run(c.name, func(t *testing.T) { wantRefused(t, Verify(s.file(t, 5, p), s.options(t, 5)), CodeWindowSpan) })
	}
	s := newSite("a")
	s.header = func(h *ledger.Header) { h.From, h.To = siteStart, siteStart+15*60_000 }
	s.summary = func(u *ledger.Summary) { u.From, u.To = siteStart, siteStart+15*60_000 }
	s.build(5)
	if v := Verify(s.file(t, 5, pick{window: 3, slot: 2, at: 1}), s.options(t, 5)); v.Level != LevelAnchored {
		t.Errorf("a whole quarter hour: %s", v.Text())
	}
}

// TestContradictions: a file must not hold two histories, though each of them
// hashes well and is signed and anchored.
func TestContradictions(t *testing.T) {
	honest := newSite("a").build(5)
	fork := newSite("a")
	fork.summary = func(u *ledger.Summary) { u.Hidden[0]++ }
	fork.build(5)
	t.Run("two heads of one size", func(t *testing.T) {
		f := join(t, honest.file(t, 5, pick{window: 1, slot: 0, at: 1}), fork.file(t, 5, pick{window: 3, slot: 5, at: 1}))
		wantRefused(t, Verify(f, Options{Policy: honest.policy(), Trust: both(t, honest, fork, 5)}), CodeFork)
	})
	t.Run("two batches of one index", func(t *testing.T) {
		f := join(t, honest.file(t, 4, pick{window: 2, slot: 0, at: 1}), fork.file(t, 5, pick{window: 2, slot: 5, at: 1}))
		wantRefused(t, Verify(f, Options{Policy: honest.policy()}), CodeFork)
	})
	t.Run("one root with two sizes", func(t *testing.T) {
		f := honest.file(t, 5, pick{window: 1, slot: 0, at: 1})
		note, err := merkle.SignCheckpoint(merkle.Checkpoint{Origin: ledger.Origin(honest.id), Size: 6, Root: merkle.RootOf(honest.log[:5])}, honest.key)
		if err != nil {
			t.Fatal(err)
		}
		f.Heads = append(f.Heads, Head{Note: note})
		f.Batches[0].Heads = append(f.Batches[0].Heads, HeadPath{Head: 1, Path: f.Batches[0].Heads[0].Path})
		wantRefused(t, Verify(f, honest.options(t, 5)), CodeFork)
	})
	t.Run("two tags of one stream", func(t *testing.T) {
		f := honest.file(t, 4, pick{window: 1, slot: 0, at: 1})
		s := newSite("a").build(1)
		s.tagKey[0]++ // from the second window on
		next, trees := map[uint64]uint64{}, map[uint64]*merkle.Tree{0: {}, 2: {}, 5: {}}
		for _, slot := range siteSlots {
			next[slot] = uint64(perWindow(slot, 0))
		}
		for w := 1; w < 5; w++ {
			s.windows = append(s.windows, s.window(w, next, trees))
		}
		wantRefused(t, Verify(join(t, f, s.file(t, 5, pick{window: 4, slot: 0, at: 0})), Options{Policy: s.policy()}), CodeTag)
	})
	t.Run("two streams of one tag", func(t *testing.T) {
		s := newSite("a").build(5)
		f := s.file(t, 5, pick{window: 1, slot: 0, at: 1}, pick{window: 2, slot: 5, at: 1})
		c := checker{f: f, summaries: []ledger.Summary{{Slot: 0, Next: 9}, {Slot: 5, Next: 9}}, batches: make([]batchState, 2)}
		f.Summaries[1].Tag = f.Summaries[0].Tag
		if bad := c.streams(); bad == nil || bad.code != CodeTag {
			t.Errorf("got %v, want %v", bad, CodeTag)
		}
	})
	for name, claim := range map[string]func(*ledger.Summary){
		// Window 3 repeats the numbers of window 1.
		"numbers again": func(u *ledger.Summary) {
			if u.Slot == 2 && u.From == siteStart+3*siteWindow {
				n := u.Next - u.First
				u.First = 3
				u.Next = 3 + n
			}
		},
		"readings after the end": func(u *ledger.Summary) { u.Closed = u.From == siteStart+siteWindow },
	} {
		s := newSite("a")
		s.summary = claim
		s.build(5)
		f := s.file(t, 5, pick{window: 1, slot: 2, at: 0, fields: []int{7}}, pick{window: 3, slot: 2, at: 0, fields: []int{7}})
		t.Run(name, func(t *testing.T) { wantRefused(t, Verify(f, s.options(t, 5)), CodeRuns) })
	}
	t.Run("not a contradiction", func(t *testing.T) {
		f := join(t, honest.file(t, 4, pick{window: 1, slot: 2, at: 0}), honest.file(t, 5, pick{window: 4, slot: 2, at: 1}))
		if v := Verify(f, Options{Policy: honest.policy(), Trust: honest.pinned(t, 5)}); v.Level != LevelPending || v.Readings[1].Level != LevelAnchored {
			t.Error(v.Text())
		}
	})
}

// TestStatementsBesides: what statements say counts no more than the batch that
// shows them, and not for readings of before.
func TestStatementsBesides(t *testing.T) {
	s := newSite("a").build(5)
	early, late := pick{window: 1, slot: 2, at: 0}, pick{window: 4, slot: 2, at: 0}
	bare := func(f *File) *File {
		f.Statements = nil
		for i := range f.Batches {
			f.Batches[i].Statements = nil
		}
		return f
	}
	t.Run("bound later", func(t *testing.T) {
		f := join(t, bare(s.file(t, 4, early)), s.file(t, 5, late))
		v := Verify(f, Options{Policy: s.policy(), Trust: append(s.pinned(t, 4), s.pinned(t, 5)...)})
		if v.Level != LevelAnchored || v.Readings[0].BoundAs != "" || v.Readings[1].BoundAs != "fridge" {
			t.Errorf("level %v, bound as %q and %q, want the first left out", v.Level, v.Readings[0].BoundAs, v.Readings[1].BoundAs)
		}
	})
	t.Run("shown by a batch that is only signed", func(t *testing.T) {
		f := join(t, bare(s.file(t, 4, early)), s.file(t, 5, pick{window: 0, slot: 2, at: 0}))
		// Nothing but the statements is left of the second.
		f.Readings, f.Summaries, f.Receipts = f.Readings[:1], f.Summaries[:1], f.Receipts[:1]
		mustEncode(t, f)
		v := Verify(f, Options{Policy: s.policy(), Trust: s.pinned(t, 4)})
		if v.Outcome != Refused || v.Level != LevelLogged || v.Readings[0].Level != LevelAnchored {
			t.Errorf("%v %v, reading %v: want refused, logged and anchored", v.Outcome, v.Level, v.Readings[0].Level)
		}
		for _, st := range v.Statements {
			if st.Level != LevelLogged {
				t.Errorf("statement %d: %v", st.Index, st.Level)
			}
		}
	})
	t.Run("two bindings of one stream", func(t *testing.T) {
		s := newSite("a")
		s.statement = func(i int, st *ledger.Statement) {
			if i == 3 { // slot 5's becomes another of slot 2
				st.Body["slot"], st.Body["name"], st.Body["device"] = uint64(2), "freezer", "00000000000000a2"
			}
		}
		s.build(5)
		f := s.file(t, 5, late)
		path, _ := merkle.ProveInclusion(s.statements, 3, uint64(len(s.statements)))
		f.Statements = append(f.Statements, Statement{Index: 3, Item: s.bound[3].Append(nil), Salt: salt("statement", 3, 0), Path: path})
		wantRefused(t, Verify(f, s.options(t, 5)), CodeBinding)
	})
	t.Run("the same twice", func(t *testing.T) {
		f := s.file(t, 5, late)
		f.Statements = append(f.Statements, f.Statements[0])
		wantRefused(t, Verify(f, s.options(t, 5)), CodeMalformed)
	})
	t.Run("another history of statements", func(t *testing.T) {
		f := s.file(t, 5, early, late)
		c := checker{f: f, batches: []batchState{
			{header: ledger.Header{Index: 1}, statements: ledger.StatementsHead{Size: 4, Root: merkle.Hash{1}}},
			{header: ledger.Header{Index: 4}, statements: ledger.StatementsHead{Size: 4, Root: merkle.Hash{2}}},
		}}
		if bad := c.statementTrees(); bad == nil || bad.code != CodeStatements {
			t.Errorf("one size, two roots: got %v", bad)
		}
		c.batches[1].statements.Size = 3
		if bad := c.statementTrees(); bad == nil || bad.code != CodeStatements {
			t.Errorf("a tree that shrank: got %v", bad)
		}
	})
}

// TestNotChecked: what the verdict has to say about what it did not check.
func TestNotChecked(t *testing.T) {
	s := newSite("a").build(5)
	chosen := pick{window: 3, slot: 2, at: 1, fields: []int{7}}
	whole := pick{window: 3, slot: 2, at: 0}
	for _, c := range []struct {
		name  string
		picks []pick
		words string
		want  bool
	}{
		{"chosen fields", []pick{whole, chosen}, "fields that are not shown", true},
		{"all fields", []pick{whole}, "fields that are not shown", false},
		{"a binding", []pick{whole}, "whether a binding still held", true},
		{"no binding", []pick{{window: 4, slot: 5, at: 0}}, "whether a binding still held", false},
		{"an anchor", []pick{whole}, "extends those that were anchored before", true},
		{"a block", []pick{whole}, "is on that chain", true},
	} {
		if v := Verify(s.file(t, 5, c.picks...), s.options(t, 5)); has(v.NotChecked, c.words) != c.want {
			t.Errorf("%s: %q in not checked: %v, want %v\n%q", c.name, c.words, !c.want, c.want, v.NotChecked)
		}
	}
}

// TestHiddenItem: an item in a decoy's place can be shown as a chosen field, and
// nothing in the tree tells it from the reading's own. All fields together do,
// and the verdict on chosen ones says that it cannot.
func TestHiddenItem(t *testing.T) {
	s := newSite("a")
	other := func(slot, seq uint64, _ int) []byte {
		r := siteReading(slot, seq, siteStart)
		r.Measurements[0].Value = reading.Int(-20)
		return reading.AppendItem(nil, r, reading.IndexData)
	}
	s.decoy = other
	s.build(5)
	p := pick{window: 3, slot: 5, at: 0}
	whole := Verify(s.file(t, 5, p), s.options(t, 5))
	if whole.Level != LevelAnchored || !whole.Readings[0].Whole || len(whole.Readings[0].Fields) != 9 {
		t.Fatal(whole.Text())
	}
	f := s.file(t, 5, p)
	rec := &s.windows[3].streams[5].records[0]
	r := &f.Readings[0]
	r.Fields = []Field{{Index: 12, Item: other(5, rec.seq, 12), Salt: s.salts.Salt(rec.seq, 12, len(rec.items))}}
	r.Hidden = Cover(rec.leaves, []int{12})
	v := Verify(f, s.options(t, 5))
	if v.Level != LevelAnchored || v.Readings[0].Whole || !has(v.NotChecked, "one of the same name may say otherwise") {
		t.Error(v.Text())
	}
	// It does not come along with the reading's own of that name.
	r.Fields = append(s.file(t, 5, p).Readings[0].Fields, r.Fields...)
	wantRefused(t, Verify(f, s.options(t, 5)), CodeItem)
}

// TestDelayIsTold: without a policy that sets one, nothing is late; but how long
// the anchor took is told.
func TestDelayIsTold(t *testing.T) {
	s := newSite("a")
	s.block.Time += 3 * 365 * 24 * 3600
	s.build(5)
	f := s.file(t, 5, pick{window: 3, slot: 2, at: 1})
	p := s.policy()
	p.Late = 0
	for _, o := range []Options{{Trust: s.pinned(t, 5)}, {Policy: p, Trust: s.pinned(t, 5)}} {
		if v := Verify(f, o); v.Level != LevelAnchored || !has(v.NotChecked, "26280h56m0s after") {
			t.Errorf("%v, %q", v.Level, v.NotChecked)
		}
	}
	if v := Verify(f, s.options(t, 5)); v.Level != LevelLate {
		t.Errorf("with a policy's delay: %v", v.Level)
	}
}

// TestSeenClaims: a block that the ledger names on a chain of its own invention
// bounds nothing better than one that is known, and nothing after the anchor.
func TestSeenClaims(t *testing.T) {
	s := newSite("a")
	s.header = func(h *ledger.Header) {
		h.Seen = append(h.Seen, ledger.Seen{Route: "moon:1", Height: 1, Time: h.From - 1}, ledger.Seen{Route: "moon:2", Height: 1, Time: h.From + 1e12})
	}
	s.build(5)
	f := s.file(t, 5, pick{window: 3, slot: 2, at: 0})
	known := timer{s.pinned(t, 5), s.block.Number - 300 + 3, siteStart + 3*siteWindow - 12_000}
	v := Verify(f, Options{Policy: s.policy(), Trust: known})
	if b := v.NotBefore; b == nil || b.Route != "ethereum:1" || !b.Confirmed {
		t.Errorf("not before %+v, want the confirmed one", b)
	}
	v = Verify(f, s.options(t, 5))
	if b := v.NotBefore; b == nil || b.Route != "moon:1" || b.Confirmed {
		t.Errorf("not before %+v, want the newest before the anchor", b)
	}
}

// TestUnaskedIsUnchecked: where one of two receipts could not be asked about,
// the answer is not that the file was refused.
func TestUnaskedIsUnchecked(t *testing.T) {
	s := newSite("a").build(5)
	p := pick{window: 2, slot: 0, at: 0}
	f := s.file(t, 4, p)
	first := s.pinned(t, 4)[0]
	s.block.Number, s.block.Time = s.block.Number+300, s.block.Time+3600
	f = join(t, f, func() *File { g := s.file(t, 5, p); return g }())
	f.Readings = f.Readings[:1]
	second := s.pinned(t, 5)[0]
	for name, hash := range map[string][32]byte{"first": first, "second": second} {
		if v := Verify(f, Options{Policy: s.policy(), Trust: failsAt{hash, nil}}); v.Outcome != Unchecked || v.Code != CodeTrustFailed || v.Level != LevelPending {
			t.Errorf("%s: %v %v %q, want unchecked", name, v.Outcome, v.Level, v.Code)
		}
	}
}

// TestWords: no text of a proof, of an error or of a node reaches a terminal as
// anything but plain words on the line where it belongs, and what differs looks
// different.
func TestWords(t *testing.T) {
	s := newSite("a")
	evil := []reading.Measurement{
		{Name: "T            -20.0 Cel", Unit: "", Value: reading.Int(4)},
		{Name: "h", Unit: "% (fake)", Value: reading.Bytes([]byte{0x12, 0x34})},
	}
	s.item = func(slot, seq uint64, index int, item []byte) []byte {
		if slot == 2 && index >= reading.IndexData {
			r := siteReading(slot, seq, siteStart)
			r.Measurements = evil
			return reading.AppendItem(nil, r, index)
		}
		return item
	}
	s.build(5)
	v := Verify(s.file(t, 5, pick{window: 3, slot: 2, at: 1, fields: []int{7, 8}}), s.options(t, 5))
	for _, want := range []string{`"T            -20.0 Cel"`, `"% (fake)"`, "0x1234"} {
		if !strings.Contains(v.Text(), want) {
			t.Errorf("no %s in\n%s", want, v.Text())
		}
	}
	poison := "x\nVERIFIED\r\x1b[2J\u202e\u2028\x9b\xff\u0085"
	down := Verify(newSite("a").build(5).file(t, 5, thePicks()...), Options{Trust: says{errors.New(poison)}})
	down.Next, down.Checks[0].Detail, down.NotChecked[0] = poison, poison, poison
	down.Anchors[0].How, down.Anchors[0].Trusted = poison, true
	clean := down.Text()
	if i := strings.IndexFunc(clean, func(r rune) bool {
		return r != '\n' && (r < ' ' || r >= 0x7f && r < 0xa0 || r == 0x202e || r == 0x2028 || r == 0xfffd)
	}); i >= 0 {
		t.Errorf("%q is printed in\n%q", clean[i:i+4], clean)
	}
	if strings.Contains(clean, "\nVERIFIED") {
		t.Errorf("a foreign text begins a line:\n%s", clean)
	}
}

type says struct{ err error }

func (s says) Trusted(string, uint64, [32]byte) (string, bool, error) { return "", false, s.err }

// TestManyParts: the time to check a file grows with its length and no faster,
// however its parts refer to one another.
func TestManyParts(t *testing.T) {
	s := newSite("a").build(5)
	run := func(n int) time.Duration {
		f := s.file(t, 5, pick{window: 3, slot: 2, at: 1})
		c := checker{f: &File{Heads: f.Heads}, v: Verdict{}, o: Options{Policy: s.policy()}}
		for i := range n {
			c.f.Batches = append(c.f.Batches, Batch{Heads: []HeadPath{{Head: 0}}})
			c.f.Summaries = append(c.f.Summaries, Summary{Batch: i})
			c.f.Readings = append(c.f.Readings, Reading{Summary: i})
			c.batches = append(c.batches, batchState{header: ledger.Header{Index: uint64(i)}})
			c.summaries = append(c.summaries, ledger.Summary{Slot: uint64(i)})
			c.v.Readings = append(c.v.Readings, ReadingVerdict{})
			c.receipts = append(c.receipts, receiptState{blocks: []anchorBlock{{route: "ethereum:1", known: true, time: int64(n - i)}}})
		}
		begun := time.Now()
		if _, bad := c.levels(); bad != nil || c.v.Level != LevelPending {
			t.Fatal(bad, c.v.Level)
		}
		return time.Since(begun)
	}
	if took := run(100_000); took > 5*time.Second {
		t.Errorf("100,000 readings and receipts took %v", took)
	}
}

// TestAskedOnce: a block is asked about once, however many receipts name it.
func TestAskedOnce(t *testing.T) {
	s := newSite("a").build(5)
	f := s.file(t, 5, pick{window: 3, slot: 2, at: 1})
	for range 9 {
		f.Receipts = append(f.Receipts, f.Receipts[0])
	}
	asked := &counting{Pinned: s.pinned(t, 5)}
	if v := Verify(f, Options{Policy: s.policy(), Trust: asked}); v.Level != LevelAnchored || asked.n != 1 {
		t.Errorf("level %v after %d questions, want 1", v.Level, asked.n)
	}
}

type counting struct {
	Pinned
	n int
}

func (c *counting) Trusted(route string, height uint64, hash [32]byte) (string, bool, error) {
	c.n++
	return c.Pinned.Trusted(route, height, hash)
}

// TestTrieForms: forms that geth never writes and a reader must not take.
func TestTrieForms(t *testing.T) {
	key := []byte{0x12, 0x34}
	leaf := func(hp []byte, value []byte) []byte { return mustRLP(t, [][]byte{hp, value}) }
	branch := func(at int, child []byte, value []byte) []byte {
		var all [17][]byte
		all[at], all[16] = child, value
		return mustRLP(t, all[:])
	}
	hash := func(b []byte) []byte { h := keccak256(b); return h[:] }
	long := bytes.Repeat([]byte{7}, 40)
	good := leaf([]byte{0x20, 0x12, 0x34}, long)
	child := leaf([]byte{0x32, 0x34}, long)
	for _, c := range []struct {
		name  string
		nodes [][]byte
		ok    bool
	}{
		{"leaf", [][]byte{good}, true},
		{"branch and odd leaf", [][]byte{branch(1, hash(child), nil), child}, true},
		{"leaf of a shorter key", [][]byte{leaf([]byte{0x20, 0x12}, long)}, false},
		{"leaf of a longer key", [][]byte{leaf([]byte{0x20, 0x12, 0x34, 0x56}, long)}, false},
		{"padding not zero", [][]byte{leaf([]byte{0x21, 0x12, 0x34}, long)}, false},
		{"unknown flag", [][]byte{leaf([]byte{0x40, 0x12, 0x34}, long)}, false},
		{"no flag", [][]byte{leaf(nil, long)}, false},
		{"extension as a leaf", [][]byte{leaf([]byte{0x00, 0x12, 0x34}, long)}, false},
		{"leaf as an extension", [][]byte{leaf([]byte{0x20, 0x12, 0x34}, hash(good)), good}, false},
		{"empty value", [][]byte{leaf([]byte{0x20, 0x12, 0x34}, nil)}, false},
		{"value of a branch on the way", [][]byte{branch(0, nil, long)}, false},
		{"another's child", [][]byte{branch(2, hash(child), nil), child}, false},
		{"left over", [][]byte{good, good}, false},
		{"trailing byte", [][]byte{append(bytes.Clone(good), 0)}, false},
		{"long form of a short length", [][]byte{append([]byte{0xf8, byte(len(good) - 1)}, good[1:]...)}, false},
		{"sixteen elements", [][]byte{mustRLP(t, make([][]byte, 16))}, false},
		{"short child by hash", [][]byte{branch(1, hash(leaf([]byte{0x32, 0x34}, []byte{9})), nil), leaf([]byte{0x32, 0x34}, []byte{9})}, false},
		{"empty extension", [][]byte{leaf([]byte{0x00}, hash(good)), good}, false},
	} {
		v, err := trieValue(keccak256(c.nodes[0]), key, c.nodes)
		if (err == nil) != c.ok || c.ok && !slices.Equal(v, long) {
			t.Errorf("%s: got %x, %v, want ok %v", c.name, v, err, c.ok)
		}
	}
}

// TestRegistryCode: the code that this package knows is the contract's, and the
// verdict says when an anchor rests on another.
func TestRegistryCode(t *testing.T) {
	if got, want := fmt.Sprintf("0x%x", RegistryCode), contracts.RuntimeCodeHashHex; got != want {
		t.Fatalf("registry code %s, the contract's is %s", got, want)
	}
	p := pick{window: 3, slot: 2, at: 0}
	for _, known := range []bool{true, false} {
		s := newSite("a")
		if known {
			s.block.CodeHash = RegistryCode
		}
		s.build(5)
		v := Verify(s.file(t, 5, p), s.options(t, 5))
		if v.Level != LevelAnchored || v.Anchors[0].Registry != known || has(v.NotChecked, "what the contract does") == known {
			t.Errorf("known code %v: level %v, registry %v, not checked %q", known, v.Level, v.Anchors[0].Registry, v.NotChecked)
		}
	}
}

// TestStoredWord: a word in storage has one form.
func TestStoredWord(t *testing.T) {
	b := aBlock()
	b.Root[0] = 0
	for i, word := range [][]byte{bytes.TrimLeft(b.Root[:], "\x00"), b.Root[:], append([]byte{0}, b.Root[:]...), {}} {
		slot := EthereumSlot(b.Sender, b.Ledger)
		key := keccak256(slot[:])
		node := mustRLP(t, [][]byte{append([]byte{0x20}, key[:]...), mustRLP(t, word)})
		r := EthereumReceipt{Sender: b.Sender, Ledger: b.Ledger, Root: b.Root, StorageProof: [][]byte{node}}
		if err := r.verifyStorage(keccak256(node)); (err == nil) != (i == 0) {
			t.Errorf("word %x: %v", word, err)
		}
	}
}

// TestEveryReadingLevel: one reading short of the level is enough.
func TestEveryReadingLevel(t *testing.T) {
	s := newSite("a").build(9)
	f := join(t, s.file(t, 5, pick{window: 1, slot: 0, at: 1}), s.file(t, 9, pick{window: 8, slot: 0, at: 1}))
	f.Receipts = f.Receipts[:1]
	v := Verify(f, s.options(t, 5))
	if got := fmt.Sprint(v.Outcome, v.Level, v.Readings[0].Level, v.Readings[1].Level, v.NotAfter); got != "refusedlogged anchored logged <nil>" {
		t.Error(got)
	}
}
