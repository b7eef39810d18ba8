package proof

import (
	"fmt"
	"slices"
	"strings"

	"cairn/merkle"
	"cairn/merkle/ledger"
)

// Limits of what statements are followed for.
const (
	maxStated     = 1024 // statements that name a place or key
	maxSuccessors = 64   // places beside the policy's
)

// place is one where anchors count, and the policy's route that it is of.
type place struct {
	Place
	route int
}

// policyPlaces returns the places that the policy itself names.
func (c *checker) policyPlaces() []place {
	if c.o.Policy == nil {
		return nil
	}
	all := make([]place, len(c.o.Policy.Routes))
	for i, r := range c.o.Policy.Routes {
		all[i] = place{r.Place, i}
	}
	return all
}

// routeOf returns the policy's route whose anchors are at this place, or -1.
// Without a policy every anchor counts.
func (c *checker) routeOf(p Place) int {
	if c.o.Policy == nil {
		return 0
	}
	for _, have := range c.places {
		if have.same(p) {
			return have.route
		}
	}
	return -1
}

// succeed adds the places that statements name in batches which the policy's
// quorum is reached for already, and reports whether one is new. A place that
// only its own anchors vouch for is never added.
func (c *checker) succeed() bool {
	if c.o.Policy == nil || !c.namesPlaces() {
		return false
	}
	heads, q, levels := c.byHead(), newQuorum(c.o.Policy), make(map[int]Level)
	added := false
	for i := range c.stated {
		s := &c.stated[i]
		if s.place == nil || s.followed || s.why != "" || len(c.places)-len(c.o.Policy.Routes) == maxSuccessors {
			continue
		}
		if c.routeOf(s.place) >= 0 {
			s.followed = true
			continue
		}
		route := c.succeeds(s)
		if route < 0 {
			continue
		}
		batch := c.f.Statements[s.statement].Batch
		level, ok := levels[batch]
		if !ok {
			level = c.weigh(q, c.standings(batch, heads), batch).level
			levels[batch] = level
		}
		if level >= LevelLate {
			c.places = append(c.places, place{s.place, route})
			s.followed, added = true, true
		}
	}
	return added
}

// stated is a statement that names another place or log key.
type stated struct {
	statement int // position in the file
	what      string
	place     Place // nil for a log key
	followed  bool
	why       string // it is not
}

func (c *checker) namesPlaces() bool {
	for i := range c.stated {
		if c.stated[i].place != nil {
			return true
		}
	}
	return false
}

// succeeds returns the policy's route that a stated place is another place of:
// of those on its chain the last, so that one anchor never counts for two. -1,
// with the reason, if there is none, or none that may go there.
func (c *checker) succeeds(s *stated) int {
	at, known := -1, false
	for i, r := range c.o.Policy.Routes {
		if r.Place.Chain() != s.place.Chain() {
			continue
		}
		at = i
		if e, ok := r.Place.(EthereumRoute); ok {
			known = known || e.Code == s.place.(EthereumRoute).Code
		}
	}
	if at < 0 {
		s.why = "the policy has no route on that chain"
		return -1
	}
	if e, ok := s.place.(EthereumRoute); ok && !known && e.Code != RegistryCode {
		s.why = "its contract has another code than the policy's, and than this project's registry"
		return -1
	}
	return at
}

// PlaceOf returns the place of anchors that a statement names, and its words; false
// of a statement that names none, or only calendars.
func PlaceOf(st *ledger.Statement) (p Place, words string, ok bool) {
	switch st.Kind {
	case ledger.KindRoute:
		r, err := ledger.RouteFrom(*st)
		if err != nil || r.Name != ethereumRoute(r.ChainID) {
			return nil, "", false
		}
		p = EthereumRoute{ChainID: r.ChainID, Contract: r.Contract, Code: r.CodeHash, Sender: r.Sender}
		return p, p.String(), true
	case ledger.KindRouteBitcoin:
		r, err := ledger.RouteBitcoinFrom(*st)
		if err != nil {
			return nil, "", false
		}
		return BitcoinRoute{Network: r.Network, Script: r.Script}, fmt.Sprintf("bitcoin network=%s script=%x", r.Network, r.Script), true
	}
	return nil, "", false
}

// SamePlace reports whether two places take the same anchors.
func SamePlace(a, b Place) bool { return a.same(b) }

// state notes a statement that names another place or log key.
func (c *checker) state(i int, st *ledger.Statement) {
	s := stated{statement: i}
	switch st.Kind {
	case ledger.KindRoute, ledger.KindRouteBitcoin:
		ok := false
		if s.place, s.what, ok = PlaceOf(st); !ok {
			return
		}
	case ledger.KindLogKey:
		k, err := ledger.LogKeyFrom(*st)
		if err != nil {
			return
		}
		s.what, s.followed = "log key "+merkle.VerifierKey(ledger.Origin(c.id), k.New[:]), true
	default:
		return
	}
	if len(c.stated) < maxStated && !c.o.Policy.names(s.place) {
		c.stated = append(c.stated, s)
	}
}

// names reports whether a place is one of the policy's own.
func (p *Policy) names(at Place) bool {
	return p != nil && at != nil && slices.ContainsFunc(p.Routes, func(r Route) bool { return r.Place.same(at) })
}

// successions tells of each statement that names another place or key whether
// it was followed, where any batch shows it.
func (c *checker) successions() {
	at := make(map[uint64]int)
	for i := range c.stated {
		s := &c.stated[i]
		v := SuccessionVerdict{Statement: c.f.Statements[s.statement].Index, What: s.what, Followed: s.followed, Why: s.why}
		switch {
		case s.followed:
		case c.o.Policy == nil:
			v.Why = "no policy was given, so that every place counts"
		case v.Why == "":
			v.Why = "nothing that the policy trusts already vouches for the batch that shows it"
		}
		before, told := at[v.Statement]
		switch {
		case !told:
			at[v.Statement] = len(c.v.Succession)
			c.v.Succession = append(c.v.Succession, v)
		case v.Followed:
			c.v.Succession[before] = v
		}
	}
}

func isBitcoin(route string) bool { return strings.HasPrefix(route, ledger.BitcoinRoutes) }

func isEthereum(route string) bool { return strings.HasPrefix(route, "ethereum:") }
