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
