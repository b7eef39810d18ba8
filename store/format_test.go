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

var update = flag.Bool("update", false, "write testdata/format1 anew: only while the format has not been given out")

const format1 = "testdata/format1"

// TestFormat1 opens a folder that an earlier version wrote, with its keyring, and
// holds it against the head that was signed then. What it holds stays readable
// for good: a change of the rows needs another format byte, not another folder.
func TestFormat1(t *testing.T) {
	if *update {
		writeFormat1(t)
		return
	}
	want, err := os.ReadFile(filepath.Join(format1, "checkpoint"))
	if err != nil {
		t.Fatal(err)
	}
	x := openFormat1(t)
	rep := x.check()
	if rep.Readings != 200 || rep.Statements != 6 {
		t.Errorf("%d readings and %d statements, want 200 and 6", rep.Readings, rep.Statements)
	}
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
}

// openFormat1 opens a copy of the folder, an hour after it was written.
func openFormat1(t *testing.T) *site {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(format1)); err != nil {
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

// writeFormat1 makes the folder: two devices, sealed quarter hours and an open
// one, a rotated key and a removed device.
func writeFormat1(t *testing.T) {
	to, err := filepath.Abs(format1)
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
