package share

import (
	"errors"
	"fmt"
)

const (
	// Depth is the number of levels below the root of a tree.
	Depth = 22
	// Hours is the number of hours there are: every [Hour] is below it.
	Hours Hour = 1 << Depth

	hourSeconds = 900
	hourMillis  = hourSeconds * 1000
)

// ErrHour tells that a time lies outside the 2^22 hours of the tree, or that a
// range of hours runs backwards.
var ErrHour = errors.New("hour outside the key tree")

// Hour is a quarter hour of Unix time, Unix seconds / 900.
type Hour uint32

// HourOf returns the hour in which ms lies, in Unix milliseconds, or [ErrHour].
func HourOf(ms int64) (Hour, error) {
	if ms < 0 || ms >= int64(Hours)*hourMillis {
		return 0, fmt.Errorf("hour of %d ms: %w", ms, ErrHour)
	}
	return Hour(ms / hourMillis), nil
}

// Start is the first Unix millisecond of the hour.
func (h Hour) Start() int64 { return int64(h) * hourMillis }

// End is the first Unix millisecond after the hour.
func (h Hour) End() int64 { return h.Start() + hourMillis }
