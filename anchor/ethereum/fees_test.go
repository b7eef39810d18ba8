package ethereum

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/big"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"

	"cairn/anchor"
	"cairn/merkle"
	"cairn/scripts/anvil"
)

// txOf is a transaction that is replaced.
func txOf(tip, cap int64) *types.Transaction {
	return types.NewTx(&types.DynamicFeeTx{GasTipCap: big.NewInt(tip), GasFeeCap: big.NewInt(cap)})
}

// TestFit holds what a bid becomes, in wei per gas, for 10,000 gas, a suggested
// tip of 2 gwei, a base fee of 10 and ceilings of 100 and, for tips, 3.
func TestFit(t *testing.T) {
	const g = int64(gwei)
	const all = math.MaxUint64
	tests := []struct {
		name          string
		replaced      []*types.Transaction
		want, limit   anchor.Amount // gwei in all
		tip, cap      int64         // 0, 0: ErrFees
		data          int64         // gwei
		fee           anchor.Amount
		legacy, spike bool
	}{
		{name: "first", limit: all, tip: 2 * g, cap: 22 * g, fee: 220_000},
		{name: "first, limit just enough", limit: 220_000, tip: 2 * g, cap: 22 * g, fee: 220_000},
		{name: "first, limit too low", limit: 219_999},
		{name: "first above the ceiling", limit: all, spike: true},
		{name: "first with data fee", limit: all, data: 5, tip: 2 * g, cap: 22 * g, fee: 220_005},
		{name: "first with data fee above the limit", limit: 220_004, data: 5},
		{name: "first, limit below the data fee", limit: 4, data: 5},
		{name: "nothing wanted", replaced: []*types.Transaction{txOf(2*g, 22*g)}, limit: all, tip: 2*g + g/4 + 1, cap: 22*g + 22*g/8 + 1, fee: 247_501},
		{name: "nothing wanted, fees rose", replaced: []*types.Transaction{txOf(g, 5*g)}, limit: all, tip: 3 * g, cap: 22 * g, fee: 220_000},
		{name: "nothing wanted, fees rose above the limit", replaced: []*types.Transaction{txOf(g, 5*g)}, limit: 100_000, tip: 2 * g, cap: 10 * g, fee: 100_000},
		{name: "more wanted", replaced: []*types.Transaction{txOf(g, 22*g)}, want: 440_000, limit: all, tip: 2 * g, cap: 44 * g, fee: 440_000},
		{name: "less wanted than replaces", replaced: []*types.Transaction{txOf(2*g, 22*g)}, want: 1, limit: all, tip: 2*g + g/4 + 1, cap: 22*g + 22*g/8 + 1, fee: 247_501},
		{name: "more wanted than allowed", replaced: []*types.Transaction{txOf(2*g, 22*g)}, want: 500_000, limit: 300_000, tip: 2727272727, cap: 30 * g, fee: 300_000},
		{name: "more wanted than the ceiling", replaced: []*types.Transaction{txOf(2*g, 22*g)}, want: 5_000_000, limit: all, tip: 3 * g, cap: 100 * g, fee: 1_000_000},
		{name: "cannot replace under the limit", replaced: []*types.Transaction{txOf(2*g, 22*g)}, want: 240_000, limit: 247_500},
		{name: "cannot replace under the ceiling", replaced: []*types.Transaction{txOf(2*g, 90*g)}, limit: all},
		{name: "tip that must rise above its ceiling", replaced: []*types.Transaction{txOf(3*g, 22*g)}, limit: all, tip: 3*g + 3*g/8 + 1, cap: 22*g + 22*g/8 + 1, fee: 247_501},
		{name: "tip that must rise above the cap", replaced: []*types.Transaction{txOf(20*g, 20*g)}, want: 1, limit: all, tip: 22*g + g/2 + 1, cap: 22*g + g/2 + 1, fee: 225_001},
		{name: "all that are replaced count", replaced: []*types.Transaction{txOf(2*g, 40*g), txOf(3*g, 30*g)}, want: 1, limit: all, tip: 3*g + 3*g/8 + 1, cap: 45*g + 1, fee: 450_001},
		{name: "legacy", replaced: []*types.Transaction{txOf(22*g, 22*g)}, legacy: true, want: 1, limit: all, tip: 22*g + 22*g/8 + 1, cap: 22*g + 22*g/8 + 1, fee: 247_501},
		{name: "legacy, more wanted", replaced: []*types.Transaction{txOf(22*g, 22*g)}, legacy: true, want: 440_000, limit: all, tip: 44 * g, cap: 44 * g, fee: 440_000},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := &Chain{cfg: Config{MaxFeeGwei: 100, MaxTipGwei: 3, GasRule: GasEIP1559}}
			b := &bid{fees: fees{base: big.NewInt(10 * g), tip: big.NewInt(2 * g), cap: big.NewInt(22 * g)}, gas: 10_000, data: big.NewInt(tt.data * g)}
			if tt.spike {
				b.cap = big.NewInt(101 * g)
			}
			if tt.legacy {
				c.cfg.GasRule, b.tip = GasLegacy, b.cap
			}
			err := c.fit(b, tt.replaced, anchor.Order{Want: tt.want, Limit: tt.limit})
			if tt.cap == 0 {
				if !errors.Is(err, anchor.ErrFees) {
					t.Errorf("bid %v, error %v, want ErrFees", b.fees, err)
				}
				return
			}
			if err != nil || b.tip.Int64() != tt.tip || b.cap.Int64() != tt.cap || b.fee() != tt.fee {
				t.Errorf("tip %s, cap %s, fee %d, %v; want %d, %d, %d", b.tip, b.cap, b.fee(), err, tt.tip, tt.cap, tt.fee)
			}
			if b.fee() > tt.limit || b.tip.Cmp(b.cap) > 0 {
				t.Errorf("fee %d above the limit, or tip %s above the cap %s", b.fee(), b.tip, b.cap)
			}
		})
	}
}

// TestFitNeverAbove tries bids of all sizes, down to fractions of a gwei in all.
func TestFitNeverAbove(t *testing.T) {
	c := &Chain{cfg: Config{MaxFeeGwei: 50, MaxTipGwei: 3, GasRule: GasEIP1559}}
	for _, cap := range []int64{1, 7, 999, 1e6, 1e9, 44444444444} {
		for _, limit := range []anchor.Amount{1, 2, 100, 12345, 1e6, math.MaxUint64} {
			for _, want := range []anchor.Amount{0, 1, 90, 1e5, math.MaxUint64} {
				b := &bid{fees: fees{base: big.NewInt(cap / 2), tip: big.NewInt(cap / 10), cap: big.NewInt(cap)}, gas: 37_312, data: new(big.Int)}
				var old []*types.Transaction
				for range 40 {
					err := c.fit(b, old, anchor.Order{Want: want, Limit: limit})
					if errors.Is(err, anchor.ErrFees) {
						break
					}
					if err != nil || b.fee() > limit || b.fee() < 1 || b.cap.Cmp(toWei(50)) > 0 {
						t.Fatalf("cap %d, limit %d, want %d: cap %s, fee %d, %v", cap, limit, want, b.cap, b.fee(), err)
					}
					for _, tx := range old {
						if b.cap.Cmp(bumped(tx.GasFeeCap())) < 0 || b.tip.Cmp(bumped(tx.GasTipCap())) < 0 {
							t.Fatalf("tip %s and cap %s do not replace %s and %s", b.tip, b.cap, tx.GasTipCap(), tx.GasFeeCap())
						}
					}
					old = append(old, txOf(b.tip.Int64(), b.cap.Int64()))
				}
			}
		}
	}
}

func TestGweiUp(t *testing.T) {
	for wei, want := range map[string]anchor.Amount{
		"0": 1, "1": 1, "999999999": 1, "1000000000": 1, "1000000001": 2,
		"18446744073709551615000000000": math.MaxUint64, "99999999999999999999999999999999": math.MaxUint64,
	} {
		v, _ := new(big.Int).SetString(wei, 10)
		if got := gweiUp(v); got != want {
			t.Errorf("gweiUp(%s) = %d, want %d", wei, got, want)
		}
	}
	if got := gweiDown(big.NewInt(1999999999)); got != 1 {
		t.Errorf("gweiDown = %d, want 1", got)
	}
}

func TestCostOf(t *testing.T) {
	tx := types.NewTx(&types.DynamicFeeTx{Gas: 40_000, GasTipCap: big.NewInt(gwei), GasFeeCap: big.NewInt(20 * gwei)})
	h := &types.Header{BaseFee: big.NewInt(5 * gwei)}
	gas := func(n uint64) *hexutil.Uint64 { return (*hexutil.Uint64)(&n) }
	wei := func(n int64) *hexutil.Big { return (*hexutil.Big)(big.NewInt(n)) }
	for _, tt := range []struct {
		name string
		p    txPlace
		want anchor.Amount // 0: an error
	}{
		{"all said", txPlace{GasUsed: gas(30_000), Price: wei(6 * gwei)}, 180_000},
		{"a fraction", txPlace{GasUsed: gas(30_001), Price: wei(gwei + 1)}, 30_002},
		{"next to nothing", txPlace{GasUsed: gas(30_000), Price: wei(7)}, 1},
		{"nothing", txPlace{GasUsed: gas(30_000), Price: wei(0)}, 1},
		{"no price", txPlace{GasUsed: gas(30_000)}, 180_000},
		{"no gas", txPlace{Price: wei(6 * gwei)}, 240_000},
		{"with the data's fee", txPlace{GasUsed: gas(30_000), Price: wei(6 * gwei), L1Fee: wei(5*gwei + 1)}, 180_006},
		{"more gas than allowed", txPlace{GasUsed: gas(40_001), Price: wei(6 * gwei)}, 0},
		{"a price above the cap", txPlace{GasUsed: gas(30_000), Price: wei(20*gwei + 1)}, 0},
		{"an absurd data fee", txPlace{GasUsed: gas(30_000), Price: wei(gwei), L1Fee: (*hexutil.Big)(new(big.Int).Lsh(big.NewInt(1), 80))}, 0},
	} {
		got, err := costOf(tx, &tt.p, h)
		if got != tt.want || (err != nil) != (tt.want == 0) {
			t.Errorf("%s: %d, %v, want %d", tt.name, got, err, tt.want)
		}
	}
}

// TestOrderOnChain signs to orders on real nodes: what an attempt says that it
// may cost is what it may cost, and what Find says is what it did cost.
func TestOrderOnChain(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, d devchain) {
		ctx := testContext(t)
		c, _ := deployed(t, d, configOf(t, d))
		funds, err := c.Funds(ctx)
		if err != nil || funds.Unit != "gwei" || funds.Address != c.Sender().Hex() || funds.PerAnchor == 0 || funds.Balance < funds.PerAnchor {
			t.Fatalf("Funds = %+v, %v", funds, err)
		}
		o := order(merkle.Hash{}, rootOf(1))
		a := mustSign(t, c, merkle.Hash{}, rootOf(1))
		tx, _ := parseAttempt(a)
		if want := gweiUp(new(big.Int).Mul(tx.GasFeeCap(), new(big.Int).SetUint64(tx.Gas()))); a.Fee != want || a.Place != fmt.Sprintf("nonce %d", tx.Nonce()) || a.Root != rootOf(1) {
			t.Errorf("attempt at %q with fee %d, want %d", a.Place, a.Fee, want)
		}
		o.Limit = a.Fee / 4
		if _, err := c.Sign(ctx, o); !errors.Is(err, anchor.ErrFees) {
			t.Errorf("Sign under a low limit: %v, want ErrFees", err)
		}
		o.Prior, o.Want, o.Limit, o.Root = []anchor.Attempt{a}, 3*a.Fee, math.MaxUint64, rootOf(2) // a newer head takes its place
		b, err := c.Sign(ctx, o)
		if err != nil {
			t.Fatal(err)
		}
		if b.Place != a.Place || b.Fee > 3*a.Fee || b.Fee < 3*a.Fee*999/1000 || b.Root != rootOf(2) {
			t.Errorf("replacement at %q for %d, want %q, %d", b.Place, b.Fee, a.Place, 3*a.Fee)
		}
		o.Prior, o.Limit = []anchor.Attempt{a, b}, b.Fee
		if _, err := c.Sign(ctx, o); !errors.Is(err, anchor.ErrFees) {
			t.Errorf("a replacement that may not cost more: %v, want ErrFees", err)
		}
		mustSend(t, c, b)
		f := mustFind(t, c, d, a, b)
		after, err := c.Funds(ctx)
		if err != nil {
			t.Fatal(err)
		}
		// Balances are rounded down, the cost up.
		if spent := funds.Balance - after.Balance; f.Which != 1 || f.Cost > b.Fee || f.Cost < spent-1 || f.Cost > spent+1 {
			t.Errorf("attempt %d cost %d, at most %d; the balance fell by %d", f.Which, f.Cost, b.Fee, spent)
		}
	})
}

// TestLegacy anchors with transactions of type 0.
func TestLegacy(t *testing.T) {
	t.Parallel()
	test := func(t *testing.T, d devchain) {
		ctx := testContext(t)
		cfg := configOf(t, d)
		cfg.GasRule = GasLegacy
		c, cfg := deployed(t, d, cfg)
		if err := c.Ready(ctx); err != nil {
			t.Fatal(err)
		}
		a := mustSign(t, c, merkle.Hash{}, rootOf(1))
		ta, _ := parseAttempt(a)
		if ta.Type() != types.LegacyTxType || !ta.Protected() || ta.ChainId().Uint64() != d.id() {
			t.Errorf("type %d for chain %s", ta.Type(), ta.ChainId())
		}
		if !strings.Contains(a.Detail, "price ") {
			t.Errorf("detail %q", a.Detail)
		}
		o := order(merkle.Hash{}, rootOf(1), a)
		b, err := c.Sign(ctx, o)
		if err != nil {
			t.Fatal(err)
		}
		if tb, _ := parseAttempt(b); tb.Nonce() != ta.Nonce() || tb.GasPrice().Cmp(bumped(ta.GasPrice())) < 0 {
			t.Errorf("replacement with nonce %d at %s after %s", tb.Nonce(), tb.GasPrice(), ta.GasPrice())
		}
		mustSend(t, c, b)
		f := mustFind(t, c, d, a, b)
		if f.Which != 1 || f.Cost == 0 || f.Cost > b.Fee {
			t.Errorf("Find = %+v", f)
		}
		mustReceipt(t, c, b, rootOf(1), f.Block)
		funds, err := c.Funds(ctx)
		if err != nil || funds.PerAnchor == 0 {
			t.Errorf("Funds = %+v, %v", funds, err)
		}
		cfg.Keystore, cfg.Passphrase = "", nil
		cfg.Sender, cfg.Signer = c.Sender(), newSigner(t, d.key(), nil)
		mustSend(t, dial(t, cfg), mustSign(t, dial(t, cfg), rootOf(1), rootOf(2)))
	}
	t.Run("simulated", func(t *testing.T) { test(t, newSim(t)) })
	t.Run("anvil", func(t *testing.T) { test(t, &anvilChain{anvil.Start(t), t}) })
}

// TestNoBaseFee shows the newest block without its base fee.
func TestNoBaseFee(t *testing.T) {
	t.Parallel()
	d := newSim(t)
	ctx := testContext(t)
	_, cfg := deployed(t, d, configOf(t, d))
	p := newProxy(t, d.url())
	p.set(func(method string, params, result json.RawMessage) (json.RawMessage, *rpcFault) {
		var args []any
		if strings.Contains(string(params), "blockHash") { // by that header's name
			if err := json.Unmarshal(params, &args); err != nil {
				t.Error(err)
			}
			if err := d.rpc(&result, method, args[0], "latest"); err != nil {
				t.Error(err)
			}
		}
		if method != "eth_getBlockByNumber" || !strings.Contains(string(params), "latest") {
			return result, nil
		}
		var h types.Header
		if err := json.Unmarshal(result, &h); err != nil {
			t.Error(err)
		}
		// What came after the base fee goes with it.
		old := types.Header{
			ParentHash: h.ParentHash, UncleHash: h.UncleHash, Coinbase: h.Coinbase, Root: h.Root, TxHash: h.TxHash, ReceiptHash: h.ReceiptHash,
			Bloom: h.Bloom, Difficulty: h.Difficulty, Number: h.Number, GasLimit: h.GasLimit, GasUsed: h.GasUsed, Time: h.Time,
			Extra: h.Extra, MixDigest: h.MixDigest, Nonce: h.Nonce,
		}
		b, err := json.Marshal(&old)
		if err != nil {
			t.Error(err)
		}
		return b, nil
	})
	cfg.URL = p.URL
	if _, err := dial(t, cfg).Funds(ctx); !errors.Is(err, anchor.ErrWrongChain) || !strings.Contains(err.Error(), "legacy") {
		t.Errorf("Funds by the rule of EIP-1559: %v, want ErrWrongChain and a hint", err)
	}
	cfg.GasRule = GasLegacy
	c := dial(t, cfg)
	if err := c.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	a := mustSign(t, c, merkle.Hash{}, rootOf(1))
	mustSend(t, c, a)
	if f := mustFind(t, c, d, a); f.Cost == 0 || f.Cost > a.Fee {
		t.Errorf("Find = %+v, the fee is %d", f, a.Fee)
	}
}

// TestDataFee plays the gas price oracle of an OP stack chain, and its receipts.
func TestDataFee(t *testing.T) {
	t.Parallel()
	d := newSim(t)
	ctx := testContext(t)
	_, cfg := deployed(t, d, configOf(t, d))
	p := newProxy(t, d.url())
	answer := json.RawMessage(fmt.Sprintf(`"0x%064x"`, 7*int64(gwei)))
	p.set(func(method string, params, result json.RawMessage) (json.RawMessage, *rpcFault) {
		switch {
		case method == "eth_call" && strings.Contains(strings.ToLower(string(params)), strings.ToLower(gasPriceOracle.Hex())):
			if !strings.Contains(string(params), "0x49948e0e") {
				t.Errorf("the oracle is asked %s", params)
			}
			return answer, nil
		case method == "eth_getTransactionReceipt" && len(result) > 4:
			return json.RawMessage(strings.Replace(string(result), `"status"`, `"l1Fee":"0x2540be400","status"`, 1)), nil // 10 gwei
		}
		return result, nil
	})
	plain := dial(t, cfg)
	without, err := plain.Funds(ctx)
	if err != nil {
		t.Fatal(err)
	}
	cfg.URL, cfg.GasRule = p.URL, GasOPStack
	c := dial(t, cfg)
	if with, err := c.Funds(ctx); err != nil || with.PerAnchor != without.PerAnchor+7 {
		t.Errorf("an anchor costs %d, %v, want %d", with.PerAnchor, err, without.PerAnchor+7)
	}
	a := mustSign(t, c, merkle.Hash{}, rootOf(1))
	if b := mustSign(t, plain, merkle.Hash{}, rootOf(1)); a.Fee != b.Fee+14 {
		t.Errorf("fee %d, want %d", a.Fee, b.Fee+14)
	}
	mustSend(t, c, a)
	f := mustFind(t, c, d, a)
	if g := mustFind(t, plain, d, a); f.Cost != g.Cost+10 {
		t.Errorf("cost %d, want %d", f.Cost, g.Cost+10)
	}
	answer = json.RawMessage(`"0x"`)
	if _, err := c.Sign(ctx, order(rootOf(1), rootOf(2))); !errors.Is(err, anchor.ErrWrongChain) {
		t.Errorf("Sign without an oracle: %v, want ErrWrongChain", err)
	}
}
