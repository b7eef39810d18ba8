package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/ethereum/go-ethereum/common"

	"cairn/anchor"
	"cairn/anchor/bitcoin"
	"cairn/anchor/ethereum"
	"cairn/anchor/ots"
	"cairn/anchor/proof"
	"cairn/merkle/ledger"
)

// place is where a ledger is anchored: a chain, and what the ledger records
// about it.
type place struct {
	chain anchor.Chain
	close func()
	// id is the place as a policy names it; nil if the key cannot be read.
	id proof.Place
	// journal names the place's own journal: another sender or script on the
	// same chain has another.
	journal string
	// wallet is what it pays from: two ledgers must not have one in common. It
	// is empty if it costs nothing, or if the key cannot be read at all.
	wallet string
	// next is the successor that the configuration names, nil if there is none
	// or if it is this one; heir says that this is a successor that waits.
	next *place
	heir bool
	// said is what an operator may want to know of it.
	said atomic.Pointer[string]
	// named returns the statement that names the place; nil if the key cannot
	// be read. If asks is set only a node can tell.
	named func(context.Context) (*ledger.Statement, error)
	asks  bool
}

func (p *place) say(format string, a ...any) {
	text := fmt.Sprintf(format, a...)
	p.said.Store(&text)
}

// notes are what an operator may want to know of the place: what the gateway
// says of it, and the chain itself.
func (p *place) notes() (all []string) {
	if text := p.said.Load(); text != nil {
		all = append(all, *text)
	}
	if c, ok := p.chain.(interface{ Notes() []string }); ok {
		all = append(all, c.Notes()...)
	}
	return all
}

// shut ends the connections of the place, and of the successor that waits.
func (p *place) shut() {
	p.close()
	if p.next != nil {
		p.next.close()
	}
}

// sameAs reports whether both are one place, as far as the keys can be read.
func (p *place) sameAs(o *place) bool {
	return p.id != nil && o.id != nil && p.id.String() == o.id.String()
}

// dial makes the chain of a route; with before, that of the successor to it. It
// needs no node. A key that does not open is no error here: the route's status
// says so, and readings are taken all the same.
func (l *openLedger) dial(ctx context.Context, a *AnchorConfig, before *place) (*place, error) {
	switch a.Type {
	case typeBitcoin:
		return l.dialBitcoin(ctx, a, before)
	case typeOTS:
		return l.dialOTS(a)
	}
	return l.dialEthereum(ctx, a, before)
}

// journalOf names a place's journal: the route's name, with a number for each
// place that the ledger has named before it on that chain, or will, as the one
// that it succeeds.
func (l *openLedger) journalOf(route string, id proof.Place, after *place) (string, error) {
	stated, err := l.statedRoutes()
	if err != nil {
		return "", err
	}
	before := distinct(stated, route)
	if after != nil && after.id != nil && !slices.ContainsFunc(before, func(p proof.Place) bool { return p.String() == after.id.String() }) {
		before = append(before, after.id)
	}
	n := len(before)
	if i := slices.IndexFunc(before, func(p proof.Place) bool { return id != nil && p.String() == id.String() }); i >= 0 {
		n = i
	} else if id == nil && n > 0 {
		n-- // the key cannot be read: it is most likely the newest one's
	}
	return journalName(route, n), nil
}

// distinct returns the places that the ledger has named on a chain, in order. A
// route of calendars has one, whichever they are.
func distinct(stated []statedRoute, route string) (all []proof.Place) {
	for _, s := range stated {
		if s.name == route && !slices.ContainsFunc(all, func(p proof.Place) bool { return p.String() == s.place.String() }) {
			all = append(all, s.place)
		}
	}
	return all
}

// routeNames returns the routes that the ledger has named, each once.
func routeNames(stated []statedRoute) (all []string) {
	for _, s := range stated {
		if !slices.Contains(all, s.name) {
			all = append(all, s.name)
		}
	}
	return all
}

func journalName(route string, n int) string {
	if n == 0 {
		return route
	}
	return fmt.Sprintf("%s#%d", route, n)
}

func (l *openLedger) dialEthereum(ctx context.Context, a *AnchorConfig, before *place) (*place, error) {
	who := a.Ethereum.Account
	if before != nil {
		who = a.Ethereum.Next
	}
	cfg, err := ethereumConfig(a, who)
	cfg.Locked, cfg.Ledger = err, l.store.Ledger()
	c, err := ethereum.Dial(ctx, cfg)
	if err != nil {
		return nil, err
	}
	p := &place{chain: c, close: c.Close, named: func(context.Context) (*ledger.Statement, error) { return nil, nil }}
	if c.Sender() != ([20]byte{}) {
		p.id = proof.EthereumRoute{ChainID: a.Ethereum.ChainID, Contract: c.Contract(), Code: c.CodeHash(), Sender: c.Sender()}
		p.wallet = fmt.Sprintf("account %s on %s", c.Sender(), c.Name())
		s := ledger.Route{
			Name: c.Name(), ChainID: a.Ethereum.ChainID, Contract: c.Contract(), CodeHash: c.CodeHash(), Sender: c.Sender(),
		}.Statement(0)
		p.named = func(context.Context) (*ledger.Statement, error) { return &s, nil }
	}
	if p.journal, err = l.journalOf(c.Name(), p.id, before); err != nil {
		c.Close()
		return nil, err
	}
	return p, nil
}

// ethereumConfig is the chain's part of a route's configuration. Its error says
// that the passphrase of the keystore cannot be had; the rest is filled in.
func ethereumConfig(a *AnchorConfig, who EthereumAccount) (ethereum.Config, error) {
	e := &a.Ethereum
	cfg := ethereum.Config{
		URLs: e.RPC, ChainID: e.ChainID, Contract: common.HexToAddress(e.Contract),
		Keystore: who.Keystore, Signer: who.SignerURL, FinalTag: e.FinalTag, Depth: a.Depth,
		GasRule: ethereum.GasRule(e.Gas), MaxFeeGwei: float64(e.MaxFeeGwei),
	}
	if who.Account != "" {
		cfg.Sender = common.HexToAddress(who.Account)
	}
	if who.Passphrase != "" {
		p, err := readSecretFile(who.Passphrase)
		if err != nil {
			return cfg, fmt.Errorf("keystore_passphrase_file: %w", err)
		}
		cfg.Passphrase = p
	}
	return cfg, nil
}

func (l *openLedger) dialBitcoin(ctx context.Context, a *AnchorConfig, before *place) (*place, error) {
	key := a.Bitcoin.Key
	if before != nil {
		key = a.Bitcoin.Next
	}
	cfg, locked := bitcoinConfig(a, key)
	cfg.Locked = locked
	// The key file tells its script in the clear. What the ledger has said of
	// it is needed before the key is opened, which takes a while.
	closed := cfg
	closed.Passphrase = nil
	c, err := bitcoin.Dial(ctx, closed)
	if err != nil {
		return nil, err
	}
	c.Close()
	p := &place{}
	if locked != nil {
		p.say("%v", locked)
	}
	script := c.Script()
	if len(script) > 0 {
		p.id = proof.BitcoinRoute{Network: a.Bitcoin.Node.Network, Script: script}
		p.wallet = fmt.Sprintf("key of %s on %s", c.Address(), c.Name())
	}
	if p.journal, err = l.journalOf(c.Name(), p.id, before); err != nil {
		return nil, err
	}
	cfg.Book = book{l.store.Journal(p.journal)}
	stated, err := l.statedRoutes()
	if err != nil {
		return nil, err
	}
	named := false
	for _, s := range stated {
		if b, ok := s.bitcoin(); ok && b.Name == c.Name() && slices.Equal(b.Script, script) {
			cfg.First, named = proof.Outpoint{TxID: b.OutpointTx, Index: b.OutpointIndex}, true
			break
		}
	}
	if c, err = bitcoin.Dial(ctx, cfg); err != nil {
		return nil, err
	}
	p.chain, p.close, p.asks = c, c.Close, !named && len(script) > 0
	p.named = func(ctx context.Context) (*ledger.Statement, error) {
		if len(script) == 0 {
			return nil, nil
		}
		if !named {
			if cfg.First, err = c.FirstOutpoint(ctx); err != nil {
				return nil, err
			}
		}
		s := ledger.RouteBitcoin{
			Name: c.Name(), Network: a.Bitcoin.Node.Network, Script: script, OutpointTx: cfg.First.TxID, OutpointIndex: cfg.First.Index,
		}.Statement(0)
		return &s, nil
	}
	if p.asks {
		p.chain = &unnamed{Chain: c, name: func(ctx context.Context) error {
			if _, err := l.name(ctx, p); err != nil {
				return err
			}
			return c.BeginWith(ctx, cfg.First)
		}}
	}
	return p, nil
}

// unnamed is a line of transactions that the ledger has not named yet: only
// the node can tell which output it will begin with. It is named by the
// pre-flight or, if the money comes right after that, before the first anchor is
// signed, which then begins with just that output.
type unnamed struct {
	*bitcoin.Chain
	name func(context.Context) error
	done bool
}

// Ready implements anchor.Chain. A key that does not open is told before the
// money that it lacks: nobody shall pay to it.
func (u *unnamed) Ready(ctx context.Context) error {
	err := u.Chain.Ready(ctx)
	if errors.Is(err, anchor.ErrLocked) {
		return err
	}
	if err := u.begin(ctx); err != nil {
		return err
	}
	return err
}

// Sign implements anchor.Chain.
func (u *unnamed) Sign(ctx context.Context, o anchor.Order) (anchor.Attempt, error) {
	if err := u.begin(ctx); err != nil {
		return anchor.Attempt{}, err
	}
	return u.Chain.Sign(ctx, o)
}

func (u *unnamed) begin(ctx context.Context) error {
	if u.done {
		return nil
	}
	err := u.name(ctx)
	u.done = err == nil
	return err
}

// bitcoinConfig is to bitcoin what ethereumConfig is to ethereum.
func bitcoinConfig(a *AnchorConfig, key BitcoinKey) (bitcoin.Config, error) {
	b := &a.Bitcoin
	cfg := bitcoin.Config{
		Network: b.Node.Network, URL: b.Node.RPC, User: b.Node.User, CookieFile: b.Node.CookieFile, CAFile: b.Node.CAFile,
		Key: key.File, Birthday: b.Birthday, Depth: a.Depth, MaxSatPerVB: b.MaxSatPerVB,
	}
	var err error
	if cfg.Password, err = b.Node.password(); err != nil {
		return cfg, err
	}
	p, err := readSecretFile(key.Passphrase)
	if err != nil {
		return cfg, fmt.Errorf("key_passphrase_file: %w", err)
	}
	cfg.Passphrase = p
	return cfg, nil
}

// password reads the password of a node, "" if it has none.
func (n BitcoinNode) password() (string, error) {
	if n.PasswordFile == "" {
		return "", nil
	}
	p, err := readSecretFile(n.PasswordFile)
	if err != nil {
		return "", fmt.Errorf("rpc_password_file: %w", err)
	}
	return string(p), nil
}

// dialNode makes a Bitcoin node that no key belongs to.
func dialNode(n BitcoinNode, password string) (*bitcoin.Node, error) {
	return bitcoin.NewNode(bitcoin.NodeConfig{
		Network: n.Network, URL: n.RPC, User: n.User, Password: password, CookieFile: n.CookieFile, CAFile: n.CAFile,
	})
}

func (l *openLedger) dialOTS(a *AnchorConfig) (*place, error) {
	o, cfg := &a.OTS, otsConfig(a)
	cfg.Book = book{l.store.Journal(typeOTS)}
	var node *bitcoin.Node
	password, locked := o.Node.password() // the node will say that it lacks, and readings are taken all the same
	if o.Node.RPC != "" {
		var err error
		if node, err = dialNode(o.Node, password); err != nil {
			return nil, err
		}
		cfg.Headers = headerSource{node}
	}
	c, err := ots.New(cfg)
	if err != nil {
		if node != nil {
			node.Close()
		}
		return nil, err
	}
	s := ledger.RouteOTS{Name: c.Name(), Calendars: o.Calendars, Need: uint32(o.Need)}.Statement(0)
	p := &place{
		chain: c,
		close: func() {
			c.Close()
			if node != nil {
				node.Close()
			}
		},
		id: proof.OTSRoute{Network: o.Node.Network}, journal: typeOTS,
		named: func(context.Context) (*ledger.Statement, error) { return &s, nil },
	}
	if locked != nil {
		p.say("%v", locked)
	}
	return p, nil
}

// otsConfig is the chain's part of a route's configuration.
func otsConfig(a *AnchorConfig) ots.Config {
	o := &a.OTS
	return ots.Config{
		Calendars: o.Calendars, Also: behindPools(o.Calendars), Need: o.Need, Network: o.Node.Network, Depth: uint32(a.Depth),
	}
}

// publicCalendars is what `cairn init --anchor ots` writes: the pools of the
// public OpenTimestamps calendars.
var publicCalendars = []string{
	"https://a.pool.opentimestamps.org", "https://b.pool.opentimestamps.org", "https://a.pool.eternitywall.com",
}

// poolMembers are the calendars that answer for a pool: it is they who are
// asked later.
var poolMembers = map[string][]string{
	"https://a.pool.opentimestamps.org": {"https://alice.btc.calendar.opentimestamps.org"},
	"https://b.pool.opentimestamps.org": {"https://bob.btc.calendar.opentimestamps.org"},
	"https://a.pool.eternitywall.com":   {"https://finney.calendar.eternitywall.com"},
}

func behindPools(calendars []string) []string {
	var also []string
	for _, c := range calendars {
		for _, m := range poolMembers[c] {
			if !slices.Contains(calendars, m) && !slices.Contains(also, m) {
				also = append(also, m)
			}
		}
	}
	return also
}

// headerSource is a node as the calendars' route asks it.
type headerSource struct{ node *bitcoin.Node }

// Tip implements ots.HeaderSource.
func (h headerSource) Tip(ctx context.Context) (uint32, error) {
	if err := h.node.CheckNetwork(ctx); err != nil {
		return 0, err
	}
	height, _, err := h.node.Tip(ctx)
	return height, err
}

// Header implements ots.HeaderSource.
func (h headerSource) Header(ctx context.Context, height uint32) (proof.BitcoinHeader, error) {
	return h.node.HeaderAt(ctx, height)
}

// book is where a chain keeps what it found, beside the route's anchors.
type book struct{ journal anchor.Journal }

const bookKey = "book"

// Load returns what was saved last, nil if nothing was.
func (b book) Load() ([]byte, error) {
	key, value, ok, err := b.journal.Seek(bookKey)
	if err != nil || !ok || key != bookKey {
		return nil, err
	}
	return value, nil
}

// Save returns when the value is on disk.
func (b book) Save(value []byte) error { return b.journal.Put(bookKey, value) }
