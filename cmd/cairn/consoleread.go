package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"cairn/anchor"
	"cairn/cmd/cairn/web"
	"cairn/ingest/frame"
	"cairn/ingest/reading"
	"cairn/merkle"
	"cairn/merkle/ledger"
	"cairn/store"
	"cairn/store/share"
)

// lens is what one who asks may see of a ledger: nil everything, else what the
// grants to an audience open at this moment, hour by hour and compartment by
// compartment, as their bundles do.
type lens struct {
	l        *openLedger
	grants   []ledger.Grant // that are served
	released share.Hour     // the first hour that nobody is given
}

func (l *openLedger) lens(who web.Who) (*lens, error) {
	if who.Role != web.Audience {
		return nil, nil
	}
	now := (&sealedSource{l: l}).Now()
	all, err := l.grantsNow()
	if err != nil {
		return nil, err
	}
	x := &lens{l: l}
	for i := range all {
		if g := &all[i]; g.Audience == who.Audience && g.Serves(now.UnixMilli()) {
			x.grants = append(x.grants, *g)
		}
	}
	x.released, err = l.released(time.Now())
	return x, err
}

// opens reports whether a compartment is open in the hour of a time.
func (x *lens) opens(compartment string, at int64) bool {
	h, err := share.HourOf(at)
	return err == nil && slices.ContainsFunc(x.grants, func(g ledger.Grant) bool {
		return g.Opens(compartment) && h >= firstHour(g.From) && h < through(&g, x.released)
	})
}

// spans are the times in which a compartment is open.
func (x *lens) spans(compartment string) (all []web.Span) {
	for i := range x.grants {
		g := &x.grants[i]
		if first, end := firstHour(g.From), through(g, x.released); g.Opens(compartment) && first < end {
			all = append(all, web.Span{From: timeText(first.Start()), To: timeText(end.Start())})
		}
	}
	return all
}

// bounds are the times between which a compartment is open, Unix ms; false: never.
func (x *lens) bounds(compartment string) (from, to int64, ok bool) {
	from = math.MaxInt64
	for i := range x.grants {
		g := &x.grants[i]
		if first, end := firstHour(g.From), through(g, x.released); g.Opens(compartment) && first < end {
			from, to, ok = min(from, first.Start()), max(to, end.Start()), true
		}
	}
	return from, to, ok
}

// hours are the times in which a grant opens all of some compartments, one after the
// other, clipped to [from, to) ms.
func (x *lens) hours(from, to int64, compartments ...string) (all [][2]int64) {
	for i := range x.grants {
		g := &x.grants[i]
		closed := slices.ContainsFunc(compartments, func(c string) bool { return !g.Opens(c) })
		begin, end := max(from, firstHour(g.From).Start()), min(to, through(g, x.released).Start())
		if !closed && begin < end {
			all = append(all, [2]int64{begin, end})
		}
	}
	slices.SortFunc(all, func(a, b [2]int64) int { return cmp.Compare(a[0], b[0]) })
	var joined [][2]int64
	for _, span := range all {
		if n := len(joined); n > 0 && span[0] <= joined[n-1][1] {
			joined[n-1][1] = max(joined[n-1][1], span[1])
			continue
		}
		joined = append(joined, span)
	}
	return joined
}

// ofStream is a stream with what is needed to show its readings.
type ofStream struct {
	store.Stream
	b            ledger.Binding
	compartments []store.StreamCompartment
}

func (l *openLedger) streamAt(slot uint64) (s ofStream, err error) {
	all := l.store.AllStreams()
	i := slices.IndexFunc(all, func(x store.Stream) bool { return x.Slot == slot })
	if i < 0 {
		return s, fmt.Errorf("%w: no stream %d%s", web.ErrNotFound, slot, l.where())
	}
	return l.ofStream(all[i]), nil
}

func (l *openLedger) ofStream(known store.Stream) ofStream {
	s := ofStream{Stream: known, compartments: l.store.Compartments(known.Slot)}
	s.b, _ = l.store.Device(known.Device)
	return s
}

func (s *ofStream) envelope() string { return s.compartments[0].Name }

// compartmentOf is that of a measurement: its name, and its class.
func (s *ofStream) compartmentOf(l *openLedger, measurement string) (name, class string) {
	id, ok := l.store.CompartmentOf(s.Slot, measurement)
	if !ok {
		return "", ""
	}
	for i := range s.compartments {
		if s.compartments[i].ID == id {
			return s.compartments[i].Name, s.compartments[i].Class
		}
	}
	return "", ""
}

// row shows what of a reading may be seen; false: nothing.
func (s *ofStream) row(l *openLedger, x *lens, f *store.Found) (web.ReadingRow, bool) {
	if x != nil && !x.opens(s.envelope(), f.Received) {
		return web.ReadingRow{}, false
	}
	row := web.ReadingRow{
		Ledger: l.cfg.Name, Stream: f.Slot, Sequence: f.Sequence, Received: milliText(f.Received), Clock: f.Clock.String(),
		Transport: f.Origin.Transport, Verdict: f.Origin.Verdict.String(), Values: []web.Value{},
	}
	if f.HasMeasured {
		row.Measured = milliText(f.Measured)
	}
	if f.Origin.HasCounter {
		row.Counter = &f.Origin.Counter
	}
	for i := range f.Measurements {
		m := &f.Measurements[i]
		if m.Name != "" && s.shows(l, x, m.Name, f.Received) {
			row.Values = append(row.Values, web.Value{Name: m.Name, Unit: m.Unit, Value: m.Value.String()})
		}
	}
	for _, name := range f.Shredded {
		if x == nil || x.opens(name, f.Received) {
			row.Shredded = append(row.Shredded, name)
		}
	}
	return row, true
}

func (s *ofStream) shows(l *openLedger, x *lens, measurement string, at int64) bool {
	if x == nil {
		return true
	}
	name, _ := s.compartmentOf(l, measurement)
	return name != "" && x.opens(name, at)
}

const (
	firstSpan = 15 * 60 * 1000          // ms that are looked through first
	mostSpan  = 8 * 24 * 60 * 60 * 1000 // … and at most at once
)

// backwards gives fn the time [from, to) ms in spans that grow, the last one first,
// until it wants no more: what is recent is found without reading what is not, and
// what is not without reading much at once.
func backwards(from, to int64, fn func(from, to int64) (more bool, err error)) error {
	for span := int64(firstSpan); from < to; span = min(2*span, mostSpan) {
		low := max(from, to-span)
		if more, err := fn(low, to); err != nil || !more {
			return err
		}
		to = low
	}
	return nil
}

// Readings implements [web.Readings].
func (c *console) Readings(ctx context.Context, who web.Who, q web.ReadingsQuery) (page web.ReadingsPage, err error) {
	page.Readings = []web.ReadingRow{}
	l, err := c.one(ctx, q.Ledger)
	if err != nil {
		return page, err
	}
	s, err := l.streamAt(q.Stream)
	if err != nil {
		return page, err
	}
	x, err := l.lens(who)
	if err != nil {
		return page, err
	}
	from, to := q.From, min(q.To, time.Now().UnixMilli()+firstSpan)
	if x != nil {
		opened, closed, ok := x.bounds(s.envelope())
		if !ok {
			return page, fmt.Errorf("%w: nothing of stream %d is granted", web.ErrNotFound, q.Stream)
		}
		from, to = max(from, opened), min(to, closed)
	} else if q.Before == nil {
		passed, err := l.passedOf(ctx, s.Slot, from, to)
		if err != nil {
			return page, err
		}
		for i := range passed {
			page.NotThere = append(page.NotThere, passed[i].text())
		}
	}
	begin, err := l.beginOf(s.Stream)
	if err != nil {
		return page, err
	}
	from = max(from, begin)
	before := uint64(math.MaxUint64)
	if q.Before != nil {
		before = *q.Before
		if batch, _, _, err := l.store.RunOf(s.Slot, before); err == nil {
			if _, end, err := l.store.Span(batch); err == nil {
				to = min(to, end)
			}
		}
	}
	err = backwards(from, to, func(from, to int64) (bool, error) {
		var some []web.ReadingRow
		err := l.store.Query(ctx, s.Device, from, to, func(f *store.Found) (bool, error) {
			if f.Slot != s.Slot || f.Sequence >= before {
				return true, nil
			}
			if row, ok := s.row(l, x, f); ok {
				some = append(some, row)
				if most := 2 * (q.Limit + 1); len(some) >= 2*most { // the newest of them are enough
					some = slices.Delete(some, 0, len(some)-most)
				}
			}
			return true, nil
		})
		slices.Reverse(some)
		page.Readings = append(page.Readings, some...)
		return len(page.Readings) <= q.Limit, err
	})
	if err != nil {
		return page, err
	}
	if len(page.Readings) > q.Limit {
		page.Readings = page.Readings[:q.Limit]
		page.Next = &page.Readings[q.Limit-1].Sequence
	}
	return page, nil
}

// History implements [web.Readings]. An audience gets the hours that are open to it,
// each stretch read by itself, so that no point has a part in what is not.
func (c *console) History(ctx context.Context, who web.Who, q web.HistoryQuery) (h web.History, err error) {
	l, err := c.one(ctx, q.Ledger)
	if err != nil {
		return h, err
	}
	s, err := l.streamAt(q.Stream)
	if err != nil {
		return h, err
	}
	x, err := l.lens(who)
	if err != nil {
		return h, err
	}
	spans := [][2]int64{{q.From, q.To}}
	if x != nil {
		compartment, _ := s.compartmentOf(l, q.Field)
		if spans = x.hours(q.From, q.To, s.envelope(), compartment); s.Late { // drawn by when they were measured
			spans = nil
		}
		if len(x.hours(0, math.MaxInt64, s.envelope(), compartment)) == 0 || s.Late {
			return h, web.ErrNotFound
		}
	}
	h = web.History{Field: q.Field, Points: []web.HistoryPoint{}, Gaps: []web.HistorySpan{}, Gone: []web.HistorySpan{}}
	for i, span := range spans {
		share := float64(span[1]-span[0]) / float64(q.To-q.From)
		t, err := l.trend(ctx, trendRequest{q.Stream, q.Field, span[0], span[1], max(1, int(share*float64(q.Points)))})
		switch {
		case errors.Is(err, store.ErrRefused):
			return h, fmt.Errorf("%w: %w", web.ErrBad, err)
		case err != nil:
			return h, notThere(err)
		}
		if i > 0 {
			h.Gaps = append(h.Gaps, web.HistorySpan{From: spans[i-1][1], To: span[0]})
		}
		h.Unit, h.Width, h.Read = cmp.Or(t.Unit, h.Unit), max(h.Width, t.Width), h.Read+t.Read
		for _, p := range t.Points {
			h.Points = append(h.Points, web.HistoryPoint(p))
		}
		for _, g := range t.Gaps {
			h.Gaps = append(h.Gaps, web.HistorySpan(g))
		}
		for _, g := range t.Gone {
			h.Gone = append(h.Gone, web.HistorySpan(g))
		}
	}
	return h, nil
}

// beginOf is when the first window of a stream began.
func (l *openLedger) beginOf(s store.Stream) (int64, error) {
	from, _, err := l.store.Span(s.Opened)
	if errors.Is(err, store.ErrNotFound) { // it is open
		return l.store.Status().WindowFrom, nil
	}
	return from, err
}

// Reading implements [web.Readings].
func (c *console) Reading(ctx context.Context, who web.Who, name string, slot, seq uint64) (r web.Reading, err error) {
	l, err := c.one(ctx, name)
	if err != nil {
		return r, err
	}
	s, err := l.streamAt(slot)
	if err != nil {
		return r, err
	}
	x, err := l.lens(who)
	if err != nil {
		return r, err
	}
	e, err := l.store.Evidence(slot, seq)
	if errors.Is(err, store.ErrNotBatched) {
		e, err = l.unbatched(ctx, &s, seq)
	}
	if err != nil {
		return r, notThere(l.whyGone(ctx, readingID{slot, seq}, err))
	}
	row, ok := s.row(l, x, &store.Found{Reading: e.Reading, Slot: slot, Shredded: e.Shredded})
	if !ok {
		return r, web.ErrNotFound
	}
	r = web.Reading{ReadingRow: row, Device: s.b.Device(), State: web.AnchorOpen, Fields: s.fields(l, x, e), Anchors: []web.Covering{}}
	if x == nil {
		r.Name, r.Place = s.b.Name, s.b.Place
		r.Frame = frameOf(e)
	}
	if len(e.Items) == 0 {
		return r, nil
	}
	if r.Path, err = l.pathOf(e); err != nil {
		return r, err
	}
	r.State, r.Anchors, err = l.coverings(e.Batch)
	return r, err
}

// notThere is an error in words of package web.
func notThere(err error) error {
	if errors.Is(err, store.ErrNotFound) || gone(err) {
		return fmt.Errorf("%w: %w", web.ErrNotFound, err)
	}
	return err
}

// unbatched finds a reading whose window is open. It has no evidence yet.
func (l *openLedger) unbatched(ctx context.Context, s *ofStream, seq uint64) (*store.Evidence, error) {
	var found *store.Evidence
	err := l.store.Query(ctx, s.Device, l.store.Status().WindowFrom, math.MaxInt64, func(f *store.Found) (bool, error) {
		if f.Slot == s.Slot && f.Sequence == seq {
			r := f.Reading
			r.Measurements = slices.Clone(r.Measurements)
			found = &store.Evidence{Slot: s.Slot, Seq: seq, Reading: r}
		}
		return found == nil, nil
	})
	if err == nil && found == nil {
		err = store.ErrNotFound
	}
	return found, err
}

// fields are the parts of a reading that may be seen. An audience is not told how
// many others there are.
func (s *ofStream) fields(l *openLedger, x *lens, e *store.Evidence) []web.Field {
	r := &e.Reading
	names := fieldNames(r)
	all := []web.Field{}
	for i := 1; i < r.Items(); i++ {
		f := web.Field{Index: i, Name: names[i], Class: reading.ClassOf(i).String()}
		switch {
		case i == reading.IndexFrame:
			if x != nil {
				continue
			}
			f.Value = "none"
			if r.HasFrame {
				f.Value = "SHA-256 " + r.Frame.String()
			}
		case i < reading.IndexData:
			f.Value = envelopeText(r, i)
		default:
			m := &r.Measurements[i-reading.IndexData]
			if m.Name != "" {
				var compartment string
				if compartment, f.Class = s.compartmentOf(l, m.Name); x != nil && !x.opens(compartment, r.Received) {
					continue
				}
				f.Value = strings.TrimSpace(m.Value.String() + " " + m.Unit)
			} else if x != nil {
				continue
			}
		}
		if i < len(e.Items) {
			f.Item, f.Gone = hex.EncodeToString(e.Items[i]), e.Items[i] == nil
		}
		all = append(all, f)
	}
	return all
}

func envelopeText(r *reading.Reading, index int) string {
	switch index {
	case reading.IndexDevice:
		return r.Device
	case reading.IndexMeasured:
		if !r.HasMeasured {
			return "not said"
		}
		return milliText(r.Measured)
	case reading.IndexReceived:
		return milliText(r.Received) + ", clock " + r.Clock.String()
	case reading.IndexSequence:
		return fmt.Sprint(r.Sequence)
	}
	text := r.Origin.Transport + ", " + r.Origin.Verdict.String()
	if r.Origin.HasCounter {
		text += fmt.Sprintf(", counter %d", r.Origin.Counter)
	}
	return text
}

// frameOf tells what the bytes are that a reading was made of.
func frameOf(e *store.Evidence) *web.Frame {
	if len(e.Frame) == 0 {
		return nil
	}
	f := &web.Frame{Hex: hex.EncodeToString(e.Frame), Kind: "text or a message", SHA256: e.Reading.Frame.String()}
	if w, err := frame.Parse(e.Frame); err == nil && w.Secure() {
		f.Kind = fmt.Sprintf("a secure frame, counter %d, of %d bytes", w.Counter(), len(e.Frame))
	} else if err == nil {
		f.Kind = "a frame that is not secure"
	} else if utf8.Valid(e.Frame) && !bytes.ContainsFunc(e.Frame, func(r rune) bool { return unicode.IsControl(r) && r != '\n' && r != '\r' && r != '\t' }) {
		f.Text = string(e.Frame)
	}
	return f
}

func hashes(all []merkle.Hash) []string {
	texts := []string{}
	for i := range all {
		texts = append(texts, all[i].String())
	}
	return texts
}

// pathOf is the way from a reading's entry to the newest signed head.
func (l *openLedger) pathOf(e *store.Evidence) (*web.Path, error) {
	from, to, err := l.store.Span(e.Batch)
	if err != nil {
		return nil, err
	}
	p := &web.Path{
		Tag: hex.EncodeToString(e.Tag[:]), First: e.First, Next: e.Next, Run: hashes(e.RunPath), Slot: e.Slot, Batch: hashes(e.SlotPath),
		Index: e.Batch, From: timeText(from), To: timeText(to),
	}
	_, size, ok := l.store.Checkpoint()
	if !ok || size <= e.Batch {
		p.Unsigned = cmp.Or(l.store.Held(), "its head is not signed yet")
		return p, nil
	}
	path, err := l.store.LogPath(e.Batch, size)
	if err != nil {
		return nil, err
	}
	root, err := l.store.RootAt(size)
	if err != nil {
		return nil, err
	}
	p.Log, p.Size, p.Root = hashes(path), size, root.String()
	return p, nil
}

// coverings are the anchors of a batch, the first that is final on each route, and
// how far that is.
func (l *openLedger) coverings(batch uint64) (state string, all []web.Covering, err error) {
	state, all = web.AnchorLogged, []web.Covering{}
	routes, err := l.routesOf()
	if err != nil {
		return state, all, err
	}
	for _, r := range routes {
		a, how, err := anchorOf(r, batch)
		if err != nil {
			return state, all, err
		}
		if a == nil {
			continue
		}
		all = append(all, coveringOf(r.name, how, a))
		if how == stateFinal || state == web.AnchorLogged {
			state = how
		}
	}
	return state, all, nil
}

func coveringOf(route, state string, a *anchor.Anchor) web.Covering {
	s := anchorOfStatus(a)
	return web.Covering{Route: route, State: state, Size: s.Batches, Root: s.Root, Tx: s.Tx, Height: s.Block, Hash: s.Hash, Time: s.Time}
}

// granted are the streams of which an audience may see something.
func (c *console) granted(ctx context.Context, l *openLedger, who web.Who) ([]web.Device, error) {
	x, err := l.lens(who)
	if err != nil {
		return nil, err
	}
	all := []web.Device{}
	for _, known := range l.store.AllStreams() {
		s := l.ofStream(known)
		spans := x.spans(s.envelope())
		if len(spans) == 0 {
			continue
		}
		d := web.Device{Ledger: l.cfg.Name, Stream: s.Slot, Streams: []uint64{s.Slot}, Opens: spans}
		page, err := c.Readings(ctx, who, web.ReadingsQuery{Ledger: l.cfg.Name, Stream: s.Slot, To: math.MaxInt64, Limit: 1})
		if err != nil && !errors.Is(err, web.ErrNotFound) {
			return nil, err
		}
		if len(page.Readings) > 0 { // the device's ID is in each
			d.ID, d.Received, d.Values = s.b.Device(), page.Readings[0].Received, page.Readings[0].Values
		}
		all = append(all, d)
	}
	return all, nil
}

// See implements [web.Readings].
func (c *console) See(who web.Who, e web.Event) (web.Event, bool) {
	if who.Role != web.Audience {
		return e, true
	}
	if e.Reading == nil {
		return e, false
	}
	i := slices.IndexFunc(c.g.ledgers, func(l *openLedger) bool { return l.cfg.Name == e.Reading.Ledger })
	if i < 0 {
		return e, false
	}
	l := c.g.ledgers[i]
	x, err := l.lens(who)
	if err != nil {
		return e, false
	}
	s, err := l.streamAt(e.Reading.Stream)
	if err != nil || !x.opens(s.envelope(), e.Reading.At) {
		return e, false
	}
	seen := *e.Reading
	seen.Values = slices.DeleteFunc(slices.Clone(seen.Values), func(v web.Value) bool { return !s.shows(l, x, v.Name, seen.At) })
	return web.Event{Type: e.Type, Reading: &seen}, true
}

// consoleProves is how many readings a file of the console may show: some seven weeks
// of one a minute. A file of as many as it can have takes gigabytes of memory.
const consoleProves = 70_000

// Prove implements [web.Prover]. For an audience each reading is looked at first, and
// what is shown of it is what its grants open, but for the field device: with that go
// the statements that name the device's place.
func (c *console) Prove(ctx context.Context, who web.Who, q web.ProofRequest) (p web.Proof, err error) {
	l, err := c.one(ctx, q.Ledger)
	if err != nil {
		return p, err
	}
	ask := proveRequest{Readings: q.Readings, Fields: q.Fields, Complete: q.Complete, Alerts: q.Alerts, most: consoleProves}
	if q.Device != "" {
		ask.Devices = []string{q.Device}
		if q.From > 0 {
			ask.From = &q.From
		}
		if q.To > 0 {
			ask.To = &q.To
		}
	}
	if who.Role == web.Audience {
		if ask.Fields, err = c.grantedFields(ctx, l, who, &q); err != nil {
			return p, err
		}
	}
	a, err := l.prove(ctx, ask, func(string) {})
	switch {
	case errors.Is(err, errAgain):
		return p, fmt.Errorf("%w: %w", web.ErrLater, err)
	case err != nil && (errors.Is(err, store.ErrNotFound) || gone(err)):
		return p, fmt.Errorf("%w: %w", web.ErrNotFound, err)
	case err != nil && who.Role == web.Audience && l.store.Dead() == nil && ctx.Err() == nil:
		c.g.log.Warn("console: a proof for an audience", "error", err) // its words may tell of more than the readings
		return p, fmt.Errorf("%w: these readings cannot be proven like this", web.ErrBad)
	case err != nil && l.store.Dead() == nil && ctx.Err() == nil:
		return p, fmt.Errorf("%w: %w", web.ErrBad, err) // what was asked for cannot be proven
	case err != nil:
		return p, err
	}
	p = web.Proof{File: a.File, State: a.State, Waits: a.State != stateFinal && a.Routes > 0 || a.Tail}
	p.What = proofText(&a)
	return p, nil
}

func proofText(a *proveAnswer) string {
	var parts []string
	for i := range a.Ranges {
		r := &a.Ranges[i]
		parts = append(parts, fmt.Sprintf("all %d %s of %s from %s to %s", r.Readings, plural(int(r.Readings), "reading"), r.Device, r.From, r.To))
	}
	if n := len(a.Readings); n == 1 {
		parts = append(parts, "reading "+a.Readings[0].ID)
	} else if n > 1 {
		parts = append(parts, fmt.Sprintf("%d readings", n))
	}
	if n := len(a.Alerts); n > 0 {
		parts = append(parts, fmt.Sprintf("%d %s", n, plural(n, "alert")))
	}
	return strings.Join(parts, ", ")
}

// grantedFields are those that an audience may show of readings: the same of all, so
// that naming one tells nothing of another.
func (c *console) grantedFields(ctx context.Context, l *openLedger, who web.Who, q *web.ProofRequest) ([]string, error) {
	ids, err := parseIDs(q.Readings)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", web.ErrBad, err)
	}
	var common []string
	for i, id := range ids {
		r, err := c.Reading(ctx, who, q.Ledger, id.slot, id.seq)
		if err != nil {
			return nil, err
		}
		var names []string
		for _, f := range r.Fields {
			if f.Index != reading.IndexDevice && !f.Gone {
				names = append(names, f.Name)
			}
		}
		if i == 0 {
			common = names
		}
		common = slices.DeleteFunc(common, func(n string) bool { return !slices.Contains(names, n) })
	}
	for _, name := range q.Fields {
		if !slices.Contains(common, name) {
			return nil, fmt.Errorf("%w: the field %.40q is not open to you in all of these readings, or is device, which is not shown", web.ErrBad, name)
		}
	}
	if len(q.Fields) > 0 {
		return q.Fields, nil
	}
	return common, nil
}
