package ots

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"cairn/anchor"
	"cairn/anchor/proof"
)

const (
	mediaType     = "application/vnd.opentimestamps.v1"
	maxRetryAfter = time.Hour
)

// errPending says that a calendar has a promise but not yet what it promised.
var errPending = errors.New("not in a block yet")

// server is one calendar.
type server struct {
	url  string // as a promise names it: no slash at the end
	host string // what errors show
	http *http.Client
	wait time.Duration // for an answer
}

// parseURL checks a calendar's address and returns it as promises are compared:
// https, or http to this machine alone; no user, query or fragment; characters
// that a promise may have.
func parseURL(s string) (*url.URL, error) {
	if _, err := proof.PendingAttestation(s); err != nil {
		return nil, fmt.Errorf("calendar's URL: %w", err)
	}
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.Opaque != "" {
		return nil, fmt.Errorf("calendar's URL %q cannot be read", s)
	}
	u.Scheme, u.Host = strings.ToLower(u.Scheme), strings.ToLower(u.Host)
	u.Path = strings.TrimRight(u.Path, "/")
	switch {
	case strings.Contains(u.Path, "//") || strings.Contains(u.Path, "/."):
		return nil, fmt.Errorf("calendar's URL %q has a path that is not clean", s)
	case u.Scheme == "https":
		return u, nil
	case u.Scheme == "http" && loopback(u.Hostname()):
		return u, nil
	case u.Scheme == "http":
		return nil, fmt.Errorf("calendar's URL %q: http is for this machine alone, use https", s)
	}
	return nil, fmt.Errorf("calendar's URL %q has scheme %q, want https", s, u.Scheme)
}

func loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// submit posts a digest. The answer's tree is for that digest.
func (c *server) submit(ctx context.Context, digest []byte) (*proof.Timestamp, error) {
	body, err := c.do(ctx, http.MethodPost, "/digest", digest)
	if err != nil {
		return nil, err
	}
	return c.parse(digest, body)
}

// ask asks for what was promised of a message, and says errPending if that is
// not there yet.
func (c *server) ask(ctx context.Context, msg []byte) (*proof.Timestamp, error) {
	body, err := c.do(ctx, http.MethodGet, fmt.Sprintf("/timestamp/%x", msg), nil)
	if err != nil {
		return nil, err
	}
	return c.parse(msg, body)
}

func (c *server) parse(msg, body []byte) (*proof.Timestamp, error) {
	t, err := parseAnswer(msg, body)
	if err != nil {
		return nil, fmt.Errorf("%w: calendar %s: %w", anchor.ErrAgain, c.host, err)
	}
	return t, nil
}

// do makes a request and returns the body of a good answer.
func (c *server) do(ctx context.Context, method, path string, digest []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, c.wait)
	defer cancel()
	var body io.Reader
	if digest != nil {
		body = bytes.NewReader(digest)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.url+path, body)
	if err != nil {
		return nil, fmt.Errorf("calendar %s: %w", c.host, err)
	}
	req.Header.Set("Accept", mediaType)
	req.Header.Set("User-Agent", "cairn")
	if digest != nil {
		req.Header.Set("Content-Type", "application/octet-stream")
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, c.lost(ctx, err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return nil, c.lost(ctx, err)
	}
	if resp.StatusCode == http.StatusOK {
		return answer, nil
	}
	return nil, c.refusal(method, resp, answer)
}

// refusal says what an answer other than 200 means.
func (c *server) refusal(method string, resp *http.Response, body []byte) error {
	words := fmt.Sprintf("calendar %s answers with HTTP status %d", c.host, resp.StatusCode)
	if said := harmless(body); said != "" {
		words += ": " + said
	}
	switch {
	case resp.StatusCode == http.StatusNotFound && method == http.MethodGet:
		return fmt.Errorf("%w: %s", errPending, words)
	case resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode == http.StatusServiceUnavailable:
		return &busyError{words: words, wait: retryAfter(resp.Header.Get("Retry-After"))}
	}
	return fmt.Errorf("%w: %s", anchor.ErrDown, words)
}

// busyError is an ErrBusy with the time that the server wants to be left alone.
type busyError struct {
	words string
	wait  time.Duration
}

func (e *busyError) Error() string { return fmt.Sprintf("%v: %s", anchor.ErrBusy, e.words) }
func (e *busyError) Unwrap() error { return anchor.ErrBusy }

// retryAfter reads a number of seconds; a server gets an hour at most.
func retryAfter(s string) time.Duration {
	seconds, err := strconv.ParseUint(s, 10, 32)
	if err != nil {
		return 0
	}
	return min(time.Duration(seconds)*time.Second, maxRetryAfter)
}

// lost says that there was no whole answer.
func (c *server) lost(ctx context.Context, err error) error {
	var network *net.OpError
	var address *url.Error
	switch {
	case ctx.Err() != nil || errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%w: calendar %s did not answer in time", anchor.ErrDown, c.host)
	case errors.As(err, &network):
		return fmt.Errorf("%w: calendar %s: %s", anchor.ErrDown, c.host, harmless([]byte(network.Err.Error())))
	case errors.As(err, &address):
		err = address.Err
	}
	return fmt.Errorf("%w: calendar %s: %s", anchor.ErrDown, c.host, harmless([]byte(err.Error())))
}

func newTransport() *http.Transport {
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
		TLSHandshakeTimeout:    10 * time.Second,
		ForceAttemptHTTP2:      true,
		DisableCompression:     true, // an answer is as long as it looks
		MaxIdleConnsPerHost:    2,
		IdleConnTimeout:        time.Minute,
		MaxResponseHeaderBytes: 16 << 10,
	}
}
