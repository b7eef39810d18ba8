package bitcoin

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"cairn/anchor"
	"cairn/anchor/proof"
	"cairn/scripts/btcd"
)

// proxy stands before a node and alters what it says.
type proxy struct {
	*httptest.Server
	mu    sync.Mutex
	alter func(w http.ResponseWriter, method string, answer []byte) // nil: pass on
}

func newProxy(t testing.TB, n *btcd.Node, serve func(http.Handler) *httptest.Server) *proxy {
	t.Helper()
	p := &proxy{}
	next := &http.Transport{}
	t.Cleanup(next.CloseIdleConnections)
	p.Server = serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		var call struct{ Method string }
		_ = json.Unmarshal(body, &call)
		out, err := http.NewRequest(http.MethodPost, n.URL, bytes.NewReader(body))
		if err != nil {
			return
		}
		out.Header = r.Header
		resp, err := next.RoundTrip(out)
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		defer resp.Body.Close()
		answer, err := io.ReadAll(resp.Body)
		if err != nil {
			return
		}
		p.mu.Lock()
		alter := p.alter
		p.mu.Unlock()
		if alter != nil {
			alter(w, call.Method, answer)
			return
		}
		w.WriteHeader(resp.StatusCode)
		_, _ = w.Write(answer)
	}))
	t.Cleanup(p.Close)
	return p
}

func (p *proxy) set(alter func(w http.ResponseWriter, method string, answer []byte)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.alter = alter
}

// lie alters the result of one method, given and returned as JSON.
func (p *proxy) lie(method string, change func(result []byte) string) {
	p.set(func(w http.ResponseWriter, m string, answer []byte) {
		if m == method {
			var a struct{ Result json.RawMessage }
			_ = json.Unmarshal(answer, &a)
			answer = []byte(`{"result":` + change(a.Result) + `,"error":null,"id":1}`)
		}
		_, _ = w.Write(answer)
	})
}

const secretText1, secretUser = "s3cret-w0rd", "s3cret-user"

func TestFaultsOfTheNode(t *testing.T) {
	r := newRig(t, P2WPKH, 200_000)
	a := r.anchor(anchor.Root{}, rootOf(1))
	f := r.find(true, a)
	r.node.Mine(6)
	p := newProxy(t, r.node, httptest.NewServer)
	cfg := r.cfg
	cfg.URL, cfg.Book = p.URL, &memoryBook{}
	cfg.Timeout, cfg.MaxResponse = 300*time.Millisecond, 1<<20
	c := dial(t, cfg)
	ctx := testContext(t)
	if _, err := c.Tips(ctx); err != nil {
		t.Fatalf("through the proxy: %v", err)
	}
	data, err := c.Receipt(ctx, a, f.Block)
	if err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	t.Cleanup(func() { close(stop) })
	flip := func(at int) func([]byte) string {
		return func(result []byte) string {
			b := bytes.Clone(result)
			if at < len(b) {
				b[at] = map[bool]byte{true: '1', false: '0'}[b[at] == '0']
			}
			return string(b)
		}
	}
	for name, c2 := range map[string]struct {
		set  func()
		want error
		text string
	}{
		"status 429": {func() {
			p.set(func(w http.ResponseWriter, _ string, _ []byte) { w.WriteHeader(http.StatusTooManyRequests) })
		}, anchor.ErrDown, "HTTP status 429"},
		"status 401": {func() {
			p.set(func(w http.ResponseWriter, _ string, _ []byte) { w.WriteHeader(http.StatusUnauthorized) })
		}, anchor.ErrDown, "user and password"},
		"redirect": {func() {
			p.set(func(w http.ResponseWriter, _ string, _ []byte) {
				w.Header().Set("Location", "http://127.0.0.1:1/")
				w.WriteHeader(http.StatusTemporaryRedirect)
			})
		}, anchor.ErrDown, "HTTP status 307"},
		"page": {func() {
			p.set(func(w http.ResponseWriter, _ string, _ []byte) { fmt.Fprint(w, "<html>") })
		}, anchor.ErrAgain, "cannot be read"},
		"page with status 500": {func() {
			p.set(func(w http.ResponseWriter, _ string, _ []byte) { w.WriteHeader(500); fmt.Fprint(w, "<html>") })
		}, anchor.ErrDown, "HTTP status 500"},
		"half": {func() {
			p.set(func(w http.ResponseWriter, _ string, b []byte) {
				w.Header().Set("Content-Length", fmt.Sprint(len(b)))
				_, _ = w.Write(b[:len(b)/2])
			})
		}, anchor.ErrDown, "EOF"},
		"cut JSON": {func() {
			p.set(func(w http.ResponseWriter, _ string, b []byte) { _, _ = w.Write(b[:len(b)/2]) })
		}, anchor.ErrAgain, "cannot be read"},
		"endless": {func() {
			p.set(func(w http.ResponseWriter, _ string, _ []byte) {
				for range 40 {
					if _, err := w.Write(make([]byte, 64<<10)); err != nil {
						return
					}
				}
			})
		}, anchor.ErrAgain, "longer than 1048576 bytes"},
		"slow": {func() {
			p.set(func(http.ResponseWriter, string, []byte) {
				select {
				case <-stop:
				case <-time.After(2 * time.Second):
				}
			})
		}, anchor.ErrDown, "in time"},
		"null":     {func() { p.lie("getblockhash", func([]byte) string { return "null" }) }, anchor.ErrAgain, ""},
		"number":   {func() { p.lie("getblockhash", func([]byte) string { return "7" }) }, anchor.ErrAgain, ""},
		"list":     {func() { p.lie("getblockhash", func([]byte) string { return "[]" }) }, anchor.ErrAgain, ""},
		"short":    {func() { p.lie("getblockhash", func([]byte) string { return `"00"` }) }, anchor.ErrAgain, ""},
		"chain":    {func() { p.lie("getblockhash", flip(9)) }, anchor.ErrWrongChain, "0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206"},
		"header":   {func() { p.lie("getblockheader", flip(40)) }, anchor.ErrAgain, "not to its name"},
		"height":   {func() { p.lie("getblockcount", func([]byte) string { return "-1" }) }, anchor.ErrAgain, "no height"},
		"block":    {func() { p.lie("getblock", flip(40)) }, anchor.ErrAgain, ""},
		"its ends": {func() { p.lie("getblock", func(b []byte) string { return string(b[:len(b)-1]) + `00"` }) }, anchor.ErrAgain, "bytes more"},
		"its transactions": {func() {
			p.lie("getblock", func(b []byte) string { return string(b[:len(b)-20]) + "0000000000000000000\"" })
		}, anchor.ErrAgain, "Merkle root"},
		"error": {func() {
			p.set(func(w http.ResponseWriter, _ string, _ []byte) {
				fmt.Fprintf(w, `{"result":null,"error":{"code":-5,"message":"%s"},"id":1}`, strings.Repeat(`no\nsuch `, 500))
			})
		}, anchor.ErrAgain, "the node says"},
	} {
		t.Run(name, func(t *testing.T) {
			c2.set()
			_, err := c.Receipt(ctx, a, f.Block)
			if err == nil {
				_, err = c.Complete(ctx, a, f.Block, data)
			}
			if err == nil {
				_, err = c.Tips(ctx)
			}
			if err == nil {
				fresh := cfg
				fresh.Book = nil
				_, err = dial(t, fresh).Stored(ctx)
			}
			wantIs(t, "got", err, c2.want)
			if err == nil {
				return
			}
			if !strings.Contains(err.Error(), c2.text) {
				t.Errorf("got %v, want %q in it", err, c2.text)
			}
			if s := err.Error(); len(s) > 500 || strings.ContainsAny(s, "\n") || strings.Contains(s, r.node.Password) {
				t.Errorf("the error says too much: %s", s)
			}
		})
	}
	p.set(nil)
	if got, err := c.Stored(ctx); err != nil || got != rootOf(1) {
		t.Errorf("afterwards: got %s, %v", got, err)
	}
}

func TestCallsEndWithTheirContext(t *testing.T) {
	before := goleak.IgnoreCurrent()
	hang := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		select {
		case <-hang:
		case <-r.Context().Done():
		}
	}))
	n, err := NewNode(NodeConfig{Network: "regtest", URL: s.URL, User: secretUser, Password: secretText1})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	for range 8 {
		go func() {
			_, _, err := n.Tip(ctx)
			done <- err
		}()
	}
	for range 100 {
		runtime.Gosched()
	}
	cancel()
	for range 8 {
		if err := <-done; !errors.Is(err, anchor.ErrDown) {
			t.Errorf("got %v, want ErrDown", err)
		}
	}
	// Close ends calls as well, at once.
	go func() {
		_, _, err := n.Tip(t.Context())
		done <- err
	}()
	for arrived := false; !arrived; {
		n.gate.mu.Lock()
		arrived = len(n.gate.calls) > 0
		n.gate.mu.Unlock()
	}
	n.Close()
	if err := <-done; !errors.Is(err, anchor.ErrDown) || !strings.Contains(err.Error(), "not waited for") {
		t.Errorf("got %v, want ErrDown", err)
	}
	n.Close()
	close(hang)
	s.Close() // returns once every connection to it has ended
	// What is left of a connection is another's: a transport of an earlier test
	// may only now be done with dialling its own node.
	goleak.VerifyNone(t, before,
		goleak.IgnoreAnyFunction("net/http.(*persistConn).readLoop"),
		goleak.IgnoreAnyFunction("net/http.(*persistConn).writeLoop"))
}

// Nobody else on the machine gets through the gate.
func TestGateLetsNobodyElseThrough(t *testing.T) {
	var got []string
	var mu sync.Mutex
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		mu.Lock()
		got = append(got, user+":"+password)
		mu.Unlock()
		fmt.Fprint(w, `{"result":1,"error":null,"id":1}`)
	}))
	defer s.Close()
	n, err := NewNode(NodeConfig{Network: "regtest", URL: s.URL, User: secretUser, Password: secretText1})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	if _, err := n.call(testContext(t), "getblockcount"); err != nil {
		t.Fatal(err)
	}
	n.gate.mu.Lock()
	addr, open := n.gate.addr, len(n.gate.calls)
	n.gate.mu.Unlock()
	if open != 0 {
		t.Errorf("%d calls are still known", open)
	}
	for _, user := range []string{"", "gate:", "gate:" + secretText1, secretUser + ":" + secretText1} {
		u := &url.URL{Scheme: "http", Host: addr}
		if name, password, ok := strings.Cut(user, ":"); ok {
			u.User = url.UserPassword(name, password)
		}
		resp, err := http.Post(u.String(), "application/json", strings.NewReader(`{"method":"stop"}`))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusForbidden {
			t.Errorf("%q: got status %d, want 403", user, resp.StatusCode)
		}
	}
	if len(got) != 1 || got[0] != secretUser+":"+secretText1 {
		t.Errorf("the node saw %v", got)
	}
}

func TestTLSAndCookie(t *testing.T) {
	n := btcd.Start(t)
	n.Mine(1)
	p := newProxy(t, n, func(h http.Handler) *httptest.Server {
		s := httptest.NewUnstartedServer(h)
		s.Config.ErrorLog = log.New(io.Discard, "", 0)
		s.StartTLS()
		return s
	})
	dir := t.TempDir()
	ca, cookie := filepath.Join(dir, "ca.pem"), filepath.Join(dir, ".cookie")
	write := func(path string, data []byte) {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.Certificate().Raw}))
	write(cookie, []byte(n.User+":"+n.Password+"\n"))
	ctx := testContext(t)
	tip := func(cfg NodeConfig) error {
		cfg.Network, cfg.URL = "regtest", p.URL
		node, err := NewNode(cfg)
		if err != nil {
			return err
		}
		defer node.Close()
		_, _, err = node.Tip(ctx)
		return err
	}
	if err := tip(NodeConfig{CAFile: ca, CookieFile: cookie}); err != nil {
		t.Errorf("with certificate and cookie: %v", err)
	}
	err := tip(NodeConfig{CookieFile: cookie})
	wantIs(t, "certificate of an unknown authority", err, anchor.ErrDown)
	if err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("got %v, want it to name the certificate", err)
	}
	write(cookie, []byte(n.User+":"+secretText1))
	err = tip(NodeConfig{CAFile: ca, CookieFile: cookie})
	wantIs(t, "wrong cookie", err, anchor.ErrDown)
	if err == nil || !strings.Contains(err.Error(), "401") || strings.Contains(err.Error(), secretText1) {
		t.Errorf("got %v, want HTTP status 401", err)
	}
	write(cookie, []byte("no cookie"))
	wantIs(t, "no cookie inside", tip(NodeConfig{CAFile: ca, CookieFile: cookie}), anchor.ErrDown)
	wantIs(t, "no cookie file", tip(NodeConfig{CAFile: ca, CookieFile: cookie + "s"}), anchor.ErrDown)
	write(ca, []byte("no certificate"))
	if err := tip(NodeConfig{CAFile: ca, CookieFile: cookie}); err == nil || !strings.Contains(err.Error(), "there is none in") {
		t.Errorf("no certificate: got %v", err)
	}
}

func TestConfigurationThatContradictsItself(t *testing.T) {
	good := Config{Network: "regtest", URL: "http://127.0.0.1:1", Key: "key"}
	for name, change := range map[string]func(*Config){
		"not mainnet":                     func(c *Config) { c.Network = "" },
		"not mainnet, ":                   func(c *Config) { c.Network = "testnet3" },
		"no URL":                          func(c *Config) { c.URL = "" },
		"scheme":                          func(c *Config) { c.URL = "ws://x" },
		"cannot be read":                  func(c *Config) { c.URL = "http://user:" + secretText1 + "@%zz" },
		"holds a user":                    func(c *Config) { c.URL = "http://" + secretUser + ":" + secretText1 + "@host:1" },
		"has a query":                     func(c *Config) { c.URL = "http://host:1?key=" + secretText1 },
		"both a cookie file":              func(c *Config) { c.CookieFile, c.Password = "cookie", secretText1 },
		"certificates are for https":      func(c *Config) { c.CAFile = "ca" },
		"certificates of the node":        func(c *Config) { c.URL, c.CAFile = "https://host:1", "none" },
		"no key file":                     func(c *Config) { c.Key = "" },
		"depth is above":                  func(c *Config) { c.Depth = 145 },
		"floor is out of range":           func(c *Config) { c.FloorSatPerVB = -1 },
		"ceiling is out of range":         func(c *Config) { c.MaxSatPerVB = 10_001 },
		"floor is above the fee ceiling":  func(c *Config) { c.FloorSatPerVB, c.MaxSatPerVB = 5, 4 },
		"birthday is out of range":        func(c *Config) { c.Birthday = 1 << 31 },
		"limit on the node's answers":     func(c *Config) { c.Timeout = 2 * time.Minute },
		"limit on the node's answers is ": func(c *Config) { c.MaxResponse = -1 },
		"number of anchors":               func(c *Config) { c.FundsFor = 1e9 },
	} {
		cfg := good
		change(&cfg)
		_, err := Dial(t.Context(), cfg)
		if err == nil || !strings.Contains(err.Error(), strings.TrimSuffix(strings.TrimSuffix(name, " "), ",")) {
			t.Errorf("%s: got %v", name, err)
		}
		if err != nil && (strings.Contains(err.Error(), secretText1) || strings.Contains(err.Error(), secretUser)) {
			t.Errorf("%s: the error shows a secret: %v", name, err)
		}
	}
	c := dial(t, good)
	if c.Name() != "bitcoin:regtest" || c.Address() != "" || len(c.Script()) != 0 {
		t.Errorf("got %s, %q", c.Name(), c.Address())
	}
}

func TestHeadersOfARange(t *testing.T) {
	n := btcd.Start(t)
	n.Mine(12)
	node, err := NewNode(NodeConfig{Network: "regtest", URL: n.URL, User: n.User, Password: n.Password})
	if err != nil {
		t.Fatal(err)
	}
	defer node.Close()
	var heights []uint32
	ctx := testContext(t)
	err = node.Headers(ctx, 3, 12, func(height uint32, h proof.BitcoinHeader) error {
		heights = append(heights, height)
		if got := h.Hash(); txid(got) != n.BlockHash(int(height)) {
			t.Errorf("block %d: got %s", height, txid(got))
		}
		return nil
	})
	if err != nil || len(heights) != 10 || heights[0] != 3 || heights[9] != 12 {
		t.Errorf("got %v, %v", heights, err)
	}
	wantIs(t, "beyond the tip", node.Headers(ctx, 12, 13, func(uint32, proof.BitcoinHeader) error { return nil }), anchor.ErrAgain)
	other, err := NewNode(NodeConfig{Network: "signet", URL: n.URL, User: n.User, Password: n.Password})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	wantIs(t, "another network", other.CheckNetwork(ctx), anchor.ErrWrongChain)
}

func TestMerkleBranchesLeadToTheRoot(t *testing.T) {
	for n := 1; n <= 20; n++ {
		ids := make([][32]byte, n)
		for i := range ids {
			ids[i] = rootOf(i)
		}
		root, twins := merkleRoot(ids)
		if twins {
			t.Errorf("%d: twins", n)
		}
		for i := range ids {
			h, at := ids[i], i
			for _, s := range merkleBranch(ids, i) {
				if at&1 == 0 {
					h = hashPair(h, s)
				} else {
					h = hashPair(s, h)
				}
				at /= 2
			}
			if h != root {
				t.Errorf("leaf %d of %d leads to %s", i, n, hex.EncodeToString(h[:]))
			}
		}
		if n%2 == 1 && n > 1 {
			if same, twins := merkleRoot(append(ids, ids[n-1])); same != root || !twins {
				t.Errorf("%d: the last one twice is not noticed", n)
			}
		}
	}
}
