package ethereum

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common/hexutil"

	"cairn/anchor"
	"cairn/anchor/proof"
	"cairn/merkle"
)

// mustLater takes a receipt that is of a block after b.
func mustLater(t *testing.T, c *Chain, a anchor.Attempt, b anchor.Block) (data []byte, at anchor.Block) {
	t.Helper()
	data, err := c.Receipt(testContext(t), a, b)
	if err != nil {
		t.Fatalf("Receipt: %v", err)
	}
	if at, err = blockOf(data); err != nil || at.Height <= b.Height {
		t.Fatalf("receipt of block %d, %v, want one after %d", at.Height, err, b.Height)
	}
	r, err := proof.ParseEthereumReceipt(data)
	if err != nil {
		t.Fatal(err)
	}
	facts, err := proof.VerifyEthereum(r)
	if err != nil || !facts.Stored || facts.Logged || r.Root != a.Root {
		t.Fatalf("facts %+v, %v, want stored, not logged", facts, err)
	}
	return data, at
}

// TestStateGone: the gateway was away for so long that no node has the state of
// the anchor's block any more.
func TestStateGone(t *testing.T) {
	t.Parallel()
	d := newSim(t)
	ctx := testContext(t)
	c, cfg := deployed(t, d, configOf(t, d))
	a := mustSign(t, c, merkle.Hash{}, rootOf(1))
	mustSend(t, c, a)
	f := mustFind(t, c, d, a)
	d.mine(200)
	data, at := mustLater(t, c, a, f.Block)
	tips, err := c.Tips(ctx)
	if err != nil || at != tips.Final {
		t.Errorf("receipt of block %d, %v, want the final one, %d", at.Height, err, tips.Final.Height)
	}
	if done, err := c.Complete(ctx, a, f.Block, data); err != nil || string(done) != string(data) {
		t.Errorf("Complete of a receipt of a final block: %v", err)
	}
	// Nor has anybody the state of what is final.
	cfg.Depth = 150
	deep := dial(t, cfg)
	data, at = mustLater(t, deep, a, f.Block)
	if _, err := deep.Complete(ctx, a, f.Block, data); !errors.Is(err, anchor.ErrAgain) || !strings.Contains(err.Error(), fmt.Sprintf("block %d, which is not final", at.Height)) {
		t.Errorf("Complete before that block is final: %v, want ErrAgain", err)
	}
	d.mine(150)
	if done, err := deep.Complete(ctx, a, f.Block, data); err != nil || string(done) != string(data) {
		t.Errorf("Complete after it is final: %v", err)
	}
	if _, err := deep.Complete(ctx, a, f.Block, []byte("nonsense")); err == nil {
		t.Error("Complete of nonsense gave no error")
	}
	// The head of another anchor proves nothing of this one.
	b := mustSign(t, c, rootOf(1), rootOf(2))
	mustSend(t, c, b)
	mustFind(t, c, d, b)
	d.mine(2)
	if _, err := deep.Receipt(ctx, a, f.Block); !errors.Is(err, anchor.ErrAgain) {
		t.Errorf("Receipt of what was overwritten: %v, want ErrAgain", err)
	}
}

// newestOnly lets a node give proofs of its newest block alone, as Reth does.
func newestOnly(t *testing.T, d *simChain) *proxy {
	p := newProxy(t, d.url())
	p.refuse = func(method string, params json.RawMessage) *rpcFault {
		if method == "eth_getProof" && !strings.HasSuffix(string(params), fmt.Sprintf("%q]", hexutil.Uint64(d.height()))) {
			return &rpcFault{-32602, "distance to target block exceeds maximum proof window"}
		}
		return nil
	}
	return p
}

// TestNewestStateOnly takes receipts from such a node, whose blocks go away.
func TestNewestStateOnly(t *testing.T) {
	t.Parallel()
	d := newSim(t)
	ctx := testContext(t)
	_, cfg := deployed(t, d, configOf(t, d))
	cfg.URL, cfg.Depth = newestOnly(t, d).URL, 5
	c := dial(t, cfg)
	a := mustSign(t, c, merkle.Hash{}, rootOf(1))
	mustSend(t, c, a)
	f := mustFind(t, c, d, a)
	d.mine(3)
	data, at := mustLater(t, c, a, f.Block)
	d.fork(2, true)
	d.mine(3)
	if _, err := c.Complete(ctx, a, f.Block, data); !errors.Is(err, anchor.ErrAgain) {
		t.Fatalf("Complete of a receipt whose block went away: %v, want ErrAgain", err)
	}
	if _, err := c.Complete(ctx, a, f.Block, data); !errors.Is(err, anchor.ErrAgain) {
		t.Fatalf("Complete before the other is final: %v, want ErrAgain", err)
	}
	d.mine(5)
	done, err := c.Complete(ctx, a, f.Block, data)
	if err != nil {
		t.Fatalf("Complete: %v", err)
	}
	now, err := blockOf(done)
	if err != nil || now.Height <= at.Height || now.Hash == at.Hash {
		t.Errorf("completed receipt of block %d, %v", now.Height, err)
	}
	if same, err := c.nodes.list[0].header(ctx, hexutil.Uint64(now.Height)); err != nil || block(same) != now {
		t.Errorf("the chain does not have block %d, %v", now.Height, err)
	}
}

// TestRouteNewestStateOnly takes a whole anchor home by such a node.
func TestRouteNewestStateOnly(t *testing.T) {
	t.Parallel()
	d := newSim(t)
	_, cfg := deployed(t, d, configOf(t, d))
	cfg.URL, cfg.Depth = newestOnly(t, d).URL, 5
	c := dial(t, cfg)
	r, stop := running(t, anchor.Config{Chain: c, Source: &log{size: 1}, Journal: &journal{}})
	looks := 0
	until(t, "the final", func() bool {
		if looks++; looks%10 == 1 { // the newest block stays so for a while
			d.mine(1)
		}
		return hasFinal(r, 1)()
	})
	stop()
	a, ok, err := r.Lookup(1)
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	at, err := blockOf(a.Receipt)
	if err != nil || at.Height < a.Included.Height {
		t.Errorf("receipt of block %d, included in %d, %v", at.Height, a.Included.Height, err)
	}
}
