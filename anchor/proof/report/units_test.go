package report

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"cairn/ingest/reading"
)

func TestLimit(t *testing.T) {
	for _, c := range []struct {
		text, name, words string
		value             reading.Value
		side              int
	}{
		{"temperature=2..8", "temperature", "2 to 8", reading.Int(8), 0},
		{"temperature=2..8", "temperature", "2 to 8", reading.Decimal(80001, -4), 1},
		{"T=-2.50..", "T", "at least -2.5", reading.Decimal(-25, -1), 0},
		{"T=-2.50..", "T", "at least -2.5", reading.Decimal(-251, -2), -1},
		{"a=b=..0", "a=b", "at most 0", reading.Int(1), 1},
		{"C|Cel=-0.5..-0.5", "C|Cel", "-0.5 to -0.5", reading.Decimal(-5, -1), 0},
		{"x=999999999999999999..", "x", "at least 999999999999999999", reading.Int(math.MaxInt64), 0},
	} {
		l, err := ParseLimit(c.text)
		if err != nil {
			t.Errorf("%s: %v", c.text, err)
			continue
		}
		if l.Name != c.name || l.text() != c.words || l.side(c.value) != c.side {
			t.Errorf("%s: %q %q, %v on side %d", c.text, l.Name, l.text(), c.value, l.side(c.value))
		}
	}
	for _, bad := range []string{
		"", "T", "=1..2", "T=", "T=1", "T=..", "T=2..1", "T=a..b", "T=1..2..3", "T=1e3..", "T=+1..", "T=.5..", "T=5...", "T=--1..", "T=-..", "T=1.2.3..",
		"T=1234567890123456789..", "T= 1..2", "T=٣..",
	} {
		if l, err := ParseLimit(bad); !errors.Is(err, ErrLimit) {
			t.Errorf("%q is read as %+v, %v", bad, l, err)
		}
	}
	l, _ := ParseLimit("C|Cel=1..")
	if !l.of("C", "Cel") || l.of("C", "K") || !l.of("C|Cel", "") || l.of("Cel", "C") {
		t.Error("a limit with a unit is of others too, or not of its own")
	}
}

func FuzzParseLimit(f *testing.F) {
	for _, s := range []string{"temperature=2..8", "T=-2.50..", "a=b=..0", "T=1..2..3"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		l, err := ParseLimit(s)
		if err != nil {
			return
		}
		if l.Name == "" || !strings.HasPrefix(s, l.Name+"=") || l.side(reading.Int(0)) != 0 && l.side(reading.Int(0)) != 1 && l.side(reading.Int(0)) != -1 {
			t.Errorf("%q: %+v", s, l)
		}
		for _, end := range []reading.Value{l.Min, l.Max} {
			if end.Kind != reading.KindNone && (!end.IsNumber() || l.side(end) != 0) {
				t.Errorf("%q: its own end %v is outside", s, end)
			}
		}
	})
}

func labels(ticks []tick) (all []string) {
	for _, k := range ticks {
		s := k.label
		if k.day != "" {
			s += " " + k.day
		}
		all = append(all, s)
	}
	return all
}

func TestTimeTicks(t *testing.T) {
	at := func(s string) int64 {
		when, err := time.Parse("2006-01-02 15:04:05", s)
		if err != nil {
			t.Fatal(err)
		}
		return when.UnixMilli()
	}
	for _, c := range []struct{ from, to, want string }{
		{"2026-10-01 23:50:00", "2026-10-02 00:10:00", "23:50 1 Oct 2026|23:55|00:00 2 Oct 2026|00:05|00:10"},
		{"2026-10-01 12:00:00", "2026-10-01 12:00:30", "12:00:00 1 Oct 2026|12:00:10|12:00:20|12:00:30"},
		{"2026-12-29 12:00:00", "2027-01-03 12:00:00", "30 Dec 2026|31 Dec|1 Jan 2027|2 Jan|3 Jan"},
		{"2026-01-25 00:00:00", "2026-03-10 00:00:00", "1 Feb 2026|11 Feb|21 Feb|1 Mar"},
		{"2025-11-15 00:00:00", "2027-02-15 00:00:00", "Jan 2026|Mar|May|Jul|Sep|Nov|Jan 2027"},
		{"1990-06-01 00:00:00", "2026-06-01 00:00:00", "Jan 1995|Jan 2000|Jan 2005|Jan 2010|Jan 2015|Jan 2020|Jan 2025"},
	} {
		if got := strings.Join(labels(timeTicks(at(c.from), at(c.to), 7)), "|"); got != c.want {
			t.Errorf("%s to %s:\n got %s\nwant %s", c.from, c.to, got, c.want)
		}
	}
	for span := int64(1); span > 0 && span < 1<<52; span = span*3 + 1 {
		ticks := timeTicks(start, start+span, 16)
		if len(ticks) > 34 {
			t.Errorf("%d marks in %d ms", len(ticks), span)
		}
		if !slices.IsSortedFunc(ticks, func(a, b tick) int { return int(math.Copysign(1, a.at-b.at)) }) {
			t.Errorf("marks in %d ms do not ascend", span)
		}
	}
}

func TestValueTicks(t *testing.T) {
	for _, c := range []struct {
		low, high float64
		want      string
	}{
		{0, 10, "0|2|4|6|8|10"},
		{-1.2, 1.3, "-1.0|-0.5|0.0|0.5|1.0"},
		{4.0625, 4.065, "4.0625|4.0630|4.0635|4.0640|4.0645|4.0650"},
		{-3e18, 5e18, "-2e+18|0|2e+18|4e+18"},
	} {
		got := labels(valueTicks(c.low, c.high, 5))
		if strings.Join(got, "|") != c.want {
			t.Errorf("%v to %v: %s", c.low, c.high, strings.Join(got, "|"))
		}
	}
}

// TestThin holds that no extreme is lost, and that lines break where they must.
func TestThin(t *testing.T) {
	s := &series{name: "x"}
	for i := range int64(50_000) {
		v := i % 7
		if i == 31_415 {
			v = 1000
		}
		s.points = append(s.points, point{t: i * 1000, value: reading.Int(v), joins: i%25_000 != 0})
	}
	d := &plot{s: s, from: 0, to: 50_000_000}
	d.fit()
	all := d.thin()
	most, breaks := 0.0, 0
	for i, c := range all {
		most = max(most, c.most)
		if !c.joins {
			breaks++
		}
		if i > 0 && c.x < all[i-1].x {
			t.Fatalf("column %d goes back", i)
		}
	}
	if len(all) > columns+1 || most != 1000 || breaks < 1 {
		t.Errorf("%d columns, most %v, %d breaks", len(all), most, breaks)
	}
}

func TestCut(t *testing.T) {
	s := &series{}
	for i := range int64(10) {
		s.points = append(s.points, point{t: i * 10, joins: i > 0})
	}
	s.cut([]gap{{from: -5, to: 3}, {from: 5, to: 46}, {from: 21, to: 22}, {from: 70, to: 80}, {from: 85, to: 85}})
	var broken []int
	for i, p := range s.points {
		if !p.joins {
			broken = append(broken, i)
		}
	}
	if want := []int{0, 1, 2, 3, 4, 5, 8, 9}; !slices.Equal(broken, want) {
		t.Errorf("broken before %v, want %v", broken, want)
	}
}

func TestLasting(t *testing.T) {
	for ms, want := range map[int64]string{0: "0 ms", 999: "999 ms", 1000: "1 s", 61_000: "1 min 1 s", 3_600_000: "1 h", 11_400_000: "3 h 10 min", 90_061_000: "1 d 1 h", -60_000: "-1 min"} {
		if got := lasting(ms); got != want {
			t.Errorf("%d: %s, want %s", ms, got, want)
		}
	}
}
