//go:build unix

package desktop

import (
	"os"
	"syscall"
)

// AskToClose asks a program to end, so that it can save: SIGTERM.
func AskToClose(p *os.Process) error { return p.Signal(syscall.SIGTERM) }
