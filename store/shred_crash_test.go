package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"cairn/merkle/ledger"
	"cairn/store/share"
)

// fill gives a site two sealed quarter hours of a split stream, and some readings
// that are not sealed.
func (x *site) fillHours() (n *node, before share.Hour) {
	n = x.addSplit("room 7", Rule{"occupancy", []string{"occupancy"}})
	x.addDevice()
	before, _ = share.HourOf(x.clock.ms())
	for i := range int64(4) {
		x.submit(n.line("a line", measured("occupancy", i), measured("temperature", 20)), x.nodes[1].arrival(x.t, 70))
		x.pass(9 * time.Minute)
		x.seal()
	}
	return n, before + 1
}

// shredded says whether a site's shredding of occupancy was done, and makes sure
// that it was done or not begun.
func (x *site) shredIsThrough(t *testing.T, n *node, where string) bool {
	t.Helper()
	x.s.shredding.Lock()
	err := x.s.finishShred(context.Background(), nil)
	x.s.shredding.Unlock()
	if err != nil {
		t.Fatalf("%s: go on: %v", where, err)
	}
	x.check()
	x.noneUnder(t)
	done := len(x.s.Shredded()) > 0
	for _, f := range x.query(n.binding.Number) {
		x.proves(f.Slot, f.Sequence)
		if !done && len(f.Shredded) > 0 {
			t.Fatalf("%s: reading %d is shredded in part", where, f.Sequence)
		}
	}
	x.sealedObjects()
	stated := 0
	for i := range x.s.Statements() {
		item, _, _, err := x.s.StatementAt(i, x.s.Statements())
		if err != nil {
			t.Fatal(err)
		}
		if st, err := ledger.ParseStatement(item); err != nil {
			t.Fatal(err)
		} else if st.Kind == ledger.KindShred {
			stated++
		}
	}
	if done != (stated == 1) {
		t.Fatalf("%s: shredded %v, stated %d times", where, done, stated)
	}
	return done
}

func targets(n *node, whole bool) []string {
	p := fmt.Sprintf("stream/%d/", n.binding.Slot)
	if whole {
		return []string{p + "envelope", p + "data", p + "occupancy"}
	}
	return []string{p + "occupancy"}
}

// TestShredKilled kills the gateway at every write to the disk from the beginning
// of a shredding on, with all or none of what was not synced left: the start after
// it goes on, or nothing had begun.
func TestShredKilled(t *testing.T) {
	for _, unsynced := range []int{0, 100} {
		done, not := 0, 0
		for n := int64(1); n < 400; n += slowdown {
			x, path := fileSite(t)
			k := &killed{t: t, mem: x.fs.(*vfs.MemFS), path: path, unsynced: unsynced}
			x.fs = errorfs.Wrap(k.mem, k)
			k.fuse.Store(1 << 40)
			x.open()
			room, before := x.fillHours()
			k.fuse.Store(n)
			x.shred(before, targets(room, unsynced == 0)...)
			whole := k.crash == nil // it was acknowledged before the kill
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
			where := fmt.Sprintf("unsynced %d, write %d", unsynced, n)
			if x.shredIsThrough(t, room, where) {
				done++
			} else {
				not++
				if whole {
					t.Fatalf("%s: it was acknowledged", where)
				}
				x.shred(before, targets(room, false)...)
			}
			x.sendLine(room)
			x.pass(30 * time.Minute)
			x.seal()
			x.restart()
			x.shredIsThrough(t, room, where)
			x.close()
		}
		if done == 0 || not == 0 {
			t.Errorf("unsynced %d: %d kills left it done, %d not begun: want both", unsynced, done, not)
		}
	}
}

// TestShredOnBadDisk fails each write of a shredding, before or after it is done:
// the next start goes on.
func TestShredOnBadDisk(t *testing.T) {
	for _, late := range []bool{false, true} {
		done, not := 0, 0
		for n := int64(1); n < 400; n += slowdown {
			mem := vfs.NewCrashableMem()
			d := &badDisk{FS: mem, late: late, forever: true}
			d.left.Store(1 << 40)
			x := &site{t: t, fs: d, keys: newKeys(), clock: newClock(), rng: newRand(1), opt: Options{quiet: true}}
			x.open()
			room, before := x.fillHours()
			d.left.Store(n)
			_, err := x.s.Shred(context.Background(), ShredOptions{Compartments: targets(room, late), Before: before, Progress: func(step string) {
				if step == "compact" {
					d.spare.Store(true) // it begins a new log, and where that fails Pebble panics
				}
			}})
			d.spare.Store(true)
			if !d.hit.Load() {
				x.close()
				break
			}
			x.s.noFlush = true
			x.s.Close()
			x.fs, x.opt.quiet = mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: newRand(1)}), false
			x.open()
			where := fmt.Sprintf("late %v, write %d (%v)", late, n, err)
			if x.shredIsThrough(t, room, where) {
				done++
			} else {
				not++
				if err == nil {
					t.Fatalf("%s: it was acknowledged", where)
				}
			}
			x.close()
		}
		if done == 0 || not == 0 {
			t.Errorf("late %v: %d starts found it done, %d not begun: want both", late, done, not)
		}
	}
}

// TestShredKeyringFails: where the keyring cannot be written the statement stands,
// and the shredding goes on once it can be.
func TestShredKeyringFails(t *testing.T) {
	x, path := fileSite(t)
	x.open()
	room, before := x.fillHours()
	if err := os.MkdirAll(path+".new/file", 0o700); err != nil {
		t.Fatal(err)
	}
	o := ShredOptions{Compartments: targets(room, false), Before: before}
	if _, err := x.s.Shred(t.Context(), o); err == nil || len(x.s.Shredded()) != 0 {
		t.Fatalf("a shredding whose keyring could not be written: %v", err)
	}
	x.check()
	if err := os.RemoveAll(path + ".new"); err != nil {
		t.Fatal(err)
	}
	if _, err := x.s.Shred(t.Context(), o); !errors.Is(err, ErrRefused) { // it was gone on with, and is done
		t.Errorf("again: %v, want ErrRefused", err)
	}
	if !x.shredIsThrough(t, room, "keyring") {
		t.Error("it is not done")
	}
}
