package main

import "golang.org/x/sys/unix"

// How a terminal is asked what it does, and told.
const (
	readTermios  = unix.TCGETS
	writeTermios = unix.TCSETS
)
