package store

import (
	"context"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"cairn/ingest/reading"
)

// BenchmarkIntake takes readings of 200 devices as fast as it can and says what
// sealing costs. There are two loads: at "every=10s" a quarter hour of the site's
// time has 90 readings of each device, whose hashes are kept until it is sealed; at
// "full" it has 500, so that many are not and are made again. In each four variants
// take turns:
//
//	clear    commits in the clear, quarter hours left as they are
//	columns  commits in the clear, quarter hours as compressed columns, in the clear
//	         too: what a store of this size on disk costs without sealing
//	commits  commits sealed, quarter hours left as they are
//	sealed   all sealed
//
// Of each the best is told: by the processor's time, which others' use of it changes
// least, and by the rate, which it does change. Both are until the last quarter hour
// is sealed; acked is the rate until the last reading was acknowledged, of which the
// last quarter hour's sealing is no part. What sealing takes is the median over the
// turns of what "sealed" took beyond "columns" in the same turn: of the processor's
// time, of the rate, and of the rate of acknowledging. What keeping takes is the same
// against "clear", with the work of compressing in it.
func BenchmarkIntake(b *testing.B) {
	for _, load := range []struct {
		name                       string
		rounds, quarter, repeating int
	}{{"every=10s", 720, 90, 9}, {"full", 2000, 500, 7}} {
		b.Run(load.name, func(b *testing.B) {
			for b.Loop() {
				benchmarkIntake(b, load.rounds, load.quarter, load.repeating)
			}
		})
	}
}

func benchmarkIntake(b *testing.B, rounds, quarter, repeating int) {
	const devices = 200
	variants := []struct {
		name              string
		noSealing, noHour bool
		cpu, acked, whole time.Duration
		missed            int
	}{{name: "clear", noSealing: true, noHour: true}, {name: "columns", noSealing: true}, {name: "commits", noHour: true}, {name: "sealed"}}
	var taken, kept [3][]float64 // of the processor's time, the rate, the rate of acknowledging
	for round := range repeating {
		var turn [3][4]float64
		for i := range variants {
			v := &variants[i]
			x := newSite(b, devices)
			x.s.bench.noSealing, x.s.bench.noGroups = v.noSealing, v.noHour
			cpu, acked, whole := x.intake(b, devices, rounds, quarter)
			if round == 0 {
				v.cpu, v.acked, v.whole = cpu, acked, whole
			}
			v.cpu, v.acked, v.whole = min(v.cpu, cpu), min(v.acked, acked), min(v.whole, whole)
			v.missed += x.s.kept.missed
			turn[0][i], turn[1][i], turn[2][i] = float64(cpu), float64(whole), float64(acked)
			x.close()
		}
		for i := range taken {
			taken[i] = append(taken[i], 100*(1-turn[i][1]/turn[i][3]))
			kept[i] = append(kept[i], 100*(1-turn[i][0]/turn[i][3]))
		}
	}
	n := float64(devices * rounds)
	b.ReportMetric(0, "ns/op")
	for i := range variants {
		v := &variants[i]
		b.ReportMetric(float64(v.cpu.Nanoseconds())/1000/n, v.name+"-cpu-µs/reading")
		b.ReportMetric(n/v.acked.Seconds(), v.name+"-acked/s")
		b.ReportMetric(n/v.whole.Seconds(), v.name+"-readings/s")
	}
	for i, unit := range []string{"cpu-%", "rate-%", "acked-%"} {
		slices.Sort(taken[i])
		slices.Sort(kept[i])
		b.ReportMetric(taken[i][repeating/2], "sealing-"+unit)
		b.ReportMetric(kept[i][repeating/2], "keeping-"+unit)
	}
	b.ReportMetric(100*float64(variants[3].missed)/n/float64(repeating), "not-kept-%")
}

// intake takes rounds of readings from all devices, some in each quarter hour, and
// gives the processor's time, the time until all were acknowledged, and until all
// that can be is sealed.
func (x *site) intake(b *testing.B, devices, rounds, quarter int) (cpu, acked, whole time.Duration) {
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
	from, start := processorTime(b), time.Now()
	for i := range waiting {
		for j := range waiting[i] {
			waiting[i][j].Done = done
		}
		if err := x.s.Submit(context.Background(), waiting[i]); err != nil {
			b.Fatal(err)
		}
		if i%quarter == quarter-1 {
			x.pass(15 * time.Minute)
		}
	}
	wg.Wait()
	acked = time.Since(start)
	if !x.s.bench.noGroups {
		x.seal()
	}
	return processorTime(b) - from, acked, time.Since(start)
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
