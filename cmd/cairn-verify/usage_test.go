//go:build !js

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// TestNotAProof: what cannot be checked exits with 2 whatever is asked of it.
func TestNotAProof(t *testing.T) {
	garbage := filepath.Join(t.TempDir(), "garbage")
	if err := os.WriteFile(garbage, []byte("no proof"), 0o600); err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	if exit := export([]string{"--format", "ots", "--out", garbage + ".ots", garbage}, &out, &errs); exit != 2 {
		t.Errorf("export of a file that is no proof: exit %d, want 2\n%s%s", exit, &out, &errs)
	}
	if _, err := os.Stat(garbage + ".ots"); err == nil {
		t.Error("something was written")
	}
}
