package alert

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"
)

const (
	retryFirst = time.Second
	retryMost  = 5 * time.Minute
	// tryFor is how long one attempt may take.
	tryFor = 30 * time.Second
	// maxRefused is how often a notice is offered to a receiver that refuses it.
	maxRefused = 5
	// maxWaiting is how many notices wait for one receiver.
	maxWaiting = 4096
)

// Receiver is one who is told.
type Receiver struct {
	Name string
	Notifier
}

// ReceiverStatus is how a receiver does.
type ReceiverStatus struct {
	Name    string
	Waiting int
	Lost    uint64    // notices that were given up: refused, or too many waited
	Failing time.Time // since when it takes none; zero: it does
	Error   string    // of the last attempt; "": it went well
	Taken   time.Time // when it took one last
}

// Outbox hands notices to receivers. Taken is told of each that was taken, and when; it
// is called from the receivers' goroutines.
type Outbox struct {
	taken func(receiver string, n Notice, at time.Time)
	boxes []*box
}

type box struct {
	Receiver
	more chan struct{}

	mu      sync.Mutex // covers all below
	waiting []Notice
	status  ReceiverStatus
}

// NewOutbox makes one that is not running.
func NewOutbox(receivers []Receiver, taken func(receiver string, n Notice, at time.Time)) *Outbox {
	o := &Outbox{taken: taken}
	for _, r := range receivers {
		o.boxes = append(o.boxes, &box{Receiver: r, more: make(chan struct{}, 1), status: ReceiverStatus{Name: r.Name}})
	}
	return o
}

// Add queues a notice for a receiver and returns at once; false: there is no such one.
func (o *Outbox) Add(receiver string, n Notice) bool {
	for _, b := range o.boxes {
		if b.Name == receiver {
			b.add(n)
			return true
		}
	}
	return false
}

func (b *box) add(n Notice) {
	b.mu.Lock()
	b.waiting = append(b.waiting, n)
	if len(b.waiting) > maxWaiting { // the first is being tried
		b.waiting = append(b.waiting[:1], b.waiting[2:]...)
		b.status.Lost++
	}
	b.mu.Unlock()
	select {
	case b.more <- struct{}{}:
	default:
	}
}

// Run delivers until ctx ends.
func (o *Outbox) Run(ctx context.Context) {
	var running sync.WaitGroup
	for _, b := range o.boxes {
		running.Go(func() { b.run(ctx, o.taken) })
	}
	running.Wait()
}

// Status returns that of each receiver.
func (o *Outbox) Status() []ReceiverStatus {
	all := make([]ReceiverStatus, len(o.boxes))
	for i, b := range o.boxes {
		b.mu.Lock()
		all[i] = b.status
		all[i].Waiting = len(b.waiting)
		b.mu.Unlock()
	}
	return all
}

func (b *box) run(ctx context.Context, taken func(string, Notice, time.Time)) {
	refused, failed := 0, 0
	for {
		n, ok := b.first()
		if !ok {
			select {
			case <-ctx.Done():
				return
			case <-b.more:
			}
			continue
		}
		try, cancel := context.WithTimeout(ctx, tryFor)
		err := b.Notify(try, n)
		cancel()
		at := time.Now()
		switch {
		case ctx.Err() != nil && err != nil:
			return
		case err == nil:
			taken(b.Name, n, at)
			b.settle(n, at, nil, false)
			refused, failed = 0, 0
			continue
		case errors.Is(err, ErrRefused):
			refused++
		default:
			refused = 0
		}
		if b.settle(n, at, err, refused >= maxRefused); refused >= maxRefused {
			refused = 0
			continue
		}
		wait := time.NewTimer(pause(failed))
		failed++
		select {
		case <-ctx.Done():
			wait.Stop()
			return
		case <-wait.C:
		}
	}
}

// pause is how long to wait after the nth attempt, from 0, that failed in a row.
func pause(n int) time.Duration {
	d := retryMost
	if n < 8 {
		d = min(retryFirst<<n, retryMost)
	}
	return d/2 + rand.N(d/2)
}

func (b *box) first() (n Notice, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.waiting) == 0 {
		return n, false
	}
	return b.waiting[0], true
}

// settle notes how an attempt went; the first notice goes if it was taken, or is given
// up.
func (b *box) settle(n Notice, at time.Time, err error, lost bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if s := &b.status; err == nil {
		s.Failing, s.Error, s.Taken = time.Time{}, "", at
	} else {
		if s.Failing.IsZero() {
			s.Failing = at
		}
		s.Error = err.Error()
		if lost {
			s.Lost++
		}
	}
	if (err == nil || lost) && len(b.waiting) > 0 && b.waiting[0].ID == n.ID {
		b.waiting = b.waiting[1:]
	}
}
