package store

import (
	"cairn/ingest/frame"
	"cairn/ingest/reading"
	"cairn/merkle/ledger"
)

// runStats gathers what a summary's rest item says of one run. It depends on
// the readings alone, so that it can be made again from them.
type runStats struct {
	n        uint64
	from, to int64
	ranges   []valueRange
	seen     uint64
	lost     uint64
	unknown  bool // lost cannot be told: a reboot, or nothing to compare with
	bare     bool // no extremes: from scheme 1 on

	// carried from run to run
	prev    frame.Counter
	hasPrev bool
}

type valueRange struct {
	name, unit string
	min, max   reading.Value
}

// maxRanges bounds the measurements whose extremes a summary names.
const maxRanges = 32

// begin starts the next run.
func (s *runStats) begin() {
	*s = runStats{bare: s.bare, ranges: s.ranges[:0], prev: s.prev, hasPrev: s.hasPrev}
}

func (s *runStats) add(r *reading.Reading) {
	if s.n == 0 {
		s.from = r.Received
	}
	s.n++
	s.to = r.Received
	if r.Origin.HasCounter {
		s.count(frame.Counter(r.Origin.Counter))
	}
	if s.bare {
		return
	}
	for i := range r.Measurements {
		s.measure(&r.Measurements[i])
	}
}

func (s *runStats) count(c frame.Counter) {
	s.seen++
	switch {
	case !s.hasPrev, c <= s.prev, c.Restart() != s.prev.Restart():
		s.unknown = true
	default:
		s.lost += uint64(c - s.prev - 1)
	}
	s.prev, s.hasPrev = c, true
}

func (s *runStats) measure(m *reading.Measurement) {
	if !m.Value.IsNumber() {
		return
	}
	for i := range s.ranges {
		r := &s.ranges[i]
		if r.name == m.Name && r.unit == m.Unit {
			if m.Value.Cmp(r.min) < 0 {
				r.min = m.Value
			}
			if m.Value.Cmp(r.max) > 0 {
				r.max = m.Value
			}
			return
		}
	}
	if len(s.ranges) < maxRanges {
		s.ranges = append(s.ranges, valueRange{m.Name, m.Unit, m.Value, m.Value})
	}
}

// rest is the summary's hidden item.
func (s *runStats) rest(gaps []ledger.Gap) ledger.Rest {
	r := ledger.Rest{HasReceived: s.n > 0, From: s.from, To: s.to, Seen: s.seen, LostKnown: s.seen > 0 && !s.unknown, Gaps: gaps}
	if r.LostKnown {
		r.Lost = s.lost
	}
	for i := range s.ranges {
		v := &s.ranges[i]
		r.Ranges = append(r.Ranges, ledger.Range{
			Name: v.name, Unit: v.unit,
			Min: reading.AppendValue(nil, v.min), Max: reading.AppendValue(nil, v.max),
		})
	}
	return r
}

// statsRow is runStats on disk.
type statsRow struct {
	_        struct{} `cbor:",toarray"`
	N        uint64
	From, To int64
	Ranges   []rangeRow
	Seen     uint64
	Lost     uint64
	Unknown  bool
	Prev     uint64
	HasPrev  bool
}

type rangeRow struct {
	_          struct{} `cbor:",toarray"`
	Name, Unit string
	Min, Max   []byte
}

func (s *runStats) row() statsRow {
	r := statsRow{N: s.n, From: s.from, To: s.to, Seen: s.seen, Lost: s.lost, Unknown: s.unknown, Prev: uint64(s.prev), HasPrev: s.hasPrev}
	for i := range s.ranges {
		v := &s.ranges[i]
		r.Ranges = append(r.Ranges, rangeRow{Name: v.name, Unit: v.unit, Min: reading.AppendValue(nil, v.min), Max: reading.AppendValue(nil, v.max)})
	}
	return r
}

func (r *statsRow) stats(scheme byte) (runStats, error) {
	s := runStats{bare: scheme != schemeSite, n: r.N, from: r.From, to: r.To, seen: r.Seen, lost: r.Lost, unknown: r.Unknown, prev: frame.Counter(r.Prev), hasPrev: r.HasPrev}
	for _, v := range r.Ranges {
		lo, _, err := reading.ParseValue(v.Min)
		if err != nil {
			return s, err
		}
		hi, _, err := reading.ParseValue(v.Max)
		if err != nil {
			return s, err
		}
		s.ranges = append(s.ranges, valueRange{v.Name, v.Unit, lo, hi})
	}
	return s, nil
}
