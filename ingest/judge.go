package ingest

import (
	"encoding/hex"
	"errors"
	"slices"
	"time"

	"cairn/ingest/frame"
	"cairn/ingest/reading"
)

// DefaultCandidates is how many keys are tried on one frame.
const DefaultCandidates = 8

// Decision is what a judge says of one frame or line.
type Decision struct {
	// Verdict is Authenticated, Opaque, Insecure or Vouched with Record, else the
	// reason's. It means nothing with Aside.
	Verdict reading.Verdict
	Reason  Reason // why it is not recorded; NoReason with Record
	Record  bool   // an arrival was made, for the committer
	Aside   bool   // a line that is neither frame nor reading: prompt, info, warning, …
	Device  uint32 // whom it is about, as far as that is known; 0 if not
	// Line is the kind of a text line, and Refused the ID in "?RX auth …".
	Line    frame.LineKind
	Refused string
	// Stranger is what is known of the ID that was named, if no device is bound under
	// one that begins so.
	Stranger Prefix
}

// Judge decides what frames and lines are worth. It keeps scratch space: use
// one for each goroutine.
//
// Slices in the arrivals that it makes are cut from blocks that are never
// written again, so they can be given away; a block is freed with the last
// arrival that points into it.
type Judge struct {
	registry   *Registry
	candidates int
	tally      *Tally
	opaque     limits           // of each device without a key, over UDP
	now        func() time.Time // for opaque

	buf      [frame.MaxWire]byte
	bytes    []byte
	measures []reading.Measurement
}

type limits struct{ rate, burst float64 }

// NewJudge returns a judge that tries at most candidates keys on a frame (0:
// DefaultCandidates), and counts in tally what readings had to leave out. It
// has no budgets: those are the [Intake]'s.
func NewJudge(registry *Registry, candidates int, tally *Tally) *Judge {
	if candidates <= 0 {
		candidates = DefaultCandidates
	}
	return &Judge{registry: registry, candidates: candidates, tally: tally, now: time.Now}
}

// Datagram judges a frame that came without its length byte. With Record, a is
// filled but for Done. b may be used again.
func (j *Judge) Datagram(b []byte, transport string, a *Arrival) Decision {
	f, err := frame.ParseDatagram(b, &j.buf)
	if err != nil {
		return Decision{Verdict: reading.Malformed, Reason: reasonOf(err)}
	}
	return j.frame(f, transport, a)
}

// Wire judges a frame that came with its length byte.
func (j *Judge) Wire(b []byte, transport string, a *Arrival) Decision {
	f, err := frame.Parse(b)
	if err != nil {
		return Decision{Verdict: reading.Malformed, Reason: reasonOf(err)}
	}
	return j.frame(f, transport, a)
}

// frame judges a frame that is well formed.
func (j *Judge) frame(f frame.Frame, transport string, a *Arrival) Decision {
	s := j.registry.current.Load()
	if !f.Secure() {
		d := insecure(s, f)
		d.name(s, f.ID)
		return d
	}
	keyed := withPrefix(s.secure, f.ID)
	d, e, body := j.authenticate(keyed, f)
	if d.Record {
		*a = Arrival{
			Device: e.device, Epoch: e.epoch, Verdict: d.Verdict, Transport: transport, Counter: f.Counter(),
			Wire: j.keep(f.Wire), Body: body, Type: f.Type, IDLen: byte(len(f.ID)),
		}
		if len(body) == 0 {
			a.Body = nil
		}
		a.Measurements = j.measure(f.Type, body)
		return d
	}
	if d.Reason == FramePadding {
		return d
	}
	d = j.unopened(s, f, transport, a, d)
	d.name(s, f.ID)
	return d
}

// name notes whose ID a frame or a line says that it is, if it is a stranger's.
func (d *Decision) name(s *snapshot, id []byte) {
	if d.Record || d.Device != 0 || len(id) == 0 {
		return
	}
	if p := prefixOf(id); !s.knows(p) {
		d.Stranger = p
	}
}

// insecure judges a frame with a CRC alone, which anyone can make.
func insecure(s *snapshot, f frame.Frame) Decision {
	d := Decision{Verdict: reading.Insecure, Reason: OnlyCRC}
	if len(f.ID) > 0 {
		if keyed := withPrefix(s.secure, f.ID); len(keyed) > 0 {
			d.Reason, d.Device = HasKey, keyed[0].device
		}
	}
	return d
}

// authenticate tries the candidates' keys in turn. The body is cut from
// j.bytes.
func (j *Judge) authenticate(keyed []*entry, f frame.Frame) (Decision, *entry, []byte) {
	d := Decision{Verdict: reading.UnknownNode, Reason: NoCandidate}
	for i, e := range keyed {
		if i == j.candidates {
			d.Reason = TooManyCandidates
			break
		}
		j.reserve(frame.MaxSecureBody)
		start := len(j.bytes)
		body, err := e.opener.Open(j.bytes[start:start:start+frame.MaxSecureBody], f, e.id)
		switch {
		case err == nil:
			j.bytes = j.bytes[:start+len(body)]
			return Decision{Verdict: reading.Authenticated, Record: true, Device: e.device}, e, slices.Clip(body)
		case errors.Is(err, frame.ErrPadding):
			return Decision{Verdict: reading.Malformed, Reason: FramePadding, Device: e.device}, e, nil
		}
		if i == 0 {
			d = Decision{Verdict: reading.BadTag, Reason: TagMismatch, Device: e.device}
		}
	}
	return d, nil, nil
}

// unopened judges a secure frame that no key opened: it is recorded if it
// names exactly one device without a key. d is the verdict otherwise.
func (j *Judge) unopened(s *snapshot, f frame.Frame, transport string, a *Arrival, d Decision) Decision {
	closed := withPrefix(s.opaque, f.ID)
	if len(closed) == 0 {
		return d
	}
	e := only(closed)
	if e == nil || len(f.ID) == 0 {
		if d.Verdict == reading.UnknownNode {
			d.Reason = AmbiguousID
		}
		return d
	}
	d = Decision{Verdict: reading.Opaque, Device: e.device}
	if transport == reading.TransportUDP && j.opaque.rate > 0 && !e.spend(j.now(), j.opaque) {
		d.Reason = OpaqueLimit
		return d
	}
	*a = Arrival{
		Device: e.device, Epoch: e.epoch, Verdict: reading.Opaque, Transport: transport,
		Wire: j.keep(f.Wire), Type: f.Type, IDLen: byte(len(f.ID)),
	}
	d.Record = true
	return d
}

// spend takes one token of the device's budget.
func (e *entry) spend(now time.Time, l limits) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.budget.take(now, l.rate, max(l.burst, 1))
}

// Line judges one line of a hub's serial link. hub is the number of the text
// device to which the hub's own status belongs, 0 for none.
func (j *Judge) Line(b []byte, hub uint32, a *Arrival) Decision {
	line, err := frame.ParseLine(string(b))
	if errors.Is(err, frame.ErrLineEmpty) {
		return Decision{Aside: true}
	}
	if err != nil {
		return Decision{Verdict: reading.Malformed, Reason: reasonOf(err), Line: frame.LineKind(b[0])}
	}
	d := Decision{Aside: true}
	switch line.Kind {
	case frame.LineRaw:
		d = j.dump(line, a)
	case frame.LineJSON, frame.LineBinary:
		d = j.told(line, a)
	case frame.LineStatus:
		if e := j.registry.current.Load().hub(hub); hub != 0 && e != nil {
			d = j.text(e, line, 0, a)
		}
	case frame.LineWarning:
		d.Refused = line.ID
		id, _ := hex.DecodeString(line.ID) // as ParseLine wrote it
		d.name(j.registry.current.Load(), id)
	}
	d.Line = line.Kind
	return d
}

// dump judges the frame of a '|' line.
func (j *Judge) dump(line frame.Line, a *Arrival) Decision {
	f, err := frame.ParseDump(line.Frame, &j.buf)
	if err != nil {
		return Decision{Verdict: reading.Malformed, Reason: reasonOf(err)}
	}
	return j.frame(f, reading.TransportLine, a)
}

// told judges what a hub says that a node said. The line must fit exactly one
// text device, and no device with a key: two bytes of ID, as hubs print them
// for insecure nodes, may be anyone's.
func (j *Judge) told(line frame.Line, a *Arrival) Decision {
	prefix, err := hex.DecodeString(line.ID)
	if err != nil || len(prefix) > len(frame.ID{}) {
		return Decision{Verdict: reading.Malformed, Reason: LineID}
	}
	if len(prefix) == 0 {
		return Decision{Verdict: reading.UnknownNode, Reason: AmbiguousID}
	}
	s := j.registry.current.Load()
	if keyed := withPrefix(s.secure, prefix); len(keyed) > 0 {
		return Decision{Verdict: reading.Insecure, Reason: HasKey, Device: keyed[0].device}
	}
	known := withPrefix(s.text, prefix)
	if len(known) == 0 {
		d := Decision{Verdict: reading.UnknownNode, Reason: NoCandidate}
		d.name(s, prefix)
		return d
	}
	e := only(known)
	if e == nil {
		return Decision{Verdict: reading.UnknownNode, Reason: AmbiguousID}
	}
	return j.text(e, line, len(prefix), a)
}

// text makes the arrival of a text line.
func (j *Judge) text(e *entry, line frame.Line, idLen int, a *Arrival) Decision {
	*a = Arrival{
		Device: e.device, Epoch: e.epoch, Verdict: reading.Insecure, Transport: reading.TransportLine,
		Wire: []byte(line.Text), Type: byte(line.Kind), IDLen: byte(idLen),
	}
	a.Measurements = j.stats(line.Stats)
	return Decision{Verdict: reading.Insecure, Record: true, Device: e.device}
}

// Told judges a message of a sender that the gateway knows, of which b are the bytes.
// Nobody but such a sender speaks for a vouched device, and no message for another
// kind: what a key or a hub vouches for cannot be told over its head.
func (j *Judge) Told(t *Told, b []byte, transport string, a *Arrival) Decision {
	s := j.registry.current.Load()
	e := only(withPrefix(s.vouched, t.Device[:]))
	if e == nil {
		d := Decision{Verdict: reading.UnknownNode, Reason: NoCandidate}
		if keyed := withPrefix(s.secure, t.Device[:]); len(keyed) > 0 {
			d = Decision{Verdict: reading.Insecure, Reason: HasKey, Device: keyed[0].device}
		}
		d.name(s, t.Device[:])
		return d
	}
	*a = Arrival{
		Device: e.device, Epoch: e.epoch, Verdict: reading.Vouched, Transport: transport,
		Measured: t.Measured, HasMeasured: t.HasMeasured, Measurements: t.Measurements, Once: t.Once, Again: t.Again,
		Wire: j.keep(b),
	}
	return Decision{Verdict: reading.Vouched, Record: true, Device: e.device}
}

const (
	byteBlock    = 8 << 10
	measureBlock = 128
)

// reserve makes room for n bytes at the end of j.bytes.
func (j *Judge) reserve(n int) {
	if cap(j.bytes)-len(j.bytes) < n {
		j.bytes = make([]byte, 0, max(byteBlock, n))
	}
}

// keep copies b into j.bytes.
func (j *Judge) keep(b []byte) []byte {
	j.reserve(len(b))
	start := len(j.bytes)
	j.bytes = append(j.bytes, b...)
	return slices.Clip(j.bytes[start:])
}
