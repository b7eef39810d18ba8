package share

import (
	"errors"
	"fmt"
	"io"
)

// LocalKey protects what never leaves the site: the newest of [Keyring.LocalKeys].
func (k *Keyring) LocalKey() [32]byte {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.state.localKey
}

// LocalKeys lists the local keys, the newest first: one, or two between
// [Edit.NewLocalKey] and [Edit.DropOldLocalKey], while what stands under the older
// is written anew under the newer.
func (k *Keyring) LocalKeys() [][32]byte {
	k.mu.RLock()
	defer k.mu.RUnlock()
	if k.state.oldLocalKey == [32]byte{} {
		return [][32]byte{k.state.localKey}
	}
	return [][32]byte{k.state.localKey, k.state.oldLocalKey}
}

// NewLocalKey draws a local key, which takes the place of the one so far; that
// stays as the old one. There are two at most: with an old one still there the
// change fails with [ErrLimit].
func (e *Edit) NewLocalKey() {
	if e.err != nil {
		return
	}
	if e.next.oldLocalKey != [32]byte{} {
		e.err = fmt.Errorf("new local key: the old one is still in use: %w", ErrLimit)
		return
	}
	var key [32]byte
	if _, err := io.ReadFull(e.random, key[:]); err != nil {
		e.err = fmt.Errorf("new local key: %w", err)
		return
	}
	e.next.oldLocalKey, e.next.localKey = e.next.localKey, key
	e.changed = true
}

// DropOldLocalKey forgets the older local key for good; there need not be one.
func (e *Edit) DropOldLocalKey() {
	if e.err != nil || e.next.oldLocalKey == [32]byte{} {
		return
	}
	e.next.oldLocalKey = [32]byte{}
	e.changed = true
}

// Rewrap draws the identity between anew and seals it to the passphrase or
// identities that the keyring was opened with, so that the identity taken from an
// earlier copy of the file does not open this one or later ones. For a passphrase
// the scrypt work is done once more. The change fails with what
// [Keyring.CanRewrap] tells.
func (e *Edit) Rewrap() {
	if e.err != nil {
		return
	}
	if e.unwrappable != nil {
		e.err = fmt.Errorf("rewrap: %w", e.unwrappable)
		return
	}
	e.rewrap, e.changed = true, true
}

// CanRewrap tells whether [Edit.Rewrap] can be done: not ([ErrWrap]) when the
// keyring is wrapped to more identities than it was opened with, since the others
// would open it no more. A keyring in memory has nothing to wrap.
func (k *Keyring) CanRewrap() error {
	k.changing.Lock()
	defer k.changing.Unlock()
	return k.canRewrap()
}

func (k *Keyring) canRewrap() error {
	if k.file == nil {
		return nil
	}
	return k.file.unwrappable
}

// checkLocalKeys is for a body read.
func (s *state) checkLocalKeys(third bool) error {
	if third && (s.oldLocalKey == [32]byte{} || s.oldLocalKey == s.localKey) {
		return fmt.Errorf("%w: the old local key is blank or the new one", ErrDamaged)
	}
	return nil
}

// rewrapped returns f with an identity drawn anew, to write in place of f.
func (f *file) rewrapped() (*file, error) {
	if f.unwrappable != nil {
		return nil, f.unwrappable
	}
	if len(f.to) == 0 {
		return nil, errors.New("rewrap: no recipients kept") // never: each way to a file keeps them
	}
	next := *f
	if err := next.drawInner(); err != nil {
		return nil, err
	}
	return &next, nil
}
