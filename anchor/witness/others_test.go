package witness

import (
	"errors"
	"net/http/httptest"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"

	"cairn/merkle"
	witnesses "cairn/scripts/witness"
)

// TestOthersCosign has other witnesses cosign, run for real: a log that grows, one
// that comes back smaller, one that forks, and those that they do not know.
func TestOthersCosign(t *testing.T) {
	for _, tt := range []struct {
		name      string
		start     func(testing.TB, string, ...string) *witnesses.Witness
		untrusted error // what it says to another key
	}{
		{"litewitness", witnesses.StartLite, ErrUntrusted},
		{"transparency-dev", witnesses.StartTransparencyDev, ErrDown}, // this version answers 500
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := newTestLog(t, "example.com/log").grow(600, 0)
			late := newTestLog(t, "example.com/late").grow(9, 0)
			run := tt.start(t, "witness.example/w", l.vkey(), late.vkey())
			k, err := ParseKey(run.VKey)
			if err != nil {
				t.Fatalf("the key %s: %v", run.VKey, err)
			}
			c, err := NewClient(ClientConfig{URL: run.URL, Key: k})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			othersGrow(t, c, l)
			othersRefuse(t, c, l, tt.untrusted)
			// A log that has nothing yet asks with the empty log's head.
			for _, size := range []uint64{0, 9} {
				if _, err := ask(t, c, late, size, 0); err != nil {
					t.Errorf("a log that begins, size %d: %v", size, err)
				}
			}
		})
	}
}

func othersGrow(t *testing.T, c *Client, l *testLog) {
	t.Helper()
	logKey, err := note.NewVerifier(l.vkey())
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ size, known uint64 }{{1, 0}, {7, 1}, {7, 7}, {64, 0}, {255, 200}, {600, 600}} {
		got, err := ask(t, c, l, tt.size, tt.known)
		if err != nil {
			t.Fatalf("size %d from %d: %v", tt.size, tt.known, err)
		}
		n, err := note.Open(append(l.head(tt.size), got.Line()...), note.VerifierList(logKey, c.Key()))
		if err != nil || len(n.Sigs) != 2 {
			t.Errorf("size %d: the cosigned note: %v, %v", tt.size, n, err)
		}
	}
}

func othersRefuse(t *testing.T, c *Client, l *testLog, untrusted error) {
	t.Helper()
	var ahead *AheadError
	if _, err := ask(t, c, l, 400, 400); !errors.As(err, &ahead) || ahead.Size != 600 {
		t.Errorf("a log that shrank: %v", err)
	}
	var fork *ForkError
	for _, size := range []uint64{600, 700} {
		if _, err := ask(t, c, l.fork(300).grow(700, 1), size, 600); !errors.As(err, &fork) || fork.Size != 600 {
			t.Errorf("a fork of size %d: %v", size, err)
		}
	}
	if _, err := ask(t, c, newTestLog(t, "example.com/other").grow(9, 0), 9, 0); !errors.Is(err, ErrUnknownLog) {
		t.Errorf("an unknown log: %v", err)
	}
	forger := &testLog{t: t, origin: l.origin, key: testKey("another"), nodes: l.nodes, tree: l.tree}
	if _, err := ask(t, c, forger, 600, 600); !errors.Is(err, untrusted) {
		t.Errorf("another key: got %v, want %v", err, untrusted)
	}
	if _, err := c.Latest(t.Context(), l.origin); !errors.Is(err, ErrNoHead) {
		t.Errorf("shows %v, want %v", err, ErrNoHead)
	}
}

// TestOthersAsk has the client of transparency-dev ask our witness.
func TestOthersAsk(t *testing.T) {
	l := newTestLog(t, "example.com/log").grow(40, 0)
	fork := l.fork(10).grow(40, 1)
	w := newWitness(t, t.TempDir(), l)
	s := httptest.NewServer(w)
	defer s.Close()
	ask := func(l *testLog, old, size uint64, proof []merkle.Hash) string {
		var lines []string
		for _, h := range proof {
			lines = append(lines, h.Base64())
		}
		return witnesses.AskTransparencyDev(t, s.URL, old, lines, l.head(size))
	}
	for _, tt := range []struct{ old, size uint64 }{{0, 9}, {9, 20}, {20, 20}, {20, 21}} {
		cosigned(t, w, l, tt.size, []byte(ask(l, tt.old, tt.size, l.proof(tt.old, tt.size))))
	}
	for _, tt := range []struct {
		name, want string
		got        string
	}{
		{"an old size that is not ours", "refused 21: old size != current", ask(l, 9, 30, l.proof(9, 30))},
		{"a fork", "refused 0: consistency proof invalid", ask(fork, 21, 30, fork.proof(21, 30))},
		{"another root", "refused 0: consistency proof invalid", ask(fork, 21, 21, nil)},
		{"an old size beyond", "refused 0: old size > current", ask(l, 30, 9, nil)},
		{"an unknown log", "refused 0: unknown log", ask(newTestLog(t, "example.com/other").grow(9, 0), 0, 9, nil)},
		{"another key", "refused 0: no valid signatures", ask(&testLog{t: t, origin: l.origin, key: testKey("x"), nodes: l.nodes}, 21, 30, l.proof(21, 30))},
	} {
		if strings.TrimSpace(tt.got) != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, tt.got, tt.want)
		}
	}
}
