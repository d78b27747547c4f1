package main

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// slowWriter writes only as long as it is let.
type slowWriter struct {
	let  chan struct{}
	mu   sync.Mutex
	buf  bytes.Buffer
	many int // calls
}

func (w *slowWriter) Write(b []byte) (int, error) {
	<-w.let
	w.mu.Lock()
	defer w.mu.Unlock()
	w.many++
	return w.buf.Write(b)
}

// Lines do not wait for the disk, come in order, whole and together, and are all
// there once the writer is closed.
func TestLogLinesDoNotWaitForTheDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := &slowWriter{let: make(chan struct{})}
		w := newLogWriter(disk)
		var want strings.Builder
		for n := range 1000 {
			line := fmt.Sprintf("line %d\n", n)
			want.WriteString(line)
			if _, err := w.Write([]byte(line)); err != nil {
				t.Fatal(err)
			}
			if n == 0 {
				synctest.Wait() // the first is being written
			}
		}
		close(disk.let)
		w.close()
		if got := disk.buf.String(); got != want.String() {
			t.Errorf("%d bytes were written, want the %d in order", len(got), want.Len())
		}
		if disk.many != 2 {
			t.Errorf("the disk was written to %d times, want twice", disk.many)
		}
		if _, err := w.Write([]byte("afterwards\n")); err != nil || !strings.HasSuffix(disk.buf.String(), "afterwards\n") {
			t.Errorf("a line after the end was lost: %v", err)
		}
	})
}

// A disk that takes nothing costs a bounded amount of memory.
func TestLogLinesWaitWhereThereAreTooMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := &slowWriter{let: make(chan struct{})}
		w := newLogWriter(disk)
		line := bytes.Repeat([]byte("x"), maxLogWaiting/2)
		written := 0
		go func() {
			for range 5 {
				w.Write(line)
				written++
			}
		}()
		synctest.Wait()
		if written < 3 || written > 4 { // one or two on their way, two waiting
			t.Errorf("%d lines were taken, want 3 or 4", written)
		}
		close(disk.let)
		synctest.Wait()
		w.close()
		if written != 5 || disk.buf.Len() != 5*len(line) {
			t.Errorf("%d lines were taken and %d bytes written, want 5 and %d", written, disk.buf.Len(), 5*len(line))
		}
	})
}

// A line by itself is written at once; those that come right after a write go together.
func TestLogLinesOfAMomentAreOneWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := &slowWriter{let: make(chan struct{})}
		close(disk.let)
		w := newLogWriter(disk)
		writes := func() int {
			synctest.Wait()
			disk.mu.Lock()
			defer disk.mu.Unlock()
			return disk.many
		}
		fmt.Fprintln(w, "one")
		if got := writes(); got != 1 {
			t.Errorf("%d writes, want one at once", got)
		}
		for range 100 {
			fmt.Fprintln(w, "another")
			synctest.Wait()
		}
		if got := writes(); got != 1 {
			t.Errorf("%d writes before the pause is over, want 1", got)
		}
		time.Sleep(logPause)
		if got := writes(); got != 2 {
			t.Errorf("%d writes after the pause, want 2", got)
		}
		w.close()
		if got := strings.Count(disk.buf.String(), "\n"); got != 101 {
			t.Errorf("%d lines, want 101", got)
		}
	})
}
