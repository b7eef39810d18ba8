//go:build unix

package main

import (
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The service leaves in order at SIGTERM, within its time.
func TestSignals(t *testing.T) {
	bin := filepath.Join(t.TempDir(), "cairn")
	if out, err := exec.Command("go", "build", "-o", bin, "cairn/cmd/cairn").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	dir := filepath.Join(t.TempDir(), "site")
	if out, err := exec.Command(bin, "init", dir).CombinedOutput(); err != nil {
		t.Fatalf("init: %v\n%s", err, out)
	}
	cmd := exec.Command(bin, "--dir", dir, "run", "--udp-listen", "127.0.0.1:0", "--http-listen", "")
	logs := &waitFor{want: regexp.MustCompile(`"msg":"running"`), seen: make(chan struct{})}
	cmd.Stderr = logs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	select {
	case <-logs.seen:
	case err := <-done:
		t.Fatalf("ended at its start: %v\n%s", err, logs.text.String())
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-done:
		if err != nil || !strings.Contains(logs.text.String(), `"msg":"stopped"`) {
			t.Errorf("got %v after SIGTERM, want a clean end:\n%s", err, logs.text.String())
		}
	case <-time.After(shutdownLimit):
		cmd.Process.Kill()
		t.Errorf("still running %v after SIGTERM", shutdownLimit)
	}
}

// waitFor closes seen when what is written fits want.
type waitFor struct {
	want *regexp.Regexp
	seen chan struct{}
	text strings.Builder
	told bool
}

func (w *waitFor) Write(b []byte) (int, error) {
	w.text.Write(b)
	if !w.told && w.want.MatchString(w.text.String()) {
		w.told = true
		close(w.seen)
	}
	return len(b), nil
}
