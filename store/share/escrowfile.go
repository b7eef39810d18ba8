package share

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"os"
)

type (
	publicItem struct {
		_            struct{} `cbor:",toarray"`
		Type         string
		Ledger       [32]byte
		Month        string
		Part, Need   uint32
		Holders      []holderItem
		Commitments  []byte
		Compartments []heldItem
	}
	holderItem struct {
		_               struct{} `cbor:",toarray"`
		Name, Recipient string
		Key             [32]byte
	}
	heldItem struct {
		_           struct{} `cbor:",toarray"`
		ID          uint32
		From, Until Hour
	}
	// keysItem is what is sealed.
	keysItem struct {
		_                     struct{} `cbor:",toarray"`
		Type                  string
		Ledger, LogKey, Nonce [32]byte
		Month                 string
		Part                  uint32
		Compartments          []keysCompartment
		Statements            []keysStatement
	}
	keysCompartment struct {
		_     struct{} `cbor:",toarray"`
		ID    uint32
		Name  string
		Nodes []keysNode
	}
	keysNode struct {
		_     struct{} `cbor:",toarray"`
		Level uint8
		Index uint32
		Key   [32]byte
	}
	keysStatement struct {
		_      struct{} `cbor:",toarray"`
		Number uint64
		Item   []byte
		Salt   [16]byte
	}
)

const escrowKeysType = "cairn/escrow/1"

func (e *Escrow) encodePublic() ([]byte, error) {
	p := publicItem{
		Type: escrowPublic, Ledger: e.Ledger, Month: e.Month.String(), Part: e.Part, Need: uint32(e.Need),
		Commitments: e.commitments,
	}
	for _, c := range e.Compartments {
		p.Compartments = append(p.Compartments, heldItem{ID: c.ID, From: c.From, Until: c.Until})
	}
	for _, h := range e.Holders {
		p.Holders = append(p.Holders, holderItem{Name: h.Name, Recipient: h.Recipient, Key: h.Key})
	}
	b, err := bodyEncoding.Marshal(&p)
	if err == nil && len(b) > maxEscrowPublic {
		err = fmt.Errorf("public part of %d bytes: %w", len(b), ErrLimit)
	}
	return b, err
}

func (e *Escrow) parsePublic(b []byte) error {
	var p publicItem
	if err := strictly(b, &p, "the public part"); err != nil {
		return err
	}
	if p.Type != escrowPublic {
		return fmt.Errorf("%w: it does not begin with %q", ErrEscrow, escrowPublic)
	}
	m, err := ParseMonth(p.Month)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrEscrow, err)
	}
	e.Ledger, e.Month, e.Part, e.Need = p.Ledger, m, p.Part, int(p.Need)
	for _, h := range p.Holders {
		e.Holders = append(e.Holders, Holder{Name: h.Name, Recipient: h.Recipient, Key: h.Key})
	}
	if err := checkHolders(e.Holders, e.Need); err != nil {
		return fmt.Errorf("%w: %w", ErrEscrow, err)
	}
	if len(p.Commitments) != e.Need*escrowScalarSize {
		return fmt.Errorf("%w: %d bytes of commitments for %d of %d", ErrEscrow, len(p.Commitments), e.Need, len(e.Holders))
	}
	if _, err := elements(p.Commitments); err != nil {
		return err
	}
	for _, c := range p.Compartments {
		e.Compartments = append(e.Compartments, Held{ID: c.ID, From: c.From, Until: c.Until})
	}
	if err := checkHeld(e.Month, e.Compartments); err != nil {
		return fmt.Errorf("%w: %w", ErrEscrow, err)
	}
	e.commitments, e.public = p.Commitments, bytes.Clone(b)
	return nil
}

func (g *Granted) held() Held {
	return Held{ID: g.ID, From: g.Nodes[0].First(), Until: g.Nodes[len(g.Nodes)-1].Until()}
}

// checkHeld holds that compartments are in order and their hours the month's.
func checkHeld(m Month, all []Held) error {
	if len(all) == 0 || len(all) > MaxEscrowCompartments || m > maxMonth {
		return fmt.Errorf("%d compartments, not 1 to %d, or a month beyond %s: %w", len(all), MaxEscrowCompartments, maxMonth, ErrLimit)
	}
	for i, c := range all {
		if c.ID == 0 || i > 0 && c.ID <= all[i-1].ID {
			return fmt.Errorf("compartments are out of order: %w", ErrLimit)
		}
		if c.From < m.From() || c.From >= c.Until || c.Until > m.Until() {
			return fmt.Errorf("compartment %d: hours that are not in %s: %w", c.ID, m, ErrHour)
		}
	}
	return nil
}

// Append appends the bytes of the file to dst.
func (e *Escrow) Append(dst []byte) []byte {
	part := func(b []byte) {
		dst = binary.BigEndian.AppendUint32(dst, uint32(len(b)))
		dst = append(dst, b...)
	}
	dst = append(dst, escrowMagic...)
	part(e.public)
	for i := range e.shares {
		dst = append(dst, e.sums[i][:]...)
		part(e.shares[i])
	}
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(e.random)+len(e.sealed)))
	dst = append(append(dst, e.random[:]...), e.sealed...)
	sum := e.Digest()
	return append(dst, sum[:]...)
}

// ReadEscrow reads an escrow file of at most [MaxEscrow] bytes.
func ReadEscrow(path string) (*Escrow, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > MaxEscrow {
		return nil, fmt.Errorf("%s: %w: no regular file, or over %d bytes", path, ErrEscrow, MaxEscrow)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	e, err := ParseEscrow(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return e, nil
}

// ParseEscrow reads an escrow file, which fills all of b, strictly: it accepts
// just what Append writes. That its shares and its seal are good is told by
// [HolderKey.Check] and [Recovery] alone. It fails with [ErrEscrow].
func ParseEscrow(b []byte) (*Escrow, error) {
	if len(b) > MaxEscrow {
		return nil, fmt.Errorf("%w: over %d bytes", ErrEscrow, MaxEscrow)
	}
	rest, ok := bytes.CutPrefix(b, []byte(escrowMagic))
	if !ok {
		return nil, fmt.Errorf("%w: it does not begin with %q", ErrEscrow, escrowMagic[:len(escrowMagic)-1])
	}
	r := escrowReader{rest: rest}
	e := &Escrow{}
	public := r.part(maxEscrowPublic)
	if r.bad {
		return nil, r.err()
	}
	if err := e.parsePublic(public); err != nil {
		return nil, err
	}
	for range e.Holders {
		sum, share := [32]byte(r.take(32)), r.part(maxEscrowShare)
		e.sums = append(e.sums, sum)
		if len(share) == 0 {
			e.shares = append(e.shares, nil)
			continue
		}
		if sha256.Sum256(share) != sum {
			r.bad = true
		}
		e.shares = append(e.shares, bytes.Clone(share))
	}
	sealed := r.part(MaxEscrow)
	if len(sealed) < len(e.random)+Overhead {
		return nil, r.err()
	}
	e.random, e.sealed = [32]byte(sealed), bytes.Clone(sealed[len(e.random):])
	digest := [32]byte(r.take(32))
	if r.bad || len(r.rest) != 0 || digest != e.Digest() {
		return nil, r.err()
	}
	return e, nil
}

// escrowReader takes bytes apart; after a failure it gives zeros.
type escrowReader struct {
	rest []byte
	bad  bool
}

func (r *escrowReader) err() error {
	return fmt.Errorf("%w: truncated or altered", ErrEscrow)
}

func (r *escrowReader) take(n int) []byte {
	if r.bad || n > len(r.rest) {
		r.bad, r.rest = true, nil
		return make([]byte, min(n, 32))
	}
	out := r.rest[:n:n]
	r.rest = r.rest[n:]
	return out
}

// part reads a length and as many bytes, at most limit.
func (r *escrowReader) part(limit int) []byte {
	n := binary.BigEndian.Uint32(r.take(4))
	if r.bad || uint64(n) > uint64(limit) || uint64(n) > uint64(len(r.rest)) {
		r.bad, r.rest = true, nil
		return nil
	}
	return r.take(int(n))
}

// encode returns the plaintext that is sealed: the caller overwrites it.
func (k *EscrowKeys) encode() ([]byte, error) {
	item := keysItem{
		Type: escrowKeysType, Ledger: k.Ledger, LogKey: k.LogKey, Nonce: k.Nonce, Month: k.Month.String(), Part: k.Part,
		Compartments: make([]keysCompartment, len(k.Compartments)),
	}
	held := make([]Held, len(k.Compartments))
	for i := range k.Compartments {
		c := &k.Compartments[i]
		if err := checkGranted(c); err != nil {
			return nil, err
		}
		held[i] = c.held()
		item.Compartments[i] = keysCompartment{ID: c.ID, Name: c.Name, Nodes: make([]keysNode, len(c.Nodes))}
		for j, n := range c.Nodes {
			item.Compartments[i].Nodes[j] = keysNode{Level: n.Level, Index: n.Index, Key: n.Key}
		}
		defer clear(item.Compartments[i].Nodes)
	}
	if err := checkHeld(k.Month, held); err != nil {
		return nil, err
	}
	for i := range k.Statements {
		s := &k.Statements[i]
		item.Statements = append(item.Statements, keysStatement{Number: s.Number, Item: s.Item, Salt: s.Salt})
	}
	b, err := bodyEncoding.Marshal(&item)
	if err != nil {
		return nil, fmt.Errorf("write keys: %w", err)
	}
	if len(b) > MaxEscrow-(2*maxEscrowPublic+MaxHolders*(maxEscrowShare+64)) {
		clear(b)
		return nil, fmt.Errorf("%d bytes of keys: %w", len(b), ErrLimit)
	}
	return b, nil
}

// checkGranted holds that a compartment has a name, and nodes of one tree.
func checkGranted(c *Granted) error {
	if !validName(c.Name) || len(c.Nodes) == 0 {
		return fmt.Errorf("%w: compartment %d has no name or no keys", ErrEscrow, c.ID)
	}
	if err := checkNodes(c.Nodes, Depth); err != nil {
		return fmt.Errorf("%w: compartment %d: %w", ErrEscrow, c.ID, err)
	}
	return nil
}

// parseKeys reads what was sealed, and holds it against the public part.
func (e *Escrow) parseKeys(plain []byte) (*EscrowKeys, error) {
	var item keysItem
	if err := strictly(plain, &item, "what is sealed"); err != nil {
		return nil, err
	}
	k := &EscrowKeys{Ledger: item.Ledger, LogKey: item.LogKey, Nonce: item.Nonce, Month: e.Month, Part: item.Part}
	if item.Type != escrowKeysType || item.Month != e.Month.String() || item.Part != e.Part || item.Ledger != e.Ledger ||
		len(item.Compartments) != len(e.Compartments) {
		return nil, fmt.Errorf("%w: what is sealed belongs to another file", ErrEscrow)
	}
	for i := range item.Compartments {
		c := &item.Compartments[i]
		g := Granted{ID: c.ID, Name: c.Name, Nodes: make([]Node, len(c.Nodes))}
		for j, n := range c.Nodes {
			g.Nodes[j] = Node{Level: n.Level, Index: n.Index, Key: n.Key}
		}
		clear(c.Nodes)
		if err := checkGranted(&g); err != nil {
			return nil, err
		}
		if g.held() != e.Compartments[i] {
			return nil, fmt.Errorf("%w: compartment %d does not hold what the file says", ErrEscrow, g.ID)
		}
		k.Compartments = append(k.Compartments, g)
	}
	for i := range item.Statements {
		s := &item.Statements[i]
		if i > 0 && s.Number <= item.Statements[i-1].Number {
			return nil, fmt.Errorf("%w: statements are out of order", ErrEscrow)
		}
		k.Statements = append(k.Statements, BundleStatement{Number: s.Number, Item: s.Item, Salt: s.Salt})
	}
	return k, nil
}
