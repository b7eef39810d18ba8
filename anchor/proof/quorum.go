package proof

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// quorum is a node of what a policy asks for: a route, or members of which a
// number is enough.
type quorum struct {
	name    string
	need    int
	members []*quorum
	route   int // of the policy; meaningful without members
}

// newQuorum returns what a policy asks for, or nil if that is no anchor at all.
// Without a policy there is one route, which every receipt is of.
func newQuorum(p *Policy) *quorum {
	if p == nil {
		return &quorum{}
	}
	known, all := make(map[string]*quorum), &quorum{need: 1}
	for i, r := range p.Routes {
		leaf := &quorum{name: placeName(r.Name, r.Place.Chain()), route: i}
		all.members = append(all.members, leaf)
		if r.Name != "" {
			known[r.Name] = leaf
		}
	}
	witnesses := p.witnessGroups()
	for _, g := range p.Groups { // each names only such as stand before it
		if witnesses[g.Name] {
			continue
		}
		q := &quorum{name: g.Name, need: g.Need}
		for _, m := range g.Members {
			q.members = append(q.members, known[m])
		}
		if g.Need < 1 || g.Need > len(q.members) || slices.Contains(q.members, nil) {
			return nil // ParsePolicy gives no such policy
		}
		known[g.Name] = q
	}
	switch {
	case p.Quorum != "":
		return known[p.Quorum]
	case len(p.Routes) == 0:
		return &quorum{route: -1}
	}
	return all
}

// placeName names a route in words.
func placeName(name, chain string) string {
	if name == "" || name == chain {
		return chain
	}
	return fmt.Sprintf("%s (%s)", name, chain)
}

// standing is how far a batch's anchors on a route, or as many as a group asks
// for, prove it.
type standing struct {
	level Level
	code  Code          // why it is not higher
	block *anchorBlock  // the one that decides, or that would have to be trusted
	by    *receiptState // that has the block, or promises one
	bound *anchorBlock  // from LevelLate on: the latest of those that it rests on
	cheap string        // of those, one on a network where work is worth nothing
}

// weigh returns a node's standing, given those of the routes: of a group that
// asks for k, its member's that is the k-th best, bounded by what all k say.
func (q *quorum) weigh(routes []standing) standing {
	switch {
	case q == nil:
		return standing{level: LevelLogged, code: CodeNoQuorum}
	case len(q.members) == 0:
		return routes[max(q.route, 0)]
	}
	all := make([]standing, len(q.members))
	for i, m := range q.members {
		all[i] = m.weigh(routes)
	}
	slices.SortStableFunc(all, compareStandings)
	best := all[q.need-1]
	if best.level >= LevelLate {
		for _, s := range all[:q.need] {
			if s.bound.latest() > best.bound.latest() {
				best.bound = s.bound
			}
			best.cheap = cmp.Or(best.cheap, s.cheap)
		}
	}
	return best
}

// compareStandings puts the better one first: the higher level; of one level
// the earlier time, or that of which less is missing. What could not be asked
// might have been trusted, so that it goes first.
func compareStandings(a, b standing) int {
	if a.level != b.level {
		return cmp.Compare(b.level, a.level)
	}
	if a.level >= LevelLate {
		return cmp.Compare(a.bound.latest(), b.bound.latest())
	}
	return cmp.Compare(slices.Index(codeOrder, a.code), slices.Index(codeOrder, b.code))
}

// codeOrder is of the codes below LevelLate, the one first that is told first.
var codeOrder = []Code{CodeTrustFailed, CodeNotTrusted, CodePromise, CodeNoRoute, CodeNoReceipt, CodeNoQuorum}

// missing says in words what a node of several parts lacks, such as
// "1 of 2: bitcoin:mainnet is pending"; it is empty where there is no more to
// say than why the one that it rests on is not better.
func (q *quorum) missing(routes []standing) string {
	switch {
	case q == nil || len(q.members) == 0:
		return ""
	case q.need == 1:
		best := slices.MinFunc(q.members, func(a, b *quorum) int { return compareStandings(a.weigh(routes), b.weigh(routes)) })
		return best.missing(routes)
	}
	have, lacking := 0, []string(nil)
	for _, m := range q.members {
		s := m.weigh(routes)
		if s.level >= LevelAnchored {
			have++
			continue
		}
		word := s.level.String()
		if s.level == LevelLogged {
			word = "not anchored"
		}
		lacking = append(lacking, m.name+" is "+word)
	}
	return fmt.Sprintf("%d of %d: %s", have, q.need, strings.Join(lacking, ", "))
}

// headAnchors are the anchors of one head on one route that can decide.
type headAnchors struct {
	route int
	best  *anchored // the earliest that is trusted
	other *anchored // else the one to tell of
}

// anchored is a block of a receipt, or a receipt that has none and promises.
type anchored struct {
	by    *receiptState
	block *anchorBlock
}

// anchorsOfHead are those that a head has on all routes, and whether it has
// some that do not count.
type anchorsOfHead struct {
	routes    []headAnchors
	elsewhere bool
}

// byHead gathers the receipts by head and route. A head has those of the heads
// that extend it, too.
func (c *checker) byHead() []anchorsOfHead {
	heads := make([]anchorsOfHead, len(c.f.Heads))
	for i := range c.receipts {
		s := &c.receipts[i]
		h := &heads[s.head]
		if s.route < 0 {
			h.elsewhere = true
			continue
		}
		at := h.of(s.route)
		if len(s.blocks) == 0 && len(s.pending) != 0 { // with neither it says nothing
			at.add(&anchored{by: s})
		}
		for k := range s.blocks {
			at.add(&anchored{s, &s.blocks[k]})
		}
	}
	c.inherit(heads)
	return heads
}

// of returns the head's anchors on a route.
func (h *anchorsOfHead) of(route int) *headAnchors {
	at := slices.IndexFunc(h.routes, func(a headAnchors) bool { return a.route == route })
	if at < 0 {
		at = len(h.routes)
		h.routes = append(h.routes, headAnchors{route: route})
	}
	return &h.routes[at]
}

func (h *headAnchors) add(a *anchored) {
	switch {
	case a == nil:
	case a.block != nil && a.block.trusted:
		if h.best == nil || a.block.latest() < h.best.block.latest() {
			h.best = a
		}
	case h.other == nil || a.before(h.other):
		h.other = a
	}
}

// before reports whether a, of two that are not trusted, is the one to tell of:
// one that could not be asked first, then the earliest.
func (a *anchored) before(b *anchored) bool {
	if x, y := slices.Index(codeOrder, a.code()), slices.Index(codeOrder, b.code()); x != y {
		return x < y
	}
	return a.block != nil && a.block.known && (!b.block.known || a.block.latest() < b.block.latest())
}

// code returns why it is not trusted.
func (a *anchored) code() Code {
	switch {
	case a.block == nil:
		return CodePromise
	case a.block.err != nil:
		return CodeTrustFailed
	}
	return CodeNotTrusted
}

// standings returns how far a batch is proven on each route.
func (c *checker) standings(batch int, heads []anchorsOfHead) []standing {
	n := 1
	if c.o.Policy != nil {
		n = max(1, len(c.o.Policy.Routes))
	}
	all, elsewhere := make([]headAnchors, n), false
	for _, p := range c.f.Batches[batch].Heads {
		h := &heads[p.Head]
		elsewhere = elsewhere || h.elsewhere
		for _, a := range h.routes {
			all[a.route].add(a.best)
			all[a.route].add(a.other)
		}
	}
	routes := make([]standing, n)
	for i := range all {
		routes[i] = c.standing(&all[i], batch, elsewhere)
	}
	return routes
}

// standing judges one route. Late is by the time that the block itself states.
func (c *checker) standing(a *headAnchors, batch int, elsewhere bool) standing {
	switch p := c.o.Policy; {
	case a.best != nil && p != nil && p.Late != 0 && a.best.block.time-c.batches[batch].header.To > p.Late.Milliseconds():
		return standing{LevelLate, CodeLate, a.best.block, a.best.by, a.best.block, cheapWork(a.best.block.route)}
	case a.best != nil:
		return standing{LevelAnchored, "", a.best.block, a.best.by, a.best.block, cheapWork(a.best.block.route)}
	case a.other != nil:
		return standing{level: LevelPending, code: a.other.code(), block: a.other.block, by: a.other.by}
	case elsewhere:
		return standing{level: LevelLogged, code: CodeNoRoute}
	}
	return standing{level: LevelLogged, code: CodeNoReceipt}
}

// cheapWork returns the route if it is a Bitcoin network other than mainnet.
func cheapWork(route string) string {
	if isBitcoin(route) && route != bitcoinRoute(BitcoinMainnet) {
		return route
	}
	return ""
}
