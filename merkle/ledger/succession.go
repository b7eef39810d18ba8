package ledger

import (
	"crypto/ed25519"
	"encoding/binary"
	"fmt"
	"strings"

	"cairn/merkle"
)

// Names of routes. That of an Ethereum route is "ethereum:" and its chain id.
const (
	BitcoinRoutes = "bitcoin:" // and the network, such as "bitcoin:mainnet"
	RouteNameOTS  = "ots"      // all OpenTimestamps calendars of a ledger are one route
)

// Limits of the statements about routes.
const (
	MinScript    = 22  // bytes of the shortest output script, P2WPKH (BIP 141)
	MaxScript    = 34  // bytes of the longest, P2TR (BIP 341)
	MaxCalendars = 16  // of an OpenTimestamps route
	MaxCalendar  = 200 // bytes of a calendar's URL
)

// RouteBitcoin names what a Bitcoin route anchors with.
type RouteBitcoin struct {
	Name    string // BitcoinRoutes and the network
	Network string // "mainnet", "testnet4", "signet", "regtest"
	Script  []byte // output script that every anchor's change pays to, MinScript…MaxScript bytes
	// The output that the first anchor spends by its input 0: the hash of its
	// transaction in the order in which it is hashed (not as it is displayed),
	// and its place among the outputs.
	OutpointTx    [32]byte
	OutpointIndex uint32
}

// Statement returns the statement of r, made at this time.
func (r RouteBitcoin) Statement(at int64) Statement {
	return Statement{KindRouteBitcoin, at, map[string]any{
		"route": r.Name, "network": r.Network, "script": r.Script,
		"outpoint-tx": r.OutpointTx[:], "outpoint-index": int64(r.OutpointIndex),
	}}
}

// RouteBitcoinFrom returns what a route-bitcoin statement says.
func RouteBitcoinFrom(s Statement) (r RouteBitcoin, err error) {
	body, err := s.as(KindRouteBitcoin)
	if err != nil {
		return RouteBitcoin{}, err
	}
	r.Name, r.Network = body["route"].(string), body["network"].(string)
	r.Script = append(r.Script, body["script"].([]byte)...)
	copy(r.OutpointTx[:], body["outpoint-tx"].([]byte))
	r.OutpointIndex = uint32(body["outpoint-index"].(int64))
	return r, nil
}

// RouteOTS names the OpenTimestamps calendars that a ledger anchors through.
type RouteOTS struct {
	Name      string   // RouteNameOTS
	Calendars []string // URLs, each once
	Need      uint32   // how many of them have to answer, 1…len(Calendars)
}

// Statement returns the statement of r, made at this time.
func (r RouteOTS) Statement(at int64) Statement {
	all := make([]any, len(r.Calendars))
	for i := range all {
		all[i] = r.Calendars[i]
	}
	return Statement{KindRouteOTS, at, map[string]any{"route": r.Name, "calendars": all, "need": int64(r.Need)}}
}

// RouteOTSFrom returns what a route-ots statement says.
func RouteOTSFrom(s Statement) (r RouteOTS, err error) {
	body, err := s.as(KindRouteOTS)
	if err != nil {
		return RouteOTS{}, err
	}
	r.Name, r.Need = body["route"].(string), uint32(body["need"].(int64))
	r.Calendars, _ = s.Texts("calendars")
	return r, nil
}

func calendars(v any) bool {
	all, ok := v.([]any)
	seen := make(map[string]bool, len(all))
	for i := range all {
		s, is := all[i].(string)
		if !is || !validCalendar(s) || seen[s] {
			return false
		}
		seen[s] = true
	}
	return ok && len(all) > 0 && len(all) <= MaxCalendars
}

func validCalendar(s string) bool {
	rest, https := strings.CutPrefix(s, "https://")
	if !https {
		rest, https = strings.CutPrefix(s, "http://")
	}
	return https && rest != "" && len(s) <= MaxCalendar && printable(s) && !strings.Contains(s, " ")
}

// logKeyDomain begins the bytes that both keys of a LogKey sign.
const logKeyDomain = "cairn/log-key/1"

// LogKey says that a ledger's checkpoints and intake heads are signed by
// another log key from here on. The ledger's id and origin stay.
type LogKey struct {
	Old, New                   [32]byte // Ed25519 public keys
	OldSignature, NewSignature [64]byte // over what the package doc says; ask Verify
}

// SignLogKey returns the statement, made at this time (Unix milliseconds, not
// before 1970), by which the ledger id goes from the log key old to the log key
// new. Both sign: the old one gives the ledger away, the new one shows that its
// holder takes it.
func SignLogKey(id merkle.Hash, old, new ed25519.PrivateKey, at int64) Statement {
	var k LogKey
	copy(k.Old[:], old.Public().(ed25519.PublicKey))
	copy(k.New[:], new.Public().(ed25519.PublicKey))
	signed := k.signed(id, at)
	copy(k.OldSignature[:], ed25519.Sign(old, signed))
	copy(k.NewSignature[:], ed25519.Sign(new, signed))
	return k.Statement(at)
}

// Statement returns the statement of k, made at this time. The signatures hold
// for just the time they were made over.
func (k LogKey) Statement(at int64) Statement {
	return Statement{KindLogKey, at, map[string]any{
		"old": k.Old[:], "new": k.New[:], "old-signature": k.OldSignature[:], "new-signature": k.NewSignature[:],
	}}
}

// LogKeyFrom returns what a log-key statement says. Its signatures are not
// checked: they count once Verify says so.
func LogKeyFrom(s Statement) (k LogKey, err error) {
	body, err := s.as(KindLogKey)
	if err != nil {
		return LogKey{}, err
	}
	copy(k.Old[:], body["old"].([]byte))
	copy(k.New[:], body["new"].([]byte))
	copy(k.OldSignature[:], body["old-signature"].([]byte))
	copy(k.NewSignature[:], body["new-signature"].([]byte))
	return k, nil
}

// Verify returns an ErrSignature unless both keys signed that the ledger id
// goes from the one to the other at this time, which is the statement's. That
// Old is the ledger's log key until there is for the caller to check.
func (k LogKey) Verify(id merkle.Hash, at int64) error {
	if k.Old == k.New {
		return fmt.Errorf("log-key: %w: the new key is the old one", ErrInvalid)
	}
	signed := k.signed(id, at)
	if !ed25519.Verify(k.Old[:], signed, k.OldSignature[:]) {
		return fmt.Errorf("log-key: the old key's %w", ErrSignature)
	}
	if !ed25519.Verify(k.New[:], signed, k.NewSignature[:]) {
		return fmt.Errorf("log-key: the new key's %w", ErrSignature)
	}
	return nil
}

func (k LogKey) signed(id merkle.Hash, at int64) []byte {
	b := make([]byte, 0, len(logKeyDomain)+len(id)+len(k.Old)+len(k.New)+8)
	b = append(append(b, logKeyDomain...), id[:]...)
	b = append(append(b, k.Old[:]...), k.New[:]...)
	return binary.BigEndian.AppendUint64(b, uint64(at))
}

// Checks of a whole body, after that of each key.

func wholeRouteBitcoin(body map[string]any) string {
	if body["route"] != BitcoinRoutes+body["network"].(string) {
		return `whose route is not "bitcoin:" and its network`
	}
	return ""
}

func wholeRouteOTS(body map[string]any) string {
	if body["need"].(int64) > int64(len(body["calendars"].([]any))) {
		return "that needs more calendars than it has"
	}
	return ""
}

func wholeLogKey(body map[string]any) string {
	if string(body["old"].([]byte)) == string(body["new"].([]byte)) {
		return "whose new key is the old one"
	}
	return ""
}
