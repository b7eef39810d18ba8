package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// openTerminal makes a pseudo terminal and returns its two ends.
func openTerminal(t *testing.T) (person, program *os.File) {
	t.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { person.Close() })
	fd := int(person.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	program, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { program.Close() })
	return person, program
}

func echoes(t *testing.T, terminal *os.File) bool {
	t.Helper()
	state, err := unix.IoctlGetTermios(int(terminal.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	return state.Lflag&unix.ECHO != 0
}

// One who leaves at the prompt has a terminal that shows what is typed.
func TestPromptLeavesTheTerminalAsItWas(t *testing.T) {
	_, program := openTerminal(t)
	ctx, cancel := context.WithCancelCause(context.Background())
	done := make(chan error, 1)
	c := &command{Streams: Streams{In: program, Out: &bytes.Buffer{}, Err: &bytes.Buffer{}}}
	go func() {
		_, err := c.askPassphrase(ctx, "Passphrase: ")
		done <- err
	}()
	for echoes(t, program) { // until it reads
		select {
		case err := <-done:
			t.Fatalf("ended before it asked: %v", err)
		default:
		}
	}
	cancel(errSignal)
	if err := <-done; !errors.Is(err, errSignal) {
		t.Errorf("got %v, want %v", err, errSignal)
	}
	if !echoes(t, program) {
		t.Error("the terminal does not echo any more")
	}
}

func TestPromptReads(t *testing.T) {
	person, program := openTerminal(t)
	c := &command{Streams: Streams{In: program, Out: &bytes.Buffer{}, Err: &bytes.Buffer{}}}
	if _, err := person.WriteString("stones\n"); err != nil {
		t.Fatal(err)
	}
	if p, err := c.askPassphrase(t.Context(), "Passphrase: "); err != nil || string(p) != "stones" {
		t.Errorf("got %q, %v, want stones", p, err)
	}
}
