package store

import (
	"context"
	"fmt"
	"testing"
	"time"
)

// play lets windows pass in the committer itself, so that years of them take
// minutes: in each it commits what send gives and closes the window.
func (x *site) play(windows int, send func(w int) []Arrival) {
	x.t.Helper()
	const quarter = 15
	for w := 0; w < windows; w += quarter {
		if err := x.s.do(context.Background(), func() error {
			for i := w; i < min(w+quarter, windows); i++ {
				if all := send(i); len(all) > 0 {
					x.s.com.commit(all)
				}
				x.clock.add(time.Minute)
				x.s.com.tick()
			}
			return x.s.Dead()
		}); err != nil {
			x.t.Fatal(err)
		}
		x.seal()
	}
	x.sync()
}

// busySite has 20 devices: one that sends twice in each window, one that sends
// once an hour, and others that never do.
func busySite(t testing.TB, windows int) *site {
	x := newSite(t, 20)
	x.play(windows, func(w int) []Arrival {
		all := []Arrival{x.nodes[0].arrival(t, 60+w%40), x.nodes[0].arrival(t, 61+w%40)}
		if w%60 == 0 {
			all = append(all, x.nodes[1].arrival(t, 80))
		}
		return all
	})
	if n := x.s.LogSize(); n != uint64(windows) {
		t.Fatalf("%d batches, want %d", n, windows)
	}
	return x
}

// BenchmarkRange shows what evidence of ranges costs in ledgers of 5,000 to
// 525,600 windows (a year of minutes) with two readings in each: that of a
// reading shown and of a summary must stay the same.
func BenchmarkRange(b *testing.B) {
	for _, windows := range []int{5_000, 50_000, 525_600} {
		b.Run(fmt.Sprintf("windows=%d", windows), func(b *testing.B) {
			begun := time.Now()
			x := busySite(b, windows)
			b.Logf("%d windows made in %v", windows, time.Since(begun))
			for n := uint64(10_000); n <= 2*uint64(windows); n *= 10 {
				b.Run(fmt.Sprintf("show/readings=%d", n), func(b *testing.B) { benchShow(b, x, n) })
			}
			b.Run("summary", func(b *testing.B) { benchSummary(b, x, 0) })
			b.Run("heartbeat", func(b *testing.B) { benchSummary(b, x, 2) })
			b.Run("rare", func(b *testing.B) { benchSummary(b, x, 1) })
			b.Run("peaks", func(b *testing.B) { benchPeaks(b, x) })
			b.Run("batchat", func(b *testing.B) { benchBatchAt(b, x) })
			b.Run("deficits", func(b *testing.B) { benchDeficits(b, x) })
		})
	}
}

// benchShow shows n readings from anywhere in the stream.
func benchShow(b *testing.B, x *site, n uint64) {
	b.ReportAllocs()
	all := 2 * x.s.LogSize()
	rng := newRand(n)
	shown := 0
	for b.Loop() {
		from := rng.Uint64N(all - n + 1)
		if err := x.s.ShowRange(context.Background(), 0, from, from+n, func(*Shown) error { shown++; return nil }); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(shown), "ns/reading")
	b.ReportMetric(float64(shown)/b.Elapsed().Seconds(), "readings/s")
}

func benchSummary(b *testing.B, x *site, slot uint64) {
	size := x.s.LogSize()
	rng := newRand(size)
	for b.Loop() {
		if _, err := x.s.SummaryAt(slot, rng.Uint64N(size)); err != nil {
			b.Fatal(err)
		}
	}
}

func benchPeaks(b *testing.B, x *site) {
	all := 2 * x.s.LogSize()
	rng := newRand(all)
	for b.Loop() {
		if _, err := x.s.StreamPeaks(0, rng.Uint64N(all)); err != nil {
			b.Fatal(err)
		}
	}
}

func benchBatchAt(b *testing.B, x *site) {
	from, _, _ := x.s.Span(0)
	size := x.s.LogSize()
	rng := newRand(size)
	for b.Loop() {
		want := rng.Uint64N(size)
		got, err := x.s.BatchAtIn(0, from+int64(want)*60_000)
		if err != nil || got != want {
			b.Fatalf("batch %d, %v; want %d", got, err, want)
		}
	}
}

// benchDeficits looks through all windows, none of which is missing.
func benchDeficits(b *testing.B, x *site) {
	for b.Loop() {
		found, err := x.s.Deficits(context.Background(), 0, x.s.LogSize()-1)
		if err != nil || len(found) != 0 {
			b.Fatalf("%v, %v", found, err)
		}
	}
}

// BenchmarkRangeInCrowd shows one stream of 500 that each send once in a window:
// what is sealed of the site then holds all of them.
func BenchmarkRangeInCrowd(b *testing.B) {
	const windows = 300
	x := newSite(b, 500)
	x.play(windows, func(w int) []Arrival {
		all := make([]Arrival, len(x.nodes))
		for i, n := range x.nodes {
			all[i] = n.arrival(b, 60+(w+i)%40)
		}
		return all
	})
	x.pass(30 * time.Minute)
	x.seal()
	shown := 0
	for b.Loop() {
		if err := x.s.ShowRange(context.Background(), 100, 0, windows, func(*Shown) error { shown++; return nil }); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(shown), "ns/reading")
}
