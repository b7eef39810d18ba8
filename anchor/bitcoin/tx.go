package bitcoin

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/btcsuite/btcd/address/v2"
	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcd/txscript/v2"
	"github.com/btcsuite/btcd/wire/v2"
)

// An anchor's transaction, see the package doc.
const (
	txVersion = 2
	// sequence allows both nLockTime and replacement (BIP-125).
	sequence = 0xfffffffd
	// A signature by a key of P2WPKH has 71 or 72 bytes with its type, and 9 more
	// in one of 2^64 keys' bad luck: sizes are reckoned with 72.
	maxECDSASig = 72
)

// shape is what the size of a transaction depends on.
type shape struct {
	kind   Kind
	inputs int
}

// vsize returns the virtual size in bytes: a quarter of the weight, where a
// byte of a witness weighs 1 and any other 4 (BIP-141).
func (s shape) vsize() int64 {
	const (
		frame    = 4 + 1 + 1 + 4 // version, two counts, lock time
		input    = 36 + 1 + 4    // outpoint, empty script, sequence
		opReturn = 8 + 1 + 34
		marker   = 2
	)
	change, witness := int64(8+1+22), int64(1+1+maxECDSASig+1+33)
	if s.kind == P2TR {
		change, witness = 8+1+34, 1+1+64
	}
	n := int64(s.inputs)
	weight := 4*(frame+n*input+change+opReturn) + marker + n*witness
	return (weight + 3) / 4
}

// dust returns the least value that nodes let an output of a kind have: three
// times what spending it costs at 1 sat/vB (Bitcoin Core's default).
func (k Kind) dust() int64 {
	if k == P2TR {
		return 330
	}
	return 294
}

// buildTx makes the unsigned transaction.
func buildTx(in []coin, script []byte, root [32]byte, fee int64, lockTime uint32) *wire.MsgTx {
	tx := wire.NewMsgTx(txVersion)
	tx.LockTime = lockTime
	var sum int64
	for _, c := range in {
		sum += c.Value
		tx.AddTxIn(&wire.TxIn{PreviousOutPoint: wire.OutPoint{Hash: c.Out.Tx, Index: c.Out.Index}, Sequence: sequence})
	}
	tx.AddTxOut(wire.NewTxOut(sum-fee, script))
	tx.AddTxOut(wire.NewTxOut(0, append([]byte{txscript.OP_RETURN, 32}, root[:]...)))
	return tx
}

// sign signs all inputs, and runs each through the script engine.
func (k *key) sign(tx *wire.MsgTx, in []coin) error {
	if k.secret == nil {
		return k.locked
	}
	outs := map[wire.OutPoint]*wire.TxOut{}
	for i, c := range in {
		outs[tx.TxIn[i].PreviousOutPoint] = wire.NewTxOut(c.Value, k.script)
	}
	fetch := txscript.NewMultiPrevOutFetcher(outs)
	hashes := txscript.NewTxSigHashes(tx, fetch)
	for i, c := range in {
		var err error
		if k.kind == P2TR {
			tx.TxIn[i].Witness, err = txscript.TaprootWitnessSignature(tx, hashes, i, c.Value, k.script, txscript.SigHashDefault, k.secret)
		} else {
			tx.TxIn[i].Witness, err = txscript.WitnessSignature(tx, hashes, i, c.Value, k.script, txscript.SigHashAll, k.secret, true)
		}
		if err != nil {
			return fmt.Errorf("sign input %d: %w", i, err)
		}
	}
	for i, c := range in {
		engine, err := txscript.NewEngine(k.script, tx, i, txscript.StandardVerifyFlags, nil, hashes, c.Value, fetch)
		if err == nil {
			err = engine.Execute()
		}
		if err != nil {
			return fmt.Errorf("check the signature of input %d: %w", i, err)
		}
	}
	return nil
}

// checkTx makes sure that a signed transaction is what was asked for: it spends
// the coins in, pays fee, and all but that goes back to script.
func checkTx(tx *wire.MsgTx, in []coin, script []byte, root [32]byte, fee int64) error {
	got, ok := anchorRoot(tx, script)
	if !ok || got != root || len(tx.TxIn) != len(in) || len(tx.TxIn) > 2 {
		return errors.New("the transaction is not of an anchor's form")
	}
	var sum int64
	for i, c := range in {
		if outpointOf(tx.TxIn[i].PreviousOutPoint) != c.Out || tx.TxIn[i].Sequence != sequence || len(tx.TxIn[i].SignatureScript) > 0 {
			return fmt.Errorf("input %d is another", i)
		}
		sum += c.Value
	}
	if paid := sum - tx.TxOut[0].Value; paid != fee {
		return fmt.Errorf("it pays %d satoshi, want %d", paid, fee)
	}
	return nil
}

func serializeTx(tx *wire.MsgTx) ([]byte, error) {
	var b bytes.Buffer
	if err := tx.Serialize(&b); err != nil {
		return nil, fmt.Errorf("encode transaction: %w", err)
	}
	return b.Bytes(), nil
}

func vsizeOf(tx *wire.MsgTx) int64 {
	return int64(3*tx.SerializeSizeStripped()+tx.SerializeSize()+3) / 4
}

// txid writes a transaction id as nodes do.
func txid(id [32]byte) string { return chainhash.Hash(id).String() }

// idBytes returns an id as Attempt.ID holds it: in the order in which it is
// shown, so that its hex is what explorers know.
func idBytes(id [32]byte) []byte {
	out := slices.Clone(id[:])
	slices.Reverse(out)
	return out
}

func idOf(b []byte) (id [32]byte, ok bool) {
	if len(b) != 32 {
		return id, false
	}
	copy(id[:], b)
	slices.Reverse(id[:])
	return id, true
}

// witnessIsOurs tells whether a witness looks like one of P2WPKH by the key of
// script. It proves nothing: without the output that is spent its signature
// cannot be checked, and a Taproot script path of an unknown leaf version can
// look the same. The witnesses of P2TR do not tell whose they are.
func witnessIsOurs(witness wire.TxWitness, script []byte) bool {
	return len(witness) == 2 && len(witness[1]) == btcec.PubKeyBytesLenCompressed && len(script) == 22 &&
		script[0] == txscript.OP_0 && bytes.Equal(address.Hash160(witness[1]), script[2:])
}
