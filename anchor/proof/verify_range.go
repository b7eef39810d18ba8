package proof

import (
	"cmp"
	"fmt"
	"slices"

	"cairn/ingest/reading"
	"cairn/merkle"
	"cairn/merkle/ledger"
)

// rangeState is what step 9 found of one range.
type rangeState struct {
	slot     uint64
	sums     []rangeSummary
	border   bool // the first summary's window is before the range
	next     uint64
	device   string
	counters counterState
	steps    []clockStep
}

// rangeSummary is one of a range's summaries.
type rangeSummary struct {
	at    int // position in the file
	batch int // position of its batch
	index uint64
	*ledger.Summary
}

// Step 9: the readings of each range fill their stream, from its first number to
// its last summary, as every summary in between says.
func (c *checker) ranges() (string, *fault) {
	if len(c.f.Ranges) == 0 {
		return "", nil
	}
	c.rangeStates = make([]rangeState, len(c.f.Ranges))
	all := 0
	for i := range c.f.Ranges {
		if bad := c.rangeSummaries(i); bad != nil {
			return "", &fault{bad.code, fmt.Errorf("range %d: %w", i, bad.err)}
		}
		all += len(c.f.Ranges[i].Readings)
	}
	if bad := c.apart(); bad != nil {
		return "", bad
	}
	c.v.Readings = slices.Grow(c.v.Readings, all)
	d := &describer{known: make(map[string]string)}
	for i := range c.f.Ranges {
		w := newWalker(c, d, i)
		if bad := w.walk(); bad != nil {
			return "", &fault{bad.code, fmt.Errorf("range %d: %w", i, bad.err)}
		}
	}
	return fmt.Sprintf("%s of %s fill their streams", count(all, "reading"), count(len(c.f.Ranges), "range")), nil
}

// rangeSummaries holds that a range's summaries are of one stream, ascend, and
// begin where it does.
func (c *checker) rangeSummaries(i int) *fault {
	r, s := &c.f.Ranges[i], &c.rangeStates[i]
	for n, at := range r.Summaries {
		file := &c.f.Summaries[at]
		sum := rangeSummary{at, file.Batch, c.batches[file.Batch].header.Index, &c.summaries[at]}
		if n > 0 {
			last := &s.sums[n-1]
			switch {
			case last.Slot != sum.Slot: // then the tags differ too: step 6
				return faultf(CodeRange, "summary %d is of stream %d, summary %d of stream %d", last.at, last.Slot, at, sum.Slot)
			case last.index >= sum.index || last.To > sum.From:
				return faultf(CodeRange, "summary %d, of batch %d, does not come after summary %d, of batch %d", at, sum.index, last.at, last.index)
			case last.Closed:
				return faultf(CodeRange, "summary %d comes after the stream's last, summary %d", at, last.at)
			}
		}
		s.sums = append(s.sums, sum)
	}
	first := &s.sums[0]
	s.slot, s.next, s.border = first.Slot, s.sums[len(s.sums)-1].Next, first.Next == r.First
	if !s.border && r.First != 0 {
		return faultf(CodeRange, "it begins with number %d, after its first summary comes %d", r.First, first.Next)
	}
	return nil
}

// apart holds that no reading is shown twice: by two ranges, or by one and alone.
func (c *checker) apart() *fault {
	var order []int // the ranges that have readings, by stream and number
	for i := range c.rangeStates {
		if c.rangeStates[i].next > c.f.Ranges[i].First {
			order = append(order, i)
		}
	}
	slices.SortFunc(order, func(a, b int) int {
		return cmp.Or(cmp.Compare(c.rangeStates[a].slot, c.rangeStates[b].slot), cmp.Compare(c.f.Ranges[a].First, c.f.Ranges[b].First))
	})
	for n := 1; n < len(order); n++ {
		a, b := order[n-1], order[n]
		if x := &c.rangeStates[a]; x.slot == c.rangeStates[b].slot && x.next > c.f.Ranges[b].First {
			return faultf(CodeTwice, "range %d: number %d of its stream is in range %d too", b, c.f.Ranges[b].First, a)
		}
	}
	for i := range c.f.Readings {
		slot, seq := c.summaries[c.f.Readings[i].Summary].Slot, c.f.Readings[i].Seq
		// The last range of the stream that begins at this number or before it.
		at, _ := slices.BinarySearchFunc(order, 0, func(k, _ int) int {
			if cmp.Or(cmp.Compare(c.rangeStates[k].slot, slot), cmp.Compare(c.f.Ranges[k].First, seq)) > 0 {
				return 1
			}
			return -1
		})
		if at > 0 && c.rangeStates[order[at-1]].slot == slot && c.rangeStates[order[at-1]].next > seq {
			return faultf(CodeTwice, "reading %d: sequence %d of its stream is in range %d too", i, seq, order[at-1])
		}
	}
	return nil
}

// walker takes the readings of one range one by one.
type walker struct {
	c *checker
	d *describer
	i int // position of the range
	r *Range
	s *rangeState

	tag   [ledger.TagSize]byte
	tree  merkle.Tree // the stream up to here
	k     int         // of the summaries the next that has readings to come, or the last
	run   merkle.Tree // the run of summary k, as far as it is here
	rest  *restCheck  // what that summary hides, if it is shown
	shown reading.Reading
	stamp int64 // the newest received
	spans []spanText
}

func newWalker(c *checker, d *describer, i int) *walker {
	w := &walker{c: c, d: d, i: i, r: &c.f.Ranges[i], s: &c.rangeStates[i]}
	w.tag = c.f.Summaries[w.s.sums[0].at].Tag
	w.spans = w.s.spanTexts()
	return w
}

func (w *walker) walk() *fault {
	var err error
	if w.tree, err = merkle.TreeFromPeaks(w.r.First, w.r.Left); err != nil {
		return &fault{CodeStream, err}
	}
	if bad := w.settle(); bad != nil {
		return bad
	}
	position := w.i
	for j := range w.r.Readings {
		n := &w.r.Readings[j]
		if bad := w.inOrder(j); bad != nil {
			return bad
		}
		if bad := w.take(n, &position); bad != nil {
			return &fault{bad.code, fmt.Errorf("reading %d: %w", n.Seq, bad.err)}
		}
		if bad := w.settle(); bad != nil {
			return bad
		}
	}
	if next := w.tree.Size(); next < w.s.next {
		return w.missing(next, w.s.next)
	}
	return nil
}

// inOrder holds that the j-th reading is the next.
func (w *walker) inOrder(j int) *fault {
	want, seq := w.tree.Size(), w.r.Readings[j].Seq
	switch {
	case seq == want && want < w.s.next:
		return nil
	case seq < w.r.First || seq >= w.s.next:
		if want < w.s.next && !w.later(j, want) {
			return w.missing(want, w.s.next)
		}
		return faultf(CodeBeyond, "reading %d is none of the numbers %d to before %d, which its summaries have", seq, w.r.First, w.s.next)
	case seq < want:
		return faultf(CodeTwice, "reading %d of stream %d is shown twice", seq, w.s.slot)
	case w.later(j, want):
		return faultf(CodeOrder, "reading %d of stream %d stands where reading %d belongs", seq, w.s.slot, want)
	}
	return w.missing(want, seq)
}

// later reports whether a number stands at j or after it.
func (w *walker) later(j int, seq uint64) bool {
	return slices.ContainsFunc(w.r.Readings[j:], func(n Numbered) bool { return n.Seq == seq })
}

func (w *walker) missing(from, to uint64) *fault {
	if to-from == 1 {
		return faultf(CodeMissing, "reading %d of stream %d is missing", from, w.s.slot)
	}
	return faultf(CodeMissing, "reading %d of stream %d is missing, and so are all up to %d", from, w.s.slot, to-1)
}

// settle holds the tree against every summary that ends here, and begins the
// run of the next one where its numbers do.
func (w *walker) settle() *fault {
	for ; w.k < len(w.s.sums); w.k++ {
		sum := &w.s.sums[w.k]
		if sum.Next > w.tree.Size() {
			break
		}
		if w.tree.Root() != sum.Stream {
			return faultf(CodeStream, "the readings up to %d do not give the stream that summary %d, of batch %d, names", sum.Next, sum.at, sum.index)
		}
		if sum.First == sum.Next || w.k == 0 && w.s.border {
			continue // its run is empty, or before the range
		}
		if w.run.Root() != sum.Run {
			return faultf(CodeRunRoot, "the readings %d to %d do not give the run that summary %d, of batch %d, names", sum.First, sum.Next-1, sum.at, sum.index)
		}
		if w.rest != nil {
			if bad := w.rest.end(); bad != nil {
				return &fault{bad.code, fmt.Errorf("summary %d, of batch %d: %w", sum.at, sum.index, bad.err)}
			}
		}
	}
	if w.k < len(w.s.sums) && w.s.sums[w.k].First == w.tree.Size() {
		w.run, w.rest = merkle.Tree{}, newRestCheck(w.c.f.Summaries[w.s.sums[w.k].at].Rest, &w.s.counters)
	}
	return nil
}

// take checks one reading, and adds it to the trees and the verdict.
func (w *walker) take(n *Numbered, position *int) *fault {
	shown := &w.shown
	*shown = reading.Reading{Measurements: shown.Measurements[:0]}
	if bad := parseFields(shown, n.Fields); bad != nil {
		return bad
	}
	sum := &w.s.sums[w.k]
	inRun := n.Seq >= sum.First
	if bad := w.fields(n, inRun); bad != nil {
		return bad
	}
	root, bad := n.root()
	if bad != nil {
		return bad
	}
	leaf := reading.EntryLeaf(w.tag, n.Seq, root)
	w.tree.Append(leaf)
	if inRun {
		w.run.Append(leaf)
		if w.rest != nil {
			if bad := w.rest.add(n, shown); bad != nil {
				return &fault{bad.code, fmt.Errorf("summary %d, of batch %d: %w", sum.at, sum.index, bad.err)}
			}
		}
	}
	span := &w.spans[2*w.k]
	if inRun {
		span = &w.spans[2*w.k+1]
	}
	v := ReadingVerdict{
		at: sum.batch, before: span.before, Stream: w.s.slot, Sequence: n.Seq, Device: w.s.deviceIf(n), Range: position,
		Batch: sum.index, From: span.from, To: span.to,
	}
	w.d.fields(&v, n.Fields, shown)
	w.c.v.Readings = append(w.c.v.Readings, v)
	return nil
}

// fields holds what a reading's fields say against its place, and takes from
// them what step 14 asks about.
func (w *walker) fields(n *Numbered, inRun bool) *fault {
	shown := &w.shown
	origin := false
	for i := range n.Fields {
		switch n.Fields[i].Index {
		case reading.IndexDevice:
			if w.s.device != "" && w.s.device != shown.Device {
				return faultf(CodeBinding, "it is of device %q, others of its stream are of %q", shown.Device, w.s.device)
			}
			if w.s.device == "" {
				w.s.device = w.d.word(shown.Device)
			}
		case reading.IndexSequence:
			if shown.Sequence != n.Seq {
				return faultf(CodeSequence, "field sequence says %d", shown.Sequence)
			}
		case reading.IndexReceived:
			if bad := w.received(inRun); bad != nil {
				return bad
			}
			w.s.stepped(n.Seq, shown)
		case reading.IndexOrigin:
			origin = true
		}
	}
	w.s.counters.add(n.Seq, shown, origin, w.runOf(inRun))
	return nil
}

// runOf is the position among the range's summaries of that whose run has the
// reading at hand, or -1.
func (w *walker) runOf(inRun bool) int {
	if inRun {
		return w.k
	}
	return -1
}

func (w *walker) received(inRun bool) *fault {
	from, to := w.s.window(w.k, inRun)
	if at := w.shown.Received; at < from || at >= to {
		return faultf(CodeReceived, "received %s, its window is not before %s and not after %s", timeText(at), timeText(from), timeText(to))
	}
	if w.shown.Received < w.stamp {
		return faultf(CodeBackwards, "received %s, and one before it %s", timeText(w.shown.Received), timeText(w.stamp))
	}
	w.stamp = w.shown.Received
	return nil
}

// window bounds the windows that a reading may be of: that of summary k, or
// those between it and the one before.
func (s *rangeState) window(k int, inRun bool) (from, to int64) {
	if inRun {
		return s.sums[k].From, s.sums[k].To
	}
	if k > 0 {
		from = s.sums[k-1].To
	}
	return from, s.sums[k].From
}

// spanText is such bounds in words, once for all readings.
type spanText struct {
	from, to string
	before   int // position of the batch that gives the lower bound, or -1
}

func (s *rangeState) spanTexts() []spanText {
	all := make([]spanText, 2*len(s.sums))
	for k := range s.sums {
		from, to := s.window(k, false)
		between := spanText{timeText(from), timeText(to), -1}
		if k > 0 {
			between.before = s.sums[k-1].batch
		}
		all[2*k] = between
		all[2*k+1] = spanText{timeText(s.sums[k].From), timeText(s.sums[k].To), s.sums[k].batch}
	}
	return all
}

// deviceIf is the device if a reading shows it.
func (s *rangeState) deviceIf(n *Numbered) string {
	if slices.ContainsFunc(n.Fields, func(f Field) bool { return f.Index == reading.IndexDevice }) {
		return s.device
	}
	return ""
}

// root returns the record root of a reading of a range.
func (n *Numbered) root() (merkle.Hash, *fault) {
	if len(n.Fields) == 0 {
		return n.Hidden[0], nil
	}
	r := Reading{Width: n.Width, Fields: n.Fields, Hidden: n.Hidden}
	return r.recompute()
}

// deviceCounter is a device's own, restart (24 bits) ‖ message (24 bits).
type deviceCounter uint64

func (c deviceCounter) restart() uint64 { return uint64(c >> 24) }

func (c deviceCounter) String() string { return fmt.Sprintf("%012x", uint64(c)) }

// counterState is what the device's own counters show.
type counterState struct {
	origins, counted, device uint64 // readings that show their origin, have a counter, are authenticated by the device's key

	last    deviceCounter // of the newest reading that has one
	lastSeq uint64
	hasLast bool
	unseen  bool // a reading since then does not show its origin
	jumps   []counterJump
}

// counterJump is a counter that is not the next.
type counterJump struct {
	after, at uint64 // numbers of the readings before and behind it
	run       int    // of the range's summaries that whose run has the later reading; -1: none that is shown
	lost      uint64 // frames in between; 0 if the counters began anew
	old, new  deviceCounter
}

func (s *counterState) add(seq uint64, r *reading.Reading, origin bool, run int) {
	if !origin {
		s.unseen = true
		return
	}
	s.origins++
	if !r.Origin.HasCounter {
		return
	}
	s.counted++
	if r.Origin.Verdict.DeviceAuthenticated() {
		s.device++
	}
	c := deviceCounter(r.Origin.Counter)
	if s.hasLast && !s.unseen && c != s.last+1 {
		j := counterJump{after: s.lastSeq, at: seq, run: run, old: s.last, new: c}
		if c > s.last && c.restart() == s.last.restart() {
			j.lost = uint64(c - s.last - 1)
		}
		s.jumps = append(s.jumps, j)
	}
	s.last, s.lastSeq, s.hasLast, s.unseen = c, seq, true, false
}

// clockStep is some readings in a row whose clock had stepped, all received in
// one quarter hour.
type clockStep struct {
	first    uint64 // number of the first
	n        uint64
	min, max int64 // received
}

// stepped notes a reading whose clock had stepped.
func (s *rangeState) stepped(seq uint64, r *reading.Reading) {
	if r.Clock != reading.Stepped {
		return
	}
	if n := len(s.steps); n > 0 {
		last := &s.steps[n-1]
		if last.first+last.n == seq && last.min/quarterHour == r.Received/quarterHour {
			last.n++
			last.max = r.Received
			return
		}
	}
	s.steps = append(s.steps, clockStep{seq, 1, r.Received, r.Received})
}

// restCheck holds what a summary hides against the readings of its run.
type restCheck struct {
	rest   ledger.Rest
	count  *counterState
	begun  uint64 // readings with counters before the run
	n      uint64
	hidden bool // one of them does not show its origin
	values map[valueName]*valueSpan
}

type valueName struct{ name, unit string }

// valueSpan is what a rest says of a measurement, and what its readings show.
type valueSpan struct {
	least, most reading.Value
	min, max    reading.Value
	n           uint64
}

func newRestCheck(shown *Shown, counters *counterState) *restCheck {
	if shown == nil {
		return nil
	}
	rest, err := ledger.ParseRest(shown.Item)
	if err != nil {
		return nil // step 6 has been there
	}
	c := &restCheck{rest: rest, count: counters, begun: counters.counted, values: make(map[valueName]*valueSpan, len(rest.Ranges))}
	for _, r := range rest.Ranges {
		least, _, err := reading.ParseValue(r.Min)
		if err != nil {
			continue
		}
		most, _, err := reading.ParseValue(r.Max)
		if err != nil {
			continue
		}
		c.values[valueName{r.Name, r.Unit}] = &valueSpan{least: least, most: most}
	}
	return c
}

func (c *restCheck) add(n *Numbered, r *reading.Reading) *fault {
	c.n++
	origin := false
	for i := range n.Fields {
		switch at := n.Fields[i].Index; {
		case at == reading.IndexReceived:
			if r.Received < c.rest.From || r.Received > c.rest.To || c.n == 1 && r.Received != c.rest.From {
				return faultf(CodeRest, "its rest says that readings were received from %s to %s, this one %s", timeText(c.rest.From), timeText(c.rest.To), timeText(r.Received))
			}
		case at == reading.IndexOrigin:
			origin = true
		case at >= reading.IndexData:
			if bad := c.value(&r.Measurements[at-reading.IndexData]); bad != nil {
				return bad
			}
		}
	}
	c.hidden = c.hidden || !origin
	return nil
}

func (c *restCheck) value(m *reading.Measurement) *fault {
	if !m.Value.IsNumber() {
		return nil
	}
	v := c.values[valueName{m.Name, m.Unit}]
	if v == nil {
		return nil // a gateway names so many, and no more
	}
	if m.Value.Cmp(v.least) < 0 || m.Value.Cmp(v.most) > 0 {
		return faultf(CodeRest, "its rest says that %s was %s to %s, this reading %s", m.Name, v.least, v.most, m.Value)
	}
	if v.n == 0 || m.Value.Cmp(v.min) < 0 {
		v.min = m.Value
	}
	if v.n == 0 || m.Value.Cmp(v.max) > 0 {
		v.max = m.Value
	}
	v.n++
	return nil
}

// end holds what can only be told once all readings of the run were there.
func (c *restCheck) end() *fault {
	if !c.rest.HasReceived {
		return faultf(CodeRest, "its rest says that no reading came, it has %d", c.n)
	}
	if seen := c.count.counted - c.begun; !c.hidden && seen != c.rest.Seen {
		return faultf(CodeRest, "its rest says that %d readings had counters, %d have", c.rest.Seen, seen)
	}
	for name, v := range c.values {
		if v.n == c.n && (v.min.Cmp(v.least) != 0 || v.max.Cmp(v.most) != 0) {
			return faultf(CodeRest, "its rest says that %s was %s to %s, its readings show %s to %s", name.name, v.least, v.most, v.min, v.max)
		}
	}
	return nil
}

// maxWords bounds how many different words a describer remembers.
const maxWords = 1 << 14

// describer puts many readings in words with few allocations.
type describer struct {
	known map[string]string
	room  []FieldVerdict
}

// word returns a string that is equal, and often one that was there.
func (d *describer) word(s string) string {
	if w, ok := d.known[s]; ok {
		return w
	}
	if len(d.known) < maxWords {
		d.known[s] = s
	}
	return s
}

// fields fills in what depends on a reading's fields alone.
func (d *describer) fields(v *ReadingVerdict, fields []Field, shown *reading.Reading) {
	v.Whole = len(fields) != 0 && fields[0].Index == reading.IndexReading
	v.Authenticated = shown.Origin.Verdict.DeviceAuthenticated()
	v.vouched = shown.Origin.Verdict == reading.Vouched
	v.Late = shown.Origin.Transport == reading.TransportCSV
	n := len(fields)
	if v.Whole {
		n--
	}
	if cap(d.room)-len(d.room) < n {
		d.room = make([]FieldVerdict, 0, max(n, 1024))
	}
	at := len(d.room)
	for i := range fields {
		if fields[i].Index == reading.IndexReading {
			continue
		}
		f := fieldText(fields[i].Index, shown)
		f.Name, f.Unit, f.Value = d.word(f.Name), d.word(f.Unit), d.word(f.Value)
		d.room = append(d.room, f)
	}
	v.Fields = d.room[at:len(d.room):len(d.room)]
	if v.Fields == nil {
		v.Fields = []FieldVerdict{}
	}
}
