package conform

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"cairn/anchor"
)

// maxLive bounds the heads that are tried to tell how far a live chain is.
const maxLive = 100_000

// goOnFromChain lets the log begin at the head that a live chain has of an
// earlier run.
func (s *stage) goOnFromChain() {
	s.t.Helper()
	chain := s.world.Open()
	switch c := chain.(type) {
	case interface{ Close() }:
		defer c.Close()
	case interface{ Close() error }:
		defer c.Close()
	}
	ctx, cancel := context.WithTimeout(s.t.Context(), s.h.Patience)
	defer cancel()
	tick := time.NewTicker(s.cfg.Poll)
	defer tick.Stop()
	var head anchor.Root
	for {
		err := chain.Ready(ctx)
		if err == nil {
			head, err = chain.Stored(ctx)
		}
		if err == nil || errors.Is(err, anchor.ErrNoHead) {
			break
		}
		s.t.Logf("not ready: %v", err)
		select {
		case <-tick.C:
		case <-ctx.Done():
			s.t.Fatalf("the chain is not ready: %v", err)
		}
	}
	if head == (anchor.Root{}) {
		return
	}
	for n := uint64(1); n <= maxLive; n++ {
		if rootOf(n) == head {
			s.log.size = n
			return
		}
	}
	s.t.Fatalf("the chain holds the head %s, which is none of this suite: give it a key of its own", head)
}

// tell logs each anchor on a live chain that is final: where and when it is,
// how long it took from its first signature on, and what it cost.
func (s *stage) tell() {
	s.t.Helper()
	if !s.h.Live {
		return
	}
	if s.told == nil {
		s.told = map[string]bool{}
	}
	all, unit := s.journal.finals(s.t), ""
	if s.route != nil {
		unit = s.route.Status().Unit
	}
	for _, key := range slices.Sorted(maps.Keys(all)) {
		a := all[key]
		if s.told[key] || len(a.Attempts) == 0 || a.Included == nil {
			continue
		}
		s.told[key] = true
		cost, signed := anchor.Amount(0), time.UnixMilli(a.Attempts[0].SignedAt)
		for _, at := range a.Attempts {
			cost += at.Cost
		}
		b := a.Included
		s.t.Logf("anchor of size %d: block %d of %s, final (%s) %s after its first signature, %d attempts, cost %d %s", a.Size,
			b.Height, time.UnixMilli(b.Time).UTC().Format(time.RFC3339), a.FinalRule, time.UnixMilli(a.FinalAt).Sub(signed).Round(time.Second),
			len(a.Attempts), cost, unit)
	}
}
