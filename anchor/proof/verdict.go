package proof

import (
	"encoding/json"
	"fmt"
)

// Outcome is the answer in one word.
type Outcome string

const (
	Verified  Outcome = "verified"  // checked, at the required level or above
	Refused   Outcome = "refused"   // checked, and false or below that level
	Unchecked Outcome = "unchecked" // could not be checked as was asked
)

// Exit returns the exit status for an outcome: 0, 1, 2.
func (o Outcome) Exit() int {
	switch o {
	case Verified:
		return 0
	case Refused:
		return 1
	}
	return 2
}

// Verdict is what a check of a proof file found. Its JSON form has these names.
// Times are RFC 3339 in UTC.
type Verdict struct {
	Outcome    Outcome            `json:"outcome"`
	Level      Level              `json:"level"`
	Required   Level              `json:"required"`
	Code       Code               `json:"code,omitempty"`   // why the level is not higher
	Reason     string             `json:"reason,omitempty"` // the same in words
	Next       string             `json:"next,omitempty"`   // what to do about it
	Ledger     string             `json:"ledger,omitempty"` // id
	Key        string             `json:"key,omitempty"`    // verifier key of the log
	Identity   bool               `json:"identityChecked"`  // log and id are the policy's
	Readings   []ReadingVerdict   `json:"readings,omitempty"`
	Anchors    []AnchorVerdict    `json:"anchors,omitempty"`
	Statements []StatementVerdict `json:"statements,omitempty"`
	NotBefore  *Bound             `json:"notBefore,omitempty"` // the earliest of all readings'; only if all have one
	NotAfter   *Bound             `json:"notAfter,omitempty"`  // the latest of all readings'; only if all have one
	Checks     []Check            `json:"checks"`
	NotChecked []string           `json:"notChecked"`
}

// Check is one step of the verification, as numbered in the package doc.
type Check struct {
	Step   int    `json:"step"`
	Name   string `json:"name"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail"`
}

// ReadingVerdict is what is proven of one reading.
type ReadingVerdict struct {
	Level     Level          `json:"level"`
	Stream    uint64         `json:"stream"` // its slot in the ledger
	Sequence  uint64         `json:"sequence"`
	Device    string         `json:"device,omitempty"`  // if shown
	BoundAs   string         `json:"boundAs,omitempty"` // by a statement shown here that was there before
	Whole     bool           `json:"whole"`             // every field there is, is shown
	Fields    []FieldVerdict `json:"fields"`
	From      string         `json:"windowFrom"`
	To        string         `json:"windowTo"`
	Batch     uint64         `json:"batch"` // index in the log
	NotBefore *Bound         `json:"notBefore,omitempty"`
	NotAfter  *Bound         `json:"notAfter,omitempty"`

	// Authenticated says whether the shown origin names the device's own key as
	// what authenticated the reading.
	Authenticated bool `json:"deviceAuthenticated"`
}

// FieldVerdict is one shown field in words.
type FieldVerdict struct {
	Index int    `json:"index"`
	Name  string `json:"name"`
	Unit  string `json:"unit,omitempty"`
	Value string `json:"value"`
}

// AnchorVerdict is one receipt.
type AnchorVerdict struct {
	Route    string `json:"route"`
	Block    uint64 `json:"block"`
	Hash     string `json:"blockHash"`
	Time     string `json:"time"`
	Contract string `json:"contract"`
	Code     string `json:"codeHash"`
	Sender   string `json:"sender"`
	Size     uint64 `json:"logSize"` // of the head that was anchored
	Root     string `json:"root"`
	InPolicy bool   `json:"inPolicy"`
	Registry bool   `json:"registry"` // the contract's code is RegistryCode
	Trusted  bool   `json:"trusted"`
	How      string `json:"how,omitempty"` // it is trusted
	Stored   bool   `json:"stored"`        // the contract's storage shows the root
	Logged   bool   `json:"logged"`        // a transaction's log shows the root
	Index    int    `json:"logIndex"`      // of the log in its transaction
	TxIndex  uint64 `json:"transactionIndex"`
}

// StatementVerdict is one statement of the ledger.
type StatementVerdict struct {
	Level Level  `json:"level"` // of the batch that shows it
	Index uint64 `json:"index"`
	Kind  string `json:"kind"`
	At    string `json:"at"`
	Body  string `json:"body"` // in words, for people
}

// Bound is a bound on time with what it rests on.
type Bound struct {
	Time  string `json:"time"`
	Route string `json:"route"`
	Block uint64 `json:"block"`
	Hash  string `json:"blockHash"`
	// Confirmed: the block is one that the verifier trusts. A not-before bound
	// that is not confirmed is the ledger's claim.
	Confirmed bool `json:"confirmed"`

	ms int64
}

// JSON returns the verdict as JSON, indented, with a newline at the end.
func (v *Verdict) JSON() []byte {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		panic(fmt.Sprintf("proof: verdict as JSON: %v", err)) // no type here can fail
	}
	return append(b, '\n')
}

// conclude sets the outcome by level and requirement. asked is false when the
// level is what it is because a question could not be asked.
func (v *Verdict) conclude(require Level, asked bool) {
	if require == LevelNone {
		require = LevelAnchored
	}
	v.Required = require
	switch {
	case v.Level >= require:
		v.Outcome = Verified
	case asked:
		v.Outcome = Refused
	default:
		v.Outcome = Unchecked
	}
	if v.Checks == nil {
		v.Checks = []Check{}
	}
	if v.NotChecked == nil {
		v.NotChecked = []string{}
	}
}
