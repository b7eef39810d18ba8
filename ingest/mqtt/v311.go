package mqtt

import (
	"context"
	"errors"
	"fmt"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
)

// client311 speaks MQTT 3.1.1.
type client311 struct{ s *Source }

const (
	refusedTopic = 0x80 // a return code of SUBACK (MQTT 3.1.1 section 3.9.3)
	leaveWithin  = 250  // milliseconds for a last DISCONNECT
)

// run connects anew whenever the connection is gone.
func (c client311) run(ctx context.Context, take func(*delivery), tell func(error)) error {
	for n := 0; ; n++ {
		up, err := c.connection(ctx, take, tell)
		if ctx.Err() != nil {
			return nil
		}
		tell(err)
		if up {
			n = 0
		}
		wait := time.NewTimer(pause(n))
		select {
		case <-ctx.Done():
			wait.Stop()
			return nil
		case <-wait.C:
		}
	}
}

// connection is one connection, from its beginning to its end.
func (c client311) connection(ctx context.Context, take func(*delivery), tell func(error)) (up bool, err error) {
	cfg, server := &c.s.cfg, *c.s.broker
	if server.Scheme == "mqtts" {
		server.Scheme = "tls"
	}
	lost := make(chan error, 1)
	o := paho.NewClientOptions().AddBroker(server.String()).SetProtocolVersion(4).
		SetClientID(cfg.ClientID).SetCleanSession(false).SetAutoReconnect(false).SetAutoAckDisabled(true).
		SetKeepAlive(keepAlive).SetConnectTimeout(connectTimeout).SetWriteTimeout(connectTimeout).
		SetOrderMatters(true).
		SetDefaultPublishHandler(func(_ paho.Client, m paho.Message) {
			take(&delivery{
				topic: m.Topic(), payload: m.Payload(), id: m.MessageID(), qos: m.Qos(), again: m.Duplicate(), retain: m.Retained(), ack: m.Ack,
			})
		}).
		SetConnectionLostHandler(func(_ paho.Client, err error) { lost <- err })
	if cfg.Username != "" {
		o.SetUsername(cfg.Username).SetPassword(string(cfg.Password))
	}
	if cfg.TLS != nil {
		o.SetTLSConfig(cfg.TLS)
	}
	client := paho.NewClient(o)
	defer client.Disconnect(leaveWithin)
	if err := wait(ctx, client.Connect()); err != nil {
		return false, fmt.Errorf("the broker cannot be reached: %w", err)
	}
	filters := map[string]byte{}
	for _, f := range c.s.filters {
		filters[f] = qos
	}
	sub := client.SubscribeMultiple(filters, nil)
	if err := wait(ctx, sub); err != nil {
		return false, fmt.Errorf("the broker refuses a topic: %w", err)
	}
	for f, code := range sub.(*paho.SubscribeToken).Result() {
		if code == refusedTopic {
			return false, fmt.Errorf("the broker refuses the topic %s", f)
		}
	}
	tell(nil)
	select {
	case <-ctx.Done():
		return true, nil
	case err := <-lost:
		return true, fmt.Errorf("the connection to the broker is gone: %w", err)
	}
}

var errNoAnswer = errors.New("no answer")

// wait waits for an answer.
func wait(ctx context.Context, t paho.Token) error {
	late := time.NewTimer(connectTimeout)
	defer late.Stop()
	select {
	case <-t.Done():
		return t.Error()
	case <-late.C:
		return errNoAnswer
	case <-ctx.Done():
		return ctx.Err()
	}
}
