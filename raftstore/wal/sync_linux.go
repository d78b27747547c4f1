package wal

import (
	"os"

	"golang.org/x/sys/unix"
)

// fdatasync leaves out the file's times, which nobody asks for.
func fdatasync(f *os.File) error {
	for {
		if err := unix.Fdatasync(int(f.Fd())); err != unix.EINTR {
			return os.NewSyscallError("fdatasync", err)
		}
	}
}
