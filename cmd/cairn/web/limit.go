package web

import (
	"context"
	"sync"
	"time"
)

// limiter allows each key some tries at once and then one each so often. It
// remembers a bounded number of keys: where there are more, it forgets the one
// that it holds back least.
type limiter struct {
	burst float64
	every time.Duration // for one more
	most  int           // keys

	mu   sync.Mutex // covers what follows
	keys map[string]*tries
}

type tries struct {
	left float64
	at   time.Time
}

// take reports whether one more may be tried, and else after how long.
func (l *limiter) take(key string, now time.Time) (wait time.Duration, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.of(key, now)
	if t.left < 1 {
		return time.Duration((1 - t.left) * float64(l.every)), false
	}
	t.left--
	return 0, true
}

// give gives back a try that was none: the right password.
func (l *limiter) give(key string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if t := l.keys[key]; t != nil {
		t.left = min(l.burst, t.left+1)
	}
}

// of finds a key's tries as they are now. l.mu is held.
func (l *limiter) of(key string, now time.Time) *tries {
	t := l.keys[key]
	if t == nil {
		if l.keys == nil {
			l.keys = map[string]*tries{}
		}
		if len(l.keys) >= l.most {
			l.forget(now)
		}
		t = &tries{l.burst, now}
		l.keys[key] = t
		return t
	}
	t.left = min(l.burst, t.left+max(0, now.Sub(t.at).Seconds()/l.every.Seconds()))
	t.at = now
	return t
}

// forget makes room: all that have their tries back, or else the one with most of
// them, so that trying many others gives nobody new tries.
func (l *limiter) forget(now time.Time) {
	freest, most := "", -1.0
	for key, t := range l.keys {
		left := t.left + max(0, now.Sub(t.at).Seconds()/l.every.Seconds())
		if left >= l.burst {
			delete(l.keys, key)
		} else if left > most {
			freest, most = key, left
		}
	}
	if len(l.keys) >= l.most {
		delete(l.keys, freest)
	}
}

const (
	maxAtOnce      = 32 // questions that are being answered
	maxAtOnceOfOne = 8  // of one who asks
)

// gate lets in so many at one time, and so many of one who asks, so that no login
// takes up the whole of a small board.
type gate struct {
	most, mostOfOne int

	mu   sync.Mutex // covers what follows
	all  int
	of   map[Who]int
	left chan struct{} // closed when one leaves; nil: nobody waits
}

func (g *gate) enter(who Who) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.all >= g.most || g.of[who] >= g.mostOfOne {
		return false
	}
	if g.of == nil {
		g.of = map[Who]int{}
	}
	g.all++
	g.of[who]++
	return true
}

// wait is enter for one who waits for a place until ctx ends.
func (g *gate) wait(ctx context.Context, who Who) bool {
	for {
		g.mu.Lock()
		if g.left == nil {
			g.left = make(chan struct{})
		}
		left := g.left
		g.mu.Unlock()
		if g.enter(who) {
			return true
		}
		select {
		case <-left:
		case <-ctx.Done():
			return false
		}
	}
}

func (g *gate) leave(who Who) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.all--
	if g.of[who]--; g.of[who] == 0 {
		delete(g.of, who)
	}
	if g.left != nil {
		close(g.left)
		g.left = nil
	}
}
