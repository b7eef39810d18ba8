package mirror

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"cairn/merkle"
	"cairn/store"
)

const (
	heldType = "cairn/held/1" // first line of what a mirror signs

	// MaxHeldGroups is how many groups one question may be about, and MaxHeldBytes
	// how many bytes of objects they may have together.
	MaxHeldGroups = 128
	MaxHeldBytes  = 1 << 30
)

// ErrHeld says that an answer does not show that a mirror holds what it was asked
// about.
var ErrHeld = errors.New("the mirror does not show that it holds it")

// Held is what a mirror says of sealed groups that it holds at this moment: the
// text
//
//	cairn/held/1\n
//	<origin>\n
//	<first batch, decimal>\n
//	<batch after the last, decimal>\n
//	<nonce, lower case hexadecimal>\n
//	<number of objects, decimal>\n
//	<hash, lower case hexadecimal>\n
//
// in a signed note by the mirror's key. The nonce is the asker's, drawn for this
// question. The hash is SHA-256 over, for each of the groups in order and each of
// its objects, the group object first and then the others ascending by SHA-256,
//
//	SHA-256(nonce (32) ‖ object)
//
// so that only who has the bytes of all of them in hand can make it. What it does
// not show: where the mirror had them from, that it will have them tomorrow, and
// that two mirrors do not share a disk.
type Held struct {
	Origin   string
	From, To uint64
	Nonce    merkle.Hash
	Count    uint64
	Hash     merkle.Hash
}

// Text is what is signed.
func (h Held) Text() string {
	return fmt.Sprintf("%s\n%s\n%d\n%d\n%v\n%d\n%v\n", heldType, h.Origin, h.From, h.To, h.Nonce, h.Count, h.Hash)
}

// ParseHeld reads what Text writes, and nothing else.
func ParseHeld(text string) (h Held, err error) {
	lines := strings.Split(text, "\n")
	if len(lines) != 8 || lines[0] != heldType || len(text) > 4096 {
		return h, fmt.Errorf("%w: want seven lines, the first %q", ErrHeld, heldType)
	}
	h.Origin = lines[1]
	for i, n := range map[int]*uint64{2: &h.From, 3: &h.To, 5: &h.Count} {
		if *n, err = strconv.ParseUint(lines[i], 10, 63); err != nil {
			return h, fmt.Errorf("%w: line %d is no number", ErrHeld, i+1)
		}
	}
	if h.Nonce, err = parseHash(lines[4]); err == nil {
		h.Hash, err = parseHash(lines[6])
	}
	if err != nil {
		return h, fmt.Errorf("%w: %w", ErrHeld, err)
	}
	if h.Text() != text {
		return h, fmt.Errorf("%w: it is not written plainly", ErrHeld)
	}
	return h, nil
}

// HeldSum makes the hash of a Held, object by object.
type HeldSum struct {
	nonce merkle.Hash
	sum   hash.Hash
	count uint64
}

// NewHeldSum begins one for a nonce.
func NewHeldSum(nonce merkle.Hash) *HeldSum { return &HeldSum{nonce: nonce, sum: sha256.New()} }

// Add takes the next object.
func (s *HeldSum) Add(object []byte) {
	one := sha256.New()
	one.Write(s.nonce[:])
	one.Write(object)
	s.sum.Write(one.Sum(nil))
	s.count++
}

// NewNonce draws the nonce of a question.
func NewNonce() (n merkle.Hash) {
	_, _ = rand.Read(n[:]) // it does not fail: see crypto/rand
	return n
}

// Check opens a mirror's answer to a question about the batches [from, to) and
// holds it against what the asker has itself. ErrHeld: it is not the right one.
func (s *HeldSum) Check(signed []byte, by note.Verifier, origin string, from, to uint64) error {
	if len(signed) > merkle.MaxCheckpoint {
		return fmt.Errorf("%w: an answer of %d bytes", ErrHeld, len(signed))
	}
	n, err := note.Open(signed, note.VerifierList(by))
	if err != nil {
		return fmt.Errorf("%w: %w", ErrHeld, err)
	}
	h, err := ParseHeld(n.Text)
	if err != nil {
		return err
	}
	want := Held{origin, from, to, s.nonce, s.count, merkle.Hash(s.sum.Sum(nil))}
	switch {
	case h == want:
		return nil
	case h.Nonce != want.Nonce || h.Origin != origin || h.From != from || h.To != to:
		return fmt.Errorf("%w: it answers another question", ErrHeld)
	case h.Count != want.Count:
		return fmt.Errorf("%w: it has %d objects of batches %d to %d, of %d", ErrHeld, h.Count, from, to, want.Count)
	}
	return fmt.Errorf("%w: its objects of batches %d to %d are others", ErrHeld, from, to)
}

// Held reads what the copy has of the sealed groups of batches [from, to).
// ErrNotFound: it does not have just these; ErrGone: it lacks objects of them.
func (c *Copy) Held(ctx context.Context, from, to uint64, nonce merkle.Hash) (Held, error) {
	groups, origin, err := c.heldGroups(from, to)
	if err != nil {
		return Held{}, err
	}
	sum, room := NewHeldSum(nonce), int64(MaxHeldBytes)
	for _, g := range groups {
		if err := c.addHeld(ctx, sum, g.First, &room); err != nil {
			return Held{}, err
		}
	}
	return Held{origin, from, to, nonce, sum.count, merkle.Hash(sum.sum.Sum(nil))}, nil
}

func (c *Copy) heldGroups(from, to uint64) ([]store.GroupRef, string, error) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	begin, ok := c.find(from)
	if !ok {
		return nil, "", fmt.Errorf("%w: no sealed group begins with batch %d", ErrNotFound, from)
	}
	for end := begin; end < len(c.groups) && end-begin < MaxHeldGroups; end++ {
		if c.groups[end].Next == to {
			return append([]store.GroupRef(nil), c.groups[begin:end+1]...), c.facts.origin, nil
		}
	}
	return nil, "", fmt.Errorf("%w: no %d sealed groups or fewer end with batch %d", ErrNotFound, MaxHeldGroups, to)
}

func (c *Copy) addHeld(ctx context.Context, sum *HeldSum, first uint64, room *int64) error {
	list, err := os.ReadDir(c.groupDir(first)) // ascending by name
	if err != nil {
		return fmt.Errorf("read the copy: %w", err)
	}
	names := []string{groupFile}
	for _, f := range list {
		if _, err := parseHash(f.Name()); err == nil {
			names = append(names, f.Name())
		}
	}
	for _, name := range names {
		if err := ctx.Err(); err != nil {
			return err
		}
		b, err := readLimited(filepath.Join(c.groupDir(first), name), maxObject)
		if err != nil {
			return fmt.Errorf("read the copy: %w", err)
		}
		if *room -= int64(len(b)); *room < 0 {
			return refuse(http.StatusRequestEntityTooLarge, "more than %d bytes: ask about fewer groups", int64(MaxHeldBytes))
		}
		sum.Add(b)
	}
	return nil
}

// HeldHandler answers GET ?from=A&to=B&nonce=HEX with a signed Held, one question
// at a time, to whoever may have everything of the copy.
func HeldHandler(c *Copy, access Access, by note.Signer) http.Handler {
	h := &handler{src: c, access: access, mux: http.NewServeMux(), slots: make(chan struct{}, 1)}
	h.on("held", func(a *ask) (reply, error) {
		from, err := a.query("from")
		if err != nil {
			return reply{}, err
		}
		to, err := a.query("to")
		if err != nil {
			return reply{}, err
		}
		nonce, err := parseHash(a.URL.Query().Get("nonce"))
		if err != nil {
			return reply{}, refuse(http.StatusBadRequest, "nonce= wants 32 bytes in lower case hexadecimal")
		}
		held, err := c.Held(a.Context(), from, to, nonce)
		if err != nil {
			return reply{}, err
		}
		b, err := note.Sign(&note.Note{Text: held.Text()}, by)
		return reply{text, cacheNever, b}, err
	})
	return h
}

// AskHeld asks the mirror at the address of a ledger what it holds of the batches
// [from, to): the signed answer, for HeldSum.Check.
func AskHeld(ctx context.Context, src Source, from, to uint64, nonce merkle.Hash) ([]byte, error) {
	s, ok := src.(*httpSource)
	if !ok {
		return nil, fmt.Errorf("%w: the source is no mirror at an address", ErrHeld)
	}
	return s.get(ctx, fmt.Sprintf("held?from=%d&to=%d&nonce=%s", from, to, hex.EncodeToString(nonce[:])), merkle.MaxCheckpoint)
}
