package proof

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"cairn/merkle"
	"cairn/merkle/ledger"
)

// The first line of a policy file.
const (
	policyMagic1 = "cairn-policy 1"
	policyMagic2 = "cairn-policy 2"
	policyMagic3 = "cairn-policy 3"
)

// Limits of a policy file.
const (
	maxPolicy = 64 << 10
	maxRoutes = 64
	maxGroups = 64
	maxName   = 64 // bytes of the name of a route, witness or group
	maxLate   = 10 * 366 * 24 * time.Hour
)

// ErrPolicy says that a text is no policy. The error names the line.
var ErrPolicy = errors.New("malformed policy")

// Policy says whose ledger it is and where it is anchored: what a verifier
// must get from the ledger's owner by another way than the proof. The package
// doc has its text form.
type Policy struct {
	Ledger merkle.Hash       // id
	Key    ed25519.PublicKey // of the log: the first, which the id is made of
	Routes []Route
	Groups []Group
	Quorum string        // a route's or group's name, or QuorumNone; empty: any of the routes
	Late   time.Duration // longest delay from window's end to anchor; 0: any

	// Witnesses are those whose cosignatures count. Cosigned names one, or a group
	// of them, that must have cosigned; CosignedOpen lets it pass, noted, that
	// they have not.
	Witnesses    []Witness
	Cosigned     string
	CosignedOpen bool
}

// QuorumNone is the quorum of a policy that asks for no anchor. By it no
// reading is more than logged.
const QuorumNone = "none"

// Route is one place where a ledger's anchors count. Those of version 1 of the
// text have no name.
type Route struct {
	Name  string
	Place Place
}

// Group is some routes, or some witnesses, and groups of the same, of which a
// number is enough.
type Group struct {
	Name    string
	Need    int      // 1…len(Members)
	Members []string // names of such and of groups before this one
}

// Append appends the policy's text to dst, in the lowest version that can say
// it. In version 1 its routes are Ethereum's, without names, and any of them is
// enough; in version 2 there are no witnesses.
func (p *Policy) Append(dst []byte) []byte {
	magic := policyMagic1
	switch {
	case len(p.Witnesses) != 0 || p.Cosigned != "":
		magic = policyMagic3
	case !p.isVersion1():
		magic = policyMagic2
	}
	dst = fmt.Appendf(dst, "%s\nledger %v %s\n", magic, p.Ledger, merkle.VerifierKey(ledger.Origin(p.Ledger), p.Key))
	for _, r := range p.Routes {
		if magic == policyMagic1 {
			dst = fmt.Appendf(dst, "route %v\n", r.Place)
		} else {
			dst = fmt.Appendf(dst, "route %s %v\n", r.Name, r.Place)
		}
	}
	for _, w := range p.Witnesses {
		dst = fmt.Appendf(dst, "witness %s %s\n", w.Name, w.VerifierKey())
	}
	for _, g := range p.Groups {
		dst = fmt.Appendf(dst, "group %s %s %s\n", g.Name, g.need(), strings.Join(g.Members, " "))
	}
	if p.Quorum != "" {
		dst = fmt.Appendf(dst, "quorum %s\n", p.Quorum)
	}
	if p.Cosigned != "" {
		dst = fmt.Appendf(dst, "cosigned %s", p.Cosigned)
		if p.CosignedOpen {
			dst = append(dst, " open"...)
		}
		dst = append(dst, '\n')
	}
	if p.Late != 0 {
		dst = fmt.Appendf(dst, "late %v\n", p.Late)
	}
	return dst
}

func (p *Policy) isVersion1() bool {
	for _, r := range p.Routes {
		if _, ok := r.Place.(EthereumRoute); !ok || r.Name != "" {
			return false
		}
	}
	return len(p.Groups) == 0 && p.Quorum == ""
}

// need returns how many members a group asks for, as the text writes it.
func (g *Group) need() string {
	switch g.Need {
	case len(g.Members):
		return "all"
	case 1:
		return "any"
	}
	return strconv.Itoa(g.Need)
}

// ParsePolicy reads a policy. A line that it does not know is an error, not
// passed over: a policy that is half understood would promise too much.
func ParsePolicy(b []byte) (*Policy, error) {
	if len(b) > maxPolicy || !utf8.Valid(b) {
		return nil, fmt.Errorf("%w: %d bytes, at most %d of UTF-8", ErrPolicy, len(b), maxPolicy)
	}
	r := policyReader{known: make(map[string]kind), member: make(map[string]string)}
	for n, line := range bytes.Split(b, []byte("\n")) {
		line = bytes.TrimSuffix(line, []byte("\r"))
		// In an editor what looks like a line of its own may stand in a comment.
		if bytes.ContainsFunc(line, func(r rune) bool { return r != '\t' && !strconv.IsPrint(r) }) {
			return nil, fmt.Errorf("%w: line %d: it has a character that cannot be seen", ErrPolicy, n+1)
		}
		words := strings.Fields(string(line))
		if len(words) == 0 || strings.HasPrefix(words[0], "#") {
			continue
		}
		if err := r.line(words); err != nil {
			return nil, fmt.Errorf("%w: line %d: %w", ErrPolicy, n+1, err)
		}
	}
	if err := r.end(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPolicy, err)
	}
	return &r.p, nil
}

// policyReader reads a policy line by line.
type policyReader struct {
	p       Policy
	version int               // 0 before the first line
	known   map[string]kind   // names of routes, witnesses and groups so far
	member  map[string]string // name → the group that it is a member of
	groups  bool              // some are of routes
}

func (r *policyReader) line(words []string) error {
	if r.version == 0 {
		switch first := strings.Join(words, " "); first {
		case policyMagic1:
			r.version = 1
		case policyMagic2:
			r.version = 2
		case policyMagic3:
			r.version = 3
		default:
			return fmt.Errorf("begins with %.40q, want %q, %q or %q", first, policyMagic1, policyMagic2, policyMagic3)
		}
		return nil
	}
	switch word := words[0]; {
	case word == "ledger":
		return r.ledgerLine(words[1:])
	case word == "route":
		return r.routeLine(words[1:])
	case word == "late":
		return r.lateLine(words[1:])
	case word == "group" && r.version > 1:
		return r.groupLine(words[1:])
	case word == "quorum" && r.version > 1:
		return r.quorumLine(words[1:])
	case word == "witness" && r.version > 2:
		return r.witnessLine(words[1:])
	case word == "cosigned" && r.version > 2:
		return r.cosignedLine(words[1:])
	}
	return fmt.Errorf("unknown word %.40q", words[0])
}

// end checks what only the whole text can say.
func (r *policyReader) end() error {
	switch {
	case r.p.Key == nil:
		return errors.New("it names no ledger")
	case r.version == 1 || r.p.Quorum != "":
		return nil
	case len(r.p.Routes) == 1 && !r.groups:
		r.p.Quorum = r.p.Routes[0].Name
		return nil
	}
	return fmt.Errorf("it has %d routes and no quorum, want: quorum <name>, or quorum none", len(r.p.Routes))
}

func (r *policyReader) ledgerLine(words []string) error {
	if r.p.Key != nil {
		return errors.New("second ledger")
	}
	if len(words) != 2 {
		return errors.New("want: ledger <id> <verifier key>")
	}
	if err := parseHex(r.p.Ledger[:], words[0]); err != nil {
		return fmt.Errorf("ledger id: %w", err)
	}
	name, key, err := merkle.ParseVerifierKey(words[1])
	if err != nil {
		return err
	}
	if want := ledger.Origin(r.p.Ledger); name != want {
		return fmt.Errorf("verifier key is named %.100q, want %q", name, want)
	}
	r.p.Key = key
	return nil
}

func (r *policyReader) routeLine(words []string) error {
	route := Route{}
	if r.version > 1 {
		if len(words) < 2 {
			return errors.New("want: route <name> ethereum|bitcoin|ots …")
		}
		if err := r.define(words[0], aRoute); err != nil {
			return err
		}
		route.Name, words = words[0], words[1:]
	}
	if r.version == 1 && (len(words) == 0 || words[0] != "ethereum") {
		return errors.New("want: route " + wantEthereum)
	}
	var err error
	if route.Place, err = parsePlace(words); err != nil {
		return err
	}
	for _, have := range r.p.Routes {
		if have.Place.same(route.Place) {
			return errors.New("the same route again")
		}
	}
	if len(r.p.Routes) == maxRoutes {
		return fmt.Errorf("over %d routes", maxRoutes)
	}
	r.p.Routes = append(r.p.Routes, route)
	return nil
}

// kind is what a name stands for, or the members of the group that it names.
type kind string

const (
	aRoute   kind = "route"
	aWitness kind = "witness"
)

// define takes a name that is new, as routes, witnesses and groups want it.
func (r *policyReader) define(name string, as kind) error {
	if !validName(name) {
		return fmt.Errorf("%.80q is no name: 1 to %d letters, digits and -_.:, and not %q", name, maxName, QuorumNone)
	}
	if r.known[name] != "" {
		return fmt.Errorf("the name %s again", name)
	}
	r.known[name] = as
	return nil
}

func validName(name string) bool {
	for i := range len(name) {
		c := name[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && !strings.ContainsRune("-_.:", rune(c)) {
			return false
		}
	}
	return name != "" && len(name) <= maxName && name != QuorumNone
}

func (r *policyReader) groupLine(words []string) error {
	if len(words) < 3 {
		return errors.New("want: group <name> all|any|<k> <member>…")
	}
	g := Group{Name: words[0], Members: words[2:]}
	of := r.known[g.Members[0]]
	for _, m := range g.Members {
		switch at, taken := r.member[m]; {
		case m == g.Name || r.known[m] == "":
			return fmt.Errorf("no %s or group %.80q stands above", r.things(), m)
		case r.known[m] != of:
			return fmt.Errorf("%s is a %s, %s a %s", g.Members[0], of, m, r.known[m])
		case taken:
			return fmt.Errorf("%s is a member of group %s already", m, at)
		}
		r.member[m] = g.Name
	}
	if err := r.define(g.Name, of); err != nil {
		return err
	}
	r.groups = r.groups || of == aRoute
	switch words[1] {
	case "all":
		g.Need = len(g.Members)
	case "any":
		g.Need = 1
	default:
		k, err := parseDecimal(words[1])
		if err != nil || k < 1 || k > uint64(len(g.Members)) {
			return fmt.Errorf("%.40q is none of all, any, and 1 to %d", words[1], len(g.Members))
		}
		g.Need = int(k)
	}
	if len(r.p.Groups) == maxGroups {
		return fmt.Errorf("over %d groups", maxGroups)
	}
	r.p.Groups = append(r.p.Groups, g)
	return nil
}

func (r *policyReader) quorumLine(words []string) error {
	if r.p.Quorum != "" {
		return errors.New("second quorum")
	}
	if len(words) != 1 {
		return errors.New("want: quorum <name>, or quorum none")
	}
	if words[0] != QuorumNone && r.known[words[0]] != aRoute {
		return fmt.Errorf("no route or group %.80q stands above", words[0])
	}
	r.p.Quorum = words[0]
	return nil
}

func (r *policyReader) witnessLine(words []string) error {
	if len(words) != 2 {
		return errors.New("want: witness <name> <verifier key>")
	}
	w := Witness{Name: words[0]}
	var err error
	if w.KeyName, w.Key, err = parseWitnessKey(words[1]); err != nil {
		return err
	}
	for _, have := range r.p.Witnesses {
		if have.Key.Equal(w.Key) {
			return fmt.Errorf("the key of witness %s again", have.Name)
		}
	}
	if len(r.p.Witnesses) == maxWitnesses {
		return fmt.Errorf("over %d witnesses", maxWitnesses)
	}
	r.p.Witnesses = append(r.p.Witnesses, w)
	return r.define(w.Name, aWitness)
}

func (r *policyReader) cosignedLine(words []string) error {
	if r.p.Cosigned != "" {
		return errors.New("second cosigned")
	}
	open := len(words) == 2 && words[1] == "open"
	if len(words) != 1 && !open {
		return errors.New("want: cosigned <witness or group>, or cosigned <witness or group> open")
	}
	if r.known[words[0]] != aWitness {
		return fmt.Errorf("no witness or group of such %.80q stands above", words[0])
	}
	r.p.Cosigned, r.p.CosignedOpen = words[0], open
	return nil
}

// things are what a group of this version can have.
func (r *policyReader) things() string {
	if r.version > 2 {
		return "route, witness"
	}
	return "route"
}

func (r *policyReader) lateLine(words []string) error {
	if r.p.Late != 0 {
		return errors.New("second late")
	}
	if len(words) != 1 {
		return errors.New("want: late <duration>, such as 2h")
	}
	d, err := time.ParseDuration(words[0])
	if err != nil || d < time.Second || d > maxLate {
		return fmt.Errorf("%.40q is no duration from 1s to %v", words[0], maxLate)
	}
	r.p.Late = d
	return nil
}

// parseDecimal reads a number without sign, plus or leading zeros.
func parseDecimal(s string) (uint64, error) {
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil || strconv.FormatUint(n, 10) != s {
		return 0, fmt.Errorf("%.40q is no decimal number", s)
	}
	return n, nil
}

// parse0x reads exactly len(dst) bytes of hexadecimal after 0x, in upper or
// lower case: addresses are also written with a checksum of cases.
func parse0x(dst []byte, s string) error {
	digits, ok := strings.CutPrefix(s, "0x")
	if !ok {
		return fmt.Errorf("%.80q does not begin with 0x", s)
	}
	return parseHex(dst, digits)
}

func parseHex(dst []byte, s string) error {
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != len(dst) {
		return fmt.Errorf("%.80q is not %d bytes in hexadecimal", s, len(dst))
	}
	copy(dst, b)
	return nil
}
