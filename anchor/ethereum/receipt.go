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

// Receipt takes the proof.EthereumReceipt of an attempt in a block, verified,
// from the first node whose proofs hold. That must still have the block's
// state: an ordinary one keeps that of some 128 blocks.
func (c *Chain) Receipt(ctx context.Context, a anchor.Attempt, b anchor.Block) ([]byte, error) {
	v, err := c.nodes.look(ctx)
	if err != nil {
		return nil, err
	}
	return first(v, func(s sight) ([]byte, error) { return c.receiptFrom(ctx, s, a, b) })
}

func (c *Chain) receiptFrom(ctx context.Context, s sight, a anchor.Attempt, b anchor.Block) ([]byte, error) {
	h, err := s.header(ctx, hexutil.Uint64(b.Height))
	if err != nil {
		return nil, err
	}
	if h.Hash() != b.Hash {
		return nil, fmt.Errorf("%w: block %d is another for the %s now", anchor.ErrAgain, b.Height, s.name())
	}
	raw, err := rlp.EncodeToBytes(h)
	if err != nil {
		return nil, fmt.Errorf("encode header: %w", err)
	}
	r := proof.EthereumReceipt{
		ChainID: c.cfg.ChainID, Contract: c.cfg.Contract, Sender: c.Sender(),
		Ledger: c.cfg.Ledger, Root: a.Root, Header: raw, TxHash: common.BytesToHash(a.ID),
	}
	slot := contracts.Slot(c.Sender(), c.cfg.Ledger)
	if r.AccountProof, r.StorageProof, err = s.stateProof(ctx, c.cfg.Contract, slot, b.Height); err != nil {
		return nil, err
	}
	var noReceipt error
	if r.ReceiptProof, r.TxIndex, noReceipt = s.receiptProof(ctx, h, r.TxHash); errors.Is(noReceipt, anchor.ErrDown) {
		return nil, noReceipt
	}
	return c.verified(r, b, noReceipt)
}

// Complete returns the receipt as it is: all of it is taken at inclusion.
func (c *Chain) Complete(_ context.Context, _ anchor.Attempt, _ anchor.Block, receipt []byte) ([]byte, error) {
	return receipt, nil
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
	if err := s.ask(ctx, &res, "eth_getProof", contract, []common.Hash{slot}, hexutil.Uint64(height)); err != nil {
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
