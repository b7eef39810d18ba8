package web

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// FuzzRequest: whatever is asked, as anybody, the console answers, and never that it failed.
func FuzzRequest(f *testing.F) {
	for name, q := range requests {
		method, _, _ := strings.Cut(name, " ")
		f.Add(method, apiPath+q.path, q.body, byte(0))
	}
	f.Add("GET", "/console/stream/site/0", "", byte(1))
	f.Add("GET", "/api/v1/streams/18446744073709551615/readings?from=-1&to=x&limit=501&before=", "", byte(2))
	f.Add("POST", "/api/v1/proofs", `{"readings":["0/1","../x"],"from":-9223372036854775808,"fields":[null]}`, byte(3))
	a, err := OpenAccounts(filepath.Join(f.TempDir(), "users.json"), time.Now)
	if err != nil {
		f.Fatal(err)
	}
	passwordCost = cost{8, 1, 1}
	hash, err := HashPassword(f.Context(), []byte(testPassword))
	if err != nil {
		f.Fatal(err)
	}
	users := []User{{Name: "vera", Role: Viewer}, {Name: "otto", Role: Operator}, {Name: "ada", Role: Admin}, {Name: "food", Role: Audience, Audience: "Food Office"}}
	for _, u := range users {
		if _, err := a.AddUser(u, hash); err != nil {
			f.Fatal(err)
		}
	}
	site := alarmed()
	s := NewServer(Config{
		Accounts: a, Places: site, Readings: site, Prover: site, Log: site, Sharing: site, Alerts: site, Settings: site,
		Version: "v0.9", Logger: slog.New(slog.DiscardHandler), Now: time.Now,
	})
	f.Fuzz(func(t *testing.T, method, target, body string, as byte) {
		r, err := http.NewRequest(method, "http://127.0.0.1"+target, strings.NewReader(body))
		if err != nil || r.URL.Path == apiPath+"/events" || r.URL.Host != "127.0.0.1" || strings.HasPrefix(r.URL.Path, apiPath+"/users/") {
			return
		}
		r.RemoteAddr, r.RequestURI = "127.0.0.1:1", target
		r.Header.Set("Content-Type", "application/json")
		if i := int(as); i < len(users) {
			_, stamp, _ := a.stamp(users[i].Name)
			secret := s.sessions.begin(users[i].Name, stamp)
			r.AddCookie(&http.Cookie{Name: s.cookieName(), Value: secret})
		}
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		if w.Code >= 500 && w.Code != http.StatusServiceUnavailable {
			t.Errorf("%s %s: %d %s", method, target, w.Code, w.Body)
		}
		if strings.HasPrefix(r.URL.Path, "/api/") && w.Code >= 400 && !strings.HasPrefix(w.Body.String(), `{"error":`) && w.Code != http.StatusMovedPermanently {
			t.Errorf("%s %s: %d without a reason: %s", method, target, w.Code, w.Body)
		}
	})
}
