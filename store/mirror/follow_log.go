package mirror

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"cairn/merkle"
	"cairn/merkle/ledger"
)

// flushEvery is after how many bundles the full tiles leave the memory.
const flushEvery = 64

// followLog takes the source's newest checkpoint, if its log is the copy's and
// more. In the end the checkpoint's file is replaced: before that a crash leaves
// the old log, after it the new one.
func (p *pass) followLog(ctx context.Context) error {
	c := p.c
	note, err := p.src.Checkpoint(ctx)
	switch {
	case errors.Is(err, ErrNone) && c.note == nil:
		return err
	case errors.Is(err, ErrNone):
		return alarmf(RolledBack, "the source has no checkpoint any more, this copy one of %d batches", c.head.Size)
	case err != nil:
		return p.failed("checkpoint", err)
	}
	head, err := p.open(ctx, note)
	if err != nil {
		return err
	}
	switch {
	case head.Size < c.head.Size:
		return p.behind(head, note)
	case head.Size == c.head.Size && c.note != nil:
		if head.Root != c.head.Root {
			return p.fork(sideOf(c.head, c.note), sideOf(head, note), nil)
		}
		return p.sameHead(note)
	}
	return p.grow(ctx, head, note)
}

// open opens a checkpoint by one of the log's keys, and looks for statements that
// hand the log over to another if none has signed it.
func (p *pass) open(ctx context.Context, note []byte) (merkle.Checkpoint, error) {
	head, _, err := p.c.facts.open(note)
	if errors.Is(err, merkle.ErrUnsigned) {
		if lerr := p.learnKeys(ctx); lerr != nil {
			return head, lerr
		}
		head, _, err = p.c.facts.open(note)
	}
	if err != nil {
		return head, alarmf(FalseCheckpoint, "%w", err)
	}
	if len(head.Extensions) != 0 {
		return head, alarmf(FalseCheckpoint, "it has %d lines of extensions, and cairn writes none", len(head.Extensions))
	}
	return head, nil
}

// sameHead keeps a note of the head that the copy has, if it has more signatures.
func (p *pass) sameHead(note []byte) error {
	if len(note) <= len(p.c.note) || !bytes.HasPrefix(note, p.c.note) {
		return nil
	}
	return p.putNote(note, p.c.head)
}

// behind judges a head that is shorter than the copy.
func (p *pass) behind(head merkle.Checkpoint, note []byte) error {
	c := p.c
	nodes := c.tiles.at(c.head.Size)
	root, err := merkle.RootAt(nodes, head.Size)
	if err != nil {
		return err
	}
	if root != head.Root {
		path, err := merkle.ProveConsistency(nodes, head.Size, c.head.Size)
		if err != nil {
			return err
		}
		return p.fork(sideOf(head, note), sideOf(c.head, c.note), &prefix{root, path})
	}
	return alarmf(RolledBack, "its newest checkpoint has %d batches, this copy %d: the log was put back, or an old answer is shown", head.Size, c.head.Size)
}

// grow fetches what the log has more, and makes it the copy's if it leads to the
// signed root.
func (p *pass) grow(ctx context.Context, head merkle.Checkpoint, note []byte) error {
	c := p.c
	g, err := c.tiles.grow(c.head.Size)
	if err != nil {
		return err
	}
	g.base = filepath.Join(c.dir, stagingDir)
	defer os.RemoveAll(g.base)
	bad, err := p.fetchLog(ctx, g, head)
	if err != nil {
		return err
	}
	if root := g.tree.Root(); root != head.Root {
		return p.diagnose(ctx, head, note, fmt.Errorf("%d batches lead to the root %v, the checkpoint has %v", head.Size, root, head.Root))
	}
	if bad != nil {
		return bad
	}
	if err := g.finish(); err != nil {
		return err
	}
	old := c.head.Size
	if err := p.putNote(note, head); err != nil {
		return err
	}
	c.tiles.sweepBetween(old, head.Size)
	return nil
}

// fetchLog fetches the entries that are new. bad is what is wrong with one, if
// the log is otherwise what was signed.
func (p *pass) fetchLog(ctx context.Context, g *growth, head merkle.Checkpoint) (bad *Alarm, err error) {
	for n := 1; g.tree.Size() < head.Size; n++ {
		at := g.tree.Size()
		index := at / tileWidth
		width := merkle.TileWidth(merkle.EntriesLevel, index, head.Size)
		b, err := p.src.Tile(ctx, merkle.TilePath(merkle.EntriesLevel, index, width))
		if err != nil {
			return nil, p.failedTile(index, err)
		}
		entries, err := merkle.ParseEntries(b)
		if err != nil || len(entries) != width {
			return nil, alarmf(FalseTile, "the entry bundle %d has %d entries of %d", index, len(entries), width)
		}
		for i, e := range entries[at%tileWidth:] {
			if a := p.c.checkHeader(e, at+uint64(i)); a != nil && bad == nil {
				bad = a
			}
			if err := g.add(e); err != nil {
				return nil, alarmf(FalseTile, "%w", err)
			}
		}
		if n%flushEvery == 0 {
			if err := g.flush(false); err != nil {
				return nil, err
			}
		}
		p.tell(Progress{Phase: "log", Done: g.tree.Size(), Of: head.Size})
	}
	return bad, nil
}

// failedTile is what it means that a part of the log cannot be had.
func (p *pass) failedTile(index uint64, err error) error {
	if errors.Is(err, ErrNotFound) {
		return alarmf(FalseTile, "the entry bundle %d of the signed log is not there: %w", index, err)
	}
	return p.failed("the log", err)
}

func (c *Copy) checkHeader(entry []byte, at uint64) *Alarm {
	h, err := ledger.ParseHeader(entry)
	switch {
	case err != nil:
		return alarmf(FalseHeader, "entry %d of the signed log: %w", at, err)
	case h.Ledger != c.id.Ledger:
		return alarmf(FalseHeader, "entry %d of the signed log is of the ledger %v", at, h.Ledger)
	case h.Index != at:
		return alarmf(FalseHeader, "entry %d of the signed log says that it is number %d", at, h.Index)
	}
	return nil
}

// putNote makes a checkpoint the copy's.
func (p *pass) putNote(note []byte, head merkle.Checkpoint) error {
	c := p.c
	if err := writeFile(filepath.Join(c.dir, checkpointFile), note, 0o600); err != nil {
		return err
	}
	c.mu.Lock()
	c.note, c.head = note, head
	c.mu.Unlock()
	return nil
}

// diagnose tells a source whose log does not lead to its signed root from a log
// that has another past than the copy: its own hash tiles lead to the root then,
// and to another one at the copy's size.
func (p *pass) diagnose(ctx context.Context, head merkle.Checkpoint, note []byte, why error) error {
	c := p.c
	if c.head.Size == 0 {
		return alarmf(FalseTile, "%w", why)
	}
	theirs := tileNodes{func(level int, index uint64, width int) ([]byte, error) {
		return p.src.Tile(ctx, merkle.TilePath(level, index, width))
	}, head.Size}
	path, err := merkle.ProveConsistency(theirs, c.head.Size, head.Size)
	if err != nil {
		return alarmf(FalseTile, "%w; nor do its hash tiles: %w", why, err)
	}
	root, err := merkle.RootAt(theirs, c.head.Size)
	if err != nil {
		return alarmf(FalseTile, "%w; nor do its hash tiles: %w", why, err)
	}
	if err := merkle.VerifyConsistency(c.head.Size, head.Size, root, head.Root, path); err != nil || root == c.head.Root {
		return alarmf(FalseTile, "%w", why)
	}
	return p.fork(sideOf(c.head, c.note), sideOf(head, note), &prefix{root, path})
}
