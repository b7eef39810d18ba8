package witness

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"cairn/merkle"
)

// serve runs a handler on loopback and returns a client for it, which takes the
// answers of the key.
func serve(t testing.TB, h http.Handler, k Key) *Client {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	c, err := NewClient(ClientConfig{URL: s.URL + "/", Key: k, Timeout: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// ask has the head of a size cosigned, by one who thinks that known was the last.
func ask(t testing.TB, c *Client, l *testLog, size, known uint64) (Cosignature, error) {
	t.Helper()
	return c.Cosign(t.Context(), l.head(size), size, known, l.prove(size))
}

func TestCosign(t *testing.T) {
	l := newTestLog(t, "example.com/log").grow(40, 0)
	w := newWitness(t, t.TempDir(), l)
	c := serve(t, w, w.signer.Key)
	if _, err := c.Latest(t.Context(), l.origin); !errors.Is(err, ErrNoHead) {
		t.Errorf("got %v from a witness that cosigned nothing, want %v", err, ErrNoHead)
	}
	for _, tt := range []struct{ size, known uint64 }{{9, 0}, {20, 9}, {25, 3}, {30, 29}, {30, 30}, {40, 1 << 40}} {
		got, err := ask(t, c, l, tt.size, tt.known)
		if err != nil {
			t.Fatalf("size %d from %d: %v", tt.size, tt.known, err)
		}
		if err := w.signer.Check(got, NoteText(l.head(tt.size))); err != nil {
			t.Errorf("size %d: %v", tt.size, err)
		}
	}
	shown, err := c.Latest(t.Context(), l.origin)
	if err != nil {
		t.Fatal(err)
	}
	if cp, err := merkle.OpenCheckpoint(shown, l.origin, l.key.Public().(ed25519.PublicKey)); err != nil || cp.Size != 40 {
		t.Errorf("shows size %d, %v", cp.Size, err)
	}
}

func TestRollbackAndFork(t *testing.T) {
	l := newTestLog(t, "example.com/log").grow(40, 0)
	fork := l.fork(10).grow(40, 1)
	stranger := newTestLog(t, "example.com/other").grow(9, 0)
	forger := &testLog{t: t, origin: l.origin, key: testKey("another"), nodes: l.nodes, tree: l.tree}
	w := newWitness(t, t.TempDir(), l)
	c := serve(t, w, w.signer.Key)
	if _, err := ask(t, c, l, 20, 0); err != nil {
		t.Fatal(err)
	}
	var ahead *AheadError
	if _, err := ask(t, c, l, 15, 12); !errors.Is(err, ErrAhead) || !errors.As(err, &ahead) || ahead.Size != 20 {
		t.Errorf("got %v for a log that shrank, want %v of size 20", err, ErrAhead)
	}
	if _, err := ask(t, c, l, 0, 0); !errors.As(err, &ahead) || ahead.Size != 20 {
		t.Errorf("got %v for a log that lost all, want %v", err, ErrAhead)
	}
	var split *ForkError
	for _, size := range []uint64{20, 30} {
		if _, err := ask(t, c, fork, size, 0); !errors.Is(err, ErrFork) || !errors.As(err, &split) || split.Size != 20 {
			t.Errorf("got %v for a fork of size %d, want %v of size 20", err, size, ErrFork)
		}
	}
	if _, err := ask(t, c, stranger, 9, 0); !errors.Is(err, ErrUnknownLog) {
		t.Errorf("got %v for an unknown log, want %v", err, ErrUnknownLog)
	}
	if _, err := ask(t, c, forger, 30, 20); !errors.Is(err, ErrUntrusted) {
		t.Errorf("got %v for another key, want %v", err, ErrUntrusted)
	}
	if _, err := c.Cosign(t.Context(), []byte("no note"), 30, 20, l.prove(30)); !errors.Is(err, ErrUnknownLog) {
		t.Errorf("got %v for what is no note, want %v", err, ErrUnknownLog)
	}
}

// TestHostileAnswers: nothing that a witness answers passes for a cosignature that
// it is not, or makes the client work without end.
func TestHostileAnswers(t *testing.T) {
	l := newTestLog(t, "example.com/log").grow(40, 0)
	s := newSigner(t, "witness.example/w")
	good := s.Cosign(NoteText(l.head(9)), 1700000000)
	line := func(f func(*Cosignature)) string {
		c := good
		f(&c)
		return string(c.Line())
	}
	other := newSigner(t, "another.example/w").Cosign(NoteText(l.head(9)), 1700000000)
	conflict := map[string]string{"Content-Type": sizeType}
	tests := []struct {
		name   string
		code   int
		header map[string]string
		body   string
		want   error
	}{
		{"a cosignature", 200, nil, string(good.Line()), nil},
		{"others before it", 200, nil, string(other.Line()) + "— x AAAAAAA=\n" + string(good.Line()), nil},
		{"nothing", 200, nil, "", ErrAnswer},
		{"another's", 200, nil, string(other.Line()), ErrAnswer},
		{"another time", 200, nil, line(func(c *Cosignature) { c.Time++ }), ErrAnswer},
		{"no time", 200, nil, string(s.Cosign(NoteText(l.head(9)), 0).Line()), ErrAnswer},
		{"a time beyond", 200, nil, string(s.Cosign(NoteText(l.head(9)), 1<<63).Line()), ErrAnswer},
		{"of another head", 200, nil, string(s.Cosign(NoteText(l.head(8)), 17).Line()), ErrAnswer},
		{"another signature", 200, nil, line(func(c *Cosignature) { c.Signature[5]++ }), ErrAnswer},
		{"without its end", 200, nil, strings.TrimSuffix(string(good.Line()), "\n"), ErrAnswer},
		{"text after it", 200, nil, string(good.Line()) + "hello\n", ErrAnswer},
		{"a log's signature", 200, nil, "— witness.example/w " + strings.Repeat("A", 92) + "\n", ErrAnswer},
		{"too many lines", 200, nil, strings.Repeat("— x AAAAAAA=\n", maxLines) + string(good.Line()), ErrAnswer},
		{"too long", 200, nil, strings.Repeat("x", maxAnswer+1), ErrAnswer},
		{"a page", 200, map[string]string{"Content-Type": "text/html"}, "<html>\n", ErrAnswer},
		{"a conflict with the same size", 409, conflict, "5\n", ErrAnswer},
		{"a conflict without a size", 409, conflict, "\n", ErrAnswer},
		{"a conflict with a long size", 409, conflict, "99999999999999999999\n", ErrAnswer},
		{"a conflict with a leading zero", 409, conflict, "07\n", ErrAnswer},
		{"a conflict without newline", 409, conflict, "7", ErrAnswer},
		{"a conflict of another type", 409, nil, "7\n", ErrAnswer},
		{"a conflict with more", 409, conflict, "10\n", ErrAhead},
		{"a conflict of an empty type", 409, map[string]string{"Content-Type": ""}, "", ErrAnswer},
		{"malformed", 400, nil, "", ErrRefused},
		{"untrusted", 403, nil, "", ErrUntrusted},
		{"unknown", 404, nil, "", ErrUnknownLog},
		{"inconsistent", 422, nil, "", ErrFork},
		{"busy", 429, nil, "", ErrBusy},
		{"over", 503, nil, "", ErrBusy},
		{"broken", 500, nil, "", ErrDown},
		{"moved", 302, map[string]string{"Location": "http://127.0.0.1:1/"}, "", ErrDown},
		{"moved for good", 308, map[string]string{"Location": "http://127.0.0.1:1/"}, "", ErrDown},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				for k, v := range tt.header {
					w.Header().Set(k, v)
				}
				w.WriteHeader(tt.code)
				io.WriteString(w, tt.body)
			}), s.Key)
			got, err := ask(t, c, l, 9, 5)
			if !errors.Is(err, tt.want) || (err == nil) != (got == good) {
				t.Errorf("got %+v, %v; want %v", got, err, tt.want)
			}
		})
	}
}

// TestOldConflict: witnesses by an earlier version of the specification answer another
// root of their size with a conflict that names no size.
func TestOldConflict(t *testing.T) {
	l := newTestLog(t, "example.com/log").grow(40, 0)
	c := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(409) }), newSigner(t, "w").Key)
	if _, err := ask(t, c, l, 9, 9); !errors.Is(err, ErrFork) {
		t.Errorf("got %v, want %v", err, ErrFork)
	}
}

// TestMovingHead: a witness whose answers never settle is left alone.
func TestMovingHead(t *testing.T) {
	l := newTestLog(t, "example.com/log").grow(40, 0)
	asked := 0
	c := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked++
		w.Header().Set("Content-Type", sizeType+"; charset=utf-8")
		w.WriteHeader(http.StatusConflict)
		fmt.Fprintf(w, "%d\n", asked)
	}), newSigner(t, "witness.example/w").Key)
	if _, err := ask(t, c, l, 9, 0); !errors.Is(err, ErrBusy) || asked != maxTurns {
		t.Errorf("got %v after %d requests, want %v after %d", err, asked, ErrBusy, maxTurns)
	}
}

// TestSilentWitness: one that takes the request and says nothing is given up in time.
func TestSilentWitness(t *testing.T) {
	l := newTestLog(t, "example.com/log").grow(9, 0)
	release := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer s.Close()
	defer close(release)
	c, err := NewClient(ClientConfig{URL: s.URL, Key: newSigner(t, "w").Key, Timeout: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := ask(t, c, l, 9, 0); !errors.Is(err, ErrDown) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want %v", err, ErrDown)
	}
}

func TestParseURL(t *testing.T) {
	for text, want := range map[string]string{
		"https://witness.example.com":     "https://witness.example.com",
		"https://witness.example.com/w1/": "https://witness.example.com/w1",
		"http://127.0.0.1:7380":           "http://127.0.0.1:7380",
		"http://localhost:7380":           "http://localhost:7380",
		"http://[::1]:7380/":              "http://[::1]:7380",
		"http://witness.example.com":      "",
		"https://u:p@witness.example.com": "",
		"https://witness.example.com/?x":  "",
		"ftp://witness.example.com":       "",
		"witness.example.com":             "",
		"":                                "",
	} {
		got, err := ParseURL(text)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q: got %q, %v; want %q", text, got, err, want)
		}
	}
}
