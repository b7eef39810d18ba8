package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"cairn/ingest/frame"
	"cairn/ingest/reading"
	"cairn/merkle/ledger"
	runner "cairn/scripts/ipfs"
	"cairn/store"
	"cairn/store/ipfs"
	"cairn/store/mirror"
	"cairn/store/share"
)

// pastLedger is an open ledger with a past of two hours and a device that sent in
// all but the last half hour of it.
func pastLedger(t *testing.T, minutes int) (*openLedger, *hurry) {
	t.Helper()
	keyring := share.Memory()
	begin := share.Hour(1_980_000).Start()
	clock := &hurry{now: time.UnixMilli(begin)}
	clock.until = clock.now
	st, err := store.Open(store.Options{
		Dir: "data", FS: vfs.NewMem(), Keyring: keyring, Now: clock.Now, Clock: func() reading.Clock { return reading.Synced },
		Free: func() (uint64, error) { return 1 << 40, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	ctx := context.Background()
	b, err := st.AddDevice(ctx, store.NewDevice{ID: frame.ID{0x80, 1}, Name: "fridge", Kind: ledger.BindSecure, Key: &frame.Key{1}})
	if err != nil {
		t.Fatal(err)
	}
	for m := range int64(minutes) {
		if err := clock.pass(ctx, st, time.Minute); err != nil {
			t.Fatal(err)
		}
		if m < int64(minutes)-30 {
			if err := st.Submit(ctx, []store.Arrival{arrivalOf(b, m, m)}); err != nil {
				t.Fatal(err)
			}
		}
	}
	l := &openLedger{
		g: &gateway{cfg: &Config{}}, cfg: &LedgerConfig{Name: siteLedger}, log: slog.New(slog.DiscardHandler), keyring: keyring, store: st,
	}
	return l, clock
}

// publisherOf is a publisher as a start makes it.
func publisherOf(t *testing.T, l *openLedger, clock *hurry, c IPFSConfig) *publisher {
	t.Helper()
	l.g.cfg.IPFS = c
	if err := l.makePublisher(); err != nil {
		t.Fatal(err)
	}
	l.published.now = clock.Now
	t.Cleanup(l.published.node.Close)
	return l.published
}

// publishAll takes steps until nothing is left to do.
func publishAll(t *testing.T, p *publisher, clock *hurry) {
	t.Helper()
	for range 1000 {
		did, err := p.step(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		if !did && done(t, p, clock) {
			return
		}
	}
	t.Fatal("a thousand steps, and no end")
}

// done reports whether all sealed groups and a head after them are published; if
// not, some time passes.
func done(t *testing.T, p *publisher, clock *hurry) bool {
	t.Helper()
	if p.from() > 0 && !p.due(p.from()) && p.head != nil && p.head.State == ipfsPublished && p.head.From == p.from() {
		return true
	}
	if err := clock.pass(context.Background(), p.l.store, headEvery); err != nil {
		t.Fatal(err)
	}
	return false
}

// ringKeys are the keys of a mirror that has everything.
type ringKeys struct{ l *openLedger }

func (k ringKeys) Key(name string, h share.Hour) (share.HourKey, error) {
	c, ok := k.l.keyring.CompartmentNamed(name)
	if !ok {
		return share.HourKey{}, share.ErrNotGranted
	}
	return c.Tree.Hour(h)
}
func (ringKeys) Wants(string) bool                  { return true }
func (ringKeys) Offer(uint64, []byte) (bool, error) { return false, nil }
func (ringKeys) Grant() uint64                      { return 0 }
func (ringKeys) Statements() []mirror.Statement     { return nil }

// restored is a copy from a CID, and what was wrong with it.
func restored(t *testing.T, p *publisher, cid string) (*mirror.Copy, error) {
	t.Helper()
	c, err := ipfs.ParseCID(cid)
	if err != nil {
		t.Fatal(err)
	}
	ctx, keys := context.Background(), ringKeys{p.l}
	src, err := mirror.FromIPFS(ctx, p.node, c, p.l.store.Ledger(), keys, 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	copied, err := mirror.Open(t.TempDir(), mirror.Options{
		Ledger: mirror.Identity{Ledger: p.l.store.Ledger(), LogKey: p.l.store.FirstLogKey(), Nonce: p.l.keyring.Nonce()},
		Now:    p.now,
	})
	if err != nil {
		t.Fatal(err)
	}
	return copied, copied.Follow(ctx, src, keys, nil)
}

func rowsOf(t *testing.T, p *publisher) (all []publishedRow) {
	t.Helper()
	if err := eachPublished(p.journal, func(r publishedRow) error { all = append(all, r); return nil }); err != nil {
		t.Fatal(err)
	}
	return all
}

// pins are what the node pins, by itself.
func pins(t *testing.T, url string) (all []string) {
	t.Helper()
	resp, err := http.Post(url+"/api/v0/pin/ls?type=recursive&cid-base=base32", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range strings.Split(string(b), `"`) {
		if c, err := ipfs.ParseCID(part); err == nil {
			all = append(all, c.String())
		}
	}
	slices.Sort(all)
	return all
}

// saidOf counts the statements that name each folder.
func saidOf(t *testing.T, l *openLedger) map[ledger.Published]int {
	t.Helper()
	said := map[ledger.Published]int{}
	err := l.eachStatement(func(_ uint64, s ledger.Statement) {
		if p, err := ledger.PublishedFrom(s); err == nil {
			said[p]++
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return said
}

// checkPublished holds that all sealed groups are published once, and nothing else
// is pinned.
func checkPublished(t *testing.T, p *publisher, url string) {
	t.Helper()
	rows, said := rowsOf(t, p), saidOf(t, p.l)
	at := uint64(0)
	want := []string{p.head.CID}
	for _, r := range rows {
		if r.From != at || r.State != ipfsPublished || !r.Group || len(r.Tried) > 0 {
			t.Errorf("row %+v where batch %d is next", r, at)
		}
		if n := said[ledger.Published{First: r.From, Next: r.Next, CID: r.CID}]; n != 1 {
			t.Errorf("%d statements name %s", n, r.CID)
		}
		at, want = r.Next, append(want, r.CID)
	}
	if len(said) != len(rows) {
		t.Errorf("%d folders are named, %d published", len(said), len(rows))
	}
	slices.Sort(want)
	if got := pins(t, url); !slices.Equal(got, want) {
		t.Errorf("the node pins %d folders:\n%v\nwant %d:\n%v", len(got), got, len(want), want)
	}
}

// TestPublish publishes a past, and restores it from the newest CID.
func TestPublish(t *testing.T) {
	server := runner.Start(t)
	l, clock := pastLedger(t, 125)
	p := publisherOf(t, l, clock, IPFSConfig{API: server.URL})
	publishAll(t, p, clock)
	p.note(nil)
	checkPublished(t, p, server.URL)
	rows := rowsOf(t, p)
	if len(rows) != 8 {
		t.Errorf("%d folders of two hours, want 8", len(rows))
	}
	s := l.ipfsStatus()
	if !s.Healthy || s.Folders != 8 || s.Newest != p.head.CID || s.Waits != 0 {
		t.Errorf("status %+v", s)
	}
	for _, cid := range []string{p.head.CID, rows[7].CID, rows[3].CID} {
		c, err := restored(t, p, cid)
		if err != nil {
			t.Fatal(err)
		}
		head, _, _ := c.Head()
		if root, err := l.store.RootAt(head.Size); err != nil || root != head.Root {
			t.Errorf("%s: the copy has another log: %v", cid, err)
		}
		if cid == p.head.CID && head.Size != l.store.LogSize() {
			t.Errorf("the newest head leads to %d batches of %d", head.Size, l.store.LogSize())
		}
	}
	var sizes []uint64 // of what is sealed, busy or quiet
	for _, r := range rows {
		sizes = append(sizes, uint64(r.Need.Sealed), uint64(r.Need.Group))
		if r.Need != rows[0].Need {
			t.Errorf("a quiet quarter hour has files of %+v, a busy one of %+v", r.Need, rows[0].Need)
		}
	}
	t.Logf("files with filler: %v bytes", sizes[:2])
}

// breaking is a door to a node that lets so many requests through and then fails,
// before the node has seen one or after.
type breaking struct {
	through *httputil.ReverseProxy
	left    atomic.Int64
	after   bool
}

func (b *breaking) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if b.left.Add(-1) >= 0 {
		// The node answers while it reads; without this the rest would not reach it.
		_ = http.NewResponseController(w).EnableFullDuplex()
		b.through.ServeHTTP(w, r)
		return
	}
	if b.after {
		b.through.ServeHTTP(httptest.NewRecorder(), r)
	}
	panic(http.ErrAbortHandler)
}

// TestPublishBreaksOff breaks off publishing after each number of requests, before
// the node saw the next one and after, starts anew each time, and finds in the end
// what publishing in peace would have left.
func TestPublishBreaksOff(t *testing.T) {
	server := runner.Start(t)
	l, clock := pastLedger(t, 95)
	u, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	door := &breaking{through: httputil.NewSingleHostReverseProxy(u)}
	s := httptest.NewUnstartedServer(door)
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	s.Start()
	defer s.Close()
	failed := 0
	for round := range 200 {
		door.after = round%2 == 1
		door.left.Store(int64(round / 2 % 5))
		p := publisherOf(t, l, clock, IPFSConfig{API: s.URL, Timeout: 10 * time.Second})
		for {
			did, err := p.step(context.Background())
			if err != nil {
				failed++
				break
			}
			if !did && done(t, p, clock) {
				checkPublished(t, p, server.URL)
				if failed < 10 {
					t.Errorf("only %d failures", failed)
				}
				return
			}
		}
	}
	t.Fatal("it never came to an end")
}

// TestPublishKeeps lets objects go that are older than they are to be kept.
func TestPublishKeeps(t *testing.T) {
	server := runner.Start(t)
	l, clock := pastLedger(t, 125)
	p := publisherOf(t, l, clock, IPFSConfig{API: server.URL, Keep: 45 * time.Minute, Timeout: 2 * time.Second})
	publishAll(t, p, clock)
	resp, err := http.Post(server.URL+"/api/v0/repo/gc", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	var states []string
	for _, r := range rowsOf(t, p) {
		states = append(states, r.State)
	}
	if got := fmt.Sprint(states); got != "[thinned thinned thinned thinned thinned published published published]" {
		t.Errorf("states %s", got)
	}
	c, err := restored(t, p, p.head.CID)
	for _, a := range mirror.Alarms(err) {
		if a.Kind != mirror.NoMore {
			t.Errorf("restored: %v", a)
		}
	}
	if err == nil || len(mirror.Alarms(err)) == 0 {
		t.Error("restored without the objects that are gone, and nobody was told")
	}
	if _, next, groups := c.Sealed(); groups != 8 || next != 120 {
		t.Errorf("%d groups with %d batches are restored", groups, next)
	}
}

// TestPublishFails is about a node that is not there.
func TestPublishFails(t *testing.T) {
	l, clock := pastLedger(t, 35)
	p := publisherOf(t, l, clock, IPFSConfig{API: "http://127.0.0.1:1", Timeout: time.Second})
	var err error
	for range 1000 { // until the first quarter hour is sealed
		if _, err = p.step(context.Background()); err != nil {
			break
		}
		if err := clock.pass(context.Background(), l.store, time.Second); err != nil {
			t.Fatal(err)
		}
	}
	if err == nil {
		t.Fatal("published nowhere")
	}
	p.note(err)
	if s := l.ipfsStatus(); s.Healthy || !strings.Contains(s.Reason, "connection refused") || s.Waits <= 0 || s.Newest != "" {
		t.Errorf("status %+v", s)
	}
	if reason := l.unpublished(); reason != "" {
		t.Errorf("red at once: %s", reason)
	}
	clock.mu.Lock()
	clock.now = clock.now.Add(2 * publishedRed)
	clock.until = clock.now
	clock.mu.Unlock()
	if reason := l.unpublished(); !strings.Contains(reason, "IPFS") {
		t.Errorf("after two hours: %q", reason)
	}
	if len(saidOf(t, l)) > 0 {
		t.Error("the ledger says that something was published")
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := p.step(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("told to leave: %v", err)
	}
}
