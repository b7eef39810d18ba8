package store

import (
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"cairn/merkle"
	"cairn/store/share"
)

var update = flag.String("update", "", "write this frozen folder anew, such as testdata/format2: only while the format has not been given out")

// frozen is a folder that an earlier version wrote.
type frozen struct {
	dir        string
	statements uint64
	logKeys    int
}

var formats = []frozen{
	{"testdata/format1", 6, 1},
	{"testdata/format2", 8, 3}, // the log key was changed twice
}

// TestFormats opens folders that earlier versions wrote, with their keyrings, and
// holds them against the head that was signed then. What they hold stays readable
// for good: a change of the rows needs another format byte, not another folder.
func TestFormats(t *testing.T) {
	for _, f := range formats {
		t.Run(filepath.Base(f.dir), func(t *testing.T) {
			if *update == f.dir {
				f.write(t)
				return
			}
			f.test(t)
		})
	}
}

func (f frozen) test(t *testing.T) {
	want, err := os.ReadFile(filepath.Join(f.dir, "checkpoint"))
	if err != nil {
		t.Fatal(err)
	}
	x := f.open(t)
	rep := x.check()
	if rep.Readings != 200 || rep.Statements != f.statements || len(x.s.LogKeys()) != f.logKeys {
		t.Errorf("%d readings, %d statements and %d log keys, want 200, %d and %d",
			rep.Readings, rep.Statements, len(x.s.LogKeys()), f.statements, f.logKeys)
	}
	x.keysHold()
	cp, err := merkle.OpenCheckpoint(want, x.s.Origin(), x.s.LogKey())
	if err != nil {
		t.Fatal(err)
	}
	if root, err := x.s.RootAt(cp.Size); err != nil || root != cp.Root {
		t.Errorf("root of %d batches is %v, %v, want %v", cp.Size, root, err, cp.Root)
	}
	if n := proveAll(t, x); n != 200 {
		t.Errorf("%d readings proved, want 200", n)
	}
	x.grant() // salted under another compartment than the bindings of then
	if rep = x.check(); rep.Statements < f.statements+1 {
		t.Errorf("%d statements after another, there were %d", rep.Statements, f.statements)
	}
}

// open opens a copy of the folder, an hour after it was written.
func (f frozen) open(t *testing.T) *site {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(f.dir)); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"keyring.cairn", "identity"} {
		if err := os.Chmod(filepath.Join(dir, name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(dir)
	keys, err := share.Open("keyring.cairn", share.Wrap{Identity: "identity"})
	if err != nil {
		t.Fatal(err)
	}
	x := &site{t: t, fs: vfs.Default, keys: keys, clock: newClock()}
	x.clock.add(3 * time.Hour)
	x.open()
	return x
}

// write makes the folder, where an identity file lies already: devices, sealed
// quarter hours and an open one, a removed device, and the log keys.
func (f frozen) write(t *testing.T) {
	to, err := filepath.Abs(f.dir)
	if err != nil {
		t.Fatal(err)
	}
	identity, err := os.ReadFile(filepath.Join(to, "identity"))
	if err != nil {
		t.Fatalf("%v: make one with age-keygen", err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "identity"), identity, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	keys, err := share.Create("keyring.cairn", share.Wrap{Identity: "identity"})
	if err != nil {
		t.Fatal(err)
	}
	x := &site{t: t, fs: vfs.Default, keys: keys, clock: newClock(), rng: newRand(1)}
	x.open()
	x.addDevice()
	x.addDevice()
	x.addDevice()
	for i := range 100 {
		x.send(x.nodes[0], x.nodes[1])
		x.pass(30 * time.Second)
		if i%30 == 29 && len(x.s.LogKeys()) < f.logKeys {
			x.rotate()
		}
		if i == 60 {
			if err := x.s.RemoveDevice(t.Context(), x.nodes[2].binding.Number); err != nil {
				t.Fatal(err)
			}
		}
	}
	x.pass(time.Minute)
	x.seal()
	note, _, _ := x.s.Checkpoint()
	if err := os.WriteFile("checkpoint", note, 0o644); err != nil {
		t.Fatal(err)
	}
	x.close()
	if err := os.RemoveAll(to); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(to, os.DirFS(".")); err != nil {
		t.Fatal(err)
	}
}
