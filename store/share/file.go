package share

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"filippo.io/age"
)

var (
	// ErrMode tells that others than the owner may read a file of secrets; the
	// error says the chmod line to run.
	ErrMode = errors.New("file of secrets is open to others")
	// ErrExists tells that there is a file already where a keyring was to be created.
	ErrExists = errors.New("file exists")
	// ErrDamaged tells that a keyring file is not what was written: restore a copy.
	ErrDamaged = errors.New("keyring file is damaged")
	// ErrStale tells that somebody else has written the file since it was opened:
	// open it again.
	ErrStale = errors.New("keyring file was changed by another: open it again")
	// ErrBroken tells that the file was replaced but perhaps not for good: open the
	// keyring again to see which of the two it is.
	ErrBroken = errors.New("keyring file may hold the old or the new keys: open it again")
)

const (
	fileMagic  = "cairn/keyring/1"
	newSuffix  = ".new"
	maxHeader  = 64
	maxWrapped = 1 << 16
	maxFile    = 64 << 20
	sumSize    = sha256.Size
)

// file is an open keyring file: what a rewrite needs.
type file struct {
	path    string
	kind    string
	wrapped []byte
	inner   *age.X25519Identity
	sum     [sumSize]byte // checksum of the file as last read or written

	to          []age.Recipient // what the next inner identity is wrapped to
	unwrappable error           // or why it cannot be

	step func(name string) error // nil but in tests: called before each step of a write
	done func(name string) error // likewise, after the step was done
}

// createFile writes a new keyring file.
func createFile(path string, w Wrap, s *state) (*file, error) {
	f, err := newFile(path, w)
	if err != nil {
		return nil, err
	}
	return f, f.create(s)
}

// newFile makes what a new keyring file needs; nothing is written.
func newFile(path string, w Wrap) (*file, error) {
	if err := w.check(); err != nil {
		return nil, err
	}
	to, err := w.recipients()
	if err != nil {
		return nil, err
	}
	f := &file{path: path, kind: w.kind(), to: to}
	return f, f.drawInner()
}

// drawInner draws and wraps the inner identity.
func (f *file) drawInner() error {
	inner, err := age.GenerateX25519Identity()
	if err != nil {
		return fmt.Errorf("draw identity: %w", err)
	}
	text := []byte(inner.String())
	defer clear(text)
	wrapped, err := encrypt(text, f.to...)
	if err != nil {
		return err
	}
	f.inner, f.wrapped = inner, wrapped
	return nil
}

// openFile reads and opens a keyring file.
func openFile(path string, w Wrap) (*file, *state, error) {
	if err := w.check(); err != nil {
		return nil, nil, err
	}
	b, err := readPrivate(path, maxFile)
	if err != nil {
		return nil, nil, err
	}
	f, body, err := splitFile(b)
	if err != nil {
		return nil, nil, err
	}
	if f.kind != w.kind() {
		return nil, nil, fmt.Errorf("%w: it is wrapped by %s, not by %s", ErrPassphrase, f.kind, w.kind())
	}
	if f.inner, err = w.open(f.wrapped); err != nil {
		return nil, nil, err
	}
	f.to, f.unwrappable = w.again(f.wrapped)
	plain, err := decrypt(body, maxFile, f.inner)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: body does not decrypt", ErrDamaged)
	}
	defer clear(plain)
	s, err := parseState(plain)
	if err != nil {
		return nil, nil, err
	}
	if f.path, err = filepath.EvalSymlinks(path); err != nil { // a rewrite replaces the file, not a link to it
		return nil, nil, err
	}
	return f, s, nil
}

// Rewrap gives the keyring at path a new passphrase or identity file. Its secrets
// stay; the identity between is drawn anew, so that what the old passphrase opened
// does not open later versions of the file. No process may have the keyring open
// to change it: its next change fails with [ErrStale].
func Rewrap(path string, old, new Wrap) error {
	f, s, err := openFile(path, old)
	if err != nil {
		return fmt.Errorf("rewrap keyring %s: %w", path, err)
	}
	next, err := newFile(path, new)
	if err != nil {
		return fmt.Errorf("rewrap keyring %s: %w", path, err)
	}
	next.sum = f.sum
	if err := next.replace(s); err != nil {
		return fmt.Errorf("rewrap keyring %s: %w", path, err)
	}
	return nil
}

// splitFile takes the bytes of a file apart and checks the checksum.
func splitFile(b []byte) (*file, []byte, error) {
	line, _, found := bytes.Cut(b[:min(len(b), maxHeader)], []byte("\n"))
	words := strings.Split(string(line), " ")
	if !found || words[0] != fileMagic {
		return nil, nil, fmt.Errorf("%w: does not begin with %q", ErrDamaged, fileMagic)
	}
	end := len(b) - sumSize
	start := len(line) + 1
	f := &file{}
	if end < start || sha256.Sum256(b[:end]) != [sumSize]byte(b[end:]) {
		return nil, nil, fmt.Errorf("%w: checksum does not match: truncated or altered", ErrDamaged)
	}
	f.sum = [sumSize]byte(b[end:])
	if len(words) != 3 || words[1] != wrapPassphrase && words[1] != wrapIdentity {
		return nil, nil, fmt.Errorf("%w: first line", ErrDamaged)
	}
	n, err := strconv.Atoi(words[2])
	if err != nil || strconv.Itoa(n) != words[2] || n < 0 || n > maxWrapped || n > end-start {
		return nil, nil, fmt.Errorf("%w: length in the first line", ErrDamaged)
	}
	f.kind, f.wrapped = words[1], bytes.Clone(b[start:start+n])
	return f, b[start+n : end], nil
}

// encode returns the bytes of the file and their checksum.
func (f *file) encode(s *state) ([]byte, [sumSize]byte, error) {
	plain, err := s.encode()
	if err != nil {
		return nil, [sumSize]byte{}, err
	}
	defer clear(plain)
	body, err := encrypt(plain, f.inner.Recipient())
	if err != nil {
		return nil, [sumSize]byte{}, err
	}
	b := fmt.Appendf(nil, "%s %s %d\n", fileMagic, f.kind, len(f.wrapped))
	b = append(append(b, f.wrapped...), body...)
	sum := sha256.Sum256(b)
	b = append(b, sum[:]...)
	if len(b) > maxFile {
		return nil, sum, fmt.Errorf("%d bytes: %w", len(b), ErrLimit)
	}
	return b, sum, nil
}

// create writes the file where none is.
func (f *file) create(s *state) error {
	if _, err := os.Lstat(f.path); !errors.Is(err, fs.ErrNotExist) {
		return orExists(err)
	}
	sum, err := f.writeNew(s)
	if err != nil {
		return err
	}
	if err := f.place(); err != nil {
		f.clean()
		return err
	}
	f.clean()
	if err := f.syncFolder(); err != nil {
		os.Remove(f.path) // nobody has these keys yet; leave room for another try
		return err
	}
	f.sum = sum
	return nil
}

// place gives the new file its name without overwriting. Where the file system
// has no hard links it looks first and then renames.
func (f *file) place() error {
	if err := f.before("link"); err != nil {
		return err
	}
	err := os.Link(f.path+newSuffix, f.path)
	if errors.Is(err, fs.ErrExist) {
		return ErrExists
	}
	if err == nil {
		return f.after("link")
	}
	if _, err := os.Lstat(f.path); !errors.Is(err, fs.ErrNotExist) {
		return orExists(err)
	}
	return os.Rename(f.path+newSuffix, f.path)
}

func orExists(err error) error {
	if err == nil {
		return ErrExists
	}
	return err
}

// replace writes the file anew over the one that was read. A failure or crash up
// to the rename leaves the old file; from the rename on the new one is there, but
// until the folder is synced a power loss may bring the old one back, so a failure
// in between is ErrBroken.
func (f *file) replace(s *state) error {
	if err := f.checkStale(); err != nil {
		return err
	}
	sum, err := f.writeNew(s)
	if err != nil {
		return err
	}
	if err = f.before("rename"); err == nil {
		err = os.Rename(f.path+newSuffix, f.path)
	}
	if err == nil {
		err = f.after("rename")
	}
	if err != nil {
		f.clean()
		if f.checkStale() != nil { // it was renamed nevertheless, or nobody knows
			return fmt.Errorf("%w: %w", ErrBroken, err)
		}
		return err
	}
	if err := f.syncFolder(); err != nil {
		return fmt.Errorf("%w: %w", ErrBroken, err)
	}
	f.sum = sum
	return nil
}

// checkStale compares the checksum at the end of the file with that known.
func (f *file) checkStale() error {
	r, err := os.Open(f.path)
	if err != nil {
		return err
	}
	defer r.Close()
	var sum [sumSize]byte
	if _, err := r.Seek(-sumSize, io.SeekEnd); err != nil {
		return ErrStale // shorter than a checksum
	}
	if _, err := io.ReadFull(r, sum[:]); err != nil {
		return err
	}
	if sum != f.sum {
		return ErrStale
	}
	return nil
}

// writeNew writes and syncs PATH.new. On failure it is gone again.
func (f *file) writeNew(s *state) (sum [sumSize]byte, err error) {
	b, sum, err := f.encode(s)
	if err != nil {
		return sum, err
	}
	if err := f.clean(); err != nil {
		return sum, err
	}
	if err := f.before("create"); err != nil {
		return sum, err
	}
	w, err := os.OpenFile(f.path+newSuffix, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return sum, err
	}
	defer func() {
		if err != nil {
			w.Close()
			f.clean()
		}
	}()
	if err := f.after("create"); err != nil {
		return sum, err
	}
	if err := f.before("write"); err != nil {
		return sum, err
	}
	if _, err := w.Write(b); err != nil {
		return sum, err
	}
	if err := f.after("write"); err != nil {
		return sum, err
	}
	if err := f.before("sync"); err != nil {
		return sum, err
	}
	if err := w.Sync(); err != nil {
		return sum, err
	}
	if err := f.after("sync"); err != nil {
		return sum, err
	}
	return sum, w.Close()
}

// clean removes PATH.new, if a crash has left one.
func (f *file) clean() error {
	if err := os.Remove(f.path + newSuffix); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func (f *file) syncFolder() error {
	if err := f.before("sync folder"); err != nil {
		return err
	}
	d, err := os.Open(filepath.Dir(f.path))
	if err != nil {
		return err
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return err
	}
	return f.after("sync folder")
}

func (f *file) before(step string) error {
	if f.step == nil {
		return nil
	}
	return f.step(step)
}

func (f *file) after(step string) error {
	if f.done == nil {
		return nil
	}
	return f.done(step)
}

// readPrivate reads a regular file of at most limit bytes that only its owner may
// use.
func readPrivate(path string, limit int64) ([]byte, error) {
	r, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	info, err := r.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", path)
	}
	if perm := info.Mode().Perm(); perm&0o077 != 0 {
		return nil, fmt.Errorf("%w: mode is %04o: run: chmod 600 %s", ErrMode, perm, path)
	}
	b, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(b)) > limit {
		return nil, fmt.Errorf("%s has over %d bytes", path, limit)
	}
	return b, nil
}
