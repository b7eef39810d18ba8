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

// makeRoutes makes the configured routes and has the ledger name them.
func (s *service) makeRoutes(ctx context.Context) error {
	for i := range s.cfg.Anchors {
		a := &s.cfg.Anchors[i]
		cfg, err := ethereumConfig(a)
		cfg.Locked = err // the key's, so readings are taken all the same
		cfg.Ledger = s.store.Ledger()
		chain, err := ethereum.Dial(ctx, cfg)
		if err != nil {
			return fmt.Errorf("anchors[%d]: %w", i, err)
		}
		s.chains = append(s.chains, chain)
		if err := s.stateRoute(ctx, chain, a.ChainID); err != nil {
			return fmt.Errorf("anchors[%d]: %w", i, err)
		}
		source := &routeSource{head: head{s.store}}
		r, err := anchor.New(anchor.Config{
			Chain: chain, Source: source, Journal: s.store.Journal(chain.Name()),
			Every: a.Every, Jitter: noneIfZero(a.Jitter), Poll: a.Poll, Resend: resendPolls * a.Poll, Logger: s.log,
			Guard: func(ok bool, reason string) { s.guarded(ctx, chain.Name(), ok, reason) },
		})
		if err != nil {
			return fmt.Errorf("anchors[%d]: %w", i, err)
		}
		source.route = r
		s.live.routes = append(s.live.routes, r)
	}
	s.seen.Store(&s.live.routes)
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
func (s *service) stateRoute(ctx context.Context, chain *ethereum.Chain, id uint64) error {
	if chain.Sender() == ([20]byte{}) {
		return nil // the keystore cannot be read; the route's status says so
	}
	stated, err := s.statedRoutes()
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
		s.log.Warn("the ledger is anchored at another place from now on: hand out a new policy", "route", now.name)
		break
	}
	_, err = s.store.AddStatement(ctx, ledger.Statement{Kind: ledger.KindRoute, Body: map[string]any{
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
func (s *service) guarded(ctx context.Context, route string, ok bool, reason string) {
	s.guard.mu.Lock()
	defer s.guard.mu.Unlock()
	if s.guard.said == nil {
		s.guard.said = map[string]string{}
	}
	if ok {
		reason = ""
	}
	s.guard.said[route] = reason
	objection := ""
	for _, r := range s.guard.said {
		if r != "" {
			objection = r + ": " + rollbackHelp
		}
	}
	var err error
	if objection != "" {
		s.log.Error("rollback guard", "reason", objection)
		err = s.store.HoldSigning(ctx, objection)
	} else {
		err = s.store.AllowSigning(ctx)
	}
	if err != nil && ctx.Err() == nil {
		s.log.Error("rollback guard", "error", err)
	}
}

// follow tells the store what is final, so that intake signatures which nobody
// needs any more can go.
func (s *service) follow(ctx context.Context) {
	tick := time.NewTicker(finalsPoll)
	defer tick.Stop()
	told := uint64(0)
	for {
		final := uint64(0)
		for _, r := range s.live.routes {
			if a := r.Status().LastFinal; a != nil {
				final = max(final, a.Size)
			}
		}
		if final > told {
			if err := s.store.MarkFinal(ctx, final); err != nil && ctx.Err() == nil {
				s.log.Warn("mark final", "batches", final, "error", err)
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
