package store

import (
	"context"
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"cairn/merkle"
	"cairn/merkle/ledger"
	"cairn/store/share"
)

// logKey is one log key and from where on it signs.
//
// A head belongs to the key which the newest log-key statement that its log
// shows names: of a log of size s those that header s-1 and the ones before it
// hide, so a key that was recorded while batch b was open signs the heads of
// b+1 batches and more. An intake head belongs to the key that was recorded
// last before its commit.
type logKey struct {
	pub    ed25519.PublicKey
	keyRow // zero for the first
}

// keyRow is the row K: where a log key begins.
type keyRow struct {
	_         struct{} `cbor:",toarray"`
	Statement uint64   // the log-key statement that names it
	Batch     uint64   // the batch that was open then: the first that shows the statement
	Commit    uint64   // the first group commit after it
}

// logKeys are all log keys of a ledger in the order in which they were
// recorded, the first first. A slice that readers have is never written to.
type logKeys []logKey

// at is the key that heads of a log of that size are signed by.
func (all logKeys) at(size uint64) ed25519.PublicKey {
	i := len(all) - 1
	for i > 0 && all[i].Batch >= size {
		i--
	}
	return all[i].pub
}

// ofCommit is the key that the intake head of a commit is signed by.
func (all logKeys) ofCommit(number uint64) ed25519.PublicKey {
	i := len(all) - 1
	for i > 0 && all[i].Commit > number {
		i--
	}
	return all[i].pub
}

func (all logKeys) newest() ed25519.PublicKey { return all[len(all)-1].pub }

func (all logKeys) has(pub ed25519.PublicKey) bool {
	for i := range all {
		if all[i].pub.Equal(pub) {
			return true
		}
	}
	return false
}

// named says whether a key begins at a statement.
func (all logKeys) named(statement uint64) bool {
	for i := range all[1:] {
		if all[i+1].Statement == statement {
			return true
		}
	}
	return false
}

// LogKey is the public key that signs now, FirstLogKey the one that the ledger's
// id is made of, and LogKeys lists all that the ledger has named, the first first.
// Notes of earlier heads are by earlier keys: see OpenCheckpoint.
func (s *Store) LogKey() ed25519.PublicKey      { return s.view.Load().keys.newest() }
func (s *Store) FirstLogKey() ed25519.PublicKey { return s.first }

// LogKeys: see LogKey.
func (s *Store) LogKeys() []ed25519.PublicKey {
	keys := s.view.Load().keys
	out := make([]ed25519.PublicKey, len(keys))
	for i := range keys {
		out[i] = keys[i].pub
	}
	return out
}

// OpenCheckpoint checks that a note is a checkpoint of this ledger, signed by the
// log key of its size. The key of a size that the log has not reached is the
// newest.
func (s *Store) OpenCheckpoint(note []byte) (merkle.Checkpoint, error) {
	return s.openCheckpoint(s.view.Load().keys, note)
}

func (s *Store) openCheckpoint(keys logKeys, note []byte) (cp merkle.Checkpoint, err error) {
	for i := len(keys) - 1; i >= 0; i-- {
		if cp, err = merkle.OpenCheckpoint(note, s.Origin(), keys[i].pub); err != nil {
			continue
		}
		if !keys.at(cp.Size).Equal(keys[i].pub) {
			return merkle.Checkpoint{}, fmt.Errorf("checkpoint of %d batches: signed by log key %d of %d, which is not the one of that size", cp.Size, i+1, len(keys))
		}
		return cp, nil
	}
	return merkle.Checkpoint{}, err
}

// signer is the private half of a log key that the ledger names.
func (s *Store) signer(pub ed25519.PublicKey) (ed25519.PrivateKey, error) {
	key, ok := s.opt.Keyring.LogKeyOf(pub)
	if !ok {
		return nil, fmt.Errorf("it lacks log key %x: %w", pub, ErrOldKeyring)
	}
	return key, nil
}

// signHead signs a head of the log by the key of its size.
func (s *Store) signHead(keys logKeys, size uint64, root merkle.Hash) ([]byte, error) {
	key, err := s.signer(keys.at(size))
	if err != nil {
		return nil, fmt.Errorf("sign checkpoint of %d batches: %w", size, err)
	}
	note, err := merkle.SignCheckpoint(merkle.Checkpoint{Origin: s.Origin(), Size: size, Root: root}, key)
	if err != nil {
		return nil, fmt.Errorf("sign checkpoint of %d batches: %w", size, err)
	}
	return note, nil
}

// RotateLogKey gives the ledger another log key and returns its public half once
// it is the one that signs: intake heads from the next group commit on,
// checkpoints from the one on that covers the open window. The ledger's id and
// origin stay.
//
// There are two steps. First the keyring gets the key, durably, and loses those
// that were drawn and never named: a crash after it leaves a key that nobody
// uses, until the next rotation drops it. Then the statement, signed by both
// keys, is committed: that is the switch. Before its sync returns nothing is
// signed by the new key that anybody sees, and a start goes by the statements
// that it finds. Where the commit fails the store stops, and the next start tells
// which key it is.
func (s *Store) RotateLogKey(ctx context.Context) (ed25519.PublicKey, error) {
	var out ed25519.PublicKey
	err := s.change(ctx, func(c *committer, b *pebble.Batch, now int64) error {
		old, err := s.signer(c.keys.newest())
		if err != nil {
			return err
		}
		pub, err := c.drawLogKey()
		if err != nil {
			return err
		}
		next, err := s.signer(pub)
		if err != nil {
			return err
		}
		out = pub
		return c.takeLogKey(b, old, next, now)
	})
	if err != nil {
		return nil, fmt.Errorf("rotate the log key: %w", err)
	}
	return out, nil
}

// drawLogKey puts another log key into the keyring and takes out those that the
// ledger never came to name.
func (c *committer) drawLogKey() (pub ed25519.PublicKey, err error) {
	kr := c.s.opt.Keyring
	err = kr.Change(func(e *share.Edit) error {
		for _, k := range kr.LogKeys() {
			if !c.keys.has(k) {
				e.DropLogKey(k)
			}
		}
		pub = e.AddLogKey()
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("store the new key: %w", err)
	}
	return pub, nil
}

// takeLogKey records that the ledger goes from one log key to another, and goes.
func (c *committer) takeLogKey(b *pebble.Batch, old, next ed25519.PrivateKey, now int64) error {
	k := logKey{next.Public().(ed25519.PublicKey), keyRow{Statement: c.stTree.Size(), Batch: c.logTree.Size(), Commit: c.nextCommit}}
	if err := c.appendStatement(b, ledger.SignLogKey(c.s.keys.id, old, next, now)); err != nil {
		return err
	}
	if err := c.s.putRow(b, c.s.keys.u64(kindLogKey, c.state.Keys), k.keyRow, true); err != nil {
		return err
	}
	c.state.Keys++
	c.keys = append(c.keys[:len(c.keys):len(c.keys)], k)
	c.s.opt.Events(Event{Kind: "log-key", Detail: fmt.Sprintf("the ledger is signed by log key %x from batch %d on", k.pub, k.Batch)})
	return nil
}

// loadKeys reads which log keys the ledger has named and where each begins, holds
// that against the statements and headers, and makes sure that the keyring has
// them all.
func (c *committer) loadKeys() error {
	k := c.s.keys.key(kindLogKey)
	err := each(c.s.db, k, after(k), func(key, val []byte) (bool, error) {
		n := binary.BigEndian.Uint64(suffix(key))
		var r keyRow
		if err := decodeRow(c.s.local, key, val, &r); err != nil {
			return false, err
		}
		if n != uint64(len(c.keys)-1) {
			return false, fmt.Errorf("%w: the row of log key %d is missing", ErrDamaged, len(c.keys)+1)
		}
		next, err := c.loadKey(r)
		if err != nil {
			return false, fmt.Errorf("log key %d: %w", n+2, err)
		}
		c.keys = append(c.keys, next)
		return true, nil
	})
	if err != nil {
		return err
	}
	if n := uint64(len(c.keys) - 1); n != c.state.Keys {
		return fmt.Errorf("%w: %d later log keys on record, want %d", ErrDamaged, n, c.state.Keys)
	}
	return nil
}

func (c *committer) loadKey(r keyRow) (logKey, error) {
	last := c.keys[len(c.keys)-1]
	switch {
	case r.Statement >= c.state.Statements || r.Statement <= last.Statement,
		r.Batch > c.state.Size || r.Batch < last.Batch,
		r.Commit > c.state.NextCommit || r.Commit < last.Commit:
		return logKey{}, fmt.Errorf("%w: its place is outside the ledger's, or before the key before", ErrDamaged)
	}
	st, err := c.s.readStatement(c.s.db, r.Statement)
	if err != nil {
		return logKey{}, err
	}
	pub, err := c.s.successor(last.pub, st)
	if err != nil {
		return logKey{}, fmt.Errorf("%w: statement %d: %w", ErrDamaged, r.Statement, err)
	}
	if err := c.checkPlace(r); err != nil {
		return logKey{}, err
	}
	_, err = c.s.signer(pub)
	return logKey{pub, r}, err
}

// checkPlace holds a log key's place against the windows: the header of its batch
// is the first that shows its statement.
func (c *committer) checkPlace(r keyRow) error {
	wrong := fmt.Errorf("%w: batch %d is not the first that shows statement %d, or commit %d not in it", ErrDamaged, r.Batch, r.Statement, r.Commit)
	if r.Batch > 0 {
		before, err := c.s.windowRow(c.s.db, r.Batch-1)
		if err != nil {
			return missing(err)
		}
		if before.Statements > r.Statement {
			return wrong
		}
	}
	if r.Batch == c.state.Size {
		if r.Commit < c.state.Open.FirstCommit {
			return wrong
		}
		return nil
	}
	w, err := c.s.windowRow(c.s.db, r.Batch)
	if err != nil {
		return missing(err)
	}
	if w.Statements <= r.Statement || r.Commit < w.Window.FirstCommit || r.Commit > w.Window.NextCommit {
		return wrong
	}
	return nil
}

// missing names a row that ought to be there, and is not, as damage.
func missing(err error) error {
	if errors.Is(err, ErrNotFound) {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return err
}

// successor gives the log key that a statement hands the ledger to, from this one.
func (s *Store) successor(from ed25519.PublicKey, st ledger.Statement) (ed25519.PublicKey, error) {
	k, err := ledger.LogKeyFrom(st)
	if err == nil {
		err = k.Verify(s.keys.id, st.At)
	}
	if err != nil {
		return nil, err
	}
	if !from.Equal(ed25519.PublicKey(k.Old[:])) {
		return nil, fmt.Errorf("it goes on from log key %x, the one before is %x", k.Old, from)
	}
	return k.New[:], nil
}
