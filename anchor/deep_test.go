package anchor

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// cut takes away all blocks down to the one that holds a root, and that one.
func (w *world) cut(root Root, keep bool) {
	w.chain.mu.Lock()
	depth := 0
	for h, b := range w.chain.blocks {
		for i := range b.raw {
			if b.raw[i].root == root && b.ok[i] {
				depth = len(w.chain.blocks) - h
			}
		}
	}
	w.chain.mu.Unlock()
	w.chain.reorg(depth, keep)
}

// TestDeepReorgTakesUpAgain loses a final whose place is then taken by
// another: the head is anchored anew, with a newer one if there is one.
func TestDeepReorgTakesUpAgain(t *testing.T) {
	for _, grow := range []uint64{5, 8} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			w.log.frozen = 2
			w.run(20 * time.Minute)
			w.log.frozen = 5
			r, err := w.run(20 * time.Minute)
			if err != nil || r.Status().LastFinal.Size != 5 {
				t.Fatalf("%v, %+v", err, r.Status())
			}
			w.cut(rootOf(5), false)
			foreign := fakeTx{nonce: 1, fee: 500}
			w.chain.pool[foreign.id()] = foreign
			w.chain.mine()
			w.log.frozen = grow
			// Until it is found out the record says final; then it is an alarm.
			alarmed := false
			r, err = w.runWith(time.Hour, func() {
				if lastState(w) == Orphaned || lastState(w) == Signed {
					alarmed = true
				}
			})
			if err != nil || !alarmed {
				t.Fatalf("alarmed %v, %v", alarmed, err)
			}
			w.check()
			s := r.Status()
			if len(s.Alarms) != 1 || !s.Healthy || s.LastFinal.Size != grow || s.LastFinal.Number != 1 {
				t.Fatalf("to %d: status = %+v", grow, s)
			}
			if a := s.Alarms[0]; a.From != 3 || a.To != 5 || a.Number != 1 || a.Root != rootOf(5) || !a.Covered || a.At == 0 || len(s.Notes) != 1 {
				t.Errorf("alarm = %+v, want sizes 3 to 5, covered", a)
			}
			a, _, _ := r.Lookup(3)
			if a.Size != grow || len(a.Attempts) != 2 || s.SpentMonth != w.chain.paid() {
				t.Errorf("final = %s, spent %d, paid %d", describe(&a), s.SpentMonth, w.chain.paid())
			}
		})
	}
}

// TestDeepReorgAlarm is red until a later final covers the head that moved.
func TestDeepReorgAlarm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.log.frozen = 5
		if _, err := w.run(20 * time.Minute); err != nil {
			t.Fatal(err)
		}
		w.cut(rootOf(5), true)
		for range 10 { // it is final in another block before the route looks
			w.chain.mine()
		}
		r, err := w.run(20 * time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		s := r.Status()
		if s.Healthy || len(s.Alarms) != 1 || s.Alarms[0].Covered || s.Alarms[0].From != 1 || s.Alarms[0].To != 5 {
			t.Fatalf("status = %+v, want an alarm", s)
		}
		w.log.frozen = 6
		if r, err = w.run(20 * time.Minute); err != nil {
			t.Fatal(err)
		}
		w.check()
		if s = r.Status(); !s.Healthy || len(s.Alarms) != 1 || !s.Alarms[0].Covered || len(s.Notes) != 1 || w.chain.signed != 2 {
			t.Errorf("status = %+v, want a note", s)
		}
	})
}

// TestDeepReorgIsSeenBeforeASign: the next anchor is due long before the next
// look at the finals, but the chain's head is older than the newest of them.
func TestDeepReorgIsSeenBeforeASign(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.cfg.Recheck = 100 * time.Hour
		cut := false
		r, err := w.runWith(90*time.Minute, func() {
			if n := len(w.finals()); n == 5 && !cut {
				cut = true
				w.cut(rootOf(w.finals()[3]), false) // two of them
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		w.check()
		if _, idle := w.chain.moves(); idle != 0 {
			t.Errorf("%d transactions paid for nothing", idle)
		}
		if s := r.Status(); !s.Healthy || len(s.Alarms) == 0 || s.SpentMonth != w.chain.paid() {
			t.Errorf("status = %+v, paid %d", s, w.chain.paid())
		}
	})
}

// TestDeepChaos does what TestChaos does, with reorganisations of any depth,
// budgets, fee spikes and stolen places. While finals come and go nothing can hold; what must,
// after some calm: each record that says final is right, no root was moved to
// twice, all that was paid is in the book, and the newest head is anchored.
func TestDeepChaos(t *testing.T) {
	for seed := range uint64(40) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { deepChaos(t, seed) })
		})
	}
}

func deepChaos(t *testing.T, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 11))
	w := newWorld(t)
	w.cfg.Budget, w.cfg.Monthly = 200, 100_000
	w.chain.exact = seed%2 == 0
	w.chain.depth = 3
	w.chain.fault = func(string) error {
		if rng.IntN(12) == 0 {
			return []error{ErrDown, ErrAgain, ErrBusy, ErrAsk, ErrPrice}[rng.IntN(5)]
		}
		return nil
	}
	w.cfg.Fault = func(Point) error {
		if rng.IntN(30) == 0 {
			return errCrash
		}
		return nil
	}
	for range 12 {
		_, err := w.steps(20*time.Minute, 12*time.Second, func(*Route) {
			w.chain.mine()
			switch rng.IntN(60) {
			case 0:
				w.chain.reorg(1+rng.IntN(20), rng.IntN(2) == 0)
			case 1:
				w.chain.mu.Lock()
				w.chain.floor = uint64(rng.IntN(20)) * uint64(1+rng.IntN(100))
				w.chain.mu.Unlock()
			case 2:
				w.chain.mu.Lock()
				clear(w.chain.pool)
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
	}
	w.chain.fault, w.cfg.Fault, w.chain.floor = nil, nil, 0
	w.log.frozen, _, _, _ = w.log.Head()
	r, err := w.run(3 * time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	w.check()
	s := r.Status()
	if got := w.finals(); !slices.Contains(got, w.log.frozen) || s.LastFinal == nil || s.LastFinal.Size != w.log.frozen {
		t.Errorf("finals %v, want %d; status %+v", got, w.log.frozen, s)
	}
	numbers := map[uint64]uint64{}
	for _, size := range w.finals() {
		if a, _, _ := r.final(size); a.State == Final {
			if other, ok := numbers[a.Number]; ok {
				t.Errorf("anchor %d is final for sizes %d and %d", a.Number, other, size)
			}
			numbers[a.Number] = size
		}
	}
	if s.SpentMonth < w.chain.paid() {
		t.Errorf("spent %d by the book, but %d were paid", s.SpentMonth, w.chain.paid())
	}
}

// TestDeepReorgToOtherVersion has the version that was replaced confirm after
// the newer one was final: the record of the newer is taken back, and nothing
// is written again at each look.
func TestDeepReorgToOtherVersion(t *testing.T) {
	for _, running := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			w.log.frozen, w.cfg.Budget = 3, 1000
			var old fakeTx
			w.chain.after = func(op string) error {
				if op == "send" && old == (fakeTx{}) {
					w.chain.floor, w.log.frozen = 200, 9
					for _, tx := range w.chain.pool {
						old = tx
					}
				}
				return nil
			}
			if running { // the final record is written, "current" is not
				w.cfg.Fault = func(p Point) error {
					if p == PointFiled {
						return errCrash
					}
					return nil
				}
			}
			if _, err := w.run(time.Hour); running != errors.Is(err, errCrash) {
				t.Fatal(err)
			}
			if got := w.finals(); !slices.Equal(got, []uint64{9}) {
				t.Fatalf("finals %v, want [9]", got)
			}
			w.cfg.Fault = nil
			w.chain.floor = 0
			w.cut(rootOf(9), false)
			w.chain.pool[old.id()] = old
			w.log.frozen = 3 // so that nothing newer is anchored
			w.cfg.Recheck = time.Minute
			for range 10 {
				w.chain.mine()
			}
			r, err := w.run(30 * time.Minute)
			if err != nil {
				t.Fatal(err)
			}
			w.check()
			a, ok, err := r.Lookup(1)
			if err != nil || !ok || a.Size != 3 || a.IncludedBy != 0 || a.Number != 0 {
				t.Errorf("first final = %s, %v, %v, want size 3", describe(&a), ok, err)
			}
			if b, ok, _ := r.final(9); !ok || b.State != Orphaned || b.Number != 0 {
				t.Errorf("record of size 9 = %s, want it taken back", describe(&b))
			}
			if s := r.Status(); s.SpentMonth != w.chain.paid() {
				t.Errorf("spent %d, paid %d", s.SpentMonth, w.chain.paid())
			}
			puts := w.journal.puts
			if _, err := w.run(30 * time.Minute); err != nil {
				t.Fatal(err)
			}
			if w.journal.puts != puts {
				t.Errorf("%d writes with nothing to do", w.journal.puts-puts)
			}
		})
	}
}

// TestOldFinalGone: one that a later final covers is not taken up again.
func TestOldFinalGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		for _, n := range []uint64{2, 5} {
			w.log.frozen = n
			if _, err := w.run(20 * time.Minute); err != nil {
				t.Fatal(err)
			}
		}
		w.chain.mu.Lock()
		for id, h := range w.chain.at {
			if w.chain.blocks[h].raw[0].root == rootOf(2) {
				delete(w.chain.at, id)
			}
		}
		w.chain.mu.Unlock()
		sent := w.chain.calls["send"]
		r, err := w.run(time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		s := r.Status()
		if s.Pending != nil || s.State != Final || w.chain.calls["send"] != sent || w.chain.signed != 2 {
			t.Errorf("status = %+v, %d more sent", s, w.chain.calls["send"]-sent)
		}
		if len(s.Alarms) != 1 || s.Alarms[0].From != 1 || s.Alarms[0].To != 2 || s.Alarms[0].Covered || s.Healthy {
			t.Errorf("alarms = %+v, want one", s.Alarms)
		}
		if a, ok, err := r.Lookup(1); err != nil || !ok || a.Size != 5 {
			t.Errorf("Lookup(1) = %s, %v, %v, want size 5", describe(&a), ok, err)
		}
	})
}

// behindChain is the fake chain as a node sees it that has the blocks up to a
// height alone.
type behindChain struct {
	*fakeChain
	upTo uint64
}

func (c *behindChain) Tips(ctx context.Context) (Tips, error) {
	t, err := c.fakeChain.Tips(ctx)
	if c.upTo > 0 && t.Latest.Height > c.upTo {
		c.mu.Lock()
		defer c.mu.Unlock()
		t.Latest, t.Final = c.block(int(c.upTo)), c.block(int(c.upTo)-1)
	}
	return t, err
}

func (c *behindChain) Find(ctx context.Context, as []Attempt) (Found, bool, error) {
	f, ok, err := c.fakeChain.Find(ctx, as)
	if ok && c.upTo > 0 && f.Block.Height > c.upTo {
		return Found{}, false, err
	}
	return f, ok, err
}

func (c *behindChain) Stored(ctx context.Context) (Root, error) {
	root, err := c.fakeChain.Stored(ctx)
	if c.upTo > 0 {
		c.mu.Lock()
		defer c.mu.Unlock()
		root = c.blocks[c.upTo].head
	}
	return root, err
}

// TestNodeBehind: a node that has yet to catch up is no reorganisation, and
// nothing is put on top of the old head that it shows.
func TestNodeBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		c := &behindChain{fakeChain: w.chain}
		w.cfg.Chain = c
		if _, err := w.run(time.Hour); err != nil {
			t.Fatal(err)
		}
		finals := w.finals()
		a, _, err := (&Route{cfg: w.cfg}).Lookup(finals[len(finals)-1])
		if err != nil {
			t.Fatal(err)
		}
		c.upTo = a.Included.Height - 1
		signed := w.chain.signed
		r, err := w.run(time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		if s := r.Status(); len(s.Alarms) != 0 || w.chain.signed != signed {
			t.Errorf("%d signed on an old head, alarms %+v", w.chain.signed-signed, s.Alarms)
		}
		c.upTo = 0
		if r, err = w.run(time.Hour); err != nil {
			t.Fatal(err)
		}
		w.check()
		if s := r.Status(); len(s.Alarms) != 0 || !s.Healthy || w.chain.signed == signed {
			t.Errorf("status after it caught up = %+v", s)
		}
	})
}
