package ethereum

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"sync"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"

	"cairn/anchor"
)

// The rules by which several nodes of one chain are asked. Each question begins
// with a look: all nodes that are not backing off are asked, at once, for their
// chain id and newest header. Who is on another chain, or shows a header that
// is none, is left out of that question and named by Notes. Who is slow is not
// waited for longer than patience once another has answered. The rest is the
// view, freshest first. A node is fresh if its head is at most lagBlocks or
// lagTime below the highest head that any node showed lately, or of the last
// lagTime by our clock, so that none can make the others look late by what it
// shows. What a node that lags does not have may exist all the same.
//
//	newest block      the newest that all fresh nodes have. If two show another
//	                  block at that height: the newest below on which they
//	                  agree, at most maxFork down; then ErrAgain that names both
//	final block       the lowest that a fresh node calls final; the others must
//	                  have the same block there
//	head of the       what all fresh nodes say; if they differ, ErrAgain
//	registry, code
//	head and nonce    the same, each node in the block that the look found with it,
//	for a sign        by its hash, so that the two go together
//	nonces            the highest that a fresh node says: one with another pool says
//	                  less
//	found             what a fresh node shows, unless another has that block and
//	                  not the transaction in it: ErrAgain that names both
//	not found         all fresh nodes that answer say so
//	fee, gas, balance the freshest that answers
//	proofs            the first whose proofs hold
//	send              all nodes; taken if one took it
type nodes struct {
	list     []*node
	chain    uint64
	patience time.Duration
	now      func() time.Time

	mu  sync.Mutex // covers what follows
	top struct {   // the highest head of late
		number, time uint64
		at           time.Time
	}
}

const (
	patience  = 3 * time.Second
	lagBlocks = 2
	lagTime   = 30 // seconds of the chain's time
	topFor    = 2 * time.Minute
	maxFork   = 8
	maxAhead  = 64 // nonces by which nodes may differ

	firstBackoff = time.Second
	longBackoff  = time.Minute
)

// node is one of the endpoints of a chain.
type node struct {
	*endpoint

	health  sync.Mutex // covers what follows
	fails   int        // in a row
	until   time.Time  // asked only if no other node answers
	told    time.Time  // not asked before, whoever else answers: it said so
	problem error      // why the last look left it out
}

// sight is a node as a look found it.
type sight struct {
	*node
	head  *types.Header
	fresh bool
}

// view is what a look found, freshest first. It is not empty.
type view []sight

func newNodes(urls []string, chain uint64, timeout time.Duration, limit int64) *nodes {
	p := &nodes{chain: chain, patience: patience, now: time.Now}
	for _, u := range urls {
		n := &node{endpoint: newEndpoint("node", u, timeout, limit)}
		n.endpoint.told = n.tell
		p.list = append(p.list, n)
	}
	return p
}

func (p *nodes) close() {
	for _, n := range p.list {
		n.close()
	}
}

// look asks who is there. Its error wraps a sentinel and names each node.
func (p *nodes) look(ctx context.Context) (view, error) {
	if ctx.Err() != nil {
		return nil, fmt.Errorf("%w: nobody was asked: %w", anchor.ErrDown, ctx.Err())
	}
	var now, later []*node
	var errs []error
	for _, n := range p.list {
		switch wait, told := n.waits(time.Now()); {
		case told > 0:
			errs = append(errs, fmt.Errorf("%w: the %s asked to wait for another %s", anchor.ErrDown, n.name(), told.Round(time.Second)))
		case wait:
			later = append(later, n)
		default:
			now = append(now, n)
		}
	}
	v, bad := p.gather(ctx, now)
	errs = append(errs, bad...)
	if len(v) == 0 && len(later) > 0 {
		v, bad = p.gather(ctx, later)
		errs = append(errs, bad...)
	}
	if len(v) == 0 {
		return nil, worst(errs)
	}
	slices.SortStableFunc(v, func(a, b sight) int { return cmp.Compare(b.number(), a.number()) })
	p.freshen(v, p.now())
	return v, nil
}

// gather asks all of list at once.
func (p *nodes) gather(ctx context.Context, list []*node) (v view, errs []error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	type answer struct {
		s   sight
		err error
	}
	answers := make(chan answer, len(list))
	for _, n := range list {
		go func() {
			s, err := n.see(ctx, p.chain)
			answers <- answer{s, err}
		}()
	}
	var slow <-chan time.Time
	answered := false
	for left := len(list); left > 0; {
		select {
		case a := <-answers:
			left--
			if a.err != nil {
				errs = append(errs, a.err)
				continue
			}
			v = append(v, a.s)
			if !answered {
				answered, slow = true, time.After(p.patience)
			}
		case <-slow:
			slow = nil
			cancel(errSlow) // those that are left answer at once
		}
	}
	// In the order of the configuration, which then breaks ties.
	slices.SortFunc(v, func(a, b sight) int {
		return cmp.Compare(slices.Index(p.list, a.node), slices.Index(p.list, b.node))
	})
	return v, errs
}

// freshen marks the nodes that do not lag, and remembers the highest head.
func (p *nodes) freshen(v view, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if h := v[0].head; v[0].number() >= p.top.number || now.Sub(p.top.at) > topFor {
		p.top.number, p.top.time, p.top.at = v[0].number(), h.Time, now
	}
	late := min(p.top.time, uint64(max(now.Unix(), 0)))
	for i := range v {
		v[i].fresh = v[i].number()+lagBlocks >= p.top.number || v[i].head.Time+lagTime >= late
	}
}

// worst joins what the nodes said. What the operator must mend comes first.
func worst(errs []error) error {
	slices.SortStableFunc(errs, func(a, b error) int {
		rank := func(err error) int {
			switch {
			case errors.Is(err, anchor.ErrWrongChain):
				return 0
			case errors.Is(err, anchor.ErrAgain):
				return 1
			}
			return 2
		}
		return cmp.Compare(rank(a), rank(b))
	})
	err := errs[0]
	for _, e := range errs[1:] {
		err = fmt.Errorf("%w; %s", err, e)
	}
	return err
}

// see asks a node for its chain and its head.
func (n *node) see(ctx context.Context, chain uint64) (sight, error) {
	head, err := n.head(ctx, chain)
	if !unheard(err) {
		n.note(err)
	}
	return sight{node: n, head: head}, err
}

func (n *node) head(ctx context.Context, chain uint64) (*types.Header, error) {
	var id hexutil.Big
	if err := n.ask(ctx, &id, "eth_chainId"); err != nil {
		return nil, err
	}
	if got := (*big.Int)(&id); !got.IsUint64() || got.Uint64() != chain {
		return nil, fmt.Errorf("%w: the %s is on chain %s, want %d", anchor.ErrWrongChain, n.name(), got, chain)
	}
	return n.header(ctx, "latest")
}

// ask calls the node, and gives its error answers a sentinel.
func (n *node) ask(ctx context.Context, result any, method string, args ...any) error {
	return nodeMeaning(n.call(ctx, result, method, args...))
}

// call is endpoint.call; a node that does not answer is asked less often.
func (n *node) call(ctx context.Context, result any, method string, args ...any) error {
	err := n.endpoint.call(ctx, result, method, args...)
	if unheard(err) && (!errors.Is(ctx.Err(), context.Canceled) || context.Cause(ctx) == errSlow) {
		n.note(err) // the caller did not hang up
	}
	return err
}

var errSlow = errors.New("slower than others")

// unheard reports whether a call went nowhere.
func unheard(err error) bool { return errors.Is(err, anchor.ErrDown) || limited(err) }

// note takes in what became of a look, or that a call went nowhere.
func (n *node) note(err error) {
	n.health.Lock()
	defer n.health.Unlock()
	n.problem = err
	if err == nil {
		n.fails, n.until, n.told = 0, time.Time{}, time.Time{}
		return
	}
	n.until = time.Now().Add(min(firstBackoff<<min(n.fails, 16), longBackoff))
	n.fails++
}

// tell takes in that the node asked to wait.
func (n *node) tell(d time.Duration) {
	n.health.Lock()
	defer n.health.Unlock()
	n.told = time.Now().Add(d)
}

// waits reports whether the node is better not asked, and for how long it must
// not be.
func (n *node) waits(now time.Time) (better bool, must time.Duration) {
	n.health.Lock()
	defer n.health.Unlock()
	return now.Before(n.until), max(n.told.Sub(now), 0)
}

func (s sight) number() uint64 { return s.head.Number.Uint64() }

// fresh returns the nodes that do not lag.
func (v view) fresh() view {
	var out view
	for _, s := range v {
		if s.fresh {
			out = append(out, s)
		}
	}
	return out
}

// best returns the nodes that do not lag, or else all.
func (v view) best() view {
	if f := v.fresh(); len(f) > 0 {
		return f
	}
	return v
}

// reply is what a node answers.
type reply[T any] struct {
	sight
	value T
	err   error
}

// each asks all at once.
func each[T any](v view, f func(sight) (T, error)) []reply[T] {
	out := make([]reply[T], len(v))
	var wait sync.WaitGroup
	for i, s := range v {
		wait.Go(func() {
			value, err := f(s)
			out[i] = reply[T]{s, value, err}
		})
	}
	wait.Wait()
	return out
}

// first asks one after the other until one has a usable answer.
func first[T any](v view, f func(sight) (T, error)) (value T, err error) {
	var none T
	for _, s := range v {
		got, bad := f(s)
		if bad == nil {
			return got, nil
		}
		if err == nil || errors.Is(err, anchor.ErrDown) {
			err = bad
		}
	}
	return none, err
}

// errConflict is an ErrAgain of which waiting may not be the end.
var errConflict = fmt.Errorf("%w: two nodes contradict each other", anchor.ErrAgain)

// agree asks all at once and wants one answer of those that answer.
func agree[T comparable](v view, what string, f func(sight) (T, error)) (T, error) {
	var none T
	var from *reply[T]
	var err error
	replies := each(v, f)
	for i := range replies {
		r := &replies[i]
		switch {
		case r.err != nil:
			if err == nil || errors.Is(err, anchor.ErrDown) {
				err = r.err
			}
		case from == nil:
			from = r
		case r.value != from.value:
			return none, fmt.Errorf("%w: %s is %v for the %s, %v for the %s", errConflict, what, from.value, from.name(), r.value, r.name())
		}
	}
	if from == nil {
		return none, err
	}
	return from.value, nil
}

// sameHeader returns the header at a height, which all must have.
func (v view) sameHeader(ctx context.Context, height uint64) (*types.Header, error) {
	headers := make(map[common.Hash]*types.Header)
	var mu sync.Mutex
	hash, err := agree(v, fmt.Sprintf("block %d", height), func(s sight) (common.Hash, error) {
		h := s.head
		if s.number() != height {
			var err error
			if h, err = s.header(ctx, hexutil.Uint64(height)); err != nil {
				return common.Hash{}, err
			}
		}
		mu.Lock()
		defer mu.Unlock()
		headers[h.Hash()] = h
		return h.Hash(), nil
	})
	return headers[hash], err
}

// tip returns the newest block that all have.
func (v view) tip(ctx context.Context) (*types.Header, error) {
	low := v[len(v)-1].number()
	h, conflict := v.sameHeader(ctx, low)
	err := conflict
	for d := uint64(1); errors.Is(err, errConflict) && d <= min(maxFork, low); d++ {
		h, err = v.sameHeader(ctx, low-d)
	}
	if errors.Is(err, errConflict) {
		return nil, conflict
	}
	return h, err
}

// highest returns the highest of the numbers that the nodes answer with, which
// must not be far apart.
func highest(v view, what string, f func(sight) (uint64, error)) (uint64, error) {
	var low, high *reply[uint64]
	var err error
	replies := each(v, f)
	for i := range replies {
		r := &replies[i]
		if r.err != nil {
			err = r.err
			continue
		}
		if high == nil || r.value > high.value {
			high = r
		}
		if low == nil || r.value < low.value {
			low = r
		}
	}
	if high == nil {
		return 0, err
	}
	if high.value-low.value > maxAhead {
		return 0, fmt.Errorf("%w: %s is %d for the %s, %d for the %s", errConflict, what, high.value, high.name(), low.value, low.name())
	}
	return high.value, nil
}

// notes says which nodes are left out, and why.
func (p *nodes) notes() []string {
	var out []string
	for _, n := range p.list {
		n.health.Lock()
		if n.problem != nil && len(p.list) > 1 {
			out = append(out, fmt.Sprintf("left out: %s", n.problem))
		}
		n.health.Unlock()
	}
	return out
}
