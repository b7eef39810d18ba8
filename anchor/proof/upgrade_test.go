package proof

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"cairn/merkle"
	"cairn/merkle/ledger"
)

// logged is a proof of a reading before any anchor of it.
func (s *site) logged(t testing.TB, size int, p pick) *File {
	t.Helper()
	f := newer(s.file(t, size, p))
	f.Receipts = nil
	return f
}

// update is an update for heads of a site, up to the anchor of a greater one.
func (s *site) update(t testing.TB, size int, sizes ...int) *File {
	t.Helper()
	b := NewBuilder(s.logged(t, 1, pick{window: 0, slot: 5}).Ledger.Key, s.nonce)
	for _, old := range sizes {
		path, err := merkle.ProveConsistency(s.log, uint64(old), uint64(size))
		if err != nil {
			t.Fatal(err)
		}
		b.Extend(b.Head(s.head(t, old)), b.Head(s.head(t, size)), path)
	}
	b.Receipt(Receipt{Route: "ethereum:1", Head: b.Head(s.head(t, size)), Kind: KindEthereum, Data: mustMarshal(t, s.receipt(t, size))})
	return b.File()
}

// TestUpgrade: what a proof lacks comes from whatever file of its ledger has it.
func TestUpgrade(t *testing.T) {
	s := newSite("a").build(8)
	p, other := pick{window: 3, slot: 5, at: 1}, pick{window: 4, slot: 0, at: 0}
	o := s.options(t, 8)
	next := testKey("next")
	for _, c := range []struct {
		name  string
		f     *File
		from  []*File
		level Level // after
		err   error
	}{
		{"an update", s.logged(t, 5, p), []*File{s.update(t, 8, 5)}, LevelAnchored, nil},
		{"an update of several heads", s.logged(t, 5, p), []*File{s.update(t, 8, 4, 5, 6)}, LevelAnchored, nil},
		{"an update of the same head", s.logged(t, 8, p), []*File{s.update(t, 8)}, LevelAnchored, nil},
		{"in two steps", s.logged(t, 5, p), []*File{s.update(t, 7, 5), s.update(t, 8, 7)}, LevelAnchored, nil},
		{"in two steps of one file", s.logged(t, 5, p), []*File{func() *File {
			b := Continue(s.update(t, 8, 6))
			s.extend(t, b, 5, 6)
			f := b.File()
			f.Receipts = f.Receipts[:1]
			return f
		}()}, LevelAnchored, nil},
		{"the same reading's later proof", s.logged(t, 5, p), []*File{s.file(t, 8, p)}, LevelAnchored, nil},
		{"another reading's proof, whose path tells it", s.logged(t, 5, p), []*File{s.file(t, 8, other)}, LevelAnchored, nil},
		{"another reading's proof under the same head", s.logged(t, 8, p), []*File{s.file(t, 8, other)}, LevelAnchored, nil},
		{"of version 0", func() *File { f := s.file(t, 5, p); f.Receipts = nil; return f }(), []*File{s.update(t, 8, 5)}, LevelAnchored, nil},
		{"another reading's proof, whose path does not", s.logged(t, 5, p), []*File{s.file(t, 8, pick{window: 1, slot: 0})}, 0, ErrOtherHeads},
		{"an update of another head", s.logged(t, 5, p), []*File{s.update(t, 8, 3)}, 0, ErrOtherHeads},
		{"an update of an older anchor", s.logged(t, 8, p), []*File{s.update(t, 7, 5)}, 0, ErrOtherHeads},
		{"itself", s.logged(t, 5, p), []*File{s.logged(t, 5, p)}, 0, ErrNothingNew},
		{"anchored already", s.file(t, 8, p), []*File{s.update(t, 8, 5)}, 0, ErrNothingNew},
		{"another ledger", s.logged(t, 5, p), []*File{newSite("b").build(8).update(t, 8, 5)}, 0, ErrOtherLedger},
		{"a fork of it", s.logged(t, 5, p), []*File{func() *File {
			f := newSite("a")
			f.header = func(h *ledger.Header) { h.Root[0] ^= byte(h.Index) }
			return f.build(8).update(t, 8, 5)
		}()}, 0, ErrContradict},
		{"a false update", s.logged(t, 5, p), []*File{func() *File {
			f := s.update(t, 8, 5)
			f.Extends[0].Path[0][0] ^= 1
			return f
		}()}, 0, ErrFalse},
		{"a false proof", func() *File {
			f := s.logged(t, 5, p)
			item := &f.Readings[0].Fields[1].Item
			*item = bytes.Clone(*item)
			(*item)[9] ^= 1
			return f
		}(), []*File{s.update(t, 8, 5)}, 0, ErrFalse},
		{"by a later log key", func() *File {
			return handsOver(newSite("a"), next).build(8).logged(t, 2, pick{window: 1, slot: 5, at: 1})
		}(), []*File{handsOver(newSite("a"), next).build(8).telling(t, 8, pick{window: 1, slot: 5, at: 0}, 2)}, LevelPending, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			mine := fmt.Sprintf("%+v", c.f)
			u, err := Upgrade(c.f, o, c.from...)
			if !errors.Is(err, c.err) {
				t.Fatalf("%v, want %v", err, c.err)
			}
			if fmt.Sprintf("%+v", c.f) != mine {
				t.Error("the proof itself was changed")
			}
			if c.err != nil {
				return
			}
			v := VerifyBytes(mustEncode(t, u.File), o)
			if v.Level != c.level || u.After.Level != c.level || u.Before.Level != LevelLogged || len(u.Added) == 0 {
				t.Errorf("from %v to %v: %v\n%s", u.Before.Level, u.After.Level, u.Added, v.Text())
			}
			if len(u.File.Readings) != len(c.f.Readings) || u.File.Version != 1 {
				t.Errorf("%d readings, version %d", len(u.File.Readings), u.File.Version)
			}
			if again, err := Upgrade(u.File, o, c.from...); !errors.Is(err, ErrNothingNew) {
				t.Errorf("once more: %v, %+v after %v", err, again, u.Added)
			}
			if c.f.Version == 0 && !slices.ContainsFunc(u.Added, func(s string) bool { return strings.Contains(s, "version 1") }) {
				t.Errorf("nothing says that the version is another: %v", u.Added)
			}
		})
	}
}

// TestUpgradeStale: a receipt whose block nobody trusts does not keep a better
// one out, where there is something to trust.
func TestUpgradeStale(t *testing.T) {
	s := newSite("a").build(8)
	f := newer(s.file(t, 5, pick{window: 3, slot: 5}))
	for _, c := range []struct {
		o    Options
		want error
	}{{Options{}, ErrNothingNew}, {s.options(t, 8), nil}} {
		u, err := Upgrade(f, c.o, s.update(t, 8, 5))
		if !errors.Is(err, c.want) || err == nil && (u.Before.Level != LevelPending || u.After.Level != LevelAnchored) {
			t.Errorf("%v, want %v", err, c.want)
		}
	}
}

// TestUpgradeSuccessor: an update brings the statement by which a policy comes
// to know the place of the receipt in it.
func TestUpgradeSuccessor(t *testing.T) {
	next := newSite("next").place()
	s := newSite("a")
	moved := ledger.Route{Name: next.Chain(), ChainID: next.ChainID, Contract: next.Contract, CodeHash: next.Code, Sender: next.Sender}.Statement(siteStart)
	s.grow = map[int][]ledger.Statement{1: {moved}}
	s.build(6)
	policy := s.policy()
	s.receipt(t, 4)
	s.block.Contract, s.block.Sender, s.block.Number, s.block.Time = next.Contract, next.Sender, s.block.Number+100, s.block.Time+600
	o := Options{Policy: policy, Trust: append(s.pinned(t, 4), s.pinned(t, 6)...)}
	pending := s.logged(t, 5, pick{window: 4, slot: 5})
	plain := s.update(t, 6, 5)
	u, err := Upgrade(pending, o, plain)
	if err != nil || u.After.Level != LevelLogged || u.After.Code != CodeNoRoute {
		t.Fatalf("without the statement: %v, %+v", err, u.After)
	}
	b := Continue(plain)
	old := b.Head(s.head(t, 4))
	s.tell(t, b, old, 4, 1, 4)
	b.Receipt(Receipt{Route: "ethereum:1", Head: old, Kind: KindEthereum, Data: mustMarshal(t, s.receipt(t, 4))})
	if u, err = Upgrade(pending, o, b.File()); err != nil || u.After.Level != LevelAnchored || len(u.File.Statements) != 1 {
		t.Errorf("with it: %v, %s", err, u.After.Text())
	}
	if u, err = Upgrade(pending, o, plain, Continue(s.file(t, 6, pick{window: 4, slot: 5})).File()); err != nil || u.After.Level != LevelLogged {
		t.Errorf("from a proof without it: %v, %+v", err, u.After)
	}
	shown := Continue(s.file(t, 6, pick{window: 2, slot: 5}))
	old = shown.Head(s.head(t, 4))
	s.tell(t, shown, old, 4, 1, 4)
	shown.Receipt(Receipt{Route: "ethereum:1", Head: old, Kind: KindEthereum, Data: mustMarshal(t, s.receipt(t, 4))})
	if u, err = Upgrade(pending, o, plain, shown.File()); err != nil || u.After.Level != LevelAnchored {
		t.Errorf("from a proof with it: %v, %s", err, u.After.Text())
	}
}

// TestUpgradeKeeps: nothing that a proof has is dropped, whatever is added, and
// cosignatures and vouches are.
func TestUpgradeKeeps(t *testing.T) {
	s := newSite("a").build(8)
	b := Continue(s.ranged(t, 5, 0, 0, 2, 4))
	s.show(t, b, 0, 5, pick{window: 3, slot: 2, at: 1})
	f := b.File()
	up := s.update(t, 8, 5)
	up.Heads[0].Note = cosign(t, up.Heads[0].Note, "witness.example/one", 1_760_000_000)
	up.Heads[1].Note = cosign(t, up.Heads[1].Note, "witness.example/two", 1_760_000_000)
	up.Vouches = []Vouch{{Receipt: 0, Kind: VouchSyncCommittee, Data: []byte("x")}}
	u, err := Upgrade(f, s.options(t, 8), up)
	if err != nil {
		t.Fatal(err)
	}
	g := u.File
	if len(g.Readings) != len(f.Readings) || len(g.Ranges) != len(f.Ranges) || len(g.Summaries) != len(f.Summaries) ||
		len(g.Statements) != len(f.Statements) || len(g.Batches) != len(f.Batches) || len(g.Heads) != 2 {
		t.Errorf("%v: %+v", u.Added, g)
	}
	for i := range f.Batches {
		if len(g.Batches[i].Heads) < len(f.Batches[i].Heads) {
			t.Errorf("batch %d lost a head", i)
		}
	}
	for i := range g.Heads {
		if _, lines := cutCosignatures(g.Heads[i].Note); bytes.Count(lines, []byte("\n")) != 1 {
			t.Errorf("head %d: %q", i, lines)
		}
	}
	if len(g.Vouches) != 1 || len(u.After.Witnesses) == 0 {
		t.Errorf("%d vouches, witnesses %v", len(g.Vouches), u.After.Witnesses)
	}
}

// TestUpgradeOTS: what calendars said at different times becomes one receipt.
func TestUpgradeOTS(t *testing.T) {
	s := newSite("a").build(5)
	root := [32]byte(merkle.RootOf(s.log))
	receipt := func(atts ...OTSAttestation) []byte {
		tree := NewTimestamp(root[:])
		for _, a := range atts {
			if err := tree.Attest(a); err != nil {
				t.Fatal(err)
			}
		}
		b, err := tree.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		data, err := OTSReceipt{Network: BitcoinRegtest, Timestamp: b}.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	one, _ := PendingAttestation("https://one.example")
	two, _ := PendingAttestation("https://two.example")
	with := func(data []byte) *File {
		b := Continue(s.logged(t, 5, pick{window: 3, slot: 5}))
		b.Receipt(Receipt{Route: "ots", Kind: KindOTS, Data: data})
		return b.File()
	}
	f := with(receipt(one))
	u, err := Upgrade(f, Options{}, with(receipt(two)), with(receipt(two, BitcoinAttestation(7))))
	if err != nil || len(u.File.Receipts) != 1 || !bytes.Equal(u.File.Receipts[0].Data, receipt(one, two, BitcoinAttestation(7))) {
		t.Fatalf("%v, %+v", err, u)
	}
	if u.Before.Level != LevelPending || u.After.Level != LevelPending {
		t.Errorf("from %v to %v", u.Before.Level, u.After.Level)
	}
	asked := 0
	_, c, err := CompleteCalendars(u.File, func(string, []byte) ([]byte, error) { asked++; return nil, ErrNotYet })
	if err != nil || asked != 0 || c.Asked != 0 {
		t.Errorf("a calendar was asked about what is in a block: %d, %v", asked, err)
	}
	_, c, err = CompleteCalendars(f, func(uri string, msg []byte) ([]byte, error) {
		asked++
		next := NewTimestamp(msg)
		end, _ := next.Path(OTSOp{OTSAppend, []byte{byte(asked)}}, OTSOp{Tag: OTSSHA256})
		end.Attest(two)
		return next.MarshalBinary()
	})
	if err != nil || asked != maxHops || len(c.Kept) != maxHops {
		t.Errorf("promises without end: asked %d times, %+v, %v", asked, c, err)
	}
}

// FuzzCalendarAnswer: whatever a calendar answers, a timestamp stays one, and
// has what it had.
func FuzzCalendarAnswer(f *testing.F) {
	pending, _ := PendingAttestation("https://one.example")
	answer := NewTimestamp(make([]byte, 32))
	answer.Attest(BitcoinAttestation(7))
	b, _ := answer.MarshalBinary()
	f.Add(b)
	f.Add([]byte{0xf0, 1, 2, 8, 0})
	f.Fuzz(func(t *testing.T, answer []byte) {
		tree := NewTimestamp(make([]byte, 32))
		tree.Attest(pending)
		c := tree.Complete(func(string, []byte) ([]byte, error) { return answer, nil })
		b, err := tree.MarshalBinary()
		if err != nil || !slices.Contains(tree.promises(), "https://one.example") {
			t.Fatalf("%v, %v", err, tree.promises())
		}
		if _, err := ParseTimestamp(make([]byte, 32), b); err != nil {
			t.Error(err)
		}
		if c.Asked == 0 || c.Asked > maxQuestions || len(c.Kept)+len(c.Failed)+len(c.Open) != c.Asked {
			t.Errorf("%+v", c)
		}
	})
}
