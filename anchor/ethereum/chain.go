package ethereum

import (
	"context"
	"encoding/json"
	"fmt"
	"math/big"
	"sync"

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
	nodes    *nodes
	key      key
	registry *contracts.Registry

	mu      sync.Mutex // covers what follows
	next    uint64     // the nonce after the newest of ours that was seen in a block, 0 for none
	retaken retaken    // by Complete
	foreign []string   // transactions of the sender that are not ours, newest last, at most maxForeign
}

var (
	_ anchor.Chain = (*Chain)(nil)
	_ anchor.Purse = (*Chain)(nil)
)

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
	c.nodes.close()
	if k, ok := c.key.(*externalKey); ok {
		k.close()
	}
}

// Notes returns what an operator should know though anchoring goes on: which
// of several nodes are left out and why, and which transactions of the sender
// this process did not make. It may be called at any time.
func (c *Chain) Notes() []string {
	notes := c.nodes.notes()
	c.mu.Lock()
	defer c.mu.Unlock()
	return append(notes, c.foreign...)
}

// Ready checks nodes, contract, key, account and balance, in this order.
func (c *Chain) Ready(ctx context.Context) error {
	v, err := c.nodes.look(ctx)
	if err != nil {
		return err
	}
	if err := c.checkContract(ctx, v, c.cfg.Contract, c.cfg.CodeHash); err != nil {
		return err
	}
	if err := c.key.ready(ctx); err != nil {
		return err
	}
	if err := c.checkAccount(ctx, v); err != nil {
		return err
	}
	return c.checkFunds(ctx, v)
}

func (s sight) code(ctx context.Context, at common.Address) ([]byte, error) {
	var code hexutil.Bytes
	err := s.ask(ctx, &code, "eth_getCode", at, "latest")
	return code, err
}

func (c *Chain) checkContract(ctx context.Context, v view, at common.Address, want common.Hash) error {
	if at == (common.Address{}) {
		return fmt.Errorf("%w: no contract is configured", anchor.ErrContract)
	}
	got, err := agree(v.best(), "the contract's code", func(s sight) (common.Hash, error) {
		code, err := s.code(ctx, at)
		return crypto.Keccak256Hash(code), err
	})
	switch {
	case err != nil:
		return err
	case got == types.EmptyCodeHash:
		return fmt.Errorf("%w: there is no code at %s", anchor.ErrContract, at)
	case got != want:
		return fmt.Errorf("%w: the code at %s has hash %s, want %s", anchor.ErrContract, at, got, want)
	}
	return nil
}

// checkAccount makes sure that nobody but the key's holder can use up nonces
// and funds: an account with code, be it delegated by EIP-7702, can be moved by
// others, and nodes keep no more than one transaction of it waiting.
func (c *Chain) checkAccount(ctx context.Context, v view) error {
	code, err := first(v, func(s sight) ([]byte, error) { return s.code(ctx, c.Sender()) })
	if err != nil {
		return err
	}
	if to, ok := types.ParseDelegation(code); ok {
		return fmt.Errorf("%w: %s is delegated to %s (EIP-7702); anchor with an account of its own", anchor.ErrLocked, c.Sender(), to)
	}
	if len(code) > 0 {
		return fmt.Errorf("%w: %s is a contract", anchor.ErrLocked, c.Sender())
	}
	return nil
}

// Tips returns the newest block, and the newest final one by the rule of Config.
func (c *Chain) Tips(ctx context.Context) (anchor.Tips, error) {
	v, err := c.nodes.look(ctx)
	if err != nil {
		return anchor.Tips{}, err
	}
	v = v.best()
	latest, err := v.tip(ctx)
	if err != nil {
		return anchor.Tips{}, err
	}
	t := anchor.Tips{Latest: block(latest), Rule: c.cfg.FinalTag}
	if c.cfg.Depth > 0 {
		t.Rule = fmt.Sprintf("depth %d", c.cfg.Depth)
	}
	final, err := c.final(ctx, v, latest)
	if err != nil {
		return anchor.Tips{}, err
	}
	if final != nil {
		t.Final = block(final)
	}
	return t, nil
}

// final returns the newest final block by the rule of Config, nil for none.
func (c *Chain) final(ctx context.Context, v view, latest *types.Header) (*types.Header, error) {
	if c.cfg.Depth == 0 {
		return v.tagged(ctx, c.cfg.FinalTag)
	}
	if latest.Number.Uint64() < c.cfg.Depth {
		return nil, nil
	}
	return v.sameHeader(ctx, latest.Number.Uint64()-c.cfg.Depth)
}

// tagged returns the lowest block that a node gives the tag, if the others have
// the same block there, or nil if no node does yet.
func (v view) tagged(ctx context.Context, tag string) (*types.Header, error) {
	var low *types.Header
	var down error
	answered := false
	for _, r := range each(v, func(s sight) (*types.Header, error) { return s.header(ctx, tag) }) {
		switch {
		case unheard(r.err):
			down = r.err
			continue
		case r.err == nil && (low == nil || r.value.Number.Cmp(low.Number) < 0):
			low = r.value
		}
		answered = true // an error answer or null: nothing is final yet, or the tag is unknown
	}
	switch {
	case !answered:
		return nil, down
	case low == nil || len(v) == 1:
		return low, nil
	}
	return v.sameHeader(ctx, low.Number.Uint64())
}

// Seen returns the newest block.
func (c *Chain) Seen(ctx context.Context) (anchor.Block, error) {
	v, err := c.nodes.look(ctx)
	if err != nil {
		return anchor.Block{}, err
	}
	h, err := v.best().tip(ctx)
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
func (n *node) header(ctx context.Context, at any) (*types.Header, error) {
	var h *namedHeader
	if err := n.ask(ctx, &h, "eth_getBlockByNumber", at, false); err != nil {
		return nil, err
	}
	if h == nil {
		return nil, fmt.Errorf("%w: block %v of the %s is null", anchor.ErrAgain, at, n.name())
	}
	if err := h.check(); err != nil {
		return nil, fmt.Errorf("%w: block %v of the %s: %w", anchor.ErrAgain, at, n.name(), err)
	}
	if want, ok := at.(hexutil.Uint64); ok && h.Number.Uint64() != uint64(want) {
		return nil, fmt.Errorf("%w: block %d of the %s has number %s", anchor.ErrAgain, uint64(want), n.name(), h.Number)
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

const maxTime = 1 << 40 // seconds since 1970: what fits into milliseconds and is no nonsense

func (h *namedHeader) check() error {
	if h.Number == nil || !h.Number.IsUint64() || h.Time > maxTime {
		return fmt.Errorf("number %s and time %d", h.Number, h.Time)
	}
	if h.BaseFee != nil && h.BaseFee.BitLen() > maxWeiBits {
		return fmt.Errorf("the base fee has %d bits", h.BaseFee.BitLen())
	}
	if got := h.Header.Hash(); got != h.hash {
		return fmt.Errorf("the header hashes to %s, not to its name %s", got, h.hash)
	}
	return nil
}

// Stored returns the ledger's head in the registry, at the newest block.
func (c *Chain) Stored(ctx context.Context) (anchor.Root, error) {
	v, err := c.nodes.look(ctx)
	if err != nil {
		return anchor.Root{}, err
	}
	if c.cfg.Contract == (common.Address{}) {
		return anchor.Root{}, fmt.Errorf("%w: no contract is configured", anchor.ErrContract)
	}
	if c.Sender() == (common.Address{}) {
		return anchor.Root{}, c.key.ready(ctx)
	}
	return agree(v.best(), "the registry's head", func(s sight) (anchor.Root, error) { return c.head(ctx, s, "latest") })
}

// head asks a node for the ledger's head in a block.
func (c *Chain) head(ctx context.Context, s sight, at any) (anchor.Root, error) {
	call := map[string]any{"to": c.cfg.Contract, "input": hexutil.Bytes(c.registry.PackHead(c.Sender(), c.cfg.Ledger))}
	var out hexutil.Bytes
	if err := s.ask(ctx, &out, "eth_call", call, at); err != nil {
		return anchor.Root{}, err
	}
	if len(out) != 32 {
		return anchor.Root{}, fmt.Errorf("%w: %s answers with %d bytes, want 32", anchor.ErrContract, c.cfg.Contract, len(out))
	}
	return anchor.Root(out), nil
}

// stand is what one block says: the ledger's head, and the sender's next nonce.
type stand struct {
	head anchor.Root
	used uint64
}

func (s stand) String() string { return fmt.Sprintf("%s with nonce %d", s.head, s.used) }

// stand asks for both in the newest block, which it names by its hash (EIP-1898).
// Asked for one after the other, by "latest", they may be of two blocks, as the chain
// moves in between or two nodes share a URL; and an old head with the nonce of a
// block that has a newer one looks as if another's transaction had taken the place
// of an attempt.
func (c *Chain) stand(ctx context.Context, v view) (stand, error) {
	return agree(v.best(), "the registry's head", func(s sight) (at stand, err error) {
		block := map[string]any{"blockHash": s.head.Hash()}
		if at.head, err = c.head(ctx, s, block); err != nil {
			return at, err
		}
		at.used, err = s.nonce(ctx, c.Sender(), block)
		return at, err
	})
}

// Funds returns the sender's balance, and what an anchor costs at the present
// fees: base fee and tip, without the reserve that Sign asks for.
func (c *Chain) Funds(ctx context.Context) (anchor.Funds, error) {
	f := anchor.Funds{Unit: "gwei", Address: c.Sender().Hex()}
	v, err := c.nodes.look(ctx)
	if err != nil {
		return f, err
	}
	balance, cost, err := c.funds(ctx, v)
	if err != nil {
		return f, err
	}
	f.PerAnchor = gweiUp(cost)
	f.Balance = gweiDown(balance)
	return f, nil
}

// funds returns the balance and the present cost of an anchor, in wei.
func (c *Chain) funds(ctx context.Context, v view) (balance, cost *big.Int, err error) {
	f, err := c.fees(ctx, v)
	if err != nil {
		return nil, nil, err
	}
	data, err := c.dataFee(ctx, v, anchorBytes)
	if err != nil {
		return nil, nil, err
	}
	cost = new(big.Int).Mul(f.now(), big.NewInt(anchorGas))
	balance, err = c.balance(ctx, v)
	return balance, cost.Add(cost, data), err
}

// checkFunds asks whether the balance pays for FundsFor anchors.
func (c *Chain) checkFunds(ctx context.Context, v view) error {
	balance, one, err := c.funds(ctx, v)
	if err != nil {
		return err
	}
	want := new(big.Int).Mul(one, new(big.Int).SetUint64(c.cfg.FundsFor))
	if balance.Cmp(want) < 0 {
		return fmt.Errorf("%w: %s has %s, want %s for %d anchors", anchor.ErrFunds, c.Sender(), inEther(balance), inEther(want), c.cfg.FundsFor)
	}
	return nil
}

func (c *Chain) balance(ctx context.Context, v view) (*big.Int, error) {
	return first(v, func(s sight) (*big.Int, error) {
		var b hexutil.Big
		err := s.ask(ctx, &b, "eth_getBalance", c.Sender(), "latest")
		return (*big.Int)(&b), err
	})
}
