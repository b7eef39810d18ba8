package main

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"cairn/cmd/cairn/web"
	"cairn/merkle"
	"cairn/store"
	"cairn/store/mirror"
)

// The HTTP server: /healthz, /metrics, and each ledger's log as C2SP tlog-tiles
// below /ledger/ID/ and /ledger/NAME/, where mirrors and audiences get what is
// sealed (sealed.go), and /ingest/, where senders post messages (senders.go). All else
// is read only. The page /verify, where anybody checks
// a proof, tells nothing of this gateway and needs no token. The console, at / and
// below /console/ and /api/, has logins and tokens of its own: see package web.

const (
	// A tile never changes.
	cacheForever = "public, max-age=31536000, immutable"
	// A checkpoint is replaced with each window.
	cacheShort = "no-cache"
	tileType   = "application/octet-stream"
	textType   = "text/plain; charset=utf-8"

	pagePath = "/verify"

	// answerPatience is how long an answer may take to be made and sent, from when its
	// request was read. What takes longer by its nature says so itself.
	answerPatience = 3 * time.Minute

	misdirected = "without a token (http.token_file) this is for this machine alone: ask for it by localhost or an address"
)

// httpServer is the handler of a running gateway.
type httpServer struct {
	g      *gateway
	token  [sha256.Size]byte // of the bearer token, so that comparing takes one time
	locked bool              // a token is needed
	mux    *http.ServeMux
	page   http.Handler // checks proofs

	console *web.Server // nil: none is served

	sealed map[string]*sealedAccess // by what stands for a ledger in paths
	active sync.WaitGroup
}

func newHTTPServer(g *gateway, token string) *httpServer {
	s := &httpServer{g: g, locked: token != "", token: sha256.Sum256([]byte(token)), mux: http.NewServeMux(), page: web.Handler()}
	if g.live != nil && g.live.console != nil {
		s.console = g.live.console.server
	}
	s.mux.HandleFunc("GET /healthz", s.serveHealth)
	s.mux.Handle("GET /metrics", promhttp.HandlerFor(newRegistry(g), promhttp.HandlerOpts{MaxRequestsInFlight: 4, Timeout: 10 * time.Second}))
	s.sealed = map[string]*sealedAccess{}
	for _, l := range g.ledgers {
		access := s.sealedHandler(l)
		sealed := mirror.Handler(access, access)
		for _, at := range []string{l.store.Ledger().String(), l.cfg.Name} {
			s.mux.HandleFunc("GET /ledger/"+at+"/checkpoint", l.serveCheckpoint)
			s.mux.HandleFunc("GET /ledger/"+at+"/tile/", l.serveTile)
			for _, below := range []string{"/sealed/", "/grant/"} {
				s.mux.Handle("GET /ledger/"+at+below, http.StripPrefix("/ledger/"+at, sealed))
			}
			s.sealed[at] = access
		}
	}
	return s
}

func (s *httpServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.active.Add(1)
	defer s.active.Done()
	if r.URL.Path == pagePath {
		s.page.ServeHTTP(w, r)
		return
	}
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if s.console != nil && s.console.Serves(r.URL.Path) { // it knows by itself who asks
		s.console.ServeHTTP(w, r)
		return
	}
	if strings.HasPrefix(r.URL.Path, sendersPath) {
		s.serveIngest(w, r)
		return
	}
	if s.locked && !s.admits(r.Header.Get("Authorization")) && !s.ledgerAdmits(r) {
		w.Header().Set("WWW-Authenticate", `Bearer realm="cairn"`)
		http.Error(w, "a bearer token is needed", http.StatusUnauthorized)
		return
	}
	if !s.locked && askedByName(r) {
		http.Error(w, misdirected, http.StatusMisdirectedRequest)
		return
	}
	s.mux.ServeHTTP(w, r)
}

// askedByName reports whether a request on this machine's own address names it by a
// name that others can point here: a page of theirs, whose name's address they change
// to this machine's, reads what its browser gets (DNS rebinding). To have an address or
// localhost in the URL the page must come from there.
func askedByName(r *http.Request) bool {
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	_, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err != nil && host != "localhost" && host != ""
}

func (s *httpServer) admits(header string) bool {
	token, ok := strings.CutPrefix(header, "Bearer ")
	sum := sha256.Sum256([]byte(token))
	return ok && subtle.ConstantTimeCompare(sum[:], s.token[:]) == 1
}

func (s *httpServer) serveHealth(w http.ResponseWriter, _ *http.Request) {
	h := s.g.health(s.g.ledgers)
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	if h.Status != green {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_ = json.NewEncoder(w).Encode(h)
}

func (l *openLedger) serveCheckpoint(w http.ResponseWriter, _ *http.Request) {
	note, ok := l.newestNote()
	if !ok {
		http.Error(w, "no checkpoint is signed yet", http.StatusNotFound)
		return
	}
	answer(w, textType, cacheShort, note)
}

// newestNote is the newest checkpoint with what witnesses signed of it.
func (l *openLedger) newestNote() ([]byte, bool) {
	note, size, ok := l.store.Checkpoint()
	if !ok {
		return nil, false
	}
	lines, err := l.cosignaturesOf(size)
	if err != nil {
		l.log.Error("read cosignatures", "batches", size, "error", err) // the log's own signature is enough
	}
	return slices.Concat(append([][]byte{note}, lines...)...), true
}

func answer(w http.ResponseWriter, contentType, cache string, body []byte) {
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Cache-Control", cache)
	_, _ = w.Write(body)
}

// serveTile answers with tiles of the signed log; what is not under a
// checkpoint yet does not exist for the public.
func (l *openLedger) serveTile(w http.ResponseWriter, r *http.Request) {
	_, path, _ := strings.Cut(r.URL.EscapedPath(), "/tile/")
	body, err := l.readTile("tile/" + path)
	switch {
	case errors.Is(err, merkle.ErrTilePath), errors.Is(err, errNoTile), errors.Is(err, store.ErrNotFound):
		http.NotFound(w, r)
	case err != nil:
		l.log.Error("read tile", "path", path, "error", err)
		http.Error(w, "the tile cannot be read", http.StatusInternalServerError)
	default:
		answer(w, tileType, cacheForever, body)
	}
}

var errNoTile = errors.New("the signed log has no such tile")

func (l *openLedger) readTile(path string) ([]byte, error) {
	level, index, width, err := merkle.ParseTilePath(path)
	if err != nil {
		return nil, err
	}
	_, size, ok := l.store.Checkpoint()
	if !ok || merkle.TileWidth(level, index, size) < width {
		return nil, errNoTile
	}
	if level != merkle.EntriesLevel {
		return merkle.ReadTile(l.store.LogNodes(), level, index, width)
	}
	var bundle []byte
	first := index << merkle.TileHeight
	for i := range uint64(width) {
		entry, err := l.store.Header(first + i)
		if err != nil {
			return nil, err
		}
		if bundle, err = merkle.AppendEntry(bundle, entry); err != nil {
			return nil, err
		}
	}
	return bundle, nil
}

// newServer returns a server with limits on what a client may take. What a
// client does wrong on its connection is not worth a line of log.
func newServer(h http.Handler) *http.Server {
	return &http.Server{
		Handler: h, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: answerPatience,
		IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10, ErrorLog: log.New(io.Discard, "", 0),
	}
}
