// Package merkle holds the trees that everything else in cairn stands on:
// hashes, append-only trees, proofs, tiles and checkpoints. It is pure: no
// files, no network, no clock, and nothing else of this module.
//
// # Hashes
//
// All hashing is that of RFC 6962 section 2.1, which RFC 9162 kept:
//
//	leaf  = SHA256(00 ‖ entry)
//	node  = SHA256(01 ‖ left ‖ right)
//	empty = SHA256()
//
// A tree of n > 1 leaves has the first k of them on its left, where k is the
// largest power of two below n, and the others on its right. Node (level,
// index) is the root of the complete subtree over the leaves [index<<level,
// (index+1)<<level). The peaks of a tree are the largest such subtrees that
// make it up, one for each bit set in n.
//
// # Trees
//
// [Tree] grows leaf by leaf and keeps only its peaks. Its bytes are
//
//	size (8, big-endian) ‖ peaks (32 each, highest first)
//
// [RootOf], [PerfectRoot] and [PerfectPath] work on leaf hashes at hand.
//
// # Proofs
//
// A proof is a list of hashes without any framing. Size, index and root come
// from elsewhere, and the verifier uses up the list exactly.
//
//	inclusion    the siblings from the leaf up      RFC 9162 section 2.1.3
//	consistency  as in                              RFC 9162 section 2.1.4
//	range        the roots of the largest subtrees without a leaf of
//	             the range, from left to right
//
// A root does not fix its tree's size: one path can lead to the same root at
// another size. Take size and root together, from a checkpoint or from an entry
// that names both.
//
// Proofs are made from a [NodeReader], which has complete subtrees only, and
// checked against hashes alone.
//
// # Checkpoints
//
// A checkpoint is a C2SP tlog-checkpoint, https://c2sp.org/tlog-checkpoint: the
// text
//
//	<origin>\n
//	<size, decimal>\n
//	<root, base64>\n
//	[<extension>\n …]
//
// in a signed note, https://c2sp.org/signed-note: an empty line and then a line
// for each signature,
//
//	— <key name> <base64(key ID (4) ‖ signature (64))>\n
//
// with an Ed25519 key (type 01) that is named as the origin.
//
// # Tiles
//
// A log is served as C2SP tlog-tiles, https://c2sp.org/tlog-tiles. The tile at
// level L and index N holds the nodes (8·L, 256·N) and following, 32 bytes
// each, 256 of them when full; an entry bundle holds the entries of a tile at
// level 0, each as length (2, big-endian) ‖ entry.
//
//	tile/<L>/<N>[.p/<width>]     tile/entries/<N>[.p/<width>]
package merkle
