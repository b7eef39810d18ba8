package store

import (
	"fmt"
	"testing"
	"time"

	"cairn/ingest/reading"
	"cairn/merkle/ledger"
)

// batchInfo is a closed batch as its header and what it hides say.
type batchInfo struct {
	ledger.Header
	ledger.Counts
	gaps []ledger.Gap
}

func (x *site) batches() []batchInfo {
	x.t.Helper()
	var out []batchInfo
	for i := range x.s.LogSize() {
		b, err := x.s.Batch(i)
		if err != nil {
			x.t.Fatal(err)
		}
		h, err := ledger.ParseHeader(b.Header)
		if err != nil {
			x.t.Fatal(err)
		}
		n, err := ledger.ParseCounts(b.Hidden[ledger.HiddenCounts].Item)
		if err != nil {
			x.t.Fatal(err)
		}
		w, err := x.s.windowRow(x.s.db, i)
		if err != nil {
			x.t.Fatal(err)
		}
		out = append(out, batchInfo{h, n, w.Window.gaps()})
	}
	return out
}

// statements gives the ledger's statements of one kind.
func (x *site) statements(kind string) []ledger.Statement {
	x.t.Helper()
	var out []ledger.Statement
	size := x.s.Statements()
	for n := range size {
		item, _, _, err := x.s.StatementAt(n, size)
		if err != nil {
			x.t.Fatal(err)
		}
		st, err := ledger.ParseStatement(item)
		if err != nil {
			x.t.Fatal(err)
		}
		if st.Kind == kind {
			out = append(out, st)
		}
	}
	return out
}

// step moves the wall clock alone and waits until the committer has seen it.
func (x *site) step(d time.Duration) {
	x.t.Helper()
	x.clock.step(d)
	x.sync()
}

// finishClock lets the open window pass, seals, checks, proves every reading,
// and does it again after a restart.
func (x *site) finishClock(t *testing.T, readings int) {
	t.Helper()
	x.pass(time.Minute)
	x.check()
	x.pass(16 * time.Minute)
	x.seal()
	for _, when := range []string{"", " after a restart"} {
		x.check()
		if n := proveAll(t, x); n != readings {
			t.Errorf("%d readings proved%s, want %d", n, when, readings)
		}
		x.restart()
	}
}

func (x *site) clockOf(a answer) reading.Clock {
	x.t.Helper()
	r := x.s.reader()
	defer r.close()
	all, err := r.readings(&r.v.streams[a.slot], a.seq, a.seq+1)
	if err != nil {
		x.t.Fatal(err)
	}
	return all[0].Clock
}

func TestClockSmallStepBack(t *testing.T) {
	x := newSite(t, 2)
	x.pass(20 * time.Second)
	before := x.send(x.nodes[0])[0]
	x.step(-10 * time.Second)
	x.check()
	held := x.send(x.nodes[0], x.nodes[1])[0]
	if held.received != before.received {
		t.Errorf("stamp %d after the step, want it held at %d", held.received, before.received)
	}
	if c := x.clockOf(held); c != reading.Stepped {
		t.Errorf("the reading after the step is flagged %v, want stepped", c)
	}
	st := x.statements(ledger.KindClock)
	if len(st) != 1 || st[0].Body["was"].(int64)-st[0].Body["now"].(int64) != 10_000 {
		t.Fatalf("statements of the clock: %+v, want one of 10 s", st)
	}
	x.pass(time.Minute)
	next := x.send(x.nodes[0])[0]
	if c := x.clockOf(next); c != reading.Synced || next.received != x.clock.ms() {
		t.Errorf("in the next window: %v, received %d at %d", c, next.received, x.clock.ms())
	}
	x.finishClock(t, 4)
}

// TestClockJitter: a clock that goes back by less than a step is none that
// stepped: stamps wait for it, and nothing is declared or flagged.
func TestClockJitter(t *testing.T) {
	x := newSite(t, 2)
	x.pass(20 * time.Second)
	before := x.send(x.nodes[0])[0]
	for _, d := range []time.Duration{time.Millisecond, 40 * time.Millisecond, maxStep - 41*time.Millisecond} {
		x.step(-d)
		if a := x.send(x.nodes[1])[0]; a.received != before.received || x.clockOf(a) != reading.Synced {
			t.Errorf("%v back: stamp %d flagged %v, want %d and synced", d, a.received, x.clockOf(a), before.received)
		}
	}
	x.step(-time.Millisecond)
	if a := x.send(x.nodes[1])[0]; a.received != before.received || x.clockOf(a) != reading.Stepped {
		t.Errorf("over two seconds back: stamp %d flagged %v, want %d and stepped", a.received, x.clockOf(a), before.received)
	}
	if st := x.statements(ledger.KindClock); len(st) != 0 {
		t.Errorf("statements of the clock: %+v, want none", st)
	}
	x.finishClock(t, 5)
}

func TestClockStepForward(t *testing.T) {
	x := newSite(t, 2)
	x.send(x.nodes...)
	x.step(50 * time.Minute)
	x.check()
	a := x.send(x.nodes...)[0]
	x.pass(time.Minute)
	all := x.batches()
	// 09:00 is closed; 09:01 to 09:15, two quarter hours and 09:45 to 09:50 were
	// missed; 09:50 is closed.
	want := []uint64{0, 14, 15, 15, 5, 0}
	if len(all) != len(want) {
		t.Fatalf("%d batches, want %d", len(all), len(want))
	}
	for i, b := range all {
		if b.Missed != want[i] || (len(b.gaps) == 1) != (want[i] > 0) {
			t.Errorf("batch %d: %d windows missed, gaps %v; want %d", i, b.Missed, b.gaps, want[i])
		}
		if b.Streams != 2 {
			t.Errorf("batch %d: %d streams, want 2 heartbeats or runs", i, b.Streams)
		}
		if i > 0 && b.From != all[i-1].To {
			t.Errorf("batch %d begins at %d, the one before ended at %d", i, b.From, all[i-1].To)
		}
	}
	if c := x.clockOf(a); c != reading.Stepped && a.received != x.clock.ms()-60_000 {
		t.Errorf("reading after the step: %+v, %v", a, c)
	}
	if st := x.statements(ledger.KindClock); len(st) != 1 {
		t.Errorf("%d statements of the clock, want 1", len(st))
	}
	x.finishClock(t, 4)
}

func TestClockJump(t *testing.T) {
	for _, how := range []string{"stepped", "slept"} {
		x := newSite(t, 2)
		x.send(x.nodes...)
		const far = 33 * 24 * time.Hour
		if how == "stepped" {
			x.step(far)
		} else {
			x.pass(far)
		}
		x.check()
		a := x.send(x.nodes...)
		if a[0].received != x.clock.ms() || a[0].slot != 0 || a[0].seq != 1 || x.clockOf(a[0]) != reading.Stepped {
			t.Errorf("%s: %+v, %v", how, a[0], x.clockOf(a[0]))
		}
		if st := x.statements(ledger.KindClock); len(st) != 1 {
			t.Errorf("%s: %d statements of the clock, want 1: %+v", how, len(st), st)
		}
		x.pass(time.Minute)
		all := x.batches()
		if len(all) != 2 || all[1].From != x.clock.ms()/60_000*60_000-60_000 {
			t.Errorf("%s: %d batches, the second from %d; want 2, at now", how, len(all), all[1].From)
		}
		x.finishClock(t, 4)
	}
}

func TestClockWrongFuture(t *testing.T) {
	x := newSite(t, 3)
	x.send(x.nodes...)
	x.pass(time.Minute)
	x.send(x.nodes[0])
	x.step(3 * 24 * time.Hour)
	x.send(x.nodes...)
	x.pass(time.Minute)
	x.send(x.nodes[1])
	x.check()
	size := x.s.LogSize()
	old := x.s.Devices()
	x.step(-3 * 24 * time.Hour)
	x.check()
	again := x.send(x.nodes...)
	now := x.s.Devices()
	for i := range now {
		if now[i].Slot == old[i].Slot || now[i].Slot < 3 || now[i].Closed {
			t.Errorf("device %d: slot %d before, %d now", now[i].Number, old[i].Slot, now[i].Slot)
		}
		if again[i].seq != 0 || again[i].slot != now[i].Slot || again[i].received != x.clock.ms() {
			t.Errorf("first reading of the new stream: %+v at %d", again[i], x.clock.ms())
		}
	}
	compartments := map[uint32]bool{}
	for _, in := range x.s.view.Load().streams {
		if compartments[in.envelope] || compartments[in.classes.list[0].compartment] {
			t.Errorf("stream %d shares a compartment", in.slot)
		}
		compartments[in.envelope], compartments[in.classes.list[0].compartment] = true, true
		if in.slot < 3 && (!in.closed || in.closedBy != size) {
			t.Errorf("stream %d: %+v, want it closed by batch %d", in.slot, in, size)
		}
	}
	x.pass(time.Minute)
	x.send(x.nodes...)
	all := x.batches()
	var back []int
	for i := 1; i < len(all); i++ {
		if all[i].From < all[i-1].From {
			back = append(back, i)
		}
	}
	if len(back) != 1 || uint64(back[0]) != size+1 {
		t.Errorf("windows go back at batches %v, want at %d alone", back, size+1)
	}
	last := x.statements(ledger.KindClock)
	if len(last) != 2 || last[1].Body["now"].(int64) >= last[1].Body["was"].(int64) {
		t.Errorf("statements of the clock: %+v", last)
	}
	// A device added and one removed meanwhile, and the same hour again.
	x.addDevice()
	x.send(x.nodes...)
	x.finishClock(t, 3+1+3+1+3+3+4)
}

// TestClockWrongFutureAtStart: the clock was ahead when the gateway stopped.
func TestClockWrongFutureAtStart(t *testing.T) {
	x := newSite(t, 2)
	x.step(2 * 24 * time.Hour)
	x.send(x.nodes...)
	x.pass(time.Minute)
	x.send(x.nodes...)
	x.close()
	x.clock.step(-2 * 24 * time.Hour)
	x.open()
	x.check()
	a := x.send(x.nodes...)
	if a[0].slot != 2 && a[0].slot != 3 || a[0].seq != 0 || a[0].received != x.clock.ms() {
		t.Errorf("%+v", a[0])
	}
	x.finishClock(t, 6)
}

// TestClockInsaneFromTheStart: a gateway without a battery-backed clock.
func TestClockInsaneFromTheStart(t *testing.T) {
	x := &site{t: t, fs: newMem(), keys: newKeys(), clock: newClock(), rng: newRand(1)}
	right := x.clock.now
	x.clock.now = time.UnixMilli(7000)
	x.open()
	x.addDevice()
	x.addDevice()
	a := x.send(x.nodes...)
	if c := x.clockOf(a[0]); c == reading.Synced {
		t.Error("a reading of 1970 is flagged synced")
	}
	x.pass(3 * time.Minute)
	x.send(x.nodes...)
	x.check()
	x.restart()
	x.send(x.nodes...)
	x.check()
	x.step(right.Sub(x.clock.now))
	a = x.send(x.nodes...)
	if a[0].received != x.clock.ms() || a[0].slot != 0 || a[0].seq != 3 {
		t.Errorf("%+v at %d", a[0], x.clock.ms())
	}
	x.check()
	x.pass(time.Minute)
	if a = x.send(x.nodes...); x.clockOf(a[0]) != reading.Synced {
		t.Error("the right clock is not believed")
	}
	x.finishClock(t, 10)
}

// TestClockInsaneLater: a gateway that comes up in 1970, as those without a
// battery do, goes on from what it knows and needs no new streams.
func TestClockInsaneLater(t *testing.T) {
	x := newSite(t, 2)
	before := x.send(x.nodes...)[0]
	right := x.clock.now
	for i := range 3 { // it comes up so again and again
		x.close()
		x.clock.now = time.UnixMilli(5000)
		x.open()
		x.check()
		a := x.send(x.nodes...)[0]
		if a.received < before.received || a.slot != before.slot || a.seq != before.seq+1 || x.clockOf(a) == reading.Synced {
			t.Errorf("start %d: %+v after %+v, %v", i, a, before, x.clockOf(a))
		}
		before = a
		size := x.s.LogSize()
		for range 3 {
			x.pass(time.Minute)
		}
		if x.s.LogSize() != size+3 {
			t.Errorf("%d windows closed in three minutes of 1970", x.s.LogSize()-size)
		}
		a = x.send(x.nodes...)[0]
		if d := a.received - before.received; d < 110_000 || d > 190_000 {
			t.Errorf("%d ms between two readings that came three minutes apart", d)
		}
		before = a
	}
	x.step(right.Add(30 * time.Minute).Sub(x.clock.now))
	x.check()
	a := x.send(x.nodes...)[0]
	if a.received != x.clock.ms() || a.slot != before.slot || a.seq != before.seq+1 {
		t.Errorf("right again: %+v at %d", a, x.clock.ms())
	}
	if n := x.s.Status().Streams; n != 2 {
		t.Errorf("%d streams, want 2", n)
	}
	if st := x.statements(ledger.KindClock); len(st) != 4 {
		t.Errorf("%d statements of the clock, want 3 of an insane one and 1 of the right one: %+v", len(st), st)
	}
	all := x.batches()
	for i := 1; i < len(all); i++ {
		if all[i].From != all[i-1].To {
			t.Errorf("batch %d begins at %d, the one before ended at %d", i, all[i].From, all[i-1].To)
		}
	}
	x.finishClock(t, 2+6*2+2)
}

func TestRestartInWindow(t *testing.T) {
	x := newSite(t, 2)
	n := x.nodes[0]
	for i := range 4 {
		x.send(n, x.nodes[1])
		x.clock.add(time.Second) // it ran until here
		x.close()
		x.clock.add(2 * time.Second)
		x.open()
		x.check()
		if x.s.LogSize() != 0 {
			t.Fatalf("restart %d closed a window", i)
		}
	}
	gaps := x.statements(ledger.KindGap)
	if len(gaps) != 4 || gaps[0].Body["to"].(int64)-gaps[0].Body["from"].(int64) != 2000 {
		t.Errorf("statements of gaps: %+v, want 4 of 2 s", gaps)
	}
	x.send(n)
	x.pass(time.Minute)
	e, err := x.s.Evidence(0, 4)
	if err != nil {
		t.Fatal(err)
	}
	if e.First != 0 || e.Next != 5 {
		t.Errorf("run from %d to %d, want all five in one", e.First, e.Next)
	}
	rest, err := ledger.ParseRest(e.Rest)
	if err != nil || len(rest.Gaps) != 1 || rest.Seen != 5 {
		t.Errorf("rest %+v, %v; want a gap", rest, err)
	}
	x.finishClock(t, 9)
}

// TestRestartAfterWindows: the open window is closed by the next start, which
// says what it missed.
func TestRestartAfterWindows(t *testing.T) {
	for _, c := range []struct {
		away   time.Duration
		missed []uint64
	}{
		{time.Minute, []uint64{0}},
		{2 * time.Minute, []uint64{0, 1}},
		{5 * time.Minute, []uint64{0, 4}},
		{14 * time.Minute, []uint64{0, 13}},
		{15 * time.Minute, []uint64{0, 14}},
		{16 * time.Minute, []uint64{0, 14, 1}},
		{3 * time.Hour, []uint64{0, 14, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15}},
	} {
		t.Run(fmt.Sprint(c.away), func(t *testing.T) {
			x := newSite(t, 2)
			x.send(x.nodes...)
			stopped := x.clock.ms()
			x.close()
			x.clock.add(c.away)
			x.open()
			x.check()
			all := x.batches()
			if len(all) != len(c.missed) {
				t.Fatalf("%d batches, want %d", len(all), len(c.missed))
			}
			for i, b := range all {
				if b.Missed != c.missed[i] || len(b.gaps) != 1 {
					t.Errorf("batch %d: %d missed, gaps %v; want %d", i, b.Missed, b.gaps, c.missed[i])
				}
			}
			if g := all[0].gaps[0]; g.From != stopped || g.To != all[0].To {
				t.Errorf("gap of the first window %+v, want from %d to its end", g, stopped)
			}
			gaps := x.statements(ledger.KindGap)
			if len(gaps) != 1 || gaps[0].Body["from"].(int64) != stopped || gaps[0].Body["to"].(int64) != x.clock.ms() {
				t.Errorf("statements of gaps: %+v", gaps)
			}
			x.send(x.nodes...)
			x.finishClock(t, 4)
		})
	}
}

// TestRestartSlightlyBehind: the clock lost some seconds while the gateway was
// off.
func TestRestartSlightlyBehind(t *testing.T) {
	x := newSite(t, 1)
	x.pass(30 * time.Second)
	before := x.send(x.nodes[0])[0]
	x.close()
	x.clock.step(-20 * time.Second)
	x.open()
	x.check()
	a := x.send(x.nodes[0])[0]
	if a.received != before.received || x.clockOf(a) != reading.Stepped {
		t.Errorf("%+v, %v; want it held at %d and flagged", a, x.clockOf(a), before.received)
	}
	if st := x.statements(ledger.KindClock); len(st) != 1 || len(x.statements(ledger.KindGap)) != 0 {
		t.Errorf("statements of the clock: %+v, of gaps: %+v", st, x.statements(ledger.KindGap))
	}
	x.finishClock(t, 2)
}

// TestWindowsOfOthersStayTheSame: the window's span is fixed at the first start.
func TestWindowSpanIsFixed(t *testing.T) {
	x := newSite(t, 1)
	x.close()
	x.opt.Window = 30 * time.Second
	o := x.options()
	if s, err := Open(o); err == nil {
		s.Close()
		t.Error("opened with another window")
	}
	for _, bad := range []time.Duration{time.Millisecond, 7 * time.Second, time.Hour, -time.Minute, 1500 * time.Millisecond} {
		o.Window = bad
		if s, err := Open(o); err == nil {
			s.Close()
			t.Errorf("opened with a window of %v", bad)
		}
	}
	x.opt.Window = time.Minute
	x.open()
	x.check()
}

// TestHeartbeatsAndDecoys: every window has a summary of every open stream, also
// when nothing came, and a decoy in every other slot.
func TestHeartbeatsAndDecoys(t *testing.T) {
	x := newSite(t, 5)
	x.send(x.nodes[1])
	x.pass(time.Minute)
	x.pass(time.Minute) // nothing came
	x.pass(30 * time.Minute)
	x.check()
	r := x.s.reader()
	defer r.close()
	var before [][32]byte
	for i := range x.s.LogSize() {
		w, err := x.s.windowRow(r.snap, i)
		if err != nil {
			t.Fatal(err)
		}
		if w.Depth != 3 {
			t.Errorf("batch %d: depth %d, want 3", i, w.Depth)
		}
		for slot := range uint64(8) {
			leaf, err := r.slotLeaf(slot, w, i)
			if err != nil {
				t.Fatal(err)
			}
			for _, b := range before {
				if b == leaf {
					t.Errorf("batch %d, slot %d: a leaf that was there before", i, slot)
				}
			}
			before = append(before, leaf)
		}
		sum, rest, err := r.heartbeat(&r.v.streams[1], &w.Window, i)
		if err != nil || i > 0 && (sum.First != 1 || sum.Next != 1) || rest.HasReceived {
			t.Errorf("batch %d: heartbeat %+v, %v", i, sum, err)
		}
	}
	for i, b := range x.batches() {
		if b.Streams != 5 {
			t.Errorf("batch %d: %d streams, want 5", i, b.Streams)
		}
	}
}

// TestClockPastKeyTrees: a clock that shows a time that no key tree reaches, at
// a start or later, is declared, and time is counted on until it is right.
func TestClockPastKeyTrees(t *testing.T) {
	x := newSite(t, 2)
	x.send(x.nodes...)
	const wrong = 75 * 365 * 24 * time.Hour
	x.step(wrong)
	a := x.send(x.nodes[0])[0]
	if c := x.clockOf(a); c != reading.Stepped || a.received > x.clock.ms()-wrong.Milliseconds() {
		t.Errorf("received %d, %v; want it counted on and flagged", a.received, c)
	}
	x.pass(2 * time.Minute)
	x.send(x.nodes...)
	x.restart()
	x.pass(3 * time.Minute)
	x.send(x.nodes...)
	x.check()
	x.step(-wrong)
	x.pass(time.Minute)
	if a := x.send(x.nodes[0])[0]; a.received != x.clock.ms() {
		t.Errorf("received %d once the clock is right, want %d", a.received, x.clock.ms())
	}
	x.finishClock(t, 8)

	y := &site{t: t, fs: newMem(), keys: newKeys(), clock: newClock(), rng: newRand(1)}
	y.clock.step(wrong)
	if s, err := Open(y.options()); err == nil {
		s.Close()
		t.Error("a new ledger begins in a quarter hour that no key tree has")
	}
}

// TestSegmentSalts: a quarter hour that comes twice, because the clock was put
// back, does not salt two segments alike.
func TestSegmentSalts(t *testing.T) {
	x := newSite(t, 2)
	x.send(x.nodes...)
	x.step(24 * time.Hour)
	x.pass(time.Minute)
	x.send(x.nodes...)
	x.step(-24 * time.Hour)
	x.pass(time.Minute)
	x.send(x.nodes...)
	x.pass(16 * time.Minute)
	x.seal()
	x.pass(time.Minute)
	type salt struct {
		hour  uint32
		start uint64
		block [16]byte
	}
	seen, hours := map[salt]bool{}, map[uint32]map[uint64]bool{}
	for i := range x.s.LogSize() {
		rows, err := x.s.listedSegments(x.s.db, i)
		if err != nil {
			t.Fatal(err)
		}
		w, err := x.s.windowRow(x.s.db, i)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range rows {
			k := salt{r.key.Hour, w.Window.Start, ledger.SegmentBlock(r.key.First, r.key.Compartment, r.key.Part)}
			if seen[k] {
				t.Errorf("two segments of quarter hour %d have the same salt", r.key.Hour)
			}
			seen[k] = true
			if hours[r.key.Hour] == nil {
				hours[r.key.Hour] = map[uint64]bool{}
			}
			hours[r.key.Hour][r.key.First] = true
		}
	}
	twice := false
	for _, firsts := range hours {
		twice = twice || len(firsts) > 1
	}
	if !twice {
		t.Fatalf("no quarter hour was sealed twice: %v", hours)
	}
	x.check()
}

// TestClockLagsAtStart: a board without a clock begins with the time that it
// noted last. Streams go on, whatever the time is found to be.
func TestClockLagsAtStart(t *testing.T) {
	for _, c := range []struct {
		what    string
		put     time.Duration // right, from where the clock lags
		streams int
	}{
		{"the gateway was down for a while", 50 * time.Minute, 2},
		{"the time before had been ahead", 0, 4},
	} {
		t.Run(c.what, func(t *testing.T) {
			x := newSite(t, 2)
			state := reading.Synced
			x.close()
			x.opt.Clock = func() reading.Clock { return state }
			x.open()
			x.send(x.nodes...)
			x.pass(5 * time.Minute)
			x.send(x.nodes...)
			newest := x.clock.ms()
			x.close()
			x.clock.step(-40 * time.Minute)
			state = reading.Unsynced
			x.open()
			a := x.send(x.nodes[0])[0]
			if a.seq != 2 || a.received < newest || a.received > newest+1000 || x.clockOf(a) != reading.Stepped {
				t.Errorf("%+v, %v: want the stream to go on from %d", a, x.clockOf(a), newest)
			}
			x.pass(3 * time.Minute)
			if a := x.send(x.nodes[0])[0]; a.received != newest+180_000 || x.clockOf(a) != reading.Unsynced {
				t.Errorf("%+v, %v: want it counted on to %d", a, x.clockOf(a), newest+180_000)
			}
			x.clock.step(c.put)
			state = reading.Synced
			x.sync()
			x.pass(time.Minute)
			if a := x.send(x.nodes[0])[0]; a.received != x.clock.ms() {
				t.Errorf("once it is right: %+v, want %d", a, x.clock.ms())
			}
			if n := len(x.s.view.Load().streams); n != c.streams {
				t.Errorf("%d streams, want %d", n, c.streams)
			}
			x.finishClock(t, 7)
		})
	}
}

// TestClockLagsForLong: what nobody puts right for a day is the time.
func TestClockLagsForLong(t *testing.T) {
	x := newSite(t, 1)
	x.send(x.nodes...)
	x.pass(5 * time.Minute)
	x.close()
	x.clock.step(-time.Hour)
	x.opt.Clock = func() reading.Clock { return reading.Unsynced }
	x.open()
	x.pass(lagPatience - time.Minute)
	if a := x.send(x.nodes...)[0]; a.slot != 0 || a.received <= x.clock.ms() {
		t.Errorf("within a day: %+v", a)
	}
	x.pass(2 * time.Minute)
	if a := x.send(x.nodes...)[0]; a.slot != 1 || a.received != x.clock.ms() {
		t.Errorf("after a day: %+v, want a new stream at %d", a, x.clock.ms())
	}
	x.finishClock(t, 3)
}
