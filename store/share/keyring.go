package share

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"slices"
	"sync"
)

// Compartments that every keyring has from its creation.
const (
	Ledger uint32 = 1 // segment and statement roots; goes with every grant
	Site   uint32 = 2 // never granted
)

// Compartment is one of the classes of fields that can be shared, with its key
// tree. The tree is the keyring's own: a change of the keyring that punctures it
// shows in it, and [Tree.Puncture] refuses it.
type Compartment struct {
	ID   uint32 // 1, 2, 3 …, never given twice
	Name string // unique in the keyring
	Tree *Tree
}

// Keyring holds all secrets of a site. It is safe for concurrent use.
type Keyring struct {
	random io.Reader // crypto/rand, or what MemorySeed gives

	changing sync.Mutex // held through all of Change; covers what follows
	file     *file      // nil when the keyring is in memory only
	broken   error      // set when memory and file may differ: no more changes

	mu      sync.RWMutex // covers what follows, held for moments
	state   state
	logKeys []ed25519.PrivateKey // of state.logSeed and state.laterSeeds
}

// state is what the body of the file holds. logSeed, nonce and tagKey never
// change.
type state struct {
	logSeed, nonce, tagKey, localKey [32]byte

	oldLocalKey  [32]byte      // blank when there is none
	laterSeeds   [][32]byte    // of log keys after the first, in the order in which they were drawn
	compartments []Compartment // ID is the position + 1
	secrets      map[string][]byte
}

// Create draws all secrets of a new site and writes them to path. It refuses to
// overwrite ([ErrExists]).
func Create(path string, w Wrap) (*Keyring, error) {
	s, err := draw(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("create keyring %s: %w", path, err)
	}
	f, err := createFile(path, w, s)
	if err != nil {
		return nil, fmt.Errorf("create keyring %s: %w", path, err)
	}
	return newKeyring(rand.Reader, f, s), nil
}

// Open reads the keyring at path. It fails with [ErrMode] when others than the
// owner may read the file, [ErrPassphrase] when w does not open it, [ErrDamaged]
// when the file is not what was written. What a crash left beside the file is
// removed. For a passphrase it takes the memory of scrypt once (64 MiB at the
// default work factor), which the caller may give back by debug.FreeOSMemory. What
// w says stays in memory for [Edit.Rewrap]: a passphrase itself, of identities
// their public halves.
func Open(path string, w Wrap) (*Keyring, error) {
	f, s, err := openFile(path, w)
	if err != nil {
		return nil, fmt.Errorf("open keyring %s: %w", path, err)
	}
	f.clean()
	return newKeyring(rand.Reader, f, s), nil
}

// Memory returns a keyring with fresh secrets and no file, for tests and benches.
func Memory() *Keyring { return memory(rand.Reader) }

// MemorySeed is [Memory] with all secrets, also those drawn later, derived from
// seed: the same calls give the same keys. For tests only.
func MemorySeed(seed [32]byte) *Keyring { return memory(mathrand.NewChaCha8(seed)) }

func memory(random io.Reader) *Keyring {
	s, err := draw(random)
	if err != nil {
		panic("share: " + err.Error()) // neither source of randomness fails
	}
	return newKeyring(random, nil, s)
}

func newKeyring(random io.Reader, f *file, s *state) *Keyring {
	return &Keyring{random: random, file: f, state: *s, logKeys: s.logKeys()}
}

// logKeys makes the keys of all log seeds, the first first.
func (s *state) logKeys() []ed25519.PrivateKey {
	all := make([]ed25519.PrivateKey, 0, 1+len(s.laterSeeds))
	all = append(all, ed25519.NewKeyFromSeed(s.logSeed[:]))
	for i := range s.laterSeeds {
		all = append(all, ed25519.NewKeyFromSeed(s.laterSeeds[i][:]))
	}
	return all
}

// draw draws the secrets of a new site, in the order of the file's body.
func draw(random io.Reader) (*state, error) {
	s := &state{secrets: map[string][]byte{}}
	for _, secret := range []*[32]byte{&s.logSeed, &s.nonce, &s.tagKey, &s.localKey} {
		if _, err := io.ReadFull(random, secret[:]); err != nil {
			return nil, fmt.Errorf("draw secrets: %w", err)
		}
	}
	for i, name := range []string{"ledger", "site"} {
		t, err := NewTree(random)
		if err != nil {
			return nil, err
		}
		t.owned = true
		s.compartments = append(s.compartments, Compartment{ID: uint32(i + 1), Name: name, Tree: t})
	}
	return s, nil
}

// LogKey is the first log key, which the ledger's id is made of. It signs
// checkpoints and intake heads until the ledger names another one.
func (k *Keyring) LogKey() ed25519.PrivateKey {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return bytes.Clone(k.logKeys[0])
}

// LogKeys lists the public halves of all log keys in the order in which they were
// drawn, the first first. Which of them signs, the ledger says: the newest may
// be one that it never came to name.
func (k *Keyring) LogKeys() []ed25519.PublicKey {
	k.mu.RLock()
	defer k.mu.RUnlock()
	all := make([]ed25519.PublicKey, len(k.logKeys))
	for i, key := range k.logKeys {
		all[i] = key.Public().(ed25519.PublicKey)
	}
	return all
}

// LogKeyOf returns the log key with this public half, if there is one.
func (k *Keyring) LogKeyOf(pub ed25519.PublicKey) (ed25519.PrivateKey, bool) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	for _, key := range k.logKeys {
		if pub.Equal(key.Public()) {
			return bytes.Clone(key), true
		}
	}
	return nil, false
}

// Nonce is the public random part of the ledger id.
func (k *Keyring) Nonce() [32]byte { return k.state.nonce }

// TagKey is the key that the tags of streams are derived from.
func (k *Keyring) TagKey() [32]byte { return k.state.tagKey }

// Compartment returns the compartment of that id, if there is one.
func (k *Keyring) Compartment(id uint32) (Compartment, bool) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	if id == 0 || int64(id) > int64(len(k.state.compartments)) {
		return Compartment{}, false
	}
	return k.state.compartments[id-1], true
}

// CompartmentNamed returns the compartment of that name, if there is one.
func (k *Keyring) CompartmentNamed(name string) (Compartment, bool) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	i := slices.IndexFunc(k.state.compartments, func(c Compartment) bool { return c.Name == name })
	if i < 0 {
		return Compartment{}, false
	}
	return k.state.compartments[i], true
}

// Compartments returns all compartments in order of their ids.
func (k *Keyring) Compartments() []Compartment {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return slices.Clone(k.state.compartments)
}

// Secret returns a copy of the secret of that name, if there is one.
func (k *Keyring) Secret(name string) ([]byte, bool) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	v, ok := k.state.secrets[name]
	return bytes.Clone(v), ok
}

// Change runs fn and then makes all of its edits at once, on disk and in memory;
// when it returns nil they survive power loss. When fn or the writing fails,
// nothing has changed, with one exception: after an error that is [ErrBroken] the
// file may hold the old or the new keyring, memory has the old one, and the
// keyring takes no more changes until it is opened again.
//
// Changes wait for each other; fn may read the keyring, where it sees none of its
// own edits, but not change it.
func (k *Keyring) Change(fn func(*Edit) error) error {
	k.changing.Lock()
	defer k.changing.Unlock()
	if k.broken != nil {
		return k.broken
	}
	e := k.edit()
	e.unwrappable = k.canRewrap()
	defer e.discard()
	err := fn(e)
	if err == nil {
		err = e.err
	}
	if err != nil || !e.changed {
		return err
	}
	if err := k.write(&e.next, e.rewrap); err != nil {
		return fmt.Errorf("change keyring: %w", err)
	}
	k.apply(e)
	return nil
}

// write puts next on disk, with an identity between drawn anew if rewrap.
func (k *Keyring) write(next *state, rewrap bool) error {
	f := k.file
	if f == nil {
		return nil
	}
	if rewrap {
		var err error
		if f, err = f.rewrapped(); err != nil {
			return err
		}
	}
	err := f.replace(next)
	if errors.Is(err, ErrBroken) {
		k.broken = err
	}
	if err == nil {
		k.file = f
	}
	return err
}

// apply moves what the edit holds into the keyring and leaves nothing to discard.
func (k *Keyring) apply(e *Edit) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for i, t := range e.punctured {
		live := k.state.compartments[i].Tree
		live.adopt(t)
		e.next.compartments[i].Tree = live
	}
	for _, c := range e.next.compartments[len(k.state.compartments):] {
		c.Tree.owned = true
	}
	for _, v := range e.gone {
		clear(v)
	}
	k.applyLogKeys(&e.next)
	k.state.localKey, k.state.oldLocalKey = e.next.localKey, e.next.oldLocalKey
	k.state.compartments, k.state.secrets = e.next.compartments, e.next.secrets
	*e = Edit{err: errors.New("edit used after its change")}
}

// applyLogKeys takes over the log seeds of next. Those of before are overwritten:
// next has a copy, and so has whoever asked for a key.
func (k *Keyring) applyLogKeys(next *state) {
	if slices.Equal(k.state.laterSeeds, next.laterSeeds) {
		clear(next.laterSeeds)
		return
	}
	clear(k.state.laterSeeds)
	for _, key := range k.logKeys {
		clear(key)
	}
	k.state.laterSeeds, k.logKeys = next.laterSeeds, next.logKeys()
}
