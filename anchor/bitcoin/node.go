package bitcoin

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"strings"
	"time"
	"unicode"

	"github.com/btcsuite/btcd/btcjson"
	"github.com/btcsuite/btcd/chaincfg/v2"
	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcd/rpcclient"
	"github.com/btcsuite/btcd/wire/v2"
	"golang.org/x/sync/errgroup"

	"cairn/anchor"
	"cairn/anchor/proof"
)

// NodeConfig says where a node is. What is left zero has the default that is
// named.
type NodeConfig struct {
	// Network is the network that the node must be on: "mainnet", "testnet4",
	// "signet" or "regtest".
	Network string
	// URL is the node's JSON-RPC, http[s]://host:port. It holds no user or
	// password.
	URL string
	// User and Password are the node's. CookieFile, instead of both, is the
	// file that Bitcoin Core writes at each start; it is read for each call.
	User, Password string
	CookieFile     string
	// CAFile is a PEM file with the certificates that https is checked by,
	// default the system's. btcd writes its own as rpc.cert.
	CAFile string
	// Timeout ends each single request, default 15 s, at most a minute. MaxResponse is the
	// longest answer that is read, in bytes, default 32 MiB (the largest block
	// is 8 MB as hex).
	Timeout     time.Duration
	MaxResponse int64
}

const (
	defaultTimeout  = 15 * time.Second
	maxTimeout      = time.Minute // rpcclient's own
	defaultResponse = 32 << 20
	maxSmallFile    = 64 << 10
)

// Node is a btcd or Bitcoin Core node, spoken to by JSON-RPC over HTTP. It is
// connected to when it is first called. Blocks and headers that it hands out
// hash to their names, bear the work that their bits name, and hold what
// their Merkle roots name; nothing else of it is believed to be true. Hashes
// are in internal byte order. It is safe for concurrent use.
type Node struct {
	network string
	params  *chaincfg.Params
	host    string
	timeout time.Duration
	limit   int64
	gate    *gate
}

// NewNode checks the configuration. It does not connect.
func NewNode(cfg NodeConfig) (*Node, error) {
	params, err := paramsOf(cfg.Network)
	if err != nil {
		return nil, fmt.Errorf("bitcoin: %w", err)
	}
	u, err := checkURL(cfg.URL)
	if err != nil {
		return nil, fmt.Errorf("bitcoin: %w", err)
	}
	switch {
	case cfg.CookieFile != "" && (cfg.User != "" || cfg.Password != ""):
		return nil, errors.New("bitcoin: both a cookie file and a user for the node")
	case cfg.Timeout < 0 || cfg.Timeout > maxTimeout || cfg.MaxResponse < 0:
		return nil, errors.New("bitcoin: a limit on the node's answers is out of range")
	case cfg.CAFile != "" && u.Scheme != "https":
		return nil, errors.New("bitcoin: certificates are for https, but the node's URL is http")
	}
	roots, err := readRoots(cfg.CAFile)
	if err != nil {
		return nil, fmt.Errorf("bitcoin: %w", err)
	}
	n := &Node{network: cfg.Network, params: params, host: u.Host, timeout: cfg.Timeout, limit: cfg.MaxResponse}
	if n.timeout == 0 {
		n.timeout = defaultTimeout
	}
	if n.limit == 0 {
		n.limit = defaultResponse
	}
	auth := func() (string, string, error) { return cfg.User, cfg.Password, nil }
	if cfg.CookieFile != "" {
		auth = func() (string, string, error) { return readCookie(cfg.CookieFile) }
	}
	n.gate = newGate(u.String(), auth, roots, n.limit)
	return n, nil
}

// checkURL does not put s into its error: it may hold a password.
func checkURL(s string) (*url.URL, error) {
	if s == "" {
		return nil, errors.New("no URL of the node")
	}
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Host == "":
		return nil, errors.New("the URL of the node cannot be read")
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, fmt.Errorf("the URL of the node has scheme %.10q, want http or https", u.Scheme)
	case u.User != nil:
		return nil, errors.New("the URL of the node holds a user: name it beside the URL")
	case u.RawQuery != "" || u.Fragment != "":
		return nil, errors.New("the URL of the node has a query")
	}
	return u, nil
}

func readRoots(path string) (*tls.Config, error) {
	cfg := &tls.Config{MinVersion: tls.VersionTLS12}
	if path == "" {
		return cfg, nil
	}
	pem, err := readSmall(path)
	if err != nil {
		return nil, fmt.Errorf("certificates of the node: %w", err)
	}
	cfg.RootCAs = x509.NewCertPool()
	if !cfg.RootCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("certificates of the node: there is none in %s", path)
	}
	return cfg, nil
}

// readCookie reads "user:password" as Bitcoin Core writes it.
func readCookie(path string) (user, password string, err error) {
	b, err := readSmall(path)
	if err != nil {
		return "", "", err
	}
	user, password, ok := strings.Cut(strings.TrimRight(string(b), "\r\n"), ":")
	if !ok {
		return "", "", fmt.Errorf("%s is not a cookie file", path)
	}
	return user, password, nil
}

func readSmall(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxSmallFile+1))
	if err == nil && len(b) > maxSmallFile {
		err = fmt.Errorf("%s is longer than %d bytes", path, maxSmallFile)
	}
	return b, err
}

// Network returns the network's name.
func (n *Node) Network() string { return n.network }

// Close ends the connections. It is no error to call the node afterwards.
func (n *Node) Close() { n.gate.close() }

// call calls a method. Its errors are safe to show: they hold no more of the
// URL than the host, no password, and no more of a foreign answer than a
// line. An error answer of the node is a *nodeError; everything else is
// ErrDown, or ErrAgain if the answer made no sense.
//
// rpcclient's calls know no context. Each call has a client of its own, which
// costs two goroutines, and that client is shut down when ctx ends: the call
// returns then, and leaves nothing running.
func (n *Node) call(ctx context.Context, method string, args ...any) (json.RawMessage, error) {
	ctx, cancel := context.WithTimeout(ctx, n.timeout)
	defer cancel()
	params := make([]json.RawMessage, len(args))
	for i, a := range args {
		b, err := json.Marshal(a)
		if err != nil {
			return nil, fmt.Errorf("encode %s: %w", method, err)
		}
		params[i] = b
	}
	addr, token, state, err := n.gate.enter(ctx, cancel)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", anchor.ErrDown, err)
	}
	defer n.gate.leave(token)
	client, err := rpcclient.New(&rpcclient.ConnConfig{
		Host: addr, User: "gate", Pass: token, HTTPPostMode: true, DisableTLS: true,
	}, nil)
	if err != nil {
		return nil, fmt.Errorf("%w: %s", anchor.ErrDown, oneLine(err.Error()))
	}
	stop := context.AfterFunc(ctx, client.Shutdown)
	result, err := client.RawRequest(method, params)
	stop()
	client.Shutdown()
	client.WaitForShutdown()
	status, lost := state.outcome()
	if err == nil && lost == nil {
		return result, nil
	}
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return nil, fmt.Errorf("%w: the node %s did not answer in time", anchor.ErrDown, n.host)
	case ctx.Err() != nil:
		return nil, fmt.Errorf("%w: the node %s was asked and not waited for", anchor.ErrDown, n.host)
	}
	return nil, n.failed(method, status, lost, err)
}

// failed says why there is no result: lost tells of the way to the node, err
// what rpcclient made of the answer.
func (n *Node) failed(method string, status int, lost, err error) error {
	var answer *btcjson.RPCError
	var network *net.OpError
	var unknown x509.UnknownAuthorityError
	var verify *tls.CertificateVerificationError
	switch {
	case errors.Is(lost, errTooLong):
		return fmt.Errorf("%w: %s: the node's answer is longer than %d bytes", anchor.ErrAgain, method, n.limit)
	case errors.Is(lost, errStatus):
		return fmt.Errorf("%w: the node %s answers with HTTP status %d%s", anchor.ErrDown, n.host, status, hint(status))
	case errors.Is(lost, errAuth):
		return fmt.Errorf("%w: the node's cookie file: %s", anchor.ErrDown, oneLine(strings.TrimPrefix(lost.Error(), errAuth.Error()+": ")))
	case errors.As(lost, &unknown), errors.As(lost, &verify):
		return fmt.Errorf("%w: the node %s: %s", anchor.ErrDown, n.host, oneLine(lost.Error()))
	case errors.As(lost, &network):
		return fmt.Errorf("%w: the node %s: %s", anchor.ErrDown, n.host, oneLine(network.Error()))
	case lost != nil:
		return fmt.Errorf("%w: the node %s: %s", anchor.ErrDown, n.host, oneLine(lost.Error()))
	case errors.As(err, &answer):
		return &nodeError{method: method, message: oneLine(answer.Message), code: int(answer.Code)}
	case status != 0 && status != 200:
		return fmt.Errorf("%w: the node %s answers with HTTP status %d", anchor.ErrDown, n.host, status)
	}
	return fmt.Errorf("%w: %s: the node's answer cannot be read", anchor.ErrAgain, method)
}

func hint(status int) string {
	if status == 401 || status == 403 {
		return ": it does not take the user and password"
	}
	return ""
}

const maxLine = 200

// oneLine makes foreign text fit to be shown.
func oneLine(s string) string {
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, s)
	if len(s) > maxLine {
		s = strings.ToValidUTF8(s[:maxLine], "") + "…"
	}
	return s
}

// ask calls the node and gives its error answers a sentinel.
func (n *Node) ask(ctx context.Context, method string, args ...any) (json.RawMessage, error) {
	b, err := n.call(ctx, method, args...)
	return b, nodeMeaning(err)
}

// CheckNetwork makes sure that the node is on the right network, by its first
// block. The node behind a URL can change at any time, so it is asked before
// everything that matters.
func (n *Node) CheckNetwork(ctx context.Context) error {
	got, err := n.HeaderHash(ctx, 0)
	if err != nil {
		return err
	}
	if chainhash.Hash(got) != *n.params.GenesisHash {
		return fmt.Errorf("%w: the node's first block is %s, that of %s is %s", anchor.ErrWrongChain, chainhash.Hash(got), n.network, n.params.GenesisHash)
	}
	return nil
}

// Tip returns height and hash of the newest block.
func (n *Node) Tip(ctx context.Context) (height uint32, hash [32]byte, err error) {
	b, err := n.ask(ctx, "getblockcount")
	if err != nil {
		return 0, hash, err
	}
	if height, err = readHeight(b); err != nil {
		return 0, hash, err
	}
	hash, err = n.HeaderHash(ctx, height)
	return height, hash, err
}

// HeaderHash returns the hash of the block that the node has at a height.
func (n *Node) HeaderHash(ctx context.Context, height uint32) ([32]byte, error) {
	b, err := n.ask(ctx, "getblockhash", height)
	if err != nil {
		return [32]byte{}, err
	}
	return readHash(b)
}

// Header returns the header of a hash.
func (n *Node) Header(ctx context.Context, hash [32]byte) (proof.BitcoinHeader, error) {
	b, err := n.ask(ctx, "getblockheader", chainhash.Hash(hash).String(), false)
	if err != nil {
		return proof.BitcoinHeader{}, err
	}
	h, err := readHeader(b)
	if err != nil {
		return proof.BitcoinHeader{}, err
	}
	return h, n.checkHeader(&h, hash)
}

func (n *Node) checkHeader(h *proof.BitcoinHeader, name [32]byte) error {
	if got := h.Hash(); got != name {
		return fmt.Errorf("%w: a header hashes to %s, not to its name %s", anchor.ErrAgain, chainhash.Hash(got), chainhash.Hash(name))
	}
	if err := h.CheckWork(n.network); err != nil {
		return fmt.Errorf("%w: block %s: %w", anchor.ErrAgain, chainhash.Hash(name), err)
	}
	return nil
}

const (
	headerChunk   = 64 // headers that are asked for before they are handed out
	headerCallers = 8  // at once
)

// Headers calls each with the headers of the heights from … to, in order. Each
// follows the one before it.
func (n *Node) Headers(ctx context.Context, from, to uint32, each func(height uint32, h proof.BitcoinHeader) error) error {
	var prev [32]byte
	for next := uint64(from); next <= uint64(to); next += headerChunk {
		chunk := make([]proof.BitcoinHeader, min(headerChunk, uint64(to)-next+1))
		group, ctx := errgroup.WithContext(ctx)
		group.SetLimit(headerCallers)
		for i := range chunk {
			group.Go(func() (err error) {
				chunk[i], err = n.HeaderAt(ctx, uint32(next)+uint32(i))
				return err
			})
		}
		if err := group.Wait(); err != nil {
			return err
		}
		for i, h := range chunk {
			height := uint32(next) + uint32(i)
			if height > from && h.Prev() != prev {
				return fmt.Errorf("%w: block %d does not follow the one before it, the chain moved", anchor.ErrAgain, height)
			}
			if err := each(height, h); err != nil {
				return err
			}
			prev = h.Hash()
		}
	}
	return nil
}

// HeaderAt returns the header that the node has at a height.
func (n *Node) HeaderAt(ctx context.Context, height uint32) (proof.BitcoinHeader, error) {
	hash, err := n.HeaderHash(ctx, height)
	if err != nil {
		return proof.BitcoinHeader{}, err
	}
	return n.Header(ctx, hash)
}

// Block returns the block of a hash, with all its transactions.
func (n *Node) Block(ctx context.Context, hash [32]byte) (*wire.MsgBlock, error) {
	b, err := n.ask(ctx, "getblock", chainhash.Hash(hash).String(), 0)
	if err != nil {
		return nil, err
	}
	block, h, err := readBlock(b)
	if err != nil {
		return nil, err
	}
	return block, n.checkHeader(&h, hash)
}
