//go:build !js

package main

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"

	"cairn/anchor/proof"
	"cairn/anchor/proof/report"
)

// errAttachment is told of a file that is no proof.
var errAttachment = errors.New("--attachment is of proof files: only they show what was attached to an installation")

// hashAttachments hashes the files that the proof shall name.
func (c *command) hashAttachments(told *report.Options) (all []proof.GivenFile, err error) {
	for _, path := range c.attachments {
		digest, size, err := hashFile(path)
		if err != nil {
			return nil, fmt.Errorf("--attachment: %w", err)
		}
		told.Held = append(told.Held, report.Input{What: "attachment", Name: path, Digest: digest, Size: size})
		all = append(all, proof.GivenFile{Name: path, Digest: digest})
	}
	return all, nil
}

// hashFile returns the SHA-256 and the size of a file.
func hashFile(path string) (digest [32]byte, size int64, err error) {
	if s, err := os.Stat(path); err != nil {
		return digest, 0, fmt.Errorf("%w; check the name", err)
	} else if !s.Mode().IsRegular() {
		return digest, 0, fmt.Errorf("%s is no file that could have been attached", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return digest, 0, fmt.Errorf("%w; check its permissions", err)
	}
	defer f.Close()
	h := sha256.New()
	size, err = io.Copy(h, io.LimitReader(f, proof.MaxAttached+1))
	if err != nil {
		return digest, 0, fmt.Errorf("%w; check the file", err)
	}
	if size > proof.MaxAttached {
		return digest, 0, fmt.Errorf("%s is over %d bytes: no such file is attached", path, int64(proof.MaxAttached))
	}
	return [32]byte(h.Sum(nil)), size, nil
}
