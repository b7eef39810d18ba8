package pack

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"cairn/scripts/tool"
)

// image is what an image says of how it runs.
type image struct {
	Docker struct {
		Config struct {
			User, StopSignal     string
			Env, Entrypoint, Cmd []string
			Volumes              map[string]struct{}
			Healthcheck          struct{ Test []string }
		}
	}
}

// inPodman takes the image through a container's life: a gateway is made on its volume, takes a reading over HTTP, is
// told to stop, and another container finds the reading.
func inPodman(t *testing.T, storage string) {
	conf := filepath.Join(storage, "containers.conf")
	text := "[containers]\ndefault_ulimits = []\n[engine]\ncgroup_manager = \"cgroupfs\"\nevents_logger = \"file\"\nruntime = \"runc\"\n"
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("CONTAINERS_CONF", conf)
	const owner = 65532
	volume := filepath.Join(storage, "volume")
	if err := os.Mkdir(volume, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(volume, owner, owner); err != nil {
		t.Fatal(err)
	}
	// No timer of systemd's looks after its health, and its limits are below those of any machine.
	podman := func(how ...string) []string {
		return append(append([]string{"run", "--read-only", "--no-healthcheck", "--ulimit=nofile=1024:1024", "--ulimit=nproc=512:512",
			"--volume=" + volume + ":/var/lib/cairn"}, how...), "localhost/cairn")
	}
	if out, err := exec.Command("podman", append(podman("--rm", "--network=none"), "init", "--window", "1s", "/var/lib/cairn")...).CombinedOutput(); err != nil {
		t.Skipf("podman runs no container here: %v\n%s", err, out)
	}
	const secret = "correct-horse-battery"
	token := filepath.Join(volume, "token")
	if err := os.WriteFile(token, []byte(secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(token, owner, owner); err != nil {
		t.Fatal(err)
	}
	addSender(t, filepath.Join(volume, "cairn.yaml"), "token")

	const name = "cairn-of-a-test"
	defer exec.Command("podman", "rm", "--force", "--time=0", name).Run()
	address := freeAddress(t)
	run(t, "podman", append(podman("--detach", "--name="+name, "--network=host"), "run", "--udp-listen", "", "--http-listen", address)...)
	defer func() {
		if t.Failed() {
			out, _ := exec.Command("podman", "logs", name).CombinedOutput()
			t.Logf("its log:\n%s", out)
		}
	}()
	answers(t, "http://"+address, nil)
	run(t, "podman", "exec", name, "/usr/bin/cairn", "device", "add", "--kind", "vouched", "--address", "fridge-1", "--name", "fridge")
	post(t, "http://"+address+"/ingest/senml", "application/senml+json", secret, `[{"n":"fridge-1/T","u":"Cel","v":-18.5}]`)
	run(t, "podman", "stop", "--time=30", name)
	if code := strings.TrimSpace(run(t, "podman", "inspect", "--format={{.State.ExitCode}}", name)); code != "0" {
		t.Errorf("told to stop, it ended with %s", code)
	}
	if out := run(t, "podman", append(podman("--rm", "--network=none"), "query", "--device", "fridge")...); !strings.Contains(out, "-18.5 Cel") {
		t.Errorf("its volume has %s", out)
	}
}

// TestContainer builds the image and runs it as it says: in podman, where that works, and in a chroot. A gateway is made
// on its volume, runs, and its own health check says how it does.
func TestContainer(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("building an image without root takes a set-up of the machine")
	}
	if _, err := tool.Dir(); err != nil {
		t.Fatal(err)
	}
	storage := t.TempDir()
	conf := filepath.Join(storage, "storage.conf")
	text := fmt.Sprintf("[storage]\ndriver = \"vfs\"\nrunroot = %q\ngraphroot = %q\n", filepath.Join(storage, "run"), filepath.Join(storage, "graph"))
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("CONTAINERS_STORAGE_CONF", conf)
	t.Setenv("BUILDAH_ISOLATION", "chroot")
	t.Setenv("BUILDER", "buildah")
	if out, err := exec.Command("./container.sh", "cairn").CombinedOutput(); err != nil {
		if regexp.MustCompile(`(?i)operation not permitted|permission denied|unshare|user namespace`).Match(out) {
			t.Skipf("this machine lets no image be built: %v\n%s", err, out)
		}
		t.Fatalf("container.sh: %v\n%s", err, out)
	}

	var i image
	if err := json.Unmarshal([]byte(run(t, "buildah", "inspect", "--type", "image", "localhost/cairn")), &i); err != nil {
		t.Fatal(err)
	}
	c := i.Docker.Config
	const site = "/var/lib/cairn"
	if _, ok := c.Volumes[site]; !ok || c.User != "65532:65532" || !slices.Equal(c.Entrypoint, []string{"/usr/bin/cairn"}) || !slices.Equal(c.Cmd, []string{"run"}) {
		t.Errorf("it runs %v %v as %s on %v", c.Entrypoint, c.Cmd, c.User, c.Volumes)
	}
	if len(c.Healthcheck.Test) < 2 || c.Healthcheck.Test[0] != "CMD" {
		t.Fatalf("its health check is %v", c.Healthcheck.Test)
	}

	t.Run("podman", func(t *testing.T) { inPodman(t, storage) })

	volume := t.TempDir()
	if err := os.Chown(volume, 65532, 65532); err != nil {
		t.Fatal(err)
	}
	box := strings.TrimSpace(run(t, "buildah", "from", "--pull-never", "localhost/cairn"))
	in := func(command ...string) []string {
		return append([]string{"run", "--volume", volume + ":" + site, box, "--"}, command...)
	}
	if out, err := exec.Command("buildah", in("/bin/sh")...).CombinedOutput(); err == nil {
		t.Errorf("there is a shell in it: %s", out)
	}
	run(t, "buildah", in(append(c.Entrypoint, "init", site)...)...)
	gateway, err := tool.Start("buildah", in(append(append(c.Entrypoint, c.Cmd...), "--udp-listen", "127.0.0.1:0", "--http-listen", "")...), nil)
	if err != nil {
		t.Fatal(err)
	}
	stop := func() { // told to leave, buildah kills what it runs; killed, it would leave it behind
		_ = gateway.Signal(syscall.SIGTERM)
		<-gateway.Done
	}
	defer stop()
	health := c.Healthcheck.Test[1:]
	deadline := time.Now().Add(time.Minute)
	for {
		out, err := exec.Command("buildah", in(health...)...).CombinedOutput()
		if err == nil && strings.Contains(string(out), "running since") {
			break
		}
		select {
		case <-gateway.Done:
			t.Fatalf("the gateway ended:\n%s", gateway.Output())
		default:
		}
		if time.Now().After(deadline) {
			t.Fatalf("%v: %v\n%s", health, err, out)
		}
	}
	stop()
	if out, err := exec.Command("buildah", in(health...)...).CombinedOutput(); err == nil {
		t.Errorf("its health is good when it does not run:\n%s", out)
	}
}
