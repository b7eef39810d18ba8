package proof

import (
	"cmp"
	"math"
	"slices"
	"sort"
)

// maxJump is how long a gateway fills with batches what it missed, in ms. Over a
// longer time it goes on without any.
const maxJump = 32 * 24 * 3600 * 1000

// declaredTime is the time that some spans cover: pieces that do not touch, ascending.
type declaredTime struct {
	window int64
	pieces []piece
}

type piece struct {
	from, to int64
	jump     bool   // a clock that jumped is in it
	before   uint64 // windows that may be missing in the pieces before
}

// newDeclaredTime joins spans, but for those of clocks that went back.
func newDeclaredTime(spans []declaredSpan, window int64) declaredTime {
	c := declaredTime{window: window}
	sorted := slices.DeleteFunc(slices.Clone(spans), func(s declaredSpan) bool { return s.back || s.from >= s.to })
	slices.SortFunc(sorted, func(a, b declaredSpan) int { return cmp.Compare(a.from, b.from) })
	for _, s := range sorted {
		p := piece{from: s.from, to: s.to, jump: s.kind == GapClock && s.to-s.from > maxJump}
		if n := len(c.pieces); n > 0 && c.pieces[n-1].to >= p.from {
			last := &c.pieces[n-1]
			last.to, last.jump = max(last.to, p.to), last.jump || p.jump
			continue
		}
		c.pieces = append(c.pieces, p)
	}
	for i := 1; i < len(c.pieces); i++ {
		p := &c.pieces[i-1]
		c.pieces[i].before = p.before + c.missing(p, p.from, p.to)
	}
	return c
}

// after is the position of the first piece that ends after a time.
func (c declaredTime) after(at int64) int {
	return sort.Search(len(c.pieces), func(i int) bool { return c.pieces[i].to > at })
}

// holds reports whether all of a time is covered.
func (c declaredTime) holds(from, to int64) bool {
	i := c.after(from)
	return i < len(c.pieces) && c.pieces[i].from <= from && to <= c.pieces[i].to
}

// windows is how many windows at most are missing in a time because of what is
// covered.
func (c declaredTime) windows(from, to int64) uint64 {
	if c.window == 0 || from >= to {
		return 0
	}
	i := c.after(from)
	j := c.after(to) // the last that counts
	if j == len(c.pieces) || c.pieces[j].from >= to {
		j--
	}
	switch {
	case i > j || i == len(c.pieces) || c.pieces[i].from >= to:
		return 0
	case i == j:
		return c.missing(&c.pieces[i], from, to)
	}
	whole := c.pieces[j].before - c.pieces[i+1].before // those in between
	return c.missing(&c.pieces[i], from, to) + whole + c.missing(&c.pieces[j], from, to)
}

// missing is how many windows a piece explains, as far as it lies in a time. Its
// whole windows share one batch for each quarter hour; but if the clock jumped
// there is none.
func (c declaredTime) missing(p *piece, from, to int64) uint64 {
	if c.window == 0 {
		return 0
	}
	from, to = max(p.from, from), min(p.to, to)
	if from > math.MaxInt64-c.window {
		return 0
	}
	from += (c.window - from%c.window) % c.window
	to -= to % c.window
	switch {
	case from >= to:
		return 0
	case p.jump:
		return uint64((to - from) / c.window)
	}
	shared := (to-1)/quarterHour - from/quarterHour + 1
	return uint64(max((to-from)/c.window-shared, 0))
}
