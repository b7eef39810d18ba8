package alert

import (
	"sync"

	"cairn/ingest/reading"
)

// Reading is one that was recorded, as rules see it.
type Reading struct {
	Device       uint32 // the machine's number
	Received     int64  // Unix ms
	Measurements []reading.Measurement
}

// tapMost is how many readings wait one by one.
const tapMost = 1 << 16

// Tap takes readings from whoever records them, without waiting, to whoever watches
// them. If that one falls behind, of each device just the newest is kept: what comes of
// it is late, and a device that sends is never taken for one that is silent.
type Tap struct {
	wake chan struct{}

	mu      sync.Mutex // covers all below
	waiting []Reading
	spare   []Reading
	newest  map[uint32]Reading
	skipped uint64
}

// NewTap returns an empty tap.
func NewTap() *Tap { return &Tap{wake: make(chan struct{}, 1), newest: map[uint32]Reading{}} }

// Put hands a reading over. It keeps the measurements, which nobody may change.
func (t *Tap) Put(r Reading) {
	t.mu.Lock()
	if len(t.newest) > 0 || len(t.waiting) >= tapMost {
		if _, was := t.newest[r.Device]; was {
			t.skipped++
		}
		t.newest[r.Device] = r
	} else {
		t.waiting = append(t.waiting, r)
	}
	t.mu.Unlock()
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// Wake has a value when there is something to take.
func (t *Tap) Wake() <-chan struct{} { return t.wake }

// Take gives what was put since the last time to fn, in its order.
func (t *Tap) Take(fn func(Reading)) {
	t.mu.Lock()
	waiting, newest := t.waiting, t.newest
	t.waiting = t.spare[:0]
	if len(newest) > 0 {
		t.newest = map[uint32]Reading{}
	}
	t.mu.Unlock()
	for _, r := range waiting {
		fn(r)
	}
	if len(newest) > 0 {
		for _, r := range newest {
			fn(r)
		}
	}
	clear(waiting)
	t.mu.Lock()
	t.spare = waiting[:0]
	t.mu.Unlock()
}

// Skipped is how many readings were passed over because newer ones of their devices came.
func (t *Tap) Skipped() uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.skipped
}
