package proof

import (
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"cairn/ingest/reading"
	"cairn/merkle"
	"cairn/merkle/ledger"
)

// asked is a range to show of a site.
type asked struct {
	slot    uint64
	first   int   // the window before the range, -1: from the stream's beginning on
	windows []int // of the other summaries
	rests   []int // windows whose rests are shown
	fields  []int // of each reading; none: all
}

// next is the number after a stream's last reading of a window.
func (s *site) next(slot uint64, w int) uint64 {
	r := s.windows[w].streams[slot]
	return r.first + uint64(len(r.records))
}

// complete is a file of ranges under the head of this size, with its receipt and
// with all that the ledger had stated.
func (s *site) complete(t testing.TB, size int, all ...asked) *File {
	t.Helper()
	b := NewBuilder([32]byte(s.key.Public().(ed25519.PublicKey)), s.nonce)
	head := b.Head(s.head(t, size))
	last := 0
	for _, a := range all {
		windows, first := a.windows, uint64(0)
		if a.first >= 0 {
			windows, first = append([]int{a.first}, windows...), s.next(a.slot, a.first)
		}
		r := s.ofRange(t, b, head, size, a.slot, first, windows...)
		r.Readings = nil
		for w := range windows[len(windows)-1] + 1 {
			for _, rec := range s.windows[w].streams[a.slot].records {
				if rec.seq >= first {
					r.Readings = append(r.Readings, s.numbered(&rec, a.fields))
				}
			}
		}
		for k, w := range windows {
			if slices.Contains(a.rests, w) {
				b.Rest(r.Summaries[k], Shown{Item: s.windows[w].streams[a.slot].rest, Salt: salt("rest", a.slot, uint64(w))})
			}
			last = max(last, w)
		}
		r.From, r.To = s.spanOf(t, windows[0]).From, s.spanOf(t, windows[len(windows)-1]).To
		if a.first >= 0 {
			r.From = s.spanOf(t, a.first).To
		}
		b.Range(r)
	}
	for i := range s.windows[last].stated {
		s.tell(t, b, head, size, last, i)
	}
	data, err := s.receipt(t, size).MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	b.Receipt(Receipt{Route: "ethereum:1", Head: head, Kind: KindEthereum, Data: data})
	return b.File()
}

func (s *site) spanOf(t testing.TB, w int) ledger.Header {
	t.Helper()
	h, err := ledger.ParseHeader(s.windows[w].header)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// numbered shows fields of a record; none means all.
func (s *site) numbered(rec *record1, fields []int) Numbered {
	if len(fields) == 0 {
		for i := range rec.items {
			fields = append(fields, i)
		}
	}
	n := Numbered{Seq: rec.seq, Width: len(rec.leaves), Hidden: Cover(rec.leaves, fields)}
	for _, i := range fields {
		f := Field{Index: i, Salt: s.salts.Salt(rec.seq, i, len(rec.items))}
		if i > 0 {
			f.Item = rec.items[i]
		}
		n.Fields = append(n.Fields, f)
	}
	return n
}

// within lets a site's runs have honest rests, by the counters of its readings.
func (s *site) within() *site {
	s.rest = func(slot uint64, w int, sum *ledger.Summary) ledger.Rest {
		n := sum.Next - sum.First
		r := ledger.Rest{HasReceived: n > 0, Seen: n}
		var last uint64
		r.LostKnown = n > 0 && sum.First > 0
		for seq := sum.First; seq < sum.Next; seq++ {
			x := s.asMade(slot, seq, sum.From+int64(seq-sum.First)*1000)
			if seq == sum.First {
				r.From = x.Received
				if seq > 0 {
					last = s.asMade(slot, seq-1, 0).Origin.Counter
				}
			}
			r.To = x.Received
			switch c := x.Origin.Counter; {
			case seq == 0:
			case c <= last || c>>24 != last>>24:
				r.LostKnown = false
			default:
				r.Lost += c - last - 1
			}
			last = x.Origin.Counter
		}
		if n > 0 {
			fifty := []byte{0x18, 50}
			r.Ranges = []ledger.Range{{Name: "H", Unit: "%RH", Min: fifty, Max: fifty}}
		}
		return r
	}
	return s
}

func (s *site) asMade(slot, seq uint64, received int64) *reading.Reading {
	r := siteReading(slot, seq, received)
	if s.reading != nil {
		s.reading(slot, seq, r)
	}
	return r
}

// wantRange holds a verdict's only range and its outcome.
func wantRange(t *testing.T, v *Verdict, outcome Outcome, code Code) *RangeVerdict {
	t.Helper()
	if v.Outcome != outcome || v.Code != code {
		t.Fatalf("got %v %q, want %v %q\n%s", v.Outcome, v.Code, outcome, code, v.Text())
	}
	if len(v.Ranges) == 0 {
		return nil
	}
	if r := &v.Ranges[0]; r.Complete != (outcome == Verified) {
		t.Errorf("complete %v with outcome %v", r.Complete, outcome)
	}
	return &v.Ranges[0]
}

// TestRange: ranges with and without a beginning, of all fields, of some, and of
// none, empty, and over several streams, are complete.
func TestRange(t *testing.T) {
	s := newSite("range").within().build(8)
	some := []int{reading.IndexReceived, reading.IndexData}
	for _, c := range []struct {
		name string
		all  []asked
		by   string
		n    int
	}{
		{"from the beginning", []asked{{slot: 2, first: -1, windows: []int{0, 3, 7}}}, ByGatewayAndDevice, 36},
		{"one window", []asked{{slot: 2, first: 4, windows: []int{5}}}, ByGatewayAndDevice, 6},
		{"some fields", []asked{{slot: 2, first: 1, windows: []int{4, 6}, fields: some}}, ByGateway, 21},
		{"with rests", []asked{{slot: 2, first: 1, windows: []int{4, 5, 6}, rests: []int{4, 5, 6}}}, ByGatewayAndDevice, 21},
		{"no reading", []asked{{slot: 0, first: 2, windows: []int{3}}}, ByGateway, 0},
		{"no reading, from the beginning", []asked{{slot: 0, first: -1, windows: []int{0}}}, ByGatewayAndDevice, 3},
		{"two in a row", []asked{{slot: 2, first: -1, windows: []int{3}}, {slot: 2, first: 3, windows: []int{7}}}, ByGatewayAndDevice, 36},
		{"two streams", []asked{{slot: 2, first: 1, windows: []int{7}}, {slot: 5, first: 2, windows: []int{6}}}, ByGatewayAndDevice, -1},
	} {
		t.Run(c.name, func(t *testing.T) {
			file := mustEncode(t, s.complete(t, 8, c.all...))
			v := VerifyBytes(file, s.options(t, 8))
			r := wantRange(t, &v, Verified, "")
			if r.NumberedBy != c.by || len(v.Ranges) != len(c.all) {
				t.Errorf("got %d ranges numbered by %q, want %d by %q", len(v.Ranges), r.NumberedBy, len(c.all), c.by)
			}
			if n := len(v.Readings); c.n >= 0 && n != c.n {
				t.Errorf("got %d readings, want %d", n, c.n)
			}
			if len(r.Parts) == 0 || r.Parts[len(r.Parts)-1].NotAfter == nil {
				t.Errorf("parts %+v: the last has no time", r.Parts)
			}
			for i := range v.Readings {
				if x := &v.Readings[i]; x.Range == nil || x.Level != LevelAnchored || x.NotAfter == nil || x.BoundAs != "" && x.BoundAs != "fridge" {
					t.Fatalf("reading %d: %+v", i, x)
				}
			}
			if text := v.Text(); strings.Count(text, "\n") > 60 || !strings.Contains(text, "complete as numbered by the "+c.by) {
				t.Error(text)
			}
		})
	}
}

// TestRangeRefuses: whatever is left out, put in, turned round or taken from
// elsewhere is found, and named.
func TestRangeRefuses(t *testing.T) {
	s := newSite("range").within().build(8)
	fresh := func() *File {
		return s.complete(t, 8, asked{slot: 2, first: 1, windows: []int{3, 5, 6}, rests: []int{3}})
	}
	o := s.options(t, 8)
	begin := s.next(2, 1)
	r := func(f *File) *Range { return &f.Ranges[0] }
	for i := range fresh().Ranges[0].Readings {
		f := fresh()
		r(f).Readings = slices.Delete(r(f).Readings, i, i+1)
		v := Verify(f, o)
		if want := fmt.Sprintf("reading %d of stream 2 is missing", begin+uint64(i)); v.Code != CodeMissing || v.Level != LevelNone || !strings.Contains(v.Reason, want) {
			t.Errorf("without reading %d: %v %q %q", i, v.Level, v.Code, v.Reason)
		}
	}
	other := s.complete(t, 8, asked{slot: 5, first: 1, windows: []int{3, 5, 6}})
	for _, c := range []struct {
		name   string
		change func(f *File)
		code   Code
	}{
		{"several left out", func(f *File) { r(f).Readings = slices.Delete(r(f).Readings, 3, 7) }, CodeMissing},
		{"all left out", func(f *File) { r(f).Readings = nil }, CodeMissing},
		{"twice", func(f *File) { r(f).Readings = slices.Insert(r(f).Readings, 4, r(f).Readings[3]) }, CodeTwice},
		{"swapped", func(f *File) { x := r(f).Readings; x[2], x[5] = x[5], x[2] }, CodeOrder},
		{"swapped, and renumbered", func(f *File) {
			x := r(f).Readings
			x[0], x[1] = x[1], x[0]
			x[0].Seq, x[1].Seq = x[1].Seq, x[0].Seq
		}, CodeSequence},
		{"moved to the end", func(f *File) { x := r(f).Readings; r(f).Readings = append(slices.Delete(slices.Clone(x), 0, 1), x[0]) }, CodeOrder},
		{"one too many", func(f *File) {
			x := s.windows[7].streams[2].records[0]
			r(f).Readings = append(r(f).Readings, s.numbered(&x, nil))
		}, CodeBeyond},
		{"one from before", func(f *File) {
			x := s.windows[0].streams[2].records[0]
			r(f).Readings = append([]Numbered{s.numbered(&x, nil)}, r(f).Readings[1:]...)
		}, CodeMissing},
		{"a record root changed", func(f *File) { r(f).Readings[6] = Numbered{Seq: r(f).Readings[6].Seq, Hidden: Path{{1}}} }, CodeStream},
		{"the beginning changed", func(f *File) { r(f).Left = slices.Clone(r(f).Left); r(f).Left[0][3]++ }, CodeStream},
		{"begun later", func(f *File) {
			r(f).First++
			r(f).Left = make(Path, len(peaksOf(begin+1)))
			r(f).Readings = r(f).Readings[1:]
		}, CodeRange},
		{"summaries turned round", func(f *File) { x := r(f).Summaries; x[1], x[2] = x[2], x[1] }, CodeRange},
		{"another's summary", func(f *File) {
			b := Continue(f)
			at := b.Summary(other.Summaries[other.Ranges[0].Summaries[2]])
			b.File().Summaries[at].Batch = b.File().Summaries[r(f).Summaries[2]].Batch
			r(f).Summaries[2] = at
			*f = *b.File()
			f.Ranges[0].Summaries[2] = at
		}, ""},
		{"another's readings", func(f *File) { r(f).Readings = other.Ranges[0].Readings }, ""},
		{"a rest changed", func(f *File) {
			x := &f.Summaries[r(f).Summaries[1]]
			x.Rest = &Shown{Item: s.windows[3].streams[5].rest, Salt: x.Rest.Salt}
		}, CodeRest},
		{"overlapping", func(f *File) {
			again := f.Ranges[0]
			f.Ranges = append(f.Ranges, again)
		}, CodeTwice},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := fresh()
			c.change(f)
			v := Verify(f, o)
			if v.Outcome != Refused || v.Level != LevelNone || c.code != "" && v.Code != c.code {
				t.Errorf("got %v %v %q %q, want %q", v.Outcome, v.Level, v.Code, v.Reason, c.code)
			}
		})
	}
}

// TestRangeAndSingle: a reading stands in a range or alone, not both.
func TestRangeAndSingle(t *testing.T) {
	s := newSite("range").build(5)
	for w, code := range map[int]Code{0: "", 1: CodeTwice, 3: CodeTwice, 4: ""} {
		b := Continue(s.complete(t, 5, asked{slot: 2, first: 0, windows: []int{3}}))
		s.show(t, b, 0, 5, pick{window: w, slot: 2, at: 1})
		v := Verify(b.File(), s.options(t, 5))
		if v.Code != code || code == "" && v.Outcome != Verified {
			t.Errorf("with a reading of window %d: %v %q %s", w, v.Outcome, v.Code, v.Reason)
		}
		if code == "" && strings.Contains(strings.SplitN(v.Text(), "\n", 2)[0], "complete") {
			t.Errorf("a file that shows another reading is complete:\n%s", v.Text())
		}
	}
}

// TestTail: a claim that goes on after what is known cannot be checked, one that
// begins before it is refused, and a stream that ended has no tail.
func TestTail(t *testing.T) {
	s := newSite("tail").build(6)
	f := s.complete(t, 6, asked{slot: 2, first: 1, windows: []int{4}})
	f.Ranges[0].To += siteWindow
	v := Verify(f, s.options(t, 6))
	r := wantRange(t, &v, Unchecked, CodeTail)
	if g := r.Gaps[len(r.Gaps)-1]; g.Kind != GapTail || v.Level != LevelAnchored || v.Outcome.Exit() != 2 {
		t.Errorf("got %+v at level %v", g, v.Level)
	}
	f = s.complete(t, 6, asked{slot: 2, first: 1, windows: []int{4}})
	f.Ranges[0].From--
	v = Verify(f, s.options(t, 6))
	if wantRange(t, &v, Refused, CodeCoverage); v.Level != LevelAnchored {
		t.Errorf("level %v", v.Level)
	}
	f = s.complete(t, 6, asked{slot: 2, first: -1, windows: []int{4}})
	f.Ranges[0].From = 0
	v = Verify(f, s.options(t, 6))
	wantRange(t, &v, Verified, "")

	s = newSite("tail")
	s.summary = func(sum *ledger.Summary) { sum.Closed = sum.Slot == 2 && sum.From == siteStart+4*siteWindow }
	s.build(5)
	f = s.complete(t, 5, asked{slot: 2, first: 1, windows: []int{4}})
	f.Ranges[0].To += 1000 * siteWindow
	v = Verify(f, s.options(t, 5))
	if r := wantRange(t, &v, Verified, ""); !r.Closed || r.KnownUntil != "" {
		t.Errorf("a stream that ended: %+v", r)
	}

	// Without its last readings it shows less, and says so.
	f = s.complete(t, 5, asked{slot: 2, first: 1, windows: []int{3}})
	f.Ranges[0].To += siteWindow
	v = Verify(f, s.options(t, 5))
	wantRange(t, &v, Unchecked, CodeTail)
}

// TestCountersOfRange: frames lost and restarts are declared, or found.
func TestCountersOfRange(t *testing.T) {
	const at = 15 // number of the reading, of window 3
	build := func(counter func(seq uint64) uint64, st ...ledger.Statement) *site {
		s := newSite("counters")
		s.reading = func(slot, seq uint64, r *reading.Reading) { r.Origin.Counter = counter(seq) }
		s.grow = map[int][]ledger.Statement{4: st}
		return s.within().build(6)
	}
	lost := func(seq uint64) uint64 {
		if seq >= at {
			seq += 3
		}
		return 1<<24 + seq
	}
	anew := func(seq uint64) uint64 {
		if seq >= at {
			return 2<<24 + 500 + seq
		}
		return 1<<24 + seq
	}
	reboot := ledger.Reboot{Number: 2, Slot: 2, Sequence: at, Old: 1, New: 2}
	wrong := reboot
	wrong.New = 3
	for _, c := range []struct {
		name  string
		s     *site
		rests []int
		code  Code
		kind  string
	}{
		{"lost, declared", build(lost), []int{3}, "", GapLost},
		{"lost, not declared", build(lost), nil, CodeCounters, GapLost},
		{"lost, declared elsewhere", build(lost), []int{4}, CodeCounters, GapLost},
		{"anew, stated", build(anew, reboot.Statement(siteStart)), nil, "", GapReboot},
		{"anew, declared", build(anew), []int{3}, "", GapReboot},
		{"anew, not declared", build(anew), nil, CodeCounters, GapReboot},
		{"anew, another restart stated", build(anew, wrong.Statement(siteStart)), nil, CodeCounters, GapReboot},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := c.s.complete(t, 6, asked{slot: 2, first: 1, windows: []int{3, 4, 5}, rests: c.rests})
			v := Verify(f, c.s.options(t, 6))
			outcome := Verified
			if c.code != "" {
				outcome = Refused
			}
			r := wantRange(t, &v, outcome, c.code)
			if len(r.Gaps) != 1 || r.Gaps[0].Kind != c.kind || r.Gaps[0].Declared != (c.code == "") || *r.Gaps[0].AfterSequence != at-1 || r.NumberedBy != ByGateway {
				t.Errorf("gaps %+v, numbered by %s", r.Gaps, r.NumberedBy)
			}
			if v.Level != LevelAnchored {
				t.Errorf("level %v", v.Level)
			}
			f.Ranges[0].Readings = c.s.complete(t, 6, asked{slot: 2, first: 1, windows: []int{5}, fields: []int{reading.IndexData}}).Ranges[0].Readings
			if v := Verify(f, c.s.options(t, 6)); v.Ranges[0].DeviceCounters != "not shown" || v.Outcome != Verified {
				t.Errorf("without counters: %v %q", v.Outcome, v.Ranges[0].DeviceCounters)
			}
		})
	}
}

// TestRestOfRange: a rest that its readings contradict is false.
func TestRestOfRange(t *testing.T) {
	for name, change := range map[string]func(*ledger.Rest){
		"first stamp": func(r *ledger.Rest) { r.From++ },
		"last stamp":  func(r *ledger.Rest) { r.To-- },
		"seen":        func(r *ledger.Rest) { r.Seen++ },
		"least":       func(r *ledger.Rest) { r.Ranges[0].Min = []byte{0x18, 49} },
		"most":        func(r *ledger.Rest) { r.Ranges[0].Max = []byte{0x18, 51} },
		"too little":  func(r *ledger.Rest) { r.Ranges[0].Min, r.Ranges[0].Max = []byte{0x18, 40}, []byte{0x18, 41} },
		"no reading":  func(r *ledger.Rest) { *r = ledger.Rest{Seen: r.Seen} },
	} {
		s := newSite("rest").within()
		honest := s.rest
		s.rest = func(slot uint64, w int, sum *ledger.Summary) ledger.Rest {
			r := honest(slot, w, sum)
			if slot == 2 && w == 2 {
				change(&r)
			}
			return r
		}
		s.build(4)
		v := Verify(s.complete(t, 4, asked{slot: 2, first: 0, windows: []int{2, 3}, rests: []int{2}}), s.options(t, 4))
		if v.Code != CodeRest || v.Level != LevelNone {
			t.Errorf("%s: %v %q %s", name, v.Level, v.Code, v.Reason)
		}
	}
}

// TestWindowsOfRange: windows that the log lacks are declared, or found.
func TestWindowsOfRange(t *testing.T) {
	// Window 3 is followed by one batch for six windows, as after a stop.
	shift := func(w int) (int64, int64) {
		from := siteStart + int64(w)*siteWindow
		switch {
		case w == 4:
			return from, from + 6*siteWindow
		case w > 4:
			return from + 5*siteWindow, from + 6*siteWindow
		}
		return from, from + siteWindow
	}
	// The same with no batch for that time at all.
	skip := func(w int) (int64, int64) {
		from := siteStart + int64(w)*siteWindow
		if w >= 4 {
			from += 6 * siteWindow
		}
		return from, from + siteWindow
	}
	stop, again := siteStart+4*siteWindow-20_000, siteStart+10*siteWindow+7000
	gap := func(from, to, at int64) ledger.Statement {
		return ledger.Outage{Gap: ledger.Gap{From: from, To: to, Reason: "the gateway was not running"}, Missed: 6}.Statement(at)
	}
	clock := func(was, now, at int64) ledger.Statement {
		return ledger.ClockStep{Was: was, Now: now, Reason: "the clock stepped"}.Statement(at)
	}
	in := func(from, to int64) []ledger.Gap { return []ledger.Gap{{From: from, To: to, Reason: "windows missed"}} }
	for _, c := range []struct {
		name   string
		span   func(int) (int64, int64)
		st     []ledger.Statement
		gaps   []ledger.Gap // in the rest of window 4
		listed []int
		code   Code
	}{
		{"not declared", shift, nil, nil, []int{3, 4, 6}, CodeGap},
		{"not declared, not listed", shift, nil, nil, []int{6}, CodeGap},
		{"stated", shift, []ledger.Statement{gap(stop, again, again)}, nil, []int{3, 4, 6}, ""},
		{"stated, not listed", shift, []ledger.Statement{gap(stop, again, again)}, nil, []int{6}, ""},
		{"stated in part", shift, []ledger.Statement{gap(stop, again-3*siteWindow, again)}, nil, []int{6}, CodeGap},
		{"stated before it was", shift, []ledger.Statement{gap(stop, again, stop)}, nil, []int{6}, CodeGap},
		{"stated of another time", shift, []ledger.Statement{gap(0, stop-10*siteWindow, again)}, nil, []int{6}, CodeGap},
		{"short stops that add up", shift, []ledger.Statement{
			gap(siteStart+2*siteWindow+1000, siteStart+3*siteWindow-1000, again), gap(siteStart+3*siteWindow+1000, siteStart+4*siteWindow-1000, again),
			gap(siteStart+4*siteWindow+1000, siteStart+5*siteWindow-1000, again), gap(siteStart+5*siteWindow+1000, siteStart+6*siteWindow-1000, again),
			gap(siteStart+6*siteWindow+1000, siteStart+7*siteWindow-1000, again), gap(siteStart+7*siteWindow+1000, siteStart+8*siteWindow-1000, again),
		}, nil, []int{6}, CodeGap},
		{"declared by its rest", shift, nil, in(siteStart+4*siteWindow, siteStart+10*siteWindow), []int{3, 4, 6}, ""},
		{"declared by another's rest", skip, nil, in(0, siteStart+100*siteWindow), []int{3, 4, 6}, CodeGap},
		{"a clock's step", shift, []ledger.Statement{clock(stop, again, again)}, nil, []int{6}, ""},
		{"a clock's step back", shift, []ledger.Statement{clock(again, stop, again)}, nil, []int{6}, CodeGap},
		{"batches hidden", skip, nil, nil, []int{3, 4, 6}, CodeGap},
		{"batches hidden, not listed", skip, nil, nil, []int{6}, CodeGap},
		{"batches hidden behind a stop", skip, []ledger.Statement{gap(stop, again, again)}, nil, []int{6}, CodeGap},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSite("windows").within()
			s.span, s.grow = c.span, map[int][]ledger.Statement{5: c.st}
			s.many = func(slot uint64, w int) int { return perWindow(slot, w) % 3 }
			honest := s.rest
			s.rest = func(slot uint64, w int, sum *ledger.Summary) ledger.Rest {
				r := honest(slot, w, sum)
				if w == 4 {
					r.Gaps = c.gaps
				}
				return r
			}
			s.build(7)
			f := s.complete(t, 7, asked{slot: 2, first: 1, windows: c.listed, rests: []int{4}})
			v := Verify(f, s.options(t, 7))
			outcome := Verified
			if c.code != "" {
				outcome = Refused
			}
			r := wantRange(t, &v, outcome, c.code)
			if v.Level != LevelAnchored || len(r.Gaps) == 0 || len(r.Findings) != 0 && r.Gaps[len(r.Gaps)-1].Declared {
				t.Errorf("level %v, gaps %+v", v.Level, r.Gaps)
			}
			f.Statements = slices.DeleteFunc(f.Statements, func(s Statement) bool { return s.Index == 0 })
			v = Verify(f, s.options(t, 7))
			wantRange(t, &v, Unchecked, CodeWindowUnknown)
		})
	}
}

// TestMoreWindows: a log with more batches than time has windows is found.
func TestMoreWindows(t *testing.T) {
	for _, listed := range [][]int{{2, 3, 5}, {5}} {
		s := newSite("more")
		s.many = func(uint64, int) int { return 1 }
		s.span = func(w int) (int64, int64) {
			from := siteStart + int64(w)*siteWindow
			switch {
			case w == 3:
				return from, from + siteWindow/2
			case w > 3:
				from -= siteWindow / 2
			}
			return from, from + siteWindow
		}
		s.build(6)
		v := Verify(s.complete(t, 6, asked{slot: 2, first: 1, windows: listed}), s.options(t, 6))
		wantRange(t, &v, Refused, CodeWindows)
	}
}

// TestSteppedClock: readings of a clock that stepped are near a statement, or of
// one instant.
func TestSteppedClock(t *testing.T) {
	at := siteStart + 3*siteWindow
	step := ledger.ClockStep{Was: at + 2000, Now: at - 5000, Reason: "the clock stepped"}
	far := ledger.ClockStep{Was: at - 40*siteWindow, Now: at - 39*siteWindow, Reason: "the clock stepped"}
	for _, c := range []struct {
		name string
		n    uint64
		st   []ledger.Statement
		code Code
	}{
		{"stated", 3, []ledger.Statement{step.Statement(at)}, ""},
		{"not stated", 3, nil, CodeClock},
		{"another stated", 3, []ledger.Statement{far.Statement(at)}, CodeClock},
		{"of one instant", 1, nil, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSite("clock")
			s.reading = func(slot, seq uint64, r *reading.Reading) {
				if first := uint64(13); seq >= first && seq < first+c.n {
					r.Clock = reading.Stepped
				}
			}
			s.grow = map[int][]ledger.Statement{4: c.st}
			s.build(5)
			v := Verify(s.complete(t, 5, asked{slot: 2, first: 1, windows: []int{4}}), s.options(t, 5))
			outcome := Verified
			if c.code != "" {
				outcome = Refused
			}
			r := wantRange(t, &v, outcome, c.code)
			if g := r.Gaps[len(r.Gaps)-1]; g.Kind != GapClock || g.Count != c.n || g.Declared != (c.code == "") {
				t.Errorf("gaps %+v", r.Gaps)
			}
		})
	}
}

// TestReceivedOfRange: stamps do not go back, and lie where the summaries are.
func TestReceivedOfRange(t *testing.T) {
	for name, c := range map[string]struct {
		by     int64
		listed []int
		code   Code
	}{
		"back":                 {-1500, []int{2, 4}, CodeBackwards},
		"out of its window":    {-2 * siteWindow, []int{2, 3, 4}, CodeReceived},
		"between the windows":  {-3 * siteWindow, []int{2, 4}, CodeReceived},
		"before all that came": {-siteStart, []int{4}, CodeReceived},
	} {
		s := newSite("received")
		s.reading = func(slot, seq uint64, r *reading.Reading) {
			if slot == 2 && seq == 16 { // the third of window 3
				r.Received = max(0, r.Received+c.by)
			}
		}
		s.build(5)
		v := Verify(s.complete(t, 5, asked{slot: 2, first: 1, windows: c.listed}), s.options(t, 5))
		if v.Code != c.code || v.Level != LevelNone {
			t.Errorf("%s: %v %q %s", name, v.Level, v.Code, v.Reason)
		}
	}
}

// TestRunAndStream: a gateway that tells of other readings in a run than in the
// stream is found, if the run is listed.
func TestRunAndStream(t *testing.T) {
	for what, change := range map[string]func(*ledger.Summary){
		"run":    func(s *ledger.Summary) { s.Run[0]++ },
		"stream": func(s *ledger.Summary) { s.Stream[0]++ },
	} {
		s := newSite("two")
		s.summary = func(sum *ledger.Summary) {
			if sum.Slot == 2 && sum.From == siteStart+2*siteWindow {
				change(sum)
			}
		}
		s.build(5)
		v := Verify(s.complete(t, 5, asked{slot: 2, first: 0, windows: []int{2, 4}}), s.options(t, 5))
		want := map[string]Code{"run": CodeRunRoot, "stream": CodeStream}[what]
		if v.Code != want {
			t.Errorf("%s: %q %s", what, v.Code, v.Reason)
		}
	}
}

// TestChangedPast: who has the log's key, and makes the past anew after it was
// anchored, gets no complete proof of it.
func TestChangedPast(t *testing.T) {
	a := asked{slot: 2, first: 0, windows: []int{2, 4}}
	honest := newSite("past").build(5)
	forged := newSite("past")
	forged.reading = func(slot, seq uint64, r *reading.Reading) {
		if slot == 2 && seq == 12 {
			r.Measurements[0].Value = reading.Int(4)
		}
	}
	forged.build(5)
	o := honest.options(t, 5)
	was, is := honest.complete(t, 5, a), forged.complete(t, 5, a)
	if v := Verify(was, o); v.Outcome != Verified || !v.Ranges[0].Complete {
		t.Fatal(v.Text())
	}
	for _, c := range []struct {
		name string
		make func() *File
		code Code
	}{
		{"with its own anchor", func() *File { return is }, CodeNotTrusted},
		{"with the anchor that was", func() *File { f := *is; f.Receipts = was.Receipts; return &f }, CodeReceiptRoot},
		{"under the head that was", func() *File { f := *is; f.Heads, f.Receipts = was.Heads, was.Receipts; return &f }, CodeLog},
		{"with both heads", func() *File {
			f := *is
			f.Heads, f.Receipts = append(slices.Clone(is.Heads), was.Heads[0]), slices.Clone(was.Receipts)
			f.Receipts[0].Head = 1
			return &f
		}, CodeFork}, // as with an old database that was restored
		{"the readings that are, in the log that was", func() *File { f := *was; f.Ranges = is.Ranges; return &f }, CodeStream},
		{"the summaries too", func() *File { f := *was; f.Ranges, f.Summaries = is.Ranges, is.Summaries; return &f }, CodeBatchRoot},
		{"without an anchor", func() *File { f := *is; f.Receipts = nil; return &f }, CodeNoReceipt},
	} {
		if v := Verify(c.make(), o); v.Outcome == Verified || v.Code != c.code || v.Level >= LevelLate {
			t.Errorf("%s: %v %v %q %s", c.name, v.Outcome, v.Level, v.Code, v.Reason)
		}
	}
}

// TestRangeAnyOther: random streams and ranges, each with one thing that is
// different, never pass.
func TestRangeAnyOther(t *testing.T) {
	rnd := rand.New(rand.NewPCG(4, 14))
	for round := range 12 {
		s := newSite(fmt.Sprint("any", round)).within()
		sizes := make([]int, 8)
		for i := range sizes {
			sizes[i] = rnd.IntN(7)
		}
		s.many = func(slot uint64, w int) int { return sizes[(w+int(slot))%8] }
		s.build(8)
		o := s.options(t, 8)
		for range 12 {
			first := rnd.IntN(7) - 1
			last := first + 1 + rnd.IntN(7-first)
			a := asked{slot: siteSlots[rnd.IntN(3)], first: first, fields: []int{reading.IndexReceived, reading.IndexOrigin, reading.IndexData}}
			for w := first + 1; w <= last; w++ {
				if w == last || rnd.IntN(2) == 0 || w == 0 {
					a.windows = append(a.windows, w)
				}
			}
			f := s.complete(t, 8, a)
			whole := mustEncode(t, f)
			if v := VerifyBytes(whole, o); v.Outcome != Verified || !v.Ranges[0].Complete {
				t.Fatalf("%+v: %s", a, v.Text())
			}
			for what := range 8 {
				g, err := Decode(whole)
				if err != nil {
					t.Fatal(err)
				}
				if !mutate(rnd, &g.Ranges[0], g, what) {
					continue
				}
				if v := Verify(g, o); v.Outcome == Verified {
					t.Fatalf("%+v with change %d: %s", a, what, v.Text())
				}
			}
		}
	}
}

// mutate changes one thing of a range; false if it has no such.
func mutate(rnd *rand.Rand, r *Range, f *File, what int) bool {
	n := len(r.Readings)
	if n < 2 && what < 6 {
		return false
	}
	i, k := 0, 0
	if n > 0 {
		i, k = rnd.IntN(n), rnd.IntN(n)
	}
	switch what {
	case 0:
		r.Readings = slices.Delete(r.Readings, i, i+1)
	case 1:
		r.Readings = slices.Insert(r.Readings, k, r.Readings[i])
	case 2:
		r.Readings[i], r.Readings[(i+1)%n] = r.Readings[(i+1)%n], r.Readings[i]
	case 3:
		r.Readings[i].Fields[rnd.IntN(len(r.Readings[i].Fields))].Salt[rnd.IntN(16)] ^= 1 << rnd.IntN(8)
	case 4:
		r.Readings[i].Hidden[rnd.IntN(len(r.Readings[i].Hidden))][rnd.IntN(merkle.HashSize)] ^= 1 << rnd.IntN(8)
	case 5:
		r.Readings[i].Seq += uint64(1 + rnd.IntN(9))
	case 6:
		if len(r.Left) == 0 {
			return false
		}
		r.Left[rnd.IntN(len(r.Left))][rnd.IntN(merkle.HashSize)] ^= 1 << rnd.IntN(8)
	case 7:
		s := &f.Summaries[r.Summaries[rnd.IntN(len(r.Summaries))]]
		s.Item = slices.Clone(s.Item)
		s.Item[len(s.Item)-1-rnd.IntN(100)] ^= 1 << rnd.IntN(8)
	}
	return true
}

// TestRangeJSON: the verdict's lists are there, empty or not.
func TestRangeJSON(t *testing.T) {
	s := newSite("json").build(3)
	v := Verify(s.complete(t, 3, asked{slot: 2, first: 0, windows: []int{2}}), s.options(t, 3))
	var m struct {
		Ranges []map[string]any
	}
	if err := json.Unmarshal(v.JSON(), &m); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"stream", "first", "next", "readings", "from", "to", "fromWindow", "knownUntil", "complete", "closed", "numberedBy", "deviceCounters", "parts", "gaps", "findings", "lateStreams"} {
		if x, ok := m.Ranges[0][key]; !ok || x == nil {
			t.Errorf("%s is %v", key, x)
		}
	}
}

// TestBindings: a device that was bound twice has two ranges, and the text says
// when it was not bound.
func TestBindings(t *testing.T) {
	s := newSite("bindings")
	device := siteReading(2, 0, 0).Device
	s.statement = func(i int, st *ledger.Statement) {
		if slot, ok := st.Uint("slot"); ok && slot == 5 {
			st.Body["device"] = device
		}
	}
	s.reading = func(_, _ uint64, r *reading.Reading) { r.Device = device }
	s.many = func(slot uint64, w int) int {
		if slot == 2 && w > 2 || slot == 5 && w < 5 {
			return 0
		}
		return 2
	}
	s.summary = func(sum *ledger.Summary) { sum.Closed = sum.Slot == 2 && sum.From == siteStart+2*siteWindow }
	s.build(7)
	f := s.complete(t, 7, asked{slot: 2, first: -1, windows: []int{0, 2}}, asked{slot: 5, first: -1, windows: []int{5, 6}})
	f.Ranges[0].From, f.Ranges[1].From = siteStart, siteStart
	f.Ranges[0].To, f.Ranges[1].To = siteStart+7*siteWindow, siteStart+7*siteWindow
	// Slot 0 of the site is another device's; the file does not show it.
	v := Verify(f, s.options(t, 7))
	if wantRange(t, &v, Verified, ""); len(v.Ranges) != 2 || v.Ranges[0].Device != device || v.Ranges[1].Device != device {
		t.Fatalf("%+v", v.Ranges)
	}
	want := fmt.Sprintf("not bound    from %s to %s", timeText(siteStart+3*siteWindow), timeText(siteStart+5*siteWindow))
	if text := v.Text(); !strings.Contains(text, want) {
		t.Errorf("no %q in\n%s", want, text)
	}
}

// TestManySpans: however many declared gaps a file has, its ranges are judged in
// little time.
func TestManySpans(t *testing.T) {
	const n = 200_000
	d := declarations{window: siteWindow}
	for i := range int64(n) {
		from := siteStart + i*10*siteWindow
		d.spans = append(d.spans, declaredSpan{kind: GapDown, from: from, to: from + 3*siteWindow})
	}
	d.cover = newDeclaredTime(d.spans, siteWindow)
	for i := range int64(n) {
		from := siteStart + i*10*siteWindow
		got := d.cover.windows(from-siteWindow, from+4*siteWindow)
		if want := d.cover.missing(&d.cover.pieces[i], from, from+3*siteWindow); got != want || got > 2 {
			t.Fatalf("span %d: %d windows, want %d", i, got, want)
		}
	}
	all := uint64(0)
	for i := range d.cover.pieces {
		all += d.cover.missing(&d.cover.pieces[i], 0, 1<<60)
	}
	if got := d.cover.windows(0, 1<<60); got != all {
		t.Errorf("all: %d windows, want %d", got, all)
	}
	if d.cover.windows(siteStart+4*siteWindow, siteStart+9*siteWindow) != 0 || d.cover.windows(0, siteStart) != 0 || !d.cover.holds(siteStart, siteStart+1) || d.cover.holds(siteStart, siteStart+4*siteWindow) {
		t.Error("windows are missing where nothing is declared")
	}
}

// TestJump: a clock that jumped over 32 days leaves no batch for that time.
func TestJump(t *testing.T) {
	for back, code := range map[bool]Code{false: "", true: CodeGap} {
		s := newSite("jump")
		const far = 40 * 24 * 60
		s.many = func(uint64, int) int { return 1 }
		s.span = func(w int) (int64, int64) {
			from := siteStart + int64(w)*siteWindow
			if w > 2 {
				from += far * siteWindow
			}
			return from, from + siteWindow
		}
		was, now := siteStart+3*siteWindow, siteStart+(3+far)*siteWindow+5000
		if back {
			was, now = now, was
		}
		s.grow = map[int][]ledger.Statement{3: {ledger.ClockStep{Was: was, Now: now, Reason: "the clock jumped"}.Statement(now)}}
		s.build(5)
		v := Verify(s.complete(t, 5, asked{slot: 2, first: 0, windows: []int{4}}), Options{Policy: s.policy(), Trust: s.pinned(t, 5), Require: LevelPending})
		if v.Code != code && !(code == "" && v.Outcome == Verified) {
			t.Errorf("back %v: %v %q %s", back, v.Outcome, v.Code, v.Reason)
		}
	}
}
