package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"cairn/ingest/frame"
	"cairn/ingest/reading"
	"cairn/merkle/ledger"
)

// badDisk is a file system whose n-th operation fails: without having done
// anything, or having done it all the same. Syncs of the folder are left alone:
// at a failed one Pebble panics, which is a killed process.
type badDisk struct {
	vfs.FS
	left    atomic.Int64
	hit     atomic.Bool
	spare   atomic.Bool // fail nothing while it is set
	late    bool        // the operation is done before it fails
	forever bool        // all operations after it fail too
	reads   bool        // count reads, else what changes the disk
}

var errDisk = errors.New("input/output error")

func (d *badDisk) do(read bool, op func() error) error {
	if read != d.reads || d.spare.Load() {
		return op()
	}
	n := d.left.Add(-1)
	if n > 0 || n < 0 && !d.forever {
		return op()
	}
	d.hit.Store(true)
	if d.late {
		if err := op(); err != nil {
			return err
		}
	}
	return errDisk
}

func (d *badDisk) file(read bool, op func() (vfs.File, error)) (vfs.File, error) {
	var f vfs.File
	err := d.do(read, func() (err error) { f, err = op(); return err })
	if err != nil {
		if f != nil {
			f.Close()
		}
		return nil, err
	}
	return &badFile{f, d}, nil
}

func (d *badDisk) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return d.file(false, func() (vfs.File, error) { return d.FS.Create(name, c) })
}
func (d *badDisk) Open(name string, o ...vfs.OpenOption) (vfs.File, error) {
	return d.file(true, func() (vfs.File, error) { return d.FS.Open(name, o...) })
}
func (d *badDisk) OpenReadWrite(name string, c vfs.DiskWriteCategory, o ...vfs.OpenOption) (vfs.File, error) {
	return d.file(false, func() (vfs.File, error) { return d.FS.OpenReadWrite(name, c, o...) })
}
func (d *badDisk) ReuseForWrite(from, to string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return d.file(false, func() (vfs.File, error) { return d.FS.ReuseForWrite(from, to, c) })
}
func (d *badDisk) Rename(from, to string) error {
	return d.do(false, func() error { return d.FS.Rename(from, to) })
}
func (d *badDisk) Link(from, to string) error {
	return d.do(false, func() error { return d.FS.Link(from, to) })
}
func (d *badDisk) Remove(name string) error {
	return d.do(false, func() error { return d.FS.Remove(name) })
}
func (d *badDisk) MkdirAll(dir string, p os.FileMode) error {
	return d.do(false, func() error { return d.FS.MkdirAll(dir, p) })
}

type badFile struct {
	vfs.File
	d *badDisk
}

func (f *badFile) Write(p []byte) (n int, err error) {
	err = f.d.do(false, func() (err error) { n, err = f.File.Write(p); return err })
	return n, err
}
func (f *badFile) Sync() error     { return f.d.do(false, f.File.Sync) }
func (f *badFile) SyncData() error { return f.d.do(false, f.File.SyncData) }
func (f *badFile) SyncTo(n int64) (full bool, err error) {
	err = f.d.do(false, func() (err error) { full, err = f.File.SyncTo(n); return err })
	return full, err
}
func (f *badFile) Read(p []byte) (n int, err error) {
	err = f.d.do(true, func() (err error) { n, err = f.File.Read(p); return err })
	if err == errDisk {
		n = 0
	}
	return n, err
}
func (f *badFile) ReadAt(p []byte, off int64) (n int, err error) {
	err = f.d.do(true, func() (err error) { n, err = f.File.ReadAt(p, off); return err })
	if err == errDisk {
		n = 0
	}
	return n, err
}

var _ io.Reader = (*badFile)(nil)

// faulty is a short life on a bad disk, and what it acknowledged.
type faulty struct {
	*site
	acked      []acked
	statements uint64
	removed    bool
	put        []string
}

// orDead holds that an error is the store's death, by name.
func (x *faulty) orDead(what string, err error) bool {
	if err == nil {
		return true
	}
	if !errors.Is(err, ErrDead) {
		x.t.Errorf("%s on a bad disk: %v, want ErrDead", what, err)
	}
	if x.s.Dead() == nil || x.s.Status().Dead == "" {
		x.t.Errorf("%s failed with %v, and the store is not dead", what, err)
	}
	return false
}

// send submits and takes note; the store may die meanwhile.
func (x *faulty) send(n *node, count int) {
	all := make([]Arrival, count)
	for i := range all {
		all[i] = n.arrival(x.t, 70)
	}
	answers := make(chan answer, count)
	for i := range all {
		all[i].Done = func(v reading.Verdict, slot, seq uint64, received int64, rebooted bool, err error) {
			answers <- answer{v, slot, seq, received, rebooted, err}
		}
	}
	if !x.orDead("Submit", x.s.Submit(context.Background(), all)) {
		return
	}
	for i := range all {
		a := <-answers
		if x.orDead("a reading", a.err) {
			x.acked = append(x.acked, acked{all[i], a.slot, a.seq, a.received})
		}
	}
}

// pass lets time go by, as far as the store lives to see it.
func (x *faulty) pass(d time.Duration) {
	x.clock.add(d)
	for range 2 {
		durable := make(chan error, 1)
		if !x.orDead("a control call", x.s.do(context.Background(), func() error {
			x.s.com.write(x.s.db.NewBatch(), nil, func(err error) { durable <- err })
			return nil
		})) {
			return
		}
		if !x.orDead("a write", <-durable) {
			return
		}
	}
}

// life is the script. It gives false if the store did not open.
func (x *faulty) life() bool {
	o := x.options()
	o.quiet = true
	s, err := Open(o)
	if err != nil {
		return false
	}
	x.s = s
	ctx := context.Background()
	key := frame.Key{byte(len(x.acked) + 1), 7}
	var n *node
	if b := s.Devices(); len(b) > 0 && !b[len(b)-1].Closed {
		last := b[len(b)-1]
		k, _ := s.DeviceKey(last.Number, last.Epoch)
		n = &node{id: last.ID, binding: last, counter: 1000 + frame.Counter(len(x.acked))}
		n.opener, _ = frame.NewOpener(k)
	} else {
		n, err = x.add(NewDevice{ID: frame.ID{0x80, 1}, Name: fmt.Sprint(len(b)), Kind: ledger.BindSecure, Key: &key})
		if !x.orDead("AddDevice", err) {
			return true
		}
	}
	x.send(n, 3)
	x.pass(time.Minute)
	x.send(n, 70)
	num, err := s.AddStatement(ctx, ledger.Statement{Kind: "note"})
	if x.orDead("AddStatement", err) {
		x.statements = num + 1
	}
	name := fmt.Sprint("k", len(x.put))
	if x.orDead("Put", s.Journal("r").Put(name, []byte("v"))) {
		x.put = append(x.put, name)
	}
	x.pass(20 * time.Minute)
	x.flush()
	for {
		did, err := s.sealNext(ctx)
		if err != nil && !errors.Is(err, ErrDead) && !errors.Is(err, errDisk) {
			x.t.Errorf("sealing on a bad disk: %v", err)
		}
		if err != nil || !did {
			break
		}
	}
	x.flush()
	x.send(n, 2)
	if err := s.HoldSigning(ctx, "test"); x.orDead("HoldSigning", err) {
		x.orDead("AllowSigning", s.AllowSigning(ctx))
	}
	if x.orDead("RemoveDevice", s.RemoveDevice(ctx, n.binding.Number)) {
		x.removed = true
	}
	x.pass(time.Minute)
	return true
}

// flush makes Pebble write its tables and manifest and remove its logs now.
func (x *faulty) flush() {
	if x.s.Dead() != nil {
		return
	}
	// It begins with a new log. Where that fails Pebble panics: a killed process.
	d := x.fs.(*badDisk)
	d.spare.Store(true)
	flushed, err := x.s.db.AsyncFlush()
	d.spare.Store(false)
	if err != nil {
		x.orDead("a flush", err)
		return
	}
	select {
	case <-flushed:
	case <-x.s.died:
	}
}

// TestBadDisk fails the first, the second, the third operation, and so on until
// nothing fails any more: early and late, once and from then on.
func TestBadDisk(t *testing.T) {
	for _, mode := range []struct{ late, forever, reads bool }{{}, {late: true}, {forever: true}, {reads: true}, {reads: true, forever: true}} {
		name := fmt.Sprintf("late=%v,forever=%v,reads=%v", mode.late, mode.forever, mode.reads)
		t.Run(name, func(t *testing.T) {
			deaths := 0
			for n := int64(1); ; n += 1 + n/25 {
				d := &badDisk{FS: vfs.NewCrashableMem(), late: mode.late, forever: mode.forever, reads: mode.reads}
				x := &faulty{site: &site{t: t, fs: d, keys: newKeys(), clock: newClock(), rng: newRand(1)}}
				d.left.Store(1 << 40)
				if mode.reads || n%2 == 0 { // a disk that has a ledger already
					x.life()
					if err := x.s.Close(); err != nil {
						t.Fatal(err)
					}
				}
				d.hit.Store(false)
				d.left.Store(n)
				if x.life() {
					dead := x.s.Dead()
					if dead != nil {
						deaths++
						x.send(x.ghost(), 1) // it stays dead
						if err := x.s.Journal("r").Put("x", nil); !errors.Is(err, ErrDead) {
							t.Errorf("n=%d: Put after death: %v", n, err)
						}
					}
					x.closeSoon(n)
				}
				x.recovers(d, n)
				if t.Failed() || !d.hit.Load() {
					t.Logf("%d operations, %d deaths", n, deaths)
					return
				}
			}
		})
	}
}

// ghost is a node that no store knows.
func (x *faulty) ghost() *node {
	o, _ := frame.NewOpener(frame.Key{9})
	return &node{id: frame.ID{9}, opener: o, binding: ledger.Binding{Number: 99}}
}

// closeSoon closes a store on a bad disk: with an error or without, but it ends.
func (x *faulty) closeSoon(n int64) {
	x.t.Helper()
	done := make(chan struct{})
	s := x.s
	s.noFlush = true
	go func() { s.Close(); close(done) }()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		x.t.Fatalf("n=%d: Close hangs; dead: %v", n, s.Dead())
	}
	x.s = nil
}

// recovers opens what is on the disk once it is good again, as a killed process
// leaves it or as a power loss does, and holds it against what was said.
func (x *faulty) recovers(d *badDisk, n int64) {
	x.t.Helper()
	keep := vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: x.rng}
	if n%3 == 0 {
		keep = vfs.CrashCloneCfg{}
	}
	x.fs = d.FS.(*vfs.MemFS).CrashClone(keep)
	x.open()
	x.check()
	open := map[uint32]bool{}
	for _, b := range x.s.Devices() {
		open[b.Number] = !b.Closed
	}
	if got := len(x.s.view.Load().streams); got == 0 && len(x.acked) > 0 {
		x.t.Fatalf("n=%d: no stream is left: %+v", n, x.s.Status())
	}
	for _, a := range x.acked {
		got := x.submit(a.arrival)[0]
		if got.err == nil && got.verdict != reading.Duplicate && got.verdict != reading.Replay || got.err != nil && open[a.arrival.Device] {
			x.t.Fatalf("n=%d: acknowledged reading %d of stream %d again: %+v", n, a.seq, a.slot, got)
		}
		r := x.s.reader()
		all, err := r.readings(&r.v.streams[a.slot], a.seq, a.seq+1)
		r.close()
		if err != nil || all[0].Received != a.received || all[0].Origin.Counter != uint64(a.arrival.Counter) {
			x.t.Fatalf("n=%d: reading %d of stream %d was acknowledged: %v, %v", n, a.seq, a.slot, all, err)
		}
	}
	if x.s.Statements() < x.statements {
		x.t.Errorf("n=%d: %d statements, %d were acknowledged", n, x.s.Statements(), x.statements)
	}
	for _, k := range x.put {
		if v, err := x.s.Journal("r").Get(k); err != nil || string(v) != "v" {
			x.t.Errorf("n=%d: journal key %s: %q, %v", n, k, v, err)
		}
	}
	x.site.pass(20 * time.Minute)
	x.seal()
	x.check()
	x.close()
}
