package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// The control socket: HTTP over a unix socket in the gateway's folder, which
// only its owner can open. POST /v1/OPERATION takes one JSON value and answers
// with lines of JSON, any number with "progress" and one with "answer" or
// "error". The same operations run without a service on the opened folder, so
// there is one implementation of each.

const (
	maxRequest  = 1 << 20
	maxAnswer   = 384 << 20 // a proof file of 256 MiB in base64
	dialTimeout = 2 * time.Second
)

// message is one line of an answer.
type message struct {
	Progress string          `json:"progress,omitempty"`
	Answer   json.RawMessage `json:"answer,omitempty"`
	Error    string          `json:"error,omitempty"`
	Kind     string          `json:"kind,omitempty"` // of the error: "", "false", "again"
}

// errAgain is wrapped where the same question will have an answer later.
var errAgain = errors.New("not yet")

// operation is what the control socket offers under one name. The ledger that
// it is about stands in the request's URL, ?ledger=NAME; "" is the default one,
// or all of them for an operation that can take all.
type operation struct {
	writes bool // changes something
	run    func(ctx context.Context, g *gateway, on string, request json.RawMessage, progress func(string)) (any, error)
}

// asks makes an operation of a ledger's method.
func asks[Q, A any](writes bool, f func(*openLedger, context.Context, Q) (A, error)) operation {
	return asksAll(writes, func(g *gateway, ctx context.Context, name string, q Q) (answer A, err error) {
		l, err := g.on(ctx, name, writes)
		if err != nil {
			return answer, err
		}
		return f(l, ctx, q)
	})
}

// asksAll makes an operation of a gateway's method, which gets the ledger's name.
func asksAll[Q, A any](writes bool, f func(*gateway, context.Context, string, Q) (A, error)) operation {
	return operation{writes, func(ctx context.Context, g *gateway, on string, request json.RawMessage, _ func(string)) (any, error) {
		var q Q
		if err := strictJSON(request, &q); err != nil {
			return nil, err
		}
		return f(g, ctx, on, q)
	}}
}

// asksLong is asks for an operation that tells how far it is.
func asksLong[Q, A any](f func(*openLedger, context.Context, Q, func(string)) (A, error)) operation {
	return operation{false, func(ctx context.Context, g *gateway, on string, request json.RawMessage, progress func(string)) (any, error) {
		var q Q
		if err := strictJSON(request, &q); err != nil {
			return nil, err
		}
		l, err := g.on(ctx, on, false)
		if err != nil {
			return nil, err
		}
		return f(l, ctx, q, progress)
	}}
}

func strictJSON(b []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return fmt.Errorf("read request: %w (are cairn and the running service of one version?)", err)
	}
	return nil
}

// controlServer serves the operations of a running gateway.
type controlServer struct {
	g      *gateway
	log    *slog.Logger
	active sync.WaitGroup
}

func (s *controlServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.active.Add(1)
	defer s.active.Done()
	name, ok := strings.CutPrefix(r.URL.Path, "/v1/")
	op, known := operations[name]
	if !ok || !known || r.Method != http.MethodPost {
		http.Error(w, "no such operation", http.StatusNotFound)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequest))
	if err != nil {
		http.Error(w, "request too long", http.StatusRequestEntityTooLarge)
		return
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	lines := json.NewEncoder(w)
	tell := func(text string) {
		_ = lines.Encode(message{Progress: text})
		_ = http.NewResponseController(w).Flush()
	}
	on := r.URL.Query().Get("ledger")
	answer, err := op.run(r.Context(), s.g, on, body, tell)
	m := message{}
	if err == nil {
		m.Answer, err = json.Marshal(answer)
	}
	if err != nil {
		m = errorMessage(err)
	}
	if op.writes {
		s.log.Info("operation", "name", name, "on", on, "failed", err != nil) // why stands in the answer: it may name devices
	}
	_ = lines.Encode(m)
}

func errorMessage(err error) message {
	m := message{Error: err.Error()}
	switch {
	case errors.Is(err, errFalse):
		m.Kind = "false"
	case errors.Is(err, errAgain):
		m.Kind = "again"
	}
	return m
}

// err is the error that errorMessage wrote down.
func (m message) err() error {
	err := errors.New(m.Error)
	switch m.Kind {
	case "false":
		return falseError{err}
	case "again":
		return againError{err}
	}
	return err
}

// againError is errAgain in the words of the service.
type againError struct{ error }

func (againError) Is(target error) bool { return target == errAgain }

// listenControl makes the socket. The store's lock is held, so one that lies
// there is a dead service's.
func listenControl(path string) (net.Listener, error) {
	path = shortest(path)
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	l, err := listenPrivate(path)
	if errors.Is(err, syscall.EINVAL) {
		return nil, fmt.Errorf("control socket: %d bytes of path, and systems allow about 100: start in the folder, or choose one with a shorter name", len(path))
	}
	if err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	return l, nil
}

// shortest is path relative to the working directory if that is shorter: a
// socket's path may have about a hundred bytes.
func shortest(path string) string {
	abs, err := filepath.Abs(path)
	if err != nil {
		return path
	}
	wd, err := os.Getwd()
	if err != nil {
		return abs
	}
	if rel, err := filepath.Rel(wd, abs); err == nil && len(rel) < len(abs) {
		return rel
	}
	return abs
}

// ask runs an operation on the ledger that --ledger names, in the service of dir, or on the folder itself when no
// service runs there.
func ask[A any](ctx context.Context, c *command, name string, request any) (answer A, err error) {
	q, err := json.Marshal(request)
	if err != nil {
		return answer, fmt.Errorf("write request: %w", err)
	}
	raw, err := c.askAnyone(ctx, name, q)
	if err != nil {
		return answer, err
	}
	if err := json.Unmarshal(raw, &answer); err != nil {
		return answer, fmt.Errorf("read answer: %w", err)
	}
	return answer, nil
}

// askAnyone looks for the service first. While the folder is in use and no
// service answers, one is starting or leaving, or another command is at work:
// that passes.
func (c *command) askAnyone(ctx context.Context, name string, q []byte) (raw json.RawMessage, err error) {
	err = patiently(ctx, func() error {
		conn, err := net.DialTimeout("unix", shortest(filepath.Join(c.dir, socketFile)), dialTimeout)
		switch {
		case err == nil:
			raw, err = c.askService(ctx, conn, name, q)
		case c.held != nil, errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
			raw, err = c.askFolder(ctx, name, q)
		default:
			err = fmt.Errorf("reach the service in %s: %w%s", c.dir, err, asOwner(c.dir, err))
		}
		return err
	})
	return raw, err
}

const (
	lockPatience = 5 * time.Second
	lockPoll     = 100 * time.Millisecond
)

// patiently calls f again for a while as long as the folder is in use.
func patiently(ctx context.Context, f func() error) error {
	tick := time.NewTicker(lockPoll)
	defer tick.Stop()
	limit := time.After(lockPatience)
	for {
		err := f()
		if !errors.Is(err, errInUse) {
			return err
		}
		select {
		case <-tick.C:
		case <-limit:
			return err
		case <-ctx.Done():
			return err
		}
	}
}

func (c *command) askService(ctx context.Context, conn net.Conn, name string, q []byte) (json.RawMessage, error) {
	defer conn.Close()
	client := http.Client{Transport: &http.Transport{
		DialContext:       func(context.Context, string, string) (net.Conn, error) { return conn, nil },
		DisableKeepAlives: true,
	}}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://cairn/v1/"+name+"?ledger="+url.QueryEscape(c.ledger), bytes.NewReader(q))
	if err != nil {
		return nil, fmt.Errorf("ask the service: %w", err)
	}
	resp, err := client.Do(r)
	if err != nil {
		return nil, fmt.Errorf("ask the service: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the service answers %s: is it of this version?", resp.Status)
	}
	lines := json.NewDecoder(io.LimitReader(resp.Body, maxAnswer))
	for {
		var m message
		if err := lines.Decode(&m); err != nil {
			return nil, fmt.Errorf("the service went away while it answered: %w", err)
		}
		switch {
		case m.Error != "":
			return nil, m.err()
		case m.Answer != nil:
			return m.Answer, nil
		}
		c.progress(m.Progress)
	}
}

// askFolder opens the folder and runs the operation there.
func (c *command) askFolder(ctx context.Context, name string, q []byte) (json.RawMessage, error) {
	op := operations[name]
	if c.held != nil {
		answer, err := op.run(ctx, c.held, c.ledger, q, c.progress)
		if err != nil {
			return nil, err
		}
		return json.Marshal(answer)
	}
	g, err := c.openFolder(ctx)
	if err != nil {
		return nil, err
	}
	answer, err := op.run(ctx, g, c.ledger, q, c.progress)
	// What was read stays true however the store closes, and one that is damaged
	// does not close well: fsck's findings must not give way to that.
	if cerr := g.close(); err == nil && op.writes {
		err = cerr
	}
	if err != nil {
		return nil, err
	}
	return json.Marshal(answer)
}

// hold keeps the folder open while f asks, where no service runs. What f asks must
// all be of one kind: either to change something, or to read.
func (c *command) hold(ctx context.Context, f func() error) error {
	err := patiently(ctx, func() error {
		conn, err := net.DialTimeout("unix", shortest(filepath.Join(c.dir, socketFile)), dialTimeout)
		if err == nil {
			return conn.Close()
		}
		c.held, err = c.openFolder(ctx)
		return err
	})
	if err == nil {
		err = f()
	}
	if c.held != nil {
		err = errors.Join(err, c.held.close())
		c.held = nil
	}
	return err
}

// during asks for what lasts while f works on what it tells first.
func during[T any](ctx context.Context, c *command, name string, request any, f func(context.Context, T) error) error {
	ctx, end := context.WithCancel(ctx)
	defer end()
	var worked bool
	var ferr error
	c.told = func(text string) {
		c.told = nil
		var told T
		if ferr = json.Unmarshal([]byte(text), &told); ferr == nil {
			ferr = f(ctx, told)
		}
		worked = true
		end()
	}
	defer func() { c.told = nil }()
	_, err := ask[nothing](ctx, c, name, request)
	if worked && errors.Is(err, context.Canceled) { // it was told to end
		err = nil
	}
	return errors.Join(ferr, err)
}
