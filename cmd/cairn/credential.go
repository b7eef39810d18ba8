package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// envCredentials is where systemd says the folder with a service's credentials is
// (systemd.exec(5), LoadCredential=).
const envCredentials = "CREDENTIALS_DIRECTORY"

// credentialPrefix marks, where a setting names a file, one of that folder.
const credentialPrefix = "credential:"

// credentialPath is where a credential is. Where nobody gives any, or the name is none,
// it is no path: reading it says so.
func credentialPath(name string) string {
	dir := os.Getenv(envCredentials)
	if dir == "" || name == "." || name == ".." || name != filepath.Base(name) {
		return credentialPrefix + name
	}
	return filepath.Join(dir, name)
}

// credentialGiven refuses what credentialPath found no path for.
func credentialGiven(path string) error {
	name, not := strings.CutPrefix(path, credentialPrefix)
	switch {
	case !not:
		return nil
	case os.Getenv(envCredentials) != "":
		return fmt.Errorf("%q is no name of a credential", name)
	}
	return fmt.Errorf("%s is not set: systemd gives %s to the service alone, from LoadCredential= or LoadCredentialEncrypted= in its unit", envCredentials, name)
}

// inCredentials reports whether a file is one of the credentials.
func inCredentials(path string) bool {
	dir := os.Getenv(envCredentials)
	return dir != "" && filepath.Dir(path) == filepath.Clean(dir)
}

// ownerOnly refuses a file of a secret that others may read. A credential is root's and
// the service may read it by an access list, whose mask stands where the group's rights
// do: there the group may read.
func ownerOnly(path string) error {
	if err := credentialGiven(path); err != nil {
		return err
	}
	others := os.FileMode(0o077)
	if inCredentials(path) {
		others = 0o037
	}
	info, err := os.Stat(path)
	if err == nil && info.Mode().Perm()&others != 0 {
		err = fmt.Errorf("%s may be read by others than its owner: chmod 600 it", path)
	}
	return err
}
