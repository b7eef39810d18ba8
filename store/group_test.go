package store

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"cairn/merkle"
	"cairn/merkle/ledger"
	"cairn/store/share"
)

// madeGroup is a group of three batches that a log could have, its headers, and
// the hour's key.
func madeGroup(rng *rand.Rand) (*Group, [][]byte, share.HourKey) {
	draw := func(b []byte) {
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
	}
	var k share.HourKey
	draw(k.Seal[:])
	draw(k.Salt[:])
	g := &Group{Hour: 1_977_000, First: 20, FirstStatement: 5}
	draw(g.Ledger[:])
	tree := merkle.Tree{}
	for range g.FirstStatement {
		tree.Append(merkle.Hash{1})
	}
	var headers [][]byte
	for i := range uint64(3) {
		b := GroupBatch{Leaves: make([]merkle.Hash, 8<<(i/2)), Missed: i}
		draw(b.Incarnation[:])
		for j := range b.Leaves {
			draw(b.Leaves[j][:])
		}
		if i == 1 {
			b.Gap = &ledger.Gap{From: 5, To: 7, Reason: "away"}
		}
		b.Segments.Root = merkle.EmptyRoot()
		if i == 1 {
			leaves := make([]merkle.Hash, 3)
			for j := range leaves {
				l := ListedObject{Segment: ledger.Segment{Compartment: 1, Hour: 1_976_999, Part: uint32(j), First: 10, Next: 20}}
				draw(l.Sealed[:])
				draw(l.Salt[:])
				e := ledger.HiddenEntry(l.Segment.Append(nil), l.Salt)
				leaves[j] = merkle.LeafHash(e[:])
				b.Listed = append(b.Listed, l)
			}
			b.Segments = ledger.SegmentsHead{Count: 3, Root: merkle.RootInPlace(leaves)}
		}
		for j := range i {
			s := GroupStatement{Item: ledger.Statement{Kind: "gap", At: int64(j), Body: nil}.Append(nil)}
			draw(s.Salt[:])
			s.Leaf = s.leaf()
			if j == 1 {
				s.Item, s.Salt = nil, [16]byte{}
			}
			tree.Append(s.Leaf)
			g.Statements = append(g.Statements, s)
		}
		b.Statements = ledger.StatementsHead{Size: tree.Size(), Root: tree.Root()}
		h := ledger.Header{Ledger: g.Ledger, Index: g.First + i, From: g.Hour.Start() + int64(i)*60_000, To: g.Hour.Start() + int64(i+1)*60_000}
		h.Root = merkle.RootOf(b.Leaves)
		salts := headerSalts(k, k, h.Index, b.Incarnation)
		h.Hidden[ledger.HiddenSlots] = ledger.Hide(ledger.Slots{Depth: ledger.Depth(uint64(len(b.Leaves)))}.Append(nil), salts[ledger.HiddenSlots])
		h.Hidden[ledger.HiddenSegments] = ledger.Hide(b.Segments.Append(nil), salts[ledger.HiddenSegments])
		h.Hidden[ledger.HiddenStatements] = ledger.Hide(b.Statements.Append(nil), salts[ledger.HiddenStatements])
		headers = append(headers, h.Append(nil))
		g.Batches = append(g.Batches, b)
	}
	g.Next = g.First + 3
	for i := range uint32(4) {
		o := ObjectRef{Compartment: 2 + i/2*2, Name: fmt.Sprintf("stream/%d/data", i/2), Part: i % 2, Size: int64(4096 * (i + 1))}
		draw(o.Hash[:])
		g.Objects = append(g.Objects, o)
	}
	return g, headers, k
}

func TestGroupFormat(t *testing.T) {
	g, _, _ := madeGroup(newRand(7))
	b := g.Append(nil)
	again, err := ParseGroup(b)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(g, again) {
		t.Errorf("parsed %+v\nwant %+v", again, g)
	}
	const want = "ebdfbcad69cc4a8685980b7f8a4c8b9eef3a121e77113a9f558eb6676d7f6886"
	if got := sum(b).String(); got != want {
		t.Errorf("the format changed: its bytes have SHA-256 %s, want %s", got, want)
	}
	for i := range b {
		if _, err := ParseGroup(b[:i]); !errors.Is(err, ErrGroup) {
			t.Fatalf("the first %d of %d bytes: %v", i, len(b), err)
		}
	}
	if _, err := ParseGroup(append(b, 0)); !errors.Is(err, ErrGroup) {
		t.Errorf("with a byte behind it: %v", err)
	}
}

// TestGroupLimits makes a group break one limit at a time.
func TestGroupLimits(t *testing.T) {
	for name, change := range map[string]func(g *Group){
		"no batches":           func(g *Group) { g.Batches, g.Next = nil, g.First },
		"next":                 func(g *Group) { g.Next++ },
		"hour":                 func(g *Group) { g.Hour = share.Hours },
		"listed":               func(g *Group) { g.Batches[1].Segments.Count++ },
		"listed of later":      func(g *Group) { g.Batches[1].Listed[0].Next = 22 },
		"statements":           func(g *Group) { g.Statements = g.Statements[1:] },
		"statements backwards": func(g *Group) { g.Batches[2].Statements.Size, g.Statements = 4, nil },
		"empty statement":      func(g *Group) { g.Statements[0].Item = []byte{} },
		"order of objects":     func(g *Group) { g.Objects[0], g.Objects[1] = g.Objects[1], g.Objects[0] },
		"object twice":         func(g *Group) { g.Objects[1].Part = 0 },
		"own object":           func(g *Group) { g.Objects[0].Compartment = share.Ledger },
		"object of nothing":    func(g *Group) { g.Objects[0].Size = 0 },
		"huge object":          func(g *Group) { g.Objects[0].Size = share.MaxObject + 1 },
		"no name":              func(g *Group) { g.Objects[0].Name = "" },
		"long name":            func(g *Group) { g.Objects[0].Name = strings.Repeat("x", maxCompartName+1) },
		"gap":                  func(g *Group) { g.Batches[1].Gap.To = 3 },
		"narrow":               func(g *Group) { g.Batches[0].Leaves = g.Batches[0].Leaves[:4] },
	} {
		g, _, _ := madeGroup(newRand(7))
		change(g)
		if _, err := ParseGroup(g.Append(nil)); !errors.Is(err, ErrGroup) {
			t.Errorf("%s: %v, want ErrGroup", name, err)
		}
	}
}

// TestGroupCheck holds a group against its headers, and then changes what the log
// commits to, one thing at a time.
func TestGroupCheck(t *testing.T) {
	g, headers, k := madeGroup(newRand(8))
	tree := func() *merkle.Tree {
		tr := new(merkle.Tree)
		for range 5 {
			tr.Append(merkle.Hash{1})
		}
		return tr
	}
	if err := g.Check(headers, k); err != nil {
		t.Fatal(err)
	}
	if err := g.CheckStatements(tree()); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(g *Group){
		"ledger":        func(g *Group) { g.Ledger[0]++ },
		"hour":          func(g *Group) { g.Hour++ },
		"first":         func(g *Group) { g.First++ },
		"fewer":         func(g *Group) { g.Batches = g.Batches[1:] },
		"incarnation":   func(g *Group) { g.Batches[1].Incarnation[3]++ },
		"leaf":          func(g *Group) { g.Batches[2].Leaves[9][3]++ },
		"segments root": func(g *Group) { g.Batches[1].Segments.Root[0]++ },
		"listed":        func(g *Group) { g.Batches[1].Listed[2].Sealed[0]++ },
		"listed salt":   func(g *Group) { g.Batches[1].Listed[2].Salt[0]++ },
		"listed order": func(g *Group) {
			l := g.Batches[1].Listed
			l[0], l[1] = l[1], l[0]
		},
		"statements": func(g *Group) { g.Batches[2].Statements.Size++ },
		"shown":      func(g *Group) { g.Statements[0].Salt[0]++ },
	} {
		g, headers, k := madeGroup(newRand(8))
		change(g)
		if err := g.Check(headers, k); !errors.Is(err, ErrForged) {
			t.Errorf("%s: %v, want ErrForged", name, err)
		}
	}
	other := k
	other.Salt[0]++
	if err := g.Check(headers, other); !errors.Is(err, ErrForged) {
		t.Errorf("with another key: %v", err)
	}
	for i := range g.Statements {
		g.Statements[i].Leaf[0]++
		if err := g.CheckStatements(tree()); !errors.Is(err, ErrForged) {
			t.Errorf("leaf %d: %v, want ErrForged", i, err)
		}
		g.Statements[i].Leaf[0]--
	}
	if err := g.CheckStatements(new(merkle.Tree)); !errors.Is(err, ErrForged) {
		t.Errorf("with another tree: %v", err)
	}
}

func TestOpenGroup(t *testing.T) {
	g, _, k := madeGroup(newRand(9))
	random := [32]byte{1}
	seal := func(content []byte) []byte {
		b, err := k.SealObject(nil, ObjectAAD(g.Ledger, g.Hour, g.First, share.Ledger, 0), &random, content, nil, 4096)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	object := seal(g.Append([]byte{0}))
	again, err := OpenGroup(k, g.Ledger, g.Hour, g.First, object)
	if err != nil || !reflect.DeepEqual(again, g) {
		t.Fatalf("opened %v, %v", again, err)
	}
	if r := g.Ref(object, true); r.Size != int64(len(object)) || r.Object != sum(object) || r.Next != 23 || !r.Live {
		t.Errorf("its reference is %+v", r)
	}
	for name, err := range map[string]error{
		"other first": second(OpenGroup(k, g.Ledger, g.Hour, g.First+1, object)),
		"other hour":  second(OpenGroup(k, g.Ledger, g.Hour+1, g.First, object)),
		"other key":   second(OpenGroup(share.HourKey{}, g.Ledger, g.Hour, g.First, object)),
		"compressed":  second(OpenGroup(k, g.Ledger, g.Hour, g.First, seal(append([]byte{1}, g.Append(nil)...)))),
		"empty":       second(OpenGroup(k, g.Ledger, g.Hour, g.First, seal(nil))),
	} {
		if err == nil {
			t.Errorf("%s: opened", name)
		}
	}
	g.First, g.Next = g.First+1, g.Next+1
	if _, err := OpenGroup(k, g.Ledger, g.Hour, g.First-1, func() []byte {
		b, _ := k.SealObject(nil, ObjectAAD(g.Ledger, g.Hour, g.First-1, share.Ledger, 0), &random, g.Append([]byte{0}), nil, 4096)
		return b
	}()); !errors.Is(err, ErrGroup) {
		t.Errorf("a group that says it is another: %v", err)
	}
}

func second[T any](_ T, err error) error { return err }

func TestPrivateStatements(t *testing.T) {
	g, _, k := madeGroup(newRand(10))
	var p PrivateStatements
	p.First = g.FirstStatement
	for i := range g.Statements {
		if g.Statements[i].Item == nil {
			s := GroupStatement{Item: []byte(fmt.Sprintf("item %d", i)), Salt: [16]byte{byte(i)}}
			g.Statements[i].Leaf = s.leaf()
			p.All = append(p.All, PrivateStatement{Number: g.FirstStatement + uint64(i), Item: s.Item, Salt: s.Salt})
		}
	}
	const compartment = 3
	open := func(p *PrivateStatements) (*PrivateStatements, error) {
		random := [32]byte{2}
		b, err := k.SealObject(nil, ObjectAAD(g.Ledger, g.Hour, g.First, compartment, 0), &random, p.Append([]byte{0}), nil, 4096)
		if err != nil {
			t.Fatal(err)
		}
		return g.OpenPrivate(k, compartment, b)
	}
	got, err := open(&p)
	if err != nil || !reflect.DeepEqual(got, &p) {
		t.Fatalf("opened %+v, %v", got, err)
	}
	for name, change := range map[string]func(p *PrivateStatements){
		"item":    func(p *PrivateStatements) { p.All[0].Item = []byte("other") },
		"number":  func(p *PrivateStatements) { p.All[0].Number-- },
		"missing": func(p *PrivateStatements) { p.All = p.All[:len(p.All)-1] },
		"more": func(p *PrivateStatements) {
			p.All = append(p.All, PrivateStatement{Number: 99, Item: []byte("x")})
		},
		"first": func(p *PrivateStatements) { p.First-- },
	} {
		q := PrivateStatements{First: p.First, All: append([]PrivateStatement(nil), p.All...)}
		change(&q)
		if _, err := open(&q); !errors.Is(err, ErrForged) && !errors.Is(err, ErrGroup) {
			t.Errorf("%s: %v, want ErrForged", name, err)
		}
	}
}

func TestReferenceJSON(t *testing.T) {
	r := GroupRef{First: 3, Next: 9, Hour: 1_977_000, Live: true, Object: merkle.Hash{0xab}, Size: 8192}
	o := ObjectRef{Compartment: 7, Name: "stream/2/data", Part: 1, Hash: merkle.Hash{0xcd}, Size: 4096}
	b, err := json.Marshal([]any{r, o})
	if err != nil {
		t.Fatal(err)
	}
	want := `[{"first":3,"next":9,"hour":1977000,"live":true,"object":"ab` + strings.Repeat("0", 62) + `","size":8192},` +
		`{"compartment":7,"name":"stream/2/data","part":1,"hash":"cd` + strings.Repeat("0", 62) + `","size":4096}]`
	if string(b) != want {
		t.Errorf("got %s\nwant %s", b, want)
	}
	var raw []json.RawMessage
	var r2 GroupRef
	var o2 ObjectRef
	if err := errors.Join(json.Unmarshal(b, &raw), json.Unmarshal(raw[0], &r2), json.Unmarshal(raw[1], &o2)); err != nil || r2 != r || o2 != o {
		t.Errorf("read %+v and %+v: %v", r2, o2, err)
	}
	for _, bad := range []string{
		strings.Replace(string(raw[0]), "ab", "AB", 1), strings.Replace(string(raw[0]), "ab", "", 1),
		strings.Replace(string(raw[0]), `"next":9`, `"next":3`, 1), strings.Replace(string(raw[0]), `8192`, `-1`, 1),
	} {
		if err := json.Unmarshal([]byte(bad), &r2); err == nil {
			t.Errorf("accepted %s", bad)
		}
	}
}

func FuzzParseGroup(f *testing.F) {
	g, _, _ := madeGroup(newRand(11))
	f.Add(g.Append(nil))
	p := PrivateStatements{First: 3, All: []PrivateStatement{{Number: 4, Item: []byte("x")}}}
	f.Add(p.Append(nil))
	f.Add(mustHex("8969636169726e2f67726f75702f31"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if g, err := ParseGroup(b); err == nil && !bytes.Equal(g.Append(nil), b) {
			t.Errorf("another encoding was accepted")
		} else if err != nil && !errors.Is(err, ErrGroup) {
			t.Errorf("%v is no ErrGroup", err)
		}
		if p, err := ParsePrivateStatements(b); err == nil && !bytes.Equal(p.Append(nil), b) {
			t.Errorf("another encoding was accepted")
		}
	})
}

func mustHex(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return b
}
