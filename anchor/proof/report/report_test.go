package report

import (
	"bytes"
	"html"
	"strings"
	"testing"
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
