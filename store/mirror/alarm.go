package mirror

import (
	"errors"
	"fmt"
	"strings"
)

// Kind is the stable name of what is wrong with a source.
type Kind string

// What a copy raises an alarm for. Those of the first part are of a ledger that
// shows two histories, and stay for good; the others last as long as what they
// are about.
const (
	Fork    Kind = "fork"          // two signed heads that exclude one another; the evidence is kept
	OldKey  Kind = "wrong-log-key" // a checkpoint by a key that had been handed over, or was not yet
	TwoKeys Kind = "two-handovers" // one log key was handed over to two

	RolledBack       Kind = "rolled-back"         // the newest checkpoint has fewer batches than the copy
	FalseCheckpoint  Kind = "false-checkpoint"    // it is not the log's, or no checkpoint
	FalseTile        Kind = "false-tile"          // the log does not lead to the signed root
	FalseHeader      Kind = "false-header"        // an entry of the log is no batch header of this ledger in its place
	FalseGroup       Kind = "false-group"         // a group object is not what its headers commit to, or not what was announced
	MissingGroup     Kind = "missing-group"       // batches without a group, or a group that cannot be had
	FalseObject      Kind = "false-object"        // bytes that are not those of the hash
	MissingObject    Kind = "missing-object"      // an object that cannot be had, and no statement says why
	OtherObject      Kind = "other-object"        // the log lists another object than the one that was given
	UnlistedObject   Kind = "unlisted-object"     // the log does not list what was given, long after
	FalseStatements  Kind = "false-statements"    // statements that are not those of the log
	FalseUpdate      Kind = "false-update"        // an update file that is false, or of another ledger
	FalseBundle      Kind = "false-bundle"        // a bundle that is none, or less than the one before
	FalseAnswer      Kind = "false-answer"        // an answer that no true source gives: too long, out of order
	NoKeys           Kind = "no-keys"             // the source has no bundle that opens its newest groups
	UnknownAnchor    Kind = "unknown-anchor"      // the chain's newest head is none that the copy knows
	LateCheckpoint   Kind = "late-checkpoint"     // no new batch for too long
	LateAnchor       Kind = "late-anchor"         // batches without an anchor for longer than the policy allows
	UncheckedAnchors Kind = "anchors-not-checked" // the chain could not be asked
	Unreachable      Kind = "unreachable"         // the source did not answer
	NoMore           Kind = "gone"                // what the source says that it serves no more, to this grant or to anybody
)

// Alarm is one thing that is wrong. As an error it is why a pass did not go on.
type Alarm struct {
	Kind Kind   `json:"kind"`
	Text string `json:"text"`
	File string `json:"file,omitempty"` // of the evidence, below the copy's folder
	At   string `json:"at,omitempty"`   // when it was raised first, RFC 3339

	cause error
}

func (a *Alarm) Error() string {
	text := string(a.Kind) + ": " + a.Text
	if a.File != "" {
		text += " (evidence: " + a.File + ")"
	}
	return text
}

func (a *Alarm) Unwrap() error { return a.cause }

// alarmf makes an alarm. The last argument may be an error that %w names.
func alarmf(kind Kind, format string, args ...any) *Alarm {
	err := fmt.Errorf(format, args...)
	return &Alarm{Kind: kind, Text: strings.ReplaceAll(err.Error(), "\n", "; "), cause: errors.Unwrap(err)}
}

// Alarms returns the alarms in an error of Follow.
func Alarms(err error) []*Alarm {
	var all []*Alarm
	var walk func(err error)
	walk = func(err error) {
		switch e := err.(type) {
		case nil:
		case *Alarm:
			all = append(all, e)
		case interface{ Unwrap() []error }:
			for _, one := range e.Unwrap() {
				walk(one)
			}
		default:
			walk(errors.Unwrap(err))
		}
	}
	walk(err)
	return all
}
