package share

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
)

// NoStream is the slot of salts that belong to no stream.
const NoStream = ^uint64(0)

// Overhead is by how many bytes a sealed message is longer than the plain one.
const Overhead = 16

// ErrSeal tells that sealed bytes do not open: another hour, purpose, random or
// additional data, or changed bytes. It never says which.
var ErrSeal = errors.New("sealed bytes do not open")

const (
	sealKeyLabel = "cairn/seal/1"
	saltKeyLabel = "cairn/salt-key/1"
	saltLabel    = "cairn/salt/1"
	sealInfo     = "cairn/seal/1 "

	notDrawn = "share: the random bytes of a seal were not drawn"
)

// HourKey is what one compartment's leaf gives: the key that messages of the hour
// are sealed under and the key its salts come from. Both are secret.
type HourKey struct{ Seal, Salt [32]byte }

func hourKey(leaf *[32]byte) HourKey {
	return HourKey{Seal: mac(leaf, sealKeyLabel), Salt: mac(leaf, saltKeyLabel)}
}

// mac is HMAC-SHA256 (RFC 2104) with a 32-byte key. Written out because it runs
// on the stack: the keys it handles leave no copy in the heap.
func mac[M string | []byte](key *[32]byte, message M) [32]byte {
	var in, out [128]byte
	for i := range 64 {
		var k byte
		if i < len(key) {
			k = key[i]
		}
		in[i], out[i] = k^0x36, k^0x5c
	}
	inner := sha256.Sum256(append(in[:64], message...))
	copy(out[64:], inner[:])
	return sha256.Sum256(out[:96])
}

// SaltBlock returns the AES-256 block cipher that makes the salts of label and
// slot: salt = encryption of a 16-byte block. The label has at most 255 bytes; a
// longer one panics.
func (k HourKey) SaltBlock(label string, slot uint64, incarnation [16]byte) cipher.Block {
	key := k.saltKey(label, slot, incarnation)
	block, err := aes.NewCipher(key[:])
	if err != nil {
		panic("share: " + err.Error()) // a 32-byte key is always taken
	}
	return block
}

func (k *HourKey) saltKey(label string, slot uint64, incarnation [16]byte) [32]byte {
	if len(label) > 255 {
		panic(fmt.Sprintf("share: salt label of %d bytes", len(label)))
	}
	m := make([]byte, 0, 64)
	m = append(m, saltLabel...)
	m = append(m, byte(len(label)))
	m = append(m, label...)
	m = binary.BigEndian.AppendUint64(m, slot)
	m = append(m, incarnation[:]...)
	return mac(&k.Salt, m)
}

// SealMessage appends the sealed form of plain to dst, [Overhead] bytes longer.
// The caller draws random anew for every message, the same purpose or not, and
// keeps it beside the sealed bytes; all zero means it was forgotten, and panics.
func (k HourKey) SealMessage(dst []byte, purpose string, random *[32]byte, aad, plain []byte) []byte {
	if *random == [32]byte{} {
		panic(notDrawn)
	}
	var nonce [12]byte
	return k.aead(purpose, random).Seal(dst, nonce[:], plain, aad)
}

// OpenMessage appends what SealMessage was given to dst, or fails with [ErrSeal].
func (k HourKey) OpenMessage(dst []byte, purpose string, random *[32]byte, aad, sealed []byte) ([]byte, error) {
	var nonce [12]byte
	out, err := k.aead(purpose, random).Open(dst, nonce[:], sealed, aad)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", purpose, ErrSeal)
	}
	return out, nil
}

func (k *HourKey) aead(purpose string, random *[32]byte) cipher.AEAD {
	prk := k.extract(random)
	return purposeAEAD(&prk, purpose)
}

// extract and purposeAEAD are the two steps of HKDF-SHA256 (RFC 5869) with random as
// the salt; 32 bytes are one block of its output.
func (k *HourKey) extract(random *[32]byte) [32]byte { return mac(random, k.Seal[:]) }

func purposeAEAD(prk *[32]byte, purpose string) cipher.AEAD {
	key := mac(prk, sealInfo+purpose+"\x01")
	block, err := aes.NewCipher(key[:])
	clear(key[:])
	if err != nil {
		panic("share: " + err.Error())
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic("share: " + err.Error())
	}
	return aead
}
