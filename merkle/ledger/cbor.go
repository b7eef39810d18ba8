package ledger

import (
	"errors"
	"fmt"

	"cairn/merkle"
	"cairn/merkle/cbor"
)

// Errors say what to do with foreign bytes: an ErrEncoding was not written by
// a program that follows the format at all; an ErrItem is something else than
// was asked for, so look for a mix-up of items; an ErrInvalid has the right
// shape but a content that no ledger may have. All are final.
var (
	ErrEncoding = errors.New("not core deterministic CBOR")
	ErrItem     = errors.New("not this item")
	ErrInvalid  = errors.New("invalid content")
)

var decodeErrors = &cbor.Errors{Encoding: ErrEncoding, Item: ErrItem, Content: ErrInvalid}

// appendOpen appends the head of an item's array and its type.
func appendOpen(dst []byte, elements int, kind string) []byte {
	return cbor.AppendText(cbor.AppendArray(dst, elements), kind)
}

// appendTime appends Unix milliseconds. Times before 1970 have no encoding as
// such; they come out as numbers that no reader accepts.
func appendTime(dst []byte, ms int64) []byte { return cbor.AppendUint(dst, uint64(ms)) }

func appendHash(dst []byte, h *merkle.Hash) []byte {
	return append(append(dst, cbor.Bytes|24, merkle.HashSize), h[:]...)
}

func appendBool(dst []byte, b bool) []byte {
	if b {
		return append(dst, cbor.True)
	}
	return append(dst, cbor.False)
}

// decoder reads one item.
type decoder struct {
	cbor.Reader
	item string // its name, for errors
}

// decode starts to read an item of at most limit bytes, which is an array of
// so many elements, its type first.
func decode(item string, b []byte, limit, elements int, kind string) *decoder {
	d := &decoder{cbor.NewReader(b, decodeErrors), item}
	d.Tuple(elements, "it")
	if s := d.Text(64, "the type"); d.Err == nil && s != kind {
		d.Fail(ErrItem, "its type is not %q", kind)
	}
	if len(b) > limit {
		d.Fail(ErrInvalid, "over %d bytes", limit)
	}
	return d
}

// finish returns what was read, or its zero value and the first error.
func finish[T any](d *decoder, v T) (T, error) {
	if d.End(); d.Err != nil {
		var zero T
		return zero, fmt.Errorf("%s: %w", d.item, d.Err)
	}
	return v, nil
}

// require refuses the content unless ok.
func (d *decoder) require(ok bool, otherwise string) {
	if d.Err == nil && !ok {
		d.Fail(ErrInvalid, "%s", otherwise)
	}
}

func (d *decoder) time(what string) int64 { return int64(d.Uint63(what)) }

func (d *decoder) hash(what string) (h merkle.Hash) {
	d.Fixed(h[:], what)
	return h
}

// number reads an integer or decimal fraction in the value coding of a reading
// and returns its bytes.
func (d *decoder) number(what string) []byte {
	start := d.Rest
	if len(start) > 0 && start[0] == cbor.Tag|cbor.Decimal {
		d.Rest = d.Rest[1:]
		d.Tuple(2, what)
		exp, mantissa := d.Int(what), d.Int(what)
		d.require(exp < 0 && exp >= -128 && mantissa%10 != 0, what+" is no decimal fraction in its normal form")
	} else {
		d.Int(what)
	}
	if d.Err != nil {
		return nil
	}
	n := len(start) - len(d.Rest)
	return start[:n:n]
}

// printable reads a text of printable ASCII.
func (d *decoder) printable(limit int, what string) string {
	s := d.Text(limit, what)
	d.require(printable(s), what+" is not printable ASCII")
	return s
}

func printable(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}
