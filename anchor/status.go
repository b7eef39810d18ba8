package anchor

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"
)

// Status is what a route says about itself.
type Status struct {
	Route   string
	State   State // of the anchor on its way, else of the newest one; "" before the first
	Healthy bool  // anchoring goes on, or will without anybody's help soon
	// Late: the oldest window that no final anchor covers is older than Config.RedAfter,
	// or the anchor that is due waits for somebody's help, such as money. A look that
	// fails makes nothing late, nor does a pre-flight that sees the money's end.
	Late   bool
	Unseen bool     // the chain was not looked at yet, or the last look failed
	Reason string   // why it is not healthy, or what it waits for
	Notes  []string // worth knowing, but no reason to be red

	LastFinal *Anchor // without its receipt
	Pending   *Anchor // the one on its way

	// OldestUnanchored is the start of the oldest window that no final anchor
	// covers, in Unix milliseconds, 0 if there is none.
	OldestUnanchored int64
	Next             time.Time // when the next anchor is due; zero: as soon as there is a head
	Latest           Block     // newest block seen
	FinalHeight      uint64
	FinalRule        string
	Guards           bool // the chain keeps a head, so that a log that was rolled back is noticed; false until Run
	Guarded          bool // our log is known to contain that head

	Deadline time.Duration // in which an anchor should be in a block

	// Money, in Unit. SpentMonth is what the anchors charged to this calendar
	// month (UTC) cost as far as they are in blocks, Reserved the most that
	// those on their way may add. Monthly and Budget are the configured
	// limits, 0 for none.
	Unit                                  string
	SpentMonth, Reserved, Monthly, Budget Amount

	// What the purse held when it was last asked; zero if it never answered, or
	// if the chain is free.
	Balance, PerAnchor Amount
	RunwayDays         float64 // for which Balance lasts at present fees, −1 if that is not known
	FundsLow           bool    // it pays for fewer than 14 days, or than 3 anchors, or the pre-flight says that it does not pay
	TopUp              TopUp   // zero if none is needed

	// Alarms are the newest anchors that the chain undid after it had called
	// them final, oldest first.
	Alarms []Alarm
}

// Alarm is an anchor that was final, and whose block the chain dropped.
type Alarm struct {
	Number uint64 // of the anchor
	Root   Root
	// From and To are the sizes of the log that were proven by this anchor: the
	// proofs of batches From−1 … To−1 rest on it.
	From, To uint64
	What     string // what happened
	At       int64  // when that was seen, Unix milliseconds
	// Covered: an anchor that came to be final after that proves all of it, so
	// that it is history. Until then the route is unhealthy.
	Covered bool
}

// Status returns the route's present state. It may be called at any time.
func (r *Route) Status() Status {
	r.mu.Lock()
	s := r.status
	s.Notes = append([]string(nil), s.Notes...)
	held, down := r.held, r.down
	s.Unseen = r.looked.IsZero()
	s.Latest = r.latest
	if r.flying != nil {
		a := r.flying.clone()
		s.Pending, s.State = &a, a.State
	}
	s.Deadline, s.Monthly, s.Budget = r.cfg.Deadline, r.cfg.Monthly, r.cfg.Budget
	r.tellFunds(&s)
	covered := uint64(0)
	for i := range r.finals {
		if f := &r.finals[i]; f.State == Final && f.Size > covered {
			a := f.clone()
			s.LastFinal, covered = &a, f.Size
		}
	}
	if s.State == "" && s.LastFinal != nil {
		s.State = Final
	}
	r.tellAlarms(&s)
	r.mu.Unlock()

	s.Healthy = true
	if size, _, _, ok := r.cfg.Source.Head(); ok && covered < size {
		if from, ok := r.cfg.Source.WindowStart(covered); ok {
			s.OldestUnanchored = from
		}
	}
	s.Late = needsHelp(down) || needsHelp(held) || errors.Is(held, ErrFunds)
	switch {
	case down != nil:
		s.Healthy, s.Reason = false, down.Error()
	case held != nil:
		s.Healthy, s.Reason = passes(held), held.Error()
	}
	for _, a := range s.Alarms {
		s.Late = s.Late || !a.Covered
		if !a.Covered && s.Healthy {
			s.Healthy, s.Reason = false, fmt.Sprintf("anchor of size %d: %s; proofs of batches %d to %d rest on it", a.To, a.What, a.From-1, a.To-1)
		}
	}
	if s.OldestUnanchored > 0 {
		if age := time.Since(time.UnixMilli(s.OldestUnanchored)); age > r.cfg.RedAfter {
			s.Healthy, s.Late = false, true
			if s.Reason == "" {
				s.Reason = fmt.Sprintf("the oldest unanchored window is %s old", age.Round(time.Second))
			}
		}
	}
	if s.Reason == "" && s.Pending != nil {
		s.Reason = "waiting for " + waitsFor(s.Pending)
	}
	if s.Reason == "" && s.Unseen {
		s.Reason = "the chain is being looked at for the first time"
	}
	return s
}

// tellAlarms lists the anchors that were undone after they were final. r.mu is
// held.
func (r *Route) tellAlarms(s *Status) {
	for i := range r.finals {
		f := &r.finals[i]
		if f.Alarm == "" {
			continue
		}
		a := Alarm{Number: f.Number, Root: f.Root, From: f.After + 1, To: f.Size, What: f.Alarm, At: f.AlarmAt}
		for k := range r.finals {
			by := &r.finals[k]
			a.Covered = a.Covered || by.State == Final && by.Size >= f.Size && by.FinalAt > f.AlarmAt
		}
		s.Alarms = append(s.Alarms, a)
		s.Notes = append(s.Notes, fmt.Sprintf("anchor of size %d: %s", f.Size, f.Alarm))
	}
}

// passes reports whether what holds an anchor up is part of the normal way.
// If it lasts, the age of the oldest window turns the status red.
func passes(err error) bool {
	for _, e := range []error{ErrAsk, ErrAgain, ErrBusy, ErrPrice} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// needsHelp reports whether what holds an anchor up stays until somebody mends it.
func needsHelp(err error) bool {
	for _, e := range []error{ErrWrongChain, ErrContract, ErrLocked, ErrUnknownHead} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

func waitsFor(a *Anchor) string {
	switch a.State {
	case Included:
		return fmt.Sprintf("block %d to be final", a.Included.Height)
	case Queued:
		return "a signature"
	}
	return "a block to take the transaction"
}

// Anchors returns the newest final anchors, oldest first and without their
// receipts (Lookup has them), and then the one on its way, with its own. Old
// ones are found by Lookup.
func (r *Route) Anchors() []Anchor {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make([]Anchor, 0, len(r.finals)+1)
	for i := range r.finals {
		out = append(out, r.finals[i].clone())
	}
	if r.flying != nil {
		out = append(out, r.flying.clone())
	}
	return out
}

// Seen returns the newest block, or false if the last look at the chain failed,
// showed none, or is too long ago: then nothing is known of the present.
func (r *Route) Seen() (Block, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.looked.IsZero() || r.latest == (Block{}) || time.Since(r.looked) > 3*r.cfg.Poll+r.cfg.Timeout {
		return Block{}, false
	}
	return r.latest, true
}

func (r *Route) setBlind() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.looked = time.Time{}
}

// publish copies what Run owns to where Status looks.
func (r *Route) publish() {
	next, now := r.schedule.due(r.lastSign), time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.flying, r.held = nil, nil
	if r.m != nil {
		a := r.m.a.clone()
		r.flying, r.held = &a, r.m.why(now)
	}
	r.status.Next, r.status.Guarded = next, r.guardOK
	r.status.SpentMonth, r.status.Reserved = r.spending(now)
}

// spending returns what the anchors charged to this month cost so far, and what
// the one on its way may add. Only Run calls it.
func (r *Route) spending(now time.Time) (spent, reserved Amount) {
	in := monthOf(now)
	if r.m == nil {
		return r.book.spent(in, math.MaxUint64), 0
	}
	spent = r.book.spent(in, r.m.a.Number)
	if len(r.m.a.Attempts) == 0 || r.m.a.Month != in {
		return spent, 0
	}
	for _, p := range r.m.a.places(r.m.closed) {
		spent = spent.plus(p.cost)
		reserved = reserved.plus(p.bound().minus(p.cost))
	}
	return spent, reserved
}

// setDown notes why nothing can be anchored, nil if it can. What a shutdown
// cuts off says nothing.
func (r *Route) setDown(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return
	}
	r.mu.Lock()
	was := r.down
	r.down = err
	r.mu.Unlock()
	switch {
	case err != nil && (was == nil || !sameReason(was, err)):
		r.log.Error("anchoring is held up", "reason", err)
	case err == nil && was != nil:
		r.log.Info("anchoring goes on")
	}
}

// sameReason reports whether two errors need not both be logged. What is wanted of the
// purse changes with each block's fees.
func sameReason(a, b error) bool {
	return a.Error() == b.Error() || errors.Is(a, ErrFunds) && errors.Is(b, ErrFunds)
}

func (r *Route) setTips(t Tips) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.latest, r.looked = t.Latest, time.Now()
	r.status.FinalHeight, r.status.FinalRule, r.status.Notes = t.Final.Height, t.Rule, nil
	if t.Final.Height == Everything {
		r.status.FinalHeight = 0 // no block: what is found is final
	} else if t.Final.Hash == [32]byte{} {
		r.status.Notes = []string{"the chain has no final block yet"}
	} else if lag := t.Latest.Height - t.Final.Height; t.Latest.Height > t.Final.Height && lag > finalityLag {
		r.status.Notes = []string{fmt.Sprintf("finality lags: the newest final block is %d blocks behind", lag)}
	}
}
