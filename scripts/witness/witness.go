// Package witness runs transparency log witnesses that are not this project's for the length of a test: torchwood's
// litewitness, which comes from scripts/tools.sh, and that of transparency-dev, built from scripts/tools/tdwitness.
// They listen on loopback alone.
package witness

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"cairn/scripts/tool"
)

const (
	startTimeout = 30 * time.Second
	stopTimeout  = 10 * time.Second
)

// Witness is a running witness.
type Witness struct {
	URL  string // submission prefix
	VKey string // verifier key, of type 04

	t   testing.TB
	run *tool.Process
}

// StartLite starts litewitness under a name. It knows the logs with these verifier keys, and stops when the test
// ends; if the test failed, its output goes to the test's log.
func StartLite(t testing.TB, name string, logs ...string) *Witness {
	t.Helper()
	binary, err := tool.Find("litewitness")
	if err != nil {
		t.Fatalf("litewitness: %v", err)
	}
	dir := t.TempDir()
	db := filepath.Join(dir, "witness.db")
	if err := fillDatabase(db, logs); err != nil {
		t.Fatalf("litewitness: %v", err)
	}
	socket, key := startAgent(t)
	port := freePort(t)
	w := &Witness{t: t, URL: "http://" + port}
	w.start(binary, []string{
		"-name", name, "-db", db, "-ssh-agent", socket, "-listen", port, "-key", ssh.FingerprintSHA256(key),
	}, regexp.MustCompile(`msg="verifier key" vkey=(\S+)`), regexp.MustCompile(`msg=listening addr=(\S+)`))
	return w
}

// fillDatabase writes the logs where litewitness looks for them, as its own witnessctl would.
func fillDatabase(path string, logs []string) error {
	// Debian's interpreter has SQLite; whichever python3 comes first in the path may not.
	const script = `
import sqlite3, sys
db = sqlite3.connect(sys.argv[1])
db.executescript("""
	CREATE TABLE log (origin TEXT PRIMARY KEY, tree_size INTEGER NOT NULL, tree_hash TEXT NOT NULL);
	CREATE TABLE key (origin TEXT NOT NULL, key TEXT NOT NULL, FOREIGN KEY(origin) REFERENCES log(origin));
""")
for vkey in sys.argv[2:]:
	origin = vkey.split("+")[0]
	db.execute("INSERT OR IGNORE INTO log VALUES (?, 0, '47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=')", (origin,))
	db.execute("INSERT INTO key VALUES (?, ?)", (origin, vkey))
db.commit()
`
	out, err := exec.Command("/usr/bin/python3", append([]string{"-c", script, path}, logs...)...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("write its logs: %w\n%s", err, out)
	}
	return nil
}

// startAgent runs an SSH agent with one key, which is how litewitness wants to be given it.
func startAgent(t testing.TB) (socket string, key ssh.PublicKey) {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if key, err = ssh.NewPublicKey(public); err != nil {
		t.Fatal(err)
	}
	keys := agent.NewKeyring()
	if err := keys.Add(agent.AddedKey{PrivateKey: &private}); err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "agent") // a test's own folder may be too long for a socket's path
	if err != nil {
		t.Fatal(err)
	}
	socket = filepath.Join(dir, "s")
	on, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := on.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer conn.Close()
				_ = agent.ServeAgent(keys, conn) // ends with the witness
			})
		}
	})
	t.Cleanup(func() {
		on.Close()
		serving.Wait()
		os.RemoveAll(dir)
	})
	return socket, key
}

// freePort returns a loopback address that nobody listens on at this moment.
func freePort(t testing.TB) string {
	t.Helper()
	on, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer on.Close()
	return on.Addr().String()
}

// StartTransparencyDev starts the witness of transparency-dev under a name, which knows the logs with these verifier
// keys. It forgets all when it stops, which is when the test ends.
func StartTransparencyDev(t testing.TB, name string, logs ...string) *Witness {
	t.Helper()
	w := &Witness{t: t}
	address := w.start(build(t), append([]string{"serve", name}, logs...),
		regexp.MustCompile(`(?m)^key (\S+)$`), regexp.MustCompile(`(?m)^listening on (\S+)$`))
	w.URL = "http://" + address
	return w
}

// AskTransparencyDev has the client of transparency-dev ask the witness at a URL to cosign a checkpoint, with a proof
// from the size old in base64. It returns the lines of the answer, or what the client says in their place.
func AskTransparencyDev(t testing.TB, url string, old uint64, proof []string, checkpoint []byte) string {
	t.Helper()
	cmd := exec.Command(build(t), append([]string{"ask", url, fmt.Sprint(old)}, proof...)...)
	cmd.Stdin = bytes.NewReader(checkpoint)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("ask: %v\n%s", err, out)
	}
	return string(out)
}

var built = struct {
	sync.Mutex
	path string
}{}

// build builds tdwitness, once for a test and those inside it that ask again.
func build(t testing.TB) string {
	t.Helper()
	built.Lock()
	defer built.Unlock()
	if built.path != "" {
		return built.path
	}
	root, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		t.Fatalf("tdwitness: find the module: %v", err)
	}
	path := filepath.Join(t.TempDir(), "tdwitness")
	cmd := exec.Command("go", "build", "-o", path, ".")
	cmd.Dir = filepath.Join(strings.TrimSpace(string(root)), "scripts", "tools", "tdwitness")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off", "GOFLAGS=-buildvcs=false")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("tdwitness: build: %v\n%s", err, out)
	}
	built.path = path
	t.Cleanup(func() { // the folder goes with the test
		built.Lock()
		defer built.Unlock()
		built.path = ""
	})
	return path
}

// start runs a binary, reads its key and its address from its output and waits until it takes connections.
func (w *Witness) start(binary string, args []string, key, address *regexp.Regexp) string {
	w.t.Helper()
	said := &lines{key: key, address: address, ready: make(chan struct{})}
	p, err := tool.Start(binary, args, said)
	if err != nil {
		w.t.Fatalf("%s: %v", filepath.Base(binary), err)
	}
	w.run = p
	w.t.Cleanup(w.Stop)
	select {
	case <-said.ready:
	case <-p.Done:
		w.t.Fatalf("%s: ended at its start:\n%s", filepath.Base(binary), p.Output())
	case <-time.After(startTimeout):
		w.t.Fatalf("%s: not listening after %v:\n%s", filepath.Base(binary), startTimeout, p.Output())
	}
	w.VKey = said.found[0]
	w.dial(said.found[1])
	return said.found[1]
}

// dial waits until the witness takes connections: litewitness says that it listens before it does.
func (w *Witness) dial(address string) {
	w.t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(startTimeout)
	for {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			conn.Close()
			return
		}
		select {
		case <-tick.C:
		case <-w.run.Done:
			w.t.Fatalf("ended at its start:\n%s", w.run.Output())
		case <-limit:
			w.t.Fatalf("no connection to %s: %v", address, err)
		}
	}
}

// Stop ends the witness, in order if it does so in time.
func (w *Witness) Stop() {
	if w.run == nil {
		return
	}
	p := w.run
	w.run = nil
	if w.t.Failed() {
		w.t.Logf("the witness's output ends with:\n%s", p.Output())
	}
	if p.Interrupt() == nil {
		select {
		case <-p.Done:
			return
		case <-time.After(stopTimeout):
		}
	}
	p.Kill()
	<-p.Done
}

// lines reads a witness's output up to its key and its address; found is set before ready is closed and not changed
// after.
type lines struct {
	key, address *regexp.Regexp
	ready        chan struct{}
	found        []string
	text         []byte
}

// Write takes a piece of the output. The process writes one at a time.
func (l *lines) Write(b []byte) (int, error) {
	if l.found != nil {
		return len(b), nil
	}
	l.text = append(l.text, b...)
	whole := l.text[:bytes.LastIndexByte(l.text, '\n')+1]
	key, address := l.key.FindSubmatch(whole), l.address.FindSubmatch(whole)
	if key != nil && address != nil {
		l.found = []string{string(key[1]), string(address[1])}
		close(l.ready)
	}
	return len(b), nil
}
