package mirror

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"cairn/ingest/reading"
	"cairn/merkle/ledger"
	"cairn/store"
	"cairn/store/share"
)

// Query says what of a view is wanted.
type Query struct {
	Streams  []uint64 // nil: all of the bundle's
	From, To int64    // received in [From, To), Unix ms; To of 0: without an end
	Live     bool     // also what is not sealed yet

	// Seen makes each reading be given once, over several calls; nil: all are given.
	Seen *Seen
}

// Seen is up to where a reader has had everything. Its zero value is the beginning.
type Seen struct {
	batch uint64            // the first that is not sealed, or was not opened
	next  map[uint64]uint64 // by stream, the number after the last reading given
}

func (q *Query) until() int64 {
	if q.To == 0 {
		return math.MaxInt64
	}
	return q.To
}

func (q *Query) wants(slot uint64) bool { return q.Streams == nil || slices.Contains(q.Streams, slot) }

// Opened is a reading that was proven up to a signed checkpoint, with what the
// bundle opens of it.
type Opened struct {
	Slot, Batch uint64
	Name        string // of the device; "" if no statement names it
	// Where the device is, and what it is about; "" if no statement says so.
	Place, Thing string
	// Reading has the measurements that were opened, and no others.
	reading.Reading
	Shown  []int // the items that were opened, ascending; measurements begin at 7
	Hidden int   // measurements that were not
}

// ID names the reading: stream and number.
func (o *Opened) ID() string { return fmt.Sprintf("%d/%d", o.Slot, o.Sequence) }

// ViewReport says what came of reading or proving.
type ViewReport struct {
	Groups, Live int // opened and verified; Live: those of them that are not sealed
	Objects      int // opened and verified, group objects counted
	Batches      uint64
	Readings     int       // given
	Missing      []Missing // what could not be opened
	Hidden       []string  // compartments of the streams that the bundle has no key of, by name
	Until        int64     // everything before is known, as far as it was asked for and granted; Unix ms
	streams      map[uint64]bool
}

// Readings gives what the bundle opens of the source, group by group and in a
// group in order of batch, stream and number. All of a group is proven before any
// of it is given. It stops at the first [Lie]; what cannot be opened is in the
// report. An error of fn ends it and is returned as it is.
func (v *View) Readings(ctx context.Context, q Query, fn func(*Opened) error) (*ViewReport, error) {
	w := &viewWalk{v: v, q: q, report: &ViewReport{streams: map[uint64]bool{}}, from: q.From, to: q.until()}
	if q.Seen != nil {
		w.first = q.Seen.batch
	}
	w.group = func(vg *viewGroup, windows []viewWindow) error {
		for i := range windows {
			if err := v.give(&windows[i], &q, w.report, fn); err != nil {
				return err
			}
		}
		if q.Seen != nil && !vg.ref.Live {
			q.Seen.batch = vg.ref.Next
		}
		return nil
	}
	err := w.walk(ctx)
	return w.report, err
}

// give shows the readings of one window.
func (v *View) give(w *viewWindow, q *Query, report *ViewReport, fn func(*Opened) error) error {
	slot := w.sum.Slot
	var bound ledger.Binding
	for i := range v.streams {
		if s := &v.streams[i]; s.slot == slot && s.bound {
			bound = s.binding
		}
	}
	for i := range w.readings {
		r := &w.readings[i]
		if r.r.Received < q.From || r.r.Received >= q.until() || q.Seen != nil && r.r.Sequence < q.Seen.next[slot] {
			continue
		}
		o := &Opened{Slot: slot, Batch: w.batch, Name: bound.Name, Place: bound.Place, Thing: bound.Thing, Reading: r.r, Shown: r.shown}
		o.Measurements = nil
		for _, index := range r.shown[reading.IndexOrigin:] {
			o.Measurements = append(o.Measurements, r.r.Measurements[index-reading.IndexData])
		}
		o.Hidden = len(r.r.Measurements) - len(o.Measurements)
		if err := fn(o); err != nil {
			return err
		}
		report.Readings++
		if q.Seen != nil {
			if q.Seen.next == nil {
				q.Seen.next = make(map[uint64]uint64)
			}
			q.Seen.next[slot] = r.r.Sequence + 1
		}
	}
	return nil
}

// viewWalk goes through the groups of some hours.
type viewWalk struct {
	v        *View
	q        Query
	first    uint64 // batch
	from, to int64  // hours that touch [from, to)
	report   *ViewReport
	group    func(*viewGroup, []viewWindow) error

	carried map[uint64]*streamEnd
}

// streamEnd is where a stream stood when the last group ended.
type streamEnd struct {
	batch  uint64 // after the group
	next   uint64 // reading
	closed bool
}

// maxLiveRounds is how often live groups may be replaced under one call.
const maxLiveRounds = 5

func (w *viewWalk) walk(ctx context.Context) error {
	if err := w.v.Refresh(ctx); err != nil {
		return err
	}
	defer w.explain()
	w.carried = make(map[uint64]*streamEnd)
	at := w.first
	for round := 0; ; {
		refs, err := w.v.src.Groups(ctx, at)
		if err != nil {
			return fmt.Errorf("the list of groups: %w", err)
		}
		if len(refs) == 0 {
			return nil
		}
		done, err := w.refs(ctx, refs, &at)
		switch {
		case errors.Is(err, errOtherGroup):
			if round++; round == maxLiveRounds {
				return fmt.Errorf("groups from batch %d on: %w, again and again: ask again later", at, err)
			}
			if err := w.v.Refresh(ctx); err != nil {
				return err
			}
		case err != nil || done:
			return err
		}
	}
}

// refs opens the groups of one answer; done says that there are no more to be had.
func (w *viewWalk) refs(ctx context.Context, refs []store.GroupRef, at *uint64) (done bool, err error) {
	if err := checkViewRefs(refs, *at); err != nil {
		return false, err
	}
	w.v.ahead = w.v.fetchAhead(ctx, w.wantedGroups(refs), w.wantedCompartments())
	defer func() {
		w.v.ahead.stop()
		w.v.ahead = nil
	}()
	for _, ref := range refs {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		if ref.Live && !w.q.Live {
			return true, nil
		}
		if ref.Next > w.v.log.head.Size {
			if w.v.log.head.Size > ref.First || !ref.Live {
				return false, errOtherGroup // a window was closed meanwhile
			}
			return true, nil
		}
		if w.wants(ref.Hour) {
			w.v.ahead.to(ref.First)
			if err := w.one(ctx, ref); err != nil {
				return false, err
			}
		}
		*at = ref.Next
		if w.v.Progress != nil {
			w.v.Progress(ViewProgress{ref.Hour, ref.Next, w.v.log.head.Size, w.report.Readings})
		}
	}
	return len(refs) < MaxGroups && refs[len(refs)-1].Next >= w.v.log.head.Size, nil
}

// checkViewRefs holds that a list of groups goes forward. It may have holes: of
// hours that are not this audience's.
func checkViewRefs(refs []store.GroupRef, from uint64) error {
	if len(refs) > MaxGroups {
		return fmt.Errorf("the list of groups: %w", ErrTooLong)
	}
	for i, r := range refs {
		if r.First >= r.Next || r.Next <= from || i > 0 && r.First < refs[i-1].Next || r.Hour >= share.Hours || r.Size <= 0 {
			return &Lie{What: "list of groups", Err: fmt.Errorf("it has the batches %d to %d of hour %d after batch %d", r.First, r.Next, r.Hour, from)}
		}
		from = max(from, r.First)
	}
	return nil
}

// one opens one group, and gives its windows out once all are proven.
func (w *viewWalk) one(ctx context.Context, ref store.GroupRef) error {
	key, ok, err := w.v.key(share.Ledger, ref.Hour)
	if err != nil {
		return err
	}
	if !ok {
		w.miss(ref, ledgerName, NotGranted, "")
		return nil
	}
	vg, err := w.v.openGroup(ctx, ref, key)
	if errors.Is(err, ErrNotFound) && ref.Live {
		return errOtherGroup
	}
	if err != nil {
		why, detail, ok := why(err)
		if !ok {
			return err
		}
		w.miss(ref, ledgerName, why, detail)
		return nil
	}
	var missing []Missing
	var all []viewWindow
	for i := range w.v.streams {
		s := &w.v.streams[i]
		if !w.q.wants(s.slot) {
			continue
		}
		lost := false
		windows, err := w.v.openStream(ctx, vg, s, func(compartment string, why Why, detail string) {
			missing = append(missing, Missing{Why: why, Hour: ref.Hour, Until: ref.Hour + 1, First: ref.First, Compartment: compartment, Detail: detail})
			lost = true
		})
		if err == nil {
			err = w.follows(vg, s, windows, lost)
		}
		if err != nil {
			return err
		}
		all = append(all, windows...)
	}
	slices.SortStableFunc(all, func(a, b viewWindow) int {
		return cmp.Or(cmp.Compare(a.batch, b.batch), cmp.Compare(a.sum.Slot, b.sum.Slot))
	})
	for _, m := range missing {
		w.miss(ref, m.Compartment, m.Why, m.Detail)
	}
	w.count(vg, all)
	return w.group(vg, all)
}

// follows holds that a stream goes on where the group before this one left it.
func (w *viewWalk) follows(vg *viewGroup, s *viewStream, windows []viewWindow, lost bool) error {
	end := w.carried[s.slot]
	delete(w.carried, s.slot)
	goesOn := end != nil && end.batch == vg.ref.First && !end.closed
	if len(windows) == 0 {
		if goesOn && !lost {
			return &Lie{What: "group object", Object: vg.ref.Object, Compartment: ledgerName, Hour: vg.ref.Hour, First: vg.ref.First, Next: vg.ref.Next,
				Err: fmt.Errorf("it leaves out stream %d, which has not ended", s.slot)}
		}
		return nil
	}
	first, last := &windows[0], &windows[len(windows)-1]
	if goesOn && (first.sum.First != end.next || first.batch != vg.ref.First) {
		refs := vg.objects(s.envelope)
		return vg.lie(&refs[0], "it begins with reading %d of the stream, and the quarter hour before ended before reading %d", first.sum.First, end.next)
	}
	w.carried[s.slot] = &streamEnd{vg.ref.Next, last.sum.Next, last.sum.Closed}
	return nil
}

func (w *viewWalk) count(vg *viewGroup, windows []viewWindow) {
	r := w.report
	r.Groups++
	r.Objects++
	if vg.ref.Live {
		r.Live++
	}
	r.Batches += vg.ref.Next - vg.ref.First
	r.Until = max(r.Until, vg.headers[len(vg.headers)-1].To)
	for _, o := range vg.g.Objects {
		slot, _, ok := streamCompartment(o.Name)
		if !ok || !slices.ContainsFunc(w.v.streams, func(s viewStream) bool { return s.slot == slot && w.q.wants(slot) }) {
			continue
		}
		if w.v.names[o.Name] {
			r.Objects++
		} else if !slices.Contains(r.Hidden, o.Name) {
			r.Hidden = append(r.Hidden, o.Name)
		}
	}
	for i := range windows {
		r.streams[windows[i].sum.Slot] = true
	}
}

// miss notes what could not be opened; hours that follow one another are one.
func (w *viewWalk) miss(ref store.GroupRef, compartment string, why Why, detail string) {
	for i := range w.report.Missing {
		m := &w.report.Missing[i]
		if m.Compartment == compartment && m.Why == why && m.Detail == detail && (m.Until == ref.Hour || m.Until == ref.Hour+1) {
			m.Until = ref.Hour + 1
			return
		}
	}
	w.report.Missing = append(w.report.Missing, Missing{Why: why, Hour: ref.Hour, Until: ref.Hour + 1, First: ref.First, Compartment: compartment, Detail: detail})
}

// explain says of what is missing by which statement it went: the statement stands
// in a later group than what it took.
func (w *viewWalk) explain() {
	for i := range w.report.Missing {
		m := &w.report.Missing[i]
		if m.Why == NotGranted || m.Why == Unproven || m.Detail != "" {
			continue
		}
		if said := w.v.removed(m.Compartment, m.Until-1); said != "" {
			m.Why, m.Detail, m.stated = Gone, said, true
		}
	}
}

// StreamCount is how many streams something was opened of.
func (r *ViewReport) StreamCount() int { return len(r.streams) }
