package proof

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"cairn/merkle"
	"cairn/merkle/ledger"
)

// policyMagic is the first line of a policy file.
const policyMagic = "cairn-policy 1"

// Limits of a policy file.
const (
	maxPolicy = 64 << 10
	maxRoutes = 64
	maxLate   = 10 * 366 * 24 * time.Hour
)

// ErrPolicy says that a text is no policy. The error names the line.
var ErrPolicy = errors.New("malformed policy")

// Policy says whose ledger it is and where it is anchored: what a verifier
// must get from the ledger's owner by another way than the proof. The package
// doc has its text form.
type Policy struct {
	Ledger merkle.Hash       // id
	Key    ed25519.PublicKey // of the log
	Routes []EthereumRoute
	Late   time.Duration // longest delay from window's end to anchor; 0: any
}

// EthereumRoute is one place where a ledger's anchors count.
type EthereumRoute struct {
	ChainID  uint64
	Contract [20]byte
	Code     [32]byte // keccak256 of the contract's code
	Sender   [20]byte
}

// Append appends the policy's text to dst.
func (p *Policy) Append(dst []byte) []byte {
	dst = fmt.Appendf(dst, "%s\nledger %v %s\n", policyMagic, p.Ledger, merkle.VerifierKey(ledger.Origin(p.Ledger), p.Key))
	for _, r := range p.Routes {
		dst = fmt.Appendf(dst, "route ethereum chain=%d contract=0x%x code=0x%x sender=0x%x\n", r.ChainID, r.Contract, r.Code, r.Sender)
	}
	if p.Late != 0 {
		dst = fmt.Appendf(dst, "late %v\n", p.Late)
	}
	return dst
}

// ParsePolicy reads a policy. A line that it does not know is an error, not
// passed over: a policy that is half understood would promise too much.
func ParsePolicy(b []byte) (*Policy, error) {
	if len(b) > maxPolicy || !utf8.Valid(b) {
		return nil, fmt.Errorf("%w: %d bytes, at most %d of UTF-8", ErrPolicy, len(b), maxPolicy)
	}
	var p Policy
	first := true
	for n, line := range bytes.Split(b, []byte("\n")) {
		words := strings.Fields(string(line))
		if len(words) == 0 || strings.HasPrefix(words[0], "#") {
			continue
		}
		var err error
		if first {
			first = false
			if strings.Join(words, " ") != policyMagic {
				err = fmt.Errorf("begins with %.40q, want %q", line, policyMagic)
			}
		} else {
			err = p.line(words)
		}
		if err != nil {
			return nil, fmt.Errorf("%w: line %d: %w", ErrPolicy, n+1, err)
		}
	}
	if p.Key == nil {
		return nil, fmt.Errorf("%w: it names no ledger", ErrPolicy)
	}
	return &p, nil
}

func (p *Policy) line(words []string) error {
	switch words[0] {
	case "ledger":
		return p.ledgerLine(words[1:])
	case "route":
		return p.routeLine(words[1:])
	case "late":
		return p.lateLine(words[1:])
	}
	return fmt.Errorf("unknown word %.40q", words[0])
}

func (p *Policy) ledgerLine(words []string) error {
	if p.Key != nil {
		return errors.New("second ledger")
	}
	if len(words) != 2 {
		return errors.New("want: ledger <id> <verifier key>")
	}
	if err := parseHex(p.Ledger[:], words[0]); err != nil {
		return fmt.Errorf("ledger id: %w", err)
	}
	name, key, err := merkle.ParseVerifierKey(words[1])
	if err != nil {
		return err
	}
	if want := ledger.Origin(p.Ledger); name != want {
		return fmt.Errorf("verifier key is named %.100q, want %q", name, want)
	}
	p.Key = key
	return nil
}

func (p *Policy) routeLine(words []string) error {
	if len(words) != 5 || words[0] != "ethereum" {
		return errors.New("want: route ethereum chain=<id> contract=0x… code=0x… sender=0x…")
	}
	var r EthereumRoute
	for i, f := range []struct {
		name string
		set  func(string) error
	}{
		{"chain", func(s string) (err error) { r.ChainID, err = parseDecimal(s); return err }},
		{"contract", func(s string) error { return parse0x(r.Contract[:], s) }},
		{"code", func(s string) error { return parse0x(r.Code[:], s) }},
		{"sender", func(s string) error { return parse0x(r.Sender[:], s) }},
	} {
		name, value, ok := strings.Cut(words[1+i], "=")
		if !ok || name != f.name {
			return fmt.Errorf("want %s=, got %.40q", f.name, words[1+i])
		}
		if err := f.set(value); err != nil {
			return fmt.Errorf("%s: %w", f.name, err)
		}
	}
	for _, have := range p.Routes {
		if have == r {
			return errors.New("the same route again")
		}
	}
	if len(p.Routes) == maxRoutes {
		return fmt.Errorf("over %d routes", maxRoutes)
	}
	p.Routes = append(p.Routes, r)
	return nil
}

func (p *Policy) lateLine(words []string) error {
	if p.Late != 0 {
		return errors.New("second late")
	}
	if len(words) != 1 {
		return errors.New("want: late <duration>, such as 2h")
	}
	d, err := time.ParseDuration(words[0])
	if err != nil || d < time.Second || d > maxLate {
		return fmt.Errorf("%.40q is no duration from 1s to %v", words[0], maxLate)
	}
	p.Late = d
	return nil
}

// counts reports whether an anchor at this place is the ledger's own.
func (p *Policy) counts(r *EthereumReceipt, code [32]byte) bool {
	for _, have := range p.Routes {
		if have == (EthereumRoute{ChainID: r.ChainID, Contract: r.Contract, Code: code, Sender: r.Sender}) {
			return true
		}
	}
	return false
}

// parseDecimal reads a number without sign, plus or leading zeros.
func parseDecimal(s string) (uint64, error) {
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil || strconv.FormatUint(n, 10) != s {
		return 0, fmt.Errorf("%.40q is no decimal number", s)
	}
	return n, nil
}

// parse0x reads exactly len(dst) bytes of hexadecimal after 0x, in upper or
// lower case: addresses are also written with a checksum of cases.
func parse0x(dst []byte, s string) error {
	digits, ok := strings.CutPrefix(s, "0x")
	if !ok {
		return fmt.Errorf("%.80q does not begin with 0x", s)
	}
	return parseHex(dst, digits)
}

func parseHex(dst []byte, s string) error {
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != len(dst) {
		return fmt.Errorf("%.80q is not %d bytes in hexadecimal", s, len(dst))
	}
	copy(dst, b)
	return nil
}
