package web

import (
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

const (
	maxListeners    = 64
	maxPerListener  = 8  // of one who asks
	eventsWaiting   = 64 // before a listener counts as too slow
	eventsHeartbeat = 15 * time.Second
	eventsPatience  = 10 * time.Second // for one write
)

// hub passes events on to those who listen. One who does not keep up is dropped,
// and comes again: so telling never waits.
type hub struct {
	listening atomic.Int32

	mu     sync.Mutex // covers what follows
	closed bool
	all    map[*listener]bool
}

type listener struct {
	who    Who
	events chan Event // closed when it is dropped
}

func (h *hub) tell(e Event) {
	if h.listening.Load() == 0 {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for l := range h.all {
		select {
		case l.events <- e:
		default:
			h.drop(l)
		}
	}
}

// drop ends a listener. h.mu is held.
func (h *hub) drop(l *listener) {
	if h.all[l] {
		delete(h.all, l)
		h.listening.Add(-1)
		close(l.events)
	}
}

func (h *hub) listen(who Who) (*listener, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	own := 0
	for l := range h.all {
		if l.who == who {
			own++
		}
	}
	if h.closed || len(h.all) >= maxListeners || own >= maxPerListener {
		return nil, ErrBusy
	}
	if h.all == nil {
		h.all = map[*listener]bool{}
	}
	l := &listener{who, make(chan Event, eventsWaiting)}
	h.all[l] = true
	h.listening.Add(1)
	return l, nil
}

func (h *hub) leave(l *listener) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.drop(l)
}

func (h *hub) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	for l := range h.all {
		h.drop(l)
	}
}

// serveEvents sends events until the client goes, is too slow, or may listen no more.
func serveEvents(c *call) error {
	l, err := c.s.hub.listen(c.who)
	if err != nil {
		return err
	}
	defer c.s.hub.leave(l)
	out := http.NewResponseController(c.w)
	_ = out.SetReadDeadline(time.Time{}) // that of the request would end the stream
	c.w.Header().Set("Content-Type", eventsType)
	c.w.Header().Set("X-Accel-Buffering", "no") // for a proxy that would wait for more
	c.w.WriteHeader(http.StatusOK)
	send := func(text string) bool {
		_ = out.SetWriteDeadline(time.Now().Add(eventsPatience))
		if _, err := fmt.Fprint(c.w, text); err != nil {
			return false
		}
		return out.Flush() == nil
	}
	beat := time.NewTicker(eventsHeartbeat)
	defer beat.Stop()
	for ok := send(": welcome\n\n"); ok; {
		select {
		case <-c.ctx().Done():
			return nil
		case <-beat.C:
			ok = c.still() && send(": still here\n\n")
		case e, more := <-l.events:
			if !more || !c.still() {
				return nil
			}
			seen, may := c.s.cfg.Readings.See(c.who, e)
			if !may || c.who.Role == Audience && seen.Type != "reading" {
				continue
			}
			b, err := json.Marshal(seen)
			if err != nil {
				return nil
			}
			ok = send(fmt.Sprintf("event: %s\ndata: %s\n\n", seen.Type, b))
		}
	}
	return nil
}

// still reports whether who began to listen is still who they were.
func (c *call) still() bool {
	who, in := c.s.whoAsks(c.r, &Route{media: eventsType})
	return in && who == c.who
}
