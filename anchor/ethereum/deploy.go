package ethereum

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"

	"cairn/anchor"
	"cairn/contracts"
)

// Deployment is a registry that was deployed.
type Deployment struct {
	Address  common.Address
	CodeHash common.Hash
	TxHash   common.Hash
	Block    anchor.Block // not final yet
}

// Between looks for the deployment's block: twice as long each time.
const firstPoll, longPoll = 50 * time.Millisecond, 2 * time.Second

// Deploy deploys the registry as the sender and waits until it is in a block
// and its code is the expected one. It keeps no journal: if ctx ends while it
// waits, the error comes with what is known, and the contract may still
// come to be at Address.
func (c *Chain) Deploy(ctx context.Context) (Deployment, error) {
	var d Deployment
	v, err := c.nodes.look(ctx)
	if err != nil {
		return d, err
	}
	if err := c.key.ready(ctx); err != nil {
		return d, err
	}
	used, err := c.nonce(ctx, v, "latest")
	if err != nil {
		return d, err
	}
	nonce, _, err := c.place(ctx, v, used, nil)
	if err != nil {
		return d, err
	}
	o := anchor.Order{Limit: math.MaxUint64}
	tx, _, err := c.signTx(ctx, v, nil, common.FromHex(contracts.RegistryMetaData.Bin), nonce, maxDeployGas, nil, o)
	if err != nil {
		return d, err
	}
	d.Address, d.TxHash = crypto.CreateAddress(c.Sender(), nonce), tx.Hash()
	a, err := attempt(tx)
	if err != nil {
		return d, err
	}
	if err := c.Send(ctx, a); err != nil {
		return d, err
	}
	found, err := c.waitMined(ctx, a)
	if err != nil {
		return d, fmt.Errorf("wait for %s: %w", d.TxHash, err)
	}
	d.Block = found.Block
	if found.Reverted {
		return d, fmt.Errorf("%w: the deployment failed in block %d", anchor.ErrContract, found.Block.Height)
	}
	d.CodeHash = contracts.RuntimeCodeHash
	if v, err = c.nodes.look(ctx); err != nil {
		return d, err
	}
	return d, c.checkContract(ctx, v, d.Address, d.CodeHash)
}

// waitMined polls until the attempt is in a block or ctx ends.
func (c *Chain) waitMined(ctx context.Context, a anchor.Attempt) (anchor.Found, error) {
	for wait := firstPoll; ; wait = min(2*wait, longPoll) {
		f, ok, err := c.Find(ctx, []anchor.Attempt{a})
		if ok || err != nil && !errors.Is(err, anchor.ErrAgain) && !errors.Is(err, anchor.ErrDown) {
			return f, err
		}
		select {
		case <-ctx.Done():
			return f, fmt.Errorf("%w: %w", anchor.ErrDown, ctx.Err())
		case <-time.After(wait):
		}
	}
}
