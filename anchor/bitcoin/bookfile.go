package bitcoin

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/fxamacker/cbor/v2"
)

// Book keeps the bytes of a route's book of outputs over a restart. What is
// kept is never needed: without it, or if it cannot be read or belongs to
// another key, the chain is scanned from the birthday again.
type Book interface {
	// Load returns what was saved last, or nothing.
	Load() ([]byte, error)
	// Save replaces it. It is at most 4 MiB, and comes at most once a minute
	// but at the end of a scan and at Close.
	Save([]byte) error
}

// bookRecord is a book as it is kept: deterministic CBOR, a map with small
// integer keys, key 0 the version.
type bookRecord struct {
	Version  uint64     `cbor:"0,keyasint"`
	Network  string     `cbor:"1,keyasint"`
	Script   []byte     `cbor:"2,keyasint"`
	Birthday uint32     `cbor:"3,keyasint"`
	First    outpoint   `cbor:"4,keyasint"`
	Height   uint32     `cbor:"5,keyasint"`
	Blocks   []followed `cbor:"6,keyasint"` // oldest first, the last at Height
	Coins    []coin     `cbor:"7,keyasint"` // largest first
	Line     line       `cbor:"8,keyasint"`
	Spends   []spend    `cbor:"9,keyasint"` // oldest first
	Late     *lateness  `cbor:"10,keyasint,omitempty"`
	Since    uint32     `cbor:"11,keyasint"`
}

const (
	bookVersion = 1
	maxBook     = 4 << 20
)

var errBook = errors.New("book of outputs cannot be used")

var (
	encMode = must(func() cbor.EncOptions {
		o := cbor.CoreDetEncOptions()
		o.NilContainers = cbor.NilContainerAsEmpty
		return o
	}().EncMode())
	decMode = must(cbor.DecOptions{
		DupMapKey: cbor.DupMapKeyEnforcedAPF, IndefLength: cbor.IndefLengthForbidden,
		TagsMd: cbor.TagsForbidden, MaxNestedLevels: 8, MaxArrayElements: 1 << 16,
		MaxMapPairs: 16, ExtraReturnErrors: cbor.ExtraDecErrorUnknownField, UTF8: cbor.UTF8RejectInvalid,
	}.DecMode())
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func (b *book) encode(network string, birthday uint32) ([]byte, error) {
	data, err := encMode.Marshal(bookRecord{
		Version: bookVersion, Network: network, Script: b.script, Birthday: birthday, First: b.first,
		Height: b.height, Blocks: b.blocks, Coins: slices.SortedFunc(maps.Values(b.coins), larger),
		Line: b.line, Spends: b.spends, Late: b.late, Since: b.since,
	})
	if err == nil && len(data) > maxBook {
		err = fmt.Errorf("%d bytes, at most %d", len(data), maxBook)
	}
	if err != nil {
		return nil, fmt.Errorf("encode book of outputs: %w", err)
	}
	return data, nil
}

// parseBook reads a book back. It must be of the same network, script, birthday
// and first output.
func parseBook(data []byte, network string, script []byte, birthday uint32, first outpoint) (*book, error) {
	if len(data) > maxBook {
		return nil, fmt.Errorf("%w: %d bytes", errBook, len(data))
	}
	var r bookRecord
	if err := decMode.Unmarshal(data, &r); err != nil {
		return nil, fmt.Errorf("%w: %w", errBook, err)
	}
	switch {
	case r.Version != bookVersion:
		return nil, fmt.Errorf("%w: version %d", errBook, r.Version)
	case r.Network != network || !bytes.Equal(r.Script, script) || r.Birthday != birthday || r.First != first:
		return nil, fmt.Errorf("%w: it is of another key or place", errBook)
	case len(r.Blocks) == 0 || len(r.Blocks) > maxFollowed || uint64(len(r.Blocks)) > uint64(r.Height)+1 || r.Height > maxHeight:
		return nil, fmt.Errorf("%w: %d blocks up to height %d", errBook, len(r.Blocks), r.Height)
	case len(r.Coins) > maxCoins+maxFollowed || len(r.Spends) > maxSpends:
		return nil, fmt.Errorf("%w: %d coins and %d spends", errBook, len(r.Coins), len(r.Spends))
	}
	b := newBook(script, first)
	b.height, b.blocks, b.line, b.spends, b.late, b.since = r.Height, r.Blocks, r.Line, r.Spends, r.Late, r.Since
	for _, c := range r.Coins {
		if c.Value < 0 || c.Value > maxMoney || c.Height > r.Height {
			return nil, fmt.Errorf("%w: a coin of %d satoshi at height %d", errBook, c.Value, c.Height)
		}
		b.coins[c.Out] = c
	}
	if len(b.coins) != len(r.Coins) {
		return nil, fmt.Errorf("%w: a coin is there twice", errBook)
	}
	if _, ok := b.coins[b.line.Tip]; !ok && b.line.Tip != (outpoint{}) {
		return nil, fmt.Errorf("%w: the line's tip is not there", errBook)
	}
	return b, nil
}
