package report

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"cairn/ingest/reading"
)

// Limit is a span in which the values of a measurement ought to lie, both ends
// included. It is the reader's own and proves nothing.
type Limit struct {
	Name    string        // of the measurement, or name|unit
	Min     reading.Value // of kind none: no end on this side
	Max     reading.Value
	written string
}

// ErrLimit says that a limit is not written as ParseLimit reads it.
var ErrLimit = errors.New("write a limit as name=least..greatest")

// ParseLimit reads a limit such as "temperature=2..8", "temperature|Cel=..8" or
// "H=30..". Numbers are decimal, with at most 18 digits.
func ParseLimit(s string) (Limit, error) {
	at := strings.LastIndexByte(s, '=')
	if at < 0 {
		return Limit{}, fmt.Errorf("%w: %.80q has no \"=\"", ErrLimit, s)
	}
	if at == 0 {
		return Limit{}, fmt.Errorf("%w: %.80q has no name", ErrLimit, s)
	}
	low, high, ok := strings.Cut(s[at+1:], "..")
	if !ok {
		return Limit{}, fmt.Errorf("%w: %.80q has no \"..\"", ErrLimit, s)
	}
	l := Limit{Name: s[:at], written: s[at+1:]}
	var err error
	if l.Min, err = parseNumber(low); err == nil {
		l.Max, err = parseNumber(high)
	}
	switch {
	case err != nil:
		return Limit{}, fmt.Errorf("%w: %.80q: %w", ErrLimit, s, err)
	case low == "" && high == "":
		return Limit{}, fmt.Errorf("%w: %.80q has neither end", ErrLimit, s)
	case low != "" && high != "" && l.Min.Cmp(l.Max) > 0:
		return Limit{}, fmt.Errorf("%w: %.80q ends before it begins", ErrLimit, s)
	}
	return l, nil
}

func parseNumber(s string) (reading.Value, error) {
	if s == "" {
		return reading.Value{}, nil
	}
	whole, fraction, point := strings.Cut(s, ".")
	digits := strings.TrimPrefix(whole, "-")
	if digits == "" || point && fraction == "" || strings.Trim(digits+fraction, "0123456789") != "" || len(digits+fraction) > 18 {
		return reading.Value{}, fmt.Errorf("%.40q is no decimal number", s)
	}
	n, err := strconv.ParseInt(whole+fraction, 10, 64)
	if err != nil {
		return reading.Value{}, fmt.Errorf("%.40q is no decimal number", s)
	}
	return reading.Decimal(n, -len(fraction)), nil
}

// of reports whether the limit is of a measurement.
func (l *Limit) of(name, unit string) bool { return l.Name == name || l.Name == name+"|"+unit }

// side returns -1 for a value below the limit, 1 for one above, else 0.
func (l *Limit) side(v reading.Value) int {
	switch {
	case l.Min.Kind != reading.KindNone && v.Cmp(l.Min) < 0:
		return -1
	case l.Max.Kind != reading.KindNone && v.Cmp(l.Max) > 0:
		return 1
	}
	return 0
}

func (l *Limit) text() string {
	switch {
	case l.Min.Kind == reading.KindNone:
		return "at most " + l.Max.String()
	case l.Max.Kind == reading.KindNone:
		return "at least " + l.Min.String()
	}
	return fmt.Sprintf("%s to %s", l.Min, l.Max)
}

// number returns a value as near as a drawing needs it.
func number(v reading.Value) float64 { return float64(v.Mantissa) * math.Pow10(int(v.Exp)) }
