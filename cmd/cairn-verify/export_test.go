//go:build !js

package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"

	"cairn/anchor/proof"
	"cairn/scripts/btcd"
	"cairn/scripts/calendar"
	"cairn/scripts/tool"
)

func mustRead(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestExport writes each format from the sample file, and reads them again.
func TestExport(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	sample := []string{"--policy", kept + "chains.policy", "--headers", kept + "chains.headers", "--headers", kept + "chains.bitcoin-headers", kept + "chains.proof"}
	for _, c := range []struct {
		name  string
		args  []string
		words []string
	}{
		{"ots", []string{"--format", "ots", "--field", "T", "--out", at("reading.ots")},
			[]string{"of a proof that is anchored\n", "shown     " + at("reading") + ", ", "bitcoin block 5", "ots verify -f " + at("reading") + " " + at("reading.ots"), "--network regtest"}},
		{"ots of a field", []string{"--format", "ots", "--field", "received", "--reading", "0", "--out", at("T.ots"), "--shown", at("value")}, []string{at("value")}},
		{"ots of a header", []string{"--format", "ots", "--header", "--out", at("header.ots")}, []string{at("header")}},
		{"chainpoint", []string{"--format", "chainpoint", "--field", "T", "--out", at("reading.chp.json")}, []string{"any Chainpoint v4 parser"}},
		{"tlog-proof", []string{"--format", "tlog-proof", "--out", at("batch.tlog-proof")}, []string{"quorum none", "the batch header, which is the log's entry"}},
		{"checkpoint", []string{"--format", "checkpoint", "--out", at("head.checkpoint")}, []string{"log cairn/"}},
	} {
		code, out, stderr := invoke(append(append([]string{"export"}, c.args...), sample...)...)
		if code != 0 {
			t.Fatalf("%s: %d %s%s", c.name, code, out, stderr)
		}
		for _, words := range c.words {
			if !strings.Contains(out, words) {
				t.Errorf("%s: no %q in\n%s", c.name, words, out)
			}
		}
		if strings.Contains(c.name, "log") || c.name == "checkpoint" {
			_, key, _ := strings.Cut(out, "              log ")
			key, _, _ = strings.Cut(key, "\n")
			v, err := note.NewVerifier(key)
			if err != nil {
				t.Fatalf("%s: %v in\n%s", c.name, err, out)
			}
			b := mustRead(t, c.args[len(c.args)-1])
			if i := bytes.Index(b, []byte("\n\n")); c.name == "tlog-proof" {
				b = b[i+2:]
			}
			if _, err := note.Open(b, note.VerifierList(v)); err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
		}
	}
	if _, err := os.Stat(at("head")); err == nil {
		t.Error("a checkpoint shows nothing beside it")
	}
	for _, name := range []string{"reading.ots", "header.ots"} {
		code, out, stderr := invoke("--headers", kept+"chains.bitcoin-headers", "--network", "regtest", "--depth", "3", at(name))
		if code != 0 || !strings.HasPrefix(out, "VERIFIED anchored: what is stamped (BY bitcoin:regtest") {
			t.Errorf("%s: %d %s%s", name, code, out, stderr)
		}
	}
	code, out, _ := invoke("--headers", kept+"chains.bitcoin-headers", "--network", "regtest", at("T.ots"), "--file", at("reading"))
	if code != 1 || !strings.Contains(out, "[digest-mismatch]") {
		t.Errorf("another file: %d %s", code, out)
	}
	code, _, stderr := invoke("export", "--format", "ots", "--header", "--out", at("other.ots"), "--shown", at("reading"), kept+"chains.proof")
	if _, err := os.Stat(at("other.ots")); code != 2 || !strings.Contains(stderr, "is not overwritten") || err == nil {
		t.Errorf("something else is shown there: %d %s, %v", code, stderr, err)
	}
	if code, _, stderr := invoke("export", "--format", "ots", "--field", "T", "--out", at("reading.ots"), kept+"chains.proof"); code != 2 || !strings.Contains(stderr, "is not overwritten") {
		t.Errorf("written over: %d %s", code, stderr)
	}
}

// TestExportRefused: what is false, or is not there, is not exported.
func TestExportRefused(t *testing.T) {
	dir := t.TempDir()
	out := filepath.Join(dir, "x.ots")
	bad := mustRead(t, kept+"chains.proof")
	bad[len(bad)/2] ^= 1
	for _, c := range []struct {
		name string
		args []string
		code int
		want string
	}{
		{"damaged", []string{"--format", "ots", "--out", out, write(t, bad)}, 1, "REFUSED"},
		{"another ledger's", []string{"--format", "ots", "--out", out, "--policy", kept + "v0.policy", kept + "chains.proof"}, 1, "[ledger-not-in-policy]"},
		{"no Bitcoin anchor", []string{"--format", "ots", "--header", "--out", out, kept + "v0.proof"}, 2, "no receipt of a Bitcoin block"},
		{"no Bitcoin anchor", []string{"--format", "chainpoint", "--header", "--out", out, kept + "v0.proof"}, 2, "no Bitcoin receipt"},
		{"no such reading", []string{"--format", "ots", "--out", out, "--reading", "9", kept + "chains.proof"}, 2, "reading 9"},
		{"which field", []string{"--format", "ots", "--out", out, kept + "chains.proof"}, 2, `say which field of reading 0: ["received" "T"]`},
		{"no such field", []string{"--format", "ots", "--out", out, "--field", "moon", kept + "chains.proof"}, 2, `fields "moon"`},
		{"no such format", []string{"--format", "pdf", "--out", out, kept + "chains.proof"}, 2, "is none of ots"},
		{"COSE", []string{"--format", "cose", "--out", out, kept + "chains.proof"}, 2, "signed by the log's key"},
		{"no format", []string{"--out", out, kept + "chains.proof"}, 2, "is none of ots"},
		{"nowhere", []string{"--format", "ots", kept + "chains.proof"}, 2, "--out says"},
		{"nothing", []string{"--format", "ots", "--out", out}, 2, "no proof file"},
		{"two", []string{"--format", "ots", "--out", out, "a", "b"}, 2, "one file, please"},
		{"two things", []string{"--format", "ots", "--out", out, "--header", "--field", "T", "a"}, 2, "two things"},
		{"no file", []string{"--format", "ots", "--out", out, "no-such-file"}, 2, "check the name"},
		{"help", []string{"--help"}, 0, "usage: cairn-verify export"},
	} {
		code, stdout, stderr := invoke(append([]string{"export"}, c.args...)...)
		if code != c.code || !strings.Contains(stdout+stderr, c.want) {
			t.Errorf("%s: %d %s%s, want %d with %q", c.name, code, stdout, stderr, c.code, c.want)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("%v was written, %v", left, err)
	}
}

// otherStamp runs the npm package opentimestamps by a script of package ots.
func otherStamp(t *testing.T, args ...string) []byte {
	t.Helper()
	tools, err := tool.Dir()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "node", append([]string{"--no-deprecation", "../../anchor/ots/testdata/client.js"}, args...)...)
	cmd.Env = append(os.Environ(), "NODE_PATH="+filepath.Join(tools, "node_modules"))
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, &stderr)
	}
	var answer struct{ File string }
	if err := json.Unmarshal(out, &answer); err != nil {
		t.Fatal(err)
	}
	b, err := hex.DecodeString(answer.File)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestForeign: what another program stamped with a calendar is checked against
// the headers of a node, before and after it is complete.
func TestForeign(t *testing.T) {
	t.Parallel()
	node := btcd.Start(t)
	cal := calendar.Start(t, node)
	dir := t.TempDir()
	data := filepath.Join(dir, "invoice.txt")
	text := []byte("an invoice\n")
	if err := os.WriteFile(data, text, 0o600); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(text)
	save := func(b []byte) string {
		if err := os.WriteFile(data+".ots", b, 0o600); err != nil {
			t.Fatal(err)
		}
		return data + ".ots"
	}
	stamp := otherStamp(t, "stamp", hex.EncodeToString(sum[:]), cal.URL)
	code, out, stderr := invoke(save(stamp))
	if code != 1 || !strings.HasPrefix(out, "REFUSED: pending is less than anchored: there is no more than a calendar's promise: "+cal.URL) {
		t.Errorf("promise: %d %s%s", code, out, stderr)
	}

	cal.Anchor()
	node.Mine(7)
	ots := save(otherStamp(t, "upgrade", hex.EncodeToString(stamp), cal.URL))
	var headers []proof.BitcoinHeader
	for tip, _ := node.Tip(); len(headers) <= tip; {
		block, err := node.Block(node.BlockHash(len(headers)))
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if err := block.Header.Serialize(&b); err != nil {
			t.Fatal(err)
		}
		headers = append(headers, proof.BitcoinHeader(b.Bytes()))
	}
	file, err := proof.WriteBitcoinHeaders(proof.BitcoinRegtest, 0, headers)
	if err != nil {
		t.Fatal(err)
	}
	path := write(t, file)
	copied := filepath.Join(t.TempDir(), "alone.ots")
	if err := os.WriteFile(copied, mustRead(t, ots), 0o600); err != nil {
		t.Fatal(err)
	}
	regtest := []string{"--headers", path, "--network", "regtest"}
	for _, c := range []struct {
		name string
		args []string
		code int
		want string
	}{
		{"beside its data", append(slices.Clone(regtest), ots), 0, "data        invoice.txt, 11 bytes"},
		{"with data named", append(slices.Clone(regtest), "--file", data, copied), 0, "VERIFIED anchored: what is stamped (BY bitcoin:regtest"},
		{"alone", append(slices.Clone(regtest), copied), 0, "(DATA NOT CHECKED)"},
		{"as JSON", append(slices.Clone(regtest), "--json", ots), 0, `"matches": true`},
		{"its schema", []string{"--schema", ots}, 0, "urn:cairn:foreign:1"},
		{"other data", append(slices.Clone(regtest), "--file", path, ots), 1, "[digest-mismatch]"},
		{"without headers", []string{ots}, 1, "of bitcoin:mainnet with merkle root"},
		{"pending suffices", []string{"--require", "pending", ots}, 0, "VERIFIED pending: what is stamped; not more"},
		{"another network", []string{"--headers", path, ots}, 1, "no headers file has that block"},
		{"no such network", []string{"--network", "moon", ots}, 2, "want mainnet, testnet4"},
		{"deeper", append(slices.Clone(regtest), "--depth", "8", ots), 1, "final as one of 8"},
		{"bad depth", []string{"--depth", "0", ots}, 2, "no number of blocks"},
		{"no such data", []string{"--file", "no-such-file", ots}, 2, "check the name"},
		{"data that is a folder", []string{"--file", dir, ots}, 2, "is no file"},
		{"policy", []string{"--policy", kept + "v0.policy", ots}, 2, "has none: give headers"},
		{"report", []string{"--report", filepath.Join(dir, "report.html"), ots}, 2, "of an OpenTimestamps file there is the verdict alone"},
		{"nodes", []string{"--rpc", "http://127.0.0.1:1", ots}, 2, "asks Ethereum's nodes"},
		{"data of a proof", []string{"--file", data, kept + "v0.proof"}, 2, "are of OpenTimestamps files"},
		{"bad headers", []string{"--headers", data, ots}, 2, "malformed headers file"},
	} {
		code, stdout, stderr := invoke(c.args...)
		if code != c.code || !strings.Contains(stdout+stderr, c.want) {
			t.Errorf("%s: %d %s%s, want %d with %q", c.name, code, stdout, stderr, c.code, c.want)
		}
	}
}
