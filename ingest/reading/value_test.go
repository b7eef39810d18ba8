package reading

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math"
	"math/big"
	"strings"
	"testing"
)

func TestDecimal(t *testing.T) {
	for _, c := range []struct {
		mantissa int64
		exp      int
		want     Value
		text     string
	}{
		{186875, -4, Value{Kind: KindDecimal, Mantissa: 186875, Exp: -4}, "18.6875"},
		{1868750, -5, Value{Kind: KindDecimal, Mantissa: 186875, Exp: -4}, "18.6875"},
		{-5, -1, Value{Kind: KindDecimal, Mantissa: -5, Exp: -1}, "-0.5"},
		{-25, -4, Value{Kind: KindDecimal, Mantissa: -25, Exp: -4}, "-0.0025"},
		{200, -2, Int(2), "2"},
		{0, -3, Int(0), "0"},
		{0, 99, Int(0), "0"},
		{3, 2, Int(300), "300"},
		{-3, 18, Int(-3e18), "-3000000000000000000"},
		{math.MinInt64, 0, Int(math.MinInt64), "-9223372036854775808"},
		{math.MinInt64, -1, Value{Kind: KindDecimal, Mantissa: math.MinInt64, Exp: -1}, "-922337203685477580.8"},
		{math.MinInt64, 1, Value{}, "none"},
		{1, 19, Value{}, "none"},
		{1, -128, Value{Kind: KindDecimal, Mantissa: 1, Exp: -128}, "0." + strings.Repeat("0", 127) + "1"},
		{10, -129, Value{Kind: KindDecimal, Mantissa: 1, Exp: -128}, "0." + strings.Repeat("0", 127) + "1"},
		{1, -129, Value{}, "none"},
	} {
		got := Decimal(c.mantissa, c.exp)
		if got != c.want || got.String() != c.text {
			t.Errorf("Decimal(%d, %d): got %#v %v, want %#v %s", c.mantissa, c.exp, got, got, c.want, c.text)
		}
		if got.Valid() != (c.want != Value{}) {
			t.Errorf("Decimal(%d, %d): Valid %v", c.mantissa, c.exp, got.Valid())
		}
	}
}

// rat returns a number as another implementation sees it.
func rat(v Value) *big.Rat {
	e := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(-int(v.Exp))), nil)
	return new(big.Rat).SetFrac(big.NewInt(v.Mantissa), e)
}

func TestCmp(t *testing.T) {
	var all []Value
	for _, m := range []int64{0, 1, -1, 9, 11, -11, 99, 101, math.MaxInt64, math.MinInt64, math.MinInt64 + 1, 1e18 + 1, -1e18 - 1} {
		for _, e := range []int{0, -1, -2, -18, -19, -20, -21, -127, -128} {
			all = append(all, Decimal(m, e))
		}
	}
	for _, a := range all {
		for _, b := range all {
			if got, want := a.Cmp(b), rat(a).Cmp(rat(b)); got != want {
				t.Errorf("%v with %v: got %d, want %d", a, b, got, want)
			}
			if (a == b) != (rat(a).Cmp(rat(b)) == 0) {
				t.Errorf("%#v and %#v: == does not tell whether they are equal", a, b)
			}
		}
		if got := a.Cmp(Text("x")) | Bool(true).Cmp(a); got != 0 {
			t.Errorf("%v with no number: got %d, want 0", a, got)
		}
	}
}

func TestValues(t *testing.T) {
	for _, c := range []struct {
		v         Value
		hex, text string
	}{
		{Int(0), "00", "0"},
		{Int(23), "17", "23"},
		{Int(24), "1818", "24"},
		{Int(256), "190100", "256"},
		{Int(65536), "1a00010000", "65536"},
		{Int(1 << 32), "1b0000000100000000", "4294967296"},
		{Int(-1), "20", "-1"},
		{Int(math.MaxInt64), "1b7fffffffffffffff", "9223372036854775807"},
		{Int(math.MinInt64), "3b7fffffffffffffff", "-9223372036854775808"},
		{Decimal(186875, -4), "c482231a0002d9fb", "18.6875"},
		{Decimal(-25, -1), "c482203818", "-2.5"},
		{Text(""), "60", ""},
		{Text("kühl"), "656bc3bc686c", "kühl"},
		{Text(strings.Repeat("x", 64)), "7840" + strings.Repeat("78", 64), strings.Repeat("x", 64)},
		{Bool(false), "f4", "false"},
		{Bool(true), "f5", "true"},
		{Bytes(nil), "40", ""},
		{Bytes([]byte{1, 255}), "4201ff", "01ff"},
	} {
		b := AppendValue(nil, c.v)
		if got := hex.EncodeToString(b); got != c.hex || c.v.String() != c.text || !c.v.Valid() {
			t.Errorf("%#v: got %s %q %v, want %s %q", c.v, got, c.v, c.v.Valid(), c.hex, c.text)
		}
		if other := coreDet(t, plainValue(c.v)); !bytes.Equal(b, other) {
			t.Errorf("%v: got %x, fxamacker/cbor %x", c.v, b, other)
		}
		v, rest, err := ParseValue(append(b, 1, 2))
		if err != nil || v != c.v || !bytes.Equal(rest, []byte{1, 2}) {
			t.Errorf("%v: parsed %#v, rest %x, %v", c.v, v, rest, err)
		}
	}
}

func TestValid(t *testing.T) {
	for _, v := range []Value{
		{}, {Kind: 6}, {Kind: KindInt, Exp: -1}, {Kind: KindInt, Text: "x"}, {Kind: KindDecimal, Mantissa: 1},
		{Kind: KindDecimal, Mantissa: 1, Exp: 1}, {Kind: KindDecimal, Mantissa: 20, Exp: -1}, {Kind: KindDecimal, Exp: -1},
		{Kind: KindDecimal, Mantissa: 1, Exp: -1, Text: "x"}, {Kind: KindBool, Mantissa: 2}, {Kind: KindBool, Text: "x"},
		{Kind: KindText, Mantissa: 1}, {Kind: KindBytes, Exp: 1}, Text("\xff"), Text(strings.Repeat("x", 65)),
		Bytes(make([]byte, 65)),
	} {
		if v.Valid() {
			t.Errorf("%#v: valid", v)
		}
	}
}

func TestParseValueRefuses(t *testing.T) {
	for in, want := range map[string]error{
		"": ErrEncoding, "1b8000000000000000": ErrInvalid, "3b8000000000000000": ErrInvalid, "1800": ErrEncoding,
		"190018": ErrEncoding, "1a0000ffff": ErrEncoding, "1b00000000ffffffff": ErrEncoding, "61": ErrEncoding,
		"7841": ErrInvalid, "5841": ErrInvalid, "f6": ErrItem, "f7": ErrItem, "f820": ErrEncoding, "a0": ErrItem,
		"80": ErrItem, "c0": ErrItem, "d804": ErrEncoding, "c482": ErrEncoding, "c48220": ErrEncoding, "ff": ErrEncoding,
		"7f": ErrEncoding, "5f": ErrEncoding, "61ff": ErrEncoding,
	} {
		b, _ := hex.DecodeString(in)
		if v, rest, err := ParseValue(b); !errors.Is(err, want) || v != (Value{}) || rest != nil {
			t.Errorf("%q: got %v, %x, %v, want %v", in, v, rest, err, want)
		}
	}
}

func FuzzParseValue(f *testing.F) {
	for _, s := range []string{"00", "c482231a0002d9fb", "656bc3bc686c", "f5", "4201ff", "3b7fffffffffffffff"} {
		b, _ := hex.DecodeString(s)
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		v, rest, err := ParseValue(b)
		if err != nil {
			return
		}
		if again := append(AppendValue(nil, v), rest...); !bytes.Equal(again, b) || !v.Valid() {
			t.Errorf("%x: accepted as %#v, but encodes to %x", b, v, again)
		}
	})
}
