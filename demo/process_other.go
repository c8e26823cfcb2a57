//go:build !linux

package demo

import (
	"os/exec"
	"syscall"
)

// ownGroup keeps the terminal's signals from the child. It does not end with
// this process when that dies.
func ownGroup(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }
