package witness

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	// typeCosignature is the signature type of an Ed25519 key that makes
	// timestamped cosignatures.
	typeCosignature = 0x04
	// maxName is the longest name of a key, in bytes. The format has no limit.
	maxName = 255
	// maxKeyText is the longest text of a key.
	maxKeyText = 1024
)

// ErrKey says that a text is no key of a witness.
var ErrKey = errors.New("malformed witness key")

// Key is the public key of a witness, with its name. It implements
// note.Verifier, whose signatures are those of the package doc.
type Key struct {
	name string
	pub  ed25519.PublicKey
}

// NewKey makes a key. The name should be a URL without scheme, such as
// example.com/witness; it must not hold white space or a plus.
func NewKey(name string, pub ed25519.PublicKey) (Key, error) {
	switch {
	case !isName(name):
		return Key{}, fmt.Errorf("%w: %.100q is no name: no spaces, no plus, at most %d bytes", ErrKey, name, maxName)
	case len(pub) != ed25519.PublicKeySize:
		return Key{}, fmt.Errorf("%w: %d bytes of public key, want %d", ErrKey, len(pub), ed25519.PublicKeySize)
	}
	return Key{name, pub}, nil
}

// isName reports whether the signed note format allows this key name.
func isName(name string) bool {
	return name != "" && len(name) <= maxName && utf8.ValidString(name) && !strings.ContainsFunc(name, func(r rune) bool {
		return unicode.IsSpace(r) || r == '+' || r == utf8.RuneError || unicode.IsControl(r)
	})
}

// ParseKey reads a verifier key of type 04, and nothing that String would not
// write.
func ParseKey(vkey string) (Key, error) {
	name, raw, err := parseKeyText(vkey)
	if err != nil {
		return Key{}, err
	}
	k, err := NewKey(name, raw)
	if err == nil && k.String() != vkey {
		err = fmt.Errorf("%w: the key ID is wrong", ErrKey)
	}
	if err != nil {
		return Key{}, err
	}
	return k, nil
}

// parseKeyText takes name+id+base64(04 ‖ 32 bytes) apart; the ID is not looked
// at.
func parseKeyText(text string) (name string, raw []byte, err error) {
	if len(text) > maxKeyText {
		return "", nil, fmt.Errorf("%w: %d bytes", ErrKey, len(text))
	}
	name, rest, _ := strings.Cut(text, "+")
	_, key64, _ := strings.Cut(rest, "+")
	raw, err = base64.StdEncoding.DecodeString(key64)
	if err != nil || len(raw) != 1+ed25519.PublicKeySize {
		return "", nil, fmt.Errorf("%w: not NAME+ID+KEY with the base64 of %d bytes", ErrKey, 1+ed25519.PublicKeySize)
	}
	switch raw[0] {
	case typeCosignature:
		return name, raw[1:], nil
	case 0x01:
		return "", nil, fmt.Errorf("%w: its type is that of a log's key (01), not of a witness's (%02x)", ErrKey, typeCosignature)
	}
	return "", nil, fmt.Errorf("%w: its type %02x is not that of a cosignature by Ed25519 (%02x)", ErrKey, raw[0], typeCosignature)
}

// String returns the verifier key.
func (k Key) String() string { return keyText(k.name, k.KeyHash(), k.pub) }

func keyText(name string, id uint32, raw []byte) string {
	return fmt.Sprintf("%s+%08x+%s", name, id, base64.StdEncoding.EncodeToString(append([]byte{typeCosignature}, raw...)))
}

// Name returns the key's name.
func (k Key) Name() string { return k.name }

// Public returns the public key.
func (k Key) Public() ed25519.PublicKey { return k.pub }

// KeyHash returns the key ID.
func (k Key) KeyHash() uint32 {
	// SPEC (tlog-cosignature): The key ID for Ed25519 cosignatures MUST be computed as
	// SHA-256(<name> || "\n" || 0x04 || 32-byte Ed25519 cosigner public key)[:4]
	sum := sha256.Sum256(append([]byte(k.name+"\n\x04"), k.pub...))
	return binary.BigEndian.Uint32(sum[:])
}

// Signer is the private key of a witness.
type Signer struct {
	Key
	private ed25519.PrivateKey
}

// NewSigner draws a key.
func NewSigner(name string, random io.Reader) (Signer, error) {
	var seed [ed25519.SeedSize]byte
	if _, err := io.ReadFull(random, seed[:]); err != nil {
		return Signer{}, fmt.Errorf("draw a witness key: %w", err)
	}
	return signerOf(name, seed[:])
}

func signerOf(name string, seed []byte) (Signer, error) {
	private := ed25519.NewKeyFromSeed(seed)
	k, err := NewKey(name, private.Public().(ed25519.PublicKey))
	return Signer{k, private}, err
}

const secretPrefix = "PRIVATE+KEY+"

// ParseSigner reads what Secret writes.
func ParseSigner(secret string) (Signer, error) {
	text, ok := strings.CutPrefix(secret, secretPrefix)
	if !ok {
		return Signer{}, fmt.Errorf("%w: a private one begins with %s", ErrKey, secretPrefix)
	}
	name, seed, err := parseKeyText(text)
	if err != nil {
		return Signer{}, err
	}
	s, err := signerOf(name, seed)
	if err == nil && s.Secret() != secret {
		err = fmt.Errorf("%w: the key ID is wrong", ErrKey)
	}
	return s, err
}

// Secret returns the private key as its file holds it.
func (s Signer) Secret() string {
	return secretPrefix + keyText(s.name, s.KeyHash(), s.private.Seed())
}
