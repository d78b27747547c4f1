package wal

import (
	"errors"
	"fmt"
	"sync"
	"syscall"
)

// What callers branch on.
var (
	// ErrDamaged: something that was acknowledged cannot be read back. A log that is
	// damaged must not be used: its node might vote for a leader that misses entries
	// which this node has acknowledged.
	ErrDamaged = errors.New("the log is damaged on disk: empty this node's data folder and let it join anew, or, if it is alone, restore the latest backup")
	// ErrFull: the disk has no room for the next segment. The log is as it was, and
	// goes on when there is room again.
	ErrFull = errors.New("the disk is full")
	// ErrFailed: a write has failed, now or before. What the disk holds is known again
	// only after the log was opened anew.
	ErrFailed = errors.New("the log cannot be written any more: start this node anew once its disk is sound")
	// ErrGap: entries do not follow on the last one. Nothing was written.
	ErrGap = errors.New("the entries do not follow on the log's last one")
)

func damaged(format string, args ...any) error {
	return fmt.Errorf("%w (%w)", ErrDamaged, fmt.Errorf(format, args...))
}

// full marks an error of making room.
func full(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fmt.Errorf("%w: %w", ErrFull, err)
	}
	return err
}

// failure is set once and for good.
type failure struct {
	mu  sync.Mutex
	err error
}

func (f *failure) get() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err
}

func (f *failure) set(err error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err == nil {
		f.err = fmt.Errorf("%w (%w)", ErrFailed, err)
	}
	return f.err
}
