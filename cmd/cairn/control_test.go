//go:build unix

package main

import (
	"path/filepath"
	"strings"
	"testing"
)

// A folder with a long name gets an error that says what to do.
func TestSocketPathTooLong(t *testing.T) {
	l, err := listenControl(filepath.Join(t.TempDir(), strings.Repeat("long", 40), socketFile))
	if err == nil {
		l.Close()
		t.Fatal("a socket with a path of over 160 bytes was made")
	}
	if !strings.Contains(err.Error(), "shorter name") {
		t.Errorf("got %v, want a word on the path's length", err)
	}
}
