package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"cairn/anchor/proof"
)

type policyRequest struct {
	Late string `json:"late,omitempty"` // a duration; "": twice the longest cadence; "0": none
}

type policyAnswer struct {
	Text   string `json:"text"`
	Routes int    `json:"routes"`
}

func (c *command) policyCommand() *cobra.Command {
	var q policyRequest
	cmd := &cobra.Command{
		Use:   "policy",
		Short: "Write the policy file: whose ledger this is and where it is anchored",
		Long: "Writes the policy file of this ledger. Hand it out by another way than the proofs: it is what\n" +
			"tells a verifier that a proof is yours and not that of someone with a key, a contract and an\n" +
			"account of their own. It holds no secret. An anchor later than the policy's longest delay\n" +
			"after its window's end gives the level \"late\".",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			a, err := ask[policyAnswer](cmd.Context(), c, "policy", q)
			if err != nil {
				return err
			}
			if a.Routes == 0 {
				fmt.Fprintln(c.Err, "cairn: warning: this ledger is anchored nowhere: the policy identifies it, and no proof will get beyond \"logged\"")
			}
			_, err = fmt.Fprint(c.Out, a.Text)
			return err
		},
	}
	cmd.Flags().StringVar(&q.Late, "late", "", "longest delay from a window's end to its anchor, such as 2h (default twice the cadence and 30 minutes; 0 for any)")
	c.ledgerFlag(cmd, theDefaultLedger)
	return cmd
}

func (l *openLedger) policy(_ context.Context, q policyRequest) (policyAnswer, error) {
	stated, err := l.statedRoutes()
	if err != nil {
		return policyAnswer{}, err
	}
	late, err := l.cfg.lateOf(q.Late, routeNames(stated))
	if err != nil {
		return policyAnswer{}, err
	}
	p := proof.Policy{Ledger: l.store.Ledger(), Key: l.store.FirstLogKey()}
	l.policyRoutes(&p, stated)
	l.policyWitnesses(&p)
	if len(p.Routes) > 0 {
		p.Late = late
	}
	text := p.Append(nil)
	if _, err := proof.ParsePolicy(text); err != nil {
		return policyAnswer{}, fmt.Errorf("the policy written here would not be read: %w", err)
	}
	return policyAnswer{string(text), len(p.Routes)}, nil
}

// policyRoutes puts the places where the ledger is anchored into a policy, and
// how many of them must hold a batch. Those that it named on one chain, one after
// the other, count as one. A route that is configured no more counts where any
// one is enough.
func (l *openLedger) policyRoutes(p *proof.Policy, stated []statedRoute) {
	var members []string
	for _, name := range routeNames(stated) {
		if !l.cfg.counts(name) {
			continue
		}
		var names []string
		places := distinct(stated, name)
		for n, place := range places {
			r := proof.Route{Name: name, Place: l.asConfigured(place)}
			if len(places) > 1 {
				r.Name = fmt.Sprintf("%s.%d", name, n)
			}
			p.Routes, names = append(p.Routes, r), append(names, r.Name)
		}
		if len(places) > 1 {
			p.Groups = append(p.Groups, proof.Group{Name: name, Need: 1, Members: names})
		}
		members = append(members, name)
	}
	switch {
	case len(members) == 0:
		p.Quorum = proof.QuorumNone
	case len(members) == 1:
		p.Quorum = members[0]
	default:
		p.Groups = append(p.Groups, proof.Group{Name: quorumGroup, Need: min(l.cfg.need(len(l.cfg.Anchors)), len(members)), Members: members})
		p.Quorum = quorumGroup
	}
}

const quorumGroup = "anchored"

// asConfigured gives a place what the ledger's statement does not say of it, and
// the configuration does.
func (l *openLedger) asConfigured(place proof.Place) proof.Place {
	for i := range l.cfg.Anchors {
		a := &l.cfg.Anchors[i]
		switch r := place.(type) {
		case proof.BitcoinRoute:
			if a.Route() == r.Chain() {
				r.Depth = a.Depth
				return r
			}
		case proof.OTSRoute:
			if a.Type == typeOTS {
				r.Network, r.Depth = a.OTS.Node.Network, a.Depth
				return r
			}
		}
	}
	return place
}

// configured finds a route by name, nil if it is no more.
func (l *LedgerConfig) configured(route string) *AnchorConfig {
	for i := range l.Anchors {
		if l.Anchors[i].Route() == route {
			return &l.Anchors[i]
		}
	}
	return nil
}

// counts reports whether a route that the ledger has named stands in the policy.
func (l *LedgerConfig) counts(route string) bool {
	return l.configured(route) != nil || l.need(len(l.Anchors)) == 1
}

// lateOf is the longest delay that the policy allows. By default an anchor may
// miss one slot of the slowest of its routes, and its block may wait for half an
// hour, or longer where blocks are rare.
func (l *LedgerConfig) lateOf(text string, routes []string) (late time.Duration, err error) {
	if text != "" {
		d, err := time.ParseDuration(text)
		if err != nil || d < 0 {
			return 0, fmt.Errorf("--late: %.40q is no duration such as 2h", text)
		}
		return d, nil
	}
	for _, name := range routes {
		if !l.counts(name) {
			continue
		}
		is, _, _ := strings.Cut(name, ":")
		every, patience := everyOf[is], blockPatience
		if a := l.configured(name); a != nil {
			every = a.Every
		}
		switch is {
		case typeBitcoin:
			patience = bitcoinPatience
		case typeOTS:
			patience = otsPatience
		}
		late = max(late, 2*every+patience)
	}
	return late, nil
}

const blockPatience = 30 * time.Minute
