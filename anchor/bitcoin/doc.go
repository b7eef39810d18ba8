// Package bitcoin anchors on Bitcoin: a line of transactions of one key, each
// of which carries the ledger's root in an OP_RETURN and spends the change of
// the one before it.
//
// # Transactions
//
//	version  2
//	input 0  the previous anchor's change; for the first anchor the largest
//	         output of the key, or the one that Config.First or BeginWith names
//	input 1  sometimes: a top-up that is swept
//	output 0 the change, to the key again
//	output 1 0 satoshi to 6a 20 ‖ root: OP_RETURN and the 32 bytes, verbatim
//	nSequence 0xfffffffd, nLockTime the height of the tip
//
// Since an output can be spent once, anchors are in one order that nobody can
// branch, and any two versions of an anchor exclude one another. With one input
// it has 153 virtual bytes for a P2WPKH key and 154 for a P2TR key, with two 221
// and 212. Only outputs that stand in a block are spent, and only the key's own;
// the script engine runs over each signature before it leaves this package.
//
// The first attempt offers the node's estimate for the order's deadline, or the
// configured floor. A replacement spends the same input 0 and offers what is
// wanted, at least what BIP-125 asks for: the fee of each version that it
// replaces and the relay rate for its own size, and more per byte. It may carry
// a newer root: if an older version is mined instead, the newer root goes into
// the next anchor, on that version's change.
//
// The key should be used for nothing else. If another transaction of the key
// spends the change, the line begins anew on the largest output that is left.
// Where a line begins stays as it is once an attempt is out, whatever money comes
// and as long as the payment that it begins on is in a block or the mempool: two
// versions of its first anchor could both be mined otherwise.
//
// # Book
//
// No wallet is needed on the node, and no index. The outputs of the key, the
// newest anchor, and in which block its transactions stand are found by reading
// every block from the key's birthday on, and kept by following the node's best
// chain, with enough to take 399 blocks back; after a deeper reorganisation, or
// if what was kept contradicts the node, the chain is read from the birthday
// again. Outputs of others below 5,000 satoshi are not noticed. A birthday after
// the first anchor is noticed by its witness if the key is P2WPKH, which a miner
// can forge to stop a line that Config.First does not name; that of a P2TR
// key does not name the key, so that the line seems to begin with the second
// anchor after the birthday.
//
// # Finality
//
// A block is final with Config.Depth confirmations, its own among them: 6 says
// that five blocks follow it. The rule is named in each anchor: "depth 6".
//
// # Receipt
//
// proof.BitcoinReceipt, taken at the inclusion block: the transaction without
// its witness, the branch out of the whole block, and the header; when the block
// is final, the headers that follow it are added.
//
// # The node
//
// btcd or Bitcoin Core, over rpcclient in HTTP POST mode; what the two do
// differently stands in one table. Every header must hash to the name that it
// was asked by and bear the work that it names, every block's transactions
// must make up its Merkle root, and receipts are verified with the offline
// verifier's own code. The node is trusted to show the chain with the most
// work: heights, and that no harder chain exists, are its word. It can hide
// what happened, which turns the route red, or serve a chain of its own, which is
// for those to find out who check the receipt's headers against other sources;
// where blocks are cheap, on every network but mainnet, that is all that can be
// said. A node whose newest block is a day old is taken to be catching up, and
// nothing is signed on what it shows, except on regtest. The network is told by its first block, which all signets share.
package bitcoin
