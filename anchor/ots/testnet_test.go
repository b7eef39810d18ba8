//go:build testnet

package ots

import (
	"context"
	"crypto/rand"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"cairn/anchor"
	btcnode "cairn/anchor/bitcoin"
	"cairn/anchor/proof"
)

// The live suite takes its calendars from the environment. It costs nothing.
//
//	CAIRN_TESTNET_OTS_CALENDARS  URLs, with commas between
//	CAIRN_TESTNET_OTS_ALSO       optional: URLs of the calendars behind them, if they are pools
//	CAIRN_TESTNET_OTS_NETWORK    optional: Bitcoin network of the calendars, default mainnet
//	CAIRN_TESTNET_OTS_WAIT       optional: wait this long for the calendars' blocks, such as 12h; 0s, the
//	                             default, ends with their promises
//	CAIRN_TESTNET_OTS_RPC        optional: a Bitcoin node of that network, which then checks the blocks; with
//	                             CAIRN_TESTNET_OTS_USER, _PASSWORD_FILE or _COOKIE_FILE, and _CA_FILE
//
// It stamps two random roots: one by hand, and one by a route that is stopped
// and started on the way.
func TestTestnet(t *testing.T) {
	cfg := live(t)
	wait := time.Duration(0)
	if s := os.Getenv("CAIRN_TESTNET_OTS_WAIT"); s != "" {
		var err error
		if wait, err = time.ParseDuration(s); err != nil {
			t.Fatalf("CAIRN_TESTNET_OTS_WAIT: %v", err)
		}
	}
	c := newChain(t, cfg)
	if err := c.Ready(t.Context()); err != nil {
		t.Fatalf("Ready: %v", err)
	}
	begun := time.Now()
	a := sign(t, c, liveRoot())
	if err := c.Send(t.Context(), a); err != nil {
		t.Fatalf("Send: %v", err)
	}
	file, err := proof.ParseOTS(a.Raw)
	if err != nil {
		t.Fatal(err)
	}
	for _, leaf := range file.Tree.Leaves() {
		t.Logf("promised by %s within %s, a stamp of %d bytes", leaf.URI, time.Since(begun).Round(time.Millisecond), len(a.Raw))
	}
	liveRoute(t, cfg, wait)
	if wait == 0 {
		t.Log("not waited for blocks: CAIRN_TESTNET_OTS_WAIT=12h does")
		return
	}
	var f anchor.Found
	eventually(t, "the block", wait, func(ctx context.Context) (ok bool) {
		if f, ok, err = c.Find(ctx, []anchor.Attempt{a}); err != nil {
			t.Logf("Find: %v", err)
		}
		return ok && err == nil
	})
	data, err := c.Receipt(t.Context(), a, f.Block)
	if err != nil {
		t.Fatalf("Receipt: %v", err)
	}
	r, err := proof.ParseOTSReceipt(data)
	if err != nil {
		t.Fatal(err)
	}
	facts, err := proof.VerifyOTS(r, a.Root)
	if err != nil || len(facts) == 0 {
		t.Fatalf("receipt: %+v, %v", facts, err)
	}
	for _, fact := range facts {
		t.Logf("block %d of %s, %s after the stamp, cost 0; receipt of %d bytes, checked against the header: %v",
			fact.Height, fact.Network, time.Since(begun).Round(time.Second), len(data), fact.Shown)
	}
}

func liveRoot() (root anchor.Root) {
	rand.Read(root[:])
	return root
}

func live(t *testing.T) Config {
	t.Helper()
	urls := os.Getenv("CAIRN_TESTNET_OTS_CALENDARS")
	if urls == "" {
		t.Fatal("CAIRN_TESTNET_OTS_CALENDARS is not set")
	}
	cfg := Config{Calendars: strings.Split(urls, ","), Network: os.Getenv("CAIRN_TESTNET_OTS_NETWORK"), Book: &mapBook{}, Pause: time.Minute}
	if also := os.Getenv("CAIRN_TESTNET_OTS_ALSO"); also != "" {
		cfg.Also = strings.Split(also, ",")
	}
	if cfg.Network == "" {
		cfg.Network = proof.BitcoinMainnet
	}
	rpc := os.Getenv("CAIRN_TESTNET_OTS_RPC")
	if rpc == "" {
		return cfg
	}
	node := btcnode.NodeConfig{
		Network: cfg.Network, URL: rpc, User: os.Getenv("CAIRN_TESTNET_OTS_USER"),
		CookieFile: os.Getenv("CAIRN_TESTNET_OTS_COOKIE_FILE"), CAFile: os.Getenv("CAIRN_TESTNET_OTS_CA_FILE"),
	}
	if path := os.Getenv("CAIRN_TESTNET_OTS_PASSWORD_FILE"); path != "" {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		first, _, _ := strings.Cut(string(data), "\n")
		node.Password = strings.TrimSuffix(first, "\r")
	}
	n, err := btcnode.NewNode(node)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Close)
	cfg.Headers = liveHeaders{n}
	return cfg
}

// liveHeaders is a node.
type liveHeaders struct{ *btcnode.Node }

func (h liveHeaders) Tip(ctx context.Context) (uint32, error) {
	height, _, err := h.Node.Tip(ctx)
	return height, err
}

func (h liveHeaders) Header(ctx context.Context, height uint32) (proof.BitcoinHeader, error) {
	return h.HeaderAt(ctx, height)
}

// liveRoute has a route stamp a root, ends it once the calendars have promised,
// starts it again and, if there is time, waits until the anchor is final.
func liveRoute(t *testing.T, cfg Config, wait time.Duration) {
	t.Helper()
	l, j := liveLog(liveRoot()), &liveJournal{m: map[string][]byte{}}
	start := func() (*anchor.Route, func()) {
		r, err := anchor.New(anchor.Config{Chain: newChain(t, cfg), Source: l, Journal: j, Every: 24 * time.Hour, Jitter: -1, Poll: 5 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		end := make(chan struct{})
		go func() { r.Run(ctx); close(end) }()
		return r, func() { cancel(); <-end }
	}
	promised := func(r *anchor.Route) func(context.Context) bool {
		return func(context.Context) bool {
			s := r.Status()
			return s.LastFinal != nil || s.Pending != nil && (s.Pending.State == anchor.Broadcast || s.Pending.State == anchor.Included)
		}
	}
	r, stop := start()
	eventually(t, "the promise", 5*time.Minute, promised(r))
	stop()
	r, stop = start() // as after a crash
	defer func() { stop() }()
	eventually(t, "the promise after a restart", 5*time.Minute, promised(r))
	s := r.Status()
	t.Logf("route: %s, %s, %d stamps", s.State, s.Reason, attempts(s))
	if !s.Healthy || s.Guards {
		t.Errorf("healthy %v (%s), guards %v: want a healthy route that guards nothing", s.Healthy, s.Reason, s.Guards)
	}
	if wait > 0 {
		eventually(t, "the final", wait, func(context.Context) bool { return r.Status().LastFinal != nil })
		f := r.Status().LastFinal
		t.Logf("route: final by the rule %q in block %d, %s after the stamp, cost 0", f.FinalRule, f.Included.Height,
			time.Since(time.UnixMilli(f.Attempts[0].SignedAt)).Round(time.Second))
	}
}

func attempts(s anchor.Status) int {
	switch {
	case s.Pending != nil:
		return len(s.Pending.Attempts)
	case s.LastFinal != nil:
		return len(s.LastFinal.Attempts)
	}
	return 0
}

// eventually asks until ok, at a pace that public calendars bear.
func eventually(t *testing.T, what string, limit time.Duration, ok func(context.Context) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	tick := time.NewTicker(3 * time.Second)
	defer tick.Stop()
	for !ok(ctx) {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("%s did not come to be in %s", what, limit)
		}
	}
}

// liveLog is a log with one head.
type liveLog anchor.Root

func (l liveLog) Head() (uint64, anchor.Root, []byte, bool) {
	return 1, anchor.Root(l), []byte("note"), true
}

func (l liveLog) FindRoot(root anchor.Root) (uint64, bool, error) {
	return 1, root == anchor.Root(l), nil
}

func (l liveLog) WindowStart(uint64) (int64, bool) { return time.Now().UnixMilli(), true }

// liveJournal keeps records in memory.
type liveJournal struct {
	mu sync.Mutex
	m  map[string][]byte
}

func (j *liveJournal) Put(key string, value []byte) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.m[key] = slices.Clone(value)
	return nil
}

func (j *liveJournal) Seek(key string) (string, []byte, bool, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, k := range slices.Sorted(maps.Keys(j.m)) {
		if k >= key {
			return k, slices.Clone(j.m[k]), true, nil
		}
	}
	return "", nil, false, nil
}
