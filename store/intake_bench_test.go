package store

import (
	"context"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"

	"cairn/ingest/reading"
)

// BenchmarkIntake takes readings of 200 devices as fast as it can, a quarter hour
// of the site's time for each 100,000, and says what sealing costs: with commits
// in the clear and quarter hours left as they are, with sealed commits alone, and
// with quarter hours sealed too, the last of them waited for. The three take turns;
// of each the best of three counts, by the processor's time, as others use it too.
func BenchmarkIntake(b *testing.B) {
	const devices, rounds = 200, 1000
	variants := []struct {
		name              string
		noSealing, noHour bool
	}{{"clear", true, true}, {"commits", false, true}, {"sealed", false, false}}
	for b.Loop() {
		best := make([]time.Duration, len(variants))
		for range 3 {
			for i, v := range variants {
				x := newSite(b, devices)
				x.s.bench.noSealing, x.s.bench.noGroups = v.noSealing, v.noHour
				if took := x.intake(b, devices, rounds); best[i] == 0 || took < best[i] {
					best[i] = took
				}
				x.close()
			}
		}
		for i, v := range variants {
			b.ReportMetric(float64(best[i].Nanoseconds())/1000/(devices*rounds), v.name+"-cpu-µs/reading")
			b.ReportMetric(100*(1-float64(best[0])/float64(best[i])), v.name+"-cost-%")
		}
	}
}

// intake takes rounds of readings from all devices and gives the processor's time.
func (x *site) intake(b *testing.B, devices, rounds int) time.Duration {
	all := make([]weather, devices)
	waiting := make([][]Arrival, rounds)
	for i := range waiting {
		for j, n := range x.nodes {
			if i == 0 {
				all[j] = weather{temperature: 320, humidity: 50, battery: 300, valve: 30}
			}
			all[j].next(x)
			waiting[i] = append(waiting[i], n.typical(b, &all[j]))
		}
	}
	var wg sync.WaitGroup
	wg.Add(devices * rounds)
	done := func(v reading.Verdict, _, _ uint64, _ int64, _ bool, err error) {
		if err != nil || v != reading.Authenticated {
			b.Error(v, err)
		}
		wg.Done()
	}
	runtime.GC()
	from := processorTime(b)
	for i := range waiting {
		for j := range waiting[i] {
			waiting[i][j].Done = done
		}
		if err := x.s.Submit(context.Background(), waiting[i]); err != nil {
			b.Fatal(err)
		}
		if i%500 == 499 {
			x.pass(15 * time.Minute)
		}
	}
	wg.Wait()
	if !x.s.bench.noGroups {
		x.seal()
	}
	return processorTime(b) - from
}

func processorTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkProof says what evidence of sealed readings costs at a typical site:
// with what runs said kept as it was, and made again.
func BenchmarkProof(b *testing.B) {
	for _, keep := range []bool{true, false} {
		name := map[bool]string{true: "kept", false: "made"}[keep]
		x := &site{t: b, fs: newMem(), keys: newKeys(), clock: newClock(), rng: newRand(1)}
		x.keepRuns = keep
		typicalSite(b, x, 24)
		b.Run("evidence/"+name, func(b *testing.B) {
			for b.Loop() {
				if _, err := x.s.Evidence(uint64(x.rng.IntN(20)), uint64(x.rng.IntN(24*15))); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("summary/"+name, func(b *testing.B) {
			for b.Loop() {
				if _, err := x.s.SummaryAt(uint64(x.rng.IntN(20)), uint64(x.rng.IntN(24*15))); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("range/"+name, func(b *testing.B) {
			for b.Loop() {
				if err := x.s.ShowRange(b.Context(), uint64(x.rng.IntN(20)), 0, 24*15, func(*Shown) error { return nil }); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/360, "µs/reading")
		})
		b.Run("fsck/"+name, func(b *testing.B) {
			for b.Loop() {
				x.check()
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/(24*15*20), "µs/reading")
		})
		x.close()
	}
}
