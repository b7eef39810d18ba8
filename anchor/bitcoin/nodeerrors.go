package bitcoin

import (
	"errors"
	"fmt"
	"strings"

	"github.com/btcsuite/btcd/btcjson"

	"cairn/anchor"
)

// What nodes say to sendrawtransaction and testmempoolaccept, in lower case and
// with blanks for dashes, and what it means. There is no standard for it: this
// is the one place where texts are matched. The first line that is contained
// in the text counts, so the narrower stands before the wider. A nil meaning
// is success.
var nodeTexts = []struct {
	text    string
	meaning error
}{
	// The node has this very transaction in its mempool.
	{"txn already in mempool", nil},                 // Core
	{"txn same nonwitness data in mempool", nil},    // Core: with another signature, so with the same id
	{"already have transaction in mempool", nil},    // btcd
	{"transaction already in mempool", nil},         // gateways
	{"txn already known", anchor.ErrAsk},            // Core: in a block
	{"already in block chain", anchor.ErrAsk},       // Core before 28
	{"outputs already in utxo set", anchor.ErrAsk},  // Core since 28
	{"already exists in blockchain", anchor.ErrAsk}, // btcd
	{"transaction already exists", anchor.ErrAsk},   // btcd
	{"already have transaction", nil},               // older btcd

	// Its place is taken, by another version of it or by another transaction.
	{"inputs missingorspent", anchor.ErrAsk},           // Core: "bad-txns-inputs-missingorspent"
	{"missing inputs", anchor.ErrAsk},                  // Core, btcd: testmempoolaccept
	{"missing input", anchor.ErrAsk},                   // gateways
	{"orphan transaction", anchor.ErrAsk},              // btcd: "orphan transaction … references outputs of unknown or fully-spent transaction …"
	{"txn mempool conflict", anchor.ErrAsk},            // Core: the other one does not allow it
	{"output already spent in mempool", anchor.ErrAsk}, // btcd, likewise
	{"already been spent", anchor.ErrAsk},              // btcd: "… either does not exist or has already been spent"

	// The node or the place wants a higher fee.
	{"insufficient fee", anchor.ErrPrice},          // Core: "insufficient fee, rejecting replacement …"; btcd: "insufficient fee rate"
	{"insufficient absolute fee", anchor.ErrPrice}, // btcd
	{"rejecting replacement", anchor.ErrPrice},     // Core
	{"replacement failed", anchor.ErrPrice},        // Core since 28: feerate diagram
	{"min relay fee not met", anchor.ErrPrice},     // Core
	{"mempool min fee not met", anchor.ErrPrice},   // Core
	{"mempool full", anchor.ErrPrice},              // Core: the cheapest go
	{"under the required amount", anchor.ErrPrice}, // btcd: "… has 10 fees which is under the required amount of 153"
	{"due to low fees", anchor.ErrPrice},           // btcd: its rate limiter
	{"insufficient priority", anchor.ErrPrice},     // btcd

	// The node's own ceiling on fees.
	{"max fee exceeded", anchor.ErrFees},               // both: testmempoolaccept
	{"fee exceeds maximum configured", anchor.ErrFees}, // Core: sendrawtransaction
	{"absurdly high fee", anchor.ErrFees},              // old Core

	// It passes.
	{"non final", anchor.ErrBusy},                       // Core: the tip went back below the lock time
	{"non bip68 final", anchor.ErrBusy},                 // Core
	{"is not finalized", anchor.ErrBusy},                // btcd
	{"sequence locks", anchor.ErrBusy},                  // btcd
	{"premature spend of coinbase", anchor.ErrBusy},     // Core: "bad-txns-premature-spend-of-coinbase"
	{"tried to spend coinbase", anchor.ErrBusy},         // btcd: "… before required maturity"
	{"segwit isn't active", anchor.ErrBusy},             // btcd, on a young chain
	{"too many potential replacements", anchor.ErrBusy}, // Core
	{"evicts more transactions", anchor.ErrBusy},        // btcd
	{"long mempool chain", anchor.ErrBusy},              // Core: another spends the change before it is confirmed
	{"adds unconfirmed", anchor.ErrBusy},                // Core: an input went out of the chain
	{"new unconfirmed input", anchor.ErrBusy},           // btcd
	{"loading", anchor.ErrBusy},                         // Core: "Loading block index…"
	{"verifying blocks", anchor.ErrBusy},                // Core
	{"rewinding", anchor.ErrBusy},                       // Core
	{"in initial sync", anchor.ErrBusy},                 // gateways
	{"not connected", anchor.ErrBusy},                   // btcd: "Client is not connected"
	{"too many requests", anchor.ErrBusy},               // gateways

	// This transaction will never be taken by this node.
	{"dust", anchor.ErrRefused},
	{"spends parent transaction", anchor.ErrRefused},                      // btcd
	{"spends conflicting tx", anchor.ErrRefused},                          // Core: "bad-txns-spends-conflicting-tx"
	{"script verify flag", anchor.ErrRefused},                             // Core: "mandatory-…", "non-mandatory-…", "mempool-script-verify-flag-failed"
	{"failed to validate input", anchor.ErrRefused},                       // btcd
	{"scriptpubkey", anchor.ErrRefused},                                   // Core
	{"datacarrier", anchor.ErrRefused},                                    // Knots
	{"multi op return", anchor.ErrRefused},                                // Core before 30
	{"more than one transaction output in a nulldata", anchor.ErrRefused}, // btcd
	{"non standard", anchor.ErrRefused},                                   // btcd
	{"not standard", anchor.ErrRefused},                                   // btcd
	{"bad txns", anchor.ErrRefused},                                       // Core: all else that breaks the rules
	{"bad witness", anchor.ErrRefused},                                    // Core
	{"tx size", anchor.ErrRefused},                                        // Core
	{"too small", anchor.ErrRefused},                                      // btcd
	{"decode failed", anchor.ErrRefused},                                  // both: "TX decode failed"
	{"maxburnamount", anchor.ErrRefused},                                  // Core
}

// nodeError is an error answer.
type nodeError struct {
	method, message string
	code            int
}

func (e *nodeError) Error() string {
	return fmt.Sprintf("%s: the node says %q", e.method, e.message)
}

// unknownMethod tells whether the node does not know the method at all.
func unknownMethod(err error) bool {
	var answer *nodeError
	return errors.As(err, &answer) && answer.code == int(btcjson.ErrRPCMethodNotFound.Code)
}

// sendMeaning says what a node's answer to a transaction means: nil if the
// node has it, else an error that wraps a sentinel of package anchor. What is
// not in the table is ErrBusy: it is tried again, and nothing else is signed.
func sendMeaning(err error) error {
	var answer *nodeError
	if !errors.As(err, &answer) {
		return err
	}
	meaning := anchor.ErrBusy
	text := strings.ReplaceAll(strings.ToLower(answer.message), "-", " ")
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

// nodeMeaning gives an error answer to any other question its sentinel.
func nodeMeaning(err error) error {
	var answer *nodeError
	if errors.As(err, &answer) {
		return fmt.Errorf("%w: %w", anchor.ErrAgain, err)
	}
	return err
}

// isAnswer tells whether the node answered with an error.
func isAnswer(err error) bool {
	var answer *nodeError
	return errors.As(err, &answer)
}
