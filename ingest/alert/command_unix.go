//go:build unix

package alert

import (
	"os/exec"
	"syscall"
)

// apartFrom gives a program a process group of its own, which is killed as a whole.
func apartFrom(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
}
