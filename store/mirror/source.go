package mirror

import (
	"context"
	"errors"

	"cairn/merkle"
	"cairn/store"
	"cairn/store/share"
)

// Limits of what a source may answer, in bytes or pieces. More is an error, and
// nothing beyond is read.
const (
	MaxGroups     = 1000                   // references in one answer
	MaxLeaves     = 1 << 16                // statement leaves in one answer
	MaxUpdate     = 64 << 20               // an update file
	MaxBundle     = 16 << 20               // a grant's bundle
	MaxGrants     = 1 << 16                // grants that are listed
	maxListing    = 1 << 20                // bytes of a JSON answer
	maxGroupBytes = store.MaxGroup + 1<<20 // of a group object
)

var (
	// ErrNotFound says that the source does not have what was asked for.
	ErrNotFound = errors.New("the source does not have it")
	// ErrNone says that there is none yet: ask again later.
	ErrNone = errors.New("there is none yet")
	// ErrGone says that it was there and is no more: shredded, dropped, not kept
	// any longer, or no longer for this audience.
	ErrGone = errors.New("it is there no more")
	// ErrRefused says that the source wants a token, or another one.
	ErrRefused = errors.New("the source refuses")
	// ErrTooLong says that an answer is longer than any true one.
	ErrTooLong = errors.New("the answer is too long")
	// ErrDamaged says that a copy's folder is not as it was written: fetch it again
	// into another folder, and keep the old one to find out why.
	ErrDamaged = errors.New("the copy is damaged")
)

// Source is where a ledger's log and its sealed objects can be had: a gateway, a
// mirror, a copy in a folder, IPFS. What it says is believed by nobody: each part
// leads to a checkpoint that the ledger's key signed, or counts for nothing.
type Source interface {
	// Checkpoint is the newest signed head, a signed note. ErrNone before the first.
	Checkpoint(ctx context.Context) ([]byte, error)
	// Tile is a tile of the log, of C2SP tlog-tiles, by its path: "tile/0/000".
	Tile(ctx context.Context, path string) ([]byte, error)
	// Groups are the groups that end beyond a batch, in order, at most MaxGroups
	// and not beyond the checkpoint. The last ones may be live.
	Groups(ctx context.Context, from uint64) ([]store.GroupRef, error)
	// Group is a group's object of the compartment ledger.
	Group(ctx context.Context, ref store.GroupRef) ([]byte, error)
	// Object is another object of the group that begins at a batch.
	Object(ctx context.Context, first uint64, ref store.ObjectRef) ([]byte, error)
	// StatementLeaves are leaf hashes of the ledger's statements, from…to-1, at
	// most MaxLeaves.
	StatementLeaves(ctx context.Context, from, to uint64) ([]merkle.Hash, error)
	// Update is a proof file with heads and receipts; ErrNone if nothing is anchored.
	Update(ctx context.Context) ([]byte, error)
	// Bundles are the numbers of the grants whose bundles can be had, and Bundle is
	// one, an age file.
	Bundles(ctx context.Context) ([]uint64, error)
	Bundle(ctx context.Context, grant uint64) ([]byte, error)
}

// Keys are what a copy opens group objects and private statements with.
type Keys interface {
	// Key returns the keys of a compartment in an hour, or share.ErrNotGranted.
	Key(compartment string, h share.Hour) (share.HourKey, error)
	// Wants reports whether objects of a compartment are to be fetched.
	Wants(compartment string) bool
	// Offer takes the bundle that a source has for a grant, if it is newer than what
	// is known and opens. It reports whether there is more to open with than before.
	Offer(grant uint64, bundle []byte) (bool, error)
	// Grant is the number of the grant that the keys came by.
	Grant() uint64
	// Statements are the statements that came with them.
	Statements() []Statement
}

// Names of the compartments that are of no stream.
const (
	ledgerName     = "ledger"
	statementsName = "statements"
)
