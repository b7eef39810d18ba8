// Package contracts is the Registry, the contract that holds the newest anchored root of each ledger: its
// Solidity source in src, its Foundry tests in test, and, generated and checked in, the Go binding
// (registry_binding.go, abigen version 2) and the code with its hash (registry_code.go).
//
// # The call
//
//	anchor(bytes32 ledger, bytes32 previousRoot, bytes32 root)
//
// The call data is 100 bytes: the selector 6ed37a1d and the three words. With head the caller's stored root
// for the ledger, 0 if there is none:
//
//	root = 0               reverts with ZeroRoot(): 4 bytes b263ae73
//	head = root            succeeds, writes nothing, logs nothing, whatever previousRoot is
//	head = previousRoot    writes root, logs Anchored
//	otherwise              reverts with HeadIs(head): 7394802c ‖ head, 36 bytes
//
// The sender is the transaction's own if it calls the Registry directly. There is no owner, no proxy, no
// constructor argument, and ether is refused.
//
// # Storage, for those who verify offline
//
// One slot per (sender, ledger) and nothing else is ever written:
//
//	slot  = keccak256(sender (20) ‖ ledger (32))          52 bytes, hashed once, used as it is
//	value = the root, 32 bytes                            in the trie: RLP of the root without leading zero bytes
//	path  = keccak256(slot)                               in the account's storage trie
//
// The account's code hash, which a policy pins beside the address, is the same on every chain, as the build
// puts no metadata in the code:
//
//	0x7694c31ed8d85f9299a1502480ba666970c028a1bd9a1a271a6863ff720e579a
//
// # Event, for those who verify a receipt
//
//	Anchored(address indexed sender, bytes32 indexed ledger, bytes32 root)
//
//	topic 0  0xb1d5c7988740a31dc57f1b85a7d7c1c10f2009388bc0ee67ef142b5386ea4447
//	topic 1  sender, left-padded with 12 zero bytes
//	topic 2  ledger
//	data     root, exactly 32 bytes
//
// It is logged once per change of a head, so the logs of a (sender, ledger) are its heads in order.
//
// # Cost
//
// Gas of whole transactions, held by a test. The three words have no zero byte, but for the first anchor's
// previous root; each zero byte of call data saves up to 12. It differs by the chain's rules, and the newest
// make a new slot dear, so a sender asks the node for an estimate and never assumes a number:
//
//	                             Osaka (main network)   Amsterdam (Sepolia)
//	first anchor of a ledger                   46,566               128,586
//	every later one                            29,850                31,050
//	same head again                            25,102                21,400
//
// This package links go-ethereum's binding code and through it much more. The offline verifier does not
// import it: it repeats the few constants above, and a test on its side compares them.
package contracts
