package mqtt

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"sync"
	"time"

	"github.com/eclipse/paho.golang/autopaho"
	"github.com/eclipse/paho.golang/paho"

	"cairn/ingest/message"
)

// client5 speaks MQTT 5.
type client5 struct{ s *Source }

const (
	// maxPacket is the longest packet that a broker may send: a payload with its topic
	// and properties.
	maxPacket = message.MaxBody + 8<<10
	// ackEvery is how often acknowledgements are sent on.
	ackEvery = 5 * time.Millisecond
	// retainNever asks for no retained messages (MQTT 5.0 section 3.8.3.1).
	retainNever = 2
)

func (c client5) run(ctx context.Context, take func(*delivery), tell func(error)) error {
	cfg := &c.s.cfg
	var told sync.Mutex // callbacks come on goroutines of the library's
	say := func(err error) {
		told.Lock()
		defer told.Unlock()
		tell(err)
	}
	server := *c.s.broker
	if server.Scheme == "mqtts" {
		server.Scheme = "tls"
	}
	manager, err := autopaho.NewConnection(ctx, autopaho.ClientConfig{
		ServerUrls: []*url.URL{&server}, TlsCfg: cfg.TLS, KeepAlive: uint16(keepAlive / time.Second),
		SessionExpiryInterval: uint32(min(cfg.Session/time.Second, 1<<32-2)),
		ReconnectBackoff:      func(n int) time.Duration { return pause(n) }, ConnectTimeout: connectTimeout,
		ConnectUsername: cfg.Username, ConnectPassword: cfg.Password,
		ConnectPacketBuilder: func(p *paho.Connect, _ *url.URL) (*paho.Connect, error) {
			flight, packet := uint16(cfg.InFlight), uint32(maxPacket)
			p.Properties.ReceiveMaximum, p.Properties.MaximumPacketSize = &flight, &packet
			return p, nil
		},
		OnConnectionUp: func(m *autopaho.ConnectionManager, _ *paho.Connack) {
			go func() { say(c.subscribe(ctx, m)) }()
		},
		OnConnectionDown: func() bool { say(errors.New("the connection to the broker is gone")); return true },
		OnConnectError:   func(err error) { say(fmt.Errorf("the broker cannot be reached: %w", err)) },
		ClientConfig: paho.ClientConfig{
			ClientID: cfg.ClientID, EnableManualAcknowledgment: true, SendAcksInterval: ackEvery,
			OnPublishReceived: []func(paho.PublishReceived) (bool, error){func(p paho.PublishReceived) (bool, error) {
				m := p.Packet
				take(&delivery{
					topic: m.Topic, payload: m.Payload, id: m.PacketID, qos: m.QoS, again: m.Duplicate(), retain: m.Retain,
					ack: func() { _ = p.Client.Ack(m) }, // on another connection it comes again
				})
				return true, nil
			}},
		},
	})
	if err != nil {
		return fmt.Errorf("mqtt: %w", err)
	}
	<-ctx.Done()
	<-manager.Done()
	return nil
}

// subscribe asks for the topics; the broker may refuse some.
func (c client5) subscribe(ctx context.Context, m *autopaho.ConnectionManager) error {
	var want paho.Subscribe
	for _, f := range c.s.filters {
		want.Subscriptions = append(want.Subscriptions, paho.SubscribeOptions{Topic: f, QoS: qos, RetainHandling: retainNever})
	}
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	if _, err := m.Subscribe(ctx, &want); err != nil {
		return fmt.Errorf("the broker refuses a topic: %w", err)
	}
	return nil
}
