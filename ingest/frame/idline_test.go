package frame

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestParseIDLine(t *testing.T) {
	for _, c := range []struct{ line, want string }{
		{"ID: 98 A4 F5 99 E3 94 A8 C2", "98a4f599e394a8c2"}, // of the firmware's own comments
		{"ID: 98 A4 F5 99 E3 94 A8 C2\r", "98a4f599e394a8c2"},
		{"ID: 8 0 F5 99 E3 94 A8 C2", "0800f599e394a8c2"}, // as its Print writes small bytes
		{"ID: 98 A4 F5 99 E3 94 A8", ""},
		{"ID: 98 A4 F5 99 E3 94 A8 C2 C3", ""},
		{"ID: 98 A4 F5 99 E3 94 A8 C2 ", ""},
		{"ID:  98 A4 F5 99 E3 94 A8 C2", ""},
		{"ID:98 A4 F5 99 E3 94 A8 C2", ""},
		{"ID: 98 A4 F5 99 E3 94 A8 FF", ""},
		{"ID: 98 A4 F5 99 E3 94 A8 0C2", ""},
		{"ID: 98 A4 F5 99 E3 94 A8 +2", ""},
		{"ID: 98 A4 F5 99 E3 94 A8 G2", ""},
		{"ID:", ""},
		{">ID: 98 A4 F5 99 E3 94 A8 C2", ""},
		{"IDs:", ""},
		{"", ""},
	} {
		id, err := ParseIDLine(c.line)
		if c.want == "" {
			if !errors.Is(err, ErrIDLine) || id != (ID{}) {
				t.Errorf("%q: got %v, %v want ErrIDLine", c.line, id, err)
			}
			continue
		}
		if err != nil || id.String() != c.want {
			t.Errorf("%q: got %v, %v want %s", c.line, id, err, c.want)
		}
	}
}

func FuzzParseIDLine(f *testing.F) {
	f.Add("ID: 98 A4 F5 99 E3 94 A8 C2\r")
	f.Add("ID: 8 0 f5 99 E3 94 A8 C2")
	f.Add("ID: FF")
	f.Fuzz(func(t *testing.T, line string) {
		id, err := ParseIDLine(line)
		if err != nil {
			if !errors.Is(err, ErrLine) || id != (ID{}) || err.Error() != ErrIDLine.Error() {
				t.Fatalf("got %v, %v", id, err)
			}
			return
		}
		// The same bytes, however many digits each was given.
		var b strings.Builder
		for _, field := range strings.Fields(strings.TrimPrefix(line, "ID:")) {
			fmt.Fprintf(&b, "%02s", strings.ToLower(field))
		}
		if b.String() != id.String() {
			t.Fatalf("%q: got %v", line, id)
		}
	})
}
