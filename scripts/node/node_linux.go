package node

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// maxCommand is what the command line takes.
const maxCommand = 63

// Options say what a node is and what goes wrong with it. Zero is the default.
type Options struct {
	ID    [8]byte
	Cycle time.Duration // between prompts; default 2 s, as in the firmware
	Noise bool          // it prints its status in each cycle
	Deaf  bool          // its command line does not wake
	Mute  bool          // it prints nothing
	NoKey bool          // its firmware has no K

	Misread  int  // in so many keys one bit arrives wrong
	Forget   int  // so many keys do not stay
	Restless bool // its ID is another one each time that it is asked

	Key func([16]byte) // told of each key that it has taken
}

// Node is a console that runs.
type Node struct {
	Path string // of the serial device

	o       Options
	end     *os.File // the node's
	running sync.WaitGroup
	awake   bool
	queued  []byte // read, not taken
}

// Start starts a console; Close ends it.
func Start(o Options) (*Node, error) {
	if o.Cycle == 0 {
		o.Cycle = 2 * time.Second
	}
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("pseudo terminal: %w", err)
	}
	n := &Node{o: o, end: os.NewFile(uintptr(fd), "/dev/ptmx")}
	if err := n.prepare(fd); err != nil {
		n.end.Close()
		return nil, fmt.Errorf("pseudo terminal: %w", err)
	}
	n.running.Go(n.run)
	return n, nil
}

// prepare makes the terminal a line that passes bytes on as they are, and finds its other end.
func (n *Node) prepare(fd int) error {
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		return err
	}
	settings, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return err
	}
	settings.Iflag &^= unix.ICRNL | unix.INLCR | unix.IXON
	settings.Oflag &^= unix.OPOST
	settings.Lflag &^= unix.ECHO | unix.ICANON | unix.ISIG
	if err := unix.IoctlSetTermios(fd, unix.TCSETS, settings); err != nil {
		return err
	}
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	n.Path = fmt.Sprintf("/dev/pts/%d", number)
	return err
}

// Close takes the node away.
func (n *Node) Close() {
	n.end.Close()
	n.running.Wait()
}

func (n *Node) run() {
	for {
		end := time.Now().Add(n.o.Cycle)
		if n.o.Noise {
			n.print("=F0%@18C6;X0;T15 38 W255 0 F255 0 W255 0 F255 0;S6 6 16;{\"@\":\"98a4\",\"L\":146}\r\n")
		}
		if n.awake {
			n.prompt(end)
		}
		if !n.rest(end) {
			return
		}
	}
}

// prompt prompts and takes one command, unless the cycle ends before it is whole.
func (n *Node) prompt(end time.Time) {
	n.queued = nil // "Purge any stray pending input"
	n.print("\r\n>")
	var command []byte
	for len(command) < maxCommand {
		b, ok := n.next(end)
		if !ok {
			n.print("\r\n")
			return
		}
		if b == '\r' || b == '\n' {
			break
		}
		if b < ' ' || b > '~' || len(command) == 0 && (b < 'A' || b > 'Z') && b != '?' && b != '+' {
			continue
		}
		if len(command) == 5 && command[0] == 'K' && n.o.Misread > 0 {
			n.o.Misread--
			b ^= 1
		}
		command = append(command, b)
		n.print(string(b))
	}
	n.print("\r\n")
	if len(command) > 0 {
		n.print(n.answer(string(command)) + "OK\r\n")
	}
}

func (n *Node) answer(command string) string {
	switch {
	case command[0] == 'E':
		n.awake = false
		return ""
	case command[0] == 'I':
		var b strings.Builder
		for _, v := range n.o.ID {
			fmt.Fprintf(&b, " %X", v) // Print::print(v, HEX)
		}
		if n.o.Restless {
			n.o.ID[7] ^= 1
		}
		return "ID:" + b.String() + "\r\n"
	case command[0] == 'K' && !n.o.NoKey:
		return n.key(command) + "\r\n"
	}
	return "CLI usage:\r\nE exit CLI\r\nI ID\r\n"
}

func (n *Node) key(command string) string {
	fields := strings.Fields(command)
	if len(fields) != 18 || fields[1] != "B" {
		return "Invalid, ignored."
	}
	var key [16]byte
	for i, f := range fields[2:] {
		b, err := hex.DecodeString(f)
		if err != nil || len(b) != 1 || strings.ToUpper(f) != f {
			return "Invalid, ignored."
		}
		key[i] = b[0]
	}
	if n.o.Forget > 0 {
		n.o.Forget--
		return "!B"
	}
	if n.o.Key != nil {
		n.o.Key(key)
	}
	return "B set"
}

// print puts text on the line, byte by byte as an UART does.
func (n *Node) print(text string) {
	if n.o.Mute {
		return
	}
	for i := range len(text) {
		if _, err := n.end.WriteString(text[i : i+1]); err != nil {
			return
		}
	}
}

// rest waits for the cycle's end, and for what wakes the command line. It reports whether the node is still there.
func (n *Node) rest(end time.Time) bool {
	for {
		b, ok := n.next(end)
		switch {
		case ok && !n.o.Deaf && (b == '\r' || b == '\n'):
			n.awake = true
		case ok:
		default:
			return n.end.SetReadDeadline(time.Now()) == nil
		}
	}
}

// next returns the next byte that comes before end. While nobody has the other end open there is none.
func (n *Node) next(end time.Time) (byte, bool) {
	for len(n.queued) == 0 {
		if err := n.end.SetReadDeadline(end); err != nil {
			return 0, false
		}
		b := make([]byte, 256)
		got, err := n.end.Read(b)
		n.queued = b[:got]
		switch {
		case errors.Is(err, unix.EIO):
			if time.Now().After(end) {
				return 0, false
			}
			time.Sleep(time.Millisecond)
		case err != nil:
			return 0, false
		}
	}
	b := n.queued[0]
	n.queued = bytes.Clone(n.queued[1:])
	return b, true
}
