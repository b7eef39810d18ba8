package ethereum

import (
	"errors"
	"fmt"
	"strings"

	"cairn/anchor"
)

// What nodes say to eth_sendRawTransaction, in lower case, and what it means.
// There is no standard for it: this is the one place where texts are matched.
// The first line that is contained in the text counts, so the narrower stands
// before the wider. A nil meaning is success. Where the texts are in the nodes'
// sources, read in 2026: geth core/txpool and core/error.go; Nethermind
// TxPoolErrorMessages (before: AcceptTxResult); Besu RpcErrorType; Erigon
// txpoolcfg, with the import result before it ("INTERNAL_ERROR: …"); Reth
// rpc-eth-types, which says as geth does; anvil eth/error.rs.
var nodeTexts = []struct {
	text    string
	meaning error
}{
	{"unknown transaction", anchor.ErrRefused}, // "unknown transaction type": not what "known transaction" is

	// The node has this very transaction.
	{"already known", nil},               // geth, Erigon, Reth, Nethermind
	{"alreadyknown", nil},                // Nethermind before 2026
	{"already imported", nil},            // anvil: "transaction already imported"
	{"known transaction", nil},           // Besu, old geth
	{"existing txn with same hash", nil}, // Erigon
	{"existing tx with same hash", nil},  // Erigon before 3

	// The nonce was used, by this transaction or another, or others are to come
	// before it: look.
	{"nonce too low", anchor.ErrAsk},                          // all
	{"nonce is too low", anchor.ErrAsk},                       // gateways
	{"below sender account nonce", anchor.ErrAsk},             // Besu: "transaction nonce 3 below sender account nonce 5"
	{"oldnonce", anchor.ErrAsk},                               // Nethermind before 2026
	{"ownnoncealreadyused", anchor.ErrAsk},                    // Nethermind before 2026
	{"invalid transaction with a lower nonce", anchor.ErrAsk}, // Besu: "An invalid transaction with a lower nonce exists"
	{"lower nonce invalid", anchor.ErrAsk},                    // Besu, older
	{"nonce too high", anchor.ErrAsk},                         // geth, Nethermind, Besu, Reth, anvil: a gap
	{"noncegap", anchor.ErrAsk},                               // Nethermind before 2026
	{"nonce too far", anchor.ErrAsk},                          // Nethermind: "nonce too far in future"
	{"too distant", anchor.ErrAsk},                            // Besu: "Transaction nonce is too distant from current sender nonce"
	{"gapped-nonce", anchor.ErrAsk},                           // geth, of delegated accounts
	{"nonce gap", anchor.ErrAsk},                              // Nethermind: "delegation nonce gap"
	{"execution reverted", anchor.ErrAsk},                     // gateways that simulate: the head is another
	{"replaced by transaction", anchor.ErrAsk},                // Erigon: "replaced by transaction with higher tip"
	{"internal_error: mined", anchor.ErrAsk},                  // Erigon
	{"cyclic dependent", anchor.ErrAsk},                       // anvil: "Transaction with cyclic dependent transactions"

	// The place is taken by a dearer offer than this, or the offer is too low.
	{"future transaction tries", anchor.ErrBusy},           // geth, when its pool is full: "future transaction tries to replace pending"
	{"replacement", anchor.ErrPrice},                       // all: "replacement transaction underpriced"; Nethermind before 2026: "ReplacementNotAllowed"
	{"could not replace", anchor.ErrPrice},                 // Erigon: "could not replace existing tx"
	{"insufficient gas price to replace", anchor.ErrPrice}, // anvil, Reth's pool
	{"underpriced", anchor.ErrPrice},                       // geth, Erigon, Reth, Nethermind
	{"below chain minimum", anchor.ErrPrice},               // Reth's pool: "transaction feeCap 7 below chain minimum"
	{"below minimum", anchor.ErrPrice},                     // geth: "transaction gas price below minimum: gas tip cap 0, minimum needed 1"; Reth: "transaction priority fee below minimum …"
	{"fee too low", anchor.ErrPrice},                       // Erigon
	{"feetoolow", anchor.ErrPrice},                         // Nethermind before 2026: FeeTooLow, FeeTooLowToCompete
	{"less than block base fee", anchor.ErrPrice},          // geth, Reth, anvil: "max fee per gas less than block base fee"
	{"less than base fee", anchor.ErrPrice},                // geth's types: "fee cap less than base fee"
	{"below current base fee", anchor.ErrPrice},            // Besu: "Gas price below current base fee"
	{"below configured minimum", anchor.ErrPrice},          // Besu: "Gas price below configured minimum gas price"
	{"gas price too low", anchor.ErrPrice},                 // gateways

	// The sender cannot pay.
	{"insufficient funds", anchor.ErrFunds},          // geth, Nethermind, Erigon, Reth, anvil
	{"insufficientfunds", anchor.ErrFunds},           // Nethermind before 2026
	{"insufficient sender balance", anchor.ErrFunds}, // Nethermind
	{"insufficient maxfeeper", anchor.ErrFunds},      // Nethermind
	{"insufficient balance", anchor.ErrFunds},        // gateways
	{"exceeds account balance", anchor.ErrFunds},     // Besu: "Upfront cost exceeds account balance"
	{"exceeds transaction sender", anchor.ErrFunds},  // Besu: "transaction up-front cost … exceeds transaction sender account balance …"
	{"overdraws", anchor.ErrFunds},                   // Reth's pool: "transaction overdraws from account"
	{"overshot", anchor.ErrFunds},                    // geth: "… overshot 1", of queued transactions

	// The node's own ceiling on fees.
	{"exceeds the configured cap", anchor.ErrFees}, // geth, Erigon, Reth: "tx fee (1.10 ether) exceeds the configured cap"
	{"fee cap exceeded", anchor.ErrFees},           // Besu: "Transaction fee cap exceeded"

	// Another chain's signature.
	{"invalid chain id", anchor.ErrWrongChain},      // geth, Reth, Nethermind; Erigon: "invalid chain id, expected: 1 got: 5"
	{"invalid chainid", anchor.ErrWrongChain},       // Erigon, older
	{"wrong chain", anchor.ErrWrongChain},           // Besu: "Wrong chainId"
	{"chainid not supported", anchor.ErrWrongChain}, // Besu
	{"chainid is required", anchor.ErrWrongChain},   // Besu
	{"incompatible eip-155", anchor.ErrWrongChain},  // anvil

	// This transaction will never be taken.
	{"gas limit", anchor.ErrRefused},                 // "exceeds block gas limit", "gas limit too high", "gas limit reached" (Nethermind), "exceeds max transaction gas limit"
	{"intrinsic gas", anchor.ErrRefused},             // geth, Besu, Reth, anvil: "intrinsic gas too low"
	{"intrinsicgas", anchor.ErrRefused},              // Erigon
	{"gaslimit", anchor.ErrRefused},                  // Nethermind before 2026: GasLimitExceeded
	{"floor data gas", anchor.ErrRefused},            // geth: "insufficient gas for floor data gas cost"
	{"not supported", anchor.ErrRefused},             // "transaction type not supported"
	{"unsupported transaction", anchor.ErrRefused},   // Nethermind: "unsupported transaction type"
	{"invalid transaction type", anchor.ErrRefused},  // Besu
	{"not activated yet", anchor.ErrRefused},         // Erigon: "fork supporting this transaction type is not activated yet"
	{"invalid sender", anchor.ErrRefused},            // geth, Erigon, Reth
	{"recover sender", anchor.ErrRefused},            // Nethermind: "failed to recover sender"
	{"invalid signature", anchor.ErrRefused},         // Besu
	{"transaction signature", anchor.ErrRefused},     // Reth: "invalid transaction signature"
	{"decode signed transaction", anchor.ErrRefused}, // anvil, Reth: "failed to decode signed transaction"
	{"higher than max fee", anchor.ErrRefused},       // "max priority fee per gas higher than max fee per gas"
	{"exceeds max fee", anchor.ErrRefused},           // Besu: "Max priority fee per gas exceeds max fee per gas"
	{"not an eoa", anchor.ErrRefused},                // geth, Nethermind, anvil: "sender not an eoa"; Reth: "sender is not an EOA"
	{"senderiscontract", anchor.ErrRefused},          // Nethermind before 2026
	{"deployed code", anchor.ErrRefused},             // Besu: "Sender … has deployed code and so is not authorized to send transactions"
	{"max value", anchor.ErrRefused},                 // geth, Reth, anvil: "nonce has max value"

	// It passes.
	{"is full", anchor.ErrBusy},                 // geth, Reth: "txpool is full"; Erigon: "pending sub-pool is full"
	{"pool size constraints", anchor.ErrBusy},   // Reth's pool: "transaction discarded outright due to pool size constraints"
	{"spammer", anchor.ErrBusy},                 // Erigon; Reth's pool: "… identified as a spammer": too many of one sender wait
	{"limit exceeded", anchor.ErrBusy},          // geth: "account limit exceeded"; gateways: rates
	{"limit reached", anchor.ErrBusy},           // geth: "in-flight transaction limit reached for delegated accounts"
	{"out of capacity", anchor.ErrBusy},         // geth
	{"already reserved", anchor.ErrBusy},        // geth, Reth: "address already reserved"
	{"type conflict", anchor.ErrBusy},           // Nethermind: "pending transaction type conflict"
	{"has pending transaction", anchor.ErrBusy}, // Nethermind: "delegation authority has pending transaction"
	{"pool not enabled", anchor.ErrBusy},        // Besu, while it syncs
	{"sync", anchor.ErrBusy},                    // Besu: "Initial sync is still in progress"; Nethermind: "node is syncing"
	{"too many requests", anchor.ErrBusy},       // gateways
}

// sendMeaning says what a node's answer to a transaction means: nil if the
// node has it, else an error that wraps a sentinel of package anchor. What is
// not in the table is ErrBusy: it is tried again, and nothing else is signed.
func sendMeaning(err error) error {
	var answer *serverError
	if !errors.As(err, &answer) {
		return err
	}
	meaning := anchor.ErrBusy
	text := strings.ToLower(answer.message)
	for _, t := range nodeTexts {
		if strings.Contains(text, t.text) {
			meaning = t.meaning
			break
		}
	}
	if meaning == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", meaning, answer)
}

// limited reports whether a node says, without HTTP's own status for it, that
// it is asked too often (EIP-1474 has code -32005 for it; nodes use that for
// other things too when they are handed a transaction).
func limited(err error) bool {
	var answer *serverError
	if !errors.As(err, &answer) {
		return false
	}
	text := strings.ToLower(answer.message)
	return answer.code == 429 || answer.code == -32005 && answer.method != "eth_sendRawTransaction" ||
		strings.Contains(text, "too many requests") || strings.Contains(text, "rate limit")
}

// nodeMeaning gives an error answer to any other question its sentinel.
func nodeMeaning(err error) error {
	var answer *serverError
	if errors.As(err, &answer) {
		return fmt.Errorf("%w: %w", anchor.ErrAgain, err)
	}
	return err
}
