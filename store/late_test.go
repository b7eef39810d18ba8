package store

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"cairn/ingest/reading"
	"cairn/merkle/ledger"
)

// lateRow is a line of a logger's file, measured some hours ago.
func lateRow(device uint32, measured int64, sixteenths int64) Arrival {
	return Arrival{
		Device: device, Verdict: reading.Vouched, Transport: reading.TransportCSV, Late: true, Measured: measured, HasMeasured: true,
		Wire:         fmt.Appendf(nil, "%d,%d", measured, sixteenths),
		Measurements: []reading.Measurement{{Name: "T", Unit: "Cel", Value: reading.Decimal(sixteenths*625, -4)}},
	}
}

func nothingWith(ledger.Binding) []ledger.Statement { return nil }

// late opens the late stream of any device and imports into it.
func (w *world) late(ctx context.Context) error {
	number := 1 + w.rng.Uint32N(uint32(len(w.s.Devices())))
	if _, err := w.s.OpenLate(ctx, number, nothingWith); err != nil {
		return err
	}
	var all []Arrival
	for range 1 + w.rng.IntN(30) {
		all = append(all, lateRow(number, w.clock.ms()-w.rng.Int64N(1e9), w.rng.Int64N(1000)))
	}
	w.deliver(all...)
	return nil
}

func (x *site) wait(err error) {
	x.t.Helper()
	if err != nil {
		x.t.Fatal(err)
	}
}

// TestLate gives two devices, of which one is gone, what their loggers had kept: it is
// numbered in streams of their own, proven as any other reading, and changes nothing of
// what the devices send.
func TestLate(t *testing.T) {
	x := newSite(t, 2)
	ctx := context.Background()
	before := x.clock.ms() - time.Hour.Milliseconds()
	x.send(x.nodes...)
	x.wait(x.s.RemoveDevice(ctx, 2))
	x.refusedUnchanged("a late stream of nobody", ErrUnknown, func() error { _, err := x.s.OpenLate(ctx, 9, nothingWith); return err })
	x.refusedUnchanged("a late stream with a bad statement", ErrRefused, func() error {
		_, err := x.s.OpenLate(ctx, 1, func(ledger.Binding) []ledger.Statement { return []ledger.Statement{{Kind: "Not A Word"}} })
		return err
	})
	if got := x.submit(lateRow(1, before, 60))[0]; !errors.Is(got.err, ErrRefused) {
		t.Fatalf("late, with no stream for it: %+v", got)
	}
	first := x.s.Statements()
	for number := uint32(1); number <= 2; number++ {
		slot, err := x.s.OpenLate(ctx, number, func(b ledger.Binding) []ledger.Statement {
			return []ledger.Statement{ledger.Attachment{Number: b.Number, Slot: b.Slot, What: ledger.AttachData, Name: "may.csv", Digest: [32]byte{byte(number)}}.Statement(0)}
		})
		if want := uint64(1 + number); err != nil || slot != want {
			t.Fatalf("late stream of device %d: %d, %v, want %d", number, slot, err, want)
		}
		if again, err := x.s.OpenLate(ctx, number, nothingWith); err != nil || again != slot {
			t.Fatalf("late stream of device %d, asked for again: %d, %v, want %d", number, again, err, slot)
		}
	}
	kinds, said := x.told(first)
	wantKinds(t, kinds, ledger.KindBind, ledger.KindAttach, ledger.KindBind, ledger.KindAttach)
	if b, err := ledger.BindingFrom(said[2]); err != nil || b.Kind != ledger.BindLate || b.Number != 2 || b.Slot != 3 || b.ID != [8]byte(x.nodes[1].id) {
		t.Fatalf("binding of a late stream: %+v, %v", b, err)
	}
	for i := range int64(100) {
		number := uint32(1 + i%2)
		got := x.submit(lateRow(number, before+i*1000, 60+i))[0]
		if got.err != nil || got.slot != uint64(1+number) || got.seq != uint64(i/2) || got.received != x.clock.ms() {
			t.Fatalf("late reading %d: %+v", i, got)
		}
		if i%10 == 0 {
			x.send(x.nodes[0])
			x.pass(20 * time.Second)
		}
		if i == 50 {
			x.restart()
		}
	}
	no := lateRow(1, 0, 60)
	no.HasMeasured = false
	if got := x.submit(no)[0]; !errors.Is(got.err, ErrRefused) {
		t.Errorf("late, and nobody says when it was measured: %+v", got)
	}
	x.pass(time.Minute)
	x.check()
	x.seal()
	x.check()
	x.restart()
	if _, _, streams, late := x.count(1); streams != 2 || late != 50 {
		t.Errorf("device 1 has %d late readings in %d streams, want 50 in 2", late, streams)
	}
	for _, seq := range []uint64{0, 17, 49} {
		e, err := x.s.Evidence(2, seq)
		x.wait(err)
		verify(t, x, e)
		if want := before + int64(2*seq)*1000; !e.Reading.HasMeasured || e.Reading.Measured != want || e.Reading.Origin.Transport != reading.TransportCSV {
			t.Errorf("late reading %d was measured at %d, want %d: %+v", seq, e.Reading.Measured, want, e.Reading)
		}
		if want := fmt.Sprintf("%d,%d", e.Reading.Measured, 60+2*int64(seq)); string(e.Frame) != want {
			t.Errorf("late reading %d is of the line %q, want %q", seq, e.Frame, want)
		}
	}
	x.wait(x.s.CloseLate(ctx, 2))
	x.refusedUnchanged("a late stream that is closed already", ErrUnknown, func() error { return x.s.CloseLate(ctx, 2) })
	x.pass(time.Minute)
	if all := x.s.Streams(2); len(all) != 2 || !all[1].Closed || !all[1].Late || all[0].Late {
		t.Errorf("streams of device 2: %+v", all)
	}
	if slot, err := x.s.OpenLate(ctx, 2, nothingWith); err != nil || slot != 4 {
		t.Errorf("another late stream: %d, %v, want 4", slot, err)
	}
	x.send(x.nodes[0])
	x.check()
}

// count says how many readings, late ones and streams of them there are of a device.
func (x *site) count(device uint32) (all, live, streams, late int) {
	x.t.Helper()
	slots := map[uint64]bool{}
	x.wait(x.s.Query(context.Background(), device, 0, x.clock.ms()+1, func(f *Found) (bool, error) {
		slots[f.Slot] = true
		all++
		if f.Late {
			late++
		} else {
			live++
		}
		return true, nil
	}))
	return all, live, len(slots), late
}

// TestLateOfAWrongFuture: a clock that is put back ends late streams with all others.
func TestLateOfAWrongFuture(t *testing.T) {
	x := newSite(t, 1)
	x.send(x.nodes[0])
	_, err := x.s.OpenLate(context.Background(), 1, nothingWith)
	x.wait(err)
	x.clock.step(80 * 24 * time.Hour)
	x.sync()
	x.send(x.nodes[0])
	x.clock.step(-80 * 24 * time.Hour)
	x.pass(time.Minute)
	if got := x.submit(lateRow(1, x.clock.ms()-1000, 60))[0]; !errors.Is(got.err, ErrRefused) {
		t.Errorf("late, into a stream that has ended: %+v", got)
	}
	slot, err := x.s.OpenLate(context.Background(), 1, nothingWith)
	x.wait(err)
	if got := x.submit(lateRow(1, x.clock.ms()-1000, 60))[0]; got.err != nil || got.slot != slot {
		t.Errorf("late reading: %+v, want it in stream %d", got, slot)
	}
	x.restart()
	x.check()
}

// TestLateAfterShredding: late readings are shredded by the time at which they came, and
// what a device sent is forgotten as if there were no late stream beside it.
func TestLateAfterShredding(t *testing.T) {
	ctx := context.Background()
	remembered := func(late bool) int {
		x, _, before := shredSite(t)
		if late {
			_, err := x.s.OpenLate(ctx, 1, nothingWith)
			x.wait(err)
			for i := range int64(40) {
				x.submit(lateRow(1, x.clock.ms()-i, i))
			}
		}
		x.pass(20 * time.Minute)
		x.seal()
		x.shred(before, "stream/0/envelope", "stream/0/data")
		x.check()
		if late {
			if _, _, _, left := x.count(1); left != 40 {
				t.Errorf("%d late readings are left, want 40", left)
			}
			x.shred(x.s.view.Load().state.Open.hour(), "stream/3/envelope", "stream/3/data")
			x.restart()
			x.check()
			if _, _, _, left := x.count(1); left != 0 {
				t.Errorf("%d late readings are left after they were shredded", left)
			}
		}
		return len(x.s.com.devices[1].recent)
	}
	if with, without := remembered(true), remembered(false); with != without {
		t.Errorf("%d frames are remembered with a late stream, %d without", with, without)
	}
}
