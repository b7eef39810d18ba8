package ledger

import (
	"encoding/hex"
	"fmt"
)

// Kinds of bindings.
const (
	BindSecure = "secure" // the gateway has the device's key
	BindOpaque = "opaque" // it has not: frames are kept as they came
	BindText   = "text"   // lines of text from a hub that vouches for the device
	// BindVouched: a sender whom the gateway authenticated says what the device said.
	BindVouched = "vouched"
	// BindLate: readings of the binding of the same device number that came by another
	// way, afterwards. They have a stream of their own, beside the one that its device
	// sends to.
	BindLate = "late"
)

// MaxName is the longest name of a binding, in bytes.
const MaxName = 64

// MaxCounter is the greatest counter a device can have, 48 bits.
const MaxCounter = 1<<48 - 1

// Binding is a device at one place for one holder, as it is now.
type Binding struct {
	Number uint32  // of the device at this site, never reused
	ID     [8]byte // the device's own
	Name   string  // UTF-8, at most MaxName bytes
	Slot   uint64  // its stream, never reused
	Epoch  uint32  // of its key
	Kind   string  // one of the Bind constants
	Floor  uint64  // counters up to here are refused, at most MaxCounter
	Closed bool
	From   int64 // Unix milliseconds
	Until  int64 // Unix milliseconds; counts only when closed
	// Where the device is, and what it is about: "" where nobody said. A statement
	// of their own says them, see Placed.
	Place, Thing string
}

// Device returns the device's ID in 16 lower case hexadecimal digits.
func (b Binding) Device() string { return hex.EncodeToString(b.ID[:]) }

// Statement returns the bind statement with which b began, if its key has not
// been rotated since.
func (b Binding) Statement() Statement {
	return Statement{KindBind, b.From, map[string]any{
		"device-number": int64(b.Number), "device": b.Device(), "name": b.Name, "slot": int64(b.Slot),
		"epoch": int64(b.Epoch), "kind": b.Kind, "counter-floor": int64(b.Floor),
	}}
}

// Late returns the binding of a late stream of b, in slot from a time on: of the same
// device at the same place. No counter is taken on it.
func (b Binding) Late(slot uint64, from int64) Binding {
	b.Slot, b.Kind, b.From, b.Floor, b.Closed, b.Until = slot, BindLate, from, 0, false, 0
	return b
}

// Rotate returns the statement that b's key, epoch and floor are these from a
// time on.
func (b Binding) Rotate(at int64) Statement {
	return Statement{KindRotate, at, map[string]any{
		"device-number": int64(b.Number), "device": b.Device(), "epoch": int64(b.Epoch), "slot": int64(b.Slot),
		"counter-floor": int64(b.Floor),
	}}
}

// Unbind returns the statement that b ends at its Until.
func (b Binding) Unbind() Statement {
	return Statement{KindUnbind, b.Until, map[string]any{
		"device-number": int64(b.Number), "device": b.Device(), "slot": int64(b.Slot),
	}}
}

// BindingFrom returns the binding that a bind statement begins.
func BindingFrom(s Statement) (Binding, error) {
	body, err := s.as(KindBind)
	if err != nil {
		return Binding{}, err
	}
	id, _ := parseDevice(body["device"])
	return Binding{
		Number: uint32(body["device-number"].(int64)), ID: id, Name: body["name"].(string),
		Slot: uint64(body["slot"].(int64)), Epoch: uint32(body["epoch"].(int64)), Kind: body["kind"].(string),
		Floor: uint64(body["counter-floor"].(int64)), From: s.At,
	}, nil
}

// Apply returns b after a rotate or unbind statement about it. It returns an
// ErrItem for any other statement and an ErrInvalid for one that contradicts
// b: about another device or slot, or after b ended. Their times decide nothing,
// for a clock that was wrong may have been put back in between.
func (b Binding) Apply(s Statement) (Binding, error) {
	if s.Kind != KindUnbind {
		return b.applyRotate(s)
	}
	body, err := s.as(KindUnbind)
	if err == nil {
		err = b.concerns(s, body)
	}
	if err != nil {
		return b, err
	}
	b.Closed, b.Until = true, s.At
	return b, nil
}

func (b Binding) applyRotate(s Statement) (Binding, error) {
	body, err := s.as(KindRotate)
	if err == nil {
		err = b.concerns(s, body)
	}
	if err != nil {
		return b, err
	}
	b.Epoch, b.Floor = uint32(body["epoch"].(int64)), uint64(body["counter-floor"].(int64))
	return b, nil
}

func (b Binding) concerns(s Statement, body map[string]any) error {
	id, _ := parseDevice(body["device"])
	switch {
	case id != b.ID || body["device-number"] != int64(b.Number) || body["slot"] != int64(b.Slot):
		return fmt.Errorf("statement: %w: a %s about another binding", ErrInvalid, s.Kind)
	case b.Closed:
		return fmt.Errorf("statement: %w: a %s after the binding's end", ErrInvalid, s.Kind)
	}
	return nil
}

// parseDevice parses a device's ID in 16 lower case hexadecimal digits.
func parseDevice(v any) (id [8]byte, ok bool) {
	s, ok := v.(string)
	if !ok || len(s) != 2*len(id) {
		return id, false
	}
	if _, err := hex.Decode(id[:], []byte(s)); err != nil || hex.EncodeToString(id[:]) != s {
		return [8]byte{}, false
	}
	return id, true
}
