package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"cairn/ingest/frame"
	"cairn/merkle/ledger"
	"cairn/store"
	"cairn/store/share"
)

// escrowLedger opens a ledger without routes and certifies holders.
func escrowLedger(t *testing.T, names ...string) *openLedger {
	t.Helper()
	cfg := &LedgerConfig{Name: siteLedger, Dir: t.TempDir()}
	l := &openLedger{g: &gateway{cfg: &Config{Clock: clockTrusted, Ledgers: []LedgerConfig{*cfg}}}, cfg: cfg, log: slog.New(slog.DiscardHandler), keyring: share.Memory()}
	var err error
	if l.store, err = store.Open(store.Options{Dir: cfg.path(dataDir), Keyring: l.keyring}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.store.Close(); err != nil {
			t.Error(err)
		}
	})
	for _, name := range names {
		certify(t, l, name)
	}
	return l
}

func certify(t *testing.T, l *openLedger, name string) *share.HolderKey {
	t.Helper()
	return certifyAs(t, l, name, ledger.HolderEscrow)
}

func certifyAs(t *testing.T, l *openLedger, name, kind string) *share.HolderKey {
	t.Helper()
	k, err := share.NewHolderKey()
	if err != nil {
		t.Fatal(err)
	}
	card, err := k.Card(name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.addHolder(t.Context(), holderRequest{Card: card, Kind: kind}); err != nil {
		t.Fatal(err)
	}
	return k
}

// states lists the files of the newest month, in order, as part:state.
func states(t *testing.T, l *openLedger) []string {
	t.Helper()
	a, err := l.listEscrow(t.Context(), nothing{})
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, f := range a.Files {
		out = append(out, fmt.Sprintf("%d:%s", f.Part, f.State))
	}
	return append(out, a.Lacking...)
}

func wantStates(t *testing.T, l *openLedger, when string, want ...string) {
	t.Helper()
	if got := states(t, l); !slices.Equal(got, want) {
		t.Errorf("%s: got %v, want %v", when, got, want)
	}
	// What is known follows from statements and folder alone.
	l.escrow.mu.Lock()
	l.escrow.next, l.escrow.known, l.escrow.show, l.escrow.read = 0, escrowKnown{}, nil, nil
	l.escrow.mu.Unlock()
	if got := states(t, l); !slices.Equal(got, want) {
		t.Errorf("%s, after a restart: got %v, want %v", when, got, want)
	}
}

func TestEscrowContinues(t *testing.T) {
	l := escrowLedger(t, "alice", "bob")
	step := func(when string, want ...string) {
		t.Helper()
		if err := l.continueEscrow(t.Context()); err != nil {
			t.Errorf("%s: %v", when, err)
		}
		wantStates(t, l, when, want...)
	}
	step("before it begins")
	if _, err := l.makeEscrow(t.Context(), escrowRequest{Need: 2}); err != nil {
		t.Fatal(err)
	}
	now, err := share.MonthOf(time.Now().UnixMilli())
	if err != nil {
		t.Fatal(err)
	}
	wantStates(t, l, "begun", "0:current")

	add := func(id byte) {
		t.Helper()
		_, err := l.store.AddDevice(t.Context(), store.NewDevice{ID: frame.ID{0x80, id}, Name: fmt.Sprint("d", id), Kind: ledger.BindText})
		if err != nil {
			t.Fatal(err)
		}
	}
	add(1)
	wantStates(t, l, "a device comes", "0:current", now.String())
	step("a device came", "0:current", "1:current")
	step("nothing is new", "0:current", "1:current")

	// A file without a statement is what a crash leaves: it counts for nothing.
	path := func(part uint32) string { return l.cfg.path(filepath.Join(escrowDir, escrowName(now, part))) }
	if err := os.WriteFile(path(2), []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	add(2)
	step("after a crash", "0:current", "1:current", "2:current")

	// A damaged file, and one that is lost, are dealt anew.
	if err := os.WriteFile(path(1), []byte("other"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path(2)); err != nil {
		t.Fatal(err)
	}
	step("damage", "0:current", "1:damaged", "2:gone", "3:current")

	// Shredded keys go from the files too.
	err = l.keyring.Change(func(e *share.Edit) error { e.Puncture(share.Site, now.From()+1); return nil })
	if err != nil {
		t.Fatal(err)
	}
	wantStates(t, l, "shredded", "0:stale", "1:damaged", "2:gone", "3:current", now.String())
	step("shredded and dealt anew", "0:gone", "1:damaged", "2:gone", "3:current", "4:current")
	if _, err := os.Stat(path(0)); err == nil {
		t.Error("a file with shredded keys is still there")
	}

	// Too few holders: nothing is dealt, and it is said.
	if _, err := l.endHolder(t.Context(), holderRequest{Name: "bob"}); err != nil {
		t.Fatal(err)
	}
	add(3)
	if err := l.continueEscrow(t.Context()); err == nil {
		t.Error("dealt to one holder of two")
	}
	certify(t, l, "carol")
	if _, err := l.makeEscrow(t.Context(), escrowRequest{Rotate: true}); err != nil {
		t.Fatal(err)
	}
	wantStates(t, l, "rotated", "0:gone", "1:damaged", "2:gone", "3:gone", "4:gone", "5:current")
	held, err := l.escrowHolders(time.Now().UnixMilli())
	if want := []string{"alice", "bob", "carol"}; err != nil || !slices.Equal(held, want) {
		t.Errorf("who was dealt keys: got %v, %v, want %v", held, err, want)
	}
	if held, err = l.escrowHolders(now.From().Start()); err != nil || len(held) != 0 {
		t.Errorf("who was dealt keys of before this month: got %v, %v", held, err)
	}
}

// TestEscrowRecovers opens what was dealt by a running ledger, and finds the
// statements that a bundle shows.
func TestEscrowRecovers(t *testing.T) {
	l := escrowLedger(t)
	alice := certify(t, l, "alice")
	if _, err := l.store.AddDevice(t.Context(), store.NewDevice{ID: frame.ID{0x80, 1}, Name: "d", Kind: ledger.BindText}); err != nil {
		t.Fatal(err)
	}
	a, err := l.makeEscrow(t.Context(), escrowRequest{Need: 1})
	if err != nil || len(a.Made) != 1 {
		t.Fatalf("got %+v, %v", a, err)
	}
	e, err := share.ReadEscrow(l.cfg.path(a.Made[0].File))
	if err != nil {
		t.Fatal(err)
	}
	got := share.Recover([]*share.Escrow{e}, nil, alice.Identity())[0]
	if got.Err != nil {
		t.Fatal(got.Err)
	}
	b, err := share.RecoveredBundle([]*share.EscrowKeys{got.Keys}, time.Now().UnixMilli())
	if err != nil {
		t.Fatal(err)
	}
	if b.Ledger != [32]byte(l.store.Ledger()) || len(b.Compartments) != len(l.keyring.Compartments()) {
		t.Errorf("got ledger %x, %d compartments", b.Ledger, len(b.Compartments))
	}
	kinds := []string{}
	for _, s := range b.Statements {
		x, err := ledger.ParseStatement(s.Item)
		if err != nil {
			t.Fatal(err)
		}
		kinds = append(kinds, x.Kind)
	}
	if want := []string{ledger.KindGenesis, ledger.KindBind}; !slices.Equal(kinds, want) {
		t.Errorf("got statements %v, want %v", kinds, want)
	}
	hour, _ := share.HourOf(time.Now().UnixMilli())
	for _, c := range l.keyring.Compartments() {
		want, _ := c.Tree.Hour(hour)
		if key, err := b.Key(c.ID, hour); err != nil || key != want {
			t.Errorf("compartment %s: %v, or another key", c.Name, err)
		}
	}
}

func TestEscrowActive(t *testing.T) {
	at := func(text string) int64 {
		when, err := time.Parse(time.DateOnly, text)
		if err != nil {
			t.Fatal(err)
		}
		return when.UnixMilli()
	}
	k := escrowKnown{bound: map[uint64]boundSpan{
		1: {from: at("2026-03-31")}, 2: {from: at("2026-03-31"), until: at("2026-05-01")}, 3: {from: at("2031-01-01"), until: at("2026-05-01")},
	}}
	for _, c := range []struct {
		name, months string // months in which it is active, of 02 to 06
	}{
		{"site", "23456"}, {"stream/1/envelope", "3456"}, {"stream/2/data", "345"}, {"stream/3/data", "23456"}, {"stream/4/data", "23456"},
		{"stream/x", "23456"},
	} {
		got := ""
		for i := 2; i <= 6; i++ {
			m, _ := share.ParseMonth(fmt.Sprintf("2026-%02d", i))
			if k.active(c.name, m) {
				got += fmt.Sprint(i)
			}
		}
		if got != c.months {
			t.Errorf("%s: active in %s, want %s", c.name, got, c.months)
		}
	}
}

func TestEscrowDue(t *testing.T) {
	start := time.Unix(1_800_000_000, 0)
	var w escrowWatch
	mark := escrowMark{month: 600, compartments: 3, statements: 1}
	for _, c := range []struct {
		name string
		at   time.Duration
		with func()
		due  bool
	}{
		{"start", 0, nil, false},
		{"after a moment", escrowQuiet, nil, true},
		{"nothing new", escrowQuiet + escrowPoll, nil, false},
		{"a device", time.Minute, func() { mark.compartments += 2 }, false},
		{"another one", time.Minute + escrowPoll, func() { mark.compartments += 2; mark.statements++ }, false},
		{"not long ago", time.Minute + escrowQuiet, nil, false},
		{"both", time.Minute + escrowPoll + escrowQuiet, nil, true},
		{"a month", 2 * time.Minute, func() { mark.month++ }, true},
		{"nothing", 3 * time.Minute, nil, false},
		{"long after", 2*time.Minute + escrowLook, nil, true},
	} {
		if c.with != nil {
			c.with()
		}
		if got := w.due(mark, start.Add(c.at)); got != c.due {
			t.Errorf("%s: got %v, want %v", c.name, got, c.due)
		}
	}
}

func TestEscrowConfirm(t *testing.T) {
	l := escrowLedger(t)
	alice, bob := certify(t, l, "alice"), certify(t, l, "bob")
	hour := int64(1_798_761_600_000)
	d := ledger.Shred{Compartments: []string{"site"}, Before: hour, Holders: []string{"alice", "bob"}, Reason: "retention"}
	number, err := l.store.AddStatement(t.Context(), d.Statement(0))
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now().Truncate(time.Second).UnixMilli()
	good := share.Destroyed{Ledger: [32]byte(l.store.Ledger()), Holder: "alice", Before: hour, At: now}
	for _, c := range []struct {
		name string
		by   *share.HolderKey
		with func(d *share.Destroyed)
		open []string // nil: refused
	}{
		{"another ledger", alice, func(d *share.Destroyed) { d.Ledger[0]++ }, nil},
		{"another's key", bob, func(*share.Destroyed) {}, nil},
		{"nobody", alice, func(d *share.Destroyed) { d.Holder = "carol" }, nil},
		{"not as far", alice, func(d *share.Destroyed) { d.Before -= 900_000 }, nil},
		{"of before", alice, func(d *share.Destroyed) { d.At -= 1000 }, nil},
		{"good", alice, func(*share.Destroyed) {}, []string{"bob"}},
		{"again", alice, func(*share.Destroyed) {}, nil},
		{"the other", bob, func(d *share.Destroyed) { d.Holder = "bob"; d.Before += 1000 }, []string{}},
	} {
		said := good
		c.with(&said)
		file, err := c.by.Confirm(&said)
		if err != nil {
			t.Fatal(err)
		}
		a, err := l.confirmDestroyed(t.Context(), confirmRequest{File: file})
		switch {
		case c.open == nil && err == nil:
			t.Errorf("%s: recorded: %+v", c.name, a)
		case c.open != nil && (err != nil || len(a.Shreds) != 1 || a.Shreds[0].Shred != number || !slices.Equal(a.Shreds[0].Open, c.open)):
			t.Errorf("%s: got %+v, %v, want open %v", c.name, a, err, c.open)
		}
	}
	l.escrow.next, l.escrow.known = 0, escrowKnown{}
	if err := l.refreshEscrow(); err != nil {
		t.Fatal(err)
	}
	if s := l.escrow.known.shreds; len(s) != 1 || len(s[0].open()) != 0 {
		t.Errorf("read again: %+v", s)
	}
}

// TestUnsureClock: a clock that is not known to be right deals no month that the ledger
// has not reached, and drops nothing that it alone takes for old.
func TestUnsureClock(t *testing.T) {
	l := escrowLedger(t, "alice", "bob")
	next := time.Now().AddDate(0, 2, 0)
	month, err := share.MonthOf(next.UnixMilli())
	if err != nil {
		t.Fatal(err)
	}
	if m, begun, err := l.escrowMonth(next); m != month || !begun || err != nil {
		t.Errorf("a trusted clock: got %v, %v, %v, want %v", m, begun, err, month)
	}
	l.g.cfg.DropAfter = 48 * time.Hour
	if due, err := l.dueBefore(next); err != nil || due.After(next.Add(-48*time.Hour)) || due.Before(next.Add(-72*time.Hour)) {
		t.Errorf("a trusted clock: what came before %v is due to be dropped at %v, %v", due, next, err)
	}
	l.g.cfg.Clock = clockAuto
	if l.g.cfg.clock().String() == "synced" {
		t.Log("this machine's kernel keeps its clock right")
		return
	}
	if m, begun, err := l.escrowMonth(next); begun || err != nil {
		t.Errorf("a clock that is not known to be right: got %v, %v, %v", m, begun, err)
	}
	if due, err := l.dueBefore(next); !due.IsZero() || err != nil {
		t.Errorf("a clock that is not known to be right: what came before %v is due to be dropped, %v", due, err)
	}
	if _, err := l.makeEscrow(t.Context(), escrowRequest{Need: 2}); !errors.Is(err, errClockUnsure) {
		t.Errorf("asked to deal: got %v, want %v", err, errClockUnsure)
	}
	wantStates(t, l, "nothing is dealt")
}
