package main

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"cairn/ingest"
	"cairn/ingest/alert"
	"cairn/ingest/frame"
	"cairn/ingest/reading"
	"cairn/store"
	"cairn/store/share"
)

// BenchmarkAlert says how long it takes from a frame's leaving the node, over UDP, until
// a webhook has the alert that it raises: with the reading and then the alert on disk and
// signed in between. 1,999 nodes send 10,000 frames a second in all, one in 250 of which
// breaks the rule. Beside it stands how long it takes until that reading is recorded.
func BenchmarkAlert(b *testing.B) {
	for b.Loop() {
		benchmarkAlert(b)
	}
}

const (
	alertNodes  = 1999
	alertRate   = 10_000 // frames a second
	alertEvery  = 250    // frames
	alertBurst  = 10     // frames that are sent together
	alertFrames = 20 * alertRate
)

func benchmarkAlert(b *testing.B) {
	x := newAlertSite(b)
	defer x.l.store.Close()
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan error, 1)
	watching := make(chan struct{})
	go func() { x.watch.run(ctx); close(watching) }()
	in, err := ingest.New(ingest.Config{Registry: x.registry, Committer: newCommitter([]*openLedger{x.l}), Recorded: x.recorded})
	if err != nil {
		b.Fatal(err)
	}
	go func() { done <- in.Run(ctx, x.source) }()

	begun := time.Now()
	x.send(b)
	took := time.Since(begun)
	var recorded uint64
	for last := time.Now(); time.Since(last) < 2*time.Second; { // until nothing comes any more
		<-time.After(50 * time.Millisecond)
		if n := in.Tally().Snapshot().Verdicts[reading.Authenticated]; n != recorded {
			recorded, last = n, time.Now()
		}
	}
	cancel()
	if err := <-done; err != nil {
		b.Fatal(err)
	}
	<-watching

	x.mu.Lock()
	defer x.mu.Unlock()
	slices.Sort(x.took)
	slices.Sort(x.disk)
	if len(x.took) == 0 {
		b.Fatal("no alert came")
	}
	at := func(all []time.Duration, part int) float64 {
		return float64(all[len(all)*part/100].Microseconds()) / 1000
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(alertFrames)/took.Seconds(), "sent/s")
	b.ReportMetric(100*float64(recorded)/alertFrames, "recorded-%")
	b.ReportMetric(float64(len(x.took)), "alerts")
	b.ReportMetric(at(x.took, 50), "p50-ms")
	b.ReportMetric(at(x.took, 99), "p99-ms")
	b.ReportMetric(at(x.disk, 50), "recorded-p50-ms")
	b.ReportMetric(at(x.disk, 99), "recorded-p99-ms")
}

// alertSite is a ledger with nodes, and rules over them.
type alertSite struct {
	l        *openLedger
	registry *ingest.Registry
	source   *ingest.UDP
	watch    *alerting
	nodes    []*ingest.Simulator
	ids      map[string]int

	mu   sync.Mutex // covers what follows
	sent []time.Time
	took []time.Duration
	disk []time.Duration // until the reading was recorded
}

func (x *alertSite) recorded(r ingest.Recorded) {
	if len(r.Measurements) == 1 && r.Measurements[0].Value == reading.Int(10) {
		at := time.Now()
		x.mu.Lock()
		x.disk = append(x.disk, at.Sub(x.sent[r.Device-1]))
		x.mu.Unlock()
	}
	x.watch.recorded(r)
}

func newAlertSite(b *testing.B) *alertSite {
	s, err := store.Open(store.Options{Dir: b.TempDir(), Keyring: share.Memory(), Clock: func() reading.Clock { return reading.Synced }})
	if err != nil {
		b.Fatal(err)
	}
	x := &alertSite{registry: ingest.NewRegistry(), ids: map[string]int{}, sent: make([]time.Time, alertNodes)}
	hook := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { x.taken(b, r) }))
	b.Cleanup(hook.Close)
	cfg := &Config{Ledgers: []LedgerConfig{{Name: siteLedger}}, Clock: clockTrusted, Alerts: []alert.Rule{{
		Name: "warm", Field: "T", Above: reading.Int(8), To: []string{"hook"},
	}}}
	g := &gateway{cfg: cfg, log: slog.New(slog.DiscardHandler)}
	x.l = &openLedger{g: g, cfg: &cfg.Ledgers[0], store: s, log: g.log}
	g.ledgers = []*openLedger{x.l}
	var devices []ingest.Device
	for i := range alertNodes {
		var id frame.ID
		var key frame.Key
		binary.BigEndian.PutUint64(id[:], 0x80c1000000000000+uint64(i)<<32)
		binary.BigEndian.PutUint64(key[:], uint64(i)+1)
		d, err := s.AddDevice(b.Context(), store.NewDevice{ID: id, Kind: ingest.KindSecure, Key: &key})
		if err != nil {
			b.Fatal(err)
		}
		node, err := ingest.NewSimulator(id, key, ingest.SimulatorOptions{})
		if err != nil {
			b.Fatal(err)
		}
		x.nodes, x.ids[id.String()] = append(x.nodes, node), i
		devices = append(devices, ingest.Device{Number: d.Number, ID: id, Kind: ingest.KindSecure, Key: &key, Epoch: d.Epoch})
	}
	if err := x.registry.Set(devices); err != nil {
		b.Fatal(err)
	}
	if x.watch, err = newAlerting(g, []alert.Receiver{{Name: "hook", Notifier: &alert.Webhook{URL: hook.URL, Secret: []byte("of a benchmark")}}}); err != nil {
		b.Fatal(err)
	}
	if err := x.watch.begin(b.Context()); err != nil {
		b.Fatal(err)
	}
	if x.source, err = ingest.ListenUDP(ingest.UDPConfig{Addr: "127.0.0.1:0", SourceRate: -1, ReceiveBuffer: 4 << 20}); err != nil {
		b.Fatal(err)
	}
	return x
}

// send sends frames in bursts, each at its time. A frame that breaks the rule is followed
// by one of the same node, a moment later, that does not.
func (x *alertSite) send(b *testing.B) {
	conn, err := net.Dial("udp", x.source.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	begun := time.Now()
	warm := -1
	for i := range alertFrames {
		if i%alertBurst == 0 {
			time.Sleep(time.Until(begun.Add(time.Duration(i) * time.Second / alertRate)))
		}
		node, stats := i%alertNodes, `{"T|C16":64`
		switch {
		case i%alertEvery == 0:
			warm, stats = node, `{"T|C16":160`
		case i%alertEvery == alertEvery/2 && warm >= 0:
			node = warm
		}
		wire, err := x.nodes[node].Next(frame.Body{Valve: -1, Stats: []byte(stats)})
		if err != nil {
			b.Fatal(err)
		}
		if i%alertEvery == 0 {
			x.mu.Lock()
			x.sent[node] = time.Now()
			x.mu.Unlock()
		}
		if _, err := conn.Write(wire[1:]); err != nil {
			b.Fatal(err)
		}
	}
}

func (x *alertSite) taken(b *testing.B, r *http.Request) {
	at := time.Now()
	var n alert.Notice
	if err := json.NewDecoder(r.Body).Decode(&n); err != nil {
		b.Error(err)
	}
	if n.News != alert.Raised {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.took = append(x.took, at.Sub(x.sent[x.ids[n.DeviceID]]))
}
