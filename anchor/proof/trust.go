package proof

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// HeaderTrust knows which blocks are final on a chain. Nothing in a proof can
// say that.
type HeaderTrust interface {
	// Trusted reports whether the chain's final block of this height has this
	// hash, and in words how that is known, or why not if there is more to say.
	// The route is "ethereum:" and the chain id or "bitcoin:" and the network;
	// the hash of a Bitcoin block is in internal byte order. ok is false,
	// without an error, both when it has another and when this source does not
	// know: neither gives a level. An error says that the question could not be
	// asked.
	Trusted(route string, height uint64, hash [32]byte) (how string, ok bool, err error)
}

// BlockTimer is a HeaderTrust that can also tell the time of a block which it
// trusts, in Unix milliseconds.
type BlockTimer interface {
	BlockTime(route string, hash [32]byte) (ms int64, ok bool)
}

// DepthTrust is a HeaderTrust for chains whose blocks are final by the number
// of those upon them, which it counts itself.
type DepthTrust interface {
	HeaderTrust
	// TrustedDeep is Trusted for a block that is final only as one of at least
	// depth blocks, from itself up to the newest.
	TrustedDeep(route string, height uint64, hash [32]byte, depth uint64) (how string, ok bool, err error)
}

// BlockFinder is a HeaderTrust that has Bitcoin's headers by their height. An
// OpenTimestamps proof names no more of a block than that.
type BlockFinder interface {
	BlockAt(route string, height uint64) (BitcoinHeader, bool)
}

// trusted asks about a block, and for its depth too whoever can count it.
func trusted(t HeaderTrust, route string, height uint64, hash [32]byte, depth uint64) (string, bool, error) {
	if deep, ok := t.(DepthTrust); ok {
		return deep.TrustedDeep(route, height, hash, depth)
	}
	return t.Trusted(route, height, hash)
}

// Pinned trusts the blocks with these hashes, of whatever chain: someone looked
// them up. That of a Bitcoin block is in the byte order in which it is shown.
type Pinned [][32]byte

// Trusted implements HeaderTrust.
func (p Pinned) Trusted(route string, _ uint64, hash [32]byte) (string, bool, error) {
	how := "its hash was given with the question"
	if isBitcoin(route) {
		slices.Reverse(hash[:])
		how += ", its height is the receipt's word"
	}
	for _, h := range p {
		if h == hash {
			return how, true, nil
		}
	}
	return "", false, nil
}

// AnyTrust trusts a block that one of several sources trusts. It fails only
// when none trusts it and some could not be asked.
type AnyTrust []HeaderTrust

// Trusted implements HeaderTrust.
func (a AnyTrust) Trusted(route string, height uint64, hash [32]byte) (string, bool, error) {
	return a.any(func(t HeaderTrust) (string, bool, error) { return t.Trusted(route, height, hash) })
}

// TrustedDeep implements DepthTrust by those sources that do; the others vouch
// for blocks as they are.
func (a AnyTrust) TrustedDeep(route string, height uint64, hash [32]byte, depth uint64) (string, bool, error) {
	return a.any(func(t HeaderTrust) (string, bool, error) { return trusted(t, route, height, hash, depth) })
}

func (a AnyTrust) any(ask func(HeaderTrust) (string, bool, error)) (string, bool, error) {
	var errs []error
	why := ""
	for _, t := range a {
		how, ok, err := ask(t)
		switch {
		case err != nil:
			errs = append(errs, err)
		case ok:
			return how, true, nil
		case how != "":
			why = how
		}
	}
	return why, false, errors.Join(errs...)
}

// BlockAt implements BlockFinder by the first source that has the block. Others
// may have another of that height.
func (a AnyTrust) BlockAt(route string, height uint64) (BitcoinHeader, bool) {
	if all := blocksAt(a, route, height); len(all) != 0 {
		return all[0], true
	}
	return BitcoinHeader{}, false
}

// blocksAt returns the headers of a height that the sources have.
func blocksAt(t HeaderTrust, route string, height uint64) (all []BitcoinHeader) {
	if any, ok := t.(AnyTrust); ok {
		for _, one := range any {
			all = append(all, blocksAt(one, route, height)...)
		}
		return all
	}
	if f, ok := t.(BlockFinder); ok {
		if h, ok := f.BlockAt(route, height); ok {
			all = append(all, h)
		}
	}
	return all
}

// BlockTime implements BlockTimer by those sources that do.
func (a AnyTrust) BlockTime(route string, hash [32]byte) (int64, bool) {
	for _, t := range a {
		if bt, ok := t.(BlockTimer); ok {
			if ms, ok := bt.BlockTime(route, hash); ok {
				return ms, true
			}
		}
	}
	return 0, false
}

// headersMagic is the first line of a headers file.
const headersMagic = "cairn-headers 1"

// Limits of a headers file.
const (
	maxHeaders     = 32 << 20
	maxHeaderLines = 100_000
)

// ErrHeaders says that a text is no headers file. The error names the line.
var ErrHeaders = errors.New("malformed headers file")

// MaxHeaders is the longest headers file that is read, of either kind: forty
// years of Bitcoin's.
const MaxHeaders = 80*maxBitcoinHeaders + 1024

// ParseTrust reads a headers file of either kind: the text of ParseHeaders, or
// the bytes of ParseBitcoinHeaders.
func ParseTrust(b []byte) (HeaderTrust, error) {
	if bytes.HasPrefix(b, []byte(bitcoinHeadersMagic)) {
		return ParseBitcoinHeaders(b)
	}
	if start := b[:min(len(b), len(bitcoinHeadersMagic))]; !utf8.Valid(start) {
		return nil, fmt.Errorf("%w: it begins with %q, want %q, or %q for Bitcoin's", ErrHeaders, start, headersMagic, bitcoinHeadersMagic)
	}
	return ParseHeaders(b)
}

// Headers is a set of block headers that somebody vouches for. The package doc
// has the text form that it is read from.
type Headers struct {
	known map[headerKey]ethereumHeader
}

type headerKey struct {
	route string
	hash  [32]byte
}

// ParseHeaders reads a headers file. A line that it does not know is an error.
func ParseHeaders(b []byte) (*Headers, error) {
	if len(b) > maxHeaders {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrHeaders, len(b), maxHeaders)
	}
	h := &Headers{known: make(map[headerKey]ethereumHeader)}
	first, n := true, 0
	for line := range bytes.Lines(b) {
		n++
		words := strings.Fields(string(line))
		if len(words) == 0 || strings.HasPrefix(words[0], "#") {
			continue
		}
		var err error
		if first {
			first = false
			if strings.Join(words, " ") != headersMagic {
				err = fmt.Errorf("begins with %.40q, want %q, or %q for Bitcoin's", line, headersMagic, bitcoinHeadersMagic)
			}
		} else {
			err = h.line(words)
		}
		if err == nil && n > maxHeaderLines {
			err = fmt.Errorf("over %d lines", maxHeaderLines)
		}
		if err != nil {
			return nil, fmt.Errorf("%w: line %d: %w", ErrHeaders, n, err)
		}
	}
	if first {
		return nil, fmt.Errorf("%w: it is empty", ErrHeaders)
	}
	return h, nil
}

func (h *Headers) line(words []string) error {
	if len(words) != 3 || words[0] != "ethereum" {
		return errors.New("want: ethereum <chain id> <header as 0x… RLP>")
	}
	chain, err := parseDecimal(words[1])
	if err != nil {
		return fmt.Errorf("chain id: %w", err)
	}
	digits, ok := strings.CutPrefix(words[2], "0x")
	if !ok || len(digits) > 2*maxEthHeader {
		return fmt.Errorf("%.20q… is no header of at most %d bytes", words[2], maxEthHeader)
	}
	raw, err := hex.DecodeString(digits)
	if err != nil {
		return fmt.Errorf("header: %w", err)
	}
	header, err := parseEthereumHeader(raw)
	if err != nil {
		return fmt.Errorf("header: %w", err)
	}
	h.known[headerKey{ethereumRoute(chain), keccak256(raw)}] = header
	return nil
}

// AppendHeader appends a headers file's line for a block to dst, and before it
// the first line if dst is empty.
func AppendHeader(dst []byte, chainID uint64, headerRLP []byte) []byte {
	if len(dst) == 0 {
		dst = append(dst, headersMagic+"\n"...)
	}
	return fmt.Appendf(dst, "ethereum %d 0x%x\n", chainID, headerRLP)
}

// Len returns the number of headers.
func (h *Headers) Len() int { return len(h.known) }

// Trusted implements HeaderTrust.
func (h *Headers) Trusted(route string, height uint64, hash [32]byte) (string, bool, error) {
	got, ok := h.known[headerKey{route, hash}]
	if !ok || got.number != height {
		return "", false, nil
	}
	return "it is in the headers file", true, nil
}

// BlockTime implements BlockTimer.
func (h *Headers) BlockTime(route string, hash [32]byte) (int64, bool) {
	got, ok := h.known[headerKey{route, hash}]
	return int64(got.time) * 1000, ok
}

// timeText writes Unix milliseconds as RFC 3339 in UTC.
func timeText(ms int64) string {
	return time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05.000Z")
}
