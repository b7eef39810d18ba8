package mirror

import (
	"context"
	"errors"
	"fmt"

	"cairn/merkle"
	"cairn/merkle/ledger"
)

// viewTiles is how many tiles a view remembers: 256 hash tiles have 2 MiB.
const viewTiles = 256

// viewLog reads a log as one signed checkpoint has it. All that it gives out was
// proven to be in it.
type viewLog struct {
	src   Source
	head  merkle.Checkpoint
	tiles map[string][]byte
}

func newViewLog(src Source, head merkle.Checkpoint) *viewLog {
	return &viewLog{src: src, head: head, tiles: make(map[string][]byte)}
}

// keep takes over tiles that are full: they are the same for ever, if they are
// true.
func (l *viewLog) keep(old *viewLog) {
	for path, b := range old.tiles {
		if level, _, width, err := merkle.ParseTilePath(path); err == nil && width == tileWidth && level >= 0 && len(l.tiles) < viewTiles {
			l.tiles[path] = b
		}
	}
}

// tile reads a tile. A source may have only the full one of what is asked for in
// part (C2SP tlog-tiles).
func (l *viewLog) tile(ctx context.Context, level int, index uint64, width int) ([]byte, error) {
	path := merkle.TilePath(level, index, width)
	if b, ok := l.tiles[path]; ok {
		return b, nil
	}
	b, err := l.src.Tile(ctx, path)
	if errors.Is(err, ErrNotFound) && width < tileWidth {
		if b, err = l.src.Tile(ctx, merkle.TilePath(level, index, tileWidth)); err == nil {
			b, err = cutTile(level, b, width)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if len(l.tiles) >= viewTiles {
		clear(l.tiles)
	}
	l.tiles[path] = b
	return b, nil
}

// nodes reads the tree's nodes. They are not proven: a proof made of them is.
func (l *viewLog) nodes(ctx context.Context) merkle.NodeReader {
	return tileNodes{func(level int, index uint64, width int) ([]byte, error) { return l.tile(ctx, level, index, width) }, l.head.Size}
}

func (l *viewLog) lie(err error) error {
	if errors.Is(err, merkle.ErrProof) || errors.Is(err, merkle.ErrEntries) {
		return &Lie{What: "log", Err: err}
	}
	return err
}

// extends proves that the log is that of an older checkpoint, and more.
func (l *viewLog) extends(ctx context.Context, old merkle.Checkpoint) error {
	if old.Size > l.head.Size {
		return &Lie{What: "checkpoint", Err: fmt.Errorf("it has %d batches, one that was shown before has %d", l.head.Size, old.Size)}
	}
	path, err := merkle.ProveConsistency(l.nodes(ctx), old.Size, l.head.Size)
	if err == nil {
		err = merkle.VerifyConsistency(old.Size, l.head.Size, old.Root, l.head.Root, path)
	}
	if err != nil {
		return l.lie(fmt.Errorf("heads of %d and %d batches: %w", old.Size, l.head.Size, err))
	}
	return nil
}

// consistency proves that the log of a signed head is the beginning of this one's,
// and gives the proof from one such head to another.
func (l *viewLog) consistency(ctx context.Context, old, size uint64) ([]merkle.Hash, error) {
	return merkle.ProveConsistency(l.nodes(ctx), old, size)
}

// path proves a batch in the log as it was at a size.
func (l *viewLog) path(ctx context.Context, index, size uint64) ([]merkle.Hash, error) {
	return merkle.ProveInclusion(l.nodes(ctx), index, size)
}

// headers reads the headers of the batches [first, next), which are proven to be
// this ledger's log entries.
func (l *viewLog) headers(ctx context.Context, first, next uint64) (items [][]byte, parsed []ledger.Header, err error) {
	if first >= next || next > l.head.Size {
		return nil, nil, fmt.Errorf("batches %d to %d of a log of %d: %w", first, next, l.head.Size, merkle.ErrRange)
	}
	var leaves []merkle.Hash
	for at := first; at < next; at++ {
		if len(items) == 0 || at%tileWidth == 0 {
			index := at / tileWidth
			width := merkle.TileWidth(merkle.EntriesLevel, index, l.head.Size)
			b, err := l.tile(ctx, merkle.EntriesLevel, index, width)
			if err != nil {
				return nil, nil, err
			}
			entries, err := merkle.ParseEntries(b)
			if err != nil || len(entries) != width {
				return nil, nil, &Lie{What: "log", Err: fmt.Errorf("the entry bundle %d has %d entries of %d", index, len(entries), width)}
			}
			end := min(next-index*tileWidth, tileWidth)
			items = append(items, entries[at%tileWidth:end]...)
		}
	}
	for i, item := range items {
		h, err := ledger.ParseHeader(item)
		if err != nil || h.Index != first+uint64(i) {
			return nil, nil, &Lie{What: "log", Err: fmt.Errorf("entry %d is not that batch's header: %w", first+uint64(i), err)}
		}
		parsed, leaves = append(parsed, h), append(leaves, merkle.LeafHash(item))
	}
	proof, err := merkle.ProveRange(l.nodes(ctx), first, next, l.head.Size)
	if err == nil {
		err = merkle.VerifyRange(leaves, first, l.head.Size, proof, l.head.Root)
	}
	if err != nil {
		return nil, nil, l.lie(fmt.Errorf("headers of the batches %d to %d: %w", first, next-1, err))
	}
	return items, parsed, nil
}
