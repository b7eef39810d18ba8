package ingest

import (
	"cairn/ingest/frame"
	"cairn/ingest/message"
	"cairn/ingest/reading"
)

// begin makes room for one reading's measurements at the end of j.measures and
// returns where they start.
func (j *Judge) begin() int {
	if cap(j.measures)-len(j.measures) < message.Most {
		j.measures = make([]reading.Measurement, 0, measureBlock)
	}
	return len(j.measures)
}

// end cuts the measurements from start on, nil if there are none, and counts what
// was left out.
func (j *Judge) end(start int, left message.Left) []reading.Measurement {
	if left != (message.Left{}) {
		j.count(left)
	}
	if len(j.measures) == start {
		return nil
	}
	return j.measures[start:len(j.measures):len(j.measures)]
}

func (j *Judge) count(left message.Left) {
	for _, x := range []struct {
		reason Reason
		is     bool
	}{{TypeNotRead, left.Type}, {BodyNotRead, left.Body}, {StatsNotRead, left.Stats}} {
		if x.is {
			j.tally.add(x.reason, 1)
		}
	}
	j.tally.add(StatRefused, uint64(left.Refused))
	j.tally.add(StatDuplicate, uint64(left.Duplicate))
}

// measure returns the measurements in an authenticated body.
func (j *Judge) measure(typ byte, body []byte) []reading.Measurement {
	start := j.begin()
	var left message.Left
	j.measures, left = message.AppendBody(j.measures, typ, body)
	return j.end(start, left)
}

// stats returns the measurements in a line's stats.
func (j *Judge) stats(stats []frame.Stat) []reading.Measurement {
	start := j.begin()
	var left message.Left
	j.measures, left = message.AppendStats(j.measures, start, stats)
	return j.end(start, left)
}
