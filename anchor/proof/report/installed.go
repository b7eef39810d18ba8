package report

import (
	"fmt"
	"slices"

	"cairn/anchor/proof"
)

// maxInstalled is how many installations are listed.
const maxInstalled = 100

// installed is where the device of some readings was.
type installed struct {
	of     string
	placed *proof.PlacedVerdict // nil: not shown
}

// installations tells where each device was and what was recorded of its installation,
// and which files that were given the ledger names.
func (r *report) installations() {
	r.part("Where the devices were", "")
	all, known := r.installed(), false
	for i := range all {
		known = known || all[i].placed != nil
	}
	if known {
		r.put("<p>As the ledger had recorded it by the end of a reading’s window, and of a range by its end. It proves that the ledger said so then, not that it was so.</p>\n")
	} else {
		r.put("<p>The file does not show where they were.</p>\n")
		all = nil
	}
	for i := range all {
		if i == maxInstalled {
			r.put("<p><b>… and % more, in the machine form.</b></p>\n", count(len(all)-i, "place"))
			break
		}
		r.installation(&all[i])
	}
	for i := range r.v.Attached {
		r.attached(&r.v.Attached[i])
	}
}

// installed lists readings that stand alone, those of a stream together of whose device
// the same is known, and then ranges.
func (r *report) installed() (all []installed) {
	type group struct {
		first       *proof.ReadingVerdict
		n           int
		least, most uint64
	}
	var groups []*group
	newest := map[uint64]*group{} // by stream
	for i := range r.v.Readings {
		v := &r.v.Readings[i]
		if v.Range != nil {
			continue
		}
		g := newest[v.Stream]
		if g == nil || g.first.BoundAs != v.BoundAs || !samePlace(g.first.Placed, v.Placed) {
			g = &group{first: v, least: v.Sequence, most: v.Sequence}
			newest[v.Stream], groups = g, append(groups, g)
		}
		g.n, g.least, g.most = g.n+1, min(g.least, v.Sequence), max(g.most, v.Sequence)
	}
	for _, g := range groups {
		of := fmt.Sprintf("Reading %d of %s", g.least, r.c.sources[g.first.Stream])
		if g.n > 1 {
			of = fmt.Sprintf("%s of %s, of numbers %d to %d", count(g.n, "reading"), r.c.sources[g.first.Stream], g.least, g.most)
		}
		if g.first.BoundAs != "" {
			of += ", bound as “" + visible(g.first.BoundAs, maxForeign) + "”"
		}
		all = append(all, installed{of, g.first.Placed})
	}
	for i := range r.v.Ranges {
		all = append(all, installed{fmt.Sprintf("Range %d: %s", i+1, r.name(i)), r.v.Ranges[i].Placed})
	}
	return all
}

func samePlace(a, b *proof.PlacedVerdict) bool {
	if a == nil || b == nil || a == b {
		return a == b
	}
	return a.Place == b.Place && a.Thing == b.Thing && a.More == b.More && slices.Equal(a.Notes, b.Notes)
}

func (r *report) installation(x *installed) {
	r.put("<h3>%</h3>\n", x.of)
	if x.placed == nil {
		r.put("<p>The file does not show where it was.</p>\n")
		return
	}
	r.put(`<table class="facts"><tbody>` + "\n")
	if x.placed.Place != "" {
		r.fact("Place", x.placed.Place, "")
	}
	if x.placed.Thing != "" {
		r.fact("About", x.placed.Thing, "")
	}
	for _, words := range x.placed.Notes {
		r.fact("Recorded of it", words, "")
	}
	if x.placed.More > 0 {
		r.fact("Recorded of it", "… and "+count(x.placed.More, "note")+" more", "")
	}
	r.put("</tbody></table>\n")
}

// attached tells what the ledger says of a file that was given.
func (r *report) attached(a *proof.AttachedVerdict) {
	r.put(`<h3>The file %, which was given to be held against it</h3><table class="facts"><tbody>`+"\n", foreign(a.File))
	r.fact("SHA-256", inGroups(a.SHA256), "hash")
	if len(a.Names) == 0 {
		r.put(`<tr><th scope="row">Named</th><td><span class="mark">✗ NO:</span> <b>no statement of the proof names it.</b></td></tr>` + "\n")
	}
	for i := range a.Names {
		what, when := a.Names[i].Words()
		r.put(`<tr><th scope="row">Named</th><td><span class="mark">✓</span> It is %.<br><span class="small">%</span></td></tr>`+"\n", what, when)
	}
	if a.More > 0 {
		r.fact("Named", "… and by "+count(a.More, "statement")+" more", "")
	}
	r.put("</tbody></table>\n")
}
