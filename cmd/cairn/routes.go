package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"cairn/anchor"
	"cairn/merkle"
)

// rollbackHelp is what to do when a chain knows more of a ledger than its log.
const rollbackHelp = "this folder is older than what was anchored, or another gateway uses the same keys: put back the newest copy of the folder, or stop the other gateway; until then readings are kept, and nothing is signed or anchored"

// dialPlaces dials the places of the configured routes. It asks no node, and the
// ledger says nothing of them yet.
func (l *openLedger) dialPlaces(ctx context.Context) error {
	for i := range l.cfg.Anchors {
		p, err := l.dialPlace(ctx, &l.cfg.Anchors[i])
		if err != nil {
			return l.routeError(i, err)
		}
		l.places = append(l.places, p)
	}
	return nil
}

// makeRoutes makes the routes of the places that were dialed, and has the ledger
// name them.
func (l *openLedger) makeRoutes(ctx context.Context) error {
	for i := range l.cfg.Anchors {
		if err := l.makeRoute(ctx, i); err != nil {
			return l.routeError(i, err)
		}
	}
	l.seen.Store(&l.routes)
	return nil
}

func (l *openLedger) makeRoute(ctx context.Context, i int) error {
	a := &l.cfg.Anchors[i]
	p, err := l.choosePlace(ctx, l.places[i])
	if err != nil {
		return err
	}
	l.places[i] = p
	covered, err := l.covered(p)
	if err != nil {
		return err
	}
	source := &routeSource{head: head{l.store}, covered: covered}
	name := p.chain.Name()
	r, err := anchor.New(anchor.Config{
		Chain: p.chain, Source: source, Journal: l.store.Journal(p.journal),
		Every: a.Every, Jitter: noneIfZero(a.Jitter), Poll: a.Poll, Resend: resendPolls * a.Poll,
		Deadline: a.Deadline, Budget: a.Budget, Monthly: a.Monthly, RedAfter: redAfter(a), Logger: l.log,
		Guard: func(ok bool, reason string) { l.guarded(ctx, name, ok, reason) },
	})
	if err != nil {
		return err
	}
	source.route = r
	l.routes = append(l.routes, r)
	return nil
}

// redAfter is the age of the oldest unanchored window at which health turns
// red, 0 for the route's own default.
func redAfter(a *AnchorConfig) time.Duration {
	switch a.Type {
	case typeOTS:
		return 4*a.Every + otsPatience
	case typeBitcoin:
		return 4*a.Every + bitcoinPatience
	}
	return 0
}

const (
	otsPatience     = 24 * time.Hour // until a calendar's own transaction is deep
	bitcoinPatience = 4 * time.Hour  // six blocks seldom take longer
)

// routeError names a route as the configuration has it.
func (l *openLedger) routeError(i int, err error) error {
	return fmt.Errorf("%sanchors[%d]: %w", l.cfg.prefix(), i, err)
}

// wallets are what ledgers anchor from, each with the ledger that has it.
type wallets map[string]string

// claim refuses a second ledger for a wallet: neither would know of the other's
// transactions. The configuration alone cannot tell where key files are copies
// of one another.
func (w wallets) claim(wallet, ledger string) error {
	if wallet == "" {
		return nil // it costs nothing, or its key cannot be read, and the route's status says so
	}
	if other, taken := w[wallet]; taken && other != ledger {
		return fmt.Errorf("the ledgers %s and %s anchor from one and the same %s: each needs one of its own", other, ledger, wallet)
	}
	w[wallet] = ledger
	return nil
}

// ownWallets checks that no two ledgers share one, not even a successor's.
func (g *gateway) ownWallets() error {
	of := wallets{}
	for _, l := range g.ledgers {
		for _, p := range l.places {
			err := of.claim(p.wallet, l.cfg.Name)
			if err == nil && p.next != nil {
				err = of.claim(p.next.wallet, l.cfg.Name)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// resendPolls is after how many looks without the transaction in a block it is
// sent again: a node that was restarted has forgotten it. With the default of
// 12 s between looks that is a minute.
const resendPolls = 5

// noneIfZero: for a route, 0 is the default jitter and below 0 none.
func noneIfZero(d time.Duration) time.Duration {
	if d == 0 {
		return -1
	}
	return d
}

// guard holds what the routes said about whether the log contains their head.
type guard struct {
	mu   sync.Mutex
	said map[string]string // route to its objection, "" for none; under mu
}

// guarded is told by a route, from its own goroutine. Signing goes on while one
// route has confirmed the log and none objects.
func (l *openLedger) guarded(ctx context.Context, route string, ok bool, reason string) {
	l.guard.mu.Lock()
	defer l.guard.mu.Unlock()
	if l.guard.said == nil {
		l.guard.said = map[string]string{}
	}
	if ok {
		reason = ""
	}
	l.guard.said[route] = reason
	objection := ""
	for _, r := range l.guard.said {
		if r != "" {
			objection = r + ": " + rollbackHelp
		}
	}
	var err error
	if objection != "" {
		l.log.Error("rollback guard", "reason", objection)
		err = l.store.HoldSigning(ctx, objection)
	} else {
		err = l.store.AllowSigning(ctx)
	}
	if err != nil && ctx.Err() == nil {
		l.log.Error("rollback guard", "error", err)
	}
}

// follow tells the store what is final, so that intake signatures which nobody
// needs any more can go.
func (l *openLedger) follow(ctx context.Context) {
	tick := time.NewTicker(finalsPoll)
	defer tick.Stop()
	told := uint64(0)
	for {
		final := l.anchored()
		if final > told {
			if err := l.store.MarkFinal(ctx, final); err != nil && ctx.Err() == nil {
				l.log.Warn("mark final", "batches", final, "error", err)
			} else {
				told = final
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// anchored is how many batches the ledger's quorum of routes holds.
func (l *openLedger) anchored() uint64 {
	var sizes []uint64
	for _, r := range l.routes {
		size := uint64(0)
		if a := r.Status().LastFinal; a != nil {
			size = a.Size
		}
		sizes = append(sizes, size)
	}
	if len(sizes) == 0 {
		return 0
	}
	slices.Sort(sizes)
	return sizes[len(sizes)-l.cfg.need(len(sizes))]
}

// routeSource is the ledger as one route sees it. It asks the route's own
// journal first for the place of a root: only a log that was rolled back, or
// whose journal was lost, has to be searched.
type routeSource struct {
	head
	route   *anchor.Route
	covered uint64 // batches that the place before this one on the chain holds

	mu       sync.Mutex // covers what follows
	unknown  merkle.Hash
	searched uint64 // size of the log in which unknown was not found
}

// WindowStart implements anchor.Source. What the place before holds is not
// unanchored.
func (s *routeSource) WindowStart(index uint64) (int64, bool) {
	return s.head.WindowStart(max(index, s.covered))
}

// FindRoot implements anchor.Source.
func (s *routeSource) FindRoot(root merkle.Hash) (uint64, bool, error) {
	for _, a := range s.route.Anchors() {
		if a.Root != root {
			continue
		}
		if have, err := s.store.RootAt(a.Size); err == nil && have == root {
			return a.Size, true, nil
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	size := s.store.LogSize()
	if root == s.unknown && size < s.searched+searchAgain {
		return 0, false, nil
	}
	at, ok, err := s.head.FindRoot(root)
	if err == nil && !ok {
		s.unknown, s.searched = root, size
	}
	return at, ok, err
}

// searchAgain is by how many batches the log must have grown before it is
// searched for the same root again.
const searchAgain = 60
