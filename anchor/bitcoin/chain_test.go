package bitcoin

import (
	"slices"
	"strings"
	"testing"

	"cairn/anchor"
	"cairn/anchor/proof"
)

func onBoth(t *testing.T, test func(t *testing.T, kind Kind)) {
	for _, kind := range []Kind{P2WPKH, P2TR} {
		t.Run(string(kind), func(t *testing.T) { test(t, kind) })
	}
}

func TestFirstAnchorAndTheNext(t *testing.T) {
	onBoth(t, func(t *testing.T, kind Kind) {
		r := newRig(t, kind, 70_000, 90_000)
		ctx := testContext(t)
		if err := r.Ready(ctx); err != nil {
			t.Fatal(err)
		}
		r.stored(anchor.Root{})
		first, err := r.FirstOutpoint(ctx)
		if err != nil {
			t.Fatal(err)
		}
		a := r.sign(order(anchor.Root{}, rootOf(1)))
		tx := parsed(t, a)
		height, _ := r.node.Tip()
		if len(tx.TxIn) != 2 || tx.TxIn[0].Sequence != 0xfffffffd || int(tx.LockTime) != height || tx.Version != 2 {
			t.Errorf("got %d inputs, sequence %x, lock time %d, version %d", len(tx.TxIn), tx.TxIn[0].Sequence, tx.LockTime, tx.Version)
		}
		if got := outpointOf(tx.TxIn[0].PreviousOutPoint); got.Tx != first.TxID || got.Index != first.Index || got.String() != a.Place {
			t.Errorf("input 0 is %s, place %s, want %s", got, a.Place, first)
		}
		if got := tx.TxOut[0].Value; got != 160_000-int64(a.Fee) {
			t.Errorf("got change %d, want %d", got, 160_000-int64(a.Fee))
		}
		r.find(false, a)
		r.send(a)
		r.send(a) // any number of times
		r.stored(anchor.Root{})
		r.find(false, a)
		hash := r.node.Mine(1)[0]
		f := r.find(true, a)
		if f.Cost != a.Fee || f.Reverted || txid(f.Block.Hash) != hash || int(f.Block.Height) != height+1 {
			t.Errorf("got %+v, want block %d, cost %d", f, height+1, a.Fee)
		}
		r.stored(rootOf(1))
		wantIs(t, "send again", r.Send(ctx, a), anchor.ErrAsk)

		b := r.anchor(rootOf(1), rootOf(2))
		if next := parsed(t, b); len(next.TxIn) != 1 || next.TxIn[0].PreviousOutPoint.Hash != tx.TxHash() || next.TxIn[0].PreviousOutPoint.Index != 0 {
			t.Errorf("got %d inputs, the first %s; want the change %s:0", len(next.TxIn), next.TxIn[0].PreviousOutPoint, tx.TxHash())
		}
		if again, err := r.FirstOutpoint(ctx); err != nil || again != first {
			t.Errorf("got first %s, %v; want %s", again, err, first)
		}
	})
}

func TestReceiptAtInclusionAndComplete(t *testing.T) {
	onBoth(t, func(t *testing.T, kind Kind) {
		r := newRig(t, kind, 90_000)
		ctx := testContext(t)
		a := r.anchor(anchor.Root{}, rootOf(1))
		f := r.find(true, a)
		data, err := r.Receipt(ctx, a, f.Block)
		if err != nil {
			t.Fatal(err)
		}
		facts, err := proof.VerifyBitcoin(r.parseReceipt(data), rootOf(1))
		if err != nil || facts.Depth != 1 || facts.Hash != f.Block.Hash || !slices.Equal(facts.Script, r.Script()) {
			t.Errorf("got %+v, %v", facts, err)
		}
		if tips := r.tips(); tips.Rule != "depth 6" || tips.Final.Height != tips.Latest.Height-5 {
			t.Errorf("got %+v", tips)
		}
		if _, err := r.Complete(ctx, a, f.Block, data); err == nil {
			t.Error("complete before it is final: got no error")
		}
		r.node.Mine(4)
		if tips := r.tips(); tips.Final.Height >= f.Block.Height {
			t.Errorf("final with 5 confirmations: %+v", tips)
		}
		r.node.Mine(1)
		if tips := r.tips(); tips.Final != f.Block {
			t.Errorf("got final %+v, want %+v", tips.Final, f.Block)
		}
		full, err := r.Complete(ctx, a, f.Block, data)
		if err != nil {
			t.Fatal(err)
		}
		facts, err = proof.VerifyBitcoin(r.parseReceipt(full), rootOf(1))
		if err != nil || facts.Depth != 6 {
			t.Errorf("got depth %d, %v; want 6", facts.Depth, err)
		}
	})
}

func TestTopUpIsSweptOnce(t *testing.T) {
	r := newRig(t, P2WPKH, 50_000)
	a := r.anchor(anchor.Root{}, rootOf(1))
	r.node.Fund(r.Script(), 20_000)
	if b := r.sign(order(rootOf(1), rootOf(2))); len(parsed(t, b).TxIn) != 1 {
		t.Error("an output is spent that is in no block")
	}
	r.node.Fund(r.Script(), 30_000)
	r.node.Fund(r.Script(), minTopUp-1)
	r.node.Mine(1)
	b := r.anchor(rootOf(1), rootOf(2))
	tx, left := parsed(t, b), 50_000-int64(a.Fee)
	if len(tx.TxIn) != 2 || tx.TxIn[0].PreviousOutPoint.Hash != parsed(t, a).TxHash() || tx.TxOut[0].Value != left+30_000-int64(b.Fee) {
		t.Errorf("got %d inputs, change %d", len(tx.TxIn), tx.TxOut[0].Value)
	}
	c := r.anchor(rootOf(2), rootOf(3))
	if tx := parsed(t, c); len(tx.TxIn) != 2 || tx.TxIn[0].PreviousOutPoint.Hash != parsed(t, b).TxHash() {
		t.Errorf("got %d inputs", len(tx.TxIn))
	}
	if d := r.anchor(rootOf(3), rootOf(4)); len(parsed(t, d).TxIn) != 1 {
		t.Error("nothing is left to sweep")
	}
}

func TestNoFundsNamesAddressAndAmount(t *testing.T) {
	r := newRig(t, P2WPKH)
	ctx := testContext(t)
	for what, call := range map[string]func() error{
		"ready": func() error { return r.Ready(ctx) },
		"sign":  func() error { _, err := r.Sign(ctx, order(anchor.Root{}, rootOf(1))); return err },
		"first": func() error { _, err := r.FirstOutpoint(ctx); return err },
	} {
		err := call()
		wantIs(t, what, err, anchor.ErrFunds)
		if err != nil && (!strings.Contains(err.Error(), r.Address()) || !strings.Contains(err.Error(), "send at least 5000 satoshi")) {
			t.Errorf("%s: got %v, want address and amount", what, err)
		}
	}
	r.node.Fund(r.Script(), 60_000)
	r.node.Mine(1)
	if err := r.Ready(ctx); err != nil {
		t.Error(err)
	}
	f, err := r.Funds(ctx)
	if err != nil || f.Balance != 60_000 || f.PerAnchor < 153 || f.Unit != "satoshi" || f.Address != r.Address() {
		t.Errorf("got %+v, %v", f, err)
	}
	prior := r.sign(order(anchor.Root{}, rootOf(1)))
	for fee, want := range map[anchor.Amount]error{60_000 - 294: nil, 60_000 - 293: anchor.ErrFunds} {
		o := order(anchor.Root{}, rootOf(1), prior)
		o.Want = fee
		r.Chain.cfg.MaxSatPerVB = 1000
		_, err = r.Sign(ctx, o)
		if wantIs(t, "change at the dust limit", err, want); want != nil && !strings.Contains(err.Error(), "want 60001 for this anchor: send at least 5000") {
			t.Errorf("got %v", err)
		}
	}
}

func TestKeyThatDoesNotOpen(t *testing.T) {
	r := newRig(t, P2WPKH, 50_000)
	r.anchor(anchor.Root{}, rootOf(1))
	locked := r.cfg
	locked.Passphrase, locked.Book = []byte("pebbles"), nil
	c := dial(t, locked)
	ctx := testContext(t)
	wantIs(t, "ready", c.Ready(ctx), anchor.ErrLocked)
	_, err := c.Sign(ctx, order(rootOf(1), rootOf(2)))
	wantIs(t, "sign", err, anchor.ErrLocked)
	// The address stands outside: the guard against a rolled back log holds.
	if got, err := c.Stored(ctx); err != nil || got != rootOf(1) {
		t.Errorf("stored: got %s, %v", got, err)
	}
	locked.Key += ".none"
	c = dial(t, locked)
	_, err = c.Stored(ctx)
	wantIs(t, "stored without a file", err, anchor.ErrLocked)
	if _, err := c.Tips(ctx); err != nil {
		t.Errorf("tips without a file: %v", err)
	}
}
