package proof

// OpenTimestamps receipts: kind "ots/1".
//
// The data of such a receipt is the deterministic CBOR array
//
//	["cairn/ots/1", network text, timestamp bstr, [* [height uint, header bstr80, following bstr]]]
//
// with the timestamp a node for the root, as it is written, and blocks by
// ascending height, each for some Bitcoin attestation of the timestamp. The
// block of an attestation may be missing: then the height, and what the block's
// merkle root must be, is all that is known. [VerifyOTS] checks for each
// Bitcoin attestation that its message has 32 bytes, and if its block is there
// that the message is the header's merkle root, and that the header and those
// that follow hold as in a Bitcoin receipt. Attestations of other kinds prove
// nothing here.

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"math"
	"math/big"
	"slices"
)

// KindOTS is the kind of a receipt whose data is an OTSReceipt.
const KindOTS = "ots/1"

const (
	otsType      = "cairn/ots/1"
	maxOTSBlocks = 64
	maxOTSData   = maxOTS + maxOTSBlocks*200 + 80*maxBitcoinFollowing
)

// What can be wrong with an OpenTimestamps receipt, beside the ErrBitcoin… of
// its headers.
var (
	ErrOTSFormat = errors.New("opentimestamps receipt is malformed")
	ErrOTSBlock  = errors.New("opentimestamps path does not lead to the block's merkle root")
)

// OTSReceipt shows that a root was committed in Bitcoin blocks by calendars, or
// that they promised to.
type OTSReceipt struct {
	Network   BitcoinNetwork
	Timestamp []byte // node for the root, as Timestamp.MarshalBinary writes it
	Blocks    []OTSBlock
}

// OTSBlock is a block that an attestation names, with those after it.
type OTSBlock struct {
	Height    uint32
	Header    BitcoinHeader
	Following []BitcoinHeader
}

// OTSFacts is what one Bitcoin attestation of an OTSReceipt proves.
type OTSFacts struct {
	Network BitcoinNetwork
	Height  uint32
	Merkle  [32]byte // that the block at Height must have, internal byte order

	// Shown says that the block is in the receipt. Without it, the rest is zero.
	Shown bool
	Hash  [32]byte
	Time  int64 // Unix milliseconds, loose by BitcoinTimeSlack
	Depth int   // 1 + the headers that follow
	Work  *big.Int
}

type otsWire struct {
	_         struct{} `cbor:",toarray"`
	Type      string
	Network   string
	Timestamp []byte
	Blocks    []otsBlockWire
}

type otsBlockWire struct {
	_         struct{} `cbor:",toarray"`
	Height    uint32
	Header    [80]byte
	Following []byte
}

// MarshalBinary returns the receipt's CBOR, as above, and refuses what
// ParseOTSReceipt would.
func (r OTSReceipt) MarshalBinary() ([]byte, error) {
	if _, err := r.check([32]byte{}); err != nil { // the form is the same for every root
		return nil, err
	}
	w := otsWire{Type: otsType, Network: r.Network, Timestamp: r.Timestamp}
	for _, b := range r.Blocks {
		w.Blocks = append(w.Blocks, otsBlockWire{Height: b.Height, Header: b.Header, Following: joinHeaders(b.Following)})
	}
	b, err := marshal(w)
	if err != nil {
		return nil, fmt.Errorf("opentimestamps receipt: %w", err)
	}
	if len(b) > maxOTSData {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrOTSFormat, len(b), maxOTSData)
	}
	return b, nil
}

// ParseOTSReceipt reads what MarshalBinary wrote, strictly. It checks the form
// alone; VerifyOTS checks what it says. Any error is an ErrOTSFormat.
func ParseOTSReceipt(b []byte) (OTSReceipt, error) {
	if len(b) > maxOTSData {
		return OTSReceipt{}, fmt.Errorf("%w: %d bytes, at most %d", ErrOTSFormat, len(b), maxOTSData)
	}
	var w otsWire
	if err := unmarshal(b, &w); err != nil {
		return OTSReceipt{}, fmt.Errorf("%w: %w", ErrOTSFormat, err)
	}
	if w.Type != otsType {
		return OTSReceipt{}, fmt.Errorf("%w: type %.40q, want %q", ErrOTSFormat, w.Type, otsType)
	}
	r := OTSReceipt{Network: w.Network, Timestamp: w.Timestamp}
	for _, wb := range w.Blocks {
		following, err := splitHeaders(wb.Following)
		if err != nil {
			return OTSReceipt{}, fmt.Errorf("%w: %w", ErrOTSFormat, err)
		}
		r.Blocks = append(r.Blocks, OTSBlock{wb.Height, wb.Header, following})
	}
	if _, err := r.check([32]byte{}); err != nil {
		return OTSReceipt{}, err
	}
	return r, nil
}

// check checks the form, and returns the timestamp for a root.
func (r *OTSReceipt) check(root [32]byte) (*Timestamp, error) {
	t, err := r.tree(root)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrOTSFormat, err)
	}
	if len(r.Blocks) > maxOTSBlocks {
		return nil, fmt.Errorf("%w: %d blocks, at most %d", ErrOTSFormat, len(r.Blocks), maxOTSBlocks)
	}
	attested := make(map[uint64]bool)
	t.each(func(a OTSAttestation, _ *Timestamp) {
		if a.Kind == OTSBitcoin {
			attested[a.Height] = true
		}
	})
	for i, b := range r.Blocks {
		if err := checkSegment(ErrOTSFormat, r.Network, b.Height, len(b.Following)); err != nil {
			return nil, err
		}
		if i > 0 && b.Height <= r.Blocks[i-1].Height {
			return nil, fmt.Errorf("%w: block %d after %d", ErrOTSFormat, b.Height, r.Blocks[i-1].Height)
		}
		if !attested[uint64(b.Height)] {
			return nil, fmt.Errorf("%w: no attestation is of block %d", ErrOTSFormat, b.Height)
		}
	}
	return t, checkSegment(ErrOTSFormat, r.Network, 0, 0)
}

// tree reads the timestamp for a root; it must be as it would be written.
func (r *OTSReceipt) tree(root [32]byte) (*Timestamp, error) {
	t, err := ParseTimestamp(root[:], r.Timestamp)
	if err != nil {
		return nil, err
	}
	again, err := t.MarshalBinary()
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(again, r.Timestamp) {
		return nil, errors.New("written again the timestamp differs")
	}
	return t, nil
}

// VerifyOTS checks a receipt for a root and returns what each of its Bitcoin
// attestations proves, in the order of the timestamp; none without an error if
// all that there is are promises. Errors are ErrOTSFormat, ErrOTSBlock and the
// ErrBitcoin… of headers.
func VerifyOTS(r OTSReceipt, root [32]byte) ([]OTSFacts, error) {
	p, err := r.prove(root)
	return p.facts, err
}

// otsProof is what a receipt proves.
type otsProof struct {
	facts   []OTSFacts
	pending []string // as Pending gives them
	size    int      // bytes of all messages
}

func (r *OTSReceipt) prove(root [32]byte) (p otsProof, err error) {
	t, err := r.check(root)
	if err != nil {
		return p, err
	}
	if _, err := bitcoinParamsOf(r.Network); err != nil {
		return p, err
	}
	works := make([]*big.Int, len(r.Blocks)) // many paths may lead to one block: its headers are checked once
	p.size = t.each(func(a OTSAttestation, node *Timestamp) {
		if a.Kind != OTSBitcoin || err != nil {
			return
		}
		var f OTSFacts
		if f, err = r.verify(a, node.msg, works); err == nil {
			p.facts = append(p.facts, f)
		}
	})
	if err != nil {
		return otsProof{}, err
	}
	p.pending = t.promises()
	return p, nil
}

func (r *OTSReceipt) verify(leaf OTSAttestation, value []byte, works []*big.Int) (f OTSFacts, err error) {
	if len(value) != 32 {
		return f, fmt.Errorf("%w: %d bytes at the attestation of block %d", ErrOTSBlock, len(value), leaf.Height)
	}
	if leaf.Height > math.MaxUint32 {
		return f, fmt.Errorf("%w: block %d", ErrOTSBlock, leaf.Height)
	}
	f = OTSFacts{Network: r.Network, Height: uint32(leaf.Height), Merkle: [32]byte(value)}
	i, ok := r.block(f.Height)
	if !ok {
		return f, nil
	}
	b := &r.Blocks[i]
	if f.Merkle != b.Header.Merkle() {
		return f, fmt.Errorf("%w: it leads to %x, the header of block %d has %x", ErrOTSBlock,
			reversed(f.Merkle), b.Height, reversed(b.Header.Merkle()))
	}
	if works[i] == nil {
		if works[i], err = checkBlock(r.Network, b.Height, b.Header, b.Following); err != nil {
			return f, err
		}
	}
	f.Shown, f.Hash, f.Time, f.Depth, f.Work = true, b.Header.Hash(), b.Header.Time(), 1+len(b.Following), works[i]
	return f, nil
}

// block returns the position of the block of a height.
func (r *OTSReceipt) block(height uint32) (int, bool) {
	return slices.BinarySearchFunc(r.Blocks, height, func(b OTSBlock, h uint32) int { return cmp.Compare(b.Height, h) })
}

// Pending returns the calendars that promised more, each once, ascending. Their
// characters are those that OTSAttestation.URI allows.
func (r *OTSReceipt) Pending() []string {
	t, err := r.tree([32]byte{})
	if err != nil {
		return nil
	}
	return t.promises()
}

func (t *Timestamp) promises() (uris []string) {
	t.each(func(a OTSAttestation, _ *Timestamp) {
		if a.Kind == OTSPending {
			uris = append(uris, a.URI)
		}
	})
	slices.Sort(uris)
	return slices.Compact(uris)
}

// BitcoinTimestamp returns the proof that a verified Bitcoin receipt gives for
// its root: the transaction around the root, its id, the branch, and the
// attestation of the block. A transaction of more than 4096 bytes cannot be
// written so.
func BitcoinTimestamp(r BitcoinReceipt, root [32]byte) (*Timestamp, error) {
	if _, err := VerifyBitcoin(r, root); err != nil {
		return nil, err
	}
	_, at, err := r.anchor(root)
	if err != nil {
		return nil, err
	}
	ops := []OTSOp{
		{OTSPrepend, r.Tx[:at]}, {OTSAppend, r.Tx[at+len(root):]},
		{Tag: OTSSHA256}, {Tag: OTSSHA256},
	}
	for level, sibling := range r.Branch {
		side := OTSAppend
		if r.Index>>level&1 == 1 {
			side = OTSPrepend
		}
		ops = append(ops, OTSOp{side, bytes.Clone(sibling[:])}, OTSOp{Tag: OTSSHA256}, OTSOp{Tag: OTSSHA256})
	}
	t := NewTimestamp(bytes.Clone(root[:]))
	end, err := t.Path(ops...)
	if err != nil {
		return nil, err
	}
	return t, end.Attest(BitcoinAttestation(r.Height))
}
