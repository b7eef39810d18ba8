package bitcoin

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"cairn/anchor"
	"cairn/anchor/proof"
)

// Config says where and by which key to anchor. Network, URL and Key must be
// set; what is left zero has the default that is named.
type Config struct {
	// Network is "mainnet", "testnet4", "signet" or "regtest".
	Network string
	// URL, User, Password, CookieFile and CAFile say how to reach the node, as
	// in NodeConfig.
	URL            string
	User, Password string
	CookieFile     string
	CAFile         string

	// Key is a key file of mode 0600 or stricter, which Passphrase opens. What
	// is wrong with it is said by Ready, and so is Locked: why there is no
	// passphrase, if there is none.
	Key        string
	Passphrase []byte
	Locked     error
	// Birthday is the height of a block at or before the first that pays to the
	// key. Blocks before it are not read. 0 reads all, which takes days on
	// mainnet.
	Birthday uint32
	// First is the output that the first anchor spends, if it is there; default
	// the largest one.
	First proof.Outpoint
	// Book keeps the outputs that were found over a restart; without it each
	// start scans from the birthday.
	Book Book

	// Depth is the number of confirmations, its own block's among them, with
	// which a block is final; default 6.
	Depth uint64
	// FloorSatPerVB is the rate that is offered when the node has no estimate,
	// and the least that is ever offered, default 1; MaxSatPerVB the highest
	// that is signed, default 200.
	FloorSatPerVB, MaxSatPerVB float64
	// FundsFor is the number of anchors, at the present fee, that the outputs
	// must pay for before Ready complains; default 10.
	FundsFor uint64

	// Timeout and MaxResponse bound each request to the node, as in NodeConfig.
	Timeout     time.Duration
	MaxResponse int64
}

const (
	defaultDepth = 6
	maxDepth     = 144
	defaultFloor = 1
	defaultMax   = 200
	defaultFunds = 10
)

// Dial checks the configuration, reads the key file and what Book has, and
// returns the chain. It does not need the node: that is connected to when
// first used, so that a start does not wait for it. An error means that the
// configuration contradicts itself. A key file that does not open is no error
// here: Ready says ErrLocked.
func Dial(ctx context.Context, cfg Config) (*Chain, error) {
	if err := cfg.check(); err != nil {
		return nil, fmt.Errorf("bitcoin: %w", err)
	}
	node, err := NewNode(NodeConfig{
		Network: cfg.Network, URL: cfg.URL, User: cfg.User, Password: cfg.Password,
		CookieFile: cfg.CookieFile, CAFile: cfg.CAFile, Timeout: cfg.Timeout, MaxResponse: cfg.MaxResponse,
	})
	if err != nil {
		return nil, err
	}
	if cfg.Depth == 0 {
		cfg.Depth = defaultDepth
	}
	if cfg.FloorSatPerVB == 0 {
		cfg.FloorSatPerVB = defaultFloor
	}
	if cfg.MaxSatPerVB == 0 {
		cfg.MaxSatPerVB = max(defaultMax, cfg.FloorSatPerVB)
	}
	if cfg.FundsFor == 0 {
		cfg.FundsFor = defaultFunds
	}
	c := &Chain{cfg: cfg, node: node, busy: make(chan struct{}, 1)}
	c.key = openKey(cfg.Key, cfg.Network, node.params, cfg.Passphrase)
	if cfg.Locked != nil {
		c.key.secret, c.key.locked = nil, fmt.Errorf("%w: %w", anchor.ErrLocked, cfg.Locked)
	}
	if len(c.key.script) > 0 {
		c.scan = newScanner(node, c.key.script, cfg.Birthday, outpoint{Tx: cfg.First.TxID, Index: cfg.First.Index}, cfg.Book)
	}
	c.cfg.Passphrase, c.cfg.Password = nil, ""
	return c, ctx.Err()
}

func (c *Config) check() error {
	var errs []error
	bad := func(is bool, what string) {
		if is {
			errs = append(errs, errors.New(what))
		}
	}
	rate := func(r float64) bool { return math.IsNaN(r) || r < 0 || r > maxSatPerVB }
	bad(c.Key == "", "no key file")
	bad(c.Birthday > maxHeight, "the birthday is out of range")
	bad(c.Depth > maxDepth, fmt.Sprintf("the depth is above %d", maxDepth))
	bad(rate(c.FloorSatPerVB), "the fee floor is out of range")
	bad(rate(c.MaxSatPerVB), "the fee ceiling is out of range")
	bad(c.MaxSatPerVB > 0 && c.FloorSatPerVB > c.MaxSatPerVB, "the fee floor is above the fee ceiling")
	bad(c.FundsFor > 1e6, "the number of anchors to have funds for is out of range")
	return errors.Join(errs...)
}
