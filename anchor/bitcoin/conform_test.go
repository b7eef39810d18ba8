package bitcoin

import (
	"slices"
	"testing"

	"github.com/btcsuite/btcd/wire/v2"

	"cairn/anchor"
	"cairn/anchor/conform"
	"cairn/scripts/btcd"
)

const conformDepth = 9 // so that reorganisations of depth 8 meet blocks that are not final

func TestConformance(t *testing.T) {
	conform.Run(t, conform.Harness{
		New:     func(t testing.TB) conform.World { return newWorld(t) },
		Pending: conformDepth - 1,
		Deep:    true,
	})
}

// conformWorld is a btcd of its own and one key on it.
type conformWorld struct {
	t      testing.TB
	node   *btcd.Node
	cfg    Config
	script []byte
}

func newWorld(t testing.TB) *conformWorld {
	n := btcd.Start(t)
	w := &conformWorld{t: t, node: n, cfg: configOf(t, n, P2WPKH)}
	w.cfg.Depth = conformDepth
	c, err := Dial(t.Context(), w.cfg)
	if err != nil {
		t.Fatal(err)
	}
	w.script = c.Script()
	c.Close()
	n.Fund(w.script, 50_000_000)
	n.Mine(1)
	return w
}

func (w *conformWorld) Open() anchor.Chain {
	w.t.Helper()
	c, err := Dial(w.t.Context(), w.cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

func (w *conformWorld) Mine(n int) { w.node.Mine(n) }

func (w *conformWorld) Down() { w.node.Kill() }
func (w *conformWorld) Up()   { w.node.Resume() }

// Reorg lets the node forget transactions by a restart, which costs btcd its
// mempool.
func (w *conformWorld) Reorg(depth int, keep bool) {
	height, _ := w.node.Tip()
	w.node.Invalidate(w.node.BlockHash(height - depth + 1))
	if !keep {
		w.node.Stop()
		w.node.Resume()
	}
	w.node.MineBlock(nil)
	w.node.Mine(depth)
}

// walk calls each with the transactions of the node's chain that spend outputs
// of the key, and what they cost.
func (w *conformWorld) walk(each func(tx *wire.MsgTx, cost int64)) {
	w.t.Helper()
	ours := map[wire.OutPoint]int64{}
	height, _ := w.node.Tip()
	for h := 1; h <= height; h++ {
		block, err := w.node.Block(w.node.BlockHash(h))
		if err != nil {
			w.t.Fatal(err)
		}
		for _, tx := range block.Transactions {
			cost := int64(0)
			for _, in := range tx.TxIn {
				cost += ours[in.PreviousOutPoint]
			}
			spends := cost > 0
			for i, out := range tx.TxOut {
				cost -= out.Value
				if slices.Equal(out.PkScript, w.script) {
					ours[wire.OutPoint{Hash: tx.TxHash(), Index: uint32(i)}] = out.Value
				}
			}
			if spends {
				each(tx, cost)
			}
		}
	}
}

func (w *conformWorld) Heads() (heads []anchor.Root) {
	w.walk(func(tx *wire.MsgTx, _ int64) {
		root, ok := anchorRoot(tx, w.script)
		if !ok {
			w.t.Errorf("%s spends outputs of the key and is no anchor", tx.TxHash())
		}
		heads = append(heads, root)
	})
	return heads
}

func (w *conformWorld) Spent() (sum anchor.Amount) {
	w.walk(func(_ *wire.MsgTx, cost int64) { sum += anchor.Amount(cost) })
	return sum
}
