package store

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"cairn/store/share"
)

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
