package bitcoin

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"github.com/btcsuite/btcd/wire/v2"

	"cairn/anchor"
	"cairn/scripts/btcd"
)

// fundAlone pays amounts to the chain's key in a block that holds nothing else,
// whatever waits in the mempool.
func (r *rig) fundAlone(amounts ...int64) {
	r.t.Helper()
	var txs []*wire.MsgTx
	for _, a := range amounts {
		txs = append(txs, r.node.Spend(wire.NewTxOut(a, r.Script())))
	}
	r.node.MineBlock(nil, txs...)
}

func spends(t testing.TB, a anchor.Attempt) (outs []outpoint) {
	t.Helper()
	for _, in := range parsed(t, a).TxIn {
		outs = append(outs, outpointOf(in.PreviousOutPoint))
	}
	return outs
}

// As long as the line has no tip nothing but the attempts themselves says where
// it begins: money that comes between two of them must not give them apart.
func TestVersionsOfTheFirstAnchorExcludeOneAnother(t *testing.T) {
	onBoth(t, func(t *testing.T, kind Kind) {
		r := newRig(t, kind, 50_000)
		a := r.sign(order(anchor.Root{}, rootOf(1)))
		r.send(a)
		r.fundAlone(60_000, 70_000)
		r.again()
		b := r.sign(order(anchor.Root{}, rootOf(2), a))
		if b.Place != a.Place || !slices.Contains(spends(t, b), spends(t, a)[0]) {
			t.Fatalf("one version spends %s, the next %s: both can be mined", spends(t, a), spends(t, b))
		}
		r.send(b)
		r.node.Mine(1)
		r.find(true, b)
		r.stored(rootOf(2))
		r.anchor(rootOf(2), rootOf(3))
	})
}

// A reorganisation takes a ripe coinbase back to where it cannot be spent yet.
func TestVersionsOnACoinbaseThatIsUnripeAgain(t *testing.T) {
	r := newRig(t, P2WPKH)
	r.node.Mine(105) // for fundAlone
	r.node.MineBlock(r.Script())
	hashes := r.node.Mine(99)
	a := r.sign(order(anchor.Root{}, rootOf(1)))
	r.send(a)
	r.node.Stop() // and its mempool
	r.node.Resume()
	r.fundAlone(60_000)
	tip, _ := r.node.Tip()
	r.node.Invalidate(hashes[len(hashes)-2])
	r.fundAlone(70_000)
	if now, _ := r.node.Tip(); now >= tip {
		t.Fatalf("the chain is not shorter: %d, before %d", now, tip)
	}
	b := r.sign(order(anchor.Root{}, rootOf(2), a))
	if b.Place != a.Place {
		t.Errorf("one version spends %s, the next %s: both can be mined", spends(t, a), spends(t, b))
	}
}

// The same for a line that was said to begin there.
func TestNamedOutputThatIsUnripe(t *testing.T) {
	r := newRig(t, P2WPKH)
	r.node.Mine(105) // for fundAlone
	r.node.MineBlock(r.Script())
	hashes := r.node.Mine(99)
	said, err := r.FirstOutpoint(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	r.cfg.First = said
	r.node.Invalidate(hashes[len(hashes)-2])
	r.fundAlone(60_000)
	r.again()
	a := r.sign(order(anchor.Root{}, rootOf(1)))
	if got := spends(t, a)[0]; got.Tx != said.TxID {
		t.Errorf("the first anchor spends %s, want %s", got, said)
	}
	wantIs(t, "send before it is ripe", r.Send(testContext(t), a), anchor.ErrBusy)
	r.node.Mine(3)
	r.send(a)
	r.node.Mine(1)
	r.find(true, a)
	r.stored(rootOf(1))
}

// The payment that the line begins on goes out of its block, and waits to be
// mined again: the line does not begin on another output meanwhile.
func TestFirstPaymentGoesOutOfItsBlock(t *testing.T) {
	for _, named := range []bool{false, true} {
		n := btcd.Start(t)
		cfg := configOf(t, n, P2WPKH)
		r := &rig{Chain: dial(t, cfg), t: t, node: n, cfg: cfg}
		r.fundAlone(50_000)
		funding := r.node.Spend(wire.NewTxOut(90_000, r.Script()))
		at := r.node.MineBlock(nil, funding)
		said, err := r.FirstOutpoint(testContext(t))
		if err != nil || said.TxID != funding.TxHash() {
			t.Fatalf("got %s, %v", said, err)
		}
		var prior []anchor.Attempt
		if named {
			if err := r.BeginWith(testContext(t), said); err != nil {
				t.Fatal(err)
			}
		} else {
			prior = append(prior, r.sign(order(anchor.Root{}, rootOf(1))))
			r.send(prior[0])
		}
		r.node.Invalidate(at)
		r.node.MineBlock(nil)
		_, err = r.Sign(testContext(t), order(anchor.Root{}, rootOf(2), prior...))
		wantIs(t, "sign while the payment waits", err, anchor.ErrAgain)
		r.node.MineBlock(nil, funding)
		b := r.sign(order(anchor.Root{}, rootOf(2), prior...))
		if got := spends(t, b)[0]; got.Tx != said.TxID {
			t.Errorf("the first anchor spends %s, want %s", got, said)
		}
		r.send(b)
		r.node.Mine(1)
		r.find(true, b)
		r.stored(rootOf(2))
	}
}

// The same, and between any two answers of the node the payment is mined again,
// alone or with the first version of the anchor.
func TestFirstPaymentComesBackMeanwhile(t *testing.T) {
	r := newRig(t, P2WPKH)
	funding := r.node.Spend(wire.NewTxOut(90_000, r.Script()))
	newest := r.node.MineBlock(nil, funding)
	a := r.sign(order(anchor.Root{}, rootOf(1)))
	r.send(a)
	r.node.Invalidate(newest)
	r.fundAlone(60_000)
	newest = r.node.MineBlock(nil)
	for _, with := range [][]*wire.MsgTx{{funding}, {funding, parsed(t, a)}} {
		r.signMeanwhile(order(anchor.Root{}, rootOf(1), a), func() {
			r.node.Invalidate(newest)
			newest = r.node.MineBlock(nil)
		}, func() { newest = r.node.MineBlock(nil, with...) })
	}
}

// An attempt comes into a block, or goes out of one, between any two answers.
func TestVersionIsMinedMeanwhile(t *testing.T) {
	r := newRig(t, P2WPKH, 90_000)
	r.anchor(anchor.Root{}, rootOf(1))
	r.fundAlone(60_000)
	a := r.sign(order(rootOf(1), rootOf(2)))
	r.send(a)
	newest := r.node.MineBlock(nil)
	in := func() { newest = r.node.MineBlock(nil, parsed(t, a)) }
	out := func() {
		r.node.Invalidate(newest)
		newest = r.node.MineBlock(nil)
	}
	r.signMeanwhile(order(rootOf(1), rootOf(2), a), out, in)
	out()
	r.signMeanwhile(order(rootOf(1), rootOf(2), a), in, out)
}

// signMeanwhile signs what is to take an attempt's place, and moves the chain
// between two answers of the node: the first time after the first answer, then
// after the second, and so on. What is signed excludes the attempt, or nothing is.
func (r *rig) signMeanwhile(o anchor.Order, begin, move func()) {
	r.t.Helper()
	p := newProxy(r.t, r.node, httptest.NewServer)
	cfg := r.cfg
	cfg.URL, cfg.Book = p.URL, &memoryBook{}
	c := dial(r.t, cfg)
	for at, moved := 1, true; moved; at++ {
		begin()
		if _, err := c.Tips(testContext(r.t)); err != nil {
			r.t.Fatal(err)
		}
		moved = false
		calls, where := 0, ""
		p.set(func(w http.ResponseWriter, method string, answer []byte) {
			if calls++; calls == at {
				moved, where = true, method
				move()
			}
			_, _ = w.Write(answer)
		})
		b, err := c.Sign(testContext(r.t), o)
		p.set(nil)
		if a := o.Prior[0]; err == nil && b.Place != a.Place {
			r.t.Errorf("moved after answer %d, of %s: one version spends %s, the next %s: both can be mined", at, where, spends(r.t, a), spends(r.t, b))
		}
	}
}
