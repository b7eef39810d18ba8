package message

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"

	"cairn/ingest/reading"
)

var noon = time.UnixMilli(1_790_000_000_000)

// lines writes messages a line each, for comparing.
func lines(all []Message) string {
	var b strings.Builder
	for _, m := range all {
		fmt.Fprintf(&b, "%s", m.Address)
		if m.HasMeasured {
			fmt.Fprintf(&b, " @%d", m.Measured)
		}
		for _, x := range m.Measurements {
			fmt.Fprintf(&b, " %s=%v%s", x.Name, x.Value, x.Unit)
		}
		if m.Left > 0 {
			fmt.Fprintf(&b, " left %d", m.Left)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func TestSenML(t *testing.T) {
	for _, c := range []struct{ name, body, want string }{
		{"one value", `[{"n":"urn:dev:ow:10e2073a01080063","u":"Cel","v":23.1}]`, "urn:dev:ow:10e2073a01080063 value=23.1Cel\n"},
		{"base name", `[{"bn":"urn:dev:ow:10e2073a01080063:","n":"temp","u":"Cel","v":23.10},{"n":"hum","u":"%RH","v":67}]`,
			"urn:dev:ow:10e2073a01080063 temp=23.1Cel hum=67%RH\n"},
		{"times", `[{"bn":"fridge/","bt":1.7e9,"bu":"Cel","n":"T","v":4.0,"t":0},{"n":"T","v":4.25,"t":60.5}]`,
			"fridge @1700000000000 T=4Cel\nfridge @1700000060500 T=4.25Cel\n"},
		{"relative time", `[{"bn":"a/","n":"T","v":1,"t":-5},{"n":"T","v":2}]`, "a @1789999995000 T=1\na T=2\n"},
		{"base value and sum", `[{"bn":"m/","bv":20,"bs":100,"n":"E","u":"J","v":0.125,"s":1.5}]`, "m E=20.125J E.sum=101.5J\n"},
		{"other values", `[{"bn":"d/","n":"open","vb":true},{"n":"state","vs":"ajar"},{"n":"raw","vd":"AQL_"}]`, "d open=true state=ajar raw=0102ff\n"},
		{"no measurement's name", `[{"bn":"dev1","v":1e3}]`, "dev1 value=1000\n"},
		{"exact digits", `[{"bn":"d/","n":"x","v":0.1000000000000000055},{"n":"y","v":1e-7},{"n":"z","v":12345678901234567e2}]`,
			"d x=0.1000000000000000055 y=0.0000001 z=1234567890123456700\n"},
		{"unknown member", `[{"bn":"d/","n":"x","v":1,"label":{"a":[1,2]}}]`, "d x=1\n"},
		{"two devices", `[{"bn":"a/","n":"T","v":1},{"bn":"b/","n":"T","v":2}]`, "a T=1\nb T=2\n"},
		{"base members alone", `[{"bn":"a/","bu":"Cel"},{"n":"T","v":1}]`, "a T=1Cel\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			all, err := SenML([]byte(c.body), noon)
			if err != nil {
				t.Fatal(err)
			}
			if got := lines(all); got != c.want {
				t.Errorf("got\n%swant\n%s", got, c.want)
			}
		})
	}
}

func TestSenMLRefused(t *testing.T) {
	many := strings.Builder{}
	for i := range MaxMessages + 1 {
		fmt.Fprintf(&many, `,{"bn":"d%d/","n":"x","v":1}`, i)
	}
	for _, c := range []struct {
		name, body string
		kind       error
		says       string
	}{
		{"no array", `{"n":"a","v":1}`, ErrFormat, "array"},
		{"empty", `[]`, ErrFormat, "without a value"},
		{"cut off", `[{"n":"a/b","v":1}`, ErrFormat, "does not end"},
		{"more behind", `[{"n":"a/b","v":1}] []`, ErrFormat, "follows"},
		{"no value", `[{"n":"a/b"}]`, ErrFormat, "record 0"},
		{"two values", `[{"n":"a/b","v":1,"vb":true}]`, ErrFormat, "second value"},
		{"must understand", `[{"n":"a/b","v":1,"urgent_":1}]`, ErrFormat, "urgent_"},
		{"newer version", `[{"bver":11,"n":"a/b","v":1}]`, ErrFormat, "version"},
		{"no device", `[{"n":"temp","v":1}]`, ErrFormat, "which device"},
		{"a member twice", `[{"n":"a/b","v":1,"v":2}]`, ErrFormat, "twice"},
		{"the same time twice", `[{"bn":"a/","n":"b","v":1},{"n":"b","v":2}]`, ErrFormat, "second value"},
		{"number as text", `[{"n":"a/b","v":"1"}]`, ErrFormat, "not a number"},
		{"too many digits", `[{"n":"a/b","v":1.00000000000000000000001}]`, ErrFormat, "digits"},
		{"exponent", `[{"n":"a/b","v":1e999999999}]`, ErrFormat, "exponent"},
		{"too great", `[{"n":"a/b","v":1e60}]`, ErrFormat, "hold"},
		{"item's name", `[{"bn":"a/","n":"device","v":1}]`, ErrFormat, "another item"},
		{"long text", `[{"bn":"a/","n":"x","vs":"` + strings.Repeat("x", 65) + `"}]`, ErrFormat, "no value"},
		{"before 1970", `[{"bn":"a/","n":"x","v":1,"t":-2000000000}]`, ErrFormat, "1970"},
		{"odd device", `[{"bn":"a\u0007b/","n":"x","v":1}]`, ErrFormat, "printable"},
		{"too many", "[" + many.String()[1:] + "]", ErrLimit, "256"},
		{"too long", "[" + strings.Repeat(" ", MaxBody) + "]", ErrLimit, "bytes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			all, err := SenML([]byte(c.body), noon)
			if !errors.Is(err, c.kind) || all != nil || !strings.Contains(fmt.Sprint(err), c.says) {
				t.Errorf("got %v, %v; want %v with %q", all, err, c.kind, c.says)
			}
		})
	}
}

func TestSenMLCBOR(t *testing.T) {
	pack := []map[any]any{
		{-2: "fridge/", -3: 1_700_000_000, -4: "Cel", 0: "T", 2: cbor.Tag{Number: 4, Content: []int{-2, 425}}},
		{0: "U", 2: float32(21.3)},
		{0: "V", 2: 21.3},
		{0: "open", 4: true, 1: ""},
		{0: "raw", 8: []byte{1, 2}, 1: "", "note": "x"},
	}
	body, err := cbor.Marshal(pack)
	if err != nil {
		t.Fatal(err)
	}
	all, err := SenMLCBOR(body, noon)
	if err != nil {
		t.Fatal(err)
	}
	const want = "fridge @1700000000000 T=4.25Cel U=21.3Cel V=21.3Cel open=true raw=0102\n"
	if got := lines(all); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	for name, bad := range map[string]any{
		"no array": map[int]int{0: 1}, "text": "x", "must understand": []map[any]any{{"x_": 1, 0: "a/b", 2: 1}},
		"null": []map[any]any{{0: "a/b", 3: nil}}, "infinity": []map[any]any{{0: "a/b", 2: []byte{0}}},
		"bigfloat": []map[any]any{{0: "a/b", 2: cbor.Tag{Number: 5, Content: []int{1, 2}}}},
	} {
		body, err := cbor.Marshal(bad)
		if err != nil {
			t.Fatal(err)
		}
		if all, err := SenMLCBOR(body, noon); !errors.Is(err, ErrFormat) || all != nil {
			t.Errorf("%s: got %v, %v; want %v", name, all, err, ErrFormat)
		}
	}
}

// TestHalf holds every finite half float: the decimal is nearer to it than to its
// neighbours.
func TestHalf(t *testing.T) {
	for b := range 1 << 16 {
		bits := uint16(b)
		if bits>>10&31 == 31 {
			continue
		}
		f := fromHalf(bits)
		n, err := half(f, bits)
		if err != nil {
			t.Fatalf("%#04x: %v", b, err)
		}
		v, err := n.value()
		if err != nil {
			t.Fatalf("%#04x: %v", b, err)
		}
		var g float64
		if _, err := fmt.Sscan(v.String(), &g); err != nil {
			t.Fatal(err)
		}
		for _, other := range []uint16{bits - 1, bits + 1} {
			if other>>10&31 == 31 || other>>15 != bits>>15 {
				continue
			}
			if d := g - f; d*d >= (g-fromHalf(other))*(g-fromHalf(other)) {
				t.Fatalf("%#04x = %v became %v, as near to %v", b, f, g, fromHalf(other))
			}
		}
	}
}

func FuzzSenML(f *testing.F) {
	f.Add([]byte(`[{"bn":"fridge/","bt":1.7e9,"bu":"Cel","n":"T","v":4.0,"t":0},{"n":"T","v":4.25,"t":60.5}]`))
	f.Add([]byte(`[{"n":"a/b","vd":"AQL_","s":1}]`))
	body, _ := cbor.Marshal([]map[any]any{{-2: "d/", 0: "x", 2: float32(1.5), 6: -5}})
	f.Add(body)
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, read := range []func([]byte, time.Time) ([]Message, error){SenML, SenMLCBOR} {
			all, err := read(b, noon)
			if err != nil {
				if !errors.Is(err, ErrFormat) && !errors.Is(err, ErrLimit) {
					t.Fatalf("an error of no kind: %v", err)
				}
				continue
			}
			checkAll(t, all)
		}
	})
}

// checkAll holds what every reader promises: what it gives, a reading can hold.
func checkAll(t *testing.T, all []Message) {
	t.Helper()
	for _, m := range all {
		r := reading.Reading{
			Device: "0000000000000000", Clock: reading.Synced, Measured: m.Measured, HasMeasured: m.HasMeasured,
			Origin:       reading.Origin{Transport: reading.TransportHTTP, Verdict: reading.Insecure},
			Measurements: m.Measurements,
		}
		if err := r.Validate(); err != nil {
			t.Fatalf("%+v: %v", m, err)
		}
		if err := checkAddress(m.Address); err != nil {
			t.Fatal(err)
		}
	}
}
