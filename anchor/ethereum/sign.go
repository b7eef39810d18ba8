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
	"cairn/contracts"
)

const (
	// maxAnchorGas bounds the gas limit: no chain's registry asks for as much.
	maxAnchorGas = 1_000_000
	maxDeployGas = 10_000_000
	maxForeign   = 4
)

// Sign makes the transaction that moves the head.
func (c *Chain) Sign(ctx context.Context, o anchor.Order) (anchor.Attempt, error) {
	v, err := c.nodes.look(ctx)
	if err != nil {
		return anchor.Attempt{}, err
	}
	if err := c.key.ready(ctx); err != nil {
		return anchor.Attempt{}, err
	}
	at, err := c.stand(ctx, v)
	switch {
	case err != nil:
		return anchor.Attempt{}, err
	case at.head != o.Previous:
		// An attempt may have come into a block since the head was asked for. It took
		// its nonce, and this one would then be paid for beside it.
		return anchor.Attempt{}, fmt.Errorf("%w: the chain holds the head %s meanwhile, not %s", anchor.ErrAgain, at.head, o.Previous)
	}
	nonce, replaced, err := c.place(ctx, v, at.used, o.Prior)
	if err != nil {
		return anchor.Attempt{}, err
	}
	to := c.cfg.Contract
	tx, b, err := c.signTx(ctx, v, &to, c.registry.PackAnchor(c.cfg.Ledger, o.Previous, o.Root), nonce, maxAnchorGas, replaced, o)
	if err != nil {
		return anchor.Attempt{}, err
	}
	a, err := attempt(tx)
	a.Root, a.Fee = o.Root, b.fee()
	return a, err
}

func attempt(tx *types.Transaction) (anchor.Attempt, error) {
	raw, err := tx.MarshalBinary()
	if err != nil {
		return anchor.Attempt{}, fmt.Errorf("encode transaction: %w", err)
	}
	a := anchor.Attempt{
		ID: tx.Hash().Bytes(), Raw: raw, Place: fmt.Sprintf("nonce %d", tx.Nonce()),
		Detail: fmt.Sprintf("nonce %d, gas %d, tip %s, cap %s", tx.Nonce(), tx.Gas(), inGwei(tx.GasTipCap()), inGwei(tx.GasFeeCap())),
	}
	if tx.Type() == types.LegacyTxType {
		a.Detail = fmt.Sprintf("nonce %d, gas %d, price %s", tx.Nonce(), tx.Gas(), inGwei(tx.GasPrice()))
	}
	return a, nil
}

// place chooses the nonce, and returns the attempts that are replaced. The
// newest attempt's nonce is taken as long as the chain has not used it, so that
// only one of the two can be mined; but not if it lies above a gap, which
// happens when another's transaction went out of the pool. used is the sender's
// next nonce in a block that does not have the head of an attempt.
func (c *Chain) place(ctx context.Context, v view, used uint64, prior []anchor.Attempt) (nonce uint64, replaced []*types.Transaction, err error) {
	pending, err := c.nonce(ctx, v, "pending")
	if err != nil {
		return 0, nil, err
	}
	pending = max(pending, used)
	if len(prior) == 0 {
		c.noteForeign(used, pending)
		return pending, nil, nil
	}
	newest, err := parseAttempt(prior[len(prior)-1])
	if err != nil {
		return 0, nil, err
	}
	nonce = pending
	switch n := newest.Nonce(); {
	case n < used:
		if err := c.noteStolen(ctx, v, n, prior); err != nil {
			return 0, nil, err
		}
	case n <= pending:
		nonce = n
	}
	for _, a := range prior {
		if tx, err := parseAttempt(a); err == nil && tx.Nonce() == nonce {
			replaced = append(replaced, tx)
		}
	}
	return nonce, replaced, nil
}

// noteForeign notes transactions of the sender, mined or waiting, that are none
// of an anchor's: it begins after the one before it is final.
func (c *Chain) noteForeign(used, pending uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.next > 0 && used > c.next {
		c.note("nonces %d to %d of %s were used by transactions that this route did not send: the key is in use elsewhere", c.next, used-1, c.Sender())
		c.next = used
	}
	if pending > used {
		c.note("nonces %d to %d of %s are taken by waiting transactions that this route did not send: anchors wait behind them", used, pending-1, c.Sender())
	}
}

// noteStolen notes that the place of attempts, none of which is in the chain,
// was used. Some nodes can name the transaction that used it; if it is one of
// ours after all, Find is to look again.
func (c *Chain) noteStolen(ctx context.Context, v view, nonce uint64, prior []anchor.Attempt) error {
	by := "another transaction"
	tx, err := first(v.best(), func(s sight) (common.Hash, error) {
		var tx *struct {
			Hash common.Hash `json:"hash"`
		}
		err := s.ask(ctx, &tx, "eth_getTransactionBySenderAndNonce", c.Sender(), hexutil.Uint64(nonce))
		if err == nil && tx == nil {
			err = anchor.ErrAgain
		}
		if err != nil {
			return common.Hash{}, err
		}
		return tx.Hash, nil
	})
	if err == nil {
		by = tx.Hex()
		for _, a := range prior {
			if common.BytesToHash(a.ID) == tx {
				return fmt.Errorf("%w: nonce %d was used by %s, which is ours", anchor.ErrAsk, nonce, tx)
			}
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.note("nonce %d of %s was used by %s, which this route did not send: the key is in use elsewhere", nonce, c.Sender(), by)
	c.next = max(c.next, nonce+1)
	return nil
}

// note keeps a note once. The caller holds c.mu.
func (c *Chain) note(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if slices.Contains(c.foreign, text) {
		return
	}
	c.foreign = append(c.foreign, text)
	if n := len(c.foreign) - maxForeign; n > 0 {
		c.foreign = slices.Delete(c.foreign, 0, n)
	}
}

// signTx estimates, fits the fees to the order, checks the balance, signs, and
// checks what was signed.
func (c *Chain) signTx(ctx context.Context, v view, to *common.Address, data []byte, nonce, maxGas uint64, replaced []*types.Transaction, o anchor.Order) (*types.Transaction, *bid, error) {
	var b bid
	var err error
	if b.fees, err = c.fees(ctx, v); err != nil {
		return nil, nil, err
	}
	if b.gas, err = c.estimate(ctx, v, to, data, maxGas); err != nil {
		return nil, nil, err
	}
	if b.data, err = c.dataFee(ctx, v, anchorBytes+len(data)); err != nil {
		return nil, nil, err
	}
	b.data.Lsh(b.data, 1) // it may rise before the transaction is in a block
	if err := c.fit(&b, replaced, o); err != nil {
		return nil, nil, err
	}
	balance, err := c.balance(ctx, v)
	if err != nil {
		return nil, nil, err
	}
	if balance.Cmp(b.wei()) < 0 {
		return nil, nil, fmt.Errorf("%w: %s has %s, want %s at hand", anchor.ErrFunds, c.Sender(), inEther(balance), inEther(b.wei()))
	}
	tx := c.newTx(to, data, nonce, &b)
	signed, err := c.key.sign(ctx, tx)
	if err != nil {
		return nil, nil, err
	}
	return signed, &b, checkSigned(tx, signed, c.Sender(), c.cfg.ChainID)
}

// newTx returns the transaction, unsigned. One of type 0 has no chain id before
// it is signed.
func (c *Chain) newTx(to *common.Address, data []byte, nonce uint64, b *bid) *types.Transaction {
	if c.cfg.GasRule == GasLegacy {
		return types.NewTx(&types.LegacyTx{Nonce: nonce, GasPrice: b.cap, Gas: b.gas, To: to, Value: new(big.Int), Data: data})
	}
	return types.NewTx(&types.DynamicFeeTx{
		ChainID: chainID(c.cfg.ChainID), Nonce: nonce, GasTipCap: b.tip, GasFeeCap: b.cap,
		Gas: b.gas, To: to, Value: new(big.Int), Data: data,
	})
}

// estimate returns the gas limit: a quarter above what a node estimates on
// its newest block, and at most max.
func (c *Chain) estimate(ctx context.Context, v view, to *common.Address, data []byte, max uint64) (uint64, error) {
	call := map[string]any{"from": c.Sender(), "input": hexutil.Bytes(data)}
	if to != nil {
		call["to"] = *to
	}
	gas, err := first(v.best(), func(s sight) (uint64, error) {
		var gas hexutil.Uint64
		err := s.call(ctx, &gas, "eth_estimateGas", call, "latest")
		var answer *serverError
		if errors.As(err, &answer) {
			if head, ok := contracts.HeadIs(answer.revert()); ok {
				return 0, fmt.Errorf("%w: the contract holds the head %x", anchor.ErrAgain, head)
			}
		}
		if err == nil && gas == 0 {
			return 0, fmt.Errorf("%w: the %s estimates no gas", anchor.ErrAgain, s.name())
		}
		return uint64(gas), nodeMeaning(err)
	})
	switch {
	case err != nil:
		return 0, err
	case gas > max:
		return 0, fmt.Errorf("%w: it would take %d gas, at most %d", anchor.ErrContract, gas, max)
	}
	return min(gas+gas/4, max), nil
}

// revert returns what a call reverted with, if the node says it.
func (e *serverError) revert() []byte {
	s, ok := e.data.(string)
	if !ok {
		return nil
	}
	b, err := hexutil.Decode(s)
	if err != nil {
		return nil
	}
	return b
}
