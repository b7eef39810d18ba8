package ots

import (
	"context"
	"fmt"

	"cairn/anchor"
	"cairn/anchor/proof"
)

// view is the best chain as it stands during one call. A nil view believes
// calendars.
type view struct {
	c    *Chain
	tip  uint32
	seen map[uint32]proof.BitcoinHeader
}

// look opens a view; it is nil without Headers.
func (c *Chain) look(ctx context.Context) (*view, error) {
	if c.cfg.Headers == nil {
		return nil, nil
	}
	tip, err := c.cfg.Headers.Tip(ctx)
	if err != nil {
		return nil, fmt.Errorf("newest bitcoin block: %w", err)
	}
	return &view{c: c, tip: tip, seen: map[uint32]proof.BitcoinHeader{}}, nil
}

// header returns the header at a height of at most tip.
func (v *view) header(ctx context.Context, height uint32) (proof.BitcoinHeader, error) {
	if h, ok := v.seen[height]; ok {
		return h, nil
	}
	h, err := v.c.cfg.Headers.Header(ctx, height)
	if err != nil {
		return h, fmt.Errorf("header of bitcoin block %d: %w", height, err)
	}
	if err := h.CheckWork(v.c.cfg.Network); err != nil {
		return h, fmt.Errorf("%w: the node's block %d: %w", anchor.ErrWrongChain, height, err)
	}
	v.seen[height] = h
	return h, nil
}

func (v *view) block(ctx context.Context, height uint32) (anchor.Block, error) {
	h, err := v.header(ctx, height)
	return anchor.Block{Height: uint64(height), Hash: h.Hash(), Time: h.Time()}, err
}

// standing is how an attestation stands in the chain.
type standing int

const (
	good  standing = iota // its path ends in the block's merkle root
	wrong                 // the block has another
	ahead                 // there is no such block yet
)

// check tells how a Bitcoin attestation stands. Without headers it is good.
func (v *view) check(ctx context.Context, leaf proof.OTSLeaf) (standing, error) {
	switch {
	case v == nil:
		return good, nil
	case leaf.Height > uint64(v.tip):
		return ahead, nil
	}
	h, err := v.header(ctx, uint32(leaf.Height))
	if err != nil {
		return ahead, err
	}
	if merkle := h.Merkle(); string(leaf.Node.Message()) != string(merkle[:]) {
		return wrong, nil
	}
	return good, nil
}

// checkAll tells how the worst of a tree's Bitcoin attestations stands, and its
// height.
func (v *view) checkAll(ctx context.Context, t *proof.Timestamp) (worst standing, height uint64, err error) {
	for _, leaf := range bitcoin(t) {
		s, err := v.check(ctx, leaf)
		if err != nil {
			return ahead, 0, err
		}
		if s == wrong {
			return wrong, leaf.Height, nil
		}
		if s > worst || height == 0 {
			worst, height = max(s, worst), leaf.Height
		}
	}
	return worst, height, nil
}
