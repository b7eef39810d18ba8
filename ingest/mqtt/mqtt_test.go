package mqtt

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
	"go.uber.org/goleak"

	"cairn/ingest"
	"cairn/ingest/frame"
	"cairn/ingest/message"
	"cairn/ingest/reading"
	"cairn/scripts/mosquitto"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 30 * time.Second

// committer is a sink that records as the committer does: what may have come before is
// held against the names that it knows.
type committer struct {
	mu       sync.Mutex
	changed  chan struct{} // closed at each change, and made anew
	names    map[[8]byte]bool
	values   map[string]int // readings by value
	frames   int
	twice    int // known again
	dropped  map[ingest.Reason]uint64
	told     []string
	held     bool // Done waits
	refusing int  // so many more are not recorded
	waiting  []func()
	measured int64
}

func newCommitter() *committer {
	return &committer{changed: make(chan struct{}), names: map[[8]byte]bool{}, values: map[string]int{}, dropped: map[ingest.Reason]uint64{}}
}

func (c *committer) change() {
	close(c.changed)
	c.changed = make(chan struct{})
}

func (c *committer) Put(_ context.Context, p ingest.Packet) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	defer c.change()
	if c.refusing > 0 {
		c.refusing--
		go p.Done(reading.Vouched, 0, 0, 0, false, ingest.ErrRefused)
		return nil
	}
	verdict := reading.Vouched
	switch t := p.Told; {
	case t == nil:
		c.frames++
		verdict = reading.Authenticated
	case t.Again && c.names[t.Once]:
		c.twice++
		verdict = reading.Duplicate
	default:
		c.names[t.Once] = true
		c.values[t.Measurements[0].Value.String()]++
		c.measured = t.Measured
	}
	done := func() { p.Done(verdict, 0, 0, 0, false, nil) }
	if p.Done == nil {
		return nil
	}
	if c.held {
		c.waiting = append(c.waiting, done)
	} else {
		done()
	}
	return nil
}

func (c *committer) Offer(p ingest.Packet) bool { return c.Put(context.Background(), p) == nil }

func (c *committer) Drop(r ingest.Reason, n uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dropped[r] += n
	c.change()
}

func (c *committer) Unknown(ingest.Packet) {}

func (c *committer) Tell(kind ingest.EventKind, detail string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.told = append(c.told, fmt.Sprint(kind, " ", detail))
	c.change()
}

// release answers what waits, and all that comes.
func (c *committer) release() {
	c.mu.Lock()
	waiting := c.waiting
	c.held, c.waiting = false, nil
	c.mu.Unlock()
	for _, done := range waiting {
		done()
	}
}

// await waits until something holds.
func (c *committer) await(t testing.TB, what string, holds func() bool) {
	t.Helper()
	late := time.After(patience)
	for {
		c.mu.Lock()
		ok, changed := holds(), c.changed
		c.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-changed:
		case <-late:
			c.mu.Lock()
			defer c.mu.Unlock()
			t.Fatalf("%s does not come: %d values, %d again, dropped %v, told %v", what, len(c.values), c.twice, c.dropped, c.told)
		}
	}
}

// start runs a source until the test ends.
func start(t testing.TB, cfg Config, c *committer) (stop func()) {
	t.Helper()
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx, c) }()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
	}
	t.Cleanup(stop)
	return stop
}

// publisher is a node of its own.
func publisher(t testing.TB, b *mosquitto.Broker) paho.Client {
	t.Helper()
	o := paho.NewClientOptions().AddBroker(strings.Replace(b.URL, "mqtt:", "tcp:", 1)).SetClientID("node").SetAutoReconnect(false)
	c := paho.NewClient(o)
	settle(t, c.Connect())
	t.Cleanup(func() { c.Disconnect(0) })
	return c
}

func settle(t testing.TB, token paho.Token) {
	t.Helper()
	if !token.WaitTimeout(patience) || token.Error() != nil {
		t.Fatal(token.Error())
	}
}

func config(b *mosquitto.Broker, version string) Config {
	return Config{
		Broker: b.URL, Version: version, ClientID: "cairn-test",
		Mappings: []message.Mapping{{Topic: "cold/{device}", Time: "at"}}, Topics: []string{"radio"},
	}
}

// subscribed waits until what is published arrives.
func subscribed(t testing.TB, c *committer) {
	t.Helper()
	c.await(t, "that it has subscribed", func() bool { return len(c.told) > 0 && c.told[0] == "source-up subscribed" })
}

func sealed(t testing.TB, counter frame.Counter) []byte {
	t.Helper()
	key, _ := frame.ParseKey("00112233445566778899aabbccddeeff")
	id, _ := frame.ParseID("80c1a29384b5d6e7")
	o, err := frame.NewOpener(key)
	if err != nil {
		t.Fatal(err)
	}
	wire, err := o.Seal(nil, frame.TypeBasic|frame.SecureBit, id, 4, counter, []byte{0x7f, 0})
	if err != nil {
		t.Fatal(err)
	}
	return wire[1:]
}

func versions(t *testing.T, test func(t *testing.T, version string)) {
	for _, v := range []string{Version5, Version311} {
		t.Run(v, func(t *testing.T) { test(t, v) })
	}
}

// TestBrokerKilled: what was recorded but not acknowledged when the broker was killed
// is not recorded again, and what had not come by then comes.
func TestBrokerKilled(t *testing.T) {
	versions(t, func(t *testing.T, version string) {
		b := mosquitto.Start(t, mosquitto.Options{})
		c := newCommitter()
		start(t, config(b, version), c)
		p := publisher(t, b)
		subscribed(t, c)
		c.mu.Lock()
		c.held = true
		c.mu.Unlock()
		const n = 60
		for i := range n {
			settle(t, p.Publish("cold/room", 1, false, fmt.Sprintf(`{"T":%d,"at":"2026-01-23T10:25:12Z"}`, i)))
		}
		c.await(t, "a message", func() bool { return len(c.values) >= 10 })
		b.Save()
		b.Kill()
		c.await(t, "that it is gone", func() bool { return len(c.told) > 1 && strings.HasPrefix(c.told[1], "source-down") })
		c.release()
		b.Resume()
		c.await(t, "all", func() bool { return len(c.values) == n })
		c.await(t, "that it is back", func() bool { return c.told[len(c.told)-1] == "source-up subscribed" && len(c.told) == 3 })
		// All of the first may have been recorded before: what came again comes before this.
		settle(t, publisher(t, b).Publish("cold/room", 1, false, `{"T":-1,"at":"2026-01-23T10:25:12Z"}`))
		c.await(t, "one more", func() bool { return c.values["-1"] == 1 })
		c.mu.Lock()
		defer c.mu.Unlock()
		for value, times := range c.values {
			if times != 1 {
				t.Errorf("%s was recorded %d times", value, times)
			}
		}
		if c.twice == 0 || c.measured != 1769163912000 {
			t.Errorf("%d came again, want some; measured %d", c.twice, c.measured)
		}
	})
}

// TestPublish: what is published is acknowledged when the broker has it, in the version
// and under the identifier that are configured, and a broker that is gone is an error.
func TestPublish(t *testing.T) {
	versions(t, func(t *testing.T, version string) {
		b := mosquitto.Start(t, mosquitto.Options{User: "cairn", Password: "broker-s3cret", TLS: true, Certificates: true})
		c := newCommitter()
		cfg := config(b, version)
		cfg.Username, cfg.Password, cfg.TLS = "cairn", []byte("broker-s3cret"), trusting(t, b)
		pair, err := tls.LoadX509KeyPair(b.CertFile, b.KeyFile)
		if err != nil {
			t.Fatal(err)
		}
		cfg.TLS.Certificates = []tls.Certificate{pair}
		start(t, cfg, c)
		subscribed(t, c)
		as := cfg
		as.ClientID = "cairn-test-cook"
		if err := Publish(t.Context(), as, "cold/room", []byte(`{"T":7}`)); err != nil {
			t.Fatal(err)
		}
		c.await(t, "it", func() bool { return c.values["7"] == 1 })
		if got, want := b.Output(), "as cairn-test-cook (p"+map[string]string{Version5: "5", Version311: "2"}[version]+", c1,"; !strings.Contains(got, want) {
			t.Errorf("the broker says %q, want %q in it", got, want)
		}
		as.ClientID = ""
		if err := Publish(t.Context(), as, "cold/room", []byte(`{"T":8}`)); err != nil {
			t.Fatal(err)
		}
		c.await(t, "another", func() bool { return c.values["8"] == 1 })
		c.mu.Lock()
		if len(c.told) != 1 {
			t.Errorf("the source was told %q", c.told)
		}
		c.mu.Unlock()
		if err := Check(t.Context(), as); err != nil {
			t.Errorf("a login that the broker takes: %v", err)
		}
		wrong := as
		wrong.Password = []byte("wrong")
		if err := Check(t.Context(), wrong); err == nil || strings.Contains(err.Error(), "wrong") {
			t.Errorf("a login with another password: %v", err)
		}
		if err := Publish(t.Context(), wrong, "cold/room", nil); err == nil || strings.Contains(err.Error(), "wrong") {
			t.Errorf("with another password: %v", err)
		}
		wrong = as
		wrong.TLS = trusting(t, b)
		if err := Publish(t.Context(), wrong, "cold/room", nil); err == nil {
			t.Error("without a certificate: no error")
		}
		b.Kill()
		if err := Publish(t.Context(), as, "cold/room", nil); err == nil {
			t.Error("no broker: no error")
		}
	})
}

// TestSourceKilled: a source that went without a word is given again what it had not
// acknowledged, and what was published meanwhile.
func TestSourceKilled(t *testing.T) {
	versions(t, func(t *testing.T, version string) {
		b := mosquitto.Start(t, mosquitto.Options{})
		c := newCommitter()
		stop := start(t, config(b, version), c)
		p := publisher(t, b)
		subscribed(t, c)
		c.mu.Lock()
		c.held = true
		c.mu.Unlock()
		const n = 40
		for i := range n / 2 {
			settle(t, p.Publish("cold/room", 1, false, fmt.Sprintf(`{"T":%d}`, i)))
		}
		c.await(t, "a message", func() bool { return len(c.values) >= 10 })
		stop()
		for i := range n / 2 {
			settle(t, p.Publish("cold/room", 1, false, fmt.Sprintf(`{"T":%d}`, n/2+i)))
		}
		c.release()
		start(t, config(b, version), c)
		c.await(t, "all", func() bool { return len(c.values) == n })
		// The same said anew is another reading.
		settle(t, p.Publish("cold/room", 1, false, `{"T":0}`))
		c.await(t, "the same again", func() bool { return c.values["0"] == 2 })
		c.mu.Lock()
		defer c.mu.Unlock()
		for value, times := range c.values {
			if times != 1 && value != "0" {
				t.Errorf("%s was recorded %d times", value, times)
			}
		}
		if c.twice == 0 {
			t.Error("nothing came again")
		}
	})
}

// TestRefused: what the intake refuses for a time, as when the disk is full, is recorded
// in the same connection, though it was more than the broker sends at once.
func TestRefused(t *testing.T) {
	versions(t, func(t *testing.T, version string) {
		b := mosquitto.Start(t, mosquitto.Options{})
		c := newCommitter()
		c.refusing = 22 // all that Mosquitto of 3.1.1 sends at once, and the first of them again
		start(t, config(b, version), c)
		p := publisher(t, b)
		subscribed(t, c)
		const n = 600 // more than two windows of version 5
		for i := range n {
			settle(t, p.Publish("cold/room", 1, false, fmt.Sprintf(`{"T":%d}`, i)))
		}
		c.await(t, "all", func() bool { return len(c.values) == n })
		c.mu.Lock()
		defer c.mu.Unlock()
		for value, times := range c.values {
			if times != 1 {
				t.Errorf("%s was recorded %d times", value, times)
			}
		}
		if len(c.told) != 1 {
			t.Errorf("told %v, want one connection", c.told)
		}
	})
}

// TestCovered: what fits two topics is one reading.
func TestCovered(t *testing.T) {
	versions(t, func(t *testing.T, version string) {
		b := mosquitto.Start(t, mosquitto.Options{})
		c := newCommitter()
		cfg := config(b, version)
		cfg.Topics = []string{"cold/#"}
		start(t, cfg, c)
		p := publisher(t, b)
		subscribed(t, c)
		settle(t, p.Publish("cold/room", 1, false, `{"T":1}`))
		settle(t, p.Publish("cold/room", 1, false, `{"T":2}`))
		c.await(t, "both", func() bool { return len(c.values) == 2 })
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.values["1"] != 1 {
			t.Errorf("got %v, want each once", c.values)
		}
	})
}

func TestApart(t *testing.T) {
	for _, c := range []struct{ filters, want string }{
		{"a/+ a/b a/+", "a/+"},
		{"a/# a a/b/c", "a/#"},
		{"+/b a/c", "+/b a/c"},
		{"# a/+", "#"},
		{"a/+ a/+/c", "a/+ a/+/c"},
		{"a/+ +/b", ""},
		{"a/+/c a/b/#", ""},
		{"+/# a", "+/#"},
		{"", ""},
	} {
		got, err := apart(strings.Fields(c.filters))
		if strings.Join(got, " ") != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%q: got %q, %v; want %q", c.filters, got, err, c.want)
		}
	}
	var all []string
	for _, name := range message.Presets() {
		for _, m := range message.Preset(name) {
			all = append(all, m.Filter())
		}
	}
	if got, err := apart(all); err != nil || len(got) != 5 {
		t.Errorf("the presets' topics: %q, %v", got, err)
	}
}

// TestNotTaken: what no mapping reads is counted and done with, and what is retained
// was said before.
func TestNotTaken(t *testing.T) {
	versions(t, func(t *testing.T, version string) {
		b := mosquitto.Start(t, mosquitto.Options{})
		p := publisher(t, b)
		settle(t, p.Publish("cold/old", 1, true, `{"T":7}`))
		c := newCommitter()
		start(t, config(b, version), c)
		subscribed(t, c)
		settle(t, p.Publish("cold/room", 1, false, `online`))
		settle(t, p.Publish("cold/room", 0, false, `{"T":1`))
		settle(t, p.Publish("cold/room", 1, false, `{"list":[1]}`))
		settle(t, p.Publish("cold/room", 0, false, `{"T":8}`))
		settle(t, p.Publish("cold/room", 1, false, `{"T":9}`))
		c.await(t, "what is right", func() bool { return len(c.values) == 2 && c.dropped[ingest.MessageContent] == 2 })
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.values["8"] != 1 || c.values["9"] != 1 {
			t.Errorf("got %v", c.values)
		}
	})
}

// trusting trusts the broker's certificate alone.
func trusting(t *testing.T, b *mosquitto.Broker) *tls.Config {
	t.Helper()
	ca, err := os.ReadFile(b.CAFile)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	return &tls.Config{RootCAs: pool}
}

// TestLogin: TLS and a password, and what is told where they are wrong.
func TestLogin(t *testing.T) {
	versions(t, func(t *testing.T, version string) {
		b := mosquitto.Start(t, mosquitto.Options{User: "gateway", Password: "s3cret-of-a-test", TLS: true})
		cfg := config(b, version)
		cfg.Username, cfg.Password, cfg.TLS = "gateway", []byte("s3cret-of-a-test"), trusting(t, b)
		c := newCommitter()
		start(t, cfg, c)
		o := paho.NewClientOptions().AddBroker(strings.Replace(b.URL, "mqtts:", "tls:", 1)).SetClientID("node").
			SetUsername("gateway").SetPassword("s3cret-of-a-test").SetTLSConfig(cfg.TLS)
		p := paho.NewClient(o)
		settle(t, p.Connect())
		defer p.Disconnect(0)
		subscribed(t, c)
		settle(t, p.Publish("radio", 1, false, sealed(t, 1)))
		c.await(t, "a frame", func() bool { return c.frames == 1 })

		for what, spoil := range map[string]func(*Config){
			"password":  func(c *Config) { c.Password = []byte("another-s3cret") },
			"authority": func(c *Config) { c.TLS = nil },
		} {
			bad, refused := cfg, newCommitter()
			bad.ClientID = "cairn-other"
			spoil(&bad)
			start(t, bad, refused)
			refused.await(t, "that it is refused", func() bool { return len(refused.told) > 0 })
			refused.mu.Lock()
			if text := refused.told[0]; !strings.HasPrefix(text, "source-down the broker cannot be reached") || strings.Contains(text, "s3cret") {
				t.Errorf("%s: told %q", what, text)
			}
			refused.mu.Unlock()
		}
	})
}

func TestNew(t *testing.T) {
	good := Config{Broker: "mqtt://127.0.0.1", ClientID: "c", Topics: []string{"a/#"}}
	if s, err := New(good); err != nil || s.broker.Host != "127.0.0.1:1883" {
		t.Errorf("got %v, %v", s, err)
	}
	for want, spoil := range map[string]func(*Config){
		"is no broker":                    func(c *Config) { c.Broker = "http://127.0.0.1" },
		"names no user and no password":   func(c *Config) { c.Broker = "mqtt://a:b@127.0.0.1" },
		"more than a host and a port":     func(c *Config) { c.Broker = "mqtt://127.0.0.1/x" },
		"neither 5 nor 3.1.1":             func(c *Config) { c.Version = "4" },
		"client identifier is needed":     func(c *Config) { c.ClientID = "" },
		"over 23 bytes":                   func(c *Config) { c.Version, c.ClientID = Version311, strings.Repeat("x", 24) },
		"no topic is named":               func(c *Config) { c.Topics = nil },
		"nothing tells the device":        func(c *Config) { c.Mappings = []message.Mapping{{Topic: "a"}} },
		"20000 messages in flight: at mo": func(c *Config) { c.InFlight = 20000 },
	} {
		cfg := good
		spoil(&cfg)
		if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}
