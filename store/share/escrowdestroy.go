// # Confirmation
//
// A confirmation is a holder's signed word that copies are gone. One word and its
// value a line:
//
//	cairn/destroyed/1
//	ledger HEX                ledger id
//	holder NAME
//	before 2026-07-01T00:00:00Z
//	files N HEX               how many escrow files, and SHA-256 over their digests, ascending, ‖
//	made 2026-07-02T09:11:12Z
//	I have destroyed every copy that I held of keys and data from before that time.
//	signature HEX             by the holder's key, over all lines before
//
// It proves who said so, not that it is true.
package share

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	destroyedMagic = "cairn/destroyed/1"
	destroyedWords = "I have destroyed every copy that I held of keys and data from before that time."

	// MaxConfirmation is how many bytes the signed text of a confirmation can have.
	MaxConfirmation = 1024
)

// Destroyed is what a holder confirms.
type Destroyed struct {
	Ledger [32]byte
	Holder string
	Before int64    // Unix milliseconds, a whole second: keys of hours before it
	Files  uint32   // escrow files that were deleted
	Digest [32]byte // over their digests, see FilesDigest
	At     int64    // Unix milliseconds, a whole second
}

// FilesDigest is the hash over the digests of escrow files in ascending order.
func FilesDigest(files []*Escrow) [32]byte {
	digests := make([][32]byte, len(files))
	for i, e := range files {
		digests[i] = e.Digest()
	}
	slices.SortFunc(digests, func(x, y [32]byte) int { return bytes.Compare(x[:], y[:]) })
	h := sha256.New()
	for i := range digests {
		h.Write(digests[i][:])
	}
	return [32]byte(h.Sum(nil))
}

func (d *Destroyed) text() []byte {
	return fmt.Appendf(nil, "%s\nledger %x\nholder %s\nbefore %s\nfiles %d %x\nmade %s\n%s\n", destroyedMagic, d.Ledger, d.Holder,
		stamp(d.Before), d.Files, d.Digest, stamp(d.At), destroyedWords)
}

func stamp(ms int64) string { return time.UnixMilli(ms).UTC().Format(time.RFC3339) }

func unstamp(s string) (int64, error) {
	t, err := time.Parse("2006-01-02T15:04:05Z", s)
	return t.UnixMilli(), err
}

// Confirm returns the confirmation file, signed.
func (k *HolderKey) Confirm(d *Destroyed) ([]byte, error) {
	if len(d.Holder) > maxHolderName || !validName(d.Holder) || d.Before < 0 || d.At < 0 || d.Before%1000 != 0 || d.At%1000 != 0 {
		return nil, fmt.Errorf("confirm: a name or time: %w", ErrLimit)
	}
	return k.signText(d.text()), nil
}

// ParseDestroyed reads a confirmation: what it says, the text that is signed and
// the signature, which [VerifyText] checks with the holder's key. It accepts just
// what [HolderKey.Confirm] writes, and fails with [ErrEscrow].
func ParseDestroyed(b []byte) (d Destroyed, text []byte, signature [64]byte, err error) {
	text, signature, err = splitSigned(b, "confirmation")
	if err != nil {
		return Destroyed{}, nil, signature, err
	}
	bad := fmt.Errorf("%w: it is not a confirmation", ErrEscrow)
	lines := strings.Split(string(text), "\n")
	if len(lines) != 8 || lines[0] != destroyedMagic || len(text) > MaxConfirmation {
		return Destroyed{}, nil, signature, bad
	}
	count, digest, _ := strings.Cut(strings.TrimPrefix(lines[4], "files "), " ")
	files, err := strconv.ParseUint(count, 10, 32)
	if err != nil {
		return Destroyed{}, nil, signature, bad
	}
	d.Holder, d.Files = strings.TrimPrefix(lines[2], "holder "), uint32(files)
	if d.Before, err = unstamp(strings.TrimPrefix(lines[3], "before ")); err != nil {
		return Destroyed{}, nil, signature, bad
	}
	if d.At, err = unstamp(strings.TrimPrefix(lines[5], "made ")); err != nil {
		return Destroyed{}, nil, signature, bad
	}
	id, err := hex.DecodeString(strings.TrimPrefix(lines[1], "ledger "))
	sum, err2 := hex.DecodeString(digest)
	if err != nil || err2 != nil || len(id) != 32 || len(sum) != 32 {
		return Destroyed{}, nil, signature, bad
	}
	d.Ledger, d.Digest = [32]byte(id), [32]byte(sum)
	if len(d.Holder) > maxHolderName || !validName(d.Holder) || d.Before < 0 || d.At < 0 || !bytes.Equal(d.text(), text) {
		return Destroyed{}, nil, signature, bad
	}
	return d, text, signature, nil
}

// VerifyText tells whether a holder's key signed a text.
func VerifyText(text []byte, signature [64]byte, key [32]byte) bool {
	return ed25519.Verify(key[:], text, signature[:])
}

// DestroyFile overwrites a file, deletes it, and syncs its folder. Disks that
// write elsewhere than where they are told, and copies, may still have it.
func DestroyFile(path string) error {
	w, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("destroy: %w", err)
	}
	info, err := w.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a regular file", path)
	}
	blank := make([]byte, 1<<16)
	for n := int64(0); err == nil && n < info.Size(); n += int64(len(blank)) {
		_, err = w.WriteAt(blank[:min(int64(len(blank)), info.Size()-n)], n)
	}
	if err == nil {
		err = w.Sync()
	}
	if cerr := w.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Remove(path)
	}
	if err == nil {
		err = syncDir(filepath.Dir(path))
	}
	if err != nil {
		return fmt.Errorf("destroy %s: %w", path, err)
	}
	return nil
}
