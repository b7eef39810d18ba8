package mirror

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"cairn/merkle"
	"cairn/store"
	"cairn/store/share"
)

const (
	// patience is how long an answer may take to begin, and leastSent more of it.
	patience = 30 * time.Second
	// tries is how often a question is put whose answer may be another one in a moment,
	// and firstPause how long after the first time.
	tries      = 5
	firstPause = 500 * time.Millisecond
	// maxMessage is how much of an error's text is shown.
	maxMessage = 200
)

// httpSource is a gateway or a mirror, by the paths of Handler.
type httpSource struct {
	base   string // without a slash at the end
	token  string
	client *http.Client

	answered atomic.Bool   // somebody is there
	pause    time.Duration // before a question is put again; then twice as long
}

// HTTP returns the source at the address of a ledger, such as
// http://192.0.2.7:9980/ledger/site, or below that grant/N for what one audience
// may have. The token is a bearer token, "" for none; a client of nil is one
// without redirects. Nothing is asked yet.
func HTTP(address, token string, client *http.Client) (Source, error) {
	u, err := url.Parse(address)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return nil, errors.New("the address of a ledger begins with http:// or https://, such as http://192.0.2.7:9980/ledger/site")
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return nil, errors.New("the address of a ledger has no user, query or fragment: a token stands in a file of its own")
	case strings.ContainsAny(token, "\r\n") || strings.TrimSpace(token) != token:
		return nil, errors.New("the token has white space in it")
	}
	if client == nil {
		client = &http.Client{}
	}
	own := *client
	// The source is who was named: a token is not carried elsewhere.
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &httpSource{base: strings.TrimRight(u.String(), "/"), token: token, client: &own, pause: firstPause}, nil
}

// get asks for one path and reads at most limit bytes. What may pass it asks again,
// a few times: whoever opens months over a bad line need not begin anew.
func (s *httpSource) get(ctx context.Context, path string, limit int64) ([]byte, error) {
	for try, pause := 1, s.pause; ; try, pause = try+1, 2*pause {
		b, passing, err := s.ask(ctx, path, limit)
		if err == nil {
			s.answered.Store(true)
			return b, nil
		}
		if !passing || try == tries || ctx.Err() != nil {
			return nil, fmt.Errorf("get %s: %w", path, err)
		}
		wait := time.NewTimer(pause)
		select {
		case <-wait.C:
		case <-ctx.Done():
			wait.Stop()
			return nil, fmt.Errorf("get %s: %w", path, err)
		}
	}
}

// ask asks once; passing says that it may be answered if it is asked again.
func (s *httpSource) ask(ctx context.Context, path string, limit int64) (b []byte, passing bool, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stalled := time.AfterFunc(patience, func() { cancel(errStalled) })
	defer stalled.Stop()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.base+"/"+path, nil)
	if err != nil {
		return nil, false, err
	}
	if s.token != "" {
		req.Header.Set("Authorization", "Bearer "+s.token)
	}
	resp, err := s.client.Do(req)
	if err != nil {
		err = plain(ctx, err)
		return nil, s.answered.Load() && !errors.Is(err, errStalled), err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, maxMessage))
		return nil, resp.StatusCode >= http.StatusBadGateway && resp.StatusCode <= http.StatusGatewayTimeout, statusError(resp.StatusCode, text)
	}
	if resp.ContentLength > limit {
		return nil, false, fmt.Errorf("%w: %d bytes, at most %d", ErrTooLong, resp.ContentLength, limit)
	}
	b, err = io.ReadAll(&patient{Reader: io.LimitReader(resp.Body, limit+1), timer: stalled})
	switch {
	case err != nil:
		err = plain(ctx, err)
		return nil, !errors.Is(err, errStalled), err
	case int64(len(b)) > limit:
		return nil, false, fmt.Errorf("%w: more than %d bytes", ErrTooLong, limit)
	}
	return b, false, nil
}

var errStalled = fmt.Errorf("no answer for %v, or less than %d bytes of it", patience, leastSent)

// leastSent is what a source must send within patience: one that drips a byte now and
// then would hold whoever follows it for good.
const leastSent = 32 << 10

// patient puts a timer back each time that leastSent came.
type patient struct {
	io.Reader
	timer *time.Timer
	sent  int // since the timer was put back
}

func (p *patient) Read(b []byte) (int, error) {
	n, err := p.Reader.Read(b)
	if p.sent += n; p.sent >= leastSent {
		p.timer.Reset(patience)
		p.sent = 0
	}
	return n, err
}

// plain is an error of the client without the address, which the reader knows.
func plain(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); errors.Is(cause, errStalled) {
		return cause
	}
	var of *url.Error
	if errors.As(err, &of) {
		return of.Err
	}
	return err
}

// statusError is what an answer without content means.
func statusError(code int, text []byte) error {
	words := fmt.Sprintf("status %d", code)
	if line, _, _ := bytes.Cut(bytes.TrimSpace(text), []byte("\n")); len(line) > 0 {
		words += fmt.Sprintf(", %.160q", line)
	}
	switch code {
	case http.StatusUnauthorized, http.StatusForbidden:
		return fmt.Errorf("%w: %s", ErrRefused, words)
	case http.StatusNotFound:
		return fmt.Errorf("%w: %s", ErrNotFound, words)
	case http.StatusGone:
		return fmt.Errorf("%w: %s", ErrGone, words)
	}
	return errors.New(words)
}

// none makes of "not found" that there is none yet.
func none(b []byte, err error) ([]byte, error) {
	if errors.Is(err, ErrNotFound) {
		return nil, fmt.Errorf("%w: %w", ErrNone, err)
	}
	return b, err
}

// Checkpoint implements Source.
func (s *httpSource) Checkpoint(ctx context.Context) ([]byte, error) {
	b, err := s.get(ctx, "checkpoint", merkle.MaxCheckpoint)
	if errors.Is(err, ErrNotFound) && strings.Contains(err.Error(), "404 page not found") { // there is no such path, whatever the ledger has
		return nil, fmt.Errorf("%w: no ledger is at this address: it looks like http://192.0.2.7:9980/ledger/site", err)
	}
	return none(b, err)
}

// Tile implements Source.
func (s *httpSource) Tile(ctx context.Context, path string) ([]byte, error) {
	level, _, width, err := merkle.ParseTilePath(path)
	if err != nil {
		return nil, err
	}
	limit := int64(width * merkle.HashSize)
	if level == merkle.EntriesLevel {
		limit = maxEntries
	}
	return s.get(ctx, path, limit)
}

// wireRef is a store.GroupRef in JSON.
type wireRef struct {
	First  uint64 `json:"first"`
	Next   uint64 `json:"next"`
	Hour   uint32 `json:"hour"`
	Live   bool   `json:"live"`
	Object string `json:"object"`
	Size   int64  `json:"size"`
}

func toWire(r store.GroupRef) wireRef {
	return wireRef{r.First, r.Next, uint32(r.Hour), r.Live, r.Object.String(), r.Size}
}

// parseGroups reads the JSON of group references.
func parseGroups(b []byte) ([]store.GroupRef, error) {
	var all []wireRef
	if err := strictJSON(b, &all); err != nil {
		return nil, err
	}
	if len(all) > MaxGroups {
		return nil, fmt.Errorf("%d groups, at most %d", len(all), MaxGroups)
	}
	refs := make([]store.GroupRef, len(all))
	for i, w := range all {
		h, err := parseHash(w.Object)
		if err != nil {
			return nil, fmt.Errorf("group %d: %w", w.First, err)
		}
		refs[i] = store.GroupRef{First: w.First, Next: w.Next, Hour: share.Hour(w.Hour), Live: w.Live, Object: h, Size: w.Size}
	}
	return refs, nil
}

// parseHash reads a hash in lower case hexadecimal, and nothing else.
func parseHash(text string) (h merkle.Hash, err error) {
	b, err := hex.DecodeString(text)
	if err != nil || len(b) != len(h) || hex.EncodeToString(b) != text {
		return h, fmt.Errorf("%.70q is not %d bytes in lower case hexadecimal", text, len(h))
	}
	return merkle.Hash(b), nil
}

// strictJSON reads one value, without fields that nobody knows.
func strictJSON(b []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return fmt.Errorf("read JSON: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("read JSON: more than one value")
	}
	return nil
}

// Groups implements Source.
func (s *httpSource) Groups(ctx context.Context, from uint64) ([]store.GroupRef, error) {
	b, err := s.get(ctx, "sealed/groups?from="+strconv.FormatUint(from, 10), maxListing)
	if err != nil {
		return nil, err
	}
	refs, err := parseGroups(b)
	if err != nil {
		return nil, fmt.Errorf("get groups: %w", err)
	}
	return refs, nil
}

// Group implements Source.
func (s *httpSource) Group(ctx context.Context, ref store.GroupRef) ([]byte, error) {
	return s.get(ctx, fmt.Sprintf("sealed/%d/group", ref.First), min(ref.Size, maxGroupBytes))
}

// Object implements Source.
func (s *httpSource) Object(ctx context.Context, first uint64, ref store.ObjectRef) ([]byte, error) {
	return s.get(ctx, fmt.Sprintf("sealed/%d/%v", first, ref.Hash), min(ref.Size, share.MaxObject))
}

// StatementLeaves implements Source.
func (s *httpSource) StatementLeaves(ctx context.Context, from, to uint64) ([]merkle.Hash, error) {
	if from > to || to-from > MaxLeaves {
		return nil, fmt.Errorf("statements %d to %d: at most %d", from, to, MaxLeaves)
	}
	b, err := s.get(ctx, fmt.Sprintf("sealed/statements?from=%d&to=%d", from, to), int64(to-from)*merkle.HashSize)
	if err != nil {
		return nil, err
	}
	if uint64(len(b)) != (to-from)*merkle.HashSize {
		return nil, fmt.Errorf("get statements: %d bytes for %d hashes", len(b), to-from)
	}
	return splitHashes(b), nil
}

func splitHashes(b []byte) []merkle.Hash {
	all := make([]merkle.Hash, len(b)/merkle.HashSize)
	for i := range all {
		copy(all[i][:], b[i*merkle.HashSize:])
	}
	return all
}

// Update implements Source.
func (s *httpSource) Update(ctx context.Context) ([]byte, error) {
	return none(s.get(ctx, "sealed/update", MaxUpdate))
}

// Bundles implements Source.
func (s *httpSource) Bundles(ctx context.Context) ([]uint64, error) {
	b, err := s.get(ctx, "sealed/grants", maxListing)
	if err != nil {
		return nil, err
	}
	return parseGrants(b)
}

func parseGrants(b []byte) ([]uint64, error) {
	var all []uint64
	if err := strictJSON(b, &all); err != nil {
		return nil, fmt.Errorf("get grants: %w", err)
	}
	if len(all) > MaxGrants {
		return nil, fmt.Errorf("get grants: %d of them, at most %d", len(all), MaxGrants)
	}
	for i := range all {
		if i > 0 && all[i-1] >= all[i] {
			return nil, errors.New("get grants: they do not ascend")
		}
	}
	return all, nil
}

// Bundle implements Source.
func (s *httpSource) Bundle(ctx context.Context, grant uint64) ([]byte, error) {
	return s.get(ctx, "sealed/grants/"+strconv.FormatUint(grant, 10), MaxBundle)
}
