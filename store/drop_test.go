package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"cairn/ingest/reading"
	"cairn/merkle"
	"cairn/store/share"
)

func TestDrop(t *testing.T) {
	x, n, before := shredSite(t)
	slot := n.binding.Slot
	was := x.query(n.binding.Number)
	gone := func(f *Found) bool { h, _ := share.HourOf(f.Received); return h < before }
	last := uint64(0)
	for i := range was {
		if gone(&was[i]) {
			last = was[i].Sequence
		}
	}
	groups, err := x.s.Groups(t.Context(), 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	for what, o := range map[string]DropOptions{
		"no mirrors": {Before: before},
		"no time":    {Mirrors: []string{"a"}},
	} {
		if _, err := x.s.Drop(t.Context(), o); !errors.Is(err, ErrRefused) {
			t.Errorf("%s: got %v, want %v", what, err, ErrRefused)
		}
	}
	if _, err := x.s.Drop(t.Context(), DropOptions{Before: before + 100, Mirrors: []string{"a"}}); !errors.Is(err, ErrNotSealed) {
		t.Errorf("of hours to come: got %v, want %v", err, ErrNotSealed)
	}
	rep, err := x.s.Drop(t.Context(), DropOptions{Before: before, Next: x.shown(before), Mirrors: []string{"auditor", "regulator"}})
	if err != nil {
		t.Fatal(err)
	}
	if rep.Readings == 0 || rep.Objects == 0 || rep.Bytes == 0 {
		t.Errorf("report %+v", rep)
	}
	look := func() {
		t.Helper()
		if fs := x.check(); fs.Dropped != rep.Readings || fs.Gone != 0 {
			t.Fatalf("fsck says %+v, want %d dropped", fs, rep.Readings)
		}
		left := 0
		for _, f := range x.query(n.binding.Number) {
			if gone(&f) {
				t.Fatalf("reading %d is there", f.Sequence)
			}
			x.proves(slot, f.Sequence)
			left++
		}
		if left < len(was)-int(last)-1 {
			t.Errorf("%d readings are left, want %d", left, len(was)-int(last)-1)
		}
		dropped := func(what string, err error) {
			t.Helper()
			if !errors.Is(err, ErrDropped) || !strings.Contains(fmt.Sprint(err), "auditor, regulator") {
				t.Errorf("%s: got %v, want %v", what, err, ErrDropped)
			}
		}
		_, err := x.s.Evidence(slot, 0)
		dropped("evidence", err)
		dropped("a range", x.s.ShowRange(t.Context(), slot, 0, 3, func(*Shown) error { return nil }))
		if err := x.s.ShowRange(t.Context(), slot, last+1, uint64(len(was)), func(s *Shown) error {
			s.Cover([]int{reading.IndexSequence})
			return nil
		}); err != nil {
			t.Errorf("the range that is left: %v", err)
		}
		for _, ref := range groups {
			if ref.Live {
				continue
			}
			object, err := x.s.GroupObject(t.Context(), ref.First)
			if err != nil || sum(object) != ref.Object {
				t.Fatalf("object of group %d: %v", ref.First, err)
			}
			c, _ := x.s.opt.Keyring.Compartment(share.Ledger)
			k, err := c.Tree.Hour(ref.Hour)
			if err != nil {
				t.Fatal(err)
			}
			g, err := OpenGroup(k, x.s.Ledger(), ref.Hour, ref.First, object)
			if err != nil {
				t.Fatal(err)
			}
			for _, o := range g.Objects {
				b, err := x.s.SealedObject(t.Context(), ref.First, o.Hash)
				switch {
				case ref.Hour < before && (strings.HasPrefix(o.Name, "stream/") || o.Name == "site"):
					dropped(o.Name, err)
				case err != nil || merkle.Hash(sum(b)) != o.Hash:
					t.Errorf("%s of group %d: %v", o.Name, ref.First, err)
				}
			}
		}
		if d, err := x.s.Dropped(); err != nil || d.Before != before || len(d.Mirrors) != 2 {
			t.Errorf("got %+v, %v, want what came before %v, held by two", d, err, before)
		}
	}
	look()
	x.restart()
	look()
	x.sendLine(n)
	x.pass(40 * time.Minute)
	x.seal()
	look()
	if _, err := x.s.Drop(t.Context(), DropOptions{Before: before, Next: x.shown(before), Mirrors: []string{"a"}}); !errors.Is(err, ErrDropped) {
		t.Errorf("again: got %v, want %v", err, ErrDropped)
	}

	// A shredding over it goes on, and so does the next drop.
	x.shred(before, fmt.Sprintf("stream/%d/occupancy", slot))
	x.check()
	more, err := x.s.Drop(t.Context(), DropOptions{Before: before + 1, Next: x.shown(before + 1), Mirrors: []string{"auditor"}})
	if err != nil {
		t.Fatal(err)
	}
	if fs := x.check(); fs.Dropped != rep.Readings+more.Readings {
		t.Errorf("fsck says %d dropped, want %d and %d", fs.Dropped, rep.Readings, more.Readings)
	}
	x.sendLine(n)
	x.pass(40 * time.Minute)
	x.seal()
	x.check()
}

// TestDropStopped: a drop that was stopped once it was stated is gone on with.
func TestDropStopped(t *testing.T) {
	x, n, before := shredSite(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	_, err := x.s.Drop(ctx, DropOptions{Before: before, Next: x.shown(before), Mirrors: []string{"auditor"}, Progress: func(step string) {
		if strings.HasPrefix(step, "delete") {
			cancel()
		}
	}})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v, want %v", err, context.Canceled)
	}
	x.check()
	if _, err := x.s.Evidence(n.binding.Slot, 0); !errors.Is(err, ErrDropped) {
		t.Errorf("got %v, want %v", err, ErrDropped)
	}
	x.restart()
	x.s.shredding.Lock() // the start may be at it
	err = x.s.finishDrop(t.Context())
	x.s.shredding.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	r := x.s.reader()
	defer r.close()
	if d, err := r.drop(); err != nil || !d.Through {
		t.Errorf("it is not through: %+v, %v", d, err)
	}
	x.check()
}

// TestShredAfterStoppedDrop shreds what a drop that stopped has begun to delete.
func TestShredAfterStoppedDrop(t *testing.T) {
	x, n, before := shredSite(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	_, err := x.s.Drop(ctx, DropOptions{Before: before, Next: x.shown(before), Mirrors: []string{"auditor"}, Progress: func(step string) {
		if strings.HasPrefix(step, "delete") {
			cancel()
		}
	}})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v, want %v", err, context.Canceled)
	}
	o := ShredOptions{Before: before}
	for _, c := range x.s.Compartments(n.binding.Slot) {
		o.Compartments = append(o.Compartments, c.Name)
	}
	if _, err := x.s.Shred(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	r := x.s.reader()
	d, err := r.drop()
	r.close()
	if err != nil || !d.Through {
		t.Errorf("the drop is not through: %+v, %v", d, err)
	}
	x.check()
	x.restart()
	x.check()
}

// TestDropOfWhatWasNotShown: a quarter hour that was sealed after the mirrors had been
// asked stays, whatever the time says.
func TestDropOfWhatWasNotShown(t *testing.T) {
	x, n, before := shredSite(t)
	shown := x.shown(before)
	x.pass(15 * time.Minute)
	x.seal()
	if later := x.shown(before + 1); later <= shown {
		t.Fatalf("nothing was sealed meanwhile: batches up to %d, %d before", later, shown)
	}
	was := len(x.query(n.binding.Number))
	for _, next := range []uint64{0, shown - 1, shown} {
		_, err := x.s.Drop(t.Context(), DropOptions{Before: before + 1, Next: next, Mirrors: []string{"auditor"}})
		if !errors.Is(err, ErrRefused) {
			t.Errorf("shown up to batch %d: got %v, want %v", next, err, ErrRefused)
		}
	}
	if got := len(x.query(n.binding.Number)); got != was {
		t.Errorf("%d readings are left, want all %d", got, was)
	}
	if d, err := x.s.Dropped(); err != nil || d.Before != 0 {
		t.Errorf("got %+v, %v, want nothing dropped", d, err)
	}
	x.check()
}

// shown is up to which batch a mirror that has all holds what is sealed before an hour.
func (x *site) shown(before share.Hour) (next uint64) {
	x.t.Helper()
	refs, err := x.s.Groups(context.Background(), 0, 1000)
	if err != nil {
		x.t.Fatal(err)
	}
	for _, r := range refs {
		if !r.Live && r.Hour < before {
			next = r.Next
		}
	}
	return next
}

// TestDropThenClockBack: the clock was ahead when the site dropped. What comes once it is
// put back is of hours before that time, of streams that begin anew, and stays.
func TestDropThenClockBack(t *testing.T) {
	x := newSite(t, 2)
	x.step(3 * 24 * time.Hour)
	x.send(x.nodes...)
	x.pass(16 * time.Minute)
	x.seal()
	before, err := share.HourOf(x.clock.ms())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := x.s.Drop(t.Context(), DropOptions{Before: before, Next: x.shown(before), Mirrors: []string{"auditor"}}); err != nil {
		t.Fatal(err)
	}
	x.step(-3 * 24 * time.Hour)
	again := x.send(x.nodes...)
	x.pass(16 * time.Minute)
	look := func(when string) {
		t.Helper()
		if fs := x.check(); fs.Dropped != 2 || fs.Gone != 0 || fs.Readings != 4 {
			t.Errorf("%s: fsck says %+v", when, fs)
		}
		for i, n := range x.nodes {
			all := x.query(n.binding.Number)
			if len(all) != 1 || all[0].Received != again[i].received {
				t.Errorf("%s: device %d has %d readings, want the one of now", when, n.binding.Number, len(all))
				continue
			}
			x.proves(all[0].Slot, all[0].Sequence)
		}
	}
	look("while it is open")
	x.seal()
	look("sealed")
	refs, err := x.s.Groups(t.Context(), 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	last := refs[len(refs)-1]
	all, err := x.s.GroupObjects(t.Context(), last.First, func(share.Hour, *ObjectRef) bool { return true })
	if err != nil || len(all) == 0 {
		t.Errorf("the newest group's objects: %d, %v", len(all), err)
	}
	x.restart()
	look("after a restart")
}
