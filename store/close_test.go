package store

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"cairn/ingest/reading"
	"cairn/merkle/ledger"
)

// TestCloseAnswersAll closes while many submit: whatever Submit took is
// answered exactly once, what was acknowledged is there after a start, and no
// goroutine stays behind.
func TestCloseAnswersAll(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	for round := range 8 {
		x := newSite(t, 4)
		var wg sync.WaitGroup
		var taken, answered, acked atomic.Int64
		begun := make(chan struct{}, 64)
		for i := range 4 {
			wg.Add(1)
			go func() {
				defer wg.Done()
				n := x.nodes[i]
				for {
					a := make([]Arrival, 1+round*200)
					var told atomic.Int64
					for j := range a {
						a[j] = n.arrival(t, 60)
						a[j].Done = func(_ reading.Verdict, _, _ uint64, _ int64, _ bool, err error) {
							told.Add(1)
							answered.Add(1)
							if err == nil {
								acked.Add(1)
							}
						}
					}
					if err := x.s.Submit(context.Background(), a); err != nil {
						if !errors.Is(err, ErrClosed) || told.Load() != 0 {
							t.Errorf("Submit: %v, and %d were told", err, told.Load())
						}
						return
					}
					taken.Add(int64(len(a)))
					select {
					case begun <- struct{}{}:
					default:
					}
				}
			}()
		}
		for range min(round, 5) {
			<-begun
		}
		if err := x.s.Close(); err != nil {
			t.Fatal(err)
		}
		wg.Wait()
		if answered.Load() != taken.Load() {
			t.Fatalf("round %d: %d arrivals were taken, %d answered", round, taken.Load(), answered.Load())
		}
		if err := x.s.Close(); !errors.Is(err, ErrClosed) {
			t.Errorf("a second Close: %v, want ErrClosed", err)
		}
		x.open()
		x.pass(time.Minute)
		if rep := x.check(); rep.Readings != uint64(acked.Load()) {
			t.Fatalf("round %d: %d acknowledged, fsck read %d", round, acked.Load(), rep.Readings)
		}
		x.close()
	}
}

// TestCallsRaceClose makes every other call of the committer at the moment of
// Close: each returns.
func TestCallsRaceClose(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	for range 20 {
		x := newSite(t, 1)
		var wg sync.WaitGroup
		var added atomic.Int64
		before := x.s.Statements()
		for _, call := range []func() error{
			func() error {
				_, err := x.s.AddStatement(context.Background(), ledger.Statement{Kind: "note", Body: map[string]any{"n": int64(1)}})
				if err == nil {
					added.Add(1)
				}
				return err
			},
			func() error { return x.s.HoldSigning(context.Background(), "test") },
			func() error { return x.s.AllowSigning(context.Background()) },
		} {
			wg.Add(1)
			go func() {
				defer wg.Done()
				for {
					if err := call(); err != nil {
						if !errors.Is(err, ErrClosed) {
							t.Errorf("at Close: %v", err)
						}
						return
					}
				}
			}()
		}
		x.sync()
		if err := x.s.Close(); err != nil {
			t.Fatal(err)
		}
		wg.Wait()
		x.open()
		if got, want := x.s.Statements()-before, uint64(added.Load()); got < want {
			t.Errorf("%d statements were acknowledged, %d are there", want, got)
		}
		x.check()
		x.close()
	}
}
