package alert

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"cairn/ingest/reading"
)

// friday is a Friday, 18:00 UTC.
var friday = time.Date(2026, 11, 20, 18, 0, 0, 0, time.UTC)

// bench is a machine of some rules with one device, number 1.
type bench struct {
	t *testing.T
	*Machine
	at  time.Time
	got []string
}

func newBench(t *testing.T, rules ...Rule) *bench {
	t.Helper()
	m, err := New(rules)
	if err != nil {
		t.Fatal(err)
	}
	m.Device(1, Subject{ID: "80c1a29384b5d6e7", Name: "fridge-1", Place: "kitchen", Thing: "walk-in fridge"}, friday)
	return &bench{t: t, Machine: m, at: friday}
}

func (b *bench) note(all []Change) {
	for _, c := range all {
		word := "-"
		if c.Raised {
			word = "+"
		}
		b.got = append(b.got, fmt.Sprintf("%s%s %d %s%s", word, c.Rule, c.At.Sub(friday)/time.Second, c.About, c.What))
	}
}

// temp takes a temperature after so many seconds.
func (b *bench) temp(after int, celsius string) {
	b.at = friday.Add(time.Duration(after) * time.Second)
	b.note(b.Reading(1, b.at, []reading.Measurement{{Name: "T", Unit: "Cel", Value: number(b.t, celsius)}}))
}

func (b *bench) tick(after int) {
	b.at = friday.Add(time.Duration(after) * time.Second)
	b.note(b.Tick(b.at))
}

func (b *bench) want(lines ...string) {
	b.t.Helper()
	if !slices.Equal(b.got, lines) {
		b.t.Errorf("got\n  %s\nwant\n  %s", strings.Join(b.got, "\n  "), strings.Join(lines, "\n  "))
	}
	b.got = nil
}

func number(t testing.TB, text string) reading.Value {
	t.Helper()
	v, err := ParseNumber(text)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestLevel(t *testing.T) {
	b := newBench(t, Rule{Name: "warm", Field: "T", Above: number(t, "8"), Clear: number(t, "6.5"), For: 10 * time.Minute, To: []string{"chef"}})
	b.temp(0, "8.01")
	b.temp(300, "9")
	b.temp(400, "8") // not above: the time begins anew
	b.temp(500, "9")
	b.temp(1099, "9.5")
	b.want()
	b.tick(1100) // nothing came, and it was last known to be so
	b.want("+warm 1100 T 9.5 Cel, above 8 for 10m0s")
	b.temp(1200, "7") // between the two it stays
	b.temp(1300, "9")
	b.tick(3000)
	b.want()
	b.temp(3100, "6.5")
	b.want("-warm 3100 T 6.5 Cel")
	b.temp(3200, "7")
	b.tick(9000)
	b.want()

	b = newBench(t, Rule{Name: "cold", Field: "T", Below: number(t, "-20")})
	b.temp(1, "-20")
	b.want()
	b.temp(2, "-20.0001")
	b.want("+cold 2 T -20.0001 Cel, below -20")
	b.temp(3, "-20")
	b.want("-cold 3 T -20 Cel")
}

// TestPlaces: rules know devices by place and thing too.
func TestPlaces(t *testing.T) {
	eight := number(t, "8")
	b := newBench(t, Rule{Name: "a", Field: "T", Above: eight, Places: []string{"kit*"}}, Rule{Name: "b", Field: "T", Above: eight, Places: []string{"hall"}},
		Rule{Name: "c", Field: "T", Above: eight, Places: []string{"kitchen"}, Things: []string{"* fridge"}, Devices: []string{"fridge-1"}},
		Rule{Name: "d", Field: "T", Above: eight, Things: []string{"freezer"}}, Rule{Name: "e", On: []string{EventReplay}, Places: []string{"hall"}},
		Rule{Name: "f", On: []string{EventAnchor}, Places: []string{"kitchen"}})
	b.temp(1, "9")
	b.note(b.Event(Event{Kind: EventReplay, Device: 1}, friday))
	b.note(b.Event(Event{Kind: EventAnchor, About: "x"}, friday))
	b.want("+a 1 T 9 Cel, above 8", "+c 1 T 9 Cel, above 8")
}

func TestRate(t *testing.T) {
	b := newBench(t, Rule{Name: "rises", Field: "T", Rises: number(t, "3"), Within: 10 * time.Minute},
		Rule{Name: "falls", Field: "T", Falls: number(t, "3"), Within: 10 * time.Minute})
	b.temp(0, "4")
	b.temp(300, "6")
	b.temp(660, "8.9") // 4 was too long ago
	b.want()
	b.temp(700, "9")
	b.want("+rises 700 T 9 Cel, which rose by 3 within 10m0s")
	b.temp(800, "9.5")
	b.want()
	b.temp(2000, "9")
	b.want("-rises 2000 T 9 Cel")
	b.temp(2030, "5.5")
	b.want("+falls 2030 T 5.5 Cel, which fell by 3.5 within 10m0s")
}

func TestSilence(t *testing.T) {
	b := newBench(t, Rule{Name: "silent", Silence: 5 * time.Minute})
	b.tick(299)
	b.want()
	b.tick(300) // it never sent: since it is known
	b.want("+silent 300 silent since 2026-11-20T18:00:00Z")
	b.tick(900)
	b.want()
	b.temp(1000, "4")
	b.want("-silent 1000 it sends again")
	b.tick(1299)
	b.want()
	b.tick(1300)
	b.want("+silent 1300 silent since 2026-11-20T18:16:40Z")
	b.note(b.Forget(1, b.at))
	b.want("-silent 1300 the device was removed")
	b.tick(5000)
	b.want()
}

// TestSilenceAtStart: nobody is silent by what came, or did not, while nobody listened;
// and what lasted before the start counts for a level.
func TestSilenceAtStart(t *testing.T) {
	b := newBench(t, Rule{Name: "silent", Silence: 5 * time.Minute}, Rule{Name: "warm", Field: "T", Above: number(t, "8"), For: 10 * time.Minute})
	b.Past(1, friday.Add(time.Minute), []reading.Measurement{{Name: "T", Unit: "Cel", Value: number(t, "9")}})
	start := friday.Add(time.Hour)
	b.Begin(start)
	b.tick(3600)
	b.want("+warm 3600 T 9 Cel, above 8 for 10m0s")
	b.tick(3600 + 299)
	b.want()
	b.tick(3600 + 300)
	b.want("+silent 3900 silent since 2026-11-20T19:00:00Z")
}

func TestEvents(t *testing.T) {
	b := newBench(t, Rule{Name: "attack", On: []string{EventReplay, EventForgery, EventTamper}, Quiet: time.Minute},
		Rule{Name: "site", On: []string{EventAnchor, EventTamper}, Devices: nil})
	b.note(b.Event(Event{Kind: EventReplay, Device: 1, Detail: "3 times"}, friday))
	b.want("+attack 0 replayreplay: 3 times")
	b.note(b.Event(Event{Kind: EventReplay, Device: 1}, friday.Add(30*time.Second)))
	b.note(b.Event(Event{Kind: EventReplay, Device: 9}, friday)) // nobody knows it
	b.tick(89)
	b.want()
	b.tick(90)
	b.want("-attack 90 replaynothing like it for 1m0s")
	b.note(b.Event(Event{Kind: EventAnchor, About: "ethereum:1", Detail: "no fee"}, b.at))
	b.note(b.Event(Event{Kind: EventAnchor, About: "bitcoin:main", Over: true}, b.at))
	b.note(b.Event(Event{Kind: EventAnchor, About: "ethereum:1", Over: true}, b.at))
	b.want("+site 90 anchor-late ethereum:1anchor-late ethereum:1: no fee", "-site 90 anchor-late ethereum:1over")
	b.note(b.Reading(1, b.at, []reading.Measurement{{Name: reading.NameTamper, Value: reading.Bool(true)}}))
	b.want("+attack 90 tampertamper: the device says so", "+site 90 tampertamper: the device says so")
}

// TestHours: it counts in the hours of the rule alone, and what is still so when they
// begin is raised then.
func TestHours(t *testing.T) {
	hours, err := ParseHours([]string{"Mon-Fri 19:00-06:00"}, time.UTC)
	if err != nil {
		t.Fatal(err)
	}
	b := newBench(t, Rule{Name: "warm", Field: "T", Above: number(t, "8"), For: 10 * time.Minute, Hours: hours})
	b.temp(0, "9")
	b.tick(3599)
	b.want()
	b.tick(3600)
	b.want()
	b.tick(4199)
	b.want("+warm 4199 T 9 Cel, above 8 for 10m0s")
}

func TestMuted(t *testing.T) {
	b := newBench(t, Rule{Name: "warm", Field: "T", Above: number(t, "8")}, Rule{Name: "hot", Field: "T", Above: number(t, "20")})
	b.SetMutes([]Mute{{Rules: []string{"w*"}, Devices: []string{"fridge-*"}, From: friday, Until: friday.Add(time.Hour)}})
	b.temp(10, "30")
	b.want("+hot 10 T 30 Cel, above 20")
	b.tick(3599)
	b.want()
	b.tick(3600)
	b.want("+warm 3600 T 30 Cel, above 8")
	b.SetMutes([]Mute{{From: friday, Until: friday.Add(3 * time.Hour)}})
	b.temp(3700, "7") // what is over is told in maintenance too
	b.want("-warm 3700 T 7 Cel", "-hot 3700 T 7 Cel")
}

// TestResume: an alert of before the start is not raised again, and is cleared.
func TestResume(t *testing.T) {
	b := newBench(t, Rule{Name: "warm", Field: "T", Above: number(t, "8")}, Rule{Name: "attack", On: []string{EventReplay}})
	for k, want := range map[Key]bool{
		{Rule: "warm", Device: 1}: true, {Rule: "attack", Device: 1, About: "replay"}: true, {Rule: "gone", Device: 1}: false, {Rule: "warm", Device: 2}: false,
	} {
		if got := b.Resume(k, friday); got != want {
			t.Errorf("%+v: got %v", k, got)
		}
	}
	b.temp(10, "9")
	b.want()
	b.temp(20, "7")
	b.want("-warm 20 T 7 Cel")
	b.tick(3600)
	b.want("-attack 3600 replaynothing like it for 1h0m0s")
}

func TestRuleRefused(t *testing.T) {
	eight := number(t, "8")
	for want, r := range map[string]Rule{
		"name: ":    {Field: "T", Above: eight},
		"above: ":   {Name: "a", Field: "T"},
		"above: a":  {Name: "a", Field: "T", Above: eight, Below: eight},
		"field: ":   {Name: "a", Above: eight},
		"field: d":  {Name: "a", Silence: time.Hour, Field: "T"},
		"clear: ":   {Name: "a", Field: "T", Above: eight, Clear: number(t, "9")},
		"clear: 7":  {Name: "a", Field: "T", Below: eight, Clear: number(t, "7")},
		"clear: d":  {Name: "a", Silence: time.Hour, Clear: eight},
		"within: ":  {Name: "a", Field: "T", Rises: eight},
		"rises: ":   {Name: "a", Field: "T", Rises: number(t, "-1"), Within: time.Hour},
		"on: ":      {Name: "a", On: []string{"fire"}},
		"for: ":     {Name: "a", Silence: time.Hour, For: time.Second},
		"quiet: ":   {Name: "a", Silence: time.Hour, Quiet: time.Second},
		"silence: ": {Name: "a", Silence: time.Millisecond},
		"devices: ": {Name: "a", Silence: time.Hour, Devices: []string{"["}},
		"places: ":  {Name: "a", Silence: time.Hour, Places: []string{""}},
		"for: -1s":  {Name: "a", Field: "T", Above: eight, For: -time.Second},
	} {
		if err := r.Check(); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got %v, want %s…", err, want)
		}
	}
	if _, err := New([]Rule{{Name: "a", Silence: time.Hour}, {Name: "a", Silence: time.Hour}}); err == nil {
		t.Error("a name twice: no error")
	}
}

func TestParseHours(t *testing.T) {
	zurich, err := time.LoadLocation("Europe/Zurich")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		text string
		in   string // RFC 3339
		want bool
	}{
		{"Mon-Fri 07:00-18:30", "2026-11-20T06:00:00Z", true}, // 07:00 in Zürich
		{"Mon-Fri 07:00-18:30", "2026-11-20T05:59:59Z", false},
		{"Mon-Fri 07:00-18:30", "2026-11-20T17:30:00Z", false},
		{"Mon-Fri 07:00-18:30", "2026-11-21T10:00:00Z", false},
		{"fri 22:00-06:00", "2026-11-21T04:59:00Z", true},
		{"fri 22:00-06:00", "2026-11-21T05:00:00Z", false},
		{"fri 22:00-06:00", "2026-11-22T04:00:00Z", false},
		{"Sat,Sun 00:00-24:00", "2026-11-22T22:59:59Z", true},
		{"Sat-Mon 00:00-24:00", "2026-11-23T12:00:00Z", true},
		{"22:00-06:00", "2026-11-18T00:00:00Z", true},
	} {
		h, err := ParseHours([]string{c.text}, zurich)
		if err != nil {
			t.Fatal(err)
		}
		at, err := time.Parse(time.RFC3339, c.in)
		if err != nil {
			t.Fatal(err)
		}
		if got := h.In(at); got != c.want {
			t.Errorf("%s at %s: got %v", c.text, c.in, got)
		}
	}
	for _, bad := range []string{"", "Mon", "7:00-8:00", "07:00-07:00", "24:00-06:00", "Mon-Foo 07:00-08:00", "07:00", "07:60-08:00", "25:00-26:00", "a b c"} {
		if _, err := ParseHours([]string{bad}, nil); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

func TestParseNumber(t *testing.T) {
	for text, want := range map[string]string{"8": "8", "-18.50": "-18.5", "0.001": "0.001", "-0": "0", "007": "7"} {
		if got := number(t, text); got.String() != want {
			t.Errorf("%s: got %s", text, got)
		}
	}
	for _, bad := range []string{"", "-", ".5", "5.", "1e3", "+1", "1234567890123456789", "--1", "1.2.3", " 1"} {
		if v, err := ParseNumber(bad); err == nil {
			t.Errorf("%q: got %v", bad, v)
		}
	}
}

// TestLevelAgainstModel holds the machine against one that looks at all values of before
// each time.
func TestLevelAgainstModel(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 7))
	for round := range 300 {
		wait := time.Duration(rng.IntN(4)) * 10 * time.Second
		above, clear := 5+rng.IntN(3), 3+rng.IntN(3)
		b := newBench(t, Rule{Name: "r", Field: "T", Above: reading.Int(int64(above)), Clear: reading.Int(int64(clear)), For: wait})
		type value struct {
			at time.Time
			v  int
		}
		var all []value
		open := false
		for step := range 60 {
			at := friday.Add(time.Duration(step) * 7 * time.Second)
			var got []Change
			if rng.IntN(3) > 0 {
				v := rng.IntN(12)
				all = append(all, value{at, v})
				got = b.Reading(1, at, []reading.Measurement{{Name: "T", Value: reading.Int(int64(v))}})
			} else {
				got = b.Tick(at)
			}
			// Wrong is what was above in all values up to now, for so long.
			var since time.Time
			for i := len(all) - 1; i >= 0 && all[i].v > above; i-- {
				since = all[i].at
			}
			want := open
			switch last := len(all) - 1; {
			case !open && !since.IsZero() && at.Sub(since) >= wait:
				want = true
			case open && all[last].v <= clear:
				want = false
			}
			if want != open && (len(got) != 1 || got[0].Raised != want) || want == open && len(got) > 0 {
				t.Fatalf("round %d, step %d: open %v, want %v, got %+v, values %v, above %d, clear %d, for %v", round, step, open, want, got, all, above, clear, wait)
			}
			open = want
		}
	}
}

func FuzzParseHours(f *testing.F) {
	f.Add("Mon-Fri 07:00-18:30", int64(1e9))
	f.Add("22:00-06:00", int64(0))
	f.Fuzz(func(t *testing.T, text string, at int64) {
		h, err := ParseHours([]string{text}, time.UTC)
		if err != nil {
			return
		}
		in := 0
		week := time.Unix(at%1e11, 0).Truncate(7 * 24 * time.Hour)
		for minute := range 7 * day {
			if h.In(week.Add(time.Duration(minute) * time.Minute)) {
				in++
			}
		}
		if in == 0 {
			t.Errorf("%q is never", text)
		}
	})
}

func FuzzParseNumber(f *testing.F) {
	f.Add("-18.5")
	f.Fuzz(func(t *testing.T, text string) {
		v, err := ParseNumber(text)
		if err != nil {
			return
		}
		if !v.Valid() {
			t.Fatalf("%q: %+v", text, v)
		}
		if again, err := ParseNumber(v.String()); err != nil || again != v {
			t.Errorf("%q: %v, again %v, %v", text, v, again, err)
		}
	})
}

// BenchmarkReading is a reading of one of 10,000 devices, with five rules on each and
// nothing wrong.
func BenchmarkReading(b *testing.B) {
	var rules []Rule
	for i := range 3 {
		rules = append(rules, Rule{Name: fmt.Sprint("warm", i), Field: "T", Above: reading.Int(8), For: time.Minute})
	}
	rules = append(rules, Rule{Name: "rate", Field: "T", Rises: reading.Int(5), Within: time.Hour}, Rule{Name: "silent", Silence: time.Hour})
	m, err := New(rules)
	if err != nil {
		b.Fatal(err)
	}
	const devices = 10_000
	for i := range uint32(devices) {
		m.Device(i+1, Subject{ID: fmt.Sprint(i), Name: fmt.Sprint("fridge-", i)}, friday)
	}
	values := []reading.Measurement{{Name: "H", Value: reading.Int(40)}, {Name: "T", Unit: "Cel", Value: reading.Decimal(455, -2)}}
	b.ReportAllocs()
	at, n := friday, uint32(0)
	for b.Loop() {
		n++
		at = at.Add(100 * time.Microsecond)
		if out := m.Reading(n%devices+1, at, values); len(out) > 0 {
			b.Fatal(out)
		}
	}
}
