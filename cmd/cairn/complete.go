package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"cairn/anchor/proof"
	"cairn/ingest/reading"
	"cairn/merkle/ledger"
	"cairn/store"
)

// day is the longest that a part of a range goes without a summary of its own,
// in ms: each day of UTC has one.
const day = 24 * 3600 * 1000

// beforeSpan is how long before what is shown a clock's step may be that explains
// it, in ms.
const beforeSpan = 15 * 60 * 1000

// provenRange says in words what a proof shows of a stream.
type provenRange struct {
	Device   string         `json:"device"`
	Stream   uint64         `json:"stream"`
	First    uint64         `json:"first"` // number of its first reading
	Readings uint64         `json:"readings"`
	From     string         `json:"from"`
	To       string         `json:"to"`
	Shredded []shreddedPart `json:"shredded,omitempty"`
	Known    string         `json:"knownUntil"` // "" if the stream has ended: no more can come
}

// shreddedPart says of how many of a range's readings a compartment's part is not
// shown because it was shredded.
type shreddedPart struct {
	Compartment string `json:"compartment"`
	Readings    uint64 `json:"readings"`
}

// completer proves that the readings of streams in a time are all there are.
type completer struct {
	*prover
	q        proveRequest
	from, to int64  // asked, Unix ms
	last     uint64 // the newest batch that may be shown
	known    int64  // end of its window, Unix ms
	gaps     []statedGap
	gauge    *gauge
	planned  uint64 // readings
	done     uint64 // readings
}

// statedGap is a time that a statement declares, in Unix ms.
type statedGap struct {
	statement uint64
	from, to  int64
}

// chosenStream is one to prove, with what to show of its readings.
type chosenStream struct {
	store.Stream
	device string
	show   func(r *reading.Reading, items int) ([]int, error)
}

func (p *prover) complete(ctx context.Context, q proveRequest, progress func(string)) error {
	c := &completer{prover: p, q: q, from: deref(q.From, 0), gauge: newGauge(progress, "readings", 1)}
	if err := c.limits(); err != nil {
		return err
	}
	if c.from >= c.to {
		if q.To == nil {
			return againError{fmt.Errorf("nothing from %s on is anchored yet: all is known until %s", timeText(c.from), timeText(c.to))}
		}
		return fmt.Errorf("--from, %s, is not before --to, %s", timeText(c.from), timeText(c.to))
	}
	streams, err := c.choose()
	if err != nil {
		return err
	}
	err = p.l.eachStatement(func(n uint64, s ledger.Statement) {
		if from, to, ok := spanOf(&s); ok && !wentBack(&s) {
			c.gaps = append(c.gaps, statedGap{n, from, min(to, s.At)})
		}
	})
	if err != nil {
		return err
	}
	plans := make([]*plan, len(streams))
	for i := range streams {
		if plans[i], err = c.plan(&streams[i]); err != nil {
			return fmt.Errorf("prove stream %d: %w", streams[i].Slot, c.whyNot(ctx, streams[i].Slot, err))
		}
		if plans[i] != nil {
			c.planned += plans[i].next - plans[i].first
		}
	}
	if q.most > 0 && c.planned > q.most {
		return fmt.Errorf("there are %d readings, and this proves %d at once: choose a shorter time, or have `cairn prove` write the file", c.planned, q.most)
	}
	for i := range streams {
		if plans[i] == nil {
			if streams[i].Opened > c.last && c.to > c.known {
				c.behind()
			}
			continue
		}
		if err := c.stream(ctx, &streams[i], plans[i]); err != nil {
			return fmt.Errorf("prove stream %d: %w", streams[i].Slot, c.whyNot(ctx, streams[i].Slot, err))
		}
	}
	switch {
	case len(p.answer.Ranges) != 0:
		return nil
	case slices.ContainsFunc(streams, func(s chosenStream) bool { return s.Opened > c.last }):
		return againError{errors.New("what came in that time is not anchored yet: ask again later, or use --wait")}
	}
	return errors.New("nothing was bound in that time: `cairn device list` shows when each device was")
}

// limits finds the newest batch that may be shown: the last one under anchors
// that the ledger's quorum calls final, and while there is none, under the newest
// checkpoint. Without --to the range ends with it.
func (c *completer) limits() error {
	_, size, ok := c.l.store.Checkpoint()
	if !ok || size == 0 {
		return againError{errors.New("no checkpoint was signed yet: ask again after the first window's end, or use --wait")}
	}
	final, err := c.finalSize()
	if err != nil {
		return err
	}
	c.last = min(size, cmp.Or(final, size)) - 1
	if _, c.known, err = c.l.store.Span(c.last); err != nil {
		return err
	}
	c.to = deref(c.q.To, c.known)
	return nil
}

// finalSize is how many batches the ledger's quorum of configured routes holds; 0
// if none yet, or no route is configured.
func (c *completer) finalSize() (uint64, error) {
	var sizes []uint64
	for i := range c.l.cfg.Anchors {
		newest := uint64(0)
		for _, r := range c.routes {
			if r.name != c.l.cfg.Anchors[i].Route() {
				continue
			}
			n, err := newestFinal(r.Route, c.l.store.LogSize())
			if err != nil {
				return 0, err
			}
			newest = max(newest, n)
		}
		sizes = append(sizes, newest)
	}
	if len(sizes) == 0 {
		return 0, nil
	}
	slices.Sort(sizes)
	return sizes[len(sizes)-c.l.cfg.need(len(sizes))], nil
}

// choose finds the streams that a request names: of devices through all their
// bindings, of a compartment its own, or all.
func (c *completer) choose() ([]chosenStream, error) {
	var all []chosenStream
	add := func(numbers []uint32, name string) {
		for _, n := range numbers {
			for _, s := range c.l.store.Streams(n) {
				if !slices.ContainsFunc(all, func(have chosenStream) bool { return have.Slot == s.Slot }) {
					all = append(all, chosenStream{s, name, c.namedFields})
				}
			}
		}
	}
	for _, text := range c.q.Devices {
		b, err := c.l.findDevice(text, true)
		if err != nil {
			return nil, err
		}
		add(c.l.bindingsOf(b), b.Name)
	}
	if c.q.All {
		for _, b := range c.l.store.Devices() {
			add([]uint32{b.Number}, b.Name)
		}
	}
	some, err := c.compartments()
	if err != nil {
		return nil, err
	}
	all = append(all, some...)
	slices.SortFunc(all, func(a, b chosenStream) int { return cmp.Compare(a.Slot, b.Slot) })
	for i := 1; i < len(all); i++ {
		if all[i].Slot == all[i-1].Slot {
			return nil, fmt.Errorf("stream %d was named twice", all[i].Slot)
		}
	}
	return all, nil
}

// bindingsOf are the numbers that a device has had: by its ID, which stays the
// same when it is bound again.
func (l *openLedger) bindingsOf(b ledger.Binding) (numbers []uint32) {
	for _, other := range l.store.Devices() {
		if other.Number == b.Number || other.ID == b.ID && b.ID != (ledger.Binding{}).ID {
			numbers = append(numbers, other.Number)
		}
	}
	return numbers
}

func (c *completer) namedFields(r *reading.Reading, items int) ([]int, error) {
	return chooseFields(r, items, c.fields)
}

// compartments finds the streams of compartments such as stream/3/data, each once.
// What is shown are the fields of those that were named; the envelope's go with
// those of any other.
func (c *completer) compartments() ([]chosenStream, error) {
	if len(c.q.Compartments) == 0 {
		return nil, nil
	}
	named := map[string]bool{}
	for _, text := range c.q.Compartments {
		named[text] = true
	}
	var all []chosenStream
	for _, s := range c.l.store.AllStreams() {
		shown := map[uint32]bool{}
		for _, x := range c.l.store.Compartments(s.Slot) {
			if named[x.Name] {
				shown[x.ID] = true
				delete(named, x.Name)
			}
		}
		if len(shown) > 0 {
			all = append(all, chosenStream{s, c.nameOf(s.Device), c.fieldsOf(s.Slot, shown)})
		}
	}
	for _, text := range c.q.Compartments {
		if named[text] {
			return nil, fmt.Errorf("%.60q is no compartment that can be shown: `cairn compartment list` shows those of streams", text)
		}
	}
	return all, nil
}

// fieldsOf shows of a stream's readings what is in some of its compartments.
func (c *completer) fieldsOf(slot uint64, compartments map[uint32]bool) func(*reading.Reading, int) ([]int, error) {
	return func(r *reading.Reading, items int) (shown []int, _ error) {
		for index := range items {
			switch reading.ClassOf(index) {
			case reading.Envelope:
				shown = append(shown, index)
			case reading.Data:
				id, ok := c.l.store.CompartmentOf(slot, r.Measurements[index-reading.IndexData].Name)
				if ok && compartments[id] {
					shown = append(shown, index)
				}
			}
		}
		return shown, nil
	}
}

func (c *completer) nameOf(device uint32) string {
	for _, b := range c.l.store.Devices() {
		if b.Number == device {
			return b.Name
		}
	}
	return ""
}

// plan is where a stream's range begins and ends in the log.
type plan struct {
	from, to      int64  // claimed: that which was asked for, out to the borders of windows
	before        uint64 // the batch before the first window; counts only with hasBefore
	hasBefore     bool
	last          uint64 // the batch of the last window
	first, next   uint64 // numbers of the readings in between
	ended, behind bool   // the stream ends with last; last comes before what was asked for ends
	shredded      []shreddedPart
}

// count notes that of one more reading these compartments' parts were shredded.
func (p *plan) count(compartments []string) {
	for _, name := range compartments {
		i := slices.IndexFunc(p.shredded, func(x shreddedPart) bool { return x.Compartment == name })
		if i < 0 {
			i, p.shredded = len(p.shredded), append(p.shredded, shreddedPart{Compartment: name})
		}
		p.shredded[i].Readings++
	}
}

// plan finds a stream's range; nil if nothing of it is in the time.
func (c *completer) plan(s *chosenStream) (*plan, error) {
	st := c.l.store
	end := c.last
	if s.Closed {
		end = min(end, s.ClosedBy)
	}
	if s.Opened > end {
		return nil, nil
	}
	begin, _, err := st.Span(s.Opened)
	if err != nil {
		return nil, err
	}
	_, stop, err := st.Span(end)
	if err != nil {
		return nil, err
	}
	p := &plan{from: c.from, to: c.to, ended: s.Closed && end == s.ClosedBy}
	if c.q.From == nil {
		p.from = begin
	}
	if begin >= c.to || stop <= c.from && p.ended {
		return nil, nil
	}
	if p.last, err = c.batchIn(s, c.to-1, end); err != nil {
		return nil, err
	}
	p.ended = p.ended && p.last == s.ClosedBy
	_, to, err := st.Span(p.last)
	if err != nil {
		return nil, err
	}
	p.to, p.behind = max(p.to, to), to < p.to && !p.ended
	if p.first, err = c.before(s, p, end); err != nil {
		return nil, err
	}
	z, err := st.SummaryAt(s.Slot, p.last)
	if err != nil {
		return nil, err
	}
	p.next = z.Next
	return p, nil
}

// batchIn is the batch of a stream whose window holds a time, or end if that
// window is not there yet.
func (c *completer) batchIn(s *chosenStream, ms int64, end uint64) (uint64, error) {
	b, err := c.l.store.BatchAtIn(s.Slot, ms)
	if errors.Is(err, store.ErrNotFound) {
		return end, nil
	}
	return min(b, end), err
}

// before finds the batch before a range and gives the number of its first
// reading.
func (c *completer) before(s *chosenStream, p *plan, end uint64) (uint64, error) {
	first, err := c.batchIn(s, p.from, end)
	if err != nil || first == s.Opened {
		return 0, err
	}
	p.before, p.hasBefore = first-1, true
	a, err := c.l.store.SummaryAt(s.Slot, p.before)
	if err != nil {
		return 0, err
	}
	if _, to, err := c.l.store.Span(p.before); err != nil {
		return 0, err
	} else if to < p.from {
		p.from = to
	}
	return a.Next, nil
}

// stream adds one stream's range.
func (c *completer) stream(ctx context.Context, s *chosenStream, p *plan) error {
	left, err := c.l.store.StreamPeaks(s.Slot, p.first)
	if err != nil {
		return err
	}
	r := proof.Range{From: p.from, To: p.to, First: p.first, Left: left}
	lost, err := c.readings(ctx, s, p, &r)
	if err != nil {
		return err
	}
	parts, err := c.parts(s, p)
	if err != nil {
		return err
	}
	missing, err := c.missing(ctx, s, p)
	if err != nil {
		return err
	}
	recorded, err := c.recorded(s, p)
	if err != nil {
		return err
	}
	if err := c.summaries(s, &r, parts, append(lost, missing...), recorded); err != nil {
		return err
	}
	c.b.Range(r)
	c.told(s, p)
	return nil
}

// readings adds the readings of a range, and finds the batches whose summaries
// must say why the device's own numbers have holes.
func (c *completer) readings(ctx context.Context, s *chosenStream, p *plan, r *proof.Range) (lost []uint64, err error) {
	var last reading.Origin
	err = c.l.store.ShowRange(ctx, s.Slot, p.first, p.next, func(e *store.Shown) error {
		shown, err := s.show(&e.Reading, len(e.Items))
		if err != nil {
			return fmt.Errorf("reading %d: %w", e.Reading.Sequence, err)
		}
		asked := len(shown)
		if shown, err = leftOf(e.Items, shown, e.Shredded, false); err != nil {
			return fmt.Errorf("reading %d: %w", e.Reading.Sequence, err)
		}
		if len(shown) < asked {
			p.count(e.Shredded)
		}
		n := proof.Numbered{Seq: e.Reading.Sequence, Width: e.Width(), Hidden: e.Cover(shown), Fields: make([]proof.Field, 0, len(shown))}
		for _, i := range shown {
			f := proof.Field{Index: i, Salt: e.Salts[i]}
			if i != reading.IndexReading {
				f.Item = slices.Clone(e.Items[i])
			}
			n.Fields = append(n.Fields, f)
		}
		r.Readings = append(r.Readings, n)
		if slices.Contains(shown, reading.IndexOrigin) {
			if last.HasCounter && e.Reading.Origin.HasCounter && e.Reading.Origin.Counter != last.Counter+1 {
				batch, _, _, err := c.l.store.RunOf(s.Slot, e.Reading.Sequence)
				if err != nil {
					return err
				}
				lost = append(lost, batch)
			}
			if e.Reading.Origin.HasCounter {
				last = e.Reading.Origin
			}
		}
		c.done++
		c.gauge.at(c.done, c.planned)
		return nil
	})
	return lost, err
}

// begin is the first batch whose summary is shown: the one before the range, or
// else the stream's first.
func (p *plan) begin(s *chosenStream) uint64 {
	if p.hasBefore {
		return p.before
	}
	return s.Opened
}

// parts are the batches whose summaries show when each part was fixed: where the
// range begins, at each day's end the last batch of the first anchor that holds
// that day, and where it ends.
func (c *completer) parts(s *chosenStream, p *plan) ([]uint64, error) {
	begun := p.begin(s)
	all, at := []uint64{begun}, begun+1
	if begun == p.last {
		return all, nil
	}
	begin, _, err := c.l.store.Span(at)
	if err != nil {
		return nil, err
	}
	_, stop, err := c.l.store.Span(p.last)
	if err != nil {
		return nil, err
	}
	for d := max(p.from, begin)/day*day + day; d < stop; d += day {
		b, err := c.batchIn(s, d-1, p.last)
		if err == nil {
			b, err = c.anchoredWith(b)
		}
		if err != nil {
			return nil, err
		}
		if b >= at && b < p.last {
			all, at = append(all, b), b+1
		}
	}
	return append(all, p.last), nil
}

// anchoredWith is the last batch of the first anchor that holds a batch, on the
// first route that has one; without any the batch itself.
func (c *completer) anchoredWith(batch uint64) (uint64, error) {
	for _, r := range c.routes {
		a, ok, err := r.Lookup(batch + 1)
		if err != nil {
			return 0, fmt.Errorf("anchors of %s: %w", r.name, err)
		}
		if ok {
			return a.Size - 1, nil
		}
	}
	return batch, nil
}

// recorded are the batches between a range's first and its last that are the first to
// hold what was stated of the installation: which readings it was there for is shown so.
func (c *completer) recorded(s *chosenStream, p *plan) (all []uint64, err error) {
	var numbers []uint64
	err = c.l.eachStatement(func(n uint64, st ledger.Statement) {
		if slot, ok := st.Uint("slot"); ok && slot == s.Slot && installs(st.Kind) {
			numbers = append(numbers, n)
		}
	})
	if err != nil {
		return nil, err
	}
	for _, n := range numbers {
		b, ok, err := c.l.firstWith(n)
		if err != nil {
			return nil, err
		}
		if ok && b > p.begin(s) && b < p.last {
			all = append(all, b)
		}
	}
	return all, nil
}

// installs reports whether statements of a kind tell of a device's installation.
func installs(kind string) bool {
	return kind == ledger.KindPlace || kind == ledger.KindCalibrate || kind == ledger.KindAttach
}

// missing are the batches before or in which windows are missing, and no
// statement says so: their summaries do.
func (c *completer) missing(ctx context.Context, s *chosenStream, p *plan) (all []uint64, err error) {
	found, err := c.l.store.Deficits(ctx, p.begin(s), p.last)
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, nil
	}
	// Later statements cannot be shown.
	e, err := c.l.store.Batch(p.last)
	if err != nil {
		return nil, err
	}
	tree, err := ledger.ParseStatementsHead(e.Hidden[ledger.HiddenStatements].Item)
	if err != nil {
		return nil, err
	}
	for _, b := range found {
		begin, end, err := c.l.store.Span(b)
		if err != nil {
			return nil, err
		}
		if !c.stated(begin, end, tree.Size) {
			all = append(all, b)
		}
	}
	return all, nil
}

// stated says whether one of the first statements declares a time.
func (c *completer) stated(from, to int64, statements uint64) bool {
	return slices.ContainsFunc(c.gaps, func(g statedGap) bool {
		return g.statement < statements && g.from <= from && to <= g.to
	})
}

// wentBack reports whether a statement is of a clock that was set back: no window
// is missing by that.
func wentBack(s *ledger.Statement) bool {
	was, _ := s.Uint("was")
	now, _ := s.Uint("now")
	return s.Kind == ledger.KindClock && now < was
}

// spanOf is the time that a statement declares to be without the gateway, or of
// which its clock knew nothing.
func spanOf(s *ledger.Statement) (from, to int64, ok bool) {
	a, b := "from", "to"
	switch s.Kind {
	case ledger.KindGap:
	case ledger.KindClock:
		a, b = "was", "now"
	default:
		return 0, 0, false
	}
	f, ok1 := s.Uint(a)
	t, ok2 := s.Uint(b)
	if !ok1 || !ok2 || f > math.MaxInt64 || t > math.MaxInt64 {
		return 0, 0, false
	}
	return min(int64(f), int64(t)), max(int64(f), int64(t)), true
}

// summaries adds a stream's summaries: of parts under their own first anchors,
// of those that declare or show something under the anchors that are there.
func (c *completer) summaries(s *chosenStream, r *proof.Range, parts, declare, show []uint64) error {
	for _, index := range parts {
		if _, err := c.batch(index); err != nil {
			return err
		}
	}
	all := slices.Concat(parts, declare, show)
	slices.Sort(all)
	for _, index := range slices.Compact(all) {
		b, err := c.batchBelow(index)
		if err != nil {
			return err
		}
		e, err := c.l.store.SummaryAt(s.Slot, index)
		if err != nil {
			return err
		}
		sum := proof.Summary{Batch: b.at, Tag: e.Tag, Item: e.Item, Salt: e.Salt, Path: e.Path}
		if slices.Contains(declare, index) {
			sum.Rest = &proof.Shown{Item: e.Rest, Salt: e.RestSalt}
		}
		r.Summaries = append(r.Summaries, c.b.Summary(sum))
		c.streamBatches[s.Slot] = append(c.streamBatches[s.Slot], b)
	}
	begin, _, err := c.l.store.Span(parts[0])
	if err != nil {
		return err
	}
	c.spans = append(c.spans, shownSpan{s.Slot, r.First, r.First + uint64(len(r.Readings)), min(r.From, begin) - beforeSpan, r.To})
	return nil
}

// behind notes that of the time that was asked for not all is known yet.
func (c *completer) behind() {
	c.answer.Tail = true
	if c.answer.Routes > 0 {
		c.state = least(c.state, statePending)
	}
}

// told keeps what is said of a range on the command line.
func (c *completer) told(s *chosenStream, p *plan) {
	w := provenRange{Device: s.device, Stream: s.Slot, First: p.first, Readings: p.next - p.first, From: timeText(p.from), To: timeText(p.to), Shredded: p.shredded}
	if !p.ended {
		_, until, err := c.l.store.Span(p.last)
		if err == nil {
			w.Known = timeText(until)
		}
	}
	if p.behind {
		c.behind()
	}
	c.answer.Ranges = append(c.answer.Ranges, w)
}
