package proof

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"cairn/merkle"
	"cairn/merkle/ledger"
)

// logged is a proof of a reading before any anchor of it.
func (s *site) logged(t testing.TB, size int, p pick) *File {
	t.Helper()
	f := newer(s.file(t, size, p))
	f.Receipts = nil
	return f
}

// update is an update for heads of a site, up to the anchor of a greater one.
func (s *site) update(t testing.TB, size int, sizes ...int) *File {
	t.Helper()
	b := NewBuilder(s.logged(t, 1, pick{window: 0, slot: 5}).Ledger.Key, s.nonce)
	for _, old := range sizes {
		path, err := merkle.ProveConsistency(s.log, uint64(old), uint64(size))
		if err != nil {
			t.Fatal(err)
		}
		b.Extend(b.Head(s.head(t, old)), b.Head(s.head(t, size)), path)
	}
	b.Receipt(Receipt{Route: "ethereum:1", Head: b.Head(s.head(t, size)), Kind: KindEthereum, Data: mustMarshal(t, s.receipt(t, size))})
	return b.File()
}

// TestUpgrade: what a proof lacks comes from whatever file of its ledger has it.
func TestUpgrade(t *testing.T) {
	s := newSite("a").build(8)
	p, other := pick{window: 3, slot: 5, at: 1}, pick{window: 4, slot: 0, at: 0}
	o := s.options(t, 8)
	next := testKey("next")
	for _, c := range []struct {
		name  string
		f     *File
		from  []*File
		level Level // after
		err   error
	}{
		{"an update", s.logged(t, 5, p), []*File{s.update(t, 8, 5)}, LevelAnchored, nil},
		{"an update of several heads", s.logged(t, 5, p), []*File{s.update(t, 8, 4, 5, 6)}, LevelAnchored, nil},
		{"an update of the same head", s.logged(t, 8, p), []*File{s.update(t, 8)}, LevelAnchored, nil},
		{"in two steps", s.logged(t, 5, p), []*File{s.update(t, 7, 5), s.update(t, 8, 7)}, LevelAnchored, nil},
		{"in two steps of one file", s.logged(t, 5, p), []*File{func() *File {
			b := Continue(s.update(t, 8, 6))
			s.extend(t, b, 5, 6)
			f := b.File()
			f.Receipts = f.Receipts[:1]
			return f
		}()}, LevelAnchored, nil},
		{"the same reading's later proof", s.logged(t, 5, p), []*File{s.file(t, 8, p)}, LevelAnchored, nil},
		{"another reading's proof, whose path tells it", s.logged(t, 5, p), []*File{s.file(t, 8, other)}, LevelAnchored, nil},
		{"another reading's proof under the same head", s.logged(t, 8, p), []*File{s.file(t, 8, other)}, LevelAnchored, nil},
		{"of version 0", func() *File { f := s.file(t, 5, p); f.Receipts = nil; return f }(), []*File{s.update(t, 8, 5)}, LevelAnchored, nil},
		{"another reading's proof, whose path does not", s.logged(t, 5, p), []*File{s.file(t, 8, pick{window: 1, slot: 0})}, 0, ErrOtherHeads},
		{"an update of another head", s.logged(t, 5, p), []*File{s.update(t, 8, 3)}, 0, ErrOtherHeads},
		{"an update of an older anchor", s.logged(t, 8, p), []*File{s.update(t, 7, 5)}, 0, ErrOtherHeads},
		{"itself", s.logged(t, 5, p), []*File{s.logged(t, 5, p)}, 0, ErrNothingNew},
		{"anchored already", s.file(t, 8, p), []*File{s.update(t, 8, 5)}, 0, ErrNothingNew},
		{"another ledger", s.logged(t, 5, p), []*File{newSite("b").build(8).update(t, 8, 5)}, 0, ErrOtherLedger},
		{"a fork of it", s.logged(t, 5, p), []*File{func() *File {
			f := newSite("a")
			f.header = func(h *ledger.Header) { h.Root[0] ^= byte(h.Index) }
			return f.build(8).update(t, 8, 5)
		}()}, 0, ErrContradict},
		{"a false update", s.logged(t, 5, p), []*File{func() *File {
			f := s.update(t, 8, 5)
			f.Extends[0].Path[0][0] ^= 1
			return f
		}()}, 0, ErrFalse},
		{"a false proof", func() *File {
			f := s.logged(t, 5, p)
			item := &f.Readings[0].Fields[1].Item
			*item = bytes.Clone(*item)
			(*item)[9] ^= 1
			return f
		}(), []*File{s.update(t, 8, 5)}, 0, ErrFalse},
		{"by a later log key", func() *File {
			return handsOver(newSite("a"), next).build(8).logged(t, 2, pick{window: 1, slot: 5, at: 1})
		}(), []*File{handsOver(newSite("a"), next).build(8).telling(t, 8, pick{window: 1, slot: 5, at: 0}, 2)}, LevelPending, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			mine := fmt.Sprintf("%+v", c.f)
			u, err := Upgrade(c.f, o, c.from...)
			if !errors.Is(err, c.err) {
				t.Fatalf("%v, want %v", err, c.err)
			}
			if fmt.Sprintf("%+v", c.f) != mine {
				t.Error("the proof itself was changed")
			}
			if c.err != nil {
				return
			}
			v := VerifyBytes(mustEncode(t, u.File), o)
			if v.Level != c.level || u.After.Level != c.level || u.Before.Level != LevelLogged || len(u.Added) == 0 {
				t.Errorf("from %v to %v: %v\n%s", u.Before.Level, u.After.Level, u.Added, v.Text())
			}
			if len(u.File.Readings) != len(c.f.Readings) || u.File.Version != 1 {
				t.Errorf("%d readings, version %d", len(u.File.Readings), u.File.Version)
			}
			if again, err := Upgrade(u.File, o, c.from...); !errors.Is(err, ErrNothingNew) {
				t.Errorf("once more: %v, %+v after %v", err, again, u.Added)
			}
			if c.f.Version == 0 && !slices.ContainsFunc(u.Added, func(s string) bool { return strings.Contains(s, "version 1") }) {
				t.Errorf("nothing says that the version is another: %v", u.Added)
			}
		})
	}
}

// TestUpgradeStale: a receipt whose block nobody trusts does not keep a better
// one out, where there is something to trust.
func TestUpgradeStale(t *testing.T) {
	s := newSite("a").build(8)
	f := newer(s.file(t, 5, pick{window: 3, slot: 5}))
	for _, c := range []struct {
		o    Options
		want error
	}{{Options{}, ErrNothingNew}, {s.options(t, 8), nil}} {
		u, err := Upgrade(f, c.o, s.update(t, 8, 5))
		if !errors.Is(err, c.want) || err == nil && (u.Before.Level != LevelPending || u.After.Level != LevelAnchored) {
			t.Errorf("%v, want %v", err, c.want)
		}
	}
}
