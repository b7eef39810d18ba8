package witness

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"cairn/merkle"
)

// What a witness may answer besides a cosignature.
var (
	// ErrDown says that the witness did not answer, or not as a witness does. Ask
	// later.
	ErrDown = errors.New("witness cannot be reached")
	// ErrBusy says that the witness wants to be left alone. Ask later.
	ErrBusy = errors.New("witness is busy")
	// ErrAnswer says that what came is no answer of the protocol, or holds no
	// cosignature by the witness's key. The operator must look at URL and key.
	ErrAnswer = errors.New("witness gave no usable answer")
	// ErrUnknownLog says that the witness knows nothing of this log. Its operator
	// must be given the log's key.
	ErrUnknownLog = errors.New("witness does not know this log")
	// ErrUntrusted says that the witness knows the log by other keys than the one
	// that signed. Its operator must be given the new one.
	ErrUntrusted = errors.New("witness does not take the log's key")
	// ErrRefused says that the witness calls the request malformed.
	ErrRefused = errors.New("witness refuses the request")
	// ErrAhead says that the witness cosigned a larger head of this log: the log
	// was put back from an old copy, or another has its key. Sign nothing. The
	// error is an *AheadError.
	ErrAhead = errors.New("witness has cosigned a larger head of this log")
	// ErrFork says that what the witness cosigned is no beginning of this log: it
	// went another way after a common start, or another log has its key. Sign
	// nothing. The error is a *ForkError.
	ErrFork = errors.New("witness has cosigned a head that this log does not extend")
	// ErrNoHead says that the witness shows no checkpoint: it never cosigned one of
	// this log, or it shows none to anybody.
	ErrNoHead = errors.New("witness shows no checkpoint")
)

// AheadError is an ErrAhead: the witness has cosigned Size leaves.
type AheadError struct{ Size, Asked uint64 }

func (e *AheadError) Error() string {
	return fmt.Sprintf("%v: one of size %d, and this log's is of size %d", ErrAhead, e.Size, e.Asked)
}

// Is makes it an ErrAhead.
func (e *AheadError) Is(target error) bool { return target == ErrAhead }

// ForkError is an ErrFork: the head that the witness cosigned, of size Size, is
// none of ours.
type ForkError struct{ Size, Asked uint64 }

func (e *ForkError) Error() string {
	return fmt.Sprintf("%v: its head of size %d is not the beginning of this log's of size %d", ErrFork, e.Size, e.Asked)
}

// Is makes it an ErrFork.
func (e *ForkError) Is(target error) bool { return target == ErrFork }

// conflictError is a 409.
type conflictError struct{ size uint64 }

func (e *conflictError) Error() string {
	return fmt.Sprintf("the newest cosigned head has size %d", e.size)
}

const (
	defaultTimeout = 10 * time.Second
	// maxTurns is how often one Cosign asks: once for the size, once with the proof,
	// and once more if somebody else asked meanwhile.
	maxTurns = 3
)

// Client asks one witness. It may be used by several goroutines.
type Client struct {
	key  Key
	url  string
	wait time.Duration
	http *http.Client
}

// ClientConfig makes a Client.
type ClientConfig struct {
	URL     string        // submission prefix: https, or http to this machine alone
	Key     Key           // the witness's
	Timeout time.Duration // of one request, 0: 10 s
}

// NewClient checks the configuration; it asks nobody.
func NewClient(c ClientConfig) (*Client, error) {
	u, err := ParseURL(c.URL)
	if err != nil {
		return nil, err
	}
	if !isName(c.Key.name) {
		return nil, fmt.Errorf("%w: none is given", ErrKey)
	}
	if c.Timeout <= 0 {
		c.Timeout = defaultTimeout
	}
	return &Client{key: c.Key, url: u, wait: c.Timeout, http: &http.Client{
		Transport: newTransport(),
		// A redirection turns the request into a GET, or sends it to someone else.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// ParseURL checks a witness's submission prefix, and returns it without a slash at
// its end.
func ParseURL(text string) (string, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || u.Opaque != "":
		return "", fmt.Errorf("%.80q is no URL such as https://witness.example.com", text)
	case u.User != nil:
		return "", errors.New("the URL holds a user or password: a witness asks for none")
	case u.RawQuery != "" || u.Fragment != "":
		return "", fmt.Errorf("%.80q has more than a path after the host", text)
	case u.Scheme == "http" && !isLoopback(u.Hostname()):
		return "", fmt.Errorf("%.80q: http is for this machine alone, use https", text)
	case u.Scheme != "http" && u.Scheme != "https":
		return "", fmt.Errorf("%.80q has the scheme %q, want https", text, u.Scheme)
	}
	return strings.TrimRight(u.String(), "/"), nil
}

func isLoopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

func newTransport() *http.Transport {
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		TLSHandshakeTimeout:    10 * time.Second,
		DisableCompression:     true, // an answer is as long as it looks
		MaxIdleConnsPerHost:    1,
		MaxConnsPerHost:        2,
		IdleConnTimeout:        45 * time.Second, // servers close after a minute, often while the next request is on its way
		MaxResponseHeaderBytes: 64 << 10,
		ForceAttemptHTTP2:      true,
	}
}

// Key returns the witness's key.
func (c *Client) Key() Key { return c.key }

// Close ends idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Cosign has the witness cosign a checkpoint of this size, signed by the log.
// known is the size that the witness cosigned last, as far as is known; if it says
// that it was another, it is asked again. prove gives the consistency proof from
// an earlier size. The errors are those above, and prove's.
func (c *Client) Cosign(ctx context.Context, checkpoint []byte, size, known uint64, prove func(old uint64) ([]merkle.Hash, error)) (Cosignature, error) {
	known = min(known, size)
	for range maxTurns {
		proof, err := prove(known)
		if err != nil {
			return Cosignature{}, err
		}
		got, err := c.add(ctx, &Request{Old: known, Proof: proof, Checkpoint: checkpoint})
		var conflict *conflictError
		switch {
		case errors.Is(err, errInconsistent), errors.Is(err, errNoSize) && known == size:
			return Cosignature{}, &ForkError{Size: known, Asked: size}
		case !errors.As(err, &conflict):
			return got, err
		case conflict.size > size:
			return Cosignature{}, &AheadError{Size: conflict.size, Asked: size}
		case conflict.size == known:
			return Cosignature{}, fmt.Errorf("%w: a conflict with the very size %d that it says it cosigned", ErrAnswer, known)
		}
		known = conflict.size
	}
	return Cosignature{}, fmt.Errorf("%w: others ask it for the same log at the same time", ErrBusy)
}

// add is one add-checkpoint request.
func (c *Client) add(ctx context.Context, r *Request) (Cosignature, error) {
	status, header, body, err := c.do(ctx, http.MethodPost, "/add-checkpoint", r.Append(nil))
	if err != nil {
		return Cosignature{}, err
	}
	switch status {
	case http.StatusOK:
		return parseCosignatures(body, c.key, NoteText(r.Checkpoint))
	case http.StatusConflict:
		size, err := parseConflict(header.Get("Content-Type"), body)
		if err != nil {
			return Cosignature{}, err
		}
		return Cosignature{}, &conflictError{size}
	}
	return Cosignature{}, refusal(status, body)
}

// refusals are the answers that the protocol names.
var refusals = map[int]error{
	http.StatusBadRequest:          ErrRefused,
	http.StatusForbidden:           ErrUntrusted,
	http.StatusNotFound:            ErrUnknownLog,
	http.StatusUnprocessableEntity: errInconsistent,
	http.StatusTooManyRequests:     ErrBusy,
	http.StatusServiceUnavailable:  ErrBusy,
}

func refusal(status int, body []byte) error {
	err, known := refusals[status]
	if !known {
		err = fmt.Errorf("%w: HTTP status %d", ErrDown, status)
	}
	if said := harmless(body); said != "" {
		err = fmt.Errorf("%w: it says: %s", err, said)
	}
	return err
}

// Latest returns the checkpoint that the witness cosigned last of a log, as it
// shows it to monitors, once it holds the witness's cosignature. Its log's
// signature is the caller's to check. A witness that shows none is an ErrNoHead.
func (c *Client) Latest(ctx context.Context, origin string) ([]byte, error) {
	status, _, body, err := c.do(ctx, http.MethodGet, "/"+originHash(origin)+"/checkpoint", nil)
	switch {
	case err != nil:
		return nil, err
	case status == http.StatusNotFound || status == http.StatusMethodNotAllowed:
		return nil, ErrNoHead
	case status != http.StatusOK:
		return nil, refusal(status, body)
	case len(body) > merkle.MaxCheckpoint:
		return nil, fmt.Errorf("%w: a checkpoint of %d bytes, at most %d", ErrAnswer, len(body), merkle.MaxCheckpoint)
	}
	text := NoteText(body)
	if _, err := parseCosignatures(body[min(len(body), len(text)+1):], c.key, text); err != nil {
		return nil, err
	}
	return body, nil
}

// originHash names a log in URLs and files.
func originHash(origin string) string {
	sum := sha256.Sum256([]byte(origin))
	return hex.EncodeToString(sum[:])
}

func (c *Client) do(ctx context.Context, method, path string, body []byte) (status int, h http.Header, answer []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, c.wait)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, c.url+path, bytes.NewReader(body))
	if err != nil {
		return 0, nil, nil, fmt.Errorf("%w: %w", ErrDown, err)
	}
	req.Header.Set("User-Agent", "cairn")
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "text/plain; charset=utf-8")
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return 0, nil, nil, fmt.Errorf("%w: %w", ErrDown, err)
	}
	defer resp.Body.Close()
	answer, err = io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case err != nil:
		return 0, nil, nil, fmt.Errorf("%w: %w", ErrDown, err)
	case len(answer) > maxAnswer:
		return 0, nil, nil, fmt.Errorf("%w: over %d bytes", ErrAnswer, maxAnswer)
	}
	return resp.StatusCode, resp.Header, answer, nil
}
