package reading

import (
	"errors"
	"fmt"

	"cairn/merkle"
)

// Errors say what to do with foreign bytes: an ErrEncoding was not written by
// a program that follows the format at all; an ErrItem is something else than
// was asked for, so look for a mix-up of items; an ErrInvalid has the right
// shape but a content that no reading may have. All are final.
var (
	ErrEncoding = errors.New("not core deterministic CBOR")
	ErrItem     = errors.New("not this item")
	ErrInvalid  = errors.New("invalid content")
)

// Places of the items in a reading.
const (
	IndexReading  = 0
	IndexDevice   = 1
	IndexMeasured = 2
	IndexReceived = 3
	IndexSequence = 4
	IndexOrigin   = 5
	IndexFrame    = 6
	IndexData     = 7 // the first measurement
)

// Limits of a reading.
const (
	MaxLeaves       = 64
	MaxMeasurements = MaxLeaves - IndexData
	MaxName         = 32                 // bytes of a measurement's name
	MaxUnit         = 16                 // bytes of a measurement's unit
	MaxItem         = 132                // bytes of any item but item 0
	MaxReading      = 8192               // bytes that item 0 never reaches
	MaxSequence     = merkle.MaxSize - 1 // the last place in a stream's tree
)

// Transports that an origin may name.
const (
	TransportUDP     = "udp"
	TransportLine    = "line"
	TransportMQTT    = "mqtt"
	TransportHTTP    = "http"
	TransportCoAP    = "coap"
	TransportLoRaWAN = "lorawan"
	TransportCSV     = "csv"
)

// Verdict says what the gateway found when it looked at the frame.
type Verdict byte

// The verdicts. The zero Verdict is none of them and is not valid.
const (
	Authenticated   Verdict = iota + 1 // the tag verifies, the counter is new
	Duplicate                          // the same counter and the same bytes again
	Replay                             // authentic, but with a counter of before
	CounterConflict                    // authentic, the same counter with other bytes
	BadTag                             // no key of the node opens it
	UnknownNode                        // no binding for this ID
	Malformed                          // not a frame
	Insecure                           // a frame or line without authentication
	Opaque                             // kept for a node whose key is elsewhere
	Vouched                            // told by a sender whom the gateway knows, not by the device
)

var verdictWords = [...]string{"", "authenticated", "duplicate", "replay", "counter-conflict", "bad-tag",
	"unknown-node", "malformed", "insecure", "opaque", "vouched"}

// String returns the word that the origin item holds for v.
func (v Verdict) String() string {
	if !v.valid() {
		return fmt.Sprintf("verdict(%d)", byte(v))
	}
	return verdictWords[v]
}

func (v Verdict) valid() bool { return v >= Authenticated && v <= Vouched }

// DeviceAuthenticated reports whether the gateway could tell by cryptography
// that a holder of the device's key made the frame, just now.
func (v Verdict) DeviceAuthenticated() bool { return v == Authenticated }

// Verdicts returns all verdicts in their order.
func Verdicts() []Verdict {
	all := make([]Verdict, 0, len(verdictWords)-1)
	for v := Authenticated; v.valid(); v++ {
		all = append(all, v)
	}
	return all
}

// ParseVerdict returns the verdict of a word, or an ErrInvalid.
func ParseVerdict(word string) (Verdict, error) {
	for v := Authenticated; v.valid(); v++ {
		if verdictWords[v] == word {
			return v, nil
		}
	}
	return 0, fmt.Errorf("verdict: %w: unknown word", ErrInvalid)
}

// Clock says what state the gateway's clock was in when it stamped a reading.
type Clock byte

// The states of a clock. The zero Clock is none of them and is not valid.
const (
	Synced   Clock = iota + 1 // disciplined by a time source
	Unsynced                  // running free
	Stepped                   // not sane at the start, or jumped since
)

var clockWords = [...]string{"", "synced", "unsynced", "stepped"}

// String returns the word that the received item holds for c.
func (c Clock) String() string {
	if !c.valid() {
		return fmt.Sprintf("clock(%d)", byte(c))
	}
	return clockWords[c]
}

func (c Clock) valid() bool { return c >= Synced && c <= Stepped }

// ParseClock returns the state of a word, or an ErrInvalid.
func ParseClock(word string) (Clock, error) {
	for c := Synced; c.valid(); c++ {
		if clockWords[c] == word {
			return c, nil
		}
	}
	return 0, fmt.Errorf("clock: %w: unknown word", ErrInvalid)
}

// Class says which of a stream's compartments holds an item, and with it the
// salt key of its leaf.
type Class byte

// The classes.
const (
	Envelope Class = iota // the stream's envelope
	Data                  // the stream's data
	Site                  // the site's own, never granted
)

// String returns "envelope", "data" or "site".
func (c Class) String() string {
	switch c {
	case Envelope:
		return "envelope"
	case Data:
		return "data"
	case Site:
		return "site"
	}
	return fmt.Sprintf("class(%d)", byte(c))
}

// ClassOf returns the class of the item at an index.
func ClassOf(index int) Class {
	switch {
	case index == IndexReading || index == IndexFrame:
		return Site
	case index < IndexData:
		return Envelope
	}
	return Data
}

// ItemName returns the word for the item at an index in errors and reports:
// "reading", "device", …, "frame", "measurement".
func ItemName(index int) string {
	if index >= 0 && index < len(itemNames) {
		return itemNames[index]
	}
	return "measurement"
}

var itemNames = [...]string{"reading", "device", "measured", "received", "sequence", "origin", "frame"}

// Measurement is one measured value.
type Measurement struct {
	Name  string // 1…32 bytes of printable ASCII, no name of another item, unique in the reading
	Unit  string // 0…16 bytes of printable ASCII; SenML's where it has one (RFC 8428 section 12.1)
	Value Value
}

// Origin says how a reading came in.
type Origin struct {
	Transport  string // one of the Transport constants
	Verdict    Verdict
	Counter    uint64 // the node's own message counter; counts only with HasCounter
	HasCounter bool
}

// Reading is one message of one device. Its zero value is not valid.
type Reading struct {
	Device       string // 16 lower case hexadecimal digits
	Measured     int64  // the device's own time, Unix milliseconds; counts only with HasMeasured
	HasMeasured  bool
	Received     int64 // the gateway's stamp, Unix milliseconds
	Clock        Clock
	Sequence     uint64 // place in the stream, from 0, at most MaxSequence
	Origin       Origin
	Frame        merkle.Hash // SHA-256 of the frame with its length byte, or of the text line; counts only with HasFrame
	HasFrame     bool
	Measurements []Measurement
}

// Items returns the number of r's items, item 0 counted.
func (r *Reading) Items() int { return IndexData + len(r.Measurements) }

// Validate returns an ErrInvalid that names the first item which breaks the
// format's rules. It allocates only to report.
func (r *Reading) Validate() error {
	if len(r.Measurements) > MaxMeasurements {
		return itemError(IndexReading, invalid("over 57 measurements"))
	}
	checks := [...]error{
		IndexDevice:   checkDevice(r.Device),
		IndexMeasured: checkTime(r.Measured, r.HasMeasured),
		IndexReceived: checkTime(r.Received, true),
		IndexSequence: checkSequence(r.Sequence),
		IndexOrigin:   checkOrigin(r.Origin),
	}
	for i, err := range checks {
		if err != nil {
			return itemError(i, err)
		}
	}
	if !r.Clock.valid() {
		return itemError(IndexReceived, invalid("unknown state of the clock"))
	}
	for i := range r.Measurements {
		if err := r.checkMeasurement(i, &r.Measurements[i]); err != nil {
			return itemError(IndexData+i, err)
		}
	}
	return nil
}

func itemError(index int, err error) error {
	return fmt.Errorf("item %d (%s): %w", index, ItemName(index), err)
}

func invalid(what string) error { return fmt.Errorf("%w: %s", ErrInvalid, what) }

func checkDevice(s string) error {
	if len(s) != 16 {
		return invalid("not 16 hexadecimal digits")
	}
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return invalid("not lower case hexadecimal")
		}
	}
	return nil
}

func checkTime(ms int64, has bool) error {
	if has && ms < 0 {
		return invalid("a time before 1970")
	}
	return nil
}

func checkSequence(n uint64) error {
	if n > MaxSequence {
		return invalid("outside of any stream")
	}
	return nil
}

func checkOrigin(o Origin) error {
	switch o.Transport {
	case TransportUDP, TransportLine, TransportMQTT, TransportHTTP, TransportCoAP, TransportLoRaWAN, TransportCSV:
	default:
		return invalid("unknown transport")
	}
	if !o.Verdict.valid() {
		return invalid("unknown verdict")
	}
	return nil
}

// checkMeasurement checks m for the place at, where r has it or is to have it.
func (r *Reading) checkMeasurement(at int, m *Measurement) error {
	switch {
	case len(m.Name) == 0 || len(m.Name) > MaxName || !printable(m.Name):
		return invalid("the name is not 1 to 32 printable ASCII characters")
	case len(m.Unit) > MaxUnit || !printable(m.Unit):
		return invalid("the unit is not up to 16 printable ASCII characters")
	case isItemName(m.Name):
		return invalid("the name is that of another item")
	case !m.Value.Valid():
		return invalid("no value, or one not in its normal form")
	}
	for i := range r.Measurements {
		if i != at && r.Measurements[i].Name == m.Name {
			return invalid("another measurement has this name")
		}
	}
	return nil
}

func printable(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

func isItemName(s string) bool {
	switch s {
	case "device", "measured", "received", "sequence", "origin", "frame":
		return true
	}
	return false
}
