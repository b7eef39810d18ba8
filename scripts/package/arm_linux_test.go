package pack

import (
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"cairn/scripts/tool"
)

// emulators run the programs of each architecture as this machine's own.
var emulators = map[string]string{"arm64": "/usr/bin/qemu-aarch64", "armhf": "/usr/bin/qemu-arm"}

// TestArm runs what the packages for ARM hold, on an emulated processor: a gateway takes readings, knows a password,
// proves, is backed up, stops, and its data are whole; its verifier and this machine's own say the same of its proof.
func TestArm(t *testing.T) {
	if _, err := tool.Dir(); err != nil {
		t.Fatal(err)
	}
	own := filepath.Join(t.TempDir(), "cairn-verify")
	run(t, "go", "build", "-o", own, "cairn/cmd/cairn-verify")
	architectures := slices.Sorted(maps.Keys(emulators))
	files := buildFor(t, t.TempDir(), "1.0", architectures...)
	for i, arch := range architectures {
		t.Run(arch, func(t *testing.T) {
			t.Parallel()
			emulator, tree := emulators[arch], t.TempDir()
			if strings.HasPrefix(arch, runtime.GOARCH) {
				emulator = "/usr/bin/env"
			}
			run(t, "dpkg-deb", "--extract", files[i], tree)
			a := &emulated{t, emulator, tree + "/usr/bin/", filepath.Join(t.TempDir(), "site")}
			a.life(own)
		})
	}
}

// emulated is a gateway of another architecture.
type emulated struct {
	*testing.T
	emulator, bin, site string
}

func (a *emulated) cairn(args ...string) string {
	a.Helper()
	return run(a.T, a.emulator, append([]string{a.bin + "cairn", "--dir", a.site}, args...)...)
}

func (a *emulated) write(name, text string) string {
	a.Helper()
	path := filepath.Join(filepath.Dir(a.site), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		a.Fatal(err)
	}
	return path
}

func (a *emulated) life(verifier string) {
	const secret = "correct-horse-battery"
	run(a.T, a.emulator, a.bin+"cairn", "init", "--window", "1s", a.site)
	config := filepath.Join(a.site, "cairn.yaml")
	text, err := os.ReadFile(config)
	if err != nil {
		a.Fatal(err)
	}
	sender := fmt.Sprintf("senders: [{name: kitchen, token_file: %s}]", a.write("token", secret+"\n"))
	if err := os.WriteFile(config, []byte(strings.Replace(string(text), "senders: []", sender, 1)), 0o600); err != nil {
		a.Fatal(err)
	}
	a.cairn("device", "add", "--kind", "vouched", "--address", "fridge-1", "--name", "fridge")
	a.cairn("user", "add", "ana", "--role", "viewer", "--password-file", a.write("password", secret+"\n"))

	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		a.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	gateway, err := tool.Start(a.emulator, []string{a.bin + "cairn", "--dir", a.site, "run", "--udp-listen", "", "--http-listen", address}, nil)
	if err != nil {
		a.Fatal(err)
	}
	defer func() {
		gateway.Kill()
		<-gateway.Done
		if a.Failed() {
			a.Log(gateway.Output())
		}
	}()
	a.answers("http://"+address, gateway.Done)
	for _, celsius := range []string{"4.25", "-18.5"} {
		a.post("http://"+address+"/ingest/senml", "application/senml+json", secret, `[{"bn":"fridge-1/","n":"T","u":"Cel","v":`+celsius+`}]`)
	}
	a.post("http://"+address+"/api/v1/login", "application/json", "", `{"name":"ana","password":"`+secret+`"}`)
	proof, policy := a.write("x", "")+".proof", a.write("policy", "")
	a.cairn("prove", "--reading", "0/0", "--reading", "0/1", "--wait", "--timeout", "60s", "--out", proof)
	b, err := exec.Command(a.emulator, a.bin+"cairn", "--dir", a.site, "policy").Output()
	if err != nil {
		a.Fatal(err)
	}
	if err := os.WriteFile(policy, b, 0o600); err != nil {
		a.Fatal(err)
	}
	check := []string{"--policy", policy, "--require", "logged", proof}
	said := run(a.T, a.emulator, append([]string{a.bin + "cairn-verify"}, check...)...)
	if here := run(a.T, verifier, check...); said != here || !strings.Contains(said, "VERIFIED") || !strings.Contains(said, "-18.5 Cel") {
		a.Errorf("its verifier says\n%s\nand that of this machine\n%s", said, here)
	}
	backup := filepath.Join(filepath.Dir(a.site), "backup")
	a.cairn("backup", backup)
	if err := gateway.Signal(syscall.SIGTERM); err != nil {
		a.Fatal(err)
	}
	<-gateway.Done
	if out := gateway.Output(); !strings.Contains(out, `"msg":"stopped"`) {
		a.Errorf("it did not stop as it should: %s", out)
	}
	for _, site := range []string{a.site, a.site + "-again"} {
		if site != a.site {
			run(a.T, a.emulator, a.bin+"cairn", "restore", backup, site)
			run(a.T, "cp", a.site+"/identity.age-key", site)
		}
		if out := run(a.T, a.emulator, a.bin+"cairn", "--dir", site, "fsck"); !strings.Contains(out, "every hash follows from the readings") {
			a.Errorf("fsck of %s: %s", site, out)
		}
	}
}

// answers waits until the gateway does.
func (a *emulated) answers(url string, ended <-chan struct{}) {
	a.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for range 1200 {
		if r, err := http.Get(url + "/healthz"); err == nil {
			r.Body.Close()
			return
		}
		select {
		case <-tick.C:
		case <-ended:
			a.Fatal("the gateway ended")
		}
	}
	a.Fatal("the gateway does not answer")
}

func (a *emulated) post(url, kind, token, body string) {
	a.Helper()
	r, err := http.NewRequest(http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		a.Fatal(err)
	}
	r.Header.Set("Content-Type", kind)
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		a.Fatal(err)
	}
	defer resp.Body.Close()
	if b, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusOK {
		a.Fatalf("%s: %s\n%s", url, resp.Status, b)
	}
}
