package ingest

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"

	"cairn/ingest/frame"
	"cairn/ingest/reading"
)

func listen(t testing.TB, cfg UDPConfig) *UDP {
	t.Helper()
	if cfg.Addr == "" {
		cfg.Addr = "127.0.0.1:0"
	}
	u, err := ListenUDP(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func dial(t testing.TB, u *UDP) *net.UDPConn {
	t.Helper()
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(u.Addr()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func send(t testing.TB, conn *net.UDPConn, b []byte) {
	t.Helper()
	if _, err := conn.Write(b); err != nil {
		t.Fatal(err)
	}
}

// until calls ok, with pauses, until it is true.
func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.NewTimer(10 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("waited 10 s for %s", what)
		}
	}
}

// start runs an intake; stop ends it.
func start(t testing.TB, in *Intake, s Source) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ran := make(chan error, 1)
	go func() { ran <- in.Run(ctx, s) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ran; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return stop
}

// From datagrams on loopback to the committer; and nothing ever comes back.
func TestUDP(t *testing.T) {
	for _, addr := range []string{"127.0.0.1:0", "[::1]:0"} {
		t.Run(addr, func(t *testing.T) {
			node := testNode(t, idA, keyA, SimulatorOptions{})
			b := newBook()
			in := newIntake(t, Config{Committer: b,
				Registry: testRegistry(t, Device{Number: 1, ID: testID(t, idA), Kind: KindSecure, Key: &keyA})})
			u := listen(t, UDPConfig{Addr: addr})
			stop := start(t, in, u)
			conn := dial(t, u)
			var last []byte
			for i := range 50 {
				last = next(t, node, i, `{"T|C16":299`)
				send(t, conn, last[1:])
			}
			send(t, conn, last[1:])          // duplicate
			send(t, conn, last)              // with its length byte: no datagram
			send(t, conn, []byte("{}"))      // short
			send(t, conn, make([]byte, 900)) // long
			send(t, conn, nil)
			until(t, "55 datagrams", func() bool { return in.Tally().Snapshot().Received == 55 })
			// The socket is asked for an answer only when all was handled.
			stop()
			s := check(t, in, b)
			if s.Verdicts[reading.Authenticated] != 50 || s.Verdicts[reading.Duplicate] != 1 || s.Verdicts[reading.Malformed] != 4 {
				t.Errorf("got %v", s.Verdicts)
			}
			if s.Reasons[FrameLong] != 1 || s.Reasons[FrameShort] != 2 {
				t.Errorf("long %d short %d, want 1 and 2", s.Reasons[FrameLong], s.Reasons[FrameShort])
			}
			for _, sample := range in.Samples().All() {
				if want := "udp " + conn.LocalAddr().String(); sample.Source != want {
					t.Errorf("sample from %q want %q", sample.Source, want)
				}
			}
			if err := conn.SetReadDeadline(time.Now()); err != nil {
				t.Fatal(err)
			}
			if n, err := conn.Read(make([]byte, 100)); err == nil {
				t.Errorf("got an answer of %d bytes", n)
			}
		})
	}
}

// Each source address has its own budget.
func TestUDPSourceLimit(t *testing.T) {
	now := time.Unix(1000, 0)
	b := newBook()
	in := newIntake(t, Config{Committer: b, Registry: NewRegistry()})
	u := listen(t, UDPConfig{SourceRate: 1, SourceBurst: 10, Now: func() time.Time { return now }})
	stop := start(t, in, u)
	one := dial(t, u)
	two, err := net.DialUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 2)}, net.UDPAddrFromAddrPort(u.Addr()))
	if err != nil {
		t.Fatal(err)
	}
	defer two.Close()
	for range 30 {
		send(t, one, []byte("flood"))
	}
	for range 5 {
		send(t, two, []byte("quiet"))
	}
	until(t, "35 datagrams", func() bool { return in.Tally().Snapshot().Received == 35 })
	stop()
	s := check(t, in, b)
	if got := s.Reasons[SourceLimit]; got != 20 {
		t.Errorf("over the limit: got %d want 20", got)
	}
	if got := s.Verdicts[reading.Malformed]; got != 15 {
		t.Errorf("judged: got %d want 15", got)
	}
}

func TestUDPRefusesAddress(t *testing.T) {
	u := listen(t, UDPConfig{})
	defer u.Close()
	for _, addr := range []string{u.Addr().String(), "127.0.0.1:notaport"} {
		if other, err := ListenUDP(UDPConfig{Addr: addr}); err == nil {
			other.Close()
			t.Errorf("%s: got no error", addr)
		}
	}
}

// BenchmarkUDP sends at a fixed pace from the same machine, and reports what
// was lost on the way.
func BenchmarkUDP(b *testing.B) {
	const pace = 40000
	var devices []Device
	var nodes []*Simulator
	for i := range 200 {
		id := frame.ID{0x80 | byte(i>>4), 0x90, 0xa0, byte(i), 5, 6, 7, 8}
		key := frame.Key{byte(i), 7}
		devices = append(devices, Device{Number: uint32(i) + 1, ID: id, Kind: KindSecure, Key: &key})
		nodes = append(nodes, testNode(b, id.String(), key, SimulatorOptions{}))
	}
	registry := NewRegistry()
	if err := registry.Set(devices); err != nil {
		b.Fatal(err)
	}
	wires := make([][]byte, b.N)
	for i := range wires {
		wires[i] = next(b, nodes[i%len(nodes)], 33, `{"T|C16":299,"H|%":83,"L":5`)
	}
	in, err := New(Config{Registry: registry, Committer: swallow{}})
	if err != nil {
		b.Fatal(err)
	}
	u := listen(b, UDPConfig{SourceRate: -1})
	stop := start(b, in, u)
	conn := dial(b, u)
	b.ResetTimer()
	began := time.Now()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for sent := 0; sent < b.N; {
		<-tick.C
		for due := min(b.N, int(time.Since(began).Seconds()*pace)); sent < due; sent++ {
			send(b, conn, wires[sent][1:])
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "sent/s")
	b.StopTimer()
	stop()
	s := in.Tally().Snapshot()
	b.ReportMetric(float64(s.Reasons[KernelDrop]), "kernel-drops")
	b.ReportMetric(float64(s.Reasons[QueueFull]), "queue-drops")
	b.ReportMetric(float64(b.N)-float64(s.Verdicts[reading.Authenticated]), "lost")
}

// swallow answers at once.
type swallow struct{}

func (swallow) Submit(_ context.Context, a []Arrival) error {
	for i := range a {
		a[i].Done(a[i].Verdict, 0, 0, 0, false, nil)
	}
	return nil
}

// BenchmarkIntake is all but the socket: queue, judges, order, committer.
func BenchmarkIntake(b *testing.B) {
	registry := NewRegistry()
	if err := registry.Set([]Device{{Number: 1, ID: testID(b, idA), Kind: KindSecure, Key: &keyA}}); err != nil {
		b.Fatal(err)
	}
	wire := seal(b, keyA, 'O', idA, 4, 9, "!\x10"+`{"T|C16":299,"H|%":83,"L":5`)
	in, err := New(Config{Registry: registry, Committer: swallow{}})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.ResetTimer()
	if err := in.Run(context.Background(), repeat{b.N, datagram(wire)}); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "frames/s")
}

type repeat struct {
	n int
	p Packet
}

func (repeat) Name() string { return "repeat" }

func (r repeat) Run(ctx context.Context, sink Sink) error {
	for range r.n {
		if err := sink.Put(ctx, r.p); err != nil {
			return err
		}
	}
	return nil
}
