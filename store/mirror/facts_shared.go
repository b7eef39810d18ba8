package mirror

import (
	"context"
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

// Grants are all grants that the ledger's private statements have told of, as they
// are now: none for a copy whose keys do not open these.
func (c *Copy) Grants(context.Context) ([]ledger.Grant, error) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.facts.grants.All(), nil
}

// granted reports whether a grant's bundle is worth to be kept: it is served.
func (c *Copy) granted(n uint64) bool {
	c.mu.RLock()
	defer c.mu.RUnlock()
	g, ok := c.facts.grants.Get(n)
	return ok && g.Serves(c.now().UnixMilli())
}

// Now is the time by the copy's clock.
func (c *Copy) Now() time.Time { return c.now() }
