package tool

import (
	"os/exec"
	"syscall"
)

// dieWithParent has the kernel end the tool if the test's process ends without its cleanup.
func dieWithParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
