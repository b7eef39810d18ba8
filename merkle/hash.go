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

// shortEntry is the longest entry whose leaf hash takes two blocks: with its
// prefix, the bit 1 and the length of eight bytes it would fill 129 otherwise.
const shortEntry = 119

// LeafHash returns SHA256(00 ‖ entry), the leaf hash of RFC 6962. It allocates
// nothing for entries of up to 119 bytes; an entry of up to 54 bytes costs one
// block.
func LeafHash(entry []byte) Hash {
	if len(entry) > shortEntry {
		return longLeafHash(entry)
	}
	var b [1 + shortEntry]byte
	b[0] = leafPrefix
	n := copy(b[1:], entry)
	return sha256.Sum256(b[:1+n])
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

// nodeHash sets *dst to the node over *l and *r; dst may be either of them.
func nodeHash(dst, l, r *Hash) {
	var b [1 + 2*HashSize]byte
	b[0] = nodePrefix
	copy(b[1:], l[:])
	copy(b[1+HashSize:], r[:])
	*dst = sha256.Sum256(b[:])
}
