package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"cairn/merkle"
	"cairn/store"
	"cairn/store/share"
)

// TestTilesFollowed follows a served log of 700 batches with another
// implementation's client: golang.org/x/mod/sumdb/tlog checks every tile against
// the signed head, and the entries are the leaves.
func TestTilesFollowed(t *testing.T) {
	var now atomic.Int64
	now.Store(time.Date(2026, 6, 1, 8, 0, 0, 0, time.UTC).UnixMilli())
	s, err := store.Open(store.Options{
		Dir: t.TempDir(), Keyring: share.Memory(), Window: time.Second,
		Now: func() time.Time { return time.UnixMilli(now.Load()) },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	const batches = 700
	for s.LogSize() < batches {
		now.Add(1000)
		if err := s.AllowSigning(context.Background()); err != nil { // waits for the committer, which looks at the clock
			t.Fatal(err)
		}
	}
	g := &gateway{cfg: &Config{Ledgers: []LedgerConfig{{Name: siteLedger}}}, log: slog.New(slog.DiscardHandler)}
	g.ledgers = []*openLedger{{g: g, cfg: &g.cfg.Ledgers[0], log: g.log, store: s}}
	srv := httptest.NewServer(newHTTPServer(g, ""))
	defer srv.Close()
	base := srv.URL + "/ledger/" + s.Ledger().String()

	verifier, err := note.NewVerifier(merkle.VerifierKey(s.Origin(), s.LogKey()))
	if err != nil {
		t.Fatal(err)
	}
	n, err := note.Open(fetch(t, base+"/checkpoint"), note.VerifierList(verifier))
	if err != nil {
		t.Fatal(err)
	}
	cp, err := merkle.ParseCheckpoint(n.Text)
	if err != nil {
		t.Fatal(err)
	}
	if cp.Size < batches {
		t.Fatalf("checkpoint of %d batches, want %d or more", cp.Size, batches)
	}
	tree := tlog.Tree{N: int64(cp.Size), Hash: tlog.Hash(cp.Root)}
	hashes := tlog.TileHashReader(tree, &tiles{t: t, base: base})
	for i := int64(0); i < tree.N; i += 256 {
		width := min(256, tree.N-i)
		path := strings.Replace(merkle.TilePath(0, uint64(i/256), int(width)), "tile/0/", "tile/entries/", 1)
		entries, err := merkle.ParseEntries(fetch(t, base+"/"+path))
		if err != nil || int64(len(entries)) != width {
			t.Fatalf("%s: %d entries, %v", path, len(entries), err)
		}
		for j, e := range entries {
			id := i + int64(j)
			p, err := tlog.ProveRecord(tree.N, id, hashes)
			if err != nil {
				t.Fatalf("prove batch %d: %v", id, err)
			}
			if err := tlog.CheckRecord(p, tree.N, tree.Hash, id, tlog.RecordHash(e)); err != nil {
				t.Fatalf("batch %d is not in the log: %v", id, err)
			}
		}
	}
	old, err := s.RootAt(300)
	if err != nil {
		t.Fatal(err)
	}
	p, err := tlog.ProveTree(tree.N, 300, hashes)
	if err != nil {
		t.Fatal(err)
	}
	if err := tlog.CheckTree(p, tree.N, tree.Hash, 300, tlog.Hash(old)); err != nil {
		t.Errorf("the head of 300 batches is not a prefix: %v", err)
	}
}

// tiles reads tiles over HTTP for x/mod's client.
type tiles struct {
	t    *testing.T
	base string
}

func (r *tiles) Height() int                     { return merkle.TileHeight }
func (r *tiles) SaveTiles([]tlog.Tile, [][]byte) {}
func (r *tiles) ReadTiles(all []tlog.Tile) ([][]byte, error) {
	out := make([][]byte, len(all))
	for i, tile := range all {
		// x/mod puts the height into the path, tlog-tiles fixes it.
		path, ok := strings.CutPrefix(tile.Path(), fmt.Sprintf("tile/%d/", merkle.TileHeight))
		if !ok {
			return nil, fmt.Errorf("tile path %s", tile.Path())
		}
		out[i] = fetch(r.t, r.base+"/tile/"+path)
	}
	return out, nil
}

func fetch(t *testing.T, url string) []byte {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("GET %s: %s, %v", url, resp.Status, err)
	}
	return body
}
