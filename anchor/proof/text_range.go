package proof

import (
	"fmt"
	"strings"
)

// maxTextRanges, maxTextGaps and maxTextParts are how many of each the text
// shows; the JSON has them all.
const (
	maxTextRanges = 4
	maxTextGaps   = 4
	maxTextParts  = 2
)

// completeText is what a headline says of completeness; nothing where a reading
// stands outside of the ranges.
func (v *Verdict) completeText() string {
	if len(v.Ranges) == 0 {
		return ""
	}
	for i := range v.Readings {
		if v.Readings[i].Range == nil {
			return ""
		}
	}
	by := ByGatewayAndDevice
	for i := range v.Ranges {
		if !v.Ranges[i].Complete {
			return ""
		}
		if v.Ranges[i].NumberedBy == ByGateway {
			by = ByGateway
		}
	}
	return ", complete as numbered by the " + by
}

func (v *Verdict) rangesText(b *strings.Builder) {
	for i := range v.Ranges {
		if i == maxTextRanges {
			b.WriteByte('\n')
			line(b, "… and %s more, see --json", count(len(v.Ranges)-i, "range"))
			return
		}
		v.Ranges[i].text(b)
		v.unboundText(b, i)
	}
}

func (r *RangeVerdict) text(b *strings.Builder) {
	name := fmt.Sprintf("stream %d", r.Stream)
	if r.BoundAs != "" {
		name += fmt.Sprintf(", bound as %q", r.BoundAs)
	}
	if r.Device != "" {
		name += ", device " + r.Device
	}
	if r.Late {
		name += ", came late"
	}
	b.WriteByte('\n')
	what := "NOT COMPLETE"
	if r.Complete {
		what = "complete"
	}
	line(b, "%s: %s from %s to %s, %s", name, count(int(min(r.Readings, 1<<62)), "reading"), r.From, r.To, what)
	known := "the stream ended, nothing follows"
	if r.KnownUntil != "" {
		known = "as known until " + r.KnownUntil
	}
	line(b, "  %-12s %d to before %d; %s", "numbers", r.First, r.Next, known)
	words := r.NumberedBy
	if r.NumberedBy == ByGatewayAndDevice {
		words += ", whose key the gateway holds"
	}
	line(b, "  %-12s by the %s; the device's counters: %s", "numbered", words, r.DeviceCounters)
	r.Placed.text(b)
	r.partsText(b)
	for i, g := range r.Gaps {
		if i == maxTextGaps {
			line(b, "  … and %s more, see --json", count(len(r.Gaps)-i, "gap"))
			break
		}
		line(b, "  %-12s %s", "gap", g.text())
	}
	line(b, "  %-12s %s", "late streams", r.LateStreams)
}

// partsText tells of the parts that took longest to be fixed, and of the last.
func (r *RangeVerdict) partsText(b *strings.Builder) {
	for i := max(0, len(r.Parts)-maxTextParts); i < len(r.Parts); i++ {
		p := &r.Parts[i]
		when := p.Level.String()
		if p.NotAfter != nil {
			when = fmt.Sprintf("%v not after %s, %s after its window's end", p.Level, p.NotAfter.Time, p.Delay)
		}
		line(b, "  %-12s all up to %d, window to %s: %s", "fixed", p.Next, p.WindowTo, when)
	}
	if n := len(r.Parts) - maxTextParts; n > 0 {
		line(b, "  … and %s before that, see --json", count(n, "part"))
	}
}

func (g *GapVerdict) text() string {
	var words string
	switch g.Kind {
	case GapLost:
		words = fmt.Sprintf("%s lost after reading %d", count(int(min(g.Count, 1<<62)), "frame"), *g.AfterSequence)
	case GapReboot:
		words = fmt.Sprintf("the device counts anew after reading %d", *g.AfterSequence)
	case GapDown:
		words = fmt.Sprintf("the gateway was not there from %s to %s", g.From, g.To)
	case GapClock:
		words = fmt.Sprintf("the gateway's clock stepped, %s to %s", g.From, g.To)
	case GapWindows:
		words = fmt.Sprintf("%s missing between %s and %s", count(int(min(g.Count, 1<<62)), "window"), g.From, g.To)
	case GapTail:
		return fmt.Sprintf("from %s to %s: not known yet", g.From, g.To)
	}
	if !g.Declared {
		return words + ": NOT DECLARED"
	}
	if g.Reason != "" {
		words += fmt.Sprintf(" (%q)", g.Reason)
	}
	return words + ", declared by " + g.By
}

// unboundText says when the device of range i was not bound, until the next of
// its ranges begins.
func (v *Verdict) unboundText(b *strings.Builder, i int) {
	r := &v.Ranges[i]
	if r.Device == "" || !r.Closed || len(r.Parts) == 0 {
		return
	}
	end := r.Parts[len(r.Parts)-1].WindowTo
	for k := i + 1; k < len(v.Ranges); k++ {
		if next := &v.Ranges[k]; next.Device == r.Device {
			if next.FromWindow > end {
				line(b, "  %-12s from %s to %s", "not bound", end, next.FromWindow)
			}
			return
		}
	}
}
