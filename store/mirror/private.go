package mirror

import (
	"cairn/merkle"
	"cairn/merkle/ledger"
)

// Statement is one statement of the ledger with its number, and what hides it.
type Statement struct {
	Number uint64
	Item   []byte
	Salt   [ledger.SaltSize]byte
}

// leaf is its leaf hash in the ledger's tree of statements.
func (s *Statement) leaf() merkle.Hash {
	e := ledger.HiddenEntry(s.Item, s.Salt)
	return merkle.LeafHash(e[:])
}

// openPrivate opens the object of a group's private statements, if the keys do, and
// holds each against its leaf.
func (p *pass) openPrivate(o *opened) error { return o.private(p.keys) }

func (o *opened) private(keys Keys) error {
	for _, ref := range o.g.Objects {
		object, ok := o.fetched[ref.Hash]
		if ref.Name != statementsName || !ok {
			continue
		}
		k, err := keys.Key(ref.Name, o.g.Hour)
		if err != nil {
			continue // of a grant without them
		}
		private, err := o.g.OpenPrivate(k, ref.Compartment, object)
		if err != nil {
			return alarmf(FalseStatements, "%w", err)
		}
		for _, s := range private.All {
			o.items = append(o.items, Statement(s))
		}
	}
	return nil
}
