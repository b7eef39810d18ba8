package proof

// What makes two signed things evidence: both are by the log's keys, and they
// exclude one another.

import (
	"crypto/ed25519"
	"errors"
	"fmt"

	"cairn/merkle"
	"cairn/merkle/ledger"
)

// errCompatible says that what evidence shows can both be true.
var errCompatible = errors.New("both can be true")

// fraudFacts is what evidence was found to say.
type fraudFacts struct {
	id     merkle.Hash
	keys   []logKey // the first, then that of each handover
	before []int    // which key handed over to each; -1 the first
	used   []bool   // which keys are needed
	side   [2]sideFacts
}

// sideFacts is one side, read.
type sideFacts struct {
	key        int // that signed the head, or handed over
	header     ledger.Header
	depth      int
	statements ledger.StatementsHead
	summary    ledger.Summary
	handover   ledger.LogKey
	commit     uint64      // number of the group commit that took a reading
	leaf       merkle.Hash // of that reading
}

// check returns what the evidence says, or why it proves nothing.
func (f *Fraud) check() (*fraudFacts, *fault) {
	if err := f.form(); err != nil {
		return nil, &fault{CodeFraudForm, err}
	}
	x := &fraudFacts{id: ledger.ID(f.Ledger.Key[:], f.Ledger.Nonce)}
	if bad := x.logKeys(f); bad != nil {
		return nil, bad
	}
	for i := range f.Sides {
		s := &x.side[i]
		if bad := x.readSide(&f.Sides[i], s); bad != nil {
			bad.err = fmt.Errorf("side %d: %w", i, bad.err)
			return nil, bad
		}
		for key := s.key; key >= 0; key = x.before[key] {
			x.used[key] = true
		}
	}
	for i, used := range x.used {
		if !used && i > 0 {
			return nil, faultf(CodeHandoverNotNeeded, "handover %d brings a key that signed nothing here", i-1)
		}
	}
	if err := f.contradicts(x); err != nil {
		if errors.Is(err, errCompatible) {
			return nil, &fault{CodeNoContradiction, err}
		}
		return nil, &fault{CodeFraudForm, err}
	}
	return x, nil
}

// readHandover reads a log-key statement, and checks both its signatures.
func readHandover(item []byte, id merkle.Hash) (ledger.LogKey, error) {
	st, err := ledger.ParseStatement(item)
	if err != nil {
		return ledger.LogKey{}, err
	}
	k, err := ledger.LogKeyFrom(st)
	if err != nil {
		return ledger.LogKey{}, err
	}
	return k, k.Verify(id, st.At)
}

// logKeys takes the keys that the handovers bring, in their order.
func (x *fraudFacts) logKeys(f *Fraud) *fault {
	origin := ledger.Origin(x.id)
	x.keys, x.before = []logKey{{key: f.Ledger.Key, id: keyID(origin, f.Ledger.Key)}}, []int{-1}
	for i, item := range f.Handovers {
		k, err := readHandover(item, x.id)
		if err != nil {
			return &fault{CodeLogKey, fmt.Errorf("handover %d: %w", i, err)}
		}
		old := x.keyAt(k.Old)
		if old < 0 {
			return faultf(CodeLogKey, "handover %d: of a key that nothing before it brings", i)
		}
		if x.keyAt(k.New) >= 0 {
			return faultf(CodeLogKey, "handover %d: to a key that is there already", i)
		}
		x.keys, x.before = append(x.keys, logKey{key: k.New, id: keyID(origin, k.New)}), append(x.before, old)
	}
	x.used = make([]bool, len(x.keys))
	return nil
}

func (x *fraudFacts) keyAt(key [32]byte) int {
	for i := range x.keys {
		if x.keys[i].key == key {
			return i
		}
	}
	return -1
}

// readSide checks one side as far as it goes by itself: who signed it, and that
// each part is in the tree of the one before.
func (x *fraudFacts) readSide(s *FraudSide, to *sideFacts) *fault {
	switch {
	case s.Taken != nil:
		return x.readTaken(s.Taken, to)
	case s.Head == nil:
		return x.readForked(s, to)
	}
	key, err := x.signer(s.Head)
	if err != nil {
		return &fault{CodeNotSignedByTheLog, err}
	}
	to.key = key
	if s.Node != nil && s.Summary == nil {
		return nodeUnder(s.Node, s.Head.Size, s.Head.Root)
	}
	if s.Batch == nil {
		return nil
	}
	if bad := x.readBatch(s, to); bad != nil {
		return bad
	}
	if s.Summary != nil {
		return s.readSummary(to)
	}
	if s.Statement != nil {
		return s.Statement.under(&to.statements)
	}
	return nil
}

// readForked reads a side that is a handover by itself.
func (x *fraudFacts) readForked(s *FraudSide, to *sideFacts) *fault {
	k, err := readHandover(s.Handover, x.id)
	if err != nil {
		return &fault{CodeLogKey, err}
	}
	if to.key = x.keyAt(k.Old); to.key < 0 {
		return faultf(CodeNotSignedByTheLog, "the key that hands over is none of the log's, as far as is shown")
	}
	to.handover = k
	return nil
}

// signer returns which of the log's keys signed a head.
func (x *fraudFacts) signer(h *FraudHead) (int, error) {
	text := []byte(merkle.Checkpoint{Origin: ledger.Origin(x.id), Size: h.Size, Root: h.Root}.Text())
	for i := range x.keys {
		if x.keys[i].id == h.Key && ed25519.Verify(x.keys[i].key[:], text, h.Signature[:]) {
			return i, nil
		}
	}
	return 0, errors.New("its head is not signed by a key of the log")
}

// readBatch checks that the batch is in the head's log, and what is shown of it.
func (x *fraudFacts) readBatch(s *FraudSide, to *sideFacts) *fault {
	b := s.Batch
	var err error
	if to.header, err = ledger.ParseHeader(b.Header); err != nil {
		return &fault{CodeFraudBatch, err}
	}
	h := &to.header
	if h.Ledger != x.id {
		return faultf(CodeFraudBatch, "its header is of ledger %v", h.Ledger)
	}
	if err := merkle.VerifyInclusion(merkle.LeafHash(b.Header), h.Index, s.Head.Size, b.Path, s.Head.Root); err != nil {
		return &fault{CodeFraudBatch, err}
	}
	if b.Slots != nil {
		slots, err := ledger.ParseSlots(b.Slots.Item)
		if err != nil || ledger.Hide(b.Slots.Item, b.Slots.Salt) != h.Hidden[ledger.HiddenSlots] {
			return faultf(CodeFraudBatch, "its slots are not what the header hides")
		}
		to.depth = slots.Depth
	}
	if b.Statements != nil {
		to.statements, err = ledger.ParseStatementsHead(b.Statements.Item)
		if err != nil || ledger.Hide(b.Statements.Item, b.Statements.Salt) != h.Hidden[ledger.HiddenStatements] {
			return faultf(CodeFraudBatch, "its statements are not what the header hides")
		}
	}
	return nil
}

// readSummary checks that the summary stands at its slot in the batch, and a
// reading's leaf in the summary's run or stream.
func (s *FraudSide) readSummary(to *sideFacts) *fault {
	m := s.Summary
	var err error
	if to.summary, err = ledger.ParseSummary(m.Item); err != nil {
		return &fault{CodeFraudBatch, err}
	}
	if !summaryAt(m.Tag, m.Item, m.Salt, m.Path, to.summary.Slot, to.depth, to.header.Root) {
		return faultf(CodeFraudBatch, "its summary is not at its slot in the batch")
	}
	return nil
}

// summaryAt reports whether a summary stands at its slot in a batch tree.
func summaryAt(tag [ledger.TagSize]byte, item []byte, salt [ledger.SaltSize]byte, path Path, slot uint64, depth int, root merkle.Hash) bool {
	if len(path) != depth || slot>>depth != 0 {
		return false
	}
	entry := ledger.SummaryEntry(tag, item, salt)
	got, err := merkle.RootFromPerfectPath(merkle.LeafHash(entry[:]), slot, path)
	return err == nil && got == root
}

// under checks that a statement is in a tree of statements.
func (s *FraudStatement) under(head *ledger.StatementsHead) *fault {
	e := ledger.HiddenEntry(s.Item, s.Salt)
	if err := merkle.VerifyInclusion(merkle.LeafHash(e[:]), s.Index, head.Size, s.Path, head.Root); err != nil {
		return &fault{CodeFraudBatch, fmt.Errorf("statement %d: %w", s.Index, err)}
	}
	return nil
}

// nodeUnder checks that a complete subtree is in a tree. The nodes of one level
// are the leaves of a tree of the same root, whose last may stand for fewer
// leaves: a complete one is not that.
func nodeUnder(n *FraudNode, size uint64, root merkle.Hash) *fault {
	if n.Level > maxPath || size > merkle.MaxSize || n.Index >= size>>n.Level {
		return faultf(CodeFraudForm, "no complete subtree %d of level %d in a tree of %d", n.Index, n.Level, size)
	}
	if err := merkle.VerifyInclusion(n.Hash, n.Index, (size-1)>>n.Level+1, n.Path, root); err != nil {
		return &fault{CodeFraudForm, err}
	}
	return nil
}

// contradicts returns nil if the two sides exclude one another, errCompatible
// if they do not, and another error if they are not of one thing or not in the
// order of their kind.
func (f *Fraud) contradicts(x *fraudFacts) error {
	a, b := &f.Sides[0], &f.Sides[1]
	p, q := &x.side[0], &x.side[1]
	switch f.Kind {
	case FraudTwoRoots:
		return excluded(a.Head.Size == b.Head.Size && a.Head.Root != b.Head.Root)
	case FraudTwoSizes:
		return excluded(a.Head.Size != b.Head.Size && a.Head.Root == b.Head.Root)
	case FraudNotExtended:
		if a.Head.Size >= b.Head.Size {
			return errors.New("the first head is not the smaller one")
		}
		return f.Prefix.differs(a.Head.Size, b.Head.Size, a.Head.Root, b.Head.Root)
	case FraudTwoParts:
		return excluded(a.Node.Level == b.Node.Level && a.Node.Index == b.Node.Index && a.Node.Hash != b.Node.Hash)
	case FraudTwoHeaders:
		return excluded(p.header.Index == q.header.Index && string(a.Batch.Header) != string(b.Batch.Header))
	case FraudTwoStatements:
		return excluded(a.Statement.Index == b.Statement.Index && string(a.Statement.Item) != string(b.Statement.Item))
	case FraudStatements:
		return f.Prefix.differs(p.statements.Size, q.statements.Size, p.statements.Root, q.statements.Root)
	case FraudStatementsShrunk:
		return excluded(p.header.Index < q.header.Index && p.statements.Size > q.statements.Size)
	case FraudReceiptRun, FraudReceiptStream, FraudReceiptEnd:
		return a.Taken.excludes(f.Kind, p.leaf, b, &q.summary)
	case FraudTwoHandovers:
		return excluded(p.handover.Old == q.handover.Old && p.handover.New != q.handover.New)
	}
	return f.contradictsOfStream(p, q)
}

// contradictsOfStream does it for the kinds that are about one slot.
func (f *Fraud) contradictsOfStream(p, q *sideFacts) error {
	a, b := &f.Sides[0], &f.Sides[1]
	s, t := &p.summary, &q.summary
	if s.Slot != t.Slot {
		return fmt.Errorf("%w: they are of the slots %d and %d", errCompatible, s.Slot, t.Slot)
	}
	switch f.Kind {
	case FraudRuns:
		return excluded(p.header.Index < q.header.Index && contradictRuns(s, t))
	case FraudStream:
		return f.Prefix.differs(s.Next, t.Next, s.Stream, t.Stream)
	case FraudTags:
		return excluded(a.Summary.Tag != b.Summary.Tag)
	case FraudTwoReadings:
		return twoReadings(a.Node, b.Node, s, t)
	}
	return fmt.Errorf("kind %q", f.Kind)
}

// contradictRuns reports whether the run of a later batch cannot come after that
// of an earlier one.
func contradictRuns(earlier, later *ledger.Summary) bool {
	return later.First < earlier.Next || earlier.Closed && later.First != later.Next
}

// twoReadings holds that the first leaf, in its summary's run, and the second,
// in its summary's stream, have one number.
func twoReadings(run, stream *FraudNode, s, t *ledger.Summary) error {
	if run.Level != 0 || stream.Level != 0 {
		return errors.New("a reading is a leaf")
	}
	if bad := nodeUnder(run, s.Next-s.First, s.Run); bad != nil {
		return fmt.Errorf("run: %w", bad.err)
	}
	if bad := nodeUnder(stream, t.Next, t.Stream); bad != nil {
		return fmt.Errorf("stream: %w", bad.err)
	}
	return excluded(s.First+run.Index == stream.Index && run.Hash != stream.Hash)
}

// differs holds that the tree of the second side was another at the size of the
// first's than the first says.
func (p *FraudPrefix) differs(m, n uint64, first, second merkle.Hash) error {
	if err := merkle.VerifyConsistency(m, n, p.Root, second, p.Path); err != nil {
		return fmt.Errorf("prefix: %w", err)
	}
	return excluded(p.Root != first)
}

func excluded(both bool) error {
	if !both {
		return errCompatible
	}
	return nil
}
