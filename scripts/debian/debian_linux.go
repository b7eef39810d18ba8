// Package debian boots a clean Debian for the length of a test: systemd is its first process, its disk is as
// debootstrap left it and forgets what is written, and it has no network but loopback. It takes root. The disk comes
// from scripts/tools.sh, which is run if it is not there yet.
package debian

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"syscall"
	"testing"
	"time"

	"cairn/scripts/tool"
)

const (
	bootTimeout = 2 * time.Minute
	stopTimeout = 30 * time.Second
)

// Machine is a booted Debian.
type Machine struct {
	t      testing.TB
	run    *tool.Process
	leader string // process number of its systemd
}

// Boot boots one in which the files of a folder are in /mnt, and stops it when the test ends. If the test failed,
// the machine's journal goes to the test's log. An error says why this machine lets none boot.
func Boot(t testing.TB, shared string) (*Machine, error) {
	t.Helper()
	if os.Geteuid() != 0 {
		return nil, errors.New("only root can boot one")
	}
	dir, err := tool.Dir()
	if err != nil {
		t.Fatalf("debian: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "debian")); err != nil {
		return nil, fmt.Errorf("debootstrap made none: %w", err)
	}
	socket := filepath.Join(t.TempDir(), "ready")
	told, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatalf("debian: %v", err)
	}
	defer told.Close()
	m := &Machine{t: t}
	// That a service may ask for the clock's state is up to its unit; nspawn's own filter would forbid it.
	m.run, err = tool.Start("/usr/bin/env", []string{"NOTIFY_SOCKET=" + socket, "systemd-nspawn", "--directory", filepath.Join(dir, "debian"),
		"--volatile=overlay", "--boot", "--notify-ready=yes", "--register=no", "--keep-unit", "--private-network", "--quiet",
		"--system-call-filter=adjtimex clock_adjtime", "--console=pipe", "--bind-ro=" + shared + ":/mnt"}, nil)
	if err != nil {
		t.Fatalf("debian: %v", err)
	}
	t.Cleanup(m.stop)
	if err := m.await(told); err != nil {
		return nil, fmt.Errorf("%w; what nspawn said:\n%s", err, m.run.Output())
	}
	return m, nil
}

var leaderLine = regexp.MustCompile(`(?m)^X_NSPAWN_LEADER_PID=(\d+)$`)

// await waits until the machine has said that it is up.
func (m *Machine) await(told *net.UnixConn) error {
	failed := make(chan error, 1)
	go func() {
		select {
		case <-m.run.Done:
			failed <- errors.New("it ended")
			told.Close()
		case <-time.After(bootTimeout):
			failed <- fmt.Errorf("not up after %v", bootTimeout)
			told.Close()
		case <-m.t.Context().Done():
		}
	}()
	b := make([]byte, 4096)
	for up := false; !up || m.leader == ""; {
		n, err := told.Read(b)
		if err != nil {
			select {
			case why := <-failed:
				return why
			default:
				return err
			}
		}
		if found := leaderLine.FindSubmatch(b[:n]); found != nil {
			m.leader = string(found[1])
		}
		up = up || bytes.HasPrefix(b[:n], []byte("READY=1")) || bytes.Contains(b[:n], []byte("\nREADY=1"))
	}
	return nil
}

// stop shuts the machine down, and in the end switches it off.
func (m *Machine) stop() {
	if m.t.Failed() && m.leader != "" {
		out, _ := m.Run("journalctl", "--no-pager", "-n", "200")
		m.t.Logf("journal:\n%s", out)
	}
	if m.leader == "" { // it never was up
		m.run.Kill()
		<-m.run.Done
		return
	}
	_ = m.run.Signal(syscall.SIGTERM)
	select {
	case <-m.run.Done:
	case <-time.After(stopTimeout):
		m.t.Errorf("debian: still up %v after it was told to stop", stopTimeout)
		m.run.Kill()
		<-m.run.Done
	}
}

// Run runs a command in the machine, as root, and returns what it wrote, to both of its outputs, and its exit code.
func (m *Machine) Run(args ...string) (out string, code int) {
	m.t.Helper()
	enter := []string{"--target", m.leader, "--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup",
		"env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND=noninteractive"}
	b, err := exec.Command("nsenter", append(enter, args...)...).CombinedOutput()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return string(b), exit.ExitCode()
	}
	if err != nil {
		m.t.Fatalf("debian: %s: %v", strconv.Quote(args[0]), err)
	}
	return string(b), 0
}

// Must runs a command that must end with code 0, and returns what it wrote.
func (m *Machine) Must(args ...string) string {
	m.t.Helper()
	out, code := m.Run(args...)
	if code != 0 {
		m.t.Fatalf("%v: exit code %d\n%s", args, code, out)
	}
	return out
}
