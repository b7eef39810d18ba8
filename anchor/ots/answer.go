package ots

import (
	"errors"
	"fmt"
	"math"
	"strings"

	"cairn/anchor/proof"
)

// Limits of a calendar's answer.
const (
	maxAnswer = 10_000 // bytes, the protocol's own limit
	maxLeaves = 32     // attestations
	maxWords  = 160    // of what a server says, for people
)

// errAnswer says that a calendar's answer cannot be used.
var errAnswer = errors.New("answer cannot be used")

// parseAnswer reads a calendar's answer for a message. It must not be believed
// any further: that an attestation names a block does not mean that the block
// commits to anything.
func parseAnswer(msg, b []byte) (*proof.Timestamp, error) {
	if len(b) > maxAnswer {
		return nil, fmt.Errorf("%w: it is longer than %d bytes", errAnswer, maxAnswer)
	}
	t, err := proof.ParseTimestamp(msg, b)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errAnswer, err)
	}
	leaves := t.Leaves()
	if len(leaves) > maxLeaves {
		return nil, fmt.Errorf("%w: it has %d attestations, at most %d", errAnswer, len(leaves), maxLeaves)
	}
	for _, leaf := range leaves {
		if err := checkLeaf(leaf); err != nil {
			return nil, err
		}
	}
	return t, nil
}

func checkLeaf(leaf proof.OTSLeaf) error {
	for _, op := range leaf.Path {
		if op.Tag == proof.OTSSHA1 || op.Tag == proof.OTSRIPEMD160 {
			return fmt.Errorf("%w: its path goes through %s", errAnswer, op)
		}
	}
	switch {
	case leaf.Kind != proof.OTSBitcoin:
		return nil
	case len(leaf.Node.Message()) != 32:
		return fmt.Errorf("%w: it attests %d bytes in a Bitcoin block, want 32", errAnswer, len(leaf.Node.Message()))
	case leaf.Height > math.MaxUint32:
		return fmt.Errorf("%w: it names block %d", errAnswer, leaf.Height)
	}
	return nil
}

// bitcoin returns the attestations of Bitcoin blocks.
func bitcoin(t *proof.Timestamp) (leaves []proof.OTSLeaf) {
	for _, leaf := range t.Leaves() {
		if leaf.Kind == proof.OTSBitcoin {
			leaves = append(leaves, leaf)
		}
	}
	return leaves
}

// harmless makes what a server says fit to be shown.
func harmless(b []byte) string {
	if len(b) > maxWords {
		b = b[:maxWords]
	}
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', strings.ContainsRune("#-.,; ", r):
			return r
		case r == '\n' || r == '\t':
			return ' '
		}
		return -1
	}, string(b)))
}
