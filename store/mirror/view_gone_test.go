package mirror

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"cairn/anchor/proof"
	"cairn/store"
	"cairn/store/share"
)

// hoursOf is a gateway with one fridge that sends occupancy as well, for some quarter
// hours, all but the last of them sealed; and the first of them.
func hoursOf(t *testing.T, quarters int) (*gateway, share.Hour) {
	t.Helper()
	g := newGateway(t, 64)
	g.bind(occupancyRules)
	rng := rand.New(rand.NewPCG(5, 5))
	for range quarters * 5 {
		g.send(g.nodes[0], 0, someReading(rng)...)
		g.pass(3 * time.Minute)
	}
	g.sealed()
	first, err := share.HourOf(gatewayStart.UnixMilli())
	if err != nil {
		t.Fatal(err)
	}
	return g, first
}

// hourOfText is the hour of a reading as reads and truth write it: the time comes
// first, in 13 digits.
func hourOfText(t testing.TB, text string) share.Hour {
	t.Helper()
	received, err := strconv.ParseInt(text[:min(13, len(text))], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	h, err := share.HourOf(received)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// without gives what is left of texts of readings and items where some hours have
// lost one class, or all.
func (g *gateway) without(texts map[string]string, before share.Hour, class string) map[string]string {
	left := map[string]string{}
	for id, text := range texts {
		h := hourOfText(g.t, texts[readingOf(id)])
		name, _, item := strings.Cut(text, "=")
		if h < before && (class == "" || item && g.classOf(0, name) == class) {
			continue
		}
		left[id] = text
	}
	return left
}

// prove makes a proof of what a view opens, and holds it against what it opened.
func prove(t *testing.T, v *View, q ProofQuery, readings int) *ViewProof {
	t.Helper()
	p, err := v.Prove(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	if verdict := proof.Verify(p.File, proof.Options{Require: proof.LevelLogged}); verdict.Level < proof.LevelLogged {
		t.Errorf("the proof does not hold: %s", verdict.Reason)
	}
	got := 0
	for _, r := range p.Ranges {
		got += r.Readings
	}
	if got != readings {
		t.Errorf("%d readings are proven, want %d", got, readings)
	}
	return p
}

// TestViewOfShredded: an audience whose bundle is older than a shredding is told
// by which statement its data is there no more, and opens and proves the rest.
func TestViewOfShredded(t *testing.T) {
	g, first := hoursOf(t, 5)
	bundle := g.bundle(g.all())
	all := g.truth(g.all())
	shred := func(before share.Hour, compartments ...string) store.ShredReport {
		t.Helper()
		report, err := g.s.Shred(t.Context(), store.ShredOptions{Compartments: compartments, Before: before, Reason: "a test"})
		if err != nil {
			t.Fatal(err)
		}
		g.pass(time.Minute)
		g.pass(time.Minute)
		return report
	}
	open := func(want map[string]string, before share.Hour, compartment string, statement uint64) *View {
		t.Helper()
		v, err := NewView(g, bundle)
		if err != nil {
			t.Fatal(err)
		}
		got, report := reads(t, v, Query{Live: true})
		sameTexts(t, "after shredding "+compartment, got, want)
		found := false
		for i := range report.Missing {
			m := &report.Missing[i]
			if m.Compartment != compartment {
				continue
			}
			found = true
			if want := fmt.Sprintf("as statement %d says", statement); m.Why != Gone || !strings.Contains(m.Detail, want) || m.Hour != first || m.Until != before || !m.Explained() {
				t.Errorf("after shredding %s: %v, want that it is gone until hour %d, %s", compartment, m, before, want)
			}
		}
		if !found {
			t.Errorf("after shredding %s nothing of it is missing: %v", compartment, report.Missing)
		}
		return v
	}
	count := func(texts map[string]string) (n int) {
		for id := range texts {
			if strings.Count(id, "/") == 1 {
				n++
			}
		}
		return n
	}

	one := shred(first+2, "stream/0/occupancy")
	left := g.without(all, first+2, "occupancy")
	v := open(left, first+2, "stream/0/occupancy", one.Statement)
	prove(t, v, ProofQuery{}, count(all)) // its hashes are there

	two := shred(first+1, "stream/0/envelope", "stream/0/data")
	left = g.without(left, first+1, "")
	v = open(left, first+1, "stream/0/envelope", two.Statement)
	p := prove(t, v, ProofQuery{}, count(left))
	if !p.Ranges[0].Cut && p.Ranges[0].From <= first.Start() {
		t.Errorf("proven from %d on, where nothing is left", p.Ranges[0].From)
	}

	// A bundle of after it has no key of those hours.
	v, err := NewView(g, g.bundle(audience{"ledger": {0, share.Hours - 1}, "stream/0/envelope": {first + 2, share.Hours - 1}, "stream/0/data": {first + 2, share.Hours - 1}}))
	if err != nil {
		t.Fatal(err)
	}
	got, report := reads(t, v, Query{Live: true})
	sameTexts(t, "by a newer bundle", got, g.without(g.without(all, first+2, ""), share.Hours, "occupancy"))
	for _, m := range report.Missing {
		if m.Why != NotGranted {
			t.Errorf("by a newer bundle: %v", &m)
		}
	}
}

// TestViewWithHole: an audience with hours that do not follow one another, as one
// has after its grant ended and another was made, opens both parts, is told of the
// hole, and proves of each that it is complete, but not across the hole.
func TestViewWithHole(t *testing.T) {
	g, first := hoursOf(t, 5)
	hours := func(from, until share.Hour) audience {
		in := [2]share.Hour{from, until}
		return audience{"ledger": in, "stream/0/envelope": in, "stream/0/data": in}
	}
	b := pool(t, g.bundle(hours(first, first+2)), g.bundle(hours(first+3, share.Hours-1)))
	v, err := NewView(g, b)
	if err != nil {
		t.Fatal(err)
	}
	want := g.truth(hours(first, first+2))
	for id, text := range g.truth(hours(first+3, share.Hours-1)) {
		want[id] = text
	}
	got, report := reads(t, v, Query{Live: true})
	sameTexts(t, "with a hole", got, want)
	if len(report.Missing) != 1 || report.Missing[0].Why != NotGranted || report.Missing[0].Hour != first+2 || report.Missing[0].Until != first+3 {
		t.Errorf("got %v missing, want hour %d", report.Missing, first+2)
	}
	inside := func(from, to share.Hour) (n int) {
		for id, text := range want {
			if strings.Count(id, "/") != 1 {
				continue
			}
			if h := hourOfText(t, text); h >= from && h < to {
				n++
			}
		}
		return n
	}
	p := prove(t, v, ProofQuery{}, inside(first, first+2))
	if !p.Ranges[0].Cut || p.Ranges[0].To > (first+2).Start() {
		t.Errorf("a range across the hole: %+v", p.Ranges[0])
	}
	from := (first + 3).Start()
	p = prove(t, v, ProofQuery{From: &from}, inside(first+3, share.Hours))
	if !p.Ranges[0].Cut {
		t.Errorf("a range that begins in the hole is said to be all of it: %+v", p.Ranges[0])
	}
}

// TestViewOfRenewed: a grant that ends within a quarter hour gives none of it, and
// one that is renewed goes on with the next bundle, in the same view, without giving
// a reading twice.
func TestViewOfRenewed(t *testing.T) {
	g, first := hoursOf(t, 5)
	until := func(h share.Hour) *share.Bundle {
		in := [2]share.Hour{first, h}
		return g.bundle(audience{"ledger": in, "stream/0/envelope": in, "stream/0/data": in, "stream/0/occupancy": in})
	}
	v, err := NewView(g, until(first+2))
	if err != nil {
		t.Fatal(err)
	}
	var seen Seen
	all := map[string]string{}
	read := func() *ViewReport {
		t.Helper()
		got, report := reads(t, v, Query{Live: true, Seen: &seen})
		for id, text := range got {
			if all[id] != "" {
				t.Errorf("%s was given twice", id)
			}
			all[id] = text
		}
		return report
	}
	if report := read(); len(report.Missing) != 1 || report.Missing[0].Why != NotGranted || report.Missing[0].Hour != first+2 {
		t.Errorf("of an ended grant got %v missing", report.Missing)
	}
	if want := len(g.without(g.truth(g.all()), 0, "")); len(all) == 0 || len(all) >= want {
		t.Errorf("an ended grant gave %d texts of %d", len(all), want)
	}
	if err := v.Use(until(first + 4)); err != nil {
		t.Fatal(err)
	}
	read()
	if err := v.Use(until(share.Hours - 1)); err != nil {
		t.Fatal(err)
	}
	read()
	sameTexts(t, "renewed twice", all, g.truth(g.all()))
	other := *until(first + 2)
	other.Ledger[0]++
	if err := v.Use(&other); err == nil || errors.Is(err, share.ErrNotGranted) {
		t.Errorf("the bundle of another ledger: %v", err)
	}
}
