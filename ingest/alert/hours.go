package alert

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Hours are times of the week; the zero value is all of them.
type Hours struct {
	zone  *time.Location
	spans []span
}

// span is of a day, in minutes; to may be of the day after.
type span struct {
	days     [7]bool // by time.Weekday, of from
	from, to int
}

const day = 24 * 60

var weekdays = []string{"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"}

// ParseHours reads times such as "Mon-Fri 07:00-18:30" or "22:00-06:00", any of which
// holds; one that ends before it begins goes on until the next day. None are all hours.
func ParseHours(texts []string, zone *time.Location) (Hours, error) {
	h := Hours{zone: zone}
	for _, text := range texts {
		s, ok := parseSpan(text)
		if !ok {
			return Hours{}, fmt.Errorf("%.40q is no time such as Mon-Fri 07:00-18:30, or 22:00-06:00", text)
		}
		h.spans = append(h.spans, s)
	}
	return h, nil
}

func parseSpan(text string) (s span, ok bool) {
	words := strings.Fields(text)
	switch len(words) {
	case 1:
		s.days = [7]bool{true, true, true, true, true, true, true}
	case 2:
		for _, part := range strings.Split(words[0], ",") {
			first, last, several := strings.Cut(part, "-")
			if !several {
				last = first
			}
			a, b := weekday(first), weekday(last)
			if a < 0 || b < 0 {
				return s, false
			}
			for at := a; ; at = (at + 1) % 7 {
				s.days[at] = true
				if at == b {
					break
				}
			}
		}
	default:
		return s, false
	}
	from, to, _ := strings.Cut(words[len(words)-1], "-")
	s.from, s.to = minuteOf(from), minuteOf(to)
	if s.from < 0 || s.to < 0 || s.from == day || s.from == s.to {
		return s, false
	}
	if s.to < s.from {
		s.to += day
	}
	return s, true
}

func weekday(name string) int {
	for i, d := range weekdays {
		if strings.EqualFold(d, name) {
			return i
		}
	}
	return -1
}

// minuteOf reads 07:30, or 24:00; below 0: neither.
func minuteOf(text string) int {
	h, m, ok := strings.Cut(text, ":")
	hour, err := strconv.ParseUint(h, 10, 8)
	minute, err2 := strconv.ParseUint(m, 10, 8)
	if !ok || len(h) != 2 || len(m) != 2 || err != nil || err2 != nil || minute > 59 || hour > 24 || hour == 24 && minute > 0 {
		return -1
	}
	return int(60*hour + minute)
}

// In reports whether a time is one of them.
func (h *Hours) In(at time.Time) bool {
	if len(h.spans) == 0 {
		return true
	}
	if h.zone != nil {
		at = at.In(h.zone)
	}
	minute, today := 60*at.Hour()+at.Minute(), int(at.Weekday())
	for _, s := range h.spans {
		if s.days[today] && minute >= s.from && minute < s.to || s.days[(today+6)%7] && minute+day < s.to {
			return true
		}
	}
	return false
}
