package mirror

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"cairn/merkle/ledger"
	"cairn/store"
)

// testAccess is a copy's access with a full token of its own.
type testAccess struct {
	*Copy
	keys Keys
	full string
	now  time.Time
}

func (a *testAccess) Full(r *http.Request) bool {
	return r.Header.Get("Authorization") == "Bearer "+a.full
}
func (a *testAccess) Now() time.Time { return a.now }
func (a *testAccess) Listing(_ context.Context, first uint64) (store.GroupRef, []store.ObjectRef, error) {
	return a.Copy.Listing(a.keys, first)
}

// granted makes a site with three grants, and a server of a copy of it.
func granted(t *testing.T) (*site, *testAccess, *httptest.Server) {
	t.Helper()
	s := newSite(t)
	until, end := s.start+45*60_000, s.start+100*60_000
	for _, g := range []ledger.Grant{
		{Audience: "part", Compartments: []string{"stream/0/envelope", "stream/0/data"}, Until: &until, Token: sha256.Sum256([]byte("part"))},
		{Audience: "mirror", Compartments: []string{"ledger", "statements"}, Mirror: true, Token: sha256.Sum256([]byte("mirror")), Access: &end},
		{Audience: "gone", Compartments: []string{"stream/0/data"}, Token: sha256.Sum256([]byte("gone")), Access: &until},
	} {
		g.From, g.Recipients = s.start, []string{"age1x"}
		s.bundles[s.state(g.Statement(s.start), true)] = []byte(ageMagic + g.Audience)
	}
	s.close(70)
	c := s.open(t.TempDir(), Options{})
	follow(t, c, s, s.keys())
	a := &testAccess{Copy: c, keys: s.keys(), full: "full", now: time.UnixMilli(s.now())}
	server := httptest.NewServer(http.StripPrefix("/ledger/x", Handler(c, a)))
	t.Cleanup(server.Close)
	return s, a, server
}

func TestHandler(t *testing.T) {
	s, a, server := granted(t)
	get := func(path, token string) (int, []byte) {
		t.Helper()
		r, err := http.NewRequest(http.MethodGet, server.URL+"/ledger/x/"+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if token != "" {
			r.Header.Set("Authorization", "Bearer "+token)
		}
		resp, err := server.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, b
	}
	second := s.groups[2]
	_, objects, err := a.Copy.Listing(a.keys, second.First)
	if err != nil {
		t.Fatal(err)
	}
	named := func(name string) string {
		i := slices.IndexFunc(objects, func(o store.ObjectRef) bool { return o.Name == name })
		return fmt.Sprintf("sealed/%d/%v", second.First, objects[i].Hash)
	}
	late := s.groups[len(s.groups)-1]
	group, lateGroup := fmt.Sprintf("sealed/%d/group", second.First), fmt.Sprintf("sealed/%d/group", late.First)
	for _, x := range []struct {
		path, token string
		want        int
	}{
		{"checkpoint", "", 401}, {"checkpoint", "wrong", 403}, {"checkpoint", "full", 200}, {"checkpoint", "mirror", 200}, {"checkpoint", "part", 403},
		{"checkpoint", "gone", 403}, {"tile/0/000.p/70", "mirror", 200}, {"tile/0/000.p/71", "mirror", 404}, {"tile/x", "mirror", 404},
		{"sealed/groups?from=0", "mirror", 200}, {"sealed/groups", "mirror", 400}, {"sealed/groups?from=-1", "mirror", 400},
		{group, "mirror", 200}, {group, "", 401}, {"sealed/7/group", "mirror", 404}, {"sealed/x/group", "mirror", 404}, {"sealed/../../etc/passwd", "mirror", 404},
		{named("stream/1/data"), "mirror", 200}, {named("stream/1/data") + "0", "mirror", 404},
		{"sealed/statements?from=0&to=2", "mirror", 200}, {"sealed/statements?from=0&to=99", "mirror", 404}, {"sealed/statements?from=2&to=1", "mirror", 400},
		{"sealed/statements?from=0&to=9999999", "mirror", 400}, {"sealed/update", "mirror", 404}, {"sealed/grants", "mirror", 200},
		{"sealed/grants/1", "mirror", 200}, {"sealed/grants/3", "mirror", 410}, {"sealed/grants/99", "mirror", 404}, {"nothing", "full", 404},
		{"grant/1/checkpoint", "", 401}, {"grant/1/checkpoint", "mirror", 403}, {"grant/1/checkpoint", "full", 403}, {"grant/1/checkpoint", "part", 200},
		{"grant/2/checkpoint", "part", 403}, {"grant/99/checkpoint", "part", 403}, {"grant/3/checkpoint", "gone", 410}, {"grant/3/sealed/grants/3", "gone", 410},
		{"grant/1/" + group, "part", 200}, {"grant/1/" + lateGroup, "part", 403}, {"grant/1/" + named("stream/0/data"), "part", 200},
		{"grant/1/" + named("stream/0/envelope"), "part", 200}, {"grant/1/" + named("stream/1/data"), "part", 403},
		{"grant/1/" + named("stream/0/data")[:30] + strings.Repeat("0", 40), "part", 404}, {"grant/1/sealed/grants/1", "part", 200},
		{"grant/1/sealed/grants/2", "part", 403}, {"grant/1/sealed/statements?from=0&to=2", "part", 200},
	} {
		if got, b := get(x.path, x.token); got != x.want {
			t.Errorf("%s with token %q: got %d %.80q, want %d", x.path, x.token, got, b, x.want)
		}
	}
	if _, b := get("sealed/grants", "mirror"); string(b) != "[1,2]\n" {
		t.Errorf("got the grants %s for a mirror, want those that still have access", b)
	}
	if _, b := get("grant/1/sealed/grants", "part"); string(b) != "[1]\n" {
		t.Errorf("got the grants %s for an audience, want its own", b)
	}
	if _, b := get("grant/1/sealed/groups?from=0", "part"); true {
		refs, err := parseGroups(b)
		if err != nil || len(refs) != 2 || refs[0].First != s.groups[1].First {
			t.Errorf("got the groups %v, %v for an audience, want those of its two whole hours", refs, err)
		}
	}
	a.now = time.UnixMilli(s.start + 100*60_000)
	for _, path := range []string{"checkpoint", group, "grant/2/checkpoint"} {
		if got, _ := get(path, "mirror"); got != 410 {
			t.Errorf("after the mirror's access ended %s answers %d, want 410", path, got)
		}
	}
}

// TestHTTP holds that a copy over HTTP is the same copy.
func TestHTTP(t *testing.T) {
	s, a, server := granted(t)
	src, err := HTTP(server.URL+"/ledger/x/", "mirror", server.Client())
	if err != nil {
		t.Fatal(err)
	}
	c := s.open(t.TempDir(), Options{})
	follow(t, c, src, s.keys())
	if sum(t, c) != sum(t, a.Copy) {
		t.Errorf("over HTTP it is another copy")
	}
	wrong, err := HTTP(server.URL+"/ledger/x", "wrong", nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := wrong.Checkpoint(t.Context()); !errors.Is(err, ErrRefused) {
		t.Errorf("got %v with a wrong token, want %v", err, ErrRefused)
	}
	for _, bad := range []string{"", "ftp://x/", "http://", "http://u:p@x/", "http://x/?a", "x"} {
		if _, err := HTTP(bad, "", nil); err == nil {
			t.Errorf("the address %q is taken", bad)
		}
	}
	endless := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for range 1 << 12 {
			if _, err := w.Write(make([]byte, 1<<16)); err != nil {
				return
			}
		}
	}))
	defer endless.Close()
	long, err := HTTP(endless.URL, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := long.Checkpoint(t.Context()); !errors.Is(err, ErrTooLong) {
		t.Errorf("got %v for an endless answer, want %v", err, ErrTooLong)
	}
}

// TestKeep holds that objects go when the schedule says so, and nothing else does.
func TestKeep(t *testing.T) {
	s := newSite(t)
	s.close(100)
	dir := t.TempDir()
	rule, err := ParseRule("stream/0/*=45m")
	if err != nil {
		t.Fatal(err)
	}
	c := s.open(dir, Options{})
	follow(t, c, s, s.keys())
	c = s.open(dir, Options{Keep: []Rule{rule}})
	n, err := c.Expire(t.Context(), s.keys())
	if err != nil || n == 0 {
		t.Fatalf("removed %d objects, %v", n, err)
	}
	for _, ref := range s.groups {
		_, objects, err := c.Listing(s.keys(), ref.First)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range objects {
			_, err := c.Object(t.Context(), ref.First, o)
			over := s.now()-ref.Hour.End() >= rule.Age.Milliseconds() && strings.HasPrefix(o.Name, "stream/0/")
			if over != errors.Is(err, ErrGone) || !over && err != nil {
				t.Errorf("%s of group %d: got %v, over its time: %t", o.Name, ref.First, err, over)
			}
		}
	}
	again, err := c.Expire(t.Context(), s.keys())
	if err != nil || again != 0 {
		t.Errorf("removed %d objects again, %v", again, err)
	}
	late := s.open(t.TempDir(), Options{Keep: []Rule{rule}})
	follow(t, late, s, s.keys())
	a, _ := holding(t.Context(), c)
	if b, err := holding(t.Context(), late); err != nil || a != b {
		t.Errorf("a copy that catches up holds %v, %v, want %v", b, err, a)
	}
	for _, bad := range []string{"", "x", "=1d", "a=", "a=-1h", "a=1000000d", "ledger=1d", "statements=1d", "[=1d"} {
		if _, err := ParseRule(bad); err == nil {
			t.Errorf("the rule %q is taken", bad)
		}
	}
}

// TestKilled stops a pass at each answer of its source, and opens the folder again.
func TestKilled(t *testing.T) {
	s := newSite(t)
	s.close(40)
	want := s.open(t.TempDir(), Options{})
	follow(t, want, s, s.keys())
	dir := t.TempDir()
	for n := 0; ; n++ {
		c := s.open(dir, Options{})
		ctx, cancel := context.WithCancel(t.Context())
		left := n % 7
		stop := func() error {
			if left--; left < 0 {
				cancel()
				return context.Canceled
			}
			return nil
		}
		src := &liar{
			Source: s,
			tile:   func(_ string, b []byte) ([]byte, error) { return b, stop() },
			group:  func(_ store.GroupRef, b []byte) ([]byte, error) { return b, stop() },
			object: func(_ uint64, _ store.ObjectRef, b []byte) ([]byte, error) { return b, stop() },
		}
		err := c.Follow(ctx, src, s.keys(), nil)
		cancel()
		// What a write that was not finished leaves.
		for _, name := range []string{"sealed/index.new", "checkpoint.new", "state.json.new"} {
			_ = os.MkdirAll(filepath.Join(dir, "sealed"), 0o700)
			if err := os.WriteFile(filepath.Join(dir, name), []byte("half"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err == nil {
			break
		}
		if n > 500 {
			t.Fatalf("it does not come to an end: %v", err)
		}
	}
	got := s.open(dir, Options{})
	follow(t, got, s, s.keys())
	if sum(t, got) != sum(t, want) {
		t.Errorf("after many stops it is another copy")
	}
}

// FuzzAnswers feeds what a source may answer to all that reads it.
func FuzzAnswers(f *testing.F) {
	f.Add([]byte(`[{"first":0,"next":5,"hour":1,"live":false,"object":"` + strings.Repeat("ab", 32) + `","size":5}]`))
	f.Add([]byte(`[1,2,3]`))
	f.Add(bytes.Repeat([]byte{1}, recordSize))
	f.Fuzz(func(t *testing.T, b []byte) {
		if refs, err := parseGroups(b); err == nil {
			_ = checkRefs(refs, 0)
			for _, r := range refs {
				if back, err := toWire(r).ref(); err != nil || back != r {
					t.Errorf("%v comes back as %v, %v", r, back, err)
				}
			}
		}
		_, _ = parseGrants(b)
		_, _ = ParseRule(string(b))
		if len(b) >= recordSize {
			if r, err := parseRecord(b[:recordSize]); err == nil && !bytes.Equal(appendRecord(nil, r), b[:recordSize]) {
				t.Errorf("record %x is another when it is written again", b[:recordSize])
			}
		}
	})
}
