package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"cairn/ingest/reading"
	"cairn/merkle"
	"cairn/merkle/ledger"
	"cairn/store/share"
)

// shredSite has sealed quarter hours, the border of the second of which is given,
// with a split stream and a secure one.
func shredSite(t testing.TB) (x *site, n *node, before share.Hour) {
	x, n = splitSite(t)
	before, err := share.HourOf(newClock().ms())
	if err != nil {
		t.Fatal(err)
	}
	for i := range int64(5) {
		x.submit(n.line("a late line", measured("occupancy", i), measured("temperature", 19)))
		x.send(x.nodes[:2]...)
		x.pass(time.Minute)
	}
	return x, n, before + 1
}

func (x *site) sendLine(n *node) {
	x.submit(n.line("a new line", measured("occupancy", 3), measured("temperature", 18)))
}

func (x *site) shred(before share.Hour, compartments ...string) ShredReport {
	x.t.Helper()
	rep, err := x.s.Shred(context.Background(), ShredOptions{Compartments: compartments, Before: before, Reason: "the lease ended", Holders: []string{"mirror-1"}})
	if err != nil {
		x.t.Fatalf("shred %v: %v", compartments, err)
	}
	return rep
}

// objects gives every object of every sealed group that can be made.
func (x *site) sealedObjects() map[merkle.Hash]string {
	x.t.Helper()
	out := map[merkle.Hash]string{}
	refs, err := x.s.Groups(context.Background(), 0, 1000)
	if err != nil {
		x.t.Fatal(err)
	}
	for _, ref := range refs {
		if ref.Live {
			continue
		}
		object, err := x.s.GroupObject(context.Background(), ref.First)
		if err != nil {
			x.t.Fatal(err)
		}
		g, err := OpenGroup(x.keyOf(share.Ledger, ref.Hour), x.s.keys.id, ref.Hour, ref.First, object)
		if err != nil {
			x.t.Fatal(err)
		}
		if err := g.Check(x.headers(ref), x.keyOf(share.Ledger, ref.Hour)); err != nil {
			x.t.Fatal(err)
		}
		out[ref.Object] = "group"
		for _, o := range g.Objects {
			b, err := x.s.SealedObject(context.Background(), ref.First, o.Hash)
			switch {
			case errors.Is(err, ErrShredded):
				out[o.Hash] = "shredded"
			case err != nil:
				x.t.Fatalf("%s of group %d: %v", o.Name, ref.First, err)
			case sum(b) != o.Hash:
				x.t.Fatalf("%s of group %d is another object", o.Name, ref.First)
			default:
				out[o.Hash] = o.Name
			}
		}
	}
	return out
}

// proves checks the evidence of a reading of which something is left.
func (x *site) proves(slot, seq uint64) *Evidence {
	x.t.Helper()
	e, err := x.s.Evidence(slot, seq)
	if err != nil {
		x.t.Fatalf("reading %d of stream %d: %v", seq, slot, err)
	}
	var shown []int
	for i := range e.Items {
		if e.Items[i] == nil {
			continue
		}
		shown = append(shown, i)
		entry := reading.HiddenEntry(e.Items[i], e.Salts[i])
		if merkle.LeafHash(entry[:]) != e.Leaves[i] {
			x.t.Fatalf("reading %d: item %d gives another leaf", seq, i)
		}
	}
	for n := 1; n <= len(shown); n++ {
		hidden := e.Cover(shown[:n])
		root := fold(e, shown[:n], &hidden, 0, e.Width())
		leaf := reading.EntryLeaf(e.Tag, e.Seq, root)
		sum, err := ledger.ParseSummary(e.Summary)
		if err != nil {
			x.t.Fatal(err)
		}
		if err := merkle.VerifyInclusion(leaf, e.Seq-e.First, e.Next-e.First, e.RunPath, sum.Run); err != nil || len(hidden) != 0 {
			x.t.Fatalf("reading %d with %d items shown: %v, %d hashes left", seq, n, err, len(hidden))
		}
	}
	return e
}

func fold(e *Evidence, shown []int, hidden *[]merkle.Hash, begin, width int) merkle.Hash {
	in := slices.ContainsFunc(shown, func(i int) bool { return i >= begin && i < begin+width })
	switch {
	case !in:
		h := (*hidden)[0]
		*hidden = (*hidden)[1:]
		return h
	case width == 1:
		return e.Leaves[begin]
	}
	l := fold(e, shown, hidden, begin, width/2)
	return merkle.NodeHash(l, fold(e, shown, hidden, begin+width/2, width/2))
}

func (x *site) query(device uint32) (out []Found) {
	x.t.Helper()
	if err := x.s.Query(context.Background(), device, 0, 1<<50, func(f *Found) (bool, error) {
		out = append(out, *f)
		return true, nil
	}); err != nil {
		x.t.Fatal(err)
	}
	return out
}

// TestShred: what is left of shredded readings is still shown and proven, and all
// that stands above them is as it was.
func TestShred(t *testing.T) {
	x, n, before := shredSite(t)
	slot := n.binding.Slot
	was, objects := x.query(n.binding.Number), x.sealedObjects()
	if objects[merkle.Hash{}] != "" || len(objects) < 10 {
		t.Fatalf("%d objects", len(objects))
	}
	occupancy, envelope := fmt.Sprintf("stream/%d/occupancy", slot), fmt.Sprintf("stream/%d/envelope", slot)
	rep := x.shred(before, occupancy)
	if rep.Readings == 0 || rep.Objects == 0 || rep.Bytes == 0 {
		t.Errorf("report %+v", rep)
	}
	gone := func(f *Found) bool { h, _ := share.HourOf(f.Received); return h < before }
	look := func() {
		t.Helper()
		fs := x.check()
		if len(fs.Shredded) != 1 || fs.Left != rep.Readings {
			t.Fatalf("fsck says %q, %d of %d", fs.Shredded, fs.Left, rep.Readings)
		}
		now := x.query(n.binding.Number)
		if len(now) < len(was) {
			t.Fatalf("%d readings, want %d", len(now), len(was))
		}
		for i := range was {
			for _, m := range was[i].Measurements {
				have := slices.Contains(now[i].Measurements, m)
				if want := !gone(&was[i]) || m.Name != "occupancy" && m.Name != "co2"; have != want {
					t.Fatalf("reading %d has %s: %v, want %v", i, m.Name, have, want)
				}
			}
			if gone(&was[i]) != slices.Equal(now[i].Shredded, []string{occupancy}) || gone(&was[i]) == now[i].HasFrame {
				t.Fatalf("reading %d: shredded %q, frame %v", i, now[i].Shredded, now[i].HasFrame)
			}
			x.proves(slot, uint64(i))
		}
		for hash, name := range x.sealedObjects() {
			if want, ok := objects[hash]; ok && name != want && !(name == "shredded" && want == occupancy) {
				t.Fatalf("an object of %s is now %s", want, name)
			}
		}
		shown := 0
		if err := x.s.ShowRange(context.Background(), slot, 0, uint64(len(was)), func(s *Shown) error {
			s.Cover([]int{reading.IndexSequence})
			shown++
			return nil
		}); err != nil || shown != len(was) {
			t.Fatalf("range of %d: %v", shown, err)
		}
		x.noneUnder(t)
	}
	look()
	x.restart()
	look()
	x.sendLine(n)
	x.pass(40 * time.Minute)
	x.seal()
	look()

	_, err := x.s.Shred(t.Context(), ShredOptions{Compartments: []string{envelope}, Before: before})
	if !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "class data") {
		t.Errorf("an envelope without its data: %v", err)
	}
	all := []string{envelope, fmt.Sprintf("stream/%d/data", slot), fmt.Sprintf("stream/%d/comfort", slot)}
	x.shred(before, all...)
	whole := func() {
		t.Helper()
		if fs := x.check(); fs.Gone != rep.Readings || fs.Left != 0 || len(fs.Shredded) != 4 {
			t.Fatalf("fsck says %+v", fs)
		}
		for _, f := range x.query(n.binding.Number) {
			if gone(&f) {
				t.Fatalf("reading %d is there", f.Sequence)
			}
			x.proves(slot, f.Sequence)
		}
		if _, err := x.s.Evidence(slot, 0); !errors.Is(err, ErrShredded) {
			t.Errorf("evidence of a shredded reading: %v", err)
		}
		if err := x.s.ShowRange(t.Context(), slot, 0, 5, func(*Shown) error { return nil }); !errors.Is(err, ErrShredded) {
			t.Errorf("a range of shredded readings: %v", err)
		}
		if _, err := x.s.SummaryAt(slot, 3); !errors.Is(err, ErrShredded) {
			t.Errorf("a summary of a shredded envelope: %v", err)
		}
		x.proves(x.nodes[0].binding.Slot, 0)
		for hash, name := range x.sealedObjects() {
			if want, ok := objects[hash]; ok && name != want && !(name == "shredded" && strings.HasPrefix(want, fmt.Sprintf("stream/%d/", slot))) {
				t.Fatalf("an object of %s is now %s", want, name)
			}
		}
		x.noneUnder(t)
	}
	whole()
	x.restart()
	whole()
	x.sendLine(n)
	x.pass(40 * time.Minute)
	x.seal()
	whole()
}

// noneUnder makes sure that no row is under an earlier local key and nothing of a
// shredding is left to be done.
func (x *site) noneUnder(t *testing.T) {
	t.Helper()
	if n := len(x.keys.LocalKeys()); n != 1 {
		t.Errorf("%d local keys", n)
	}
	if z, err := x.s.pendingShred(); z != nil || err != nil {
		t.Errorf("a shredding is not through: %v, %v", z, err)
	}
	if err := each(x.s.db, nil, nil, func(key, val []byte) (bool, error) {
		if bytesOf := "SsdyKxXz"; strings.IndexByte(bytesOf, key[32]) >= 0 {
			if _, err := x.s.local.open(key, val[1:]); err != nil {
				t.Errorf("row %c: %v", key[32], err)
			}
		}
		return true, nil
	}); err != nil {
		t.Fatal(err)
	}
}

// TestShredRefuses: what cannot be shredded is named, and nothing changes.
func TestShredRefuses(t *testing.T) {
	x, n, before := shredSite(t)
	data := fmt.Sprintf("stream/%d/data", n.binding.Slot)
	for _, c := range []struct {
		o    ShredOptions
		want error
		text string
	}{
		{ShredOptions{Before: before}, ErrRefused, "no compartment"},
		{ShredOptions{Compartments: []string{data}}, ErrRefused, "no time"},
		{ShredOptions{Compartments: []string{"ledger"}, Before: before}, ErrRefused, "ledger"},
		{ShredOptions{Compartments: []string{"site"}, Before: before}, ErrRefused, "site"},
		{ShredOptions{Compartments: []string{Statements}, Before: before}, ErrRefused, Statements},
		{ShredOptions{Compartments: []string{"stream/99/data"}, Before: before}, ErrRefused, "stream/99"},
		{ShredOptions{Compartments: []string{fmt.Sprintf("stream/%d/envelope", n.binding.Slot)}, Before: before}, ErrRefused, "envelope"},
		{ShredOptions{Compartments: []string{data}, Before: before + 100}, ErrNotSealed, ""},
	} {
		if _, err := x.s.Shred(t.Context(), c.o); !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%+v: %v, want %v", c.o, err, c.want)
		}
	}
	if x.s.Dead() != nil || len(x.s.Shredded()) != 0 {
		t.Error("something changed")
	}
	x.shred(before, data)
	if _, err := x.s.Shred(t.Context(), ShredOptions{Compartments: []string{data}, Before: before}); !errors.Is(err, ErrRefused) {
		t.Errorf("again: %v", err)
	}
	x.check()
}

// TestShredRefusesOldStreams: streams of before compartments were set apart are
// refused by name and nothing changes, whatever else is named with them; what the
// refusal advises works.
func TestShredRefusesOldStreams(t *testing.T) {
	for _, f := range formats {
		t.Run(filepath.Base(f.dir), func(t *testing.T) {
			x := f.open(t)
			was := readFile(t, "keyring.cairn")
			before, err := share.HourOf(newClock().ms())
			if err != nil {
				t.Fatal(err)
			}
			before++
			old := x.query(1)
			if len(old) == 0 {
				t.Fatal("the device has no readings")
			}
			for _, names := range [][]string{
				{"stream/0/data"}, {"stream/0/envelope"}, {"stream/0/envelope", "stream/0/data"}, {"stream/1/data", "stream/0/data"},
			} {
				_, err := x.s.Shred(t.Context(), ShredOptions{Compartments: names, Before: before})
				if !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), names[0]+": its stream began before compartments were set apart") {
					t.Errorf("%q: %v, want ErrRefused with the name", names, err)
				}
			}
			if !bytes.Equal(readFile(t, "keyring.cairn"), was) || len(x.s.Shredded()) != 0 || x.s.Dead() != nil {
				t.Error("something changed")
			}
			x.check()

			// A stream that begins now has compartments of its own.
			if err := x.s.RemoveDevice(t.Context(), 1); err != nil {
				t.Fatal(err)
			}
			n := x.addSplit("again", Rule{"occupancy", []string{"occupancy"}})
			x.submit(n.line("a line", measured("occupancy", 1), measured("temperature", 20)))
			x.pass(40 * time.Minute)
			x.seal()
			if before, err = share.HourOf(x.clock.ms()); err != nil {
				t.Fatal(err)
			}
			x.shred(before-1, targets(n, true)...)
			if rep := x.check(); rep.Gone != 1 {
				t.Errorf("fsck says that %d readings are gone, want 1", rep.Gone)
			}
			if now := x.query(1); len(now) != len(old) {
				t.Errorf("%d readings of the old stream, want %d", len(now), len(old))
			}
		})
	}
}

// A check that keys and rows are taken away under begins anew, and finds nothing.
func TestFsckBesideShredding(t *testing.T) {
	x, _, before := shredSite(t)
	passes, last := 0, uint64(1)
	rep, err := x.s.Fsck(context.Background(), FsckOptions{Progress: func(done, _ uint64) {
		if done <= last {
			if passes++; passes == 1 {
				x.shred(before, "stream/2/occupancy")
			}
		}
		last = done
	}})
	if err != nil || !rep.OK() || len(rep.Shredded) != 1 || rep.Left == 0 {
		t.Errorf("%+v, %v", rep, err)
	}
	if want := x.check(); rep.Readings != want.Readings || rep.Batches != want.Batches || passes < 2 {
		t.Errorf("%d readings of %d batches in pass %d, want %d of %d", rep.Readings, rep.Batches, passes, want.Readings, want.Batches)
	}

	// While one is under way a check waits for it, and no longer than it is asked to.
	x.s.shredding.Lock()
	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	if _, err := x.s.Fsck(ctx, FsckOptions{}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("beside a shredding: %v", err)
	}
	x.s.shredding.Unlock()
}
