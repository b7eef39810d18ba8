package report

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// stampForm is how a verdict writes times.
const stampForm = time.RFC3339Nano

// millis reads a time of a verdict; -1 if there is none.
func millis(s string) int64 {
	t, err := time.Parse(stampForm, s)
	if err != nil {
		return -1
	}
	return t.UnixMilli()
}

// day and clock are how the page writes times, always in UTC.
const (
	dayForm   = "2 January 2006"
	clockForm = "15:04:05"
)

// when writes a time for people, with thousandths where there are any.
func when(ms int64) string {
	t := time.UnixMilli(ms).UTC()
	form := dayForm + ", " + clockForm
	if ms%1000 != 0 {
		form += ".000"
	}
	return t.Format(form) + " UTC"
}

// brief is when without the zone's name and in fewer letters, for tables.
func brief(ms int64) string {
	t := time.UnixMilli(ms).UTC()
	if ms%1000 != 0 {
		return t.Format("2006-01-02 15:04:05.000")
	}
	return t.Format("2006-01-02 15:04:05")
}

// told writes a time of a verdict for people; what is no time stays as it is.
func told(s string) string {
	if ms := millis(s); ms >= 0 {
		return when(ms)
	}
	return s
}

// lasting writes a span of time for people, by its two largest units.
func lasting(ms int64) string {
	if ms < 0 {
		return "-" + lasting(-ms)
	}
	if ms < 1000 {
		return fmt.Sprintf("%d ms", ms)
	}
	units := []struct {
		name string
		ms   int64
	}{{"d", 86_400_000}, {"h", 3_600_000}, {"min", 60_000}, {"s", 1000}}
	var words []string
	for i, u := range units {
		n := ms / u.ms
		ms -= n * u.ms
		if n > 0 {
			words = append(words, fmt.Sprintf("%d %s", n, u.name))
		}
		if len(words) == 2 || len(words) == 1 && i == len(units)-1 {
			break
		}
	}
	return strings.Join(words, " ")
}

func decimal(n uint64) string { return strconv.FormatUint(n, 10) }
