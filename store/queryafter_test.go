package store

import (
	"context"
	"math"
	"slices"
	"testing"
	"time"
)

// TestQueryAfter: a query in pages, of any size, gives what one query gives, with a
// second stream that begins before the first one ends, and names the batches.
func TestQueryAfter(t *testing.T) {
	x := newSite(t, 2)
	n := x.nodes[0]
	for range 5 {
		x.send(n, n)
		x.pass(time.Minute)
	}
	if _, err := x.s.OpenLate(context.Background(), n.binding.Number, nothingWith); err != nil {
		t.Fatal(err)
	}
	x.send(n)
	for i := range int64(3) {
		x.submit(lateRow(n.binding.Number, x.clock.ms()-3_600_000+i, i))
		x.send(n)
	}
	type place struct{ slot, seq, batch uint64 }
	pages := func(size int) (all []place) {
		for after := (*After)(nil); ; {
			page := 0
			if err := x.s.QueryAfter(context.Background(), n.binding.Number, after, 0, math.MaxInt64, func(f *Found) (bool, error) {
				all = append(all, place{f.Slot, f.Sequence, f.Batch})
				after = &After{f.Slot, f.Sequence, f.Received}
				page++
				return page < size, nil
			}); err != nil {
				t.Fatal(err)
			}
			if page < size {
				return all
			}
		}
	}
	want := pages(1000)
	if len(want) < 14 {
		t.Fatalf("%d readings: %v", len(want), want)
	}
	about := func(from, to int64) uint64 {
		n, err := x.s.About(n.binding.Number, from, to)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	if n := about(0, math.MaxInt64); n != uint64(len(want)) {
		t.Errorf("there are about %d readings, want %d", n, len(want))
	}
	for size := 1; size < 16; size++ {
		if got := pages(size); !slices.Equal(got, want) {
			t.Errorf("in pages of %d: %v, want %v", size, got, want)
		}
	}
	x.pass(time.Minute)
	now := x.clock.ms()
	if all, old, none := about(0, now), about(0, now-180_000), about(now+60_000, math.MaxInt64); all != uint64(len(want)) || old == 0 || old >= all || none != 0 {
		t.Errorf("there are about %d readings, %d old ones and %d new ones, of %d", all, old, none, len(want))
	}
	for _, p := range want {
		if batch, _, _, err := x.s.RunOf(p.slot, p.seq); err != nil || batch != p.batch {
			t.Errorf("reading %d/%d is said to be in batch %d, and is in %d, %v", p.slot, p.seq, p.batch, batch, err)
		}
	}
}

// TestReaderOverClosedWindow: whoever reads with what was known before a window closed, and
// a snapshot from after it was sealed, would miss what was in it: such a reader is refused.
func TestReaderOverClosedWindow(t *testing.T) {
	x := newSite(t, 1)
	n := x.nodes[0]
	x.send(n, n)
	before := x.s.view.Load()
	r := x.s.readerOf(before)
	if r == nil {
		t.Fatal("the open window was not closed, and there is no reader")
	}
	r.close()
	x.pass(20 * time.Minute)
	x.send(n)
	x.seal()
	if r := x.s.readerOf(before); r != nil {
		r.close()
		t.Error("a reader looks for commits in a window that was closed and sealed")
	}
	found := 0
	if err := x.s.Query(context.Background(), n.binding.Number, 0, math.MaxInt64, func(*Found) (bool, error) {
		found++
		return true, nil
	}); err != nil || found != 3 {
		t.Errorf("%d readings found of 3, %v", found, err)
	}
	x.close()
}
