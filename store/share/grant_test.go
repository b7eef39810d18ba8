package share

import (
	"bytes"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"filippo.io/age"
)

// grantOf is a bundle of one compartment with the hours from ≤ h < until.
func grantOf(id uint32, t *Tree, from, until Hour) *Bundle {
	return &Bundle{Compartments: []Granted{{ID: id, Nodes: must(t.Cover(from, until))}}}
}

// every derives all that some nodes give: the key of each node at or below them.
func every(known map[[32]byte]bool, n Node, depth uint8) {
	known[n.Key] = true
	for side := uint32(0); n.Level < depth && side < 2; side++ {
		every(known, n.child(side), depth)
	}
}

// learns demands of some bundles' nodes taken together, whatever is derived from
// them, that they give the leaf of each hour that granted tells and of no other,
// and no node above an hour that was not granted.
func learns(t *testing.T, what string, tree *Tree, granted func(Hour) bool, bundles ...*Bundle) {
	t.Helper()
	known := map[[32]byte]bool{}
	for _, b := range bundles {
		for _, g := range b.Compartments {
			for _, n := range g.Nodes {
				every(known, n, tree.depth)
			}
		}
	}
	var walk func(n Node) (all bool)
	walk = func(n Node) bool {
		all := n.Level == tree.depth && granted(n.first(tree.depth))
		if n.Level < tree.depth {
			left := walk(n.child(0))
			all = walk(n.child(1)) && left
		}
		if known[n.Key] && !all || n.Level == tree.depth && known[n.Key] != all {
			t.Fatalf("%s: node %d of level %d: known %v, all of its hours granted %v", what, n.Index, n.Level, known[n.Key], all)
		}
		return all
	}
	walk(tree.nodes[0])
}

// opensExactly demands of b the very keys of the tree for the hours granted, and
// none for others.
func opensExactly(t *testing.T, what string, b *Bundle, id uint32, tree *Tree, h Hour, granted bool) {
	t.Helper()
	got, err := b.key(id, h, tree.depth)
	if !granted {
		if !errors.Is(err, ErrNotGranted) || got != (HourKey{}) {
			t.Fatalf("%s: hour %d: got %v, want ErrNotGranted", what, h, err)
		}
		return
	}
	if want := must(tree.Hour(h)); err != nil || got != want {
		t.Fatalf("%s: hour %d: %v, or another key", what, h, err)
	}
}

// TestGrantExhaustive: all ranges in all trees up to 32 hours.
func TestGrantExhaustive(t *testing.T) {
	for depth := range uint8(6) {
		tree := must(newTree(mathrand.NewChaCha8([32]byte{depth}), depth))
		end := Hour(1) << depth
		for from := range end + 1 {
			for until := from; until <= end; until++ {
				what := fmt.Sprintf("depth %d, hours %d to %d", depth, from, until)
				b := grantOf(3, tree, from, until)
				for h := range end + 3 {
					opensExactly(t, what, b, 3, tree, h, from <= h && h < until)
					if _, err := b.key(4, h, depth); !errors.Is(err, ErrNotGranted) {
						t.Fatalf("%s: another compartment: got %v, want ErrNotGranted", what, err)
					}
				}
				learns(t, what, tree, func(h Hour) bool { return from <= h && h < until }, b)
			}
		}
	}
}

// TestPooledExhaustive: two auditors, any two ranges in 8 hours, of one
// compartment or of two.
func TestPooledExhaustive(t *testing.T) {
	const depth, end = 3, Hour(8)
	tree, other := must(newTree(mathrand.NewChaCha8([32]byte{1}), depth)), must(newTree(mathrand.NewChaCha8([32]byte{2}), depth))
	ranges := func(fn func(from, until Hour)) {
		for from := range end + 1 {
			for until := from; until <= end; until++ {
				fn(from, until)
			}
		}
	}
	ranges(func(from, until Hour) {
		one := grantOf(3, tree, from, until)
		ranges(func(from2, until2 Hour) {
			what := fmt.Sprintf("hours %d to %d and %d to %d", from, until, from2, until2)
			in := func(h Hour) bool { return from <= h && h < until }
			in2 := func(h Hour) bool { return from2 <= h && h < until2 }
			learns(t, what, tree, func(h Hour) bool { return in(h) || in2(h) }, one, grantOf(3, tree, from2, until2))
			theirs := grantOf(4, other, from2, until2)
			learns(t, what+" of another compartment", tree, in, one, theirs)
			learns(t, "the other compartment, "+what, other, in2, one, theirs)
		})
	})
}

// TestEndedExhaustive: bundles of a grant are made again as hours are released,
// until it ends. All of them together open nothing from its end on.
func TestEndedExhaustive(t *testing.T) {
	const depth, hours = 4, Hour(16)
	tree := must(newTree(mathrand.NewChaCha8([32]byte{3}), depth))
	for from := range hours {
		var issued []*Bundle
		for end := from; end <= hours; end++ {
			issued = append(issued, grantOf(3, tree, from, end))
			what := fmt.Sprintf("from %d, ended at %d", from, end)
			learns(t, what, tree, func(h Hour) bool { return from <= h && h < end }, issued...)
			for h := end; h < hours; h++ {
				for _, b := range issued {
					opensExactly(t, what, b, 3, tree, h, false)
				}
			}
		}
	}
}

// TestPunctureThenGrant: what a shredding leaves is granted with the same nodes as
// before, what it took not at all; bundles given before go on opening theirs.
func TestPunctureThenGrant(t *testing.T) {
	const depth, hours = 4, Hour(16)
	for before := range hours + 1 {
		whole := must(newTree(mathrand.NewChaCha8([32]byte{4}), depth))
		tree := whole.clone()
		if err := tree.Puncture(before); err != nil {
			t.Fatal(err)
		}
		for from := range hours + 1 {
			for until := from; until <= hours; until++ {
				what := fmt.Sprintf("shredded before %d, hours %d to %d", before, from, until)
				nodes, err := tree.Cover(from, until)
				if from < before && from < until {
					if !errors.Is(err, ErrShredded) || nodes != nil {
						t.Fatalf("%s: got %d nodes, %v, want ErrShredded", what, len(nodes), err)
					}
					continue
				}
				b := grantOf(3, whole, from, until)
				if err != nil || len(nodes) != len(b.Compartments[0].Nodes) {
					t.Fatalf("%s: got %d nodes, %v, want %d", what, len(nodes), err, len(b.Compartments[0].Nodes))
				}
				for i, n := range b.Compartments[0].Nodes {
					if nodes[i] != n {
						t.Fatalf("%s: node %d is another one", what, i)
					}
				}
			}
		}
		early := grantOf(3, whole, 0, before)
		for h := range before {
			opensExactly(t, "given before the shredding", early, 3, whole, h, true)
		}
	}
}

// TestGrantRandom: the real tree and sealed bundles. An object of an hour opens by
// the bundles that were granted it, and two that are pooled open no more.
func TestGrantRandom(t *testing.T) {
	random := mathrand.New(mathrand.NewPCG(1, 2))
	k := MemorySeed([32]byte{6})
	change(t, k, func(e *Edit) { e.AddCompartment("stream/0/data") })
	c, _ := k.Compartment(3)
	id := must(age.GenerateX25519Identity())
	for range 100 {
		base := Hour(random.Uint32N(uint32(Hours) - 1<<17))
		type grant struct {
			from, until Hour
			b           *Bundle
		}
		var grants []grant
		for range 2 {
			from := base + Hour(random.Uint32N(1<<random.UintN(17)))
			until := from + Hour(random.Uint32N(1<<random.UintN(17)))
			b := grantOf(3, c.Tree, from, until)
			b.From, b.Through, b.Compartments[0].Name = from.Start(), until, c.Name
			var out bytes.Buffer
			if err := SealBundle(&out, b, []age.Recipient{id.Recipient()}); err != nil {
				t.Fatal(err)
			}
			grants = append(grants, grant{from, until, must(OpenBundle(&out, id))})
		}
		for _, edge := range []Hour{grants[0].from, grants[0].until, grants[1].from, grants[1].until, base + Hour(random.Uint32N(1<<17))} {
			for h := max(edge, 1) - 1; h <= min(edge+1, Hours-1); h++ {
				object := must(must(c.Tree.Hour(h)).SealObject(nil, nil, &[32]byte{1}, []byte("a reading"), nil, 0))
				for i, g := range grants {
					what := fmt.Sprintf("grant %d, hours %d to %d", i, g.from, g.until)
					granted := g.from <= h && h < g.until
					opensExactly(t, what, g.b, 3, c.Tree, h, granted)
					key, _ := g.b.Key(3, h)
					if content, _, err := key.OpenObject(nil, object); (err == nil) != granted || granted && string(content) != "a reading" {
						t.Fatalf("%s: object of hour %d: got %v, granted %v", what, h, err, granted)
					}
				}
			}
		}
		// No node of either is above an hour that neither was granted.
		for _, g := range grants {
			for _, n := range g.b.Compartments[0].Nodes {
				if n.First() < g.from || n.Until() > g.until {
					t.Fatalf("hours %d to %d: a node gives %d to %d", g.from, g.until, n.First(), n.Until())
				}
			}
		}
	}
}

// TestSizeOfTenYears: ten years of quarter hours, 200 compartments granted to 50
// audiences each for hours of its own, in less than 50 MB of keyring and bundles.
func TestSizeOfTenYears(t *testing.T) {
	const (
		years, compartments, audiences = 10, 200, 50
		limit                          = 50_000_000
	)
	begun := time.Now()
	first := must(HourOf(time.Date(2026, 7, 1, 0, 0, 0, 0, time.UTC).UnixMilli()))
	end := must(HourOf(time.Date(2026+years, 7, 1, 0, 0, 0, 0, time.UTC).UnixMilli()))
	random := mathrand.New(mathrand.NewPCG(3, 4))
	k, path := create(t, quick)
	change(t, k, func(e *Edit) {
		for id := Site + 1; id <= compartments+1; id++ { // 200 with the ledger's
			e.AddCompartment(fmt.Sprintf("stream/%d/%s", id/2, []string{"envelope", "temperature"}[id%2]))
			e.Puncture(id, first-Hour(1+random.Uint32N(1<<20))) // a punctured tree takes more nodes than a whole one
		}
	})
	id := must(age.GenerateX25519Identity())
	total := must(os.Stat(path)).Size()
	keyring := total
	nodes := 0
	for a := range audiences {
		from := first + Hour(random.Uint32N(uint32(end-first)))
		until := from + 1 + Hour(random.Uint32N(uint32(end-from)))
		untilMillis := until.Start()
		b := &Bundle{
			Ledger: [32]byte{1}, LogKey: [32]byte{2}, Nonce: k.Nonce(), Grant: uint64(1000 + a), Audience: fmt.Sprintf("audience %d", a), Purpose: "audit",
			From: from.Start(), Until: &untilMillis, Through: until, Issued: untilMillis, Token: "0123456789abcdef0123456789abcdef",
		}
		for _, c := range k.Compartments() {
			if c.ID != Site {
				b.Compartments = append(b.Compartments, Granted{ID: c.ID, Name: c.Name, Nodes: must(c.Tree.Cover(from, until))})
				nodes += len(b.Compartments[len(b.Compartments)-1].Nodes)
			}
		}
		for n := range compartments / 2 { // a bind for each stream
			b.Statements = append(b.Statements, BundleStatement{Number: uint64(n), Item: make([]byte, 300)})
		}
		if len(b.Compartments) != compartments {
			t.Fatalf("got %d compartments, want %d", len(b.Compartments), compartments)
		}
		var out bytes.Buffer
		if err := SealBundle(&out, b, []age.Recipient{id.Recipient()}); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(filepath.Dir(path), fmt.Sprintf("%d.age", a)), out.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		total += int64(out.Len())
		got := must(OpenBundle(&out, id))
		last, _ := k.Compartment(compartments + 1)
		for _, h := range []Hour{from - 1, from, (from + until) / 2, until - 1, until} {
			opensExactly(t, b.Audience, got, last.ID, last.Tree, h, from <= h && h < until)
		}
	}
	t.Logf("keyring %.1f kB, %d bundles %.2f MB with %.1f nodes a compartment: %.2f MB in all, in %v",
		float64(keyring)/1e3, audiences, float64(total-keyring)/1e6, float64(nodes)/audiences/compartments, float64(total)/1e6, time.Since(begun).Round(time.Millisecond))
	if total >= limit {
		t.Errorf("got %d bytes, want less than %d", total, limit)
	}
}
