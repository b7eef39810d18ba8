package main

import (
	"fmt"
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
