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
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"cairn/scripts/tool"
)

// processors are those that packages for ARM are for, by Debian's names.
var processors = map[string]struct{ goarch, emulator string }{
	"arm64": {"arm64", "/usr/bin/qemu-aarch64"},
	"armhf": {"arm", "/usr/bin/qemu-arm"},
}

// TestArm runs what the packages for ARM hold, on an emulated processor: a gateway takes readings, knows a password,
// proves, is backed up, stops, and its data are whole; its verifier and this machine's own say the same of its proof.
func TestArm(t *testing.T) {
	_, err := tool.Dir()
	for _, p := range processors {
		if _, missing := os.Stat(p.emulator); missing != nil {
			t.Skipf("nothing here runs programs for ARM, install Debian's qemu-user: %v\n%v", missing, err)
		}
	}
	own := filepath.Join(t.TempDir(), "cairn-verify")
	run(t, "go", "build", "-o", own, "cairn/cmd/cairn-verify")
	architectures := slices.Sorted(maps.Keys(processors))
	files := buildFor(t, t.TempDir(), "1.0", architectures...)
	for i, arch := range architectures {
		t.Run(arch, func(t *testing.T) {
			t.Parallel()
			p, tree := processors[arch], t.TempDir()
			if p.goarch == runtime.GOARCH {
				p.emulator = "/usr/bin/env"
			}
			run(t, "dpkg-deb", "--extract", files[i], tree)
			a := &emulated{t, p.emulator, tree + "/usr/bin/", filepath.Join(t.TempDir(), "site")}
			if out := a.cairn("version"); !strings.Contains(out, " linux/"+p.goarch+",") {
				t.Errorf("it says that it is %s", out)
			}
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
	addSender(a.T, filepath.Join(a.site, "cairn.yaml"), a.write("token", secret+"\n"))
	a.cairn("device", "add", "--kind", "vouched", "--address", "fridge-1", "--name", "fridge")
	a.cairn("user", "add", "ana", "--role", "viewer", "--password-file", a.write("password", secret+"\n"))

	address := freeAddress(a.T)
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
	answers(a.T, "http://"+address, gateway.Done)
	for _, celsius := range []string{"4.25", "-18.5"} {
		post(a.T, "http://"+address+"/ingest/senml", "application/senml+json", secret, `[{"bn":"fridge-1/","n":"T","u":"Cel","v":`+celsius+`}]`)
	}
	post(a.T, "http://"+address+"/api/v1/login", "application/json", "", `{"name":"ana","password":"`+secret+`"}`)
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
	for _, check := range [][]string{check, append([]string{"--json"}, check...)} {
		said := run(a.T, a.emulator, append([]string{a.bin + "cairn-verify"}, check...)...)
		if here := run(a.T, verifier, check...); said != here || !regexp.MustCompile(`VERIFIED|"ok": *true`).MatchString(said) || !strings.Contains(said, "-18.5") {
			a.Errorf("its verifier says\n%s\nand that of this machine\n%s", said, here)
		}
	}
	backup := filepath.Join(filepath.Dir(a.site), "backup")
	a.cairn("backup", backup)
	if err := gateway.Interrupt(); err != nil {
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

// addSender lets the holder of a token post readings.
func addSender(t *testing.T, config, token string) {
	t.Helper()
	text, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	sender := fmt.Sprintf("senders: [{name: kitchen, token_file: %s}]", token)
	if err := os.WriteFile(config, []byte(strings.Replace(string(text), "senders: []", sender, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
}

// freeAddress is one on which nobody listens.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// answers waits until the gateway does.
func answers(t *testing.T, url string, ended <-chan struct{}) {
	t.Helper()
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
			t.Fatal("the gateway ended")
		}
	}
	t.Fatal("the gateway does not answer")
}

func post(t *testing.T, url, kind, token, body string) {
	t.Helper()
	r, err := http.NewRequest(http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", kind)
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if b, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s\n%s", url, resp.Status, b)
	}
}
