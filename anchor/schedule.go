package anchor

import "time"

// schedule says when the next anchor is due: once in each slot of the clock,
// slots being whole multiples of every since 1970, at a random moment within
// jitter of the slot's start. So neither the number of readings nor the time
// of a restart shows in when anchors come, and gateways do not bid together.
type schedule struct {
	every, jitter time.Duration
	random        func(n int64) int64 // in [0, n)

	slot   int64 // for which offset was drawn
	offset time.Duration
	drawn  bool
}

// due returns when the anchor after last is due; at once if there was none.
// It is in the past if slots were missed: they are made up for by one anchor.
func (s *schedule) due(last time.Time) time.Time {
	if last.IsZero() {
		return last
	}
	slot := last.UnixNano()/int64(s.every) + 1
	if !s.drawn || slot != s.slot {
		s.slot, s.drawn, s.offset = slot, true, 0
		if s.jitter > 0 {
			s.offset = time.Duration(s.random(int64(s.jitter)))
		}
	}
	return time.Unix(0, slot*int64(s.every)).Add(s.offset)
}
