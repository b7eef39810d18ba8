package proof

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"cairn/merkle"
)

// maxWitnesses bounds the witnesses of a policy.
const maxWitnesses = 64

// cosignatureType is the type of a key for C2SP cosignature/v1 by Ed25519.
const cosignatureType = 0x04

// Witness is one that checks and cosigns a log's heads, and whose word counts.
type Witness struct {
	Name    string            // by which the policy's groups name it
	KeyName string            // that it signs with
	Key     ed25519.PublicKey // for C2SP cosignature/v1
}

// VerifierKey returns the witness's key as the signed note format writes it:
//
//	name+hex(key ID)+base64(04 ‖ public key)
//
// where the key ID is the first four bytes of SHA256(name ‖ 0A ‖ 04 ‖ public key).
func (w Witness) VerifierKey() string {
	id := cosignerID(w.KeyName, w.Key)
	return fmt.Sprintf("%s+%x+%s", w.KeyName, id, base64.StdEncoding.EncodeToString(append([]byte{cosignatureType}, w.Key...)))
}

// parseWitnessKey reads what VerifierKey writes, and nothing else.
func parseWitnessKey(vkey string) (name string, key ed25519.PublicKey, err error) {
	name, rest, _ := strings.Cut(vkey, "+")
	_, key64, _ := strings.Cut(rest, "+")
	if !validKeyName(name) {
		return "", nil, fmt.Errorf("%.100q is not a key name", name)
	}
	b, err := base64.StdEncoding.DecodeString(key64)
	if err != nil || len(b) != 1+ed25519.PublicKeySize {
		return "", nil, fmt.Errorf("%.100q is not the base64 of %d bytes", key64, 1+ed25519.PublicKeySize)
	}
	if b[0] != cosignatureType {
		return "", nil, fmt.Errorf("key type %02x is not that of a cosignature by Ed25519 (%02x)", b[0], cosignatureType)
	}
	key = b[1:]
	if (Witness{KeyName: name, Key: key}).VerifierKey() != vkey {
		return "", nil, errors.New("the key ID is wrong")
	}
	return name, key, nil
}

func cosignerID(name string, key []byte) [4]byte {
	h := sha256.New()
	fmt.Fprintf(h, "%s\n%c", name, cosignatureType)
	h.Write(key)
	return [4]byte(h.Sum(nil))
}

// message returns what a cosignature signs: C2SP cosignature/v1, the whole text
// of the checkpoint after a line of the version and one of the time.
func (c *cosignature) message(cp merkle.Checkpoint) []byte {
	return fmt.Appendf(nil, "cosignature/v1\ntime %d\n%s", c.time, cp.Text())
}

// cosignatures checks a head's against the witnesses that the policy names, and
// notes who it is cosigned by. One of a key that it does not name counts for
// nothing, and neither does any without a policy.
func (c *checker) cosignatures(head int, h *packedHead) *fault {
	for i := range h.cosignatures {
		s := &h.cosignatures[i]
		v := WitnessVerdict{
			Name: s.name, Key: fmt.Sprintf("%s+%x", s.name, s.key), Size: h.checkpoint.Size, Time: secondsText(s.time),
			Signature: base64.StdEncoding.EncodeToString(s.signature[:]),
		}
		if at := c.o.Policy.witness(s); at >= 0 {
			w := &c.o.Policy.Witnesses[at]
			if !ed25519.Verify(w.Key, s.message(h.checkpoint), s.signature[:]) {
				return faultf(CodeCosignature, "head %d: the signature of witness %s is wrong", head, w.Name)
			}
			c.cosigned[head] |= 1 << at
			v.Name, v.Key, v.Known, v.Signature = w.Name, w.VerifierKey(), true, ""
		}
		c.v.Witnesses = append(c.v.Witnesses, v)
	}
	return nil
}

// witness returns the position of the policy's witness whose key a cosignature
// names, or -1.
func (p *Policy) witness(s *cosignature) int {
	if p == nil {
		return -1
	}
	for i := range p.Witnesses {
		w := &p.Witnesses[i]
		if id := cosignerID(w.KeyName, w.Key); w.KeyName == s.name && bytes.Equal(id[:], s.key[:]) {
			return i
		}
	}
	return -1
}

// secondsText writes Unix seconds as RFC 3339 in UTC; beyond the year 9999, as
// a number.
func secondsText(s uint64) string {
	if s > 253402300799 {
		return strconv.FormatUint(s, 10)
	}
	return timeText(int64(s) * 1000)
}

// inheritCosigned gives each head the cosignatures of those that extend it: who
// saw these saw its log.
func (c *checker) inheritCosigned() {
	for _, i := range c.newestFirst() {
		e := &c.f.Extends[i]
		c.cosigned[e.Old] |= c.cosigned[e.New]
	}
}

// cosigners returns the policy's witnesses that cosigned a head which covers a
// batch, a bit for each.
func (c *checker) cosigners(batch int) (all uint64) {
	for _, p := range c.f.Batches[batch].Heads {
		all |= c.cosigned[p.Head]
	}
	return all
}

// weigh returns a batch's standing by a quorum of anchors, at most logged if
// the policy asks for witnesses that did not cosign.
func (c *checker) weigh(q *quorum, routes []standing, batch int) standing {
	s, p := q.weigh(routes), c.o.Policy
	if s.level <= LevelLogged || p == nil || p.Cosigned == "" || p.CosignedOpen {
		return s
	}
	if c.cosigning.met(c.cosigners(batch)) {
		return s
	}
	return standing{level: LevelLogged, code: CodeWitnesses, block: s.block, by: s.by}
}

// cosigning is a node of what a policy asks of witnesses: one of them, or
// members of which a number is enough.
type cosigning struct {
	name    string
	need    int
	members []*cosigning
	bit     uint64 // of the witness; meaningful without members
}

// newCosigning returns what a policy asks for, or nil if that is nothing, or
// nothing that can be had.
func (p *Policy) newCosigning() *cosigning {
	known := make(map[string]*cosigning)
	for i, w := range p.Witnesses {
		known[w.Name] = &cosigning{name: w.Name, bit: 1 << i}
	}
	for _, g := range p.Groups {
		n := &cosigning{name: g.Name, need: g.Need}
		for _, m := range g.Members {
			if known[m] != nil {
				n.members = append(n.members, known[m])
			}
		}
		if g.Need >= 1 && g.Need <= len(n.members) && len(n.members) == len(g.Members) {
			known[g.Name] = n
		}
	}
	return known[p.Cosigned]
}

// met reports whether those that a node asks for cosigned, given a bit for each
// that did.
func (n *cosigning) met(bits uint64) bool {
	switch {
	case n == nil:
		return false
	case len(n.members) == 0:
		return bits&n.bit != 0
	}
	have := 0
	for _, m := range n.members {
		if m.met(bits) {
			have++
		}
	}
	return have >= n.need
}

// missing says in words what a node lacks.
func (n *cosigning) missing(bits uint64) string {
	if n == nil {
		return "the policy names nobody that could"
	}
	if len(n.members) == 0 {
		return n.name + " has not cosigned"
	}
	have, lacking := 0, []string(nil)
	for _, m := range n.members {
		if m.met(bits) {
			have++
		} else {
			lacking = append(lacking, m.name)
		}
	}
	return fmt.Sprintf("of %s %d of %d cosigned, not %s", n.name, have, n.need, strings.Join(lacking, ", "))
}

// witnessGroups returns the names of a policy's witnesses, and of the groups of
// such.
func (p *Policy) witnessGroups() map[string]bool {
	names := make(map[string]bool)
	for _, w := range p.Witnesses {
		names[w.Name] = true
	}
	for _, g := range p.Groups {
		if len(g.Members) != 0 && names[g.Members[0]] {
			names[g.Name] = true
		}
	}
	return names
}

// secondHistory says what is known of another history by the same key.
func (c *checker) secondHistory() string {
	known := make(map[string]bool)
	var names []string
	for i := range c.v.Witnesses {
		if w := &c.v.Witnesses[i]; w.Known && !known[w.Name] {
			known[w.Name] = true
			names = append(names, w.Name)
		}
	}
	switch {
	case len(names) != 0:
		return "a second history by the same key: the witnesses that cosigned (" + strings.Join(names, ", ") + ") would all have to be in it, and that they are not is the policy's word"
	case len(c.v.Witnesses) != 0:
		return "a second history by the same key: the witnesses that cosigned are none that the policy names"
	}
	return "a second history by the same key: no witness or mirror speaks in this file"
}

// cosignedNotChecked says what witnesses are missing that the policy does not
// insist on, and for which batch.
func (c *checker) cosignedNotChecked() string {
	p := c.o.Policy
	if p == nil || p.Cosigned == "" || !p.CosignedOpen {
		return ""
	}
	for i := range c.f.Batches {
		if bits := c.cosigners(i); !c.cosigning.met(bits) {
			return fmt.Sprintf("that witnesses saw this history: the policy asks for %s, and lets it pass without (open): %s", p.Cosigned, c.cosigning.missing(bits))
		}
	}
	return ""
}

// WitnessVerdict is one cosignature of a head.
type WitnessVerdict struct {
	Name string `json:"name"` // in the policy, or of the key if the policy does not name it
	Key  string `json:"key"`  // verifier key, or name and key ID
	Size uint64 `json:"size"` // of the head
	Time string `json:"time"` // that the witness states
	// Known: the policy names the witness, and its signature holds. The signature
	// of another, which nobody checked, stands here.
	Known     bool   `json:"known"`
	Signature string `json:"signature,omitempty"`
}

// witnessesText names on one line the witnesses that the policy names, with the
// time of their newest cosignature, and how many others there are.
func (v *Verdict) witnessesText(b *strings.Builder) {
	newest, others := make(map[string]string), 0
	for i := range v.Witnesses {
		if w := &v.Witnesses[i]; !w.Known {
			others++
		} else {
			newest[w.Name] = max(newest[w.Name], w.Time)
		}
	}
	var words []string
	for _, name := range slices.Sorted(maps.Keys(newest)) {
		if len(words) == maxTextRoutes {
			words = append(words, fmt.Sprintf("%d more", len(newest)-maxTextRoutes))
			break
		}
		words = append(words, name+" at "+newest[name])
	}
	if others != 0 {
		words = append(words, count(others, "cosignature")+" of others, which count for nothing")
	}
	if len(words) != 0 {
		line(b, "witnesses   %s", strings.Join(words, ", "))
	}
}
