package witness

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"testing"
)

var errFault = errors.New("injected fault")

// volatile is a file system that loses what was not synced. A name belongs to what
// was synced last with its folder; data is what was synced last with the file. Of
// the rest a crash keeps nothing, or all.
type volatile struct {
	now, synced map[string]*inode // by path
	calls       int
	failAt      int  // the call that fails; 0: none
	after       bool // it fails once it is done
}

type inode struct{ data, synced []byte }

func newVolatile() *volatile {
	return &volatile{now: map[string]*inode{}, synced: map[string]*inode{}}
}

// step does a call, unless it is the one that fails before it is done.
func (v *volatile) step(do func()) error {
	v.calls++
	if v.calls == v.failAt {
		if v.after {
			do()
		}
		return errFault
	}
	do()
	return nil
}

func (v *volatile) create(path string) (file, error) {
	f := &openFile{v, &inode{}}
	return f, v.step(func() {
		if old := v.now[path]; old != nil {
			f.inode = old
			f.data = nil
		}
		v.now[path] = f.inode
	})
}

func (v *volatile) rename(from, to string) error {
	return v.step(func() {
		v.now[to] = v.now[from]
		delete(v.now, from)
	})
}

func (v *volatile) syncDir(dir string) error {
	return v.step(func() {
		maps.DeleteFunc(v.synced, func(path string, _ *inode) bool { return filepath.Dir(path) == dir })
		for path, i := range v.now {
			if filepath.Dir(path) == dir {
				v.synced[path] = i
			}
		}
	})
}

func (v *volatile) read(path string) ([]byte, error) {
	i := v.now[path]
	if i == nil {
		return nil, fs.ErrNotExist
	}
	return i.data, nil
}

// crash is what a start finds: names and data as they were synced, or the names of
// the moment before with the data as it was synced, or all of that moment.
func (v *volatile) crash(names, data bool) *volatile {
	from := v.synced
	if names {
		from = v.now
	}
	n := newVolatile()
	for path, i := range from {
		d := i.synced
		if data {
			d = i.data
		}
		n.now[path] = &inode{d, d}
		n.synced[path] = n.now[path]
	}
	return n
}

type openFile struct {
	v *volatile
	*inode
}

func (f *openFile) Write(b []byte) (int, error) {
	half := len(b) / 2
	err := f.v.step(func() { f.data = append(f.data, b[half:]...) })
	if err == nil || len(f.data) == 0 {
		f.data = append(append([]byte(nil), b[:half]...), f.data...)
	}
	return len(b), err
}

func (f *openFile) Sync() error {
	return f.v.step(func() { f.synced = append([]byte(nil), f.data...) })
}
func (f *openFile) Close() error { return f.v.step(func() {}) }

// on is a witness on such a file system.
func (v *volatile) on(t *testing.T, l *testLog) *Witness {
	w := newWitness(t, t.TempDir(), l)
	w.dir, w.files = "", v
	return w
}

// TestCrash stops a write at each of its steps, done or not, crashes with all that
// a disk may have kept, and starts again: the witness knows what it handed out or
// more, and never lets go of it.
func TestCrash(t *testing.T) {
	l := newTestLog(t, "example.com/log").grow(20, 0)
	fork := l.fork(6).grow(20, 1)
	steps := 0
	for failAt := 1; ; failAt++ {
		clean := false
		for _, after := range []bool{false, true} {
			for crash := range 4 {
				v := newVolatile()
				w := v.on(t, l)
				if _, err := w.processAddCheckpoint(l.request(0, 5)); err != nil {
					t.Fatal(err)
				}
				v.calls, v.failAt, v.after = 0, failAt, after
				lines, err := w.processAddCheckpoint(l.request(5, 9))
				clean = err == nil
				if !clean && (!errors.Is(err, errFault) || lines != nil) {
					t.Fatalf("step %d: %v, %q", failAt, err, lines)
				}
				handedOut := uint64(5)
				if clean {
					handedOut = 9
				}
				name := fmt.Sprintf("step %d, done %v, crash %d", failAt, after, crash)
				afterCrash(t, name, v.crash(crash&1 != 0, crash&2 != 0), l, fork, handedOut)
			}
		}
		if clean {
			break
		}
		steps = failAt
	}
	if steps != 6 {
		t.Errorf("a write has %d steps that can fail, want 6", steps)
	}
}

// afterCrash asks a witness that starts again: its head is the one that it handed
// out last, or the one under way, and it goes on from there alone.
func afterCrash(t *testing.T, name string, v *volatile, l, fork *testLog, handedOut uint64) {
	t.Helper()
	w := v.on(t, l)
	_, err := w.processAddCheckpoint(l.request(0, 1))
	var conflict *conflictError
	if !errors.As(err, &conflict) || conflict.size != handedOut && conflict.size != 9 {
		t.Fatalf("%s: after a start: %v, want a conflict with %d or 9", name, err, handedOut)
	}
	if conflict.size == 9 {
		if lines, err := w.processAddCheckpoint(fork.request(9, 12)); err == nil {
			t.Fatalf("%s: a fork of what was handed out is cosigned: %s", name, lines)
		}
	}
	lines, err := w.processAddCheckpoint(l.request(conflict.size, 15))
	if err != nil {
		t.Fatalf("%s: does not go on from %d: %v", name, conflict.size, err)
	}
	cosigned(t, w, l, 15, lines)
}

// TestFailedWrite goes on without a start after a write that failed: the head is
// what the folder holds, and one answer was given for each size.
func TestFailedWrite(t *testing.T) {
	l := newTestLog(t, "example.com/log").grow(20, 0)
	fork := l.fork(6).grow(20, 1)
	for failAt := 1; failAt <= 6; failAt++ {
		for _, after := range []bool{false, true} {
			v := newVolatile()
			w := v.on(t, l)
			if _, err := w.processAddCheckpoint(l.request(0, 5)); err != nil {
				t.Fatal(err)
			}
			v.calls, v.failAt, v.after = 0, failAt, after
			if _, err := w.processAddCheckpoint(l.request(5, 9)); !errors.Is(err, errFault) {
				t.Fatalf("step %d: %v", failAt, err)
			}
			_, errFork := w.processAddCheckpoint(fork.request(5, 9))
			_, errSame := w.processAddCheckpoint(l.request(5, 9))
			var conflict *conflictError
			switch {
			case errFork == nil && errors.As(errSame, &conflict): // nobody was told of the first
			case errors.As(errFork, &conflict) && conflict.size == 9 && errors.As(errSame, &conflict):
				if _, err := w.processAddCheckpoint(l.request(9, 9)); err != nil {
					t.Errorf("step %d, done %v: the head under way is not cosigned again: %v", failAt, after, err)
				}
			default:
				t.Errorf("step %d, done %v: the fork: %v; the log: %v", failAt, after, errFork, errSame)
			}
		}
	}
}
