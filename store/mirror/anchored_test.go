package mirror

import (
	"context"
	"math/rand/v2"
	"slices"
	"testing"

	"cairn/anchor/proof"
	"cairn/merkle"
)

// anchoredSite is a site whose heads of some sizes are anchored, and which tells the
// newest two without being asked.
type anchoredSite struct {
	*site
	sizes []uint64
	asks  int
}

func (s *anchoredSite) file(sizes []uint64) ([]byte, error) {
	if len(sizes) == 0 {
		return nil, ErrNone
	}
	b := proof.NewBuilder([32]byte(s.id.LogKey), s.id.Nonce)
	for _, size := range sizes {
		b.Receipt(proof.Receipt{Route: "ots", Head: b.Head(s.headAt(int(size))), Kind: proof.KindOTS, Data: s.promise(size)})
	}
	return b.File().Encode()
}

// promise is a receipt of a calendar that has promised a block.
func (s *anchoredSite) promise(size uint64) []byte {
	root := rootAt(s.site, size)
	t := proof.NewTimestamp(root[:])
	if err := t.Attest(proof.OTSAttestation{Kind: proof.OTSPending, URI: "https://calendar.example"}); err != nil {
		s.t.Fatal(err)
	}
	tree, err := t.MarshalBinary()
	if err != nil {
		s.t.Fatal(err)
	}
	b, err := proof.OTSReceipt{Network: proof.BitcoinMainnet, Timestamp: tree}.MarshalBinary()
	if err != nil {
		s.t.Fatal(err)
	}
	return b
}

func (s *anchoredSite) Update(context.Context) ([]byte, error) {
	return s.file(s.sizes[max(0, len(s.sizes)-2):])
}

func (s *anchoredSite) UpdateOf(_ context.Context, batches []uint64) ([]byte, error) {
	s.asks++
	var first []uint64
	for _, b := range batches {
		if i, _ := slices.BinarySearch(s.sizes, b+1); i < len(s.sizes) {
			first = append(first, s.sizes[i])
		}
	}
	slices.Sort(first)
	return s.file(slices.Compact(first))
}

// TestAnchorsKept holds that a copy has every anchor that there was, whenever it came
// by, and tells each batch's first one; so does a copy of it.
func TestAnchorsKept(t *testing.T) {
	s := &anchoredSite{site: newSite(t)}
	dir := t.TempDir()
	c := s.open(dir, Options{})
	check := func(c *Copy, what string) {
		t.Helper()
		if got := c.anchored["ots"]; !slices.Equal(got, s.sizes) {
			t.Errorf("%s: got anchors of %v, want %v", what, got, s.sizes)
		}
		for batch := range s.sizes[len(s.sizes)-1] {
			b, err := c.UpdateOf(t.Context(), []uint64{batch})
			if err != nil {
				t.Fatalf("%s: batch %d: %v", what, batch, err)
			}
			f, err := proof.Decode(b)
			if err != nil {
				t.Fatal(err)
			}
			i, _ := slices.BinarySearch(s.sizes, batch+1)
			head, err := merkle.OpenCheckpoint(f.Heads[0].Note, c.facts.origin, s.id.LogKey)
			if err != nil || len(f.Receipts) != 1 || head.Size != s.sizes[i] {
				t.Fatalf("%s: batch %d is said to be anchored with %d batches, want %d: %v", what, batch, head.Size, s.sizes[i], err)
			}
		}
	}
	for round, n := range []int{3, 100, 7, 150} {
		for at := len(s.entries); at < len(s.entries)+n; at += 1 + at%7 {
			s.sizes = append(s.sizes, uint64(at)+1)
		}
		s.close(n)
		follow(t, c, s, s.keys())
		check(c, "the copy")
		asks := s.asks
		if follow(t, c, s, s.keys()); s.asks != asks {
			t.Errorf("round %d: nothing was new, and %d updates were asked for", round, s.asks-asks)
		}
	}
	check(s.open(dir, Options{}), "the folder opened again")
	second := s.open(t.TempDir(), Options{})
	follow(t, second, c, s.keys())
	check(second, "the copy of the copy")
	read, err := FolderSource(dir)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := read.(updater).UpdateOf(t.Context(), []uint64{1}); err != nil || len(b) == 0 {
		t.Errorf("the folder that is only read: %v", err)
	}
}

// TestAnchorsAsked holds that weeks of anchors by several routes are found with few
// questions.
func TestAnchorsAsked(t *testing.T) {
	const batches = 50_000 // five weeks of minutes
	for name, every := range map[string]int{"daily": 1440, "hourly": 60, "every tenth window": 10} {
		all := placed{"ots": {}, "ethereum:1": {}}
		c := &Copy{anchored: map[string][]uint64{}}
		r := rand.New(rand.NewPCG(1, 2))
		for route := range all {
			for at := 1; at < batches; at += every/2 + r.IntN(every) {
				all[route][uint64(at)] = nil
			}
			c.anchored[route] = []uint64{all.before(route, batches)}
		}
		through, known := map[string]uint64{}, map[string][]reach{}
		asks, found := 0, map[string]map[uint64]bool{"ots": {}, "ethereum:1": {}}
		for ; asks < 1000; asks++ {
			of := c.lacking(through, known, asks == 1)
			if len(of) == 0 {
				break
			}
			if len(of) > MaxUpdateOf {
				t.Fatalf("%s: %d batches in one question", name, len(of))
			}
			got := placed{}
			for route := range all {
				got[route] = map[uint64][]proof.Receipt{}
				for _, b := range of {
					if to := all.after(route, b); to > 0 {
						got[route][to], found[route][to] = nil, true
					}
				}
			}
			if !c.learnSpans(got, of, through, known) {
				t.Fatalf("%s: nothing new, and not all known", name)
			}
		}
		for route := range all {
			if len(found[route]) != len(all[route]) {
				t.Errorf("%s: %d anchors of %s found of %d", name, len(found[route]), route, len(all[route]))
			}
		}
		if asks > 2*maxAnchorAsks {
			t.Errorf("%s: %d questions, more than two passes ask", name, asks)
		}
		t.Logf("%s: %d questions for %d anchors", name, asks, len(all["ots"])+len(all["ethereum:1"]))
	}
}

// before is the greatest size of a route up to a number of batches.
func (p placed) before(route string, batches uint64) (last uint64) {
	for size := range p[route] {
		if size <= batches {
			last = max(last, size)
		}
	}
	return last
}
