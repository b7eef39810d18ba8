package mirror

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"cairn/merkle"
	"cairn/store"
)

// folder reads a copy's folder, and changes nothing in it: a mirror may be at work
// there. Each checkpoint that is asked for is the folder's newest, and what is asked
// for after it is of that state.
type folder struct {
	dir string

	mu sync.Mutex // covers c
	c  *Copy
}

// folderTries is how often a folder is read again that was written meanwhile.
const folderTries = 5

// FolderSource returns a copy's folder as a source that is only read.
func FolderSource(dir string) (Source, error) {
	f := &folder{dir: dir}
	return f, f.load()
}

// load reads the folder as it is now.
func (f *folder) load() error {
	var err error
	for range folderTries {
		c := &Copy{dir: f.dir, now: time.Now, tiles: newTiles(f.dir)}
		if err = c.identify(Identity{}); err != nil {
			return err
		}
		c.facts.begin(c.id)
		if err = c.read(); err == nil {
			f.mu.Lock()
			f.c = c
			f.mu.Unlock()
			return nil
		}
	}
	return fmt.Errorf("open the copy in %s: %w", f.dir, err)
}

// read is load without removing what a crash left.
func (c *Copy) read() error {
	b, err := readLimited(filepath.Join(c.dir, stateFile), 64<<20)
	if err == nil {
		err = strictJSON(b, &c.st)
	}
	if err != nil && !errors.Is(err, ErrNotFound) {
		return fmt.Errorf("%s: %w", stateFile, err)
	}
	for _, load := range []func() error{c.loadHead, c.loadAnchors, c.loadIndex, c.loadStatements} {
		if err := load(); err != nil {
			return err
		}
	}
	c.loadLive()
	return nil
}

func (f *folder) copy() *Copy {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.c
}

// Checkpoint implements Source.
func (f *folder) Checkpoint(ctx context.Context) ([]byte, error) {
	if err := f.load(); err != nil {
		return nil, err
	}
	return f.copy().Checkpoint(ctx)
}

// Tile implements Source. A partial tile of before is cut from the one that took
// its place.
func (f *folder) Tile(ctx context.Context, path string) ([]byte, error) {
	b, err := f.copy().Tile(ctx, path)
	if !errors.Is(err, ErrNotFound) {
		return b, err
	}
	if err := f.load(); err != nil {
		return nil, err
	}
	return f.copy().Tile(ctx, path)
}

// Groups implements Source.
func (f *folder) Groups(ctx context.Context, from uint64) ([]store.GroupRef, error) {
	return f.copy().Groups(ctx, from)
}

// Group implements Source.
func (f *folder) Group(ctx context.Context, ref store.GroupRef) ([]byte, error) {
	return f.copy().Group(ctx, ref)
}

// Object implements Source. Of a copy that keeps by a schedule, what is not there
// was not kept.
func (f *folder) Object(ctx context.Context, first uint64, ref store.ObjectRef) ([]byte, error) {
	c := f.copy()
	b, err := c.Object(ctx, first, ref)
	if errors.Is(err, ErrNotFound) && len(c.st.Kept) > 0 && c.holds(first) {
		return nil, fmt.Errorf("%w: this copy keeps it no longer, or never did", ErrGone)
	}
	return b, err
}

// StatementLeaves implements Source.
func (f *folder) StatementLeaves(ctx context.Context, from, to uint64) ([]merkle.Hash, error) {
	return f.copy().StatementLeaves(ctx, from, to)
}

// Update implements Source.
func (f *folder) Update(ctx context.Context) ([]byte, error) { return f.copy().Update(ctx) }

// UpdateOf implements updater.
func (f *folder) UpdateOf(ctx context.Context, batches []uint64) ([]byte, error) {
	return f.copy().UpdateOf(ctx, batches)
}

// Bundles implements Source.
func (f *folder) Bundles(ctx context.Context) ([]uint64, error) { return f.copy().Bundles(ctx) }

// Bundle implements Source.
func (f *folder) Bundle(ctx context.Context, grant uint64) ([]byte, error) {
	return f.copy().Bundle(ctx, grant)
}
