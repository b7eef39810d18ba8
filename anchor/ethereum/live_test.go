package ethereum

import (
	"encoding/json"
	"errors"
	"math/big"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"

	"cairn/anchor"
	"cairn/merkle"
	"cairn/scripts/anvil"
)

// TestNodesSay makes real nodes refuse transactions, and reads their answers by
// the table.
func TestNodesSay(t *testing.T) {
	t.Parallel()
	test := func(t *testing.T, d devchain, gethOnly bool) {
		ctx := testContext(t)
		c := dial(t, configOf(t, d))
		n := c.nodes.list[0]
		h, err := n.header(ctx, "latest")
		if err != nil {
			t.Fatal(err)
		}
		id := chainID(d.id())
		good := func() *types.DynamicFeeTx {
			cap := new(big.Int).Mul(h.BaseFee, big.NewInt(3))
			return &types.DynamicFeeTx{ChainID: id, GasTipCap: big.NewInt(gwei), GasFeeCap: cap.Add(cap, big.NewInt(gwei)), Gas: 21_000, To: &common.Address{1}, Value: new(big.Int)}
		}
		signed := func(tx types.TxData) *types.Transaction {
			t.Helper()
			signer := types.LatestSignerForChainID(id)
			if d, ok := tx.(*types.DynamicFeeTx); ok {
				signer = types.LatestSignerForChainID(d.ChainID)
			}
			out, err := types.SignNewTx(d.key(), signer, tx)
			if err != nil {
				t.Fatal(err)
			}
			return out
		}
		send := func(tx *types.Transaction) error {
			t.Helper()
			raw, err := tx.MarshalBinary()
			if err != nil {
				t.Fatal(err)
			}
			var hash common.Hash
			err = n.call(ctx, &hash, "eth_sendRawTransaction", hexutil.Bytes(raw))
			var answer *serverError
			if err != nil && !errors.As(err, &answer) {
				t.Fatal(err)
			}
			return err
		}
		is := func(what string, err error, want error) {
			t.Helper()
			got := sendMeaning(err)
			if want == nil && got != nil || want != nil && !errors.Is(got, want) {
				t.Errorf("%s: %v means %v, want %v", what, err, got, want)
			}
			t.Logf("%s: %v", what, err)
		}
		with := func(change func(*types.DynamicFeeTx)) *types.Transaction {
			tx := good()
			change(tx)
			return signed(tx)
		}

		poor, err := crypto.GenerateKey()
		if err != nil {
			t.Fatal(err)
		}
		unfunded, err := types.SignNewTx(poor, types.LatestSignerForChainID(id), good())
		if err != nil {
			t.Fatal(err)
		}
		is("no funds", send(unfunded), anchor.ErrFunds)
		is("another chain", send(with(func(tx *types.DynamicFeeTx) { tx.ChainID = chainID(5) })), anchor.ErrWrongChain)
		is("too little gas", send(with(func(tx *types.DynamicFeeTx) { tx.Gas = 20_999 })), anchor.ErrRefused)
		is("too much gas", send(with(func(tx *types.DynamicFeeTx) { tx.Gas, tx.GasTipCap, tx.GasFeeCap = 1<<40, big.NewInt(1), big.NewInt(1) })), anchor.ErrRefused)
		is("tip above cap", send(with(func(tx *types.DynamicFeeTx) { tx.GasTipCap = new(big.Int).Add(tx.GasFeeCap, common.Big1) })), anchor.ErrRefused)
		if gethOnly {
			is("no tip", send(with(func(tx *types.DynamicFeeTx) { tx.GasTipCap = new(big.Int) })), anchor.ErrPrice)
			is("above the node's ceiling", send(with(func(tx *types.DynamicFeeTx) { tx.GasFeeCap = ether(1) })), anchor.ErrFees)
		}

		first := signed(good())
		is("the first", send(first), nil)
		is("the same", send(first), nil)
		is("a cheaper one in its place", send(with(func(tx *types.DynamicFeeTx) { tx.Value.SetUint64(1) })), anchor.ErrPrice)
		bump := func(tx *types.DynamicFeeTx) {
			tx.GasTipCap, tx.GasFeeCap = bumped(tx.GasTipCap), bumped(tx.GasFeeCap)
		}
		is("one an eighth dearer", send(with(bump)), nil)
		is("the first after that", send(first), anchor.ErrPrice)
		is("a cheaper legacy one", send(signed(&types.LegacyTx{GasPrice: big.NewInt(gwei), Gas: 21_000, To: &common.Address{1}})), anchor.ErrPrice)
		d.mine(1)
		until(t, "the nonce to be too low", func() bool { return errors.Is(sendMeaning(send(first)), anchor.ErrAsk) })
		is("the first after the block", send(first), anchor.ErrAsk)
	}
	t.Run("simulated", func(t *testing.T) { test(t, newSim(t), true) })
	t.Run("anvil", func(t *testing.T) { test(t, &anvilChain{anvil.Start(t, "--no-mining"), t}, false) })
}

// rival is another process that signs with the gateway's key.
type rival struct {
	t *testing.T
	c *Chain
	d devchain
}

// send sends a transfer with a nonce, at a tip and a cap in gwei.
func (r *rival) send(nonce uint64, tip, cap int64) common.Hash {
	r.t.Helper()
	tx, err := types.SignNewTx(r.d.key(), types.LatestSignerForChainID(chainID(r.d.id())), &types.DynamicFeeTx{
		ChainID: chainID(r.d.id()), Nonce: nonce, GasTipCap: big.NewInt(tip * gwei), GasFeeCap: big.NewInt(cap * gwei),
		Gas: 21_000, To: &common.Address{7}, Value: new(big.Int),
	})
	if err != nil {
		r.t.Fatal(err)
	}
	a, err := attempt(tx)
	if err != nil {
		r.t.Fatal(err)
	}
	mustSend(r.t, r.c, a)
	return tx.Hash()
}

// onBothOnDemand runs a test on both chains, with blocks on demand.
func onBothOnDemand(t *testing.T, test func(t *testing.T, d devchain)) {
	t.Parallel()
	t.Run("simulated", func(t *testing.T) { test(t, newSim(t)) })
	t.Run("anvil", func(t *testing.T) { test(t, &anvilChain{anvil.Start(t, "--no-mining"), t}) })
}

func notes(c *Chain) string { return strings.Join(c.Notes(), "\n") }

// TestForeignPending: another's transaction of the same key waits. The anchor
// goes behind it and says so; what it used up is named later.
func TestForeignPending(t *testing.T) {
	onBothOnDemand(t, func(t *testing.T, d devchain) {
		c, _ := deployed(t, d, configOf(t, d))
		if s := notes(c); s != "" {
			t.Errorf("notes at the start: %s", s)
		}
		other := &rival{t, c, d}
		other.send(1, 1, 50)
		a := mustSign(t, c, merkle.Hash{}, rootOf(1))
		if a.Place != "nonce 2" || !strings.Contains(notes(c), "nonces 1 to 1") || !strings.Contains(notes(c), "wait behind") {
			t.Errorf("%s, notes %q", a.Place, notes(c))
		}
		mustSend(t, c, a)
		mustReceipt(t, c, a, rootOf(1), mustFind(t, c, d, a).Block)
		other.send(3, 1, 50)
		other.send(4, 1, 50)
		d.mine(1)
		until(t, "the other's", func() bool { n, err := usedNonces(t, c); return err == nil && n == 5 })
		b := mustSign(t, c, rootOf(1), rootOf(2))
		if b.Place != "nonce 5" || !strings.Contains(notes(c), "nonces 3 to 4") || !strings.Contains(notes(c), "in use elsewhere") {
			t.Errorf("%s, notes %q", b.Place, notes(c))
		}
	})
}

// TestStolenNonce: another's transaction takes the place of an anchor that
// waits. Nothing is bid against it forever, and nothing is lost: once it is
// mined the anchor gets another place, and the other is named.
func TestStolenNonce(t *testing.T) {
	onBothOnDemand(t, func(t *testing.T, d devchain) {
		ctx := testContext(t)
		c, _ := deployed(t, d, configOf(t, d))
		a := mustSign(t, c, merkle.Hash{}, rootOf(1))
		mustSend(t, c, a)
		other := &rival{t, c, d}
		stolen := other.send(1, 40, 99)
		if err := c.Send(ctx, a); !errors.Is(err, anchor.ErrPrice) {
			t.Errorf("Send of the one that was replaced: %v, want ErrPrice", err)
		}
		o := order(merkle.Hash{}, rootOf(1), a)
		o.Want = 2 * a.Fee
		b, err := c.Sign(ctx, o)
		if err != nil || b.Place != a.Place {
			t.Fatalf("replacement at %s, %v", b.Place, err)
		}
		if err := c.Send(ctx, b); !errors.Is(err, anchor.ErrPrice) {
			t.Errorf("Send of one that does not outbid: %v, want ErrPrice", err)
		}
		d.mine(1)
		until(t, "ErrAsk", func() bool { return errors.Is(c.Send(ctx, b), anchor.ErrAsk) })
		if _, ok, err := c.Find(ctx, []anchor.Attempt{a, b}); ok || err != nil {
			t.Fatalf("Find = %v, %v", ok, err)
		}
		e := mustSign(t, c, merkle.Hash{}, rootOf(1), a, b)
		want := "another transaction" // go-ethereum cannot name it
		if _, ok := d.(*anvilChain); ok {
			want = stolen.Hex()
		}
		if e.Place != "nonce 2" || !strings.Contains(notes(c), "nonce 1 of "+c.Sender().Hex()+" was used by "+want) {
			t.Errorf("%s, notes %q", e.Place, notes(c))
		}
		mustSend(t, c, e)
		f := mustFind(t, c, d, a, b, e)
		if f.Which != 2 {
			t.Errorf("attempt %d was mined", f.Which)
		}
		mustReceipt(t, c, e, rootOf(1), f.Block)
	})
}

// TestRouteStolenNonce has a whole route lose its place.
func TestRouteStolenNonce(t *testing.T) {
	onBothOnDemand(t, func(t *testing.T, d devchain) {
		c, _ := deployed(t, d, configOf(t, d))
		r, stop := running(t, anchor.Config{Chain: c, Source: &log{size: 1}, Journal: &journal{}})
		until(t, "broadcast", func() bool { p := r.Status().Pending; return p != nil && p.State == anchor.Broadcast })
		(&rival{t, c, d}).send(1, 40, 99)
		d.mine(1)
		until(t, "the final", func() bool { d.mine(1); return hasFinal(r, 1)() })
		stop()
		checkFinal(t, r, c, 1)
		if roots := anchoredRoots(t, c); len(roots) != 1 {
			t.Errorf("%d anchors, want 1", len(roots))
		}
		if !strings.Contains(notes(c), "nonce 1 of") {
			t.Errorf("notes %q", notes(c))
		}
	})
}

// TestRouteDropped: nodes drop the transaction from their pools, again and
// again. It is sent again, the very same.
func TestRouteDropped(t *testing.T) {
	onBothOnDemand(t, func(t *testing.T, d devchain) {
		c, _ := deployed(t, d, configOf(t, d))
		r, stop := running(t, anchor.Config{Chain: c, Source: &log{size: 1}, Journal: &journal{}, Resend: 200 * time.Millisecond})
		for range 3 {
			waits := func() bool {
				v, err := c.nodes.look(testContext(t))
				if err != nil {
					t.Fatal(err)
				}
				n, err := c.nonce(testContext(t), v, "pending")
				return err == nil && n == 2
			}
			until(t, "a waiting transaction", waits)
			switch d := d.(type) {
			case *simChain:
				d.Rollback()
			case *anvilChain:
				if err := d.Call(nil, "anvil_dropAllTransactions"); err != nil {
					t.Fatal(err)
				}
			}
			until(t, "it to be gone", func() bool { return !waits() || r.Status().Pending == nil })
		}
		until(t, "the final", func() bool { d.mine(1); return hasFinal(r, 1)() })
		stop()
		checkFinal(t, r, c, 1)
		if a, _, _ := r.Lookup(1); len(a.Attempts) != 1 {
			t.Errorf("%d attempts, want 1", len(a.Attempts))
		}
	})
}

// TestRouteBumpRefused: the node refuses each replacement for a while. What is
// out stays out and is mined.
func TestRouteBumpRefused(t *testing.T) {
	t.Parallel()
	d := newSim(t)
	_, cfg := deployed(t, d, configOf(t, d))
	p := newProxy(t, d.url())
	var mu sync.Mutex
	var first json.RawMessage
	refused := 0
	p.refuse = func(method string, params json.RawMessage) *rpcFault {
		mu.Lock()
		defer mu.Unlock()
		if method != "eth_sendRawTransaction" {
			return nil
		}
		if first == nil {
			first = params
		}
		if string(params) != string(first) {
			refused++
			return &rpcFault{-32000, "replacement transaction underpriced"}
		}
		return nil
	}
	cfg.URL = p.URL
	c := dial(t, cfg)
	r, stop := running(t, anchor.Config{Chain: c, Source: &log{size: 1}, Journal: &journal{}, Reprice: 50 * time.Millisecond, MaxPrices: 3})
	until(t, "refusals", func() bool { mu.Lock(); defer mu.Unlock(); return refused >= 2 })
	until(t, "the final", func() bool { d.mine(1); return hasFinal(r, 1)() })
	stop()
	checkFinal(t, r, c, 1)
	if a, _, _ := r.Lookup(1); a.IncludedBy != 0 {
		t.Errorf("attempt %d was mined", a.IncludedBy)
	}
	if n, err := usedNonces(t, c); err != nil || n != 2 {
		t.Errorf("%d transactions for one deployment and one anchor, %v", n, err)
	}
}

// TestRouteLaggingIndex: the node says that the nonce is used, and shows no
// receipt for a long while. Nothing else is signed for that head.
func TestRouteLaggingIndex(t *testing.T) {
	t.Parallel()
	d := newSim(t)
	_, cfg := deployed(t, d, configOf(t, d))
	p := newProxy(t, d.url())
	looks := 0
	p.set(func(method string, params, result json.RawMessage) (json.RawMessage, *rpcFault) {
		if method == "eth_getTransactionReceipt" && string(result) != "null" {
			if looks++; looks < 6 {
				return json.RawMessage("null"), nil
			}
		}
		return result, nil
	})
	cfg.URL = p.URL
	c := dial(t, cfg)
	r, stop := running(t, anchor.Config{Chain: c, Source: &log{size: 1}, Journal: &journal{}, Resend: 100 * time.Millisecond})
	until(t, "the final", func() bool { d.mine(1); return hasFinal(r, 1)() })
	stop()
	checkFinal(t, r, c, 1)
	if n, err := usedNonces(t, c); err != nil || n != 2 {
		t.Errorf("%d transactions for one deployment and one anchor, %v", n, err)
	}
	if _, calls := p.asked("eth_getTransactionReceipt"); calls < 6 {
		t.Errorf("the receipt was asked for %d times", calls)
	}
}

// TestReorgBelowFinalized: a chain undoes what it called "finalized". The route
// raises the alarm and takes the receipt of the new block.
func TestReorgBelowFinalized(t *testing.T) {
	onBothOnDemand(t, func(t *testing.T, d devchain) {
		c, _ := deployed(t, d, configOf(t, d))
		r, stop := running(t, anchor.Config{Chain: c, Source: &log{size: 1}, Journal: &journal{}, Recheck: 100 * time.Millisecond})
		until(t, "the final", func() bool { d.mine(1); return hasFinal(r, 1)() })
		was, _, err := r.Lookup(1)
		if err != nil || was.FinalRule != "finalized" {
			t.Fatalf("final by %q, %v", was.FinalRule, err)
		}
		tips, err := c.Tips(testContext(t))
		if err != nil {
			t.Fatal(err)
		}
		d.(forkable).fork(int(tips.Latest.Height-was.Included.Height)+1, true)
		until(t, "the alarm and the new receipt", func() bool {
			d.mine(1)
			a, ok, err := r.Lookup(1)
			return err == nil && ok && a.Included.Hash != was.Included.Hash && len(r.Status().Alarms) == 1
		})
		until(t, "the final in the other block", func() bool { d.mine(1); return hasFinal(r, 1)() })
		stop()
		checkFinal(t, r, c, 1)
	})
}

// TestSnapshotRevert takes anvil back to before the anchor, as a restored node is.
func TestSnapshotRevert(t *testing.T) {
	t.Parallel()
	d := &anvilChain{anvil.Start(t, "--no-mining"), t}
	c, _ := deployed(t, d, configOf(t, d))
	var snapshot string
	if err := d.Call(&snapshot, "evm_snapshot"); err != nil {
		t.Fatal(err)
	}
	r, stop := running(t, anchor.Config{Chain: c, Source: &log{size: 1}, Journal: &journal{}, Resend: 100 * time.Millisecond})
	var block anchor.Block
	looks := 0
	until(t, "inclusion", func() bool {
		p := r.Status().Pending
		if p != nil && p.State == anchor.Broadcast {
			if looks++; looks%50 == 1 { // seldom, so that the block is not final before it is seen
				d.mine(1)
			}
		}
		if p != nil && p.State == anchor.Included {
			block = *p.Included
		}
		return block != anchor.Block{}
	})
	var ok bool
	if err := d.Call(&ok, "evm_revert", snapshot); err != nil || !ok {
		t.Fatalf("revert: %v, %v", ok, err)
	}
	d.mine(1)
	until(t, "the final", func() bool { d.mine(1); return hasFinal(r, 1)() })
	stop()
	checkFinal(t, r, c, 1)
	if a, _, _ := r.Lookup(1); a.Included.Hash == block.Hash || len(anchoredRoots(t, c)) != 1 {
		t.Errorf("in block %x, %d anchors", a.Included.Hash, len(anchoredRoots(t, c)))
	}
}

// TestAccountWithCode: an account that is delegated (EIP-7702), or a contract,
// is refused before anything is signed.
func TestAccountWithCode(t *testing.T) {
	t.Parallel()
	d := &anvilChain{anvil.Start(t), t}
	c, _ := deployed(t, d, configOf(t, d))
	for code, says := range map[string]string{
		"0xef0100" + strings.Repeat("ab", 20): "delegated to 0x", "0x00": "is a contract",
	} {
		if err := d.Call(nil, "anvil_setCode", c.Sender(), code); err != nil {
			t.Fatal(err)
		}
		if err := c.Ready(testContext(t)); !errors.Is(err, anchor.ErrLocked) || !strings.Contains(err.Error(), says) {
			t.Errorf("code %s: %v, want ErrLocked, %q", code, err, says)
		}
	}
}
