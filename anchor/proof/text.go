package proof

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxTextReadings is how many readings the text shows; the JSON has them all.
const maxTextReadings = 2

// Text returns the verdict for people, about one screen. Its first line is the
// answer: VERIFIED, REFUSED or COULD NOT CHECK.
func (v *Verdict) Text() string {
	var b strings.Builder
	line(&b, "%s", v.headline())
	if v.Next != "" && v.Level < LevelAnchored {
		line(&b, "  next: %s", v.Next)
	}
	for i := range v.Readings {
		if i == maxTextReadings {
			b.WriteByte('\n')
			line(&b, "… and %s more, see --json", count(len(v.Readings)-i, "reading"))
			break
		}
		v.Readings[i].text(&b)
	}
	if v.Level > LevelNone {
		b.WriteByte('\n')
		v.boundsText(&b)
	}
	b.WriteString("\nchecked\n")
	for _, c := range v.Checks {
		mark := "ok   "
		if !c.OK {
			mark = "FALSE"
		}
		line(&b, "  %s  %2d %-11s %s", mark, c.Step, c.Name, c.Detail)
	}
	b.WriteString("\nNOT CHECKED\n")
	for _, n := range v.NotChecked {
		line(&b, "  - %s", n)
	}
	return b.String()
}

// line writes one line. Much of what it says comes from outside, even where it
// is an error's text: nothing of it may end the line or steer a terminal.
func line(b *strings.Builder, format string, args ...any) {
	s := fmt.Sprintf(format, args...)
	if !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return !strconv.IsPrint(r) }) {
		s = strconv.Quote(s)
		s = s[1 : len(s)-1]
	}
	b.WriteString(s)
	b.WriteByte('\n')
}

// word quotes a name or unit that could be taken for more than one word.
func word(s string) string {
	if strings.ContainsAny(s, " \"") {
		return strconv.Quote(s)
	}
	return s
}

func (v *Verdict) headline() string {
	what := count(len(v.Readings), "reading")
	note := ""
	if !v.Identity {
		note = " (IDENTITY NOT CHECKED)"
	}
	switch {
	case v.Outcome == Verified && v.Code == "":
		return fmt.Sprintf("VERIFIED %v: %s%s", v.Level, what, note)
	case v.Outcome == Verified:
		return fmt.Sprintf("VERIFIED %v: %s%s; not more: %s [%s]", v.Level, what, note, v.Reason, v.Code)
	case v.Outcome == Unchecked:
		return fmt.Sprintf("COULD NOT CHECK: %s [%s]", v.Reason, v.Code)
	case v.Level == LevelNone:
		return fmt.Sprintf("REFUSED: %s [%s]", v.Reason, v.Code)
	}
	return fmt.Sprintf("REFUSED: %v is less than %v%s: %s [%s]", v.Level, v.Required, note, v.Reason, v.Code)
}

func (r *ReadingVerdict) text(b *strings.Builder) {
	name := fmt.Sprintf("reading %d of stream %d", r.Sequence, r.Stream)
	if r.BoundAs != "" {
		name += fmt.Sprintf(", bound as %q", r.BoundAs)
	}
	shown := "all fields"
	if !r.Whole {
		shown = "chosen fields"
	}
	b.WriteByte('\n')
	line(b, "%s (%s), %v", name, shown, r.Level)
	for _, f := range r.Fields {
		unit := ""
		if f.Unit != "" {
			unit = " " + word(f.Unit)
		}
		line(b, "  %-12s %s%s", word(f.Name), f.Value, unit)
	}
	line(b, "  %-12s %s to %s, batch %d", "window", r.From, r.To, r.Batch)
}

func (v *Verdict) boundsText(b *strings.Builder) {
	line(b, "ledger      %s", v.Ledger)
	line(b, "not before  %s", v.NotBefore.text())
	line(b, "not after   %s", v.NotAfter.text())
	for i, a := range v.Anchors {
		if i == maxTextReadings {
			line(b, "… and %s more, see --json", count(len(v.Anchors)-i, "anchor"))
			break
		}
		a.text(b, v.Identity)
	}
}

func (a *AnchorVerdict) text(b *strings.Builder, identity bool) {
	trust := "NOT TRUSTED"
	if a.Trusted {
		trust = a.How
	}
	if identity && !a.InPolicy {
		trust = "NOT IN THE POLICY"
	}
	line(b, "anchor      %s block %d %s, %s: %s", a.Route, a.Block, a.Hash, a.Time, trust)
	line(b, "            contract %s sender %s", a.Contract, a.Sender)
}

func (b *Bound) text() string {
	if b == nil {
		return "unknown"
	}
	s := fmt.Sprintf("%s (%s block %d)", b.Time, b.Route, b.Block)
	if !b.Confirmed {
		s += ", claimed by the ledger"
	}
	return s
}
