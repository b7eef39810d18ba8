package store

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync/atomic"
)

// localSeal seals rows that stay at the site: AES-256-GCM under a key derived
// from the keyring's local key, with a random nonce before the ciphertext and
// the row's own key as associated data, so that no row can take another's place.
// While the keyring has two local keys, rows are sealed under the newer and opened
// by either.
type localSeal struct{ keys atomic.Pointer[[]cipher.AEAD] } // the newest first

func newLocalSeal(keys [][32]byte) (*localSeal, error) {
	l := new(localSeal)
	return l, l.use(keys)
}

// use goes over to other keys, the newest first.
func (l *localSeal) use(keys [][32]byte) error {
	all := make([]cipher.AEAD, len(keys))
	for i := range keys {
		var err error
		if all[i], err = localCipher(keys[i]); err != nil {
			return err
		}
	}
	l.keys.Store(&all)
	return nil
}

func localCipher(key [32]byte) (cipher.AEAD, error) {
	k, err := hkdf.Key(sha256.New, key[:], nil, "cairn/local-rows/1", 32)
	if err != nil {
		return nil, fmt.Errorf("derive the key of local rows: %w", err)
	}
	block, err := aes.NewCipher(k)
	if err != nil {
		return nil, fmt.Errorf("cipher of local rows: %w", err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		return nil, fmt.Errorf("cipher of local rows: %w", err)
	}
	return gcm, nil
}

func (l *localSeal) seal(key, plain []byte) []byte {
	out := make([]byte, 12, 12+len(plain)+16)
	rand.Read(out)
	return (*l.keys.Load())[0].Seal(out, out, plain, key)
}

var errLocal = errors.New("does not open with this keyring")

func (l *localSeal) open(key, sealed []byte) ([]byte, error) {
	if len(sealed) < 12+16 {
		return nil, errLocal
	}
	for _, gcm := range *l.keys.Load() {
		if plain, err := gcm.Open(nil, sealed[:12], sealed[12:], key); err == nil {
			return plain, nil
		}
	}
	return nil, errLocal
}
