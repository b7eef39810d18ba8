package merkle

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"
)

func testKey(n byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{n}, ed25519.SeedSize))
}

func testPub(n byte) ed25519.PublicKey { return testKey(n).Public().(ed25519.PublicKey) }

const testOrigin = "example.org/log"

func testCheckpoint() Checkpoint {
	return Checkpoint{Origin: testOrigin, Size: 20852163, Root: LeafHash([]byte("root"))}
}

func mustSign(t testing.TB, c Checkpoint, key ed25519.PrivateKey) []byte {
	t.Helper()
	signed, err := SignCheckpoint(c, key)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

func TestCheckpointRoundTrip(t *testing.T) {
	for _, c := range []Checkpoint{
		testCheckpoint(),
		{Origin: testOrigin, Root: EmptyRoot()},
		{Origin: "größe.example/日誌", Size: MaxSize, Root: Hash{31: 1}},
		{Origin: testOrigin, Size: 7, Extensions: []string{"one", "— two words", " "}},
	} {
		if got, err := ParseCheckpoint(c.Text()); err != nil || !reflect.DeepEqual(got, c) {
			t.Errorf("parse %q: got %+v, %v", c.Text(), got, err)
		}
		signed := mustSign(t, c, testKey(1))
		if got, err := OpenCheckpoint(signed, c.Origin, testPub(1)); err != nil || !reflect.DeepEqual(got, c) {
			t.Errorf("open %q: got %+v, %v", signed, got, err)
		}
	}
}

// TestCheckpointAsNote compares with what the note package makes from keys in
// its own text form.
func TestCheckpointAsNote(t *testing.T) {
	c := testCheckpoint()
	id := strings.Split(VerifierKey(c.Origin, testPub(1)), "+")[1]
	skey := fmt.Sprintf("PRIVATE+KEY+%s+%s+%s", c.Origin, id,
		base64.StdEncoding.EncodeToString(append([]byte{1}, testKey(1).Seed()...)))
	signer, err := note.NewSigner(skey)
	if err != nil {
		t.Fatal(err)
	}
	want, err := note.Sign(&note.Note{Text: c.Text()}, signer)
	if err != nil {
		t.Fatal(err)
	}
	if got := mustSign(t, c, testKey(1)); !bytes.Equal(got, want) {
		t.Errorf("signed: got\n%s\nwant\n%s", got, want)
	}
	verifier, err := note.NewVerifier(VerifierKey(c.Origin, testPub(1)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := note.Open(want, note.VerifierList(verifier)); err != nil {
		t.Error(err)
	}
}

func TestParseCheckpointRefuses(t *testing.T) {
	root := EmptyRoot().Base64()
	for name, text := range map[string]string{
		"nothing":             "",
		"newline":             "\n",
		"two lines":           "o\n1\n",
		"no last newline":     "o\n1\n" + root,
		"empty origin":        "\n1\n" + root + "\n",
		"empty extension":     "o\n1\n" + root + "\n\n",
		"empty, then another": "o\n1\n" + root + "\n\nx\n",
		"leading zero":        "o\n01\n" + root + "\n",
		"double zero":         "o\n00\n" + root + "\n",
		"plus":                "o\n+1\n" + root + "\n",
		"minus":               "o\n-1\n" + root + "\n",
		"space":               "o\n1 \n" + root + "\n",
		"hexadecimal":         "o\n0x1\n" + root + "\n",
		"underscore":          "o\n1_0\n" + root + "\n",
		"too large":           "o\n9223372036854775808\n" + root + "\n",
		"no size":             "o\n\n" + root + "\n",
		"short root":          "o\n1\n" + root[:40] + "\n",
		"long root":           "o\n1\n" + root[:43] + "AAAA=\n",
		"root not padded":     "o\n1\n" + root[:43] + "\n",
		"root, loose bits":    "o\n1\n" + root[:42] + "V=\n",
		"root, url alphabet":  "o\n1\n" + strings.Repeat("_", 43) + "=\n",
		"return":              "o\n1\r\n" + root + "\n",
		"return after root":   "o\n1\n" + root + "\r\n",
		"tab":                 "o\t\n1\n" + root + "\n",
		"zero byte":           "o\x00\n1\n" + root + "\n",
		"not UTF-8":           "o\xff\n1\n" + root + "\n",
		"too long":            "o\n1\n" + root + "\n" + strings.Repeat("x", MaxCheckpoint) + "\n",
	} {
		if got, err := ParseCheckpoint(text); !errors.Is(err, ErrCheckpoint) {
			t.Errorf("%s: got %+v, %v, want %v", name, got, err, ErrCheckpoint)
		}
	}
}

func TestSignCheckpointRefuses(t *testing.T) {
	for name, c := range map[string]Checkpoint{
		"no origin":         {},
		"space":             {Origin: "two words"},
		"wide space":        {Origin: "two\u3000words"},
		"plus":              {Origin: "a+b"},
		"newline in origin": {Origin: "o\n1\n" + EmptyRoot().Base64()},
		"empty extension":   {Origin: "o", Extensions: []string{""}},
		"newline":           {Origin: "o", Extensions: []string{"a\nb"}},
		"size":              {Origin: "o", Size: MaxSize + 1},
		"length":            {Origin: "o", Extensions: []string{strings.Repeat("x", MaxCheckpoint-60)}},
	} {
		if signed, err := SignCheckpoint(c, testKey(1)); !errors.Is(err, ErrCheckpoint) {
			t.Errorf("%s: got %q, %v, want %v", name, signed, err, ErrCheckpoint)
		}
	}
	if _, err := SignCheckpoint(testCheckpoint(), testKey(1)[:32]); err == nil {
		t.Error("half a key signed")
	}
}

func TestOpenCheckpointErrors(t *testing.T) {
	c := testCheckpoint()
	signed := string(mustSign(t, c, testKey(1)))
	other := string(mustSign(t, c, testKey(2)))
	otherLine := other[strings.LastIndex(other, "\n—")+1:]
	bigger := c
	bigger.Size++
	resigned := strings.Replace(signed, c.Text(), bigger.Text(), 1)
	malformed, err := note.Sign(&note.Note{Text: testOrigin + "\n007\n" + c.Root.Base64() + "\n"}, noteSigner{testOrigin, testKey(1)})
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		signed, origin string
		want           error
	}{
		"good":                     {signed, testOrigin, nil},
		"with another's signature": {signed + otherLine, testOrigin, nil},
		"another's first":          {c.Text() + "\n" + otherLine + signed[len(c.Text())+1:], testOrigin, nil},
		"other origin":             {signed, "example.org/other", ErrOrigin},
		"origin's prefix":          {signed, "example.org/lo", ErrOrigin},
		"nothing":                  {"", testOrigin, ErrOrigin},
		"other key":                {other, testOrigin, ErrUnsigned},
		"altered":                  {resigned, testOrigin, ErrSignature},
		"text alone":               {c.Text(), testOrigin, ErrUnsigned},
		"no signature line":        {c.Text() + "\n", testOrigin, ErrUnsigned},
		"cut short":                {signed[:len(signed)-1], testOrigin, ErrCheckpoint},
		"signed, malformed":        {string(malformed), testOrigin, ErrCheckpoint},
		"too long":                 {signed + strings.Repeat(otherLine, 200), testOrigin, ErrCheckpoint},
	} {
		got, err := OpenCheckpoint([]byte(tt.signed), tt.origin, testPub(1))
		if !errors.Is(err, tt.want) {
			t.Errorf("%s: got %v, want %v", name, err, tt.want)
		}
		if want := map[bool]Checkpoint{true: c}[tt.want == nil]; !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v, want %+v", name, got, want)
		}
	}
	if _, err := OpenCheckpoint([]byte(signed), testOrigin, testPub(1)[:31]); err == nil {
		t.Error("opened with 31 bytes of a key")
	}
	// A flipped bit anywhere must not open, or open to the same checkpoint.
	for i := range signed {
		for bit := range 8 {
			b := []byte(signed)
			b[i] ^= 1 << bit
			if got, err := OpenCheckpoint(b, testOrigin, testPub(1)); err == nil && !reflect.DeepEqual(got, c) {
				t.Errorf("bit %d of byte %d flipped: got %+v", bit, i, got)
			}
		}
	}
}

func TestVerifierKey(t *testing.T) {
	vkey := VerifierKey(testOrigin, testPub(1))
	name, pub, err := ParseVerifierKey(vkey)
	if err != nil || name != testOrigin || !pub.Equal(testPub(1)) {
		t.Errorf("parse %s: got %s, %x, %v", vkey, name, pub, err)
	}
	// The key that the note package's documentation shows.
	const known = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
	if name, pub, err := ParseVerifierKey(known); err != nil || name != "PeterNeumann" || VerifierKey(name, pub) != known {
		t.Errorf("parse %s: got %s, %x, %v", known, name, pub, err)
	}
	parts := strings.SplitN(vkey, "+", 3)
	wrongType := append([]byte{4}, testPub(1)...)
	for name, bad := range map[string]string{
		"nothing":      "",
		"no key":       testOrigin,
		"no name":      "+" + parts[1] + "+" + parts[2],
		"space":        "a b+" + parts[1] + "+" + parts[2],
		"other name":   "example.org/other+" + parts[1] + "+" + parts[2],
		"upper case":   parts[0] + "+" + strings.ToUpper(parts[1]) + "+" + parts[2],
		"short id":     parts[0] + "+" + parts[1][1:] + "+" + parts[2],
		"wrong id":     parts[0] + "+00000000+" + parts[2],
		"newline":      vkey + "\n",
		"short key":    vkey[:len(vkey)-4],
		"type":         parts[0] + "+" + parts[1] + "+" + base64.StdEncoding.EncodeToString(wrongType),
		"control code": "a\x01" + vkey,
		"too long":     strings.Repeat("a", MaxCheckpoint) + vkey,
	} {
		if got, _, err := ParseVerifierKey(bad); !errors.Is(err, ErrVerifierKey) {
			t.Errorf("%s: got %q, %v, want %v", name, got, err, ErrVerifierKey)
		}
	}
}
