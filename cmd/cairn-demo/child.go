package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// gatewayStop is how long the gateway may take to leave; it promises five
// seconds.
const gatewayStop = 7 * time.Second

// command prepares one of the programs, with an environment of its own.
func (d *demo) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(d.bin, name), args...)
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, "CAIRN_") {
			cmd.Env = append(cmd.Env, e)
		}
	}
	cmd.Env = append(cmd.Env, "CAIRN_DIR="+d.site)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = gatewayStop
	return cmd
}

// cairn runs an operator's command and returns what it printed.
func (d *demo) cairn(ctx context.Context, stdin string, args ...string) (string, error) {
	var out, errs bytes.Buffer
	cmd := d.command(ctx, "cairn", args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &errs
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("cairn %s: %w: %s", args[0], err, strings.TrimSpace(errs.String()))
	}
	return out.String(), nil
}

// status is the part of `cairn status --json` that the demo looks at.
type status struct {
	Health  struct{ Status string }
	Sources []string
	HTTP    string
	Store   struct {
		Ledger  string
		Batches uint64
		Signed  uint64 `json:"signed_batches"`
	}
	Intake struct {
		Received, Pending uint64
		Verdicts          map[string]uint64
	}
	Routes []struct {
		Pending *struct {
			State string
			Block uint64
		}
	}
}

func (d *demo) status(ctx context.Context) (s status, err error) {
	text, err := d.cairn(ctx, "", "status", "--json")
	var exit *exec.ExitError
	if err != nil && !(errors.As(err, &exit) && exit.ExitCode() == 1) {
		return s, err // 1 says that health is red, which it is before the first look at the chain
	}
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		return s, fmt.Errorf("read status: %w", err)
	}
	return s, nil
}

// until asks for the status until it is as wanted.
func (d *demo) until(ctx context.Context, what string, ok func(status) bool) (status, error) {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		s, err := d.status(ctx)
		if err == nil && ok(s) {
			return s, nil
		}
		select {
		case <-ctx.Done():
			return s, fmt.Errorf("wait until %s: %w", what, errors.Join(ctx.Err(), err))
		case err := <-d.gone:
			d.gone <- err
			return s, fmt.Errorf("the gateway died: %v\n%s", err, d.logs.String())
		case <-tick.C:
		}
	}
}

// startGateway starts the service as a child.
func (d *demo) startGateway(ctx context.Context) error {
	d.gateway = d.command(ctx, "cairn", "run", "--udp-listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0")
	d.gateway.Stderr = &d.logs
	if err := d.gateway.Start(); err != nil {
		return fmt.Errorf("start the gateway: %w", err)
	}
	d.gone = make(chan error, 1)
	go func() { d.gone <- d.gateway.Wait() }()
	_, err := d.until(ctx, "the gateway runs", func(s status) bool { return len(s.Sources) > 0 })
	return err
}

// stopGateway asks the gateway to leave, and tells how it did.
func (d *demo) stopGateway() error {
	if d.gateway == nil {
		return nil
	}
	defer func() { d.gateway = nil }()
	if err := d.gateway.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop the gateway: %w", err)
	}
	select {
	case err := <-d.gone:
		if err != nil {
			return fmt.Errorf("the gateway ended with %w\n%s", err, d.logs.String())
		}
		return nil
	case <-time.After(gatewayStop):
		d.gateway.Process.Kill()
		<-d.gone
		return fmt.Errorf("the gateway did not leave within %v", gatewayStop)
	}
}

// clear ends what runs, whatever state the play is in.
func (d *demo) clear() {
	_ = d.stopGateway()
	if d.chain != nil {
		d.chain.close()
	}
}
