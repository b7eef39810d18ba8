//go:build unix

package ingest

import (
	"os"

	"golang.org/x/sys/unix"
)

// openFile opens a regular file, or a named pipe. A pipe is opened for writing
// as well, so that it neither waits for its first writer nor ends with its
// last; and without blocking, so that closing it ends a read.
func openFile(path string, info os.FileInfo) (*os.File, error) {
	if info.Mode()&os.ModeNamedPipe != 0 {
		return os.OpenFile(path, os.O_RDWR|unix.O_NONBLOCK, 0)
	}
	return os.Open(path)
}
