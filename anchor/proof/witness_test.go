package proof

import (
	"bytes"
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"cairn/merkle"
	"cairn/merkle/ledger"

	"filippo.io/torchwood"
)

// siteWitness is a witness whose key is made of its name.
func siteWitness(name string) Witness {
	return Witness{Name: name, KeyName: "witness.example/" + name, Key: testKey(name).Public().(ed25519.PublicKey)}
}

// cosign adds a witness's cosignature of a time to a note.
func cosign(t testing.TB, note []byte, name string, seconds uint64) []byte {
	t.Helper()
	w := siteWitness(name)
	text, _, ok := bytes.Cut(note, []byte("\n\n"))
	cp, err := merkle.ParseCheckpoint(string(text) + "\n")
	if !ok || err != nil {
		t.Fatal(err)
	}
	s := cosignature{name: w.KeyName, key: cosignerID(w.KeyName, w.Key), time: seconds}
	sig := binary.BigEndian.AppendUint64(s.key[:], seconds)
	sig = append(sig, ed25519.Sign(testKey(name), s.message(cp))...)
	return appendSignature(bytes.Clone(note), w.KeyName, sig)
}

// TestCosignatureOracle: torchwood signs what is accepted here, and reads the
// keys that are written here.
func TestCosignatureOracle(t *testing.T) {
	s := newSite("a").build(5)
	w := siteWitness("w")
	signer, err := torchwood.NewCosignatureSigner(w.KeyName, testKey("w"))
	if err != nil {
		t.Fatal(err)
	}
	if got := signer.Verifier().String(); got != w.VerifierKey() {
		t.Errorf("verifier key %q, torchwood writes %q", w.VerifierKey(), got)
	}
	note := s.head(t, 5)
	text, _, _ := bytes.Cut(note, []byte("\n\n"))
	sig, err := signer.Sign(append(text, '\n'))
	if err != nil {
		t.Fatal(err)
	}
	id := cosignerID(w.KeyName, w.Key)
	note = appendSignature(bytes.Clone(s.head(t, 5)), w.KeyName, append(id[:], sig...))
	h, err := packHead(note, ledger.Origin(s.id))
	if err != nil {
		t.Fatal(err)
	}
	if c := h.cosignatures[0]; !ed25519.Verify(w.Key, c.message(h.checkpoint), c.signature[:]) {
		t.Error("torchwood's cosignature is not accepted")
	}
	mine := cosign(t, s.head(t, 5), "w", 1234)
	line := mine[bytes.LastIndex(mine[:len(mine)-1], []byte("\n"))+1:]
	_, raw, err := cutSignature(strings.TrimSuffix(string(line), "\n"))
	if err != nil || !signer.Verifier().Verify(append(text, '\n'), raw[4:]) {
		t.Errorf("torchwood does not accept %q", line)
	}
}

// TestWitnesses: what a policy asks of witnesses, and what it makes of their
// cosignatures.
func TestWitnesses(t *testing.T) {
	s := newSite("a").build(8)
	p := pick{window: 2, slot: 5, at: 0}
	file := func(size int, names ...string) *File {
		f := newer(s.file(t, size, p))
		for i, name := range names {
			f.Heads[0].Note = cosign(t, f.Heads[0].Note, name, uint64(1_760_000_000+i))
		}
		return f
	}
	policy := s.policy()
	policy.Routes[0].Name, policy.Quorum = "eth", "eth"
	policy.Witnesses = []Witness{siteWitness("a"), siteWitness("b"), siteWitness("c")}
	policy.Groups = []Group{{"two", 2, []string{"a", "b", "c"}}}
	asks := func(name string, open bool) *Policy {
		p := *policy
		p.Cosigned, p.CosignedOpen = name, open
		got, err := ParsePolicy(p.Append(nil))
		if err != nil || !bytes.Equal(got.Append(nil), p.Append(nil)) {
			t.Fatalf("%v in\n%s", err, p.Append(nil))
		}
		return got
	}
	check := func(what string, f *File, p *Policy, level Level, code Code) Verdict {
		t.Helper()
		o := Options{Policy: p, Trust: slices.Concat(s.pinned(t, 5), s.pinned(t, 8))}
		v := VerifyBytes(mustEncode(t, f), o)
		if v.Level != level || v.Code != code {
			t.Errorf("%s: %v %q, want %v %q\n%s", what, v.Level, v.Code, level, code, v.Text())
		}
		return v
	}
	check("not asked for", file(5, "a"), asks("", false), LevelAnchored, "")
	check("asked for and there", file(5, "a"), asks("a", false), LevelAnchored, "")
	check("asked for and not there", file(5), asks("a", false), LevelLogged, CodeWitnesses)
	v := check("another", file(5, "b"), asks("a", false), LevelLogged, CodeWitnesses)
	if !strings.Contains(v.Reason, "a has not cosigned") {
		t.Errorf("reason %q", v.Reason)
	}
	check("two of three", file(5, "c", "a"), asks("two", false), LevelAnchored, "")
	v = check("one of three", file(5, "c"), asks("two", false), LevelLogged, CodeWitnesses)
	if !strings.Contains(v.Reason, "of two 1 of 2 cosigned, not a, b") {
		t.Errorf("reason %q", v.Reason)
	}
	v = check("one of three, open", file(5, "c"), asks("two", true), LevelAnchored, "")
	if !slices.ContainsFunc(v.NotChecked, func(s string) bool { return strings.Contains(s, "of two 1 of 2 cosigned, not a, b") }) {
		t.Errorf("not checked: %q", v.NotChecked)
	}
	v = check("an unknown one too", file(5, "a", "stranger"), asks("a", false), LevelAnchored, "")
	if len(v.Witnesses) != 2 || !v.Witnesses[0].Known || v.Witnesses[0].Time != "2025-10-09T08:53:20.000Z" || v.Witnesses[1].Known {
		t.Errorf("witnesses %+v", v.Witnesses)
	}
	if want := "\nwitnesses   a at 2025-10-09T08:53:20.000Z, 1 cosignature of others, which count for nothing\n"; !strings.Contains(v.Text(), want) {
		t.Errorf("%q is not in\n%s", want, v.Text())
	}
	if v := check("no policy", file(5, "a"), nil, LevelAnchored, ""); v.Witnesses[0].Known {
		t.Errorf("witnesses %+v", v.Witnesses)
	}

	f := file(5, "a", "b")
	bad := bytes.Clone(f.Heads[0].Note)
	other := cosign(t, s.head(t, 4), "b", 1_760_000_001)
	at := bytes.LastIndex(bad[:len(bad)-1], []byte("\n")) + 1
	f.Heads[0].Note = append(bad[:at:at], other[bytes.LastIndex(other[:len(other)-1], []byte("\n"))+1:]...)
	check("of another head", f, asks("a", false), LevelNone, CodeCosignature)
	check("of another head, by one who is not named", f, func() *Policy { p := asks("a", false); p.Witnesses = p.Witnesses[:1]; p.Groups = nil; return p }(), LevelAnchored, "")

	// One who cosigned a newer head saw what is in the older one's log.
	b := Continue(file(5))
	s.extend(t, b, 5, 8)
	b.Head(cosign(t, s.head(t, 8), "a", 7))
	check("of a head that extends it", b.File(), asks("a", false), LevelAnchored, "")
	b = Continue(file(8))
	s.extend(t, b, 5, 8)
	b.Head(cosign(t, s.head(t, 5), "a", 7))
	check("of a head that it extends", b.File(), asks("a", false), LevelLogged, CodeWitnesses)
}

// TestHeadForm: a note that could not be written again is not packed, and
// cosignatures of a head that is added again are joined.
func TestHeadForm(t *testing.T) {
	s := newSite("a").build(5)
	origin, plain := ledger.Origin(s.id), s.head(t, 5)
	many, long := plain, siteWitness("w")
	for i := range maxCosignatures + 1 {
		many = cosign(t, many, fmt.Sprint(i), 1)
	}
	long.KeyName = strings.Repeat("x", maxCosigner+1)
	for name, note := range map[string][]byte{
		"nothing":          nil,
		"no signature":     plain[:bytes.Index(plain, []byte("\n\n"))+2],
		"cut":              plain[:len(plain)-1],
		"twice signed":     append(bytes.Clone(plain), plain[bytes.Index(plain, []byte("\n\n"))+2:]...),
		"twice cosigned":   cosign(t, cosign(t, plain, "a", 1), "a", 2),
		"too often":        many,
		"cosigned first":   append(bytes.Clone(plain[:bytes.Index(plain, []byte("\n\n"))+2]), cosign(t, plain, "a", 1)[len(plain):]...),
		"another log's":    bytes.Replace(plain, []byte(origin), []byte("other"), 1),
		"a line more":      bytes.Replace(plain, []byte("\n\n"), []byte("\nmore\n\n"), 1),
		"an empty line":    append(bytes.Clone(plain), '\n'),
		"no name":          appendSignature(bytes.Clone(plain), "", make([]byte, cosignatureSize)),
		"a long name":      appendSignature(bytes.Clone(plain), long.KeyName, make([]byte, cosignatureSize)),
		"another type":     appendSignature(bytes.Clone(plain), "x", make([]byte, cosignatureSize+1)),
		"at no time":       cosign(t, plain, "a", 0),
		"after all time":   cosign(t, plain, "a", 1<<63),
		"loose base64":     bytes.Replace(plain, []byte("=\n"), []byte("=\r\n"), 1),
		"of an older kind": appendSignature(bytes.Clone(plain), "x", make([]byte, 4+signatureSize)),
	} {
		f := newer(s.file(t, 5, pick{window: 3, slot: 5, at: 0}))
		f.Heads[0].Note = note
		if _, err := f.Encode(); !errors.Is(err, ErrFile) {
			t.Errorf("%s: %v", name, err)
		}
		if v := Verify(f, s.options(t, 5)); v.Level != LevelNone {
			t.Errorf("%s: %v", name, v.Level)
		}
	}
	b := NewBuilder(s.policyKey(), s.nonce)
	one, two := cosign(t, plain, "a", 1), cosign(t, cosign(t, plain, "b", 2), "a", 3)
	if b.Head(plain) != b.Head(one) || b.Head(two) != 0 {
		t.Error("one head is at two positions")
	}
	if want := cosign(t, one, "b", 2); !bytes.Equal(b.File().Heads[0].Note, want) {
		t.Errorf("got\n%s, want\n%s", b.File().Heads[0].Note, want)
	}
}

// TestPolicy3Refuses: what a policy with witnesses may not say.
func TestPolicy3Refuses(t *testing.T) {
	p := newSite("a").policy2()
	p.Witnesses = []Witness{siteWitness("a"), siteWitness("b")}
	lines := strings.SplitAfter(string(p.Append(nil)), "\n")
	head, eth, a, b := lines[0]+lines[1], lines[2], lines[5], lines[6]
	all := head + eth + a + b
	key := siteWitness("a").VerifierKey()
	if _, err := ParsePolicy([]byte(all + "group g all a b\ncosigned g open\n")); err != nil {
		t.Errorf("what is right: %v", err)
	}
	for _, c := range []struct{ name, text, want string }{
		{"in version 2", strings.Replace(all, policyMagic3, policyMagic2, 1), `line 4: unknown word "witness"`},
		{"cosigned in version 2", strings.Replace(head, policyMagic3, policyMagic2, 1) + eth + "cosigned a", `line 4: unknown word "cosigned"`},
		{"mixed group", all + "group g any a eth", "line 6: a is a witness, eth a route"},
		{"group of both kinds of groups", all + "group g any a\ngroup h any g eth", "line 7: g is a witness, eth a route"},
		{"quorum of witnesses", all + "quorum a", `line 6: no route or group "a"`},
		{"cosigned by a route", all + "cosigned eth", `line 6: no witness or group of such "eth"`},
		{"cosigned by nobody", all + "cosigned", "line 6: want: cosigned"},
		{"cosigned twice", all + "cosigned a\ncosigned b", "line 7: second cosigned"},
		{"cosigned half open", all + "cosigned a ajar", "line 6: want: cosigned"},
		{"without a key", head + "witness a", "line 3: want: witness"},
		{"with an address", head + "witness a " + key + " https://w.example", "line 3: want: witness"},
		{"key of a log", head + "witness a " + strings.Fields(lines[1])[2], "line 3: key type 01"},
		{"key with a wrong id", head + "witness a " + strings.Replace(key, "+", "+0", 1), "line 3: the key ID is wrong"},
		{"key cut", head + "witness a " + key[:len(key)-4], "line 3"},
		{"key again", head + a + strings.Replace(a, "witness a", "witness z", 1), "line 4: the key of witness a again"},
		{"name again", head + eth + strings.Replace(a, "witness a", "witness eth", 1), "line 4: the name eth again"},
	} {
		if _, err := ParsePolicy([]byte(c.text)); err == nil || !errors.Is(err, ErrPolicy) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
	}
}
