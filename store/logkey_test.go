package store

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"cairn/merkle"
	"cairn/merkle/ledger"
)

// rotate changes the log key and holds that it is the one that counts now.
func (x *site) rotate() ed25519.PublicKey {
	x.t.Helper()
	before := x.s.LogKeys()
	pub, err := x.s.RotateLogKey(context.Background())
	if err != nil {
		x.t.Fatalf("RotateLogKey: %v", err)
	}
	if !x.s.LogKey().Equal(pub) || !sameKeys(x.s.LogKeys(), append(before, pub)) {
		x.t.Fatalf("after a rotation to %x the log keys are %x, before it %x", pub, x.s.LogKeys(), before)
	}
	return pub
}

// statedKeys reads from the statements alone which log keys there are: the first
// and after it those that log-key statements name, with the statements' numbers.
func (x *site) statedKeys() (keys []ed25519.PublicKey, at []uint64) {
	x.t.Helper()
	for n := range x.s.Statements() {
		item, _, _, err := x.s.StatementAt(n, x.s.Statements())
		if err != nil {
			x.t.Fatal(err)
		}
		st, err := ledger.ParseStatement(item)
		if err != nil {
			x.t.Fatal(err)
		}
		switch st.Kind {
		case ledger.KindGenesis:
			g, err := ledger.GenesisFrom(st)
			if err != nil || g.ID() != x.s.Ledger() {
				x.t.Fatalf("the first statement is of ledger %s, %v", g.ID(), err)
			}
			keys, at = append(keys, g.LogKey[:]), append(at, n)
		case ledger.KindLogKey:
			k, err := ledger.LogKeyFrom(st)
			if err == nil {
				err = k.Verify(x.s.Ledger(), st.At)
			}
			if err != nil || !keys[len(keys)-1].Equal(ed25519.PublicKey(k.Old[:])) {
				x.t.Fatalf("statement %d goes from log key %x to %x after %x, %v", n, k.Old, k.New, keys[len(keys)-1], err)
			}
			keys, at = append(keys, k.New[:]), append(at, n)
		}
	}
	return keys, at
}

// keysHold is the rule that verifiers go by, from what a batch shows: a head of s
// batches is signed by the newest log key that a statement shown by header s-1
// names, and by no other.
func (x *site) keysHold() {
	x.t.Helper()
	keys, at := x.statedKeys()
	if !sameKeys(keys, x.s.LogKeys()) {
		x.t.Fatalf("the statements name log keys %x, the store %x", keys, x.s.LogKeys())
	}
	if !x.s.LogKey().Equal(keys[len(keys)-1]) || !x.s.FirstLogKey().Equal(keys[0]) {
		x.t.Fatal("current and first log key are not the last and first of all")
	}
	newest, signed, ok := x.s.Checkpoint()
	for size := range signed + 1 {
		if !ok {
			break
		}
		want := 0
		if size > 0 {
			ev, err := x.s.Batch(size - 1)
			if err != nil {
				x.t.Fatal(err)
			}
			shown, err := ledger.ParseStatementsHead(ev.Hidden[ledger.HiddenStatements].Item)
			if err != nil {
				x.t.Fatal(err)
			}
			for want+1 < len(keys) && at[want+1] < shown.Size {
				want++
			}
		}
		note, err := x.s.CheckpointAt(size)
		if err != nil {
			x.t.Fatal(err)
		}
		if size == signed && !bytes.Equal(note, newest) {
			x.t.Errorf("the newest checkpoint, of %d batches, is not the one that is signed again", size)
		}
		for i, key := range keys {
			if _, err := merkle.OpenCheckpoint(note, x.s.Origin(), key); (err == nil) != (i == want) {
				x.t.Errorf("head of %d batches under log key %d of %d: %v, want it to be by key %d", size, i+1, len(keys), err, want+1)
			}
		}
		if cp, err := x.s.OpenCheckpoint(note); err != nil || cp.Size != size {
			x.t.Errorf("OpenCheckpoint of %d batches: size %d, %v", size, cp.Size, err)
		}
	}
	x.check()
}

func TestRotateLogKey(t *testing.T) {
	x := newSite(t, 2)
	id, first := x.s.Ledger(), x.s.LogKey()
	x.send(x.nodes...)
	x.pass(time.Minute)
	x.send(x.nodes...)
	second := x.rotate() // in an open window that has commits
	if x.s.Ledger() != id || !x.s.FirstLogKey().Equal(first) || second.Equal(first) {
		t.Error("the ledger's id or first key changed, or nothing did")
	}
	note, size, _ := x.s.Checkpoint()
	if cp, err := x.s.OpenCheckpoint(note); err != nil || size != 1 || cp.Size != 1 {
		t.Errorf("the newest checkpoint, of before the rotation: size %d, %v", cp.Size, err)
	}
	x.keysHold()
	x.send(x.nodes...)
	x.restart()
	x.send(x.nodes...)
	x.keysHold()
	x.pass(time.Minute)
	x.keysHold()
	note, size, _ = x.s.Checkpoint()
	if _, err := merkle.OpenCheckpoint(note, x.s.Origin(), second); err != nil || size != 2 {
		t.Errorf("the checkpoint of %d batches covers the rotation: %v", size, err)
	}
	// Several in a row, with and without commits and windows between.
	x.rotate()
	x.rotate()
	x.send(x.nodes[0])
	x.rotate()
	x.keysHold()
	x.pass(3 * time.Minute)
	x.rotate()
	x.pass(40 * time.Minute)
	x.send(x.nodes...)
	x.seal() // commits of four keys become kept heads
	x.keysHold()
	x.restart()
	x.keysHold()
	if n := proveAll(t, x); n != 9 {
		t.Errorf("%d readings proved, want 9", n)
	}
	if n := len(x.keys.LogKeys()); n != 6 {
		t.Errorf("%d log keys in the keyring, want 6", n)
	}
	x.refusedUnchanged("a log-key statement from outside", ErrRefused, func() error {
		now, _ := x.keys.LogKeyOf(x.s.LogKey())
		_, err := x.s.AddStatement(context.Background(), ledger.SignLogKey(id, now, x.keys.LogKey(), 5))
		return err
	})
}

// TestIntakeHeadsByKey: each commit's head is signed by the key of its time, and
// the chain of heads goes on across rotations.
func TestIntakeHeadsByKey(t *testing.T) {
	x := newSite(t, 1)
	var want []ed25519.PublicKey
	for range 4 {
		x.send(x.nodes...)
		x.send(x.nodes...)
		want = append(want, x.s.LogKey(), x.s.LogKey())
		x.rotate()
	}
	r := x.s.reader()
	defer r.close()
	n := 0
	if err := r.commits(0, r.v.nextCommit, func(rec *record) (bool, error) {
		for _, key := range x.s.LogKeys() {
			if _, err := ledger.VerifyIntake(key, rec.head, rec.signature); (err == nil) != key.Equal(want[n]) {
				t.Errorf("intake head %d under key %x: %v", n, key, err)
			}
		}
		n++
		return true, nil
	}); err != nil || n != len(want) {
		t.Fatalf("%d commits, %v", n, err)
	}
	x.keysHold()
}

// TestRotateWhileHeld: a rotation needs no signing; what is signed once it is
// allowed is by the key of its size.
func TestRotateWhileHeld(t *testing.T) {
	x := newSite(t, 1)
	ctx := context.Background()
	x.send(x.nodes...)
	x.pass(time.Minute)
	if err := x.s.HoldSigning(ctx, "test"); err != nil {
		t.Fatal(err)
	}
	x.pass(time.Minute)
	first, second := x.s.LogKey(), x.rotate() // batch 2 is open and shows it, batches 0 and 1 do not
	if err := x.s.AllowSigning(ctx); err != nil {
		t.Fatal(err)
	}
	signedBy := func(size uint64, key ed25519.PublicKey) {
		t.Helper()
		note, n, _ := x.s.Checkpoint()
		if _, err := merkle.OpenCheckpoint(note, x.s.Origin(), key); err != nil || n != size {
			t.Errorf("checkpoint of %d batches, want %d: %v", n, size, err)
		}
		x.keysHold()
	}
	signedBy(2, first)
	if err := x.s.HoldSigning(ctx, "test"); err != nil {
		t.Fatal(err)
	}
	x.pass(time.Minute)
	third := x.rotate()
	x.close()
	x.opt.HoldSigning = true
	x.open()
	x.keysHold()
	if err := x.s.AllowSigning(ctx); err != nil {
		t.Fatal(err)
	}
	signedBy(3, second)
	x.pass(time.Minute)
	signedBy(4, third)
}

func TestRotateInFirstWindow(t *testing.T) {
	x := newSite(t, 0)
	x.rotate()
	x.keysHold()
	x.pass(time.Minute)
	x.keysHold()
	x.restart()
	x.keysHold()
	x.close()
	o := x.options()
	o.ReadOnly = true
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	x.s = s
	x.keysHold()
	if _, err := s.RotateLogKey(context.Background()); !errors.Is(err, ErrReadOnly) {
		t.Errorf("read-only: %v, want ErrReadOnly", err)
	}
	if n := len(x.keys.LogKeys()); n != 2 {
		t.Errorf("%d log keys in the keyring, want 2", n)
	}
}

// TestOldKeyringAfterRotation: a keyring of before a rotation is refused, by name
// and with what to do.
func TestOldKeyringAfterRotation(t *testing.T) {
	x := newSite(t, 0)
	x.pass(time.Minute)
	pub := x.rotate()
	x.pass(time.Minute)
	x.close()
	right := x.keys
	for _, readOnly := range []bool{false, true} {
		o := x.options()
		o.Keyring, o.ReadOnly = newKeys(), readOnly // as it was created
		s, err := Open(o)
		if !errors.Is(err, ErrOldKeyring) || !strings.Contains(err.Error(), hex.EncodeToString(pub)) || !strings.Contains(err.Error(), "restore its newest copy") {
			t.Errorf("read-only %v: %v, want ErrOldKeyring that names the key", readOnly, err)
		}
		if err == nil {
			s.Close()
		}
	}
	x.keys = right
	x.open()
	x.keysHold()
}

// TestOldDataAfterRotation: data of before a rotation opens with the newer
// keyring and goes on with the key that it names; the next rotation drops the one
// that it does not.
func TestOldDataAfterRotation(t *testing.T) {
	x := newSite(t, 1)
	x.send(x.nodes...)
	x.pass(time.Minute)
	x.close()
	old := vfs.NewMem()
	if ok, err := vfs.Clone(x.fs, old, "db", "db"); err != nil || !ok {
		t.Fatalf("copy: %v, %v", ok, err)
	}
	x.open()
	lost := x.rotate()
	x.pass(time.Minute)
	note, size, _ := x.s.Checkpoint()
	x.close()
	x.fs = old
	x.open()
	if !x.s.LogKey().Equal(x.s.FirstLogKey()) {
		t.Error("the key that the data does not name is the current one")
	}
	if _, err := x.s.OpenCheckpoint(note); err == nil {
		t.Errorf("a checkpoint of %d batches by a key that the data does not name opens", size)
	}
	x.pass(time.Minute)
	x.keysHold()
	x.rotate()
	if _, ok := x.keys.LogKeyOf(lost); ok || len(x.keys.LogKeys()) != 2 {
		t.Errorf("the keyring has %d log keys after the next rotation, the lost one: %v", len(x.keys.LogKeys()), ok)
	}
	x.pass(time.Minute)
	x.restart()
	x.keysHold()
}

// TestStateFormats: the state's row stays as it was until there is another log
// key, and is then one that a program of before refuses.
func TestStateFormats(t *testing.T) {
	x := newSite(t, 1)
	state := func() byte { return x.rows()[string(x.s.keys.key(kindState))][0] }
	if got := state(); got != format {
		t.Errorf("before: format %d, want %d", got, format)
	}
	x.rotate()
	if got := state(); got != formatRotated {
		t.Errorf("after: format %d, want %d", got, formatRotated)
	}
	x.restart()
	x.pass(time.Minute)
	if got := state(); got != formatRotated {
		t.Errorf("later: format %d, want %d", got, formatRotated)
	}
}

func TestKeyPlaces(t *testing.T) {
	var all logKeys
	for i, r := range []keyRow{{}, {Statement: 1, Batch: 0, Commit: 0}, {Statement: 2, Batch: 5, Commit: 3}, {Statement: 3, Batch: 5, Commit: 3}} {
		all = append(all, logKey{ed25519.PublicKey{byte(i)}, r})
	}
	for size, want := range map[uint64]byte{0: 0, 1: 1, 5: 1, 6: 3, 100: 3} {
		if got := all.at(size)[0]; got != want {
			t.Errorf("head of %d batches: key %d, want %d", size, got, want)
		}
	}
	for number, want := range map[uint64]byte{0: 1, 2: 1, 3: 3, 9: 3} {
		if got := all.ofCommit(number)[0]; got != want {
			t.Errorf("commit %d: key %d, want %d", number, got, want)
		}
	}
	for n, want := range map[uint64]bool{0: false, 1: true, 3: true, 4: false} {
		if got := all.named(n); got != want {
			t.Errorf("statement %d names a key: %v, want %v", n, got, want)
		}
	}
}

func sameKeys(a, b []ed25519.PublicKey) bool {
	return slices.EqualFunc(a, b, func(a, b ed25519.PublicKey) bool { return a.Equal(b) })
}

// TestWrongPlaces: a row that puts a log key elsewhere than statements, headers
// and commits do, or names one more, is damage.
func TestWrongPlaces(t *testing.T) {
	x := newSite(t, 1)
	x.pass(2 * time.Minute)
	x.send(x.nodes...)
	x.rotate() // statement 2, batch 2, commit 1
	x.send(x.nodes...)
	x.pass(time.Minute)
	x.send(x.nodes...)
	x.rotate() // statement 3, batch 3, commit 3
	x.pass(2 * time.Minute)
	x.rotate() // statement 4, batch 5, and no commit since
	x.pass(2 * time.Minute)
	var good []keyRow
	for _, k := range x.s.view.Load().keys[1:] {
		good = append(good, k.keyRow)
	}
	if want := []keyRow{{Statement: 2, Batch: 2, Commit: 1}, {Statement: 3, Batch: 3, Commit: 3}, {Statement: 4, Batch: 5, Commit: 3}}; !slices.Equal(good, want) {
		t.Fatalf("keys begin at %+v, want %+v", good, want)
	}
	put := func(n uint64, r keyRow) {
		t.Helper()
		b := x.s.db.NewBatch()
		if err := x.s.putRow(b, x.s.keys.u64(kindLogKey, n), r, true); err != nil {
			t.Fatal(err)
		}
		if err := b.Commit(nil); err != nil {
			t.Fatal(err)
		}
	}
	damaged := func(what string) {
		t.Helper()
		s, err := prepare(x.options())
		if err != nil {
			t.Fatal(err)
		}
		s.db = x.s.db
		if err := s.recover(); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v, want ErrDamaged", what, err)
		}
	}
	for n, r := range good {
		for what, wrong := range map[string]keyRow{
			"statement before": {Statement: r.Statement - 1, Batch: r.Batch, Commit: r.Commit},
			"statement after":  {Statement: r.Statement + 1, Batch: r.Batch, Commit: r.Commit},
			"batch before":     {Statement: r.Statement, Batch: r.Batch - 1, Commit: r.Commit},
			"batch after":      {Statement: r.Statement, Batch: r.Batch + 1, Commit: r.Commit},
			"no such batch":    {Statement: r.Statement, Batch: 99, Commit: r.Commit},
			"another window's": {Statement: r.Statement, Batch: r.Batch, Commit: 0},
			"no such commit":   {Statement: r.Statement, Batch: r.Batch, Commit: 99},
		} {
			if n == 0 && what == "another window's" {
				continue // commit 0 is of the same window
			}
			put(uint64(n), wrong)
			damaged(what)
		}
		put(uint64(n), r)
	}
	put(3, good[2])
	damaged("one more")
	if err := x.s.db.Delete(x.s.keys.u64(kindLogKey, 3), nil); err != nil {
		t.Fatal(err)
	}
	x.restart()
	x.keysHold()
}

// TestForeignHeads: a head that is signed by a key of another size is none of
// this ledger's, and so is a succession that is not signed.
func TestForeignHeads(t *testing.T) {
	x := newSite(t, 0)
	x.pass(2 * time.Minute)
	x.rotate()
	x.pass(2 * time.Minute)
	for size := range x.s.LogSize() + 5 {
		root, _ := x.s.RootAt(min(size, x.s.LogSize()))
		for i, pub := range x.s.LogKeys() {
			key, _ := x.keys.LogKeyOf(pub)
			note, err := merkle.SignCheckpoint(merkle.Checkpoint{Origin: x.s.Origin(), Size: size, Root: root}, key)
			if err != nil {
				t.Fatal(err)
			}
			cp, err := x.s.OpenCheckpoint(note)
			if want := (size > 2) == (i == 1); (err == nil) != want || err != nil && cp.Size != 0 {
				t.Errorf("head of %d batches by log key %d: %+v, %v, want it to open: %v", size, i+1, cp, err, want)
			}
		}
	}
	first, stranger := x.keys.LogKey(), ed25519.NewKeyFromSeed(make([]byte, 32))
	good := ledger.SignLogKey(x.s.Ledger(), first, stranger, 5)
	pub := x.s.FirstLogKey()
	if got, err := x.s.successor(pub, good); err != nil || !got.Equal(stranger.Public()) {
		t.Errorf("a succession: %x, %v", got, err)
	}
	late := good
	late.At++
	for what, st := range map[string]ledger.Statement{
		"of another time":   late,
		"of another ledger": ledger.SignLogKey(merkle.Hash{1}, first, stranger, 5),
		"from another key":  ledger.SignLogKey(x.s.Ledger(), stranger, first, 5),
		"of another kind":   {Kind: "note"},
	} {
		if got, err := x.s.successor(pub, st); err == nil {
			t.Errorf("a succession %s: %x", what, got)
		}
	}
}
