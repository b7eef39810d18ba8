package ingest

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"cairn/ingest/reading"
)

// strangersOf lists who was heard as "ID heard source count".
func strangersOf(in *Intake) map[string]uint64 {
	all := make(map[string]uint64)
	for _, s := range in.Strangers() {
		all[s.ID.String()+" "+s.Heard+" "+s.Source] += s.Count
	}
	return all
}

// Who is heard and not registered is listed with as much of the ID as is known, and
// no longer once a device is bound for it.
func TestStrangers(t *testing.T) {
	registry := lineDevices(t)
	at := time.Unix(1000, 0)
	in := newIntake(t, Config{Committer: newBook(), Registry: registry, Now: func() time.Time { return at }})
	w := &worker{in: in, judge: in.Judge(), done: make(map[uint32]Done)}
	hear := func(form Form, source, from, data string) {
		t.Helper()
		p := packet{form: form, to: len(data), source: source, transport: reading.TransportLine}
		if from != "" {
			p.addr, p.transport = netip.MustParseAddrPort(from), reading.TransportUDP
		}
		w.chunk(&chunk{data: []byte(data), packets: []packet{p}, judged: make(chan struct{}, 1)})
	}
	const unknown = "e0e1e2e3e4e5e6e7"
	wire := seal(t, keyC, 'O', unknown, 4, 9, "\x20\x00")
	hear(FormDatagram, "udp", "192.0.2.1:5000", string(wire[1:]))
	at = at.Add(time.Minute)
	hear(FormDatagram, "udp", "192.0.2.1:6000", string(wire[1:]))
	hear(FormDatagram, "udp", "192.0.2.2:5000", string(wire[1:]))
	hear(FormDatagram, "udp", "192.0.2.1:5000", string(insecureWire(t, unhex(t, "e8e9"), "\x00\x01")[1:]))
	hear(FormLine, "hub", "", dumpLine(wire))
	hear(FormLine, "hub", "", `{"@":"E0E1E2E3E4E5E6E7","+":8,"T|C16":299}`)
	hear(FormLine, "hub", "", "@E8E9;T19C7")
	hear(FormLine, "hub", "", "?RX auth E0 E1")

	// None of these is a stranger.
	hear(FormLine, "hub", "", "?RX auth "+"AA AA") // as idA begins
	hear(FormLine, "hub", "", "?RX low")
	hear(FormLine, "hub", "", `{"@":"","L":1}`)
	hear(FormDatagram, "udp", "192.0.2.1:5000", string(seal(t, keyC, 'O', idA, 4, 9, "\x20\x00")[1:]))
	hear(FormDatagram, "udp", "192.0.2.1:5000", string(seal(t, keyC, 'O', unknown, 0, 9, "\x20\x00")[1:]))
	hear(FormDatagram, "udp", "192.0.2.1:5000", string(insecureWire(t, unhex(t, idO), "\x00\x01")[1:]))
	hear(FormDatagram, "udp", "192.0.2.1:5000", "no frame")

	want := map[string]uint64{
		"e0e1e2e3 secure udp 192.0.2.1": 2,
		"e0e1e2e3 secure udp 192.0.2.2": 1,
		"e8e9 insecure udp 192.0.2.1":   1,
		"e0e1e2e3 secure hub":           1,
		unknown + " text hub":           1,
		"e8e9 text hub":                 1,
		"e0e1 refused hub":              1,
	}
	got := strangersOf(in)
	for k, n := range want {
		if got[k] != n {
			t.Errorf("%s: got %d want %d", k, got[k], n)
		}
	}
	if len(got) != len(want) {
		t.Errorf("got %v", got)
	}
	list := in.Strangers()
	if last := list[len(list)-1]; !last.Last.Equal(at) {
		t.Errorf("got %+v", last)
	}
	for _, s := range list {
		if first := s.Count == 2; first != s.First.Before(s.Last) {
			t.Errorf("%v: first %v last %v", s.ID, s.First, s.Last)
		}
	}

	devices := []Device{{Number: 9, ID: testID(t, unknown), Kind: KindSecure, Key: &keyC}}
	if err := registry.Set(devices); err != nil {
		t.Fatal(err)
	}
	if got := strangersOf(in); len(got) != 2 || got["e8e9 text hub"] != 1 || got["e8e9 insecure udp 192.0.2.1"] != 1 {
		t.Errorf("once it is bound: got %v", got)
	}
}

// One that invents IDs pushes out its own, whatever it does.
func TestStrangersFlood(t *testing.T) {
	at := time.Unix(1000, 0)
	invented := func(n int) Prefix {
		return prefixOf(binary.BigEndian.AppendUint32(nil, 0x90000000+uint32(n)))
	}
	addr := func(n int) netip.AddrPort {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)}), 9)
	}
	honest := func(s *strangers) {
		for i := range byte(originShare) {
			s.hear(prefixOf([]byte{0x80, i}), HeardSecure, &packet{source: "udp", addr: netip.MustParseAddrPort("192.0.2.1:9")}, at)
			s.hear(prefixOf([]byte{0x81, i}), HeardText, &packet{source: "hub"}, at)
		}
	}
	count := func(s *strangers) (n int) {
		for _, x := range s.list(NewRegistry()) {
			if x.ID.String()[0] == '8' {
				n++
			}
		}
		return n
	}
	for _, c := range []struct {
		name  string
		times int // that the others are heard before it begins
		flood func(s *strangers, n int)
		kept  int
	}{
		{"one address", 1, func(s *strangers, n int) {
			s.hear(invented(n), HeardSecure, &packet{source: "udp", addr: addr(1)}, at)
		}, 2 * originShare},
		{"one address, all it invents again and again", 1, func(s *strangers, n int) {
			for range 5 {
				s.hear(invented(n), HeardSecure, &packet{source: "udp", addr: addr(1)}, at)
			}
		}, 2 * originShare},
		{"one network", 1, func(s *strangers, n int) {
			from := [16]byte{0x20, 1, 0x0d, 0xb8, 15: byte(n)}
			s.hear(invented(n), HeardSecure, &packet{source: "udp", addr: netip.AddrPortFrom(netip.AddrFrom16(from), 9)}, at)
		}, 2 * originShare},
		{"one poster", 1, func(s *strangers, n int) {
			s.hear(invented(n), HeardSecure, &packet{source: "http", poster: "one"}, at)
		}, 2 * originShare},
		{"forged addresses", 2, func(s *strangers, n int) {
			s.hear(invented(n), HeardSecure, &packet{source: "udp", addr: addr(n)}, at)
		}, 2 * originShare},
		{"forged addresses, others heard once", 1, func(s *strangers, n int) {
			s.hear(invented(n), HeardSecure, &packet{source: "udp", addr: addr(n)}, at)
		}, originShare}, // those of the other source
	} {
		t.Run(c.name, func(t *testing.T) {
			var s strangers
			for range c.times {
				honest(&s)
			}
			for n := range 20 * maxStrangers {
				at = at.Add(time.Millisecond)
				c.flood(&s, n)
			}
			if got := count(&s); got != c.kept {
				t.Errorf("got %d of the others, want %d", got, c.kept)
			}
			// Who comes now is seen, by any other way.
			s.hear(prefixOf([]byte{0x8f}), HeardSecure, &packet{source: "udp", addr: netip.MustParseAddrPort("192.0.2.9:9")}, at)
			s.hear(prefixOf([]byte{0x8f}), HeardText, &packet{source: "other"}, at)
			if got := count(&s); got != c.kept+2 {
				t.Errorf("with two more: got %d, want %d", got, c.kept+2)
			}
			checkStrangers(t, &s)
		})
	}
}

// checkStrangers checks the counts of a table against its entries.
func checkStrangers(t *testing.T, s *strangers) {
	t.Helper()
	if len(s.all) != maxStrangers || len(s.place) != maxStrangers {
		t.Errorf("got %d and %d entries, want %d", len(s.all), len(s.place), maxStrangers)
	}
	origins, sources := make(map[origin]int), make(map[string]int)
	for i := range s.all {
		key := s.all[i].key
		origins[key.origin]++
		sources[key.origin.source]++
		if at, ok := s.place[key]; !ok || at != i {
			t.Errorf("entry %d is at %d, %t", i, at, ok)
		}
	}
	if len(origins) != len(s.origins) || len(sources) != len(s.sources) {
		t.Errorf("got %d origins of %d sources, want %d of %d", len(s.origins), len(s.sources), len(origins), len(sources))
	}
	for o, n := range origins {
		if s.origins[o] != n {
			t.Errorf("origin %v: got %d want %d", o, s.origins[o], n)
		}
	}
	for name, n := range sources {
		if s.sources[name] != n {
			t.Errorf("source %s: got %d want %d", name, s.sources[name], n)
		}
	}
}

// What a stranger costs when it is always another one, from forged addresses.
func BenchmarkStrangers(b *testing.B) {
	var s strangers
	at := time.Unix(1000, 0)
	for n := 0; b.Loop(); n++ {
		from := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)}), 9)
		s.hear(prefixOf(binary.BigEndian.AppendUint32(nil, uint32(n))), HeardSecure, &packet{source: "udp", addr: from}, at)
	}
}
