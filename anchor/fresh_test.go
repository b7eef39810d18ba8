package anchor

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// calendar is the fake chain as one that costs nothing and keeps no head. No
// block takes anything while it waits.
type calendar struct {
	bare
	fake  *fakeChain
	waits bool
}

func (c *calendar) Sign(ctx context.Context, o Order) (Attempt, error) {
	c.wait(false) // or the offer would be high enough
	a, err := c.bare.Sign(ctx, o)
	c.wait(c.waits)
	a.Fee, a.Place = 0, ""
	return a, err
}

func (c *calendar) wait(yes bool) {
	c.fake.mu.Lock()
	defer c.fake.mu.Unlock()
	if c.fake.floor = 0; yes {
		c.fake.floor = 1 << 60
	}
}

func newCalendar(w *world) *calendar {
	w.chain.noHead = true
	c := &calendar{bare{w.chain}, w.chain, true}
	w.cfg.Chain, w.cfg.Every, w.cfg.Jitter = c, 10*time.Minute, -1
	return c
}

// TestFreshHeads: while a chain that costs nothing takes its time, it gets the
// newest head once in the cadence, and the newest that it took is anchored.
func TestFreshHeads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		c := newCalendar(w)
		if _, err := w.run(2 * time.Hour); err != nil {
			t.Fatal(err)
		}
		rec, err := parseRecord(w.journal.m[currentKey])
		if err != nil {
			t.Fatal(err)
		}
		all := rec.Anchor.Attempts
		if len(all) < 11 || len(all) > 13 {
			t.Fatalf("%d attempts in two hours of ten minutes each, want 12", len(all))
		}
		for i := 1; i < len(all); i++ {
			if d := time.UnixMilli(all[i].SignedAt).Sub(time.UnixMilli(all[i-1].SignedAt)); all[i].Size <= all[i-1].Size || d < 10*time.Minute {
				t.Errorf("attempt %d of size %d came %s after that of size %d", i, all[i].Size, d, all[i-1].Size)
			}
		}
		last := all[len(all)-1].Size
		w.log.frozen, c.waits = last, false
		c.wait(false)
		if _, err := w.run(time.Hour); err != nil {
			t.Fatal(err)
		}
		if got := w.finals(); len(got) == 0 || !slices.Contains(got, last) {
			t.Errorf("finals %v, want %d, the newest that was taken", got, last)
		}
	})
}

// TestNothingNewIsNotStampedAgain: the same head is sent again, not signed.
func TestNothingNewIsNotStampedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		newCalendar(w)
		w.log.frozen = 7
		if _, err := w.run(3 * time.Hour); err != nil {
			t.Fatal(err)
		}
		if w.chain.signed != 1 {
			t.Errorf("%d attempts for one head, want 1", w.chain.signed)
		}
	})
}
