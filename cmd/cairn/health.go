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

// health is what /healthz answers.
type health struct {
	Status    string   `json:"status"`
	Reasons   []string `json:"reasons"`   // why it is not green
	Anchoring string   `json:"anchoring"` // "none", or what the routes do
	Rollback  string   `json:"rollback"`  // "guarded", "unguarded" or "held"
}

// health looks at everything that an operator must act on.
func (g *gateway) health() health {
	h := health{Status: green, Reasons: []string{}, Anchoring: "none", Rollback: "unguarded"}
	bad := func(format string, a ...any) { h.Reasons = append(h.Reasons, fmt.Sprintf(format, a...)) }
	st := g.store.Status()
	if st.Dead != "" {
		bad("%s", st.Dead)
	}
	if st.DiskFull {
		bad("disk nearly full: readings are refused until there is space")
	}
	if late := time.Since(time.UnixMilli(st.WindowTo)); g.live != nil && late > staleWindows*g.cfg.Window {
		bad("no window was closed for %v", late.Round(time.Second))
	}
	if len(g.cfg.Anchors) > 0 {
		h.Anchoring, h.Rollback = "healthy", "guarded"
	}
	if st.Held != "" && g.live != nil {
		h.Rollback = "held"
		bad("no checkpoint is signed%s", strings.TrimPrefix(": "+st.Held, ": no checkpoint is signed"))
	}
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
	for _, r := range g.live.routes {
		if s := r.Status(); !s.Healthy {
			h.Anchoring = "unhealthy"
			bad("anchoring on %s: %s", s.Route, s.Reason)
		}
	}
	if len(h.Reasons) > 0 {
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
