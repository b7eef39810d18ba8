package main

import (
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"cairn/store/mirror"
)

// settings reads values by key and gathers what is wrong with them, so that an
// operator is told of everything at once.
type settings struct {
	get    func(key string) any
	prefix string // of keys in errors, for the parts of a list
	errs   []error
	up     *settings // whose errs are used, for the parts of a list
}

func (s *settings) fail(key, format string, a ...any) {
	if s.up != nil {
		s.up.fail(s.prefix+key, format, a...)
		return
	}
	s.errs = append(s.errs, fmt.Errorf("%s: %s", key, fmt.Sprintf(format, a...)))
}

func (s *settings) text(key string) string {
	switch v := s.get(key).(type) {
	case nil:
		return ""
	case string:
		return strings.TrimSpace(v)
	case int, int64, uint64, float64, bool:
		return fmt.Sprint(v)
	default:
		s.fail(key, "a list or a section stands where a value belongs")
		return ""
	}
}

// required is a text that must be there.
func (s *settings) required(key string) string {
	t := s.text(key)
	if t == "" {
		s.fail(key, "is missing")
	}
	return t
}

// duration is 0 for nothing and below 0 for what is no duration.
func (s *settings) duration(key string) time.Duration {
	t := s.text(key)
	if t == "" {
		return 0
	}
	d, err := time.ParseDuration(t)
	if err != nil || d < 0 {
		s.fail(key, "%q is no duration such as 90s, 10m or 2h", t)
		return -1
	}
	return d
}

// age is a duration, or a number of days.
func (s *settings) age(key string) time.Duration {
	t := s.text(key)
	if t == "" {
		return 0
	}
	d, err := mirror.ParseAge(t)
	if err != nil {
		s.fail(key, "%v", err)
		return -1
	}
	return d
}

func (s *settings) number(key string, most uint64) uint64 {
	t := s.text(key)
	if t == "" {
		return 0
	}
	n, err := strconv.ParseUint(t, 10, 64)
	if err != nil || n > most {
		s.fail(key, "%q is no whole number from 0 to %d", t, most)
		return 0
	}
	return n
}

func (s *settings) yes(key string) bool {
	t := s.text(key)
	if t == "" {
		return false
	}
	b, err := strconv.ParseBool(t)
	if err != nil {
		s.fail(key, "%q is neither true nor false", t)
	}
	return b
}

var sizeUnits = map[string]uint64{"": 1, "B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}

func (s *settings) size(key string, most uint64) uint64 {
	t := s.text(key)
	digits := strings.TrimRight(t, "BKMGTi ")
	unit, known := sizeUnits[strings.TrimSpace(t[len(digits):])]
	n, err := strconv.ParseUint(digits, 10, 64)
	if err != nil || !known || n > most/unit {
		s.fail(key, "%q is no size such as 512KiB or 64MiB, of at most %d bytes", t, most)
		return 0
	}
	return n * unit
}

// address is host:port, or nothing.
func (s *settings) address(key string) string {
	t := s.text(key)
	if t == "" {
		return ""
	}
	_, port, err := net.SplitHostPort(t)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		s.fail(key, "%q is no address such as 127.0.0.1:9980", t)
	}
	return t
}

func (s *settings) oneOf(key string, words ...string) string {
	t := s.text(key)
	if !slices.Contains(words, t) {
		s.fail(key, "%q is none of %s", t, strings.Join(words, ", "))
	}
	return t
}

// list returns the parts of a list of sections.
func (s *settings) list(key string) []*settings {
	v := s.get(key)
	if v == nil || v == "" {
		return nil
	}
	items, ok := v.([]any)
	if !ok {
		s.fail(key, "is not a list: begin each of its parts with a dash")
		return nil
	}
	parts := make([]*settings, 0, len(items))
	for i, item := range items {
		at := fmt.Sprintf("%s[%d]", key, i)
		section, ok := item.(map[string]any)
		if !ok {
			s.fail(at, "is not a section")
			continue
		}
		parts = append(parts, &settings{prefix: at + ".", up: s, get: func(k string) any { return section[k] }})
		parts[len(parts)-1].only(section, key)
	}
	return parts
}

// partKeys are the keys that a part of each list may have.
var partKeys = map[string][]string{
	keyLines:   {"path", "baud", "hub_device", "answer"},
	keyAnchors: allAnchorKeys(),
	keyLedgers: {"name", "when", "anchors", "quorum", keyMirrors, keyWitnesses, keyWitnessQuorum, keyWitnessOpen},

	keyWitnesses:    {"name", "url", "vkey"},
	keyCompartments: {"name", "when", "device", "fields"},
	keyMirrors:      {"name", "url", "key", "token_file"},
	keySenders:      {"name", "token_file", "certificate_file", "devices", "rate"},
	keyMQTT: {"name", "broker", "version", "client_id", "username", "password_file", "ca_file", "certificate_file", "key_file",
		"plaintext", "presets", "frames", keyTopics},
	keyTopics: {"topic", "device", "time", "plain", keyFields},
	keyFields: {"path", "name", "unit", "drop"},
	keyReceivers: {"name", "webhook", "secret_file", "email", "smtp", "from", "username", "password_file", "ca_file", "ntfy", "token_file",
		"mqtt", "topic", "command"},
	keyAlerts: {"name", "devices", "places", "things", "to", "field", "above", "below", "clear", "for", "rises", "falls", "within", "silence", "on", "quiet", "hours", "zone"},
}

func (s *settings) only(section map[string]any, list string) {
	var unknown []string
	for k := range section {
		if !slices.Contains(partKeys[list], k) {
			unknown = append(unknown, k)
		}
	}
	slices.Sort(unknown)
	for _, k := range unknown {
		s.fail(k, "unknown key")
	}
}

func (s *settings) lines(dir string) LinesConfig {
	l := LinesConfig{
		Path:   within(dir, s.required("path")),
		Baud:   int(s.number("baud", 4_000_000)),
		Answer: s.yes("answer"),
	}
	l.HubLedger, l.HubDevice = s.device("hub_device")
	return l
}

// device is a device's number, or LEDGER/NUMBER where it is not in the default
// ledger.
func (s *settings) device(key string) (in string, number uint32) {
	t := s.text(key)
	if t == "" {
		return siteLedger, 0
	}
	in, digits, ok := strings.Cut(t, "/")
	if !ok {
		in, digits = siteLedger, t
	}
	n, err := strconv.ParseUint(digits, 10, 32)
	if err != nil || n > maxJoined || ok && checkLedgerName(in) != nil {
		s.fail(key, "%.40q is no device's number, nor LEDGER/NUMBER", t)
	}
	return in, uint32(n)
}
