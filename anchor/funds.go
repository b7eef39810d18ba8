package anchor

import (
	"context"
	"errors"
	"time"
)

// TopUp is what an operator should send where, so that anchoring goes on.
type TopUp struct {
	Address string
	Amount  Amount
}

const (
	day        = 24 * time.Hour
	fundedDays = 30 // a top-up pays for as many
	lowDays    = 7  // and is asked for when what is left pays for fewer
	fewest     = 10 // anchors that a top-up pays for at least
)

// askFunds asks what the purse holds, with the pre-flight: once in Check, and when
// that says for the first time that money is short, or is no more. ready is what it
// said. An answer stays until there is another.
func (r *Route) askFunds(ctx context.Context, now time.Time, ready error) {
	purse, ok := r.cfg.Chain.(Purse)
	same := errors.Is(ready, ErrFunds) == r.short // which only Run writes
	if !ok || same && !r.fundsAt.IsZero() && now.Sub(r.fundsAt) < r.cfg.Check {
		return
	}
	if ready != nil && !errors.Is(ready, ErrFunds) && !errors.Is(ready, ErrLocked) {
		return
	}
	f, err := call(ctx, r.cfg.Timeout, purse.Funds)
	if err != nil {
		if ctx.Err() == nil {
			r.log.Warn("cannot ask for the funds", "reason", err)
		}
		return
	}
	r.fundsAt = now
	r.mu.Lock()
	defer r.mu.Unlock()
	r.funds, r.short = &f, errors.Is(ready, ErrFunds)
}

// tellFunds fills in what Status says of money, from the last answer. r.mu is
// held.
func (r *Route) tellFunds(s *Status) {
	s.RunwayDays = -1
	if r.funds == nil {
		return
	}
	f := *r.funds
	s.Unit, s.Balance, s.PerAnchor = f.Unit, f.Balance, f.PerAnchor
	if f.PerAnchor == 0 {
		return
	}
	perDay := float64(f.PerAnchor) * float64(day) / float64(r.cfg.Every)
	if m := float64(r.cfg.Monthly) / fundedDays; r.cfg.Monthly > 0 && m < perDay {
		perDay = m
	}
	s.RunwayDays = float64(f.Balance) / perDay
	if s.RunwayDays >= lowDays && !r.short {
		return
	}
	want := max(Amount(perDay*fundedDays), fewest*f.PerAnchor)
	if want > f.Balance {
		s.TopUp = TopUp{Address: f.Address, Amount: want - f.Balance}
	}
}
