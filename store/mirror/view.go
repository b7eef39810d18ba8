package mirror

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"cairn/merkle"
	"cairn/merkle/ledger"
	"cairn/store/share"
)

// View is what one audience can know of a ledger: what its bundle opens of what a
// source has. Nothing of the source is believed. A group's object is held against
// the headers of its batches, and these against a checkpoint that the ledger's key
// signed; an envelope's object is rehashed, reading by reading, to record roots,
// the run's and the stream's root, the summary and its leaf in the batch tree; and
// what an object of measurements holds is rehashed to the leaves that stand in
// those records. What does not lead there is a [Lie], and nothing of its window is
// given out. A View is used by one goroutine.
type View struct {
	// Progress, if it is set, is told after each group where reading or proving is.
	Progress func(ViewProgress)

	src     Source
	bundle  *share.Bundle
	facts   facts
	streams []viewStream // by slot
	names   map[string]bool

	note []byte
	log  *viewLog // of the newest checkpoint; nil before the first

	stated map[uint64]viewStatement // that may be shown, by number
	leafs  []merkle.Hash            // of the ledger's statements
	trees  map[uint64]merkle.Hash   // their roots, by size

	hours   map[uint32]*share.Cursor // by compartment: the bundle's keys
	ahead   *ahead                   // of the walk that is going on, if its source makes packs
	noPacks atomic.Bool              // the source makes none
}

// ViewProgress is how far reading or proving has come.
type ViewProgress struct {
	Hour         share.Hour // that was opened or passed over
	Batches, All uint64     // of the log
	Readings     int        // given
}

// viewStream is a stream of which the bundle opens something.
type viewStream struct {
	slot     uint64
	envelope uint32
	name     string // of the envelope's compartment
	classes  []viewClass
	binding  ledger.Binding // meaningful with bound
	bound    bool
}

// viewClass is a compartment of a stream's measurements.
type viewClass struct {
	id   uint32
	name string
}

// viewStatement is a statement with what proves it.
type viewStatement struct {
	item []byte
	salt [16]byte
	said ledger.Statement
}

// Lie says that a part of what a source gave is not what the log commits to, or
// contradicts itself. Whoever made it had the keys or did not know better: nothing
// may be concluded from it.
type Lie struct {
	What        string      // "object", "group object", "checkpoint", "log", "statements", "update"
	Object      merkle.Hash // of objects: the SHA-256 that it goes by
	Compartment string      // of objects: the name
	Hour        share.Hour  // meaningful with First below Next
	First, Next uint64      // the group's batches
	Err         error       // how it lies
}

func (l *Lie) Error() string {
	var b strings.Builder
	b.WriteString("the " + l.What)
	if l.Object != (merkle.Hash{}) {
		fmt.Fprintf(&b, " %s", l.Object)
	}
	if l.Compartment != "" {
		fmt.Fprintf(&b, " of %s", l.Compartment)
	}
	if l.First < l.Next {
		fmt.Fprintf(&b, " in the quarter hour of %s (batches %d to %d)", HourText(l.Hour), l.First, l.Next-1)
	}
	return b.String() + " is false: " + l.Err.Error()
}

func (l *Lie) Unwrap() error { return l.Err }

// HourText writes an hour as the time at which it begins, in UTC.
func HourText(h share.Hour) string {
	return time.UnixMilli(h.Start()).UTC().Format("2006-01-02T15:04Z")
}

// Why something of what was asked for was not opened.
type Why string

// The reasons. Those that are explained are as the ledger's owner wanted it.
const (
	NotGranted Why = "not granted"     // the bundle has no key of the hour
	NotThere   Why = "not there"       // the source does not have it, and does not say why
	Gone       Why = "there no longer" // shredded or dropped, or so the source says
	Unproven   Why = "not verifiable"  // without something that is not granted, or not there
)

// Missing is something that could not be opened.
type Missing struct {
	Why         Why
	Hour, Until share.Hour // the hours [Hour, Until)
	First       uint64     // the first batch
	Compartment string     // "ledger": the whole group
	Detail      string     // in words; may be ""

	stated bool // a statement of the ledger says that it went
}

// Explained reports whether the ledger, or the grant itself, says why. A source's own
// word that it has something no longer is none: it may keep it back.
func (m *Missing) Explained() bool { return m.Why == NotGranted || m.stated }

func (m *Missing) String() string {
	what := m.Compartment
	if what == ledgerName {
		what = "everything"
	}
	s := fmt.Sprintf("%s: %s from %s to %s", m.Why, what, HourText(m.Hour), HourText(m.Until))
	if m.Detail != "" {
		s += ": " + m.Detail
	}
	return s
}

// envelopeClass is the class of a stream's compartment that goes with any other.
const envelopeClass = "envelope"

// NewView begins a view. It holds the bundle against itself: its ledger's id, and
// what its statements say of keys and devices.
func NewView(src Source, b *share.Bundle) (*View, error) {
	v := &View{src: src, stated: make(map[uint64]viewStatement)}
	if err := v.Use(b); err != nil {
		return nil, err
	}
	return v, nil
}

// Use takes another bundle for the same ledger, such as a newer one of the grant.
func (v *View) Use(b *share.Bundle) error {
	id := Identity{Ledger: b.Ledger, LogKey: ed25519.PublicKey(b.LogKey[:]), Nonce: b.Nonce}
	if err := id.check(); err != nil {
		return fmt.Errorf("the bundle: %w", err)
	}
	if v.bundle != nil && v.bundle.Ledger != b.Ledger {
		return errors.New("the bundle is of another ledger than the one before")
	}
	if v.bundle == nil {
		v.facts.begin(id)
	}
	streams, names, err := grantedStreams(b.Compartments)
	if err != nil {
		return fmt.Errorf("the bundle: %w", err)
	}
	v.bundle, v.streams, v.names = b, streams, names
	v.hours = make(map[uint32]*share.Cursor, len(b.Compartments))
	for _, g := range b.Compartments {
		tree, err := share.FromNodes(g.Nodes)
		if err != nil {
			return fmt.Errorf("the bundle: %w", err)
		}
		v.hours[g.ID] = share.NewCursor(tree)
	}
	for _, s := range b.Statements {
		if err := v.state(s.Number, s.Item, s.Salt); err != nil {
			return fmt.Errorf("the bundle: %w", err)
		}
	}
	return v.bind()
}

// grantedStreams sorts a bundle's compartments by stream.
func grantedStreams(all []share.Granted) (streams []viewStream, names map[string]bool, err error) {
	names = make(map[string]bool)
	at := make(map[uint64]*viewStream)
	for _, g := range all {
		names[g.Name] = true
		slot, class, ok := streamCompartment(g.Name)
		if !ok {
			continue
		}
		s := at[slot]
		if s == nil {
			s = &viewStream{slot: slot}
			at[slot] = s
		}
		if class == envelopeClass {
			s.envelope, s.name = g.ID, g.Name
		} else {
			s.classes = append(s.classes, viewClass{g.ID, g.Name})
		}
	}
	if !names[ledgerName] {
		return nil, nil, errors.New("it has no key of the compartment ledger")
	}
	for _, s := range at {
		if s.envelope == 0 {
			return nil, nil, fmt.Errorf("it has no key of the envelope of stream %d", s.slot)
		}
		slices.SortFunc(s.classes, func(a, b viewClass) int { return int(a.id) - int(b.id) })
		streams = append(streams, *s)
	}
	slices.SortFunc(streams, func(a, b viewStream) int {
		if a.slot < b.slot {
			return -1
		}
		return 1
	})
	return streams, names, nil
}

// streamCompartment takes a name such as stream/3/data apart. One of a ledger that
// was put back says stream/3.2/data: the second time that there was a stream 3.
func streamCompartment(name string) (slot uint64, class string, ok bool) {
	rest, ok := strings.CutPrefix(name, "stream/")
	stream, class, ok2 := strings.Cut(rest, "/")
	digits, _, _ := strings.Cut(stream, ".")
	slot, err := strconv.ParseUint(digits, 10, 63)
	return slot, class, ok && ok2 && err == nil && class != "" && strconv.FormatUint(slot, 10) == digits
}

// state takes a statement that may be shown. Whether the log has it, its path
// tells, if it is ever shown.
func (v *View) state(number uint64, item []byte, salt [16]byte) error {
	if _, ok := v.stated[number]; ok {
		return nil
	}
	s, err := ledger.ParseStatement(item)
	if err != nil {
		return fmt.Errorf("statement %d: %w", number, err)
	}
	v.stated[number] = viewStatement{item, salt, s}
	if s.Kind == ledger.KindLogKey {
		if err := v.facts.handover(item); err != nil && !v.knows(item) {
			return fmt.Errorf("statement %d: %w", number, err)
		}
	}
	return nil
}

// knows reports whether a log-key statement names a key that the log has.
func (v *View) knows(item []byte) bool {
	k, err := logKeyOf(item)
	return err == nil && slices.ContainsFunc(v.facts.keys, func(have logKey) bool { return have.pub.Equal(ed25519.PublicKey(k.New[:])) })
}

// bind gives each stream the device that the statements name.
func (v *View) bind() error {
	for _, n := range v.numbers() {
		s := v.stated[n].said
		slot, _ := s.Uint("slot")
		i := slices.IndexFunc(v.streams, func(x viewStream) bool { return x.slot == slot })
		if i < 0 {
			continue
		}
		x := &v.streams[i]
		var err error
		switch s.Kind {
		case ledger.KindBind:
			x.binding, err = ledger.BindingFrom(s)
			x.bound = err == nil
		case ledger.KindRotate, ledger.KindUnbind:
			if x.bound {
				x.binding, err = x.binding.Apply(s)
			}
		case ledger.KindPlace:
			var p ledger.Placed
			p, err = ledger.PlacedFrom(s)
			x.binding.Place, x.binding.Thing = p.Place, p.Thing
		}
		if err != nil {
			return fmt.Errorf("the bundle: statement %d: %w", n, err)
		}
	}
	return nil
}

// numbers are those of all statements at hand, ascending.
func (v *View) numbers() []uint64 {
	all := make([]uint64, 0, len(v.stated))
	for n := range v.stated {
		all = append(all, n)
	}
	slices.Sort(all)
	return all
}

// Stream is what a view says of a stream that it opens something of.
type Stream struct {
	Slot         uint64
	Device, Name string // "" if no statement names them
	Place, Thing string // "" likewise
	Number       uint32 // the device's at its site; counts only with a Device
	Compartments []string
}

// Streams lists the streams that the bundle opens something of.
func (v *View) Streams() []Stream {
	all := make([]Stream, len(v.streams))
	for i := range v.streams {
		s := &v.streams[i]
		all[i] = Stream{Slot: s.slot, Compartments: []string{s.name}}
		for _, c := range s.classes {
			all[i].Compartments = append(all[i].Compartments, c.name)
		}
		if s.bound {
			all[i].Device, all[i].Name, all[i].Number = s.binding.Device(), s.binding.Name, s.binding.Number
			all[i].Place, all[i].Thing = s.binding.Place, s.binding.Thing
		}
	}
	return all
}

// Head is the checkpoint that everything was held against, not ok before the first.
func (v *View) Head() (head merkle.Checkpoint, ok bool) {
	if v.log == nil {
		return head, false
	}
	return v.log.head, true
}

// Refresh takes the source's newest checkpoint. One that does not extend that of
// before is a [Lie].
func (v *View) Refresh(ctx context.Context) error {
	note, err := v.src.Checkpoint(ctx)
	if err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	head, _, err := v.facts.open(note)
	if errors.Is(err, merkle.ErrUnsigned) {
		v.learnKeys(ctx)
		if head, _, err = v.facts.open(note); errors.Is(err, merkle.ErrUnsigned) {
			err = fmt.Errorf("%w by a key that the bundle knows: if the ledger has a new log key, ask for a newer bundle", err)
		}
	}
	if err != nil {
		return &Lie{What: "checkpoint", Err: err}
	}
	log := newViewLog(v.src, head)
	if v.log != nil {
		if err := log.extends(ctx, v.log.head); err != nil {
			return err
		}
		log.keep(v.log)
	}
	v.note, v.log = note, log
	return nil
}

// learnKeys looks for statements that hand the log over, in the update file.
func (v *View) learnKeys(ctx context.Context) {
	f, err := v.update(ctx)
	if err != nil || f == nil {
		return
	}
	for i := range f.Statements {
		if s := &f.Statements[i]; !v.knows(s.Item) {
			_ = v.facts.handover(s.Item) // signed by the key before it, or not taken
		}
	}
}

// key gives the key of a compartment in an hour; false if it is not granted.
func (v *View) key(compartment uint32, h share.Hour) (share.HourKey, bool, error) {
	c := v.hours[compartment]
	if c == nil {
		return share.HourKey{}, false, nil
	}
	k, err := c.Hour(h)
	if errors.Is(err, share.ErrShredded) {
		return k, false, nil // no node of the bundle is above it
	}
	return k, err == nil, err
}
