package frame

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
)

var (
	// ErrID says that a text is not a node ID.
	ErrID = errors.New("node ID is not 16 hex digits")
	// ErrKey says that a text is not a key. It never carries the text.
	ErrKey = errors.New("key is not 32 hex digits, or all ff")
)

// ID is a node's full ID. Frames carry its leading bytes. Nodes draw bytes of
// 80..fe, but hubs derive some IDs from house codes, so any value is one.
type ID [8]byte

// ParseID reads 16 hex digits of either case.
func ParseID(s string) (ID, error) {
	var id ID
	if len(s) != 2*len(id) {
		return ID{}, fmt.Errorf("%w: %d characters", ErrID, len(s))
	}
	if _, err := hex.Decode(id[:], []byte(s)); err != nil {
		return ID{}, fmt.Errorf("%w: %q", ErrID, s)
	}
	return id, nil
}

// String returns 16 lower-case hex digits.
func (id ID) String() string { return hex.EncodeToString(id[:]) }

// HasPrefix reports whether a frame with the ID bytes p may come from this
// node. Every node fits a frame without ID bytes, and several may fit one.
func (id ID) HasPrefix(p []byte) bool {
	return len(p) <= len(id) && bytes.Equal(id[:len(p)], p)
}

// Key is an AES-128 key as nodes hold it. It prints as a fixed text under every
// verb and cannot be marshalled; only a conversion to [16]byte shows it.
//
// fmt and slog cannot ask an unexported struct field how to print itself: do
// not print a struct that hides a Key in one.
type Key [16]byte

const redacted = "frame.Key(redacted)"

// ParseKey reads 32 hex digits of either case. All ff is what a node without a
// key holds, and is refused.
func ParseKey(s string) (Key, error) {
	var k Key
	if len(s) != 2*len(k) {
		return Key{}, ErrKey
	}
	if _, err := hex.Decode(k[:], []byte(s)); err != nil {
		return Key{}, ErrKey
	}
	if k.unset() {
		return Key{}, ErrKey
	}
	return k, nil
}

func (k Key) unset() bool {
	for _, b := range k {
		if b != 0xff {
			return false
		}
	}
	return true
}

// String returns a fixed text.
func (k Key) String() string { return redacted }

// GoString returns a fixed text.
func (k Key) GoString() string { return redacted }

// Format writes a fixed text, also for %d and %x.
func (k Key) Format(s fmt.State, _ rune) { fmt.Fprint(s, redacted) }

// LogValue returns a fixed text.
func (k Key) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText always fails, so that no encoder writes a key by accident.
func (k Key) MarshalText() ([]byte, error) { return nil, errMarshalKey }

// MarshalBinary always fails, as [Key.MarshalText] does.
func (k Key) MarshalBinary() ([]byte, error) { return nil, errMarshalKey }

var errMarshalKey = errors.New("a frame key is not marshalled")
