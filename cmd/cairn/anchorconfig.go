package main

import (
	"cmp"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"cairn/anchor"
)

// The types of routes.
const (
	typeEthereum = "ethereum"
	typeBitcoin  = "bitcoin"
	typeOTS      = "ots"
)

// AnchorConfig is one route. Of the parts at its end the type's own is filled
// in.
type AnchorConfig struct {
	Type string

	Every, Jitter   time.Duration
	Poll            time.Duration // between looks at the chain
	Deadline        time.Duration // in which an anchor should be in a block; 0: the route's default
	Depth           uint64        // blocks that make final; 0: the chain's own rule
	Budget, Monthly anchor.Amount // of one anchor, of all in a month; 0: no limit

	Ethereum EthereumConfig
	Bitcoin  BitcoinConfig
	OTS      OTSConfig
}

// EthereumConfig is a place in the registry on an Ethereum chain.
type EthereumConfig struct {
	RPC      []string // nodes' JSON-RPC
	ChainID  uint64
	Contract string // 0x and 40 hex digits
	Account  EthereumAccount
	Next     EthereumAccount // that shall take over; empty: none
	FinalTag string          // "finalized" or "safe"; "" with a depth
	Gas      string          // "eip1559", "legacy" or "op-stack"

	MaxFeeGwei uint64
}

// EthereumAccount is who signs: a keystore, or an external signer.
type EthereumAccount struct {
	Keystore   string // standard keystore file …
	Passphrase string // … and the file whose first line opens it
	SignerURL  string // or an external signer (account_signTransaction) …
	Account    string // … and the account to ask it for
}

// BitcoinConfig is a line of transactions on a Bitcoin network.
type BitcoinConfig struct {
	Node     BitcoinNode
	Key      BitcoinKey
	Next     BitcoinKey // that shall take over; empty: none
	Birthday uint32     // height of a block before the key's first money

	MaxSatPerVB float64 // 0: the default
}

// BitcoinNode is how to reach a node. An empty RPC is no node.
type BitcoinNode struct {
	Network      string
	RPC          string // http[s]://host:port
	User         string
	PasswordFile string
	CookieFile   string // instead of the two
	CAFile       string
}

// BitcoinKey is a key file, and the file whose first line opens it.
type BitcoinKey struct{ File, Passphrase string }

// OTSConfig is some OpenTimestamps calendars.
type OTSConfig struct {
	Calendars []string
	Need      int
	Node      BitcoinNode // that checks them; its network is theirs
}

// Route is the route's name in the ledger.
func (a *AnchorConfig) Route() string {
	switch a.Type {
	case typeBitcoin:
		return typeBitcoin + ":" + a.Bitcoin.Node.Network
	case typeOTS:
		return typeOTS
	}
	return fmt.Sprintf("%s:%d", a.Type, a.Ethereum.ChainID)
}

// guards reports whether the chain keeps a head, by which a folder that was put
// back from an old copy is noticed.
func (a *AnchorConfig) guards() bool { return a.Type != typeOTS }

// unit is the unit of the route's money, "" where it costs nothing.
func (a *AnchorConfig) unit() string {
	return map[string]string{typeEthereum: "gwei", typeBitcoin: "satoshi"}[a.Type]
}

// wallets are what a route pays from, as far as the configuration tells: two
// ledgers must not sign transactions of one account independently.
func (a *AnchorConfig) wallets() []string {
	var all []string
	add := func(what, name string) {
		if name != "" {
			all = append(all, fmt.Sprintf("%s %s on %s", what, name, a.Route()))
		}
	}
	for _, w := range []EthereumAccount{a.Ethereum.Account, a.Ethereum.Next} {
		add("keystore", cleaned(w.Keystore))
		add("account", strings.ToLower(w.Account))
	}
	for _, k := range []BitcoinKey{a.Bitcoin.Key, a.Bitcoin.Next} {
		add("key", cleaned(k.File))
	}
	return all
}

func cleaned(path string) string {
	if path == "" {
		return ""
	}
	return filepath.Clean(path)
}

// anchorKeys are the keys of a route: those of every type, then each type's.
var anchorKeys = map[string][]string{
	"": {"type", "every", "jitter", "poll", "deadline", "finality"},
	typeEthereum: {
		"rpc", "chain_id", "contract", "keystore", "keystore_passphrase_file", "signer_url", "account",
		"next_keystore", "next_keystore_passphrase_file", "next_account", "gas", "max_fee_gwei", "budget", "monthly_budget",
	},
	typeBitcoin: {
		"rpc", "rpc_user", "rpc_password_file", "rpc_cookie_file", "rpc_ca_file", "network", "key", "key_passphrase_file",
		"next_key", "next_key_passphrase_file", "birthday", "max_sat_per_vbyte", "budget", "monthly_budget",
	},
	typeOTS: {"calendars", "need", "network", "rpc", "rpc_user", "rpc_password_file", "rpc_cookie_file", "rpc_ca_file"},
}

func allAnchorKeys() []string {
	var all []string
	for _, keys := range anchorKeys {
		all = append(all, keys...)
	}
	return all
}

// What a route does if the configuration does not say.
const (
	defaultMaxFee = 100
	defaultEvery  = 10 * time.Minute
)

var (
	everyOf = map[string]time.Duration{typeEthereum: defaultEvery, typeBitcoin: time.Hour, typeOTS: time.Hour}
	pollOf  = map[string]time.Duration{typeEthereum: 12 * time.Second, typeBitcoin: 30 * time.Second, typeOTS: 5 * time.Minute}
)

// anchor reads one route.
func (s *settings) anchor(dir string) AnchorConfig {
	a := AnchorConfig{Type: s.oneOf("type", typeEthereum, typeBitcoin, typeOTS)}
	if everyOf[a.Type] == 0 {
		return a
	}
	for _, key := range allAnchorKeys() {
		if s.get(key) != nil && !slices.Contains(anchorKeys[""], key) && !slices.Contains(anchorKeys[a.Type], key) {
			s.fail(key, "is no key of a route of type %s", a.Type)
		}
	}
	a.Every, a.Poll = cmp.Or(s.duration("every"), everyOf[a.Type]), cmp.Or(s.duration("poll"), pollOf[a.Type])
	a.Deadline, a.Jitter = s.duration("deadline"), a.Every/4
	if s.text("jitter") != "" {
		a.Jitter = s.duration("jitter")
	}
	if a.Every > 0 && a.Jitter > a.Every {
		s.fail("jitter", "%v is longer than every, %v", a.Jitter, a.Every)
	}
	if a.Every >= 0 && a.Every < time.Second {
		s.fail("every", "%v is below a second", a.Every)
	}
	a.Budget, a.Monthly = s.amount("budget", a.unit()), s.amount("monthly_budget", a.unit())
	if a.Monthly > 0 && a.Budget > a.Monthly {
		s.fail("budget", "of one anchor is above monthly_budget: a month could not pay for one")
	}
	switch a.Type {
	case typeEthereum:
		s.ethereum(dir, &a)
	case typeBitcoin:
		s.bitcoin(dir, &a)
	case typeOTS:
		s.ots(dir, &a)
	}
	return a
}

func (s *settings) amount(key, unit string) anchor.Amount {
	t := s.text(key)
	if t == "" || unit == "" {
		return 0
	}
	a, err := parseAmount(t, unit)
	if err != nil || a == 0 {
		s.fail(key, "%q is no amount such as %s", t, moneyWords[unit])
	}
	return a
}

func (s *settings) ethereum(dir string, a *AnchorConfig) {
	e := &a.Ethereum
	*e = EthereumConfig{
		RPC: s.oneOrMore("rpc"), ChainID: s.number("chain_id", 1<<62), Contract: s.hexAddress("contract"), Gas: "eip1559",
		MaxFeeGwei: cmp.Or(s.number("max_fee_gwei", 1e6), defaultMaxFee),
	}
	if s.text("gas") != "" {
		e.Gas = s.oneOf("gas", "eip1559", "legacy", "op-stack")
	}
	a.Depth, e.FinalTag = s.finality("finality", "finalized", "safe")
	for _, u := range e.RPC {
		s.checkURL("rpc", u)
	}
	if e.ChainID == 0 {
		s.fail("chain_id", "is missing: 1 is Ethereum's main network, 11155111 Sepolia")
	}
	e.Account = s.account(dir, "")
	if s.text("next_keystore") != "" || s.text("next_account") != "" {
		e.Next = s.account(dir, "next_")
	} else if s.text("next_keystore_passphrase_file") != "" {
		s.fail("next_keystore", "is missing: next_keystore_passphrase_file belongs to it")
	}
}

// account reads who signs on Ethereum. The successor's keys begin with next_;
// an external signer serves both.
func (s *settings) account(dir, prefix string) EthereumAccount {
	a := EthereumAccount{
		Keystore:   within(dir, s.text(prefix+"keystore")),
		Passphrase: within(dir, s.text(prefix+"keystore_passphrase_file")),
	}
	if a.Keystore == "" || prefix == "" {
		a.SignerURL = s.text("signer_url")
	}
	key, signer := a.Keystore != "", a.SignerURL != ""
	switch {
	case key && signer:
		s.fail("keystore", "and signer_url too: transactions are signed by one of them, leave out the other")
	case !key && !signer:
		s.fail(prefix+"keystore", "is missing, and signer_url too: one of them must sign the transactions")
	case key && a.Passphrase == "":
		s.fail(prefix+"keystore_passphrase_file", "is missing: the keystore cannot be opened without it")
	case signer && a.Passphrase != "":
		s.fail(prefix+"keystore_passphrase_file", "belongs to a keystore, and there is none")
	}
	if signer {
		s.checkURL("signer_url", a.SignerURL)
		a.Account = s.hexAddress(prefix + "account")
	} else if s.text(prefix+"account") != "" {
		s.fail(prefix+"account", "belongs to signer_url: a keystore names its own")
	}
	return a
}

func (s *settings) bitcoin(dir string, a *AnchorConfig) {
	b := &a.Bitcoin
	*b = BitcoinConfig{
		Node:     s.node(dir),
		Key:      BitcoinKey{within(dir, s.required("key")), within(dir, s.required("key_passphrase_file"))},
		Birthday: uint32(s.number("birthday", 1<<31)), MaxSatPerVB: float64(s.number("max_sat_per_vbyte", 1e6)),
	}
	s.required("network")
	s.required("rpc")
	if s.text("birthday") == "" {
		s.fail("birthday", "is missing: the height of a block before the key's first money (the newest one for a fresh key)")
	}
	if s.text("next_key") != "" {
		b.Next = BitcoinKey{within(dir, s.text("next_key")), within(dir, s.required("next_key_passphrase_file"))}
	} else if s.text("next_key_passphrase_file") != "" {
		s.fail("next_key", "is missing: next_key_passphrase_file belongs to it")
	}
	a.Depth, _ = s.finality("finality")
}

// maxCalendars bounds the calendars of one route.
const maxCalendars = 16

func (s *settings) ots(dir string, a *AnchorConfig) {
	o := &a.OTS
	*o = OTSConfig{Calendars: s.oneOrMore("calendars"), Need: int(s.number("need", maxCalendars)), Node: s.node(dir)}
	o.Node.Network = cmp.Or(o.Node.Network, "mainnet")
	if len(o.Calendars) > maxCalendars {
		s.fail("calendars", "are %d, at most %d", len(o.Calendars), maxCalendars)
	}
	for _, c := range o.Calendars {
		if u, err := url.Parse(c); err == nil && u.User != nil {
			s.fail("calendars", "one holds a user or password: they are public, and their URLs become part of the proofs")
		} else if err != nil || u.Host == "" || u.Scheme != "https" && (u.Scheme != "http" || !isLoopback(net.JoinHostPort(u.Hostname(), "0"))) {
			s.fail("calendars", "%.80q is no URL such as https://a.pool.opentimestamps.org (http on this machine alone)", c)
		}
	}
	switch {
	case o.Need > len(o.Calendars):
		s.fail("need", "%d of %d calendars cannot be had", o.Need, len(o.Calendars))
	case o.Need == 0:
		o.Need = min(2, len(o.Calendars))
	}
	a.Depth, _ = s.finality("finality")
	if a.Depth > 0 && o.Node.RPC == "" {
		s.fail("finality", "needs a node to count blocks on: set rpc, or leave it out and take the calendars' word")
	}
}

// node reads how a Bitcoin node is reached.
func (s *settings) node(dir string) BitcoinNode {
	n := BitcoinNode{
		RPC: s.text("rpc"), User: s.text("rpc_user"), PasswordFile: within(dir, s.text("rpc_password_file")),
		CookieFile: within(dir, s.text("rpc_cookie_file")), CAFile: within(dir, s.text("rpc_ca_file")),
	}
	if s.text("network") != "" {
		n.Network = s.oneOf("network", "mainnet", "testnet4", "signet", "regtest")
	}
	if n.RPC == "" {
		if n != (BitcoinNode{Network: n.Network}) {
			s.fail("rpc", "is missing: the keys that begin with rpc_ belong to it")
		}
		return n
	}
	u, err := url.Parse(n.RPC)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		s.fail("rpc", "is no URL such as http://127.0.0.1:8332") // it may hold a password: do not repeat it
	case u.User != nil:
		s.fail("rpc", "holds a user or password: give them by rpc_user and rpc_password_file")
	case u.Scheme == "http" && !isLoopbackHost(u.Hostname()) && (n.User != "" || n.CookieFile != ""):
		s.fail("rpc", "sends the password in the clear beyond this machine: use https")
	}
	switch {
	case n.CookieFile != "" && n.User != "":
		s.fail("rpc_cookie_file", "and rpc_user too: leave out one of them")
	case (n.User == "") != (n.PasswordFile == ""):
		s.fail("rpc_user", "and rpc_password_file belong together")
	}
	return n
}

func isLoopbackHost(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// oneOrMore is a value or a list of values, and must be there.
func (s *settings) oneOrMore(key string) []string {
	if _, isList := s.get(key).([]any); isList {
		return s.texts(key)
	}
	if t := s.required(key); t != "" {
		return []string{t}
	}
	return nil
}

func (s *settings) checkURL(key, text string) {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || !slices.Contains([]string{"http", "https", "ws", "wss"}, u.Scheme) {
		// The text may hold a provider's key: do not repeat it.
		s.fail(key, "is no URL such as https://host:8545")
	}
}

func (s *settings) hexAddress(key string) string {
	t := s.required(key)
	if digits, ok := strings.CutPrefix(t, "0x"); t != "" && (!ok || len(digits) != 40 || strings.Trim(digits, "0123456789abcdefABCDEF") != "") {
		s.fail(key, "%q is no address: 0x and 40 hex digits (in YAML in quotes)", t)
	}
	return t
}

// finality is one of the words, the first by default, or a number of blocks.
func (s *settings) finality(key string, words ...string) (depth uint64, tag string) {
	t := s.text(key)
	if t == "" && len(words) > 0 {
		return 0, words[0]
	}
	if t == "" || slices.Contains(words, t) {
		return 0, t
	}
	n, err := strconv.ParseUint(t, 10, 32)
	switch {
	case err == nil && n > 0:
	case len(words) > 0:
		s.fail(key, "%q is neither %s nor a number of blocks", t, strings.Join(words, " nor "))
	default:
		s.fail(key, "%q is no number of blocks", t)
	}
	return n, ""
}
