package mqtt

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"fmt"
	"net"
	"net/url"
	"time"

	"github.com/eclipse/paho.golang/packets"
	paho5 "github.com/eclipse/paho.golang/paho"
	paho "github.com/eclipse/paho.mqtt.golang"
)

// Publish publishes one message with QoS 1 at the broker of cfg, in its version, over a
// connection of its own and a session that is not kept. It returns when the broker has
// acknowledged it. Its client identifier is nobody else's, not the [Source]'s of that
// broker either: the broker would end the other's connection. Without one it draws one.
func Publish(ctx context.Context, cfg Config, topic string, payload []byte) error {
	return visit(ctx, cfg, &letter{topic, payload})
}

// Check logs in at the broker of cfg as [Publish] does, and leaves again. It says nothing
// about which topics the login may read.
func Check(ctx context.Context, cfg Config) error { return visit(ctx, cfg, nil) }

// letter is what is published.
type letter struct {
	topic   string
	payload []byte
}

// visit logs in, publishes m unless it is nil, and leaves.
func visit(ctx context.Context, cfg Config, m *letter) error {
	broker, err := ParseBroker(cfg.Broker)
	if err != nil {
		return err
	}
	if cfg.ClientID == "" || cfg.Version == Version311 && len(cfg.ClientID) > maxClientID {
		var b [8]byte
		_, _ = rand.Read(b[:]) // it never fails
		cfg.ClientID = "cairn-" + hex.EncodeToString(b[:])
	}
	ctx, cancel := context.WithTimeout(ctx, 2*connectTimeout)
	defer cancel()
	if cfg.Version == Version311 {
		return visit311(ctx, &cfg, broker, m)
	}
	return visit5(ctx, &cfg, broker, m)
}

func visit5(ctx context.Context, cfg *Config, broker *url.URL, m *letter) error {
	conn, err := dial(ctx, cfg, broker)
	if err != nil {
		return fmt.Errorf("mqtt: the broker cannot be reached: %w", err)
	}
	c := paho5.NewClient(paho5.ClientConfig{ClientID: cfg.ClientID, Conn: packets.NewThreadSafeConn(conn), PacketTimeout: connectTimeout})
	hello := &paho5.Connect{ClientID: cfg.ClientID, KeepAlive: uint16(keepAlive / time.Second), CleanStart: true}
	if cfg.Username != "" {
		hello.UsernameFlag, hello.Username, hello.PasswordFlag, hello.Password = true, cfg.Username, true, cfg.Password
	}
	if _, err := c.Connect(ctx, hello); err != nil {
		conn.Close()
		return fmt.Errorf("mqtt: the broker cannot be reached: %w", err)
	}
	if m != nil {
		_, err = c.Publish(ctx, &paho5.Publish{QoS: qos, Topic: m.topic, Payload: m.payload})
	}
	_ = c.Disconnect(&paho5.Disconnect{}) // it has the message, or has it not
	<-c.Done()
	if err != nil {
		return fmt.Errorf("mqtt: publish at %s: %w", m.topic, err)
	}
	return nil
}

func dial(ctx context.Context, cfg *Config, broker *url.URL) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	if broker.Scheme == "mqtts" {
		d := tls.Dialer{Config: cfg.TLS}
		return d.DialContext(ctx, "tcp", broker.Host)
	}
	var d net.Dialer
	return d.DialContext(ctx, "tcp", broker.Host)
}

func visit311(ctx context.Context, cfg *Config, broker *url.URL, m *letter) error {
	server := *broker
	if server.Scheme == "mqtts" {
		server.Scheme = "tls"
	}
	o := paho.NewClientOptions().AddBroker(server.String()).SetProtocolVersion(4).SetClientID(cfg.ClientID).SetCleanSession(true).
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
	if m == nil {
		return nil
	}
	if err := wait(ctx, c.Publish(m.topic, qos, false, m.payload)); err != nil {
		return fmt.Errorf("mqtt: publish at %s: %w", m.topic, err)
	}
	return nil
}
