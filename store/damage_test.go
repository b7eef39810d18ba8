package store

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"cairn/ingest/frame"
	"cairn/merkle/ledger"
	"cairn/store/share"
)

// damagedSite has rows of every kind: sealed and unsealed quarter hours, a
// sealed one that no header lists yet, long runs, statements, a journal, kept
// intake heads, an ended and a silent stream, three log keys.
func damagedSite(t *testing.T) *site {
	x := &site{t: t, fs: newMem(), keys: newKeys(), clock: newClock(), rng: newRand(3)}
	x.opt.Routes = []string{"ethereum:1337"}
	x.open()
	for range 10 {
		x.addDevice()
	}
	var long []Arrival
	for range 150 {
		long = append(long, x.nodes[0].arrival(t, 60))
	}
	x.submit(long...)
	for range 4 {
		x.send(x.nodes[:4]...)
		x.pass(5 * time.Minute)
	}
	if err := x.s.RemoveDevice(context.Background(), 3); err != nil {
		t.Fatal(err)
	}
	if err := x.s.Journal("ethereum:1337").Put("anchor/1", []byte("state")); err != nil {
		t.Fatal(err)
	}
	x.restart()
	long = long[:0]
	for range 100 {
		long = append(long, x.nodes[1].arrival(t, 60))
	}
	x.submit(long...)
	x.send(x.nodes[0], x.nodes[1])
	x.rotate()
	for range 3 {
		x.pass(4 * time.Minute)
		x.send(x.nodes[0], x.nodes[1], x.nodes[5])
	}
	x.seal()
	x.pass(time.Minute)
	x.rotate()
	x.send(x.nodes[0], x.nodes[1], x.nodes[5])
	x.send(x.nodes[0])
	x.check()
	x.close()
	return x
}

// TestDamage flips, cuts, lengthens and takes away stored values, one at a time.
// Each is found: the store does not open, or fsck names it. Nothing panics.
func TestDamage(t *testing.T) {
	x := damagedSite(t)
	o := x.options()
	o.ReadOnly = true
	s, err := prepare(o)
	if err != nil {
		t.Fatal(err)
	}
	s.opt.ReadOnly = false
	db, err := pebble.Open(o.Dir, s.pebbleOptions())
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	inspect := func() (problem string) {
		s, err := prepare(o)
		if err != nil {
			t.Fatal(err)
		}
		s.db = db
		if err := s.recover(); err != nil {
			if !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrNotFound) {
				t.Errorf("an error of no name: %v", err)
			}
			return err.Error()
		}
		s.exercise()
		rep, err := s.Fsck(context.Background(), FsckOptions{})
		if err != nil {
			return err.Error()
		}
		if !rep.OK() {
			return rep.Findings[0]
		}
		return ""
	}
	if p := inspect(); p != "" {
		t.Fatalf("before any damage: %s", p)
	}
	rows := map[byte][][2][]byte{}
	if err := each(db, nil, nil, func(key, val []byte) (bool, error) {
		rows[key[32]] = append(rows[key[32]], [2][]byte{slices.Clone(key), slices.Clone(val)})
		return true, nil
	}); err != nil {
		t.Fatal(err)
	}
	rng := newRand(9)
	for _, kind := range []byte("SsdIckgiHhwnNtBlyYpKj") {
		all := rows[kind]
		if len(all) == 0 {
			t.Errorf("there is no row of kind %c", kind)
			continue
		}
		picked := [][2][]byte{all[len(all)-1], all[rng.IntN(len(all))]}
		for _, row := range picked[:min(2, len(all))] {
			key, val := row[0], row[1]
			damaged := map[string][]byte{
				"its format byte changed": append([]byte{val[0] ^ format ^ formatRotated}, val[1:]...),
				"a byte cut off":          val[:len(val)-1],
				"a byte too many":         append(slices.Clone(val), 0),
				"half of it":              val[:len(val)/2],
				"nothing in it":           {},
			}
			for range 3 {
				if len(val) == 1 {
					break
				}
				at, bit := 1+rng.IntN(len(val)-1), rng.IntN(8)
				flipped := slices.Clone(val)
				flipped[at] ^= 1 << bit
				damaged[fmt.Sprintf("bit %d of byte %d of %d flipped", bit, at, len(val))] = flipped
			}
			for what, v := range damaged {
				if rng.IntN(slowdown) != 0 {
					continue
				}
				if err := db.Set(key, v, pebble.NoSync); err != nil {
					t.Fatal(err)
				}
				// A journal's values are its route's to judge, but for their format.
				if p := inspect(); p == "" && (kind != 'j' || len(v) == 0 || v[0] != format) {
					t.Errorf("row %c %x with %s: not found", kind, key[33:], what)
				}
			}
			if err := db.Delete(key, pebble.NoSync); err != nil {
				t.Fatal(err)
			}
			// Journal rows and kept heads may go at any time.
			if p := inspect(); p == "" && kind != 'j' && kind != 'k' {
				t.Errorf("row %c %x missing: not found", kind, key[33:])
			}
			if err := db.Set(key, val, pebble.NoSync); err != nil {
				t.Fatal(err)
			}
		}
	}
	if p := inspect(); p != "" {
		t.Fatalf("after all was put back: %s", p)
	}
}

// exercise asks a store about everything and does not mind the answers.
func (s *Store) exercise() {
	for slot := range uint64(12) {
		for _, seq := range []uint64{0, 151, math.MaxUint64} {
			s.Evidence(slot, seq)
		}
		s.Query(context.Background(), uint32(slot), 0, math.MaxInt64, func(*Found) (bool, error) { return true, nil })
	}
	for i := range s.LogSize() + 2 {
		s.Batch(i)
		s.Header(i)
		s.LogPath(i, s.LogSize())
		s.CheckpointAt(i)
	}
	for i := range s.Statements() + 2 {
		s.StatementAt(i, s.Statements())
	}
	s.FindRoot(noHash)
	s.Status()
	s.Journal("ethereum:1337").All(func(string, []byte) error { return nil })
}

func TestNothingPanicsOnAskingTooMuch(t *testing.T) {
	x := newSite(t, 2)
	x.s.exercise()
	x.send(x.nodes...)
	x.s.exercise()
	x.pass(time.Minute)
	x.s.exercise()
	x.check()
	for _, at := range [][2]uint64{{0, 1}, {7, 0}, {math.MaxUint64, 0}, {0, math.MaxUint64}} {
		if _, err := x.s.Evidence(at[0], at[1]); !errors.Is(err, ErrNotFound) {
			t.Errorf("evidence of reading %d of stream %d: %v, want ErrNotFound", at[1], at[0], err)
		}
	}
	x.send(x.nodes[0])
	if _, err := x.s.Evidence(0, 1); !errors.Is(err, ErrNotBatched) {
		t.Errorf("evidence of a reading of the open window: %v, want ErrNotBatched", err)
	}
}

func TestWrongKeyring(t *testing.T) {
	x := newSite(t, 1)
	x.send(x.nodes...)
	x.close()
	right := x.keys
	x.keys = share.MemorySeed([32]byte{2})
	for _, readOnly := range []bool{true, false} {
		o := x.options()
		o.ReadOnly = readOnly
		if s, err := Open(o); !errors.Is(err, ErrOtherKeyring) {
			t.Errorf("another keyring, read-only %v: %v, want ErrOtherKeyring", readOnly, err)
			if err == nil {
				s.Close()
			}
		}
	}
	x.keys = right
	x.open()
	x.check()
	if n := proveAll(t, x); n != 0 {
		t.Errorf("%d", n)
	}
	x.pass(time.Minute)
	x.check()
}

func TestReadOnly(t *testing.T) {
	x := &site{t: t, fs: newMem(), keys: newKeys(), clock: newClock(), rng: newRand(1)}
	o := x.options()
	o.ReadOnly = true
	if s, err := Open(o); err == nil {
		s.Close()
		t.Fatal("opened read-only before there was a ledger")
	}
	x.open()
	n := x.addDevice()
	x.send(n)
	x.pass(time.Minute)
	x.send(n)
	before := x.rows()
	x.close()
	s, err := Open(func() Options { o := x.options(); o.ReadOnly = true; return o }())
	if err != nil {
		t.Fatal(err)
	}
	x.s = s
	ctx := context.Background()
	for what, err := range map[string]error{
		"Submit":       s.Submit(ctx, []Arrival{n.arrival(t, 60)}),
		"RemoveDevice": s.RemoveDevice(ctx, 1),
		"AllowSigning": s.AllowSigning(ctx),
		"Put":          s.Journal("r").Put("k", nil),
		"AddStatement": func() error { _, err := s.AddStatement(ctx, ledger.Statement{Kind: "note"}); return err }(),
		"AddDevice": func() error {
			_, err := s.AddDevice(ctx, NewDevice{ID: frame.ID{1}, Kind: ledger.BindText})
			return err
		}(),
	} {
		if !errors.Is(err, ErrReadOnly) {
			t.Errorf("%s: %v, want ErrReadOnly", what, err)
		}
	}
	s.exercise()
	if rep := x.check(); rep.Readings != 1 || rep.Commits != 2 {
		t.Errorf("fsck read %d readings and %d commits", rep.Readings, rep.Commits)
	}
	verify(t, x, func() *Evidence {
		e, err := s.Evidence(0, 0)
		if err != nil {
			t.Fatal(err)
		}
		return e
	}())
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	db, err := pebble.Open("db", &pebble.Options{FS: x.fs, FormatMajorVersion: pebble.FormatNewest, ReadOnly: true, Logger: pebbleLogger{s}})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	n2 := 0
	each(db, nil, nil, func(key, val []byte) (bool, error) {
		n2++
		if v, ok := before[string(key)]; ok && string(v) != string(val) && key[32] != kindState && key[32] != kindStream && key[32] != kindDevice {
			t.Errorf("row %c changed", key[32])
		}
		return true, nil
	})
	if n2 != len(before) {
		t.Errorf("%d rows, %d before", n2, len(before))
	}
}

// rows copies all that is stored.
func (x *site) rows() map[string][]byte {
	x.t.Helper()
	out := map[string][]byte{}
	if err := each(x.s.db, nil, nil, func(key, val []byte) (bool, error) {
		out[string(key)] = slices.Clone(val)
		return true, nil
	}); err != nil {
		x.t.Fatal(err)
	}
	return out
}

// TestClosedStoreIsInTables: what an orderly stop leaves lies in tables with
// checksums, not in the write-ahead log, where a damaged end looks cut off.
func TestClosedStoreIsInTables(t *testing.T) {
	x := newSite(t, 2)
	for range 300 {
		x.send(x.nodes...)
	}
	x.close()
	names, err := x.fs.List("db")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if strings.HasSuffix(name, ".log") {
			if f, err := x.fs.Create(x.fs.PathJoin("db", name), vfs.WriteCategoryUnspecified); err != nil { // empty now
				t.Fatal(err)
			} else if err := f.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
	x.open()
	x.pass(time.Minute)
	if rep := x.check(); rep.Readings != 600 {
		t.Errorf("%d readings are left, want 600", rep.Readings)
	}
}
