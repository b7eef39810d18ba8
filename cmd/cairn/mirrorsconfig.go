package main

import (
	"fmt"
	"net/url"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"

	"cairn/store/mirror"
)

// MirrorConfig is a mirror that is asked what it holds before the site drops it.
type MirrorConfig struct {
	Name      string // stands in the ledger's statement
	URL       string // of the ledger there
	TokenFile string // with the token that it wants for everything; "": none
	key       note.Verifier
}

// maxMirrors bounds the mirrors of one ledger.
const maxMirrors = 16

// mirrors reads a ledger's mirrors.
func (s *settings) mirrors(dir string) (all []MirrorConfig) {
	for _, part := range s.list(keyMirrors) {
		all = append(all, part.mirror(dir))
	}
	if len(all) > maxMirrors {
		s.fail(keyMirrors, "are %d, at most %d", len(all), maxMirrors)
	}
	for i, m := range all {
		for _, o := range all[:i] {
			switch {
			case m.Name != "" && m.Name == o.Name:
				s.fail(keyMirrors, "two are called %s", m.Name)
			case m.key != nil && o.key != nil && m.key.KeyHash() == o.key.KeyHash() && m.key.Name() == o.key.Name():
				s.fail(keyMirrors, "%s and %s have one and the same key: they are one mirror", o.Name, m.Name)
			}
		}
	}
	return all
}

func (s *settings) mirror(dir string) MirrorConfig {
	m := MirrorConfig{Name: s.required("name"), URL: strings.TrimSuffix(s.required("url"), "/"), TokenFile: within(dir, s.text("token_file"))}
	if m.Name != "" && !witnessName.MatchString(m.Name) {
		s.fail("name", "%.40q is no mirror's name: a lower case letter, then up to 31 letters, digits, dots and hyphens", m.Name)
	}
	if m.URL != "" {
		u, err := url.Parse(m.URL)
		if _, serr := mirror.HTTP(m.URL, "", nil); err == nil {
			err = serr
		}
		if err != nil {
			s.fail("url", "%v", err)
		} else if u.Scheme == "http" && !isLoopback(hostPort(u)) {
			s.fail("url", "%s is not on this machine and has no TLS: what goes there can be read and changed on the way, and the token with it: use https", u.Host)
		}
	}
	if key := s.required("key"); key != "" {
		var err error
		if m.key, err = note.NewVerifier(key); err != nil {
			s.fail("key", "%.100q is no mirror's key: `cairn mirror status --json` there says it as \"key\"", key)
		}
	}
	return m
}

func hostPort(u *url.URL) string {
	if u.Port() == "" {
		return u.Host + ":0"
	}
	return u.Host
}

// minDropAge leaves time for sealing, anchors and mirrors.
const minDropAge = 24 * time.Hour

// checkDrop checks what is dropped when.
func (c *Config) checkDrop(s *settings) {
	if c.DropMirrors == 0 {
		s.fail("drop.mirrors", "is 0: what nobody holds is not dropped")
	}
	if c.DropAfter <= 0 {
		return
	}
	if c.DropAfter < minDropAge {
		s.fail("drop.after", "%v is too soon: at least %v", c.DropAfter, minDropAge)
	}
	some := false
	for i := range c.Ledgers {
		l := &c.Ledgers[i]
		some = some || len(l.Mirrors) > 0
		if n := len(l.Mirrors); n > 0 && n < c.DropMirrors {
			s.fail("drop.mirrors", "%d are wanted, and the ledger %s has %d", c.DropMirrors, l.Name, n)
		}
	}
	if !some {
		s.fail("drop.after", "is set, and no mirrors are configured")
	}
}

// source is the mirror at its address.
func (m *MirrorConfig) source() (mirror.Source, error) {
	token := ""
	if m.TokenFile != "" {
		b, err := readSecretFile(m.TokenFile)
		if err != nil {
			return nil, fmt.Errorf("mirror %s: token_file: %w", m.Name, err)
		}
		token = string(b)
	}
	return mirror.HTTP(m.URL, token, nil)
}
