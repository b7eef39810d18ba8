package ots

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"cairn/anchor"
	"cairn/anchor/proof"
)

const (
	maxHops     = 4              // promises on one path, one after the other
	maxFollowed = 8              // promises in what came of one calendar's answer to a digest
	maxAsked    = 64             // questions in one Find
	forgetPolls = 24 * time.Hour // after the last question about a promise
)

// poll is when a promise may be asked about again.
type poll struct {
	next  time.Time
	fails int
}

// stamp is an attempt with what the calendars have given so far.
type stamp struct {
	which int
	entry entry
	tree  *proof.Timestamp // what stands up to the view
	open  []question       // promises that are not kept yet
	kept  map[string]int   // promises that are, by the nonce of the digest that they came of
	heard map[string]uint64
	block anchor.Block
	found bool
}

type question struct {
	promise
	cal *server
}

// Find returns the newest attempt that a block holds. It asks the calendars for
// what they promised, as far as its time has come.
func (c *Chain) Find(ctx context.Context, attempts []anchor.Attempt) (anchor.Found, bool, error) {
	c.work.Lock()
	defer c.work.Unlock()
	if err := c.open(); err != nil {
		return anchor.Found{}, false, err
	}
	v, err := c.look(ctx)
	if err != nil {
		return anchor.Found{}, false, err
	}
	var stamps []*stamp // newest first, down to the first that is found
	for i := len(attempts) - 1; i >= 0; i-- {
		if attempts[i].Dead {
			continue
		}
		s, err := c.stampOf(ctx, v, attempts[i])
		if err != nil {
			return anchor.Found{}, false, err
		}
		s.which = i
		if stamps = append(stamps, s); s.found {
			break
		}
	}
	if v, err = c.ask(ctx, v, stamps); err != nil {
		return anchor.Found{}, false, err
	}
	for _, s := range stamps {
		// Asked about or not, it is looked at again: a promise may lead to another.
		again, err := c.stampOf(ctx, v, attempts[s.which])
		if err != nil {
			return anchor.Found{}, false, err
		}
		if again.found {
			return anchor.Found{Which: s.which, Block: again.block}, true, nil
		}
	}
	return anchor.Found{}, false, c.sure(attempts)
}

// sure returns an error if attempts may have been found before and forgotten:
// those of an earlier start, without a book.
func (c *Chain) sure(attempts []anchor.Attempt) error {
	for _, a := range attempts {
		if c.cfg.Book == nil && a.SignedAt < c.started.UnixMilli() {
			return fmt.Errorf("%w: the calendars are asked again what they gave before this start", anchor.ErrAgain)
		}
	}
	return nil
}

// stampOf puts together what is known of an attempt.
func (c *Chain) stampOf(ctx context.Context, v *view, a anchor.Attempt) (*stamp, error) {
	tree, err := parseAttempt(a)
	if err != nil {
		return nil, err
	}
	s := &stamp{entry: c.book.entry(a.ID), tree: tree, kept: map[string]int{}, heard: map[string]uint64{}}
	if err := c.prune(ctx, v, s); err != nil {
		return nil, err
	}
	for range maxHops {
		more, err := c.graft(ctx, v, s)
		if err != nil {
			return nil, err
		}
		if !more {
			break
		}
	}
	return s, c.settle(ctx, v, s)
}

// prune takes attestations out of a stamp that a calendar gave at once and that
// do not stand.
func (c *Chain) prune(ctx context.Context, v *view, s *stamp) error {
	for _, leaf := range bitcoin(s.tree) {
		at, err := v.check(ctx, leaf)
		switch {
		case err != nil:
			return err
		case at == good && len(leaf.Path) > 0:
			// Which calendar said so is not known: its own nonce stands for it.
			s.hear(string(leaf.Path[0].Arg), leaf.Height)
		default:
			leaf.Node.Remove(leaf.OTSAttestation)
		}
	}
	return nil
}

// graft puts the answers that stand in the place of the promises that they keep,
// and lists the promises that are open. It reports whether there may be more.
func (c *Chain) graft(ctx context.Context, v *view, s *stamp) (more bool, err error) {
	s.open = nil
	open := map[string]int{}
	for _, leaf := range s.tree.Leaves() {
		if leaf.Kind != proof.OTSPending || len(leaf.Path) == 0 {
			continue
		}
		cal, from := c.calendarOf(leaf.URI), string(leaf.Path[0].Arg)
		if cal == nil || s.kept[from]+open[from] >= maxFollowed {
			continue
		}
		p := promise{leaf.URI, string(leaf.Node.Message())}
		kept, ok := s.entry.answer(p)
		if !ok {
			s.open, open[from] = append(s.open, question{p, cal}), open[from]+1
			continue
		}
		tree, err := parseAnswer(kept.Message, kept.Tree)
		if err != nil {
			return false, fmt.Errorf("%w: %w", errBook, err)
		}
		at, height, err := v.checkAll(ctx, tree)
		if err != nil {
			return false, err
		}
		if at != good { // a reorganisation: ask again
			s.open, open[from] = append(s.open, question{p, cal}), open[from]+1
			continue
		}
		s.kept[from]++
		if err := leaf.Node.Merge(tree); err != nil {
			return false, fmt.Errorf("%w: %w", errBook, err)
		}
		leaf.Node.Remove(leaf.OTSAttestation)
		if height > 0 {
			s.hear(cal.url, height)
		}
		more = true
	}
	return more, nil
}

// hear notes the lowest height that a calendar named.
func (s *stamp) hear(from string, height uint64) {
	if h, ok := s.heard[from]; !ok || height < h {
		s.heard[from] = height
	}
}

// settle decides whether a block holds the stamp.
func (c *Chain) settle(ctx context.Context, v *view, s *stamp) (err error) {
	heights := slices.Sorted(maps.Values(s.heard))
	switch {
	case v != nil && len(heights) > 0:
		s.found = true
		s.block, err = v.block(ctx, uint32(heights[0]))
	case v == nil && s.entry.Height > 0:
		s.found, s.block = true, anchor.Block{Height: s.entry.Height}
	case v == nil && len(heights) >= c.cfg.Need:
		// So many calendars say that it was there by the highest of these.
		s.entry.Height = heights[c.cfg.Need-1]
		c.book.put(s.entry)
		s.found, s.block = true, anchor.Block{Height: s.entry.Height}
		err = c.save()
	}
	return err
}

// ask asks the calendars about open promises whose time has come, each calendar
// one question after the other, and keeps what they give. It returns the view to
// go on with: a block that a calendar names may have come while it was asked.
func (c *Chain) ask(ctx context.Context, v *view, stamps []*stamp) (*view, error) {
	now := time.Now()
	maps.DeleteFunc(c.polls, func(_ promise, p poll) bool { return now.Sub(p.next) > forgetPolls })
	queues := map[*server][]*reply{}
	total := 0
	for _, s := range stamps {
		for _, q := range s.open {
			if held, _ := c.held(q.cal); held || now.Before(c.polls[q.promise].next) || total == maxAsked {
				continue
			}
			queues[q.cal] = append(queues[q.cal], &reply{question: q, stamp: s})
			total++
		}
	}
	if total == 0 {
		return v, nil
	}
	var wg sync.WaitGroup
	for cal, queue := range queues {
		wg.Go(func() {
			for _, r := range queue {
				r.tree, r.err = cal.ask(ctx, []byte(r.msg))
				if r.asked = ctx.Err() == nil; !r.asked {
					return // the caller's time is up, which says nothing about the calendar
				}
				if r.err != nil && !errors.Is(r.err, errPending) {
					return // it is not well: the others can wait
				}
			}
		})
	}
	wg.Wait()
	v, err := c.look(ctx)
	if err != nil {
		return nil, err
	}
	changed := false
	for cal, queue := range queues {
		for _, r := range queue {
			if !r.asked {
				continue
			}
			kept, err := c.take(ctx, v, r)
			if err != nil {
				return nil, err
			}
			changed = changed || kept
			c.again(cal, r)
		}
	}
	if changed {
		err = c.save()
	}
	return v, err
}

// reply is what came of a question.
type reply struct {
	question
	stamp *stamp
	asked bool
	tree  *proof.Timestamp
	err   error
}

// take keeps an answer if it leads on and stands, and reports whether it did. An
// answer that does not becomes the reply's error.
func (c *Chain) take(ctx context.Context, v *view, r *reply) (kept bool, err error) {
	if r.err != nil {
		return false, nil
	}
	at, height, err := v.checkAll(ctx, r.tree)
	switch {
	case err != nil:
		return false, err
	case at == wrong:
		r.err = fmt.Errorf("%w: calendar %s: its path does not lead to the merkle root of block %d", anchor.ErrAgain, r.cal.host, height)
		return false, nil
	case at == ahead:
		r.err = fmt.Errorf("%w: calendar %s names block %d, the node is at %d", errPending, r.cal.host, height, v.tip)
		return false, nil
	case height == 0 && !c.leads(r.tree):
		r.err = fmt.Errorf("%w: calendar %s gives nothing new", errPending, r.cal.host)
		return false, nil
	}
	b, err := r.tree.MarshalBinary()
	if err != nil {
		r.err = fmt.Errorf("%w: calendar %s: %w", anchor.ErrAgain, r.cal.host, err)
		return false, nil
	}
	r.stamp.entry.keep(answer{URI: r.uri, Message: []byte(r.msg), Tree: b})
	c.book.put(r.stamp.entry)
	return true, nil
}

// again sets when a promise is asked about next: not soon after an error, and
// ever less often while it stays open.
func (c *Chain) again(cal *server, r *reply) {
	p := c.polls[r.promise]
	if r.err == nil || errors.Is(r.err, errPending) {
		c.noteHealth(cal, nil)
	} else {
		c.noteHealth(cal, r.err)
	}
	p.fails++
	p.next = time.Now().Add(c.cfg.Pause * time.Duration(min(1+p.fails/30, 10)))
	c.polls[r.promise] = p
}

func sorted(s []string) []string { return slices.Sorted(slices.Values(s)) }

func keys[V any](m map[string]V) []string { return slices.Collect(maps.Keys(m)) }
