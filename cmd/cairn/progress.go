package main

import (
	"fmt"
	"strings"
	"time"
)

// How often a person, and a log, is told how far long work is; neither is told of short work.
const (
	progressSoon  = time.Second
	progressOften = time.Second / 2
	progressLog   = time.Minute
)

// gauge tells how far something is, often enough for a terminal.
type gauge struct {
	tell  func(string)
	what  string
	unit  uint64 // what is counted is told in these
	begun time.Time
	next  time.Time
}

func newGauge(tell func(string), what string, unit uint64) *gauge {
	now := time.Now()
	return &gauge{tell, what, unit, now, now.Add(progressOften)}
}

// at is called with every step.
func (g *gauge) at(done, total uint64) {
	now := time.Now()
	if now.Before(g.next) {
		return
	}
	g.next = now.Add(progressOften)
	rate := float64(done) / float64(g.unit) / now.Sub(g.begun).Seconds()
	digits := 0
	if rate < 10 {
		digits = 1
	}
	g.tell(fmt.Sprintf("%s, %.*f/s", howFar(done/g.unit, total/g.unit, g.what), digits, rate))
}

// howFar is how far a long operation is, with a bar.
func howFar(done, total uint64, what string) string {
	const width = 24
	full := width
	if done < total {
		full = int(float64(done) / float64(total) * width)
	}
	return fmt.Sprintf("[%s%s] %d of %d %s", strings.Repeat("#", full), strings.Repeat(".", width-full), done, total, what)
}

// progressLine is what was shown of long work.
type progressLine struct {
	next  time.Time // zero: nothing was told yet
	shown bool      // there is a line to take back
}

// progress shows how far a long operation is, or tells during: on a terminal in one line, which
// is written again, and which "" takes back; else in a line a minute; with --json nothing.
func (c *command) progress(text string) {
	if c.told != nil {
		c.told(text)
		return
	}
	if c.json {
		return
	}
	l, terminal := &c.line, isTerminal(c.Err)
	if text == "" {
		if l.shown {
			fmt.Fprint(c.Err, "\r\x1b[K")
		}
		*l = progressLine{}
		return
	}
	first, then, format := progressLog, progressLog, "%s\n"
	if terminal {
		first, then, format = progressSoon, progressOften, "\r\x1b[K%s"
	}
	now := time.Now()
	if l.next.IsZero() {
		l.next = now.Add(first)
	}
	if now.Before(l.next) {
		return
	}
	l.next, l.shown = now.Add(then), terminal
	fmt.Fprintf(c.Err, format, text)
}
