package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cairn/store/share"
)

func TestCredential(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "keyring"), []byte("sesame open\n"), 0o400); err != nil {
		t.Fatal(err)
	}
	c := &command{}
	cfg := &Config{Dir: t.TempDir(), Credential: "keyring"}
	t.Setenv(envCredentials, "")
	if _, err := c.wrap(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "LoadCredential") {
		t.Errorf("got %v, want what to do", err)
	}
	t.Setenv(envCredentials, dir)
	w, err := c.wrap(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), keyringFile)
	w.WorkFactor = 4
	if _, err := share.Create(path, w); err != nil {
		t.Fatal(err)
	}
	if _, err := share.Open(path, share.Wrap{Passphrase: []byte("sesame open")}); err != nil {
		t.Errorf("what systemd gave is not the passphrase: %v", err)
	}
	forget(w)
	if strings.Trim(string(w.Credential), "\x00") != "" {
		t.Error("the credential stays in memory")
	}
	cfg.Credential = "other"
	if _, err := c.wrap(t.Context(), cfg); err == nil {
		t.Error("a credential that is not there opens something")
	}
}
