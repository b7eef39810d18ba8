package ledger

import (
	"errors"
	"reflect"
	"strings"
	"testing"
)

func again(t *testing.T, s Statement) Statement {
	t.Helper()
	p, err := ParseStatement(s.Append(nil))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestSharingRoundTrips(t *testing.T) {
	check := func(got any, err error, want any) {
		t.Helper()
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, %v, want %+v", got, err, want)
		}
	}
	grant := sharedGrant
	grant.At = 5
	g, err := GrantFrom(again(t, sharedGrant.Statement(5)))
	check(g, err, grant)
	end := GrantEnd{Grant: 9, At: 5, Until: 1, Reason: "r"}
	e, err := GrantEndFrom(again(t, end.Statement(5)))
	check(e, err, end)
	renew := GrantRenew{Grant: 9, Access: at(7)}
	r, err := GrantRenewFrom(again(t, renew.Statement(5)))
	check(r, err, renew)
	shred := Shred{[]string{"a"}, 900_000, []string{}, ""}
	d, err := ShredFrom(again(t, shred.Statement(5)))
	check(d, err, shred)
	ended := HolderEnd{"h", false}
	for _, audience := range []bool{false, true} {
		public := func(s Statement) Statement {
			t.Helper()
			if Public(s.Kind) == audience {
				t.Errorf("a %s is public: %v", s.Kind, !audience)
			}
			return again(t, s)
		}
		confirm := ShredConfirm{3, "h", []byte{1}, [64]byte{2}, audience}
		c, err := ShredConfirmFrom(public(confirm.Statement(5)))
		check(c, err, confirm)
		holder := Holder{"h", HolderBackup, "", fill(1)}
		if audience {
			holder.Kind, holder.Recipient = HolderAudience, "age1b"
		}
		h, err := HolderFrom(public(holder.Statement(5)))
		check(h, err, holder)
		ended.Audience = audience
		he, err := HolderEndFrom(public(ended.Statement(5)))
		check(he, err, ended)
	}
	old := Statement{KindHolder, 5, map[string]any{"name": "h", "kind": HolderAudience, "key": make([]byte, 32)}}
	h, err := HolderFrom(again(t, old))
	check(h, err, Holder{"h", HolderAudience, "", [32]byte{}})
	escrow := Escrow{"2026-12", 0, 1, []string{"h"}, []byte{1}, fill(1)}
	es, err := EscrowFrom(again(t, escrow.Statement(5)))
	check(es, err, escrow)
	published := Published{0, 1, "bafy"}
	p, err := PublishedFrom(again(t, published.Statement(5)))
	check(p, err, published)
	dropped := Dropped{0, []string{"a"}, []string{"m", "n"}}
	dr, err := DroppedFrom(again(t, dropped.Statement(5)))
	check(dr, err, dropped)

	if _, err := GrantFrom(ended.Statement(5)); !errors.Is(err, ErrItem) {
		t.Errorf("a holder's end as a grant: got %v, want %v", err, ErrItem)
	}
}

// TestPostQuantumRecipient keeps the limit of a text above the length of an
// age recipient of ML-KEM-768 and X25519, 1959 characters.
func TestPostQuantumRecipient(t *testing.T) {
	g := sharedGrant
	g.Recipients = []string{"age1pq1" + strings.Repeat("q", 1952)}
	if err := g.Statement(5).Validate(); err != nil {
		t.Error(err)
	}
}

func TestSharingRefused(t *testing.T) {
	grant := func(change func(*Grant)) Statement {
		g := sharedGrant
		change(&g)
		return g.Statement(5)
	}
	with := func(s Statement, key string, v any) Statement {
		s.Body[key] = v
		return s
	}
	escrow := Escrow{"2026-07", 0, 1, []string{"h"}, []byte{1}, fill(1)}
	for name, s := range map[string]Statement{
		"no recipient":          grant(func(g *Grant) { g.Recipients = nil }),
		"recipient twice":       grant(func(g *Grant) { g.Recipients = []string{"a", "a"} }),
		"recipient of lines":    grant(func(g *Grant) { g.Recipients = []string{"a\nb"} }),
		"33 recipients":         grant(func(g *Grant) { g.Recipients = strings.Split(strings.Repeat("x,", 32)+"y", ",") }),
		"no compartment":        grant(func(g *Grant) { g.Compartments = nil }),
		"the site":              grant(func(g *Grant) { g.Compartments = []string{"ledger", "site"} }),
		"blank in compartment":  grant(func(g *Grant) { g.Compartments = []string{"a b"} }),
		"until the from":        grant(func(g *Grant) { g.Until = at(g.From) }),
		"access before":         grant(func(g *Grant) { g.Access = at(g.From - 1) }),
		"no audience":           grant(func(g *Grant) { g.Audience = "" }),
		"audience of lines":     grant(func(g *Grant) { g.Audience = "a\nb" }),
		"long purpose":          grant(func(g *Grant) { g.Purpose = strings.Repeat("x", MaxPurpose+1) }),
		"not a mirror":          with(sharedGrant.Statement(5), "mirror", false),
		"until as a text":       with(sharedGrant.Statement(5), "until", "x"),
		"renew with empty list": with(GrantRenew{}.Statement(5), "recipients", []any{}),
		"renew with more":       with(GrantRenew{}.Statement(5), "reason", "x"),
		"within an hour":        Shred{[]string{"a"}, 900_001, nil, ""}.Statement(5),
		"no such holder":        Holder{"h", "friend", "", fill(1)}.Statement(5),
		"empty recipient":       with(Holder{"h", HolderAudience, "", fill(1)}.Statement(5), "recipient", ""),
		"13th month":            with(escrow.Statement(5), "month", "2026-13"),
		"short month":           with(escrow.Statement(5), "month", "2026-7"),
		"needs none":            with(escrow.Statement(5), "need", 0),
		"needs two of one":      with(escrow.Statement(5), "need", 2),
		"nothing published":     Published{3, 3, "bafy"}.Statement(5),
		"CID of a path":         Published{3, 4, "a b"}.Statement(5),
	} {
		if err := s.Validate(); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: got %v, want %v", name, err, ErrInvalid)
		}
		if _, err := ParseStatement(s.Append(nil)); err == nil {
			t.Errorf("%s: was parsed", name)
		}
	}
}

func TestPublicKinds(t *testing.T) {
	for _, kind := range []string{KindBind, KindRotate, KindUnbind, KindReboot, KindGrant, KindGrantEnd, KindGrantRenew, "x"} {
		if Public(kind) {
			t.Errorf("%s is public", kind)
		}
	}
	for kind := range bodies {
		private := strings.HasPrefix(kind, "grant") || strings.HasPrefix(kind, "alert") || strings.Contains("bind rotate unbind reboot place calibrate attach replace retire", kind)
		if Public(kind) == private {
			t.Errorf("%s: got %v, want %v", kind, Public(kind), !private)
		}
	}
}

// said applies statements, numbered from 1.
func said(t *testing.T, all ...Statement) *Grants {
	t.Helper()
	g := new(Grants)
	for i, s := range all {
		if err := g.Apply(uint64(i+1), again(t, s)); err != nil {
			t.Fatal(err)
		}
	}
	return g
}

func TestGrantsFold(t *testing.T) {
	first := Grant{Audience: "a", Recipients: []string{"r"}, Compartments: []string{"ledger", "x"}, From: 1000, Token: fill(1)}
	second := first
	second.Audience, second.Until, second.Token = "b", at(9000), fill(2)
	g := said(t,
		first.Statement(10),  // 1
		fridge.Statement(),   // 2, of another kind
		second.Statement(20), // 3
		GrantRenew{Grant: 3, Until: at(5000), Recipients: []string{"s"}}.Statement(30), // 4
		GrantEnd{Grant: 1, Until: 4000, Access: at(8000), Reason: "left"}.Statement(40),
		GrantEnd{Grant: 3, Until: 7000}.Statement(50),
	)
	a, _ := g.Get(1)
	if a.Until == nil || *a.Until != 4000 || *a.Access != 8000 || a.Ended == nil || a.Ended.Reason != "left" || a.Ended.At != 40 {
		t.Errorf("got %+v", a)
	}
	b, _ := g.Token(fill(2))
	if b.Number != 3 || *b.Until != 5000 || b.Access != nil || b.Renewed != 1 || b.Recipients[0] != "s" {
		t.Errorf("got %+v: an end lengthens nothing", b)
	}
	if _, ok := g.Token(fill(3)); ok {
		t.Error("got a grant of an unknown token")
	}
	if !a.Opens("x") || a.Opens("y") || !a.InForce(3999) || a.InForce(4000) || a.InForce(999) || !a.Serves(7999) || a.Serves(8000) {
		t.Errorf("%+v does not say what it opens", a)
	}

	for _, c := range []struct {
		at    int64
		until []int64 // of each, 0: open-ended
	}{{9, nil}, {10, []int64{0}}, {20, []int64{0, 9000}}, {35, []int64{0, 5000}}, {99, []int64{4000, 5000}}} {
		then := g.AsOf(c.at)
		var got []int64
		for _, x := range then {
			if x.Until == nil {
				got = append(got, 0)
			} else {
				got = append(got, *x.Until)
			}
		}
		if !reflect.DeepEqual(got, c.until) {
			t.Errorf("as of %d: got ends %v, want %v", c.at, got, c.until)
		}
	}
	if got := g.AsOf(35); got[0].Ended != nil || got[1].Recipients[0] != "s" || g.All()[0].Ended == nil {
		t.Errorf("the past changed the present: %+v", got)
	}
}

func TestGrantsRefuse(t *testing.T) {
	first := Grant{Audience: "a", Recipients: []string{"r"}, Compartments: []string{"ledger"}, From: 1000, Token: fill(1)}
	end := GrantEnd{Grant: 1, Until: 4000}.Statement(20)
	for name, c := range map[string]struct {
		before []Statement
		number uint64
		s      Statement
	}{
		"end of none":     {nil, 1, end},
		"renewal of none": {nil, 1, GrantRenew{Grant: 7}.Statement(1)},
		"ended twice":     {[]Statement{first.Statement(1), end}, 3, end},
		"renewed after":   {[]Statement{first.Statement(1), end}, 3, GrantRenew{Grant: 1}.Statement(1)},
		"renewed to past": {[]Statement{first.Statement(1)}, 2, GrantRenew{Grant: 1, Until: at(1000)}.Statement(1)},
		"number again":    {[]Statement{first.Statement(1)}, 1, first.Statement(1)},
		"empty":           {nil, 1, Statement{Kind: KindGrant}},
	} {
		g := said(t, c.before...)
		was := g.All()
		if err := g.Apply(c.number, c.s); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: got %v, want %v", name, err, ErrInvalid)
		}
		if !reflect.DeepEqual(g.All(), was) || !reflect.DeepEqual(g.AsOf(1<<40), was) {
			t.Errorf("%s: changed what stood: %+v", name, g.All())
		}
	}
}

// An ended grant is ended again by what takes more away, and by nothing else.
func TestGrantEndedAgain(t *testing.T) {
	first := Grant{Audience: "a", Recipients: []string{"r"}, Compartments: []string{"ledger"}, From: 1000, Token: fill(1)}
	for name, c := range map[string]struct {
		end    GrantEnd
		until  int64
		access *int64 // nil: refused
	}{
		"access begins to end": {GrantEnd{Grant: 1, Until: 4000, Access: at(8000)}, 4000, at(8000)},
		"access ends sooner":   {GrantEnd{Grant: 1, Until: 5000, Access: at(8000)}, 4000, at(8000)},
		"fewer hours":          {GrantEnd{Grant: 1, Until: 3000}, 3000, at(9000)},
		"access ends later":    {GrantEnd{Grant: 1, Until: 3000, Access: at(9001)}, 4000, nil},
		"the same":             {GrantEnd{Grant: 1, Until: 4000, Access: at(9000)}, 4000, nil},
	} {
		before := GrantEnd{Grant: 1, Until: 4000, Access: at(9000), Reason: "over"}
		if name == "access begins to end" {
			before.Access = nil
		}
		g := said(t, first.Statement(1), before.Statement(20))
		err := g.Apply(3, c.end.Statement(30))
		got, _ := g.Get(1)
		if c.access == nil {
			if !errors.Is(err, ErrInvalid) || *got.Until != 4000 || *got.Access != 9000 {
				t.Errorf("%s: got %v and %+v, want it refused", name, err, got)
			}
			continue
		}
		if err != nil || *got.Until != c.until || *got.Access != *c.access || got.Ended.Reason != "over" {
			t.Errorf("%s: got %v and %+v, want until %d, access %d, and the reason kept", name, err, got, c.until, *c.access)
		}
	}
}
