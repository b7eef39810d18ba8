package main

import (
	"fmt"
	"path"
	"regexp"
	"slices"

	"cairn/store"
)

// CompartmentRule puts measurements of some devices into a compartment of their
// own, so that they can be shown, or withheld, apart from the others.
type CompartmentRule struct {
	Name   string   // the last part of the compartment's name
	When   []Label  // a device with all of these; none: any
	Device string   // glob over the device's name or ID; "": any
	Fields []string // globs over measurements' names; none: all
}

const (
	maxCompartmentRules = 64
	maxFieldGlobs       = 256
	maxFieldGlob        = 64
)

// className is what a compartment's last part may be.
var className = regexp.MustCompile(`^[a-z0-9-]{1,32}$`)

// compartments reads the list of rules.
func (s *settings) compartments(key string) []CompartmentRule {
	var all []CompartmentRule
	for _, part := range s.list(key) {
		all = append(all, part.compartmentRule())
	}
	if len(all) > maxCompartmentRules {
		s.fail(key, "are %d: a gateway has at most %d", len(all), maxCompartmentRules)
	}
	return all
}

func (s *settings) compartmentRule() CompartmentRule {
	r := CompartmentRule{Name: s.required("name"), Device: s.text("device"), Fields: s.texts("fields")}
	switch {
	case r.Name == store.EnvelopeClass:
		s.fail("name", "envelope is where each stream's times, counters and gaps are: a rule cannot name it")
	case r.Name != "" && !className.MatchString(r.Name):
		s.fail("name", "%.40q is no compartment's name: up to 32 lower case letters, digits and hyphens", r.Name)
	}
	var err error
	if r.When, err = parseLabels(s.texts("when")); err != nil {
		s.fail("when", "%v", err)
	}
	if _, err := path.Match(r.Device, ""); err != nil {
		s.fail("device", "%.40q is no pattern such as room-*", r.Device)
	}
	if len(r.Fields) > maxFieldGlobs {
		s.fail("fields", "are %d: a rule has at most %d", len(r.Fields), maxFieldGlobs)
	}
	for _, f := range r.Fields {
		if _, err := path.Match(f, ""); err != nil || f == "" || len(f) > maxFieldGlob {
			s.fail("fields", "%.40q is no pattern such as occ*", f)
		}
	}
	return r
}

// fits reports whether the rule is for a device.
func (r *CompartmentRule) fits(labels []Label, name, id string) bool {
	if !holdsAll(labels, r.When) {
		return false
	}
	if r.Device == "" {
		return true
	}
	byName, _ := path.Match(r.Device, name)
	byID, _ := path.Match(r.Device, id)
	return byName || byID
}

// rulesFor chooses the rules of a device that is about to be bound.
func (c *Config) rulesFor(labels []Label, name, id string) []CompartmentRule {
	var all []CompartmentRule
	for i := range c.Compartments {
		r := c.Compartments[i]
		if !r.fits(labels, name, id) {
			continue
		}
		if len(r.Fields) == 0 {
			r.Fields = []string{"*"}
		}
		all = append(all, r)
	}
	return all
}

// storeRules are rules as the store takes them.
func storeRules(rules []CompartmentRule) []store.Rule {
	all := make([]store.Rule, len(rules))
	for i, r := range rules {
		all[i] = store.Rule{Class: r.Name, Fields: r.Fields}
	}
	return all
}

// checkLabels refuses a label that no rule asks for, of a ledger or of a
// compartment: a misspelt one would put the device under the wrong rule, for
// good. Place and thing are said of a device whatever the rules ask for.
func (c *Config) checkLabels(labels []Label) error {
	asks := func(key string) bool {
		in := func(when []Label) bool { return slices.ContainsFunc(when, func(w Label) bool { return w.Key == key }) }
		return slices.ContainsFunc(c.Ledgers, func(l LedgerConfig) bool { return in(l.When) }) ||
			slices.ContainsFunc(c.Compartments, func(r CompartmentRule) bool { return in(r.When) })
	}
	for _, l := range labels {
		if l.Key != labelPlace && l.Key != labelThing && !asks(l.Key) {
			return fmt.Errorf("label %s: no ledger's rule asks for %s, nor one of a compartment, so it would decide nothing", l, l.Key)
		}
	}
	return nil
}
