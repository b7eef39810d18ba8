package mirror

import (
	"context"
	"crypto/sha256"
	"io"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"cairn/merkle"
	"cairn/merkle/ledger"
	"cairn/store"
)

// large is a source of one large object, and the access to it.
type large struct{ Source }

func (large) Object(context.Context, uint64, store.ObjectRef) ([]byte, error) {
	return make([]byte, 4<<20), nil
}
func (large) Full(*http.Request) bool                        { return false }
func (large) Now() time.Time                                 { return time.Now() }
func (large) Grants(context.Context) ([]ledger.Grant, error) { return []ledger.Grant{largeGrant}, nil }
func (large) Listing(context.Context, uint64) (store.GroupRef, []store.ObjectRef, error) {
	return store.GroupRef{}, nil, ErrNotFound
}

var largeGrant = ledger.Grant{Mirror: true, Token: sha256.Sum256([]byte("token"))}

// oneConn is a listener with one connection.
type oneConn struct {
	net.Conn
	conns chan net.Conn
}

func (l *oneConn) Accept() (net.Conn, error) {
	c, ok := <-l.conns
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}
func (l *oneConn) Close() error   { return nil }
func (l *oneConn) Addr() net.Addr { return l.LocalAddr() }

// Whoever asks and does not read the answer has a place for a while, not for ever.
func TestStalledReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, conn := net.Pipe()
		over := make(chan time.Duration, 1)
		h := Handler(large{}, large{})
		server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			began := time.Now()
			h.ServeHTTP(w, r)
			over <- time.Since(began)
		})}
		l := &oneConn{conn, make(chan net.Conn, 1)}
		l.conns <- conn
		served := make(chan error, 1)
		go func() { served <- server.Serve(l) }()
		path := "/sealed/0/" + merkle.Hash{1}.String()
		if _, err := io.WriteString(client, "GET "+path+" HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer token\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(client, make([]byte, 1000)); err != nil {
			t.Fatal(err)
		}
		select {
		case took := <-over:
			if took > 2*patience {
				t.Errorf("it was given up after %v, want some %v", took, patience)
			}
		case <-time.After(time.Hour):
			t.Error("after an hour the request still has its place")
		}
		client.Close()
		close(l.conns)
		<-served
		server.Close()
	})
}
