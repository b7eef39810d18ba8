package anchor

import (
	"errors"
	"fmt"
	"time"
)

// Status is what a route says about itself.
type Status struct {
	Route   string
	State   State    // of the anchor on its way, else of the newest one; "" before the first
	Healthy bool     // anchoring goes on, or will without anybody's help soon
	Reason  string   // why it is not healthy, or what it waits for
	Notes   []string // worth knowing, but no reason to be red

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
	s.Latest = r.latest
	if r.flying != nil {
		a := r.flying.clone()
		s.Pending, s.State = &a, a.State
	}
	s.Deadline, s.Monthly, s.Budget = r.cfg.Deadline, r.cfg.Monthly, r.cfg.Budget
	r.tellFunds(&s)
	covered := uint64(0)
	for i := len(r.finals) - 1; i >= 0 && s.LastFinal == nil; i-- {
		if r.finals[i].State == Final {
			a := r.finals[i].clone()
			s.LastFinal, covered = &a, a.Size
			if s.State == "" {
				s.State = Final
			}
		}
	}
	for _, a := range r.finals {
		if a.Alarm != "" {
			s.Notes = append(s.Notes, fmt.Sprintf("anchor of size %d: %s", a.Size, a.Alarm))
		}
	}
	r.mu.Unlock()

	s.Healthy = true
	if size, _, _, ok := r.cfg.Source.Head(); ok && covered < size {
		if from, ok := r.cfg.Source.WindowStart(covered); ok {
			s.OldestUnanchored = from
		}
	}
	switch {
	case down != nil:
		s.Healthy, s.Reason = false, down.Error()
	case held != nil:
		s.Healthy, s.Reason = passes(held), held.Error()
	}
	if s.OldestUnanchored > 0 {
		if age := time.Since(time.UnixMilli(s.OldestUnanchored)); age > r.cfg.RedAfter {
			s.Healthy = false
			if s.Reason == "" {
				s.Reason = fmt.Sprintf("the oldest unanchored window is %s old", age.Round(time.Second))
			}
		}
	}
	if s.Reason == "" && s.Pending != nil {
		s.Reason = "waiting for " + waitsFor(s.Pending)
	}
	return s
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

// Seen returns the newest block that a poll saw, or false if none did yet.
func (r *Route) Seen() (Block, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.latest, r.seen
}

// publish copies what Run owns to where Status looks.
func (r *Route) publish() {
	next := r.schedule.due(r.lastSign)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.flying, r.held = nil, nil
	if r.m != nil {
		a := r.m.a.clone()
		r.flying, r.held = &a, r.m.reason
	}
	r.status.Next, r.status.Guarded = next, r.guardOK
}

func (r *Route) setDown(err error) {
	r.mu.Lock()
	was := r.down
	r.down = err
	r.mu.Unlock()
	switch {
	case err != nil && (was == nil || was.Error() != err.Error()):
		r.log.Error("anchoring is held up", "reason", err)
	case err == nil && was != nil:
		r.log.Info("anchoring goes on")
	}
}

func (r *Route) setTips(t Tips) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.latest, r.seen = t.Latest, true
	r.status.FinalHeight, r.status.FinalRule, r.status.Notes = t.Final.Height, t.Rule, nil
	if t.Final.Hash == [32]byte{} {
		r.status.Notes = []string{"the chain has no final block yet"}
	} else if lag := t.Latest.Height - t.Final.Height; t.Latest.Height > t.Final.Height && lag > finalityLag {
		r.status.Notes = []string{fmt.Sprintf("finality lags: the newest final block is %d blocks behind", lag)}
	}
}
