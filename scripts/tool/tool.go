// Package tool runs the pinned tools of scripts/tools.sh for the length of a test.
package tool

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
)

// Dir returns the folder of the pinned tools, with bin and node_modules in it, installing them if need be. The
// script itself is quick if nothing is to do and lets one installer work at a time.
func Dir() (string, error) {
	root, err := moduleRoot()
	if err != nil {
		return "", err
	}
	script := filepath.Join(root, "scripts", "tools.sh")
	if out, err := exec.Command(script).CombinedOutput(); err != nil {
		return "", fmt.Errorf("run scripts/tools.sh: %w\n%s", err, out)
	}
	return filepath.Join(root, ".tools"), nil
}

// Find returns a pinned binary.
func Find(name string) (string, error) {
	dir, err := Dir()
	return filepath.Join(dir, "bin", name), err
}

// moduleRoot walks up from the working directory, which for a test is its package's, to go.mod.
func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find working directory: %w", err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("no go.mod above the working directory")
		}
		dir = parent
	}
}

const maxTail = 64 << 10

// Process is one run of a binary. It ends with the process that started it, where the kernel can see to that.
type Process struct {
	// Done is closed when the process has ended.
	Done chan struct{}

	cmd *exec.Cmd

	mu   sync.Mutex // covers tail
	tail []byte
	copy io.Writer
}

// Start starts a binary. What it writes, to both of its outputs, is also written to w, if that is not nil.
func Start(binary string, args []string, w io.Writer) (*Process, error) {
	p := &Process{cmd: exec.Command(binary, args...), Done: make(chan struct{}), copy: w}
	p.cmd.Stdout, p.cmd.Stderr = output{p}, output{p}
	dieWithParent(p.cmd)
	started := make(chan error)
	go func() {
		// Where the kernel ends the child with its parent it means the parent's thread: hold on to it.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(p.Done)
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

// output is what a process writes to.
type output struct{ p *Process }

func (o output) Write(b []byte) (int, error) {
	o.p.mu.Lock()
	defer o.p.mu.Unlock()
	o.p.tail = append(o.p.tail, b...)
	if over := len(o.p.tail) - maxTail; over > 0 {
		o.p.tail = append(o.p.tail[:0], o.p.tail[over:]...)
	}
	if o.p.copy != nil {
		return o.p.copy.Write(b)
	}
	return len(b), nil
}

// Output returns the end of what the process wrote.
func (p *Process) Output() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return string(p.tail)
}

// Args returns the command line.
func (p *Process) Args() []string { return p.cmd.Args }

// Interrupt asks the process to end.
func (p *Process) Interrupt() error {
	err := p.cmd.Process.Signal(os.Interrupt)
	if errors.Is(err, os.ErrProcessDone) {
		return nil
	}
	return err
}

// Signal sends the process a signal.
func (p *Process) Signal(s os.Signal) error { return p.cmd.Process.Signal(s) }

// Kill ends the process at once.
func (p *Process) Kill() { p.cmd.Process.Kill() }
