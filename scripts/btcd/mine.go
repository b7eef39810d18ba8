package btcd

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/btcsuite/btcd/blockchain"
	"github.com/btcsuite/btcd/btcutil/v2"
	"github.com/btcsuite/btcd/chaincfg/v2"
	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcd/txscript/v2"
	"github.com/btcsuite/btcd/wire/v2"
)

const (
	maturity = 100  // blocks on top of a coinbase before it can be spent, by consensus
	fundFee  = 2000 // satoshi: enough for one input and two outputs
)

// Mine has the node add blocks of what is in its mempool and returns their hashes.
func (n *Node) Mine(blocks int) []string {
	n.t.Helper()
	var hashes []string
	if err := n.Call(&hashes, "generate", blocks); err != nil {
		n.t.Fatalf("btcd: mine: %v", err)
	}
	return hashes
}

// MineBlock adds one block on the best chain that holds exactly these transactions, whatever the mempool has,
// and pays the subsidy to script, or to the node's key if it is nil. It returns the block's hash.
func (n *Node) MineBlock(script []byte, txs ...*wire.MsgTx) string {
	n.t.Helper()
	hash, err := n.mineBlock(script, txs)
	if err != nil {
		n.t.Fatalf("btcd: mine block: %v", err)
	}
	return hash
}

func (n *Node) mineBlock(script []byte, txs []*wire.MsgTx) (string, error) {
	if script == nil {
		script = n.Script
	}
	var best struct {
		Hash   string `json:"hash"`
		Height int32  `json:"height"`
	}
	if err := n.Call(&best, "getbestblock"); err != nil {
		return "", err
	}
	prev, err := chainhash.NewHashFromStr(best.Hash)
	if err != nil {
		return "", err
	}
	var info struct {
		MedianTime int64 `json:"mediantime"`
	}
	if err := n.Call(&info, "getblockchaininfo"); err != nil {
		return "", err
	}
	block, err := assemble(*prev, best.Height+1, max(time.Now().Unix(), info.MedianTime+1), script, txs)
	if err != nil {
		return "", err
	}
	var raw bytes.Buffer
	if err := block.Serialize(&raw); err != nil {
		return "", err
	}
	if err := n.submit(hex.EncodeToString(raw.Bytes())); err != nil {
		return "", err
	}
	return block.BlockHash().String(), nil
}

func (n *Node) submit(raw string) error {
	var refusal *string
	if err := n.Call(&refusal, "submitblock", raw); err != nil {
		return err
	}
	if refusal != nil {
		return fmt.Errorf("refused: %s", *refusal)
	}
	return nil
}

// assemble builds and solves a block.
func assemble(prev chainhash.Hash, height int32, at int64, script []byte, txs []*wire.MsgTx) (*wire.MsgBlock, error) {
	params := &chaincfg.RegressionNetParams
	// The time makes coinbases of equal heights differ; BIP 34 wants the height first.
	sig, err := txscript.NewScriptBuilder().AddInt64(int64(height)).
		AddData(binary.BigEndian.AppendUint64(nil, uint64(time.Now().UnixNano()))).Script()
	if err != nil {
		return nil, fmt.Errorf("coinbase: %w", err)
	}
	coinbase := wire.NewMsgTx(2)
	in := wire.NewTxIn(wire.NewOutPoint(&chainhash.Hash{}, wire.MaxPrevOutIndex), sig, nil)
	in.Witness = wire.TxWitness{make([]byte, 32)}
	coinbase.AddTxIn(in)
	coinbase.AddTxOut(wire.NewTxOut(blockchain.CalcBlockSubsidy(height, params), script))

	all := []*btcutil.Tx{btcutil.NewTx(coinbase)}
	for _, tx := range txs {
		all = append(all, btcutil.NewTx(tx))
	}
	witness := blockchain.CalcMerkleRoot(all, true)
	commitment := chainhash.DoubleHashB(append(witness[:], make([]byte, 32)...))
	coinbase.AddTxOut(wire.NewTxOut(0, append([]byte{0x6a, 0x24, 0xaa, 0x21, 0xa9, 0xed}, commitment...))) // BIP 141

	all[0] = btcutil.NewTx(coinbase)
	header := wire.NewBlockHeader(0x20000000, &prev, new(chainhash.Hash), params.PowLimitBits, 0)
	header.MerkleRoot = blockchain.CalcMerkleRoot(all, false)
	header.Timestamp = time.Unix(at, 0)
	block := wire.NewMsgBlock(header)
	for _, tx := range all {
		block.AddTransaction(tx.MsgTx())
	}
	target := blockchain.CompactToBig(header.Bits)
	for {
		if hash := block.BlockHash(); blockchain.HashToBig(&hash).Cmp(target) <= 0 {
			return block, nil
		}
		block.Header.Nonce++ // every second hash is good enough
	}
}

// Fund pays an amount in satoshi to a script and returns where it is: output 0 of a transaction in the
// mempool, for Mine to take up.
func (n *Node) Fund(script []byte, amount int64) wire.OutPoint {
	n.t.Helper()
	return wire.OutPoint{Hash: n.Spend(wire.NewTxOut(amount, script)).TxHash(), Index: 0}
}

// Spend puts a transaction with these outputs, and the change to the node's key behind them, into the mempool.
// It spends one coinbase of that key, the oldest that was not spent before, and mines as many blocks as are
// missing for there to be one.
func (n *Node) Spend(outs ...*wire.TxOut) *wire.MsgTx {
	n.t.Helper()
	for {
		from, value, ok := n.coinbase()
		if !ok {
			n.Mine(maturity + 1)
			continue
		}
		tx, err := n.pay(from, value, outs...)
		if err == nil {
			err = n.Send(tx)
		}
		if err != nil {
			n.t.Fatalf("btcd: spend: %v", err)
		}
		return tx
	}
}

// coinbase finds the oldest coinbase of the key that can be spent and was not found before.
func (n *Node) coinbase() (wire.OutPoint, int64, bool) {
	n.t.Helper()
	tip, _ := n.Tip()
	for n.spent+maturity <= tip {
		n.spent++
		block, err := n.Block(n.BlockHash(n.spent))
		if err != nil {
			n.t.Fatalf("btcd: %v", err)
		}
		earned := block.Transactions[0]
		point := wire.OutPoint{Hash: earned.TxHash(), Index: 0}
		var unspent *struct{}
		if err := n.Call(&unspent, "gettxout", point.Hash.String(), 0, true); err != nil {
			n.t.Fatalf("btcd: %v", err)
		}
		if unspent != nil && bytes.Equal(earned.TxOut[0].PkScript, n.Script) {
			return point, earned.TxOut[0].Value, true
		}
	}
	return wire.OutPoint{}, 0, false
}

// Block returns a block that the node has.
func (n *Node) Block(hash string) (*wire.MsgBlock, error) {
	var text string
	if err := n.Call(&text, "getblock", hash, 0); err != nil {
		return nil, err
	}
	raw, err := hex.DecodeString(text)
	if err != nil {
		return nil, fmt.Errorf("block %s: %w", hash, err)
	}
	block := new(wire.MsgBlock)
	if err := block.Deserialize(bytes.NewReader(raw)); err != nil {
		return nil, fmt.Errorf("block %s: %w", hash, err)
	}
	return block, nil
}

// pay signs a transaction with outputs of the caller's and the change behind them.
func (n *Node) pay(from wire.OutPoint, value int64, outs ...*wire.TxOut) (*wire.MsgTx, error) {
	change := value - fundFee
	for _, out := range outs {
		change -= out.Value
	}
	if change < 1000 {
		return nil, fmt.Errorf("a coinbase of %d satoshi is too little", value)
	}
	tx := wire.NewMsgTx(2)
	tx.AddTxIn(wire.NewTxIn(&from, nil, nil))
	for _, out := range outs {
		tx.AddTxOut(out)
	}
	tx.AddTxOut(wire.NewTxOut(change, n.Script))
	hashes := txscript.NewTxSigHashes(tx, txscript.NewCannedPrevOutputFetcher(n.Script, value))
	var err error
	tx.TxIn[0].Witness, err = txscript.WitnessSignature(tx, hashes, 0, value, n.Script, txscript.SigHashAll, n.Key, true)
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	return tx, nil
}

// Send puts a transaction into the node's mempool.
func (n *Node) Send(tx *wire.MsgTx) error {
	var raw bytes.Buffer
	if err := tx.Serialize(&raw); err != nil {
		return fmt.Errorf("serialize: %w", err)
	}
	return n.Call(nil, "sendrawtransaction", hex.EncodeToString(raw.Bytes()))
}
