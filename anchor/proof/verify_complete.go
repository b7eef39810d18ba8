package proof

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"cairn/merkle/ledger"
)

// Step 14: what a range claims to be complete is accounted for, or it is a
// finding: windows that are missing, frames that the device's counters show to be
// missing, readings of a clock that stepped. The level stays what it is.
func (c *checker) complete() (string, *fault) {
	if len(c.f.Ranges) == 0 {
		return "", nil
	}
	c.notBefores()
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

// notBefores bounds those readings of ranges that may have come in an earlier
// batch than the one which shows them by the batch before them that is shown.
func (c *checker) notBefores() {
	for i := range c.v.Readings {
		switch r := &c.v.Readings[i]; {
		case r.before == r.at:
		case r.before < 0 || c.anchors[r.before] == nil:
			r.NotBefore, c.v.NotBefore = nil, nil
		default:
			r.NotBefore = c.anchors[r.before].notBefore
		}
	}
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
	window  int64          // length of a window in ms; 0: the genesis is not shown
	spans   []declaredSpan // ascending by their beginning
	cover   declaredTime   // the same, but for clocks that went back
	reboots map[streamPlace]reboot
	newest  uint64 // size of the largest head

	// reach[i] is the span of a clock, of spans[:i+1], that ends last; -1: none.
	reach []int
}

// reboot is a statement that a device began to count anew.
type reboot struct{ statement, old, new uint64 }

type streamPlace struct{ slot, seq uint64 }

// declaredSpan is a time in which the ledger says that the gateway was not there,
// or knew nothing of the time.
type declaredSpan struct {
	kind     string
	from, to int64
	reason   string
	by       string
	back     bool // a clock that was set back: no window is missing by that
}

func (c *checker) declarations() *declarations {
	d := &declarations{reboots: make(map[streamPlace]reboot)}
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
	slices.SortStableFunc(d.spans, func(a, b declaredSpan) int { return cmp.Compare(a.from, b.from) })
	d.cover = newDeclaredTime(d.spans, d.window)
	last := -1
	for i := range d.spans {
		if d.spans[i].kind == GapClock && (last < 0 || d.spans[i].to > d.spans[last].to) {
			last = i
		}
		d.reach = append(d.reach, last)
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
		// Nobody declares what is still to come.
		if from, to := msOf(st, "from"), min(msOf(st, "to"), st.At); from <= to {
			d.spans = append(d.spans, declaredSpan{kind: GapDown, from: from, to: to, reason: reason, by: by})
		}
	case ledger.KindClock:
		was, now := msOf(st, "was"), msOf(st, "now")
		span := declaredSpan{kind: GapClock, from: min(was, now), to: max(was, now), reason: reason, by: by, back: now < was}
		if !span.back {
			span.to = max(span.from, min(span.to, st.At))
		}
		d.spans = append(d.spans, span)
	case ledger.KindReboot:
		seq, _ := st.Uint("sequence")
		r := reboot{statement: number}
		r.old, _ = st.Uint("restart-old")
		r.new, _ = st.Uint("restart-new")
		d.reboots[streamPlace{slot, seq}] = r
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
	rests   map[int]*ledger.Rest // by summary, what it hides, where that is shown
	lost    map[int]uint64       // by summary, frames lost in its run
}

func (t *tally) verdict() RangeVerdict {
	last := &t.s.sums[len(t.s.sums)-1]
	t.v = RangeVerdict{
		Stream: t.s.slot, Device: t.s.device, First: t.r.First, Next: t.s.next, Readings: t.s.next - t.r.First,
		From: timeText(t.r.From), To: timeText(t.r.To), FromWindow: timeText(t.from()), Closed: last.Closed,
		Parts: []PartVerdict{}, Gaps: []GapVerdict{}, Findings: []string{},
		LateStreams: "none shown" + t.known(),
	}
	if !last.Closed {
		t.v.KnownUntil = timeText(last.To)
	}
	t.binding()
	t.placed()
	t.parts()
	t.readRests()
	t.coverage()
	t.windows()
	t.counters()
	t.steps()
	t.tail(last)
	t.v.Complete = len(t.missing) == 0
	return t.v
}

// from is since when the range is known: from its border, or from the stream's
// own beginning on.
func (t *tally) from() int64 {
	first := &t.s.sums[0]
	if t.s.border && t.r.First > 0 {
		return first.To
	}
	return first.From
}

// known is until when late streams are known.
func (t *tally) known() string {
	return "; as known at the checkpoint of " + count(int(min(t.d.newest, 1<<62)), "batch")
}

// late names the late streams of a device that the file tells of.
func (t *tally) late(device string) {
	var all []string
	for _, slot := range slices.Sorted(maps.Keys(t.c.bound)) {
		if b := t.c.bound[slot]; b.late && b.device == device && slot != t.s.slot {
			all = append(all, fmt.Sprint(slot))
		}
	}
	if len(all) > 0 {
		t.v.LateStreams = "of this device there is stream " + strings.Join(all, ", ") + t.known()
	}
}

func (t *tally) binding() {
	b, ok := t.c.bound[t.s.slot]
	if !ok {
		return
	}
	if t.v.Late = b.late; b.late {
		t.v.LateStreams = "this is one: its readings came by another way, after they were measured" + t.known()
	} else {
		t.late(b.device)
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

// readRests reads what the summaries hide, where that is shown.
func (t *tally) readRests() {
	t.rests = make(map[int]*ledger.Rest)
	for k := range t.s.sums {
		shown := t.c.f.Summaries[t.s.sums[k].at].Rest
		if shown == nil {
			continue
		}
		if rest, err := ledger.ParseRest(shown.Item); err == nil { // step 6 has been there
			t.rests[k] = &rest
		}
	}
}

// restSpans are the gaps that a summary's rest declares, in its own window.
func (t *tally) restSpans(k int) (all []declaredSpan) {
	rest := t.rests[k]
	if rest == nil {
		return nil
	}
	sum := &t.s.sums[k]
	for _, g := range rest.Gaps {
		if from, to := max(g.From, sum.From), min(g.To, sum.To); from < to {
			all = append(all, declaredSpan{kind: GapDown, from: from, to: to, reason: g.Reason, by: fmt.Sprintf("summary of batch %d", sum.index)})
		}
	}
	return all
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
	t.declared()
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
		if k > 0 || !t.s.border {
			t.within(k)
		}
	}
}

// declared tells of the gaps that are declared in the time that is known.
func (t *tally) declared() {
	begin, end := t.from(), t.s.sums[len(t.s.sums)-1].To
	for i := range t.d.spans {
		span := &t.d.spans[i]
		if t.c.lookedAt++; span.from >= end || t.c.lookedAt > maxLookedAt {
			break
		}
		if span.to > begin {
			t.tell(span)
		}
	}
	for k := range t.s.sums {
		for _, span := range t.restSpans(k) {
			if !t.d.cover.holds(span.from, span.to) { // or a statement tells of it
				t.tell(&span)
			}
		}
	}
}

// maxLookedAt bounds how often a declared span is looked at to tell of it in one
// more range.
const maxLookedAt = 1 << 22

func (t *tally) tell(span *declaredSpan) {
	t.v.Gaps = append(t.v.Gaps, GapVerdict{Kind: span.kind, From: timeText(span.from), To: timeText(span.to), Declared: true, By: span.by, Reason: span.reason})
}

// within holds that a summary's window is one, or that all of it is declared.
func (t *tally) within(k int) {
	sum := &t.s.sums[k]
	n, ok := t.windowsIn(sum.From, sum.To)
	switch {
	case !ok || n == 0:
		t.lack(CodeWindows, "the window of batch %d, %s to %s, is none of %v", sum.index, timeText(sum.From), timeText(sum.To), duration(t.d.window))
	case n > 1 && !t.d.cover.holds(sum.From, sum.To) && !newDeclaredTime(t.restSpans(k), t.d.window).holds(sum.From, sum.To):
		t.absent(sum.From, sum.To, n-1)
	}
}

// windowsIn is how many windows a time has; not ok if it does not come out even.
func (t *tally) windowsIn(from, to int64) (n uint64, ok bool) {
	return uint64((to - from) / t.d.window), (to-from)%t.d.window == 0
}

// between holds that a time between two summaries has as many batches as windows.
func (t *tally) between(from, to int64, batches uint64) {
	n, ok := t.windowsIn(from, to)
	if !ok || batches > n {
		t.lack(CodeWindows, "the log has %s between %s and %s, and that is time for %d", countOf(batches, "batch"), timeText(from), timeText(to), n)
		return
	}
	if missing, told := n-batches, t.d.cover.windows(from, to); missing > told {
		t.absent(from, to, missing-told)
	}
}

func (t *tally) absent(from, to int64, n uint64) {
	t.v.Gaps = append(t.v.Gaps, GapVerdict{Kind: GapWindows, From: timeText(from), To: timeText(to), Count: n})
	t.lack(CodeGap, "%s missing between %s and %s, and nothing shown says why", isAre(n, "window"), timeText(from), timeText(to))
}

func countOf(n uint64, what string) string { return count(int(min(n, 1<<62)), what) }

func isAre(n uint64, what string) string {
	verb := " are"
	if n == 1 {
		verb = " is"
	}
	return count(int(min(n, 1<<62)), what) + verb
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
	rest := t.rests[j.run]
	if rest == nil || rest.LostKnown && rest.Lost < t.lost[j.run] {
		return "", false
	}
	return fmt.Sprintf("summary of batch %d", t.s.sums[j.run].index), true
}

func (t *tally) declaresAnew(j *counterJump) (by string, ok bool) {
	if r, ok := t.d.reboots[streamPlace{t.s.slot, j.at}]; ok && r.old == j.old.restart() && r.new == j.new.restart() {
		return fmt.Sprintf("statement %d", r.statement), true
	}
	if rest := t.rests[j.run]; rest != nil && !rest.LostKnown {
		return fmt.Sprintf("summary of batch %d", t.s.sums[j.run].index), true
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
// says so. A step back of up to two seconds needs none: while it lasts the clock
// stands still, so that all that comes has one stamp.
func (t *tally) steps() {
	for _, s := range t.s.steps {
		g := GapVerdict{Kind: GapClock, From: timeText(s.min), To: timeText(s.max), Count: s.n}
		if d := t.d.clockNear(s.min, s.max); d != nil {
			g.Declared, g.By, g.Reason = true, d.by, d.reason
		} else if s.min == s.max {
			g.Declared, g.By = true, "the readings themselves"
		}
		t.v.Gaps = append(t.v.Gaps, g)
		if !g.Declared {
			t.lack(CodeClock, "reading %d and what follows are stamped by a clock that had stepped, and no statement shown says so", s.first)
		}
	}
}

// clockNear returns a clock's step within a quarter hour of a time.
func (d *declarations) clockNear(from, to int64) *declaredSpan {
	n, _ := slices.BinarySearchFunc(d.spans, to+quarterHour, func(s declaredSpan, at int64) int {
		if s.from <= at {
			return -1
		}
		return 1
	})
	if n == 0 || d.reach[n-1] < 0 {
		return nil
	}
	if s := &d.spans[d.reach[n-1]]; s.to >= from-quarterHour {
		return s
	}
	return nil
}

// tail names what is claimed and not known yet.
func (t *tally) tail(last *rangeSummary) {
	if last.Closed || last.To >= t.r.To {
		return
	}
	t.v.Gaps = append(t.v.Gaps, GapVerdict{Kind: GapTail, From: timeText(last.To), To: timeText(t.r.To)})
	t.lack(CodeTail, "what was received from %s to %s is not known yet", timeText(last.To), timeText(t.r.To))
}
