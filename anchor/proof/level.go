package proof

import (
	"fmt"
	"strings"
)

// Level is how far a reading is proven. Each level includes those below it.
type Level byte

const (
	LevelNone     Level = iota // nothing holds
	LevelLogged                // under a head that the log's key signed
	LevelPending               // that head is in a block, which nobody vouched for
	LevelLate                  // the block is trusted, but later than the policy allows
	LevelAnchored              // the block is trusted, and in time if a policy sets one
)

var levelWords = [...]string{"none", "logged", "pending", "late", "anchored"}

// String returns the level's word.
func (l Level) String() string {
	if int(l) < len(levelWords) {
		return levelWords[l]
	}
	return fmt.Sprintf("Level(%d)", byte(l))
}

// MarshalText writes the level's word.
func (l Level) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// UnmarshalText reads a level's word.
func (l *Level) UnmarshalText(b []byte) (err error) {
	*l, err = ParseLevel(string(b))
	return err
}

// ParseLevel reads none, logged, pending, late or anchored.
func ParseLevel(word string) (Level, error) {
	for i, w := range levelWords {
		if w == word {
			return Level(i), nil
		}
	}
	return LevelNone, fmt.Errorf("level %.40q is none of %s", word, strings.Join(levelWords[:], ", "))
}

// Code is the stable name of a reason, for programs. It never changes once
// released; the words beside it may.
type Code string

// Why a verdict is less than anchored. Those of the first group are false
// proofs and leave no level at all.
const (
	CodeNotProof     Code = "not-a-proof"
	CodeVersion      Code = "unknown-version"
	CodeDamaged      Code = "file-damaged"
	CodeMalformed    Code = "file-malformed"
	CodeIdentity     Code = "ledger-not-in-policy"
	CodeHead         Code = "checkpoint-malformed"
	CodeOrigin       Code = "checkpoint-of-another-log"
	CodeUnsigned     Code = "checkpoint-not-signed"
	CodeSignature    Code = "checkpoint-signature-wrong"
	CodeCosigned     Code = "checkpoint-has-other-signatures"
	CodeFork         Code = "histories-contradict"
	CodeHeader       Code = "header-malformed"
	CodeHeaderLedger Code = "header-of-another-ledger"
	CodeLog          Code = "log-inclusion-mismatch"
	CodeWindowSpan   Code = "window-over-a-quarter-hour"
	CodeHidden       Code = "header-value-mismatch"
	CodeSlots        Code = "slots-malformed"
	CodeSummary      Code = "summary-malformed"
	CodeWindow       Code = "summary-of-another-window"
	CodeSlot         Code = "summary-not-at-its-slot"
	CodeBatchRoot    Code = "batch-root-mismatch"
	CodeTag          Code = "tag-of-another-stream"
	CodeRuns         Code = "runs-contradict"
	CodeItem         Code = "item-malformed"
	CodeWhole        Code = "whole-reading-mismatch"
	CodeSequence     Code = "sequence-mismatch"
	CodeReceived     Code = "received-outside-window"
	CodeRecordRoot   Code = "record-root-mismatch"
	CodeRunRange     Code = "sequence-outside-run"
	CodeRunRoot      Code = "run-root-mismatch"
	CodeTwice        Code = "reading-shown-twice"
	CodeStatement    Code = "statement-malformed"
	CodeStatements   Code = "statement-inclusion-mismatch"
	CodeGenesis      Code = "genesis-of-another-ledger"
	CodeBinding      Code = "device-not-as-bound"
	CodeReceiptKind  Code = "receipt-of-unknown-kind"
	CodeReceipt      Code = "receipt-malformed"
	CodeReceiptRoute Code = "receipt-of-another-route"
	CodeReceiptRoot  Code = "receipt-of-another-root"
	CodeReceiptLog   Code = "receipt-of-another-ledger"
	CodeAccount      Code = "account-proof-mismatch"
	CodeStorage      Code = "storage-proof-mismatch"
	CodeEvent        Code = "transaction-receipt-mismatch"
	CodeTransaction  Code = "transaction-malformed"
	CodeBranch       Code = "merkle-branch-mismatch"
	CodeBlockHeader  Code = "block-header-wrong"
	CodeLogKey       Code = "log-key-statement-wrong"
	CodeOldKey       Code = "checkpoint-by-replaced-key"
	CodeEarlyKey     Code = "checkpoint-by-later-key"

	CodeNoReceipt   Code = "no-receipt"
	CodeNoRoute     Code = "anchor-not-in-policy"
	CodeNoQuorum    Code = "policy-asks-for-no-anchor"
	CodePromise     Code = "calendar-only-promises"
	CodeNotTrusted  Code = "block-not-trusted"
	CodeTrustFailed Code = "block-could-not-be-checked"
	CodeLate        Code = "anchored-late"
)
