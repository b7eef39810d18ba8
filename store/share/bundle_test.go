package share

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"

	"filippo.io/age"
)

// testBundle grants two compartments of a seeded keyring for a day.
func testBundle(t testing.TB) *Bundle {
	t.Helper()
	k := MemorySeed([32]byte{7})
	change(t, k, func(e *Edit) { e.AddCompartment("stream/0/envelope"); e.AddCompartment("stream/0/data") })
	const from = goldenHour
	until := (from + 96).Start()
	b := &Bundle{
		Ledger: [32]byte{1}, LogKey: [32]byte{2}, Nonce: k.Nonce(), Grant: 12, Audience: "Auditor & Söhne", Purpose: "calibration",
		From: from.Start(), Until: &until, Through: from + 50, Issued: (from + 50).Start() + 17, Token: "token",
		Statements: []BundleStatement{{Number: 0, Item: []byte("genesis"), Salt: [16]byte{1}}, {Number: 12, Item: []byte("grant")}},
	}
	for _, id := range []uint32{Ledger, 3, 4} {
		c, _ := k.Compartment(id)
		b.Compartments = append(b.Compartments, Granted{ID: id, Name: c.Name, Nodes: must(c.Tree.Cover(from, from+50))})
	}
	return b
}

func sameBundle(t testing.TB, what string, got, want *Bundle) {
	t.Helper()
	if !bytes.Equal(must(got.encode()), must(want.encode())) || !reflect.DeepEqual(got, want) {
		t.Fatalf("%s: the bundles differ", what)
	}
}

// The plaintext, put together by hand from RFC 8949.
func TestGoldenBundle(t *testing.T) {
	b := &Bundle{
		Ledger: [32]byte{1}, LogKey: [32]byte{2}, Nonce: [32]byte{3}, Grant: 300, Audience: "a", Purpose: "ü", From: 900000, Through: 4, Issued: 5,
		Compartments: []Granted{{ID: 1, Name: "ledger", Nodes: []Node{{Level: 22, Index: 2, Key: [32]byte{9}}}}},
		Statements:   []BundleStatement{{Number: 7, Item: []byte{0xaa}, Salt: [16]byte{8}}},
	}
	h := func(first string) string { return "5820" + first + strings.Repeat("00", 31) }
	want := "8f" + "6d636169726e2f6772616e742f31" + h("01") + h("02") + h("03") + "19012c" + "6161" + "62c3bc" + "1a000dbba0" + "f6f6" + "04" + "05" +
		"81" + "83" + "01" + "666c6564676572" + "81" + "83" + "16" + "02" + h("09") +
		"81" + "83" + "07" + "41aa" + "5008" + strings.Repeat("00", 15) + "60"
	wantHex(t, "plaintext", must(b.encode()), want)
	sameBundle(t, "parsed", must(parseBundle(must(b.encode()))), b)
}

func TestBundleKey(t *testing.T) {
	b := testBundle(t)
	k := MemorySeed([32]byte{7})
	change(t, k, func(e *Edit) { e.AddCompartment("stream/0/envelope"); e.AddCompartment("stream/0/data") })
	for _, g := range b.Compartments {
		c, _ := k.Compartment(g.ID)
		tree := must(b.Tree(g.ID))
		for h := goldenHour - 3; h < goldenHour+60; h++ {
			got, err := b.Key(g.ID, h)
			if h < goldenHour || h >= goldenHour+50 {
				if !errors.Is(err, ErrNotGranted) || got != (HourKey{}) {
					t.Errorf("compartment %d, hour %d: got %v, want ErrNotGranted", g.ID, h, err)
				}
				continue
			}
			if want := must(c.Tree.Hour(h)); err != nil || got != want || must(tree.Hour(h)) != want {
				t.Errorf("compartment %d, hour %d: %v, or another key", g.ID, h, err)
			}
		}
	}
	for _, id := range []uint32{0, Site, 5, ^uint32(0)} {
		if _, err := b.Key(id, goldenHour); !errors.Is(err, ErrNotGranted) {
			t.Errorf("compartment %d: got %v, want ErrNotGranted", id, err)
		}
		if _, err := b.Tree(id); !errors.Is(err, ErrNotGranted) {
			t.Errorf("tree of compartment %d: got %v, want ErrNotGranted", id, err)
		}
	}
	if _, err := b.Key(3, ^Hour(0)); !errors.Is(err, ErrNotGranted) {
		t.Errorf("no hour: got %v, want ErrNotGranted", err)
	}
}

func TestSealBundleRefuses(t *testing.T) {
	id := must(age.GenerateX25519Identity())
	to := []age.Recipient{id.Recipient()}
	early, late := int64(1), int64(Hours)*hourMillis+1
	for name, edit := range map[string]func(*Bundle){
		"from below zero":     func(b *Bundle) { b.From = -1 },
		"until beyond":        func(b *Bundle) { b.Until = &late },
		"access beyond":       func(b *Bundle) { b.Access = &late },
		"issued below zero":   func(b *Bundle) { b.Issued = -1 },
		"ends before":         func(b *Bundle) { b.Until = &early },
		"through beyond":      func(b *Bundle) { b.Through = Hours + 1 },
		"node after through":  func(b *Bundle) { b.Through-- },
		"node after until":    func(b *Bundle) { u := *b.Until - 46*hourMillis - 1; b.Until = &u },
		"node before from":    func(b *Bundle) { b.From++ },
		"site":                func(b *Bundle) { b.Compartments[1].ID = Site },
		"compartment 0":       func(b *Bundle) { b.Compartments[0].ID = 0 },
		"order":               func(b *Bundle) { b.Compartments[1], b.Compartments[2] = b.Compartments[2], b.Compartments[1] },
		"twice":               func(b *Bundle) { b.Compartments[1] = b.Compartments[0] },
		"name twice":          func(b *Bundle) { b.Compartments[1].Name = "ledger" },
		"name":                func(b *Bundle) { b.Compartments[1].Name = "a b" },
		"blank node":          func(b *Bundle) { b.Compartments[1].Nodes[0].Key = [32]byte{} },
		"node outside":        func(b *Bundle) { b.Compartments[1].Nodes[0].Level = 23 },
		"nodes overlap":       func(b *Bundle) { b.Compartments[1].Nodes[1] = b.Compartments[1].Nodes[0] },
		"too many nodes":      func(b *Bundle) { b.Compartments[1].Nodes = make([]Node, MaxNodes+1) },
		"statement order":     func(b *Bundle) { b.Statements[1].Number = 0 },
		"empty statement":     func(b *Bundle) { b.Statements[1].Item = nil },
		"long statement":      func(b *Bundle) { b.Statements[1].Item = make([]byte, maxBundleItem+1) },
		"many statements":     func(b *Bundle) { b.Statements = make([]BundleStatement, maxBundleStatements+1) },
		"audience not UTF-8":  func(b *Bundle) { b.Audience = "\xff" },
		"long purpose":        func(b *Bundle) { b.Purpose = strings.Repeat("x", maxBundleText+1) },
		"long token":          func(b *Bundle) { b.Token = strings.Repeat("x", maxBundleText+1) },
		"many compartments":   func(b *Bundle) { b.Compartments = make([]Granted, maxCompartments+1) },
		"longer than allowed": func(b *Bundle) { fill(b) },
	} {
		b := testBundle(t)
		edit(b)
		if err := SealBundle(io.Discard, b, to); !errors.Is(err, ErrBundle) {
			t.Errorf("%s: got %v, want ErrBundle", name, err)
		}
	}
	recovered := testBundle(t)
	recovered.Grant, recovered.Compartments[1].ID, recovered.Compartments[1].Name = Recovered, Site, "site"
	if err := SealBundle(io.Discard, recovered, to); err != nil {
		t.Errorf("site in a recovered bundle: got %v, want none", err)
	}
	for name, to := range map[string][]age.Recipient{
		"none": nil, "passphrase": {must(age.NewScryptRecipient("x"))}, "many": make([]age.Recipient, maxRecipients+1),
	} {
		if err := SealBundle(io.Discard, testBundle(t), to); !errors.Is(err, ErrRecipient) {
			t.Errorf("recipients, %s: got %v, want ErrRecipient", name, err)
		}
	}
}

// fill puts statements of together more than MaxBundle into b, sharing one item.
func fill(b *Bundle) {
	item := make([]byte, maxBundleItem)
	b.Statements = nil
	for n := range MaxBundle/maxBundleItem + 1 {
		b.Statements = append(b.Statements, BundleStatement{Number: uint64(n), Item: item})
	}
}

// TestDamagedBundle cuts the file at every length and flips a bit of every byte.
func TestDamagedBundle(t *testing.T) {
	id := must(age.GenerateX25519Identity())
	b := testBundle(t)
	b.Compartments = b.Compartments[:1]
	var out bytes.Buffer
	if err := SealBundle(&out, b, []age.Recipient{id.Recipient()}); err != nil {
		t.Fatal(err)
	}
	good := out.Bytes()
	damaged := func(what string, file []byte) {
		t.Helper()
		if got, err := OpenBundle(bytes.NewReader(file), id); got != nil || !errors.Is(err, ErrBundle) && !errors.Is(err, ErrNotForUs) {
			t.Errorf("%s: got %v, want ErrBundle or ErrNotForUs", what, err)
		}
	}
	for n := range good {
		damaged(fmt.Sprintf("cut to %d", n), good[:n])
		flipped := bytes.Clone(good)
		flipped[n] ^= 1
		damaged(fmt.Sprintf("flip in byte %d", n), flipped)
	}
	damaged("longer", append(bytes.Clone(good), 0))
	damaged("another plaintext", must(encrypt([]byte("hello"), id.Recipient())))
	if _, err := OpenBundle(bytes.NewReader(good)); !errors.Is(err, ErrNotForUs) {
		t.Errorf("no identity: got %v, want ErrNotForUs", err)
	}
	sameBundle(t, "undamaged", must(OpenBundle(bytes.NewReader(good), id)), b)
}

func TestParseBundleRefuses(t *testing.T) {
	good := must(testBundle(t).encode())
	for name, b := range map[string][]byte{
		"empty":         nil,
		"trailing byte": append(bytes.Clone(good), 0),
		"long form":     append([]byte{0x98, 0x0f}, good[1:]...),
		"indefinite":    append(append([]byte{0x9f}, good[1:]...), 0xff),
		"type":          bytes.Replace(good, []byte("cairn/grant/1"), []byte("cairn/grant/2"), 1),
		"short hash":    append(append(bytes.Clone(good[:15]), 0x41, 1), good[15+34:]...),
		"null token":    append(bytes.Clone(good[:len(good)-6]), 0xf6),
	} {
		if got, err := parseBundle(b); got != nil || !errors.Is(err, ErrBundle) {
			t.Errorf("%s: got %v, want ErrBundle", name, err)
		}
	}
}

func TestBundleNotPrinted(t *testing.T) {
	b := testBundle(t)
	b.Token = "KKKKKKKK"
	for i := range b.Compartments[0].Nodes {
		b.Compartments[0].Nodes[i].Key = [32]byte(bytes.Repeat([]byte{'K'}, 32))
	}
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		fmt.Fprintf(&out, verb, b)
		fmt.Fprintf(&out, verb, *b)
		fmt.Fprintf(&out, verb, b.Compartments)
	}
	out.Write(must(json.Marshal(b)))
	for _, leak := range []string{"KKK", "4b4b", "75 75", "S0tL"} {
		if strings.Contains(out.String(), leak) {
			t.Errorf("a bundle prints its secret (%s)", leak)
		}
	}
}

func FuzzParseBundle(f *testing.F) {
	b := testBundle(f)
	f.Add(must(b.encode()))
	b.Until, b.Access, b.Compartments, b.Statements = nil, b.Until, b.Compartments[:1], nil
	f.Add(must(b.encode()))
	f.Fuzz(func(t *testing.T, plain []byte) {
		b, err := parseBundle(plain)
		if err != nil {
			if !errors.Is(err, ErrBundle) {
				t.Fatalf("got %v, want ErrBundle", err)
			}
			return
		}
		if again, err := b.encode(); err != nil || !bytes.Equal(again, plain) {
			t.Fatalf("accepted, but encodes to other bytes: %v", err)
		}
	})
}
