// Command cairn-demo shows the whole way of a reading on one machine: it starts
// a development chain inside itself and a real gateway as a child process,
// sends radio frames to it, has it anchor them, proves one reading, verifies
// the proof in a fresh process, and shows that a changed proof is refused. It
// needs cairn and cairn-verify beside itself, touches nothing but a temporary
// folder and the loopback network, and leaves neither files nor processes.
//
// With KEEP=1 in the environment it does not stop there: the gateway and its console go on,
// with a freezer that stays warm, until it is interrupted.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

// limit is how long the demo may take before it gives up.
const limit = 3 * time.Minute

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	keep := os.Getenv("KEEP") == "1"
	if !keep {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, limit, fmt.Errorf("not done after %v", limit))
		defer cancel()
	}
	if err := run(ctx, os.Stdout, keep); err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = fmt.Errorf("%w (%w)", err, cause)
		}
		fmt.Fprintf(os.Stderr, "cairn-demo: %v\n", err)
		os.Exit(1)
	}
}

// run sets the stage, plays, and clears away.
func run(ctx context.Context, out io.Writer, keep bool) (err error) {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find the programs: %w", err)
	}
	dir, err := os.MkdirTemp("", "cairn-demo-")
	if err != nil {
		return fmt.Errorf("make a folder: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	d := &demo{out: out, keep: keep, bin: filepath.Dir(self), dir: dir, site: filepath.Join(dir, "site")}
	for _, name := range []string{"cairn", "cairn-verify"} {
		if _, err := os.Stat(filepath.Join(d.bin, name)); err != nil {
			return fmt.Errorf("%s must stand beside this program: `make demo` builds both (%w)", name, err)
		}
	}
	defer d.clear()
	return d.play(ctx)
}
