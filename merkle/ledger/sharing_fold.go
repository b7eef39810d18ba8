package ledger

import (
	"fmt"
	"slices"
)

// Grants is what a ledger's statements say about who may see what. The zero
// value is that of a ledger without any. It is not safe for concurrent changes.
type Grants struct {
	all  []Grant // by number
	said []numbered
}

// numbered is a statement about grants that was applied.
type numbered struct {
	number uint64
	s      Statement
}

// Apply takes the statement of that number in; statements are applied in their
// order. One of another kind changes nothing. An ErrInvalid is returned for one
// that contradicts those before, which then changes nothing either: the end or
// renewal of a grant that is not there or has ended, or a number out of order.
func (g *Grants) Apply(number uint64, s Statement) error {
	var err error
	switch s.Kind {
	case KindGrant, KindGrantEnd, KindGrantRenew:
		if n := len(g.said); n > 0 && number <= g.said[n-1].number {
			return fmt.Errorf("statement %d: %w: a %s after that of statement %d", number, ErrInvalid, s.Kind, g.said[n-1].number)
		}
	}
	switch s.Kind {
	case KindGrant:
		err = g.add(number, s)
	case KindGrantEnd:
		err = g.end(s)
	case KindGrantRenew:
		err = g.renew(s)
	default:
		return nil
	}
	if err != nil {
		return fmt.Errorf("statement %d: %w", number, err)
	}
	g.said = append(g.said, numbered{number, s})
	return nil
}

func (g *Grants) add(number uint64, s Statement) error {
	made, err := GrantFrom(s)
	if err != nil {
		return err
	}
	made.Number = number
	g.all = append(g.all, made)
	return nil
}

func (g *Grants) end(s Statement) error {
	e, err := GrantEndFrom(s)
	if err != nil {
		return err
	}
	i, has := g.index(e.Grant)
	if !has {
		return invalid(fmt.Sprintf("a %s of no grant: %d", s.Kind, e.Grant))
	}
	grant := &g.all[i]
	if grant.Ended != nil && !TakesAway(grant, &e) {
		return invalid(fmt.Sprintf("a %s of grant %d, which has ended and loses nothing by it", s.Kind, e.Grant))
	}
	if grant.Ended != nil && e.Reason == "" {
		e.Reason = grant.Ended.Reason
	}
	// An end takes hours away and never adds any.
	if grant.Until == nil || e.Until < *grant.Until {
		grant.Until = &e.Until
	}
	if e.Access != nil {
		grant.Access = e.Access
	}
	grant.Ended = &e
	return nil
}

func (g *Grants) renew(s Statement) error {
	r, err := GrantRenewFrom(s)
	if err != nil {
		return err
	}
	grant, err := g.going(r.Grant, s.Kind)
	if err != nil {
		return err
	}
	if r.Until != nil && *r.Until <= grant.From || r.Access != nil && *r.Access <= grant.From {
		return invalid("a " + s.Kind + " up to before the grant's from")
	}
	grant.Until, grant.Access = r.Until, r.Access
	if r.Recipients != nil {
		grant.Recipients = r.Recipients
	}
	grant.Renewed++
	return nil
}

// TakesAway reports whether an end leaves a grant with fewer hours, or a shorter
// access, than it has, and with no longer one: an ended grant is ended again by
// nothing else.
func TakesAway(g *Grant, e *GrantEnd) bool {
	if e.Access != nil && g.Access != nil && *e.Access > *g.Access {
		return false
	}
	return g.Until == nil || e.Until < *g.Until || e.Access != nil && (g.Access == nil || *e.Access < *g.Access)
}

// going returns the grant of that number, which has not ended.
func (g *Grants) going(number uint64, kind string) (*Grant, error) {
	i, has := g.index(number)
	switch {
	case !has:
		return nil, invalid(fmt.Sprintf("a %s of no grant: %d", kind, number))
	case g.all[i].Ended != nil:
		return nil, invalid(fmt.Sprintf("a %s of grant %d, which has ended", kind, number))
	}
	return &g.all[i], nil
}

func (g *Grants) index(number uint64) (int, bool) {
	return slices.BinarySearchFunc(g.all, number, func(a Grant, n uint64) int {
		switch {
		case a.Number < n:
			return -1
		case a.Number > n:
			return 1
		}
		return 0
	})
}

// All returns every grant ever made as it is now, in the order of their
// numbers. The caller owns the slice and changes nothing behind it.
func (g *Grants) All() []Grant { return slices.Clone(g.all) }

// Get returns the grant of that number, if there is one.
func (g *Grants) Get(number uint64) (Grant, bool) {
	i, has := g.index(number)
	if !has {
		return Grant{}, false
	}
	return g.all[i], true
}

// Token returns the grant whose access token has that SHA-256, if there is one.
func (g *Grants) Token(digest [32]byte) (Grant, bool) {
	i := slices.IndexFunc(g.all, func(a Grant) bool { return a.Token == digest })
	if i < 0 {
		return Grant{}, false
	}
	return g.all[i], true
}

// AsOf returns the grants as the statements made up to a time, Unix
// milliseconds, said it: those that had been made by then, as they were then.
func (g *Grants) AsOf(at int64) []Grant {
	var then Grants
	for _, n := range g.said {
		if n.s.At <= at {
			// What is refused here was said of a grant that a wrong clock dated
			// after at.
			_ = then.Apply(n.number, n.s)
		}
	}
	return then.all
}
