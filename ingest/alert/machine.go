package alert

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"cairn/ingest/reading"
)

// Key names an alert among those that are open.
type Key struct {
	Rule   string
	Device uint32 // 0: it is about no device
	About  string // what an event is about, where it is about no device or several happen to one
}

// Change is an alert that is raised, or cleared.
type Change struct {
	Key
	Raised bool
	At     time.Time
	What   string   // in words, such as "temperature 9.5 Cel, above 8 for 30m0s"
	To     []string // the rule's receivers
}

// Event is something that happened, or, with Over, is so no more.
type Event struct {
	Kind   string // of Events
	Device uint32 // 0: none
	About  string // what else tells it from others of its kind: a source, a route
	Detail string
	Over   bool
}

// Mute is a maintenance window: of what it covers nothing is raised.
type Mute struct {
	Rules       []string // globs; none: all
	Devices     []string // globs of names or IDs; none: all, and what is about no device
	From, Until time.Time
}

// Machine says when alerts are raised and cleared. It is not safe for concurrent use.
type Machine struct {
	rules   []*Rule
	devices map[uint32]*device
	states  map[Key]*state
	events  []*state // in states: of rules of the kind event that are open
	mutes   []Mute
	past    bool // readings of before the start are taken in
}

// Subject is a device as rules know it.
type Subject struct{ ID, Name, Place, Thing string }

type device struct {
	Subject
	watches []*state // of rules level, rate and silence
	flagged bool     // some rule is on what devices tell of themselves
	seen    time.Time
}

// state is where one rule stands with one device, or with what an event is about.
type state struct {
	key    Key
	rule   *Rule
	device *device // nil: none
	open   bool
	wrong  bool      // it is so at this moment
	since  time.Time // as long; of an event, when the last came
	last   string    // value, with its unit
	past   []bucket  // of a rate
}

// bucket is of some consecutive values: the least and the most.
type bucket struct {
	at          time.Time // of the first
	least, most float64
}

// buckets is how many are kept over the time of a rate.
const buckets = 60

// New makes a machine of rules, in whose order alerts of one reading come.
func New(rules []Rule) (*Machine, error) {
	m := &Machine{devices: map[uint32]*device{}, states: map[Key]*state{}}
	if len(rules) > MaxRules {
		return nil, fmt.Errorf("%d rules: at most %d", len(rules), MaxRules)
	}
	names := map[string]bool{}
	for i := range rules {
		r := rules[i]
		if err := r.Check(); err != nil {
			return nil, fmt.Errorf("rule %d: %w", i, err)
		}
		if names[r.Name] {
			return nil, fmt.Errorf("rule %d: name: %.40q is there twice", i, r.Name)
		}
		names[r.Name] = true
		if r.Quiet == 0 {
			r.Quiet = DefaultQuiet
		}
		m.rules = append(m.rules, &r)
	}
	return m, nil
}

// Device makes a device known, or known under another name, that was last heard of at a
// time: its binding's, if nothing is known of its readings.
func (m *Machine) Device(number uint32, x Subject, seen time.Time) {
	d := m.devices[number]
	if d == nil {
		d = &device{seen: seen}
		m.devices[number] = d
	}
	if d.Subject == x {
		return
	}
	d.Subject, d.watches, d.flagged = x, nil, false
	for _, r := range m.rules {
		if !r.about(&x) {
			continue
		}
		if r.kind() != event {
			d.watches = append(d.watches, m.state(Key{Rule: r.Name, Device: number}, r, d))
			continue
		}
		for _, e := range flags {
			d.flagged = d.flagged || slices.Contains(r.On, e)
		}
	}
}

func (m *Machine) state(k Key, r *Rule, d *device) *state {
	s := m.states[k]
	if s == nil {
		s = &state{key: k, rule: r, device: d}
		m.states[k] = s
	}
	return s
}

// Forget ends what there is of a device that is no more.
func (m *Machine) Forget(number uint32, at time.Time) (out []Change) {
	for k, s := range m.states {
		if k.Device == number {
			out = s.clear(out, at, "the device was removed")
			delete(m.states, k)
		}
	}
	m.events = slices.DeleteFunc(m.events, func(s *state) bool { return s.key.Device == number })
	delete(m.devices, number)
	sortChanges(out)
	return out
}

// Resume says that an alert was raised before the start and not cleared. It is false
// for one that no rule or device has any more, which the caller ends.
func (m *Machine) Resume(k Key, at time.Time) bool {
	i := slices.IndexFunc(m.rules, func(r *Rule) bool { return r.Name == k.Rule })
	d := m.devices[k.Device]
	if i < 0 || k.Device != 0 && (d == nil || !m.rules[i].about(&d.Subject)) {
		return false
	}
	s := m.state(k, m.rules[i], d)
	if s.open = true; !s.wrong {
		s.wrong, s.since = true, at
	}
	if s.rule.kind() == event {
		m.events = append(m.events, s)
	}
	return true
}

// SetMutes replaces the maintenance windows.
func (m *Machine) SetMutes(all []Mute) { m.mutes = all }

// Reading takes a reading that was received at a time. Times of one device do not go
// back; one that does counts as the last.
func (m *Machine) Reading(number uint32, at time.Time, measurements []reading.Measurement) (out []Change) {
	d := m.devices[number]
	if d == nil {
		return nil
	}
	if at.Before(d.seen) {
		at = d.seen
	}
	d.seen = at
	for _, s := range d.watches {
		switch s.rule.kind() {
		case silence:
			s.wrong = false
			out = s.clear(out, at, "it sends again")
		case level:
			if x := find(measurements, s.rule.Field); x != nil {
				out = m.level(out, s, x, at)
			}
		case rate:
			if x := find(measurements, s.rule.Field); x != nil {
				out = m.rate(out, s, x, at)
			}
		}
	}
	if d.flagged && !m.past {
		for i := range measurements {
			if e, is := flags[measurements[i].Name]; is && measurements[i].Value == reading.Bool(true) {
				out = append(out, m.Event(Event{Kind: e, Device: number, Detail: "the device says so"}, at)...)
			}
		}
	}
	return out
}

// Past takes a reading of before the start, in the order of the others: it tells since
// when something is so, and raises nothing. Alerts are resumed after it.
func (m *Machine) Past(number uint32, at time.Time, measurements []reading.Measurement) {
	m.past = true
	m.Reading(number, at, measurements)
	m.past = false
}

// Begin says that the past is over: nobody was silent before, for nobody listened.
func (m *Machine) Begin(at time.Time) {
	for _, d := range m.devices {
		if d.seen.Before(at) {
			d.seen = at
		}
	}
}

func find(all []reading.Measurement, field string) *reading.Measurement {
	for i := range all {
		if all[i].Name == field && all[i].Value.IsNumber() {
			return &all[i]
		}
	}
	return nil
}

func (m *Machine) level(out []Change, s *state, x *reading.Measurement, at time.Time) []Change {
	r, v := s.rule, x.Value
	over, clear := v.Cmp(r.Above) > 0, v.Cmp(r.Above) <= 0
	if isSet(r.Clear) {
		clear = v.Cmp(r.Clear) <= 0
	}
	if isSet(r.Below) {
		over, clear = v.Cmp(r.Below) < 0, v.Cmp(r.Below) >= 0
		if isSet(r.Clear) {
			clear = v.Cmp(r.Clear) >= 0
		}
	}
	switch {
	case over && !s.wrong:
		s.wrong, s.since = true, at
	case !over && !s.open, clear:
		// Between the two values what is open stays so, and nothing begins.
		s.wrong = false
	}
	if s.last = ""; s.wrong || s.open {
		s.last = said(x)
	}
	if clear {
		return s.clear(out, at, s.last)
	}
	return m.raise(out, s, at)
}

func said(x *reading.Measurement) string {
	return strings.TrimSuffix(x.Name+" "+x.Value.String()+" "+x.Unit, " ")
}

// rate holds a value against those of before. The times are of buckets, so that it may
// see a sixtieth of the time further back.
func (m *Machine) rate(out []Change, s *state, x *reading.Measurement, at time.Time) []Change {
	r, v := s.rule, float(x.Value)
	for len(s.past) > 0 && at.Sub(s.past[0].at) > r.Within+r.Within/buckets {
		s.past = s.past[1:]
	}
	moved, limit, word := 0.0, float(r.Rises), "rose"
	if isSet(r.Falls) {
		limit, word = float(r.Falls), "fell"
	}
	for _, b := range s.past {
		if isSet(r.Falls) {
			moved = max(moved, b.most-v)
		} else {
			moved = max(moved, v-b.least)
		}
	}
	if n := len(s.past); n > 0 && at.Sub(s.past[n-1].at) < r.Within/buckets {
		b := &s.past[n-1]
		b.least, b.most = min(b.least, v), max(b.most, v)
	} else {
		s.past = append(s.past, bucket{at, v, v})
	}
	wrong := moved >= limit
	if wrong && !s.wrong {
		s.since = at
	}
	s.wrong = wrong
	s.last = said(x)
	if !wrong {
		return s.clear(out, at, s.last)
	}
	s.last += fmt.Sprintf(", which %s by %.6g", word, moved)
	return m.raise(out, s, at)
}

// float is a number as far as it goes.
func float(v reading.Value) float64 {
	f := float64(v.Mantissa)
	for e := v.Exp; e < 0; e++ {
		f /= 10
	}
	return f
}

// Event takes what happened.
func (m *Machine) Event(e Event, at time.Time) (out []Change) {
	d := m.devices[e.Device]
	if e.Device != 0 && d == nil {
		return nil
	}
	about := e.Kind
	if e.About != "" {
		about += " " + e.About
	}
	for _, r := range m.rules {
		if !slices.Contains(r.On, e.Kind) || d != nil && !r.about(&d.Subject) || d == nil && !r.site() {
			continue
		}
		k := Key{Rule: r.Name, Device: e.Device, About: about}
		s := m.states[k]
		if e.Over {
			if s != nil {
				out = s.clear(out, at, "over")
				m.end(s)
			}
			continue
		}
		if s == nil {
			s = m.state(k, r, d)
			m.events = append(m.events, s)
		}
		s.wrong, s.since, s.last = true, at, strings.TrimSuffix(about+": "+e.Detail, ": ")
		out = m.raise(out, s, at)
	}
	return out
}

func (m *Machine) end(s *state) {
	delete(m.states, s.key)
	m.events = slices.DeleteFunc(m.events, func(o *state) bool { return o == s })
}

// Tick lets time pass: it raises what lasted, and clears events that are over. Once a
// second will do.
func (m *Machine) Tick(at time.Time) (out []Change) {
	for _, s := range slices.Clone(m.events) {
		if at.Sub(s.since) >= s.rule.Quiet {
			out = s.clear(out, at, "nothing like it for "+s.rule.Quiet.String())
			m.end(s)
			continue
		}
		out = m.raise(out, s, at)
	}
	for _, number := range slices.Sorted(maps.Keys(m.devices)) {
		d := m.devices[number]
		for _, s := range d.watches {
			if s.rule.kind() == silence && at.Sub(d.seen) >= s.rule.Silence {
				if !s.wrong {
					s.wrong, s.since = true, at
				}
				s.last = "silent since " + d.seen.UTC().Format(time.RFC3339)
			}
			if s.wrong && !s.open {
				out = m.raise(out, s, at)
			}
		}
	}
	return out
}

// raise raises an alert of what is wrong, if it has been for long enough, at this time
// of day, and is under no maintenance.
func (m *Machine) raise(out []Change, s *state, at time.Time) []Change {
	r := s.rule
	switch {
	case s.open, !s.wrong, m.past:
		return out
	case !r.Hours.In(at):
		if r.kind() == level {
			s.since = at // as long as it counts
		}
		return out
	case r.kind() == level && at.Sub(s.since) < r.For, m.muted(s, at):
		return out
	}
	s.open = true
	return append(out, Change{Key: s.key, Raised: true, At: at, What: s.what(), To: r.To})
}

// what says what is wrong.
func (s *state) what() string {
	r := s.rule
	text := s.last
	switch {
	case isSet(r.Above):
		text += ", above " + r.Above.String()
	case isSet(r.Below):
		text += ", below " + r.Below.String()
	case isSet(r.Rises), isSet(r.Falls):
		text += " within " + r.Within.String()
	}
	if r.For > 0 {
		text += " for " + r.For.String()
	}
	return text
}

// clear clears an alert, if there is one.
func (s *state) clear(out []Change, at time.Time, what string) []Change {
	if !s.open {
		return out
	}
	s.open = false
	return append(out, Change{Key: s.key, At: at, What: what, To: s.rule.To})
}

func (m *Machine) muted(s *state, at time.Time) bool {
	for i := range m.mutes {
		if m.mutes[i].covers(s, at) {
			return true
		}
	}
	return false
}

func (x *Mute) covers(s *state, at time.Time) bool {
	if at.Before(x.From) || !at.Before(x.Until) || !covers(x.Rules, s.key.Rule, s.key.Rule) {
		return false
	}
	if s.device == nil {
		return len(x.Devices) == 0
	}
	return covers(x.Devices, s.device.ID, s.device.Name)
}

func sortChanges(all []Change) {
	slices.SortFunc(all, func(a, b Change) int {
		if c := strings.Compare(a.Rule, b.Rule); c != 0 {
			return c
		}
		return strings.Compare(a.About, b.About)
	})
}
