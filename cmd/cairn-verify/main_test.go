//go:build !js

package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cairn/anchor/proof"
)

const kept = "../../anchor/proof/testdata/"

// invoke runs the command as main does.
func invoke(args ...string) (code int, stdout, stderr string) {
	var o, e bytes.Buffer
	code = run(args, &o, &e)
	return code, o.String(), e.String()
}

// sampleAnchor returns the anchor of the sample file, as its verdict has it.
func sampleAnchor(t *testing.T) proof.AnchorVerdict {
	t.Helper()
	_, out, _ := invoke("--json", kept+"v0.proof")
	var v proof.Verdict
	if err := json.Unmarshal([]byte(out), &v); err != nil || len(v.Anchors) != 1 {
		t.Fatalf("%v in %s", err, out)
	}
	return v.Anchors[0]
}

func write(t *testing.T, b []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestRun(t *testing.T) {
	file, err := os.ReadFile(kept + "v0.proof")
	if err != nil {
		t.Fatal(err)
	}
	bad := bytes.Clone(file)
	bad[len(bad)/2] ^= 1
	policy, _ := os.ReadFile(kept + "v0.policy")
	strange := string(policy) + "witness x\n"
	hash := sampleAnchor(t).Hash
	cases := []struct {
		name string
		args []string
		code int
		want string // in standard output or error
	}{
		{"all", []string{"--policy", kept + "v0.policy", "--headers", kept + "v0.headers", kept + "v0.proof"}, 0, "VERIFIED anchored: 4 readings\n"},
		{"flags after the file", []string{kept + "v0.proof", "--policy", kept + "v0.policy", "--block", hash}, 0, "VERIFIED anchored: 4 readings\n"},
		{"no policy", []string{"--block", hash[2:], kept + "v0.proof"}, 0, "VERIFIED anchored: 4 readings (IDENTITY NOT CHECKED)"},
		{"no trust", []string{"--policy", kept + "v0.policy", kept + "v0.proof"}, 1, "REFUSED: pending is less than anchored"},
		{"no trust, pending suffices", []string{"--policy", kept + "v0.policy", "--require", "pending", kept + "v0.proof"}, 0, "VERIFIED pending"},
		{"another block", []string{"--block", strings.Repeat("00", 32), kept + "v0.proof"}, 1, "REFUSED: pending"},
		{"flipped", []string{"--block", hash, write(t, bad)}, 1, "[file-damaged]"},
		{"json", []string{"--json", "--block", hash, kept + "v0.proof"}, 0, `"outcome": "verified"`},
		{"no such file", []string{"--block", hash, "no-such-file"}, 2, "COULD NOT CHECK"},
		{"no proof", []string{kept + "v0.policy"}, 2, "COULD NOT CHECK: not a proof file"},
		{"no such policy", []string{"--policy", "no-such-file", kept + "v0.proof"}, 2, "COULD NOT CHECK"},
		{"strange policy", []string{"--policy", write(t, []byte(strange)), kept + "v0.proof"}, 2, "unknown word"},
		{"headers are no headers", []string{"--headers", kept + "v0.policy", kept + "v0.proof"}, 2, "malformed headers file"},
		{"policy named by nothing", []string{"--policy", "", kept + "v0.proof"}, 2, "--policy was given without a value"},
		{"bad hash", []string{"--block", "0x12", kept + "v0.proof"}, 2, "not 32 bytes"},
		{"bad level", []string{"--require", "sure", kept + "v0.proof"}, 2, "none of none, logged"},
		{"bad url", []string{"--rpc", "node", kept + "v0.proof"}, 2, "http://"},
		{"agree without nodes", []string{"--agree", "1", kept + "v0.proof"}, 2, "--agree 1 with 0 nodes"},
		{"two files", []string{kept + "v0.proof", "b"}, 2, "one file"},
		{"no file", nil, 2, "--help"},
		{"two policies", []string{"--policy", kept + "v0.policy", "--policy", kept + "v0.policy", "--block", hash, kept + "v0.proof"}, 2, "given twice"},
		{"two levels", []string{"--require", "anchored", kept + "v0.proof", "--require", "logged"}, 2, "given twice"},
		{"no level", []string{"--require", "none", kept + "v0.proof"}, 2, "logged, pending, late or anchored"},
		{"agree is no number", []string{"--rpc", "http://localhost", "--agree", "x", kept + "v0.proof"}, 2, "no number"},
		{"one node twice", []string{"--rpc", "http://localhost:1/a", "--rpc", "HTTP://LOCALHOST:1/a", "--agree", "2", kept + "v0.proof"}, 2, "given twice"},
		{"unknown flag", []string{"--trust-me", kept + "v0.proof"}, 2, "--help"},
		{"attachment that nothing names", []string{"--block", hash, "--attachment", kept + "v0.policy", kept + "v0.proof"}, 1, "REFUSED: no statement of the proof names the file " + kept + "v0.policy, SHA-256 "},
		{"two of them", []string{"--block", hash, kept + "v0.proof", "--attachment", kept + "v0.policy", "--attachment", kept + "v0.headers"}, 1, "nor 1 file more"},
		{"attachment of a proof that is false", []string{"--block", hash, "--attachment", kept + "v0.policy", write(t, bad)}, 1, "[file-damaged]"},
		{"no such attachment", []string{"--block", hash, "--attachment", "no-such-file", kept + "v0.proof"}, 2, "--attachment: stat no-such-file: no such file or directory; check the name"},
		{"attachment that is a folder", []string{"--attachment", kept, kept + "v0.proof"}, 2, "is no file that could have been attached"},
		{"attachment that never ends", []string{"--attachment", "/dev/zero", kept + "v0.proof"}, 2, "is no file that could have been attached"},
		{"attachment of a stamp", []string{"--attachment", kept + "v0.policy", kept + "v1.bitcoin.ots"}, 2, "--attachment is of proof files"},
		{"attachment of evidence", []string{"--attachment", kept + "v0.policy", kept + "v1.fraud"}, 2, "--attachment is of proof files"},
		{"help", []string{"--help"}, 0, "usage:"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			code, out, errs := invoke(c.args...)
			if code != c.code || !strings.Contains(out+errs, c.want) {
				t.Errorf("exit %d, want %d with %q:\n%s%s", code, c.code, c.want, out, errs)
			}
		})
	}
}

// TestChains: a proof that two chains must vouch for wants both kinds of headers
// files, in any order.
func TestChains(t *testing.T) {
	proofFile, policy := kept+"chains.proof", kept+"chains.policy"
	eth, btc := kept+"chains.headers", kept+"chains.bitcoin-headers"
	headers, err := os.ReadFile(btc)
	if err != nil {
		t.Fatal(err)
	}
	cut := write(t, headers[:len(headers)-80])
	for _, c := range []struct {
		name string
		args []string
		code int
		want string
	}{
		{"both", []string{"--headers", eth, "--headers", btc}, 0, "VERIFIED anchored: 1 reading (BY bitcoin:regtest, WHOSE WORK IS WORTH NOTHING)\n"},
		{"the other way round", []string{"--headers", btc, "--headers", eth}, 0, "VERIFIED anchored: 1 reading (BY bitcoin:regtest, WHOSE WORK IS WORTH NOTHING)\n"},
		{"Ethereum's alone", []string{"--headers", eth}, 1, "statement 4 names another place, and is not followed: nothing that the policy trusts already vouches"},
		{"Bitcoin's alone", []string{"--headers", btc}, 1, "REFUSED: logged is less than anchored"},
		{"Bitcoin's damaged", []string{"--headers", eth, "--headers", cut}, 2, "malformed bitcoin headers file: "},
		{"Bitcoin's for a policy", []string{"--policy", btc, "--headers", eth}, 2, "--policy"},
		{"no such file", []string{"--headers", eth, "--headers", "no-such-file"}, 2, "no such file"},
	} {
		args := append([]string{"--policy", policy}, c.args...)
		if c.name == "Bitcoin's for a policy" {
			args = c.args
			c.want = "malformed policy"
		}
		code, out, errs := invoke(append(args, proofFile)...)
		if code != c.code || !strings.Contains(out+errs, c.want) {
			t.Errorf("%s: exit %d, want %d with %q:\n%s%s", c.name, code, c.code, c.want, out, errs)
		}
	}
	// A page gives the same as texts.
	text, err := os.ReadFile(eth)
	if err != nil {
		t.Fatal(err)
	}
	options, err := json.Marshal(map[string]any{"headers": []string{string(text), base64.StdEncoding.EncodeToString(headers)}})
	if err != nil {
		t.Fatal(err)
	}
	r, err := parseRequest(string(options))
	if err != nil {
		t.Fatal(err)
	}
	if o, err := r.options(nil); err != nil || len(o.Trust.(proof.AnyTrust)) != 2 {
		t.Errorf("headers of a page: %+v, %v", o, err)
	}
}

// node is an Ethereum node that knows one block.
type node struct {
	chain, number, final, time uint64
	hash                       string
	raw                        string // answers everything, if set
	status                     int
}

func (n node) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if n.status != 0 {
		w.WriteHeader(n.status)
		return
	}
	if n.raw != "" {
		fmt.Fprint(w, n.raw)
		return
	}
	var q struct {
		Method string `json:"method"`
		Params []any  `json:"params"`
	}
	json.NewDecoder(r.Body).Decode(&q)
	answer := "null"
	block := `{"number":"0x%x","hash":%q,"timestamp":"0x%x","extra":[]}`
	switch {
	case q.Method == "eth_chainId":
		answer = fmt.Sprintf(`"0x%x"`, n.chain)
	case q.Params[0] == "finalized":
		answer = fmt.Sprintf(block, n.final, "0x00", n.time+100)
	case q.Params[0] == fmt.Sprintf("0x%x", n.number):
		answer = fmt.Sprintf(block, n.number, n.hash, n.time)
	}
	fmt.Fprintf(w, `{"jsonrpc":"2.0","id":1,"result":%s}`, answer)
}

func TestRPC(t *testing.T) {
	a := sampleAnchor(t)
	good := node{chain: 1, number: a.Block, final: a.Block + 5, hash: a.Hash, time: 1}
	with := func(change func(*node)) node { n := good; change(&n); return n }
	wrong := with(func(n *node) { n.hash = "0x" + strings.Repeat("ab", 32) })
	cases := []struct {
		name  string
		nodes []node
		down  int // nodes that are not there
		agree string
		code  int
		want  string
	}{
		{"one", []node{good}, 0, "", 0, "1 of 1 nodes asked have it as final"},
		{"three", []node{good, good, good}, 0, "", 0, "3 of 3 nodes"},
		{"just final", []node{with(func(n *node) { n.final = n.number })}, 0, "", 0, "VERIFIED"},
		{"one of three lies, all must agree", []node{good, wrong, good}, 0, "", 1, "has hash"},
		{"one of three lies, two suffice", []node{good, wrong, good}, 0, "2", 0, "2 of 3 nodes"},
		{"two of three lie", []node{wrong, wrong, good}, 0, "2", 1, "[block-not-trusted]"},
		{"one is down, all must agree", []node{good}, 1, "", 2, "[block-could-not-be-checked]"},
		{"one is down, one suffices", []node{good}, 1, "1", 0, "1 of 2 nodes"},
		{"one is down, the other lies", []node{wrong}, 1, "2", 1, "[block-not-trusted]"},
		{"not final yet", []node{with(func(n *node) { n.final = n.number - 1 })}, 0, "", 1, "is not final yet"},
		{"another chain", []node{with(func(n *node) { n.chain = 5 })}, 0, "", 1, "it serves chain 5, not 1"},
		{"block unknown", []node{with(func(n *node) { n.number++ })}, 0, "", 2, "does not have block"},
		{"error", []node{{raw: `{"error":{"code":-32000,"message":"no\u001b[31m"}}`}}, 0, "", 2, `the node says -32000`},
		{"nothing", []node{{raw: `{}`}}, 0, "", 2, "has no result"},
		{"no JSON", []node{{raw: `<html>`}}, 0, "", 2, "no JSON-RPC"},
		{"null", []node{{raw: `{"result":null}`}}, 0, "", 2, "does not say which chain"},
		{"no quantity", []node{{raw: `{"result":"12"}`}}, 0, "", 2, "no quantity"},
		{"refuses", []node{{status: 403}}, 0, "", 2, "HTTP status 403"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			args := []string{"--policy", kept + "v0.policy", kept + "v0.proof"}
			for i := range c.nodes {
				srv := httptest.NewServer(c.nodes[i])
				defer srv.Close()
				args = append(args, "--rpc", srv.URL+"/secret-key")
			}
			for range c.down {
				srv := httptest.NewServer(nil)
				srv.Close()
				args = append(args, "--rpc", srv.URL+"/secret-key")
			}
			if c.agree != "" {
				args = append(args, "--agree", c.agree)
			}
			code, out, errs := invoke(args...)
			if code != c.code || !strings.Contains(out+errs, c.want) {
				t.Errorf("exit %d, want %d with %q:\n%s%s", code, c.code, c.want, out, errs)
			}
			if strings.Contains(out+errs, "secret-key") || strings.ContainsRune(out+errs, 0x1b) {
				t.Errorf("the output carries a node's URL or control characters:\n%s%s", out, errs)
			}
		})
	}
}

// TestUnwritten: a verdict that nobody could read is none.
func TestUnwritten(t *testing.T) {
	var errs bytes.Buffer
	args := []string{"--policy", kept + "v0.policy", "--headers", kept + "v0.headers", kept + "v0.proof"}
	if code := run(args, full{}, &errs); code != 2 || !strings.Contains(errs.String(), "no space") {
		t.Errorf("exit %d: %s", code, &errs)
	}
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("no space") }

// TestRedirect: a node does not send the question, and the key in its URL, on
// to somebody else.
func TestRedirect(t *testing.T) {
	asked := false
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked = true }))
	defer other.Close()
	srv := httptest.NewServer(http.RedirectHandler(other.URL, http.StatusTemporaryRedirect))
	defer srv.Close()
	code, out, _ := invoke("--rpc", srv.URL, kept+"v0.proof")
	if code != 2 || asked || !strings.Contains(out, "HTTP status 307") {
		t.Errorf("exit %d, the other node was asked: %v\n%s", code, asked, out)
	}
}

// TestRequest: the browser's options are read as strictly as flags.
func TestRequest(t *testing.T) {
	for text, want := range map[string]bool{
		`{}`: true, `{"require":"late","blocks":[]}`: true, `{"headers":"x"}`: true, `{"headers":["x","y"]}`: true, `{"headers":7}`: false,
		``: false, `{"polcy":"x"}`: false, `{"require":"late"} x`: false, `[]`: false, `{"require":"late","require":"logged"}`: false,
	} {
		if _, err := parseRequest(text); (err == nil) != want {
			t.Errorf("%s: %v, want accepted %v", text, err, want)
		}
	}
}

// TestOptions: what is left out is no policy and no trust, what is empty an error.
func TestOptions(t *testing.T) {
	empty := ""
	if _, err := (&request{Policy: &empty}).options(nil); err == nil {
		t.Error("an empty policy was taken for none")
	}
	if o, err := (&request{}).options(nil); err != nil || o.Trust != nil || o.Policy != nil || o.Require != proof.LevelAnchored {
		t.Errorf("%+v, %v", o, err)
	}
}
