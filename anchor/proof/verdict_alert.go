package proof

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"cairn/merkle/ledger"
)

// AlertVerdict is an alert as the statements shown here tell of it. What else the ledger
// says of it is not known.
type AlertVerdict struct {
	Level     Level    `json:"level"`  // the least of its statements'
	Number    uint64   `json:"number"` // of the statement that raised it
	Rule      string   `json:"rule"`
	Stream    *uint64  `json:"stream,omitempty"` // of the device that it is about
	BoundAs   string   `json:"boundAs,omitempty"`
	About     string   `json:"about,omitempty"` // what it is about where that is no device
	What      string   `json:"what"`
	Receivers []string `json:"receivers"` // who was to be told
	Raised    string   `json:"raised"`    // by the gateway's clock, as all times here

	Told    []AlertTold `json:"told,omitempty"`
	Acks    []AlertTold `json:"acknowledged,omitempty"`
	Cleared *AlertTold  `json:"cleared,omitempty"`
}

// AlertTold is who was told, acknowledged or, without a name, that it was over.
type AlertTold struct {
	Name string `json:"name,omitempty"`
	What string `json:"what,omitempty"` // the news, the note, what was measured
	At   string `json:"at"`
}

// alerts puts together what the statements say of alerts; c.v.Statements has their
// levels. One whose beginning is not shown is left to the list of statements.
func (c *checker) alerts() {
	type numbered struct {
		st    ledger.Statement
		index uint64
		level Level
	}
	var all []numbered
	for i := range c.f.Statements {
		if st, err := ledger.ParseStatement(c.f.Statements[i].Item); err == nil && strings.HasPrefix(st.Kind, ledger.KindAlert) {
			all = append(all, numbered{st, c.f.Statements[i].Index, c.v.Statements[i].Level})
		}
	}
	slices.SortFunc(all, func(a, b numbered) int { return cmp.Compare(a.index, b.index) })
	var known ledger.Alerts
	levels := map[uint64]Level{}
	for _, x := range all {
		if level, was := levels[x.index]; was { // shown by another batch too
			levels[x.index] = max(level, x.level)
			continue
		}
		levels[x.index] = x.level
		_ = known.Apply(x.index, x.st) // what does not fit together stays in the list of statements
	}
	for _, r := range known.All() {
		v := AlertVerdict{
			Level: LevelAnchored, Number: r.Number, Rule: r.Rule, About: r.About, What: r.What, Receivers: append([]string{}, r.Receivers...),
			Raised: timeText(r.At),
		}
		if r.Device != 0 {
			slot := r.Slot
			v.Stream, v.BoundAs = &slot, c.bound[slot].name
		}
		for _, n := range r.Numbers() {
			v.Level = min(v.Level, levels[n])
		}
		for _, s := range r.Sent {
			v.Told = append(v.Told, AlertTold{s.Said.Receiver, s.Said.News, timeText(s.At)})
		}
		for _, k := range r.Acks {
			v.Acks = append(v.Acks, AlertTold{k.Said.Name, k.Said.Note, timeText(k.At)})
		}
		if r.Cleared != nil {
			v.Cleared = &AlertTold{What: r.Cleared.Said.What, At: timeText(r.Cleared.At)}
		}
		c.v.Alerts = append(c.v.Alerts, v)
	}
}

// maxTextAlerts is how many alerts the text shows, maxTextTold how many lines of one.
const (
	maxTextAlerts = 4
	maxTextTold   = 12
)

func (v *Verdict) alertsText(b *strings.Builder) {
	for i := range v.Alerts {
		b.WriteByte('\n')
		if i == maxTextAlerts {
			line(b, "… and %s more, see --json", count(len(v.Alerts)-i, "alert"))
			return
		}
		v.Alerts[i].text(b)
	}
}

func (a *AlertVerdict) text(b *strings.Builder) {
	about := a.About
	if a.Stream != nil {
		about = fmt.Sprintf("stream %d", *a.Stream)
		if a.BoundAs != "" {
			about += ", bound as " + word(a.BoundAs)
		}
	}
	line(b, "alert %d, rule %q (%s), %v", a.Number, a.Rule, about, a.Level)
	line(b, "  %s  raised: %s", a.Raised, a.What)
	type event struct{ at, text string }
	var all []event
	for _, t := range a.Told {
		all = append(all, event{t.At, word(t.Name) + " took notice: " + t.What})
	}
	for _, t := range a.Acks {
		all = append(all, event{t.At, "acknowledged by " + word(t.Name) + strings.TrimSuffix(": "+t.What, ": ")})
	}
	slices.SortStableFunc(all, func(x, y event) int { return cmp.Compare(x.at, y.at) })
	for i, e := range all {
		if i == maxTextTold {
			line(b, "  … and %d more, see --json", len(all)-i)
			break
		}
		line(b, "  %s  %s", e.at, e.text)
	}
	if a.Cleared != nil {
		line(b, "  %s  cleared: %s", a.Cleared.At, a.Cleared.What)
	}
}
