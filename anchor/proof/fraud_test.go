package proof

import (
	"crypto/ed25519"
	"strings"
	"testing"

	"cairn/merkle"
	"cairn/merkle/ledger"
)

// twoHistories returns a site and another by the same keys that is the same up
// to a window, and says something else in its headers from there on.
func twoHistories(from, windows int) (s, forked *site) {
	forked = newSite("fraud")
	forked.header = func(h *ledger.Header) {
		if h.Index >= uint64(from) {
			h.Hidden[ledger.HiddenSegments][0] ^= 1
		}
	}
	return newSite("fraud").build(windows), forked.build(windows)
}

// ranged is a file of a range of a slot that ends with these windows.
func (s *site) ranged(t testing.TB, size int, slot, first uint64, windows ...int) *File {
	t.Helper()
	b := NewBuilder([32]byte(s.key.Public().(ed25519.PublicKey)), s.nonce)
	r := s.ofRange(t, b, b.Head(s.head(t, size)), size, slot, first, windows...)
	b.Range(r)
	return b.File()
}

// bare is a file of one head alone.
func (s *site) bare(t testing.TB, size int) *File {
	t.Helper()
	f, err := CheckpointFile(s.head(t, size), s.file(t, size, pick{window: size - 1, slot: 5}))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// summaries is a file, not well-formed, that shows these summaries of a slot.
func (s *site) summaries(t testing.TB, size int, slot uint64, windows ...int) *File {
	t.Helper()
	f := s.file(t, size, pick{window: 0, slot: 5})
	b := Continue(f)
	for _, w := range windows {
		win := &s.windows[w]
		batch := b.Batch(win.header, Shown{Item: win.slotsItem, Salt: salt("header", uint64(w), 2)}, nil)
		path, err := merkle.ProveInclusion(s.log, uint64(w), uint64(size))
		if err != nil {
			t.Fatal(err)
		}
		b.Cover(batch, 0, path)
		b.Summary(Summary{
			Batch: batch, Tag: ledger.Tag(s.tagKey, s.id, slot), Item: win.streams[slot].summary,
			Salt: salt("summary", slot, uint64(w)), Path: merkle.PerfectPath(win.leaves, int(slot)),
		})
	}
	return b.File()
}

// kinds is one search for each kind of evidence.
func fraudCases(t testing.TB) []fraudCase {
	s, forked := twoHistories(3, 8)
	changed := func(change func(*site)) *site {
		f := newSite("fraud")
		change(f)
		return f.build(8)
	}
	p := func(window int) pick { return pick{window: window, slot: 5} }
	other, third := testKey("other"), testKey("third")
	handed := func(to ed25519.PrivateKey, back bool) *File {
		f := handsOver(newSite("fraud"), to).build(5)
		if back { // the old key signs on, so that the file holds without the fork
			f.signer = nil
		}
		return f.telling(t, 5, pick{window: 3, slot: 5}, 2)
	}
	twoSizes := s.bare(t, 8)
	c := merkle.Checkpoint{Origin: ledger.Origin(s.id), Size: 7, Root: merkle.RootOf(s.log)}
	note, err := merkle.SignCheckpoint(c, s.key)
	if err != nil {
		t.Fatal(err)
	}
	lying, _ := CheckpointFile(note, twoSizes)
	renumbered := changed(func(f *site) {
		f.summary = func(sum *ledger.Summary) {
			if sum.Slot == 2 && sum.From >= siteStart+4*siteWindow {
				sum.First, sum.Next = sum.First-2, sum.Next-2
			}
		}
	})
	closed := changed(func(f *site) {
		f.summary = func(sum *ledger.Summary) {
			sum.Closed = sum.Slot == 2 && sum.From == siteStart+3*siteWindow
		}
	})
	stated := func(label string, window int) *site {
		return changed(func(f *site) {
			b := ledger.Binding{Number: 7, ID: [8]byte{7: 0xa7}, Name: label, Slot: 7, Kind: ledger.BindSecure, From: siteStart}
			f.grow = map[int][]ledger.Statement{window: {b.Statement()}}
		})
	}
	told := func(f *site, size, window, index int) *File {
		b := Continue(f.file(t, size, p(0)))
		f.tell(t, b, 0, size, window, index)
		return b.File()
	}
	salted := changed(func(f *site) { f.salts = newSite("b").salts })
	grown := func(windows ...int) *site {
		return changed(func(f *site) {
			f.grow = map[int][]ledger.Statement{}
			for _, w := range windows {
				b := ledger.Binding{Number: uint32(20 + w), ID: [8]byte{7: byte(w)}, Slot: uint64(20 + w), Kind: ledger.BindSecure, From: siteStart}
				f.grow[w] = []ledger.Statement{b.Statement()}
			}
		})
	}
	liar := changed(func(f *site) {
		f.summary = func(sum *ledger.Summary) {
			if sum.Slot == 2 && sum.From == siteStart+3*siteWindow {
				sum.Stream[0] ^= 1
			}
		}
	})
	return []fraudCase{
		{"two roots", FraudTwoRoots, []*File{s.file(t, 8, p(2)), forked.file(t, 8, p(2))}},
		{"two roots, checkpoints", FraudTwoRoots, []*File{s.bare(t, 8), forked.bare(t, 8)}},
		{"two sizes", FraudTwoSizes, []*File{twoSizes, lying}},
		{"not extended", FraudNotExtended, []*File{s.file(t, 4, p(2)), forked.file(t, 7, p(4))}},
		{"not extended, a checkpoint and the last batch", FraudNotExtended, []*File{s.bare(t, 5), forked.file(t, 8, p(4))}},
		{"two batches", FraudTwoHeaders, []*File{s.file(t, 5, p(3)), forked.file(t, 7, p(3))}},
		{"two parts", FraudTwoParts, []*File{s.file(t, 5, p(3)), forked.file(t, 7, p(2))}},
		{"runs overlap", FraudRuns, []*File{s.summaries(t, 8, 2, 3), renumbered.summaries(t, 8, 2, 4)}},
		{"after the end", FraudRuns, []*File{closed.summaries(t, 8, 2, 3), s.summaries(t, 8, 2, 5)}},
		{"two handovers", FraudTwoHandovers, []*File{handed(other, true), handed(third, true)}},
		{"two roots by a later key", FraudTwoRoots, []*File{handed(other, false), func() *File {
			f := handsOver(newSite("fraud"), other)
			f.header = func(h *ledger.Header) {
				if h.Index == 4 {
					h.Root[0] ^= 1
				}
			}
			return f.build(5).telling(t, 5, pick{window: 3, slot: 5}, 2)
		}()}},
		{"two statements", FraudTwoStatements, []*File{told(stated("a", 1), 5, 3, 4), told(stated("b", 1), 6, 2, 4)}},
		{"statements not extended", FraudStatements, []*File{told(grown(1), 5, 2, 0), told(grown(0, 3), 8, 5, 4)}},
		{"statements lost", FraudStatementsShrunk, []*File{told(grown(1), 8, 2, 0), told(grown(), 8, 5, 0)}},
		{"two streams of a slot", FraudTags, []*File{s.summaries(t, 8, 2, 3), changed(func(f *site) { f.tagKey[0] ^= 1 }).summaries(t, 8, 2, 5)}},
		{"two streams of a length", FraudStream, []*File{s.summaries(t, 8, 0, 2), salted.summaries(t, 8, 0, 3)}},
		{"a stream within a range", FraudStream, []*File{s.summaries(t, 8, 2, 3), salted.ranged(t, 7, 2, 7, 1, 4, 6)}},
		{"a stream at the begin of a range", FraudStream, []*File{s.summaries(t, 8, 2, 2), salted.ranged(t, 7, 2, 15, 4, 6)}},
		{"a stream, in one log", FraudStream, []*File{liar.summaries(t, 8, 2, 3), liar.ranged(t, 8, 2, 5, 0, 5)}},
		{"two readings", FraudTwoReadings, []*File{s.file(t, 8, pick{window: 3, slot: 2, at: 1}), salted.ranged(t, 7, 2, 5, 0, 5)}},
	}
}

type fraudCase struct {
	name  string
	kind  FraudKind
	files []*File
}

// find returns the evidence of a kind.
func find(t testing.TB, c fraudCase) *Fraud {
	t.Helper()
	all, err := FindFraud(c.files...)
	if err != nil {
		t.Fatal(err)
	}
	var kinds []FraudKind
	for _, f := range all {
		if f.Kind == c.kind {
			return f
		}
		kinds = append(kinds, f.Kind)
	}
	t.Fatalf("%s: found %v, want %s", c.name, kinds, c.kind)
	return nil
}

// TestFraud: each kind is found, and proves itself from its bytes and the
// ledger's first key.
func TestFraud(t *testing.T) {
	policy := newSite("fraud").policy()
	for _, c := range fraudCases(t) {
		t.Run(c.name, func(t *testing.T) {
			f := find(t, c)
			b, err := f.Encode()
			if err != nil {
				t.Fatal(err)
			}
			v := VerifyFraud(b, Options{Policy: policy})
			if v.Outcome != Verified || v.Fraud != c.kind || !v.Identity || !strings.HasPrefix(v.Text(), "FRAUD PROVEN: ") {
				t.Errorf("%s", v.Text())
			}
			t.Logf("%d bytes\n%s", len(b), v.Text())
			if v := VerifyFraud(b, Options{Policy: newSite("b").policy()}); v.Outcome != Refused || v.Code != CodeIdentity {
				t.Errorf("against another ledger's policy: %s", v.Text())
			}
		})
	}
}
