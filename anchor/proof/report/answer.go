package report

import (
	"fmt"
	"strings"

	"cairn/anchor/proof"
)

// levelWords say of each level what it means to somebody who has to rely on it.
var levelWords = []struct {
	level proof.Level
	means markup
}{
	{proof.LevelNone, "nothing is proven"},
	{proof.LevelLogged, "entered in a ledger whose state the ledger’s own key signed; since when, its owner alone says"},
	{proof.LevelPending, "that state was put on a public chain, or promised to be, but nobody whom the verifier trusts vouches for the block"},
	{proof.LevelLate, "it stands in a public block that the verifier trusts, but came later than the policy allows"},
	{proof.LevelAnchored, "it stands in a public block that the verifier trusts: nobody could change it unseen after that"},
}

// answer writes the answer in a sentence, before everything else.
func (r *report) answer() {
	v := r.v
	mark := markup("✓")
	class := markup("verified")
	switch v.Outcome {
	case proof.Refused:
		mark, class = "✗", "refused"
	case proof.Unchecked:
		mark, class = "?", "unchecked"
	}
	r.put(`<div class="answer %" id="answer"><p class="word"><span aria-hidden="true">% </span>%`, class, mark, words[v.Outcome])
	if v.Outcome == proof.Verified {
		r.put(`: %`, v.Level)
	}
	r.put(`</p><p class="first">%</p>`+"\n", r.sentence())
	if v.Code != "" {
		why := markup("Reason")
		if v.Outcome == proof.Verified {
			why = "Why it is not proven further:"
		}
		r.put(`<p class="more">% <code>%</code>: %.</p>`+"\n", why, string(v.Code), strings.TrimSuffix(v.Reason, "."))
	}
	if v.Next != "" && v.Outcome != proof.Verified {
		r.put(`<p class="more">What to do: %.</p>`+"\n", v.Next)
	}
	r.put(`<p class="more">What was not checked: %, in section 3.</p></div>`+"\n", count(len(v.NotChecked), "point"))
	r.warnings()
	r.put(`<ol class="levels" aria-label="How far it is proven">`)
	for _, l := range levelWords {
		class, note := markup(""), ""
		if l.level == v.Level {
			class, note = "at", " ◀ proven"
		}
		if l.level == v.Required {
			note += " (asked for)"
		}
		r.put(`<li class="%"><b>%%</b>%</li>`, class, l.level, note, l.means)
	}
	r.put("</ol>\n")
}

// sentence is the answer.
func (r *report) sentence() string {
	v := r.v
	switch {
	case v.Code == proof.CodeUpdate:
		return "This file is an update: it shows no reading, and completes the proofs of others. By itself it proves nothing."
	case v.Outcome == proof.Unchecked && v.Level == proof.LevelNone:
		return "There is no answer: the file could not be checked as was asked. Nothing is said here for or against it."
	case v.Outcome == proof.Unchecked && v.Level >= v.Required:
		return "There is no answer yet: " + r.proven() + ", but not all of the time that the file claims to be complete for is known."
	case v.Outcome == proof.Unchecked:
		return fmt.Sprintf("There is no answer yet: what the file shows does not contradict itself, but whether it is %v could not be checked.", v.Required)
	case v.Level == proof.LevelNone:
		return fmt.Sprintf("This file proves nothing: a check that a true proof passes has failed (%s), so no part of what it says may be relied on.", r.failed())
	case v.Code == proof.CodeNotNamed:
		return fmt.Sprintf("What was given with this file is not what it names: no statement shown names the SHA-256 of %s. Of the file itself: %s.", r.unnamed(), r.proven())
	case v.Outcome == proof.Refused && v.Level < v.Required:
		return fmt.Sprintf("This file does not prove what was asked: %s; it was asked for as %v.", r.proven(), v.Required)
	case v.Outcome == proof.Refused:
		return "This file does not hold what it claims: " + r.proven() + ", but that nothing is missing between them is not so, or not shown."
	}
	s := r.proven() + r.complete()
	return strings.ToUpper(s[:1]) + s[1:] + "."
}

// complete says of what the readings are all that there are.
func (r *report) complete() string {
	v := r.v
	n := 0
	by := proof.ByGatewayAndDevice
	for i := range v.Ranges {
		if v.Ranges[i].Complete {
			n++
		}
		if v.Ranges[i].NumberedBy != by {
			by = proof.ByGateway
		}
	}
	switch {
	case n == 0 || n < len(v.Ranges):
		return ""
	case n == 1:
		return fmt.Sprintf("; and no reading is missing that was received from %s up to %s, as numbered by %s", told(v.Ranges[0].From), told(v.Ranges[0].To), numbered(by))
	}
	return fmt.Sprintf("; and no reading is missing in any of the %d ranges that it claims, as numbered by %s", n, numbered(by))
}

// unnamed says how many of the files that were given no statement names.
func (r *report) unnamed() string {
	n := 0
	for i := range r.v.Attached {
		if len(r.v.Attached[i].Names) == 0 {
			n++
		}
	}
	if n == len(r.v.Attached) && n == 1 {
		return "the one file that was given"
	}
	return fmt.Sprintf("%d of the %s that were given", n, count(len(r.v.Attached), "file"))
}

func (r *report) failed() string {
	for _, c := range r.v.Checks {
		if !c.OK {
			return fmt.Sprintf("step %d, %s", c.Step, c.Name)
		}
	}
	return "see below"
}

// proven says what the level means for what is shown.
func (r *report) proven() string {
	v := r.v
	n := 0
	if r.c != nil {
		n = len(r.c.rows)
	}
	what, is, stand, exist := "the "+count(n, "reading")+" shown here", "are unaltered entries", "stand", "existed"
	switch n {
	case 0:
		what, is, stand = "what this file shows", "is unaltered", "stands"
	case 1:
		what, is, stand = "the reading shown here", "is an unaltered entry", "stands"
	}
	whose := "this ledger"
	if !v.Identity {
		whose = "a ledger whose owner was not checked"
	}
	switch {
	case v.Level >= proof.LevelLate && v.NotAfter != nil:
		s := fmt.Sprintf("%s %s of %s and %s no later than %s", what, is, whose, exist, told(v.NotAfter.Time))
		if v.Level == proof.LevelLate {
			s += ", which is later than its policy allows"
		}
		return s
	case v.Level == proof.LevelPending:
		return fmt.Sprintf("%s %s of %s, but since when they %s there no block shows that anybody trusted vouches for", what, is, whose, "have stood")
	}
	return fmt.Sprintf("%s %s in %s that its own key has signed, but nothing outside of that ledger shows since when", what, stand, whose)
}

// warnings are what must not be overlooked beside the answer.
func (r *report) warnings() {
	v := r.v
	if v.Level > proof.LevelNone && v.Outcome != proof.Verified {
		r.put(`<p class="warn"><b>What follows is what the file says. It is not proven as was asked.</b></p>` + "\n")
	}
	if v.Level > proof.LevelNone && !v.Identity {
		r.put(`<p class="warn"><b>Whose ledger this is was not checked.</b> No policy was given. Anyone can make a ledger, and anchor it, to say what they like.</p>` + "\n")
	}
	if v.Level > proof.LevelNone && len(v.Clock) > 0 {
		r.put(`<p class="warn"><b>The gateway’s clock was wrong</b> by what public blocks say: the times in the readings are off by as much. See “The bounds in time”.</p>` + "\n")
	}
	if v.CheapWork != "" && v.Level >= proof.LevelLate {
		r.put(`<p class="warn"><b>This rests on %, a network for trying things out.</b> Its blocks cost nothing to make, so they prove nothing to a stranger.</p>`+"\n", foreign(v.CheapWork))
	}
}

// claim tells what the file says it is about.
func (r *report) claim() {
	r.part("What the file claims", "")
	v := r.v
	if r.c == nil {
		r.put("<p>It is not repeated here: a check has failed or could not be made, so that nothing of it may pass for a fact.</p>\n")
		return
	}
	r.put(`<table class="facts"><tbody>` + "\n")
	r.fact("Ledger", inGroups(v.Ledger), "hash")
	for i := range min(len(v.Ranges), maxRanges) {
		c := &v.Ranges[i]
		r.fact("All readings of", fmt.Sprintf("%s, received from %s up to %s: %s", r.name(i), told(c.From), told(c.To), count(int(c.Readings), "reading")), "")
	}
	r.claimOfReadings()
	if v.NotBefore != nil {
		note := ""
		if !v.NotBefore.Confirmed {
			note = " (by the ledger’s word)"
		}
		r.fact("Closed not before", told(v.NotBefore.Time)+note, "")
	}
	if v.NotAfter != nil {
		r.fact("Existed not after", told(v.NotAfter.Time), "")
	}
	r.fact("Proven", fmt.Sprintf("%v; asked for: %v", v.Level, v.Required), "")
	r.put("</tbody></table>\n")
}

func (r *report) fact(name markup, value string, class markup) {
	r.put(`<tr><th scope="row">%</th><td><span class="%">%</span></td></tr>`+"\n", name, class, value)
}

// claimOfReadings tells of the readings that stand alone, by stream.
func (r *report) claimOfReadings() {
	type source struct {
		name, bound string
		late        bool
		n           int
		first, last uint64
		from, to    int64
	}
	var order []*source
	known := make(map[uint64]*source)
	for i := range r.c.rows {
		w := &r.c.rows[i]
		if w.claim >= 0 {
			continue
		}
		s := known[w.slot]
		if s == nil {
			s = &source{name: r.c.sources[w.slot], first: w.seq, last: w.seq, from: w.from, to: w.to}
			known[w.slot] = s
			order = append(order, s)
		}
		s.n++
		s.first, s.last = min(s.first, w.seq), max(s.last, w.seq)
		s.from, s.to = min(s.from, w.from), max(s.to, w.to)
	}
	for i := range r.v.Readings {
		if s := known[r.v.Readings[i].Stream]; s != nil && r.v.Readings[i].Range == nil && r.v.Readings[i].BoundAs != "" {
			s.bound = r.v.Readings[i].BoundAs
		}
		if s := known[r.v.Readings[i].Stream]; s != nil {
			s.late = s.late || r.v.Readings[i].Late
		}
	}
	for i, s := range order {
		if i == maxRanges {
			r.fact("Shown", "… and readings of "+count(len(order)-i, "stream")+" more", "")
			break
		}
		what := fmt.Sprintf("%s of %s", count(s.n, "reading"), s.name)
		if s.n == 1 {
			what = fmt.Sprintf("reading %d of %s", s.first, s.name)
		} else {
			what += fmt.Sprintf(", chosen from numbers %d to %d", s.first, s.last)
		}
		if s.bound != "" {
			what += fmt.Sprintf(", bound as “%s”", visible(s.bound, maxForeign))
		}
		if s.late {
			what += ", came late"
		}
		r.fact("Shown", what, "")
		r.fact("Received between", when(s.from)+" and "+when(s.to), "")
	}
}
