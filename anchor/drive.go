package anchor

import (
	"context"
	"fmt"
	"math"
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
		at, err := call(ctx, r.cfg.SignTimeout, func(ctx context.Context) (Attempt, error) {
			return chain.Sign(ctx, Order{Previous: e.previous, Root: a.Root, Prior: a.Attempts, Limit: math.MaxUint64, Deadline: r.cfg.Every})
		})
		at.SignedAt, at.Size, at.Note = time.Now().UnixMilli(), a.Size, a.Note
		return evSigned{at, err}, PointSigned
	case send:
		return evSent{e.attempt, call0(ctx, r.cfg.Timeout, func(ctx context.Context) error {
			return chain.Send(ctx, a.Attempts[e.attempt])
		})}, PointSent
	case find:
		ev := evFound{}
		ev.err = call0(ctx, r.cfg.Timeout, func(ctx context.Context) (err error) {
			ev.found, ev.ok, err = chain.Find(ctx, a.Attempts)
			return err
		})
		if ev.err == nil && ev.ok && (ev.found.Which < 0 || ev.found.Which >= len(a.Attempts)) {
			ev.err = fmt.Errorf("%w: attempt %d of %d", ErrAgain, ev.found.Which, len(a.Attempts))
		}
		return ev, PointFound
	case takeProof:
		data, err := call(ctx, r.cfg.ReceiptTimeout, func(ctx context.Context) ([]byte, error) {
			return chain.Receipt(ctx, a.Attempts[e.attempt], e.block)
		})
		return evProof{e.block, data, err}, PointReceipt
	case file:
		return evFiled{r.file(*a)}, PointFiled
	}
	panic(fmt.Sprintf("anchor: effect %d", e.kind))
}

// put writes the anchor on its way. Once it is final and filed the receipt
// stands in its own record.
func (r *Route) put() error {
	rec := record{Anchor: r.m.a, Recent: r.recent}
	if rec.Anchor.State == Final {
		rec.Anchor.Receipt = nil
	}
	return r.write(currentKey, rec)
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

func (r *Route) askStored(ctx context.Context) evStored {
	root, err := call(ctx, r.cfg.Timeout, r.cfg.Chain.Stored)
	if err != nil {
		return evStored{err: err}
	}
	ev := evStored{root: root}
	if ev.known = root == (Root{}); ev.known {
		return ev
	}
	ev.size, ev.known, ev.err = r.cfg.Source.FindRoot(root)
	if ev.err == nil {
		r.tellGuard(ev.known, root)
	}
	return ev
}

// end forgets the anchor that got home or was not needed.
func (r *Route) end() {
	a := &r.m.a
	if a.State == Final {
		r.number, r.lastSign = a.Number+1, time.UnixMilli(a.Attempts[0].SignedAt)
		r.log.Info("anchored", "size", a.Size, "root", a.Root.String(), "block", a.Included.Height, "rule", a.FinalRule)
	} else {
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
	if err := r.m.reason; err != nil && (r.held == nil || err.Error() != r.held.Error()) {
		r.log.Warn("anchor waits", "size", a.Size, "state", string(a.State), "reason", err)
	}
	r.publish()
}

// guard makes sure once per start that our log contains the chain's head,
// and asks again as long as it does not.
func (r *Route) guard(ctx context.Context) bool {
	if r.guardOK {
		return true
	}
	ev := r.askStored(ctx)
	switch {
	case ev.err != nil:
		r.setDown(fmt.Errorf("ask for the chain's head: %w", ev.err))
		return false
	case ev.root == Root{}:
		r.tellGuard(true, ev.root)
	}
	if !r.guardOK {
		r.setDown(fmt.Errorf("%w: %s", ErrUnknownHead, ev.root))
	}
	return r.guardOK
}

func (r *Route) tellGuard(ok bool, root Root) {
	if r.guarded && r.guardOK == ok {
		return
	}
	r.guarded, r.guardOK = true, ok
	if r.cfg.Guard == nil {
		return
	}
	if ok {
		r.cfg.Guard(true, "")
		return
	}
	r.cfg.Guard(false, fmt.Sprintf("%s holds the head %s, which this log does not contain", r.cfg.Chain.Name(), root))
}

// recheck looks at the newest finals again. One that moved gets the receipt of
// its new block; one that is gone is marked as orphaned, so that nothing calls
// it final, and its head is anchored again by whatever anchor comes next.
func (r *Route) recheck(ctx context.Context, now time.Time) {
	if r.rechecked.IsZero() {
		r.rechecked = now
	}
	if now.Sub(r.rechecked) < r.cfg.Recheck {
		return
	}
	r.rechecked = now
	recent := r.recent[max(0, len(r.recent)-recheckFinals):]
	for _, size := range recent {
		if err := r.recheckOne(ctx, size); err != nil && ctx.Err() == nil {
			r.log.Warn("cannot look at a final anchor again", "size", size, "reason", err)
			return
		}
	}
}

func (r *Route) recheckOne(ctx context.Context, size uint64) error {
	a, ok, err := r.final(size)
	if err != nil || !ok {
		return err
	}
	var f Found
	err = call0(ctx, r.cfg.Timeout, func(ctx context.Context) (err error) {
		f, ok, err = r.cfg.Chain.Find(ctx, a.Attempts)
		return err
	})
	if err != nil {
		return err
	}
	ok = ok && !f.Reverted
	if ok && a.State == Final && f.Block == *a.Included {
		return nil
	}
	switch {
	case !ok && a.State == Orphaned:
		return nil
	case !ok:
		a.State, a.Alarm = Orphaned, fmt.Sprintf("block %d was final and went out of the chain", a.Included.Height)
	default:
		data, err := call(ctx, r.cfg.ReceiptTimeout, func(ctx context.Context) ([]byte, error) {
			return r.cfg.Chain.Receipt(ctx, a.Attempts[f.Which], f.Block)
		})
		if err != nil {
			return err
		}
		a.Alarm = fmt.Sprintf("moved from block %d to %d after it was final", a.Included.Height, f.Block.Height)
		a.State, a.Included, a.IncludedBy, a.Receipt = Final, &f.Block, f.Which, data
	}
	r.log.Error("deep reorganisation of the chain", "size", a.Size, "what", a.Alarm)
	return r.file(a)
}

// final reads the record of a size.
func (r *Route) final(size uint64) (Anchor, bool, error) {
	key, value, ok, err := r.cfg.Journal.Seek(finalKey(size))
	if err != nil {
		return Anchor{}, false, fmt.Errorf("read anchor journal: %w", err)
	}
	if !ok || key != finalKey(size) {
		return Anchor{}, false, nil
	}
	a, err := ParseFinal(value)
	return a, err == nil, err
}

// Lookup returns the first final anchor of a size of at least size, receipt
// included, or false. It may be called at any time, from any goroutine.
func (r *Route) Lookup(size uint64) (Anchor, bool, error) {
	for {
		key, value, ok, err := r.cfg.Journal.Seek(finalKey(size))
		if err != nil {
			return Anchor{}, false, fmt.Errorf("read anchor journal: %w", err)
		}
		at, is := finalSize(key)
		if !ok || !is {
			return Anchor{}, false, nil
		}
		a, err := ParseFinal(value)
		if err != nil {
			return Anchor{}, false, err
		}
		if a.Size != at {
			return Anchor{}, false, fmt.Errorf("%w: size %d under the key of %d", ErrRecord, a.Size, at)
		}
		if a.State == Final {
			return a, true, nil
		}
		if at == ^uint64(0) {
			return Anchor{}, false, nil
		}
		size = at + 1
	}
}
