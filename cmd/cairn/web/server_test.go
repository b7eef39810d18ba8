package web

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// oneCookie is a jar for one site.
type oneCookie struct {
	mu  sync.Mutex
	all []*http.Cookie
}

func (j *oneCookie) SetCookies(_ *url.URL, all []*http.Cookie) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.all = all
	if len(all) == 1 && all[0].MaxAge < 0 {
		j.all = nil
	}
}

func (j *oneCookie) Cookies(*url.URL) []*http.Cookie {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.all
}

func (c *console) do(t testing.TB, h *http.Client, method, path, text string, headers ...string) *http.Response {
	t.Helper()
	r, err := http.NewRequest(method, c.URL+path, strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	if text != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	resp, err := h.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	return resp
}

func (c *console) post(t testing.TB, h *http.Client, path, text string, headers ...string) *http.Response {
	t.Helper()
	return c.do(t, h, "POST", path, text, headers...)
}

func (c *console) get(t testing.TB, h *http.Client, path string, headers ...string) *http.Response {
	t.Helper()
	return c.do(t, h, "GET", path, "", headers...)
}

func TestLogin(t *testing.T) {
	c := newConsole(t, normal())
	nobody := c.client(t, "")
	for _, bad := range []string{
		`{"name":"vera","password":"wrong"}`, `{"name":"nobody","password":"` + testPassword + `"}`, `{"name":"","password":""}`,
	} {
		if r := c.post(t, nobody, "/api/v1/login", bad); r.StatusCode != http.StatusUnauthorized || len(r.Cookies()) > 0 {
			t.Errorf("%s: %s, %v", bad, r.Status, r.Cookies())
		}
	}
	for text, want := range map[string]int{`{`: 400, `{"name":"vera","password":"x","more":1}`: 400, `{} {}`: 400, `"` + strings.Repeat("x", maxOpenBody) + `"`: 413} {
		if r := c.post(t, nobody, "/api/v1/login", text); r.StatusCode != want {
			t.Errorf("%.40s: %s, want %d", text, r.Status, want)
		}
	}
	if r := c.post(t, nobody, "/api/v1/login", `{"name":"vera","password":"`+testPassword+`"}`, "Content-Type", "text/plain"); r.StatusCode != http.StatusUnsupportedMediaType {
		t.Errorf("as a form of another page could send it: %s", r.Status)
	}
	// The longest there can be is of six bytes for each.
	escaped := `{"name":"vera","password":"` + strings.Repeat(`\u0001`, maxPassword) + `"}`
	if r := c.post(t, nobody, "/api/v1/login", escaped); r.StatusCode != http.StatusUnauthorized {
		t.Errorf("the longest password: %s", r.Status)
	}
	r := c.post(t, nobody, "/api/v1/login", `{"name":"vera","password":"`+testPassword+`"}`)
	if all := r.Cookies(); len(all) != 1 || !all[0].HttpOnly || all[0].SameSite != http.SameSiteStrictMode || all[0].Secure || all[0].Domain != "" || all[0].Path != "/" {
		t.Errorf("cookies %v", all)
	}
	if got := body(t, c.get(t, nobody, "/api/v1/me")); got != `{"name":"vera","role":"viewer"}`+"\n" {
		t.Errorf("me: %s", got)
	}
	other := c.client(t, "vera") // a second session
	before := nobody.Jar.Cookies(nil)
	if r := c.post(t, nobody, "/api/v1/logout", ""); r.StatusCode != http.StatusOK {
		t.Errorf("log out: %s", r.Status)
	}
	nobody.Jar.SetCookies(nil, before)
	if r := c.get(t, nobody, "/api/v1/me"); r.StatusCode != http.StatusUnauthorized {
		t.Errorf("after the log-out: %s", r.Status)
	}
	if r := c.get(t, other, "/api/v1/me"); r.StatusCode != http.StatusOK {
		t.Errorf("the other session: %s", r.Status)
	}
}

// TestPasswordChangedMeanwhile: a login whose password is another one by the time that it was found right begins nothing.
func TestPasswordChangedMeanwhile(t *testing.T) {
	c := newConsole(t, normal())
	a := c.api.cfg.Accounts
	passwordCost = cost{64 << 10, 4, 1} // so that the password can be changed while it is hashed
	if err := a.SetPassword("vera", hashOf(t, testPassword)); err != nil {
		t.Fatal(err)
	}
	passwordCost = cost{8, 1, 1}
	next := hashOf(t, "another one of vera")
	vera, done := c.client(t, ""), make(chan int)
	go func() {
		r := c.post(t, vera, "/api/v1/login", `{"name":"vera","password":"`+testPassword+`"}`)
		done <- r.StatusCode
	}()
	for len(hashing) == 0 {
		runtime.Gosched()
	}
	if err := a.SetPassword("vera", next); err != nil {
		t.Fatal(err)
	}
	t.Logf("the login was answered with %d", <-done)
	if r := c.get(t, vera, "/api/v1/me"); r.StatusCode != http.StatusUnauthorized {
		t.Errorf("with the old password, after the new one: %s", r.Status)
	}
}

// TestSecureCookie: with HTTPS the cookie is bound to it and to this host.
func TestSecureCookie(t *testing.T) {
	c := newConsole(t, normal())
	c.api.cfg.Secure = true
	r := c.post(t, &http.Client{}, "/api/v1/login", `{"name":"vera","password":"`+testPassword+`"}`)
	if all := r.Cookies(); len(all) != 1 || !all[0].Secure || all[0].Name != "__Host-cairn" {
		t.Errorf("cookies %v", all)
	}
}

// TestLoginLimits: who tries passwords is slowed down, for one user from many addresses and for many users from one.
func TestLoginLimits(t *testing.T) {
	c := newConsole(t, normal())
	c.api.cfg.Proxy = true
	try := func(user, from string) int {
		r := c.post(t, &http.Client{}, "/api/v1/login", `{"name":"`+user+`","password":"wrong"}`, "X-Forwarded-For", "9.9.9.9, "+from)
		if r.StatusCode == http.StatusTooManyRequests && r.Header.Get("Retry-After") == "" {
			t.Error("not said when to try again")
		}
		return r.StatusCode
	}
	for i := range 10 {
		if got := try("vera", fmt.Sprintf("10.0.0.%d", i)); got != http.StatusUnauthorized {
			t.Fatalf("try %d: %d", i, got)
		}
	}
	if got := try("vera", "10.0.1.1"); got != http.StatusTooManyRequests {
		t.Errorf("the eleventh try of one user: %d", got)
	}
	for i := range 20 {
		if got := try(fmt.Sprint("user", i), "2001:db8:1:2::"+fmt.Sprint(i)); got != http.StatusUnauthorized {
			t.Fatalf("try %d: %d", i, got)
		}
	}
	if got := try("somebody", "2001:db8:1:2:ffff::1"); got != http.StatusTooManyRequests {
		t.Errorf("one more from the same network: %d", got)
	}
	if got := try("somebody", "[2001:db8:1:2:ffff::1]:4711"); got != http.StatusTooManyRequests {
		t.Errorf("one more from there, by a proxy that tells ports: %d", got)
	}
	if got := try("somebody", "2001:db8:1:3::1"); got != http.StatusUnauthorized {
		t.Errorf("from another network: %d", got)
	}
}

// TestOtherOrigins: a page of somebody else changes nothing, also with the cookie.
func TestOtherOrigins(t *testing.T) {
	c := newConsole(t, alarmed())
	h := c.client(t, "otto")
	const ack = "/api/v1/alerts/97/ack"
	for _, headers := range [][]string{
		{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}, {"Origin", "https://evil.example"}, {"Origin", "null"},
	} {
		if r := c.post(t, h, ack, `{}`, headers...); r.StatusCode != http.StatusForbidden {
			t.Errorf("%v: %s", headers, r.Status)
		}
	}
	if len(c.did) > 0 {
		t.Errorf("done all the same: %v", c.did)
	}
	for _, headers := range [][]string{{"Sec-Fetch-Site", "same-origin"}, {"Origin", c.URL}, nil} {
		if r := c.post(t, h, ack, `{"note":"door shut"}`, headers...); r.StatusCode != http.StatusOK {
			t.Errorf("%v: %s", headers, r.Status)
		}
	}
	if want := "ack 97 otto door shut"; len(c.did) != 3 || c.did[0] != want {
		t.Errorf("did %q, want %q", c.did, want)
	}
}

// TestTokenScopes: a token may what its scope says, and a wrong one is not made up for by a cookie.
func TestTokenScopes(t *testing.T) {
	c := newConsole(t, alarmed())
	h := c.client(t, "ada")
	for scope, want := range map[string][3]int{"read": {200, 403, 403}, "operate": {200, 200, 403}, "admin": {200, 200, 200}} {
		_, secret, err := c.api.cfg.Accounts.AddToken("t-"+scope, scope, time.Now().Add(time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		bearer := []string{"Authorization", "Bearer " + secret}
		got := [3]int{
			c.get(t, h, "/api/v1/overview", bearer...).StatusCode, c.post(t, h, "/api/v1/alerts/97/ack", `{}`, bearer...).StatusCode, c.get(t, h, "/api/v1/users", bearer...).StatusCode,
		}
		if got != want {
			t.Errorf("%s: %v, want %v", scope, got, want)
		}
	}
	for _, header := range []string{"Bearer x", "Bearer ", "Basic YTpi", "Bearer " + tokenPrefix} {
		if r := c.get(t, h, "/api/v1/me", "Authorization", header); r.StatusCode != http.StatusUnauthorized {
			t.Errorf("%q: %s", header, r.Status)
		}
	}
}

// requests are a good one of each route, by method and path.
var requests = map[string]struct{ path, body string }{
	"POST /login":  {"/login", `{"name":"vera","password":"` + testPassword + `"}`},
	"POST /logout": {"/logout", ""}, "GET /me": {"/me", ""}, "GET /openapi.json": {"/openapi.json", ""}, "GET /overview": {"/overview", ""},
	"GET /devices": {"/devices?ledger=site", ""}, "GET /streams/{stream}/readings": {"/streams/0/readings?from=2026-01-01T00:00:00Z&to=1900000000000&limit=20&before=1400", ""},
	"GET /streams/{stream}/history":             {"/streams/0/history?field=T&from=2026-01-01T00:00:00Z&to=1900000000000&points=50", ""},
	"GET /streams/{stream}/readings/{sequence}": {"/streams/0/readings/1422", ""}, "GET /batches": {"/batches?limit=2", ""}, "GET /batches/{index}": {"/batches/131079", ""},
	"GET /anchors": {"/anchors", ""}, "GET /grants": {"/grants", ""}, "GET /mirrors": {"/mirrors", ""}, "GET /alerts": {"/alerts?all=true", ""},
	"POST /alerts/{number}/ack": {"/alerts/97/ack", `{"note":"x"}`}, "POST /maintenance": {"/maintenance", `{"minutes":60,"reason":"x"}`}, "DELETE /maintenance/{number}": {"/maintenance/95", ""},
	"POST /proofs": {"/proofs", `{"readings":["0/1422"]}`}, "GET /proofs/{id}": {"/proofs/$PROOF", ""}, "GET /proofs/{id}/file": {"/proofs/$PROOF/file", ""},
	"GET /check": {"/check", ""}, "GET /events": {"/events", ""}, "GET /users": {"/users", ""}, "DELETE /users/{name}": {"/users/someone%20else", ""},
	"GET /tokens": {"/tokens", ""}, "DELETE /tokens/{name}": {"/tokens/old", ""},
}

// TestEveryRoute asks every question as everybody: it is answered just by those whom the table names, and as the document
// says, which is checked by another implementation of JSON Schema.
func TestEveryRoute(t *testing.T) {
	for _, user := range []string{"", "vera", "otto", "ada", "food"} {
		c := newConsole(t, alarmed())
		if _, err := c.api.cfg.Accounts.AddUser(User{Name: "someone else", Role: Viewer}, nobody); err != nil {
			t.Fatal(err)
		}
		if _, _, err := c.api.cfg.Accounts.AddToken("old", "read", time.Now().Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		doc := documentOf(t, c)
		who, _, _ := c.api.cfg.Accounts.stamp(user)
		for _, route := range c.api.Routes() {
			name := route.Method + " " + route.Path
			q, there := requests[name]
			if !there {
				t.Fatalf("%s is not asked by this test", name)
			}
			h := c.client(t, user)
			path := apiPath + q.path
			if strings.Contains(path, "$PROOF") {
				var job ProofJob
				if user != "" {
					if err := json.Unmarshal([]byte(body(t, c.post(t, h, apiPath+"/proofs", `{"readings":["0/1422"]}`))), &job); err != nil {
						t.Fatal(err)
					}
				}
				path = strings.ReplaceAll(path, "$PROOF", job.ID+strings.Repeat("0", 32-len(job.ID)))
			}
			r := c.do(t, h, route.Method, path, q.body)
			want := http.StatusOK
			switch {
			case route.Anyone:
			case user == "":
				want = http.StatusUnauthorized
			case who.Role == Audience && !route.Audience, who.Role != Audience && !who.Role.may(route.Least):
				want = http.StatusForbidden
			}
			if r.StatusCode != want {
				t.Errorf("%s as %q: %s, want %d: %s", name, user, r.Status, want, body(t, r))
				continue
			}
			if got := r.Header.Get("Cache-Control"); got != "no-store" {
				t.Errorf("%s: may be kept: %q", name, got)
			}
			if route.media == eventsType && want == http.StatusOK {
				if line, err := bufio.NewReader(r.Body).ReadString('\n'); err != nil || line != ": welcome\n" {
					t.Errorf("%s: %q, %v", name, line, err)
				}
				r.Body.Close()
				continue
			}
			doc.check(t, &route, r)
		}
		c.CloseClientConnections()
	}
}

// TestNeededParameters: without a part of its query a question is refused just if the document says that it is required.
func TestNeededParameters(t *testing.T) {
	c := newConsole(t, normal())
	h := c.client(t, "ada")
	paths := documentOf(t, c).Document["paths"].(map[string]any)
	left := 0
	for _, route := range c.api.Routes() {
		u, err := url.Parse(apiPath + requests[route.Method+" "+route.Path].path)
		if err != nil {
			t.Fatal(err)
		}
		all, _ := paths[apiPath+route.Path].(map[string]any)[strings.ToLower(route.Method)].(map[string]any)["parameters"].([]any)
		for _, p := range all {
			p := p.(map[string]any)
			if route.Method != http.MethodGet || p["in"] != "query" {
				continue
			}
			without := u.Query()
			without.Del(p["name"].(string))
			r := c.get(t, h, u.Path+"?"+without.Encode())
			if refused := r.StatusCode == http.StatusBadRequest; refused != (p["required"] == true) {
				t.Errorf("%s without %v: %s, required: %v", route.Path, p["name"], r.Status, p["required"])
			}
			left++
		}
	}
	if left < 15 {
		t.Errorf("only %d were left out", left)
	}
}

// described is what the API says of itself, compiled.
type described struct {
	Document
	compiler *jsonschema.Compiler
}

func documentOf(t *testing.T, c *console) *described {
	t.Helper()
	text := body(t, c.get(t, c.client(t, "vera"), "/api/v1/openapi.json"))
	d := &described{compiler: jsonschema.NewCompiler()}
	if err := json.Unmarshal([]byte(text), &d.Document); err != nil {
		t.Fatal(err)
	}
	all, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err == nil {
		err = d.compiler.AddResource("openapi.json", all)
	}
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// check holds an answer against the document.
func (d *described) check(t *testing.T, route *Route, r *http.Response) {
	t.Helper()
	escaped := strings.NewReplacer("~", "~0", "/", "~1", "{", "%7B", "}", "%7D").Replace(apiPath + route.Path)
	op, ok := d.Document["paths"].(map[string]any)[apiPath+route.Path].(map[string]any)[strings.ToLower(route.Method)].(map[string]any)
	if !ok {
		t.Errorf("%s %s is not in the document", route.Method, route.Path)
		return
	}
	text := body(t, r)
	media, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	at := "openapi.json#/components/schemas/Failure"
	if r.StatusCode == route.status {
		responses := op["responses"].(map[string]any)[fmt.Sprint(route.status)].(map[string]any)
		if responses["content"].(map[string]any)[media] == nil {
			t.Errorf("%s %s: answered with %s", route.Method, route.Path, media)
			return
		}
		at = "openapi.json#/paths/" + escaped + "/" + strings.ToLower(route.Method) + "/responses/" + fmt.Sprint(route.status) + "/content/" + strings.ReplaceAll(media, "/", "~1") + "/schema"
	}
	if media != jsonType {
		return
	}
	schema, err := d.compiler.Compile(at)
	if err != nil {
		t.Errorf("%s %s: %v", route.Method, route.Path, err)
		return
	}
	answer, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err == nil {
		err = schema.Validate(answer)
	}
	if err != nil {
		t.Errorf("%s %s: %v\n%s", route.Method, route.Path, err, text)
	}
}

// TestNothingElse: what the table does not name is not there, by whatever method.
func TestNothingElse(t *testing.T) {
	c := newConsole(t, normal())
	h := c.client(t, "ada")
	declared := map[string]bool{}
	for _, route := range c.api.Routes() {
		declared[route.Method+" "+route.Path] = true
	}
	for _, route := range c.api.Routes() {
		path := apiPath + requests[route.Method+" "+route.Path].path
		for _, method := range []string{"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"} {
			if declared[method+" "+route.Path] {
				continue
			}
			if r := c.do(t, h, method, path, `{}`); r.StatusCode != http.StatusNotFound {
				t.Errorf("%s %s: %s", method, path, r.Status)
			}
		}
	}
	for _, path := range []string{"/api", "/api/", "/api/v2/me", "/api/v1", "/api/v1/", "/api/v1/me/", "/api/v1/streams//readings", "/api/v1/streams/x/readings", "/api/v1/batches/-1", "/api/v1/me?x=1", "/api/v1/devices?ledger=a&ledger=b"} {
		if r := c.get(t, h, path); r.StatusCode != http.StatusNotFound && r.StatusCode != http.StatusBadRequest && r.Request.URL.Path == path {
			t.Errorf("%s: %s", path, r.Status)
		}
	}
}

// TestWrongQueries: what cannot be read of a query is not passed over, and what is wrong is said plainly.
func TestWrongQueries(t *testing.T) {
	c := newConsole(t, normal())
	h := c.client(t, "vera")
	const readings = "/api/v1/streams/0/readings?"
	for query, want := range map[string]string{
		"ledger=%zz": "the query", "limit=1;from=2": "the query", "limit=1&%zz=3": "the query",
		"from=1960-01-01T00:00:00Z": "1960", "to=-1": "-1", "from=x&to=y": "y",
	} {
		r := c.get(t, h, readings+query)
		text := body(t, r)
		if r.StatusCode != http.StatusBadRequest || !strings.Contains(text, want) || strings.Contains(text, ErrBad.Error()) {
			t.Errorf("%s: %s %s", query, r.Status, text)
		}
	}
}

// TestFailures: what goes wrong in the gateway is told to its people, and an audience is told that something did.
func TestFailures(t *testing.T) {
	c := newConsole(t, broken())
	for user, told := range map[string]bool{"vera": true, "food": false} {
		r := c.get(t, c.client(t, user), "/api/v1/devices")
		if text := body(t, r); r.StatusCode != http.StatusInternalServerError || strings.Contains(text, "input/output") != told {
			t.Errorf("%s: %s %s", user, r.Status, text)
		}
	}
}

// TestNoSecretsInLogs: neither a password, nor what was typed as a name, nor a cookie, nor a token.
func TestNoSecretsInLogs(t *testing.T) {
	c := newConsole(t, alarmed())
	var log bytes.Buffer
	c.api.cfg.Logger = slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	_, secret, err := c.api.cfg.Accounts.AddToken("t", "operate", time.Now().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	h := c.client(t, "otto")
	c.post(t, h, "/api/v1/login", `{"name":"my secret pass phrase","password":"another wrong one"}`)
	c.post(t, h, "/api/v1/alerts/97/ack", `{"note":"a private note"}`, "Authorization", "Bearer "+secret)
	c.post(t, h, "/api/v1/alerts/97/ack", `{"note":"a private note"}`)
	for _, text := range []string{testPassword, "my secret", "wrong one", "private note", secret, h.Jar.Cookies(nil)[0].Value} {
		if strings.Contains(log.String(), text) {
			t.Errorf("%q is in the log:\n%s", text, log.String())
		}
	}
	if !strings.Contains(log.String(), `"who":"otto"`) {
		t.Errorf("who acknowledged is not in the log:\n%s", log.String())
	}
}

func TestPages(t *testing.T) {
	c := newConsole(t, normal())
	h := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	for _, path := range []string{"/", "/console"} {
		if r := c.get(t, h, path); r.StatusCode != http.StatusSeeOther || r.Header.Get("Location") != "/console/" {
			t.Errorf("%s: %s to %s", path, r.Status, r.Header.Get("Location"))
		}
	}
	for path, kind := range map[string]string{
		"/console/": "text/html", "/console/alerts": "text/html", "/console/stream/site/0": "text/html", "/console/console.js": "text/javascript", "/console/console.css": "text/css", "/console/icon.svg": "image/svg+xml",
	} {
		r := c.get(t, h, path)
		if r.StatusCode != http.StatusOK || !strings.HasPrefix(r.Header.Get("Content-Type"), kind) {
			t.Errorf("%s: %s, %s", path, r.Status, r.Header.Get("Content-Type"))
		}
		for _, want := range []string{"default-src 'none'", "script-src 'self';", "style-src 'self';", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'none'"} {
			if got := r.Header.Get("Content-Security-Policy"); !strings.Contains(got, want) || strings.Contains(got, "unsafe") {
				t.Errorf("%s: policy %q, want %s", path, got, want)
			}
		}
		if r := c.get(t, h, path, "If-None-Match", r.Header.Get("ETag")); r.StatusCode != http.StatusNotModified {
			t.Errorf("%s again: %s", path, r.Status)
		}
	}
	for _, path := range []string{"/console/none.js", "/console/sub/console.css"} {
		if r := c.get(t, h, path); r.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %s", path, r.Status)
		}
	}
	if r := c.post(t, h, "/console/", "{}"); r.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("POST: %s", r.Status)
	}
}

// listening reads the events of a stream.
func listening(t *testing.T, r *http.Response) <-chan string {
	t.Helper()
	lines := make(chan string, 100)
	go func() {
		defer close(lines)
		in := bufio.NewScanner(r.Body)
		for in.Scan() {
			if text, ok := strings.CutPrefix(in.Text(), "data: "); ok {
				lines <- text
			}
		}
	}()
	return lines
}

func waitFor(t *testing.T, lines <-chan string, want string) {
	t.Helper()
	select {
	case got, more := <-lines:
		if !more || !strings.Contains(got, want) {
			t.Errorf("got %q, %v; want %q", got, more, want)
		}
	case <-time.After(10 * time.Second):
		t.Errorf("no %q came", want)
	}
}

// TestEvents: each hears what they may, until they may no longer.
func TestEvents(t *testing.T) {
	c := newConsole(t, normal())
	all := listening(t, c.get(t, c.client(t, "vera"), "/api/v1/events"))
	some := listening(t, c.get(t, c.client(t, "food"), "/api/v1/events"))
	for stream := range uint64(2) {
		c.api.Tell(Event{Type: "reading", Reading: &NewReading{Ledger: "site", Stream: 1 - stream, Received: "2026-03-14T09:26:53Z", Values: []Value{}}})
	}
	c.api.Tell(Event{Type: "alert", Alert: &ChangedAlert{Ledger: "site", Number: 5, News: "raised"}})
	waitFor(t, all, `"stream":1`)
	waitFor(t, all, `"stream":0`)
	waitFor(t, all, `"number":5`)
	waitFor(t, some, `"stream":0`)
	if err := c.api.cfg.Accounts.RemoveUser("food"); err != nil {
		t.Fatal(err)
	}
	c.api.Tell(Event{Type: "reading", Reading: &NewReading{Ledger: "site", Stream: 0, Values: []Value{}}})
	waitFor(t, all, `"stream":0`)
	if got, more := <-some; more {
		t.Errorf("one whose login has ended hears %q", got)
	}
	c.api.Close()
	if got, more := <-all; more {
		t.Errorf("after the end: %q", got)
	}
}

// TestEventsEnd: who may listen no more is cut off by the next sign of life, also where nothing comes.
func TestEventsEnd(t *testing.T) {
	for how, end := range map[string]func(t *testing.T, s *Server, secret string){
		"log-out": func(_ *testing.T, s *Server, secret string) { s.sessions.end(secret) },
		"removal": func(_ *testing.T, s *Server, _ string) { _ = s.cfg.Accounts.RemoveUser("vera") },
		"new password": func(t *testing.T, s *Server, _ string) {
			_ = s.cfg.Accounts.SetPassword("vera", hashOf(t, "another one of vera"))
		},
		"idleness":   func(*testing.T, *Server, string) { time.Sleep(sessionIdle) },
		"revocation": func(_ *testing.T, s *Server, _ string) { _ = s.cfg.Accounts.RevokeToken("t") },
		"the token's end": func(*testing.T, *Server, string) {
			time.Sleep(2 * sessionIdle)
		},
		"nothing": nil,
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newAPI(t, normal())
			_, stamp, _ := s.cfg.Accounts.stamp("vera")
			secret := s.sessions.begin("vera", stamp)
			_, token, err := s.cfg.Accounts.AddToken("t", "read", time.Now().Add(2*sessionIdle))
			if err != nil {
				t.Fatal(err)
			}
			r := httptest.NewRequestWithContext(t.Context(), "GET", apiPath+"/events", nil)
			if how == "revocation" || how == "the token's end" {
				r.Header.Set("Authorization", "Bearer "+token)
			} else {
				r.AddCookie(&http.Cookie{Name: s.cookieName(), Value: secret})
			}
			over := make(chan bool)
			go func() {
				defer close(over)
				s.ServeHTTP(httptest.NewRecorder(), r)
			}()
			if end != nil {
				end(t, s, secret)
			}
			time.Sleep(eventsHeartbeat + time.Second)
			synctest.Wait()
			select {
			case <-over:
				if end == nil {
					t.Error("cut off without a reason")
				}
			default:
				if end != nil {
					t.Errorf("goes on after %s", how)
				}
			}
			s.Close()
			<-over
		})
	}
}

// TestSlowListener: one who does not read is dropped, and nobody waits for them.
func TestSlowListener(t *testing.T) {
	var h hub
	l, err := h.listen(Who{Name: "vera"})
	if err != nil {
		t.Fatal(err)
	}
	for range eventsWaiting + 1 {
		h.tell(Event{})
	}
	n := 0
	for range l.events {
		n++
	}
	if n != eventsWaiting || h.listening.Load() != 0 {
		t.Errorf("%d events were waiting, %d listen", n, h.listening.Load())
	}
	h.leave(l)
	for range maxPerListener {
		if _, err := h.listen(Who{Name: "vera"}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := h.listen(Who{Name: "vera"}); err != ErrBusy {
		t.Errorf("one more of one user: %v", err)
	}
	for i := 0; ; i++ {
		if _, err := h.listen(Who{Name: fmt.Sprint(i)}); err != nil {
			break
		}
	}
	if n := len(h.all); n != maxListeners {
		t.Errorf("%d listen", n)
	}
}

// TestProofs: a proof waits, is made anew until it is final, and is its asker's alone.
func TestProofs(t *testing.T) {
	f := normal()
	c := newConsole(t, f)
	now := time.Now()
	c.api.cfg.Now = func() time.Time { return now }
	c.api.proofs.now = c.api.cfg.Now
	vera := c.client(t, "vera")
	ask := func(h *http.Client) (j ProofJob) {
		t.Helper()
		r := c.post(t, h, "/api/v1/proofs", `{"readings":["0/1422"]}`)
		if err := json.Unmarshal([]byte(body(t, r)), &j); err != nil || r.StatusCode != http.StatusOK {
			t.Fatalf("%s: %v", r.Status, err)
		}
		return j
	}
	state := func(h *http.Client, id string) (j ProofJob) {
		t.Helper()
		if err := json.Unmarshal([]byte(body(t, c.get(t, h, "/api/v1/proofs/"+id))), &j); err != nil {
			t.Fatal(err)
		}
		return j
	}
	f.err = fmt.Errorf("%w: its window is open", ErrLater)
	j := ask(vera)
	if j.Ready || j.State != AnchorOpen || !j.Waits {
		t.Errorf("while the window is open: %+v", j)
	}
	if r := c.get(t, vera, "/api/v1/proofs/"+j.ID+"/file"); r.StatusCode != http.StatusConflict {
		t.Errorf("the file: %s", r.Status)
	}
	f.err, f.proof = nil, Proof{File: []byte("one"), State: AnchorPending, Waits: true}
	now = now.Add(jobAgain)
	if j := state(vera, j.ID); !j.Ready || j.State != AnchorPending || j.Bytes != 3 {
		t.Errorf("in a block: %+v", j)
	}
	f.proof = Proof{File: []byte("final"), State: AnchorFinal}
	if j := state(vera, j.ID); j.State != AnchorPending {
		t.Errorf("made anew at once: %+v", j)
	}
	now = now.Add(jobAgain)
	r := c.get(t, vera, "/api/v1/proofs/"+j.ID+"/file")
	if got := body(t, r); got != "final" || r.Header.Get("Content-Disposition") != `attachment; filename="cairn-0-1422.proof"` {
		t.Errorf("the file is %q, %s", got, r.Header.Get("Content-Disposition"))
	}
	tries := len(f.did)
	now = now.Add(jobAgain)
	state(vera, j.ID)
	if len(f.did) != tries {
		t.Error("a final proof is made anew")
	}
	for _, other := range []string{"ada", "food"} {
		if r := c.get(t, c.client(t, other), "/api/v1/proofs/"+j.ID); r.StatusCode != http.StatusNotFound {
			t.Errorf("%s finds it: %s", other, r.Status)
		}
	}
	food := c.client(t, "food")
	mine := ask(food)
	f.err = ErrLater // another one, by now, than that which is kept
	if r := c.get(t, food, "/api/v1/proofs/"+mine.ID+"/file"); r.StatusCode != http.StatusConflict {
		t.Errorf("an audience gets what was made by earlier grants: %s", r.Status)
	}
	f.err = ErrNotFound // the grant has ended
	if r := c.get(t, food, "/api/v1/proofs/"+mine.ID+"/file"); r.StatusCode != http.StatusNotFound {
		t.Errorf("after its grant: %s", r.Status)
	}
	f.err = nil
	for _, q := range []string{`{}`, `{"readings":["0/1"],"device":"fridge"}`, `{"readings":["0/1\r\nX: y"]}`, `{"readings":["a"]}`, `{"device":"x","from":-1}`} {
		if r := c.post(t, vera, "/api/v1/proofs", q); r.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: %s", q, r.Status)
		}
	}
	for _, q := range []string{`{"device":"fridge"}`, `{"readings":["0/1"],"alerts":[1]}`, `{"readings":["0/1"],"complete":true}`} {
		if r := c.post(t, food, "/api/v1/proofs", q); r.StatusCode != http.StatusBadRequest {
			t.Errorf("an audience asks %s: %s", q, r.Status)
		}
	}
	var ids []string
	for range maxJobsOfOne + 1 {
		ids = append(ids, ask(vera).ID)
	}
	if r := c.get(t, vera, "/api/v1/proofs/"+ids[0]); r.StatusCode != http.StatusNotFound {
		t.Errorf("the oldest of too many: %s", r.Status)
	}
	now = now.Add(jobLife)
	if r := c.get(t, vera, "/api/v1/proofs/"+ids[1]); r.StatusCode != http.StatusNotFound {
		t.Errorf("after its life: %s", r.Status)
	}
	if len(c.api.proofs.all) != 0 {
		t.Errorf("%d are kept", len(c.api.proofs.all))
	}
}

// TestProvingIsShared: who asks for several proofs gets one after the other, and leaves room for others.
func TestProvingIsShared(t *testing.T) {
	f := normal()
	c := newConsole(t, f)
	food, vera := c.client(t, "food"), c.client(t, "vera")
	begun, end := make(chan bool, 3), make(chan bool)
	f.proving = func(who Who) {
		if who.Role == Audience {
			begun <- true
			<-end
		}
	}
	const ask = `{"readings":["0/1422"]}`
	answered := make(chan int)
	for range 3 {
		go func() { answered <- c.post(t, food, "/api/v1/proofs", ask).StatusCode }()
	}
	<-begun
	if r := c.post(t, vera, "/api/v1/proofs", ask); r.StatusCode != http.StatusOK {
		t.Errorf("another's: %s", r.Status)
	}
	if len(begun) > 0 {
		t.Error("two are made at once for one who asks")
	}
	close(end)
	for range 3 {
		if got := <-answered; got != http.StatusOK {
			t.Errorf("one of several: %d", got)
		}
	}
}

// TestProofsAreBounded: files that are made when they are asked for again count as well.
func TestProofsAreBounded(t *testing.T) {
	f := normal()
	c := newConsole(t, f)
	var now atomic.Int64
	c.api.cfg.Now = func() time.Time { return time.Unix(now.Load(), 0) }
	c.api.proofs.now = c.api.cfg.Now
	vera := &call{s: c.api, r: httptest.NewRequest("GET", "/", nil), who: Who{Name: "vera", Role: Viewer}}
	f.err = ErrLater
	var ids []string
	for range maxJobsOfOne {
		j, err := serveAskProof(vera, ProofRequest{Readings: []string{"0/1422"}})
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, j.ID)
	}
	f.err, f.proof = nil, Proof{File: make([]byte, maxJobBytes/4), State: AnchorFinal}
	now.Add(1)
	for _, id := range ids {
		vera.r.SetPathValue("id", id)
		if j, err := serveProof(vera); err != nil || !j.Ready {
			t.Errorf("%+v, %v", j, err)
		}
		if _, err := c.api.proofs.find(id, vera.who); err != nil {
			t.Errorf("one just made is not kept: %v", err)
		}
		if n := c.api.proofs.bytes(); n > maxJobBytes {
			t.Fatalf("%d MiB are kept", n>>20)
		}
	}
}

// timed is an answer that has a time to be sent in.
type timed struct {
	*httptest.ResponseRecorder
	until time.Time
}

func (w *timed) SetWriteDeadline(at time.Time) error {
	w.until = at
	return nil
}

// TestSlowDownload: a large file has time to come over a slow line, however long it took to be made.
func TestSlowDownload(t *testing.T) {
	f := normal()
	c := newConsole(t, f)
	f.proof.File = make([]byte, 20<<20)
	w := &timed{ResponseRecorder: httptest.NewRecorder()}
	vera := &call{s: c.api, w: w, r: httptest.NewRequest("GET", "/", nil), who: Who{Name: "vera", Role: Viewer}}
	j, err := serveAskProof(vera, ProofRequest{Readings: []string{"0/1422"}})
	if err != nil {
		t.Fatal(err)
	}
	vera.r.SetPathValue("id", j.ID)
	if err := serveProofFile(vera); err != nil || w.Body.Len() != len(f.proof.File) {
		t.Errorf("%d bytes, %v", w.Body.Len(), err)
	}
	if got := time.Until(w.until); got < 20*time.Minute || got > 30*time.Minute {
		t.Errorf("it has %v to come in", got)
	}
}

// TestForgottenWhileMade: what was read before something was shredded is not kept after it.
func TestForgottenWhileMade(t *testing.T) {
	f := normal()
	c := newConsole(t, f)
	vera := c.client(t, "vera")
	const ask = `{"readings":["0/1422"]}`
	f.proving = func(Who) { c.api.ForgetProofs() }
	if r := c.post(t, vera, "/api/v1/proofs", ask); r.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("asked for: %s", r.Status)
	}
	if n := len(c.api.proofs.all); n != 0 {
		t.Errorf("%d are kept", n)
	}
	f.proving = nil
	if r := c.post(t, vera, "/api/v1/proofs", ask); r.StatusCode != http.StatusOK {
		t.Errorf("asked for again: %s", r.Status)
	}
}

// TestBusy: who asks too much at once is told so, and others are answered.
func TestBusy(t *testing.T) {
	c := newConsole(t, normal())
	vera := c.client(t, "vera")
	who := Who{Name: "vera", Role: Viewer}
	for range maxAtOnceOfOne {
		c.api.gate.enter(who)
	}
	if r := c.get(t, vera, "/api/v1/overview"); r.StatusCode != http.StatusServiceUnavailable || r.Header.Get("Retry-After") == "" {
		t.Errorf("one more: %s", r.Status)
	}
	if r := c.get(t, c.client(t, "ada"), "/api/v1/overview"); r.StatusCode != http.StatusOK {
		t.Errorf("another: %s", r.Status)
	}
	c.api.gate.leave(who)
	if r := c.get(t, vera, "/api/v1/overview"); r.StatusCode != http.StatusOK {
		t.Errorf("after one was answered: %s", r.Status)
	}
}

// TestUsersEnd: an admin ends logins, not their own.
func TestUsersEnd(t *testing.T) {
	c := newConsole(t, normal())
	ada, vera := c.client(t, "ada"), c.client(t, "vera")
	if r := c.do(t, ada, "DELETE", "/api/v1/users/ada", ""); r.StatusCode != http.StatusBadRequest {
		t.Errorf("their own: %s", r.Status)
	}
	if r := c.do(t, ada, "DELETE", "/api/v1/users/vera", ""); r.StatusCode != http.StatusOK {
		t.Errorf("another's: %s", r.Status)
	}
	if r := c.get(t, vera, "/api/v1/me"); r.StatusCode != http.StatusUnauthorized {
		t.Errorf("whose login was ended: %s", r.Status)
	}
	if r := c.do(t, ada, "DELETE", "/api/v1/users/vera", ""); r.StatusCode != http.StatusNotFound {
		t.Errorf("nobody's: %s", r.Status)
	}
	names := []string{}
	for _, u := range c.api.cfg.Accounts.Users() {
		names = append(names, u.Name)
	}
	if want := []string{"ada", "food", "otto"}; !slices.Equal(names, want) {
		t.Errorf("left are %v, want %v", names, want)
	}
	_, _ = io.Copy(io.Discard, c.get(t, ada, "/api/v1/users").Body)
}
