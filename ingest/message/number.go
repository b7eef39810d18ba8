package message

import (
	"fmt"
	"math"
	"math/bits"
	"strconv"
	"strings"

	"cairn/ingest/reading"
)

// number is a decimal number m·10^e, exactly as it was written.
type number struct {
	m int64
	e int
}

// maxExponent keeps exponents within what is computed with; a reading takes -128…18.
const maxExponent = 400

// parseNumber reads a JSON number (RFC 8259 section 6).
func parseNumber(s string) (number, error) {
	digits, exponent, hasExp := strings.Cut(strings.ToLower(s), "e")
	var n number
	if hasExp {
		e, err := strconv.Atoi(exponent)
		if err != nil || e < -maxExponent || e > maxExponent {
			return n, fmt.Errorf("%w: the number %.40q has an exponent that no reading can hold", ErrFormat, s)
		}
		n.e = e
	}
	whole, fraction, _ := strings.Cut(digits, ".")
	fraction = strings.TrimRight(fraction, "0")
	text := whole + fraction
	if fraction == "" { // 1000000000000000000000 may be 1·10^21
		for trimmed := strings.TrimRight(whole, "0"); len(text) > 18 && len(trimmed) < len(text); {
			text = text[:len(text)-1]
			n.e++
		}
	}
	m, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return n, fmt.Errorf("%w: the number %.40q has more digits than a reading can hold", ErrFormat, s)
	}
	n.m, n.e = m, n.e-len(fraction)
	return n, nil
}

// float is the shortest decimal that reads back as f, of 32 or 64 bits.
func float(f float64, width int) (number, error) {
	return parseNumber(strconv.FormatFloat(f, 'e', -1, width))
}

// half is the shortest decimal that is nearer to a half float than to its
// neighbours, of which it has eleven significant bits: five digits are always enough.
func half(f float64, bits uint16) (number, error) {
	if f == 0 {
		return number{}, nil
	}
	near := math.Abs(fromHalf(bits^1) - f) // the distance to a neighbour, at least half of that to the other
	for digits := 0; digits < 5; digits++ {
		s := strconv.FormatFloat(f, 'e', digits, 64)
		if g, err := strconv.ParseFloat(s, 64); err == nil && math.Abs(g-f) < near/4 {
			return parseNumber(s)
		}
	}
	return float(f, 64)
}

// fromHalf is a finite half float (IEEE 754 binary16).
func fromHalf(b uint16) float64 {
	sign, exp, frac := float64(1), int(b>>10&31), float64(b&0x3ff)
	if b>>15 == 1 {
		sign = -1
	}
	if exp == 0 {
		return sign * math.Ldexp(frac, -24)
	}
	return sign * math.Ldexp(frac+1024, exp-25)
}

// plus adds two numbers exactly.
func (n number) plus(o number) (number, error) {
	if n.m == 0 {
		return o, nil
	}
	if o.m == 0 {
		return n, nil
	}
	if n.e < o.e {
		n, o = o, n
	}
	for ; n.e > o.e; n.e-- {
		hi, lo := bits.Mul64(magnitude(n.m), 10)
		if hi != 0 || lo > 1<<63-1 {
			return number{}, fmt.Errorf("%w: a sum has more digits than a reading can hold", ErrFormat)
		}
		n.m *= 10
	}
	sum := n.m + o.m
	if (sum > n.m) != (o.m > 0) {
		return number{}, fmt.Errorf("%w: a sum has more digits than a reading can hold", ErrFormat)
	}
	return number{sum, n.e}, nil
}

// less compares as floats do.
func (n number) less(o number) bool {
	return float64(n.m)*math.Pow10(n.e) < float64(o.m)*math.Pow10(o.e)
}

func magnitude(n int64) uint64 {
	if n < 0 {
		return -uint64(n)
	}
	return uint64(n)
}

// value is n as a reading holds it.
func (n number) value() (reading.Value, error) {
	v := reading.Decimal(n.m, n.e)
	if !v.Valid() {
		return v, fmt.Errorf("%w: the number %de%d is beyond what a reading can hold", ErrFormat, n.m, n.e)
	}
	return v, nil
}

// millis is n seconds in milliseconds, towards zero.
func (n number) millis() (int64, error) {
	m, e := n.m, n.e+3
	for ; e < 0 && m != 0; e++ {
		m /= 10
	}
	for ; e > 0; e-- {
		if magnitude(m) > 1<<62/10 {
			return 0, fmt.Errorf("%w: the time %de%d s is beyond all times", ErrFormat, n.m, n.e)
		}
		m *= 10
	}
	return m, nil
}
