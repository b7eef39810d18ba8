package proof

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"cairn/merkle/ledger"
)

// Place is what tells a ledger's own anchors on a chain from those of others:
// an [EthereumRoute], a [BitcoinRoute] or an [OTSRoute].
type Place interface {
	// Chain returns the route text of receipts and headers: "ethereum:1",
	// "bitcoin:mainnet", "ots".
	Chain() string
	// String returns the words of the policy's text.
	String() string
	// same reports whether the other place takes the same anchors.
	same(Place) bool
}

// EthereumRoute is one sender in one contract on one chain.
type EthereumRoute struct {
	ChainID  uint64
	Contract [20]byte
	Code     [32]byte // keccak256 of the contract's code
	Sender   [20]byte
}

// BitcoinRoute is the script that every anchor's change pays to.
type BitcoinRoute struct {
	Network string // "mainnet", "testnet4", "signet", "regtest"
	Script  []byte // output script, 22 to 34 bytes
	Depth   uint64 // blocks that make an anchor final, its own counted; 0: DefaultDepth
}

// OTSRoute is every OpenTimestamps calendar that anchors on a Bitcoin network:
// a calendar's word is nothing, its transaction anyone's.
type OTSRoute struct {
	Network string // as BitcoinRoute's
	Depth   uint64 // as BitcoinRoute's
}

// DefaultDepth is how many blocks make a Bitcoin block final, itself counted,
// where a policy says no other.
const DefaultDepth = 6

const maxRouteDepth = 10_000

// routeNetworks are the Bitcoin routeNetworks that a place can name.
var routeNetworks = []string{"mainnet", "testnet4", "signet", "regtest"}

// Chain implements Place.
func (r EthereumRoute) Chain() string { return ethereumRoute(r.ChainID) }

// Chain implements Place.
func (r BitcoinRoute) Chain() string { return bitcoinRoute(r.Network) }

// Chain implements Place.
func (r OTSRoute) Chain() string { return ledger.RouteNameOTS }

func ethereumRoute(chainID uint64) string { return fmt.Sprintf("ethereum:%d", chainID) }

func bitcoinRoute(network string) string { return ledger.BitcoinRoutes + network }

// String implements Place.
func (r EthereumRoute) String() string {
	return fmt.Sprintf("ethereum chain=%d contract=0x%x code=0x%x sender=0x%x", r.ChainID, r.Contract, r.Code, r.Sender)
}

// String implements Place.
func (r BitcoinRoute) String() string {
	return fmt.Sprintf("bitcoin network=%s script=%x depth=%d", r.Network, r.Script, depthOf(r.Depth))
}

// String implements Place.
func (r OTSRoute) String() string {
	return fmt.Sprintf("ots network=%s depth=%d", r.Network, depthOf(r.Depth))
}

func depthOf(n uint64) uint64 {
	if n == 0 {
		return DefaultDepth
	}
	return n
}

func (r EthereumRoute) same(p Place) bool { return p == Place(r) }

func (r BitcoinRoute) same(p Place) bool {
	o, ok := p.(BitcoinRoute)
	return ok && o.Network == r.Network && bytes.Equal(o.Script, r.Script)
}

func (r OTSRoute) same(p Place) bool {
	o, ok := p.(OTSRoute)
	return ok && o.Network == r.Network
}

// The forms of a place in a policy's text.
const (
	wantEthereum = "ethereum chain=<id> contract=0x… code=0x… sender=0x…"
	wantBitcoin  = "bitcoin network=<name> script=<hexadecimal> [depth=<blocks>]"
	wantOTS      = "ots [network=<name>] [depth=<blocks>]"
)

// parsePlace reads the words that a Place's String writes.
func parsePlace(words []string) (Place, error) {
	switch words[0] {
	case "ethereum":
		var r EthereumRoute
		err := parseSettings(words, wantEthereum, []setting{
			{"chain", false, func(s string) (err error) { r.ChainID, err = parseDecimal(s); return err }},
			{"contract", false, func(s string) error { return parse0x(r.Contract[:], s) }},
			{"code", false, func(s string) error { return parse0x(r.Code[:], s) }},
			{"sender", false, func(s string) error { return parse0x(r.Sender[:], s) }},
		})
		return r, err
	case "bitcoin":
		r := BitcoinRoute{Depth: DefaultDepth}
		err := parseSettings(words, wantBitcoin, []setting{
			{"network", false, parseNetwork(&r.Network)},
			{"script", false, parseScript(&r.Script)},
			{"depth", true, parseDepth(&r.Depth)},
		})
		return r, err
	case "ots":
		r := OTSRoute{Network: routeNetworks[0], Depth: DefaultDepth}
		err := parseSettings(words, wantOTS, []setting{
			{"network", true, parseNetwork(&r.Network)},
			{"depth", true, parseDepth(&r.Depth)},
		})
		return r, err
	}
	return nil, fmt.Errorf("%.40q is none of ethereum, bitcoin and ots", words[0])
}

// setting is one name=value of a place.
type setting struct {
	name     string
	optional bool
	set      func(string) error
}

// parseSettings reads the words after the first, in the order of all.
func parseSettings(words []string, want string, all []setting) error {
	rest := words[1:]
	for _, s := range all {
		if len(rest) == 0 {
			if s.optional {
				continue
			}
			return fmt.Errorf("no %s=, want: %s", s.name, want)
		}
		name, value, ok := strings.Cut(rest[0], "=")
		if !ok || name != s.name {
			if s.optional {
				continue
			}
			return fmt.Errorf("want %s=, got %.40q", s.name, rest[0])
		}
		if err := s.set(value); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		rest = rest[1:]
	}
	if len(rest) != 0 {
		return fmt.Errorf("%.40q is too much, want: %s", rest[0], want)
	}
	return nil
}

func parseNetwork(to *string) func(string) error {
	return func(s string) error {
		if !slices.Contains(routeNetworks, s) {
			return fmt.Errorf("%.40q is none of %s", s, strings.Join(routeNetworks, ", "))
		}
		*to = s
		return nil
	}
}

func parseScript(to *[]byte) func(string) error {
	return func(s string) error {
		b, err := hex.DecodeString(s)
		if err != nil || len(b) < ledger.MinScript || len(b) > ledger.MaxScript {
			return fmt.Errorf("%.80q is not %d to %d bytes in hexadecimal", s, ledger.MinScript, ledger.MaxScript)
		}
		*to = b
		return nil
	}
}

func parseDepth(to *uint64) func(string) error {
	return func(s string) error {
		n, err := parseDecimal(s)
		if err != nil || n < 1 || n > maxRouteDepth {
			return fmt.Errorf("%.40q is no number from 1 to %d", s, maxRouteDepth)
		}
		*to = n
		return nil
	}
}
