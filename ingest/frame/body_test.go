package frame

import (
	"bytes"
	"errors"
	"reflect"
	"testing"
)

func TestParseBody(t *testing.T) {
	for _, tt := range []struct {
		pt   string
		want Body
	}{
		{"\x00\x01", Body{Reserved: true}},
		{"\x64\x00", Body{Valve: 100}},
		{"\x7f\x00", Body{Valve: -1}},
		{"\xff\x00", Body{Valve: -1, CallForHeat: true}},
		{"\xb2\x00", Body{Valve: 50, CallForHeat: true}},
		{"\x7f\x11" + `{"b":1`, Body{Valve: -1, Reserved: true, Stats: []byte(`{"b":1`)}},
		{"\x7f\x10{", Body{Valve: -1, Stats: []byte("{")}},
		{"\x7f\x00{", Body{Valve: -1, Stats: []byte("{"), StatsBitOdd: true}},
		{"\x7f\x10", Body{Valve: -1, StatsBitOdd: true}},
		{"\x00\x80", Body{Fault: true}},
		{"\x00\x40", Body{LowBattery: true}},
		{"\x00\x20", Body{Tamper: true}},
		{"\x00\x02", Body{FrostRisk: true}},
		{"\x00\x04", Body{Occupancy: 1}},
		{"\x00\x08", Body{Occupancy: 2}},
		{"\x00\x0c", Body{Occupancy: 3}},
		{"\x00\x10\x01\x02", Body{Rest: []byte{1, 2}}},
	} {
		got, err := ParseBody([]byte(tt.pt))
		if err != nil || !reflect.DeepEqual(got, tt.want) {
			t.Errorf("ParseBody(%q): got %+v, %v want %+v", tt.pt, got, err, tt.want)
		}
		back, err := AppendBody([]byte("x"), tt.want)
		if err != nil || string(back) != "x"+tt.pt {
			t.Errorf("AppendBody(%+v): got %q, %v want %q", tt.want, back, err, tt.pt)
		}
	}
}

// All values of the two fixed bytes, with and without more: read back exactly
// or refused for the valve.
func TestBodyFixedBytes(t *testing.T) {
	for i := range 1 << 16 {
		for _, more := range []string{"", "{", "?"} {
			pt := append([]byte{byte(i >> 8), byte(i)}, more...)
			valve := pt[0] & 0x7f
			b, err := ParseBody(pt)
			if refuse := valve > 100 && valve != 0x7f; refuse {
				if !errors.Is(err, ErrBody) {
					t.Fatalf("ParseBody(%x): got %v want ErrBody", pt, err)
				}
				continue
			}
			if err != nil {
				t.Fatalf("ParseBody(%x): %v", pt, err)
			}
			if back, err := AppendBody(nil, b); err != nil || !bytes.Equal(back, pt) {
				t.Fatalf("AppendBody(%+v): got %x, %v want %x", b, back, err, pt)
			}
		}
	}
}

func TestBodyRefuses(t *testing.T) {
	for _, pt := range [][]byte{nil, {0}, make([]byte, 60)} {
		if _, err := ParseBody(pt); !errors.Is(err, ErrBody) {
			t.Errorf("ParseBody(%x): got %v want ErrBody", pt, err)
		}
	}
	for _, b := range []Body{
		{Valve: 101}, {Valve: -2}, {Valve: 0x7f}, {Occupancy: 4}, {Occupancy: -1},
		{Stats: []byte("x")},
		{Rest: []byte("{")},
		{Stats: []byte("{"), Rest: []byte("x")},
		{Rest: make([]byte, 58)},
	} {
		if got, err := AppendBody(nil, b); !errors.Is(err, ErrBody) || got != nil {
			t.Errorf("AppendBody(%+v): got %x, %v want ErrBody", b, got, err)
		}
	}
}
