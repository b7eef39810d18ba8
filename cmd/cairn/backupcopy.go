package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// Root makes backups of a folder that is another user's. So every name is looked up from an
// opened folder, which no symbolic link leads out of, and what the service says is a name alone.

// openSnapshot opens the snapshot that the service of a folder named.
func openSnapshot(dir, name string) (*os.Root, error) {
	if !strings.HasPrefix(name, snapshotPrefix) || strings.ContainsAny(name, `/\`) {
		return nil, fmt.Errorf("the service names %.80q, which is no snapshot", name)
	}
	all, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer all.Close()
	return all.OpenRoot(name)
}

// newPart makes a folder to write a backup in. One that a backup left that was killed gives way.
func newPart(in *os.Root, name string) (*os.Root, func(), error) {
	if err := removeLeft(in, name); err != nil {
		return nil, nil, err
	}
	if err := in.Mkdir(name, 0o700); err != nil {
		return nil, nil, fmt.Errorf("make %s: %w", filepath.Join(in.Name(), name), whyOf(err))
	}
	part, err := in.OpenRoot(name)
	if err != nil {
		return nil, nil, err
	}
	f, err := part.OpenFile(lockFile, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err == nil {
		if err = tryLock(f); !errors.Is(err, errInUse) { // there are shares that lock nothing
			return part, func() { f.Close(); part.Close() }, nil
		}
		f.Close()
	}
	part.Close()
	return nil, nil, fmt.Errorf("write into %s: %w", filepath.Join(in.Name(), name), whyOf(err))
}

// whyOf is why something failed that an error names by a name in a folder.
func whyOf(err error) error {
	if e := new(fs.PathError); errors.As(err, &e) {
		return e.Err
	}
	return err
}

// removeLeft removes what a backup left that was killed: it is empty, or has a lock that nobody
// holds.
func removeLeft(in *os.Root, name string) error {
	path := filepath.Join(in.Name(), name)
	info, err := in.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) || err == nil && info.IsDir() && in.Remove(name) == nil {
		return nil
	}
	f, err := in.OpenFile(filepath.Join(name, lockFile), os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("%s is there, and nothing that a backup left: remove it, or give another name", path)
	}
	defer f.Close()
	if err := tryLock(f); err != nil {
		return fmt.Errorf("%s is being written by another backup, or cannot be locked: %w", path, err)
	}
	return in.RemoveAll(name)
}

// copyTree copies the files of a folder into another one, which is empty, and gives their
// hashes, in order of their names.
func (c *command) copyTree(ctx context.Context, from, to *os.Root) (all []backedUpFile, err error) {
	var total int64
	err = fs.WalkDir(from.FS(), ".", func(path string, e fs.DirEntry, err error) error {
		if err != nil || path == "." {
			return err
		}
		if e.IsDir() {
			return to.Mkdir(path, 0o700)
		}
		if !e.Type().IsRegular() {
			return fmt.Errorf("%s is no file", path)
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		total += info.Size()
		all = append(all, backedUpFile{Path: path, Size: info.Size()})
		return nil
	})
	if err != nil {
		return nil, err
	}
	g := newGauge(c.progress, "MB copied", 1e6)
	defer c.progress("")
	done := int64(0)
	for i := range all {
		f := &all[i]
		*f, err = copyHashed(ctx, from, to, f.Path, func(n int64) {
			done += n
			g.at(uint64(done), uint64(max(done, total)))
		})
		if err != nil {
			return nil, err
		}
	}
	return all, syncTree(to)
}

// copyHashed copies a file for its owner alone, and writes it through.
func copyHashed(ctx context.Context, from, to *os.Root, name string, did func(int64)) (f backedUpFile, err error) {
	in, err := from.Open(name)
	if err != nil {
		return f, err
	}
	defer in.Close()
	out, err := to.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return f, err
	}
	f, err = hashThrough(ctx, in, out, did)
	f.Path = name
	return f, written(out, err)
}

// copyPrivate copies a file for its owner alone, and writes it through.
func copyPrivate(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return written(out, err)
}

// written ends the writing of a file.
func written(f *os.File, err error) error {
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

// hashed reads a file for its hash.
func hashed(ctx context.Context, from *os.Root, name string, did func(int64)) (f backedUpFile, err error) {
	in, err := from.Open(name)
	if err != nil {
		return f, err
	}
	defer in.Close()
	return hashThrough(ctx, in, io.Discard, did)
}

// hashThrough hashes what it passes on, until ctx ends. did is told of bytes as they are done.
func hashThrough(ctx context.Context, in io.Reader, out io.Writer, did func(int64)) (f backedUpFile, err error) {
	h := sha256.New()
	b := make([]byte, 256<<10)
	for err == nil {
		if ctx.Err() != nil {
			return f, context.Cause(ctx)
		}
		var n int
		n, err = in.Read(b)
		h.Write(b[:n])
		f.Size += int64(n)
		if _, werr := out.Write(b[:n]); werr != nil {
			return f, werr
		}
		did(int64(n))
	}
	if err != io.EOF {
		return f, err
	}
	f.SHA256 = hex.EncodeToString(h.Sum(nil))
	return f, nil
}

// syncTree makes the names of a folder's files last.
func syncTree(dir *os.Root) error {
	return fs.WalkDir(dir.FS(), ".", func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.IsDir() {
			return err
		}
		return syncIn(dir, path)
	})
}

// syncTop makes the names in a folder last, and none of those in its folders.
func syncTop(dir *os.Root) error { return syncIn(dir, ".") }

func syncIn(dir *os.Root, path string) error {
	f, err := dir.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Sync(); err != nil && !errors.Is(err, syscall.EINVAL) { // some shares have nothing to do there
		return err
	}
	return nil
}

// giveTree gives a folder and all that is in it to the owner of another one, if root asks: the
// folder last, as until then nobody else can reach what is in it.
func giveTree(dir *os.Root, like string) error {
	uid, gid, err := giveTo(like)
	if err != nil || uid < 0 {
		return err
	}
	err = fs.WalkDir(dir.FS(), ".", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || path == "." {
			return err
		}
		return dir.Lchown(path, uid, gid)
	})
	if err != nil {
		return err
	}
	return dir.Lchown(".", uid, gid)
}
