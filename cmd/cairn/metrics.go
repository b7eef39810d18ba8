package main

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"cairn/anchor"
)

// metrics reads the gateway's counters when they are scraped; nothing is
// counted twice for it.
type metrics struct{ g *gateway }

func metric(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("cairn_"+name, help, labels, nil)
}

// The label "ledger" is the ledger's name, "site" for the default one.
var (
	metricHealthy    = metric("healthy", "1 if nothing needs the operator.")
	metricLedgerOK   = metric("ledger_healthy", "1 if nothing of the ledger needs the operator.", "ledger")
	metricReceived   = metric("received_total", "Frames and lines that reached a source.")
	metricPending    = metric("pending_readings", "Readings handed to the committer and not yet answered.")
	metricVerdicts   = metric("verdicts_total", "Frames and lines by verdict.", "verdict")
	metricReasons    = metric("reasons_total", "Why frames and lines were refused, dropped or recorded in part.", "reason")
	metricReboots    = metric("node_reboots_total", "Restarts of nodes, told by their counters.")
	metricEvents     = metric("events_lost_total", "Events that nobody was told of.")
	metricBatches    = metric("batches", "Batches in the log.", "ledger")
	metricSigned     = metric("signed_batches", "Batches under the newest signed checkpoint.", "ledger")
	metricStatements = metric("statements", "Statements in the ledger.", "ledger")
	metricCommits    = metric("commits", "Group commits.", "ledger")
	metricStreams    = metric("streams", "Open streams.", "ledger")
	metricUnsigned   = metric("oldest_unsigned_seconds", "Age of the oldest reading under no signed checkpoint; 0 if none.", "ledger")
	metricDisk       = metric("disk_bytes", "Bytes that the store takes.", "ledger")
	metricDiskFull   = metric("disk_full", "1 if readings are refused for lack of space.", "ledger")
	metricRouteOK    = metric("route_healthy", "1 if the route anchors.", "ledger", "route")
	metricUnanchored = metric("oldest_unanchored_seconds", "Age of the oldest window that no final anchor covers; 0 if none.", "ledger", "route")
	metricAnchored   = metric("anchored_batches", "Batches under the newest final anchor.", "ledger", "route")
	metricBlock      = metric("route_block", "Newest block seen.", "ledger", "route")
	metricFinalBlock = metric("route_final_block", "Newest final block seen.", "ledger", "route")
	metricNext       = metric("route_next_anchor_seconds", "Time until the next anchor is due; 0 if it is.", "ledger", "route")
	metricSpent      = metric("route_spent_month", "What this calendar month's anchors cost, in the unit.", "ledger", "route", "unit")
	metricReserved   = metric("route_reserved", "What the anchors on their way may cost at most, in the unit.", "ledger", "route", "unit")
	metricMonthly    = metric("route_monthly_budget", "The month's budget in the unit; absent: no limit.", "ledger", "route", "unit")
	metricBudget     = metric("route_anchor_budget", "One anchor's budget in the unit; absent: no limit.", "ledger", "route", "unit")
	metricBalance    = metric("route_balance", "What the route can spend, in the unit.", "ledger", "route", "unit")
	metricPerAnchor  = metric("route_cost_per_anchor", "What an anchor costs at present fees, in the unit.", "ledger", "route", "unit")
	metricRunway     = metric("route_runway_days", "Days for which the balance lasts; absent if not known.", "ledger", "route")
	metricAlerts     = metric("alerts", "Alerts that are not cleared, by state.", "ledger", "state")
	metricWaiting    = metric("alert_notices_waiting", "Notices that a receiver has not taken yet.", "receiver")
	metricUnsent     = metric("alert_notices_lost_total", "Notices that a receiver refused, or of which too many waited.", "receiver")
	metricSkipped    = metric("alert_readings_skipped_total", "Readings that rules did not look at, as newer ones of their devices had come.")
	metricAlarms     = metric("route_undone_anchors", "Anchors that the chain undid after they were final, and that no later one covers.", "ledger", "route")
)

// newRegistry returns the registry behind /metrics.
func newRegistry(g *gateway) *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(metrics{g}, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return r
}

// Describe says nothing: which labels there are is found out by collecting.
func (m metrics) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (m metrics) Collect(out chan<- prometheus.Metric) {
	put := func(d *prometheus.Desc, t prometheus.ValueType, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, t, v, labels...)
	}
	gauge := func(d *prometheus.Desc, v float64, labels ...string) { put(d, prometheus.GaugeValue, v, labels...) }
	count := func(d *prometheus.Desc, v uint64, labels ...string) {
		put(d, prometheus.CounterValue, float64(v), labels...)
	}
	gauge(metricHealthy, one(m.g.health(m.g.ledgers).Status == green))
	for _, l := range m.g.ledgers {
		l.collect(gauge)
		open, known := l.openAlerts()
		gauge(metricAlerts, float64(open), l.cfg.Name, alertOpen)
		gauge(metricAlerts, float64(known), l.cfg.Name, alertKnown)
	}

	if a := m.g.live.alerting; a != nil {
		for _, r := range a.outbox.Status() {
			gauge(metricWaiting, float64(r.Waiting), r.Name)
			count(metricUnsent, r.Lost, r.Name)
		}
		count(metricSkipped, a.tap.Skipped())
	}
	s := m.g.live.intake.Tally().Snapshot()
	count(metricReceived, s.Received)
	gauge(metricPending, float64(s.Pending))
	count(metricReboots, s.Reboots)
	count(metricEvents, s.EventsLost)
	for v, n := range s.Verdicts {
		count(metricVerdicts, n, v.String())
	}
	for r, n := range s.Reasons {
		count(metricReasons, n, r.String())
	}
}

// collect gives the ledger's own figures.
func (l *openLedger) collect(put func(d *prometheus.Desc, v float64, labels ...string)) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		put(d, v, append([]string{l.cfg.Name}, labels...)...)
	}
	gauge(metricLedgerOK, one(l.health().Status == green))
	st := l.store.Status()
	gauge(metricBatches, float64(st.Batches))
	gauge(metricSigned, float64(st.Signed))
	gauge(metricStatements, float64(st.Statements))
	gauge(metricCommits, float64(st.Commits))
	gauge(metricStreams, float64(st.Streams))
	gauge(metricUnsigned, ageOf(st.Unsigned))
	gauge(metricDisk, float64(st.DiskBytes))
	gauge(metricDiskFull, one(st.DiskFull))
	l.collectWitnesses(gauge)
	l.collectPublished(gauge)
	l.collectSharing(gauge)
	for i := range l.routes {
		rs := l.routeStatus(i)
		gauge(metricRouteOK, one(rs.Healthy), rs.Route)
		gauge(metricUnanchored, ageOf(rs.OldestUnanchored), rs.Route)
		gauge(metricBlock, float64(rs.Latest.Height), rs.Route)
		gauge(metricFinalBlock, float64(rs.FinalHeight), rs.Route)
		anchored := uint64(0)
		if rs.LastFinal != nil {
			anchored = rs.LastFinal.Size
		}
		gauge(metricAnchored, float64(anchored), rs.Route)
		gauge(metricNext, max(0, time.Until(rs.Next).Seconds()), rs.Route)
		open := 0
		for _, a := range rs.Alarms {
			if !a.Covered {
				open++
			}
		}
		gauge(metricAlarms, float64(open), rs.Route)
		l.cfg.Anchors[i].collectMoney(rs, gauge)
	}
}

// collectMoney gives what a route spends, if it costs anything, and what it has,
// once its chain has said so.
func (a *AnchorConfig) collectMoney(s anchor.Status, gauge func(d *prometheus.Desc, v float64, labels ...string)) {
	unit := a.unit()
	if unit == "" {
		return
	}
	gauge(metricSpent, float64(s.SpentMonth), s.Route, unit)
	gauge(metricReserved, float64(s.Reserved), s.Route, unit)
	if s.Monthly > 0 {
		gauge(metricMonthly, float64(s.Monthly), s.Route, unit)
	}
	if s.Budget > 0 {
		gauge(metricBudget, float64(s.Budget), s.Route, unit)
	}
	if s.Unit != "" {
		gauge(metricBalance, float64(s.Balance), s.Route, unit)
		gauge(metricPerAnchor, float64(s.PerAnchor), s.Route, unit)
	}
	if s.RunwayDays >= 0 {
		gauge(metricRunway, s.RunwayDays, s.Route)
	}
}

func one(is bool) float64 {
	if is {
		return 1
	}
	return 0
}

// ageOf is how long ago a time was, in seconds; 0 for no time.
func ageOf(ms int64) float64 {
	if ms == 0 {
		return 0
	}
	return max(0, time.Since(time.UnixMilli(ms)).Seconds())
}
