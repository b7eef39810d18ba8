package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"cairn/anchor/witness"
	"cairn/merkle"
)

const (
	// witnessPoll is the time between looks for a newer checkpoint.
	witnessPoll = 500 * time.Millisecond
	// A witness that gave no cosignature is asked again after a time that doubles
	// between these two.
	minWitnessPause = time.Second
	maxWitnessPause = 5 * time.Minute
	// maxWitnessSpread is the longest time by which the question for a new head is
	// put off: windows end at the same moment everywhere.
	maxWitnessSpread = 5 * time.Second
)

// asked is one witness of a running ledger.
type asked struct {
	l      *openLedger
	cfg    *WitnessConfig
	client *witness.Client

	// Owned by the goroutine that asks.
	pause time.Duration
	due   time.Time // not before
	seen  uint64    // the newest head that due was set for
	told  string    // what the guard was told: "", "ok", or the objection

	mu    sync.Mutex // covers what follows
	known uint64     // size that it cosigned last, as far as is known
	ours  uint64     // … of those that are kept here
	at    time.Time  // of that cosignature
	bad   error      // why the last question gave none
	since time.Time  // of the first of the questions in a row that gave none
}

// makeWitnesses makes the clients of the ledger's witnesses, and reads what they
// cosigned before. It asks nobody.
func (l *openLedger) makeWitnesses() error {
	if len(l.cfg.Witnesses) == 0 {
		return nil
	}
	var err error
	if l.cosigned, err = l.openCosigned(); err != nil {
		return err
	}
	for i := range l.cfg.Witnesses {
		w := &l.cfg.Witnesses[i]
		c, err := witness.NewClient(witness.ClientConfig{URL: w.URL, Key: w.key})
		if err != nil {
			return fmt.Errorf("%s%s[%d]: %w", l.cfg.prefix(), keyWitnesses, i, err)
		}
		l.witnesses = append(l.witnesses, &asked{l: l, cfg: w, client: c})
	}
	l.guard.waits = true
	return nil
}

// askWitnesses asks all witnesses until ctx ends. What the first round says about
// whether this log holds the heads that they know is judged as a whole: one that
// objects must not come too late because another one answered sooner.
func (l *openLedger) askWitnesses(ctx context.Context) {
	if len(l.witnesses) == 0 {
		return
	}
	var group sync.WaitGroup
	for _, w := range l.witnesses {
		group.Go(func() { w.ask(ctx) })
	}
	group.Wait()
	l.guardOpens(ctx)
	for _, w := range l.witnesses {
		group.Go(func() { w.follow(ctx) })
	}
	group.Wait()
	for _, w := range l.witnesses {
		w.client.Close()
	}
}

// follow asks for each new head, and again where there was no cosignature.
func (w *asked) follow(ctx context.Context) {
	tick := time.NewTicker(witnessPoll)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if w.wants(time.Now()) {
				w.ask(ctx)
			}
		}
	}
}

// wants reports whether it is time to ask: always for the newest head only.
func (w *asked) wants(now time.Time) bool {
	_, size, ok := w.l.store.Checkpoint()
	w.mu.Lock()
	ours, bad := w.ours, w.bad
	w.mu.Unlock()
	if bad == nil && (!ok || size <= ours) {
		return false
	}
	if bad == nil && size > w.seen {
		w.seen = size
		w.due = now.Add(rand.N(min(w.l.g.cfg.Window/10, maxWitnessSpread) + 1))
	}
	return !now.Before(w.due)
}

// ask has the newest head cosigned. Before there is any it is asked for the empty
// log's: what it answers is the size that it knows, and nothing is lost by signing
// what every log begins with.
func (w *asked) ask(ctx context.Context) {
	note, size, ok := w.l.store.Checkpoint()
	var err error
	if !ok {
		note, err = w.l.store.CheckpointAt(0)
	}
	var got witness.Cosignature
	if err == nil {
		got, err = w.client.Cosign(ctx, note, size, w.guess(size), func(old uint64) ([]merkle.Hash, error) {
			return merkle.ProveConsistency(w.l.store.LogNodes(), old, size)
		})
	}
	if err == nil && size > 0 {
		err = w.l.cosigned.add(size, w.cfg.key, got)
	}
	if ctx.Err() != nil {
		return
	}
	w.note(ctx, size, got, w.l.explain(err))
	w.tellGuard(ctx, err)
}

// guess is the size that the witness most likely cosigned last.
func (w *asked) guess(size uint64) uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ours == 0 {
		return size
	}
	return w.ours
}

// explain says what an operator can do about an error.
func (l *openLedger) explain(err error) error {
	switch {
	case errors.Is(err, witness.ErrUnknownLog), errors.Is(err, witness.ErrUntrusted):
		return fmt.Errorf("%w: give its operator the key %s", err, l.logKey())
	}
	return err
}

// note keeps what came of a question.
func (w *asked) note(ctx context.Context, size uint64, got witness.Cosignature, err error) {
	w.mu.Lock()
	before := w.bad
	w.bad = err
	var ahead *witness.AheadError
	switch {
	case err == nil:
		w.known, w.ours, w.at, w.since = size, size, time.Unix(int64(got.Time), 0), time.Time{}
	case errors.As(err, &ahead):
		w.known = ahead.Size
	}
	if err != nil && before == nil {
		w.since = time.Now()
	}
	w.mu.Unlock()
	if err == nil {
		w.pause = 0
		if before != nil {
			w.l.log.Info("witness is well again", "witness", w.cfg.Name, "batches", size)
		}
		return
	}
	if before == nil || before.Error() != err.Error() {
		w.l.log.Warn("witness gave no cosignature", "witness", w.cfg.Name, "batches", size, "error", err)
	}
	w.pause = min(max(2*w.pause, minWitnessPause), maxWitnessPause)
	w.due = time.Now().Add(w.pause/2 + rand.N(w.pause))
}

// tellGuard says whether the log holds the newest head that the witness knows, if
// it said anything about that. One that does not know the log knows no head of it.
func (w *asked) tellGuard(ctx context.Context, err error) {
	verdict := ""
	switch {
	case err == nil, errors.Is(err, witness.ErrUnknownLog):
		verdict = "ok"
	case errors.Is(err, witness.ErrAhead) && w.holds(ctx):
		verdict = "ok"
	case errors.Is(err, witness.ErrAhead), errors.Is(err, witness.ErrFork):
		verdict = err.Error()
	}
	if verdict == "" || verdict == w.told {
		return
	}
	w.told = verdict
	w.l.guarded(ctx, "witness "+w.cfg.Name, verdict == "ok", fmt.Sprintf("witness %s: %s", w.cfg.Name, verdict))
}

// holds reports whether the log, signed or not, holds the larger head that the
// witness shows.
func (w *asked) holds(ctx context.Context) bool {
	note, err := w.client.Latest(ctx, w.l.store.Origin())
	if err != nil {
		return false
	}
	c, err := w.l.store.OpenCheckpoint(note)
	if err != nil {
		return false
	}
	root, err := w.l.store.RootAt(c.Size)
	return err == nil && root == c.Root
}
