package proof

import (
	"crypto/sha256"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"cairn/merkle/ledger"
)

func TestAttached(t *testing.T) {
	photo, paper, other := sha256.Sum256([]byte("photo")), sha256.Sum256([]byte("paper")), sha256.Sum256([]byte("other"))
	attached := ledger.Attachment{Number: 2, Slot: 2, What: ledger.AttachPhoto, Name: "wall.jpg", Digest: photo}
	calibrated := ledger.Calibration{Number: 2, Slot: 2, By: "Eich AG", Calibrated: siteStart, Certificate: &paper}
	for _, c := range []struct {
		name    string
		given   []GivenFile
		outcome Outcome
		code    Code
		text    []string
	}{
		{"both", []GivenFile{{"IMG_1.jpg", photo}, {"scan.pdf", paper}}, Verified, "", []string{
			fmt.Sprintf("file IMG_1.jpg, SHA-256 %x", photo),
			"is the photo wall.jpg attached to stream 2, bound as \"fridge\": statement 1 of " + timeText(siteStart) + ", anchored",
			"is the certificate of the calibration by Eich AG at " + timeText(siteStart) + " attached to stream 2, bound as \"fridge\": statement 3 of",
			"recorded by the time of the 1 reading of that stream shown here",
			"what an attached file shows",
		}},
		{"another", []GivenFile{{"IMG_1.jpg", photo}, {"x\x1b.jpg", other}}, Refused, CodeNotNamed, []string{
			fmt.Sprintf("REFUSED: no statement of the proof names the file x\\x1b.jpg, SHA-256 %x, though the proof is anchored [attachment-not-named]", other),
			"is the photo wall.jpg", "NOT NAMED by any statement of the proof", "next: give the very file",
		}},
		{"two others", []GivenFile{{"a", other}, {"b", [32]byte{}}}, Refused, CodeNotNamed, []string{", nor 1 file more, though"}},
	} {
		f, o := saying(t, attached.Statement(siteStart), calibrated.Statement(siteStart))
		o.Attached = c.given
		v := Verify(f, o)
		if v.Outcome != c.outcome || v.Code != c.code || v.Level != LevelAnchored || len(v.Attached) != len(c.given) {
			t.Errorf("%s: got %v %q with %+v, want %v %q", c.name, v.Outcome, v.Code, v.Attached, c.outcome, c.code)
		}
		for _, words := range c.text {
			if !strings.Contains(v.Text(), words) {
				t.Errorf("%s: the text does not say %q:\n%s", c.name, words, v.Text())
			}
		}
		if err := compileSchema(t)(v.JSON()); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
	}

	// What is refused for itself says nothing of other files, and stays what it is.
	f, o := saying(t, attached.Statement(siteStart), calibrated.Statement(siteStart))
	f.Statements[len(f.Statements)-1].Salt[0] ^= 1
	o.Attached = []GivenFile{{"IMG_1.jpg", photo}}
	if v := Verify(f, o); v.Code != CodeStatements || v.Attached != nil {
		t.Errorf("a false proof: %q %+v", v.Code, v.Attached)
	}
	f, o = saying(t, attached.Statement(siteStart), calibrated.Statement(siteStart))
	o.Attached, o.Trust = []GivenFile{{"x", other}}, nil
	if v := Verify(f, o); v.Outcome != Refused || v.Code != CodeNotTrusted || len(v.Attached) != 1 {
		t.Errorf("an anchor that nobody trusts: %v %q", v.Outcome, v.Code)
	}
}

// TestAttachedLate: whoever reads it is told if a file was attached after the reading.
func TestAttachedLate(t *testing.T) {
	s := newSite("attached late")
	digest := [32]byte{7}
	note := ledger.Attachment{Number: 2, Slot: 2, What: ledger.AttachDocument, Digest: digest}.Statement(siteStart)
	place := ledger.Placed{Number: 2, Slot: 2, Place: "kitchen", Thing: "fridge"}
	s.statement = func(i int, st *ledger.Statement) {
		if i == 1 {
			*st = place.Statement(siteStart)
		}
	}
	s.grow = map[int][]ledger.Statement{2: {note}}
	s.build(5)
	for _, c := range []struct {
		picks []pick
		in    int
		words string
	}{
		{[]pick{{window: 1, slot: 2}, {window: 3, slot: 2}, {window: 4, slot: 2}}, 2, "known to be recorded by the time of 2 of 3 readings of that stream shown here"},
		{[]pick{{window: 0, slot: 2}, {window: 3, slot: 5}}, 0, "perhaps recorded after the 1 reading of that stream shown here"},
		{[]pick{{window: 3, slot: 5}}, 0, "no reading of that stream is shown"},
	} {
		f := s.file(t, 5, append(c.picks, pick{window: 2, slot: 0})...)
		s.tellIn(t, f, 2, 1)
		s.tellIn(t, f, 2, 4)
		o := s.options(t, 5)
		o.Attached = []GivenFile{{"paper", digest}}
		v := Verify(f, o)
		if v.Outcome != Verified || len(v.Attached) != 1 {
			t.Fatalf("%v: %s", c.picks, v.Text())
		}
		n := 0
		for _, r := range v.Readings {
			if r.Stream == 2 {
				n++
			}
		}
		want := []NamedFile{{
			Level: LevelAnchored, Statement: 4, At: timeText(siteStart), What: "document", Stream: 2, BoundAs: v.Attached[0].Names[0].BoundAs,
			Place: "kitchen", Thing: "fridge", Readings: n, KnownFor: c.in,
		}}
		if !reflect.DeepEqual(v.Attached[0].Names, want) || !strings.Contains(v.Text(), c.words) {
			t.Errorf("got %+v, want %+v with %q", v.Attached[0].Names, want, c.words)
		}
	}
}
