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

	// What the purse holds is low if it pays for fewer days than soonDays, or for fewer
	// anchors than soon: by days alone a route that anchors once a month would not be
	// low with an empty purse until the month's end, nor a weekly one until its last.
	soonDays = 14
	soon     = 3
)

// askFunds asks what the purse holds, with the pre-flight: once in Check, when that says
// for the first time that money is short, or is no more, and at each look while an anchor
// cannot be paid: then what has come is told to the machine, which need not wait out its
// back-off. ready is what the pre-flight said. An answer stays until there is another.
func (r *Route) askFunds(ctx context.Context, now time.Time, ready error) {
	purse, ok := r.cfg.Chain.(Purse)
	same := errors.Is(ready, ErrFunds) == r.short // which only Run writes
	unpaid := r.m != nil && errors.Is(r.m.reason, ErrFunds)
	if !ok || same && !unpaid && !r.fundsAt.IsZero() && now.Sub(r.fundsAt) < r.cfg.Check {
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
	if unpaid && r.funds != nil && f.Balance > r.funds.Balance {
		r.m.on(now, evFunded{})
	}
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
	s.FundsLow = r.short || s.RunwayDays < soonDays || f.Balance/f.PerAnchor < soon
	if s.RunwayDays >= lowDays && !r.short {
		return
	}
	want := max(Amount(perDay*fundedDays), fewest*f.PerAnchor)
	if want > f.Balance {
		s.TopUp = TopUp{Address: f.Address, Amount: want - f.Balance}
	}
}
