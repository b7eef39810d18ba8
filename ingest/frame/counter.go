package frame

import (
	"errors"
	"fmt"
)

// Counter is the 48-bit message counter of a secure frame, restart (24 bits) ‖
// message (24 bits). It enters the nonce, so a node never repeats one under the
// same key. A restart raises the upper half and draws a new lower half; compare
// counters as whole numbers.
type Counter uint64

// MaxCounter is the last counter; a node that has used it needs a new key.
const MaxCounter Counter = 1<<48 - 1

// ErrCounter says that a counter is spent or does not fit into 48 bits.
var ErrCounter = errors.New("message counter out of range")

// NewCounter joins the two 24-bit halves; it drops higher bits.
func NewCounter(restart, message uint32) Counter {
	return Counter(restart&0xffffff)<<24 | Counter(message&0xffffff)
}

// counterOf reads the first 6 bytes of b.
func counterOf(b []byte) Counter {
	_ = b[5]
	return Counter(b[0])<<40 | Counter(b[1])<<32 | Counter(b[2])<<24 |
		Counter(b[3])<<16 | Counter(b[4])<<8 | Counter(b[5])
}

// Restart returns the upper 24 bits: how often the node started sending.
func (c Counter) Restart() uint32 { return uint32(c>>24) & 0xffffff }

// Message returns the lower 24 bits.
func (c Counter) Message() uint32 { return uint32(c) & 0xffffff }

// Add returns c+n. Past [MaxCounter] it returns c unchanged and [ErrCounter].
func (c Counter) Add(n uint64) (Counter, error) {
	if c > MaxCounter || n > uint64(MaxCounter-c) {
		return c, fmt.Errorf("%w: %v and %d more", ErrCounter, c, n)
	}
	return c + Counter(n), nil
}

// Append appends the counter's 6 bytes as they stand in the trailer.
func (c Counter) Append(dst []byte) []byte {
	return append(dst, byte(c>>40), byte(c>>32), byte(c>>24), byte(c>>16), byte(c>>8), byte(c))
}

// String returns 12 hex digits.
func (c Counter) String() string { return fmt.Sprintf("%012x", uint64(c)) }
