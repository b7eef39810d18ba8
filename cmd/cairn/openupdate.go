package main

import (
	"context"
	"fmt"

	"cairn/anchor/proof"
	"cairn/store/mirror"
)

// UpdateOf makes the update for some batches: of each, the first final anchor on
// each route that holds it. It shows that they were anchored in time, which the
// newest anchors do not.
func (s *sealedSource) UpdateOf(_ context.Context, batches []uint64) ([]byte, error) {
	l := s.l
	routes, err := l.routesOf()
	if err != nil {
		return nil, err
	}
	p := &prover{
		l: l, routes: routes, state: stateFinal, batches: map[uint64]*provenBatch{}, heads: map[uint64]int{},
		streamBatches: map[uint64][]*provenBatch{}, b: proof.NewBuilder([32]byte(l.store.FirstLogKey()), l.keyring.Nonce()),
	}
	for _, batch := range batches {
		for _, r := range routes {
			a, ok, err := r.Lookup(batch + 1)
			if err != nil {
				return nil, fmt.Errorf("anchors of %s: %w", r.name, err)
			}
			if !ok || len(a.Receipt) == 0 {
				continue
			}
			if err := p.final(r.name, &a); err != nil {
				return nil, err
			}
		}
	}
	if len(p.used) == 0 {
		return nil, mirror.ErrNone
	}
	if err := p.extend(); err != nil {
		return nil, err
	}
	return p.b.File().Encode()
}
