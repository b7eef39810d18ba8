package mirror

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

const newEnd = ".new" // of a file that is being written

// writeFile makes a file hold data, durably. At each step a crash leaves:
//
//	create, write   the old file, and a part of name.new, which nobody reads and
//	                the next write empties
//	sync, close     the old file, and all of name.new
//	rename          the old file or the new one
//	sync of folder  the new file
func writeFile(path string, data []byte, mode fs.FileMode) error {
	if err := writeUnsynced(path, data, mode); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// writeUnsynced is writeFile without its last step: after a crash the old file
// may be there. Whoever writes several files of a folder syncs it once, after them.
func writeUnsynced(path string, data []byte, mode fs.FileMode) error {
	f, err := os.OpenFile(path+newEnd, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, mode)
	if err != nil {
		return fmt.Errorf("write the copy: %w", err)
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(path+newEnd, path)
	}
	if err != nil {
		return fmt.Errorf("write the copy: %w", err)
	}
	return nil
}

// writeAt writes data at an offset of a file that is made if it is not there,
// and cuts off what follows. It is durable on return.
func writeAt(path string, offset int64, data []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("write the copy: %w", err)
	}
	_, err = f.WriteAt(data, offset)
	if err == nil {
		err = f.Truncate(offset + int64(len(data)))
	}
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil && offset == 0 {
		err = syncDir(filepath.Dir(path))
	}
	if err != nil {
		return fmt.Errorf("write the copy: %w", err)
	}
	return nil
}

// makeDir makes a folder and those above it, durably.
func makeDir(path string) error {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return nil
	}
	if up := filepath.Dir(path); up != path {
		if err := makeDir(up); err != nil {
			return err
		}
	}
	if err := os.Mkdir(path, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("write the copy: %w", err)
	}
	return syncDir(filepath.Dir(path))
}

func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("write the copy: %w", err)
	}
	err = d.Sync()
	if cerr := d.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("write the copy: %w", err)
	}
	return nil
}

// readLimited reads a file of at most limit bytes; ErrNotFound if there is none.
func readLimited(path string, limit int64) ([]byte, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNotFound
	}
	if err == nil && info.Size() > limit {
		err = fmt.Errorf("%s has %d bytes, at most %d", filepath.Base(path), info.Size(), limit)
	}
	if err != nil {
		return nil, fmt.Errorf("read the copy: %w", err)
	}
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("read the copy: %w", err)
	}
	return b, nil
}
