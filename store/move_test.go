package store

import (
	"context"
	"errors"
	"reflect"
	"testing"
	"time"

	"cairn/ingest/frame"
	"cairn/ingest/reading"
	"cairn/merkle/ledger"
)

// told lists the kinds of the ledger's statements from number first on.
func (x *site) told(first uint64) (kinds []string, all []ledger.Statement) {
	x.t.Helper()
	for n := first; n < x.s.Statements(); n++ {
		item, _, _, err := x.s.StatementAt(n, x.s.Statements())
		if err != nil {
			x.t.Fatal(err)
		}
		st, err := ledger.ParseStatement(item)
		if err != nil {
			x.t.Fatal(err)
		}
		kinds, all = append(kinds, st.Kind), append(all, st)
	}
	return kinds, all
}

func wantKinds(t *testing.T, got []string, want ...string) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("statements %q, want %q", got, want)
	}
	for i := range got {
		if got[i] != want[i] {
			t.Fatalf("statements %q, want %q", got, want)
		}
	}
}

func TestPlace(t *testing.T) {
	x := newSite(t, 1)
	key := frame.Key{7}
	first := x.s.Statements()
	n, err := x.add(NewDevice{
		ID: frame.ID{0x90, 1}, Name: "fridge", Kind: ledger.BindSecure, Key: &key,
		Place: "canteen", Thing: "walk-in fridge", Labels: []string{"jurisdiction=ch"},
	})
	if err != nil {
		t.Fatal(err)
	}
	kinds, all := x.told(first)
	wantKinds(t, kinds, ledger.KindBind, ledger.KindPlace)
	want := ledger.Placed{Number: 2, Slot: 1, Place: "canteen", Thing: "walk-in fridge"}
	if got, err := ledger.PlacedFrom(all[1]); err != nil || got != want {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	x.send(n)
	x.pass(time.Minute)
	x.restart()
	x.check()
	if got := x.s.Devices()[1]; got.Place != "canteen" || got.Thing != "walk-in fridge" {
		t.Errorf("after a restart: %+v", got)
	}
	if got, err := x.s.Labels(context.Background()); err != nil || len(got[2]) != 1 || got[2][0] != "jurisdiction=ch" {
		t.Errorf("labels %v, %v", got, err)
	}
	x.refusedUnchanged("a place with a newline", ErrRefused, func() error {
		_, err := x.s.AddDevice(context.Background(), NewDevice{ID: frame.ID{9, 9}, Kind: ledger.BindText, Place: "a\nb"})
		return err
	})
}

// TestMove moves a device in the middle of a window: its counters go on, its
// compartments are others, and the old stream ends.
func TestMove(t *testing.T) {
	x := newSite(t, 2)
	ctx := context.Background()
	n := x.nodes[1]
	x.send(x.nodes...)
	old := n.binding
	played := n.arrival(t, 68)
	if got := x.submit(played)[0]; got.err != nil || got.verdict != reading.Authenticated {
		t.Fatalf("before the move: %+v", got)
	}
	first := x.s.Statements()
	b, err := x.s.MoveDevice(ctx, old.Number, Move{Place: "kitchen", Thing: "freezer"})
	if err != nil {
		t.Fatal(err)
	}
	kinds, _ := x.told(first)
	wantKinds(t, kinds, ledger.KindUnbind, ledger.KindBind, ledger.KindPlace)
	if b.Number == old.Number || b.Slot == old.Slot || b.ID != old.ID || b.Place != "kitchen" || b.Thing != "freezer" || b.Closed {
		t.Errorf("moved to %+v", b)
	}
	was := x.s.Devices()[old.Number-1]
	if !was.Closed || was.Until != b.From {
		t.Errorf("the old binding: %+v, want it ended at %d", was, b.From)
	}
	had := map[uint32]bool{}
	for _, c := range x.s.Compartments(old.Slot) {
		had[c.ID] = true
	}
	for _, c := range x.s.Compartments(b.Slot) {
		if had[c.ID] {
			t.Errorf("the new stream has compartment %s of the old one", c.Name)
		}
	}
	x.refusedUnchanged("move to where it is", ErrRefused, func() error {
		_, err := x.s.MoveDevice(ctx, b.Number, Move{Place: "kitchen", Thing: "freezer"})
		return err
	})
	x.refusedUnchanged("move what has moved", ErrUnknown, func() error {
		_, err := x.s.MoveDevice(ctx, old.Number, Move{Place: "hall"})
		return err
	})
	x.restart()
	played.Device, played.Epoch = b.Number, b.Epoch
	if got := x.submit(played)[0]; got.verdict != reading.Replay {
		t.Errorf("a frame of before the move: %+v, want a replay", got)
	}
	n.binding = b
	x.send(n)
	x.pass(time.Minute)
	x.check()
	x.restart()
	x.check()
}

func TestReplaceAndRetire(t *testing.T) {
	x := newSite(t, 1)
	ctx := context.Background()
	add := func(id byte) *node {
		t.Helper()
		key := frame.Key{id}
		n, err := x.add(NewDevice{ID: frame.ID{0x90, id}, Name: "fridge", Kind: ledger.BindSecure, Key: &key, Place: "canteen", Thing: "fridge"})
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	old := add(1)
	x.send(old)
	first := x.s.Statements()
	key := frame.Key{2}
	b, err := x.s.ReplaceDevice(ctx, old.binding.Number, NewDevice{ID: frame.ID{0x90, 2}, Kind: ledger.BindSecure, Key: &key})
	if err != nil {
		t.Fatal(err)
	}
	kinds, all := x.told(first)
	wantKinds(t, kinds, ledger.KindUnbind, ledger.KindBind, ledger.KindPlace, ledger.KindReplace)
	want := ledger.Replacement{Number: 3, Slot: 2, OldNumber: 2, OldSlot: 1}
	if got, err := ledger.ReplacementFrom(all[3]); err != nil || got != want {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	if b.Place != "canteen" || b.Thing != "fridge" || b.Name != "fridge" {
		t.Errorf("the new one is %+v", b)
	}
	x.refusedUnchanged("replace by itself", ErrRefused, func() error {
		_, err := x.s.ReplaceDevice(ctx, b.Number, NewDevice{ID: frame.ID(b.ID), Kind: ledger.BindText})
		return err
	})
	if err := x.s.RetireDevice(ctx, b.Number, "battery"); err != nil {
		t.Fatal(err)
	}
	kinds, _ = x.told(first + 4)
	wantKinds(t, kinds, ledger.KindRetire, ledger.KindUnbind)
	x.restart()
	x.refusedUnchanged("bind a retired device", ErrRefused, func() error {
		_, err := x.s.AddDevice(ctx, NewDevice{ID: frame.ID(b.ID), Kind: ledger.BindText})
		return err
	})
	x.pass(time.Minute)
	x.check()
	if _, err := x.s.MoveDevice(ctx, b.Number, Move{Place: "x"}); !errors.Is(err, ErrUnknown) {
		t.Errorf("move a retired device: %v, want %v", err, ErrUnknown)
	}
}

// TestPlaceAgain holds that streams which begin anew say where they are.
func TestPlaceAgain(t *testing.T) {
	x := newSite(t, 0)
	if _, err := x.add(NewDevice{ID: frame.ID{0x90, 1}, Kind: ledger.BindText, Place: "canteen"}); err != nil {
		t.Fatal(err)
	}
	x.pass(time.Minute)
	first := x.s.Statements()
	x.step(-10 * 24 * time.Hour)
	x.pass(time.Minute)
	kinds, all := x.told(first)
	placed := 0
	for i, k := range kinds {
		if k != ledger.KindPlace {
			continue
		}
		placed++
		if p, err := ledger.PlacedFrom(all[i]); err != nil || p.Slot != 1 || p.Place != "canteen" {
			t.Errorf("got %+v, %v", p, err)
		}
	}
	if placed != 1 {
		t.Errorf("%d places stated anew, want 1: %q", placed, kinds)
	}
	x.check()
}

// TestCalibratedAgain: a calibration belongs to the device. Each stream of it that begins
// says the newest of each field, by whom and when it was, wherever the device goes; that
// of another device in its place does not.
func TestCalibratedAgain(t *testing.T) {
	x := newSite(t, 0)
	ctx := context.Background()
	id := frame.ID{0x90, 1}
	b, err := x.s.AddDevice(ctx, NewDevice{ID: id, Name: "probe", Kind: ledger.BindText, Place: "canteen"})
	if err != nil {
		t.Fatal(err)
	}
	other, err := x.s.AddDevice(ctx, NewDevice{ID: frame.ID{0x90, 2}, Kind: ledger.BindText})
	if err != nil {
		t.Fatal(err)
	}
	state := func(all ...ledger.Calibration) {
		t.Helper()
		for _, k := range all {
			if _, err := x.s.AddStatement(ctx, k.Statement(0)); err != nil {
				t.Fatal(err)
			}
		}
	}
	paper := ledger.Calibration{Number: 1, Slot: 0, By: "Amt", Calibrated: 1, Certificate: &[32]byte{9}}
	humidity := ledger.Calibration{Number: 1, Slot: 0, By: "Eich AG", Calibrated: 2, Field: "H", Offset: "1"}
	newer := ledger.Calibration{Number: 1, Slot: 0, By: "Eich AG", Calibrated: 3, Field: "T", Offset: "-0.25", Certificate: &[32]byte{8}}
	older := ledger.Calibration{Number: 1, Slot: 0, By: "Klein", Calibrated: 2, Field: "T", Offset: "1"}
	state(paper, humidity, newer, older, ledger.Calibration{Number: other.Number, Slot: other.Slot, By: "of others", Calibrated: 9, Field: "T", Offset: "4"})
	// again is what a step says again, of the stream that it begins.
	again := func(what string, number uint32, want []ledger.Calibration, step func() error) {
		t.Helper()
		first, slot := x.s.Statements(), x.s.view.Load().state.Slots
		if err := step(); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		var got []ledger.Calibration
		_, all := x.told(first)
		for _, st := range all {
			if k, err := ledger.CalibrationFrom(st); err == nil && k.By != "of others" {
				got = append(got, k)
			}
		}
		for i := range want {
			want[i].Number, want[i].Slot = number, slot
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: said again: %+v\nwant %+v", what, got, want)
		}
	}
	again("a move", 3, []ledger.Calibration{paper, humidity, newer}, func() error {
		b, err = x.s.MoveDevice(ctx, b.Number, Move{Place: "cellar"})
		return err
	})
	last := ledger.Calibration{Number: b.Number, Slot: b.Slot, By: "Eich AG", Calibrated: 4, Field: "H", Offset: "2"}
	state(last)
	x.restart()
	again("a late stream", 3, []ledger.Calibration{paper, last, newer}, func() error {
		_, err := x.s.OpenLate(ctx, b.Number, nothingWith)
		return err
	})
	again("a late stream of before", 1, []ledger.Calibration{paper, humidity, newer}, func() error {
		_, err := x.s.OpenLate(ctx, 1, nothingWith)
		return err
	})
	again("the same late stream", 1, nil, func() error {
		_, err := x.s.OpenLate(ctx, 1, nothingWith)
		return err
	})
	again("a device that comes back", 4, []ledger.Calibration{paper, last, newer}, func() error {
		if err := x.s.RemoveDevice(ctx, b.Number); err != nil {
			return err
		}
		b, err = x.s.AddDevice(ctx, NewDevice{ID: id, Name: "again", Kind: ledger.BindText})
		return err
	})
	x.pass(time.Minute)
	x.restart()
	first := x.s.Statements()
	x.step(-10 * 24 * time.Hour)
	x.pass(time.Minute)
	found := map[uint64]int{}
	_, all := x.told(first)
	for _, st := range all {
		if k, err := ledger.CalibrationFrom(st); err == nil {
			found[k.Slot]++
		}
	}
	b, _ = x.s.Device(b.Number)
	other, _ = x.s.Device(other.Number)
	if len(found) != 2 || found[b.Slot] != 3 || found[other.Slot] != 1 {
		t.Errorf("streams that begin anew say calibrations %v, want 3 of stream %d and 1 of %d", found, b.Slot, other.Slot)
	}
	again("another device in its place", 0, nil, func() error {
		_, err := x.s.ReplaceDevice(ctx, b.Number, NewDevice{ID: frame.ID{0x90, 3}, Kind: ledger.BindText})
		return err
	})
	x.check()
}
