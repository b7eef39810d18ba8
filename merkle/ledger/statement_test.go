package ledger

import (
	"bytes"
	"errors"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"cairn/merkle/cbor"
)

func TestStatementTypes(t *testing.T) {
	s := Statement{"x", 1, map[string]any{
		"int": 1, "uint32": uint32(2), "uint64": uint64(3), "hash": fill(4), "texts": []string{"a", "b"},
		"mixed": []any{5, fill(6), uint64(7)},
	}}
	if err := s.Validate(); err != nil {
		t.Fatal(err)
	}
	got, err := ParseStatement(s.Append(nil))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"int": int64(1), "uint32": int64(2), "uint64": int64(3), "hash": bs(fill(4)), "texts": []any{"a", "b"},
		"mixed": []any{int64(5), bs(fill(6)), int64(7)},
	}
	if !reflect.DeepEqual(got.Body, want) {
		t.Errorf("got %v, want %v", got.Body, want)
	}
	for _, s := range []Statement{s, got} {
		if n, ok := s.Uint("uint64"); n != 3 || !ok {
			t.Errorf("Uint: got %d, %v", n, ok)
		}
		if b, ok := s.Bytes("hash"); !bytes.Equal(b, bs(fill(4))) || !ok {
			t.Errorf("Bytes: got %x, %v", b, ok)
		}
		if v, ok := s.Texts("texts"); !reflect.DeepEqual(v, []string{"a", "b"}) || !ok {
			t.Errorf("Texts: got %v, %v", v, ok)
		}
		if _, ok := s.Texts("mixed"); ok {
			t.Error("Texts of an array with numbers: got ok")
		}
		if _, ok := s.Text("int"); ok {
			t.Error("Text of a number: got ok")
		}
		if _, ok := s.Uint("none"); ok {
			t.Error("Uint of nothing: got ok")
		}
	}
}

func TestStatementInvalid(t *testing.T) {
	body := func(key string, v any) Statement { return Statement{"x", 1, map[string]any{key: v}} }
	many := Statement{"x", 1, map[string]any{}}
	for i := range MaxKeys + 1 {
		many.Body[strings.Repeat("k", i%maxWord)+string(rune('a'+i/maxWord))+"z"] = true
	}
	long := Statement{"x", 1, map[string]any{"k": slicesOf(MaxElements, strings.Repeat("x", MaxText))}}
	for name, s := range map[string]Statement{
		"no kind":       {"", 1, nil},
		"upper case":    {"Kind", 1, nil},
		"long kind":     {strings.Repeat("k", 33), 1, nil},
		"before 1970":   {"x", -1, nil},
		"float":         body("k", 1.5),
		"nil":           body("k", nil),
		"key":           body("a_b", true),
		"empty key":     body("", true),
		"long text":     body("k", strings.Repeat("x", MaxText+1)),
		"not UTF-8":     body("k", "\xff"),
		"long bytes":    body("k", make([]byte, MaxText+1)),
		"long array":    body("k", make([]string, MaxElements+1)),
		"nested":        body("k", []any{[]any{}}),
		"nested texts":  body("k", []any{[]string{}}),
		"2^63":          body("k", uint64(math.MaxInt64+1)),
		"too many keys": many,
		"too long":      long,
	} {
		if err := s.Validate(); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: got %v, want %v", name, err, ErrInvalid)
		}
	}
}

func slicesOf(n int, s string) []any {
	all := make([]any, n)
	for i := range all {
		all[i] = s
	}
	return all
}

func TestAppendPanics(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("a float was appended")
		}
	}()
	Statement{"x", 1, map[string]any{"k": 1.5}}.Append(nil)
}

func TestStatementOrder(t *testing.T) {
	open := func(keys ...string) []byte {
		b := appendTime(cbor.AppendText(appendOpen(nil, 4, statementType), "x"), 1)
		b = cbor.AppendHead(b, cbor.Map, uint64(len(keys)))
		for _, k := range keys {
			b = appendBool(cbor.AppendText(b, k), true)
		}
		return b
	}
	if _, err := ParseStatement(open("b", "aa", "ab", "aaa")); err != nil {
		t.Errorf("shorter keys first: %v", err)
	}
	for _, keys := range [][]string{{"aa", "b"}, {"b", "a"}, {"a", "a"}} {
		if _, err := ParseStatement(open(keys...)); !errors.Is(err, ErrEncoding) {
			t.Errorf("keys %q: got %v, want %v", keys, err, ErrEncoding)
		}
	}
}

// TestKnownBodies takes each key of each known kind away, gives it a value of
// another type, and adds a key.
func TestKnownBodies(t *testing.T) {
	known := make(map[string]bool)
	for _, sample := range samples {
		s, ok := sample.value.(Statement)
		if !ok || bodies[s.Kind] == nil {
			continue
		}
		known[s.Kind] = true
		refused := func(change string) {
			t.Helper()
			if err := s.Validate(); !errors.Is(err, ErrInvalid) {
				t.Errorf("%s %s: Validate got %v, want %v", s.Kind, change, err, ErrInvalid)
			}
			if _, err := ParseStatement(s.Append(nil)); !errors.Is(err, ErrInvalid) {
				t.Errorf("%s %s: ParseStatement got %v, want %v", s.Kind, change, err, ErrInvalid)
			}
		}
		for key := range bodies[s.Kind] {
			was := s.Body[key]
			for _, other := range []any{int64(-1), "", []byte{1}, true, []any{int64(1)}} {
				if free(s.Kind, key, other) {
					continue
				}
				s.Body[key] = other
				refused("with another " + key)
			}
			delete(s.Body, key)
			refused("without " + key)
			s.Body[key] = was
		}
		s.Body["more"] = true
		refused("with more")
		delete(s.Body, "more")
	}
	if len(known) != len(bodies) {
		t.Errorf("got samples of %d known kinds, want %d", len(known), len(bodies))
	}
}

// free reports whether a key of a kind may hold just any text, or any bytes.
func free(kind, key string, other any) bool {
	switch other.(type) {
	case string:
		return slices.Contains([]string{"reason", "purpose", "about", "what", "note"}, key) ||
			key == "name" && (kind == KindBind || kind == KindAttach) || kind == KindPlace
	case []byte:
		return key == "text" || key == "commitments"
	}
	return false
}

func TestKnownRoundTrips(t *testing.T) {
	genesis := Genesis{fill(1), fill(2), 60000, []string{"ethereum:1", "bitcoin:main"}}
	route := Route{"ethereum:1", 1, [20]byte{1}, fill(2), [20]byte{3}}
	outage := Outage{Gap{1, 2, "power"}, 60}
	step := ClockStep{2, 1, "step"}
	reboot := Reboot{7, 3, 99, 42, 43}
	bind := fridge
	bind.Closed, bind.Until = false, 0

	check := func(got any, err error, want any) {
		t.Helper()
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, %v, want %+v", got, err, want)
		}
	}
	again := func(s Statement) Statement {
		t.Helper()
		p, err := ParseStatement(s.Append(nil))
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	g, err := GenesisFrom(again(genesis.Statement(5)))
	check(g, err, genesis)
	r, err := RouteFrom(again(route.Statement(5)))
	check(r, err, route)
	o, err := OutageFrom(again(outage.Statement(5)))
	check(o, err, outage)
	c, err := ClockStepFrom(again(step.Statement(5)))
	check(c, err, step)
	b, err := RebootFrom(again(reboot.Statement(5)))
	check(b, err, reboot)
	btc, err := RouteBitcoinFrom(again(bitcoinRoute.Statement(5)))
	check(btc, err, bitcoinRoute)
	ots, err := RouteOTSFrom(again(otsRoute.Statement(5)))
	check(ots, err, otsRoute)
	d, err := BindingFrom(again(fridge.Statement()))
	check(d, err, bind)

	if _, err := BindingFrom(genesis.Statement(5)); !errors.Is(err, ErrItem) {
		t.Errorf("a genesis as a binding: got %v, want %v", err, ErrItem)
	}
	if _, err := GenesisFrom(Statement{Kind: KindGenesis}); !errors.Is(err, ErrInvalid) {
		t.Errorf("an empty genesis: got %v, want %v", err, ErrInvalid)
	}
}

func TestBindingApply(t *testing.T) {
	bind := fridge
	bind.Closed, bind.Until = false, 0
	rotated := bind
	rotated.Epoch, rotated.Floor = 2, 99

	got, err := bind.Apply(rotated.Rotate(2000))
	if err != nil || got != rotated {
		t.Errorf("rotate: got %+v, %v, want %+v", got, err, rotated)
	}
	got, err = bind.Apply(fridge.Unbind())
	if err != nil || got != fridge {
		t.Errorf("unbind: got %+v, %v, want %+v", got, err, fridge)
	}
	other := bind
	other.Slot++
	for name, c := range map[string]struct {
		b    Binding
		s    Statement
		want error
	}{
		"another slot":       {bind, other.Rotate(1), ErrInvalid},
		"another slot's end": {bind, other.Unbind(), ErrInvalid},
		"rotate after end":   {fridge, bind.Rotate(1), ErrInvalid},
		"end after end":      {fridge, fridge.Unbind(), ErrInvalid},
		"bind again":         {bind, bind.Statement(), ErrItem},
	} {
		if got, err := c.b.Apply(c.s); !errors.Is(err, c.want) || got != c.b {
			t.Errorf("%s: got %+v, %v, want no change and %v", name, got, err, c.want)
		}
	}
	wide := bind
	wide.Floor = MaxCounter + 1
	if err := wide.Statement().Validate(); !errors.Is(err, ErrInvalid) {
		t.Errorf("floor of 49 bits: got %v, want %v", err, ErrInvalid)
	}
}
