package alert

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"cairn/ingest/reading"
)

// Limits of rules.
const (
	MaxRules = 256
	MaxName  = 64 // bytes of a rule's or a receiver's name
	MaxSpan  = 31 * 24 * time.Hour
	// DefaultQuiet is how long nothing must have happened until an event is over.
	DefaultQuiet = time.Hour
)

// Events of the gateway, and of devices.
const (
	EventReboot     = "reboot"      // a device started again
	EventReplay     = "replay"      // a frame of before was sent again
	EventForgery    = "forgery"     // a frame that no key fits, in the clear where there is a key, or under a counter that was used
	EventTamper     = "tamper"      // a device says so itself, as the next ones do
	EventBatteryLow = "battery-low" //
	EventFault      = "fault"       //
	EventFrost      = "frost"       //
	EventSource     = "source-down" // a source of readings is gone
	EventClock      = "clock"       // the gateway's clock is not known to be right
	EventAnchor     = "anchor-late" // anchoring does not do what it should
	EventWallet     = "wallet-low"  // a route's money ends soon
	EventDisk       = "disk-low"    // there is little room
)

// Events are all that a rule may name.
var Events = []string{
	EventReboot, EventReplay, EventForgery, EventTamper, EventBatteryLow, EventFault, EventFrost, EventSource, EventClock,
	EventAnchor, EventWallet, EventDisk,
}

// flags are the events that a device tells in its readings: a measurement of this name
// is true.
var flags = map[string]string{
	reading.NameTamper: EventTamper, reading.NameBatteryLow: EventBatteryLow, reading.NameFault: EventFault, reading.NameFrost: EventFrost,
}

// Rule is what must hold. Just one of Above, Below, Rises, Falls, Silence and On is set.
type Rule struct {
	Name    string   // of all rules one has it
	Devices []string // globs of names or IDs; none: all devices
	Places  []string // globs of places; none: all, and devices of no place
	Things  []string // globs of what devices are about; none: all
	To      []string // receivers

	Field string        // the measurement of level and rate
	Above reading.Value // level: more is wrong
	Below reading.Value // level: less is wrong
	Clear reading.Value // level: at this it is right again; none: at Above or Below
	For   time.Duration // level: as long it must have been wrong

	Rises  reading.Value // rate: so much more within Within is wrong
	Falls  reading.Value // rate: so much less
	Within time.Duration

	Silence time.Duration
	On      []string      // events
	Quiet   time.Duration // events: over when none came for so long; default DefaultQuiet

	Hours Hours // when it is raised
}

// kind of a rule.
type kind byte

const (
	level kind = iota
	rate
	silence
	event
)

func (r *Rule) kind() kind {
	switch {
	case r.Silence > 0:
		return silence
	case len(r.On) > 0:
		return event
	case isSet(r.Rises), isSet(r.Falls):
		return rate
	}
	return level
}

func isSet(v reading.Value) bool { return v.Kind != reading.KindNone }

// Check says what is wrong with a rule, first by the key that it is about.
func (r *Rule) Check() error {
	n := 0
	for _, is := range []bool{isSet(r.Above), isSet(r.Below), isSet(r.Rises), isSet(r.Falls), r.Silence != 0, len(r.On) > 0} {
		if is {
			n++
		}
	}
	switch {
	case r.Name == "":
		return errors.New("name: is missing")
	case len(r.Name) > MaxName || strings.ContainsFunc(r.Name, func(c rune) bool { return c < ' ' || c == 0x7f }):
		return fmt.Errorf("name: %.40q has over %d bytes, or others than printed ones", r.Name, MaxName)
	case n == 0:
		return errors.New("above: is missing: a rule has one of above, below, rises, falls, silence and on")
	case n > 1:
		return errors.New("above: a rule has just one of above, below, rises, falls, silence and on")
	}
	for _, l := range []struct {
		key   string
		globs []string
	}{{"devices", r.Devices}, {"places", r.Places}, {"things", r.Things}} {
		for _, d := range l.globs {
			if _, err := path.Match(d, ""); err != nil || d == "" {
				return fmt.Errorf("%s: %.40q is no pattern such as fridge-*", l.key, d)
			}
		}
	}
	if err := r.checkSpans(); err != nil {
		return err
	}
	return r.checkValues()
}

func (r *Rule) checkSpans() error {
	k := r.kind()
	for _, s := range []struct {
		key     string
		span    time.Duration
		allowed bool
	}{{"for", r.For, k == level}, {"within", r.Within, k == rate}, {"silence", r.Silence, true}, {"quiet", r.Quiet, k == event}} {
		switch {
		case s.span < 0 || s.span > MaxSpan:
			return fmt.Errorf("%s: %v is not within 0s and %v", s.key, s.span, MaxSpan)
		case s.span > 0 && !s.allowed:
			return fmt.Errorf("%s: does not go with this rule", s.key)
		}
	}
	if k == rate && r.Within < time.Second {
		return errors.New("within: is missing: the time in which it rises or falls, of at least 1s")
	}
	if k == silence && r.Silence < time.Second {
		return errors.New("silence: at least 1s")
	}
	return nil
}

func (r *Rule) checkValues() error {
	k := r.kind()
	if needs := k == level || k == rate; needs != (r.Field != "") {
		if needs {
			return errors.New("field: is missing: the measurement that it is about")
		}
		return errors.New("field: does not go with this rule")
	}
	for _, v := range []struct {
		key   string
		value reading.Value
	}{{"above", r.Above}, {"below", r.Below}, {"clear", r.Clear}, {"rises", r.Rises}, {"falls", r.Falls}} {
		if isSet(v.value) && !v.value.IsNumber() {
			return fmt.Errorf("%s: %.40q is no number", v.key, v.value.String())
		}
		if (v.key == "rises" || v.key == "falls") && isSet(v.value) && v.value.Cmp(reading.Int(0)) <= 0 {
			return fmt.Errorf("%s: is not above 0", v.key)
		}
	}
	switch {
	case isSet(r.Clear) && k != level:
		return errors.New("clear: does not go with this rule")
	case isSet(r.Clear) && isSet(r.Above) && r.Clear.Cmp(r.Above) > 0:
		return fmt.Errorf("clear: %v is above %v", r.Clear, r.Above)
	case isSet(r.Clear) && isSet(r.Below) && r.Clear.Cmp(r.Below) < 0:
		return fmt.Errorf("clear: %v is below %v", r.Clear, r.Below)
	}
	for _, e := range r.On {
		if !slices.Contains(Events, e) {
			return fmt.Errorf("on: %.40q is none of %s", e, strings.Join(Events, ", "))
		}
	}
	return nil
}

// about says whether a rule is about a device.
func (r *Rule) about(d *Subject) bool {
	return covers(r.Devices, d.ID, d.Name) && covers(r.Places, d.Place, d.Place) && covers(r.Things, d.Thing, d.Thing)
}

// Watches reports whether a rule is about a device.
func (r *Rule) Watches(d Subject) bool { return r.about(&d) }

// Beyond reports whether a value of the rule's field is wrong by its level, however
// long it has been.
func (r *Rule) Beyond(v reading.Value) bool {
	return isSet(r.Above) && v.Cmp(r.Above) > 0 || isSet(r.Below) && v.Cmp(r.Below) < 0
}

// site says whether it is about what no device has.
func (r *Rule) site() bool { return len(r.Devices)+len(r.Places)+len(r.Things) == 0 }

// covers says whether globs fit a device's name or ID; none fit all.
func covers(globs []string, id, name string) bool {
	if len(globs) == 0 {
		return true
	}
	for _, g := range globs {
		if is, _ := path.Match(g, name); is {
			return true
		}
		if is, _ := path.Match(g, id); is {
			return true
		}
	}
	return false
}

// ParseNumber reads a number as a rule writes it, such as 8 or -18.5, exactly.
func ParseNumber(text string) (reading.Value, error) {
	bad := fmt.Errorf("%.40q is no number such as 8 or -18.5", text)
	digits, negative := strings.CutPrefix(text, "-")
	whole, fraction, dotted := strings.Cut(digits, ".")
	if whole == "" || dotted && fraction == "" || len(whole)+len(fraction) > 18 {
		return reading.Value{}, bad
	}
	n := int64(0)
	for _, c := range whole + fraction {
		if c < '0' || c > '9' {
			return reading.Value{}, bad
		}
		n = 10*n + int64(c-'0')
	}
	if negative {
		n = -n
	}
	return reading.Decimal(n, -len(fraction)), nil
}
