package ledger

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"math/bits"

	"cairn/merkle"
)

// Sizes in bytes.
const (
	SaltSize         = 16
	TagSize          = 12
	HiddenSize       = sha256.Size + SaltSize        // the entry of a hidden item or a decoy
	SummaryEntrySize = TagSize + 8 + merkle.HashSize // the entry of a summary
)

// NoStream stands for the slot where a salt key belongs to no stream.
const NoStream = ^uint64(0)

// Labels of the salt keys that this package's items are salted under, and
// FieldLabel, that of a reading's fields. See the package doc for which
// compartment's hour key each is derived from.
const (
	FieldLabel     = "field"
	SummaryLabel   = "summary"
	RestLabel      = "rest"
	SlotLabel      = "slot"
	HeaderLabel    = "header"
	SegmentLabel   = "segment"
	StatementLabel = "statement"
)

// Domain strings that are hashed bare, outside of any item.
const (
	idDomain    = "cairn/ledger/1"
	tagDomain   = "cairn/tag/1"
	decoyDomain = "cairn/decoy/1"
)

// ID returns the id of the ledger with this log public key, which has 32
// bytes, and nonce.
func ID(pub ed25519.PublicKey, nonce [32]byte) merkle.Hash {
	b := make([]byte, 0, len(idDomain)+ed25519.PublicKeySize+len(nonce))
	b = append(append(append(b, idDomain...), pub...), nonce[:]...)
	return sha256.Sum256(b)
}

// Origin returns the ledger's checkpoint origin, which is also the name of its
// log key: "cairn/" and the id in lower case hexadecimal, 70 characters.
func Origin(id merkle.Hash) string { return "cairn/" + id.String() }

// Tag returns the keyed pseudonym of the stream at a slot of a ledger.
func Tag(key [32]byte, id merkle.Hash, slot uint64) (tag [TagSize]byte) {
	mac := hmac.New(sha256.New, key[:])
	mac.Write([]byte(tagDomain))
	mac.Write(id[:])
	mac.Write(binary.BigEndian.AppendUint64(nil, slot))
	copy(tag[:], mac.Sum(nil))
	return tag
}

// Hide returns SHA256(SHA256(item) ‖ salt), as which a batch header and a
// summary hold what they hide.
func Hide(item []byte, salt [SaltSize]byte) merkle.Hash {
	e := HiddenEntry(item, salt)
	return sha256.Sum256(e[:])
}

// HiddenEntry returns SHA256(item) ‖ salt: the entry of a statement or a
// segment in its tree.
func HiddenEntry(item []byte, salt [SaltSize]byte) (e [HiddenSize]byte) {
	h := sha256.Sum256(item)
	copy(e[:], h[:])
	copy(e[len(h):], salt[:])
	return e
}

var decoyHash = sha256.Sum256([]byte(decoyDomain))

// DecoyEntry returns SHA256("cairn/decoy/1") ‖ salt: the entry of a slot of the
// batch tree that no active stream has.
func DecoyEntry(salt [SaltSize]byte) (e [HiddenSize]byte) {
	copy(e[:], decoyHash[:])
	copy(e[len(decoyHash):], salt[:])
	return e
}

// SummaryEntry returns the entry of a summary item in the batch tree: tag ‖
// ff×8 ‖ Hide(summary, salt). It allocates nothing.
func SummaryEntry(tag [TagSize]byte, summary []byte, salt [SaltSize]byte) (e [SummaryEntrySize]byte) {
	h := Hide(summary, salt)
	copy(e[:], tag[:])
	binary.BigEndian.PutUint64(e[TagSize:], NoStream)
	copy(e[TagSize+8:], h[:])
	return e
}

// minDepth is the depth of the narrowest batch tree, that of eight slots.
const minDepth = 3

// Depth returns the depth of the batch tree of a ledger that has given so many
// slots ever: the tree is 1<<Depth wide, at least 8, and holds them all.
func Depth(slots uint64) int {
	if slots <= 1<<minDepth {
		return minDepth
	}
	return bits.Len64(slots - 1)
}

// Blocks whose AES-256 encryption under the salt key is a salt.

// PairBlock returns a ‖ b: for a slot's decoy batch and slot, for a value
// hidden in a header batch and place, for a statement its number and 0.
func PairBlock(a, b uint64) (block [SaltSize]byte) {
	binary.BigEndian.PutUint64(block[:8], a)
	binary.BigEndian.PutUint64(block[8:], b)
	return block
}

// FieldBlock returns sequence ‖ index, for a leaf of a record tree.
func FieldBlock(seq, index uint64) [SaltSize]byte { return PairBlock(seq, index) }

// SummaryBlock returns ff×8 ‖ batch, for a summary and for its rest.
func SummaryBlock(batch uint64) [SaltSize]byte { return PairBlock(NoStream, batch) }

// SegmentBlock returns first batch (8) ‖ compartment (4) ‖ part (4). The hour
// would not do: after a clock was put back there is one twice.
func SegmentBlock(first uint64, compartment, part uint32) [SaltSize]byte {
	return PairBlock(first, uint64(compartment)<<32|uint64(part))
}
