package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"mime"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	apiPath     = "/api/v1"
	maxBody     = 64 << 10
	maxOpenBody = 8 << 10 // of one that anybody may send: a name and a password
	jsonType    = "application/json"
	eventsType  = "text/event-stream"
	proofType   = "application/octet-stream"
)

// Route is one question of the API. The table of all of them, in routes.go, is what
// the mux, the check of who may ask, and the OpenAPI document are made of.
type Route struct {
	Method   string
	Path     string // below /api/v1, a pattern of http.ServeMux
	Anyone   bool   // also who is not logged in
	Least    Role   // of those who may
	Audience bool   // and so may an audience
	Summary  string

	params []param
	takes  reflect.Type // JSON body; nil: none
	gives  reflect.Type // JSON answer; nil: of the type media
	status int          // of an answer
	media  string
	serve  func(*call) (any, error)
}

// param is a part of the query.
type param struct {
	name     string
	kind     string // of JSON Schema: integer, string, boolean; or time
	doc      string
	required bool
}

// call is one question being answered. serveX of this package speak HTTP through
// it; others get what it reads.
type call struct {
	s    *Server
	w    http.ResponseWriter
	r    *http.Request
	who  Who
	body []byte
}

func (c *call) ctx() context.Context { return c.r.Context() }

// with adds the parts of the query that a route takes.
func (t Route) with(all ...param) Route {
	t.params = append(t.params, all...)
	return t
}

// gives makes a route of what answers it.
func gives[A any](t Route, f func(*call) (A, error)) Route {
	t.gives, t.status = reflect.TypeFor[A](), http.StatusOK
	t.serve = func(c *call) (any, error) { return f(c) }
	return t
}

// takes makes a route with a body of what answers it.
func takes[Q, A any](t Route, f func(*call, Q) (A, error)) Route {
	t.takes, t.gives, t.status = reflect.TypeFor[Q](), reflect.TypeFor[A](), http.StatusOK
	t.serve = func(c *call) (any, error) {
		var q Q
		d := json.NewDecoder(strings.NewReader(string(c.body)))
		d.DisallowUnknownFields()
		if err := d.Decode(&q); err != nil {
			return nil, bad("the body is not what is asked for: %v", err)
		}
		if _, err := d.Token(); !errors.Is(err, io.EOF) {
			return nil, bad("something follows the body")
		}
		return f(c, q)
	}
	return t
}

// writes makes a route of what writes its answer by itself.
func writes(t Route, media string, f func(*call) error) Route {
	t.media, t.status = media, http.StatusOK
	t.serve = func(c *call) (any, error) { return nil, f(c) }
	return t
}

// pathParams are those that a pattern names.
func (t *Route) pathParams() (all []string) {
	for _, part := range strings.Split(t.Path, "/") {
		if name, ok := strings.CutPrefix(part, "{"); ok {
			all = append(all, strings.TrimSuffix(name, "}"))
		}
	}
	return all
}

// changes reports whether a route changes something.
func (t *Route) changes() bool { return t.Method != http.MethodGet }

func bad(format string, a ...any) error {
	return fmt.Errorf("%w: %s", ErrBad, fmt.Sprintf(format, a...))
}

// number reads a whole number of the path or the query, def if it is not there.
func (c *call) number(name string, def, most uint64) (uint64, error) {
	text := c.r.PathValue(name)
	if text == "" {
		text = c.r.URL.Query().Get(name)
	}
	if text == "" {
		return def, nil
	}
	n, err := strconv.ParseUint(text, 10, 63)
	if err != nil || n > most {
		return 0, bad("%s: %.40q is no whole number up to %d", name, text, most)
	}
	return n, nil
}

// optional is number for one that need not be there.
func (c *call) optional(name string) (*uint64, error) {
	if c.r.URL.Query().Get(name) == "" {
		return nil, nil
	}
	n, err := c.number(name, 0, math.MaxInt64)
	return &n, err
}

// time reads a time of the query, from 1970 on: Unix ms, or RFC 3339.
func (c *call) time(name string, def int64) (int64, error) {
	text := c.r.URL.Query().Get(name)
	if text == "" {
		return def, nil
	}
	n, err := strconv.ParseInt(text, 10, 63)
	if t, terr := time.Parse(time.RFC3339, text); terr == nil {
		n, err = t.UnixMilli(), nil
	}
	if err != nil || n < 0 {
		return 0, bad("%s: %.40q is no time such as 2026-05-01T09:00:00Z, nor Unix ms", name, text)
	}
	return n, nil
}

func (c *call) yes(name string) (bool, error) {
	text := c.r.URL.Query().Get(name)
	if text == "" {
		return false, nil
	}
	yes, err := strconv.ParseBool(text)
	if err != nil {
		return false, bad("%s: %.20q is neither true nor false", name, text)
	}
	return yes, nil
}

func (c *call) ledger() string { return c.r.URL.Query().Get("ledger") }

// allowed says whether somebody may ask, and else why not.
func (t *Route) allowed(who Who, in bool) (status int, why string) {
	switch {
	case t.Anyone:
		return 0, ""
	case !in:
		return http.StatusUnauthorized, "log in first, or send an API token"
	case who.Role == Audience && !t.Audience:
		return http.StatusForbidden, "this is not for audiences"
	case who.Role != Audience && !who.Role.may(t.Least):
		return http.StatusForbidden, fmt.Sprintf("this takes the role %s", t.Least)
	}
	return 0, ""
}

// serveRoute answers one question.
func (s *Server) serveRoute(t *Route, w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	who, in := s.whoAsks(r, t)
	if status, why := t.allowed(who, in); status != 0 {
		if status == http.StatusUnauthorized {
			h.Set("WWW-Authenticate", `Bearer realm="cairn API"`)
		}
		fail(w, status, why)
		return
	}
	if !t.Anyone && t.media != eventsType { // those are counted by themselves
		if !s.gate.enter(who) {
			s.failed(w, who, t, ErrBusy)
			return
		}
		defer s.gate.leave(who)
	}
	c := &call{s: s, w: w, r: r, who: who}
	if err := c.checkQuery(t); err != nil {
		s.failed(w, who, t, err)
		return
	}
	if t.takes != nil {
		if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != jsonType {
			fail(w, http.StatusUnsupportedMediaType, "the body is to be "+jsonType)
			return
		}
		most := int64(maxBody)
		if t.Anyone {
			most = maxOpenBody
		}
		var err error
		if c.body, err = io.ReadAll(http.MaxBytesReader(w, r.Body, most)); err != nil {
			fail(w, http.StatusRequestEntityTooLarge, fmt.Sprintf("the body cannot be read, or has more than %d bytes", most))
			return
		}
	}
	answer, err := t.serve(c)
	if t.changes() && !t.Anyone {
		s.cfg.Logger.Info("console", "did", t.Method+" "+t.Path, "who", who.Name, "failed", err != nil)
	}
	if err != nil {
		s.failed(w, who, t, err)
		return
	}
	if t.gives != nil {
		h.Set("Content-Type", jsonType)
		w.WriteHeader(t.status)
		e := json.NewEncoder(w)
		_ = e.Encode(answer) // what could not be sent is the client's loss
	}
}

// checkQuery refuses what cannot be read, or what the route does not take: a misspelt
// limit would be none.
func (c *call) checkQuery(t *Route) error {
	query, err := url.ParseQuery(c.r.URL.RawQuery)
	if err != nil {
		return bad("the query cannot be read: %v", err)
	}
	for name, values := range query {
		known := slices.ContainsFunc(t.params, func(p param) bool { return p.name == name })
		if !known || len(values) > 1 {
			return bad("%.40q is no parameter of this, or is there twice", name)
		}
	}
	return nil
}

// failed answers with why there is no answer. An audience is told of the gateway's
// own failures that there is one, and no more.
func (s *Server) failed(w http.ResponseWriter, who Who, t *Route, err error) {
	var wait *waitError
	switch {
	case errors.As(err, &wait):
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(wait.after.Seconds()))))
		fail(w, http.StatusTooManyRequests, wait.Error())
	case errors.Is(err, errNotIn):
		fail(w, http.StatusUnauthorized, err.Error())
	case errors.Is(err, ErrNotFound):
		fail(w, http.StatusNotFound, s.words(who, err, ErrNotFound))
	case errors.Is(err, ErrLater):
		fail(w, http.StatusConflict, s.words(who, err, ErrLater))
	case errors.Is(err, ErrBusy):
		w.Header().Set("Retry-After", "5")
		fail(w, http.StatusServiceUnavailable, ErrBusy.Error())
	case errors.Is(err, ErrBad):
		fail(w, http.StatusBadRequest, strings.ReplaceAll(err.Error(), ErrBad.Error()+": ", ""))
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		fail(w, http.StatusServiceUnavailable, "it took too long")
	default:
		s.cfg.Logger.Error("console", "asked", t.Method+" "+t.Path, "error", err)
		fail(w, http.StatusInternalServerError, s.words(who, err, errors.New("the gateway could not do it: its operator finds why in the log")))
	}
}

func (s *Server) words(who Who, err, instead error) string {
	if who.Role == Audience {
		return instead.Error()
	}
	return err.Error()
}

func fail(w http.ResponseWriter, status int, why string) {
	w.Header().Set("Content-Type", jsonType)
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(Failure{why})
}
