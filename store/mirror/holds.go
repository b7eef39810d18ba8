package mirror

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"cairn/merkle"
)

// holdsType is the first line of what a mirror signs of itself.
const holdsType = "cairn/holds/1"

// ErrHolds says that a text is no statement of what a mirror holds.
var ErrHolds = errors.New("malformed statement of what a mirror holds")

// Holds is what a mirror says that it holds: the text
//
//	cairn/holds/1\n
//	<origin>\n
//	<size of the log, decimal>\n
//	<number of sealed groups, decimal>\n
//	<hash, lower case hexadecimal>\n
//
// in a signed note by the mirror's key. The hash is SHA-256 over, for each sealed
// group in order,
//
//	first batch (8) ‖ next batch (8) ‖ SHA-256 of the group object (32) ‖
//	SHA-256 of each other object that is held, ascending (32 each)
type Holds struct {
	Origin string
	Size   uint64
	Groups uint64
	Hash   merkle.Hash
}

// Text is what is signed.
func (h Holds) Text() string {
	return fmt.Sprintf("%s\n%s\n%d\n%d\n%v\n", holdsType, h.Origin, h.Size, h.Groups, h.Hash)
}

// ParseHolds reads what Text writes, and nothing else.
func ParseHolds(text string) (h Holds, err error) {
	lines := strings.Split(text, "\n")
	if len(lines) != 6 || lines[0] != holdsType || len(text) > 4096 {
		return h, fmt.Errorf("%w: want five lines, the first %q", ErrHolds, holdsType)
	}
	h.Origin = lines[1]
	if h.Size, err = strconv.ParseUint(lines[2], 10, 63); err == nil {
		if h.Groups, err = strconv.ParseUint(lines[3], 10, 63); err == nil {
			h.Hash, err = parseHash(lines[4])
		}
	}
	if err != nil {
		return h, fmt.Errorf("%w: %w", ErrHolds, err)
	}
	if h.Text() != text {
		return h, fmt.Errorf("%w: it is not written plainly", ErrHolds)
	}
	return h, nil
}

// OpenHolds opens a signed statement of a mirror with this key.
func OpenHolds(signed []byte, by note.Verifier) (Holds, error) {
	if len(signed) > merkle.MaxCheckpoint {
		return Holds{}, fmt.Errorf("%w: %d bytes", ErrHolds, len(signed))
	}
	n, err := note.Open(signed, note.VerifierList(by))
	if err != nil {
		return Holds{}, fmt.Errorf("%w: %w", ErrHolds, err)
	}
	return ParseHolds(n.Text)
}

// Holds looks at what the copy holds.
func (c *Copy) Holds() (Holds, error) {
	c.mu.RLock()
	groups, size, origin := c.groups, c.head.Size, c.facts.origin
	c.mu.RUnlock()
	sum := sha256.New()
	for _, g := range groups {
		var b []byte
		b = binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(b, g.First), g.Next)
		sum.Write(append(b, g.Object[:]...))
		list, err := os.ReadDir(c.groupDir(g.First)) // ascending by name
		if err != nil {
			return Holds{}, fmt.Errorf("read the copy: %w", err)
		}
		for _, f := range list {
			if h, err := parseHash(f.Name()); err == nil {
				sum.Write(h[:])
			}
		}
	}
	return Holds{origin, size, uint64(len(groups)), merkle.Hash(sum.Sum(nil))}, nil
}

// SignHolds signs what the copy holds.
func (c *Copy) SignHolds(by note.Signer) ([]byte, error) {
	h, err := c.Holds()
	if err != nil {
		return nil, err
	}
	return note.Sign(&note.Note{Text: h.Text()}, by)
}
