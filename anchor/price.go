package anchor

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
	"time"
)

// price is what is asked of a sign.
type price struct {
	want, limit Amount
	month       month // to which the anchor is then charged
	byMonth     bool  // it is the month's budget that makes the limit
	deadline    time.Duration
}

// curve is the offer at a time: from the first attempt's fee in a line to the
// budget, which it reaches at the deadline. Without a budget it is 0, the least
// that replaces.
func (m *machine) curve(now time.Time) Amount {
	if m.pace.budget == 0 || len(m.a.Attempts) == 0 {
		return 0
	}
	first := &m.a.Attempts[0]
	from, to := first.Fee, m.pace.budget
	elapsed := now.Sub(time.UnixMilli(first.SignedAt))
	switch {
	case from >= to || elapsed >= m.pace.deadline:
		return to
	case elapsed <= 0:
		return from
	}
	hi, lo := bits.Mul64(uint64(to-from), uint64(elapsed))
	rise, _ := bits.Div64(hi, lo, uint64(m.pace.deadline)) // less than to − from, as elapsed < deadline
	return from + Amount(rise)
}

// step is the least offer for which an attempt is replaced: an eighth more, a
// little over what nodes ask for.
func step(fee Amount) Amount { return fee.plus(fee/8 + 1) }

// bumpDue reports whether the newest attempt is to be replaced by one that
// offers more. It must have been with a node for a while, and a block have come
// that did not take it: as long as the chain stands still or nobody answers, a
// higher fee helps nothing.
func (m *machine) bumpDue(now time.Time) bool {
	last := &m.a.Attempts[len(m.a.Attempts)-1]
	if m.pace.free && last.Fee == 0 {
		return m.freshDue(now, last)
	}
	if m.pace.reprice <= 0 || len(m.a.Attempts) >= m.pace.prices {
		return false
	}
	if !last.Sent || last.Dead || !m.missed || now.Before(m.signAt) {
		return false
	}
	from := m.since
	if m.priceAt.After(from) {
		from = m.priceAt
	}
	if now.Before(from.Add(m.pace.reprice)) {
		return false
	}
	return m.pace.budget == 0 || m.curve(now) >= step(last.Fee)
}

// freshDue reports whether a chain that costs nothing, and may take hours, gets
// the newest head as well: once in the cadence, and while there is room for more
// attempts.
func (m *machine) freshDue(now time.Time, last *Attempt) bool {
	if m.pace.every <= 0 || !last.Sent || last.Dead || len(m.a.Attempts) >= maxAttempts || now.Before(m.signAt) {
		return false
	}
	from := m.priceAt
	if from.IsZero() {
		from = time.UnixMilli(last.SignedAt)
	}
	return !now.Before(from.Add(m.pace.every))
}

// price returns what the next attempt should and may cost. The limit is what
// the budgets leave after what other places may still come to; the place
// that it will take is, as far as can be told, that of the newest attempt.
func (m *machine) price(now time.Time) price {
	p := price{want: m.curve(now), limit: math.MaxUint64, month: monthOf(now), deadline: m.pace.deadline}
	if len(m.a.Attempts) > 0 { // what is left of it
		p.deadline = max(p.deadline-now.Sub(time.UnixMilli(m.a.Attempts[0].SignedAt)), m.pace.deadline/8)
	}
	others := Amount(0)
	for _, pl := range m.a.places(nil) {
		if pl.name != m.nextPlace() {
			others = others.plus(pl.bound())
		}
	}
	if m.pace.monthly > 0 {
		left := m.monthLeft(p.month)
		if len(m.a.Attempts) > 0 && m.a.Month != p.month {
			// It stays with the month in which it was begun as long as that one pays more.
			if begun := m.monthLeft(m.a.Month); begun >= left {
				p.month, left = m.a.Month, begun
			}
		}
		p.limit, p.byMonth = left.minus(others), true
	} else if len(m.a.Attempts) > 0 {
		p.month = m.a.Month
	}
	if b := m.pace.budget.minus(others); m.pace.budget > 0 && b <= p.limit {
		p.limit, p.byMonth = b, false
	}
	return p
}

// monthLeft is what a month's budget leaves to this anchor in all.
func (m *machine) monthLeft(in month) Amount {
	return m.pace.monthly.minus(m.book.spent(in, m.a.Number))
}

// noPlace is the name of no place: chains name theirs in plain text.
const noPlace = "\x00"

// nextPlace is the place that a sign is expected to take.
func (m *machine) nextPlace() string {
	n := len(m.a.Attempts)
	if n == 0 || m.taken || m.allDead(m.a.Attempts[n-1].Place) {
		return noPlace
	}
	return m.a.Attempts[n-1].Place
}

// affordable reports whether the budgets hold whichever of the attempts are
// mined, at being one more of them.
func (m *machine) affordable(at Attempt, p price) error {
	a := m.a
	a.Attempts = append(m.a.Attempts[:len(m.a.Attempts):len(m.a.Attempts)], at)
	most := Amount(0)
	for _, pl := range a.places(nil) {
		most = most.plus(pl.bound())
	}
	switch {
	case m.pace.budget > 0 && most > m.pace.budget:
		return fmt.Errorf("%w: the anchor could come to %d, its budget is %d", ErrFees, most, m.pace.budget)
	case m.pace.monthly > 0 && most > m.monthLeft(p.month):
		return fmt.Errorf("%w: the anchor could come to %d, %d are left", ErrBudget, most, m.monthLeft(p.month))
	}
	return nil
}

// tooDear says in whose words a sign failed, and reports whether it was for money.
func (m *machine) tooDear(p price, err error) (error, bool) {
	switch {
	case errors.Is(err, ErrBudget):
		return err, true
	case !errors.Is(err, ErrFees):
		return err, false
	case p.byMonth:
		return fmt.Errorf("%w: %d of %d are left: %w", ErrBudget, p.limit, m.pace.monthly, err), true
	}
	return err, true
}

// spent says that all is offered that may be, and no block takes it.
func (m *machine) spent(now time.Time) error {
	n := len(m.a.Attempts)
	if n == 0 || m.a.State == Included || m.a.State == Final || !m.missed || m.pace.free {
		return nil
	}
	last := &m.a.Attempts[n-1]
	if now.Sub(time.UnixMilli(m.a.Attempts[0].SignedAt)) < m.pace.deadline {
		return nil
	}
	p := m.price(now)
	if step(last.Fee) <= p.limit && n < m.pace.prices && m.pace.reprice > 0 {
		return nil
	}
	what := ErrFees
	if p.byMonth {
		what = ErrBudget
	}
	return fmt.Errorf("%w: %d are offered, which is all that may be, and no block takes it", what, last.Fee)
}

// usedUp reports whether the anchor is to be given up for another, with a budget
// of its own: what it may still come to leaves too little for another attempt,
// and none that is out can be mined any more.
func (m *machine) usedUp() bool {
	return (m.pace.budget > 0 || m.pace.monthly > 0) && m.allClosed()
}

func (m *machine) allClosed() bool {
	for _, p := range m.a.places(m.closed) {
		if p.open {
			return false
		}
	}
	return len(m.a.Attempts) > 0
}
