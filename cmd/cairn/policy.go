package main

import (
	"context"
	"fmt"
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
	late, err := l.lateOf(q.Late)
	if err != nil {
		return policyAnswer{}, err
	}
	stated, err := l.statedRoutes()
	if err != nil {
		return policyAnswer{}, err
	}
	p := proof.Policy{Ledger: l.store.Ledger(), Key: l.store.LogKey()}
	seen := map[proof.EthereumRoute]bool{}
	for _, s := range stated {
		r := proof.EthereumRoute{ChainID: s.chain, Contract: s.contract, Code: s.code, Sender: s.sender}
		if !seen[r] {
			seen[r] = true
			p.Routes = append(p.Routes, proof.Route{Place: r})
		}
	}
	if len(p.Routes) > 0 {
		p.Late = late
	}
	text := p.Append(nil)
	if _, err := proof.ParsePolicy(text); err != nil {
		return policyAnswer{}, fmt.Errorf("the policy written here would not be read: %w", err)
	}
	return policyAnswer{string(text), len(p.Routes)}, nil
}

// lateOf is the longest delay that the policy allows. By default an anchor may
// miss one slot of the slowest route, and its block may wait for half an hour.
func (l *openLedger) lateOf(text string) (time.Duration, error) {
	if text != "" {
		d, err := time.ParseDuration(text)
		if err != nil || d < 0 {
			return 0, fmt.Errorf("--late: %.40q is no duration such as 2h", text)
		}
		return d, nil
	}
	every := time.Duration(0)
	for i := range l.cfg.Anchors {
		every = max(every, l.cfg.Anchors[i].Every)
	}
	if every == 0 {
		every = defaultEvery
	}
	return 2*every + 30*time.Minute, nil
}
