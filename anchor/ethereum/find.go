package ethereum

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"slices"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"

	"cairn/anchor"
)

// Send sends an attempt to all nodes. It does not send one that would leave a
// gap in the sender's nonces: a node would keep it aside and say nothing.
func (c *Chain) Send(ctx context.Context, a anchor.Attempt) error {
	tx, err := parseAttempt(a)
	if err != nil {
		return err
	}
	v, err := c.nodes.look(ctx)
	if err != nil {
		return err
	}
	pending, err := c.nonce(ctx, v, "pending")
	if err != nil {
		return err
	}
	if tx.Nonce() > pending {
		return fmt.Errorf("%w: nonce %d would leave a gap, the next is %d: a transaction of %s that this one waits behind went away", anchor.ErrAsk, tx.Nonce(), pending, c.Sender())
	}
	replies := each(v, func(s sight) (struct{}, error) {
		var hash common.Hash
		if err := sendMeaning(s.call(ctx, &hash, "eth_sendRawTransaction", hexutil.Bytes(a.Raw))); err != nil {
			return struct{}{}, err
		}
		if hash != (common.Hash{}) && hash != tx.Hash() {
			return struct{}{}, fmt.Errorf("%w: the %s took transaction %s for %s", anchor.ErrAgain, s.name(), tx.Hash(), hash)
		}
		return struct{}{}, nil
	})
	slices.SortStableFunc(replies, func(a, b reply[struct{}]) int { return sendRank(a.err) - sendRank(b.err) })
	err = replies[0].err
	if errors.Is(err, anchor.ErrRefused) && len(v) < len(c.nodes.list) {
		return fmt.Errorf("%w: not all nodes could be asked, and one of the others may have it: %v", anchor.ErrBusy, err)
	}
	return err
}

// sendRank orders what nodes answer to one transaction: that one took it, then
// what asks to look again, then silence, as one that says nothing may have taken
// it, and last what could be said for good.
func sendRank(err error) int {
	if err == nil {
		return 0
	}
	for i, e := range []error{anchor.ErrAsk, anchor.ErrPrice, anchor.ErrFunds, anchor.ErrFees, anchor.ErrBusy, anchor.ErrAgain, anchor.ErrDown, anchor.ErrRefused, anchor.ErrWrongChain} {
		if errors.Is(err, e) {
			return i + 1
		}
	}
	return 100
}

func parseAttempt(a anchor.Attempt) (*types.Transaction, error) {
	tx := new(types.Transaction)
	if err := tx.UnmarshalBinary(a.Raw); err != nil {
		return nil, fmt.Errorf("%w: the journal's transaction cannot be read: %w", anchor.ErrRefused, err)
	}
	return tx, nil
}

// nonce returns the sender's next nonce, by the chain ("latest") or with what
// waits in a node's pool ("pending").
func (c *Chain) nonce(ctx context.Context, v view, at string) (uint64, error) {
	return highest(v.best(), "the sender's next nonce", func(s sight) (uint64, error) { return s.nonce(ctx, c.Sender(), at) })
}

// nonce asks a node for a sender's next nonce in a block.
func (s sight) nonce(ctx context.Context, sender common.Address, at any) (uint64, error) {
	var n hexutil.Uint64
	err := s.ask(ctx, &n, "eth_getTransactionCount", sender, at)
	return uint64(n), err
}

// txPlace is what Find needs of eth_getTransactionReceipt. L1Fee is what the
// rollups of the OP stack charge in wei on top, for the data.
type txPlace struct {
	TxHash      common.Hash     `json:"transactionHash"`
	BlockHash   *common.Hash    `json:"blockHash"`
	BlockNumber *hexutil.Uint64 `json:"blockNumber"`
	Status      *hexutil.Uint64 `json:"status"`
	GasUsed     *hexutil.Uint64 `json:"gasUsed"`
	Price       *hexutil.Big    `json:"effectiveGasPrice"`
	L1Fee       *hexutil.Big    `json:"l1Fee"`
}

// Find looks for the attempts' receipts, newest first.
func (c *Chain) Find(ctx context.Context, attempts []anchor.Attempt) (anchor.Found, bool, error) {
	v, err := c.nodes.look(ctx)
	if err != nil {
		return anchor.Found{}, false, err
	}
	var reverted *anchor.Found
	for i := len(attempts) - 1; i >= 0; i-- {
		f, ok, err := c.findOne(ctx, v, attempts[i])
		if err != nil {
			return anchor.Found{}, false, err
		}
		f.Which = i
		switch {
		case ok && !f.Reverted:
			return f, true, nil
		case ok && reverted == nil:
			reverted = &f
		}
	}
	if reverted != nil {
		return *reverted, true, nil
	}
	return anchor.Found{}, false, nil
}

// place asks a node for a transaction's place, nil if it knows of none.
func (s sight) place(ctx context.Context, tx common.Hash) (*txPlace, error) {
	var p *txPlace
	if err := s.ask(ctx, &p, "eth_getTransactionReceipt", tx); err != nil {
		return nil, err
	}
	if p == nil || p.BlockHash == nil || p.BlockNumber == nil {
		return nil, nil
	}
	if p.TxHash != tx || p.Status == nil {
		return nil, fmt.Errorf("%w: the receipt of %s by the %s is of %s", anchor.ErrAgain, tx, s.name(), p.TxHash)
	}
	return p, nil
}

func (c *Chain) findOne(ctx context.Context, v view, a anchor.Attempt) (f anchor.Found, ok bool, err error) {
	tx, err := parseAttempt(a)
	if err != nil {
		return f, false, err
	}
	id := common.BytesToHash(a.ID)
	var shows *reply[*txPlace]
	var lacks []sight
	replies := each(v.best(), func(s sight) (*txPlace, error) { return s.place(ctx, id) })
	for i := range replies {
		r := &replies[i]
		switch {
		case r.err != nil:
			if err == nil || errors.Is(err, anchor.ErrDown) {
				err = r.err
			}
		case r.value == nil:
			lacks = append(lacks, r.sight)
		case shows == nil:
			shows = r
		case *r.value.BlockHash != *shows.value.BlockHash || *r.value.Status != *shows.value.Status:
			return f, false, fmt.Errorf("%w: %s is in block %s for the %s, in %s for the %s", errConflict, id, shows.value.BlockHash, shows.name(), r.value.BlockHash, r.name())
		}
	}
	if shows == nil {
		if len(lacks) == 0 {
			return f, false, err
		}
		if s := lacks[0]; !s.fresh {
			return f, false, fmt.Errorf("%w: the %s lags: its newest block is %d, higher ones were seen", anchor.ErrAgain, s.name(), s.number())
		}
		return f, false, nil
	}
	at := uint64(*shows.value.BlockNumber)
	for _, s := range lacks {
		if s.number() >= at {
			return f, false, fmt.Errorf("%w: %s is in block %d for the %s, not for the %s, which is at %d", errConflict, id, at, shows.name(), s.name(), s.number())
		}
	}
	h, err := shows.header(ctx, *shows.value.BlockNumber)
	if err != nil {
		return f, false, err
	}
	if h.Hash() != *shows.value.BlockHash {
		return f, false, fmt.Errorf("%w: %s is in block %s, but block %d is %s for the %s", anchor.ErrAgain, id, shows.value.BlockHash, at, h.Hash(), shows.name())
	}
	if f.Cost, err = costOf(tx, shows.value, h); err != nil {
		return f, false, fmt.Errorf("%w: the receipt of %s by the %s: %w", anchor.ErrAgain, id, shows.name(), err)
	}
	f.Block, f.Reverted = block(h), *shows.value.Status != hexutil.Uint64(types.ReceiptStatusSuccessful)
	c.mu.Lock()
	c.next = max(c.next, tx.Nonce()+1)
	c.mu.Unlock()
	return f, true, nil
}

// costOf returns what a transaction did cost, in gwei rounded up. A node cannot
// make it more than the transaction allows, but for the fee of a rollup's data.
func costOf(tx *types.Transaction, p *txPlace, h *types.Header) (anchor.Amount, error) {
	gas := tx.Gas()
	if p.GasUsed != nil {
		gas = uint64(*p.GasUsed)
	}
	price := new(big.Int).Set(tx.GasFeeCap())
	switch {
	case p.Price != nil:
		price = (*big.Int)(p.Price)
	case h.BaseFee != nil: // a node that does not say it
		if sum := new(big.Int).Add(h.BaseFee, tx.GasTipCap()); sum.Cmp(price) < 0 {
			price = sum
		}
	}
	if gas > tx.Gas() || price.Cmp(tx.GasFeeCap()) > 0 {
		return 0, fmt.Errorf("%d gas at %s, but the transaction allows %d at %s", gas, inGwei(price), tx.Gas(), inGwei(tx.GasFeeCap()))
	}
	cost := new(big.Int).Mul(new(big.Int).SetUint64(gas), price)
	if p.L1Fee != nil {
		if (*big.Int)(p.L1Fee).BitLen() > maxWeiBits {
			return 0, fmt.Errorf("a data fee of %d bits", (*big.Int)(p.L1Fee).BitLen())
		}
		cost.Add(cost, (*big.Int)(p.L1Fee))
	}
	return gweiUp(cost), nil
}
