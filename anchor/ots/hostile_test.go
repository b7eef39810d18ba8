package ots

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"cairn/anchor"
	"cairn/anchor/proof"
)

// refuse fails the test if anybody asks.
func refuse(t *testing.T) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		t.Errorf("%s %s was asked for", r.Method, r.URL.Path)
		http.Error(w, "no", http.StatusTeapot)
		return true
	}
}

// fakeHeaders is a chain of regression test headers with merkle roots of the test's choice.
type fakeHeaders []proof.BitcoinHeader

// mine adds a header with a merkle root.
func (f *fakeHeaders) mine(merkle []byte) (height uint32) {
	var h proof.BitcoinHeader
	if n := len(*f); n > 0 {
		prev := (*f)[n-1].Hash()
		copy(h[4:], prev[:])
	}
	copy(h[36:], merkle)
	binary.LittleEndian.PutUint32(h[68:], uint32(1700000000+600*len(*f)))
	binary.LittleEndian.PutUint32(h[72:], 0x207fffff)
	for h.CheckWork(proof.BitcoinRegtest) != nil {
		binary.LittleEndian.PutUint32(h[76:], binary.LittleEndian.Uint32(h[76:])+1)
	}
	*f = append(*f, h)
	return uint32(len(*f) - 1)
}

func (f *fakeHeaders) Tip(context.Context) (uint32, error) { return uint32(len(*f) - 1), nil }

func (f *fakeHeaders) Header(_ context.Context, height uint32) (h proof.BitcoinHeader, err error) {
	if height >= uint32(len(*f)) {
		return h, fmt.Errorf("%w: no such block", anchor.ErrAgain)
	}
	return (*f)[height], nil
}

// fake is a calendar made of two functions; nil ones promise as a good one does, and say 404.
type fake struct {
	*httptest.Server
	digest, timestamp func(w http.ResponseWriter, msg []byte)
	posts, gets       atomic.Int32
}

func newFake(t *testing.T) *fake {
	f := &fake{}
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if accept := r.Header.Get("Accept"); accept != "application/vnd.opentimestamps.v1" {
			t.Errorf("got Accept %q", accept)
		}
		if r.Method == http.MethodPost && r.URL.Path == "/digest" {
			f.posts.Add(1)
			digest, _ := io.ReadAll(r.Body)
			if r.ContentLength != int64(len(digest)) {
				t.Errorf("got Content-Length %d of %d bytes", r.ContentLength, len(digest))
			}
			if f.digest == nil {
				w.Write(promiseOf(t, digest, f.URL))
				return
			}
			f.digest(w, digest)
			return
		}
		var msg []byte
		if _, err := fmt.Sscanf(r.URL.Path, "/timestamp/%x", &msg); err != nil || r.Method != http.MethodGet {
			t.Errorf("got %s %s", r.Method, r.URL.Path)
		}
		f.gets.Add(1)
		if f.timestamp == nil {
			http.Error(w, "Not found", http.StatusNotFound)
			return
		}
		f.timestamp(w, msg)
	}))
	t.Cleanup(f.Close)
	return f
}

// node returns a tree over msg as bytes.
func node(t *testing.T, msg []byte, a proof.OTSAttestation, ops ...proof.OTSOp) []byte {
	t.Helper()
	tree := proof.NewTimestamp(msg)
	end, err := tree.Path(ops...)
	if err == nil {
		err = end.Attest(a)
	}
	if err != nil {
		t.Fatal(err)
	}
	b, err := tree.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func promiseOf(t *testing.T, msg []byte, uri string) []byte {
	t.Helper()
	p, err := proof.PendingAttestation(uri)
	if err != nil {
		t.Fatal(err)
	}
	return node(t, msg, p, proof.OTSOp{Tag: proof.OTSAppend, Arg: []byte("mark")})
}

// inBlock answers with the block that holds SHA256(msg).
func inBlock(t *testing.T, headers *fakeHeaders) func(http.ResponseWriter, []byte) {
	heights := map[string]uint32{}
	return func(w http.ResponseWriter, msg []byte) {
		end, err := proof.NewTimestamp(msg).Path(proof.OTSOp{Tag: proof.OTSSHA256})
		if err != nil {
			t.Error(err)
			return
		}
		height, ok := heights[string(msg)]
		if !ok {
			height = headers.mine(end.Message())
			heights[string(msg)] = height
		}
		w.Write(node(t, msg, proof.BitcoinAttestation(height), proof.OTSOp{Tag: proof.OTSSHA256}))
	}
}

var sha = proof.OTSOp{Tag: proof.OTSSHA256}

// Whatever one calendar answers when asked for its promise, it is not believed, it is named, and the other one's
// path counts.
func TestBadAnswersToPromises(t *testing.T) {
	tests := []struct {
		name   string
		answer func(t *testing.T, w http.ResponseWriter, msg []byte)
		note   string // "" for none
	}{
		{"pending", func(t *testing.T, w http.ResponseWriter, msg []byte) {
			http.Error(w, "Pending confirmation", http.StatusNotFound)
		}, ""},
		{"a block with another merkle root", func(t *testing.T, w http.ResponseWriter, msg []byte) {
			w.Write(node(t, msg, proof.BitcoinAttestation(0), sha))
		}, "does not lead to the merkle root of block 0"},
		{"a block that is not there yet", func(t *testing.T, w http.ResponseWriter, msg []byte) {
			w.Write(node(t, msg, proof.BitcoinAttestation(99), sha))
		}, ""},
		{"a good path beside a bad one", func(t *testing.T, w http.ResponseWriter, msg []byte) {
			tree := proof.NewTimestamp(msg)
			for i, op := range []proof.OTSOp{sha, {Tag: proof.OTSKeccak256}} {
				end, err := tree.Path(op)
				if err == nil {
					err = end.Attest(proof.BitcoinAttestation(uint32(i)))
				}
				if err != nil {
					t.Error(err)
				}
			}
			b, err := tree.MarshalBinary()
			if err != nil {
				t.Error(err)
			}
			w.Write(b)
		}, "does not lead to the merkle root"},
		{"garbage", func(t *testing.T, w http.ResponseWriter, msg []byte) {
			w.Write([]byte("<html>welcome</html>"))
		}, "cannot be used"},
		{"nothing", func(t *testing.T, w http.ResponseWriter, msg []byte) {}, "cannot be used"},
		{"bytes left over", func(t *testing.T, w http.ResponseWriter, msg []byte) {
			w.Write(append(node(t, msg, proof.BitcoinAttestation(0), sha), 0))
		}, "left over"},
		{"too long", func(t *testing.T, w http.ResponseWriter, msg []byte) {
			w.Write(make([]byte, maxAnswer+1))
		}, "longer than 10000 bytes"},
		{"endless", func(t *testing.T, w http.ResponseWriter, msg []byte) {
			for range 1000 {
				if _, err := w.Write(make([]byte, 1<<16)); err != nil {
					return
				}
			}
			t.Error("the whole of 64 MB was read")
		}, "longer than 10000 bytes"},
		{"cut off", func(t *testing.T, w http.ResponseWriter, msg []byte) {
			w.Header().Set("Content-Length", "500")
			w.Write([]byte{0xf0, 4})
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}, "unexpected EOF"},
		{"too late", func(t *testing.T, w http.ResponseWriter, msg []byte) {
			w.Write([]byte{0xf0})
			w.(http.Flusher).Flush()
			<-t.Context().Done()
		}, "did not answer in time"},
		{"too many attestations", func(t *testing.T, w http.ResponseWriter, msg []byte) {
			tree := proof.NewTimestamp(msg)
			for i := range maxLeaves + 1 {
				if err := tree.Attest(proof.BitcoinAttestation(uint32(i))); err != nil {
					t.Error(err)
				}
			}
			b, err := tree.MarshalBinary()
			if err != nil {
				t.Error(err)
			}
			w.Write(b)
		}, "attestations, at most"},
		{"a path through SHA-1", func(t *testing.T, w http.ResponseWriter, msg []byte) {
			w.Write(node(t, msg, proof.BitcoinAttestation(0), proof.OTSOp{Tag: proof.OTSSHA1}, sha))
		}, "through sha1"},
		{"an attestation of too few bytes", func(t *testing.T, w http.ResponseWriter, msg []byte) {
			w.Write(node(t, msg[:0:0], proof.BitcoinAttestation(0), proof.OTSOp{Tag: proof.OTSAppend, Arg: []byte("x")}))
		}, "bytes in a Bitcoin block"},
		{"a server's error", func(t *testing.T, w http.ResponseWriter, msg []byte) {
			http.Error(w, "\x1b[31m<b>Überlast</b> & more: \"x\"\n"+strings.Repeat("long", 100), http.StatusInternalServerError)
		}, "status 500: 31mbberlastb  more x longlong"},
		{"too many requests", func(t *testing.T, w http.ResponseWriter, msg []byte) {
			w.Header().Set("Retry-After", "2")
			http.Error(w, "slow down", http.StatusTooManyRequests)
		}, "status 429: slow down"},
		{"elsewhere", func(t *testing.T, w http.ResponseWriter, msg []byte) {
			w.Header().Set("Location", "/timestamp/00")
			w.WriteHeader(http.StatusFound)
		}, "status 302"},
		{"a long header", func(t *testing.T, w http.ResponseWriter, msg []byte) {
			w.Header().Set("X-Long", strings.Repeat("a", 1<<20))
			w.Write([]byte{0})
		}, "header"},
		{"the same promise again", func(t *testing.T, w http.ResponseWriter, msg []byte) {
			p, err := proof.PendingAttestation("https://elsewhere.example")
			if err != nil {
				t.Error(err)
			}
			w.Write(node(t, msg, p))
		}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			headers := &fakeHeaders{}
			headers.mine(make([]byte, 32))
			bad, well := newFake(t), newFake(t)
			bad.timestamp = func(w http.ResponseWriter, msg []byte) { tt.answer(t, w, msg) }
			c := newChain(t, Config{
				Calendars: []string{bad.URL, well.URL}, Headers: headers, Depth: 1,
				Timeout: 2 * time.Second,
			})
			root := rootOf("head")
			at := sign(t, c, root)
			find(t, c, false, at)
			said := strings.Join(c.Notes(), "\n")
			if bad.gets.Load() == 0 {
				t.Fatal("the bad calendar was not asked")
			}
			if tt.note == "" && said != "" || !strings.Contains(said, tt.note) {
				t.Errorf("got notes %q, want %q", said, tt.note)
			}
			if strings.ContainsAny(said, "\x1b<>&\"") || len(said) > 400 {
				t.Errorf("got notes %q, want plain short text", said)
			}
			well.timestamp = inBlock(t, headers)
			f := find(t, c, true, at)
			receipt, err := c.Receipt(t.Context(), at, f.Block)
			if err != nil {
				t.Fatalf("receipt: %v", err)
			}
			checkReceipt(t, receipt, root, f.Block, 1)
		})
	}
}

// Answers to a digest: those that are no use do not count, and too few of the others are no stamp.
func TestBadAnswersToDigests(t *testing.T) {
	tests := []struct {
		name   string
		answer func(t *testing.T, w http.ResponseWriter, msg []byte)
		is     error
		words  string
	}{
		{"garbage", func(t *testing.T, w http.ResponseWriter, msg []byte) { w.Write([]byte{0xf0, 0xff, 0xff}) }, anchor.ErrAgain, "cannot be used"},
		{"left over", func(t *testing.T, w http.ResponseWriter, msg []byte) {
			w.Write(append(promiseOf(t, msg, "https://a.example"), 0xff))
		}, anchor.ErrAgain, "left over"},
		{"a promise of somebody else", func(t *testing.T, w http.ResponseWriter, msg []byte) {
			w.Write(promiseOf(t, msg, "https://a.example"))
		}, anchor.ErrAgain, "no calendar that is configured"},
		{"a promise that is no URL", func(t *testing.T, w http.ResponseWriter, msg []byte) {
			w.Write(promiseOf(t, msg, "::::"))
		}, anchor.ErrAgain, "no calendar that is configured"},
		{"too late", func(t *testing.T, w http.ResponseWriter, msg []byte) { <-t.Context().Done() }, anchor.ErrDown, "in time"},
		{"refused", func(t *testing.T, w http.ResponseWriter, msg []byte) {
			http.Error(w, "full", http.StatusInternalServerError)
		}, anchor.ErrDown, "500: full"},
		{"not there", func(t *testing.T, w http.ResponseWriter, msg []byte) { http.NotFound(w, nil) }, anchor.ErrDown, "404"},
		{"busy", func(t *testing.T, w http.ResponseWriter, msg []byte) { w.WriteHeader(http.StatusServiceUnavailable) }, anchor.ErrBusy, "503"},
		{"elsewhere", func(t *testing.T, w http.ResponseWriter, msg []byte) {
			w.Header().Set("Location", "/digest")
			w.WriteHeader(http.StatusTemporaryRedirect)
		}, anchor.ErrDown, "307"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			bad, well, other := newFake(t), newFake(t), newFake(t)
			bad.digest = func(w http.ResponseWriter, msg []byte) { tt.answer(t, w, msg) }
			cfg := Config{Calendars: []string{bad.URL, well.URL}, Need: 2, Timeout: 2 * time.Second}
			_, err := newChain(t, cfg).Sign(t.Context(), anchor.Order{Root: rootOf("head")})
			if !errors.Is(err, tt.is) || !strings.Contains(err.Error(), tt.words) || !strings.Contains(err.Error(), "1 of 2 calendars") {
				t.Errorf("got %v, want %v with %q", err, tt.is, tt.words)
			}
			if bad.posts.Load() != 1 {
				t.Errorf("asked %d times, want once", bad.posts.Load())
			}
			cfg.Calendars = append(cfg.Calendars, other.URL)
			at := sign(t, newChain(t, cfg), rootOf("head"))
			if !strings.HasPrefix(at.Detail, "stamped by 2 of 3 calendars: 127.0.0.1:") {
				t.Errorf("got detail %q", at.Detail)
			}
			if f, err := proof.ParseOTS(at.Raw); err != nil || len(f.Tree.Leaves()) != 2 {
				t.Errorf("got %v, %v; want a file with two promises", f, err)
			}
		})
	}
}

// A promise of somebody who is not configured is kept, and not followed.
func TestForeignPromisesAreNotFollowed(t *testing.T) {
	foreign := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { refuse(t)(w, r) }))
	t.Cleanup(foreign.Close)
	a := newFake(t)
	both := func(msg []byte) []byte {
		tree := proof.NewTimestamp(msg)
		for i, uri := range []string{foreign.URL, a.URL, foreign.URL + "/x/../y", "http://169.254.169.254", "file:///etc"} {
			p, err := proof.PendingAttestation(uri)
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
		b, err := tree.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	a.digest = func(w http.ResponseWriter, msg []byte) { w.Write(both(msg)) }
	c := newChain(t, Config{Calendars: []string{a.URL}})
	at := sign(t, c, rootOf("head"))
	find(t, c, false, at)
	if got := a.gets.Load(); got != 1 {
		t.Errorf("our own calendar was asked %d times, want once", got)
	}
	f, err := proof.ParseOTS(at.Raw)
	if err != nil || len(f.Tree.Leaves()) != 5 {
		t.Errorf("got %v, %v; want all five promises in the file", f, err)
	}
	// A pool's calendars are followed when they are named.
	behind := newFake(t)
	a.digest = func(w http.ResponseWriter, msg []byte) { w.Write(promiseOf(t, msg, behind.URL+"/")) }
	c = newChain(t, Config{Calendars: []string{a.URL}, Also: []string{behind.URL}})
	at = sign(t, c, rootOf("head"))
	find(t, c, false, at)
	if behind.gets.Load() == 0 || behind.posts.Load() != 0 {
		t.Errorf("the calendar behind the pool got %d questions and %d digests, want some and none", behind.gets.Load(), behind.posts.Load())
	}
}

// A calendar that asks to be left alone is, and one that fails is asked less and less.
func TestCalendarsAreLeftAlone(t *testing.T) {
	a, b := newFake(t), newFake(t)
	a.timestamp = func(w http.ResponseWriter, _ []byte) {
		w.Header().Set("Retry-After", "3600")
		w.WriteHeader(http.StatusTooManyRequests)
	}
	b.timestamp = func(w http.ResponseWriter, _ []byte) { w.WriteHeader(http.StatusInternalServerError) }
	c := newChain(t, Config{Calendars: []string{a.URL, b.URL}, Need: 1, Pause: 20 * time.Millisecond})
	first := sign(t, c, rootOf("1"))
	end := time.Now().Add(400 * time.Millisecond)
	for time.Now().Before(end) {
		if _, ok, err := c.Find(t.Context(), []anchor.Attempt{first}); ok || err != nil {
			t.Fatalf("got %v, %v", ok, err)
		}
	}
	if got := a.gets.Load(); got != 1 {
		t.Errorf("asked the busy calendar %d times, want once", got)
	}
	if got := b.gets.Load(); got < 2 || got > 6 {
		t.Errorf("asked the failing calendar %d times in 400 ms, want 20 ms, 40 ms, 80 ms, … between", got)
	}
	second := sign(t, c, rootOf("2"))
	if a.posts.Load() != 1 || b.posts.Load() != 2 {
		t.Errorf("the busy calendar got %d digests, want one; the other %d, want two", a.posts.Load(), b.posts.Load())
	}
	if !bytes.Contains([]byte(second.Detail), []byte("1 of 2")) {
		t.Errorf("got detail %q", second.Detail)
	}
}

func TestTLSErrorsAreNamed(t *testing.T) {
	s := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(s.Close)
	c := newChain(t, Config{Calendars: []string{s.URL}})
	if err := c.Ready(t.Context()); !errors.Is(err, anchor.ErrDown) || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("got %v from a server with an unknown certificate, want %v", err, anchor.ErrDown)
	}
	c = newChain(t, Config{Calendars: []string{s.URL}, Transport: s.Client().Transport})
	if err := c.Ready(t.Context()); err != nil {
		t.Errorf("got %v from a server with a good certificate", err)
	}
}

func TestReadyWantsEnoughCalendars(t *testing.T) {
	a, b := newFake(t), newFake(t)
	c := newChain(t, Config{Calendars: []string{a.URL, b.URL}, Need: 2})
	if err := c.Ready(t.Context()); err != nil {
		t.Fatalf("got %v", err)
	}
	b.Close()
	c = newChain(t, Config{Calendars: []string{a.URL, b.URL}, Need: 2})
	if err := c.Ready(t.Context()); !errors.Is(err, anchor.ErrDown) || !strings.Contains(err.Error(), "1 of 2 calendars answer") {
		t.Errorf("got %v, want %v", err, anchor.ErrDown)
	}
	if a.posts.Load() != 0 {
		t.Error("a look sent a digest")
	}
	c = newChain(t, Config{Calendars: []string{a.URL}, Headers: &fakeHeaders{{}}, Network: proof.BitcoinMainnet})
	if err := c.Ready(t.Context()); !errors.Is(err, anchor.ErrWrongChain) {
		t.Errorf("got %v from headers without work, want %v", err, anchor.ErrWrongChain)
	}
}
