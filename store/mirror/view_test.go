package mirror

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"cairn/store/share"
)

// randomGateway is a ledger of some hours: devices come and go, send much, little
// or nothing, lose counters; at times the gateway sleeps.
func randomGateway(t *testing.T, rng *rand.Rand) *gateway {
	g := newGateway(t, []int{1, 64, 4096}[rng.IntN(3)])
	g.bind(occupancyRules)
	for range 25 + rng.IntN(30) {
		for _, d := range g.nodes {
			if d.ended {
				continue
			}
			for range []int{0, 1, 1, 1, 3, 9}[rng.IntN(6)] {
				g.send(d, []int{0, 0, 0, 2}[rng.IntN(4)], someReading(rng)...)
			}
		}
		switch rng.IntN(14) {
		case 12, 13:
			g.late(g.nodes[rng.IntN(len(g.nodes))], someReading(rng)...)
		case 0:
			g.bind(occupancyRules)
		case 1:
			g.bind(nil)
		case 2:
			if d := g.nodes[rng.IntN(len(g.nodes))]; !d.ended && len(g.nodes) > 1 {
				g.unbind(d)
			}
		case 3:
			g.pass(time.Duration(1+rng.IntN(20)) * time.Minute)
		}
		g.pass(time.Minute)
	}
	return g
}

// randomAudience is some compartments of some streams in some hours, the envelope
// with any other.
func randomAudience(g *gateway, rng *rand.Rand) audience {
	start, _ := share.HourOf(gatewayStart.UnixMilli())
	hours := func() [2]share.Hour {
		from := start + share.Hour(rng.IntN(6))
		return [2]share.Hour{from - 1, from + share.Hour(rng.IntN(6))}
	}
	a := audience{"ledger": {0, share.Hours - 1}}
	for _, c := range g.keys.Compartments() {
		slot, class, ok := streamCompartment(c.Name)
		if !ok || rng.IntN(2) == 0 {
			continue
		}
		a[c.Name] = hours()
		if envelope := fmt.Sprintf("stream/%d/envelope", slot); class != "envelope" && a[envelope] == [2]share.Hour{} {
			a[envelope] = a[c.Name]
		}
	}
	if rng.IntN(3) == 0 {
		a["ledger"] = hours()
	}
	return a
}

// TestViewOpensJustWhatIsGranted: of random ledgers, audiences see exactly their
// fields and hours.
func TestViewOpensJustWhatIsGranted(t *testing.T) {
	for seed := range uint64(6) {
		rng := rand.New(rand.NewPCG(seed, 3))
		g := randomGateway(t, rng)
		if seed%2 == 0 {
			g.sealed()
		}
		for i := range 12 {
			a := randomAudience(g, rng)
			if i == 0 {
				a = g.all()
			}
			v := g.view(a)
			got, report := reads(t, v, Query{Live: true})
			sameTexts(t, fmt.Sprintf("seed %d, audience %d", seed, i), got, g.truth(a))
			for _, m := range report.Missing {
				if m.Why != NotGranted {
					t.Errorf("seed %d, audience %d: %v", seed, i, &m)
				}
			}
		}
	}
}

// TestPooledViews: two audiences that put all their keys together open just what
// each of them opens alone.
func TestPooledViews(t *testing.T) {
	for seed := range uint64(4) {
		rng := rand.New(rand.NewPCG(seed, 4))
		g := randomGateway(t, rng)
		start, _ := share.HourOf(gatewayStart.UnixMilli())
		// As grants are made: the envelope goes with every other, for the same hours.
		grant := func() audience {
			a := randomAudience(g, rng)
			from := start + share.Hour(rng.IntN(4))
			hours := [2]share.Hour{from, from + 1 + share.Hour(rng.IntN(5))}
			for name := range a {
				a[name] = hours
			}
			return a
		}
		a, b := grant(), grant()
		want := map[string]string{}
		for _, x := range []audience{a, b} {
			one, _ := reads(t, g.view(x), Query{Live: true})
			maps.Copy(want, one)
		}
		v, err := NewView(g, pool(t, g.bundle(a), g.bundle(b)))
		if err != nil {
			t.Fatal(err)
		}
		got, _ := reads(t, v, Query{Live: true})
		sameTexts(t, fmt.Sprintf("seed %d", seed), got, want)
	}
}

// pool puts the keys of two bundles into one.
func pool(t *testing.T, a, b *share.Bundle) *share.Bundle {
	t.Helper()
	nodes := map[string][]share.Node{}
	ids := map[string]uint32{}
	for _, x := range []*share.Bundle{a, b} {
		for _, c := range x.Compartments {
			ids[c.Name], nodes[c.Name] = c.ID, append(nodes[c.Name], c.Nodes...)
		}
	}
	p := *a
	p.Compartments = nil
	p.Statements = append(slices.Clone(a.Statements), b.Statements...)
	for name, all := range nodes {
		// The largest first: those below them say nothing more.
		slices.SortFunc(all, func(x, y share.Node) int { return int(x.Level) - int(y.Level) })
		var kept []share.Node
		for _, n := range all {
			if !slices.ContainsFunc(kept, func(k share.Node) bool { return k.First() <= n.First() && n.Until() <= k.Until() }) {
				kept = append(kept, n)
			}
		}
		slices.SortFunc(kept, func(x, y share.Node) int { return int(x.First()) - int(y.First()) })
		p.Compartments = append(p.Compartments, share.Granted{ID: ids[name], Name: name, Nodes: kept})
	}
	slices.SortFunc(p.Compartments, func(x, y share.Granted) int { return int(x.ID) - int(y.ID) })
	return &p
}
