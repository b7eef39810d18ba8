package ots

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/fxamacker/cbor/v2"

	"cairn/anchor"
)

// Limits of the book.
const (
	maxBook    = 3 << 20 // bytes
	maxEntries = 16      // attempts; older ones go
	maxAnswers = maxFollowed * maxCalendars
)

// errBook says that the book cannot be read.
var errBook = errors.New("book of calendars' answers cannot be read")

// book is what calendars gave, by attempt. Its bytes are the deterministic CBOR
// of {0: version, 1: [entry]}.
type book struct {
	Version uint64  `cbor:"0,keyasint"`
	Entries []entry `cbor:"1,keyasint"` // oldest first
}

const bookVersion = 1

// entry is an attempt that a block holds, at least by the word of one calendar.
type entry struct {
	ID      []byte   `cbor:"1,keyasint"`
	Answers []answer `cbor:"2,keyasint"`
	// Height is the block that Need calendars agree on, once they do; it is kept
	// only where there are no headers to look at.
	Height uint64 `cbor:"3,keyasint,omitempty"`
}

// answer is what a calendar gave for a message, as it was written.
type answer struct {
	URI     string `cbor:"1,keyasint"` // of the promise that it keeps
	Message []byte `cbor:"2,keyasint"`
	Tree    []byte `cbor:"3,keyasint"`
}

var (
	encMode = must(cbor.CoreDetEncOptions().EncMode())
	decMode = must(cbor.DecOptions{
		DupMapKey: cbor.DupMapKeyEnforcedAPF, IndefLength: cbor.IndefLengthForbidden,
		TagsMd: cbor.TagsForbidden, MaxNestedLevels: 8, MaxArrayElements: 1 << 12,
		MaxMapPairs: 16, ExtraReturnErrors: cbor.ExtraDecErrorUnknownField, UTF8: cbor.UTF8RejectInvalid,
	}.DecMode())
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func parseBook(b []byte) (*book, error) {
	if len(b) == 0 {
		return &book{Version: bookVersion}, nil
	}
	if len(b) > maxBook {
		return nil, fmt.Errorf("%w: %d bytes", errBook, len(b))
	}
	k := new(book)
	if err := decMode.Unmarshal(b, k); err != nil {
		return nil, fmt.Errorf("%w: %w", errBook, err)
	}
	if k.Version != bookVersion {
		return nil, fmt.Errorf("%w: version %d, want %d", errBook, k.Version, bookVersion)
	}
	return k, nil
}

// open reads the book at its first use.
func (c *Chain) open() error {
	if c.book != nil {
		return nil
	}
	var b []byte
	if c.cfg.Book != nil {
		var err error
		if b, err = c.cfg.Book.Load(); err != nil {
			return fmt.Errorf("%w: read the book of answers: %w", anchor.ErrAgain, err)
		}
	}
	k, err := parseBook(b)
	if err != nil {
		return err
	}
	c.book = k
	return nil
}

// save writes the book, without the oldest entries if it is too long. What is
// not written is not relied on: Find fails then, and the answers are asked for
// again.
func (c *Chain) save() error {
	entries, size := c.book.Entries, 0
	from := len(entries)
	for from > 0 && len(entries)-from < maxEntries {
		if size += entries[from-1].size(); size > maxBook && from < len(entries) {
			break
		}
		from--
	}
	c.book.Entries = append([]entry(nil), entries[from:]...)
	if c.cfg.Book == nil {
		return nil
	}
	b, err := encMode.Marshal(c.book)
	if err == nil {
		err = c.cfg.Book.Save(b)
	}
	if err != nil {
		c.book = nil
		return fmt.Errorf("%w: write the book of answers: %w", anchor.ErrAgain, err)
	}
	return nil
}

// entry returns a copy of what is known of an attempt.
func (k *book) entry(id []byte) entry {
	for _, e := range k.Entries {
		if bytes.Equal(e.ID, id) {
			e.Answers = append([]answer(nil), e.Answers...)
			return e
		}
	}
	return entry{ID: id}
}

// put replaces what is known of an attempt.
func (k *book) put(e entry) {
	for i := range k.Entries {
		if bytes.Equal(k.Entries[i].ID, e.ID) {
			k.Entries[i] = e
			return
		}
	}
	k.Entries = append(k.Entries, e)
}

// size is about how long an entry is when it is written, and no less.
func (e *entry) size() int {
	n := 64 + len(e.ID)
	for _, a := range e.Answers {
		n += 32 + len(a.URI) + len(a.Message) + len(a.Tree)
	}
	return n
}

func (e *entry) answer(p promise) (answer, bool) {
	for _, a := range e.Answers {
		if a.promise() == p {
			return a, true
		}
	}
	return answer{}, false
}

// keep adds an answer, in the place of an older one to the same promise.
func (e *entry) keep(a answer) {
	for i := range e.Answers {
		if e.Answers[i].promise() == a.promise() {
			e.Answers[i] = a
			return
		}
	}
	if len(e.Answers) < maxAnswers {
		e.Answers = append(e.Answers, a)
	}
}

// promise is a calendar's, of what it will say of a message.
type promise struct{ uri, msg string }

func (a answer) promise() promise { return promise{a.URI, string(a.Message)} }
