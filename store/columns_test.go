package store

import (
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"

	"cairn/ingest/frame"
	"cairn/ingest/reading"
)

// randomValue draws a valid value of any kind.
func randomValue(rng *rand.Rand) reading.Value {
	for {
		var v reading.Value
		switch rng.IntN(9) {
		case 0:
			v = reading.Int(rng.Int64N(1000) - 500)
		case 1:
			v = reading.Int(int64(rng.Uint64()))
		case 2:
			v = reading.Int([]int64{math.MaxInt64, math.MinInt64, math.MaxInt64 / 1_000_000, math.MaxInt64/1_000_000 + 1, math.MinInt64 / 1_000_000, 0}[rng.IntN(6)])
		case 3:
			v = reading.Decimal(rng.Int64N(40000)-20000, -rng.IntN(5))
		case 4:
			v = reading.Decimal(int64(rng.Uint64()), -rng.IntN(129))
		case 5:
			v = reading.Bool(rng.IntN(2) == 0)
		case 6:
			v = reading.Text("grün warm °C and so on and so forth"[:rng.IntN(3)])
		case 7:
			b := make([]byte, rng.IntN(65))
			for i := range b {
				b[i] = byte(rng.Uint32())
			}
			v = reading.Bytes(b)
		default:
			v = reading.Decimal([]int64{math.MaxInt64, math.MinInt64 + 1, 1, -1, 186875}[rng.IntN(5)], []int{-1, -4, -5, -128}[rng.IntN(4)])
		}
		if v.Valid() {
			return v
		}
	}
}

func randomMeasurements(rng *rand.Rand) []reading.Measurement {
	var ms []reading.Measurement
	for i := range rng.IntN(5) {
		ms = append(ms, reading.Measurement{Name: fmt.Sprintf("m%d", i), Unit: []string{"", "Cel", "%RH"}[rng.IntN(3)], Value: randomValue(rng)})
	}
	if rng.IntN(50) == 0 {
		ms = ms[:0]
		for i := range reading.MaxMeasurements {
			ms = append(ms, reading.Measurement{Name: fmt.Sprintf("many-%d", i), Value: randomValue(rng)})
		}
	}
	return ms
}

// randomRun draws consecutive readings of one stream. Neighbours are often
// alike, as they are in life, and sometimes nothing like each other.
func randomRun(rng *rand.Rand, n int) []stored {
	out := make([]stored, n)
	first := rng.Uint64() >> rng.IntN(64)
	if first > 1<<62 {
		first = 1 << 62
	}
	var inc [16]byte
	recv := rng.Int64N(1 << 45)
	var ms []reading.Measurement
	var f form
	o := reading.Origin{Transport: "udp", Verdict: reading.Authenticated}
	for i := range out {
		if rng.IntN(8) == 0 {
			inc[0]++
		}
		if i == 0 || rng.IntN(4) == 0 {
			ms = randomMeasurements(rng)
			f = form{kind: byte(rng.IntN(4)), typ: byte(rng.Uint32()), idLen: byte(rng.IntN(9)), epoch: rng.Uint32() >> rng.IntN(32)}
			o.Transport = []string{"udp", "line", "mqtt"}[rng.IntN(3)]
			o.Verdict = []reading.Verdict{reading.Authenticated, reading.Opaque, reading.Insecure}[rng.IntN(3)]
			o.HasCounter = rng.IntN(2) == 0
		}
		recv += rng.Int64N(3) * rng.Int64N(70000)
		r := &out[i]
		*r = stored{slot: 7, incarnation: inc, form: f}
		r.Device, r.Sequence, r.Received = "80d1d2d3d4d5d6d7", first+uint64(i), recv
		r.Clock = []reading.Clock{reading.Synced, reading.Unsynced, reading.Stepped}[rng.IntN(3)]
		r.Origin = o
		if o.HasCounter {
			r.Origin.Counter = rng.Uint64() >> 16 >> rng.IntN(40)
		}
		if rng.IntN(3) == 0 {
			r.HasMeasured, r.Measured = true, rng.Int64N(1<<62)>>rng.IntN(62)
		}
		if rng.IntN(2) == 0 {
			for j := range ms {
				ms = slices.Clone(ms)
				ms[j].Value = randomValue(rng)
			}
		}
		r.Measurements = ms
		if f.kind == evidenceBody || f.kind == evidenceWire {
			r.payload = make([]byte, rng.IntN(70))
		}
	}
	return out
}

func sameStored(a, b *stored) bool {
	x, y := a.Reading, b.Reading
	x.Measurements, y.Measurements = nil, nil
	return fmt.Sprint(x) == fmt.Sprint(y) && slices.Equal(a.Measurements, b.Measurements) && a.slot == b.slot &&
		a.incarnation == b.incarnation && a.form == b.form && string(a.payload) == string(b.payload)
}

// decodeThree decodes blocks of scheme 0, of which data and evidence may be missing.
func decodeThree(envelope, data, evidence []byte) ([]stored, error) {
	b := blocks{envelope: envelope, evidence: evidence}
	if data != nil {
		b.data = [][]byte{data}
	}
	return decodeColumns(7, schemeSite, b, nil)
}

func TestColumnsRoundTrip(t *testing.T) {
	var c columns // used again and again, as in a commit
	for seed := range uint64(400) {
		rng := rand.New(rand.NewPCG(seed, 1))
		want := randomRun(rng, 1+rng.IntN(60))
		c.reset(7)
		for i := range want {
			if err := want[i].Validate(); err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			c.add(&want[i])
		}
		env, data, evidence := c.envelope(nil), c.data(nil, 0), c.evidence(nil, nil)
		got, err := decodeThree(env, data, evidence)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if len(got) != len(want) {
			t.Fatalf("seed %d: %d readings, want %d", seed, len(got), len(want))
		}
		for i := range want {
			if !sameStored(&got[i], &want[i]) {
				t.Fatalf("seed %d, reading %d:\n got %+v\nwant %+v", seed, i, got[i], want[i])
			}
		}
		checkCuts(t, env, data, evidence)
	}
}

// checkCuts: no block decodes with a byte less or a byte more.
func checkCuts(t *testing.T, blocks ...[]byte) {
	t.Helper()
	for i, b := range blocks {
		for _, bad := range [][]byte{b[:len(b)-1], append(slices.Clone(b), 0), {}} {
			x := slices.Clone(blocks)
			x[i] = bad
			if _, err := decodeThree(x[0], x[1], x[2]); err == nil {
				t.Fatalf("block %d decodes with %d of %d bytes", i, len(bad), len(b))
			}
		}
	}
}

// TestColumnsBounds holds hostile counts against what they would allocate.
func TestColumnsBounds(t *testing.T) {
	run := func(n ...uint64) (b []byte) {
		for _, v := range n {
			b = appendUvarint(b, v)
		}
		return b
	}
	zeros := make([]byte, 64)
	one := func() (env []byte) {
		var c columns
		s := stored{slot: 7}
		s.Device = "80d1d2d3d4d5d6d7"
		c.add(&s)
		return c.envelope(nil)
	}()
	for name, b := range map[string][3][]byte{
		"a million readings in no bytes":     {append(run(0, 1<<20, 0, 1, 1<<20), zeros...), nil, nil},
		"more readings than any block":       {append(run(0, 1<<40, 0), zeros...), nil, nil},
		"run lengths that sum up to more":    {one, append(run(0, 1, 1, 0, 2, 0, 1, 0, 1), zeros...), nil},
		"run lengths that wrap round":        {one, append(run(0, 1, 1, 0, 2, 0, math.MaxUint64, 0, 2), zeros...), nil},
		"a schema of more columns than data": {one, append(run(0, 1, 1, 60), zeros...), nil},
		"evidence runs that sum up to more":  {one, nil, append(run(0, 1, 1, 0, 0, 0, 0, 2, 0, 1, 0, 1), zeros...)},
		"evidence of other readings":         {one, run(0, 1, 1, 0, 1, 0, 1), run(5, 1, 1, 0, 0, 0, 0, 1, 0, 1)},
		"data of other readings":             {one, run(5, 1, 1, 0, 1, 0, 1), nil},
		"an unknown kind of column":          {one, run(0, 1, 1, 1, 1, 'm', 0, 'q', 1, 0, 1, 3), nil},
		"a form that no table has":           {one, run(0, 1, 1, 0, 1, 0, 1), run(0, 1, 0, 1, 4, 1)},
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := decodeThree(b[0], b[1], b[2])
		runtime.ReadMemStats(&after)
		if err == nil {
			t.Errorf("%s: decodes", name)
		}
		if grown := after.TotalAlloc - before.TotalAlloc; grown > 1<<20 {
			t.Errorf("%s: %d bytes allocated", name, grown)
		}
	}
}

func appendUvarint(b []byte, v uint64) []byte {
	for ; v >= 0x80; v >>= 7 {
		b = append(b, byte(v)|0x80)
	}
	return append(b, byte(v))
}

func FuzzColumns(f *testing.F) {
	for seed := range uint64(12) {
		rng := rand.New(rand.NewPCG(seed, 2))
		var c columns
		for _, r := range randomRun(rng, 1+rng.IntN(20)) {
			c.add(&r)
		}
		f.Add(c.envelope(nil), c.data(nil, 0), c.evidence(nil, nil))
	}
	f.Fuzz(func(t *testing.T, env, data, evidence []byte) {
		got, err := decodeThree(env, data, evidence)
		if err != nil {
			return
		}
		// What decodes can be written again, and gives the same readings.
		var c columns
		for i := range got {
			if len(got[i].payload) > 0 && got[i].form.kind < evidenceBody {
				t.Fatalf("reading %d has evidence that its form does not", i)
			}
			if !slices.ContainsFunc(got[i].Measurements, func(m reading.Measurement) bool { return !m.Value.Valid() }) {
				c.add(&got[i])
			}
		}
		if c.n != len(got) {
			return
		}
		again, err := decodeThree(c.envelope(nil), c.data(nil, 0), c.evidence(nil, nil))
		if err != nil {
			t.Fatal(err)
		}
		for i := range got {
			if !sameStored(&again[i], &got[i]) {
				t.Fatalf("reading %d:\n got %+v\nwant %+v", i, again[i], got[i])
			}
		}
	})
}

// FuzzRows throws bytes at everything else that reads a stored value.
func FuzzRows(f *testing.F) {
	x := newSite(f, 3)
	x.send(x.nodes...)
	x.send(x.nodes[1], x.nodes[0])
	x.pass(minute)
	each(x.s.db, nil, nil, func(key, val []byte) (bool, error) {
		f.Add(key[32], slices.Clone(val))
		return true, nil
	})
	rec := func() []byte {
		val, closer, err := x.s.db.Get(x.s.keys.u64(kindCommit, 0))
		if err != nil {
			f.Fatal(err)
		}
		defer closer.Close()
		return slices.Clone(val)
	}()
	r, err := parseRecord(0, rec)
	if err != nil {
		f.Fatal(err)
	}
	site, err := x.s.cursor(2).Hour(x.s.view.Load().state.Open.hour())
	if err != nil {
		f.Fatal(err)
	}
	plain, err := site.OpenMessage(nil, purposeCommit, &r.random, x.s.commitAAD(0, 2), r.site)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(byte(0), plain)
	f.Add(byte(1), append([]byte{8, 0}, "content!and zeros\x00\x00"...))
	f.Add(byte(2), packContent(make([]byte, 4096)))
	f.Add(byte(3), r.devices)
	key := x.s.keys.u64(kindWindow, 0)
	f.Fuzz(func(t *testing.T, kind byte, val []byte) {
		switch kind {
		case 0:
			r.parseSite(val)
		case 1:
			unpack(val)
		case 2:
			unpackContent(val)
		case 3:
			r.parseDevices(val)
		case kindCommit:
			rec, err := parseRecord(0, val)
			if err != nil {
				return
			}
			n := make([]int, len(rec.streams))
			for _, at := range rec.order {
				rec.streams[at].root(n[at])
				n[at]++
			}
			for i := range n {
				if n[i] != rec.streams[i].n {
					t.Fatalf("stream %d of %d readings stands %d times in the order", i, rec.streams[i].n, n[i])
				}
			}
		case kindRun:
			if row, err := parseRun(0, val); err == nil && row.next <= row.first {
				t.Fatalf("a run from %d to %d", row.first, row.next)
			}
		default:
			for _, v := range []any{new(ledgerState), new(window), new(windowRow), new(streamRow), new(splitRow), new(deviceRow), new(placedRow), new(indexRow), new(hourRow), new(statementRow), new(checkpointRow)} {
				decodeRow(nil, key, val, v)
				switch v := v.(type) {
				case *streamRow:
					v.Stats.stats(0)
				case *splitRow:
					v.classes()
				case *deviceRow:
					new(device).setRow(*v)
				case *placedRow:
					new(device).setPlaced(*v)
				case *window:
					v.hour()
					v.seen()
					v.gaps()
				}
			}
		}
	})
}

func TestFramesAgain(t *testing.T) {
	// Bodies that cannot be built again from their measurements are kept, and
	// every frame comes back bit for bit.
	x := newSite(t, 1)
	n := x.nodes[0]
	bodies := []frame.Body{
		{Valve: -1}, {Valve: 0}, {Valve: 100, CallForHeat: true}, {Valve: -1, Fault: true, LowBattery: true, Tamper: true, FrostRisk: true, Occupancy: 3},
		{Valve: -1, Stats: []byte(`{"T|C16":299,"H|%":50}`)}, {Valve: 3, Stats: []byte(`{"B|cV":254,"L":5}`)},
		{Valve: -1, Stats: []byte(`{"T|C16" :299}`)}, {Valve: -1, Rest: []byte("not json at all")}, {Valve: -1, Stats: []byte(`{"x":"text"}`)},
	}
	var frames []string
	for i, body := range bodies {
		for _, withMeasurements := range []bool{true, false} {
			n.counter++
			plain, err := frame.AppendBody(nil, body)
			if err != nil {
				t.Fatalf("body %d: %v", i, err)
			}
			wire, err := n.opener.Seal(nil, frame.TypeBasic|frame.SecureBit, n.id, 1+i%5, n.counter, plain)
			if err != nil {
				t.Fatal(err)
			}
			a := Arrival{
				Device: 1, Epoch: 1, Verdict: reading.Authenticated, Transport: "udp", Counter: n.counter,
				Wire: wire, Body: plain, Type: frame.TypeBasic | frame.SecureBit, IDLen: byte(1 + i%5),
			}
			if withMeasurements {
				if body.Valve >= 0 {
					a.Measurements = append(a.Measurements, reading.Measurement{Name: reading.NameValve, Unit: "%", Value: reading.Int(int64(body.Valve))})
				}
				if body.CallForHeat {
					a.Measurements = append(a.Measurements, reading.Measurement{Name: reading.NameHeat, Value: reading.Bool(true)})
				}
			}
			if got := x.submit(a)[0]; got.err != nil || got.verdict != reading.Authenticated {
				t.Fatalf("body %d: %+v", i, got)
			}
			frames = append(frames, string(wire))
		}
	}
	x.pass(20 * minute)
	for _, sealed := range []bool{false, true} {
		if sealed {
			x.seal()
		}
		x.check()
		for seq, want := range frames {
			e, err := x.s.Evidence(0, uint64(seq))
			if err != nil {
				t.Fatal(err)
			}
			if string(e.Frame) != want {
				t.Errorf("reading %d: frame %x, want %x", seq, e.Frame, want)
			}
			verify(t, x, e)
		}
	}
}
