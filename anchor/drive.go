package anchor

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// drive carries out the machine's effects until it has to wait.
func (r *Route) drive(ctx context.Context) error {
	for ctx.Err() == nil {
		e := r.m.next(time.Now())
		if e.kind == wait {
			return nil
		}
		if e.kind == done {
			r.end()
			return nil
		}
		event, point := r.perform(ctx, e)
		if ctx.Err() != nil && e.kind != put && e.kind != file {
			return nil // cut off by the shutdown: the next start asks again
		}
		if point != "" && r.cfg.Fault != nil {
			if err := r.cfg.Fault(point); err != nil {
				return err
			}
		}
		before := r.m.a.State
		r.m.on(time.Now(), event)
		r.note(before)
	}
	return nil
}

// perform carries out one effect and returns what came of it, and the name of
// the moment after it.
func (r *Route) perform(ctx context.Context, e effect) (any, Point) {
	a, chain := &r.m.a, r.cfg.Chain
	switch e.kind {
	case put:
		return evPut{r.put()}, PointJournaled
	case askStored:
		return r.askStored(ctx), ""
	case sign:
		return r.sign(ctx, e), PointSigned
	case send:
		return evSent{e.attempt, call0(ctx, r.cfg.Timeout, func(ctx context.Context) error {
			return chain.Send(ctx, a.Attempts[e.attempt])
		})}, PointSent
	case find:
		ev := evFound{}
		ev.found, ev.ok, ev.err = r.find(ctx, a.Attempts)
		return ev, PointFound
	case takeProof:
		data, err := call(ctx, r.cfg.ReceiptTimeout, func(ctx context.Context) ([]byte, error) {
			return chain.Receipt(ctx, a.Attempts[e.attempt], e.block)
		})
		return evProof{e.block, data, err}, PointReceipt
	case complete:
		data, err := call(ctx, r.cfg.ReceiptTimeout, func(ctx context.Context) ([]byte, error) {
			return chain.Complete(ctx, a.Attempts[e.attempt], e.block, a.Receipt)
		})
		return evComplete{e.block, data, err}, PointCompleted
	case settle:
		_, _, costs, err := r.findAll(ctx, a)
		return evSettled{costs, err}, ""
	case file:
		return evFiled{r.fileFinal(*a)}, PointFiled
	}
	panic(fmt.Sprintf("anchor: effect %d", e.kind))
}

// sign signs for the machine's newest head, which may be newer than that of
// the attempts before.
func (r *Route) sign(ctx context.Context, e effect) evSigned {
	m := r.m
	o := Order{Previous: e.previous, Root: m.head.root, Prior: m.a.standing(), Limit: e.price.limit, Deadline: e.price.deadline}
	if len(o.Prior) > 0 {
		o.Want = min(e.price.want, o.Limit)
	}
	at, err := call(ctx, r.cfg.SignTimeout, func(ctx context.Context) (Attempt, error) { return r.cfg.Chain.Sign(ctx, o) })
	switch {
	case err != nil:
	case at.Root != m.head.root:
		err = fmt.Errorf("%w: it signed for root %s, not for %s", ErrAgain, at.Root, m.head.root)
	case at.Fee > e.price.limit:
		err = fmt.Errorf("%w: it could cost %d, at most %d", ErrFees, at.Fee, e.price.limit)
	}
	at.SignedAt, at.Size, at.Note = time.Now().UnixMilli(), m.head.size, m.head.note
	return evSigned{at, e.price, err}
}

// find looks for attempts.
func (r *Route) find(ctx context.Context, as []Attempt) (f Found, ok bool, err error) {
	err = call0(ctx, r.cfg.Timeout, func(ctx context.Context) (err error) {
		f, ok, err = r.cfg.Chain.Find(ctx, as)
		return err
	})
	if err == nil && ok && (f.Which < 0 || f.Which >= len(as)) {
		err = fmt.Errorf("%w: attempt %d of %d", ErrAgain, f.Which, len(as))
	}
	return f, ok, err
}

// findAll looks for the attempts of each place by itself. It returns the newest
// that succeeded, else one that reverted, and what each attempt did cost.
func (r *Route) findAll(ctx context.Context, a *Anchor) (best Found, found bool, costs []Amount, err error) {
	costs = make([]Amount, len(a.Attempts))
	for _, p := range a.places(nil) {
		var as []Attempt
		var index []int
		for i := range a.Attempts {
			if a.Attempts[i].Place == p.name {
				as, index = append(as, a.Attempts[i]), append(index, i)
			}
		}
		f, ok, err := r.find(ctx, as)
		if err != nil {
			return Found{}, false, nil, err
		}
		if !ok {
			continue
		}
		f.Which = index[f.Which]
		costs[f.Which] = f.Cost
		if !found || best.Reverted && !f.Reverted || best.Reverted == f.Reverted && best.Which < f.Which {
			best, found = f, true
		}
	}
	return best, found, costs, nil
}

// put writes the anchor on its way, with what those before it cost. Once it is
// final and filed the receipt stands in its own record.
func (r *Route) put() error {
	rec := record{Anchor: r.m.a, Recent: r.recent, Book: r.book}
	if rec.Anchor.State == Final {
		rec.Anchor.Receipt = nil
	}
	return r.write(currentKey, rec)
}

// fileFinal writes the record of an anchor that came to be final. If an earlier
// run had filed it as final for the head of another attempt, and the chain was
// reorganised in between, that record is taken back first: of one number there
// is never more than one final record.
func (r *Route) fileFinal(a Anchor) error {
	a.After = r.before(a.Size)
	if _, ok, err := r.final(a.Size); err != nil {
		return err
	} else if !ok {
		a.Alarm, a.AlarmAt = "", 0 // it was about the head of another attempt, and stands in its record
	}
	done := map[uint64]bool{a.Size: true}
	for i := range a.Attempts {
		size := a.Attempts[i].Size
		if done[size] {
			continue
		}
		done[size] = true
		old, ok, err := r.final(size)
		if err != nil {
			return err
		}
		if ok && old.Number == a.Number && old.State == Final {
			old.undo(time.Now(), fmt.Sprintf("its transaction was replaced by that of size %d after it was final", a.Size))
			if err := r.file(old); err != nil {
				return err
			}
		}
	}
	return r.file(a)
}

func (r *Route) file(a Anchor) error {
	if err := r.write(finalKey(a.Size), record{Anchor: a}); err != nil {
		return err
	}
	r.remember(a)
	return nil
}

func (r *Route) write(key string, rec record) error {
	b, err := rec.encode()
	if err != nil {
		return err
	}
	return r.cfg.Journal.Put(key, b)
}

// askStored asks our log for its newest head, and the chain for its own.
func (r *Route) askStored(ctx context.Context) (ev evStored) {
	if size, root, note, ok := r.cfg.Source.Head(); ok {
		ev.newest = head{size, root, note}
	}
	ev.root, ev.err = call(ctx, r.cfg.Timeout, r.cfg.Chain.Stored)
	switch {
	case errors.Is(ev.err, ErrNoHead):
		ev.noHead, ev.err = true, nil
		return ev
	case ev.err != nil:
		return ev
	case ev.root == Root{}:
		ev.known = true
	default:
		if ev.size, ev.known, ev.err = r.cfg.Source.FindRoot(ev.root); ev.err != nil {
			return ev
		}
		r.tellGuard(ev.known, ev.root)
	}
	final := r.anchored()
	if ev.known && ev.size < final && r.nodeBehind() {
		ev.err = fmt.Errorf("%w: the node's chain ends below the block that made size %d final", ErrAgain, final)
		return ev
	}
	if ev.known && ev.size < final && (r.behind == nil || *r.behind != ev.root) {
		// The chain may have undone that one: look at it before anything is put on top.
		r.behind, r.rechecked = &ev.root, time.Time{}
		ev.err = fmt.Errorf("%w: the chain's head is of size %d, though %d was final", ErrAgain, ev.size, final)
	}
	return ev
}

// nodeBehind reports whether the newest block seen is below the newest final's.
func (r *Route) nodeBehind() bool {
	for i := len(r.finals) - 1; i >= 0; i-- { // written by Run alone, as is latest
		if f := &r.finals[i]; f.State == Final {
			return r.latest.Height < f.Included.Height
		}
	}
	return false
}

// end forgets the anchor that got home, was not needed, or used up its budget.
func (r *Route) end() {
	a := &r.m.a
	switch {
	case a.State == Final:
		r.number, r.lastSign = max(r.number, a.Number+1), time.UnixMilli(a.Attempts[0].SignedAt)
		r.book.set(a)
		r.log.Info("anchored", "size", a.Size, "root", a.Root.String(), "block", a.Included.Height, "rule", a.FinalRule)
	case len(a.Attempts) > 0:
		r.number = max(r.number, a.Number+1)
		r.book.set(a)
		r.log.Error("an anchor used up its budget for nothing; another is begun", "size", a.Size, "cost", uint64(a.cost()))
	default:
		// The chain holds this head, but our journal knows of no transaction.
		// There is nothing to do until the head changes.
		r.lastSign = time.Now()
		r.log.Warn("the chain holds our newest head already, but the journal has no transaction for it", "size", a.Size)
	}
	r.m = nil
}

// note logs what changed.
func (r *Route) note(before State) {
	a := &r.m.a
	if a.State != before {
		r.log.Info("anchor", "state", string(a.State), "size", a.Size, "tx", fmt.Sprintf("%x", a.TxID()), "attempts", len(a.Attempts))
	}
	if err := r.m.why(time.Now()); err != nil && (r.held == nil || !sameReason(r.held, err)) {
		r.log.Warn("anchor waits", "size", a.Size, "state", string(a.State), "reason", err)
	}
	r.publish()
}
