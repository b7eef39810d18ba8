package ingest

import (
	"cmp"
	"encoding/hex"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"cairn/ingest/frame"
	"cairn/ingest/reading"
)

const (
	// maxStrangers is how many are remembered.
	maxStrangers = 256
	// originShare is how many of one origin are not too many.
	originShare = 8
)

// Prefix is as much of a node's ID as a frame or a line tells.
type Prefix struct {
	id  frame.ID // zeros from n on
	len int
}

func prefixOf(b []byte) Prefix {
	var p Prefix
	p.len = copy(p.id[:], b)
	return p
}

// Len returns how many bytes of the ID are known: 8 is all of it.
func (p Prefix) Len() int { return p.len }

// String returns the known bytes in lower-case hex.
func (p Prefix) String() string { return hex.EncodeToString(p.id[:p.len]) }

// The ways in which a stranger was heard; stable labels.
const (
	HeardSecure   = "secure"   // a frame that claims to be authentic; no key here could tell
	HeardInsecure = "insecure" // a frame with a CRC alone
	HeardText     = "text"     // a hub's text line
	HeardRefused  = "refused"  // "?RX auth": a hub could not authenticate its frame
	HeardTold     = "told"     // a sender or a broker speaks of it
)

// Stranger is a node that was heard and that no device is bound for, as far as it
// says who it is: nobody has verified that.
type Stranger struct {
	ID          Prefix
	Heard       string // HeardSecure, …
	Transport   string // reading.TransportUDP, …
	Source      string // the source's name, and the sender's address or name
	Address     string // HeardTold: how it is called there
	First, Last time.Time
	Count       uint64
}

// origin is who sent what a stranger is known from: a source, and one of its
// senders or the network of its address.
type origin struct {
	source, sender string
	network        netip.Addr
}

// strangers remembers nodes that nobody is registered for. A full table forgets
// one of the source that has the most, there one of the origin that has the most
// beyond its originShare, and of those the one heard least often, then longest
// ago. So one that invents IDs pushes out what is known from its own address, and
// nothing that came by another source. The zero value is empty.
type strangers struct {
	mu      sync.Mutex
	place   map[strangerKey]int // in all
	all     []heard
	origins map[origin]int // how many are of it
	sources map[string]int // how many are of it
}

type strangerKey struct {
	origin origin
	heard  string
	id     Prefix
}

type heard struct {
	key         strangerKey
	transport   string
	addr        netip.AddrPort // of the last one
	called      string         // its address, if it was told of
	first, last time.Time
	count       uint64
}

// hear remembers that p came from a stranger.
func (s *strangers) hear(id Prefix, how string, p *packet, now time.Time) {
	key := strangerKey{origin{p.source, p.poster, network(p.addr.Addr())}, how, id}
	s.mu.Lock()
	defer s.mu.Unlock()
	at, known := s.place[key]
	if !known {
		at = s.admit(key)
		s.all[at] = heard{key: key, transport: p.transport, first: now}
		if p.told != nil {
			s.all[at].called = strings.Clone(p.told.Address)
		}
	}
	h := &s.all[at]
	h.addr, h.last = p.addr, now
	h.count++
}

// admit finds a place for a new one.
func (s *strangers) admit(key strangerKey) int {
	if s.place == nil {
		s.place, s.origins, s.sources = make(map[strangerKey]int), make(map[origin]int), make(map[string]int)
	}
	at := len(s.all)
	if at < maxStrangers {
		s.all = append(s.all, heard{})
	} else {
		at = s.least(key.origin)
		s.forget(s.all[at].key)
	}
	s.place[key] = at
	s.origins[key.origin]++
	s.sources[key.origin.source]++
	return at
}

func (s *strangers) forget(key strangerKey) {
	delete(s.place, key)
	if s.origins[key.origin]--; s.origins[key.origin] == 0 {
		delete(s.origins, key.origin)
	}
	if s.sources[key.origin.source]--; s.sources[key.origin.source] == 0 {
		delete(s.sources, key.origin.source)
	}
}

// least finds whom to forget for one more of an origin, which gives way itself
// where others have no more.
func (s *strangers) least(of origin) int {
	source := of.source
	for name, n := range s.sources {
		if n > s.sources[source] {
			source = name
		}
	}
	most := originShare
	for o, n := range s.origins {
		if o.source == source {
			most = max(most, n)
		}
	}
	own := s.origins[of] >= most && of.source == source
	least := -1
	for i := range s.all {
		h := &s.all[i]
		switch {
		case h.key.origin.source != source, own && h.key.origin != of:
		case most > originShare && s.origins[h.key.origin] < most:
		case least < 0 || cmp.Or(cmp.Compare(h.count, s.all[least].count), h.last.Compare(s.all[least].last)) < 0:
			least = i
		}
	}
	return least
}

// list returns those whom the registry does not know by now, the latest first.
func (s *strangers) list(registry *Registry) []Stranger {
	known := registry.current.Load()
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []Stranger
	for i := range s.all {
		h := &s.all[i]
		if known.knows(h.key.id) {
			continue
		}
		all = append(all, Stranger{
			ID: h.key.id, Heard: h.key.heard, Transport: h.transport, Source: h.source(), Address: h.called,
			First: h.first, Last: h.last, Count: h.count,
		})
	}
	slices.SortStableFunc(all, func(a, b Stranger) int { return b.Last.Compare(a.Last) })
	return all
}

func (h *heard) source() string {
	text := h.key.origin.source
	if h.key.origin.sender != "" {
		text += " " + h.key.origin.sender
	}
	if h.addr.IsValid() {
		text += " " + h.addr.Addr().Unmap().String()
	}
	return text
}

// knows reports whether a device of any kind is bound under an ID that begins so.
func (s *snapshot) knows(p Prefix) bool {
	b := p.id[:p.len]
	for _, list := range [][]*entry{s.secure, s.opaque, s.text, s.vouched} {
		if len(withPrefix(list, b)) > 0 {
			return true
		}
	}
	return false
}

// heardAs says how a stranger of a decision was heard.
func (d *Decision) heardAs(form Form) string {
	switch {
	case form == FormTold:
		return HeardTold
	case d.Line == frame.LineWarning:
		return HeardRefused
	case d.Line == frame.LineJSON || d.Line == frame.LineBinary:
		return HeardText
	case d.Verdict == reading.Insecure:
		return HeardInsecure
	}
	return HeardSecure
}
