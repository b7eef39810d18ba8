// Package spine_test measures the way of a reading from end to end: the figures
// that `make bench` prints beside their targets.
package spine_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"cairn/ingest"
	"cairn/ingest/frame"
	"cairn/ingest/reading"
	"cairn/store"
	"cairn/store/share"
)

const (
	devices  = 200
	readings = 5_000_000
)

// committer hands intake's arrivals to the store, as the service does.
type committer struct{ s *store.Store }

func (c committer) Submit(ctx context.Context, a []ingest.Arrival) error {
	out := make([]store.Arrival, len(a))
	for i := range a {
		out[i] = store.Arrival(a[i])
	}
	return c.s.Submit(ctx, out)
}

// bench is a store on disk with registered devices and their simulated nodes.
type bench struct {
	b     *testing.B
	dir   string
	keys  *share.Keyring
	now   func() time.Time
	s     *store.Store
	reg   *ingest.Registry
	nodes []*ingest.Simulator
	raw   int // temperature, 16ths of a degree
}

func newBench(b *testing.B, n int, now func() time.Time) *bench {
	b.Helper()
	x := &bench{b: b, dir: filepath.Join(b.TempDir(), "db"), keys: share.Memory(), now: now, reg: ingest.NewRegistry(), raw: 70}
	x.open()
	var all []ingest.Device
	for i := range n {
		key := frame.Key{0: 7, 14: byte(i >> 8), 15: byte(i)}
		id := frame.ID{0x80 | byte(i>>8), 0x80 | byte(i>>4), 0x90 + byte(i), 0xa1, 0xb2, 0xc3, byte(i >> 8), byte(i)}
		d, err := x.s.AddDevice(context.Background(), store.NewDevice{ID: id, Name: fmt.Sprint("node ", i), Kind: "secure", Key: &key})
		if err != nil {
			b.Fatal(err)
		}
		all = append(all, ingest.Device{Number: d.Number, ID: id, Epoch: d.Epoch, Kind: ingest.KindSecure, Key: &key})
		node, err := ingest.NewSimulator(id, key, ingest.SimulatorOptions{Counter: frame.NewCounter(42, 0)})
		if err != nil {
			b.Fatal(err)
		}
		x.nodes = append(x.nodes, node)
	}
	if err := x.reg.Set(all); err != nil {
		b.Fatal(err)
	}
	return x
}

func (x *bench) open() {
	x.b.Helper()
	s, err := store.Open(store.Options{Dir: x.dir, Keyring: x.keys, Now: x.now, Clock: func() reading.Clock { return reading.Synced }})
	if err != nil {
		x.b.Fatal(err)
	}
	x.s = s
}

func (x *bench) close() {
	x.b.Helper()
	if err := x.s.Close(); err != nil {
		x.b.Fatal(err)
	}
}

// frame is the next frame of a node: a temperature that wanders.
func (x *bench) frame(node int) []byte {
	x.raw = 60 + (x.raw*31+node*7+11)%40
	f, err := x.nodes[node].Next(frame.Body{Valve: -1, Stats: fmt.Appendf(nil, `{"T|C16":%d`, x.raw)})
	if err != nil {
		x.b.Fatal(err)
	}
	return f
}

// frames seals n frames, node after node, into one piece of memory.
func (x *bench) frames(n int) (all []byte, each int) {
	for i := range n {
		f := x.frame(i % len(x.nodes))
		each = len(f)
		all = append(all, f...)
	}
	return all, each
}

// memory is a source that puts frames as fast as they are taken.
type memory struct {
	all  []byte
	each int
}

func (m memory) Name() string { return "memory" }

func (m memory) Run(ctx context.Context, sink ingest.Sink) error {
	for b := m.all; len(b) > 0; b = b[m.each:] {
		p := ingest.Packet{Form: ingest.FormWire, Data: b[:m.each], Transport: reading.TransportUDP}
		if err := sink.Put(ctx, p); err != nil {
			return err
		}
	}
	return nil
}

// run takes all frames of the sources in and waits until each is acknowledged.
func (x *bench) run(ctx context.Context, sources ...ingest.Source) ingest.Snapshot {
	x.b.Helper()
	in, err := ingest.New(ingest.Config{Registry: x.reg, Committer: committer{x.s}, Drain: time.Minute})
	if err != nil {
		x.b.Fatal(err)
	}
	if err := in.Run(ctx, sources...); err != nil {
		x.b.Fatal(err)
	}
	for in.Tally().Snapshot().Pending > 0 {
		time.Sleep(time.Millisecond)
	}
	return in.Tally().Snapshot()
}

// BenchmarkSpineIntake takes 5,000,000 frames of 200 devices from memory to
// their acknowledgement, then writes the same bytes with Pebble alone.
func BenchmarkSpineIntake(b *testing.B) {
	for b.Loop() {
		b.StopTimer()
		x := newBench(b, devices, nil)
		all, each := x.frames(readings)
		b.StartTimer()
		begun := time.Now()
		got := x.run(context.Background(), memory{all, each})
		rate := readings / time.Since(begun).Seconds()
		b.StopTimer()
		if n := got.Verdicts[reading.Authenticated]; n != readings {
			b.Fatalf("%d readings acknowledged, want %d: %v", n, readings, got.Reasons)
		}
		all = nil
		x.close()
		alone := readings / pebbleAlone(b, x.dir).Seconds()
		b.ReportMetric(rate, "readings/s")
		b.ReportMetric(alone, "pebble-readings/s")
		b.ReportMetric(rate/alone, "pebble-ratio")
		b.ReportMetric(hashTime().Seconds()*rate/float64(2), "hash-share")
		b.StartTimer()
	}
}

// hashTime is what the record tree of one reading of the benchmark costs on one
// core.
func hashTime() time.Duration {
	var h reading.Hasher
	keys := share.Memory()
	c, _ := keys.Compartment(share.Site)
	hour, _ := c.Tree.Hour(1_960_000)
	salt := hour.SaltBlock("field", 1, [16]byte{})
	salts := reading.Salts{Envelope: salt, Data: salt, Site: salt}
	m, _ := reading.FromStat("T", "C16", true, 75, "")
	r := reading.Reading{
		Device: "8081828384858687", Received: 1_764_000_000_000, Clock: reading.Synced, Sequence: 20_000, HasFrame: true,
		Origin: reading.Origin{Transport: reading.TransportUDP, Verdict: reading.Authenticated, Counter: 0x2a000319, HasCounter: true}, Measurements: []reading.Measurement{m},
	}
	const n = 200_000
	begun := time.Now()
	for range n {
		h.Root(&r, &salts)
	}
	return time.Since(begun) / n
}

// pebbleAlone writes what a store holds again: its commit records in their order,
// each with its share of the other rows, synced like them.
func pebbleAlone(b *testing.B, dir string) time.Duration {
	b.Helper()
	type kv struct{ k, v []byte }
	var commits, rest []kv
	from, err := pebble.Open(dir, &pebble.Options{ReadOnly: true, Logger: quiet{}})
	if err != nil {
		b.Fatal(err)
	}
	it, err := from.NewIter(nil)
	if err != nil {
		b.Fatal(err)
	}
	for ok := it.First(); ok; ok = it.Next() {
		x := kv{slices.Clone(it.Key()), slices.Clone(it.Value())}
		if x.k[32] == 'c' {
			commits = append(commits, x)
		} else {
			rest = append(rest, x)
		}
	}
	it.Close()
	from.Close()
	to, err := pebble.Open(filepath.Join(b.TempDir(), "alone"), &pebble.Options{
		FormatMajorVersion: pebble.FormatNewest, CacheSize: 8 << 20, MemTableSize: 8 << 20, Logger: quiet{},
	})
	if err != nil {
		b.Fatal(err)
	}
	defer to.Close()
	begun := time.Now()
	for i, c := range commits {
		w := to.NewBatch()
		w.Set(c.k, c.v, nil)
		for _, r := range rest[i*len(rest)/len(commits) : (i+1)*len(rest)/len(commits)] {
			w.Set(r.k, r.v, nil)
		}
		if err := w.Commit(pebble.Sync); err != nil {
			b.Fatal(err)
		}
	}
	return time.Since(begun)
}

type quiet struct{}

func (quiet) Infof(string, ...any)      {}
func (quiet) Errorf(string, ...any)     {}
func (quiet) Fatalf(f string, a ...any) { panic(fmt.Sprintf(f, a...)) }

// clock is a clock that a benchmark moves.
type clock struct{ ms atomic.Int64 }

func newClock() *clock {
	c := new(clock)
	c.ms.Store(time.Date(2026, 3, 2, 6, 0, 0, 0, time.UTC).UnixMilli())
	return c
}

func (c *clock) Now() time.Time { return time.UnixMilli(c.ms.Load()) }

// fill makes a log: windows minutes of per readings of each device, and waits
// until its ended quarter hours are sealed.
func (x *bench) fill(c *clock, windows, per int) {
	x.b.Helper()
	for range windows {
		all, each := x.frames(per * len(x.nodes))
		x.run(context.Background(), memory{all, each})
		c.ms.Add(60_000)
		x.settle(c)
	}
}

// settle waits until the windows before now are closed.
func (x *bench) settle(c *clock) {
	for x.s.Status().WindowTo <= c.ms.Load() {
		if err := x.s.AllowSigning(context.Background()); err != nil {
			x.b.Fatal(err)
		}
	}
}

// sealed waits until all ended quarter hours are sealed.
func (x *bench) sealed(c *clock) {
	quarter := c.ms.Load() / 900_000 * 900_000
	for {
		st := x.s.Status()
		h, err := x.s.Header(max(st.SealedTo, 1) - 1)
		if err != nil {
			x.b.Fatal(err)
		}
		_ = h
		if st.SealedTo >= st.Batches-uint64((c.ms.Load()-quarter)/60_000) {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// BenchmarkSpineProof makes a log of 10,000,000 readings, reopens it cold, and
// proves single readings of it. Start-up is measured on the same log.
func BenchmarkSpineProof(b *testing.B) {
	const windows, per = 1000, 50 // × 200 devices
	for b.Loop() {
		b.StopTimer()
		c := newClock()
		x := newBench(b, devices, c.Now)
		x.fill(c, windows, per)
		x.sealed(c)
		x.close()
		begun := time.Now()
		x.open()
		b.ReportMetric(time.Since(begun).Seconds(), "s/start")
		var times []time.Duration
		for i := range 200 {
			if i%20 == 0 { // a cold cache: close, and let the system forget the files
				x.close()
				forget(b, x.dir)
				x.open()
			}
			slot, seq := uint64(i*37%devices), uint64(i*24_971%(windows*per))
			b.StartTimer()
			begun := time.Now()
			e, err := x.s.Evidence(slot, seq)
			if err != nil {
				b.Fatal(err)
			}
			if _, err := x.s.Batch(e.Batch); err != nil {
				b.Fatal(err)
			}
			if _, err := x.s.LogPath(e.Batch, x.s.LogSize()); err != nil {
				b.Fatal(err)
			}
			times = append(times, time.Since(begun))
			b.StopTimer()
		}
		slices.Sort(times)
		b.ReportMetric(float64(times[len(times)/2].Microseconds())/1000, "ms/proof-cold")
		b.ReportMetric(float64(times[len(times)*99/100].Microseconds())/1000, "ms/proof-cold-p99")
		x.close()
		b.StartTimer()
	}
}

// forget drops a folder's files from the page cache.
func forget(b *testing.B, dir string) {
	b.Helper()
	files, err := os.ReadDir(dir)
	if err != nil {
		b.Fatal(err)
	}
	for _, f := range files {
		if err := dropCache(filepath.Join(dir, f.Name())); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkSpineDisk fills a day's worth of typical readings: 200 devices, one
// reading a minute each, for six hours; and says what the store's files hold.
func BenchmarkSpineDisk(b *testing.B) {
	for b.Loop() {
		c := newClock()
		x := newBench(b, devices, c.Now)
		const windows = 6 * 60
		x.fill(c, windows, 1)
		x.sealed(c)
		x.close()
		compact(b, x.dir)
		var sum int64
		kinds := map[string]int64{}
		err := filepath.Walk(x.dir, func(path string, info os.FileInfo, err error) error {
			if err == nil && !info.IsDir() && filepath.Ext(path) == ".sst" {
				sum += info.Size()
			}
			return err
		})
		if err != nil {
			b.Fatal(err)
		}
		rows(b, x.dir, kinds)
		b.ReportMetric(float64(sum)/float64(windows*devices), "B/reading")
		names := make([]string, 0, len(kinds))
		for k := range kinds {
			names = append(names, k)
		}
		sort.Slice(names, func(i, j int) bool { return kinds[names[i]] > kinds[names[j]] })
		for _, k := range names[:min(6, len(names))] {
			b.Logf("rows %s: %.1f B/reading before prefix compression", k, float64(kinds[k])/float64(windows*devices))
		}
	}
}

func compact(b *testing.B, dir string) {
	db, err := pebble.Open(dir, &pebble.Options{FormatMajorVersion: pebble.FormatNewest, Logger: quiet{}})
	if err != nil {
		b.Fatal(err)
	}
	if err := db.Compact(context.Background(), []byte{0}, slices.Repeat([]byte{0xff}, 40), false); err != nil {
		b.Fatal(err)
	}
	db.Close()
}

func rows(b *testing.B, dir string, kinds map[string]int64) {
	db, err := pebble.Open(dir, &pebble.Options{ReadOnly: true, Logger: quiet{}})
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	it, _ := db.NewIter(nil)
	defer it.Close()
	for ok := it.First(); ok; ok = it.Next() {
		kinds[string(it.Key()[32])] += int64(len(it.Key()) - 33 + len(it.Value()))
	}
}

// BenchmarkSpineClose closes a window of 200 streams that all have readings.
func BenchmarkSpineClose(b *testing.B) {
	c := newClock()
	closed := make(chan time.Duration, 1)
	x := newBench(b, devices, c.Now)
	x.close()
	s, err := store.Open(store.Options{Dir: x.dir, Keyring: x.keys, Now: c.Now, Events: func(e store.Event) {
		if e.Kind == "window" {
			d, _ := time.ParseDuration(e.Detail)
			select {
			case closed <- d:
			default:
			}
		}
	}})
	if err != nil {
		b.Fatal(err)
	}
	x.s = s
	var sum time.Duration
	n := 0
	for b.Loop() {
		b.StopTimer()
		all, each := x.frames(10 * devices)
		x.run(context.Background(), memory{all, each})
		select {
		case <-closed:
		default:
		}
		c.ms.Add(60_000)
		b.StartTimer()
		x.settle(c)
		sum += <-closed
		n++
	}
	b.ReportMetric(float64(sum.Microseconds())/1000/float64(n), "ms/close")
	x.close()
}
