package ingest

import (
	"sync/atomic"

	"cairn/ingest/frame"
	"cairn/ingest/reading"
)

// maxVerdicts bounds reading.Verdict; a test holds it to reading.Verdicts.
const maxVerdicts = 16

// Tally counts what intake saw. All counters only rise, but for those of
// [Snapshot] that are differences. It is safe for concurrent use; its zero
// value is ready.
type Tally struct {
	received  atomic.Uint64
	submitted atomic.Uint64
	finished  atomic.Uint64
	reboots   atomic.Uint64
	aside     atomic.Uint64
	events    atomic.Uint64
	lostEvent atomic.Uint64
	verdicts  [maxVerdicts]atomic.Uint64
	reasons   [numberOfReasons]atomic.Uint64
	lines     [128]atomic.Uint64 // by first character
}

// Snapshot is a Tally's state. The counters are read one after the other, so
// while intake runs they may be apart by what happened in between. Once it has
// stopped and the committer has answered,
//
//	Received = Σ Verdicts + Aside + Reasons[SourceLimit] + Reasons[QueueFull]
//	         + Reasons[DeviceShare] + Reasons[OpaqueLimit] + Reasons[CommitterRefused] + Reasons[CommitFailed]
//
// holds and Pending is 0.
type Snapshot struct {
	Received uint64 // datagrams and lines that reached a source
	Pending  uint64 // with the committer: submitted, not yet answered
	Aside    uint64 // lines that are neither frame nor reading
	Reboots  uint64
	Events   uint64 // events made
	// EventsLost counts events that found the listener's queue full.
	EventsLost uint64
	Verdicts   map[reading.Verdict]uint64 // final ones; all verdicts are there
	Reasons    map[Reason]uint64          // all reasons are there
	Lines      map[frame.LineKind]uint64  // kinds that were seen
}

// Snapshot returns the counters.
func (t *Tally) Snapshot() Snapshot {
	finished := t.finished.Load() // before submitted, so that Pending is never below 0
	s := Snapshot{
		Received: t.received.Load(), Pending: t.submitted.Load() - finished, Aside: t.aside.Load(),
		Reboots: t.reboots.Load(), Events: t.events.Load(), EventsLost: t.lostEvent.Load(),
		Verdicts: make(map[reading.Verdict]uint64), Reasons: make(map[Reason]uint64),
		Lines: make(map[frame.LineKind]uint64),
	}
	for _, v := range reading.Verdicts() {
		s.Verdicts[v] = t.verdicts[v].Load()
	}
	for _, r := range Reasons() {
		s.Reasons[r] = t.reasons[r].Load()
	}
	for c := range t.lines {
		if n := t.lines[c].Load(); n > 0 {
			s.Lines[frame.LineKind(c)] = n
		}
	}
	return s
}

func (t *Tally) add(r Reason, n uint64) { t.reasons[r].Add(n) }

func (t *Tally) verdict(v reading.Verdict) {
	if v < maxVerdicts {
		t.verdicts[v].Add(1)
	}
}

func (t *Tally) line(k frame.LineKind) {
	if int(k) < len(t.lines) {
		t.lines[k].Add(1)
	}
}
