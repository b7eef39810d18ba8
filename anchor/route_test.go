package anchor

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// world is a chain, a log and a journal that outlive the routes on them.
type world struct {
	t       *testing.T
	chain   *fakeChain
	log     *fakeLog
	journal *memJournal
	cfg     Config
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, chain: newFakeChain(), log: newFakeLog(), journal: newMemJournal()}
	w.cfg = Config{Chain: w.chain, Source: w.log, Journal: w.journal, Every: 5 * time.Minute}
	return w
}

// run runs one route for at most d, with a block every 12 seconds, and
// returns it and Run's error.
func (w *world) run(d time.Duration) (*Route, error) { return w.runWith(d, nil) }

func (w *world) runWith(d time.Duration, each func()) (*Route, error) {
	w.t.Helper()
	r, err := New(w.cfg)
	if err != nil {
		w.t.Fatalf("New: %v", err)
	}
	ctx, cancel := context.WithTimeout(w.t.Context(), d)
	defer cancel()
	end := make(chan error, 1)
	go func() { end <- r.Run(ctx) }()
	tick := time.NewTicker(12 * time.Second)
	defer tick.Stop()
	for {
		select {
		case err := <-end:
			return r, err
		case <-tick.C:
			w.chain.mine()
			if each != nil {
				each()
			}
		}
	}
}

// steps does what runWith does, but a look and a block follow each other in one
// goroutine, so that a seed always gives the same run. It returns the error with
// which Fault ended the route.
func (w *world) steps(d, every time.Duration, each func(*Route)) (*Route, error) {
	w.t.Helper()
	r, err := New(w.cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := r.load(); err != nil {
		w.t.Fatal(err)
	}
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(every) {
		err := r.round(w.t.Context())
		r.publish()
		if err != nil {
			time.Sleep(every)
			return r, err
		}
		each(r)
	}
	return r, nil
}

// check holds what must be true after anything.
func (w *world) check() {
	w.t.Helper()
	moves, _ := w.chain.moves()
	for root, n := range moves {
		if n != 1 {
			w.t.Errorf("root %s became the head %d times, want 1", root, n)
		}
	}
	for key, value := range w.journal.m {
		if key == currentKey {
			continue
		}
		a, err := ParseFinal(value)
		if err != nil {
			w.t.Fatalf("record %s: %v", key, err)
		}
		if a.State != Final {
			continue
		}
		if finalKey(a.Size) != key || a.Root != rootOf(a.Size) || string(a.Note) != fmt.Sprintf("note %d", a.Size) {
			w.t.Errorf("record %s: size %d, root %s, note %q do not belong together", key, a.Size, a.Root, a.Note)
		}
		if moves[a.Root] != 1 {
			w.t.Errorf("size %d is called final, but the chain moved to it %d times", a.Size, moves[a.Root])
		}
		b := w.chain.blocks[a.Included.Height]
		if b.hash != a.Included.Hash {
			w.t.Errorf("size %d is final in block %x, which is not in the chain", a.Size, a.Included.Hash)
		}
		if want := "receipt" + string(b.hash[:]) + string(a.Root[:]) + " complete"; string(a.Receipt) != want {
			w.t.Errorf("size %d has the receipt of another block", a.Size)
		}
	}
}

func (w *world) finals() (sizes []uint64) {
	w.journal.mu.Lock()
	defer w.journal.mu.Unlock()
	for _, key := range slices.Sorted(maps.Keys(w.journal.m)) {
		if size, ok := finalSize(key); ok {
			sizes = append(sizes, size)
		}
	}
	return sizes
}

func TestAnchorsByTheClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		r, err := w.run(2 * time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		w.check()
		// 24 slots of five minutes; the first anchor needs a first window.
		if n := len(w.finals()); n < 22 || n > 25 {
			t.Errorf("%d finals in two hours of slots of five minutes", n)
		}
		if _, idle := w.chain.moves(); idle != 0 || w.chain.signed != w.chain.calls["sign"] {
			t.Errorf("%d transactions paid for nothing", idle)
		}
		slots := map[int64]int{}
		for _, a := range r.Anchors() {
			slots[a.Attempts[0].SignedAt/(5*60_000)]++
			if len(a.Attempts) != 1 {
				t.Errorf("size %d took %d attempts, want 1", a.Size, len(a.Attempts))
			}
		}
		for s, n := range slots {
			if n > 1 {
				t.Errorf("%d anchors in slot %d, want at most 1", n, s)
			}
		}
		s := r.Status()
		if !s.Healthy || s.LastFinal == nil || s.OldestUnanchored == 0 || !s.Guarded || s.FinalRule != "depth 6" {
			t.Errorf("status = %+v", s)
		}
		if age := time.Since(time.UnixMilli(s.OldestUnanchored)); age > 10*time.Minute {
			t.Errorf("oldest unanchored window is %s old", age)
		}
	})
}

func TestNothingNewNothingSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.log.frozen = 7
		r, err := w.run(2 * time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		w.check()
		if got := w.finals(); !slices.Equal(got, []uint64{7}) {
			t.Errorf("finals %v, want [7]", got)
		}
		if s := r.Status(); !s.Healthy || s.OldestUnanchored != 0 || s.State != Final {
			t.Errorf("status = %+v", s)
		}
	})
}

// TestCrash stops at each point, at its first, second … occurrence, and goes
// on with a new route on what the journal holds.
func TestCrash(t *testing.T) {
	for _, p := range Points() {
		for nth := 1; nth <= 6; nth++ {
			t.Run(fmt.Sprintf("%s/%d", p, nth), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { crashAt(t, p, nth) })
			})
		}
	}
}

func crashAt(t *testing.T, p Point, nth int) {
	w := newWorld(t)
	w.log.frozen = 3
	n := 0
	w.cfg.Fault = func(at Point) error {
		if at == p {
			if n++; n == nth {
				return errCrash
			}
		}
		return nil
	}
	_, err := w.run(time.Hour)
	if nth == 1 && !errors.Is(err, errCrash) {
		t.Fatalf("point %s was never passed: %v", p, err)
	}
	w.check()
	w.cfg.Fault = nil
	if _, err := w.run(30 * time.Minute); err != nil {
		t.Fatal(err)
	}
	w.check()
	if got := w.finals(); !slices.Equal(got, []uint64{3}) {
		t.Errorf("finals %v, want [3]", got)
	}
	if _, idle := w.chain.moves(); idle != 0 {
		t.Errorf("%d transactions paid for nothing", idle)
	}
	// The journal goes on from there.
	w.log.frozen = 9
	r, err := w.run(30 * time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	w.check()
	if got := w.finals(); !slices.Equal(got, []uint64{3, 9}) {
		t.Errorf("finals %v, want [3 9]", got)
	}
	if as := r.Anchors(); len(as) != 2 || as[0].Number != 0 || as[1].Number != 1 {
		t.Errorf("anchors after the restarts: %+v", as)
	}
}

// TestCrashLoop crashes at every single point passed, again and again.
func TestCrashLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.log.frozen = 3
		crashes := 0
		for skip := 0; len(w.finals()) == 0; skip++ {
			n := 0
			w.cfg.Fault = func(Point) error {
				if n++; n > skip%4 {
					return errCrash
				}
				return nil
			}
			if _, err := w.run(5 * time.Minute); errors.Is(err, errCrash) {
				crashes++
			}
			w.check()
			if skip > 500 {
				t.Fatal("no final after 500 starts")
			}
		}
		t.Logf("%d crashes", crashes)
	})
}

// TestChaos lets everything fail at random, both before and after it was
// carried out, forks the chain above its final blocks, has fees spike, and
// crashes. What must hold: no root moved to twice, nothing called final that is
// not there, all that was paid is in the book, and once the trouble ends the
// newest head gets home.
func TestChaos(t *testing.T) {
	for seed := range uint64(30) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { chaos(t, seed) })
		})
	}
}

func chaos(t *testing.T, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 7))
	w := newWorld(t)
	errs := []error{ErrDown, ErrAgain, ErrBusy, ErrFees, ErrFunds, ErrAsk, ErrPrice, context.DeadlineExceeded}
	some := func(percent int) error {
		if rng.IntN(100) < percent {
			return fmt.Errorf("%w: chaos", errs[rng.IntN(len(errs))])
		}
		return nil
	}
	w.chain.exact = seed%2 == 0
	if seed%3 > 0 {
		w.cfg.Budget, w.cfg.Monthly = 60*Amount(1+seed%5), 5000
	}
	w.chain.fault = func(string) error { return some(20) }
	w.chain.after = func(string) error { return some(10) }
	w.journal.fail = func(string) (error, error) { return some(10), some(10) }
	w.cfg.Fault = func(Point) error {
		if rng.IntN(100) < 5 {
			return errCrash
		}
		return nil
	}
	for range 40 {
		_, err := w.steps(20*time.Minute, 12*time.Second, func(*Route) {
			w.chain.mine()
			switch rng.IntN(40) {
			case 0:
				w.chain.reorg(1+rng.IntN(5), rng.IntN(2) == 0)
			case 1:
				w.chain.mu.Lock()
				clear(w.chain.pool)
				w.chain.mu.Unlock()
			case 2:
				w.chain.mu.Lock()
				w.chain.floor = uint64(rng.IntN(40))
				if rng.IntN(4) == 0 {
					w.chain.floor *= 100
				}
				w.chain.mu.Unlock()
			case 3: // another transaction of the same key takes the place
				w.chain.mu.Lock()
				foreign := fakeTx{nonce: w.chain.nonce(), fee: 1 << 20}
				w.chain.pool[foreign.id()] = foreign
				w.chain.mu.Unlock()
			}
		})
		if err != nil && !errors.Is(err, errCrash) {
			t.Fatal(err)
		}
		w.check()
	}
	w.chain.fault, w.chain.after, w.journal.fail, w.cfg.Fault, w.chain.floor = nil, nil, nil, nil, 0
	size, _, _, _ := w.log.Head()
	w.log.frozen = size
	r, err := w.run(3 * time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	w.check()
	if got := w.finals(); len(got) == 0 || got[len(got)-1] != size {
		t.Errorf("finals end with %v, want %d; status %+v", got, size, r.Status())
	}
	for _, at := range w.finals() {
		if a, _, _ := r.final(at); w.cfg.Budget > 0 && a.cost() > w.cfg.Budget {
			t.Errorf("size %d cost %d, its budget is %d", at, a.cost(), w.cfg.Budget)
		}
	}
	if s := r.Status(); s.SpentMonth != w.chain.paid() || s.Monthly > 0 && s.SpentMonth > s.Monthly {
		t.Errorf("spent %d of %d, but %d were paid", s.SpentMonth, s.Monthly, w.chain.paid())
	}
}

func TestReorgTakesReceiptAgain(t *testing.T) {
	for _, keep := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			w.log.frozen = 5
			forked := false
			var seen []State
			r, err := w.runWith(30*time.Minute, func() {
				moves, _ := w.chain.moves()
				w.chain.mu.Lock()
				receipts := w.chain.calls["receipt"]
				w.chain.mu.Unlock()
				if !forked && moves[rootOf(5)] == 1 && receipts == 1 {
					forked = true
					w.chain.reorg(3, keep)
				}
				seen = append(seen, lastState(w))
			})
			if err != nil {
				t.Fatal(err)
			}
			w.check()
			if !forked || w.chain.calls["receipt"] != 2 || w.chain.signed != 1 {
				t.Errorf("forked %v, receipts %d (want 2), signed %d (want 1: the same transaction)", forked, w.chain.calls["receipt"], w.chain.signed)
			}
			if !keep && !slices.Contains(seen, Orphaned) {
				t.Errorf("states %v have no orphaned", seen)
			}
			if s := r.Status(); s.LastFinal == nil || s.LastFinal.Size != 5 {
				t.Errorf("status = %+v", s)
			}
		})
	}
}

func lastState(w *world) State {
	w.journal.mu.Lock()
	defer w.journal.mu.Unlock()
	r, err := parseRecord(w.journal.m[currentKey])
	if err != nil {
		return ""
	}
	return r.Anchor.State
}

// TestForeignNonce lets another transaction of the same key take the place.
func TestForeignNonce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.log.frozen = 5
		stolen := false
		w.chain.after = func(op string) error {
			if op == "sign" && !stolen {
				stolen = true
				foreign := fakeTx{nonce: 0, fee: 500}
				w.chain.pool[foreign.id()] = foreign
				w.chain.mineLocked(true)
			}
			return nil
		}
		if _, err := w.run(30 * time.Minute); err != nil {
			t.Fatal(err)
		}
		w.check()
		a, ok, err := (&Route{cfg: w.cfg}).Lookup(1)
		if err != nil || !ok || len(a.Attempts) != 2 || a.IncludedBy != 1 {
			t.Errorf("Lookup = %+v, %v, %v; want a final of the second attempt", a, ok, err)
		}
	})
}

func TestReprice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.log.frozen = 5
		w.chain.after = func(op string) error {
			if op == "sign" && w.chain.floor == 0 {
				w.chain.floor = 14
			}
			return nil
		}
		if _, err := w.run(2 * time.Hour); err != nil {
			t.Fatal(err)
		}
		w.check()
		if _, idle := w.chain.moves(); idle != 0 {
			t.Errorf("%d transactions paid for nothing", idle)
		}
		if got := w.finals(); !slices.Equal(got, []uint64{5}) || w.chain.signed != 3 {
			t.Errorf("finals %v after %d attempts, want [5] after 3", got, w.chain.signed)
		}
	})
}

func TestFeesAboveCeilingWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.chain.cap = 5
		r, err := w.run(time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		if s := r.Status(); s.Healthy || !strings.Contains(s.Reason, ErrFees.Error()) || s.State != Queued {
			t.Errorf("status = %+v, want unhealthy for the fees", s)
		}
		if _, ok := w.journal.m[currentKey]; ok {
			t.Error("something was journaled")
		}
		// When they fall the newest head goes, not the one that waited.
		w.chain.cap = 1000
		size, _, _, _ := w.log.Head()
		if _, err := w.run(20 * time.Minute); err != nil {
			t.Fatal(err)
		}
		w.check()
		if got := w.finals(); len(got) == 0 || got[0] < size {
			t.Errorf("finals %v, want the first at %d or more", got, size)
		}
	})
}

func TestUnhealthyWithReason(t *testing.T) {
	for _, want := range []error{ErrWrongChain, ErrFunds, ErrLocked, ErrContract, ErrDown} {
		t.Run(want.Error(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.chain.ready = fmt.Errorf("%w: as the node says", want)
				r, err := w.run(10 * time.Minute)
				if err != nil {
					t.Fatal(err)
				}
				if s := r.Status(); s.Healthy || !strings.Contains(s.Reason, want.Error()) {
					t.Errorf("status = %+v", s)
				}
				if want != ErrFunds && (w.chain.signed != 0 || w.journal.puts != 0) {
					t.Errorf("signed %d, journaled %d, want nothing", w.chain.signed, w.journal.puts)
				}
				w.chain.ready = nil
				if r, err = w.run(20 * time.Minute); err != nil {
					t.Fatal(err)
				}
				w.check()
				if s := r.Status(); !s.Healthy || s.LastFinal == nil {
					t.Errorf("status afterwards = %+v", s)
				}
			})
		})
	}
}

func TestChainGoesDownAndComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		start := time.Now()
		w.chain.fault = func(string) error {
			if d := time.Since(start); d > 4*time.Minute && d < 2*time.Hour {
				return ErrDown
			}
			return nil
		}
		var red bool
		var reason string
		r, err := New(w.cfg)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Hour)
		defer cancel()
		end := make(chan error, 1)
		go func() { end <- r.Run(ctx) }()
		for ctx.Err() == nil {
			time.Sleep(12 * time.Second) // the bubble's clock
			w.chain.mine()
			if time.Since(start) > time.Hour && time.Since(start) < time.Hour+time.Minute {
				s := r.Status()
				red, reason = !s.Healthy, s.Reason
			}
		}
		if err := <-end; err != nil {
			t.Fatal(err)
		}
		w.check()
		if !red || !strings.Contains(reason, ErrDown.Error()) {
			t.Errorf("while down: red %v, reason %q", red, reason)
		}
		if s := r.Status(); !s.Healthy {
			t.Errorf("afterwards: %+v", s)
		}
	})
}

// TestUnknownHead is a gateway whose log was rolled back behind its anchors.
func TestUnknownHead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		if _, err := w.run(time.Hour); err != nil {
			t.Fatal(err)
		}
		told := ""
		w.cfg.Guard = func(ok bool, reason string) { told += fmt.Sprint(ok, " ", reason, "\n") }
		w.journal = newMemJournal() // lost with the log
		w.cfg.Journal = w.journal
		w.log.forget = 3
		signed := w.chain.signed
		r, err := w.run(time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		s := r.Status()
		if s.Healthy || s.Guarded || !strings.Contains(s.Reason, ErrUnknownHead.Error()) || w.chain.signed != signed {
			t.Errorf("status = %+v, signed %d more", s, w.chain.signed-signed)
		}
		if !strings.HasPrefix(told, "false fake:1 holds the head") || strings.Count(told, "\n") != 1 {
			t.Errorf("guard was told %q", told)
		}
		// The log is refetched: it goes on, journal or not.
		w.log.forget, told = 0, ""
		if r, err = w.run(time.Hour); err != nil {
			t.Fatal(err)
		}
		w.check()
		if s := r.Status(); !s.Healthy || s.LastFinal == nil || told != "true \n" {
			t.Errorf("status = %+v, guard %q", s, told)
		}
	})
}

// TestJournalLostHeadThere has nothing to do: the chain holds the head already.
func TestJournalLostHeadThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.log.frozen = 4
		if _, err := w.run(20 * time.Minute); err != nil {
			t.Fatal(err)
		}
		w.journal = newMemJournal()
		w.cfg.Journal = w.journal
		if _, err := w.run(time.Hour); err != nil {
			t.Fatal(err)
		}
		w.check()
		if w.chain.signed != 1 {
			t.Errorf("signed %d times, want once", w.chain.signed)
		}
		w.log.frozen = 5
		if _, err := w.run(time.Hour); err != nil {
			t.Fatal(err)
		}
		w.check()
		if got := w.finals(); !slices.Equal(got, []uint64{5}) {
			t.Errorf("finals %v, want [5]", got)
		}
	})
}

func TestDeepReorg(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.log.frozen = 5
		forked := false
		r, err := w.runWith(2*time.Hour, func() {
			if !forked && len(w.finals()) == 1 {
				forked = true
				w.chain.reorg(len(w.chain.blocks)-1, false)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		w.check()
		// The same transaction got home again, and the first record is replaced.
		if s := r.Status(); !forked || s.LastFinal == nil || s.LastFinal.Size != 5 || w.chain.signed != 1 {
			t.Errorf("forked %v, status %+v, signed %d", forked, s, w.chain.signed)
		}
	})
}

func TestDeepReorgMoves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.log.frozen = 5
		forked := false
		r, err := w.runWith(time.Hour, func() {
			if !forked && len(w.finals()) == 1 {
				forked = true
				w.chain.reorg(len(w.chain.blocks)-1, true)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		w.check()
		s := r.Status()
		if w.chain.signed != 1 || len(s.Notes) != 1 || !strings.Contains(s.Notes[0], "moved from block") {
			t.Errorf("status %+v, signed %d", s, w.chain.signed)
		}
	})
}

func TestLookup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		r, err := w.run(8 * time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		w.check()
		finals := w.finals()
		if len(finals) <= maxRecent {
			t.Fatalf("%d finals, want more than the %d that are kept in memory", len(finals), maxRecent)
		}
		if n := len(r.Anchors()); n > maxRecent+1 {
			t.Errorf("%d anchors in memory", n)
		}
		for size := uint64(0); size <= finals[len(finals)-1]+1; size++ {
			a, ok, err := r.Lookup(size)
			if err != nil {
				t.Fatal(err)
			}
			i, _ := slices.BinarySearch(finals, size)
			if want := i < len(finals); ok != want {
				t.Fatalf("Lookup(%d) = %v, want %v", size, ok, want)
			}
			if ok && (a.Size != finals[i] || len(a.Receipt) == 0) {
				t.Errorf("Lookup(%d) = size %d with a receipt of %d bytes, want %d", size, a.Size, len(a.Receipt), finals[i])
			}
		}
	})
}

func TestShutdownIsQuick(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		block := make(chan struct{})
		defer close(block)
		hang := &hangingChain{fakeChain: w.chain}
		w.cfg.Chain = hang
		r, err := New(w.cfg)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		end := make(chan error, 1)
		go func() { end <- r.Run(ctx) }()
		time.Sleep(10 * time.Second)
		start := time.Now()
		cancel()
		if err := <-end; err != nil || time.Since(start) > time.Second {
			t.Errorf("Run returned %v after %s", err, time.Since(start))
		}
	})
}

type hangingChain struct{ *fakeChain }

func (c *hangingChain) Tips(ctx context.Context) (Tips, error) {
	<-ctx.Done()
	return Tips{}, fmt.Errorf("%w: %w", ErrDown, ctx.Err())
}

func TestConfig(t *testing.T) {
	if _, err := New(Config{}); err == nil {
		t.Error("New without a chain gave no error")
	}
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.cfg.Jitter = time.Hour
		if _, err := New(w.cfg); err == nil {
			t.Error("jitter longer than the cadence gave no error")
		}
		w.cfg.Jitter, w.cfg.Poll = 0, -1
		if _, err := New(w.cfg); err == nil {
			t.Error("negative poll gave no error")
		}
	})
}

func TestDamagedJournalStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.journal.m[currentKey] = []byte("not a record")
		if _, err := w.run(time.Minute); !errors.Is(err, ErrRecord) {
			t.Errorf("Run = %v, want ErrRecord", err)
		}
	})
}
