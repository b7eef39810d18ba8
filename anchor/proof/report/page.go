package report

import (
	"bufio"
	"fmt"
	"html"
	"io"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// markup is HTML as it stands in this package's source.
type markup string

// Longest texts on the page, in characters.
const (
	maxText    = 4000
	maxForeign = 200 // a name, a unit, a value
)

// page is the one way to the output.
type page struct {
	w *bufio.Writer
}

func newPage(w io.Writer) *page { return &page{bufio.NewWriterSize(w, 64<<10)} }

// put writes markup in which each % stands for the next argument. An argument
// of type markup is written as it is, a foreign one isolated from the direction
// in which its neighbours are read, and all others as text.
func (p *page) put(m markup, args ...any) {
	if len(args) == 0 {
		p.w.WriteString(string(m))
		return
	}
	rest := string(m)
	for _, a := range args {
		before, after, ok := strings.Cut(rest, "%")
		if !ok {
			panic("report: more arguments than places in " + string(m))
		}
		p.w.WriteString(before)
		p.argument(a)
		rest = after
	}
	if strings.Contains(rest, "%") {
		panic("report: more places than arguments in " + string(m))
	}
	p.w.WriteString(rest)
}

// foreign is a name or value that somebody outside chose.
type foreign string

func (p *page) argument(a any) {
	switch a := a.(type) {
	case markup:
		p.w.WriteString(string(a))
	case foreign:
		p.w.WriteString("<bdi>")
		p.w.WriteString(html.EscapeString(visible(string(a), maxForeign)))
		p.w.WriteString("</bdi>")
	case string:
		p.w.WriteString(html.EscapeString(visible(a, maxText)))
	case int:
		p.w.WriteString(grouped(strconv.Itoa(a)))
	case uint64:
		p.w.WriteString(strconv.FormatUint(a, 10)) // a number that names something: never parted
	case coordinate:
		p.w.WriteString(strconv.FormatFloat(float64(a), 'f', 1, 64))
	default:
		p.w.WriteString(html.EscapeString(visible(fmt.Sprint(a), maxText)))
	}
}

// coordinate is a place in a drawing.
type coordinate float64

// visible returns s cut to a number of characters, with all that cannot be seen,
// that steers the direction of writing, or that is not UTF-8 as ⟨U+…⟩.
func visible(s string, most int) string {
	var b strings.Builder
	n, marks := 0, 0
	for i, r := range s {
		if n++; n > most {
			fmt.Fprintf(&b, "… (%d more bytes)", len(s)-i)
			break
		}
		if unicode.In(r, unicode.Mn, unicode.Me) {
			marks++
		} else {
			marks = 0
		}
		switch {
		case r == utf8.RuneError && !strings.HasPrefix(s[i:], "\ufffd"):
			fmt.Fprintf(&b, "⟨byte %02X⟩", s[i])
		case !strconv.IsPrint(r) || blank(r) || marks > 2:
			fmt.Fprintf(&b, "⟨U+%04X⟩", r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// blank reports whether a rune passes for printable and shows nothing.
func blank(r rune) bool {
	switch r {
	case '\u115f', '\u1160', '\u2800', '\u3164', '\uffa0':
		return true
	}
	return false
}

// grouped parts the digits of a whole number by threes.
func grouped(digits string) string {
	sign := ""
	if strings.HasPrefix(digits, "-") {
		sign, digits = "-", digits[1:]
	}
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return sign + digits
}

// inGroups parts hexadecimal digits by eights, so that an eye can follow them.
// What is no such digits stays as it is.
func inGroups(hex string) string {
	prefix := ""
	if strings.Trim(strings.TrimPrefix(hex, "0x"), "0123456789abcdef") != "" {
		return hex
	}
	if strings.HasPrefix(hex, "0x") {
		prefix, hex = "0x ", hex[2:]
	}
	var words []string
	for len(hex) > 8 {
		words, hex = append(words, hex[:8]), hex[8:]
	}
	return prefix + strings.Join(append(words, hex), " ")
}

// count says how many of something there are.
func count(n int, what string) string {
	s := grouped(strconv.Itoa(n)) + " " + what
	switch {
	case n == 1:
		return s
	case strings.HasSuffix(what, "y"):
		return strings.TrimSuffix(s, "y") + "ies"
	case strings.HasSuffix(what, "h"):
		return s + "es"
	}
	return s + "s"
}
