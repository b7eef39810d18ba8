package store

import (
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
)

// Limits of a journal.
const (
	MaxJournalRoute = 64      // bytes of a route's name
	MaxJournalKey   = 255     // bytes of a key, any bytes
	MaxJournalValue = 4 << 20 // bytes of a value
)

// Journal is one route's durable memory: values by key, in key order. A route
// keeps its anchors in it, and its chain what it wants to find again, under keys
// of its own; the store does not read them. Each Put is one durable step by
// itself, in no order with those of the ledger.
type Journal struct {
	s     *Store
	route string
}

// Journal gives the journal of a route: a name of 1 to MaxJournalRoute bytes.
func (s *Store) Journal(route string) *Journal { return &Journal{s, route} }

// Put writes a value and returns once it is durable: after a crash there is all of
// it or what was there before. What is over the limits is ErrRefused. The value is
// copied.
func (j *Journal) Put(key string, value []byte) error {
	if n := len(j.route); n == 0 || n > MaxJournalRoute || len(key) == 0 || len(key) > MaxJournalKey || len(value) > MaxJournalValue {
		return fmt.Errorf("journal of %.64q: put %.64q: %w: %d bytes of name, %d of key, %d of value, at most %d, %d, %d",
			j.route, key, ErrRefused, n, len(key), len(value), MaxJournalRoute, MaxJournalKey, MaxJournalValue)
	}
	return j.write(func() error {
		return j.s.db.Set(j.s.keys.journal(j.route, key), append([]byte{format}, value...), pebble.Sync)
	}, "put", key)
}

// Delete removes a key, durably; one that is absent is no error.
func (j *Journal) Delete(key string) error {
	return j.write(func() error { return j.s.db.Delete(j.s.keys.journal(j.route, key), pebble.Sync) }, "delete", key)
}

func (j *Journal) write(fn func() error, verb, key string) error {
	err := j.s.Dead()
	if err == nil && j.s.opt.ReadOnly {
		err = ErrReadOnly
	}
	if err == nil {
		if err = fn(); err == nil {
			err = j.s.Dead()
		}
	}
	if err != nil {
		return fmt.Errorf("journal of %s: %s %s: %w", j.route, verb, key, err)
	}
	return nil
}

// Get reads a value; ErrNotFound if there is none.
func (j *Journal) Get(key string) ([]byte, error) {
	val, closer, err := j.s.db.Get(j.s.keys.journal(j.route, key))
	if err != nil {
		return nil, notFound(err, "journal of %s: %s", j.route, key)
	}
	defer closer.Close()
	return j.value(key, val)
}

func (j *Journal) value(key string, val []byte) ([]byte, error) {
	if len(val) == 0 || val[0] != format {
		return nil, fmt.Errorf("%w: journal of %s: %s", ErrDamaged, j.route, key)
	}
	return append([]byte(nil), val[1:]...), nil
}

// Seek gives the first key at or after one; ok is false if there is none.
func (j *Journal) Seek(key string) (k string, value []byte, ok bool, err error) {
	err = j.scan(key, func(at string, v []byte) error {
		k, value, ok = at, v, true
		return errStop
	})
	return k, value, ok, err
}

// All visits every key in order; an error of fn ends it and is returned.
func (j *Journal) All(fn func(key string, value []byte) error) error { return j.scan("", fn) }

var errStop = errors.New("stop")

func (j *Journal) scan(from string, fn func(key string, value []byte) error) error {
	prefix := len(j.s.keys.journal(j.route, ""))
	err := each(j.s.db, j.s.keys.journal(j.route, from), after(j.s.keys.journal(j.route, "")), func(key, val []byte) (bool, error) {
		at := string(key[prefix:])
		v, err := j.value(at, val)
		if err != nil {
			return false, err
		}
		return true, fn(at, v)
	})
	if errors.Is(err, errStop) {
		return nil
	}
	return err
}
