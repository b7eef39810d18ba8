package message

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"cairn/ingest/reading"
)

// Media types of SenML (RFC 8428 section 12.3).
const (
	TypeSenMLJSON = "application/senml+json"
	TypeSenMLCBOR = "application/senml+cbor"
)

// relative is the bound below which a time is relative to now (RFC 8428 section
// 4.5.3), in seconds.
const relative = 1 << 28

// senmlVersion is the version of SenML that is read.
const senmlVersion = 10

// record is one record of a pack before it is resolved.
type record struct {
	baseName, baseUnit        *string
	baseTime, baseValue, sum0 *number
	version                   *number
	name, unit                *string
	value, sum, time          *number
	text                      *string
	truth                     *bool
	data                      []byte
	hasData                   bool
}

// SenML reads a pack of SenML in JSON (RFC 8428). Each device and time makes one
// message. The device is the base name, without what separates it from the names of
// records (":", "/", "-", "_", "."); with no base name the name of a record is cut at
// its last "/" or ":", or is the device's if it is a URN such as urn:dev:ow:10e2073a01080063.
// A value without a name of its own is called "value". Times that are relative count from now; "now" itself says
// nothing, so the message has no measured time then. Sums ("s") are measurements of
// their own, named NAME.sum.
func SenML(body []byte, now time.Time) ([]Message, error) {
	if len(body) > MaxBody {
		return nil, fmt.Errorf("%w: %d bytes, at most %d are taken", ErrLimit, len(body), MaxBody)
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	if t, err := d.Token(); err != nil || t != json.Delim('[') {
		return nil, fmt.Errorf("%w: SenML is an array of records", ErrFormat)
	}
	p := pack{now: now}
	for d.More() {
		r, err := readRecord(d)
		if err == nil {
			err = p.add(r)
		}
		if err != nil {
			return nil, fmt.Errorf("record %d: %w", p.records, err)
		}
		p.records++
	}
	if _, err := d.Token(); err != nil {
		return nil, fmt.Errorf("%w: the array does not end", ErrFormat)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%w: something follows the array", ErrFormat)
	}
	return p.done()
}

// readRecord reads one object, whose members may come once each.
func readRecord(d *json.Decoder) (r record, err error) {
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return r, fmt.Errorf("%w: a record is an object", ErrFormat)
	}
	seen := map[string]bool{}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return r, fmt.Errorf("%w: %w", ErrFormat, err)
		}
		label := t.(string)
		if seen[label] {
			return r, fmt.Errorf("%w: %.40q is there twice", ErrFormat, label)
		}
		seen[label] = true
		var raw json.RawMessage
		if err := d.Decode(&raw); err != nil {
			return r, fmt.Errorf("%w: %.40q: %w", ErrFormat, label, err)
		}
		if err := r.member(label, raw); err != nil {
			return r, fmt.Errorf("%.40q: %w", label, err)
		}
	}
	if _, err := d.Token(); err != nil {
		return r, fmt.Errorf("%w: the record does not end", ErrFormat)
	}
	return r, nil
}

// member takes one member of a record in JSON.
func (r *record) member(label string, raw json.RawMessage) (err error) {
	switch label {
	case "bn":
		r.baseName, err = rawText(raw)
	case "bu":
		r.baseUnit, err = rawText(raw)
	case "n":
		r.name, err = rawText(raw)
	case "u":
		r.unit, err = rawText(raw)
	case "vs":
		r.text, err = rawText(raw)
	case "bt":
		r.baseTime, err = rawNumber(raw)
	case "bv":
		r.baseValue, err = rawNumber(raw)
	case "bs":
		r.sum0, err = rawNumber(raw)
	case "bver":
		r.version, err = rawNumber(raw)
	case "v":
		r.value, err = rawNumber(raw)
	case "s":
		r.sum, err = rawNumber(raw)
	case "t":
		r.time, err = rawNumber(raw)
	case "ut":
		_, err = rawNumber(raw)
	case "vb":
		switch string(raw) {
		case "true", "false":
			b := string(raw) == "true"
			r.truth = &b
		default:
			err = fmt.Errorf("%w: not true or false", ErrFormat)
		}
	case "vd":
		var s *string
		if s, err = rawText(raw); err == nil {
			r.hasData = true
			if r.data, err = base64.RawURLEncoding.DecodeString(strings.TrimRight(*s, "=")); err != nil {
				err = fmt.Errorf("%w: not base64url", ErrFormat)
			}
		}
	default:
		if strings.HasSuffix(label, "_") { // RFC 8428 section 4.4
			err = fmt.Errorf("%w: a member that must be understood, and is not", ErrFormat)
		}
	}
	return err
}

func rawText(raw json.RawMessage) (*string, error) {
	var s string
	if len(raw) == 0 || raw[0] != '"' || json.Unmarshal(raw, &s) != nil {
		return nil, fmt.Errorf("%w: not a text", ErrFormat)
	}
	return &s, nil
}

func rawNumber(raw json.RawMessage) (*number, error) {
	if len(raw) == 0 || raw[0] != '-' && (raw[0] < '0' || raw[0] > '9') {
		return nil, fmt.Errorf("%w: not a number", ErrFormat)
	}
	n, err := parseNumber(string(raw))
	return &n, err
}

// pack resolves records (RFC 8428 section 4.6).
type pack struct {
	now      time.Time
	records  int
	base     struct{ name, unit string }
	baseTime number
	value    number
	sum      number
	version  number
	all      []Message
}

func (p *pack) add(r record) error {
	if err := p.rebase(&r); err != nil {
		return err
	}
	name := text(r.name)
	if r.value == nil && r.sum == nil && r.text == nil && r.truth == nil && !r.hasData {
		if r.name == nil {
			return nil // base members alone
		}
		return fmt.Errorf("%w: %.40q has no value", ErrFormat, name)
	}
	at := p.baseTime
	if r.time != nil {
		var err error
		if at, err = at.plus(*r.time); err != nil {
			return err
		}
	}
	m, name, err := p.message(name, at)
	if err != nil {
		return err
	}
	unit := p.base.unit
	if r.unit != nil {
		unit = *r.unit
	}
	return p.values(m, &r, name, unit)
}

// rebase takes over the base members, which hold until they are set again.
func (p *pack) rebase(r *record) error {
	if r.version != nil {
		if p.records > 0 && *r.version != p.version {
			return fmt.Errorf("%w: the version changes within the pack", ErrFormat)
		}
		p.version = *r.version
		if v, err := r.version.value(); err != nil || v.Cmp(reading.Int(senmlVersion)) > 0 {
			return fmt.Errorf("%w: version %v of SenML; %d and before are read", ErrFormat, v, senmlVersion)
		}
	}
	if r.baseName != nil {
		p.base.name = *r.baseName
	}
	if r.baseUnit != nil {
		p.base.unit = *r.baseUnit
	}
	for _, x := range []struct{ to, from *number }{{&p.baseTime, r.baseTime}, {&p.value, r.baseValue}, {&p.sum, r.sum0}} {
		if x.from != nil {
			*x.to = *x.from
		}
	}
	return nil
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// message finds or makes the message of a record, and the measurement's name in it.
func (p *pack) message(name string, at number) (*Message, string, error) {
	address, name := split(p.base.name, name)
	if err := checkAddress(address); err != nil {
		return nil, "", err
	}
	ms, err := at.millis()
	if err != nil {
		return nil, "", err
	}
	has := at.m != 0
	switch {
	case has && ms < relative*1000:
		ms += p.now.UnixMilli()
	case !has:
		ms = 0
	}
	if ms < 0 {
		return nil, "", fmt.Errorf("%w: a time before 1970", ErrFormat)
	}
	for i := range p.all {
		if m := &p.all[i]; m.Address == address && m.HasMeasured == has && m.Measured == ms {
			return m, name, nil
		}
	}
	if len(p.all) == MaxMessages {
		return nil, "", fmt.Errorf("%w: over %d devices and times in one pack", ErrLimit, MaxMessages)
	}
	p.all = append(p.all, Message{Address: address, Measured: ms, HasMeasured: has})
	return &p.all[len(p.all)-1], name, nil
}

// split tells a device from what it measures.
func split(base, name string) (device, measurement string) {
	const separators = ":/-_."
	if base == "" {
		cut := strings.LastIndexAny(name, "/:")
		switch {
		case cut < 0:
			return "", name
		case strings.HasPrefix(name, "urn:dev:") && strings.Count(name, ":") == 3:
			base, name = name, "" // the device alone (RFC 9039 section 3)
		default:
			base, name = name[:cut], name[cut+1:]
		}
	}
	if name == "" {
		name = "value"
	}
	return strings.TrimRight(base, separators), strings.TrimLeft(name, separators)
}

// values adds what a record holds to its message.
func (p *pack) values(m *Message, r *record, name, unit string) error {
	held := 0
	put := func(name string, v reading.Value) error {
		if len(m.Measurements) == reading.MaxMeasurements {
			return fmt.Errorf("%w: over %d values of one device at one time", ErrLimit, reading.MaxMeasurements)
		}
		if err := checkMeasurement(m.Measurements, name, unit, v); err != nil {
			return fmt.Errorf("%.40q: %w", name, err)
		}
		m.Measurements = append(m.Measurements, reading.Measurement{Name: name, Unit: unit, Value: v})
		return nil
	}
	if r.value != nil {
		held++
		n, err := p.value.plus(*r.value)
		if err != nil {
			return err
		}
		v, err := n.value()
		if err != nil {
			return err
		}
		if err := put(name, v); err != nil {
			return err
		}
	}
	if r.text != nil {
		held++
		if err := put(name, reading.Text(*r.text)); err != nil {
			return err
		}
	}
	if r.truth != nil {
		held++
		if err := put(name, reading.Bool(*r.truth)); err != nil {
			return err
		}
	}
	if r.hasData {
		held++
		if err := put(name, reading.Bytes(r.data)); err != nil {
			return err
		}
	}
	if held > 1 {
		return fmt.Errorf("%w: %.40q has more than one value", ErrFormat, name)
	}
	if r.sum == nil {
		return nil
	}
	n, err := p.sum.plus(*r.sum)
	if err != nil {
		return err
	}
	v, err := n.value()
	if err != nil {
		return err
	}
	return put(name+".sum", v)
}

func (p *pack) done() ([]Message, error) {
	if len(p.all) == 0 {
		return nil, fmt.Errorf("%w: a pack without a value", ErrFormat)
	}
	return p.all, nil
}
