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

func TestHowFar(t *testing.T) {
	for want, at := range map[string][2]uint64{
		"[........................] 0 of 48 files": {0, 48}, "[############............] 24 of 48 files": {24, 48},
		"[#######################.] 47 of 48 files": {47, 48}, "[########################] 48 of 48 files": {48, 48},
		"[########################] 0 of 0 files": {0, 0},
	} {
		if got := howFar(at[0], at[1], "files"); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
