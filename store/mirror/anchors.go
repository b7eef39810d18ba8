package mirror

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"cairn/anchor/proof"
	"cairn/merkle"
	"cairn/merkle/ledger"
)

// RouteReport is how far one route of a policy holds the log.
type RouteReport struct {
	Route   string `json:"route"`             // the policy's name, or the chain's
	Size    uint64 `json:"batches"`           // of the newest head that a trusted block holds; 0: none
	Block   uint64 `json:"block,omitempty"`   // its height
	Hash    string `json:"hash,omitempty"`    // as the chain's tools write it
	Time    string `json:"time,omitempty"`    // that the block states
	How     string `json:"how,omitempty"`     // it is trusted
	Waiting int    `json:"waiting,omitempty"` // receipts whose block nobody vouched for
	Moved   string `json:"moved,omitempty"`   // in words, where the ledger anchors now, if that is not where the policy has it
}

// AnchorReport is what a copy's receipts prove by the reader's own access to the
// chains.
type AnchorReport struct {
	Routes  []RouteReport `json:"routes"`
	Size    uint64        `json:"batches"`           // held as the policy's quorum asks
	Through string        `json:"through,omitempty"` // end of the newest window under it
}

// Anchors verifies the receipts that the copy holds against a policy, and asks trust
// which blocks are final. The alarm, if there is one, is about batches that are
// without anchors for longer than the policy allows.
func (c *Copy) Anchors(policy *proof.Policy, trust proof.HeaderTrust) (*AnchorReport, error) {
	if policy.Ledger != c.id.Ledger || !policy.Key.Equal(c.id.LogKey) {
		return nil, fmt.Errorf("the policy is of the ledger %v, this copy of %v", policy.Ledger, c.id.Ledger)
	}
	r := &AnchorReport{}
	anchors, err := c.proven(policy, trust)
	if err != nil {
		return nil, err
	}
	sizes := map[string]uint64{}
	for i := range policy.Routes {
		at := policyRoute(anchors, &policy.Routes[i])
		if at.Size == 0 {
			c.older(policy, trust, &policy.Routes[i], &at)
		}
		at.Moved = c.moved(policy, policy.Routes[i].Place)
		r.Routes = append(r.Routes, at)
		sizes[policy.Routes[i].Name] = at.Size
		r.Size = max(r.Size, at.Size)
	}
	if policy.Quorum == proof.QuorumNone {
		return r, nil
	}
	if policy.Quorum != "" {
		r.Size = quorumSize(policy, sizes)
	}
	return r, c.lateAnchor(policy, r)
}

// proven verifies the update file.
func (c *Copy) proven(policy *proof.Policy, trust proof.HeaderTrust) ([]proof.AnchorVerdict, error) {
	b, err := c.Update(context.Background())
	if errors.Is(err, ErrNone) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	v := proof.VerifyBytes(b, proof.Options{Policy: policy, Trust: trust})
	if v.False() {
		return nil, alarmf(FalseUpdate, "%s [%s]", v.Reason, v.Code)
	}
	return v.Anchors, nil
}

// older looks for the newest anchor of a route's place among those that are kept,
// when the newest update has none: the ledger may be anchored at another place now.
func (c *Copy) older(policy *proof.Policy, trust proof.HeaderTrust, route *proof.Route, at *RouteReport) {
	chain := route.Place.Chain()
	c.mu.RLock()
	sizes := slices.Clone(c.anchored[chain])
	c.mu.RUnlock()
	lo, hi := 0, len(sizes) // those before lo hold there, those from hi on do not
	for mid := min(c.olders[route.Place.String()], max(len(sizes)-1, 0)); lo < hi; mid = (lo + hi) / 2 {
		raw, err := readLimited(c.anchorPath(chain, sizes[mid]), maxAnchorFile)
		if err != nil {
			return
		}
		f, err := proof.Decode(raw)
		if err != nil {
			return
		}
		v := proof.Verify(c.withUpdate(f), proof.Options{Policy: policy, Trust: trust})
		if r := policyRoute(v.Anchors, route); r.Size == 0 {
			hi = mid
			continue
		} else if r.Size > at.Size {
			*at = r
		}
		lo = mid + 1
	}
	if c.olders == nil {
		c.olders = map[string]int{}
	}
	c.olders[route.Place.String()] = max(lo-1, 0)
}

// moved says in words where the ledger says that it is anchored on a chain, if that
// is nowhere where a policy has it.
func (c *Copy) moved(policy *proof.Policy, place proof.Place) string {
	c.mu.RLock()
	defer c.mu.RUnlock()
	now, ok := c.facts.places[place.Chain()]
	if !ok || slices.ContainsFunc(policy.Routes, func(r proof.Route) bool { return proof.SamePlace(now.Place, r.Place) }) {
		return ""
	}
	return fmt.Sprintf("since %s the ledger names another place there: %s", time.UnixMilli(now.at).UTC().Format(time.RFC3339), now.words)
}

// policyRoute finds the newest anchor that holds on a route.
func policyRoute(all []proof.AnchorVerdict, route *proof.Route) RouteReport {
	r := RouteReport{Route: cmp.Or(route.Name, route.Place.Chain())}
	for i := range all {
		a := &all[i]
		if !a.InPolicy || a.Name != route.Name || a.Route != route.Place.Chain() {
			continue
		}
		if !a.Trusted {
			r.Waiting++
			continue
		}
		if a.Size > r.Size {
			r.Size, r.Block, r.Hash, r.Time, r.How = a.Size, a.Block, a.Hash, a.Time, a.How
		}
	}
	return r
}

// quorumSize is up to where a policy's quorum holds the log: of a group of which k
// are needed, the k-th greatest of its members.
func quorumSize(policy *proof.Policy, sizes map[string]uint64) uint64 {
	for _, g := range policy.Groups { // members stand before their groups
		var of []uint64
		for _, m := range g.Members {
			of = append(of, sizes[m])
		}
		slices.SortFunc(of, func(a, b uint64) int { return cmp.Compare(b, a) })
		if g.Need >= 1 && g.Need <= len(of) {
			sizes[g.Name] = of[g.Need-1]
		}
	}
	return sizes[policy.Quorum]
}

// lateAnchor holds the first batch without an anchor against the policy.
func (c *Copy) lateAnchor(policy *proof.Policy, r *AnchorReport) error {
	head, _, ok := c.Head()
	if !ok {
		return nil
	}
	if r.Size > head.Size {
		return alarmf(FalseUpdate, "it holds anchors of %d batches, the copy has %d", r.Size, head.Size)
	}
	if r.Size > 0 {
		if h, err := c.header(r.Size - 1); err == nil {
			r.Through = time.UnixMilli(h.To).UTC().Format(time.RFC3339)
		}
	}
	if r.Size == head.Size || policy.Late == 0 {
		return nil
	}
	h, err := c.header(r.Size)
	if err != nil {
		return err
	}
	if age := c.now().Sub(time.UnixMilli(h.To)); age > policy.Late {
		text := fmt.Sprintf("batch %d, whose window ended %v ago, is not anchored as the policy asks within %v", r.Size, age.Round(time.Second), policy.Late)
		for _, route := range r.Routes {
			if route.Moved != "" {
				text += "; " + route.Moved + ", which the policy does not know: ask for a new one"
			}
		}
		return alarmf(LateAnchor, "%s", text)
	}
	return nil
}

func (c *Copy) header(index uint64) (ledger.Header, error) {
	e, err := c.Header(index)
	if err != nil {
		return ledger.Header{}, err
	}
	return ledger.ParseHeader(e)
}

// KnowsHead holds a root that a chain has as the ledger's newest against the copy. A
// chain without one has the zero root.
func (c *Copy) KnowsHead(route string, root merkle.Hash) error {
	if root == (merkle.Hash{}) {
		return nil
	}
	_, ok, err := c.FindRoot(root)
	if err != nil || ok {
		return err
	}
	head, _, _ := c.Head()
	return alarmf(UnknownAnchor, "%s has the head %v, which none of the first %d batches leads to: the log has another history there, or the source is behind", route, root, head.Size)
}
