package message

import (
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"cairn/ingest/reading"
)

// Limits on what is read.
const (
	MaxBody     = 64 << 10 // bytes of one message
	MaxMessages = 256      // messages in one body
	MaxAddress  = 128      // bytes of a device's address
	maxDepth    = 8        // objects and arrays within one another
)

// Errors say what to do: an ErrFormat will never be taken, however often it is sent;
// an ErrLimit may be, in smaller pieces.
var (
	ErrFormat = errors.New("not understood")
	ErrLimit  = errors.New("too much at once")
)

// Message is what one device said at one time.
type Message struct {
	// Address is how the sender names the device: a DevEUI in lower case, a topic,
	// the base name of SenML.
	Address      string
	Measured     int64 // Unix ms; counts only with HasMeasured
	HasMeasured  bool
	Measurements []reading.Measurement
	Payload      []byte // what the device sent through a LoRaWAN network, nil if none is told
	ID           string // the sender's own name for this message, "" if it has none
	Left         int    // members that no measurement can hold
}

// add appends a measurement that a reading can hold, or counts it as left out.
func (m *Message) add(name, unit string, v reading.Value) {
	if !m.fits(name, unit, v) {
		m.Left++
		return
	}
	m.Measurements = append(m.Measurements, reading.Measurement{Name: name, Unit: unit, Value: v})
}

func (m *Message) fits(name, unit string, v reading.Value) bool {
	if len(m.Measurements) == reading.MaxMeasurements {
		return false
	}
	return checkMeasurement(m.Measurements, name, unit, v) == nil
}

// checkMeasurement says why a reading that has some measurements cannot have another.
func checkMeasurement(has []reading.Measurement, name, unit string, v reading.Value) error {
	for i := range has {
		if has[i].Name == name {
			return fmt.Errorf("%w: a second value of %q at the same time", ErrFormat, name)
		}
	}
	one := reading.Reading{
		Device: "0000000000000000", Clock: reading.Synced,
		Origin:       reading.Origin{Transport: reading.TransportHTTP, Verdict: reading.Insecure},
		Measurements: []reading.Measurement{{Name: name, Unit: unit, Value: v}},
	}
	if err := one.Validate(); err != nil {
		return fmt.Errorf("%w: %w", ErrFormat, err)
	}
	return nil
}

// checkAddress says what is wrong with a device's address.
func checkAddress(a string) error {
	switch {
	case a == "":
		return fmt.Errorf("%w: it does not say which device it is about", ErrFormat)
	case len(a) > MaxAddress:
		return fmt.Errorf("%w: the device's name has %d bytes, at most %d are taken", ErrFormat, len(a), MaxAddress)
	}
	for _, r := range a {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return fmt.Errorf("%w: the device's name is not printable text", ErrFormat)
		}
	}
	if strings.TrimSpace(a) != a {
		return fmt.Errorf("%w: the device's name begins or ends with a space", ErrFormat)
	}
	return nil
}

// safeName makes a measurement's name of a member's: other characters become "_",
// and the name of an item of every reading gets one in front.
func safeName(s string) string {
	clean := strings.Map(func(r rune) rune {
		if r <= ' ' || r > '~' {
			return '_'
		}
		return r
	}, s)
	switch clean { // the items of every reading
	case "device", "measured", "received", "sequence", "origin", "frame":
		return "_" + clean
	}
	return clean
}

// parseTime reads a time as RFC 3339 has it.
func parseTime(s string) (ms int64, ok bool) {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil || t.Year() < 2000 || t.Year() > 2100 {
		return 0, false
	}
	return t.UnixMilli(), true
}
