//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// lockFolder makes this process the only one that has the folder's keyring and
// store open, until release or its end. It is taken before the keyring is read:
// one that was read earlier could be older than the store, and writing it would
// lose keys. errInUse: another process has it.
func lockFolder(dir string) (release func(), err error) {
	f, err := openLock(dir)
	if err != nil {
		return nil, err
	}
	if err := tryLock(f); err != nil {
		f.Close()
		if errors.Is(err, errInUse) {
			return nil, fmt.Errorf("%s: %w", dir, err)
		}
		return nil, fmt.Errorf("lock the folder: %w", err)
	}
	return func() { f.Close() }, nil
}

// lockFolderSoon is lockFolder for one who can wait a moment. It stands in line: commands
// that come one after the other do not keep it out.
func lockFolderSoon(ctx context.Context, dir string) (release func(), err error) {
	f, err := openLock(dir)
	if err != nil {
		return nil, err
	}
	locked := make(chan error, 1)
	go func() { locked <- flock(f, unix.LOCK_EX) }()
	limit := time.NewTimer(lockPatience)
	defer limit.Stop()
	select {
	case err = <-locked:
		if err != nil {
			f.Close()
			return nil, fmt.Errorf("lock the folder: %w", err)
		}
		return func() { f.Close() }, nil
	case <-limit.C:
	case <-ctx.Done():
	}
	go func() { // the call cannot be taken back
		<-locked
		f.Close()
	}()
	return nil, fmt.Errorf("%s: %w", dir, errInUse)
}

// ownFolder refuses to let root, who may everything, write into a folder of somebody
// else: what it makes there the service could not open.
func ownFolder(dir string, euid int) error {
	info, err := os.Stat(dir)
	if err != nil {
		return nil // whoever needs it says so
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok || euid != 0 || owner.Uid == 0 {
		return nil
	}
	name := userName(owner.Uid)
	return fmt.Errorf("%s belongs to %s, who could not read what root writes there: run it as `sudo -u %s cairn …`", dir, name, name)
}

func userName(uid uint32) string {
	name := "#" + strconv.FormatUint(uint64(uid), 10)
	if u, err := user.LookupId(name[1:]); err == nil {
		name = u.Username
	}
	return name
}

// asOwner says who may what somebody else may not in a folder; "" if err is another one.
func asOwner(dir string, err error) string {
	if !errors.Is(err, fs.ErrPermission) {
		return ""
	}
	info, err := os.Stat(dir)
	if err != nil {
		return ""
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok || int(owner.Uid) == os.Geteuid() {
		return ""
	}
	return fmt.Sprintf("; the folder is for %[1]s alone: run it as `sudo -u %[1]s cairn …`", userName(owner.Uid))
}

// giveTo is whose a folder's files are to be, if root asks; else uid is -1.
func giveTo(like string) (uid, gid int, err error) {
	info, err := os.Stat(like)
	if err != nil {
		return -1, -1, err
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok || os.Geteuid() != 0 {
		return -1, -1, nil
	}
	return int(owner.Uid), int(owner.Gid), nil
}

// tryLock locks a file as long as it is open. errInUse: somebody else has.
func tryLock(f *os.File) error {
	err := flock(f, unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return errInUse
	}
	return err
}

func openLock(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the folder: %w", err)
	}
	return f, nil
}

func flock(f *os.File, how int) error {
	for {
		if err := unix.Flock(int(f.Fd()), how); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
