package ethereum

import (
	"errors"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/crypto"

	"cairn/anchor"
	"cairn/anchor/proof"
	"cairn/contracts"
	"cairn/merkle"
	"cairn/scripts/anvil"
)

// anchoredRoots returns what the contract logged, in order.
func anchoredRoots(t *testing.T, c *Chain) (roots []merkle.Hash) {
	t.Helper()
	var logs []struct {
		Data hexutil.Bytes `json:"data"`
	}
	filter := map[string]any{"fromBlock": "0x0", "toBlock": "latest", "address": c.Contract(), "topics": []common.Hash{contracts.AnchoredTopic}}
	if err := c.nodes.list[0].ask(testContext(t), &logs, "eth_getLogs", filter); err != nil {
		t.Fatal(err)
	}
	for _, l := range logs {
		roots = append(roots, merkle.Hash(l.Data))
	}
	return roots
}

// checkFinal verifies a final anchor as it would be handed out.
func checkFinal(t *testing.T, r *anchor.Route, c *Chain, size uint64) {
	t.Helper()
	a, ok, err := r.Lookup(size)
	if err != nil || !ok || a.Size != size || a.State != anchor.Final || a.FinalRule == "" {
		t.Fatalf("Lookup(%d) = %+v, %v, %v", size, a, ok, err)
	}
	receipt, err := proof.ParseEthereumReceipt(a.Receipt)
	if err != nil {
		t.Fatal(err)
	}
	facts, err := proof.VerifyEthereum(receipt)
	if err != nil || facts.Number < a.Included.Height || receipt.Root != rootOf(size) || !facts.Stored {
		t.Errorf("receipt of size %d: %+v, %v", size, facts, err)
	}
	// A machine that is very busy may find the state of that block gone.
	if facts.Number == a.Included.Height && (facts.BlockHash != a.Included.Hash || !facts.Logged) {
		t.Errorf("receipt of size %d: %+v", size, facts)
	}
	if head, err := c.Stored(testContext(t)); err != nil || head != rootOf(size) {
		t.Errorf("the chain's head is %s, %v, want %s", head, err, rootOf(size))
	}
}

func TestRoute(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, d devchain) {
		c, _ := deployed(t, d, configOf(t, d))
		l := &log{size: 1}
		j := &journal{}
		stopMining := mining(t, d)
		r, stop := running(t, anchor.Config{Chain: c, Source: l, Journal: j})
		until(t, "the first final", hasFinal(r, 1))
		checkFinal(t, r, c, 1)
		l.grow(7)
		until(t, "the second final", hasFinal(r, 7))
		checkFinal(t, r, c, 7)
		if s := r.Status(); !s.Healthy || !s.Guarded || s.FinalRule != "finalized" {
			t.Errorf("status = %+v", s)
		}
		if _, ok := r.Seen(); !ok {
			t.Error("no block seen")
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		stopMining()
		if roots := anchoredRoots(t, c); len(roots) != 2 {
			t.Errorf("%d anchors logged, want 2", len(roots))
		}
	})
}

// TestRouteCrash stops a route at each point on a real chain, lets blocks
// come and the chain fork, and goes on.
func TestRouteCrash(t *testing.T) {
	t.Parallel()
	d := newSim(t)
	c, _ := deployed(t, d, configOf(t, d))
	l := &log{}
	j := &journal{}
	crash := errors.New("crash")
	want := 0
	for i, p := range anchor.Points() {
		l.grow(uint64(i + 1))
		want++
		stopMining := mining(t, d)
		hit := make(chan struct{})
		_, stop := running(t, anchor.Config{Chain: c, Source: l, Journal: j, Fault: func(at anchor.Point) error {
			if at == p {
				close(hit)
				return crash
			}
			return nil
		}})
		select {
		case <-hit:
		case <-t.Context().Done():
		}
		if err := stop(); !errors.Is(err, crash) {
			t.Fatalf("point %s: Run = %v", p, err)
		}
		stopMining()
		d.mine(1)
		d.reorg(1)
		stopMining = mining(t, d)
		r, stop := running(t, anchor.Config{Chain: c, Source: l, Journal: j})
		until(t, "the final after "+string(p), hasFinal(r, uint64(i+1)))
		checkFinal(t, r, c, uint64(i+1))
		stop()
		stopMining()
		if roots := anchoredRoots(t, c); len(roots) != want {
			t.Fatalf("after %s: %d anchors logged, want %d", p, len(roots), want)
		}
	}
	// Every transaction moved the head: nothing was paid for twice.
	n, err := usedNonces(t, c)
	if err != nil || int(n) != want+1 {
		t.Errorf("%d transactions for one deployment and %d anchors, %v", n, want, err)
	}
}

func TestRouteNodeAway(t *testing.T) {
	t.Parallel()
	n := anvil.Start(t)
	d := &anvilChain{n, t}
	c, _ := deployed(t, d, configOf(t, d))
	l := &log{size: 1}
	r, _ := running(t, anchor.Config{Chain: c, Source: l, Journal: &journal{}})
	until(t, "the first final", func() bool { d.mine(1); return hasFinal(r, 1)() })
	n.Stop()
	l.grow(2)
	until(t, "red", func() bool {
		s := r.Status()
		return !s.Healthy && strings.Contains(s.Reason, anchor.ErrDown.Error())
	})
	n.Resume()
	until(t, "the second final", func() bool { d.mine(1); return hasFinal(r, 2)() })
	checkFinal(t, r, c, 2)
	if s := r.Status(); !s.Healthy {
		t.Errorf("status = %+v", s)
	}
}

func TestRouteReorg(t *testing.T) {
	t.Parallel()
	d := newSim(t)
	c, _ := deployed(t, d, configOf(t, d))
	l := &log{size: 1}
	r, stop := running(t, anchor.Config{Chain: c, Source: l, Journal: &journal{}})
	included := func() *anchor.Block {
		if p := r.Status().Pending; p != nil && p.State == anchor.Included && len(p.Receipt) > 0 {
			return p.Included
		}
		return nil
	}
	looks := 0
	until(t, "inclusion", func() bool {
		if p := r.Status().Pending; p != nil && p.State == anchor.Broadcast {
			if looks++; looks%50 == 1 { // seldom, so that the block is not final before the route has seen it
				d.mine(1)
			}
		}
		return included() != nil
	})
	was := *included()
	tips, err := c.Tips(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	d.reorg(int(tips.Latest.Height-was.Height) + 1) // blocks came until the route saw its own
	until(t, "the other block", func() bool {
		d.mine(1)
		b := included()
		return b != nil && b.Hash != was.Hash
	})
	stopMining := mining(t, d)
	until(t, "the final", hasFinal(r, 1))
	stopMining()
	checkFinal(t, r, c, 1)
	if a, _, _ := r.Lookup(1); a.Included.Hash == was.Hash || len(a.Attempts) != 1 {
		t.Errorf("final in block %x after %d attempts", a.Included.Hash, len(a.Attempts))
	}
	stop()
}

// TestRouteUnhealthy names what is wrong, sends nothing, and goes on when it is
// put right.
func TestRouteUnhealthy(t *testing.T) {
	t.Parallel()
	d := newSim(t)
	good, cfg := deployed(t, d, configOf(t, d))
	poor, err := crypto.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name   string
		change func(*Config)
		want   error
		says   string
	}{
		{"wrong chain id", func(c *Config) { c.ChainID = 1 }, anchor.ErrWrongChain, "1337"},
		{"no funds", func(c *Config) { c.Keystore = keystoreOf(t, poor) }, anchor.ErrFunds, "ether"},
		{"wrong passphrase", func(c *Config) { c.Passphrase = []byte("pebbles") }, anchor.ErrLocked, "passphrase"},
		{"no keystore", func(c *Config) { c.Keystore += ".gone" }, anchor.ErrLocked, "no such file"},
		{"no contract", func(c *Config) { c.Contract = common.Address{} }, anchor.ErrContract, "configured"},
		{"no code", func(c *Config) { c.Contract = common.Address{1} }, anchor.ErrContract, "no code"},
		{"other code", func(c *Config) { c.CodeHash = common.Hash{1} }, anchor.ErrContract, "hash"},
		{"nobody there", func(c *Config) { c.URL = "http://127.0.0.1:1/secret-token" }, anchor.ErrDown, "127.0.0.1:1"},
		{"signer gone", func(c *Config) {
			c.Sender = crypto.PubkeyToAddress(d.key().PublicKey)
			c.Keystore, c.Signer = "", "http://127.0.0.1:1/secret-token"
		}, anchor.ErrLocked, "external signer"},
		{"fees", func(c *Config) { c.MaxFeeGwei, c.MaxTipGwei = 0.01, 0.01 }, anchor.ErrFees, "gwei"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg := cfg
			tt.change(&cfg)
			j := &journal{}
			r, stop := running(t, anchor.Config{Chain: dial(t, cfg), Source: &log{size: 1}, Journal: j})
			until(t, "red for "+tt.want.Error(), func() bool {
				s := r.Status()
				return !s.Healthy && strings.Contains(s.Reason, tt.want.Error()) && strings.Contains(s.Reason, tt.says)
			})
			if reason := r.Status().Reason; strings.Contains(reason, "secret-token") || strings.Contains(reason, "pebbles") {
				t.Errorf("reason gives a secret away: %s", reason)
			}
			stop()
			if len(j.m) != 0 {
				t.Errorf("journal holds %d records, want none", len(j.m))
			}
		})
	}
	if roots := anchoredRoots(t, good); len(roots) != 0 {
		t.Errorf("%d anchors logged, want none", len(roots))
	}
}
