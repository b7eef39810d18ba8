package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"slices"
	"sync"
	"time"

	"cairn/ingest/alert"
	"cairn/ingest/mqtt"
	"cairn/merkle/ledger"
)

// alertBook is what a ledger's statements say about alerts, read as far as they go. The
// zero value has read none.
type alertBook struct {
	mu    sync.Mutex // covers what follows
	next  uint64     // statement to read
	known ledger.Alerts
}

// read takes in the statements that came since the last time. The caller holds b.mu.
func (b *alertBook) read(l *openLedger) error {
	size := l.store.Statements()
	for ; b.next < size; b.next++ {
		item, _, _, err := l.store.StatementAt(b.next, size)
		if err != nil {
			return fmt.Errorf("read statement %d: %w", b.next, err)
		}
		st, err := ledger.ParseStatement(item)
		if err != nil {
			return fmt.Errorf("read statement %d: %w", b.next, err)
		}
		if err := b.known.Apply(b.next, st); err != nil {
			l.log.Warn("a statement about an alert counts for nothing", "error", err)
		}
	}
	return nil
}

// withAlerts gives fn the ledger's alerts as its statements have them.
func (l *openLedger) withAlerts(fn func(*ledger.Alerts) error) error {
	l.alerts.mu.Lock()
	defer l.alerts.mu.Unlock()
	if err := l.alerts.read(l); err != nil {
		return err
	}
	return fn(&l.alerts.known)
}

// alertsRequest asks for a list of alerts.
type alertsRequest struct {
	All bool `json:"all"` // those too that were cleared
}

// alertRow is an alert as lists show it. Times are RFC 3339 in UTC.
type alertRow struct {
	Ledger   string    `json:"ledger"`
	Number   uint64    `json:"number"`
	Rule     string    `json:"rule"`
	State    string    `json:"state"` // open, acknowledged or cleared
	Device   string    `json:"device,omitempty"`
	DeviceID string    `json:"deviceId,omitempty"`
	About    string    `json:"about,omitempty"`
	What     string    `json:"what"`
	Raised   string    `json:"raised"`
	Told     []toldRow `json:"told"`
	Untold   []string  `json:"untold,omitempty"` // receivers that have not taken it yet
	Acks     []ackRow  `json:"acknowledged,omitempty"`
	Cleared  string    `json:"cleared,omitempty"`
	Why      string    `json:"clearedBecause,omitempty"`
}

type toldRow struct {
	Receiver string `json:"receiver"`
	News     string `json:"news"`
	At       string `json:"at"`
}

type ackRow struct {
	Name string `json:"name"`
	Note string `json:"note,omitempty"`
	At   string `json:"at"`
}

type muteRow struct {
	Ledger  string   `json:"ledger"`
	Number  uint64   `json:"number"`
	Rules   []string `json:"rules,omitempty"`
	Devices []string `json:"devices,omitempty"`
	From    string   `json:"from"`
	Until   string   `json:"until"`
	Name    string   `json:"name"`
	Reason  string   `json:"reason,omitempty"`
}

type alertsAnswer struct {
	Alerts    []alertRow         `json:"alerts"`
	Mutes     []muteRow          `json:"maintenance"` // that is not over
	Receivers []receiverStateRow `json:"receivers"`
}

// receiverStateRow is how a receiver does in the running service.
type receiverStateRow struct {
	Name    string `json:"name"`
	Waiting int    `json:"waiting"`
	Lost    uint64 `json:"lost,omitempty"`
	Failing string `json:"failingSince,omitempty"`
	Error   string `json:"error,omitempty"`
}

// Words for where an alert stands.
const (
	alertOpen    = "open"
	alertKnown   = "acknowledged"
	alertCleared = "cleared"
)

func (l *openLedger) alertRow(r *ledger.Raised) alertRow {
	row := alertRow{
		Ledger: l.cfg.Name, Number: r.Number, Rule: r.Rule, State: alertOpen, About: r.About, What: r.What, Raised: timeText(r.At),
		Told: []toldRow{},
	}
	row.Device, row.DeviceID = l.nameOf(r.Device)
	for _, s := range r.Sent {
		row.Told = append(row.Told, toldRow{s.Said.Receiver, s.Said.News, timeText(s.At)})
	}
	for _, to := range r.Receivers {
		if !r.Was(to, ledger.NewsRaised) {
			row.Untold = append(row.Untold, to)
		}
	}
	for _, a := range r.Acks {
		row.State = alertKnown
		row.Acks = append(row.Acks, ackRow{a.Said.Name, a.Said.Note, timeText(a.At)})
	}
	if r.Cleared != nil {
		row.State, row.Cleared, row.Why = alertCleared, timeText(r.Cleared.At), r.Cleared.Said.What
	}
	return row
}

// nameOf is what a device of that number is called; "" for number 0.
func (l *openLedger) nameOf(number uint32) (name, id string) {
	b, ok := l.store.Device(number)
	switch {
	case number == 0 || !ok:
		return "", ""
	case b.Name == "":
		return b.Device(), b.Device()
	}
	return b.Name, b.Device()
}

// listAlerts lists the alerts of a ledger, or of all, newest first.
func (g *gateway) listAlerts(ctx context.Context, name string, q alertsRequest) (alertsAnswer, error) {
	a := alertsAnswer{Alerts: []alertRow{}, Mutes: []muteRow{}, Receivers: []receiverStateRow{}}
	chosen, err := g.some(ctx, name)
	if err != nil {
		return a, err
	}
	now := time.Now().UnixMilli()
	for _, l := range chosen {
		err := l.withAlerts(func(x *ledger.Alerts) error {
			for _, r := range slices.Backward(x.All()) {
				if q.All || r.Cleared == nil {
					a.Alerts = append(a.Alerts, l.alertRow(r))
				}
			}
			for _, m := range x.Mutes() {
				if m.Ended == 0 && m.Until > now {
					a.Mutes = append(a.Mutes, l.muteRow(m))
				}
			}
			return nil
		})
		if err != nil {
			return a, err
		}
	}
	if g.live != nil && g.live.alerting != nil {
		a.Receivers = g.live.alerting.receivers()
	}
	return a, nil
}

func (l *openLedger) muteRow(m *ledger.Muted) muteRow {
	return muteRow{l.cfg.Name, m.Number, m.Rules, m.Devices, timeText(m.From), timeText(m.Until), m.Name, m.Reason}
}

// openAlerts counts the alerts that are not cleared.
func (l *openLedger) openAlerts() (open, known int) {
	_ = l.withAlerts(func(x *ledger.Alerts) error { // what cannot be read is in the health of the store
		for _, r := range x.All() {
			switch {
			case r.Cleared != nil:
			case len(r.Acks) > 0:
				known++
			default:
				open++
			}
		}
		return nil
	})
	return open, known
}

// ackRequest says that somebody knows of an alert.
type ackRequest struct {
	Alert uint64 `json:"alert"`
	Name  string `json:"name"`
	Note  string `json:"note"`
}

// acknowledge records who knows of an alert, and tells its receivers.
func (l *openLedger) acknowledge(ctx context.Context, q ackRequest) (alertRow, error) {
	if !ledger.ValidParty(q.Name) || len(q.Note) > ledger.MaxPurpose {
		return alertRow{}, fmt.Errorf("a name has 1 to %d bytes and no control characters, a note at most %d", alert.MaxName, ledger.MaxPurpose)
	}
	err := l.withAlerts(func(x *ledger.Alerts) error {
		if x.Find(q.Alert) == nil {
			return fmt.Errorf("no alert %d%s: `cairn alert list --all` shows them", q.Alert, l.where())
		}
		return nil
	})
	if err != nil {
		return alertRow{}, err
	}
	n, err := l.store.AddStatement(ctx, ledger.AlertAck{Alert: q.Alert, Name: q.Name, Note: q.Note}.Statement(0))
	if err != nil {
		return alertRow{}, fmt.Errorf("record it: %w", err)
	}
	var row alertRow
	err = l.withAlerts(func(x *ledger.Alerts) error {
		r := x.Find(q.Alert)
		row = l.alertRow(r)
		if a := l.alerting(); a != nil {
			a.tell(l, r, r.Receivers, ledger.NewsAcknowledged, n)
		}
		return nil
	})
	return row, err
}

func (l *openLedger) alerting() *alerting {
	if l.g.live == nil {
		return nil
	}
	return l.g.live.alerting
}

// muteRequest announces maintenance. Times are Unix ms.
type muteRequest struct {
	Rules   []string `json:"rules"`
	Devices []string `json:"devices"`
	From    int64    `json:"from"` // 0: now
	Until   int64    `json:"until"`
	Name    string   `json:"name"`
	Reason  string   `json:"reason"`
}

// maxMute is how long maintenance may be: nothing is to be mute for good.
const maxMute = 31 * 24 * time.Hour

// muteAlerts records maintenance.
func (l *openLedger) muteAlerts(ctx context.Context, q muteRequest) (muteRow, error) {
	now := time.Now().UnixMilli()
	if q.From == 0 {
		q.From = now
	}
	switch {
	case !ledger.ValidParty(q.Name) || len(q.Reason) > ledger.MaxPurpose:
		return muteRow{}, fmt.Errorf("a name has 1 to %d bytes and no control characters, a reason at most %d", alert.MaxName, ledger.MaxPurpose)
	case q.Until <= q.From || q.Until <= now:
		return muteRow{}, errors.New("maintenance ends before it begins, or is over already")
	case q.Until-q.From > maxMute.Milliseconds():
		return muteRow{}, fmt.Errorf("maintenance lasts at most %v", maxMute)
	}
	for _, name := range q.Rules {
		if !slices.ContainsFunc(l.g.cfg.Alerts, func(r alert.Rule) bool { return r.Name == name }) {
			return muteRow{}, fmt.Errorf("no rule is called %.70q", name)
		}
	}
	for _, pattern := range q.Devices {
		if _, err := path.Match(pattern, ""); err != nil || pattern == "" {
			return muteRow{}, fmt.Errorf("%.70q is no pattern for names of devices, such as fridge-*", pattern)
		}
	}
	n, err := l.store.AddStatement(ctx, ledger.AlertMute{
		Rules: q.Rules, Devices: q.Devices, From: q.From, Until: q.Until, Name: q.Name, Reason: q.Reason,
	}.Statement(0))
	if err != nil {
		return muteRow{}, fmt.Errorf("record it: %w", err)
	}
	return l.mutesChanged(n)
}

// mutesChanged tells the running rules, and gives one of the mutes.
func (l *openLedger) mutesChanged(n uint64) (row muteRow, err error) {
	err = l.withAlerts(func(x *ledger.Alerts) error {
		for _, m := range x.Mutes() {
			if m.Number == n {
				row = l.muteRow(m)
			}
		}
		return nil
	})
	if a := l.alerting(); err == nil && a != nil {
		err = a.readMutes()
	}
	return row, err
}

// unmuteRequest ends maintenance early.
type unmuteRequest struct {
	Number uint64 `json:"number"`
}

func (l *openLedger) unmuteAlerts(ctx context.Context, q unmuteRequest) (muteRow, error) {
	err := l.withAlerts(func(x *ledger.Alerts) error {
		if !slices.ContainsFunc(x.Mutes(), func(m *ledger.Muted) bool { return m.Number == q.Number && m.Ended == 0 }) {
			return fmt.Errorf("no maintenance %d%s is going on: `cairn alert list` shows it", q.Number, l.where())
		}
		return nil
	})
	if err == nil {
		_, err = l.store.AddStatement(ctx, ledger.AlertMuteEnd(q.Number, 0))
	}
	if err != nil {
		return muteRow{}, err
	}
	return l.mutesChanged(q.Number)
}

// testRequest names a receiver that is to get a notice now.
type testRequest struct {
	Receiver string `json:"receiver"`
}

// testReceiver sends a receiver a notice of nothing, once and at once.
func (g *gateway) testReceiver(ctx context.Context, _ string, q testRequest) (nothing, error) {
	if g.live == nil || g.live.alerting == nil {
		return nothing{}, errors.New("the service does not run, or has no receivers: start it with `cairn run`")
	}
	return nothing{}, g.live.alerting.test(ctx, q.Receiver)
}

// mqttNotifier publishes notices as JSON.
type mqttNotifier struct {
	cfg   mqtt.Config
	topic string
}

// Notify implements [alert.Notifier].
func (m mqttNotifier) Notify(ctx context.Context, n alert.Notice) error {
	body, err := json.Marshal(n)
	if err != nil {
		return fmt.Errorf("notice: %w", err)
	}
	return mqtt.Publish(ctx, m.cfg, m.topic, body)
}
