package ethereum

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/ethereum/go-ethereum/rpc"

	"cairn/anchor"
)

// endpoint is a JSON-RPC server, connected to when it is first called. After a
// connection is lost the next call makes another. Safe for concurrent use.
type endpoint struct {
	what    string // "node", for errors
	url     string
	timeout time.Duration // of each call; 0: the caller's alone
	limit   int64
	told    func(time.Duration) // gets what a server asks to wait (Retry-After), may be nil

	mu     sync.Mutex
	client *rpc.Client
}

func newEndpoint(what, url string, timeout time.Duration, limit int64) *endpoint {
	return &endpoint{what: what, url: url, timeout: timeout, limit: limit}
}

func (e *endpoint) connect(ctx context.Context) (*rpc.Client, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.client != nil {
		return e.client, nil
	}
	c, err := rpc.DialOptions(ctx, e.url,
		rpc.WithHTTPClient(&http.Client{
			Transport:     &limitedTransport{limit: e.limit, told: e.told, next: newTransport()},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}),
		rpc.WithWebsocketMessageSizeLimit(e.limit))
	if err != nil {
		return nil, err
	}
	e.client = c
	return c, nil
}

func (e *endpoint) close() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.client != nil {
		e.client.Close()
		e.client = nil
	}
}

// call calls a method. Its errors are safe to show: they hold no more of the
// URL than the host, and no more of a foreign answer than a line. An error
// answer of the server is a *serverError; everything else is ErrDown, or
// ErrAgain if the answer made no sense.
func (e *endpoint) call(ctx context.Context, result any, method string, args ...any) error {
	if e.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, e.timeout)
		defer cancel()
	}
	c, err := e.connect(ctx)
	if err != nil {
		return e.lost(ctx, err)
	}
	err = c.CallContext(ctx, result, method, args...)
	var answer rpc.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &answer):
		s := &serverError{what: e.name(), method: method, message: oneLine(answer.Error()), code: answer.ErrorCode()}
		if d, ok := err.(rpc.DataError); ok {
			s.data = d.ErrorData()
		}
		return s
	case nonsense(err):
		return fmt.Errorf("%w: %s: the answer of the %s cannot be read", anchor.ErrAgain, method, e.name())
	}
	return e.lost(ctx, err)
}

func nonsense(err error) bool {
	var syntax *json.SyntaxError
	var typ *json.UnmarshalTypeError
	return errors.As(err, &syntax) || errors.As(err, &typ) || errors.Is(err, rpc.ErrNoResult) ||
		strings.HasPrefix(err.Error(), "json:") || strings.HasPrefix(err.Error(), "missing required field") ||
		strings.Contains(err.Error(), "hex string")
}

// lost says that the server did not answer.
func (e *endpoint) lost(ctx context.Context, err error) error {
	var status rpc.HTTPError
	var address *url.Error
	var network *net.OpError
	switch {
	case errors.Is(err, errTooLong):
		return fmt.Errorf("%w: the answer of the %s is longer than %d bytes", anchor.ErrAgain, e.name(), e.limit)
	case ctx.Err() != nil || errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%w: the %s did not answer in time", anchor.ErrDown, e.name())
	case errors.As(err, &status):
		return fmt.Errorf("%w: the %s answers with HTTP status %d", anchor.ErrDown, e.name(), status.StatusCode)
	case errors.As(err, &network):
		return fmt.Errorf("%w: the %s: %s", anchor.ErrDown, e.name(), oneLine(network.Error()))
	case errors.As(err, &address):
		err = address.Err
	}
	return fmt.Errorf("%w: the %s: %s", anchor.ErrDown, e.name(), oneLine(strings.ReplaceAll(err.Error(), e.url, "…")))
}

// name is how errors call the server.
func (e *endpoint) name() string { return e.what + " " + e.host() }

// host returns what of the URL may be shown.
func (e *endpoint) host() string {
	if !strings.Contains(e.url, "://") {
		return e.url
	}
	u, err := url.Parse(e.url)
	if err != nil {
		return ""
	}
	return u.Host
}

// serverError is an error answer.
type serverError struct {
	what, method, message string
	code                  int
	data                  any
}

func (e *serverError) Error() string {
	return fmt.Sprintf("%s: the %s says %q", e.method, e.what, e.message)
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

func newTransport() *http.Transport {
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
		TLSHandshakeTimeout:    10 * time.Second,
		ForceAttemptHTTP2:      true,
		MaxIdleConnsPerHost:    2,
		IdleConnTimeout:        90 * time.Second,
		MaxResponseHeaderBytes: 64 << 10,
	}
}

var errTooLong = errors.New("answer too long")

// limitedTransport bounds the length of every answer, and tells what a server
// that is asked too often, or not ready, asks to wait (RFC 9110, 10.2.3).
type limitedTransport struct {
	limit int64
	told  func(time.Duration)
	next  http.RoundTripper
}

// maxRetryAfter bounds what a server can ask for.
const maxRetryAfter = 10 * time.Minute

// retryAfter reads the header: seconds or a date.
func retryAfter(h http.Header, now time.Time) (time.Duration, bool) {
	v := h.Get("Retry-After")
	if n, err := strconv.ParseUint(v, 10, 31); err == nil {
		return min(time.Duration(n)*time.Second, maxRetryAfter), true
	}
	if at, err := http.ParseTime(v); err == nil && at.After(now) {
		return min(at.Sub(now), maxRetryAfter), true
	}
	return 0, false
}

func (t *limitedTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := t.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	if t.told != nil && (resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode == http.StatusServiceUnavailable) {
		if d, ok := retryAfter(resp.Header, time.Now()); ok {
			t.told(d)
		}
	}
	resp.Body = &limitedBody{ReadCloser: resp.Body, left: t.limit}
	return resp, nil
}

type limitedBody struct {
	io.ReadCloser
	left int64
}

func (b *limitedBody) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errTooLong
	}
	if int64(len(p)) > b.left {
		p = p[:b.left]
	}
	n, err := b.ReadCloser.Read(p)
	b.left -= int64(n)
	return n, err
}
