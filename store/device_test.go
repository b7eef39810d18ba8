package store

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"cairn/ingest/frame"
	"cairn/ingest/reading"
	"cairn/merkle/ledger"
)

// insecure is a hub's text line as intake hands it on.
func (n *node) insecure(text string, sixteenths int64) Arrival {
	return Arrival{
		Device: n.binding.Number, Epoch: 1, Verdict: reading.Insecure, Transport: "line", Wire: []byte(text),
		Measurements: []reading.Measurement{{Name: "T", Unit: "Cel", Value: reading.Decimal(sixteenths*625, -4)}},
	}
}

// opaque is a frame that nobody here can open.
func (n *node) opaque(wire string) Arrival {
	return Arrival{Device: n.binding.Number, Epoch: 1, Verdict: reading.Opaque, Transport: "udp", Wire: []byte(wire)}
}

func (x *site) add(d NewDevice) (*node, error) {
	b, err := x.s.AddDevice(context.Background(), d)
	n := &node{id: d.ID, kind: d.Kind, counter: d.Floor, binding: b}
	if err == nil && d.Key != nil {
		n.opener, err = frame.NewOpener(*d.Key)
	}
	return n, err
}

// refusedUnchanged holds that a request is refused by name and changes nothing.
func (x *site) refusedUnchanged(what string, want error, call func() error) {
	x.t.Helper()
	before := fmt.Sprint(x.s.Devices(), x.s.Statements(), x.s.Status().Streams)
	if err := call(); !errors.Is(err, want) {
		x.t.Errorf("%s: %v, want %v", what, err, want)
	}
	if after := fmt.Sprint(x.s.Devices(), x.s.Statements(), x.s.Status().Streams); after != before {
		x.t.Errorf("%s changed something:\n%s\n%s", what, before, after)
	}
	if err := x.s.Dead(); err != nil {
		x.t.Fatalf("%s: %v", what, err)
	}
}

func TestDeviceErrors(t *testing.T) {
	x := newSite(t, 1)
	ctx := context.Background()
	key, other := frame.Key{1}, frame.Key{2}
	id := frame.ID{0x81, 2, 3, 4, 5, 6, 7, 8}
	add := func(d NewDevice) func() error {
		return func() error { _, err := x.s.AddDevice(ctx, d); return err }
	}
	x.refusedUnchanged("secure without a key", ErrRefused, add(NewDevice{ID: id, Kind: ledger.BindSecure}))
	x.refusedUnchanged("opaque with a key", ErrRefused, add(NewDevice{ID: id, Kind: ledger.BindOpaque, Key: &key}))
	x.refusedUnchanged("text with a key", ErrRefused, add(NewDevice{ID: id, Kind: ledger.BindText, Key: &key}))
	x.refusedUnchanged("unknown kind", ErrRefused, add(NewDevice{ID: id, Kind: "magic"}))
	x.refusedUnchanged("floor over 48 bits", ErrRefused, add(NewDevice{ID: id, Kind: ledger.BindSecure, Key: &key, Floor: 1 << 48}))
	x.refusedUnchanged("name of 70,000 bytes", ErrRefused, add(NewDevice{ID: id, Name: string(make([]byte, 70000)), Kind: ledger.BindText}))
	x.refusedUnchanged("name that is no text", ErrRefused, add(NewDevice{ID: id, Name: "\xff", Kind: ledger.BindText}))
	first := x.nodes[0]
	x.refusedUnchanged("the same device again", ErrRefused, add(NewDevice{ID: first.id, Name: first.binding.Name, Kind: ledger.BindSecure, Key: &key}))

	rotate := func(number uint32, k *frame.Key, floor frame.Counter) func() error {
		return func() error { _, err := x.s.RotateDevice(ctx, number, k, floor); return err }
	}
	x.refusedUnchanged("rotate nobody", ErrUnknown, rotate(99, &other, 0))
	x.refusedUnchanged("rotate to no key", ErrRefused, rotate(1, nil, 0))
	x.refusedUnchanged("rotate to a floor over 48 bits", ErrRefused, rotate(1, &other, 1<<48))
	same, _ := x.s.DeviceKey(1, 1)
	x.refusedUnchanged("rotate to the same key", ErrRefused, rotate(1, &same, 0))
	x.refusedUnchanged("remove nobody", ErrUnknown, func() error { return x.s.RemoveDevice(ctx, 99) })
	x.refusedUnchanged("bad statement", ledger.ErrInvalid, func() error {
		_, err := x.s.AddStatement(ctx, ledger.Statement{Kind: "Not A Word"})
		return err
	})
	x.refusedUnchanged("clock statement without a body", ledger.ErrInvalid, func() error {
		_, err := x.s.AddStatement(ctx, ledger.Statement{Kind: ledger.KindClock})
		return err
	})
	text, err := x.add(NewDevice{ID: id, Name: "hub", Kind: ledger.BindText})
	if err != nil {
		t.Fatal(err)
	}
	x.refusedUnchanged("rotate a device without keys", ErrRefused, rotate(text.binding.Number, &other, 0))
	x.check()
	x.restart()
	x.check()
}

func TestRotate(t *testing.T) {
	x := newSite(t, 2)
	n := x.nodes[0]
	x.send(n, n)
	late := n.arrival(t, 70) // with the old key, above every counter so far
	x.send(n)
	later := n.arrival(t, 70)
	key := frame.Key{9}
	const floor = 0x100
	b, err := x.s.RotateDevice(context.Background(), 1, &key, floor)
	if err != nil || b.Epoch != 2 || b.Slot != 0 || b.Floor != floor {
		t.Fatalf("%+v, %v", b, err)
	}
	if got := x.submit(late, later); got[0].verdict != reading.Replay || got[1].verdict != reading.Replay || got[0].err != nil {
		t.Errorf("frames of the old key after the rotation: %+v", got)
	}
	n.binding, n.counter = b, floor-1
	if n.opener, err = frame.NewOpener(key); err != nil {
		t.Fatal(err)
	}
	if got := x.submit(n.arrival(t, 70))[0]; got.verdict != reading.Replay {
		t.Errorf("counter at the floor: %+v, want a replay", got)
	}
	for range 3 {
		x.send(n)
		x.restart()
		x.check()
	}
	if got := x.submit(late, later, n.arrivalAt(t, floor, 70)); got[0].verdict != reading.Replay || got[1].verdict != reading.Replay || got[2].verdict != reading.Replay {
		t.Errorf("old frames after restarts: %+v", got)
	}
	ahead := n.arrival(t, 70)
	ahead.Epoch = 3
	if got := x.submit(ahead)[0]; !errors.Is(got.err, ErrUnknown) {
		t.Errorf("a key that is not there yet: %+v", got)
	}
	old, ok1 := x.s.DeviceKey(1, 1)
	_, ok2 := x.s.DeviceKey(1, 2)
	if _, ok3 := x.s.DeviceKey(1, 3); !ok1 || !ok2 || ok3 {
		t.Errorf("keys of epochs 1 to 3: %v, %v, %v", ok1, ok2, ok3)
	}
	x.refusedUnchanged("rotate back to the first key", ErrRefused, func() error {
		_, err := x.s.RotateDevice(context.Background(), 1, &old, 0)
		return err
	})
	x.pass(20 * time.Minute)
	x.seal()
	x.check()
	if got := proveAll(t, x); got != 6 {
		t.Errorf("%d readings proved, want 6", got)
	}
}

func TestRemove(t *testing.T) {
	x := newSite(t, 3)
	ctx := context.Background()
	n := x.nodes[1]
	x.send(x.nodes...)
	x.pass(time.Minute)
	x.send(n)
	after := n.arrival(t, 70)
	if err := x.s.RemoveDevice(ctx, 2); err != nil {
		t.Fatal(err)
	}
	if got := x.submit(after)[0]; !errors.Is(got.err, ErrUnknown) {
		t.Errorf("arrival of a removed device: %+v, want ErrUnknown", got)
	}
	x.refusedUnchanged("remove twice", ErrUnknown, func() error { return x.s.RemoveDevice(ctx, 2) })
	x.refusedUnchanged("rotate a removed one", ErrUnknown, func() error { _, err := x.s.RotateDevice(ctx, 2, &frame.Key{7}, 0); return err })
	x.restart() // while its last summary is still to come
	if got := x.submit(after)[0]; !errors.Is(got.err, ErrUnknown) {
		t.Errorf("arrival of a removed device after a restart: %+v, want ErrUnknown", got)
	}
	x.check()
	x.pass(time.Minute)
	x.check()

	// Its last summary, with the reading of that window, says closed; later
	// windows hold a decoy in its slot.
	e, err := x.s.Evidence(1, 1)
	if err != nil {
		t.Fatal(err)
	}
	verify(t, x, e)
	if sum, err := ledger.ParseSummary(e.Summary); err != nil || !sum.Closed {
		t.Errorf("the last summary: %+v, %v; want it closed", sum, err)
	}
	if e, err = x.s.Evidence(1, 0); err != nil {
		t.Fatal(err)
	}
	if sum, err := ledger.ParseSummary(e.Summary); err != nil || sum.Closed {
		t.Errorf("a summary before the last: %+v, %v; want it open", sum, err)
	}
	if got := x.s.Status().Streams; got != 2 {
		t.Errorf("%d open streams, want 2", got)
	}

	// The same device again gets a slot of its own.
	key := frame.Key{3}
	again, err := x.add(NewDevice{ID: n.id, Name: n.binding.Name, Kind: ledger.BindSecure, Key: &key})
	if err != nil || again.binding.Slot != 3 || again.binding.Number != 4 {
		t.Fatalf("%+v, %v", again.binding, err)
	}
	x.send(again, x.nodes[0])
	x.pass(time.Minute)
	x.check()
	x.pass(20 * time.Minute)
	x.seal()
	x.restart()
	x.check()
	if got := proveAll(t, x); got != 6 {
		t.Errorf("%d readings proved, want 6", got)
	}
	used := map[uint64]bool{}
	for n := range x.s.Statements() {
		item, _, _, err := x.s.StatementAt(n, x.s.Statements())
		if err != nil {
			t.Fatal(err)
		}
		if st, _ := ledger.ParseStatement(item); st.Kind == ledger.KindBind {
			slot := uint64(st.Body["slot"].(int64))
			if used[slot] {
				t.Errorf("slot %d was given twice", slot)
			}
			used[slot] = true
		}
	}
}

func TestOpaqueAndText(t *testing.T) {
	x := newSite(t, 1)
	id := frame.ID{0x80, 1, 2, 3, 4, 5, 6, 7}
	op, err := x.add(NewDevice{ID: id, Name: "someone's meter", Kind: ledger.BindOpaque})
	if err != nil {
		t.Fatal(err)
	}
	tx, err := x.add(NewDevice{ID: id, Name: "hub", Kind: ledger.BindText}) // the same id, another binding
	if err != nil {
		t.Fatal(err)
	}
	var wires []string
	for i := range 5 {
		wires = append(wires, fmt.Sprintf("\x05frame %d", i))
	}
	check := func(when string) {
		t.Helper()
		for _, w := range wires {
			if got := x.submit(op.opaque(w))[0]; got.verdict != reading.Duplicate || got.err != nil {
				t.Errorf("%s: opaque frame again: %+v, want a duplicate", when, got)
			}
		}
		x.check()
	}
	for _, w := range wires {
		if got := x.submit(op.opaque(w))[0]; got.verdict != reading.Opaque || got.err != nil {
			t.Fatalf("opaque frame: %+v", got)
		}
	}
	check("at once")
	x.restart()
	check("after a restart")
	for i := range 3 { // a line may well say the same again
		if got := x.submit(tx.insecure(`{"@":"80","T|C16":299}`, 299))[0]; got.verdict != reading.Insecure || got.err != nil || got.seq != uint64(i) {
			t.Fatalf("line %d: %+v", i, got)
		}
	}
	x.pass(20 * time.Minute)
	x.seal()
	check("when sealed")
	e, err := x.s.Evidence(tx.binding.Slot, 2)
	if err != nil {
		t.Fatal(err)
	}
	verify(t, x, e)
	if e.Reading.Origin.Verdict != reading.Insecure || e.Reading.Origin.HasCounter || string(e.Frame) != `{"@":"80","T|C16":299}` {
		t.Errorf("a text line's reading: %+v, frame %q", e.Reading, e.Frame)
	}
	if e.Reading.Origin.Verdict.DeviceAuthenticated() {
		t.Error("a text line passes for authenticated by the device")
	}
	if e, err = x.s.Evidence(op.binding.Slot, 4); err != nil {
		t.Fatal(err)
	}
	verify(t, x, e)
	if len(e.Reading.Measurements) != 0 || string(e.Frame) != wires[4] {
		t.Errorf("an opaque reading: %+v, frame %q", e.Reading, e.Frame)
	}
}

// TestInvalidArrivals: what cannot be a reading is refused by name and leaves
// no trace, and its neighbours in the same group are taken.
func TestInvalidArrivals(t *testing.T) {
	x := newSite(t, 1)
	n := x.nodes[0]
	bad := map[string]func(*Arrival){
		"a reserved name": func(a *Arrival) { a.Measurements = []reading.Measurement{{Name: "device", Value: reading.Int(1)}} },
		"no name":         func(a *Arrival) { a.Measurements = []reading.Measurement{{Value: reading.Int(1)}} },
		"a name twice":    func(a *Arrival) { a.Measurements = append(a.Measurements, a.Measurements[0]) },
		"no value":        func(a *Arrival) { a.Measurements = []reading.Measurement{{Name: "T"}} },
		"a value not normalised": func(a *Arrival) {
			a.Measurements[0].Value = reading.Value{Kind: reading.KindDecimal, Mantissa: 10, Exp: -1}
		},
		"58 measurements": func(a *Arrival) {
			a.Measurements = nil
			for i := range 58 {
				a.Measurements = append(a.Measurements, reading.Measurement{Name: fmt.Sprint("m", i), Value: reading.Int(1)})
			}
		},
		"an unknown transport":  func(a *Arrival) { a.Transport = "pigeon" },
		"an unknown device":     func(a *Arrival) { a.Device = 77 },
		"a verdict that is bad": func(a *Arrival) { a.Verdict = reading.BadTag },
		"no verdict at all":     func(a *Arrival) { a.Verdict = 200 },
	}
	var taken uint64
	for name, spoil := range bad {
		first := n.arrival(t, 60)
		a := n.arrival(t, 61)
		again := n.arrivalAt(t, n.counter, 61)
		spoil(&a)
		got := x.submit(first, a, again)
		if got[1].err == nil {
			t.Errorf("%s: %+v, want an error", name, got[1])
		}
		if name == "an unknown device" && !errors.Is(got[1].err, ErrUnknown) {
			t.Errorf("%s: %v", name, got[1].err)
		}
		for _, i := range []int{0, 2} {
			if got[i].err != nil || got[i].verdict != reading.Authenticated || got[i].seq != taken {
				t.Errorf("%s: its neighbour: %+v, want number %d", name, got[i], taken)
			}
			taken++
		}
		x.check()
	}
	x.restart()
	x.pass(time.Minute)
	if rep := x.check(); rep.Readings != taken {
		t.Errorf("%d readings, want %d", rep.Readings, taken)
	}
}

func TestCounterFloorAndSharedID(t *testing.T) {
	x := newSite(t, 0)
	id := frame.ID{0x80, 1, 2, 3, 4, 5, 6, 7}
	var nodes []*node
	for i := range 3 {
		key := frame.Key{byte(i + 1)}
		n, err := x.add(NewDevice{ID: id, Name: fmt.Sprint("twin ", i), Kind: ledger.BindSecure, Key: &key, Floor: 1000})
		if err != nil {
			t.Fatal(err)
		}
		nodes = append(nodes, n)
	}
	for i, n := range nodes {
		for _, c := range []frame.Counter{1, 999, 1000} {
			if got := x.submit(n.arrivalAt(t, c, 60))[0]; got.verdict != reading.Replay {
				t.Errorf("twin %d, counter %d: %+v, want a replay", i, c, got)
			}
		}
		if got := x.submit(n.arrivalAt(t, 1001+frame.Counter(i), 60))[0]; got.verdict != reading.Authenticated || got.slot != uint64(i) {
			t.Errorf("twin %d: %+v", i, got)
		}
	}
	x.restart()
	for i, n := range nodes {
		for c := frame.Counter(1001); c < 1004; c++ {
			want := reading.Authenticated
			switch {
			case c == 1001+frame.Counter(i):
				want = reading.Duplicate
			case c < 1001+frame.Counter(i):
				want = reading.Replay
			}
			if got := x.submit(n.arrivalAt(t, c, 60))[0]; got.verdict != want {
				t.Errorf("twin %d, counter %d: %+v, want %v", i, c, got, want)
			}
		}
	}
	x.check()
}

// TestRebootOutlivesCrash: the statement of a node's reboot is as durable as
// the reading that showed it.
func TestRebootOutlivesCrash(t *testing.T) {
	x := newSite(t, 1)
	mem := vfs.NewCrashableMem()
	x.close()
	x.fs, x.nodes = mem, nil
	x.open()
	n := x.addDevice()
	x.send(n)
	n.counter = 0x2b000000
	got := x.submit(n.arrival(t, 60))[0]
	if !got.rebooted || got.err != nil {
		t.Fatalf("%+v", got)
	}
	x.send(n)
	count := x.s.Statements()
	item, _, _, err := x.s.StatementAt(count-1, count)
	if err != nil {
		t.Fatal(err)
	}
	x.fs = mem.CrashClone(vfs.CrashCloneCfg{})
	x.s.Close()
	x.open()
	kept, _, _, err := x.s.StatementAt(count-1, x.s.Statements())
	if err != nil || string(kept) != string(item) {
		t.Fatalf("after a crash: statement %x, %v; want %x", kept, err, item)
	}
	if st, err := ledger.ParseStatement(kept); err != nil || st.Kind != ledger.KindReboot {
		t.Errorf("%+v, %v; want a reboot", st, err)
	}
	x.check()
	x.pass(time.Minute)
	x.check()
}

// TestOddFrameIsKept: a frame that its own description would not seal again is
// kept as it came.
func TestOddFrameIsKept(t *testing.T) {
	x := newSite(t, 1)
	a := x.nodes[0].arrival(t, 70)
	a.IDLen = 3
	if got := x.submit(a)[0]; got.err != nil {
		t.Fatal(got.err)
	}
	x.pass(time.Minute)
	x.check()
	e, err := x.s.Evidence(0, 0)
	if err != nil {
		t.Fatal(err)
	}
	if string(e.Frame) != string(a.Wire) {
		t.Errorf("frame %x, want %x", e.Frame, a.Wire)
	}
}

// TestSameDeviceTwice: an ID and key that are registered cannot be registered
// again while they are.
func TestSameDeviceTwice(t *testing.T) {
	x := newSite(t, 1)
	key := frame.Key{15: 1, 0: 0x42} // the first node's
	_, err := x.s.AddDevice(context.Background(), NewDevice{ID: x.nodes[0].id, Name: "another name", Kind: ledger.BindSecure, Key: &key})
	if !errors.Is(err, ErrRefused) {
		t.Errorf("added twice: %v, want %v", err, ErrRefused)
	}
}
