package mirror

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"cairn/merkle"
	"cairn/store"
	"cairn/store/share"
)

// maxObject is the longest object, in bytes.
const maxObject = share.MaxObject

// recordSize is the length of a record of the index:
//
//	first (8) ‖ next (8) ‖ hour (4) ‖ 0 (4) ‖ size (8) ‖ SHA-256 of the group object (32)
const recordSize = 64

func appendRecord(dst []byte, r store.GroupRef) []byte {
	dst = binary.BigEndian.AppendUint64(dst, r.First)
	dst = binary.BigEndian.AppendUint64(dst, r.Next)
	dst = binary.BigEndian.AppendUint32(dst, uint32(r.Hour))
	dst = binary.BigEndian.AppendUint32(dst, 0)
	dst = binary.BigEndian.AppendUint64(dst, uint64(r.Size))
	return append(dst, r.Object[:]...)
}

func parseRecord(b []byte) (r store.GroupRef, err error) {
	r.First, r.Next = binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:])
	r.Hour, r.Size = share.Hour(binary.BigEndian.Uint32(b[16:])), int64(binary.BigEndian.Uint64(b[24:]))
	copy(r.Object[:], b[32:])
	if r.First >= r.Next || r.Size < 0 || r.Size > maxGroupBytes || binary.BigEndian.Uint32(b[20:]) != 0 {
		return r, fmt.Errorf("%w: a record of the index", ErrDamaged)
	}
	return r, nil
}

// loadIndex reads the records of the groups that the state says are here. Those
// beyond it are of a group that was not finished.
func (c *Copy) loadIndex() error {
	b, err := readLimited(filepath.Join(c.dir, indexFile), 1<<30)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	for len(b) >= recordSize {
		if first := binary.BigEndian.Uint64(b); first >= c.st.Next {
			break
		}
		r, err := parseRecord(b[:recordSize])
		if err != nil {
			return err
		}
		if n := len(c.groups); n > 0 && c.groups[n-1].Next != r.First || r.Next > c.st.Next {
			return fmt.Errorf("%w: the index has batch %d after another", ErrDamaged, r.First)
		}
		c.groups, b = append(c.groups, r), b[recordSize:]
	}
	if n := len(c.groups); n > 0 && c.groups[n-1].Next != c.st.Next || n == 0 && c.st.Next != 0 {
		return fmt.Errorf("%w: the index ends before batch %d", ErrDamaged, c.st.Next)
	}
	if c.st.Next > c.head.Size {
		return fmt.Errorf("%w: groups beyond the checkpoint", ErrDamaged)
	}
	return nil
}

// putRecord appends a group's record. It counts once the state says so.
func (c *Copy) putRecord(r store.GroupRef) error {
	return writeAt(filepath.Join(c.dir, indexFile), int64(len(c.groups))*recordSize, appendRecord(nil, r))
}

func (w wireRef) ref() (store.GroupRef, error) {
	h, err := parseHash(w.Object)
	return store.GroupRef{First: w.First, Next: w.Next, Hour: share.Hour(w.Hour), Live: w.Live, Object: h, Size: w.Size}, err
}

func hashOf(b []byte) merkle.Hash { return sha256.Sum256(b) }

const bundleEnd = ".age"

func (c *Copy) bundlePath(grant uint64) string {
	return filepath.Join(c.dir, grantsDir, strconv.FormatUint(grant, 10)+bundleEnd)
}

// grantOf reads a grant's number out of the name of its bundle.
func grantOf(name string) (uint64, bool) {
	digits, ok := strings.CutSuffix(name, bundleEnd)
	n, err := strconv.ParseUint(digits, 10, 64)
	return n, ok && err == nil && strconv.FormatUint(n, 10) == digits
}

// sweepGroup removes the files of a group's folder that are not named. A failure
// leaves files that nobody reads.
func (c *Copy) sweepGroup(first uint64, named map[string]bool) {
	list, err := os.ReadDir(c.groupDir(first))
	if err != nil {
		return
	}
	for _, f := range list {
		if !named[f.Name()] && f.Name() != groupFile {
			_ = os.Remove(filepath.Join(c.groupDir(first), f.Name()))
		}
	}
}
