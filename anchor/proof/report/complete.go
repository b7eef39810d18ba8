package report

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"cairn/anchor/proof"
)

// Longest lists under completeness.
const (
	maxRanges = 100
	maxApart  = 100
	maxParts  = 400
	maxGaps   = 1000
)

// gapWords say what each kind of gap is.
var gapWords = map[string]markup{
	proof.GapLost:    "frames that the device counted did not come",
	proof.GapReboot:  "the device began to count anew",
	proof.GapDown:    "the gateway took no readings",
	proof.GapClock:   "the gateway’s clock jumped",
	proof.GapWindows: "there are fewer windows than the time has",
	proof.GapTail:    "not known yet: after the last window shown",
}

// completeness tells what is known to be missing, or not.
func (r *report) completeness() {
	r.part("Completeness", "")
	if len(r.v.Ranges) == 0 {
		r.put("<p>The file does not claim to be complete. Its readings were chosen by whoever made it; what lies between them is not told.</p>\n")
		return
	}
	r.put(`<p>A range is complete when its readings, numbered without a hole, hash to what the ledger had committed to at its end. ` +
		`That is as the gateway numbered them: what it never numbered, nobody can see.</p>` + "\n")
	for i, words := range r.apart() {
		if i == maxApart {
			r.put("<p>… and elsewhere.</p>\n")
			break
		}
		r.put("<p>%</p>\n", words)
	}
	for i := range min(len(r.v.Ranges), maxRanges) {
		r.claimed(i)
	}
	if more := len(r.v.Ranges) - maxRanges; more > 0 {
		r.put("<p><b>… and % more, in the machine form.</b></p>\n", count(more, "range"))
	}
}

// apart tells, of a device with several ranges, of what times none speaks.
func (r *report) apart() (words []string) {
	for _, source := range r.c.devices {
		claims := r.c.claims[source]
		for k := 1; k < len(claims); k++ {
			a, b := &r.v.Ranges[claims[k-1]], &r.v.Ranges[claims[k]]
			if end, begin := millis(a.To), millis(b.From); end < begin {
				words = append(words, fmt.Sprintf("Of %s no range speaks from %s to %s.", source, when(end), when(begin)))
			}
		}
	}
	return words
}

// name names a range as a heading does.
func (r *report) name(i int) string {
	v := &r.v.Ranges[i]
	s := r.c.sources[v.Stream]
	if v.BoundAs != "" {
		s += ", bound as “" + visible(v.BoundAs, maxForeign) + "”"
	}
	if v.Late {
		s += ", came late"
	}
	return s
}

func (r *report) claimed(i int) {
	v := &r.v.Ranges[i]
	r.put(`<h3>Range %: %</h3>`+"\n", i+1, r.name(i))
	answer := markup("✗ NOT COMPLETE as claimed.")
	switch {
	case v.Complete:
		answer = "✓ Complete."
	case len(v.Findings) == 0:
		answer = "… Complete as far as it is known, which is not all of the time claimed."
	}
	r.put(`<p><span class="mark">%</span></p>`+"\n", answer)
	for _, f := range v.Findings {
		r.put(`<p class="warn"><b>Finding:</b> %.</p>`+"\n", strings.TrimSuffix(f, "."))
	}
	r.put(`<table class="facts"><tbody>` + "\n")
	r.fact("Claimed", "all that was received from "+told(v.From)+" up to "+told(v.To), "")
	numbers := "none: the windows shown are empty"
	if v.Readings > 0 {
		numbers = fmt.Sprintf("%s, numbers %d to %d of stream %d", count(int(v.Readings), "reading"), v.First, v.Next-1, v.Stream)
	}
	r.fact("Shown", numbers, "")
	until := "the stream’s end; it was closed"
	if v.KnownUntil != "" {
		until = told(v.KnownUntil)
	}
	r.fact("Known", "from "+told(v.FromWindow)+" to "+until, "")
	r.fact("Numbered by", numbered(v.NumberedBy), "")
	r.fact("Device’s own counters", v.DeviceCounters, "")
	r.fact("Late readings", v.LateStreams, "")
	r.put("</tbody></table>\n")
	r.gaps(i)
	r.parts(v)
}

// numbered names who numbered the readings of a range without a hole.
func numbered(by string) string {
	if by == proof.ByGatewayAndDevice {
		return "the gateway, and by the device, whose key the gateway holds"
	}
	return "the gateway"
}

// gaps lists those of a range. Their numbers are those of the drawings.
func (r *report) gaps(i int) {
	v := &r.v.Ranges[i]
	if len(v.Gaps) == 0 {
		r.put("<p>No gaps: no window is missing, none is declared, and nothing shows that readings did not come.</p>\n")
		return
	}
	r.put(`<div class="scroll"><table><thead><tr><th>Gap</th><th>What</th><th>From – to (UTC)</th><th class="n">How many</th><th class="n">After No.</th><th>Declared by the ledger</th></tr></thead><tbody>` + "\n")
	for k := range v.Gaps {
		if k == maxGaps {
			r.put(`<tr><td colspan="6">… % more …</td></tr>`+"\n", len(v.Gaps)-k)
			break
		}
		r.gap(i, k)
	}
	r.put("</tbody></table></div>\n")
}

func (r *report) gap(i, k int) {
	g := &r.v.Ranges[i].Gaps[k]
	what, ok := gapWords[g.Kind]
	if !ok {
		what = "of an unknown kind"
	}
	r.put(`<tr><td class="k">%</td><td>%</td><td>`, gapNumber(i, k), what)
	from, to := millis(g.From), millis(g.To)
	if from >= 0 && to >= 0 {
		r.put(`% – %`, brief(from), brief(to))
		if to > from {
			r.put(` <span class="small">(%)</span>`, lasting(to-from))
		}
	}
	many, after := "", ""
	if g.Count != 0 {
		many = decimal(g.Count)
	}
	if g.AfterSequence != nil {
		after = decimal(*g.AfterSequence)
	}
	r.put(`</td><td class="n">%</td><td class="n">%</td><td>`, many, after)
	switch {
	case g.Declared:
		r.put(`yes: %`, g.By)
	case g.Kind == proof.GapTail:
		r.put(`nothing to declare yet`)
	default:
		r.put(`<b>NO</b>`)
	}
	if g.Reason != "" {
		r.put(`, “%”`, foreign(g.Reason))
	}
	r.put("</td></tr>\n")
}

// gapNumber names a gap by its range and its place in it.
func gapNumber(i, k int) string { return fmt.Sprintf("%d.%d", i+1, k+1) }

// parts tells when each part of a range was fixed.
func (r *report) parts(v *proof.RangeVerdict) {
	r.put("<p>When each part was fixed, so that nothing of it could be changed unseen any more:</p>\n")
	r.put(`<div class="scroll"><table><thead><tr><th class="n">Up to No.</th><th>Window’s end (UTC)</th><th class="n">Batch</th><th>Existed not after (UTC)</th><th>Later by</th><th>Proven</th></tr></thead><tbody>` + "\n")
	for k := range v.Parts {
		if k == maxParts {
			r.put(`<tr><td colspan="6">… % more …</td></tr>`+"\n", len(v.Parts)-k)
			break
		}
		p := &v.Parts[k]
		last, bound := "none", "not proven"
		if p.Next > 0 {
			last = decimal(p.Next - 1)
		}
		if p.NotAfter != nil {
			bound = brief(millis(p.NotAfter.Time))
		}
		r.put(`<tr><td class="n">%</td><td class="k">%</td><td class="n">%</td><td class="k">%</td><td class="k">%</td><td class="k">%</td></tr>`+"\n",
			last, brief(millis(p.WindowTo)), p.Batch, bound, p.Delay, p.Level)
	}
	r.put("</tbody></table></div>\n")
}

// gapsOf returns the gaps of a series' device, ascending, and the times that no
// range of it speaks of.
func (r *report) gapsOf(s *series) (all []gap) {
	claims := r.c.claims[s.source]
	for n, i := range claims {
		v := &r.v.Ranges[i]
		for k := range v.Gaps {
			if g := &v.Gaps[k]; millis(g.From) >= 0 && millis(g.To) >= 0 {
				all = append(all, drawn(g, gapNumber(i, k)))
			}
		}
		if n > 0 {
			if end, begin := millis(r.v.Ranges[claims[n-1]].To), millis(v.From); end < begin {
				all = append(all, gap{end, begin, "", "not claimed"})
			}
		}
	}
	slices.SortStableFunc(all, func(a, b gap) int { return cmp.Compare(a.from, b.from) })
	return all
}

func drawn(g *proof.GapVerdict, number string) gap {
	d := gap{from: millis(g.From), to: millis(g.To), label: "gap " + number, words: "gap " + number + ", " + lasting(millis(g.To)-millis(g.From))}
	switch {
	case g.Kind == proof.GapTail:
		d.words = "not known yet"
	case !g.Declared:
		d.label += " NOT DECLARED"
		d.words += ", NOT DECLARED"
	}
	return d
}

// witnesses tells who cosigned the ledger's states.
func (r *report) witnesses() {
	r.part("Witnesses", "")
	v := r.v
	if len(v.Witnesses) == 0 {
		r.put("<p>None cosigned what the file shows. Whether the ledger’s key has signed a second history, no one in this file would have seen.</p>\n")
	} else {
		r.put("<p>A witness cosigns a ledger’s states as long as each extends the one before: whoever holds the ledger’s key cannot show it two histories.</p>\n")
		r.put(`<div class="scroll"><table><thead><tr><th>Witness</th><th class="n">State, in batches</th><th>At, by its own clock (UTC)</th><th>Counts</th></tr></thead><tbody>` + "\n")
		for i := range v.Witnesses {
			w := &v.Witnesses[i]
			at := w.Time
			if ms := millis(at); ms >= 0 {
				at = brief(ms)
			}
			counts := markup("NO: the policy does not name it, and nobody checked its signature")
			if w.Known {
				counts = "yes: the policy names it, and its signature holds"
			}
			r.put(`<tr><td><b>%</b><br><span class="hash">%</span></td><td class="n">%</td><td>%</td><td>%</td></tr>`+"\n",
				foreign(w.Name), foreign(w.Key), w.Size, foreign(at), counts)
		}
		r.put("</tbody></table></div>\n")
	}
	for i := range v.Vouches {
		w := &v.Vouches[i]
		r.put(`<p>Something of kind % vouches for the block of receipt %: % bytes, SHA-256 <span class="hash">%</span>. <b>It was not checked.</b></p>`+"\n",
			foreign(w.Kind), w.Receipt+1, w.Size, inGroups(w.SHA256))
	}
}
