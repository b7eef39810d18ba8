package main

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"

	"cairn/anchor/witness"
)

// WitnessConfig is one witness that a ledger asks.
type WitnessConfig struct {
	Name string // as policies name it
	URL  string // submission prefix
	VKey string // its verifier key, of type 04
	key  witness.Key
}

// maxWitnesses bounds the witnesses of one ledger.
const maxWitnesses = 16

// witnessGroup is the policy's name for the witnesses of which some must cosign.
const witnessGroup = "cosigned"

// witnessName is what witnesses may be called: it stands in policies beside the
// names of routes.
var witnessName = regexp.MustCompile(`^[a-z][a-z0-9.-]{0,31}$`)

// notWitnesses are names that mean something else in a policy.
var notWitnesses = []string{quorumGroup, witnessGroup, "any", "all", "none", "open", typeOTS, typeEthereum, typeBitcoin}

// witnesses reads a ledger's witnesses and what it wants of them.
func (s *settings) witnesses(l *LedgerConfig) {
	for _, part := range s.list(keyWitnesses) {
		l.Witnesses = append(l.Witnesses, part.witness())
	}
	if len(l.Witnesses) > maxWitnesses {
		s.fail(keyWitnesses, "are %d, at most %d", len(l.Witnesses), maxWitnesses)
	}
	for i, w := range l.Witnesses {
		for _, o := range l.Witnesses[:i] {
			switch {
			case w.Name == o.Name && w.Name != "":
				s.fail(keyWitnesses, "two are called %s", w.Name)
			case w.VKey == o.VKey && w.VKey != "":
				s.fail(keyWitnesses, "%s and %s have one and the same key: each counts as one witness", o.Name, w.Name)
			}
		}
	}
	if l.WitnessQuorum = s.text(keyWitnessQuorum); l.WitnessQuorum == "" {
		l.WitnessQuorum = "any"
	}
	l.WitnessFailOpen = s.yes(keyWitnessOpen)
	n, err := strconv.ParseUint(l.WitnessQuorum, 10, 16)
	switch {
	case l.WitnessQuorum == "any" || l.WitnessQuorum == "all":
	case err != nil || n == 0:
		s.fail(keyWitnessQuorum, "%q is none of any, all, or a number of witnesses", l.WitnessQuorum)
	case n > uint64(len(l.Witnesses)):
		s.fail(keyWitnessQuorum, "%d of %d %s cannot be had", n, len(l.Witnesses), pluralWitness(len(l.Witnesses)))
	}
}

func pluralWitness(n int) string {
	if n == 1 {
		return "witness"
	}
	return "witnesses"
}

func (s *settings) witness() WitnessConfig {
	w := WitnessConfig{Name: s.required("name"), URL: s.required("url"), VKey: s.required("vkey")}
	if w.Name != "" && (!witnessName.MatchString(w.Name) || slices.Contains(notWitnesses, w.Name)) {
		s.fail("name", "%.40q is no witness's name: a lower case letter, then up to 31 letters, digits, dots and hyphens; not one of %v", w.Name, notWitnesses)
	}
	var err error
	if w.URL != "" {
		if w.URL, err = witness.ParseURL(w.URL); err != nil {
			s.fail("url", "%v", err)
		}
	}
	if w.VKey != "" {
		if w.key, err = witness.ParseKey(w.VKey); err != nil {
			s.fail("vkey", "%v", err)
		}
	}
	return w
}

// needCosigned is how many witnesses must cosign a head, 0 where there are none.
func (l *LedgerConfig) needCosigned() int {
	n, err := strconv.Atoi(l.WitnessQuorum)
	switch {
	case len(l.Witnesses) == 0:
		return 0
	case l.WitnessQuorum == "all":
		return len(l.Witnesses)
	case err != nil:
		return 1 // any
	}
	return max(1, min(n, len(l.Witnesses)))
}

// guards reports whether a chain or a witness keeps a head of the ledger, by which
// a folder that was put back from an old copy is noticed.
func (l *LedgerConfig) guards() bool {
	return len(l.Witnesses) > 0 || slices.ContainsFunc(l.Anchors, func(a AnchorConfig) bool { return a.guards() })
}

// unnoticed ends a sentence where nothing would notice a folder put back from an old
// copy.
func (l *LedgerConfig) unnoticed() string {
	if l.guards() {
		return ""
	}
	return ", and a rollback goes unnoticed"
}

// witnessRule says in words what the ledger wants of its witnesses.
func (l *LedgerConfig) witnessRule() string {
	rule := fmt.Sprintf("%d of %d must cosign a head before it is anchored", l.needCosigned(), len(l.Witnesses))
	if l.WitnessFailOpen {
		rule += ", if they answer in time (fail open)"
	}
	return rule
}
