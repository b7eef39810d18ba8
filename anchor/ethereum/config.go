package ethereum

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"cairn/anchor"
	"cairn/contracts"
)

// Config says where and as whom to anchor. URL or URLs, ChainID and one of
// Keystore and Signer must be set; what is left zero has the default that is
// named.
type Config struct {
	// URLs are the JSON-RPC of one or more nodes: http(s)://, ws(s):// or the
	// path of an IPC socket. They may hold access keys; no error or log shows
	// more than their hosts. URL is one more, asked before them.
	URL  string
	URLs []string
	// ChainID is the chain that the nodes must be on.
	ChainID uint64
	// Contract is the registry. It may be zero for Deploy alone.
	Contract common.Address
	// CodeHash is the keccak256 of the contract's code, default that of the
	// registry of package contracts.
	CodeHash common.Hash
	// Ledger is the ledger id.
	Ledger [32]byte

	// Keystore is a standard keystore file (scrypt JSON) of mode 0600 or
	// stricter, which Passphrase opens. What is wrong with it is said by Ready,
	// and so is Locked: why there is no passphrase, if there is none.
	Keystore   string
	Passphrase []byte
	Locked     error
	// Signer is an external signer that answers account_list and
	// account_signTransaction: a URL or the path of an IPC socket. It needs Sender.
	Signer string
	// Sender is the account. With a keystore it may be zero, or must be the
	// keystore's.
	Sender common.Address

	// FinalTag is the tag that nodes give the newest final block: "finalized",
	// the default, or "safe", which on a rollup may be undone with the chain
	// below. Depth is, for chains without such a tag, the number of blocks above
	// a final one; default 0: go by the tag.
	FinalTag string
	Depth    uint64
	// GasRule is how the chain charges, default GasEIP1559.
	GasRule GasRule
	// MaxFeeGwei is the highest fee cap per gas that is signed, default 100, or
	// price with GasLegacy. MaxTipGwei is the highest tip, default 3, but for
	// what it takes to replace a transaction with that tip.
	MaxFeeGwei, MaxTipGwei float64
	// FundsFor is the number of anchors, at the present fee, that the balance
	// must pay for before Ready complains; default 10.
	FundsFor uint64

	// Timeout ends each single request, default 15 s. MaxResponse is the
	// longest answer that is read, in bytes, default 64 MiB (all receipts of
	// a large block are some 10 MiB). It does not hold for IPC sockets.
	Timeout     time.Duration
	MaxResponse int64
}

const (
	gwei            = 1e9
	defaultMaxFee   = 100
	defaultMaxTip   = 3
	defaultFunds    = 10
	defaultTimeout  = 15 * time.Second
	defaultResponse = 64 << 20
	maxGwei         = 1e6
	maxNodes        = 16
)

// Dial checks the configuration, reads the keystore and returns the chain.
// It does not need the node: that is connected to when first used, so that a
// start does not wait for it. An error means that the configuration
// contradicts itself. A keystore that does not open is no error here: Ready
// says ErrLocked. Opening one takes the memory that its scrypt parameters ask
// for, 256 MiB for geth's standard ones.
func Dial(ctx context.Context, cfg Config) (*Chain, error) {
	if err := cfg.check(); err != nil {
		return nil, fmt.Errorf("ethereum: %w", err)
	}
	if cfg.CodeHash == (common.Hash{}) {
		cfg.CodeHash = contracts.RuntimeCodeHash
	}
	if cfg.MaxFeeGwei == 0 {
		cfg.MaxFeeGwei = defaultMaxFee
	}
	if cfg.MaxTipGwei == 0 {
		cfg.MaxTipGwei = min(defaultMaxTip, cfg.MaxFeeGwei)
	}
	if cfg.FundsFor == 0 {
		cfg.FundsFor = defaultFunds
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = defaultTimeout
	}
	if cfg.MaxResponse == 0 {
		cfg.MaxResponse = defaultResponse
	}
	if cfg.FinalTag == "" {
		cfg.FinalTag = "finalized"
	}
	if cfg.GasRule == "" {
		cfg.GasRule = GasEIP1559
	}
	c := &Chain{cfg: cfg, nodes: newNodes(cfg.urls(), cfg.ChainID, cfg.Timeout, cfg.MaxResponse), registry: contracts.NewRegistry()}
	if cfg.Signer != "" {
		c.key = &externalKey{
			endpoint: newEndpoint("external signer", cfg.Signer, 0, 1<<20),
			sender:   cfg.Sender,
			chain:    cfg.ChainID,
		}
	} else {
		k := openKeystore(cfg.Keystore, cfg.Passphrase)
		k.chain = cfg.ChainID
		if cfg.Locked != nil {
			k = &keystoreKey{sender: k.sender, chain: cfg.ChainID, locked: fmt.Errorf("%w: %w", anchor.ErrLocked, cfg.Locked)}
		}
		if k.sender == (common.Address{}) {
			k.sender = cfg.Sender
		}
		if cfg.Sender != (common.Address{}) && cfg.Sender != k.sender {
			return nil, fmt.Errorf("ethereum: the keystore is of %s, but the sender is to be %s", k.sender, cfg.Sender)
		}
		c.key = k
	}
	c.cfg.Sender, c.cfg.Passphrase = c.key.address(), nil
	return c, ctx.Err()
}

func (c *Config) check() error {
	var errs []error
	bad := func(is bool, what string) {
		if is {
			errs = append(errs, errors.New(what))
		}
	}
	bad(c.ChainID == 0, "no chain id")
	bad(c.Keystore == "" && c.Signer == "", "neither a keystore nor an external signer")
	bad(c.Keystore != "" && c.Signer != "", "both a keystore and an external signer")
	bad(c.Signer != "" && c.Sender == (common.Address{}), "an external signer needs the sender's address")
	bad(c.MaxFeeGwei < 0 || c.MaxFeeGwei > maxGwei, "the fee ceiling is out of range")
	bad(c.MaxTipGwei < 0 || c.MaxTipGwei > maxGwei, "the tip ceiling is out of range")
	bad(c.MaxTipGwei > 0 && c.MaxFeeGwei > 0 && c.MaxTipGwei > c.MaxFeeGwei, "the tip ceiling is above the fee ceiling")
	bad(c.Timeout < 0 || c.MaxResponse < 0, "negative limit")
	bad(c.Depth > 0 && c.FinalTag != "", "both a tag and a depth for what is final")
	bad(c.FinalTag != "" && c.FinalTag != "finalized" && c.FinalTag != "safe", `the tag for what is final is neither "finalized" nor "safe"`)
	bad(c.GasRule != "" && c.GasRule != GasEIP1559 && c.GasRule != GasLegacy && c.GasRule != GasOPStack, "unknown gas rule")
	urls := c.urls()
	for i, u := range urls {
		if err := checkURL("node", u); err != nil {
			errs = append(errs, err)
		}
		bad(slices.Contains(urls[:i], u), "a node is named twice")
	}
	bad(len(urls) > maxNodes, "too many nodes")
	if c.Signer != "" {
		if err := checkURL("external signer", c.Signer); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// urls returns the nodes in their order.
func (c *Config) urls() []string {
	if c.URL == "" && len(c.URLs) > 0 {
		return c.URLs
	}
	return append([]string{c.URL}, c.URLs...)
}

// checkURL does not put s into its error: it may hold an access key.
func checkURL(what, s string) error {
	if s == "" {
		return fmt.Errorf("no URL of the %s", what)
	}
	if !strings.Contains(s, "://") {
		return nil // an IPC socket
	}
	u, err := url.Parse(s)
	if err != nil || u.Host == "" {
		return fmt.Errorf("the URL of the %s cannot be read", what)
	}
	switch u.Scheme {
	case "http", "https", "ws", "wss":
		return nil
	}
	return fmt.Errorf("the URL of the %s has scheme %q, want http, https, ws or wss", what, u.Scheme)
}
