//go:build unix

package main

import (
	"net"
	"os"
	"syscall"
)

// listenPrivate listens on a unix socket that is its owner's alone from the
// moment it exists.
func listenPrivate(path string) (net.Listener, error) {
	old := syscall.Umask(0o177)
	l, err := net.Listen("unix", path)
	syscall.Umask(old)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o600); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}
