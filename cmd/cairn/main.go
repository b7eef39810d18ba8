//go:build !manual

package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// shutdownLimit is how long the service may take to commit and leave.
const shutdownLimit = 5 * time.Second

func main() {
	ctx, cancel := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go leave(signals, cancel)
	os.Exit(Run(ctx, os.Args[1:], Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}))
}

// leave ends the context at the first signal, and the process at the second or
// when the first one has had its time.
func leave(signals <-chan os.Signal, cancel context.CancelCauseFunc) {
	s := <-signals
	cancel(fmt.Errorf("%w: %s", errSignal, s))
	select {
	case <-signals:
	case <-time.After(shutdownLimit):
	}
	os.Exit(1)
}
