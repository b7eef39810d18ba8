package proof

import (
	"fmt"
	"strings"
)

// maxTextReadings is how many readings the text shows; the JSON has them all.
const maxTextReadings = 2

// Text returns the verdict for people, about one screen. Its first line is the
// answer: VERIFIED, REFUSED or COULD NOT CHECK.
func (v *Verdict) Text() string {
	var b strings.Builder
	b.WriteString(v.headline())
	b.WriteByte('\n')
	if v.Next != "" && v.Level < LevelAnchored {
		fmt.Fprintf(&b, "  next: %s\n", v.Next)
	}
	for i := range v.Readings {
		if i == maxTextReadings {
			fmt.Fprintf(&b, "\n… and %s more, see --json\n", count(len(v.Readings)-i, "reading"))
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
		fmt.Fprintf(&b, "  %s  %2d %-11s %s\n", mark, c.Step, c.Name, c.Detail)
	}
	b.WriteString("\nNOT CHECKED\n")
	for _, n := range v.NotChecked {
		fmt.Fprintf(&b, "  - %s\n", n)
	}
	return b.String()
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
	fmt.Fprintf(b, "\n%s (%s), %v\n", name, shown, r.Level)
	for _, f := range r.Fields {
		fmt.Fprintf(b, "  %-12s %s", f.Name, f.Value)
		if f.Unit != "" {
			fmt.Fprintf(b, " %s", f.Unit)
		}
		b.WriteByte('\n')
	}
	fmt.Fprintf(b, "  %-12s %s to %s, batch %d\n", "window", r.From, r.To, r.Batch)
}

func (v *Verdict) boundsText(b *strings.Builder) {
	fmt.Fprintf(b, "ledger      %s\n", v.Ledger)
	fmt.Fprintf(b, "not before  %s\n", v.NotBefore.text())
	fmt.Fprintf(b, "not after   %s\n", v.NotAfter.text())
	for i, a := range v.Anchors {
		if i == maxTextReadings {
			fmt.Fprintf(b, "… and %s more, see --json\n", count(len(v.Anchors)-i, "anchor"))
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
	fmt.Fprintf(b, "anchor      %s block %d %s, %s: %s\n", a.Route, a.Block, a.Hash, a.Time, trust)
	fmt.Fprintf(b, "            contract %s sender %s\n", a.Contract, a.Sender)
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
