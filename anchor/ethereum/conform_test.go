package ethereum

import (
	"context"
	"math/big"
	"net/http"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/ethclient"

	"cairn/anchor"
	"cairn/anchor/conform"
	"cairn/scripts/anvil"
)

// conformDepth is how many blocks stand above a final one in the suite.
const conformDepth = 9

// TestConform runs the suite that all chains have to stand: with go-ethereum as
// the one node, and with anvil as two.
func TestConform(t *testing.T) {
	for name, start := range map[string]func(testing.TB) *world{
		"simulated": func(t testing.TB) *world { return newWorld(t, newSim(t), 1) },
		"anvil":     func(t testing.TB) *world { return newWorld(t, &anvilChain{anvil.Start(t, "--no-mining"), t}, 2) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conform.Run(t, conform.Harness{
				New:     func(t testing.TB) conform.World { return start(t) },
				Pending: conformDepth, Deep: true,
			})
		})
	}
}

// forkable is a development chain that can also forget.
type forkable interface {
	devchain
	// fork replaces the newest n blocks by more. With keep their transactions
	// wait again, else they are gone.
	fork(n int, keep bool)
}

func (s *simChain) fork(n int, keep bool) {
	s.t.Helper()
	tip := s.height()
	for {
		parent, err := s.Client().HeaderByNumber(context.Background(), new(big.Int).SetUint64(s.height()-uint64(n)))
		if err != nil {
			s.t.Fatal(err)
		}
		if s.Fork(parent.Hash()) == nil {
			break
		}
		s.mine(1) // something waits, which it does not fork with
		n++
	}
	if !keep {
		s.Rollback()
	}
	s.mine(n + 1)
	if now := s.height(); now < tip {
		s.t.Fatalf("%d blocks after a fork, before %d: once a minute go-ethereum stows away what it calls final, and makes no block below that", now, tip)
	}
}

func (s *simChain) height() uint64 {
	s.t.Helper()
	tip, err := s.Client().BlockNumber(context.Background())
	if err != nil {
		s.t.Fatal(err)
	}
	return tip
}

func (a *anvilChain) fork(n int, keep bool) {
	a.t.Helper()
	ctx := context.Background()
	c, err := ethclient.Dial(a.URL)
	if err != nil {
		a.t.Fatal(err)
	}
	defer c.Close()
	tip, err := c.BlockNumber(ctx)
	if err != nil {
		a.t.Fatal(err)
	}
	var txs types.Transactions
	for h := tip - uint64(n) + 1; h <= tip; h++ {
		b, err := c.BlockByNumber(ctx, new(big.Int).SetUint64(h))
		if err != nil {
			a.t.Fatal(err)
		}
		txs = append(txs, b.Transactions()...)
	}
	a.reorg(n)
	if err := a.Call(nil, "anvil_dropAllTransactions"); err != nil {
		a.t.Fatal(err)
	}
	for _, tx := range txs {
		if keep {
			err := c.SendTransaction(ctx, tx)
			if err != nil && !strings.Contains(err.Error(), "already imported") { // the route was faster
				a.t.Fatal(err)
			}
		}
	}
	a.mine(1)
}

// world is a chain with a registry, reached through proxies. It reads the chain
// with go-ethereum's client.
type world struct {
	forkable
	t       testing.TB
	proxies []*proxy
	cfg     Config
	client  *ethclient.Client
	blocks  []worldBlock // from the one after the registry's
	from    uint64
}

type worldBlock struct {
	hash  common.Hash
	roots []anchor.Root
	spent *big.Int
}

func newWorld(t testing.TB, d forkable, n int) *world {
	t.Helper()
	w := &world{forkable: d, t: t}
	_, w.cfg = deployed(t, d, configOf(t, d))
	w.cfg.URL, w.cfg.Depth = "", conformDepth
	for range n {
		p := newProxy(t, d.url())
		w.proxies = append(w.proxies, p)
		w.cfg.URLs = append(w.cfg.URLs, p.URL)
	}
	var err error
	if w.client, err = ethclient.Dial(d.url()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.client.Close)
	tip, err := w.client.BlockNumber(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	w.from = tip + 1
	d.mine(1)
	return w
}

func (w *world) Open() anchor.Chain {
	c, err := Dial(context.Background(), w.cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

func (w *world) Mine(n int)                 { w.mine(n) }
func (w *world) Reorg(depth int, keep bool) { w.fork(depth, keep) }
func (w *world) Up()                        { w.breakBy(nil) }
func (w *world) Down() {
	w.breakBy(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
}

func (w *world) breakBy(f http.HandlerFunc) {
	for _, p := range w.proxies {
		p.breakBy(f)
	}
}

// follow reads the blocks that are new.
func (w *world) follow() {
	w.t.Helper()
	ctx := context.Background()
	tip, err := w.client.BlockNumber(ctx)
	if err != nil {
		w.t.Fatal(err)
	}
	w.blocks = w.blocks[:min(uint64(len(w.blocks)), tip+1-w.from)]
	for len(w.blocks) > 0 { // those that went away
		last := uint64(len(w.blocks)) - 1
		h, err := w.client.HeaderByNumber(ctx, new(big.Int).SetUint64(w.from+last))
		if err != nil {
			w.t.Fatal(err)
		}
		if h.Hash() == w.blocks[last].hash {
			break
		}
		w.blocks = w.blocks[:last]
	}
	for h := w.from + uint64(len(w.blocks)); h <= tip; h++ {
		b, err := w.client.BlockByNumber(ctx, new(big.Int).SetUint64(h))
		if err != nil {
			w.t.Fatal(err)
		}
		wb := worldBlock{hash: b.Hash(), spent: new(big.Int)}
		for _, tx := range b.Transactions() {
			r, err := w.client.TransactionReceipt(ctx, tx.Hash())
			if err != nil {
				w.t.Fatal(err)
			}
			wb.spent.Add(wb.spent, new(big.Int).Mul(r.EffectiveGasPrice, new(big.Int).SetUint64(r.GasUsed)))
			if r.Status == types.ReceiptStatusSuccessful {
				wb.roots = append(wb.roots, anchor.Root(tx.Data()[len(tx.Data())-32:]))
			}
		}
		w.blocks = append(w.blocks, wb)
	}
}

func (w *world) Heads() (roots []anchor.Root) {
	w.follow()
	for _, b := range w.blocks {
		roots = append(roots, b.roots...)
	}
	return roots
}

func (w *world) Spent() anchor.Amount {
	w.follow()
	sum := new(big.Int)
	for _, b := range w.blocks {
		sum.Add(sum, b.spent)
	}
	return gweiDown(sum)
}
