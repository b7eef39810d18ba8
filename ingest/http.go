package ingest

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"path"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"cairn/ingest/frame"
	"cairn/ingest/message"
	"cairn/ingest/reading"
)

// maxCopies bounds what one request makes of its body, which is kept with each of its
// messages as evidence.
const maxCopies = 1 << 20

// HTTPConfig is what may be posted by whom. Zero elsewhere is the default.
type HTTPConfig struct {
	Name    string // default "http"
	Senders []Sender
	Knows   func(frame.ID) bool // whether a device is registered that senders speak for
	// Requests is how many are worked on at once; default 64. More are told to come
	// back.
	Requests int
	// Wait is how long a request waits to be recorded; default 10 s.
	Wait time.Duration
	Now  func() time.Time // default time.Now
	// Receipt makes the intake receipt of a device's reading, for who has sent it as it
	// was told, or as a frame, which they may not be able to read; nil: there are none.
	Receipt func(device uint32, slot, seq uint64, frame bool) ([]byte, error)
}

// Sender is one who may post messages.
type Sender struct {
	Name  string
	Token [sha256.Size]byte // SHA-256 of its bearer token; zero: it has none
	// Certificates are the SHA-256 of its client certificates (DER), one of which its
	// connection must have shown and proven to own.
	Certificates [][sha256.Size]byte
	Devices      []string // globs of addresses that it speaks for, as path.Match has it; none: all
	Rate         float64  // messages a second; 0: no limit
	Burst        float64  // default: what comes in 10 s
}

// HTTP takes messages by HTTP. It is a [Source], and the handler of a server:
//
//	POST …/senml        SenML (RFC 8428), application/senml+json or +cbor
//	POST …/chirpstack   events of ChirpStack 4; others than uplinks are not recorded
//	POST …/thingsstack  uplink messages of The Things Stack 3
//
// A request is authorised by a bearer token (RFC 6750), or over TLS by a client
// certificate that is pinned and has not expired, and answered when all of its
// messages are on disk and signed, or refused as a whole before any is. With the
// header Idempotency-Key, or where a message names itself, what is sent again is not
// recorded again: the committer remembers the newest 256 names of each device. With
// ?receipt=1 the answer has each reading's intake receipt, as long as there is one. That
// of a frame shows its hash, and nothing of what is in it. Of what was sent again the
// answer names the reading and has its receipt as long as the newest 4096 readings that
// were posted since the start have it among them.
type HTTP struct {
	cfg     HTTPConfig
	senders atomic.Pointer[[]*sender]
	slots   chan struct{}
	past    memory
	sink    atomic.Pointer[Sink] // set while Run runs
}

type sender struct {
	Sender
	mu     sync.Mutex
	budget bucket // under mu
	active int    // requests that are worked on; under mu
}

// begin counts a request, unless the sender has too many of them.
func (s *sender) begin(most int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.active >= most {
		return false
	}
	s.active++
	return true
}

func (s *sender) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.active--
}

// NewHTTP returns a source that takes nothing until it runs.
func NewHTTP(cfg HTTPConfig) (*HTTP, error) {
	if cfg.Name == "" {
		cfg.Name = "http"
	}
	if cfg.Requests <= 0 {
		cfg.Requests = 64
	}
	if cfg.Wait <= 0 {
		cfg.Wait = 10 * time.Second
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	h := &HTTP{cfg: cfg, slots: make(chan struct{}, cfg.Requests)}
	if err := h.SetSenders(cfg.Senders); err != nil {
		return nil, err
	}
	return h, nil
}

// SetSenders says who may post from now on. Requests that have begun end as they would
// have.
func (h *HTTP) SetSenders(senders []Sender) error {
	all := make([]*sender, 0, len(senders))
	for _, s := range senders {
		for _, glob := range s.Devices {
			if _, err := path.Match(glob, ""); err != nil || glob == "" {
				return fmt.Errorf("sender %s: %.40q is no pattern of addresses", s.Name, glob)
			}
		}
		if s.Burst <= 0 {
			s.Burst = max(10*s.Rate, message.MaxMessages)
		}
		all = append(all, &sender{Sender: s})
	}
	h.senders.Store(&all)
	return nil
}

// Name implements [Source].
func (h *HTTP) Name() string { return h.cfg.Name }

// Run lets requests in until ctx ends.
func (h *HTTP) Run(ctx context.Context, sink Sink) error {
	h.sink.Store(&sink)
	<-ctx.Done()
	h.sink.Store(nil)
	return nil
}

// refusal is why a request is not taken.
type refusal struct {
	status int
	retry  int // seconds; 0: it is no use
	why    string
}

func (r *refusal) Error() string { return r.why }

func refuse(status int, format string, a ...any) error {
	return &refusal{status: status, why: fmt.Sprintf(format, a...)}
}

func later(status int, why string) error { return &refusal{status: status, retry: 5, why: why} }

// result is what became of one message.
type result struct {
	Device   string `json:"device"`
	Verdict  string `json:"verdict"` // vouched, authenticated, duplicate, …
	Stream   uint64 `json:"stream"`
	Sequence uint64 `json:"sequence"`
	Received string `json:"received,omitempty"` // "" where it was not recorded, or which reading it was is not known any more
	Receipt  []byte `json:"receipt,omitempty"`  // base64

	device uint32 // whose it is
}

// ServeHTTP implements [http.Handler].
func (h *HTTP) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	results, err := h.take(r)
	if err == nil {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{"readings": results})
		return
	}
	var no *refusal
	if !errors.As(err, &no) {
		no = &refusal{status: http.StatusInternalServerError, why: err.Error()}
	}
	if no.retry > 0 {
		w.Header().Set("Retry-After", fmt.Sprint(no.retry))
	}
	if no.status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer realm="cairn"`)
	}
	w.Header().Set("Content-Type", "application/problem+json") // RFC 9457
	w.WriteHeader(no.status)
	_ = json.NewEncoder(w).Encode(map[string]any{"status": no.status, "title": http.StatusText(no.status), "detail": no.why})
}

// take does what a request asks.
func (h *HTTP) take(r *http.Request) ([]result, error) {
	who := h.who(r.Header.Get("Authorization"))
	if who == nil && r.TLS != nil && len(r.TLS.PeerCertificates) > 0 {
		who = h.certified(r.TLS.PeerCertificates[0])
	}
	if who == nil {
		return nil, refuse(http.StatusUnauthorized, "a bearer token, or a client certificate, of one who may post readings is needed")
	}
	if !who.begin(h.most()) {
		return nil, later(http.StatusTooManyRequests, fmt.Sprintf("%s has too many requests at this moment", who.Name))
	}
	defer who.end()
	select {
	case h.slots <- struct{}{}:
		defer func() { <-h.slots }()
	default:
		return nil, later(http.StatusServiceUnavailable, "too many requests at this moment")
	}
	sink := h.sink.Load()
	if sink == nil {
		return nil, later(http.StatusServiceUnavailable, "the gateway takes no readings at this moment")
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, message.MaxBody+1))
	if err != nil {
		return nil, refuse(http.StatusBadRequest, "the request's body did not come whole")
	}
	kind := path.Base(r.URL.Path)
	all, transport, err := h.read(kind, r, body)
	switch {
	case errors.Is(err, message.ErrLimit):
		return nil, refuse(http.StatusRequestEntityTooLarge, "%v: send less at once", err)
	case errors.Is(err, message.ErrFormat):
		return nil, refuse(http.StatusBadRequest, "%v", err)
	case err != nil:
		return nil, err
	case len(all) > 1 && len(all)*len(body) > maxCopies:
		return nil, refuse(http.StatusRequestEntityTooLarge, "%d messages in %d bytes: send less at once", len(all), len(body))
	}
	packets := h.packets(who, r.Header.Get("Idempotency-Key"), all, body, transport)
	if err := h.allowed(who, all, packets, *sink); err != nil {
		return nil, err
	}
	results, err := h.record(r, *sink, packets, all)
	if err != nil {
		return nil, err
	}
	h.recall(results, packets)
	if h.cfg.Receipt != nil && r.URL.Query().Get("receipt") == "1" {
		h.receipts(results, packets)
	}
	return results, nil
}

// recall keeps which readings were made of what has a name, and fills in the one of what
// was sent again.
func (h *HTTP) recall(results []result, packets []Packet) {
	h.past.mu.Lock()
	defer h.past.mu.Unlock()
	for i := range results {
		x, name := &results[i], nameOf(&packets[i])
		switch {
		case name == [8]byte{}:
		case x.Received != "":
			h.past.put(name, earlier{x.device, x.Stream, x.Sequence, x.Received})
		case x.Verdict == reading.Duplicate.String():
			if was, ok := h.past.by[name]; ok {
				x.device, x.Stream, x.Sequence, x.Received = was.device, was.slot, was.seq, was.received
			}
		}
	}
}

// nameOf is by what a packet is known again: a message's own name, or the frame.
func nameOf(p *Packet) [8]byte {
	if p.Told != nil {
		return p.Told.Once
	}
	sum := sha256.Sum256(p.Data)
	return [8]byte(sum[:8])
}

// maxRemembered is how many readings are remembered by the name of what made them.
const maxRemembered = 4096

// memory has the newest readings that were posted, by the name of what made them.
type memory struct {
	mu    sync.Mutex
	by    map[[8]byte]earlier // under mu, as are the others
	order [][8]byte           // the names as they came, in a ring
	next  int
}

type earlier struct {
	device    uint32
	slot, seq uint64
	received  string
}

// put is called with the lock.
func (m *memory) put(name [8]byte, x earlier) {
	if m.by == nil {
		m.by = map[[8]byte]earlier{}
	}
	if _, ok := m.by[name]; !ok {
		if len(m.order) < maxRemembered {
			m.order = append(m.order, name)
		} else {
			delete(m.by, m.order[m.next])
			m.order[m.next] = name
			m.next = (m.next + 1) % maxRemembered
		}
	}
	m.by[name] = x
}

// receipts adds the receipts of readings, where there are any: those of a quarter hour
// that was sealed have none.
func (h *HTTP) receipts(results []result, packets []Packet) {
	for i := range results {
		x := &results[i]
		if x.Received == "" {
			continue
		}
		if b, err := h.cfg.Receipt(x.device, x.Stream, x.Sequence, packets[i].Told == nil); err == nil {
			x.Receipt = b
		}
	}
}

// most is how many requests of one sender are worked on at once: half of all, where
// there are others.
func (h *HTTP) most() int {
	if len(*h.senders.Load()) == 1 {
		return h.cfg.Requests
	}
	return max(h.cfg.Requests/2, 1)
}

// who finds a sender by its token, in a time that does not depend on which.
func (h *HTTP) who(header string) (found *sender) {
	token, ok := strings.CutPrefix(header, "Bearer ")
	sum := sha256.Sum256([]byte(token))
	for _, s := range *h.senders.Load() {
		if subtle.ConstantTimeCompare(sum[:], s.Token[:]) == 1 && ok && s.Token != ([sha256.Size]byte{}) {
			found = s
		}
	}
	return found
}

// certified finds a sender by the certificate of its connection, which the handshake
// has shown to be its own.
func (h *HTTP) certified(c *x509.Certificate) *sender {
	if now := h.cfg.Now(); now.Before(c.NotBefore) || now.After(c.NotAfter) {
		return nil
	}
	sum := sha256.Sum256(c.Raw)
	for _, s := range *h.senders.Load() {
		if slices.Contains(s.Certificates, sum) {
			return s
		}
	}
	return nil
}

// read reads a body as its path and type say.
func (h *HTTP) read(kind string, r *http.Request, body []byte) ([]message.Message, string, error) {
	var m message.Message
	var err error
	switch kind {
	case "senml":
		return h.senml(r, body)
	case "chirpstack":
		if e := r.URL.Query().Get("event"); e != "" && e != "up" {
			return nil, "", nil
		}
		m, err = message.ChirpStack(body)
	case "thingsstack":
		m, err = message.ThingsStack(body)
	default:
		return nil, "", refuse(http.StatusNotFound, "%.40q is none of senml, chirpstack, thingsstack", kind)
	}
	return []message.Message{m}, reading.TransportLoRaWAN, err
}

func (h *HTTP) senml(r *http.Request, body []byte) ([]message.Message, string, error) {
	given := r.Header.Get("Content-Type")
	media, _, _ := mime.ParseMediaType(given)
	switch media {
	case message.TypeSenMLJSON, "application/json":
		all, err := message.SenML(body, h.cfg.Now())
		return all, reading.TransportHTTP, err
	case message.TypeSenMLCBOR:
		all, err := message.SenMLCBOR(body, h.cfg.Now())
		return all, reading.TransportHTTP, err
	}
	return nil, "", refuse(http.StatusUnsupportedMediaType, "Content-Type %.60q: send %s or %s", given, message.TypeSenMLJSON, message.TypeSenMLCBOR)
}

// allowed checks all messages before any is recorded.
func (h *HTTP) allowed(who *sender, all []message.Message, packets []Packet, sink Sink) error {
	var unknown error
	for i := range all {
		address := all[i].Address
		if !who.speaksFor(address) {
			return refuse(http.StatusForbidden, "the token of %s may not speak for %q", who.Name, address)
		}
		if told := packets[i].Told; told != nil && !h.cfg.Knows(told.Device) {
			sink.Unknown(packets[i])
			unknown = refuse(http.StatusUnprocessableEntity, "no device is registered for %q: add one with --kind vouched --address %q", address, address)
		}
	}
	if unknown != nil {
		return unknown
	}
	if !who.afford(h.cfg.Now(), len(all)) {
		return later(http.StatusTooManyRequests, fmt.Sprintf("%s sends over %v messages a second", who.Name, who.Rate))
	}
	return nil
}

func (s *sender) speaksFor(address string) bool {
	for _, glob := range s.Devices {
		if ok, _ := path.Match(glob, address); ok {
			return true
		}
	}
	return len(s.Devices) == 0
}

func (s *sender) afford(now time.Time, n int) bool {
	if s.Rate <= 0 {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for range n {
		if !s.budget.take(now, s.Rate, s.Burst) {
			return false
		}
	}
	return true
}

// packets are what is recorded of messages. A LoRaWAN payload that is a secure frame
// is one: what its tag proves, nobody needs to vouch for.
func (h *HTTP) packets(who *sender, key string, all []message.Message, body []byte, transport string) []Packet {
	out := make([]Packet, len(all))
	for i := range all {
		m := &all[i]
		if isFrame(m.Payload) {
			out[i] = Packet{Form: FormDatagram, Data: m.Payload, Transport: transport, Sender: who.Name}
			continue
		}
		told := &Told{
			Device: AddressID(m.Address), Address: m.Address, Measured: m.Measured, HasMeasured: m.HasMeasured, Measurements: m.Measurements,
		}
		name := key
		if m.ID != "" {
			name = m.ID
		}
		if name != "" {
			told.Once, told.Again = once(who.Name, name, i), true
		}
		out[i] = Packet{Form: FormTold, Data: body, Transport: transport, Told: told, Sender: who.Name}
	}
	return out
}

func isFrame(payload []byte) bool {
	f, err := frame.ParseDatagram(payload, new([frame.MaxWire]byte))
	return err == nil && f.Secure()
}

// once is the name of the message i of those that a sender calls so.
func once(who, name string, i int) [8]byte {
	sum := sha256.Sum256(fmt.Appendf(nil, "cairn/once/1%d:%s%d:%s%d", len(who), who, len(name), name, i))
	return [8]byte(sum[:8])
}

// fate is what Done was told of the packet i.
type fate struct {
	i        int
	verdict  reading.Verdict
	slot     uint64
	seq      uint64
	received int64
	err      error
}

// record puts packets into the intake and waits for all of them.
func (h *HTTP) record(r *http.Request, sink Sink, packets []Packet, all []message.Message) ([]result, error) {
	ctx, cancel := context.WithTimeout(r.Context(), h.cfg.Wait)
	defer cancel()
	done := make(chan fate, len(packets))
	results := make([]result, len(packets))
	whose := make([]uint32, len(packets)) // of a packet until its fate is known, then of whoever gets that
	for i := range packets {
		results[i].Device = AddressID(all[i].Address).String()
		packets[i].Whose = func(device uint32) { whose[i] = device }
		packets[i].Done = func(v reading.Verdict, slot, seq uint64, received int64, _ bool, err error) {
			done <- fate{i, v, slot, seq, received, err}
		}
		if err := sink.Put(ctx, packets[i]); err != nil {
			return nil, later(http.StatusServiceUnavailable, "the gateway is behind: send it again")
		}
	}
	var failed error
	for range packets {
		select {
		case o := <-done:
			if o.err != nil {
				failed = o.err
			}
			results[o.i].fill(&o)
			results[o.i].device = whose[o.i]
		case <-ctx.Done():
			return nil, later(http.StatusServiceUnavailable, "it is not known yet whether all of it was recorded: send it again, with the same Idempotency-Key")
		}
	}
	if failed != nil {
		return nil, later(http.StatusServiceUnavailable, "not all of it was recorded: send it again, with the same Idempotency-Key")
	}
	return results, nil
}

func (x *result) fill(o *fate) {
	x.Verdict, x.Stream, x.Sequence = o.verdict.String(), o.slot, o.seq
	if o.received > 0 {
		x.Received = time.UnixMilli(o.received).UTC().Format("2006-01-02T15:04:05.000Z07:00")
	}
}
