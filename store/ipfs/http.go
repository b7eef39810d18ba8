package ipfs

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

const (
	dialTimeout = 10 * time.Second
	maxAnswer   = MaxBlock + 64<<10 // of any answer that is not an error
	maxError    = 64 << 10
)

// transport is what requests go through: no proxy, bounds on every answer.
type transport struct{ base *http.Transport }

func newClient() *http.Client {
	return &http.Client{Transport: &transport{&http.Transport{
		DialContext:         (&net.Dialer{Timeout: dialTimeout}).DialContext,
		TLSHandshakeTimeout: dialTimeout, IdleConnTimeout: time.Minute, MaxIdleConnsPerHost: 4,
		ForceAttemptHTTP2: true,
	}}}
}

// RoundTrip implements http.RoundTripper. An answer that says what went wrong is read here, whole, and made such that
// the RPC's client takes it for what it is: it would read any length, and complain on standard error.
func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := t.base.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode < http.StatusBadRequest {
		resp.Body = &limited{resp.Body, maxAnswer}
		return resp, nil
	}
	b, _ := io.ReadAll(io.LimitReader(resp.Body, maxError))
	resp.Body.Close()
	var message struct{ Message string }
	if json.Unmarshal(b, &message) != nil || message.Message == "" {
		text := short(string(b))
		if text == "" {
			text = http.StatusText(resp.StatusCode)
		}
		b, _ = json.Marshal(map[string]string{"Message": fmt.Sprintf("status %d: %s", resp.StatusCode, text)}) // strings always encode
	}
	if resp.StatusCode == http.StatusNotFound {
		resp.StatusCode = http.StatusInternalServerError // the client has a text of its own for 404, and drops this one
	}
	resp.Header.Set("Content-Type", "application/json")
	resp.Body = io.NopCloser(bytes.NewReader(b))
	return resp, nil
}

var errLong = errors.New("the answer is too long")

// limited is a body that fails beyond some bytes.
type limited struct {
	io.ReadCloser
	left int64
}

func (l *limited) Read(b []byte) (int, error) {
	if l.left <= 0 {
		return 0, errLong
	}
	n, err := l.ReadCloser.Read(b[:min(int64(len(b)), l.left)])
	l.left -= int64(n)
	return n, err
}

// Gateway is a plain HTTP server that hands out blocks: GET /ipfs/CID?format=raw (the trustless gateway of the IPFS
// specifications). Its methods may be called by several goroutines.
type Gateway struct {
	url     string
	timeout time.Duration
	client  *http.Client
}

// maxRedirects is how often a gateway may send elsewhere. Where a block comes from does not matter.
const maxRedirects = 3

// NewGateway makes a gateway; a timeout of 0 is two minutes a block.
func NewGateway(url string, timeout time.Duration) (*Gateway, error) {
	base, err := ParseURL(url)
	if err != nil {
		return nil, err
	}
	if timeout <= 0 {
		timeout = defaultTimeout
	}
	g := &Gateway{url: base, timeout: timeout, client: newClient()}
	g.client.CheckRedirect = func(r *http.Request, via []*http.Request) error {
		if len(via) > maxRedirects || via[0].URL.Scheme == "https" && r.URL.Scheme != "https" {
			return errors.New("the gateway redirects too often, or away from https")
		}
		return nil
	}
	return g, nil
}

// Close closes the connections that are kept.
func (g *Gateway) Close() { g.client.Transport.(*transport).base.CloseIdleConnections() }

// Block implements Blocks.
func (g *Gateway) Block(ctx context.Context, c CID) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, g.timeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, g.url+"/ipfs/"+c.String()+"?format=raw", nil)
	if err != nil {
		return nil, fmt.Errorf("%v: %w", c, err)
	}
	r.Header.Set("Accept", "application/vnd.ipld.raw")
	resp, err := g.client.Do(r)
	if err != nil {
		return nil, notFound(c, explain(err))
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		var said struct{ Message string }
		_ = json.NewDecoder(resp.Body).Decode(&said) // made above
		return nil, fmt.Errorf("%v: %w: %s", c, ErrNotFound, short(said.Message))
	}
	return readBlock(c, resp.Body)
}
