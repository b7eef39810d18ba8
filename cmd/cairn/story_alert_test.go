package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"cairn/ingest/alert"
)

// hookServer takes notices, as $HOOK, and writes each as a line into hook.log: whether it
// is signed, its path, a title if it has one, and the body.
type hookServer struct {
	t       testing.TB
	address string
	secret  []byte
	mu      sync.Mutex
	file    string
	server  *http.Server
}

func (h *hookServer) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		h.t.Error(err)
	}
	signed := "unsigned"
	if is := r.Header.Get(alert.HeaderSignature); is != "" {
		at, _, _ := strings.Cut(strings.TrimPrefix(is, "t="), ",")
		unix, _ := strconv.ParseInt(at, 10, 64)
		if signed = "signed"; is != alert.Sign(h.secret, unix, body) || time.Since(time.Unix(unix, 0)).Abs() > time.Minute {
			signed = "forged"
		}
	}
	title := ""
	if t := r.Header.Get("Title"); t != "" {
		title = "Title: " + t + " "
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	f, err := os.OpenFile(h.file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		h.t.Error(err)
		return
	}
	fmt.Fprintf(f, "%s %s %s%s\n", signed, r.URL.Path, title, strings.ReplaceAll(string(body), "\n", " "))
	f.Close()
}

func (h *hookServer) up() error {
	on, err := net.Listen("tcp", h.address)
	if err != nil {
		return err
	}
	h.address, h.server = on.Addr().String(), &http.Server{Handler: h, ReadHeaderTimeout: time.Minute}
	go func(s *http.Server) {
		if err := s.Serve(on); !errors.Is(err, http.ErrServerClosed) {
			h.t.Error(err)
		}
	}(h.server)
	return nil
}

func (h *hookServer) down() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if h.server.Shutdown(ctx) != nil {
		h.server.Close()
	}
}

// hook ends the server of $HOOK, or starts it again:
//
//	hook down
//	hook up
func (s *stage) hookDo(ts *testscript.TestScript, neg bool, args []string) {
	switch {
	case neg || len(args) != 1 || s.hook == nil:
		ts.Fatalf("usage: hook down|up")
	case args[0] == "down":
		s.hook.down()
	case args[0] == "up":
		ts.Check(s.hook.up())
	default:
		ts.Fatalf("hook %s: down or up", args[0])
	}
}
