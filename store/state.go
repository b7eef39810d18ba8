package store

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/cockroachdb/pebble/v2"
	"github.com/fxamacker/cbor/v2"

	"cairn/ingest/frame"
	"cairn/ingest/reading"
	"cairn/merkle"
	"cairn/merkle/ledger"
	"cairn/store/share"
)

// nodeLevel is the lowest level of run tree nodes on disk, and of the stream tree's
// of scheme 0; below it hashes are computed again from the readings. From scheme 1
// on the stream trees' nodes begin lower, as summaries are made again too.
const (
	nodeLevel       = 6
	streamNodeLevel = 5
)

func (c *classes) nodeLevel() int {
	if c.scheme == schemeSite {
		return nodeLevel
	}
	return streamNodeLevel
}

// ledgerState is the row S.
type ledgerState struct {
	_          struct{} `cbor:",toarray"`
	Open       window
	Size       uint64 // closed windows
	Statements uint64
	Slots      uint64
	Devices    uint32
	Starts     uint64
	LastStamp  int64  // newest received, ms
	NextCommit uint64 // when the row was written
	SnapCommit uint64 // stream rows hold every commit before this one
	Head       []byte // newest intake head item when the row was written
	SealFrom   uint64 // first batch whose quarter hour is not sealed
	Stopped    int64  // when the gateway last stopped in order, ms
	Signed     uint64 // size of the newest signed checkpoint

	Keys uint64 `cbor:"-"` // log keys after the first; where there are any the row is a rotatedState
}

// rotatedState is the row S, in formatRotated, once there was another log key.
type rotatedState struct {
	_     struct{} `cbor:",toarray"`
	State ledgerState
	Keys  uint64
}

// window is the row w, and the open window in S.
type window struct {
	_           struct{} `cbor:",toarray"`
	From, To    int64    // ms
	FirstCommit uint64
	NextCommit  uint64
	Start       uint64 // number of the start that closed it: its incarnation salts the summaries
	Missed      uint64
	GapFrom     int64 // 0 if no gap
	GapTo       int64
	GapReason   string
	Seen        []seenRow
}

type seenRow struct {
	_      struct{} `cbor:",toarray"`
	Route  string
	Height uint64
	Hash   merkle.Hash
	Time   int64
}

func (w *window) seen() []ledger.Seen {
	out := make([]ledger.Seen, len(w.Seen))
	for i, s := range w.Seen {
		out[i] = ledger.Seen{Route: s.Route, Height: s.Height, Hash: s.Hash, Time: s.Time}
	}
	return out
}

func (w *window) gaps() []ledger.Gap {
	if w.GapFrom == 0 {
		return nil
	}
	return []ledger.Gap{{From: w.GapFrom, To: w.GapTo, Reason: w.GapReason}}
}

func (w *window) hour() share.Hour {
	h, _ := share.HourOf(w.From)
	return h
}

// streamRow is the row s: what a stream is, and its frontiers at SnapCommit.
type streamRow struct {
	_              struct{} `cbor:",toarray"`
	Device         uint32
	Envelope, Data uint32 // compartments
	Opened         uint64 // first batch with a summary of it
	ClosedBy       uint64 // last batch with one, if Closed
	Closed         bool
	Closing        bool // the next summary says closed
	Tree           []byte
	RunBatch       uint64
	Run            []byte
	First          uint64
	Stats          statsRow
}

// deviceRow is the row d.
type deviceRow struct {
	_       struct{} `cbor:",toarray"`
	Binding bindingRow
	Epoch   uint32 // of Counter
	Counter uint64
	Digest  []byte // of the last frames, newest last, 8 bytes each
}

// placedRow is the row d of a device of which more is known than what deviceRow
// holds, in formatPlaced.
type placedRow struct {
	_            struct{} `cbor:",toarray"`
	Device       deviceRow
	Place, Thing string
	Labels       []string
	Retired      bool
}

type bindingRow struct {
	_           struct{} `cbor:",toarray"`
	Number      uint32
	ID          [8]byte
	Name        string
	Slot        uint64
	Epoch       uint32
	Kind        string
	Floor       uint64
	Closed      bool
	From, Until int64
}

// stream is one open stream; the committer owns it, and while a commit is
// being hashed the worker that was given it.
type stream struct {
	slot     uint64
	tag      [12]byte
	device   *device
	number   uint32 // of its device
	envelope uint32
	classes  *classes
	known    map[string]byte // classes of measurements by name
	opened   uint64          // first batch with a summary of it
	closedBy uint64
	closed   bool
	closing  bool
	late     bool // beside the stream that its device sends to
	dirty    bool

	tree     merkle.Tree
	root     merkle.Hash // of tree at rootSize
	rootSize uint64
	runBatch uint64
	run      merkle.Tree
	first    uint64
	stats    runStats

	keys    *hourKeys
	cursors []*share.Cursor // of the envelope, then by class

	pending []*pending // of the commit in hand
	cols    columns
	out     sealed
}

// device is one registered device; the committer owns it.
type device struct {
	binding ledger.Binding
	text    string // the id as readings show it
	stream  *stream
	late    *stream // open late stream; also of a binding that has ended
	epoch   uint32  // of counter
	counter frame.Counter
	recent  []seenFrame // newest last, at most recentFrames
	labels  []string    // as it was added with
	retired bool        // never bound again
	// found is said again when its next stream begins.
	found []ledger.Calibration
	dirty bool
}

type seenFrame struct {
	counter frame.Counter
	epoch   uint32
	digest  [8]byte
}

// How many accepted frames of a device are remembered to tell a repeated frame from
// a replayed one, and how many messages to tell one that is sent again: a broker may
// hold back as many as it lets be under way at once.
const (
	recentFrames   = 16
	recentMessages = 256
)

// remembers is how many the device's ring holds.
func (d *device) remembers() int {
	if d.binding.Kind == ledger.BindVouched {
		return recentMessages
	}
	return recentFrames
}

// has reports whether something with this digest is remembered.
func (d *device) has(digest [8]byte) bool {
	return slices.ContainsFunc(d.recent, func(f seenFrame) bool { return f.digest == digest })
}

// admit judges an authenticated or opaque frame by what was accepted before.
// Counters must strictly increase per key epoch and start above the floor; an
// older key's frames are replays from the rotation on.
func (d *device) admit(a *Arrival, digest [8]byte) reading.Verdict {
	if a.Verdict == reading.Opaque {
		if d.has(digest) {
			return reading.Duplicate
		}
		return reading.Opaque
	}
	if a.Epoch < d.binding.Epoch { // of a key that was rotated out
		return reading.Replay
	}
	last := frame.Counter(d.binding.Floor)
	if a.Epoch == d.epoch && d.counter > last {
		last = d.counter
	}
	if a.Counter > last {
		return reading.Authenticated
	}
	for _, f := range d.recent {
		if f.counter == a.Counter && f.epoch == a.Epoch {
			if f.digest == digest {
				return reading.Duplicate
			}
			return reading.CounterConflict
		}
	}
	return reading.Replay
}

// accept remembers a frame that admit let through.
func (d *device) accept(a *Arrival, digest [8]byte) {
	if a.Verdict == reading.Authenticated {
		d.epoch, d.counter = a.Epoch, a.Counter
	}
	if n := d.remembers(); len(d.recent) == n {
		copy(d.recent, d.recent[1:])
		d.recent = d.recent[:n-1]
	}
	d.recent = append(d.recent, seenFrame{a.Counter, a.Epoch, digest})
	d.dirty = true
}

// How private rows are written, and read: strictly.
var (
	rowEnc = func() cbor.EncMode { m, _ := cbor.CoreDetEncOptions().EncMode(); return m }()
	rowDec = func() cbor.DecMode {
		m, _ := cbor.DecOptions{DupMapKey: cbor.DupMapKeyEnforcedAPF, MaxArrayElements: 1 << 20, IndefLength: cbor.IndefLengthForbidden}.DecMode()
		return m
	}()
)

// putRow writes v under key: format byte, then CBOR, sealed if seal is set.
func (s *Store) putRow(b *pebble.Batch, key []byte, v any, seal bool) error {
	return s.putRowAs(b, format, key, v, seal)
}

func (s *Store) putRowAs(b *pebble.Batch, version byte, key []byte, v any, seal bool) error {
	enc, err := rowEnc.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode row %c: %w", key[32], err)
	}
	if seal {
		enc = s.local.seal(key, enc)
	}
	return b.Set(key, append([]byte{version}, enc...), nil)
}

// readState reads the row S, in either format.
func (s *Store) readState(r pebble.Reader) (st ledgerState, err error) {
	key := s.keys.key(kindState)
	val, closer, err := r.Get(key)
	if err != nil {
		return st, err
	}
	defer closer.Close()
	if len(val) == 0 || val[0] != formatRotated {
		err = decodeRow(s.local, key, val, &st)
		return st, err
	}
	var x rotatedState
	if err = decodeRowAs(formatRotated, s.local, key, val, &x); err == nil && x.Keys == 0 {
		err = fmt.Errorf("%w: row S has no log key after the first", ErrDamaged)
	}
	x.State.Keys = x.Keys
	return x.State, err
}

// row reads what putRow wrote. It gives pebble.ErrNotFound as it is.
func row(r pebble.Reader, local *localSeal, key []byte, v any) error {
	val, closer, err := r.Get(key)
	if err != nil {
		return err
	}
	defer closer.Close()
	return decodeRow(local, key, val, v)
}

func decodeRow(local *localSeal, key, val []byte, v any) error {
	return decodeRowAs(format, local, key, val, v)
}

func decodeRowAs(version byte, local *localSeal, key, val []byte, v any) error {
	if len(val) == 0 || val[0] != version {
		return fmt.Errorf("%w: row %c has an unknown format", ErrDamaged, key[32])
	}
	val = val[1:]
	if local != nil {
		var err error
		if val, err = local.open(key, val); err != nil {
			return fmt.Errorf("%w: row %c: %w", ErrDamaged, key[32], err)
		}
	}
	if err := rowDec.Unmarshal(val, v); err != nil {
		return fmt.Errorf("%w: row %c: %w", ErrDamaged, key[32], err)
	}
	return nil
}

// getHash reads a 32-byte value.
func getHash(r pebble.Reader, key []byte) (merkle.Hash, error) {
	val, closer, err := r.Get(key)
	if err != nil {
		return noHash, err
	}
	defer closer.Close()
	if len(val) != 33 || val[0] != format {
		return noHash, fmt.Errorf("%w: node %x", ErrDamaged, suffix(key))
	}
	return merkle.Hash(val[1:]), nil
}

func hashValue(h merkle.Hash) []byte {
	b := make([]byte, 33)
	b[0] = format
	copy(b[1:], h[:])
	return b
}

// each visits the keys with a prefix in order until fn says false.
func each(r pebble.Reader, lower, upper []byte, fn func(key, value []byte) (bool, error)) error {
	it, err := r.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return err
	}
	for ok := it.First(); ok; ok = it.Next() {
		val, err := it.ValueAndErr()
		if err != nil {
			it.Close()
			return err
		}
		more, err := fn(it.Key(), val)
		if err != nil || !more {
			it.Close()
			return err
		}
	}
	return it.Close()
}

func (st *stream) row() streamRow {
	return streamRow{
		Device: st.number, Envelope: st.envelope, Data: st.classes.list[st.classes.home].compartment, Opened: st.opened, ClosedBy: st.closedBy, Closed: st.closed, Closing: st.closing,
		Tree: st.tree.AppendBinary(nil), RunBatch: st.runBatch, Run: st.run.AppendBinary(nil),
		First: st.first, Stats: st.stats.row(),
	}
}

// putStream writes a stream's row: as it always was where that says all.
func (s *Store) putStream(b *pebble.Batch, st *stream) error {
	key := s.keys.u64(kindStream, st.slot)
	switch {
	case st.late:
		return s.putRowAs(b, formatLate, key, st.classes.row(st.row()), true)
	case st.classes.scheme == schemeSite:
		return s.putRow(b, key, st.row(), true)
	}
	return s.putRowAs(b, formatSplit, key, st.classes.row(st.row()), true)
}

// readStream reads what putStream wrote.
func (s *Store) readStream(key, val []byte) (r streamRow, c *classes, late bool, err error) {
	if len(val) > 0 && val[0] == format {
		err = decodeRow(s.local, key, val, &r)
		return r, oldClasses(r.Data), false, err
	}
	version := byte(formatSplit)
	if late = len(val) > 0 && val[0] == formatLate; late {
		version = formatLate
	}
	var x splitRow
	if err = decodeRowAs(version, s.local, key, val, &x); err == nil {
		c, err = x.classes()
	}
	return x.Stream, c, late, err
}

func (d *device) row() deviceRow {
	r := deviceRow{Binding: fromBinding(d.binding), Epoch: d.epoch, Counter: uint64(d.counter)}
	var buf bytes.Buffer
	for _, f := range d.recent {
		buf.Write(f.counter.Append(nil))
		buf.WriteByte(byte(f.epoch))
		buf.Write(f.digest[:])
	}
	r.Digest = buf.Bytes()
	return r
}

// placed reports whether deviceRow does not hold all that is known of d.
func (d *device) placed() bool {
	_, is := d.binding.Placed()
	return is || d.retired || len(d.labels) > 0
}

func (s *Store) putDevice(b *pebble.Batch, d *device) error {
	key := s.keys.u32(kindDevice, d.binding.Number)
	if !d.placed() {
		return s.putRow(b, key, d.row(), true)
	}
	return s.putRowAs(b, formatPlaced, key, placedRow{
		Device: d.row(), Place: d.binding.Place, Thing: d.binding.Thing, Labels: d.labels, Retired: d.retired,
	}, true)
}

// readDevice reads what putDevice wrote.
func (s *Store) readDevice(key, val []byte) (*device, error) {
	d := new(device)
	if len(val) > 0 && val[0] == format {
		var r deviceRow
		if err := decodeRow(s.local, key, val, &r); err != nil {
			return nil, err
		}
		return d, d.setRow(r)
	}
	var x placedRow
	if err := decodeRowAs(formatPlaced, s.local, key, val, &x); err != nil {
		return nil, err
	}
	return d, d.setPlaced(x)
}

func (d *device) setPlaced(x placedRow) error {
	if err := d.setRow(x.Device); err != nil {
		return err
	}
	d.binding.Place, d.binding.Thing, d.labels, d.retired = x.Place, x.Thing, x.Labels, x.Retired
	if !ledger.ValidPlace(x.Place) || !ledger.ValidPlace(x.Thing) || validLabels(x.Labels) != nil {
		return fmt.Errorf("%w: device %d: its place, thing or labels", ErrDamaged, x.Device.Binding.Number)
	}
	return nil
}

func (d *device) setRow(r deviceRow) error {
	d.binding, d.epoch, d.counter = r.Binding.binding(), r.Epoch, frame.Counter(r.Counter)
	d.text = d.binding.Device()
	if len(r.Digest)%15 != 0 || len(r.Digest) > 15*d.remembers() {
		return fmt.Errorf("%w: device %d: %d bytes of recent frames", ErrDamaged, r.Binding.Number, len(r.Digest))
	}
	d.recent = d.recent[:0]
	for b := r.Digest; len(b) > 0; b = b[15:] {
		var c frame.Counter
		for _, x := range b[:6] {
			c = c<<8 | frame.Counter(x)
		}
		epoch := d.epoch&^0xff | uint32(b[6])
		d.recent = append(d.recent, seenFrame{c, epoch, [8]byte(b[7:15])})
	}
	return nil
}

func fromBinding(b ledger.Binding) bindingRow {
	return bindingRow{
		Number: b.Number, ID: b.ID, Name: b.Name, Slot: b.Slot, Epoch: b.Epoch, Kind: b.Kind,
		Floor: b.Floor, Closed: b.Closed, From: b.From, Until: b.Until,
	}
}

func (r bindingRow) binding() ledger.Binding {
	return ledger.Binding{
		Number: r.Number, ID: r.ID, Name: r.Name, Slot: r.Slot, Epoch: r.Epoch, Kind: r.Kind,
		Floor: r.Floor, Closed: r.Closed, From: r.From, Until: r.Until,
	}
}
