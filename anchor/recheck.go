package anchor

import (
	"context"
	"fmt"
	"time"
)

// recheck looks at the newest finals again, in case the chain undid what it had
// called final. An anchor that stands in another block gets the receipt of that
// one, once it is final; until then, and if the anchor is gone, its record is
// marked as orphaned, so that nothing calls it final. A chain that ends below
// its block tells nothing. The newest one, if it is
// gone and no other is on its way, is taken up again: its own transaction is
// sent first, and another is signed only if that has lost its place.
func (r *Route) recheck(ctx context.Context, now time.Time, tips Tips) {
	if tips.Final.Height == Everything || !r.rechecked.IsZero() && now.Sub(r.rechecked) < r.cfg.Recheck {
		return // what is final by somebody's word alone has no block to look for
	}
	recent := append([]uint64(nil), r.recent[max(0, len(r.recent)-recheckFinals):]...)
	var gone *Anchor
	for _, size := range recent {
		a, ok, err := r.recheckOne(ctx, size, tips)
		if err != nil {
			if ctx.Err() == nil {
				r.log.Warn("cannot look at a final anchor again", "size", size, "reason", err)
			}
			return // all of it at the next poll
		}
		if !ok && (gone == nil || a.Size > gone.Size) {
			gone = a
		}
	}
	r.rechecked = now
	if gone == nil || gone.Size <= r.anchored() || r.m != nil && len(r.m.a.Attempts) > 0 {
		return
	}
	a := gone.clone()
	a.Included, a.IncludedBy, a.Receipt, a.FinalRule, a.FinalAt = nil, 0, nil, "", 0
	for i := range a.Attempts {
		a.Attempts[i].Cost = 0
	}
	a.carry(len(a.Attempts) - 1)
	r.m = resume(a, r.pace(), &r.book)
	r.m.dirty = true
	r.m.on(now, evTips{tips})
}

// recheckOne looks at the final of a size. It returns its record, and false if
// it stands in no block, which for one that is not there any more is true.
func (r *Route) recheckOne(ctx context.Context, size uint64, tips Tips) (*Anchor, bool, error) {
	a, ok, err := r.final(size)
	if err != nil || !ok || r.m != nil && r.m.a.Number == a.Number || r.superseded(&a) {
		return &a, true, err
	}
	f, ok, costs, err := r.findAll(ctx, &a)
	if err != nil {
		return nil, false, err
	}
	ok = ok && !f.Reverted
	if !ok && a.State == Final && tips.Latest.Height < a.Included.Height {
		return &a, true, nil // a node that is behind says nothing: a chain that won is no shorter
	}
	same := true
	for i := range costs {
		same = same && a.Attempts[i].Cost == costs[i]
		a.Attempts[i].Cost = costs[i]
	}
	r.book.set(&a)
	switch {
	case ok && a.State == Final && f.Block == *a.Included && f.Which == a.IncludedBy:
		if same {
			return &a, true, nil
		}
		return &a, true, r.file(a)
	case ok && tips.final(f.Block):
		return &a, true, r.moved(ctx, a, f)
	case a.State == Orphaned:
		return &a, ok, nil
	case ok:
		a.undo(time.Now(), fmt.Sprintf("moved from block %d to %d after it was final, and is not final there yet", a.Included.Height, f.Block.Height))
	default:
		a.undo(time.Now(), fmt.Sprintf("block %d was final and went out of the chain", a.Included.Height))
	}
	r.log.Error("deep reorganisation of the chain", "size", a.Size, "what", a.Alarm)
	return &a, ok, r.file(a)
}

// superseded reports whether another record of the same anchor knows more: it
// was taken up again and came to be final for the head of another attempt.
func (r *Route) superseded(a *Anchor) bool {
	if a.State != Orphaned {
		return false
	}
	for i := range r.finals { // written by Run alone
		f := &r.finals[i]
		if f.Number == a.Number && f.Size != a.Size && (f.State == Final || len(f.Attempts) > len(a.Attempts)) {
			return true
		}
	}
	return false
}

// moved files an anchor that is final in another block than its record says,
// or by another of its attempts.
func (r *Route) moved(ctx context.Context, a Anchor, f Found) error {
	data, err := call(ctx, r.cfg.ReceiptTimeout, func(ctx context.Context) ([]byte, error) {
		data, err := r.cfg.Chain.Receipt(ctx, a.Attempts[f.Which], f.Block)
		if err != nil {
			return nil, err
		}
		return r.cfg.Chain.Complete(ctx, a.Attempts[f.Which], f.Block, data)
	})
	if err != nil {
		return err
	}
	now := time.Now()
	what := fmt.Sprintf("moved from block %d to %d after it was final", a.Included.Height, f.Block.Height)
	if a.Attempts[f.Which].Size != a.Size {
		a.undo(now, fmt.Sprintf("its transaction was replaced by that of size %d after it was final", a.Attempts[f.Which].Size))
		if err := r.file(a); err != nil {
			return err
		}
	}
	if a.Alarm == "" {
		a.AlarmAt = now.UnixMilli()
	}
	a.State, a.Included, a.IncludedBy, a.Receipt, a.Alarm = Final, &f.Block, f.Which, data, what
	a.carry(f.Which)
	a.FinalAt = min(now.UnixMilli(), a.AlarmAt) // the alarm about it is settled by a later one
	r.log.Error("deep reorganisation of the chain", "size", a.Size, "what", a.Alarm)
	return r.file(a)
}

// undo takes back that an anchor is final.
func (a *Anchor) undo(now time.Time, what string) {
	a.State, a.Alarm, a.AlarmAt = Orphaned, what, now.UnixMilli()
}

// before is the size of the newest final below size, as far as they are in
// memory, and 0 if there is none.
func (r *Route) before(size uint64) (before uint64) {
	for i := range r.finals { // written by Run alone
		if f := &r.finals[i]; f.State == Final && f.Size < size {
			before = max(before, f.Size)
		}
	}
	return before
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
