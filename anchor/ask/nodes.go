package ask

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
)

const (
	// A file may name blocks without end, all of which have to be asked about, and a
	// node may take its whole time over each.
	maxAsked    = 10_000
	maxTimeouts = 3
)

// Nodes are Ethereum nodes that are asked about blocks: a proof.HeaderTrust that
// can tell the time of a block too. One goroutine uses it at a time.
type Nodes struct {
	nodes  []*node
	agree  int
	ctx    context.Context // of whoever asks now: a HeaderTrust is given none
	times  map[blockID]int64
	asked  int // blocks, since Begin
	failed error
}

type blockID struct {
	route string
	hash  [32]byte
}

// New takes the nodes with these URLs, agree of which have to agree.
func New(urls []string, agree int) (*Nodes, error) {
	n := &Nodes{agree: agree, times: make(map[blockID]int64), ctx: context.Background()}
	for _, text := range urls {
		one, err := parseNode(text)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(n.nodes, func(have *node) bool { return have.url.String() == one.url.String() }) {
			return nil, fmt.Errorf("node %s was given twice: it has one voice", one.url.Host)
		}
		n.nodes = append(n.nodes, one)
	}
	if agree < 1 || agree > len(urls) {
		return nil, fmt.Errorf("%d of %d nodes cannot agree", agree, len(urls))
	}
	return n, nil
}

// Begin begins a round of questions, which end with ctx.
func (n *Nodes) Begin(ctx context.Context) {
	n.ctx, n.asked, n.failed, n.times = ctx, 0, nil, make(map[blockID]int64)
	for _, one := range n.nodes {
		one.timeouts = 0
	}
}

// Failed is why the last question that too few nodes answered was not answered; nil
// if all were, since Begin.
func (n *Nodes) Failed() error { return n.failed }

// Hosts are the hosts of the nodes: all that may be told of them.
func (n *Nodes) Hosts() (hosts []string) {
	for _, one := range n.nodes {
		hosts = append(hosts, one.url.Host)
	}
	return hosts
}

// Trusted implements proof.HeaderTrust. Of chains that are not Ethereum's the
// nodes know nothing, and are not asked.
func (n *Nodes) Trusted(route string, number uint64, hash [32]byte) (string, bool, error) {
	chainID, ok := ethereumChain(route)
	if !ok {
		return "", false, nil
	}
	if n.asked++; n.asked > maxAsked {
		return "", false, fmt.Errorf("over %d blocks would have to be asked about; give a headers file by --headers", maxAsked)
	}
	answers := make([]answer, len(n.nodes))
	var wg sync.WaitGroup
	for i, one := range n.nodes {
		wg.Go(func() { answers[i] = one.patiently(n.ctx, chainID, number, hash) })
	}
	wg.Wait()
	yes, times := 0, make(map[int64]int)
	var errs, whys []string
	for i, a := range answers {
		name := n.nodes[i].url.Host // never the whole URL: it may hold a key
		switch {
		case a.fault != nil:
			errs = append(errs, fmt.Sprintf("%s: %v", name, a.fault))
		case !a.same:
			whys = append(whys, name+": "+a.why)
		default:
			yes, times[a.ms] = yes+1, times[a.ms]+1
		}
	}
	switch {
	case yes >= n.agree:
		n.agreeOnTime(blockID{route, hash}, times)
		return fmt.Sprintf("%d of %d nodes asked have it as final", yes, len(n.nodes)), true, nil
	case yes+len(errs) >= n.agree:
		n.failed = errors.New(strings.Join(errs, "; "))
		return "", false, n.failed
	}
	return strings.Join(whys, "; "), false, nil
}

// agreeOnTime keeps the time of a block if enough nodes give it, and no other
// has as many: the hash in an answer does not hold it.
func (n *Nodes) agreeOnTime(id blockID, votes map[int64]int) {
	enough := 0
	for ms, count := range votes {
		if count >= n.agree {
			n.times[id] = ms
			enough++
		}
	}
	if enough > 1 {
		delete(n.times, id)
	}
}

// BlockTime implements proof.BlockTimer.
func (n *Nodes) BlockTime(route string, hash [32]byte) (int64, bool) {
	ms, ok := n.times[blockID{route, hash}]
	return ms, ok
}

// Storage asks each node for the newest value of a contract's storage slot, and
// returns those that differ. The error names the nodes that did not answer; there
// may be values beside it.
func (n *Nodes) Storage(ctx context.Context, chainID uint64, contract [20]byte, slot [32]byte) (values [][32]byte, err error) {
	var failed []error
	for _, one := range n.nodes {
		ctx, cancel := context.WithTimeout(ctx, timeout)
		v, err := one.storage(ctx, chainID, contract, slot)
		cancel()
		if err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", one.url.Host, err))
		} else if !slices.Contains(values, v) {
			values = append(values, v)
		}
	}
	return values, errors.Join(failed...)
}

// patiently asks a node about a block, unless it let too many questions pass before.
func (n *node) patiently(ctx context.Context, chainID, number uint64, hash [32]byte) answer {
	if n.timeouts >= maxTimeouts {
		return answer{fault: fmt.Errorf("it did not answer in time %d times before", maxTimeouts)}
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	a := n.has(ctx, chainID, number, hash)
	if errors.Is(a.fault, context.DeadlineExceeded) {
		n.timeouts++
	}
	return a
}

// ethereumChain returns the chain id in an Ethereum route's text.
func ethereumChain(route string) (uint64, bool) {
	digits, ok := strings.CutPrefix(route, "ethereum:")
	id, err := strconv.ParseUint(digits, 10, 64)
	return id, ok && err == nil && strconv.FormatUint(id, 10) == digits
}
