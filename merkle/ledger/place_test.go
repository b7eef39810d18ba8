package ledger

import (
	"errors"
	"reflect"
	"testing"
)

var calibration = Calibration{
	Number: 7, Slot: 3, By: "Eich AG", Calibrated: 4, Field: "T", Offset: "-0.25", Certificate: (*[32]byte)(hashOf(3)),
}

func hashOf(b byte) []byte {
	h := fill(b)
	return h[:]
}

func TestPlaceRoundTrips(t *testing.T) {
	same := func(want any) func(got any, err error) {
		return func(got any, err error) {
			t.Helper()
			if err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("got %+v, %v, want %+v", got, err, want)
			}
		}
	}
	at := fridge
	at.Place, at.Thing = "canteen", "walk-in fridge"
	p, is := at.Placed()
	if _, none := fridge.Placed(); !is || none {
		t.Errorf("placed %t, want true; without place and thing %t, want false", is, none)
	}
	got, err := PlacedFrom(again(t, p.Statement(5)))
	same(Placed{7, 3, "canteen", "walk-in fridge"})(got, err)
	c, err := CalibrationFrom(again(t, calibration.Statement(5)))
	same(calibration)(c, err)
	bare := Calibration{Number: 1, By: "x", Field: "T", Offset: "1"}
	c, err = CalibrationFrom(again(t, bare.Statement(5)))
	same(bare)(c, err)
	attached := Attachment{7, 3, AttachCertificate, "", fill(2)}
	a, err := AttachmentFrom(again(t, attached.Statement(5)))
	same(attached)(a, err)
	r, err := ReplacementFrom(again(t, Replacement{8, 4, 7, 3}.Statement(5)))
	same(Replacement{8, 4, 7, 3})(r, err)
	gone, err := RetirementFrom(again(t, Retirement{7, 3, "battery"}.Statement(5)))
	same(Retirement{7, 3, "battery"})(gone, err)
	if _, err := PlacedFrom(fridge.Statement()); !errors.Is(err, ErrItem) {
		t.Errorf("a binding as a place: got %v, want %v", err, ErrItem)
	}
}

func TestPlaceRefused(t *testing.T) {
	half := calibration
	half.Field = "T\n"
	none := Calibration{By: "x"}
	alone := calibration.Statement(5)
	delete(alone.Body, "field")
	for name, s := range map[string]Statement{
		"no place, no thing":   Placed{}.Statement(5),
		"control character":    Placed{Place: "a\tb"}.Statement(5),
		"long place":           Placed{Place: string(make([]byte, 65))}.Statement(5),
		"empty calibration":    none.Statement(5),
		"offset without field": alone,
		"field with a newline": half.Statement(5),
		"other attachment":     Attachment{What: "film"}.Statement(5),
	} {
		if err := s.Validate(); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: got %v, want %v", name, err, ErrInvalid)
		}
	}
}

func TestOffsets(t *testing.T) {
	for s, want := range map[string]bool{
		"0": true, "1": true, "-0.25": true, "0.5": true, "12.75": true, "-0.5": true,
		"": false, "-": false, "-0": false, "+1": false, "01": false, "1.": false, ".5": false, "1.50": false, "1e3": false,
		"1.0": false, "-0.0": false, "--1": false, "1.2.3": false, "123456789012345678901234567890123": false,
	} {
		if got := ValidOffset(s); got != want {
			t.Errorf("%q: got %t, want %t", s, got, want)
		}
	}
}
