package ots

import (
	"context"
	"fmt"
	"math"
	"slices"

	"cairn/anchor"
	"cairn/anchor/proof"
)

// maxBlocks is how many blocks a receipt shows.
const maxBlocks = 16

// Receipt returns a proof.OTSReceipt for the attempt's root, with the header of
// each block that a calendar led to, if there are headers. It is verified.
func (c *Chain) Receipt(ctx context.Context, a anchor.Attempt, b anchor.Block) ([]byte, error) {
	c.work.Lock()
	defer c.work.Unlock()
	if err := c.open(); err != nil {
		return nil, err
	}
	v, err := c.look(ctx)
	if err != nil {
		return nil, err
	}
	s, err := c.stampOf(ctx, v, a)
	if err != nil {
		return nil, err
	}
	if !s.found {
		return nil, fmt.Errorf("%w: no block holds the stamp any more", anchor.ErrAgain)
	}
	r, err := c.receipt(ctx, v, s.tree, b, 0)
	if err != nil {
		return nil, err
	}
	return c.seal(r, a, b)
}

// Complete returns the receipt with what calendars gave since, and with the
// headers that follow its blocks, up to Depth.
func (c *Chain) Complete(ctx context.Context, a anchor.Attempt, b anchor.Block, receipt []byte) ([]byte, error) {
	c.work.Lock()
	defer c.work.Unlock()
	old, err := proof.ParseOTSReceipt(receipt)
	if err != nil {
		return nil, fmt.Errorf("%w: the journal's receipt: %w", anchor.ErrAgain, err)
	}
	tree, err := proof.ParseTimestamp(append([]byte(nil), a.Root[:]...), old.Timestamp)
	if err != nil {
		return nil, fmt.Errorf("%w: the journal's receipt: %w", anchor.ErrAgain, err)
	}
	if err := c.open(); err != nil {
		return nil, err
	}
	v, err := c.look(ctx)
	if err != nil {
		return nil, err
	}
	s, err := c.stampOf(ctx, v, a)
	if err != nil {
		return nil, err
	}
	if s.found && len(s.heard) >= len(bitcoin(tree)) {
		tree = s.tree
	}
	r, err := c.receipt(ctx, v, tree, b, c.cfg.Depth-1)
	if err != nil {
		return nil, err
	}
	return c.seal(r, a, b)
}

// receipt shows the blocks that a tree leads to, b first of all, each with up to
// following headers after it.
func (c *Chain) receipt(ctx context.Context, v *view, tree *proof.Timestamp, b anchor.Block, following uint32) (proof.OTSReceipt, error) {
	r := proof.OTSReceipt{Network: c.cfg.Network}
	// Attestations that do not stand may have left nothing behind them.
	tree = tree.Only(func(proof.OTSAttestation) bool { return true })
	if tree == nil {
		return r, fmt.Errorf("%w: nothing is attested any more", anchor.ErrAgain)
	}
	var err error
	if r.Timestamp, err = tree.MarshalBinary(); err != nil {
		return r, fmt.Errorf("%w: write receipt: %w", anchor.ErrAgain, err)
	}
	if v == nil {
		return r, nil
	}
	heights := []uint64{b.Height}
	for _, leaf := range bitcoin(tree) {
		if !slices.Contains(heights, leaf.Height) && len(heights) < maxBlocks {
			heights = append(heights, leaf.Height)
		}
	}
	slices.Sort(heights)
	for _, height := range heights {
		if height > math.MaxUint32-maxDepth {
			return r, fmt.Errorf("%w: block %d", anchor.ErrAgain, height)
		}
		block := proof.OTSBlock{Height: uint32(height)}
		if block.Header, err = v.header(ctx, block.Height); err != nil {
			return r, err
		}
		for h := block.Height + 1; h <= min(v.tip, block.Height+following); h++ {
			next, err := v.header(ctx, h)
			if err != nil {
				return r, err
			}
			block.Following = append(block.Following, next)
		}
		r.Blocks = append(r.Blocks, block)
	}
	return r, nil
}

// seal verifies a receipt as anyone will, makes sure that it shows b, and
// returns its bytes.
func (c *Chain) seal(r proof.OTSReceipt, a anchor.Attempt, b anchor.Block) ([]byte, error) {
	facts, err := proof.VerifyOTS(r, a.Root)
	if err != nil {
		return nil, fmt.Errorf("%w: receipt: %w", anchor.ErrAgain, err)
	}
	for _, f := range facts {
		if uint64(f.Height) != b.Height || f.Shown != (c.cfg.Headers != nil) || f.Shown && f.Hash != b.Hash {
			continue
		}
		data, err := r.MarshalBinary()
		if err != nil {
			return nil, fmt.Errorf("%w: receipt: %w", anchor.ErrAgain, err)
		}
		return data, nil
	}
	return nil, fmt.Errorf("%w: the stamp does not lead to block %d any more", anchor.ErrAgain, b.Height)
}
