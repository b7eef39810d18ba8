package report

import (
	"cmp"
	"slices"
	"strconv"

	"cairn/anchor/proof"
	"cairn/ingest/reading"
)

// row is one reading that the file shows.
type row struct {
	slot, seq uint64
	level     proof.Level
	fields    []proof.Field
	whole     bool
	claim     int   // position of the range that it belongs to, or -1
	received  int64 // Unix ms; -1: not shown
	from, to  int64 // of its window, if known; else both -1
	out       bool  // a value of it is outside of a limit
}

// at returns the time at which a reading is drawn, and whether it is its own.
func (r *row) at() (ms int64, exact bool) {
	switch {
	case r.received >= 0:
		return r.received, true
	case r.to >= 0:
		return r.from + (r.to-r.from)/2, false
	}
	return -1, false
}

// point is one value of a series.
type point struct {
	t     int64
	value reading.Value
	row   int
	joins bool // the reading before it in the series is the one before it in the stream
}

// series is what one device measured under one name and unit.
type series struct {
	source     string // the device, or the stream where that is not shown
	name, unit string
	points     []point // numbers, by time
	others     int     // values that are no numbers
	unplaced   int     // numbers of readings whose time is not known
	inexact    int     // numbers drawn in the middle of their window
}

// cut parts the points that have one of these gaps, ascending by their
// beginning, between them.
func (s *series) cut(gaps []gap) {
	k, reach := 0, int64(-1)
	for i := range s.points {
		p := &s.points[i]
		for ; k < len(gaps) && gaps[k].from < p.t; k++ {
			reach = max(reach, gaps[k].to)
		}
		if i > 0 && reach > s.points[i-1].t {
			p.joins = false
		}
	}
}

// content is what the file shows, put in order for drawing and listing.
type content struct {
	rows    []row
	series  []*series
	sources map[uint64]string // of streams
	claims  map[string][]int  // positions of the ranges of a source, by their beginning
	devices []string          // the sources that have ranges, each once
}

// gather reads what the file shows. The verdict has found all of it to be well
// formed; what were not is left out.
func gather(f *proof.File, v *proof.Verdict) *content {
	c := new(content)
	next := 0
	for i := range v.Readings {
		r := &v.Readings[i]
		if r.Range != nil || next >= len(f.Readings) {
			continue
		}
		c.rows = append(c.rows, row{
			slot: r.Stream, seq: r.Sequence, level: r.Level, fields: f.Readings[next].Fields, whole: r.Whole,
			claim: -1, received: -1, from: millis(r.From), to: millis(r.To),
		})
		next++
	}
	c.sources, c.claims = sources(v), make(map[string][]int)
	for i := range v.Ranges {
		s := c.sources[v.Ranges[i].Stream]
		if c.claims[s] == nil {
			c.devices = append(c.devices, s)
		}
		c.claims[s] = append(c.claims[s], i)
	}
	for _, all := range c.claims {
		slices.SortStableFunc(all, func(a, b int) int { return cmp.Compare(millis(v.Ranges[a].From), millis(v.Ranges[b].From)) })
	}
	for i := range min(len(f.Ranges), len(v.Ranges)) {
		c.claimed(&f.Ranges[i], &v.Ranges[i], i)
	}
	g := gatherer{c: c, known: make(map[key]*series)}
	for i := range c.rows {
		g.take(i)
	}
	for _, s := range c.series {
		slices.SortStableFunc(s.points, func(a, b point) int { return cmp.Compare(a.t, b.t) })
	}
	return c
}

// claimed adds the readings of a range. What is known of the windows in which
// they came is told by its parts.
func (c *content) claimed(r *proof.Range, v *proof.RangeVerdict, claim int) {
	c.rows = slices.Grow(c.rows, len(r.Readings))
	from, part := millis(v.FromWindow), 0
	for i := range r.Readings {
		n := &r.Readings[i]
		for ; part < len(v.Parts) && v.Parts[part].Next <= n.Seq; part++ {
			from = millis(v.Parts[part].WindowTo)
		}
		w := row{slot: v.Stream, seq: n.Seq, fields: n.Fields, claim: claim, received: -1, from: from, to: -1}
		if part < len(v.Parts) {
			w.level, w.to = v.Parts[part].Level, millis(v.Parts[part].WindowTo)
		}
		w.whole = len(n.Fields) > 0 && n.Fields[0].Index == reading.IndexReading
		c.rows = append(c.rows, w)
	}
}

type key struct{ source, name, unit string }

type gatherer struct {
	c     *content
	known map[key]*series
}

// take adds one reading's values to their series.
func (g *gatherer) take(i int) {
	r := &g.c.rows[i]
	var shown reading.Reading
	for _, f := range r.fields {
		if f.Index == reading.IndexReading || shown.SetItem(f.Index, f.Item) != nil {
			continue
		}
		if f.Index == reading.IndexReceived {
			r.received = shown.Received
		}
	}
	t, exact := r.at()
	for _, m := range shown.Measurements {
		if m.Name == "" {
			continue // a hidden one before one that is shown
		}
		k := key{g.c.sources[r.slot], m.Name, m.Unit}
		s := g.known[k]
		if s == nil {
			s = &series{source: k.source, name: m.Name, unit: m.Unit}
			g.known[k] = s
			g.c.series = append(g.c.series, s)
		}
		switch {
		case !m.Value.IsNumber():
			s.others++
		case t < 0:
			s.unplaced++
		default:
			if !exact {
				s.inexact++
			}
			s.points = append(s.points, point{t: t, value: m.Value, row: i, joins: g.joins(i)})
		}
	}
}

// joins reports whether nothing lies between a reading and the row before it:
// both are of one range, which has all numbers.
func (g *gatherer) joins(i int) bool {
	if i == 0 {
		return false
	}
	a, b := &g.c.rows[i-1], &g.c.rows[i]
	return b.claim >= 0 && a.claim == b.claim && a.seq+1 == b.seq
}

// sources names the streams of a verdict: by their device where a reading shows
// that, so that a device's bindings are drawn together.
func sources(v *proof.Verdict) map[uint64]string {
	names := make(map[uint64]string)
	name := func(slot uint64, device string) {
		switch {
		case device != "":
			names[slot] = "device " + visible(device, maxForeign)
		case names[slot] == "":
			names[slot] = "stream " + decimal(slot)
		}
	}
	for i := range v.Readings {
		name(v.Readings[i].Stream, v.Readings[i].Device)
	}
	for i := range v.Ranges {
		name(v.Ranges[i].Stream, v.Ranges[i].Device)
	}
	return names
}

// excursion is a row of readings that are all on one side of a limit.
type excursion struct {
	side       int // -1 below, 1 above
	limit      *Limit
	first      point
	last       point
	worst      point
	n          int
	from, till int64 // the first and last of them
}

// excursions finds all, by time. A reading within the limit ends one, and so
// does one that does not join the one before it.
func (s *series) excursions(l *Limit) (all []excursion) {
	side := 0
	for _, p := range s.points {
		at := l.side(p.value)
		if at == 0 {
			side = 0
			continue
		}
		if at != side || !p.joins {
			all = append(all, excursion{side: at, limit: l, first: p, worst: p, from: p.t})
		}
		side = at
		e := &all[len(all)-1]
		e.last, e.till, e.n = p, p.t, e.n+1
		if p.value.Cmp(e.worst.value) == at {
			e.worst = p
		}
	}
	return all
}

// number names an excursion in drawings and tables by its place in the list.
func (e *excursion) number(i int) string {
	if e.side < 0 {
		return "▼" + strconv.Itoa(i+1)
	}
	return "▲" + strconv.Itoa(i+1)
}
