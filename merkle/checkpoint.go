package merkle

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/mod/sumdb/note"
)

// MaxCheckpoint is the longest checkpoint that is written or read, in bytes,
// with its signatures.
const MaxCheckpoint = 16 << 10

// noteEd25519 is the signature type of a plain Ed25519 key in a signed note.
const noteEd25519 = 0x01

var (
	// ErrCheckpoint says that bytes are no well-formed checkpoint, or too many.
	ErrCheckpoint = errors.New("malformed checkpoint")
	// ErrOrigin says that a checkpoint is another log's.
	ErrOrigin = errors.New("checkpoint has the wrong origin")
	// ErrUnsigned says that a checkpoint has no signature by the log's key:
	// ask for one that has.
	ErrUnsigned = errors.New("checkpoint is not signed by the log")
	// ErrSignature says that a signature claims to be by the log's key and is
	// not: the checkpoint was altered or forged.
	ErrSignature = errors.New("checkpoint signature is wrong")
	// ErrVerifierKey says that a text is no Ed25519 verifier key.
	ErrVerifierKey = errors.New("malformed verifier key")
)

// Checkpoint is a log's tree head: what a C2SP tlog-checkpoint says before its
// signatures. Extensions are further lines, not empty; the standard advises
// against them.
type Checkpoint struct {
	Origin     string
	Size       uint64
	Root       Hash
	Extensions []string
}

// Text returns the signed text: origin, decimal size, base64 root and the
// extensions, each ended by a newline.
func (c Checkpoint) Text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n%d\n%s\n", c.Origin, c.Size, c.Root.Base64())
	for _, line := range c.Extensions {
		b.WriteString(line)
		b.WriteByte('\n')
	}
	return b.String()
}

// ParseCheckpoint reads a checkpoint's text, without signatures. It takes only
// what Text gives back byte for byte; all else is an ErrCheckpoint.
func ParseCheckpoint(text string) (Checkpoint, error) {
	if len(text) > MaxCheckpoint {
		return Checkpoint{}, fmt.Errorf("%w: %d bytes, at most %d", ErrCheckpoint, len(text), MaxCheckpoint)
	}
	if !isNoteText(text) {
		return Checkpoint{}, fmt.Errorf("%w: not UTF-8 text ended by a newline", ErrCheckpoint)
	}
	lines := strings.Split(text[:len(text)-1], "\n")
	if len(lines) < 3 {
		return Checkpoint{}, fmt.Errorf("%w: %d lines, want at least 3", ErrCheckpoint, len(lines))
	}
	for i, line := range lines {
		if line == "" {
			return Checkpoint{}, fmt.Errorf("%w: line %d is empty", ErrCheckpoint, i+1)
		}
	}
	size, err := parseSize(lines[1])
	if err != nil {
		return Checkpoint{}, fmt.Errorf("%w: size: %w", ErrCheckpoint, err)
	}
	root, err := parseHash(lines[2])
	if err != nil {
		return Checkpoint{}, fmt.Errorf("%w: root: %w", ErrCheckpoint, err)
	}
	c := Checkpoint{Origin: lines[0], Size: size, Root: root}
	if len(lines) > 3 {
		c.Extensions = lines[3:]
	}
	return c, nil
}

// isNoteText reports whether text is what the signed note format lets be
// signed: UTF-8 without control characters but the newline, which ends it.
func isNoteText(text string) bool {
	return strings.HasSuffix(text, "\n") && utf8.ValidString(text) &&
		strings.IndexFunc(text, func(r rune) bool { return r < 0x20 && r != '\n' || r == utf8.RuneError }) < 0
}

// parseSize reads a decimal number of leaves without sign or leading zeros.
func parseSize(s string) (uint64, error) {
	n, err := strconv.ParseUint(s, 10, 63)
	if err != nil || strconv.FormatUint(n, 10) != s {
		return 0, fmt.Errorf("%.24q is not a decimal number up to %d", s, uint64(MaxSize))
	}
	return n, nil
}

// parseHash reads exactly what Base64 writes.
func parseHash(s string) (h Hash, err error) {
	b, err := base64.StdEncoding.Strict().DecodeString(s)
	if err != nil || len(b) != HashSize {
		return h, fmt.Errorf("%.50q is not the base64 of %d bytes", s, HashSize)
	}
	copy(h[:], b)
	if h.Base64() != s { // a decoder skips newlines
		return h, fmt.Errorf("%.50q is not plain base64", s)
	}
	return h, nil
}

// SignCheckpoint returns the checkpoint as a signed note with one Ed25519
// signature, whose key name is the origin. The origin must therefore be a key
// name: no spaces and no plus. Signing the same checkpoint again gives the
// same bytes. Whoever calls it answers for never signing two heads that are
// not consistent.
func SignCheckpoint(c Checkpoint, key ed25519.PrivateKey) ([]byte, error) {
	if len(key) != ed25519.PrivateKeySize {
		return nil, fmt.Errorf("sign checkpoint: key has %d bytes, want %d", len(key), ed25519.PrivateKeySize)
	}
	text := c.Text()
	if d, err := ParseCheckpoint(text); err != nil {
		return nil, fmt.Errorf("sign checkpoint: %w", err)
	} else if d.Origin != c.Origin || len(d.Extensions) != len(c.Extensions) {
		return nil, fmt.Errorf("sign checkpoint: %w: newline inside a line", ErrCheckpoint)
	}
	if !isKeyName(c.Origin) {
		return nil, fmt.Errorf("sign checkpoint: %w: origin %.100q cannot be a key name", ErrCheckpoint, c.Origin)
	}
	signed, err := note.Sign(&note.Note{Text: text}, noteSigner{c.Origin, key})
	if err != nil {
		return nil, fmt.Errorf("sign checkpoint: %w", err)
	}
	if len(signed) > MaxCheckpoint {
		return nil, fmt.Errorf("sign checkpoint: %w: %d bytes, at most %d", ErrCheckpoint, len(signed), MaxCheckpoint)
	}
	return signed, nil
}

// OpenCheckpoint checks that signed is a checkpoint of the log with this
// origin and key, and returns it. Signatures by other keys are passed over. It
// fails with ErrCheckpoint, ErrOrigin, ErrUnsigned or ErrSignature.
func OpenCheckpoint(signed []byte, origin string, pub ed25519.PublicKey) (Checkpoint, error) {
	if len(signed) > MaxCheckpoint {
		return Checkpoint{}, fmt.Errorf("%w: %d bytes, at most %d", ErrCheckpoint, len(signed), MaxCheckpoint)
	}
	if len(pub) != ed25519.PublicKeySize {
		return Checkpoint{}, fmt.Errorf("open checkpoint: key has %d bytes, want %d", len(pub), ed25519.PublicKeySize)
	}
	// The name decides which signatures count, so look at it first: the reader
	// of another log's checkpoint learns that, and not that it is unsigned.
	if first, _, _ := bytes.Cut(signed, []byte("\n")); string(first) != origin {
		return Checkpoint{}, fmt.Errorf("%w: %.100q, want %.100q", ErrOrigin, first, origin)
	}
	n, err := note.Open(signed, note.VerifierList(noteVerifier{origin, pub}))
	if err != nil {
		return Checkpoint{}, openError(signed, err)
	}
	return ParseCheckpoint(n.Text)
}

// openError names what note.Open found in signed.
func openError(signed []byte, err error) error {
	var unverified *note.UnverifiedNoteError
	var invalid *note.InvalidSignatureError
	switch {
	case errors.As(err, &unverified):
		return ErrUnsigned
	case errors.As(err, &invalid):
		return ErrSignature
	}
	// A checkpoint's text alone, or with the empty line after it, is no note.
	text := string(signed)
	if strings.HasSuffix(text, "\n\n") {
		text = text[:len(text)-1]
	}
	if _, bad := ParseCheckpoint(text); bad == nil {
		return ErrUnsigned
	}
	return fmt.Errorf("%w: %w", ErrCheckpoint, err)
}

// VerifierKey returns the key as the signed note format writes it:
//
//	name+hex(key ID)+base64(01 ‖ public key)
//
// where the key ID is the first four bytes of SHA256(name ‖ 0A ‖ 01 ‖ public key).
func VerifierKey(name string, pub ed25519.PublicKey) string {
	return fmt.Sprintf("%s+%08x+%s", name, keyID(name, pub), base64.StdEncoding.EncodeToString(typedKey(pub)))
}

// ParseVerifierKey reads what VerifierKey writes, and nothing else: any other
// text is an ErrVerifierKey.
func ParseVerifierKey(vkey string) (name string, pub ed25519.PublicKey, err error) {
	if len(vkey) > MaxCheckpoint {
		return "", nil, fmt.Errorf("%w: %d bytes", ErrVerifierKey, len(vkey))
	}
	name, rest, _ := strings.Cut(vkey, "+")
	_, key64, _ := strings.Cut(rest, "+")
	if !isKeyName(name) {
		return "", nil, fmt.Errorf("%w: %.100q is not a key name", ErrVerifierKey, name)
	}
	key, err := base64.StdEncoding.DecodeString(key64)
	if err != nil || len(key) != 1+ed25519.PublicKeySize {
		return "", nil, fmt.Errorf("%w: %.100q is not the base64 of %d bytes", ErrVerifierKey, key64, 1+ed25519.PublicKeySize)
	}
	if key[0] != noteEd25519 {
		return "", nil, fmt.Errorf("%w: key type %02x is not Ed25519 (%02x)", ErrVerifierKey, key[0], noteEd25519)
	}
	pub = key[1:]
	if VerifierKey(name, pub) != vkey {
		return "", nil, fmt.Errorf("%w: the key ID is wrong", ErrVerifierKey)
	}
	return name, pub, nil
}

// isKeyName reports whether the signed note format allows this key name, in a
// text that it also allows.
func isKeyName(name string) bool {
	return name != "" && isNoteText(name+"\n") && strings.IndexFunc(name, unicode.IsSpace) < 0 && !strings.Contains(name, "+")
}

func typedKey(pub ed25519.PublicKey) []byte {
	return append([]byte{noteEd25519}, pub...)
}

func keyID(name string, pub ed25519.PublicKey) uint32 {
	sum := sha256.Sum256(append([]byte(name+"\n"), typedKey(pub)...))
	return binary.BigEndian.Uint32(sum[:])
}

// noteSigner and noteVerifier take keys to the note package as they are, not
// through its text form, so that no private key is ever written out.
type noteSigner struct {
	name string
	key  ed25519.PrivateKey
}

func (s noteSigner) Name() string { return s.name }
func (s noteSigner) KeyHash() uint32 {
	return keyID(s.name, s.key.Public().(ed25519.PublicKey))
}
func (s noteSigner) Sign(msg []byte) ([]byte, error) { return ed25519.Sign(s.key, msg), nil }

type noteVerifier struct {
	name string
	pub  ed25519.PublicKey
}

func (v noteVerifier) Name() string                { return v.name }
func (v noteVerifier) KeyHash() uint32             { return keyID(v.name, v.pub) }
func (v noteVerifier) Verify(msg, sig []byte) bool { return ed25519.Verify(v.pub, msg, sig) }
