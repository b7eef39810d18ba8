package alert

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// told is a receiver that says how each attempt goes.
type told struct {
	mu   sync.Mutex
	got  []string
	says func(attempt int, n Notice) error
	all  int
}

func (r *told) Notify(ctx context.Context, n Notice) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all++
	if err := r.says(r.all, n); err != nil {
		return err
	}
	r.got = append(r.got, n.ID)
	return nil
}

func takes(int, Notice) error { return nil }

// hangs takes nothing, and does not answer either.
type hangs struct{}

func (hangs) Notify(ctx context.Context, _ Notice) error {
	<-ctx.Done()
	return ctx.Err()
}

func TestOutbox(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		down := errors.New("down")
		slow := &told{says: func(attempt int, _ Notice) error {
			if attempt <= 4 {
				return down
			}
			return nil
		}}
		picky := &told{says: func(_ int, n Notice) error {
			if n.ID == "1" {
				return fmt.Errorf("x: %w", ErrRefused)
			}
			return nil
		}}
		good := &told{says: takes}
		var mu sync.Mutex
		var taken []string
		o := NewOutbox([]Receiver{{"dead", hangs{}}, {"slow", slow}, {"picky", picky}, {"good", good}}, func(to string, n Notice, at time.Time) {
			mu.Lock()
			defer mu.Unlock()
			taken = append(taken, to+n.ID)
		})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { o.Run(ctx); close(ended) }()
		for _, id := range []string{"1", "2"} {
			for _, to := range []string{"dead", "slow", "picky", "good"} {
				if !o.Add(to, Notice{ID: id}) {
					t.Errorf("%s is not known", to)
				}
			}
		}
		if o.Add("nobody", Notice{}) {
			t.Error("nobody is known")
		}
		synctest.Wait()
		if !slices.Equal(good.got, []string{"1", "2"}) {
			t.Errorf("the good one got %v at once", good.got)
		}
		time.Sleep(16 * time.Second) // 1, 2, 4 and 8 seconds at most
		if !slices.Equal(slow.got, []string{"1", "2"}) || slow.all != 6 {
			t.Errorf("the slow one got %v in %d attempts", slow.got, slow.all)
		}
		time.Sleep(time.Minute)
		if !slices.Equal(picky.got, []string{"2"}) || picky.all != maxRefused+1 {
			t.Errorf("the picky one got %v in %d attempts", picky.got, picky.all)
		}
		status := o.Status()
		if s := status[0]; s.Waiting != 2 || s.Error == "" || s.Failing.IsZero() {
			t.Errorf("the dead one: %+v", s)
		}
		if s := status[2]; s.Waiting != 0 || s.Lost != 1 || s.Error != "" || s.Taken.IsZero() {
			t.Errorf("the picky one: %+v", s)
		}
		mu.Lock()
		slices.Sort(taken)
		if want := []string{"good1", "good2", "picky2", "slow1", "slow2"}; !slices.Equal(taken, want) {
			t.Errorf("taken %v, want %v", taken, want)
		}
		mu.Unlock()
		cancel()
		<-ended
	})
}

// TestOutboxFull: of too many that wait the oldest go, and are counted.
func TestOutboxFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := NewOutbox([]Receiver{{"dead", hangs{}}}, nil)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { o.Run(ctx); close(ended) }()
		for i := range maxWaiting + 10 {
			o.Add("dead", Notice{ID: fmt.Sprint(i)})
			synctest.Wait()
		}
		if s := o.Status()[0]; s.Waiting != maxWaiting || s.Lost != 10 {
			t.Errorf("%d wait, %d lost", s.Waiting, s.Lost)
		}
		if first, second := o.boxes[0].waiting[0].ID, o.boxes[0].waiting[1].ID; first != "0" || second != "11" {
			t.Errorf("the first that wait are %s and %s", first, second)
		}
		cancel()
		<-ended
	})
}

func TestTap(t *testing.T) {
	tap := NewTap()
	for i := range tapMost + 100 {
		tap.Put(Reading{Device: uint32(i % 7), Received: int64(i)})
	}
	select {
	case <-tap.Wake():
	default:
		t.Error("nobody was woken")
	}
	n, last := 0, map[uint32]int64{}
	tap.Take(func(r Reading) {
		if was, is := last[r.Device]; is && was >= r.Received {
			t.Fatalf("device %d went back from %d to %d", r.Device, was, r.Received)
		}
		last[r.Device] = r.Received
		n++
	})
	if n != tapMost+7 || tap.Skipped() != 93 {
		t.Errorf("took %d, %d skipped", n, tap.Skipped())
	}
	for d, at := range last {
		if at < tapMost+93 {
			t.Errorf("device %d was last seen at %d", d, at)
		}
	}
	tap.Put(Reading{Device: 9})
	n = 0
	tap.Take(func(Reading) { n++ })
	if n != 1 {
		t.Errorf("took %d of 1", n)
	}
}
