// Package proof holds what is checked long after and by strangers: the proof
// file, the receipts of chains, and the verdict over both. It reads bytes and
// hashes them; it has no clock, no network and no store.
//
// # The file
//
// A proof file of version 0 is
//
//	"cairn/proof/0" 0a ‖ body ‖ SHA-256 of all before it (32)
//
// The checksum is no protection: it tells a damaged file from a false one. The
// body is one array in deterministic CBOR (RFC 8949 section 4.2.1), without
// tags, maps, floats and null. A reader writes again what it has read and
// refuses a file that differs. A hash is bytes (32), a salt bytes (16), a path
// one byte string of up to 63 hashes. A position counts from 0 in another list
// of the file.
//
//	body      = [ledger, [+ reading], [+ summary], [+ batch], [+ head], [* receipt], [* statement]]
//	ledger    = [log public key bytes (32), nonce bytes (32)]
//	reading   = [summary position, sequence uint, width uint, record root hash,
//	             [+ field], hidden path, run path]
//	field     = [index uint, item bytes, salt]
//	summary   = [batch position, tag bytes (12), item bytes, salt, path]
//	batch     = [header bytes, slots shown, statements (shown or null), [+ [head position, path]]]
//	shown     = [item bytes, salt]
//	head      = [signed note bytes]
//	receipt   = [route text, head position, kind text, data bytes]
//	statement = [batch position, index uint, item bytes, salt, path]
//
// (The null of a batch that shows no statements is the only one.) Fields ascend
// by index, the heads of a batch by position; a batch shows a statement once.
// Item 0 of a reading is empty in the file: it is made of the others, so
// whoever shows field 0 shows them all. The hidden path of a reading is what [Cover] gives: the roots of the largest
// subtrees of the record tree without a shown leaf, left to right. Every
// summary, batch and head is used by something below it, and a batch shows its
// statements only for a statement, so no byte of a file is without a check. A
// file has at most 64 MiB, a part of it 2 MiB.
//
// Items, entries and leaves are those of the packages reading and ledger, the
// hashes of trees and the signed note those of package merkle.
//
// # The steps of a verification
//
// [Verify] takes them in this order, and the first that is false ends it: then
// there is no level, whatever held before.
//
//	 1  file        The form above. ([Decode] has the checksum.)
//	 2  ledger      id = SHA256("cairn/ledger/1" ‖ log key ‖ nonce). With a policy:
//	                id and log key are the policy's.
//	 3  checkpoint  Each head is a checkpoint with origin "cairn/<id>" and one
//	                signature, by the log key. No two have one size and two roots,
//	                or one root and two sizes.
//	 4  log         Each batch header is this ledger's; its window reaches out of
//	                no quarter hour of Unix time; no other has its index;
//	                LeafHash(header) stands at the header's own index in the tree of
//	                each head it names.
//	 5  header      The slots item, and statements if shown, are what the header
//	                hides: SHA256(SHA256(item) ‖ salt). By index, the statements'
//	                trees do not shrink, and of one size have one root.
//	 6  batch       Each summary is of its header's window; the leaf of its entry,
//	                tag ‖ ff×8 ‖ SHA256(SHA256(summary) ‖ salt), stands at its own
//	                slot in the perfect tree of 1<<depth leaves with the header's
//	                batch root, depth from the slots item. A slot has one tag and a
//	                tag one slot; by index, the runs of a slot, first to next, do not
//	                overlap nor go back, and none follows a summary that is closed.
//	 7  record      No slot has a sequence twice. Each shown item parses, in its
//	                place; sequence is the reading's, received lies in the window
//	                [from, to). From items and salts to entries and leaves, with the
//	                hidden path to the record root. With field 0: items 1…N are all
//	                shown, make a valid reading, and the tree has the width of N+1
//	                items.
//	 8  run         first ≤ sequence < next; the leaf of the reading entry, tag ‖
//	                sequence ‖ record root, stands at sequence − first in the tree of
//	                next − first leaves with the summary's run root. The tag is the
//	                summary's.
//	 9  statements  Each stands at its index in the tree that a batch's statements
//	                item names, and is the same wherever else that index is shown.
//	                Number 0 and no other is a genesis, and has this log key and
//	                nonce; a slot has one binding, and that names the device that
//	                the shown readings of that stream name.
//	10  receipt     Each is of its head's root and of this ledger, its route is
//	                "ethereum:<chain id>", and its proofs hold (below).
//	11  block       Who that the verifier trusts says that the receipt's block is
//	                final. A receipt where the policy does not know chain, contract,
//	                code and sender counts for nothing, and nobody is asked.
//	12  anchor      Levels and bounds.
//
// # Levels
//
// A reading is logged if all holds; pending if also a receipt counts for one of
// its batch's heads; anchored if also that receipt's block is trusted; late
// instead if the policy sets a longest delay and the block's time is later than
// the window's end by more. The best receipt decides for a reading, of the best
// the earliest; a statement has the level of a reading in the batch that shows
// it. The least reading or statement decides for the file. A binding names the
// readings of its stream from the batch that shows it on, by index.
//
// Not after: the time of that block. Not before: the time of the newest block
// that the header names as seen when the window opened; the batch was closed
// after it, which says nothing about when a reading was made. It is confirmed
// only if that block, too, is trusted and has that time, and one that is goes
// before all that are not. A block that is newer than the anchor's own, or not
// below it on the same chain, is passed over.
//
// What a verdict does not cover it lists itself, in words: among it that a
// contract has another code than [RegistryCode], even if the policy names it;
// and, for a reading of chosen fields, that its record tree may hold more. The
// tree commits neither its width nor how many of its leaves are items, but for
// item 0: without that a leaf beyond N passes for an item.
//
// # Ethereum receipts
//
// Kind "ethereum/1". The data is the CBOR of [EthereumReceipt.MarshalBinary].
// [VerifyEthereum] checks
//
//	block hash  = keccak256(header RLP)
//	account     : state root (field 3 of the header) → keccak256(contract)
//	              → [nonce, balance, storage root, code hash]
//	storage     : storage root → keccak256(keccak256(sender ‖ ledger)) → root
//	log         : receipts root (field 5) → RLP(transaction index) → status 1, and
//	              a log of the contract with topics keccak256("Anchored(address,
//	              bytes32,bytes32)"), sender, ledger, and the root as data
//
// where each arrow is a Merkle Patricia proof whose nodes are all used, in
// order, none but the first shorter than 32 bytes. Number and time are fields 8 and 11. Fields are read by their place,
// so that headers of later forks, which add some at the end, can be read.
//
// # Policy
//
// UTF-8 text; blank lines and lines that begin with # do not count; words are
// parted by spaces. The first line is "cairn-policy 1", then in any order
//
//	ledger <id, 64 hexadecimal digits> <verifier key of the log>
//	route ethereum chain=<id> contract=0x<20 bytes> code=0x<32 bytes> sender=0x<20 bytes>
//	late <duration>
//
// with ledger once, late at most once, from 1s on, and any number of routes. A
// verifier key is that of a C2SP signed note, named "cairn/<id>"; code is the
// keccak256 of the contract's runtime code.
//
// # Headers file
//
// Text in the same manner. The first line is "cairn-headers 1", each other
//
//	ethereum <chain id> 0x<header RLP>
//
// Whoever gives it says that these blocks are final. Of several who are
// trusted one is enough.
package proof
