package ingest

import (
	"context"
	"net/netip"
	"sync"
)

// packet is one frame or line in a chunk's data.
type packet struct {
	form      Form
	from, to  int // its bytes
	addr      netip.AddrPort
	hub       uint32
	told      *Told
	transport string
	source    string
	done      Done
}

// chunk is a run of packets that are judged together. Who may touch it: the
// queue's lock holder while it is open, then one judge, then, from judged on,
// the submitter.
type chunk struct {
	data    []byte
	packets []packet
	out     []Arrival
	judged  chan struct{} // of capacity 1
}

// queue holds what was received and not yet submitted, in chunks of up to size
// packets, at most limit of them. Chunks are made when first needed.
//
// While the submitter keeps up, an idle judge takes the open chunk however
// short it is, so nothing waits for a chunk to fill. When it does not, only full
// chunks are closed: otherwise a stalled disk would use up all chunks with a
// packet or two in each.
type queue struct {
	size, limit, eager int

	mu     sync.Mutex
	open   *chunk // takes packets; nil or not full
	made   int    // chunks in existence
	closed int    // chunks closed and not yet released

	free  chan *chunk   // empty ones
	ready chan *chunk   // full ones, for the judges
	order chan *chunk   // closed ones as they were closed, for the submitter
	wake  chan struct{} // of capacity 1: there may be an open chunk to take
}

// Every channel has room for all chunks, so that sending never blocks.
func newQueue(size, limit, eager int) *queue {
	return &queue{
		size: size, limit: limit, eager: eager,
		free: make(chan *chunk, limit), ready: make(chan *chunk, limit), order: make(chan *chunk, limit),
		wake: make(chan struct{}, 1),
	}
}

// offer appends a packet, or reports that the queue is full.
func (q *queue) offer(p packet, data []byte) bool {
	q.mu.Lock()
	ok := q.append(p, data)
	q.mu.Unlock()
	if ok {
		q.signal()
	}
	return ok
}

// put appends a packet once there is room.
func (q *queue) put(ctx context.Context, p packet, data []byte) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		if q.offer(p, data) {
			return nil
		}
		select {
		case c := <-q.free:
			q.free <- c // offer takes it, unless another was faster
		case <-ctx.Done():
		}
	}
}

// append is offer under mu.
func (q *queue) append(p packet, data []byte) bool {
	if q.open == nil && !q.renew() {
		return false
	}
	c := q.open
	p.from = len(c.data)
	c.data = append(c.data, data...)
	p.to = len(c.data)
	c.packets = append(c.packets, p)
	if len(c.packets) == q.size {
		q.close()
		q.ready <- c
	}
	return true
}

// renew opens an empty chunk, under mu.
func (q *queue) renew() bool {
	select {
	case q.open = <-q.free:
		return true
	default:
	}
	if q.made == q.limit {
		return false
	}
	q.made++
	q.open = &chunk{judged: make(chan struct{}, 1)}
	return true
}

// close fixes the open chunk's place in the order, under mu.
func (q *queue) close() {
	q.order <- q.open
	q.open = nil
	q.closed++
}

// take closes the open chunk for a judge. It returns nil if there is nothing in
// it, or if the submitter is behind and last is false.
func (q *queue) take(last bool) *chunk {
	q.mu.Lock()
	defer q.mu.Unlock()
	c := q.open
	if c == nil || !last && q.closed >= q.eager {
		return nil
	}
	q.close()
	return c
}

// release gives a submitted chunk back.
func (q *queue) release(c *chunk) {
	clear(c.packets)
	clear(c.out)
	c.data, c.packets, c.out = c.data[:0], c.packets[:0], c.out[:0]
	q.mu.Lock()
	q.closed--
	q.mu.Unlock()
	q.free <- c
	q.signal()
}

func (q *queue) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}
