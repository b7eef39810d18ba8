// Package btcd runs a real Bitcoin node on the regression test network for the length of a test. The node
// listens on loopback alone, for RPC and for peers, and mines when it is told to. The binary comes from
// scripts/tools.sh, which is run if it has not been yet.
//
// Mine lets the node build its blocks from its mempool; MineBlock takes a block of the caller's making.
// Coins come from Fund once Mine has left more than 100 blocks.
package btcd

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/btcsuite/btcd/address/v2"
	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/chaincfg/v2"
	"github.com/btcsuite/btcd/txscript/v2"

	"cairn/scripts/tool"
)

const (
	startTimeout = 30 * time.Second
	stopTimeout  = 30 * time.Second
	callTimeout  = 30 * time.Second
	syncTimeout  = 30 * time.Second
	pollEvery    = 20 * time.Millisecond
	maxAnswer    = 64 << 20
	startTries   = 5
)

// Node is a running btcd. Its methods are for one goroutine at a time, but for Call.
type Node struct {
	// URL is where the node answers JSON-RPC over plain HTTP, with User and Password; Peer is its address for
	// other nodes. All stay the same across Stop, Kill and Resume.
	URL, Peer, User, Password string
	// Key is the owner of what Mine earns, unless PayTo named another: Address is its P2WPKH address and
	// Script the output script. Every node has a key of its own.
	Key     *btcec.PrivateKey
	Address string
	Script  []byte

	t      testing.TB
	binary string
	dir    string
	payTo  string
	flags  []string
	rpc    string // where btcd itself answers
	door   *door  // behind which URL leads there
	run    *tool.Process
	chain  []kept // of heights 1, 2, …, for Resume
	spent  int    // height up to which Fund has looked for coinbases
}

// kept is a block of a node that is not running.
type kept struct{ hash, raw string }

// Option changes how a Node starts.
type Option func(*Node)

// PayTo has Mine earn for an address of the caller's. Fund has no coins then.
func PayTo(address string) Option { return func(n *Node) { n.payTo = address } }

// Flags adds flags to the command line, such as "--rejectreplacement".
func Flags(flags ...string) Option { return func(n *Node) { n.flags = append(n.flags, flags...) } }

// Start starts a node at the genesis block and ends it when the test ends. If the test failed, the node's
// output goes to the test's log.
func Start(t testing.TB, opts ...Option) *Node {
	t.Helper()
	binary, err := tool.Find("btcd")
	if err != nil {
		t.Fatalf("btcd: %v", err)
	}
	n := &Node{t: t, binary: binary, dir: t.TempDir(), User: "cairn", Password: rand.Text()}
	if n.Key, err = btcec.NewPrivateKey(); err != nil {
		t.Fatalf("btcd: draw key: %v", err)
	}
	if n.Address, n.Script, err = payToKey(n.Key); err != nil {
		t.Fatalf("btcd: %v", err)
	}
	n.payTo = n.Address
	for _, o := range opts {
		o(n)
	}
	t.Cleanup(n.end)
	// A port that was free a moment ago may be gone: draw others then.
	for try := 1; ; try++ {
		if err = n.choosePorts(); err == nil {
			err = n.resume()
		}
		if err == nil {
			err = n.open()
		}
		if err == nil {
			return n
		}
		n.end()
		if try == startTries {
			t.Fatalf("btcd: %v", err)
		}
	}
}

// payToKey returns the P2WPKH address of a key and its output script.
func payToKey(key *btcec.PrivateKey) (string, []byte, error) {
	hash := address.Hash160(key.PubKey().SerializeCompressed())
	a, err := address.NewAddressWitnessPubKeyHash(hash, &chaincfg.RegressionNetParams)
	if err != nil {
		return "", nil, fmt.Errorf("address of key: %w", err)
	}
	script, err := txscript.PayToAddrScript(a)
	if err != nil {
		return "", nil, fmt.Errorf("script of address: %w", err)
	}
	return a.EncodeAddress(), script, nil
}

// Stop ends the node in order. Resume brings its best chain back; the mempool is gone, as it is with any btcd.
func (n *Node) Stop() {
	n.t.Helper()
	if n.run == nil {
		return
	}
	n.keep()
	n.door.shut()
	if err := n.run.Interrupt(); err != nil {
		n.t.Fatalf("btcd: stop: %v", err)
	}
	select {
	case <-n.run.Done:
		n.run = nil
	case <-time.After(stopTimeout):
		n.t.Fatalf("btcd: still running %v after an interrupt", stopTimeout)
	}
}

// Kill ends the node at once, in whatever it is doing. Resume brings back the chain as it was before.
func (n *Node) Kill() {
	n.t.Helper()
	if n.run == nil {
		return
	}
	n.keep()
	n.end()
}

func (n *Node) end() {
	if n.run == nil {
		return
	}
	n.door.shut()
	if n.t.Failed() {
		n.t.Logf("btcd's output ends with:\n%s", n.run.Output())
	}
	n.run.Kill()
	<-n.run.Done
	n.run = nil
}

// Resume starts the node again at the same addresses, with the best chain that it had. Peers are to be
// connected again, and Invalidate is forgotten.
func (n *Node) Resume() {
	n.t.Helper()
	if n.run != nil {
		n.t.Fatal("btcd: Resume of a running node")
	}
	err := n.resume()
	for i := 0; err == nil && i < len(n.chain); i++ {
		err = n.submit(n.chain[i].raw)
	}
	if err == nil {
		err = n.open()
	}
	if err != nil {
		n.t.Fatalf("btcd: resume: %v", err)
	}
}

// open lets others in by the node's URL.
func (n *Node) open() (err error) {
	n.door, err = openDoor(strings.TrimPrefix(n.URL, "http://"), n.rpc)
	return err
}

// keep copies the best chain out of the node: at each start on this network btcd removes what it has.
func (n *Node) keep() {
	n.t.Helper()
	height, _ := n.Tip()
	chain := make([]kept, height)
	for ; height > 0; height-- {
		hash := n.BlockHash(height)
		if height <= len(n.chain) && n.chain[height-1].hash == hash {
			copy(chain, n.chain[:height])
			break
		}
		var raw string
		if err := n.Call(&raw, "getblock", hash, 0); err != nil {
			n.t.Fatalf("btcd: keep block %d: %v", height, err)
		}
		chain[height-1] = kept{hash, raw}
	}
	n.chain = chain
}

// resume returns once the node answers. If it cannot be started, its process has ended.
func (n *Node) resume() error {
	// The password is in a file: a command line is for all to see.
	config := filepath.Join(n.dir, "btcd.conf")
	text := fmt.Sprintf("[Application Options]\nrpcuser=%s\nrpcpass=%s\n", n.User, n.Password)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return fmt.Errorf("write configuration: %w", err)
	}
	args := append([]string{
		"--regtest", "--configfile=" + config,
		"--datadir=" + filepath.Join(n.dir, "data"), "--logdir=" + filepath.Join(n.dir, "logs"),
		"--notls", "--rpclisten=" + n.rpc, "--rpcmaxclients=200", "--rpcmaxconcurrentreqs=200",
		"--listen=" + n.Peer, "--nodnsseed", "--noonion", "--nobanning", "--nostalldetect", "--trickleinterval=50ms",
		"--blockprioritysize=0", "--miningaddr=" + n.payTo,
	}, n.flags...)
	p, err := tool.Start(n.binary, args, nil)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	err = poll(ctx, func() error {
		select {
		case <-p.Done:
			return fmt.Errorf("ended at its start:\n%s", p.Output())
		default:
			return n.Call(nil, "getblockcount")
		}
	})
	if err != nil {
		p.Kill()
		<-p.Done
		return fmt.Errorf("start: %w\n%s", err, p.Output())
	}
	n.run = p
	return nil
}

// choosePorts draws the ports. They are below those that systems give to outgoing connections, so that none
// of these takes one while the node is stopped.
func (n *Node) choosePorts() error {
	rpc, err := freePort()
	if err != nil {
		return err
	}
	peer, err := freePort()
	if err != nil {
		return err
	}
	url, err := freePort()
	if err != nil {
		return err
	}
	n.rpc, n.Peer, n.URL = rpc, peer, "http://"+url
	return nil
}

func freePort() (string, error) {
	for range 100 {
		port, err := rand.Int(rand.Reader, big.NewInt(20000))
		if err != nil {
			return "", fmt.Errorf("draw port: %w", err)
		}
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 12000+port.Int64()))
		if err == nil {
			return l.Addr().String(), l.Close()
		}
	}
	return "", errors.New("no free port")
}

// Connect makes n dial another node, which it will do again whenever the connection breaks, and returns once
// both are connected.
func (n *Node) Connect(other *Node) {
	n.t.Helper()
	if err := n.Call(nil, "addnode", other.Peer, "add"); err != nil {
		n.t.Fatalf("btcd: connect: %v", err)
	}
	n.wait("be connected", func() error {
		for _, node := range []*Node{n, other} {
			if _, err := node.peerOf(n, other); err != nil {
				return err
			}
		}
		return nil
	})
}

// Disconnect undoes Connect and returns once n has forgotten the other node.
func (n *Node) Disconnect(other *Node) {
	n.t.Helper()
	if err := n.Call(nil, "addnode", other.Peer, "remove"); err != nil {
		n.t.Fatalf("btcd: disconnect: %v", err)
	}
	n.wait("be disconnected", func() error {
		if id, err := n.peerOf(n, other); err == nil {
			return fmt.Errorf("still peer %d", id)
		}
		return nil
	})
}

// peerOf finds, in n's list of peers, the connection that from has made to to. An incoming one shows the
// other's outgoing port, so that any will do.
func (n *Node) peerOf(from, to *Node) (int, error) {
	var peers []struct {
		ID      int    `json:"id"`
		Addr    string `json:"addr"`
		Inbound bool   `json:"inbound"`
		Version int    `json:"version"`
	}
	if err := n.Call(&peers, "getpeerinfo"); err != nil {
		return 0, err
	}
	for _, p := range peers {
		if p.Version > 0 && (n == from && p.Addr == to.Peer || n == to && p.Inbound) {
			return p.ID, nil
		}
	}
	return 0, errors.New("no such peer")
}

// Tip returns height and hash of the node's best block.
func (n *Node) Tip() (height int, hash string) {
	n.t.Helper()
	var best struct {
		Hash   string `json:"hash"`
		Height int    `json:"height"`
	}
	if err := n.Call(&best, "getbestblock"); err != nil {
		n.t.Fatalf("btcd: %v", err)
	}
	return best.Height, best.Hash
}

// BlockHash returns the hash of the best chain's block at a height.
func (n *Node) BlockHash(height int) string {
	n.t.Helper()
	var hash string
	if err := n.Call(&hash, "getblockhash", height); err != nil {
		n.t.Fatalf("btcd: block %d: %v", height, err)
	}
	return hash
}

// WaitFor returns once the node's best block has this hash: what a peer mines takes a moment to come.
func (n *Node) WaitFor(hash string) {
	n.t.Helper()
	n.wait("reach block "+hash, func() error {
		if height, best := n.Tip(); best != hash {
			return fmt.Errorf("at block %d, %s", height, best)
		}
		return nil
	})
}

// WaitForTx returns once the node's mempool has a transaction.
func (n *Node) WaitForTx(txid string) {
	n.t.Helper()
	n.wait("hear of transaction "+txid, func() error {
		var pool []string
		if err := n.Call(&pool, "getrawmempool"); err != nil {
			return err
		}
		for _, have := range pool {
			if have == txid {
				return nil
			}
		}
		return fmt.Errorf("%d others in the mempool", len(pool))
	})
}

// Invalidate makes the node leave the chain that holds a block. What its transactions were goes back to the
// mempool.
func (n *Node) Invalidate(hash string) {
	n.t.Helper()
	if err := n.Call(nil, "invalidateblock", hash); err != nil {
		n.t.Fatalf("btcd: invalidate: %v", err)
	}
}

// Reconsider undoes Invalidate; the node takes that chain again if it is the longer one.
func (n *Node) Reconsider(hash string) {
	n.t.Helper()
	if err := n.Call(nil, "reconsiderblock", hash); err != nil {
		n.t.Fatalf("btcd: reconsider: %v", err)
	}
}

func (n *Node) wait(what string, done func() error) {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), syncTimeout)
	defer cancel()
	if err := poll(ctx, done); err != nil {
		n.t.Fatalf("btcd: did not %s: %v", what, err)
	}
}

// poll asks until there is no error, or returns the last one.
func poll(ctx context.Context, ask func() error) error {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		err := ask()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-tick.C:
		}
	}
}

// Call makes one JSON-RPC call and decodes its result, unless result is nil.
func (n *Node) Call(result any, method string, params ...any) error {
	if params == nil {
		params = []any{}
	}
	body, err := json.Marshal(map[string]any{"jsonrpc": "1.0", "id": 1, "method": method, "params": params})
	if err != nil {
		return fmt.Errorf("encode %s: %w", method, err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+n.rpc, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("call %s: %w", method, err)
	}
	req.SetBasicAuth(n.User, n.Password)
	req.Close = true // no connection may outlive the node
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("call %s: %w", method, err)
	}
	defer resp.Body.Close()
	var answer struct {
		Result json.RawMessage `json:"result"`
		Error  *Error          `json:"error"`
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxAnswer)).Decode(&answer); err != nil {
		return fmt.Errorf("decode answer to %s, status %d: %w", method, resp.StatusCode, err)
	}
	if answer.Error != nil {
		return fmt.Errorf("%s: %w", method, answer.Error)
	}
	if result == nil {
		return nil
	}
	if err := json.Unmarshal(answer.Result, result); err != nil {
		return fmt.Errorf("decode result of %s: %w", method, err)
	}
	return nil
}

// Error is what the node answers to a call that failed.
type Error struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
}

func (e *Error) Error() string { return fmt.Sprintf("%s (code %d)", e.Message, e.Code) }
