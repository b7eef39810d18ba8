package anchor

import (
	"errors"
	"math"
	"testing"
	"time"
)

// priced returns a machine with one attempt that a node took at time 0, and
// that a block did not take.
func priced(fee Amount, p pace) *machine {
	m := flying(Broadcast, 1)
	m.pace = p
	m.a.Attempts[0].Fee, m.a.Attempts[0].SignedAt = fee, time.UnixMilli(0).UnixMilli()
	m.sentOnce, m.missed, m.since = true, true, at(0)
	return m
}

var dearPace = pace{poll: time.Second, resend: time.Minute, reprice: time.Minute, prices: 20, deadline: time.Hour, budget: 1100}

func at(d time.Duration) time.Time { return time.UnixMilli(0).Add(d) }

func TestCurve(t *testing.T) {
	tests := []struct {
		first, budget Amount
		at            time.Duration
		want          Amount
	}{
		{100, 1100, 0, 100},
		{100, 1100, -time.Hour, 100},
		{100, 1100, 30 * time.Minute, 600},
		{100, 1100, 59*time.Minute + 59*time.Second, 1099},
		{100, 1100, time.Hour, 1100},
		{100, 1100, 1000 * time.Hour, 1100},
		{100, 0, 30 * time.Minute, 0},
		{1100, 1100, 0, 1100},
		{2000, 1100, 30 * time.Minute, 1100},
		{0, math.MaxUint64, 30 * time.Minute, math.MaxUint64 / 2},
		{1, math.MaxUint64, time.Hour - 1, math.MaxUint64 - 5124095576030},
	}
	for _, tt := range tests {
		p := dearPace
		p.budget = tt.budget
		got := priced(tt.first, p).curve(at(tt.at))
		if diff := max(got, tt.want) - min(got, tt.want); diff > tt.want/1_000_000 {
			t.Errorf("from %d to %d after %s: %d, want %d", tt.first, tt.budget, tt.at, got, tt.want)
		}
	}
}

// TestBump is when a transaction is replaced, and when it is not.
func TestBump(t *testing.T) {
	tests := []struct {
		name   string
		change func(m *machine)
		at     time.Duration
		want   bool
	}{
		{"a step above", nil, 8 * time.Minute, true},
		{"less than a step above", nil, 45 * time.Second, false},
		{"no block came", func(m *machine) { m.missed = false }, time.Hour, false},
		{"no node took it", func(m *machine) { m.a.Attempts[0].Sent = false }, time.Hour, false},
		{"it is dead", func(m *machine) { m.a.Attempts[0].Dead = true }, time.Hour, false},
		{"never", func(m *machine) { m.pace.reprice = -1 }, time.Hour, false},
		{"often enough", func(m *machine) { m.pace.prices = 1 }, time.Hour, false},
		{"tried a moment ago", func(m *machine) { m.priceAt = at(time.Hour - time.Second) }, time.Hour, false},
		{"refused a moment ago", func(m *machine) { m.signAt = at(time.Hour + time.Second) }, time.Hour, false},
		{"at the budget", func(m *machine) { m.a.Attempts[0].Fee = 1000 }, 10 * time.Hour, false},
		{"without a budget", func(m *machine) { m.pace.budget = 0 }, time.Minute, true},
		{"free of charge", func(m *machine) { m.pace.free, m.pace.budget, m.a.Attempts[0].Fee = true, 0, 0 }, time.Hour, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := priced(100, dearPace)
			if tt.change != nil {
				tt.change(m)
			}
			if got := m.bumpDue(at(tt.at)); got != tt.want {
				t.Errorf("bump due: %v, want %v", got, tt.want)
			}
		})
	}
}

// TestLimit is what the budgets leave.
func TestLimit(t *testing.T) {
	now := at(30 * time.Minute)
	here := monthOf(now)
	tests := []struct {
		name            string
		budget, monthly Amount
		change          func(m *machine)
		limit           Amount
		month           month
		byMonth         bool
	}{
		{"no budgets", 0, 0, nil, math.MaxUint64, here, false},
		{"a replacement has all of it", 1000, 0, nil, 1000, here, false},
		{"a month's rest", 1000, 900, func(m *machine) { m.book.Paid = []paid{{9, here, 300}, {10, here + 1, 500}} }, 600, here, true},
		{"of a month before", 1000, 900, func(m *machine) { m.book.Months = []monthly{{here, 850}} }, 50, here, true},
		{"not its own entry", 1000, 900, func(m *machine) { m.book.Paid = []paid{{0, here, 300}} }, 900, here, true},
		{"more spent than there was", 1000, 900, func(m *machine) { m.book.Paid = []paid{{9, here, 3000}} }, 0, here, true},
		{"another place lost, and not for good", 1000, 0, func(m *machine) { m.taken = true }, 900, here, false},
		{"paid for nothing", 1000, 0, func(m *machine) {
			m.a.Attempts[0].Dead, m.a.Attempts[0].Cost = true, 70
		}, 900, here, false},
		{"the month has turned and gives more", 0, 900, func(m *machine) {
			m.a.Month = here - 1
			m.book.Paid = []paid{{9, here - 1, 300}}
		}, 900, here, true},
		{"the month has turned and gives no more", 0, 900, func(m *machine) {
			m.a.Month = here - 1
			m.book.Paid = []paid{{9, here, 300}}
		}, 900, here - 1, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := dearPace
			p.budget, p.monthly = tt.budget, tt.monthly
			m := priced(100, p)
			m.a.Month = here
			if tt.change != nil {
				tt.change(m)
			}
			if got := m.price(now); got.limit != tt.limit || got.month != tt.month || got.byMonth != tt.byMonth {
				t.Errorf("price = %+v, want limit %d in month %d, by month %v", got, tt.limit, tt.month, tt.byMonth)
			}
		})
	}
}

// TestAffordable is the last word: a chain that takes another place than was
// expected may not make the anchor come to more than its budget.
func TestAffordable(t *testing.T) {
	tests := []struct {
		name            string
		budget, monthly Amount
		fee             Amount
		place           string
		want            error
	}{
		{"the same place", 200, 0, 200, "0", nil},
		{"another place", 200, 0, 100, "1", nil},
		{"another place, too much", 200, 0, 101, "1", ErrFees},
		{"the same place, too much", 200, 0, 201, "0", ErrFees},
		{"within the month", 0, 150, 150, "0", nil},
		{"over the month", 0, 150, 51, "1", ErrBudget},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := dearPace
			p.budget, p.monthly = tt.budget, tt.monthly
			m := priced(100, p)
			m.on(at(0), evSigned{attempt: Attempt{Fee: tt.fee, Place: tt.place}})
			if made := len(m.a.Attempts) == 2; made != (tt.want == nil) || !errors.Is(m.why(at(0)), tt.want) {
				t.Errorf("made %v for %v, want %v", made, m.why(at(0)), tt.want)
			}
		})
	}
}

func TestUsedUp(t *testing.T) {
	m := priced(100, dearPace)
	m.a.Attempts[0].Cost, m.a.Attempts[0].Dead = 1090, true
	m.gone["0"], m.resign = 4, true
	m.tips = Tips{Final: Block{Height: 3}, Rule: "depth 1"}
	m.on(at(0), evSigned{err: ErrFees})
	if m.ended {
		t.Error("given up while the block can still go away")
	}
	m.tips.Final.Height = 4
	m.pace.budget = 0
	m.on(at(0), evSigned{err: ErrFees})
	if m.ended {
		t.Error("given up though no budget of ours was in the way")
	}
	m.pace.monthly = 1000
	m.on(at(0), evSigned{err: ErrFees})
	if !m.ended {
		t.Error("not given up though nothing is left")
	}
}

func TestBook(t *testing.T) {
	var b book
	entry := func(n uint64, m month, cost Amount) *Anchor {
		return &Anchor{Number: n, Month: m, Attempts: []Attempt{{Cost: cost - 1}, {Cost: 1}}}
	}
	for n := range uint64(100) {
		b.set(entry(n, month(n/30), 10))
		b.set(entry(n, month(n/30), 20)) // the same again, at another cost
	}
	for m, want := range []Amount{0: 600, 1: 600, 2: 600, 3: 200, 4: 0} {
		if got := b.spent(month(m), math.MaxUint64); got != want {
			t.Errorf("month %d: %d, want %d", m, got, want)
		}
	}
	if got := b.spent(3, 99); got != 180 {
		t.Errorf("without the last: %d, want 180", got)
	}
	b.set(entry(3, 0, 1000)) // long folded: it counts once
	if got := b.spent(0, math.MaxUint64); got != 600 {
		t.Errorf("after an old entry came again: %d, want 600", got)
	}
	if len(b.Paid) > maxPaid || len(b.Months) > maxMonths+1 {
		t.Errorf("the book has %d entries and %d months", len(b.Paid), len(b.Months))
	}
	b.set(&Anchor{Number: 100, Month: 3, Attempts: []Attempt{{Cost: math.MaxUint64}}})
	if got := b.spent(3, 0); got != math.MaxUint64 {
		t.Errorf("sum = %d, want the largest", got)
	}
}

func TestMonthOf(t *testing.T) {
	east := time.FixedZone("", 14*3600)
	a := monthOf(time.Date(2026, 12, 31, 23, 59, 59, 0, time.UTC))
	b := monthOf(time.Date(2027, 1, 1, 13, 59, 59, 0, east))
	c := monthOf(time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC))
	if a != b || c != a+1 {
		t.Errorf("months %d, %d, %d", a, b, c)
	}
}

// TestCostFollowsVersion: of the attempts of one place only the one that is in
// a block costs anything.
func TestCostFollowsVersion(t *testing.T) {
	m := flying(Broadcast, 3)
	m.a.Attempts[1].Place = "0"
	found := func(which int, cost Amount, reverted bool) {
		m.on(at(0), evFound{ok: true, found: Found{Which: which, Block: Block{Height: uint64(which) + 1}, Cost: cost, Reverted: reverted}})
	}
	for _, step := range []struct {
		do   func()
		want Amount
	}{
		{func() { found(0, 10, false) }, 10},
		{func() { found(1, 20, false) }, 20},
		{func() { found(0, 11, true) }, 11},
		{func() { found(2, 5, false) }, 16},
		{func() { found(1, 7, false) }, 12},
		{func() { m.on(at(0), evFound{}) }, 0},
	} {
		if step.do(); m.a.cost() != step.want {
			t.Errorf("cost = %d, want %d", m.a.cost(), step.want)
		}
	}
}
