package mirror

import (
	"cairn/ingest/reading"
	"cairn/merkle/ledger"
)

// restartBits is how many bits a device's counter has below its restarts: 24 of 48.
const restartBits = 24

// viewRest makes again what a summary hides of its window, out of what an envelope
// says. It names no values: who has the envelope alone learns none.
type viewRest struct {
	n          uint64
	from, to   int64
	seen, lost uint64
	unknown    bool

	prev    uint64 // the newest counter, carried from run to run
	hasPrev bool
}

// begin starts the next run.
func (s *viewRest) begin() { *s = viewRest{prev: s.prev, hasPrev: s.hasPrev} }

func (s *viewRest) add(r *reading.Reading) {
	if s.n == 0 {
		s.from = r.Received
	}
	s.n++
	s.to = r.Received
	if !r.Origin.HasCounter {
		return
	}
	c := r.Origin.Counter
	s.seen++
	if !s.hasPrev || c <= s.prev || c>>restartBits != s.prev>>restartBits {
		s.unknown = true
	} else {
		s.lost += c - s.prev - 1
	}
	s.prev, s.hasPrev = c, true
}

// rest is the hidden item of a window that declares this gap, or none.
func (s *viewRest) rest(gap *ledger.Gap) ledger.Rest {
	r := ledger.Rest{HasReceived: s.n > 0, From: s.from, To: s.to, Seen: s.seen, LostKnown: s.seen > 0 && !s.unknown}
	if r.LostKnown {
		r.Lost = s.lost
	}
	if gap != nil {
		r.Gaps = []ledger.Gap{*gap}
	}
	return r
}

// maxExtremes bounds the measurements whose extremes an old summary names.
const maxExtremes = 32

// extremes adds to a rest of a stream of before scheme 1 what it names as well: the
// least and the greatest value of each measurement.
func extremes(r *ledger.Rest, readings []viewReading) {
	type span struct{ min, max reading.Value }
	spans := make([]span, 0, maxExtremes)
	for i := range readings {
		for _, m := range readings[i].r.Measurements {
			if !m.Value.IsNumber() {
				continue
			}
			at := 0
			for at < len(spans) && (r.Ranges[at].Name != m.Name || r.Ranges[at].Unit != m.Unit) {
				at++
			}
			switch {
			case at == maxExtremes:
			case at == len(spans):
				spans = append(spans, span{m.Value, m.Value})
				r.Ranges = append(r.Ranges, ledger.Range{Name: m.Name, Unit: m.Unit})
			default:
				if m.Value.Cmp(spans[at].min) < 0 {
					spans[at].min = m.Value
				}
				if m.Value.Cmp(spans[at].max) > 0 {
					spans[at].max = m.Value
				}
			}
		}
	}
	for i := range spans {
		r.Ranges[i].Min, r.Ranges[i].Max = reading.AppendValue(nil, spans[i].min), reading.AppendValue(nil, spans[i].max)
	}
}
