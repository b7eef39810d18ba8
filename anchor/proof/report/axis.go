package report

import (
	"math"
	"strconv"
	"time"
)

// tick is a mark on an axis.
type tick struct {
	at    float64 // value or Unix ms
	label string
	day   string // on the time axis: a date that is written under it
}

// steps of the time axis up to a day, in ms.
var steps = []int64{
	1, 10, 100, 1000, 2000, 5000, 10_000, 15_000, 30_000,
	60_000, 120_000, 300_000, 600_000, 900_000, 1_800_000,
	3_600_000, 7_200_000, 10_800_000, 21_600_000, 43_200_000, dayMs,
}

const dayMs = 86_400_000

// timeTicks returns up to most marks from one time to another, at round times in
// UTC, each with a date where a new one begins.
func timeTicks(from, to int64, most int) []tick {
	step := int64(0)
	for _, s := range steps {
		n := int64(most)
		if s < 60_000 {
			n = n * 2 / 3 // their labels are longer
		}
		if (to-from)/s <= n {
			step = s
			break
		}
	}
	if step == 0 || step == dayMs {
		return dayTicks(from, to, most)
	}
	form := "15:04"
	switch {
	case step < 1000:
		form = "15:04:05.000"
	case step < 60_000:
		form = clockForm
	}
	var ticks []tick
	last := ""
	for t := (from + step - 1) / step * step; t <= to; t += step {
		at := time.UnixMilli(t).UTC()
		k := tick{at: float64(t), label: at.Format(form)}
		if day := at.Format("2 Jan 2006"); day != last {
			k.day, last = day, day
		}
		ticks = append(ticks, k)
	}
	return ticks
}

// stride is a step of whole days or months.
type stride struct{ days, months int }

// span returns how long one is, roughly, in ms.
func (s stride) span() int64 { return int64(s.days+30*s.months) * dayMs }

var strides = []stride{
	{days: 1}, {days: 2}, {days: 5}, {days: 10}, {months: 1}, {months: 2}, {months: 3}, {months: 6}, {months: 12},
	{months: 24}, {months: 60}, {months: 120}, {months: 600}, {months: 1200}, {months: 6000}, {months: 60_000},
}

// dayTicks marks days or the firsts of months, with the year where a new one
// begins.
func dayTicks(from, to int64, most int) (ticks []tick) {
	var by stride
	for _, by = range strides {
		if (to-from)/by.span() <= int64(most) {
			break
		}
	}
	first := time.UnixMilli(from).UTC()
	t := time.Date(first.Year(), first.Month(), first.Day(), 0, 0, 0, 0, time.UTC)
	form := "2 Jan"
	if by.months != 0 {
		t, form = time.Date(first.Year(), 1, 1, 0, 0, 0, 0, time.UTC), "Jan"
	}
	last := ""
	for ; t.UnixMilli() <= to && len(ticks) <= 2*most; t = t.AddDate(0, by.months, min(by.days, 1)) {
		if t.UnixMilli() < from || !by.falls(t) {
			continue
		}
		k := tick{at: float64(t.UnixMilli()), label: t.Format(form)}
		if year := t.Format("2006"); year != last {
			k.day, last = year, year
		}
		ticks = append(ticks, k)
	}
	return ticks
}

// falls reports whether a day is one that a stride of days is at: it begins anew
// with each month, and leaves out a last day too near to the next first.
func (s stride) falls(t time.Time) bool {
	if s.days <= 1 {
		return true
	}
	days := time.Date(t.Year(), t.Month()+1, 0, 0, 0, 0, 0, time.UTC).Day()
	return (t.Day()-1)%s.days == 0 && (t.Day() == 1 || days+1-t.Day() > s.days/2)
}

// valueTicks returns some round values from low to high.
func valueTicks(low, high float64, most int) []tick {
	rough := (high - low) / float64(most)
	power := math.Pow(10, math.Floor(math.Log10(rough)))
	step := power
	for _, m := range []float64{1, 2, 5, 10} {
		if step = m * power; step >= rough*0.999 {
			break
		}
	}
	places := max(0, -int(math.Floor(math.Log10(step)+1e-9)))
	var ticks []tick
	for n := math.Ceil(low/step - 1e-9); n*step <= high+step*1e-9 && len(ticks) <= 2*most; n++ {
		ticks = append(ticks, tick{at: n * step, label: valueLabel(n*step, places)})
	}
	return ticks
}

func valueLabel(v float64, places int) string {
	if places > 8 || math.Abs(v) >= 1e9 {
		return strconv.FormatFloat(v, 'g', 4, 64)
	}
	s := strconv.FormatFloat(v, 'f', places, 64)
	if s == "-0" {
		return "0"
	}
	return s
}
