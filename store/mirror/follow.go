package mirror

import (
	"context"
	"errors"
	"fmt"
	"time"

	"cairn/merkle"
)

// Progress says how far a pass is.
type Progress struct {
	Phase    string // "log", "groups", "objects"
	Done, Of uint64 // batches, or objects
}

// Report is told of progress, at most a few times a second; nil: nobody is.
type Report func(Progress)

const reportEvery = 250 * time.Millisecond

// pass is one round of following a source.
type pass struct {
	c      *Copy
	src    Source
	keys   Keys
	report Report
	told   time.Time
	alarms []error // that let the pass go on

	tree   merkle.Tree // of statements, before the group that begins with batch treeOf
	treeOf uint64

	unlisted []unlisted // what neither sealed nor live groups list; nil: not known
}

// Follow brings the copy up to what the source has, and holds everything against
// what the ledger's key signed before it becomes part of the copy:
//
//	log         the checkpoint is signed by the log's key; the entries are batch
//	            headers, and appended to the copy's own tree they give the signed root
//	groups      each group object hashes to its name, opens under the ledger's keys
//	            and fits the headers; its statements continue the copy's
//	objects     each hashes to its name, and a later header lists that name
//	statements  private ones are those of the leaves
//	update      the receipts and heads in it hold, and its heads are the copy's; the
//	            older anchors that are lacking likewise
//	bundles     the own one opens; the others are kept as they are
//
// What is false raises an alarm (Alarms finds them in the error) and changes
// nothing. A pass that was broken off goes on where it was, at any point: see the
// package doc for the order of its writes. Without keys the log alone is followed.
func (c *Copy) Follow(ctx context.Context, src Source, keys Keys, report Report) error {
	c.pass.Lock()
	defer c.pass.Unlock()
	p := &pass{c: c, src: src, keys: keys, report: report}
	return p.run(ctx)
}

func (p *pass) run(ctx context.Context) error {
	if p.keys != nil {
		p.offer(ctx)
		if err := p.openNoted(ctx); err != nil {
			p.raise(err)
		}
	}
	if err := p.followLog(ctx); err != nil {
		return errors.Join(append(p.alarms, err)...)
	}
	steps := []func(context.Context) error{p.followUpdate, p.followAnchors}
	if p.keys != nil {
		steps = []func(context.Context) error{p.followGroups, p.checkListed, p.checkLogKey, p.retry, p.followUpdate, p.followAnchors, p.followBundles}
	}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			p.alarms = append(p.alarms, err)
		}
		if ctx.Err() != nil {
			break
		}
	}
	return errors.Join(p.alarms...)
}

// failed says what an error of the source is worth.
func (p *pass) failed(what string, err error) error {
	var a *Alarm
	switch {
	case errors.As(err, &a), errors.Is(err, context.Canceled):
		return err
	case errors.Is(err, ErrGone):
		return alarmf(NoMore, "%s: %w", what, err)
	case errors.Is(err, ErrTooLong):
		return alarmf(FalseAnswer, "%s: %w", what, err)
	}
	return alarmf(Unreachable, "%s: %w", what, err)
}

// raise notes an alarm with which the pass goes on.
func (p *pass) raise(a error) { p.alarms = append(p.alarms, a) }

func (p *pass) tell(at Progress) {
	if p.report == nil || at.Done < at.Of && time.Since(p.told) < reportEvery {
		return
	}
	p.told = time.Now()
	p.report(at)
}

// offer shows the keys the own grant's bundle as the source has it now.
func (p *pass) offer(ctx context.Context) bool {
	b, err := p.src.Bundle(ctx, p.keys.Grant())
	if err != nil {
		return false // those that are at hand may be enough
	}
	more, err := p.keys.Offer(p.keys.Grant(), b)
	if err != nil {
		p.raise(alarmf(FalseBundle, "the own grant's, %d: %w", p.keys.Grant(), err))
		return false
	}
	if _, err := p.c.Bundle(ctx, p.keys.Grant()); !more && err == nil {
		return false
	}
	if err := p.putBundle(p.keys.Grant(), b); err != nil {
		p.raise(fmt.Errorf("keep the bundle: %w", err))
	}
	return more
}
