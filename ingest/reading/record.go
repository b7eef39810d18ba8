package reading

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/binary"
	"math/bits"

	"cairn/merkle"
)

// Sizes in bytes.
const (
	SaltSize   = 16
	TagSize    = 12
	HiddenSize = sha256.Size + SaltSize        // the entry of an item or a decoy
	EntrySize  = TagSize + 8 + merkle.HashSize // the entry of a reading
	minLeaves  = 8                             // no record tree is narrower
)

// decoyHash stands where an item's hash would.
var decoyHash = sha256.Sum256([]byte("cairn/decoy/1"))

// Width returns the number of leaves of a record tree of n items, item 0
// counted: the next power of two, at least 8.
func Width(n int) int {
	if n <= minLeaves {
		return minLeaves
	}
	return 1 << bits.Len(uint(n-1))
}

// HiddenEntry returns SHA256(item) ‖ salt.
func HiddenEntry(item []byte, salt [SaltSize]byte) (e [HiddenSize]byte) {
	h := sha256.Sum256(item)
	copy(e[:], h[:])
	copy(e[len(h):], salt[:])
	return e
}

// DecoyEntry returns SHA256("cairn/decoy/1") ‖ salt.
func DecoyEntry(salt [SaltSize]byte) (e [HiddenSize]byte) {
	copy(e[:], decoyHash[:])
	copy(e[len(decoyHash):], salt[:])
	return e
}

// Entry returns a reading's entry in its stream's tree and its run's: tag ‖
// sequence ‖ record root.
func Entry(tag [TagSize]byte, seq uint64, root merkle.Hash) (e [EntrySize]byte) {
	copy(e[:], tag[:])
	binary.BigEndian.PutUint64(e[TagSize:], seq)
	copy(e[TagSize+8:], root[:])
	return e
}

// EntryLeaf returns the leaf hash of a reading's entry.
func EntryLeaf(tag [TagSize]byte, seq uint64, root merkle.Hash) merkle.Hash {
	e := Entry(tag, seq, root)
	return merkle.LeafHash(e[:])
}

// Salts holds the salt keys of one stream in one hour, one for each class, as
// AES-256 blocks. It may be used concurrently.
type Salts struct {
	Envelope, Data cipher.Block
	Site           cipher.Block // of items 0 and 6 and of decoys

	// Split holds the block of each measurement, in order, where a stream's
	// measurements lie in several compartments; nil where all of them have Data.
	Split []cipher.Block
}

func (s *Salts) block(index, n int) cipher.Block {
	if index >= n {
		return s.Site
	}
	switch ClassOf(index) {
	case Envelope:
		return s.Envelope
	case Data:
		if s.Split != nil {
			return s.Split[index-IndexData]
		}
		return s.Data
	}
	return s.Site
}

// Salt returns the salt of leaf index in the record tree of the reading with
// this sequence number and n items, item 0 counted. Leaves from n on are
// decoys.
func (s *Salts) Salt(seq uint64, index, n int) [SaltSize]byte {
	var b [aes.BlockSize]byte
	binary.BigEndian.PutUint64(b[:8], seq)
	binary.BigEndian.PutUint64(b[8:], uint64(index))
	s.block(index, n).Encrypt(b[:], b[:])
	return b
}

// Hasher computes record trees. It is reused without allocating; the zero
// Hasher is ready. It is not safe for concurrent use.
type Hasher struct {
	items  Items
	leaves [MaxLeaves]merkle.Hash
	block  [aes.BlockSize]byte
	entry  [HiddenSize]byte
}

// Root returns the record root of r, which has to be valid.
func (h *Hasher) Root(r *Reading, s *Salts) merkle.Hash {
	return merkle.PerfectRoot(h.Leaves(r, s))
}

// Leaves returns the leaf hashes of r's record tree, decoys included, valid
// until the next call of Leaves or Root. r has to be valid.
func (h *Hasher) Leaves(r *Reading, s *Salts) []merkle.Hash {
	h.items.Set(r)
	n := h.items.Len()
	leaves := h.leaves[:Width(n)]
	binary.BigEndian.PutUint64(h.block[:8], r.Sequence)
	for i := range leaves {
		hash := decoyHash
		if i < n {
			hash = sha256.Sum256(h.items.At(i))
		}
		copy(h.entry[:], hash[:])
		binary.BigEndian.PutUint64(h.block[8:], uint64(i))
		s.block(i, n).Encrypt(h.entry[sha256.Size:], h.block[:])
		leaves[i] = merkle.LeafHash(h.entry[:])
	}
	return leaves
}

// Items returns the items of the reading that was hashed last, valid until the
// next call of Leaves or Root.
func (h *Hasher) Items() *Items { return &h.items }
