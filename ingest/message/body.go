package message

import (
	"cairn/ingest/frame"
	"cairn/ingest/reading"
)

// Most is what the body of a frame or a line can make: seven measurements of a
// body's fixed bytes, and one of each of its stats.
const Most = 7 + frame.MaxMembers

// Left counts what of a body no measurement can hold.
type Left struct {
	Type      bool // the frame is of a type that is not read
	Body      bool // its body is no basic one
	Stats     bool // its stats cannot be read, or only in part
	Refused   int  // stats that no measurement holds
	Duplicate int  // stats whose name an earlier one has
}

// AppendBody appends the measurements in the opened body of a frame of a type.
// Evidence is worth more than form: what cannot be read is told, and what can is
// given.
func AppendBody(dst []reading.Measurement, typ byte, body []byte) (out []reading.Measurement, left Left) {
	if typ != frame.TypeBasic|frame.SecureBit {
		return dst, Left{Type: len(body) > 0}
	}
	b, err := frame.ParseBody(body)
	if err != nil {
		return dst, Left{Body: true}
	}
	start := len(dst)
	dst = appendFixed(dst, b)
	switch {
	case len(b.Rest) > 0:
		return dst, Left{Stats: true}
	case len(b.Stats) > 0:
		stats, err := frame.ParseStats(b.Stats, false)
		dst, left = AppendStats(dst, start, stats)
		left.Stats = err != nil
	}
	return dst, left
}

// appendFixed appends what the body's two fixed bytes say. A flag that is not set is
// left out: shipped firmware never sets one, so false would claim too much.
func appendFixed(dst []reading.Measurement, b frame.Body) []reading.Measurement {
	flag := func(name string, set bool) {
		if set {
			dst = append(dst, reading.Measurement{Name: name, Value: reading.Bool(true)})
		}
	}
	if b.Valve >= 0 {
		dst = append(dst, reading.Measurement{Name: reading.NameValve, Unit: "%", Value: reading.Int(int64(b.Valve))})
	}
	flag(reading.NameHeat, b.CallForHeat)
	flag(reading.NameFault, b.Fault)
	flag(reading.NameBatteryLow, b.LowBattery)
	flag(reading.NameTamper, b.Tamper)
	if b.Occupancy > 0 {
		dst = append(dst, reading.Measurement{Name: reading.NameOccupancy, Value: reading.Int(int64(b.Occupancy))})
	}
	flag(reading.NameFrost, b.FrostRisk)
	return dst
}

// AppendStats appends stats in the order sent to the measurements of a reading that
// begin at start. Units may make two names one ("B|cV" and "B|mV"): the first stands.
func AppendStats(dst []reading.Measurement, start int, stats []frame.Stat) (out []reading.Measurement, left Left) {
next:
	for _, s := range stats {
		m, err := reading.FromStat(s.Key, s.Unit, s.IsInt, s.Int, s.Text)
		if err != nil {
			left.Refused++
			continue
		}
		for i := start; i < len(dst); i++ {
			if dst[i].Name == m.Name {
				left.Duplicate++
				continue next
			}
		}
		dst = append(dst, m)
	}
	return dst, left
}
