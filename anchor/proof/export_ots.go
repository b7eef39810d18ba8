package proof

import (
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
)

// ExportOTS writes what a verified file shows as an OpenTimestamps proof: the
// bytes that are shown, which are to stand in a file, and the detached proof
// that stands beside it. It holds the way to every Bitcoin block, and every
// promise of a calendar, that the file's receipts have for it on one network:
// mainnet, or if there are none the first other's. (Of very many, those of the
// smallest heads, and no more than 4096 operations in all.) A way that a reader would
// refuse, of more than 255 operations or with a message of over 4096 bytes, is
// left out; if there is no other, that is the error. Errors are ErrSelection,
// ErrUnexportable and ErrExportFalse.
func ExportOTS(f *File, what Selection) (shown, ots []byte, err error) {
	trails, err := f.trails(what)
	if err != nil {
		return nil, nil, err
	}
	why := fmt.Errorf("%w: no receipt of a Bitcoin block or of a calendar is about it; an OpenTimestamps file holds no others", ErrUnexportable)
	for _, t := range trails {
		b, err := f.timestamp(t)
		if err == nil {
			return t.shown, b, nil
		}
		if !errors.Is(err, errNoAnchor) {
			why = err
		}
	}
	return nil, nil, why
}

// ExportedNetwork returns the Bitcoin network of the blocks that ExportOTS
// writes. The file that it writes cannot say so.
func ExportedNetwork(f *File, what Selection) (BitcoinNetwork, error) {
	trails, err := f.trails(what)
	if err != nil {
		return "", err
	}
	for _, t := range trails {
		covers, err := f.covers(t.batch)
		if err != nil {
			return "", err
		}
		anchors, err := f.timestamps(covers)
		if err != nil {
			return "", err
		}
		if len(anchors) != 0 {
			return networkOf(anchors), nil
		}
	}
	return "", fmt.Errorf("%w: no receipt of a Bitcoin block or of a calendar is about it", ErrUnexportable)
}

// errNoAnchor says that no receipt that could be written is about a batch.
var errNoAnchor = errors.New("no anchor")

// timestamp writes a trail with what the receipts attest at its end, from the
// smallest head on, until a file can hold no more.
func (f *File) timestamp(t *trail) (file []byte, err error) {
	covers, err := f.covers(t.batch)
	if err != nil {
		return nil, err
	}
	anchors, err := f.timestamps(covers)
	if err != nil {
		return nil, err
	}
	network := networkOf(anchors)
	digest := sha256.Sum256(t.shown)
	tree, why := NewTimestamp(digest[:]), errNoAnchor
	slices.SortStableFunc(anchors, func(a, b anchorTree) int { return cmp.Compare(a.cover.cp.Size, b.cover.cp.Size) })
	for _, a := range anchors {
		if a.network != network {
			continue
		}
		err := f.graft(tree, t, &a)
		if err != nil {
			why = err
			continue
		}
		b, err := WriteOTS(tree)
		if err != nil {
			why = fmt.Errorf("%w: %w", ErrUnexportable, err)
			break
		}
		file = b
	}
	if file == nil {
		return nil, why
	}
	return file, nil
}

// anchorTree is what a receipt attests of a head's root.
type anchorTree struct {
	cover   cover
	network BitcoinNetwork
	tree    *Timestamp
	err     error // it cannot be written so
}

func (f *File) timestamps(covers []cover) ([]anchorTree, error) {
	var all []anchorTree
	for i := range f.Receipts {
		r := &f.Receipts[i]
		for _, c := range covers {
			if r.Head != c.head {
				continue
			}
			a := anchorTree{cover: c}
			var err error
			switch r.Kind {
			case KindBitcoin:
				var b BitcoinReceipt
				if b, err = ParseBitcoinReceipt(r.Data); err == nil {
					a.network = b.Network
					a.tree, a.err = BitcoinTimestamp(b, c.cp.Root)
				}
			case KindOTS:
				var o OTSReceipt
				if o, err = ParseOTSReceipt(r.Data); err == nil {
					if _, err = VerifyOTS(o, c.cp.Root); err == nil {
						a.network = o.Network
						a.tree, err = o.tree(c.cp.Root)
					}
				}
			default:
				continue
			}
			if a.err != nil && !errors.Is(a.err, ErrOTS) {
				err = a.err // the receipt does not hold
			}
			if err != nil {
				return nil, fmt.Errorf("%w: receipt %d: %w", ErrExportFalse, i, err)
			}
			all = append(all, a)
		}
	}
	return all, nil
}

// networkOf chooses the network of a proof: its attestations do not say theirs.
func networkOf(all []anchorTree) BitcoinNetwork {
	first := ""
	for _, a := range all {
		if a.network == BitcoinMainnet {
			return a.network
		}
		if first == "" {
			first = a.network
		}
	}
	return first
}

// graft adds the way to one anchor, or says why it is none for a reader.
func (f *File) graft(tree *Timestamp, t *trail, a *anchorTree) error {
	if a.err != nil {
		return fmt.Errorf("%w: %w", ErrUnexportable, a.err)
	}
	up := *t
	up.steps = append([]step(nil), t.steps...)
	if err := up.inclusion(a.cover.index, a.cover.cp.Size, a.cover.path); err != nil {
		return err
	}
	ops := otsOps(up.steps)
	end := a.tree.within(maxOTSDepth - len(ops))
	if end == nil {
		return fmt.Errorf("%w: the way takes %s up to the ledger's root and more from there, %d is the most that readers of OpenTimestamps follow: its trees are too high",
			ErrUnexportable, count(len(ops), "operation"), maxOTSDepth)
	}
	at, err := tree.Path(ops...)
	if err == nil {
		err = at.Merge(end)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnexportable, err)
	}
	return nil
}

// otsOps writes steps as operations: a step takes one for each side that
// something stands on, and one for each hash.
func otsOps(steps []step) []OTSOp {
	var ops []OTSOp
	for _, s := range steps {
		if len(s.after) != 0 {
			ops = append(ops, OTSOp{OTSAppend, s.after})
		}
		if len(s.before) != 0 {
			ops = append(ops, OTSOp{OTSPrepend, s.before})
		}
		for range s.times {
			ops = append(ops, OTSOp{Tag: OTSSHA256})
		}
	}
	return ops
}

// within returns a copy with what lies at most so many operations deep; nil if
// that is nothing.
func (t *Timestamp) within(depth int) *Timestamp {
	if depth < 0 {
		return nil
	}
	c := &Timestamp{msg: t.msg, atts: append([]OTSAttestation(nil), t.atts...)}
	for _, e := range t.ops {
		if next := e.node.within(depth - 1); next != nil {
			c.ops = append(c.ops, otsEdge{e.op, next})
		}
	}
	if len(c.atts)+len(c.ops) == 0 {
		return nil
	}
	return c
}
