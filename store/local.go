package store

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
)

// localSeal seals rows that stay at the site: AES-256-GCM under a key derived
// from the keyring's local key, with a random nonce before the ciphertext and
// the row's own key as associated data, so that no row can take another's place.
type localSeal struct{ gcm cipher.AEAD }

func newLocalSeal(key [32]byte) (*localSeal, error) {
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
	return &localSeal{gcm}, nil
}

func (l *localSeal) seal(key, plain []byte) []byte {
	out := make([]byte, 12, 12+len(plain)+16)
	rand.Read(out)
	return l.gcm.Seal(out, out, plain, key)
}

var errLocal = errors.New("does not open with this keyring")

func (l *localSeal) open(key, sealed []byte) ([]byte, error) {
	if len(sealed) < 12+16 {
		return nil, errLocal
	}
	plain, err := l.gcm.Open(nil, sealed[:12], sealed[12:], key)
	if err != nil {
		return nil, errLocal
	}
	return plain, nil
}
