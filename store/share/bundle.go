package share

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"unicode/utf8"

	"filippo.io/age"
	"github.com/fxamacker/cbor/v2"
)

var (
	// ErrBundle tells that bytes are no bundle, or one that contradicts itself: ask
	// for another copy.
	ErrBundle = errors.New("not a grant bundle")
	// ErrNotForUs tells that a bundle is sealed to others than these identities.
	ErrNotForUs = errors.New("bundle is sealed to other recipients")
	// ErrNotGranted tells that a bundle has no key of this compartment and hour.
	ErrNotGranted = errors.New("not in this grant")
)

const (
	bundleType = "cairn/grant/1"

	// Recovered is the grant number of a bundle that was made of escrowed shares,
	// the only kind that may hold [Site].
	Recovered = ^uint64(0)

	// MaxBundle is the most bytes that the plaintext of a bundle may have.
	MaxBundle = 64 << 20

	maxBundleFile       = MaxBundle + MaxBundle/1024 + 1<<20 // age's tags and header
	maxBundleStatements = 1 << 18
	maxBundleItem       = 1 << 20
	maxBundleText       = 4 << 10 // bytes of audience, purpose and token each
)

// Bundle is what an audience gets: the nodes of the hours granted to it and the
// statements that say what they are keys of. It is secret: nothing prints it.
type Bundle struct {
	Ledger, LogKey, Nonce [32]byte
	Grant                 uint64 // statement number of the grant; Recovered for one from escrow
	Audience, Purpose     string
	From                  int64  // Unix milliseconds
	Until, Access         *int64 // nil: open-ended
	Through               Hour   // the first hour that is not released yet
	Issued                int64  // Unix milliseconds
	Compartments          []Granted
	Statements            []BundleStatement
	Token                 string // access token, "" if not put in
}

// Granted is one compartment of a bundle.
type Granted struct {
	ID    uint32
	Name  string
	Nodes []Node // in order of hours, disjoint
}

// BundleStatement is a statement of the ledger with its salt, so that its leaf can
// be checked.
type BundleStatement struct {
	Number uint64
	Item   []byte
	Salt   [16]byte
}

type (
	bundleItem struct {
		_                     struct{} `cbor:",toarray"`
		Type                  string
		Ledger, LogKey, Nonce [32]byte
		Grant                 uint64
		Audience, Purpose     string
		From                  int64
		Until, Access         *int64
		Through               Hour
		Issued                int64
		Compartments          []grantedItem
		Statements            []bundleStatementItem
		Token                 string
	}
	grantedItem struct {
		_     struct{} `cbor:",toarray"`
		ID    uint32
		Name  string
		Nodes []nodeItem
	}
	nodeItem struct {
		_     struct{} `cbor:",toarray"`
		Level uint8
		Index uint32
		Key   [32]byte
	}
	bundleStatementItem struct {
		_      struct{} `cbor:",toarray"`
		Number uint64
		Item   []byte
		Salt   [16]byte
	}
)

var bundleDecoding = func() cbor.DecMode {
	dec, err := cbor.DecOptions{
		IndefLength:      cbor.IndefLengthForbidden,
		TagsMd:           cbor.TagsForbidden,
		DupMapKey:        cbor.DupMapKeyEnforcedAPF,
		MaxArrayElements: max(maxCompartments, maxBundleStatements),
		MaxMapPairs:      16,
		MaxNestedLevels:  6,
	}.DecMode()
	if err != nil {
		panic("share: " + err.Error())
	}
	return dec
}()

// Key derives the keys of one compartment's hour. It fails with [ErrNotGranted].
func (b *Bundle) Key(compartment uint32, h Hour) (HourKey, error) {
	return b.key(compartment, h, Depth)
}

func (b *Bundle) key(compartment uint32, h Hour, depth uint8) (HourKey, error) {
	i, ok := slices.BinarySearchFunc(b.Compartments, compartment, func(g Granted, id uint32) int { return int(int64(g.ID) - int64(id)) })
	if !ok {
		return HourKey{}, fmt.Errorf("compartment %d: %w", compartment, ErrNotGranted)
	}
	n := above(b.Compartments[i].Nodes, h, depth)
	if n == nil {
		return HourKey{}, fmt.Errorf("compartment %d, hour %d: %w", compartment, h, ErrNotGranted)
	}
	return n.hour(h, depth), nil
}

// Tree returns a compartment's nodes as a tree, for a [Cursor] over many hours.
// It fails with [ErrNotGranted].
func (b *Bundle) Tree(compartment uint32) (*Tree, error) {
	for i := range b.Compartments {
		if b.Compartments[i].ID == compartment {
			return FromNodes(b.Compartments[i].Nodes)
		}
	}
	return nil, fmt.Errorf("compartment %d: %w", compartment, ErrNotGranted)
}

// SealBundle writes the bundle as an age file (binary) that each of the
// recipients opens. It fails with [ErrBundle] when the bundle contradicts itself
// (see [OpenBundle]), [ErrRecipient] for none or a passphrase.
func SealBundle(w io.Writer, b *Bundle, to []age.Recipient) error {
	if len(to) == 0 || len(to) > maxRecipients {
		return fmt.Errorf("seal bundle: %w: %d given, 1 to %d needed", ErrRecipient, len(to), maxRecipients)
	}
	for _, r := range to {
		if _, ok := r.(*age.ScryptRecipient); ok {
			return fmt.Errorf("seal bundle: %w: a passphrase", ErrRecipient)
		}
	}
	plain, err := b.encode()
	if err != nil {
		return fmt.Errorf("seal bundle: %w", err)
	}
	defer clear(plain)
	sealed, err := age.Encrypt(w, to...)
	if err != nil {
		return fmt.Errorf("seal bundle: %w", err)
	}
	if _, err := sealed.Write(plain); err != nil {
		return fmt.Errorf("seal bundle: %w", err)
	}
	if err := sealed.Close(); err != nil {
		return fmt.Errorf("seal bundle: %w", err)
	}
	return nil
}

// OpenBundle reads a bundle to its end. It fails with [ErrNotForUs] when none of
// the identities opens it, [ErrBundle] when it is damaged, not in its only form,
// or has a node outside its hours. Who sealed it is not told: check its
// statements against the ledger.
func OpenBundle(r io.Reader, ids ...age.Identity) (*Bundle, error) {
	if len(ids) == 0 {
		return nil, fmt.Errorf("open bundle: %w: no identity given", ErrNotForUs)
	}
	sealed, err := io.ReadAll(io.LimitReader(r, maxBundleFile+1))
	if err != nil {
		return nil, fmt.Errorf("open bundle: %w", err)
	}
	if len(sealed) > maxBundleFile {
		return nil, fmt.Errorf("open bundle: %w: over %d bytes", ErrBundle, maxBundleFile)
	}
	if !bytes.HasPrefix(sealed, []byte("age-encryption.org/")) {
		return nil, fmt.Errorf("open bundle: %w: it is no age file", ErrBundle)
	}
	plain, err := decrypt(sealed, MaxBundle, ids...)
	var mismatch *age.NoIdentityMatchError
	if errors.As(err, &mismatch) {
		return nil, fmt.Errorf("open bundle: %w", ErrNotForUs)
	}
	if err != nil {
		return nil, fmt.Errorf("open bundle: %w: it does not decrypt: truncated or altered", ErrBundle)
	}
	defer clear(plain)
	b, err := parseBundle(plain)
	if err != nil {
		return nil, fmt.Errorf("open bundle: %w", err)
	}
	return b, nil
}

// encode returns the plaintext, which the caller overwrites.
func (b *Bundle) encode() ([]byte, error) {
	if err := b.check(); err != nil {
		return nil, err
	}
	item := bundleItem{
		Type: bundleType, Ledger: b.Ledger, LogKey: b.LogKey, Nonce: b.Nonce, Grant: b.Grant, Audience: b.Audience, Purpose: b.Purpose,
		From: b.From, Until: b.Until, Access: b.Access, Through: b.Through, Issued: b.Issued, Token: b.Token,
		Compartments: make([]grantedItem, len(b.Compartments)), Statements: make([]bundleStatementItem, len(b.Statements)),
	}
	for i, g := range b.Compartments {
		nodes := make([]nodeItem, len(g.Nodes))
		defer clear(nodes)
		for j := range g.Nodes {
			nodes[j] = nodeItem{Level: g.Nodes[j].Level, Index: g.Nodes[j].Index, Key: g.Nodes[j].Key}
		}
		item.Compartments[i] = grantedItem{ID: g.ID, Name: g.Name, Nodes: nodes}
	}
	for i, s := range b.Statements {
		item.Statements[i] = bundleStatementItem{Number: s.Number, Item: s.Item, Salt: s.Salt}
	}
	out, err := bodyEncoding.Marshal(&item)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBundle, err)
	}
	if len(out) > MaxBundle {
		clear(out)
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrBundle, len(out), MaxBundle)
	}
	return out, nil
}

// parseBundle reads a plaintext strictly: what it accepts encodes to the same
// bytes.
func parseBundle(plain []byte) (*Bundle, error) {
	var item bundleItem
	if err := bundleDecoding.Unmarshal(plain, &item); err != nil {
		return nil, fmt.Errorf("%w: malformed", ErrBundle)
	}
	if item.Type != bundleType {
		return nil, fmt.Errorf("%w: does not begin with %q", ErrBundle, bundleType)
	}
	b := &Bundle{
		Ledger: item.Ledger, LogKey: item.LogKey, Nonce: item.Nonce, Grant: item.Grant, Audience: item.Audience, Purpose: item.Purpose,
		From: item.From, Until: item.Until, Access: item.Access, Through: item.Through, Issued: item.Issued, Token: item.Token,
	}
	for _, g := range item.Compartments {
		nodes := make([]Node, len(g.Nodes))
		for i := range g.Nodes {
			nodes[i] = Node{Level: g.Nodes[i].Level, Index: g.Nodes[i].Index, Key: g.Nodes[i].Key}
		}
		clear(g.Nodes)
		b.Compartments = append(b.Compartments, Granted{ID: g.ID, Name: g.Name, Nodes: nodes})
	}
	for _, s := range item.Statements {
		b.Statements = append(b.Statements, BundleStatement{Number: s.Number, Item: s.Item, Salt: s.Salt})
	}
	again, err := b.encode()
	if err != nil {
		return nil, err
	}
	defer clear(again)
	if !bytes.Equal(again, plain) {
		return nil, fmt.Errorf("%w: not in its shortest form", ErrBundle)
	}
	return b, nil
}

// check holds a bundle against itself, when it is sealed and when it is opened.
// Hours are whole quarter hours within from, until and through.
func (b *Bundle) check() error {
	wrong := func(format string, args ...any) error {
		return fmt.Errorf("%w: %w", ErrBundle, fmt.Errorf(format, args...))
	}
	for what, ms := range map[string]*int64{"from": &b.From, "until": b.Until, "access": b.Access, "issued": &b.Issued} {
		if ms != nil && (*ms < 0 || *ms > Hours.Start()) {
			return wrong("%s: %d ms is outside the hours there are", what, *ms)
		}
	}
	for what, s := range map[string]string{"audience": b.Audience, "purpose": b.Purpose, "token": b.Token} {
		if len(s) > maxBundleText || !utf8.ValidString(s) {
			return wrong("%s: not UTF-8 of at most %d bytes", what, maxBundleText)
		}
	}
	first, end := Hour((b.From+hourMillis-1)/hourMillis), b.Through
	switch {
	case b.Through > Hours:
		return wrong("through: %d is outside the hours there are", b.Through)
	case b.Until != nil && *b.Until < b.From:
		return wrong("it ends before it begins")
	case b.Until != nil:
		end = min(end, Hour(*b.Until/hourMillis))
	}
	return b.checkParts(first, end, wrong)
}

func (b *Bundle) checkParts(first, end Hour, wrong func(string, ...any) error) error {
	if len(b.Compartments) > maxCompartments || len(b.Statements) > maxBundleStatements {
		return wrong("%d compartments, %d statements", len(b.Compartments), len(b.Statements))
	}
	names := make(map[string]bool, len(b.Compartments))
	last := uint32(0)
	for _, g := range b.Compartments {
		if g.ID <= last || !validName(g.Name) || names[g.Name] {
			return wrong("compartment %d: order or name", g.ID)
		}
		if g.ID == Site && b.Grant != Recovered {
			return wrong("compartment %d is never granted", g.ID)
		}
		last, names[g.Name] = g.ID, true
		if err := checkNodes(g.Nodes, Depth); err != nil {
			return wrong("compartment %d: %w", g.ID, err)
		}
		if n := len(g.Nodes); n > 0 && (g.Nodes[0].First() < first || g.Nodes[n-1].Until() > end) {
			return wrong("compartment %d: a node gives hours outside the grant's", g.ID)
		}
	}
	for i, s := range b.Statements {
		if i > 0 && s.Number <= b.Statements[i-1].Number || len(s.Item) == 0 || len(s.Item) > maxBundleItem {
			return wrong("statement %d: order or length", s.Number)
		}
	}
	return nil
}
