package spine_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"cairn/ingest"
	"cairn/ingest/frame"
)

// BenchmarkSpineMemory runs the service as built, and reads its resident memory
// when idle and while 40,000 frames a second of 200 devices come in over UDP.
func BenchmarkSpineMemory(b *testing.B) {
	bin := filepath.Join(b.TempDir(), "cairn")
	if out, err := exec.Command("go", "build", "-trimpath", "-o", bin, "cairn/cmd/cairn").CombinedOutput(); err != nil {
		b.Fatalf("build: %v\n%s", err, out)
	}
	for b.Loop() {
		b.StopTimer()
		dir := filepath.Join(b.TempDir(), "site")
		run(b, "", bin, "init", dir)
		port, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			b.Fatal(err)
		}
		addr := port.LocalAddr().String()
		port.Close()
		service := exec.Command(bin, "--dir", dir, "run", "--udp-listen", addr, "--udp-rate", "0", "--http-listen", "")
		if err := service.Start(); err != nil {
			b.Fatal(err)
		}
		for try := 0; ; try++ {
			if _, err := os.Stat(filepath.Join(dir, "cairn.sock")); err == nil {
				break
			}
			if try == 100 {
				b.Fatal("the service did not start")
			}
			time.Sleep(100 * time.Millisecond)
		}
		x := &bench{b: b, raw: 70}
		x.nodes = register(b, bin, dir)
		time.Sleep(3 * time.Second)
		idle := resident(b, service.Process.Pid)
		full := idle
		stop := make(chan struct{})
		top := make(chan float64)
		go func() {
			for {
				select {
				case <-stop:
					top <- full
					return
				case <-time.After(100 * time.Millisecond):
					full = max(full, resident(b, service.Process.Pid))
				}
			}
		}()
		const pace, frames = 40_000, 800_000
		all, each := x.frames(frames)
		conn, err := net.Dial("udp", addr)
		if err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		send(b, conn.(*net.UDPConn), all, each, pace)
		b.StopTimer()
		close(stop)
		b.ReportMetric(<-top, "MB-full")
		b.ReportMetric(idle, "MB-idle")
		conn.Close()
		if err := service.Process.Signal(os.Interrupt); err != nil {
			b.Fatal(err)
		}
		if err := service.Wait(); err != nil {
			b.Fatalf("service: %v", err)
		}
		b.StartTimer()
	}
}

// register adds the devices to a running service.
func register(b *testing.B, bin, dir string) (nodes []*ingest.Simulator) {
	b.Helper()
	for i := range devices {
		key := frame.Key{0: 9, 15: byte(i)}
		id := frame.ID{0x80, 0x90 + byte(i>>4), 0xa0 + byte(i), byte(i) | 0x80, 0xb1, 0xb2, 0xb3, 0xb4}
		out, err := command(fmt.Sprintf("%x\n", key[:]), bin, "--dir", dir, "device", "add", "--json", "--key-stdin", "--id", id.String())
		if err != nil || !json.Valid(out) {
			b.Fatalf("device add: %v\n%s", err, out)
		}
		n, err := ingest.NewSimulator(id, key, ingest.SimulatorOptions{Counter: frame.NewCounter(1, 0)})
		if err != nil {
			b.Fatal(err)
		}
		nodes = append(nodes, n)
	}
	return nodes
}

func run(b *testing.B, input, name string, args ...string) {
	b.Helper()
	if out, err := command(input, name, args...); err != nil {
		b.Fatalf("%s %v: %v\n%s", filepath.Base(name), args, err, out)
	}
}

func command(input, name string, args ...string) ([]byte, error) {
	c := exec.Command(name, args...)
	c.Stdin = strings.NewReader(input)
	return c.Output()
}

// resident is a process's resident memory in MB (10^6 bytes).
func resident(b *testing.B, pid int) float64 {
	f, err := os.Open(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		b.Error(err)
		return 0
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		if v, ok := strings.CutPrefix(s.Text(), "VmRSS:"); ok {
			kb, _ := strconv.ParseFloat(strings.Fields(v)[0], 64)
			return kb * 1024 / 1e6
		}
	}
	return 0
}
