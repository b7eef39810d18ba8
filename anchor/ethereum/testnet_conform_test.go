//go:build testnet

package ethereum

import (
	"context"
	"crypto/rand"
	"math/big"
	"testing"
	"time"

	gethereum "github.com/ethereum/go-ethereum"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/ethclient"

	"cairn/anchor"
	"cairn/anchor/conform"
	"cairn/contracts"
)

// TestTestnetConform runs what of the suite of all chains a live one allows: some
// 20 anchors of ledgers drawn at random, each of which waits to be final.
func TestTestnetConform(t *testing.T) {
	cfg := live(t)
	if cfg.Contract == (common.Address{}) {
		d, err := dial(t, cfg).Deploy(t.Context())
		if err != nil {
			t.Fatalf("Deploy: %v", err)
		}
		t.Logf("deployed the registry at %s in block %d", d.Address, d.Block.Height)
		cfg.Contract = d.Address
	}
	conform.Run(t, conform.Harness{
		New:  func(t testing.TB) conform.World { return newLiveWorld(t, cfg) },
		Live: true, Patience: liveFinal,
		Tune: func(c *anchor.Config) {
			c.Poll, c.Check, c.Recheck, c.Resend, c.Timeout = livePoll, time.Minute, time.Minute, time.Minute, time.Minute
		},
	})
}

// liveWorld is a live chain, and a ledger on it that is new. It asks the first
// node, with go-ethereum's client.
type liveWorld struct {
	t      testing.TB
	cfg    Config
	client *ethclient.Client
	from   uint64   // block
	had    *big.Int // wei then
}

func newLiveWorld(t testing.TB, cfg Config) *liveWorld {
	t.Helper()
	rand.Read(cfg.Ledger[:])
	w := &liveWorld{t: t, cfg: cfg}
	var err error
	if w.client, err = ethclient.Dial(cfg.URLs[0]); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.client.Close)
	if w.from, err = w.client.BlockNumber(testContext(t)); err != nil {
		t.Fatal(err)
	}
	w.had = w.balance()
	return w
}

func (w *liveWorld) balance() *big.Int {
	w.t.Helper()
	b, err := w.client.BalanceAt(testContext(w.t), w.sender(), nil)
	if err != nil {
		w.t.Fatal(err)
	}
	return b
}

func (w *liveWorld) sender() common.Address {
	c := w.Open().(*Chain)
	defer c.Close()
	return c.Sender()
}

func (w *liveWorld) Open() anchor.Chain {
	w.t.Helper()
	c, err := Dial(context.Background(), w.cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

// Mine leaves it to the chain.
func (w *liveWorld) Mine(int) {}

func (w *liveWorld) Reorg(int, bool) { w.t.Fatal("nobody can reorganise a live chain") }

func (w *liveWorld) Heads() (roots []anchor.Root) {
	w.t.Helper()
	logs, err := w.client.FilterLogs(testContext(w.t), gethereum.FilterQuery{
		FromBlock: new(big.Int).SetUint64(w.from), Addresses: []common.Address{w.cfg.Contract},
		Topics: [][]common.Hash{{contracts.AnchoredTopic}, {common.BytesToHash(w.sender().Bytes())}, {common.Hash(w.cfg.Ledger)}},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	for _, l := range logs {
		a, err := contracts.ParseAnchored(w.cfg.Contract, &l)
		if err != nil {
			w.t.Fatal(err)
		}
		roots = append(roots, a.Root)
	}
	return roots
}

func (w *liveWorld) Spent() anchor.Amount {
	w.t.Helper()
	return gweiDown(new(big.Int).Sub(w.had, w.balance()))
}
