package mirror

import (
	"context"
	"testing"
	"time"

	"cairn/store"
)

// TestListedAfterPause: a gateway that was off for hours seals many groups at once.
// The next window lists them, and nobody calls that a lie; one that never does is
// found out.
func TestListedAfterPause(t *testing.T) {
	paused := func() (*site, *Copy) {
		s := newSite(t)
		s.close(3)
		c := s.open(t.TempDir(), Options{})
		follow(t, c, s, s.keys())
		var held []store.ListedObject
		for range 2 * listedWithin {
			s.close(1)
			s.seal()
			held, s.pending = append(held, s.pending...), nil
		}
		s.pending = held
		return s, c
	}
	s, c := paused()
	follow(t, c, s, s.keys()) // no window lists them yet
	s.close(1)
	follow(t, c, s, s.keys())

	s, c = paused()
	held := s.pending
	s.pending = nil
	for range 2 * listedWithin {
		s.close(1)
		s.seal()
		held, s.pending = append(held, s.pending...), nil
	}
	follow(t, c, s, s.keys())
	s.close(listedWithin + 1)
	if err := c.Follow(t.Context(), s, s.keys(), nil); !raised(err, UnlistedObject) {
		t.Errorf("got %v of a log that lists nothing", err)
	}
	s.pending = held
	s.close(1)
	follow(t, c, s, s.keys()) // in a live group
}

// TestMirrorOfPausedGateway is that of a real store, followed at every step.
func TestMirrorOfPausedGateway(t *testing.T) {
	g := newGateway(t, 0)
	g.bind(nil)
	g.pass(time.Minute)
	c := g.copy(t)
	follow(t, c, g, gatewayKeys{g})
	if err := g.s.Close(); err != nil {
		t.Fatal(err)
	}
	g.now = g.now.Add(8 * time.Hour)
	g.open()
	if err := g.s.AllowSigning(context.Background()); err != nil {
		t.Fatal(err)
	}
	g.sealed()
	for range 40 {
		follow(t, c, g, gatewayKeys{g})
		g.pass(time.Minute)
	}
	if _, _, n := c.Sealed(); n < 2*listedWithin {
		t.Errorf("got %d groups", n)
	}
}

// copy opens an empty copy of the gateway's ledger.
func (g *gateway) copy(t testing.TB) *Copy {
	t.Helper()
	c, err := Open(t.TempDir(), Options{Ledger: Identity{Ledger: g.s.Ledger(), LogKey: g.s.FirstLogKey(), Nonce: g.keys.Nonce()}, Now: g.clock})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

var _ Source = (*gateway)(nil)
