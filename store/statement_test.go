package store

import (
	"slices"
	"testing"
	"time"

	"cairn/merkle/ledger"
	"cairn/store/share"
)

// TestStatementsAreNotConfirmed: an auditor who follows the ledger and has the
// envelope of one stream knows all that a neighbour's binding and another's grant
// say, and finds no leaf that they are; with the key that mirrors have he would, as
// he does of what is public.
func TestStatementsAreNotConfirmed(t *testing.T) {
	x := newSite(t, 2)
	x.grant()
	for range 40 {
		x.send(x.nodes...)
		x.pass(30 * time.Second)
	}
	x.restart()
	x.pass(time.Hour)
	copied := x.copyAll()
	statements, err := x.s.statements()
	if err != nil {
		t.Fatal(err)
	}
	leaves, err := x.s.StatementLeaves(0, x.s.Statements())
	if err != nil {
		t.Fatal(err)
	}
	have := []uint32{share.Ledger, x.s.view.Load().streams[0].envelope}
	own := x.saltsOfStatements(copied, uint64(len(leaves)), have...)
	for _, g := range copied.groups {
		b := g.Append(nil)
		for i := range len(b) - 15 {
			own = append(own, [16]byte(b[i:]))
		}
	}
	mirrors := x.saltsOfStatements(copied, uint64(len(leaves)), statements.ID)
	private := 0
	for n := range uint64(len(leaves)) {
		item, salt, _, err := x.s.StatementAt(n, uint64(len(leaves)))
		if err != nil {
			t.Fatal(err)
		}
		st, err := ledger.ParseStatement(item)
		if err != nil {
			t.Fatal(err)
		}
		leads := func(salts [][16]byte) bool {
			return slices.ContainsFunc(salts, func(salt [16]byte) bool {
				s := GroupStatement{Item: item, Salt: salt}
				return s.leaf() == leaves[n]
			})
		}
		if !leads([][16]byte{salt}) {
			t.Errorf("statement %d (%s): its salt does not lead to its leaf", n, st.Kind)
		}
		if !ledger.Public(st.Kind) {
			private++
		}
		if got := leads(own); got != ledger.Public(st.Kind) {
			t.Errorf("statement %d (%s): the auditor confirms it: %v", n, st.Kind, got)
		}
		if got := leads(mirrors); got == ledger.Public(st.Kind) {
			t.Errorf("statement %d (%s): the key of private statements leads to it: %v", n, st.Kind, got)
		}
	}
	if private != 3 {
		t.Errorf("%d statements are private, want two bindings and a grant", private)
	}
}

// saltsOfStatements are all salts that compartments' keys give to statements, by
// what the groups say of hours and starts.
func (x *site) saltsOfStatements(c *copied, n uint64, compartments ...uint32) (salts [][16]byte) {
	x.t.Helper()
	starts := map[[16]byte]bool{}
	for _, g := range c.groups {
		for i := range g.Batches {
			starts[g.Batches[i].Incarnation] = true
		}
	}
	for _, compartment := range compartments {
		for _, g := range c.groups {
			k := x.keyOf(compartment, g.Hour)
			for incarnation := range starts {
				block := k.SaltBlock(ledger.StatementLabel, ledger.NoStream, incarnation)
				for i := range n {
					salts = append(salts, encrypt(block, ledger.PairBlock(i, 0)))
				}
			}
		}
	}
	return salts
}

// grant records a grant to somebody.
func (x *site) grant() {
	x.t.Helper()
	now := x.clock.ms()
	st := ledger.Grant{
		Audience: "Other", Purpose: "audit", Recipients: []string{"age1x"}, Compartments: []string{"ledger"}, From: now / 900_000 * 900_000,
	}.Statement(now)
	if _, err := x.s.AddStatement(x.t.Context(), st); err != nil {
		x.t.Fatal(err)
	}
}
