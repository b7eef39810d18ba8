package main

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/accounts/keystore"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/rogpeppe/go-internal/testscript"

	"cairn/anchor/proof"
	"cairn/ingest"
	"cairn/ingest/frame"
	"cairn/merkle/ledger"
	"cairn/scripts/anvil"
	"cairn/scripts/btcd"
	"cairn/scripts/calendar"
	"cairn/scripts/ipfs"
	"cairn/scripts/mosquitto"
)

func TestMain(m *testing.M) {
	testscript.Main(m, storyPrograms)
}

// storyPrograms are what stories can run besides the built binaries.
var storyPrograms = map[string]func(){"sendframes": sendFrames}

// TestStories runs the scripts in testdata against the built binaries. A script
// that mentions $CHAIN has a node of its own, and one that mentions $BTC or
// $CALENDAR a Bitcoin node with a calendar, one that mentions $IPFS an IPFS node, $HOOK a server that takes notices; $UDP and $HTTP are free ports.
func TestStories(t *testing.T) {
	bin := t.TempDir()
	build := exec.Command("go", "build", "-o", bin+string(filepath.Separator), "cairn/cmd/cairn", "cairn/cmd/cairn-verify")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	scripts, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(scripts) == 0 {
		t.Fatalf("got %d scripts, %v", len(scripts), err)
	}
	for _, file := range scripts {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			t.Parallel()
			story(t, bin, file)
		})
	}
}

func story(t *testing.T, bin, file string) {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	s := &stage{t: t}
	if strings.Contains(string(text), "$CHAIN") {
		s.node = anvil.Start(t, "--block-time", "1")
	}
	if strings.Contains(string(text), "$BTC") || strings.Contains(string(text), "$CALENDAR") {
		node := btcd.Start(t)
		s.btc = &bitcoinStage{node: node, calendar: calendar.Start(t, node)}
		node.Mine(110) // money that can be spent
	}
	if strings.Contains(string(text), "$IPFS") {
		s.ipfs = ipfs.Start(t)
	}
	if strings.Contains(string(text), "$BROKER") {
		s.broker = mosquitto.Start(t, mosquitto.Options{
			User: "cairn", Password: "broker-s3cret", TLS: true, Certificates: strings.Contains(string(text), "$BROKERCERT"),
		})
	}
	if strings.Contains(string(text), "$HOOK") {
		s.hook = &hookServer{t: t, address: "127.0.0.1:0", secret: []byte("canteen-hook-secret-of-16")}
		if err := s.hook.up(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.hook.down)
	}
	testscript.Run(t, testscript.Params{
		Files: []string{file}, RequireExplicitExec: true, Setup: func(e *testscript.Env) error { return s.setup(e, bin) },
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"await": s.await, "code": s.code, "capture": s.capture, "chain": s.chain, "edit": s.edit, "fetch": s.fetch, "post": s.post, "certify": s.certify, "flip": s.flip,
			"copy": s.copy, "bitcoin": s.bitcoin, "drop": s.drop, "past": s.past, "history": s.history, "identity": s.identity, "absent": s.absent, "guess": s.guess,
			"lie":     s.lie,
			"publish": s.publish, "broker": s.brokerDo, "hook": s.hookDo,
			"ago": s.ago, "ipfsnode": s.ipfsNode,
		},
	})
}

// drop writes a proof file without one reading of a range:
//
//	drop FILE STREAM SEQUENCE OUT
func (s *stage) drop(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 4 {
		ts.Fatalf("usage: drop FILE STREAM SEQUENCE OUT")
	}
	b, err := os.ReadFile(ts.MkAbs(args[0]))
	ts.Check(err)
	f, err := proof.Decode(b)
	ts.Check(err)
	dropped := false
	for i := range f.Ranges {
		r := &f.Ranges[i]
		sum, err := ledger.ParseSummary(f.Summaries[r.Summaries[0]].Item)
		ts.Check(err)
		if strconv.FormatUint(sum.Slot, 10) != args[1] {
			continue
		}
		r.Readings = slices.DeleteFunc(r.Readings, func(n proof.Numbered) bool {
			dropped = dropped || strconv.FormatUint(n.Seq, 10) == args[2]
			return strconv.FormatUint(n.Seq, 10) == args[2]
		})
	}
	if !dropped {
		ts.Fatalf("no reading %s of stream %s", args[2], args[1])
	}
	b, err = f.Encode()
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[3]), b, 0o666))
}

// stage is what one story plays on.
type stage struct {
	t    *testing.T
	node *anvil.Node   // nil if the story names no $CHAIN
	btc  *bitcoinStage // nil if it names neither $BTC nor $CALENDAR
	ipfs *ipfs.Node    // nil if it names no $IPFS

	broker *mosquitto.Broker // nil if it names no $BROKER
	hook   *hookServer       // nil if it names no $HOOK
}

func (s *stage) setup(e *testscript.Env, bin string) error {
	e.Setenv("PATH", bin+string(filepath.ListSeparator)+e.Getenv("PATH"))
	for _, name := range []string{"UDP", "HTTP", "NOBODY", "WITNESS"} {
		port, err := freePort()
		if err != nil {
			return err
		}
		e.Setenv(name, strconv.Itoa(port))
	}
	if s.btc != nil {
		if err := s.btc.setup(e); err != nil {
			return err
		}
	}
	if s.broker != nil {
		e.Setenv("BROKER", s.broker.URL)
		e.Setenv("BROKERCA", s.broker.CAFile)
		e.Setenv("BROKERCERT", s.broker.CertFile)
		e.Setenv("BROKERKEY", s.broker.KeyFile)
	}
	if s.hook != nil {
		e.Setenv("HOOK", "http://"+s.hook.address)
		s.hook.file = filepath.Join(e.WorkDir, "hook.log")
	}
	if s.ipfs != nil {
		e.Setenv("IPFS", s.ipfs.URL)
	}
	if s.node == nil {
		return nil
	}
	e.Setenv("CHAIN", s.node.URL)
	for i, name := range accountFiles {
		key := &keystore.Key{Address: s.account(i), PrivateKey: s.node.Keys[i]}
		b, err := keystore.EncryptKey(key, "sesame", keystore.LightScryptN, keystore.LightScryptP)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(e.WorkDir, name), b, 0o600); err != nil {
			return err
		}
	}
	return os.WriteFile(filepath.Join(e.WorkDir, "anchor.pass"), []byte("sesame\n"), 0o600)
}

// accountFiles are the keystores of the node's first accounts.
var accountFiles = []string{"anchor.json", "anchor2.json"}

func (s *stage) account(i int) common.Address {
	return crypto.PubkeyToAddress(s.node.Keys[i].PublicKey)
}

// freePort finds a UDP and TCP port that nobody uses at this moment.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

const awaitLimit = 40 * time.Second

// await runs a command until its output, of both kinds, fits a pattern:
//
//	await PATTERN command args…
func (s *stage) await(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: await PATTERN command args…")
	}
	pattern, err := regexp.Compile(args[0])
	ts.Check(err)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(awaitLimit)
	path, err := find(ts, args[1])
	ts.Check(err)
	for {
		cmd := exec.Command(path, args[2:]...)
		cmd.Dir = ts.MkAbs(".")
		for _, name := range []string{"PATH", "HOME", "TMPDIR", envDir} {
			cmd.Env = append(cmd.Env, name+"="+ts.Getenv(name))
		}
		got, _ := cmd.CombinedOutput() // red health is an exit code too
		if pattern.Match(got) {
			_, _ = ts.Stdout().Write(got)
			return
		}
		select {
		case <-tick.C:
		case <-limit:
			ts.Fatalf("%s does not come; last:\n%s", args[0], got)
		}
	}
}

// find looks a command up in the story's own path.
func find(ts *testscript.TestScript, name string) (string, error) {
	for _, dir := range filepath.SplitList(ts.Getenv("PATH")) {
		if path := filepath.Join(dir, name); isExecutable(path) {
			return path, nil
		}
	}
	return "", fmt.Errorf("no command %s", name)
}

func isExecutable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode()&0o111 != 0
}

// code runs a command that must exit with a code:
//
//	code N command args…
func (s *stage) code(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: code N command args…")
	}
	got := 0
	err := ts.Exec(args[1], args[2:]...)
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if strconv.Itoa(got) != args[0] {
		ts.Fatalf("exit code %d, want %s", got, args[0])
	}
}

// capture sets a variable to what a pattern's group matches in the last output:
//
//	capture NAME PATTERN
func (s *stage) capture(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: capture NAME PATTERN")
	}
	m := regexp.MustCompile(args[1]).FindStringSubmatch(ts.ReadFile("stdout"))
	if len(m) != 2 {
		ts.Fatalf("%s does not fit", args[1])
	}
	ts.Setenv(args[0], m[1])
}

// chain works on the node: stop, resume, pause (no blocks), go (a block a
// second again), sent N [ACCOUNT] (so many transactions of the account, by
// default 0, are in blocks), balance WEI (what account 0 has from now on).
func (s *stage) chain(ts *testscript.TestScript, neg bool, args []string) {
	var err error
	switch {
	case neg || len(args) == 0:
		ts.Fatalf("usage: chain stop|resume|pause|go|sent N [ACCOUNT]|count NAME|balance WEI")
	case args[0] == "stop":
		s.node.Stop()
	case args[0] == "resume":
		s.node.Resume()
	case args[0] == "pause":
		err = s.node.Call(nil, "evm_setIntervalMining", 0)
		if err == nil {
			err = s.node.Call(nil, "evm_setAutomine", false)
		}
	case args[0] == "go":
		err = s.node.Call(nil, "evm_setIntervalMining", 1)
	case args[0] == "balance" && len(args) == 2:
		wei, ok := new(big.Int).SetString(args[1], 10)
		if !ok {
			ts.Fatalf("%s is no number of wei", args[1])
		}
		err = s.node.Call(nil, "anvil_setBalance", s.account(0).Hex(), "0x"+wei.Text(16))
	case args[0] == "count" && len(args) == 2: // transactions that were sent, in blocks or not, into an environment variable
		var n string
		err = s.node.Call(&n, "eth_getTransactionCount", s.account(0).Hex(), "pending")
		ts.Setenv(args[1], n)
	case args[0] == "sent" && len(args) > 1:
		account := 0
		if len(args) > 2 {
			account, err = strconv.Atoi(args[2])
			ts.Check(err)
		}
		var n string
		err = s.node.Call(&n, "eth_getTransactionCount", s.account(account).Hex(), "latest")
		got, _ := strconv.ParseUint(strings.TrimPrefix(n, "0x"), 16, 64)
		digits, orMore := strings.CutSuffix(args[1], "..")
		want, perr := strconv.ParseUint(digits, 10, 64)
		ts.Check(perr)
		if err == nil && got != want && !(orMore && got > want) {
			ts.Fatalf("%d transactions are in blocks, want %s", got, args[1])
		}
	default:
		ts.Fatalf("chain %v", args)
	}
	ts.Check(err)
}

// edit replaces text in a file: edit FILE OLD NEW, with \n for a line's end.
func (s *stage) edit(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: edit FILE OLD NEW")
	}
	old, replacement := strings.ReplaceAll(args[1], `\n`, "\n"), strings.ReplaceAll(args[2], `\n`, "\n")
	text := ts.ReadFile(args[0])
	if !strings.Contains(text, old) {
		ts.Fatalf("%s does not hold %q", args[0], old)
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(strings.Replace(text, old, replacement, 1)), 0o600))
}

// fetch asks a URL for a status code, with a bearer token if one is given, and
// writes status line, headers and body to standard output.
//
//	fetch CODE URL [TOKEN]
func (s *stage) fetch(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: fetch CODE URL [TOKEN]")
	}
	r, err := http.NewRequest(http.MethodGet, args[1], nil)
	ts.Check(err)
	if len(args) > 2 {
		r.Header.Set("Authorization", "Bearer "+args[2])
	}
	client := &http.Client{Timeout: 10 * time.Second}
	if r.URL.Scheme == "https" {
		client.Transport = clientTLS(ts, "", false)
	}
	resp, err := client.Do(r)
	ts.Check(err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	ts.Check(err)
	for _, name := range []string{"Content-Type", "Cache-Control"} {
		fmt.Fprintf(ts.Stdout(), "%s: %s\n", name, resp.Header.Get(name))
	}
	fmt.Fprintf(ts.Stdout(), "Bytes: %d\n%s\n", len(body), body)
	if got := strconv.Itoa(resp.StatusCode); got != args[0] {
		ts.Fatalf("%s answers %s, want %s", args[1], got, args[0])
	}
}

// post posts a file: post CODE URL TOKEN FILE TYPE [HEADER VALUE]. A TOKEN of "-" is
// none, one of cert:NAME is the client certificate that certify made. HTTPS is trusted
// if it is served with what certify made as "server".
func (s *stage) post(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 5 && len(args) != 7 {
		ts.Fatalf("usage: post CODE URL TOKEN FILE TYPE [HEADER VALUE]")
	}
	r, err := http.NewRequest(http.MethodPost, args[1], strings.NewReader(ts.ReadFile(args[3])))
	ts.Check(err)
	client := &http.Client{Timeout: 20 * time.Second}
	name, certified := strings.CutPrefix(args[2], "cert:")
	if strings.HasPrefix(args[1], "https:") {
		client.Transport = clientTLS(ts, name, certified)
	}
	if args[2] != "-" && !certified {
		r.Header.Set("Authorization", "Bearer "+args[2])
	}
	r.Header.Set("Content-Type", args[4])
	if len(args) > 5 {
		r.Header.Set(args[5], args[6])
	}
	resp, err := client.Do(r)
	ts.Check(err)
	defer client.CloseIdleConnections()
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	ts.Check(err)
	fmt.Fprintf(ts.Stdout(), "%s", body)
	if got := strconv.Itoa(resp.StatusCode); got != args[0] {
		ts.Fatalf("%s answers %s %s, want %s", args[1], got, body, args[0])
	}
}

// flip changes one bit of a file's byte: flip FILE OFFSET, from the end if it is
// negative.
func (s *stage) flip(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: flip FILE OFFSET")
	}
	b := []byte(ts.ReadFile(args[0]))
	at, err := strconv.Atoi(args[1])
	ts.Check(err)
	if at < 0 {
		at += len(b)
	}
	b[at] ^= 1
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), b, 0o600))
}

// copy copies a folder with all its files: copy FROM TO. TO is replaced.
func (s *stage) copy(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: copy FROM TO")
	}
	from, to := ts.MkAbs(args[0]), ts.MkAbs(args[1])
	ts.Check(os.RemoveAll(to))
	ts.Check(filepath.WalkDir(from, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.Type()&os.ModeSocket != 0 {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		if d.IsDir() {
			return os.MkdirAll(filepath.Join(to, rel), 0o700)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, rel), b, 0o600)
	}))
}

// sendFrames is a node: sendframes PORT ID KEY COUNTER STATS…, one frame for each
// text of stats, with counters from COUNTER+1 on. With - for the port it prints one in
// base64.
func sendFrames() {
	if err := sendAll(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "sendframes:", err)
		os.Exit(1)
	}
}

func sendAll(args []string) error {
	if len(args) < 5 {
		return errors.New("want: PORT ID KEY COUNTER STATS…")
	}
	id, err := frame.ParseID(args[1])
	if err != nil {
		return err
	}
	key, err := frame.ParseKey(args[2])
	if err != nil {
		return err
	}
	counter, err := strconv.ParseUint(args[3], 16, 48)
	if err != nil {
		return err
	}
	node, err := ingest.NewSimulator(id, key, ingest.SimulatorOptions{Counter: frame.Counter(counter)})
	if err != nil {
		return err
	}
	out := base64.NewEncoder(base64.StdEncoding, os.Stdout)
	if args[0] != "-" {
		if out, err = net.Dial("udp", "127.0.0.1:"+args[0]); err != nil {
			return err
		}
	}
	for _, stats := range args[4:] {
		wire, err := node.Next(frame.Body{Valve: -1, Stats: []byte(stats)})
		if err != nil {
			return err
		}
		if _, err := out.Write(wire[1:]); err != nil {
			return err
		}
	}
	return out.Close()
}
