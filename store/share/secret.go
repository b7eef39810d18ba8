package share

import (
	"fmt"
	"io"
)

// Whatever verb or logger prints one of these types gets a word, never the
// secret: Format serves fmt, MarshalText serves encoding/json and log/slog.

const hidden = "(secret)"

func hide(f fmt.State) { io.WriteString(f, hidden) }

func (Node) Format(f fmt.State, _ rune)     { hide(f) }
func (HourKey) Format(f fmt.State, _ rune)  { hide(f) }
func (*Tree) Format(f fmt.State, _ rune)    { hide(f) }
func (*Cursor) Format(f fmt.State, _ rune)  { hide(f) }
func (*Keyring) Format(f fmt.State, _ rune) { hide(f) }
func (*Edit) Format(f fmt.State, _ rune)    { hide(f) }
func (Wrap) Format(f fmt.State, _ rune)     { hide(f) }
func (Bundle) Format(f fmt.State, _ rune)   { hide(f) }

func (Node) MarshalText() ([]byte, error)    { return []byte(hidden), nil }
func (HourKey) MarshalText() ([]byte, error) { return []byte(hidden), nil }
func (Wrap) MarshalText() ([]byte, error)    { return []byte(hidden), nil }
func (Bundle) MarshalText() ([]byte, error)  { return []byte(hidden), nil }
