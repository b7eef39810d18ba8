package mirror

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"cairn/merkle"
	"cairn/merkle/ledger"
	"cairn/store"
	"cairn/store/share"
)

const (
	octets  = "application/octet-stream"
	text    = "text/plain; charset=utf-8"
	jsonish = "application/json"

	// cacheForever is for what never changes, in the reader's own cache alone: who
	// may have it can change.
	cacheForever = "private, max-age=31536000, immutable"
	cacheNever   = "no-store"

	// servedAtOnce is how many requests are worked on at the same time; objects are
	// large.
	servedAtOnce = 32
)

// Admits reports whether a token is a grant's, in a time that does not tell how much
// of it is right.
func Admits(g *ledger.Grant, token string) bool {
	sum := sha256.Sum256([]byte(token))
	return token != "" && g.Token != [sha256.Size]byte{} && subtle.ConstantTimeCompare(sum[:], g.Token[:]) == 1
}

// opens reports whether a compartment is a grant's. That of the ledger goes with
// every grant.
func opens(g *ledger.Grant, compartment string) bool {
	return compartment == ledgerName || g.Opens(compartment)
}

// inHours reports whether an hour is wholly within a grant.
func inHours(g *ledger.Grant, h share.Hour) bool {
	return h.Start() >= g.From && (g.Until == nil || h.End() <= *g.Until)
}

// Access says who may have what.
type Access interface {
	// Full reports whether a request may have everything for another reason than a
	// grant's token.
	Full(r *http.Request) bool
	// Grants are all grants there were, as the ledger's statements have them now.
	Grants(ctx context.Context) ([]ledger.Grant, error)
	// Listing says what a group is and which objects it has.
	Listing(ctx context.Context, first uint64) (store.GroupRef, []store.ObjectRef, error)
	// Now is the time that the end of an access is held against.
	Now() time.Time
}

// Handler serves a source below the address of its ledger: what mirrors take, and
// below grant/<n>/ the same for that grant's audience alone. The package doc has
// the paths and what each answers.
func Handler(src Source, access Access) http.Handler {
	h := &handler{src: src, access: access, mux: http.NewServeMux(), slots: make(chan struct{}, servedAtOnce), packs: make(chan struct{}, packsAtOnce)}
	for _, at := range []string{"", "grant/{grant}/"} {
		h.on(at+"checkpoint", h.checkpoint)
		h.on(at+"tile/", h.tile)
		h.on(at+"sealed/groups", h.groups)
		h.on(at+"sealed/pack", h.pack)
		h.on(at+"sealed/statements", h.statements)
		h.on(at+"sealed/update", h.update)
		h.on(at+"sealed/grants", h.grants)
		h.on(at+"sealed/grants/{number}", h.bundle)
		h.on(at+"sealed/{first}/{name}", h.file)
	}
	return h
}

type handler struct {
	src    Source
	access Access
	mux    *http.ServeMux
	slots  chan struct{}
	packs  chan struct{} // of those, such that make packs
}

// ask is one request by someone who may ask: of a grant, or for everything.
type ask struct {
	*http.Request
	grant *ledger.Grant // nil: everything
}

// status is an error with the code that it is answered by.
type status struct {
	code int
	text string
}

func (s *status) Error() string { return s.text }

func refuse(code int, format string, args ...any) error {
	return &status{code, fmt.Sprintf(format, args...)}
}

// reply is what a request is answered with.
type reply struct {
	kind, cache string
	body        []byte
}

func (h *handler) on(path string, serve func(*ask) (reply, error)) {
	h.mux.HandleFunc("GET /"+path, func(w http.ResponseWriter, r *http.Request) {
		a, err := h.admit(r)
		var out reply
		if err == nil {
			out, err = serve(a)
		}
		if err != nil {
			fail(w, err)
			return
		}
		w.Header().Set("Content-Type", out.kind)
		w.Header().Set("Cache-Control", out.cache)
		w.Header().Set("Content-Length", strconv.Itoa(len(out.body)))
		send(w, out.body)
	})
}

// sentAtOnce is how many bytes of an answer a reader has to take within patience.
const sentAtOnce = 64 << 10

// send writes an answer. Whoever stops reading it is left, so as not to keep one of
// the places; a slow line is not.
func send(w http.ResponseWriter, b []byte) {
	conn := http.NewResponseController(w)
	for len(b) > 0 {
		n := min(len(b), sentAtOnce)
		_ = conn.SetWriteDeadline(time.Now().Add(patience)) // a writer without deadlines is none of a connection
		if _, err := w.Write(b[:n]); err != nil {
			return
		}
		b = b[n:]
	}
	if conn.Flush() == nil {
		_ = conn.SetWriteDeadline(time.Time{}) // the next request's answer has its own
	}
}

// ServeHTTP implements http.Handler.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Content-Type-Options", "nosniff")
	select {
	case h.slots <- struct{}{}:
		defer func() { <-h.slots }()
	case <-r.Context().Done():
		return
	}
	h.mux.ServeHTTP(w, r)
}

func fail(w http.ResponseWriter, err error) {
	var s *status
	code := http.StatusInternalServerError
	switch {
	case errors.As(err, &s):
		code, err = s.code, s
	case errors.Is(err, merkle.ErrTilePath), errors.Is(err, ErrNotFound), errors.Is(err, ErrNone), errors.Is(err, store.ErrNotFound):
		code, err = http.StatusNotFound, errors.New("not found")
	case errors.Is(err, store.ErrDropped):
		code = http.StatusGone // it names those who hold it: follow one of them
	case errors.Is(err, ErrGone), errors.Is(err, share.ErrShredded):
		code, err = http.StatusGone, errors.New("it is here no more")
	case errors.Is(err, store.ErrSealing):
		code, err = http.StatusServiceUnavailable, store.ErrSealing
	default:
		err = errors.New("it cannot be read at this moment") // the reason is no business of others
	}
	w.Header().Set("Cache-Control", cacheNever)
	if code == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer realm="cairn"`)
	}
	http.Error(w, err.Error(), code)
}

// admit says whether someone may ask at all.
func (h *handler) admit(r *http.Request) (*ask, error) {
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	all, err := h.access.Grants(r.Context())
	if err != nil {
		return nil, err
	}
	if text := r.PathValue("grant"); text != "" {
		n, err := number(text)
		if err != nil {
			return nil, err
		}
		for i := range all {
			if all[i].Number == n && Admits(&all[i], token) {
				return h.admitGrant(r, &all[i])
			}
		}
		return nil, refuse(tokenCode(token), "the token of this grant is needed")
	}
	if h.access.Full(r) && !named(all, token) {
		return &ask{r, nil}, nil
	}
	for i := range all {
		if g := &all[i]; Admits(g, token) {
			if !g.Mirror {
				return nil, refuse(http.StatusForbidden, "this token is for the paths below grant/%d/", g.Number)
			}
			if a, err := h.admitGrant(r, g); err != nil {
				return a, err
			}
			return &ask{r, nil}, nil
		}
	}
	return nil, refuse(tokenCode(token), "a token is needed that may have everything")
}

// named reports whether a token is that of any grant: who has one is held to it.
func named(all []ledger.Grant, token string) bool {
	for i := range all {
		if Admits(&all[i], token) {
			return true
		}
	}
	return false
}

// Visitors is an Access that wants to know whose token was used.
type Visitors interface {
	Seen(g *ledger.Grant)
}

func (h *handler) admitGrant(r *http.Request, g *ledger.Grant) (*ask, error) {
	if !g.Serves(h.access.Now().UnixMilli()) {
		return nil, refuse(http.StatusGone, "access under this grant has ended")
	}
	if v, ok := h.access.(Visitors); ok {
		v.Seen(g)
	}
	return &ask{r, g}, nil
}

func tokenCode(token string) int {
	if token == "" {
		return http.StatusUnauthorized
	}
	return http.StatusForbidden
}

func number(s string) (uint64, error) {
	n, err := strconv.ParseUint(s, 10, 63)
	if err != nil || strconv.FormatUint(n, 10) != s {
		return 0, refuse(http.StatusNotFound, "not found")
	}
	return n, nil
}

// query reads a number of the query.
func (a *ask) query(name string) (uint64, error) {
	n, err := number(a.URL.Query().Get(name))
	if err != nil {
		return 0, refuse(http.StatusBadRequest, "%s= wants a number", name)
	}
	return n, nil
}

func (h *handler) checkpoint(a *ask) (reply, error) {
	b, err := h.src.Checkpoint(a.Context())
	return reply{text, "no-cache", b}, err
}

func (h *handler) tile(a *ask) (reply, error) {
	_, rest, _ := strings.Cut(a.URL.EscapedPath(), "/tile/")
	b, err := h.src.Tile(a.Context(), "tile/"+rest)
	return reply{octets, cacheForever, b}, err
}

func (h *handler) groups(a *ask) (reply, error) {
	from, err := a.query("from")
	if err != nil {
		return reply{}, err
	}
	refs, err := h.src.Groups(a.Context(), from)
	// Of an audience's hours there may be none among the first thousand.
	for err == nil && a.grant != nil && len(refs) > 0 {
		last := refs[len(refs)-1]
		if own := ownGroups(a.grant, refs); len(own) > 0 || last.Next <= from {
			refs = own
			break
		}
		from = last.Next
		refs, err = h.src.Groups(a.Context(), from)
	}
	if err != nil {
		return reply{}, err
	}
	out := make([]wireRef, 0, len(refs))
	for _, r := range refs {
		out = append(out, toWire(r))
	}
	return jsonReply(out)
}

// ownGroups returns those of a grant's hours.
func ownGroups(g *ledger.Grant, refs []store.GroupRef) (own []store.GroupRef) {
	for _, r := range refs {
		if inHours(g, r.Hour) {
			own = append(own, r)
		}
	}
	return own
}

func jsonReply(v any) (reply, error) {
	b, err := json.Marshal(v)
	return reply{jsonish, cacheNever, append(b, '\n')}, err
}

// listing finds a group that the asker may have something of.
func (h *handler) listing(a *ask) (store.GroupRef, []store.ObjectRef, error) {
	first, err := number(a.PathValue("first"))
	if err != nil {
		return store.GroupRef{}, nil, err
	}
	ref, objects, err := h.access.Listing(a.Context(), first)
	if err == nil && a.grant != nil && !inHours(a.grant, ref.Hour) {
		err = refuse(http.StatusForbidden, "the group is not of this grant's hours")
	}
	return ref, objects, err
}

// file is a group object or another one.
func (h *handler) file(a *ask) (reply, error) {
	if a.PathValue("name") == groupFile {
		return h.group(a)
	}
	return h.object(a)
}

func (h *handler) group(a *ask) (reply, error) {
	if a.grant == nil {
		first, err := number(a.PathValue("first"))
		if err != nil {
			return reply{}, err
		}
		b, err := h.src.Group(a.Context(), store.GroupRef{First: first})
		return reply{octets, cacheNever, b}, err
	}
	ref, _, err := h.listing(a)
	if err != nil {
		return reply{}, err
	}
	b, err := h.src.Group(a.Context(), ref)
	return reply{octets, cacheNever, b}, err // a live one is replaced
}

func (h *handler) object(a *ask) (reply, error) {
	hash, err := parseHash(a.PathValue("name"))
	if err != nil {
		return reply{}, refuse(http.StatusNotFound, "not found")
	}
	if a.grant == nil {
		first, err := number(a.PathValue("first"))
		if err != nil {
			return reply{}, err
		}
		b, err := h.src.Object(a.Context(), first, store.ObjectRef{Hash: hash})
		return reply{octets, cacheForever, b}, err
	}
	ref, objects, err := h.listing(a)
	if err != nil {
		return reply{}, err
	}
	for _, o := range objects {
		if o.Hash != hash {
			continue
		}
		if !opens(a.grant, o.Name) {
			return reply{}, refuse(http.StatusForbidden, "the object is of a compartment that this grant does not have")
		}
		b, err := h.src.Object(a.Context(), ref.First, o)
		return reply{octets, cacheForever, b}, err
	}
	return reply{}, ErrNotFound
}

func (h *handler) statements(a *ask) (reply, error) {
	from, err := a.query("from")
	if err != nil {
		return reply{}, err
	}
	to, err := a.query("to")
	if err != nil {
		return reply{}, err
	}
	if from > to || to-from > MaxLeaves {
		return reply{}, refuse(http.StatusBadRequest, "at most %d statements at once", MaxLeaves)
	}
	all, err := h.src.StatementLeaves(a.Context(), from, to)
	if err != nil {
		return reply{}, err
	}
	b := make([]byte, 0, len(all)*merkle.HashSize)
	for i := range all {
		b = append(b, all[i][:]...)
	}
	return reply{octets, cacheNever, b}, nil
}

func (h *handler) update(a *ask) (reply, error) {
	b, err := h.updateOf(a)
	return reply{octets, cacheNever, b}, err
}

func (h *handler) grants(a *ask) (reply, error) {
	all, err := h.src.Bundles(a.Context())
	if err != nil {
		return reply{}, err
	}
	mine := []uint64{}
	for _, n := range all {
		if err := h.mayBundle(a, n); err == nil {
			mine = append(mine, n)
		}
	}
	return jsonReply(mine)
}

// mayBundle says whether a grant's bundle is served to whoever asks: to its
// audience, and to mirrors as long as its own access has not ended.
func (h *handler) mayBundle(a *ask, n uint64) error {
	if a.grant != nil {
		if a.grant.Number != n {
			return refuse(http.StatusForbidden, "the bundle is another grant's")
		}
		return nil
	}
	all, err := h.access.Grants(a.Context())
	if err != nil {
		return err
	}
	for i := range all {
		if all[i].Number == n {
			if !all[i].Serves(h.access.Now().UnixMilli()) {
				return refuse(http.StatusGone, "access under this grant has ended")
			}
			return nil
		}
	}
	return ErrNotFound
}

func (h *handler) bundle(a *ask) (reply, error) {
	n, err := number(a.PathValue("number"))
	if err != nil {
		return reply{}, err
	}
	if err := h.mayBundle(a, n); err != nil {
		return reply{}, err
	}
	b, err := h.src.Bundle(a.Context(), n)
	return reply{octets, cacheNever, b}, err
}
