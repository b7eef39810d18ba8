package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"cairn/merkle/ledger"
	"cairn/store"
)

// Labels that the rules of ledgers and compartments know every device by.
const (
	labelPlace = "place"
	labelThing = "thing"
)

// maxNotes is how many calibrations and attachments a binding takes: each of them
// goes with every proof.
const maxNotes = 256

// checkPlace refuses what a statement cannot say, and what lists would show as
// something else.
func checkPlace(what, text string) error {
	if !ledger.ValidPlace(text) || strings.TrimSpace(text) != text || strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return fmt.Errorf("%s %.80q: at most %d bytes of printable characters, please, no space at either end", what, text, ledger.MaxName)
	}
	return nil
}

// labels are those of the request, with its place and thing.
func (q *deviceRequest) labels() ([]Label, error) { return labelsOf(q.Labels, q.Place, q.Thing) }

func labelsOf(texts []string, place, thing string) ([]Label, error) {
	all, err := parseLabels(texts)
	if err != nil {
		return nil, err
	}
	for _, l := range all {
		if l.Key == labelPlace || l.Key == labelThing {
			return nil, fmt.Errorf("--label %s: give it as --%s, which the ledger records too", l, l.Key)
		}
	}
	if place != "" {
		all = append(all, Label{labelPlace, place})
	}
	if thing != "" {
		all = append(all, Label{labelThing, thing})
	}
	return all, nil
}

// moveRequest is about where a device goes. What is nil stays as it is.
type moveRequest struct {
	Device string   `json:"device"`
	Place  *string  `json:"place,omitempty"`
	Thing  *string  `json:"thing,omitempty"`
	Labels []string `json:"labels,omitempty"` // nil: as it was added with
}

func (l *openLedger) moveDevice(ctx context.Context, q moveRequest) (deviceRow, error) {
	l.g.binding.Lock()
	defer l.g.binding.Unlock()
	b, err := l.findDevice(q.Device, false)
	if err != nil {
		return deviceRow{}, err
	}
	m := store.Move{Place: deref(q.Place, b.Place), Thing: deref(q.Thing, b.Thing), Labels: q.Labels}
	if err := errors.Join(checkPlace("place", m.Place), checkPlace("thing", m.Thing)); err != nil {
		return deviceRow{}, err
	}
	if q.Labels == nil {
		labels, err := l.store.Labels(ctx)
		if err != nil {
			return deviceRow{}, err
		}
		m.Labels = labels[b.Number]
	}
	if m.Rules, err = l.rulesAt(b, &m, q.Labels != nil); err != nil {
		return deviceRow{}, fmt.Errorf("move device %d%s: %w", b.Number, l.where(), err)
	}
	if len(l.store.Devices()) >= maxJoined {
		return deviceRow{}, fmt.Errorf("move device %d%s: the ledger has had %d, and takes no more", b.Number, l.where(), maxJoined)
	}
	moved, err := l.store.MoveDevice(ctx, b.Number, m)
	if err != nil {
		return deviceRow{}, fmt.Errorf("move device %d%s: %w", b.Number, l.where(), err)
	}
	row := l.rowOf(moved)
	if moved.Kind == ledger.BindSecure {
		row.Note = noteAgain
	}
	return row, l.g.syncRegistry()
}

// rulesAt are the compartments' rules for a device at another place. A device that
// the rule of another ledger takes there is refused, as is one that would lose a
// compartment which it has by labels that nobody kept.
func (l *openLedger) rulesAt(b ledger.Binding, m *store.Move, given bool) ([]store.Rule, error) {
	labels, err := labelsOf(m.Labels, m.Place, m.Thing)
	if err != nil {
		return nil, err
	}
	if given {
		if err := l.g.cfg.checkLabels(labels); err != nil {
			return nil, err
		}
	}
	i := slices.IndexFunc(l.g.cfg.Ledgers, func(o LedgerConfig) bool { return o.matches(labels) })
	if i >= 0 && l.g.cfg.Ledgers[i].Name != l.cfg.Name {
		return nil, fmt.Errorf("there it belongs to the ledger %s: remove it here, and add it at its new place", l.g.cfg.Ledgers[i].Name)
	}
	rules := l.g.cfg.rulesFor(labels, b.Name, b.Device())
	_, placed := b.Placed()
	for _, class := range l.classesOf(b.Slot) {
		if placed || len(m.Labels) > 0 || class == store.EnvelopeClass || class == store.DefaultClass {
			continue
		}
		if !slices.ContainsFunc(rules, func(r CompartmentRule) bool { return r.Name == class }) {
			return nil, fmt.Errorf("it has the compartment %s by a label that was not kept: give its labels again with --label", class)
		}
	}
	return storeRules(rules), nil
}

// replaceDevice puts another device where one is.
func (l *openLedger) replaceDevice(ctx context.Context, q deviceRequest) (deviceRow, error) {
	id, key, floor, err := q.node()
	if err != nil {
		return deviceRow{}, err
	}
	l.g.binding.Lock()
	defer l.g.binding.Unlock()
	old, err := l.findDevice(q.Device, false)
	if err != nil {
		return deviceRow{}, err
	}
	if len(l.store.Devices()) >= maxJoined {
		return deviceRow{}, fmt.Errorf("replace device %d%s: the ledger has had %d, and takes no more", old.Number, l.where(), maxJoined)
	}
	m := store.Move{Place: old.Place, Thing: old.Thing, Labels: q.Labels}
	if q.Labels == nil {
		labels, err := l.store.Labels(ctx)
		if err != nil {
			return deviceRow{}, err
		}
		m.Labels = labels[old.Number]
	}
	as := old
	as.ID = id
	rules, err := l.rulesAt(as, &m, q.Labels != nil)
	if err != nil {
		return deviceRow{}, fmt.Errorf("replace device %d%s: %w", old.Number, l.where(), err)
	}
	used, err := l.usedElsewhere(ctx, id, key, true)
	if err != nil {
		return deviceRow{}, fmt.Errorf("replace device %d%s: %w", old.Number, l.where(), err)
	}
	b, err := l.store.ReplaceDevice(ctx, old.Number, store.NewDevice{
		ID: id, Kind: q.Kind, Floor: floor, Used: used, Key: key, Rules: rules, Labels: m.Labels,
	})
	if err != nil {
		return deviceRow{}, fmt.Errorf("replace device %d%s: %w", old.Number, l.where(), err)
	}
	return l.rowOf(b), l.g.syncRegistry()
}

// noteRequest is a statement about the binding of a device: which of the fields
// count, the operation says.
type noteRequest struct {
	Device     string `json:"device"`
	Reason     string `json:"reason,omitempty"`
	By         string `json:"by,omitempty"`
	Calibrated int64  `json:"calibrated,omitempty"` // Unix ms
	Field      string `json:"field,omitempty"`
	Offset     string `json:"offset,omitempty"`
	What       string `json:"what,omitempty"`
	Name       string `json:"name,omitempty"`
	Digest     string `json:"digest,omitempty"` // SHA-256 in hex
}

func (q *noteRequest) digest() (d [32]byte, err error) {
	b, err := hex.DecodeString(q.Digest)
	if err != nil || len(b) != len(d) {
		return d, fmt.Errorf("%.80q is no SHA-256 in hexadecimal", q.Digest)
	}
	return [32]byte(b), nil
}

func (l *openLedger) retireDevice(ctx context.Context, q noteRequest) (deviceRow, error) {
	l.g.binding.Lock()
	defer l.g.binding.Unlock()
	b, err := l.findDevice(q.Device, false)
	if err != nil {
		return deviceRow{}, err
	}
	if err := l.store.RetireDevice(ctx, b.Number, q.Reason); err != nil {
		return deviceRow{}, fmt.Errorf("retire device %d%s: %w", b.Number, l.where(), err)
	}
	if b, err = l.findDevice(strconv.FormatUint(uint64(b.Number), 10), true); err != nil {
		return deviceRow{}, err
	}
	return l.rowOf(b), l.g.syncRegistry()
}

// noteRow is what was recorded of a binding.
type noteRow struct {
	Ledger    string `json:"ledger"`
	Number    uint32 `json:"number"` // of the device
	Statement uint64 `json:"statement"`
	Digest    string `json:"digest,omitempty"`
}

func (l *openLedger) calibrateDevice(ctx context.Context, q noteRequest) (noteRow, error) {
	var certificate *[32]byte
	if q.Digest != "" {
		d, err := q.digest()
		if err != nil {
			return noteRow{}, err
		}
		certificate = &d
	}
	return l.note(ctx, q, func(b ledger.Binding) []ledger.Statement {
		c := ledger.Calibration{
			Number: b.Number, Slot: b.Slot, By: q.By, Calibrated: q.Calibrated, Field: q.Field, Offset: q.Offset, Certificate: certificate,
		}
		all := []ledger.Statement{c.Statement(0)}
		for _, s := range l.store.Streams(b.Number) { // what comes late is of the same device
			if c.Slot = s.Slot; s.Late && !s.Closed {
				all = append(all, c.Statement(0))
			}
		}
		return all
	})
}

func (l *openLedger) attachToDevice(ctx context.Context, q noteRequest) (noteRow, error) {
	digest, err := q.digest()
	if err != nil {
		return noteRow{}, err
	}
	if q.What == ledger.AttachData || !ledger.ValidAttachment(q.What) {
		return noteRow{}, fmt.Errorf("%.40q: what is attached is a photo, certificate or document; a logger's file goes with its readings: `cairn import`", q.What)
	}
	return l.note(ctx, q, func(b ledger.Binding) []ledger.Statement {
		return []ledger.Statement{ledger.Attachment{Number: b.Number, Slot: b.Slot, What: q.What, Name: q.Name, Digest: digest}.Statement(0)}
	})
}

// note records what is said about a device's open binding; its row has the first
// statement.
func (l *openLedger) note(ctx context.Context, q noteRequest, say func(ledger.Binding) []ledger.Statement) (noteRow, error) {
	l.g.binding.Lock()
	defer l.g.binding.Unlock()
	b, err := l.findDevice(q.Device, false)
	if err != nil {
		return noteRow{}, err
	}
	all := say(b)
	if err := all[0].Validate(); err != nil { // the others differ in their slot alone
		return noteRow{}, fmt.Errorf("device %d%s: %w", b.Number, l.where(), err)
	}
	notes := 0
	if err := l.eachStatement(func(_ uint64, s ledger.Statement) {
		slot, _ := s.Uint("slot")
		if slot == b.Slot && (s.Kind == ledger.KindCalibrate || s.Kind == ledger.KindAttach) {
			notes++
		}
	}); err != nil {
		return noteRow{}, err
	}
	if notes >= maxNotes {
		return noteRow{}, fmt.Errorf("device %d%s has %d calibrations and attachments, and takes no more: move or replace it, and begin anew", b.Number, l.where(), notes)
	}
	n, err := l.store.AddStatements(ctx, all)
	if err != nil {
		return noteRow{}, fmt.Errorf("device %d%s: %w", b.Number, l.where(), err)
	}
	return noteRow{Ledger: l.cfg.Name, Number: b.Number, Statement: n, Digest: q.Digest}, nil
}

// historyRequest names a device, through all its bindings, or a place.
type historyRequest struct {
	Device string `json:"device,omitempty"`
	Place  string `json:"place,omitempty"`
	Thing  string `json:"thing,omitempty"` // with Place or alone
}

// historyRow is one binding and what was said of it.
type historyRow struct {
	deviceRow
	Events []historyEvent `json:"events"`
}

// historyEvent is one statement about a binding, in words.
type historyEvent struct {
	Statement uint64 `json:"statement"`
	At        string `json:"at"`
	Kind      string `json:"kind"`
	Text      string `json:"text"`
}

// deviceHistory lists bindings, oldest first, with what was stated of them.
func (l *openLedger) deviceHistory(_ context.Context, q historyRequest) ([]historyRow, error) {
	fits := func(b ledger.Binding) bool {
		return (q.Place == "" || b.Place == q.Place) && (q.Thing == "" || b.Thing == q.Thing)
	}
	if q.Device != "" {
		ids := map[[8]byte]bool{}
		for _, b := range l.store.Devices() {
			if b.Device() == q.Device || b.Name == q.Device || strconv.FormatUint(uint64(b.Number), 10) == q.Device {
				ids[b.ID] = true
			}
		}
		if len(ids) == 0 {
			return nil, fmt.Errorf("no device %q%s: `cairn device list` shows them", q.Device, l.where())
		}
		fits = func(b ledger.Binding) bool { return ids[b.ID] }
	}
	rows, at := []historyRow{}, map[uint64]int{}
	for _, b := range l.store.Devices() {
		if fits(b) {
			at[uint64(b.Number)] = len(rows)
			rows = append(rows, historyRow{l.rowOf(b), []historyEvent{}})
		}
	}
	err := l.eachStatement(func(n uint64, s ledger.Statement) {
		number, ok := s.Uint("device-number")
		i, known := at[number]
		if text := eventText(s); ok && known && text != "" {
			rows[i].Events = append(rows[i].Events, historyEvent{n, timeText(s.At), s.Kind, text})
		}
	})
	return rows, err
}

// eventText puts a statement about a binding in words; "" for one that tells
// nothing of places.
func eventText(s ledger.Statement) string {
	switch s.Kind {
	case ledger.KindBind:
		slot, _ := s.Uint("slot")
		if kind, _ := s.Text("kind"); kind == ledger.BindLate {
			return fmt.Sprintf("what was imported of it is stream %d", slot)
		}
		return fmt.Sprintf("bound, stream %d", slot)
	case ledger.KindRotate:
		return "has a new key"
	case ledger.KindUnbind:
		slot, _ := s.Uint("slot")
		return fmt.Sprintf("stream %d ended", slot)
	case ledger.KindPlace:
		p, _ := ledger.PlacedFrom(s)
		return placeText(p.Place, p.Thing)
	case ledger.KindCalibrate:
		c, _ := ledger.CalibrationFrom(s)
		text := fmt.Sprintf("calibrated by %s at %s", c.By, timeText(c.Calibrated))
		if c.Offset != "" {
			text += fmt.Sprintf(", add %s to %s", c.Offset, c.Field)
		}
		if c.Certificate != nil {
			text += fmt.Sprintf(", certificate SHA-256 %x", *c.Certificate)
		}
		return text
	case ledger.KindAttach:
		a, _ := ledger.AttachmentFrom(s)
		if a.Name != "" {
			return fmt.Sprintf("%s %s, SHA-256 %x", a.What, a.Name, a.Digest)
		}
		return fmt.Sprintf("%s, SHA-256 %x", a.What, a.Digest)
	case ledger.KindReplace:
		r, _ := ledger.ReplacementFrom(s)
		return fmt.Sprintf("took the place of device %d, stream %d", r.OldNumber, r.OldSlot)
	case ledger.KindRetire:
		r, _ := ledger.RetirementFrom(s)
		if r.Reason != "" {
			return "retired: " + r.Reason
		}
		return "retired"
	}
	return ""
}

func placeText(place, thing string) string {
	switch {
	case place == "":
		return "at the thing " + thing
	case thing == "":
		return "at the place " + place
	}
	return fmt.Sprintf("at the place %s, thing %s", place, thing)
}
