package ingest

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"cairn/ingest/frame"
	"cairn/ingest/reading"
)

const fridge = "fridge"

// httpIntake runs an intake with an HTTP source until the test ends.
func httpIntake(t *testing.T, b *book, senders ...Sender) (*HTTP, *Intake) {
	t.Helper()
	registry := testRegistry(t,
		Device{Number: 1, ID: AddressID(fridge), Kind: KindVouched},
		Device{Number: 2, ID: testID(t, idA), Epoch: 1, Kind: KindSecure, Key: &keyA},
		Device{Number: 3, ID: AddressID("0x00158D0003030AF1"), Kind: KindVouched},
	)
	h, err := NewHTTP(HTTPConfig{
		Senders: senders, Knows: registry.Knows, Wait: 5 * time.Second,
		Receipt: func(device uint32, slot, seq uint64, frame bool) ([]byte, error) {
			return fmt.Appendf(nil, "%d %d/%d %t", device, slot, seq, frame), nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	in, err := New(Config{Registry: registry, Committer: b})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- in.Run(ctx, h) }()
	for h.sink.Load() == nil {
		runtime.Gosched()
	}
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		b.busy.Wait()
	})
	return h, in
}

func all(token string) Sender { return Sender{Name: "hub", Token: sha256.Sum256([]byte(token))} }

// post posts a body as application/senml+json, and gives the answer.
func post(h http.Handler, path, token, body string, header ...string) (status int, answer string, headers http.Header) {
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/senml+json")
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Code, w.Body.String(), w.Header()
}

func TestHTTP(t *testing.T) {
	b := newBook()
	h, _ := httpIntake(t, b, all("secret"))
	const body = `[{"bn":"fridge/","bt":1790000000,"n":"T","u":"Cel","v":4.25},{"bn":"0x00158d0003030af1/","n":"T","v":5}]`
	status, answer, _ := post(h, "/ingest/senml", "secret", body, "Idempotency-Key", "k1")
	if status != http.StatusOK {
		t.Fatalf("%d %s", status, answer)
	}
	var got struct{ Readings []result }
	if err := json.Unmarshal([]byte(answer), &got); err != nil || len(got.Readings) != 2 {
		t.Fatalf("%v: %s", err, answer)
	}
	if x := got.Readings[0]; x.Verdict != "vouched" || x.Device != AddressID(fridge).String() || x.Received == "" {
		t.Errorf("first reading: %+v", x)
	}
	if x := got.Readings[1]; x.Device != "00158d0003030af1" {
		t.Errorf("second reading: %+v", x)
	}
	a := b.taken[0]
	if a.Verdict != reading.Vouched || a.Transport != reading.TransportHTTP || !a.HasMeasured || a.Measured != 1_790_000_000_000 ||
		len(a.Measurements) != 1 || a.Measurements[0].Value.String() != "4.25" || string(a.Wire) != body {
		t.Errorf("arrival: %+v", a)
	}
	if a.Once != once("hub", "k1", 0) || !a.Again || b.taken[1].Once == a.Once {
		t.Errorf("names %x %x, again %t", a.Once, b.taken[1].Once, a.Again)
	}
	post(h, "/ingest/senml", "secret", body)
	if a := b.taken[2]; a.Once != [8]byte{} || a.Again {
		t.Errorf("a message without a name has %x", a.Once)
	}
}

func TestHTTPLoRaWAN(t *testing.T) {
	b := newBook()
	h, _ := httpIntake(t, b, all("secret"))
	wire := seal(t, keyA, frame.TypeBasic|frame.SecureBit, idA, 4, 1<<24, "\x7f\x10{\"T|C16\":336")
	up := func(eui string, payload []byte, object string) string {
		return fmt.Sprintf(`{"deduplicationId":"d1","deviceInfo":{"devEui":%q},"data":%q,"object":%s}`,
			eui, base64.StdEncoding.EncodeToString(payload), object)
	}
	// A frame of a node is worth what its tag proves, whatever radio it travelled by.
	status, answer, _ := post(h, "/ingest/chirpstack?event=up", "secret", up("0101010101010101", wire[1:], "null"))
	if status != http.StatusOK || !strings.Contains(answer, `"verdict":"authenticated"`) {
		t.Errorf("a frame in a payload: %d %s", status, answer)
	}
	if a := b.taken[0]; a.Verdict != reading.Authenticated || a.Transport != reading.TransportLoRaWAN || a.Device != 2 {
		t.Errorf("arrival: %+v", a)
	}
	status, answer, _ = post(h, "/ingest/chirpstack?event=up", "secret", up("00158D0003030AF1", []byte{1, 2}, `{"temperature":-4.5}`))
	if status != http.StatusOK || !strings.Contains(answer, `"verdict":"vouched"`) || b.taken[1].Once != once("hub", "d1", 0) {
		t.Errorf("a decoded payload: %d %s %x", status, answer, b.taken[1].Once)
	}
	if status, answer, _ := post(h, "/ingest/chirpstack?event=join", "secret", `{}`); status != http.StatusOK || len(b.taken) != 2 {
		t.Errorf("another event: %d %s, %d taken", status, answer, len(b.taken))
	}
}

// TestReceipts: a frame's receipt is that of the device whose key it bears, of which its
// sender need know nothing; what is sent again has that of the first time, as long as
// that is remembered, and never another's.
func TestReceipts(t *testing.T) {
	b := newBook()
	h, _ := httpIntake(t, b, all("secret"))
	receipt := func(path, body string, header ...string) (verdict, text string) {
		t.Helper()
		status, answer, _ := post(h, path, "secret", body, header...)
		var got struct{ Readings []result }
		if err := json.Unmarshal([]byte(answer), &got); status != http.StatusOK || err != nil || len(got.Readings) != 1 {
			t.Fatalf("%d %v: %s", status, err, answer)
		}
		return got.Readings[0].Verdict, string(got.Readings[0].Receipt)
	}
	want := func(path, body, verdict, text string, header ...string) {
		t.Helper()
		if v, r := receipt(path, body, header...); v != verdict || r != text {
			t.Errorf("%s: got %q %q, want %q %q", body, v, r, verdict, text)
		}
	}
	up := func(wire []byte) string {
		return fmt.Sprintf(`{"deviceInfo":{"devEui":"0101010101010101"},"data":%q}`, base64.StdEncoding.EncodeToString(wire[1:]))
	}
	first := up(seal(t, keyA, frame.TypeBasic|frame.SecureBit, idA, 4, 1<<24, "\x7f\x10{\"T|C16\":336"))
	want("/ingest/chirpstack", first, "authenticated", "")
	want("/ingest/chirpstack?receipt=1", first, "duplicate", "2 1/1 true")
	want("/ingest/chirpstack?receipt=1", up(seal(t, keyA, frame.TypeBasic|frame.SecureBit, idA, 4, 1<<24+1, "\x7f\x10{\"T|C16\":337")), "authenticated", "2 1/3 true")
	want("/ingest/chirpstack?receipt=1", up(seal(t, keyB, frame.TypeBasic|frame.SecureBit, idA, 4, 1<<24+2, "\x7f\x10{\"T|C16\":337")), "bad-tag", "")
	const told = `[{"bn":"fridge/","n":"T","v":4}]`
	want("/ingest/senml?receipt=1", told, "vouched", "1 1/4 false")
	want("/ingest/senml?receipt=1", told, "vouched", "1 1/5 false", "Idempotency-Key", "k")
	h.past = memory{} // as after a start
	want("/ingest/chirpstack?receipt=1", first, "replay", "")
	b.last = map[[2]uint32]frame.Counter{}
	want("/ingest/chirpstack?receipt=1", first, "authenticated", "2 1/7 true")
	h.past = memory{}
	want("/ingest/chirpstack?receipt=1", first, "duplicate", "")
}

// TestToldStrangers: of whom senders speak, and nobody is registered, is listed as they
// call it, until it is; whoever may not speak for it makes nobody known.
func TestToldStrangers(t *testing.T) {
	b := newBook()
	some := all("secret")
	some.Devices = []string{"cellar-*", "0101*", fridge}
	h, in := httpIntake(t, b, some)
	want := func(want ...string) {
		t.Helper()
		var got []string
		for _, s := range in.Strangers() {
			got = append(got, fmt.Sprint(s.ID, " ", s.Heard, " ", s.Source, " ", s.Address, " ", s.Count))
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	for body, status := range map[string]int{
		`[{"bn":"cellar-1/","n":"T","v":4},{"bn":"cellar-2/","n":"T","v":4},{"bn":"fridge/","n":"T","v":4}]`: http.StatusUnprocessableEntity,
		`[{"bn":"cellar-1/","n":"T","v":5}]`: http.StatusUnprocessableEntity,
		`[{"bn":"attic/","n":"T","v":4}]`:    http.StatusForbidden,
		`[{"bn":"fridge/","n":"T","v":4}]`:   http.StatusOK,
	} {
		if got, answer, _ := post(h, "/ingest/senml", "secret", body); got != status {
			t.Errorf("%s: %d %s", body, got, answer)
		}
	}
	post(h, "/ingest/chirpstack", "secret", `{"deviceInfo":{"devEui":"0101010101010101"},"object":{"T":1}}`)
	cellar, second := AddressID("cellar-1"), AddressID("cellar-2")
	all := []string{
		"0101010101010101 told http hub 0101010101010101 1", cellar.String() + " told http hub cellar-1 2", second.String() + " told http hub cellar-2 1",
	}
	slices.Sort(all)
	want(all...)
	if err := in.cfg.Registry.Set([]Device{{Number: 1, ID: cellar, Kind: KindVouched}, {Number: 2, ID: second, Kind: KindVouched}}); err != nil {
		t.Fatal(err)
	}
	want("0101010101010101 told http hub 0101010101010101 1")

	// What a broker tells is refused by the judge.
	w := &worker{in: in, judge: in.Judge(), done: make(map[uint32]Done)}
	told := &Told{Device: AddressID("attic"), Address: "attic"}
	w.chunk(&chunk{packets: []packet{{form: FormTold, told: told, source: "mqtt-house", transport: reading.TransportMQTT}}, judged: make(chan struct{}, 1)})
	all = []string{"0101010101010101 told http hub 0101010101010101 1", told.Device.String() + " told mqtt-house attic 1"}
	slices.Sort(all)
	want(all...)
}

// TestMemory: what is remembered has a bound, and the oldest goes first.
func TestMemory(t *testing.T) {
	var m memory
	name := func(i int) [8]byte { return [8]byte(binary.BigEndian.AppendUint64(nil, uint64(i))) }
	for i := range 2*maxRemembered + 7 {
		m.put(name(i), earlier{seq: uint64(i)})
		m.put(name(i), earlier{seq: uint64(i)})
	}
	if len(m.by) != maxRemembered || len(m.order) != maxRemembered {
		t.Fatalf("%d remembered, %d in order, want %d", len(m.by), len(m.order), maxRemembered)
	}
	for i := maxRemembered + 7; i < 2*maxRemembered+7; i++ {
		if x, ok := m.by[name(i)]; !ok || x.seq != uint64(i) {
			t.Fatalf("%d: %v, %t", i, x, ok)
		}
	}
}

func TestHTTPRefused(t *testing.T) {
	b := newBook()
	kitchen := all("kitchen")
	kitchen.Name, kitchen.Devices = "kitchen", []string{"oven*"}
	slow := all("slow")
	slow.Rate, slow.Burst = 0.001, 1
	h, in := httpIntake(t, b, all("secret"), kitchen, slow)
	const one = `[{"n":"fridge/T","v":1}]`
	post(h, "/ingest/senml", "slow", one)
	for _, c := range []struct {
		name, path, token, body string
		header                  []string
		status                  int
		says                    string
	}{
		{"no token", "/ingest/senml", "", one, nil, 401, "token"},
		{"another token", "/ingest/senml", "secre", one, nil, 401, "token"},
		{"another's device", "/ingest/senml", "kitchen", one, nil, 403, "kitchen"},
		{"unknown device", "/ingest/senml", "secret", `[{"n":"fridge/T","v":1},{"n":"other/T","v":1}]`, nil, 422, `--address \"other\"`},
		{"a device with a key", "/ingest/senml", "secret", `[{"bn":"` + idA + `/","n":"T","v":1}]`, nil, 422, "no device"},
		{"no SenML", "/ingest/senml", "secret", `{}`, nil, 400, "array"},
		{"another type", "/ingest/senml", "secret", one, []string{"Content-Type", "text/csv"}, 415, "text/csv"},
		{"too long", "/ingest/senml", "secret", "[" + strings.Repeat(" ", 70000), nil, 413, "bytes"},
		{"another path", "/ingest/sparkplug", "secret", one, nil, 404, "sparkplug"},
		{"too fast", "/ingest/senml", "slow", one, nil, 429, "a second"},
	} {
		status, answer, headers := post(h, c.path, c.token, c.body, c.header...)
		if status != c.status || !strings.Contains(answer, c.says) {
			t.Errorf("%s: got %d %s, want %d with %q", c.name, status, answer, c.status, c.says)
		}
		if again := headers.Get("Retry-After") != ""; again != (status == 429) {
			t.Errorf("%s: to be sent again %t", c.name, again)
		}
		for _, token := range []string{"secret", "slow", "kitchen\""} {
			if strings.Contains(answer, `"`+token) {
				t.Errorf("%s: the answer shows a token: %s", c.name, answer)
			}
		}
	}
	if len(b.taken) != 1 {
		t.Errorf("%d arrivals, want that one before", len(b.taken))
	}
	if n := in.Tally().Snapshot().Received; n != 1 {
		t.Errorf("%d received, want 1", n)
	}
}

func TestHTTPFails(t *testing.T) {
	b := newBook()
	b.fail = errors.New("disk")
	h, _ := httpIntake(t, b, all("secret"))
	const one = `[{"n":"fridge/T","v":1}]`
	status, answer, headers := post(h, "/ingest/senml", "secret", one)
	if status != 503 || headers.Get("Retry-After") == "" || strings.Contains(answer, "disk") {
		t.Errorf("a failed commit: %d %s", status, answer)
	}
	idle, err := NewHTTP(HTTPConfig{Senders: []Sender{all("secret")}, Knows: func(frame.ID) bool { return true }})
	if err != nil {
		t.Fatal(err)
	}
	if status, answer, _ := post(idle, "/ingest/senml", "secret", one); status != 503 {
		t.Errorf("before it runs: %d %s", status, answer)
	}
	bad := all("x")
	bad.Devices = []string{"["}
	if _, err := NewHTTP(HTTPConfig{Senders: []Sender{bad}}); err == nil {
		t.Error("a glob that is none was taken")
	}
	if err := h.SetSenders([]Sender{all("new"), bad}); err == nil {
		t.Error("a glob that is none was taken later")
	}
	if status, _, _ := post(h, "/ingest/senml", "secret", one); status == 401 {
		t.Error("senders that were refused put out those that were there")
	}
	if err := h.SetSenders([]Sender{all("new")}); err != nil {
		t.Fatal(err)
	}
	for token, want := range map[string]bool{"secret": false, "new": true, "": false} {
		if status, _, _ := post(h, "/ingest/senml", token, one); status == 401 == want {
			t.Errorf("among other senders, %q gets %d", token, status)
		}
	}
}

// TestHTTPOneSenderBusy: requests of one sender that wait for the store leave half of
// the room to the others.
func TestHTTPOneSenderBusy(t *testing.T) {
	b := newBook()
	b.gate = make(chan struct{})
	other := Sender{Name: "other", Token: sha256.Sum256([]byte("another"))}
	h, _ := httpIntake(t, b, all("secret"), other)
	const one = `[{"n":"fridge/T","v":1}]`
	answers := make(chan int, 64)
	ask := func(token string) {
		status, _, _ := post(h, "/ingest/senml", token, one)
		answers <- status
	}
	for range 32 { // half of the default
		go ask("secret")
	}
	for (*h.senders.Load())[0].count() < 32 {
		runtime.Gosched()
	}
	status, answer, headers := post(h, "/ingest/senml", "secret", one)
	if status != http.StatusTooManyRequests || headers.Get("Retry-After") == "" || !strings.Contains(answer, "hub has too many requests") {
		t.Errorf("one more: %d %s", status, answer)
	}
	go ask("another")
	for (*h.senders.Load())[1].count() < 1 {
		runtime.Gosched()
	}
	close(b.gate)
	for range 33 {
		if status := <-answers; status != http.StatusOK {
			t.Errorf("answered %d", status)
		}
	}
	if (*h.senders.Load())[0].count() != 0 || (*h.senders.Load())[1].count() != 0 {
		t.Error("requests are counted that are over")
	}
}

func (s *sender) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.active
}

// TestCertified: whose a certificate is, and when it counts.
func TestCertified(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	certificate := func(raw string, from, to time.Duration) *x509.Certificate {
		return &x509.Certificate{Raw: []byte(raw), NotBefore: now.Add(from), NotAfter: now.Add(to)}
	}
	h, err := NewHTTP(HTTPConfig{
		Knows: func(frame.ID) bool { return true }, Now: func() time.Time { return now },
		Senders: []Sender{
			{Name: "token", Token: sha256.Sum256([]byte("secret"))},
			{Name: "kitchen", Certificates: [][32]byte{sha256.Sum256([]byte("old")), sha256.Sum256([]byte("new"))}},
			{Name: "both", Token: sha256.Sum256([]byte("other")), Certificates: [][32]byte{sha256.Sum256([]byte("b"))}},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		c    *x509.Certificate
		want string
	}{
		"the first":   {certificate("old", -time.Hour, time.Hour), "kitchen"},
		"the second":  {certificate("new", -time.Hour, time.Hour), "kitchen"},
		"another's":   {certificate("b", -time.Hour, time.Hour), "both"},
		"nobody's":    {certificate("x", -time.Hour, time.Hour), ""},
		"expired":     {certificate("new", -2*time.Hour, -time.Second), ""},
		"not yet":     {certificate("new", time.Second, time.Hour), ""},
		"a token's":   {certificate("secret", -time.Hour, time.Hour), ""},
		"a zero hash": {&x509.Certificate{NotBefore: now, NotAfter: now}, ""},
	} {
		got := ""
		if s := h.certified(c.c); s != nil {
			got = s.Name
		}
		if got != c.want {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
	if h.who("Bearer ") != nil || h.who("") != nil {
		t.Error("no token is the token of one who has none")
	}
}
