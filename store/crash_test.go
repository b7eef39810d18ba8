package store

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"cairn/ingest/frame"
	"cairn/ingest/reading"
	"cairn/merkle"
	"cairn/merkle/ledger"
)

// world is a site that loses power again and again, and all that it ever said.
type world struct {
	*site
	t    *testing.T
	seed uint64
	mem  *vfs.MemFS

	mu       sync.Mutex // guards what follows: what was said, and the crash
	said     said
	crash    *vfs.MemFS // nil until the power goes
	atCrash  said
	fuse     atomic.Int64 // write operations of the disk until the power goes
	unsynced int
	cfgRNG   *rand.Rand

	names    int
	counters map[uint32]frame.Counter
}

// linkedFS is a disk on which a file that was synced is also in its folder, as
// on ext4, xfs and btrfs. Pebble relies on it where it starts a manifest: it
// syncs the folder only after the marker that names the new one.
type linkedFS struct{ *vfs.MemFS }

func (l linkedFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := l.MemFS.Create(name, c)
	if err != nil {
		return nil, err
	}
	return &linkedFile{File: f, fs: l.MemFS, dir: l.PathDir(name)}, nil
}

type linkedFile struct {
	vfs.File
	fs     *vfs.MemFS
	dir    string
	linked bool
}

func (f *linkedFile) Sync() error {
	if err := f.File.Sync(); err != nil || f.linked {
		return err
	}
	f.linked = true
	d, err := f.fs.OpenDir(f.dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// said is what somebody outside may rely on.
type said struct {
	readings    []acked
	checkpoints [][]byte
	statements  [][]byte // by number, up to what was acknowledged
	bindings    map[uint32]ledger.Binding
	intake      map[uint64][]byte // signed intake heads by number
	logKeys     []ed25519.PublicKey
}

type acked struct {
	arrival   Arrival
	slot, seq uint64
	received  int64
}

func (s *said) copy() said {
	c := said{readings: s.readings[:len(s.readings):len(s.readings)], checkpoints: s.checkpoints[:len(s.checkpoints):len(s.checkpoints)]}
	c.statements = s.statements[:len(s.statements):len(s.statements)]
	c.logKeys = s.logKeys
	c.bindings, c.intake = map[uint32]ledger.Binding{}, map[uint64][]byte{}
	for k, v := range s.bindings {
		c.bindings[k] = v
	}
	for k, v := range s.intake {
		c.intake[k] = v
	}
	return c
}

// MaybeError is the disk: when the fuse has burned down, it keeps what a power
// loss at this instant would leave.
func (w *world) MaybeError(op errorfs.Op) error {
	if op.Kind.ReadOrWrite() == errorfs.OpIsWrite && w.fuse.Add(-1) == 0 {
		w.powerLoss()
	}
	return nil
}

func (w *world) String() string { return "power" }

func (w *world) powerLoss() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.crash != nil {
		return
	}
	w.atCrash = w.said.copy()
	cfg := vfs.CrashCloneCfg{UnsyncedDataPercent: w.unsynced}
	if w.unsynced > 0 {
		cfg.RNG = w.cfgRNG
	}
	w.crash = w.mem.CrashClone(cfg)
}

func (w *world) crashed() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.crash != nil
}

// look notes what readers of the store see: all of it is durable.
func (w *world) look() {
	w.t.Helper()
	intake := map[uint64][]byte{}
	r := w.s.reader()
	err := r.commits(0, r.v.nextCommit, func(rec *record) (bool, error) {
		intake[rec.number] = bytes.Clone(rec.head)
		return true, nil
	})
	var statements [][]byte
	for n := range r.v.state.Statements {
		item, _, _, e := w.s.StatementAt(n, r.v.state.Statements)
		if e != nil {
			err = e
		}
		statements = append(statements, item)
	}
	note, devices, logKeys := r.v.checkpoint, r.v.devices, w.s.LogKeys()
	r.close()
	if err != nil {
		w.t.Fatalf("seed %d: %v", w.seed, err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for n, head := range intake {
		if old, ok := w.said.intake[n]; ok && !bytes.Equal(old, head) {
			w.t.Errorf("seed %d: intake head %d changed", w.seed, n)
		}
		w.said.intake[n] = head
	}
	if note != nil {
		w.said.checkpoints = append(w.said.checkpoints, note)
	}
	w.said.statements, w.said.logKeys = statements, logKeys
	for _, b := range devices {
		w.said.bindings[b.Number] = b
	}
}

// deliver submits arrivals and notes what is acknowledged.
func (w *world) deliver(all ...Arrival) {
	var wg sync.WaitGroup
	wg.Add(len(all))
	for i := range all {
		a := all[i]
		all[i].Done = func(v reading.Verdict, slot, seq uint64, received int64, _ bool, err error) {
			if err == nil && v == a.Verdict {
				w.mu.Lock()
				w.said.readings = append(w.said.readings, acked{a, slot, seq, received})
				w.mu.Unlock()
			}
			wg.Done()
		}
	}
	if w.s.Submit(context.Background(), all) == nil {
		wg.Wait()
	}
}

func (w *world) next(n *node) Arrival {
	w.mu.Lock()
	w.counters[n.binding.Number] += 1 + frame.Counter(w.cfgRNG.IntN(3))
	if w.cfgRNG.IntN(40) == 0 { // the node reboots
		w.counters[n.binding.Number] += 1 << 24
	}
	c, t := w.counters[n.binding.Number], w.cfgRNG.IntN(1000)
	w.mu.Unlock()
	return n.arrivalAt(w.t, c, t)
}

func (w *world) randomKey() *frame.Key {
	var k frame.Key
	for i := range k {
		k[i] = byte(w.rng.Uint32())
	}
	return &k
}

func (w *world) addNode() {
	w.names++
	id := frame.ID{0x80, byte(w.rng.IntN(4)), 1, 2, 3, 4, 5, 6}
	n, err := w.add(NewDevice{ID: id, Name: fmt.Sprint("device ", w.names), Kind: ledger.BindSecure, Key: w.randomKey()})
	if err != nil {
		w.t.Fatalf("seed %d: %v", w.seed, err)
	}
	w.nodes = append(w.nodes, n)
}

// step does one thing that an operator or the time might do.
func (w *world) step() {
	ctx := context.Background()
	pick := w.nodes[w.rng.IntN(len(w.nodes))]
	var err error
	switch w.rng.IntN(15) {
	case 0, 1, 2:
		var all []Arrival
		for range 1 + w.rng.IntN(20) {
			all = append(all, w.next(w.nodes[w.rng.IntN(len(w.nodes))]))
		}
		w.deliver(all...)
	case 3, 4, 5:
		w.pass(time.Duration(1+w.rng.IntN(70)) * time.Second)
	case 6:
		w.pass(time.Duration(1+w.rng.IntN(40)) * time.Minute)
	case 7:
		w.seal()
	case 8:
		if len(w.nodes) < 12 {
			w.addNode()
		}
	case 9:
		key := w.randomKey()
		var b ledger.Binding
		if b, err = w.s.RotateDevice(ctx, pick.binding.Number, key, 0); err == nil {
			pick.binding = b
			pick.opener, err = frame.NewOpener(*key)
		}
	case 10:
		_, err = w.s.AddStatement(ctx, ledger.Statement{Kind: "note", Body: map[string]any{"n": w.rng.Int64N(100)}})
	case 13:
		err = w.late(ctx)
	case 14:
		if err = w.s.CloseLate(ctx, 1+w.rng.Uint32N(uint32(len(w.s.Devices())))); errors.Is(err, ErrUnknown) {
			err = nil
		}
	case 12:
		_, err = w.s.RotateLogKey(ctx)
	case 11:
		if len(w.nodes) > 4 {
			if err = w.s.RemoveDevice(ctx, pick.binding.Number); err == nil {
				w.nodes = append(w.nodes[:0:0], w.nodes...)
				for i := range w.nodes {
					if w.nodes[i] == pick {
						w.nodes = append(w.nodes[:i], w.nodes[i+1:]...)
						break
					}
				}
			}
		}
	}
	if err != nil {
		w.t.Fatalf("seed %d: %v", w.seed, err)
	}
	w.look()
}

// live runs the gateway until the power goes.
func (w *world) live() {
	var disk vfs.FS = w.mem
	if w.unsynced = []int{0, 50, 100}[w.rng.IntN(3)]; w.unsynced == 50 {
		disk = linkedFS{w.mem}
	}
	w.fs = errorfs.Wrap(disk, w)
	w.fuse.Store(1 + w.rng.Int64N(250))
	w.open()
	w.look()
	w.knownNodes()
	for len(w.nodes) < 3 {
		w.addNode()
	}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for i := range 2 { // these never stop while the power is on
		n := &node{id: w.nodes[i].id, binding: w.nodes[i].binding, opener: w.nodes[i].opener}
		wg.Add(1)
		go func() {
			defer wg.Done()
			for {
				select {
				case <-stop:
					return
				default:
					w.deliver(w.next(n), w.next(n))
				}
			}
		}()
	}
	for range 40 {
		if w.crashed() {
			break
		}
		w.step()
	}
	w.powerLoss() // if it has not gone yet
	close(stop)
	wg.Wait()
	w.s.Close()
}

// knownNodes takes over the devices that the store knows.
func (w *world) knownNodes() {
	w.nodes = nil
	for _, b := range w.s.Devices() {
		if b.Closed {
			continue
		}
		key, ok := w.s.DeviceKey(b.Number, b.Epoch)
		if !ok {
			w.t.Fatalf("seed %d: the key of device %d is gone", w.seed, b.Number)
		}
		n := &node{id: b.ID, binding: b}
		n.opener, _ = frame.NewOpener(key)
		w.nodes = append(w.nodes, n)
	}
}

// recover opens what the crash left and holds it against what was said.
func (w *world) recover() {
	w.t.Helper()
	w.mem, w.said = w.crash, w.atCrash.copy()
	w.crash = nil
	w.fs = w.mem
	w.open()
	w.check()
	w.holds()
	w.replay()
	if w.rng.IntN(2) == 0 {
		w.pass(time.Minute)
		w.check()
	}
	if w.rng.IntN(3) == 0 {
		w.seal()
		w.check()
	}
	w.holds()
	w.look()
	w.close()
}

// holds checks that everything that was said is still so.
func (w *world) holds() {
	t := w.t
	t.Helper()
	r := w.s.reader()
	defer r.close()
	for i := range w.said.readings {
		a := &w.said.readings[i]
		if a.slot >= uint64(len(r.v.streams)) {
			t.Fatalf("seed %d: stream %d is gone", w.seed, a.slot)
		}
		all, err := r.readings(&r.v.streams[a.slot], a.seq, a.seq+1)
		if err != nil {
			t.Fatalf("seed %d: reading %d of stream %d was acknowledged: %v", w.seed, a.seq, a.slot, err)
		}
		got := &all[0]
		if err := r.complete(got); err != nil {
			t.Fatal(err)
		}
		if got.Received != a.received || got.Frame != merkle.Hash(sha256.Sum256(a.arrival.Wire)) || got.Measurements[0] != a.arrival.Measurements[0] {
			t.Fatalf("seed %d: reading %d of stream %d is %+v, acknowledged was %+v", w.seed, a.seq, a.slot, got.Reading, a)
		}
	}
	for range min(5, len(w.said.readings)) {
		a := &w.said.readings[w.rng.IntN(len(w.said.readings))]
		e, err := w.s.Evidence(a.slot, a.seq)
		if errors.Is(err, ErrNotBatched) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		verify(t, w.site, e)
	}
	if now := w.s.LogKeys(); len(now) < len(w.said.logKeys) || !sameKeys(now[:len(w.said.logKeys)], w.said.logKeys) {
		t.Fatalf("seed %d: log keys %x, they were %x", w.seed, now, w.said.logKeys)
	}
	w.logHolds()
	w.keysHold()
	for n, item := range w.said.statements {
		if got, _, _, err := w.s.StatementAt(uint64(n), w.s.Statements()); err != nil || !bytes.Equal(got, item) {
			t.Fatalf("seed %d: statement %d is %x, %v; it was %x", w.seed, n, got, err, item)
		}
	}
	if err := r.commits(0, r.v.nextCommit, func(rec *record) (bool, error) {
		if head, ok := w.said.intake[rec.number]; ok && !bytes.Equal(head, rec.head) {
			t.Fatalf("seed %d: another intake head %d was signed", w.seed, rec.number)
		}
		return true, nil
	}); err != nil {
		t.Fatal(err)
	}
	for _, now := range w.s.Devices() {
		if b, ok := w.said.bindings[now.Number]; ok && (now.Epoch < b.Epoch || b.Closed && !now.Closed || now.Slot != b.Slot) {
			t.Fatalf("seed %d: device %d went back from %+v to %+v", w.seed, now.Number, b, now)
		}
		delete(w.said.bindings, now.Number)
	}
	for _, b := range w.said.bindings {
		t.Fatalf("seed %d: device %+v is gone", w.seed, b)
	}
}

// logHolds: every checkpoint that was shown is a prefix of the log.
func (w *world) logHolds() {
	t := w.t
	size := w.s.LogSize()
	root, err := w.s.RootAt(size)
	if err != nil {
		t.Fatal(err)
	}
	for _, note := range w.said.checkpoints {
		cp, err := w.s.OpenCheckpoint(note)
		if err != nil {
			t.Fatal(err)
		}
		path, err := merkle.ProveConsistency(w.s.LogNodes(), cp.Size, size)
		if err != nil {
			t.Fatalf("seed %d: the log of %d batches has not the %d that were signed: %v", w.seed, size, cp.Size, err)
		}
		if err := merkle.VerifyConsistency(cp.Size, size, cp.Root, root, path); err != nil {
			t.Fatalf("seed %d: the log of %d batches does not go on from the %d that were signed: %v", w.seed, size, cp.Size, err)
		}
		if again, err := w.s.CheckpointAt(cp.Size); err != nil || !bytes.Equal(again, note) {
			t.Fatalf("seed %d: checkpoint of %d batches: %v, another than was shown", w.seed, cp.Size, err)
		}
	}
}

// replay sends every acknowledged frame again: no counter has gone back.
func (w *world) replay() {
	w.t.Helper()
	open := map[uint32]bool{}
	for _, b := range w.s.Devices() {
		open[b.Number] = !b.Closed
	}
	var all []Arrival
	for i := range w.said.readings {
		if a := w.said.readings[i].arrival; !a.Late { // who imports knows what is there
			all = append(all, a)
		}
	}
	for i, got := range w.submit(all...) {
		switch {
		case got.err == nil && (got.verdict == reading.Duplicate || got.verdict == reading.Replay):
		case errors.Is(got.err, ErrUnknown) && !open[all[i].Device]:
		default:
			w.t.Fatalf("seed %d: frame with counter %d of device %d again: %+v", w.seed, all[i].Counter, all[i].Device, got)
		}
	}
}

// TestCrash: random days of a gateway whose power goes at any instant of the
// disk's work, with all, half or none of what was not synced left.
func TestCrash(t *testing.T) {
	for seed := range uint64(crashSeeds) {
		w := &world{
			t: t, seed: seed, mem: vfs.NewCrashableMem(), counters: map[uint32]frame.Counter{}, cfgRNG: newRand(seed + 1000),
			site: &site{t: t, keys: newKeys(), clock: newClock(), rng: newRand(seed)},
			said: said{bindings: map[uint32]ledger.Binding{}, intake: map[uint64][]byte{}},
		}
		for range 4 {
			w.live()
			w.recover()
			if t.Failed() {
				return
			}
		}
	}
}

const crashSeeds = 40 / slowdown
