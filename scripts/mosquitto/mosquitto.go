// Package mosquitto runs Debian's MQTT broker for the length of a test, on loopback alone. It comes from
// scripts/tools.sh, which is run if it is not there yet.
package mosquitto

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"cairn/scripts/tool"
)

const (
	path         = "/usr/sbin/mosquitto"
	passwords    = "/usr/bin/mosquitto_passwd"
	startTimeout = 30 * time.Second
	pollEvery    = 20 * time.Millisecond
)

// Broker is a running broker. What of its state Save has written survives Kill.
type Broker struct {
	// URL is its address, mqtt:// or with TLS mqtts://; it stays the same across Kill and Resume.
	URL string
	// CAFile is with TLS the file of the authority that vouches for it.
	CAFile string
	// CertFile and KeyFile are what a client shows, where one must.
	CertFile, KeyFile string

	t       testing.TB
	dir     string
	address string
	config  string
	run     *tool.Process
}

// Options say how a broker starts.
type Options struct {
	User, Password string // who alone may connect; empty: anyone
	TLS            bool
	Certificates   bool // with TLS: clients must show the one that is made for them
	Port           int  // 0: any
}

// Start starts a broker and ends it when the test ends. If the test failed, its output goes to the test's log.
func Start(t testing.TB, o Options) *Broker {
	t.Helper()
	if _, err := os.Stat(path); err != nil {
		if _, err := tool.Dir(); err != nil {
			t.Fatalf("mosquitto: %v", err)
		}
	}
	b := &Broker{t: t, dir: t.TempDir()}
	if err := b.configure(o); err != nil {
		t.Fatalf("mosquitto: %v", err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("mosquitto:\n%s", b.run.Output())
		}
		b.Kill()
	})
	b.Resume()
	return b
}

func (b *Broker) configure(o Options) error {
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", o.Port))
	if err != nil {
		return err
	}
	b.address = l.Addr().String()
	l.Close()
	_, port, _ := net.SplitHostPort(b.address)
	b.URL = "mqtt://" + b.address
	text := fmt.Sprintf("listener %s 127.0.0.1\nuser root\npersistence true\npersistence_location %s/\n"+
		"max_queued_messages 0\nallow_anonymous %v\n", port, b.dir, o.User == "")
	if o.User != "" {
		file := filepath.Join(b.dir, "passwords")
		if out, err := exec.Command(passwords, "-c", "-b", file, o.User, o.Password).CombinedOutput(); err != nil {
			return fmt.Errorf("passwords: %w: %s", err, out)
		}
		text += "password_file " + file + "\n"
	}
	if o.TLS {
		b.URL = "mqtts://" + b.address
		var key string
		if b.CAFile, key, err = b.certify("broker"); err != nil {
			return err
		}
		text += fmt.Sprintf("certfile %s\nkeyfile %s\n", b.CAFile, key)
	}
	if o.Certificates {
		if b.CertFile, b.KeyFile, err = b.certify("client"); err != nil {
			return err
		}
		text += fmt.Sprintf("cafile %s\nrequire_certificate true\n", b.CertFile)
	}
	b.config = filepath.Join(b.dir, "mosquitto.conf")
	return os.WriteFile(b.config, []byte(text), 0o600)
}

// certify makes a certificate that vouches for itself, and its key.
func (b *Broker) certify(name string) (certificate, keyFile string, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", "", err
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name + " of a test"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return "", "", err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return "", "", err
	}
	certificate, keyFile = filepath.Join(b.dir, name+".pem"), filepath.Join(b.dir, name+".key")
	if err := os.WriteFile(certificate, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644); err != nil {
		return "", "", err
	}
	return certificate, keyFile, os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}), 0o600)
}

// Output is what the broker has logged since it was started.
func (b *Broker) Output() string { return b.run.Output() }

// Kill ends the broker at once.
func (b *Broker) Kill() {
	if b.run != nil {
		b.run.Kill()
		<-b.run.Done
	}
}

// Save makes the broker write its state, and waits until it is on disk.
func (b *Broker) Save() {
	b.t.Helper()
	file := filepath.Join(b.dir, "mosquitto.db")
	was := time.Now()
	if err := b.run.Signal(syscall.SIGUSR1); err != nil {
		b.t.Fatalf("mosquitto: %v", err)
	}
	for time.Since(was) < startTimeout {
		if info, err := os.Stat(file); err == nil && info.ModTime().After(was) {
			return
		}
		<-time.After(pollEvery)
	}
	b.t.Error("mosquitto: its state was not written")
}

// Resume starts the broker again after Kill, with what it had on disk.
func (b *Broker) Resume() {
	b.t.Helper()
	var err error
	if b.run, err = tool.Start(path, []string{"-c", b.config}, nil); err != nil {
		b.t.Fatalf("mosquitto: %v", err)
	}
	begun := time.Now()
	for time.Since(begun) < startTimeout {
		c, err := net.Dial("tcp", b.address)
		if err == nil {
			c.Close()
			return
		}
		select {
		case <-b.run.Done:
			b.t.Fatalf("mosquitto: it ended:\n%s", b.run.Output())
		case <-time.After(pollEvery):
		}
	}
	b.t.Fatalf("mosquitto: it does not listen:\n%s", b.run.Output())
}
