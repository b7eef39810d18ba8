package conform

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"cairn/anchor"
)

// maxReorg is the deepest reorganisation that is tried.
const maxReorg = 8

// testReorg takes the newest blocks away, with an anchor that is not final in
// the lowest of them.
func testReorg(t *testing.T, h Harness) {
	if h.Pending == 0 {
		return
	}
	s := newStage(t, h)
	for depth := 1; depth <= min(h.Pending, maxReorg); depth++ {
		for _, keep := range []bool{true, false} {
			s.in(fmt.Sprintf("%d/keep=%v", depth, keep), func(s *stage) {
				size := s.log.grow()
				r := s.start()
				p := r.included()
				have := int(r.height()-p.Included.Height) + 1
				if have < depth {
					s.world.Mine(depth - have)
					have = depth
				}
				if have > h.Pending {
					t.Logf("%d blocks came, more than the %d that may go", have, h.Pending)
					r.home(size)
					return
				}
				s.world.Reorg(have, keep)
				r.home(size)
				a, ok, err := r.Lookup(size)
				if err != nil || !ok || a.Included.Hash == p.Included.Hash && a.Included.Hash != ([32]byte{}) {
					s.t.Errorf("Lookup(%d) = block %x, %v, %v, want another block than %x", size, a.Included, ok, err, p.Included.Hash)
				}
				r.stop()
				s.check(true)
			})
		}
	}
}

// testDeep takes away a block that was final.
func testDeep(t *testing.T, h Harness) {
	if !h.Deep {
		return
	}
	s := newStage(t, h)
	for _, keep := range []bool{true, false} {
		s.in(fmt.Sprintf("keep=%v", keep), func(s *stage) {
			size := s.log.grow()
			r := s.start()
			r.home(size)
			was := r.Status()
			depth := int(r.height()-was.LastFinal.Included.Height) + 1
			s.world.Reorg(depth, keep)
			s.until("the alarm", false, func() bool {
				st := r.Status()
				return len(st.Alarms) == len(was.Alarms)+1 && st.Alarms[len(st.Alarms)-1].To == size
			})
			next := s.log.grow()
			r.home(next)
			s.until("the alarm's end", true, func() bool {
				st := r.Status()
				return !slices.ContainsFunc(st.Alarms, func(a anchor.Alarm) bool { return !a.Covered })
			})
			r.stop()
			s.check(false)
		})
	}
}

// lossy is a node that says that it took what it never saw: the attempts that
// take the first one's place.
type lossy struct {
	mu      sync.Mutex
	first   *anchor.Attempt
	seen    map[string]bool
	honest  bool // from now on it takes all
	instead bool // once there are two attempts it takes the first for each
}

func (l *lossy) send(c anchor.Chain, a anchor.Attempt) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.first == nil {
		l.first, l.seen = &a, map[string]bool{}
	}
	l.seen[string(a.ID)] = true
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	switch {
	case l.honest, a.Place != l.first.Place:
		return c.Send(ctx, a)
	case l.instead && len(l.seen) > 1:
		return c.Send(ctx, *l.first)
	}
	return nil
}

func (l *lossy) set(f func(*lossy)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f(l)
}

// testReplaced has a transaction replaced by one that takes a newer head along,
// and either of the two mined.
func testReplaced(t *testing.T, h Harness) {
	for _, older := range []bool{false, true} {
		name := map[bool]string{false: "newer is mined", true: "older is mined"}[older]
		t.Run(name, func(t *testing.T) {
			s := newStage(t, h)
			l := &lossy{instead: older}
			s.hook = l.send
			s.cfg.Reprice, s.cfg.MaxPrices = 50*time.Millisecond, 2
			first := s.log.grow()
			r := s.start()
			if _, purse := r.gate.chain.(anchor.Purse); !purse {
				return // nothing is ever replaced
			}
			s.until("broadcast", false, r.sent)
			newest := s.log.grow()
			// The route sees a block without its transaction, and makes another.
			s.until("the replacement", true, func() bool {
				p := r.Status().Pending
				return p != nil && len(p.Attempts) == 2
			})
			if p := r.Status().Pending; p != nil && (p.Attempts[0].Place != p.Attempts[1].Place || p.Attempts[1].Fee <= p.Attempts[0].Fee) {
				t.Errorf("places %q and %q, fees %d and %d: want one place and a higher fee", p.Attempts[0].Place, p.Attempts[1].Place, p.Attempts[0].Fee, p.Attempts[1].Fee)
			}
			want := []anchor.Root{rootOf(newest)}
			if older {
				want = []anchor.Root{rootOf(first), rootOf(newest)}
				s.until("the final of the older", true, func() bool {
					st := r.Status()
					return st.LastFinal != nil && st.LastFinal.Size == first
				})
			}
			l.set(func(l *lossy) { l.honest = true })
			r.home(newest)
			r.stop()
			s.check(true)
			if got := s.world.Heads(); !slices.Equal(got, want) {
				t.Errorf("the chain has the heads %v, want %v", got, want)
			}
		})
	}
}

// testMeanwhile has a transaction mined in the moment between the last look and the
// signing of the one that is to take its place: which then has none, and is not to be
// made for another one.
func testMeanwhile(t *testing.T, h Harness) {
	s := newStage(t, h)
	l := &lossy{}
	s.hook = l.send
	reached, goOn := make(chan struct{}), make(chan struct{})
	var once sync.Once
	s.before = func(_ anchor.Chain, o anchor.Order) {
		if len(o.Prior) > 0 {
			once.Do(func() { close(reached); <-goOn })
		}
	}
	s.cfg.Reprice, s.cfg.MaxPrices = 50*time.Millisecond, 2
	size := s.log.grow()
	r := s.start()
	if _, purse := r.gate.chain.(anchor.Purse); !purse {
		close(goOn)
		return // nothing is ever replaced
	}
	s.until("a replacement", true, func() bool {
		select {
		case <-reached:
			return true
		default:
			return false
		}
	})
	ctx, cancel := context.WithTimeout(context.Background(), h.Patience)
	defer cancel()
	if err := r.gate.chain.Send(ctx, *l.first); err != nil { // the route stands still
		t.Error(err)
	}
	s.until("the block", true, func() bool { return len(s.world.Heads()) > 0 })
	l.honest = true
	close(goOn)
	r.home(size)
	r.stop()
	s.check(true)
	if got, want := s.world.Heads(), []anchor.Root{rootOf(size)}; !slices.Equal(got, want) {
		t.Errorf("the chain has the heads %v, want %v", got, want)
	}
}
