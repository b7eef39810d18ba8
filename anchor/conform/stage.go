package conform

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"cairn/anchor"
)

var errCrash = errors.New("crash")

// rootOf is the root that the suite's log has at a size.
func rootOf(size uint64) anchor.Root { return sha256.Sum256(fmt.Appendf(nil, "root %d", size)) }

// log is a ledger whose size the suite sets.
type log struct {
	mu     sync.Mutex
	size   uint64
	forget uint64 // not 0: heads of at least this size are not known
}

func (l *log) grow() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.size++
	return l.size
}

func (l *log) newest() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.size
}

func (l *log) rollBack(to uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.forget = to
}

// Head implements anchor.Source.
func (l *log) Head() (uint64, anchor.Root, []byte, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	size := l.size
	if l.forget != 0 {
		size = l.forget - 1
	}
	return size, rootOf(size), fmt.Appendf(nil, "note %d", size), size > 0
}

// FindRoot implements anchor.Source.
func (l *log) FindRoot(root anchor.Root) (uint64, bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for n := uint64(1); n <= l.size && (l.forget == 0 || n < l.forget); n++ {
		if rootOf(n) == root {
			return n, true, nil
		}
	}
	return 0, false, nil
}

// WindowStart implements anchor.Source. All windows are of the year 2100, so
// that none is late.
func (l *log) WindowStart(i uint64) (int64, bool) { return 4_102_444_800_000 + int64(i), true }

// journal keeps records in memory.
type journal struct {
	mu sync.Mutex
	m  map[string][]byte
}

// Put implements anchor.Journal.
func (j *journal) Put(key string, value []byte) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.m[key] = slices.Clone(value)
	return nil
}

// Seek implements anchor.Journal.
func (j *journal) Seek(key string) (string, []byte, bool, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, k := range slices.Sorted(maps.Keys(j.m)) {
		if k >= key {
			return k, slices.Clone(j.m[k]), true, nil
		}
	}
	return "", nil, false, nil
}

func (j *journal) finals(t *testing.T) map[string]anchor.Anchor {
	t.Helper()
	j.mu.Lock()
	defer j.mu.Unlock()
	all := map[string]anchor.Anchor{}
	for key, value := range j.m {
		if !strings.HasPrefix(key, "anchor/") {
			continue
		}
		a, err := anchor.ParseFinal(value)
		if err != nil {
			t.Fatalf("record %s: %v", key, err)
		}
		all[key] = a
	}
	return all
}

// gate stands between a route and its chain, so that the suite may ask the
// chain as well, and change what becomes of what is sent.
type gate struct {
	mu    sync.Mutex
	chain anchor.Chain
	send  func(anchor.Chain, anchor.Attempt) error // nil: it is sent; under mu
	sign  func(anchor.Chain, anchor.Order)         // if not nil, called before each sign; under mu
}

// purseGate is a gate before a chain that costs money.
type purseGate struct {
	*gate
	purse anchor.Purse
}

func (g *gate) Name() string { return g.chain.Name() }

func (g *gate) Ready(ctx context.Context) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.chain.Ready(ctx)
}

func (g *gate) Tips(ctx context.Context) (anchor.Tips, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.chain.Tips(ctx)
}

func (g *gate) Stored(ctx context.Context) (anchor.Root, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.chain.Stored(ctx)
}

func (g *gate) Sign(ctx context.Context, o anchor.Order) (anchor.Attempt, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.sign != nil {
		g.sign(g.chain, o)
	}
	return g.chain.Sign(ctx, o)
}

func (g *gate) Send(ctx context.Context, a anchor.Attempt) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.send != nil {
		return g.send(g.chain, a)
	}
	return g.chain.Send(ctx, a)
}

func (g *gate) Find(ctx context.Context, as []anchor.Attempt) (anchor.Found, bool, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.chain.Find(ctx, as)
}

func (g *gate) Receipt(ctx context.Context, a anchor.Attempt, b anchor.Block) ([]byte, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.chain.Receipt(ctx, a, b)
}

func (g *gate) Complete(ctx context.Context, a anchor.Attempt, b anchor.Block, r []byte) ([]byte, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.chain.Complete(ctx, a, b, r)
}

func (g purseGate) Funds(ctx context.Context) (anchor.Funds, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.purse.Funds(ctx)
}

// runner is a route on the stage.
type runner struct {
	*anchor.Route
	s    *stage
	gate *gate
	stop func() error // ends it as a shutdown does, or collects the error with which it ended
	end  chan struct{}
}

// start starts a route, as a new process would.
func (s *stage) start() *runner {
	s.t.Helper()
	chain := s.world.Open()
	g := &gate{chain: chain, send: s.hook, sign: s.before}
	cfg := s.cfg
	cfg.Chain, cfg.Source, cfg.Journal = g, s.log, s.journal
	if p, ok := chain.(anchor.Purse); ok {
		cfg.Chain = purseGate{g, p}
	}
	route, err := anchor.New(cfg)
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r := &runner{Route: route, s: s, gate: g, end: make(chan struct{})}
	go func() {
		defer close(r.end)
		err = route.Run(ctx)
		switch c := chain.(type) {
		case interface{ Close() }:
			c.Close()
		case interface{ Close() error }:
			c.Close()
		}
	}()
	r.stop = func() error { cancel(); <-r.end; return err }
	s.t.Cleanup(func() { r.stop() })
	s.route = r
	return r
}

// crashed waits until the route has ended by itself.
func (r *runner) crashed() {
	r.s.t.Helper()
	r.s.until("the crash", true, func() bool {
		select {
		case <-r.end:
			return true
		default:
			return false
		}
	})
	if err := r.stop(); !errors.Is(err, errCrash) {
		r.s.t.Fatalf("Run = %v, want the crash", err)
	}
}

// pending returns the anchor on its way in the state, or nil.
func (r *runner) pending(state anchor.State) *anchor.Anchor {
	if p := r.Status().Pending; p != nil && p.State == state && (state != anchor.Included || len(p.Receipt) > 0) {
		return p
	}
	return nil
}

// sent reports whether a node took an attempt of the anchor on its way; one
// that mines by itself may have it in a block already.
func (r *runner) sent() bool {
	p := r.Status().Pending
	return p != nil && (p.State == anchor.Broadcast || p.State == anchor.Included)
}

// home waits until the size is final, and nothing is on its way.
func (r *runner) home(size uint64) {
	r.s.t.Helper()
	r.s.until(fmt.Sprintf("the final of size %d", size), true, func() bool {
		st := r.Status()
		return st.LastFinal != nil && st.LastFinal.Size >= size && st.Pending == nil
	})
	r.s.tell()
}

// included waits until the route has the receipt of its anchor in a block that
// is not final yet. It mines seldom, so that the block is not final at once; where
// it was all the same, on a slow day, another head goes the way, and it mines more
// seldom.
func (r *runner) included() *anchor.Anchor {
	r.s.t.Helper()
	var p *anchor.Anchor
	looks, seldom := 0, 25
	r.s.until("inclusion", false, func() bool {
		if st := r.Status(); st.Pending == nil && st.LastFinal != nil && st.LastFinal.Size == r.s.log.newest() {
			if r.s.h.Live {
				return true // blocks came faster than the route looks
			}
			r.s.log.grow()
			looks, seldom = 0, 2*seldom
			return false
		}
		if r.pending(anchor.Broadcast) != nil || r.pending(anchor.Orphaned) != nil {
			if looks++; looks%seldom == 1 {
				r.s.world.Mine(1)
			}
		}
		p = r.pending(anchor.Included)
		return p != nil
	})
	return p
}

// height asks the chain for its newest block.
func (r *runner) height() uint64 {
	r.s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	tips, err := r.gate.Tips(ctx)
	if err != nil {
		r.s.t.Fatal(err)
	}
	return tips.Latest.Height
}
