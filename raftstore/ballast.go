package raftstore

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

const ballastFile = "ballast"

// ballastSize is that of the ballast in a folder, 0 where there is none.
func ballastSize(dir string) uint64 {
	info, err := os.Stat(filepath.Join(dir, ballastFile))
	if err != nil {
		return 0
	}
	return uint64(info.Size())
}

// makeBallast makes a file that takes room, and holds nothing.
func makeBallast(dir string, size int64) (err error) {
	path := filepath.Join(dir, ballastFile)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	err = errors.Join(allocate(f, size), f.Close())
	if err != nil {
		return errors.Join(fmt.Errorf("taking %d bytes: %w", size, err), os.Remove(path))
	}
	return nil
}

// fillZeros is allocate where the system has no way of its own: it writes zeros.
func fillZeros(f *os.File, size int64) error {
	zeros := make([]byte, 1<<20)
	for at := int64(0); at < size; at += int64(len(zeros)) {
		if _, err := f.WriteAt(zeros[:min(int64(len(zeros)), size-at)], at); err != nil {
			return err
		}
	}
	return f.Sync()
}

func dropBallast(dir string) error {
	if err := os.Remove(filepath.Join(dir, ballastFile)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return syncDir(dir)
}
