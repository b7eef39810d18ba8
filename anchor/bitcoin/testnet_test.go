//go:build testnet

package bitcoin

import (
	"context"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/btcsuite/btcd/wire/v2"

	"cairn/anchor"
	"cairn/anchor/conform"
)

// The live suite takes its chain from the environment, and spends money there:
//
//	CAIRN_TESTNET_BTC_RPC                  URL of a node
//	CAIRN_TESTNET_BTC_NETWORK              "testnet4", "signet" or "regtest"
//	CAIRN_TESTNET_BTC_USER, _PASSWORD_FILE the node's user, and a file whose first line is the password
//	CAIRN_TESTNET_BTC_COOKIE_FILE          instead of the two
//	CAIRN_TESTNET_BTC_CA_FILE              optional: certificate of an https node
//	CAIRN_TESTNET_BTC_KEY                  key file of a funded key that nothing but this suite uses
//	CAIRN_TESTNET_BTC_KEY_PASSPHRASE_FILE  file whose first line opens it
//	CAIRN_TESTNET_BTC_BIRTHDAY             height of a block before the key's first money
//	CAIRN_TESTNET_BTC_DEPTH                optional: confirmations that make a block final, default 2
//
// It makes 21 anchors or a few more, one after another.
const (
	livePoll     = 5 * time.Second
	livePatience = 4 * time.Hour // 24 blocks of ten minutes
)

func TestTestnet(t *testing.T) {
	cfg := live(t)
	blocks := &liveBlocks{t: t, node: liveNode(t, cfg), from: cfg.Birthday, ours: map[wire.OutPoint]int64{}}
	blocks.script = dial(t, cfg).Script()
	before := liveFunds(t, cfg)
	conform.Run(t, conform.Harness{
		New: func(t testing.TB) conform.World {
			height, _, err := blocks.node.Tip(testContext(t))
			if err != nil {
				t.Fatal(err)
			}
			return &liveWorld{t: t, cfg: cfg, blocks: blocks, after: height}
		},
		Live: true, Patience: livePatience,
		Tune: func(c *anchor.Config) {
			c.Poll, c.Check, c.Recheck, c.Resend, c.Timeout = livePoll, time.Minute, time.Minute, time.Minute, time.Minute
		},
	})
	after := liveFunds(t, cfg)
	t.Logf("all of it cost %d satoshi, if nobody paid in", before.Balance-after.Balance)
}

func live(t *testing.T) Config {
	t.Helper()
	need := func(name string) string {
		v := os.Getenv(name)
		if v == "" {
			t.Fatalf("%s is not set", name)
		}
		return v
	}
	line := func(path string) string {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		first, _, _ := strings.Cut(string(data), "\n")
		return strings.TrimSuffix(first, "\r")
	}
	number := func(name, text string) uint64 {
		n, err := strconv.ParseUint(text, 10, 31)
		if err != nil {
			t.Fatalf("%s is no number", name)
		}
		return n
	}
	cfg := Config{
		Network: need("CAIRN_TESTNET_BTC_NETWORK"), URL: need("CAIRN_TESTNET_BTC_RPC"),
		CookieFile: os.Getenv("CAIRN_TESTNET_BTC_COOKIE_FILE"), CAFile: os.Getenv("CAIRN_TESTNET_BTC_CA_FILE"),
		Key: need("CAIRN_TESTNET_BTC_KEY"), Passphrase: []byte(line(need("CAIRN_TESTNET_BTC_KEY_PASSPHRASE_FILE"))),
		Birthday: uint32(number("CAIRN_TESTNET_BTC_BIRTHDAY", need("CAIRN_TESTNET_BTC_BIRTHDAY"))),
		Book:     &memoryBook{}, Depth: 2,
	}
	if cfg.Network == "mainnet" {
		t.Fatal("this is Bitcoin's main network, no testnet")
	}
	if cfg.CookieFile == "" {
		cfg.User, cfg.Password = need("CAIRN_TESTNET_BTC_USER"), line(need("CAIRN_TESTNET_BTC_PASSWORD_FILE"))
	}
	if s := os.Getenv("CAIRN_TESTNET_BTC_DEPTH"); s != "" {
		cfg.Depth = number("CAIRN_TESTNET_BTC_DEPTH", s)
	}
	return cfg
}

func liveNode(t *testing.T, cfg Config) *Node {
	t.Helper()
	n, err := NewNode(NodeConfig{
		Network: cfg.Network, URL: cfg.URL, User: cfg.User, Password: cfg.Password, CookieFile: cfg.CookieFile, CAFile: cfg.CAFile,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Close)
	return n
}

// liveFunds reads the chain from the birthday on, which takes its time at first.
func liveFunds(t *testing.T, cfg Config) anchor.Funds {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), livePatience)
	defer cancel()
	c := dial(t, cfg)
	defer c.Close()
	f, err := c.Funds(ctx)
	if err == nil {
		err = c.Ready(ctx)
	}
	if err != nil {
		t.Fatalf("%s has %d satoshi: %v", f.Address, f.Balance, err)
	}
	t.Logf("%s: %s has %d satoshi, an anchor costs about %d now", c.Name(), f.Address, f.Balance, f.PerAnchor)
	return f
}

// liveBlocks is what a node's blocks from the key's birthday on have of the
// key: read once, then followed.
type liveBlocks struct {
	t      testing.TB
	node   *Node
	script []byte
	from   uint32
	hashes [][32]byte // of the blocks from, from+1, …
	paying []livePaying
	ours   map[wire.OutPoint]int64 // outputs that ever were the key's
}

// livePaying is a transaction that spends outputs of the key.
type livePaying struct {
	height uint32
	tx     *wire.MsgTx
	cost   int64
}

func (b *liveBlocks) follow() {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), livePatience)
	defer cancel()
	fatal := func(err error) {
		if err != nil {
			b.t.Fatal(err)
		}
	}
	for len(b.hashes) > 0 { // those that went away
		last := len(b.hashes) - 1
		hash, err := b.node.HeaderHash(ctx, b.from+uint32(last))
		if err == nil && hash == b.hashes[last] {
			break
		}
		b.hashes = b.hashes[:last]
		b.paying = slices.DeleteFunc(b.paying, func(p livePaying) bool { return p.height >= b.from+uint32(last) })
	}
	tip, _, err := b.node.Tip(ctx)
	fatal(err)
	for h := b.from + uint32(len(b.hashes)); h <= tip; h++ {
		hash, err := b.node.HeaderHash(ctx, h)
		fatal(err)
		block, err := b.node.Block(ctx, hash)
		fatal(err)
		for _, tx := range block.Transactions {
			b.take(h, tx)
		}
		b.hashes = append(b.hashes, hash)
	}
}

func (b *liveBlocks) take(height uint32, tx *wire.MsgTx) {
	cost := int64(0)
	for _, in := range tx.TxIn {
		cost += b.ours[in.PreviousOutPoint]
	}
	spends := cost > 0
	for i, out := range tx.TxOut {
		if spends {
			cost -= out.Value
		}
		if slices.Equal(out.PkScript, b.script) {
			b.ours[wire.OutPoint{Hash: tx.TxHash(), Index: uint32(i)}] = out.Value
		}
	}
	if spends {
		b.paying = append(b.paying, livePaying{height, tx, cost})
	}
}

// liveWorld is the chain after a block.
type liveWorld struct {
	t      testing.TB
	cfg    Config
	blocks *liveBlocks
	after  uint32
}

func (w *liveWorld) Open() anchor.Chain {
	w.t.Helper()
	c, err := Dial(context.Background(), w.cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

// Mine leaves it to the network's miners.
func (w *liveWorld) Mine(int) {}

func (w *liveWorld) Reorg(int, bool) { w.t.Fatal("nobody can reorganise a live chain") }

func (w *liveWorld) Heads() (heads []anchor.Root) {
	w.t.Helper()
	w.blocks.follow()
	for _, p := range w.blocks.paying {
		if p.height <= w.after {
			continue
		}
		root, ok := anchorRoot(p.tx, w.blocks.script)
		if !ok {
			w.t.Errorf("%s spends outputs of the key and is no anchor", p.tx.TxHash())
		}
		heads = append(heads, root)
	}
	return heads
}

func (w *liveWorld) Spent() (sum anchor.Amount) {
	w.t.Helper()
	w.blocks.follow()
	for _, p := range w.blocks.paying {
		if p.height > w.after {
			sum += anchor.Amount(p.cost)
		}
	}
	return sum
}
