package main

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"filippo.io/age"

	"cairn/merkle/ledger"
	"cairn/store/share"
)

// shown are all statements that an audience of l reads, by what is public and by a
// grant's bundle, as bytes.
func shown(t *testing.T, l *openLedger, grant uint64, id age.Identity) (all []byte) {
	t.Helper()
	size := l.store.Statements()
	for n := range size {
		item, _, _, err := l.store.StatementAt(n, size)
		if err != nil {
			t.Fatal(err)
		}
		s, err := ledger.ParseStatement(item)
		if err != nil {
			t.Fatal(err)
		}
		if ledger.Public(s.Kind) {
			all = append(all, item...)
		}
	}
	file, err := l.bundle(t.Context(), grant)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range openBundle(t, file, id).Statements {
		all = append(all, s.Item...)
	}
	return all
}

// TestShredNamesNoAudience: a shredding is listed with all who may have copies; what
// an audience of one stream reads names no other one, though it has signed.
func TestShredNamesNoAudience(t *testing.T) {
	l := grantLedger(t)
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	current := endHour(time.Now().UnixMilli())
	add := func(audience string, mirror bool, compartments ...string) uint64 {
		t.Helper()
		q := grantRequest{Audience: audience, Compartments: compartments, Mirror: mirror, From: (current - 100).Start()}
		a, err := l.addGrant(t.Context(), q.to(id))
		if err != nil {
			t.Fatal(err)
		}
		return a.Number
	}
	north := add("north", false, "stream/0/*")
	add("south", false, "stream/1/*")
	add("watcher", true, "stream/0/*")
	alice, southKey := certify(t, l, "alice"), certifyAs(t, l, "south", ledger.HolderAudience)

	a := shredAnswer{Compartments: []string{"stream/1/occupancy"}}
	before := current - 20
	public, err := l.copiesOf(&a, before)
	if err != nil || !slices.Equal(public, []string{"alice"}) || !slices.Equal(a.Holders, []string{"alice", "south", "watcher"}) {
		t.Fatalf("to name: got %v of %v, %v", public, a.Holders, err)
	}
	d := ledger.Shred{Compartments: a.Compartments, Before: before.Start(), Holders: public, Reason: "the lease ended"}
	number, err := l.store.AddStatement(t.Context(), d.Statement(0))
	if err != nil {
		t.Fatal(err)
	}
	add("later", false, "stream/1/*") // has no key of what was gone by then
	listed := func(when string, confirmed, open []string) {
		t.Helper()
		all, err := l.listShreds(t.Context(), shredListRequest{})
		if err != nil || len(all) != 1 || !slices.Equal(all[0].Confirmed, confirmed) || !slices.Equal(all[0].Open, open) {
			t.Errorf("%s: got %+v, %v, want confirmed %v, open %v", when, all, err, confirmed, open)
		}
	}
	listed("made", nil, []string{"alice", "south", "watcher"})

	for _, c := range []struct {
		name string
		by   *share.HolderKey
		kind string
		open []string
	}{
		{"south", southKey, ledger.KindGrantConfirm, []string{"alice", "watcher"}},
		{"alice", alice, ledger.KindShredConfirm, []string{"watcher"}},
	} {
		word := share.Destroyed{Ledger: [32]byte(l.store.Ledger()), Holder: c.name, Before: d.Before, At: time.Now().Truncate(time.Second).UnixMilli()}
		file, err := c.by.Confirm(&word)
		if err != nil {
			t.Fatal(err)
		}
		got, err := l.confirmDestroyed(t.Context(), confirmRequest{File: file})
		if err != nil || len(got.Shreds) != 1 || got.Shreds[0].Shred != number || !slices.Equal(got.Shreds[0].Open, c.open) {
			t.Errorf("%s confirms: got %+v, %v", c.name, got, err)
		}
		if s := lastStatement(t, l); s.Kind != c.kind {
			t.Errorf("%s confirms: it stands in a %s, want %s", c.name, s.Kind, c.kind)
		}
	}
	if _, err := l.endHolder(t.Context(), holderRequest{Name: "south"}); err != nil {
		t.Error(err)
	}
	if rows, err := l.listHolders(t.Context(), nothing{}); err != nil || len(rows) != 2 || !rows[1].Ended {
		t.Errorf("holders: %+v, %v", rows, err)
	}
	listed("confirmed", []string{"south", "alice"}, []string{"watcher"})
	l.escrow.next, l.escrow.known = 0, escrowKnown{}
	listed("read again", []string{"south", "alice"}, []string{"watcher"})

	reads := shown(t, l, north, id)
	if !bytes.Contains(reads, []byte("alice")) || !bytes.Contains(reads, []byte("the lease ended")) {
		t.Error("what is public was not looked at")
	}
	for _, other := range []string{"south", "watcher", "later"} {
		if bytes.Contains(reads, []byte(other)) {
			t.Errorf("north reads of %s", other)
		}
	}
}

// TestOldShredNames: a shredding of before that named its audiences is listed as it
// stands, and who was named there confirms without being named again.
func TestOldShredNames(t *testing.T) {
	l := escrowLedger(t)
	key, err := share.NewHolderKey()
	if err != nil {
		t.Fatal(err)
	}
	old := ledger.Statement{Kind: ledger.KindHolder, Body: map[string]any{"name": "south", "kind": ledger.HolderAudience, "key": bytesOf(key.Public("south").Key)}}
	hour := int64(1_798_761_600_000)
	d := ledger.Shred{Compartments: []string{"stream/1/data"}, Before: hour, Holders: []string{"south", "east"}}
	for _, s := range []ledger.Statement{old, d.Statement(0)} {
		if _, err := l.store.AddStatement(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	word := share.Destroyed{Ledger: [32]byte(l.store.Ledger()), Holder: "south", Before: hour, At: time.Now().Truncate(time.Second).UnixMilli()}
	file, err := key.Confirm(&word)
	if err != nil {
		t.Fatal(err)
	}
	a, err := l.confirmDestroyed(t.Context(), confirmRequest{File: file})
	if err != nil || len(a.Shreds) != 1 || !slices.Equal(a.Shreds[0].Open, []string{"east"}) {
		t.Errorf("got %+v, %v", a, err)
	}
	if s := lastStatement(t, l); s.Kind != ledger.KindGrantConfirm {
		t.Errorf("it stands in a %s", s.Kind)
	}
}

func bytesOf(b [32]byte) []byte { return b[:] }

func lastStatement(t *testing.T, l *openLedger) ledger.Statement {
	t.Helper()
	size := l.store.Statements()
	item, _, _, err := l.store.StatementAt(size-1, size)
	if err != nil {
		t.Fatal(err)
	}
	s, err := ledger.ParseStatement(item)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestBundleTellsShredding: whose grant is over reads in its bundle what was shredded
// of it since, and nobody else's has that.
func TestBundleTellsShredding(t *testing.T) {
	l := grantLedger(t)
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	current := endHour(time.Now().UnixMilli())
	until := (current - 40).Start()
	var grants []uint64
	for _, stream := range []string{"stream/0/*", "stream/1/*"} {
		q := grantRequest{Audience: stream, Compartments: []string{stream}, From: (current - 100).Start(), Until: &until}
		a, err := l.addGrant(t.Context(), q.to(id))
		if err != nil {
			t.Fatal(err)
		}
		grants = append(grants, a.Number)
	}
	has := func(grant, statement uint64) bool {
		t.Helper()
		file, err := l.bundle(t.Context(), grant)
		if err != nil {
			t.Fatal(err)
		}
		return slices.ContainsFunc(openBundle(t, file, id).Statements, func(s share.BundleStatement) bool { return s.Number == statement })
	}
	shred := ledger.Shred{Compartments: []string{"stream/1/occupancy"}, Before: (current - 60).Start(), Reason: "the lease ended"}
	dropped := ledger.Dropped{Before: (current - 50).Start(), Compartments: []string{"stream/1/data", "stream/1/occupancy"}, Mirrors: []string{"mirror-a"}}
	for what, s := range map[string]ledger.Statement{"shredded": shred.Statement(0), "dropped": dropped.Statement(0)} {
		number, err := l.store.AddStatement(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		if has(grants[0], number) || !has(grants[1], number) {
			t.Errorf("%s: in the bundle of another stream %v, want false; of its own %v, want true", what, has(grants[0], number), has(grants[1], number))
		}
	}
}
