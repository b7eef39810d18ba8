package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"cairn/anchor/witness"
)

// witnessRed is the age of the oldest window that not enough witnesses have
// cosigned at which health turns red; with long windows it is more.
const witnessRed = 10 * time.Minute

// witnessesStatus is what a ledger's witnesses do.
type witnessesStatus struct {
	Need     int             `json:"need"`     // that must cosign a head before it is anchored
	FailOpen bool            `json:"failOpen"` // … if they answer in time
	Rule     string          `json:"rule"`
	Batches  uint64          `json:"batches"`                    // under the newest head that so many cosigned
	Oldest   string          `json:"oldestUncosigned,omitempty"` // window that they did not
	Age      float64         `json:"oldestUncosignedSeconds"`    // 0: all is cosigned
	All      []witnessStatus `json:"all"`
}

type witnessStatus struct {
	Name    string `json:"name"`
	URL     string `json:"url"`
	VKey    string `json:"vkey"`
	Healthy bool   `json:"healthy"`
	Reason  string `json:"reason,omitempty"`
	Batches uint64 `json:"batches"`         // under the newest head that it cosigned here
	Known   uint64 `json:"known,omitempty"` // what it says it cosigned, where that is more
	Time    string `json:"time,omitempty"`  // of that cosignature
}

// witnessHealth is how well a witness keeps what it is for.
type witnessHealth struct {
	Ledger  string `json:"ledger,omitempty"` // where there are several
	Name    string `json:"name"`
	Healthy bool   `json:"healthy"`
	Reason  string `json:"reason,omitempty"`
	Batches uint64 `json:"batches"`
}

func (w *asked) status() witnessStatus {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := witnessStatus{Name: w.cfg.Name, URL: w.cfg.URL, VKey: w.cfg.VKey, Healthy: w.bad == nil && !w.at.IsZero(), Batches: w.ours}
	switch {
	case w.bad != nil:
		s.Reason = fmt.Sprintf("%v (since %s)", w.bad, w.since.UTC().Format(time.RFC3339))
	case w.at.IsZero():
		s.Reason = "it has not answered yet"
	}
	if !w.at.IsZero() {
		s.Time = w.at.UTC().Format(time.RFC3339)
	}
	if w.known > w.ours {
		s.Known = w.known
	}
	return s
}

// witnessesStatus is nil unless the ledger has witnesses and runs.
func (l *openLedger) witnessesStatus() *witnessesStatus {
	if l.cosigned == nil {
		return nil
	}
	s := &witnessesStatus{
		Need: l.cosigned.need, FailOpen: l.cosigned.open, Rule: l.cfg.witnessRule(), Batches: l.cosigned.size(), All: []witnessStatus{},
	}
	if from := l.cosigned.oldest(); from > 0 {
		s.Oldest, s.Age = timeText(from), ageOf(from)
	}
	for _, w := range l.witnesses {
		s.All = append(s.All, w.status())
	}
	return s
}

// lines says in words what the witnesses do.
func (s *witnessesStatus) lines(line func(name, format string, v ...any)) {
	line("witnesses", "%s; %d batches are", s.Rule, s.Batches)
	if s.Oldest != "" {
		line("", "- oldest window that is not from %s, %v ago", s.Oldest, time.Duration(s.Age*float64(time.Second)).Round(time.Second))
	}
	for _, w := range s.All {
		state := "healthy"
		if !w.Healthy {
			state = "UNHEALTHY"
		}
		text := fmt.Sprintf("- %s %s", w.Name, state)
		if w.Time != "" {
			text += fmt.Sprintf(", cosigned %d batches at %s", w.Batches, w.Time)
		}
		if w.Reason != "" {
			text += ": " + w.Reason
		}
		line("", "%s", text)
	}
}

// witnessHealth is the ledger's part of /healthz.
func (l *openLedger) witnessHealth() (all []witnessHealth) {
	for _, w := range l.witnesses {
		s := w.status()
		h := witnessHealth{Name: s.Name, Healthy: s.Healthy, Reason: s.Reason, Batches: s.Batches}
		if l.g.several() {
			h.Ledger = l.cfg.Name
		}
		all = append(all, h)
	}
	return all
}

// uncosigned says why health is red for want of cosignatures, or "".
func (l *openLedger) uncosigned() string {
	if l.cosigned == nil {
		return ""
	}
	age := l.cosigned.age()
	if age <= max(witnessRed, 3*l.g.cfg.Window) {
		return ""
	}
	have := 0
	why := ""
	for _, w := range l.witnesses {
		s := w.status()
		if s.Healthy {
			have++
		} else if why == "" {
			why = fmt.Sprintf("; %s: %s", s.Name, s.Reason)
		}
	}
	return fmt.Sprintf("%d of the %d witnesses that must cosign do; the oldest window that waits for them is %v old%s",
		have, l.cosigned.need, age.Round(time.Second), why)
}

var (
	metricWitnessOK   = metric("witness_healthy", "1 if the witness cosigned when it was asked last.", "ledger", "witness")
	metricWitnessSize = metric("witness_batches", "Batches under the newest head that the witness cosigned.", "ledger", "witness")
	metricCosigned    = metric("cosigned_batches", "Batches under the newest head that enough witnesses cosigned.", "ledger")
	metricUncosigned  = metric("oldest_uncosigned_seconds", "Age of the oldest window under a signed checkpoint that not enough witnesses cosigned; 0 if none.", "ledger")
	metricFork        = metric("witness_objects", "1 if the witness knows a head that this log does not hold.", "ledger", "witness")
)

// collectWitnesses gives what the ledger's witnesses do.
func (l *openLedger) collectWitnesses(gauge func(d *prometheus.Desc, v float64, labels ...string)) {
	if l.cosigned == nil {
		return
	}
	gauge(metricCosigned, float64(l.cosigned.size()))
	gauge(metricUncosigned, ageOf(l.cosigned.oldest()))
	for _, w := range l.witnesses {
		s := w.status()
		gauge(metricWitnessOK, one(s.Healthy), s.Name)
		gauge(metricWitnessSize, float64(s.Batches), s.Name)
		gauge(metricFork, one(w.objects()), s.Name)
	}
}

func (w *asked) objects() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return isObjection(w.bad)
}

func isObjection(err error) bool {
	return errors.Is(err, witness.ErrAhead) || errors.Is(err, witness.ErrFork)
}
