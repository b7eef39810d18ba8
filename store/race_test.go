package store

import (
	"context"
	"errors"
	"math"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"cairn/ingest/reading"
)

// TestReadersWhileWriting: queries, evidence, fsck and status run beside intake,
// closing windows, sealing and changes of devices, and never meet anything
// inconsistent.
func TestReadersWhileWriting(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	x := newSite(t, 6)
	ctx := context.Background()
	var stop atomic.Bool
	var acked [4]atomic.Uint64
	var wg sync.WaitGroup
	quiet := make(chan struct{})
	run := func(fn func(round int)) {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := 0; !stop.Load(); i++ {
				fn(i)
			}
		}()
	}
	for i := range acked {
		n := x.nodes[i]
		run(func(round int) {
			if round >= 60 { // enough to read again and again
				<-quiet
				return
			}
			all := make([]Arrival, 20)
			var one sync.WaitGroup
			one.Add(len(all))
			for j := range all {
				all[j] = n.arrival(t, 60+j)
				all[j].Done = func(v reading.Verdict, slot, seq uint64, _ int64, _ bool, err error) {
					if err != nil || slot != uint64(i) || v != reading.Authenticated {
						t.Errorf("reading of node %d: %v, %v", i, v, err)
					}
					acked[i].Store(seq + 1)
					one.Done()
				}
			}
			if err := x.s.Submit(ctx, all); err != nil {
				t.Errorf("Submit: %v", err)
				return
			}
			one.Wait()
		})
	}
	run(func(round int) { // every reading that was acknowledged is found, once, in order
		i := round % len(acked)
		want := acked[i].Load()
		next := uint64(0)
		err := x.s.Query(ctx, uint32(i+1), 0, math.MaxInt64, func(f *Found) (bool, error) {
			if f.Sequence != next {
				t.Errorf("node %d: reading %d comes where %d was due", i, f.Sequence, next)
			}
			next++
			return true, nil
		})
		if err != nil || next < want {
			t.Errorf("node %d: %d readings found of %d, %v", i, next, want, err)
		}
	})
	run(func(round int) {
		i := round % len(acked)
		n := acked[i].Load()
		if n == 0 {
			return
		}
		seq := uint64(round*7919) % n
		e, err := x.s.Evidence(uint64(i), seq)
		switch {
		case errors.Is(err, ErrNotBatched):
		case err != nil:
			t.Errorf("evidence: %v", err)
		default:
			verify(t, x, e)
		}
	})
	run(func(round int) {
		if rep, err := x.s.Fsck(ctx, FsckOptions{}); err != nil || !rep.OK() {
			t.Errorf("fsck: %v, %v", rep.Findings, err)
		}
	})
	run(func(int) {
		st := x.s.Status()
		if st.Signed > st.Batches || st.Dead != "" {
			t.Errorf("status %+v", st)
		}
		if note, size, ok := x.s.Checkpoint(); ok {
			if again, err := x.s.CheckpointAt(size); err != nil || string(again) != string(note) {
				t.Errorf("checkpoint of %d: %v", size, err)
			}
		}
		x.s.Devices()
	})
	for i := range 60 {
		x.pass(20 * time.Second)
		switch i % 20 {
		case 5:
			if err := x.s.HoldSigning(ctx, "test"); err != nil {
				t.Error(err)
			}
		case 6:
			if err := x.s.AllowSigning(ctx); err != nil {
				t.Error(err)
			}
		case 10:
			x.addDevice()
		}
	}
	stop.Store(true)
	close(quiet)
	wg.Wait()
	x.pass(20 * time.Minute)
	x.seal()
	x.check()
	x.close()
}
