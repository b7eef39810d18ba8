package main

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
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
