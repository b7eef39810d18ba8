package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"cairn/ingest"
)

// Colours of health.
const (
	green   = "green"
	red     = "red"
	stopped = "stopped"
)

// staleWindows is how many windows may pass without a batch before something
// is wrong.
const staleWindows = 3

// health is what /healthz answers. Where there are several ledgers, Anchoring
// and Rollback are the worst of them, and Ledgers has each one's.
type health struct {
	Status    string                  `json:"status"`
	Reasons   []string                `json:"reasons"`   // why it is not green
	Anchoring string                  `json:"anchoring"` // "none", or what the routes do
	Rollback  string                  `json:"rollback"`  // "guarded", "unguarded" or "held"
	Ledgers   map[string]ledgerHealth `json:"ledgers,omitempty"`
	Routes    []routeHealth           `json:"routes,omitempty"`
	Witnesses []witnessHealth         `json:"witnesses,omitempty"`
}

// routeHealth is how well a route keeps what it is for.
type routeHealth struct {
	Ledger    string       `json:"ledger,omitempty"` // where there are several
	Route     string       `json:"route"`
	Healthy   bool         `json:"healthy"`
	Reason    string       `json:"reason,omitempty"`
	OldestAge float64      `json:"oldestUnanchoredSeconds"` // 0: all is anchored
	Next      string       `json:"next,omitempty"`          // when the next anchor is due
	Money     *moneyStatus `json:"money,omitempty"`         // unless it costs nothing
}

// ledgerHealth is the part of it that belongs to one ledger.
type ledgerHealth struct {
	Status    string   `json:"status"`
	Reasons   []string `json:"-"`
	Anchoring string   `json:"anchoring"`
	Rollback  string   `json:"rollback"`
}

// What routes do and what guards the log, the worst last.
var (
	anchoringRank = []string{"healthy", "none", "unhealthy"}
	rollbackRank  = []string{"guarded", "unguarded", "held"}
)

func worse(rank []string, a, b string) string {
	if slices.Index(rank, a) > slices.Index(rank, b) {
		return a
	}
	return b
}

// health looks at everything that an operator must act on, in these ledgers and
// what they share.
func (g *gateway) health(ledgers []*openLedger) health {
	h := health{Status: green, Reasons: []string{}}
	for _, l := range ledgers {
		one := l.health()
		for _, r := range one.Reasons {
			if g.several() {
				r = "ledger " + l.cfg.Name + ": " + r
			}
			h.Reasons = append(h.Reasons, r)
		}
		h.Anchoring, h.Rollback = worse(anchoringRank, h.Anchoring, one.Anchoring), worse(rollbackRank, h.Rollback, one.Rollback)
		h.Witnesses = append(h.Witnesses, l.witnessHealth()...)
		for i := range l.routes {
			s := routeOf(l.routeStatus(i), l.cfg.Anchors[i].unit())
			of := routeHealth{Route: s.Route, Healthy: s.Healthy, Reason: s.Reason, OldestAge: s.OldestAge, Next: s.Next, Money: s.Money}
			if g.several() {
				of.Ledger = l.cfg.Name
			}
			h.Routes = append(h.Routes, of)
		}
		if g.several() {
			if h.Ledgers == nil {
				h.Ledgers = map[string]ledgerHealth{}
			}
			h.Ledgers[l.cfg.Name] = one
		}
	}
	bad := func(format string, a ...any) { h.Reasons = append(h.Reasons, fmt.Sprintf(format, a...)) }
	if g.live == nil {
		h.Status = stopped
		bad("the service is not running")
		return h
	}
	switch {
	case len(g.live.sources) == 0:
		bad("no source of readings is configured")
	case g.live.ended():
		bad("every source of readings has ended")
	}
	h.Reasons = append(h.Reasons, g.live.down.list()...)
	h.Reasons = append(h.Reasons, g.live.twice.list()...)
	if g.live.alerting != nil {
		h.Reasons = append(h.Reasons, g.live.alerting.failing()...)
	}
	if len(h.Reasons) > 0 {
		h.Status = red
	}
	return h
}

// health looks at what belongs to the ledger alone.
func (l *openLedger) health() ledgerHealth {
	h := ledgerHealth{Status: green, Anchoring: "none", Rollback: "unguarded"}
	bad := func(format string, a ...any) { h.Reasons = append(h.Reasons, fmt.Sprintf(format, a...)) }
	live := l.g.live != nil
	st := l.store.Status()
	if st.Dead != "" {
		bad("%s", st.Dead)
	}
	if st.DiskFull {
		bad("disk nearly full: readings are refused until there is space")
	}
	if l.lane != nil && l.lane.behind.Load() {
		bad("the store does not keep up: its readings are refused until it does")
	}
	if late := time.Since(time.UnixMilli(st.WindowTo)); live && late > staleWindows*l.g.cfg.Window {
		bad("no window was closed for %v", late.Round(time.Second))
	}
	if l.cfg.Unlisted {
		bad("the configuration does not name it: add it to %s, or move its folder away", keyLedgers)
	}
	if len(l.cfg.Anchors) > 0 {
		h.Anchoring = "healthy"
	}
	if l.cfg.guards() {
		h.Rollback = "guarded"
	}
	if st.Held != "" && live {
		h.Rollback = "held"
		bad("no checkpoint is signed%s", strings.TrimPrefix(": "+st.Held, ": no checkpoint is signed"))
	}
	if reason := l.uncosigned(); reason != "" {
		bad("%s", reason)
	}
	if reason := l.unpublished(); reason != "" {
		bad("%s", reason)
	}
	if s, err := l.sharingStatus(false); err != nil {
		bad("what is shared is not known: %v", err)
	} else {
		h.Reasons = append(h.Reasons, s.reasons(time.Now())...)
	}
	for i := range l.routes {
		if s := l.routeStatus(i); !s.Healthy {
			h.Anchoring = "unhealthy"
			bad("anchoring on %s: %s", s.Route, s.Reason)
		}
	}
	switch {
	case !live:
		h.Status = stopped
	case len(h.Reasons) > 0:
		h.Status = red
	}
	return h
}

// downSources are the sources whose device or socket is gone at this moment, by
// name, with why. The zero value has none.
type downSources struct {
	mu   sync.Mutex
	gone map[string]string // under mu
}

// note follows what sources say of themselves.
func (d *downSources) note(e ingest.Event) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch e.Kind {
	case ingest.EventDown:
		if d.gone == nil {
			d.gone = map[string]string{}
		}
		d.gone[e.Source] = e.Detail
	case ingest.EventUp:
		delete(d.gone, e.Source)
	}
}

// list returns a line for each source that is down.
func (d *downSources) list() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	var all []string
	for _, name := range slices.Sorted(maps.Keys(d.gone)) {
		all = append(all, fmt.Sprintf("source %s is down, and tried again: %s", name, d.gone[name]))
	}
	return all
}
