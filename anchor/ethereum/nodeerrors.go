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
// before the wider. A nil meaning is success.
var nodeTexts = []struct {
	text    string
	meaning error
}{
	{"unknown transaction", anchor.ErrRefused}, // "unknown transaction type": not what "known transaction" is

	// The node has this very transaction.
	{"already known", nil},              // geth, erigon, reth, nethermind
	{"alreadyknown", nil},               // nethermind before 1.2x
	{"already imported", nil},           // anvil, reth's pool, openethereum
	{"known transaction", nil},          // besu, old geth
	{"existing tx with same hash", nil}, // erigon

	// The nonce was used, by this transaction or another: look.
	{"nonce too low", anchor.ErrAsk},              // geth, erigon, reth, anvil, besu, nethermind
	{"nonce is too low", anchor.ErrAsk},           // openethereum, gateways
	{"below sender account nonce", anchor.ErrAsk}, // besu: "Transaction nonce 3 below sender account nonce 5"
	{"oldnonce", anchor.ErrAsk},                   // nethermind before 1.2x
	{"ownnoncealreadyused", anchor.ErrAsk},        // nethermind before 1.2x
	{"lower nonce invalid", anchor.ErrAsk},        // besu: "Lower nonce invalid transaction exists"
	{"existing lower nonce", anchor.ErrAsk},       // besu
	{"nonce too high", anchor.ErrAsk},             // geth, nethermind: a gap
	{"noncegap", anchor.ErrAsk},                   // nethermind before 1.2x
	{"nonce too far", anchor.ErrAsk},              // nethermind
	{"too distant", anchor.ErrAsk},                // besu: "Transaction nonce is too distant from current sender nonce"
	{"gapped-nonce", anchor.ErrAsk},               // geth, for delegated accounts
	{"nonce gap", anchor.ErrAsk},                  // gateways
	{"execution reverted", anchor.ErrAsk},         // gateways that simulate: the head is another
	{"replaced by transaction", anchor.ErrAsk},    // erigon: "replaced by transaction with higher tip"

	// The place is taken by a cheaper offer than wanted, or the offer is too low.
	{"replacement", anchor.ErrPrice},                       // "replacement transaction underpriced", "ReplacementNotAllowed"
	{"could not replace", anchor.ErrPrice},                 // erigon: "could not replace existing tx"
	{"insufficient gas price to replace", anchor.ErrPrice}, // reth
	{"underpriced", anchor.ErrPrice},                       // geth, erigon, reth
	{"fee too low", anchor.ErrPrice},                       // erigon
	{"feetoolow", anchor.ErrPrice},                         // nethermind: FeeTooLow, FeeTooLowToCompete
	{"less than block base fee", anchor.ErrPrice},          // geth, anvil, reth: "max fee per gas less than block base fee"
	{"below current base fee", anchor.ErrPrice},            // besu: "Gas price below current base fee"
	{"below configured minimum", anchor.ErrPrice},          // besu: "Gas price below configured minimum gas price"
	{"gas price too low", anchor.ErrPrice},                 // gateways
	{"gas tip cap", anchor.ErrPrice},                       // geth: "transaction gas price below minimum: gas tip cap 0, minimum needed 1"

	// The sender cannot pay.
	{"insufficient funds", anchor.ErrFunds},          // geth, erigon, reth, anvil
	{"insufficientfunds", anchor.ErrFunds},           // nethermind
	{"insufficient sender balance", anchor.ErrFunds}, // nethermind
	{"insufficient maxfeeper", anchor.ErrFunds},      // nethermind
	{"insufficient balance", anchor.ErrFunds},        // gateways
	{"exceeds account balance", anchor.ErrFunds},     // besu: "Upfront cost exceeds account balance"
	{"overshot", anchor.ErrFunds},                    // geth: "… overshot 1" for queued transactions

	// The node's own ceiling on fees.
	{"exceeds the configured cap", anchor.ErrFees}, // geth, erigon, reth: "tx fee (1.10 ether) exceeds the configured cap"
	{"fee cap exceeded", anchor.ErrFees},           // besu: "Transaction fee cap exceeded"

	// Another chain's signature.
	{"invalid chain id", anchor.ErrWrongChain},      // geth, reth, nethermind
	{"invalid chainid", anchor.ErrWrongChain},       // erigon
	{"wrong chain", anchor.ErrWrongChain},           // besu: "Wrong chainId", "Wrong Chain ID in transaction signature"
	{"chainid not supported", anchor.ErrWrongChain}, // besu
	{"incompatible eip-155", anchor.ErrWrongChain},  // anvil

	// It passes.
	{"txpool is full", anchor.ErrBusy},           // geth, reth
	{"sub-pool is full", anchor.ErrBusy},         // erigon
	{"limit exceeded", anchor.ErrBusy},           // geth: "account limit exceeded"; gateways: rates
	{"limit reached", anchor.ErrBusy},            // geth: "in-flight transaction limit reached for delegated accounts"
	{"already reserved", anchor.ErrBusy},         // geth: "address already reserved"
	{"future transaction tries", anchor.ErrBusy}, // geth: "future transaction tries to replace pending"
	{"sync", anchor.ErrBusy},                     // besu: "Initial sync is still in progress"
	{"too many requests", anchor.ErrBusy},        // gateways

	// This transaction will never be taken.
	{"intrinsic gas", anchor.ErrRefused},       // geth, anvil, besu: "intrinsic gas too low"
	{"intrinsicgas", anchor.ErrRefused},        // erigon
	{"gas limit", anchor.ErrRefused},           // "exceeds block gas limit", "gas limit too high", "below intrinsic gas"
	{"gaslimit", anchor.ErrRefused},            // nethermind: GasLimitExceeded
	{"not supported", anchor.ErrRefused},       // "transaction type not supported"
	{"invalid sender", anchor.ErrRefused},      // geth
	{"invalid signature", anchor.ErrRefused},   // besu
	{"higher than max fee", anchor.ErrRefused}, // "max priority fee per gas higher than max fee per gas"
	{"exceeds max fee", anchor.ErrRefused},     // besu: "Max priority fee per gas exceeds max fee per gas"
	{"not an eoa", anchor.ErrRefused},          // geth, nethermind: "sender not an eoa"
	{"senderiscontract", anchor.ErrRefused},    // nethermind before 1.2x
	{"floor data gas", anchor.ErrRefused},      // geth: "insufficient gas for floor data gas cost"
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
