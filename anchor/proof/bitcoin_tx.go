package proof

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Limits of a Bitcoin transaction in a receipt. Nodes relay none of more than
// 400,000 weight units, which is 100,000 bytes without witness; ours has about
// 150.
const (
	maxBitcoinTx    = 100_000
	maxBitcoinMoney = 21_000_000 * 100_000_000 // satoshi
	minBitcoinIn    = 32 + 4 + 1 + 4           // bytes of an input with an empty script
	minBitcoinOut   = 8 + 1                    // bytes of an output with an empty script

	// bitcoinNode is the length of what an inner node of a block's Merkle tree
	// hashes. A transaction of that length can be told from none.
	bitcoinNode = 64

	opReturn = 0x6a
	opData32 = 0x20
)

// What can be wrong with the transaction of a Bitcoin receipt.
var (
	ErrBitcoinTx     = errors.New("bitcoin transaction is malformed")
	ErrBitcoin64     = errors.New("bitcoin transaction of 64 bytes, or one hidden in the branch")
	ErrBitcoinRoot   = errors.New("bitcoin transaction does not carry this root")
	ErrBitcoinChange = errors.New("bitcoin transaction has no change first")
)

// Outpoint names an output of a transaction.
type Outpoint struct {
	TxID  [32]byte // internal byte order: as it is hashed, not as it is shown
	Index uint32
}

// String writes an outpoint as Bitcoin's tools do, with the id reversed.
func (o Outpoint) String() string { return fmt.Sprintf("%x:%d", reversed(o.TxID), o.Index) }

// reversed turns a hash from internal to shown byte order, and back.
func reversed(h [32]byte) [32]byte {
	for i := range 16 {
		h[i], h[31-i] = h[31-i], h[i]
	}
	return h
}

// bitcoinTx is a transaction as far as a receipt needs it.
type bitcoinTx struct {
	inputs  []Outpoint
	outputs []bitcoinOut
}

type bitcoinOut struct {
	at     int // of the script, from the transaction's first byte
	script []byte
}

// parseBitcoinTx reads a transaction in the form that its id is the hash of:
//
//	version (4) ‖ compact n ‖ n × input ‖ compact m ‖ m × output ‖ lock time (4)
//	input  = transaction id (32) ‖ index (4) ‖ compact length ‖ script ‖ sequence (4)
//	output = value (8) ‖ compact length ‖ script
//
// with all integers little-endian, n and m from 1 on, values of together at
// most 21 million bitcoin, and every compact size in its shortest form. The
// witness form has a zero where n stands, so that it is refused.
func parseBitcoinTx(b []byte) (bitcoinTx, error) {
	if len(b) > maxBitcoinTx {
		return bitcoinTx{}, fmt.Errorf("%w: %d bytes, at most %d", ErrBitcoinTx, len(b), maxBitcoinTx)
	}
	r := txReader{b: b}
	tx := r.tx()
	if r.err == nil && r.at != len(b) {
		r.err = fmt.Errorf("%d bytes left over", len(b)-r.at)
	}
	if r.err != nil {
		return bitcoinTx{}, fmt.Errorf("%w: %w", ErrBitcoinTx, r.err)
	}
	return tx, nil
}

// txReader keeps the first error; after it, it gives zeros.
type txReader struct {
	b   []byte
	at  int
	err error
}

func (r *txReader) tx() (tx bitcoinTx) {
	r.take(4) // version
	n := r.count("inputs", minBitcoinIn)
	for range n {
		in := Outpoint{TxID: [32]byte(r.take(32)), Index: binary.LittleEndian.Uint32(r.take(4))}
		r.script()
		r.take(4) // sequence
		tx.inputs = append(tx.inputs, in)
	}
	m := r.count("outputs", minBitcoinOut)
	var sum uint64
	for range m {
		value := binary.LittleEndian.Uint64(r.take(8))
		if value > maxBitcoinMoney || sum+value > maxBitcoinMoney {
			r.fail(fmt.Errorf("outputs of more than %d satoshi", uint64(maxBitcoinMoney)))
		}
		sum += value
		at, script := r.script()
		tx.outputs = append(tx.outputs, bitcoinOut{at, script})
	}
	r.take(4) // lock time
	return tx
}

func (r *txReader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
}

// take returns the next n bytes. After an error it returns n zeros, n being
// small wherever it is not known to be inside the input.
func (r *txReader) take(n int) []byte {
	if r.err == nil && len(r.b)-r.at < n {
		r.err = fmt.Errorf("it ends at byte %d", len(r.b))
	}
	if r.err != nil {
		return make([]byte, min(n, 32))
	}
	r.at += n
	return r.b[r.at-n : r.at : r.at]
}

// count reads how many items of at least size bytes follow: at least one, and
// no more than there is room for.
func (r *txReader) count(what string, size int) int {
	n := r.compact()
	switch {
	case r.err != nil:
		return 0
	case n == 0:
		r.fail(fmt.Errorf("no %s; the witness form is no transaction's id", what))
		return 0
	case n > uint64((len(r.b)-r.at)/size):
		r.fail(fmt.Errorf("%d %s in %d bytes", n, what, len(r.b)-r.at))
		return 0
	}
	return int(n)
}

func (r *txReader) script() (at int, script []byte) {
	n := r.compact()
	if r.err == nil && n > uint64(len(r.b)-r.at) {
		r.fail(fmt.Errorf("script of %d bytes in %d", n, len(r.b)-r.at))
	}
	if r.err != nil {
		return 0, nil
	}
	at = r.at
	return at, r.take(int(n))
}

// compact reads a compact size: one byte, or fd, fe, ff and 2, 4, 8 bytes, the
// shortest that holds the number.
func (r *txReader) compact() uint64 {
	first := r.take(1)[0]
	var n, least uint64
	switch first {
	default:
		return uint64(first)
	case 0xfd:
		n, least = uint64(binary.LittleEndian.Uint16(r.take(2))), 0xfd
	case 0xfe:
		n, least = uint64(binary.LittleEndian.Uint32(r.take(4))), 1<<16
	case 0xff:
		n, least = binary.LittleEndian.Uint64(r.take(8)), 1<<32
	}
	if n < least {
		r.fail(fmt.Errorf("compact size %d is not in its shortest form", n))
	}
	return n
}

// anchor says where in the transaction the root begins: in the one output
// whose script begins with OP_RETURN, as a push of 32 bytes and nothing else.
// Output 0 must be another, the change that the next anchor spends. The
// transaction that makes new coins is no anchor: it spends nothing.
func (tx *bitcoinTx) anchor(root [32]byte) (at int, err error) {
	seen := make(map[Outpoint]bool, len(tx.inputs))
	for i, in := range tx.inputs {
		if in.TxID == ([32]byte{}) {
			return 0, fmt.Errorf("%w: input %d spends nothing, as a coinbase", ErrBitcoinTx, i)
		}
		if seen[in] {
			return 0, fmt.Errorf("%w: input %d spends %v again", ErrBitcoinTx, i, in)
		}
		seen[in] = true
	}
	found := 0
	for i, out := range tx.outputs {
		if len(out.script) == 0 || out.script[0] != opReturn {
			continue
		}
		if i == 0 {
			return 0, fmt.Errorf("%w: output 0 is an OP_RETURN", ErrBitcoinChange)
		}
		if found++; found > 1 {
			return 0, fmt.Errorf("%w: more than one OP_RETURN", ErrBitcoinRoot)
		}
		if len(out.script) != 34 || out.script[1] != opData32 || [32]byte(out.script[2:]) != root {
			return 0, fmt.Errorf("%w: output %d has script %.80x", ErrBitcoinRoot, i, out.script)
		}
		at = out.at + 2
	}
	if found == 0 {
		return 0, fmt.Errorf("%w: no OP_RETURN", ErrBitcoinRoot)
	}
	return at, nil
}
