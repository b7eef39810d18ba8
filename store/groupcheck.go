package store

import (
	"crypto/sha256"
	"fmt"
	"slices"

	"cairn/merkle"
	"cairn/merkle/ledger"
	"cairn/store/share"
)

func sum(b []byte) merkle.Hash { return sha256.Sum256(b) }

// Check holds the group against headers, the log's entries First…Next-1, which
// the caller has from a log that it trusts, and k, the hour's key of compartment
// "ledger". Then what the group says of its batches' leaves, of their segments and
// of those listed is what the log commits to, and so are the heads of the
// statements: to them lead the statements' leaves, by CheckStatements. What it
// says of gaps and missed windows is the site's word, and the objects are
// committed to once a later header lists them. Errors are ErrForged.
func (g *Group) Check(headers [][]byte, k share.HourKey) error {
	if len(headers) != len(g.Batches) {
		return fmt.Errorf("group %d: %d headers for %d batches: %w", g.First, len(headers), len(g.Batches), ErrForged)
	}
	for i := range g.Batches {
		if err := g.checkBatch(i, headers[i], k); err != nil {
			return fmt.Errorf("group %d: batch %d: %w", g.First, g.First+uint64(i), err)
		}
	}
	return g.checkShown()
}

func (g *Group) checkBatch(i int, header []byte, k share.HourKey) error {
	b := &g.Batches[i]
	h, err := ledger.ParseHeader(header)
	if err != nil {
		return err
	}
	if h.Ledger != g.Ledger || h.Index != g.First+uint64(i) {
		return fmt.Errorf("%w: this header is of batch %d of ledger %s", ErrForged, h.Index, h.Ledger)
	}
	if hour, err := share.HourOf(h.From); err != nil || hour != g.Hour {
		return fmt.Errorf("%w: the batch is of quarter hour %d", ErrForged, hour)
	}
	if merkle.PerfectRoot(slices.Clone(b.Leaves)) != h.Root {
		return fmt.Errorf("%w: its leaves give another root", ErrForged)
	}
	salts := headerSalts(share.HourKey{}, k, h.Index, b.Incarnation)
	for at, item := range map[int][]byte{
		ledger.HiddenSlots:      ledger.Slots{Depth: ledger.Depth(uint64(len(b.Leaves)))}.Append(nil),
		ledger.HiddenSegments:   b.Segments.Append(nil),
		ledger.HiddenStatements: b.Statements.Append(nil),
	} {
		if ledger.Hide(item, salts[at]) != h.Hidden[at] {
			return fmt.Errorf("%w: the header hides something else at place %d", ErrForged, at)
		}
	}
	leaves := make([]merkle.Hash, len(b.Listed))
	for j := range b.Listed {
		e := ledger.HiddenEntry(b.Listed[j].Segment.Append(nil), b.Listed[j].Salt)
		leaves[j] = merkle.LeafHash(e[:])
	}
	if merkle.RootInPlace(leaves) != b.Segments.Root {
		return fmt.Errorf("%w: it lists other objects", ErrForged)
	}
	return nil
}

// checkShown holds items and salts against the leaves.
func (g *Group) checkShown() error {
	for i := range g.Statements {
		if s := &g.Statements[i]; s.Item != nil && s.leaf() != s.Leaf {
			return fmt.Errorf("group %d: statement %d: %w: its leaf is another", g.First, g.FirstStatement+uint64(i), ErrForged)
		}
	}
	return nil
}

func (s *GroupStatement) leaf() merkle.Hash {
	e := ledger.HiddenEntry(s.Item, s.Salt)
	return merkle.LeafHash(e[:])
}

// CheckStatements appends the group's statements to t, the tree of those before,
// and holds it against the head of each batch. A group that Check found good and
// that fails here has other leaves than the log commits to, or t has: ErrForged,
// and t is of no more use.
func (g *Group) CheckStatements(t *merkle.Tree) error {
	if t.Size() != g.FirstStatement {
		return fmt.Errorf("group %d: it begins at statement %d, the tree has %d: %w", g.First, g.FirstStatement, t.Size(), ErrForged)
	}
	rest := g.Statements
	for i := range g.Batches {
		want := g.Batches[i].Statements
		n := want.Size - t.Size()
		for j := range rest[:n] {
			t.Append(rest[j].Leaf)
		}
		if rest = rest[n:]; t.Root() != want.Root {
			return fmt.Errorf("group %d: batch %d: %w: the statements give another root", g.First, g.First+uint64(i), ErrForged)
		}
	}
	return nil
}

// PrivateStatement is a statement from the object of compartment "statements".
type PrivateStatement struct {
	Number uint64
	Item   []byte
	Salt   [16]byte
}

// PrivateStatements is that object's content:
//
//	["cairn/statements-of/1", uint first statement of the group,
//	 [[uint number, bytes item, bytes 16 salt] …]]
//
// with all of the group's statements that are not public, in order. It is compressed
// and sealed as any object but the group's.
type PrivateStatements struct {
	First uint64
	All   []PrivateStatement
}

// Append appends the content's CBOR.
func (p *PrivateStatements) Append(dst []byte) []byte {
	dst = putUint(putText(putArray(dst, 3), statementsType), p.First)
	dst = putArray(dst, len(p.All))
	for _, s := range p.All {
		dst = putBytes(putUint(putArray(dst, 3), s.Number), s.Item)
		dst = putBytes(dst, s.Salt[:])
	}
	return dst
}

// ParsePrivateStatements parses what Append wrote, and nothing else: ErrGroup.
func ParsePrivateStatements(b []byte) (*PrivateStatements, error) {
	r := readWire(b, 3, statementsType)
	p := &PrivateStatements{First: r.at()}
	next := p.First
	n := r.list(maxGroupParts, minPrivateBytes)
	r.require(n > 0, "no statements")
	for i := 0; i < n && r.Err == nil; i++ {
		r.tuple(3)
		s := PrivateStatement{Number: r.at(), Item: r.bytes(ledger.MaxStatement), Salt: r.salt()}
		r.require(s.Number >= next && len(s.Item) > 0, "statement %d after %d, %d bytes", s.Number, next, len(s.Item))
		next = s.Number + 1
		p.All = append(p.All, s)
	}
	if err := r.end(); err != nil {
		return nil, err
	}
	return p, nil
}

const minPrivateBytes = 20

// OpenPrivate opens the group's object of compartment "statements" with that
// compartment's key of the hour, and holds what it says against the leaves of
// statements in the group: it has all the private ones.
func (g *Group) OpenPrivate(k share.HourKey, compartment uint32, object []byte) (*PrivateStatements, error) {
	content, _, err := k.OpenObject(ObjectAAD(g.Ledger, g.Hour, g.First, compartment, 0), object)
	if err != nil {
		return nil, fmt.Errorf("statements of group %d: %w", g.First, err)
	}
	if content, err = unpackContent(content); err != nil {
		return nil, fmt.Errorf("statements of group %d: %w: %w", g.First, ErrGroup, err)
	}
	p, err := ParsePrivateStatements(content)
	if err == nil {
		err = g.checkPrivate(p)
	}
	if err != nil {
		return nil, fmt.Errorf("statements of group %d: %w", g.First, err)
	}
	return p, nil
}

func (g *Group) checkPrivate(p *PrivateStatements) error {
	all := p.All
	for i := range g.Statements {
		if g.Statements[i].Item != nil {
			continue
		}
		n := g.FirstStatement + uint64(i)
		if len(all) == 0 || all[0].Number != n {
			return fmt.Errorf("%w: statement %d is not there", ErrForged, n)
		}
		s := GroupStatement{Item: all[0].Item, Salt: all[0].Salt}
		if s.leaf() != g.Statements[i].Leaf {
			return fmt.Errorf("%w: the leaf of statement %d is another", ErrForged, n)
		}
		all = all[1:]
	}
	if len(all) > 0 || p.First != g.FirstStatement {
		return fmt.Errorf("%w: there are statements that the group does not have", ErrForged)
	}
	return nil
}
