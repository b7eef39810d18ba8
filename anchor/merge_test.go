package anchor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// TestMerge has a newer head replace the one that waits.
func TestMerge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.log.frozen, w.chain.exact = 3, true
		w.cfg.Budget = 1000
		first := true
		w.chain.after = func(op string) error {
			if op == "sign" && first {
				first, w.chain.floor, w.log.frozen = false, 200, 9
			}
			return nil
		}
		r, err := w.run(2 * time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		w.check()
		if got := w.finals(); !slices.Equal(got, []uint64{9}) {
			t.Fatalf("finals %v, want [9]", got)
		}
		a, _, _ := r.Lookup(1)
		if n := len(a.Attempts); n < 2 || a.Attempts[0].Size != 3 || a.Attempts[0].Root != rootOf(3) || a.Attempts[n-1].Size != 9 || string(a.Note) != "note 9" {
			t.Errorf("final = %s", describe(&a))
		}
		if moves, _ := w.chain.moves(); moves[rootOf(3)] != 0 || moves[rootOf(9)] != 1 {
			t.Error("the head that was merged over was anchored as well")
		}
		// In the line from 10 to 1000 over half an hour 200 comes after 6 minutes.
		if d := time.UnixMilli(a.Attempts[len(a.Attempts)-1].SignedAt).Sub(time.UnixMilli(a.Attempts[0].SignedAt)); d > 15*time.Minute {
			t.Errorf("200 were offered after %s", d)
		}
		if s := r.Status(); s.SpentMonth != a.cost() || a.cost() < 200 || s.Reserved != 0 {
			t.Errorf("spent %d, reserved %d, cost %d", s.SpentMonth, s.Reserved, a.cost())
		}
	})
}

// TestOlderIsMined: the version that was replaced confirms instead, and is filed
// under its own size; the newer head goes into the next anchor.
func TestOlderIsMined(t *testing.T) {
	for _, crash := range []Point{"", PointFound, PointReceipt, PointCompleted, PointFiled} {
		t.Run(string(crash), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { olderIsMined(t, crash) })
		})
	}
}

func olderIsMined(t *testing.T, crash Point) {
	w := newWorld(t)
	w.log.frozen = 3
	var old fakeTx
	signs := 0
	w.chain.floor = 10
	w.chain.after = func(op string) error {
		switch {
		case op == "sign":
			if signs++; signs == 1 {
				w.chain.floor, w.log.frozen = 500, 9
			}
		case op == "send" && signs == 1:
			for _, tx := range w.chain.pool {
				old = tx
			}
		case op == "send" && signs == 2: // a miner had it all along
			clear(w.chain.pool)
			w.chain.pool[old.id()] = old
			w.chain.floor = 0
			w.chain.mineLocked(true)
		}
		return nil
	}
	w.cfg.Fault = func(p Point) error {
		if p == crash && signs == 2 && len(w.chain.at) > 0 {
			crash = ""
			return errCrash
		}
		return nil
	}
	var r *Route
	for range 2 {
		var err error
		if r, err = w.run(2 * time.Hour); err != nil && !errors.Is(err, errCrash) {
			t.Fatal(err)
		}
		w.check()
	}
	if got := w.finals(); !slices.Equal(got, []uint64{3, 9}) {
		t.Fatalf("finals %v, want [3 9]", got)
	}
	a, _, err := r.Lookup(3)
	b, _, err2 := r.Lookup(4)
	if err != nil || err2 != nil || a.IncludedBy != 0 || len(a.Attempts) != 2 || a.Number != 0 || b.Number != 1 || b.Size != 9 {
		t.Errorf("finals = %s, %s", describe(&a), describe(&b))
	}
	if s := r.Status(); s.SpentMonth != w.chain.paid() || s.SpentMonth != a.cost()+b.cost() {
		t.Errorf("spent %d, paid %d, costs %d and %d", s.SpentMonth, w.chain.paid(), a.cost(), b.cost())
	}
}

// TestTwoPlaces has the first place stolen after the transaction was sent, and
// a deep reorganisation give it back: both of ours are in the chain then.
func TestTwoPlaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.log.frozen = 3
		w.cfg.Budget = 100
		stolen := false
		w.chain.after = func(op string) error {
			if op == "sign" && !stolen {
				stolen = true
				w.log.frozen = 4
				foreign := fakeTx{nonce: 0, fee: 500}
				w.chain.pool[foreign.id()] = foreign
				w.chain.mineLocked(true)
			}
			return nil
		}
		r, err := w.run(time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		w.check()
		a, _, _ := r.Lookup(1)
		if a.Size != 4 || len(a.Attempts) != 2 || a.Attempts[0].Place == a.Attempts[1].Place {
			t.Fatalf("final = %s, want two places", describe(&a))
		}
		// Now the chain has ours at the first place as well.
		w.chain.mu.Lock()
		first := parseTx(a.Attempts[0].Raw)
		b := &w.chain.blocks[len(w.chain.blocks)-1]
		b.txs, b.raw, b.ok, b.fail = []string{first.id()}, []fakeTx{first}, []bool{false}, []bool{false}
		b.cost = []uint64{7}
		w.chain.at[first.id()] = len(w.chain.blocks) - 1
		w.chain.mu.Unlock()
		if r, err = w.run(time.Hour); err != nil {
			t.Fatal(err)
		}
		if s := r.Status(); s.SpentMonth != w.chain.paid() || s.SpentMonth != a.cost()+7 {
			t.Errorf("spent %d, paid %d: what was paid twice counts too", s.SpentMonth, w.chain.paid())
		}
		if got := w.finals(); !slices.Equal(got, []uint64{4}) {
			t.Errorf("finals %v, want [4]: one anchor is final for one head", got)
		}
	})
}

// TestRevertedIsPaid: what failed in its block cost its fee all the same.
func TestRevertedIsPaid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.log.frozen, w.chain.exact = 3, true
		moved := false
		w.chain.after = func(op string) error {
			if op == "sign" && !moved { // another gateway with the same key moves the head first
				moved = true
				other := fakeTx{nonce: 7, fee: 10, root: rootOf(2)}
				last := &w.chain.blocks[len(w.chain.blocks)-1]
				last.head = other.root
			}
			return nil
		}
		r, err := w.run(time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		a, ok, err := r.Lookup(1)
		if err != nil || !ok || len(a.Attempts) != 2 || !a.Attempts[0].Dead || a.Attempts[0].Cost != 10 {
			t.Fatalf("final = %s, %v, %v", describe(&a), ok, err)
		}
		if s := r.Status(); s.SpentMonth != 20 || w.chain.paid() != 20 {
			t.Errorf("spent %d, paid %d, want 20", s.SpentMonth, w.chain.paid())
		}
	})
}

// TestRefusedBumpSendsOldAgain: the pool forgot the transaction, and no other
// can be signed.
func TestRefusedBumpSendsOldAgain(t *testing.T) {
	for _, refusal := range []error{ErrFees, ErrLocked, ErrFunds} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			w.log.frozen = 3
			signs := 0
			w.chain.fault = func(op string) error {
				if op == "sign" {
					if signs++; signs > 1 {
						return fmt.Errorf("%w: test", refusal)
					}
				}
				return nil
			}
			w.chain.after = func(op string) error {
				if op == "sign" {
					w.chain.floor = 50
				}
				return nil
			}
			r, err := w.runWith(time.Hour, func() {
				w.chain.mu.Lock()
				clear(w.chain.pool)
				w.chain.mu.Unlock()
			})
			if err != nil {
				t.Fatal(err)
			}
			if w.chain.calls["send"] < 30 || signs < 2 {
				t.Errorf("%v: sent %d times, asked for a signature %d times", refusal, w.chain.calls["send"], signs)
			}
			if s := r.Status(); refusal == ErrFees && s.Healthy {
				t.Errorf("healthy at the ceiling: %+v", s)
			}
			w.chain.floor, w.chain.after = 0, nil
			if _, err = w.run(time.Hour); err != nil {
				t.Fatal(err)
			}
			w.check()
			if got := w.finals(); !slices.Equal(got, []uint64{3}) {
				t.Errorf("%v: finals %v, want [3]", refusal, got)
			}
		})
	}
}

// TestNoBumpWithoutBlocks: as long as the chain stands still nothing is replaced.
func TestNoBumpWithoutBlocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.log.frozen, w.cfg.Budget = 3, 1000
		r, err := New(w.cfg)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Hour)
		defer cancel()
		if err := r.Run(ctx); err != nil {
			t.Fatal(err)
		}
		if w.chain.signed != 1 {
			t.Errorf("signed %d times, want once", w.chain.signed)
		}
	})
}

// TestNoHead is a chain that keeps no head: it is not asked for one to compare,
// and nobody is told that it guards anything.
func TestNoHead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.chain.noHead = true
		w.log.forget = 1 // no head is known, and nobody asks
		w.cfg.Guard = func(ok bool, _ string) { t.Errorf("the guard was told %v", ok) }
		r, err := New(w.cfg)
		if err != nil || r.Guards() {
			t.Fatalf("Guards = %v, %v", r.Guards(), err)
		}
		w.log.frozen = 3
		if r, err = w.run(time.Hour); err != nil {
			t.Fatal(err)
		}
		if s := r.Status(); s.Guards || s.Guarded || !s.Healthy || s.LastFinal == nil || s.LastFinal.Size != 3 {
			t.Errorf("status = %+v", s)
		}
		if w.chain.calls["stored"] != 0 {
			t.Errorf("the head was asked for %d times", w.chain.calls["stored"])
		}
		w.chain.noHead = false
		if r, _ := New(w.cfg); !r.Guards() {
			t.Error("a chain with a head does not guard")
		}
	})
}
