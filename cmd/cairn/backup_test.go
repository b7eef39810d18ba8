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

// newCopied makes a gateway's folder with a snapshot.
func newCopied(t *testing.T) (*command, *snapshot) {
	dir := t.TempDir()
	snap := filepath.Join(dir, snapshotPrefix+"1")
	if err := os.MkdirAll(filepath.Join(snap, "data"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{configFile, keyringFile, "data/x"} {
		if err := os.WriteFile(filepath.Join(snap, name), []byte(name), 0o640); err != nil {
			t.Fatal(err)
		}
	}
	return &command{Streams: Streams{Err: &strings.Builder{}}, dir: dir}, &snapshot{Dir: snapshotPrefix + "1"}
}

// What cannot be copied whole leaves nothing.
func TestBackupStops(t *testing.T) {
	c, s := newCopied(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	to := filepath.Join(c.dir, "to")
	if _, err := c.backup(ctx, s, to); !errors.Is(err, context.Canceled) || exists(to) || exists(to+partEnding) {
		t.Errorf("%v; %v, %v", err, exists(to), exists(to+partEnding))
	}
	a, err := c.backup(t.Context(), s, to)
	if err != nil || a.Files != 3 || !exists(filepath.Join(to, manifestFile)) || exists(filepath.Join(to, lockFile)) || exists(to+partEnding) {
		t.Errorf("%+v, %v", a, err)
	}
	if info, err := os.Stat(filepath.Join(to, "data", "x")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
}

// A snapshot that goes while it is copied makes no backup, whatever was copied.
func TestBackupOfNone(t *testing.T) {
	c, s := newCopied(t)
	from, err := openSnapshot(c.dir, s.Dir)
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	if err := removeSnapshot(filepath.Join(c.dir, s.Dir)); err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(c.dir, "to")
	if _, err := c.copySnapshot(t.Context(), from, s, to); err == nil || !strings.Contains(err.Error(), "try again") || exists(to) || exists(to+partEnding) {
		t.Errorf("%v; %v, %v", err, exists(to), exists(to+partEnding))
	}
}

// What a backup that was killed has left gives way; one at work, and what is nobody's, does not.
func TestBackupLeft(t *testing.T) {
	c, s := newCopied(t)
	to := filepath.Join(c.dir, "to")
	part := to + partEnding
	if err := os.Mkdir(part, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := c.backup(t.Context(), s, to); err != nil || exists(part) {
		t.Errorf("an empty one: %v", err)
	}
	to += "2"
	part = to + partEnding
	if err := os.MkdirAll(filepath.Join(part, "data"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := c.backup(t.Context(), s, to); err == nil || !strings.Contains(err.Error(), "nothing that a backup left") || !exists(part) {
		t.Errorf("a folder of somebody else: %v", err)
	}
	lock, err := os.Create(filepath.Join(part, lockFile))
	if err != nil {
		t.Fatal(err)
	}
	if err := tryLock(lock); err != nil {
		t.Fatal(err)
	}
	if _, err := c.backup(t.Context(), s, to); !errors.Is(err, errInUse) || !exists(part) {
		t.Errorf("one at work: %v", err)
	}
	if err := lock.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.backup(t.Context(), s, to); err != nil || exists(part) || !exists(to) {
		t.Errorf("one that was killed: %v", err)
	}
}

// Root copies for a service that it need not trust: nothing outside of the folder is read.
func TestBackupOutside(t *testing.T) {
	c, s := newCopied(t)
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("root's"), 0o600); err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(c.dir, "to")
	for _, dir := range []string{"", ".", "data", "../" + filepath.Base(filepath.Dir(secret)), snapshotPrefix + "/../..", filepath.Dir(secret)} {
		if _, err := c.backup(t.Context(), &snapshot{Dir: dir}, to); err == nil || exists(to) {
			t.Errorf("a snapshot %q was copied", dir)
		}
	}
	for name, link := range map[string]string{s.Dir + "/link": secret, s.Dir + "/data/link": filepath.Dir(secret), snapshotPrefix + "2": filepath.Dir(secret)} {
		at := filepath.Join(c.dir, name)
		if err := os.Symlink(link, at); err != nil {
			t.Fatal(err)
		}
		dir, _, _ := strings.Cut(name, "/")
		if _, err := c.backup(t.Context(), &snapshot{Dir: dir}, to); err == nil || exists(to) || exists(to+partEnding) {
			t.Errorf("%s was followed: %v", name, err)
		}
		if err := os.Remove(at); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.backup(t.Context(), s, to); err != nil {
		t.Error(err)
	}
}

// What cannot be restored whole leaves nothing, and an empty folder that was there stays.
func TestRestoreStops(t *testing.T) {
	c, s := newCopied(t)
	from := filepath.Join(c.dir, "backup")
	if _, err := c.backup(t.Context(), s, from); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, made := range []bool{false, true} {
		to := filepath.Join(c.dir, "to")
		if made {
			if err := os.Mkdir(to, 0o700); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := c.restore(ctx, from, to); !errors.Is(err, context.Canceled) || exists(to) != made {
			t.Errorf("%v; %v, want %v", err, exists(to), made)
		}
		m := &manifest{Files: []backedUpFile{{Path: "data/x"}, {Path: "y"}}}
		if err := os.MkdirAll(filepath.Join(to, "data"), 0o700); err != nil {
			t.Fatal(err)
		}
		root, err := os.OpenRoot(to)
		if err != nil {
			t.Fatal(err)
		}
		if err := takeBack(root, m, !made); err != nil || exists(to) != made || exists(filepath.Join(to, "data")) {
			t.Errorf("%v; %v, want %v", err, exists(to), made)
		}
		root.Close()
	}
	to := filepath.Join(c.dir, "whole")
	if _, err := c.restore(t.Context(), from, to); err != nil || !exists(filepath.Join(to, "data", "x")) {
		t.Error(err)
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
