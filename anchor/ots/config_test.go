package ots

import (
	"bytes"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"cairn/anchor"
	"cairn/anchor/proof"
)

func TestConfigMustMakeSense(t *testing.T) {
	one := []string{"https://a.example"}
	tests := []struct {
		name string
		cfg  Config
		want string // "" for none
	}{
		{"the least", Config{Calendars: one}, ""},
		{"two of three", Config{Calendars: []string{"https://a.example", "https://b.example/path/", "http://127.0.0.1:14788"}, Need: 2}, ""},
		{"this machine", Config{Calendars: []string{"http://localhost:1", "http://127.9.9.9", "HTTPS://A.example"}}, ""},
		{"none", Config{}, "no calendar"},
		{"too many needed", Config{Calendars: one, Need: 2}, "2 of 1 calendars"},
		{"twice", Config{Calendars: []string{"https://a.example", "https://A.EXAMPLE/"}}, "twice"},
		{"twice behind a pool", Config{Calendars: one, Also: one}, "twice"},
		{"clear text", Config{Calendars: []string{"http://a.example"}}, "http is for this machine"},
		{"clear text to a name that only looks local", Config{Calendars: []string{"http://localhost.example"}}, "http is for this machine"},
		{"brackets, which no promise can hold", Config{Calendars: []string{"http://[::1]:1"}}, "byte 5b"},
		{"another scheme", Config{Calendars: []string{"ftp://a.example"}}, "scheme"},
		{"no scheme", Config{Calendars: []string{"a.example"}}, "cannot be read"},
		{"a user", Config{Calendars: []string{"https://user:secret@a.example"}}, "byte 40"},
		{"a query", Config{Calendars: []string{"https://a.example/?x"}}, "byte 3f"},
		{"upwards", Config{Calendars: []string{"https://a.example/../b"}}, "not clean"},
		{"another network", Config{Calendars: one, Network: "testnet3"}, "network"},
		{"too deep", Config{Calendars: one, Depth: 5000}, "depth"},
		{"backwards", Config{Calendars: one, Timeout: -time.Second}, "negative"},
	}
	for _, tt := range tests {
		c, err := New(tt.cfg)
		switch {
		case tt.want == "" && err != nil:
			t.Errorf("%s: got %v, want no error", tt.name, err)
		case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
			t.Errorf("%s: got %v, want an error with %q", tt.name, err, tt.want)
		case err != nil && strings.Contains(err.Error(), "secret"):
			t.Errorf("%s: got %v, which tells a password", tt.name, err)
		case err == nil:
			c.Close()
		}
	}
	c, err := New(Config{Calendars: []string{"https://a.example/", "https://b.example", "https://c.example"}})
	if err != nil {
		t.Fatal(err)
	}
	if urls, need := c.Calendars(); len(urls) != 3 || urls[0] != "https://a.example" || need != 2 {
		t.Errorf("got %v and %d, want three without a slash at the end, and 2", urls, need)
	}
	if c.cfg.Network != proof.BitcoinMainnet || c.cfg.Depth != 6 || c.rule() != "calendars 2 of 3" {
		t.Errorf("got defaults %s, %d, %q", c.cfg.Network, c.cfg.Depth, c.rule())
	}
}

// What calendars gave is relied on only once it is in the book.
func TestBookIsWrittenFirst(t *testing.T) {
	a := newFake(t)
	headers := &fakeHeaders{}
	headers.mine(nil)
	a.timestamp = inBlock(t, headers)
	book := &mapBook{fail: errors.New("disk full")}
	c := newChain(t, Config{Calendars: []string{a.URL}, Headers: headers, Depth: 1, Book: book})
	at := sign(t, c, rootOf("head"))
	if _, ok, err := c.Find(t.Context(), []anchor.Attempt{at}); ok || !errors.Is(err, anchor.ErrAgain) || !strings.Contains(err.Error(), "disk full") {
		t.Fatalf("got %v, %v; want %v while the book cannot be written", ok, err, anchor.ErrAgain)
	}
	book.fail = nil
	find(t, c, true, at)
	if book.saves != 1 {
		t.Errorf("wrote the book %d times, want once", book.saves)
	}

	for name, bad := range map[string][]byte{
		"damaged": book.b[:len(book.b)-1], "newer": {0xa1, 0x00, 0x09}, "text": []byte("book"),
	} {
		c := newChain(t, Config{Calendars: []string{a.URL}, Book: &mapBook{b: bad}})
		if err := c.Ready(t.Context()); !errors.Is(err, errBook) {
			t.Errorf("%s: got %v, want %v", name, err, errBook)
		}
	}
}

// Without a book, a start does not know what an earlier one had found: it must not say that it is gone.
func TestWithoutBookNothingIsGone(t *testing.T) {
	a := newFake(t)
	cfg := Config{Calendars: []string{a.URL}, Need: 1}
	at := sign(t, newChain(t, cfg), rootOf("head"))
	at.SignedAt -= 1000
	if _, ok, err := newChain(t, cfg).Find(t.Context(), []anchor.Attempt{at}); ok || !errors.Is(err, anchor.ErrAgain) {
		t.Errorf("got %v, %v; want %v", ok, err, anchor.ErrAgain)
	}
	cfg.Book = &mapBook{}
	if _, ok, err := newChain(t, cfg).Find(t.Context(), []anchor.Attempt{at}); ok || err != nil {
		t.Errorf("got %v, %v; want nothing found", ok, err)
	}
}

// The book holds the newest anchors alone.
func TestBookForgetsTheOldest(t *testing.T) {
	k := &book{Version: bookVersion}
	for i := range maxEntries + 3 {
		k.put(entry{ID: []byte{byte(i)}, Height: uint64(i)})
	}
	c := newChain(t, Config{Calendars: []string{"https://a.example"}, Book: &mapBook{}})
	c.book = k
	if err := c.save(); err != nil {
		t.Fatal(err)
	}
	again, err := parseBook(c.cfg.Book.(*mapBook).b)
	if err != nil || len(again.Entries) != maxEntries || again.Entries[0].ID[0] != 3 {
		t.Errorf("got %d entries from %v on, %v; want %d from 3 on", len(again.Entries), again.Entries[0].ID, err, maxEntries)
	}
	if e := again.entry([]byte{5}); e.Height != 5 {
		t.Errorf("got %+v", e)
	}

	// Answers that fill it push out older ones.
	c.book = &book{Version: bookVersion}
	for i := range maxEntries {
		e := entry{ID: []byte{byte(i)}}
		for k := range maxAnswers {
			e.keep(answer{URI: "https://a.example", Message: bytes.Repeat([]byte{byte(k)}, 4096), Tree: make([]byte, maxAnswer)})
		}
		c.book.put(e)
	}
	if err := c.save(); err != nil {
		t.Fatal(err)
	}
	b := c.cfg.Book.(*mapBook).b
	again, err = parseBook(b)
	if err != nil || len(b) > maxBook || len(again.Entries) < 1 || again.Entries[len(again.Entries)-1].ID[0] != maxEntries-1 {
		t.Errorf("got %d entries, %v; want the newest", len(again.Entries), err)
	}
}

// A calendar cannot have us ask about whatever it likes.
func TestOnlySoManyPromisesAreFollowed(t *testing.T) {
	a, b := newFake(t), newFake(t)
	promises := func(w http.ResponseWriter, msg []byte) {
		tree := proof.NewTimestamp(msg)
		for i := range maxLeaves {
			p, err := proof.PendingAttestation([]string{a.URL, b.URL}[i%2])
			if err != nil {
				t.Fatal(err)
			}
			end, err := tree.Path(proof.OTSOp{Tag: proof.OTSAppend, Arg: []byte{byte(i)}})
			if err == nil {
				err = end.Attest(p)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		raw, err := tree.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		w.Write(raw)
	}
	a.digest, a.timestamp = promises, promises
	c := newChain(t, Config{Calendars: []string{a.URL, b.URL}, Book: &mapBook{}})
	at := sign(t, c, rootOf("head"))
	asked := map[promise]bool{}
	for range 200 {
		if _, ok, err := c.Find(t.Context(), []anchor.Attempt{at}); ok || err != nil {
			t.Fatalf("got %v, %v", ok, err)
		}
		for p := range c.polls {
			asked[p] = true
		}
	}
	// With each one that is kept, others may come into sight.
	if n, most := len(asked), maxFollowed*(maxFollowed+1)/2+1; n > most {
		t.Errorf("asked about %d promises, want %d at most", n, most)
	}
	s, err := c.stampOf(t.Context(), nil, at)
	if err != nil || len(s.entry.Answers) > maxFollowed {
		t.Errorf("got %d answers kept, %v", len(s.entry.Answers), err)
	}
}

func TestJournalsStampMustBeOfItsRoot(t *testing.T) {
	a := newFake(t)
	c := newChain(t, Config{Calendars: []string{a.URL}})
	at := sign(t, c, rootOf("head"))
	for name, change := range map[string]func(*anchor.Attempt){
		"another root": func(a *anchor.Attempt) { a.Root = rootOf("other") },
		"cut":          func(a *anchor.Attempt) { a.Raw = a.Raw[:len(a.Raw)-1] },
		"empty":        func(a *anchor.Attempt) { a.Raw = nil },
	} {
		bad := at
		change(&bad)
		if err := c.Send(t.Context(), bad); !errors.Is(err, anchor.ErrRefused) {
			t.Errorf("%s: got %v, want %v", name, err, anchor.ErrRefused)
		}
	}
	if _, err := c.Sign(t.Context(), anchor.Order{}); !errors.Is(err, anchor.ErrRefused) {
		t.Errorf("got %v for no root, want %v", err, anchor.ErrRefused)
	}
}
