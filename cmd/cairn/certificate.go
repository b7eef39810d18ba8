package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"

	"github.com/spf13/cobra"
)

// serverTLS is what HTTPS is served with, nil for HTTP.
func (c *Config) serverTLS(log *slog.Logger) (*tls.Config, error) {
	if c.HTTPCertFile == "" {
		return nil, nil
	}
	return (&certificateFiles{cert: c.HTTPCertFile, key: c.HTTPKeyFile, names: [2]string{"http.certificate_file", "http.key_file"}, log: log}).config()
}

// tlsFlags are what a command that serves something is told of TLS.
type tlsFlags struct {
	cert, key string
	proxy     bool // ends TLS
}

func (f *tlsFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.cert, "certificate-file", "", "with --listen: file with the certificate chain (PEM) to serve HTTPS with; read again when it changes")
	cmd.Flags().StringVar(&f.key, "key-file", "", "file with its key (PEM, mode 0600)")
	cmd.MarkFlagsRequiredTogether("certificate-file", "key-file")
}

// listen listens for HTTPS, or for HTTP without a certificate.
func (f *tlsFlags) listen(address string, log *slog.Logger) (net.Listener, error) {
	var cfg *tls.Config
	if f.cert != "" {
		var err error
		if cfg, err = (&certificateFiles{cert: f.cert, key: f.key, names: [2]string{"--certificate-file", "--key-file"}, log: log}).config(); err != nil {
			return nil, err
		}
	}
	on, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("--listen: %w", err)
	}
	if cfg != nil {
		on = tls.NewListener(on, cfg)
	}
	return on, nil
}

// certificateFiles are a certificate and its key, which are read again when one of them
// changes: who renews them need not restart the service. What cannot be used leaves the
// one before in its place.
type certificateFiles struct {
	cert, key string
	names     [2]string // of the settings that name them
	log       *slog.Logger

	mu    sync.Mutex // covers all below
	now   *tls.Certificate
	stamp [2]fileStamp
}

// config reads the files. A client may show a certificate: whose it is, those who
// pinned it know.
func (f *certificateFiles) config() (*tls.Config, error) {
	if err := f.read(); err != nil {
		return nil, err
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: f.get, ClientAuth: tls.RequestClientCert}, nil
}

// fileStamp tells a file that was changed from what it was.
type fileStamp struct {
	size    int64
	changed time.Time
}

func (f *certificateFiles) stamps() (s [2]fileStamp, err error) {
	for i, path := range []string{f.cert, f.key} {
		info, failed := os.Stat(path)
		if err = errors.Join(err, failed); failed == nil {
			s[i] = fileStamp{info.Size(), info.ModTime()}
		}
	}
	return s, err
}

// read reads both files.
func (f *certificateFiles) read() error {
	var err error
	if f.stamp, err = f.stamps(); err != nil {
		return fmt.Errorf("%s: %w", f.names[0], err)
	}
	if err := ownerOnly(f.key); err != nil {
		return fmt.Errorf("%s: %w", f.names[1], err)
	}
	pair, err := tls.LoadX509KeyPair(f.cert, f.key)
	if err != nil {
		return fmt.Errorf("%s: %w", f.names[0], err)
	}
	f.now = &pair
	return nil
}

// get gives the certificate for a connection.
func (f *certificateFiles) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if s, _ := f.stamps(); s == f.stamp {
		return f.now, nil
	}
	if err := f.read(); err != nil {
		f.log.Error("the certificate files have changed and cannot be used: the certificate stays as it was", "error", err)
	} else {
		f.log.Info("serving another certificate", "until", f.now.Leaf.NotAfter.UTC())
	}
	return f.now, nil
}
