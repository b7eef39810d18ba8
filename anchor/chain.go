package anchor

import (
	"context"
	"errors"

	"cairn/merkle"
)

// Root is the value that is anchored: a ledger's root, verbatim. The zero Root
// stands for no head.
type Root = merkle.Hash

// What a chain may answer besides success. A chain wraps one of these so that
// the route knows what to do, and says in its own words what happened.
var (
	// ErrDown says that no node answered. Try again later.
	ErrDown = errors.New("chain cannot be reached")
	// ErrAgain says that the node does not know yet, or contradicted itself
	// (a null block, a header that does not hash to its name). Ask again.
	ErrAgain = errors.New("node has no usable answer yet")
	// ErrWrongChain says that the node is on another chain. Nothing is sent.
	ErrWrongChain = errors.New("wrong chain")
	// ErrContract says that the contract is missing or not the expected one.
	ErrContract = errors.New("contract missing or not the expected one")
	// ErrLocked says that the key is not there or does not open. The operator
	// must act.
	ErrLocked = errors.New("anchor key is locked")
	// ErrFunds says that the sender cannot pay. The operator must act.
	ErrFunds = errors.New("not enough funds")
	// ErrFees says that fees stand above the configured ceiling. Wait.
	ErrFees = errors.New("fees are above the ceiling")
	// ErrBusy says that the node refuses for a reason that passes. Try later.
	ErrBusy = errors.New("node refused")
	// ErrAsk says that the transaction's place may be taken, by itself or by
	// another. Look for all attempts before anything else.
	ErrAsk = errors.New("attempt may be in the chain already")
	// ErrPrice says that the node wants a higher fee for this place.
	ErrPrice = errors.New("fee too low")
	// ErrRefused says that this attempt can never be accepted.
	ErrRefused = errors.New("attempt refused for good")
	// ErrUnknownHead says that the chain holds a head that this ledger's log
	// does not contain: the log was rolled back, or another gateway has the
	// key. Nothing is signed until that is resolved.
	ErrUnknownHead = errors.New("chain holds a head that our log does not know")
)

// Block is a block as a chain tells it.
type Block struct {
	Height uint64   `cbor:"1,keyasint"`
	Hash   [32]byte `cbor:"2,keyasint"`
	Time   int64    `cbor:"3,keyasint"` // Unix milliseconds
}

// Tips are the ends of a chain. Final is the zero Block if nothing is final
// yet; Rule says by which rule it is ("finalized", "depth 64").
type Tips struct {
	Latest, Final Block
	Rule          string
}

// Found says where an attempt was mined. Reverted means that it failed there:
// its fee is spent and nothing was anchored.
type Found struct {
	Which    int // index into the attempts that were asked for
	Block    Block
	Reverted bool
}

// Chain is one chain with one ledger's place on it. Its calls end when their
// context does, and return errors that wrap the sentinels of this package.
// It need not be safe for concurrent use, apart from Name.
type Chain interface {
	// Name returns the route's name, such as "ethereum:1".
	Name() string
	// Ready looks at all that an anchor needs, without sending anything.
	Ready(ctx context.Context) error
	// Tips returns the newest and the newest final block.
	Tips(ctx context.Context) (Tips, error)
	// Stored returns the ledger's head on the chain, zero if there is none.
	Stored(ctx context.Context) (Root, error)
	// Sign makes the transaction that moves the head from previous to root,
	// and sends nothing. prior are the attempts made before, oldest first: if
	// the newest one's place is still free the new attempt takes the same
	// place, at a higher fee, so that only one of them can be mined.
	Sign(ctx context.Context, previous, root Root, prior []Attempt) (Attempt, error)
	// Send hands an attempt to the chain. nil means that a node has it. It may
	// be called with the same attempt any number of times.
	Send(ctx context.Context, a Attempt) error
	// Find looks for the attempts in the chain as it stands, newest first. It
	// returns one that succeeded if there is one, else one that reverted, else
	// false.
	Find(ctx context.Context, attempts []Attempt) (Found, bool, error)
	// Receipt takes what proves offline that the attempt anchored root in the
	// block, and verifies it.
	Receipt(ctx context.Context, a Attempt, root Root, b Block) ([]byte, error)
}

// Source is the ledger whose heads are anchored. It must be safe for
// concurrent use and answer without waiting.
type Source interface {
	// Head returns the newest signed head: its size, root and signed note, or
	// false if there is none.
	Head() (size uint64, root Root, note []byte, ok bool)
	// FindRoot returns the size at which the log had the root, or false.
	FindRoot(root Root) (size uint64, ok bool, err error)
	// WindowStart returns the start of log entry index's window, in Unix
	// milliseconds, or false if there is no such entry.
	WindowStart(index uint64) (int64, bool)
}

// Journal keeps a route's records, and no other route's. Keys are short text.
type Journal interface {
	// Put returns when the value is on disk (fsync). After an error it may or
	// may not be there.
	Put(key string, value []byte) error
	// Seek returns the record with the smallest key not below key, in byte
	// order, or false if there is none.
	Seek(key string) (k string, value []byte, ok bool, err error)
}
