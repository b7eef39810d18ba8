package bitcoin

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"
)

// gate stands between rpcclient and the node. rpcclient makes its own transport
// and lets nobody near it: it reads answers without a bound, asks ten times over
// when a connection fails, and cannot be told to stop but by ending the whole
// client. So each of its clients is pointed at a listener of this process on
// loopback, and what it posts there goes on to the node by a transport of ours:
// with the caller's context, a limit on the answer, and connections that are
// kept. The node's user name and password stay behind the gate; a client shows
// a token that is drawn for one call and known to nobody else.
type gate struct {
	url   string
	auth  func() (user, password string, err error)
	limit int64
	next  http.RoundTripper

	mu    sync.Mutex
	addr  string // of the listener, once there is one
	srv   *http.Server
	done  chan struct{} // closed when srv has ended
	calls map[string]*gateCall
}

// gateCall is one request on its way.
type gateCall struct {
	ctx    context.Context
	cancel context.CancelFunc

	mu     sync.Mutex
	err    error // why there is no answer of the node
	status int   // HTTP status of the node's answer
}

func (c *gateCall) end(status int, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.status, c.err = status, err
}

// outcome returns what came of the call, once the client has its answer.
func (c *gateCall) outcome() (status int, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.status, c.err
}

var (
	errTooLong = errors.New("answer too long")
	errStatus  = errors.New("HTTP status")
	errAuth    = errors.New("credentials")
)

const (
	maxRequest     = 1 << 20
	requestTimeout = 10 * time.Second
)

func newGate(url string, auth func() (string, string, error), roots *tls.Config, limit int64) *gate {
	return &gate{
		url: url, auth: auth, limit: limit, calls: map[string]*gateCall{},
		next: &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			DialContext:            (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
			TLSClientConfig:        roots,
			TLSHandshakeTimeout:    10 * time.Second,
			MaxIdleConnsPerHost:    headerCallers,
			IdleConnTimeout:        15 * time.Second, // btcd and Core drop idle ones after some 30 s
			MaxResponseHeaderBytes: 64 << 10,
		},
	}
}

// enter returns where a client can post to, and the token it must show. cancel
// is called if the gate closes meanwhile.
func (g *gate) enter(ctx context.Context, cancel context.CancelFunc) (addr, token string, call *gateCall, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.srv == nil {
		if err := g.listen(); err != nil {
			return "", "", nil, err
		}
	}
	token, call = rand.Text(), &gateCall{ctx: ctx, cancel: cancel}
	g.calls[token] = call
	return g.addr, token, call, nil
}

func (g *gate) leave(token string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.calls, token)
}

func (g *gate) listen() error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listen on loopback: %w", err)
	}
	g.addr, g.done = l.Addr().String(), make(chan struct{})
	g.srv = &http.Server{
		Handler: g, ReadHeaderTimeout: requestTimeout, ReadTimeout: requestTimeout, MaxHeaderBytes: 8 << 10,
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError), // what is wrong with a call is told by the call
	}
	go func(srv *http.Server, done chan struct{}) {
		defer close(done)
		_ = srv.Serve(l) // it returns when close says so
	}(g.srv, g.done)
	return nil
}

// close ends all calls, connections and the listener. A later call opens it anew.
func (g *gate) close() {
	g.mu.Lock()
	srv, done := g.srv, g.done
	g.srv = nil
	for _, call := range g.calls {
		call.cancel()
	}
	g.mu.Unlock()
	if srv != nil {
		_ = srv.Close()
		<-done
	}
	g.next.(*http.Transport).CloseIdleConnections()
}

// ServeHTTP passes one request on. What goes wrong on the way is left in the
// call, and the client is told nothing of it but that its call is over.
func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, token, _ := r.BasicAuth()
	g.mu.Lock()
	call := g.calls[token]
	g.mu.Unlock()
	if call == nil {
		w.WriteHeader(http.StatusForbidden)
		return
	}
	var status int
	body, err := io.ReadAll(io.LimitReader(r.Body, maxRequest))
	if err == nil {
		status, err = g.pass(call.ctx, w, body)
	}
	call.end(status, err)
	if err != nil {
		// An answer that is read without fault, so that nothing is asked twice.
		// If half of the node's has gone out already it stays a broken one.
		_, _ = io.WriteString(w, `{"result":null,"error":{"code":-1,"message":"see the call"},"id":null}`)
	}
}

// pass posts a request to the node and copies the answer. A status that goes
// with no JSON-RPC answer is an errStatus.
func (g *gate) pass(ctx context.Context, w io.Writer, body []byte) (status int, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, g.url, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	user, password, err := g.auth()
	if err != nil {
		return 0, fmt.Errorf("%w: %w", errAuth, err)
	}
	if user != "" || password != "" {
		req.SetBasicAuth(user, password)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := g.next.RoundTrip(req) // no redirects
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusOK, http.StatusBadRequest, http.StatusNotFound, http.StatusInternalServerError:
		// Bitcoin Core gives error answers such a status.
	default:
		return resp.StatusCode, errStatus
	}
	n, err := io.Copy(w, io.LimitReader(resp.Body, g.limit+1))
	if err == nil && n > g.limit {
		err = errTooLong
	}
	return resp.StatusCode, err
}
