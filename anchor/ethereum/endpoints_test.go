package ethereum

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"

	"cairn/anchor"
	"cairn/merkle"
	"cairn/scripts/anvil"
)

// anchorOnce takes a head all the way on a chain, and returns the receipt's block.
func anchorOnce(t *testing.T, c *Chain, d devchain, previous, root merkle.Hash) anchor.Block {
	t.Helper()
	if err := c.Ready(testContext(t)); err != nil {
		t.Fatalf("Ready: %v", err)
	}
	a := mustSign(t, c, previous, root)
	mustSend(t, c, a)
	f := mustFind(t, c, d, a)
	mustReceipt(t, c, a, root, f.Block)
	if head, err := c.Stored(testContext(t)); err != nil || head != root {
		t.Fatalf("Stored = %s, %v", head, err)
	}
	if tips, err := c.Tips(testContext(t)); err != nil || tips.Latest.Height < f.Block.Height {
		t.Fatalf("Tips = %+v, %v", tips, err)
	}
	return f.Block
}

// faults are ways in which a node can fail to answer.
var faults = []struct {
	name  string
	serve http.HandlerFunc
	want  error  // with no other node
	says  string // in its error, or in the notes
}{
	{"silent", func(w http.ResponseWriter, r *http.Request) {
		<-r.Context().Done()
	}, anchor.ErrDown, "did not answer in time"},
	{"status 500", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "oh", http.StatusInternalServerError) }, anchor.ErrDown, "500"},
	{"status 429", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "7")
		http.Error(w, "slow down", http.StatusTooManyRequests)
	}, anchor.ErrDown, "429"},
	{"429 as an answer", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"jsonrpc":"2.0","id":1,"error":{"code":-32005,"message":"daily request count exceeded, request rate limited"}}`)
	}, anchor.ErrAgain, "rate limited"},
	{"redirect", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(http.StatusFound)
	}, anchor.ErrDown, "302"},
	{"web page", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>hello</html>") }, anchor.ErrAgain, "cannot be read"},
	{"nothing", func(http.ResponseWriter, *http.Request) {}, anchor.ErrDown, "EOF"},
	{"half an answer", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1000")
		fmt.Fprint(w, `{"jsonrpc":"2.0","id":1,"res`)
	}, anchor.ErrDown, "EOF"},
	{"half an answer, whole to HTTP", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"jsonrpc":"2.0","id":1,"result":"0x`) }, anchor.ErrDown, "EOF"},
	{"hung up", func(w http.ResponseWriter, _ *http.Request) { panic(http.ErrAbortHandler) }, anchor.ErrDown, "EOF"},
	{"endless", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"jsonrpc":"2.0","id":1,"result":"0x`)
		for range 1 << 14 {
			if _, err := w.Write(bytes.Repeat([]byte("0"), 1<<10)); err != nil {
				return
			}
		}
	}, anchor.ErrAgain, "longer than"},
	{"long", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"jsonrpc":"2.0","id":1,"result":"0x%s"}`, strings.Repeat("0", 2<<20))
	}, anchor.ErrAgain, "longer than"},
	{"wrong chain", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"jsonrpc":"2.0","id":1,"result":"0x5"}`) }, anchor.ErrWrongChain, "chain 5, want 1337"},
	{"null", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"jsonrpc":"2.0","id":1,"result":null}`) }, anchor.ErrAgain, ""},
}

// TestFailover breaks one of two nodes in every way: anchors go on by the
// other, and the notes say what is wrong. With that node alone there is an
// error that says it.
func TestFailover(t *testing.T) {
	t.Parallel()
	d := newSim(t)
	_, cfg := deployed(t, d, configOf(t, d))
	bad := newProxy(t, d.url())
	cfg.Timeout, cfg.MaxResponse = 4*time.Second, 1<<20
	cfg.URL = ""
	previous := merkle.Hash{}
	for i, tt := range faults {
		t.Run(tt.name, func(t *testing.T) {
			ctx := testContext(t)
			bad.breakBy(tt.serve)
			defer bad.breakBy(nil)
			one := cfg
			one.URLs = []string{bad.URL + "/v3/secret-token"}
			_, err := dial(t, one).Stored(ctx)
			if !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.says) || !strings.Contains(err.Error(), one.URLs[0][7:21]) {
				t.Errorf("alone: %v, want %v, %q and the host", err, tt.want, tt.says)
			}
			two := cfg
			two.URLs = []string{bad.URL + "/v3/secret-token", d.url()}
			c := dial(t, two)
			if tt.name == "silent" {
				c.nodes.patience = 50 * time.Millisecond
			}
			root := rootOf(uint64(i + 1))
			anchorOnce(t, c, d, previous, root)
			previous = root
			notes := strings.Join(c.Notes(), "\n")
			if !strings.Contains(notes, tt.says) || !strings.Contains(notes, "left out") {
				t.Errorf("notes %q, want %q", notes, tt.says)
			}
			if all := notes + err.Error(); strings.Contains(all, "secret-token") {
				t.Errorf("the access key is given away: %s", all)
			}
			bad.breakBy(nil)
			until(t, "the node to be asked again", func() bool {
				for _, n := range c.nodes.list { // as if its time had come
					n.health.Lock()
					n.until, n.told = time.Time{}, time.Time{}
					n.health.Unlock()
				}
				if _, err := c.Tips(ctx); err != nil {
					t.Fatal(err)
				}
				return len(c.Notes()) == 0
			})
		})
	}
}

func TestUnknownAuthority(t *testing.T) {
	t.Parallel()
	d := newSim(t)
	s := httptest.NewUnstartedServer(http.NotFoundHandler())
	s.Config.ErrorLog = quiet()
	s.StartTLS()
	defer s.Close()
	cfg := configOf(t, d)
	_, cfg = deployed(t, d, cfg)
	cfg.URL = s.URL
	if _, err := dial(t, cfg).Stored(testContext(t)); !errors.Is(err, anchor.ErrDown) || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("error %v, want ErrDown for its certificate", err)
	}
	cfg.URLs = []string{d.url()}
	c := dial(t, cfg)
	anchorOnce(t, c, d, merkle.Hash{}, rootOf(1))
	if notes := strings.Join(c.Notes(), "\n"); !strings.Contains(notes, "certificate") {
		t.Errorf("notes %q", notes)
	}
}

// TestRetryAfter: a node that says when is not asked before, even alone.
func TestRetryAfter(t *testing.T) {
	t.Parallel()
	d := newSim(t)
	_, cfg := deployed(t, d, configOf(t, d))
	p := newProxy(t, d.url())
	cfg.URL = p.URL
	c := dial(t, cfg)
	p.breakBy(faults[2].serve)
	if _, err := c.Tips(testContext(t)); !errors.Is(err, anchor.ErrDown) {
		t.Fatalf("error %v, want ErrDown", err)
	}
	p.breakBy(nil)
	before, _ := p.asked("")
	if _, err := c.Tips(testContext(t)); !errors.Is(err, anchor.ErrDown) || !strings.Contains(err.Error(), "asked to wait for another") {
		t.Errorf("error %v, want ErrDown and for how long", err)
	}
	if after, _ := p.asked(""); after != before {
		t.Errorf("asked %d times meanwhile", after-before)
	}
	c.nodes.list[0].tell(0)
	if _, err := c.Tips(testContext(t)); err != nil {
		t.Errorf("when the time has come: %v", err)
	}
	for header, want := range map[string]time.Duration{
		"7": 7 * time.Second, "0": 0, "100000": maxRetryAfter, "-1": -1, "soon": -1, "": -1,
		time.Now().Add(time.Hour).UTC().Format(http.TimeFormat): maxRetryAfter, "Mon, 02 Jan 2006 15:04:05 GMT": -1,
	} {
		got, ok := retryAfter(http.Header{"Retry-After": {header}}, time.Now())
		if ok != (want >= 0) || ok && got != want {
			t.Errorf("Retry-After %q is %v, %v", header, got, ok)
		}
	}
}

// TestBackoff: a node that fails is asked less and less, unless it is the only one.
func TestBackoff(t *testing.T) {
	t.Parallel()
	n := &node{endpoint: newEndpoint("node", "http://h", 0, 0)}
	last := time.Duration(0)
	for range 20 {
		n.note(anchor.ErrDown)
		d := time.Until(n.until)
		if d < last || d > longBackoff {
			t.Fatalf("back-off of %s after %s", d, last)
		}
		last = d - time.Second/2
	}
	if last < longBackoff/2 {
		t.Errorf("back-off of %s", last)
	}
	if n.note(nil); n.fails != 0 || !n.until.IsZero() || n.problem != nil {
		t.Errorf("after an answer: %+v", n.problem)
	}

	d := newSim(t)
	p := newProxy(t, d.url())
	cfg := configOf(t, d)
	cfg.URL = p.URL
	c := dial(t, cfg)
	p.breakBy(faults[1].serve)
	c.Tips(testContext(t))
	c.Tips(testContext(t))
	p.breakBy(nil)
	if _, err := c.Tips(testContext(t)); err != nil {
		t.Errorf("the only node is not asked: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Stored(ctx); !errors.Is(err, anchor.ErrDown) || errors.Is(err, anchor.ErrNoHead) {
		t.Errorf("after the context: %v", err)
	}
	if n := c.nodes.list[0]; n.fails != 0 {
		t.Error("a caller that hangs up counts against the node")
	}
	if !anchor.KeepsHead(c) {
		t.Error("a registry keeps the head")
	}
}

// TestLaggingNode: one of two nodes stays behind and knows of nothing new.
func TestLaggingNode(t *testing.T) {
	t.Parallel()
	d := newSim(t)
	ctx := testContext(t)
	_, cfg := deployed(t, d, configOf(t, d))
	behind, ahead := newProxy(t, d.url()), newProxy(t, d.url())
	cfg.URL, cfg.URLs = behind.URL, []string{ahead.URL}
	c := dial(t, cfg)
	later := time.Duration(0)
	c.nodes.now = func() time.Time { return time.Now().Add(later) }
	if _, err := c.Tips(ctx); err != nil {
		t.Fatal(err)
	}
	var head json.RawMessage
	behind.set(func(method string, params, result json.RawMessage) (json.RawMessage, *rpcFault) {
		switch {
		case method == "eth_getBlockByNumber" && strings.Contains(string(params), "latest"):
			if head == nil {
				head = result
			}
			return head, nil
		case method == "eth_getTransactionReceipt":
			return json.RawMessage("null"), nil
		case method == "eth_getTransactionCount":
			return json.RawMessage(`"0x1"`), nil
		}
		return result, nil
	})
	if _, err := c.Tips(ctx); err != nil { // it stays here
		t.Fatal(err)
	}
	a := mustSign(t, c, merkle.Hash{}, rootOf(1))
	mustSend(t, c, a)
	d.mine(lagTime + lagBlocks + 2) // a second each at least, by their own time
	later = time.Hour
	f, ok, err := c.Find(ctx, []anchor.Attempt{a})
	if err != nil || !ok {
		t.Fatalf("Find = %v, %v", ok, err)
	}
	tips, err := c.Tips(ctx)
	if err != nil || tips.Latest.Height < f.Block.Height {
		t.Errorf("Tips = %+v, %v", tips, err)
	}
	b := mustSign(t, c, rootOf(1), rootOf(2))
	if b.Place != "nonce 2" {
		t.Errorf("%s, want 2", b.Place)
	}
	// What it does not have may exist all the same.
	ahead.breakBy(faults[1].serve)
	if _, ok, err := c.Find(ctx, []anchor.Attempt{a}); ok || !errors.Is(err, anchor.ErrAgain) || !strings.Contains(err.Error(), "lags") {
		t.Errorf("Find by the node that lags = %v, %v, want ErrAgain", ok, err)
	}
	if _, err := c.Tips(ctx); err != nil {
		t.Errorf("Tips by the node that lags: %v", err)
	}
	// … unless nobody has shown more for long.
	later += topFor + time.Second
	if _, ok, err := c.Find(ctx, []anchor.Attempt{a}); ok || err != nil {
		t.Errorf("Find after that = %v, %v, want nothing found", ok, err)
	}
}

// TestNodeFarAhead: a node that shows a head of the far future, and what it
// calls final, cannot make another look late, nor anything final.
func TestNodeFarAhead(t *testing.T) {
	t.Parallel()
	d := newSim(t)
	ctx := testContext(t)
	good, cfg := deployed(t, d, configOf(t, d))
	p := newProxy(t, d.url())
	p.set(func(method string, params, result json.RawMessage) (json.RawMessage, *rpcFault) {
		if method != "eth_getBlockByNumber" || !strings.Contains(string(params), "latest") && !strings.Contains(string(params), "finalized") {
			return result, nil
		}
		var h types.Header
		if err := json.Unmarshal(result, &h); err != nil {
			t.Error(err)
		}
		h.Number.Add(h.Number, big.NewInt(1_000_000))
		h.Time += 12_000_000
		b, err := json.Marshal(&h)
		if err != nil {
			t.Error(err)
		}
		return b, nil
	})
	cfg.URLs = []string{p.URL}
	c := dial(t, cfg)
	a := mustSign(t, c, merkle.Hash{}, rootOf(1))
	mustSend(t, c, a)
	d.mine(1)
	want, err := good.Tips(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if tips, err := c.Tips(ctx); err != nil || tips != want {
		t.Errorf("Tips = %+v, %v, want %+v", tips, err, want)
	}
	if _, ok, err := c.Find(ctx, []anchor.Attempt{a}); err != nil || !ok {
		t.Errorf("Find = %v, %v", ok, err)
	}
}

// TestTwoForks has two real nodes that follow two forks of one chain.
func TestTwoForks(t *testing.T) {
	t.Parallel()
	left := newSim(t)
	right := newSimOf(t, left.secret)
	ctx := testContext(t)
	cl, cfg := deployed(t, left, configOf(t, left))
	cr, rcfg := deployed(t, right, configOf(t, right))
	if cfg.Contract != rcfg.Contract {
		t.Fatalf("contracts %s and %s", cfg.Contract, rcfg.Contract)
	}
	level := func() {
		t.Helper()
		l, _ := left.Client().BlockNumber(ctx)
		r, _ := right.Client().BlockNumber(ctx)
		left.mine(max(0, int(r)-int(l)))
		right.mine(max(0, int(l)-int(r)))
	}
	level()
	cfg.URLs = []string{right.url()}
	c := dial(t, cfg)
	both := func(what string, err error) {
		t.Helper()
		if !errors.Is(err, anchor.ErrAgain) || !strings.Contains(err.Error(), cl.nodes.list[0].host()) || !strings.Contains(err.Error(), cr.nodes.list[0].host()) {
			t.Errorf("%s: %v, want ErrAgain that names both", what, err)
		}
	}
	a := mustSign(t, cl, merkle.Hash{}, rootOf(1))
	mustSend(t, cl, a)
	left.mine(1)
	level()
	_, _, err := c.Find(ctx, []anchor.Attempt{a})
	both("Find on one fork alone", err)
	_, err = c.Stored(ctx)
	both("Stored of one fork", err)
	b := mustSign(t, cr, merkle.Hash{}, rootOf(1))
	mustSend(t, cr, b)
	right.mine(1)
	level()
	if _, err := c.Stored(ctx); err != nil {
		t.Errorf("Stored with the same head on both forks: %v", err)
	}
	_, _, err = c.Find(ctx, []anchor.Attempt{a, b})
	both("Find in another block each", err)
	left.mine(maxFork + 1)
	level()
	_, err = c.Tips(ctx)
	both("Tips of a fork that lasts", err)
	r, stop := running(t, anchor.Config{Chain: c, Source: &log{size: 2}, Journal: &journal{}})
	until(t, "red for the fork", func() bool {
		s := r.Status()
		return !s.Healthy && strings.Contains(s.Reason, cl.nodes.list[0].host()) && strings.Contains(s.Reason, cr.nodes.list[0].host())
	})
	stop()
	if _, err := c.Seen(ctx); err == nil {
		t.Error("a block of which one node knows nothing was seen")
	}
}

// TestShallowFork: where two nodes are for a moment on two forks, the newest
// block is the one on which they agree.
func TestShallowFork(t *testing.T) {
	t.Parallel()
	left := newSim(t)
	right := newSimOf(t, left.secret)
	cfg := configOf(t, left)
	ctx := testContext(t)
	c1, c2 := dial(t, cfg), dial(t, func() Config { c := cfg; c.URL = right.url(); return c }())
	g1, err1 := c1.nodes.list[0].header(ctx, hexutil.Uint64(0))
	g2, err2 := c2.nodes.list[0].header(ctx, hexutil.Uint64(0))
	if err1 != nil || err2 != nil || g1.Hash() != g2.Hash() {
		t.Fatalf("the two do not begin with the same block: %v, %v", err1, err2)
	}
	left.mine(2)
	right.mine(4)
	cfg.URLs = []string{right.url()}
	c := dial(t, cfg)
	tips, err := c.Tips(ctx)
	if err != nil || tips.Latest != block(g1) {
		t.Errorf("Tips = %+v, %v, want the genesis block", tips.Latest, err)
	}
}

// TestFakeReceipt: a node says that a transaction is in a block that is real,
// but it is not. Alone it is found out by the proof, else by the other.
func TestFakeReceipt(t *testing.T) {
	t.Parallel()
	d := newSim(t)
	ctx := testContext(t)
	good, cfg := deployed(t, d, configOf(t, d))
	p := newProxy(t, d.url())
	cfg.URL = p.URL
	c := dial(t, cfg)
	a := mustSign(t, c, merkle.Hash{}, rootOf(1))
	tips, err := good.Tips(ctx)
	if err != nil {
		t.Fatal(err)
	}
	p.set(func(method string, _, result json.RawMessage) (json.RawMessage, *rpcFault) {
		if method == "eth_getTransactionReceipt" {
			return json.RawMessage(fmt.Sprintf(`{"transactionHash":"0x%x","blockHash":"0x%x","blockNumber":"0x%x","status":"0x1"}`, a.ID, tips.Latest.Hash, tips.Latest.Height)), nil
		}
		return result, nil
	})
	f, ok, err := c.Find(ctx, []anchor.Attempt{a})
	if err != nil || !ok || f.Block != tips.Latest {
		t.Fatalf("Find = %+v, %v, %v", f, ok, err)
	}
	if _, err := c.Receipt(ctx, a, f.Block); !errors.Is(err, anchor.ErrAgain) {
		t.Errorf("Receipt of what never happened: %v, want ErrAgain", err)
	}
	cfg.URLs = []string{d.url()}
	if _, _, err := dial(t, cfg).Find(ctx, []anchor.Attempt{a}); !errors.Is(err, anchor.ErrAgain) || !strings.Contains(err.Error(), "not for the node") {
		t.Errorf("Find with another node: %v, want ErrAgain", err)
	}
}

// TestBadProofs: one of two nodes gives proofs that do not hold.
func TestBadProofs(t *testing.T) {
	t.Parallel()
	d := newSim(t)
	_, cfg := deployed(t, d, configOf(t, d))
	p := newProxy(t, d.url())
	p.set(func(method string, _, result json.RawMessage) (json.RawMessage, *rpcFault) {
		if method == "eth_getProof" || method == "eth_getBlockReceipts" {
			return json.RawMessage("null"), nil
		}
		return result, nil
	})
	cfg.URL, cfg.URLs = p.URL, []string{d.url()}
	anchorOnce(t, dial(t, cfg), d, merkle.Hash{}, rootOf(1))
	if _, calls := p.asked("eth_getProof"); calls == 0 {
		t.Error("the first node was not asked for a proof")
	}
}

// TestSendToAll: every node gets the transaction, and one that takes it is enough.
func TestSendToAll(t *testing.T) {
	t.Parallel()
	d := newSim(t)
	_, cfg := deployed(t, d, configOf(t, d))
	refuses, takes := newProxy(t, d.url()), newProxy(t, d.url())
	cfg.URL, cfg.URLs = refuses.URL, []string{takes.URL}
	c := dial(t, cfg)
	says := ""
	refuses.set(func(method string, _, result json.RawMessage) (json.RawMessage, *rpcFault) {
		if method == "eth_sendRawTransaction" {
			return nil, &rpcFault{-32000, says}
		}
		return result, nil
	})
	a := mustSign(t, c, merkle.Hash{}, rootOf(1))
	for _, says = range []string{"txpool is full", "nonce too low", "intrinsic gas too low", "invalid chain id", "what?"} {
		mustSend(t, c, a)
	}
	for _, p := range []*proxy{refuses, takes} {
		if _, calls := p.asked("eth_sendRawTransaction"); calls != 5 {
			t.Errorf("a node was sent %d transactions, want 5", calls)
		}
	}
	takes.set(func(method string, _, result json.RawMessage) (json.RawMessage, *rpcFault) {
		if method == "eth_sendRawTransaction" {
			return nil, &rpcFault{-32000, "intrinsic gas too low"}
		}
		return result, nil
	})
	for text, want := range map[string]error{
		"intrinsic gas too low": anchor.ErrRefused, "txpool is full": anchor.ErrBusy, "nonce too low": anchor.ErrAsk,
		"insufficient funds": anchor.ErrFunds, "replacement transaction underpriced": anchor.ErrPrice, "invalid chain id": anchor.ErrRefused,
	} {
		says = text
		if err := c.Send(testContext(t), a); !errors.Is(err, want) {
			t.Errorf("%q and a refusal: %v, want %v", text, err, want)
		}
	}
	takes.set(func(method string, _, result json.RawMessage) (json.RawMessage, *rpcFault) {
		if method == "eth_sendRawTransaction" {
			panic(http.ErrAbortHandler)
		}
		return result, nil
	})
	says = "intrinsic gas too low"
	if err := c.Send(testContext(t), a); !errors.Is(err, anchor.ErrDown) {
		t.Errorf("a refusal and silence: %v, want ErrDown", err)
	}
	if err := c.Send(testContext(t), a); !errors.Is(err, anchor.ErrBusy) || errors.Is(err, anchor.ErrRefused) || !strings.Contains(err.Error(), says) {
		t.Errorf("a refusal, the other left out: %v, want ErrBusy that says it", err)
	}
}

// TestRouteUnheard: of two nodes one refuses each transaction for good, and the
// other takes it and is not heard. What that one has is not signed anew.
func TestRouteUnheard(t *testing.T) {
	t.Parallel()
	d := newSim(t)
	_, cfg := deployed(t, d, configOf(t, d))
	refuses, takes := newProxy(t, d.url()), newProxy(t, d.url())
	refuses.refuse = func(method string, _ json.RawMessage) *rpcFault {
		if method == "eth_sendRawTransaction" {
			return &rpcFault{-32000, "intrinsic gas too low"}
		}
		return nil
	}
	takes.set(func(method string, _, result json.RawMessage) (json.RawMessage, *rpcFault) {
		if _, calls := takes.asked(method); method == "eth_sendRawTransaction" && calls == 1 {
			panic(http.ErrAbortHandler)
		}
		return result, nil
	})
	cfg.URL, cfg.URLs = refuses.URL, []string{takes.URL}
	c := dial(t, cfg)
	r, stop := running(t, anchor.Config{Chain: c, Source: &log{size: 1}, Journal: &journal{}})
	until(t, "broadcast", func() bool { p := r.Status().Pending; return p != nil && p.State == anchor.Broadcast })
	until(t, "the final", func() bool { d.mine(1); return hasFinal(r, 1)() })
	stop()
	checkFinal(t, r, c, 1)
	if n, err := usedNonces(t, c); err != nil || n != 2 {
		t.Errorf("%d transactions for one deployment and one anchor, %v", n, err)
	}
}

// TestFarNonce: nodes that differ by far are not asked for the larger.
func TestFarNonce(t *testing.T) {
	t.Parallel()
	d := newSim(t)
	_, cfg := deployed(t, d, configOf(t, d))
	p := newProxy(t, d.url())
	p.set(func(method string, _, result json.RawMessage) (json.RawMessage, *rpcFault) {
		if method == "eth_getTransactionCount" {
			return json.RawMessage(`"0xffffffffffff"`), nil
		}
		return result, nil
	})
	cfg.URLs = []string{p.URL}
	if _, err := dial(t, cfg).Sign(testContext(t), order(merkle.Hash{}, rootOf(1))); !errors.Is(err, anchor.ErrAgain) {
		t.Errorf("error %v, want ErrAgain", err)
	}
}

// TestFinalOfTwo: the lowest that one calls final counts, if the other has it.
func TestFinalOfTwo(t *testing.T) {
	t.Parallel()
	d := newSim(t)
	ctx := testContext(t)
	cfg := configOf(t, d)
	p := newProxy(t, d.url())
	d.mine(70)
	cfg.URLs = []string{p.URL}
	c := dial(t, cfg)
	final := func() anchor.Block {
		t.Helper()
		tips, err := c.Tips(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return tips.Final
	}
	whole := final()
	if whole.Height == 0 {
		t.Fatal("nothing is final")
	}
	say := func(number string) {
		p.set(func(method string, params, result json.RawMessage) (json.RawMessage, *rpcFault) {
			if method == "eth_getBlockByNumber" && strings.Contains(string(params), "finalized") {
				if number == "" {
					return nil, &rpcFault{-39001, "Unknown block"}
				}
				var h json.RawMessage
				if err := d.rpc(&h, "eth_getBlockByNumber", number, false); err != nil {
					t.Error(err)
				}
				return h, nil
			}
			return result, nil
		})
	}
	if say("0x5"); final().Height != 5 {
		t.Errorf("final block %d, want 5", final().Height)
	}
	if say("0x44"); final() != whole {
		t.Errorf("final block %d, want %d", final().Height, whole.Height)
	}
	if say(""); final() != whole {
		t.Errorf("final block %d, want %d", final().Height, whole.Height)
	}
	other := newSim(t) // a final block of another chain altogether
	other.mine(9)
	p.set(func(method string, params, result json.RawMessage) (json.RawMessage, *rpcFault) {
		if method == "eth_getBlockByNumber" && (strings.Contains(string(params), "finalized") || strings.Contains(string(params), "0x9\"")) {
			var h json.RawMessage
			if err := other.rpc(&h, "eth_getBlockByNumber", "0x9", false); err != nil {
				t.Error(err)
			}
			return h, nil
		}
		return result, nil
	})
	if tips, err := c.Tips(ctx); !errors.Is(err, anchor.ErrAgain) {
		t.Errorf("Tips = %+v, %v, want ErrAgain", tips, err)
	}
	p.set(nil)
	safe := cfg
	safe.FinalTag = "safe"
	if tips, err := dial(t, safe).Tips(ctx); err != nil || tips.Rule != "safe" {
		t.Errorf("Tips by the tag safe = %+v, %v", tips, err)
	}
}

// TestTransports reaches a node by WebSocket and by IPC socket, and again after
// it was away.
func TestTransports(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("", "ipc") // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket := filepath.Join(dir, "s")
	n := anvil.Start(t, "--ipc", socket)
	d := &anvilChain{n, t}
	_, cfg := deployed(t, d, configOf(t, d))
	previous := merkle.Hash{}
	for i, url := range []string{"ws" + strings.TrimPrefix(n.URL, "http"), socket} {
		cfg.URL = url
		c := dial(t, cfg)
		for j := range uint64(2) {
			root := rootOf(uint64(2*i) + j)
			anchorOnce(t, c, d, previous, root)
			previous = root
			n.Stop()
			if _, err := c.Tips(testContext(t)); !errors.Is(err, anchor.ErrDown) {
				t.Errorf("%s: with the node away: %v, want ErrDown", url, err)
			}
			n.Resume()
			until(t, "the node to be back", func() bool { _, err := c.Tips(testContext(t)); return err == nil })
		}
	}
}
