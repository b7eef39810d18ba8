package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestCredentialFiles: a setting may name a credential where it names a file, with the
// rights that systemd gives it, and no file elsewhere may have those.
func TestCredentialFiles(t *testing.T) {
	given, site := t.TempDir(), t.TempDir()
	secret := []byte("kitchen-token-of-24-chars\n")
	for name, mode := range map[string]os.FileMode{"plain": 0o400, "acl": 0o440, "wide": 0o444, "writable": 0o460} {
		if err := os.WriteFile(filepath.Join(given, name), secret, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(filepath.Join(given, name), mode); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(site, "acl"), secret, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(site, "acl"), 0o440); err != nil {
		t.Fatal(err)
	}
	tests := []struct{ dir, setting, want string }{
		{given, "credential:plain", ""},
		{given, "credential:acl", ""},
		{given + "/", "credential:acl", ""},
		{given, "credential:wide", "may be read by others"},
		{given, "credential:writable", "may be read by others"},
		{given, "credential:none", "no such file"},
		{given, "credential:../" + filepath.Base(site) + "/acl", "is no name of a credential"},
		{given, "credential:..", "is no name of a credential"},
		{given, "credential:", "is no name of a credential"},
		{given, "acl", "may be read by others"},
		{"", "credential:plain", "LoadCredential="},
	}
	for _, tt := range tests {
		t.Setenv(envCredentials, tt.dir)
		got, err := readSecretFile(within(site, tt.setting))
		if tt.want == "" && (err != nil || string(got)+"\n" != string(secret)) {
			t.Errorf("%s in %q: got %q, %v", tt.setting, tt.dir, got, err)
		}
		if tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s in %q: got %v, want %q", tt.setting, tt.dir, err, tt.want)
		}
	}
}

// TestCredentialIdentity: an identity has a setting of its own for that.
func TestCredentialIdentity(t *testing.T) {
	for _, dir := range []string{"", t.TempDir()} {
		t.Setenv(envCredentials, dir)
		site := t.TempDir()
		if err := os.WriteFile(filepath.Join(site, configFile), []byte("keyring: {identity_file: \"credential:id\"}\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := loadConfig(site, nil, nil); err == nil || !strings.Contains(err.Error(), "name it in keyring.credential") {
			t.Errorf("with credentials in %q: got %v", dir, err)
		}
	}
}
