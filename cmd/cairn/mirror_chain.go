package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	asking "cairn/anchor/ask"
	"cairn/anchor/proof"
	"cairn/merkle"
	"cairn/store/mirror"
)

// mirrorChain is the mirror's own access to the chains that a ledger is anchored on.
type mirrorChain struct {
	policy  *proof.Policy
	nodes   *asking.Nodes  // of Ethereum; nil: none
	bitcoin *mirrorBitcoin // nil: none
	files   proof.AnyTrust // headers files
}

// openChain reads the policy and what the mirror trusts of chains.
func (f *mirrorFlags) openChain(dir string) (*mirrorChain, error) {
	if f.policy == "" {
		if len(f.rpc)+len(f.headers) > 0 || f.bitcoin.RPC != "" {
			return nil, errors.New("--rpc, --bitcoin-rpc and --headers check the anchors of a policy: give --policy FILE")
		}
		return nil, nil
	}
	b, err := os.ReadFile(f.policy)
	if err != nil {
		return nil, fmt.Errorf("--policy: %w", err)
	}
	c := &mirrorChain{}
	if c.policy, err = proof.ParsePolicy(b); err != nil {
		return nil, fmt.Errorf("--policy: %w", err)
	}
	for _, path := range f.headers {
		b, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("--headers: %w", err)
		}
		t, err := proof.ParseTrust(b)
		if err != nil {
			return nil, fmt.Errorf("--headers: %s: %w", path, err)
		}
		c.files = append(c.files, t)
	}
	if len(f.rpc) > 0 {
		if c.nodes, err = asking.New(f.rpc, f.agree); err != nil {
			return nil, fmt.Errorf("--rpc: %w", err)
		}
	}
	if c.bitcoin, err = f.openBitcoin(dir); err != nil {
		return nil, fmt.Errorf("--bitcoin-rpc: %w", err)
	}
	return c, nil
}

// close ends what the access to the chains keeps open.
func (c *mirrorChain) close() {
	if c != nil && c.bitcoin != nil {
		c.bitcoin.node.Close()
	}
}

// unasked names the policy's routes that the mirror has no access to, so that it
// takes the source's word for when they hold the log; all of them without a policy.
func (c *mirrorChain) unasked() (routes []string) {
	if c == nil {
		return []string{"all"}
	}
	for _, r := range c.policy.Routes {
		_, ethereum := r.Place.(proof.EthereumRoute)
		if len(c.files) == 0 && (ethereum && c.nodes == nil || !ethereum && c.bitcoin == nil) {
			routes = append(routes, cmp.Or(r.Name, r.Place.Chain()))
		}
	}
	return routes
}

// anchors verifies the copy's receipts; nothing without a policy or anything to
// trust.
func (c *mirrorChain) anchors(ctx context.Context, of *mirror.Copy) (*mirror.AnchorReport, error) {
	if c == nil || len(c.files) == 0 && c.nodes == nil && c.bitcoin == nil {
		return nil, nil
	}
	trust, failed := slices.Clone(c.files), []error(nil)
	if c.bitcoin != nil {
		t, err := c.bitcoin.trust(ctx)
		if t != nil {
			trust = append(trust, t)
		}
		failed = append(failed, err)
	}
	if c.nodes != nil {
		c.nodes.Begin(ctx)
		trust = append(trust, c.nodes)
	}
	r, err := of.Anchors(c.policy, trust)
	if c.nodes != nil {
		failed = append(failed, c.nodes.Failed())
	}
	if could := errors.Join(failed...); could != nil && ctx.Err() == nil {
		err = errors.Join(err, unchecked(could))
	}
	return r, err
}

func unchecked(err error) error {
	return &mirror.Alarm{Kind: mirror.UncheckedAnchors, Text: strings.ReplaceAll(err.Error(), "\n", "; ")}
}

// chainHead is what a chain has as the ledger's newest root.
type chainHead struct {
	route string
	root  merkle.Hash
}

// heads asks each node for the newest root that each of the policy's contracts has
// of the ledger.
func (c *mirrorChain) heads(ctx context.Context, id merkle.Hash) (all []chainHead, err error) {
	if c == nil || c.nodes == nil {
		return nil, nil
	}
	var failed []error
	for _, r := range c.policy.Routes {
		place, ok := r.Place.(proof.EthereumRoute)
		if !ok {
			continue
		}
		roots, err := c.nodes.Storage(ctx, place.ChainID, place.Contract, proof.EthereumSlot(place.Sender, id))
		if err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", place.Chain(), err))
		}
		for _, root := range roots {
			if h := (chainHead{place.Chain(), root}); !slices.Contains(all, h) {
				all = append(all, h)
			}
		}
	}
	if len(failed) > 0 && ctx.Err() == nil {
		return all, unchecked(errors.Join(failed...))
	}
	return all, nil
}
