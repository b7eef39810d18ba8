//go:build !amd64 || purego

package merkle

import "crypto/sha256"

// sumShort sets *dst to the SHA-256 of b[:n], n ≤ 119.
func sumShort(dst *Hash, b *[128]byte, n int) { *dst = sha256.Sum256(b[:n]) }

// nodeHash sets *dst to the node over *l and *r; dst may be either of them.
func nodeHash(dst, l, r *Hash) { slowNodeHash(dst, l, r) }
