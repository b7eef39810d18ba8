//go:build unix

package main

import (
	"context"
	"errors"
	"io"
	"net"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// managerSocket is where a service manager is told; its messages come in order.
func managerSocket(t *testing.T) (told <-chan string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	all := make(chan string)
	go func() {
		defer close(all)
		b := make([]byte, 4096)
		for {
			n, err := conn.Read(b)
			if err != nil {
				return
			}
			select {
			case all <- string(b[:n]):
			case <-t.Context().Done():
				return
			}
		}
	}()
	t.Setenv("NOTIFY_SOCKET", path)
	return all
}

// TestManagerIsTold runs the service as a service manager with a watchdog does, on a
// real socket.
func TestManagerIsTold(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "site")
	if code := Run(t.Context(), []string{"init", dir}, Streams{Out: io.Discard, Err: t.Output()}); code != exitDone {
		t.Fatalf("init: code %d", code)
	}
	told := managerSocket(t)
	t.Setenv("WATCHDOG_USEC", "200000")
	ctx, leave := context.WithCancelCause(t.Context())
	ended := make(chan int, 1)
	go func() {
		ended <- Run(ctx, []string{"--dir", dir, "run", "--udp-listen", "127.0.0.1:0", "--http-listen", ""}, Streams{Out: io.Discard, Err: t.Output()})
	}()
	next := func() string {
		t.Helper()
		select {
		case s := <-told:
			return s
		case code := <-ended:
			t.Fatalf("the service ended with code %d", code)
			return ""
		}
	}
	line := `STATUS=green: \d+ batches, \d+ of them signed`
	if got := next(); !regexp.MustCompile(`^READY=1\n` + line + `$`).MatchString(got) {
		t.Errorf("at first: %q", got)
	}
	for range 3 {
		if got := next(); !regexp.MustCompile(`^WATCHDOG=1\n` + line + `$`).MatchString(got) {
			t.Errorf("while it runs: %q", got)
		}
	}
	reloaded := make(chan int, 1)
	go func() {
		reloaded <- Run(t.Context(), []string{"--dir", dir, "reload"}, Streams{Out: io.Discard, Err: t.Output()})
	}()
	for _, want := range []string{"RELOADING=1", "READY=1"} {
		got := next()
		for strings.HasPrefix(got, "WATCHDOG=1\n") {
			got = next()
		}
		if got != want {
			t.Errorf("at a reload: %q, want %s", got, want)
		}
	}
	if code := <-reloaded; code != exitDone {
		t.Errorf("reload: code %d", code)
	}
	leave(errSignal)
	for got := range told {
		if strings.HasPrefix(got, "STOPPING=1\n") {
			break
		}
		if !strings.HasPrefix(got, "WATCHDOG=1\n") {
			t.Errorf("before it leaves: %q", got)
		}
	}
	if code := <-ended; code != exitDone {
		t.Errorf("code %d", code)
	}
}

// TestHeartbeat: no pulse, no beat; what is late is told once.
func TestHeartbeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var beats []time.Duration
		var missed []string
		begun, hangs, mends := time.Now(), 25*time.Second, 60*time.Second
		h := heartbeat{every: 10 * time.Second, late: 20 * time.Second}
		h.pulse = func(ctx context.Context, waits func(string)) error {
			waits("site")
			waits("bakery")
			if at := time.Since(begun); at > hangs && at < mends {
				time.Sleep(mends - at)
			}
			return ctx.Err()
		}
		h.beat = func() { beats = append(beats, time.Since(begun).Round(time.Second)) }
		h.missed = func(ledger string) { missed = append(missed, ledger) }
		ctx, cancel := context.WithTimeout(t.Context(), 85*time.Second)
		defer cancel()
		h.run(ctx)
		want := []time.Duration{0, 10 * time.Second, 20 * time.Second, 60 * time.Second, 60 * time.Second, 70 * time.Second, 80 * time.Second}
		if !slices.Equal(beats, want) {
			t.Errorf("beats at %v, want %v", beats, want)
		}
		if !slices.Equal(missed, []string{"bakery"}) {
			t.Errorf("missed %v, want one time bakery", missed)
		}
	})
}

// TestHeartbeatEnds: a store that is dead has no pulse, and who is told to leave while
// a store hangs leaves.
func TestHeartbeatEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dead := errors.New("dead")
		for name, pulse := range map[string]func(context.Context, func(string)) error{
			"dead":  func(context.Context, func(string)) error { return dead },
			"hangs": func(ctx context.Context, _ func(string)) error { <-ctx.Done(); return ctx.Err() },
		} {
			begun := time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			h := heartbeat{every: time.Second, late: time.Hour, pulse: pulse, beat: func() { t.Errorf("%s: it beat", name) }}
			h.run(ctx)
			cancel()
			if took := time.Since(begun); took != time.Minute {
				t.Errorf("%s: ended after %v", name, took)
			}
		}
	})
}
