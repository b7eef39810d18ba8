package bitcoin

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcutil/v2"
	"github.com/btcsuite/btcd/btcutil/v2/hdkeychain"
	"github.com/btcsuite/btcd/chaincfg/v2"
)

// Kind is the form of a key's outputs.
type Kind string

// The kinds of key. Their names are those of their descriptors (BIP-382, BIP-386).
const (
	P2WPKH Kind = "wpkh" // BIP-84: pay to the hash of a public key
	P2TR   Kind = "tr"   // BIP-86: pay to a Taproot key that has no scripts
)

const (
	maxDescriptor = 512
	maxPathSteps  = 10
)

// parseSecret reads a private key for a network: a WIF, which is taken for
// P2WPKH, or a descriptor
//
//	wpkh(KEY)  tr(KEY)        optionally followed by #checksum (BIP-380)
//	KEY = [origin] WIF | [origin] xprv { "/" number [ "'" | "h" | "H" ] }
//
// of exactly one private key. Its errors do not contain what they are about.
func parseSecret(text string, params *chaincfg.Params) (Kind, *btcec.PrivateKey, error) {
	text = strings.TrimSpace(text)
	if len(text) > maxDescriptor {
		return "", nil, fmt.Errorf("the key's text is longer than %d characters", maxDescriptor)
	}
	name, _, isDescriptor := strings.Cut(text, "(")
	if !isDescriptor {
		secret, err := parseKey(text, params)
		return P2WPKH, secret, err
	}
	body, err := cutChecksum(text)
	if err != nil {
		return "", nil, err
	}
	kind := Kind(name)
	if kind != P2WPKH && kind != P2TR {
		return "", nil, errors.New("the descriptor is neither wpkh(…) nor tr(…)")
	}
	inner, ok := strings.CutSuffix(strings.TrimPrefix(body, name+"("), ")")
	if !ok || strings.ContainsAny(inner, "(){},*<;") {
		return "", nil, errors.New("the descriptor is not of one key alone: no scripts, ranges or alternatives")
	}
	secret, err := parseKey(inner, params)
	return kind, secret, err
}

// parseKey reads a KEY.
func parseKey(s string, params *chaincfg.Params) (*btcec.PrivateKey, error) {
	if strings.HasPrefix(s, "[") { // where it came from, for other wallets
		_, rest, ok := strings.Cut(s, "]")
		if !ok {
			return nil, errors.New("the key's origin does not end")
		}
		s = rest
	}
	key, path, _ := strings.Cut(s, "/")
	if wif, err := btcutil.DecodeWIF(key); err == nil {
		switch {
		case path != "" || strings.HasSuffix(s, "/"):
			return nil, errors.New("a WIF key has no path")
		case !wif.IsForNet(params):
			return nil, fmt.Errorf("the key is not for %s", params.Name)
		case !wif.CompressPubKey:
			return nil, errors.New("the key is for an uncompressed public key, which cannot be used here")
		}
		return wif.PrivKey, nil
	}
	ext, err := hdkeychain.NewKeyFromString(key)
	switch {
	case err != nil:
		return nil, errors.New("the key is neither a WIF nor an extended private key")
	case !ext.IsPrivate():
		return nil, errors.New("the key is a public one")
	case !ext.IsForNet(params):
		return nil, fmt.Errorf("the key is not for %s", params.Name)
	}
	if len(key) < len(s) {
		if ext, err = derive(ext, path); err != nil {
			return nil, err
		}
	}
	secret, err := ext.ECPrivKey()
	if err != nil {
		return nil, errors.New("the extended key holds no private key")
	}
	return secret, nil
}

// derive follows a path (BIP-32).
func derive(key *hdkeychain.ExtendedKey, path string) (*hdkeychain.ExtendedKey, error) {
	steps := strings.Split(path, "/")
	if len(steps) > maxPathSteps {
		return nil, fmt.Errorf("the key's path has more than %d steps", maxPathSteps)
	}
	for i, step := range steps {
		number := strings.TrimRight(step, "'hH")
		n, err := strconv.ParseUint(number, 10, 32)
		if err != nil || n >= hdkeychain.HardenedKeyStart || len(step)-len(number) > 1 {
			return nil, fmt.Errorf("step %d of the key's path is not a number below 2^31", i+1)
		}
		if len(step) > len(number) {
			n += hdkeychain.HardenedKeyStart
		}
		if key, err = key.Derive(uint32(n)); err != nil {
			return nil, fmt.Errorf("step %d of the key's path: %w", i+1, err)
		}
	}
	return key, nil
}

// secretText is what parseSecret reads as the same kind and key.
func secretText(kind Kind, secret *btcec.PrivateKey, params *chaincfg.Params) (string, error) {
	wif, err := btcutil.NewWIF(secret, params, true)
	if err != nil {
		return "", fmt.Errorf("encode key: %w", err)
	}
	text := string(kind) + "(" + wif.String() + ")"
	sum, err := checksum(text)
	if err != nil {
		return "", err
	}
	return text + "#" + sum, nil
}

func cutChecksum(text string) (string, error) {
	body, sum, ok := strings.Cut(text, "#")
	if !ok {
		return body, nil
	}
	want, err := checksum(body)
	if err != nil {
		return "", err
	}
	if sum != want {
		return "", errors.New("the descriptor's checksum does not hold: a character is wrong or missing")
	}
	return body, nil
}

// The alphabets of a descriptor and of its checksum (BIP-380).
const (
	descriptorChars = "0123456789()[],'/*abcdefgh@:$%{}" +
		"IJKLMNOPQRSTUVWXYZ&+-.;<=>?!^_|~" +
		"ijklmnopqrstuvwxyzABCDEFGH`#\"\\ "
	checksumChars = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
)

// checksum returns the eight characters that stand after the # (BIP-380): a
// code over symbols of five bits, where each character gives one symbol and
// each three characters one more, out of their upper bits.
func checksum(text string) (string, error) {
	state, class, classes := uint64(1), 0, 0
	for _, r := range text {
		at := strings.IndexRune(descriptorChars, r)
		if at < 0 {
			return "", errors.New("the descriptor holds a character that none has")
		}
		state = polymod(state, at&31)
		class = class*3 + at>>5
		if classes++; classes == 3 {
			state = polymod(state, class)
			class, classes = 0, 0
		}
	}
	if classes > 0 {
		state = polymod(state, class)
	}
	for range 8 {
		state = polymod(state, 0)
	}
	state ^= 1
	out := make([]byte, 8)
	for i := range out {
		out[i] = checksumChars[state>>(5*(7-i))&31]
	}
	return string(out), nil
}

func polymod(c uint64, symbol int) uint64 {
	top := c >> 35
	c = (c&0x7ffffffff)<<5 ^ uint64(symbol)
	for i, g := range [...]uint64{0xf5dee51989, 0xa9fdca3312, 0x1bab10e32d, 0x3706b1677a, 0x644d626ffd} {
		if top>>i&1 != 0 {
			c ^= g
		}
	}
	return c
}
