package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestManifest(t *testing.T) {
	file := func(path string) string { return fmt.Sprintf(`{"path":%q,"size":1,"sha256":"00"}`, path) }
	of := func(files ...string) string {
		return `{"version":1,"made":"","cairn":"","ledgers":[],"files":[` + strings.Join(files, ",") + `]}`
	}
	good := []string{file(configFile), file(keyringFile), file("data/000001.log")}
	if m, err := parseManifest([]byte(of(good...))); err != nil || len(m.Files) != 3 {
		t.Fatalf("got %+v, %v", m, err)
	}
	for name, text := range map[string]string{
		"nothing":             "",
		"no keyring":          of(file(configFile)),
		"a file outside":      of(append(good, file("../../etc/passwd"))...),
		"an absolute path":    of(append(good, file("/etc/passwd"))...),
		"a path of elsewhere": of(append(good, file(`..\x`))...),
		"a file twice":        of(append(good, file(keyringFile))...),
		"itself":              of(append(good, file(manifestFile))...),
		"another version":     strings.Replace(of(good...), `"version":1`, `"version":2`, 1),
		"an unknown key":      strings.Replace(of(good...), `"made"`, `"maid"`, 1),
	} {
		if _, err := parseManifest([]byte(text)); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
}

// The configuration is restored last, and nothing else changes its place.
func TestManifestSort(t *testing.T) {
	m := manifest{Files: []backedUpFile{{Path: "a"}, {Path: configFile}, {Path: "z"}, {Path: "b"}}}
	m.sort()
	var got []string
	for _, f := range m.Files {
		got = append(got, f.Path)
	}
	if want := []string{"a", "z", "b", configFile}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// Escrow files are copied for their owner alone, and where there are none no folder is made.
func TestCopyEscrow(t *testing.T) {
	dir := t.TempDir()
	from, to := filepath.Join(dir, "from"), filepath.Join(dir, "to")
	if err := copyEscrow(from, to); err != nil || exists(to) {
		t.Fatalf("of none: %v, a folder: %v", err, exists(to))
	}
	if err := os.Mkdir(from, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(from, "2026-10-7"), []byte("shares"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := copyEscrow(from, to); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(to, "2026-10-7"))
	info, serr := os.Stat(filepath.Join(to, "2026-10-7"))
	if err != nil || serr != nil || string(b) != "shares" || info.Mode().Perm() != 0o600 {
		t.Errorf("%q, %v, %v, %v", b, info, err, serr)
	}
}

// A snapshot is there while it is copied, and gone when the one who copies it is.
func TestSnapshot(t *testing.T) {
	g := newConsoleSite(t).g
	for _, l := range g.ledgers {
		if err := os.WriteFile(l.cfg.path(keyringFile), []byte("encrypted"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ctx, gone := context.WithCancel(t.Context())
	var dir string
	err := g.snapshot(ctx, func(text string) {
		var s snapshot
		if err := json.Unmarshal([]byte(text), &s); err != nil || len(s.Ledgers) != 2 || s.Ledgers[0].Batches == 0 {
			t.Errorf("told %s, %v", text, err)
		}
		dir = g.cfg.path(s.Dir)
		for _, name := range []string{"data", keyringFile, "ledgers/annex/data", "ledgers/annex/" + keyringFile} {
			if !exists(filepath.Join(dir, name)) {
				t.Errorf("no %s in it", name)
			}
		}
		if left, err := g.leftOut(); err != nil || slices.Contains(left, s.Dir) {
			t.Errorf("of the folder are not in backups: %v, %v", left, err)
		}
		gone()
	})
	if err != nil || dir == "" || exists(dir) {
		t.Errorf("%v, and %s is there: %v", err, dir, exists(dir))
	}
	if err := os.Mkdir(dir, 0o700); err != nil { // as by a service that was killed
		t.Fatal(err)
	}
	if err := removeSnapshots(g.cfg.Dir); err != nil || exists(dir) || !exists(g.cfg.path("data")) {
		t.Errorf("%v, and %s is there: %v", err, dir, exists(dir))
	}
}

// What cannot be copied whole leaves nothing.
func TestBackupStops(t *testing.T) {
	dir := t.TempDir()
	c := &command{Streams: Streams{Err: &strings.Builder{}}, dir: dir}
	if err := os.MkdirAll(filepath.Join(dir, "snap", "data"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "snap", "data", "x"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	to := filepath.Join(dir, "to")
	if _, err := c.backup(ctx, &snapshot{Dir: "snap"}, to); !errors.Is(err, context.Canceled) || exists(to) || exists(to+".part") {
		t.Errorf("%v; %v, %v", err, exists(to), exists(to+".part"))
	}
	if a, err := c.backup(t.Context(), &snapshot{Dir: "snap"}, to); err != nil || a.Files != 1 || !exists(filepath.Join(to, manifestFile)) {
		t.Errorf("%+v, %v", a, err)
	}
}

func FuzzManifest(f *testing.F) {
	f.Add([]byte(`{"version":1,"made":"","cairn":"","ledgers":[],"files":[{"path":"cairn.yaml","size":1,"sha256":"00"},{"path":"keyring.cairn"}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := parseManifest(b)
		if err != nil {
			return
		}
		for _, x := range m.Files {
			if strings.HasPrefix(x.Path, "/") || strings.HasPrefix(x.Path, "../") || x.Path == ".." {
				t.Fatalf("%q is outside", x.Path)
			}
		}
	})
}
