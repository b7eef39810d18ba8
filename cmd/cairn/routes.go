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

// rollbackHelp is what to do when a chain or a witness knows more of a ledger than
// its log.
const rollbackHelp = "this folder is older than what was anchored or cosigned, or another gateway uses the same keys: put back the newest copy of the folder, or stop the other gateway; until then readings are kept, and nothing is signed or anchored"

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
	source := &routeSource{head: head{l.store}, covered: covered, cosigned: l.cosigned}
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
	l.routes, l.sources = append(l.routes, r), append(l.sources, source)
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

// guard holds what the routes and witnesses said about whether the log contains
// their head.
type guard struct {
	mu    sync.Mutex        // covers what follows
	said  map[string]string // route or witness to its objection, "" for none
	waits bool              // the witnesses have not been asked yet
}

// guarded is told by a route or a witness, from its own goroutine. Signing goes on
// while one of them has confirmed the log and none objects.
func (l *openLedger) guarded(ctx context.Context, by string, ok bool, reason string) {
	l.guard.mu.Lock()
	defer l.guard.mu.Unlock()
	if l.guard.said == nil {
		l.guard.said = map[string]string{}
	}
	if ok {
		reason = ""
	}
	l.guard.said[by] = reason
	l.judge(ctx)
}

// guardOpens says that every witness has been asked once.
func (l *openLedger) guardOpens(ctx context.Context) {
	l.guard.mu.Lock()
	defer l.guard.mu.Unlock()
	l.guard.waits = false
	l.judge(ctx)
}

// judge holds signing or allows it. l.guard.mu is held.
func (l *openLedger) judge(ctx context.Context) {
	objection := ""
	for _, r := range l.guard.said {
		if r != "" {
			objection = r + ": " + rollbackHelp
		}
	}
	var err error
	switch {
	case objection != "":
		l.log.Error("rollback guard", "reason", objection)
		err = l.store.HoldSigning(ctx, objection)
	case l.guard.waits:
		return
	case len(l.guard.said) == 0:
		err = l.store.HoldSigning(ctx, unconfirmed)
	default:
		err = l.store.AllowSigning(ctx)
	}
	if err != nil && ctx.Err() == nil {
		l.log.Error("rollback guard", "error", err)
	}
}

// unconfirmed is why nothing is signed while no witness has answered.
const unconfirmed = "no checkpoint is signed until a witness or a route confirms this log's newest head"

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
	route    *anchor.Route
	covered  uint64    // batches that the place before this one on the chain holds
	cosigned *cosigned // nil if there are no witnesses

	mu       sync.Mutex // covers what follows
	unknown  merkle.Hash
	searched uint64 // size of the log in which unknown was not found
}

// Head implements anchor.Source: the newest head that may be anchored.
func (s *routeSource) Head() (size uint64, root merkle.Hash, note []byte, ok bool) {
	size, root, note, ok = s.head.Head()
	if s.cosigned == nil {
		return size, root, note, ok
	}
	return s.cosigned.head(size, root, note, ok)
}

// routeStatus is a route's status. The age of what is not anchored is that of all
// that is signed, also of what still waits for witnesses.
func (l *openLedger) routeStatus(i int) anchor.Status {
	s := l.routes[i].Status()
	if l.cosigned == nil || s.OldestUnanchored > 0 {
		return s
	}
	done := uint64(0)
	if s.LastFinal != nil {
		done = s.LastFinal.Size
	}
	if _, size, ok := l.store.Checkpoint(); ok && size > done {
		s.OldestUnanchored, _ = l.sources[i].WindowStart(done)
		if s.Reason == "" {
			s.Reason = "waiting for witnesses to cosign a newer head"
		}
	}
	return s
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
