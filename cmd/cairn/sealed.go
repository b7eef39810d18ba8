package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"cairn/anchor"
	"cairn/anchor/proof"
	"cairn/merkle"
	"cairn/merkle/ledger"
	"cairn/store"
	"cairn/store/mirror"
	"cairn/store/share"
)

// What a gateway serves to mirrors and audiences, below /ledger/ID/ and
// /ledger/NAME/: see package mirror. All of it is sealed or public, and read only.

// updateAnchors is how many of the newest final anchors of a route the update for
// mirrors has.
const updateAnchors = 32

// sealedSource is a ledger of this gateway as a mirror.Source.
type sealedSource struct {
	l *openLedger

	mu     sync.Mutex // covers what follows
	update []byte     // the newest update file
	of     string     // the anchors that it was made of
}

// Checkpoint implements mirror.Source.
func (s *sealedSource) Checkpoint(context.Context) ([]byte, error) {
	note, ok := s.l.newestNote()
	if !ok {
		return nil, mirror.ErrNone
	}
	return note, nil
}

// Tile implements mirror.Source.
func (s *sealedSource) Tile(_ context.Context, path string) ([]byte, error) {
	b, err := s.l.readTile(path)
	return b, asAbsent(err)
}

// asAbsent names what is not there as mirrors do.
func asAbsent(err error) error {
	switch {
	case errors.Is(err, errNoTile), errors.Is(err, store.ErrNotFound), errors.Is(err, merkle.ErrTilePath):
		return fmt.Errorf("%w: %w", mirror.ErrNotFound, err)
	case errors.Is(err, store.ErrOldGroup), errors.Is(err, share.ErrShredded), errors.Is(err, store.ErrDropped):
		return fmt.Errorf("%w: %w", mirror.ErrGone, err)
	}
	return err
}

// Groups implements mirror.Source.
func (s *sealedSource) Groups(ctx context.Context, from uint64) ([]store.GroupRef, error) {
	return s.l.store.Groups(ctx, from, mirror.MaxGroups)
}

// Group implements mirror.Source.
func (s *sealedSource) Group(ctx context.Context, ref store.GroupRef) ([]byte, error) {
	b, err := s.l.store.GroupObject(ctx, ref.First)
	return b, asAbsent(err)
}

// Object implements mirror.Source.
func (s *sealedSource) Object(ctx context.Context, first uint64, ref store.ObjectRef) ([]byte, error) {
	b, err := s.l.store.SealedObject(ctx, first, ref.Hash)
	return b, asAbsent(err)
}

// GroupObjects gives what is wanted of a sealed group at once, for packs.
func (s *sealedSource) GroupObjects(ctx context.Context, first uint64, wanted func(share.Hour, *store.ObjectRef) bool) ([][]byte, error) {
	all, err := s.l.store.GroupObjects(ctx, first, wanted)
	return all, asAbsent(err)
}

// StatementLeaves implements mirror.Source.
func (s *sealedSource) StatementLeaves(_ context.Context, from, to uint64) ([]merkle.Hash, error) {
	all, err := s.l.store.StatementLeaves(from, to)
	return all, asAbsent(err)
}

// Bundles implements mirror.Source.
func (s *sealedSource) Bundles(ctx context.Context) ([]uint64, error) {
	grants, err := s.Grants(ctx)
	if err != nil {
		return nil, err
	}
	all := []uint64{}
	for i := range grants {
		if grants[i].Serves(s.Now().UnixMilli()) {
			all = append(all, grants[i].Number)
		}
	}
	return all, nil
}

// Bundle implements mirror.Source.
func (s *sealedSource) Bundle(ctx context.Context, grant uint64) ([]byte, error) {
	return s.l.bundle(ctx, grant)
}

// Update implements mirror.Source: the newest final anchors of each route, whose
// heads extend one another.
func (s *sealedSource) Update(context.Context) ([]byte, error) {
	routes, err := s.l.routesOf()
	if err != nil {
		return nil, err
	}
	finals := map[string][]anchor.Anchor{}
	of := ""
	for _, r := range routes {
		all, err := newestFinals(r)
		if err != nil {
			return nil, err
		}
		for i := range all {
			of += fmt.Sprintf("%s %d\n", r.name, all[i].Size)
		}
		finals[r.name] = append(finals[r.name], all...)
	}
	if of == "" {
		return nil, mirror.ErrNone
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.of == of {
		return s.update, nil
	}
	file, err := s.makeUpdate(routes, finals)
	if err != nil {
		return nil, err
	}
	s.update, s.of = file, of
	return file, nil
}

// newestFinals returns the newest final anchors of a route, the newest first.
func newestFinals(r namedRoute) (all []anchor.Anchor, err error) {
	for _, a := range slices.Backward(r.Anchors()) {
		if a.State != anchor.Final {
			continue
		}
		a, ok, err := r.Lookup(a.Size) // has the receipt
		if err != nil {
			return nil, fmt.Errorf("anchors of %s: %w", r.name, err)
		}
		if !ok || len(a.Receipt) == 0 {
			continue
		}
		if all = append(all, a); len(all) == updateAnchors {
			break
		}
	}
	return all, nil
}

func (s *sealedSource) makeUpdate(routes []namedRoute, finals map[string][]anchor.Anchor) ([]byte, error) {
	l := s.l
	p := &prover{
		l: l, routes: routes, state: stateFinal, batches: map[uint64]*provenBatch{}, heads: map[uint64]int{},
		streamBatches: map[uint64][]*provenBatch{}, b: proof.NewBuilder([32]byte(l.store.FirstLogKey()), l.keyring.Nonce()),
	}
	for route, all := range finals {
		for i := range all {
			if err := p.final(route, &all[i]); err != nil {
				return nil, err
			}
		}
	}
	for _, step := range []func() error{p.followable, p.cosigned, p.extend} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	return p.b.File().Encode()
}

// sealedAccess says who may have what of a ledger.
type sealedAccess struct {
	*sealedSource
	full func(r *http.Request) bool
}

// Full implements mirror.Access.
func (a *sealedAccess) Full(r *http.Request) bool { return a.full(r) }

// Now implements mirror.Access. A clock that was put back must not open again what
// has ended, so the newest batch's time counts too.
func (s *sealedSource) Now() time.Time {
	now := time.Now()
	if _, size, ok := s.l.store.Checkpoint(); ok && size > 0 {
		if from, ok := (head{s.l.store}).WindowStart(size - 1); ok && time.UnixMilli(from).After(now) {
			return time.UnixMilli(from)
		}
	}
	return now
}

// Grants implements mirror.Access.
func (s *sealedSource) Grants(context.Context) ([]ledger.Grant, error) {
	return s.l.grantsNow()
}

// Listing implements mirror.Access.
func (s *sealedSource) Listing(ctx context.Context, first uint64) (ref store.GroupRef, objects []store.ObjectRef, err error) {
	b, err := s.l.store.GroupObject(ctx, first)
	if err != nil {
		return ref, nil, asAbsent(err)
	}
	from, ok := (head{s.l.store}).WindowStart(first)
	if !ok {
		return ref, nil, mirror.ErrNotFound
	}
	hour, err := share.HourOf(from)
	if err != nil {
		return ref, nil, err
	}
	c, _ := s.l.keyring.Compartment(share.Ledger)
	k, err := c.Tree.Hour(hour)
	if err != nil {
		return ref, nil, err
	}
	g, err := store.OpenGroup(k, s.l.store.Ledger(), hour, first, b)
	if err != nil {
		return ref, nil, err
	}
	return g.Ref(b, false), g.Objects, nil
}

// sealedHandler serves a ledger's sealed objects.
func (s *httpServer) sealedHandler(l *openLedger) *sealedAccess {
	return &sealedAccess{sealedSource: &sealedSource{l: l}, full: func(r *http.Request) bool {
		return !s.locked || s.admits(r.Header.Get("Authorization"))
	}}
}

// ledgerAdmits reports whether a request without the gateway's token may go on all
// the same: to what decides for itself, or to the log by a mirror's token.
func (s *httpServer) ledgerAdmits(r *http.Request) bool {
	rest, ok := strings.CutPrefix(r.URL.Path, "/ledger/")
	at, rest, more := strings.Cut(rest, "/")
	access := s.sealed[at]
	if !ok || !more || access == nil {
		return false
	}
	if strings.HasPrefix(rest, "sealed/") || strings.HasPrefix(rest, "grant/") {
		return true
	}
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok || token == "" {
		return false
	}
	grants, err := access.Grants(r.Context())
	return err == nil && slices.ContainsFunc(grants, func(g ledger.Grant) bool {
		return g.Mirror && mirror.Admits(&g, token) && g.Serves(access.Now().UnixMilli())
	})
}
