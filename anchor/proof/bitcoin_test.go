package proof

import (
	"bytes"
	"compress/bzip2"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/btcsuite/btcd/blockchain"
	"github.com/btcsuite/btcd/btcutil/v2"
	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcd/wire/v2"
)

var btcRoot = sha256.Sum256([]byte("a root"))

// btcScript is a change script: P2WPKH of a key's hash.
var btcScript = append([]byte{0x00, 0x14}, bytes.Repeat([]byte{0xc1}, 20)...)

// anchorTx is the transaction of an anchor: the previous change in, the change
// and the root out.
func anchorTx(root [32]byte) *wire.MsgTx {
	tx := wire.NewMsgTx(2)
	in := wire.NewTxIn(wire.NewOutPoint(&chainhash.Hash{1, 2, 3}, 0), nil, nil)
	in.Sequence = 0xfffffffd
	tx.AddTxIn(in)
	tx.AddTxOut(wire.NewTxOut(90_000, btcScript))
	tx.AddTxOut(wire.NewTxOut(0, slices.Concat([]byte{opReturn, opData32}, root[:])))
	tx.LockTime = 840_000
	return tx
}

func txBytes(t testing.TB, tx *wire.MsgTx) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := tx.SerializeNoWitness(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// merkleBranch is the root of a block's tree as the consensus rules have it,
// and the branch of one id.
func merkleBranch(ids [][32]byte, index int) (branch [][32]byte, root [32]byte) {
	for len(ids) > 1 {
		if len(ids)%2 == 1 {
			ids = append(slices.Clip(ids), ids[len(ids)-1])
		}
		branch = append(branch, ids[index^1])
		next := make([][32]byte, len(ids)/2)
		for i := range next {
			next[i] = sha256d(slices.Concat(ids[2*i][:], ids[2*i+1][:]))
		}
		ids, index = next, index/2
	}
	return branch, ids[0]
}

// regtestBits are those of every block of regtest.
const regtestBits = 0x207fffff

// btcBlock puts a transaction into a block of others, at index of count, and
// mines depth blocks, that one being the first.
func btcBlock(t testing.TB, tx []byte, index, count, depth int) BitcoinReceipt {
	t.Helper()
	ids := make([][32]byte, count)
	for i := range ids {
		ids[i] = sha256d(binary.BigEndian.AppendUint64(nil, uint64(i)))
	}
	ids[index] = sha256d(tx)
	branch, root := merkleBranch(ids, index)
	header := BitcoinHeader{0: 4, 35: 1}
	copy(header[36:], root[:])
	binary.LittleEndian.PutUint32(header[68:], 1_760_000_000)
	setBits(&header, regtestBits)
	r := BitcoinReceipt{
		Network: BitcoinRegtest, Height: 900, Tx: tx, Index: uint32(index), Branch: branch, Header: header,
	}
	for last := &r.Header; len(r.Following) < depth-1; last = &r.Following[len(r.Following)-1] {
		r.Following = append(r.Following, after(last, last.seconds()+600, regtestBits))
	}
	return r
}

func btcReceipt(t testing.TB) BitcoinReceipt {
	t.Helper()
	return btcBlock(t, txBytes(t, anchorTx(btcRoot)), 1234, 4000, 6)
}

func TestVerifyBitcoin(t *testing.T) {
	tx := anchorTx(btcRoot)
	for _, count := range []int{2, 3, 7, 8, 9, 4000} {
		for _, index := range []int{1, count / 2, count - 1} {
			r := btcBlock(t, txBytes(t, tx), index, count, 3)
			f, err := VerifyBitcoin(r, btcRoot)
			if err != nil {
				t.Fatalf("%d of %d: %v", index, count, err)
			}
			if f.TxID != [32]byte(tx.TxHash()) || f.Hash != r.Header.Hash() || f.Merkle != r.Header.Merkle() ||
				f.Root != btcRoot || f.Height != 900 || f.Network != BitcoinRegtest || f.Time != 1_760_000_000_000 {
				t.Errorf("%d of %d: %+v", index, count, f)
			}
			if f.Spends != (Outpoint{chainhash.Hash{1, 2, 3}, 0}) || !bytes.Equal(f.Script, btcScript) || f.Inputs != 1 ||
				f.Depth != 3 || f.Work.Int64() != 6 {
				t.Errorf("%d of %d: %+v", index, count, f)
			}
		}
	}
	if got := (Outpoint{chainhash.Hash{1, 2, 3}, 7}).String(); got != strings.Repeat("00", 29)+"030201:7" {
		t.Errorf("outpoint %s", got)
	}
}

// TestRealBlocks takes every transaction of real blocks along its branch, and
// reads it as btcd does.
func TestRealBlocks(t *testing.T) {
	blocks := realBlocks(t, 500)
	blocks = append(blocks, block277647(t))
	for _, b := range blocks {
		root := [32]byte(b.MsgBlock().Header.MerkleRoot)
		ids := make([][32]byte, len(b.Transactions()))
		for i, tx := range b.Transactions() {
			ids[i] = *tx.Hash()
		}
		for i, tx := range b.Transactions() {
			raw := txBytes(t, tx.MsgTx())
			got, err := parseBitcoinTx(raw)
			if err != nil {
				t.Fatalf("%v: %v", tx.Hash(), err)
			}
			if len(got.inputs) != len(tx.MsgTx().TxIn) || len(got.outputs) != len(tx.MsgTx().TxOut) {
				t.Fatalf("%v: %d in, %d out", tx.Hash(), len(got.inputs), len(got.outputs))
			}
			for k, in := range tx.MsgTx().TxIn {
				if got.inputs[k] != (Outpoint{in.PreviousOutPoint.Hash, in.PreviousOutPoint.Index}) {
					t.Fatalf("%v: input %d is %v", tx.Hash(), k, got.inputs[k])
				}
			}
			for k, out := range tx.MsgTx().TxOut {
				if o := got.outputs[k]; !bytes.Equal(o.script, out.PkScript) || !bytes.HasPrefix(raw[o.at:], out.PkScript) {
					t.Fatalf("%v: output %d is %x", tx.Hash(), k, o.script)
				}
			}
			branch, want := merkleBranch(ids, i)
			if want != root {
				t.Fatalf("block %v: merkle root %x", b.Hash(), want)
			}
			r := BitcoinReceipt{Tx: raw, Index: uint32(i), Branch: branch}
			top, err := r.climb(ids[i])
			if i == 0 {
				if !errors.Is(err, ErrBitcoinBranch) {
					t.Errorf("%v: %v for a coinbase", tx.Hash(), err)
				}
				continue
			}
			if err != nil || top != root {
				t.Errorf("%v: %x, %v", tx.Hash(), top, err)
			}
		}
		h := headerOf(t, &b.MsgBlock().Header)
		if err := h.CheckWork(BitcoinMainnet); err != nil || h.Work().Cmp(blockchain.CalcWork(h.Bits())) != 0 {
			t.Errorf("block %v: %v", b.Hash(), err)
		}
	}
}

// block277647 is a full block of 2014 from the test data of btcd's module.
func block277647(t testing.TB) *btcutil.Block {
	t.Helper()
	f, err := os.Open(filepath.Join(btcdTestdata(t), "277647.dat.bz2"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	raw, err := io.ReadAll(bzip2.NewReader(f))
	if err != nil {
		t.Fatal(err)
	}
	b, err := btcutil.NewBlockFromBytes(raw[8:])
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestBitcoinRefusals has a named reason for each thing that is wrong with a
// receipt. What the transaction commits is committed again after the change,
// so that nothing else is wrong.
func TestBitcoinRefusals(t *testing.T) {
	pushed := func(b ...byte) []byte { return append([]byte{opReturn}, b...) }
	for _, tt := range []struct {
		name string
		with func(tx *wire.MsgTx)
		want error
	}{
		{"another root", func(tx *wire.MsgTx) { tx.TxOut[1].PkScript[9] ^= 1 }, ErrBitcoinRoot},
		{"no OP_RETURN", func(tx *wire.MsgTx) { tx.TxOut[1].PkScript = btcScript }, ErrBitcoinRoot},
		{"two OP_RETURN of the root", func(tx *wire.MsgTx) { tx.AddTxOut(tx.TxOut[1]) }, ErrBitcoinRoot},
		{"an OP_RETURN of something else, too", func(tx *wire.MsgTx) { tx.AddTxOut(wire.NewTxOut(0, pushed(1, 7))) }, ErrBitcoinRoot},
		{"an empty OP_RETURN, too", func(tx *wire.MsgTx) { tx.AddTxOut(wire.NewTxOut(0, pushed())) }, ErrBitcoinRoot},
		{"root and more in one push", func(tx *wire.MsgTx) {
			tx.TxOut[1].PkScript = slices.Concat(pushed(0x21), btcRoot[:], []byte{0})
		}, ErrBitcoinRoot},
		{"something after the push", func(tx *wire.MsgTx) {
			tx.TxOut[1].PkScript = append(tx.TxOut[1].PkScript, 0x51)
		}, ErrBitcoinRoot},
		{"a push in another form", func(tx *wire.MsgTx) {
			tx.TxOut[1].PkScript = slices.Concat(pushed(0x4c, 0x20), btcRoot[:])
		}, ErrBitcoinRoot},
		{"root in a script that is spent", func(tx *wire.MsgTx) {
			tx.TxOut[1].PkScript = slices.Concat([]byte{0x00, 0x20}, btcRoot[:])
		}, ErrBitcoinRoot},
		{"root first, change second", func(tx *wire.MsgTx) { slices.Reverse(tx.TxOut) }, ErrBitcoinChange},
		{"root alone", func(tx *wire.MsgTx) { tx.TxOut = tx.TxOut[1:] }, ErrBitcoinChange},
		{"coinbase", func(tx *wire.MsgTx) { tx.TxIn[0].PreviousOutPoint = wire.OutPoint{Index: 0xffffffff} }, ErrBitcoinTx},
		{"one input twice", func(tx *wire.MsgTx) { tx.AddTxIn(tx.TxIn[0]) }, ErrBitcoinTx},
		{"more than 21 million", func(tx *wire.MsgTx) { tx.TxOut[0].Value = maxBitcoinMoney + 1 }, ErrBitcoinTx},
		{"more than 21 million together", func(tx *wire.MsgTx) {
			tx.TxOut[0].Value = maxBitcoinMoney
			tx.AddTxOut(wire.NewTxOut(1, nil))
		}, ErrBitcoinTx},
		{"negative value", func(tx *wire.MsgTx) { tx.TxOut[0].Value = -1 }, ErrBitcoinTx},
		{"a second input", func(tx *wire.MsgTx) {
			tx.AddTxIn(wire.NewTxIn(&wire.OutPoint{Index: 5, Hash: chainhash.Hash{9}}, nil, nil))
		}, nil},
		{"another output", func(tx *wire.MsgTx) { tx.AddTxOut(wire.NewTxOut(5, nil)) }, nil},
	} {
		tx := anchorTx(btcRoot)
		tt.with(tx)
		checkBitcoin(t, tt.name, btcBlock(t, txBytes(t, tx), 3, 9, 2), tt.want)
	}
	for _, tt := range []struct {
		name string
		with func(r *BitcoinReceipt)
		want error
	}{
		{"network", func(r *BitcoinReceipt) { r.Network = "dogecoin" }, ErrBitcoinNetwork},
		{"easier than the network allows", func(r *BitcoinReceipt) { r.Network = BitcoinMainnet }, ErrBitcoinWork},
		{"sibling", func(r *BitcoinReceipt) { r.Branch[2][0] ^= 1 }, ErrBitcoinBranch},
		{"short branch", func(r *BitcoinReceipt) { r.Branch = r.Branch[:3] }, ErrBitcoinBranch},
		{"index", func(r *BitcoinReceipt) { r.Index ^= 2 }, ErrBitcoinBranch},
		{"index 0", func(r *BitcoinReceipt) { r.Index = 0 }, ErrBitcoinBranch},
		{"no branch", func(r *BitcoinReceipt) { r.Index, r.Branch = 0, nil }, ErrBitcoinBranch},
		{"index outside", func(r *BitcoinReceipt) { r.Index |= 16 }, ErrBitcoinFormat},
		{"long branch", func(r *BitcoinReceipt) { r.Branch = append(make([][32]byte, 12), r.Branch...) }, ErrBitcoinFormat},
		{"no transaction", func(r *BitcoinReceipt) { r.Tx = nil }, ErrBitcoinFormat},
		{"huge transaction", func(r *BitcoinReceipt) { r.Tx = make([]byte, maxBitcoinTx+1) }, ErrBitcoinFormat},
		{"changed transaction", func(r *BitcoinReceipt) { r.Tx[len(r.Tx)-1] ^= 1 }, ErrBitcoinBranch},
		{"merkle root", func(r *BitcoinReceipt) { r.Header[40] ^= 1; mine(&r.Header) }, ErrBitcoinBranch},
		{"no work", func(r *BitcoinReceipt) { r.Header[69] ^= 1; unmine(&r.Header) }, ErrBitcoinWork},
		{"follower of another", func(r *BitcoinReceipt) { r.Following[0][9] ^= 1; mine(&r.Following[0]) }, ErrBitcoinLink},
		{"follower without work", func(r *BitcoinReceipt) { unmine(&r.Following[0]) }, ErrBitcoinWork},
		{"harder follower", func(r *BitcoinReceipt) { setBits(&r.Following[0], 0x203fffff) }, ErrBitcoinBits},
		{"too many followers", func(r *BitcoinReceipt) { r.Following = make([]BitcoinHeader, maxBitcoinFollowing+1) }, ErrBitcoinFormat},
		{"beyond the last height", func(r *BitcoinReceipt) { r.Height = 1<<32 - 1 }, ErrBitcoinFormat},
		{"genesis height", func(r *BitcoinReceipt) { r.Height = 0 }, ErrBitcoinCheckpoint},
		{"no followers", func(r *BitcoinReceipt) { r.Following = nil }, nil},
	} {
		r := btcBlock(t, txBytes(t, anchorTx(btcRoot)), 3, 9, 2)
		tt.with(&r)
		checkBitcoin(t, tt.name, r, tt.want)
	}
}

func checkBitcoin(t *testing.T, name string, r BitcoinReceipt, want error) {
	t.Helper()
	if _, err := VerifyBitcoin(r, btcRoot); !errors.Is(err, want) || (err == nil) != (want == nil) {
		t.Errorf("%s: %v, want %v", name, err, want)
	}
}

// unmine makes the header's hash miss its target.
func unmine(h *BitcoinHeader) {
	for h.CheckWork(BitcoinRegtest) == nil {
		h[76]++
	}
}

// TestBitcoinTxBytes changes what a library would not write.
func TestBitcoinTxBytes(t *testing.T) {
	good := txBytes(t, anchorTx(btcRoot))
	at := 4 + 1 + 36 // of the input's script length
	for _, tt := range []struct {
		name string
		b    []byte
	}{
		{"nothing", nil},
		{"a byte less", good[:len(good)-1]},
		{"a byte more", append(slices.Clone(good), 0)},
		{"witness form", slices.Concat(good[:4], []byte{0, 1}, good[4:])},
		{"no inputs", slices.Concat(good[:4], []byte{0}, good[at+5:])},
		{"no outputs", slices.Concat(good[:at+5], []byte{0}, good[len(good)-4:])},
		{"long form of a count", slices.Concat(good[:4], []byte{0xfd, 1, 0}, good[5:])},
		{"longer form of a count", slices.Concat(good[:4], []byte{0xfe, 1, 0, 0, 0}, good[5:])},
		{"longest form of a count", slices.Concat(good[:4], []byte{0xff, 1, 0, 0, 0, 0, 0, 0, 0}, good[5:])},
		{"long form of a length", slices.Concat(good[:at], []byte{0xfd, 0, 0}, good[at+1:])},
		{"more inputs than bytes", slices.Concat(good[:4], []byte{0xff, 0, 0, 0, 0, 0, 0, 0, 0x80}, good[5:])},
		{"script beyond the end", slices.Concat(good[:at], []byte{0xfe, 0xff, 0xff, 0xff, 0xff}, good[at+1:])},
	} {
		if tx, err := parseBitcoinTx(tt.b); !errors.Is(err, ErrBitcoinTx) {
			t.Errorf("%s: %v, %+v", tt.name, err, tx)
		}
	}
	for n := range good {
		if _, err := parseBitcoinTx(good[:n]); !errors.Is(err, ErrBitcoinTx) {
			t.Errorf("the first %d bytes: %v", n, err)
		}
	}
}

// TestBitcoin64 plays CVE-2017-12842: a miner makes a transaction of 64 bytes
// whose first half is the id of another, never mined, which then seems to stand
// a level below it; and an inner node is shown as a transaction.
func TestBitcoin64(t *testing.T) {
	forged := anchorTx(btcRoot)
	for forged.TxHash()[4] != 1 { // stands where the number of inputs does
		forged.LockTime++
	}
	id := forged.TxHash()
	trap := slices.Concat(id[:], make([]byte, 32)) // version, 1 input, txid, index, …
	trap[41] = 2                                   // bytes of script
	trap[48] = 1                                   // outputs
	trap[57] = 2                                   // bytes of script
	if len(trap) != bitcoinNode {
		t.Fatal(len(trap))
	}
	if _, err := parseBitcoinTx(trap); err != nil {
		t.Fatalf("the trap is no transaction: %v", err)
	}
	r := btcBlock(t, trap, 3, 9, 1)
	sibling := [32]byte(trap[32:])
	r.Tx, r.Index, r.Branch = txBytes(t, forged), r.Index<<1, append([][32]byte{sibling}, r.Branch...)
	checkBitcoin(t, "hidden below a transaction of 64 bytes", r, ErrBitcoin64)

	r = btcBlock(t, txBytes(t, anchorTx(btcRoot)), 3, 9, 1)
	r.Tx = slices.Concat(r.Branch[0][:], r.Branch[1][:])
	checkBitcoin(t, "an inner node as a transaction", r, ErrBitcoin64)
}

// TestBitcoinRepeated plays CVE-2012-2459: where a level has an odd length, its
// last hash is paired with itself, so that the leaf may claim two places.
func TestBitcoinRepeated(t *testing.T) {
	for _, tt := range []struct{ count, index, claimed int }{
		{9, 8, 9}, {9, 8, 10}, {9, 8, 15}, {11, 10, 11}, {6, 5, 7}, {6, 4, 6},
	} {
		r := btcBlock(t, txBytes(t, anchorTx(btcRoot)), tt.index, tt.count, 1)
		checkBitcoin(t, "its place", r, nil)
		r.Index = uint32(tt.claimed)
		checkBitcoin(t, "the place of its repetition", r, ErrBitcoinBranch)
	}
}

func TestBitcoinReceiptForm(t *testing.T) {
	r := btcReceipt(t)
	b := mustMarshal(t, r)
	for n := range b {
		if _, err := ParseBitcoinReceipt(b[:n]); !errors.Is(err, ErrBitcoinFormat) {
			t.Fatalf("the first %d bytes: %v", n, err)
		}
	}
	if _, err := ParseBitcoinReceipt(append(slices.Clone(b), 0)); !errors.Is(err, ErrBitcoinFormat) {
		t.Errorf("%v for a byte more", err)
	}
	if _, err := ParseBitcoinReceipt(make([]byte, maxBitcoin+1)); !errors.Is(err, ErrBitcoinFormat) {
		t.Errorf("%v for too many bytes", err)
	}
	for _, tt := range []struct {
		name string
		with func(w *bitcoinWire)
	}{
		{"type", func(w *bitcoinWire) { w.Type = "cairn/bitcoin/2" }},
		{"branch", func(w *bitcoinWire) { w.Branch = w.Branch[1:] }},
		{"following", func(w *bitcoinWire) { w.Following = w.Following[1:] }},
		{"network", func(w *bitcoinWire) { w.Network = strings.Repeat("x", 33) }},
	} {
		var w bitcoinWire
		if err := unmarshal(b, &w); err != nil {
			t.Fatal(err)
		}
		tt.with(&w)
		bad, err := marshal(w)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ParseBitcoinReceipt(bad); !errors.Is(err, ErrBitcoinFormat) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	r.Index = 1 << 13
	if _, err := r.MarshalBinary(); !errors.Is(err, ErrBitcoinFormat) {
		t.Errorf("%v for an index outside", err)
	}
}

func mustMarshal(t testing.TB, v interface{ MarshalBinary() ([]byte, error) }) []byte {
	t.Helper()
	b, err := v.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestBitcoinGolden freezes the bytes of a receipt from a block of 4000
// transactions, and its size.
func TestBitcoinGolden(t *testing.T) {
	kept := golden(t, "v1.bitcoin-receipt", mustMarshal(t, btcReceipt(t)))
	const size = 1030
	if len(kept) != size {
		t.Errorf("%d bytes, want %d", len(kept), size)
	}
	r, err := ParseBitcoinReceipt(kept)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Branch) != 12 || len(r.Following) != 5 {
		t.Errorf("%d siblings, %d headers follow", len(r.Branch), len(r.Following))
	}
	checkBitcoin(t, "golden", r, nil)
	t.Logf("%d bytes: transaction %d, branch %d, headers %d", len(kept), len(r.Tx), 32*len(r.Branch), 80*(1+len(r.Following)))
}

// golden compares with a file in testdata, or writes it if asked.
func golden(t testing.TB, name string, b []byte) []byte {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, b, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	kept, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(kept, b) {
		t.Errorf("%s is not what is written now: %s", path, hex.EncodeToString(b))
	}
	return kept
}

func FuzzBitcoinReceipt(f *testing.F) {
	r := btcReceipt(f)
	f.Add(mustMarshal(f, r))
	r.Following, r.Branch, r.Index = nil, nil, 0
	f.Add(mustMarshal(f, r))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := ParseBitcoinReceipt(b)
		if err != nil {
			if !errors.Is(err, ErrBitcoinFormat) {
				t.Errorf("error without a name: %v", err)
			}
			return
		}
		if again, err := r.MarshalBinary(); err != nil || !bytes.Equal(again, b) {
			t.Errorf("accepted bytes are not written again: %v", err)
		}
		facts, err := VerifyBitcoin(r, btcRoot)
		if err != nil {
			if !isNamed(err) {
				t.Errorf("error without a name: %v", err)
			}
			return
		}
		if facts.Depth != 1+len(r.Following) || facts.Merkle != r.Header.Merkle() || facts.Inputs < 1 {
			t.Errorf("%+v", facts)
		}
	})
}

// FuzzBitcoinTx has btcd read whatever is read here, and compares.
func FuzzBitcoinTx(f *testing.F) {
	f.Add(txBytes(f, anchorTx(btcRoot)))
	f.Add(bytes.Repeat([]byte{1}, bitcoinNode))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := parseBitcoinTx(b)
		if err != nil {
			if !errors.Is(err, ErrBitcoinTx) {
				t.Errorf("error without a name: %v", err)
			}
			return
		}
		var tx wire.MsgTx
		if err := tx.DeserializeNoWitness(bytes.NewReader(b)); err != nil {
			t.Fatalf("btcd does not read it: %v", err)
		}
		if !bytes.Equal(txBytes(t, &tx), b) {
			t.Error("btcd reads something else")
		}
		if len(got.inputs) != len(tx.TxIn) || len(got.outputs) != len(tx.TxOut) {
			t.Errorf("%d in, %d out, btcd has %d, %d", len(got.inputs), len(got.outputs), len(tx.TxIn), len(tx.TxOut))
		}
		for i, out := range got.outputs {
			if !bytes.Equal(out.script, tx.TxOut[i].PkScript) || !bytes.HasPrefix(b[out.at:], out.script) {
				t.Errorf("output %d: %x at %d", i, out.script, out.at)
			}
		}
	})
}

func BenchmarkVerifyBitcoin(b *testing.B) {
	r := btcReceipt(b)
	for b.Loop() {
		if _, err := VerifyBitcoin(r, btcRoot); err != nil {
			b.Fatal(err)
		}
	}
}
