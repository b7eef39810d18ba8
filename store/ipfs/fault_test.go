package ipfs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	runner "cairn/scripts/ipfs"
)

// door stands in front of a node and can answer in its place.
type door struct {
	URL string

	mu     sync.Mutex // covers what follows
	answer http.HandlerFunc
	on     string // commands that contain this
	asked  []string
}

func newDoor(t *testing.T, behind string) *door {
	t.Helper()
	u, err := url.Parse(behind)
	if err != nil {
		t.Fatal(err)
	}
	through := httputil.NewSingleHostReverseProxy(u)
	through.ErrorHandler = func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) }
	d := &door{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		d.mu.Lock()
		answer, on := d.answer, d.on
		d.asked = append(d.asked, r.URL.Path)
		d.mu.Unlock()
		if answer != nil && strings.Contains(r.URL.Path, on) {
			answer(w, r)
			return
		}
		_ = http.NewResponseController(w).EnableFullDuplex() // the node answers while it reads
		through.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	d.URL = s.URL
	return d
}

// fail answers commands that contain a text.
func (d *door) fail(on string, answer http.HandlerFunc) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.on, d.answer = on, answer
}

func says(code int, kind, text string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", kind)
		w.WriteHeader(code)
		fmt.Fprint(w, text)
	}
}

// hangs answers nothing until the one who asks has gone.
func hangs(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	<-r.Context().Done()
}

// cut ends the connection in the middle of an answer.
func cut(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", "1000")
	fmt.Fprint(w, `{"Name":"group","Hash":"bafy`)
	w.(http.Flusher).Flush()
	panic(http.ErrAbortHandler)
}

// late answers as Kubo does that finds its disk full when it has begun to answer.
func late(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	w.Header().Set("Trailer", "X-Stream-Error")
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintln(w, `{"Name":"group/a","Hash":"bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku"}`)
	w.(http.Flusher).Flush()
	w.Header().Set("X-Stream-Error", "write /blocks: no space left on device")
}

// TestFaults publishes through a door that does everything wrong that a node or what is before it can do: nothing is
// taken for published, and once the door is open again the same directory is.
func TestFaults(t *testing.T) {
	server := runner.Start(t)
	door := newDoor(t, server.URL)
	n, ctx := dial(t, door.URL, 3*time.Second), context.Background()
	other := directory(t, Bytes("a", []byte("something else")))
	for i, c := range []struct {
		name, on string
		answer   http.HandlerFunc
		want     error
		text     string
	}{
		{"time-out", "add", hangs, context.DeadlineExceeded, ""},
		{"time-out of the pin", "pin/ls", hangs, context.DeadlineExceeded, ""},
		{"cut answer", "add", cut, io.ErrUnexpectedEOF, ""},
		{"cut block", "block/get", cut, io.ErrUnexpectedEOF, ""},
		{"empty answer", "add", says(200, "application/json", ""), nil, "ends without the directory"},
		{"no root", "add", says(200, "application/json", `{"Name":"group/a","Hash":"bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku"}`), nil, "ends without the directory"},
		{"wrong CID", "add", says(200, "application/json", `{"Name":"group","Hash":"`+other.CID.String()+`"}`), ErrOtherCID, other.CID.String()},
		{"no CID", "add", says(200, "application/json", `{"Name":"group","Hash":"Qm"}`), ErrCID, ""},
		{"no JSON", "add", says(200, "application/json", `<html>`), nil, "invalid character"},
		{"endless", "add", func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			line := bytes.Repeat([]byte(" "), 1<<16)
			for {
				if _, err := w.Write(line); err != nil {
					return
				}
			}
		}, errLong, ""},
		{"500 in JSON", "add", says(500, "application/json", `{"Message":"write: no space left on device","Code":0,"Type":"error"}`), nil, "no space left on device"},
		{"500 in HTML", "add", says(500, "text/html", "<html>\n<b>oh</b>"), nil, "status 500: <html> <b>oh</b>"},
		{"403", "add", says(403, "text/plain", "403 - Forbidden"), nil, "status 403"},
		{"404", "add", says(404, "text/plain", "404 page not found"), nil, "status 404"},
		{"long error", "add", says(500, "text/plain", strings.Repeat("x", 1<<20)), nil, "status 500"},
		{"disk full while answering", "add", late, nil, "no space left on device"},
		{"redirect", "add", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://127.0.0.1:1/", http.StatusFound)
		}, nil, "redirect"},
		{"not pinned", "pin/ls", says(500, "application/json", `{"Message":"path 'x' is not pinned"}`), ErrNotPinned, ""},
		{"pinned something else", "pin/ls", says(200, "application/json", `{"Keys":{"`+other.CID.String()+`":{"Type":"recursive"}}}`), ErrNotPinned, ""},
		{"false block", "block/get", says(200, "application/octet-stream", "else"), ErrFalse, ""},
		{"huge block", "block/get", says(200, "application/octet-stream", strings.Repeat("x", MaxBlock+2)), ErrFalse, ""},
	} {
		d := directory(t, Bytes("a", fmt.Appendf(nil, "content %d", i)), Bytes("b", content(300_000)))
		door.fail(c.on, c.answer)
		err := n.Publish(ctx, d)
		switch {
		case err == nil:
			t.Errorf("%s: taken for published", c.name)
		case c.want != nil && !errors.Is(err, c.want), !strings.Contains(err.Error(), c.text), len(err.Error()) > 600, strings.Contains(err.Error(), "\n"):
			t.Errorf("%s: %v", c.name, err)
		}
		door.fail("", nil)
		if err := n.Publish(ctx, d); err != nil {
			t.Errorf("%s, then again: %v", c.name, err)
		}
	}
	d := directory(t, Bytes("a", []byte("kept")))
	if err := n.Publish(ctx, d); err != nil {
		t.Fatal(err)
	}
	door.fail("pin/rm", says(500, "text/plain", "database is locked"))
	if err := n.Unpin(ctx, d.CID); err == nil {
		t.Error("unpinned although the node says no")
	}
	door.fail("pin/add", says(200, "application/json", `{"Pins":[]}`))
	if err := n.Pin(ctx, d.CID); !errors.Is(err, ErrNotPinned) {
		t.Errorf("pinned nothing: %v", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	door.fail("add", func(w http.ResponseWriter, r *http.Request) { cancel(); hangs(w, r) })
	if err := n.Publish(ctx, d); !errors.Is(err, context.Canceled) {
		t.Errorf("told to leave: %v", err)
	}
}

// TestContentChanges publishes a file that is not the same the second time, and one that cannot be read again.
func TestContentChanges(t *testing.T) {
	server := runner.Start(t)
	n := dial(t, server.URL, 10*time.Second)
	calls := 0
	d := directory(t, File{"a", func(w io.Writer) error {
		calls++
		_, err := fmt.Fprintf(w, "call %d", calls)
		return err
	}})
	if err := n.Publish(context.Background(), d); !errors.Is(err, ErrOtherCID) {
		t.Errorf("a file that changes: %v", err)
	}
	gone := errors.New("it is gone")
	calls = 0
	d = directory(t, File{"a", func(w io.Writer) error {
		if calls++; calls > 1 {
			return gone
		}
		return nil
	}})
	if err := n.Publish(context.Background(), d); !errors.Is(err, gone) {
		t.Errorf("a file that goes: %v", err)
	}
}

// TestGateway reads from a server that hands out blocks, and from ones that do not do so as they should.
func TestGateway(t *testing.T) {
	h, ctx := held{}, context.Background()
	want := content(5000)
	l := h.hold(want, 1000, 2)
	l.name = "f"
	root := h.dir(l)
	var answer http.HandlerFunc
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if answer != nil {
			answer(w, r)
			return
		}
		c, err := ParseCID(strings.TrimPrefix(r.URL.Path, "/x/ipfs/"))
		if b, ok := h[c]; err == nil && ok && r.URL.Query().Get("format") == "raw" && r.Header.Get("Accept") == "application/vnd.ipld.raw" {
			_, _ = w.Write(b)
			return
		}
		http.NotFound(w, r)
	}))
	defer s.Close()
	g, err := NewGateway(s.URL+"/x/", 2*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	d, err := OpenDir(ctx, g, root)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := d.Read(ctx, "f", 5000); err != nil || !bytes.Equal(got, want) {
		t.Fatalf("got %d bytes, %v", len(got), err)
	}
	if _, err := g.Block(ctx, CIDOf(Raw, nil)); !errors.Is(err, ErrNotFound) {
		t.Errorf("a block that nobody has: %v", err)
	}
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		want   error
	}{
		"hangs":     {hangs, ErrNotFound},
		"cut":       {cut, io.ErrUnexpectedEOF},
		"another":   {says(200, "application/vnd.ipld.raw", "another"), ErrFalse},
		"a page":    {says(200, "text/html", "<html>"), ErrFalse},
		"busy":      {says(429, "text/plain", "later"), ErrNotFound},
		"huge":      {says(200, "application/vnd.ipld.raw", strings.Repeat("x", MaxBlock+1)), ErrFalse},
		"elsewhere": {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, r.URL.Path, http.StatusFound) }, nil},
	} {
		answer = c.answer
		if _, err := g.Block(ctx, root); err == nil || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
