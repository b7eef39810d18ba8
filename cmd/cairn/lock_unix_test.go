//go:build unix

package main

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// shortCommand takes as long as a command does that hardly does anything.
func shortCommand(t *testing.T) {
	if err := exec.Command("true").Run(); err != nil {
		t.Error(err)
	}
}

// TestLockInLine: commands that use the folder one after the other, with hardly a moment
// between them, do not keep out who waits for it.
func TestLockInLine(t *testing.T) {
	dir := t.TempDir()
	ctx, stop := context.WithCancel(t.Context())
	var commands sync.WaitGroup
	held := make(chan struct{})
	commands.Go(func() {
		for first := true; ctx.Err() == nil; first = false {
			release, err := lockFolder(dir)
			if errors.Is(err, errInUse) {
				return // the one who waited has it
			}
			if err != nil {
				t.Error(err)
				return
			}
			if first {
				close(held)
			}
			for range 20 {
				shortCommand(t)
			}
			release()
			shortCommand(t)
		}
	})
	<-held
	release, err := lockFolderSoon(ctx, dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lockFolder(dir); !errors.Is(err, errInUse) {
		t.Errorf("the folder is locked, and a command got: %v", err)
	}
	stop()
	commands.Wait()

	// Who is told to leave while it waits leaves, and has nothing once the other goes.
	gone, leave := context.WithCancel(t.Context())
	leave()
	if _, err := lockFolderSoon(gone, dir); !errors.Is(err, errInUse) {
		t.Errorf("told to leave while it waits: %v", err)
	}
	release()
	if release, err = lockFolderSoon(t.Context(), dir); err != nil {
		t.Fatalf("the folder stays locked: %v", err)
	}
	release()
}

// TestRootKeepsOut: root makes no files in a folder of somebody else.
func TestRootKeepsOut(t *testing.T) {
	dir, somebody := t.TempDir(), os.Geteuid()
	if somebody == 0 { // only root can give a folder away, and anybody else has one
		somebody = 12345
		if err := os.Chown(dir, somebody, -1); err != nil {
			t.Fatal(err)
		}
	}
	if err := ownFolder(dir, 0); err == nil || !strings.Contains(err.Error(), "sudo -u ") {
		t.Errorf("root in a folder of %d: got %v", somebody, err)
	}
	for _, err := range []error{ownFolder(dir, somebody), ownFolder("/", 0), ownFolder(filepath.Join(dir, "none"), 0)} {
		if err != nil {
			t.Errorf("refused: %v", err)
		}
	}
}
