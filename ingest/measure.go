package ingest

import (
	"cairn/ingest/frame"
	"cairn/ingest/reading"
)

// maxMeasurements is what one reading of this package can hold: seven of a
// frame's fixed bytes and all members of its stats; a record has room for 57.
const maxMeasurements = 7 + frame.MaxMembers

// begin makes room for one reading's measurements at the end of j.measures and
// returns where they start.
func (j *Judge) begin() int {
	if cap(j.measures)-len(j.measures) < maxMeasurements {
		j.measures = make([]reading.Measurement, 0, measureBlock)
	}
	return len(j.measures)
}

// end cuts the measurements from start on; nil if there are none.
func (j *Judge) end(start int) []reading.Measurement {
	if len(j.measures) == start {
		return nil
	}
	return j.measures[start:len(j.measures):len(j.measures)]
}

// measure returns the measurements in an authenticated body. Evidence is worth
// more than form: what cannot be read is counted, and the frame is recorded
// with what could.
func (j *Judge) measure(typ byte, body []byte) []reading.Measurement {
	if typ != frame.TypeBasic|frame.SecureBit {
		if len(body) > 0 {
			j.tally.add(TypeNotRead, 1)
		}
		return nil
	}
	b, err := frame.ParseBody(body)
	if err != nil {
		j.tally.add(BodyNotRead, 1)
		return nil
	}
	start := j.begin()
	j.fixed(b)
	switch {
	case len(b.Rest) > 0:
		j.tally.add(StatsNotRead, 1)
	case len(b.Stats) > 0:
		stats, err := frame.ParseStats(b.Stats, false)
		if err != nil {
			j.tally.add(StatsNotRead, 1)
		}
		j.stats(start, stats)
	}
	return j.end(start)
}

// fixed adds what the body's two fixed bytes say. A flag that is not set is
// left out: shipped firmware never sets one, so false would claim too much.
func (j *Judge) fixed(b frame.Body) {
	if b.Valve >= 0 {
		j.measures = append(j.measures, reading.Measurement{
			Name: reading.NameValve, Unit: "%", Value: reading.Int(int64(b.Valve)),
		})
	}
	j.flag(reading.NameHeat, b.CallForHeat)
	j.flag(reading.NameFault, b.Fault)
	j.flag(reading.NameBatteryLow, b.LowBattery)
	j.flag(reading.NameTamper, b.Tamper)
	if b.Occupancy > 0 {
		j.measures = append(j.measures, reading.Measurement{
			Name: reading.NameOccupancy, Value: reading.Int(int64(b.Occupancy)),
		})
	}
	j.flag(reading.NameFrost, b.FrostRisk)
}

func (j *Judge) flag(name string, set bool) {
	if set {
		j.measures = append(j.measures, reading.Measurement{Name: name, Value: reading.Bool(true)})
	}
}

// stats adds stats in the order sent. Units may make two names one ("B|cV" and
// "B|mV"): the first stands.
func (j *Judge) stats(start int, stats []frame.Stat) {
next:
	for _, s := range stats {
		m, err := reading.FromStat(s.Key, s.Unit, s.IsInt, s.Int, s.Text)
		if err != nil {
			j.tally.add(StatRefused, 1)
			continue
		}
		for i := start; i < len(j.measures); i++ {
			if j.measures[i].Name == m.Name {
				j.tally.add(StatDuplicate, 1)
				continue next
			}
		}
		j.measures = append(j.measures, m)
	}
}
