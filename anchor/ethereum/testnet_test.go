//go:build testnet

package ethereum

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"

	"cairn/anchor"
	"cairn/anchor/proof"
	"cairn/merkle"
)

// The live suite takes its chain from the environment, and spends money there:
//
//	CAIRN_TESTNET_ETH_RPC              URLs of nodes of one chain, with commas between
//	CAIRN_TESTNET_ETH_KEYSTORE         keystore file of a funded account that nothing else uses
//	CAIRN_TESTNET_ETH_PASSPHRASE_FILE  file whose first line opens it
//	CAIRN_TESTNET_ETH_CONTRACT         the registry; without it one is deployed
//	CAIRN_TESTNET_ETH_FINAL            optional: "finalized", "safe", or a number of blocks
//	CAIRN_TESTNET_ETH_GAS_RULE         optional: "eip1559", "legacy" or "op-stack"
//	CAIRN_TESTNET_ETH_WAIT_FINAL       optional: "yes" waits until the last anchor is final
//
// It anchors a ledger of its own, drawn at random: at most five transactions
// and a deployment.
const (
	liveInclusion = 10 * time.Minute
	liveFinal     = 60 * time.Minute
	livePoll      = 3 * time.Second
)

func live(t *testing.T) Config {
	t.Helper()
	need := func(name string) string {
		v := os.Getenv(name)
		if v == "" {
			t.Fatalf("%s is not set", name)
		}
		return v
	}
	cfg := Config{URLs: strings.Split(need("CAIRN_TESTNET_ETH_RPC"), ","), Keystore: need("CAIRN_TESTNET_ETH_KEYSTORE")}
	passphrase, err := os.ReadFile(need("CAIRN_TESTNET_ETH_PASSPHRASE_FILE"))
	if err != nil {
		t.Fatal(err)
	}
	line, _, _ := strings.Cut(string(passphrase), "\n")
	cfg.Passphrase = []byte(strings.TrimSuffix(line, "\r"))
	if s := os.Getenv("CAIRN_TESTNET_ETH_CONTRACT"); s != "" {
		if !common.IsHexAddress(s) {
			t.Fatal("CAIRN_TESTNET_ETH_CONTRACT is no address")
		}
		cfg.Contract = common.HexToAddress(s)
	}
	cfg.GasRule = GasRule(os.Getenv("CAIRN_TESTNET_ETH_GAS_RULE"))
	if s := os.Getenv("CAIRN_TESTNET_ETH_FINAL"); s != "" {
		if n, err := strconv.ParseUint(s, 10, 32); err == nil {
			cfg.Depth = n
		} else {
			cfg.FinalTag = s
		}
	}
	cfg.ChainID = chainOf(t, cfg.URLs[0])
	if cfg.ChainID == 1 {
		t.Fatal("this is Ethereum's main network, no testnet")
	}
	rand.Read(cfg.Ledger[:])
	return cfg
}

func chainOf(t *testing.T, url string) uint64 {
	t.Helper()
	n := newEndpoint("node", url, defaultTimeout, 1<<20)
	defer n.close()
	var id hexutil.Uint64
	if err := n.call(t.Context(), &id, "eth_chainId"); err != nil {
		t.Fatal(err)
	}
	return uint64(id)
}

// eventually asks until ok, at a pace that public nodes bear.
func eventually(t *testing.T, what string, limit time.Duration, ok func(context.Context) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	tick := time.NewTicker(livePoll)
	defer tick.Stop()
	for !ok(ctx) {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("%s did not come to be in %s", what, limit)
		}
	}
}

func (c *Chain) liveFind(t *testing.T, as ...anchor.Attempt) anchor.Found {
	t.Helper()
	var f anchor.Found
	eventually(t, "the block", liveInclusion, func(ctx context.Context) bool {
		var ok bool
		var err error
		f, ok, err = c.Find(ctx, as)
		if err != nil {
			t.Logf("Find: %v", err)
		}
		return ok && err == nil
	})
	return f
}

func (c *Chain) liveReceipt(t *testing.T, a anchor.Attempt, f anchor.Found) {
	t.Helper()
	var data []byte
	eventually(t, "the receipt", liveInclusion, func(ctx context.Context) bool {
		var err error
		if data, err = c.Receipt(ctx, a, f.Block); err != nil {
			t.Logf("Receipt: %v", err)
		}
		return err == nil
	})
	r, err := proof.ParseEthereumReceipt(data)
	if err != nil {
		t.Fatal(err)
	}
	facts, err := proof.VerifyEthereum(r)
	if err != nil || facts.BlockHash != f.Block.Hash || r.Root != a.Root || !facts.Stored {
		t.Fatalf("receipt: %+v, %v", facts, err)
	}
	tx, _ := parseAttempt(a)
	t.Logf("anchored in block %d (%x), transaction %x: gas limit %d, at most %d gwei, cost %d gwei; receipt of %d bytes, logged %v",
		facts.Number, facts.BlockHash, a.ID, tx.Gas(), a.Fee, f.Cost, len(data), facts.Logged)
}

// TestTestnet anchors on a live chain: once by hand with a replacement, and
// once by a route that is stopped on the way.
func TestTestnet(t *testing.T) {
	cfg := live(t)
	ctx := t.Context()
	c := dial(t, cfg)
	if cfg.Contract == (common.Address{}) {
		d, err := c.Deploy(ctx)
		if err != nil {
			t.Fatalf("Deploy: %v", err)
		}
		t.Logf("deployed the registry at %s in block %d", d.Address, d.Block.Height)
		cfg.Contract = d.Address
		c = dial(t, cfg)
	}
	if err := c.Ready(ctx); err != nil {
		t.Fatalf("Ready: %v", err)
	}
	before, err := c.Funds(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s: %s has %d gwei, an anchor costs about %d gwei now", c.Name(), before.Address, before.Balance, before.PerAnchor)

	a := mustSign(t, c, merkle.Hash{}, rootOf(1))
	mustSend(t, c, a)
	if err := c.Send(ctx, a); err != nil && !errors.Is(err, anchor.ErrAsk) {
		t.Fatalf("Send again: %v", err)
	}
	attempts := []anchor.Attempt{a}
	b, err := c.Sign(ctx, anchor.Order{Root: rootOf(2), Prior: attempts, Want: a.Fee + a.Fee/2, Limit: math.MaxUint64})
	switch {
	case err == nil && b.Place == a.Place:
		attempts = append(attempts, b)
		if err := c.Send(ctx, b); err != nil && !errors.Is(err, anchor.ErrAsk) && !errors.Is(err, anchor.ErrPrice) {
			t.Fatalf("Send of the replacement: %v", err)
		}
	default:
		t.Logf("no replacement, the first was too fast: %s, %v", b.Place, err)
	}
	f := c.liveFind(t, attempts...)
	if f.Reverted {
		t.Fatal("the contract refused the anchor")
	}
	t.Logf("attempt %d of %d was mined", f.Which+1, len(attempts))
	c.liveReceipt(t, attempts[f.Which], f)
	eventually(t, "the head", liveInclusion, func(ctx context.Context) bool {
		head, err := c.Stored(ctx)
		return err == nil && head == attempts[f.Which].Root
	})
	liveRoute(t, cfg)

	after, err := c.Funds(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("all of it cost %d gwei", before.Balance-after.Balance)
	for _, n := range c.Notes() {
		t.Log(n)
	}
}

func liveRoute(t *testing.T, cfg Config) {
	t.Helper()
	l, j := &log{size: 3}, &journal{}
	start := func() (*anchor.Route, func()) {
		c, err := Dial(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		r, err := anchor.New(anchor.Config{Chain: c, Source: l, Journal: j, Every: 24 * time.Hour, Jitter: -1, Poll: livePoll})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		end := make(chan struct{})
		go func() { r.Run(ctx); close(end) }()
		return r, func() { cancel(); <-end; c.Close() }
	}
	state := func(r *anchor.Route) string {
		s := r.Status()
		return fmt.Sprintf("%s, %s", s.State, s.Reason)
	}
	r, stop := start()
	eventually(t, "an attempt", liveInclusion, func(context.Context) bool {
		t.Log(state(r))
		p := r.Status().Pending
		return p != nil && len(p.Attempts) > 0
	})
	stop()
	r, stop = start() // as after a crash
	defer func() { stop() }()
	eventually(t, "inclusion and receipt", liveInclusion, func(context.Context) bool {
		t.Log(state(r))
		s := r.Status()
		return s.LastFinal != nil || s.Pending != nil && s.Pending.State == anchor.Included && len(s.Pending.Receipt) > 0
	})
	if p := r.Status().Pending; p != nil {
		for i, a := range p.Attempts {
			t.Logf("route: attempt %d of %d: %s, at most %d gwei, cost %d gwei", i+1, len(p.Attempts), a.Detail, a.Fee, a.Cost)
		}
	}
	if os.Getenv("CAIRN_TESTNET_ETH_WAIT_FINAL") == "yes" {
		eventually(t, "the final", liveFinal, func(context.Context) bool { return r.Status().LastFinal != nil })
		t.Logf("final by the rule %q", r.Status().LastFinal.FinalRule)
	}
	if s := r.Status(); !s.Healthy {
		t.Errorf("the route is not healthy: %s", s.Reason)
	}
}
