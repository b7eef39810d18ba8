package proof

import (
	"fmt"
	"runtime"
	"testing"

	"cairn/ingest/reading"
)

// BenchmarkVerifyRange checks ranges of many readings of which one field each is
// shown, as one that was decoded is.
func BenchmarkVerifyRange(b *testing.B) {
	for _, n := range []int{10_000, 100_000, 1_000_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			if n > 100_000 && testing.Short() {
				b.SkipNow()
			}
			f := rangeOf(b, n, reading.IndexData)
			var before, after runtime.MemStats
			var v Verdict
			b.ReportAllocs()
			for b.Loop() {
				runtime.GC()
				runtime.ReadMemStats(&before)
				v = Verify(f, Options{Require: LevelLogged})
				runtime.GC()
				runtime.ReadMemStats(&after)
			}
			if v.Level != LevelLogged || len(v.Readings) != n {
				b.Fatal(v.Text())
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/reading")
			b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/float64(n), "kept-B/reading")
		})
	}
}
