package web

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
)

const sample = "<!doctype html><title>sample</title>"

func pack(t testing.TB, s string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := io.WriteString(z, s); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func ask(h http.Handler, method, target string, headers ...string) *http.Response {
	r := httptest.NewRequest(method, target, nil)
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

func body(t testing.TB, r *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestHandler(t *testing.T) {
	packed := pack(t, sample)
	h := handler(fstest.MapFS{file: {Data: packed}})
	sum := sha256.Sum256([]byte(sample))
	tag := `"` + hex.EncodeToString(sum[:]) + `"`
	zipped := strings.TrimSuffix(tag, `"`) + `-gzip"`
	for _, c := range []struct {
		name, method, target string
		headers              []string
		status               int
		body, encoding, tag  string
	}{
		{"as it is", "GET", "/verify", nil, 200, sample, "", tag},
		{"compressed", "GET", "/verify", []string{"Accept-Encoding", "br, gzip;q=0.5"}, 200, string(packed), "gzip", zipped},
		{"anything", "GET", "/verify", []string{"Accept-Encoding", "*"}, 200, string(packed), "gzip", zipped},
		{"not compressed", "GET", "/verify", []string{"Accept-Encoding", "*, gzip; q=0"}, 200, sample, "", tag},
		{"nonsense", "GET", "/verify", []string{"Accept-Encoding", "gzip;q=x"}, 200, sample, "", tag},
		{"head", "HEAD", "/verify", nil, 200, "", "", tag},
		{"known", "GET", "/verify", []string{"If-None-Match", `"a", W/` + tag}, 304, "", "", tag},
		{"known compressed", "GET", "/verify", []string{"If-None-Match", zipped, "Accept-Encoding", "gzip"}, 304, "", "", zipped},
		{"known otherwise", "GET", "/verify", []string{"If-None-Match", zipped}, 200, sample, "", tag},
	} {
		r := ask(h, c.method, c.target, c.headers...)
		got := body(t, r)
		if r.StatusCode != c.status || got != c.body || r.Header.Get("Content-Encoding") != c.encoding || r.Header.Get("ETag") != c.tag {
			t.Errorf("%s: %s, %d bytes, encoding %q, tag %s; want %d, %d, %q, %s", c.name, r.Status, len(got),
				r.Header.Get("Content-Encoding"), r.Header.Get("ETag"), c.status, len(c.body), c.encoding, c.tag)
		}
		for name, want := range map[string]string{
			"Content-Type": "text/html; charset=utf-8", "X-Content-Type-Options": "nosniff", "Vary": "Accept-Encoding",
			"Referrer-Policy": "no-referrer", "Cache-Control": "no-cache", "Content-Disposition": "",
		} {
			if got := r.Header.Get(name); got != want {
				t.Errorf("%s: %s is %q, want %q", c.name, name, got, want)
			}
		}
		for _, want := range []string{"default-src 'none'", "connect-src 'none'", "form-action 'none'", "frame-ancestors 'none'", "sandbox "} {
			if got := r.Header.Get("Content-Security-Policy"); !strings.Contains(got, want) {
				t.Errorf("%s: the policy %q lacks %q", c.name, got, want)
			}
		}
	}
	if got := ask(h, "GET", "/verify?download").Header.Get("Content-Disposition"); got != `attachment; filename="cairn-verify.html"` {
		t.Errorf("for keeping: %q", got)
	}
	if r := ask(h, "POST", "/verify"); r.StatusCode != http.StatusMethodNotAllowed || r.Header.Get("Allow") != "GET, HEAD" {
		t.Errorf("POST: %s, Allow %q", r.Status, r.Header.Get("Allow"))
	}
}

// TestNotBuilt: a gateway that was built without the page says how to get one that has it.
func TestNotBuilt(t *testing.T) {
	r := ask(handler(fstest.MapFS{}), "GET", "/verify")
	if got := body(t, r); r.StatusCode != http.StatusNotFound || !strings.Contains(got, "make build") || !strings.Contains(got, "cairn-verify") {
		t.Errorf("%s: %q", r.Status, got)
	}
	cut := pack(t, sample)
	if r := ask(handler(fstest.MapFS{file: {Data: cut[:len(cut)-3]}}), "GET", "/verify"); r.StatusCode != http.StatusInternalServerError {
		t.Errorf("a damaged page: %s", r.Status)
	}
	if _, err := dist.ReadFile("dist/.gitignore"); err != nil {
		t.Errorf("the folder is not kept for a build without the page: %v", err)
	}
}

// slow is a reader that takes the page at its leisure.
type slow struct {
	http.ResponseWriter
	began, end chan struct{}
}

func (s slow) Write(b []byte) (int, error) {
	s.began <- struct{}{}
	<-s.end
	return len(b), nil
}

// TestCrowd: whoever comes when too many are served is asked to come again, and those who left make room.
func TestCrowd(t *testing.T) {
	h := handler(fstest.MapFS{file: {Data: pack(t, sample)}})
	s := slow{httptest.NewRecorder(), make(chan struct{}), make(chan struct{})}
	var all sync.WaitGroup
	for range maxReaders {
		all.Go(func() {
			h.ServeHTTP(slow{httptest.NewRecorder(), s.began, s.end}, httptest.NewRequest("GET", "/verify", nil))
		})
	}
	for range maxReaders {
		<-s.began
	}
	if r := ask(h, "GET", "/verify"); r.StatusCode != http.StatusServiceUnavailable || r.Header.Get("Retry-After") == "" {
		t.Errorf("one more: %s, Retry-After %q", r.Status, r.Header.Get("Retry-After"))
	}
	close(s.end)
	all.Wait()
	if r := ask(h, "GET", "/verify"); r.StatusCode != http.StatusOK {
		t.Errorf("after they left: %s", r.Status)
	}
}
