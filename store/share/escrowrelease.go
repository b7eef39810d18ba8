// # Release
//
// By a release a holder gives shares to somebody: those of any number of escrow
// files, each wrapped anew to the one who recovers. Deterministic CBOR:
//
//	["cairn/escrow-release/1", made ms uint, recipient tstr, holder's key bstr32,
//	  [[SHA-256(public) bstr32, i uint, share bstr] …], signature bstr64]
//
// The signature is Ed25519, by the holder's key, over the same array without it.
// So a share that does not fit is its holder's doing, and can be shown to others.
package share

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"

	"filippo.io/age"
	"github.com/cloudflare/circl/secretsharing"
)

const (
	releaseType = "cairn/escrow-release/1"
	maxRelease  = 16 << 20
	maxReleased = 4096 // shares in one release
)

type (
	releaseItem struct {
		_         struct{} `cbor:",toarray"`
		Type      string
		At        uint64
		To        string
		Key       [32]byte
		Shares    []releasedItem
		Signature [64]byte
	}
	// unsignedItem is what is signed.
	unsignedItem struct {
		_      struct{} `cbor:",toarray"`
		Type   string
		At     uint64
		To     string
		Key    [32]byte
		Shares []releasedItem
	}
	releasedItem struct {
		_       struct{} `cbor:",toarray"`
		Dealing [32]byte
		Index   uint32
		Share   []byte
	}
)

func (r *releaseItem) signed() []byte {
	b, err := bodyEncoding.Marshal(&unsignedItem{Type: r.Type, At: r.At, To: r.To, Key: r.Key, Shares: r.Shares})
	if err != nil {
		panic("share: " + err.Error()) // numbers, texts and bytes always encode
	}
	return b
}

// Release is what a holder gave to one who recovers. Its signature is good.
type Release struct {
	At  int64    // Unix milliseconds
	To  string   // recipient
	Key [32]byte // of the holder

	shares []releasedItem
}

// Release gives the holder's shares of the files to a recipient: an age or SSH
// public key. Each share is checked before it goes. at is in Unix milliseconds.
// It fails with [ErrNotHolder] or [ErrDealt].
func (k *HolderKey) Release(to string, at int64, files ...*Escrow) ([]byte, error) {
	recipients, err := ParseRecipients([]string{to})
	if err != nil {
		return nil, fmt.Errorf("release: %w", err)
	}
	if len(files) == 0 || len(files) > maxReleased || len(to) > maxRecipient || at < 0 {
		return nil, fmt.Errorf("release of %d shares, to a recipient of %d bytes: %w", len(files), len(to), ErrLimit)
	}
	r := releaseItem{Type: releaseType, At: uint64(at), To: to, Key: k.Public("").Key}
	for _, e := range files {
		i, s, err := k.share(e)
		if err == nil {
			err = e.fits(s)
		}
		if err != nil {
			return nil, fmt.Errorf("release %s, part %d: %w", e.Month, e.Part, err)
		}
		wrapped, err := e.wrapShare(i, s.Value, recipients...)
		if err != nil {
			return nil, fmt.Errorf("release: %w", err)
		}
		r.Shares = append(r.Shares, releasedItem{Dealing: e.dealing(), Index: uint32(i + 1), Share: wrapped})
	}
	copy(r.Signature[:], k.signBytes(r.signed()))
	b, err := bodyEncoding.Marshal(&r)
	if err == nil && len(b) > maxRelease {
		err = fmt.Errorf("%d bytes: %w", len(b), ErrLimit)
	}
	if err != nil {
		return nil, fmt.Errorf("release: %w", err)
	}
	return b, nil
}

// ParseRelease reads a release and checks its signature. It fails with
// [ErrEscrow].
func ParseRelease(b []byte) (*Release, error) {
	if len(b) > maxRelease {
		return nil, fmt.Errorf("%w: a release of over %d bytes", ErrEscrow, maxRelease)
	}
	var item releaseItem
	if err := strictly(b, &item, "a release"); err != nil {
		return nil, err
	}
	if item.Type != releaseType || len(item.Shares) == 0 || len(item.Shares) > maxReleased || len(item.To) > maxRecipient || item.At>>63 != 0 {
		return nil, fmt.Errorf("%w: no release", ErrEscrow)
	}
	for _, s := range item.Shares {
		if len(s.Share) > maxRecipient {
			return nil, fmt.Errorf("%w: a released share of %d bytes", ErrEscrow, len(s.Share))
		}
	}
	if !ed25519.Verify(item.Key[:], item.signed(), item.Signature[:]) {
		return nil, fmt.Errorf("%w: the release's signature is not by its key", ErrEscrow)
	}
	return &Release{At: int64(item.At), To: item.To, Key: item.Key, shares: item.Shares}, nil
}

// ShareState is what became of one holder's share in a recovery.
type ShareState int

// In the order in which one counts more than another, where there are several.
const (
	ShareMissing    ShareState = iota // nobody brought it
	ShareForged                       // another key signed it
	ShareUnreadable                   // it is not for those who recover
	ShareDealt                        // it stands in the file itself and does not fit: the gateway's doing
	ShareLies                         // its holder signed it, and it does not fit
	ShareGood                         // it fits
)

func (s ShareState) String() string {
	switch s {
	case ShareGood:
		return "fits"
	case ShareLies:
		return "LIES: the share that this holder signed does not fit"
	case ShareForged:
		return "not by this holder: another key signed it"
	case ShareUnreadable:
		return "was released to somebody else"
	case ShareDealt:
		return "worthless from the start: the gateway dealt it so"
	}
	return "missing"
}

// Recovery tells how the recovery of one file went.
type Recovery struct {
	File   *Escrow
	States []ShareState // by holder
	Good   int          // shares that fit
	Keys   *EscrowKeys  // nil with Err
	Err    error        // ErrTooFew, ErrSeal, ErrEscrow
}

// Recover opens escrow files with what their holders released to the identities,
// and with such shares of the identities' own as the files hold. Each share is
// held against the commitments before it is used, so that one that lies spoils
// nothing and is named. The result has an element for each file.
func Recover(files []*Escrow, releases []*Release, ids ...age.Identity) []Recovery {
	out := make([]Recovery, len(files))
	for i, e := range files {
		out[i] = e.recover(releases, ids)
	}
	return out
}

func (e *Escrow) recover(releases []*Release, ids []age.Identity) Recovery {
	r := Recovery{File: e, States: make([]ShareState, len(e.Holders))}
	var good []secretsharing.Share
	take := func(i int, s secretsharing.Share, state ShareState) {
		if state > r.States[i] {
			r.States[i] = state
			if state == ShareGood {
				good = append(good, s)
			}
		}
	}
	for i := range e.shares {
		if e.shares[i] != nil {
			if s, state := e.judge(i, e.shares[i], ShareDealt, ids); state != ShareUnreadable {
				take(i, s, state)
			}
		}
	}
	dealing := e.dealing()
	for _, rel := range releases {
		for _, given := range rel.shares {
			i := int(given.Index) - 1
			if given.Dealing != dealing || i < 0 || i >= len(e.Holders) {
				continue
			}
			if rel.Key != e.Holders[i].Key {
				take(i, secretsharing.Share{}, ShareForged)
				continue
			}
			s, state := e.judge(i, given.Share, ShareLies, ids)
			take(i, s, state)
		}
	}
	r.Good = len(good)
	if r.Good < e.Need {
		r.Err = fmt.Errorf("%s, part %d: %w: %d of %d fit", e.Month, e.Part, ErrTooFew, r.Good, e.Need)
		return r
	}
	r.Keys, r.Err = e.open(good[:e.Need])
	if r.Err != nil {
		r.Err = fmt.Errorf("%s, part %d: %w", e.Month, e.Part, r.Err)
	}
	return r
}

// judge opens a share and holds it against the commitments; wrong is what one
// that opens and does not fit is.
func (e *Escrow) judge(i int, wrapped []byte, wrong ShareState, ids []age.Identity) (secretsharing.Share, ShareState) {
	s, err := e.unwrap(i, wrapped, ids...)
	switch {
	case errors.Is(err, errNotForKey):
		return s, ShareUnreadable
	case err != nil || e.fits(s) != nil:
		return secretsharing.Share{}, wrong
	}
	return s, ShareGood
}

// RecoveredBundle joins the keys of several files of one ledger into a bundle, as
// an audience would have of a grant of all of them. at is in Unix milliseconds.
func RecoveredBundle(all []*EscrowKeys, at int64) (*Bundle, error) {
	if len(all) == 0 {
		return nil, fmt.Errorf("recover: %w", ErrTooFew)
	}
	b := &Bundle{
		Ledger: all[0].Ledger, LogKey: all[0].LogKey, Nonce: all[0].Nonce, Grant: Recovered,
		Audience: "escrow", Purpose: "recovered from escrow", From: all[0].Month.From().Start(), Issued: at,
	}
	names := map[uint32]string{}
	nodes := map[uint32][]Node{}
	for _, k := range all {
		if k.Ledger != b.Ledger || k.LogKey != b.LogKey || k.Nonce != b.Nonce {
			return nil, fmt.Errorf("recover: %w: files of different ledgers", ErrEscrow)
		}
		b.From, b.Through = min(b.From, k.Month.From().Start()), max(b.Through, k.Month.Until())
		for _, c := range k.Compartments {
			if was, has := names[c.ID]; has && was != c.Name {
				return nil, fmt.Errorf("recover: %w: compartment %d has two names", ErrEscrow, c.ID)
			}
			names[c.ID] = c.Name
			nodes[c.ID] = append(nodes[c.ID], c.Nodes...)
		}
		b.Statements = append(b.Statements, k.Statements...)
	}
	until := b.Through.Start()
	b.Until = &until
	for id, name := range names {
		joined, err := joinNodes(nodes[id])
		if err != nil {
			return nil, fmt.Errorf("recover compartment %s: %w", name, err)
		}
		b.Compartments = append(b.Compartments, Granted{ID: id, Name: name, Nodes: joined})
	}
	slices.SortFunc(b.Compartments, func(x, y Granted) int { return int(int64(x.ID) - int64(y.ID)) })
	return b, b.joinStatements()
}

// joinNodes orders nodes and leaves out those that stand below another one. Files
// dealt twice have the same ones.
func joinNodes(all []Node) ([]Node, error) {
	slices.SortFunc(all, func(x, y Node) int {
		if d := int64(x.First()) - int64(y.First()); d != 0 {
			return int(d)
		}
		return int(x.Level) - int(y.Level)
	})
	var out []Node
	for _, n := range all {
		if len(out) == 0 || n.First() >= out[len(out)-1].Until() {
			out = append(out, n)
			continue
		}
		if below := descend(out[len(out)-1], n); below != n.Key {
			return nil, fmt.Errorf("%w: two files have different keys of one hour", ErrEscrow)
		}
	}
	if len(out) > MaxNodes {
		return nil, fmt.Errorf("%d nodes, at most %d: recover fewer months at a time: %w", len(out), MaxNodes, ErrLimit)
	}
	return out, nil
}

// descend derives the key of a node at or below n.
func descend(n, to Node) [32]byte {
	for n.Level < to.Level {
		n = n.child(to.Index >> (to.Level - n.Level - 1) & 1)
	}
	return n.Key
}

// joinStatements orders the statements, each once.
func (b *Bundle) joinStatements() error {
	slices.SortStableFunc(b.Statements, func(x, y BundleStatement) int {
		switch {
		case x.Number < y.Number:
			return -1
		case x.Number > y.Number:
			return 1
		}
		return 0
	})
	for i := 1; i < len(b.Statements); i++ {
		x, y := b.Statements[i-1], b.Statements[i]
		if x.Number == y.Number && (x.Salt != y.Salt || !bytes.Equal(x.Item, y.Item)) {
			return fmt.Errorf("recover: %w: two files tell statement %d differently", ErrEscrow, x.Number)
		}
	}
	b.Statements = slices.CompactFunc(b.Statements, func(x, y BundleStatement) bool { return x.Number == y.Number })
	return nil
}
