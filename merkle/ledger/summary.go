package ledger

import (
	"cairn/merkle"
	"cairn/merkle/cbor"
)

// Limits of a summary and its rest.
const (
	MaxSummary = 256   // bytes of a summary
	MaxRest    = 65536 // bytes of a rest
	MaxRanges  = 512   // pairs of name and unit in a rest
	MaxGaps    = 128   // gaps in a rest
	MaxReason  = 128   // bytes of a reason
)

const (
	summaryType = "cairn/summary/1"
	restType    = "cairn/rest/1"
)

// Summary is what a batch says about one stream.
type Summary struct {
	Slot     uint64
	From, To int64 // the window, Unix milliseconds
	// First is the sequence number of the window's first reading, Next the one
	// after its last. They are equal when none came.
	First, Next uint64
	Closed      bool        // the stream gets no more readings
	Run         merkle.Hash // root over the window's reading entries
	Stream      merkle.Hash // root over all Next reading entries of the stream
	Hidden      merkle.Hash // Hide of the rest
}

// Append appends the item. It allocates nothing where dst has room for
// MaxSummary bytes.
func (s Summary) Append(dst []byte) []byte {
	dst = appendOpen(dst, 10, summaryType)
	dst = appendTime(appendTime(cbor.AppendUint(dst, s.Slot), s.From), s.To)
	dst = appendBool(cbor.AppendUint(cbor.AppendUint(dst, s.First), s.Next), s.Closed)
	return appendHash(appendHash(appendHash(dst, &s.Run), &s.Stream), &s.Hidden)
}

// ParseSummary parses a summary item. It accepts just what Append writes of a
// summary whose window and numbers do not run backwards, and whose empty trees
// have the empty root.
func ParseSummary(item []byte) (Summary, error) {
	d := decode("summary", item, MaxSummary, 10, summaryType)
	s := Summary{
		Slot: d.Uint63("the slot"),
		From: d.time("the window's begin"), To: d.time("the window's end"),
		First: d.Uint63("the first number"), Next: d.Uint63("the next number"),
		Closed: d.Bool("closed"),
		Run:    d.hash("the run's root"), Stream: d.hash("the stream's root"), Hidden: d.hash("the hidden rest"),
	}
	d.require(s.From <= s.To, "the window ends before it begins")
	d.require(s.First <= s.Next, "the next number is below the first")
	d.require(s.First != s.Next || s.Run == merkle.EmptyRoot(), "an empty run has another root than the empty one")
	d.require(s.Next != 0 || s.Stream == merkle.EmptyRoot(), "an empty stream has another root than the empty one")
	return finish(d, s)
}

// Rest is what a summary hides.
type Rest struct {
	From, To    int64 // the stamps of the first and last reading of the window; count only with HasReceived
	HasReceived bool
	Ranges      []Range
	Seen        uint64 // device counters that came
	Lost        uint64 // device counters missing in between; counts only with LostKnown
	LostKnown   bool   // false across a reboot, or where the device has no counter
	Gaps        []Gap  // declared
}

// Range holds the least and the greatest value measured under a name and unit,
// each a number in the value coding of a reading.
type Range struct {
	Name, Unit string
	Min, Max   []byte
}

// Gap is a span of time of which the gateway says itself that it took no
// readings.
type Gap struct {
	From, To int64 // Unix milliseconds
	Reason   string
}

// Append appends the item.
func (r Rest) Append(dst []byte) []byte {
	dst = appendOpen(dst, 7, restType)
	dst = appendOptional(appendOptional(dst, uint64(r.From), r.HasReceived), uint64(r.To), r.HasReceived)
	dst = cbor.AppendHead(dst, cbor.Array, uint64(len(r.Ranges)))
	for i := range r.Ranges {
		p := &r.Ranges[i]
		dst = cbor.AppendText(cbor.AppendText(append(dst, cbor.Array|4), p.Name), p.Unit)
		dst = append(append(dst, p.Min...), p.Max...)
	}
	dst = appendOptional(cbor.AppendUint(dst, r.Seen), r.Lost, r.LostKnown)
	dst = cbor.AppendHead(dst, cbor.Array, uint64(len(r.Gaps)))
	for i := range r.Gaps {
		g := &r.Gaps[i]
		dst = appendTime(appendTime(append(dst, cbor.Array|3), g.From), g.To)
		dst = cbor.AppendText(dst, g.Reason)
	}
	return dst
}

func appendOptional(dst []byte, n uint64, has bool) []byte {
	if !has {
		return append(dst, cbor.Null)
	}
	return cbor.AppendUint(dst, n)
}

// ParseRest parses a rest item. The values in its ranges are parts of item.
func ParseRest(item []byte) (Rest, error) {
	d := decode("rest", item, MaxRest, 7, restType)
	var r Rest
	if r.HasReceived = !d.Null(); r.HasReceived {
		r.From, r.To = d.time("the first stamp"), d.time("the last stamp")
		d.require(r.From <= r.To, "the last stamp is before the first")
	} else if !d.Null() {
		d.Fail(ErrInvalid, "it has a last stamp but no first")
	}
	r.Ranges = d.ranges()
	d.require(r.HasReceived || len(r.Ranges) == 0, "it has values but no readings")
	r.Seen = d.Uint("the counters seen")
	if r.LostKnown = !d.Null(); r.LostKnown {
		r.Lost = d.Uint("the counters lost")
	}
	r.Gaps = d.gaps()
	return finish(d, r)
}

// ranges reads the values of a rest, in any order but each name and unit once.
func (d *decoder) ranges() (all []Range) {
	type key struct{ name, unit string }
	seen := make(map[key]bool)
	for range d.Array(MaxRanges, "ranges") {
		d.Tuple(4, "a range")
		r := Range{
			Name: d.printable(32, "a name"), Unit: d.printable(16, "a unit"),
			Min: d.number("a least value"), Max: d.number("a greatest value"),
		}
		d.require(r.Name != "", "a name is empty")
		d.require(!seen[key{r.Name, r.Unit}], "a name and unit come twice")
		if d.Err != nil {
			return nil
		}
		seen[key{r.Name, r.Unit}] = true
		all = append(all, r)
	}
	return all
}

func (d *decoder) gaps() (all []Gap) {
	for range d.Array(MaxGaps, "gaps") {
		d.Tuple(3, "a gap")
		g := Gap{From: d.time("a gap's begin"), To: d.time("a gap's end"), Reason: d.Text(MaxReason, "a reason")}
		d.require(g.From <= g.To, "a gap ends before it begins")
		if d.Err != nil {
			return nil
		}
		all = append(all, g)
	}
	return all
}
