package witness

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"cairn/merkle"
)

const keyFile = "witness.key"

// Init makes a witness's folder with a key in it, and refuses one that has a key.
func Init(dir string, s Signer) error {
	if err := os.MkdirAll(filepath.Join(dir, headsDir), 0o700); err != nil {
		return fmt.Errorf("make a witness: %w", err)
	}
	path := filepath.Join(dir, keyFile)
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("make a witness: %s is there already, and a key that was given out must not be replaced", path)
	}
	if err := replace(disk{}, dir, keyFile, []byte(s.Secret()+"\n")); err != nil {
		return fmt.Errorf("make a witness: %w", err)
	}
	return nil
}

// ReadSigner reads the key of a witness's folder. A file that others than its owner
// may read is refused.
func ReadSigner(dir string) (Signer, error) {
	path := filepath.Join(dir, keyFile)
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return Signer{}, fmt.Errorf("read the witness's key: %w", err)
	case info.Mode().Perm()&0o077 != 0:
		return Signer{}, fmt.Errorf("read the witness's key: %s may be read by others than its owner: chmod 600 it", path)
	case info.Size() > maxKeyText:
		return Signer{}, fmt.Errorf("read the witness's key: %s has %d bytes: %w", path, info.Size(), ErrKey)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return Signer{}, fmt.Errorf("read the witness's key: %w", err)
	}
	s, err := ParseSigner(strings.TrimSuffix(string(text), "\n"))
	if err != nil {
		return Signer{}, fmt.Errorf("read the witness's key: %s: %w", path, err)
	}
	return s, nil
}

// KnownLog is what a witness knows of a log.
type KnownLog struct {
	Origin string
	Keys   []string // key IDs, as in verifier keys
	Size   uint64   // of the newest head that was cosigned
	Root   merkle.Hash
	Time   uint64 // of the cosignature, in seconds since 1970; 0: none yet
	Forked bool   // it signed two heads of one size, which the folder holds
}

// List returns what the witness in dir knows, by origin. It may run meanwhile. A
// head that cannot be read is in the error, beside the list of the others.
func List(dir string, k Key) ([]KnownLog, error) {
	text, err := os.ReadFile(filepath.Join(dir, logsFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("list the logs: %w", err)
	}
	known := keyring{}
	if err := known.read(string(text)); err != nil {
		return nil, fmt.Errorf("list the logs: %w", err)
	}
	var all []KnownLog
	var errs []error
	for _, origin := range slices.Sorted(maps.Keys(known)) {
		h, err := readHead(disk{}, dir, origin, k)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		l := KnownLog{Origin: origin, Size: h.size, Root: h.root, Time: h.time}
		for _, v := range known[origin] {
			l.Keys = append(l.Keys, fmt.Sprintf("%08x", v.KeyHash()))
		}
		_, err = os.Stat(filepath.Join(dir, headsDir, originHash(origin)+forkEnd))
		l.Forked = err == nil
		all = append(all, l)
	}
	return all, errors.Join(errs...)
}
