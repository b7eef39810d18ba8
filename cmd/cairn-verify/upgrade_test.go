//go:build !js

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cairn/anchor/proof"
	"cairn/scripts/btcd"
	"cairn/scripts/calendar"
)

// TestUpgrade: what there is to be had is written, and all else says why not.
func TestUpgrade(t *testing.T) {
	dir := t.TempDir()
	out := filepath.Join(dir, "new.proof")
	pending, update := kept+"pending.proof", kept+"update.proof"
	bad := mustRead(t, update)
	bad[len(bad)/2] ^= 1
	for _, c := range []struct {
		name string
		args []string
		code int
		want string
	}{
		{"wrong ledger", []string{"--from", kept + "chains.proof", "--out", out, pending}, 1, "different ledgers"},
		{"another history", []string{"--from", kept + "fraud-b.proof", "--out", out, kept + "fraud-a.proof"}, 1, "contradict one another"},
		{"nothing to add", []string{"--from", pending, "--out", out, pending}, 1, "nothing to add"},
		{"no calendar", []string{"--calendar", "--out", out, pending}, 1, "nothing to add: no calendar's promise"},
		{"damaged", []string{"--from", write(t, bad), "--out", out, pending}, 2, "file damaged"},
		{"no proof", []string{"--from", update, "--out", out, kept + "fraud.policy"}, 2, "not a proof file"},
		{"no such file", []string{"--from", "no-such-file", "--out", out, pending}, 2, "no such file"},
		{"nowhere to look", []string{"--out", out, pending}, 2, "say where to look"},
		{"no out", []string{"--from", update, pending}, 2, "--out says where"},
		{"two files", []string{"--from", update, "--out", out, pending, pending}, 2, "one file"},
		{"ots with --from", []string{"--from", update, "--out", out, kept + "v1.bitcoin.ots"}, 2, "by --calendar alone"},
		{"ots without promises", []string{"--calendar", "--out", out, kept + "v1.bitcoin.ots"}, 1, "nothing to add"},
		{"help", []string{"--help"}, 0, "usage: cairn-verify upgrade"},
	} {
		code, stdout, stderr := invoke(append([]string{"upgrade"}, c.args...)...)
		if _, err := os.Stat(out); code != c.code || !strings.Contains(stdout+stderr, c.want) || err == nil {
			t.Errorf("%s: exit %d, want %d with %q, written %v:\n%s%s", c.name, code, c.code, c.want, err == nil, stdout, stderr)
		}
	}
	code, stdout, stderr := invoke("upgrade", "--from", update, "--policy", kept+"fraud.policy", "--headers", kept+"fraud.headers", "--out", out, pending)
	if code != 0 || !strings.Contains(stdout, "from logged to anchored\n") || !strings.Contains(stdout, "a receipt by ethereum:1 for the head of 8 batches") {
		t.Fatalf("exit %d:\n%s%s", code, stdout, stderr)
	}
	if code, stdout, _ = invoke("--policy", kept+"fraud.policy", "--headers", kept+"fraud.headers", out); code != 0 {
		t.Errorf("exit %d:\n%s", code, stdout)
	}
	if code, _, stderr = invoke("upgrade", "--from", update, "--out", out, pending); code != 2 || !strings.Contains(stderr, "not overwritten") {
		t.Errorf("written over: %d %s", code, stderr)
	}
}

// TestCompare: files that contradict one another give evidence, which checks
// itself; those that do not, and those that cannot be compared, say so.
func TestCompare(t *testing.T) {
	out := filepath.Join(t.TempDir(), "evidence")
	a, b := kept+"fraud-a.proof", kept+"fraud-b.proof"
	bad := mustRead(t, kept+"fraud.checkpoint")
	bad = bytes.Replace(bad, []byte("\n5\n"), []byte("\n6\n"), 1)
	for _, c := range []struct {
		name string
		args []string
		code int
		want string
	}{
		{"consistent", []string{"compare", "--out", out, kept + "pending.proof", kept + "update.proof", a}, 0, "CONSISTENT as far as they overlap\n"},
		{"nothing in common", []string{"compare", "--out", out, a, kept + "fraud.checkpoint", "--policy", kept + "v0.policy"}, 1, "CONTRADICTION: "},
		{"two ledgers", []string{"compare", a, kept + "chains.proof"}, 2, "different ledgers"},
		{"a checkpoint that nobody signed", []string{"compare", a, write(t, bad)}, 2, "not signed"},
		{"checkpoints alone", []string{"compare", kept + "fraud.checkpoint", kept + "fraud.checkpoint"}, 2, "no file tells the log's key"},
		{"one file", []string{"compare", a}, 2, "two files"},
		{"no proof", []string{"compare", a, kept + "fraud.policy"}, 2, "not a proof file"},
		{"help", []string{"compare", "--help"}, 0, "usage: cairn-verify compare"},
	} {
		os.Remove(out)
		code, stdout, stderr := invoke(c.args...)
		if code != c.code || !strings.Contains(stdout+stderr, c.want) {
			t.Errorf("%s: exit %d, want %d with %q:\n%s%s", c.name, code, c.code, c.want, stdout, stderr)
		}
		if _, err := os.Stat(out); (err == nil) != (code == 1) {
			t.Errorf("%s: exit %d, evidence: %v", c.name, code, err)
		}
	}
	os.Remove(out)
	code, stdout, stderr := invoke("compare", "--out", out, a, b)
	if code != 1 || !strings.HasPrefix(stdout, "CONTRADICTION: under signatures of the log's key (IDENTITY NOT CHECKED): two batches number 3 [two-headers]\n") ||
		!strings.Contains(stdout, "evidence   "+out) {
		t.Fatalf("exit %d:\n%s%s", code, stdout, stderr)
	}
	code, stdout, _ = invoke("compare", "--json", a, b)
	var answer compared
	if err := json.Unmarshal([]byte(stdout), &answer); code != 1 || err != nil || answer.Consistent || answer.Contradictions[0].Fraud != proof.FraudTwoHeaders {
		t.Errorf("exit %d, %v:\n%s", code, err, stdout)
	}
	for _, c := range []struct {
		name string
		args []string
		code int
		want string
	}{
		{"with a policy", []string{"--policy", kept + "fraud.policy", out}, 0, "FRAUD PROVEN: under signatures of the log's key: two batches number 3 [two-headers]\n"},
		{"without", []string{out}, 0, "(IDENTITY NOT CHECKED)"},
		{"the kept one", []string{"--policy", kept + "fraud.policy", kept + "v1.fraud"}, 0, "FRAUD PROVEN"},
		{"another ledger's policy", []string{"--policy", kept + "v0.policy", out}, 1, "NOT PROVEN: "},
		{"as JSON", []string{"--json", out}, 0, `"fraud": "two-headers"`},
		{"altered", []string{write(t, append(mustRead(t, out)[:300], mustRead(t, out)[299:]...))}, 1, "[file-damaged]"},
		{"another version", []string{write(t, []byte("cairn/fraud/2\n"))}, 2, "COULD NOT CHECK: "},
		{"with headers", []string{"--headers", kept + "fraud.headers", out}, 2, "rests on signatures alone"},
		{"upgraded", []string{"upgrade", "--from", a, "--out", out + "2", out}, 2, "not a proof file"},
	} {
		if code, stdout, stderr := invoke(c.args...); code != c.code || !strings.Contains(stdout+stderr, c.want) {
			t.Errorf("%s: exit %d, want %d with %q:\n%s%s", c.name, code, c.code, c.want, stdout, stderr)
		}
	}
}

// promised is the kept pending proof with a promise of a calendar, and the
// promise as a file of its own.
func promised(t *testing.T, url string) (proofFile, ots string) {
	t.Helper()
	f, err := proof.Decode(mustRead(t, kept+"pending.proof"))
	if err != nil {
		t.Fatal(err)
	}
	heads, err := proof.HeadsOf(f)
	if err != nil {
		t.Fatal(err)
	}
	root := heads[0].Root
	resp, err := http.Post(url+"/digest", "application/octet-stream", bytes.NewReader(root[:]))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	tree, err := proof.ParseTimestamp(root[:], answer)
	if err != nil {
		t.Fatalf("%v: %s", err, answer)
	}
	return stamped(t, f, tree)
}

// stamped writes a proof with a timestamp of its head, and the timestamp.
func stamped(t *testing.T, f *proof.File, tree *proof.Timestamp) (proofFile, ots string) {
	t.Helper()
	node, err := tree.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	data, err := proof.OTSReceipt{Network: proof.BitcoinRegtest, Timestamp: node}.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	b := proof.Continue(f)
	b.Receipt(proof.Receipt{Route: "ots", Kind: proof.KindOTS, Data: data})
	file, err := b.File().Encode()
	if err != nil {
		t.Fatal(err)
	}
	detached, err := proof.WriteOTS(tree)
	if err != nil {
		t.Fatal(err)
	}
	return write(t, file), write(t, detached)
}

// TestUpgradeByCalendar: a calendar that keeps its promise completes a proof,
// and an .ots file, without the gateway.
func TestUpgradeByCalendar(t *testing.T) {
	node := btcd.Start(t)
	node.Mine(110)
	cal := calendar.Start(t, node)
	file, ots := promised(t, cal.URL)
	dir := t.TempDir()
	out, outOTS := filepath.Join(dir, "new.proof"), filepath.Join(dir, "new.ots")
	if code, stdout, _ := invoke("--require", "pending", file); code != 0 {
		t.Fatalf("exit %d:\n%s", code, stdout)
	}
	for in, to := range map[string]string{file: out, ots: outOTS} {
		code, _, stderr := invoke("upgrade", "--calendar", "--out", to, in)
		if _, err := os.Stat(to); code != 1 || !strings.Contains(stderr, "in no block yet") || err == nil {
			t.Errorf("before the block: exit %d, written %v\n%s", code, err == nil, stderr)
		}
	}
	cal.Anchor()
	node.Mine(7)
	for in, to := range map[string]string{file: out, ots: outOTS} {
		code, stdout, stderr := invoke("upgrade", "--calendar", "--out", to, in)
		if code != 0 || !strings.Contains(stdout, cal.URL+" says: bitcoin block 111") {
			t.Fatalf("exit %d:\n%s%s", code, stdout, stderr)
		}
	}
	tip, _ := node.Tip()
	var all []proof.BitcoinHeader
	for h := range tip + 1 {
		block, err := node.Block(node.BlockHash(h))
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if err := block.Header.Serialize(&b); err != nil {
			t.Fatal(err)
		}
		all = append(all, proof.BitcoinHeader(b.Bytes()))
	}
	headersFile, err := proof.WriteBitcoinHeaders(proof.BitcoinRegtest, 0, all)
	if err != nil {
		t.Fatal(err)
	}
	headers := write(t, headersFile)
	for _, args := range [][]string{{"--headers", headers, out}, {"--headers", headers, "--network", "regtest", outOTS}} {
		if code, stdout, stderr := invoke(args...); code != 0 || !strings.HasPrefix(stdout, "VERIFIED anchored") {
			t.Errorf("exit %d:\n%s%s", code, stdout, stderr)
		}
	}
	if code, _, stderr := invoke("upgrade", "--calendar", "--out", out+"2", out); code != 1 || !strings.Contains(stderr, "nothing to add") {
		t.Errorf("once more: exit %d: %s", code, stderr)
	}
	// What the calendar said also completes a proof through the one that has it.
	code, stdout, stderr := invoke("upgrade", "--from", out, "--headers", headers, "--out", out+"2", file)
	if code != 0 || !strings.Contains(stdout, "from pending to anchored") {
		t.Errorf("exit %d:\n%s%s", code, stdout, stderr)
	}
}

// TestCalendarHostile: whatever a calendar answers, or the file names, nothing
// false is written, nobody else is asked, and the words stay plain.
func TestCalendarHostile(t *testing.T) {
	asked := false
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked = true }))
	defer other.Close()
	f, err := proof.Decode(mustRead(t, kept+"pending.proof"))
	if err != nil {
		t.Fatal(err)
	}
	heads, err := proof.HeadsOf(f)
	if err != nil {
		t.Fatal(err)
	}
	another, _ := proof.PendingAttestation(other.URL)
	node := func(change func(*proof.Timestamp)) []byte {
		tree := proof.NewTimestamp(heads[0].Root[:])
		change(tree)
		b, err := tree.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	for _, c := range []struct {
		name    string
		url     string // "": the server's
		handler http.HandlerFunc
		code    int
		want    string
	}{
		{"rubbish", "", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "\x00\x1b[31m") }, 2, "malformed"},
		{"empty", "", func(http.ResponseWriter, *http.Request) {}, 2, "ends too early"},
		{"without end", "", func(w http.ResponseWriter, _ *http.Request) {
			for range 100 {
				w.Write(make([]byte, 1000))
			}
		}, 2, "longer than 10000 bytes"},
		{"a redirect", "", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, other.URL, http.StatusFound) }, 2, "HTTP status 302"},
		{"an error", "", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(500)
			fmt.Fprint(w, "no\x1b[31m way\u202e")
		}, 2, "HTTP status 500: no31m way"},
		{"not yet", "", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404) }, 1, "in no block yet"},
		{"the promise again", "", nil, 1, "in no block yet"},
		{"a short message in a block", "", func(w http.ResponseWriter, _ *http.Request) {
			w.Write(node(func(t *proof.Timestamp) {
				end, _ := t.Path(proof.OTSOp{Tag: proof.OTSHexlify})
				end.Attest(proof.BitcoinAttestation(7))
			}))
		}, 2, "attests 64 bytes"},
		{"by way of SHA-1", "", func(w http.ResponseWriter, _ *http.Request) {
			w.Write(node(func(t *proof.Timestamp) {
				end, _ := t.Path(proof.OTSOp{Tag: proof.OTSSHA1}, proof.OTSOp{Tag: proof.OTSSHA256})
				end.Attest(proof.BitcoinAttestation(7))
			}))
		}, 2, "goes through sha1"},
		{"no TLS", "http://calendar.example", nil, 2, "only https is"},
		{"no URL", "file:/etc/passwd", nil, 2, "no URL"},
		{"down", "http://127.0.0.1:1", nil, 2, "refused"},
	} {
		t.Run(c.name, func(t *testing.T) {
			url := c.url
			srv := httptest.NewServer(nil)
			defer srv.Close()
			if url == "" {
				url = srv.URL
			}
			a, err := proof.PendingAttestation(url)
			if err != nil {
				t.Fatal(err)
			}
			tree := proof.NewTimestamp(heads[0].Root[:])
			tree.Attest(a)
			if srv.Config.Handler = c.handler; c.handler == nil {
				srv.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
					w.Write(node(func(t *proof.Timestamp) { t.Attest(a) }))
				})
			}
			file, ots := stamped(t, f, tree)
			for _, in := range []string{file, ots} {
				out := filepath.Join(t.TempDir(), "out")
				code, stdout, stderr := invoke("upgrade", "--calendar", "--out", out, in)
				if _, err := os.Stat(out); code != c.code || !strings.Contains(stderr, c.want) || err == nil {
					t.Errorf("exit %d, want %d with %q, written %v:\n%s%s", code, c.code, c.want, err == nil, stdout, stderr)
				}
				if strings.ContainsAny(stderr, "\x1b\u202e") {
					t.Errorf("it steers the terminal: %q", stderr)
				}
			}
		})
	}
	if asked {
		t.Error("somebody else was asked")
	}
	// A lie about a block is kept as what it is: nobody's headers bear it out.
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Write(node(func(t *proof.Timestamp) {
			t.Attest(proof.BitcoinAttestation(5))
			t.Attest(another)
		}))
	}))
	defer srv.Close()
	a, _ := proof.PendingAttestation(srv.URL)
	tree := proof.NewTimestamp(heads[0].Root[:])
	tree.Attest(a)
	file, _ := stamped(t, f, tree)
	out := filepath.Join(t.TempDir(), "out")
	if code, _, stderr := invoke("upgrade", "--calendar", "--out", out, file); code != 0 {
		t.Fatalf("a lie: exit %d: %s", code, stderr)
	}
	if code, stdout, _ := invoke("--headers", kept+"chains.bitcoin-headers", out); code == 0 || strings.Contains(stdout, "VERIFIED") {
		t.Errorf("a lie about a block is believed: %d\n%s", code, stdout)
	}
	if b, err := proof.Decode(mustRead(t, out)); err != nil || !bytes.Contains(b.Receipts[0].Data, []byte(srv.URL)) {
		t.Errorf("the promise is gone: %v", err)
	}
}
