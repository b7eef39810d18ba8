package mqtt

import (
	"context"
	"fmt"

	paho "github.com/eclipse/paho.mqtt.golang"
)

// Publish publishes one message with QoS 1 at the broker of cfg, over a connection of its
// own and a session that is not kept. It returns when the broker has acknowledged it.
// What it speaks is 3.1.1, which brokers of version 5 speak too.
func Publish(ctx context.Context, cfg Config, topic string, payload []byte) error {
	broker, err := ParseBroker(cfg.Broker)
	if err != nil {
		return err
	}
	if broker.Scheme == "mqtts" {
		broker.Scheme = "tls"
	}
	o := paho.NewClientOptions().AddBroker(broker.String()).SetProtocolVersion(4).SetCleanSession(true).
		SetAutoReconnect(false).SetConnectTimeout(connectTimeout).SetWriteTimeout(connectTimeout)
	if cfg.Username != "" {
		o.SetUsername(cfg.Username).SetPassword(string(cfg.Password))
	}
	if cfg.TLS != nil {
		o.SetTLSConfig(cfg.TLS)
	}
	c := paho.NewClient(o)
	defer c.Disconnect(leaveWithin)
	if err := wait(ctx, c.Connect()); err != nil {
		return fmt.Errorf("mqtt: the broker cannot be reached: %w", err)
	}
	if err := wait(ctx, c.Publish(topic, qos, false, payload)); err != nil {
		return fmt.Errorf("mqtt: publish at %s: %w", topic, err)
	}
	return nil
}
