package ledger

import (
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"strings"
	"testing"
)

func keyOf(b byte) ed25519.PrivateKey {
	seed := fill(b)
	return ed25519.NewKeyFromSeed(seed[:])
}

func TestLogKey(t *testing.T) {
	id, at := fill(9), int64(1_767_225_600_000)
	s := SignLogKey(id, keyOf(1), keyOf(2), at)
	p, err := ParseStatement(s.Append(nil))
	if err != nil {
		t.Fatal(err)
	}
	k, err := LogKeyFrom(p)
	if err != nil {
		t.Fatal(err)
	}
	if err := k.Verify(id, p.At); err != nil {
		t.Errorf("got %v", err)
	}
	old, next := keyOf(1).Public().(ed25519.PublicKey), keyOf(2).Public().(ed25519.PublicKey)
	if string(k.Old[:]) != string(old) || string(k.New[:]) != string(next) {
		t.Errorf("got %x to %x, want %x to %x", k.Old, k.New, old, next)
	}
	// The signed bytes, put together apart from the code under test.
	signed := append([]byte("cairn/log-key/1"), id[:]...)
	signed = append(append(signed, old...), next...)
	signed = binary.BigEndian.AppendUint64(signed, uint64(at))
	if !ed25519.Verify(old, signed, k.OldSignature[:]) || !ed25519.Verify(next, signed, k.NewSignature[:]) {
		t.Error("the signatures are over other bytes than the format says")
	}
}

func TestLogKeyRefused(t *testing.T) {
	id, at := fill(9), int64(1000)
	good, err := LogKeyFrom(SignLogKey(id, keyOf(1), keyOf(2), at))
	if err != nil {
		t.Fatal(err)
	}
	if err := good.Verify(fill(8), at); !errors.Is(err, ErrSignature) {
		t.Errorf("another ledger: got %v, want %v", err, ErrSignature)
	}
	if err := good.Verify(id, at+1); !errors.Is(err, ErrSignature) {
		t.Errorf("another time: got %v, want %v", err, ErrSignature)
	}
	swapped := LogKey{good.New, good.Old, good.NewSignature, good.OldSignature}
	if err := swapped.Verify(id, at); !errors.Is(err, ErrSignature) {
		t.Errorf("the way back: got %v, want %v", err, ErrSignature)
	}
	for bit := range 8 * 192 {
		bad := good
		at8 := bit / 8
		flip := byte(1) << (bit % 8)
		switch {
		case at8 < 32:
			bad.Old[at8] ^= flip
		case at8 < 64:
			bad.New[at8-32] ^= flip
		case at8 < 128:
			bad.OldSignature[at8-64] ^= flip
		default:
			bad.NewSignature[at8-128] ^= flip
		}
		if err := bad.Verify(id, at); !errors.Is(err, ErrSignature) {
			t.Fatalf("bit %d flipped: got %v, want %v", bit, err, ErrSignature)
		}
	}
	same := SignLogKey(id, keyOf(1), keyOf(1), at)
	if _, err := LogKeyFrom(same); !errors.Is(err, ErrInvalid) {
		t.Errorf("the same key again: got %v, want %v", err, ErrInvalid)
	}
	var zero LogKey
	if err := zero.Verify(id, at); !errors.Is(err, ErrInvalid) {
		t.Errorf("nothing: got %v, want %v", err, ErrInvalid)
	}
	if _, err := LogKeyFrom(bitcoinRoute.Statement(5)); !errors.Is(err, ErrItem) {
		t.Errorf("a route as a log key: got %v, want %v", err, ErrItem)
	}
}

func TestRouteBodies(t *testing.T) {
	btc := func(change func(*RouteBitcoin)) Statement {
		r := bitcoinRoute
		change(&r)
		return r.Statement(5)
	}
	ots := func(change func(*RouteOTS)) Statement {
		r := otsRoute
		change(&r)
		return r.Statement(5)
	}
	url := func(n int) string { return "https://" + strings.Repeat("a", n-len("https://")) }
	many := func(n int) (all []string) {
		for i := range n {
			all = append(all, "https://"+strings.Repeat("a", i+1))
		}
		return all
	}
	for name, c := range map[string]struct {
		s  Statement
		ok bool
	}{
		"another network": {btc(func(r *RouteBitcoin) { r.Network = "signet" }), false},
		"no network":      {btc(func(r *RouteBitcoin) { r.Name, r.Network = "bitcoin:", "" }), false},
		"network":         {btc(func(r *RouteBitcoin) { r.Name, r.Network = "bitcoin:mainnet", "mainnet" }), true},
		"no script":       {btc(func(r *RouteBitcoin) { r.Script = nil }), false},
		"script of 21":    {btc(func(r *RouteBitcoin) { r.Script = make([]byte, 21) }), false},
		"script of 22":    {btc(func(r *RouteBitcoin) { r.Script = make([]byte, 22) }), true},
		"script of 34":    {btc(func(r *RouteBitcoin) { r.Script = make([]byte, 34) }), true},
		"script of 35":    {btc(func(r *RouteBitcoin) { r.Script = make([]byte, 35) }), false},

		"another name":        {ots(func(r *RouteOTS) { r.Name = "ots:2" }), false},
		"none needed":         {ots(func(r *RouteOTS) { r.Need = 0 }), false},
		"more needed":         {ots(func(r *RouteOTS) { r.Need = 3 }), false},
		"no calendars":        {ots(func(r *RouteOTS) { r.Calendars = nil }), false},
		"16 calendars":        {ots(func(r *RouteOTS) { r.Calendars, r.Need = many(16), 16 }), true},
		"17 calendars":        {ots(func(r *RouteOTS) { r.Calendars = many(17) }), false},
		"calendar of 200":     {ots(func(r *RouteOTS) { r.Calendars = []string{url(200), "http://b"} }), true},
		"calendar of 201":     {ots(func(r *RouteOTS) { r.Calendars = []string{url(201), "http://b"} }), false},
		"calendar twice":      {ots(func(r *RouteOTS) { r.Calendars = []string{"http://b", "http://b"} }), false},
		"calendar of blanks":  {ots(func(r *RouteOTS) { r.Calendars = []string{"http://a b", "http://b"} }), false},
		"calendar of nothing": {ots(func(r *RouteOTS) { r.Calendars = []string{"http://", "http://b"} }), false},
		"another scheme":      {ots(func(r *RouteOTS) { r.Calendars = []string{"ftp://a", "http://b"} }), false},
		"no scheme":           {ots(func(r *RouteOTS) { r.Calendars = []string{"a.example", "http://b"} }), false},
	} {
		err := c.s.Validate()
		if c.ok && err != nil || !c.ok && !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: Validate got %v, want ok %v", name, err, c.ok)
		}
		if _, perr := ParseStatement(c.s.Append(nil)); (perr == nil) != (err == nil) {
			t.Errorf("%s: ParseStatement got %v, Validate %v", name, perr, err)
		}
	}
}

// FuzzLogKey holds that nothing verifies but what was signed.
func FuzzLogKey(f *testing.F) {
	id, at := fill(9), int64(1000)
	good, err := LogKeyFrom(SignLogKey(id, keyOf(1), keyOf(2), at))
	if err != nil {
		f.Fatal(err)
	}
	item := good.Statement(at).Append(nil)
	f.Add(item)
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := ParseStatement(b)
		if err != nil {
			return
		}
		k, err := LogKeyFrom(s)
		if err != nil {
			return
		}
		if err := k.Verify(id, s.At); err == nil && k.Old == good.Old && string(b) != string(item) {
			t.Errorf("accepted %x", b)
		}
	})
}
