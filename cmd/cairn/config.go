package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"github.com/spf13/viper"

	"cairn/ingest/alert"
)

// Names in the gateway's folder.
const (
	configFile   = "cairn.yaml"
	keyringFile  = "keyring.cairn"
	identityFile = "identity.age-key"
	dataDir      = "data"
	socketFile   = "cairn.sock"
	lockFile     = "cairn.lock"
)

// Limits of storage.pad, in bytes.
const (
	minPad = 64
	maxPad = 1 << 20
)

// Config is what the file, the environment and the flags say, checked. Paths
// are absolute, or relative to the working directory if Dir is.
type Config struct {
	Dir    string        // the gateway's folder
	Window time.Duration // whole seconds, divides a quarter hour

	UDPListen        string  // host:port; "": no UDP
	UDPRate          float64 // datagrams a second of one sender; 0: no limit
	UDPReceiveBuffer int     // bytes
	Lines            []LinesConfig
	Senders          []SenderConfig   // who may post over HTTP
	Brokers          []BrokerConfig   // of MQTT
	Receivers        []ReceiverConfig // of alerts
	Alerts           []alert.Rule

	HTTPListen    string // host:port; "": no HTTP
	Console       bool   // serve it at HTTPListen
	HTTPTokenFile string // "": no token, loopback only
	HTTPCertFile  string // with HTTPKeyFile: HTTPS
	HTTPKeyFile   string
	HTTPProxy     bool // a proxy ends TLS: HTTP is taken from beyond loopback

	PassphraseFile string // at most one of the two; neither, and no Credential: ask on the terminal
	IdentityFile   string
	Credential     string // name of a systemd credential; with it neither of the two

	DropAfter   time.Duration // what is older and mirrors hold is dropped; 0: nothing
	DropMirrors int           // how many must hold it

	MinFree uint64 // bytes
	Pad     int    // bytes: what leaves the site has a multiple of them

	Clock        string            // auto or trusted
	Compartments []CompartmentRule // the first one that fits decides

	IPFS IPFSConfig

	Ledgers []LedgerConfig // the default one first

	LogFormat string // auto, json, text
	LogLevel  string // debug, info, warn, error
}

// LinesConfig is one hub whose text lines are read.
type LinesConfig struct {
	Path      string // serial device, file, pipe, or "-" for standard input
	Baud      int    // of a serial device
	HubDevice uint32 // number of the text device for the hub's own status; 0: leave it aside
	HubLedger string // that device's ledger
	Answer    bool   // answer the prompt of the hub's command line
}

// path returns a file's path in the gateway's folder.
func (c *Config) path(name string) string { return filepath.Join(c.Dir, name) }

// loadConfig reads DIR/cairn.yaml, the environment and those flags that were
// given, each stronger than the one before. It returns all that is wrong in one
// error, and the environment's names are the process's own.
func loadConfig(dir string, flags *pflag.FlagSet, environ []string) (*Config, error) {
	return readConfig(dir, flags, environ, (*Config).findLedgers)
}

// readConfig is loadConfig with other looks at the folder.
func readConfig(dir string, flags *pflag.FlagSet, environ []string, look func(*Config, *settings)) (*Config, error) {
	v := viper.New()
	for _, o := range options {
		v.SetDefault(o.key, o.def)
		names := []string{o.key, o.env()}
		if o.key == "keyring.passphrase_file" {
			names = append(names, envPassphrase)
		}
		if err := v.BindEnv(names...); err != nil {
			return nil, fmt.Errorf("read configuration: %w", err)
		}
		if flags != nil {
			if f := flags.Lookup(o.flag()); f != nil {
				if err := v.BindPFlag(o.key, f); err != nil {
					return nil, fmt.Errorf("read configuration: %w", err)
				}
			}
		}
	}
	v.AllowEmptyEnv(true)
	v.SetConfigFile(filepath.Join(dir, configFile))
	if err := v.ReadInConfig(); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%s has no %s: make one with `cairn init %s`, or name the folder with --dir or %s", dir, configFile, dir, envDir)
		}
		return nil, fmt.Errorf("read %s: %w", filepath.Join(dir, configFile), err)
	}
	s := &settings{get: v.Get}
	s.known(v.AllKeys(), environ)
	c := s.config(dir)
	c.contradictions(s)
	if look != nil {
		look(c, s)
	}
	if len(s.errs) > 0 {
		return nil, configError{filepath.Join(dir, configFile), s.errs}
	}
	return c, nil
}

// configError is all that is wrong with a configuration, a line for each.
type configError struct {
	file string
	errs []error
}

func (e configError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, with the environment and flags, has %d %s:", e.file, len(e.errs), plural(len(e.errs), "error"))
	for _, err := range e.errs {
		fmt.Fprintf(&b, "\n  %v", err)
	}
	return b.String()
}

func plural(n int, word string) string {
	if n == 1 {
		return word
	}
	return word + "s"
}

// known refuses keys and variables that mean nothing: a misspelt limit would
// otherwise be no limit.
func (s *settings) known(keys, environ []string) {
	slices.Sort(keys)
	for _, key := range keys {
		if !isOption(key) {
			s.fail(key, "unknown key")
		}
	}
	for _, e := range environ {
		name, _, _ := strings.Cut(e, "=")
		if strings.HasPrefix(name, envPrefix) && !isEnv(name) {
			s.fail(name, "unknown environment variable")
		}
	}
}

func (s *settings) config(dir string) *Config {
	c := &Config{
		Dir:              dir,
		Window:           s.duration("window"),
		UDPListen:        s.address("udp.listen"),
		UDPRate:          float64(s.number("udp.rate", 1e6)),
		UDPReceiveBuffer: int(s.size("udp.receive_buffer", 1<<30)),
		HTTPListen:       s.address("http.listen"),
		Console:          s.yes("http.console"),
		HTTPTokenFile:    within(dir, s.text("http.token_file")),
		HTTPCertFile:     within(dir, s.text("http.certificate_file")),
		HTTPKeyFile:      within(dir, s.text("http.key_file")),
		HTTPProxy:        s.yes(keyBehindProxy),
		PassphraseFile:   within(dir, s.text("keyring.passphrase_file")),
		IdentityFile:     within(dir, s.text("keyring.identity_file")),
		Credential:       s.text("keyring.credential"),
		MinFree:          s.size("storage.min_free", 1<<50),
		DropAfter:        s.age("drop.after"),
		DropMirrors:      int(s.number("drop.mirrors", maxMirrors)),
		Pad:              int(s.size("storage.pad", maxPad)),
		Clock:            s.oneOf("clock", clockAuto, clockTrusted),
		Compartments:     s.compartments(keyCompartments),
		Senders:          s.senders(dir),
		Brokers:          s.brokers(dir),
		Receivers:        s.receivers(dir),
		Alerts:           s.alerts(),
		IPFS:             s.ipfs(),
		LogFormat:        s.oneOf("log.format", "auto", "json", "text"),
		LogLevel:         s.oneOf("log.level", "debug", "info", "warn", "error"),
	}
	for _, part := range s.list(keyLines) {
		c.Lines = append(c.Lines, part.lines(dir))
	}
	site := LedgerConfig{Name: siteLedger, Dir: dir, Quorum: s.text("quorum"), Mirrors: s.mirrors(dir)}
	for _, part := range s.list(keyAnchors) {
		site.Anchors = append(site.Anchors, part.anchor(dir))
	}
	s.checkQuorum(site.Quorum, len(site.Anchors))
	s.witnesses(&site)
	c.Ledgers = []LedgerConfig{site}
	for _, part := range s.list(keyLedgers) {
		c.Ledgers = append(c.Ledgers, part.ledger(dir))
	}
	return c
}

// within makes a path of the file relative to the gateway's folder, or to that of the
// credentials.
func within(dir, path string) string {
	if name, ok := strings.CutPrefix(path, credentialPrefix); ok {
		return credentialPath(name)
	}
	if path == "" || path == "-" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(dir, path)
}

// contradictions are what no single setting shows.
func (c *Config) contradictions(s *settings) {
	c.knownReceivers(s)
	if w := c.Window; w >= 0 && (w < time.Second || w%time.Second != 0 || 15*time.Minute%w != 0) {
		s.fail("window", "%v does not divide 15 minutes in whole seconds", w)
	}
	if c.PassphraseFile != "" && c.IdentityFile != "" {
		s.fail("keyring", "both passphrase_file and identity_file: the keyring opens with one of them, leave out the other")
	}
	if c.Credential != "" && (c.PassphraseFile != "" || c.IdentityFile != "") {
		s.fail("keyring", "credential beside passphrase_file or identity_file: the keyring opens with one of them, leave out the others")
	}
	if strings.HasPrefix(c.IdentityFile, credentialPrefix) || inCredentials(c.IdentityFile) {
		s.fail("keyring.identity_file", "is a credential: name it in keyring.credential, without %q", credentialPrefix)
	}
	if strings.ContainsAny(c.Credential, "/\\") || c.Credential == "." || c.Credential == ".." {
		s.fail("keyring.credential", "%.40q is a path: give the name that the unit's LoadCredential has for it", c.Credential)
	}
	if c.Pad < minPad {
		s.fail("storage.pad", "%d bytes hide no size: at least %d", c.Pad, minPad)
	}
	c.checkHTTP(s)
	c.checkDrop(s)
	stdin := 0
	for _, l := range c.Lines {
		if l.Path == "-" {
			stdin++
		}
	}
	if stdin > 1 {
		s.fail(keyLines, "standard input is read %d times", stdin)
	}
	c.checkLedgers(s)
	for i, l := range c.Lines {
		if _, err := c.ledger(l.HubLedger); err != nil {
			s.fail(keyLines, "[%d].hub_device: there is no ledger %s in %s", i, l.HubLedger, keyLedgers)
		}
	}
}

// checkHTTP refuses an HTTP server that others can read without a token, or whose
// tokens and readings others on the way can read.
func (c *Config) checkHTTP(s *settings) {
	if c.HTTPListen != "" && isLoopback(c.HTTPListen) && c.HTTPProxy && c.HTTPTokenFile == "" {
		s.fail(keyBehindProxy, "the proxy passes on what comes from beyond this machine: set http.token_file")
	}
	if c.HTTPListen != "" && !isLoopback(c.HTTPListen) {
		if c.HTTPTokenFile == "" {
			s.fail("http.listen", "%s can be reached from beyond this machine: set http.token_file, or listen on 127.0.0.1", c.HTTPListen)
		}
		if c.HTTPCertFile == "" && !c.HTTPProxy {
			s.fail("http.listen", "%s can be reached from beyond this machine, where tokens and readings would pass in the clear: set http.certificate_file and http.key_file, or %s if a proxy ends TLS", c.HTTPListen, keyBehindProxy)
		}
	}
	if (c.HTTPCertFile == "") != (c.HTTPKeyFile == "") {
		s.fail("http.certificate_file", "goes with http.key_file")
	}
	if c.HTTPCertFile != "" && c.HTTPProxy {
		s.fail(keyBehindProxy, "and http.certificate_file: TLS ends in one place, leave out the other")
	}
	for i := range c.Senders {
		if c.Senders[i].CertFile != "" && c.HTTPCertFile == "" {
			s.fail(keySenders, "%s has a certificate_file, which takes HTTPS: set http.certificate_file and http.key_file", c.Senders[i].Name)
		}
	}
	if len(c.Senders) > 0 && c.HTTPListen == "" {
		s.fail(keySenders, "post over HTTP: set http.listen")
	}
}

// isLoopback reports whether only this machine can reach an address.
func isLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}

// readToken reads the bearer token of the HTTP server.
func readToken(path string) (string, error) {
	if path == "" {
		return "", nil
	}
	b, err := readSecretFile(path)
	if err != nil {
		return "", fmt.Errorf("http.token_file: %w", err)
	}
	if len(b) < 16 {
		return "", fmt.Errorf("http.token_file: %s holds %d characters, want at least 16", path, len(b))
	}
	return string(b), nil
}

// readSecretFile returns the first line of a file that only its owner may read.
func readSecretFile(path string) ([]byte, error) {
	if err := ownerOnly(path); err != nil {
		return nil, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Size() > 4096 {
		return nil, fmt.Errorf("%s has %d bytes: too many for a secret", path, info.Size())
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	line, _, _ := strings.Cut(string(b), "\n")
	line = strings.TrimSuffix(line, "\r")
	if line == "" {
		return nil, fmt.Errorf("%s has an empty first line", path)
	}
	return []byte(line), nil
}
