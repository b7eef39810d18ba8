package proof

import (
	"fmt"
	"math/big"
	"strconv"
	"strings"
	"unicode/utf8"

	"cairn/merkle/ledger"
)

// maxTextReadings is how many readings the text shows; the JSON has them all.
const maxTextReadings = 2

// maxTextNotes is how many lines it has on an installation.
const maxTextNotes = 6

// maxTextRoutes is how many of the policy's routes it shows.
const maxTextRoutes = 8

// maxTextScript is how many digits of a script it shows: all of one that a
// policy can name.
const maxTextScript = 2 * ledger.MaxScript

// Text returns the verdict for people, about one screen. Its first line is the
// answer: VERIFIED, REFUSED or COULD NOT CHECK.
func (v *Verdict) Text() string {
	var b strings.Builder
	line(&b, "%s", v.headline())
	if v.Next != "" && (v.Level < LevelAnchored || v.Outcome != Verified) {
		line(&b, "  next: %s", v.Next)
	}
	v.rangesText(&b)
	v.readingsText(&b)
	v.attachedText(&b)
	v.alertsText(&b)
	switch {
	case v.Level > LevelNone:
		b.WriteByte('\n')
		v.boundsText(&b)
	case v.Code == CodeUpdate:
		b.WriteByte('\n')
		line(&b, "ledger      %s", v.Ledger)
		v.anchorsText(&b)
		v.witnessesText(&b)
	}
	checksText(&b, v.Checks, v.NotChecked)
	return b.String()
}

// checksText ends every verdict: what was checked, and what was not.
func checksText(b *strings.Builder, checks []Check, notChecked []string) {
	b.WriteString("\nchecked\n")
	for _, c := range checks {
		mark := "ok   "
		if !c.OK {
			mark = "FALSE"
		}
		line(b, "  %s  %2d %-11s %s", mark, c.Step, c.Name, c.Detail)
	}
	b.WriteString("\nNOT CHECKED\n")
	for _, n := range notChecked {
		line(b, "  - %s", n)
	}
}

// readingsText shows some readings: of ranges only where there are few, for their
// range has been told of.
func (v *Verdict) readingsText(b *strings.Builder) {
	n := len(v.Readings)
	if n > maxTextReadings {
		n = 0 // those of ranges come after all others
		for n < len(v.Readings) && v.Readings[n].Range == nil {
			n++
		}
	}
	for i := range n {
		if i == maxTextReadings {
			b.WriteByte('\n')
			line(b, "… and %s more, see --json", count(n-i, "reading"))
			return
		}
		v.Readings[i].text(b)
	}
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
	what := count(len(v.Readings), "reading") + v.completeText()
	if n := len(v.Alerts); n > 0 && len(v.Readings)+len(v.Ranges) == 0 {
		what = count(n, "alert")
	} else if n > 0 {
		what += ", " + count(n, "alert")
	}
	note := ""
	if !v.Identity {
		note = " (IDENTITY NOT CHECKED)"
	}
	if v.CheapWork != "" && v.Level >= LevelLate {
		note += fmt.Sprintf(" (BY %s, WHOSE WORK IS WORTH NOTHING)", v.CheapWork)
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
	case v.Code == CodeNotNamed:
		return fmt.Sprintf("REFUSED: %s, though the proof is %v%s [%s]", v.Reason, v.Level, note, v.Code)
	case v.Level >= v.Required:
		return fmt.Sprintf("REFUSED: not complete, though %v%s: %s [%s]", v.Level, note, v.Reason, v.Code)
	}
	return fmt.Sprintf("REFUSED: %v is less than %v%s: %s [%s]", v.Level, v.Required, note, v.Reason, v.Code)
}

func (r *ReadingVerdict) text(b *strings.Builder) {
	name := fmt.Sprintf("reading %d of stream %d", r.Sequence, r.Stream)
	if r.BoundAs != "" {
		name += fmt.Sprintf(", bound as %q", r.BoundAs)
	}
	if r.Late {
		name += ", came late"
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
	r.Placed.text(b)
}

func (v *Verdict) boundsText(b *strings.Builder) {
	line(b, "ledger      %s", v.Ledger)
	line(b, "not before  %s", v.NotBefore.text())
	line(b, "not after   %s", v.NotAfter.text())
	for _, at := range v.Clock {
		line(b, "clock       the gateway's was %s", at.text())
	}
	if len(v.Routes) > 1 {
		v.routesText(b)
	}
	v.anchorsText(b)
	v.witnessesText(b)
	for i, s := range v.Succession {
		if i == maxTextReadings {
			line(b, "… and %s more, see --json", count(len(v.Succession)-i, "successor"))
			break
		}
		followed := "followed"
		if !s.Followed {
			followed = "NOT FOLLOWED: " + s.Why
		}
		line(b, "successor   statement %d names %s; %s", s.Statement, s.What, followed)
	}
}

// anchorsText shows some anchors, those first that are trusted: a file may hold
// others before them.
func (v *Verdict) anchorsText(b *strings.Builder) {
	told := 0
	for _, trusted := range []bool{true, false} {
		for i := range v.Anchors {
			if v.Anchors[i].Trusted != trusted {
				continue
			}
			if told == maxTextReadings {
				line(b, "… and %s more, see --json", count(len(v.Anchors)-told, "anchor"))
				return
			}
			v.Anchors[i].text(b, v.Identity)
			told++
		}
	}
}

func (v *Verdict) routesText(b *strings.Builder) {
	quorum := v.Quorum
	if quorum == "" {
		quorum = "any"
	}
	var words []string
	for i, r := range v.Routes {
		if i == maxTextRoutes {
			words = append(words, fmt.Sprintf("%d more", len(v.Routes)-i))
			break
		}
		words = append(words, fmt.Sprintf("%s %v", placeName(r.Name, r.Chain), r.Level))
	}
	line(b, "routes      %s; quorum %s", strings.Join(words, ", "), quorum)
}

func (a *AnchorVerdict) text(b *strings.Builder, identity bool) {
	trust := "NOT TRUSTED"
	if a.Trusted {
		trust = a.How
	}
	if identity && !a.InPolicy {
		trust = "NOT IN THE POLICY"
	}
	route := a.Route
	if a.Network != "" && a.TxID == "" {
		route += " in " + bitcoinRoute(a.Network)
	}
	switch {
	case a.Merkle == "" && a.Hash == "" && len(a.Pending) == 0:
		line(b, "anchor      %s: neither a block nor a promise of one", route)
	case a.Hash == "" && a.Merkle == "":
		line(b, "anchor      %s: no block yet", route)
	case a.Hash == "":
		line(b, "anchor      %s block %d with merkle root %s: %s", route, a.Block, a.Merkle, trust)
	default:
		line(b, "anchor      %s block %d %s, %s: %s", route, a.Block, a.Hash, a.Time, trust)
	}
	if a.Contract != "" {
		line(b, "            contract %s sender %s", a.Contract, a.Sender)
	}
	if a.TxID != "" {
		script := a.Script
		if len(script) > maxTextScript {
			script = script[:maxTextScript] + "…"
		}
		line(b, "            transaction %s to script %s", a.TxID, script)
	}
	if a.Depth != 0 {
		line(b, "            the receipt itself shows %s in a row, work %s", count(a.Depth, "block"), a.workText())
	}
	if len(a.Pending) != 0 {
		line(b, "            promised by %s, whose word proves nothing", strings.Join(a.Pending, ", "))
	}
}

func (a *AnchorVerdict) workText() string {
	w, _ := new(big.Int).SetString(a.Work, 10)
	if a.Network == BitcoinMainnet {
		return workText(w)
	}
	return workText(w) + ", worth nothing on this network"
}

func (b *Bound) text() string {
	if b == nil {
		return "unknown"
	}
	s := fmt.Sprintf("%s (%s block %d)", b.Time, b.Route, b.Block)
	if b.Slack != "" {
		s = fmt.Sprintf("%s (%s block %d, whose time may be %s off)", b.Time, b.Route, b.Block, b.Slack)
	}
	if !b.Confirmed {
		s += ", claimed by the ledger"
	}
	return s
}
