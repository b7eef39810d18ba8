package ledger

import (
	"slices"
	"strings"
)

// Kinds of what is attached to a binding.
const (
	AttachPhoto       = "photo"       // of the sensor where it is installed
	AttachCertificate = "certificate" // of a calibration, a conformity
	AttachData        = "data"        // a logger's file, of which readings of the stream were made
	AttachDocument    = "document"    // any other
)

// MaxOffset is the longest offset of a calibration, in bytes.
const MaxOffset = 32

var (
	formPlace  = form{"a text of at most 64 bytes without control characters", texted(ValidPlace)}
	formOffset = form{"a decimal number such as -0.25, at most 32 bytes", texted(ValidOffset)}
	formAttach = form{"photo, certificate, data or document", texted(ValidAttachment)}
)

// ValidPlace reports whether a place or a thing may have this name; "" is none.
func ValidPlace(s string) bool { return s == "" || ValidParty(s) }

// ValidAttachment reports whether a text is one of the Attach constants.
func ValidAttachment(s string) bool {
	return slices.Contains([]string{AttachPhoto, AttachCertificate, AttachData, AttachDocument}, s)
}

// ValidOffset reports whether a text is a decimal number in its one form: a minus
// sign or none, digits without zeros in front, and behind a point digits of which
// the last is no zero. "-0" is none.
func ValidOffset(s string) bool {
	if len(s) > MaxOffset || s == "-0" {
		return false
	}
	whole, part, pointed := strings.Cut(strings.TrimPrefix(s, "-"), ".")
	digits := func(s string) bool {
		return s != "" && strings.Trim(s, "0123456789") == ""
	}
	if !digits(whole) || len(whole) > 1 && whole[0] == '0' {
		return false
	}
	return !pointed || digits(part) && part[len(part)-1] != '0'
}

// Placed says where the device of a binding is, and what it is about: a fridge
// is not its sensor. A stream has one at most, for a device that is moved gets
// another stream.
type Placed struct {
	Number uint32 // of the device
	Slot   uint64
	Place  string // at most MaxName bytes; one of the two may be ""
	Thing  string
}

// Placed returns where b is; false if nobody said.
func (b Binding) Placed() (Placed, bool) {
	return Placed{b.Number, b.Slot, b.Place, b.Thing}, b.Place != "" || b.Thing != ""
}

// Statement returns the place statement of p, made at this time.
func (p Placed) Statement(at int64) Statement {
	return Statement{KindPlace, at, map[string]any{
		"device-number": int64(p.Number), "slot": int64(p.Slot), "place": p.Place, "thing": p.Thing,
	}}
}

// PlacedFrom returns what a place statement says.
func PlacedFrom(s Statement) (Placed, error) {
	body, err := s.as(KindPlace)
	if err != nil {
		return Placed{}, err
	}
	return Placed{numberIn(body), slotIn(body), body["place"].(string), body["thing"].(string)}, nil
}

// Calibration is what somebody found out about the device of a binding. Readings
// stay as the device sent them.
type Calibration struct {
	Number      uint32
	Slot        uint64
	By          string    // who calibrated, at most MaxName bytes
	Calibrated  int64     // when, Unix milliseconds
	Field       string    // the measurement that Offset is to be added to; "" with it
	Offset      string    // as ValidOffset has it, in the measurement's unit; "": none
	Certificate *[32]byte // SHA-256 of its file; nil: none
}

// Statement returns the calibrate statement of c, made at this time.
func (c Calibration) Statement(at int64) Statement {
	body := map[string]any{
		"device-number": int64(c.Number), "slot": int64(c.Slot), "by": c.By, "calibrated": c.Calibrated,
	}
	if c.Offset != "" {
		body["field"], body["offset"] = c.Field, c.Offset
	}
	if c.Certificate != nil {
		body["certificate"] = c.Certificate[:]
	}
	return Statement{KindCalibrate, at, body}
}

// CalibrationFrom returns what a calibrate statement says.
func CalibrationFrom(s Statement) (c Calibration, err error) {
	body, err := s.as(KindCalibrate)
	if err != nil {
		return c, err
	}
	c = Calibration{Number: numberIn(body), Slot: slotIn(body), By: body["by"].(string), Calibrated: body["calibrated"].(int64)}
	c.Field, _ = body["field"].(string)
	c.Offset, _ = body["offset"].(string)
	if b, ok := body["certificate"].([]byte); ok {
		c.Certificate = (*[32]byte)(slices.Clone(b))
	}
	return c, nil
}

func wholeCalibrate(body map[string]any) string {
	_, field := body["field"]
	_, offset := body["offset"]
	_, certificate := body["certificate"]
	switch {
	case field != offset:
		return "with a field or an offset alone"
	case !offset && !certificate:
		return "with neither an offset nor a certificate"
	}
	return ""
}

func wholePlace(body map[string]any) string {
	if body["place"] == "" && body["thing"] == "" {
		return "without a place and a thing"
	}
	return ""
}

// Attachment is a file that belongs to a binding, known by its hash.
type Attachment struct {
	Number uint32
	Slot   uint64
	What   string // one of the Attach constants
	Name   string // what people call it, at most MaxName bytes; "": nothing
	Digest [32]byte
}

// Statement returns the attach statement of a, made at this time.
func (a Attachment) Statement(at int64) Statement {
	return Statement{KindAttach, at, map[string]any{
		"device-number": int64(a.Number), "slot": int64(a.Slot), "what": a.What, "name": a.Name, "digest": a.Digest[:],
	}}
}

// AttachmentFrom returns what an attach statement says.
func AttachmentFrom(s Statement) (a Attachment, err error) {
	body, err := s.as(KindAttach)
	if err != nil {
		return a, err
	}
	a = Attachment{Number: numberIn(body), Slot: slotIn(body), What: body["what"].(string), Name: body["name"].(string)}
	copy(a.Digest[:], body["digest"].([]byte))
	return a, nil
}

// Replacement says that a binding's device took the place of another's.
type Replacement struct {
	Number    uint32
	Slot      uint64
	OldNumber uint32
	OldSlot   uint64
}

// Statement returns the replace statement of r, made at this time.
func (r Replacement) Statement(at int64) Statement {
	return Statement{KindReplace, at, map[string]any{
		"device-number": int64(r.Number), "slot": int64(r.Slot), "old-number": int64(r.OldNumber), "old-slot": int64(r.OldSlot),
	}}
}

// ReplacementFrom returns what a replace statement says.
func ReplacementFrom(s Statement) (Replacement, error) {
	body, err := s.as(KindReplace)
	if err != nil {
		return Replacement{}, err
	}
	return Replacement{numberIn(body), slotIn(body), uint32(body["old-number"].(int64)), uint64(body["old-slot"].(int64))}, nil
}

// Retirement says that a device is never bound again.
type Retirement struct {
	Number uint32
	Slot   uint64
	Reason string
}

// Statement returns the retire statement of r, made at this time.
func (r Retirement) Statement(at int64) Statement {
	return Statement{KindRetire, at, map[string]any{
		"device-number": int64(r.Number), "slot": int64(r.Slot), "reason": r.Reason,
	}}
}

// RetirementFrom returns what a retire statement says.
func RetirementFrom(s Statement) (Retirement, error) {
	body, err := s.as(KindRetire)
	if err != nil {
		return Retirement{}, err
	}
	return Retirement{numberIn(body), slotIn(body), body["reason"].(string)}, nil
}

func numberIn(body map[string]any) uint32 { return uint32(body["device-number"].(int64)) }

func slotIn(body map[string]any) uint64 { return uint64(body["slot"].(int64)) }
