package witness

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/mod/sumdb/note"

	"cairn/merkle"
)

// post sends a request and returns status, type and body of the answer.
func post(h http.Handler, body []byte) (int, string, string) {
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, httptest.NewRequest(http.MethodPost, "/add-checkpoint", bytes.NewReader(body)))
	return rec.Code, rec.Header().Get("Content-Type"), rec.Body.String()
}

func get(h http.Handler, path string) (int, string) {
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, path, nil))
	return rec.Code, rec.Body.String()
}

// TestAnswers: every answer that the specification names, from a witness that
// cosigned a head of size 5.
func TestAnswers(t *testing.T) {
	l := newTestLog(t, "example.com/log").grow(20, 0)
	fork := l.fork(4).grow(20, 1)
	stranger := newTestLog(t, "example.com/other").grow(9, 0)
	forger := &testLog{t: t, origin: l.origin, key: testKey("another"), nodes: l.nodes, tree: l.tree}
	wrong := bytes.Replace(l.request(5, 9), []byte("— example.com/log "), []byte("— example.com/log A"), 1)
	broken := bytes.Clone(l.request(5, 9))
	flipLast(broken)
	hashes := func(n int) (all []merkle.Hash) { return make([]merkle.Hash, n) }
	with := func(old uint64, proof []merkle.Hash, signed []byte) []byte {
		return (&Request{Old: old, Proof: proof, Checkpoint: signed}).Append(nil)
	}
	emptyWrong := l.sign(merkle.Checkpoint{Origin: l.origin, Size: 0, Root: merkle.Hash{1}})
	tests := []struct {
		name string
		body []byte
		code int
		size string
	}{
		{"newer", l.request(5, 9), 200, ""},
		{"the same again", l.request(5, 5), 200, ""},
		{"an old size that is too small", l.request(3, 9), 409, "5\n"},
		{"nothing known", l.request(0, 9), 409, "5\n"},
		{"an old size that is too large", l.request(7, 9), 409, "5\n"},
		{"a shrinking log", l.request(3, 3), 409, "5\n"},
		{"an old size beyond the checkpoint", l.request(9, 7), 400, ""},
		{"an unknown log", stranger.request(0, 9), 404, ""},
		{"another key", forger.request(5, 9), 403, ""},
		{"a wrong signature", broken, 403, ""},
		{"another key ID", wrong, 400, ""},
		{"another root of the size", with(5, nil, fork.head(5)), 422, ""},
		{"another history", fork.request(5, 9), 422, ""},
		{"a proof of something else", with(5, l.proof(4, 9), l.head(9)), 422, ""},
		{"a proof that is too long", with(5, append(l.proof(5, 9), merkle.Hash{}), l.head(9)), 422, ""},
		{"63 lines of proof", with(5, hashes(63), l.head(9)), 422, ""},
		{"64 lines of proof", with(5, hashes(64), l.head(9)), 400, ""},
		{"no proof", with(5, nil, l.head(9)), 422, ""},
		{"an empty log with a root", with(0, nil, emptyWrong), 409, "5\n"},
		{"nothing", nil, 400, ""},
		{"no checkpoint", []byte("old 5\n\n"), 400, ""},
		{"a leading zero", bytes.Replace(l.request(5, 9), []byte("old 5"), []byte("old 05"), 1), 400, ""},
		{"a sign", bytes.Replace(l.request(5, 9), []byte("old 5"), []byte("old +5"), 1), 400, ""},
		{"lines that end otherwise", bytes.ReplaceAll(l.request(5, 9), []byte("\n"), []byte("\r\n")), 400, ""},
		{"too long", append(l.request(5, 9), make([]byte, maxRequest)...), 413, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWitness(t, t.TempDir(), l)
			if code, _, body := post(w, l.request(0, 5)); code != 200 {
				t.Fatalf("first head: %d %s", code, body)
			}
			code, media, body := post(w, tt.body)
			if code != tt.code {
				t.Fatalf("got %d %q, want %d", code, body, tt.code)
			}
			if tt.code == 409 && (body != tt.size || media != sizeType) {
				t.Errorf("got %q of type %q, want %q of %s", body, media, tt.size, sizeType)
			}
			if tt.code != 200 {
				if _, shown := get(w, "/"+originHash(l.origin)+"/checkpoint"); !strings.HasPrefix(shown, l.origin+"\n5\n") {
					t.Errorf("shows %q after a refusal, want the head of size 5", shown)
				}
			}
		})
	}
}

func flipLast(b []byte) {
	for i := len(b) - 2; ; i-- {
		if b[i] == 'A' {
			b[i] = 'B'
			return
		}
	}
}

// TestFirstHead: what a witness that cosigned nothing answers.
func TestFirstHead(t *testing.T) {
	l := newTestLog(t, "example.com/log").grow(9, 0)
	for _, tt := range []struct {
		name string
		body []byte
		code int
	}{
		{"a head", l.request(0, 9), 200},
		{"the empty log", l.request(0, 0), 200},
		{"a proof from nothing", (&Request{Proof: make([]merkle.Hash, 1), Checkpoint: l.head(9)}).Append(nil), 422},
		{"an empty log with a root", (&Request{Checkpoint: l.sign(merkle.Checkpoint{Origin: l.origin, Root: merkle.Hash{1}})}).Append(nil), 422},
		{"another old size", l.request(4, 9), 409},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWitness(t, t.TempDir(), l)
			if code, body := get(w, "/"+originHash(l.origin)+"/checkpoint"); code != 404 {
				t.Errorf("shows %q before it cosigned anything", body)
			}
			if code, _, body := post(w, tt.body); code != tt.code {
				t.Errorf("got %d %q, want %d", code, body, tt.code)
			}
		})
	}
	w := newWitness(t, t.TempDir(), l)
	if code, _, _ := post(w, l.request(0, 0)); code != 200 {
		t.Fatalf("empty log: %d", code)
	}
	if code, _, body := post(w, l.request(0, 9)); code != 200 {
		t.Errorf("got %d %q for the first leaves of an empty log, want 200", code, body)
	}
}

// TestShownCheckpoint: what is shown to monitors is what was cosigned, with both
// signatures and no others, and opens in the note package.
func TestShownCheckpoint(t *testing.T) {
	l := newTestLog(t, "example.com/log").grow(9, 0)
	w := newWitness(t, t.TempDir(), l)
	foreign := newSigner(t, "another.example/w").Cosign(NoteText(l.head(9)), 7)
	body := append(l.request(0, 9), foreign.Line()...)
	code, _, lines := post(w, body)
	if code != 200 {
		t.Fatalf("got %d %s", code, lines)
	}
	code, shown := get(w, "/"+originHash(l.origin)+"/checkpoint")
	if want := string(l.head(9)) + lines; code != 200 || shown != want {
		t.Errorf("shows %d\n%s\nwant\n%s", code, shown, want)
	}
	v, err := note.NewVerifier(l.vkey())
	if err != nil {
		t.Fatal(err)
	}
	n, err := note.Open([]byte(shown), note.VerifierList(v, w.signer.Key))
	if err != nil || len(n.Sigs) != 2 {
		t.Errorf("got %v, %v from the note package, want two signatures", n, err)
	}
	for _, path := range []string{"/checkpoint", "/" + strings.ToUpper(originHash(l.origin)) + "/checkpoint", "/00/checkpoint"} {
		if code, _ := get(w, path); code != 404 {
			t.Errorf("got %d for %s, want 404", code, path)
		}
	}
	if code, _ := get(w, "/add-checkpoint"); code != 405 {
		t.Errorf("got %d for a GET of add-checkpoint, want 405", code)
	}
}

// TestRotatedKey: a log may change its key and keep its origin; the head goes on.
func TestRotatedKey(t *testing.T) {
	l := newTestLog(t, "example.com/log").grow(9, 0)
	next := &testLog{t: t, origin: l.origin, key: testKey("next"), nodes: l.nodes, tree: l.tree}
	dir := t.TempDir()
	w := newWitness(t, dir, l)
	if code, _, body := post(w, l.request(0, 5)); code != 200 {
		t.Fatalf("got %d %s", code, body)
	}
	if code, _, _ := post(w, next.request(5, 7)); code != 403 {
		t.Fatalf("got %d for a key that nobody gave it, want 403", code)
	}
	for i, vkey := range []string{next.vkey(), next.vkey(), l.vkey()} {
		added, err := AddLog(dir, vkey)
		if err != nil || added != (i != 1) {
			t.Fatalf("add log: %v, %v", added, err)
		}
	}
	if code, _, body := post(w, next.request(5, 7)); code != 200 {
		t.Errorf("got %d %s with the new key, want 200", code, body)
	}
	if code, _, body := post(w, l.request(7, 9)); code != 200 {
		t.Errorf("got %d %s with the old key, want 200", code, body)
	}
	all, err := List(dir, w.signer.Key)
	if err != nil || len(all) != 1 || all[0].Size != 9 || len(all[0].Keys) != 2 || all[0].Root != l.root(9) {
		t.Errorf("got %+v, %v", all, err)
	}
}

// TestForkIsKept: two signed heads of one size are kept, the first two only.
func TestForkIsKept(t *testing.T) {
	l := newTestLog(t, "example.com/log").grow(9, 0)
	dir := t.TempDir()
	w := newWitness(t, dir, l)
	post(w, l.request(0, 9))
	for _, at := range []uint64{3, 4} {
		f := l.fork(at).grow(9, 1)
		if code, _, _ := post(w, (&Request{Old: 9, Checkpoint: f.head(9)}).Append(nil)); code != 422 {
			t.Fatalf("got %d, want 422", code)
		}
	}
	kept, err := os.ReadFile(filepath.Join(dir, headsDir, originHash(l.origin)+forkEnd))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.HasPrefix(kept, l.head(9)) || !bytes.HasSuffix(kept, append([]byte("\n"), l.fork(3).grow(9, 1).head(9)...)) {
		t.Errorf("kept\n%s", kept)
	}
}

// TestRestart: a head is what it was after a start, and one that is damaged is not
// taken for none.
func TestRestart(t *testing.T) {
	l := newTestLog(t, "example.com/log").grow(9, 0)
	dir := t.TempDir()
	post(newWitness(t, dir, l), l.request(0, 9))
	w := newWitness(t, dir, l)
	if code, _, body := post(w, l.request(0, 5)); code != 409 || body != "9\n" {
		t.Errorf("got %d %q after a start, want 409 and 9", code, body)
	}
	path := filepath.Join(dir, headsDir, originHash(l.origin))
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		data []byte
	}{
		{"empty", nil}, {"cut", whole[:len(whole)/2]}, {"another size", bytes.Replace(whole, []byte("\n9\n"), []byte("\n8\n"), 1)},
		{"without cosignature", l.head(9)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if err := os.WriteFile(path, tt.data, 0o600); err != nil {
				t.Fatal(err)
			}
			if code, _, body := post(newWitness(t, dir, l), l.request(0, 9)); code != 500 {
				t.Errorf("got %d %q on a damaged head, want 500", code, body)
			}
			if all, err := List(dir, w.signer.Key); err != nil || len(all) != 0 {
				t.Errorf("got %v, %v: the configured logs are not the folder's", all, err)
			}
		})
	}
}

// TestClockPutBack: the times of cosignatures never go back.
func TestClockPutBack(t *testing.T) {
	l := newTestLog(t, "example.com/log").grow(9, 0)
	dir := t.TempDir()
	var first Cosignature
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(1000 * time.Hour)
		w := newWitness(t, dir, l)
		_, _, lines := post(w, l.request(0, 5))
		first = cosigned(t, w, l, 5, []byte(lines))
	})
	synctest.Test(t, func(t *testing.T) {
		w := newWitness(t, dir, l)
		_, _, lines := post(w, l.request(5, 9))
		if c := cosigned(t, w, l, 9, []byte(lines)); c.Time != first.Time {
			t.Errorf("got time %d after %d", c.Time, first.Time)
		}
	})
}

// TestOneHistory: whatever comes in whatever order, from several at once, a witness
// never cosigns two roots of one size, nor a smaller size after a larger one, nor a
// head that does not extend the one before.
func TestOneHistory(t *testing.T) {
	l := newTestLog(t, "example.com/log").grow(40, 0)
	branches := []*testLog{l, l.fork(7).grow(40, 1), l.fork(20).grow(40, 2), l.fork(0).grow(40, 3)}
	dir := t.TempDir()
	w := newWitness(t, dir, l)
	type entry struct {
		branch int
		size   uint64
		time   uint64
	}
	var mu sync.Mutex
	var all []entry
	var group sync.WaitGroup
	for g := range 8 {
		group.Go(func() {
			r := rand.New(rand.NewPCG(uint64(g), 4))
			for range 200 {
				b, old := r.IntN(len(branches)), r.Uint64N(41)
				size := min(old+r.Uint64N(9), 40)
				if code, _, body := post(w, branches[b].request(old, size)); code == 409 && r.IntN(2) == 0 {
					var known uint64
					fmt.Sscan(body, &known)
					old, size = known, max(size, known)
				} else if code != 200 {
					continue
				}
				code, _, lines := post(w, branches[b].request(old, size))
				if code != 200 {
					continue
				}
				c, err := parseCosignatures([]byte(lines), w.signer.Key, NoteText(branches[b].head(size)))
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				all = append(all, entry{b, size, c.Time})
				mu.Unlock()
			}
		})
	}
	group.Wait()
	if len(all) < 10 {
		t.Fatalf("only %d cosignatures", len(all))
	}
	// One chain of roots must hold them all: that of the largest head.
	last := all[0]
	for _, e := range all {
		if e.size > last.size {
			last = e
		}
	}
	for _, e := range all {
		if branches[e.branch].root(e.size) != branches[last.branch].root(e.size) {
			t.Fatalf("cosigned size %d of branch %d, and size %d of branch %d", e.size, e.branch, last.size, last.branch)
		}
	}
	if code, _, body := post(w, l.request(0, 1)); code != 409 || body != fmt.Sprintf("%d\n", last.size) {
		t.Errorf("at the end the head is %q, want %d", body, last.size)
	}
}

// TestRace: of two forks that are asked for at once, one is cosigned.
func TestRace(t *testing.T) {
	for range 50 {
		l := newTestLog(t, "example.com/log").grow(9, 0)
		f := l.fork(5).grow(9, 1)
		w := newWitness(t, t.TempDir(), l)
		post(w, l.request(0, 5))
		var codes [2]int
		var group sync.WaitGroup
		for i, b := range []*testLog{l, f} {
			group.Go(func() { codes[i], _, _ = post(w, b.request(5, 9)) })
		}
		group.Wait()
		if codes != [2]int{200, 409} && codes != [2]int{409, 200} {
			t.Fatalf("got %v, want one 200 and one 409", codes)
		}
	}
}

// TestLimits: a request over the limit ends early, and too many at once are told so.
func TestLimits(t *testing.T) {
	l := newTestLog(t, "example.com/log").grow(9, 0)
	w := newWitness(t, t.TempDir(), l)
	for range maxAtOnce {
		w.slots <- struct{}{}
	}
	if code, _, _ := post(w, l.request(0, 9)); code != 503 {
		t.Errorf("got %d with all slots taken, want 503", code)
	}
	for range maxAtOnce {
		<-w.slots
	}
	rec := httptest.NewRecorder()
	endless := io.LimitReader(zeros{}, 1<<30)
	w.ServeHTTP(rec, httptest.NewRequest(http.MethodPost, "/add-checkpoint", endless))
	if rec.Code != http.StatusRequestEntityTooLarge {
		t.Errorf("got %d for a gigabyte, want 413", rec.Code)
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

// TestLogsFile: what a running witness does with its file of logs.
func TestLogsFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, logsFile)
	l := newTestLog(t, "example.com/log").grow(9, 0)
	if err := os.WriteFile(path, []byte("# logs\n\n  "+l.vkey()+"  # ours\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	w := newWitness(t, dir)
	if code, _, body := post(w, l.request(0, 9)); code != 200 {
		t.Fatalf("got %d %s", code, body)
	}
	if err := os.WriteFile(path, []byte("nonsense\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, _, body := post(w, l.request(9, 9)); code != 200 {
		t.Errorf("got %d %s: a file that cannot be read must not take logs away", code, body)
	}
	if _, err := Open(Config{Dir: dir, Signer: w.signer}); !errors.Is(err, merkle.ErrVerifierKey) {
		t.Errorf("got %v at a start with that file, want %v", err, merkle.ErrVerifierKey)
	}
	if _, err := AddLog(dir, l.vkey()); err == nil {
		t.Error("a log is added to a file that cannot be read")
	}
}
