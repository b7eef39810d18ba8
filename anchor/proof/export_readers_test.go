package proof

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"cairn/scripts/tool"
)

// stamped is a file and its OpenTimestamps file.
type stamped struct {
	name       string
	shown, ots []byte
}

// attested is what another program says of one.
type attested struct {
	Height, Time int64
	Error        string
}

// runLines runs a program that answers a line for each line of its input.
func runLines[Q, A any](t *testing.T, questions []Q, name string, args ...string) []A {
	t.Helper()
	tools, err := tool.Dir()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Env = append(os.Environ(), "NODE_PATH="+filepath.Join(tools, "node_modules"))
	var in, stderr bytes.Buffer
	for _, q := range questions {
		b, err := json.Marshal(q)
		if err != nil {
			t.Fatal(err)
		}
		in.Write(append(b, '\n'))
	}
	cmd.Stdin, cmd.Stderr = &in, &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v: %s", name, args, err, &stderr)
	}
	lines := bytes.Split(bytes.TrimSpace(out), []byte("\n"))
	if len(lines) != len(questions) {
		t.Fatalf("%s %s: %d answers to %d questions: %s", name, args, len(lines), len(questions), &stderr)
	}
	answers := make([]A, len(lines))
	for i := range lines {
		if err := json.Unmarshal(lines[i], &answers[i]); err != nil {
			t.Fatalf("%s: %v in %q", name, err, lines[i])
		}
	}
	return answers
}

// otsReaders are the programs that read OpenTimestamps files, with the headers
// of a chain that begins at the given height.
func otsReaders(t *testing.T, first uint32, headers []BitcoinHeader) map[string]func([]stamped) []attested {
	t.Helper()
	byHeight := make(map[string]string, len(headers))
	for i, h := range headers {
		byHeight[strconv.Itoa(int(first)+i)] = hex.EncodeToString(h[:])
	}
	b, err := json.Marshal(byHeight)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "headers.json")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	explorer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if height, ok := strings.CutPrefix(r.URL.Path, "/block-height/"); ok && byHeight[height] != "" {
			fmt.Fprintf(w, "%064s", height) // this explorer's hashes are the heights
			return
		}
		hash, _ := strings.CutPrefix(r.URL.Path, "/block/")
		raw, ok := byHeight[strings.TrimLeft(hash, "0")]
		if !ok {
			http.NotFound(w, r)
			return
		}
		h := BitcoinHeader(fromHex(t, raw))
		json.NewEncoder(w).Encode(map[string]any{"merkle_root": shownHash(h.Merkle()), "timestamp": h.Time() / 1000})
	}))
	t.Cleanup(explorer.Close)
	ask := func(name string, args ...string) func([]stamped) []attested {
		return func(files []stamped) []attested {
			type line struct {
				OTS   string `json:"ots"`
				Shown string `json:"shown"`
			}
			var all []line
			for _, f := range files {
				all = append(all, line{hex.EncodeToString(f.ots), hex.EncodeToString(f.shown)})
			}
			return runLines[line, attested](t, all, name, args...)
		}
	}
	return map[string]func([]stamped) []attested{
		"npm opentimestamps":    ask("node", "--no-deprecation", filepath.Join("testdata", "verify.js"), explorer.URL),
		"python opentimestamps": ask("/usr/bin/python3", filepath.Join("testdata", "verify.py"), path),
	}
}
