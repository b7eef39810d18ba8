package frame

import (
	"fmt"
	"strconv"
	"strings"
)

// ErrIDLine says that a line does not tell a node's ID. It never carries the line.
var ErrIDLine = fmt.Errorf("%w: not \"ID:\" and eight bytes of 00 to fe", ErrLine)

// ParseIDLine reads what a node's own command line answers to "I":
//
//	ID: 98 A4 F5 99 E3 94 A8 C2
//
// The firmware prints a byte without its leading zero. A byte of ff was never
// written: such a node has no ID yet. One CR at the end is dropped.
func ParseIDLine(line string) (ID, error) {
	list, ok := strings.CutPrefix(strings.TrimSuffix(line, "\r"), "ID:")
	if !ok {
		return ID{}, ErrIDLine
	}
	var id ID
	for i := range id {
		var digits string
		if list, ok = strings.CutPrefix(list, " "); !ok {
			return ID{}, ErrIDLine
		}
		digits, list = list, ""
		if end := strings.IndexByte(digits, ' '); end >= 0 {
			digits, list = digits[:end], digits[end:]
		}
		v, err := strconv.ParseUint(digits, 16, 8)
		if err != nil || !isHex(digits) || len(digits) > 2 || v == 0xff {
			return ID{}, ErrIDLine
		}
		id[i] = byte(v)
	}
	if list != "" {
		return ID{}, ErrIDLine
	}
	return id, nil
}
