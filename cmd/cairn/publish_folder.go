package main

import (
	"context"
	"errors"
	"fmt"

	"cairn/merkle"
	"cairn/merkle/ledger"
	"cairn/store"
	"cairn/store/ipfs"
	"cairn/store/mirror"
	"cairn/store/share"
)

// folder makes the folder of the sealed group that begins with a batch, or of
// batches without a group that can be published, so that the chain has no hole.
func (p *publisher) folder(ctx context.Context, from uint64) (*mirror.Folder, *publishedRow, error) {
	refs, err := p.l.store.Groups(ctx, from, 1)
	if err != nil {
		return nil, nil, fmt.Errorf("look for the group of batch %d: %w", from, err)
	}
	if len(refs) == 0 || refs[0].Live {
		return nil, nil, fmt.Errorf("there is no sealed group with batch %d any more", from)
	}
	ref := refs[0]
	next := ref.Next
	if ref.First > from {
		next = min(ref.First, from+mirror.MaxFolder)
	}
	f, row, err := p.plain(from, next)
	if err != nil || ref.First != from {
		return f, row, err
	}
	if f.Group, _, err = p.group(ctx, ref); err != nil {
		if errors.Is(err, store.ErrShredded) {
			return f, row, nil
		}
		return nil, nil, err
	}
	f.Group.Get = func(o *store.ObjectRef) ([]byte, error) {
		if o == nil {
			return p.l.store.GroupObject(ctx, from)
		}
		return p.l.store.SealedObject(ctx, from, o.Hash)
	}
	row.Group, row.Need = true, f.Group.Lengths()
	if f.Group.Least, err = p.lengths(); err != nil {
		return nil, nil, err
	}
	return f, row, nil
}

// plain is a folder without a group.
func (p *publisher) plain(from, next uint64) (*mirror.Folder, *publishedRow, error) {
	note, err := p.l.store.CheckpointAt(next)
	if err != nil {
		return nil, nil, fmt.Errorf("the head of %d batches: %w", next, err)
	}
	hour, err := p.hourOf(from)
	if err != nil {
		return nil, nil, err
	}
	f := &mirror.Folder{Ledger: p.l.store.Ledger(), From: from, Next: next, Headers: p.l.store.Header, Checkpoint: note}
	row := &publishedRow{From: from, Next: next, Hour: hour}
	f.Update, row.Anchored = p.anchors(next)
	if before := p.before(from); before != nil {
		c, err := ipfs.ParseCID(before.CID)
		if err != nil {
			return nil, nil, fmt.Errorf("%w: journal row of batch %d: %w", store.ErrDamaged, before.From, err)
		}
		f.Previous = &mirror.FolderLink{From: before.From, Next: before.Next, CID: c}
	}
	return f, row, nil
}

func (p *publisher) hourOf(batch uint64) (share.Hour, error) {
	item, err := p.l.store.Header(batch)
	if err != nil {
		return 0, err
	}
	h, err := ledger.ParseHeader(item)
	if err != nil {
		return 0, err
	}
	return share.HourOf(h.From)
}

// before is the folder that ends where another begins.
func (p *publisher) before(from uint64) *publishedRow {
	if from == 0 || p.last == nil {
		return nil
	}
	if p.last.Next == from {
		return p.last
	}
	var found *publishedRow
	_ = eachPublished(p.journal, func(r publishedRow) error { // it was read at the start
		if r.Next == from {
			found = &r
		}
		return nil
	})
	return found
}

// group is what a folder has of a group, without the means to get its objects, and
// how many statements were made before it.
func (p *publisher) group(ctx context.Context, ref store.GroupRef) (*mirror.FolderGroup, uint64, error) {
	k, err := p.ledgerKey(ref.Hour)
	if err != nil {
		return nil, 0, err
	}
	b, err := p.l.store.GroupObject(ctx, ref.First)
	if err != nil {
		return nil, 0, fmt.Errorf("the group of batch %d: %w", ref.First, err)
	}
	g, err := store.OpenGroup(k, p.l.store.Ledger(), ref.Hour, ref.First, b)
	if err != nil {
		return nil, 0, err
	}
	return &mirror.FolderGroup{Ref: ref, Key: k, Objects: g.Objects}, g.FirstStatement, nil
}

func (p *publisher) ledgerKey(h share.Hour) (share.HourKey, error) {
	c, ok := p.l.keyring.Compartment(share.Ledger)
	if !ok {
		return share.HourKey{}, errors.New("the keyring has no compartment ledger")
	}
	return c.Tree.Hour(h)
}

// lengths are the longest that the files of the last folders needed.
func (p *publisher) lengths() (most mirror.Lengths, err error) {
	var all []mirror.Lengths
	err = eachPublished(p.journal, func(r publishedRow) error {
		if len(all) == lengthsOf {
			all = all[1:]
		}
		all = append(all, r.Need)
		return nil
	})
	for _, l := range all {
		most.Group, most.Sealed = max(most.Group, l.Group), max(most.Sealed, l.Sealed)
	}
	return most, err
}

// anchors is an update with the newest final anchors of heads of at most so many
// batches, nil if there are none, and the batches under the greatest of them. What
// cannot be had is left out: a later folder has it.
func (p *publisher) anchors(most uint64) ([]byte, uint64) {
	sizes := p.final(most)
	var q updateRequest
	newest := uint64(0)
	for _, size := range sizes {
		q.Heads, newest = append(q.Heads, updateHead{Size: size}), max(newest, size)
	}
	if len(sizes) == 0 {
		return nil, 0
	}
	a, err := p.l.update(context.Background(), q)
	if err != nil || a.Size > most {
		return nil, 0
	}
	return a.File, newest
}

// final are the sizes of the newest final anchors of the routes, each of at most
// so many batches.
func (p *publisher) final(most uint64) (sizes []uint64) {
	for _, r := range p.l.routes {
		newest := uint64(0)
		if a := r.Status().LastFinal; a != nil && a.Size <= most {
			newest = a.Size
		}
		if newest > 0 {
			sizes = append(sizes, newest)
		}
	}
	return sizes
}

// newHead publishes a head when there is a newer folder or anchor than the last one
// tells: the live group, the newest anchors, and where the newest folder is. It
// takes the place of the one before.
func (p *publisher) newHead(ctx context.Context) (bool, error) {
	if p.head != nil {
		fresh := p.head.State == ipfsPublished && p.head.From == p.from() && p.anchored() <= p.head.Anchored
		if fresh || p.head.State == ipfsPublished && p.now().UnixMilli()-p.head.At < headEvery.Milliseconds() {
			return false, nil
		}
	}
	f, row, err := p.headFolder(ctx)
	if err != nil || f == nil {
		return false, err
	}
	dir, err := f.Directory()
	if err != nil {
		return false, fmt.Errorf("make the head: %w", err)
	}
	if err := p.add(ctx, rowHead, row, dir); err != nil {
		return false, err
	}
	p.unpinTried(ctx, row)
	row.State = ipfsPublished
	if err := p.put(rowHead, row); err != nil {
		return false, err
	}
	p.head = row
	return true, nil
}

// anchored is how many batches the newest final anchor of any route has.
func (p *publisher) anchored() (most uint64) {
	_, size, _ := p.l.store.Checkpoint()
	for _, s := range p.final(size) {
		most = max(most, s)
	}
	return most
}

// headFolder makes the head, with everything in memory: its group is another one as
// soon as a window closes. Nil where there is none to be had at this moment.
func (p *publisher) headFolder(ctx context.Context) (*mirror.Folder, *publishedRow, error) {
	from := p.from()
	for range 5 {
		refs, err := p.l.store.Groups(ctx, from, 1)
		if err != nil {
			return nil, nil, fmt.Errorf("look for the live group: %w", err)
		}
		if len(refs) == 0 || !refs[0].Live || refs[0].First != from {
			return nil, nil, nil
		}
		f, row, err := p.plain(from, refs[0].Next)
		if err != nil {
			return nil, nil, err
		}
		statements := uint64(0)
		if f.Group, statements, err = p.group(ctx, refs[0]); err != nil {
			return nil, nil, err
		}
		objects, err := p.liveObjects(ctx, f.Group)
		if errors.Is(err, store.ErrNotFound) {
			continue // a window was closed meanwhile
		}
		if err != nil {
			return nil, nil, err
		}
		f.Group.Get = func(o *store.ObjectRef) ([]byte, error) {
			if o == nil {
				return objects[refs[0].Object], nil
			}
			return objects[o.Hash], nil
		}
		row.Group = true
		if f.Group.Leaves, err = p.leaves(statements); err != nil {
			return nil, nil, err
		}
		f.Group.Least, err = p.lengths()
		return f, row, err
	}
	return nil, nil, nil
}

// leaves are the first statements' leaf hashes.
func (p *publisher) leaves(count uint64) ([]merkle.Hash, error) {
	all := []merkle.Hash{}
	for at := uint64(0); at < count; at = uint64(len(all)) {
		some, err := p.l.store.StatementLeaves(at, min(count, at+mirror.MaxLeaves))
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
	}
	return all, nil
}

func (p *publisher) liveObjects(ctx context.Context, g *mirror.FolderGroup) (map[merkle.Hash][]byte, error) {
	all := map[merkle.Hash][]byte{}
	b, err := p.l.store.GroupObject(ctx, g.Ref.First)
	if err != nil {
		return nil, err
	}
	all[g.Ref.Object] = b
	for _, o := range g.Objects {
		if all[o.Hash], err = p.l.store.SealedObject(ctx, g.Ref.First, o.Hash); err != nil {
			return nil, err
		}
	}
	return all, nil
}
