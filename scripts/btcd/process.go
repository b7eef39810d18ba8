package btcd

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"sync"
)

const maxTail = 64 << 10

// process is one run of the binary; it is its own standard output, of which it keeps the end.
type process struct {
	cmd  *exec.Cmd
	done chan struct{}

	mu   sync.Mutex // covers tail
	tail []byte
}

func start(binary string, args []string) (*process, error) {
	p := &process{cmd: exec.Command(binary, args...), done: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = p, p
	dieWithParent(p.cmd)
	started := make(chan error)
	go func() {
		// Where the kernel ends the child with its parent it means the parent's thread: hold on to it.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(p.done)
		err := p.cmd.Start()
		started <- err
		if err == nil {
			p.cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start: %w", err)
	}
	return p, nil
}

// Write takes the node's output.
func (p *process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tail = append(p.tail, b...)
	if over := len(p.tail) - maxTail; over > 0 {
		p.tail = append(p.tail[:0], p.tail[over:]...)
	}
	return len(b), nil
}

func (p *process) output() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return string(p.tail)
}

func (p *process) interrupt() error {
	err := p.cmd.Process.Signal(os.Interrupt)
	if errors.Is(err, os.ErrProcessDone) {
		return nil
	}
	return err
}

func (p *process) kill() { p.cmd.Process.Kill() }
