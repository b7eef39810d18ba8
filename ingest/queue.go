package ingest

import (
	"context"
	"errors"
	"net/netip"
	"sync"

	"cairn/ingest/frame"
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
	whose     func(uint32)
	done      Done
	speaker   speaker
	poster    string // of the source's senders
	put       bool   // it waited for room
}

// lane is a source, or one of its senders.
type lane struct{ source, sender string }

// speaker is whom a packet is from, as far as can be told before it is judged: the
// device that it names, and the address that it came from.
type speaker struct {
	id   frame.ID // as many of its bytes as a frame's header has
	addr netip.Addr
}

// speakerOf reads the ID in a frame's header; nobody has verified it.
func speakerOf(p *Packet) speaker {
	s := speaker{addr: p.From.Addr()}
	b := p.Data
	switch p.Form {
	case FormTold:
		s.id = p.Told.Device
		return s
	case FormLine:
		return s
	case FormWire:
		if len(b) > 0 {
			b = b[1:]
		}
	}
	if len(b) >= 2 {
		copy(s.id[:min(int(b[1]&0x0f), len(s.id))], b[2:])
	}
	return s
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
//
// While it is more than half full, no speaker has more than a speakerShare of it, so
// that one that floods does not take the room of all others. Of those who wait for room
// no source has more than half of it, and no sender of a source more than a senderShare.
type queue struct {
	size, limit, eager int

	mu     sync.Mutex
	open   *chunk          // takes packets; nil or not full
	made   int             // chunks in existence
	closed int             // chunks closed and not yet released
	held   map[speaker]int // packets in it
	waited map[lane]int    // packets in it that were put, by source, and by sender
	room   chan struct{}   // closed, and made anew, when there may be more room

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
		wake: make(chan struct{}, 1), room: make(chan struct{}), held: map[speaker]int{}, waited: map[lane]int{},
	}
}

// speakerShare is the part of the queue that one speaker may have while it is busy.
const speakerShare = 32

// senderShare is the part of the queue that one sender who waits may have.
const senderShare = 8

// errShare and errFull say why a packet is not taken.
var (
	errFull  = errors.New("the queue is full")
	errShare = errors.New("too much of the queue is of one device")
)

// offer appends a packet, or says why not: errFull or errShare.
func (q *queue) offer(p packet, data []byte) error {
	q.mu.Lock()
	err := q.share(&p)
	if err == nil {
		err = q.append(p, data)
	}
	q.mu.Unlock()
	if err == nil {
		q.signal()
	}
	return err
}

// put appends a packet once there is room.
func (q *queue) put(ctx context.Context, p packet, data []byte) error {
	p.put = true
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		q.mu.Lock()
		err := errFull
		if q.lets(&p) {
			err = q.append(p, data)
		}
		room := q.room
		q.mu.Unlock()
		if err == nil {
			q.signal()
			return nil
		}
		select {
		case <-room:
		case <-ctx.Done():
		}
	}
}

// lets says whether one who waits may have more, under mu.
func (q *queue) lets(p *packet) bool {
	all := q.size * q.limit
	return q.waited[lane{source: p.source}] < max(all/2, 1) &&
		(p.poster == "" || q.waited[lane{p.source, p.poster}] < max(all/senderShare, 1))
}

// wait counts a packet that was put, or with -1 one that left, under mu.
func (q *queue) wait(p *packet, n int) {
	q.waited[lane{source: p.source}] += n
	if p.poster == "" {
		return
	}
	of := lane{p.source, p.poster}
	if q.waited[of] += n; q.waited[of] == 0 {
		delete(q.waited, of)
	}
}

// share says whether a speaker may have more, under mu.
func (q *queue) share(p *packet) error {
	if q.closed > q.limit/2 && q.held[p.speaker] >= max(q.size*q.limit/speakerShare, 1) {
		return errShare
	}
	return nil
}

// append is offer under mu.
func (q *queue) append(p packet, data []byte) error {
	if q.open == nil && !q.renew() {
		return errFull
	}
	q.held[p.speaker]++
	if p.put {
		q.wait(&p, 1)
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
	return nil
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
	q.mu.Lock()
	for i := range c.packets {
		p := &c.packets[i]
		if q.held[p.speaker]--; q.held[p.speaker] == 0 {
			delete(q.held, p.speaker)
		}
		if p.put {
			q.wait(p, -1)
		}
	}
	clear(c.packets)
	clear(c.out)
	c.data, c.packets, c.out = c.data[:0], c.packets[:0], c.out[:0]
	q.closed--
	q.free <- c
	close(q.room)
	q.room = make(chan struct{})
	q.mu.Unlock()
	q.signal()
}

func (q *queue) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}
