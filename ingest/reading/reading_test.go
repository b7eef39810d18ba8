package reading

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/fxamacker/cbor/v2"
)

// full is a reading with every kind of value.
func full() *Reading {
	return &Reading{
		Device: "80818283848586fe", Measured: 1_767_225_599_000, HasMeasured: true,
		Received: 1_767_225_600_500, Clock: Synced, Sequence: 1000,
		Origin: Origin{Transport: TransportUDP, Verdict: Authenticated, Counter: 0x2a000319, HasCounter: true},
		Frame:  [32]byte{1, 2, 3}, HasFrame: true,
		Measurements: []Measurement{
			{"valve", "%", Int(42)},
			{"tamper", "", Bool(true)},
			{"T", "Cel", Decimal(186875, -4)},
			{"B", "V", Decimal(-256, -2)},
			{"state", "", Text("kühl")},
			{"raw", "", Bytes([]byte{0, 255})},
		},
	}
}

// bare is the smallest reading.
func bare() *Reading {
	return &Reading{Device: "0000000000000000", Clock: Unsynced, Origin: Origin{Transport: TransportLine, Verdict: Insecure}}
}

// withMeasurements returns a reading of n measurements, each as a usual one.
func withMeasurements(n int) *Reading {
	r := full()
	r.Measurements = nil
	for i := range n {
		r.Measurements = append(r.Measurements, Measurement{fmt.Sprintf("m%d", i), "Cel", Decimal(int64(186875+2*i), -4)})
	}
	return r
}

// greatest is the longest reading that is valid.
func greatest() *Reading {
	r := full()
	r.Measured, r.Received, r.Sequence = 1<<63-1, 1<<63-1, MaxSequence
	r.Origin = Origin{TransportLoRaWAN, CounterConflict, ^uint64(0), true}
	r.Measurements = nil
	for i := range MaxMeasurements {
		r.Measurements = append(r.Measurements, Measurement{
			fmt.Sprintf("%s%02d", strings.Repeat("n", MaxName-2), i), strings.Repeat("u", MaxUnit), Text(strings.Repeat("v", MaxText))})
	}
	return r
}

func readings() map[string]*Reading {
	return map[string]*Reading{"full": full(), "bare": bare(), "greatest": greatest(),
		"16 measurements": withMeasurements(16), "17 measurements": withMeasurements(17)}
}

// plain returns item i of r as plain data for another encoder.
func plain(r *Reading, i int) []any {
	optional := func(n uint64, has bool) any {
		if has {
			return n
		}
		return nil
	}
	field := []any{"cairn/field/1", ItemName(i)}
	switch i {
	case IndexDevice:
		return append(field, r.Device)
	case IndexMeasured:
		return append(field, optional(uint64(r.Measured), r.HasMeasured))
	case IndexReceived:
		return append(field, r.Received, r.Clock.String())
	case IndexSequence:
		return append(field, r.Sequence)
	case IndexOrigin:
		return append(field, r.Origin.Transport, r.Origin.Verdict.String(), optional(r.Origin.Counter, r.Origin.HasCounter))
	case IndexFrame:
		if !r.HasFrame {
			return append(field, nil)
		}
		return append(field, r.Frame[:])
	}
	m := r.Measurements[i-IndexData]
	return []any{"cairn/field/1", m.Name, m.Unit, plainValue(m.Value)}
}

func plainValue(v Value) any {
	switch v.Kind {
	case KindDecimal:
		return cbor.Tag{Number: 4, Content: []any{v.Exp, v.Mantissa}}
	case KindText:
		return v.Text
	case KindBool:
		return v.Mantissa == 1
	case KindBytes:
		return []byte(v.Text)
	}
	return v.Mantissa
}

func coreDet(t testing.TB, v any) []byte {
	t.Helper()
	mode, err := cbor.CoreDetEncOptions().EncMode()
	if err != nil {
		t.Fatal(err)
	}
	b, err := mode.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestItems holds every item against another encoder, and reads it back.
func TestItems(t *testing.T) {
	for name, r := range readings() {
		if err := r.Validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		var it Items
		it.Set(bare())
		it.Set(r)
		if it.Len() != r.Items() {
			t.Errorf("%s: got %d items, want %d", name, it.Len(), r.Items())
		}
		whole := []any{"cairn/reading/1"}
		var back Reading
		for i := 1; i < it.Len(); i++ {
			want := coreDet(t, plain(r, i))
			if got := it.At(i); !bytes.Equal(got, want) {
				t.Errorf("%s item %d: got\n%x, want\n%x", name, i, got, want)
			}
			if got := AppendItem([]byte("x"), r, i); string(got) != "x"+string(want) {
				t.Errorf("%s item %d appended: got\n%x, want x and\n%x", name, i, got, want)
			}
			whole = append(whole, want)
			if err := back.SetItem(i, want); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		item0 := coreDet(t, whole)
		if !bytes.Equal(it.At(0), item0) {
			t.Errorf("%s item 0: got\n%x, want\n%x", name, it.At(0), item0)
		}
		if !reflect.DeepEqual(&back, r) {
			t.Errorf("%s: set item by item got\n%+v, want\n%+v", name, back, r)
		}
		all, items, err := ParseAll(item0)
		if err != nil || !reflect.DeepEqual(&all, r) {
			t.Errorf("%s: ParseAll got\n%+v, %v, want\n%+v", name, all, err, r)
		}
		for i := range items {
			if !bytes.Equal(items[i], it.At(i)) {
				t.Errorf("%s: ParseAll got item %d %x, want %x", name, i, items[i], it.At(i))
			}
		}
	}
}

func TestGreatestFits(t *testing.T) {
	var it Items
	it.Set(greatest())
	if n := len(it.At(0)); n >= MaxReading {
		t.Errorf("item 0: got %d bytes, want less than %d", n, MaxReading)
	}
	longest := 0
	for i := 1; i < it.Len(); i++ {
		longest = max(longest, len(it.At(i)))
	}
	if longest != MaxItem {
		t.Errorf("got a longest item of %d bytes, want %d", longest, MaxItem)
	}
}

func TestValidate(t *testing.T) {
	for name, c := range map[string]struct {
		change func(r *Reading)
		says   string
	}{
		"device short":     {func(r *Reading) { r.Device = "80" }, "item 1 (device)"},
		"device upper":     {func(r *Reading) { r.Device = "80818283848586FE" }, "item 1 (device)"},
		"measured":         {func(r *Reading) { r.Measured = -1 }, "item 2 (measured)"},
		"received":         {func(r *Reading) { r.Received = -1 }, "item 3 (received)"},
		"no clock":         {func(r *Reading) { r.Clock = 0 }, "item 3 (received)"},
		"clock":            {func(r *Reading) { r.Clock = 4 }, "item 3 (received)"},
		"sequence":         {func(r *Reading) { r.Sequence = MaxSequence + 1 }, "item 4 (sequence)"},
		"reserved":         {func(r *Reading) { r.Sequence = ^uint64(0) }, "item 4 (sequence)"},
		"transport":        {func(r *Reading) { r.Origin.Transport = "tcp" }, "item 5 (origin)"},
		"no verdict":       {func(r *Reading) { r.Origin.Verdict = 0 }, "item 5 (origin)"},
		"verdict":          {func(r *Reading) { r.Origin.Verdict = 11 }, "item 5 (origin)"},
		"name empty":       {func(r *Reading) { r.Measurements[0].Name = "" }, "item 7 (measurement)"},
		"name long":        {func(r *Reading) { r.Measurements[1].Name = strings.Repeat("n", 33) }, "item 8 (measurement)"},
		"name not ASCII":   {func(r *Reading) { r.Measurements[0].Name = "é" }, "item 7 (measurement)"},
		"name control":     {func(r *Reading) { r.Measurements[0].Name = "a\n" }, "item 7 (measurement)"},
		"name reserved":    {func(r *Reading) { r.Measurements[0].Name = "frame" }, "item 7 (measurement)"},
		"name twice":       {func(r *Reading) { r.Measurements[5].Name = "valve" }, "another measurement"},
		"unit long":        {func(r *Reading) { r.Measurements[0].Unit = strings.Repeat("u", 17) }, "item 7 (measurement)"},
		"unit DEL":         {func(r *Reading) { r.Measurements[0].Unit = "\x7f" }, "item 7 (measurement)"},
		"no value":         {func(r *Reading) { r.Measurements[0].Value = Value{} }, "item 7 (measurement)"},
		"too many":         {func(r *Reading) { *r = *withMeasurements(MaxMeasurements + 1) }, "57"},
		"value not normal": {func(r *Reading) { r.Measurements[0].Value = Value{Kind: KindDecimal, Mantissa: 10, Exp: -1} }, "item 7"},
	} {
		r := full()
		c.change(r)
		if err := r.Validate(); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: got %v, want %v that says %q", name, err, ErrInvalid, c.says)
		}
	}
	r := full()
	if n := testing.AllocsPerRun(100, func() { _ = r.Validate() }); n != 0 {
		t.Errorf("got %v allocations, want 0", n)
	}
}

// field returns the bytes of an item of plain data behind the type.
func field(t testing.TB, elements ...any) []byte {
	return coreDet(t, append([]any{"cairn/field/1"}, elements...))
}

func TestSetItemRefuses(t *testing.T) {
	text := func(s string) string {
		b, _ := cbor.Marshal(s)
		return hex.EncodeToString(b)
	}
	raw := func(s string) []byte {
		b, err := hex.DecodeString(s)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	field1 := text("cairn/field/1")
	for name, c := range map[string]struct {
		index int
		item  []byte
		want  error
		says  string
	}{
		"item 0":            {0, nil, ErrItem, "items 1 to 63"},
		"item 64":           {64, nil, ErrItem, "items 1 to 63"},
		"nothing":           {1, nil, ErrEncoding, "item 1 (device)"},
		"another item":      {1, field(t, "measured", nil), ErrItem, "item 1 (device)"},
		"another place":     {2, field(t, "device", "80818283848586fe"), ErrItem, "item 2 (measured)"},
		"next version":      {1, coreDet(t, []any{"cairn/field/2", "device", "80818283848586fe"}), ErrItem, "the type"},
		"device upper":      {1, field(t, "device", "80818283848586FE"), ErrInvalid, "lower case"},
		"device as bytes":   {1, field(t, "device", []byte("80818283848586fe")), ErrItem, "major type"},
		"more elements":     {1, field(t, "device", "80818283848586fe", 1), ErrItem, "4 elements"},
		"measured undef":    {2, raw("83" + field1 + text("measured") + "f7"), ErrItem, "major type"},
		"measured float":    {2, raw("83" + field1 + text("measured") + "fb0000000000000000"), ErrEncoding, "float"},
		"measured negative": {2, field(t, "measured", -1), ErrItem, "major type"},
		"measured 2^63":     {2, field(t, "measured", uint64(1)<<63), ErrInvalid, "63 bits"},
		"measured tagged":   {2, raw("83" + field1 + text("measured") + "c100"), ErrItem, "major type"},
		"received long":     {3, raw("84" + field1 + text("received") + "1800" + text("synced")), ErrEncoding, "shortest"},
		"received null":     {3, field(t, "received", nil, "synced"), ErrItem, "major type"},
		"clock":             {3, field(t, "received", 1, "sync"), ErrInvalid, "unknown word"},
		"clock empty":       {3, field(t, "received", 1, ""), ErrInvalid, "unknown word"},
		"sequence":          {4, field(t, "sequence", ^uint64(0)), ErrInvalid, "outside"},
		"transport":         {5, field(t, "origin", "tcp", "opaque", nil), ErrInvalid, "transport"},
		"verdict":           {5, field(t, "origin", "udp", "fine", nil), ErrInvalid, "unknown word"},
		"frame short":       {6, field(t, "frame", make([]byte, 31)), ErrInvalid, "32 bytes"},
		"frame long":        {6, field(t, "frame", make([]byte, 33)), ErrInvalid, "longer than 32"},
		"after it":          {6, append(field(t, "frame", nil), 0), ErrEncoding, "1 bytes follow"},
		"indefinite":        {6, raw("9f" + field1 + text("frame") + "f6ff"), ErrEncoding, "indefinite"},
		"indefinite text":   {6, raw("83" + "7f" + field1 + "ff" + text("frame") + "f6"), ErrEncoding, "indefinite"},
		"reserved head":     {6, raw("9c"), ErrEncoding, "reserved"},
		"cut":               {6, raw("83" + field1 + text("frame") + "5820"), ErrEncoding, "ends inside"},
		"huge text":         {7, raw("84" + field1 + "7bffffffffffffffff"), ErrInvalid, "longer than 32"},
		"long item":         {7, make([]byte, MaxItem+1), ErrInvalid, "132 bytes"},
		"measurement":       {7, field(t, "T", "Cel"), ErrItem, "3 elements"},
		"reserved name":     {7, field(t, "device", "", "80818283848586fe"), ErrInvalid, "another item"},
		"no UTF-8":          {7, raw("84" + field1 + "61ff" + "60" + "00"), ErrEncoding, "UTF-8"},
		"null value":        {7, field(t, "T", "Cel", nil), ErrItem, "the value"},
		"array value":       {7, field(t, "T", "Cel", []any{}), ErrItem, "the value"},
		"float value":       {7, field(t, "T", "Cel", 18.5), ErrEncoding, "float"},
		"bignum":            {7, raw("84" + field1 + text("T") + text("Cel") + "c24101"), ErrItem, "the value"},
		"big fraction":      {7, field(t, "T", "", cbor.Tag{Number: 4, Content: []any{-1, ^uint64(0)}}), ErrInvalid, "64 bits"},
		"exponent 0":        {7, field(t, "T", "", cbor.Tag{Number: 4, Content: []any{0, 1}}), ErrInvalid, "exponent"},
		"exponent -129":     {7, field(t, "T", "", cbor.Tag{Number: 4, Content: []any{-129, 1}}), ErrInvalid, "exponent"},
		"mantissa 10":       {7, field(t, "T", "", cbor.Tag{Number: 4, Content: []any{-2, 10}}), ErrInvalid, "multiple of ten"},
		"mantissa 0":        {7, field(t, "T", "", cbor.Tag{Number: 4, Content: []any{-2, 0}}), ErrInvalid, "multiple of ten"},
		"fraction of three": {7, field(t, "T", "", cbor.Tag{Number: 4, Content: []any{-1, 1, 1}}), ErrItem, "3 parts"},
		"fraction of texts": {7, field(t, "T", "", cbor.Tag{Number: 4, Content: []any{"a", "b"}}), ErrItem, "not an integer"},
		"long value":        {7, field(t, "T", "", strings.Repeat("x", 65)), ErrInvalid, "longer than 64"},
		"name twice":        {9, field(t, "valve", "", 1), ErrInvalid, "another measurement"},
	} {
		r := full()
		err := r.SetItem(c.index, c.item)
		if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: got %v, want %v that says %q", name, err, c.want, c.says)
		}
		if !reflect.DeepEqual(r, full()) {
			t.Errorf("%s: changed the reading to %+v", name, r)
		}
	}
}

func TestSetItemAlone(t *testing.T) {
	var r Reading
	if err := r.SetItem(9, field(t, "T", "Cel", 20)); err != nil {
		t.Fatal(err)
	}
	if want := []Measurement{{}, {}, {"T", "Cel", Int(20)}}; !reflect.DeepEqual(r.Measurements, want) {
		t.Errorf("got %v, want %v", r.Measurements, want)
	}
	if err := r.SetItem(9, field(t, "T", "Cel", 21)); err != nil || r.Measurements[2].Value != Int(21) {
		t.Errorf("set again: got %v, %v", r.Measurements, err)
	}
	if err := r.SetItem(2, field(t, "measured", 5)); err != nil || r.Measured != 5 || !r.HasMeasured {
		t.Errorf("measured: got %+v, %v", r, err)
	}
	if err := r.SetItem(2, field(t, "measured", nil)); err != nil || r.Measured != 0 || r.HasMeasured {
		t.Errorf("measured null: got %+v, %v", r, err)
	}
}

func TestParseAllRefuses(t *testing.T) {
	var it Items
	it.Set(full())
	parts := func() []any {
		p := []any{"cairn/reading/1"}
		for i := 1; i < it.Len(); i++ {
			p = append(p, bytes.Clone(it.At(i)))
		}
		return p
	}
	swap := func(i, j int) []any {
		p := parts()
		p[i], p[j] = p[j], p[i]
		return p
	}
	set := func(i int, v any) []any {
		p := parts()
		p[i] = v
		return p
	}
	many := parts()
	for i := range MaxLeaves {
		many = append(many, field(t, fmt.Sprint(i), "", i))
	}
	for name, c := range map[string]struct {
		item0 []byte
		want  error
		says  string
	}{
		"nothing":       {nil, ErrEncoding, "item 0"},
		"not an array":  {[]byte{0}, ErrItem, "major type 0"},
		"another type":  {coreDet(t, set(0, "cairn/field/1")), ErrItem, "the type"},
		"swapped":       {coreDet(t, swap(1, 2)), ErrItem, "item 0 (reading): item 1 (device)"},
		"data first":    {coreDet(t, swap(6, 7)), ErrItem, "item 6 (frame)"},
		"item as text":  {coreDet(t, set(3, "x")), ErrItem, "major type"},
		"item empty":    {coreDet(t, set(3, []byte{})), ErrEncoding, "item 3 (received)"},
		"item long":     {coreDet(t, set(8, make([]byte, MaxItem+1))), ErrInvalid, "longer than 132"},
		"twice":         {coreDet(t, set(8, it.At(7))), ErrInvalid, "another measurement"},
		"item and more": {coreDet(t, set(6, append(bytes.Clone(it.At(6)), 0))), ErrEncoding, "bytes follow"},
		"too few":       {coreDet(t, parts()[:6]), ErrItem, "6 elements"},
		"too many":      {coreDet(t, many), ErrItem, "elements"},
		"longer":        {append(bytes.Clone(it.At(0)), 0), ErrEncoding, "bytes follow"},
		"too long":      {make([]byte, MaxReading), ErrInvalid, "8192"},
		"huge":          {[]byte{0x9b, 255, 255, 255, 255, 255, 255, 255, 255}, ErrItem, "elements"},
	} {
		r, items, err := ParseAll(c.item0)
		if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: got %v, want %v that says %q", name, err, c.want, c.says)
		}
		if items != nil || !reflect.DeepEqual(r, Reading{}) {
			t.Errorf("%s: got %+v, %x beside an error", name, r, items)
		}
	}
}

// TestDamage cuts item 0 at every byte and flips each of its bits.
func TestDamage(t *testing.T) {
	var it Items
	it.Set(full())
	item0 := it.At(0)
	for n := range item0 {
		if _, _, err := ParseAll(item0[:n]); err == nil {
			t.Errorf("cut to %d of %d bytes: accepted", n, len(item0))
		}
	}
	for bit := range 8 * len(item0) {
		bad := bytes.Clone(item0)
		bad[bit/8] ^= 1 << (bit % 8)
		checkAccepted(t, bad)
	}
}

// checkAccepted parses foreign bytes as item 0: they have to be refused with a
// named error, or be what the reading is encoded to, which is valid.
func checkAccepted(t *testing.T, b []byte) {
	t.Helper()
	r, items, err := ParseAll(b)
	if err != nil {
		if !errors.Is(err, ErrEncoding) && !errors.Is(err, ErrItem) && !errors.Is(err, ErrInvalid) {
			t.Errorf("%x: got %v, want a named error", b, err)
		}
		return
	}
	if err := r.Validate(); err != nil {
		t.Errorf("%x: accepted, but %v", b, err)
	}
	var it Items
	it.Set(&r)
	if !bytes.Equal(it.At(0), b) || len(items) != it.Len() {
		t.Errorf("%x: accepted, but encodes to %x", b, it.At(0))
	}
}

func FuzzParseAll(f *testing.F) {
	for _, r := range readings() {
		var it Items
		it.Set(r)
		f.Add(it.At(0))
	}
	f.Fuzz(func(t *testing.T, b []byte) { checkAccepted(t, b) })
}

func FuzzSetItem(f *testing.F) {
	r := full()
	for i := 1; i < r.Items(); i++ {
		f.Add(i, AppendItem(nil, r, i))
	}
	f.Fuzz(func(t *testing.T, index int, b []byte) {
		var r Reading
		if err := r.SetItem(index, b); err != nil {
			if !reflect.DeepEqual(r, Reading{}) {
				t.Errorf("item %d %x: changed the reading to %+v, %v", index, b, r, err)
			}
			return
		}
		if again := AppendItem(nil, &r, index); !bytes.Equal(again, b) {
			t.Errorf("item %d %x: accepted, but encodes to %x", index, b, again)
		}
	})
}

func TestWords(t *testing.T) {
	want := "authenticated duplicate replay counter-conflict bad-tag unknown-node malformed insecure opaque vouched"
	var words []string
	for _, v := range Verdicts() {
		words = append(words, v.String())
		if got, err := ParseVerdict(v.String()); err != nil || got != v {
			t.Errorf("%v: got %v, %v", v, got, err)
		}
		if got := v.DeviceAuthenticated(); got != (v == Authenticated) {
			t.Errorf("%v: DeviceAuthenticated %v", v, got)
		}
	}
	if got := strings.Join(words, " "); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	for _, c := range []Clock{Synced, Unsynced, Stepped} {
		if got, err := ParseClock(c.String()); err != nil || got != c {
			t.Errorf("%v: got %v, %v", c, got, err)
		}
	}
	for _, word := range []string{"", "Authenticated", "verdict(0)", "clock(0)"} {
		if _, err := ParseVerdict(word); !errors.Is(err, ErrInvalid) {
			t.Errorf("verdict %q: got %v, want %v", word, err, ErrInvalid)
		}
		if _, err := ParseClock(word); !errors.Is(err, ErrInvalid) {
			t.Errorf("clock %q: got %v, want %v", word, err, ErrInvalid)
		}
	}
	if Verdict(0).DeviceAuthenticated() || Verdict(0).String() != "verdict(0)" {
		t.Error("the zero verdict passes for one")
	}
}
