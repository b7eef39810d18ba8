package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"cairn/anchor"
	"cairn/anchor/ethereum"
	"cairn/merkle"
	"cairn/merkle/ledger"
)

// rollbackHelp is what to do when a chain knows more of a ledger than its log.
const rollbackHelp = "this folder is older than what was anchored, or another gateway uses the same keys: put back the newest copy of the folder, or stop the other gateway; until then readings are kept, and nothing is signed or anchored"

// makeRoutes makes the ledger's configured routes and has it name them.
func (l *openLedger) makeRoutes(ctx context.Context) error {
	for i := range l.cfg.Anchors {
		a := &l.cfg.Anchors[i]
		cfg, err := ethereumConfig(a)
		cfg.Locked = err // the key's, so readings are taken all the same
		cfg.Ledger = l.store.Ledger()
		chain, err := ethereum.Dial(ctx, cfg)
		if err != nil {
			return l.routeError(i, err)
		}
		l.chains = append(l.chains, chain)
		if err := l.stateRoute(ctx, chain, a.ChainID); err != nil {
			return l.routeError(i, err)
		}
		source := &routeSource{head: head{l.store}}
		r, err := anchor.New(anchor.Config{
			Chain: chain, Source: source, Journal: l.store.Journal(chain.Name()),
			Every: a.Every, Jitter: noneIfZero(a.Jitter), Poll: a.Poll, Resend: resendPolls * a.Poll, Logger: l.log,
			Guard: func(ok bool, reason string) { l.guarded(ctx, chain.Name(), ok, reason) },
		})
		if err != nil {
			return l.routeError(i, err)
		}
		source.route = r
		l.routes = append(l.routes, r)
	}
	l.seen.Store(&l.routes)
	return nil
}

// routeError names a route as the configuration has it.
func (l *openLedger) routeError(i int, err error) error {
	return fmt.Errorf("%sanchors[%d]: %w", l.cfg.prefix(), i, err)
}

// accounts are what ledgers anchor from, each with the ledger that has it.
type accounts map[account]string

type account struct {
	chain  string
	sender [20]byte
}

// claim refuses a second ledger for an account: neither would know of the
// other's transactions. The configuration alone cannot tell where keystores are
// copies of one another.
func (a accounts) claim(chain string, sender [20]byte, ledger string) error {
	if sender == ([20]byte{}) {
		return nil // its key cannot be read; the route's status says so
	}
	at := account{chain, sender}
	if other, taken := a[at]; taken && other != ledger {
		return fmt.Errorf("the ledgers %s and %s anchor on %s from one account, 0x%x: each needs one of its own", other, ledger, chain, sender)
	}
	a[at] = ledger
	return nil
}

// ownAccounts checks that no two ledgers share one.
func (g *gateway) ownAccounts() error {
	of := accounts{}
	for _, l := range g.ledgers {
		for _, c := range l.chains {
			if err := of.claim(c.Name(), c.Sender(), l.cfg.Name); err != nil {
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

// stateRoute records in the ledger where it is anchored from now on, unless its
// newest statement about the route says so.
func (l *openLedger) stateRoute(ctx context.Context, chain *ethereum.Chain, id uint64) error {
	if chain.Sender() == ([20]byte{}) {
		return nil // the keystore cannot be read; the route's status says so
	}
	stated, err := l.statedRoutes()
	if err != nil {
		return err
	}
	now := statedRoute{name: chain.Name(), chain: id, contract: chain.Contract(), sender: chain.Sender(), code: chain.CodeHash()}
	for i := len(stated) - 1; i >= 0; i-- {
		if stated[i].name != now.name {
			continue
		}
		now.number = stated[i].number
		if stated[i] == now {
			return nil
		}
		l.log.Warn("the ledger is anchored at another place from now on: hand out a new policy", "route", now.name)
		break
	}
	_, err = l.store.AddStatement(ctx, ledger.Statement{Kind: ledger.KindRoute, Body: map[string]any{
		"route": now.name, "chain-id": int64(now.chain), "contract": now.contract[:], "code-hash": now.code[:], "sender": now.sender[:],
	}})
	if err != nil {
		return fmt.Errorf("record the route: %w", err)
	}
	return nil
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
		final := uint64(0)
		for _, r := range l.routes {
			if a := r.Status().LastFinal; a != nil {
				final = max(final, a.Size)
			}
		}
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

// routeSource is the ledger as one route sees it. It asks the route's own
// journal first for the place of a root: only a log that was rolled back, or
// whose journal was lost, has to be searched.
type routeSource struct {
	head
	route *anchor.Route

	mu       sync.Mutex // covers what follows
	unknown  merkle.Hash
	searched uint64 // size of the log in which unknown was not found
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
