package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"cairn/anchor"
	"cairn/ingest"
	"cairn/store"
)

// statusAnswer is `cairn status --json`. Times are RFC 3339 in UTC. What
// ledgerStatus has is that of the default ledger, or of the one that --ledger
// names; Ledgers are the others.
type statusAnswer struct {
	Version string        `json:"version"`
	Running bool          `json:"running"`
	Since   string        `json:"since,omitempty"`
	Health  health        `json:"health"`
	Clock   string        `json:"clock"`
	Window  string        `json:"window"`
	Sources []string      `json:"sources,omitempty"`
	HTTP    string        `json:"http,omitempty"` // address of the HTTP server
	Intake  *intakeStatus `json:"intake,omitempty"`
	ledgerStatus
	Ledgers []ledgerStatus `json:"ledgers,omitempty"`
}

type ledgerStatus struct {
	Name   string        `json:"name"`
	Key    string        `json:"key"` // the log's verifier key
	Quorum string        `json:"quorum,omitempty"`
	Store  store.Status  `json:"store"`
	Routes []routeStatus `json:"routes"`

	Witnesses *witnessesStatus `json:"witnesses,omitempty"`
	IPFS      *ipfsStatus      `json:"ipfs,omitempty"`
	Sharing   *sharingStatus   `json:"sharing,omitempty"`
	Unshared  string           `json:"sharingError,omitempty"` // why that is not known

	Alerts struct {
		Open  int `json:"open"` // and not acknowledged
		Known int `json:"acknowledged"`
	} `json:"alerts"` // that are not cleared
}

// intakeStatus counts since the service started. Verdicts and reasons that did
// not occur are left out.
type intakeStatus struct {
	Received uint64            `json:"received"`
	Pending  uint64            `json:"pending"`
	Reboots  uint64            `json:"reboots"`
	Verdicts map[string]uint64 `json:"verdicts"`
	Reasons  map[string]uint64 `json:"reasons"`
}

type routeStatus struct {
	Route      string        `json:"route"`
	Healthy    bool          `json:"healthy"`
	State      string        `json:"state,omitempty"`
	Reason     string        `json:"reason,omitempty"`
	Notes      []string      `json:"notes,omitempty"`
	Guarded    bool          `json:"guarded"`
	Block      uint64        `json:"block"`
	FinalBlock uint64        `json:"finalBlock"`
	Rule       string        `json:"finalRule,omitempty"`
	Final      *anchorStatus `json:"lastFinal,omitempty"`
	Pending    *anchorStatus `json:"pending,omitempty"`
	Oldest     string        `json:"oldestUnanchored,omitempty"`
	OldestAge  float64       `json:"oldestUnanchoredSeconds"` // 0: all is anchored
	Next       string        `json:"next,omitempty"`
	Deadline   string        `json:"deadline,omitempty"` // in which an anchor should be in a block
	Guards     bool          `json:"guards"`             // the chain keeps a head, so that a rollback is noticed
	Money      *moneyStatus  `json:"money,omitempty"`    // unless it costs nothing
	Alarms     []routeAlarm  `json:"alarms,omitempty"`
}

// moneyStatus is a route's spending, in its unit: gwei or satoshi.
type moneyStatus struct {
	Unit          string        `json:"unit"`
	SpentMonth    anchor.Amount `json:"spentMonth"`              // this calendar month, UTC
	Reserved      anchor.Amount `json:"reserved"`                // what is on its way may add
	MonthlyBudget anchor.Amount `json:"monthlyBudget,omitempty"` // absent: no limit
	AnchorBudget  anchor.Amount `json:"anchorBudget,omitempty"`
	// What the chain says: absent as long as it has not answered.
	Balance    *anchor.Amount `json:"balance,omitempty"`
	PerAnchor  *anchor.Amount `json:"perAnchor,omitempty"`  // at present fees
	RunwayDays *float64       `json:"runwayDays,omitempty"` // for which the balance lasts
	TopUp      *topUp         `json:"topUp,omitempty"`
}

// topUp is what to send where.
type topUp struct {
	Address string        `json:"address"`
	Amount  anchor.Amount `json:"amount"`
	Text    string        `json:"text"` // in the larger unit
}

// routeAlarm is an anchor that the chain undid after it was final.
type routeAlarm struct {
	From    uint64 `json:"fromBatches"` // proofs under heads of these sizes rest on it
	To      uint64 `json:"toBatches"`
	What    string `json:"what"`
	At      string `json:"at"`
	Covered bool   `json:"covered"` // a later anchor proves the same
}

type anchorStatus struct {
	Batches uint64 `json:"batches"` // of the log under it
	Root    string `json:"root"`
	State   string `json:"state"`
	Tx      string `json:"transaction,omitempty"`
	Block   uint64 `json:"block,omitempty"`
	Hash    string `json:"blockHash,omitempty"`
	Time    string `json:"time,omitempty"`
}

func (g *gateway) status(ctx context.Context, name string, _ nothing) (statusAnswer, error) {
	chosen, err := g.some(ctx, name)
	if err != nil {
		return statusAnswer{}, err
	}
	a := statusAnswer{
		Version: version().Version, Running: g.live != nil, Health: g.health(chosen),
		Clock: g.cfg.clock().String(), Window: g.cfg.Window.String(), ledgerStatus: chosen[0].status(),
	}
	for _, l := range chosen[1:] {
		a.Ledgers = append(a.Ledgers, l.status())
	}
	if g.live == nil {
		return a, nil
	}
	a.Since, a.Sources, a.HTTP = g.live.started.UTC().Format(time.RFC3339), g.live.sources, g.live.http
	a.Intake = intakeOf(g.live.intake.Tally().Snapshot())
	return a, nil
}

func (l *openLedger) status() ledgerStatus {
	s := ledgerStatus{
		Name: l.cfg.Name, Key: l.logKey(),
		Store: l.store.Status(), Routes: []routeStatus{},
	}
	if len(l.cfg.Anchors) > 0 {
		s.Quorum = l.cfg.Quorum
	}
	s.Witnesses, s.IPFS = l.witnessesStatus(), l.ipfsStatus()
	if found, err := l.sharingStatus(true); err != nil {
		s.Unshared = err.Error()
	} else {
		s.Sharing = &found
	}
	s.Alerts.Open, s.Alerts.Known = l.openAlerts()
	for i := range l.routes {
		of := routeOf(l.routeStatus(i), l.cfg.Anchors[i].unit())
		of.Notes = append(of.Notes, l.places[i].notes()...)
		s.Routes = append(s.Routes, of)
	}
	return s
}

func intakeOf(s ingest.Snapshot) *intakeStatus {
	i := &intakeStatus{
		Received: s.Received, Pending: s.Pending, Reboots: s.Reboots,
		Verdicts: map[string]uint64{}, Reasons: map[string]uint64{},
	}
	for v, n := range s.Verdicts {
		if n > 0 {
			i.Verdicts[v.String()] = n
		}
	}
	for r, n := range s.Reasons {
		if n > 0 {
			i.Reasons[r.String()] = n
		}
	}
	return i
}

// routeOf puts a route's status into words; unit is that of its money.
func routeOf(s anchor.Status, unit string) routeStatus {
	r := routeStatus{
		Route: s.Route, Healthy: s.Healthy, State: string(s.State), Reason: s.Reason, Notes: s.Notes, Guarded: s.Guarded,
		Block: s.Latest.Height, FinalBlock: s.FinalHeight, Rule: s.FinalRule,
		Final: anchorOfStatus(s.LastFinal), Pending: anchorOfStatus(s.Pending),
	}
	if s.OldestUnanchored > 0 {
		r.Oldest = timeText(s.OldestUnanchored)
	}
	if !s.Next.IsZero() {
		r.Next = s.Next.UTC().Format(time.RFC3339)
	}
	r.OldestAge, r.Guards, r.Money = ageOf(s.OldestUnanchored), s.Guards, moneyOf(s, unit)
	if s.Deadline > 0 {
		r.Deadline = shortDuration(s.Deadline)
	}
	for _, a := range s.Alarms {
		r.Alarms = append(r.Alarms, routeAlarm{a.From, a.To, a.What, timeText(a.At), a.Covered})
	}
	return r
}

// moneyOf is what a route with this unit spends, nil if it costs nothing. What
// it spent is known also while the chain is down.
func moneyOf(s anchor.Status, unit string) *moneyStatus {
	if unit == "" {
		return nil
	}
	m := &moneyStatus{Unit: unit, SpentMonth: s.SpentMonth, Reserved: s.Reserved, MonthlyBudget: s.Monthly, AnchorBudget: s.Budget}
	if s.Unit == "" {
		return m
	}
	m.Balance, m.PerAnchor = &s.Balance, &s.PerAnchor
	if s.RunwayDays >= 0 {
		days := math.Round(s.RunwayDays*10) / 10
		m.RunwayDays = &days
	}
	if s.TopUp.Amount > 0 {
		m.TopUp = &topUp{s.TopUp.Address, s.TopUp.Amount, amountText(s.TopUp.Amount, s.Unit)}
	}
	return m
}

// text says in words what a route spent and how long its money lasts.
func (m *moneyStatus) text() string {
	text := "spent this month " + amountText(m.SpentMonth, m.Unit)
	if m.MonthlyBudget > 0 {
		text += " of " + amountText(m.MonthlyBudget, m.Unit)
	}
	if m.Balance != nil {
		text += ", balance " + amountText(*m.Balance, m.Unit)
	}
	if m.RunwayDays != nil {
		text += fmt.Sprintf(", good for %.0f days", *m.RunwayDays)
	}
	return text
}

func anchorOfStatus(a *anchor.Anchor) *anchorStatus {
	if a == nil {
		return nil
	}
	s := &anchorStatus{Batches: a.Size, Root: a.Root.String(), State: string(a.State)}
	if id := a.TxID(); len(id) > 0 {
		s.Tx = "0x" + hex.EncodeToString(id)
	}
	if b := a.Included; b != nil {
		s.Block, s.Hash, s.Time = b.Height, "0x"+hex.EncodeToString(b.Hash[:]), timeText(b.Time)
	}
	return s
}

func (c *command) statusCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "status", Short: "Show what the gateway does and whether anything needs you (exit code 1 if so)", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			a, err := ask[statusAnswer](cmd.Context(), c, "status", nothing{})
			if err != nil {
				return err
			}
			if c.json {
				err = c.printJSON(a)
			} else {
				_, err = fmt.Fprint(c.Out, a.text())
			}
			if err == nil && a.Health.Status != green {
				err = falseError{errors.New("")} // the answer has said why
			}
			return err
		},
	}
	c.ledgerFlag(cmd, "all of them")
	c.jsonFlag(cmd)
	return cmd
}

func (a *statusAnswer) text() string {
	var b strings.Builder
	line := func(name, format string, v ...any) { fmt.Fprintf(&b, "%-10s %s\n", name, fmt.Sprintf(format, v...)) }
	line("health", "%s", a.Health.Status)
	for _, r := range a.Health.Reasons {
		line("", "- %s", r)
	}
	a.ledgerStatus.lines(line, a.Window, len(a.Health.Ledgers) > 0)
	line("clock", "%s", a.Clock)
	if a.Running {
		line("service", "running since %s, sources: %s; http: %s", a.Since, strings.Join(a.Sources, ", "), a.HTTP)
	}
	if a.Intake != nil {
		line("intake", "%d received: %s", a.Intake.Received, counts(a.Intake.Verdicts))
		if len(a.Intake.Reasons) > 0 {
			line("", "reasons: %s", counts(a.Intake.Reasons))
		}
	}
	a.ledgerStatus.anchoring(line)
	for i := range a.Ledgers {
		l := &a.Ledgers[i]
		b.WriteByte('\n')
		l.lines(line, a.Window, true)
		l.anchoring(line)
	}
	return b.String()
}

// lines says what the ledger holds.
func (l *ledgerStatus) lines(line func(name, format string, v ...any), window string, several bool) {
	name := l.Store.Ledger
	if several {
		name = l.Name + " " + name
	}
	line("ledger", "%s", name)
	line("log", "%d batches, %d of them signed; a window of %s, now to %s", l.Store.Batches, l.Store.Signed, window, timeText(l.Store.WindowTo))
	line("devices", "%d, with %d open streams", l.Store.Devices, l.Store.Streams)
	if a := l.Alerts; a.Open+a.Known > 0 {
		line("alerts", "%d open, %d acknowledged: `cairn alert list`", a.Open, a.Known)
	}
}

func (l *ledgerStatus) anchoring(line func(name, format string, v ...any)) {
	if l.Quorum == "" {
		unnoticed := ", and a rollback goes unnoticed"
		if l.Witnesses != nil {
			unnoticed = ""
		}
		line("anchoring", "none: no route is configured, so nobody outside can check anything%s", unnoticed)
	}
	for _, r := range l.Routes {
		for i, text := range r.lines() {
			if i == 0 {
				line("anchoring", "%s", text)
			} else {
				line("", "- %s", text)
			}
		}
	}
	if l.Witnesses != nil {
		l.Witnesses.lines(line)
	}
	if l.IPFS != nil {
		l.IPFS.lines(line)
	}
	if l.Sharing != nil {
		l.Sharing.lines(line)
	} else {
		line("sharing", "not known: %s", l.Unshared)
	}
}

// lines says in words how a route does: first which it is, then a line for each
// thing worth knowing.
func (r *routeStatus) lines() []string {
	state := "healthy"
	if !r.Healthy {
		state = "UNHEALTHY"
	}
	all := []string{fmt.Sprintf("%s %s, at block %d", r.Route, state, r.Block)}
	say := func(format string, a ...any) { all = append(all, fmt.Sprintf(format, a...)) }
	if r.Reason != "" {
		say("%s", r.Reason)
	}
	if r.Final != nil {
		say("%d batches final in block %d of %s", r.Final.Batches, r.Final.Block, r.Final.Time)
	}
	var when []string
	if r.Oldest != "" {
		age := time.Duration(r.OldestAge * float64(time.Second)).Round(time.Second)
		when = append(when, fmt.Sprintf("oldest unanchored window from %s, %v ago", r.Oldest, age))
	}
	if r.Next != "" {
		when = append(when, "next anchor from "+r.Next)
	}
	if len(when) > 0 {
		say("%s", strings.Join(when, "; "))
	}
	if r.Money != nil {
		say("%s", r.Money.text())
		if t := r.Money.TopUp; t != nil {
			say("TOP UP: send %s to %s", t.Text, t.Address)
		}
	}
	for _, n := range r.Notes {
		say("note: %s", n)
	}
	return all
}

func counts(m map[string]uint64) string {
	if len(m) == 0 {
		return "nothing"
	}
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		parts = append(parts, fmt.Sprintf("%d %s", m[k], k))
	}
	return strings.Join(parts, ", ")
}
