package store

import (
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// gate is the disk as Pebble sees it. From the moment the store is dead nothing
// is written, renamed or removed any more. Pebble counts on its logger's Fatalf
// to end the process: where it returns, Pebble goes on with what it believes,
// and after a manifest that could not be synced it removes write-ahead logs
// that hold acknowledged readings. Behind the gate they stay, and the next start
// reads them.
type gate struct {
	vfs.FS
	s *Store
}

// frozenPause keeps what Pebble tries again at once from spinning.
const frozenPause = 20 * time.Millisecond

func (g gate) pass() error {
	if err := g.s.Dead(); err != nil {
		return err
	}
	return nil
}

func (g gate) open(op func() (vfs.File, error)) (vfs.File, error) {
	if err := g.pass(); err != nil {
		time.Sleep(frozenPause)
		return nil, err
	}
	f, err := op()
	if err != nil {
		return nil, err
	}
	return gateFile{f, g}, nil
}

func (g gate) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return g.open(func() (vfs.File, error) { return g.FS.Create(name, c) })
}

func (g gate) OpenReadWrite(name string, c vfs.DiskWriteCategory, o ...vfs.OpenOption) (vfs.File, error) {
	return g.open(func() (vfs.File, error) { return g.FS.OpenReadWrite(name, c, o...) })
}

func (g gate) ReuseForWrite(from, to string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return g.open(func() (vfs.File, error) { return g.FS.ReuseForWrite(from, to, c) })
}

func (g gate) try(op func() error) error {
	if err := g.pass(); err != nil {
		return err
	}
	return op()
}

func (g gate) Link(from, to string) error { return g.try(func() error { return g.FS.Link(from, to) }) }
func (g gate) Rename(from, to string) error {
	return g.try(func() error { return g.FS.Rename(from, to) })
}
func (g gate) Remove(name string) error { return g.try(func() error { return g.FS.Remove(name) }) }
func (g gate) RemoveAll(name string) error {
	return g.try(func() error { return g.FS.RemoveAll(name) })
}
func (g gate) MkdirAll(dir string, perm os.FileMode) error {
	return g.try(func() error { return g.FS.MkdirAll(dir, perm) })
}
func (g gate) Unwrap() vfs.FS { return g.FS }

type gateFile struct {
	vfs.File
	g gate
}

func (f gateFile) Write(p []byte) (int, error) {
	if err := f.g.pass(); err != nil {
		return 0, err
	}
	return f.File.Write(p)
}

func (f gateFile) WriteAt(p []byte, off int64) (int, error) {
	if err := f.g.pass(); err != nil {
		return 0, err
	}
	return f.File.WriteAt(p, off)
}

func (f gateFile) Sync() error     { return f.g.try(f.File.Sync) }
func (f gateFile) SyncData() error { return f.g.try(f.File.SyncData) }

func (f gateFile) SyncTo(n int64) (bool, error) {
	if err := f.g.pass(); err != nil {
		return false, err
	}
	return f.File.SyncTo(n)
}

// maxFailures is how often in a row flushes and compactions may fail. Pebble
// tries them again without pause and without end.
const maxFailures = 10

// background counts failures of Pebble's own work.
func (s *Store) background() *pebble.EventListener {
	var failed atomic.Int32
	return &pebble.EventListener{
		BackgroundError: func(err error) {
			s.opt.Logger.Error("storage", "error", err)
			if failed.Add(1) >= maxFailures {
				s.fatal(fmt.Errorf("%d failures of storage in a row, the last: %w", maxFailures, err))
			}
		},
		FlushEnd: func(i pebble.FlushInfo) {
			if i.Err == nil {
				failed.Store(0)
			}
		},
		CompactionEnd: func(i pebble.CompactionInfo) {
			if i.Err == nil {
				failed.Store(0)
			}
		},
	}
}

// fatal is called by Pebble where it could not go on. While it is being opened,
// it would try for ever, so the goroutine that says so stays here: it may hold
// what must not be released half-way.
func (s *Store) fatal(cause error) {
	s.die(cause)
	if s.opening.Load() {
		select {}
	}
}

// openDB opens Pebble. Where Pebble gave up half-way, what it left running ends
// with the process.
func (s *Store) openDB() error {
	type opened struct {
		db  *pebble.DB
		err error
	}
	done := make(chan opened, 1)
	s.opening.Store(true)
	go func() {
		db, err := pebble.Open(s.opt.Dir, s.pebbleOptions())
		done <- opened{db, err}
	}()
	select {
	case o := <-done:
		s.opening.Store(false)
		if o.err != nil {
			return o.err
		}
		s.db = o.db
		return nil
	case <-s.died:
		return s.Dead()
	}
}
