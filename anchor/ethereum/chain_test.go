package ethereum

import (
	"errors"
	"math/big"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"

	"cairn/anchor"
	"cairn/anchor/proof"
	"cairn/contracts"
	"cairn/merkle"
)

// signArgs are the arguments of account_signTransaction.
type signArgs struct {
	From     common.Address  `json:"from"`
	To       *common.Address `json:"to"`
	Nonce    hexutil.Uint64  `json:"nonce"`
	Gas      hexutil.Uint64  `json:"gas"`
	Value    *hexutil.Big    `json:"value"`
	Input    hexutil.Bytes   `json:"input"`
	MaxFee   *hexutil.Big    `json:"maxFeePerGas"`
	MaxTip   *hexutil.Big    `json:"maxPriorityFeePerGas"`
	GasPrice *hexutil.Big    `json:"gasPrice"`
	ChainID  *hexutil.Big    `json:"chainId"`
}

func mustSign(t *testing.T, c *Chain, previous, root merkle.Hash, prior ...anchor.Attempt) anchor.Attempt {
	t.Helper()
	a, err := c.Sign(testContext(t), order(previous, root, prior...))
	if err != nil {
		t.Fatalf("Sign: %v", err)
	}
	return a
}

// mustSend sends, and waits until the nodes count the transaction among those
// that wait, which go-ethereum does a moment after it took it.
func mustSend(t *testing.T, c *Chain, a anchor.Attempt) {
	t.Helper()
	ctx := testContext(t)
	if err := c.Send(ctx, a); err != nil {
		t.Fatalf("Send: %v", err)
	}
	tx, err := parseAttempt(a)
	if err != nil {
		t.Fatal(err)
	}
	until(t, "the node to count "+a.Place, func() bool {
		v, err := c.nodes.look(ctx)
		if err != nil {
			t.Fatal(err)
		}
		n, err := c.nonce(ctx, v, "pending")
		return err == nil && n > tx.Nonce()
	})
}

// mustFind mines until one of the attempts is in the chain.
func mustFind(t *testing.T, c *Chain, d devchain, as ...anchor.Attempt) anchor.Found {
	t.Helper()
	var f anchor.Found
	until(t, "the transaction's block", func() bool {
		d.mine(1)
		var ok bool
		var err error
		f, ok, err = c.Find(testContext(t), as)
		if err != nil && !errors.Is(err, anchor.ErrAgain) {
			t.Fatalf("Find: %v", err)
		}
		return ok && err == nil
	})
	return f
}

// mustReceipt takes the receipt and verifies it as a stranger would.
func mustReceipt(t *testing.T, c *Chain, a anchor.Attempt, root merkle.Hash, b anchor.Block) proof.EthereumFacts {
	t.Helper()
	data, err := c.Receipt(testContext(t), a, b)
	if err != nil {
		t.Fatalf("Receipt: %v", err)
	}
	r, err := proof.ParseEthereumReceipt(data)
	if err != nil {
		t.Fatalf("ParseEthereumReceipt: %v", err)
	}
	facts, err := proof.VerifyEthereum(r)
	if err != nil {
		t.Fatalf("VerifyEthereum: %v", err)
	}
	if r.Contract != c.Contract() || r.Sender != c.Sender() || r.Ledger != testLedger || r.Root != root || r.ChainID != c.cfg.ChainID {
		t.Errorf("receipt of contract %x, sender %x, ledger %x, root %x on chain %d", r.Contract, r.Sender, r.Ledger, r.Root, r.ChainID)
	}
	if facts.BlockHash != b.Hash || facts.Number != b.Height || facts.Time != b.Time || facts.CodeHash != contracts.RuntimeCodeHash {
		t.Errorf("facts %+v do not fit block %+v", facts, b)
	}
	return facts
}

func TestDeployAnchorAndProve(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, d devchain) {
		ctx := testContext(t)
		c, _ := deployed(t, d, configOf(t, d))
		if err := c.Ready(ctx); err != nil {
			t.Fatalf("Ready: %v", err)
		}
		if c.Sender() != crypto.PubkeyToAddress(d.key().PublicKey) {
			t.Errorf("sender %s", c.Sender())
		}
		head, err := c.Stored(ctx)
		if err != nil || head != (merkle.Hash{}) {
			t.Fatalf("Stored before = %s, %v", head, err)
		}
		for n := uint64(1); n <= 3; n++ {
			previous := head
			a := mustSign(t, c, previous, rootOf(n))
			if _, ok, err := c.Find(ctx, []anchor.Attempt{a}); ok || err != nil {
				t.Fatalf("Find before sending = %v, %v", ok, err)
			}
			mustSend(t, c, a)
			f := mustFind(t, c, d, a)
			if f.Reverted || f.Which != 0 {
				t.Fatalf("Find = %+v", f)
			}
			facts := mustReceipt(t, c, a, rootOf(n), f.Block)
			if !facts.Stored || !facts.Logged {
				t.Errorf("facts %+v, want stored and logged", facts)
			}
			if head, err = c.Stored(ctx); err != nil || head != rootOf(n) {
				t.Fatalf("Stored = %s, %v, want %s", head, err, rootOf(n))
			}
		}
		seen, err := c.Seen(ctx)
		tips, err2 := c.Tips(ctx)
		if err != nil || err2 != nil || seen.Height == 0 || seen.Time == 0 || tips.Latest.Height < seen.Height {
			t.Errorf("Seen = %+v, %v; Tips = %+v, %v", seen, err, tips, err2)
		}
	})
}

func TestSendAgain(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, d devchain) {
		c, _ := deployed(t, d, configOf(t, d))
		a := mustSign(t, c, merkle.Hash{}, rootOf(1))
		mustSend(t, c, a)
		if err := c.Send(testContext(t), a); err != nil && !errors.Is(err, anchor.ErrAsk) {
			t.Errorf("Send of a waiting transaction: %v", err)
		}
		mustFind(t, c, d, a)
		if err := c.Send(testContext(t), a); err != nil && !errors.Is(err, anchor.ErrAsk) {
			t.Errorf("Send of a mined transaction: %v, want ErrAsk or nothing", err)
		}
	})
}

// TestCompareAndSwap sends what the contract must refuse, and what it must
// take as done.
func TestCompareAndSwap(t *testing.T) {
	t.Parallel()
	d := newSim(t)
	ctx := testContext(t)
	c, _ := deployed(t, d, configOf(t, d))
	first := mustSign(t, c, merkle.Hash{}, rootOf(1))
	mustSend(t, c, first)
	other := mustSign(t, c, merkle.Hash{}, rootOf(2)) // the head is still 0
	mustSend(t, c, other)
	again := mustSign(t, c, merkle.Hash{}, rootOf(1))
	mustSend(t, c, again)
	f := mustFind(t, c, d, first)
	if f.Reverted {
		t.Error("the first was refused")
	}
	if g := mustFind(t, c, d, other); !g.Reverted {
		t.Error("another head on top of the same one was taken")
	}
	if g := mustFind(t, c, d, first, other); g.Reverted || g.Which != 0 {
		t.Errorf("Find prefers %+v, want the one that succeeded", g)
	}
	g := mustFind(t, c, d, again)
	if g.Reverted {
		t.Error("the same head again was refused")
	}
	if facts := mustReceipt(t, c, again, rootOf(1), g.Block); !facts.Stored || facts.Logged {
		t.Errorf("facts of the same head again: %+v, want stored, not logged", facts)
	}
	// Now that the head is known the node's estimate refuses it before a fee is paid.
	_, err := c.Sign(ctx, order(merkle.Hash{}, rootOf(2)))
	if !errors.Is(err, anchor.ErrAgain) || !strings.Contains(err.Error(), rootOf(1).String()) {
		t.Errorf("Sign on a wrong head: %v, want one that names the head", err)
	}
	// A later overwrite leaves the receipt that was taken, and a receipt of an
	// overwritten block state can be taken as long as the node has it.
	next := mustSign(t, c, rootOf(1), rootOf(3))
	mustSend(t, c, next)
	mustFind(t, c, d, next)
	mustReceipt(t, c, first, rootOf(1), f.Block)
}

// TestOverwrittenInItsBlock has no storage proof: two heads in one block.
func TestOverwrittenInItsBlock(t *testing.T) {
	t.Parallel()
	d := newSim(t)
	c, _ := deployed(t, d, configOf(t, d))
	a := mustSign(t, c, merkle.Hash{}, rootOf(1))
	mustSend(t, c, a)
	tx, err := parseAttempt(a)
	if err != nil {
		t.Fatal(err)
	}
	// Signed by hand: Sign would wait for a block that has the first.
	to := c.cfg.Contract
	second, err := types.SignNewTx(d.key(), types.LatestSignerForChainID(tx.ChainId()), &types.DynamicFeeTx{
		ChainID: tx.ChainId(), Nonce: tx.Nonce() + 1, GasTipCap: tx.GasTipCap(), GasFeeCap: tx.GasFeeCap(),
		Gas: 200_000, To: &to, Value: new(big.Int), Data: c.registry.PackAnchor(testLedger, rootOf(1), rootOf(2)),
	})
	if err != nil {
		t.Fatal(err)
	}
	b, err := attempt(second)
	if err != nil {
		t.Fatal(err)
	}
	b.Root = rootOf(2)
	mustSend(t, c, b)
	fa, fb := mustFind(t, c, d, a), mustFind(t, c, d, b)
	if fa.Block != fb.Block {
		t.Fatalf("in blocks %d and %d, want one", fa.Block.Height, fb.Block.Height)
	}
	if facts := mustReceipt(t, c, a, rootOf(1), fa.Block); facts.Stored || !facts.Logged {
		t.Errorf("facts of the first: %+v, want logged, not stored", facts)
	}
	if facts := mustReceipt(t, c, b, rootOf(2), fb.Block); !facts.Stored || !facts.Logged {
		t.Errorf("facts of the second: %+v, want both", facts)
	}
}

func TestReplaceTakesTheSameNonce(t *testing.T) {
	t.Parallel()
	d := newSim(t)
	ctx := testContext(t)
	c, _ := deployed(t, d, configOf(t, d))
	a := mustSign(t, c, merkle.Hash{}, rootOf(1))
	mustSend(t, c, a)
	b := mustSign(t, c, merkle.Hash{}, rootOf(1), a)
	ta, _ := parseAttempt(a)
	tb, _ := parseAttempt(b)
	if ta.Nonce() != tb.Nonce() {
		t.Errorf("nonces %d and %d, want the same", ta.Nonce(), tb.Nonce())
	}
	for _, v := range [][2]*big.Int{{ta.GasTipCap(), tb.GasTipCap()}, {ta.GasFeeCap(), tb.GasFeeCap()}} {
		if least := new(big.Int).Div(new(big.Int).Mul(v[0], big.NewInt(110)), big.NewInt(100)); v[1].Cmp(least) < 0 {
			t.Errorf("fee %s after %s, want a tenth more", v[1], v[0])
		}
	}
	mustSend(t, c, b)
	if err := c.Send(ctx, a); !errors.Is(err, anchor.ErrPrice) {
		t.Errorf("Send of the replaced one: %v, want ErrPrice", err)
	}
	if f := mustFind(t, c, d, a, b); f.Which != 1 {
		t.Errorf("attempt %d was mined, want 1", f.Which)
	}
	until(t, "ErrAsk for the replaced one once the pool knows the block", func() bool {
		return errors.Is(c.Send(ctx, a), anchor.ErrAsk)
	})
	// Its place being used, the next takes another.
	e := mustSign(t, c, rootOf(1), rootOf(2), a, b)
	if te, _ := parseAttempt(e); te.Nonce() != tb.Nonce()+1 {
		t.Errorf("nonce %d, want %d", te.Nonce(), tb.Nonce()+1)
	}
}

// TestGap signs behind a foreign transaction that then goes away.
func TestGap(t *testing.T) {
	t.Parallel()
	d := newSim(t)
	ctx := testContext(t)
	c, _ := deployed(t, d, configOf(t, d))
	foreign := mustSign(t, c, merkle.Hash{}, rootOf(9))
	mustSend(t, c, foreign)
	a := mustSign(t, c, merkle.Hash{}, rootOf(1))
	d.Rollback()
	if err := c.Send(ctx, a); !errors.Is(err, anchor.ErrAsk) || !strings.Contains(err.Error(), "gap") {
		t.Fatalf("Send = %v, want ErrAsk for the gap", err)
	}
	b := mustSign(t, c, merkle.Hash{}, rootOf(1), a)
	mustSend(t, c, b)
	if f := mustFind(t, c, d, a, b); f.Which != 1 {
		t.Errorf("attempt %d was mined, want 1", f.Which)
	}
}

func TestReorg(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, d devchain) {
		ctx := testContext(t)
		c, _ := deployed(t, d, configOf(t, d))
		d.mine(2)
		a := mustSign(t, c, merkle.Hash{}, rootOf(1))
		mustSend(t, c, a)
		f := mustFind(t, c, d, a)
		mustReceipt(t, c, a, rootOf(1), f.Block)
		tips, err := c.Tips(ctx)
		if err != nil {
			t.Fatal(err)
		}
		d.reorg(int(tips.Latest.Height-f.Block.Height) + 1)
		if _, err := c.Receipt(ctx, a, f.Block); !errors.Is(err, anchor.ErrAgain) {
			t.Errorf("Receipt of a block that is gone: %v, want ErrAgain", err)
		}
		until(t, "the same transaction in another block", func() bool {
			if g, ok, err := c.Find(ctx, []anchor.Attempt{a}); ok && err == nil {
				if g.Block == f.Block {
					t.Fatal("still in the block that is gone")
				}
				mustReceipt(t, c, a, rootOf(1), g.Block)
				return true
			}
			if err := c.Send(ctx, a); err != nil && !errors.Is(err, anchor.ErrAsk) {
				t.Fatalf("Send: %v", err)
			}
			d.mine(1)
			return false
		})
	})
}

func TestFinality(t *testing.T) {
	t.Parallel()
	d := newSim(t)
	ctx := testContext(t)
	cfg := configOf(t, d)
	tagged := dial(t, cfg)
	tips, err := tagged.Tips(ctx)
	if err != nil || tips.Rule != "finalized" || tips.Final.Height != 0 {
		t.Errorf("Tips at the start = %+v, %v", tips, err)
	}
	cfg.Depth = 10
	deep := dial(t, cfg)
	if tips, err := deep.Tips(ctx); err != nil || tips.Final != (anchor.Block{}) || tips.Rule != "depth 10" {
		t.Errorf("Tips at the start = %+v, %v", tips, err)
	}
	d.mine(40)
	if tips, err := deep.Tips(ctx); err != nil || tips.Final.Height != tips.Latest.Height-10 {
		t.Errorf("Tips = %+v, %v", tips, err)
	}
	if tips, err := tagged.Tips(ctx); err != nil || tips.Final.Height != 32 {
		t.Errorf("Tips = %+v, %v, want final 32", tips, err)
	}
}
