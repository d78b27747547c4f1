//go:build unix

package main

import (
	"fmt"
	"os"
	"syscall"
)

// terminate asks a program to end.
const terminate = syscall.SIGTERM

// passed are the signals that seat passes on to the program it runs.
func passed() []os.Signal {
	return []os.Signal{syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM, syscall.SIGUSR1, syscall.SIGUSR2}
}

// fromKeyboard reports whether a terminal sends such a signal to the program by
// itself.
func fromKeyboard(s os.Signal) bool { return s == syscall.SIGINT || s == syscall.SIGQUIT }

// exitStatus is a shell's: a program's own, or 128 and its signal.
func exitStatus(state *os.ProcessState) int {
	if w, ok := state.Sys().(syscall.WaitStatus); ok && w.Signaled() {
		return exitSignal + int(w.Signal())
	}
	return state.ExitCode()
}

// private reports an error where others can read a file with a secret.
func private(path string, info os.FileInfo) error {
	if info.Mode().Perm()&0o077 != 0 {
		return fmt.Errorf("%s can be read by others (mode %04o): run chmod 600 %s", path, info.Mode().Perm(), path)
	}
	return nil
}
