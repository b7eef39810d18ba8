package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

const (
	// siteLedger is the name of the default ledger, which lives in the gateway's
	// folder itself. The others live in ledgersDir/NAME.
	siteLedger = "site"
	ledgersDir = "ledgers"
	// maxLedgers is how many ledgers fit the top byte of intake's device numbers.
	maxLedgers = 256
)

// ledgerName is what further ledgers may be called: it is a folder, a part of
// URLs and a metric's label, and cannot be taken for a ledger's ID.
var ledgerName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,31}$`)

func checkLedgerName(name string) error {
	switch {
	case name == siteLedger:
		return fmt.Errorf("the ledger %q is the default one, in the gateway's own folder", name)
	case !ledgerName.MatchString(name):
		return fmt.Errorf("%.40q is no ledger's name: up to 32 lower case letters, digits and hyphens", name)
	}
	return nil
}

// LedgerConfig is one ledger of the gateway.
type LedgerConfig struct {
	Name    string
	Dir     string  // holds its keyring and its data
	When    []Label // a device with all of these belongs here; none: only one that is sent here by name
	Anchors []AnchorConfig
	Quorum  string // of the routes: any, all, or a number

	Witnesses       []WitnessConfig
	Mirrors         []MirrorConfig // asked before something is dropped
	WitnessQuorum   string         // any, all, or a number
	WitnessFailOpen bool           // a head is anchored also if the witnesses do not cosign it in time

	Unlisted bool // its folder is there, and the configuration does not name it
}

// path returns a file's path in the ledger's folder.
func (l *LedgerConfig) path(name string) string { return filepath.Join(l.Dir, name) }

// prefix begins messages about the ledger: nothing for the default one.
func (l *LedgerConfig) prefix() string {
	if l.Name == siteLedger {
		return ""
	}
	return "ledger " + l.Name + ": "
}

// unborn reports whether the ledger was never started.
func (l *LedgerConfig) unborn() bool {
	entries, err := os.ReadDir(l.path(dataDir))
	return err == nil && len(entries) == 0
}

// Label is what an operator says of a device, such as jurisdiction=ch.
type Label struct{ Key, Value string }

func (l Label) String() string { return l.Key + "=" + l.Value }

var (
	labelKey   = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,31}$`)
	labelValue = regexp.MustCompile(`^[\pL\pN][\pL\pN ._/-]{0,63}$`)
)

func parseLabel(text string) (Label, error) {
	key, value, ok := strings.Cut(text, "=")
	if !ok || !labelKey.MatchString(key) || !labelValue.MatchString(value) {
		return Label{}, fmt.Errorf("%.60q is no label such as jurisdiction=ch", text)
	}
	return Label{key, value}, nil
}

// parseLabels reads labels of one device or one rule: each key at most once.
func parseLabels(texts []string) ([]Label, error) {
	var all []Label
	for _, t := range texts {
		l, err := parseLabel(t)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(all, func(o Label) bool { return o.Key == l.Key }) {
			return nil, fmt.Errorf("the label %s is given twice", l.Key)
		}
		all = append(all, l)
	}
	return all, nil
}

// matches reports whether the ledger's rule takes a device with these labels.
func (l *LedgerConfig) matches(labels []Label) bool {
	return len(l.When) > 0 && holdsAll(labels, l.When)
}

func holdsAll(labels, wanted []Label) bool {
	return !slices.ContainsFunc(wanted, func(w Label) bool { return !slices.Contains(labels, w) })
}

// ledger finds a ledger by name, "" for the default one.
func (c *Config) ledger(name string) (*LedgerConfig, error) {
	if name == "" {
		name = siteLedger
	}
	for i := range c.Ledgers {
		if c.Ledgers[i].Name == name {
			return &c.Ledgers[i], nil
		}
	}
	return nil, fmt.Errorf("no ledger %.40q: `cairn ledger list` shows them, and a running service knows those that were there at its start", name)
}

// choose finds the ledger of a new device with these labels: the first one whose
// rule takes it, else the default one. A label that no rule asks for is refused.
func (c *Config) choose(labels []Label) (*LedgerConfig, error) {
	if err := c.checkLabels(labels); err != nil {
		return nil, err
	}
	for i := range c.Ledgers {
		if c.Ledgers[i].matches(labels) {
			return &c.Ledgers[i], nil
		}
	}
	return &c.Ledgers[0], nil
}

// ledger reads one part of the list of further ledgers.
func (s *settings) ledger(dir string) LedgerConfig {
	l := LedgerConfig{Name: s.required("name"), Quorum: s.text("quorum")}
	if l.Name != "" {
		if err := checkLedgerName(l.Name); err != nil {
			s.fail("name", "%v", err)
		}
	}
	l.Dir = filepath.Join(dir, ledgersDir, l.Name)
	var err error
	if l.When, err = parseLabels(s.texts("when")); err != nil {
		s.fail("when", "%v", err)
	}
	for _, part := range s.list(keyAnchors) {
		l.Anchors = append(l.Anchors, part.anchor(dir))
	}
	if l.Quorum == "" {
		l.Quorum = "any"
	}
	s.checkQuorum(l.Quorum, len(l.Anchors))
	s.witnesses(&l)
	l.Mirrors = s.mirrors(dir)
	return l
}

// texts is a list of values.
func (s *settings) texts(key string) []string {
	v := s.get(key)
	if v == nil || v == "" {
		return nil
	}
	items, ok := v.([]any)
	if !ok {
		s.fail(key, "is not a list: write it as [jurisdiction=ch, site=bakery]")
		return nil
	}
	var all []string
	for _, item := range items {
		text, ok := item.(string)
		if !ok {
			s.fail(key, "%.40q is no text: put it in quotes", fmt.Sprint(item))
			continue
		}
		all = append(all, strings.TrimSpace(text))
	}
	return all
}

// need is how many of its routes must hold a batch before it counts as anchored:
// at least one, also where there is none any more.
func (l *LedgerConfig) need(routes int) int {
	n, err := strconv.Atoi(l.Quorum)
	switch {
	case l.Quorum == "" || l.Quorum == "any":
		n = 1
	case err != nil:
		n = routes // all
	}
	return max(1, min(n, routes))
}

// checkQuorum checks how many of a ledger's routes must hold a batch.
func (s *settings) checkQuorum(text string, routes int) {
	if text == "any" || text == "all" {
		return
	}
	n, err := strconv.ParseUint(text, 10, 16)
	switch {
	case err != nil || n == 0:
		s.fail("quorum", "%q is none of any, all, or a number of routes", text)
	case n > uint64(routes):
		s.fail("quorum", "%d of %d %s cannot be had", n, routes, plural(routes, "route"))
	}
}

// checkLedgers are the contradictions between ledgers.
func (c *Config) checkLedgers(s *settings) {
	if len(c.Ledgers) > maxLedgers {
		s.fail(keyLedgers, "are %d with the default one: a gateway has at most %d", len(c.Ledgers), maxLedgers)
	}
	wallets := map[string]string{} // to the ledger that has it
	for i := range c.Ledgers {
		l := &c.Ledgers[i]
		routes := map[string]bool{}
		for j := range l.Anchors {
			r := l.Anchors[j].Route()
			if routes[r] {
				s.fail(keyAnchors, "route %s twice in the ledger %s: a ledger has one place on a chain", r, l.Name)
			}
			routes[r] = true
			for _, w := range l.Anchors[j].wallets() {
				if other, taken := wallets[w]; taken && other != l.Name {
					s.fail(keyAnchors, "the ledgers %s and %s share the %s: each needs an account of its own", other, l.Name, w)
				}
				wallets[w] = l.Name
			}
		}
		for j := range i {
			earlier := &c.Ledgers[j]
			if earlier.Name == l.Name {
				s.fail(keyLedgers, "two are called %s", l.Name)
			} else if earlier.matches(l.When) {
				s.fail(keyLedgers, "no device ever gets into %s: %s stands before it and takes them all", l.Name, earlier.Name)
			}
		}
	}
}

// findLedgers compares the configured ledgers with the folder. One that is
// configured must be there; one that is only there runs all the same, without
// rule and routes: it may have devices, and their readings shall not be lost over
// a line that somebody has yet to write, or has deleted.
func (c *Config) findLedgers(s *settings) {
	for i := 1; i < len(c.Ledgers); i++ {
		l := &c.Ledgers[i]
		if !exists(l.path(keyringFile)) && checkLedgerName(l.Name) == nil {
			s.fail(keyLedgers, "%s is not there yet: make it with `cairn ledger add %s`", l.Name, l.Name)
		}
	}
	entries, err := os.ReadDir(c.path(ledgersDir))
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			s.fail(keyLedgers, "%v", err)
		}
		return
	}
	for _, e := range entries {
		dir := filepath.Join(c.path(ledgersDir), e.Name())
		if checkLedgerName(e.Name()) != nil || !exists(filepath.Join(dir, keyringFile)) {
			continue
		}
		if _, err := c.ledger(e.Name()); err != nil {
			c.Ledgers = append(c.Ledgers, LedgerConfig{Name: e.Name(), Dir: dir, Quorum: "any", WitnessQuorum: "any", Unlisted: true})
		}
	}
	if len(c.Ledgers) > maxLedgers {
		s.fail(keyLedgers, "are %d with the default one and those in the folder: a gateway has at most %d", len(c.Ledgers), maxLedgers)
	}
}
