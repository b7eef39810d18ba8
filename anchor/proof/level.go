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
	LevelPending               // that head is in a block that nobody vouched for, or promised one
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

// Why a file is false. There is no level then, whatever held before. Each is of
// a step of the package doc.
const (
	// 1 file
	CodeNotProof  Code = "not-a-proof"     // it does not begin as a proof file
	CodeVersion   Code = "unknown-version" // of a proof file that a newer program may read
	CodeDamaged   Code = "file-damaged"    // the checksum is wrong
	CodeMalformed Code = "file-malformed"  // the form is wrong, or a part is without use

	// 2 ledger, 3 checkpoint; those of the log's keys may be found in step 10
	CodeIdentity    Code = "ledger-not-in-policy"            // id or log key are not the policy's
	CodeHead        Code = "checkpoint-malformed"            // a head is no checkpoint
	CodeOrigin      Code = "checkpoint-of-another-log"       // a head has another origin
	CodeUnsigned    Code = "checkpoint-not-signed"           // by none of the log's keys that are shown
	CodeSignature   Code = "checkpoint-signature-wrong"      // it claims one of the log's keys
	CodeCosigned    Code = "checkpoint-has-other-signatures" // or lines that no check covers
	CodeCosignature Code = "cosignature-wrong"               // of a witness that the policy names
	CodeFork        Code = "histories-contradict"            // two heads, headers or handovers exclude one another
	CodeLogKey      Code = "log-key-statement-wrong"         // a signature, or what it hands over, is wrong
	CodeOldKey      Code = "checkpoint-by-replaced-key"      // a head's log holds the statement by which its key went
	CodeEarlyKey    Code = "checkpoint-by-later-key"         // a head's log ends before its key had come

	// 4 log, 5 header
	CodeHeader       Code = "header-malformed"           // a batch's header does not parse
	CodeHeaderLedger Code = "header-of-another-ledger"   // it names another id
	CodeLog          Code = "log-inclusion-mismatch"     // it is not at its index in a head's log
	CodeExtension    Code = "head-extension-mismatch"    // the log of a head is not the beginning of another's, as the file says
	CodeWindowSpan   Code = "window-over-a-quarter-hour" // its window reaches out of one
	CodeHidden       Code = "header-value-mismatch"      // a shown value is not the one it hides
	CodeSlots        Code = "slots-malformed"            // the slots item does not parse

	// 6 batch
	CodeSummary   Code = "summary-malformed"         // it does not parse
	CodeWindow    Code = "summary-of-another-window" // than its batch's
	CodeSlot      Code = "summary-not-at-its-slot"   // its slot or path does not fit the tree
	CodeBatchRoot Code = "batch-root-mismatch"       // it does not lead to the header's root
	CodeRest      Code = "summary-rest-mismatch"     // a rest shown is not the one it hides, or does not parse
	CodeTag       Code = "tag-of-another-stream"     // a slot has two tags, or a tag two slots
	CodeRuns      Code = "runs-contradict"           // a stream's numbers overlap, go back, or go on after its end

	// 7 record, 8 run
	CodeItem       Code = "item-malformed"          // a field does not parse in its place
	CodeWhole      Code = "whole-reading-mismatch"  // field 0 is shown, and not all others of it
	CodeSequence   Code = "sequence-mismatch"       // the field says another number
	CodeReceived   Code = "received-outside-window" // the field says a time that is not the batch's
	CodeRecordRoot Code = "record-root-mismatch"    // the fields do not hash to the record root
	CodeRunRange   Code = "sequence-outside-run"    // the number is not of the summary's run
	CodeRunRoot    Code = "run-root-mismatch"       // the reading is not at its place in the run
	CodeTwice      Code = "reading-shown-twice"     // one number of one stream

	// 9 stream
	CodeRange     Code = "range-summaries-wrong" // they are not of one stream, do not ascend, or not from the range's first number on
	CodeMissing   Code = "reading-missing"       // a number of the range
	CodeOrder     Code = "readings-out-of-order" // by their numbers
	CodeBeyond    Code = "reading-beyond-range"  // its number is before the range's first or after its last summary
	CodeStream    Code = "stream-root-mismatch"  // the readings do not fill the stream that a summary of it names
	CodeBackwards Code = "received-goes-back"    // a reading's stamp is before that of the one before

	// 10 statements
	CodeStatement  Code = "statement-malformed"          // one, or a batch's head of them, does not parse
	CodeStatements Code = "statement-inclusion-mismatch" // it is not at its number, or that is another elsewhere
	CodeGenesis    Code = "genesis-of-another-ledger"    // number 0 is not this ledger's genesis
	CodeBinding    Code = "device-not-as-bound"          // a stream is bound or placed twice, or bound to another device than shown

	// 11 receipt
	CodeReceiptKind  Code = "receipt-of-unknown-kind"      // a newer program may know it
	CodeReceipt      Code = "receipt-malformed"            // it does not parse, or names no network that there is
	CodeReceiptRoute Code = "receipt-of-another-route"     // its chain is not what the file says
	CodeReceiptRoot  Code = "receipt-of-another-root"      // it is not of its head's root
	CodeReceiptLog   Code = "receipt-of-another-ledger"    // it names another id
	CodeAccount      Code = "account-proof-mismatch"       // Ethereum: the contract is not in the block's state
	CodeStorage      Code = "storage-proof-mismatch"       // Ethereum: its storage does not have the root
	CodeEvent        Code = "transaction-receipt-mismatch" // Ethereum: no transaction of the block logged the root
	CodeTransaction  Code = "transaction-malformed"        // Bitcoin: it does not parse, or not as an anchor
	CodeBranch       Code = "merkle-branch-mismatch"       // Bitcoin, OpenTimestamps: it does not lead to the block's merkle root
	CodeBlockHeader  Code = "block-header-wrong"           // Bitcoin: a header lacks its work or breaks the network's rules
)

// Why a verdict is less than anchored, though the file is not false.
const (
	CodeUpdate      Code = "update-shows-no-reading"    // it completes the proofs of others, and proves nothing by itself
	CodeNoReceipt   Code = "no-receipt"                 // there is none of the batch, on a route that is asked for
	CodeNoRoute     Code = "anchor-not-in-policy"       // there are, but of no place of the policy's
	CodeNoQuorum    Code = "policy-asks-for-no-anchor"  // its quorum is none
	CodeWitnesses   Code = "witness-quorum-not-met"     // witnesses that it asks for did not cosign
	CodePromise     Code = "calendar-only-promises"     // an OpenTimestamps proof that is in no block yet
	CodeNotTrusted  Code = "block-not-trusted"          // nobody trusted says that the block is final
	CodeTrustFailed Code = "block-could-not-be-checked" // who could say so did not answer
	CodeLate        Code = "anchored-late"              // later after the window's end than the policy allows
)

// What is missing in a range that is claimed to be complete: step 14. The level
// is what it is, and the outcome is that the file is refused, or for the last
// two that it could not be checked.
const (
	CodeCoverage      Code = "range-not-covered"       // its summaries begin later than it does
	CodeGap           Code = "gap-not-declared"        // windows are missing, and nothing says why
	CodeWindows       Code = "windows-do-not-fit"      // there are more than the time has, or they are of another length
	CodeCounters      Code = "counters-not-declared"   // frames are missing by the device's counters, or these began anew, and nothing says so
	CodeClock         Code = "clock-not-declared"      // readings are stamped by a clock that stepped, and nothing says so
	CodeWindowUnknown Code = "window-length-not-shown" // without the genesis nobody can tell whether windows are missing
	CodeTail          Code = "tail-not-yet-known"      // the claim goes on after the last summary
)

// CodeNotNamed is why what was given with a file is refused. The level stays.
const CodeNotNamed Code = "attachment-not-named" // no statement shown names its SHA-256
