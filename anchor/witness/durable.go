package witness

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// files are the system calls of a durable write.
type files interface {
	create(path string) (file, error) // for writing; what was there is emptied
	rename(from, to string) error
	syncDir(path string) error
	read(path string) ([]byte, error)
}

type file interface {
	io.WriteCloser
	Sync() error
}

// replace makes a file hold data, durably. At each step a crash leaves:
//
//	create, write   the old file, and a part of name.new, which nobody reads and
//	                the next write empties
//	sync, close     the old file, and all of name.new
//	rename          the old file or the new one, whichever of the folder's two
//	                states the disk has
//	syncDir         the new file
//
// An error says that one of both is there.
func replace(f files, dir, name string, data []byte) error {
	path := filepath.Join(dir, name)
	w, err := f.create(path + ".new")
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	_, err = w.Write(data)
	if err == nil {
		err = w.Sync()
	}
	if cerr := w.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = f.rename(path+".new", path)
	}
	if err == nil {
		err = f.syncDir(dir)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

// disk is the file system.
type disk struct{}

func (disk) create(path string) (file, error) {
	return os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
}

func (disk) rename(from, to string) error { return os.Rename(from, to) }

func (disk) syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

func (disk) read(path string) ([]byte, error) { return os.ReadFile(path) }
