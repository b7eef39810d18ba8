package store

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"cairn/ingest/frame"
	"cairn/ingest/reading"
	"cairn/merkle/ledger"
	"cairn/store/share"
)

// TestOldKeyring: data that is newer than the keyring is refused by name, and
// opens again with the keyring that it goes with.
func TestOldKeyring(t *testing.T) {
	x := newSite(t, 1)
	x.send(x.nodes...)
	x.close()
	o := x.options()
	o.Keyring = newKeys() // as it was created: the same ledger, none of the streams' keys
	for _, o.ReadOnly = range []bool{false, true} {
		if s, err := Open(o); !errors.Is(err, ErrOldKeyring) {
			t.Errorf("read-only %v: %v, want ErrOldKeyring", o.ReadOnly, err)
			if err == nil {
				s.Close()
			}
		}
	}
	o.ReadOnly = false
	if err := o.Keyring.Change(func(e *share.Edit) error { // compartments, but not the device's key
		e.AddCompartment("stream/0/envelope")
		e.AddCompartment("stream/0/data")
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(o); !errors.Is(err, ErrOldKeyring) {
		t.Errorf("without the device's key: %v, want ErrOldKeyring", err)
	}
	x.open()
	x.send(x.nodes...)
	x.check()
}

// TestOldData: where the data was restored from before a stream began, the next
// stream at its slot has compartments of its own.
func TestOldData(t *testing.T) {
	x := newSite(t, 1)
	x.send(x.nodes...)
	x.close()
	old := vfs.NewMem()
	if ok, err := vfs.Clone(x.fs, old, "db", "db"); err != nil || !ok {
		t.Fatalf("copy: %v, %v", ok, err)
	}
	x.open()
	lost := x.addDevice()
	before := x.s.view.Load().streams[lost.binding.Slot]
	x.close()
	x.fs, x.nodes = old, x.nodes[:1]
	x.open()
	n := x.addDevice()
	in := x.s.view.Load().streams[n.binding.Slot]
	if n.binding.Slot != lost.binding.Slot || in.envelope <= before.classes.list[0].compartment || in.classes.list[0].compartment <= before.classes.list[0].compartment {
		t.Errorf("slot %d has compartments %d and %d; those of the lost stream at slot %d were %d and %d",
			n.binding.Slot, in.envelope, in.classes.list[0].compartment, lost.binding.Slot, before.envelope, before.classes.list[0].compartment)
	}
	x.send(x.nodes...)
	x.pass(time.Minute)
	x.restart()
	x.check()
}

// TestKeyComesBack: a device that is bound again with the key it had goes on
// above its counters, so that what was recorded before is replayed in vain.
func TestKeyComesBack(t *testing.T) {
	x := newSite(t, 1)
	n := x.nodes[0]
	recorded := []Arrival{n.arrival(t, 70), n.arrival(t, 71)}
	x.submit(recorded...)
	key, _ := x.s.DeviceKey(1, 1)
	ctx := context.Background()
	if err := x.s.RemoveDevice(ctx, 1); err != nil {
		t.Fatal(err)
	}
	again, err := x.add(NewDevice{ID: n.id, Name: "elsewhere", Kind: ledger.BindSecure, Key: &key, Floor: 1})
	if err != nil || again.binding.Floor != 1 { // the statement is the next holder's to read: it does not say how much was sent before
		t.Fatalf("%+v, %v: want the floor that was asked for", again.binding, err)
	}
	x.restart()
	for i := range recorded {
		recorded[i].Device = again.binding.Number
	}
	for _, a := range x.submit(recorded...) {
		if a.err != nil || a.verdict != reading.Replay {
			t.Errorf("%v, %v; want a replay", a.verdict, a.err)
		}
	}
	again.counter = n.counter
	x.send(again)
	next := frame.Key{7}
	if again.binding, err = x.s.RotateDevice(ctx, again.binding.Number, &next, 0); err != nil {
		t.Fatal(err)
	}
	if err := x.s.RemoveDevice(ctx, again.binding.Number); err != nil {
		t.Fatal(err)
	}
	x.refusedUnchanged("a key that was rotated out", ErrRefused, func() error {
		_, err := x.add(NewDevice{ID: n.id, Name: "third", Kind: ledger.BindSecure, Key: &key})
		return err
	})
	x.pass(time.Minute)
	x.restart()
	x.check()
}
