package anchor

import (
	"math"
	"time"
)

// Sums of money stop at the largest Amount and at 0, so that no figure of a
// node can make a limit come out as something else.

func (a Amount) plus(b Amount) Amount {
	if a > math.MaxUint64-b {
		return math.MaxUint64
	}
	return a + b
}

func (a Amount) minus(b Amount) Amount {
	if b > a {
		return 0
	}
	return a - b
}

// month is a calendar month in UTC, counted from year 0.
type month int64

func monthOf(t time.Time) month {
	t = t.UTC()
	return month(int64(t.Year())*12 + int64(t.Month()) - 1)
}

// Limits of a book. More entries than recheckFinals are kept one by one, as a
// deep reorganisation may change what an anchor cost after it was final.
const (
	maxPaid   = 16
	maxMonths = 3
)

// book is what a route has spent apart from the anchor on its way. It stands in
// "current" with that anchor, in one write, and an anchor enters it under its
// number once it is no longer that one: so each cost counts exactly once,
// whenever the process ends. An entry is set, never added to, so a crash that
// has it set again changes nothing.
type book struct {
	Paid   []paid    `cbor:"1,keyasint,omitempty"` // the newest anchors, oldest first
	Months []monthly `cbor:"2,keyasint,omitempty"` // sums of those before them, oldest first
	Folded uint64    `cbor:"3,keyasint,omitempty"` // anchors of smaller numbers are in Months
}

type paid struct {
	Number uint64 `cbor:"1,keyasint"`
	Month  month  `cbor:"2,keyasint"`
	Cost   Amount `cbor:"3,keyasint"`
}

type monthly struct {
	Month month  `cbor:"1,keyasint"`
	Cost  Amount `cbor:"2,keyasint"`
}

// set notes what an anchor cost in all.
func (b *book) set(a *Anchor) {
	p := paid{a.Number, a.Month, a.cost()}
	for i := range b.Paid {
		if b.Paid[i].Number == p.Number {
			b.Paid[i] = p
			return
		}
	}
	if p.Number < b.Folded {
		return
	}
	b.Paid = append(b.Paid, p)
	for len(b.Paid) > maxPaid {
		b.fold(b.Paid[0])
		b.Paid = append([]paid(nil), b.Paid[1:]...)
	}
}

func (b *book) fold(p paid) {
	b.Folded = max(b.Folded, p.Number+1)
	for i := range b.Months {
		if b.Months[i].Month == p.Month {
			b.Months[i].Cost = b.Months[i].Cost.plus(p.Cost)
			return
		}
	}
	b.Months = append(b.Months, monthly{p.Month, p.Cost})
	if n := len(b.Months) - maxMonths; n > 0 {
		b.Months = append([]monthly(nil), b.Months[n:]...)
	}
}

// spent is what the anchors charged to a month cost, without the one of number.
func (b *book) spent(m month, number uint64) (sum Amount) {
	for _, e := range b.Months {
		if e.Month == m {
			sum = sum.plus(e.Cost)
		}
	}
	for _, e := range b.Paid {
		if e.Month == m && e.Number != number {
			sum = sum.plus(e.Cost)
		}
	}
	return sum
}

// place is what is known of the attempts that exclude one another.
type place struct {
	name string
	most Amount // the largest fee among those that may still be mined
	cost Amount // what one of them did cost, 0 if none is in a block
	open bool   // one of them may still be mined, or go out of its block
}

// bound is the most that the place may turn out to cost.
func (p place) bound() Amount {
	if !p.open {
		return p.cost
	}
	return max(p.most, p.cost)
}

// places groups the attempts, in the order in which places were first taken.
// closed says of which places the outcome can no longer change.
func (a *Anchor) places(closed func(name string) bool) (all []place) {
	for i := range a.Attempts {
		at := &a.Attempts[i]
		k := 0
		for k < len(all) && all[k].name != at.Place {
			k++
		}
		if k == len(all) {
			all = append(all, place{name: at.Place, open: closed == nil || !closed(at.Place)})
		}
		all[k].cost = all[k].cost.plus(at.Cost)
		if at.Sent || !at.Dead {
			all[k].most = max(all[k].most, at.Fee)
		}
	}
	return all
}
