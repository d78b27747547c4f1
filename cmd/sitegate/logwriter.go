package main

import (
	"io"
	"sync"
	"time"
)

// logWriter takes lines and writes them from a goroutine of its own, at once or within
// logPause, but many together, so that no request waits for the disk the log is on: a write there
// can stand behind the fsyncs of everybody else. Lines that come while it is full
// wait. What a crash of the program takes with it are the lines of the last moment.
type logWriter struct {
	to   io.Writer
	done chan struct{}

	mu     sync.Mutex // guards what follows
	moved  sync.Cond  // something was written, or came
	lines  []byte     // that wait
	closed bool
}

const (
	// maxLogWaiting is how many bytes may wait to be written.
	maxLogWaiting = 4 << 20
	// logPause is between two writes: a busy node has thousands of lines a second, and each
	// write by itself would take as much as what it tells of.
	logPause = 2 * time.Millisecond
)

// newLogWriter begins to write; close ends it.
func newLogWriter(to io.Writer) *logWriter {
	w := &logWriter{to: to, done: make(chan struct{})}
	w.moved.L = &w.mu
	go w.run()
	return w
}

// Write takes lines. What becomes of them it does not say: a log that cannot be
// written must not stop a node.
func (w *logWriter) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(w.lines) > 0 && len(w.lines)+len(b) > maxLogWaiting && !w.closed {
		w.moved.Wait()
	}
	if w.closed {
		return w.to.Write(b)
	}
	w.lines = append(w.lines, b...)
	w.moved.Broadcast()
	return len(b), nil
}

func (w *logWriter) run() {
	defer close(w.done)
	var spare []byte
	w.mu.Lock()
	defer w.mu.Unlock()
	for {
		for len(w.lines) == 0 {
			if w.closed {
				return
			}
			w.moved.Wait()
		}
		lines := w.lines
		w.lines = spare[:0]
		w.moved.Broadcast()
		w.mu.Unlock()
		w.to.Write(lines)
		spare = lines
		w.mu.Lock()
		if len(w.lines) < maxLogWaiting/4 && !w.closed { // there is room for those that come meanwhile
			w.mu.Unlock()
			time.Sleep(logPause)
			w.mu.Lock()
		}
	}
}

// close returns when everything is written; what comes after it is written as it
// comes.
func (w *logWriter) close() {
	w.mu.Lock()
	w.closed = true
	w.moved.Broadcast()
	w.mu.Unlock()
	<-w.done
}
