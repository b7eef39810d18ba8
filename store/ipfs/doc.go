// Package ipfs publishes folders of immutable files through the RPC of an IPFS node (Kubo's, /api/v0), and reads them
// back from such a node or from a gateway that hands out blocks. It trusts neither: the identifier of what is
// published is computed here and compared with the node's answer, and every block that is read is hashed.
//
// # Identifiers
//
// A CID here is always of version 1 with SHA-256 (github.com/multiformats/cid):
//
//	01 ‖ codec (1): 55 raw, 70 dag-pb ‖ 12 20 ‖ SHA-256 of the block (32)
//
// Its text is "b" and the 36 bytes in base32 (RFC 4648 §6, lower case, no padding), as this package writes it; others
// write it in base58btc ("z"), base36 ("k") or base16 ("f"), so CIDs are compared as bytes.
//
// # Files
//
// A file is cut into chunks of 256 KiB; each is a block of codec raw. One chunk is the file. More are joined by nodes
// of up to 174 links, in order, level by level, until there is one ("balanced"). A node is a dag-pb block (protobuf,
// links first):
//
//	node = { 12 len link } … 0a len data
//	link = 0a 24 CID (36) ‖ 12 len name ‖ 18 Tsize uvarint
//	data = 08 02 ‖ 18 file size uvarint ‖ { 20 size under a link uvarint } …      UnixFS, a file
//	data = 08 01                                                                  UnixFS, a directory
//
// The links of a file have empty names, those of a directory the names of its files, in order of their bytes. Tsize is
// the bytes of the link's block and all below it. That is what `ipfs add --cid-version 1` makes, byte for byte.
//
// # Limits
//
// A directory has at most MaxFiles files: larger ones are sharded (HAMT) by some nodes and not by others. A block has
// at most MaxBlock bytes, a text of a CID 128. What a reader asks for says how large the file may be.
package ipfs
