package ethereum

import (
	"context"
	"errors"
	"fmt"
	"math/big"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"

	"cairn/anchor"
	"cairn/contracts"
)

const (
	// anchorGas is what a usual anchor is taken to cost when the balance is
	// looked at ahead of time. The first of a ledger costs more.
	anchorGas = 35_000
	// maxAnchorGas bounds the gas limit: no chain's registry asks for as much.
	maxAnchorGas = 1_000_000
	maxDeployGas = 10_000_000
)

type fees struct {
	base, tip, cap *big.Int
}

// fees returns the present fees: tip as the node suggests and at most
// MaxTipGwei, cap = tip + 2 × base.
func (c *Chain) fees(ctx context.Context) (fees, error) {
	h, err := c.header(ctx, "latest")
	if err != nil {
		return fees{}, err
	}
	if h.BaseFee == nil {
		return fees{}, fmt.Errorf("%w: it has no base fee (EIP-1559)", anchor.ErrWrongChain)
	}
	var tip hexutil.Big
	switch err := c.ask(ctx, &tip, "eth_maxPriorityFeePerGas"); {
	case errors.Is(err, anchor.ErrAgain):
		tip = hexutil.Big(*toWei(1)) // the node does not know the method
	case err != nil:
		return fees{}, err
	}
	f := fees{base: h.BaseFee, tip: (*big.Int)(&tip)}
	if ceiling := toWei(c.cfg.MaxTipGwei); f.tip.Cmp(ceiling) > 0 {
		f.tip = ceiling
	}
	f.cap = new(big.Int).Add(f.tip, new(big.Int).Lsh(f.base, 1))
	return f, nil
}

// raise makes f replace old: a node wants at least a tenth more of both.
func (f *fees) raise(old *types.Transaction) {
	more := func(v *big.Int) *big.Int {
		d := new(big.Int).Rsh(v, 3)
		return d.Add(d, v).Add(d, common.Big1)
	}
	if t := more(old.GasTipCap()); f.tip.Cmp(t) < 0 {
		f.tip = t
	}
	if m := more(old.GasFeeCap()); f.cap.Cmp(m) < 0 {
		f.cap = m
	}
	if f.cap.Cmp(f.tip) < 0 {
		f.cap = f.tip
	}
}

func (c *Chain) underCeiling(f fees) error {
	if ceiling := toWei(c.cfg.MaxFeeGwei); f.cap.Cmp(ceiling) > 0 {
		return fmt.Errorf("%w: the fee cap would be %s per gas, at most %s (base fee %s)", anchor.ErrFees, inGwei(f.cap), inGwei(ceiling), inGwei(f.base))
	}
	return nil
}

// Sign makes the transaction that moves the head.
func (c *Chain) Sign(ctx context.Context, o anchor.Order) (anchor.Attempt, error) {
	if err := c.checkChain(ctx); err != nil {
		return anchor.Attempt{}, err
	}
	if err := c.key.ready(ctx); err != nil {
		return anchor.Attempt{}, err
	}
	f, err := c.fees(ctx)
	if err != nil {
		return anchor.Attempt{}, err
	}
	nonce, err := c.place(ctx, o.Prior, &f)
	if err != nil {
		return anchor.Attempt{}, err
	}
	to := c.cfg.Contract
	signed, err := c.signTx(ctx, &to, c.registry.PackAnchor(c.cfg.Ledger, o.Previous, o.Root), nonce, f, maxAnchorGas)
	if err != nil {
		return anchor.Attempt{}, err
	}
	a, err := attempt(signed)
	a.Root = o.Root
	return a, err
}

func attempt(tx *types.Transaction) (anchor.Attempt, error) {
	raw, err := tx.MarshalBinary()
	if err != nil {
		return anchor.Attempt{}, fmt.Errorf("encode transaction: %w", err)
	}
	return anchor.Attempt{
		ID: tx.Hash().Bytes(), Raw: raw,
		Detail: fmt.Sprintf("nonce %d, gas %d, tip %s, cap %s", tx.Nonce(), tx.Gas(), inGwei(tx.GasTipCap()), inGwei(tx.GasFeeCap())),
	}, nil
}

// place chooses the nonce, and raises the fees over those of the attempts that
// are replaced. The newest attempt's nonce is taken as long as the chain has
// not used it, so that only one of the two can be mined; but not if it lies
// above a gap, which happens when another's transaction went out of the pool.
func (c *Chain) place(ctx context.Context, prior []anchor.Attempt, f *fees) (uint64, error) {
	pending, err := c.nonce(ctx, "pending")
	if err != nil {
		return 0, err
	}
	if len(prior) == 0 {
		return pending, nil
	}
	used, err := c.nonce(ctx, "latest")
	if err != nil {
		return 0, err
	}
	newest, err := parseAttempt(prior[len(prior)-1])
	if err != nil {
		return 0, err
	}
	nonce := pending
	if newest.Nonce() >= used && newest.Nonce() <= pending {
		nonce = newest.Nonce()
	}
	for _, a := range prior {
		if tx, err := parseAttempt(a); err == nil && tx.Nonce() == nonce {
			f.raise(tx)
		}
	}
	return nonce, nil
}

// signTx estimates, checks fee and balance, signs, and checks what was signed.
func (c *Chain) signTx(ctx context.Context, to *common.Address, data []byte, nonce uint64, f fees, maxGas uint64) (*types.Transaction, error) {
	if err := c.underCeiling(f); err != nil {
		return nil, err
	}
	gas, err := c.estimate(ctx, to, data, maxGas)
	if err != nil {
		return nil, err
	}
	balance, err := c.balance(ctx)
	if err != nil {
		return nil, err
	}
	if cost := new(big.Int).Mul(f.cap, new(big.Int).SetUint64(gas)); balance.Cmp(cost) < 0 {
		return nil, fmt.Errorf("%w: %s has %s, want %s at hand", anchor.ErrFunds, c.Sender(), inEther(balance), inEther(cost))
	}
	tx := types.NewTx(&types.DynamicFeeTx{
		ChainID: chainID(c.cfg.ChainID), Nonce: nonce, GasTipCap: f.tip, GasFeeCap: f.cap,
		Gas: gas, To: to, Value: new(big.Int), Data: data,
	})
	signed, err := c.key.sign(ctx, tx)
	if err != nil {
		return nil, err
	}
	return signed, checkSigned(tx, signed, c.Sender())
}

// estimate returns the gas limit: a quarter above what the node estimates on
// its newest block, and at most max.
func (c *Chain) estimate(ctx context.Context, to *common.Address, data []byte, max uint64) (uint64, error) {
	call := map[string]any{"from": c.Sender(), "input": hexutil.Bytes(data)}
	if to != nil {
		call["to"] = *to
	}
	var gas hexutil.Uint64
	err := c.node.call(ctx, &gas, "eth_estimateGas", call, "latest")
	var answer *serverError
	if errors.As(err, &answer) {
		if head, ok := contracts.HeadIs(answer.revert()); ok {
			return 0, fmt.Errorf("%w: the contract holds the head %x", anchor.ErrAgain, head)
		}
	}
	if err != nil {
		return 0, nodeMeaning(err)
	}
	if uint64(gas) > max {
		return 0, fmt.Errorf("%w: it would take %d gas, at most %d", anchor.ErrContract, uint64(gas), max)
	}
	return min(uint64(gas)+uint64(gas)/4, max), nil
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
