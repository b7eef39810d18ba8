package witness

import (
	"bytes"
	"crypto/rand"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/torchwood"
	fnote "github.com/transparency-dev/formats/note"
	"golang.org/x/mod/sumdb/note"
)

// TestExample opens the example of the specification.
func TestExample(t *testing.T) {
	line := "— witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==\n"
	c, err := ParseCosignature([]byte(line))
	if err != nil || c.Name != "witness.example.com/w1" || c.KeyID != 0x8d66cf3f || c.Time != 1679315147 {
		t.Errorf("got %+v, %v", c, err)
	}
	if got := string(c.Line()); got != line {
		t.Errorf("written again: %q", got)
	}
}

// TestOthersAgree: the other implementations make and take the same keys and lines.
func TestOthersAgree(t *testing.T) {
	l := newTestLog(t, "example.com/log").grow(9, 0)
	s := newSigner(t, "witness.example/w")
	text := NoteText(l.head(9))
	mine := append(l.head(9), s.Cosign(text, 1700000000).Line()...)
	logKey, err := note.NewVerifier(l.vkey())
	if err != nil {
		t.Fatal(err)
	}

	theirs, err := torchwood.NewCosignatureVerifier(s.Key.String())
	if err != nil {
		t.Fatalf("torchwood does not read the key: %v", err)
	}
	formats, err := fnote.NewVerifierForCosignatureV1(s.Key.String())
	if err != nil {
		t.Fatalf("formats does not read the key: %v", err)
	}
	for name, v := range map[string]note.Verifier{"torchwood": theirs, "formats": formats, "own": s.Key} {
		n, err := note.Open(mine, note.VerifierList(logKey, v))
		if err != nil || len(n.Sigs) != 2 {
			t.Errorf("%s: got %v, %v, want both signatures", name, n, err)
		}
		bad := bytes.Replace(mine, []byte("\n9\n"), []byte("\n8\n"), 1)
		if _, err := note.Open(bad, note.VerifierList(v)); err == nil {
			t.Errorf("%s: takes a cosignature of another size", name)
		}
	}

	signer, err := torchwood.NewCosignatureSigner(s.Name(), s.private)
	if err != nil {
		t.Fatal(err)
	}
	if got := signer.Verifier().String(); got != s.Key.String() {
		t.Errorf("torchwood writes the key %s, we %s", got, s.Key)
	}
	signed, err := note.Sign(&note.Note{Text: text}, signer)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parseCosignatures(signed[len(text)+1:], s.Key, text); err != nil {
		t.Errorf("torchwood's cosignature: %v", err)
	}
}

func TestKeys(t *testing.T) {
	s, err := NewSigner("witness.example/w", rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	again, err := ParseSigner(s.Secret())
	if err != nil || again.Secret() != s.Secret() {
		t.Errorf("got %v, %v", again.Key, err)
	}
	k, err := ParseKey(s.Key.String())
	if err != nil || k.String() != s.Key.String() {
		t.Errorf("got %v, %v", k, err)
	}
	vkey := s.Key.String()
	for _, bad := range []string{
		"", "x", vkey + "A", vkey[1:], strings.Replace(vkey, "+", "+0", 1), strings.Replace(vkey, "/w", " w", 1), s.Secret(),
		newTestLog(t, "example.com/log").vkey(), vkey + "\n", strings.Repeat("w", maxKeyText) + vkey,
	} {
		if _, err := ParseKey(bad); err == nil {
			t.Errorf("the key %.60q is read", bad)
		}
	}
	for _, bad := range []string{"", vkey, strings.Replace(s.Secret(), "witness", "another", 1), s.Secret() + "\n"} {
		if _, err := ParseSigner(bad); err == nil {
			t.Errorf("a private key of %d bytes is read", len(bad))
		}
	}
	for _, bad := range []string{"", "a b", "a+b", "a\nb", strings.Repeat("x", maxName+1), "\xff"} {
		if _, err := NewSigner(bad, rand.Reader); err == nil {
			t.Errorf("the name %.20q is taken", bad)
		}
	}
}

func TestFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "w")
	s := newSigner(t, "witness.example/w")
	if err := Init(dir, s); err != nil {
		t.Fatal(err)
	}
	if err := Init(dir, newSigner(t, "another")); err == nil {
		t.Error("a key is replaced")
	}
	got, err := ReadSigner(dir)
	if err != nil || got.Secret() != s.Secret() {
		t.Errorf("got %v, %v", got.Key, err)
	}
	path := filepath.Join(dir, keyFile)
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("got mode %v, %v; want 0600", info.Mode(), err)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadSigner(dir); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("got %v for a key that all may read", err)
	}
}
