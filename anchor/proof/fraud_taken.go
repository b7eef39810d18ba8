package proof

// Evidence out of an intake receipt: what was acknowledged, against what a batch has in
// its place.

import (
	"errors"
	"fmt"

	"cairn/ingest/reading"
	"cairn/merkle"
	"cairn/merkle/ledger"
)

// leaf is that of the reading, in its commit's tree and in its stream's.
func (t *FraudTaken) leaf() merkle.Hash { return reading.EntryLeaf(t.Tag, t.Seq, t.Root) }

// readTaken checks that a key of the log signed that it took a reading.
func (x *fraudFacts) readTaken(t *FraudTaken, to *sideFacts) *fault {
	key, head, bad := x.intakeSigner(t.Head, t.Signature[:])
	if bad != nil {
		return bad
	}
	to.key, to.commit, to.leaf = key, head.Number, t.leaf()
	if err := merkle.VerifyInclusion(to.leaf, t.Index, head.Count, t.Path, head.Root); err != nil {
		return &fault{CodeIntakePath, fmt.Errorf("the reading is not in the commit that was signed: %w", err)}
	}
	return nil
}

// intakeSigner returns which of the log's keys signed a commit's head.
func (x *fraudFacts) intakeSigner(item, sig []byte) (int, ledger.IntakeHead, *fault) {
	for i := range x.keys {
		head, err := ledger.VerifyIntake(x.keys[i].key[:], item, sig)
		switch {
		case errors.Is(err, ledger.ErrSignature):
			continue
		case err != nil:
			return 0, head, &fault{CodeIntakeSignature, err}
		case head.Ledger != x.id:
			return 0, head, faultf(CodeIntakeSignature, "the commit is of the ledger %v", head.Ledger)
		}
		return i, head, nil
	}
	return 0, ledger.IntakeHead{}, faultf(CodeIntakeSignature, "no key of the log that is shown here signed the commit")
}

// excludes holds that what was taken is not what the side's summary has in its place.
func (t *FraudTaken) excludes(kind FraudKind, leaf merkle.Hash, side *FraudSide, sum *ledger.Summary) error {
	if side.Summary.Tag != t.Tag {
		return fmt.Errorf("%w: they are of two streams", errCompatible)
	}
	if kind == FraudReceiptEnd {
		return excluded(sum.Closed && sum.Next <= t.Seq)
	}
	size, root, first := sum.Next, sum.Stream, uint64(0)
	if kind == FraudReceiptRun {
		size, root, first = sum.Next-sum.First, sum.Run, sum.First
	}
	if side.Node.Level != 0 {
		return errors.New("a reading is a leaf")
	}
	if bad := nodeUnder(side.Node, size, root); bad != nil {
		return bad.err
	}
	return excluded(first+side.Node.Index == t.Seq && side.Node.Hash != leaf)
}

// Evidence searches proof files for what the receipt excludes: another reading under its
// number, or the end of its stream before it. It returns that as evidence that needs
// neither the receipt nor the files; nil if there is none. What does not hold by itself
// counts for nothing.
func (r *IntakeReceipt) Evidence(files ...*File) *Fraud {
	root, bad := r.root()
	if bad != nil {
		return nil
	}
	taken := &FraudTaken{Tag: r.Tag, Seq: r.Seq, Root: root, Index: r.Index, Path: r.Path, Head: r.Head, Signature: r.Signature}
	s := newFinder(r.Ledger)
	own := &File{Ledger: r.Ledger}
	for _, item := range r.Handovers {
		own.Statements = append(own.Statements, Statement{Item: item})
	}
	var same []*File
	for _, f := range files {
		if f.Ledger == r.Ledger {
			same = append(same, f)
		}
	}
	s.findKeys(append(same, own))
	for _, f := range same {
		s.take(f)
	}
	return s.broken(taken)
}

// broken returns the first thing that excludes what was taken.
func (s *finder) broken(t *FraudTaken) *Fraud {
	x := fraudFacts{id: s.id}
	for _, k := range s.keys {
		x.keys = append(x.keys, k.logKey)
	}
	by, _, bad := x.intakeSigner(t.Head, t.Signature[:])
	if bad != nil {
		return nil
	}
	s.found.Frauds = nil
	try := func(kind FraudKind, summary int, node *FraudNode) bool {
		side, key := s.summarySide(summary)
		side.Node = node
		return s.add(kind, FraudSide{Taken: t}, side, nil, by, key)
	}
	for i := range s.runLeaves {
		l := &s.runLeaves[i]
		if s.summaries[l.summary].sum.First+l.index == t.Seq && try(FraudReceiptRun, l.summary, &FraudNode{Index: l.index, Hash: l.leaf, Path: l.path}) {
			return s.found.Frauds[0]
		}
	}
	for i := range s.ranges {
		r := &s.ranges[i]
		last := r.summaries[len(r.summaries)-1]
		size := s.summaries[last].sum.Next
		if t.Seq < r.nodes.first || t.Seq >= size {
			continue
		}
		path, err := merkle.ProveInclusion(&r.nodes, t.Seq, size)
		if err == nil && try(FraudReceiptStream, last, &FraudNode{Index: t.Seq, Hash: r.nodes.leaves[t.Seq-r.nodes.first], Path: path}) {
			return s.found.Frauds[0]
		}
	}
	for i := range s.summaries {
		if s.summaries[i].sum.Closed && try(FraudReceiptEnd, i, nil) {
			return s.found.Frauds[0]
		}
	}
	return nil
}
