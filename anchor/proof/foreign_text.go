package proof

import (
	"fmt"
	"strings"
)

// maxTextAttestations is how many attestations the text shows; the JSON has
// them all.
const maxTextAttestations = 8

// Text returns the verdict for people. Its first line is the answer: VERIFIED,
// REFUSED or COULD NOT CHECK.
func (v *ForeignVerdict) Text() string {
	var b strings.Builder
	line(&b, "%s", v.headline())
	if v.Next != "" && v.Level < LevelAnchored {
		line(&b, "  next: %s", v.Next)
	}
	if v.Digest != "" {
		b.WriteByte('\n')
		line(&b, "digest      %s %s", v.Hash, v.Digest)
	}
	if v.Data != nil {
		line(&b, "data        %s, %s", v.Data.Name, count(int(v.Data.Size), "byte"))
	}
	if v.Level > LevelNone {
		line(&b, "not after   %s", v.NotAfter.text())
	}
	v.attestationsText(&b)
	checksText(&b, v.Checks, v.NotChecked)
	return b.String()
}

func (v *ForeignVerdict) headline() string {
	note := ""
	if v.Data == nil {
		note = " (DATA NOT CHECKED)"
	}
	if v.CheapWork != "" {
		note += fmt.Sprintf(" (BY %s, WHOSE WORK IS WORTH NOTHING)", v.CheapWork)
	}
	switch {
	case v.Outcome == Verified && v.Code == "":
		return fmt.Sprintf("VERIFIED %v: what is stamped%s", v.Level, note)
	case v.Outcome == Verified:
		return fmt.Sprintf("VERIFIED %v: what is stamped%s; not more: %s [%s]", v.Level, note, v.Reason, v.Code)
	case v.Outcome == Unchecked:
		return fmt.Sprintf("COULD NOT CHECK: %s [%s]", v.Reason, v.Code)
	case v.Level == LevelNone:
		return fmt.Sprintf("REFUSED: %s [%s]", v.Reason, v.Code)
	}
	return fmt.Sprintf("REFUSED: %v is less than %v%s: %s [%s]", v.Level, v.Required, note, v.Reason, v.Code)
}

// attestationsText shows those first that are trusted.
func (v *ForeignVerdict) attestationsText(b *strings.Builder) {
	told := 0
	for _, trusted := range []bool{true, false} {
		for i := range v.Attestations {
			a := &v.Attestations[i]
			if a.Trusted != trusted {
				continue
			}
			if told == maxTextAttestations {
				line(b, "… and %s more, see --json", count(len(v.Attestations)-told, "attestation"))
				return
			}
			line(b, "attested    %s", a.text())
			told++
		}
	}
}

func (a *AttestationVerdict) text() string {
	s := a.Says
	if a.Network != "" {
		s = fmt.Sprintf("%s block %d", bitcoinRoute(a.Network), a.Block)
	}
	if a.Hash != "" {
		s += fmt.Sprintf(" %s, %s", a.Hash, a.Time)
	}
	switch {
	case a.Trusted:
		return s + ": " + a.How
	case a.False:
		return s + ": FALSE: " + a.How
	case a.Kind == "bitcoin":
		return s + ": NOT TRUSTED: " + a.How
	case a.Kind == "pending":
		return s + ": a promise"
	}
	return s + ": NOT CHECKED"
}

func joined(words []string) string { return strings.Join(words, ", ") }
