package raftstore

import (
	"context"
	"sync"
)

// watermark is a number that only grows and that one can wait for.
type watermark struct {
	mu   sync.Mutex
	at   uint64
	wake chan struct{} // closed and dropped when at grows; nil: nobody waits
}

func (w *watermark) get() uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.at
}

func (w *watermark) raise(to uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if to <= w.at {
		return
	}
	w.at = to
	if w.wake != nil {
		close(w.wake)
		w.wake = nil
	}
}

// wait returns once the mark has reached v, or with the error of ctx.
func (w *watermark) wait(ctx context.Context, v uint64) error {
	for {
		w.mu.Lock()
		if w.at >= v {
			w.mu.Unlock()
			return nil
		}
		if w.wake == nil {
			w.wake = make(chan struct{})
		}
		wake := w.wake
		w.mu.Unlock()
		select {
		case <-wake:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
