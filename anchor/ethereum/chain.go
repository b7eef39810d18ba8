package ethereum

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"

	"cairn/anchor"
	"cairn/contracts"
)

// Chain is the registry on one chain, for one ledger and sender. It is safe for
// concurrent use.
type Chain struct {
	cfg      Config
	node     *endpoint
	key      key
	registry *contracts.Registry
}

var _ anchor.Chain = (*Chain)(nil)

// Name returns "ethereum:<chain id>".
func (c *Chain) Name() string { return fmt.Sprintf("ethereum:%d", c.cfg.ChainID) }

// Sender returns the account that anchors. It is zero if a keystore cannot be
// read at all.
func (c *Chain) Sender() common.Address { return c.key.address() }

// Contract returns the registry's address.
func (c *Chain) Contract() common.Address { return c.cfg.Contract }

// CodeHash returns the code hash that the registry must have.
func (c *Chain) CodeHash() common.Hash { return c.cfg.CodeHash }

// Close ends the connections.
func (c *Chain) Close() {
	c.node.close()
	if k, ok := c.key.(*externalKey); ok {
		k.close()
	}
}

// ask calls the node, and gives its error answers a sentinel.
func (c *Chain) ask(ctx context.Context, result any, method string, args ...any) error {
	return nodeMeaning(c.node.call(ctx, result, method, args...))
}

// checkChain makes sure that the node is on the right chain. The node behind a
// URL can change at any time, so it is asked before everything that matters.
func (c *Chain) checkChain(ctx context.Context) error {
	var id hexutil.Big
	if err := c.ask(ctx, &id, "eth_chainId"); err != nil {
		return err
	}
	if got := (*big.Int)(&id); !got.IsUint64() || got.Uint64() != c.cfg.ChainID {
		return fmt.Errorf("%w: the node is on chain %s, want %d", anchor.ErrWrongChain, got, c.cfg.ChainID)
	}
	return nil
}

// Ready checks chain id, contract, key and balance, in this order.
func (c *Chain) Ready(ctx context.Context) error {
	if err := c.checkChain(ctx); err != nil {
		return err
	}
	if err := c.checkContract(ctx, c.cfg.Contract, c.cfg.CodeHash); err != nil {
		return err
	}
	if err := c.key.ready(ctx); err != nil {
		return err
	}
	return c.checkFunds(ctx)
}

func (c *Chain) checkContract(ctx context.Context, at common.Address, want common.Hash) error {
	if at == (common.Address{}) {
		return fmt.Errorf("%w: no contract is configured", anchor.ErrContract)
	}
	var code hexutil.Bytes
	if err := c.ask(ctx, &code, "eth_getCode", at, "latest"); err != nil {
		return err
	}
	if len(code) == 0 {
		return fmt.Errorf("%w: there is no code at %s", anchor.ErrContract, at)
	}
	if h := crypto.Keccak256Hash(code); h != want {
		return fmt.Errorf("%w: the code at %s has hash %s, want %s", anchor.ErrContract, at, h, want)
	}
	return nil
}

// checkFunds asks whether the balance pays for FundsFor anchors at the present
// fee: base fee and tip, without the reserve that Sign asks for.
func (c *Chain) checkFunds(ctx context.Context) error {
	fees, err := c.fees(ctx)
	if err != nil {
		return err
	}
	balance, err := c.balance(ctx)
	if err != nil {
		return err
	}
	one := new(big.Int).Mul(new(big.Int).Add(fees.base, fees.tip), big.NewInt(anchorGas))
	want := new(big.Int).Mul(one, new(big.Int).SetUint64(c.cfg.FundsFor))
	if balance.Cmp(want) < 0 {
		return fmt.Errorf("%w: %s has %s, want %s for %d anchors", anchor.ErrFunds, c.Sender(), inEther(balance), inEther(want), c.cfg.FundsFor)
	}
	return nil
}

func (c *Chain) balance(ctx context.Context) (*big.Int, error) {
	var b hexutil.Big
	if err := c.ask(ctx, &b, "eth_getBalance", c.Sender(), "latest"); err != nil {
		return nil, err
	}
	return (*big.Int)(&b), nil
}

// Tips returns the newest block, and the newest final one by the rule of Config.
func (c *Chain) Tips(ctx context.Context) (anchor.Tips, error) {
	if err := c.checkChain(ctx); err != nil {
		return anchor.Tips{}, err
	}
	latest, err := c.header(ctx, "latest")
	if err != nil {
		return anchor.Tips{}, err
	}
	t := anchor.Tips{Latest: block(latest), Rule: "finalized"}
	if c.cfg.Depth > 0 {
		t.Rule = fmt.Sprintf("depth %d", c.cfg.Depth)
		if t.Latest.Height < c.cfg.Depth {
			return t, nil
		}
		final, err := c.header(ctx, hexutil.Uint64(t.Latest.Height-c.cfg.Depth))
		if err != nil {
			return anchor.Tips{}, err
		}
		t.Final = block(final)
		return t, nil
	}
	final, err := c.header(ctx, "finalized")
	switch {
	case errors.Is(err, anchor.ErrAgain):
		return t, nil // an error answer or null: nothing is final yet, or the tag is unknown
	case err != nil:
		return anchor.Tips{}, err
	}
	t.Final = block(final)
	return t, nil
}

// Seen returns the newest block.
func (c *Chain) Seen(ctx context.Context) (anchor.Block, error) {
	if err := c.checkChain(ctx); err != nil {
		return anchor.Block{}, err
	}
	h, err := c.header(ctx, "latest")
	if err != nil {
		return anchor.Block{}, err
	}
	return block(h), nil
}

func block(h *types.Header) anchor.Block {
	return anchor.Block{Height: h.Number.Uint64(), Hash: h.Hash(), Time: int64(h.Time) * 1000}
}

// header asks for a header by number or tag. It must hash to the name that the
// node gives it: then all its fields are understood, and what is kept of it
// is what the chain committed to.
func (c *Chain) header(ctx context.Context, at any) (*types.Header, error) {
	var h *namedHeader
	if err := c.ask(ctx, &h, "eth_getBlockByNumber", at, false); err != nil {
		return nil, err
	}
	if h == nil {
		return nil, fmt.Errorf("%w: block %v is null", anchor.ErrAgain, at)
	}
	if n, ok := at.(hexutil.Uint64); ok && (!h.Number.IsUint64() || h.Number.Uint64() != uint64(n)) {
		return nil, fmt.Errorf("%w: block %d has number %s", anchor.ErrAgain, uint64(n), h.Number)
	}
	if !h.Number.IsUint64() || h.Time > 1<<40 {
		return nil, fmt.Errorf("%w: block %v has number %s and time %d", anchor.ErrAgain, at, h.Number, h.Time)
	}
	if got := h.Header.Hash(); got != h.hash {
		return nil, fmt.Errorf("%w: the header of block %s hashes to %s, not to its name %s", anchor.ErrAgain, h.Number, got, h.hash)
	}
	return &h.Header, nil
}

// namedHeader is a header with the hash that the node says it has.
type namedHeader struct {
	types.Header
	hash common.Hash
}

func (h *namedHeader) UnmarshalJSON(b []byte) error {
	var name struct {
		Hash common.Hash `json:"hash"`
	}
	if err := json.Unmarshal(b, &name); err != nil {
		return err
	}
	h.hash = name.Hash
	return h.Header.UnmarshalJSON(b)
}

// Stored returns the ledger's head in the registry, at the newest block.
func (c *Chain) Stored(ctx context.Context) (anchor.Root, error) {
	if err := c.checkChain(ctx); err != nil {
		return anchor.Root{}, err
	}
	if c.cfg.Contract == (common.Address{}) {
		return anchor.Root{}, fmt.Errorf("%w: no contract is configured", anchor.ErrContract)
	}
	if c.Sender() == (common.Address{}) {
		return anchor.Root{}, c.key.ready(ctx)
	}
	var out hexutil.Bytes
	call := map[string]any{"to": c.cfg.Contract, "input": hexutil.Bytes(c.registry.PackHead(c.Sender(), c.cfg.Ledger))}
	if err := c.ask(ctx, &out, "eth_call", call, "latest"); err != nil {
		return anchor.Root{}, err
	}
	if len(out) != 32 {
		return anchor.Root{}, fmt.Errorf("%w: %s answers with %d bytes, want 32", anchor.ErrContract, c.cfg.Contract, len(out))
	}
	return anchor.Root(out), nil
}

// Send sends an attempt. It does not send one that would leave a gap in the
// sender's nonces: a node would keep it aside and say nothing.
func (c *Chain) Send(ctx context.Context, a anchor.Attempt) error {
	if err := c.checkChain(ctx); err != nil {
		return err
	}
	tx, err := parseAttempt(a)
	if err != nil {
		return err
	}
	pending, err := c.nonce(ctx, "pending")
	if err != nil {
		return err
	}
	if tx.Nonce() > pending {
		return fmt.Errorf("%w: nonce %d would leave a gap, the node's next is %d", anchor.ErrAsk, tx.Nonce(), pending)
	}
	var hash common.Hash
	if err := sendMeaning(c.node.call(ctx, &hash, "eth_sendRawTransaction", hexutil.Bytes(a.Raw))); err != nil {
		return err
	}
	if hash != (common.Hash{}) && hash != tx.Hash() {
		return fmt.Errorf("%w: the node took transaction %s for %s", anchor.ErrAgain, tx.Hash(), hash)
	}
	return nil
}

func parseAttempt(a anchor.Attempt) (*types.Transaction, error) {
	tx := new(types.Transaction)
	if err := tx.UnmarshalBinary(a.Raw); err != nil {
		return nil, fmt.Errorf("%w: the journal's transaction cannot be read: %w", anchor.ErrRefused, err)
	}
	return tx, nil
}

func (c *Chain) nonce(ctx context.Context, at string) (uint64, error) {
	var n hexutil.Uint64
	err := c.ask(ctx, &n, "eth_getTransactionCount", c.Sender(), at)
	return uint64(n), err
}

// txPlace is what Find needs of eth_getTransactionReceipt.
type txPlace struct {
	TxHash      common.Hash     `json:"transactionHash"`
	BlockHash   *common.Hash    `json:"blockHash"`
	BlockNumber *hexutil.Uint64 `json:"blockNumber"`
	Status      *hexutil.Uint64 `json:"status"`
}

// Find looks for the attempts' receipts, newest first.
func (c *Chain) Find(ctx context.Context, attempts []anchor.Attempt) (anchor.Found, bool, error) {
	var reverted *anchor.Found
	for i := len(attempts) - 1; i >= 0; i-- {
		f, ok, err := c.findOne(ctx, attempts[i])
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

func (c *Chain) findOne(ctx context.Context, a anchor.Attempt) (f anchor.Found, ok bool, err error) {
	var p *txPlace
	if err := c.ask(ctx, &p, "eth_getTransactionReceipt", common.BytesToHash(a.ID)); err != nil {
		return f, false, err
	}
	if p == nil || p.BlockHash == nil || p.BlockNumber == nil {
		return f, false, nil
	}
	if p.TxHash != common.BytesToHash(a.ID) || p.Status == nil {
		return f, false, fmt.Errorf("%w: the receipt of %x is of %s", anchor.ErrAgain, a.ID, p.TxHash)
	}
	h, err := c.header(ctx, *p.BlockNumber)
	if err != nil {
		return f, false, err
	}
	if h.Hash() != *p.BlockHash {
		return f, false, fmt.Errorf("%w: %x is in block %s, but block %d is %s", anchor.ErrAgain, a.ID, p.BlockHash, uint64(*p.BlockNumber), h.Hash())
	}
	return anchor.Found{Block: block(h), Reverted: *p.Status != hexutil.Uint64(types.ReceiptStatusSuccessful)}, true, nil
}
