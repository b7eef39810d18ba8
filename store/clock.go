package store

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"cairn/ingest/reading"
	"cairn/merkle/ledger"
	"cairn/store/share"
)

const (
	// maxStep is how far wall clock and monotonic clock may part between two
	// looks before that is a step.
	maxStep = 2 * time.Second
	// maxBehind is how far the clock may lie behind the newest stamp before that
	// stamp is held to have been a wrong future.
	maxBehind = int64(15 * 60 * 1000)
	// maxLag is how far the clock may lie behind the newest stamp at a start, while
	// nothing disciplines it, and be held to lag: boards without a clock of their
	// own begin with the time that they noted last, often an hour before.
	maxLag = int64(2 * 3600 * 1000)
	// lagPatience is how long time is counted on for such a clock.
	lagPatience = 24 * time.Hour
	// maxJump is the longest time without the gateway that is covered window by
	// window. A longer one is taken for a clock that was or is wrong.
	maxJump = int64(32 * 24 * 3600 * 1000)
	// sane is a time that any clock that was ever set has passed: 1 January 2025.
	sane = int64(1735689600000)
	// latest is a day before the key trees end, in 2089. A clock that shows more
	// is as wrong as one that was never set.
	latest = int64(share.Hours)*900_000 - 24*3600*1000
	// attentive is how long the committer may take between two looks at the
	// clock and still have been there for a window that passed in between.
	attentive = 5 * time.Second
)

// clockState is what the committer knows of the gateway's clock.
type clockState struct {
	last    time.Time // at the last look, with its monotonic part
	away    bool      // nobody looked for a while before that, or ever
	stepped bool      // in the open window
	insane  bool      // before sane or past latest; declared once

	// While a clock lags since the start, or an insane one lies far behind the
	// ledger or past what key trees hold, time is counted on from the newest that is known: base at the look
	// counted. Zero if it is not.
	counted time.Time
	base    int64
}

// ms is the time that windows and stamps go by, at a look at the clock.
func (c *clockState) ms(now time.Time) int64 {
	if c.counted.IsZero() {
		return now.UnixMilli()
	}
	return c.base + max(0, now.Sub(c.counted).Milliseconds())
}

// stamp gives the received time and clock state of the next group: never before
// the newest stamp of the ledger, and inside the open window. A clock that is a
// little behind is none that stepped, as none that is declared: stamps wait for it.
func (c *committer) stamp() (int64, reading.Clock) {
	now := c.clock.ms(c.s.opt.Now())
	clock := c.s.opt.Clock()
	if c.clock.stepped || c.state.LastStamp-now > maxStep.Milliseconds() {
		clock = reading.Stepped
	} else if c.clock.insane {
		clock = reading.Unsynced
	}
	t := max(now, c.state.LastStamp, c.state.Open.From)
	t = min(t, c.state.Open.To-1)
	c.state.LastStamp = t
	return t, clock
}

// tick is what the clock brings: checks of disk and clock, and windows to close.
func (c *committer) tick() {
	if c.s.Dead() != nil {
		return
	}
	now := c.s.opt.Now()
	c.checkDisk(now)
	err := c.checkClock(now)
	if ms := c.clock.ms(now); err == nil && ms >= c.state.Open.To {
		err = c.closePassed(ms)
	}
	if err != nil {
		c.s.die(err)
	}
}

func (c *committer) untilClose() time.Duration {
	if c.s.Dead() != nil {
		return time.Second
	}
	d := time.Duration(c.state.Open.To-c.clock.ms(c.s.opt.Now())) * time.Millisecond
	return min(max(d, time.Millisecond), time.Second)
}

func (c *committer) checkDisk(now time.Time) {
	if now.Sub(c.diskCheck).Abs() < time.Second {
		return
	}
	c.diskCheck = now
	free, err := c.s.opt.Free()
	if err != nil {
		c.s.opt.Logger.Warn("free disk space is unknown", "error", err)
		return
	}
	full := free < c.s.opt.MinFree
	if c.s.full.Swap(full) == full {
		return
	}
	kind := "disk-ok"
	if full {
		kind = "disk-full"
	}
	c.s.opt.Events(Event{Kind: kind, Detail: fmt.Sprintf("%d bytes free, %d wanted", free, c.s.opt.MinFree)})
}

// checkClock notices steps. A small one is declared and flagged; a newest stamp
// far in the future is closed off with new streams, unless it is the clock that
// cannot be right, or has not been put right since a start: then time is counted
// on until it is.
func (c *committer) checkClock(now time.Time) error {
	prev := c.clock.last
	c.clock.last = now
	c.clock.away = prev.IsZero() || now.Sub(prev) > attentive
	ms := now.UnixMilli()
	if ms < sane || ms >= latest {
		return c.insaneClock(prev, now)
	}
	c.clock.insane = false
	if c.lags(prev, now) {
		if !c.clock.counted.IsZero() {
			return nil
		}
		known := c.known()
		c.clock.counted, c.clock.base = now, known
		return c.declareClock(known, known, ms, "the clock lags since the start")
	}
	if !c.clock.counted.IsZero() {
		was := c.clock.ms(now)
		c.clock.counted = time.Time{}
		if !c.isJump(ms) && !c.isWrongFuture(ms) {
			return c.declareClock(ms, was, ms, "the clock is right again")
		}
	}
	if c.isWrongFuture(ms) {
		return c.recut(ms)
	}
	if step, was := stepped(prev, now); step && !c.isJump(ms) {
		return c.declareClock(ms, was, ms, "the clock stepped")
	}
	return nil
}

// stepped says whether the wall clock left the monotonic one between two looks,
// and what it would show had it not.
func stepped(prev, now time.Time) (bool, int64) {
	if prev.IsZero() {
		return false, 0
	}
	wall, mono := now.Round(0).Sub(prev.Round(0)), now.Sub(prev)
	return (wall - mono).Abs() > maxStep, prev.Add(mono).UnixMilli()
}

func (c *committer) isJump(ms int64) bool { return ms-c.state.Open.To > maxJump }

func (c *committer) isWrongFuture(ms int64) bool { return c.known()-ms > maxBehind }

// known is the newest time that the ledger knows of.
func (c *committer) known() int64 { return max(c.state.LastStamp, c.state.Open.From) }

// lags says whether the clock is behind since a start, and may yet be put right.
func (c *committer) lags(prev, now time.Time) bool {
	behind := c.known() - now.UnixMilli()
	if !c.clock.counted.IsZero() {
		behind = c.clock.ms(now) - now.UnixMilli()
	}
	if behind <= maxBehind || behind > maxLag || c.s.opt.Clock() == reading.Synced {
		return false
	}
	if c.clock.counted.IsZero() {
		return prev.IsZero()
	}
	return now.Sub(c.clock.counted) < lagPatience
}

// insaneClock declares a clock before sane or past latest, once. One that the
// ledger is far ahead of, or that no key tree reaches, no longer counts.
func (c *committer) insaneClock(prev, now time.Time) error {
	ms := now.UnixMilli()
	known := c.known()
	if c.clock.counted.IsZero() && (c.isWrongFuture(ms) || ms >= latest) {
		c.clock.counted, c.clock.base = now, known
		if _, was := stepped(prev, now); was > known && was < c.state.Open.To {
			c.clock.base = was
		}
	} else if c.clock.insane {
		return nil
	}
	c.clock.insane = true
	return c.declareClock(c.clock.ms(now), known, ms, "the clock is not sane")
}

// declareClock records a step of the clock and flags the open window.
func (c *committer) declareClock(at, was, now int64, reason string) error {
	c.clock.stepped = true
	c.s.opt.Events(Event{Kind: "clock", Detail: fmt.Sprintf("%s: %s, was %s", reason, clockText(now), clockText(was))})
	b := c.s.db.NewBatch()
	err := c.appendStatement(b, ledger.Statement{Kind: ledger.KindClock, At: max(at, 0), Body: map[string]any{
		"was": max(was, 0), "now": max(now, 0), "reason": reason,
	}})
	if err == nil {
		err = c.putState(b)
	}
	if err != nil {
		b.Close()
		return err
	}
	c.write(b, nil, nil)
	return nil
}

func clockText(ms int64) string { return time.UnixMilli(ms).UTC().Format(time.RFC3339) }

// jump closes the open window and goes on at now, with one declaration for all
// that lies between.
func (c *committer) jump(now int64) error {
	w := c.state.Open
	if err := c.declareClock(now, w.To, now, "the clock jumped over 32 days or more"); err != nil {
		return err
	}
	b := c.s.db.NewBatch()
	from := now - now%c.s.window
	if err := c.closeInto(b, window{From: from, To: from + c.s.window}); err != nil {
		b.Close()
		return err
	}
	c.write(b, nil, nil)
	c.clock.stepped = true
	return nil
}

// recut closes a wrong future: every open stream ends with the window in hand,
// and its device goes on in a new stream with new key trees at the real time.
func (c *committer) recut(now int64) error {
	if now < 0 {
		return errors.New("the clock is before 1970")
	}
	if _, err := c.found.read(c.s, math.MaxInt64); err != nil {
		return err
	}
	var open []*device
	var rules [][]Rule
	for _, number := range slices.Sorted(maps.Keys(c.devices)) {
		if d := c.devices[number]; !d.binding.Closed {
			d.found = c.found.of(number)
			open, rules = append(open, d), append(rules, d.stream.classes.rules)
		}
	}
	made, err := c.newCompartments(rules, func(*share.Edit) {})
	if err != nil {
		return err
	}
	if err := c.declareClock(now, c.state.LastStamp, now, "the clock had been ahead: streams begin anew"); err != nil {
		return err
	}
	b := c.s.db.NewBatch()
	for _, st := range c.active {
		st.closing = true
		if st.late {
			st.device.late = nil
		}
	}
	from := now - now%c.s.window
	err = c.closeInto(b, window{From: from, To: from + c.s.window})
	c.state.LastStamp = now
	for i, d := range open {
		if err == nil {
			err = c.bind(b, d, now, made[i])
		}
	}
	if err == nil {
		err = c.snapshot(b)
	}
	if err != nil {
		b.Close()
		return fmt.Errorf("begin streams anew: %w", err)
	}
	c.clock.stepped = true
	c.write(b, nil, nil)
	return nil
}
