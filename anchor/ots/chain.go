package ots

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"cairn/anchor"
	"cairn/anchor/proof"
)

const nonceSize = 16 // bytes, as the reference client's

// rule names what makes an anchor final.
func (c *Chain) rule() string {
	if c.cfg.Headers != nil {
		return fmt.Sprintf("depth %d", c.cfg.Depth)
	}
	return fmt.Sprintf("calendars %d of %d", c.cfg.Need, len(c.calendars))
}

// Ready makes sure that enough calendars answer and, where there are headers,
// that the node has some. It sends no digest.
func (c *Chain) Ready(ctx context.Context) error {
	c.work.Lock()
	defer c.work.Unlock()
	if err := c.open(); err != nil {
		return err
	}
	v, err := c.look(ctx)
	if err == nil && v != nil {
		_, err = v.header(ctx, v.tip)
	}
	if err != nil {
		return err
	}
	return c.enough(c.each(func(cal *server) error {
		if held, err := c.held(cal); held || c.lately(cal) {
			return err
		}
		// A calendar has never heard of this, and says so.
		_, err := cal.ask(ctx, make([]byte, sha256.Size))
		if errors.Is(err, errPending) || errors.Is(err, errAnswer) {
			err = nil
		}
		c.noteHealth(cal, err)
		return err
	}), "answer")
}

// each calls f for all calendars that digests go to, at once, and returns what
// came of it in their order.
func (c *Chain) each(f func(*server) error) []error {
	errs := make([]error, len(c.calendars))
	var wg sync.WaitGroup
	for i, cal := range c.calendars {
		wg.Go(func() { errs[i] = f(cal) })
	}
	wg.Wait()
	return errs
}

// enough makes sure that Need of the calendars gave no error.
func (c *Chain) enough(errs []error, what string) error {
	var said []string
	worst := error(nil)
	for _, err := range errs {
		if err == nil {
			continue
		}
		said = append(said, err.Error())
		for _, sentinel := range []error{anchor.ErrDown, anchor.ErrBusy, anchor.ErrAgain} {
			if worst == nil && errors.Is(err, sentinel) {
				worst = sentinel
			}
		}
	}
	if worst == nil {
		worst = anchor.ErrAgain
	}
	if well := len(errs) - len(said); well < c.cfg.Need {
		return fmt.Errorf("%w: %d of %d calendars %s, want %d: %s", worst, well, len(errs), what, c.cfg.Need, strings.Join(said, "; "))
	}
	return nil
}

// Tips returns the newest block and the newest final one where there are
// headers. Without them nobody can show a block, and what Find returns is final.
func (c *Chain) Tips(ctx context.Context) (anchor.Tips, error) {
	c.work.Lock()
	defer c.work.Unlock()
	t := anchor.Tips{Rule: c.rule()}
	v, err := c.look(ctx)
	switch {
	case err != nil:
		return anchor.Tips{}, err
	case v == nil:
		t.Final.Height = anchor.Everything
		return t, nil
	}
	if t.Latest, err = v.block(ctx, v.tip); err != nil {
		return anchor.Tips{}, err
	}
	if v.tip+1 >= c.cfg.Depth {
		if t.Final, err = v.block(ctx, v.tip+1-c.cfg.Depth); err != nil {
			return anchor.Tips{}, err
		}
	}
	return t, nil
}

// Stored says ErrNoHead.
func (c *Chain) Stored(context.Context) (anchor.Root, error) {
	return anchor.Root{}, fmt.Errorf("%w: calendars take any digest", anchor.ErrNoHead)
}

// Sign sends a digest to every calendar and returns the stamp. Nothing is to be
// replaced by it, so that prior attempts do not matter.
func (c *Chain) Sign(ctx context.Context, o anchor.Order) (anchor.Attempt, error) {
	c.work.Lock()
	defer c.work.Unlock()
	if o.Root == (anchor.Root{}) {
		return anchor.Attempt{}, fmt.Errorf("%w: there is no root to stamp", anchor.ErrRefused)
	}
	var mu sync.Mutex // covers tree and hosts
	tree := proof.NewTimestamp(append([]byte(nil), o.Root[:]...))
	var hosts []string
	err := c.enough(c.each(func(cal *server) error {
		if held, err := c.held(cal); held && errors.Is(err, anchor.ErrBusy) {
			return err
		}
		nonce := make([]byte, nonceSize)
		rand.Read(nonce)
		digest := sha256.Sum256(append(append([]byte(nil), o.Root[:]...), nonce...))
		start, err := cal.submit(ctx, digest[:])
		if err == nil && !c.leads(start) {
			err = fmt.Errorf("%w: calendar %s: its answer leads to no block and to no calendar that is configured", anchor.ErrAgain, cal.host)
		}
		c.noteHealth(cal, err)
		if err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		node, err := tree.Path(proof.OTSOp{Tag: proof.OTSAppend, Arg: nonce}, proof.OTSOp{Tag: proof.OTSSHA256})
		if err != nil {
			return err
		}
		hosts = append(hosts, cal.host)
		return node.Merge(start)
	}), "took the digest")
	if err != nil {
		return anchor.Attempt{}, err
	}
	raw, err := proof.WriteOTS(tree)
	if err != nil {
		return anchor.Attempt{}, fmt.Errorf("write stamp: %w", err)
	}
	id := sha256.Sum256(raw)
	return anchor.Attempt{
		ID: id[:], Raw: raw, Root: o.Root,
		Detail: fmt.Sprintf("stamped by %d of %d calendars: %s", len(hosts), len(c.calendars), strings.Join(sorted(hosts), ", ")),
	}, nil
}

// leads reports whether a calendar's answer leads to a block or to a promise
// that will be followed.
func (c *Chain) leads(t *proof.Timestamp) bool {
	for _, leaf := range t.Leaves() {
		if leaf.Kind == proof.OTSBitcoin || leaf.Kind == proof.OTSPending && c.calendarOf(leaf.URI) != nil {
			return true
		}
	}
	return false
}

// calendarOf returns the calendar that a promise's URI names, nil if it is not
// one of ours.
func (c *Chain) calendarOf(uri string) *server {
	u, err := parseURL(uri)
	if err != nil {
		return nil
	}
	return c.follow[u.String()]
}

// Send has nothing to send: a stamp is made by sending.
func (c *Chain) Send(_ context.Context, a anchor.Attempt) error {
	_, err := parseAttempt(a)
	return err
}

func parseAttempt(a anchor.Attempt) (*proof.Timestamp, error) {
	f, err := proof.ParseOTS(a.Raw)
	if err == nil && (f.Hash != proof.OTSSHA256 || string(f.Tree.Message()) != string(a.Root[:])) {
		err = errors.New("it is of something else")
	}
	if err != nil {
		return nil, fmt.Errorf("%w: the journal's stamp cannot be read: %w", anchor.ErrRefused, err)
	}
	return f.Tree, nil
}

// health is how a calendar does.
type health struct {
	answered time.Time // last good answer
	err      error     // of the last question, nil if it was a good answer
	until    time.Time // not to be asked before
	fails    int       // in a row
}

// noteHealth takes in what came of a question to a calendar.
func (c *Chain) noteHealth(cal *server, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	h := c.health[cal]
	if err == nil {
		c.health[cal] = health{answered: time.Now()}
		return
	}
	h.err, h.fails = err, h.fails+1
	wait := min(c.cfg.Pause<<min(h.fails-1, 6), maxRetryAfter)
	var busy *busyError
	if errors.As(err, &busy) {
		wait = max(wait, busy.wait)
	}
	h.until = time.Now().Add(wait)
	c.health[cal] = h
}

// held returns the last error of a calendar that is to be left alone.
func (c *Chain) held(cal *server) (bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	h := c.health[cal]
	return time.Now().Before(h.until), h.err
}

// lately reports whether a calendar was well a short while ago.
func (c *Chain) lately(cal *server) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	h := c.health[cal]
	return h.err == nil && time.Since(h.answered) < 5*c.cfg.Pause
}

// Notes says what is worth knowing about the calendars, in words. It may be
// called at any time.
func (c *Chain) Notes() []string {
	var notes []string
	if c.cfg.Headers == nil {
		notes = append(notes, "no Bitcoin node checks the calendars: that a block holds an anchor is their word")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, url := range sorted(keys(c.follow)) {
		if h := c.health[c.follow[url]]; h.err != nil {
			notes = append(notes, h.err.Error())
		}
	}
	return notes
}
