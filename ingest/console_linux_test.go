package ingest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"cairn/ingest/frame"
	"cairn/scripts/node"
)

// pairKey is told apart from all other bytes of a test.
var pairKey = frame.Key{0xab, 0xcd, 0xef, 0x0f, 0x9a, 0xbc, 0xde, 0xf1, 0xab, 0xcd, 0xef, 0x2f, 0xab, 0xcd, 0xef, 0}

// startNode starts a node's console and opens its line; keys are those it has taken.
func startNode(t *testing.T, o node.Options) (c *Console, keys func() []frame.Key) {
	t.Helper()
	var mu sync.Mutex
	var taken []frame.Key
	o.Key = func(k [16]byte) {
		mu.Lock()
		defer mu.Unlock()
		taken = append(taken, k)
	}
	if o.Cycle == 0 {
		o.Cycle = 20 * time.Millisecond
	}
	if o.ID == [8]byte{} {
		o.ID = testID(t, "80c1a29384b50507")
	}
	n, err := node.Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Close)
	if c, err = OpenConsole(n.Path); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c, func() []frame.Key {
		mu.Lock()
		defer mu.Unlock()
		return taken
	}
}

// withoutKey checks that an error holds no four digits of pairKey.
func withoutKey(t *testing.T, err error) {
	t.Helper()
	text := strings.ToLower(strings.ReplaceAll(fmt.Sprint(err), " ", ""))
	if digits := fmt.Sprintf("%x", [16]byte(pairKey)); strings.Contains(text, digits[:4]) || strings.Contains(text, digits[8:12]) {
		t.Errorf("the error holds the key: %v", err)
	}
}

// A node tells its ID and takes its key, also where the line is noisy and what is
// sent arrives wrong at first.
func TestConsole(t *testing.T) {
	for _, c := range []struct {
		name string
		o    node.Options
		keys int // that it has taken, the last one the right one
	}{
		{"as documented", node.Options{}, 1},
		{"prints its status", node.Options{Noise: true}, 1},
		{"misreads", node.Options{Misread: 1}, 2},
		{"misreads twice", node.Options{Misread: 2}, 3},
		{"forgets once", node.Options{Forget: 2}, 1}, // as some batches did
	} {
		t.Run(c.name, func(t *testing.T) {
			console, keys := startNode(t, c.o)
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			id, err := console.ReadID(ctx)
			if err != nil || id.String() != "80c1a29384b50507" {
				t.Fatalf("got %v, %v", id, err)
			}
			if err := console.SetKey(ctx, pairKey); err != nil {
				t.Fatal(err)
			}
			got := keys()
			if len(got) != c.keys || got[len(got)-1] != pairKey {
				t.Errorf("the node has taken %d keys, want %d, and its last one is the right one: %t", len(got), c.keys, len(got) > 0 && got[len(got)-1] == pairKey)
			}
		})
	}
}

// What does not work is said, without the key.
func TestConsoleRefused(t *testing.T) {
	for _, c := range []struct {
		name, want string
		o          node.Options
	}{
		{"mute", "nothing is heard", node.Options{Mute: true}},
		{"a hub's line", "no prompt", node.Options{Deaf: true, Noise: true}},
		{"another ID each time", "twice alike", node.Options{Restless: true}},
		{"no such command", "may have no such command", node.Options{NoKey: true}},
		{"always misreads", "not what it was sent", node.Options{Misread: 1 << 20}},
		{"never keeps it", "does not stay", node.Options{Forget: 1 << 20}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			console, keys := startNode(t, c.o)
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			defer cancel()
			_, err := console.ReadID(ctx)
			if err == nil {
				err = console.SetKey(ctx, pairKey)
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want …%s…", err, c.want)
			}
			withoutKey(t, err)
			for _, k := range keys() {
				if k == pairKey {
					t.Error("the node has the key")
				}
			}
		})
	}
}

// A node that is unplugged, and a person who gives up, end it.
func TestConsoleEnds(t *testing.T) {
	n, err := node.Start(node.Options{Deaf: true, Cycle: 20 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	console, err := OpenConsole(n.Path)
	if err != nil {
		t.Fatal(err)
	}
	defer console.Close()
	n.Close()
	if _, err := console.ReadID(t.Context()); err == nil {
		t.Error("unplugged: no error")
	}

	console, _ = startNode(t, node.Options{Deaf: true})
	left := errors.New("left")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(left)
	if _, err := console.ReadID(ctx); !errors.Is(err, left) {
		t.Errorf("got %v, want %v", err, left)
	}
	if _, err := OpenConsole("/dev/pts/none"); err == nil || !strings.Contains(err.Error(), "/dev/pts/none") {
		t.Errorf("got %v", err)
	}
}

func TestListenID(t *testing.T) {
	for _, c := range []struct{ in, want, err string }{
		{">I\r\nID: 98 A4 F5 99 E3 94 A8 C2\r\nOK\r\n", "98a4f599e394a8c2", ""},
		{"OpenTRV: board V0.2\n=F0%@18C6\nID: 98 A4 F5 99 E3 94 A8 C2", "98a4f599e394a8c2", ""},
		{strings.Repeat("x", 100000) + "\nID: 98 A4 F5 99 E3 94 A8 C2\n", "98a4f599e394a8c2", ""},
		{"ID: 98 A4 F5 99 E3 94 A8 FF\n", "", "ended after 28 bytes"},
		{"ID: 98 A4 F5 99 E3 94 A8", "", "ended after 24 bytes"},
		{"", "", "ended after 0 bytes"},
	} {
		id, err := ListenID(t.Context(), strings.NewReader(c.in))
		if c.err == "" && (err != nil || id.String() != c.want) || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
			t.Errorf("%.40q: got %v, %v want %s%s", c.in, id, err, c.want, c.err)
		}
	}
	quiet, _ := io.Pipe()
	defer quiet.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := ListenID(ctx, quiet); err == nil || !strings.Contains(err.Error(), "nothing is heard") {
		t.Errorf("got %v", err)
	}
}

// echoing is a line on which anything comes; what is written to it comes first.
type echoing struct {
	io.Reader
	sent bytes.Buffer
}

func (e *echoing) Write(b []byte) (int, error) { return e.sent.Write(b) }

// Whatever comes from the line, what is held of it is bounded and no error holds a
// key that it echoes.
func FuzzConsole(f *testing.F) {
	echo := fmt.Sprintf("\r\n>K B % X\r\n", [16]byte(pairKey))
	f.Add([]byte("\r\n>" + "I\r\nID: 98 A4 F5 99 E3 94 A8 C2\r\nOK\r\n\r\n>" + "I\r\nID: 98 A4 F5 99 E3 94 A8 C2\r\n\r\n>"))
	f.Add([]byte("\r\n>" + echo[3:] + "B set\r\nOK\r\n"))
	f.Add([]byte("\r\n>" + echo[3:] + "!B\r\n" + strings.Repeat("\r\n>"+echo[3:]+"Invalid, ignored.\r\n", 9)))
	f.Add([]byte(strings.Repeat(">", 300) + "\n>"))
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, step := range []func(*Console) error{
			func(c *Console) error { _, err := c.ReadID(t.Context()); return err },
			func(c *Console) error { return c.SetKey(t.Context(), pairKey) },
		} {
			line := &echoing{Reader: bytes.NewReader(data)}
			c := newConsole(line, line, func() error { return nil })
			err := step(c)
			if err != nil {
				withoutKey(t, err)
			}
			if len(c.part) > maxLineBytes || len(c.text) > maxLineBytes {
				t.Errorf("holds %d and %d bytes", len(c.part), len(c.text))
			}
			if n := strings.Count(line.sent.String(), "K B"); n > consoleTries {
				t.Errorf("the key was sent %d times", n)
			}
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		}
	})
}
