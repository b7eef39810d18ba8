package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"cairn/merkle"
	"cairn/store/share"
)

// A live group is what a quarter hour has so far: its closed batches under the
// newest checkpoint, whose commits are still there, sealed as they will be but in
// memory, with random bytes of their own. No header lists its objects, and nothing
// of it survives a start.
const (
	liveMost  = 4        // that are live at once: of the open quarter hour, and of ended ones
	liveKept  = 8        // groups in memory, those included that were replaced
	liveBytes = 16 << 20 // of objects in memory; beyond it they are made again
)

// liveGroups keeps the live groups that were made last. While it makes one,
// whoever else wants one waits: it will mostly be the same.
type liveGroups struct {
	mu   sync.Mutex // covers making; taken before Store.sealing
	kept struct {
		sync.Mutex
		all []*liveGroup // oldest first
	}
}

// liveGroup is one of them; nothing changes in it once it is kept.
type liveGroup struct {
	group   batchGroup
	nonce   uint64
	ref     GroupRef
	object  []byte                 // the group object
	objects map[merkle.Hash][]byte // the others; nil: it was too much
	bytes   int
	want    merkle.Hash // of the object that it is made again for
	found   []byte
}

func (g *liveGroup) keep(row *segmentRow, object []byte) {
	hash := row.sealed
	if row.key.Compartment == share.Ledger {
		g.ref = GroupRef{First: row.key.First, Next: row.next, Hour: share.Hour(row.key.Hour), Live: true, Object: hash, Size: int64(row.size)}
		g.object = object
		g.bytes += len(object)
		return
	}
	if hash == g.want {
		g.found = object
	}
	if g.bytes+len(object) > liveBytes {
		object = nil
	}
	g.bytes += len(object)
	g.objects[hash] = object
}

// errSealed tells that a quarter hour was sealed meanwhile.
var errSealed = errors.New("sealed meanwhile")

// groups makes and lists the live groups that end beyond from, up to the newest
// checkpoint; the first of them begins at sealFrom.
func (c *liveGroups) groups(ctx context.Context, s *Store, sealFrom, from uint64, max int) ([]GroupRef, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s.sealing.Lock() // so that commits stay, and the streams' trails are those of SealFrom
	defer s.sealing.Unlock()
	r := s.reader()
	defer r.close()
	if r.v.state.SealFrom != sealFrom {
		return nil, errSealed
	}
	var out []GroupRef
	first := sealFrom
	for n := 0; first < r.v.signed && len(out) < max; n++ {
		if n == liveMost {
			return nil, ErrSealing
		}
		b, err := r.batchesOfHour(first, r.v.signed)
		if err != nil {
			return nil, err
		}
		if first = b.next; b.next <= from {
			continue
		}
		g := c.find(func(g *liveGroup) bool { return g.group == *b })
		if g == nil {
			if g, err = r.makeLive(ctx, b, drawNonce(), noHash); err != nil {
				return nil, fmt.Errorf("live group %d: %w", b.first, err)
			}
		}
		c.add(g)
		out = append(out, g.ref)
	}
	return out, nil
}

// batchesOfHour gives the batches from first on, before end, that make one group:
// of one quarter hour, and not more than one object may have.
func (r *reader) batchesOfHour(first, end uint64) (*batchGroup, error) {
	var g *batchGroup
	leaves := 0
	for at := first; at < end; at++ {
		w, err := r.s.windowRow(r.snap, at)
		if err != nil {
			return nil, err
		}
		if g == nil {
			g = &batchGroup{hour: w.Window.hour(), first: first, from: w.Window.FirstCommit}
		}
		leaves += 1 << w.Depth
		if w.Window.hour() != g.hour || at > first && (leaves > r.s.opt.leaves || at-first == maxGroupBatch) {
			break
		}
		g.next, g.to = at+1, w.Window.NextCommit
	}
	return g, nil
}

// makeLive seals a live group. The caller holds Store.sealing.
func (r *reader) makeLive(ctx context.Context, b *batchGroup, nonce uint64, want merkle.Hash) (*liveGroup, error) {
	l := newSealer(r, *b)
	l.row.Nonce = nonce
	r.sealing.row.Nonce = nonce
	l.live = &liveGroup{group: *b, nonce: nonce, objects: map[merkle.Hash][]byte{}, want: want}
	if err := l.run(ctx); err != nil {
		return nil, err
	}
	return l.live, nil
}

func (c *liveGroups) find(fits func(*liveGroup) bool) *liveGroup {
	c.kept.Lock()
	defer c.kept.Unlock()
	for i := len(c.kept.all) - 1; i >= 0; i-- {
		if fits(c.kept.all[i]) {
			return c.kept.all[i]
		}
	}
	return nil
}

// add keeps a group as the newest, and lets the oldest go where there are too many.
func (c *liveGroups) add(g *liveGroup) {
	c.kept.Lock()
	defer c.kept.Unlock()
	all := slices.DeleteFunc(slices.Clone(c.kept.all), func(o *liveGroup) bool { return o == g })
	all = append(all, g)
	bytes := 0
	for i := len(all) - 1; i >= 0; i-- {
		if bytes += all[i].bytes; i < len(all)-1 && (bytes > liveBytes || len(all)-i > liveKept) {
			all = append([]*liveGroup(nil), all[i+1:]...)
			break
		}
	}
	c.kept.all = all
}

// group gives the newest live group object of the group that begins with a batch,
// or nil.
func (c *liveGroups) group(first uint64) []byte {
	if g := c.find(func(g *liveGroup) bool { return g.group.first == first }); g != nil {
		return g.object
	}
	return nil
}

// sealed gives an object of a live group, or of one that was; nil if none of those
// kept has it.
func (c *liveGroups) sealed(ctx context.Context, s *Store, first uint64, hash merkle.Hash) ([]byte, error) {
	g := c.find(func(g *liveGroup) bool {
		_, has := g.objects[hash]
		return g.group.first == first && has
	})
	if g == nil || g.objects[hash] != nil {
		if g == nil {
			return nil, nil
		}
		return g.objects[hash], nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	s.sealing.Lock()
	defer s.sealing.Unlock()
	r := s.reader()
	defer r.close()
	if r.v.state.SealFrom > first {
		return nil, nil
	}
	again, err := r.makeLive(ctx, &g.group, g.nonce, hash)
	if err != nil {
		return nil, fmt.Errorf("live group %d: %w", first, err)
	}
	return again.found, nil
}
