package mirror

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"cairn/anchor/proof"
	"cairn/merkle"
	"cairn/merkle/ledger"
	"cairn/store"
	"cairn/store/share"
)

const (
	// keysWithin is how long after its end an hour may be without keys: a gateway
	// whose clock is not synchronised releases an hour once it is sealed.
	keysWithin = 2 * time.Hour
	// maxScanned is how many groups are looked through for a log-key statement.
	maxScanned = 20_000

	ageMagic = "age-encryption.org/v1\n"
)

// learnKeys looks for statements by which the log went to another key: in what came
// with the keys, in the update file, in the groups to come. Both keys sign such a
// statement, so that it counts wherever it is found.
func (p *pass) learnKeys(ctx context.Context) error {
	before := len(p.c.facts.keys)
	if p.keys != nil {
		p.offer(ctx)
		for _, s := range p.keys.Statements() {
			if err := p.learnKey(s.Item); err != nil {
				return err
			}
		}
	}
	if b, err := p.src.Update(ctx); err == nil && len(b) <= MaxUpdate {
		if f, err := proof.Decode(b); err == nil {
			for i := range f.Statements {
				if err := p.learnKey(f.Statements[i].Item); err != nil {
					return err
				}
			}
		}
	}
	if len(p.c.facts.keys) == before && p.keys != nil {
		if err := p.scanKeys(ctx); err != nil {
			return err
		}
	}
	return p.keepKeys(before)
}

// learnKey takes a statement if it hands over the newest log key.
func (p *pass) learnKey(item []byte) error {
	if rival := p.c.facts.rival(item); rival != nil {
		return p.twoHandovers(rival, item)
	}
	p.c.mu.Lock()
	defer p.c.mu.Unlock()
	_ = p.c.facts.handover(item) // of another kind, or not by this key: it counts for nothing
	return nil
}

// scanKeys looks through the groups that the copy does not have yet.
func (p *pass) scanKeys(ctx context.Context) error {
	from := p.c.st.Next
	for scanned := 0; scanned < maxScanned; {
		refs, err := p.src.Groups(ctx, from)
		if err != nil || len(refs) == 0 || checkRefs(refs, from) != nil {
			return nil // the checkpoint is not opened, and the alarm is about that
		}
		for _, ref := range refs {
			scanned, from = scanned+1, ref.Next
			k, err := p.keys.Key(ledgerName, ref.Hour)
			if err != nil {
				continue
			}
			raw, err := p.src.Group(ctx, ref)
			if err != nil {
				return nil
			}
			g, err := store.OpenGroup(k, p.c.id.Ledger, ref.Hour, ref.First, raw)
			if err != nil {
				return nil
			}
			for _, s := range g.Statements {
				if err := p.learnKey(s.Item); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// keepKeys writes the handovers that were learnt, before a checkpoint rests on them.
func (p *pass) keepKeys(before int) error {
	c := p.c
	if len(c.facts.keys) == before {
		return nil
	}
	st := c.st
	st.Handovers = nil
	for _, k := range c.facts.keys[1:] {
		st.Handovers = append(st.Handovers, k.item)
	}
	return c.putState(st)
}

// checkLogKey holds that the newest checkpoint is signed by the key that the
// statements under it name last.
func (p *pass) checkLogKey(context.Context) error {
	c := p.c
	statements, at := c.st.Statements, c.st.Next
	if n := len(c.live); n > 0 {
		statements, at = uint64(len(c.leaves)), c.live[n-1].Ref.Next
	}
	if c.note == nil || at != c.head.Size {
		return nil // its statements are not all known yet
	}
	_, by, err := c.facts.open(c.note)
	if err != nil {
		return err
	}
	want := c.facts.signer(statements)
	if by == want || !c.facts.keys[by].met {
		return nil
	}
	what := fmt.Sprintf("the checkpoint of %d batches is signed by the log's key %d, and the statements under it name key %d", c.head.Size, by, want)
	return p.lasting(OldKey, what, []evidence{{fmt.Sprintf("wrong-log-key-%d.checkpoint", c.head.Size), c.note}})
}

// followUpdate takes the source's heads and receipts, if they hold and are of this
// log. Which blocks are final is another question: Anchors.
func (p *pass) followUpdate(ctx context.Context) error {
	c := p.c
	b, err := p.src.Update(ctx)
	switch {
	case errors.Is(err, ErrNone), errors.Is(err, ErrNotFound):
		return nil
	case err != nil:
		return p.failed("the update", err)
	case len(b) > MaxUpdate:
		return alarmf(FalseAnswer, "an update of %d bytes", len(b))
	}
	if old, err := c.Update(ctx); err == nil && bytes.Equal(old, b) && len(c.anchored) > 0 {
		return nil
	}
	f, err := p.checkUpdate(b)
	if errors.Is(err, errBeyond) { // a head was anchored since the checkpoint was asked for
		if lerr := p.followLog(ctx); lerr != nil {
			return lerr
		}
		f, err = p.checkUpdate(b)
	}
	if err != nil {
		return err
	}
	if _, err := c.keepAnchors(f); err != nil {
		return err
	}
	return writeFile(filepath.Join(c.dir, updateFile), b, 0o600)
}

// checkUpdate holds that an update file is of this ledger and true by itself, and
// that its heads are the log's. One that is not is the second of two histories.
func (p *pass) checkUpdate(b []byte) (*proof.File, error) {
	f, err := p.readUpdate(b)
	if err != nil {
		return nil, err
	}
	// One that leads from a log key or a place to the next has statements, and with
	// them a level.
	v := proof.Verify(f, proof.Options{})
	if v.False() {
		return nil, alarmf(FalseUpdate, "%s [%s]", v.Reason, v.Code)
	}
	return f, nil
}

// readUpdate reads an update file of this ledger whose heads are the log's.
func (p *pass) readUpdate(b []byte) (*proof.File, error) {
	c := p.c
	f, err := proof.Decode(b)
	if err != nil {
		return nil, alarmf(FalseUpdate, "%w", err)
	}
	if f.Ledger.Key != [32]byte(c.id.LogKey) || f.Ledger.Nonce != c.id.Nonce {
		return nil, alarmf(FalseUpdate, "it is of another ledger")
	}
	// Two signed heads prove a fork, whatever else is in the file.
	for i := range f.Heads {
		if err := p.checkHead(f.Heads[i].Note); err != nil {
			return nil, err
		}
	}
	if n := len(f.Readings) + len(f.Ranges); n != 0 {
		return nil, alarmf(FalseUpdate, "it shows %d readings or ranges, and an update has none", n)
	}
	return f, nil
}

var errBeyond = errors.New("beyond the newest checkpoint")

// checkHead holds a signed head that came with receipts against the log.
func (p *pass) checkHead(note []byte) error {
	c := p.c
	head, _, err := c.facts.open(note)
	if err != nil {
		return alarmf(FalseUpdate, "a head in it: %w", err)
	}
	if head.Size > c.head.Size {
		return alarmf(FalseUpdate, "it has a head of %d batches, %w, which has %d", head.Size, errBeyond, c.head.Size)
	}
	nodes := c.tiles.at(c.head.Size)
	root, err := merkle.RootAt(nodes, head.Size)
	if err != nil || root == head.Root {
		return err
	}
	if head.Size == c.head.Size {
		return p.fork(sideOf(head, note), sideOf(c.head, c.note), nil)
	}
	path, err := merkle.ProveConsistency(nodes, head.Size, c.head.Size)
	if err != nil {
		return err
	}
	return p.fork(sideOf(head, note), sideOf(c.head, c.note), &prefix{root, path})
}

// followBundles takes the bundles of all grants that the source has, whenever an
// hour has begun or a statement was made since the last time.
func (p *pass) followBundles(ctx context.Context) error {
	c := p.c
	hour, err := share.HourOf(c.now().UnixMilli())
	if err != nil {
		return nil //nolint:nilerr // a clock like that is not the source's fault
	}
	at := uint64(hour)<<32 | uint64(len(c.leaves))&(1<<32-1)
	if c.st.Bundled == at {
		return nil
	}
	all, err := p.src.Bundles(ctx)
	if err != nil {
		return p.failed("the list of bundles", err)
	}
	for _, n := range all {
		if n == p.keys.Grant() || !c.granted(n) {
			continue // the own one was taken already
		}
		b, err := p.src.Bundle(ctx, n)
		switch {
		case errors.Is(err, ErrNotFound), errors.Is(err, ErrGone), errors.Is(err, ErrRefused):
			continue // it ended meanwhile
		case err != nil:
			return p.failed(fmt.Sprintf("the bundle of grant %d", n), err)
		case !bytes.HasPrefix(b, []byte(ageMagic)) || len(b) > MaxBundle:
			p.raise(alarmf(FalseBundle, "that of grant %d is no age file", n))
			continue
		}
		if err := p.putBundle(n, b); err != nil {
			return err
		}
	}
	st := c.st
	st.Bundled = at
	return c.putState(st)
}

func (p *pass) putBundle(n uint64, b []byte) error {
	c := p.c
	if have, err := c.Bundle(context.Background(), n); err == nil && bytes.Equal(have, b) {
		return nil
	}
	if err := makeDir(filepath.Join(c.dir, grantsDir)); err != nil {
		return err
	}
	return writeFile(c.bundlePath(n), b, 0o600)
}

// Late says whether the log has stopped: how long ago the newest window ended that
// the copy has, when that is longer than windows allow.
func (c *Copy) Late(windows int) *Alarm {
	head, _, ok := c.Head()
	if !ok {
		return nil
	}
	e, err := c.tiles.entry(head.Size-1, head.Size)
	if err != nil {
		return nil
	}
	h, err := ledger.ParseHeader(e)
	if err != nil {
		return nil
	}
	window := max(c.Window(), time.Duration(h.To-h.From)*time.Millisecond)
	age := c.now().Sub(time.UnixMilli(h.To))
	if age <= time.Duration(windows)*window {
		return nil
	}
	return alarmf(LateCheckpoint, "the newest batch, %d, is of a window that ended %v ago, at %s; windows last %v",
		head.Size-1, age.Round(time.Second), time.UnixMilli(h.To).UTC().Format(time.RFC3339), window)
}
