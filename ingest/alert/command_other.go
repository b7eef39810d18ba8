//go:build !unix

package alert

import "os/exec"

// apartFrom does nothing where there are no process groups.
func apartFrom(*exec.Cmd) {}
