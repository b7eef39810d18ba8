package ingest

import (
	"slices"
	"strings"
	"testing"
	"time"

	"cairn/ingest/frame"
	"cairn/ingest/reading"
)

func TestReasons(t *testing.T) {
	seen := make(map[string]Reason)
	for _, r := range Reasons() {
		name := r.String()
		if other, ok := seen[name]; ok || name == "" {
			t.Errorf("reason %d: name %q is that of %d", r, name, other)
		}
		seen[name] = r
	}
	if got := numberOfReasons.String(); got != "unknown" {
		t.Errorf("beyond the last: got %q", got)
	}
	for _, v := range reading.Verdicts() {
		if v >= maxVerdicts {
			t.Errorf("verdict %v does not fit into %d counters", v, maxVerdicts)
		}
	}
}

// outcome is what a test expects of a decision.
type outcome struct {
	verdict reading.Verdict
	reason  Reason
	record  bool
	device  uint32
}

func (o outcome) check(t *testing.T, d Decision) {
	t.Helper()
	if got := (outcome{d.Verdict, d.Reason, d.Record, d.Device}); got != o {
		t.Errorf("got %v/%v record %t device %d, want %v/%v record %t device %d",
			got.verdict, got.reason, got.record, got.device, o.verdict, o.reason, o.record, o.device)
	}
}

// seal seals without the simulator's rules.
func seal(t testing.TB, key frame.Key, typ byte, id string, idLen int, c frame.Counter, plain string) []byte {
	t.Helper()
	o, err := frame.NewOpener(key)
	if err != nil {
		t.Fatal(err)
	}
	wire, err := o.Seal(nil, typ, testID(t, id), idLen, c, []byte(plain))
	if err != nil {
		t.Fatal(err)
	}
	return wire
}

// insecureWire is an insecure basic frame.
func insecureWire(t testing.TB, id []byte, body string) []byte {
	t.Helper()
	wire, err := frame.AppendInsecure(nil, frame.TypeBasic, 3, id, []byte(body))
	if err != nil {
		t.Fatal(err)
	}
	return wire
}

func TestJudgeFrames(t *testing.T) {
	registry := testRegistry(t,
		Device{Number: 1, ID: testID(t, idA), Epoch: 1, Kind: KindSecure, Key: &keyA},
		Device{Number: 2, ID: testID(t, idB), Kind: KindSecure, Key: &keyB},
		Device{Number: 3, ID: testID(t, idO), Kind: KindOpaque},
		Device{Number: 4, ID: testID(t, "c0c1000000000000"), Kind: KindOpaque},
		Device{Number: 5, ID: testID(t, "aaaaaaaa77777777"), Kind: KindOpaque},
		Device{Number: 6, ID: testID(t, idT), Kind: KindText},
		Device{Number: 8, ID: testID(t, "d0d1d2d3d4d5d6d7"), Kind: KindSecure, Key: &keyA, Closed: true},
	)
	flip := func(wire []byte, at int) []byte {
		wire = slices.Clone(wire)
		wire[at] ^= 1
		return wire
	}
	o := seal(t, keyA, 'O', idA, 4, 1<<24|17, "\x20\x10{\"L\":5")
	longID := unhex(t, idA)
	for _, c := range []struct {
		name string
		wire []byte
		want outcome
	}{
		{"authenticated", o, outcome{reading.Authenticated, NoReason, true, 1}},
		{"authenticated, same prefix", seal(t, keyB, 'O', idB, 4, 5, "\x20\x00"), outcome{reading.Authenticated, NoReason, true, 2}},
		{"authenticated without ID", seal(t, keyB, 'O', idB, 0, 6, "\x20\x00"), outcome{reading.Authenticated, NoReason, true, 2}},
		{"authenticated beacon with the whole ID", seal(t, keyA, '!', idA, 8, 7, ""), outcome{reading.Authenticated, NoReason, true, 1}},
		{"counter 0 is left to the committer", seal(t, keyA, 'O', idA, 4, 0, "\x20\x00"), outcome{reading.Authenticated, NoReason, true, 1}},
		{"wrong key, whole ID", seal(t, keyC, '!', idA, 8, 7, ""), outcome{reading.BadTag, TagMismatch, false, 1}},
		{"body changed, claimed by no one else", flip(seal(t, keyA, 'O', idA, 5, 9, "\x20\x00"), 12), outcome{reading.BadTag, TagMismatch, false, 1}},
		{"right key, other ID's nonce", withID(t, seal(t, keyA, 'O', idA, 5, 9, "\x20\x00"), idB), outcome{reading.BadTag, TagMismatch, false, 2}},
		{"unknown", seal(t, keyA, 'O', "e0e1e2e3e4e5e6e7", 4, 9, "\x20\x00"), outcome{reading.UnknownNode, NoCandidate, false, 0}},
		{"closed", seal(t, keyA, 'O', "d0d1d2d3d4d5d6d7", 4, 9, "\x20\x00"), outcome{reading.UnknownNode, NoCandidate, false, 0}},
		{"text devices send no frames", seal(t, keyA, 'O', idT, 4, 9, "\x20\x00"), outcome{reading.UnknownNode, NoCandidate, false, 0}},
		{"opaque", seal(t, keyC, 'O', idO, 4, 9, "\x20\x00"), outcome{reading.Opaque, NoReason, true, 3}},
		{"opaque, prefix of two", seal(t, keyC, 'O', idO, 2, 9, "\x20\x00"), outcome{reading.UnknownNode, AmbiguousID, false, 0}},
		{"opaque beside devices with keys", seal(t, keyC, 'O', "aaaaaaaa77777777", 4, 9, "\x20\x00"), outcome{reading.Opaque, NoReason, true, 5}},
		{"nobody's, without ID", seal(t, keyC, 'O', idO, 0, 9, "\x20\x00"), outcome{reading.BadTag, TagMismatch, false, 1}},
		{"insecure", insecureWire(t, []byte{0x80, 0x81}, "\x00\x01"), outcome{reading.Insecure, OnlyCRC, false, 0}},
		{"insecure, without ID", insecureWire(t, nil, "\x00\x01"), outcome{reading.Insecure, OnlyCRC, false, 0}},
		{"insecure, of a device with a key", insecureWire(t, longID, "\x00\x01"), outcome{reading.Insecure, HasKey, false, 1}},
		{"insecure, of an opaque device", insecureWire(t, unhex(t, idO), "\x00\x01"), outcome{reading.Insecure, OnlyCRC, false, 0}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var tally Tally
			j := NewJudge(registry, 0, &tally)
			var viaWire, viaUDP Arrival
			c.want.check(t, j.Wire(c.wire, reading.TransportLine, &viaWire))
			c.want.check(t, j.Datagram(c.wire[1:], reading.TransportUDP, &viaUDP))
			if !c.want.record {
				return
			}
			if !slices.Equal(viaUDP.Wire, c.wire) || !slices.Equal(viaWire.Wire, c.wire) {
				t.Errorf("wire: got %x and %x want %x", viaUDP.Wire, viaWire.Wire, c.wire)
			}
			if viaUDP.Verdict != c.want.verdict || viaUDP.Device != c.want.device || viaUDP.Type != c.wire[1] {
				t.Errorf("got %+v", viaUDP)
			}
			if c.want.verdict == reading.Opaque && (viaUDP.Body != nil || viaUDP.Measurements != nil || viaUDP.Counter != 0) {
				t.Errorf("opaque tells more than the frame: %+v", viaUDP)
			}
		})
	}
}

// withID replaces the ID bytes of a frame.
func withID(t *testing.T, wire []byte, id string) []byte {
	wire = slices.Clone(wire)
	n := testID(t, id)
	copy(wire[3:3+int(wire[2]&0xf)], n[:])
	return wire
}

// Every reason for which the parser refuses a frame has its own counter.
func TestJudgeMalformed(t *testing.T) {
	good := seal(t, keyA, 'O', idA, 4, 9, "\x20\x00")
	change := func(at int, b byte) string {
		wire := slices.Clone(good)
		wire[at] = b
		return string(wire)
	}
	j := NewJudge(NewRegistry(), 0, new(Tally))
	for _, c := range []struct {
		reason Reason
		wire   string
	}{
		{FrameShort, "\x04\x4f"},
		{FrameLong, change(0, 64)},
		{FrameTruncated, "\x08\x4f\x02\x80\x81"},
		{FrameTrailing, string(good) + "x"},
		{FrameType, change(1, 0x80)},
		{FrameIDLength, change(2, 0x99)},
		{FrameBodyLength, change(7, 60)},
		{FrameLastByte, change(62, 0xff)},
		{FrameTrailerLength, "\x09\x4f\x02\x80\x81\x02\x00\x01\x23\x23"},
		{FrameCRC, "\x08\x4f\x02\x80\x81\x02\x00\x01\x24"},
		{FrameScheme, change(62, 0x81)},
		{FrameSequence, change(2, 0x14)},
	} {
		t.Run(c.reason.String(), func(t *testing.T) {
			var a Arrival
			outcome{reading.Malformed, c.reason, false, 0}.check(t, j.Wire([]byte(c.wire), "udp", &a))
		})
	}
	var a Arrival
	outcome{reading.Malformed, FrameLong, false, 0}.check(t, j.Datagram(make([]byte, 64), "udp", &a))
	outcome{reading.Malformed, FrameShort, false, 0}.check(t, j.Datagram(nil, "udp", &a))
}

// A body that authenticates and is wrongly padded is malformed, and stays so
// whatever opaque device has the same ID bytes.
func TestJudgePadding(t *testing.T) {
	wire := sealRaw(t, keyA, idA, 9, append([]byte("\x20\x00\x00\x01"), append(make([]byte, 27), 29)...))
	j := NewJudge(testRegistry(t,
		Device{Number: 1, ID: testID(t, idA), Kind: KindSecure, Key: &keyA},
		Device{Number: 2, ID: testID(t, idB), Kind: KindOpaque}), 0, new(Tally))
	var a Arrival
	outcome{reading.Malformed, FramePadding, false, 1}.check(t, j.Wire(wire, "udp", &a))
}

// All single-bit flips of a frame are refused.
func TestJudgeFlips(t *testing.T) {
	j := NewJudge(testRegistry(t, Device{Number: 1, ID: testID(t, idA), Kind: KindSecure, Key: &keyA}), 0, new(Tally))
	wire := seal(t, keyA, 'O', idA, 4, 9, "\x20\x10{\"L\":5")
	var a Arrival
	if d := j.Wire(wire, "udp", &a); !d.Record {
		t.Fatalf("unchanged: got %+v", d)
	}
	for bit := range 8 * len(wire) {
		wire[bit/8] ^= 1 << (bit % 8)
		if d := j.Wire(wire, "udp", &a); d.Record {
			t.Errorf("bit %d: got %+v", bit, d)
		}
		wire[bit/8] ^= 1 << (bit % 8)
	}
}

// Colliding prefixes: every candidate is tried, up to the limit.
func TestJudgeCollisions(t *testing.T) {
	var devices []Device
	for i := range byte(12) {
		id := frame.ID{0x99, 0x88, 0x77, 0x66, i}
		key := frame.Key{i + 1}
		devices = append(devices, Device{Number: uint32(i) + 1, ID: id, Kind: KindSecure, Key: &key})
	}
	slices.Reverse(devices)
	registry := testRegistry(t, devices...)
	j := NewJudge(registry, 8, new(Tally))
	for i := range byte(12) {
		id := frame.ID{0x99, 0x88, 0x77, 0x66, i}
		var a Arrival
		want := outcome{reading.Authenticated, NoReason, true, uint32(i) + 1}
		if i >= 8 {
			want = outcome{reading.BadTag, TooManyCandidates, false, 1}
		}
		want.check(t, j.Wire(seal(t, frame.Key{i + 1}, 'O', id.String(), 4, 9, "\x20\x00"), "udp", &a))
		// With one more byte on the wire nothing collides.
		outcome{reading.Authenticated, NoReason, true, uint32(i) + 1}.check(t,
			j.Wire(seal(t, frame.Key{i + 1}, 'O', id.String(), 5, 9, "\x20\x00"), "udp", &a))
	}
}

// While a key is rotated both epochs are known; then the old one no longer is.
func TestJudgeRotation(t *testing.T) {
	old := Device{Number: 1, ID: testID(t, idA), Epoch: 1, Kind: KindSecure, Key: &keyA}
	fresh := Device{Number: 1, ID: testID(t, idA), Epoch: 2, Kind: KindSecure, Key: &keyB}
	registry := testRegistry(t, old, fresh)
	j := NewJudge(registry, 0, new(Tally))
	before := seal(t, keyA, 'O', idA, 4, 9, "\x20\x00")
	after := seal(t, keyB, 'O', idA, 4, 9, "\x20\x00")
	var a Arrival
	for _, c := range []struct {
		wire  []byte
		epoch uint32
	}{{before, 1}, {after, 2}} {
		if d := j.Wire(c.wire, "udp", &a); !d.Record || a.Epoch != c.epoch {
			t.Errorf("got %+v epoch %d want epoch %d", d, a.Epoch, c.epoch)
		}
	}
	if err := registry.Set([]Device{fresh}); err != nil {
		t.Fatal(err)
	}
	outcome{reading.BadTag, TagMismatch, false, 1}.check(t, j.Wire(before, "udp", &a))
	outcome{reading.Authenticated, NoReason, true, 1}.check(t, j.Wire(after, "udp", &a))
}

// Over UDP a device without a key has a budget; a hub's dump has none.
func TestOpaqueBudget(t *testing.T) {
	now := time.Unix(1000, 0)
	in := newIntake(t, Config{Committer: newBook(), OpaqueRate: 1, OpaqueBurst: 3, Now: func() time.Time { return now },
		Registry: testRegistry(t, Device{Number: 3, ID: testID(t, idO), Kind: KindOpaque})})
	j := in.Judge()
	wire := seal(t, keyC, 'O', idO, 4, 9, "\x20\x00")
	var a Arrival
	for i, want := range []bool{true, true, true, false, false} {
		if d := j.Wire(wire, reading.TransportUDP, &a); d.Record != want || !want && d.Reason != OpaqueLimit {
			t.Errorf("%d: got %+v want record %t", i, d, want)
		}
	}
	// Setting the same devices again is no way to refill it.
	if err := in.cfg.Registry.Set([]Device{{Number: 3, ID: testID(t, idO), Kind: KindOpaque}}); err != nil {
		t.Fatal(err)
	}
	outcome{reading.Opaque, OpaqueLimit, false, 3}.check(t, j.Wire(wire, reading.TransportUDP, &a))
	outcome{reading.Opaque, NoReason, true, 3}.check(t, j.Wire(wire, reading.TransportLine, &a))
	now = now.Add(time.Second)
	outcome{reading.Opaque, NoReason, true, 3}.check(t, j.Wire(wire, reading.TransportUDP, &a))
}

func TestMeasure(t *testing.T) {
	num := func(name, unit string, mantissa int64, exp int) reading.Measurement {
		return reading.Measurement{Name: name, Unit: unit, Value: reading.Decimal(mantissa, exp)}
	}
	set := func(name string) reading.Measurement {
		return reading.Measurement{Name: name, Value: reading.Bool(true)}
	}
	for _, c := range []struct {
		name   string
		typ    byte
		body   string
		want   []reading.Measurement
		reason Reason
	}{
		{"valve alone", 'O', "\x2a\x00", []reading.Measurement{num("valve", "%", 42, 0)}, NoReason},
		{"nothing", 'O', "\x7f\x00", nil, NoReason},
		{"all bits, in order", 'O', "\xe4\xee", []reading.Measurement{
			num("valve", "%", 100, 0), set("heat"), set("fault"), set("battery-low"), set("tamper"),
			num("occupancy", "", 3, 0), set("frost")}, NoReason},
		{"stats in the order sent", 'O', "\x7f\x10{\"T|C16\":299,\"H|%\":83", []reading.Measurement{
			num("T", "Cel", 186875, -4), num("H", "%RH", 83, 0)}, NoReason},
		{"a stat named as a bit", 'O', "\x05\x10{\"valve\":1", []reading.Measurement{
			num("valve", "%", 5, 0), num("_valve", "", 1, 0)}, NoReason},
		{"two units of one name", 'O', "\x7f\x10{\"B|cV\":256,\"B|mV\":1", []reading.Measurement{
			num("B", "V", 256, -2)}, StatDuplicate},
		{"stats that do not parse", 'O', "\x05\x10{\"L\":", []reading.Measurement{num("valve", "%", 5, 0)}, StatsNotRead},
		{"another format", 'O', "\x05\x10\x01\x02", []reading.Measurement{num("valve", "%", 5, 0)}, StatsNotRead},
		{"too large a number", 'O', "\x7f\x10{\"T|C16\":9223372036854775807", nil, StatRefused},
		{"no body of a basic frame", 'O', "\x65\x00", nil, BodyNotRead},
		{"too short", 'O', "\x05", nil, BodyNotRead},
		{"empty basic frame", 'O', "", nil, BodyNotRead},
		{"beacon", '!', "", nil, NoReason},
		{"another type", 'I', "\x05\x00", nil, TypeNotRead},
	} {
		t.Run(c.name, func(t *testing.T) {
			var tally Tally
			j := NewJudge(testRegistry(t, Device{Number: 1, ID: testID(t, idA), Kind: KindSecure, Key: &keyA}), 0, &tally)
			var a Arrival
			outcome{reading.Authenticated, NoReason, true, 1}.check(t,
				j.Wire(seal(t, keyA, c.typ, idA, 4, 9, c.body), "udp", &a))
			if !slices.Equal(a.Measurements, c.want) {
				t.Errorf("got %v want %v", a.Measurements, c.want)
			}
			if string(a.Body) != c.body || (c.body == "") != (a.Body == nil) {
				t.Errorf("body: got %q want %q", a.Body, c.body)
			}
			for r, n := range tally.Snapshot().Reasons {
				if want := uint64(0); n != want && r != c.reason || r == c.reason && n != 1 {
					t.Errorf("%v: got %d", r, n)
				}
			}
		})
	}
}

// What an arrival points to is never written again.
func TestArrivalsAreGivenAway(t *testing.T) {
	j := NewJudge(testRegistry(t, Device{Number: 1, ID: testID(t, idA), Kind: KindSecure, Key: &keyA}), 0, new(Tally))
	node := testNode(t, idA, keyA, SimulatorOptions{})
	type kept struct {
		a          Arrival
		wire, body string
		first      reading.Measurement
	}
	var all []kept
	for i := range 1000 {
		wire := next(t, node, i%100, `{"L":7`)
		var a Arrival
		if d := j.Datagram(wire[1:], "udp", &a); !d.Record {
			t.Fatalf("%d: got %+v", i, d)
		}
		all = append(all, kept{a, string(a.Wire), string(a.Body), a.Measurements[0]})
		_ = append(a.Wire, 0xee)
		_ = append(a.Body, 0xee)
		_ = append(a.Measurements, reading.Measurement{Name: "spilt"})
	}
	for i, k := range all {
		if string(k.a.Wire) != k.wire || string(k.a.Body) != k.body || k.a.Measurements[0] != k.first || len(k.a.Measurements) != 2 {
			t.Fatalf("%d: changed to %+v", i, k.a)
		}
	}
}

func TestJudgeLines(t *testing.T) {
	registry := testRegistry(t,
		Device{Number: 1, ID: testID(t, idA), Kind: KindSecure, Key: &keyA},
		Device{Number: 2, ID: testID(t, idO), Kind: KindOpaque},
		Device{Number: 3, ID: testID(t, idT), Epoch: 4, Kind: KindText},
		Device{Number: 4, ID: testID(t, idH), Kind: KindText},
		Device{Number: 5, ID: testID(t, "f1f2000000000000"), Kind: KindText},
	)
	temperature := reading.Measurement{Name: "T", Unit: "Cel", Value: reading.Decimal(194375, -4)}
	aside := outcome{}
	for _, c := range []struct {
		line  string
		want  outcome
		hub   uint32
		first *reading.Measurement
		n     int
	}{
		{line: `{"@":"0D49","+":2,"T|C16":311,"L":0}`, want: outcome{reading.Insecure, NoReason, true, 3}, first: &temperature, n: 2},
		{line: `{"@":"d49","vac|h":9}`, want: outcome{reading.Insecure, NoReason, true, 3}, n: 1},
		{line: `{"@":"0D49818283848586","+":8,"b":1}`, want: outcome{reading.Insecure, NoReason, true, 3}, n: 1},
		{line: `@D49;T19C7;L62;O1;P`, want: outcome{reading.Insecure, NoReason, true, 3}, first: &temperature, n: 4},
		{line: `@D49`, want: outcome{reading.Insecure, NoReason, true, 3}},
		{line: `{"@":"AAAA","T|C16":311}`, want: outcome{reading.Insecure, HasKey, false, 1}},
		{line: `@c0c1;L1`, want: outcome{reading.UnknownNode, NoCandidate, false, 0}},
		{line: `{"@":"f1f2","L":1}`, want: outcome{reading.UnknownNode, AmbiguousID, false, 0}},
		{line: `{"L":1}`, want: outcome{reading.UnknownNode, AmbiguousID, false, 0}},
		{line: `{"@":"0D49","T|C16":3.5}`, want: outcome{reading.Malformed, LineContent, false, 0}},
		{line: `{"@":"xyz"}`, want: outcome{reading.Malformed, LineID, false, 0}},
		{line: "=F0%@18CE;T16 36 W255 0 F255 0;S5 5 17", want: aside},
		{line: "=F0%@19C7;T16 36 W255 0 F255 0;S5 5 17", want: outcome{reading.Insecure, NoReason, true, 4}, hub: 4, n: 3},
		{line: "=F0%@19C7", want: aside, hub: 1}, // not a text device
		{line: `=F0%@18CE;{"@":"","H|%":50,"L":0,"occ|%":0}`, want: outcome{reading.Insecure, NoReason, true, 4}, hub: 4, n: 5},
		{line: ">", want: aside}, {line: ">E", want: aside}, {line: "+CC1", want: aside}, {line: "", want: aside},
		{line: "!RXerr F2", want: aside}, {line: "!RX key", want: aside},
		{line: "?RX auth 8C D3", want: aside}, {line: "?odd", want: aside},
		{line: "#what", want: outcome{reading.Malformed, LineKind, false, 0}},
		{line: "{\x80}", want: outcome{reading.Malformed, LineCharacter, false, 0}},
		{line: "+" + strings.Repeat("x", 255), want: outcome{reading.Malformed, LineTooLong, false, 0}},
		{line: "|5 a {  81FD", want: outcome{reading.Malformed, FrameIDLength, false, 0}},
		{line: "|5 a {", want: outcome{reading.Malformed, LineDump, false, 0}},
		{line: dumpLine(seal(t, keyA, 'O', idA, 4, 9, "\x20\x00")), want: outcome{reading.Authenticated, NoReason, true, 1}, n: 1},
		{line: dumpLine(seal(t, keyA, 'O', idA, 4, 9, "\x20\x00")[1:]), want: outcome{reading.Authenticated, NoReason, true, 1}, n: 1},
		{line: dumpLine(seal(t, keyC, 'O', idO, 4, 9, "\x20\x00")), want: outcome{reading.Opaque, NoReason, true, 2}},
		{line: dumpLine(insecureWire(t, []byte{0x80, 0x81}, "\x00\x01")), want: outcome{reading.Insecure, OnlyCRC, false, 0}},
	} {
		t.Run(c.line, func(t *testing.T) {
			j := NewJudge(registry, 0, new(Tally))
			var a Arrival
			d := j.Line([]byte(c.line), c.hub, &a)
			c.want.check(t, d)
			if d.Aside != (c.want == aside) {
				t.Errorf("aside: got %t", d.Aside)
			}
			if !d.Record {
				return
			}
			if a.Transport != reading.TransportLine || len(a.Measurements) != c.n {
				t.Errorf("got %+v want %d measurements", a, c.n)
			}
			if c.first != nil && a.Measurements[0] != *c.first {
				t.Errorf("first measurement: got %v want %v", a.Measurements[0], *c.first)
			}
			if d.Verdict == reading.Insecure && (string(a.Wire) != c.line || a.Type != c.line[0] || a.Body != nil || a.Counter != 0) {
				t.Errorf("text: got %+v", a)
			}
			if d.Device == 3 && a.Epoch != 4 {
				t.Errorf("epoch: got %d want 4", a.Epoch)
			}
		})
	}
	d := NewJudge(registry, 0, new(Tally)).Line([]byte("?RX auth 8C D3"), 0, new(Arrival))
	if d.Refused != "8cd3" {
		t.Errorf("refused: got %q want 8cd3", d.Refused)
	}
}

// Nothing that comes in makes a judge panic, or a reading that is not valid.
func FuzzJudge(f *testing.F) {
	registry := NewRegistry()
	idA, idO, idT, idH := testID(f, idA), testID(f, idO), testID(f, idT), testID(f, idH)
	if err := registry.Set([]Device{
		{Number: 1, ID: idA, Kind: KindSecure, Key: &keyA},
		{Number: 2, ID: idO, Kind: KindOpaque},
		{Number: 3, ID: idT, Kind: KindText},
		{Number: 4, ID: idH, Kind: KindText},
	}); err != nil {
		f.Fatal(err)
	}
	node, err := NewSimulator(idA, keyA, SimulatorOptions{Counter: 99})
	if err != nil {
		f.Fatal(err)
	}
	wire, err := node.Next(frame.Body{Valve: 3, Stats: []byte(`{"L":7`)})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(wire)
	f.Add(wire[1:])
	f.Add([]byte(dumpLine(wire)))
	f.Add([]byte(`{"@":"0D49","+":2,"T|C16":311,"L":0}`))
	f.Add([]byte(`=F0%@18CE;{"@":"","H|%":50,"L":0,"occ|%":0}`))
	f.Add([]byte("@D49;T19C7;L62;O1;P"))
	f.Add([]byte("\x7f\x10{\"T|C16\":299"))
	f.Fuzz(func(t *testing.T, b []byte) {
		j := NewJudge(registry, 0, new(Tally))
		check := func(d Decision, a Arrival) {
			if d.Record == (d.Reason != NoReason || d.Aside) {
				t.Fatalf("contradiction: %+v", d)
			}
			if !d.Record {
				return
			}
			r := reading.Reading{Device: "0000000000000000", Clock: reading.Synced, Measurements: a.Measurements,
				Origin: reading.Origin{Transport: a.Transport, Verdict: a.Verdict}}
			if err := r.Validate(); err != nil {
				t.Fatal(err)
			}
		}
		var a Arrival
		check(j.Wire(b, reading.TransportUDP, &a), a)
		check(j.Datagram(b, reading.TransportUDP, &a), a)
		check(j.Line(b, 4, &a), a)
		if len(b) <= frame.MaxSecureBody { // the same, authenticated
			check(j.Wire(seal(t, keyA, 'O', idA.String(), 4, 9, string(b)), reading.TransportUDP, &a), a)
		}
	})
}

func BenchmarkJudge(b *testing.B) {
	var devices []Device
	var wires [][]byte
	for i := range 200 {
		id := frame.ID{0x80 | byte(i>>4), 0x90, 0xa0, byte(i), 5, 6, 7, 8}
		key := frame.Key{byte(i), 7}
		devices = append(devices, Device{Number: uint32(i) + 1, ID: id, Kind: KindSecure, Key: &key})
		wires = append(wires, seal(b, key, 'O', id.String(), 4, frame.Counter(i+1)<<24, `!`+"\x10"+`{"T|C16":299,"H|%":83,"L":5`))
	}
	registry := NewRegistry()
	if err := registry.Set(devices); err != nil {
		b.Fatal(err)
	}
	for _, c := range []struct {
		name  string
		spoil func([]byte)
		ok    bool
	}{
		{"authenticated", func([]byte) {}, true},
		{"bad-tag", func(w []byte) { w[50] ^= 1 }, false},
		{"malformed", func(w []byte) { w[62] = 0xff }, false},
	} {
		b.Run(c.name, func(b *testing.B) {
			var spoilt [][]byte
			for _, w := range wires {
				w = slices.Clone(w)
				c.spoil(w)
				spoilt = append(spoilt, w[1:])
			}
			j := NewJudge(registry, 0, new(Tally))
			var a Arrival
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				if d := j.Datagram(spoilt[i%len(spoilt)], reading.TransportUDP, &a); d.Record != c.ok {
					b.Fatalf("got %+v", d)
				}
				i++
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "frames/s")
		})
	}
}
