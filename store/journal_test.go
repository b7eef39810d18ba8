package store

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// TestJournal: keys of any kind beside each other, values up to the limit, each
// durable when Put returns, and none of it anything to fsck.
func TestJournal(t *testing.T) {
	x := newSite(t, 1)
	mem := vfs.NewCrashableMem()
	x.close()
	x.fs, x.nodes = mem, nil
	x.open()
	x.addDevice()
	routes := []string{"bitcoin:regtest", "bitcoin:regtest2", "ots", strings.Repeat("r", MaxJournalRoute)}
	keys := []string{"current", "anchor/0000000000000007", "book", "\x00", "\xff\xff", strings.Repeat("k", MaxJournalKey)}
	want := map[string][]byte{}
	big := bytes.Repeat([]byte("coin"), MaxJournalValue/4)
	for round := range 2 {
		for i, route := range routes {
			for k, key := range keys {
				value := fmt.Appendf(nil, "%d/%d/%d", round, i, k)
				switch {
				case key == "book" && i == 0:
					value = bytes.Clone(big)
					value[round] ^= 0xff
				case key == "\x00":
					value = nil
				}
				if err := x.s.Journal(route).Put(key, value); err != nil {
					t.Fatalf("put %q of %q: %v", key, route, err)
				}
				want[route+" "+key] = value
			}
		}
		x.send(x.nodes...)
	}
	if err := x.s.Journal("ots").Delete("book"); err != nil {
		t.Fatal(err)
	}
	delete(want, "ots book")
	holds := func(what string) {
		t.Helper()
		got := 0
		for _, route := range routes {
			last := ""
			if err := x.s.Journal(route).All(func(key string, value []byte) error {
				if key <= last || !bytes.Equal(value, want[route+" "+key]) {
					t.Errorf("%s: %q of %q after %q: %d bytes, want %d", what, key, route, last, len(value), len(want[route+" "+key]))
				}
				last = key
				got++
				return nil
			}); err != nil {
				t.Fatal(err)
			}
		}
		if got != len(want) {
			t.Errorf("%s: %d keys, want %d", what, got, len(want))
		}
		if k, v, ok, err := x.s.Journal("bitcoin:regtest").Seek("b"); err != nil || !ok || k != "book" || len(v) != MaxJournalValue {
			t.Errorf("%s: seek: %q, %d bytes, %v, %v", what, k, len(v), ok, err)
		}
		x.check()
	}
	holds("written")
	crash := mem.CrashClone(vfs.CrashCloneCfg{})
	x.restart()
	holds("started again")
	x.close()
	x.fs = crash
	x.open()
	holds("after a power loss")
}

func TestJournalLimits(t *testing.T) {
	x := newSite(t, 0)
	before := len(x.rows())
	for what, err := range map[string]error{
		"no name":     x.s.Journal("").Put("k", nil),
		"long name":   x.s.Journal(strings.Repeat("r", MaxJournalRoute+1)).Put("k", nil),
		"no key":      x.s.Journal("r").Put("", nil),
		"long key":    x.s.Journal("r").Put(strings.Repeat("k", MaxJournalKey+1), nil),
		"large value": x.s.Journal("r").Put("k", make([]byte, MaxJournalValue+1)),
	} {
		if !errors.Is(err, ErrRefused) {
			t.Errorf("%s: %v, want ErrRefused", what, err)
		}
	}
	if n := len(x.rows()); n != before {
		t.Errorf("%d rows, %d before", n, before)
	}
}
