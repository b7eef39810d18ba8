package merkle

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
)

// HashSize is the length of a Hash in bytes.
const HashSize = sha256.Size

// MaxSize is the largest number of leaves a tree may have. Readers of foreign
// bytes refuse more, so that no index or shift in this package can overflow.
const MaxSize = 1<<63 - 1

// Domain separation of RFC 6962 section 2.1: the first byte that is hashed.
const (
	leafPrefix = 0x00
	nodePrefix = 0x01
)

var (
	// ErrProof says that a proof does not prove what it was offered for: a
	// hash is wrong, missing or left over, or the place lies outside the tree.
	// Nothing may be concluded from such a proof.
	ErrProof = errors.New("proof does not hold")

	// ErrRange says that something was asked for which a tree of this size
	// does not have. Ask again with a place inside the tree.
	ErrRange = errors.New("outside the tree")
)

// Hash is a SHA-256 hash: a leaf, an inner node or a root.
type Hash [HashSize]byte

// String returns h in lower case hexadecimal, 64 characters.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// Base64 returns h in standard base64 with padding, 44 characters, as
// checkpoints and proofs write it.
func (h Hash) Base64() string { return base64.StdEncoding.EncodeToString(h[:]) }

// EmptyRoot returns the root of the tree without leaves: SHA-256 of nothing
// (RFC 6962 section 2.1).
func EmptyRoot() Hash { return emptyRoot }

var emptyRoot Hash = sha256.Sum256(nil)

// shortEntry is the longest entry whose leaf hash takes two blocks of 64 bytes:
// the prefix, the padding's first byte and the length take the other ten.
const shortEntry = 118

// LeafHash returns SHA256(00 ‖ entry), the leaf hash of RFC 6962, and allocates
// nothing. An entry of up to 54 bytes costs one block, one of up to 118 two.
func LeafHash(entry []byte) (h Hash) {
	if len(entry) > shortEntry {
		return longLeafHash(entry)
	}
	var b [2 * sha256.BlockSize]byte
	b[0] = leafPrefix
	sumShort(&h, &b, 1+copy(b[1:], entry))
	return h
}

func longLeafHash(entry []byte) (h Hash) {
	d := sha256.New()
	d.Write([]byte{leafPrefix})
	d.Write(entry)
	d.Sum(h[:0])
	return h
}

// NodeHash returns SHA256(01 ‖ l ‖ r), the inner node of RFC 6962: two blocks,
// no allocation.
func NodeHash(l, r Hash) Hash {
	nodeHash(&l, &l, &r)
	return l
}

// slowNodeHash is nodeHash by crypto/sha256 alone.
func slowNodeHash(dst, l, r *Hash) {
	var b [1 + 2*HashSize]byte
	b[0] = nodePrefix
	copy(b[1:], l[:])
	copy(b[1+HashSize:], r[:])
	*dst = sha256.Sum256(b[:])
}
