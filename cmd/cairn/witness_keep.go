package main

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"cairn/anchor/witness"
	"cairn/merkle"
	"cairn/store"
)

const (
	// witnessJournal keeps the cosignatures: the lines of each cosigned head's
	// note, by the head's size in 16 hex digits.
	witnessJournal = "witness"
	// keptHeads is how many of the newest cosigned heads are kept whether or not
	// they are anchored. Of those before them an anchor's head stays.
	keptHeads = 64
	// openPatience is how long a ledger that fails open waits for its witnesses,
	// counted from the first window that they have not cosigned.
	openPatience = 2 * time.Minute
)

func witnessKey(size uint64) string { return fmt.Sprintf("%016x", size) }

// cosignaturesOf returns the lines that witnesses signed the head of a size with,
// each with its newline, to be put after the note's own. It checks no signature.
func (l *openLedger) cosignaturesOf(size uint64) ([][]byte, error) {
	lines, err := l.store.Journal(witnessJournal).Get(witnessKey(size))
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read cosignatures: %w", err)
	}
	all := bytes.SplitAfter(lines, []byte("\n"))
	return all[:len(all)-1], nil
}

// cosigners returns which of the configured witnesses cosigned the head of a size,
// by their keys. A head that the log does not sign any more has none.
func (l *openLedger) cosigners(size uint64) (map[string]bool, error) {
	lines, err := l.cosignaturesOf(size)
	if err != nil || len(lines) == 0 {
		return nil, err
	}
	note, err := l.store.CheckpointAt(size)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil // the log was put back
	}
	if err != nil {
		return nil, err
	}
	by := map[string]bool{}
	for _, line := range lines {
		got, err := witness.ParseCosignature(line)
		if err != nil {
			return nil, fmt.Errorf("read cosignatures: %w: those of %d batches: %w", store.ErrDamaged, size, err)
		}
		for i := range l.cfg.Witnesses {
			if k := l.cfg.Witnesses[i].key; k.Check(got, witness.NoteText(note)) == nil {
				by[k.String()] = true
			}
		}
	}
	return by, nil
}

// cosignedEnough reports whether as many witnesses as the ledger asks for cosigned
// the head of a size.
func (l *openLedger) cosignedEnough(size uint64) (bool, error) {
	by, err := l.cosigners(size)
	return len(by) >= l.cfg.needCosigned(), err
}

// newestCosigned returns the size of the newest head from one size to another that
// enough witnesses cosigned, or of the newest that any did if there is no such
// head; 0 if there is none at all.
func (l *openLedger) newestCosigned(from, to uint64) (uint64, error) {
	some := uint64(0)
	for span, end := uint64(keptHeads), to; from <= end; span *= 2 {
		begin := from
		if end-from > span {
			begin = end - span
		}
		sizes, err := l.keptBetween(begin, end)
		if err != nil {
			return 0, err
		}
		for _, size := range slices.Backward(sizes) {
			if enough, err := l.cosignedEnough(size); err != nil || enough {
				return size, err
			}
			some = max(some, size)
		}
		if begin == from {
			break
		}
		end = begin - 1
	}
	return some, nil
}

// keptBetween returns the sizes of the heads whose cosignatures are kept, from one
// size to another, ascending.
func (l *openLedger) keptBetween(from, to uint64) (sizes []uint64, err error) {
	j := l.store.Journal(witnessJournal)
	for at := from; ; {
		key, _, ok, err := j.Seek(witnessKey(at))
		if err != nil || !ok {
			return sizes, err
		}
		size, err := sizeOf(key)
		if err != nil || size > to {
			return sizes, err
		}
		sizes, at = append(sizes, size), size+1
	}
}

// sizeOf reads what witnessKey writes.
func sizeOf(key string) (uint64, error) {
	size, err := strconv.ParseUint(key, 16, 63)
	if err != nil || witnessKey(size) != key {
		return 0, fmt.Errorf("read cosignatures: %w: key %.40q", store.ErrDamaged, key)
	}
	return size, nil
}

// cosigned keeps what the witnesses of a running ledger signed.
type cosigned struct {
	l       *openLedger
	journal *store.Journal
	need    int                             // witnesses that make a head cosigned
	open    bool                            // the ledger fails open
	used    func(size uint64) (bool, error) // whether an anchor has, or may get, the head of a size

	mu     sync.Mutex   // covers what follows, and is held while a line is written
	recent []recentHead // the newest, ascending, at most keptHeads

	newest atomic.Pointer[cosignedHead] // the newest that enough cosigned, nil: none
}

// recentHead is a head, and which of the configured witnesses cosigned it.
type recentHead struct {
	size uint64
	by   map[string]bool // by their keys
}

// cosignedHead is a head as an anchor takes it.
type cosignedHead struct {
	size uint64
	root merkle.Hash
	note []byte
}

// openCosigned reads what is kept.
func (l *openLedger) openCosigned() (*cosigned, error) {
	c := &cosigned{
		l: l, journal: l.store.Journal(witnessJournal), need: l.cfg.needCosigned(), open: l.cfg.WitnessFailOpen, used: l.anchors,
	}
	err := c.journal.All(func(key string, _ []byte) error {
		size, err := sizeOf(key)
		if err != nil {
			return err
		}
		c.recent = append(c.recent, recentHead{size: size})
		if len(c.recent) > keptHeads {
			c.recent = slices.Delete(c.recent, 0, 1)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for i := range c.recent {
		h := &c.recent[i]
		if h.by, err = l.cosigners(h.size); err != nil {
			return nil, err
		}
	}
	return c, c.choose()
}

// add keeps a cosignature that was checked, in place of an earlier one by the same
// key. It returns once that is durable.
func (c *cosigned) add(size uint64, k witness.Key, got witness.Cosignature) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	lines, err := c.l.cosignaturesOf(size)
	if err != nil {
		return err
	}
	lines = slices.DeleteFunc(lines, func(line []byte) bool {
		o, err := witness.ParseCosignature(line)
		return err != nil || o.Name == got.Name && o.KeyID == got.KeyID
	})
	if err := c.journal.Put(witnessKey(size), bytes.Join(append(lines, got.Line()), nil)); err != nil {
		return err
	}
	i, ok := slices.BinarySearchFunc(c.recent, size, func(h recentHead, size uint64) int { return cmp.Compare(h.size, size) })
	if !ok {
		c.recent = slices.Insert(c.recent, i, recentHead{size: size})
	}
	if c.recent[i].by == nil {
		c.recent[i].by = map[string]bool{}
	}
	c.recent[i].by[k.String()] = true
	if err := c.choose(); err != nil {
		return err
	}
	return c.prune()
}

// choose finds the newest head that enough witnesses cosigned. c.mu is held, or
// nobody else has c.
func (c *cosigned) choose() error {
	for _, h := range slices.Backward(c.recent) {
		if len(h.by) < c.need {
			continue
		}
		if n := c.newest.Load(); n != nil && n.size >= h.size {
			return nil
		}
		note, err := c.l.store.CheckpointAt(h.size)
		if err != nil {
			return err
		}
		cp, err := c.l.store.OpenCheckpoint(note)
		if err != nil {
			return err
		}
		c.newest.Store(&cosignedHead{h.size, cp.Root, note})
		return nil
	}
	return nil
}

// prune lets go of heads that are no more among the newest, unless an anchor has
// them. c.mu is held.
func (c *cosigned) prune() error {
	for len(c.recent) > keptHeads {
		h := c.recent[0]
		c.recent = slices.Delete(c.recent, 0, 1)
		used, err := c.used(h.size)
		if err != nil {
			return err
		}
		if n := c.newest.Load(); used || n != nil && n.size == h.size {
			continue
		}
		if err := c.journal.Delete(witnessKey(h.size)); err != nil {
			return err
		}
	}
	return nil
}

// anchors reports whether an anchor has the head of a size, or may get it.
func (l *openLedger) anchors(size uint64) (bool, error) {
	for _, r := range l.routes {
		for _, a := range r.Anchors() {
			if a.Size == size {
				return true, nil
			}
			for i := range a.Attempts {
				if a.Attempts[i].Size == size {
					return true, nil
				}
			}
		}
		if _, ok, err := r.Lookup(size); err != nil || ok {
			return ok, err
		}
	}
	return false, nil
}

// size is that of the newest head that enough witnesses cosigned.
func (c *cosigned) size() uint64 {
	if n := c.newest.Load(); n != nil {
		return n.size
	}
	return 0
}

// head is the newest head that may be anchored, if this is the newest signed one.
// A ledger that fails open takes the signed one where its witnesses lag behind for
// longer than its patience.
func (c *cosigned) head(size uint64, root merkle.Hash, note []byte, ok bool) (uint64, merkle.Hash, []byte, bool) {
	n := c.newest.Load()
	switch {
	case !ok || c.need == 0 || n != nil && n.size >= size:
		return size, root, note, ok
	case c.open && (n == nil || c.age() > openPatience):
		return size, root, note, true
	case n == nil:
		return 0, merkle.Hash{}, nil, false
	}
	return n.size, n.root, n.note, true
}

// oldest is the start of the first window under the signed head that not enough
// witnesses have cosigned, 0 if there is none.
func (c *cosigned) oldest() int64 {
	done := c.size()
	if _, size, ok := c.l.store.Checkpoint(); !ok || size <= done {
		return 0
	}
	from, _ := head{c.l.store}.WindowStart(done)
	return from
}

func (c *cosigned) age() time.Duration {
	from := c.oldest()
	if from == 0 {
		return 0
	}
	return time.Since(time.UnixMilli(from))
}
