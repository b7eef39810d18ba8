package bitcoin

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcd/wire/v2"
)

// world draws blocks that do all kinds of things to the outputs of a script.
type world struct {
	rnd    *rand.Rand
	script []byte
	coins  []wire.OutPoint // ours and others', spent or not
	blocks []*wire.MsgBlock
}

func (w *world) block() *wire.MsgBlock {
	b := &wire.MsgBlock{Header: wire.BlockHeader{Timestamp: time.Unix(1_700_000_000+int64(len(w.blocks)), 0), Nonce: w.rnd.Uint32()}}
	for i := range 1 + w.rnd.IntN(4) {
		tx := wire.NewMsgTx(2)
		if i == 0 {
			tx.AddTxIn(&wire.TxIn{PreviousOutPoint: wire.OutPoint{Index: ^uint32(0)}, SignatureScript: fmt.Append(nil, w.rnd.Uint64())})
		} else {
			for range 1 + w.rnd.IntN(2) {
				in := wire.OutPoint{Hash: chainhash.Hash(rootOf(w.rnd.IntN(9)))}
				if len(w.coins) > 0 && w.rnd.IntN(4) > 0 {
					in = w.coins[w.rnd.IntN(len(w.coins))]
				}
				tx.AddTxIn(&wire.TxIn{PreviousOutPoint: in})
			}
		}
		if w.rnd.IntN(2) == 0 {
			root := rootOf(w.rnd.IntN(1000))
			tx.AddTxOut(wire.NewTxOut(w.rnd.Int64N(20_000), w.script))
			tx.AddTxOut(wire.NewTxOut(0, append([]byte{0x6a, 0x20}, root[:]...)))
		} else {
			for range 1 + w.rnd.IntN(3) {
				script := w.script
				if w.rnd.IntN(2) == 0 {
					script = []byte{0x51}
				}
				tx.AddTxOut(wire.NewTxOut(w.rnd.Int64N(20_000), script))
			}
		}
		for k := range tx.TxOut {
			w.coins = append(w.coins, wire.OutPoint{Hash: tx.TxHash(), Index: uint32(k)})
		}
		b.Transactions = append(b.Transactions, tx)
	}
	w.blocks = append(w.blocks, b)
	return b
}

func snapshot(t *testing.T, b *book) []byte {
	t.Helper()
	data, err := b.encode("regtest", 0)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// Whatever blocks hold, undo leaves what was before, the kept form comes back
// as it was, and the book that walked back and forth is the one that read the
// same chain straight.
func TestApplyAndUndoAreInverse(t *testing.T) {
	script := testKey(t, P2WPKH, "book").script
	for seed := range uint64(300) {
		w := &world{rnd: rand.New(rand.NewPCG(seed, 7)), script: script}
		b := newBook(script, outpoint{})
		b.begin(10, [32]byte{1}, 5)
		states := [][]byte{snapshot(t, b)}
		var chain []*wire.MsgBlock
		for range 60 {
			if len(chain) > 0 && w.rnd.IntN(3) == 0 {
				for range 1 + w.rnd.IntN(min(8, len(chain))) {
					if !b.undo() {
						t.Fatalf("seed %d: undo of block %d is refused", seed, b.height)
					}
					chain, states = chain[:len(chain)-1], states[:len(states)-1]
				}
				if got := snapshot(t, b); string(got) != string(states[len(states)-1]) {
					t.Fatalf("seed %d: undo left another state", seed)
				}
			}
			chain = append(chain, w.block())
			b.apply(chain[len(chain)-1])
			states = append(states, snapshot(t, b))
		}
		straight := newBook(script, outpoint{})
		straight.begin(10, [32]byte{1}, 5)
		for _, block := range chain {
			straight.apply(block)
		}
		if string(snapshot(t, straight)) != string(snapshot(t, b)) {
			t.Fatalf("seed %d: the way matters", seed)
		}
		back, err := parseBook(snapshot(t, b), "regtest", script, 0, outpoint{})
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if !reflect.DeepEqual(back.coins, b.coins) || string(snapshot(t, back)) != string(snapshot(t, b)) {
			t.Fatalf("seed %d: it reads back as another", seed)
		}
		for b.undo() {
		}
		if len(b.coins) > 0 || b.line != (line{}) || len(b.spends) > 0 || b.height != 10 {
			t.Fatalf("seed %d: at the beginning there are %d coins, line %+v", seed, len(b.coins), b.line)
		}
	}
}

func TestBookIsBounded(t *testing.T) {
	script := testKey(t, P2TR, "bounds").script
	b := newBook(script, outpoint{})
	b.begin(0, [32]byte{}, 0)
	for n := range maxFollowed + 50 {
		block := &wire.MsgBlock{Header: wire.BlockHeader{Nonce: uint32(n), Timestamp: time.Unix(int64(n), 0)}}
		for i := range 12 {
			tx := wire.NewMsgTx(2)
			tx.AddTxIn(&wire.TxIn{PreviousOutPoint: wire.OutPoint{Hash: chainhash.Hash(rootOf(n)), Index: uint32(i)}})
			tx.AddTxOut(wire.NewTxOut(minTopUp, script))
			block.Transactions = append(block.Transactions, tx)
		}
		for out := range b.coins { // and one of ours goes
			tx := wire.NewMsgTx(2)
			tx.AddTxIn(&wire.TxIn{PreviousOutPoint: wire.OutPoint{Hash: out.Tx, Index: out.Index}})
			tx.AddTxOut(wire.NewTxOut(minTopUp, script))
			for range 3 {
				block.Transactions = append(block.Transactions, tx)
				tx = tx.Copy()
				tx.TxIn[0].PreviousOutPoint = wire.OutPoint{Hash: tx.TxHash()}
				tx.TxOut[0].PkScript = script
			}
			break
		}
		b.apply(block)
	}
	if len(b.coins) > maxCoins || len(b.blocks) > maxFollowed || len(b.spends) > maxSpends {
		t.Errorf("got %d coins, %d blocks, %d spends", len(b.coins), len(b.blocks), len(b.spends))
	}
	data, err := b.encode("regtest", 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("a full book has %d bytes", len(data))
	if _, err := parseBook(data, "regtest", script, 0, outpoint{}); err != nil {
		t.Error(err)
	}
}

func FuzzParseBook(f *testing.F) {
	script := []byte{0, 20, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20}
	w := &world{rnd: rand.New(rand.NewPCG(1, 7)), script: script}
	b := newBook(script, outpoint{})
	b.begin(10, [32]byte{1}, 5)
	for range 20 {
		b.apply(w.block())
		data, err := b.encode("regtest", 3)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := parseBook(data, "regtest", script, 3, outpoint{})
		if err != nil {
			return
		}
		// Whatever it is, it can be worked with.
		w := &world{rnd: rand.New(rand.NewPCG(2, 7)), script: script}
		b.apply(w.block())
		if !b.undo() {
			t.Error("the block just applied is not undone")
		}
		for b.undo() {
		}
		b.funds(100)
		if _, err := b.encode("regtest", 3); err != nil {
			t.Error(err)
		}
	})
}
