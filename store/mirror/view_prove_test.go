package mirror

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"cairn/anchor/proof"
	"cairn/ingest/reading"
	"cairn/merkle"
	"cairn/merkle/ledger"
	"cairn/store/share"
)

// verified encodes a proof, reads it again and verifies it.
func verified(t *testing.T, p *ViewProof) proof.Verdict {
	t.Helper()
	b, err := p.File.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return proof.VerifyBytes(b, proof.Options{Require: proof.LevelLogged})
}

// TestViewProves: of random ledgers and audiences, ranges made from the copy are
// complete for the verifier, and show just what was opened.
func TestViewProves(t *testing.T) {
	proven := 0
	for seed := range uint64(6) {
		rng := rand.New(rand.NewPCG(seed, 8))
		g := randomGateway(t, rng)
		for i := range 8 {
			a := randomAudience(g, rng)
			if i == 0 {
				a = g.all()
			}
			v := g.view(a)
			q := ProofQuery{}
			if i%3 == 1 {
				from := gatewayStart.Add(time.Duration(rng.IntN(60)) * time.Minute).UnixMilli()
				to := from + int64(1+rng.IntN(60))*60_000
				q.From, q.To = &from, &to
			}
			p, err := v.Prove(t.Context(), q)
			if errors.Is(err, ErrNothing) && i > 0 {
				continue
			}
			if err != nil {
				t.Fatalf("seed %d, audience %d: %v", seed, i, err)
			}
			verdict := verified(t, p)
			if verdict.Outcome != proof.Verified || len(verdict.Ranges) == 0 {
				t.Fatalf("seed %d, audience %d: %s", seed, i, verdict.Text())
			}
			proven++
			sameFields(t, g, a, p)
		}
	}
	if proven < 20 {
		t.Errorf("%d proofs were made", proven)
	}
}

// sameFields holds that a file shows just what an audience may see.
func sameFields(t *testing.T, g *gateway, a audience, p *ViewProof) {
	t.Helper()
	may := g.truth(a)
	for _, r := range p.File.Ranges {
		s, err := ledger.ParseSummary(p.File.Summaries[r.Summaries[0]].Item)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range r.Readings {
			var x reading.Reading
			for _, f := range n.Fields {
				if f.Index < reading.IndexData {
					continue
				}
				x = reading.Reading{}
				if err := x.SetItem(f.Index, f.Item); err != nil {
					t.Fatal(err)
				}
				m := x.Measurements[f.Index-reading.IndexData]
				id := fmt.Sprintf("%d/%d/%d", s.Slot, n.Seq, f.Index)
				if want := may[id]; want != m.Name+"="+m.Value.String() {
					t.Errorf("%s is shown as %s, want %q", id, m.Name, want)
				}
			}
		}
	}
}

// TestViewProvesSingleReadings: single readings, whole or some fields of them.
func TestViewProvesSingleReadings(t *testing.T) {
	g := smallGateway(t)
	a := g.all()
	delete(a, "stream/0/occupancy")
	v := g.view(a)
	for _, fields := range [][]string{nil, {"temperature"}, {"received", "humidity"}} {
		p, err := v.Prove(t.Context(), ProofQuery{Readings: []string{"0/0", "0/3", "1/2"}, Fields: fields})
		if len(fields) == 2 { // stream 1 has received alone
			p, err = v.Prove(t.Context(), ProofQuery{Readings: []string{"0/0", "0/3"}, Fields: fields})
		}
		if err != nil {
			t.Fatal(err)
		}
		verdict := verified(t, p)
		if verdict.Outcome != proof.Verified || verdict.Level != proof.LevelLogged {
			t.Fatalf("fields %v: %s", fields, verdict.Text())
		}
		for _, r := range p.File.Readings {
			if fields != nil && len(r.Fields) > len(fields) {
				t.Errorf("fields %v: %d are shown", fields, len(r.Fields))
			}
		}
	}
	for text, want := range map[string]error{"0/999": ErrNothing, "7/1": ErrNothing} {
		if _, err := v.Prove(t.Context(), ProofQuery{Readings: []string{text}}); !errors.Is(err, want) {
			t.Errorf("reading %s: got %v, want %v", text, err, want)
		}
	}
	if _, err := v.Prove(t.Context(), ProofQuery{Readings: []string{"0/0"}, Fields: []string{"occupancy"}}); err == nil {
		t.Error("a field was proven that was not granted")
	}
}

// TestViewRecord: a record whose decoys are known as subtrees has the root and the
// covers of one that is known leaf by leaf.
func TestViewRecord(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for items := reading.IndexData; items <= reading.MaxLeaves; items++ {
		leaves := make([]merkle.Hash, reading.Width(items))
		for i := range leaves {
			leaves[i] = merkle.LeafHash([]byte{byte(i), byte(items)})
		}
		hidden := []merkle.Hash{leaves[0]}
		hidden = append(hidden, leaves[6:items]...)
		for at := items; at < len(leaves); at += at & -at {
			hidden = append(hidden, merkle.RootOf(leaves[at:at+at&-at]))
		}
		r, err := newRecord(items, hidden)
		if err != nil {
			t.Fatal(err)
		}
		copy(r.leaves[1:6], leaves[1:6])
		if got, want := r.root(), merkle.RootOf(leaves); got != want {
			t.Errorf("%d items: root %v, want %v", items, got, want)
		}
		for range 20 {
			var shown []int
			for i := range items {
				if rng.IntN(3) == 0 {
					shown = append(shown, i)
				}
			}
			if len(shown) == 0 {
				continue
			}
			if got, want := r.cover(shown), proof.Cover(leaves, shown); !slices.Equal(got, want) {
				t.Errorf("%d items, %v shown: cover of %d hashes, want %d", items, shown, len(got), len(want))
			}
		}
		if _, err := newRecord(items, hidden[1:]); err == nil {
			t.Errorf("%d items: a hash that is missing is not missed", items)
		}
	}
	for _, items := range []int{-1, 0, 6, 65, 1 << 30} {
		if _, err := newRecord(items, nil); err == nil {
			t.Errorf("a reading of %d items", items)
		}
	}
}

// TestViewRefusesOtherLogs: a checkpoint that another key signed, or that does not
// extend the one before, is false.
func TestViewRefusesOtherLogs(t *testing.T) {
	g := smallGateway(t)
	v := g.view(g.all())
	if err := readAll(g, v); err != nil {
		t.Fatal(err)
	}
	other := newGateway(t, 1)
	other.pass(20 * time.Minute)
	var lie *Lie
	v.src = other
	if err := v.Refresh(t.Context()); !errors.As(err, &lie) || lie.What != "checkpoint" {
		t.Errorf("another ledger's checkpoint: got %v", err)
	}
	b := g.bundle(g.all())
	b.LogKey[0] ^= 1
	if _, err := NewView(g, b); err == nil {
		t.Error("a bundle whose key does not make its ledger's id")
	}
	b = g.bundle(audience{"stream/0/data": {0, share.Hours - 1}})
	if _, err := NewView(g, b); err == nil || !bytes.Contains([]byte(err.Error()), []byte("ledger")) {
		t.Errorf("a bundle without the ledger: got %v", err)
	}
}
