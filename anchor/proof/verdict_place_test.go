package proof

import (
	"reflect"
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

func TestPlaced(t *testing.T) {
	place := ledger.Placed{Number: 2, Slot: 2, Place: "kitchen", Thing: "fridge"}
	for name, c := range map[string]struct {
		second ledger.Statement
		want   *PlacedVerdict
	}{
		"a photo": {ledger.Attachment{Number: 2, Slot: 2, What: ledger.AttachPhoto, Name: "a.jpg", Digest: [32]byte{1}}.Statement(siteStart),
			&PlacedVerdict{"kitchen", "fridge", []string{"photo a.jpg, SHA-256 01" + strings.Repeat("00", 31)}}},
		"a calibration": {ledger.Calibration{Number: 2, Slot: 2, By: "Eich AG", Calibrated: siteStart, Field: "T", Offset: "-0.25"}.Statement(siteStart),
			&PlacedVerdict{"kitchen", "fridge", []string{"calibrated by Eich AG at " + timeText(siteStart) + ", add -0.25 to T"}}},
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
