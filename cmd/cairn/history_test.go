package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"

	"github.com/cockroachdb/pebble/v2/vfs"

	"cairn/anchor/proof"
	"cairn/ingest/frame"
	"cairn/ingest/reading"
	"cairn/merkle/ledger"
	"cairn/store"
	"cairn/store/share"
)

// twoClocks is a clock whose wall and monotonic time tests move apart.
type twoClocks struct {
	mu     sync.Mutex
	wall   time.Time
	mono   time.Duration
	synced reading.Clock
}

// Now gives the wall time with the monotonic reading that package time would
// have put beside it: the second word of a Time that came from time.Now.
func (c *twoClocks) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := time.Now()
	t = t.Add(c.wall.Sub(t.Round(0)))
	*(*int64)(unsafe.Add(unsafe.Pointer(&t), 8)) = int64(c.mono)
	return t
}

func (c *twoClocks) state() reading.Clock {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.synced
}

func (c *twoClocks) move(wall, mono time.Duration) {
	c.mu.Lock()
	c.wall, c.mono = c.wall.Add(wall), c.mono+mono
	c.mu.Unlock()
}

var historyStart = time.Date(2026, 3, 14, 9, 0, 7, 0, time.UTC)

// history is a real store with two devices, on such a clock.
type history struct {
	t       *testing.T
	clock   *twoClocks
	fs      *vfs.MemFS
	keyring *share.Keyring
	st      *store.Store
	nodes   []ledger.Binding
	counter []int64
}

func newHistory(t *testing.T) *history {
	h := &history{
		t: t, fs: vfs.NewMem(), keyring: share.MemorySeed([32]byte{7}),
		clock: &twoClocks{wall: historyStart, mono: time.Hour, synced: reading.Synced},
	}
	h.open()
	t.Cleanup(func() { h.st.Close() })
	for i, name := range []string{"fridge", "neighbour"} {
		b, err := h.st.AddDevice(t.Context(), store.NewDevice{ID: frame.ID{0x80, 1, 2, 3, 4, 5, 6, byte(i)}, Name: name, Kind: ledger.BindSecure, Key: &frame.Key{byte(i)}})
		h.must(err)
		h.nodes, h.counter = append(h.nodes, b), append(h.counter, 1<<24)
	}
	return h
}

func (h *history) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

func (h *history) open() {
	h.t.Helper()
	st, err := store.Open(store.Options{
		Dir: "data", FS: h.fs, Keyring: h.keyring, Now: h.clock.Now, Clock: h.clock.state,
		Free: func() (uint64, error) { return 1 << 40, nil },
	})
	h.must(err)
	h.st = st
	h.look()
}

// look has the store look at the clock, as any change does.
func (h *history) look() {
	h.t.Helper()
	h.must(h.st.AllowSigning(h.t.Context()))
}

// restart leaves the gateway off for a while; its clock may show another time.
func (h *history) restart(wall, mono time.Duration) {
	h.t.Helper()
	h.must(h.st.Close())
	h.clock.move(wall, mono)
	h.open()
}

// step moves the wall clock alone.
func (h *history) step(d time.Duration) { h.clock.move(d, 0); h.look() }

// sleep lets time pass while nobody looks.
func (h *history) sleep(d time.Duration) { h.clock.move(d, d); h.look() }

// pass lets time pass, with a reading of the first device every so often, and of
// the second every fifth time.
func (h *history) pass(d, every time.Duration) {
	h.t.Helper()
	const look = 4 * time.Second
	n := 0
	for at := look; at <= d; at += look {
		h.sleep(look)
		if at%every < look {
			h.send(0)
			if n++; n%5 == 0 {
				h.send(1)
			}
		}
	}
}

func (h *history) send(node int) {
	h.t.Helper()
	h.sendAs(node, h.counter[node]+1)
}

func (h *history) sendAs(node int, counter int64) {
	h.t.Helper()
	h.counter[node] = counter
	a := arrivalOf(h.nodes[node], 0, counter%70)
	a.Counter = frame.Counter(counter)
	a.Done = func(_ reading.Verdict, _, _ uint64, _ int64, _ bool, err error) {
		if err != nil {
			h.t.Errorf("reading %x: %v", counter, err)
		}
	}
	h.must(h.st.Submit(h.t.Context(), []store.Arrival{a}))
	h.look()
}

func (h *history) prove(q proveRequest) (proof.Verdict, error) {
	q.Complete = true
	l := &openLedger{cfg: &LedgerConfig{}, keyring: h.keyring, store: h.st}
	a, err := l.prove(context.Background(), q, func(string) {})
	if err != nil {
		return proof.Verdict{}, err
	}
	return proof.VerifyBytes(a.File, proof.Options{Require: proof.LevelLogged}), nil
}

// complete proves all that the store has, and parts of it: nothing may be missing.
func (h *history) complete() {
	h.t.Helper()
	h.pass(2*time.Minute, 20*time.Second)
	v, err := h.prove(proveRequest{All: true})
	h.must(err)
	h.holds(&v)
	if len(v.Ranges) < len(h.nodes) {
		h.t.Errorf("%d ranges of %d devices", len(v.Ranges), len(h.nodes))
	}
	rnd := rand.New(rand.NewPCG(3, 5))
	now, start := h.clock.Now().UnixMilli(), historyStart.UnixMilli()
	begin, end := min(now, start), max(now, start+4*3600*1000)
	for range 25 {
		from := begin + rnd.Int64N(end-begin)
		to := from + 1 + rnd.Int64N((end-begin)/4)
		v, err := h.prove(proveRequest{All: true, From: &from, To: &to})
		var again againError
		if errors.As(err, &again) || err != nil && strings.HasPrefix(err.Error(), "nothing was bound") {
			continue
		}
		if err != nil {
			h.t.Errorf("from %s to %s: %v", timeText(from), timeText(to), err)
			continue
		}
		h.holds(&v)
	}
}

// holds is that a verdict knows all, or all but the tail.
func (h *history) holds(v *proof.Verdict) {
	h.t.Helper()
	for i := range v.Ranges {
		r := &v.Ranges[i]
		tail := len(r.Gaps) > 0 && r.Gaps[len(r.Gaps)-1].Kind == proof.GapTail
		if len(r.Findings) != 0 || !r.Complete && !tail {
			h.t.Fatalf("stream %d, %s to %s: complete %v, findings %v", r.Stream, r.From, r.To, r.Complete, r.Findings)
		}
	}
	if v.Level != proof.LevelLogged || v.Outcome == proof.Refused || v.Outcome == proof.Unchecked && v.Code != proof.CodeTail {
		h.t.Fatalf("%v %v %q %q", v.Level, v.Outcome, v.Code, v.Reason)
	}
}

// TestHonestHistories: whatever happens to an honest gateway, what it proves of
// its readings is complete.
func TestHonestHistories(t *testing.T) {
	const usual = 20 * time.Second
	for _, c := range []struct {
		name    string
		happens func(h *history)
	}{
		{"nothing", func(h *history) {}},
		{"two small steps back", func(h *history) {
			h.step(-1500 * time.Millisecond)
			h.send(0)
			h.pass(time.Minute, usual)
			h.send(1)
			h.step(-1500 * time.Millisecond)
			h.send(0)
		}},
		{"small steps back, of one device", func(h *history) {
			for range 4 {
				h.send(1)
				h.step(-40 * time.Millisecond)
				h.send(0)
				h.sleep(3 * time.Second)
			}
		}},
		{"many small steps back", func(h *history) {
			for range 30 {
				h.step(-1900 * time.Millisecond)
				h.send(0)
			}
		}},
		{"a step back", func(h *history) { h.step(-10 * time.Second); h.send(0); h.pass(time.Minute, 4*time.Second) }},
		{"a step back of minutes", func(h *history) { h.step(-8 * time.Minute); h.send(0); h.pass(20*time.Minute, usual) }},
		{"a step forward", func(h *history) { h.step(10 * time.Second); h.send(0) }},
		{"a step forward of minutes", func(h *history) { h.step(7 * time.Minute); h.send(0) }},
		{"a step forward of hours", func(h *history) { h.step(7 * time.Hour); h.send(0); h.pass(time.Minute, usual) }},
		{"a step forward of some days", func(h *history) { h.step(75 * time.Hour); h.send(0); h.pass(time.Minute, usual) }},
		{"suspended for minutes", func(h *history) { h.sleep(3 * time.Minute); h.send(0) }},
		{"suspended for a window", func(h *history) {
			h.sleep(time.Minute)
			h.send(0)
			h.pass(time.Minute, usual)
			h.sleep(65 * time.Second)
		}},
		{"suspended for hours", func(h *history) { h.sleep(187 * time.Minute); h.send(0) }},
		{"suspended, and the clock stood", func(h *history) { h.clock.move(20*time.Minute, 0); h.look(); h.send(0) }},
		{"restarted", func(h *history) { h.restart(time.Second, time.Second) }},
		{"restarted often", func(h *history) {
			for range 5 {
				h.restart(25*time.Second, 0)
				h.send(0)
			}
		}},
		{"off for minutes", func(h *history) { h.restart(9*time.Minute, 0) }},
		{"off for hours", func(h *history) { h.restart(5*time.Hour, 0) }},
		{"off for hours, twice", func(h *history) { h.restart(2*time.Hour, 0); h.restart(time.Hour, 0); h.send(0) }},
		{"off for 31 days", func(h *history) { h.restart(31*24*time.Hour, 0) }},
		{"off for 40 days", func(h *history) { h.restart(40*24*time.Hour, 0); h.send(0) }},
		{"off, and begun somewhat behind", func(h *history) { h.restart(-30*time.Second, 0); h.send(0); h.pass(time.Minute, 4*time.Second) }},
		{"off, and begun minutes behind", func(h *history) { h.restart(-10*time.Minute, 0); h.send(0); h.pass(15*time.Minute, usual) }},
		{"a jump", func(h *history) { h.step(40 * 24 * time.Hour); h.send(0); h.pass(2*time.Minute, usual) }},
		{"a wrong future", func(h *history) {
			h.step(2 * time.Hour)
			h.pass(3*time.Minute, usual)
			h.step(-2 * time.Hour)
			h.send(0)
			h.pass(5*time.Minute, usual)
		}},
		{"suspended in a time that a wrong clock had claimed", func(h *history) {
			h.step(2 * time.Hour)
			h.step(-2 * time.Hour)
			h.sleep(34 * time.Minute)
			h.send(0)
		}},
		{"windows missed, and a step over them afterwards", func(h *history) {
			h.sleep(8 * time.Minute)
			h.step(-10 * time.Minute)
			h.step(40 * time.Minute)
			h.send(0)
		}},
		{"a lag since the start, put right", func(h *history) {
			h.clock.synced = reading.Unsynced
			h.restart(-time.Hour, 0)
			h.pass(70*time.Minute, usual)
			h.step(time.Hour + 3*time.Minute)
			h.send(0)
		}},
		{"a lag since the start", func(h *history) {
			h.clock.synced = reading.Unsynced
			h.restart(-20*time.Minute, 0)
			h.pass(70*time.Minute, usual)
		}},
		{"a clock that is not sane", func(h *history) {
			was := h.clock.wall
			h.step(-was.Sub(time.Unix(1000, 0)))
			h.send(0)
			h.pass(50*time.Minute, usual)
			h.step(was.Sub(time.Unix(1000, 0)))
			h.send(0)
		}},
		{"frames lost", func(h *history) {
			for n := range int64(6) {
				h.sendAs(0, h.counter[0]+1+n)
			}
		}},
		{"reboots", func(h *history) {
			h.sendAs(0, 2<<24+1)
			h.pass(time.Minute, usual)
			h.sendAs(0, 5<<24+900)
		}},
		{"a new key", func(h *history) {
			b, err := h.st.RotateDevice(h.t.Context(), h.nodes[0].Number, &frame.Key{99}, 0)
			h.must(err)
			h.nodes[0] = b
			h.sendAs(0, 1<<24+3)
			h.pass(time.Minute, usual)
		}},
		{"a new key, and counters that go on", func(h *history) {
			b, err := h.st.RotateDevice(h.t.Context(), h.nodes[0].Number, &frame.Key{99}, 0)
			h.must(err)
			h.nodes[0] = b
			h.sendAs(0, h.counter[0]+500)
		}},
		{"removed and bound again", func(h *history) {
			h.must(h.st.RemoveDevice(h.t.Context(), h.nodes[0].Number))
			h.pass(2*time.Minute, 10*time.Minute)
			b, err := h.st.AddDevice(h.t.Context(), store.NewDevice{ID: h.nodes[0].ID, Name: "fridge", Kind: ledger.BindSecure, Key: &frame.Key{77}})
			h.must(err)
			h.nodes[0] = b
			h.sendAs(0, 1)
			h.pass(time.Minute, usual)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h := newHistory(t)
			h.pass(7*time.Minute, usual)
			c.happens(h)
			h.pass(6*time.Minute, usual)
			h.complete()
		})
	}
}

// TestAnyHonestHistory does the same with much that happens in a row.
func TestAnyHonestHistory(t *testing.T) {
	some := func(rnd *rand.Rand, most time.Duration) time.Duration {
		return time.Duration(1 + rnd.Int64N(int64(most)))
	}
	happens := []func(h *history, rnd *rand.Rand){
		func(h *history, rnd *rand.Rand) {
			h.pass(some(rnd, 3*time.Minute), 4*time.Second+some(rnd, time.Minute))
		},
		func(h *history, rnd *rand.Rand) { h.sleep(some(rnd, 40*time.Minute)) },
		func(h *history, rnd *rand.Rand) { h.step(-some(rnd, 3*time.Second)); h.send(rnd.IntN(2)) },
		func(h *history, rnd *rand.Rand) { h.step(-some(rnd, 14*time.Minute)); h.send(rnd.IntN(2)) },
		func(h *history, rnd *rand.Rand) { h.step(-some(rnd, 3*time.Hour)); h.send(rnd.IntN(2)) },
		func(h *history, rnd *rand.Rand) { h.step(some(rnd, 50*time.Minute)); h.send(rnd.IntN(2)) },
		func(h *history, rnd *rand.Rand) { h.restart(some(rnd, 90*time.Minute), 0); h.send(rnd.IntN(2)) },
		func(h *history, rnd *rand.Rand) { h.restart(-some(rnd, 30*time.Minute), 0); h.send(rnd.IntN(2)) },
		func(h *history, rnd *rand.Rand) { h.sendAs(0, h.counter[0]+1+rnd.Int64N(9)) },
		func(h *history, rnd *rand.Rand) { h.sendAs(1, (h.counter[1]>>24+1)<<24+rnd.Int64N(3)) },
		func(h *history, rnd *rand.Rand) {
			h.clock.mu.Lock()
			h.clock.synced = []reading.Clock{reading.Synced, reading.Unsynced}[rnd.IntN(2)]
			h.clock.mu.Unlock()
		},
	}
	for seed := range uint64(16) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			rnd := rand.New(rand.NewPCG(seed, 11))
			h := newHistory(t)
			h.pass(2*time.Minute, 20*time.Second)
			for range 12 {
				what := rnd.IntN(len(happens))
				t.Logf("%d at %v", what, h.clock.Now().UTC())
				happens[what](h, rnd)
			}
			h.complete()
		})
	}
}
