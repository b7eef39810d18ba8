package message

import (
	"fmt"
	"path"
	"strings"
	"time"

	"cairn/ingest/reading"
)

// Mapping says what the messages under some MQTT topics mean. Its zero value reads
// nothing.
type Mapping struct {
	// Topic is a topic whose levels in braces are parts of the message:
	// "zigbee2mqtt/{device}", "shellies/{device}/sensor/{name}". {_} is anything.
	Topic string
	// Device is the path of the member that names the device, where the topic does
	// not: "src".
	Device string
	// Time is the path of the member with the device's own time: RFC 3339 with a zone,
	// or seconds of Unix time. "" for none.
	Time string
	// Require are members that must have these values; other messages under the topic
	// are no readings, and no errors.
	Require map[string][]string
	// Fields say which members are measurements, the first that fits decides. None:
	// all of them are, under their paths and without units.
	Fields []Field
	// Plain says that the payload is one value and not JSON; {name} names it.
	Plain bool
	// Stats says that members are called as OpenTRV calls its stats, "T|C": a key and
	// a unit.
	Stats bool
}

// Field makes a measurement of the members whose path fits.
type Field struct {
	Path string // as path.Match has it, "/" for "." between objects: "temperature:*/tC"
	Name string // of the measurement; "" for the member's path; "*" in it stands for what "*" fitted
	Unit string // SenML's (RFC 8428 section 12.1) where it has one
	// UnitFrom is the path of a member that tells the unit, such as TempUnit; Units
	// says what its values mean.
	UnitFrom string
	Units    map[string]string
	Drop     bool // it is no measurement
}

// Filter is the MQTT topic filter of the mapping's topics.
func (m *Mapping) Filter() string {
	levels := strings.Split(m.Topic, "/")
	for i, l := range levels {
		if isPart(l) {
			levels[i] = "+"
		}
	}
	return strings.Join(levels, "/")
}

func isPart(level string) bool { return strings.HasPrefix(level, "{") && strings.HasSuffix(level, "}") }

// Check says what is wrong with a mapping.
func (m *Mapping) Check() error {
	device, name := m.Device != "", false
	for _, l := range strings.Split(m.Topic, "/") {
		switch {
		case l == "{device}":
			device = true
		case l == "{name}":
			name = true
		case l == "{_}":
		case strings.ContainsAny(l, "{}#+\x00"):
			return fmt.Errorf("topic %q: level %q is neither a text nor {device}, {name} or {_}", m.Topic, l)
		}
	}
	switch {
	case m.Topic == "":
		return fmt.Errorf("a mapping needs a topic")
	case !device:
		return fmt.Errorf("topic %q: nothing tells the device: put {device} into it, or name a member", m.Topic)
	case m.Plain && !name:
		return fmt.Errorf("topic %q: nothing tells what is measured: put {name} into it", m.Topic)
	case m.Plain && (m.Device != "" || m.Time != "" || len(m.Require) > 0):
		return fmt.Errorf("topic %q: a plain value has no members", m.Topic)
	}
	for _, f := range m.Fields {
		if _, err := path.Match(f.Path, ""); err != nil || f.Path == "" {
			return fmt.Errorf("topic %q: field %q is no pattern", m.Topic, f.Path)
		}
		if strings.Count(f.Path, "*") > 1 && strings.Contains(f.Name, "*") {
			return fmt.Errorf("topic %q: field %q: the name %q can stand for one * only", m.Topic, f.Path, f.Name)
		}
	}
	return nil
}

// fit takes a topic apart; ok is false if it is not one of the mapping's.
func (m *Mapping) fit(topic string) (device, name string, ok bool) {
	want, got := strings.Split(m.Topic, "/"), strings.Split(topic, "/")
	if len(want) != len(got) {
		return "", "", false
	}
	for i, l := range want {
		switch {
		case l == "{device}":
			device = got[i]
		case l == "{name}":
			name = got[i]
		case l != "{_}" && l != got[i]:
			return "", "", false
		}
	}
	return device, name, true
}

// Read reads a payload. ok is false where it is none of the mapping's readings:
// another topic, or without what it requires.
func (m *Mapping) Read(topic string, payload []byte) (msg Message, ok bool, err error) {
	device, name, ok := m.fit(topic)
	if !ok {
		return msg, false, nil
	}
	if len(payload) > MaxBody {
		return msg, true, fmt.Errorf("%w: %d bytes, at most %d are taken", ErrLimit, len(payload), MaxBody)
	}
	msg.Address = device
	if m.Plain {
		err = m.plain(&msg, name, payload)
		return msg, true, err
	}
	all, err := flatten(payload)
	if err != nil {
		return msg, true, err
	}
	if !m.meets(all) {
		return msg, false, nil
	}
	if m.Device != "" {
		msg.Address = find(all, m.Device).text
	}
	if err := checkAddress(msg.Address); err != nil {
		return msg, true, err
	}
	if m.Time != "" {
		msg.Measured, msg.HasMeasured = measured(find(all, m.Time))
	}
	for i := range all {
		m.take(&msg, name, &all[i], all)
	}
	return msg, true, nil
}

// meets reports whether the members are as required.
func (m *Mapping) meets(all []member) bool {
	for path, values := range m.Require {
		has := find(all, path).value.String()
		fits := false
		for _, v := range values {
			fits = fits || v == has
		}
		if !fits {
			return false
		}
	}
	return true
}

// find gives the member at a path, one without a value if there is none.
func find(all []member, path string) member {
	for i := range all {
		if all[i].path == path {
			return all[i]
		}
	}
	return member{}
}

// measured reads a device's time: RFC 3339, or seconds of Unix time.
func measured(m member) (ms int64, ok bool) {
	if m.value.IsNumber() {
		n := number{m.value.Mantissa, int(m.value.Exp)}
		ms, err := n.millis()
		t := time.UnixMilli(ms).UTC()
		return ms, err == nil && t.Year() >= 2000 && t.Year() <= 2100
	}
	return parseTime(m.text)
}

// take makes a measurement of a member, if it is one.
func (m *Mapping) take(msg *Message, prefix string, x *member, all []member) {
	if x.path == m.Device || x.path == m.Time || m.Require[x.path] != nil {
		return
	}
	name, unit := x.path, ""
	if len(m.Fields) > 0 {
		f, fitted := m.field(x.path)
		if f == nil || f.Drop {
			return
		}
		if f.Name != "" {
			name = strings.ReplaceAll(f.Name, "*", fitted)
		}
		if unit = f.Unit; f.UnitFrom != "" {
			unit = f.Units[find(all, f.UnitFrom).text]
		}
	}
	if m.Stats {
		stat, ok := stat(name, x.value)
		if !ok {
			msg.Left++
			return
		}
		msg.add(stat.Name, stat.Unit, stat.Value)
		return
	}
	if prefix != "" {
		name = prefix + "." + name
	}
	msg.add(safeName(name), unit, x.value)
}

// field finds the rule of a member, and what its "*" fitted.
func (m *Mapping) field(at string) (*Field, string) {
	slashed := strings.ReplaceAll(at, ".", "/")
	for i := range m.Fields {
		f := &m.Fields[i]
		if ok, _ := path.Match(f.Path, slashed); !ok {
			continue
		}
		before, after, some := strings.Cut(f.Path, "*")
		if !some || strings.Count(f.Path, "*") > 1 {
			return f, ""
		}
		return f, strings.TrimSuffix(strings.TrimPrefix(slashed, before), after)
	}
	return nil, ""
}

// stat is the measurement of a stat that was brought to whole units before it was
// sent: "T|C" 21.75, where a frame has "T|C16" 348.
func stat(name string, v reading.Value) (reading.Measurement, bool) {
	key, unit, _ := strings.Cut(name, "|")
	if v.Kind != reading.KindInt && v.Kind != reading.KindText && !v.IsNumber() {
		return reading.Measurement{}, false
	}
	m, err := reading.FromStat(key, unit, v.Kind != reading.KindText, v.Mantissa, v.Text)
	if err != nil || v.Kind != reading.KindDecimal {
		return m, err == nil
	}
	places := map[string]int{"cV": -2, "mV": -3}[unit]
	m.Value = reading.Decimal(v.Mantissa, int(v.Exp)+places)
	return m, m.Value.Valid() && unit != "C16"
}

// plain reads a payload that is one value.
func (m *Mapping) plain(msg *Message, name string, payload []byte) error {
	if err := checkAddress(msg.Address); err != nil {
		return err
	}
	text := strings.TrimSpace(string(payload))
	v := reading.Text(text)
	if n, err := parseNumber(text); err == nil {
		if v, err = n.value(); err != nil {
			return err
		}
	} else if text == "true" || text == "false" {
		v = reading.Bool(text == "true")
	}
	unit := ""
	if len(m.Fields) > 0 {
		f, _ := m.field(name)
		if f == nil || f.Drop {
			msg.Left++
			return nil
		}
		if unit = f.Unit; f.Name != "" {
			name = f.Name
		}
	}
	if name = safeName(name); !msg.fits(name, unit, v) {
		return fmt.Errorf("%w: %.40q is no value of %.40q", ErrFormat, text, name)
	}
	msg.add(name, unit, v)
	return nil
}
