package ledger

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"

	"cairn/merkle"
	"cairn/merkle/cbor"
)

const intakeType = "cairn/intake/1"

// ErrNoIntake says that an item stands for an intake that has not begun. There
// is no head in it to be had.
var ErrNoIntake = errors.New("no group commit yet")

// ErrSignature says that a signature is not by this key over these bytes. What
// the bytes say counts for nothing.
var ErrSignature = errors.New("signature does not verify")

// IntakeHead is what the gateway signs for each group commit.
type IntakeHead struct {
	Ledger      merkle.Hash
	Incarnation [16]byte    // drawn anew at each start
	Number      uint64      // of the group commit
	Previous    merkle.Hash // SHA-256 of the head item before; zero for the first
	Count       uint64      // reading entries in this commit
	Root        merkle.Hash // over their leaf hashes in order of the commit
}

// Append appends the item.
func (h IntakeHead) Append(dst []byte) []byte {
	dst = appendOpen(dst, 7, intakeType)
	dst = cbor.AppendBytes(appendHash(dst, &h.Ledger), h.Incarnation[:])
	dst = appendHash(cbor.AppendUint(dst, h.Number), &h.Previous)
	return appendHash(cbor.AppendUint(dst, h.Count), &h.Root)
}

// NoIntake returns the item that a header hides in the head's place before the
// first group commit.
func NoIntake() []byte { return appendOpen(nil, 1, intakeType) }

// ParseIntakeHead parses an intake head item. It returns ErrNoIntake for that
// of NoIntake.
func ParseIntakeHead(item []byte) (IntakeHead, error) {
	if bytes.Equal(item, NoIntake()) {
		return IntakeHead{}, fmt.Errorf("intake head: %w", ErrNoIntake)
	}
	d := decode("intake head", item, MaxSmall, 7, intakeType)
	h := IntakeHead{Ledger: d.hash("the ledger id")}
	d.Fixed(h.Incarnation[:], "the incarnation")
	h.Number, h.Previous = d.Uint("the number"), d.hash("the previous head")
	h.Count, h.Root = d.Uint63("the count"), d.hash("the root")
	d.require(h.Count != 0 || h.Root == merkle.EmptyRoot(), "an empty commit has another root than the empty one")
	return finish(d, h)
}

// SignIntake returns the head's item and the Ed25519 signature by the log key
// over its bytes, 64 bytes.
func SignIntake(key ed25519.PrivateKey, head IntakeHead) (item, sig []byte) {
	item = head.Append(nil)
	return item, ed25519.Sign(key, item)
}

// VerifyIntake parses an intake head item and returns it if sig is the log
// key's over the item, else an ErrSignature. That the head names the ledger in
// question is for the caller to check.
func VerifyIntake(pub ed25519.PublicKey, item, sig []byte) (IntakeHead, error) {
	h, err := ParseIntakeHead(item)
	if err != nil {
		return IntakeHead{}, err
	}
	if len(pub) != ed25519.PublicKeySize || !ed25519.Verify(pub, item, sig) {
		return IntakeHead{}, fmt.Errorf("intake head: %w", ErrSignature)
	}
	return h, nil
}
