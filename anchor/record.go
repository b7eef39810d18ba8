package anchor

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/fxamacker/cbor/v2"

	"cairn/merkle"
)

// State is where an anchor stands; see the package doc.
type State string

// The states of an anchor.
const (
	Queued    State = "queued"
	Signed    State = "signed"
	Broadcast State = "broadcast"
	Included  State = "included"
	Final     State = "final"
	Orphaned  State = "orphaned"
)

// Attempt is one signed transaction of an anchor. Each carries a head of its
// own: one that comes later takes the newest head along.
type Attempt struct {
	ID       []byte `cbor:"1,keyasint"`           // the chain's name for it, such as the transaction hash
	Raw      []byte `cbor:"2,keyasint"`           // as it is sent
	Detail   string `cbor:"3,keyasint,omitempty"` // nonce and fees, for people
	SignedAt int64  `cbor:"4,keyasint"`           // Unix milliseconds
	Sent     bool   `cbor:"5,keyasint"`           // a node took it
	Dead     bool   `cbor:"6,keyasint,omitempty"` // reverted or refused for good

	Size uint64      `cbor:"7,keyasint"` // of the log
	Root merkle.Hash `cbor:"8,keyasint"`
	Note []byte      `cbor:"9,keyasint"` // the signed checkpoint

	Fee   Amount `cbor:"10,keyasint,omitempty"` // the most that it can cost
	Cost  Amount `cbor:"11,keyasint,omitempty"` // what it did cost, once it is seen in a block
	Place string `cbor:"12,keyasint,omitempty"` // attempts of one place exclude one another
}

// Anchor is a head on its way to a chain, or there. Size, Root and Note are
// those of the attempt in Included, or of the newest one.
type Anchor struct {
	Number     uint64      `cbor:"1,keyasint"` // of this route, from 0
	Size       uint64      `cbor:"2,keyasint"` // of the log
	Root       merkle.Hash `cbor:"3,keyasint"`
	Note       []byte      `cbor:"4,keyasint"` // the signed checkpoint
	State      State       `cbor:"5,keyasint"`
	Attempts   []Attempt   `cbor:"6,keyasint"` // oldest first; all of them stay
	Included   *Block      `cbor:"7,keyasint"`
	IncludedBy int         `cbor:"8,keyasint"` // index into Attempts, meaningful if Included
	Receipt    []byte      `cbor:"9,keyasint"`
	FinalRule  string      `cbor:"10,keyasint,omitempty"` // such as "finalized"
	FinalAt    int64       `cbor:"11,keyasint,omitempty"` // when seen final, Unix milliseconds
	Alarm      string      `cbor:"12,keyasint,omitempty"` // what happened to it after it was final

	AlarmAt int64  `cbor:"13,keyasint,omitempty"` // when that was seen, Unix milliseconds
	After   uint64 `cbor:"14,keyasint,omitempty"` // size of the final before it, as far as known when it was filed
	Month   month  `cbor:"15,keyasint,omitempty"` // to which its cost is charged
}

// Journal keys.
const (
	currentKey = "current"
	finalStem  = "anchor/"
)

// Limits of a journal record. Its parts come from nodes.
const (
	maxRecord   = 4 << 20
	maxAttempts = 256
	maxRecent   = 32
)

// ErrRecord says that a journal record cannot be read. It was written by a
// newer version or is damaged; nothing may be signed on top of it.
var ErrRecord = errors.New("anchor journal record cannot be read")

// record is a value in the journal. Recent and Book are kept in "current"
// alone: sizes of the newest final anchors, oldest first, so that a start need
// not read all, and what the anchors before this one cost.
type record struct {
	Version uint64   `cbor:"0,keyasint"`
	Anchor  Anchor   `cbor:"1,keyasint"`
	Recent  []uint64 `cbor:"2,keyasint,omitempty"`
	Book    book     `cbor:"3,keyasint,omitempty"`
}

const recordVersion = 2

// upgrade gives the attempts of a version 1 record the anchor's head, which was
// that of all of them, and charges it to the month in which it was begun.
func (r *record) upgrade() {
	if n := len(r.Anchor.Attempts); n > 0 {
		r.Anchor.Month = monthOf(time.UnixMilli(r.Anchor.Attempts[0].SignedAt))
	}
	for i := range r.Anchor.Attempts {
		a := &r.Anchor.Attempts[i]
		a.Size, a.Root, a.Note = r.Anchor.Size, r.Anchor.Root, r.Anchor.Note
	}
	r.Version = recordVersion
}

var (
	encMode = must(cbor.CoreDetEncOptions().EncMode())
	decMode = must(cbor.DecOptions{
		DupMapKey: cbor.DupMapKeyEnforcedAPF, IndefLength: cbor.IndefLengthForbidden,
		TagsMd: cbor.TagsForbidden, MaxNestedLevels: 8, MaxArrayElements: 1 << 12,
		MaxMapPairs: 64, ExtraReturnErrors: cbor.ExtraDecErrorUnknownField, UTF8: cbor.UTF8RejectInvalid,
	}.DecMode())
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func (r record) encode() ([]byte, error) {
	r.Version = recordVersion
	b, err := encMode.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("encode anchor record: %w", err)
	}
	if len(b) > maxRecord {
		return nil, fmt.Errorf("encode anchor record: %d bytes, at most %d", len(b), maxRecord)
	}
	return b, nil
}

func parseRecord(b []byte) (r record, err error) {
	if len(b) > maxRecord {
		return r, fmt.Errorf("%w: %d bytes", ErrRecord, len(b))
	}
	if err := decMode.Unmarshal(b, &r); err != nil {
		return record{}, fmt.Errorf("%w: %w", ErrRecord, err)
	}
	if r.Version == 1 {
		r.upgrade()
	}
	if r.Version != recordVersion {
		return record{}, fmt.Errorf("%w: version %d, want %d", ErrRecord, r.Version, recordVersion)
	}
	return r, r.Anchor.check()
}

func (a *Anchor) check() error {
	switch a.State {
	case Signed, Broadcast, Orphaned:
	case Included, Final:
		if a.Included == nil {
			return fmt.Errorf("%w: %s without a block", ErrRecord, a.State)
		}
	default:
		return fmt.Errorf("%w: state %.20q", ErrRecord, a.State)
	}
	if len(a.Attempts) == 0 || len(a.Attempts) > maxAttempts {
		return fmt.Errorf("%w: %d attempts", ErrRecord, len(a.Attempts))
	}
	if a.IncludedBy < 0 || a.IncludedBy >= len(a.Attempts) {
		return fmt.Errorf("%w: attempt %d of %d", ErrRecord, a.IncludedBy, len(a.Attempts))
	}
	if at := a.Attempts[a.IncludedBy]; a.Included != nil && (at.Size != a.Size || at.Root != a.Root) {
		return fmt.Errorf("%w: size %d, but the attempt that was mined is of size %d", ErrRecord, a.Size, at.Size)
	}
	return nil
}

// carry gives the anchor the head of an attempt.
func (a *Anchor) carry(attempt int) {
	at := &a.Attempts[attempt]
	a.Size, a.Root, a.Note = at.Size, at.Root, at.Note
}

// standing returns the attempts that a node may have. One that was refused for
// good and that none took needs no replacement: another may well cost the same.
func (a *Anchor) standing() []Attempt {
	as := make([]Attempt, 0, len(a.Attempts))
	for i := range a.Attempts {
		if a.Attempts[i].Sent || !a.Attempts[i].Dead || a.Attempts[i].Cost > 0 {
			as = append(as, a.Attempts[i])
		}
	}
	return as
}

// cost is what the anchor's transactions did cost, as far as they are in blocks.
func (a *Anchor) cost() (sum Amount) {
	for i := range a.Attempts {
		sum = sum.plus(a.Attempts[i].Cost)
	}
	return sum
}

// ParseFinal reads the value of an "anchor/…" record.
func ParseFinal(value []byte) (Anchor, error) {
	r, err := parseRecord(value)
	return r.Anchor, err
}

func finalKey(size uint64) string { return fmt.Sprintf("%s%016x", finalStem, size) }

// finalSize reads the size out of a finalKey.
func finalSize(key string) (uint64, bool) {
	hex, ok := strings.CutPrefix(key, finalStem)
	if !ok || len(hex) != 16 {
		return 0, false
	}
	n, err := strconv.ParseUint(hex, 16, 64)
	return n, err == nil
}

// Time returns the time of the block that holds the anchor, in Unix
// milliseconds, or 0.
func (a *Anchor) Time() int64 {
	if a.Included == nil {
		return 0
	}
	return a.Included.Time
}

// TxID returns the id of the attempt that was mined, or of the newest one.
func (a *Anchor) TxID() []byte {
	switch {
	case a.Included != nil:
		return a.Attempts[a.IncludedBy].ID
	case len(a.Attempts) > 0:
		return a.Attempts[len(a.Attempts)-1].ID
	}
	return nil
}

// clone returns a copy that shares no memory which the machine changes.
func (a *Anchor) clone() Anchor {
	c := *a
	c.Attempts = append([]Attempt(nil), a.Attempts...)
	if a.Included != nil {
		b := *a.Included
		c.Included = &b
	}
	return c
}
