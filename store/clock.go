package store

import (
	"errors"
	"fmt"
	"time"

	"cairn/ingest/reading"
	"cairn/merkle/ledger"
)

const (
	// maxStep is how far wall clock and monotonic clock may part between two
	// looks before that is a step.
	maxStep = 2 * time.Second
	// maxBehind is how far the clock may lie behind the newest stamp before that
	// stamp is held to have been a wrong future.
	maxBehind = int64(15 * 60 * 1000)
	// maxJump is the longest time without the gateway that is covered window by
	// window. A longer one is taken for a clock that was or is wrong.
	maxJump = int64(32 * 24 * 3600 * 1000)
	// sane is a time that any clock that was ever set has passed: 1 January 2025.
	sane = int64(1735689600000)
)

// clockState is what the committer knows of the gateway's clock.
type clockState struct {
	last    time.Time // at the last look, with its monotonic part
	stepped bool      // in the open window
	insane  bool      // before sane; declared once
}

// stamp gives the received time and clock state of the next group: never before
// the newest stamp of the ledger, and inside the open window.
func (c *committer) stamp() (int64, reading.Clock) {
	now := c.s.opt.Now().UnixMilli()
	clock := c.s.opt.Clock()
	if c.clock.stepped || now < c.state.LastStamp {
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
	if err == nil && now.UnixMilli() >= c.state.Open.To {
		err = c.closePassed(now.UnixMilli())
	}
	if err != nil {
		c.s.die(err)
	}
}

func (c *committer) untilClose() time.Duration {
	d := time.Duration(c.state.Open.To-c.s.opt.Now().UnixMilli()) * time.Millisecond
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
// far in the future is closed off with new streams.
func (c *committer) checkClock(now time.Time) error {
	prev := c.clock.last
	c.clock.last = now
	ms := now.UnixMilli()
	if c.state.LastStamp-ms > maxBehind || c.state.Open.From-ms > maxBehind {
		return c.recut(ms)
	}
	if !prev.IsZero() {
		wall, mono := now.Round(0).Sub(prev.Round(0)), now.Sub(prev)
		if (wall - mono).Abs() > maxStep {
			return c.declareClock(prev.Add(mono).UnixMilli(), ms, "the clock stepped")
		}
	}
	if insane := ms < sane; insane != c.clock.insane {
		c.clock.insane = insane
		if insane {
			return c.declareClock(c.state.LastStamp, ms, "the clock is not sane")
		}
	}
	return nil
}

// declareClock records a step of the clock and flags the open window.
func (c *committer) declareClock(was, now int64, reason string) error {
	c.clock.stepped = true
	c.s.opt.Events(Event{Kind: "clock", Detail: fmt.Sprintf("%s: %s, was %s", reason, clockText(now), clockText(was))})
	b := c.s.db.NewBatch()
	err := c.appendStatement(b, ledger.Statement{Kind: ledger.KindClock, At: max(now, 0), Body: map[string]any{
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
	if err := c.declareClock(w.To, now, "the clock jumped over 32 days or more"); err != nil {
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
	if err := c.declareClock(c.state.LastStamp, now, "the clock had been ahead: streams begin anew"); err != nil {
		return err
	}
	b := c.s.db.NewBatch()
	for _, st := range c.active {
		st.closing = true
	}
	from := now - now%c.s.window
	err := c.closeInto(b, window{From: from, To: from + c.s.window})
	c.state.LastStamp = now
	for _, d := range c.devices {
		if err == nil && !d.binding.Closed {
			err = c.bind(b, d, now)
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
