package store

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"cairn/merkle"
	"cairn/merkle/ledger"
)

// nodeRows reads one of the ledger's own trees.
type nodeRows struct {
	s    *Store
	kind byte
}

func (n nodeRows) Node(level int, index uint64) (merkle.Hash, error) {
	h, err := getHash(n.s.db, n.s.keys.node(n.kind, level, index))
	if err != nil {
		return h, notFound(err, "node %d of level %d", index, level)
	}
	return h, nil
}

// LogNodes reads the log's tree of batch headers.
func (s *Store) LogNodes() merkle.NodeReader { return nodeRows{s, kindLogNode} }

// LogSize is how many batches are closed.
func (s *Store) LogSize() uint64 { return s.view.Load().size }

// Header gives a batch's header item: the log entry.
func (s *Store) Header(index uint64) ([]byte, error) { return s.header(s.db, index) }

func (s *Store) header(r pebble.Reader, index uint64) ([]byte, error) {
	val, closer, err := r.Get(s.keys.u64(kindHeader, index))
	if err != nil {
		return nil, notFound(err, "batch %d", index)
	}
	defer closer.Close()
	if len(val) < 2 || val[0] != format {
		return nil, fmt.Errorf("%w: header of batch %d", ErrDamaged, index)
	}
	return append([]byte(nil), val[1:]...), nil
}

// LogPath proves that batch index is in the log of the first size batches.
func (s *Store) LogPath(index, size uint64) ([]merkle.Hash, error) {
	return merkle.ProveInclusion(s.LogNodes(), index, size)
}

// RootAt is the log's root when it had size batches.
func (s *Store) RootAt(size uint64) (merkle.Hash, error) {
	if n := s.LogSize(); size > n {
		return noHash, fmt.Errorf("log of %d batches: there are %d: %w", size, n, ErrNotFound)
	}
	return merkle.RootAt(s.LogNodes(), size)
}

// Checkpoint is the newest signed tree head.
func (s *Store) Checkpoint() (note []byte, size uint64, ok bool) {
	v := s.view.Load()
	return v.checkpoint, v.signed, v.checkpoint != nil
}

// CheckpointAt signs the head that the log had at a size that is not beyond the
// newest signed one: by the log key of that size, and Ed25519 gives the same bytes
// as then.
func (s *Store) CheckpointAt(size uint64) ([]byte, error) {
	v := s.view.Load()
	if size > v.signed {
		return nil, fmt.Errorf("checkpoint of %d batches: the newest signed one has %d: %w", size, v.signed, ErrNotFound)
	}
	root, err := s.RootAt(size)
	if err != nil {
		return nil, err
	}
	return s.signHead(v.keys, size, root)
}

// AllowSigning lets checkpoints be signed, at once and from now on: some
// configured route has confirmed that this log holds the newest head it knows,
// or there is none that could.
func (s *Store) AllowSigning(ctx context.Context) error {
	return s.setSigning(ctx, "")
}

// HoldSigning stops signing, with the reason that status shows; "" is ErrHeld's.
func (s *Store) HoldSigning(ctx context.Context, reason string) error {
	if reason == "" {
		reason = ErrHeld.Error()
	}
	return s.setSigning(ctx, reason)
}

func (s *Store) setSigning(ctx context.Context, held string) error {
	durable := make(chan error, 1)
	err := s.do(ctx, func() error {
		c := s.com
		b := s.db.NewBatch()
		c.signing, c.held = held == "", held
		if c.logTree.Size() > c.signed {
			err := c.sign(b)
			if err == nil {
				err = c.putState(b)
			}
			if err != nil {
				b.Close()
				return err
			}
		}
		c.write(b, nil, func(err error) { durable <- err })
		return nil
	})
	if err != nil {
		return err
	}
	return <-durable
}

// Held says why no checkpoint is signed, or "".
func (s *Store) Held() string { return s.view.Load().held }

// FindRoot looks for the size at which the log had a root. It appends every
// header again, so it is for the rare start at which the anchor journal cannot
// tell.
func (s *Store) FindRoot(root merkle.Hash) (size uint64, ok bool, err error) {
	var t merkle.Tree
	if root == t.Root() {
		return 0, true, nil
	}
	k := s.keys.key(kindHeader)
	err = each(s.db, k, after(k), func(key, val []byte) (bool, error) {
		if n := binary.BigEndian.Uint64(suffix(key)); n != t.Size() || len(val) < 2 || val[0] != format {
			return false, fmt.Errorf("%w: header of batch %d", ErrDamaged, t.Size())
		}
		t.Append(merkle.LeafHash(val[1:]))
		ok = t.Root() == root
		return !ok, nil
	})
	return t.Size(), ok, err
}

// BatchEvidence is a batch's header with what it hides, opened.
type BatchEvidence struct {
	Header []byte
	Hidden [ledger.HiddenItems]struct {
		Item []byte
		Salt [16]byte
	}
}

// Batch opens a batch's header.
func (s *Store) Batch(index uint64) (*BatchEvidence, error) {
	r := s.reader()
	defer r.close()
	return r.batch(index)
}

func (r *reader) batch(index uint64) (*BatchEvidence, error) {
	s := r.s
	header, err := s.header(r.snap, index)
	if err != nil {
		return nil, err
	}
	h, err := ledger.ParseHeader(header)
	if err != nil {
		return nil, fmt.Errorf("%w: batch %d: %w", ErrDamaged, index, err)
	}
	w, err := s.windowRow(r.snap, index)
	if err != nil {
		return nil, err
	}
	statements, err := merkle.RootAt(nodeRows{s, kindStateNode}, w.Statements)
	if err != nil {
		return nil, err
	}
	items := w.items(statements)
	site, led, inc, err := r.ledgerKeys(&w.Window)
	if err != nil {
		return nil, err
	}
	salts := headerSalts(site, led, index, inc)
	b := &BatchEvidence{Header: header}
	for i := range items {
		if ledger.Hide(items[i], salts[i]) != h.Hidden[i] {
			return nil, fmt.Errorf("%w: batch %d: hidden value %d is not the one in the header", ErrDamaged, index, i)
		}
		b.Hidden[i].Item, b.Hidden[i].Salt = items[i], salts[i]
	}
	return b, nil
}

func (s *Store) windowRow(r pebble.Reader, batch uint64) (*windowRow, error) {
	w := new(windowRow)
	if err := row(r, nil, s.keys.u64(kindWindow, batch), w); err != nil {
		return nil, notFound(err, "window of batch %d", batch)
	}
	if _, err := ledger.ParseSlots(ledger.Slots{Depth: int(w.Depth)}.Append(nil)); err != nil {
		return nil, fmt.Errorf("%w: window of batch %d: %w", ErrDamaged, batch, err)
	}
	if (len(w.SegmentsRoot) != 0) != (w.Segments != 0) || len(w.SegmentsRoot) > merkle.HashSize {
		return nil, fmt.Errorf("%w: window of batch %d: its segments", ErrDamaged, batch)
	}
	return w, nil
}

// windowOf is the window of a batch, closed or open.
func (s *Store) windowOf(r pebble.Reader, st *ledgerState, batch uint64) (*window, error) {
	if batch == st.Size {
		return &st.Open, nil
	}
	w, err := s.windowRow(r, batch)
	if err != nil {
		if errors.Is(err, ErrNotFound) && batch > st.Size {
			return nil, fmt.Errorf("%w: batch %d of %d", ErrDamaged, batch, st.Size)
		}
		return nil, err
	}
	return &w.Window, nil
}
