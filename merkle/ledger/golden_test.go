package ledger

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"

	"cairn/merkle"
	"cairn/merkle/cbor"

	fxamacker "github.com/fxamacker/cbor/v2"
)

func fill(b byte) (h merkle.Hash) {
	for i := range h {
		h[i] = b
	}
	return h
}

var empty = merkle.EmptyRoot()

// sample is one item: the value, and the same as plain data for another
// encoder. Its bytes are frozen in goldens.
type sample struct {
	name  string
	kind  string // key of codecs
	value any
	plain any
}

func bs(h merkle.Hash) []byte { return h[:] }

var samples = []sample{
	{"summary", "summary",
		Summary{Slot: 300, From: 1000, To: 61000, First: 7, Next: 9, Closed: true, Run: fill(1), Stream: fill(2), Hidden: fill(3)},
		[]any{"cairn/summary/1", 300, 1000, 61000, 7, 9, true, bs(fill(1)), bs(fill(2)), bs(fill(3))}},
	{"summary of an empty stream", "summary",
		Summary{From: 1, To: 2, Run: empty, Stream: empty, Hidden: fill(3)},
		[]any{"cairn/summary/1", 0, 1, 2, 0, 0, false, bs(empty), bs(empty), bs(fill(3))}},
	{"rest", "rest",
		Rest{From: 1500, To: 59000, HasReceived: true, Seen: 2, Lost: 1, LostKnown: true,
			Ranges: []Range{{"T", "Cel", unhex("c482231a0002d9fb"), []byte{0x13}}, {"H", "%RH", []byte{0x20}, unhex("1832")}},
			Gaps:   []Gap{{3000, 4000, "power"}}},
		[]any{"cairn/rest/1", 1500, 59000,
			[]any{[]any{"T", "Cel", fxamacker.Tag{Number: 4, Content: []any{-4, 186875}}, 19}, []any{"H", "%RH", -1, 50}},
			2, 1, []any{[]any{3000, 4000, "power"}}}},
	{"rest of nothing", "rest", Rest{},
		[]any{"cairn/rest/1", nil, nil, []any{}, 0, nil, []any{}}},
	{"header", "header",
		Header{Ledger: fill(1), Index: 65536, From: 1000, To: 61000, Root: fill(4),
			Seen:   []Seen{{"ethereum:1", 24_136_052, fill(2), 999}, {"bitcoin:main", 900_000, fill(3), 0}},
			Hidden: [5]merkle.Hash{fill(5), fill(6), fill(7), fill(8), fill(9)}},
		[]any{"cairn/batch/1", bs(fill(1)), 65536, 1000, 61000,
			[]any{[]any{"ethereum:1", 24_136_052, bs(fill(2)), 999}, []any{"bitcoin:main", 900_000, bs(fill(3)), 0}},
			bs(fill(4)), []any{bs(fill(5)), bs(fill(6)), bs(fill(7)), bs(fill(8)), bs(fill(9))}}},
	{"header without blocks", "header", Header{To: 1},
		[]any{"cairn/batch/1", bs(fill(0)), 0, 0, 1, []any{}, bs(fill(0)),
			[]any{bs(fill(0)), bs(fill(0)), bs(fill(0)), bs(fill(0)), bs(fill(0))}}},
	{"counts", "counts", Counts{1000, 24, 3}, []any{"cairn/counts/1", 1000, 24, 3}},
	{"slots", "slots", Slots{5}, []any{"cairn/slots/1", 5}},
	{"segments", "segments", SegmentsHead{4, fill(1)}, []any{"cairn/segments/1", 4, bs(fill(1))}},
	{"no segments", "segments", SegmentsHead{0, empty}, []any{"cairn/segments/1", 0, bs(empty)}},
	{"statements", "statements", StatementsHead{1 << 32, fill(1)}, []any{"cairn/statements/1", int64(1 << 32), bs(fill(1))}},
	{"segment", "segment", Segment{3, 1963584, 1, 10, 25, fill(1)},
		[]any{"cairn/segment/1", 3, 1963584, 1, 10, 25, bs(fill(1))}},
	{"intake", "intake",
		IntakeHead{Ledger: fill(1), Incarnation: [16]byte{15: 7}, Number: 2, Previous: fill(2), Count: 3, Root: fill(3)},
		[]any{"cairn/intake/1", bs(fill(1)), []byte{15: 7}, 2, bs(fill(2)), 3, bs(fill(3))}},
	{"genesis", "statement",
		Genesis{LogKey: fill(1), Nonce: fill(2), Window: 60000, Routes: []string{"ethereum:1"}}.Statement(5),
		[]any{"cairn/statement/1", "genesis", 5, map[string]any{"log-key": bs(fill(1)), "nonce": bs(fill(2)), "window": 60000, "routes": []any{"ethereum:1"}}}},
	{"route", "statement",
		Route{"ethereum:1", 1, [20]byte{1}, fill(2), [20]byte{3}}.Statement(5),
		[]any{"cairn/statement/1", "route", 5, map[string]any{"route": "ethereum:1", "chain-id": 1, "contract": []byte{0: 1, 19: 0}, "code-hash": bs(fill(2)), "sender": []byte{0: 3, 19: 0}}}},
	{"route-bitcoin", "statement", bitcoinRoute.Statement(5),
		[]any{"cairn/statement/1", "route-bitcoin", 5, map[string]any{"route": "bitcoin:testnet4", "network": "testnet4", "script": []byte{1: 20, 21: 7}, "outpoint-tx": bs(fill(2)), "outpoint-index": int64(math.MaxUint32)}}},
	{"route-ots", "statement", otsRoute.Statement(5),
		[]any{"cairn/statement/1", "route-ots", 5, map[string]any{"route": "ots", "calendars": []any{"https://a.example", "http://127.0.0.1:8000/x"}, "need": 2}}},
	{"log-key", "statement", LogKey{fill(1), fill(2), [64]byte{3}, [64]byte{63: 4}}.Statement(5),
		[]any{"cairn/statement/1", "log-key", 5, map[string]any{"old": bs(fill(1)), "new": bs(fill(2)), "old-signature": []byte{0: 3, 63: 0}, "new-signature": []byte{63: 4}}}},
	{"bind", "statement", fridge.Statement(),
		[]any{"cairn/statement/1", "bind", 1000, map[string]any{"device-number": 7, "device": "8081828384858687", "name": "kühl", "slot": 3, "epoch": 1, "kind": "secure", "counter-floor": 0x2a000319}}},
	{"rotate", "statement", fridge.Rotate(2000),
		[]any{"cairn/statement/1", "rotate", 2000, map[string]any{"device-number": 7, "device": "8081828384858687", "slot": 3, "epoch": 1, "counter-floor": 0x2a000319}}},
	{"unbind", "statement", fridge.Unbind(),
		[]any{"cairn/statement/1", "unbind", 3000, map[string]any{"device-number": 7, "device": "8081828384858687", "slot": 3}}},
	{"place", "statement", Placed{7, 3, "canteen", "walk-in fridge"}.Statement(5),
		[]any{"cairn/statement/1", "place", 5, map[string]any{"device-number": 7, "slot": 3, "place": "canteen", "thing": "walk-in fridge"}}},
	{"calibrate", "statement", calibration.Statement(5),
		[]any{"cairn/statement/1", "calibrate", 5, map[string]any{"device-number": 7, "slot": 3, "by": "Eich AG", "calibrated": 4, "field": "T", "offset": "-0.25", "certificate": bs(fill(3))}}},
	{"calibrate without an offset", "statement", Calibration{Number: 7, Slot: 3, By: "Eich AG", Calibrated: 4, Certificate: calibration.Certificate}.Statement(5),
		[]any{"cairn/statement/1", "calibrate", 5, map[string]any{"device-number": 7, "slot": 3, "by": "Eich AG", "calibrated": 4, "certificate": bs(fill(3))}}},
	{"attach", "statement", Attachment{7, 3, AttachPhoto, "door", fill(2)}.Statement(5),
		[]any{"cairn/statement/1", "attach", 5, map[string]any{"device-number": 7, "slot": 3, "what": "photo", "name": "door", "digest": bs(fill(2))}}},
	{"replace", "statement", Replacement{8, 4, 7, 3}.Statement(5),
		[]any{"cairn/statement/1", "replace", 5, map[string]any{"device-number": 8, "slot": 4, "old-number": 7, "old-slot": 3}}},
	{"retire", "statement", Retirement{7, 3, "battery"}.Statement(5),
		[]any{"cairn/statement/1", "retire", 5, map[string]any{"device-number": 7, "slot": 3, "reason": "battery"}}},
	{"gap", "statement", Outage{Gap{1, 2, "power"}, 60}.Statement(5),
		[]any{"cairn/statement/1", "gap", 5, map[string]any{"from": 1, "to": 2, "reason": "power", "missed": 60}}},
	{"clock", "statement", ClockStep{2, 1, "step"}.Statement(5),
		[]any{"cairn/statement/1", "clock", 5, map[string]any{"was": 2, "now": 1, "reason": "step"}}},
	{"reboot", "statement", Reboot{7, 3, 99, 42, 43}.Statement(5),
		[]any{"cairn/statement/1", "reboot", 5, map[string]any{"device-number": 7, "slot": 3, "sequence": 99, "restart-old": 42, "restart-new": 43}}},
	{"grant", "statement", sharedGrant.Statement(5),
		[]any{"cairn/statement/1", "grant", 5, map[string]any{"audience": "Süd", "purpose": "food safety", "recipients": []any{"age1a", "ssh-ed25519 b"}, "compartments": []any{"ledger", "stream/3/data"}, "from": 1000, "until": 2000, "access": 3000, "token": bs(fill(7)), "mirror": true}}},
	{"grant without ends", "statement",
		Grant{Audience: "a", Recipients: []string{"r"}, Compartments: []string{"ledger"}}.Statement(5),
		[]any{"cairn/statement/1", "grant", 5, map[string]any{"audience": "a", "purpose": "", "recipients": []any{"r"}, "compartments": []any{"ledger"}, "from": 0, "token": bs(fill(0))}}},
	{"grant-end", "statement", GrantEnd{Grant: 9, Until: 1500, Access: at(2500), Reason: "moved out"}.Statement(5),
		[]any{"cairn/statement/1", "grant-end", 5, map[string]any{"grant": 9, "until": 1500, "access": 2500, "reason": "moved out"}}},
	{"grant-renew", "statement", GrantRenew{Grant: 9, Until: at(4000), Recipients: []string{"age1c"}}.Statement(5),
		[]any{"cairn/statement/1", "grant-renew", 5, map[string]any{"grant": 9, "until": 4000, "recipients": []any{"age1c"}}}},
	{"shred", "statement",
		Shred{Compartments: []string{"stream/3/data"}, Before: 1_800_000, Holders: []string{"b"}, Reason: "asked to"}.Statement(5),
		[]any{"cairn/statement/1", "shred", 5, map[string]any{"compartments": []any{"stream/3/data"}, "before": 1_800_000, "holders": []any{"b"}, "reason": "asked to"}}},
	{"shred-confirm", "statement", ShredConfirm{11, "b", []byte("gone"), [64]byte{1}, false}.Statement(5),
		[]any{"cairn/statement/1", "shred-confirm", 5, map[string]any{"shred": 11, "holder": "b", "text": []byte("gone"), "signature": []byte{0: 1, 63: 0}}}},
	{"holder", "statement", Holder{"b", HolderEscrow, "age1b", fill(3)}.Statement(5),
		[]any{"cairn/statement/1", "holder", 5, map[string]any{"name": "b", "kind": "escrow", "recipient": "age1b", "key": bs(fill(3))}}},
	{"holder-end", "statement", HolderEnd{Name: "b"}.Statement(5),
		[]any{"cairn/statement/1", "holder-end", 5, map[string]any{"name": "b"}}},
	{"grant-key", "statement", Holder{"b", HolderAudience, "age1b", fill(3)}.Statement(5),
		[]any{"cairn/statement/1", "grant-key", 5, map[string]any{"name": "b", "recipient": "age1b", "key": bs(fill(3))}}},
	{"grant-key-end", "statement", HolderEnd{"b", true}.Statement(5),
		[]any{"cairn/statement/1", "grant-key-end", 5, map[string]any{"name": "b"}}},
	{"grant-confirm", "statement", ShredConfirm{11, "b", []byte("gone"), [64]byte{1}, true}.Statement(5),
		[]any{"cairn/statement/1", "grant-confirm", 5, map[string]any{"shred": 11, "holder": "b", "text": []byte("gone"), "signature": []byte{0: 1, 63: 0}}}},
	{"escrow", "statement", Escrow{"2026-07", 1, 2, []string{"b", "c", "d"}, []byte{1, 2}, fill(4)}.Statement(5),
		[]any{"cairn/statement/1", "escrow", 5, map[string]any{"month": "2026-07", "part": 1, "need": 2, "holders": []any{"b", "c", "d"}, "commitments": []byte{1, 2}, "digest": bs(fill(4))}}},
	{"published", "statement", Published{10, 25, "bafy"}.Statement(5),
		[]any{"cairn/statement/1", "published", 5, map[string]any{"first": 10, "next": 25, "cid": "bafy"}}},
	{"dropped", "statement", Dropped{900_000, []string{"stream/3/data"}, []string{"m"}}.Statement(5),
		[]any{"cairn/statement/1", "dropped", 5, map[string]any{"before": 900_000, "compartments": []any{"stream/3/data"}, "mirrors": []any{"m"}}}},
	{"alert", "statement", Alert{"warm", 2, 3, "", "T 9 Cel, above 8", []string{"chef"}}.Statement(5),
		[]any{"cairn/statement/1", "alert", 5, map[string]any{"rule": "warm", "device-number": 2, "slot": 3, "about": "", "what": "T 9 Cel, above 8", "receivers": []any{"chef"}}}},
	{"alert of no device", "statement", Alert{Rule: "late", About: "anchor-late", What: "no fee"}.Statement(5),
		[]any{"cairn/statement/1", "alert", 5, map[string]any{"rule": "late", "about": "anchor-late", "what": "no fee", "receivers": []any{}}}},
	{"alert-sent", "statement", AlertSent{7, "chef", NewsCleared}.Statement(5),
		[]any{"cairn/statement/1", "alert-sent", 5, map[string]any{"alert": 7, "receiver": "chef", "news": "cleared"}}},
	{"alert-ack", "statement", AlertAck{7, "Ana", "door shut"}.Statement(5),
		[]any{"cairn/statement/1", "alert-ack", 5, map[string]any{"alert": 7, "name": "Ana", "note": "door shut"}}},
	{"alert-clear", "statement", AlertClear{7, "T 5 Cel"}.Statement(5),
		[]any{"cairn/statement/1", "alert-clear", 5, map[string]any{"alert": 7, "what": "T 5 Cel"}}},
	{"alert-mute", "statement", AlertMute{[]string{"warm"}, []string{"fridge-*"}, 1, 9, "Ana", "defrost"}.Statement(5),
		[]any{"cairn/statement/1", "alert-mute", 5, map[string]any{"rules": []any{"warm"}, "devices": []any{"fridge-*"}, "from": 1, "until": 9, "name": "Ana", "reason": "defrost"}}},
	{"alert-mute-end", "statement", AlertMuteEnd(8, 5),
		[]any{"cairn/statement/1", "alert-mute-end", 5, map[string]any{"mute": 8}}},
	{"unknown kind", "statement",
		Statement{"x-1", 5, map[string]any{"b": int64(math.MinInt64), "aa": []any{true, []byte{}, "t", int64(-1)}, "a": false, "c": []any{}}},
		[]any{"cairn/statement/1", "x-1", 5, map[string]any{"b": int64(math.MinInt64), "aa": []any{true, []byte{}, "t", -1}, "a": false, "c": []any{}}}},
}

var (
	bitcoinRoute = RouteBitcoin{"bitcoin:testnet4", "testnet4", []byte{1: 20, 21: 7}, fill(2), math.MaxUint32}
	otsRoute     = RouteOTS{"ots", []string{"https://a.example", "http://127.0.0.1:8000/x"}, 2}
)

var sharedGrant = Grant{Audience: "Süd", Purpose: "food safety", Recipients: []string{"age1a", "ssh-ed25519 b"},
	Compartments: []string{"ledger", "stream/3/data"}, From: 1000, Until: at(2000), Access: at(3000), Token: fill(7), Mirror: true}

func at(ms int64) *int64 { return &ms }

var fridge = Binding{Number: 7, ID: [8]byte{0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87}, Name: "kühl", Slot: 3,
	Epoch: 1, Kind: BindSecure, Floor: 0x2a000319, From: 1000, Closed: true, Until: 3000}

// codec ties a parser to what it undoes.
type codec struct {
	parse  func([]byte) (any, error)
	append func(any) []byte
}

func codecOf[T interface{ Append([]byte) []byte }](parse func([]byte) (T, error)) codec {
	return codec{
		parse:  func(b []byte) (any, error) { return parse(b) },
		append: func(v any) []byte { return v.(T).Append(nil) },
	}
}

var codecs = map[string]codec{
	"summary": codecOf(ParseSummary), "rest": codecOf(ParseRest), "header": codecOf(ParseHeader),
	"counts": codecOf(ParseCounts), "slots": codecOf(ParseSlots), "segments": codecOf(ParseSegmentsHead),
	"statements": codecOf(ParseStatementsHead), "segment": codecOf(ParseSegment),
	"intake": codecOf(ParseIntakeHead), "statement": codecOf(ParseStatement),
}

func unhex(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return b
}

func named(err error) bool {
	return errors.Is(err, ErrEncoding) || errors.Is(err, ErrItem) || errors.Is(err, ErrInvalid) || errors.Is(err, ErrNoIntake)
}

func TestGolden(t *testing.T) {
	mode, err := fxamacker.CoreDetEncOptions().EncMode()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range samples {
		c := codecs[s.kind]
		got := c.append(s.value)
		if want := goldens[s.name]; hex.EncodeToString(got) != want {
			t.Errorf("%s: got\n%x, want\n%s", s.name, got, want)
		}
		other, err := mode.Marshal(s.plain)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, other) {
			t.Errorf("%s: got\n%x, fxamacker/cbor\n%x", s.name, got, other)
		}
		back, err := c.parse(got)
		if err != nil {
			t.Errorf("%s: %v", s.name, err)
		} else if !reflect.DeepEqual(back, s.value) {
			t.Errorf("%s: parsed\n%+v, want\n%+v", s.name, back, s.value)
		}
	}
}

// TestDamage cuts and lengthens every sample and flips each of its bits. What
// is then accepted has to be encoded to the very same bytes again.
func TestDamage(t *testing.T) {
	for _, s := range samples {
		c, item := codecs[s.kind], encode(s)
		for n := range item {
			if _, err := c.parse(item[:n]); !named(err) {
				t.Errorf("%s cut to %d of %d bytes: got %v, want a named error", s.name, n, len(item), err)
			}
		}
		if _, err := c.parse(append(bytes.Clone(item), 0)); !errors.Is(err, ErrEncoding) {
			t.Errorf("%s with a byte more: got %v, want %v", s.name, err, ErrEncoding)
		}
		for bit := range 8 * len(item) {
			bad := bytes.Clone(item)
			bad[bit/8] ^= 1 << (bit % 8)
			checkAccepted(t, s.kind, bad)
		}
	}
}

func encode(s sample) []byte { return codecs[s.kind].append(s.value) }

// checkAccepted parses foreign bytes: they have to be refused with a named
// error, or be what the value that was read is encoded to.
func checkAccepted(t *testing.T, kind string, b []byte) {
	t.Helper()
	v, err := codecs[kind].parse(b)
	if err != nil {
		if !named(err) {
			t.Errorf("%s %x: got %v, want a named error", kind, b, err)
		}
		if !reflect.ValueOf(v).IsZero() {
			t.Errorf("%s %x: got %+v beside an error", kind, b, v)
		}
		return
	}
	if again := codecs[kind].append(v); !bytes.Equal(again, b) {
		t.Errorf("%s %x: accepted, but encodes to %x", kind, b, again)
	}
}

// TestOthersRefused gives each parser all other kinds of items.
func TestOthersRefused(t *testing.T) {
	for kind := range codecs {
		for _, s := range samples {
			if s.kind == kind {
				continue
			}
			if _, err := codecs[kind].parse(encode(s)); !errors.Is(err, ErrItem) {
				t.Errorf("a %s parsed as %s: got %v, want %v", s.name, kind, err, ErrItem)
			}
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range samples {
		f.Add(encode(s))
	}
	f.Add(NoIntake())
	f.Fuzz(func(t *testing.T, b []byte) {
		for kind := range codecs {
			checkAccepted(t, kind, b)
		}
	})
}

func TestRefused(t *testing.T) {
	sum := Summary{Slot: 1, From: 1, To: 2, First: 3, Next: 4, Run: fill(1), Stream: fill(2)}
	with := func(change func(*Summary)) []byte {
		s := sum
		change(&s)
		return s.Append(nil)
	}
	manyRoutes := Header{}
	for i := range MaxRoutes + 1 {
		manyRoutes.Seen = append(manyRoutes.Seen, Seen{Route: "r:" + string(rune('a'+i))})
	}
	one := []byte{1}
	for _, c := range []struct {
		name, kind string
		item       []byte
		want       error
		says       string
	}{
		{"window back", "summary", with(func(s *Summary) { s.To = 0 }), ErrInvalid, "ends before"},
		{"numbers back", "summary", with(func(s *Summary) { s.Next = 2 }), ErrInvalid, "below the first"},
		{"empty run", "summary", with(func(s *Summary) { s.Next = 3 }), ErrInvalid, "empty run"},
		{"empty stream", "summary", with(func(s *Summary) { s.First, s.Next, s.Run = 0, 0, empty }), ErrInvalid, "empty stream"},
		{"slot 2^63", "summary", with(func(s *Summary) { s.Slot = 1 << 63 }), ErrInvalid, "the slot"},
		{"time before 1970", "summary", with(func(s *Summary) { s.From = -1 }), ErrInvalid, "the window's begin"},
		{"half a span", "rest", unhex("876c" + hex.EncodeToString([]byte(restType)) + "f60180000080"), ErrInvalid, "no first"},
		{"values of nothing", "rest", Rest{Ranges: []Range{{"T", "", one, one}}}.Append(nil), ErrInvalid, "no readings"},
		{"value twice", "rest", Rest{HasReceived: true, Ranges: []Range{{"T", "", one, one}, {"T", "", one, one}}}.Append(nil), ErrInvalid, "twice"},
		{"empty name", "rest", Rest{HasReceived: true, Ranges: []Range{{"", "", one, one}}}.Append(nil), ErrInvalid, "empty"},
		{"text as value", "rest", Rest{HasReceived: true, Ranges: []Range{{"T", "", unhex("6161"), one}}}.Append(nil), ErrItem, "not an integer"},
		{"multiple of ten", "rest", Rest{HasReceived: true, Ranges: []Range{{"T", "", unhex("c482200a"), one}}}.Append(nil), ErrInvalid, "normal form"},
		{"too many gaps", "rest", Rest{Gaps: make([]Gap, MaxGaps+1)}.Append(nil), ErrInvalid, "over 128 gaps"},
		{"gap back", "rest", Rest{Gaps: []Gap{{2, 1, ""}}}.Append(nil), ErrInvalid, "a gap ends"},
		{"too many routes", "header", manyRoutes.Append(nil), ErrInvalid, "over 16 routes"},
		{"route twice", "header", Header{Seen: []Seen{{Route: "a"}, {Route: "a"}}}.Append(nil), ErrInvalid, "twice"},
		{"route of blanks", "header", Header{Seen: []Seen{{Route: "a b"}}}.Append(nil), ErrInvalid, "without spaces"},
		{"header too long", "header", append(Header{}.Append(nil), make([]byte, MaxHeader)...), ErrInvalid, "over 4096 bytes"},
		{"index", "header", Header{Index: merkle.MaxSize}.Append(nil), ErrInvalid, "outside of any log"},
		{"narrow", "slots", Slots{2}.Append(nil), ErrInvalid, "3…32"},
		{"wide", "slots", Slots{33}.Append(nil), ErrInvalid, "3…32"},
		{"no segments", "segments", SegmentsHead{0, fill(1)}.Append(nil), ErrInvalid, "empty tree"},
		{"33 bits", "segment", cbor.AppendUint(appendOpen(nil, 7, segmentType), 1<<32), ErrInvalid, "32 bits"},
		{"no intake", "intake", NoIntake(), ErrNoIntake, ""},
		{"long head", "counts", append(appendOpen(nil, 4, countsType), 0x18, 0x17, 0, 0), ErrEncoding, "shortest"},
		{"indefinite", "counts", append([]byte{0x9f}, cbor.AppendText(nil, countsType)...), ErrEncoding, "indefinite"},
		{"float", "counts", append(appendOpen(nil, 4, countsType), 0xf9, 0, 0), ErrEncoding, "float"},
		{"huge array", "counts", unhex("9bffffffffffffffff"), ErrItem, "elements"},
		{"nothing", "counts", nil, ErrEncoding, "ends early"},
		{"next version", "counts", appendOpen(nil, 4, "cairn/counts/2"), ErrItem, "its type"},
	} {
		_, err := codecs[c.kind].parse(c.item)
		if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: got %v, want %v that says %q", c.name, err, c.want, c.says)
		}
	}
}
