package store

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cairn/ingest/reading"
	"cairn/merkle/ledger"
)

// TestDiskFull: below the limit readings are refused by name, windows, statements
// and devices go on, and once there is space again all is as before.
func TestDiskFull(t *testing.T) {
	x := &site{t: t, fs: newMem(), keys: newKeys(), clock: newClock(), rng: newRand(1)}
	var free atomic.Int64
	free.Store(1 << 30)
	var mu sync.Mutex
	var events []string
	x.opt.Free = func() (uint64, error) {
		if f := free.Load(); f >= 0 {
			return uint64(f), nil
		}
		return 0, errors.New("no answer")
	}
	x.opt.MinFree = 100 << 20
	x.opt.Events = func(e Event) {
		mu.Lock()
		events = append(events, e.Kind)
		mu.Unlock()
	}
	x.open()
	n := x.addDevice()
	x.send(n)
	free.Store(99 << 20)
	x.pass(2 * time.Second)
	if !x.s.DiskFull() || !x.s.Status().DiskFull {
		t.Fatal("a full disk is not noticed")
	}
	refused := n.arrival(t, 60)
	refused.Done = func(_ reading.Verdict, _, _ uint64, _ int64, _ bool, _ error) {
		t.Error("a refused arrival was answered by Done too")
	}
	if err := x.s.Submit(context.Background(), []Arrival{refused}); !errors.Is(err, ErrDiskFull) {
		t.Errorf("Submit: %v, want ErrDiskFull", err)
	}
	size := x.s.LogSize()
	for range 3 {
		x.pass(time.Minute)
	}
	if x.s.LogSize() != size+3 {
		t.Errorf("%d windows closed on a full disk, want 3", x.s.LogSize()-size)
	}
	if _, err := x.s.AddStatement(context.Background(), ledger.Statement{Kind: "note"}); err != nil {
		t.Errorf("AddStatement: %v", err)
	}
	x.addDevice()
	x.check()
	free.Store(-1) // nobody knows: as it was
	x.pass(2 * time.Second)
	if !x.s.DiskFull() {
		t.Error("an unknown space counts as enough")
	}
	free.Store(101 << 20)
	x.pass(2 * time.Second)
	if x.s.DiskFull() {
		t.Fatal("space is not noticed")
	}
	if a := x.send(n)[0]; a.seq != 1 {
		t.Errorf("after the disk was full: %+v, want number 1", a)
	}
	x.pass(20 * time.Minute)
	x.seal()
	x.check()
	mu.Lock()
	defer mu.Unlock()
	full, ok := slices.Index(events, "disk-full"), slices.Index(events, "disk-ok")
	if full < 0 || ok < full {
		t.Errorf("events %v", events)
	}
}

// TestFullQueue: Submit waits while the queue is full and leaves with its
// context; what it took is answered.
func TestFullQueue(t *testing.T) {
	x := newSite(t, 1)
	n := x.nodes[0]
	held, hold := make(chan struct{}), make(chan struct{})
	go x.s.do(context.Background(), func() error { close(held); <-hold; return nil })
	<-held
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var answered atomic.Int64
	taken := 0
	done := make(chan struct{}, 100)
	for {
		a := n.arrival(t, 60)
		a.Done = func(reading.Verdict, uint64, uint64, int64, bool, error) { answered.Add(1); done <- struct{}{} }
		if taken == queueSlices {
			cancel()
		}
		err := x.s.Submit(ctx, []Arrival{a})
		if err != nil {
			if !errors.Is(err, context.Canceled) || taken < queueSlices {
				t.Fatalf("Submit number %d: %v", taken, err)
			}
			break
		}
		taken++
	}
	close(hold)
	for range taken {
		<-done
	}
	x.sync()
	if answered.Load() != int64(taken) {
		t.Errorf("%d taken, %d answered", taken, answered.Load())
	}
	x.check()
}
