package store

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"cairn/merkle"
	"cairn/merkle/ledger"
	"cairn/store/share"
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

// fileSite is a site whose keyring is a file.
func fileSite(t *testing.T) (x *site, path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "keyring.cairn")
	keys, err := share.Create(path, quickWrap)
	if err != nil {
		t.Fatal(err)
	}
	x = &site{t: t, fs: vfs.NewCrashableMem(), keys: keys, clock: newClock(), rng: newRand(1)}
	return x, path
}

var quickWrap = share.Wrap{Passphrase: []byte("correct horse"), WorkFactor: 1}

// TestKeyringFileFails: where the keyring cannot be written, nothing has changed
// and the store goes on.
func TestKeyringFileFails(t *testing.T) {
	x, path := fileSite(t)
	x.open()
	x.addDevice()
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	inTheWay := filepath.Join(path+".new", "file") // the new keyring's place is taken
	if err := os.MkdirAll(inTheWay, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := x.s.RotateLogKey(context.Background()); err == nil {
		t.Fatal("a rotation whose keyring could not be written")
	}
	if after, _ := os.ReadFile(path); !bytes.Equal(before, after) || !x.s.LogKey().Equal(x.s.FirstLogKey()) || x.s.Dead() != nil {
		t.Errorf("after it the keyring is another, or the key, or the store is dead: %v", x.s.Dead())
	}
	x.send(x.nodes...)
	x.pass(time.Minute)
	x.keysHold()
	if err := os.RemoveAll(path + ".new"); err != nil {
		t.Fatal(err)
	}
	// Somebody else wrote the file.
	if err := os.WriteFile(path, append(bytes.Clone(before), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := x.s.RotateLogKey(context.Background()); !errors.Is(err, share.ErrStale) {
		t.Errorf("a keyring that somebody else wrote: %v, want ErrStale", err)
	}
	if err := os.WriteFile(path, before, 0o600); err != nil {
		t.Fatal(err)
	}
	x.rotate()
	x.pass(time.Minute)
	x.keysHold()
}

// killed is a disk that keeps, at its n-th write operation, what a power loss at
// that instant would leave of it and of the keyring.
type killed struct {
	t        *testing.T
	mem      *vfs.MemFS
	path     string
	fuse     atomic.Int64
	unsynced int
	crash    *vfs.MemFS
	keyring  []byte
}

func (k *killed) String() string { return "kill" }

func (k *killed) MaybeError(op errorfs.Op) error {
	if op.Kind.ReadOrWrite() != errorfs.OpIsWrite || k.fuse.Add(-1) != 0 {
		return nil
	}
	cfg := vfs.CrashCloneCfg{UnsyncedDataPercent: k.unsynced, RNG: newRand(7)}
	k.crash = k.mem.CrashClone(cfg)
	var err error
	if k.keyring, err = os.ReadFile(k.path); err != nil {
		k.t.Error(err)
	}
	return nil
}

// TestRotationKilled kills the gateway at every write to the disk from the
// beginning of a rotation on, with all or none of what was not synced left: the
// start after it goes by one key or the other, never refuses, and can rotate.
func TestRotationKilled(t *testing.T) {
	for _, unsynced := range []int{0, 100} {
		olds, news := 0, 0
		for n := int64(1); n < 40; n++ {
			x, path := fileSite(t)
			k := &killed{t: t, mem: x.fs.(*vfs.MemFS), path: path, unsynced: unsynced}
			x.fs = errorfs.Wrap(k.mem, k)
			k.fuse.Store(1 << 40)
			x.open()
			x.addDevice()
			x.send(x.nodes...)
			x.pass(time.Minute)
			first := x.s.LogKey()
			k.fuse.Store(n)
			pub := x.rotate()
			whole := k.crash == nil // the rotation was acknowledged before the kill
			x.send(x.nodes...)
			x.pass(time.Minute)
			x.close()
			if k.crash == nil {
				break
			}
			if err := os.WriteFile(path, k.keyring, 0o600); err != nil {
				t.Fatal(err)
			}
			keys, err := share.Open(path, quickWrap)
			if err != nil {
				t.Fatal(err)
			}
			x.fs, x.keys = k.crash, keys
			x.open()
			switch now := x.s.LogKey(); {
			case now.Equal(pub):
				news++
			case now.Equal(first) && !whole:
				olds++
			default:
				t.Fatalf("write %d: log key %x after the kill, want %x", n, now, pub)
			}
			x.keysHold()
			x.nodes[0].counter += 100
			x.send(x.nodes...)
			x.rotate()
			if keys, _ := x.statedKeys(); len(x.keys.LogKeys()) != len(keys) {
				t.Errorf("write %d: %d log keys in the keyring, %d are named", n, len(x.keys.LogKeys()), len(keys))
			}
			x.pass(time.Minute)
			x.keysHold()
			x.close()
		}
		if olds == 0 || news == 0 {
			t.Errorf("unsynced %d: %d kills left the old key, %d the new one: want both", unsynced, olds, news)
		}
	}
}

// TestRotationOnBadDisk fails each write of a rotation, before or after it is
// done: the store stops, and the next start knows which key it is.
func TestRotationOnBadDisk(t *testing.T) {
	for _, late := range []bool{false, true} {
		olds, news := 0, 0
		for n := int64(1); ; n++ {
			mem := vfs.NewCrashableMem()
			d := &badDisk{FS: mem, late: late}
			d.left.Store(1 << 40)
			x := &site{t: t, fs: d, keys: newKeys(), clock: newClock(), rng: newRand(1)}
			x.open()
			x.addDevice()
			x.send(x.nodes...)
			first := x.s.LogKey()
			d.left.Store(n)
			pub, err := x.s.RotateLogKey(context.Background())
			d.spare.Store(true)
			if !d.hit.Load() {
				x.close()
				break
			}
			if err == nil || !errors.Is(err, ErrDead) || x.s.Dead() == nil {
				t.Errorf("write %d, late %v: rotation to %x on a bad disk: %v, want ErrDead", n, late, pub, err)
			}
			if !x.s.LogKey().Equal(first) {
				t.Errorf("write %d: what was not durable shows", n)
			}
			x.s.noFlush = true
			x.s.Close()
			x.fs = mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: newRand(1)})
			x.open()
			if x.s.LogKey().Equal(first) {
				olds++
			} else {
				news++
			}
			x.keysHold()
			x.rotate()
			x.pass(time.Minute)
			x.keysHold()
			if keys, _ := x.statedKeys(); len(x.keys.LogKeys()) != len(keys) {
				t.Errorf("write %d: %d log keys in the keyring, %d are named", n, len(x.keys.LogKeys()), len(keys))
			}
			x.close()
		}
		if !late && olds == 0 || late && news == 0 {
			t.Errorf("late %v: %d starts with the old key, %d with the new one", late, olds, news)
		}
	}
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
