package ingest

import (
	"sync"
	"time"
)

// EventKind names what an event says; it is a stable label.
type EventKind string

// The kinds of event.
const (
	EventReboot   EventKind = "reboot"           // a node started again: every one is told
	EventConflict EventKind = "counter-conflict" // two bodies under one nonce: every one is told
	EventReplay   EventKind = "replay"
	EventBadTag   EventKind = "bad-tag"
	EventInClear  EventKind = "in-clear"          // an insecure frame or line for a device with a key
	EventHubAuth  EventKind = "hub-auth"          // "?RX auth": the hub could not authenticate a node
	EventHubKey   EventKind = "hub-key"           // "!RX key": the hub has no key
	EventDropped  EventKind = "dropped"           // the queue is full
	EventKernel   EventKind = "kernel-drop"       // the socket's buffer was full
	EventRefused  EventKind = "committer-refused" // Submit or the commit failed
	EventDown     EventKind = "source-down"       // a device is gone; it is tried again
	EventUp       EventKind = "source-up"
)

// Event is something that a person or a rule may want to know.
type Event struct {
	Kind   EventKind
	At     time.Time
	Device uint32 // 0 if none is known
	Slot   uint64 // of the committed reading, with Committed
	Seq    uint64
	// Committed says that Slot and Seq are set.
	Committed bool
	Source    string // the source's name, where one is concerned
	Count     uint64 // how often it happened since the last event like it, this one included
	Detail    string
}

const (
	eventQueue    = 256
	eventInterval = time.Minute
	maxThrottled  = 4096
)

// throttle folds events of the same kind and device within a minute into the
// first of them and the first one after it. What is folded when nothing follows
// stays in the metrics alone.
type throttle struct {
	mu   sync.Mutex
	last map[eventKey]*eventState // under mu
}

type eventKey struct {
	kind   EventKind
	device uint32
	source string
}

type eventState struct {
	at     time.Time
	folded uint64
}

// pass reports whether e is to be told, and completes its Count.
func (t *throttle) pass(e *Event) bool {
	e.Count = max(e.Count, 1)
	switch e.Kind {
	case EventReboot, EventConflict, EventDown, EventUp:
		return true
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	key := eventKey{e.Kind, e.Device, e.Source}
	s := t.last[key]
	switch {
	case s == nil:
		t.makeRoom(e.At)
		t.last[key] = &eventState{at: e.At}
		return true
	case e.At.Sub(s.at) < eventInterval:
		s.folded += e.Count
		return false
	}
	e.Count += s.folded
	*s = eventState{at: e.At}
	return true
}

// makeRoom keeps the table bounded. Keys are registered devices and configured
// sources, so a full table is one of devices long removed.
func (t *throttle) makeRoom(now time.Time) {
	if t.last == nil {
		t.last = make(map[eventKey]*eventState)
	}
	if len(t.last) < maxThrottled {
		return
	}
	for key, s := range t.last {
		if now.Sub(s.at) >= eventInterval {
			delete(t.last, key)
		}
	}
	if len(t.last) >= maxThrottled {
		clear(t.last)
	}
}
