package ethereum

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/sha256"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	stdlog "log"
	"maps"
	"math"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/accounts/keystore"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/eth/ethconfig"
	"github.com/ethereum/go-ethereum/ethclient/simulated"
	gethnode "github.com/ethereum/go-ethereum/node"
	"github.com/ethereum/go-ethereum/rpc"

	"cairn/anchor"
	"cairn/merkle"
	"cairn/scripts/anvil"
)

// devchain is a development chain that tests drive: go-ethereum in process, or
// anvil.
type devchain interface {
	url() string
	id() uint64
	key() *ecdsa.PrivateKey // of a funded account
	mine(n int)
	// reorg replaces the newest n blocks by more empty ones.
	reorg(n int)
}

type simChain struct {
	*simulated.Backend
	t      testing.TB
	at     string
	secret *ecdsa.PrivateKey
}

func newSim(t testing.TB) *simChain {
	t.Helper()
	secret, err := crypto.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	return newSimOf(t, secret)
}

// newSimOf returns a chain whose genesis block depends on the key alone.
func newSimOf(t testing.TB, secret *ecdsa.PrivateKey) *simChain {
	t.Helper()
	alloc := types.GenesisAlloc{crypto.PubkeyToAddress(secret.PublicKey): {Balance: ether(100)}}
	b, at := startSim(t, alloc)
	t.Cleanup(func() { b.Close() })
	b.Commit()
	return &simChain{Backend: b, t: t, at: at, secret: secret}
}

// startSim starts a node on a port that is free. It has to be told one, so
// another test may be faster; then it panics, and another port is tried.
func startSim(t testing.TB, alloc types.GenesisAlloc) (b *simulated.Backend, at string) {
	t.Helper()
	for range 20 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		port := l.Addr().(*net.TCPAddr).Port
		l.Close()
		func() {
			defer func() {
				if r := recover(); r != nil {
					t.Logf("start the node: %v", r)
				}
			}()
			b = simulated.NewBackend(alloc, func(n *gethnode.Config, _ *ethconfig.Config) {
				n.HTTPHost, n.HTTPPort, n.HTTPModules = "127.0.0.1", port, []string{"eth"}
			})
		}()
		if b != nil {
			return b, fmt.Sprintf("http://127.0.0.1:%d", port)
		}
	}
	t.Fatal("no port is free")
	return nil, ""
}

func ether(n int64) *big.Int { return new(big.Int).Mul(big.NewInt(n), big.NewInt(1e18)) }

// rpc asks the node over HTTP.
func (s *simChain) rpc(result any, method string, params ...any) error {
	c, err := rpc.Dial(s.at)
	if err != nil {
		return err
	}
	defer c.Close()
	return c.Call(result, method, params...)
}

// quiet is a server's log that nobody reads.
func quiet() *stdlog.Logger { return stdlog.New(io.Discard, "", 0) }

func (s *simChain) url() string            { return s.at }
func (s *simChain) id() uint64             { return 1337 }
func (s *simChain) key() *ecdsa.PrivateKey { return s.secret }

func (s *simChain) mine(n int) {
	for range n {
		s.Commit()
	}
}

func (s *simChain) reorg(n int) {
	s.t.Helper()
	tip, err := s.Client().BlockNumber(context.Background())
	if err != nil {
		s.t.Fatal(err)
	}
	parent, err := s.Client().HeaderByNumber(context.Background(), new(big.Int).SetUint64(tip-uint64(n)))
	if err != nil {
		s.t.Fatal(err)
	}
	if err := s.Fork(parent.Hash()); err != nil {
		s.t.Fatal(err)
	}
	s.mine(n + 1)
}

type anvilChain struct {
	*anvil.Node
	t testing.TB
}

func (a *anvilChain) url() string            { return a.URL }
func (a *anvilChain) id() uint64             { return anvil.ChainID }
func (a *anvilChain) key() *ecdsa.PrivateKey { return a.Keys[0] }
func (a *anvilChain) mine(n int)             { a.Mine(n) }

func (a *anvilChain) reorg(n int) {
	a.t.Helper()
	if err := a.Call(nil, "anvil_reorg", n, []any{}); err != nil {
		a.t.Fatal(err)
	}
}

// onBoth runs a test on both chains.
func onBoth(t *testing.T, test func(t *testing.T, d devchain)) {
	t.Run("simulated", func(t *testing.T) { test(t, newSim(t)) })
	t.Run("anvil", func(t *testing.T) { test(t, &anvilChain{anvil.Start(t), t}) })
}

func testContext(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// order asks for an attempt at any price under the chain's own ceiling.
func order(previous, root anchor.Root, prior ...anchor.Attempt) anchor.Order {
	return anchor.Order{Previous: previous, Root: root, Prior: prior, Limit: math.MaxUint64, Deadline: time.Minute}
}

// usedNonces is how many transactions of the sender are in the chain.
func usedNonces(t testing.TB, c *Chain) (uint64, error) {
	t.Helper()
	v, err := c.nodes.look(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	return c.nonce(testContext(t), v, "latest")
}

var testPassphrase = []byte("stones")

var testLedger = merkle.Hash(sha256.Sum256([]byte("a ledger")))

// keystoreOf writes a keystore that opens fast.
func keystoreOf(t testing.TB, secret *ecdsa.PrivateKey) string {
	t.Helper()
	data, err := keystore.EncryptKey(&keystore.Key{Address: crypto.PubkeyToAddress(secret.PublicKey), PrivateKey: secret}, string(testPassphrase), 2, 1)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "key.json")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func configOf(t testing.TB, d devchain) Config {
	return Config{
		URL: d.url(), ChainID: d.id(), Ledger: testLedger,
		Keystore: keystoreOf(t, d.key()), Passphrase: testPassphrase,
	}
}

func dial(t testing.TB, cfg Config) *Chain {
	t.Helper()
	c, err := Dial(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// deployed returns a chain on a registry that it deployed.
func deployed(t testing.TB, d devchain, cfg Config) (*Chain, Config) {
	t.Helper()
	c := dial(t, cfg)
	stop := mining(t, d)
	dep, err := c.Deploy(testContext(t))
	stop()
	if err != nil {
		t.Fatalf("Deploy: %v", err)
	}
	cfg.Contract = dep.Address
	return dial(t, cfg), cfg
}

// mining makes blocks until it is stopped, or the test ends.
func mining(t testing.TB, d devchain) (stop func()) {
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-end:
				return
			case <-tick.C:
				d.mine(1)
			}
		}
	}()
	var once sync.Once
	stop = func() { once.Do(func() { close(end); <-ended }) }
	t.Cleanup(stop)
	return stop
}

// until asks again until ok or a deadline.
func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	end := time.After(40 * time.Second)
	for !ok() {
		select {
		case <-tick.C:
		case <-end:
			t.Fatalf("%s did not come to be", what)
		}
	}
}

func rootOf(n uint64) merkle.Hash { return sha256.Sum256(fmt.Appendf(nil, "root %d", n)) }

// log is a ledger whose size the test sets.
type log struct {
	mu   sync.Mutex
	size uint64
}

func (l *log) grow(n uint64) { l.mu.Lock(); defer l.mu.Unlock(); l.size = n }

func (l *log) Head() (uint64, merkle.Hash, []byte, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.size, rootOf(l.size), []byte("a note"), l.size > 0
}

func (l *log) FindRoot(root merkle.Hash) (uint64, bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for n := uint64(1); n <= l.size; n++ {
		if rootOf(n) == root {
			return n, true, nil
		}
	}
	return 0, false, nil
}

func (l *log) WindowStart(i uint64) (int64, bool) { return time.Now().UnixMilli(), true }

// journal keeps records in memory.
type journal struct {
	mu sync.Mutex
	m  map[string][]byte
}

func (j *journal) Put(key string, value []byte) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.m == nil {
		j.m = map[string][]byte{}
	}
	j.m[key] = slices.Clone(value)
	return nil
}

func (j *journal) Seek(key string) (string, []byte, bool, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, k := range slices.Sorted(maps.Keys(j.m)) {
		if k >= key {
			return k, slices.Clone(j.m[k]), true, nil
		}
	}
	return "", nil, false, nil
}

// running runs a route until it is stopped; stop returns Run's error.
func running(t testing.TB, cfg anchor.Config) (r *anchor.Route, stop func() error) {
	t.Helper()
	cfg.Every, cfg.Jitter, cfg.Poll = 100*time.Millisecond, -1, 50*time.Millisecond
	if cfg.Resend == 0 {
		cfg.Resend = time.Second
	}
	cfg.Check = time.Second
	r, err := anchor.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	end := make(chan error, 1)
	go func() { end <- r.Run(ctx) }()
	var once sync.Once
	var got error
	stop = func() error {
		once.Do(func() { cancel(); got = <-end })
		return got
	}
	t.Cleanup(func() { stop() })
	return r, stop
}

func hasFinal(r *anchor.Route, size uint64) func() bool {
	return func() bool {
		s := r.Status()
		return s.LastFinal != nil && s.LastFinal.Size >= size
	}
}

// proxy stands before a node and may change its answers.
type proxy struct {
	*httptest.Server
	mu     sync.Mutex
	change func(method string, params, result json.RawMessage) (json.RawMessage, *rpcFault)
	fault  http.HandlerFunc                                      // answers instead of the node
	refuse func(method string, params json.RawMessage) *rpcFault // if it returns one the node is not asked; set before use
	calls  map[string]int
	all    int
}

type rpcFault struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
}

func newProxy(t testing.TB, target string) *proxy {
	p := &proxy{calls: map[string]int{}}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		p.mu.Lock()
		p.all++
		fault := p.fault
		p.mu.Unlock()
		if fault != nil {
			fault(w, r)
			return
		}
		var q struct {
			ID     json.RawMessage
			Method string
			Params json.RawMessage
		}
		json.Unmarshal(body, &q)
		if p.refuse != nil {
			if f := p.refuse(q.Method, q.Params); f != nil {
				w.Header().Set("Content-Type", "application/json")
				json.NewEncoder(w).Encode(map[string]any{"jsonrpc": "2.0", "id": q.ID, "error": f})
				return
			}
		}
		resp, err := http.Post(target, "application/json", bytes.NewReader(body))
		if err != nil {
			http.Error(w, "down", http.StatusBadGateway)
			return
		}
		defer resp.Body.Close()
		var a struct {
			JSONRPC string          `json:"jsonrpc"`
			ID      json.RawMessage `json:"id"`
			Result  json.RawMessage `json:"result,omitempty"`
			Error   json.RawMessage `json:"error,omitempty"`
		}
		json.NewDecoder(resp.Body).Decode(&a)
		p.mu.Lock()
		p.calls[q.Method]++
		change := p.change
		p.mu.Unlock()
		if change != nil {
			result, fault := change(q.Method, q.Params, a.Result)
			if !bytes.Equal(result, a.Result) {
				a.Result, a.Error = result, nil
			}
			if fault != nil {
				a.Result = nil
				a.Error, _ = json.Marshal(fault)
			}
		}
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(a)
	}))
	t.Cleanup(p.Close)
	return p
}

func (p *proxy) set(f func(method string, params, result json.RawMessage) (json.RawMessage, *rpcFault)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.change = f
}

// breakBy makes the proxy answer by itself; nil lets the node answer again.
func (p *proxy) breakBy(f http.HandlerFunc) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fault = f
}

// asked returns how many requests came, and how many calls of a method.
func (p *proxy) asked(method string) (all, calls int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.all, p.calls[method]
}

// newSigner is an external signer for one key. edit may change what is signed.
func newSigner(t testing.TB, secret *ecdsa.PrivateKey, edit func(*types.DynamicFeeTx)) string {
	t.Helper()
	s := rpc.NewServer()
	if err := s.RegisterName("account", &signerAPI{secret, edit}); err != nil {
		t.Fatal(err)
	}
	h := httptest.NewServer(s)
	t.Cleanup(h.Close)
	return h.URL
}

type signerAPI struct {
	secret *ecdsa.PrivateKey
	edit   func(*types.DynamicFeeTx)
}

func (s *signerAPI) List() []common.Address {
	return []common.Address{crypto.PubkeyToAddress(s.secret.PublicKey)}
}

func (s *signerAPI) SignTransaction(args signArgs) (map[string]any, error) {
	if args.GasPrice != nil {
		tx, err := types.SignNewTx(s.secret, types.LatestSignerForChainID(args.ChainID.ToInt()), &types.LegacyTx{
			Nonce: uint64(args.Nonce), Gas: uint64(args.Gas), To: args.To, GasPrice: args.GasPrice.ToInt(), Value: args.Value.ToInt(), Data: args.Input,
		})
		if err != nil {
			return nil, err
		}
		raw, err := tx.MarshalBinary()
		return map[string]any{"raw": fmt.Sprintf("0x%x", raw), "tx": tx}, err
	}
	d := &types.DynamicFeeTx{
		ChainID: args.ChainID.ToInt(), Nonce: uint64(args.Nonce), Gas: uint64(args.Gas), To: args.To,
		GasFeeCap: args.MaxFee.ToInt(), GasTipCap: args.MaxTip.ToInt(), Value: args.Value.ToInt(), Data: args.Input,
	}
	if s.edit != nil {
		s.edit(d)
	}
	tx, err := types.SignNewTx(s.secret, types.LatestSignerForChainID(d.ChainID), d)
	if err != nil {
		return nil, err
	}
	raw, err := tx.MarshalBinary()
	return map[string]any{"raw": fmt.Sprintf("0x%x", raw), "tx": tx}, err
}

// TestMain runs more tests at once than there are processors: most of the time
// they wait for blocks.
func TestMain(m *testing.M) {
	flag.Parse()
	if flag.Lookup("test.fuzz").Value.String() == "" {
		flag.Set("test.parallel", strconv.Itoa(max(6, runtime.GOMAXPROCS(0))))
	}
	os.Exit(m.Run())
}
