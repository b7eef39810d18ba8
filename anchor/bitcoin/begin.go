package bitcoin

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"cairn/anchor"
)

// inputs returns what an anchor can spend, input 0 first: the line's tip. A line
// without one, which is to begin, begins where it was said to, or else where the
// newest attempt begins that may still be mined. Whatever money came meanwhile
// or is not ripe again after a reorganisation: two attempts on two outputs could
// both be mined.
func (c *Chain) inputs(ctx context.Context, b *book, prior []anchor.Attempt) ([]coin, error) {
	funds := b.funds(c.scan.maturity)
	if b.line.Tip != (outpoint{}) {
		return funds, nil
	}
	outs := b.begun(prior)
	for _, out := range outs {
		if at, ok := b.coins[out]; ok {
			return append([]coin{at}, slices.DeleteFunc(funds, func(f coin) bool { return f.Out == out })...), nil
		}
		if err := c.notAwaited(ctx, out, prior); err != nil {
			return nil, err
		}
	}
	if len(outs) == 0 {
		return funds, nil
	}
	// What waits no more may have come into a block that the book does not have.
	_, hash, err := c.node.Tip(ctx)
	switch {
	case err != nil:
		return nil, err
	case hash != b.tip().Hash:
		return nil, fmt.Errorf("%w: the chain moved while it was asked where the line begins", anchor.ErrAgain)
	}
	return funds, nil
}

// begun returns the outputs on which the line may have begun already, though no
// block tells: the one that is prescribed, then those of the attempts, the
// newest first.
func (b *book) begun(prior []anchor.Attempt) (outs []outpoint) {
	if b.line.Count == 0 && b.first != (outpoint{}) {
		outs = append(outs, b.first)
	}
	for _, a := range slices.Backward(prior) {
		tx, err := readTx(a.Raw)
		if err != nil || len(tx.TxIn) == 0 || a.Dead && !a.Sent {
			continue
		}
		if out := outpointOf(tx.TxIn[0].PreviousOutPoint); !slices.Contains(outs, out) {
			outs = append(outs, out)
		}
	}
	return outs
}

// notAwaited makes sure that an output which stands in no block will not be in
// one again: that neither the payment that makes it nor an attempt that spends it
// waits in the mempool, as after a reorganisation.
func (c *Chain) notAwaited(ctx context.Context, out outpoint, prior []anchor.Attempt) error {
	id, ok, err := c.node.spender(ctx, out)
	if err != nil {
		return err
	}
	waits := ok && slices.ContainsFunc(prior, func(a anchor.Attempt) bool {
		known, is := idOf(a.ID)
		return is && known == id
	})
	if !waits {
		o, err := c.node.unspent(ctx, out, true)
		if err != nil {
			return err
		}
		waits = o != nil && o.confirmations == 0 && bytes.Equal(o.script, c.key.script)
	}
	if waits {
		return fmt.Errorf("%w: %s, on which the line begins, waits in the mempool to be in a block again", anchor.ErrAgain, out)
	}
	return nil
}
