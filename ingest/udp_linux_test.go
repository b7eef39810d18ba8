package ingest

import "testing"

// What the kernel drops while nobody reads is counted when it is read.
func TestKernelDrops(t *testing.T) {
	b := newBook()
	var events []Event
	in := newIntake(t, Config{Committer: b, Registry: NewRegistry(), Events: func(e Event) { events = append(events, e) }})
	u := listen(t, UDPConfig{ReceiveBuffer: 4096, SourceRate: -1})
	if u.Buffer() == 0 || u.Buffer() > 64<<10 {
		t.Errorf("buffer: got %d", u.Buffer())
	}
	conn := dial(t, u)
	const sent = 2000
	for range sent {
		send(t, conn, []byte("flood"))
	}
	stop := start(t, in, u)
	until(t, "the rest to arrive", func() bool { return in.Tally().Snapshot().Received > 0 })
	stop()
	s := check(t, in, b)
	if got := s.Reasons[KernelDrop]; got == 0 || got+s.Received > sent {
		t.Errorf("dropped %d and received %d of %d", got, s.Received, sent)
	}
	if len(events) != 1 || events[0].Kind != EventKernel || events[0].Count != s.Reasons[KernelDrop] {
		t.Errorf("events: got %+v", events)
	}
}
