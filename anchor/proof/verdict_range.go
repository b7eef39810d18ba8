package proof

// Who numbered the readings of a range without a hole.
const (
	ByGateway          = "gateway"
	ByGatewayAndDevice = "gateway and device"
)

// Kinds of gaps in a range.
const (
	GapLost    = "lost"    // the device's counter shows frames that did not come
	GapReboot  = "reboot"  // the device began to count anew
	GapDown    = "down"    // the gateway was not there
	GapClock   = "clock"   // its clock stepped
	GapWindows = "windows" // there are fewer windows than the time has
	GapTail    = "tail"    // what comes after the last summary is not known yet
)

// RangeVerdict is what is proven of a range: that these are all readings of a
// stream which were received in a time, as they were numbered.
type RangeVerdict struct {
	Stream     uint64         `json:"stream"`            // its slot in the ledger
	Device     string         `json:"device,omitempty"`  // if a reading or the binding shows it
	BoundAs    string         `json:"boundAs,omitempty"` // by a statement that was there before the readings
	Placed     *PlacedVerdict `json:"placed,omitempty"`
	Late       bool           `json:"late,omitempty"` // its readings came by another way, after they were measured
	First      uint64         `json:"first"`          // number of the first reading
	Next       uint64         `json:"next"`           // the one after the last; First if there is none
	Readings   uint64         `json:"readings"`
	From       string         `json:"from"`                 // all that was received from here on …
	To         string         `json:"to"`                   // … and before this is claimed to be here
	FromWindow string         `json:"fromWindow"`           // since when it is known
	KnownUntil string         `json:"knownUntil,omitempty"` // until when; none if the stream ended: nothing follows
	Closed     bool           `json:"closed"`               // it ended

	// Complete: there is no finding, and all of the time is known.
	Complete bool `json:"complete"`
	// NumberedBy is ByGateway, or ByGatewayAndDevice where the device's own
	// counters are shown and go on without a break.
	NumberedBy     string `json:"numberedBy"`
	DeviceCounters string `json:"deviceCounters"` // what they show, in words

	Parts       []PartVerdict `json:"parts"`    // when each part was fixed, ascending
	Gaps        []GapVerdict  `json:"gaps"`     // ascending by kind and place
	Findings    []string      `json:"findings"` // what is missing, in words
	LateStreams string        `json:"lateStreams"`
}

// PartVerdict says by when the readings up to a number were fixed: nobody could
// add, change or remove one after that unseen.
type PartVerdict struct {
	Next     uint64 `json:"next"`     // the number after the part's last reading
	Batch    uint64 `json:"batch"`    // index in the log
	WindowTo string `json:"windowTo"` // its window's end
	NotAfter *Bound `json:"notAfter,omitempty"`
	Delay    string `json:"delay,omitempty"` // from the window's end to NotAfter
	Level    Level  `json:"level"`
}

// GapVerdict is something that is missing, or may be, and whether the ledger
// itself says so.
type GapVerdict struct {
	Kind          string  `json:"kind"` // one of the Gap constants
	From          string  `json:"from,omitempty"`
	To            string  `json:"to,omitempty"`
	Count         uint64  `json:"count,omitempty"`         // frames, windows, or readings of a clock that stepped
	AfterSequence *uint64 `json:"afterSequence,omitempty"` // of the reading before
	Declared      bool    `json:"declared"`
	By            string  `json:"by,omitempty"`     // what declares it
	Reason        string  `json:"reason,omitempty"` // as that says
}
