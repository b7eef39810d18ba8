package ingest

import (
	"context"
	"encoding/hex"
	"errors"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"cairn/ingest/frame"
	"cairn/ingest/reading"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// book is a committer with the counter rules of a real one. It answers from its
// own goroutine.
type book struct {
	mu    sync.Mutex
	last  map[[2]uint32]frame.Counter
	wires map[[2]uint32]string
	taken []Arrival         // all that was submitted, in order
	final []reading.Verdict // in the same order
	err   error             // what Submit returns
	fail  error             // what Done is told
	gate  chan struct{}     // if set, Submit waits for it
	busy  sync.WaitGroup
}

func newBook() *book {
	return &book{last: make(map[[2]uint32]frame.Counter), wires: make(map[[2]uint32]string)}
}

func (b *book) Submit(ctx context.Context, a []Arrival) error {
	if b.gate != nil {
		select {
		case <-b.gate:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err != nil {
		return b.err
	}
	for _, x := range a {
		v, rebooted := b.judge(x)
		b.taken = append(b.taken, x)
		b.final = append(b.final, v)
		slot, seq, received, err := uint64(1), uint64(len(b.taken)), int64(1000), b.fail
		if v == reading.Duplicate || v == reading.Replay || v == reading.CounterConflict {
			slot, seq, received = 0, 0, 0 // no reading
		}
		b.busy.Go(func() { x.Done(v, slot, seq, received, rebooted, err) })
	}
	return nil
}

func (b *book) judge(a Arrival) (v reading.Verdict, rebooted bool) {
	if a.Verdict != reading.Authenticated {
		return a.Verdict, false
	}
	key := [2]uint32{a.Device, a.Epoch}
	last := b.last[key]
	switch {
	case a.Counter == last && b.wires[key] == string(a.Wire):
		return reading.Duplicate, false
	case a.Counter == last && last != 0:
		return reading.CounterConflict, false
	case a.Counter <= last:
		return reading.Replay, false
	}
	b.last[key], b.wires[key] = a.Counter, string(a.Wire)
	return reading.Authenticated, last != 0 && a.Counter.Restart() > last.Restart()
}

// check is the check after every test: what went in came out once.
func check(t *testing.T, in *Intake, b *book) Snapshot {
	t.Helper()
	b.busy.Wait()
	s := in.Tally().Snapshot()
	if s.Pending != 0 {
		t.Errorf("pending: got %d want 0", s.Pending)
	}
	sum := s.Aside
	for _, n := range s.Verdicts {
		sum += n
	}
	for _, r := range []Reason{SourceLimit, QueueFull, DeviceShare, OpaqueLimit, CommitterRefused, CommitFailed} {
		sum += s.Reasons[r]
	}
	if sum != s.Received {
		t.Errorf("accounted for %d of %d received: %+v", sum, s.Received, s)
	}
	return s
}

// script is a source that puts packets and ends.
type script struct {
	packets []Packet
	offer   bool
}

func (s script) Name() string { return "script" }

func (s script) Run(ctx context.Context, sink Sink) error {
	for _, p := range s.packets {
		if s.offer {
			sink.Offer(p)
		} else if err := sink.Put(ctx, p); err != nil {
			return err
		}
	}
	return nil
}

func datagram(wire []byte) Packet {
	return Packet{Form: FormDatagram, Data: wire[1:], Transport: reading.TransportUDP}
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func testID(t testing.TB, s string) frame.ID {
	t.Helper()
	id, err := frame.ParseID(s)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func testNode(t testing.TB, id string, key frame.Key, o SimulatorOptions) *Simulator {
	t.Helper()
	s, err := NewSimulator(testID(t, id), key, o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func next(t testing.TB, s *Simulator, valve int, stats string) []byte {
	t.Helper()
	wire, err := s.Next(frame.Body{Valve: valve, Stats: []byte(stats)})
	if err != nil {
		t.Fatal(err)
	}
	return wire
}

func testRegistry(t testing.TB, devices ...Device) *Registry {
	t.Helper()
	r := NewRegistry()
	if err := r.Set(devices); err != nil {
		t.Fatal(err)
	}
	return r
}

func newIntake(t *testing.T, cfg Config) *Intake {
	t.Helper()
	in, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return in
}

var (
	keyA = frame.Key{1}
	keyB = frame.Key{2}
	keyC = frame.Key{3}
)

const (
	idA = "aaaaaaaa55555555"
	idB = "aaaaaaaa66666666" // the same four bytes
	idO = "c0c1c2c3c4c5c6c7"
	idT = "0d49818283848586"
	idH = "f1f2f3f4f5f6f7f8"
)

func TestNewNeedsBoth(t *testing.T) {
	if _, err := New(Config{Registry: NewRegistry()}); err == nil {
		t.Error("without committer: got no error")
	}
	if _, err := New(Config{Committer: newBook()}); err == nil {
		t.Error("without registry: got no error")
	}
}

// The published vector V3, from the datagram to the committer.
func TestVectorV3(t *testing.T) {
	wire := unhex(t, "3ecf94aaaaaaaa20b345f92969570cb8286614b4f069b00871dad8fe47c1c353834888037d587575"+
		"00002a000319293b3152c326d26dd08d701e4b680dcb80")
	b := newBook()
	in := newIntake(t, Config{Committer: b, Registry: testRegistry(t,
		Device{Number: 7, ID: testID(t, idA), Epoch: 3, Kind: KindSecure, Key: &frame.Key{}})})
	if err := in.Run(t.Context(), script{packets: []Packet{datagram(wire)}}); err != nil {
		t.Fatal(err)
	}
	check(t, in, b)
	if len(b.taken) != 1 {
		t.Fatalf("got %d arrivals want 1", len(b.taken))
	}
	a := b.taken[0]
	if a.Device != 7 || a.Epoch != 3 || a.Verdict != reading.Authenticated || a.Transport != "udp" ||
		a.Counter != frame.NewCounter(42, 793) || string(a.Wire) != string(wire) ||
		string(a.Body) != "\x7f\x11{\"b\":1" || a.Type != 0xcf || a.IDLen != 4 {
		t.Errorf("got %+v", a)
	}
	want := reading.Measurement{Name: "b", Value: reading.Int(1)}
	if len(a.Measurements) != 1 || a.Measurements[0] != want {
		t.Errorf("measurements: got %v want %v", a.Measurements, want)
	}
}

// Frames reach the committer in the order in which they came, with several
// judges and chunks of all sizes.
func TestOrder(t *testing.T) {
	node := testNode(t, idA, keyA, SimulatorOptions{})
	var packets []Packet
	for range 20000 {
		packets = append(packets, datagram(next(t, node, 10, "")))
	}
	b := newBook()
	in := newIntake(t, Config{Committer: b, Judges: 4, Batch: 7, Queue: 100, Registry: testRegistry(t,
		Device{Number: 1, ID: testID(t, idA), Kind: KindSecure, Key: &keyA})})
	if err := in.Run(t.Context(), script{packets: packets}); err != nil {
		t.Fatal(err)
	}
	s := check(t, in, b)
	if got := s.Verdicts[reading.Authenticated]; got != 20000 {
		t.Errorf("authenticated: got %d want 20000 (%v)", got, s.Verdicts)
	}
}

// With the committer stuck, offers beyond the queue are dropped and counted,
// and what was queued arrives once it moves again.
func TestQueueFull(t *testing.T) {
	node := testNode(t, idA, keyA, SimulatorOptions{})
	var packets []Packet
	for i := range 200 {
		p := datagram(next(t, node, 10, ""))
		p.From = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, byte(i)}), 1) // nobody has too large a share
		packets = append(packets, p)
	}
	b := newBook()
	b.gate = make(chan struct{})
	var events []Event
	in := newIntake(t, Config{Committer: b, Judges: 2, Batch: 10, Queue: 100, Drain: time.Minute,
		Events:   func(e Event) { events = append(events, e) },
		Registry: testRegistry(t, Device{Number: 1, ID: testID(t, idA), Kind: KindSecure, Key: &keyA})})
	open := openGate{script{packets: packets, offer: true}, b.gate}
	if err := in.Run(t.Context(), open); err != nil {
		t.Fatal(err)
	}
	s := check(t, in, b)
	got := s.Verdicts[reading.Authenticated]
	// Idle judges may close up to Judges+1 chunks before they are full.
	if got < 70 || got > 100 || s.Reasons[QueueFull] != 200-got {
		t.Errorf("got %d recorded, %d dropped, want 70 to 100 and the rest", got, s.Reasons[QueueFull])
	}
	if len(events) != 1 || events[0].Kind != EventDropped || events[0].Source != "script" {
		t.Errorf("events: got %+v want one %s", events, EventDropped)
	}
}

// openGate opens the committer's gate when the script is over.
type openGate struct {
	script
	gate chan struct{}
}

func (o openGate) Run(ctx context.Context, sink Sink) error {
	defer close(o.gate)
	return o.script.Run(ctx, sink)
}

// Put waits while the queue is full, and gives up with its context.
func TestPutWaits(t *testing.T) {
	node := testNode(t, idA, keyA, SimulatorOptions{})
	var packets []Packet
	for range 100 {
		packets = append(packets, datagram(next(t, node, 10, "")))
	}
	b := newBook()
	b.gate = make(chan struct{})
	in := newIntake(t, Config{Committer: b, Judges: 1, Batch: 5, Queue: 20, Drain: time.Millisecond,
		Registry: testRegistry(t, Device{Number: 1, ID: testID(t, idA), Kind: KindSecure, Key: &keyA})})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := in.Run(ctx, script{packets: packets}); err != nil {
		t.Fatal(err)
	}
	s := check(t, in, b)
	if s.Received == 0 || s.Received > 20 || s.Reasons[CommitterRefused] != s.Received || s.Reasons[QueueFull] != 0 {
		t.Errorf("received %d, refused %d, dropped %d; want at most 20, the same, 0",
			s.Received, s.Reasons[CommitterRefused], s.Reasons[QueueFull])
	}
}

func TestRefusedAndFailed(t *testing.T) {
	full, broken := errors.New("disk full"), errors.New("broken")
	for _, c := range []struct {
		name       string
		err, fail  error
		reason     Reason
		want       error
		sentinel   bool
		wantDetail string
	}{
		{"refused", full, nil, CommitterRefused, full, true, "committer refused: disk full"},
		{"failed", nil, broken, CommitFailed, broken, false, "broken"},
	} {
		t.Run(c.name, func(t *testing.T) {
			node := testNode(t, idA, keyA, SimulatorOptions{})
			b := newBook()
			b.err, b.fail = c.err, c.fail
			var events []Event
			in := newIntake(t, Config{Committer: b, Events: func(e Event) { events = append(events, e) },
				Registry: testRegistry(t, Device{Number: 1, ID: testID(t, idA), Kind: KindSecure, Key: &keyA})})
			told := make(chan error, 2)
			p := datagram(next(t, node, 1, ""))
			p.Done = func(_ reading.Verdict, _, _ uint64, _ int64, _ bool, err error) { told <- err }
			if err := in.Run(t.Context(), waitFor{script{packets: []Packet{p}}, &b.busy}); err != nil {
				t.Fatal(err)
			}
			s := check(t, in, b)
			if got := s.Reasons[c.reason]; got != 1 {
				t.Errorf("%v: got %d want 1", c.reason, got)
			}
			if err := <-told; !errors.Is(err, c.want) || errors.Is(err, ErrRefused) != c.sentinel {
				t.Errorf("done: got %v want %v", err, c.want)
			}
			if c.sentinel && (len(events) != 1 || events[0].Detail != c.wantDetail) {
				t.Errorf("events: got %+v want detail %q", events, c.wantDetail)
			}
		})
	}
}

// waitFor only ends its run when the committer has answered.
type waitFor struct {
	script
	busy *sync.WaitGroup
}

func (w waitFor) Run(ctx context.Context, sink Sink) error {
	defer w.busy.Wait()
	return w.script.Run(ctx, sink)
}

// A source that fails stops the others, and its error comes back.
func TestSourceFails(t *testing.T) {
	b := newBook()
	in := newIntake(t, Config{Committer: b, Registry: NewRegistry()})
	bad := errors.New("no such device")
	err := in.Run(t.Context(), endless{}, failing{bad})
	if !errors.Is(err, bad) || !strings.Contains(err.Error(), "source failing") {
		t.Errorf("got %v want %v of source failing", err, bad)
	}
	check(t, in, b)
}

type endless struct{}

func (endless) Name() string { return "endless" }
func (endless) Run(ctx context.Context, _ Sink) error {
	<-ctx.Done()
	return ctx.Err()
}

type failing struct{ err error }

func (failing) Name() string                      { return "failing" }
func (f failing) Run(context.Context, Sink) error { return f.err }

// Every verdict that a frame can get, through the whole intake, with its events.
func TestRunVerdicts(t *testing.T) {
	a := testNode(t, idA, keyA, SimulatorOptions{Counter: frame.NewCounter(5, 100)})
	stranger := testNode(t, "e0e1e2e3e4e5e6e7", keyA, SimulatorOptions{})
	forger := testNode(t, idA, keyC, SimulatorOptions{})
	opaque := testNode(t, idO, keyC, SimulatorOptions{})
	first, second := next(t, a, 1, ""), next(t, a, 2, "")
	twin := testNode(t, idA, keyA, SimulatorOptions{Counter: frame.NewCounter(5, 101)})
	conflict := next(t, twin, 50, "")
	if err := a.Reboot(); err != nil {
		t.Fatal(err)
	}
	third := next(t, a, 3, "")
	plain, err := frame.AppendInsecure(nil, frame.TypeBasic, 1, a.id[:2], []byte{1, 0})
	if err != nil {
		t.Fatal(err)
	}
	packets := []Packet{
		datagram(first), datagram(second),
		datagram(second),   // duplicate
		datagram(conflict), // counter-conflict
		datagram(first),    // replay
		datagram(third),    // authenticated, after a reboot
		datagram(next(t, forger, 1, "")),
		datagram(next(t, stranger, 1, "")),
		datagram(next(t, opaque, 1, "")),
		datagram(plain),
		{Form: FormDatagram, Data: []byte("hello"), Transport: reading.TransportUDP},
	}
	b := newBook()
	var events []Event
	in := newIntake(t, Config{Committer: b, Events: func(e Event) { events = append(events, e) },
		Registry: testRegistry(t,
			Device{Number: 1, ID: testID(t, idA), Kind: KindSecure, Key: &keyA},
			Device{Number: 2, ID: testID(t, idO), Kind: KindOpaque})})
	if err := in.Run(t.Context(), waitFor{script{packets: packets}, &b.busy}); err != nil {
		t.Fatal(err)
	}
	s := check(t, in, b)
	want := map[reading.Verdict]uint64{
		reading.Authenticated: 3, reading.Duplicate: 1, reading.CounterConflict: 1, reading.Replay: 1,
		reading.BadTag: 1, reading.UnknownNode: 1, reading.Opaque: 1, reading.Insecure: 1, reading.Malformed: 1,
	}
	for _, v := range reading.Verdicts() {
		if s.Verdicts[v] != want[v] {
			t.Errorf("%v: got %d want %d", v, s.Verdicts[v], want[v])
		}
	}
	if s.Reboots != 1 {
		t.Errorf("reboots: got %d want 1", s.Reboots)
	}
	if got := len(in.Samples().All()); got != 4 {
		t.Errorf("samples: got %d want 4", got)
	}
	seen := make(map[EventKind]bool)
	for _, e := range events {
		seen[e.Kind] = true
	}
	// What the committer answers late may come when nobody listens any more;
	// these are made while judging.
	for _, k := range []EventKind{EventBadTag, EventInClear} {
		if !seen[k] {
			t.Errorf("no event %s in %+v", k, events)
		}
	}
}

// The events of the committer's answers.
func TestFinishEvents(t *testing.T) {
	var got []Event
	in := newIntake(t, Config{Committer: newBook(), Registry: NewRegistry(), Events: func(e Event) { got = append(got, e) }})
	in.finish(4, reading.Authenticated, 9, 17, true, nil)
	in.finish(4, reading.CounterConflict, 0, 0, false, nil)
	in.finish(4, reading.CounterConflict, 0, 0, false, nil)
	for range 3 {
		in.finish(4, reading.Replay, 0, 0, false, nil)
	}
	if err := in.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := []EventKind{EventReboot, EventConflict, EventConflict, EventReplay}
	if len(got) != len(want) {
		t.Fatalf("got %d events want %d: %+v", len(got), len(want), got)
	}
	for i, e := range got {
		if e.Kind != want[i] || e.Device != 4 {
			t.Errorf("event %d: got %s of %d want %s of 4", i, e.Kind, e.Device, want[i])
		}
	}
	if e := got[0]; !e.Committed || e.Slot != 9 || e.Seq != 17 {
		t.Errorf("reboot: got %+v want slot 9 sequence 17", e)
	}
}

// A listener that hangs costs events, never intake.
func TestEventsNeverBlock(t *testing.T) {
	hang, hung := make(chan struct{}), make(chan struct{})
	var once sync.Once
	in := newIntake(t, Config{Committer: newBook(), Registry: NewRegistry(), Events: func(Event) {
		once.Do(func() { close(hung) })
		<-hang
	}})
	ctx, cancel := context.WithCancel(t.Context())
	ran := make(chan error)
	go func() { ran <- in.Run(ctx, endless{}) }()
	in.finish(1, reading.CounterConflict, 0, 0, false, nil)
	<-hung
	for range eventQueue + 10 {
		in.finish(1, reading.CounterConflict, 0, 0, false, nil)
	}
	if got := in.Tally().Snapshot().EventsLost; got != 10 {
		t.Errorf("lost: got %d want 10", got)
	}
	close(hang)
	cancel()
	if err := <-ran; err != nil {
		t.Fatal(err)
	}
}

func TestThrottle(t *testing.T) {
	var th throttle
	at := time.Unix(1000, 0)
	pass := func(kind EventKind, device uint32, after time.Duration) (bool, uint64) {
		e := Event{Kind: kind, Device: device, At: at.Add(after)}
		ok := th.pass(&e)
		return ok, e.Count
	}
	for i, c := range []struct {
		kind   EventKind
		device uint32
		after  time.Duration
		ok     bool
		count  uint64
	}{
		{EventBadTag, 1, 0, true, 1},
		{EventBadTag, 1, time.Second, false, 1},
		{EventBadTag, 1, 2 * time.Second, false, 1},
		{EventBadTag, 2, 2 * time.Second, true, 1},
		{EventReplay, 1, 2 * time.Second, true, 1},
		{EventBadTag, 1, time.Minute, true, 3},
		{EventBadTag, 1, time.Minute, false, 1},
		{EventReboot, 1, 0, true, 1},
		{EventReboot, 1, 0, true, 1},
	} {
		if ok, count := pass(c.kind, c.device, c.after); ok != c.ok || ok && count != c.count {
			t.Errorf("%d: got %t %d want %t %d", i, ok, count, c.ok, c.count)
		}
	}
	for device := range uint32(3 * maxThrottled) {
		pass(EventBadTag, device, time.Hour)
	}
	if len(th.last) > maxThrottled {
		t.Errorf("table: got %d want at most %d", len(th.last), maxThrottled)
	}
}
