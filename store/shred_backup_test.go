package store

import (
	"bytes"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"cairn/store/share"
)

// TestShredAndBackups: after a shredding a copy of the data of before does not open
// with the keyring of after, nor the data of after with a keyring of before. Both
// say which of the two is to be put back, change nothing, and the newest of both
// open. A row that is damaged is not taken for that.
func TestShredAndBackups(t *testing.T) {
	x, path := fileSite(t)
	x.open()
	room, before := x.fillHours()
	x.close()
	var data [3]vfs.FS
	var keyring [3][]byte
	for i := range data {
		data[i], keyring[i] = x.copied(), readFile(t, path)
		if i == 2 {
			break
		}
		x.open()
		x.shred(before+share.Hour(i), targets(room, i == 1)...) // the second time as a whole
		x.sendLine(room)
		x.pass(time.Minute)
		x.close()
	}
	open := func(data, keyring int) error {
		t.Helper()
		x.openKeyring(path)
		o := x.options()
		for _, o.ReadOnly = range []bool{true, false} {
			s, err := Open(o)
			if err == nil {
				s.Close()
				t.Fatalf("data of %d with the keyring of %d opens", data, keyring)
			}
			if !o.ReadOnly {
				return err
			}
		}
		return nil
	}
	for d := range data {
		for k := range keyring {
			want := ErrOldData
			switch {
			case d == k:
				continue
			case d > k:
				want = ErrOldKeyring
			}
			if err := os.WriteFile(path, keyring[k], 0o600); err != nil {
				t.Fatal(err)
			}
			x.fs = data[d]
			if err := open(d, k); !errors.Is(err, want) || errors.Is(err, ErrDamaged) {
				t.Errorf("data of %d with the keyring of %d: %v, want %v", d, k, err, want)
			}
		}
	}
	for i := range data {
		if err := os.WriteFile(path, keyring[i], 0o600); err != nil {
			t.Fatal(err)
		}
		x.fs = data[i]
		x.openKeyring(path)
		x.open()
		x.check()
		x.close()
	}

	s, err := prepare(x.options())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.openDB(); err != nil {
		t.Fatal(err)
	}
	k := s.keys.key(kindState)
	val, closer, err := s.db.Get(k)
	if err != nil {
		t.Fatal(err)
	}
	val = bytes.Clone(val)
	closer.Close()
	val[len(val)-1] ^= 1
	if err := errors.Join(s.db.Set(k, val, pebble.Sync), s.db.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(x.options()); !errors.Is(err, ErrDamaged) || errors.Is(err, ErrOldData) || errors.Is(err, ErrOldKeyring) {
		t.Errorf("a damaged row: %v, want ErrDamaged alone", err)
	}
}

// copied copies the data of a closed store.
func (x *site) copied() vfs.FS {
	x.t.Helper()
	to := vfs.NewMem()
	if ok, err := vfs.Clone(x.fs, to, "db", "db"); err != nil || !ok {
		x.t.Fatalf("copy: %v, %v", ok, err)
	}
	return to
}

// openKeyring reads the keyring from its file again.
func (x *site) openKeyring(path string) {
	x.t.Helper()
	keys, err := share.Open(path, quickWrap)
	if err != nil {
		x.t.Fatal(err)
	}
	x.keys = keys
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
