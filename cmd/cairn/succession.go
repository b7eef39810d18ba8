package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sort"
	"time"

	"cairn/anchor"
	"cairn/merkle/ledger"
)

// namingTimeout is how long a start waits for a node that must say which output
// a successor begins with.
const namingTimeout = 15 * time.Second

// choosePlace dials a route's place. If the configuration names a successor,
// the ledger records it, and the place that is there goes on until one of its
// own anchors, final, holds that statement: so whoever trusts the old place is
// led to the new one. The first start after that takes the successor. covered
// is how many batches the places before it hold.
func (l *openLedger) choosePlace(ctx context.Context, a *AnchorConfig) (p *place, covered uint64, err error) {
	if p, err = l.dial(ctx, a, false); err != nil {
		return nil, 0, err
	}
	if _, waits := p.chain.(*unnamed); !waits {
		if _, err := l.name(ctx, p); err != nil {
			p.close()
			return nil, 0, err
		}
	}
	if !a.hasNext() {
		covered, err = l.covered(p)
		return p, covered, err
	}
	next, err := l.dial(ctx, a, true)
	if err != nil {
		p.close()
		return nil, 0, fmt.Errorf("successor: %w", err)
	}
	state, taken, err := l.succeed(ctx, p, next)
	if err != nil {
		p.close()
		next.close()
		return nil, 0, err
	}
	if !taken {
		next.close()
		p.note = state
		return p, 0, nil
	}
	p.close()
	l.log.Info("the successor anchors from now on: make it the route's own key, and hand out a new policy", "route", next.chain.Name())
	covered, err = l.covered(next)
	return next, covered, err
}

func (a *AnchorConfig) hasNext() bool {
	return a.Ethereum.Next != (EthereumAccount{}) || a.Bitcoin.Next != (BitcoinKey{})
}

// succeed has the ledger name the successor, and reports whether it may take
// over, or what it waits for.
func (l *openLedger) succeed(ctx context.Context, p, next *place) (state string, taken bool, err error) {
	if p.id != nil && next.id != nil && p.id.String() == next.id.String() {
		return "", false, errors.New("the successor is the very key that anchors now")
	}
	ask, cancel := context.WithTimeout(ctx, namingTimeout)
	defer cancel()
	n, err := l.name(ask, next)
	switch {
	case err != nil && ctx.Err() == nil:
		return fmt.Sprintf("the successor has no name in the ledger yet: %v", err), false, nil
	case err != nil:
		return "", false, err
	case n == math.MaxUint64:
		return "the successor's key cannot be read", false, nil
	}
	batch, ok, err := l.firstWith(n)
	if err != nil {
		return "", false, err
	}
	if ok {
		r, err := anchor.New(anchor.Config{Chain: journalOnly{name: p.chain.Name()}, Source: head{l.store}, Journal: l.store.Journal(p.journal)})
		if err != nil {
			return "", false, err
		}
		if _, ok, err := r.Lookup(batch + 1); ok || err != nil {
			return "", ok, err
		}
	}
	return "the successor is named in the ledger, and takes over at the first start after an anchor with that is final", false, nil
}

// covered is how many batches the places that the ledger named before p on the
// same chain hold.
func (l *openLedger) covered(p *place) (uint64, error) {
	stated, err := l.statedRoutes()
	if err != nil {
		return 0, err
	}
	most := uint64(0)
	for n := range distinct(stated, p.chain.Name()) {
		name := journalName(p.chain.Name(), n)
		if name == p.journal {
			break
		}
		r, err := anchor.New(anchor.Config{Chain: journalOnly{name: p.chain.Name()}, Source: head{l.store}, Journal: l.store.Journal(name)})
		if err != nil {
			return 0, err
		}
		size, err := newestFinal(r, l.store.LogSize())
		if err != nil {
			return 0, err
		}
		most = max(most, size)
	}
	return most, nil
}

// newestFinal returns the size of the newest final anchor, of at most limit.
func newestFinal(r *anchor.Route, limit uint64) (uint64, error) {
	var failed error
	n := sort.Search(int(limit), func(i int) bool { // the first size that none holds
		_, ok, err := r.Lookup(uint64(i) + 1)
		failed = errors.Join(failed, err)
		return !ok
	})
	return uint64(n), failed
}

// firstWith finds the first batch whose header commits to a statement, false if
// none does yet.
func (l *openLedger) firstWith(statement uint64) (uint64, bool, error) {
	shows := func(batch uint64) (bool, error) {
		e, err := l.store.Batch(batch)
		if err != nil {
			return false, err
		}
		tree, err := ledger.ParseStatementsHead(e.Hidden[ledger.HiddenStatements].Item)
		return tree.Size > statement, err
	}
	low, high := uint64(0), l.store.LogSize()
	size := high
	for low < high {
		mid := low + (high-low)/2
		ok, err := shows(mid)
		if err != nil {
			return 0, false, fmt.Errorf("look for statement %d: %w", statement, err)
		}
		if ok {
			high = mid
		} else {
			low = mid + 1
		}
	}
	return low, low < size, nil
}
