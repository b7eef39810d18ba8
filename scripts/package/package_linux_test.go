package pack

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"cairn/scripts/debian"
)

// build builds the package of a version for this machine and returns its file.
func build(t *testing.T, dir, version string) string {
	t.Helper()
	return buildFor(t, dir, version, map[string]string{"amd64": "amd64", "arm64": "arm64", "arm": "armhf"}[runtime.GOARCH])[0]
}

// buildFor builds the packages of a version for some architectures and returns their files.
func buildFor(t *testing.T, dir, version string, architectures ...string) (files []string) {
	t.Helper()
	cmd := exec.Command("./deb.sh", dir)
	cmd.Env = append(os.Environ(), "VERSION="+version, "ARCHITECTURES="+strings.Join(architectures, " "), "COMPRESS=gzip", "SOURCE_DATE_EPOCH=1767225600")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("deb.sh: %v\n%s", err, out)
	}
	for _, a := range architectures {
		files = append(files, filepath.Join(dir, fmt.Sprintf("cairn_%s_%s.deb", version, a)))
	}
	return files
}

func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
	return string(out)
}

// TestPackage builds the package twice, to the same bytes, and takes it through its life on a clean Debian that has
// booted: installed, started, killed, upgraded, removed and purged.
func TestPackage(t *testing.T) {
	dir := t.TempDir()
	first := build(t, dir, "1.0")
	sum := func(file string) [32]byte {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		return sha256.Sum256(b)
	}
	if again := build(t, t.TempDir(), "1.0"); sum(first) != sum(again) {
		t.Error("two builds of one commit differ")
	}
	second := build(t, dir, "1.1")
	t.Run("contents", func(t *testing.T) { contents(t, first) })
	if err := os.CopyFS(filepath.Join(dir, "files"), os.DirFS("testdata/machine")); err != nil {
		t.Fatal(err)
	}
	ask := fmt.Sprintf("[Service]\nExecStartPre=/usr/bin/perl -e 'my $$b = chr(0) x 512; exit(syscall(%d, $$b) < 0)'\n", unix.SYS_ADJTIMEX)
	if err := os.WriteFile(filepath.Join(dir, "files", "clock.conf"), []byte(ask), 0o644); err != nil {
		t.Fatal(err)
	}
	m, err := debian.Boot(t, dir)
	if err != nil {
		t.Logf("no Debian boots here, so the package is unpacked, and run by the unit's own commands: %v", err)
		unpacked(t, first)
		return
	}
	life(t, m, filepath.Base(first), filepath.Base(second))
}

// unpacked runs what a package holds by the commands of its unit: it starts, says that it is ready, and stops.
func unpacked(t *testing.T, file string) {
	tree := t.TempDir()
	run(t, "dpkg-deb", "--extract", file, tree)
	unit, err := os.ReadFile(filepath.Join(tree, "usr/lib/systemd/system/cairn.service"))
	if err != nil {
		t.Fatal(err)
	}
	start := regexp.MustCompile(`(?m)^ExecStart=/usr/bin/cairn (.*)$`).FindSubmatch(unit)
	if start == nil {
		t.Fatalf("the unit starts no cairn:\n%s", unit)
	}
	program, site := filepath.Join(tree, "usr/bin/cairn"), filepath.Join(t.TempDir(), "site")
	run(t, program, "init", site)
	socket := filepath.Join(t.TempDir(), "notify")
	told, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer told.Close()
	args := strings.Fields(strings.NewReplacer("/var/lib/cairn", site, "${STATE_DIRECTORY}", site).Replace(string(start[1])))
	service := exec.Command(program, args...)
	service.Env = append(os.Environ(), "NOTIFY_SOCKET="+socket, "CAIRN_DIR="+site, "CAIRN_UDP_LISTEN=127.0.0.1:0", "CAIRN_HTTP_LISTEN=")
	var out bytes.Buffer
	service.Stdout, service.Stderr = &out, &out
	if err := service.Start(); err != nil {
		t.Fatal(err)
	}
	if err := told.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 4096)
	for ready := false; !ready; {
		n, err := told.Read(b)
		if err != nil {
			_ = service.Process.Kill()
			_ = service.Wait()
			t.Fatalf("it does not say that it is ready: %v\n%s", err, out.String())
		}
		ready = strings.Contains(string(b[:n]), "READY=1")
	}
	if text := run(t, program, "--dir", site, "status", "--json"); !strings.Contains(text, `"running": true`) {
		t.Errorf("its status: %s", text)
	}
	if err := service.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := service.Wait(); err != nil {
		t.Errorf("it stops with %v\n%s", err, out.String())
	}
}

// contents looks into the package.
func contents(t *testing.T, file string) {
	list := run(t, "dpkg-deb", "--contents", file)
	for _, want := range []string{
		"./usr/bin/cairn", "./usr/bin/cairn-verify", "./usr/lib/systemd/system/cairn.service", "./usr/lib/sysusers.d/cairn.conf",
		"./usr/share/man/man1/cairn.1.gz", "./usr/share/man/man1/cairn-device-add.1.gz", "./usr/share/man/man1/cairn-verify.1.gz",
		"./usr/share/bash-completion/completions/cairn", "./usr/share/zsh/vendor-completions/_cairn", "./usr/share/fish/vendor_completions.d/cairn.fish",
		"./usr/share/cairn/cairn.yaml.example", "./usr/share/cairn/cairn-verify.html", "./usr/share/cairn/alerts.rules.yaml", "./usr/share/cairn/dashboard.json",
		"./usr/share/doc/cairn/copyright", "./usr/share/doc/cairn/libraries.gz", "./usr/share/doc/cairn/README.md",
	} {
		if !strings.Contains(list, want+"\n") {
			t.Errorf("it has no %s:\n%s", want, list)
		}
	}
	for line := range strings.Lines(list) {
		if !strings.Contains(line, " root/root ") || strings.Contains(line, "rws") || regexp.MustCompile(`^.{5}w|^.{8}w`).MatchString(line) {
			t.Errorf("others could write it, or it is not root's: %s", line)
		}
	}
	tree := t.TempDir()
	run(t, "dpkg-deb", "--raw-extract", file, tree)
	check := exec.Command("md5sum", "--quiet", "--check", "DEBIAN/md5sums")
	check.Dir = tree
	if out, err := check.CombinedOutput(); err != nil {
		t.Errorf("its sums: %v\n%s", err, out)
	}
	if b, err := os.ReadFile(filepath.Join(tree, "usr/share/cairn/cairn.yaml.example")); err != nil || bytes.Contains(b, []byte(tree)) || !bytes.Contains(b, []byte("identity_file:")) {
		t.Errorf("the example configuration: %v\n%.200s", err, b)
	}
}

// life is what a package goes through.
func life(t *testing.T, m *debian.Machine, first, second string) {
	show := func(property string) string {
		return strings.TrimSpace(m.Must("systemctl", "show", "--value", "--property", property, "cairn"))
	}
	has := func(what, text, want string) {
		t.Helper()
		if !regexp.MustCompile(want).MatchString(strings.TrimSpace(text)) {
			t.Fatalf("%s: want %q in\n%s", what, want, text)
		}
	}
	const site = "/var/lib/cairn"
	cairn := func(args ...string) string {
		return m.Must(append([]string{"runuser", "-u", "cairn", "--", "cairn", "--dir", site}, args...)...)
	}

	// Nothing runs before there is a gateway, and root cannot make one by mistake.
	has("install", m.Must("dpkg", "--install", "/mnt/"+first), "nothing runs yet")
	has("enabled", m.Must("systemctl", "is-enabled", "cairn"), "^enabled")
	has("without a gateway", show("ActiveState")+" "+show("ConditionResult"), "^inactive no$")
	has("its folder", m.Must("stat", "-c", "%U %G %a", site), "^cairn cairn 700$")
	if out, code := m.Run("cairn", "init", site); code != 2 || !strings.Contains(out, "sudo -u cairn") {
		t.Errorf("init as root: code %d, %s", code, out)
	}

	// It starts, says that it is ready, and runs as somebody who may nothing, but may ask for the clock.
	m.Must("runuser", "-u", "cairn", "--", "cairn", "init", site)
	dropIn := "/run/systemd/system/cairn.service.d"
	m.Must("mkdir", "-p", dropIn)
	m.Must("cp", "/mnt/files/clock.conf", dropIn)
	m.Must("systemctl", "daemon-reload")
	m.Must("systemctl", "start", "cairn")
	has("state", show("ActiveState")+" "+show("StatusText"), `^active green: \d+ batches`)
	status := m.Must("cat", "/proc/"+show("MainPID")+"/status")
	has("the process", status, `NoNewPrivs:\t1\n(?s:.*)Seccomp:\t2\n`)
	has("the process", status, `CapBnd:\t0000000000000000\n`)
	has("the process", status, `Uid:\t`+strings.TrimSpace(m.Must("id", "-u", "cairn")))
	cairn("device", "add", "--id", "80c1a29384b5d6e7", "--kind", "text", "--name", "fridge")
	has("status by root, over the socket", m.Must("cairn", "--dir", site, "status"), "devices +1")

	// Secrets may come as credentials, with the rights that systemd gives them.
	m.Must("cp", "/mnt/files/credential.conf", dropIn)
	m.Must("systemctl", "daemon-reload")
	cairn("status") // the socket answers, so the configuration is not being read
	m.Must("sed", "-i", `s|token_file: ""|token_file: "credential:token"|`, site+"/cairn.yaml")
	m.Must("systemctl", "restart", "cairn")
	has("with a credential", show("ActiveState"), "^active$")

	// It takes what has changed in the configuration, and refuses what is wrong there.
	m.Must("sed", "-i", "s/level: info/level: debug/", site+"/cairn.yaml")
	pid := show("MainPID")
	m.Must("systemctl", "reload", "cairn")
	m.Must("sed", "-i", "s/level: debug/level: loud/", site+"/cairn.yaml")
	if _, code := m.Run("systemctl", "reload", "cairn"); code == 0 {
		t.Error("a configuration that is wrong was taken")
	}
	m.Must("sed", "-i", "s/level: loud/level: info/", site+"/cairn.yaml")
	has("after reloading", show("ActiveState")+" "+show("SubState")+" "+show("MainPID"), "^active running "+pid+"$")

	// One that hangs is ended by the watchdog, one that dies is started again.
	m.Must("cp", "/mnt/files/watchdog.conf", dropIn)
	m.Must("systemctl", "daemon-reload")
	m.Must("systemctl", "restart", "cairn")
	for i, signal := range []string{"STOP", "KILL", "ABRT"} {
		hung := show("MainPID")
		m.Must("/mnt/files/restarted.sh", "kill", "-"+signal, hung)
		has("after "+signal, show("NRestarts"), fmt.Sprintf("^%d$", i+1))
	}
	has("the journal", m.Must("journalctl", "--no-pager", "--unit", "cairn"), `(?i)watchdog timeout`)

	// A configuration that is wrong is not tried again.
	m.Must("cp", site+"/cairn.yaml", "/root/good.yaml")
	m.Must("sh", "-c", "echo 'windoe: 1s' >>"+site+"/cairn.yaml")
	if _, code := m.Run("systemctl", "restart", "cairn"); code == 0 {
		t.Error("it starts with a configuration that is wrong")
	}
	has("with a wrong configuration", show("ActiveState")+" "+show("ExecMainStatus")+" "+show("NRestarts"), "^failed 2 0$")
	m.Must("cp", "/root/good.yaml", site+"/cairn.yaml")
	m.Must("systemctl", "start", "cairn")

	// A backup goes where the one who asks may write, though the service sees its own folder alone; it belongs
	// to the service's user, who makes a gateway of it that the unit runs.
	for folder, size := range map[string]string{"/run/disk": "10M", "/run/full": "8k"} { // file systems of their own
		m.Must("mkdir", folder)
		m.Must("mount", "-t", "tmpfs", "-o", "size="+size, "tmpfs", folder)
	}
	for _, to := range []string{"/var/backups/cairn", "/tmp/cairn", "/home/cairn", "/run/disk/cairn", site + "/copy"} {
		has("backup", m.Must("cairn", "--dir", site, "backup", to), `\d+ files, \d+ bytes, of 1 ledger`)
		if out := m.Must("find", to, "!", "-user", "cairn", "-o", "-perm", "/077", "-o", "-links", "+1", "-type", "f"); out != "" {
			t.Errorf("of the backup %s others have, or share with the store: %s", to, out)
		}
	}
	if out, code := m.Run("runuser", "-u", "cairn", "--", "cairn", "--dir", site, "backup", "/var/backups/mine"); code != 2 || !strings.Contains(out, "/var/backups/mine.part: permission denied") {
		t.Errorf("a backup where the user may not write: code %d, %s", code, out)
	}
	if out, code := m.Run("cairn", "--dir", site, "backup", "/run/full/cairn"); code != 2 || !strings.Contains(out, "no space left on device") {
		t.Errorf("a backup to a full disk: code %d, %s", code, out)
	}
	if out, code := m.Run("runuser", "-u", "nobody", "--", "cairn", "--dir", site, "backup", "/tmp/mine"); code != 2 || !strings.Contains(out, "run it as `sudo -u cairn cairn") {
		t.Errorf("a backup by another user: code %d, %s", code, out)
	}
	m.Must("timeout", "20", "sh", "-c", "while ls -d "+site+"/.backup-*; do sleep 0.1; done") // the service sees that the command is gone
	if out := m.Must("find", site, "/run/full", "/tmp", "/var/backups", "-name", ".backup-*", "-o", "-name", "*.part", "-o", "-path", "/run/full/*"); out != "" {
		t.Errorf("left of backups: %s", out)
	}
	m.Must("systemctl", "stop", "cairn")
	m.Must("mv", site, site+".before")
	m.Must("install", "-d", "-o", "cairn", "-g", "cairn", "-m", "700", site)
	if out, code := m.Run("cairn", "restore", "/var/backups/cairn", site); code != 2 || !strings.Contains(out, "sudo -u cairn") {
		t.Errorf("restored by root: code %d, %s", code, out)
	}
	has("restore", m.Must("runuser", "-u", "cairn", "--", "cairn", "restore", "/var/backups/cairn", site), `files of .* restored`)
	m.Must("cp", "-p", site+".before/identity.age-key", site)
	m.Must("systemctl", "start", "cairn")
	has("restored", show("ActiveState")+" "+show("StatusText"), `^active green: \d+ batches`)
	has("devices", cairn("device", "list"), "fridge")

	// An upgrade starts it anew, with what it had; one that was stopped stays so.
	before := show("MainPID")
	m.Must("dpkg", "--install", "/mnt/"+second)
	has("after the upgrade", show("ActiveState"), "^active$")
	if show("MainPID") == before {
		t.Error("the old program still runs after the upgrade")
	}
	has("devices", cairn("device", "list"), "fridge")
	m.Must("systemctl", "stop", "cairn")
	has("stopped", show("Result"), "^success$")
	m.Must("dpkg", "--install", "/mnt/"+first)
	has("stopped before the upgrade", show("ActiveState"), "^inactive$")
	m.Must("systemctl", "start", "cairn")

	// Removing it stops it, and takes nothing of the evidence.
	for _, how := range []string{"--remove", "--purge"} {
		has(how, m.Must("dpkg", how, "cairn"), "kept "+site)
		if out, code := m.Run("sh", "-c", "cat /proc/[0-9]*/comm | grep -x cairn"); code != 1 {
			t.Errorf("after %s something runs: %s", how, out)
		}
		m.Must("test", "-s", site+"/keyring.cairn")
	}
	if _, code := m.Run("test", "-e", "/usr/bin/cairn"); code != 1 {
		t.Error("the program is still there")
	}
	if out := m.Must("find", "/etc/systemd", "/var/lib/systemd/deb-systemd-helper-enabled", "-name", "cairn*"); out != "" {
		t.Errorf("a purge left %s", out)
	}
	m.Must("dpkg", "--install", "/mnt/"+second)
	has("installed again", show("ActiveState"), "^active$")
	has("devices", cairn("device", "list"), "fridge")
}

// TestUnit holds the unit against systemd's own checks.
func TestUnit(t *testing.T) {
	exposure := run(t, "systemd-analyze", "security", "--offline=true", "--no-pager", "--threshold=21", "./cairn.service")
	if !strings.Contains(exposure, "Overall exposure level") {
		t.Errorf("systemd-analyze: %s", exposure)
	}
	unit, err := os.ReadFile("cairn.service")
	if err != nil {
		t.Fatal(err)
	}
	// With a program that is there; its page is not installed here.
	here := strings.NewReplacer("/usr/bin/cairn ", "/bin/true ", "man:cairn(1) ", "").Replace(string(unit))
	path := filepath.Join(t.TempDir(), "cairn.service")
	if err := os.WriteFile(path, []byte(here), 0o644); err != nil {
		t.Fatal(err)
	}
	if out := run(t, "systemd-analyze", "verify", "--man=no", "--recursive-errors=no", path); out != "" {
		t.Errorf("systemd-analyze verify: %s", out)
	}
}
