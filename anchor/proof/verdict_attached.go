package proof

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// MaxAttached is the longest file that is attached to an installation, in bytes.
const MaxAttached = 1 << 30

// maxNames is how many statements a verdict has that name one file.
const maxNames = 100

// maxTextNames is how many of them the text shows.
const maxTextNames = 6

// GivenFile is a photo, a certificate or another document that is held against what the
// statements shown record of installations.
type GivenFile struct {
	Name   string // for people
	Digest [32]byte
}

// AttachedVerdict is what the statements shown say of a file that was given.
type AttachedVerdict struct {
	File   string      `json:"file"` // its name, as it was given
	SHA256 string      `json:"sha256"`
	Names  []NamedFile `json:"namedBy"`        // by number; none: no statement shown names it
	More   int         `json:"more,omitempty"` // statements that are left out
}

// NamedFile is a statement that names the SHA-256 of a file.
type NamedFile struct {
	Level     Level  `json:"level"`
	Statement uint64 `json:"statement"` // number
	At        string `json:"at"`        // by the gateway's clock
	What      string `json:"what"`      // the file, in the statement's words
	Stream    uint64 `json:"stream"`    // of the device whose installation it is of
	BoundAs   string `json:"boundAs,omitempty"`
	Place     string `json:"place,omitempty"`
	Thing     string `json:"thing,omitempty"`
	Readings  int    `json:"readings"` // of that stream that are shown
	KnownFor  int    `json:"knownFor"` // those of them by the end of whose window it was recorded
}

// attached looks for each file that was given among what the statements shown name;
// c.v.Statements has their levels.
func (c *checker) attached() {
	if len(c.o.Attached) == 0 {
		return
	}
	levels := map[uint64]Level{}
	for i := range c.v.Statements {
		s := &c.v.Statements[i]
		levels[s.Index] = max(levels[s.Index], s.Level)
	}
	for _, file := range c.o.Attached {
		v := AttachedVerdict{File: file.Name, SHA256: fmt.Sprintf("%x", file.Digest), Names: []NamedFile{}}
		var found []*noted
		for _, in := range c.installed {
			for i := range in.notes {
				if n := &in.notes[i]; n.digest != nil && *n.digest == file.Digest {
					found = append(found, n)
				}
			}
		}
		slices.SortFunc(found, func(a, b *noted) int { return cmp.Compare(a.index, b.index) })
		for i, n := range found {
			if i == maxNames {
				v.More = len(found) - i
				break
			}
			v.Names = append(v.Names, c.namedFile(n, levels[n.index]))
		}
		c.v.Attached = append(c.v.Attached, v)
	}
}

func (c *checker) namedFile(n *noted, level Level) NamedFile {
	x := NamedFile{Level: level, Statement: n.index, At: timeText(n.at), What: n.what, Stream: n.slot, BoundAs: c.bound[n.slot].name}
	if p := c.installed[n.slot].place; p != nil {
		x.Place, x.Thing = p.place, p.thing
	}
	for i := range c.v.Readings {
		r := &c.v.Readings[i]
		if r.Stream != n.slot {
			continue
		}
		x.Readings++
		if c.earliest(r) >= n.batch {
			x.KnownFor++
		}
	}
	return x
}

// judgeAttached refuses a file that no statement shown names, whatever else holds.
func (c *checker) judgeAttached() {
	v, unnamed := &c.v, 0
	var first *AttachedVerdict
	for i := range v.Attached {
		if len(v.Attached[i].Names) != 0 {
			continue
		}
		if unnamed++; first == nil {
			first = &v.Attached[i]
		}
	}
	if first == nil || v.Outcome == Refused {
		return
	}
	v.Outcome, v.Code = Refused, CodeNotNamed
	v.Reason = fmt.Sprintf("no statement of the proof names the file %s, SHA-256 %s", first.File, first.SHA256)
	if unnamed > 1 {
		v.Reason += fmt.Sprintf(", nor %s more", count(unnamed-1, "file"))
	}
	v.Next = "give the very file that was attached: one that was scaled, converted or saved again has another SHA-256; or ask for a proof of a reading after it was attached"
}

func (v *Verdict) attachedText(b *strings.Builder) {
	for i := range v.Attached {
		v.Attached[i].text(b)
	}
}

func (a *AttachedVerdict) text(b *strings.Builder) {
	b.WriteByte('\n')
	line(b, "file %s, SHA-256 %s", a.File, a.SHA256)
	if len(a.Names) == 0 {
		line(b, "  NOT NAMED by any statement of the proof")
	}
	for i := range a.Names {
		if i == maxTextNames {
			line(b, "  … and %s more, see --json", count(len(a.Names)+a.More-i, "statement"))
			return
		}
		what, when := a.Names[i].Words()
		line(b, "  is %s", what)
		line(b, "  %s", when)
	}
}

// Words says which file it is, and by the time of which readings it was recorded.
func (x *NamedFile) Words() (what, when string) {
	what = fmt.Sprintf("the %s attached to stream %d", x.What, x.Stream)
	if x.BoundAs != "" {
		what += fmt.Sprintf(", bound as %q", x.BoundAs)
	}
	for _, where := range []string{x.Place, x.Thing} {
		if where != "" {
			what += ", " + where
		}
	}
	what += fmt.Sprintf(": statement %d of %s, %v", x.Statement, x.At, x.Level)
	readings := count(x.Readings, "reading") + " of that stream shown here"
	switch {
	case x.Readings == 0:
		return what, "no reading of that stream is shown"
	case x.KnownFor == 0:
		return what, "perhaps recorded after the " + readings
	case x.KnownFor < x.Readings:
		return what, fmt.Sprintf("known to be recorded by the time of %d of %s", x.KnownFor, readings)
	}
	return what, "recorded by the time of the " + readings
}
