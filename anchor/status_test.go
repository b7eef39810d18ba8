package anchor

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestSeen: with the chain down no block is named, rather than an old one.
func TestSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var r *Route
		var err error
		if r, err = New(w.cfg); err != nil {
			t.Fatal(err)
		}
		look := func() (Block, bool) { r.poll(t.Context()); return r.Seen() }
		if _, ok := r.Seen(); ok {
			t.Error("a block is seen before any look")
		}
		if s := r.Status(); !s.Unseen || !s.Healthy {
			t.Errorf("before any look: %+v", s)
		}
		w.chain.mine()
		if b, ok := look(); !ok || b.Height != 1 {
			t.Errorf("seen %v, %v, want block 1", b, ok)
		}
		if r.Status().Unseen {
			t.Error("it is not known that somebody looked")
		}
		time.Sleep(3*r.cfg.Poll + r.cfg.Timeout)
		if _, ok := r.Seen(); !ok {
			t.Error("it is too old at the limit")
		}
		time.Sleep(time.Nanosecond)
		if b, ok := r.Seen(); ok {
			t.Errorf("block %d is seen though the last look is long ago", b.Height)
		}
		if _, ok := look(); !ok {
			t.Error("not seen after another look")
		}
		w.chain.fault = func(string) error { return ErrDown }
		if b, ok := look(); ok {
			t.Errorf("block %d is seen though the look failed", b.Height)
		}
		if r.Status().Latest.Height != 1 {
			t.Error("the status forgot the newest block")
		}
	})
}

func TestFunds(t *testing.T) {
	const perDay = 48 // anchors
	tests := []struct {
		name               string
		balance, perAnchor Amount
		monthly            Amount
		ready              error
		runway             float64
		topUp              Amount
	}{
		{"plenty", 100 * perDay * 10, 10, 0, nil, 100, 0},
		{"a week", 7 * perDay * 10, 10, 0, nil, 7, 0},
		{"less than a week", 6 * perDay * 10, 10, 0, nil, 6, 24 * perDay * 10},
		{"nothing", 0, 10, 0, ErrFunds, 0, 30 * perDay * 10},
		{"the month allows less", 6 * perDay, 10, 30 * perDay, nil, 6, 24 * perDay},
		{"the month allows next to nothing", 0, 1000, 30, nil, 0, 10_000},
		{"the chain says it does not pay", 20 * perDay * 10, 10, 0, ErrFunds, 20, 10 * perDay * 10},
		{"no price is known", 5, 0, 0, nil, -1, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.log.frozen = 1
				w.cfg.Every, w.cfg.Monthly = 30*time.Minute, tt.monthly
				w.chain.purse.Balance, w.chain.purse.PerAnchor = tt.balance, tt.perAnchor
				if tt.ready != nil {
					w.chain.ready = fmt.Errorf("%w: test", tt.ready)
				}
				r, err := w.run(16 * time.Minute)
				if err != nil {
					t.Fatal(err)
				}
				s := r.Status()
				if s.Unit != "pebble" || s.Balance != tt.balance || s.PerAnchor != tt.perAnchor || fmt.Sprintf("%.3f", s.RunwayDays) != fmt.Sprintf("%.3f", tt.runway) {
					t.Errorf("status = %+v, want a runway of %v", s, tt.runway)
				}
				if s.TopUp.Amount != tt.topUp || (s.TopUp.Address == "fake1") != (tt.topUp > 0) {
					t.Errorf("top up %+v, want %d", s.TopUp, tt.topUp)
				}
				if n := w.chain.calls["funds"]; n != 4 {
					t.Errorf("the purse was asked %d times in 16 minutes, want 4", n)
				}
			})
		})
	}
}

// TestFundsLow: a route that anchors seldom is low before its last anchor is paid, however
// many days that is good for.
func TestFundsLow(t *testing.T) {
	for _, tt := range []struct {
		every   time.Duration
		anchors Amount
		short   bool
		want    bool
	}{
		{10 * time.Minute, 13 * 144, false, true},
		{10 * time.Minute, 15 * 144, false, false},
		{10 * time.Minute, 15 * 144, true, true},
		{7 * day, 0, false, true},
		{7 * day, 2, false, true},
		{7 * day, 3, false, false},
		{28 * day, 1, false, true},
		{28 * day, 2, false, true},
		{28 * day, 3, false, false},
	} {
		w := newWorld(t)
		w.cfg.Every = tt.every
		r, err := New(w.cfg)
		if err != nil {
			t.Fatal(err)
		}
		r.funds, r.short = &Funds{Unit: "pebble", Balance: 10 * tt.anchors, PerAnchor: 10}, tt.short
		if s := r.Status(); s.FundsLow != tt.want {
			t.Errorf("%d anchors, one each %v, short %v: low %v (good for %v days)", tt.anchors, tt.every, tt.short, s.FundsLow, s.RunwayDays)
		}
	}
}

// TestLate: what fails for a look or two is not late; what nobody but an operator can mend
// is at once, and everything is when it lasts.
func TestLate(t *testing.T) {
	for _, c := range []struct {
		op, what      string
		err           error
		soon, lasting bool // late
	}{
		{"tips", "an outage", ErrDown, false, true},
		{"sign", "an empty purse", ErrFunds, true, true},
		{"ready", "a purse that still pays", ErrFunds, false, false},
		{"ready", "another chain", ErrWrongChain, true, true},
		{"ready", "a locked key", ErrLocked, true, true},
	} {
		t.Run(c.what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.cfg.Check = time.Minute
				bad := false
				w.chain.fault = func(op string) error {
					if bad && op == c.op {
						return fmt.Errorf("%w: test", c.err)
					}
					return nil
				}
				r, err := New(w.cfg)
				if err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithCancel(t.Context())
				end := make(chan error, 1)
				go func() { end <- r.Run(ctx) }()
				pass := func(d time.Duration) Status {
					for range d / (12 * time.Second) {
						time.Sleep(12 * time.Second) // the bubble's clock
						w.chain.mine()
					}
					return r.Status()
				}
				if s := pass(20 * time.Minute); s.Late || !s.Healthy {
					t.Errorf("all is well: %+v", s)
				}
				bad = true
				if s := pass(6 * time.Minute); s.Healthy || s.Late != c.soon {
					t.Errorf("at first: late %v, healthy %v: %s", s.Late, s.Healthy, s.Reason)
				}
				if s := pass(time.Hour); s.Healthy || s.Late != c.lasting {
					t.Errorf("in the end: late %v, healthy %v: %s", s.Late, s.Healthy, s.Reason)
				}
				bad = false
				if s := pass(20 * time.Minute); s.Late || !s.Healthy {
					t.Errorf("again: late %v, healthy %v: %s", s.Late, s.Healthy, s.Reason)
				}
				cancel()
				if err := <-end; err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// TestEmptyPurseIsLoggedOnce: though what would be enough changes with each block's fees.
func TestEmptyPurseIsLoggedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var log bytes.Buffer // Run writes alone
		w.cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
		n := 0
		w.chain.fault = func(op string) error {
			if op == "ready" || op == "sign" {
				n++
				return fmt.Errorf("%w: it has 5, want %d", ErrFunds, 10+n)
			}
			return nil
		}
		if _, err := w.run(2 * time.Hour); err != nil {
			t.Fatal(err)
		}
		if got := strings.Count(log.String(), "held up") + strings.Count(log.String(), "anchor waits"); got != 2 || n < 100 {
			t.Errorf("%d lines, want 2, after %d answers:\n%s", got, n, log.String())
		}
	})
}

// TestMoneyComesAndGoes: between two pre-flights the purse is asked again when an anchor
// cannot be paid, and when it can; what has come is spent at the next look.
func TestMoneyComesAndGoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.cfg.Every, w.cfg.Check = time.Minute, 24*time.Hour
		r, err := New(w.cfg)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		end := make(chan error, 1)
		go func() { end <- r.Run(ctx) }()
		pass := func(d time.Duration, runsOut bool) {
			t.Helper()
			for range d / (12 * time.Second) {
				time.Sleep(12 * time.Second) // the bubble's clock
				w.chain.mine()
			}
			if s := r.Status(); (s.RunwayDays < 1) != runsOut || (s.TopUp.Amount > 0) != runsOut {
				t.Errorf("good for %v days, top up %v: runs out %v", s.RunwayDays, s.TopUp, runsOut)
			}
		}
		set := func(balance Amount, ready error) {
			w.chain.mu.Lock()
			defer w.chain.mu.Unlock()
			w.chain.purse.Balance, w.chain.ready = balance, ready
			w.chain.fault = func(op string) error {
				if op == "sign" {
					return ready
				}
				return nil
			}
		}
		pass(10*time.Minute, false)
		set(0, ErrFunds)
		pass(30*time.Minute, true)
		signed := w.chain.signed
		set(1<<40, nil)
		pass(24*time.Second, false)
		if w.chain.signed == signed {
			t.Error("nothing was signed two looks after there was money")
		}
		n := w.chain.calls["funds"]
		pass(10*time.Minute, false)
		if more := w.chain.calls["funds"] - n; n < 3 || more != 0 {
			t.Errorf("the purse was asked %d times, and %d times while all was well", n, more)
		}
		cancel()
		if err := <-end; err != nil {
			t.Error(err)
		}
	})
}

// bare is a chain without a purse.
type bare struct{ Chain }

func TestNoPurse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.cfg.Chain = bare{w.chain}
		r, err := w.run(time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		if s := r.Status(); s.RunwayDays != -1 || s.Unit != "" || s.TopUp != (TopUp{}) || !s.Healthy || s.Deadline != 30*time.Minute {
			t.Errorf("status = %+v", s)
		}
	})
}

// TestMonthTurns holds when the month's budget is spent, says so, and goes on
// in the next month with the newest head.
func TestMonthTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(31*day - 3*time.Hour)
		w := newWorld(t)
		w.chain.exact = true
		w.cfg.Monthly = 75 // seven anchors of 10
		r, err := w.run(2 * time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		s := r.Status()
		if s.Healthy || !strings.Contains(s.Reason, ErrBudget.Error()) || s.SpentMonth != 70 || s.Monthly != 75 || s.Reserved != 0 || len(w.finals()) != 7 {
			t.Errorf("status = %+v with %d finals, want the budget spent", s, len(w.finals()))
		}
		if r, err = w.run(80 * time.Minute); err != nil { // 20 minutes into the next month
			t.Fatal(err)
		}
		w.check()
		s = r.Status()
		if n := len(w.finals()); !s.Healthy || s.SpentMonth == 0 || s.SpentMonth > 50 || n < 9 {
			t.Errorf("status = %+v with %d finals, want it to go on", s, n)
		}
	})
}

// TestHoldAtBudget keeps what is out at the most that may be offered, is red,
// and goes on when fees fall.
func TestHoldAtBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.log.frozen, w.cfg.Budget = 3, 100
		w.chain.after = func(op string) error {
			if op == "sign" {
				w.chain.floor = 5000
			}
			return nil
		}
		r, err := w.run(3 * time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		s := r.Status()
		if s.Healthy || !strings.Contains(s.Reason, ErrFees.Error()) || s.Reserved > 100 || s.Reserved < 85 || s.Pending == nil {
			t.Errorf("status = %+v, want it held at the budget", s)
		}
		signed := w.chain.signed
		if signed > 24 {
			t.Errorf("signed %d times", signed)
		}
		w.chain.floor, w.chain.after = 0, nil
		if r, err = w.run(time.Hour); err != nil {
			t.Fatal(err)
		}
		w.check()
		if s = r.Status(); !s.Healthy || s.Reserved != 0 || w.chain.signed != signed {
			t.Errorf("status = %+v after %d more signatures", s, w.chain.signed-signed)
		}
	})
}

// TestAllIsFinal: where nothing but what is found is final there is no final
// block to speak of, and none that is missed.
func TestAllIsFinal(t *testing.T) {
	r, err := New(newWorld(t).cfg)
	if err != nil {
		t.Fatal(err)
	}
	if s := r.Status(); s.Reason == "" {
		t.Error("it says nothing before the first look")
	}
	r.setTips(Tips{Latest: Block{Height: 9}, Final: Block{Height: Everything}, Rule: "calendars 2 of 3"})
	if s := r.Status(); s.FinalHeight != 0 || len(s.Notes) != 0 || s.FinalRule != "calendars 2 of 3" || s.Reason != "" {
		t.Errorf("final block %d by %q, notes %q", s.FinalHeight, s.FinalRule, s.Notes)
	}
}

// TestShutdownIsNoFault: what a shutdown cut off is not what holds a route up.
func TestShutdownIsNoFault(t *testing.T) {
	w := newWorld(t)
	r, err := New(w.cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	w.chain.fault = func(string) error { cancel(); return fmt.Errorf("%w: context canceled", ErrDown) }
	r.poll(ctx)
	if s := r.Status(); strings.Contains(s.Reason, "canceled") {
		t.Errorf("reason %q after a shutdown", s.Reason)
	}
}

// TestHeldUpIsSaidOnce: a route that waits for its log to be put back does not
// say at each look that it goes on.
func TestHeldUpIsSaidOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		if _, err := w.run(time.Hour); err != nil {
			t.Fatal(err)
		}
		w.journal = newMemJournal()
		w.log.forget = 3
		var said strings.Builder
		w.cfg.Journal, w.cfg.Logger = w.journal, slog.New(slog.NewTextHandler(&said, nil))
		if _, err := w.run(time.Hour); err != nil {
			t.Fatal(err)
		}
		if up, on := strings.Count(said.String(), "held up"), strings.Count(said.String(), "goes on"); up != 1 || on != 0 {
			t.Errorf("held up %d times and went on %d times, want once and never:\n%s", up, on, said.String())
		}
	})
}
