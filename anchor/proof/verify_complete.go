package proof

import (
	"cmp"
	"fmt"
	"slices"

	"cairn/merkle/ledger"
)

// Step 14: what a range claims to be complete is accounted for, or it is a
// finding: windows that are missing, frames that the device's counters show to be
// missing, readings of a clock that stepped. The level stays what it is.
func (c *checker) complete() (string, *fault) {
	if len(c.f.Ranges) == 0 {
		return "", nil
	}
	d := c.declarations()
	c.v.Ranges = make([]RangeVerdict, 0, len(c.f.Ranges))
	gaps, findings := 0, 0
	for i := range c.f.Ranges {
		t := tally{c: c, d: d, r: &c.f.Ranges[i], s: &c.rangeStates[i]}
		c.v.Ranges = append(c.v.Ranges, t.verdict())
		gaps += len(t.v.Gaps)
		findings += len(t.v.Findings)
		c.missing = append(c.missing, t.missing...)
	}
	detail := fmt.Sprintf("%s accounted for, %s told of", count(len(c.f.Ranges), "range"), count(gaps, "gap"))
	if findings > 0 {
		detail = fmt.Sprintf("%s; the first: %s", count(findings, "finding"), c.missing[0].words)
	}
	c.v.Checks = append(c.v.Checks, Check{14, stepNames[14], findings == 0, detail})
	return "", nil
}

// lack is a reason why a range is not complete.
type lack struct {
	code  Code
	words string
}

// unknown reports whether it is only not known, rather than wrong.
func (l *lack) unknown() bool { return l.code == CodeTail || l.code == CodeWindowUnknown }

// judge turns the outcome by what step 14 found: what is wrong refuses the file,
// what is not known leaves it unchecked.
func (c *checker) judge() {
	if len(c.missing) == 0 {
		return
	}
	at := slices.IndexFunc(c.missing, func(l lack) bool { return !l.unknown() })
	v := &c.v
	switch {
	case at >= 0:
		v.Outcome, v.Code, v.Reason = Refused, c.missing[at].code, c.missing[at].words
		v.Next = "ask the ledger's owner what happened then: the readings shown stand, but that there were no others does not"
	case v.Outcome == Verified:
		v.Outcome, v.Code, v.Reason = Unchecked, c.missing[0].code, c.missing[0].words
		v.Next = "ask for the proof again once that time is anchored, or for one that claims no more than is known"
		if c.missing[0].code == CodeWindowUnknown {
			v.Next = "ask for a proof that shows the ledger's first statement"
		}
	}
}

// declarations are what the statements shown say about gaps.
type declarations struct {
	window  int64 // length of a window in ms; 0: the genesis is not shown
	spans   []declaredSpan
	reboots map[streamPlace]uint64 // number of the statement
	rotated map[uint64]uint64      // by stream, the number of a statement that gives its device a new key
	newest  uint64                 // size of the largest head
}

type streamPlace struct{ slot, seq uint64 }

// declaredSpan is a time in which the ledger says that the gateway was not there,
// or knew nothing of the time.
type declaredSpan struct {
	kind     string
	from, to int64
	reason   string
	by       string
}

func (c *checker) declarations() *declarations {
	d := &declarations{reboots: make(map[streamPlace]uint64), rotated: make(map[uint64]uint64)}
	told := make(map[uint64]bool)
	for i := range c.f.Statements {
		s := &c.f.Statements[i]
		st, err := ledger.ParseStatement(s.Item)
		if err != nil || told[s.Index] {
			continue // step 10 has been there
		}
		told[s.Index] = true
		d.take(s.Index, &st)
	}
	for i := range c.heads {
		d.newest = max(d.newest, c.heads[i].Size)
	}
	return d
}

func (d *declarations) take(number uint64, st *ledger.Statement) {
	slot, _ := st.Uint("slot")
	reason, _ := st.Text("reason")
	by := fmt.Sprintf("statement %d of %s", number, timeText(st.At))
	switch st.Kind {
	case ledger.KindGenesis:
		if w, ok := st.Uint("window"); ok && w > 0 && w <= quarterHour {
			d.window = int64(w)
		}
	case ledger.KindGap:
		from, to := msOf(st, "from"), msOf(st, "to")
		d.spans = append(d.spans, declaredSpan{GapDown, from, max(from, to), reason, by})
	case ledger.KindClock:
		a, b := msOf(st, "was"), msOf(st, "now")
		d.spans = append(d.spans, declaredSpan{GapClock, min(a, b), max(a, b), reason, by})
	case ledger.KindReboot:
		seq, _ := st.Uint("sequence")
		d.reboots[streamPlace{slot, seq}] = number
	case ledger.KindRotate:
		d.rotated[slot] = number
	}
}

func msOf(st *ledger.Statement, key string) int64 {
	n, _ := st.Uint(key)
	return int64(min(n, 1<<62))
}

// tally makes the verdict on one range.
type tally struct {
	c *checker
	d *declarations
	r *Range
	s *rangeState

	v       RangeVerdict
	missing []lack
	inRests []declaredSpan // gaps that the rests shown declare
	lost    map[int]uint64 // by summary, frames lost in its run
}

func (t *tally) verdict() RangeVerdict {
	last := &t.s.sums[len(t.s.sums)-1]
	t.v = RangeVerdict{
		Stream: t.s.slot, Device: t.s.device, First: t.r.First, Next: t.s.next, Readings: t.s.next - t.r.First,
		From: timeText(t.r.From), To: timeText(t.r.To), FromWindow: timeText(t.from()), Closed: last.Closed,
		Parts: []PartVerdict{}, Gaps: []GapVerdict{}, Findings: []string{},
		LateStreams: fmt.Sprintf("none shown; as known at the checkpoint of %s", count(int(min(t.d.newest, 1<<62)), "batch")),
	}
	if !last.Closed {
		t.v.KnownUntil = timeText(last.To)
	}
	t.binding()
	t.parts()
	t.rests()
	t.coverage()
	t.windows()
	t.counters()
	t.steps()
	t.tail(last)
	t.v.Complete = len(t.missing) == 0
	return t.v
}

// from is since when the range is known.
func (t *tally) from() int64 {
	first := &t.s.sums[0]
	if t.s.border && t.r.First > 0 {
		return first.To
	}
	return min(first.From, max(t.r.From, 0)) // the stream's own beginning
}

func (t *tally) binding() {
	b, ok := t.c.bound[t.s.slot]
	if !ok {
		return
	}
	t.v.Device = cmp.Or(t.v.Device, b.device)
	earliest := t.s.sums[0].index
	if t.s.border {
		earliest++
	}
	if earliest >= b.batch {
		t.v.BoundAs = b.name
	}
}

// parts says when each part was fixed: by the first anchor that the file shows of
// the summary that ends it.
func (t *tally) parts() {
	for k := range t.s.sums {
		sum := &t.s.sums[k]
		if k == 0 && t.s.border && len(t.s.sums) > 1 {
			continue
		}
		p := PartVerdict{Next: sum.Next, Batch: sum.index, WindowTo: timeText(sum.To)}
		if a := t.c.anchors[sum.batch]; a != nil {
			p.Level, p.NotAfter = a.level, a.notAfter
			if a.notAfter != nil {
				p.Delay = duration(max(a.notAfter.ms-sum.To, 0)).String()
			}
		}
		t.v.Parts = append(t.v.Parts, p)
	}
}

// lack notes what is missing, and tells of it as a finding unless it is only not
// known.
func (t *tally) lack(code Code, format string, args ...any) {
	l := lack{code, fmt.Sprintf("stream %d: ", t.s.slot) + fmt.Sprintf(format, args...)}
	t.missing = append(t.missing, l)
	if !l.unknown() {
		t.v.Findings = append(t.v.Findings, l.words)
	}
}

// rests gathers the gaps that the rests shown declare.
func (t *tally) rests() {
	for k := range t.s.sums {
		if rest := t.rest(k); rest != nil {
			for _, g := range rest.Gaps {
				by := fmt.Sprintf("summary of batch %d", t.s.sums[k].index)
				t.inRests = append(t.inRests, declaredSpan{GapDown, g.From, g.To, g.Reason, by})
			}
		}
	}
}

// rest is what summary k hides, nil if it is not shown.
func (t *tally) rest(k int) *ledger.Rest {
	shown := t.c.f.Summaries[t.s.sums[k].at].Rest
	if shown == nil {
		return nil
	}
	rest, err := ledger.ParseRest(shown.Item)
	if err != nil {
		return nil // step 6 has been there
	}
	return &rest
}

// coverage holds that the range is known from where it is claimed.
func (t *tally) coverage() {
	if first := &t.s.sums[0]; t.r.First > 0 && first.To > t.r.From {
		t.lack(CodeCoverage, "it is claimed from %s on, and known from %s on", timeText(t.r.From), timeText(first.To))
	}
}

// windows holds that from summary to summary there is a batch for each window,
// or that somebody says why not.
func (t *tally) windows() {
	begin, end := t.s.sums[0].From, t.s.sums[len(t.s.sums)-1].To
	for _, span := range slices.Concat(t.d.spans, t.inRests) {
		if span.from < end && span.to > begin && !t.inStatement(&span) {
			t.v.Gaps = append(t.v.Gaps, GapVerdict{Kind: span.kind, From: timeText(span.from), To: timeText(span.to), Declared: true, By: span.by, Reason: span.reason})
		}
	}
	if t.d.window == 0 {
		t.lack(CodeWindowUnknown, "the length of a window is not shown, so that nobody can tell whether windows are missing")
		return
	}
	for k := range t.s.sums {
		sum := &t.s.sums[k]
		if k > 0 {
			before := &t.s.sums[k-1]
			t.between(before.To, sum.From, sum.index-before.index-1)
		}
		t.between(sum.From, sum.To, 1)
	}
}

// inStatement reports whether a span of a rest lies in one that a statement
// declares, and so is told of already.
func (t *tally) inStatement(span *declaredSpan) bool {
	return slices.ContainsFunc(t.d.spans, func(d declaredSpan) bool {
		return d.by != span.by && d.from <= span.from && span.to <= d.to
	})
}

// between holds that a time has as many batches as windows.
func (t *tally) between(from, to int64, batches uint64) {
	missing := to - from
	if batches > uint64(missing/t.d.window) {
		t.lack(CodeWindows, "the log has %s between %s and %s, and that is time for %d", count(int(min(batches, 1<<62)), "batch"), timeText(from), timeText(to), missing/t.d.window)
		return
	}
	missing -= int64(batches) * t.d.window
	if missing == 0 {
		return
	}
	if t.declaredIn(from, to) >= missing {
		return
	}
	n := uint64((missing + t.d.window - 1) / t.d.window)
	t.v.Gaps = append(t.v.Gaps, GapVerdict{Kind: GapWindows, From: timeText(from), To: timeText(to), Count: n})
	t.lack(CodeGap, "%s missing between %s and %s, and nothing shown says why", isAre(n, "window"), timeText(from), timeText(to))
}

func isAre(n uint64, what string) string {
	verb := " are"
	if n == 1 {
		verb = " is"
	}
	return count(int(min(n, 1<<62)), what) + verb
}

// declaredIn is how much of a time is declared, in ms.
func (t *tally) declaredIn(from, to int64) (sum int64) {
	all := slices.Concat(t.d.spans, t.inRests)
	slices.SortFunc(all, func(a, b declaredSpan) int { return cmp.Compare(a.from, b.from) })
	for _, span := range all {
		begin, end := max(span.from, from), min(span.to, to)
		if begin < end {
			sum += end - begin
			from = end
		}
	}
	return sum
}

// counters holds the device's own numbers against what is declared of them.
func (t *tally) counters() {
	s := &t.s.counters
	t.lost = make(map[int]uint64)
	for i := range s.jumps {
		if j := &s.jumps[i]; j.lost > 0 {
			t.lost[j.run] += j.lost
		}
	}
	var lost, anew uint64
	for i := range s.jumps {
		j := &s.jumps[i]
		after := j.after
		g := GapVerdict{Kind: GapReboot, AfterSequence: &after}
		if j.lost > 0 {
			g.Kind, g.Count = GapLost, j.lost
			lost += j.lost
			g.By, g.Declared = t.declaresLoss(j)
		} else {
			anew++
			g.By, g.Declared = t.declaresAnew(j)
		}
		t.v.Gaps = append(t.v.Gaps, g)
		switch {
		case g.Declared:
		case j.lost > 0:
			t.lack(CodeCounters, "%s missing between the readings %d and %d by the device's counter, and nothing shown says so", isAre(j.lost, "frame"), j.after, j.at)
		default:
			t.lack(CodeCounters, "the device's counter goes from %v to %v between the readings %d and %d, and nothing shown says that it began anew", j.old, j.new, j.after, j.at)
		}
	}
	t.numbered(lost, anew)
}

func (t *tally) declaresLoss(j *counterJump) (by string, ok bool) {
	if j.run < 0 {
		return "", false
	}
	rest := t.rest(j.run)
	if rest == nil || rest.LostKnown && rest.Lost < t.lost[j.run] {
		return "", false
	}
	return fmt.Sprintf("summary of batch %d", t.s.sums[j.run].index), true
}

func (t *tally) declaresAnew(j *counterJump) (by string, ok bool) {
	if n, ok := t.d.reboots[streamPlace{t.s.slot, j.at}]; ok {
		return fmt.Sprintf("statement %d", n), true
	}
	if n, ok := t.d.rotated[t.s.slot]; ok {
		return fmt.Sprintf("statement %d", n), true
	}
	if j.run >= 0 {
		if rest := t.rest(j.run); rest != nil && !rest.LostKnown {
			return fmt.Sprintf("summary of batch %d", t.s.sums[j.run].index), true
		}
	}
	return "", false
}

// numbered says who numbered the readings, and what the device's counters show.
func (t *tally) numbered(lost, anew uint64) {
	s, all := &t.s.counters, t.v.Readings
	t.v.NumberedBy = ByGateway
	switch {
	case all == 0:
		t.v.DeviceCounters = "there is no reading"
	case s.origins == 0:
		t.v.DeviceCounters = "not shown"
	case s.counted == 0:
		t.v.DeviceCounters = "the device has none"
	default:
		t.v.DeviceCounters = fmt.Sprintf("shown of %d of %s: %s lost, begun anew %d times", s.counted, count(int(min(all, 1<<62)), "reading"), count(int(min(lost, 1<<62)), "frame"), anew)
		if s.device == all && s.counted == all && len(s.jumps) == 0 {
			t.v.NumberedBy = ByGatewayAndDevice
			t.v.DeviceCounters = "unbroken in all readings"
		}
	}
}

// steps holds that readings whose clock had stepped are near a statement that
// says so.
func (t *tally) steps() {
	for _, s := range t.s.steps {
		g := GapVerdict{Kind: GapClock, From: timeText(s.min), To: timeText(s.max), Count: s.n}
		for _, d := range t.d.spans {
			if d.kind == GapClock && d.from-quarterHour <= s.max && d.to+quarterHour >= s.min {
				g.Declared, g.By, g.Reason = true, d.by, d.reason
				break
			}
		}
		t.v.Gaps = append(t.v.Gaps, g)
		if !g.Declared {
			t.lack(CodeClock, "reading %d and what follows are stamped by a clock that had stepped, and no statement shown says so", s.first)
		}
	}
}

// tail names what is claimed and not known yet.
func (t *tally) tail(last *rangeSummary) {
	if last.Closed || last.To >= t.r.To {
		return
	}
	t.v.Gaps = append(t.v.Gaps, GapVerdict{Kind: GapTail, From: timeText(last.To), To: timeText(t.r.To)})
	t.lack(CodeTail, "what was received from %s to %s is not known yet", timeText(last.To), timeText(t.r.To))
}
