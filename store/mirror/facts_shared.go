package mirror

import (
	"context"
	"errors"
	"slices"
	"time"

	"cairn/merkle/ledger"
	"cairn/store/share"
)

// removal is that a site has some compartments' objects of before a time no more.
type removal struct {
	compartments []string
	before       int64 // Unix milliseconds
}

// takeShared takes what a statement says of who may have what, and of what the site
// itself has no more. One that contradicts those before changes nothing.
func (f *facts) takeShared(number uint64, s ledger.Statement) {
	switch s.Kind {
	case ledger.KindShred:
		if d, err := ledger.ShredFrom(s); err == nil {
			f.removals = append(f.removals, removal{d.Compartments, d.Before})
		}
	case ledger.KindDropped:
		if d, err := ledger.DroppedFrom(s); err == nil {
			f.removals = append(f.removals, removal{d.Compartments, d.Before})
		}
	default:
		_ = f.grants.Apply(number, s) // one that was applied before is out of order
	}
}

func (f *facts) excused(compartment string, h share.Hour) bool {
	return slices.ContainsFunc(f.removals, func(r removal) bool {
		return h.End() <= r.before && slices.Contains(r.compartments, compartment)
	})
}

// forget forgets what takeShared took, so that all statements can be taken again.
func (f *facts) forget() { f.next, f.grants, f.removals = 0, ledger.Grants{}, nil }

// errUnread says that it is not known who may have what.
var errUnread = errors.New("the statements of the copy have not all been read: make a pass first")

// Grants are all grants that the ledger's private statements have told of, as they
// are now: none for a copy whose keys do not open these. Until all that the folder
// has were read it fails: the end of a grant may be among the others.
func (c *Copy) Grants(context.Context) ([]ledger.Grant, error) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if !c.recalled {
		return nil, errUnread
	}
	return c.facts.grants.All(), nil
}

// granted reports whether a grant's bundle is worth to be kept: it is served.
func (c *Copy) granted(n uint64) bool {
	c.mu.RLock()
	defer c.mu.RUnlock()
	g, ok := c.facts.grants.Get(n)
	return ok && c.recalled && g.Serves(c.now().UnixMilli())
}

// newestWindow is when the newest window began, of a log of this size.
type newestWindow struct {
	size uint64
	from time.Time
}

// Now is the time by the copy's clock, and not before the newest window that the copy
// has: a clock that was put back does not open again what has ended.
func (c *Copy) Now() time.Time {
	now := c.now()
	c.mu.RLock()
	newest, size := c.newest, c.head.Size
	c.mu.RUnlock()
	if size > newest.size || size > 0 && newest.from.IsZero() {
		if h, err := c.header(size - 1); err == nil {
			newest = newestWindow{size, time.UnixMilli(h.From)}
			c.mu.Lock()
			c.newest = newest
			c.mu.Unlock()
		}
	}
	if newest.from.After(now) {
		return newest.from
	}
	return now
}
