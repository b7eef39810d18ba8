package ots

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"cairn/anchor"
	"cairn/anchor/proof"
)

// HeaderSource is a Bitcoin node, as far as this package needs one. Errors wrap
// the sentinels of package anchor.
type HeaderSource interface {
	// Tip returns the height of the best chain's newest block.
	Tip(ctx context.Context) (uint32, error)
	// Header returns the header of the best chain's block at a height.
	Header(ctx context.Context, height uint32) (proof.BitcoinHeader, error)
}

// Book keeps what calendars gave from one start to the next: a few hundred
// kilobytes at most. Without it everything is asked for again.
type Book interface {
	// Load returns what was saved last, nil if nothing was.
	Load() ([]byte, error)
	// Save returns when the value is on disk.
	Save([]byte) error
}

// Config says which calendars to use. Calendars must be set; what is left zero
// has the default that is named.
type Config struct {
	// Calendars are the base URLs of those that digests are sent to: https, or
	// http on this machine. Also are those whose promises are followed besides,
	// as the calendars behind a pool.
	Calendars, Also []string
	// Need is how many calendars must answer for a stamp to count, and how many
	// must have put it into a block if there are no Headers. Default 2, or 1 if
	// there is one calendar.
	Need int

	// Network is the Bitcoin network of the calendars, default "mainnet".
	Network proof.BitcoinNetwork
	// Headers, if not nil, checks what calendars say about blocks.
	Headers HeaderSource
	// Depth is the number of blocks, the anchor's own included, that make it
	// final where there are Headers; default 6.
	Depth uint32

	// Book, if not nil, keeps the calendars' answers.
	Book Book

	// Timeout ends each request, default 10 s. Pause is the least time between
	// two questions about one promise, default 1 minute; after errors it grows.
	Timeout, Pause time.Duration
	// Transport makes the requests, default one of its own.
	Transport http.RoundTripper
}

const (
	defaultDepth   = 6
	defaultTimeout = 10 * time.Second
	defaultPause   = time.Minute
	maxCalendars   = 16
	maxDepth       = 1000
)

// Chain is a ledger's place at some calendars. It is safe for concurrent use.
type Chain struct {
	cfg       Config
	calendars []*server          // digests go to these
	follow    map[string]*server // by URL: promises of these are followed
	close     func()

	started time.Time

	work  sync.Mutex // covers what follows; held while calendars are asked
	book  *book      // nil: not read yet
	polls map[promise]poll

	mu     sync.Mutex // covers health
	health map[*server]health
}

var _ anchor.Chain = (*Chain)(nil)

// New checks the configuration and returns the chain. It asks nobody yet. An
// error means that the configuration contradicts itself.
func New(cfg Config) (*Chain, error) {
	if cfg.Need == 0 {
		cfg.Need = min(2, len(cfg.Calendars))
	}
	if cfg.Network == "" {
		cfg.Network = proof.BitcoinMainnet
	}
	if cfg.Depth == 0 {
		cfg.Depth = defaultDepth
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = defaultTimeout
	}
	if cfg.Pause == 0 {
		cfg.Pause = defaultPause
	}
	if err := cfg.check(); err != nil {
		return nil, fmt.Errorf("ots: %w", err)
	}
	c := &Chain{
		cfg: cfg, follow: map[string]*server{}, close: func() {}, started: time.Now(),
		polls: map[promise]poll{}, health: map[*server]health{},
	}
	if cfg.Transport == nil {
		t := newTransport()
		c.cfg.Transport, c.close = t, t.CloseIdleConnections
	}
	client := &http.Client{
		Transport:     c.cfg.Transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	for i, s := range append(append([]string(nil), cfg.Calendars...), cfg.Also...) {
		u, err := parseURL(s)
		if err != nil {
			return nil, fmt.Errorf("ots: %w", err)
		}
		cal := &server{url: u.String(), host: u.Host, http: client, wait: cfg.Timeout}
		if c.follow[cal.url] != nil {
			return nil, fmt.Errorf("ots: calendar %s stands there twice", cal.url)
		}
		c.follow[cal.url] = cal
		if i < len(cfg.Calendars) {
			c.calendars = append(c.calendars, cal)
		}
	}
	return c, nil
}

func (c *Config) check() error {
	var errs []error
	bad := func(is bool, what string) {
		if is {
			errs = append(errs, errors.New(what))
		}
	}
	bad(len(c.Calendars) == 0, "no calendar")
	bad(len(c.Calendars)+len(c.Also) > maxCalendars, fmt.Sprintf("more than %d calendars", maxCalendars))
	bad(c.Need < 0 || c.Need > len(c.Calendars), fmt.Sprintf("%d of %d calendars are needed", c.Need, len(c.Calendars)))
	bad(c.Depth > maxDepth, fmt.Sprintf("a depth of more than %d blocks", maxDepth))
	bad(c.Timeout < 0 || c.Pause < 0, "negative duration")
	networks := []string{proof.BitcoinMainnet, proof.BitcoinTestnet4, proof.BitcoinSignet, proof.BitcoinRegtest}
	known := false
	for _, n := range networks {
		known = known || n == c.Network
	}
	bad(!known, fmt.Sprintf("network %.20q, want one of %s", c.Network, strings.Join(networks, ", ")))
	return errors.Join(errs...)
}

// Close ends idle connections.
func (c *Chain) Close() { c.close() }

// Name returns "ots".
func (c *Chain) Name() string { return "ots" }

// Calendars returns the URLs that digests are sent to, and how many of them a
// stamp needs.
func (c *Chain) Calendars() (urls []string, need int) {
	for _, cal := range c.calendars {
		urls = append(urls, cal.url)
	}
	return urls, c.cfg.Need
}
