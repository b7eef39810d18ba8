package mirror

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sort"
	"sync"

	"cairn/anchor/proof"
	"cairn/merkle"
	"cairn/merkle/ledger"
	"cairn/store"
	"cairn/store/ipfs"
)

const (
	maxFolders     = 1 << 21  // of one ledger: sixty years of quarter hours
	maxHeadersFile = 16 << 20 // of one folder
	keptFolders    = 8        // that are open at a time
	maxStatements  = 1 << 30
)

// ErrLost says that a folder of the chain cannot be had, so that the log before it cannot be checked.
var ErrLost = errors.New("a folder of the ledger cannot be had")

// IPFS is a ledger as it was published on IPFS: a Source that needs no gateway. See Folder for what lies there.
type IPFS struct {
	blocks ipfs.Blocks
	ledger merkle.Hash
	keys   Keys

	folders []folderAt // by their batches, without holes up to the newest

	tell sync.Mutex    // held by who takes statements; before mu
	all  []merkle.Hash // that the newest folder tells, once they were read; of who holds tell

	mu     sync.Mutex    // covers what follows
	open   []*openFolder // the last ones that were read, newest last
	leaves []merkle.Hash // of statements from 0 on, as far as they were asked for
	upTo   int           // folders that leaves were taken from
	// anchors are the greatest sizes in the updates of folders, by route
	anchors map[ipfs.CID]map[string]uint64
}

// folderAt is a folder of the chain.
type folderAt struct {
	about
	cid ipfs.CID
}

// openFolder is a folder that is being read.
type openFolder struct {
	cid     ipfs.CID
	dir     *ipfs.Dir
	entries [][]byte // of headers; nil: not read yet
	group   *store.Group
}

// FromIPFS finds the folders of a ledger, from the newest back to the one that holds batch known; 0 for all. It
// reads their about files, and believes nothing: they lead to the objects, which a Copy checks.
func FromIPFS(ctx context.Context, blocks ipfs.Blocks, newest ipfs.CID, id merkle.Hash, keys Keys, known uint64, report Report) (*IPFS, error) {
	s := &IPFS{blocks: blocks, ledger: id, keys: keys}
	of := uint64(0)
	for at := (&FolderLink{CID: newest}); at != nil; {
		if len(s.folders) == maxFolders {
			return nil, alarmf(FalseAnswer, "more than %d folders", maxFolders)
		}
		a, err := s.readAbout(ctx, at.CID)
		if err != nil {
			if of > 0 && errors.Is(err, ipfs.ErrNotFound) {
				err = fmt.Errorf("%w: %w", ErrLost, err)
			}
			return nil, fmt.Errorf("folder %v: %w", at.CID, err)
		}
		switch {
		case a.ledger != id:
			return nil, alarmf(FalseAnswer, "the folder %v is of the ledger %v", at.CID, a.ledger)
		case of > 0 && (a.from != at.From || a.next != at.Next):
			return nil, alarmf(FalseAnswer, "the folder %v has the batches %d to %d, and was announced with %d to %d", at.CID, a.from, a.next, at.From, at.Next)
		case of > 0 && a.live:
			return nil, alarmf(FalseAnswer, "the folder %v has a live group, and is not the newest", at.CID)
		}
		of = max(of, a.next)
		s.folders = append(s.folders, folderAt{a, at.CID})
		if report != nil {
			report(Progress{Phase: "folders", Done: of - a.from, Of: of - min(known, of)})
		}
		at = a.previous
		if a.from <= known&^(tileWidth-1) {
			break // an entry bundle begins there, and the log before it is known
		}
	}
	slices.Reverse(s.folders)
	return s, nil
}

func (s *IPFS) readAbout(ctx context.Context, c ipfs.CID) (about, error) {
	d, err := ipfs.OpenDir(ctx, s.blocks, c)
	if err != nil {
		return about{}, err
	}
	b, err := d.Read(ctx, ipfsAbout, maxAbout)
	if err != nil {
		return about{}, err
	}
	return parseAbout(b)
}

func (s *IPFS) newest() folderAt { return s.folders[len(s.folders)-1] }

// dir opens a folder. s.mu is held.
func (s *IPFS) dir(ctx context.Context, f *folderAt) (*openFolder, error) {
	for i, o := range s.open {
		if o.cid == f.cid {
			s.open = append(slices.Delete(s.open, i, i+1), o)
			return o, nil
		}
	}
	d, err := ipfs.OpenDir(ctx, s.blocks, f.cid)
	if err != nil {
		return nil, lost(err)
	}
	if len(s.open) == keptFolders {
		s.open = slices.Delete(s.open, 0, 1)
	}
	s.open = append(s.open, &openFolder{cid: f.cid, dir: d})
	return s.open[len(s.open)-1], nil
}

// lost says of what was there once, and nobody has any more, that it is gone.
func lost(err error) error {
	if errors.Is(err, ipfs.ErrNotFound) || errors.Is(err, ipfs.ErrNoFile) {
		return fmt.Errorf("%w: %w", ErrGone, err)
	}
	return err
}

// read reads one file of a folder.
func (s *IPFS) read(ctx context.Context, f *folderAt, name string, limit int64) ([]byte, error) {
	s.mu.Lock()
	o, err := s.dir(ctx, f)
	s.mu.Unlock()
	if err != nil {
		return nil, err
	}
	b, err := o.dir.Read(ctx, name, limit)
	return b, lost(err)
}

// Checkpoint implements Source.
func (s *IPFS) Checkpoint(ctx context.Context) ([]byte, error) {
	f := s.newest()
	return s.read(ctx, &f, ipfsCheckpoint, merkle.MaxCheckpoint)
}

// Update implements Source.
func (s *IPFS) Update(ctx context.Context) ([]byte, error) {
	f := s.newest()
	b, err := s.read(ctx, &f, ipfsUpdate, MaxUpdate)
	if errors.Is(err, ipfs.ErrNoFile) {
		return nil, fmt.Errorf("%w: %w", ErrNone, err)
	}
	return b, err
}

// UpdateOf implements updater: of each batch, the anchors that the first folder has
// whose anchors hold it. A folder has the newest of each route when it was
// published, so that of several of one quarter hour the last is known.
func (s *IPFS) UpdateOf(ctx context.Context, batches []uint64) ([]byte, error) {
	newest, err := s.anchorsOf(ctx, len(s.folders)-1)
	if err != nil {
		return nil, err
	}
	used := map[int]bool{}
	for _, batch := range batches {
		for route := range newest {
			i, err := s.firstAfter(ctx, route, batch)
			if err != nil {
				return nil, err
			}
			if i < len(s.folders) {
				used[i] = true
			}
		}
	}
	if len(used) == 0 {
		return nil, ErrNone
	}
	var b *proof.Builder
	for _, i := range slices.Sorted(maps.Keys(used)) {
		raw, err := s.read(ctx, &s.folders[i], ipfsUpdate, MaxUpdate)
		if err != nil {
			return nil, err
		}
		f, err := proof.Decode(raw)
		if err != nil {
			return nil, alarmf(FalseUpdate, "the folder %v: %w", s.folders[i].cid, err)
		}
		if b == nil {
			b = proof.NewBuilder(f.Ledger.Key, f.Ledger.Nonce)
		}
		for _, r := range f.Receipts {
			addReceipt(b, f, r)
		}
	}
	return b.File().Encode()
}

// firstAfter finds the first folder with an anchor of a route that holds a batch.
// One that cannot be had any more has none.
func (s *IPFS) firstAfter(ctx context.Context, route string, batch uint64) (at int, failed error) {
	at = sort.Search(len(s.folders), func(i int) bool {
		if s.folders[i].next <= batch || failed != nil {
			return false
		}
		anchors, err := s.anchorsOf(ctx, i)
		if err != nil && !errors.Is(err, ErrGone) {
			failed = err
		}
		return anchors[route] > batch
	})
	return at, failed
}

// anchorsOf is the greatest size of each route in a folder's update. Nobody has
// checked it: whoever takes the update does.
func (s *IPFS) anchorsOf(ctx context.Context, i int) (map[string]uint64, error) {
	f := &s.folders[i]
	s.mu.Lock()
	known, ok := s.anchors[f.cid]
	s.mu.Unlock()
	if ok {
		return known, nil
	}
	known = map[string]uint64{}
	raw, err := s.read(ctx, f, ipfsUpdate, MaxUpdate)
	switch {
	case errors.Is(err, ipfs.ErrNoFile), errors.Is(err, ErrGone): // nothing was anchored yet, or it is lost
	case err != nil:
		return nil, err
	default:
		of, err := proof.Decode(raw)
		if err != nil {
			return nil, alarmf(FalseUpdate, "the folder %v: %w", f.cid, err)
		}
		for _, r := range of.Receipts {
			text, _, _ := bytes.Cut(of.Heads[r.Head].Note, []byte("\n\n"))
			head, err := merkle.ParseCheckpoint(string(text) + "\n")
			if err != nil {
				return nil, alarmf(FalseUpdate, "the folder %v: %w", f.cid, err)
			}
			known[r.Route] = max(known[r.Route], head.Size)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.anchors == nil {
		s.anchors = map[ipfs.CID]map[string]uint64{}
	}
	s.anchors[f.cid] = known
	return known, nil
}

// Tile implements Source for entry bundles, which the hash tiles follow from.
func (s *IPFS) Tile(ctx context.Context, path string) ([]byte, error) {
	level, index, width, err := merkle.ParseTilePath(path)
	if err != nil {
		return nil, err
	}
	if level != merkle.EntriesLevel {
		return nil, fmt.Errorf("%w: %s", ErrNotFound, path)
	}
	var b []byte
	for at := index * tileWidth; at < index*tileWidth+uint64(width); {
		f := s.at(at)
		if f == nil {
			return nil, fmt.Errorf("%w: entry %d", ErrNotFound, at)
		}
		entries, err := s.headers(ctx, f)
		if err != nil {
			return nil, err
		}
		for ; at < f.next && at < index*tileWidth+uint64(width); at++ {
			if b, err = merkle.AppendEntry(b, entries[at-f.from]); err != nil {
				return nil, err
			}
		}
	}
	return b, nil
}

// at is the folder with a batch; nil: none.
func (s *IPFS) at(batch uint64) *folderAt {
	i, ok := slices.BinarySearchFunc(s.folders, batch, func(f folderAt, batch uint64) int {
		switch {
		case f.next <= batch:
			return -1
		case f.from > batch:
			return 1
		}
		return 0
	})
	if !ok {
		return nil
	}
	return &s.folders[i]
}

func (s *IPFS) headers(ctx context.Context, f *folderAt) ([][]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o, err := s.dir(ctx, f)
	if err != nil || o.entries != nil {
		return o.kept(), err
	}
	b, err := o.dir.Read(ctx, ipfsHeaders, maxHeadersFile)
	if err != nil {
		return nil, lost(err)
	}
	entries, err := merkle.ParseEntries(b)
	if err != nil || uint64(len(entries)) != f.next-f.from {
		return nil, alarmf(FalseAnswer, "the folder %v has %d headers of %d", f.cid, len(entries), f.next-f.from)
	}
	o.entries = entries
	return entries, nil
}

func (o *openFolder) kept() [][]byte {
	if o == nil {
		return nil
	}
	return o.entries
}

// Groups implements Source. Groups before the hours that the keys open are left out; those after them are named by
// their batches alone.
func (s *IPFS) Groups(_ context.Context, from uint64) ([]store.GroupRef, error) {
	var all []store.GroupRef
	opened := false
	for i := range s.folders {
		f := &s.folders[i]
		if !f.group || opened && f.next <= from {
			continue
		}
		k, err := s.keys.Key(ledgerName, f.hour)
		if err != nil {
			if opened {
				all = append(all, store.GroupRef{First: f.from, Next: f.next, Hour: f.hour, Live: f.live, Size: 1})
			}
			continue
		}
		if opened = true; f.next <= from {
			continue
		}
		ref, err := f.ref(k)
		if err != nil {
			return nil, alarmf(FalseGroup, "the folder %v: %w", f.cid, err)
		}
		all = append(all, ref)
	}
	return all[:min(len(all), MaxGroups)], nil
}

// Group implements Source.
func (s *IPFS) Group(ctx context.Context, ref store.GroupRef) ([]byte, error) {
	f := s.at(ref.First)
	if f == nil || !f.group || f.from != ref.First {
		return nil, fmt.Errorf("%w: group %d", ErrNotFound, ref.First)
	}
	s.mu.Lock()
	o, err := s.dir(ctx, f)
	s.mu.Unlock()
	if err != nil {
		return nil, err
	}
	if ref.Size > maxGroupBytes {
		return nil, ErrTooLong
	}
	b, err := o.dir.ReadRange(ctx, ipfsGroup, 0, ref.Size)
	return b, lost(err)
}

// group opens the group of a folder.
func (s *IPFS) group(ctx context.Context, f *folderAt) (*openFolder, error) {
	k, err := s.keys.Key(ledgerName, f.hour)
	if err != nil {
		return nil, err
	}
	ref, err := f.ref(k)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	o, err := s.dir(ctx, f)
	if err != nil || o.group != nil {
		s.mu.Unlock()
		return o, err
	}
	s.mu.Unlock()
	b, err := s.Group(ctx, ref)
	if err != nil {
		return nil, err
	}
	g, err := store.OpenGroup(k, s.ledger, f.hour, f.from, b)
	if err == nil {
		err = s.compare(g)
	}
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	o.group = g
	return o, nil
}

// compare holds what a group's statements say was published against the folders that were found.
func (s *IPFS) compare(g *store.Group) error {
	for i := range g.Statements {
		if g.Statements[i].Item == nil {
			continue
		}
		st, err := ledger.ParseStatement(g.Statements[i].Item)
		if err != nil || st.Kind != ledger.KindPublished {
			continue
		}
		p, err := ledger.PublishedFrom(st)
		if err != nil {
			return alarmf(FalseStatements, "statement %d: %w", g.FirstStatement+uint64(i), err)
		}
		c, err := ipfs.ParseCID(p.CID)
		f := s.at(p.First)
		if err != nil || f == nil {
			continue // before those that are read here
		}
		if f.cid != c || f.from != p.First || f.next != p.Next {
			return alarmf(FalseAnswer, "the ledger says that the batches %d to %d were published as %v, and %v leads to %v", p.First, p.Next, c, s.newest().cid, f.cid)
		}
	}
	return nil
}

// Object implements Source.
func (s *IPFS) Object(ctx context.Context, first uint64, ref store.ObjectRef) ([]byte, error) {
	f := s.at(first)
	if f == nil || !f.group || f.from != first {
		return nil, fmt.Errorf("%w: group %d", ErrNotFound, first)
	}
	o, err := s.group(ctx, f)
	if err != nil {
		return nil, err
	}
	at := int64(0)
	for i := range o.group.Objects {
		if x := &o.group.Objects[i]; x.Hash != ref.Hash {
			at += x.Size
			continue
		}
		b, err := o.dir.ReadRange(ctx, SealedFile, at, o.group.Objects[i].Size)
		if err == nil && hashOf(b) != ref.Hash {
			err = fmt.Errorf("%w: it was left out when its group was published", ErrGone)
		}
		if err != nil {
			return nil, fmt.Errorf("object %v: %w", ref.Hash, lost(err))
		}
		return b, nil
	}
	return nil, fmt.Errorf("%w: object %v", ErrNotFound, ref.Hash)
}

// StatementLeaves implements Source. A head has those of before, the groups have theirs: where the keys open neither the
// head nor the first groups there are none.
func (s *IPFS) StatementLeaves(ctx context.Context, from, to uint64) ([]merkle.Hash, error) {
	s.tell.Lock()
	defer s.tell.Unlock()
	if all, err := s.told(ctx); err == nil && from <= to && to <= uint64(len(all)) {
		return slices.Clone(all[from:to]), nil
	}
	s.mu.Lock()
	upTo, have := s.upTo, uint64(len(s.leaves))
	s.mu.Unlock()
	for ; have < to && upTo < len(s.folders); upTo++ {
		f := &s.folders[upTo]
		if !f.group {
			continue
		}
		o, err := s.group(ctx, f)
		if err != nil {
			return nil, err
		}
		if o.group.FirstStatement != have {
			return nil, fmt.Errorf("%w: statements before %d", ErrNotFound, o.group.FirstStatement)
		}
		s.mu.Lock()
		for i := range o.group.Statements {
			s.leaves = append(s.leaves, o.group.Statements[i].Leaf)
		}
		have, s.upTo = uint64(len(s.leaves)), upTo+1
		s.mu.Unlock()
	}
	if from > to || to > have {
		return nil, fmt.Errorf("%w: statements %d to %d", ErrNotFound, from, to)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.leaves[from:to]), nil
}

// told are the statements that the newest folder tells. s.tell is held.
func (s *IPFS) told(ctx context.Context) ([]merkle.Hash, error) {
	if s.all != nil {
		return s.all, nil
	}
	f := s.newest()
	k, err := s.keys.Key(ledgerName, f.hour)
	if err != nil || !f.group {
		return nil, ErrNotFound
	}
	about, err := s.read(ctx, &f, ipfsAbout, maxAbout)
	if err != nil {
		return nil, err
	}
	b, err := s.read(ctx, &f, ipfsStatements, maxStatements)
	if err != nil {
		return nil, err
	}
	s.all, err = openLeaves(k, about, b)
	return s.all, err
}

// Bundles implements Source: none are published.
func (s *IPFS) Bundles(context.Context) ([]uint64, error) { return nil, nil }

// Bundle implements Source.
func (s *IPFS) Bundle(_ context.Context, grant uint64) ([]byte, error) {
	return nil, fmt.Errorf("%w: bundles are not published", ErrNotFound)
}
