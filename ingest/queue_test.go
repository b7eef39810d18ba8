package ingest

import (
	"context"
	"encoding/binary"
	"errors"
	"testing"

	"cairn/ingest/frame"
)

// fromDevice is a packet of the device n.
func fromDevice(n int) packet {
	p := Packet{Form: FormTold, Told: &Told{}}
	binary.BigEndian.PutUint64(p.Told.Device[:], uint64(n))
	return packet{source: "test", told: p.Told, speaker: speakerOf(&p)}
}

// drain empties the queue as the judges and the submitter do, and gives the devices in
// the order of their turns.
func (q *queue) drain() (order []frame.ID) {
	for {
		c := q.take(true)
		if c == nil && len(q.order) == 0 {
			return order
		}
		c = <-q.order
		for len(q.ready) > 0 {
			<-q.ready
		}
		for i := range c.packets {
			order = append(order, c.packets[i].told.Device)
		}
		q.release(c)
	}
}

// TestOneFloods: of ten thousand devices one sends without end while the store is
// stuck. Each of the others has its place all the same, and no more of the one before
// it than half of the queue and its share.
func TestOneFloods(t *testing.T) {
	const size, limit, others = 512, 64, 10_000
	q := newQueue(size, limit, 3)
	refused := 0
	for range 5 * size * limit {
		if err := q.offer(fromDevice(0), nil); err != nil {
			if refused++; !errors.Is(err, errShare) {
				t.Fatalf("refused by %v", err)
			}
		}
	}
	for n := 1; n <= others; n++ {
		if err := q.offer(fromDevice(n), nil); err != nil {
			t.Fatalf("device %d: %v", n, err)
		}
		if err := q.offer(fromDevice(0), nil); !errors.Is(err, errShare) {
			t.Fatalf("the flood goes on beside device %d: %v", n, err)
		}
	}
	order := q.drain()
	if want := 5*size*limit - refused + others; len(order) != want {
		t.Fatalf("%d packets in the queue, want %d", len(order), want)
	}
	before := 0
	for _, id := range order {
		if binary.BigEndian.Uint64(id[:]) != 0 {
			break
		}
		before++
	}
	if most := size*limit/2 + size*limit/speakerShare + size; before > most {
		t.Errorf("%d packets of the flood stand before all others, want %d at most", before, most)
	}
	if len(q.held) != 0 {
		t.Errorf("%d speakers are counted in an empty queue", len(q.held))
	}
	if err := q.offer(fromDevice(0), nil); err != nil {
		t.Errorf("after the flood: %v", err)
	}
}

// TestOneSourceWaits: senders of one source that wait for room leave half of the queue
// to others, and go on as room comes.
func TestOneSourceWaits(t *testing.T) {
	const size, limit = 4, 8
	q := newQueue(size, limit, 3)
	done := make(chan error, size*limit)
	for n := range size * limit {
		go func() { done <- q.put(t.Context(), fromDevice(n), nil) }()
	}
	for range size * limit / 2 {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	for n := range size * limit / 2 {
		p := fromDevice(100 + n)
		p.source = "other"
		if err := q.offer(p, nil); err != nil {
			t.Fatalf("another source's packet %d: %v", n, err)
		}
	}
	select {
	case err := <-done:
		t.Fatalf("more than half of the queue is of one source: %v", err)
	default:
	}
	taken := len(q.drain())
	for range size * limit / 2 {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		taken += len(q.drain())
	}
	if taken += len(q.drain()); taken != size*limit*3/2 || q.waited[lane{source: "test"}] != 0 {
		t.Errorf("%d packets came, want %d; %d are counted in an empty queue", taken, size*limit*3/2, q.waited[lane{source: "test"}])
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := q.put(ctx, fromDevice(0), nil); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// TestOneSenderWaits: a sender that fills its share leaves the rest of its source's to
// the other senders.
func TestOneSenderWaits(t *testing.T) {
	const size, limit = 4, 16
	q := newQueue(size, limit, 3)
	from := func(sender string, n int) packet {
		p := fromDevice(n)
		p.poster = sender
		return p
	}
	ctx, cancel := context.WithCancel(t.Context())
	flood := make(chan error, size*limit)
	for n := range size * limit {
		go func() { flood <- q.put(ctx, from("flood", n), nil) }()
	}
	for range size * limit / senderShare {
		if err := <-flood; err != nil {
			t.Fatal(err)
		}
	}
	for n := range size * limit / senderShare {
		if err := q.put(t.Context(), from("other", 1000+n), nil); err != nil {
			t.Fatal(err)
		}
	}
	select {
	case err := <-flood:
		t.Fatalf("more than its share is of one sender: %v", err)
	default:
	}
	cancel()
	for range size*limit - size*limit/senderShare {
		if err := <-flood; !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want %v", err, context.Canceled)
		}
	}
	if n := len(q.drain()); n != 2*size*limit/senderShare || len(q.waited) != 1 {
		t.Errorf("%d packets came, want %d; %v is counted in an empty queue", n, 2*size*limit/senderShare, q.waited)
	}
}

func TestSpeaker(t *testing.T) {
	id := func(s string) (out frame.ID) { copy(out[:], s); return out }
	for _, c := range []struct {
		form Form
		data string
		want frame.ID
	}{
		{FormDatagram, "\xcf\x04abcd\x08", id("abcd")}, {FormWire, "\x20\xcf\x04abcd\x08", id("abcd")},
		{FormDatagram, "\xcf\x0fabcdefghijk", id("abcdefgh")}, {FormDatagram, "\xcf\x08ab", id("ab")},
		{FormDatagram, "\xcf", frame.ID{}}, {FormWire, "", frame.ID{}}, {FormLine, "abcdefgh", frame.ID{}},
	} {
		if got := speakerOf(&Packet{Form: c.form, Data: []byte(c.data)}); got.id != c.want {
			t.Errorf("%q: got %v, want %v", c.data, got.id, c.want)
		}
	}
}
