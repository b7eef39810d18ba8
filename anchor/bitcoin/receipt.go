package bitcoin

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"github.com/btcsuite/btcd/chainhash/v2"

	"cairn/anchor"
	"cairn/anchor/proof"
)

// Receipt takes the proof.BitcoinReceipt of an attempt in a block, verified: its
// transaction and branch out of the whole block, and the block's header.
func (c *Chain) Receipt(ctx context.Context, a anchor.Attempt, b anchor.Block) ([]byte, error) {
	if err := c.checkAt(ctx, b); err != nil {
		return nil, err
	}
	block, err := c.node.Block(ctx, b.Hash)
	if err != nil {
		return nil, err
	}
	id, ok := idOf(a.ID)
	ids := txHashes(block)
	at := slices.Index(ids, id)
	if !ok || at < 0 {
		return nil, fmt.Errorf("%w: block %d does not hold %x", anchor.ErrAgain, b.Height, a.ID)
	}
	var tx, head bytes.Buffer
	if err := block.Transactions[at].SerializeNoWitness(&tx); err != nil {
		return nil, fmt.Errorf("encode transaction: %w", err)
	}
	if err := block.Header.Serialize(&head); err != nil {
		return nil, fmt.Errorf("encode header: %w", err)
	}
	return c.verified(proof.BitcoinReceipt{
		Network: c.cfg.Network, Height: uint32(b.Height), Tx: tx.Bytes(), Index: uint32(at),
		Branch: merkleBranch(ids, at), Header: proof.BitcoinHeader(head.Bytes()),
	}, a, b)
}

// Complete adds the headers that follow the receipt's block, up to the depth
// that makes it final.
func (c *Chain) Complete(ctx context.Context, a anchor.Attempt, b anchor.Block, receipt []byte) ([]byte, error) {
	r, err := proof.ParseBitcoinReceipt(receipt)
	if err != nil {
		return nil, fmt.Errorf("read receipt: %w", err)
	}
	if err := c.checkAt(ctx, b); err != nil {
		return nil, err
	}
	r.Following = nil
	if c.cfg.Depth > 1 {
		first, last := uint32(b.Height)+1, uint32(b.Height)+uint32(c.cfg.Depth)-1
		err = c.node.Headers(ctx, first, last, func(_ uint32, h proof.BitcoinHeader) error {
			r.Following = append(r.Following, h)
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return c.verified(r, a, b)
}

// checkAt makes sure that the node has the block at its height.
func (c *Chain) checkAt(ctx context.Context, b anchor.Block) error {
	if err := c.node.CheckNetwork(ctx); err != nil {
		return err
	}
	if b.Height > maxHeight {
		return fmt.Errorf("%w: there is no block %d", anchor.ErrAgain, b.Height)
	}
	hash, err := c.node.HeaderHash(ctx, uint32(b.Height))
	if err != nil {
		return err
	}
	if hash != b.Hash {
		return fmt.Errorf("%w: block %d is another now", anchor.ErrAgain, b.Height)
	}
	return nil
}

func (c *Chain) verified(r proof.BitcoinReceipt, a anchor.Attempt, b anchor.Block) ([]byte, error) {
	facts, err := proof.VerifyBitcoin(r, a.Root)
	if err != nil {
		return nil, fmt.Errorf("%w: what the node says of block %d proves nothing: %w", anchor.ErrAgain, b.Height, err)
	}
	if facts.Hash != b.Hash || facts.Time != b.Time || !bytes.Equal(idBytes(facts.TxID), a.ID) || !bytes.Equal(facts.Script, c.key.script) {
		return nil, fmt.Errorf("%w: the receipt is of block %s, want %s", anchor.ErrAgain, chainhash.Hash(facts.Hash), chainhash.Hash(b.Hash))
	}
	return r.MarshalBinary()
}
