package ots

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"testing"
	"time"

	"cairn/anchor"
	"cairn/anchor/proof"
	"cairn/scripts/btcd"
	"cairn/scripts/calendar"
)

const quick = time.Millisecond // Pause of tests

// headers is a btcd node as a HeaderSource.
type headers struct{ node *btcd.Node }

func (h headers) Tip(context.Context) (height uint32, err error) {
	err = h.node.Call(&height, "getblockcount")
	return height, wrap(err)
}

func (h headers) Header(_ context.Context, height uint32) (header proof.BitcoinHeader, err error) {
	var hash, raw string
	if err := h.node.Call(&hash, "getblockhash", height); err != nil {
		return header, wrap(err)
	}
	if err := h.node.Call(&raw, "getblockheader", hash, false); err != nil {
		return header, wrap(err)
	}
	b, err := hex.DecodeString(raw)
	if err == nil && len(b) != len(header) {
		err = fmt.Errorf("header of %d bytes", len(b))
	}
	copy(header[:], b)
	return header, wrap(err)
}

func wrap(err error) error {
	if err != nil {
		return fmt.Errorf("%w: %w", anchor.ErrDown, err)
	}
	return nil
}

// mapBook is a Book in memory.
type mapBook struct {
	b     []byte
	saves int
	fail  error
}

func (m *mapBook) Load() ([]byte, error) { return m.b, nil }

func (m *mapBook) Save(b []byte) error {
	if m.fail != nil {
		return m.fail
	}
	m.b, m.saves = b, m.saves+1
	return nil
}

func newChain(t *testing.T, cfg Config) *Chain {
	t.Helper()
	if cfg.Network == "" {
		cfg.Network = proof.BitcoinRegtest
	}
	if cfg.Pause == 0 {
		cfg.Pause = quick
	}
	c, err := New(cfg)
	if err != nil {
		t.Fatalf("new chain: %v", err)
	}
	t.Cleanup(c.Close)
	return c
}

func rootOf(text string) anchor.Root { return sha256.Sum256([]byte(text)) }

func sign(t *testing.T, c *Chain, root anchor.Root) anchor.Attempt {
	t.Helper()
	a, err := c.Sign(t.Context(), anchor.Order{Root: root})
	if err != nil {
		t.Fatalf("sign: %v", err)
	}
	a.SignedAt = time.Now().UnixMilli()
	return a
}

// find looks until what it finds is as wanted: promises are not asked about at once again.
func find(t *testing.T, c *Chain, want bool, attempts ...anchor.Attempt) anchor.Found {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		f, ok, err := c.Find(ctx, attempts)
		if err == nil && ok == want {
			return f
		}
		select {
		case <-ctx.Done():
			t.Fatalf("find: got %v, %v, %v; want %v; notes %q", f, ok, err, want, c.Notes())
		case <-tick.C:
		}
	}
}

// The whole way, with a node that checks the calendars.
func TestStampIsUpgradedAndProven(t *testing.T) {
	node := btcd.Start(t)
	a, b := calendar.Start(t, node), calendar.Start(t, node)
	book := &mapBook{}
	c := newChain(t, Config{Calendars: []string{a.URL, b.URL}, Headers: headers{node}, Depth: 3, Book: book})
	if err := c.Ready(t.Context()); err != nil {
		t.Fatalf("ready: %v", err)
	}
	root := rootOf("head")
	at := sign(t, c, root)
	if err := c.Send(t.Context(), at); err != nil {
		t.Errorf("send: %v", err)
	}
	find(t, c, false, at)

	a.Anchor()
	node.Mine(1)
	f := find(t, c, true, at)
	height, _ := node.Tip()
	if f.Block.Height != uint64(height) || f.Block.Time == 0 || f.Cost != 0 || f.Which != 0 {
		t.Errorf("got %+v, want block %d", f, height)
	}
	receipt, err := c.Receipt(t.Context(), at, f.Block)
	if err != nil {
		t.Fatalf("receipt: %v", err)
	}
	checkReceipt(t, receipt, root, f.Block, 1)

	// The other calendar comes later; the first block stays the one that counts.
	b.Anchor()
	node.Mine(2)
	tips, err := c.Tips(t.Context())
	if err != nil || tips.Rule != "depth 3" || tips.Latest.Height != f.Block.Height+2 || tips.Final != f.Block {
		t.Fatalf("got tips %+v, %v; want block %d final by depth 3", tips, err, f.Block.Height)
	}
	for {
		if again := find(t, c, true, at); again.Block != f.Block {
			t.Fatalf("got %+v, want the earlier block %+v", again, f)
		}
		if s, err := c.stampOf(t.Context(), nil, at); err != nil || len(bitcoin(s.tree)) == 2 {
			break
		}
	}
	full, err := c.Complete(t.Context(), at, f.Block, receipt)
	if err != nil {
		t.Fatalf("complete: %v", err)
	}
	r := checkReceipt(t, full, root, f.Block, 3)
	if len(r.Blocks) != 2 {
		t.Errorf("got %d blocks in the receipt, want both calendars'", len(r.Blocks))
	}
	if p := r.Pending(); len(p) != 0 {
		t.Errorf("got promises %v in a receipt of kept ones", p)
	}

	// Another start knows what this one had, and asks no calendar.
	a.Through(refuse(t))
	b.Through(refuse(t))
	later := newChain(t, Config{Calendars: []string{a.URL, b.URL}, Headers: headers{node}, Depth: 3, Book: book})
	if again, ok, err := later.Find(t.Context(), []anchor.Attempt{at}); err != nil || !ok || again.Block != f.Block {
		t.Errorf("got %+v, %v, %v from the book, want %+v", again, ok, err, f)
	}
}

func checkReceipt(t *testing.T, data []byte, root anchor.Root, b anchor.Block, depth int) proof.OTSReceipt {
	t.Helper()
	r, err := proof.ParseOTSReceipt(data)
	if err != nil {
		t.Fatalf("parse receipt: %v", err)
	}
	facts, err := proof.VerifyOTS(r, root)
	if err != nil {
		t.Fatalf("verify receipt: %v", err)
	}
	for _, f := range facts {
		if uint64(f.Height) == b.Height {
			if !f.Shown || f.Hash != b.Hash || f.Time != b.Time || f.Depth != depth {
				t.Errorf("got facts %+v, want block %+v with depth %d", f, b, depth)
			}
			return r
		}
	}
	t.Fatalf("got facts %+v, none of block %d", facts, b.Height)
	return r
}

// Without a node it is the calendars' word, of as many as are needed.
func TestWithoutHeadersCalendarsMustAgree(t *testing.T) {
	node := btcd.Start(t)
	a, b, d := calendar.Start(t, node), calendar.Start(t, node), calendar.Start(t, node)
	book := &mapBook{}
	c := newChain(t, Config{Calendars: []string{a.URL, b.URL, d.URL}, Need: 2, Book: book})
	root := rootOf("head")
	at := sign(t, c, root)
	tips, err := c.Tips(t.Context())
	if err != nil || tips.Rule != "calendars 2 of 3" || tips.Latest != (anchor.Block{}) || tips.Final.Height != anchor.Everything {
		t.Errorf("got tips %+v, %v; want everything final by \"calendars 2 of 3\"", tips, err)
	}
	a.Anchor()
	node.Mine(1)
	find(t, c, false, at)
	if s, err := c.stampOf(t.Context(), nil, at); err != nil || len(s.heard) != 1 {
		t.Fatalf("got %v, %v; want the first calendar's word", s, err)
	}
	d.Anchor()
	node.Mine(1)
	f := find(t, c, true, at)
	height, _ := node.Tip()
	if f.Block != (anchor.Block{Height: uint64(height)}) {
		t.Errorf("got %+v, want height %d and no more", f, height)
	}
	b.Anchor() // changes nothing that was said
	node.Mine(1)
	if again := find(t, c, true, at); again != f {
		t.Errorf("got %+v, want %+v again", again, f)
	}
	receipt, err := c.Receipt(t.Context(), at, f.Block)
	if err == nil {
		receipt, err = c.Complete(t.Context(), at, f.Block, receipt)
	}
	if err != nil {
		t.Fatalf("receipt: %v", err)
	}
	r, err := proof.ParseOTSReceipt(receipt)
	if err != nil {
		t.Fatal(err)
	}
	facts, err := proof.VerifyOTS(r, root)
	if err != nil || len(facts) < 2 || facts[0].Shown {
		t.Fatalf("got facts %+v, %v; want two blocks or more, none shown", facts, err)
	}
	for _, fact := range facts {
		h, err := headers{node}.Header(t.Context(), fact.Height)
		if err != nil || h.Merkle() != fact.Merkle {
			t.Errorf("block %d has merkle root %x, %v; the receipt says %x", fact.Height, h.Merkle(), err, fact.Merkle)
		}
	}
	later := newChain(t, Config{Calendars: []string{a.URL, b.URL, d.URL}, Need: 2, Book: book})
	if again, ok, err := later.Find(t.Context(), []anchor.Attempt{at}); err != nil || !ok || again != f {
		t.Errorf("got %+v, %v, %v from the book, want %+v", again, ok, err, f)
	}
}

// No calendar sees the root, and no two the same digest.
func TestCalendarsSeeNoRoot(t *testing.T) {
	node := btcd.Start(t)
	a, b := calendar.Start(t, node), calendar.Start(t, node)
	c := newChain(t, Config{Calendars: []string{a.URL, b.URL}})
	root := rootOf("head")
	sign(t, c, root)
	sign(t, c, root)
	seen := map[string]bool{string(root[:]): true}
	for _, digest := range append(a.Digests(), b.Digests()...) {
		if len(digest) != 32 || seen[string(digest)] {
			t.Errorf("digest %x was seen before, or is none", digest)
		}
		seen[string(digest)] = true
	}
	if len(seen) != 5 {
		t.Errorf("got %d digests, want four and the root", len(seen))
	}
}

// A newer head is stamped while an older one waits; the newest that a block holds is the anchor.
func TestNewestHeadInABlockIsFound(t *testing.T) {
	node := btcd.Start(t)
	a := calendar.Start(t, node)
	c := newChain(t, Config{Calendars: []string{a.URL}, Headers: headers{node}})
	first, second := sign(t, c, rootOf("1")), sign(t, c, rootOf("2"))
	a.Anchor()
	third := sign(t, c, rootOf("3"))
	node.Mine(1)
	f := find(t, c, true, first, second, third)
	if f.Which != 1 {
		t.Errorf("got attempt %d, want 1: the newest in a block", f.Which)
	}
	if _, err := c.Receipt(t.Context(), second, f.Block); err != nil {
		t.Errorf("receipt: %v", err)
	}
	if _, err := c.Receipt(t.Context(), third, f.Block); !errors.Is(err, anchor.ErrAgain) {
		t.Errorf("got %v for an attempt in no block, want %v", err, anchor.ErrAgain)
	}
}

// A block goes out of the chain, and the transaction comes back in another.
func TestReorganisationIsFollowed(t *testing.T) {
	node := btcd.Start(t)
	a := calendar.Start(t, node)
	c := newChain(t, Config{Calendars: []string{a.URL}, Headers: headers{node}, Book: &mapBook{}})
	at := sign(t, c, rootOf("head"))
	a.Anchor()
	old := node.Mine(1)[0]
	f := find(t, c, true, at)
	receipt, err := c.Receipt(t.Context(), at, f.Block)
	if err != nil {
		t.Fatal(err)
	}
	node.Invalidate(old)
	find(t, c, false, at)
	node.MineBlock(nil) // without it
	find(t, c, false, at)
	if _, err := c.Complete(t.Context(), at, f.Block, receipt); err == nil {
		t.Error("a receipt of a block that is gone was completed")
	}
	node.Mine(1)
	moved := find(t, c, true, at)
	if moved.Block.Hash == f.Block.Hash || moved.Block.Height != f.Block.Height+1 {
		t.Errorf("got %+v after a reorganisation of %+v, want the next height", moved, f)
	}
	if receipt, err = c.Receipt(t.Context(), at, moved.Block); err != nil {
		t.Fatal(err)
	}
	checkReceipt(t, receipt, rootOf("head"), moved.Block, 1)
}

func TestStoredIsNoHead(t *testing.T) {
	c := newChain(t, Config{Calendars: []string{"https://calendar.example"}})
	if anchor.KeepsHead(c) {
		t.Error("calendars keep a head")
	}
	if got := c.Name(); got != "ots" {
		t.Errorf("got name %q", got)
	}
}
