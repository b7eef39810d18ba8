package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sort"
	"time"

	"cairn/anchor"
	"cairn/anchor/proof"
	"cairn/merkle/ledger"
)

// namingTimeout is how long a node is waited for that must say which output a
// successor begins with, before it is asked again.
const namingTimeout = 30 * time.Second

var errSameKey = errors.New("the successor is the very key that anchors now: if it has taken over, take the keys that begin with next_ out")

// dialPlace dials a route's place, and that of the successor which the
// configuration names.
func (l *openLedger) dialPlace(ctx context.Context, a *AnchorConfig) (*place, error) {
	p, err := l.dial(ctx, a, nil)
	if err != nil || !a.hasNext() {
		return p, err
	}
	if p.next, err = l.dial(ctx, a, p); err != nil {
		err = fmt.Errorf("successor: %w", err)
	} else if p.sameAs(p.next) {
		err = errSameKey
	}
	if err != nil {
		p.shut()
		return nil, err
	}
	p.next.heir = true
	return p, nil
}

func (a *AnchorConfig) hasNext() bool {
	return a.Ethereum.Next != (EthereumAccount{}) || a.Bitcoin.Next != (BitcoinKey{})
}

// choosePlace has the ledger name a route's place, and returns the one that
// anchors from now on. If there is a successor, the ledger names that too, and
// the place that is there goes on until an anchor of its own, final, holds the
// statement: so whoever trusts the old place is led to the new one. The first
// start after that takes the successor. Each is named once, in this order. What
// only a node can tell is left to nameSuccessor and the route's pre-flight: a
// start waits for no node.
func (l *openLedger) choosePlace(ctx context.Context, p *place) (*place, error) {
	taken, err := l.takenOver(p.next)
	if err != nil {
		return nil, err
	}
	if taken {
		next := p.next
		next.heir = false
		p.close()
		l.log.Info("the successor anchors from now on: make it the route's own key, and hand out a new policy", "route", next.chain.Name())
		_, err := l.name(ctx, next)
		return next, err
	}
	stated, err := l.statedRoutes()
	if err != nil {
		return nil, err
	}
	if waits := names(stated, p.next) && names(stated, p); !waits && !p.asks {
		if _, err := l.name(ctx, p); err != nil {
			return nil, err
		}
	}
	if p.next != nil {
		p.say("the successor has no name in the ledger yet")
		if !p.asks && !p.next.asks {
			return p, l.nameNext(ctx, p)
		}
	}
	return p, nil
}

// names reports whether the ledger has named a place.
func names(stated []statedRoute, p *place) bool {
	return p != nil && p.id != nil && slices.ContainsFunc(distinct(stated, p.chain.Name()), func(have proof.Place) bool { return have.String() == p.id.String() })
}

// nameNext has the ledger name the successor of a place, once it has named the
// place itself.
func (l *openLedger) nameNext(ctx context.Context, p *place) error {
	stated, err := l.statedRoutes()
	if err != nil {
		return err
	}
	if p.id != nil && !names(stated, p) {
		return errors.New("the key that anchors now has none either")
	}
	named, err := l.name(ctx, p.next)
	switch {
	case err != nil:
		return err
	case named:
		p.say("the successor is named in the ledger, and takes over at the first start after an anchor with that is final")
	default:
		p.say("the successor's key cannot be read")
	}
	return nil
}

// nameSuccessor has the ledger name a successor of which only a node can tell
// where it begins, as soon as that answers.
func (l *openLedger) nameSuccessor(ctx context.Context, p *place, poll time.Duration) error {
	if p.next == nil || !p.asks && !p.next.asks {
		return nil
	}
	tick := time.NewTicker(poll)
	defer tick.Stop()
	for {
		ask, cancel := context.WithTimeout(ctx, namingTimeout)
		err := l.nameNext(ask, p)
		cancel()
		if err == nil {
			return nil
		}
		p.say("the successor has no name in the ledger yet: %v", err)
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// takenOver reports whether a place that the ledger named before next, on the
// same chain, has a final anchor that holds a statement which names next.
func (l *openLedger) takenOver(next *place) (bool, error) {
	if next == nil || next.id == nil {
		return false, nil
	}
	stated, err := l.statedRoutes()
	if err != nil {
		return false, err
	}
	route := next.chain.Name()
	first := slices.IndexFunc(stated, func(s statedRoute) bool { return s.name == route && s.place.String() == next.id.String() })
	if first < 0 {
		return false, nil
	}
	batch, ok, err := l.firstWith(stated[first].number)
	if err != nil || !ok {
		return false, err
	}
	for n := range distinct(stated[:first], route) {
		r, err := l.lookedUp(route, n)
		if err != nil {
			return false, err
		}
		if _, ok, err := r.Lookup(batch + 1); ok || err != nil {
			return ok, err
		}
	}
	return false, nil
}

// lookedUp is the n-th place of the ledger on a chain, whose anchors are looked
// up and which does not run.
func (l *openLedger) lookedUp(route string, n int) (*anchor.Route, error) {
	return anchor.New(anchor.Config{Chain: journalOnly{name: route}, Source: head{l.store}, Journal: l.store.Journal(journalName(route, n))})
}

// covered is how many batches the other places that the ledger named on p's
// chain hold.
func (l *openLedger) covered(p *place) (uint64, error) {
	stated, err := l.statedRoutes()
	if err != nil {
		return 0, err
	}
	most := uint64(0)
	for n := range distinct(stated, p.chain.Name()) {
		name := journalName(p.chain.Name(), n)
		if name == p.journal {
			continue
		}
		r, err := l.lookedUp(p.chain.Name(), n)
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
