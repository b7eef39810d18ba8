package bitcoin

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/btcsuite/btcd/wire/v2"

	"cairn/anchor"
)

func TestReplacementByFeeCarriesTheNewerRoot(t *testing.T) {
	onBoth(t, func(t *testing.T, kind Kind) {
		r := newRig(t, kind, 90_000)
		ctx := testContext(t)
		first := r.anchor(anchor.Root{}, rootOf(1))
		a := r.sign(order(rootOf(1), rootOf(2)))
		r.send(a)
		b := r.sign(order(rootOf(1), rootOf(3), a)) // a newer head: merged
		size := anchor.Amount(shape{kind, 1}.vsize())
		if b.Place != a.Place || b.Fee < a.Fee+size {
			t.Errorf("got place %s, fee %d; want %s, at least %d", b.Place, b.Fee, a.Place, a.Fee+size)
		}
		r.send(b)
		wantIs(t, "send what was replaced", r.Send(ctx, a), anchor.ErrPrice)
		o := order(rootOf(1), rootOf(3), a, b)
		o.Want = b.Fee + 1000
		c := r.sign(o)
		if c.Fee != o.Want {
			t.Errorf("got fee %d, want %d", c.Fee, o.Want)
		}
		r.send(c)
		o = order(rootOf(1), rootOf(3), a, b, c)
		o.Limit = c.Fee + size - 1
		_, err := r.Sign(ctx, o)
		wantIs(t, "replacement above the limit", err, anchor.ErrFees)
		o.Limit++
		o.Want = c.Fee * 2
		if d := r.sign(o); d.Fee != o.Limit {
			t.Errorf("got fee %d, want %d, the limit", d.Fee, o.Limit)
		}
		r.node.Mine(1)
		if f := r.find(true, first, a, b, c); f.Which != 3 || f.Cost != c.Fee {
			t.Errorf("got %+v, want the last, for %d", f, c.Fee)
		}
		r.stored(rootOf(3))
	})
}

// What a miner takes is the miner's choice: an older version, at a lower fee.
func TestReplacedVersionIsMined(t *testing.T) {
	r := newRig(t, P2WPKH, 90_000)
	r.anchor(anchor.Root{}, rootOf(1))
	a := r.sign(order(rootOf(1), rootOf(2)))
	r.send(a)
	b := r.sign(order(rootOf(1), rootOf(3), a))
	r.send(b)
	r.node.MineBlock(nil, parsed(t, a))
	if f := r.find(true, a, b); f.Which != 0 || f.Cost != a.Fee {
		t.Errorf("got %+v, want the older version", f)
	}
	r.stored(rootOf(2))
	wantIs(t, "send the other", r.Send(testContext(t), b), anchor.ErrAsk)
	c := r.anchor(rootOf(2), rootOf(3))
	if got := parsed(t, c).TxIn[0].PreviousOutPoint.Hash; got != parsed(t, a).TxHash() {
		t.Errorf("the next anchor spends %s, want %s", got, parsed(t, a).TxHash())
	}
}

// The key is used elsewhere, against all advice: the change is spent.
func TestStolenPlace(t *testing.T) {
	r := newRig(t, P2WPKH, 90_000)
	a := r.anchor(anchor.Root{}, rootOf(1))
	b := r.sign(order(rootOf(1), rootOf(2)))
	r.send(b)
	change := coin{Out: outpoint{Tx: parsed(t, a).TxHash()}, Value: parsed(t, a).TxOut[0].Value}
	thief := wire.NewMsgTx(2)
	thief.AddTxIn(&wire.TxIn{PreviousOutPoint: wire.OutPoint{Hash: change.Out.Tx}, Sequence: wire.MaxTxInSequenceNum})
	thief.AddTxOut(wire.NewTxOut(change.Value/2, r.node.Script))
	thief.AddTxOut(wire.NewTxOut(change.Value/2-500, r.Script()))
	if err := r.key.sign(thief, []coin{change}); err != nil {
		t.Fatal(err)
	}
	r.node.MineBlock(nil, thief)
	r.find(false, b)
	r.stored(rootOf(1))
	wantIs(t, "send on a spent output", r.Send(testContext(t), b), anchor.ErrAsk)
	c := r.sign(order(rootOf(1), rootOf(2), b))
	if got := parsed(t, c).TxIn[0].PreviousOutPoint; got.Hash != thief.TxHash() || got.Index != 1 || c.Place == b.Place {
		t.Errorf("the next attempt spends %s, want %s:1", got, thief.TxHash())
	}
	r.send(c)
	r.node.Mine(1)
	if f := r.find(true, b, c); f.Which != 1 {
		t.Errorf("got %+v, want the newer", f)
	}
	r.stored(rootOf(2))
	r.anchor(rootOf(2), rootOf(3))
}

// A transaction of the key that the journal does not know waits in the mempool.
func TestUnknownVersionInTheMempool(t *testing.T) {
	r := newRig(t, P2WPKH, 90_000)
	a := r.sign(order(anchor.Root{}, rootOf(1)))
	r.send(a)
	_, err := r.Sign(testContext(t), order(anchor.Root{}, rootOf(2)))
	wantIs(t, "sign beside it", err, anchor.ErrAgain)
	r.node.Mine(1)
	r.anchor(rootOf(1), rootOf(2))
}

func TestSignWantsTheChainsHead(t *testing.T) {
	r := newRig(t, P2WPKH, 90_000)
	r.anchor(anchor.Root{}, rootOf(1))
	_, err := r.Sign(testContext(t), order(anchor.Root{}, rootOf(2)))
	wantIs(t, "sign from another head", err, anchor.ErrAgain)
}

func TestPriceOfAttempts(t *testing.T) {
	base := rates{estimate: 4, relay: relay{least: 1, more: 1}, ceiling: 100}
	const size, max = 153, ^anchor.Amount(0)
	for name, c := range map[string]struct {
		r           rates
		old         []replaced
		want, limit anchor.Amount
		fee         int64 // 0: ErrFees
	}{
		"first":                {base, nil, 0, max, 612},
		"first, wish unheard":  {base, nil, 9999, max, 612},
		"first at the limit":   {base, nil, 0, 612, 612},
		"first above it":       {base, nil, 0, 611, 0},
		"first above ceiling":  {rates{estimate: 101, relay: base.relay, ceiling: 100}, nil, 0, max, 0},
		"least":                {base, []replaced{{612, 153}}, 0, max, 765},
		"most of several":      {base, []replaced{{612, 153}, {900, 153}, {700, 153}}, 0, max, 1053},
		"wanted":               {base, []replaced{{612, 153}}, 2000, max, 2000},
		"wanted up to limit":   {base, []replaced{{612, 153}}, 2000, 1999, 1999},
		"wanted up to ceiling": {base, []replaced{{612, 153}}, 99999, max, 15300},
		"above the limit":      {base, []replaced{{612, 153}}, 2000, 764, 0},
		"above the ceiling":    {base, []replaced{{15200, 153}}, 0, max, 0},
		"larger relay rate":    {rates{estimate: 4, relay: relay{least: 1, more: 5}, ceiling: 100}, []replaced{{612, 153}}, 0, max, 1377},
		"pool's floor":         {rates{estimate: 9, relay: relay{least: 9, more: 1}, ceiling: 100}, []replaced{{612, 153}}, 0, max, 1377},
		"rate of a small one":  {base, []replaced{{6120, 100}}, 0, max, 9364}, // 61.2 sat/vB, and a little
	} {
		fee, err := c.r.price(size, c.old, c.want, c.limit)
		if c.fee == 0 {
			wantIs(t, name, err, anchor.ErrFees)
		} else if err != nil || fee != c.fee {
			t.Errorf("%s: got %d, %v; want %d", name, fee, err, c.fee)
		}
	}
}

// Whatever the market does, versions rise by what BIP-125 asks for and stay
// under the limit.
func TestPriceOfManyVersions(t *testing.T) {
	for seed := range uint64(2000) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		limit := anchor.Amount(1000 + rnd.IntN(100_000))
		var old []replaced
		for range 40 {
			r := rates{estimate: rnd.ExpFloat64() * 20, relay: relay{least: 1, more: 1 + rnd.Float64()}, ceiling: 300}
			r.estimate = max(r.estimate, r.least)
			size := shape{P2WPKH, 1 + rnd.IntN(2)}.vsize()
			fee, err := r.price(size, old, anchor.Amount(rnd.Uint64N(uint64(limit))), limit)
			if err != nil {
				wantIs(t, "price", err, anchor.ErrFees)
				continue
			}
			if anchor.Amount(fee) > limit || float64(fee) > 300*float64(size) {
				t.Fatalf("seed %d: fee %d for %d vB above limit %d", seed, fee, size, limit)
			}
			for _, o := range old {
				if float64(fee) < float64(o.fee)+r.more*float64(size) || fee*o.size <= o.fee*size {
					t.Fatalf("seed %d: fee %d for %d vB does not replace %+v", seed, fee, size, o)
				}
			}
			old = append(old, replaced{fee, size})
		}
		if !slices.IsSortedFunc(old, func(a, b replaced) int { return int(a.fee - b.fee) }) {
			t.Fatalf("seed %d: %v does not rise", seed, old)
		}
	}
}

// Somebody with the key is about to spend a top-up: it is left alone.
func TestTopUpThatIsOnItsWayElsewhere(t *testing.T) {
	r := newRig(t, P2WPKH, 50_000)
	r.anchor(anchor.Root{}, rootOf(1))
	out := r.node.Fund(r.Script(), 40_000)
	r.node.Mine(1)
	tx := wire.NewMsgTx(2)
	tx.AddTxIn(&wire.TxIn{PreviousOutPoint: out, Sequence: wire.MaxTxInSequenceNum})
	tx.AddTxOut(wire.NewTxOut(39_000, r.node.Script))
	if err := r.key.sign(tx, []coin{{Out: outpointOf(out), Value: 40_000}}); err != nil {
		t.Fatal(err)
	}
	if err := r.node.Send(tx); err != nil {
		t.Fatal(err)
	}
	if a := r.anchor(rootOf(1), rootOf(2)); len(parsed(t, a).TxIn) != 1 {
		t.Error("it is taken")
	}
	r.anchor(rootOf(2), rootOf(3))
}
