package ethereum

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/big"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"

	"cairn/anchor"
)

// GasRule is how a chain charges.
type GasRule string

// The gas rules.
const (
	// GasEIP1559 is Ethereum's: a base fee by the block, and a tip.
	GasEIP1559 GasRule = "eip1559"
	// GasLegacy is one price per gas, as eth_gasPrice suggests: transactions of
	// type 0 with the chain id (EIP-155), for chains without a base fee.
	GasLegacy GasRule = "legacy"
	// GasOPStack is EIP-1559 and, on top, a fee for the data on the chain below,
	// which the contract at gasPriceOracle estimates and no transaction bounds.
	GasOPStack GasRule = "op-stack"
)

var (
	// gasPriceOracle is the same on all chains of the OP stack (predeploys).
	gasPriceOracle = common.HexToAddress("0x420000000000000000000000000000000000000F")
	getL1Fee       = crypto.Keccak256([]byte("getL1Fee(bytes)"))[:4]
)

const (
	// anchorGas is what a usual anchor costs: 29,850 by the rules of Osaka,
	// 31,050 by those of Amsterdam. The first of a ledger costs more.
	anchorGas = 31_050
	// anchorBytes is the length of an anchor's transaction.
	anchorBytes = 215
	// maxWeiBits bounds amounts that nodes name: above a million ether.
	maxWeiBits = 80
)

// fees are wei per gas. base is nil on a chain without a base fee; with
// GasLegacy tip and cap are the price.
type fees struct {
	base, tip, cap *big.Int
}

// now is what a gas costs at present.
func (f *fees) now() *big.Int {
	if f.base == nil || f.tip.Cmp(f.cap) == 0 {
		return f.cap
	}
	return new(big.Int).Add(f.base, f.tip)
}

// fees returns the present fees: tip as a node suggests and at most MaxTipGwei,
// cap = tip + 2 × base. With GasLegacy the price as a node suggests, and an
// eighth above the base fee at least, if there is one.
func (c *Chain) fees(ctx context.Context, v view) (fees, error) {
	v = v.best()
	base := v[0].head.BaseFee
	if c.cfg.GasRule == GasLegacy {
		price, err := suggested(ctx, v, "eth_gasPrice")
		if err != nil {
			return fees{}, err
		}
		if base != nil && price.Cmp(bumped(base)) < 0 {
			price = bumped(base)
		}
		return fees{base: base, tip: price, cap: price}, nil
	}
	if base == nil {
		return fees{}, fmt.Errorf("%w: it has no base fee (EIP-1559); the gas rule %q is for such", anchor.ErrWrongChain, GasLegacy)
	}
	tip, err := suggested(ctx, v, "eth_maxPriorityFeePerGas")
	switch {
	case errors.Is(err, anchor.ErrAgain):
		tip = toWei(1) // no node knows the method
	case err != nil:
		return fees{}, err
	}
	if ceiling := toWei(c.cfg.MaxTipGwei); tip.Cmp(ceiling) > 0 {
		tip = ceiling
	}
	f := fees{base: base, tip: tip}
	f.cap = new(big.Int).Add(f.tip, new(big.Int).Lsh(f.base, 1))
	return f, nil
}

func suggested(ctx context.Context, v view, method string) (*big.Int, error) {
	return first(v, func(s sight) (*big.Int, error) {
		var price hexutil.Big
		if err := s.ask(ctx, &price, method); err != nil {
			return nil, err
		}
		if p := (*big.Int)(&price); p.BitLen() > maxWeiBits {
			return nil, fmt.Errorf("%w: %s: the %s names %d bits", anchor.ErrAgain, method, s.name(), p.BitLen())
		}
		return (*big.Int)(&price), nil
	})
}

// dataFee estimates what a transaction of n bytes costs on top, in wei.
func (c *Chain) dataFee(ctx context.Context, v view, n int) (*big.Int, error) {
	if c.cfg.GasRule != GasOPStack {
		return new(big.Int), nil
	}
	// getL1Fee(bytes): offset, length, and bytes that do not compress.
	tx := make([]byte, 0, (n+31)/32*32)
	for seed := []byte{0}; len(tx) < n; seed = crypto.Keccak256(seed) {
		tx = append(tx, seed...)
	}
	data := append([]byte(nil), getL1Fee...)
	data = append(data, common.LeftPadBytes([]byte{32}, 32)...)
	data = append(data, common.LeftPadBytes(big.NewInt(int64(n)).Bytes(), 32)...)
	data = append(data, common.RightPadBytes(tx[:n], (n+31)/32*32)...)
	call := map[string]any{"to": gasPriceOracle, "input": hexutil.Bytes(data)}
	return first(v.best(), func(s sight) (*big.Int, error) {
		var out hexutil.Bytes
		if err := s.ask(ctx, &out, "eth_call", call, "latest"); err != nil {
			return nil, err
		}
		fee := new(big.Int).SetBytes(out)
		if len(out) != 32 || fee.BitLen() > maxWeiBits {
			return nil, fmt.Errorf("%w: the gas price oracle of the %s answers with %d bytes", anchor.ErrWrongChain, s.name(), len(out))
		}
		return fee, nil
	})
}

// bumped is an eighth more: nodes want a tenth of a replacement.
func bumped(v *big.Int) *big.Int {
	d := new(big.Int).Rsh(v, 3)
	return d.Add(d, v).Add(d, common.Big1)
}

// bid is what one transaction offers.
type bid struct {
	fees
	gas  uint64
	data *big.Int // reserve for the fee of a rollup's data, in wei
}

// fee is the most that it can cost, in gwei rounded up.
func (b *bid) fee() anchor.Amount { return gweiUp(b.wei()) }

func (b *bid) wei() *big.Int {
	w := new(big.Int).Mul(b.cap, new(big.Int).SetUint64(b.gas))
	return w.Add(w, b.data)
}

// perGas is the highest cap at which the transaction costs no more than total.
func (b *bid) perGas(total anchor.Amount) *big.Int {
	w := new(big.Int).Mul(new(big.Int).SetUint64(uint64(total)), big.NewInt(gwei))
	if w.Sub(w, b.data); w.Sign() < 0 {
		return new(big.Int)
	}
	return w.Div(w, new(big.Int).SetUint64(b.gas))
}

// fit fits present fees to an order. A first attempt stays as it is. A
// replacement offers what is wanted, or else the present fees, but no more than
// the ceiling, and at least what replaces: both an eighth above those of all
// attempts that it replaces; the tip rises in proportion up to MaxTipGwei. An
// error is ErrFees: it would have to be above the ceiling.
func (c *Chain) fit(b *bid, replaced []*types.Transaction, o anchor.Order) error {
	ceiling, what := toWei(c.cfg.MaxFeeGwei), "the ceiling"
	if limit := b.perGas(o.Limit); limit.Cmp(ceiling) < 0 {
		ceiling, what = limit, "what this anchor may still cost"
	}
	if len(replaced) > 0 {
		c.outbid(b, replaced, o.Want, ceiling)
	}
	if b.cap.Cmp(ceiling) > 0 {
		return fmt.Errorf("%w: the fee cap would be %s per gas, %s is %s (base fee %s)", anchor.ErrFees, inGwei(b.cap), what, inGwei(ceiling), inGwei(b.base))
	}
	return nil
}

func (c *Chain) outbid(b *bid, replaced []*types.Transaction, want anchor.Amount, ceiling *big.Int) {
	newest := replaced[len(replaced)-1]
	leastCap, leastTip := new(big.Int), new(big.Int)
	for _, tx := range replaced {
		leastCap = most(leastCap, bumped(tx.GasFeeCap()))
		leastTip = most(leastTip, bumped(tx.GasTipCap()))
	}
	if want > 0 {
		b.cap = b.perGas(want)
	}
	b.cap = most(least(b.cap, ceiling), leastCap)
	if c.cfg.GasRule == GasLegacy {
		b.tip = b.cap
		return
	}
	tip := new(big.Int).Mul(newest.GasTipCap(), b.cap)
	if old := newest.GasFeeCap(); old.Sign() > 0 {
		tip.Div(tip, old)
	}
	tip = least(most(tip, b.tip), toWei(c.cfg.MaxTipGwei))
	b.tip = most(tip, leastTip)
	b.cap = most(b.cap, leastTip)
	b.tip = least(b.tip, b.cap)
}

func most(a, b *big.Int) *big.Int {
	if a.Cmp(b) < 0 {
		return b
	}
	return a
}

func least(a, b *big.Int) *big.Int {
	if a.Cmp(b) > 0 {
		return b
	}
	return a
}

// gweiUp rounds up, to at least 1: nothing that is paid for costs nothing.
func gweiUp(wei *big.Int) anchor.Amount {
	d, m := new(big.Int).DivMod(wei, big.NewInt(gwei), new(big.Int))
	if m.Sign() > 0 || d.Sign() == 0 {
		d.Add(d, common.Big1)
	}
	return amount(d)
}

func gweiDown(wei *big.Int) anchor.Amount { return amount(new(big.Int).Div(wei, big.NewInt(gwei))) }

func amount(v *big.Int) anchor.Amount {
	if !v.IsUint64() {
		return math.MaxUint64
	}
	return anchor.Amount(v.Uint64())
}

func toWei(g float64) *big.Int { return new(big.Int).SetUint64(uint64(g * gwei)) }

// inGwei shows an amount of wei.
func inGwei(wei *big.Int) string {
	if wei == nil {
		return "none"
	}
	f, _ := new(big.Rat).SetFrac(wei, big.NewInt(gwei)).Float64()
	return fmt.Sprintf("%.4g gwei", f)
}

// inEther shows an amount of wei.
func inEther(wei *big.Int) string {
	f, _ := new(big.Rat).SetFrac(wei, big.NewInt(1e18)).Float64()
	return fmt.Sprintf("%.6g ether", f)
}
