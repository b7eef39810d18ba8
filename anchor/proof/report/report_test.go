package report

import (
	"bytes"
	"encoding/json"
	"errors"
	"html"
	"slices"
	"strings"
	"testing"

	"cairn/anchor/proof"
)

func TestPages(t *testing.T) {
	for _, s := range samples(t) {
		t.Run(s.name, func(t *testing.T) {
			page := s.render(t)
			t.Logf("%d bytes", len(page))
			for _, want := range append(strings.Split(s.within, "|"), html.EscapeString(s.answer)) {
				if !bytes.Contains(page, []byte(want)) {
					t.Errorf("it lacks %q", want)
				}
			}
			for _, bad := range strings.Split(s.not, "|") {
				if bad != "" && bytes.Contains(page, []byte(bad)) {
					t.Errorf("it has %q", bad)
				}
			}
			if !bytes.Equal(page, s.render(t)) {
				t.Error("two pages of the same differ")
			}
			wellFormed(t, page)
		})
	}
}

// TestWords holds this package's words to those that a verdict may have.
func TestWords(t *testing.T) {
	var schema struct {
		Defs struct {
			Check, Gap struct {
				Properties struct{ Name, Kind struct{ Enum []string } }
			}
			Level, Code struct {
				OneOf []struct{ Const, Description string }
			}
		} `json:"$defs"`
	}
	if err := json.Unmarshal(proof.Schema(), &schema); err != nil {
		t.Fatal(err)
	}
	var steps, levels []string
	for _, s := range stepWords {
		steps = append(steps, s.name)
	}
	if want := schema.Defs.Check.Properties.Name.Enum; !slices.Equal(steps, want) {
		t.Errorf("steps %q, a verdict has %q", steps, want)
	}
	for _, l := range levelWords {
		levels = append(levels, l.level.String())
	}
	for i, l := range schema.Defs.Level.OneOf {
		if i >= len(levels) || levels[i] != l.Const {
			t.Errorf("levels %q lack %q in its place", levels, l.Const)
		}
	}
	for _, kind := range schema.Defs.Gap.Properties.Kind.Enum {
		if gapWords[kind] == "" {
			t.Errorf("no words for a gap of kind %q", kind)
		}
	}
	if len(schema.Defs.Gap.Properties.Kind.Enum) != len(gapWords) {
		t.Errorf("words for %d kinds of gaps", len(gapWords))
	}
	for _, c := range schema.Defs.Code.OneOf {
		if m := meaning(proof.Code(c.Const)); m != c.Description || !strings.HasSuffix(m, ".") {
			t.Errorf("%s means %q", c.Const, m)
		}
	}
	for outcome, word := range words {
		if word == "" || outcome.Exit() < 0 {
			t.Errorf("no word for %s", outcome)
		}
	}
}

// TestNothingHidden holds that each word of a verdict's text that could change a
// reader's mind stands on the page as well.
func TestNothingHidden(t *testing.T) {
	for _, s := range samples(t) {
		page := s.render(t)
		for _, n := range s.v.NotChecked {
			if !bytes.Contains(page, []byte(html.EscapeString(visible(n, maxText)))) {
				t.Errorf("%s: not told as not checked: %s", s.name, n)
			}
		}
		for _, c := range s.v.Checks {
			if !bytes.Contains(page, []byte(html.EscapeString(visible(c.Detail, maxText)))) {
				t.Errorf("%s: step %d is not told of", s.name, c.Step)
			}
		}
		if !bytes.Contains(page, []byte(html.EscapeString(visible(strings.TrimSuffix(s.v.Reason, "."), maxText)))) {
			t.Errorf("%s: the reason is not told", s.name)
		}
	}
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("no space") }

func TestUnwritten(t *testing.T) {
	s := golden(t, "v0", nil)
	if err := HTML(full{}, s.f, s.v, s.o); err == nil {
		t.Error("a page that could not be written is no error")
	}
}
