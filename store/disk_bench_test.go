package store

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"cairn/ingest/frame"
	"cairn/ingest/reading"
)

// weather is what a device of a typical site sends: values that go up and down a
// little, a battery that hardly does, a valve that moves now and then.
type weather struct{ temperature, humidity, battery, valve int }

func (w *weather) next(x *site) {
	w.temperature += x.rng.IntN(5) - 2
	w.humidity = min(max(w.humidity+x.rng.IntN(3)-1, 20), 80)
	if x.rng.IntN(200) == 0 {
		w.battery--
	}
	if x.rng.IntN(10) == 0 {
		w.valve = min(max(w.valve+5*(x.rng.IntN(5)-2), 0), 100)
	}
}

// typical seals a frame with the temperature, the valve, and humidity or battery in
// turn, as a frame of these holds no more.
func (n *node) typical(t testing.TB, w *weather) Arrival {
	t.Helper()
	n.counter++
	type stat struct {
		key, unit string
		v         int
	}
	second := stat{"H", "%", w.humidity} // a frame holds 31 bytes
	if n.counter%2 == 0 {
		second = stat{"B", "cV", w.battery}
	}
	body, err := frame.AppendBody(nil, frame.Body{Valve: w.valve, Stats: fmt.Appendf(nil, `{"T|C16":%d,"%s|%s":%d`, w.temperature, second.key, second.unit, second.v)})
	if err != nil {
		t.Fatal(err)
	}
	wire, err := n.opener.Seal(nil, frame.TypeBasic|frame.SecureBit, n.id, 4, n.counter, body)
	if err != nil {
		t.Fatal(err)
	}
	ms := []reading.Measurement{{Name: reading.NameValve, Unit: "%", Value: reading.Int(int64(w.valve))}}
	for _, s := range []stat{{"T", "C16", w.temperature}, second} {
		m, err := reading.FromStat(s.key, s.unit, true, int64(s.v), "")
		if err != nil {
			t.Fatal(err)
		}
		ms = append(ms, m)
	}
	return Arrival{
		Device: n.binding.Number, Epoch: n.binding.Epoch, Verdict: reading.Authenticated, Transport: "udp", Counter: n.counter,
		Measurements: ms, Wire: wire, Body: body, Type: frame.TypeBasic | frame.SecureBit, IDLen: 4,
	}
}

// typicalSite lets 20 devices send once a minute, each at its own second, until a
// number of quarter hours is sealed.
func typicalSite(b testing.TB, x *site, quarters int) (readings int) {
	const devices = 20
	x.open()
	x.s.bench.keepRuns = x.keepRuns
	all := make([]weather, devices)
	for i := range devices {
		x.addDevice()
		all[i] = weather{temperature: 320 + x.rng.IntN(40), humidity: 50, battery: 300, valve: 30}
	}
	for range quarters * 15 {
		for i, n := range x.nodes {
			x.clock.add(3*time.Second + time.Duration(x.rng.IntN(40)-20)*time.Millisecond)
			all[i].next(x)
			if a := x.submit(n.typical(b, &all[i])); a[0].err != nil {
				b.Fatal(a[0].err)
			}
			readings++
		}
		x.sync()
	}
	x.pass(15 * time.Minute)
	x.seal()
	return readings
}

// diskByKind gives the bytes of the tables after a compaction of everything, by
// kind of row.
func (x *site) diskByKind(b testing.TB) (kinds map[byte]uint64, rows map[byte]int, total uint64) {
	b.Helper()
	if err := x.s.db.Flush(); err != nil {
		b.Fatal(err)
	}
	if err := x.s.db.Compact(context.Background(), nil, []byte{0xff}, true); err != nil {
		b.Fatal(err)
	}
	kinds, rows = map[byte]uint64{}, map[byte]int{}
	last := byte(0)
	if err := each(x.s.db, nil, nil, func(key, val []byte) (bool, error) {
		if k := key[32]; k != last {
			last = k
			prefix := x.s.keys.key(k)
			n, err := x.s.db.EstimateDiskUsage(prefix, after(prefix))
			if err != nil {
				return false, err
			}
			kinds[k] = n
		}
		rows[key[32]]++
		return true, nil
	}); err != nil {
		b.Fatal(err)
	}
	total, err := x.s.db.EstimateDiskUsage(x.s.keys.id[:], after(x.s.keys.id[:])) // kinds that share a block count it twice
	if err != nil {
		b.Fatal(err)
	}
	return kinds, rows, total
}

// BenchmarkDisk says what a reading takes on disk once its quarter hour is sealed,
// at a site of 20 devices that send once a minute, by kind of row. The site keeps
// no padding: that is in what leaves it.
func BenchmarkDisk(b *testing.B) {
	quarters := 192
	for b.Loop() {
		x := &site{t: b, fs: vfs.NewMem(), keys: newKeys(), clock: newClock(), rng: newRand(1)}
		n := typicalSite(b, x, quarters)
		kinds, rows, total := x.diskByKind(b)
		var order []byte
		for k := range kinds {
			order = append(order, k)
		}
		slices.SortFunc(order, func(i, j byte) int { return int(kinds[j]) - int(kinds[i]) })
		for _, k := range order {
			b.Logf("%c %8d rows %9d bytes %6.2f a reading", k, rows[k], kinds[k], float64(kinds[k])/float64(n))
		}
		b.ReportMetric(float64(total)/float64(n), "B/reading")
		x.close()
	}
}
