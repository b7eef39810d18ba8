package mirror

import (
	"context"
	"fmt"
	"slices"
	"time"

	"cairn/merkle"
	"cairn/merkle/ledger"
	"cairn/store"
	"cairn/store/share"
)

// Listing says what a group of the copy is and which objects it has.
func (c *Copy) Listing(keys Keys, first uint64) (store.GroupRef, []store.ObjectRef, error) {
	c.mu.RLock()
	ref, ok := c.refOf(first)
	c.mu.RUnlock()
	if !ok {
		return ref, nil, ErrNotFound
	}
	g, err := c.group(keys, ref)
	if err != nil {
		return ref, nil, err
	}
	return ref, g.Objects, nil
}

// refOf finds a group, sealed or live; c.mu is held.
func (c *Copy) refOf(first uint64) (store.GroupRef, bool) {
	if i, ok := c.find(first); ok {
		return c.groups[i], true
	}
	for _, l := range c.live {
		if l.Ref.First == first {
			ref, err := l.Ref.ref()
			return ref, err == nil
		}
	}
	return store.GroupRef{}, false
}

// group opens a group object that was checked when it came.
func (c *Copy) group(keys Keys, ref store.GroupRef) (*store.Group, error) {
	raw, err := readLimited(c.groupPath(ref.First), maxGroupBytes)
	if err != nil {
		return nil, err
	}
	if hashOf(raw) != ref.Object {
		return nil, fmt.Errorf("%w: the object of group %d", ErrDamaged, ref.First)
	}
	k, err := keys.Key(ledgerName, ref.Hour)
	if err != nil {
		return nil, err
	}
	return store.OpenGroup(k, c.id.Ledger, ref.Hour, ref.First, raw)
}

// learn takes what the statements of a group say.
func (p *pass) learn(o *opened, st *state) error {
	all := o.items
	for i, s := range o.g.Statements {
		if s.Item != nil {
			all = append(all, Statement{o.g.FirstStatement + uint64(i), s.Item, s.Salt})
		}
	}
	return p.take(all, st)
}

// take takes statements in order of their numbers.
func (p *pass) take(all []Statement, st *state) error {
	sortStatements(all)
	before := len(p.c.facts.keys)
	for _, s := range all {
		if kindOf(s.Item) == ledger.KindLogKey {
			if err := p.learnKey(s.Item); err != nil {
				return err
			}
		}
		p.c.mu.Lock()
		p.c.facts.take(s)
		p.c.mu.Unlock()
	}
	if len(p.c.facts.keys) != before {
		st.Handovers = nil
		for _, k := range p.c.facts.keys[1:] {
			st.Handovers = append(st.Handovers, k.item)
		}
	}
	return nil
}

// openNoted opens the statements of the groups that the copy has, once after it was
// opened: who may have what, and what was shredded.
func (p *pass) openNoted(ctx context.Context) error {
	return p.c.recall(ctx, p.keys)
}

// recall reads all of them, those of live groups too, or fails, and is to be called
// again then. c.pass is held.
func (c *Copy) recall(ctx context.Context, keys Keys) error {
	if c.recalled {
		return nil
	}
	firsts := slices.Clone(c.st.Noted)
	for _, l := range c.live {
		firsts = append(firsts, l.Ref.First)
	}
	c.mu.Lock()
	c.facts.forget()
	c.mu.Unlock()
	for _, s := range keys.Statements() {
		if kindOf(s.Item) == ledger.KindGenesis {
			c.mu.Lock()
			c.facts.take(s)
			c.mu.Unlock()
		}
	}
	for _, first := range firsts {
		if err := ctx.Err(); err != nil {
			return err
		}
		c.mu.RLock()
		ref, ok := c.refOf(first)
		c.mu.RUnlock()
		if !ok {
			continue
		}
		g, err := c.group(keys, ref)
		if err != nil {
			return err
		}
		o := &opened{ref: ref, g: g, fetched: map[merkle.Hash][]byte{}}
		for _, obj := range g.Objects {
			if obj.Name == statementsName {
				if b, err := c.Object(ctx, first, obj); err == nil {
					o.fetched[obj.Hash] = b
				}
			}
		}
		if err := o.private(keys); err != nil {
			return err
		}
		p := &pass{c: c, keys: keys}
		st := c.st
		if err := p.learn(o, &st); err != nil {
			return err
		}
	}
	c.mu.Lock()
	c.recalled = true
	c.mu.Unlock()
	return nil
}

// Window is how long a window of the ledger lasts, by its first statement; 0 if
// nobody has shown that.
func (c *Copy) Window() time.Duration {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.facts.window
}

// excused reports whether a statement says why an object is there no more.
func (c *Copy) excused(compartment string, h share.Hour) bool {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.facts.excused(compartment, h)
}
