package main

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path"
	"strings"

	"cairn/ingest"
)

// sendersPath is where messages are posted, each kind below it.
const sendersPath = "/ingest/"

// maxSenders is how many may be configured.
const maxSenders = 1024

// SenderConfig is one who may post messages over HTTP.
type SenderConfig struct {
	Name      string
	TokenFile string   // "": none
	CertFile  string   // its client certificates, in PEM; "": none, which takes a token
	Devices   []string // globs of the addresses that it speaks for; none: all
	Rate      uint64   // messages a second; 0: no limit
}

// senders reads the list of those who may post.
func (s *settings) senders(dir string) []SenderConfig {
	var all []SenderConfig
	names := map[string]bool{}
	for _, part := range s.list(keySenders) {
		x := SenderConfig{
			Name: part.required("name"), TokenFile: within(dir, part.text("token_file")), CertFile: within(dir, part.text("certificate_file")),
			Devices: part.texts("devices"), Rate: part.number("rate", 1e6),
		}
		if names[x.Name] {
			part.fail("name", "%.40q is there twice", x.Name)
		}
		names[x.Name] = true
		if x.TokenFile == "" && x.CertFile == "" {
			part.fail("token_file", "is missing, and so is certificate_file: a sender has one of them at least")
		}
		for _, glob := range x.Devices {
			if _, err := path.Match(glob, ""); err != nil || glob == "" {
				part.fail("devices", "%.40q is no pattern such as fridge-*", glob)
			}
		}
		all = append(all, x)
	}
	if len(all) > maxSenders {
		s.fail(keySenders, "are %d: a gateway has at most %d", len(all), maxSenders)
	}
	return all
}

// readSenders reads the tokens and certificates of those who may post. reader is
// the token of http.token_file, "" for none.
func (c *Config) readSenders(reader string) ([]ingest.Sender, error) {
	var all []ingest.Sender
	tokens, pins := map[[sha256.Size]byte]string{}, map[[sha256.Size]byte]string{}
	for _, x := range c.Senders {
		sender := ingest.Sender{Name: x.Name, Devices: x.Devices, Rate: float64(x.Rate)}
		if x.CertFile != "" {
			var err error
			if sender.Certificates, err = readPins(x.CertFile); err != nil {
				return nil, fmt.Errorf("senders: %s: certificate_file: %w", x.Name, err)
			}
			for _, pin := range sender.Certificates {
				if other, twice := pins[pin]; twice {
					return nil, fmt.Errorf("senders: %s and %s have the same certificate: give each its own, so that it is known who sent what", other, x.Name)
				}
				pins[pin] = x.Name
			}
		}
		if x.TokenFile == "" {
			all = append(all, sender)
			continue
		}
		token, err := readToken(x.TokenFile)
		if err != nil {
			return nil, fmt.Errorf("senders: %s: %s", x.Name, strings.TrimPrefix(err.Error(), "http.token_file: "))
		}
		sum := sha256.Sum256([]byte(token))
		if other, twice := tokens[sum]; twice {
			return nil, fmt.Errorf("senders: %s and %s have the same token: give each its own, so that it is known who sent what", other, x.Name)
		}
		tokens[sum] = x.Name
		if token == reader {
			return nil, fmt.Errorf("senders: %s has the token of http.token_file, which reads: give it another", x.Name)
		}
		sender.Token = sum
		all = append(all, sender)
	}
	return all, nil
}

// readPins reads the certificates of one who may post, as what they are known by.
func readPins(path string) (all [][sha256.Size]byte, err error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	for {
		var block *pem.Block
		if block, b = pem.Decode(b); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("%s holds a %s: give the certificate alone, the key stays with the sender", path, block.Type)
		}
		if _, err := x509.ParseCertificate(block.Bytes); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		all = append(all, sha256.Sum256(block.Bytes))
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%s has no certificate in PEM", path)
	}
	return all, nil
}

// makeSenders makes the source of posted messages, if anybody may post.
func (s *service) makeSenders() error {
	if len(s.senders) == 0 {
		return nil
	}
	posted, err := ingest.NewHTTP(ingest.HTTPConfig{Senders: s.senders, Knows: s.live.registry.Knows, Receipt: s.receiptFor})
	if err != nil {
		return err
	}
	s.live.posted = posted
	s.sources = append(s.sources, posted)
	s.live.sources = append(s.live.sources, "http senders")
	return nil
}

// errNoSenders answers who posts where nobody may.
var errNoSenders = errors.New("nobody may post readings here: name senders in cairn.yaml")

// serveIngest takes posted messages, which bring tokens of their own.
func (s *httpServer) serveIngest(w http.ResponseWriter, r *http.Request) {
	switch {
	case s.g.live.posted == nil:
		http.Error(w, errNoSenders.Error(), http.StatusNotFound)
	case r.Method != http.MethodPost:
		w.Header().Set("Allow", http.MethodPost)
		http.Error(w, "post readings here", http.StatusMethodNotAllowed)
	default:
		s.g.live.posted.ServeHTTP(w, r)
	}
}
