package proof

import (
	"cmp"
	"fmt"
	"strings"
)

// Step 13: each reading's level is its batch's, each statement's that of the
// batch which shows it, and all that a range's summaries stand in count; the
// file's is the least.
func (c *checker) levels() (string, *fault) {
	if c.isUpdate() {
		c.update()
		return "", nil
	}
	l := leveller{c: c, quorum: newQuorum(c.o.Policy), heads: c.byHead(), known: make([]*batchAnchor, len(c.f.Batches))}
	c.v.Level, c.anchors = LevelAnchored, l.known
	var shown []*batchAnchor // that readings are bounded by
	for i := range c.v.Readings {
		v := &c.v.Readings[i]
		a := l.anchorOf(v.at)
		v.Level, v.NotBefore, v.NotAfter = a.level, a.notBefore, a.notAfter
		shown = append(shown, a)
	}
	for i := range c.f.Ranges {
		for _, s := range c.f.Ranges[i].Summaries {
			shown = append(shown, l.anchorOf(c.f.Summaries[s].Batch))
		}
	}
	for i := range c.v.Statements {
		c.v.Statements[i].Level = l.anchorOf(c.f.Statements[i].Batch).level
	}
	c.alerts()
	c.attached()
	c.bounds(shown)
	c.clockVerdicts()
	l.routes()
	if c.v.Level < LevelLate || c.v.NotAfter == nil {
		return "", nil
	}
	return "not later than " + c.v.NotAfter.Time + c.lateness(), nil
}

// leveller finds the levels of batches.
type leveller struct {
	c      *checker
	quorum *quorum
	heads  []anchorsOfHead
	known  []*batchAnchor
	least  []standing // of each of the policy's routes, the worst of all batches
}

// batchAnchor is what a batch's anchors give to all that it shows.
type batchAnchor struct {
	level               Level
	notBefore, notAfter *Bound
}

// anchorOf returns a batch's, found once, and lowers the file's level to it.
func (l *leveller) anchorOf(batch int) *batchAnchor {
	if l.known[batch] != nil {
		return l.known[batch]
	}
	c := l.c
	routes := c.standings(batch, l.heads)
	best := c.weigh(l.quorum, routes, batch)
	a := &batchAnchor{level: best.level, notBefore: c.notBefore(batch, cmp.Or(best.bound, best.block))}
	if best.level >= LevelLate {
		c.v.CheapWork = cmp.Or(c.v.CheapWork, best.cheap)
		c.oneBlock(routes)
		a.notAfter = c.notAfter(best.bound)
		c.delay = max(c.delay, best.block.time-c.batches[batch].header.To)
	}
	c.readClock(batch, routes)
	l.lower(routes)
	if best.level < c.v.Level {
		c.v.Level = best.level
		c.explain(best, batch, l.quorum.missing(routes))
	}
	l.known[batch] = a
	return a
}

// oneBlock notes two routes that rest on one Bitcoin block: there one anchor may
// have been shown as both.
func (c *checker) oneBlock(routes []standing) {
	first := make(map[[32]byte]int)
	for i := range routes {
		b := routes[i].bound
		if b == nil || !isBitcoin(b.route) || c.shared != "" {
			continue
		}
		if k, ok := first[b.hash]; ok {
			r := c.o.Policy.Routes
			c.shared = fmt.Sprintf("that %s and %s stand for two anchors: both rest on block %d of %s, and one transaction can be shown as either",
				placeName(r[k].Name, r[k].Place.Chain()), placeName(r[i].Name, r[i].Place.Chain()), b.height, b.route)
		}
		first[b.hash] = i
	}
}

// lower keeps the worst standing of each route.
func (l *leveller) lower(routes []standing) {
	if l.least == nil {
		l.least = routes
		return
	}
	for i := range routes {
		if compareStandings(routes[i], l.least[i]) > 0 {
			l.least[i] = routes[i]
		}
	}
}

// routes tells of each of the policy's routes how far it goes.
func (l *leveller) routes() {
	p := l.c.o.Policy
	if p == nil {
		return
	}
	l.c.v.Quorum = p.Quorum
	for i, r := range p.Routes {
		v := RouteVerdict{Name: r.Name, Chain: r.Place.Chain(), Level: LevelNone}
		if i < len(l.least) {
			v.Level, v.Code = l.least[i].level, l.least[i].code
		}
		l.c.v.Routes = append(l.c.v.Routes, v)
	}
}

func (c *checker) lateness() string {
	p, by := c.o.Policy, ""
	if p == nil || p.Late == 0 {
		return ""
	}
	if c.v.NotAfter.Slack != "" {
		by = " by the blocks' own times"
	}
	if c.v.Level == LevelLate {
		return fmt.Sprintf(", over %v after the window's end%s", p.Late, by)
	}
	return fmt.Sprintf(", at most %v after the window's end%s", p.Late, by)
}

// explain says why the level is not higher, and what to do. missing is what a
// quorum lacks, if more than one route is asked for.
func (c *checker) explain(s standing, batch int, missing string) {
	v := &c.v
	v.Code = s.code
	switch s.code {
	case CodeNoReceipt:
		v.Reason = "the file holds no receipt that this batch was anchored"
		if missing != "" {
			v.Reason = "the file holds no receipt of that"
		}
		v.Next = "ask for the proof again once the anchor is final"
	case CodeNoRoute:
		v.Reason = "no receipt for it is of a place that the policy asks for: they are of another chain, contract, code, sender or script"
		v.Next = "ask the ledger's owner for its newest policy"
		for _, named := range v.Succession {
			if !named.Followed {
				v.Reason += fmt.Sprintf("; statement %d names another place, and is not followed: %s", named.Statement, named.Why)
				v.Next += ", or give what makes the batch which shows that statement anchored"
				break
			}
		}
	case CodeNoQuorum:
		v.Reason = "the policy asks for no anchor: by it nothing is more than logged"
		v.Next = "ask the ledger's owner for a policy with a quorum, or require no more than logged"
	case CodeWitnesses:
		v.Reason = fmt.Sprintf("the policy asks that %s cosign: %s", c.o.Policy.Cosigned, c.cosigning.missing(c.cosigners(batch)))
		v.Next = "ask for the proof again once they have cosigned, or for an update with their cosignatures"
		missing = ""
	case CodePromise:
		v.Reason = "there is no more than a calendar's promise: " + strings.Join(s.by.pending, ", ")
		v.Next = "ask for the proof again in some hours, when the calendar's own anchor is in a block"
	case CodeNotTrusted:
		v.Reason = fmt.Sprintf("nobody trusted says that %s is final", s.block.text())
		if s.block.how != "" {
			v.Reason += ": " + s.block.how
		}
		v.Next = "look that block up and give its hash by --block, or a headers file by --headers"
		switch {
		case !s.block.known:
			v.Next = "give a headers file that has that block by --headers (cairn headers fetch writes one from any node)"
		case isEthereum(s.block.route):
			v.Next += ", or nodes to ask by --rpc"
		default:
			v.Next += " (cairn headers fetch writes one from any node)"
		}
	case CodeTrustFailed:
		v.Reason = fmt.Sprintf("block %d of %s could not be checked: %s", s.block.height, s.block.route, strings.ReplaceAll(s.block.err.Error(), "\n", "; "))
		v.Next = "try again later or with other nodes, or give the block's hash by --block"
	case CodeLate:
		late := duration(s.block.time - c.batches[batch].header.To)
		v.Reason = fmt.Sprintf("it was anchored %v after its window's end, the policy allows %v", late, c.o.Policy.Late)
		v.Next = "ask the ledger's owner what delayed the anchor"
	}
	if missing != "" {
		v.Reason = missing + "; " + v.Reason
	}
}

// text names a block by what is known of it.
func (b *anchorBlock) text() string {
	if !b.known {
		return fmt.Sprintf("block %d of %s with merkle root %s", b.height, b.route, shownHash(b.merkle))
	}
	return fmt.Sprintf("block %d of %s with hash %s", b.height, b.route, blockHash(b.route, b.hash))
}
