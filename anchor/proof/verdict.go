package proof

import (
	"encoding/json"
	"fmt"
	"strings"
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
	Code       Code               `json:"code,omitempty"`     // why the level is not higher
	Reason     string             `json:"reason,omitempty"`   // the same in words
	Next       string             `json:"next,omitempty"`     // what to do about it
	Ledger     string             `json:"ledger,omitempty"`   // id
	Key        string             `json:"key,omitempty"`      // verifier key of the log
	Identity   bool               `json:"identityChecked"`    // log and id are the policy's
	Readings   []ReadingVerdict   `json:"readings,omitempty"` // those of ranges after all others
	Ranges     []RangeVerdict     `json:"ranges,omitempty"`
	Anchors    []AnchorVerdict    `json:"anchors,omitempty"`
	Statements []StatementVerdict `json:"statements,omitempty"`
	Alerts     []AlertVerdict     `json:"alerts,omitempty"`
	Attached   []AttachedVerdict  `json:"attached,omitempty"`  // the files that were given
	Witnesses  []WitnessVerdict   `json:"witnesses,omitempty"` // the heads' cosignatures
	Vouches    []VouchVerdict     `json:"vouches,omitempty"`   // what others say about blocks, not checked

	// CheapWork is a Bitcoin network that the level rests on, of several one,
	// and whose work is worth nothing: such a level is for trying things out.
	CheapWork string `json:"cheapWork,omitempty"`

	Quorum     string              `json:"quorum,omitempty"` // the policy's, if it names one
	Routes     []RouteVerdict      `json:"routes,omitempty"` // the policy's
	Succession []SuccessionVerdict `json:"succession,omitempty"`
	Clock      []ClockVerdict      `json:"clock,omitempty"` // chains that the gateway's clock contradicts

	NotBefore  *Bound   `json:"notBefore,omitempty"` // the earliest of all readings'; only if all have one
	NotAfter   *Bound   `json:"notAfter,omitempty"`  // the latest of all readings'; only if all have one
	Checks     []Check  `json:"checks"`
	NotChecked []string `json:"notChecked"`
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
	Placed    *PlacedVerdict `json:"placed,omitempty"`  // one of a range has it there
	Range     *int           `json:"range,omitempty"`   // position of the range that it is of, if of one
	Late      bool           `json:"late,omitempty"`    // it came by another way, after it was measured
	Whole     bool           `json:"whole"`             // every field there is, is shown
	Fields    []FieldVerdict `json:"fields"`
	From      string         `json:"windowFrom"` // of its window; in a range, of the windows that it may be of
	To        string         `json:"windowTo"`
	Batch     uint64         `json:"batch"` // index in the log of the batch that shows it
	NotBefore *Bound         `json:"notBefore,omitempty"`
	NotAfter  *Bound         `json:"notAfter,omitempty"`

	at      int  // position of the batch in the file
	vouched bool // its origin says that a sender told what the device said

	before int // of the one that bounds when it came: the same, or in a range one before; -1: none

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

// AnchorVerdict is one block that a receipt is about, or a receipt of which no
// block is known yet. Which fields it has depends on the chain.
type AnchorVerdict struct {
	Route    string `json:"route"`               // "ethereum:1", "bitcoin:mainnet", "ots"
	Name     string `json:"name,omitempty"`      // of the policy's route
	Block    uint64 `json:"block"`               // height
	Hash     string `json:"blockHash,omitempty"` // as the chain's tools write it
	Time     string `json:"time,omitempty"`      // that the block states
	Earliest string `json:"earliest,omitempty"`  // that it may be of
	Latest   string `json:"latest,omitempty"`
	Size     uint64 `json:"logSize"` // of the head that was anchored
	Root     string `json:"root"`
	InPolicy bool   `json:"inPolicy"`
	Trusted  bool   `json:"trusted"`
	How      string `json:"how,omitempty"` // it is trusted

	// Of Ethereum's.
	Contract string `json:"contract,omitempty"`
	Code     string `json:"codeHash,omitempty"`
	Sender   string `json:"sender,omitempty"`
	Registry bool   `json:"registry"`         // the contract's code is RegistryCode
	Stored   bool   `json:"stored"`           // the contract's storage shows the root
	Logged   bool   `json:"logged"`           // a transaction's log shows the root
	Index    int    `json:"logIndex"`         // of the log in its transaction
	TxIndex  uint64 `json:"transactionIndex"` // in the block

	// Of Bitcoin's, and of OpenTimestamps' in Bitcoin.
	Network string   `json:"network,omitempty"`
	TxID    string   `json:"transactionId,omitempty"`
	Spends  string   `json:"spends,omitempty"` // input 0: the output of the anchor before, in its owner's word
	Script  string   `json:"script,omitempty"` // of output 0
	Merkle  string   `json:"merkleRoot,omitempty"`
	Depth   int      `json:"depth,omitempty"`   // 1 and the headers in the receipt that follow
	Work    string   `json:"work,omitempty"`    // hashes expected for those, in decimal; worth something on mainnet only
	Pending []string `json:"pending,omitempty"` // calendars that promise to anchor it
}

// RouteVerdict is how far one of the policy's routes proves all that is shown.
type RouteVerdict struct {
	Name  string `json:"name,omitempty"`
	Chain string `json:"chain"`
	Level Level  `json:"level"`
	Code  Code   `json:"code,omitempty"` // why it is not higher
}

// SuccessionVerdict is a statement that names another place of anchors, or
// another log key, than the policy.
type SuccessionVerdict struct {
	Statement uint64 `json:"statement"` // number
	What      string `json:"what"`
	Followed  bool   `json:"followed"`
	Why       string `json:"why,omitempty"` // it is not
}

// ClockVerdict is by how much the gateway's clock was wrong, at least, if the
// chain's blocks state their times truly.
type ClockVerdict struct {
	Route  string `json:"route"`
	Ahead  string `json:"ahead,omitempty"`  // a window ended that long after the block that anchors it
	Behind string `json:"behind,omitempty"` // one opened that long before the block seen by then
	// Confirmed: the block seen is trusted. Otherwise "behind" is by what the
	// ledger itself says.
	Confirmed bool `json:"confirmed"`
}

func (v *ClockVerdict) text() string {
	var words []string
	if v.Ahead != "" {
		words = append(words, fmt.Sprintf("at least %s ahead of %s", v.Ahead, v.Route))
	}
	if v.Behind != "" {
		behind := fmt.Sprintf("at least %s behind %s", v.Behind, v.Route)
		if !v.Confirmed {
			behind += ", by a block that only the ledger names"
		}
		words = append(words, behind)
	}
	return strings.Join(words, ", and elsewhere ")
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
	Slack string `json:"slack,omitempty"` // by which the block's time may be wrong; Time has it in
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
