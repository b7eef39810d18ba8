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
			Transport:     &limitedTransport{limit: e.limit, next: newTransport()},
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
		s := &serverError{what: e.what, method: method, message: oneLine(answer.Error()), code: answer.ErrorCode()}
		if d, ok := err.(rpc.DataError); ok {
			s.data = d.ErrorData()
		}
		return s
	case nonsense(err):
		return fmt.Errorf("%w: %s: the %s's answer cannot be read", anchor.ErrAgain, method, e.what)
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
		return fmt.Errorf("%w: the %s's answer is longer than %d bytes", anchor.ErrAgain, e.what, e.limit)
	case ctx.Err() != nil || errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%w: the %s %s did not answer in time", anchor.ErrDown, e.what, e.host())
	case errors.As(err, &status):
		return fmt.Errorf("%w: the %s %s answers with HTTP status %d", anchor.ErrDown, e.what, e.host(), status.StatusCode)
	case errors.As(err, &network):
		return fmt.Errorf("%w: the %s %s: %s", anchor.ErrDown, e.what, e.host(), oneLine(network.Error()))
	case errors.As(err, &address):
		err = address.Err
	}
	return fmt.Errorf("%w: the %s %s: %s", anchor.ErrDown, e.what, e.host(), oneLine(strings.ReplaceAll(err.Error(), e.url, "…")))
}

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

// limitedTransport bounds the length of every answer.
type limitedTransport struct {
	limit int64
	next  http.RoundTripper
}

func (t *limitedTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := t.next.RoundTrip(req)
	if err != nil {
		return nil, err
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
