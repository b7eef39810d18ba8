package mirror

import (
	"crypto/rand"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"

	"cairn/merkle"
	"cairn/store"
)

// heldSum is what a gateway makes of its own objects.
func heldSum(t *testing.T, s *site, keys *testKeys, c *Copy, nonce merkle.Hash) (sum *HeldSum, from, to uint64) {
	t.Helper()
	sum = NewHeldSum(nonce)
	refs, err := s.Groups(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, ref := range refs {
		if ref.Live {
			continue
		}
		to = ref.Next
		_, objects, err := c.Listing(keys, ref.First)
		if err != nil {
			t.Fatal(err)
		}
		b, err := s.Group(t.Context(), ref)
		if err != nil {
			t.Fatal(err)
		}
		sum.Add(b)
		slices.SortFunc(objects, func(a, b store.ObjectRef) int { return strings.Compare(a.Hash.String(), b.Hash.String()) })
		for _, o := range objects {
			if b, err = s.Object(t.Context(), ref.First, o); err != nil {
				t.Fatal(err)
			}
			sum.Add(b)
		}
	}
	return sum, 0, to
}

func TestHeld(t *testing.T) {
	s, a, _ := granted(t)
	skey, vkey, err := note.GenerateKey(rand.Reader, "mirror")
	if err != nil {
		t.Fatal(err)
	}
	signer, _ := note.NewSigner(skey)
	verifier, _ := note.NewVerifier(vkey)
	c := a.Copy
	server := httptest.NewServer(http.StripPrefix("/ledger/x", HeldHandler(c, a, signer)))
	defer server.Close()
	source := func(token string) Source {
		src, err := HTTP(server.URL+"/ledger/x", token, nil)
		if err != nil {
			t.Fatal(err)
		}
		return src
	}
	nonce := NewNonce()
	sum, from, to := heldSum(t, s, s.keys(), c, nonce)
	ask := func(token string, from, to uint64, nonce merkle.Hash) error {
		signed, err := AskHeld(t.Context(), source(token), from, to, nonce)
		if err != nil {
			return err
		}
		return sum.Check(signed, verifier, c.facts.origin, from, to)
	}
	if err := ask("full", from, to, nonce); err != nil {
		t.Errorf("a mirror that holds all: %v", err)
	}
	for what, x := range map[string]struct {
		token    string
		from, to uint64
		nonce    merkle.Hash
		want     error
	}{
		"no token":         {"", from, to, nonce, ErrRefused},
		"an audience's":    {"part", from, to, nonce, ErrRefused},
		"an old nonce":     {"full", from, to, NewNonce(), ErrHeld},
		"no group's end":   {"full", from, to - 1, nonce, ErrNotFound},
		"no group's start": {"full", from + 1, to, nonce, ErrNotFound},
		"the wrong way":    {"full", to, from, nonce, ErrNotFound},
	} {
		if err := ask(x.token, x.from, x.to, x.nonce); !errors.Is(err, x.want) {
			t.Errorf("%s: got %v, want %v", what, err, x.want)
		}
	}
	_, other, _ := note.GenerateKey(rand.Reader, "mirror")
	verifier, _ = note.NewVerifier(other)
	if err := ask("full", from, to, nonce); !errors.Is(err, ErrHeld) {
		t.Errorf("by another key: got %v, want %v", err, ErrHeld)
	}
	verifier, _ = note.NewVerifier(vkey)

	// One bit, and one object, are enough.
	all, err := filepath.Glob(filepath.Join(c.groupDir(0), "*"))
	if err != nil || len(all) < 2 {
		t.Fatalf("group 0 has %d files, %v", len(all), err)
	}
	path := all[0]
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/2] ^= 1
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := ask("full", from, to, nonce); !errors.Is(err, ErrHeld) {
		t.Errorf("a bit is another one: got %v, want %v", err, ErrHeld)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := ask("full", from, to, nonce); !errors.Is(err, ErrHeld) {
		t.Errorf("an object is gone: got %v, want %v", err, ErrHeld)
	}
}

func TestParseHeld(t *testing.T) {
	h := Held{"cairn/x", 5, 9, hashOf([]byte("n")), 2, hashOf([]byte("x"))}
	if got, err := ParseHeld(h.Text()); err != nil || got != h {
		t.Errorf("got %v, %v, want %v", got, err, h)
	}
	for _, bad := range []string{"", h.Text() + "x", strings.Replace(h.Text(), "\n5\n", "\n05\n", 1), strings.ToUpper(h.Text()), strings.Replace(h.Text(), "\n2\n", "\n-2\n", 1)} {
		if _, err := ParseHeld(bad); !errors.Is(err, ErrHeld) {
			t.Errorf("%q: got %v", bad, err)
		}
	}
}

// FuzzHeld: what is read is written the same.
func FuzzHeld(f *testing.F) {
	f.Add(Held{"cairn/x", 5, 9, hashOf(nil), 2, hashOf(nil)}.Text())
	f.Fuzz(func(t *testing.T, s string) {
		if h, err := ParseHeld(s); err == nil && h.Text() != s {
			t.Errorf("%q is written as %q", s, h.Text())
		}
	})
}
