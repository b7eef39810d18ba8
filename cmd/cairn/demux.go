package main

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"cairn/ingest"
	"cairn/store"
)

// Intake knows each device by one number, each ledger numbers its own. A number
// of intake's is the index of the ledger in the top byte and the ledger's number
// below; it lives as long as the process and is kept nowhere. The default ledger
// has index 0, so there both are the same.
const (
	numberBits = 24
	maxJoined  = 1<<numberBits - 1
)

func joinNumber(index int, number uint32) (uint32, error) {
	if index < 0 || index >= maxLedgers || number > maxJoined {
		return 0, fmt.Errorf("device %d of ledger %d: a gateway takes in %d ledgers, each with devices up to number %d", number, index, maxLedgers, maxJoined)
	}
	return uint32(index)<<numberBits | number, nil
}

func splitNumber(joined uint32) (index int, number uint32) {
	return int(joined >> numberBits), joined & maxJoined
}

const (
	// laneWait is how long intake waits for one ledger's store while the others
	// wait behind it: less than intake's own queue can hold, more than a slow
	// disk takes for a moment.
	laneWait = 10 * time.Second
	// laneTry is how long it waits for a store that did not answer in time.
	laneTry = time.Millisecond
)

// committer is the gateway's stores as intake sees them. Arrivals of one ledger
// keep their order; what one store refuses is refused to its senders alone.
// Submit is called from one goroutine.
type committer []*lane

// lane leads to one ledger's store.
type lane struct {
	name   string
	submit func(context.Context, []store.Arrival) error
	log    *slog.Logger
	behind atomic.Bool // it did not take what it was given within laneWait, and nothing since
}

func newCommitter(ledgers []*openLedger) committer {
	c := make(committer, len(ledgers))
	for i, l := range ledgers {
		l.lane = &lane{name: l.cfg.Name, submit: l.store.Submit, log: l.log}
		c[i] = l.lane
	}
	return c
}

// Submit implements [ingest.Committer]. With one ledger it waits as long as ctx
// lets it. With several no store can hold up the others for longer than laneWait:
// then what is for it is refused until it takes something again.
func (c committer) Submit(ctx context.Context, a []ingest.Arrival) error {
	if len(c) == 1 {
		out := make([]store.Arrival, len(a))
		for i := range a {
			out[i] = store.Arrival(a[i])
		}
		return c[0].submit(ctx, out)
	}
	parts := make([][]store.Arrival, len(c))
	for i := range a {
		index, number := splitNumber(a[i].Device)
		out := store.Arrival(a[i])
		out.Device = number
		if index >= len(c) {
			refuse("", []store.Arrival{out}, store.ErrUnknown)
			continue
		}
		parts[index] = append(parts[index], out)
	}
	for i, part := range parts {
		if len(part) == 0 {
			continue
		}
		if err := c[i].offer(ctx, part); err != nil {
			refuse(c[i].name, part, err)
		}
	}
	return nil
}

// offer gives arrivals to the store, all or none of them.
func (l *lane) offer(ctx context.Context, part []store.Arrival) error {
	wait, behind := laneWait, l.behind.Load()
	if behind {
		wait = laneTry
	}
	waiting, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	err := l.submit(waiting, part)
	switch late := err != nil && waiting.Err() != nil && ctx.Err() == nil; {
	case late && !behind:
		l.behind.Store(true)
		l.log.Error("the store does not keep up: its readings are refused until it does", "waited", laneWait.String())
	case err == nil && behind:
		l.behind.Store(false)
		l.log.Warn("the store keeps up again")
	}
	return err
}

// refuse tells arrivals that their ledger did not take them.
func refuse(name string, part []store.Arrival, err error) {
	err = fmt.Errorf("%w: ledger %s: %w", ingest.ErrRefused, name, err)
	for i := range part {
		if done := part[i].Done; done != nil {
			done(part[i].Verdict, 0, 0, 0, false, err)
		}
	}
}
