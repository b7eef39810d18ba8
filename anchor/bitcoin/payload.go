package bitcoin

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"

	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcd/wire/v2"

	"cairn/anchor"
	"cairn/anchor/proof"
)

// The readers of what a node answers. Each takes a JSON value, is strict about
// what it uses of it, and says ErrAgain if it cannot be used.

const (
	maxHeight    = math.MaxInt32
	maxBlockSize = 4_000_000 // BIP-141: a block's weight, so its bytes as well
	maxBlockTxs  = maxBlockSize / 60
	maxMoney     = 21_000_000 * satoshis
	satoshis     = 100_000_000 // in a bitcoin
)

func unusable(what string, err error) error {
	if err == nil {
		return fmt.Errorf("%w: %s", anchor.ErrAgain, what)
	}
	return fmt.Errorf("%w: %s: %s", anchor.ErrAgain, what, oneLine(err.Error()))
}

func readHeight(b json.RawMessage) (uint32, error) {
	var n *int64
	if err := json.Unmarshal(b, &n); err != nil || n == nil || *n < 0 || *n > maxHeight {
		return 0, unusable("the node's height is no height", err)
	}
	return uint32(*n), nil
}

// readHash reads a hash as nodes write it: reversed.
func readHash(b json.RawMessage) (h [32]byte, err error) {
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return h, unusable("the node's hash is no text", nil)
	}
	return parseHash(s)
}

func parseHash(s string) ([32]byte, error) {
	if len(s) != 64 {
		return [32]byte{}, unusable(fmt.Sprintf("a hash of %d characters", len(s)), nil)
	}
	h, err := chainhash.NewHashFromStr(s)
	if err != nil {
		return [32]byte{}, unusable("a hash that is not hex", nil)
	}
	return *h, nil
}

func readHex(b json.RawMessage, max int) ([]byte, error) {
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return nil, unusable("the node's bytes are no text", nil)
	}
	if len(s) > 2*max {
		return nil, unusable(fmt.Sprintf("%d bytes, at most %d", len(s)/2, max), nil)
	}
	raw, err := hex.DecodeString(s)
	if err != nil {
		return nil, unusable("the node's bytes are not hex", nil)
	}
	return raw, nil
}

func readHeader(b json.RawMessage) (h proof.BitcoinHeader, err error) {
	raw, err := readHex(b, 4*len(h))
	if err != nil {
		return h, err
	}
	if len(raw) != len(h) {
		return h, unusable(fmt.Sprintf("a header of %d bytes", len(raw)), nil)
	}
	return proof.BitcoinHeader(raw), nil
}

// readBlock reads a block, whose transactions make up its Merkle root.
func readBlock(b json.RawMessage) (*wire.MsgBlock, proof.BitcoinHeader, error) {
	var h proof.BitcoinHeader
	raw, err := readHex(b, maxBlockSize)
	if err != nil {
		return nil, h, err
	}
	if len(raw) < len(h) {
		return nil, h, unusable(fmt.Sprintf("a block of %d bytes", len(raw)), nil)
	}
	h = proof.BitcoinHeader(raw[:len(h)])
	block, r := new(wire.MsgBlock), bytes.NewReader(raw)
	if err := block.Deserialize(r); err != nil {
		return nil, h, unusable("a block cannot be read", err)
	}
	if r.Len() > 0 || len(block.Transactions) == 0 || len(block.Transactions) > maxBlockTxs {
		return nil, h, unusable(fmt.Sprintf("a block of %d transactions and %d bytes more", len(block.Transactions), r.Len()), nil)
	}
	root, twins := merkleRoot(txHashes(block))
	switch {
	case twins:
		// CVE-2012-2459: another list of transactions with the same root.
		return nil, h, unusable("a block repeats transactions at its end", nil)
	case root != h.Merkle():
		return nil, h, unusable("a block's transactions do not make up its Merkle root", nil)
	}
	return block, h, nil
}

func txHashes(block *wire.MsgBlock) [][32]byte {
	ids := make([][32]byte, len(block.Transactions))
	for i, tx := range block.Transactions {
		ids[i] = tx.TxHash()
	}
	return ids
}

// merkleRoot returns the root over transaction ids, an odd one being paired
// with itself, and whether some pair was of two equal hashes.
func merkleRoot(level [][32]byte) (root [32]byte, twins bool) {
	for level = bytes32s(level); len(level) > 1; {
		half := level[:0:len(level)]
		for i := 0; i < len(level); i += 2 {
			left, right := level[i], level[min(i+1, len(level)-1)]
			twins = twins || i+1 < len(level) && left == right
			half = append(half, hashPair(left, right))
		}
		level = half
	}
	return level[0], twins
}

func bytes32s(in [][32]byte) [][32]byte { return append([][32]byte(nil), in...) }

// merkleBranch returns the siblings on the way from transaction i up.
func merkleBranch(level [][32]byte, i int) [][32]byte {
	var branch [][32]byte
	for level = bytes32s(level); len(level) > 1; i /= 2 {
		branch = append(branch, level[min(i^1, len(level)-1)])
		half := level[:0:len(level)]
		for j := 0; j < len(level); j += 2 {
			half = append(half, hashPair(level[j], level[min(j+1, len(level)-1)]))
		}
		level = half
	}
	return branch
}

func hashPair(l, r [32]byte) [32]byte {
	var b [64]byte
	copy(b[:32], l[:])
	copy(b[32:], r[:])
	return chainhash.DoubleHashH(b[:])
}

// readTx reads a transaction with its witnesses, and nothing after it.
func readTx(raw []byte) (*wire.MsgTx, error) {
	tx, r := new(wire.MsgTx), bytes.NewReader(raw)
	if err := tx.Deserialize(r); err != nil {
		return nil, fmt.Errorf("read transaction: %w", err)
	}
	if r.Len() > 0 {
		return nil, fmt.Errorf("read transaction: %d bytes after it", r.Len())
	}
	return tx, nil
}

// readAmount reads an amount that stands in bitcoin and returns satoshi.
func readAmount(v json.Number) (int64, error) {
	f, err := v.Float64()
	if err != nil || math.IsNaN(f) || f < 0 || f*satoshis > maxMoney {
		return 0, errors.New("no amount of money")
	}
	return int64(math.Round(f * satoshis)), nil
}

// readRate reads a rate that stands in bitcoin per 1000 virtual bytes and
// returns satoshi per virtual byte. 0 and less mean that there is none.
func readRate(v json.Number) (float64, error) {
	f, err := v.Float64()
	if err != nil || math.IsNaN(f) || f*satoshis > maxSatPerVB*1000 {
		return 0, errors.New("no rate")
	}
	return max(f, 0) * satoshis / 1000, nil
}

// output is what gettxout says of an unspent output.
type output struct {
	value         int64
	script        []byte
	confirmations int64 // 0: it is in the mempool
}

// readOutput returns nil for null: there is no such unspent output.
func readOutput(b json.RawMessage) (*output, error) {
	var o *struct {
		Value         json.Number `json:"value"`
		Confirmations int64       `json:"confirmations"`
		ScriptPubKey  struct {
			Hex string `json:"hex"`
		} `json:"scriptPubKey"`
	}
	if err := json.Unmarshal(b, &o); err != nil {
		return nil, unusable("gettxout", err)
	}
	if o == nil {
		return nil, nil
	}
	value, err := readAmount(o.Value)
	if err != nil {
		return nil, unusable("gettxout", err)
	}
	script, err := hex.DecodeString(o.ScriptPubKey.Hex)
	if err != nil {
		return nil, unusable("gettxout: the script is not hex", nil)
	}
	return &output{value, script, o.Confirmations}, nil
}

// readSpender reads gettxspendingprevout's answer for one output: the id of
// the transaction in the mempool that spends it, if there is one.
func readSpender(b json.RawMessage) (id [32]byte, ok bool, err error) {
	var list []struct {
		Spender string `json:"spendingtxid"`
	}
	if err := json.Unmarshal(b, &list); err != nil {
		return id, false, unusable("gettxspendingprevout", err)
	}
	if len(list) != 1 {
		return id, false, unusable(fmt.Sprintf("gettxspendingprevout: %d answers for one output", len(list)), nil)
	}
	if list[0].Spender == "" {
		return id, false, nil
	}
	id, err = parseHash(list[0].Spender)
	return id, err == nil, err
}

// readAccept reads testmempoolaccept's answer for one transaction: the reason
// why it is refused, or nothing.
func readAccept(b json.RawMessage) (reason string, err error) {
	var list []struct {
		Allowed bool   `json:"allowed"`
		Reason  string `json:"reject-reason"`
	}
	if err := json.Unmarshal(b, &list); err != nil {
		return "", unusable("testmempoolaccept", err)
	}
	switch {
	case len(list) != 1:
		return "", unusable(fmt.Sprintf("testmempoolaccept: %d answers for one transaction", len(list)), nil)
	case list[0].Allowed:
		return "", nil
	case list[0].Reason == "":
		return "no reason is given", nil
	}
	return oneLine(list[0].Reason), nil
}
