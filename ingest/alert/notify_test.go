package alert

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var notice = Notice{
	ID: "ab-7", News: Raised, Site: "ab site", Alert: 7, Rule: "fridge warm", Device: "fridge-1", DeviceID: "80c1a29384b5d6e7",
	What: "T 9.5 Cel, above 8", At: "2026-11-20T18:00:00Z",
}

// answers is a server that answers with codes in turn, and keeps the last request.
func answers(t *testing.T, codes ...int) (url string, last *http.Request, body *bytes.Buffer) {
	t.Helper()
	last, body = new(http.Request), new(bytes.Buffer)
	n := 0
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		*last = *r
		body.Reset()
		if _, err := io.Copy(body, r.Body); err != nil {
			t.Error(err)
		}
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(codes[min(n, len(codes)-1)])
		n++
	}))
	t.Cleanup(s.Close)
	return s.URL + "/secret-path", last, body
}

func TestWebhook(t *testing.T) {
	url, r, body := answers(t, 204, 302, 410, 429, 503)
	w := &Webhook{URL: url, Secret: []byte("0123456789abcdef")}
	if err := w.Notify(t.Context(), notice); err != nil {
		t.Fatal(err)
	}
	var got Notice
	if err := json.Unmarshal(body.Bytes(), &got); err != nil || got != notice {
		t.Errorf("got %+v, %v", got, err)
	}
	signature := r.Header.Get(HeaderSignature)
	var unix int64
	at, _, _ := strings.Cut(strings.TrimPrefix(signature, "t="), ",")
	if err := json.Unmarshal([]byte(at), &unix); err != nil || time.Since(time.Unix(unix, 0)).Abs() > time.Minute {
		t.Errorf("signed at %s", at)
	}
	if signature != Sign(w.Secret, unix, body.Bytes()) || r.Header.Get(HeaderDelivery) != "ab-7" {
		t.Errorf("headers %v", r.Header)
	}
	for _, refused := range []bool{false, true, false, false} {
		err := w.Notify(t.Context(), notice)
		if err == nil || errors.Is(err, ErrRefused) != refused || strings.Contains(err.Error(), "secret") {
			t.Errorf("got %v, refused: want %v", err, refused)
		}
		if r.URL.Path == "/elsewhere" {
			t.Error("it went elsewhere")
		}
	}
	gone := &Webhook{URL: "http://127.0.0.1:1/secret-path"}
	if err := gone.Notify(t.Context(), notice); err == nil || errors.Is(err, ErrRefused) || strings.Contains(err.Error(), "secret") {
		t.Errorf("nobody listens: %v", err)
	}
}

// TestSign holds the signature against what openssl dgst -sha256 -hmac says.
func TestSign(t *testing.T) {
	const want = "t=1700000000,v1=9d713ed406bb7076d4123f0dc2c39d2df5c654ed4b0cd56b52c8b4c940bd63ae"
	if got := Sign([]byte("key"), 1700000000, []byte("{}")); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestNtfy(t *testing.T) {
	url, r, body := answers(t, 200)
	x := &Ntfy{URL: url, Token: "tk_secret"}
	n := notice
	n.Device = "Kühlschrank"
	if err := x.Notify(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	if h := r.Header; h.Get("Title") != "=?utf-8?q?raised:_fridge_warm_(K=C3=BChlschrank)?=" || h.Get("Priority") != "high" || h.Get("Authorization") != "Bearer tk_secret" {
		t.Errorf("headers %v", h)
	}
	if !strings.Contains(body.String(), "T 9.5 Cel, above 8") || !strings.Contains(body.String(), "Kühlschrank") {
		t.Errorf("body %s", body)
	}
}

func TestCommand(t *testing.T) {
	dir := t.TempDir()
	script := filepath.Join(dir, "lamp")
	run := func(text string, limit time.Duration) error {
		t.Helper()
		if err := os.WriteFile(script, []byte("#!/bin/sh\n"+text), 0o700); err != nil {
			t.Fatal(err)
		}
		return (&Command{Argv: []string{"/bin/sh", script, "a b"}, Path: "/usr/bin:/bin", Timeout: limit}).Notify(t.Context(), notice)
	}
	out := filepath.Join(dir, "out")
	t.Setenv("SECRET", "s3cret")
	if err := run(`{ echo "$1|$CAIRN_NEWS|$CAIRN_RULE|$CAIRN_ALERT|$SECRET"; cat; } >`+out, 0); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(out)
	if err != nil || !strings.HasPrefix(string(got), "a b|raised|fridge warm|7|\n{\"id\":\"ab-7\"") {
		t.Errorf("got %s, %v", got, err)
	}
	if err := run("echo no lamp here >&2; exit 3", 0); err == nil || !strings.Contains(err.Error(), "no lamp here") || !strings.Contains(err.Error(), "exit status 3") {
		t.Errorf("a program that fails: %v", err)
	}
	if err := run("yes | head -c 1000000; exit 1", 0); err == nil || len(err.Error()) > 2*maxOutput {
		t.Errorf("a program that talks: %d bytes", len(err.Error()))
	}
	begun := time.Now()
	if err := run("sleep 60 & sleep 60", 100*time.Millisecond); err == nil || !strings.Contains(err.Error(), "did not end within") {
		t.Errorf("a program that does not end: %v", err)
	}
	if took := time.Since(begun); took > 20*time.Second {
		t.Errorf("it was waited for: %v", took)
	}
}

// smtpServer is Debian's aiosmtpd, which writes each mail to standard output.
const smtpServer = `
import asyncio, os, ssl, sys, threading
from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword
class Handler:
    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("nobody"):
            return "550 no such user"
        envelope.rcpt_tos.append(address)
        return "250 OK"
    async def handle_DATA(self, server, session, envelope):
        print("MAIL", envelope.mail_from, ",".join(envelope.rcpt_tos), "tls" if session.ssl else "plain", session.authenticated)
        print(envelope.content.decode("utf8", "replace").replace("\r\n", "\n"), end="")
        print("END", flush=True)
        return "250 OK"
def auth(server, session, envelope, mechanism, data):
    ok = isinstance(data, LoginPassword) and data.login == b"gateway" and data.password == b"mail-s3cret"
    return AuthResult(success=ok, handled=ok)
context = None
if len(sys.argv) > 1:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[1], sys.argv[2])
def leave():
    sys.stdin.read()
    os._exit(0)
async def main():
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(Handler(), tls_context=context, authenticator=auth, auth_require_tls=True,
        auth_required=context is not None, loop=loop), "127.0.0.1", 0)
    print("PORT", server.sockets[0].getsockname()[1], flush=True)
    threading.Thread(target=leave, daemon=True).start()
    await server.serve_forever()
asyncio.run(main())
`

// smtp starts the server; next gives the lines of the next mail.
func smtp(t *testing.T, args ...string) (port int, next func() []string) {
	t.Helper()
	cmd := exec.Command("/usr/bin/python3", append([]string{"-c", smtpServer}, args...)...)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	t.Cleanup(func() {
		in.Close()
		if err := cmd.Wait(); err != nil || t.Failed() {
			t.Logf("smtp server: %v: %s", err, &stderr)
		}
	})
	if !lines.Scan() || !strings.HasPrefix(lines.Text(), "PORT ") {
		in.Close()
		t.Fatalf("the mail server does not start: apt-get install python3-aiosmtpd: %s", &stderr)
	}
	if err := json.Unmarshal([]byte(lines.Text()[5:]), &port); err != nil {
		t.Fatal(err)
	}
	return port, func() (all []string) {
		for lines.Scan() && lines.Text() != "END" {
			all = append(all, lines.Text())
		}
		return all
	}
}

func TestEmail(t *testing.T) {
	dir := t.TempDir()
	pool := certificate(t, dir)
	port, next := smtp(t, filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"))
	e := &Email{
		Host: "127.0.0.1", Port: port, From: "gateway@example.com", To: []string{"cook@example.com", "office@example.com"},
		Username: "gateway", Password: "mail-s3cret", TLS: TLSStart, TLSConfig: &tls.Config{ServerName: "127.0.0.1", RootCAs: pool, MinVersion: tls.VersionTLS12},
	}
	n := notice
	n.Device = "Kühlschrank"
	if err := e.Notify(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	mail := next()
	if len(mail) == 0 || mail[0] != "MAIL gateway@example.com cook@example.com,office@example.com tls True" {
		t.Errorf("got %q", mail)
	}
	whole := strings.Join(mail, "\n")
	for _, want := range []string{"Message-ID: <ab-7@cairn>", "Auto-Submitted: auto-generated", "T 9.5 Cel, above 8", "=?UTF-8?q?raised"} {
		if !strings.Contains(whole, want) {
			t.Errorf("no %q in\n%s", want, whole)
		}
	}
	for name, change := range map[string]func(*Email){
		"a wrong password":      func(e *Email) { e.Password = "mail-wrong" },
		"another's certificate": func(e *Email) { e.TLSConfig = nil },
		"a header in a header":  func(e *Email) { e.From = "a@example.com>\r\nBcc: b@example.com" },
	} {
		other := *e
		change(&other)
		if err := other.Notify(t.Context(), n); err == nil || strings.Contains(err.Error(), "mail-wrong") {
			t.Errorf("%s: %v", name, err)
		}
	}
	nobody := *e
	nobody.To = []string{"nobody@example.com"}
	if err := nobody.Notify(t.Context(), n); !errors.Is(err, ErrRefused) {
		t.Errorf("nobody: %v", err)
	}

	plainPort, plainNext := smtp(t)
	plain := &Email{Host: "127.0.0.1", Port: plainPort, From: e.From, To: e.To, TLS: TLSStart}
	if err := plain.Notify(t.Context(), n); err == nil {
		t.Error("a server without TLS was taken")
	}
	plain.TLS = TLSNever
	if err := plain.Notify(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	if mail := plainNext(); len(mail) == 0 || !strings.Contains(mail[0], " plain ") {
		t.Errorf("got %q", mail)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := plain.Notify(ctx, n); err == nil {
		t.Error("sent after the end")
	}
}

// certificate writes one that vouches for itself.
func certificate(t *testing.T, dir string) *x509.CertPool {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	pool.AppendCertsFromPEM(text)
	for name, b := range map[string][]byte{"cert.pem": text, "key.pem": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})} {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return pool
}
