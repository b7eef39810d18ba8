package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// TestManual writes the manual: each command has a page, and what writes them is no
// part of the gateway.
func TestManual(t *testing.T) {
	dir := t.TempDir()
	run := exec.Command("go", "run", "-tags", "manual", "cairn/cmd/cairn", dir)
	run.Env = append(os.Environ(), "CGO_ENABLED=0", "SOURCE_DATE_EPOCH=86400", envDir+"=")
	if out, err := run.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var check func(cmd *cobra.Command)
	check = func(cmd *cobra.Command) {
		if cmd.Hidden || !cmd.IsAvailableCommand() && cmd.HasParent() {
			return
		}
		name := strings.ReplaceAll(cmd.CommandPath(), " ", "-") + ".1"
		page, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Error(err)
		} else if text := string(page); !strings.Contains(text, `"Jan 1970"`) || !strings.Contains(text, ".SH SYNOPSIS") {
			t.Errorf("%s has no date of ours or no synopsis:\n%.300s", name, text)
		}
		for _, sub := range cmd.Commands() {
			check(sub)
		}
	}
	check((&command{}).root())
	deps, err := exec.Command("go", "list", "-deps", "cairn/cmd/cairn").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, never := range []string{"go-md2man", "cobra/doc"} {
		if strings.Contains(string(deps), never) {
			t.Errorf("the gateway links %s", never)
		}
	}
}
