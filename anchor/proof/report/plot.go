package report

import "math"

// A plot in units of its own; on paper 1,000 of them fill the width of a page.
const (
	plotWide   = 1000.0
	plotLeft   = 74.0
	plotRight  = 16.0
	plotTop    = 38.0
	plotHigh   = 250.0
	plotBottom = 56.0

	columns = int(plotWide - plotLeft - plotRight)

	maxMarks     = 60  // points with a mark of their own
	maxTimeTicks = 12  // on the time axis
	labelWide    = 8.0 // of a letter, about
)

// gap is a span of time without readings, as the verdict tells it.
type gap struct {
	from, to int64
	label    string // its number in the list
	words    string // where there is room
}

// mark is a moment with a name.
type mark struct {
	at   int64
	name string
}

// plot is one drawing: a series over a span of time.
type plot struct {
	s        *series
	from, to int64
	limits   []*Limit
	gaps     []gap
	marks    []mark
	out      []excursion

	low, high float64
}

// fit sets the span of values: all of them, and the limits.
func (d *plot) fit() {
	d.low, d.high = math.Inf(1), math.Inf(-1)
	grow := func(v float64) { d.low, d.high = min(d.low, v), max(d.high, v) }
	for _, p := range d.s.points {
		grow(number(p.value))
	}
	for _, l := range d.limits {
		if l.Min.IsNumber() {
			grow(number(l.Min))
		}
		if l.Max.IsNumber() {
			grow(number(l.Max))
		}
	}
	room := (d.high - d.low) * 0.1
	if room < 1e-9*math.Max(math.Abs(d.low), math.Abs(d.high)) || room == 0 {
		room = math.Max(math.Abs(d.high)*0.05, 0.5)
	}
	d.low, d.high = d.low-room, d.high+room
}

func (d *plot) x(t int64) coordinate {
	part := float64(t-d.from) / float64(max(d.to-d.from, 1))
	return coordinate(plotLeft + min(max(part, 0), 1)*(plotWide-plotLeft-plotRight))
}

func (d *plot) y(v float64) coordinate {
	return coordinate(plotTop + (d.high-v)/(d.high-d.low)*plotHigh)
}

// draw writes the drawing. It needs the patterns that patterns writes once.
func (p *page) draw(d *plot) {
	d.fit()
	title := d.s.name
	if d.s.unit != "" {
		title += " in " + d.s.unit
	}
	p.put(`<svg viewBox="0 0 % %" role="img"><title>% of %, from % to %</title>`+"\n",
		coordinate(plotWide), coordinate(plotTop+plotHigh+plotBottom), foreign1(title), foreign1(d.s.source), when(d.from), when(d.to))
	p.excursionAreas(d)
	p.gapAreas(d)
	p.axes(d)
	p.limitLines(d)
	p.marks(d)
	p.values(d)
	p.excursionNumbers(d)
	p.put("</svg>\n")
}

// foreign1 cuts a foreign text for a place where no element may stand.
func foreign1(s string) string { return visible(s, maxForeign) }

// patterns writes what drawings fill areas with.
func (p *page) patterns() {
	p.put(`<svg width="0" height="0" class="defs" aria-hidden="true"><defs>
<pattern id="hatch" width="8" height="8" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><rect width="8" height="8" fill="#fff"/><path d="M0 0V8" stroke="#555" stroke-width="1.6"/></pattern>
<pattern id="dots" width="7" height="7" patternUnits="userSpaceOnUse"><rect width="7" height="7" fill="#e4e4e4"/><circle cx="2" cy="2" r="1.1" fill="#222"/></pattern>
</defs></svg>
`)
}

// area writes a filled span of time of the plot's height, at least a few units wide.
func (p *page) area(d *plot, from, to int64, fill markup) (left, right coordinate) {
	left, right = d.x(from), d.x(to)
	if right-left < 5 {
		mid := (left + right) / 2
		left, right = mid-2.5, mid+2.5
	}
	p.put(`<rect class="s" x="%" y="%" width="%" height="%" fill="%"/>`+"\n", left, coordinate(plotTop), right-left, coordinate(plotHigh), fill)
	return left, right
}

// excursionAreas shades the readings outside of a limit.
func (p *page) excursionAreas(d *plot) {
	for i := range d.out {
		p.area(d, d.out[i].from, d.out[i].till, "url(#dots)")
	}
}

// excursionNumbers numbers them as their table does, where there is room.
func (p *page) excursionNumbers(d *plot) {
	free := coordinate(0)
	for i := range d.out {
		e := &d.out[i]
		words := e.number(i)
		mid, half := (d.x(e.from)+d.x(e.till))/2, coordinate(float64(len([]rune(words))+1)*labelWide/2)
		if mid-half < free {
			continue
		}
		free = mid + half
		p.put(`<text class="m" x="%" y="%" text-anchor="middle">%</text>`+"\n", mid, coordinate(plotTop+plotHigh-5), words)
	}
}

func (p *page) gapAreas(d *plot) {
	free := coordinate(0)
	for _, g := range d.gaps {
		if g.to < d.from || g.from > d.to {
			continue
		}
		left, right := p.area(d, g.from, g.to, "url(#hatch)")
		mid, words := (left+right)/2, g.words
		half := coordinate(float64(len([]rune(words))) * labelWide / 2)
		if half > (right-left)/2 {
			words, half = g.label, coordinate(float64(len(g.label))*labelWide/2)
		}
		mid = min(max(mid, plotLeft+half), plotWide-plotRight-half)
		if mid-half < free {
			continue
		}
		free = mid + half + 4
		p.put(`<text class="m" x="%" y="%" text-anchor="middle">%</text>`+"\n", mid, coordinate(plotTop-6), words)
	}
}

func (p *page) axes(d *plot) {
	bottom := coordinate(plotTop + plotHigh)
	for _, k := range valueTicks(d.low, d.high, 5) {
		y := d.y(k.at)
		p.put(`<path class="g" d="M% %H%"/><text x="%" y="%" text-anchor="end">%</text>`+"\n",
			coordinate(plotLeft), y, coordinate(plotWide-plotRight), coordinate(plotLeft-7), y+5, k.label)
	}
	for i, k := range timeTicks(d.from, d.to, maxTimeTicks) {
		x := d.x(int64(k.at))
		p.put(`<path class="t" d="M% %v%"/>`, x, bottom, coordinate(6))
		p.put(`<text x="%" y="%" text-anchor="middle">%</text>`+"\n", min(max(x, plotLeft-20), plotWide-30), bottom+21, k.label)
		if k.day == "" {
			continue
		}
		if i > 0 {
			p.put(`<path class="d" d="M% %V%"/>`, x, coordinate(plotTop), bottom+44)
		}
		p.put(`<text class="y" x="%" y="%">%</text>`+"\n", min(x+4, plotWide-90), bottom+42, k.day)
	}
	p.put(`<path class="a" d="M% %V%H%"/>`+"\n", coordinate(plotLeft), coordinate(plotTop), bottom, coordinate(plotWide-plotRight))
	p.put(`<text class="n" x="%" y="%">%</text><text class="n" x="%" y="%">UTC</text>`+"\n",
		coordinate(4), coordinate(16), foreign1(d.s.unit), coordinate(4), bottom+21)
}

func (p *page) limitLines(d *plot) {
	for _, l := range d.limits {
		for _, v := range []struct {
			at   string
			y    coordinate
			ok   bool
			over coordinate
		}{
			{"most " + l.Max.String(), d.y(number(l.Max)), l.Max.IsNumber(), -5},
			{"least " + l.Min.String(), d.y(number(l.Min)), l.Min.IsNumber(), 16},
		} {
			if v.ok {
				p.put(`<path class="l" d="M% %H%"/><text class="m" x="%" y="%" text-anchor="end">%</text>`+"\n",
					coordinate(plotLeft), v.y, coordinate(plotWide-plotRight), coordinate(plotWide-plotRight-4), v.y+v.over, v.at)
			}
		}
	}
}

func (p *page) marks(d *plot) {
	free := coordinate(0)
	for _, m := range d.marks {
		if m.at < d.from || m.at > d.to {
			continue
		}
		x := d.x(m.at)
		p.put(`<path class="w" d="M% %V%"/>`, x, coordinate(plotTop-4), coordinate(plotTop+plotHigh))
		half := coordinate(float64(len([]rune(m.name))) * labelWide / 2)
		mid := min(max(x, plotLeft+half), plotWide-plotRight-half)
		if m.name != "" && mid-half >= free {
			free = mid + half + 6
			p.put(`<text class="m" x="%" y="%" text-anchor="middle">%</text>`, mid, coordinate(plotTop-22), foreign1(m.name))
		}
		p.put("\n")
	}
}

// column is what a plot keeps of the points that fall on one unit of its width.
type column struct {
	x                      coordinate
	first, least, most, to float64 // the first, least, greatest, last value
	joins                  bool    // the first one, to the last one of the column before
}

// thin keeps of each column the first, least, greatest and last point: what a
// line through all of them would cover.
func (d *plot) thin() []column {
	var all []column
	at := -1
	for _, p := range d.s.points {
		x, v := d.x(p.t), number(p.value)
		if k := int(x); k != at || len(all) == 0 {
			at = k
			all = append(all, column{x: x, first: v, least: v, most: v, to: v, joins: p.joins})
			continue
		}
		c := &all[len(all)-1]
		c.least, c.most, c.to = min(c.least, v), max(c.most, v), v
	}
	return all
}

// values draws the points, joined where nothing lies between two of them.
func (p *page) values(d *plot) {
	points := d.s.points
	if len(points) > columns {
		p.thinned(d)
		return
	}
	joined := func(i int) bool { return i > 0 && i < len(points) && points[i].joins }
	p.put(`<path class="v" d="`)
	for i, q := range points {
		if !joined(i) {
			p.put(`M% %`, d.x(q.t), d.y(number(q.value)))
		} else {
			p.put(`L% %`, d.x(q.t), d.y(number(q.value)))
		}
	}
	p.put(`"/>` + "\n")
	for i, q := range points {
		if len(points) <= maxMarks || !joined(i) && !joined(i+1) {
			p.put(`<circle cx="%" cy="%" r="%"/>`, d.x(q.t), d.y(number(q.value)), coordinate(3))
		}
	}
	p.put("\n")
}

func (p *page) thinned(d *plot) {
	p.put(`<path class="v z" d="`)
	for i, c := range d.thin() {
		if i == 0 || !c.joins {
			p.put(`M% %`, c.x, d.y(c.first))
		} else {
			p.put(`L% %`, c.x, d.y(c.first))
		}
		if c.least != c.most {
			p.put(`V%V%V%`, d.y(c.most), d.y(c.least), d.y(c.to))
		} else {
			p.put(`h%`, coordinate(0.6))
		}
	}
	p.put(`"/>` + "\n")
}
