package main

import (
	"context"
	"fmt"
	"slices"

	"cairn/anchor/proof"
	"cairn/merkle/ledger"
)

// statedRoute is one statement of the ledger that names a place.
type statedRoute struct {
	number uint64 // of the statement
	name   string // the route's
	place  proof.Place
	ledger.Statement
}

func (s *statedRoute) bitcoin() (ledger.RouteBitcoin, bool) {
	b, err := ledger.RouteBitcoinFrom(s.Statement)
	return b, err == nil
}

// same reports whether another statement names the same.
func (s *statedRoute) same(o ledger.Statement) bool {
	o.At = s.At
	return s.Kind == o.Kind && slices.Equal(s.Append(nil), o.Append(nil))
}

// routePlace reads a statement that names a place; false for another kind.
func routePlace(s ledger.Statement) (name string, p proof.Place, ok bool) {
	switch s.Kind {
	case ledger.KindRoute:
		r, err := ledger.RouteFrom(s)
		return r.Name, proof.EthereumRoute{ChainID: r.ChainID, Contract: r.Contract, Code: r.CodeHash, Sender: r.Sender}, err == nil
	case ledger.KindRouteBitcoin:
		r, err := ledger.RouteBitcoinFrom(s)
		return r.Name, proof.BitcoinRoute{Network: r.Network, Script: r.Script}, err == nil
	case ledger.KindRouteOTS:
		r, err := ledger.RouteOTSFrom(s)
		return r.Name, proof.OTSRoute{Network: "mainnet"}, err == nil
	}
	return "", nil, false
}

// statedRoutes reads the ledger's statements that name places, oldest first.
func (l *openLedger) statedRoutes() ([]statedRoute, error) {
	var all []statedRoute
	err := l.eachStatement(func(n uint64, s ledger.Statement) {
		if name, p, ok := routePlace(s); ok {
			all = append(all, statedRoute{n, name, p, s})
		}
	})
	return all, err
}

// eachStatement reads the ledger's statements, oldest first.
func (l *openLedger) eachStatement(f func(n uint64, s ledger.Statement)) error {
	size := l.store.Statements()
	for n := range size {
		item, _, _, err := l.store.StatementAt(n, size)
		if err != nil {
			return fmt.Errorf("read statement %d: %w", n, err)
		}
		s, err := ledger.ParseStatement(item)
		if err != nil {
			return fmt.Errorf("read statement %d: %w", n, err)
		}
		f(n, s)
	}
	return nil
}

// name records in the ledger where it is anchored from now on, unless its
// newest statement about the route says so. It is false if the key cannot be
// read, so that there is nothing to record.
func (l *openLedger) name(ctx context.Context, p *place) (bool, error) {
	s, err := p.named(ctx)
	if err != nil || s == nil {
		return false, err
	}
	stated, err := l.statedRoutes()
	if err != nil {
		return false, err
	}
	for i := len(stated) - 1; i >= 0; i-- {
		if stated[i].name != p.chain.Name() {
			continue
		}
		if stated[i].same(*s) {
			return true, nil
		}
		_, now, _ := routePlace(*s)
		switch {
		case p.heir:
			l.log.Info("the ledger names the successor", "route", p.chain.Name())
		case now != nil && now.String() == stated[i].place.String():
			l.log.Info("the ledger states the route anew", "route", p.chain.Name()) // other calendars, which no policy names
		default:
			l.log.Warn("the ledger is anchored at another place from now on: hand out a new policy", "route", p.chain.Name())
		}
		break
	}
	if _, err := l.store.AddStatement(ctx, *s); err != nil {
		return false, fmt.Errorf("record the route: %w", err)
	}
	return true, nil
}
