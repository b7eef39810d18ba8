package mirror

import (
	"bytes"
	"errors"
	"fmt"
	"sync"

	"filippo.io/age"

	"cairn/merkle"
	"cairn/store/share"
)

// BundleKeys are the keys of a grant, from its bundle, and from newer ones that a
// source has as hours pass. It implements Keys and is safe for concurrent use.
type BundleKeys struct {
	ids []age.Identity

	mu    sync.RWMutex // covers what follows
	b     *share.Bundle
	names map[string]uint32 // its compartments
}

// NewBundleKeys makes keys of a bundle. Newer ones are opened with the identities.
func NewBundleKeys(b *share.Bundle, ids ...age.Identity) *BundleKeys {
	k := &BundleKeys{ids: ids}
	k.set(b)
	return k
}

func (k *BundleKeys) set(b *share.Bundle) {
	k.b, k.names = b, make(map[string]uint32, len(b.Compartments))
	for _, c := range b.Compartments {
		k.names[c.Name] = c.ID
	}
}

// Bundle is the newest one.
func (k *BundleKeys) Bundle() *share.Bundle {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.b
}

// Identity is the ledger that the bundle is of.
func (k *BundleKeys) Identity() Identity {
	b := k.Bundle()
	return Identity{Ledger: merkle.Hash(b.Ledger), LogKey: b.LogKey[:], Nonce: b.Nonce}
}

// Key implements Keys.
func (k *BundleKeys) Key(compartment string, h share.Hour) (share.HourKey, error) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	id, ok := k.names[compartment]
	if !ok {
		return share.HourKey{}, fmt.Errorf("compartment %s: %w", compartment, share.ErrNotGranted)
	}
	return k.b.Key(id, h)
}

// Ended reports whether the grant has ended before an hour's end.
func (k *BundleKeys) Ended(h share.Hour) bool {
	b := k.Bundle()
	return b.Until != nil && h.End() > *b.Until
}

// Wants implements Keys. A grant with the ledger's statements is that of a mirror
// and has everything; any other has its own compartments.
func (k *BundleKeys) Wants(compartment string) bool {
	k.mu.RLock()
	defer k.mu.RUnlock()
	_, own := k.names[compartment]
	return own || k.mirror()
}

// Mirror reports whether the grant is that of a mirror.
func (k *BundleKeys) Mirror() bool {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.mirror()
}

func (k *BundleKeys) mirror() bool {
	_, ok := k.names[statementsName]
	return ok
}

// Grant implements Keys.
func (k *BundleKeys) Grant() uint64 { return k.Bundle().Grant }

// Statements implements Keys.
func (k *BundleKeys) Statements() []Statement {
	b := k.Bundle()
	all := make([]Statement, len(b.Statements))
	for i, s := range b.Statements {
		all[i] = Statement(s)
	}
	return all
}

// errBundle says that a bundle is not the next one of this grant.
var errBundle = errors.New("it is not of this grant")

// Offer implements Keys. Anybody can make an age file for a recipient: what
// contradicts the keys at hand is refused, what gives less is passed over.
func (k *BundleKeys) Offer(grant uint64, file []byte) (bool, error) {
	if len(file) > MaxBundle {
		return false, fmt.Errorf("%w: %d bytes", errBundle, len(file))
	}
	b, err := share.OpenBundle(bytes.NewReader(file), k.ids...)
	if err != nil {
		return false, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	old := k.b
	if b.Ledger != old.Ledger || b.LogKey != old.LogKey || b.Nonce != old.Nonce || b.Grant != old.Grant || grant != old.Grant {
		return false, errBundle
	}
	if b.Through < old.Through || b.Through == old.Through && b.Issued <= old.Issued {
		return false, nil
	}
	more, err := continues(old, b)
	if err == nil && more {
		k.set(b)
	}
	return err == nil && more, err
}

// continues holds that a newer bundle gives the same keys as the one before where
// that ended, and reports whether it has all of its compartments there.
func continues(old, b *share.Bundle) (bool, error) {
	if old.Through == 0 {
		return true, nil
	}
	for _, c := range old.Compartments {
		have, err := old.Key(c.ID, old.Through-1)
		if err != nil {
			continue // the grant had not begun, or had ended
		}
		now, err := b.Key(c.ID, old.Through-1)
		if err != nil {
			return false, nil //nolint:nilerr // shredded meanwhile: what is at hand is more
		}
		if now != have {
			return false, fmt.Errorf("%w: it has other keys of %s than before", errBundle, c.Name)
		}
	}
	return true, nil
}
