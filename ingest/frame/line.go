package frame

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

const (
	maxLine = 255
	maxSeq  = 255 // nodes count to 7, 15 or 63
)

// ErrLine is wrapped by every error of [ParseLine] and [ParseRadioJSON], also
// where it comes from [ParseStats].
var ErrLine = errors.New("malformed hub line")

// The reasons for which a line is refused.
var (
	ErrLineEmpty     = fmt.Errorf("%w: empty", ErrLine) // hubs send some; skip it
	ErrLineLong      = fmt.Errorf("%w: longer than %d characters", ErrLine, maxLine)
	ErrLineCharacter = fmt.Errorf("%w: not printable ASCII", ErrLine)
	ErrLineKind      = fmt.Errorf("%w: unknown first character", ErrLine)
	ErrLineID        = fmt.Errorf("%w: ID", ErrLine)
	ErrLineSeq       = fmt.Errorf("%w: sequence number", ErrLine)
	ErrLineSection   = fmt.Errorf("%w: section", ErrLine)
	ErrLineDump      = fmt.Errorf("%w: frame dump", ErrLine)
	ErrLineCRC       = fmt.Errorf("%w: CRC differs", ErrLine)
)

// LineKind is the first character of a line.
type LineKind byte

const (
	LineJSON    LineKind = '{' // stats of a node, JSON
	LineBinary  LineKind = '@' // stats of a node that sent them in binary
	LineStatus  LineKind = '=' // the hub's own status
	LineRaw     LineKind = '|' // a frame as the radio gave it
	LinePrompt  LineKind = '>' // the hub's command line waits
	LineError   LineKind = '!'
	LineWarning LineKind = '?'
	LineInfo    LineKind = '+'
)

// Line is one line of a hub's serial link. Such a line carries neither counter
// nor tag, and no checksum: all of it is the hub's word, except the frame of a
// [LineRaw], which can be opened.
type Line struct {
	Kind  LineKind
	Text  string // as received, without CR
	Frame []byte // LineRaw: give it to [ParseDump]
	// ID is the node's ID as far as the line says it, in lower-case hex of
	// even length. Hubs leave out leading zeros, here of the first byte only:
	// an ID with a later byte below 10 cannot be told from a shorter one.
	ID    string
	Seq   int    // the line's "+", -1 if absent
	Stats []Stat // without "@" and "+"
}

// ParseLine reads one line without its LF; one CR at its end is dropped.
//
// The sections of [LineBinary] become stats with the keys that JSON uses: T…
// is T|C16 (T|C without the sixteenths), L and O are L and O, P (low power) is
// P 1. Of [LineStatus] the valve, the temperature and the first number of
// section S become v|%, T|C16 and tT|C, a section I the ID, and a JSON object
// at the end more stats. Sections not named here stay in Text alone.
func ParseLine(line string) (Line, error) {
	text := strings.TrimSuffix(line, "\r")
	if text == "" {
		return Line{}, ErrLineEmpty
	}
	if len(text) > maxLine {
		return Line{}, fmt.Errorf("%w: %d", ErrLineLong, len(text))
	}
	if i := unprintable(text); i >= 0 {
		return Line{}, fmt.Errorf("%w: byte %#02x at %d", ErrLineCharacter, text[i], i)
	}
	l := Line{Kind: LineKind(text[0]), Text: text, Seq: -1}
	var err error
	switch l.Kind {
	case LineJSON:
		err = l.object(text)
	case LineBinary:
		err = l.binary(text[1:])
	case LineStatus:
		err = l.status(text[1:])
	case LineRaw:
		l.Frame, err = parseDump(text[1:])
	case LineWarning:
		l.ID = refusedID(text)
	case LinePrompt, LineError, LineInfo:
	default:
		err = fmt.Errorf("%w: %q", ErrLineKind, text[0])
	}
	if err != nil {
		return Line{}, err
	}
	return l, nil
}

// ParseRadioJSON reads an insecure JSON message as it goes over the air, and
// returns the line that a hub would print for it. On the air the final '}' has
// bit 7 set and is followed by a CRC-7 that starts from '{' and covers the
// bytes after it; a CRC of 0 may be sent as 0x80. There are at most 55
// characters and the CRC.
func ParseRadioJSON(b []byte) (Line, error) {
	const maxText, end = 55, '}' | 0x80
	if len(b) < 3 || b[0] != '{' || b[len(b)-2] != end {
		return Line{}, fmt.Errorf("%w: no JSON message of the radio", ErrLine)
	}
	text, crc := b[:len(b)-1], b[len(b)-1]
	if len(text) > maxText {
		return Line{}, fmt.Errorf("%w: %d characters of radio JSON", ErrLineLong, len(text))
	}
	if want := CRC7('{', text[1:]); crc != want && (want != 0 || crc != 0x80) {
		return Line{}, fmt.Errorf("%w: got %#02x want %#02x", ErrLineCRC, crc, want)
	}
	return ParseLine(string(text[:len(text)-1]) + "}")
}

// add takes a stat of a section.
func (l *Line) add(key, unit string, value int64) error {
	var err error
	l.Stats, err = addStat(l.Stats, Stat{Key: key, Unit: unit, Int: value, IsInt: true})
	if err != nil {
		return fmt.Errorf("%w: %w", ErrLineSection, err)
	}
	return nil
}

// object reads a whole JSON object, and takes "@" and "+" out of it.
func (l *Line) object(text string) error {
	stats, err := parseStats(text, true)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrLine, err)
	}
	for _, s := range stats {
		switch s.Name() {
		case "@":
			err = l.setID(s)
		case "+":
			if !s.IsInt || s.Int < 0 || s.Int > maxSeq {
				err = ErrLineSeq
			}
			l.Seq = int(s.Int)
		default:
			if l.Stats, err = addStat(l.Stats, s); err != nil {
				err = fmt.Errorf("%w: %w", ErrLine, err)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// setID takes the ID of a JSON object. Status lines have an empty one; it must
// not contradict the line's section I.
func (l *Line) setID(s Stat) error {
	if s.IsInt {
		return ErrLineID
	}
	if s.Text == "" {
		return nil
	}
	id, err := normalID(s.Text)
	if err != nil {
		return err
	}
	if l.ID != "" && l.ID != id {
		return fmt.Errorf("%w: %s and %s", ErrLineID, l.ID, id)
	}
	l.ID = id
	return nil
}

// normalID reads 1 to 16 hex digits: lower-case, padded to an even length.
func normalID(text string) (string, error) {
	if text == "" || len(text) > 2*len(ID{}) || !isHex(text) {
		return "", fmt.Errorf("%w %q", ErrLineID, text)
	}
	if len(text)%2 != 0 {
		text = "0" + text
	}
	return strings.ToLower(text), nil
}

func isHex(s string) bool {
	for i := range len(s) {
		c := s[i] | 0x20 // digits have this bit already
		if !isDigit(s[i]) && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// binary reads ID{;section}, for example D49;T19C7;L62;O1;P.
func (l *Line) binary(text string) error {
	id, rest, more := strings.Cut(text, ";")
	var err error
	if l.ID, err = normalID(id); err != nil {
		return err
	}
	for more {
		var section string
		section, rest, more = strings.Cut(rest, ";")
		if err := l.binarySection(section); err != nil {
			return err
		}
	}
	return nil
}

func (l *Line) binarySection(section string) error {
	if section == "" {
		return fmt.Errorf("%w: empty", ErrLineSection)
	}
	value := section[1:]
	switch section[0] {
	case 'T':
		return l.temperature(value)
	case 'L':
		return l.bounded("L", "", value, 255)
	case 'O':
		return l.bounded("O", "", value, 3)
	case 'P':
		if value != "" {
			return fmt.Errorf("%w %q", ErrLineSection, section)
		}
		return l.add("P", "", 1)
	}
	return nil // of a later firmware
}

// bounded reads an integer of 0..limit.
func (l *Line) bounded(key, unit, text string, limit int64) error {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || !plainInt(text) || n < 0 || n > limit {
		return fmt.Errorf("%w: %s %q is not 0 to %d", ErrLineSection, key, text, limit)
	}
	return l.add(key, unit, n)
}

// temperature reads dd 'C' h: whole degrees, rounded down, and a hex digit of
// sixteenths to add, also below zero (-1CF is -1/16). Early hubs print no digit;
// then only the whole degrees are known, and the unit is C.
func (l *Line) temperature(text string) error {
	degrees, digit, ok := strings.Cut(text, "C")
	if !ok || !plainInt(degrees) || len(degrees) > 4 {
		return fmt.Errorf("%w: temperature %q", ErrLineSection, text)
	}
	n, _ := strconv.ParseInt(degrees, 10, 64) // at most 4 characters
	if digit == "" {
		return l.add("T", "C", n)
	}
	h := strings.IndexByte("0123456789ABCDEF", digit[0])
	if len(digit) != 1 || h < 0 {
		return fmt.Errorf("%w: temperature %q", ErrLineSection, text)
	}
	return l.add("T", "C16", n*16+int64(h))
}

// status reads mode[nn%][@temperature]{;section}[;object], for example
// F0%@18CE;T16 36;S5 5 17;{"@":"","H|%":50}. The mode is F, W or B.
func (l *Line) status(text string) error {
	// The object may hold a semicolon in a string: cut it off first.
	text, object, hasObject := strings.Cut(text, ";{")
	head, rest, more := strings.Cut(text, ";")
	if err := l.statusHead(head); err != nil {
		return err
	}
	for more {
		var section string
		section, rest, more = strings.Cut(rest, ";")
		if err := l.statusSection(section); err != nil {
			return err
		}
	}
	if hasObject {
		return l.object("{" + object)
	}
	return nil
}

func (l *Line) statusHead(head string) error {
	if head == "" || !strings.Contains("FWB", head[:1]) {
		return fmt.Errorf("%w: status %q without mode", ErrLineSection, head)
	}
	head, temperature, hasTemperature := strings.Cut(head[1:], "@")
	if head != "" {
		percent, ok := strings.CutSuffix(head, "%")
		if !ok {
			return fmt.Errorf("%w: valve %q", ErrLineSection, head)
		}
		if err := l.bounded("v", "%", percent, 100); err != nil {
			return err
		}
	}
	if hasTemperature {
		return l.temperature(temperature)
	}
	return nil
}

// statusSection reads S and I. Their letters also begin sections of other
// firmware, so what does not have their form is left alone.
func (l *Line) statusSection(section string) error {
	if target, ok := strings.CutPrefix(section, "S"); ok {
		target, _, _ = strings.Cut(target, " ")
		if plainInt(target) && target[0] != '-' && len(target) <= 2 {
			return l.bounded("tT", "C", target, 99)
		}
	}
	if text, ok := strings.CutPrefix(section, "I"); ok && l.ID == "" {
		if id, err := normalID(text); err == nil {
			l.ID = id
		}
	}
	return nil
}

// parseDump reads the rest of a '|' line: the number of bytes, a space, and two
// characters for each byte, a space and the character itself or two upper-case
// hex digits. The firmware's comments show a form with one space where a
// printable first byte calls for two; the number of bytes tells them apart.
func parseDump(text string) ([]byte, error) {
	count, pairs, ok := strings.Cut(text, " ")
	n, err := strconv.Atoi(count)
	if !ok || err != nil || !plainInt(count) || n < 1 || n > maxLine {
		return nil, fmt.Errorf("%w: no number of bytes", ErrLineDump)
	}
	if len(pairs) == 2*n-1 {
		pairs = " " + pairs
	}
	if len(pairs) != 2*n {
		return nil, fmt.Errorf("%w: %d characters for %d bytes", ErrLineDump, len(pairs), n)
	}
	frame := make([]byte, n)
	for i := range frame {
		pair := pairs[2*i : 2*i+2]
		if pair[0] == ' ' {
			frame[i] = pair[1]
			continue
		}
		v, err := strconv.ParseUint(pair, 16, 8)
		if err != nil || strings.ToUpper(pair) != pair {
			return nil, fmt.Errorf("%w: %q for byte %d", ErrLineDump, pair, i)
		}
		frame[i] = byte(v)
	}
	return frame, nil
}

// refusedID reads the ID bytes of "?RX auth 8C D3", with which a hub says that
// it could not authenticate a frame. Other warnings have no ID.
func refusedID(text string) string {
	list, ok := strings.CutPrefix(text, "?RX auth ")
	if !ok {
		return ""
	}
	var id []byte
	for _, field := range strings.Fields(list) {
		if len(field) > 2 || len(id) == len(ID{}) {
			return ""
		}
		v, err := strconv.ParseUint(field, 16, 8)
		if err != nil {
			return ""
		}
		id = append(id, byte(v))
	}
	return hex.EncodeToString(id)
}
