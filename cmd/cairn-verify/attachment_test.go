//go:build !js

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cairn/anchor/proof"
)

// TestLongAttachment: a file is read as it is hashed, up to the longest that is attached.
func TestLongAttachment(t *testing.T) {
	path := filepath.Join(t.TempDir(), "long")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, proof.MaxAttached+1); err != nil {
		t.Fatal(err)
	}
	if _, _, err := hashFile(path); err == nil || !strings.Contains(err.Error(), "is over 1073741824 bytes") {
		t.Errorf("got %v", err)
	}
}
