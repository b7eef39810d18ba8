package share

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/cloudflare/circl/group"
)

// escrowOf makes the keys of a month of a keyring of its own.
func escrowOf(t testing.TB, month string) (*Keyring, *EscrowKeys) {
	t.Helper()
	k := MemorySeed([32]byte{1})
	err := k.Change(func(e *Edit) error {
		e.AddCompartment("stream/0/envelope")
		e.AddCompartment("stream/0/data")
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return k, keysOf(t, k, month)
}

func keysOf(t testing.TB, k *Keyring, month string) *EscrowKeys {
	t.Helper()
	m, err := ParseMonth(month)
	if err != nil {
		t.Fatal(err)
	}
	keys := &EscrowKeys{Ledger: [32]byte{9}, LogKey: [32]byte{8}, Nonce: k.Nonce(), Month: m,
		Statements: []BundleStatement{{Number: 0, Item: []byte("genesis"), Salt: [16]byte{1}}, {Number: 4, Item: []byte("bind")}}}
	for _, c := range k.Compartments() {
		nodes, err := c.Tree.Left(m.From(), m.Until())
		if err != nil {
			t.Fatal(err)
		}
		if len(nodes) > 0 {
			keys.Compartments = append(keys.Compartments, Granted{ID: c.ID, Name: c.Name, Nodes: nodes})
		}
	}
	return keys
}

func holdersOf(t testing.TB, n int) (keys []*HolderKey, holders []Holder) {
	t.Helper()
	for i := range n {
		k, err := NewHolderKey()
		if err != nil {
			t.Fatal(err)
		}
		keys, holders = append(keys, k), append(holders, k.Public(fmt.Sprintf("holder-%d", i+1)))
	}
	return keys, holders
}

func dealt(t testing.TB, k *EscrowKeys, need int, holders []Holder) *Escrow {
	t.Helper()
	e, err := Deal(k, need, holders)
	if err != nil {
		t.Fatal(err)
	}
	again, err := ParseEscrow(e.Append(nil))
	if err != nil {
		t.Fatal(err)
	}
	if again.Digest() != e.Digest() || !bytes.Equal(again.Append(nil), e.Append(nil)) {
		t.Fatal("the file does not read back as it was written")
	}
	return again
}

func released(t testing.TB, k *HolderKey, to *age.X25519Identity, files ...*Escrow) *Release {
	t.Helper()
	b, err := k.Release(to.Recipient().String(), 1000, files...)
	if err != nil {
		t.Fatal(err)
	}
	r, err := ParseRelease(b)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func identity(t testing.TB) *age.X25519Identity {
	t.Helper()
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// TestEscrowAnyK recovers from every set of holders, large and small enough.
func TestEscrowAnyK(t *testing.T) {
	k, keys := escrowOf(t, "2026-07")
	for _, c := range []struct{ need, n int }{{1, 1}, {1, 2}, {2, 2}, {2, 3}, {3, 4}} {
		holderKeys, holders := holdersOf(t, c.n)
		e := dealt(t, keys, c.need, holders)
		me := identity(t)
		for set := range 1 << c.n {
			var all []*Release
			for i := range c.n {
				if set>>i&1 == 1 {
					all = append(all, released(t, holderKeys[i], me, e))
				}
			}
			got := Recover([]*Escrow{e}, all, me)[0]
			if len(all) < c.need {
				if !errors.Is(got.Err, ErrTooFew) || got.Keys != nil {
					t.Errorf("%d of %d: set %b: got %v, want %v", c.need, c.n, set, got.Err, ErrTooFew)
				}
				continue
			}
			if got.Err != nil {
				t.Errorf("%d of %d: set %b: %v", c.need, c.n, set, got.Err)
				continue
			}
			sameKeys(t, k, got.Keys)
		}
	}
}

// sameKeys holds what was recovered against the keyring: the month's hours, each,
// and no other.
func sameKeys(t *testing.T, k *Keyring, got *EscrowKeys) {
	t.Helper()
	for _, c := range got.Compartments {
		tree, err := FromNodes(c.Nodes)
		if err != nil {
			t.Fatal(err)
		}
		own, _ := k.Compartment(c.ID)
		if own.Name != c.Name {
			t.Errorf("compartment %d is named %q, want %q", c.ID, c.Name, own.Name)
		}
		m := got.Month
		for _, h := range []Hour{m.From(), m.From() + 1, (m.From() + m.Until()) / 2, m.Until() - 1} {
			want, _ := own.Tree.Hour(h)
			if hk, err := tree.Hour(h); err != nil || hk != want {
				t.Errorf("compartment %s, hour %d: %v, or another key", c.Name, h, err)
			}
		}
		for _, h := range []Hour{0, m.From() - 1, m.Until(), Hours - 1} {
			if _, err := tree.Hour(h); !errors.Is(err, ErrShredded) {
				t.Errorf("compartment %s opens hour %d, which is not of %s: %v", c.Name, h, m, err)
			}
		}
	}
}

func TestEscrowOfMonths(t *testing.T) {
	for _, c := range []struct {
		ms   int64
		want string
	}{
		{0, "1970-01"}, {time.Date(2026, 7, 31, 23, 59, 59, 0, time.UTC).UnixMilli(), "2026-07"},
		{time.Date(2026, 8, 1, 0, 0, 0, 0, time.UTC).UnixMilli(), "2026-08"}, {Hours.Start() - 1, "2089-08"},
	} {
		m, err := MonthOf(c.ms)
		if err != nil || m.String() != c.want {
			t.Errorf("month of %d: got %v, %v, want %s", c.ms, m, err, c.want)
		}
		h, _ := HourOf(c.ms)
		if h < m.From() || h >= m.Until() {
			t.Errorf("month %s spans hours %d to %d, without %d", m, m.From(), m.Until(), h)
		}
		if again, err := ParseMonth(m.String()); again != m || err != nil {
			t.Errorf("read %s: got %v, %v", m, again, err)
		}
	}
	for _, bad := range []string{"", "2026", "2026-7", "2026-13", "1969-12", "2089-09", "2026-07-01", "02026-07"} {
		if m, err := ParseMonth(bad); err == nil {
			t.Errorf("%q is taken as %v", bad, m)
		}
	}
	if _, err := MonthOf(Hours.Start()); !errors.Is(err, ErrHour) {
		t.Errorf("month after the last hour: %v", err)
	}
	m, _ := ParseMonth("2089-08")
	if m.Until() != Hours {
		t.Errorf("the last month ends with hour %d, want %d", m.Until(), Hours)
	}
}

// TestEscrowLies recovers although one holder lies, and names that one.
func TestEscrowLies(t *testing.T) {
	k, keys := escrowOf(t, "2026-07")
	holderKeys, holders := holdersOf(t, 4)
	e := dealt(t, keys, 2, holders)
	me := identity(t)

	lie := func(by int) *Release {
		wrapped, err := e.wrapShare(by, group.Ristretto255.NewScalar().SetUint64(77), me.Recipient())
		if err != nil {
			t.Fatal(err)
		}
		return signedBy(t, holderKeys[by], me.Recipient().String(), releasedItem{Dealing: e.dealing(), Index: uint32(by + 1), Share: wrapped})
	}
	other := identity(t)
	stolen := func(as, by int) *Release { // one holder says to be another
		_, s, err := holderKeys[by].share(e)
		if err != nil {
			t.Fatal(err)
		}
		wrapped, err := e.wrapShare(as, s.Value, me.Recipient())
		if err != nil {
			t.Fatal(err)
		}
		return signedBy(t, holderKeys[by], me.Recipient().String(), releasedItem{Dealing: e.dealing(), Index: uint32(as + 1), Share: wrapped})
	}
	for _, c := range []struct {
		name   string
		given  []*Release
		states []ShareState
		err    error
	}{
		{"one lies, one is lost", []*Release{lie(0), released(t, holderKeys[1], me, e), released(t, holderKeys[3], me, e)},
			[]ShareState{ShareLies, ShareGood, ShareMissing, ShareGood}, nil},
		{"one lies, too few are left", []*Release{lie(0), released(t, holderKeys[1], me, e)},
			[]ShareState{ShareLies, ShareGood, ShareMissing, ShareMissing}, ErrTooFew},
		{"one lies and then not", []*Release{lie(0), released(t, holderKeys[0], me, e), released(t, holderKeys[1], me, e)},
			[]ShareState{ShareGood, ShareGood, ShareMissing, ShareMissing}, nil},
		{"one twice", []*Release{released(t, holderKeys[0], me, e), released(t, holderKeys[0], me, e)},
			[]ShareState{ShareGood, ShareMissing, ShareMissing, ShareMissing}, ErrTooFew},
		{"one as another", []*Release{stolen(1, 0), released(t, holderKeys[0], me, e)},
			[]ShareState{ShareGood, ShareForged, ShareMissing, ShareMissing}, ErrTooFew},
		{"to somebody else", []*Release{released(t, holderKeys[0], other, e), released(t, holderKeys[1], me, e)},
			[]ShareState{ShareUnreadable, ShareGood, ShareMissing, ShareMissing}, ErrTooFew},
	} {
		got := Recover([]*Escrow{e}, c.given, me)[0]
		if !slices.Equal(got.States, c.states) || !errors.Is(got.Err, c.err) || c.err == nil && got.Err != nil {
			t.Errorf("%s: got %v, %v, want %v, %v", c.name, got.States, got.Err, c.states, c.err)
		}
		if c.err == nil {
			sameKeys(t, k, got.Keys)
		}
	}
	// A holder recovers with a share of their own and one that was released.
	got := Recover([]*Escrow{e}, []*Release{released(t, holderKeys[2], holderKeys[0].identity, e)}, holderKeys[0].Identity())[0]
	if want := []ShareState{ShareGood, ShareMissing, ShareGood, ShareMissing}; got.Err != nil || !slices.Equal(got.States, want) {
		t.Errorf("by a holder: got %v, %v, want %v", got.States, got.Err, want)
	}
}

func signedBy(t *testing.T, k *HolderKey, to string, shares ...releasedItem) *Release {
	t.Helper()
	r := releaseItem{Type: releaseType, To: to, Key: k.Public("").Key, Shares: shares}
	copy(r.Signature[:], k.signBytes(r.signed()))
	b, err := bodyEncoding.Marshal(&r)
	if err != nil {
		t.Fatal(err)
	}
	rel, err := ParseRelease(b)
	if err != nil {
		t.Fatal(err)
	}
	return rel
}

// TestEscrowDealerLies has a holder find that the gateway dealt nothing of worth.
func TestEscrowDealerLies(t *testing.T) {
	_, keys := escrowOf(t, "2026-07")
	holderKeys, holders := holdersOf(t, 3)
	e := dealt(t, keys, 2, holders)
	for i := range holderKeys {
		if at, err := holderKeys[i].Check(e); at != i || err != nil {
			t.Errorf("holder %d: got %d, %v", i, at, err)
		}
	}
	stranger, _ := NewHolderKey()
	if _, err := stranger.Check(e); !errors.Is(err, ErrNotHolder) {
		t.Errorf("a stranger: %v, want %v", err, ErrNotHolder)
	}
	wrapped, err := e.wrapShare(1, group.Ristretto255.NewScalar().SetUint64(5), holderKeys[1].identity.Recipient())
	if err != nil {
		t.Fatal(err)
	}
	e.shares[1] = wrapped
	if _, err := holderKeys[1].Check(e); !errors.Is(err, ErrDealt) {
		t.Errorf("a worthless share: %v, want %v", err, ErrDealt)
	}
	if _, err := holderKeys[1].Release(identity(t).Recipient().String(), 0, e); !errors.Is(err, ErrDealt) {
		t.Errorf("a worthless share is released: %v", err)
	}
	e.shares[1] = e.shares[0]
	if _, err := holderKeys[1].Check(e); !errors.Is(err, ErrDealt) {
		t.Errorf("another's share: %v, want %v", err, ErrDealt)
	}
}

func TestEscrowForOneHolder(t *testing.T) {
	_, keys := escrowOf(t, "2026-07")
	holderKeys, holders := holdersOf(t, 3)
	e := dealt(t, keys, 2, holders)
	mine, err := e.For("holder-2")
	if err != nil {
		t.Fatal(err)
	}
	if mine, err = ParseEscrow(mine.Append(nil)); err != nil {
		t.Fatal(err)
	}
	if mine.Digest() != e.Digest() {
		t.Error("a holder's copy has another digest")
	}
	if _, err := holderKeys[1].Check(mine); err != nil {
		t.Error(err)
	}
	if _, err := holderKeys[0].Check(mine); !errors.Is(err, ErrNotHolder) {
		t.Errorf("another's share in it: %v, want %v", err, ErrNotHolder)
	}
	if _, err := mine.For("holder-1"); !errors.Is(err, ErrNotHolder) {
		t.Errorf("copy for one whose share is left out: %v", err)
	}
	if _, err := e.For("nobody"); !errors.Is(err, ErrNotHolder) {
		t.Errorf("copy for nobody: %v", err)
	}
	hers, err := e.For("holder-1")
	if err != nil {
		t.Fatal(err)
	}
	both, err := mine.Join(hers)
	if err != nil || !both.Has(0) || !both.Has(1) || both.Has(2) || mine.Has(0) || both.Digest() != e.Digest() {
		t.Errorf("joined: %v, or other shares than those of both", err)
	}
	if _, err := mine.Join(dealt(t, keys, 2, holders)); !errors.Is(err, ErrEscrow) {
		t.Errorf("copies of two dealings are joined: %v", err)
	}
	// Who recovers needs no share in the file itself.
	me := identity(t)
	got := Recover([]*Escrow{mine}, []*Release{released(t, holderKeys[0], me, e), released(t, holderKeys[2], me, e)}, me)[0]
	if got.Err != nil {
		t.Error(got.Err)
	}
}

func TestEscrowAltered(t *testing.T) {
	_, keys := escrowOf(t, "2026-07")
	_, holders := holdersOf(t, 2)
	good := dealt(t, keys, 2, holders).Append(nil)
	for i := range good {
		if i > 400 && i < len(good)-400 && i%7 != 0 {
			continue
		}
		b := bytes.Clone(good)
		b[i] ^= 1
		if _, err := ParseEscrow(b); !errors.Is(err, ErrEscrow) {
			t.Fatalf("byte %d altered: got %v, want %v", i, err, ErrEscrow)
		}
		if _, err := ParseEscrow(good[:i]); !errors.Is(err, ErrEscrow) {
			t.Fatalf("cut at %d: got %v, want %v", i, err, ErrEscrow)
		}
	}
	if _, err := ParseEscrow(append(bytes.Clone(good), 0)); !errors.Is(err, ErrEscrow) {
		t.Errorf("a byte more: %v", err)
	}
}

func TestEscrowRefused(t *testing.T) {
	k, keys := escrowOf(t, "2026-07")
	_, holders := holdersOf(t, 3)
	with := func(f func(k *EscrowKeys)) *EscrowKeys {
		c := *keys
		c.Compartments = slices.Clone(keys.Compartments)
		f(&c)
		return &c
	}
	named := func(f func(h []Holder)) []Holder { h := slices.Clone(holders); f(h); return h }
	site, _ := k.Compartment(Site)
	root, _ := site.Tree.Cover(0, Hours)
	for name, c := range map[string]struct {
		keys    *EscrowKeys
		need    int
		holders []Holder
		err     error
	}{
		"more than there are": {keys, 4, holders, ErrTooFew},
		"none":                {keys, 0, holders, ErrTooFew},
		"no holders":          {keys, 1, nil, ErrTooFew},
		"too many holders":    {keys, 2, slices.Repeat(holders, 11), ErrLimit},
		"one twice":           {keys, 2, named(func(h []Holder) { h[1] = h[0] }), ErrEscrow},
		"no name":             {keys, 2, named(func(h []Holder) { h[1].Name = "" }), ErrEscrow},
		"a name of two words": {keys, 2, named(func(h []Holder) { h[1].Name = "a b" }), ErrEscrow},
		"no recipient":        {keys, 2, named(func(h []Holder) { h[1].Recipient = "age1x" }), ErrEscrow},
		"no key":              {keys, 2, named(func(h []Holder) { h[1].Key = [32]byte{} }), ErrEscrow},
		"the root":            {with(func(k *EscrowKeys) { k.Compartments[1].Nodes = root }), 2, holders, ErrHour},
		"another month":       {with(func(k *EscrowKeys) { k.Month++ }), 2, holders, ErrHour},
		"no compartments":     {with(func(k *EscrowKeys) { k.Compartments = nil }), 2, holders, ErrLimit},
		"out of order":        {with(func(k *EscrowKeys) { slices.Reverse(k.Compartments) }), 2, holders, ErrLimit},
		"no nodes":            {with(func(k *EscrowKeys) { k.Compartments[0].Nodes = nil }), 2, holders, ErrEscrow},
	} {
		if e, err := Deal(c.keys, c.need, c.holders); !errors.Is(err, c.err) || e != nil {
			t.Errorf("%s: got %v, want %v", name, err, c.err)
		}
	}
}

// TestEscrowAfterShredding deals what is left of a month, and joins it with what
// was dealt before.
func TestEscrowAfterShredding(t *testing.T) {
	k, keys := escrowOf(t, "2026-07")
	m := keys.Month
	middle := m.From() + 1001
	if err := k.Change(func(e *Edit) error { e.Puncture(4, middle); return nil }); err != nil {
		t.Fatal(err)
	}
	left := keysOf(t, k, "2026-07")
	left.Part = 1
	holderKeys, holders := holdersOf(t, 2)
	first, second := dealt(t, keys, 1, holders), dealt(t, left, 1, holders)
	if want := (Held{ID: 4, From: middle, Until: m.Until()}); second.Compartments[3] != want {
		t.Errorf("got %v, want %v", second.Compartments[3], want)
	}
	me := identity(t)
	recovered := func(files ...*Escrow) *Bundle {
		var all []*EscrowKeys
		for _, r := range Recover(files, []*Release{released(t, holderKeys[0], me, files...)}, me) {
			if r.Err != nil {
				t.Fatal(r.Err)
			}
			all = append(all, r.Keys)
		}
		b, err := RecoveredBundle(all, 5)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	b := recovered(second)
	tree, _ := FromNodes(b.Compartments[3].Nodes)
	if _, err := tree.Hour(middle - 1); !errors.Is(err, ErrShredded) {
		t.Errorf("a shredded hour: %v", err)
	}
	// The old file still has it: nobody can take it back.
	b = recovered(second, first)
	if tree, err := FromNodes(b.Compartments[3].Nodes); err != nil {
		t.Error(err)
	} else if _, err := tree.Hour(middle - 1); err != nil {
		t.Error(err)
	}
	august := dealt(t, keysOf(t, k, "2026-08"), 1, holders)
	b = recovered(august, second)
	var sealed bytes.Buffer
	if err := SealBundle(&sealed, b, []age.Recipient{me.Recipient()}); err != nil {
		t.Error(err)
	}
	if again, err := OpenBundle(&sealed, me); err != nil {
		t.Error(err)
	} else if want, _ := keysHour(k, Site, middle); want != mustKey(t, again, Site, middle) {
		t.Error("the bundle gives another key")
	}
	if len(b.Statements) != 2 || b.From != m.From().Start() || *b.Until != (m+1).Until().Start() || b.Grant != Recovered {
		t.Errorf("got %d statements, from %d until %d", len(b.Statements), b.From, *b.Until)
	}
	// Two keyrings cannot be one ledger's.
	other := keysOf(t, MemorySeed([32]byte{2}), "2026-07")
	other.Nonce = keys.Nonce
	if _, err := RecoveredBundle([]*EscrowKeys{keys, other}, 5); !errors.Is(err, ErrEscrow) {
		t.Errorf("keys that contradict each other: %v, want %v", err, ErrEscrow)
	}
}

func TestHolderKeyAndCard(t *testing.T) {
	path := filepath.Join(t.TempDir(), "holder.key")
	k, err := NewHolderKey()
	if err != nil {
		t.Fatal(err)
	}
	if err := k.Write(path); err != nil {
		t.Fatal(err)
	}
	if err := k.Write(path); !errors.Is(err, ErrExists) {
		t.Errorf("written twice: %v, want %v", err, ErrExists)
	}
	again, err := ReadHolderKey(path)
	if err != nil || again.Public("a") != k.Public("a") {
		t.Errorf("read back: %v, or another key", err)
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadHolderKey(path); !errors.Is(err, ErrMode) {
		t.Errorf("open to the group: %v, want %v", err, ErrMode)
	}
	if s := fmt.Sprintf("%v %+v %s", *k, k, keysSecret()); strings.Contains(s, "AGE-SECRET") || strings.Contains(s, hex.EncodeToString(k.sign[:8])) {
		t.Errorf("a secret is printed: %s", s)
	}

	card, err := k.Card("alice")
	if err != nil {
		t.Fatal(err)
	}
	if h, err := ParseCard(card); err != nil || h != k.Public("alice") {
		t.Errorf("got %v, %v", h, err)
	}
	for i := range card {
		b := bytes.Clone(card)
		b[i] ^= 1
		if _, err := ParseCard(b); !errors.Is(err, ErrEscrow) {
			t.Fatalf("byte %d altered: %v", i, err)
		}
	}
	if _, err := k.Card("two words"); err == nil {
		t.Error("a card for a name of two words")
	}
}

func keysSecret() string { return fmt.Sprint(EscrowKeys{LogKey: [32]byte{1}}) }

func TestDestroyed(t *testing.T) {
	k, keys := escrowOf(t, "2026-07")
	_ = k
	holderKeys, holders := holdersOf(t, 2)
	e := dealt(t, keys, 1, holders)
	d := Destroyed{Ledger: e.Ledger, Holder: "holder-1", Before: 1785000000000, Files: 1, Digest: FilesDigest([]*Escrow{e}), At: 1785000060000}
	b, err := holderKeys[0].Confirm(&d)
	if err != nil {
		t.Fatal(err)
	}
	got, text, sig, err := ParseDestroyed(b)
	if err != nil || got != d {
		t.Fatalf("got %+v, %v, want %+v", got, err, d)
	}
	if !VerifyText(text, sig, holders[0].Key) || VerifyText(text, sig, holders[1].Key) {
		t.Error("the signature is not the holder's alone")
	}
	for i := range b {
		c := bytes.Clone(b)
		c[i] ^= 1
		if _, text, sig, err := ParseDestroyed(c); err == nil && VerifyText(text, sig, holders[0].Key) {
			t.Fatalf("byte %d altered, and it passes", i)
		}
	}
	path := filepath.Join(t.TempDir(), "x.escrow")
	if err := os.WriteFile(path, e.Append(nil), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := DestroyFile(path); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it is still there: %v", err)
	}
	if err := DestroyFile(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("destroyed twice: %v", err)
	}
}

func FuzzParseEscrow(f *testing.F) {
	_, keys := escrowOf(f, "2026-07")
	_, holders := holdersOf(f, 3)
	e, err := Deal(keys, 2, holders)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(e.Append(nil))
	mine, _ := e.For("holder-1")
	f.Add(mine.Append(nil))
	f.Add([]byte(escrowMagic))
	f.Fuzz(func(t *testing.T, b []byte) {
		if e, err := ParseEscrow(b); err == nil && !bytes.Equal(e.Append(nil), b) {
			t.Errorf("accepted, and written otherwise")
		} else if err != nil && !errors.Is(err, ErrEscrow) {
			t.Errorf("an error without name: %v", err)
		}
		// Without the sums that guard it, the public part alone.
		if err := new(Escrow).parsePublic(b); err != nil && !errors.Is(err, ErrEscrow) {
			t.Errorf("an error without name: %v", err)
		}
	})
}

func FuzzParseHolderTexts(f *testing.F) {
	k, err := NewHolderKey()
	if err != nil {
		f.Fatal(err)
	}
	card, _ := k.Card("alice")
	f.Add(card)
	word, _ := k.Confirm(&Destroyed{Holder: "alice"})
	f.Add(word)
	_, keys := escrowOf(f, "2026-07")
	e, err := Deal(keys, 1, []Holder{k.Public("alice")})
	if err != nil {
		f.Fatal(err)
	}
	rel, err := k.Release(k.Public("").Recipient, 5, e)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(rel)
	f.Fuzz(func(t *testing.T, b []byte) {
		if h, err := ParseCard(b); err == nil && string(cardText(&h)) != string(b[:len(b)-signatureLine]) {
			t.Error("a card is accepted in another form")
		}
		if d, text, _, err := ParseDestroyed(b); err == nil && !bytes.Equal(d.text(), text) {
			t.Error("a confirmation is accepted in another form")
		}
		if _, err := ParseRelease(b); err != nil && !errors.Is(err, ErrEscrow) {
			t.Errorf("an error without name: %v", err)
		}
	})
}

func keysHour(k *Keyring, id uint32, h Hour) (HourKey, error) {
	c, _ := k.Compartment(id)
	return c.Tree.Hour(h)
}

func mustKey(t *testing.T, b *Bundle, id uint32, h Hour) HourKey {
	t.Helper()
	k, err := b.Key(id, h)
	if err != nil {
		t.Error(err)
	}
	return k
}
