package report

import (
	"fmt"
	"slices"
	"strings"

	"cairn/anchor/proof"
	"cairn/ingest/reading"
)

// Longest lists on the page. The JSON form of a verdict has all.
const (
	maxPlots      = 24
	maxExcursions = 1000
	maxAtEnds     = 24 // readings listed at the beginning and at the end
)

// readings draws and lists them.
func (r *report) readings() {
	r.part("The readings", "page")
	if len(r.c.rows) == 0 {
		r.put("<p>The file shows none.</p>\n")
		return
	}
	r.put("<p>Times are when the gateway received a reading, by its own clock. Whether that clock was right is told under the times.</p>\n")
	drawn, alone := 0, 0
	for _, s := range r.c.series {
		if len(s.points) == 0 {
			continue
		}
		if len(s.points) == 1 && !r.limited(s) {
			alone++
			continue
		}
		if drawn++; drawn > maxPlots {
			r.put("<p>More series are not drawn here; the table lists them.</p>\n")
			break
		}
		r.figure(s)
	}
	if alone > 0 {
		r.put("<p>% with one value each: in the table alone.</p>\n", count(alone, "measurement"))
	}
	r.limits()
	r.table()
}

// limited reports whether a limit is set for a series.
func (r *report) limited(s *series) bool {
	return slices.ContainsFunc(r.o.Limits, func(l Limit) bool { return l.of(s.name, s.unit) })
}

// figure draws one series, and says how to read it.
func (r *report) figure(s *series) {
	d := &plot{s: s, out: r.out[s], gaps: r.gapsOf(s)}
	d.from, d.to, d.marks = r.span(s)
	for i := range r.o.Limits {
		if r.o.Limits[i].of(s.name, s.unit) {
			d.limits = append(d.limits, &r.o.Limits[i])
		}
	}
	r.put(`<figure><figcaption>%`, foreign(s.name))
	if s.unit != "" {
		r.put(` in %`, foreign(s.unit))
	}
	r.put(`, %: %</figcaption>`+"\n", s.source, count(len(s.points), "value"))
	r.draw(d)
	r.put("</figure>\n<p class=\"note\">")
	r.legend(d)
	r.put("</p>\n")
}

// span returns the time that a drawing of s covers, and its bounds with names.
func (r *report) span(s *series) (from, to int64, marks []mark) {
	first, last := s.points[0], s.points[len(s.points)-1]
	from, to = first.t, last.t
	claims := r.c.claims[s.source]
	for _, i := range claims {
		v := &r.v.Ranges[i]
		a, b := millis(v.From), millis(v.To)
		from, to = min(from, a), max(to, b)
		if len(claims) == 1 {
			marks = append(marks, mark{a, "claimed from here"}, mark{b, "to here"})
		} else {
			marks = append(marks, mark{a, fmt.Sprintf("range %d", i+1)}, mark{b, ""})
		}
	}
	if len(claims) == 0 {
		if a, b := &r.c.rows[first.row], &r.c.rows[last.row]; a.from >= 0 && b.to >= 0 {
			from, to = min(from, a.from), max(to, b.to)
			marks = []mark{{from, "window begins"}, {to, "window ends"}}
		}
	}
	room := max((to-from)/25, 1000)
	return from - room, to + room, marks
}

// legend says what a drawing shows beside its values.
func (r *report) legend(d *plot) {
	s := d.s
	joined := false
	for _, p := range s.points {
		joined = joined || p.joins
	}
	switch {
	case len(s.points) > columns:
		r.put("% are drawn as the least and the greatest value in each of % columns, so that no extreme is lost. ", count(len(s.points), "value"), columns)
	case !joined && len(s.points) > 1:
		r.put("Values are not joined by lines: nothing here shows that there were no others between them. ")
	}
	if joined {
		r.put("A line joins two readings only where the file shows that none lies between them. ")
	}
	if len(d.gaps) > 0 {
		r.put("Hatched: gaps, numbered as under “Completeness”. ")
	}
	if len(d.limits) > 0 {
		r.put("Dashed lines: limits that whoever made this report set; they are no part of the file. ")
	}
	if len(d.out) > 0 {
		r.put("Dotted areas with ▲ or ▼: readings outside of a limit, numbered as in the table of excursions. ")
	}
	if s.inexact > 0 {
		r.put("Of % the time of arrival is not shown: drawn in the middle of the window. ", count(s.inexact, "value"))
	}
	if s.unplaced > 0 {
		r.put("Of % no time is known: not drawn. ", count(s.unplaced, "value"))
	}
	if s.others > 0 {
		r.put("% are no numbers: not drawn. ", count(s.others, "value"))
	}
}

// limits tells of each limit how it was kept.
func (r *report) limits() {
	if len(r.o.Limits) == 0 {
		return
	}
	r.put("<h3>Limits</h3>\n<p>Whoever made this report set them; they are no part of the file and prove nothing.</p>\n<ul>\n")
	for i := range r.o.Limits {
		l := &r.o.Limits[i]
		r.put("<li>%: %. ", foreign(l.Name), l.text())
		if !r.compared[i] {
			r.put("<b>No measurement of this name is shown: nothing was compared.</b></li>\n")
			continue
		}
		n, values, all := 0, 0, 0
		for _, s := range r.c.series {
			if !l.of(s.name, s.unit) {
				continue
			}
			all += len(s.points)
			for j := range r.out[s] {
				if e := &r.out[s][j]; e.limit == l {
					n, values = n+1, values+e.n
				}
			}
		}
		switch n {
		case 0:
			r.put("All % shown lie within.</li>\n", count(all, "value"))
		default:
			r.put("<b>% of % outside</b>, in %.</li>\n", values, count(all, "value"), count(n, "excursion"))
		}
	}
	r.put("</ul>\n")
	r.excursions()
}

func (r *report) excursions() {
	listed := 0
	for _, s := range r.c.series {
		if len(r.out[s]) == 0 || listed >= maxExcursions {
			continue
		}
		r.put(`<h3>Excursions of %, %</h3>`+"\n", foreign(s.name), s.source)
		r.put(`<div class="scroll"><table><thead><tr><th>No.</th><th>Side</th><th>First received</th><th>Last received</th><th class="n">Readings</th><th class="n">Furthest</th><th>At</th></tr></thead><tbody>` + "\n")
		for i := range r.out[s] {
			if listed++; listed > maxExcursions {
				break
			}
			e := &r.out[s][i]
			side, end := markup("above"), e.limit.Max
			if e.side < 0 {
				side, end = "below", e.limit.Min
			}
			r.put(`<tr><td class="k">%</td><td class="k">% %</td><td class="k">%</td><td class="k">%</td><td class="n">%</td><td class="n">% %</td><td class="k">%</td></tr>`+"\n",
				e.number(i), side, end.String(), brief(e.from), brief(e.till), e.n, e.worst.value.String(), foreign(s.unit), brief(e.worst.t))
		}
		r.put("</tbody></table></div>\n")
	}
	if listed > maxExcursions {
		r.put("<p><b>There are more excursions than the % listed here.</b></p>\n", maxExcursions)
	}
}

// table lists readings: all, or of many those at both ends.
func (r *report) table() {
	n := len(r.c.rows)
	r.put("<h3>Table of readings</h3>\n")
	if n > 2*maxAtEnds {
		r.put("<p>The first and the last % of %. The machine form of this verdict (<code>--json</code>) has all.</p>\n", maxAtEnds, count(n, "reading"))
	}
	r.put(`<div class="scroll"><table><thead><tr><th>Stream</th><th class="n">Number</th><th>Received (UTC)</th><th>Values</th><th>Fields</th><th>Proven</th></tr></thead><tbody>` + "\n")
	for i := range r.c.rows {
		if n > 2*maxAtEnds && i == maxAtEnds {
			r.put(`<tr><td colspan="6">… % not listed …</td></tr>`+"\n", count(n-2*maxAtEnds, "reading"))
		}
		if n <= 2*maxAtEnds || i < maxAtEnds || i >= n-maxAtEnds {
			r.row(&r.c.rows[i])
		}
	}
	r.put("</tbody></table></div>\n")
}

func (r *report) row(w *row) {
	narrow := markup("")
	at := "in the window from " + brief(w.from) + " to " + brief(w.to)
	if w.received >= 0 {
		at, narrow = brief(w.received), "k"
	} else if w.to < 0 {
		at = "not shown"
	}
	shown := markup("chosen")
	if w.whole {
		shown = "all"
	}
	mark := markup("")
	if w.out {
		mark = "<b>outside of a limit:</b> "
	}
	r.put(`<tr><td>%</td><td class="n">%</td><td class="%">%</td><td class="v">%`, w.slot, w.seq, narrow, at, mark)
	r.fields(w.fields)
	r.put(`</td><td class="k">%</td><td class="k">%</td></tr>`+"\n", shown, w.level)
}

// fields writes what is shown of one reading, its place in the table left out.
func (r *report) fields(fields []proof.Field) {
	var shown reading.Reading
	var more []string
	for _, f := range fields {
		if f.Index == reading.IndexReading || shown.SetItem(f.Index, f.Item) != nil {
			continue
		}
		switch f.Index {
		case reading.IndexMeasured:
			if shown.HasMeasured {
				more = append(more, "measured "+brief(shown.Measured)+" by the device")
			}
		case reading.IndexReceived:
			if shown.Clock != reading.Synced {
				more = append(more, "gateway’s clock "+shown.Clock.String())
			}
		case reading.IndexOrigin:
			word := shown.Origin.Transport + ", " + shown.Origin.Verdict.String()
			if shown.Origin.HasCounter {
				word += fmt.Sprintf(", device’s counter %d", shown.Origin.Counter)
			}
			more = append(more, word)
		}
	}
	between := markup("")
	for _, m := range shown.Measurements {
		if m.Name == "" {
			continue
		}
		value := m.Value.String()
		switch m.Value.Kind {
		case reading.KindText:
			value = "“" + value + "”"
		case reading.KindBytes:
			value = "0x" + value
		}
		r.put(`%% <b>%</b>`, between, foreign(m.Name), foreign(value))
		if m.Unit != "" {
			r.put(` %`, foreign(m.Unit))
		}
		between = "; "
	}
	if len(more) > 0 {
		r.put(`% <span class="small">%</span>`, between, strings.Join(more, "; "))
	}
}
