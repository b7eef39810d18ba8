// Package ethereum anchors on Ethereum and on chains that speak its JSON-RPC:
// the registry of package contracts, called with EIP-1559 transactions.
//
// The node is not trusted with anything but liveness. A header must hash to
// the name that it was asked by, and account, storage and receipt proofs are
// verified with the offline verifier's own code before they become a receipt. A
// node can still hide what happened, or serve a chain of its own; the first
// turns the route red, the second is for those to find out who check the
// receipt's header against other sources.
//
// # Transactions
//
// A transaction calls anchor(ledger, previous, root) with value 0 and an empty
// access list, at the sender's next nonce, or at the nonce of the attempt that
// it replaces, as long as that is free, with both fees at least 12.5 % higher.
// The gas limit is the node's estimate and a quarter more. The fee cap is
// tip + 2 × base fee: above Config.MaxFeeGwei nothing is signed. The key should
// be used for nothing else. A transaction that would leave a gap in the
// sender's nonces is not sent.
//
// # Finality
//
// With Config.Depth 0 a block is final when it is not above the block that the
// node calls "finalized". On a chain without that tag, Depth says how many
// blocks must stand above. The rule is named in each anchor: "finalized", or
// "depth 64".
//
// # Receipt
//
// proof.EthereumReceipt, taken at the inclusion block: its header, account and
// storage proof, and the proof of the transaction's receipt. One of storage and
// receipt proof may be missing where the chain cannot give it: a chain with
// transaction types of its own has no receipt proof here, and a head that was
// overwritten in its own block has no storage proof.
package ethereum
