package proof

import (
	"bytes"
	"reflect"
	"slices"
	"strings"
	"testing"

	"cairn/merkle"
	"cairn/merkle/ledger"
)

// saying makes a site whose statements 1 and 3, otherwise bindings of other streams, are
// these, and a file that shows them with readings of stream 2.
func saying(t *testing.T, first, second ledger.Statement) (*File, Options) {
	t.Helper()
	s := newSite("a")
	s.statement = func(i int, st *ledger.Statement) {
		switch i {
		case 1:
			*st = first
		case 3:
			*st = second
		}
	}
	s.build(5)
	f := s.file(t, 5, pick{window: 4, slot: 2, at: 0})
	for _, i := range []uint64{1, 3} {
		path, err := merkle.ProveInclusion(s.statements, i, uint64(len(s.statements)))
		if err != nil {
			t.Fatal(err)
		}
		f.Statements = append(f.Statements, Statement{Index: i, Item: s.bound[i].Append(nil), Salt: salt("statement", i, 0), Path: path})
	}
	return f, s.options(t, 5)
}

// tellIn adds a statement to a file as the batch of a window has it, which is there.
func (s *site) tellIn(t *testing.T, f *File, w, i int) {
	t.Helper()
	win := &s.windows[w]
	at := slices.IndexFunc(f.Batches, func(b Batch) bool { return bytes.Equal(b.Header, win.header) })
	f.Batches[at].Statements = &Shown{Item: win.stateItem, Salt: salt("header", uint64(w), 4)}
	path, err := merkle.ProveInclusion(s.statements, uint64(i), uint64(win.stated))
	if err != nil {
		t.Fatal(err)
	}
	f.Statements = append(f.Statements, Statement{Batch: at, Index: uint64(i), Item: s.bound[i].Append(nil), Salt: salt("statement", uint64(i), 0), Path: path})
}

func TestPlaced(t *testing.T) {
	place := ledger.Placed{Number: 2, Slot: 2, Place: "kitchen", Thing: "fridge"}
	for name, c := range map[string]struct {
		second ledger.Statement
		want   *PlacedVerdict
	}{
		"a photo": {ledger.Attachment{Number: 2, Slot: 2, What: ledger.AttachPhoto, Name: "a.jpg", Digest: [32]byte{1}}.Statement(siteStart),
			&PlacedVerdict{Place: "kitchen", Thing: "fridge", Notes: []string{"photo a.jpg, SHA-256 01" + strings.Repeat("00", 31)}}},
		"a calibration": {ledger.Calibration{Number: 2, Slot: 2, By: "Eich AG", Calibrated: siteStart, Field: "T", Offset: "-0.25"}.Statement(siteStart),
			&PlacedVerdict{Place: "kitchen", Thing: "fridge", Notes: []string{"calibrated by Eich AG at " + timeText(siteStart) + ", add -0.25 to T"}}},
		"of another stream": {ledger.Placed{Number: 5, Slot: 5, Place: "hall"}.Statement(siteStart), &PlacedVerdict{Place: "kitchen", Thing: "fridge"}},
	} {
		f, o := saying(t, place.Statement(siteStart), c.second)
		v := Verify(f, o)
		if v.Outcome != Verified || len(v.Readings) == 0 || !reflect.DeepEqual(v.Readings[0].Placed, c.want) {
			t.Errorf("%s: %v, %+v", name, v.Outcome, v.Readings[0].Placed)
		}
		for _, line := range c.want.Notes {
			if !strings.Contains(v.Text(), line) {
				t.Errorf("%s: the text does not say %q", name, line)
			}
		}
	}
	f, o := saying(t, place.Statement(siteStart), ledger.Placed{Number: 2, Slot: 2, Place: "hall"}.Statement(siteStart))
	wantRefused(t, Verify(f, o), CodeBinding)

	// A name that would steer a terminal is quoted.
	steering := ledger.Placed{Number: 2, Slot: 2, Place: "a\u009b2Jb\u202ec"}
	f, o = saying(t, steering.Statement(siteStart), ledger.Placed{Number: 5, Slot: 5, Place: "hall"}.Statement(siteStart))
	v := Verify(f, o)
	if text := v.Text(); v.Outcome != Verified || strings.ContainsAny(text, "\u009b\u202e") {
		t.Errorf("%v, the text steers:\n%q", v.Outcome, text)
	}
}

// TestPlacedRange: a range says where its device was, and from which reading on what was
// recorded later was there. Its readings do not say it again.
func TestPlacedRange(t *testing.T) {
	photo := func(name string) ledger.Statement {
		return ledger.Attachment{Number: 2, Slot: 2, What: ledger.AttachPhoto, Name: name}.Statement(siteStart)
	}
	hash := ", SHA-256 " + strings.Repeat("00", 32)
	s := newSite("placed range")
	s.statement = func(i int, st *ledger.Statement) {
		switch i {
		case 1:
			*st = ledger.Placed{Number: 2, Slot: 2, Place: "kitchen", Thing: "fridge"}.Statement(siteStart)
		case 3:
			*st = photo("0")
		}
	}
	s.grow = map[int][]ledger.Statement{4: {photo("4")}, 7: {photo("")}}
	s.many = func(uint64, int) int { return 2 }
	s.build(8)
	// shown says what the first range says of its installation if these windows show the
	// statements of the opening, of window 4, and of window 7; -1: none does.
	shown := func(all []asked, by ...int) (*PlacedVerdict, Verdict) {
		f := s.complete(t, 8, all...)
		f.Statements = nil
		for i := range f.Batches {
			f.Batches[i].Statements = nil
		}
		for i, w := range slices.Concat([]int{by[0], by[0], by[0]}, by) {
			if w >= 0 {
				s.tellIn(t, f, w, i)
			}
		}
		v := Verify(f, s.options(t, 8))
		return wantRange(t, &v, Verified, "").Placed, v
	}
	for _, c := range []struct {
		name string
		all  []asked
		by   []int
		want []string
	}{
		{"from the beginning", []asked{{slot: 2, first: -1, windows: []int{0, 5, 7}}}, []int{0, 5, 7}, []string{"photo 0" + hash, "photo 4" + hash + ", recorded by reading 10 at the latest", "photo" + hash + ", recorded by reading 14 at the latest"}},
		{"later", []asked{{slot: 2, first: 4, windows: []int{5, 7}}}, []int{4, 4, 7}, []string{"photo 0" + hash, "photo 4" + hash, "photo" + hash + ", recorded by reading 14 at the latest"}},
		{"in the window of all readings", []asked{{slot: 2, first: 4, windows: []int{5}}}, []int{4, 5, -1}, []string{"photo 0" + hash, "photo 4" + hash}},
		{"shown late", []asked{{slot: 2, first: 4, windows: []int{7}}}, []int{7, -1, -1}, []string{"the place, recorded by reading 14 at the latest", "photo 0" + hash + ", recorded by reading 14 at the latest"}},
		{"too late", []asked{{slot: 2, first: 1, windows: []int{3}}, {slot: 5, first: 3, windows: []int{5, 7}}}, []int{1, 5, 7}, []string{"photo 0" + hash}},
	} {
		got, v := shown(c.all, c.by...)
		if want := (&PlacedVerdict{Place: "kitchen", Thing: "fridge", Notes: c.want}); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v, want %+v", c.name, got, want)
		}
		for i := range v.Readings {
			if v.Readings[i].Placed != nil {
				t.Errorf("%s: reading %d says it again", c.name, i)
			}
		}
		for _, line := range append(c.want, "installed    kitchen, fridge", "where a device was") {
			if !strings.Contains(v.Text(), line) {
				t.Errorf("%s: the text does not say %q", c.name, line)
			}
		}
	}
	// A range without a reading.
	s.many = func(_ uint64, w int) int { return max(0, 2-w) }
	s.windows, s.log, s.bound, s.statements, s.receiptOf = nil, nil, nil, nil, map[int]EthereumReceipt{}
	s.build(8)
	got, _ := shown([]asked{{slot: 2, first: 3, windows: []int{7}}}, 3, 7, -1)
	if want := []string{"photo 0" + hash, "photo 4" + hash}; got == nil || !slices.Equal(got.Notes, want) {
		t.Errorf("no reading: got %+v, want %q", got, want)
	}
}

// TestManyNotes: a file with very many notes and readings takes little time and room.
func TestManyNotes(t *testing.T) {
	const n = 200_000
	in := &installation{place: &noted{place: "kitchen"}, made: map[int]*PlacedVerdict{}}
	for i := range uint64(n) {
		in.notes, in.words = append(in.notes, noted{batch: i}), append(in.words, "x")
	}
	for i := range uint64(n) {
		p := in.by(i)
		if want := min(int(i)+1, maxNotes); p.Place != "kitchen" || len(p.Notes) != want || p.More != int(i)+1-want || in.by(i) != p {
			t.Fatalf("by batch %d: %d notes and %d more", i, len(p.Notes), p.More)
		}
	}
}

func TestAlertVerdict(t *testing.T) {
	raised := ledger.Alert{Rule: "warm", Device: 2, Slot: 2, What: "T 9 Cel", Receivers: []string{"cook"}}
	f, o := saying(t, raised.Statement(siteStart), ledger.AlertAck{Alert: 1, Name: "Ana", Note: "shut"}.Statement(siteStart+1000))
	v := Verify(f, o)
	slot := uint64(2)
	want := []AlertVerdict{{
		Level: v.Level, Number: 1, Rule: "warm", Stream: &slot, BoundAs: "fridge", What: "T 9 Cel", Receivers: []string{"cook"}, Raised: timeText(siteStart),
		Acks: []AlertTold{{"Ana", "shut", timeText(siteStart + 1000)}},
	}}
	if v.Outcome != Verified || v.Level != LevelAnchored || !reflect.DeepEqual(v.Alerts, want) {
		t.Errorf("%v, %+v, want %+v", v.Outcome, v.Alerts, want)
	}
	for _, line := range []string{`rule "warm" (stream 2, bound as fridge), anchored`, "acknowledged by Ana: shut", "what else the ledger says of an alert"} {
		if !strings.Contains(v.Text(), line) {
			t.Errorf("the text does not say %q", line)
		}
	}
	// The end of an alert whose beginning is not shown is in the list of statements alone.
	f, o = saying(t, ledger.AlertClear{Alert: 7, What: "x"}.Statement(siteStart), ledger.AlertAck{Alert: 7, Name: "Ana"}.Statement(siteStart))
	if v := Verify(f, o); v.Outcome != Verified || len(v.Alerts) != 0 || len(v.Statements) < 2 {
		t.Errorf("%v, %+v", v.Outcome, v.Alerts)
	}
}
