package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	readmeLine = regexp.MustCompile(`(?m)^\$ (?:bin/)?cairn (.*)$`)
	readmeCode = regexp.MustCompile("`(?:cairn )([a-z][^`]*)`")
	readmeMake = regexp.MustCompile("(?:^\\$ |`)make ([a-z]+)")
	readmeLink = regexp.MustCompile(`\]\(([^)#][^)]*)\)`)
)

// Whatever README tells people to type exists: commands, flags, targets, files.
func TestREADME(t *testing.T) {
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, m := range readmeLine.FindAllSubmatch(text, -1) {
		lines = append(lines, string(m[1]))
	}
	if len(lines) < 5 {
		t.Errorf("got %d command lines, want at least 5", len(lines))
	}
	for _, m := range readmeCode.FindAllSubmatch(text, -1) {
		first, _, _ := strings.Cut(string(m[1]), "`")
		lines = append(lines, first)
	}
	for _, line := range lines {
		checkCommandLine(t, line)
	}
	makefile, err := os.ReadFile("../../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range readmeMake.FindAllSubmatch(text, -1) {
		if !regexp.MustCompile(`(?m)^` + string(m[1]) + `:`).Match(makefile) {
			t.Errorf("make has no target %s", m[1])
		}
	}
	for _, m := range readmeLink.FindAllSubmatch(text, -1) {
		if _, err := os.Stat(filepath.Join("../..", string(m[1]))); err != nil {
			t.Errorf("link: %v", err)
		}
	}
}

// checkCommandLine finds the command and each of its flags.
func checkCommandLine(t *testing.T, line string) {
	t.Helper()
	words := strings.Fields(strings.NewReplacer("[", "", "]", "").Replace(line))
	c := &command{}
	cmd, _, err := c.root().Find(words)
	if err != nil || cmd == cmd.Root() {
		t.Errorf("cairn %s: got command %v, %v", line, cmd.Name(), err)
		return
	}
	for _, w := range words {
		name, is := strings.CutPrefix(w, "--")
		if name, _, _ = strings.Cut(name, "="); is && cmd.Flag(name) == nil && cmd.InheritedFlags().Lookup(name) == nil {
			t.Errorf("cairn %s: no flag %s", line, w)
		}
	}
}
