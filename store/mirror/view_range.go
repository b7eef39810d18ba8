package mirror

import (
	"context"
	"math"
	"slices"

	"cairn/anchor/proof"
	"cairn/ingest/reading"
	"cairn/merkle"
	"cairn/merkle/ledger"
)

// viewRange grows, window by window, into the claim that a stream has no other
// readings than these in a time.
type viewRange struct {
	slot     uint64
	begun    bool
	done     bool
	proven   bool
	cut      bool
	from, to int64 // as asked
	before   *viewWindow
	last     *viewWindow
	r        proof.Range
	chosen   []*viewWindow          // whose summaries are shown, by batch
	parts    map[uint64]bool        // of these, the ones that show when a part was fixed
	rests    map[uint64]bool        // … and the ones whose hidden part is shown
	missing  map[uint64]*viewWindow // before or in which windows are missing
	targets  map[uint64]bool        // batches that end a day's anchor
	border   int64                  // the end of the day that was begun, Unix ms
	counter  reading.Origin
}

func (p *viewProver) rangeOf(slot uint64) *viewRange {
	r := p.ranges[slot]
	if r == nil {
		r = &viewRange{slot: slot, to: math.MaxInt64, parts: map[uint64]bool{}, rests: map[uint64]bool{}, missing: map[uint64]*viewWindow{}, targets: map[uint64]bool{}}
		if p.q.From != nil {
			r.from = *p.q.From
		}
		if p.q.To != nil {
			r.to = *p.q.To
		}
		p.ranges[slot] = r
	}
	return r
}

// add takes the stream's next window.
func (r *viewRange) add(p *viewProver, w *viewWindow) error {
	if r.done {
		return nil
	}
	if w.sum.From >= r.to {
		r.done = true
		return nil
	}
	if r.last != nil && w.batch != r.last.batch+1 || r.before != nil && !r.begun && w.batch != r.before.batch+1 {
		// What lies in between was not opened: the range ends, or begins anew, here.
		if r.begun {
			r.done, r.cut = true, true
			return nil
		}
		r.before = nil
	}
	if !r.begun && !r.begin(w) {
		r.before = w
		return nil
	}
	if err := r.readings(p, w); err != nil {
		return err
	}
	if prev := r.previous(); prev != nil && p.window > 0 && (w.sum.From != prev.sum.To || w.sum.To-w.sum.From > p.window) {
		r.missing[w.batch] = w
	}
	if prev := r.previous(); prev != nil && p.installs(r.slot, prev.statements(), w.statements()) {
		r.choose(w, false) // which readings it was there for is shown so
	}
	r.days(p, w)
	r.last = w
	r.done = w.sum.To >= r.to || w.sum.Closed
	return nil
}

// previous is the window before the one that comes.
func (r *viewRange) previous() *viewWindow {
	if r.last != nil {
		return r.last
	}
	return r.before
}

// begin begins the range with a window, if that can be: it is not before the time
// that was asked for, and it is known where its numbers begin.
func (r *viewRange) begin(w *viewWindow) bool {
	if w.sum.To <= r.from {
		return false
	}
	switch {
	case w.sum.First == 0:
		r.before = nil
		r.r.From = min(r.from, w.sum.From)
		if r.from == 0 {
			r.r.From = w.sum.From
		}
	case r.before != nil:
		r.r.From = max(min(r.from, r.before.sum.To), 0)
		if r.from < r.before.sum.To {
			r.r.From, r.cut = r.before.sum.To, r.from != 0
		}
		r.choose(r.before, true)
	default:
		return false
	}
	r.r.First, r.r.Left = w.sum.First, w.before
	if r.before == nil {
		r.choose(w, true)
	}
	r.border = max(r.r.From, w.sum.From)/viewDay*viewDay + viewDay
	r.begun = true
	return true
}

func (r *viewRange) choose(w *viewWindow, part bool) {
	if !slices.Contains(r.chosen, w) {
		r.chosen = append(r.chosen, w)
	}
	if part {
		r.parts[w.batch] = true
	}
}

// readings adds a window's readings, and notes where the device's own numbers have
// a hole: the summary must say why.
func (r *viewRange) readings(p *viewProver, w *viewWindow) error {
	for i := range w.readings {
		x := &w.readings[i]
		n, err := p.numbered(x)
		if err != nil {
			return err
		}
		r.r.Readings = append(r.r.Readings, n)
		if o := x.r.Origin; o.HasCounter {
			if r.counter.HasCounter && o.Counter != r.counter.Counter+1 {
				r.choose(w, false)
				r.rests[w.batch] = true
			}
			r.counter = o
		}
	}
	return nil
}

// days finds the batches that show when each day was fixed: the last ones of the
// first anchors that hold them.
func (r *viewRange) days(p *viewProver, w *viewWindow) {
	for w.sum.To >= r.border {
		target := w.batch
		for _, h := range p.heads {
			if _, ok := p.v.src.(updater); ok {
				break // it will tell which head held this batch first
			}
			if h.size > w.batch && len(p.routes) > 0 && len(h.route(p.routes[0])) > 0 {
				target = h.size - 1
				break
			}
		}
		r.targets[target] = true
		r.border = w.sum.To/viewDay*viewDay + viewDay
	}
	if r.targets[w.batch] {
		r.choose(w, true)
	}
}

// ends chooses the last window, and lists the batches that show when a part of the
// range was fixed.
func (r *viewRange) ends() (all []uint64) {
	if !r.begun || r.last == nil {
		return nil
	}
	r.proven = true
	r.choose(r.last, true)
	return sortedKeys(r.parts)
}

// finish adds the range to the file.
func (r *viewRange) finish(ctx context.Context, p *viewProver) error {
	if !r.proven {
		return nil
	}
	r.r.To = max(r.last.sum.To, r.r.From)
	ended := r.last.sum.Closed
	if p.q.To != nil && (ended || r.r.To > r.to) {
		r.r.To = max(r.r.To, r.to)
	}
	for batch, w := range r.missing {
		if !p.declares(w, r.last) {
			r.choose(w, false)
			r.rests[batch] = true
		}
	}
	slices.SortFunc(r.chosen, func(a, b *viewWindow) int { return int(int64(a.batch) - int64(b.batch)) })
	// Parts first: the others go under the heads that these bring.
	for _, w := range r.chosen {
		if r.parts[w.batch] {
			if err := p.anchored(ctx, p.batch(w), false); err != nil {
				return err
			}
		}
	}
	for _, w := range r.chosen {
		b := p.batch(w)
		if err := p.anchored(ctx, b, true); err != nil {
			return err
		}
		s := proof.Summary{Batch: b.at, Tag: w.tag, Item: w.item, Salt: w.salt, Path: w.path()}
		if r.rests[w.batch] {
			s.Rest = &proof.Shown{Item: w.rest, Salt: w.restSalt}
		}
		r.r.Summaries = append(r.r.Summaries, p.b.Summary(s))
	}
	p.b.Range(r.r)
	p.spans = append(p.spans, viewSpan{r.slot, min(r.r.From, r.chosen[0].sum.From) - viewBefore, r.r.To})
	p.out.Ranges = append(p.out.Ranges, Proven{
		Slot: r.slot, Readings: len(r.r.Readings), From: r.r.From, To: r.r.To, First: r.r.First, Ended: ended,
		Cut: r.cut || p.q.To != nil && !ended && r.last.sum.To < r.to,
	})
	return nil
}

// statements is how many of the ledger's the window's batch has.
func (w *viewWindow) statements() uint64 { return w.group.g.Batches[w.at].Statements.Size }

// installs reports whether one of the statements from first to next-1 tells of the
// installation of a stream's device.
func (p *viewProver) installs(slot, first, next uint64) bool {
	return slices.ContainsFunc(p.installed[slot], func(n uint64) bool { return n >= first && n < next })
}

// declares says whether a statement that the last window's batch has declares the
// time of a window.
func (p *viewProver) declares(w, last *viewWindow) bool {
	size := last.statements()
	for n, s := range p.v.stated {
		from, to, ok := declared(&s.said)
		if !ok || n >= size || s.said.Kind == ledger.KindClock && wentBack(&s.said) {
			continue
		}
		if from <= w.sum.From && w.sum.To <= min(to, s.said.At) {
			return true
		}
	}
	return false
}

// wentBack reports whether a statement is of a clock that was set back: no window
// is missing by that.
func wentBack(s *ledger.Statement) bool {
	was, _ := s.Uint("was")
	now, _ := s.Uint("now")
	return now < was
}

// runPath proves one reading of a window in its run's tree.
func (w *viewWindow) runPath(at int) []merkle.Hash {
	leaves := make(merkle.Leaves, len(w.readings))
	for i := range w.readings {
		leaves[i] = w.readings[i].leaf
	}
	path, err := merkle.ProveInclusion(leaves, uint64(at), uint64(len(leaves)))
	if err != nil {
		panic("mirror: " + err.Error()) // at is one of them
	}
	return path
}
