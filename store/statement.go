package store

import (
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"cairn/merkle"
	"cairn/merkle/ledger"
	"cairn/store/share"
)

// statementRow is the row y of a statement. Its leaf is salted under the hour of
// At of one of two compartments: of "statements" in formatPrivate, so that nobody
// who follows the ledger can test a guess of what is not public; else of "ledger",
// as of those that are public, and in older data of all.
type statementRow struct {
	_     struct{} `cbor:",toarray"`
	Start uint64   // that recorded it: its incarnation is in the salt
	At    int64
	Item  []byte

	private bool // it is in formatPrivate
}

func (x *statementRow) format() byte {
	if x.private {
		return formatPrivate
	}
	return format
}

// appendStatement adds to the ledger's tree of statements.
func (c *committer) appendStatement(b *pebble.Batch, st ledger.Statement) error {
	if err := st.Validate(); err != nil {
		return err
	}
	n := c.stTree.Size()
	x := statementRow{Start: c.state.Starts - 1, At: st.At, Item: st.Append(nil), private: !ledger.Public(st.Kind)}
	leaf, err := c.s.statementLeaf(n, &x, c.incarnation, c.s.cursor)
	if err != nil {
		return err
	}
	if err := c.s.putRowAs(b, x.format(), c.s.keys.u64(kindStatement, n), x, true); err != nil {
		return err
	}
	c.stTree.AppendCollect(leaf, 0, func(level int, index uint64, h merkle.Hash) {
		if err == nil {
			err = b.Set(c.s.keys.node(kindStateNode, level, index), hashValue(h), nil)
		}
	})
	c.state.Statements = c.stTree.Size()
	return err
}

// statementRow reads the row y of statement n, in either format.
func (s *Store) statementRow(r pebble.Reader, n uint64) (x statementRow, err error) {
	key := s.keys.u64(kindStatement, n)
	val, closer, err := r.Get(key)
	if err != nil {
		return x, notFound(err, "statement %d", n)
	}
	defer closer.Close()
	x.private = len(val) > 0 && val[0] == formatPrivate
	if err := decodeRowAs(x.format(), s.local, key, val, &x); err != nil {
		return x, fmt.Errorf("statement %d: %w", n, err)
	}
	return x, nil
}

// readStatement reads one statement.
func (s *Store) readStatement(r pebble.Reader, n uint64) (ledger.Statement, error) {
	x, err := s.statementRow(r, n)
	if err != nil {
		return ledger.Statement{}, missing(err)
	}
	st, err := ledger.ParseStatement(x.Item)
	if err != nil {
		return st, fmt.Errorf("%w: statement %d: %w", ErrDamaged, n, err)
	}
	return st, nil
}

// statementLeaf is the leaf of statement n in the statement tree.
func (s *Store) statementLeaf(n uint64, x *statementRow, incarnation [16]byte, cursor func(compartment uint32) *share.Cursor) (merkle.Hash, error) {
	salt, err := s.statementSalt(n, x, incarnation, cursor)
	if err != nil {
		return noHash, err
	}
	e := ledger.HiddenEntry(x.Item, salt)
	return merkle.LeafHash(e[:]), nil
}

// statementSalt is what hides statement n; cursor goes over the keys of a
// compartment.
func (s *Store) statementSalt(n uint64, x *statementRow, incarnation [16]byte, cursor func(compartment uint32) *share.Cursor) (salt [16]byte, err error) {
	h, err := share.HourOf(x.At)
	if err != nil {
		return salt, fmt.Errorf("statement %d: %w", n, err)
	}
	under, name := uint32(share.Ledger), "ledger"
	if x.private {
		c, err := s.statements()
		if err != nil {
			return salt, fmt.Errorf("statement %d: %w", n, err)
		}
		under, name = c.ID, Statements
	}
	k, err := cursor(under).Hour(h)
	if err != nil {
		return salt, fmt.Errorf("statement %d: %s key: %w", n, name, err)
	}
	block := k.SaltBlock(ledger.StatementLabel, ledger.NoStream, incarnation)
	return encrypt(block, ledger.PairBlock(n, 0)), nil
}
