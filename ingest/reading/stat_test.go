package reading

import (
	"encoding/hex"
	"errors"
	"math"
	"strings"
	"testing"
)

func TestStats(t *testing.T) {
	for _, c := range []struct {
		key, unit string
		n         int64
		want      Measurement
		back      string // the stat that it is spelled as again, if another
	}{
		{"T", "C16", 299, Measurement{"T", "Cel", Decimal(186875, -4)}, ""},
		{"T", "C16", -1, Measurement{"T", "Cel", Decimal(-625, -4)}, ""},
		{"T", "C16", -40, Measurement{"T", "Cel", Decimal(-25, -1)}, ""},
		{"T", "C16", 320, Measurement{"T", "Cel", Int(20)}, ""},
		{"T", "C", 20, Measurement{"T", "Cel", Int(20)}, "T|C16"},
		{"tT", "C", 21, Measurement{"tT", "Cel", Int(21)}, ""},
		{"tS", "C16", 16, Measurement{"tS", "Cel", Int(1)}, "tS|C"},
		{"tS", "C16", 17, Measurement{"tS", "Cel", Decimal(10625, -4)}, ""},
		{"H", "%", 83, Measurement{"H", "%RH", Int(83)}, ""},
		{"v", "%", 100, Measurement{"v", "%", Int(100)}, ""},
		{"vC", "%", 1158, Measurement{"vC", "%", Int(1158)}, ""},
		{"B", "cV", 256, Measurement{"B", "V", Decimal(256, -2)}, ""},
		{"B", "cV", 300, Measurement{"B", "V", Int(3)}, ""},
		{"B", "mV", 2560, Measurement{"B", "V", Decimal(256, -2)}, "B|cV"},
		{"B", "mV", 2567, Measurement{"B", "V", Decimal(2567, -3)}, ""},
		{"x", "V", 3, Measurement{"x", "V", Int(3)}, ""},
		{"L", "", 255, Measurement{"L", "", Int(255)}, ""},
		{"vac", "h", 9, Measurement{"vac", "h", Int(9)}, ""},
		{"O", "", 2, Measurement{"O", "", Int(2)}, ""},
		{"device", "", 1, Measurement{"_device", "", Int(1)}, ""},
		{"_device", "", 1, Measurement{"__device", "", Int(1)}, ""},
		{"_", "", 1, Measurement{"_", "", Int(1)}, ""},
		{"frost", "", 1, Measurement{"_frost", "", Int(1)}, ""},
		{"x", "", math.MinInt64, Measurement{"x", "", Int(math.MinInt64)}, ""},
		{"B", "mV", math.MinInt64, Measurement{"B", "V", Decimal(math.MinInt64, -3)}, ""},
	} {
		got, err := FromStat(c.key, c.unit, true, c.n, "")
		if err != nil || got != c.want {
			t.Errorf("%s|%s %d: got %v, %v, want %v", c.key, c.unit, c.n, got, err, c.want)
		}
		key, unit, isInt, n, text, ok := ToStat(got)
		if !ok || !isInt || text != "" {
			t.Errorf("%s|%s %d: ToStat got %v, %v, %q", c.key, c.unit, c.n, ok, isInt, text)
		}
		back := c.back
		if back == "" {
			back = c.key + "|" + c.unit
			if n != c.n {
				t.Errorf("%s|%s: ToStat got %d, want %d", c.key, c.unit, n, c.n)
			}
		}
		if key+"|"+unit != back {
			t.Errorf("%s|%s %d: ToStat got %s|%s, want %s", c.key, c.unit, c.n, key, unit, back)
		}
	}
	m, err := FromStat("T", "C16", true, 299, "")
	if got := hex.EncodeToString(AppendValue(nil, m.Value)); err != nil || got != "c482231a0002d9fb" {
		t.Errorf("T|C16 299: got %s, %v, want 4([-4, 186875])", got, err)
	}
}

func TestTextStats(t *testing.T) {
	for _, unit := range []string{"", "C16", "C", "cV", "%"} {
		m, err := FromStat("H", unit, false, 7, "on")
		if want := (Measurement{"H", unit, Text("on")}); err != nil || m != want {
			t.Errorf("H|%s: got %v, %v, want %v", unit, m, err, want)
		}
		key, back, isInt, n, text, ok := ToStat(m)
		if key != "H" || back != unit || isInt || n != 0 || text != "on" || !ok {
			t.Errorf("H|%s: ToStat got %s|%s %v %d %q %v", unit, key, back, isInt, n, text, ok)
		}
	}
}

func TestStatsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		key, unit string
		isInt     bool
		n         int64
		text      string
	}{
		"no key":       {"", "", true, 1, ""},
		"long key":     {strings.Repeat("k", 33), "", true, 1, ""},
		"long unit":    {"k", strings.Repeat("u", 17), true, 1, ""},
		"control":      {"k\n", "", true, 1, ""},
		"too great":    {"T", "C16", true, math.MaxInt64 / 624, ""},
		"too small":    {"T", "C16", true, math.MinInt64, ""},
		"long text":    {"k", "", false, 0, strings.Repeat("x", 65)},
		"text no UTF8": {"k", "", false, 0, "\xff"},
	} {
		if m, err := FromStat(c.key, c.unit, c.isInt, c.n, c.text); !errors.Is(err, ErrInvalid) || m != (Measurement{}) {
			t.Errorf("%s: got %v, %v, want %v", name, m, err, ErrInvalid)
		}
	}
}

func TestNoStat(t *testing.T) {
	for _, m := range []Measurement{
		{"T", "Cel", Decimal(1, -1)},  // no sixteenth
		{"T", "C16", Int(1)},          // would come back as Cel
		{"B", "V", Decimal(1, -4)},    // finer than mV
		{"B", "V", Int(1 << 62)},      // too great in cV
		{"H", "%", Int(1)},            // would come back as %RH
		{"x", "", Decimal(1, -1)},     // no unit for fractions
		{"x", "", Bool(true)},         // stats are integers or texts
		{"x", "", Bytes([]byte{1})},   //
		{"valve", "%", Int(1)},        // the body's, no stat
		{"device", "", Int(1)},        // not valid at all
		{"T", "Cel", Value{}},         //
		{"T", "Cel", Decimal(1, -20)}, //
	} {
		if key, unit, isInt, n, text, ok := ToStat(m); ok || key != "" || unit != "" || isInt || n != 0 || text != "" {
			t.Errorf("%v: got %s|%s %v %d %q, %v, want none", m, key, unit, isInt, n, text, ok)
		}
	}
}

// FuzzStat holds that what has a spelling comes back from it, and that every
// stat that is taken has one but for those beyond 64 bits in the other unit.
func FuzzStat(f *testing.F) {
	f.Add("T", "C16", true, int64(299), "")
	f.Add("__frame", "", false, int64(0), "x")
	f.Fuzz(func(t *testing.T, key, unit string, isInt bool, n int64, text string) {
		m, err := FromStat(key, unit, isInt, n, text)
		if err != nil {
			return
		}
		k, u, i, v, s, ok := ToStat(m)
		if !ok {
			if isInt && n < 1<<50 && n > -1<<50 {
				t.Errorf("%s|%s %d: %v has no spelling", key, unit, n, m)
			}
			return
		}
		if again, err := FromStat(k, u, i, v, s); err != nil || again != m || k != key {
			t.Errorf("%s|%s: %v is spelled %s|%s, which is %v, %v", key, unit, m, k, u, again, err)
		}
	})
}
