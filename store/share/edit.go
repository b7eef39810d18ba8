package share

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
)

var (
	// ErrTaken tells that a compartment of this name exists.
	ErrTaken = errors.New("compartment name is taken")
	// ErrLimit tells that a name or value is empty, too long or malformed, or that
	// the keyring is full.
	ErrLimit = errors.New("outside the limits of a keyring")
)

const (
	maxName         = 128 // bytes, printable ASCII
	maxSecret       = 1 << 16
	maxSecrets      = 1 << 16
	maxCompartments = 1 << 19 // two for every stream ever begun; their trees take 43 MB
	maxLogKeys      = 1 << 12 // one a week for 78 years
)

// Edit collects the edits of one [Keyring.Change]. The first edit that cannot be
// made fails the whole change, whatever fn returns; those after it do nothing. An
// Edit is used by fn's goroutine, until fn returns.
type Edit struct {
	random    io.Reader
	live      int           // compartments that the keyring has already
	next      state         // shares the trees and values that do not change
	punctured map[int]*Tree // by position: copies that take the place of live trees
	fresh     map[string]bool
	gone      [][]byte // values of live secrets to overwrite when the change is made
	changed   bool
	rewrap    bool // draw the identity between anew
	err       error

	unwrappable error // why rewrap cannot be
}

// edit begins a change.
func (k *Keyring) edit() *Edit {
	k.mu.RLock()
	defer k.mu.RUnlock()
	e := &Edit{
		random:    k.random,
		live:      len(k.state.compartments),
		next:      k.state,
		punctured: map[int]*Tree{},
		fresh:     map[string]bool{},
	}
	e.next.compartments = slices.Clone(k.state.compartments)
	e.next.laterSeeds = append(make([][32]byte, 0, len(k.state.laterSeeds)+1), k.state.laterSeeds...) // room for one more
	e.next.secrets = maps.Clone(k.state.secrets)
	return e
}

// AddCompartment draws the tree of a new compartment and returns its id. The name
// (1 to 128 bytes of printable ASCII) must be new ([ErrTaken]). It returns 0 when
// the change has failed.
func (e *Edit) AddCompartment(name string) uint32 {
	if e.err != nil {
		return 0
	}
	taken := func(c Compartment) bool { return c.Name == name }
	switch {
	case !validName(name):
		e.err = fmt.Errorf("add compartment %q: name: %w", name, ErrLimit)
	case slices.ContainsFunc(e.next.compartments, taken):
		e.err = fmt.Errorf("add compartment %q: %w", name, ErrTaken)
	case len(e.next.compartments) >= maxCompartments:
		e.err = fmt.Errorf("add compartment %q: %d compartments: %w", name, maxCompartments, ErrLimit)
	}
	if e.err != nil {
		return 0
	}
	t, err := NewTree(e.random)
	if err != nil {
		e.err = fmt.Errorf("add compartment %q: %w", name, err)
		return 0
	}
	id := uint32(len(e.next.compartments) + 1)
	e.next.compartments = append(e.next.compartments, Compartment{ID: id, Name: name, Tree: t})
	e.changed = true
	return id
}

// AddLogKey draws another log key and returns its public half, or nil when the
// change has failed.
func (e *Edit) AddLogKey() ed25519.PublicKey {
	if e.err == nil && len(e.next.laterSeeds)+1 >= maxLogKeys {
		e.err = fmt.Errorf("add log key: %d log keys: %w", maxLogKeys, ErrLimit)
	}
	if e.err != nil {
		return nil
	}
	var seed [32]byte
	if _, err := io.ReadFull(e.random, seed[:]); err != nil {
		e.err = fmt.Errorf("add log key: %w", err)
		return nil
	}
	e.next.laterSeeds = append(e.next.laterSeeds, seed)
	e.changed = true
	return publicOf(&seed)
}

// DropLogKey forgets a log key that never signed anything. The first one stays;
// one that is not there is no error.
func (e *Edit) DropLogKey(pub ed25519.PublicKey) {
	if e.err != nil {
		return
	}
	if pub.Equal(publicOf(&e.next.logSeed)) {
		e.err = fmt.Errorf("drop log key: the ledger's id is made of the first: %w", ErrLimit)
		return
	}
	was := len(e.next.laterSeeds)
	e.next.laterSeeds = slices.DeleteFunc(e.next.laterSeeds, func(seed [32]byte) bool {
		return pub.Equal(publicOf(&seed))
	})
	e.changed = e.changed || len(e.next.laterSeeds) != was
}

func publicOf(seed *[32]byte) ed25519.PublicKey {
	return ed25519.NewKeyFromSeed(seed[:]).Public().(ed25519.PublicKey)
}

// Puncture shreds the hours below before of a compartment: see [Tree.Puncture].
func (e *Edit) Puncture(id uint32, before Hour) {
	if e.err != nil {
		return
	}
	i := int(id) - 1
	if i < 0 || i >= len(e.next.compartments) {
		e.err = fmt.Errorf("puncture compartment %d: there is none", id)
		return
	}
	t := e.next.compartments[i].Tree
	if i >= e.live || e.punctured[i] != nil { // ours already
		e.changed = t.puncture(before) || e.changed
		return
	}
	t = t.clone()
	if !t.puncture(before) {
		t.wipe()
		return
	}
	e.punctured[i], e.next.compartments[i].Tree = t, t
	e.changed = true
}

// SetSecret sets the secret of that name (1 to 128 bytes of printable ASCII) to a
// copy of value (at most 64 KiB).
func (e *Edit) SetSecret(name string, value []byte) {
	if e.err != nil {
		return
	}
	old, had := e.next.secrets[name]
	if had && bytes.Equal(old, value) {
		return
	}
	if !validName(name) || len(value) > maxSecret || !had && len(e.next.secrets) >= maxSecrets {
		e.err = fmt.Errorf("set secret %q: %w", name, ErrLimit)
		return
	}
	e.DeleteSecret(name)
	e.next.secrets[name] = append(make([]byte, 0, len(value)), value...)
	e.fresh[name], e.changed = true, true
}

// DeleteSecret removes the secret of that name; there need not be one.
func (e *Edit) DeleteSecret(name string) {
	old, had := e.next.secrets[name]
	if e.err != nil || !had {
		return
	}
	if e.fresh[name] {
		clear(old)
	} else {
		e.gone = append(e.gone, old)
	}
	delete(e.next.secrets, name)
	delete(e.fresh, name)
	e.changed = true
}

// discard overwrites what the edit drew and the keyring did not take.
func (e *Edit) discard() {
	for _, t := range e.punctured {
		t.wipe()
	}
	for _, c := range e.next.compartments[min(e.live, len(e.next.compartments)):] {
		c.Tree.wipe()
	}
	for name := range e.fresh {
		clear(e.next.secrets[name])
	}
	clear(e.next.laterSeeds)
	*e = Edit{err: errors.New("edit used after its change")}
}

func validName(name string) bool {
	if name == "" || len(name) > maxName {
		return false
	}
	for i := range len(name) {
		if name[i] < 0x21 || name[i] > 0x7e {
			return false
		}
	}
	return true
}
