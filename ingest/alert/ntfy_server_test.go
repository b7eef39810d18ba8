//go:build ntfy

package alert

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
	"time"

	"cairn/scripts/tool"
)

// ntfyServer runs the ntfy of the path on loopback, with a topic that only the user
// gateway may use, and returns its URL and the user's token.
func ntfyServer(t *testing.T) (url, token string) {
	t.Helper()
	binary, err := exec.LookPath("ntfy")
	if err != nil {
		t.Fatalf("the ntfy server (https://docs.ntfy.sh/install/) is to be in the path: %v", err)
	}
	on, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := on.Addr().String()
	on.Close()
	dir := t.TempDir()
	config := filepath.Join(dir, "server.yml")
	text := fmt.Sprintf("listen-http: %s\nbase-url: http://%s\ncache-file: %s/cache.db\nauth-file: %s/auth.db\nauth-default-access: deny-all\n", address, address, dir, dir)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := tool.Start(binary, []string{"serve", "-c", config}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.Kill()
		<-p.Done
		if t.Failed() {
			t.Logf("ntfy:\n%s", p.Output())
		}
	})
	late := time.After(30 * time.Second)
	for {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			conn.Close()
			break
		}
		select {
		case <-p.Done:
			t.Fatal("ntfy: it ended")
		case <-late:
			t.Fatal("ntfy: it does not listen")
		case <-time.After(20 * time.Millisecond):
		}
	}
	var out []byte
	for _, args := range [][]string{
		{"user", "-c", config, "add", "gateway"},
		{"access", "-c", config, "gateway", "canteen", "read-write"},
		{"token", "-c", config, "add", "gateway"},
	} {
		cmd := exec.Command(binary, args...)
		cmd.Env = append(os.Environ(), "NTFY_PASSWORD=ntfy-s3cret")
		if out, err = cmd.CombinedOutput(); err != nil {
			t.Fatalf("ntfy %s: %v: %s", args[0], err, out)
		}
	}
	m := regexp.MustCompile(`\b(tk_[0-9a-z]+)\b`).FindSubmatch(out)
	if m == nil {
		t.Fatalf("no token in %s", out)
	}
	return "http://" + address, string(m[1])
}

// TestNtfyServer: what the real server gives to those who read the topic, and whom it
// refuses.
func TestNtfyServer(t *testing.T) {
	url, token := ntfyServer(t)
	n := notice
	n.Device = "Kühlschrank ganz hinten links in der Küche, neben der Tür zum Keller 🚪"
	cleared := n
	cleared.News, cleared.What = Cleared, "T 5 Cel"
	for _, x := range []Notice{n, cleared} {
		if err := (&Ntfy{URL: url + "/canteen", Token: token}).Notify(t.Context(), x); err != nil {
			t.Fatal(err)
		}
	}
	for name, x := range map[string]*Ntfy{
		"no token":      {URL: url + "/canteen"},
		"a wrong token": {URL: url + "/canteen", Token: "tk_00000000000000000000000000000"},
		"another topic": {URL: url + "/bakery", Token: token},
	} {
		if err := x.Notify(t.Context(), n); !errors.Is(err, ErrRefused) {
			t.Errorf("%s: %v", name, err)
		}
	}

	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/canteen/json?poll=1", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	type message struct {
		Title, Message string
		Priority       int
		Tags           []string
	}
	var got []message
	for lines := json.NewDecoder(answer.Body); lines.More(); {
		var m message
		if err := lines.Decode(&m); err != nil {
			t.Fatal(err)
		}
		got = append(got, m)
	}
	want := []message{
		{n.Subject(), n.Text(), 4, []string{"warning"}},
		{cleared.Subject(), cleared.Text(), 3, []string{"white_check_mark"}},
	}
	if !slices.EqualFunc(got, want, func(a, b message) bool {
		return a.Title == b.Title && a.Message+"\n" == b.Message && a.Priority == b.Priority && slices.Equal(a.Tags, b.Tags)
	}) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}
