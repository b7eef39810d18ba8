package mqtt

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"time"

	"cairn/ingest"
	"cairn/ingest/frame"
	"cairn/ingest/message"
	"cairn/ingest/reading"
)

// Versions of the protocol.
const (
	Version5   = "5"
	Version311 = "3.1.1"
)

const (
	// DefaultInFlight is how many messages are not acknowledged at once.
	DefaultInFlight = 256
	maxInFlight     = 1 << 14
	// DefaultSession is how long a broker of version 5 keeps what comes while the
	// gateway is away. One of 3.1.1 has its own mind.
	DefaultSession = 7 * 24 * time.Hour

	keepAlive      = 30 * time.Second
	connectTimeout = 10 * time.Second
	retryFirst     = time.Second
	retryMost      = 30 * time.Second
	qos            = 1
	maxClientID    = 23 // that every broker of 3.1.1 takes
)

// Config is a broker's. What may be left zero has a default.
type Config struct {
	Name     string // of the source; default "mqtt"
	Broker   string // mqtt://host:port, or mqtts:// for TLS
	Version  string // default Version5
	ClientID string // fixed, and of nobody else at that broker
	Username string
	Password []byte
	TLS      *tls.Config // of mqtts; default: the system's authorities
	Mappings []message.Mapping
	Topics   []string      // filters of payloads that are frames, beside those of the mappings
	InFlight int           // default DefaultInFlight
	Session  time.Duration // default DefaultSession
}

// Source is a client of one broker.
type Source struct {
	cfg     Config
	broker  *url.URL
	filters []string
}

// New returns a source. The broker is asked for nothing before it runs.
func New(cfg Config) (*Source, error) {
	if cfg.Name == "" {
		cfg.Name = "mqtt"
	}
	if cfg.Version == "" {
		cfg.Version = Version5
	}
	if cfg.InFlight <= 0 {
		cfg.InFlight = DefaultInFlight
	}
	if cfg.Session <= 0 {
		cfg.Session = DefaultSession
	}
	s := &Source{cfg: cfg}
	var err error
	if s.broker, err = ParseBroker(cfg.Broker); err != nil {
		return nil, err
	}
	switch {
	case cfg.Version != Version5 && cfg.Version != Version311:
		return nil, fmt.Errorf("mqtt: version %.20q is neither %s nor %s", cfg.Version, Version5, Version311)
	case cfg.ClientID == "":
		return nil, errors.New("mqtt: a client identifier is needed: the broker keeps what was not acknowledged under it")
	case cfg.Version == Version311 && len(cfg.ClientID) > maxClientID:
		return nil, fmt.Errorf("mqtt: the client identifier %q has over %d bytes", cfg.ClientID, maxClientID)
	case cfg.InFlight > maxInFlight:
		return nil, fmt.Errorf("mqtt: %d messages in flight: at most %d", cfg.InFlight, maxInFlight)
	}
	for i := range cfg.Mappings {
		if err := cfg.Mappings[i].Check(); err != nil {
			return nil, fmt.Errorf("mqtt: %w", err)
		}
		s.filters = append(s.filters, cfg.Mappings[i].Filter())
	}
	s.filters = append(s.filters, cfg.Topics...)
	s.filters, err = apart(s.filters)
	return s, err
}

// ParseBroker reads a broker's URL: mqtt or mqtts, a host, and no more than a port.
// The port is 1883 or 8883 if none is given.
func ParseBroker(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || u.Hostname() == "" || u.Scheme != "mqtt" && u.Scheme != "mqtts" {
		return nil, fmt.Errorf("mqtt: %.80q is no broker such as mqtts://broker.example.com:8883", text)
	}
	if u.User != nil {
		return nil, errors.New("mqtt: a broker's URL names no user and no password: give them apart")
	}
	if u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("mqtt: %.80q has more than a host and a port", text)
	}
	if u.Port() == "" {
		u.Host += map[string]string{"mqtt": ":1883", "mqtts": ":8883"}[u.Scheme]
	}
	return u, nil
}

// Name implements [ingest.Source].
func (s *Source) Name() string { return s.cfg.Name }

// delivery is one message as it came.
type delivery struct {
	topic   string
	payload []byte
	id      uint16 // packet identifier
	qos     byte
	again   bool // marked as a duplicate
	retain  bool
	ack     func()

	settled chan bool // has one value when it is known what became of it: whether to acknowledge
}

// client speaks one version of the protocol. It connects until ctx ends, gives what
// comes to take, in its order and one by one, and tells of its ups and downs.
type client interface {
	run(ctx context.Context, take func(*delivery), tell func(err error)) error
}

// Run implements [ingest.Source].
func (s *Source) Run(ctx context.Context, sink ingest.Sink) error {
	r := &run{s: s, ctx: ctx, sink: sink, arrived: make(chan *delivery, s.cfg.InFlight), acks: make(chan *delivery, s.cfg.InFlight)}
	var c client = client5{s}
	if s.cfg.Version == Version311 {
		c = client311{s}
	}
	done := make(chan struct{}, 2)
	go func() { r.record(); done <- struct{}{} }()
	go func() { r.acknowledge(); done <- struct{}{} }()
	err := c.run(ctx, r.take, r.tell)
	<-done
	<-done
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// run is one run of a source. A message goes from the client's reader over arrived to
// record, so that a full intake does not keep the client from answering pings, and in
// the same order over acks to acknowledge. Both channels hold what the broker may send
// unacknowledged; beyond that the reader waits.
type run struct {
	s       *Source
	ctx     context.Context
	sink    ingest.Sink
	arrived chan *delivery
	acks    chan *delivery
	up      bool // of the teller alone, as told
	told    bool // so is that
}

// tell is told why there is no connection, or nil when there is one again.
func (r *run) tell(err error) {
	up := err == nil
	if r.ctx.Err() != nil || r.told && up == r.up {
		return
	}
	r.told, r.up = true, up
	if up {
		r.sink.Tell(ingest.EventUp, "subscribed")
	} else {
		r.sink.Tell(ingest.EventDown, err.Error())
	}
}

// take takes a message from the client.
func (r *run) take(d *delivery) {
	if d.qos == 0 {
		if p, ok := r.packet(d); ok {
			r.sink.Offer(p) // its sender does not want to know
		}
		return
	}
	d.settled = make(chan bool, 1)
	select {
	case r.arrived <- d:
	case <-r.ctx.Done():
	}
}

// record puts messages into the intake.
func (r *run) record() {
	for {
		select {
		case <-r.ctx.Done():
			return
		case d := <-r.arrived:
			p, ok := r.packet(d)
			if !ok {
				d.settled <- true
			} else if r.put(d, p) != nil {
				return
			}
			select {
			case r.acks <- d:
			case <-r.ctx.Done():
				return
			}
		}
	}
}

// put puts a message's packet into the intake, which settles the message.
func (r *run) put(d *delivery, p ingest.Packet) error {
	p.Done = func(_ reading.Verdict, _, _ uint64, _ int64, _ bool, err error) { d.settled <- err == nil }
	return r.sink.Put(r.ctx, p)
}

// acknowledge acknowledges messages in the order of their arrival. One that could not
// be recorded, as when the disk is full, is tried until it can be: the broker would
// send it again only with another connection, and until then one message less at once.
func (r *run) acknowledge() {
	for {
		select {
		case <-r.ctx.Done():
			return
		case d := <-r.acks:
			select {
			case <-r.ctx.Done():
				return
			case ok := <-d.settled:
				if !ok && r.retry(d) != nil {
					return
				}
				d.ack()
			}
		}
	}
}

// retry puts a message into the intake until it is recorded or ctx ends. Whether the
// attempt that failed left it on disk is not known, so that it may have come before.
func (r *run) retry(d *delivery) error {
	d.again = true
	for {
		p, ok := r.packet(d)
		if !ok {
			return nil
		}
		if err := r.put(d, p); err != nil {
			return err
		}
		select {
		case <-r.ctx.Done():
			return r.ctx.Err()
		case ok := <-d.settled:
			if ok {
				return nil
			}
		}
		wait := time.NewTimer(pause(0)) // the intake is near
		select {
		case <-r.ctx.Done():
			wait.Stop()
			return r.ctx.Err()
		case <-wait.C:
		}
	}
}

// packet makes what is recorded of a message; not ok: it is no reading.
func (r *run) packet(d *delivery) (p ingest.Packet, ok bool) {
	if d.retain {
		return p, false
	}
	f, err := frame.ParseDatagram(d.payload, new([frame.MaxWire]byte))
	if err == nil && f.Secure() {
		return ingest.Packet{Form: ingest.FormDatagram, Data: d.payload, Transport: reading.TransportMQTT}, true
	}
	m, ok, err := r.s.read(d.topic, d.payload)
	switch {
	case err != nil:
		r.sink.Drop(ingest.MessageContent, 1)
		return p, false
	case !ok, len(m.Measurements) == 0:
		return p, false
	case !recordable(&m): // no committer would ever take it
		r.sink.Drop(ingest.MessageContent, 1)
		return p, false
	}
	told := &ingest.Told{
		Device: ingest.AddressID(m.Address), Address: m.Address, Measured: m.Measured, HasMeasured: m.HasMeasured, Measurements: m.Measurements,
	}
	if d.qos > 0 {
		told.Once, told.Again = once(r.s.cfg.ClientID, d), d.again
	}
	return ingest.Packet{Form: ingest.FormTold, Data: d.payload, Transport: reading.TransportMQTT, Told: told}, true
}

// recordable reports whether a reading can hold what a message says.
func recordable(m *message.Message) bool {
	x := reading.Reading{
		Device: ingest.AddressID(m.Address).String(), Clock: reading.Synced, Measurements: m.Measurements,
		Measured: m.Measured, HasMeasured: m.HasMeasured,
		Origin: reading.Origin{Transport: reading.TransportMQTT, Verdict: reading.Vouched},
	}
	return x.Validate() == nil
}

// read reads a payload by the first mapping that it is of.
func (s *Source) read(topic string, payload []byte) (m message.Message, ok bool, err error) {
	for i := range s.cfg.Mappings {
		if m, ok, err = s.cfg.Mappings[i].Read(topic, payload); ok {
			return m, true, err
		}
	}
	return m, false, nil
}

// once is the name of a message, which a redelivery has too.
func once(client string, d *delivery) [8]byte {
	b := fmt.Appendf(nil, "cairn/mqtt/1%d:%s%d:%s", len(client), client, len(d.topic), d.topic)
	sum := sha256.Sum256(append(binary.BigEndian.AppendUint16(b, d.id), d.payload...))
	return [8]byte(sum[:8])
}

// pause is how long to wait after the nth attempt, from 0, that failed in a row.
func pause(n int) time.Duration {
	d := retryMost
	if n < 5 {
		d = retryFirst << n
	}
	return d/2 + rand.N(d/2)
}
