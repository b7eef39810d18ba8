package contracts

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
)

//go:generate ../scripts/generate.sh

var (
	// RuntimeCode is the code that a deployed Registry has on every chain: it has no constructor argument,
	// no immutable and no compiler metadata. Read only.
	RuntimeCode = common.FromHex(runtimeHex)

	// RuntimeCodeHash is the keccak256 of RuntimeCode, as found in the account's proof.
	RuntimeCodeHash = common.HexToHash(RuntimeCodeHashHex)

	// AnchoredTopic is topic 0 of the event Anchored.
	AnchoredTopic = common.HexToHash(AnchoredTopicHex)
)

// Slot returns the storage slot of a sender's head for a ledger: keccak256(sender ‖ ledger), over 52 bytes.
func Slot(sender common.Address, ledger [32]byte) common.Hash {
	return crypto.Keccak256Hash(sender[:], ledger[:])
}

// HeadIs reads the data of a reverted anchor call. It reports the head that stood in the way, 0 if there was
// none, and whether the data is that error at all: it comes from a node and may be anything. Unlike the
// binding's UnpackError it takes data of any length.
func HeadIs(revert []byte) (head [32]byte, ok bool) {
	id := RegistryHeadIsErrorID()
	if len(revert) != 4+32 || !bytes.Equal(revert[:4], id[:4]) {
		return head, false
	}
	copy(head[:], revert[4:])
	return head, true
}

// ParseAnchored reads an Anchored event that the given contract logged. A log of another contract, another
// event or another shape is an error: logs come from a node and may be anything.
func ParseAnchored(contract common.Address, log *types.Log) (*RegistryAnchored, error) {
	switch {
	case log.Address != contract:
		return nil, fmt.Errorf("log is of contract %s, want %s", log.Address, contract)
	case len(log.Topics) != 3 || log.Topics[0] != AnchoredTopic:
		return nil, errors.New("log is not of the event Anchored")
	case len(log.Data) != 32:
		return nil, fmt.Errorf("log of Anchored has %d bytes of data, want 32", len(log.Data))
	case !bytes.Equal(log.Topics[1][:12], make([]byte, 12)):
		return nil, errors.New("log of Anchored has a sender that is no address")
	}
	return &RegistryAnchored{
		Sender: common.BytesToAddress(log.Topics[1][:]),
		Ledger: log.Topics[2],
		Root:   [32]byte(log.Data),
		Raw:    log,
	}, nil
}
