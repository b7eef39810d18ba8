package anchor_test

import (
	"testing"
	"time"

	"cairn/anchor"
	"cairn/anchor/conform"
)

// TestConform runs the suite that real chains stand on the tests' own chain.
func TestConform(t *testing.T) {
	conform.Run(t, conform.Harness{
		New:     func(testing.TB) conform.World { return anchor.NewFakeChain(5) },
		Pending: 4, Deep: true, Tune: quick,
	})
}

// TestConformWithoutHead does so with a chain that keeps no head and is free.
func TestConformWithoutHead(t *testing.T) {
	conform.Run(t, conform.Harness{
		New: func(testing.TB) conform.World {
			c := anchor.NewFakeChain(3)
			c.NoHead()
			return freeChain{c}
		},
		Pending: 2, Tune: quick,
	})
}

type freeChain struct{ *anchor.FakeChain }

func (f freeChain) Open() anchor.Chain { return f.Free() }

func quick(cfg *anchor.Config) {
	cfg.Every, cfg.Poll, cfg.Resend, cfg.Recheck = 20*time.Millisecond, 5*time.Millisecond, 50*time.Millisecond, 50*time.Millisecond
}
