package proof

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"cairn/merkle/ledger"
)

// maxNotes is how many notes a verdict has of one installation.
const maxNotes = 100

// PlacedVerdict is where a device was, and what had been recorded of its installation,
// by statements that are shown. Of a reading they were there by the end of its window: a
// note of that same window may be younger than the reading. Of a range they were there
// by its end, and what may be younger than its first reading says so.
type PlacedVerdict struct {
	Place string   `json:"place,omitempty"`
	Thing string   `json:"thing,omitempty"` // what it is about: a fridge is not its sensor
	Notes []string `json:"notes,omitempty"` // calibrations and attached files, in words
	More  int      `json:"more,omitempty"`  // notes that are left out
}

// noted is what one statement says of a stream's installation.
type noted struct {
	index, batch uint64 // of the statement, and of the first batch that shows it
	slot         uint64
	at           int64
	place, thing string
	note         string // in words; "": it names the place

	what   string // the file that it names, in words
	digest *[32]byte
}

// installation is what all statements say of a stream's.
type installation struct {
	place *noted
	notes []noted // by their batches
	words []string

	made map[int]*PlacedVerdict // what by returned, by the number of notes
}

// notedOf reads what a statement says of an installation.
func notedOf(s *Statement, batch uint64) (n noted, ok bool) {
	st, err := ledger.ParseStatement(s.Item)
	if err != nil {
		return n, false
	}
	n = noted{index: s.Index, batch: batch, at: st.At}
	switch st.Kind {
	case ledger.KindPlace:
		p, _ := ledger.PlacedFrom(st)
		n.slot, n.place, n.thing = p.Slot, p.Place, p.Thing
	case ledger.KindCalibrate:
		k, _ := ledger.CalibrationFrom(st)
		by := fmt.Sprintf("by %s at %s", k.By, timeText(k.Calibrated))
		n.slot, n.note, n.digest = k.Slot, "calibrated "+by, k.Certificate
		if k.Offset != "" {
			n.note += fmt.Sprintf(", add %s to %s", k.Offset, k.Field)
		}
		if k.Certificate != nil {
			n.what = "certificate of the calibration " + by
			n.note += fmt.Sprintf(", certificate SHA-256 %x", *k.Certificate)
		}
	case ledger.KindAttach:
		a, _ := ledger.AttachmentFrom(st)
		n.slot, n.digest, n.what = a.Slot, &a.Digest, strings.TrimSuffix(a.What+" "+a.Name, " ")
		n.note = fmt.Sprintf("%s, SHA-256 %x", n.what, a.Digest)
	default:
		return n, false
	}
	return n, true
}

// installations puts together what the statements say of each stream's. A stream is at
// one place.
func (c *checker) installations() *fault {
	var all []noted
	seen := map[uint64]int{} // by number, the position in all
	for i := range c.f.Statements {
		s := &c.f.Statements[i]
		n, ok := notedOf(s, c.batches[s.Batch].header.Index)
		if !ok {
			continue
		}
		if at, was := seen[s.Index]; was {
			all[at].batch = min(all[at].batch, n.batch)
			continue
		}
		seen[s.Index] = len(all)
		all = append(all, n)
	}
	slices.SortFunc(all, func(a, b noted) int { return cmp.Or(cmp.Compare(a.batch, b.batch), cmp.Compare(a.index, b.index)) })
	c.installed = map[uint64]*installation{}
	for i := range all {
		n := &all[i]
		in := c.installed[n.slot]
		if in == nil {
			in = &installation{made: map[int]*PlacedVerdict{}}
			c.installed[n.slot] = in
		}
		switch {
		case n.note != "":
			in.notes, in.words = append(in.notes, *n), append(in.words, n.note)
		case in.place != nil:
			return faultf(CodeBinding, "stream %d is placed twice, by number %d and %d", n.slot, in.place.index, n.index)
		default:
			in.place = n
		}
	}
	return nil
}

// placed says of each reading that stands alone where its device was; ranges say it of
// theirs.
func (c *checker) placed() *fault {
	if bad := c.installations(); bad != nil {
		return bad
	}
	for i := range c.v.Readings {
		if r := &c.v.Readings[i]; r.Range == nil {
			r.Placed = c.installed[r.Stream].by(c.earliest(r))
		}
	}
	return nil
}

// by is what was there by a batch; nil if nothing was. What it returns is shared.
func (in *installation) by(batch uint64) *PlacedVerdict {
	if in == nil {
		return nil
	}
	n, _ := slices.BinarySearchFunc(in.notes, batch, func(n noted, batch uint64) int {
		if n.batch > batch {
			return 1
		}
		return -1
	})
	placed := in.place != nil && in.place.batch <= batch
	if n == 0 && !placed {
		return nil
	}
	key := 2 * n
	if placed {
		key++
	}
	if in.made[key] == nil {
		shown := min(n, maxNotes)
		p := PlacedVerdict{Notes: in.words[:shown:shown], More: n - shown}
		if placed {
			p.Place, p.Thing = in.place.place, in.place.thing
		}
		in.made[key] = &p
	}
	return in.made[key]
}

// placed says of a range where its device was.
func (t *tally) placed() {
	in := t.c.installed[t.s.slot]
	p := in.by(t.s.sums[len(t.s.sums)-1].index)
	if p == nil {
		return
	}
	v := *p
	v.Notes = nil
	if v.Place != "" || v.Thing != "" {
		if since := t.since(in.place.batch); since != "" {
			v.Notes = append(v.Notes, "the place"+since)
		}
	}
	for i, words := range p.Notes {
		v.Notes = append(v.Notes, words+t.since(in.notes[i].batch))
	}
	t.v.Placed = &v
}

// since says by which reading of the range something was recorded that a batch is the
// first to show; "" if by the first.
func (t *tally) since(batch uint64) string {
	seq, earliest := t.r.First, uint64(0)
	for k := range t.s.sums {
		sum := &t.s.sums[k]
		if k == 0 && t.s.border {
			earliest = sum.index + 1
			continue
		}
		// Those between two summaries, then those of the later one's window.
		if seq < sum.First && earliest >= batch {
			break
		}
		if seq = max(seq, sum.First); seq < sum.Next && sum.index >= batch {
			break
		}
		seq, earliest = sum.Next, sum.index+1
	}
	switch seq {
	case t.r.First:
		return ""
	case t.s.next:
		return ", perhaps recorded after the last reading"
	}
	return fmt.Sprintf(", recorded by reading %d at the latest", seq)
}

// text writes it for people: where first, if that is known.
func (p *PlacedVerdict) text(b *strings.Builder) {
	if p == nil {
		return
	}
	var all []string
	switch {
	case p.Place != "" && p.Thing != "":
		all = append(all, p.Place+", "+p.Thing)
	case p.Place != "" || p.Thing != "":
		all = append(all, p.Place+p.Thing)
	}
	for i, words := range append(all, p.Notes...) {
		if i == maxTextNotes {
			line(b, "  %-12s … and more, see --json", "")
			return
		}
		line(b, "  %-12s %s", "installed", words)
	}
}
