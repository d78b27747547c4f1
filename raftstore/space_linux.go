package raftstore

import (
	"os"

	"golang.org/x/sys/unix"
)

// diskSpace is what an ordinary user may still take of the file system of a folder.
func diskSpace(dir string) (free, total uint64, err error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, 0, os.NewSyscallError("statfs", err)
	}
	size := uint64(st.Bsize)
	return st.Bavail * size, st.Blocks * size, nil
}

// allocate gives a file blocks for so many bytes.
func allocate(f *os.File, size int64) error {
	if err := unix.Fallocate(int(f.Fd()), 0, 0, size); err != unix.EOPNOTSUPP && err != unix.ENOSYS {
		return os.NewSyscallError("fallocate", err)
	}
	return fillZeros(f, size)
}
