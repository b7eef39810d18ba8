package web

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"path"
	"slices"
	"strings"
	"time"
)

// Config is what a Server needs. All of the interfaces must be there.
type Config struct {
	Accounts *Accounts
	Places   Places
	Readings Readings
	Prover   Prover
	Log      Log
	Sharing  Sharing
	Alerts   Alerts
	Settings Settings

	Version string
	Several bool // there is more than one ledger
	Secure  bool // browsers come by HTTPS: cookies may pass by nothing else
	Proxy   bool // a proxy is in front, and says in X-Forwarded-For who asks
	Logger  *slog.Logger
	Now     func() time.Time
}

// Server serves the console: its pages below /console/, which are the same for
// everybody and hold nothing of the site, and the API below /api/v1/. How long an
// answer may take is for the http.Server to say; what takes longer by its nature sets
// a time of its own.
type Server struct {
	cfg      Config
	mux      *http.ServeMux
	routes   []Route
	document Document
	cross    *http.CrossOriginProtection
	sessions sessions
	byUser   limiter
	byHost   limiter
	gate     gate
	hub      hub
	proofs   proofs
	pages    map[string]asset
}

const (
	consolePath = "/console/"
	// hashWait is how long a login waits for its turn to be hashed.
	hashWait = 5 * time.Second
)

// policy is what the console's pages may do: what comes from here, and nothing
// inline.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"form-action 'none'; base-uri 'none'; frame-ancestors 'none'"

// NewServer makes the console.
func NewServer(cfg Config) *Server {
	s := &Server{
		cfg: cfg, mux: http.NewServeMux(), cross: http.NewCrossOriginProtection(),
		sessions: sessions{accounts: cfg.Accounts, now: cfg.Now},
		// Ten wrong passwords at once, and then one in half a minute: 2,900 a day.
		byUser: limiter{burst: 10, every: 30 * time.Second, most: 4096},
		byHost: limiter{burst: 20, every: 10 * time.Second, most: 4096},
		gate:   gate{most: maxAtOnce, mostOfOne: maxAtOnceOfOne},
		proofs: proofs{now: cfg.Now, running: gate{most: maxProving, mostOfOne: maxProvingOfOne}},
		pages:  readPages(),
	}
	s.routes = s.table()
	s.document = describe(cfg.Version, s.routes)
	for i := range s.routes {
		t := &s.routes[i]
		s.mux.HandleFunc(t.Method+" "+apiPath+t.Path, func(w http.ResponseWriter, r *http.Request) { s.serveRoute(t, w, r) })
	}
	s.mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		fail(w, http.StatusNotFound, "no such question: "+apiPath+"/openapi.json lists them")
	})
	return s
}

// Routes are the questions of the API.
func (s *Server) Routes() []Route { return slices.Clone(s.routes) }

// Serves reports whether a path is the console's.
func (s *Server) Serves(path string) bool {
	return path == "/" || path == "/console" || strings.HasPrefix(path, consolePath) || strings.HasPrefix(path, "/api/")
}

// Tell tells whoever listens of something new. It never waits.
func (s *Server) Tell(e Event) { s.hub.tell(e) }

// Listens reports whether anybody listens.
func (s *Server) Listens() bool { return s.hub.listening.Load() > 0 }

// Close ends what goes on without end: the streams of events.
func (s *Server) Close() { s.hub.close() }

func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=(), serial=()")
	if !strings.HasPrefix(r.URL.Path, "/api/") {
		s.servePage(w, r)
		return
	}
	// A page of somebody else must not act in the name of who has it open here. The
	// cookie is not sent along either: it is SameSite=Strict.
	if err := s.cross.Check(r); err != nil {
		fail(w, http.StatusForbidden, "this comes from a page of another origin")
		return
	}
	s.mux.ServeHTTP(w, r)
}

// cookieName binds the cookie to this host where there is HTTPS.
func (s *Server) cookieName() string {
	if s.cfg.Secure {
		return "__Host-cairn"
	}
	return "cairn"
}

func (s *Server) setCookie(w http.ResponseWriter, secret string, age int) {
	http.SetCookie(w, &http.Cookie{
		Name: s.cookieName(), Value: secret, Path: "/", MaxAge: age, HttpOnly: true, Secure: s.cfg.Secure, SameSite: http.SameSiteStrictMode,
	})
}

// whoAsks finds who asks: by an API token if there is one, else by the cookie. What
// a page asks by itself says so: it keeps no session from falling idle.
func (s *Server) whoAsks(r *http.Request, t *Route) (Who, bool) {
	if header := r.Header.Get("Authorization"); header != "" {
		secret, ok := strings.CutPrefix(header, "Bearer ")
		if !ok {
			return Who{}, false
		}
		return s.cfg.Accounts.bearer(secret)
	}
	cookie, err := r.Cookie(s.cookieName())
	if err != nil {
		return Who{}, false
	}
	atWork := t.media != eventsType && r.Header.Get("Cairn-Background") == ""
	return s.sessions.who(cookie.Value, atWork)
}

var errNotIn = errors.New("this name and this password do not go together")

// waitError says that there were too many tries.
type waitError struct{ after time.Duration }

func (e *waitError) Error() string {
	return fmt.Sprintf("too many tries: wait for %v", max(time.Second, e.after.Round(time.Second)))
}

// serveLogin begins a session. What somebody typed is not logged: a password may
// stand where a name belongs.
func serveLogin(c *call, q Login) (Me, error) {
	s, now := c.s, c.s.cfg.Now()
	host := s.hostOf(c.r)
	if wait, ok := s.byHost.take(host, now); !ok {
		return Me{}, &waitError{wait}
	}
	user := hex.EncodeToString(sum(q.Name)) // a name that is no user's takes as little room
	if wait, ok := s.byUser.take(user, now); !ok {
		return Me{}, &waitError{wait}
	}
	ctx, cancel := context.WithTimeout(c.ctx(), hashWait)
	defer cancel()
	stamp, ok, err := s.cfg.Accounts.login(ctx, q.Name, []byte(q.Password))
	if err != nil {
		return Me{}, err
	}
	if !ok {
		s.cfg.Logger.Warn("console: a login was refused", "from", host)
		return Me{}, errNotIn
	}
	s.byHost.give(host)
	s.byUser.give(user)
	if old, err := c.r.Cookie(s.cookieName()); err == nil {
		s.sessions.end(old.Value)
	}
	secret := s.sessions.begin(q.Name, stamp)
	if c.who, ok = s.sessions.who(secret, true); !ok { // the user has another password by now, or is no more
		return Me{}, errNotIn
	}
	s.setCookie(c.w, secret, int(sessionWhole.Seconds()))
	s.cfg.Logger.Info("console: somebody logged in", "who", c.who.Name, "from", host)
	return serveMe(c)
}

func sum(text string) []byte {
	h := sha256.Sum256([]byte(text))
	return h[:16]
}

func serveLogout(c *call) (Done, error) {
	if cookie, err := c.r.Cookie(c.s.cookieName()); err == nil {
		c.s.sessions.end(cookie.Value)
		c.s.setCookie(c.w, "", -1)
	}
	return Done{}, nil
}

// hostOf is from where a request comes: an address, or the /64 of one of IPv6,
// which one customer has. Behind a proxy it is what the proxy saw, the last that
// stands in X-Forwarded-For.
func (s *Server) hostOf(r *http.Request) string {
	text := r.RemoteAddr
	if host, _, err := net.SplitHostPort(text); err == nil {
		text = host
	}
	if all := r.Header.Values("X-Forwarded-For"); s.cfg.Proxy && len(all) > 0 {
		last := all[len(all)-1]
		text = strings.TrimSpace(last[strings.LastIndexByte(last, ',')+1:])
	}
	ip, err := netip.ParseAddr(text)
	if err != nil { // some proxies tell the port as well
		at, err := netip.ParseAddrPort(text)
		if err != nil {
			return "unknown"
		}
		ip = at.Addr()
	}
	if ip = ip.Unmap(); ip.Is6() {
		p, _ := ip.WithZone("").Prefix(64)
		return p.String()
	}
	return ip.String()
}

// bundle are the pages: what lies beside this file, as it is.
//
//go:embed *.html *.css *.js *.svg
var bundle embed.FS

// asset is one file of the bundle.
type asset struct {
	kind, tag string
	body      []byte
}

// shell is the one document; its program shows what the path names.
const shell = "console.html"

// kinds are those of the bundle's files.
var kinds = map[string]string{
	".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml",
	".license": "text/plain; charset=utf-8",
}

// readPages reads the bundle, once. What draws charts, uPlot, comes from
// scripts/page/chart.sh. A build without it shows no charts: the document says
// whether it is there.
func readPages() map[string]asset {
	all := map[string]asset{}
	for from, files := range map[string]embed.FS{".": bundle, "dist": dist} {
		entries, _ := files.ReadDir(from) // it was embedded
		for _, e := range entries {
			kind := kinds[path.Ext(e.Name())]
			body, err := files.ReadFile(path.Join(from, e.Name()))
			if err != nil || kind == "" {
				continue
			}
			if e.Name() == shell {
				body = withCharts(body)
			}
			digest := sha256.Sum256(body)
			all[e.Name()] = asset{kind, `"` + hex.EncodeToString(digest[:16]) + `"`, body}
		}
	}
	return all
}

// withCharts adds to the document what draws charts, if this build has it.
func withCharts(document []byte) []byte {
	if _, err := dist.Open("dist/uplot.js"); err != nil {
		return document
	}
	return []byte(strings.NewReplacer(
		"<body", `<body data-chart="chart.js"`,
		"</head>", `<link rel="stylesheet" href="/console/uplot.css"><link rel="stylesheet" href="/console/chart.css">`+"\n</head>",
	).Replace(string(document)))
}

// servePage serves a file of the bundle, and the document for every other path.
func (s *Server) servePage(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "pages can only be read", http.StatusMethodNotAllowed)
		return
	}
	name, below := strings.CutPrefix(r.URL.Path, consolePath)
	if !below {
		http.Redirect(w, r, consolePath, http.StatusSeeOther)
		return
	}
	p, there := s.pages[name]
	if !there {
		if path.Ext(name) != "" {
			http.NotFound(w, r)
			return
		}
		p = s.pages[shell]
	}
	h := w.Header()
	h.Set("Content-Type", p.kind)
	h.Set("Cache-Control", "no-cache")
	h.Set("ETag", p.tag)
	if matches(r.Header.Values("If-None-Match"), p.tag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	_, _ = w.Write(p.body)
}
