package mirror

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"cairn/merkle"
)

// TestPackHandler holds that a pack has just what its asker may have.
func TestPackHandler(t *testing.T) {
	s, a, server := granted(t)
	names := map[merkle.Hash]string{}
	var groups, ids []string
	for _, ref := range s.groups {
		groups = append(groups, fmt.Sprint(ref.First))
		names[ref.Object] = fmt.Sprint(ref.First, " ledger")
		_, objects, err := a.Copy.Listing(a.keys, ref.First)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range objects {
			names[o.Hash] = fmt.Sprint(ref.First, " ", o.Name)
		}
	}
	for _, id := range s.ids {
		ids = append(ids, fmt.Sprint(id))
	}
	all := "groups=" + strings.Join(groups, ",") + "&of=" + strings.Join(ids, ",")
	get := func(path, token string) (int, []string) {
		t.Helper()
		r, _ := http.NewRequest(http.MethodGet, server.URL+"/ledger/x/"+path, nil)
		r.Header.Set("Authorization", "Bearer "+token)
		resp, err := server.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != http.StatusOK {
			return resp.StatusCode, nil
		}
		objects, err := parsePack(b)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, o := range objects {
			got = append(got, names[hashOf(o)])
		}
		return resp.StatusCode, got
	}
	_, got := get("sealed/pack?"+all, "mirror")
	if len(got) != len(names) || slices.Contains(got, "") {
		t.Errorf("a mirror's pack has %d objects, want %d", len(got), len(names))
	}
	_, got = get("grant/1/sealed/pack?"+all, "part")
	want := 0
	for _, name := range names {
		first, compartment, _ := strings.Cut(name, " ")
		mine := (first == groups[1] || first == groups[2]) && (compartment == "ledger" || strings.HasPrefix(compartment, "stream/0/"))
		if mine {
			want++
		}
		if mine != slices.Contains(got, name) {
			t.Errorf("an audience's pack has %s: %t, want %t", name, !mine, mine)
		}
	}
	if len(got) != want || want == 0 {
		t.Errorf("an audience's pack has %d objects, want %d", len(got), want)
	}
	many := strings.Repeat("1,", maxPackGroups)
	for _, x := range []struct {
		path, token string
		want        int
	}{
		{"grant/1/sealed/pack?" + all, "mirror", 403}, {"grant/3/sealed/pack?" + all, "gone", 410}, {"sealed/pack?" + all, "part", 403},
		{"sealed/pack", "mirror", 400}, {"sealed/pack?groups=0&of=", "mirror", 400}, {"sealed/pack?groups=-1&of=1", "mirror", 400},
		{"sealed/pack?groups=" + many + "1&of=1", "mirror", 400}, {"sealed/pack?groups=1&of=" + many + "1", "mirror", 400}, {"sealed/pack?groups=999&of=1", "mirror", 200},
	} {
		if got, _ := get(x.path, x.token); got != x.want {
			t.Errorf("%.60s with token %q: got %d, want %d", x.path, x.token, got, x.want)
		}
	}
}

// packSource is a gateway whose packs a test makes.
type packSource struct {
	*gateway
	pack func(groups []uint64, of []uint32) ([][]byte, error)
}

func (p *packSource) Pack(_ context.Context, groups []uint64, of []uint32) ([][]byte, error) {
	return p.pack(groups, of)
}

// TestViewOfPacks: what a view opens is the same with packs, without them, and with
// packs that hold whatever a source likes.
func TestViewOfPacks(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 7))
	g := randomGateway(t, rng)
	g.sealed()
	a := g.fridge()
	want := g.truth(a)
	noise := func(n int) (all [][]byte) {
		for range n {
			all = append(all, bytes.Repeat([]byte{byte(rng.IntN(256))}, leastObject+rng.IntN(99)))
		}
		return all
	}
	true1 := func(groups []uint64) (all [][]byte) {
		b, err := g.s.GroupObject(t.Context(), groups[0])
		if err != nil {
			t.Error(err)
		}
		return append(all, b)
	}
	var asked atomic.Int64
	for name, pack := range map[string]func([]uint64, []uint32) ([][]byte, error){
		"none made":          func([]uint64, []uint32) ([][]byte, error) { return nil, ErrNotFound },
		"not answered":       func([]uint64, []uint32) ([][]byte, error) { return nil, errors.New("gone fishing") },
		"empty":              func([]uint64, []uint32) ([][]byte, error) { return nil, nil },
		"noise":              func([]uint64, []uint32) ([][]byte, error) { return noise(9), nil },
		"a group, and noise": func(groups []uint64, _ []uint32) ([][]byte, error) { return append(noise(3), true1(groups)...), nil },
		"the last one alone": func(groups []uint64, _ []uint32) ([][]byte, error) { return true1(groups[len(groups)-1:]), nil },
	} {
		asked.Store(0)
		v, err := NewView(&packSource{g, func(groups []uint64, of []uint32) ([][]byte, error) {
			asked.Add(1)
			return pack(groups, of)
		}}, g.bundle(a))
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			got, _ := reads(t, v, Query{Live: true})
			sameTexts(t, name, got, want)
		}
		if n := asked.Load(); n == 0 || name == "none made" && n != 1 {
			t.Errorf("%s: packs were asked for %d times", name, n)
		}
	}
}

// TestViewOverHTTP: over HTTP a view opens the same, in packs that are full and in
// such as have room for a part of one group alone, and in fewer requests.
func TestViewOverHTTP(t *testing.T) {
	for _, pad := range []int{1, 1 << 20} {
		g := newGateway(t, pad)
		g.bind(occupancyRules)
		for range 40 {
			g.send(g.nodes[0], 0, someReading(rand.New(rand.NewPCG(1, 2)))...)
			g.pass(2 * time.Minute)
		}
		g.sealed()
		var all, packs atomic.Int64
		handler := Handler(g, gatewayAccess{g})
		server := httptest.NewServer(http.StripPrefix("/x", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			all.Add(1)
			if strings.HasSuffix(r.URL.Path, "/pack") {
				packs.Add(1)
			}
			handler.ServeHTTP(w, r)
		})))
		defer server.Close()
		src, err := HTTP(server.URL+"/x/grant/7", "fridge", nil)
		if err != nil {
			t.Fatal(err)
		}
		v, err := NewView(src, g.bundle(g.fridge()))
		if err != nil {
			t.Fatal(err)
		}
		got, report := reads(t, v, Query{Live: true})
		sameTexts(t, fmt.Sprintf("padded to %d", pad), got, g.truth(g.fridge()))
		sealed := int64(report.Groups - report.Live)
		if pad == 1 && (packs.Load() != 1 || all.Load() > 3+4+2*int64(report.Live)+4) {
			t.Errorf("%d requests and %d packs for %d groups, %d of them sealed", all.Load(), packs.Load(), report.Groups, sealed)
		}
		if pad > 1 && packs.Load() < sealed-1 {
			t.Errorf("%d packs for %d groups, none of which fits one", packs.Load(), sealed)
		}
	}
}

func FuzzPack(f *testing.F) {
	f.Add(appendPacked(appendPacked(nil, bytes.Repeat([]byte{1}, 64)), bytes.Repeat([]byte{2}, 99)))
	f.Add([]byte{0, 0, 0, 64})
	f.Add([]byte{255, 255, 255, 255, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		all, err := parsePack(b)
		if err != nil {
			return
		}
		var again []byte
		for _, o := range all {
			again = appendPacked(again, o)
		}
		if !bytes.Equal(again, b) {
			t.Errorf("%x is written as %x", b, again)
		}
	})
}

var _ grouper = (*gateway)(nil)
var _ packer = (*httpSource)(nil)

// TestHTTPAsksAgain: what may pass is asked again, and nothing else is; a source
// that never answered is left at once.
func TestHTTPAsksAgain(t *testing.T) {
	var asked, fails atomic.Int64
	answer := func(w http.ResponseWriter) { _, _ = w.Write([]byte("note")) }
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		switch {
		case fails.Add(-1) < 0:
			answer(w)
		case strings.HasSuffix(r.URL.Path, "000"):
			w.WriteHeader(http.StatusServiceUnavailable)
		case strings.HasSuffix(r.URL.Path, "001"):
			panic(http.ErrAbortHandler) // the line breaks
		case strings.HasSuffix(r.URL.Path, "002"):
			w.Header().Set("Content-Length", "99")
			answer(w)
		default:
			w.WriteHeader(http.StatusInternalServerError)
		}
	}))
	defer server.Close()
	open := func() *httpSource {
		// On a connection of before the client itself asks again.
		src, err := HTTP(server.URL, "", &http.Client{Transport: &http.Transport{DisableKeepAlives: true}})
		if err != nil {
			t.Fatal(err)
		}
		src.(*httpSource).pause = time.Microsecond
		return src.(*httpSource)
	}
	for _, x := range []struct {
		path   string
		before int // answers before it
		fails  int64
		asked  int64
		ok     bool
	}{
		{"tile/0/000", 0, 2, 3, true}, {"tile/0/000", 0, 99, tries, false}, {"tile/0/001", 1, tries - 1, tries, true}, {"tile/0/001", 1, tries, tries, false},
		{"tile/0/002", 0, 1, 2, true}, {"tile/0/003", 1, 1, 1, false},
	} {
		src := open()
		fails.Store(0)
		for range x.before {
			if _, err := src.Checkpoint(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		asked.Store(0)
		fails.Store(x.fails)
		if _, err := src.Tile(t.Context(), x.path); (err == nil) != x.ok || asked.Load() != x.asked {
			t.Errorf("%s that fails %d times was asked for %d times, %v; want %d", x.path, x.fails, asked.Load(), err, x.asked)
		}
	}
	server.Close()
	asked.Store(0)
	if _, err := open().Checkpoint(t.Context()); err == nil {
		t.Error("a server that is not there answers")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	src := open()
	src.answered.Store(true)
	src.pause = time.Hour
	if _, err := src.Checkpoint(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want that it was ended", err)
	}
}
