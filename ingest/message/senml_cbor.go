package message

import (
	"encoding/binary"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/fxamacker/cbor/v2"
)

// labels are the members of a record by their numbers (RFC 8428 section 6).
var labels = map[int64]string{
	-6: "bs", -5: "bv", -4: "bu", -3: "bt", -2: "bn", -1: "bver",
	0: "n", 1: "u", 2: "v", 3: "vs", 4: "vb", 5: "s", 6: "t", 7: "ut", 8: "vd",
}

var senmlDec = func() cbor.DecMode {
	m, err := cbor.DecOptions{
		DupMapKey: cbor.DupMapKeyEnforcedAPF, MaxArrayElements: 4096, MaxMapPairs: 64, MaxNestedLevels: maxDepth,
		IntDec: cbor.IntDecConvertSignedOrFail, UTF8: cbor.UTF8RejectInvalid,
	}.DecMode()
	if err != nil {
		panic(err)
	}
	return m
}()

// SenMLCBOR reads a pack of SenML in CBOR (RFC 8428 section 6), as [SenML] does.
func SenMLCBOR(body []byte, now time.Time) ([]Message, error) {
	if len(body) > MaxBody {
		return nil, fmt.Errorf("%w: %d bytes, at most %d are taken", ErrLimit, len(body), MaxBody)
	}
	var records []map[any]cbor.RawMessage
	if err := senmlDec.Unmarshal(body, &records); err != nil {
		return nil, fmt.Errorf("%w: SenML is an array of maps: %w", ErrFormat, err)
	}
	p := pack{now: now}
	for _, members := range records {
		var r record
		for label, raw := range members {
			if err := r.memberCBOR(label, raw); err != nil {
				return nil, fmt.Errorf("record %d: %w", p.records, err)
			}
		}
		if err := p.add(r); err != nil {
			return nil, fmt.Errorf("record %d: %w", p.records, err)
		}
		p.records++
	}
	return p.done()
}

// memberCBOR takes one member of a record in CBOR.
func (r *record) memberCBOR(label any, raw cbor.RawMessage) error {
	name := ""
	switch l := label.(type) {
	case int64:
		name = labels[l] // an unknown number may be left out
	case string:
		if strings.HasSuffix(l, "_") { // RFC 8428 section 4.4
			return fmt.Errorf("%.40q: %w: a member that must be understood, and is not", l, ErrFormat)
		}
	default:
		return fmt.Errorf("%w: a label that is neither number nor text", ErrFormat)
	}
	var err error
	switch name {
	case "bn", "bu", "n", "u", "vs":
		var s string
		err = decode(raw, &s)
		*map[string]**string{"bn": &r.baseName, "bu": &r.baseUnit, "n": &r.name, "u": &r.unit, "vs": &r.text}[name] = &s
	case "bt", "bv", "bs", "bver", "v", "s", "t", "ut":
		var n number
		n, err = numberCBOR(raw)
		var updated *number
		*map[string]**number{
			"bt": &r.baseTime, "bv": &r.baseValue, "bs": &r.sum0, "bver": &r.version,
			"v": &r.value, "s": &r.sum, "t": &r.time, "ut": &updated,
		}[name] = &n
	case "vb":
		var b bool
		err = decode(raw, &b)
		r.truth = &b
	case "vd":
		r.hasData = true
		err = decode(raw, &r.data)
	}
	if err != nil {
		return fmt.Errorf("%q: %w", name, err)
	}
	return nil
}

func decode(raw cbor.RawMessage, v any) error {
	if err := senmlDec.Unmarshal(raw, v); err != nil {
		return fmt.Errorf("%w: %w", ErrFormat, err)
	}
	if len(raw) > 0 && raw[0] == 0xf6 {
		return fmt.Errorf("%w: null", ErrFormat)
	}
	return nil
}

// numberCBOR reads an integer, a float or a decimal fraction (RFC 8949 sections 3.1,
// 3.3 and 3.4.4).
func numberCBOR(raw cbor.RawMessage) (number, error) {
	switch raw[0] >> 5 {
	case 0, 1:
		var m int64
		err := decode(raw, &m)
		return number{m: m}, err
	case 6:
		return fraction(raw)
	case 7:
		return floatCBOR(raw)
	}
	return number{}, fmt.Errorf("%w: not a number", ErrFormat)
}

func fraction(raw cbor.RawMessage) (n number, err error) {
	var tag cbor.RawTag
	if err := decode(raw, &tag); err != nil {
		return n, err
	}
	var parts []int64
	if tag.Number != 4 {
		return n, fmt.Errorf("%w: tag %d is no decimal fraction", ErrFormat, tag.Number)
	}
	if err := decode(tag.Content, &parts); err != nil {
		return n, err
	}
	if len(parts) != 2 || parts[0] < -maxExponent || parts[0] > maxExponent {
		return n, fmt.Errorf("%w: a decimal fraction is an exponent that a reading can hold and a mantissa", ErrFormat)
	}
	return number{m: parts[1], e: int(parts[0])}, nil
}

func floatCBOR(raw cbor.RawMessage) (number, error) {
	var f float64
	if raw[0]&0x1f < 25 || raw[0]&0x1f > 27 {
		return number{}, fmt.Errorf("%w: not a number", ErrFormat)
	}
	if err := decode(raw, &f); err != nil {
		return number{}, err
	}
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return number{}, fmt.Errorf("%w: a float that is no number", ErrFormat)
	}
	switch raw[0] {
	case 0xf9:
		return half(f, binary.BigEndian.Uint16(raw[1:]))
	case 0xfa:
		return float(f, 32)
	}
	return float(f, 64)
}
