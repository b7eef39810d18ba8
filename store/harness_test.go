package store

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"
	"unsafe"

	"github.com/cockroachdb/pebble/v2/vfs"

	"cairn/ingest/frame"
	"cairn/ingest/reading"
	"cairn/merkle/ledger"
	"cairn/store/share"
)

// clock is a clock that tests set: wall and monotonic clock apart.
type clock struct {
	mu   sync.Mutex
	now  time.Time
	mono time.Duration
}

func newClock() *clock {
	return &clock{now: time.Date(2026, 3, 14, 9, 0, 7, 0, time.UTC), mono: time.Hour}
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return withMono(c.now, c.mono)
}

// add lets time pass.
func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	c.now, c.mono = c.now.Add(d), c.mono+d
	c.mu.Unlock()
}

// step moves the wall clock while no time passes.
func (c *clock) step(d time.Duration) {
	c.mu.Lock()
	c.now = c.now.Add(d)
	c.mu.Unlock()
}

func (c *clock) ms() int64 { return c.Now().UnixMilli() }

// withMono gives a wall time the monotonic reading that package time would have
// put beside it: the second word of a Time that came from time.Now.
func withMono(wall time.Time, mono time.Duration) time.Time {
	t := time.Now()
	t = t.Add(wall.Sub(t.Round(0)))
	*(*int64)(unsafe.Add(unsafe.Pointer(&t), 8)) = int64(mono)
	return t
}

func TestWithMono(t *testing.T) {
	wall := time.Date(2026, 3, 14, 9, 0, 0, 0, time.UTC)
	a, b := withMono(wall, time.Hour), withMono(wall.Add(time.Minute), time.Hour+time.Second)
	if b.Sub(a) != time.Second || b.Round(0).Sub(a.Round(0)) != time.Minute {
		t.Fatalf("by the monotonic clock %v, by the wall clock %v: package time keeps them otherwise now", b.Sub(a), b.Round(0).Sub(a.Round(0)))
	}
}

// site is a store under test with some devices that send.
type site struct {
	t     testing.TB
	s     *Store
	fs    vfs.FS
	keys  *share.Keyring
	clock *clock
	opt   Options
	nodes []*node
	rng   *rand.Rand

	keepRuns bool // of a benchmark
}

// node is a device: its key and counter.
type node struct {
	binding ledger.Binding
	opener  *frame.Opener
	counter frame.Counter
	kind    string
	id      frame.ID
}

func newSite(t testing.TB, devices int) *site {
	t.Helper()
	x := &site{t: t, fs: newMem(), keys: newKeys(), clock: newClock(), rng: newRand(1)}
	x.open()
	for range devices {
		x.addDevice()
	}
	return x
}

func newMem() *vfs.MemFS             { return vfs.NewMem() }
func newKeys() *share.Keyring        { return share.MemorySeed([32]byte{1}) }
func newRand(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 2)) }

// options are what the site is opened with.
func (x *site) options() Options {
	o := x.opt
	o.Dir, o.FS, o.Keyring, o.Now = "db", x.fs, x.keys, x.clock.Now
	if o.Clock == nil {
		o.Clock = func() reading.Clock { return reading.Synced }
	}
	if o.Free == nil {
		o.Free = func() (uint64, error) { return 1 << 40, nil }
	}
	return o
}

func (x *site) open() {
	x.t.Helper()
	s, err := Open(x.options())
	if err != nil {
		x.t.Fatalf("Open: %v", err)
	}
	x.s = s
	x.t.Cleanup(func() {
		if x.s == s {
			s.Close()
		}
	})
	x.sync()
}

func (x *site) close() {
	x.t.Helper()
	if err := x.s.Close(); err != nil {
		x.t.Fatalf("Close: %v", err)
	}
	x.s = nil
}

func (x *site) restart() {
	x.t.Helper()
	x.close()
	x.open()
}

func (x *site) addDevice() *node {
	x.t.Helper()
	n := len(x.nodes)
	key := frame.Key{15: byte(n + 1), 0: 0x42}
	d := &node{id: frame.ID{0x80, byte(n >> 8), byte(n), 0x90, 0xaa, 0xaa, 0xaa, byte(n)}, kind: ledger.BindSecure, counter: 0x2a000318}
	b, err := x.s.AddDevice(context.Background(), NewDevice{ID: d.id, Name: fmt.Sprintf("fridge %d", n), Kind: d.kind, Key: &key})
	if err != nil {
		x.t.Fatalf("AddDevice: %v", err)
	}
	if d.opener, err = frame.NewOpener(key); err != nil {
		x.t.Fatal(err)
	}
	d.binding = b
	x.nodes = append(x.nodes, d)
	return d
}

// arrival seals a frame with a temperature (16ths of a degree) and gives it as
// intake would.
func (n *node) arrival(t testing.TB, sixteenths int) Arrival {
	t.Helper()
	n.counter++
	return n.arrivalAt(t, n.counter, sixteenths)
}

func (n *node) arrivalAt(t testing.TB, c frame.Counter, sixteenths int) Arrival {
	t.Helper()
	body, err := frame.AppendBody(nil, frame.Body{Valve: -1, Stats: fmt.Appendf(nil, `{"T|C16":%d`, sixteenths)})
	if err != nil {
		t.Fatal(err)
	}
	wire, err := n.opener.Seal(nil, frame.TypeBasic|frame.SecureBit, n.id, 4, c, body)
	if err != nil {
		t.Fatal(err)
	}
	m, err := reading.FromStat("T", "C16", true, int64(sixteenths), "")
	if err != nil {
		t.Fatal(err)
	}
	return Arrival{
		Device: n.binding.Number, Epoch: n.binding.Epoch, Verdict: reading.Authenticated, Transport: "udp", Counter: c,
		Measurements: []reading.Measurement{m}, Wire: wire, Body: body, Type: frame.TypeBasic | frame.SecureBit, IDLen: 4,
	}
}

// answer is what Done said.
type answer struct {
	verdict   reading.Verdict
	slot, seq uint64
	received  int64
	rebooted  bool
	err       error
}

// submit sends arrivals as one slice and waits for the answers, in order.
func (x *site) submit(all ...Arrival) []answer {
	x.t.Helper()
	out := make([]answer, len(all))
	var wg sync.WaitGroup
	wg.Add(len(all))
	for i := range all {
		all[i].Done = func(v reading.Verdict, slot, seq uint64, received int64, rebooted bool, err error) {
			out[i] = answer{v, slot, seq, received, rebooted, err}
			wg.Done()
		}
	}
	if err := x.s.Submit(context.Background(), all); err != nil {
		x.t.Fatalf("Submit: %v", err)
	}
	wg.Wait()
	return out
}

// send takes one reading from each node.
func (x *site) send(nodes ...*node) []answer {
	x.t.Helper()
	all := make([]Arrival, len(nodes))
	for i, n := range nodes {
		all[i] = n.arrival(x.t, 60+x.rng.IntN(40))
	}
	out := x.submit(all...)
	for i, a := range out {
		if a.err != nil || a.verdict != reading.Authenticated {
			x.t.Fatalf("reading %d: %v, %v", i, a.verdict, a.err)
		}
	}
	return out
}

// pass moves the clock and waits until the committer has seen it.
func (x *site) pass(d time.Duration) {
	x.t.Helper()
	x.clock.add(d)
	x.sync()
}

// sync waits until the committer has looked at the clock and all is durable.
func (x *site) sync() {
	x.t.Helper()
	for range 2 {
		durable := make(chan error, 1)
		if err := x.s.do(context.Background(), func() error {
			x.s.com.write(x.s.db.NewBatch(), nil, func(err error) { durable <- err })
			return nil
		}); err != nil {
			x.t.Fatalf("sync: %v", err)
		}
		if err := <-durable; err != nil {
			x.t.Fatalf("sync: %v", err)
		}
	}
}

// seal seals every quarter hour that has ended.
func (x *site) seal() {
	x.t.Helper()
	for {
		did, err := x.s.sealNext(context.Background())
		if err != nil {
			x.t.Fatalf("seal: %v", err)
		}
		if !did {
			return
		}
	}
}

// check is the total check after every step.
func (x *site) check() FsckReport {
	x.t.Helper()
	rep, err := x.s.Fsck(context.Background(), FsckOptions{})
	if err != nil {
		x.t.Fatalf("fsck: %v", err)
	}
	if !rep.OK() {
		x.t.Fatalf("fsck: %v", rep.Findings)
	}
	return rep
}

const minute = time.Minute
