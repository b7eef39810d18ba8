package ingest

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"cairn/ingest/reading"
)

// openPTY returns a pseudo terminal: the hub's end, and the path of the other,
// which looks like a serial device.
func openPTY(t *testing.T) (hub *os.File, path string) {
	t.Helper()
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	hub = os.NewFile(uintptr(fd), "/dev/ptmx")
	t.Cleanup(func() { hub.Close() })
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	// Without echo, so that what is written before the source opens its end does
	// not come back; through this end the settings of the other are made.
	settings, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	settings.Lflag &^= unix.ECHO | unix.ICANON
	if err := unix.IoctlSetTermios(fd, unix.TCSETS, settings); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	return hub, fmt.Sprintf("/dev/pts/%d", n)
}

// A serial device is read, answered when it waits at its prompt, and opened
// again after it was unplugged.
func TestSerial(t *testing.T) {
	link := filepath.Join(t.TempDir(), "hub") // as udev links a device's name
	plug := func() *os.File {
		hub, path := openPTY(t)
		_ = os.Remove(link)
		if err := os.Symlink(path, link); err != nil {
			t.Fatal(err)
		}
		return hub
	}
	hub := plug()
	b := newBook()
	var mu sync.Mutex
	var events []EventKind
	in := newIntake(t, Config{Committer: b, Registry: lineDevices(t), Events: func(e Event) {
		mu.Lock()
		defer mu.Unlock()
		events = append(events, e.Kind)
	}})
	stop := start(t, in, linesOf(t, LinesConfig{Path: link, Answer: true}))

	received := func(n uint64) func() bool {
		return func() bool { return in.Tally().Snapshot().Received >= n }
	}
	write := func(text string) {
		if _, err := hub.WriteString(text); err != nil {
			t.Fatal(err)
		}
	}
	// The answer tells that the device was open and in raw mode.
	write(">")
	if got, err := bufio.NewReader(hub).ReadString('\n'); err != nil || got != "E\n" {
		t.Fatalf("answer: got %q, %v want E", got, err)
	}
	write("E\r\n{\"@\":\"0D49\",\"L\":1}\r\n")
	until(t, "two lines", received(2))

	hub.Close()
	until(t, "the device to be missed", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(events) == 1 && events[0] == EventDown
	})
	hub = plug()
	until(t, "the device to be back", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(events) == 2 && events[1] == EventUp
	})
	write("{\"@\":\"0D49\",\"L\":2}\r\n")
	until(t, "the third line", received(3))
	stop()
	s := check(t, in, b)
	if s.Verdicts[reading.Insecure] != 2 || s.Aside != 1 {
		t.Errorf("got %v aside %d, want 2 insecure and 1 aside", s.Verdicts, s.Aside)
	}
}

// A named pipe is read whoever comes and goes, and the source can be ended
// while nobody writes.
func TestNamedPipe(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe")
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	b := newBook()
	in := newIntake(t, Config{Committer: b, Registry: lineDevices(t)})
	stop := start(t, in, linesOf(t, LinesConfig{Path: path}))
	for i := range uint64(3) {
		w, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.WriteString("{\"@\":\"0D49\",\"L\":1}\n"); err != nil {
			t.Fatal(err)
		}
		w.Close()
		until(t, "a line", func() bool { return in.Tally().Snapshot().Received == i+1 })
	}
	stop()
	check(t, in, b)
}
