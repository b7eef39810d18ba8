package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// serverTLS is what HTTPS is served with, nil for HTTP. A client may show a
// certificate: whose it is, those who pinned it know.
func (c *Config) serverTLS(log *slog.Logger) (*tls.Config, error) {
	if c.HTTPCertFile == "" {
		return nil, nil
	}
	f := &certificateFiles{cert: c.HTTPCertFile, key: c.HTTPKeyFile, log: log}
	if err := f.read(); err != nil {
		return nil, err
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: f.get, ClientAuth: tls.RequestClientCert}, nil
}

// certificateFiles are a certificate and its key, which are read again when one of them
// changes: who renews them need not restart the service. What cannot be used leaves the
// one before in its place.
type certificateFiles struct {
	cert, key string
	log       *slog.Logger

	mu    sync.Mutex // covers all below
	now   *tls.Certificate
	stamp [2]fileStamp
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
		return fmt.Errorf("http.certificate_file: %w", err)
	}
	if err := ownerOnly(f.key); err != nil {
		return fmt.Errorf("http.key_file: %w", err)
	}
	pair, err := tls.LoadX509KeyPair(f.cert, f.key)
	if err != nil {
		return fmt.Errorf("http.certificate_file: %w", err)
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
