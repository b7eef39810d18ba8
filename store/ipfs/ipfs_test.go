package ipfs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	runner "cairn/scripts/ipfs"
)

func content(n int) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{byte(n), byte(n >> 8), byte(n >> 16)})
	_, _ = r.Read(b) // never fails
	return b
}

func dial(t *testing.T, url string, timeout time.Duration) *Node {
	t.Helper()
	n, err := NewNode(NodeConfig{URL: url, Timeout: timeout})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Close)
	return n
}

func directory(t *testing.T, files ...File) *Directory {
	t.Helper()
	d, err := NewDirectory(files)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// sizes are of files around each change of a tree's shape: one chunk, two, a full node, two levels.
var sizes = []int{
	1, 120, 4096, chunkSize - 1, chunkSize, chunkSize + 1, 2 * chunkSize, 3*chunkSize - 7,
	maxLinks * chunkSize, maxLinks*chunkSize + 1, (maxLinks + 2) * chunkSize,
}

// TestNode publishes files and directories of many shapes on a node that this project did not write: it answers the
// CIDs that were computed here, holds them, gives them back, and forgets them.
func TestNode(t *testing.T) {
	server := runner.Start(t)
	n, ctx := dial(t, server.URL, time.Minute), context.Background()
	for _, size := range sizes {
		want := content(size)
		d := directory(t, Bytes("a", want))
		if err := n.Publish(ctx, d); err != nil {
			t.Fatalf("%d bytes: %v", size, err)
		}
		dir, err := OpenDir(ctx, n, d.CID)
		if err != nil {
			t.Fatalf("%d bytes: %v", size, err)
		}
		got, err := dir.Read(ctx, "a", int64(size))
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("%d bytes: got %d bytes, %v", size, len(got), err)
		}
		if c, ok := dir.File("a"); !ok || c != FileCID(want) {
			t.Errorf("%d bytes: the file is %v, want %v", size, c, FileCID(want))
		}
	}
	for _, count := range []int{0, 1, 7, MaxFiles} {
		var files []File
		for i := range count {
			files = append(files, Bytes(fmt.Sprintf("%064x", i*7919%10007), content(100+i)))
		}
		d := directory(t, files...)
		if err := n.Publish(ctx, d); err != nil {
			t.Fatalf("%d files: %v", count, err)
		}
		dir, err := OpenDir(ctx, n, d.CID)
		if err != nil || len(dir.Names()) != count {
			t.Errorf("%d files: got %d names, %v", count, len(dir.Names()), err)
		}
	}
	d := directory(t, Bytes("x", []byte("kept")))
	for range 2 { // to publish it again changes nothing
		if err := n.Publish(ctx, d); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 { // nor to unpin it again
		if err := n.Unpin(ctx, d.CID); err != nil {
			t.Fatal(err)
		}
		if pinned, err := n.Pinned(ctx, d.CID); err != nil || pinned {
			t.Fatalf("after unpinning: pinned %v, %v", pinned, err)
		}
	}
	if err := n.Pin(ctx, d.CID); err != nil {
		t.Fatal(err)
	}
	server.Stop()
	if err := n.Publish(ctx, d); err == nil {
		t.Error("published on a node that does not run")
	}
	server.Resume()
	if pinned, err := n.Pinned(ctx, d.CID); err != nil || !pinned {
		t.Errorf("after a restart: pinned %v, %v", pinned, err)
	}
	short := dial(t, server.URL, 2*time.Second)
	if _, err := short.Block(ctx, CIDOf(Raw, []byte("nobody has this"))); !errors.Is(err, ErrNotFound) {
		t.Errorf("a block that nobody has: %v", err)
	}
}

// TestThin lets a node forget one file of a directory, twice, and collect what nobody holds on to.
func TestThin(t *testing.T) {
	server := runner.Start(t)
	n, ctx := dial(t, server.URL, 5*time.Second), context.Background()
	large := content(600_000)
	d := directory(t, Bytes("about", []byte("what it is")), Bytes("headers", content(300_000)), Bytes("sealed", large))
	if err := n.Publish(ctx, d); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := n.Thin(ctx, d.CID, "sealed"); err != nil {
			t.Fatal(err)
		}
		if err := n.shell.Request("repo/gc").Exec(ctx, nil); err != nil {
			t.Fatal(err)
		}
	}
	dir, err := OpenDir(ctx, n, d.CID)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := dir.Read(ctx, "headers", 300_000); err != nil || !bytes.Equal(got, content(300_000)) {
		t.Errorf("the file that stays: %d bytes, %v", len(got), err)
	}
	if _, err := dir.Read(ctx, "sealed", 600_000); !errors.Is(err, ErrNotFound) {
		t.Errorf("the file that went: %v", err)
	}
	if err := n.Publish(ctx, d); err != nil { // it may come back
		t.Fatal(err)
	}
	if got, err := dir.Read(ctx, "sealed", 600_000); err != nil || !bytes.Equal(got, large) {
		t.Errorf("published again: %d bytes, %v", len(got), err)
	}
}

// TestGolden holds CIDs that other programs gave for the same bytes.
func TestGolden(t *testing.T) {
	for _, c := range []struct {
		got  CID
		want string
	}{
		{FileCID(nil), "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku"},
		{FileCID([]byte("hello world")), "bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e"},
		{directory(t).CID, "bafybeiczsscdsbs7ffqz55asqdf3smv6klcw3gofszvwlyarci47bgf354"},
	} {
		if c.got.String() != c.want {
			t.Errorf("got %v, want %s", c.got, c.want)
		}
	}
}

func TestParseCID(t *testing.T) {
	c := FileCID([]byte("hello world"))
	for _, text := range []string{
		c.String(), "f" + fmt.Sprintf("%x", c.Bytes()), "zb2rhj7crUKTQYRGCRATFaQ6YFLTde2YzdqbbhAASkL9uRDXn",
	} {
		if got, err := ParseCID(text); err != nil || got != c {
			t.Errorf("%s: got %v, %v", text, got, err)
		}
	}
	for _, text := range []string{
		"", "b", "bafy", "QmT78zSuBmuS4z925WZfrqQ1qHaJ56DQaTfyMUF7F8ff5o", strings.ToUpper(c.String()), c.String() + "a", "z", "z0", "k_",
		"z1" + strings.Repeat("1", 40), strings.Repeat("b", 200), "f" + strings.Repeat("0", 72), c.String()[:len(c.String())-1] + "f",
	} {
		if got, err := ParseCID(text); !errors.Is(err, ErrCID) {
			t.Errorf("%q: got %v, %v", text, got, err)
		}
	}
}

func TestDirectoryRefuses(t *testing.T) {
	for name, files := range map[string][]File{
		"no name":       {Bytes("", nil)},
		"up":            {Bytes("..", nil)},
		"slash":         {Bytes("a/b", nil)},
		"long":          {Bytes(strings.Repeat("a", 256), nil)},
		"twice":         {Bytes("a", nil), Bytes("a", nil)},
		"too many":      make([]File, MaxFiles+1),
		"fails to read": {{"a", func(io.Writer) error { return io.ErrUnexpectedEOF }}},
	} {
		if _, err := NewDirectory(files); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

func TestParseURL(t *testing.T) {
	for text, want := range map[string]string{
		"http://127.0.0.1:5001": "http://127.0.0.1:5001", "https://x.example/a/": "https://x.example/a",
		"127.0.0.1:5001": "", "ftp://x": "", "http://": "", "http://user:pass@x": "", "http://x?y": "", "http://x#y": "", "": "",
	} {
		got, err := ParseURL(text)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q: got %q, %v", text, got, err)
		}
	}
}

// held is blocks in memory.
type held map[CID][]byte

func (h held) Block(_ context.Context, c CID) ([]byte, error) {
	if b, ok := h[c]; ok {
		return b, nil
	}
	return nil, ErrNotFound
}

// hold cuts content into chunks of some size, joined by nodes of so many links, as some other program might.
func (h held) hold(content []byte, chunk, width int) link {
	var level []below
	for part := range slices.Chunk(content, chunk) {
		c := CIDOf(Raw, part)
		h[c] = part
		level = append(level, below{link{cid: c, size: uint64(len(part))}, uint64(len(part))})
	}
	for len(level) > 1 {
		var up []below
		for part := range slices.Chunk(level, width) {
			n := fileOf(part)
			block := n.append(nil)
			h[CIDOf(DagPB, block)] = block
			up = append(up, join(part))
		}
		level = up
	}
	return level[0].link
}

func fileOf(all []below) *node {
	n := &node{kind: unixFile}
	for _, b := range all {
		n.links, n.sizes = append(n.links, b.link), append(n.sizes, b.bytes)
		n.size += b.bytes
	}
	return n
}

func (h held) dir(links ...link) CID {
	n := node{kind: unixDirectory, links: links}
	block := n.append(nil)
	c := CIDOf(DagPB, block)
	h[c] = block
	return c
}

// TestRead reads files of other shapes, and parts of them.
func TestRead(t *testing.T) {
	ctx := context.Background()
	want := content(10_000)
	for _, shape := range [][2]int{{10_000, 2}, {1000, 3}, {100, 4}, {999, 2}, {40, 174}} {
		h := held{}
		l := h.hold(want, shape[0], shape[1])
		l.name = "f"
		d, err := OpenDir(ctx, h, h.dir(l))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := d.Read(ctx, "f", 10_000); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("%v: got %d bytes, %v", shape, len(got), err)
		}
		for range 50 {
			from := rand.Int64N(10_000)
			n := rand.Int64N(10_000 - from + 1)
			if got, err := d.ReadRange(ctx, "f", from, n); err != nil || !bytes.Equal(got, want[from:from+n]) {
				t.Fatalf("%v: %d bytes from %d: got %d bytes, %v", shape, n, from, len(got), err)
			}
		}
		if _, err := d.Read(ctx, "f", 9_999); !errors.Is(err, ErrTooLarge) {
			t.Errorf("%v: a file that is too large: %v", shape, err)
		}
		if _, err := d.ReadRange(ctx, "f", 9_000, 1_001); err == nil {
			t.Errorf("%v: read past the end", shape)
		}
		if _, err := d.Read(ctx, "g", 1); !errors.Is(err, ErrNoFile) {
			t.Errorf("%v: a file that is not there: %v", shape, err)
		}
		// A block that is missing, and one that is another.
		for c := range h {
			if c == d.CID {
				continue
			}
			kept := h[c]
			delete(h, c)
			d.last, d.kept = CID{}, nil
			if _, err := d.Read(ctx, "f", 10_000); !errors.Is(err, ErrNotFound) {
				t.Fatalf("%v: without %v: %v", shape, c, err)
			}
			h[c] = append([]byte{1}, kept...)
			if _, err := d.Read(ctx, "f", 10_000); !errors.Is(err, ErrFalse) {
				t.Fatalf("%v: with a false %v: %v", shape, c, err)
			}
			h[c] = kept
		}
	}
}

// TestFalseNodes reads trees whose blocks have the right hashes and contradict one another.
func TestFalseNodes(t *testing.T) {
	ctx, h := context.Background(), held{}
	chunk := content(100)
	leaf := link{cid: CIDOf(Raw, chunk), size: 100}
	h[leaf.cid] = chunk
	file := func(n node) link {
		n.kind = unixFile
		b := n.append(nil)
		c := CIDOf(DagPB, b)
		h[c] = b
		return link{cid: c, name: "f", size: 1}
	}
	deep := file(node{links: []link{leaf}, sizes: []uint64{100}, size: 100})
	for range maxDepth + 1 {
		l := deep
		l.name = ""
		deep = file(node{links: []link{l}, sizes: []uint64{100}, size: 100})
	}
	inner := link{cid: h.dir(), size: 4}
	for name, l := range map[string]link{
		"more than the chunk":   file(node{links: []link{leaf}, sizes: []uint64{101}, size: 101}),
		"sizes that do not add": file(node{links: []link{leaf}, sizes: []uint64{100}, size: 99}),
		"no links":              file(node{}),
		"more sizes":            file(node{links: []link{leaf}, sizes: []uint64{50, 50}, size: 100}),
		"overflow":              file(node{links: []link{leaf, leaf}, sizes: []uint64{1 << 63, 1<<63 + 100}, size: 100}),
		"too deep":              deep,
		"a directory":           {cid: inner.cid, name: "f", size: 4},
		"a directory below":     file(node{links: []link{inner}, sizes: []uint64{100}, size: 100}),
	} {
		d, err := OpenDir(ctx, h, h.dir(l))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got, err := d.Read(ctx, "f", 1<<20); !errors.Is(err, ErrNode) {
			t.Errorf("%s: got %d bytes, %v", name, len(got), err)
		}
	}
	for name, c := range map[string]CID{
		"bytes": leaf.cid, "a file": deep.cid, "out of order": h.dir(link{cid: leaf.cid, name: "b"}, link{cid: leaf.cid, name: "a"}),
		"twice": h.dir(link{cid: leaf.cid, name: "a"}, link{cid: leaf.cid, name: "a"}),
	} {
		if _, err := OpenDir(ctx, h, c); !errors.Is(err, ErrNode) {
			t.Errorf("%s as a directory: %v", name, err)
		}
	}
}

// FuzzNode reads any bytes as a node. What is taken is bounded by what was given.
func FuzzNode(f *testing.F) {
	h := held{}
	h.hold(content(3000), 100, 4)
	h.dir(link{cid: CIDOf(Raw, nil), name: "a"})
	for c, b := range h {
		if c.Codec == DagPB {
			f.Add(b)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		n, err := parseNode(b)
		if err != nil {
			return
		}
		if len(n.links) > len(b)/cidSize || len(n.sizes) > len(b) {
			t.Errorf("%d links, %d sizes from %d bytes", len(n.links), len(n.sizes), len(b))
		}
	})
}

func FuzzCID(f *testing.F) {
	f.Add(FileCID(nil).String())
	f.Add("zb2rhj7crUKTQYRGCRATFaQ6YFLTde2YzdqbbhAASkL9uRDXn")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := ParseCID(text)
		if err != nil {
			return
		}
		if again, err := ParseCID(c.String()); err != nil || again != c {
			t.Errorf("%q: got %v, %v", text, again, err)
		}
	})
}
