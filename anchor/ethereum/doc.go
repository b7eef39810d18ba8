// Package ethereum anchors on Ethereum and on chains that speak its JSON-RPC:
// the registry of package contracts, called by plain transactions.
//
// No node is trusted with anything but liveness. A header must hash to the
// name that it was asked by, and account, storage and receipt proofs are
// verified with the offline verifier's own code before they become a receipt. A
// node can still hide what happened, or serve a chain of its own. Several nodes
// (Config.URLs) are compared with each other, by the rules in endpoints.go: one
// that is down, slow, behind, on another chain or another fork is left out or
// named, and does not hold up the rest. If all lie alike the receipt's header
// tells those who check it against other sources.
//
// # Transactions
//
// A transaction calls anchor(ledger, previous, root) with value 0 and an empty
// access list, at the sender's next nonce, or at the nonce of the attempt that
// it replaces, as long as that is free: Attempt.Place is "nonce N". The gas
// limit is a node's estimate and a quarter more. It goes to all nodes; one that
// would leave a gap in the sender's nonces goes to none.
//
// A first attempt offers tip + 2 × base fee per gas. A replacement offers
// Order.Want, or without it the present fees, and always an eighth more than
// all that it replaces, in tip and cap (nodes want a tenth); the tip rises in
// proportion. Attempt.Fee is gas limit × cap, the most that it can cost, and
// Found.Cost gas used × effective price, both in gwei, rounded up, at least 1.
// Nothing is signed above Order.Limit or Config.MaxFeeGwei: ErrFees.
//
// The key should be used for nothing else. If it is, Notes says which nonces
// went elsewhere, and nothing is lost: an anchor waits behind the other's
// transaction, or takes another nonce if its own was used. The sender must be
// no contract and not delegated (EIP-7702).
//
// What nodes say to a transaction is read by the table in nodeerrors.go.
//
// # Other chains
//
// Config says how a chain differs from Ethereum:
//
//	FinalTag  "finalized", or "safe" where that is all that rollups give in time
//	Depth     blocks above a final one, where there is no such tag
//	GasRule   GasEIP1559; GasLegacy for chains without a base fee; GasOPStack for
//	          rollups that charge for data on top, whose l1Fee then counts
//
// Thereby covered are chains that keep to the following: headers hash as
// Ethereum's do (keccak256 of the RLP of Ethereum's fields), the state is
// Ethereum's trie and eth_getProof shows it for recent blocks, nodes let a block
// be named by its hash (EIP-1898), and the rules have PUSH0 (Shanghai), which the
// registry's code uses. Receipts may be of
// kinds of the chain's own: then a receipt holds the storage proof alone.
//
// Tried are go-ethereum 1.17 and anvil 1.7, with each gas rule and both kinds of
// finality; the fee oracle and receipts of the OP stack, and headers without a
// base fee, were played by a proxy before go-ethereum. No public rollup or side
// chain was.
//
// # Finality
//
// A block is final when it is not above the block that the nodes call
// "finalized", or above which Depth blocks stand. Of several nodes the lowest
// such block counts, if the others have it too. The rule is named in each
// anchor: "finalized", "safe", or "depth 64". Should a chain undo what it called
// final, the same transaction is looked for again and its receipt taken anew.
//
// # Receipt
//
// proof.EthereumReceipt, taken at the inclusion block: its header, account and
// storage proof, and the proof of the transaction's receipt. One of storage and
// receipt proof may be missing where the chain cannot give it: a chain with
// transaction types of its own has no receipt proof here, and a head that was
// overwritten in its own block has no storage proof.
//
// The state of a block is kept for a while only (geth: 128 blocks, some 25
// minutes), and some nodes give proofs of their newest block alone. If no node
// has that of the inclusion block any more, as after an outage, the receipt is
// the storage proof of a later block, which still holds the head: the newest
// final one, or else the newest, and then the anchor waits until that is final.
// It proves the later time.
//
// # Cost
//
// Gas of a whole transaction by the rules of Osaka (Ethereum's main network):
// 46,566 for the first anchor of a ledger, 29,850 for each after it, 25,102 for
// one with the head that is already there. By those of Amsterdam: 128,586,
// 31,050 and 21,400.
package ethereum
