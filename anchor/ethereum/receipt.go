package ethereum

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/rlp"
	"github.com/ethereum/go-ethereum/trie"

	"cairn/anchor"
	"cairn/anchor/proof"
	"cairn/contracts"
)

// maxBlockTxs bounds the transactions of a block whose receipts are asked for.
const maxBlockTxs = 1 << 16

// errNoState says that a node does not have a block's state any more, or not
// for proofs: geth keeps that of 128 blocks, Reth as it comes gives proofs of
// its newest block alone.
var errNoState = fmt.Errorf("%w: no proof of the state", anchor.ErrAgain)

// Receipt takes the proof.EthereumReceipt of an attempt in a block, verified,
// from the first node whose proofs hold. Where no node has the block's state any
// more, as after a long outage, it is of a later block, which holds the head as
// well: the newest final one or, failing that, the newest. Complete then waits
// until that is final.
func (c *Chain) Receipt(ctx context.Context, a anchor.Attempt, b anchor.Block) ([]byte, error) {
	v, err := c.nodes.look(ctx)
	if err != nil {
		return nil, err
	}
	data, err := first(v, func(s sight) ([]byte, error) { return c.receiptFrom(ctx, s, a, b) })
	if !errors.Is(err, errNoState) {
		return data, err
	}
	if later, bad := c.laterReceipt(ctx, v.best(), a, b); bad == nil {
		return later, nil
	}
	return nil, err
}

// laterReceipt takes the receipt at a block after b.
func (c *Chain) laterReceipt(ctx context.Context, v view, a anchor.Attempt, b anchor.Block) ([]byte, error) {
	latest, err := v.tip(ctx)
	if err != nil {
		return nil, err
	}
	final, err := c.final(ctx, v, latest)
	if err != nil {
		return nil, err
	}
	err = errNoState
	for _, h := range []*types.Header{final, latest} {
		if h == nil || h.Number.Uint64() < b.Height {
			continue
		}
		var data []byte
		data, err = first(v, func(s sight) ([]byte, error) {
			r, err := c.stateReceipt(ctx, s, a, h)
			if err != nil {
				return nil, err
			}
			return c.verified(r, block(h), nil)
		})
		if err == nil {
			return data, nil
		}
	}
	return nil, err
}

// stateReceipt returns a receipt with the storage proof alone, not verified.
func (c *Chain) stateReceipt(ctx context.Context, s sight, a anchor.Attempt, h *types.Header) (r proof.EthereumReceipt, err error) {
	raw, err := rlp.EncodeToBytes(h)
	if err != nil {
		return r, fmt.Errorf("encode header: %w", err)
	}
	r = proof.EthereumReceipt{
		ChainID: c.cfg.ChainID, Contract: c.cfg.Contract, Sender: c.Sender(),
		Ledger: c.cfg.Ledger, Root: a.Root, Header: raw, TxHash: common.BytesToHash(a.ID),
	}
	slot := contracts.Slot(c.Sender(), c.cfg.Ledger)
	r.AccountProof, r.StorageProof, err = s.stateProof(ctx, c.cfg.Contract, slot, h.Number.Uint64())
	return r, err
}

func (c *Chain) receiptFrom(ctx context.Context, s sight, a anchor.Attempt, b anchor.Block) ([]byte, error) {
	h, err := s.header(ctx, hexutil.Uint64(b.Height))
	if err != nil {
		return nil, err
	}
	if h.Hash() != b.Hash {
		return nil, fmt.Errorf("%w: block %d is another for the %s now", anchor.ErrAgain, b.Height, s.name())
	}
	r, err := c.stateReceipt(ctx, s, a, h)
	if err != nil {
		return nil, err
	}
	var noReceipt error
	if r.ReceiptProof, r.TxIndex, noReceipt = s.receiptProof(ctx, h, r.TxHash); errors.Is(noReceipt, anchor.ErrDown) {
		return nil, noReceipt
	}
	return c.verified(r, b, noReceipt)
}

// retaken is a receipt of a later block that took the place of one whose block
// went away.
type retaken struct {
	id   string // of the attempt
	data []byte
}

// Complete returns the receipt as it is: all of it is taken at inclusion. One
// that is of a later block is good once that is final: until then Complete says
// ErrAgain, and if the block went away it takes another.
func (c *Chain) Complete(ctx context.Context, a anchor.Attempt, b anchor.Block, receipt []byte) ([]byte, error) {
	at, err := blockOf(receipt)
	if err != nil || at.Hash == b.Hash {
		return receipt, err
	}
	c.mu.Lock()
	if c.retaken.id == string(a.ID) {
		receipt = c.retaken.data
	}
	c.mu.Unlock()
	if at, err = blockOf(receipt); err != nil {
		return nil, err
	}
	ok, err := c.isFinal(ctx, at)
	switch {
	case err != nil:
		return nil, err
	case ok:
		return receipt, nil
	}
	if receipt, err = c.Receipt(ctx, a, b); err != nil {
		return nil, err
	}
	c.mu.Lock()
	c.retaken = retaken{string(a.ID), receipt}
	c.mu.Unlock()
	if at, err = blockOf(receipt); err != nil || at.Hash == b.Hash {
		return receipt, err
	}
	if ok, err = c.isFinal(ctx, at); err == nil && !ok {
		err = fmt.Errorf("%w: block %d is another now", anchor.ErrAgain, at.Height)
	}
	return receipt, err
}

func blockOf(receipt []byte) (anchor.Block, error) {
	r, err := proof.ParseEthereumReceipt(receipt)
	if err != nil {
		return anchor.Block{}, fmt.Errorf("%w: %w", anchor.ErrAgain, err)
	}
	facts, err := proof.VerifyEthereum(r)
	if err != nil {
		return anchor.Block{}, fmt.Errorf("%w: %w", anchor.ErrAgain, err)
	}
	return anchor.Block{Height: facts.Number, Hash: facts.BlockHash, Time: facts.Time}, nil
}

// isFinal reports whether the chain has the block, and it is final. If it is
// still to become final the error is an ErrAgain.
func (c *Chain) isFinal(ctx context.Context, at anchor.Block) (bool, error) {
	v, err := c.nodes.look(ctx)
	if err != nil {
		return false, err
	}
	v = v.best()
	latest, err := v.tip(ctx)
	if err != nil {
		return false, err
	}
	if latest.Number.Uint64() >= at.Height {
		h, err := v.sameHeader(ctx, at.Height)
		if err != nil || h.Hash() != at.Hash {
			return false, err
		}
	}
	final, err := c.final(ctx, v, latest)
	if err == nil && (final == nil || final.Number.Uint64() < at.Height) {
		err = fmt.Errorf("%w: the receipt is of block %d, which is not final yet", anchor.ErrAgain, at.Height)
	}
	return err == nil, err
}

// verified returns the fullest receipt that holds: with both proofs, else with
// one of them. A chain with transactions of its own kinds gives no receipt
// proof, and the same head sent again logs nothing; a head that was
// overwritten in its own block is not in the storage at its end.
func (c *Chain) verified(r proof.EthereumReceipt, b anchor.Block, noReceipt error) ([]byte, error) {
	storageOnly, receiptOnly := r, r
	storageOnly.ReceiptProof, storageOnly.TxIndex = nil, 0
	receiptOnly.StorageProof = nil
	first := noReceipt
	for _, r := range []proof.EthereumReceipt{r, storageOnly, receiptOnly} {
		facts, err := proof.VerifyEthereum(r)
		if err == nil {
			if facts.BlockHash != b.Hash || facts.Number != b.Height || facts.Time != b.Time {
				return nil, fmt.Errorf("%w: the receipt is of block %d, want %d", anchor.ErrAgain, facts.Number, b.Height)
			}
			if facts.CodeHash != c.cfg.CodeHash {
				return nil, fmt.Errorf("%w: in block %d it has code hash %x", anchor.ErrContract, b.Height, facts.CodeHash)
			}
			return r.MarshalBinary()
		}
		if first == nil {
			first = err
		}
	}
	return nil, fmt.Errorf("%w: the node's proofs do not hold: %w", anchor.ErrAgain, first)
}

// stateAnswer is what is needed of eth_getProof.
type stateAnswer struct {
	AccountProof []hexutil.Bytes `json:"accountProof"`
	StorageProof []struct {
		Proof []hexutil.Bytes `json:"proof"`
	} `json:"storageProof"`
}

// stateProof returns eth_getProof's nodes for the contract and the head's slot,
// as the node gives them.
func (s sight) stateProof(ctx context.Context, contract common.Address, slot common.Hash, height uint64) (account, storage [][]byte, err error) {
	var res *stateAnswer
	err = s.ask(ctx, &res, "eth_getProof", contract, []common.Hash{slot}, hexutil.Uint64(height))
	var answer *serverError
	switch {
	case errors.As(err, &answer) && !limited(err):
		return nil, nil, fmt.Errorf("%w: %w", errNoState, answer)
	case err != nil:
		return nil, nil, err
	}
	if res == nil || len(res.StorageProof) != 1 {
		return nil, nil, fmt.Errorf("%w: eth_getProof of the %s has no proof of one slot", anchor.ErrAgain, s.name())
	}
	return plain(res.AccountProof), plain(res.StorageProof[0].Proof), nil
}

func plain(nodes []hexutil.Bytes) [][]byte {
	out := make([][]byte, len(nodes))
	for i := range nodes {
		out[i] = nodes[i]
	}
	return out
}

// receiptProof builds the branch of the transaction's receipt out of all
// receipts of the block.
func (s sight) receiptProof(ctx context.Context, h *types.Header, tx common.Hash) (nodes [][]byte, index uint64, err error) {
	receipts, err := s.blockReceipts(ctx, h)
	if err != nil {
		return nil, 0, err
	}
	nodes, index, err = receiptBranch(receipts, h, tx)
	if err != nil {
		return nil, 0, fmt.Errorf("%w: the %s: %w", anchor.ErrAgain, s.name(), err)
	}
	return nodes, index, nil
}

func receiptBranch(receipts types.Receipts, h *types.Header, tx common.Hash) (nodes [][]byte, index uint64, err error) {
	at := -1
	for i, r := range receipts {
		if r == nil {
			return nil, 0, fmt.Errorf("receipt %d of block %s is null", i, h.Number)
		}
		if r.TxHash == tx {
			at = i
		}
	}
	if at < 0 {
		return nil, 0, fmt.Errorf("block %s has no receipt of %s", h.Number, tx)
	}
	nodes, root := branch(receipts, uint64(at))
	if root != h.ReceiptHash {
		return nil, 0, fmt.Errorf("the receipts of block %s do not make up its receipts root", h.Number)
	}
	return nodes, uint64(at), nil
}

// branch returns the trie nodes on the way to receipt i, root first, and the
// trie's root. The trie is made by the code that makes a block's; of all its
// nodes those are kept whose path leads to the key. Nodes shorter than a hash
// stand inside their parents, and no receipt is as short.
func branch(receipts types.Receipts, i uint64) ([][]byte, common.Hash) {
	key := rlp.AppendUint64(nil, i)
	way := make([]byte, 0, 2*len(key))
	for _, b := range key {
		way = append(way, b>>4, b&15)
	}
	found := map[int][]byte{}
	st := trie.NewStackTrie(func(path []byte, _ common.Hash, blob []byte) {
		if bytes.HasPrefix(way, path) {
			found[len(path)] = bytes.Clone(blob)
		}
	})
	root := types.DeriveSha(receipts, st)
	var nodes [][]byte
	for depth := 0; depth <= len(way); depth++ {
		if n, ok := found[depth]; ok {
			nodes = append(nodes, n)
		}
	}
	return nodes, root
}

// blockReceipts asks for all receipts of a block at once, and one by one from
// nodes that do not know eth_getBlockReceipts.
func (s sight) blockReceipts(ctx context.Context, h *types.Header) (types.Receipts, error) {
	var receipts types.Receipts
	err := s.ask(ctx, &receipts, "eth_getBlockReceipts", hexutil.Uint64(h.Number.Uint64()))
	if err == nil && len(receipts) > 0 || errors.Is(err, anchor.ErrDown) {
		return receipts, err
	}
	var b *struct {
		Hash         common.Hash   `json:"hash"`
		Transactions []common.Hash `json:"transactions"`
	}
	if err := s.ask(ctx, &b, "eth_getBlockByNumber", hexutil.Uint64(h.Number.Uint64()), false); err != nil {
		return nil, err
	}
	if b == nil || b.Hash != h.Hash() || len(b.Transactions) > maxBlockTxs {
		return nil, fmt.Errorf("%w: block %s is another for the %s now", anchor.ErrAgain, h.Number, s.name())
	}
	receipts = make(types.Receipts, len(b.Transactions))
	for i, tx := range b.Transactions {
		if err := s.ask(ctx, &receipts[i], "eth_getTransactionReceipt", tx); err != nil {
			return nil, err
		}
	}
	return receipts, nil
}
