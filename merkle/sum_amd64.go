//go:build amd64 && !purego

package merkle

import (
	"crypto/fips140"
	"crypto/sha256"
	"encoding/binary"
)

// crypto/sha256 hashes a block as fast as the processor can, but each call
// costs as much again around it, and a tree is nothing but calls of one or two
// blocks. So where the processor has the SHA extensions, sumShort pads the
// message where it lies and goes straight to the rounds. The build tag purego
// leaves this out, as does Go's FIPS 140 mode; the results are the same.
var hasSHA = detectSHA() && !fips140.Enabled()

// sumShort sets *dst to the SHA-256 of b[:n], n ≤ 119. It uses the rest of b,
// which must be zero, for the padding.
func sumShort(dst *Hash, b *[128]byte, n int) {
	if !hasSHA {
		*dst = sha256.Sum256(b[:n])
		return
	}
	// FIPS 180-4 section 5.1.1: the bit 1, zeros, and the length in bits in the
	// last 8 bytes of a block.
	b[n] = 0x80
	blocks := 1
	if n > sha256.BlockSize-9 {
		blocks = 2
	}
	binary.BigEndian.PutUint64(b[blocks*sha256.BlockSize-8:], uint64(n)*8)
	sumBlocks(dst, &b[0], blocks)
}

// nodeHash sets *dst to the node over *l and *r; dst may be either of them.
func nodeHash(dst, l, r *Hash) {
	if hasSHA {
		sumNode(dst, l, r)
	} else {
		slowNodeHash(dst, l, r)
	}
}

// detectSHA reports whether the processor has the SHA extensions, and SSSE3
// and SSE4.1 that sumBlocks uses beside them.
func detectSHA() bool {
	const (
		ssse3 = 1 << 9  // leaf 1, ecx
		sse41 = 1 << 19 // leaf 1, ecx
		sha   = 1 << 29 // leaf 7, ebx
	)
	highest, _, _, _ := cpuid(0, 0)
	if highest < 7 {
		return false
	}
	_, _, ecx, _ := cpuid(1, 0)
	_, ebx, _, _ := cpuid(7, 0)
	return ecx&ssse3 != 0 && ecx&sse41 != 0 && ebx&sha != 0
}

// sumBlocks sets *dst to the SHA-256 state after this many blocks of 64 bytes,
// at least one, from p on: the hash of a message that is already padded.
//
//go:noescape
func sumBlocks(dst *Hash, p *byte, blocks int)

// sumNode sets *dst to SHA256(01 ‖ *l ‖ *r); dst may be either of them.
//
//go:noescape
func sumNode(dst, l, r *Hash)

//go:noescape
func cpuid(leaf, sub uint32) (eax, ebx, ecx, edx uint32)
