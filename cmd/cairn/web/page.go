package web

import (
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"strconv"
	"strings"
	"time"
)

//go:embed all:dist
var dist embed.FS

// file is the page as scripts/page writes it, compressed.
const file = "dist/verify.html.gz"

const (
	// maxReaders is how many may be given the page at one time: it goes to anybody who asks.
	maxReaders = 16
	// patience is how long one of them may take.
	patience = 2 * time.Minute
)

// missing is what a gateway says that was built without its page.
const missing = "This build of the gateway does not have the page that checks proofs. \"make build\" makes one that has, or\n" +
	"\"go run ./scripts/page -gzip cmd/cairn/web/dist/verify.html.gz\" and then \"go build ./cmd/cairn\".\n" +
	"The command cairn-verify gives the same answers as the page.\n"

// restrictions go beyond what the page says of itself: nobody frames it, and its origin is none, so that whatever it did
// it could not act on this gateway in the name of who reads it. Its own policy, which names its script by hash, holds as
// well.
const restrictions = "default-src 'none'; script-src 'unsafe-inline' 'wasm-unsafe-eval'; style-src 'unsafe-inline'; worker-src blob:; " +
	"img-src data:; connect-src 'none'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'; " +
	"sandbox allow-scripts allow-forms allow-downloads allow-modals"

// Handler returns what serves the page, for GET and HEAD alone. With ?download it is offered for keeping.
func Handler() http.Handler { return handler(dist) }

func handler(files fs.FS) http.Handler {
	p := &document{files: files, readers: make(chan struct{}, maxReaders)}
	switch err := p.measure(); {
	case errors.Is(err, fs.ErrNotExist):
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, missing, http.StatusNotFound) })
	case err != nil:
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "The page of this build is damaged.\n"+missing, http.StatusInternalServerError)
		})
	}
	return p
}

// document is the one page. It never changes while the process runs, and is read where it lies: in the program itself.
type document struct {
	files   fs.FS
	packed  int64  // bytes of the file, compressed
	size    int64  // bytes of the page itself
	digest  string // SHA-256 of the page itself
	readers chan struct{}
}

// measure reads the page once.
func (p *document) measure() error {
	f, err := p.files.Open(file)
	if err != nil {
		return fmt.Errorf("open the page: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("open the page: %w", err)
	}
	p.packed = info.Size()
	z, err := gzip.NewReader(f)
	if err != nil {
		return fmt.Errorf("unpack the page: %w", err)
	}
	sum := sha256.New()
	if p.size, err = io.Copy(sum, z); err != nil {
		return fmt.Errorf("unpack the page: %w", err)
	}
	p.digest = hex.EncodeToString(sum.Sum(nil))
	return nil
}

func (p *document) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "the page can only be read", http.StatusMethodNotAllowed)
		return
	}
	select {
	case p.readers <- struct{}{}:
		defer func() { <-p.readers }()
	default:
		w.Header().Set("Retry-After", "5")
		http.Error(w, "too many are being given the page at this moment", http.StatusServiceUnavailable)
		return
	}
	// Not every connection can have a deadline; those of the gateway's server can, and get another one with the next
	// request.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(patience))

	packed := acceptsGzip(r.Header.Values("Accept-Encoding"))
	tag := `"` + p.digest + `"`
	if packed {
		tag = `"` + p.digest + `-gzip"`
	}
	p.headers(w.Header(), tag, r.URL.Query().Has("download"))
	if matches(r.Header.Values("If-None-Match"), tag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	length := p.size
	if packed {
		length = p.packed
		w.Header().Set("Content-Encoding", "gzip")
	}
	w.Header().Set("Content-Length", strconv.FormatInt(length, 10))
	if r.Method != http.MethodHead {
		p.send(w, packed)
	}
}

// send writes the page. All of it was read before, so that only the reader's end can fail.
func (p *document) send(w io.Writer, packed bool) {
	f, err := p.files.Open(file)
	if err != nil {
		return
	}
	defer f.Close()
	var from io.Reader = f
	if !packed {
		if from, err = gzip.NewReader(f); err != nil {
			return
		}
	}
	_, _ = io.Copy(w, from)
}

func (p *document) headers(h http.Header, tag string, download bool) {
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-cache")
	h.Set("ETag", tag)
	h.Set("Vary", "Accept-Encoding")
	h.Set("Content-Security-Policy", restrictions)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=(), serial=()")
	if download {
		h.Set("Content-Disposition", `attachment; filename="cairn-verify.html"`)
	}
}

// acceptsGzip reads Accept-Encoding (RFC 9110, section 12.5.3) as far as gzip goes. Who sends none gets the page as it is.
func acceptsGzip(fields []string) bool {
	accepts := false
	for _, coding := range strings.Split(strings.Join(fields, ","), ",") {
		name, parameters, _ := strings.Cut(coding, ";")
		name = strings.ToLower(strings.TrimSpace(name))
		if name != "gzip" && name != "*" {
			continue
		}
		wanted := true
		if q, ok := strings.CutPrefix(strings.ReplaceAll(strings.ToLower(parameters), " ", ""), "q="); ok {
			weight, err := strconv.ParseFloat(q, 64)
			wanted = err == nil && weight > 0
		}
		if name == "gzip" {
			return wanted
		}
		accepts = wanted
	}
	return accepts
}

// matches reads If-None-Match (RFC 9110, section 13.1.2): tags compare weakly.
func matches(fields []string, tag string) bool {
	for _, t := range strings.Split(strings.Join(fields, ","), ",") {
		t = strings.TrimPrefix(strings.TrimSpace(t), "W/")
		if t == tag || t == "*" {
			return true
		}
	}
	return false
}
