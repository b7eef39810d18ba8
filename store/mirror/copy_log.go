package mirror

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"cairn/merkle"
)

const (
	tileWidth = 1 << merkle.TileHeight
	// maxEntries is the longest entry bundle: 256 entries of 2 bytes of length and
	// 65,535 of their own.
	maxEntries = tileWidth * (2 + 65535)
	keptTiles  = 64
)

// tiles are the log in a copy's folder, as C2SP tlog-tiles. Full tiles stay as
// they were written; of partial ones those of the newest checkpoint are kept, and
// the narrower ones before it are cut from them when somebody asks.
type tiles struct {
	dir string

	mu    sync.Mutex // covers cache
	cache map[string][]byte
}

func newTiles(dir string) *tiles { return &tiles{dir: dir, cache: map[string][]byte{}} }

func (t *tiles) path(level int, index uint64, width int) string {
	return filepath.Join(t.dir, filepath.FromSlash(merkle.TilePath(level, index, width)))
}

// read returns a tile of just this width, cut from a wider one if need be. size is
// that of the log: beyond it there is none.
func (t *tiles) read(level int, index uint64, width int, size uint64) ([]byte, error) {
	have := merkle.TileWidth(level, index, size)
	if width < 1 || have < width {
		return nil, ErrNotFound
	}
	b, err := t.file(level, index, have)
	if errors.Is(err, ErrNotFound) && have < tileWidth {
		// Between the write of a full tile and that of the next checkpoint.
		b, err = t.file(level, index, tileWidth)
	}
	if err != nil {
		return nil, err
	}
	return cutTile(level, b, width)
}

func cutTile(level int, b []byte, width int) ([]byte, error) {
	if level != merkle.EntriesLevel {
		if len(b) < width*merkle.HashSize {
			return nil, fmt.Errorf("read the copy: %w: a tile of %d bytes", ErrDamaged, len(b))
		}
		return b[:width*merkle.HashSize], nil
	}
	entries, err := merkle.ParseEntries(b)
	if err != nil || len(entries) < width {
		return nil, fmt.Errorf("read the copy: %w: a bundle of %d entries", ErrDamaged, len(entries))
	}
	n := 0
	for _, e := range entries[:width] {
		n += 2 + len(e)
	}
	return b[:n], nil
}

// file reads one tile file. Full hash tiles stay in memory for a while.
func (t *tiles) file(level int, index uint64, width int) ([]byte, error) {
	path := t.path(level, index, width)
	t.mu.Lock()
	b, ok := t.cache[path]
	t.mu.Unlock()
	if ok {
		return b, nil
	}
	b, err := readLimited(path, maxEntries)
	if err != nil {
		return nil, err
	}
	if level != merkle.EntriesLevel {
		if len(b) != width*merkle.HashSize {
			return nil, fmt.Errorf("read the copy: %w: a tile of %d bytes, want %d", ErrDamaged, len(b), width*merkle.HashSize)
		}
		if width == tileWidth {
			t.keep(path, b)
		}
	}
	return b, nil
}

func (t *tiles) keep(path string, b []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.cache) >= keptTiles {
		clear(t.cache)
	}
	t.cache[path] = b
}

// at reads the tree as it was at a size.
func (t *tiles) at(size uint64) merkle.NodeReader {
	return tileNodes{func(level int, index uint64, width int) ([]byte, error) { return t.read(level, index, width, size) }, size}
}

// entry returns one entry of the log of a size.
func (t *tiles) entry(index, size uint64) ([]byte, error) {
	if index >= size {
		return nil, ErrNotFound
	}
	all, err := t.entries(index, index+1, size)
	if err != nil {
		return nil, err
	}
	return all[0], nil
}

// entries returns the entries from…to-1 of the log of a size.
func (t *tiles) entries(from, to, size uint64) ([][]byte, error) {
	if from > to || to > size {
		return nil, ErrNotFound
	}
	all := make([][]byte, 0, to-from)
	for at := from; at < to; {
		index := at / tileWidth
		b, err := t.read(merkle.EntriesLevel, index, merkle.TileWidth(merkle.EntriesLevel, index, size), size)
		if err != nil {
			return nil, err
		}
		list, err := merkle.ParseEntries(b)
		if err != nil {
			return nil, fmt.Errorf("read the copy: %w: %w", ErrDamaged, err)
		}
		end := min(to-index*tileWidth, uint64(len(list)))
		all = append(all, list[at%tileWidth:end]...)
		at = (index + 1) * tileWidth
	}
	return all, nil
}

// tileNodes reads the nodes of a tree out of its tiles.
type tileNodes struct {
	tile func(level int, index uint64, width int) ([]byte, error)
	size uint64
}

// Node implements merkle.NodeReader.
func (n tileNodes) Node(level int, index uint64) (merkle.Hash, error) {
	in := level % merkle.TileHeight
	tile, first := level/merkle.TileHeight, index<<in
	at := first / tileWidth
	width := merkle.TileWidth(tile, at, n.size)
	first, count := first%tileWidth, uint64(1)<<in
	if first+count > uint64(width) {
		return merkle.Hash{}, fmt.Errorf("node (%d, %d) of a tree of %d: %w", level, index, n.size, merkle.ErrRange)
	}
	b, err := n.tile(tile, at, width)
	if err != nil {
		return merkle.Hash{}, err
	}
	if len(b) != width*merkle.HashSize {
		return merkle.Hash{}, fmt.Errorf("tile of %d bytes, want %d", len(b), width*merkle.HashSize)
	}
	leaves := make([]merkle.Hash, count)
	for i := range leaves {
		copy(leaves[i][:], b[(first+uint64(i))*merkle.HashSize:])
	}
	return merkle.PerfectRoot(leaves), nil
}

// growth is a log that grows from one size to another: the tree, and the tiles
// that change. They are written to a folder beside, until it is known that they
// lead to a signed root.
type growth struct {
	t       *tiles
	base    string // the folder beside
	tree    merkle.Tree
	bundles map[uint64][]byte         // entry bundles that are not written yet, by index
	hashes  map[int]map[uint64][]byte // hash tiles, by level and index
	written []string                  // paths, below either folder
}

// grow begins at a size that the folder holds.
func (t *tiles) grow(size uint64) (*growth, error) {
	g := &growth{t: t, bundles: map[uint64][]byte{}, hashes: map[int]map[uint64][]byte{}}
	peaks, err := merkle.PeaksAt(t.at(size), size)
	if err == nil {
		g.tree, err = merkle.TreeFromPeaks(size, peaks)
	}
	if err != nil {
		return nil, err
	}
	if w := merkle.TileWidth(merkle.EntriesLevel, size/tileWidth, size); w > 0 {
		b, err := t.read(merkle.EntriesLevel, size/tileWidth, w, size)
		if err != nil {
			return nil, err
		}
		g.bundles[size/tileWidth] = append([]byte(nil), b...)
	}
	for level := 0; size>>(level*merkle.TileHeight) > 0; level++ {
		index := size >> (level * merkle.TileHeight) / tileWidth
		w := merkle.TileWidth(level, index, size)
		if w == 0 {
			continue
		}
		b, err := t.read(level, index, w, size)
		if err != nil {
			return nil, err
		}
		g.put(level, index, append([]byte(nil), b...))
	}
	return g, nil
}

func (g *growth) put(level int, index uint64, b []byte) {
	if g.hashes[level] == nil {
		g.hashes[level] = map[uint64][]byte{}
	}
	g.hashes[level][index] = b
}

// add appends an entry.
func (g *growth) add(entry []byte) error {
	at := g.tree.Size() / tileWidth
	b, err := merkle.AppendEntry(g.bundles[at], entry)
	if err != nil {
		return err
	}
	g.bundles[at] = b
	g.tree.AppendCollect(merkle.LeafHash(entry), 0, func(level int, index uint64, h merkle.Hash) {
		if level%merkle.TileHeight != 0 {
			return
		}
		l := level / merkle.TileHeight
		g.put(l, index/tileWidth, append(g.hashes[l][index/tileWidth], h[:]...))
	})
	return nil
}

// flush writes the tiles that are full, or all of them in the end.
func (g *growth) flush(end bool) error {
	size := g.tree.Size()
	for index, b := range g.bundles {
		w := merkle.TileWidth(merkle.EntriesLevel, index, size)
		if w < tileWidth && !end {
			continue
		}
		if err := g.write(merkle.EntriesLevel, index, w, b); err != nil {
			return err
		}
		delete(g.bundles, index)
	}
	for level, all := range g.hashes {
		for index, b := range all {
			w := len(b) / merkle.HashSize
			if w < tileWidth && !end {
				continue
			}
			if err := g.write(level, index, w, b); err != nil {
				return err
			}
			delete(all, index)
		}
	}
	return nil
}

func (g *growth) write(level int, index uint64, width int, b []byte) error {
	rel := filepath.FromSlash(merkle.TilePath(level, index, width))
	path := filepath.Join(g.base, rel)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("write the copy: %w", err)
	}
	if err := writeUnsynced(path, b, 0o600); err != nil {
		return err
	}
	g.written = append(g.written, rel)
	return nil
}

// finish moves all tiles to where they belong, durably. Nobody reads them before
// there is a checkpoint of their size.
func (g *growth) finish() error {
	if err := g.flush(true); err != nil {
		return err
	}
	dirs := map[string]struct{}{}
	for _, rel := range g.written {
		path := filepath.Join(g.t.dir, rel)
		dir := filepath.Dir(path)
		if _, ok := dirs[dir]; !ok {
			if err := makeDir(dir); err != nil {
				return err
			}
			dirs[dir] = struct{}{}
		}
		if err := os.Rename(filepath.Join(g.base, rel), path); err != nil {
			return fmt.Errorf("write the copy: %w", err)
		}
	}
	for dir := range dirs {
		if err := syncDir(dir); err != nil {
			return err
		}
	}
	return nil
}

// sweep removes the partial tiles that are not of the log of this size, and what
// was never finished. A failure leaves files that nobody reads.
func (t *tiles) sweep(size uint64) {
	root := filepath.Join(t.dir, "tile")
	_ = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil //nolint:nilerr // what cannot be read cannot be swept either
		}
		if d.IsDir() {
			return nil
		}
		rel, err := filepath.Rel(t.dir, path)
		if err != nil {
			return nil //nolint:nilerr // as above
		}
		level, index, width, err := merkle.ParseTilePath(filepath.ToSlash(rel))
		if err != nil || width < tileWidth && merkle.TileWidth(level, index, size) != width {
			if err == nil || strings.HasSuffix(path, newEnd) {
				_ = os.Remove(path)
			}
		}
		return nil
	})
}

// sweepBetween is sweep for what one pass left: the partial tiles of the size
// before.
func (t *tiles) sweepBetween(old, size uint64) {
	for level := merkle.EntriesLevel; level <= 7; level++ {
		index := old >> (merkle.TileHeight * max(level, 0)) / tileWidth
		w := merkle.TileWidth(level, index, old)
		if w == 0 || w == tileWidth || merkle.TileWidth(level, index, size) == w {
			continue
		}
		_ = os.Remove(t.path(level, index, w))
	}
}
