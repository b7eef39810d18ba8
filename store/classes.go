package store

import (
	"crypto/cipher"
	"fmt"
	"path"
	"slices"

	"cairn/ingest/reading"
	"cairn/store/share"
)

// Rule puts the measurements whose names fit one of Fields, globs as path.Match
// takes them, into a compartment of their own: stream/<slot>/<Class>. Of a
// device's rules the first that fits counts; what none fits is of DefaultClass.
type Rule struct {
	Class  string
	Fields []string
}

// DefaultClass is the class of measurements that no rule names. Each stream has
// it. EnvelopeClass is that of all else, which no rule may name.
const (
	DefaultClass  = "data"
	EnvelopeClass = "envelope"
)

const (
	maxClasses   = 16 // of a stream
	maxClassName = 32
	maxFields    = 256 // globs of a rule
	maxRules     = 64
	maxGlob      = 64
)

// The schemes of salting and sealing. They differ in what is hidden from whom
// has one of a stream's compartments:
//
//	0  items 0 and 6 and decoys are salted under the site's key; one data
//	   compartment; a summary's rest names extremes, under the data key
//	1  they are salted under the joint key of the stream's compartments, so that
//	   nobody can test guesses once one of these is shredded; any number of data
//	   compartments; a rest names no values, and is under the envelope's key
const (
	schemeSite  = 0
	schemeJoint = 1
)

// classes are the compartments of a stream's measurements: fixed at its binding.
type classes struct {
	scheme byte
	list   []class // in order of their compartments
	home   int     // place of DefaultClass in list
	rules  []Rule
}

type class struct {
	name        string
	compartment uint32
}

// classNames checks rules and lists the classes that they make, DefaultClass
// first.
func classNames(rules []Rule) ([]string, error) {
	names := []string{DefaultClass}
	if len(rules) > maxRules {
		return nil, fmt.Errorf("%w: %d rules, at most %d", ErrRefused, len(rules), maxRules)
	}
	for _, r := range rules {
		if !validClass(r.Class) {
			return nil, fmt.Errorf("%w: class %q: want 1 to %d of a-z, 0-9 and -, and not %q", ErrRefused, r.Class, maxClassName, EnvelopeClass)
		}
		if len(r.Fields) > maxFields {
			return nil, fmt.Errorf("%w: class %s: %d globs, at most %d", ErrRefused, r.Class, len(r.Fields), maxFields)
		}
		for _, glob := range r.Fields {
			if _, err := path.Match(glob, ""); err != nil || len(glob) > maxGlob {
				return nil, fmt.Errorf("%w: class %s: %q is no glob of at most %d bytes", ErrRefused, r.Class, glob, maxGlob)
			}
		}
		if !slices.Contains(names, r.Class) {
			names = append(names, r.Class)
		}
	}
	if len(names) > maxClasses {
		return nil, fmt.Errorf("%w: %d classes, at most %d", ErrRefused, len(names), maxClasses)
	}
	return names, nil
}

func validClass(name string) bool {
	if name == "" || len(name) > maxClassName || name == EnvelopeClass {
		return false
	}
	for i := range len(name) {
		if c := name[i]; c != '-' && (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	return true
}

// of gives the place of a measurement's class in the list.
func (c *classes) of(name string) int {
	for i := range c.rules {
		for _, glob := range c.rules[i].Fields {
			if ok, _ := path.Match(glob, name); ok {
				return c.place(c.rules[i].Class)
			}
		}
	}
	return c.home
}

func (c *classes) place(name string) int {
	return slices.IndexFunc(c.list, func(x class) bool { return x.name == name })
}

// classOf gives the class of each measurement, nil where there is but one.
// Known keeps what names were found to be.
func (c *classes) classOf(dst []byte, ms []reading.Measurement, known map[string]byte) []byte {
	if len(c.list) == 1 {
		return nil
	}
	dst = dst[:0]
	for i := range ms {
		k, ok := known[ms[i].Name]
		if !ok {
			k = byte(c.of(ms[i].Name))
			if len(known) < maxKnown {
				known[ms[i].Name] = k
			}
		}
		dst = append(dst, k)
	}
	return dst
}

// maxKnown bounds the names of measurements that a stream keeps the class of.
const maxKnown = 256

// oldClasses are those of a stream of scheme 0.
func oldClasses(compartment uint32) *classes {
	return &classes{scheme: schemeSite, list: []class{{DefaultClass, compartment}}}
}

// splitRow is the row s of a stream from scheme 1 on, in formatSplit.
type splitRow struct {
	_       struct{}  `cbor:",toarray"`
	Stream  streamRow // Data is the compartment of DefaultClass
	Scheme  uint8
	Classes []classRow
	Rules   []ruleRow
}

type classRow struct {
	_           struct{} `cbor:",toarray"`
	Name        string
	Compartment uint32
}

type ruleRow struct {
	_      struct{} `cbor:",toarray"`
	Class  string
	Fields []string
}

func (c *classes) row(st streamRow) splitRow {
	r := splitRow{Stream: st, Scheme: c.scheme}
	for _, x := range c.list {
		r.Classes = append(r.Classes, classRow{Name: x.name, Compartment: x.compartment})
	}
	for _, x := range c.rules {
		r.Rules = append(r.Rules, ruleRow{Class: x.Class, Fields: x.Fields})
	}
	return r
}

// classes checks what a row says.
func (r *splitRow) classes() (*classes, error) {
	c := &classes{scheme: r.Scheme}
	last := r.Stream.Envelope
	for _, x := range r.Classes {
		if !validClass(x.Name) || x.Compartment <= last || c.place(x.Name) >= 0 {
			return nil, fmt.Errorf("%w: class %q of compartment %d", ErrDamaged, x.Name, x.Compartment)
		}
		last = x.Compartment
		c.list = append(c.list, class{x.Name, x.Compartment})
	}
	for _, x := range r.Rules {
		c.rules = append(c.rules, Rule{x.Class, x.Fields})
	}
	c.home = c.place(DefaultClass)
	names, err := classNames(c.rules)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	for _, name := range names {
		if c.place(name) < 0 {
			return nil, fmt.Errorf("%w: no compartment of class %s", ErrDamaged, name)
		}
	}
	if r.Scheme != schemeJoint || len(names) != len(c.list) || c.list[c.home].compartment != r.Stream.Data {
		return nil, fmt.Errorf("%w: %d classes of scheme %d", ErrDamaged, len(c.list), r.Scheme)
	}
	return c, nil
}

// hourKeys are what one stream needs in one quarter hour under one incarnation.
// They are used by one goroutine.
type hourKeys struct {
	hour          share.Hour
	envelope      share.HourKey
	data          []share.HourKey // by class
	joint         share.HourKey   // from scheme 1 on
	lost          []bool          // by class: its key was shredded; nil where none was
	summary, rest saltBlock

	salts  reading.Salts
	blocks []cipher.Block // field salts by class
}

type saltBlock interface{ Encrypt(dst, src []byte) }

// newHourKeys takes blank keys for those of classes that were shredded: there are
// no blocks for what hangs on them, nor a joint key. Without an incarnation there are
// no salts.
func newHourKeys(slot uint64, c *classes, hour share.Hour, site, env share.HourKey, data []share.HourKey, incarnation [16]byte) *hourKeys {
	k := &hourKeys{hour: hour, envelope: env, data: data}
	if i := slices.Index(data, share.HourKey{}); i >= 0 {
		k.lost = make([]bool, len(data))
		for i := range data {
			k.lost[i] = data[i] == share.HourKey{}
		}
	}
	if c.scheme == schemeSite {
		k.joint = site
	} else if k.lost == nil {
		k.joint = share.Joint(site, env, data...)
	}
	if incarnation != [16]byte{} {
		k.salt(slot, c, incarnation)
	}
	return k
}

func (k *hourKeys) salt(slot uint64, c *classes, incarnation [16]byte) {
	k.summary = k.envelope.SaltBlock("summary", slot, incarnation)
	if c.scheme == schemeSite {
		k.rest = k.data[0].SaltBlock("rest", slot, incarnation)
	} else {
		k.rest = k.envelope.SaltBlock("rest", slot, incarnation)
	}
	k.blocks = make([]cipher.Block, len(k.data))
	for i := range k.data {
		if k.lost == nil || !k.lost[i] {
			k.blocks[i] = k.data[i].SaltBlock("field", slot, incarnation)
		}
	}
	k.salts = reading.Salts{Envelope: k.envelope.SaltBlock("field", slot, incarnation), Data: k.blocks[c.home]}
	if k.lost == nil {
		k.salts.Site = k.joint.SaltBlock("field", slot, incarnation)
	}
}

// of gives the salts of one reading, valid until the next call.
func (k *hourKeys) of(st *stored) *reading.Salts {
	if st.class == nil {
		return &k.salts
	}
	split := k.salts.Split[:0]
	for _, c := range st.class {
		split = append(split, k.blocks[c])
	}
	k.salts.Split = split
	return &k.salts
}

// sealPayloads and openPayloads are what an evidence block takes: nil where
// payloads stand in the clear.
func (k *hourKeys) sealPayloads(scheme byte, purpose string, random *[32]byte, aad []byte) func(dst, plain []byte) []byte {
	if scheme == schemeSite {
		return nil
	}
	return func(dst, plain []byte) []byte { return k.joint.SealMessage(dst, purpose, random, aad, plain) }
}

func (k *hourKeys) openPayloads(scheme byte, purpose string, random *[32]byte, aad []byte) func([]byte) ([]byte, error) {
	if scheme == schemeSite {
		return nil
	}
	return func(sealed []byte) ([]byte, error) { return k.joint.OpenMessage(nil, purpose, random, aad, sealed) }
}
