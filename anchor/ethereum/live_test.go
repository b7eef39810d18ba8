package ethereum

import (
	"errors"
	"math/big"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"

	"cairn/anchor"
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
