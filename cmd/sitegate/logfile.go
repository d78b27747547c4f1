package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
)

// logFile is a file of lines for this user's eyes that does not grow for ever. One that is
// full is put aside as FILE.1, that as FILE.2, …; the last of them goes. Another program may
// do that instead, and say so (reopen).
type logFile struct {
	path   string
	most   int64 // bytes
	keep   int   // that are put aside
	stderr io.Writer
	lost   *atomic.Uint64 // lines

	mu    sync.Mutex
	f     *os.File // nil: it could not be opened anew
	size  int64
	full  int64 // the size at which it is put aside: most, or more where that could not be
	fails bool  // which was told
	grows bool  // beyond most, which was told
}

func openLogFile(path string, most int64, keep int, stderr io.Writer, lost *atomic.Uint64) (*logFile, error) {
	l := &logFile{path: path, most: most, keep: keep, stderr: stderr, lost: lost}
	if err := l.open(); err != nil {
		return nil, fmt.Errorf("opening the log (log.file): %w", err)
	}
	return l, nil
}

// open opens the file, at its end.
func (l *logFile) open() error {
	f, err := os.OpenFile(l.path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	about, err := f.Stat()
	if err != nil {
		return errors.Join(err, f.Close())
	}
	l.f, l.size, l.full = f, about.Size(), l.most
	return nil
}

// Write adds lines. What cannot be written is counted, and told once: it must not stop a node.
func (l *logFile) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.size > 0 && l.size+int64(len(b)) > l.full {
		l.turn()
	}
	err := errNotOpen
	if l.f == nil {
		err = l.open()
	}
	if l.f != nil {
		var n int
		n, err = l.f.Write(b)
		l.size += int64(n)
	}
	if err != nil {
		l.lost.Add(uint64(bytes.Count(b, []byte{'\n'})))
	}
	if err != nil && !l.fails {
		tell(l.stderr, "the log cannot be written, and lines of it are lost until it can: %v", err)
	}
	l.fails = err != nil
	return len(b), nil
}

var errNotOpen = errors.New("it is not open")

// turn puts the file aside, and begins another one. Where that cannot be, the old one grows, and
// it is tried again when as much has come once more.
func (l *logFile) turn() {
	aside := func(n int) string { return l.path + "." + strconv.Itoa(n) }
	var err error
	if l.keep == 0 {
		err = os.Remove(l.path)
	} else {
		free := 1 // those behind a gap stay, or trying again would push all of them out
		for free < l.keep && exists(aside(free)) {
			free++
		}
		for n := free - 1; n > 0 && err == nil; n-- {
			err = os.Rename(aside(n), aside(n+1))
		}
		if err == nil {
			err = os.Rename(l.path, aside(1))
		}
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		if !l.grows {
			tell(l.stderr, "the log is full and cannot be put aside, so it grows: %v", err)
		}
		l.grows, l.full = true, l.size+l.most
		return
	}
	l.grows = false
	l.shut()
}

func (l *logFile) shut() {
	if l.f != nil {
		_ = l.f.Close() // each line was written by itself
	}
	l.f, l.size = nil, 0
}

// reopen goes on in the file of that name, which may be another one by now.
func (l *logFile) reopen() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	before, size := l.f, l.size
	if err := l.open(); err != nil {
		l.f, l.size = before, size // better than none
		return fmt.Errorf("opening the log anew (log.file): %w", err)
	}
	if before != nil {
		_ = before.Close() // each line was written by itself
	}
	return nil
}

func (l *logFile) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.shut()
}
