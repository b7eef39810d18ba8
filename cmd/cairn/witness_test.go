package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"cairn/anchor/witness"
	"cairn/merkle"
	witnesses "cairn/scripts/witness"
	"cairn/store"
	"cairn/store/share"
)

// clocked is a store whose clock the test moves.
type clocked struct {
	*store.Store
	t   *testing.T
	now atomic.Int64
}

// newClocked makes a store in dir with batches of a second, of which the newest ends
// a moment ago.
func newClocked(t *testing.T, dir string, keyring *share.Keyring, batches uint64) *clocked {
	t.Helper()
	return newClockedAt(t, dir, keyring, batches, time.Now())
}

// newClockedAt is newClocked at another time.
func newClockedAt(t *testing.T, dir string, keyring *share.Keyring, batches uint64, now time.Time) *clocked {
	t.Helper()
	c := &clocked{t: t}
	c.now.Store(now.Truncate(time.Second).Add(-time.Duration(batches) * time.Second).UnixMilli())
	c.open(dir, keyring)
	c.grow(batches)
	return c
}

func (c *clocked) open(dir string, keyring *share.Keyring) {
	c.t.Helper()
	s, err := store.Open(store.Options{
		Dir: dir, Keyring: keyring, Window: time.Second, Now: func() time.Time { return time.UnixMilli(c.now.Load()) }, HoldSigning: true,
	})
	if err != nil {
		c.t.Fatal(err)
	}
	c.Store = s
	c.t.Cleanup(func() { s.Close() })
}

// grow closes and signs batches up to a size.
func (c *clocked) grow(batches uint64) {
	c.t.Helper()
	for _, size, _ := c.Checkpoint(); size < batches; _, size, _ = c.Checkpoint() {
		c.now.Add(1000)
		if err := c.AllowSigning(context.Background()); err != nil { // waits for the committer, which looks at the clock
			c.t.Fatal(err)
		}
	}
}

// testWitness is a witness on loopback that knows the logs with these keys.
type testWitness struct {
	cfg WitnessConfig
	key witness.Signer
}

func newTestWitness(t *testing.T, name string, logs ...string) testWitness {
	t.Helper()
	seed := sha256.Sum256([]byte(name))
	s, err := witness.NewSigner(name, bytes.NewReader(seed[:]))
	if err != nil {
		t.Fatal(err)
	}
	w, err := witness.Open(witness.Config{Dir: t.TempDir(), Signer: s, Logs: logs})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(w)
	t.Cleanup(srv.Close)
	return testWitness{witnessConfig(t, name, srv.URL, s), s}
}

func witnessConfig(t *testing.T, name, url string, s witness.Signer) WitnessConfig {
	t.Helper()
	k, err := witness.ParseKey(s.Key.String())
	if err != nil {
		t.Fatal(err)
	}
	return WitnessConfig{Name: name, URL: url, VKey: k.String(), key: k}
}

// witnessLedger is a running ledger's part that asks these witnesses.
func witnessLedger(t *testing.T, s *store.Store, quorum string, open bool, ask ...WitnessConfig) *openLedger {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	cfg := &Config{Window: time.Second, Ledgers: []LedgerConfig{{
		Name: siteLedger, Quorum: "any", Witnesses: ask, WitnessQuorum: quorum, WitnessFailOpen: open,
	}}}
	l := &openLedger{g: &gateway{cfg: cfg, log: log}, cfg: &cfg.Ledgers[0], log: log, store: s}
	if err := l.makeWitnesses(); err != nil {
		t.Fatal(err)
	}
	return l
}

// keep keeps a cosignature of the head of a size, as if its witness had been asked.
func keep(t *testing.T, l *openLedger, size uint64, w testWitness) {
	t.Helper()
	note, err := l.store.CheckpointAt(size)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.cosigned.add(size, w.cfg.key, w.key.Cosign(witness.NoteText(note), size)); err != nil {
		t.Fatal(err)
	}
}

// TestCosignedHead: which head may be anchored, failing closed and failing open.
func TestCosignedHead(t *testing.T) {
	s := newClocked(t, t.TempDir(), share.Memory(), 200)
	a, b, c := newTestWitness(t, "a"), newTestWitness(t, "b"), newTestWitness(t, "c")
	all := []WitnessConfig{a.cfg, b.cfg, c.cfg}
	closed := witnessLedger(t, s.Store, "2", false, all...)
	headOf := func(l *openLedger) uint64 {
		r := &routeSource{head: head{l.store}, cosigned: l.cosigned}
		size, root, note, ok := r.Head()
		if !ok {
			return 0
		}
		if want, err := l.store.RootAt(size); err != nil || root != want {
			t.Fatalf("the head of size %d has the root %v, want %v", size, root, want)
		}
		if cp, err := l.store.OpenCheckpoint(note); err != nil || cp.Size != size {
			t.Fatalf("the note of size %d: %+v, %v", size, cp, err)
		}
		return size
	}
	// open reads what is kept, as a start does.
	open := func() *openLedger { return witnessLedger(t, s.Store, "2", true, all...) }
	want := func(when string, wantClosed, wantOpen uint64) {
		t.Helper()
		if got := headOf(closed); got != wantClosed {
			t.Errorf("%s: failing closed anchors %d, want %d", when, got, wantClosed)
		}
		if got := headOf(witnessLedger(t, s.Store, "2", false, all...)); got != wantClosed {
			t.Errorf("%s, after a start: failing closed anchors %d, want %d", when, got, wantClosed)
		}
		if got := headOf(open()); got != wantOpen {
			t.Errorf("%s: failing open anchors %d, want %d", when, got, wantOpen)
		}
	}
	want("nobody cosigned", 0, 200)
	keep(t, closed, 10, a)
	keep(t, closed, 10, a)
	want("one of two", 0, 200)
	keep(t, closed, 10, c)
	want("two, long ago", 10, 200)
	keep(t, closed, 190, b)
	keep(t, closed, 190, c)
	want("two, lately", 190, 190)
	keep(t, closed, 195, c)
	keep(t, closed, 20, b) // late answers
	keep(t, closed, 20, a)
	want("one more, and an older one", 190, 190)
	keep(t, closed, 200, a)
	keep(t, closed, 200, b)
	want("all", 200, 200)

	if got := headOf(witnessLedger(t, s.Store, "3", false, all...)); got != 0 {
		t.Errorf("with a higher quorum anchors %d, want none", got)
	}
	if lines, err := closed.cosignaturesOf(10); err != nil || len(lines) != 2 {
		t.Errorf("got %d lines for size 10, %v; want two, of which none is doubled", len(lines), err)
	}
	if size, err := closed.newestCosigned(11, 199); err != nil || size != 190 {
		t.Errorf("the newest cosigned of 11 to 199 is %d, %v; want 190", size, err)
	}
	if size, err := closed.newestCosigned(191, 199); err != nil || size != 195 {
		t.Errorf("the newest cosigned of 191 to 199 is %d, %v; want 195, by one", size, err)
	}
	if size, err := closed.newestCosigned(191, 194); err != nil || size != 0 {
		t.Errorf("the newest cosigned of 191 to 194 is %d, %v; want none", size, err)
	}
}

// TestKeptHeads: what is kept stays bounded, but for the heads of anchors.
func TestKeptHeads(t *testing.T) {
	s := newClocked(t, t.TempDir(), share.Memory(), 3*keptHeads)
	w := newTestWitness(t, "a")
	l := witnessLedger(t, s.Store, "any", false, w.cfg)
	l.cosigned.used = func(size uint64) (bool, error) { return size%50 == 0, nil }
	for size := uint64(1); size <= 3*keptHeads; size++ {
		keep(t, l, size, w)
	}
	kept, err := l.keptBetween(0, merkle.MaxSize)
	if err != nil {
		t.Fatal(err)
	}
	want := []uint64{50, 100}
	for size := uint64(2*keptHeads + 1); size <= 3*keptHeads; size++ {
		want = append(want, size)
	}
	if !slices.Equal(kept, want) {
		t.Errorf("kept %v, want %v", kept, want)
	}
	for from, want := range map[uint64]uint64{0: 3 * keptHeads, 60: 3 * keptHeads} {
		if size, err := l.newestCosigned(from, merkle.MaxSize); err != nil || size != want {
			t.Errorf("from %d: newest %d, %v; want %d", from, size, err, want)
		}
	}
	if size, err := l.newestCosigned(0, 120); err != nil || size != 100 {
		t.Errorf("to 120: newest %d, %v; want 100", size, err)
	}
}

// TestWitnessesGuard: what the witnesses say in the first round decides whether
// anything is signed.
func TestWitnessesGuard(t *testing.T) {
	dir, keyring := t.TempDir(), share.Memory()
	s := newClocked(t, dir, keyring, 5)
	logKey := merkle.VerifierKey(s.Origin(), s.LogKey())
	fresh, behind := newTestWitness(t, "fresh", logKey), newTestWitness(t, "behind", logKey)
	ahead, stranger := newTestWitness(t, "ahead", logKey), newTestWitness(t, "stranger")
	nobody := witnessConfig(t, "nobody", "http://"+unused(t), ahead.key)

	round(t, s.Store, behind.cfg)
	s.Close()
	copyDir(t, dir, dir+"-old")
	s.open(dir, keyring)
	s.grow(9)
	round(t, s.Store, ahead.cfg)
	s.Close()
	s.open(dir+"-old", keyring)

	for _, tt := range []struct {
		name string
		ask  []WitnessConfig
		held string
	}{
		{"nobody answers", []WitnessConfig{nobody}, "until a witness or a route confirms"},
		{"one that knows less", []WitnessConfig{behind.cfg}, ""},
		{"one that knows nothing of it", []WitnessConfig{fresh.cfg}, ""},
		{"one that does not know the log", []WitnessConfig{stranger.cfg}, ""},
		{"one is enough", []WitnessConfig{nobody, behind.cfg}, ""},
		{"one that knows more", []WitnessConfig{ahead.cfg}, "witness ahead: witness has cosigned a larger head of this log: one of size 9"},
		{"one that knows more among others", []WitnessConfig{behind.cfg, nobody, ahead.cfg}, "older than what was anchored or cosigned"},
	} {
		l := round(t, s.Store, tt.ask...)
		if held := l.store.Held(); (held == "") != (tt.held == "") || !strings.Contains(held, tt.held) {
			t.Errorf("%s: held is %q, want %q", tt.name, held, tt.held)
		}
	}

	// The old copy goes another way, as if nobody had noticed.
	s.grow(12)
	l := round(t, s.Store, ahead.cfg)
	if held := l.store.Held(); !strings.Contains(held, "does not extend") {
		t.Errorf("held is %q, want a fork", held)
	}
	if !l.witnesses[0].objects() {
		t.Error("the witness does not object to a fork")
	}
}

// TestWitnessKnowsUnsigned: a witness that is ahead of what is signed, but not of
// what the log holds, confirms the log.
func TestWitnessKnowsUnsigned(t *testing.T) {
	dir, keyring := t.TempDir(), share.Memory()
	s := newClocked(t, dir, keyring, 9)
	w := newTestWitness(t, "a", merkle.VerifierKey(s.Origin(), s.LogKey()))
	round(t, s.Store, w.cfg)
	l := witnessLedger(t, s.Store, "any", false, w.cfg)
	if !l.witnesses[0].holds(t.Context()) {
		t.Error("the log does not hold its own head")
	}
	other := newClocked(t, t.TempDir(), share.Memory(), 9)
	l = witnessLedger(t, other.Store, "any", false, w.cfg)
	if l.witnesses[0].holds(t.Context()) {
		t.Error("another log holds the head")
	}
}

// TestOtherWitnesses has witnesses that are not ours cosign for a ledger, from before
// its first batch on.
func TestOtherWitnesses(t *testing.T) {
	s := newClocked(t, t.TempDir(), share.Memory(), 0)
	logKey := merkle.VerifierKey(s.Origin(), s.LogKey())
	var all []WitnessConfig
	for name, start := range map[string]func(testing.TB, string, ...string) *witnesses.Witness{
		"lite": witnesses.StartLite, "td": witnesses.StartTransparencyDev,
	} {
		run := start(t, name+".example/w", logKey)
		k, err := witness.ParseKey(run.VKey)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, WitnessConfig{Name: name, URL: run.URL, VKey: run.VKey, key: k})
	}
	l := round(t, s.Store, all...)
	if held := l.store.Held(); held != "" {
		t.Errorf("held is %q before the first batch, want nothing", held)
	}
	for _, size := range []uint64{1, 2, 70} {
		s.grow(size)
		l := round(t, s.Store, all...)
		for _, w := range l.witnesses {
			if st := w.status(); !st.Healthy || st.Batches != size {
				t.Errorf("size %d: %+v", size, st)
			}
		}
		if enough, err := l.cosignedEnough(size); err != nil || !enough {
			t.Errorf("size %d: cosigned by enough: %v, %v", size, enough, err)
		}
	}
}

// round asks witnesses once, as a start does.
func round(t *testing.T, s *store.Store, ask ...WitnessConfig) *openLedger {
	t.Helper()
	l := witnessLedger(t, s, "any", false, ask...)
	if err := s.HoldSigning(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	for _, w := range l.witnesses {
		w.ask(t.Context())
	}
	l.guardOpens(t.Context())
	return l
}

// unused is an address that nobody listens on.
func unused(t *testing.T) string {
	t.Helper()
	on, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer on.Close()
	return on.Addr().String()
}

func copyDir(t *testing.T, from, to string) {
	t.Helper()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
}

// TestAskedInTime: a witness is asked for new heads only, and later after it failed.
func TestAskedInTime(t *testing.T) {
	s := newClocked(t, t.TempDir(), share.Memory(), 3)
	broken := httptest.NewServer(http.NotFoundHandler())
	defer broken.Close()
	w := newTestWitness(t, "a", merkle.VerifierKey(s.Origin(), s.LogKey()))
	cfg := w.cfg
	cfg.URL = broken.URL
	l := witnessLedger(t, s.Store, "any", false, cfg)
	a := l.witnesses[0]
	pauses := []time.Duration{}
	for range 12 {
		a.ask(t.Context())
		pauses = append(pauses, a.pause)
		if now := time.Now(); a.wants(now) || !a.wants(now.Add(2*a.pause)) {
			t.Fatalf("after a pause of %v: due %v from now", a.pause, time.Until(a.due))
		}
	}
	if pauses[0] != minWitnessPause || pauses[11] != maxWitnessPause || !slices.IsSorted(pauses) {
		t.Errorf("pauses %v", pauses)
	}
	if st := a.status(); st.Healthy || !strings.Contains(st.Reason, "give its operator the key "+s.Origin()) {
		t.Errorf("status %+v", st)
	}
	l = witnessLedger(t, s.Store, "any", false, w.cfg)
	a = l.witnesses[0]
	a.ask(t.Context())
	if a.wants(time.Now().Add(time.Hour)) {
		t.Error("it is asked again for the same head")
	}
	s.grow(4)
	a.wants(time.Now())
	if !a.wants(time.Now().Add(maxWitnessSpread)) {
		t.Error("it is not asked for a new head")
	}
	if st := a.status(); !st.Healthy || st.Batches != 3 {
		t.Errorf("status %+v", st)
	}
}

// TestUncosignedTurnsRed: health says so when too few witnesses cosign for too long,
// and who does not.
func TestUncosignedTurnsRed(t *testing.T) {
	s := newClockedAt(t, t.TempDir(), share.Memory(), 5, time.Now().Add(-time.Hour))
	w := newTestWitness(t, "a", merkle.VerifierKey(s.Origin(), s.LogKey()))
	away := witnessConfig(t, "away", "http://"+unused(t), newTestWitness(t, "b").key)
	l := round(t, s.Store, w.cfg, away)
	if why := l.uncosigned(); why != "" {
		t.Errorf("one of the two is enough, and health says %q", why)
	}
	l = witnessLedger(t, s.Store, "all", false, w.cfg, away)
	for _, a := range l.witnesses {
		a.ask(t.Context())
	}
	if why := l.uncosigned(); !strings.Contains(why, "1 of the 2 witnesses that must cosign do") || !strings.Contains(why, "away: witness cannot be reached") {
		t.Errorf("got %q", why)
	}
	st := l.witnessesStatus()
	if st.Batches != 0 || st.Age < 3500 || st.All[0].Batches != 5 || !st.All[0].Healthy || st.All[1].Healthy {
		t.Errorf("status %+v", st)
	}
	if h := l.witnessHealth(); len(h) != 2 || !h[0].Healthy || h[1].Healthy || h[0].Batches != 5 {
		t.Errorf("health %+v", h)
	}
	young := newClocked(t, t.TempDir(), share.Memory(), 5)
	if why := witnessLedger(t, young.Store, "all", false, away).uncosigned(); why != "" {
		t.Errorf("after five seconds health says %q", why)
	}
}

func TestWitnessConfig(t *testing.T) {
	a, b := newTestWitness(t, "a"), newTestWitness(t, "b")
	section := func(name, url, vkey string) string {
		return fmt.Sprintf("  - name: %s\n    url: %s\n    vkey: %s\n", name, url, vkey)
	}
	const at = "https://w.example.com"
	two := "witnesses:\n" + section("a", at, a.cfg.VKey) + section("b", at, b.cfg.VKey)
	for _, tt := range []struct{ name, text, want string }{
		{"two", two + "witness_quorum: 2\nwitness_fail_open: true\n", ""},
		{"of a further ledger", "ledgers:\n  - name: x\n    witness_quorum: 3\n", "3 of 0 witnesses cannot be had"},
		{"too many wanted", two + "witness_quorum: 3\n", "3 of 2 witnesses cannot be had"},
		{"none wanted", two + "witness_quorum: 0\n", "none of any, all, or a number"},
		{"neither true nor false", two + "witness_fail_open: maybe\n", "neither true nor false"},
		{"a key twice", "witnesses:\n" + section("a", at, a.cfg.VKey) + section("b", at, a.cfg.VKey), "one and the same key"},
		{"a name twice", "witnesses:\n" + section("a", at, a.cfg.VKey) + section("a", at, b.cfg.VKey), "two are called a"},
		{"a reserved name", "witnesses:\n" + section("cosigned", at, a.cfg.VKey), "no witness's name"},
		{"http far away", "witnesses:\n" + section("a", "http://w.example.com", a.cfg.VKey), "use https"},
		{"a log's key", "witnesses:\n" + section("a", at, merkle.VerifierKey("x", a.key.Public())), "that of a log's key"},
		{"no key", "witnesses:\n  - name: a\n    url: " + at + "\n", "vkey: is missing"},
		{"unknown key", "witnesses:\n" + section("a", at, a.cfg.VKey) + "    token: x\n", "token: unknown key"},
	} {
		c, err := readConfig(writeConfig(t, tt.text), nil, nil, nil)
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %q", tt.name, err, tt.want)
		}
		if err == nil && (c.Ledgers[0].needCosigned() != 2 || !c.Ledgers[0].WitnessFailOpen || !c.Ledgers[0].guards()) {
			t.Errorf("%s: got %+v", tt.name, c.Ledgers[0])
		}
	}
}

// TestWitnessKeyFile: the command never shows the private key, and a key file that
// others may read is refused.
func TestWitnessKeyFile(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "w")
	var out, errs bytes.Buffer
	run := func(args ...string) int {
		out.Reset()
		errs.Reset()
		return Run(t.Context(), append([]string{"witness"}, args...), Streams{Out: &out, Err: &errs})
	}
	if code := run("init", "--dir", dir, "--name", "w.example.com/1", "--json"); code != exitDone {
		t.Fatalf("init: %d %s", code, errs.String())
	}
	if text := out.String() + errs.String(); strings.Contains(text, "PRIVATE") || !strings.Contains(text, `"vkey": "w.example.com/1+`) {
		t.Errorf("init says %s", text)
	}
	if err := os.Chmod(filepath.Join(dir, "witness.key"), 0o640); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"run", "--dir", dir, "--listen", "127.0.0.1:0"}, {"list", "--dir", dir}, {"add-log", "--dir", dir, "x"}} {
		if code := run(args...); code != exitError || !strings.Contains(errs.String(), "chmod 600") {
			t.Errorf("%v: got %d %s", args, code, errs.String())
		}
	}
	if _, err := witness.ReadSigner(t.TempDir()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}
