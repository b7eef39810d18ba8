package web

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// fake is a site that answers what a test gave it.
type fake struct {
	overview Overview
	devices  []Device
	readings []ReadingRow
	reading  Reading
	batches  []Batch
	anchors  []LedgerAnchors
	grants   []Grant
	copies   []LedgerCopies
	alerts   AlertList
	check    Check
	proof    Proof
	err      error     // of every question
	proving  func(Who) // called while a proof is made

	mu  sync.Mutex // covers what follows
	did []string
}

func (f *fake) note(format string, a ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.did = append(f.did, fmt.Sprintf(format, a...))
}

func (f *fake) Overview(context.Context) (Overview, error) { return f.overview, f.err }
func (f *fake) Devices(_ context.Context, who Who, _ string) ([]Device, error) {
	if who.Role == Audience {
		d := f.devices[0]
		return []Device{{Ledger: d.Ledger, Stream: d.Stream, Streams: d.Streams, ID: d.ID, Received: d.Received, Values: d.Values, Opens: []Span{{"2026-03-01T00:00:00Z", "2026-03-14T09:00:00Z"}}}}, f.err
	}
	return f.devices, f.err
}

func (f *fake) Readings(_ context.Context, _ Who, q ReadingsQuery) (p ReadingsPage, err error) {
	p.Readings = []ReadingRow{}
	for _, r := range f.readings {
		if r.Stream == q.Stream && len(p.Readings) < q.Limit && (q.Before == nil || r.Sequence < *q.Before) {
			p.Readings = append(p.Readings, r)
		}
	}
	if n := len(p.Readings); n == q.Limit && p.Readings[n-1].Sequence > 0 {
		p.Next = &p.Readings[n-1].Sequence
	}
	return p, f.err
}

func (f *fake) History(_ context.Context, _ Who, q HistoryQuery) (History, error) {
	h := History{Field: q.Field, Unit: "Cel", Width: (q.To - q.From) / int64(q.Points), Points: []HistoryPoint{}, Gaps: []HistorySpan{}, Gone: []HistorySpan{}}
	for i := range int64(q.Points) {
		v := 3.9 + math.Sin(float64(i)/20)
		h.Points = append(h.Points, HistoryPoint{q.From + i*h.Width, 3, v - 0.3, v, v + 0.4})
	}
	return h, f.err
}

func (f *fake) Reading(_ context.Context, _ Who, _ string, stream, sequence uint64) (Reading, error) {
	if stream != f.reading.Stream || sequence != f.reading.Sequence {
		return Reading{}, ErrNotFound
	}
	return f.reading, f.err
}

func (f *fake) See(who Who, e Event) (Event, bool) {
	return e, who.Role != Audience || e.Reading != nil && e.Reading.Stream == 0
}

func (f *fake) Prove(_ context.Context, who Who, q ProofRequest) (Proof, error) {
	f.note("prove %v", q.Readings)
	if f.proving != nil {
		f.proving(who)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.proof, f.err
}

func (f *fake) Batches(context.Context, Who, BatchesQuery) (BatchesPage, error) {
	return BatchesPage{Batches: f.batches}, f.err
}

func (f *fake) Batch(_ context.Context, _ Who, _ string, index uint64) (Batch, error) {
	for _, b := range f.batches {
		if b.Index == index {
			return b, f.err
		}
	}
	return Batch{}, ErrNotFound
}
func (f *fake) Anchors(context.Context, string) ([]LedgerAnchors, error) { return f.anchors, f.err }
func (f *fake) Grants(context.Context, Who, string) ([]Grant, error)     { return f.grants, f.err }
func (f *fake) Copies(context.Context, string) ([]LedgerCopies, error)   { return f.copies, f.err }
func (f *fake) Check(context.Context) (Check, error)                     { return f.check, f.err }
func (f *fake) Alerts(context.Context, string, bool) (AlertList, error)  { return f.alerts, f.err }
func (f *fake) Unmute(_ context.Context, _ string, n uint64) (Mute, error) {
	f.note("unmute %d", n)
	return Mute{Ledger: "site", Number: n, From: "2026-03-14T09:00:00Z", Until: "2026-03-14T10:00:00Z", Name: "Ana"}, f.err
}

func (f *fake) Mute(_ context.Context, _, name string, q MuteRequest) (Mute, error) {
	f.note("mute %s %d", name, q.Minutes)
	return Mute{Ledger: "site", Number: 9, From: "2026-03-14T09:00:00Z", Until: "2026-03-14T10:00:00Z", Name: name, Reason: q.Reason}, f.err
}

func (f *fake) Acknowledge(_ context.Context, _ string, n uint64, name, note string) (Alert, error) {
	f.note("ack %d %s %s", n, name, note)
	for i := range f.alerts.Alerts {
		if a := &f.alerts.Alerts[i]; a.Number == n {
			a.State, a.Acks = "acknowledged", append(a.Acks, Ack{name, note, time.Now().UTC().Format(time.RFC3339)})
			return *a, f.err
		}
	}
	return Alert{}, ErrNotFound
}

func ptr[T any](v T) *T { return &v }

// normal is a site where all is well.
func normal() *fake {
	at := time.Now().UTC().Truncate(time.Second).Add(-40 * time.Second)
	text := func(ago time.Duration) string { return at.Add(-ago).Format(time.RFC3339) }
	f := &fake{proof: Proof{File: []byte("a proof"), State: AnchorFinal, What: "reading 0/1422 of 80c1a29384b5d6e7"}}
	names := []struct{ name, place, thing, value string }{
		{"fridge", "canteen kitchen", "walk-in fridge", "3.9"}, {"freezer", "canteen kitchen", "chest freezer", "-18.6"},
		{"dairy", "canteen kitchen", "dairy display", "4.4"}, {"cellar", "cellar", "wine", "12.1"}, {"boiler room", "plant room", "flow pipe", "61.5"}, {"door node", "", "", ""},
	}
	for i, n := range names {
		d := Device{
			Ledger: "site", Stream: uint64(i), Streams: []uint64{uint64(i)}, ID: fmt.Sprintf("8%dc1a29384b5d6e7", i), Number: uint32(i + 1),
			Name: n.name, Place: n.place, Thing: n.thing, Kind: "secure", From: "2025-11-02T08:00:00Z", State: StateOK, Received: text(time.Duration(i) * 40 * time.Second),
		}
		if n.value != "" {
			d.Values = []Value{{"T", "Cel", n.value}, {"H", "%RH", "61"}}
		}
		if i == 0 {
			d.Thresholds = []Threshold{{"warm", "T", "8", ""}}
		}
		f.devices = append(f.devices, d)
	}
	f.devices[5].State, f.devices[5].Why, f.devices[5].Received = StateSilent, "nothing came since then", text(140*time.Minute)
	f.overview = Overview{
		Version: "v0.9", Now: text(0), Since: "2026-02-28T21:14:03Z", Health: "green", Clock: "synced", Needs: []Need{},
		Counts: map[string]int{StateOK: 3, StateSilent: 1, StateWarm: 0, StateAlarm: 0},
		Places: []Place{{"door node", StateSilent, f.devices[5:6]}, {"canteen kitchen", StateOK, f.devices[:3]}, {"cellar", StateOK, f.devices[3:4]}, {"plant room", StateOK, f.devices[4:5]}},
	}
	for i := range uint64(240) {
		seq := 1422 - i
		r := ReadingRow{
			Ledger: "site", Stream: 0, Sequence: seq, Received: text(time.Duration(i) * time.Minute), Clock: "synced", Transport: "udp", Verdict: "authenticated",
			Counter: ptr(6636631406698 + seq), Values: []Value{{"T", "Cel", fmt.Sprintf("%.1f", 3.4+float64(i%7)/5)}, {"H", "%RH", "61"}},
		}
		f.readings = append(f.readings, r)
	}
	hash := func(c string) string { return strings.Repeat(c, 64) }
	final := Covering{Route: "ethereum:1", State: AnchorFinal, Size: 131072, Root: hash("5"), Tx: "0x" + hash("7"), Height: 22042113, Hash: "0x" + hash("8"), Time: text(50 * time.Minute)}
	f.reading = Reading{
		ReadingRow: f.readings[0], Device: f.devices[0].ID, Name: "fridge", Place: "canteen kitchen", State: AnchorFinal, Anchors: []Covering{final},
		Fields: []Field{
			{Index: 1, Name: "device", Class: "envelope", Value: f.devices[0].ID, Item: hash("a")},
			{Index: 2, Name: "measured", Class: "envelope", Value: "not said", Item: "00"}, {Index: 3, Name: "received", Class: "envelope", Value: text(0) + ", clock synced", Item: "01"},
			{Index: 4, Name: "sequence", Class: "envelope", Value: "1422", Item: "02"}, {Index: 5, Name: "origin", Class: "envelope", Value: "udp, authenticated, counter 6636631408120", Item: "03"},
			{Index: 6, Name: "frame", Class: "site", Value: "SHA-256 " + hash("f"), Item: "04"}, {Index: 7, Name: "T", Class: "data", Value: "3.4 Cel", Item: "05"},
			{Index: 8, Name: "H", Class: "data", Value: "", Gone: true},
		},
		Frame: &Frame{Hex: strings.Repeat("3ecf8480c1a29384", 8), Kind: "secure frame of type 0xcf, counter 6636631408120", SHA256: hash("f")},
		Path: &Path{
			Tag: strings.Repeat("0c", 12), First: 1420, Next: 1423, Run: []string{hash("1"), hash("2")}, Slot: 0, Batch: []string{hash("3"), hash("4"), hash("6")},
			Index: 130900, From: text(time.Minute), To: text(0), Log: []string{hash("9"), hash("b"), hash("c")}, Size: 131080, Root: hash("d"),
		},
	}
	for i := range uint64(60) {
		state, anchors := AnchorFinal, []Covering{final}
		if i < 3 {
			state, anchors = AnchorLogged, nil
		}
		f.batches = append(f.batches, Batch{
			Ledger: "site", Index: 131079 - i, From: text(time.Duration(i+1) * time.Minute), To: text(time.Duration(i) * time.Minute), Root: hash("e"), State: state, Anchors: anchors,
			Readings: ptr(uint64(5)), Streams: ptr(uint64(6)), Missed: ptr(uint64(0)), Statements: ptr(uint64(88)), Seen: []Block{{"ethereum:1", 22042110, "0x" + hash("0"), text(2 * time.Minute)}}, Header: hash("a") + hash("b"),
		})
	}
	f.anchors = []LedgerAnchors{{
		Ledger: "site", ID: hash("c"), Batches: 131080, Signed: 131080, Quorum: "any", Rollback: "guarded", Routes: []AnchorRoute{
			{
				Route: "ethereum:1", Healthy: true, OldestAge: 410, Oldest: text(410 * time.Second), Next: text(-20 * time.Minute), Rule: "the chain's own word",
				Money:   &Money{Spent: "0.0041 ether", Monthly: "0.02 ether", PerAnchor: "0.00003 ether", Balance: "0.11 ether", RunwayDays: ptr(148.0)},
				Anchors: []Anchor{{131072, hash("5"), "final", "0x" + hash("7"), 22042113, "0x" + hash("8"), text(50 * time.Minute), "0.00003 ether"}, {130711, hash("4"), "final", "0x" + hash("6"), 22041013, "0x" + hash("9"), text(4 * time.Hour), "0.00002 ether"}},
			},
			{Route: "ots", Healthy: true, Notes: []string{"alice.btc.calendar.opentimestamps.org answers"}, Anchors: []Anchor{}, OldestAge: 9000, Oldest: text(9000 * time.Second)},
		},
	}}
	f.grants = []Grant{
		{Ledger: "site", Number: 31, Audience: "Food Office", Purpose: "inspection 2026", State: "in force", InForce: true, Compartments: []string{"ledger", "stream/0/envelope", "stream/0/data"}, From: "2026-01-01T00:00:00Z", OpensFrom: "2026-01-01T00:00:00Z", OpensUntil: text(0)},
		{Ledger: "site", Number: 40, Audience: "cold copy", Mirror: true, State: "in force", InForce: true, Compartments: []string{"ledger", "statements"}, From: "2026-01-01T00:00:00Z"},
		{Ledger: "site", Number: 12, Audience: "Food Office", Purpose: "inspection 2025", State: "over", Compartments: []string{"ledger", "stream/0/envelope"}, From: "2025-01-01T00:00:00Z", Until: "2025-12-31T00:00:00Z", Ended: "2025-12-01T00:00:00Z", Reason: "agreed"},
	}
	f.copies = []LedgerCopies{{Ledger: "site", Mirrors: []Mirror{{40, "cold copy", text(time.Minute), false}}, Witnesses: []Witness{{"witness.example/w1", true, 131080, ""}}}}
	f.alerts = AlertList{Alerts: []Alert{}, Maintenance: []Mute{}, Receivers: []Receiver{{Name: "cook"}}}
	f.check = Check{OK: true, Problems: []string{}, Facts: []string{"window 1m0s", "2 routes", "readings from udp 127.0.0.1:9999"}}
	return f
}

// alarmed is normal with a fridge that is warm and a freezer that somebody knows of.
func alarmed() *fake {
	f := normal()
	text := func(ago time.Duration) string { return time.Now().UTC().Add(-ago).Format(time.RFC3339) }
	f.devices[0].State, f.devices[0].Why, f.devices[0].Values[0].Value = StateAlarm, "warm: T is 9.2 Cel, above 8 for 10m0s", "9.2"
	f.devices[1].State, f.devices[1].Why, f.devices[1].Values[0].Value = StateWarm, "freezer-warm: T is above -15", "-11.2"
	f.overview.Places = []Place{{"canteen kitchen", StateAlarm, f.devices[:3]}, {"door node", StateSilent, f.devices[5:6]}, {"cellar", StateOK, f.devices[3:4]}, {"plant room", StateOK, f.devices[4:5]}}
	f.overview.Counts = map[string]int{StateOK: 2, StateSilent: 1, StateWarm: 0, StateAlarm: 1}
	f.overview.Health = "red"
	f.overview.Needs = []Need{
		{What: "fridge at canteen kitchen: warm: T is 9.2 Cel, above 8 for 10m0s", Since: text(14 * time.Minute), Ledger: "site", Alert: 97, Stream: ptr(int64(0))},
		{What: "anchoring on ethereum:1: the balance lasts for 3 days: send 0.05 ether"},
	}
	f.alerts.Alerts = []Alert{
		{Ledger: "site", Number: 97, Rule: "warm", State: "open", Device: "fridge", Stream: ptr(int64(0)), What: "T is 9.2 Cel, above 8 for 10m0s", Raised: text(14 * time.Minute), Told: []Told{{"cook", "raised", text(839 * time.Second)}}, Untold: []string{"manager"}},
		{Ledger: "site", Number: 91, Rule: "freezer-warm", State: "acknowledged", Device: "freezer", Stream: ptr(int64(1)), What: "T is above -15", Raised: text(84 * time.Minute), Told: []Told{{"cook", "raised", text(83 * time.Minute)}}, Acks: []Ack{{"ana", "defrosting", text(76 * time.Minute)}}},
		{Ledger: "site", Number: 80, Rule: "silent", State: "cleared", Device: "cellar", Stream: ptr(int64(3)), What: "nothing for 30m0s", Raised: "2026-03-12T08:02:00Z", Told: []Told{}, Cleared: "2026-03-12T09:00:00Z", Why: "it sent again"},
	}
	f.alerts.Maintenance = []Mute{{Ledger: "site", Number: 95, Devices: []string{"cellar"}, From: "2026-03-14T09:00:00Z", Until: text(-2 * time.Hour), Name: "ana", Reason: "door works"}}
	f.alerts.Receivers = []Receiver{{Name: "cook"}, {Name: "manager", Waiting: 1, Failing: text(13 * time.Minute), Error: "dial tcp: connection refused"}}
	return f
}

// empty is a site on its first day.
func empty() *fake {
	f := &fake{
		devices: []Device{}, readings: []ReadingRow{}, batches: []Batch{}, grants: []Grant{},
		overview: Overview{Version: "v0.9", Now: "2026-03-14T09:26:53Z", Since: "2026-03-14T09:26:50Z", Health: "red", Clock: "unsynced", Places: []Place{}, Counts: map[string]int{StateOK: 0, StateSilent: 0, StateWarm: 0, StateAlarm: 0}, Needs: []Need{{What: "no source of readings is configured"}}},
		anchors:  []LedgerAnchors{{Ledger: "site", ID: strings.Repeat("c", 64), Rollback: "unguarded", Routes: []AnchorRoute{}}},
		copies:   []LedgerCopies{{Ledger: "site", Mirrors: []Mirror{}, Witnesses: []Witness{}}},
		alerts:   AlertList{Alerts: []Alert{}, Maintenance: []Mute{}, Receivers: []Receiver{}},
		check:    Check{OK: true, Problems: []string{}, Facts: []string{"window 1m0s", "no route: nothing is anchored"}},
	}
	return f
}

// broken is a site whose gateway cannot answer most of what it is asked.
func broken() *fake {
	f := normal()
	f.err = fmt.Errorf("the store stopped: write 000042.log: input/output error")
	return f
}

const testPassword = "four words make one"

// console is a served console with a user of each role, each with testPassword.
type console struct {
	*httptest.Server
	api *Server
	*fake
}

func newConsole(t testing.TB, f *fake) *console {
	t.Helper()
	s := newAPI(t, f)
	srv := httptest.NewServer(s)
	t.Cleanup(srv.Close)
	t.Cleanup(s.Close)
	return &console{srv, s, f}
}

// newAPI is newConsole without a server.
func newAPI(t testing.TB, f *fake) *Server {
	t.Helper()
	cheap(t)
	a := testAccounts(t, time.Now)
	for _, u := range []User{{Name: "vera", Role: Viewer}, {Name: "otto", Role: Operator}, {Name: "ada", Role: Admin}, {Name: "food", Role: Audience, Audience: "Food Office"}} {
		if _, err := a.AddUser(u, hashOf(t, testPassword)); err != nil {
			t.Fatal(err)
		}
	}
	return NewServer(Config{
		Accounts: a, Places: f, Readings: f, Prover: f, Log: f, Sharing: f, Alerts: f, Settings: f,
		Version: "v0.9", Logger: slog.New(slog.DiscardHandler), Now: time.Now,
	})
}

// client is somebody's browser: it keeps cookies and says where a request comes from.
func (c *console) client(t testing.TB, user string) *http.Client {
	t.Helper()
	jar := &oneCookie{}
	h := &http.Client{Jar: jar, Timeout: 20 * time.Second}
	if user == "" {
		return h
	}
	if r := c.post(t, h, "/api/v1/login", `{"name":"`+user+`","password":"`+testPassword+`"}`); r.StatusCode != http.StatusOK {
		t.Fatalf("%s: log in: %s %s", user, r.Status, body(t, r))
	}
	return h
}
