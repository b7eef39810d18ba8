package anchor

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"testing/synctest"
	"time"
)

func readTestdata(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestReadsVersion1 reads records that version 1 wrote: all attempts are then of
// the anchor's head, and the anchor is charged to the month in which it was begun.
func TestReadsVersion1(t *testing.T) {
	final, err := ParseFinal(readTestdata(t, "final.v1"))
	if err != nil {
		t.Fatal(err)
	}
	root := sha256.Sum256([]byte("root 41"))
	at := Attempt{
		ID: []byte{1, 1, 2}, Raw: []byte{1, 9, 9, 9}, Detail: "nonce 5, gas 30000, tip 1 gwei, cap 3 gwei",
		SignedAt: 1_790_000_000_001, Sent: true, Size: 41, Root: root, Note: []byte("note 41"),
	}
	want := Anchor{
		Number: 3, Size: 41, Root: root, Note: []byte("note 41"), State: Final, Attempts: []Attempt{at},
		Included: &Block{Height: 77, Hash: sha256.Sum256([]byte("block 77")), Time: 1_790_000_012_000},
		Receipt:  []byte("receipt"), FinalRule: "finalized", FinalAt: 1_790_000_700_000, Month: 2026*12 + 8,
	}
	if !reflect.DeepEqual(final, want) {
		t.Errorf("got  %+v\nwant %+v", final, want)
	}
	current, err := parseRecord(readTestdata(t, "current.v1"))
	if err != nil {
		t.Fatal(err)
	}
	a := current.Anchor
	if a.Number != 4 || a.State != Broadcast || len(a.Attempts) != 2 || !a.Attempts[0].Dead || a.Attempts[1].Size != 50 ||
		a.Attempts[0].Root != a.Root || string(a.Attempts[1].Note) != "note 50" || len(current.Recent) != 2 {
		t.Errorf("current = %+v", current)
	}
}

// TestGoesOnFromVersion1 has an anchor of version 1 on its way, and brings it home.
func TestGoesOnFromVersion1(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.log.frozen = 5
		w.cfg.Budget, w.cfg.Monthly = 100, 1000
		tx := fakeTx{fee: 10, root: rootOf(5)}
		old := record{Version: 1, Anchor: Anchor{
			Number: 7, Size: 5, Root: rootOf(5), Note: []byte("note 5"), State: Signed,
			Attempts: []Attempt{{ID: []byte(tx.id()), Raw: tx.raw(), SignedAt: time.Now().UnixMilli()}},
		}}
		b, err := encMode.Marshal(old)
		if err != nil {
			t.Fatal(err)
		}
		w.journal.m[currentKey] = b
		w.chain.floor = 20 // so that it is replaced as well
		r, err := w.run(2 * time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		w.check()
		if a, ok, err := r.Lookup(1); err != nil || !ok || a.Number != 7 || a.Size != 5 || len(a.Attempts) < 2 {
			t.Errorf("final = %s, %v, %v", describe(&a), ok, err)
		}
	})
}

// TestRecordIsFrozen writes a record of version 2 with all there is, as it was
// first written.
func TestRecordIsFrozen(t *testing.T) {
	rec := record{
		Anchor: Anchor{
			Number: 1, Size: 2, Root: rootOf(2), Note: []byte("note"), State: Final,
			Attempts: []Attempt{{
				ID: []byte{1}, Raw: []byte{2}, Detail: "d", SignedAt: 3, Sent: true, Dead: true,
				Size: 2, Root: rootOf(2), Note: []byte("note"), Fee: 4, Cost: 5, Place: "nonce 6",
			}},
			Included: &Block{Height: 7, Hash: [32]byte{8}, Time: 9}, Receipt: []byte("receipt"), FinalRule: "depth 6", FinalAt: 10,
			Alarm: "moved", AlarmAt: 11, After: 1, Month: 24000,
		},
		Recent: []uint64{1, 2},
		Book:   book{Paid: []paid{{12, 24000, 13}}, Months: []monthly{{23999, 14}}, Folded: 11},
	}
	b, err := rec.encode()
	if err != nil {
		t.Fatal(err)
	}
	if want := readTestdata(t, "record.v2"); !bytes.Equal(b, want) {
		t.Errorf("got  %x\nwant %x", b, want)
	}
	got, err := parseRecord(b)
	rec.Version = recordVersion
	if err != nil || !reflect.DeepEqual(got, rec) {
		t.Errorf("got  %+v, %v\nwant %+v", got, err, rec)
	}
}

func TestBadRecords(t *testing.T) {
	good := flying(Included, 2).a
	tests := []struct {
		name   string
		change func(a *Anchor)
	}{
		{"no attempts", func(a *Anchor) { a.Attempts = nil }},
		{"included in nothing", func(a *Anchor) { a.Included = nil }},
		{"included by none", func(a *Anchor) { a.IncludedBy = 2 }},
		{"included by less than none", func(a *Anchor) { a.IncludedBy = -1 }},
		{"the mined attempt is of another size", func(a *Anchor) { a.Attempts[0].Size = 4 }},
		{"the mined attempt is of another root", func(a *Anchor) { a.Attempts[0].Root = rootOf(4) }},
		{"queued", func(a *Anchor) { a.State = Queued }},
		{"unknown state", func(a *Anchor) { a.State = "lost" }},
	}
	for _, tt := range tests {
		a := good.clone()
		tt.change(&a)
		b, err := record{Anchor: a}.encode()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := parseRecord(b); !errors.Is(err, ErrRecord) {
			t.Errorf("%s: %v, want ErrRecord", tt.name, err)
		}
	}
	b, _ := encMode.Marshal(record{Version: 3, Anchor: good})
	if _, err := parseRecord(b); !errors.Is(err, ErrRecord) {
		t.Errorf("version 3: %v, want ErrRecord", err)
	}
}
