package main

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"cairn/ingest/frame"
	"cairn/merkle/ledger"
	"cairn/store"
)

func TestOwners(t *testing.T) {
	a, b := [8]byte{1}, [8]byte{2}
	bind := func(id [8]byte, from int64, closed bool) ledger.Binding {
		return ledger.Binding{ID: id, From: from, Closed: closed}
	}
	for _, tt := range []struct {
		name     string
		bindings [][]ledger.Binding
		owner    map[[8]byte]int
		several  map[[8]byte][]int
	}{
		{"nothing", [][]ledger.Binding{nil, nil}, nil, nil},
		{"each in one", [][]ledger.Binding{{bind(a, 1, false)}, {bind(b, 2, false)}}, map[[8]byte]int{a: 0, b: 1}, nil},
		{"moved", [][]ledger.Binding{{bind(a, 1, true)}, {bind(a, 2, false)}}, map[[8]byte]int{a: 1}, nil},
		{"twice in one", [][]ledger.Binding{{bind(a, 1, false), bind(a, 2, false)}}, map[[8]byte]int{a: 0}, nil},
		{"bound last", [][]ledger.Binding{{bind(a, 1, false)}, {bind(a, 2, false)}}, map[[8]byte]int{a: 1}, map[[8]byte][]int{a: {0, 1}}},
		{"bound first", [][]ledger.Binding{{bind(a, 3, false)}, nil, {bind(a, 2, false)}}, map[[8]byte]int{a: 0}, map[[8]byte][]int{a: {0, 2}}},
		{"in three", [][]ledger.Binding{{bind(a, 3, false)}, {bind(a, 5, false)}, {bind(a, 4, false)}}, map[[8]byte]int{a: 1}, map[[8]byte][]int{a: {0, 1, 2}}},
	} {
		owner, several := owners(tt.bindings)
		if !maps.Equal(owner, tt.owner) || !maps.EqualFunc(several, tt.several, slices.Equal) {
			t.Errorf("%s: got %v and %v, want %v and %v", tt.name, owner, several, tt.owner, tt.several)
		}
	}
}

// Two that add one device to two ledgers at the same moment: one of them is
// refused.
func TestOneLedgerWinsADevice(t *testing.T) {
	g := siteOf(t, false, false)
	for n := range 20 {
		id := frame.ID{9, byte(n)}
		errs := make([]error, len(g.ledgers))
		var adding sync.WaitGroup
		for i, l := range g.ledgers {
			adding.Go(func() { _, errs[i] = addSecure(t, g, l.cfg.Name, id, frame.Key{1}, "node") })
		}
		adding.Wait()
		if (errs[0] == nil) == (errs[1] == nil) {
			t.Fatalf("got %v and %v, want one refused", errs[0], errs[1])
		}
	}
	if got := g.live.registry.Len(); got != 20 {
		t.Errorf("intake knows %d devices, want 20", got)
	}
}

// A key that was rotated out in one ledger does not begin anew in another.
func TestKeysAcrossLedgers(t *testing.T) {
	g := siteOf(t, false, false)
	id, old, next := frame.ID{1, 2}, frame.Key{1}, frame.Key{2}
	if _, err := addSecure(t, g, "l0", id, old, "node"); err != nil {
		t.Fatal(err)
	}
	if _, err := g.ledgers[0].rotateDevice(t.Context(), deviceRequest{Device: "1", Key: strings.Repeat("02", 1) + strings.Repeat("00", 15), Floor: "000000000042"}); err != nil {
		t.Fatal(err)
	}
	if _, err := g.ledgers[0].removeDevice(t.Context(), deviceRequest{Device: "1"}); err != nil {
		t.Fatal(err)
	}
	if _, err := addSecure(t, g, "l1", id, old, "node"); err == nil || !strings.Contains(err.Error(), "has had this key before") {
		t.Errorf("got %v for a key that was rotated out, want it refused", err)
	}
	row, err := addSecure(t, g, "l1", id, next, "node")
	// What the other ledger has used is refused here, and not stated: it would tell
	// who reads this stream how much was sent into that one.
	if err != nil || row.Floor != "000000000000" || row.Note == "" {
		t.Errorf("got %+v, %v, want no floor, and a note", row, err)
	}
	if used, err := g.ledgers[1].usedElsewhere(t.Context(), id, &next, false); err != nil || used != 0x42 {
		t.Errorf("used elsewhere: got %v, %v, want 000000000042", used, err)
	}
}

// All stores are closed, also where one does not close well.
func TestCloseAll(t *testing.T) {
	g := siteOf(t, false, false, false)
	released := false
	g.release = func() { released = true }
	if err := g.ledgers[1].store.Close(); err != nil {
		t.Fatal(err)
	}
	if err := g.close(); !errors.Is(err, store.ErrClosed) || !strings.Contains(err.Error(), "in the ledger l1") {
		t.Errorf("got %v, want the error of l1", err)
	}
	for _, i := range []int{0, 2} {
		if err := g.ledgers[i].store.Close(); !errors.Is(err, store.ErrClosed) {
			t.Errorf("ledger %d: got %v, want it closed already", i, err)
		}
	}
	if !released {
		t.Error("the folder is not given back")
	}
}
