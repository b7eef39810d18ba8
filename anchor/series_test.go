package anchor

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

const (
	seriesBase  = 10 // fee when nothing happens
	seriesTick  = 5 * time.Minute
	seriesHours = 12
)

// series is a fee market over a day of trouble: what a block asks for at a time.
type series func(at time.Duration) uint64

// seriesKinds makes series at random. All are at seriesBase again at the end.
var seriesKinds = map[string]func(*rand.Rand) series{
	"step": func(r *rand.Rand) series {
		from, high := time.Duration(r.IntN(6))*time.Hour, seriesBase*(2+r.Uint64N(20))
		to := from + time.Duration(1+r.IntN(5))*time.Hour
		return func(at time.Duration) uint64 {
			if at >= from && at < to {
				return high
			}
			return seriesBase
		}
	},
	"ramp": func(r *rand.Rand) series {
		rise := 1 + r.Uint64N(30)
		return func(at time.Duration) uint64 {
			up := min(at, seriesHours*time.Hour-at)
			return seriesBase + rise*uint64(max(0, up)/(10*time.Minute))
		}
	},
	"sawtooth": func(r *rand.Rand) series {
		period, rise := time.Duration(1+r.IntN(4))*time.Hour, 1+r.Uint64N(20)
		return func(at time.Duration) uint64 { return seriesBase + rise*uint64((at%period)/seriesTick) }
	},
	"spike": func(r *rand.Rand) series {
		every, width := time.Duration(1+r.IntN(5))*time.Hour, time.Duration(1+r.IntN(12))*seriesTick
		return func(at time.Duration) uint64 {
			if at%every < width {
				return 100 * seriesBase
			}
			return seriesBase
		}
	},
	"noise": func(r *rand.Rand) series {
		wild := 1 + r.Uint64N(200)
		return func(time.Duration) uint64 { return seriesBase + r.Uint64N(wild) }
	},
}

// TestFeeSeries runs routes through fee markets of thousands of seeds, with
// budgets, a pool that throws out what pays too little, and crashes.
func TestFeeSeries(t *testing.T) {
	seeds := uint64(400)
	if testing.Short() {
		seeds = 40
	}
	for kind, make := range seriesKinds {
		t.Run(kind, func(t *testing.T) {
			for seed := range seeds {
				synctest.Test(t, func(t *testing.T) {
					f := newFeeRun(t, kind, seed)
					f.market = make(f.rng)
					f.run()
				})
				if t.Failed() {
					t.Fatalf("%s, seed %d", kind, seed)
				}
			}
		})
	}
}

type feeRun struct {
	*world
	rng     *rand.Rand
	market  series
	crashes bool
	route   *Route
	starts  int
}

func newFeeRun(t *testing.T, kind string, seed uint64) *feeRun {
	rng := rand.New(rand.NewPCG(seed, uint64(len(kind))))
	// The trouble ends an hour before the month does.
	time.Sleep(31*day - (seriesHours+1)*time.Hour)
	f := &feeRun{world: newWorld(t), rng: rng}
	f.log.window = 30 * time.Minute
	f.cfg.Every, f.cfg.Jitter = time.Hour, -1
	f.cfg.Poll, f.cfg.Resend, f.cfg.Reprice = seriesTick, 2*seriesTick, seriesTick
	f.cfg.Deadline = time.Duration(1+rng.IntN(12)) * 10 * time.Minute
	f.cfg.Check, f.cfg.Recheck = time.Hour, 2*time.Hour
	f.cfg.MaxPrices = 40
	f.chain.exact = rng.IntN(2) == 0
	f.chain.depth = 3
	if rng.IntN(4) > 0 {
		f.cfg.Budget = Amount(seriesBase + rng.Uint64N(1<<(1+rng.IntN(11))))
	}
	if rng.IntN(2) == 0 {
		f.cfg.Monthly = max(f.cfg.Budget, 64) + Amount(rng.IntN(2000))
	}
	f.crashes = rng.IntN(3) == 0
	return f
}

// run lets the market have its way, and then a calm that begins before the
// month ends and lasts into the next.
func (f *feeRun) run() {
	start := time.Now()
	evict := f.rng.Uint64N(4) // a share of the price at which the pool throws out; 0 for never
	each := func() {
		at := time.Since(start)
		f.chain.mu.Lock()
		f.chain.floor = f.market(at)
		f.chain.least = 0
		if evict > 0 {
			f.chain.least = f.chain.floor / (1 + evict)
		}
		f.chain.mu.Unlock()
		f.chain.mine()
	}
	f.cfg.Fault = func(Point) error {
		if f.crashes && f.rng.IntN(40) == 0 {
			return errCrash
		}
		return nil
	}
	f.until(start.Add(seriesHours*time.Hour), each)
	f.cfg.Fault = nil
	f.chain.mu.Lock()
	f.chain.floor, f.chain.least = seriesBase, 0
	f.chain.mu.Unlock()
	f.log.frozen, _, _, _ = f.log.Head()
	f.until(start.Add((seriesHours+4)*time.Hour), f.chain.mine)
	f.checkRun()
}

// until runs routes, one after the other when they crash.
func (f *feeRun) until(end time.Time, each func()) {
	for time.Now().Before(end) {
		f.starts++
		r, err := f.steps(time.Until(end), f.cfg.Poll, func(r *Route) { f.checkBudget(r); each() })
		if err != nil && !errors.Is(err, errCrash) {
			f.t.Fatal(err)
		}
		f.route = r
	}
}

// checkBudget: whatever is mined from here on, the budgets hold.
func (f *feeRun) checkBudget(r *Route) {
	s := r.Status()
	if s.Monthly > 0 && s.SpentMonth+s.Reserved > s.Monthly {
		f.t.Fatalf("spent %d and reserved %d in a month of %d", s.SpentMonth, s.Reserved, s.Monthly)
	}
	if f.cfg.Budget > 0 && s.Reserved > f.cfg.Budget {
		f.t.Fatalf("reserved %d of a budget of %d", s.Reserved, f.cfg.Budget)
	}
}

func (f *feeRun) checkRun() {
	t := f.t
	f.check()
	months := map[month]Amount{}
	for _, size := range f.finals() {
		a, ok, err := f.route.final(size)
		if err != nil || !ok {
			t.Fatalf("final of size %d: %v, %v", size, ok, err)
		}
		if f.cfg.Budget > 0 && a.cost() > f.cfg.Budget {
			t.Errorf("size %d cost %d, its budget is %d", size, a.cost(), f.cfg.Budget)
		}
		months[a.Month] += a.cost()
		fees := map[string]Amount{}
		for _, at := range a.Attempts {
			if at.Fee <= fees[at.Place] {
				t.Errorf("size %d: a fee of %d after one of %d at place %s", size, at.Fee, fees[at.Place], at.Place)
			}
			fees[at.Place] = at.Fee
		}
		if len(a.Attempts) > f.cfg.MaxPrices+10 {
			t.Errorf("size %d took %d attempts", size, len(a.Attempts))
		}
	}
	sum := Amount(0)
	for m, cost := range months {
		sum += cost
		if f.cfg.Monthly > 0 && cost > f.cfg.Monthly {
			t.Errorf("month %d cost %d, its budget is %d", m, cost, f.cfg.Monthly)
		}
		if got := f.route.book.spent(m, ^uint64(0)); got != cost {
			t.Errorf("the book has %d for month %d, the finals %d", got, m, cost)
		}
	}
	if paid := f.chain.paid(); paid != sum {
		t.Errorf("%d were paid, the finals know of %d", paid, sum)
	}
	if a, ok, err := f.route.Lookup(f.log.frozen); err != nil || !ok || a.Size != f.log.frozen {
		s := f.route.Status()
		t.Errorf("the newest head, %d, is not anchored once fees returned: healthy %v, %s; budget %d, monthly %d, spent %d, %d starts, pending %s",
			f.log.frozen, s.Healthy, s.Reason, s.Budget, s.Monthly, s.SpentMonth, f.starts, describe(s.Pending))
	}
}

func describe(a *Anchor) string {
	if a == nil {
		return "none"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s of size %d:", a.State, a.Size)
	for _, at := range a.Attempts {
		fmt.Fprintf(&b, " [size %d fee %d place %s sent %v dead %v]", at.Size, at.Fee, at.Place, at.Sent, at.Dead)
	}
	return b.String()
}
