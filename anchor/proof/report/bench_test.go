package report

import (
	"io"
	"testing"
)

// BenchmarkHTML writes the report of a month, and of near two years, of a reading
// each minute.
func BenchmarkHTML(b *testing.B) {
	for _, c := range []struct {
		name string
		days int64
	}{{"month", 31}, {"million", 695}} {
		m := newMonth()
		m.claim(2, "walk-in fridge", start, start+c.days*1440*minute)
		o := options("f", nil, "temperature=2..8")
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := HTML(io.Discard, &m.f, &m.v, o); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(m.v.Ranges[0].Readings), "readings")
		})
	}
}
