package frame

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

const (
	// MaxStats is the longest text that [ParseStats] reads, that of a hub line.
	MaxStats = maxLine
	// MaxMembers is the largest number of members that it reads.
	MaxMembers = 32
)

var (
	// ErrStats is wrapped by every error of [ParseStats].
	ErrStats = errors.New("malformed stats")
	// ErrStatsLimit says that there is more than MaxStats or MaxMembers.
	ErrStatsLimit = fmt.Errorf("%w: too large", ErrStats)
	// ErrStatsDuplicate says that a key comes twice.
	ErrStatsDuplicate = fmt.Errorf("%w: duplicate key", ErrStats)
	// ErrStatsRange says that a number does not fit into 64 bits.
	ErrStatsRange = fmt.Errorf("%w: number out of range", ErrStats)
)

// Stat is one member of a stats object. "T|C16":299 is Key T, Unit C16, the
// integer 299: sixteenths of a degree.
type Stat struct {
	Key, Unit string // Unit is empty where the name has none
	Int       int64  // the value, if IsInt
	IsInt     bool
	Text      string // the value otherwise
}

// Name returns the member's name as in the text: key, or key|unit.
func (s Stat) Name() string {
	if s.Unit == "" {
		return s.Key
	}
	return s.Key + "|" + s.Unit
}

// ParseStats reads a flat JSON object in the form that nodes write: printable
// ASCII, no space between tokens, values integers or strings without escapes.
// closed says whether the final '}' is there; frames leave it out. Numbers have
// neither plus, leading zeros nor "-0", names are key or key|unit with neither
// empty, and no name comes twice, so that [AppendStats] gives the text back.
func ParseStats(b []byte, closed bool) ([]Stat, error) {
	if len(b) > MaxStats {
		return nil, fmt.Errorf("%w: %d bytes", ErrStatsLimit, len(b))
	}
	return parseStats(string(b), closed)
}

func parseStats(text string, closed bool) ([]Stat, error) {
	if i := unprintable(text); i >= 0 {
		return nil, fmt.Errorf("%w: byte %#02x at %d", ErrStats, text[i], i)
	}
	in, ok := strings.CutPrefix(text, "{")
	if ok && closed {
		in, ok = strings.CutSuffix(in, "}")
	}
	if !ok {
		return nil, fmt.Errorf("%w: not an object", ErrStats)
	}
	if in == "" {
		return nil, nil
	}
	p := statScanner{in: in}
	stats := make([]Stat, 0, min(MaxMembers, 1+strings.Count(in, ",")))
	for {
		s, err := p.member()
		if err != nil {
			return nil, err
		}
		if len(stats) == MaxMembers {
			return nil, fmt.Errorf("%w: over %d members", ErrStatsLimit, MaxMembers)
		}
		if stats, err = addStat(stats, s); err != nil {
			return nil, err
		}
		if p.pos == len(in) {
			return stats, nil
		}
		if !p.take(',') {
			return nil, p.fail("no comma")
		}
	}
}

// addStat appends s unless its name is there already.
func addStat(stats []Stat, s Stat) ([]Stat, error) {
	for i := range stats {
		if stats[i].Key == s.Key && stats[i].Unit == s.Unit {
			return nil, fmt.Errorf("%w %q", ErrStatsDuplicate, s.Name())
		}
	}
	return append(stats, s), nil
}

// statScanner reads members; in is printable and without the outer braces.
type statScanner struct {
	in  string
	pos int
}

func (p *statScanner) fail(what string) error {
	return fmt.Errorf("%w: %s at %d", ErrStats, what, p.pos+1)
}

func (p *statScanner) take(c byte) bool {
	if p.pos == len(p.in) || p.in[p.pos] != c {
		return false
	}
	p.pos++
	return true
}

func (p *statScanner) member() (Stat, error) {
	name, err := p.quoted()
	if err != nil {
		return Stat{}, err
	}
	key, unit, hasUnit := strings.Cut(name, "|")
	if key == "" || hasUnit && unit == "" {
		return Stat{}, p.fail("empty key or unit")
	}
	if !p.take(':') {
		return Stat{}, p.fail("no colon")
	}
	s := Stat{Key: key, Unit: unit}
	if p.pos < len(p.in) && p.in[p.pos] == '"' {
		s.Text, err = p.quoted()
		return s, err
	}
	s.Int, err = p.number()
	s.IsInt = true
	return s, err
}

func (p *statScanner) quoted() (string, error) {
	if !p.take('"') {
		return "", p.fail("no string")
	}
	n := strings.IndexAny(p.in[p.pos:], `"\`)
	if n < 0 {
		return "", p.fail("open string")
	}
	s := p.in[p.pos : p.pos+n]
	p.pos += n
	if !p.take('"') {
		return "", p.fail("escape")
	}
	return s, nil
}

func (p *statScanner) number() (int64, error) {
	end := p.pos
	for end < len(p.in) && (isDigit(p.in[end]) || end == p.pos && p.in[end] == '-') {
		end++
	}
	text := p.in[p.pos:end]
	if !plainInt(text) {
		return 0, p.fail("no integer or string")
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%w at %d", ErrStatsRange, p.pos+1)
	}
	p.pos = end
	return n, nil
}

// plainInt reports whether text is an integer as strconv.FormatInt writes it,
// of any size.
func plainInt(text string) bool {
	digits, negative := strings.CutPrefix(text, "-")
	for i := range len(digits) {
		if !isDigit(digits[i]) {
			return false
		}
	}
	switch {
	case digits == "":
		return false
	case digits[0] == '0':
		return len(digits) == 1 && !negative
	}
	return true
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// unprintable returns the place of the first byte outside 32..126, or -1.
func unprintable(s string) int {
	for i := range len(s) {
		if s[i] < 32 || s[i] > 126 {
			return i
		}
	}
	return -1
}

// AppendStats appends s as an object, with the final '}' if closed. It writes
// keys, units and texts as they are: they must be such as [ParseStats] accepts.
func AppendStats(dst []byte, s []Stat, closed bool) []byte {
	dst = append(dst, '{')
	for i := range s {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, '"')
		dst = append(dst, s[i].Key...)
		if s[i].Unit != "" {
			dst = append(dst, '|')
			dst = append(dst, s[i].Unit...)
		}
		dst = append(dst, '"', ':')
		if s[i].IsInt {
			dst = strconv.AppendInt(dst, s[i].Int, 10)
			continue
		}
		dst = append(dst, '"')
		dst = append(dst, s[i].Text...)
		dst = append(dst, '"')
	}
	if closed {
		dst = append(dst, '}')
	}
	return dst
}
