package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"cairn/ingest/reading"
	"cairn/merkle/ledger"
	"cairn/store"
	"cairn/store/share"
)

// grantRequest makes a grant. Times are Unix milliseconds.
type grantRequest struct {
	Audience     string   `json:"audience"`
	Purpose      string   `json:"purpose,omitempty"`
	To           []string `json:"to"`
	Compartments []string `json:"compartments,omitempty"` // names, or stream/3/*
	Devices      []string `json:"devices,omitempty"`      // the compartments of these, all or those with Fields
	Fields       []string `json:"fields,omitempty"`
	From         int64    `json:"from"`
	Until        *int64   `json:"until,omitempty"`
	Access       *int64   `json:"access,omitempty"`
	Mirror       bool     `json:"mirror,omitempty"`
	Token        string   `json:"token"`            // SHA-256 of the access token in hexadecimal
	Secret       string   `json:"secret,omitempty"` // the token itself, if a bundle with it is wanted; not kept
}

// grantAnswer is a grant after a change.
type grantAnswer struct {
	grantRow
	Notes  []string `json:"notes,omitempty"`
	Bundle []byte   `json:"bundle,omitempty"` // age file
}

// changeRequest ends or renews a grant.
type changeRequest struct {
	Grant  string   `json:"grant"` // number, or audience
	Until  *openEnd `json:"until,omitempty"`
	Access *openEnd `json:"access,omitempty"`
	To     []string `json:"to,omitempty"`
	Reason string   `json:"reason,omitempty"`
}

// openEnd is a time, or none at all.
type openEnd struct {
	At *int64 `json:"at"` // nil: open-ended
}

// grantsRequest asks for a list: as it is now, or as it was.
type grantsRequest struct {
	AsOf *int64 `json:"asOf,omitempty"`
}

// grantRow is a grant as lists show it. Times are RFC 3339 in UTC.
type grantRow struct {
	Ledger       string   `json:"ledger"`
	Number       uint64   `json:"number"`
	Audience     string   `json:"audience"`
	Purpose      string   `json:"purpose,omitempty"`
	State        string   `json:"state"`
	InForce      bool     `json:"inForce"`
	Compartments []string `json:"compartments"`
	Recipients   []string `json:"recipients"`
	Made         string   `json:"made"`
	From         string   `json:"from"`
	Until        string   `json:"until,omitempty"`
	Access       string   `json:"accessUntil,omitempty"`
	Mirror       bool     `json:"mirror,omitempty"`
	Renewed      int      `json:"renewed,omitempty"`
	Ended        string   `json:"ended,omitempty"` // when the end was recorded
	Reason       string   `json:"reason,omitempty"`
	// The hours whose keys are handed out: all from OpensFrom to before OpensUntil.
	// None if the two are missing.
	OpensFrom  string `json:"opensFrom,omitempty"`
	OpensUntil string `json:"opensUntil,omitempty"`
}

// Words for where a grant stands.
const (
	grantWaits  = "not begun"
	grantGoes   = "in force"
	grantOver   = "over"   // its until has passed
	grantEnded  = "ended"  // by an end, whose until has passed
	grantClosed = "closed" // what is sealed is served no longer
)

// row shows a grant at a time, by which nobody was given hours from released on.
func (l *openLedger) row(g *ledger.Grant, at int64, released share.Hour) grantRow {
	r := grantRow{
		Ledger: l.cfg.Name, Number: g.Number, Audience: g.Audience, Purpose: g.Purpose, State: stateOf(g, at), InForce: g.InForce(at),
		Compartments: g.Compartments, Recipients: g.Recipients, Made: timeText(g.At), From: timeText(g.From),
		Until: openText(g.Until), Access: openText(g.Access), Mirror: g.Mirror, Renewed: g.Renewed,
	}
	if g.Ended != nil {
		r.Ended, r.Reason = timeText(g.Ended.At), g.Ended.Reason
	}
	if first, end := firstHour(g.From), through(g, released); first < end {
		r.OpensFrom, r.OpensUntil = timeText(first.Start()), timeText(end.Start())
	}
	return r
}

func stateOf(g *ledger.Grant, at int64) string {
	switch {
	case !g.Serves(at):
		return grantClosed
	case g.Until != nil && at >= *g.Until && g.Ended != nil:
		return grantEnded
	case g.Until != nil && at >= *g.Until:
		return grantOver
	case at < g.From:
		return grantWaits
	}
	return grantGoes
}

func openText(at *int64) string {
	if at == nil {
		return ""
	}
	return timeText(*at)
}

// listGrants lists the grants of a ledger, or of all of them if none is named.
func (g *gateway) listGrants(ctx context.Context, name string, q grantsRequest) ([]grantRow, error) {
	chosen, err := g.some(ctx, name)
	if err != nil {
		return nil, err
	}
	return g.listGrantsOf(chosen, q)
}

func (g *gateway) listGrantsOf(chosen []*openLedger, q grantsRequest) ([]grantRow, error) {
	rows := []grantRow{}
	for _, l := range chosen {
		at, released, err := l.seenFrom(q.AsOf)
		if err != nil {
			return nil, err
		}
		all, err := l.grantsAsOf(at)
		if q.AsOf == nil {
			all, err = l.grantsNow()
		}
		if err != nil {
			return nil, err
		}
		for i := range all {
			rows = append(rows, l.row(&all[i], at, released))
		}
	}
	return rows, nil
}

// seenFrom is the time that grants are shown for, now if none is asked for, and the
// first hour of which nobody had a key by then. For a time that has passed that is
// the hour after the one that ran then: the most that was handed out.
func (l *openLedger) seenFrom(asOf *int64) (at int64, released share.Hour, err error) {
	now := time.Now()
	if asOf == nil || *asOf >= now.UnixMilli() {
		released, err = l.released(now)
		if asOf != nil {
			return *asOf, released, err
		}
		return now.UnixMilli(), released, err
	}
	h, err := share.HourOf(*asOf)
	return *asOf, h + 1, err
}

// showGrant answers with one grant as it is now.
func (l *openLedger) showGrant(ctx context.Context, q changeRequest) (grantAnswer, error) {
	g, err := l.findGrant(q.Grant, time.Now().UnixMilli(), true)
	if err != nil {
		return grantAnswer{}, err
	}
	return l.answer(ctx, g.Number)
}

// bundleOf answers with a grant's present bundle.
func (l *openLedger) bundleOf(ctx context.Context, q changeRequest) (grantAnswer, error) {
	now := time.Now().UnixMilli()
	g, err := l.findGrant(q.Grant, now, true)
	if err != nil {
		return grantAnswer{}, err
	}
	if !g.Serves(now) {
		return grantAnswer{}, fmt.Errorf("the access of grant %d to %s ended on %s: nothing is handed out for it any more", g.Number, g.Audience, timeText(*g.Access))
	}
	a, err := l.answer(ctx, g.Number)
	if err == nil {
		a.Bundle, err = l.bundle(ctx, g.Number)
	}
	return a, err
}

func (l *openLedger) answer(_ context.Context, number uint64) (grantAnswer, error) {
	all, err := l.grantsNow()
	if err != nil {
		return grantAnswer{}, err
	}
	i := slices.IndexFunc(all, func(g ledger.Grant) bool { return g.Number == number })
	if i < 0 {
		return grantAnswer{}, fmt.Errorf("no grant %d%s", number, l.where())
	}
	at, released, err := l.seenFrom(nil)
	return grantAnswer{grantRow: l.row(&all[i], at, released)}, err
}

// addGrant records a grant.
func (l *openLedger) addGrant(ctx context.Context, q grantRequest) (grantAnswer, error) {
	g := ledger.Grant{
		Audience: q.Audience, Purpose: q.Purpose, Recipients: q.To, From: q.From, Until: q.Until, Access: q.Access, Mirror: q.Mirror,
	}
	if err := checkAudience(q.Audience); err != nil {
		return grantAnswer{}, err
	}
	digest, err := hex.DecodeString(q.Token)
	if err != nil || len(digest) != sha256.Size {
		return grantAnswer{}, errors.New("the token's SHA-256 is none")
	}
	copy(g.Token[:], digest)
	if _, err := share.ParseRecipients(q.To); err != nil {
		return grantAnswer{}, err
	}
	if err := checkHours(g.From, g.Until, g.Access); err != nil {
		return grantAnswer{}, err
	}
	names, notes, err := l.named(&q)
	if err != nil {
		return grantAnswer{}, err
	}
	g.Compartments = names
	before, err := l.grantsNow()
	if err != nil {
		return grantAnswer{}, err
	}
	s := g.Statement(time.Now().UnixMilli())
	if err := s.Validate(); err != nil {
		return grantAnswer{}, fmt.Errorf("add grant: %w", err)
	}
	number, err := l.store.AddStatement(ctx, s)
	if err != nil {
		return grantAnswer{}, fmt.Errorf("add grant: %w", err)
	}
	a, err := l.answer(ctx, number)
	if err != nil {
		return grantAnswer{}, err
	}
	a.Notes = append(notes, l.notes(&g, before)...)
	if q.Secret != "" {
		a.Bundle, err = l.firstBundle(number, q.Secret)
	}
	return a, err
}

// checkAudience refuses names that commands take for a grant's number.
func checkAudience(name string) error {
	if !ledger.ValidParty(name) {
		return fmt.Errorf("--audience: %.40q is no name: 1 to %d bytes, no control characters", name, ledger.MaxName)
	}
	if _, err := strconv.ParseUint(name, 10, 64); err == nil {
		return fmt.Errorf("--audience: %q would be taken for a grant's number: add a word", name)
	}
	return nil
}

// checkHours refuses times that give nothing.
func checkHours(from int64, until, access *int64) error {
	switch {
	case until != nil && *until <= from:
		return fmt.Errorf("--until %s is not after --from %s", timeText(*until), timeText(from))
	case until != nil && firstHour(from) >= endHour(*until):
		return fmt.Errorf("from %s to %s there is no whole quarter hour: keys go by those that begin at :00, :15, :30 and :45", timeText(from), timeText(*until))
	case access != nil && *access <= from:
		return fmt.Errorf("--access-until %s is not after --from %s", timeText(*access), timeText(from))
	case access != nil && until != nil && *access < *until:
		return fmt.Errorf("--access-until %s lies before --until %s: keys would be given of what is not served", timeText(*access), timeText(*until))
	}
	return nil
}

// notes are what the one who grants should know of it.
func (l *openLedger) notes(g *ledger.Grant, before []ledger.Grant) []string {
	var all []string
	for i := range before {
		o := &before[i]
		same := 0
		for _, c := range g.Compartments {
			if c != ledgerCompartment && o.Opens(c) {
				same++
			}
		}
		overlap := (o.Until == nil || g.From < *o.Until) && (g.Until == nil || o.From < *g.Until)
		if o.Audience == g.Audience && overlap && same > 0 {
			all = append(all, fmt.Sprintf("grant %d gives %s some of the same: what either opens is open, and ending one does not end the other", o.Number, o.Audience))
		}
	}
	if l.g.cfg.clock() != reading.Synced {
		all = append(all, "nothing is known to keep this machine's clock right: keys are given out once a quarter hour is sealed, not as it begins (see clock in the configuration)")
	}
	return all
}

// endGrant records the end of a grant.
func (l *openLedger) endGrant(ctx context.Context, q changeRequest) (grantAnswer, error) {
	now := time.Now().UnixMilli()
	g, err := l.findGrant(q.Grant, now, false)
	if err != nil {
		return grantAnswer{}, err
	}
	e := ledger.GrantEnd{Grant: g.Number, Until: now, Reason: q.Reason}
	if q.Until != nil && q.Until.At != nil {
		e.Until = *q.Until.At
	}
	if g.Until != nil && e.Until > *g.Until {
		e.Until = *g.Until
	}
	if q.Access != nil {
		e.Access = q.Access.At
	}
	if g.Ended != nil && !ledger.TakesAway(&g, &e) {
		return grantAnswer{}, fmt.Errorf("grant %d to %s has ended already, on %s: an earlier --until or --access-until takes more away", g.Number, g.Audience, timeText(g.Ended.At))
	}
	if len(q.Reason) > ledger.MaxReason {
		return grantAnswer{}, fmt.Errorf("--reason: %d bytes, at most %d", len(q.Reason), ledger.MaxReason)
	}
	return l.change(ctx, g.Number, e.Statement(now))
}

// renewGrant records until when a grant goes on, and to whom.
func (l *openLedger) renewGrant(ctx context.Context, q changeRequest) (grantAnswer, error) {
	now := time.Now().UnixMilli()
	g, err := l.findGrant(q.Grant, now, false)
	if err != nil {
		return grantAnswer{}, err
	}
	if g.Ended != nil {
		return grantAnswer{}, fmt.Errorf("grant %d to %s has ended, on %s: make another one", g.Number, g.Audience, timeText(g.Ended.At))
	}
	r := ledger.GrantRenew{Grant: g.Number, Until: g.Until, Access: g.Access, Recipients: q.To}
	if q.Until != nil {
		r.Until = q.Until.At
	}
	if q.Access != nil {
		r.Access = q.Access.At
	}
	if len(q.To) > 0 {
		if _, err := share.ParseRecipients(q.To); err != nil {
			return grantAnswer{}, err
		}
	}
	if err := checkHours(g.From, r.Until, r.Access); err != nil {
		return grantAnswer{}, err
	}
	return l.change(ctx, g.Number, r.Statement(now))
}

// change records a statement about a grant.
func (l *openLedger) change(ctx context.Context, number uint64, s ledger.Statement) (grantAnswer, error) {
	if err := s.Validate(); err != nil {
		return grantAnswer{}, fmt.Errorf("change grant %d: %w", number, err)
	}
	if _, err := l.store.AddStatement(ctx, s); err != nil {
		return grantAnswer{}, fmt.Errorf("change grant %d: %w", number, err)
	}
	return l.answer(ctx, number)
}

// ledgerCompartment is the compartment that goes with every grant.
const ledgerCompartment = "ledger"

// named resolves what a request names to compartments, in the order of their
// numbers: with what goes with them, and none that is never granted. Notes tell
// where that is more than was named.
func (l *openLedger) named(q *grantRequest) (names, notes []string, err error) {
	chosen := map[string]bool{}
	for _, name := range q.Compartments {
		if err := l.choose(chosen, name, q.Mirror); err != nil {
			return nil, nil, err
		}
	}
	for _, device := range q.Devices {
		more, err := l.chooseDevice(chosen, device, q.Fields)
		if err != nil {
			return nil, nil, err
		}
		notes = append(notes, more...)
	}
	if q.Mirror {
		chosen[store.Statements] = true
	}
	if len(chosen) == 0 {
		return nil, nil, errors.New("nothing is granted: name something with --compartment or --device, or make it a --mirror grant")
	}
	for _, slot := range l.slots() {
		all := l.store.Compartments(slot)
		if slices.ContainsFunc(all, func(c store.StreamCompartment) bool { return chosen[c.Name] }) {
			chosen[all[0].Name] = true // the envelope
		}
	}
	chosen[ledgerCompartment] = true
	for _, c := range l.keyring.Compartments() {
		if chosen[c.Name] {
			names = append(names, c.Name)
		}
	}
	if len(names) > ledger.MaxElements {
		return nil, nil, fmt.Errorf("%d compartments: a grant has at most %d", len(names), ledger.MaxElements)
	}
	return names, notes, nil
}

func (l *openLedger) slots() []uint64 {
	var all []uint64
	for _, s := range l.store.AllStreams() {
		all = append(all, s.Slot)
	}
	return all
}

// choose takes in the compartments that a name or a prefix with /* names.
func (l *openLedger) choose(chosen map[string]bool, name string, mirror bool) error {
	prefix, many := strings.CutSuffix(name, "*")
	if many && !strings.HasSuffix(prefix, "/") || strings.Contains(prefix, "*") {
		return fmt.Errorf("--compartment: %.64q is no name, nor all of a stream such as stream/3/*", name)
	}
	if name == ledger.CompartmentSite {
		return errors.New("--compartment: site is never granted: with its key what the other compartments hide could be guessed")
	}
	if name == store.Statements && !mirror {
		return errors.New("--compartment: statements, which name all devices and audiences, are for those who keep a copy: --mirror")
	}
	found := false
	for _, c := range l.keyring.Compartments() {
		if c.Name == name || many && strings.HasPrefix(c.Name, prefix) {
			found, chosen[c.Name] = true, true
		}
	}
	if !found {
		return fmt.Errorf("--compartment: there is no %.64s%s: `cairn compartment list` shows them", name, l.where())
	}
	return nil
}

// chooseDevice takes in the compartments of a device: of all streams of its
// binding, all of them or those that hold the fields.
func (l *openLedger) chooseDevice(chosen map[string]bool, text string, fields []string) (notes []string, err error) {
	b, err := l.findDevice(text, true)
	if err != nil {
		return nil, fmt.Errorf("--device: %w", err)
	}
	for _, s := range l.store.Streams(b.Number) {
		wanted := map[uint32]bool{}
		for _, f := range fields {
			if id, ok := l.store.CompartmentOf(s.Slot, f); ok {
				wanted[id] = true
			}
		}
		for _, c := range l.store.Compartments(s.Slot) {
			if len(fields) > 0 && !wanted[c.ID] {
				continue
			}
			chosen[c.Name] = true
			if more := slices.ContainsFunc(c.Fields, func(f string) bool { return !slices.Contains(fields, f) }); wanted[c.ID] && (more || c.Class == store.DefaultClass) {
				notes = append(notes, fmt.Sprintf("%s is opened whole, %s: compartments are what can be shown apart, and their rules are fixed when a device is added", c.Name, holds(&c)))
			}
		}
	}
	return notes, nil
}
