package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/mail"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"cairn/ingest/alert"
	"cairn/ingest/mqtt"
	"cairn/ingest/reading"
	"cairn/merkle/ledger"
)

const (
	maxReceivers = 64
	maxArguments = 64
	// Keys that say what kind of receiver it is.
	keyWebhook = "webhook"
	keyEmail   = "email"
	keyNtfy    = "ntfy"
	keyTopic   = "topic"
	keyCommand = "command"
)

// ReceiverConfig is one who is told of alerts, in one of the ways of Kind.
type ReceiverConfig struct {
	Name string
	Kind string // keyWebhook, keyEmail, keyNtfy, keyMQTT or keyCommand

	URL        string   // of a webhook, or of a topic of ntfy
	SecretFile string   // of a webhook; a topic's token
	To         []string // addresses of mail
	SMTP       *url.URL // smtp (STARTTLS), smtps, or smtp+plain
	From       string
	Username   string
	Password   string // the file's name
	CAFile     string
	Broker     string // name of a broker of the list mqtt
	Topic      string
	Argv       []string
}

// receivers reads the list of those who are told of alerts.
func (s *settings) receivers(dir string) []ReceiverConfig {
	var all []ReceiverConfig
	names := map[string]bool{}
	for _, part := range s.list(keyReceivers) {
		r := part.receiver(dir)
		if names[r.Name] {
			part.fail("name", "%.40q is there twice", r.Name)
		}
		names[r.Name] = true
		all = append(all, r)
	}
	if len(all) > maxReceivers {
		s.fail(keyReceivers, "are %d: a gateway tells at most %d", len(all), maxReceivers)
	}
	return all
}

func (s *settings) receiver(dir string) ReceiverConfig {
	r := ReceiverConfig{Name: s.required("name")}
	if r.Name != "" && !ledger.ValidParty(r.Name) {
		s.fail("name", "%.40q has over %d bytes, or control characters", r.Name, alert.MaxName)
	}
	for _, kind := range []string{keyWebhook, keyEmail, keyNtfy, keyMQTT, keyCommand} {
		if s.get(kind) == nil {
			continue
		}
		if r.Kind != "" {
			s.fail(kind, "goes not with %s: name a receiver for each", r.Kind)
		}
		r.Kind = kind
	}
	switch r.Kind {
	case keyWebhook:
		r.URL, r.SecretFile = s.endpoint(keyWebhook), within(dir, s.required("secret_file"))
	case keyNtfy:
		r.URL, r.SecretFile = s.endpoint(keyNtfy), within(dir, s.text("token_file"))
	case keyEmail:
		s.mail(&r, dir)
	case keyMQTT:
		r.Broker, r.Topic = s.required(keyMQTT), s.required(keyTopic)
		if strings.ContainsAny(r.Topic, "+#\x00") {
			s.fail(keyTopic, "%.40q is no topic to publish at: it has + or #", r.Topic)
		}
	case keyCommand:
		if r.Argv = s.texts(keyCommand); len(r.Argv) == 0 || len(r.Argv) > maxArguments {
			s.fail(keyCommand, "is a list of a program's path and its arguments, of at most %d", maxArguments)
		} else if !strings.HasPrefix(r.Argv[0], "/") {
			s.fail(keyCommand, "%.80q: name the program by its whole path", r.Argv[0])
		}
	default:
		s.fail(keyWebhook, "is missing: a receiver has one of webhook, email, ntfy, mqtt and command")
	}
	return r
}

// endpoint is a URL to which notices are posted.
func (s *settings) endpoint(key string) string {
	text := s.text(key)
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
		s.fail(key, "is no URL such as https://example.com/alerts")
	case u.Scheme == "http" && !isLoopback(withPort(u, "80")):
		s.fail(key, "%s is beyond this machine: use https://", u.Hostname())
	case u.User != nil:
		s.fail(key, "names a user or a password: what is secret goes into a file")
	}
	return text
}

func withPort(u *url.URL, port string) string {
	if u.Port() != "" {
		port = u.Port()
	}
	return net.JoinHostPort(u.Hostname(), port)
}

// smtpPorts are the usual ones.
var smtpPorts = map[string]string{"smtp": "587", "smtps": "465", "smtp+plain": "25"}

func (s *settings) mail(r *ReceiverConfig, dir string) {
	r.To, r.From = s.texts(keyEmail), s.required("from")
	if len(r.To) == 0 {
		s.fail(keyEmail, "is a list of addresses")
	}
	for _, a := range append(slices.Clone(r.To), r.From) {
		if _, err := mail.ParseAddress(a); err != nil && a != "" {
			s.fail(keyEmail, "%.80q is no address such as chef@example.com", a)
		}
	}
	r.Username, r.Password, r.CAFile = s.text("username"), within(dir, s.text("password_file")), within(dir, s.text("ca_file"))
	if (r.Username == "") != (r.Password == "") {
		s.fail("username", "goes with password_file")
	}
	u, err := url.Parse(s.required("smtp"))
	if err != nil || smtpPorts[u.Scheme] == "" || u.Hostname() == "" || u.User != nil || u.Path != "" {
		s.fail("smtp", "is no server such as smtp://mail.example.com (with STARTTLS) or smtps://mail.example.com")
		return
	}
	if u.Host = withPort(u, smtpPorts[u.Scheme]); u.Scheme == "smtp+plain" && !isLoopback(u.Host) {
		s.fail("smtp", "%s is beyond this machine: use smtp:// or smtps://", u.Hostname())
	}
	r.SMTP = u
}

// alerts reads the rules of alerts.
func (s *settings) alerts() []alert.Rule {
	var all []alert.Rule
	names := map[string]bool{}
	for _, part := range s.list(keyAlerts) {
		r := part.rule()
		if err := r.Check(); err != nil && r.Name != "" {
			key, text, _ := strings.Cut(err.Error(), ": ")
			part.fail(key, "%s", text)
		}
		if names[r.Name] {
			part.fail("name", "%.40q is there twice", r.Name)
		}
		names[r.Name] = true
		all = append(all, r)
	}
	if len(all) > alert.MaxRules {
		s.fail(keyAlerts, "are %d: a gateway has at most %d", len(all), alert.MaxRules)
	}
	return all
}

func (s *settings) rule() alert.Rule {
	r := alert.Rule{
		Name: s.required("name"), Devices: s.texts("devices"), Places: s.texts("places"), Things: s.texts("things"), To: s.texts("to"), Field: s.text("field"),
		Above: s.value("above"), Below: s.value("below"), Clear: s.value("clear"), For: max(0, s.duration("for")),
		Rises: s.value("rises"), Falls: s.value("falls"), Within: max(0, s.duration("within")),
		Silence: max(0, s.duration("silence")), On: s.texts("on"), Quiet: max(0, s.duration("quiet")),
	}
	zone := time.Local
	if name := s.text("zone"); name != "" {
		var err error
		if zone, err = time.LoadLocation(name); err != nil {
			s.fail("zone", "%.40q is no time zone such as Europe/Zurich", name)
		}
	}
	var err error
	if r.Hours, err = alert.ParseHours(s.texts("hours"), zone); err != nil {
		s.fail("hours", "%s", err)
	}
	return r
}

// value is a number, or none.
func (s *settings) value(key string) reading.Value {
	t := s.text(key)
	if t == "" {
		return reading.Value{}
	}
	v, err := alert.ParseNumber(t)
	if err != nil {
		s.fail(key, "%s", err)
	}
	return v
}

// knownReceivers finds rules that tell nobody there is, receivers of brokers that are
// not, and brokers for nothing.
func (c *Config) knownReceivers(s *settings) {
	known := map[string]bool{}
	for i, r := range c.Receivers {
		known[r.Name] = true
		if r.Kind == keyMQTT && r.Broker != "" && !slices.ContainsFunc(c.Brokers, func(b BrokerConfig) bool { return b.Name == r.Broker }) {
			s.fail(fmt.Sprintf("%s[%d].%s", keyReceivers, i, keyMQTT), "%.40q is no broker of the list mqtt", r.Broker)
		}
	}
	for i, b := range c.Brokers {
		if !b.reads() && !slices.ContainsFunc(c.Receivers, func(r ReceiverConfig) bool { return r.Kind == keyMQTT && r.Broker == b.Name }) {
			s.fail(fmt.Sprintf("%s[%d].%s", keyMQTT, i, keyTopics), "no topic is named, and no receiver goes by it")
		}
	}
	for i, r := range c.Alerts {
		for _, to := range r.To {
			if !known[to] {
				s.fail(fmt.Sprintf("%s[%d].to", keyAlerts, i), "%.40q is none of the receivers", to)
			}
		}
	}
}

// readReceivers reads the receivers' secrets.
func (c *Config) readReceivers(brokers []brokerLogin) ([]alert.Receiver, error) {
	var all []alert.Receiver
	for i := range c.Receivers {
		r := &c.Receivers[i]
		n, err := r.notifier(c, brokers)
		if err != nil {
			return nil, fmt.Errorf("%s: %s: %w", keyReceivers, r.Name, err)
		}
		all = append(all, alert.Receiver{Name: r.Name, Notifier: n})
	}
	return all, nil
}

func (r *ReceiverConfig) notifier(c *Config, brokers []brokerLogin) (alert.Notifier, error) {
	switch r.Kind {
	case keyWebhook:
		secret, err := readSecretFile(r.SecretFile)
		if err == nil && len(secret) < 16 {
			err = fmt.Errorf("%s holds %d characters, want at least 16", r.SecretFile, len(secret))
		}
		return &alert.Webhook{URL: r.URL, Secret: secret}, wrapKey("secret_file", err)
	case keyNtfy:
		if r.SecretFile == "" {
			return &alert.Ntfy{URL: r.URL}, nil
		}
		token, err := readSecretFile(r.SecretFile)
		return &alert.Ntfy{URL: r.URL, Token: string(token)}, wrapKey("token_file", err)
	case keyEmail:
		return r.email()
	case keyMQTT:
		for i := range c.Brokers {
			if c.Brokers[i].Name == r.Broker {
				cfg := c.Brokers[i].source("")
				if cfg.ClientID != "" { // the source has that one
					cfg.ClientID += "-" + r.Name
				}
				cfg.Password, cfg.TLS = brokers[i].password, brokers[i].tls
				return mqttNotifier{mqtt.Config(cfg), r.Topic}, nil
			}
		}
		return nil, errors.New("its broker is not there")
	}
	if _, err := os.Stat(r.Argv[0]); err != nil {
		return nil, fmt.Errorf("%s: %w", keyCommand, err)
	}
	return &alert.Command{Argv: r.Argv, Path: os.Getenv("PATH")}, nil
}

func wrapKey(key string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", key, err)
}

func (r *ReceiverConfig) email() (alert.Notifier, error) {
	port, _ := strconv.Atoi(r.SMTP.Port())
	e := &alert.Email{Host: r.SMTP.Hostname(), Port: port, From: r.From, To: r.To, Username: r.Username, TLS: alert.TLSStart}
	switch r.SMTP.Scheme {
	case "smtps":
		e.TLS = alert.TLSAlways
	case "smtp+plain":
		e.TLS = alert.TLSNever
	}
	if r.Password != "" {
		b, err := readSecretFile(r.Password)
		if err != nil {
			return nil, wrapKey("password_file", err)
		}
		e.Password = string(b)
	}
	if r.CAFile != "" {
		pem, err := os.ReadFile(r.CAFile)
		if err != nil {
			return nil, wrapKey("ca_file", err)
		}
		e.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12, ServerName: e.Host, RootCAs: x509.NewCertPool()}
		if !e.TLSConfig.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("ca_file: %s has no certificate in PEM", r.CAFile)
		}
	}
	return e, nil
}
