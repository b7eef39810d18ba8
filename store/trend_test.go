package store

import (
	"context"
	"errors"
	"fmt"
	"math"
	"testing"
	"time"

	"cairn/ingest/reading"
	"cairn/merkle/ledger"
)

// plainTrend is Trend as one would do it by hand.
func (x *site) plainTrend(q TrendQuery, width, base int64) map[int64]TrendPoint {
	x.t.Helper()
	out := map[int64]TrendPoint{}
	x.wait(x.s.QueryStream(context.Background(), q.Slot, func(f *Found) (bool, error) {
		ms := f.Received
		if f.Late {
			ms = f.Measured
		}
		for _, m := range f.Measurements {
			v, ok := m.Value.Float()
			if !ok || m.Name != q.Field || ms < q.From || ms >= q.To {
				continue
			}
			from := base + (ms-base)/width*width
			p, has := out[from]
			if !has {
				p = TrendPoint{From: from, Min: v, Max: v}
			}
			p.N++
			p.Min, p.Max, p.Sum = min(p.Min, v), max(p.Max, v), p.Sum+v
			out[from] = p
		}
		return true, nil
	}))
	return out
}

func (x *site) checkTrend(what string, q TrendQuery) Trend {
	x.t.Helper()
	got, err := x.s.Trend(context.Background(), q)
	if err != nil {
		x.t.Fatalf("%s: %v", what, err)
	}
	base := q.From
	if len(got.Points) > 0 {
		base = got.Points[0].From
	}
	want := x.plainTrend(q, got.Width, base)
	if len(got.Points) != len(want) || len(got.Points) > q.Points {
		x.t.Errorf("%s: %d points, want %d of at most %d", what, len(got.Points), len(want), q.Points)
	}
	n := 0
	for i, p := range got.Points {
		w := want[p.From]
		if p.N != w.N || p.Min != w.Min || p.Max != w.Max || math.Abs(p.Sum-w.Sum) > 1e-6 {
			x.t.Fatalf("%s: point %d is %+v, want %+v", what, i, p, w)
		}
		n += int(p.N)
	}
	if n != got.Read {
		x.t.Errorf("%s: %d readings in the points, it says %d", what, n, got.Read)
	}
	return got
}

// TestTrend holds trends of several widths against the readings one by one, across
// what is sealed and what is not, and of what came late.
func TestTrend(t *testing.T) {
	x, n := splitSite(t)
	begin := newClock().ms()
	_, err := x.s.OpenLate(context.Background(), 1, nothingWith)
	x.wait(err)
	for i := range int64(90) {
		x.submit(n.line("a line", measured("occupancy", i), measured("temperature", 19-i%7)))
		x.send(x.nodes[0])
		x.submit(lateRow(1, begin-i*60_000, 40+i))
		x.pass(time.Minute)
	}
	for _, points := range []int{1, 3, 17, 200, maxTrend} {
		for _, from := range []int64{0, begin, begin + 61_234, begin + 50*60_000} {
			for _, field := range []string{"temperature", "co2", "humidity", "nothing"} {
				x.checkTrend(fmt.Sprintf("%d points of %s from %d", points, field, from-begin), TrendQuery{Slot: n.binding.Slot, Field: field, From: from, To: x.clock.ms() + 1, Points: points})
			}
		}
		x.checkTrend("secure", TrendQuery{Slot: 0, Field: "T", From: begin, To: x.clock.ms(), Points: points})
		got := x.checkTrend("late", TrendQuery{Slot: 3, Field: "T", From: begin - 80*60_000, To: begin, Points: points})
		if got.Unit != "Cel" || got.Read != 80 {
			t.Errorf("late: unit %q of %d readings, want Cel of 80", got.Unit, got.Read)
		}
	}
	for _, q := range []TrendQuery{{Slot: 9, To: 1, Points: 1}, {To: 1}, {From: 2, To: 1, Points: 1}, {To: 1, Points: maxTrend + 1}, {From: -1, To: 1, Points: 1}} {
		if _, err := x.s.Trend(context.Background(), q); !errors.Is(err, ErrNotFound) && !errors.Is(err, ErrRefused) {
			t.Errorf("%+v: %v", q, err)
		}
	}
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := x.s.Trend(ended, TrendQuery{Field: "T", From: begin, To: x.clock.ms(), Points: 100}); !errors.Is(err, context.Canceled) {
		t.Errorf("with a context that has ended: %v", err)
	}
}

// TestTrendAfterShredding: what was shredded is in no trend, and its time is told.
func TestTrendAfterShredding(t *testing.T) {
	x, n, before := shredSite(t)
	q := TrendQuery{Slot: n.binding.Slot, Field: "occupancy", From: newClock().ms(), To: x.clock.ms() + 1, Points: 50}
	other := q
	other.Field = "temperature"
	was, kept := x.checkTrend("before", q), x.checkTrend("before", other)
	x.shred(before, fmt.Sprintf("stream/%d/occupancy", n.binding.Slot))
	got, err := x.s.Trend(context.Background(), q)
	x.wait(err)
	if got.Read == 0 || got.Read >= was.Read || len(got.Gone) != 1 || !errors.Is(got.Gone[0].Why, ErrShredded) || got.Gone[0].To != before.Start() {
		t.Errorf("%d of %d readings are left, gone is %+v, want it up to %d", got.Read, was.Read, got.Gone, before.Start())
	}
	if now := x.checkTrend("of another compartment", other); now.Read != kept.Read {
		t.Errorf("%d of %d readings of another compartment are left", now.Read, kept.Read)
	}
}

// yearSite has one device that sent every minute of a year, in quarter hours that are
// sealed, but for the last ones.
func yearSite(t testing.TB, hours int) *site {
	x := &site{t: t, fs: newMem(), keys: newKeys(), clock: newClock(), rng: newRand(1), opt: Options{Window: 15 * time.Minute}}
	x.open()
	b, err := x.s.AddDevice(context.Background(), NewDevice{ID: [8]byte{7}, Name: "freezer", Kind: ledger.BindVouched})
	if err != nil {
		t.Fatal(err)
	}
	const together = 24 * 4
	for h := 0; h < hours; h += together {
		err := x.s.do(context.Background(), func() error {
			for i := h; i < min(h+together, hours); i++ {
				for m := range int64(15) {
					at := int64(i)*15 + m
					swing := int64(40 * math.Sin(float64(at)/720))
					x.s.com.commit([]Arrival{{
						Device: b.Number, Epoch: b.Epoch, Verdict: reading.Vouched, Transport: reading.TransportHTTP,
						Measurements: []reading.Measurement{{Name: "T", Unit: "Cel", Value: reading.Decimal(-180+swing+at%5, -1)}, {Name: "H", Unit: "%RH", Value: reading.Int(40 + at%9)}},
						Done:         func(reading.Verdict, uint64, uint64, int64, bool, error) {},
					}})
					x.clock.add(time.Minute)
				}
				x.s.com.tick()
			}
			return x.s.Dead()
		})
		if err != nil {
			t.Fatal(err)
		}
		x.seal()
	}
	x.sync()
	return x
}

// BenchmarkTrend shows how long it takes to read a chart of 1,000 points, of a day to a
// year of one reading a minute: with nothing in memory but what Pebble has, and again.
func BenchmarkTrend(b *testing.B) {
	begun := time.Now()
	const year = 365 * 24 * 4
	x := yearSite(b, year)
	b.Logf("a year made in %v", time.Since(begun))
	end := x.clock.ms()
	for _, days := range []int64{1, 7, 31, 365} {
		b.Run(fmt.Sprintf("days=%d", days), func(b *testing.B) {
			b.ReportAllocs()
			read := 0
			for b.Loop() {
				got, err := x.s.Trend(context.Background(), TrendQuery{Field: "T", From: end - days*86400e3, To: end, Points: 1000})
				if err != nil {
					b.Fatal(err)
				}
				read = got.Read
			}
			b.ReportMetric(float64(read), "readings")
		})
	}
}
