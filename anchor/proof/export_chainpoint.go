package proof

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"cairn/merkle/ledger"
)

// Chainpoint v4, as its JSON schema has it: all members, and no others.
type chainpoint struct {
	Context  string             `json:"@context"`
	Type     string             `json:"type"`
	Hash     string             `json:"hash"`
	ProofID  string             `json:"proof_id"`
	Received string             `json:"hash_received"`
	Branches []chainpointBranch `json:"branches"`
}

type chainpointBranch struct {
	Label string         `json:"label"`
	Ops   []chainpointOp `json:"ops"`
}

// chainpointOp has one of its members.
type chainpointOp struct {
	L       string             `json:"l,omitempty"`
	R       string             `json:"r,omitempty"`
	Op      string             `json:"op,omitempty"`
	Anchors []chainpointAnchor `json:"anchors,omitempty"`
}

type chainpointAnchor struct {
	Type string `json:"type"`
	ID   string `json:"anchor_id"`
}

// chainpointPart is how many bytes a value to the left or right may have: 512
// hexadecimal digits.
const chainpointPart = 256

// maxChainpointTime is what a year of four digits ends with, Unix milliseconds.
const maxChainpointTime = 253402300800_000

// ExportChainpoint writes what a verified file shows as a Chainpoint v4 proof
// in JSON, with the bytes that are shown. It holds the way to one Bitcoin
// block, the oldest that a Bitcoin receipt has, on mainnet if there is one:
// Chainpoint's Ethereum anchors have no proof, and readers differ in what they
// make of several branches. The anchor_id is the height of the block, and
// "tbtc" stands for all networks but mainnet. The format asks for an id and a
// time of receipt: both are made of the end of the batch's window and the hash,
// and say nothing else. Errors are ErrSelection, ErrUnexportable and
// ErrExportFalse.
func ExportChainpoint(f *File, what Selection) (shown, chp []byte, err error) {
	trails, err := f.trails(what)
	if err != nil {
		return nil, nil, err
	}
	for _, t := range trails {
		b, err := f.chainpoint(t)
		if errors.Is(err, errNoAnchor) {
			continue
		}
		return t.shown, b, err
	}
	return nil, nil, fmt.Errorf("%w: no Bitcoin receipt is about it, and Chainpoint has no proofs of other anchors", ErrUnexportable)
}

func (f *File) chainpoint(t *trail) ([]byte, error) {
	covers, err := f.covers(t.batch)
	if err != nil {
		return nil, err
	}
	best, r, err := f.bitcoinReceipt(covers)
	if err != nil {
		return nil, err
	}
	if err := t.inclusion(best.index, best.cp.Size, best.path); err != nil {
		return nil, err
	}
	header, err := ledger.ParseHeader(f.Batches[t.batch].Header)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrExportFalse, err)
	}
	if header.To >= maxChainpointTime {
		return nil, fmt.Errorf("%w: the batch's window ends after the year 9999", ErrUnexportable)
	}
	anchor := chainpointAnchor{"btc", fmt.Sprint(r.Height)}
	if r.Network != BitcoinMainnet {
		anchor.Type = "tbtc"
	}
	up, err := r.steps(best.cp.Root)
	if err != nil {
		return nil, err
	}
	branch := chainpointBranch{Label: "btc_anchor_branch"}
	if len(up[0].before) > chainpointPart || len(up[0].after) > chainpointPart {
		branch.Label = "cairn" // by the other, readers look for the anchored root three operations before the id
	}
	branch.Ops = append(chainpointOps(append(t.steps, up...)), chainpointOp{Anchors: []chainpointAnchor{anchor}})
	digest := sha256.Sum256(t.shown)
	b, err := json.MarshalIndent(chainpoint{
		Context: "https://w3id.org/chainpoint/v4", Type: "Chainpoint", Hash: hex.EncodeToString(digest[:]),
		ProofID: chainpointID(header.To, digest), Received: time.UnixMilli(header.To).UTC().Format("2006-01-02T15:04:05Z"),
		Branches: []chainpointBranch{branch},
	}, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write chainpoint: %w", err)
	}
	return append(b, '\n'), nil
}

// bitcoinReceipt chooses the receipt of the oldest block, mainnet's first.
func (f *File) bitcoinReceipt(covers []cover) (best cover, r *BitcoinReceipt, err error) {
	for i := range f.Receipts {
		for _, c := range covers {
			if f.Receipts[i].Head != c.head || f.Receipts[i].Kind != KindBitcoin {
				continue
			}
			b, err := ParseBitcoinReceipt(f.Receipts[i].Data)
			if err == nil {
				_, err = VerifyBitcoin(b, c.cp.Root)
			}
			if err != nil {
				return best, nil, fmt.Errorf("%w: receipt %d: %w", ErrExportFalse, i, err)
			}
			main, had := b.Network == BitcoinMainnet, r != nil && r.Network == BitcoinMainnet
			if r == nil || main && !had || main == had && b.Height < r.Height {
				best, r = c, &b
			}
		}
	}
	if r == nil {
		return best, nil, errNoAnchor
	}
	return best, r, nil
}

// steps leads from a root that the receipt anchors to the block's merkle root.
func (r *BitcoinReceipt) steps(root [32]byte) ([]step, error) {
	_, at, err := r.anchor(root)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrExportFalse, err)
	}
	all := []step{{r.Tx[:at], r.Tx[at+len(root):], 2}}
	for level := range r.Branch {
		s := step{after: r.Branch[level][:], times: 2}
		if r.Index>>level&1 == 1 {
			s.before, s.after = s.after, nil
		}
		all = append(all, s)
	}
	return all, nil
}

// chainpointOps writes steps. What is longer than a value may be comes in parts:
// of what stands before, the last part first.
func chainpointOps(steps []step) []chainpointOp {
	var ops []chainpointOp
	for _, s := range steps {
		for b := s.before; len(b) != 0; {
			at := max(len(b)-chainpointPart, 0)
			ops, b = append(ops, chainpointOp{L: hex.EncodeToString(b[at:])}), b[:at]
		}
		for b := s.after; len(b) != 0; {
			at := min(len(b), chainpointPart)
			ops, b = append(ops, chainpointOp{R: hex.EncodeToString(b[:at])}), b[at:]
		}
		name := "sha-256"
		if s.times == 2 {
			name = "sha-256-x2"
		}
		ops = append(ops, chainpointOp{Op: name})
	}
	return ops
}

// chainpointID returns a UUID of version 1 (RFC 9562 section 5.1) of a time in
// Unix milliseconds, with the clock sequence and the node made of a hash; the
// node has the bit by which it is nobody's.
func chainpointID(ms int64, hash [32]byte) string {
	const gregorian = 0x01b21dd213814000 // 1970 in 100 ns since 1582-10-15
	ticks := uint64(ms)*10_000 + gregorian
	var u [16]byte
	binary.BigEndian.PutUint32(u[:], uint32(ticks))
	binary.BigEndian.PutUint16(u[4:], uint16(ticks>>32))
	binary.BigEndian.PutUint16(u[6:], 0x1000|uint16(ticks>>48)&0x0fff)
	copy(u[8:], hash[:8])
	u[8] = u[8]&0x3f | 0x80
	u[10] |= 0x01
	return fmt.Sprintf("%x-%x-%x-%x-%x", u[:4], u[4:6], u[6:8], u[8:10], u[10:])
}
