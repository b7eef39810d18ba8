package anchor

import (
	"context"
	"errors"
	"math"
	"time"

	"cairn/merkle"
)

// Root is the value that is anchored: a ledger's root, verbatim. The zero Root
// stands for no head.
type Root = merkle.Hash

// Amount is money in a chain's own unit: satoshi on Bitcoin, gwei on Ethereum.
type Amount uint64

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
	// ErrBudget says that what the operator allows for a month is spent. Wait.
	ErrBudget = errors.New("the month's budget is spent")
	// ErrNoHead says that the chain keeps no head of a ledger, so that there
	// is nothing to compare: it orders nothing and guards against nothing.
	ErrNoHead = errors.New("chain keeps no head")
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
// yet; Rule says by which rule it is ("finalized", "depth 64"). Of a chain whose
// blocks nobody can show at present, as a calendar without a Bitcoin node at
// hand, Latest is the zero Block; if what Find returns is to be believed all
// the same, Final has the height Everything.
type Tips struct {
	Latest, Final Block
	Rule          string
}

// Everything is the height of Tips.Final at which all that Find returns is
// final, by Tips.Rule.
const Everything = math.MaxUint64

// Found says where an attempt was mined. Reverted means that it failed there:
// its fee is spent and nothing was anchored.
type Found struct {
	Which    int // index into the attempts that were asked for
	Block    Block
	Reverted bool
	Cost     Amount // what it did cost, in full
}

// Order is what Sign is asked for.
type Order struct {
	Previous Root      // the head to move from, zero for none
	Root     Root      // the head to move to
	Prior    []Attempt // the anchor's attempts before this one that a node may have, oldest first
	// Want is what a replacement should offer in all; 0 for the least that
	// replaces. A first attempt offers what the chain itself estimates.
	Want Amount
	// Limit is the most that the transaction may cost; math.MaxUint64 leaves it
	// to the chain's own ceiling.
	Limit Amount
	// Deadline is the time in which it should be in a block, for the estimate.
	Deadline time.Duration
}

// Funds is what a chain's purse holds.
type Funds struct {
	Unit      string // "satoshi", "gwei"
	Address   string // where a top-up goes
	Balance   Amount
	PerAnchor Amount // cost of an anchor at present fees
}

// Purse is a Chain whose anchors cost money.
type Purse interface {
	Funds(ctx context.Context) (Funds, error)
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
	// Stored returns the ledger's head on the chain, zero if there is none. A
	// chain that keeps none says ErrNoHead, always: without asking anybody, and
	// under a context that has ended as well.
	Stored(ctx context.Context) (Root, error)
	// Sign makes the transaction that moves the head from o.Previous to o.Root,
	// and sends nothing. If the place of the newest of o.Prior is still free
	// the new attempt takes the same place, at a higher fee, so that only one
	// of them can be mined. Another place is taken only if that one is not free in
	// a block whose head is o.Previous: one and the same block, as the chain may
	// move between two questions; where the head is another one nothing is signed,
	// and the error is an ErrAgain. If it would have to cost more than o.Limit or the
	// chain's own ceiling nothing is signed, and the error is an ErrFees. Of
	// the attempt it sets ID, Raw, Detail, Root, Fee and Place.
	Sign(ctx context.Context, o Order) (Attempt, error)
	// Send hands an attempt to the chain. nil means that a node has it. It may
	// be called with the same attempt any number of times.
	Send(ctx context.Context, a Attempt) error
	// Find looks for the attempts in the chain as it stands, newest first. It
	// returns one that succeeded if there is one, else one that reverted, else
	// false.
	Find(ctx context.Context, attempts []Attempt) (Found, bool, error)
	// Receipt takes what proves offline that the attempt's root was anchored in
	// the block, and verifies it.
	Receipt(ctx context.Context, a Attempt, b Block) ([]byte, error)
	// Complete returns the receipt with what is known only once its block is
	// final, or as it is.
	Complete(ctx context.Context, a Attempt, b Block, receipt []byte) ([]byte, error)
}

// KeepsHead reports whether the chain keeps a head of the ledger, so that it
// notices a log that was rolled back. It asks no node.
func KeepsHead(c Chain) bool {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := c.Stored(ctx)
	return !errors.Is(err, ErrNoHead)
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
