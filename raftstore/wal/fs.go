package wal

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// FS is the little of a file system that a log needs: one flat folder.
type FS interface {
	// Open opens a file that exists, for reading and writing.
	Open(name string) (File, error)
	// Create makes an empty file; one of that name is replaced.
	Create(name string) (File, error)
	Rename(from, to string) error
	Remove(name string) error
	// List names all files, in any order.
	List() ([]string, error)
	// SyncDir makes durable what Create, Rename and Remove have done before.
	SyncDir() error
}

// File is an open file. WriteAt behind the end makes it longer.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	// Sync makes durable what was written before it, and the file's length.
	Sync() error
	Size() (int64, error)
}

// OS is the folder dir of the operating system. The folder must exist.
func OS(dir string) FS { return osFS(dir) }

type osFS string

func (d osFS) path(name string) string { return filepath.Join(string(d), name) }

func (d osFS) Open(name string) (File, error) {
	f, err := os.OpenFile(d.path(name), os.O_RDWR, 0)
	return osFile{f}, err
}

func (d osFS) Create(name string) (File, error) {
	f, err := os.OpenFile(d.path(name), os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	return osFile{f}, err
}

func (d osFS) Rename(from, to string) error { return os.Rename(d.path(from), d.path(to)) }

func (d osFS) Remove(name string) error { return os.Remove(d.path(name)) }

func (d osFS) List() ([]string, error) {
	entries, err := os.ReadDir(string(d))
	if err != nil {
		return nil, err
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	return names, nil
}

func (d osFS) SyncDir() error {
	f, err := os.Open(string(d))
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

type osFile struct{ *os.File }

func (f osFile) Sync() error { return fdatasync(f.File) }

func (f osFile) Size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// suffixNew is that of a file which is being made.
const suffixNew = ".new"

// makeFile makes a file that is whole and durable under its name, or not there.
func makeFile(fs FS, name string, fill func(File) error) (File, error) {
	f, err := fs.Create(name + suffixNew)
	if err != nil {
		return nil, err
	}
	err = fill(f)
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = fs.Rename(name+suffixNew, name)
	}
	if err == nil {
		err = fs.SyncDir()
	}
	if err != nil {
		// Whichever of the names there is; Open removes what is left here.
		return nil, errors.Join(fmt.Errorf("making %s: %w", name, err), f.Close(), drop(fs, name+suffixNew), drop(fs, name))
	}
	return f, nil
}

// drop removes a file if it is there.
func drop(fs FS, name string) error {
	if err := fs.Remove(name); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}
