package ingest

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"cairn/ingest/reading"
)

func TestBucket(t *testing.T) {
	var b bucket
	at := time.Unix(1000, 0)
	taken := func(n int, now time.Time) (ok int) {
		for range n {
			if b.take(now, 2, 5) {
				ok++
			}
		}
		return ok
	}
	for i, c := range []struct {
		after time.Duration
		want  int
	}{
		{0, 5},
		{0, 0},
		{500 * time.Millisecond, 1},
		{1500 * time.Millisecond, 2},
		{time.Second, 0}, // a clock that went back gives nothing
		{time.Hour, 5},
	} {
		if got := taken(20, at.Add(c.after)); got != c.want {
			t.Errorf("%d: got %d want %d", i, got, c.want)
		}
	}
}

func TestSourceLimiter(t *testing.T) {
	at := time.Unix(1000, 0)
	one, two := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	l := newSourceLimiter(1, 2, 10)
	for i, c := range []struct {
		addr netip.Addr
		want bool
	}{
		{one, true}, {one, true}, {one, false},
		{netip.MustParseAddr("::ffff:192.0.2.1"), false}, // the same host
		{two, true},
		{netip.MustParseAddr("2001:db8::1"), true},
		{netip.MustParseAddr("2001:db8::2"), true}, // the same network
		{netip.MustParseAddr("2001:db8::3"), false},
		{netip.MustParseAddr("2001:db8:0:1::3"), true},
	} {
		if got := l.allow(c.addr, at); got != c.want {
			t.Errorf("%d %v: got %t want %t", i, c.addr, got, c.want)
		}
	}
	for range 3 {
		if l := newSourceLimiter(0, 1, 1); !l.allow(one, at) {
			t.Error("without a rate: got false want true")
		}
	}
}

// The table forgets whom it has not heard for longest, and stays in order.
func TestSourceLimiterEvicts(t *testing.T) {
	const size = 8
	at := time.Unix(1000, 0)
	for _, size := range []int{1, 2, size} {
		l := newSourceLimiter(1, 1, size)
		var model []netip.Addr // newest last
		seed := uint32(1)
		for range 5000 {
			seed = seed*1664525 + 1013904223
			addr := netip.AddrFrom4([4]byte{10, 0, 0, byte(seed>>24) % 20})
			known := -1
			for i, a := range model {
				if a == addr {
					known = i
				}
			}
			// One token, never refilled: allowed just if forgotten meanwhile.
			if got, want := l.allow(addr, at), known < 0; got != want {
				t.Fatalf("size %d %v: got %t want %t", size, addr, got, want)
			}
			if known >= 0 {
				model = append(model[:known], model[known+1:]...)
			} else if len(model) == size {
				model = model[1:]
			}
			model = append(model, addr)
			if len(l.place) != len(model) || len(l.nodes) != len(model) {
				t.Fatalf("size %d: %d places and %d nodes for %d addresses", size, len(l.place), len(l.nodes), len(model))
			}
		}
	}
}

func TestSourceLimiterAllocs(t *testing.T) {
	l := newSourceLimiter(1, 1, 64)
	at := time.Unix(1000, 0)
	n := uint32(0)
	visit := func() {
		n++
		var b [4]byte
		binary.BigEndian.PutUint32(b[:], n)
		l.allow(netip.AddrFrom4(b), at)
	}
	for range 10000 {
		visit()
	}
	if got := testing.AllocsPerRun(1000, visit); got > 0 {
		t.Errorf("a new address in a full table: got %v allocations want 0", got)
	}
}

type keeper struct{ kept []Sample }

func (k *keeper) Keep(s Sample) { k.kept = append(k.kept, s) }

func TestSamples(t *testing.T) {
	k := new(keeper)
	p := NewSamples(5, k)
	at := time.Unix(1000, 0)
	offer := func(v reading.Verdict, after time.Duration, b byte) {
		data := []byte{b, 2, 3}
		p.offer(Sample{At: at.Add(after), Verdict: v, Data: data}, func() string { return "test" })
		data[1] = 99 // the caller's again
	}
	for i := range byte(100) {
		offer(reading.Malformed, 0, i)
	}
	offer(reading.BadTag, 0, 200)
	if got := len(k.kept); got != sampleBurst+1 {
		t.Errorf("kept of a flood: got %d want %d", got, sampleBurst+1)
	}
	for i := range byte(7) {
		offer(reading.Malformed, time.Duration(i+1)*time.Second, 100+i)
	}
	all := p.All()
	if len(all) != 6 {
		t.Fatalf("held: got %d want 6", len(all))
	}
	if s := all[0]; s.Verdict != reading.BadTag || s.Source != "test" || s.Data[1] != 2 {
		t.Errorf("first: got %+v", s)
	}
	for i, s := range all[1:] {
		if s.Data[0] != byte(102+i) {
			t.Errorf("held %d: got %d want %d", i, s.Data[0], 102+i)
		}
	}
	p.offer(Sample{At: at.Add(time.Hour), Verdict: reading.Malformed, Data: make([]byte, 5000)}, func() string { return "" })
	if got := len(k.kept[len(k.kept)-1].Data); got != maxSampleData {
		t.Errorf("a large sample: got %d bytes want %d", got, maxSampleData)
	}
}
