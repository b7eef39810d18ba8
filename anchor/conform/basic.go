package conform

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"cairn/anchor"
)

// testOrder anchors one head after another.
func testOrder(t *testing.T, h Harness) {
	s := newStage(t, h)
	r := s.start()
	var want []anchor.Root
	for range 3 {
		size := s.log.grow()
		r.home(size)
		want = append(want, rootOf(size))
	}
	st := r.Status()
	if !st.Healthy || len(st.Alarms) != 0 || st.Guarded != st.Guards || st.LastFinal == nil {
		t.Errorf("status = %+v", st)
	}
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	s.check(true)
	if got := s.world.Heads(); !slices.Equal(got, want) {
		t.Errorf("the chain has the heads %v, want the three", got)
	}
	spent := st.SpentMonth
	r = s.start()
	s.until("the first look", false, func() bool { return r.Status().Latest.Height > 0 || r.Status().FinalRule != "" })
	if got := r.Status().SpentMonth; got != spent {
		t.Errorf("spent after a restart: %d, want %d", got, spent)
	}
}

// testCrash ends the route at each point, at the first and the second time that
// it is passed, and goes on with what the journal holds.
func testCrash(t *testing.T, h Harness) {
	s := newStage(t, h)
	for _, p := range anchor.Points() {
		for nth := 1; nth <= 2; nth++ {
			if nth == 2 && h.Live {
				break // half is enough where a block takes minutes
			}
			s.in(fmt.Sprintf("%s/%d", p, nth), func(s *stage) { s.crashAt(p, nth) })
		}
	}
}

func (s *stage) crashAt(p anchor.Point, nth int) {
	passed := 0
	s.cfg.Fault = func(at anchor.Point) error {
		if at == p {
			if passed++; passed == nth {
				return errCrash
			}
		}
		return nil
	}
	size := s.log.grow()
	r := s.start()
	if nth == 1 {
		r.crashed()
	} else { // some points an anchor passes only once: then the next one does
		s.until("the crash or the final", true, func() bool {
			select {
			case <-r.end:
				return true
			default:
			}
			st := r.Status()
			if st.LastFinal != nil && st.LastFinal.Size >= size && st.Pending == nil {
				size = s.log.grow()
			}
			return false
		})
		r.stop()
	}
	s.check(false)
	s.cfg.Fault = nil
	r = s.start()
	r.home(size)
	r.stop()
	s.check(true)
}

// testRestart ends the route in each state, in order, and goes on.
func testRestart(t *testing.T, h Harness) {
	s := newStage(t, h)
	s.in("signed", func(s *stage) { s.crashAt(anchor.PointJournaled, 1) })
	s.in("broadcast", func(s *stage) {
		size := s.log.grow()
		r := s.start()
		s.until("broadcast", false, r.sent)
		s.goOn(r, size)
	})
	s.in("included", func(s *stage) {
		size := s.log.grow()
		r := s.start()
		r.included()
		s.goOn(r, size)
	})
	if h.Pending > 0 {
		s.in("orphaned", func(s *stage) {
			size := s.log.grow()
			r := s.start()
			p := r.included()
			if depth := int(r.height()-p.Included.Height) + 1; depth <= h.Pending {
				r.stop()
				s.world.Reorg(depth, false)
				r = s.start()
			}
			s.goOn(r, size)
		})
	}
	s.in("final", func(s *stage) {
		size := s.log.grow()
		r := s.start()
		r.home(size)
		s.goOn(r, size)
	})
}

func (s *stage) goOn(r *runner, size uint64) {
	s.t.Helper()
	if err := r.stop(); err != nil {
		s.t.Fatal(err)
	}
	s.check(false)
	r = s.start()
	r.home(size)
	r.stop()
	s.check(true)
}

// testDown cuts the node off, with an anchor on its way and before one.
func testDown(t *testing.T, h Harness) {
	s := newStage(t, h)
	d, ok := s.world.(Downer)
	if !ok {
		return
	}
	for _, before := range []bool{false, true} {
		s.in(map[bool]string{false: "before", true: "pending"}[before], func(s *stage) {
			size := s.log.grow()
			r := s.start()
			if before {
				s.until("broadcast", false, r.sent)
			} else {
				r.home(size)
			}
			d.Down()
			if !before {
				size = s.log.grow()
			}
			s.until("red", false, func() bool {
				st := r.Status()
				_, seen := r.Seen()
				return !st.Healthy && strings.Contains(st.Reason, anchor.ErrDown.Error()) && !seen
			})
			d.Up()
			r.home(size)
			s.until("health", true, func() bool { return r.Status().Healthy })
			r.stop()
			s.check(true)
		})
	}
}

// testRollback gives a route a log that is older than what the chain holds.
func testRollback(t *testing.T, h Harness) {
	s := newStage(t, h)
	said := make(chan bool, 16)
	s.cfg.Guard = func(ok bool, _ string) { said <- ok }
	r := s.start()
	guards := r.Guards()
	last := uint64(0)
	for range 2 {
		last = s.log.grow()
		r.home(last)
	}
	r.stop()
	if guards != r.Status().Guards || guards != (len(said) == 1) || guards && !<-said {
		t.Fatalf("guards %v, status %v, said %d times", guards, r.Status().Guards, len(said))
	}
	if !guards {
		return
	}
	heads := s.world.Heads()
	s.log.rollBack(last)
	s.journal.m = map[string][]byte{} // it went with the log
	r = s.start()
	s.until("red", true, func() bool {
		st := r.Status()
		return !st.Healthy && !st.Guarded && strings.Contains(st.Reason, anchor.ErrUnknownHead.Error())
	})
	r.stop()
	if len(said) != 1 || <-said || len(s.journal.m) != 0 || !slices.Equal(s.world.Heads(), heads) {
		t.Errorf("journal %d records, heads %d, want nothing done", len(s.journal.m), len(s.world.Heads()))
	}
	s.log.rollBack(0) // it is fetched again
	size := s.log.grow()
	r = s.start()
	r.home(size)
	r.stop()
	if !<-said {
		t.Error("the guard was not told that the log is whole")
	}
	s.check(false)
}

// testBudget has no money for an anchor, and then has.
func testBudget(t *testing.T, h Harness) {
	s := newStage(t, h)
	if r := s.start(); true {
		_, purse := r.gate.chain.(anchor.Purse)
		r.stop()
		if !purse {
			return
		}
	}
	for _, want := range []error{anchor.ErrFees, anchor.ErrBudget} {
		s.log.grow()
		s.cfg.Budget, s.cfg.Monthly = 0, 0
		if want == anchor.ErrFees {
			s.cfg.Budget = 1
		} else {
			s.cfg.Monthly = 1
		}
		r := s.start()
		s.until("red for "+want.Error(), true, func() bool {
			st := r.Status()
			return !st.Healthy && strings.Contains(st.Reason, want.Error())
		})
		r.stop()
		if len(s.journal.m) != 0 || len(s.world.Heads()) != 0 {
			t.Errorf("%d records, %d heads, want none", len(s.journal.m), len(s.world.Heads()))
		}
	}
	s.cfg.Budget, s.cfg.Monthly = 1<<40, 1<<40
	s.cfg.Deadline = 24 * time.Hour
	size := s.log.grow()
	r := s.start()
	r.home(size)
	r.stop()
	if st := r.Status(); st.SpentMonth == 0 || st.SpentMonth > st.Monthly || st.Unit == "" || st.Balance == 0 {
		t.Errorf("status = %+v, want what it cost", st)
	}
	s.check(true)
	if got := s.world.Heads(); !slices.Equal(got, []anchor.Root{rootOf(size)}) {
		t.Errorf("the chain has the heads %v, want the newest alone", got)
	}
}
