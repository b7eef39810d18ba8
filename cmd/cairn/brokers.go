package main

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"slices"
	"strings"

	messages "cairn/ingest/message"
	"cairn/ingest/mqtt"
)

const (
	// maxBrokers is how many may be configured.
	maxBrokers = 64
	// Keys of lists in a broker's section.
	keyTopics = "topics"
	keyFields = "fields"
)

// BrokerConfig is an MQTT broker from which readings are taken, or that carries alerts.
type BrokerConfig struct {
	Name         string
	URL          string
	Version      string
	ClientID     string // "": made of the ledger's id and the name
	Username     string
	PasswordFile string
	CAFile       string // "": the system's authorities
	CertFile     string // of the gateway, with KeyFile
	KeyFile      string
	Plaintext    bool // without TLS beyond this machine
	Mappings     []messages.Mapping
	Frames       []string // filters of topics whose payloads are frames
}

// brokers reads the list of brokers.
func (s *settings) brokers(dir string) []BrokerConfig {
	var all []BrokerConfig
	names := map[string]bool{}
	for _, part := range s.list(keyMQTT) {
		b := BrokerConfig{
			Name: part.required("name"), URL: part.required("broker"), Version: part.text("version"),
			ClientID: part.text("client_id"), Username: part.text("username"),
			PasswordFile: within(dir, part.text("password_file")), CAFile: within(dir, part.text("ca_file")),
			CertFile: within(dir, part.text("certificate_file")), KeyFile: within(dir, part.text("key_file")),
			Plaintext: part.yes("plaintext"), Frames: part.texts("frames"),
		}
		if names[b.Name] {
			part.fail("name", "%.40q is there twice", b.Name)
		}
		names[b.Name] = true
		for _, name := range part.texts("presets") {
			preset := messages.Preset(name)
			if preset == nil {
				part.fail("presets", "%.40q is none of %s", name, strings.Join(messages.Presets(), ", "))
			}
			b.Mappings = append(b.Mappings, preset...)
		}
		for _, t := range part.list(keyTopics) {
			b.Mappings = append(b.Mappings, t.mapping())
		}
		part.checkBroker(&b)
		all = append(all, b)
	}
	if len(all) > maxBrokers {
		s.fail(keyMQTT, "are %d brokers: a gateway has at most %d", len(all), maxBrokers)
	}
	return all
}

// mapping reads what the messages of a topic mean.
func (s *settings) mapping() messages.Mapping {
	m := messages.Mapping{Topic: s.required("topic"), Device: s.text("device"), Time: s.text("time"), Plain: s.yes("plain")}
	for _, f := range s.list(keyFields) {
		m.Fields = append(m.Fields, messages.Field{Path: f.required("path"), Name: f.text("name"), Unit: f.text("unit"), Drop: f.yes("drop")})
	}
	return m
}

// checkBroker finds what is wrong before the service starts.
func (s *settings) checkBroker(b *BrokerConfig) {
	if u, err := mqtt.ParseBroker(b.URL); err != nil {
		s.fail("broker", "%s", strings.TrimPrefix(err.Error(), "mqtt: "))
	} else if u.Scheme == "mqtt" && !isLoopback(u.Host) && !b.Plaintext {
		s.fail("broker", "%s goes beyond this machine without TLS: use mqtts://, or set plaintext: true where the line is your own", b.URL)
	} else if u.Scheme == "mqtt" && (b.CAFile != "" || b.CertFile != "") {
		s.fail("broker", "%s has no TLS, and ca_file or certificate_file are given: use mqtts://", b.URL)
	}
	if (b.CertFile == "") != (b.KeyFile == "") {
		s.fail("certificate_file", "goes with key_file")
	}
	if (b.Username == "") != (b.PasswordFile == "") {
		s.fail("username", "goes with password_file")
	}
	if b.Version != "" && b.Version != mqtt.Version5 && b.Version != mqtt.Version311 {
		s.fail("version", "%.20q is neither %s nor %s", b.Version, mqtt.Version5, mqtt.Version311)
	} else if _, err := b.source("checked").make(nil, nil); err != nil && b.reads() {
		s.fail(keyTopics, "%s", strings.TrimPrefix(err.Error(), "mqtt: "))
	}
}

// reads says whether readings are taken from it; from one that only carries alerts none are.
func (b *BrokerConfig) reads() bool { return len(b.Mappings)+len(b.Frames) > 0 }

// brokerSource is what makes a source of a broker.
type brokerSource mqtt.Config

// source is a broker's source but for its secrets; id is its client identifier where
// none is configured.
func (b *BrokerConfig) source(id string) brokerSource {
	if b.ClientID != "" {
		id = b.ClientID
	}
	return brokerSource{
		Name: "mqtt-" + b.Name, Broker: b.URL, Version: b.Version, ClientID: id, Username: b.Username,
		Mappings: slices.Clone(b.Mappings), Topics: b.Frames,
	}
}

func (c brokerSource) make(password []byte, t *tls.Config) (*mqtt.Source, error) {
	c.Password, c.TLS = password, t
	return mqtt.New(mqtt.Config(c))
}

// brokerLogin is what a broker's configuration names files for.
type brokerLogin struct {
	password []byte
	tls      *tls.Config
}

// readBrokers reads the brokers' passwords, certificates and keys.
func (c *Config) readBrokers() ([]brokerLogin, error) {
	var all []brokerLogin
	for i := range c.Brokers {
		login, err := c.Brokers[i].login()
		if err != nil {
			return nil, fmt.Errorf("%s: %s: %w", keyMQTT, c.Brokers[i].Name, err)
		}
		all = append(all, login)
	}
	return all, nil
}

func (b *BrokerConfig) login() (l brokerLogin, err error) {
	if b.PasswordFile != "" {
		if l.password, err = readSecretFile(b.PasswordFile); err != nil {
			return l, fmt.Errorf("password_file: %w", err)
		}
	}
	l.tls = &tls.Config{MinVersion: tls.VersionTLS12}
	if b.CAFile != "" {
		pem, err := os.ReadFile(b.CAFile)
		if err != nil {
			return l, fmt.Errorf("ca_file: %w", err)
		}
		if l.tls.RootCAs = x509.NewCertPool(); !l.tls.RootCAs.AppendCertsFromPEM(pem) {
			return l, fmt.Errorf("ca_file: %s has no certificate in PEM", b.CAFile)
		}
	}
	if b.CertFile != "" {
		if err := ownerOnly(b.KeyFile); err != nil {
			return l, fmt.Errorf("key_file: %w", err)
		}
		pair, err := tls.LoadX509KeyPair(b.CertFile, b.KeyFile)
		if err != nil {
			return l, fmt.Errorf("certificate_file: %w", err)
		}
		l.tls.Certificates = []tls.Certificate{pair}
	}
	return l, nil
}

// makeBrokers makes the sources of the configured brokers. A client identifier that is
// not configured is this site's ledger's, so that no other site has it.
func (s *service) makeBrokers() error {
	for i := range s.cfg.Brokers {
		b := &s.cfg.Brokers[i]
		if !b.reads() {
			continue
		}
		id := sha256.Sum256([]byte(s.ledgers[0].store.Ledger().String() + "/" + b.Name))
		source, err := b.source(fmt.Sprintf("cairn-%x", id[:8])).make(s.brokers[i].password, s.brokers[i].tls)
		if err != nil {
			return err
		}
		s.sources = append(s.sources, source)
		s.live.sources = append(s.live.sources, "mqtt "+b.URL)
	}
	return nil
}
