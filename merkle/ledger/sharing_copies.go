package ledger

import "cairn/merkle"

// Shred says that the keys of some compartments' hours before a time were
// destroyed at the site, and which of those who may hold copies of them every
// reader of the ledger may know. Of audiences the grants tell: see Grants.
type Shred struct {
	Compartments []string // names
	Before       int64    // Unix milliseconds, the border of an hour
	Holders      []string // names, of none who is but an audience
	Reason       string   // at most MaxReason bytes; public
}

// Statement returns the statement of d, made at this time.
func (d Shred) Statement(at int64) Statement {
	return Statement{KindShred, at, map[string]any{
		"compartments": texts(d.Compartments), "before": d.Before, "holders": texts(d.Holders), "reason": d.Reason,
	}}
}

// ShredFrom returns what a shred statement says.
func ShredFrom(s Statement) (d Shred, err error) {
	body, err := s.as(KindShred)
	if err != nil {
		return Shred{}, err
	}
	d = Shred{Before: body["before"].(int64), Reason: body["reason"].(string)}
	d.Compartments, _ = s.Texts("compartments")
	d.Holders, _ = s.Texts("holders")
	return d, nil
}

// ShredConfirm passes on what a holder signed: that its copies are destroyed
// too. An audience's is a grant-confirm, which is not public, with the same body.
type ShredConfirm struct {
	Shred     uint64 // number of the shred statement
	Holder    string
	Text      []byte   // what was signed, 1…MaxText bytes
	Signature [64]byte // Ed25519 over Text by the holder's key; for the caller to check
	Audience  bool     // the holder is one
}

// Statement returns the statement of c, made at this time.
func (c ShredConfirm) Statement(at int64) Statement {
	return Statement{either(c.Audience, KindGrantConfirm, KindShredConfirm), at, map[string]any{
		"shred": int64(c.Shred), "holder": c.Holder, "text": c.Text, "signature": c.Signature[:],
	}}
}

// ShredConfirmFrom returns what a shred-confirm or grant-confirm statement says.
func ShredConfirmFrom(s Statement) (c ShredConfirm, err error) {
	audience := s.Kind == KindGrantConfirm
	body, err := s.as(either(audience, KindGrantConfirm, KindShredConfirm))
	if err != nil {
		return ShredConfirm{}, err
	}
	c = ShredConfirm{Shred: uint64(body["shred"].(int64)), Holder: body["holder"].(string), Audience: audience,
		Text: append([]byte(nil), body["text"].([]byte)...)}
	copy(c.Signature[:], body["signature"].([]byte))
	return c, nil
}

// Holder is one who holds copies of keys or of what they seal, and whose
// signature counts from here on. An audience's statement is a grant-key, which is
// not public; there are holder statements of before that name one.
type Holder struct {
	Name      string
	Kind      string   // one of the Holder constants
	Recipient string   // age recipient, "" if it has none
	Key       [32]byte // Ed25519 public key
}

// Statement returns the statement of h, made at this time.
func (h Holder) Statement(at int64) Statement {
	body := map[string]any{"name": h.Name, "key": h.Key[:]}
	if h.Recipient != "" {
		body["recipient"] = h.Recipient
	}
	if h.Kind == HolderAudience {
		return Statement{KindGrantKey, at, body}
	}
	body["kind"] = h.Kind
	return Statement{KindHolder, at, body}
}

// HolderFrom returns what a holder or grant-key statement says.
func HolderFrom(s Statement) (h Holder, err error) {
	audience := s.Kind == KindGrantKey
	body, err := s.as(either(audience, KindGrantKey, KindHolder))
	if err != nil {
		return Holder{}, err
	}
	h = Holder{Name: body["name"].(string), Kind: HolderAudience}
	if !audience {
		h.Kind = body["kind"].(string)
	}
	h.Recipient, _ = s.Text("recipient")
	copy(h.Key[:], body["key"].([]byte))
	return h, nil
}

// HolderEnd says that a holder holds nothing new from here on. An audience's
// statement is a grant-key-end, which is not public.
type HolderEnd struct {
	Name     string
	Audience bool // the holder is one
}

// Statement returns the statement of e, made at this time.
func (e HolderEnd) Statement(at int64) Statement {
	return Statement{either(e.Audience, KindGrantKeyEnd, KindHolderEnd), at, map[string]any{"name": e.Name}}
}

// HolderEndFrom returns what a holder-end or grant-key-end statement says.
func HolderEndFrom(s Statement) (HolderEnd, error) {
	audience := s.Kind == KindGrantKeyEnd
	body, err := s.as(either(audience, KindGrantKeyEnd, KindHolderEnd))
	if err != nil {
		return HolderEnd{}, err
	}
	return HolderEnd{Name: body["name"].(string), Audience: audience}, nil
}

// either is the kind of a statement that is private where it is an audience's.
func either(audience bool, private, public string) string {
	if audience {
		return private
	}
	return public
}

// Escrow says that a month's keys were given to holders in shares.
type Escrow struct {
	Month       string   // of UTC, "2026-07"
	Part        uint32   // counted from 0 within the month
	Need        uint32   // how many shares open it, 1…len(Holders)
	Holders     []string // names, one share each, in the order of the shares
	Commitments []byte   // what each share can be checked against, 1…MaxText bytes
	Digest      [32]byte // of the escrow file, as the package that deals it says
}

// Statement returns the statement of e, made at this time.
func (e Escrow) Statement(at int64) Statement {
	return Statement{KindEscrow, at, map[string]any{
		"month": e.Month, "part": int64(e.Part), "need": int64(e.Need), "holders": texts(e.Holders),
		"commitments": e.Commitments, "digest": e.Digest[:],
	}}
}

// EscrowFrom returns what an escrow statement says.
func EscrowFrom(s Statement) (e Escrow, err error) {
	body, err := s.as(KindEscrow)
	if err != nil {
		return Escrow{}, err
	}
	e = Escrow{Month: body["month"].(string), Part: uint32(body["part"].(int64)), Need: uint32(body["need"].(int64)),
		Commitments: append([]byte(nil), body["commitments"].([]byte)...)}
	e.Holders, _ = s.Texts("holders")
	copy(e.Digest[:], body["digest"].([]byte))
	return e, nil
}

// Published says under which content identifier a group of batches stands on
// IPFS.
type Published struct {
	First, Next uint64 // the group's batches are First to Next-1
	CID         string
}

// Statement returns the statement of p, made at this time.
func (p Published) Statement(at int64) Statement {
	return Statement{KindPublished, at, map[string]any{"first": int64(p.First), "next": int64(p.Next), "cid": p.CID}}
}

// PublishedFrom returns what a published statement says.
func PublishedFrom(s Statement) (Published, error) {
	body, err := s.as(KindPublished)
	if err != nil {
		return Published{}, err
	}
	return Published{uint64(body["first"].(int64)), uint64(body["next"].(int64)), body["cid"].(string)}, nil
}

// Dropped says that the site keeps what was sealed before a time no longer,
// and which mirrors do.
type Dropped struct {
	Before       int64    // Unix milliseconds, the border of an hour
	Compartments []string // names
	Mirrors      []string // names
}

// Statement returns the statement of d, made at this time.
func (d Dropped) Statement(at int64) Statement {
	return Statement{KindDropped, at, map[string]any{
		"before": d.Before, "compartments": texts(d.Compartments), "mirrors": texts(d.Mirrors),
	}}
}

// DroppedFrom returns what a dropped statement says.
func DroppedFrom(s Statement) (d Dropped, err error) {
	body, err := s.as(KindDropped)
	if err != nil {
		return Dropped{}, err
	}
	d = Dropped{Before: body["before"].(int64)}
	d.Compartments, _ = s.Texts("compartments")
	d.Mirrors, _ = s.Texts("mirrors")
	return d, nil
}

func wholeEscrow(body map[string]any) string {
	if need := body["need"].(int64); need < 1 || need > int64(len(body["holders"].([]any))) {
		return "that needs no shares, or more than there are"
	}
	return ""
}

func wholePublished(body map[string]any) string {
	if first, next := body["first"].(int64), body["next"].(int64); next <= first || uint64(next) > merkle.MaxSize {
		return "of no batches"
	}
	return ""
}
