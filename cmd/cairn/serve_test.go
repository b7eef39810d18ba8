package main

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestPageNeedsNoToken: whoever reaches the port may have the page, and nothing else without the token.
func TestPageNeedsNoToken(t *testing.T) {
	srv := httptest.NewServer(newHTTPServer(&gateway{cfg: &Config{}, log: slog.New(slog.DiscardHandler)}, "a token that is long enough"))
	defer srv.Close()
	for path, locked := range map[string]bool{"/verify": false, "/verify?download": false, "/verify/": true, "/verify/../metrics": true, "/healthz": true, "/metrics": true, "/": true} {
		resp, err := http.Get(srv.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if got := resp.StatusCode == http.StatusUnauthorized; got != locked {
			t.Errorf("%s without a token: %s, want refused %v", path, resp.Status, locked)
		}
	}
}

// TestAskedByName: what takes no token, as it listens on this machine alone, answers no page of somebody else that has
// had its name point here; an address or localhost is no such name. With a token any name may be the gateway's.
func TestAskedByName(t *testing.T) {
	ask := func(h http.Handler, host, path string) int {
		r := httptest.NewRequest(http.MethodGet, path, nil)
		r.Host = host
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w.Code
	}
	g := &gateway{cfg: &Config{HTTPListen: "127.0.0.1:9980"}, log: slog.New(slog.DiscardHandler)}
	h := newHTTPServer(g, "")
	for _, path := range []string{"/metrics", "/healthz", "/ledger/site/checkpoint", "/no/such/thing"} {
		for _, host := range []string{"evil.example", "evil.example:9980", "127.0.0.1.evil.example:9980", "localhost.evil.example"} {
			if got := ask(h, host, path); got != http.StatusMisdirectedRequest {
				t.Errorf("%s as %s: %d", path, host, got)
			}
		}
		for _, host := range []string{"127.0.0.1:9980", "127.0.0.1", "localhost:9980", "[::1]:9980", "[::1]", "192.0.2.7", ""} {
			if got := ask(h, host, path); got == http.StatusMisdirectedRequest {
				t.Errorf("%s as %s: %d", path, host, got)
			}
		}
	}
	if got := ask(newHTTPServer(g, "a token that is long enough"), "gateway.example", "/healthz"); got != http.StatusUnauthorized {
		t.Errorf("with a token: %d", got)
	}
}

// pipes is a listener of connections that are not of the network, so that time can be the test's.
type pipes struct {
	conns chan net.Conn
	once  sync.Once
}

func (p *pipes) Accept() (net.Conn, error) {
	c, more := <-p.conns
	if !more {
		return nil, net.ErrClosed
	}
	return c, nil
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.conns) })
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "unix"} }

// TestReaderThatStops: a client that asks and does not read the answer keeps its connection for so long and no longer,
// whatever it asks, also where the answer is short; one that reads late, but in time, has it.
func TestReaderThatStops(t *testing.T) {
	for _, path := range []string{"/healthz", "/console/", "/api/v1/me", "/api/v1/login", "/ingest/senml", "/verify"} {
		for late, want := range map[time.Duration]bool{time.Minute: true, time.Hour: false} {
			synctest.Test(t, func(t *testing.T) {
				g := &gateway{cfg: &Config{Console: true, HTTPListen: "127.0.0.1:0", Dir: t.TempDir()}, log: slog.New(slog.DiscardHandler)}
				c, err := newConsole(g, g.log)
				if err != nil {
					t.Fatal(err)
				}
				g.live = &live{console: c}
				srv, on := newServer(newHTTPServer(g, "a token that is long enough")), &pipes{conns: make(chan net.Conn)}
				go func() { _ = srv.Serve(on) }()
				client, server := net.Pipe()
				on.conns <- server
				fmt.Fprintf(client, "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", path)
				time.Sleep(late)
				n, err := client.Read(make([]byte, 1))
				if got := n == 1; got != want {
					t.Errorf("%s, after %v: %d bytes, %v", path, late, n, err)
				}
				client.Close()
				srv.Close()
				synctest.Wait()
			})
		}
	}
}
