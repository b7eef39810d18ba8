package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"cairn/merkle/ledger"
	"cairn/store/share"
)

// sharingOf is what status says of sharing, line by line, and why health is red.
func sharingOf(t *testing.T, l *openLedger) (s sharingStatus, lines, reasons []string) {
	t.Helper()
	s, err := l.sharingStatus(true)
	if err != nil {
		t.Fatal(err)
	}
	s.lines(func(name, format string, v ...any) {
		lines = append(lines, strings.TrimSpace(name+" "+fmt.Sprintf(format, v...)))
	})
	return s, lines, s.reasons(time.Now().Add(2 * escrowRed))
}

// has fails unless one of the lines has all of the words.
func has(t *testing.T, lines []string, words ...string) {
	t.Helper()
	if !slices.ContainsFunc(lines, func(line string) bool {
		return !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(line, w) })
	}) {
		t.Errorf("no line of %q has %q", lines, words)
	}
}

func TestEscrowStatus(t *testing.T) {
	l := escrowLedger(t, "alice", "bob")
	if s, lines, reasons := sharingOf(t, l); s.Escrow != nil || len(lines)+len(reasons) != 0 {
		t.Errorf("before anything is shared: %q, %q", lines, reasons)
	}
	if _, err := l.makeEscrow(t.Context(), escrowRequest{Need: 2}); err != nil {
		t.Fatal(err)
	}
	_, lines, reasons := sharingOf(t, l)
	has(t, lines, "escrow", "2 of 2 certified holders", "1 month")
	if len(reasons) != 0 {
		t.Errorf("red while all is dealt: %q", reasons)
	}
	month, err := share.MonthOf(time.Now().UnixMilli())
	if err != nil {
		t.Fatal(err)
	}

	if _, err := l.endHolder(t.Context(), holderRequest{Name: "bob"}); err != nil {
		t.Fatal(err)
	}
	s, lines, reasons := sharingOf(t, l)
	has(t, lines, month.String(), "holders who have ended", "cairn escrow rotate")
	has(t, reasons, "takes 2 holders and 1 is certified")
	has(t, reasons, "escrowed keys of "+month.String()+" could not be recovered")
	if !slices.Equal(s.Escrow.Ended, s.Escrow.Lost) || len(s.Escrow.Lost) != 1 {
		t.Errorf("got %+v", s.Escrow)
	}

	certify(t, l, "bob") // of another key: the share that was dealt is not this one's
	_, _, reasons = sharingOf(t, l)
	has(t, reasons, "could not be recovered")
	if _, err := l.makeEscrow(t.Context(), escrowRequest{Rotate: true}); err != nil {
		t.Fatal(err)
	}
	if _, _, reasons = sharingOf(t, l); len(reasons) != 0 {
		t.Errorf("red after all was dealt anew: %q", reasons)
	}

	if err := l.keyring.Change(func(e *share.Edit) error { e.AddCompartment("stream/9/data"); return nil }); err != nil {
		t.Fatal(err)
	}
	s, lines, reasons = sharingOf(t, l)
	has(t, lines, "keys of "+month.String()+" are in no file")
	has(t, reasons, "escrow is not complete", month.String())
	if again := s.reasons(time.Now()); len(again) != 0 {
		t.Errorf("red before the service had time to deal: %q", again)
	}
}

func TestGrantsStatus(t *testing.T) {
	l := escrowLedger(t)
	l.g.cfg.Clock = clockTrusted
	l.g.live = &live{started: time.Now().Add(-2 * mirrorQuiet)}
	day := (24 * time.Hour).Milliseconds()
	now := time.Now().UnixMilli()
	at := func(ms int64) *int64 { ms += now; return &ms }
	grant := func(g ledger.Grant) uint64 {
		t.Helper()
		g.Recipients = []string{"age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"}
		g.Compartments, g.Token = []string{ledgerCompartment}, [32]byte{1}
		n, err := l.store.AddStatement(t.Context(), g.Statement(now))
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	soon := grant(ledger.Grant{Audience: "soon", From: now - 9*day, Until: at(3 * day), Access: at(300 * day)})
	grant(ledger.Grant{Audience: "over", From: now - 9*day, Until: at(-day), Access: at(5 * day)})
	grant(ledger.Grant{Audience: "waits", From: now + day})
	m := ledger.Grant{Audience: "regulator", From: now - 9*day, Mirror: true}
	m.Number = grant(m)

	s, lines, reasons := sharingOf(t, l)
	if g := s.Grants; g.InForce != 2 || g.Over != 1 || len(g.Soon) != 2 || g.Behind != 0 {
		t.Errorf("got %+v", g)
	}
	has(t, lines, "grants 2 in force, 1 over; keys given out until 20")
	has(t, lines, fmt.Sprintf("keys of grant %d to soon", soon))
	has(t, lines, "access of grant", "to over")
	has(t, lines, "mirror", "regulator", "has not asked since the service started")
	if len(reasons) != 0 {
		t.Errorf("red: %q", reasons)
	}
	l.watch.visited(&m)
	if s, lines, _ = sharingOf(t, l); len(s.Mirrors) != 1 || s.Mirrors[0].Age > 60 {
		t.Errorf("got %+v", s.Mirrors)
	}
	has(t, lines, "mirror", "regulator", "asked last at")

	late := sharingStatus{Grants: &grantsStatus{InForce: 1, Behind: bundlesRed.Seconds(), Why: "the clock is not known to be right"}}
	has(t, late.reasons(time.Now()), "no keys of the last 2h0m0s", "the clock is not known to be right")

	var texts []string
	l.collectSharing(func(d *prometheus.Desc, v float64, labels ...string) {
		texts = append(texts, fmt.Sprint(d, v, labels))
	})
	has(t, texts, "cairn_grants_in_force", "2 []")
	has(t, texts, "cairn_mirrors_unseen", "0 []")
	for _, text := range texts {
		for _, name := range []string{"soon]", "regulator", "waits"} {
			if strings.Contains(text, name) {
				t.Errorf("a metric names an audience: %s", text)
			}
		}
	}
}
