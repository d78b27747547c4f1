package main

import (
	"os"
	"syscall"
)

// terminate is what closing the console or logging off arrives as.
const terminate = syscall.SIGTERM

// passed are the signals that seat hears instead of ending itself.
func passed() []os.Signal { return []os.Signal{os.Interrupt, syscall.SIGTERM} }

// fromKeyboard reports whether the console sends such a signal to the program by
// itself: all of them.
func fromKeyboard(os.Signal) bool { return true }

func exitStatus(state *os.ProcessState) int { return state.ExitCode() }

// private is for the folder's access list to ensure: a user's own folder is.
func private(string, os.FileInfo) error { return nil }
