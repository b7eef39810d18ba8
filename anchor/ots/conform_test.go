package ots

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"cairn/anchor"
	"cairn/anchor/conform"
	"cairn/anchor/proof"
	"cairn/scripts/btcd"
	"cairn/scripts/calendar"
)

// Routes on real calendars that anchor on a real node, which also checks them.
func TestConformWithHeaders(t *testing.T) {
	conform.Run(t, conform.Harness{
		New:     func(t testing.TB) conform.World { return newWorld(t, true) },
		Pending: 8, Deep: true,
	})
}

// Without a node nothing is ever taken back: what the calendars said stands.
func TestConformWithoutHeaders(t *testing.T) {
	conform.Run(t, conform.Harness{
		New: func(t testing.TB) conform.World { return newWorld(t, false) },
	})
}

// world is two calendars on one node.
type world struct {
	t         testing.TB
	node      *btcd.Node
	calendars []*calendar.Calendar
	headers   bool
	book      mapBook
	down      atomic.Bool

	mu     sync.Mutex // covers stamps
	stamps []anchor.Attempt
}

func newWorld(t testing.TB, headers bool) *world {
	w := &world{t: t, node: btcd.Start(t), headers: headers}
	for range 2 {
		c := calendar.Start(t, w.node)
		c.Through(func(http.ResponseWriter, *http.Request) bool {
			if w.down.Load() {
				panic(http.ErrAbortHandler)
			}
			return false
		})
		w.calendars = append(w.calendars, c)
	}
	return w
}

func (w *world) Open() anchor.Chain {
	cfg := Config{
		Calendars: []string{w.calendars[0].URL, w.calendars[1].URL}, Network: proof.BitcoinRegtest,
		Depth: 9, Pause: quick, Book: &w.book,
	}
	if w.headers {
		cfg.Headers = worldHeaders{w}
	}
	c, err := New(cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	return &recorder{c, w}
}

// recorder notes all stamps, also those that a crash loses: which root a calendar's digest was for, nobody else
// knows.
type recorder struct {
	*Chain
	w *world
}

func (r *recorder) Sign(ctx context.Context, o anchor.Order) (anchor.Attempt, error) {
	a, err := r.Chain.Sign(ctx, o)
	if err == nil {
		r.w.mu.Lock()
		defer r.w.mu.Unlock()
		r.w.stamps = append(r.w.stamps, a)
	}
	return a, err
}

// worldHeaders is the node, while it can be reached.
type worldHeaders struct{ w *world }

func (h worldHeaders) Tip(ctx context.Context) (uint32, error) {
	if h.w.down.Load() {
		return 0, fmt.Errorf("%w: cut off", anchor.ErrDown)
	}
	return headers{h.w.node}.Tip(ctx)
}

func (h worldHeaders) Header(ctx context.Context, height uint32) (proof.BitcoinHeader, error) {
	if h.w.down.Load() {
		return proof.BitcoinHeader{}, fmt.Errorf("%w: cut off", anchor.ErrDown)
	}
	return headers{h.w.node}.Header(ctx, height)
}

func (w *world) Mine(n int) {
	for _, c := range w.calendars {
		c.Anchor()
	}
	w.node.Mine(n)
}

// Reorg leaves the transactions to wait again: the calendars would see to that anyway.
func (w *world) Reorg(depth int, _ bool) {
	height, _ := w.node.Tip()
	w.node.Invalidate(w.node.BlockHash(height - depth + 1))
	for range depth + 1 {
		w.node.MineBlock(nil)
	}
}

// Heads returns each root once: stamps cost nothing, and a second one of a root says nothing new.
func (w *world) Heads() (heads []anchor.Root) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, a := range w.stamps {
		f, err := proof.ParseOTS(a.Raw)
		if err != nil {
			w.t.Fatal(err)
		}
		for _, leaf := range f.Tree.Leaves() {
			for _, c := range w.calendars {
				if _, ok := c.Height(leaf.Node.Message()); ok && !slices.Contains(heads, a.Root) {
					heads = append(heads, a.Root)
				}
			}
		}
	}
	return heads
}

func (w *world) Spent() anchor.Amount { return 0 }

func (w *world) Down() { w.down.Store(true) }
func (w *world) Up()   { w.down.Store(false) }
