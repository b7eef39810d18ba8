package ots

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cairn/anchor"
	"cairn/anchor/proof"
	"cairn/scripts/btcd"
	"cairn/scripts/calendar"
	"cairn/scripts/tool"
)

// told is what testdata/client.js answers.
type told struct {
	File, Digest, Info string
	Changed            bool
	Verified           map[string]struct{ Timestamp, Height int64 }
}

// otherClient runs the npm package opentimestamps.
func otherClient(t *testing.T, args ...string) (told, error) {
	t.Helper()
	tools, err := tool.Dir()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "node", append([]string{"--no-deprecation", "testdata/client.js"}, args...)...)
	cmd.Env = append(os.Environ(), "NODE_PATH="+filepath.Join(tools, "node_modules"))
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return told{}, fmt.Errorf("%w: %s", err, stderr.String())
	}
	var answer told
	if err := json.Unmarshal(out, &answer); err != nil {
		t.Fatalf("client.js %s: %v in %q", args[0], err, out)
	}
	return answer, nil
}

// explorer answers what the other client asks a block explorer, out of the node.
func explorer(t *testing.T, node *btcd.Node) string {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		height, isHeight := strings.CutPrefix(r.URL.Path, "/block-height/")
		hash, isHash := strings.CutPrefix(r.URL.Path, "/block/")
		var number int
		var block struct {
			Merkle string `json:"merkleroot"`
			Time   int64  `json:"time"`
		}
		switch {
		case isHeight:
			if _, err := fmt.Sscan(height, &number); err == nil && node.Call(&hash, "getblockhash", number) == nil {
				fmt.Fprint(w, hash)
				return
			}
		case isHash:
			if node.Call(&block, "getblockheader", hash, true) == nil {
				json.NewEncoder(w).Encode(map[string]any{"merkle_root": block.Merkle, "timestamp": block.Time})
				return
			}
		}
		http.NotFound(w, r)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// What we stamp, the npm package opentimestamps reads, writes as we do, upgrades and verifies; and the other way round.
func TestOtherClient(t *testing.T) {
	t.Parallel()
	node := btcd.Start(t)
	a, b := calendar.Start(t, node), calendar.Start(t, node)
	c := newChain(t, Config{Calendars: []string{a.URL, b.URL}, Headers: headers{node}, Depth: 2})
	root := rootOf("head")
	at := sign(t, c, root)
	url := explorer(t, node)

	digest := rootOf("theirs")
	theirs, err := otherClient(t, "stamp", hex.EncodeToString(digest[:]), a.URL)
	if err != nil {
		t.Fatalf("stamp: %v", err)
	}
	a.Anchor()
	b.Anchor()
	mined, err := node.Block(node.Mine(1)[0])
	if err != nil {
		t.Fatal(err)
	}
	if len(mined.Transactions) != 3 {
		t.Fatalf("got %d transactions in the block, want those of both calendars", len(mined.Transactions))
	}
	node.Mine(1)
	f := find(t, c, true, at)
	for s, err := c.stampOf(t.Context(), nil, at); len(s.open) > 0; s, err = c.stampOf(t.Context(), nil, at) {
		if err != nil {
			t.Fatal(err)
		}
		find(t, c, true, at)
	}
	ours := export(t, c, at, f.Block)
	t.Logf("a stamp of two calendars has %d bytes, with the paths to their blocks %d", len(at.Raw), len(ours))

	t.Run("ours, pending", func(t *testing.T) {
		got, err := otherClient(t, "read", hex.EncodeToString(at.Raw), url)
		if err != nil {
			t.Fatal(err)
		}
		if got.File != hex.EncodeToString(at.Raw) || len(got.Verified) != 0 {
			t.Errorf("got %+v, want the same bytes and nothing verified", got)
		}
		up, err := otherClient(t, "upgrade", got.File, b.URL)
		if err != nil || !up.Changed {
			t.Fatalf("upgrade: %v, %v", up, err)
		}
		verifyFile(t, node, up.File, root)
	})
	t.Run("ours, complete", func(t *testing.T) {
		got, err := otherClient(t, "read", hex.EncodeToString(ours), url)
		if err != nil {
			t.Fatal(err)
		}
		if got.File != hex.EncodeToString(ours) || got.Digest != hex.EncodeToString(root[:]) {
			t.Errorf("written again our file differs:\n%s\n%x", got.File, ours)
		}
		if v := got.Verified["bitcoin"]; v.Height != int64(f.Block.Height) || v.Timestamp*1000 != f.Block.Time {
			t.Errorf("got %+v verified, want block %+v", got.Verified, f.Block)
		}
		if !strings.Contains(got.Info, "BitcoinBlockHeaderAttestation") {
			t.Errorf("got info %q", got.Info)
		}
	})
	t.Run("ours, changed", func(t *testing.T) {
		bad := bytes.Clone(ours)
		bad[40] ^= 1 // in the digest
		if got, err := otherClient(t, "read", hex.EncodeToString(bad), url); err == nil {
			t.Errorf("got %+v for another digest, want an error", got)
		}
	})
	t.Run("theirs", func(t *testing.T) {
		b, err := hex.DecodeString(theirs.File)
		if err != nil {
			t.Fatal(err)
		}
		pending, err := proof.ParseOTS(b)
		if err != nil || len(pending.Tree.Leaves()) != 1 || pending.Tree.Leaves()[0].URI != a.URL {
			t.Fatalf("got %v, %v; want one promise of %s", pending, err, a.URL)
		}
		if again, err := proof.WriteOTS(pending.Tree); err != nil || !bytes.Equal(again, b) {
			t.Errorf("written again their file differs: %x, %v", again, err)
		}
		up, err := otherClient(t, "upgrade", theirs.File, a.URL)
		if err != nil || !up.Changed {
			t.Fatalf("upgrade: %v, %v", up, err)
		}
		verifyFile(t, node, up.File, digest)
	})
}

// export returns the .ots file of an anchor out of its receipt.
func export(t *testing.T, c *Chain, at anchor.Attempt, block anchor.Block) []byte {
	t.Helper()
	data, err := c.Receipt(t.Context(), at, block)
	if err == nil {
		data, err = c.Complete(t.Context(), at, block, data)
	}
	if err != nil {
		t.Fatal(err)
	}
	r := checkReceipt(t, data, at.Root, block, 2)
	tree, err := proof.ParseTimestamp(at.Root[:], r.Timestamp)
	if err != nil {
		t.Fatal(err)
	}
	if got := len(bitcoin(tree)); got != 2 {
		t.Fatalf("got %d attestations of blocks, want both calendars'", got)
	}
	file, err := proof.WriteOTS(tree)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// verifyFile reads a file of the other client and checks its attestation against the node's header.
func verifyFile(t *testing.T, node *btcd.Node, text string, digest anchor.Root) {
	t.Helper()
	b, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	f, err := proof.ParseOTS(b)
	if err != nil || string(f.Tree.Message()) != string(digest[:]) {
		t.Fatalf("got %v, %v; want a file of %s", f, err, digest)
	}
	found := bitcoin(f.Tree)
	if len(found) != 1 {
		t.Fatalf("got attestations %v, want one of a block", found)
	}
	h, err := headers{node}.Header(t.Context(), uint32(found[0].Height))
	if err != nil {
		t.Fatal(err)
	}
	if merkle := h.Merkle(); string(found[0].Node.Message()) != string(merkle[:]) {
		t.Errorf("the path leads to %x, block %d has %x", found[0].Node.Message(), found[0].Height, merkle)
	}
}
