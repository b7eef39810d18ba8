package frame

import (
	"errors"
	"fmt"
)

// maxBody is the longest body of a small frame: an insecure one without ID.
const maxBody = maxLength - 4

const (
	noValve     = 0x7f
	callForHeat = 0x80 // in byte 0

	bitFault    = 0x80 // in byte 1
	bitLowPower = 0x40
	bitTamper   = 0x20
	bitStats    = 0x10
	bitFrost    = 0x02
	bitReserved = 0x01
)

// ErrBody says that a plaintext is not the body of a basic frame, or that a
// [Body] has no such plaintext.
var ErrBody = errors.New("malformed basic frame body")

// Body is the plaintext of a [TypeBasic] frame. Shipped firmware fills in valve
// and stats and leaves the flags at zero: a flag that is false says nothing.
type Body struct {
	Valve       int // percent open, 0..100; -1 for no valve
	CallForHeat bool
	Fault       bool
	LowBattery  bool
	Tamper      bool
	FrostRisk   bool
	Occupancy   int // 0 not reported, 1 none, 2 possible, 3 likely

	// Stats is the JSON object as sent: from '{', without the final '}', not
	// yet checked. Give it to [ParseStats] with closed false. Nil if none.
	Stats []byte
	// Rest is what follows the two fixed bytes in a format unknown here.
	Rest []byte

	// StatsBitOdd says that byte 1 bit 4 contradicts the presence of further
	// bytes. Presence decides; hubs show such stats only if the bit is set.
	StatsBitOdd bool
	// Reserved is byte 1 bit 0: without meaning, set by early senders.
	Reserved bool
}

// ParseBody reads the plaintext of a basic frame. The result aliases pt. Every
// accepted plaintext is given back by [AppendBody], byte for byte.
func ParseBody(pt []byte) (Body, error) {
	if len(pt) < 2 || len(pt) > maxBody {
		return Body{}, fmt.Errorf("%w: %d bytes", ErrBody, len(pt))
	}
	valve := int(pt[0] &^ callForHeat)
	switch {
	case valve == noValve:
		valve = -1
	case valve > 100:
		return Body{}, fmt.Errorf("%w: valve %d%%", ErrBody, valve)
	}
	b := Body{
		Valve:       valve,
		CallForHeat: pt[0]&callForHeat != 0,
		Fault:       pt[1]&bitFault != 0,
		LowBattery:  pt[1]&bitLowPower != 0,
		Tamper:      pt[1]&bitTamper != 0,
		FrostRisk:   pt[1]&bitFrost != 0,
		Occupancy:   int(pt[1] >> 2 & 3),
		StatsBitOdd: (pt[1]&bitStats != 0) != (len(pt) > 2),
		Reserved:    pt[1]&bitReserved != 0,
	}
	switch {
	case len(pt) == 2:
	case pt[2] == '{':
		b.Stats = pt[2:]
	default:
		b.Rest = pt[2:]
	}
	return b, nil
}

// AppendBody appends the plaintext of b. It refuses a Body that [ParseBody]
// would read differently. A secure frame takes 31 bytes in all.
func AppendBody(dst []byte, b Body) ([]byte, error) {
	if b.Valve < -1 || b.Valve > 100 {
		return nil, fmt.Errorf("%w: valve %d%%", ErrBody, b.Valve)
	}
	if b.Occupancy < 0 || b.Occupancy > 3 {
		return nil, fmt.Errorf("%w: occupancy %d", ErrBody, b.Occupancy)
	}
	more := len(b.Stats) + len(b.Rest)
	switch {
	case len(b.Stats) > 0 && len(b.Rest) > 0:
		return nil, fmt.Errorf("%w: both stats and an unknown format", ErrBody)
	case len(b.Stats) > 0 && b.Stats[0] != '{':
		return nil, fmt.Errorf("%w: stats do not begin with {", ErrBody)
	case len(b.Rest) > 0 && b.Rest[0] == '{':
		return nil, fmt.Errorf("%w: unknown format begins with {", ErrBody)
	case more > maxBody-2:
		return nil, fmt.Errorf("%w: %d bytes", ErrBody, more+2)
	}
	valve := byte(noValve)
	if b.Valve >= 0 {
		valve = byte(b.Valve)
	}
	flags := byte(b.Occupancy)<<2 |
		bit(b.Fault, bitFault) | bit(b.LowBattery, bitLowPower) | bit(b.Tamper, bitTamper) |
		bit(b.StatsBitOdd != (more > 0), bitStats) |
		bit(b.FrostRisk, bitFrost) | bit(b.Reserved, bitReserved)
	dst = append(dst, valve|bit(b.CallForHeat, callForHeat), flags)
	dst = append(dst, b.Stats...)
	return append(dst, b.Rest...), nil
}

func bit(set bool, mask byte) byte {
	if set {
		return mask
	}
	return 0
}
