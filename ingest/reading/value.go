package reading

import (
	"cmp"
	"encoding/hex"
	"math"
	"math/bits"
	"strconv"
	"strings"
	"unicode/utf8"

	"cairn/merkle/cbor"
)

// MaxText is the longest text or byte string a Value may hold, in bytes.
const MaxText = 64

// Kind says what a Value holds.
type Kind byte

// The kinds of values. The zero Kind is that of no value.
const (
	KindNone Kind = iota
	KindInt
	KindDecimal
	KindText
	KindBool
	KindBytes
)

// Value is what was measured: an integer, a decimal fraction, a text, a truth
// value or a few bytes. Two values made by this package's functions are equal
// by == just if they are encoded alike. The zero Value holds nothing and is
// not valid in a measurement.
type Value struct {
	Kind     Kind
	Exp      int8   // decimal: the power of ten, -128…-1
	Mantissa int64  // integer: itself; decimal: mantissa, no multiple of ten; truth value: 0 or 1
	Text     string // text, or the bytes of a byte string
}

// Int returns the value of an integer.
func Int(n int64) Value { return Value{Kind: KindInt, Mantissa: n} }

// Decimal returns the value mantissa·10^exp in its normal form: the shortest
// mantissa, an integer where it is one. It returns the zero Value if that form
// has no place for it: an integer beyond 64 bits, or a power below -128.
func Decimal(mantissa int64, exp int) Value {
	if mantissa == 0 {
		return Int(0)
	}
	for exp < 0 && mantissa%10 == 0 {
		mantissa /= 10
		exp++
	}
	for ; exp > 0; exp-- {
		next := mantissa * 10
		if next/10 != mantissa {
			return Value{}
		}
		mantissa = next
	}
	switch {
	case exp == 0:
		return Int(mantissa)
	case exp < -128:
		return Value{}
	}
	return Value{Kind: KindDecimal, Mantissa: mantissa, Exp: int8(exp)}
}

// Text returns the value of a text, which is valid if it is UTF-8 of at most
// MaxText bytes.
func Text(s string) Value { return Value{Kind: KindText, Text: s} }

// Bool returns the value of a truth value.
func Bool(b bool) Value {
	if b {
		return Value{Kind: KindBool, Mantissa: 1}
	}
	return Value{Kind: KindBool}
}

// Bytes returns the value of a byte string, which is valid up to MaxText bytes.
// It keeps a copy.
func Bytes(b []byte) Value { return Value{Kind: KindBytes, Text: string(b)} }

// Valid reports whether v is a value in its normal form and within the limits.
func (v Value) Valid() bool {
	switch v.Kind {
	case KindInt:
		return v == Int(v.Mantissa)
	case KindDecimal:
		return v == Value{Kind: KindDecimal, Mantissa: v.Mantissa, Exp: v.Exp} && v.Exp < 0 && v.Mantissa%10 != 0
	case KindText:
		return v.Mantissa == 0 && v.Exp == 0 && len(v.Text) <= MaxText && utf8.ValidString(v.Text)
	case KindBool:
		return v == Bool(v.Mantissa != 0)
	case KindBytes:
		return v.Mantissa == 0 && v.Exp == 0 && len(v.Text) <= MaxText
	}
	return false
}

// IsNumber reports whether v is an integer or a decimal fraction.
func (v Value) IsNumber() bool { return v.Kind == KindInt || v.Kind == KindDecimal }

// Float is the floating point number nearest to a number, and 0 or 1 for a truth
// value; ok is false for others. It is good for drawing, and for nothing that is proven.
func (v Value) Float() (f float64, ok bool) {
	switch v.Kind {
	case KindInt, KindBool:
		return float64(v.Mantissa), true
	case KindDecimal:
		return float64(v.Mantissa) / math.Pow10(-int(v.Exp)), true
	}
	return 0, false
}

// Cmp compares two numbers exactly: -1 if v is less than o, 0 if they are
// equal, +1 if v is greater. It returns 0 if either is not a number.
func (v Value) Cmp(o Value) int {
	if !v.IsNumber() || !o.IsNumber() {
		return 0
	}
	if s := cmp.Compare(sign(v.Mantissa), sign(o.Mantissa)); s != 0 || v.Mantissa == 0 {
		return s
	}
	s := cmpMagnitude(magnitude(v.Mantissa), int(v.Exp), magnitude(o.Mantissa), int(o.Exp))
	if v.Mantissa < 0 {
		return -s
	}
	return s
}

// cmpMagnitude compares a·10^x with b·10^y, neither a nor b being zero, in 128
// bits: the one with the greater power is brought to the other's.
func cmpMagnitude(a uint64, x int, b uint64, y int) int {
	if x < y {
		return -cmpMagnitude(b, y, a, x)
	}
	if x-y >= len(powers) {
		return 1 // a·10^20 is over 2^64
	}
	hi, lo := bits.Mul64(a, powers[x-y])
	if hi != 0 {
		return 1
	}
	return cmp.Compare(lo, b)
}

// powers holds the powers of ten of 64 bits.
var powers = func() (p [20]uint64) {
	p[0] = 1
	for i := 1; i < len(p); i++ {
		p[i] = 10 * p[i-1]
	}
	return p
}()

func sign(n int64) int { return cmp.Compare(n, 0) }

func magnitude(n int64) uint64 {
	if n < 0 {
		return -uint64(n)
	}
	return uint64(n)
}

// String returns numbers in plain decimal notation ("-0.25"), texts as they
// are, truth values as "true" or "false", bytes in lower case hexadecimal, and
// the zero Value as "none".
func (v Value) String() string {
	switch v.Kind {
	case KindInt:
		return strconv.FormatInt(v.Mantissa, 10)
	case KindDecimal:
		return v.decimal()
	case KindText:
		return v.Text
	case KindBool:
		return strconv.FormatBool(v.Mantissa != 0)
	case KindBytes:
		return hex.EncodeToString([]byte(v.Text))
	}
	return "none"
}

func (v Value) decimal() string {
	digits := strconv.FormatUint(magnitude(v.Mantissa), 10)
	places := -int(v.Exp)
	if missing := places + 1 - len(digits); missing > 0 {
		digits = strings.Repeat("0", missing) + digits
	}
	point := len(digits) - places
	s := digits[:point] + "." + digits[point:]
	if v.Mantissa < 0 {
		return "-" + s
	}
	return s
}

// AppendValue appends the encoding of a valid v. It panics on the zero Value.
func AppendValue(dst []byte, v Value) []byte {
	switch v.Kind {
	case KindInt:
		return cbor.AppendInt(dst, v.Mantissa)
	case KindDecimal:
		dst = append(dst, cbor.Tag|cbor.Decimal, cbor.Array|2)
		return cbor.AppendInt(cbor.AppendInt(dst, int64(v.Exp)), v.Mantissa)
	case KindText:
		return cbor.AppendText(dst, v.Text)
	case KindBool:
		return append(dst, cbor.False+byte(v.Mantissa&1))
	case KindBytes:
		return append(cbor.AppendHead(dst, cbor.Bytes, uint64(len(v.Text))), v.Text...)
	}
	panic("reading: a measurement has no value")
}

// ParseValue reads one value from the front of b and returns what follows it.
// It accepts just what AppendValue writes. Errors wrap ErrEncoding, ErrItem or
// ErrInvalid.
func ParseValue(b []byte) (v Value, rest []byte, err error) {
	d := newDecoder(b)
	v = d.value()
	if d.Err != nil {
		return Value{}, nil, d.Err
	}
	return v, d.Rest, nil
}

func (d *decoder) value() Value {
	major, n := d.Head()
	switch {
	case d.Err != nil:
	case major == cbor.Uint || major == cbor.Negative:
		return Int(d.IntOf(major, n))
	case major == cbor.Text:
		return Text(d.TextOf(n, MaxText, "the text"))
	case major == cbor.Bytes:
		return Bytes(d.BytesOf(n, MaxText, "the byte string"))
	case major == cbor.Tag && n == cbor.Decimal:
		return d.decimal()
	case major == cbor.Simple && (n == cbor.False&0x1f || n == cbor.True&0x1f):
		return Bool(n == cbor.True&0x1f)
	default:
		d.Fail(ErrItem, "the value has major type %d, argument %d", major>>5, n)
	}
	return Value{}
}

// decimal reads the content of tag 4 and refuses all but its normal form.
func (d *decoder) decimal() Value {
	if n := d.Expect(cbor.Array, "the decimal fraction"); n != 2 {
		d.Fail(ErrItem, "the decimal fraction has %d parts", n)
	}
	exp, mantissa := d.Int("the exponent"), d.Int("the mantissa")
	switch {
	case d.Err != nil:
	case exp >= 0 || exp < -128:
		d.Fail(ErrInvalid, "the exponent lies outside -128…-1")
	case mantissa%10 == 0:
		d.Fail(ErrInvalid, "the mantissa is a multiple of ten")
	default:
		return Value{Kind: KindDecimal, Mantissa: mantissa, Exp: int8(exp)}
	}
	return Value{}
}
