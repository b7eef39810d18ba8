package bitcoin

import (
	"testing"

	"github.com/btcsuite/btcd/txscript/v2"
	"github.com/btcsuite/btcd/wire/v2"

	"cairn/anchor"
	"cairn/anchor/proof"
)

// forged makes a payment in an anchor's form to the chain's key, whose witness
// ends in the key's public key though nobody signed with it: a Taproot script of
// an unknown leaf version, which passes as it is, with that key as its internal
// one. Nodes do not relay it, but it may stand in a block.
func (r *rig) forged(root anchor.Root) *wire.MsgTx {
	r.t.Helper()
	public := r.key.secret.PubKey()
	shown := public.SerializeCompressed()
	for n := byte(0); ; n++ {
		script := append(make([]byte, 70), n) // as long as a signature
		leaf := txscript.NewTapLeaf(2, script).TapHash()
		out := txscript.ComputeTaprootOutputKey(public, leaf[:])
		if out.SerializeCompressed()[0] != shown[0] {
			continue // the first byte tells leaf version and parity
		}
		paid, err := txscript.PayToTaprootScript(out)
		if err != nil {
			r.t.Fatal(err)
		}
		from := r.node.Spend(wire.NewTxOut(40_000, paid))
		r.node.Mine(1)
		tx := buildTx([]coin{{Out: outpoint{Tx: from.TxHash()}, Value: 40_000}}, r.Script(), root, 1000, 0)
		tx.TxIn[0].Witness = wire.TxWitness{script, shown}
		return tx
	}
}

// A stranger's transaction looks as if it continued a line from before the
// birthday. One that began where it was said to is not stopped by it.
func TestForgedWitnessDoesNotStopTheLine(t *testing.T) {
	r := newRig(t, P2WPKH, 90_000)
	said, err := r.FirstOutpoint(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := r.BeginWith(testContext(t), said); err != nil {
		t.Fatal(err)
	}
	r.anchor(anchor.Root{}, rootOf(1))
	r.node.MineBlock(nil, r.forged(rootOf(66)))
	r.stored(rootOf(1))
	if err := r.Ready(testContext(t)); err != nil {
		t.Error(err)
	}
	r.cfg.First = said
	r.again()
	r.anchor(rootOf(1), rootOf(2))
	// As it is not said where another key's line began, this one asks.
	r.cfg.First, r.cfg.Book = proof.Outpoint{}, nil
	r.again()
	_, err = r.Stored(testContext(t))
	wantIs(t, "stored of a line that nobody named", err, anchor.ErrUnknownHead)
}
