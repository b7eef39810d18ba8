// Package anvil runs a real Ethereum development node for the length of a test. The node listens on loopback
// alone, mines a block per transaction and finalises blocks after two more; its chain id is 31337. The binary
// comes from scripts/tools.sh, which is run if it has not been yet.
package anvil

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/crypto"

	"cairn/scripts/tool"
)

// ChainID is the chain id of every Node.
const ChainID = 31337

const (
	startTimeout = 30 * time.Second
	stopTimeout  = 10 * time.Second
	callTimeout  = 10 * time.Second
	maxAnswer    = 16 << 20
)

// Node is a running anvil. Its methods are for one goroutine at a time.
type Node struct {
	// URL is where the node answers JSON-RPC over HTTP; it stays the same across Restart.
	URL string
	// Keys are the node's funded development accounts: the same in every node, and known to all the world.
	Keys []*ecdsa.PrivateKey

	t      testing.TB
	binary string
	state  string // file that keeps the chain between Stop and Resume
	addr   string // "" until the first start chose a port
	opts   []string
	run    *tool.Process
}

// Start starts a node with further command-line options and stops it when the test ends. If the test failed,
// the node's output goes to the test's log.
func Start(t testing.TB, opts ...string) *Node {
	t.Helper()
	binary, err := tool.Find("anvil")
	if err != nil {
		t.Fatalf("anvil: %v", err)
	}
	n := &Node{t: t, binary: binary, state: filepath.Join(t.TempDir(), "anvil.json"), opts: opts}
	t.Cleanup(n.Kill)
	n.Resume()
	return n
}

// Stop ends the node in order, so that it keeps its chain for Resume.
func (n *Node) Stop() {
	n.t.Helper()
	if n.run == nil {
		return
	}
	p := n.run
	if err := p.Interrupt(); err != nil {
		n.t.Fatalf("anvil: stop: %v", err)
	}
	select {
	case <-p.Done:
		n.run = nil
	case <-time.After(stopTimeout):
		n.t.Fatalf("anvil: still running %v after an interrupt", stopTimeout)
	}
}

// Kill ends the node at once. What it has not kept is lost: a Resume continues from the last Stop, or from
// the genesis block.
func (n *Node) Kill() {
	if n.run == nil {
		return
	}
	if n.t.Failed() {
		n.t.Logf("anvil's output ends with:\n%s", n.run.Output())
	}
	n.run.Kill()
	<-n.run.Done
	n.run = nil
}

// Resume starts the node again at the same URL, with the chain that the last Stop kept.
func (n *Node) Resume() {
	n.t.Helper()
	if n.run != nil {
		n.t.Fatal("anvil: Resume of a running node")
	}
	port := "0"
	if n.addr != "" {
		port = n.addr[strings.LastIndexByte(n.addr, ':')+1:]
	}
	args := append([]string{
		"--host", "127.0.0.1", "--port", port,
		"--slots-in-an-epoch", "1",
		"--state", n.state, "--preserve-historical-states",
	}, n.opts...)
	said := &lines{ready: make(chan struct{})}
	p, err := tool.Start(n.binary, args, said)
	if err != nil {
		n.t.Fatalf("anvil: %v", err)
	}
	n.run = p
	select {
	case <-said.ready:
	case <-p.Done:
		n.t.Fatalf("anvil: ended at its start:\n%s", p.Output())
	case <-time.After(startTimeout):
		n.t.Fatalf("anvil: not listening after %v:\n%s", startTimeout, p.Output())
	}
	n.addr, n.URL, n.Keys = said.addr, "http://"+said.addr, said.keys
	var chain string
	if err := n.Call(&chain, "eth_chainId"); err != nil {
		n.t.Fatalf("anvil: %v", err)
	}
}

// Restart is Stop and Resume.
func (n *Node) Restart() {
	n.t.Helper()
	n.Stop()
	n.Resume()
}

// Mine adds empty blocks.
func (n *Node) Mine(blocks int) {
	n.t.Helper()
	if err := n.Call(nil, "anvil_mine", fmt.Sprintf("0x%x", blocks)); err != nil {
		n.t.Fatalf("anvil: %v", err)
	}
}

// Call makes one JSON-RPC call and decodes its result, unless result is nil.
func (n *Node) Call(result any, method string, params ...any) error {
	if params == nil {
		params = []any{}
	}
	body, err := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
	if err != nil {
		return fmt.Errorf("encode %s: %w", method, err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, n.URL, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("call %s: %w", method, err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Close = true // no connection may outlive the node
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("call %s: %w", method, err)
	}
	defer resp.Body.Close()
	var answer struct {
		Result json.RawMessage `json:"result"`
		Error  *struct {
			Code    int    `json:"code"`
			Message string `json:"message"`
		} `json:"error"`
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxAnswer)).Decode(&answer); err != nil {
		return fmt.Errorf("decode answer to %s: %w", method, err)
	}
	if answer.Error != nil {
		return fmt.Errorf("%s: %s (code %d)", method, answer.Error.Message, answer.Error.Code)
	}
	if result == nil {
		return nil
	}
	if err := json.Unmarshal(answer.Result, result); err != nil {
		return fmt.Errorf("decode result of %s: %w", method, err)
	}
	return nil
}

// lines reads the node's output up to the line that tells its address; addr and keys are set before ready is
// closed and not changed after.
type lines struct {
	ready chan struct{}
	addr  string
	keys  []*ecdsa.PrivateKey
	rest  []byte
}

var (
	keyLine    = regexp.MustCompile(`^\(\d+\) 0x([0-9a-f]{64})$`)
	listenLine = regexp.MustCompile(`^Listening on (127\.0\.0\.1:\d+)$`)
)

// Write takes a piece of the output. The process writes one at a time.
func (l *lines) Write(b []byte) (int, error) {
	if l.addr != "" {
		return len(b), nil
	}
	l.rest = append(l.rest, b...)
	for l.addr == "" {
		line, rest, ok := bytes.Cut(l.rest, []byte("\n"))
		if !ok {
			break
		}
		l.rest = rest
		l.read(strings.TrimSpace(string(line)))
	}
	return len(b), nil
}

func (l *lines) read(line string) {
	if m := keyLine.FindStringSubmatch(line); m != nil {
		if key, err := crypto.HexToECDSA(m[1]); err == nil {
			l.keys = append(l.keys, key)
		}
	}
	if m := listenLine.FindStringSubmatch(line); m != nil {
		l.addr = m[1]
		close(l.ready)
	}
}
