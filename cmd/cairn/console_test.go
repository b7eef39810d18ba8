package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"cairn/anchor/proof"
	"cairn/cmd/cairn/web"
	"cairn/ingest"
	"cairn/ingest/alert"
	"cairn/ingest/frame"
	"cairn/ingest/reading"
	"cairn/merkle/ledger"
	"cairn/store"
	"cairn/store/share"
)

// What an audience that was granted the temperatures of one fridge from some hour on
// must never be shown.
const (
	hiddenEarly   = "31.5" // its temperature before
	hiddenOther   = "humidity-of-it"
	hiddenName    = "Walk-in of the canteen"
	hiddenPlace   = "Kitchen behind the hall"
	hiddenFreezer = "-77.2"
	hiddenAnnex   = "66.6"
	hiddenLate    = "-40.1"
	hiddenGrant   = "a matter of others"
	hiddenMuch    = "Other Office"

	grantedNow = "4.5"

	consolePassword = "four words make one"
)

// consoleSite is a gateway with a console: two ledgers, in the default one two devices
// with a reading a minute for 40 minutes, in the other one device.
type consoleSite struct {
	*httptest.Server
	g     *gateway
	from  int64 // since when the fridge is granted
	grant uint64
}

func newConsoleSite(t *testing.T) *consoleSite {
	t.Helper()
	dir := t.TempDir()
	g := &gateway{
		cfg: &Config{Dir: dir, Clock: clockTrusted, Console: true, HTTPListen: "127.0.0.1:0", Window: time.Minute, Ledgers: []LedgerConfig{
			{Name: siteLedger, Dir: dir}, {Name: "annex", Dir: filepath.Join(dir, "annex")},
		}, Alerts: []alert.Rule{{Name: "warm", Field: "T", Above: reading.Int(40)}}},
		log: slog.New(slog.DiscardHandler),
	}
	s := &consoleSite{g: g}
	now := time.Now()
	s.from = (endHour(now.UnixMilli()) - 1).Start()
	for i := range g.cfg.Ledgers {
		s.fill(t, i, now.Add(-40*time.Minute))
	}
	g.live = &live{started: now, registry: ingest.NewRegistry(), sources: []string{"udp"}, ended: func() bool { return false }}
	c, err := newConsole(g, g.log)
	if err != nil {
		t.Fatal(err)
	}
	g.live.console = c
	ctx, stop := context.WithCancel(context.Background())
	told := make(chan struct{})
	go func() { c.run(ctx); close(told) }()
	t.Cleanup(func() { stop(); <-told })
	accounts, err := g.accounts()
	if err != nil {
		t.Fatal(err)
	}
	hash, err := web.HashPassword(t.Context(), []byte(consolePassword))
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range []web.User{
		{Name: "vera", Role: web.Viewer}, {Name: "otto", Role: web.Operator}, {Name: "ada", Role: web.Admin},
		{Name: "food", Role: web.Audience, Audience: "Food Office"}, {Name: "stranger", Role: web.Audience, Audience: "Nobody's"},
	} {
		if _, err := accounts.AddUser(u, hash); err != nil {
			t.Fatal(err)
		}
	}
	s.grants(t)
	s.late(t)
	s.Server = httptest.NewServer(newHTTPServer(g, "the token of the log and the metrics"))
	t.Cleanup(s.Close)
	t.Cleanup(c.server.Close)
	return s
}

// fill makes a ledger with its devices and their readings, until now.
func (s *consoleSite) fill(t *testing.T, index int, from time.Time) {
	t.Helper()
	cfg := &s.g.cfg.Ledgers[index]
	clock := &hurry{now: from, until: from}
	l := &openLedger{g: s.g, cfg: cfg, log: s.g.log, keyring: share.MemorySeed([32]byte{byte(index)})}
	var err error
	if l.store, err = store.Open(store.Options{Dir: filepath.Join(cfg.Dir, dataDir), Keyring: l.keyring, Now: clock.Now, Clock: func() reading.Clock { return reading.Synced }}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.store.Close(); err != nil {
			t.Error(err)
		}
	})
	s.g.ledgers = append(s.g.ledgers, l)
	devices := []store.NewDevice{
		{Name: hiddenName, Place: hiddenPlace, Rules: []store.Rule{{Class: "climate", Fields: []string{hiddenOther}}}},
		{Name: "freezer", Place: hiddenPlace},
	}
	if index > 0 {
		devices = devices[1:]
	}
	var all []ledger.Binding
	for i, d := range devices {
		d.ID, d.Kind, d.Key = frame.ID{0x80, 0xaa, 0xbb, byte(0xc0 + 16*index + i)}, ledger.BindSecure, &frame.Key{byte(1 + index), byte(i)}
		b, err := l.store.AddDevice(t.Context(), d)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, b)
	}
	for m := range int64(40) {
		for i, b := range all {
			a := arrivalOf(b, m, -772)
			switch {
			case index > 0:
				a.Measurements[0].Value = reading.Decimal(666, -1)
			case i == 0:
				a.Measurements[0].Value = reading.Decimal(315, -1)
				if clock.until.UnixMilli() >= s.from {
					a.Measurements[0].Value = reading.Decimal(45, -1)
				}
				a.Measurements = append(a.Measurements, reading.Measurement{Name: hiddenOther, Unit: "%RH", Value: reading.Decimal(551, -1)})
			}
			if err := l.store.Submit(t.Context(), []store.Arrival{a}); err != nil {
				t.Fatal(err)
			}
		}
		if err := clock.pass(t.Context(), l.store, time.Minute); err != nil {
			t.Fatal(err)
		}
	}
}

func (s *consoleSite) grants(t *testing.T) {
	t.Helper()
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	l := s.g.ledgers[0]
	a, err := l.addGrant(t.Context(), grantRequest{Audience: "Food Office", Purpose: "inspection", Devices: []string{hiddenName}, Fields: []string{"T"}, From: s.from}.to(id))
	if err != nil {
		t.Fatal(err)
	}
	s.grant = a.Number
	if _, err := l.addGrant(t.Context(), grantRequest{Audience: hiddenMuch, Purpose: hiddenGrant, Devices: []string{"freezer"}, From: s.from}.to(id)); err != nil {
		t.Fatal(err)
	}
}

// late gives the fridge a stream of what its logger had kept, which began after the
// grants were made.
func (s *consoleSite) late(t *testing.T) {
	t.Helper()
	l := s.g.ledgers[0]
	b := l.store.Devices()[0]
	if _, err := l.store.OpenLate(t.Context(), b.Number, func(ledger.Binding) []ledger.Statement { return nil }); err != nil {
		t.Fatal(err)
	}
	a := arrivalOf(b, 0, -401)
	a.Late, a.Verdict, a.Transport, a.Measured, a.HasMeasured = true, reading.Vouched, reading.TransportCSV, s.from+1, true
	done := make(chan error, 1)
	a.Done = func(_ reading.Verdict, _, _ uint64, _ int64, _ bool, err error) { done <- err }
	if err := l.store.Submit(t.Context(), []store.Arrival{a}); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// as is a client of somebody who has logged in; "" for nobody.
func (s *consoleSite) as(t *testing.T, name string) func(method, path, body string) (int, string) {
	t.Helper()
	var cookie *http.Cookie
	do := func(method, path, body string) (int, string) {
		t.Helper()
		r, err := http.NewRequest(method, s.URL+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		if body != "" {
			r.Header.Set("Content-Type", "application/json")
		}
		if cookie != nil {
			r.AddCookie(cookie)
		}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if all := resp.Cookies(); len(all) == 1 {
			cookie = all[0]
		}
		if strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream") {
			return resp.StatusCode, ""
		}
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(b)
	}
	if name != "" {
		if status, text := do("POST", "/api/v1/login", fmt.Sprintf(`{"name":%q,"password":%q}`, name, consolePassword)); status != http.StatusOK {
			t.Fatalf("%s: %d %s", name, status, text)
		}
	}
	return do
}

// secrets are what must not be told to the audience.
func (s *consoleSite) secrets() []string {
	all := []string{hiddenEarly, hiddenOther, hiddenName, hiddenPlace, hiddenFreezer, hiddenAnnex, hiddenLate, hiddenGrant, hiddenMuch, "climate", "55.1"}
	for i, l := range s.g.ledgers {
		for _, b := range l.store.Devices() {
			if i > 0 || b.Number > 1 {
				all = append(all, b.Device())
			}
		}
	}
	return all
}

// TestAudienceSeesItsGrantsAlone asks every route of the API, as an audience with a grant to one stream from some hour
// on, for everything that there is: by every number of a stream, a reading, a batch, an alert, in every ledger, by every
// cursor. What is not granted is nowhere in any answer; what is granted is.
func TestAudienceSeesItsGrantsAlone(t *testing.T) {
	s := newConsoleSite(t)
	food, stranger, nobody := s.as(t, "food"), s.as(t, "stranger"), s.as(t, "")
	secrets := s.secrets()
	granted := 0

	check := func(what string, status int, text string) {
		t.Helper()
		for _, secret := range secrets {
			if strings.Contains(text, secret) {
				t.Errorf("%s tells %q: %.300s", what, secret, text)
			}
		}
		if status == http.StatusOK && strings.Contains(text, grantedNow) {
			granted++
		}
		if status >= 500 {
			t.Errorf("%s: %d %s", what, status, text)
		}
	}
	var numbers []string
	for i := range 45 {
		numbers = append(numbers, fmt.Sprint(i))
	}
	values := map[string][]string{
		"stream": {"0", "1", "2", "3"}, "sequence": numbers, "index": numbers, "number": {"0", "1", fmt.Sprint(s.grant), fmt.Sprint(s.grant + 1)},
		"id": {"0", strings.Repeat("0", 32)}, "name": {"vera", "food"},
	}
	queries := []string{"", "?ledger=site", "?ledger=annex", "?ledger=none", "?before=5", "?before=44&limit=500", "?from=0&to=9999999999999", "?limit=1", "?all=true", "?field=T", "?field=T&from=0", "?field=T&from=0&points=1", "?field=T&ledger=annex", "?field=" + hiddenOther}
	asked := 0
	for _, route := range s.g.live.console.server.Routes() {
		if route.Path == "/login" || route.Path == "/logout" || route.Path == "/openapi.json" {
			continue
		}
		paths := []string{route.Path}
		for name, all := range values {
			if !strings.Contains(route.Path, "{"+name+"}") {
				continue
			}
			var more []string
			for _, p := range paths {
				for _, v := range all {
					more = append(more, strings.ReplaceAll(p, "{"+name+"}", v))
				}
			}
			paths = more
		}
		for _, p := range paths {
			some := queries
			if strings.Contains(route.Path, "{sequence}") {
				some = queries[:3]
			}
			for _, q := range some {
				body := ""
				if route.Method == "POST" {
					body = `{"readings":["1/30"]}`
				}
				status, text := food(route.Method, "/api/v1"+p+q, body)
				asked++
				if none := strings.ReplaceAll(q, "annex", "none"); none != q { // nor which ledgers there are
					if s2, t2 := food(route.Method, "/api/v1"+p+none, body); s2 != status || t2 != text && status != http.StatusBadRequest {
						t.Errorf("%s %s%s: %d %s, and of no ledger %d %s", route.Method, p, q, status, text, s2, t2)
					}
				}
				check(route.Method+" "+p+q, status, text)
				if !route.Audience && status != http.StatusForbidden {
					t.Errorf("%s %s%s: %d, want 403", route.Method, p, q, status)
				}
				if status, _ := nobody(route.Method, "/api/v1"+p+q, body); status != http.StatusUnauthorized {
					t.Errorf("%s %s%s as nobody: %d", route.Method, p, q, status)
				}
				if status, text := stranger(route.Method, "/api/v1"+p+q, body); strings.Contains(text, grantedNow) || strings.Contains(text, `"root"`) || strings.Contains(text, `"stream"`) {
					t.Errorf("%s %s%s shows one without any grant: %d %.200s", route.Method, p, q, status, text)
				}
			}
		}
	}
	if granted < 20 {
		t.Errorf("what is granted was in %d of %d answers", granted, asked)
	}
	t.Logf("%d questions, %d answers with what is granted", asked, granted)

	_, text := food("GET", "/api/v1/devices", "")
	var devices []web.Device
	if err := json.Unmarshal([]byte(text), &devices); err != nil || len(devices) != 1 || devices[0].Stream != 0 || devices[0].ID != s.g.ledgers[0].store.Devices()[0].Device() {
		t.Errorf("devices: %s, %v", text, err)
	}
	status, text := food("GET", "/api/v1/streams/0/readings?limit=500", "")
	var page web.ReadingsPage
	if err := json.Unmarshal([]byte(text), &page); err != nil || status != http.StatusOK || len(page.Readings) < 12 || page.Next != nil {
		t.Errorf("readings: %d, %d of them, %v", status, len(page.Readings), err)
	}
	for _, r := range page.Readings {
		if at, err := time.Parse(time.RFC3339, r.Received); err != nil || at.UnixMilli() < s.from {
			t.Errorf("a reading received %s is shown, the grant begins %s", r.Received, timeText(s.from))
		}
	}
}

// TestAudienceProof: an audience may take a proof of what it may see, which shows that and no more, and none of the rest.
func TestAudienceProof(t *testing.T) {
	s := newConsoleSite(t)
	food, vera := s.as(t, "food"), s.as(t, "vera")
	prove := func(who func(string, string, string) (int, string), q string) (int, []byte) {
		t.Helper()
		status, text := who("POST", "/api/v1/proofs", q)
		if status != http.StatusOK {
			return status, []byte(text)
		}
		var job web.ProofJob
		if err := json.Unmarshal([]byte(text), &job); err != nil || !job.Ready {
			t.Fatalf("%s: %v", text, err)
		}
		status, file := who("GET", "/api/v1/proofs/"+job.ID+"/file", "")
		return status, []byte(file)
	}
	var early, late uint64
	l := s.g.ledgers[0]
	err := l.store.Query(t.Context(), 1, 0, time.Now().UnixMilli(), func(f *store.Found) (bool, error) {
		if f.Received < s.from {
			early = f.Sequence
		} else if f.Received < s.from+15*60*1000 {
			late = f.Sequence
		}
		return true, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	name := func(stream, seq uint64) string { return fmt.Sprintf(`{"readings":["%d/%d"]}`, stream, seq) }
	policy, err := l.policy(t.Context(), policyRequest{})
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := proof.ParsePolicy([]byte(policy.Text))
	if err != nil {
		t.Fatal(err)
	}
	status, file := prove(food, name(0, late))
	if status != http.StatusOK {
		t.Fatalf("%d %s", status, file)
	}
	v := proof.VerifyBytes(file, proof.Options{Policy: parsed, Require: proof.LevelLogged})
	shown := string(v.JSON())
	if !strings.Contains(shown, grantedNow) || v.Outcome != proof.Verified {
		t.Errorf("the verifier says %s", v.Text())
	}
	decoded, err := proof.Decode(file)
	if err != nil {
		t.Fatal(err)
	}
	var all bytes.Buffer
	for _, r := range decoded.Readings {
		for _, f := range r.Fields {
			all.Write(f.Item)
			if f.Index == reading.IndexDevice || f.Index == reading.IndexFrame || f.Index == 0 {
				t.Errorf("the field %s is shown", reading.ItemName(f.Index))
			}
		}
	}
	for _, secret := range s.secrets() {
		if strings.Contains(shown, secret) || bytes.Contains(file, []byte(secret)) || bytes.Contains(all.Bytes(), []byte(secret)) {
			t.Errorf("the proof tells %q", secret)
		}
	}
	for q, want := range map[string]int{
		name(0, early): 404, name(1, late): 404, name(7, 0): 404, name(0, 99): 404,
		fmt.Sprintf(`{"readings":["0/%d","0/%d"]}`, late, early):              404,
		fmt.Sprintf(`{"readings":["0/%d"],"fields":[%q]}`, late, hiddenOther): 400,
		fmt.Sprintf(`{"readings":["0/%d"],"fields":["device"]}`, late):        400,
		fmt.Sprintf(`{"readings":["0/%d"],"fields":["frame"]}`, late):         400,
		fmt.Sprintf(`{"readings":["0/%d"],"ledger":"annex"}`, late):           404,
		fmt.Sprintf(`{"readings":["0/%d"],"alerts":[1]}`, late):               400,
		fmt.Sprintf(`{"readings":["0/%d"],"complete":true}`, late):            400,
		`{"device":"1"}`: 400,
	} {
		if status, text := prove(food, q); status != want {
			t.Errorf("%s: %d, want %d: %.200s", q, status, want, text)
		}
	}
	if status, text := prove(vera, name(0, early)); status != http.StatusOK {
		t.Errorf("a viewer: %d %.200s", status, text)
	}
}

// TestAudienceEvents: an audience hears of its readings, what is open of them, until its grant is closed.
func TestAudienceEvents(t *testing.T) {
	s := newConsoleSite(t)
	s.as(t, "food") // logs in
	c := s.g.live.console
	r, err := http.NewRequest("POST", s.URL+"/api/v1/login", strings.NewReader(fmt.Sprintf(`{"name":"food","password":%q}`, consolePassword)))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	in, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	in.Body.Close()
	if r, err = http.NewRequest("GET", s.URL+"/api/v1/events", nil); err != nil {
		t.Fatal(err)
	}
	r.AddCookie(in.Cookies()[0])
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := make(chan string, 100)
	go func() {
		defer close(lines)
		for in := bufio.NewScanner(resp.Body); in.Scan(); {
			if strings.HasPrefix(in.Text(), "data: ") {
				lines <- in.Text()
			}
		}
	}()
	say := func(index int, device uint32, at time.Time, tenths int64) {
		t.Helper()
		number, err := joinNumber(index, device)
		if err != nil {
			t.Fatal(err)
		}
		c.recorded(ingest.Recorded{Device: number, Received: at.UnixMilli(), Measurements: []reading.Measurement{
			{Name: "T", Unit: "Cel", Value: reading.Decimal(tenths, -1)}, {Name: hiddenOther, Value: reading.Decimal(551, -1)},
		}})
	}
	now := time.Now()
	say(1, 1, now, 666)
	say(0, 2, now, -772)
	say(0, 1, time.UnixMilli(s.from-1), 315)
	s.g.alertChanged(s.g.ledgers[0], &ledger.Raised{Alert: ledger.Alert{Rule: "warm", What: hiddenName}}, "raised")
	say(0, 1, now, 45)
	if got := <-lines; !strings.Contains(got, `"T"`) || !strings.Contains(got, grantedNow) || strings.Contains(got, hiddenOther) || strings.Contains(got, hiddenName) {
		t.Errorf("heard %s", got)
	}
	past := now.UnixMilli() - 1
	until := openEnd{&past}
	if _, err := s.g.ledgers[0].endGrant(t.Context(), changeRequest{Grant: fmt.Sprint(s.grant), Until: &until, Access: &until}); err != nil {
		t.Fatal(err)
	}
	c.tell(ingest.Recorded{Device: 1, Received: now.UnixMilli(), Measurements: []reading.Measurement{{Name: "T", Value: reading.Decimal(46, -1)}}})
	c.server.Close()
	if got, more := <-lines; more {
		t.Errorf("after the grant was closed: %s", got)
	}
	food := s.as(t, "food")
	for _, path := range []string{"/api/v1/streams/0/readings", "/api/v1/streams/0/readings/39", "/api/v1/batches"} {
		if status, text := food("GET", path, ""); status != http.StatusNotFound {
			t.Errorf("%s after the grant was closed: %d %.200s", path, status, text)
		}
	}
}

// TestConsoleAnswers: what the site's own people are told.
func TestConsoleAnswers(t *testing.T) {
	s := newConsoleSite(t)
	otto := s.as(t, "otto")
	get := func(path string, into any) {
		t.Helper()
		status, text := otto("GET", "/api/v1"+path, "")
		if status != http.StatusOK {
			t.Fatalf("%s: %d %s", path, status, text)
		}
		if err := json.Unmarshal([]byte(text), into); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
	}
	var o web.Overview
	get("/overview", &o)
	if len(o.Places) != 1 || o.Places[0].Name != hiddenPlace || len(o.Places[0].Devices) != 3 || o.Places[0].State != web.StateWarm {
		t.Errorf("places: %+v", o.Places)
	}
	// 66.6 is beyond the rule's 40, and no alert is open: nothing watches here.
	if d := o.Places[0].Devices[2]; d.Ledger != "annex" || d.State != web.StateWarm || d.Why != "warm: T is 66.6 Cel" {
		t.Errorf("the annex's device: %+v", d)
	}
	if d := o.Places[0].Devices[0]; d.Values[0].Value != grantedNow || d.State != web.StateOK || d.Stream != 0 || len(d.Streams) != 2 || len(d.Thresholds) != 1 || d.Thresholds[0].Above != "40" {
		t.Errorf("the fridge: %+v", d)
	}
	number, err := s.g.ledgers[0].store.AddStatement(t.Context(), ledger.Alert{Rule: "warm", Device: 1, What: "T is 41 Cel", Receivers: []string{"cook"}}.Statement(0))
	if err != nil {
		t.Fatal(err)
	}
	get("/overview", &o)
	if o.Places[0].State != web.StateAlarm || o.Needs[0].Alert != number || !strings.Contains(o.Needs[0].What, hiddenName) {
		t.Errorf("with an alert: %+v", o)
	}
	if status, text := otto("POST", fmt.Sprintf("/api/v1/alerts/%d/ack", number), `{"note":"door shut"}`); status != http.StatusOK || !strings.Contains(text, `"name":"otto","note":"door shut"`) {
		t.Errorf("acknowledged: %d %s", status, text)
	}
	if status, _ := otto("POST", "/api/v1/alerts/1/ack", `{}`); status != http.StatusNotFound {
		t.Errorf("no alert, acknowledged: %d", status)
	}
	get("/overview", &o)
	if d := o.Places[0].Devices[0]; d.State != web.StateWarm {
		t.Errorf("the fridge, known of: %+v", d)
	}
	var all []string
	for next := ""; ; {
		var page web.ReadingsPage
		get("/streams/1/readings?limit=7"+next, &page)
		for _, r := range page.Readings {
			all = append(all, fmt.Sprint(r.Sequence))
		}
		if page.Next == nil {
			break
		}
		next = fmt.Sprintf("&before=%d", *page.Next)
	}
	if len(all) != 40 || all[0] != "39" || all[39] != "0" {
		t.Errorf("paged: %v", all)
	}
	var page web.ReadingsPage
	get(fmt.Sprintf("/streams/0/readings?from=%d&to=%d", s.from, s.from+180_000), &page)
	if n := len(page.Readings); n < 2 || n > 4 {
		t.Errorf("in three minutes: %+v", page)
	}
	get("/streams/2/readings", &page)
	if len(page.Readings) != 1 || page.Readings[0].Values[0].Value != hiddenLate || page.Readings[0].Measured == "" {
		t.Errorf("what came late: %+v", page)
	}
	var r web.Reading
	get("/streams/0/readings/3", &r)
	if r.State != web.AnchorLogged || r.Path == nil || r.Path.Size == 0 || len(r.Fields) != 8 || r.Fields[7].Class != "climate" || r.Frame == nil || r.Frame.Text != "a frame that is kept as it came" || r.Frame.Hex != hex.EncodeToString([]byte("a frame that is kept as it came")) || r.Place != hiddenPlace {
		t.Errorf("a reading: %+v", r)
	}
	if status, _ := otto("GET", "/api/v1/streams/0/readings/40", ""); status != http.StatusNotFound {
		t.Errorf("a reading that is not there: %d", status)
	}
	var b web.Batch
	get("/batches/3", &b)
	if *b.Readings != 2 || b.Index != 3 || b.Header == "" {
		t.Errorf("a batch: %+v", b)
	}
	var m web.Mute
	status, text := otto("POST", "/api/v1/maintenance", `{"minutes":30,"devices":["freezer"],"reason":"defrost"}`)
	if err := json.Unmarshal([]byte(text), &m); err != nil || status != http.StatusOK || m.Name != "otto" || m.Reason != "defrost" {
		t.Errorf("maintenance: %d %s", status, text)
	}
	for _, bad := range []string{`{"minutes":0}`, `{"minutes":99999999}`, `{"minutes":5,"rules":["none"]}`} {
		if status, text := otto("POST", "/api/v1/maintenance", bad); status != http.StatusBadRequest {
			t.Errorf("%s: %d %s", bad, status, text)
		}
	}
	if status, text := otto("DELETE", fmt.Sprintf("/api/v1/maintenance/%d", m.Number), ""); status != http.StatusOK {
		t.Errorf("its end: %d %s", status, text)
	}
	if status, _ := otto("DELETE", fmt.Sprintf("/api/v1/maintenance/%d", m.Number), ""); status != http.StatusNotFound {
		t.Errorf("its end again: %d", status)
	}
	var grants []web.Grant
	get("/grants", &grants)
	if len(grants) != 2 || grants[0].Audience != hiddenMuch {
		t.Errorf("grants: %+v", grants)
	}
	var anchors []web.LedgerAnchors
	get("/anchors", &anchors)
	if len(anchors) != 2 || anchors[0].Rollback != "unguarded" || anchors[0].Batches < 39 {
		t.Errorf("anchors: %+v", anchors)
	}
	var check web.Check
	get("/check", &check)
	if check.OK || len(check.Problems) != 1 || !strings.Contains(check.Problems[0], "has no cairn.yaml") {
		t.Errorf("check: %+v", check)
	}
	for q, what := range map[string]string{
		fmt.Sprintf(`{"device":"2","from":%d,"to":%d,"complete":true}`, s.from, s.from+5*60_000): "readings of ",
		fmt.Sprintf(`{"device":"freezer","from":%d,"to":%d}`, s.from, s.from+5*60_000):           "readings",
		`{"readings":["0/3","1/3"],"fields":["received","T"]}`:                                   "2 readings",
	} {
		var job web.ProofJob
		status, text := otto("POST", "/api/v1/proofs", q)
		if err := json.Unmarshal([]byte(text), &job); err != nil || status != http.StatusOK || !job.Ready || job.State != web.AnchorLogged || job.Waits || !strings.Contains(job.What, what) {
			t.Errorf("%s: %d %s", q, status, text)
		}
	}
	if status, text := otto("POST", "/api/v1/proofs", fmt.Sprintf(`{"alerts":[%d]}`, number)); status != http.StatusOK || !strings.Contains(text, `"state":"open"`) {
		t.Errorf("a proof of an alert in an open window: %d %s", status, text)
	}
	for _, q := range []string{`{"device":"none"}`, `{"readings":["0/3"],"fields":["none"]}`, `{"alerts":[1]}`} {
		if status, text := otto("POST", "/api/v1/proofs", q); status != http.StatusBadRequest {
			t.Errorf("%s: %d %s", q, status, text)
		}
	}
	if len(s.g.live.console.newest) == 0 {
		t.Error("no newest reading is at hand")
	}
	before := endHour(s.from).Start() - hourMillis
	if _, err := s.g.ledgers[0].planShred(t.Context(), shredRequest{Devices: []string{"freezer"}, Before: before, Do: true}); err != nil {
		t.Fatal(err)
	}
	if n := len(s.g.live.console.newest); n != 0 {
		t.Errorf("after a shredding %d newest readings are at hand", n)
	}
	// The gateway's own token opens the log, and not the console.
	req, err := http.NewRequest("GET", s.URL+"/api/v1/me", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer the token of the log and the metrics")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("with the token of the log: %s", resp.Status)
	}
}

// TestConsoleProvesSoMuch: a file of the console has a bounded number of readings, known before they are read.
func TestConsoleProvesSoMuch(t *testing.T) {
	l := newConsoleSite(t).g.ledgers[0]
	for most, fits := range map[uint64]bool{0: true, 10: false, 1000: true} {
		_, err := l.prove(t.Context(), proveRequest{Devices: []string{"1"}, Complete: true, most: most}, func(string) {})
		if fits && err != nil || !fits && (err == nil || !strings.Contains(err.Error(), "and this proves 10 at once")) {
			t.Errorf("at most %d: %v", most, err)
		}
	}
}
