package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// progress tells how far something long has come, on the standard error: as a bar
// where that is a terminal, else as a line now and then.
type progress struct {
	w        io.Writer
	terminal bool
	what     string // such as "backing up"
	things   string // that are counted
	all      uint64 // zero: not known
	last     time.Time
	done     uint64
}

const (
	barEvery  = 100 * time.Millisecond
	lineEvery = 5 * time.Second
	barWidth  = 30
)

func (p *program) progress(what, things string, all uint64) *progress {
	b := &progress{w: p.stderr, what: what, things: things, all: all, last: time.Now()}
	if f, ok := p.stderr.(*os.File); ok {
		info, err := f.Stat()
		b.terminal = err == nil && info.Mode()&os.ModeCharDevice != 0
	}
	return b
}

// at tells that so many are done.
func (b *progress) at(done uint64) {
	b.done = done
	every := lineEvery
	if b.terminal {
		every = barEvery
	}
	if time.Since(b.last) < every {
		return
	}
	b.last = time.Now()
	if b.terminal {
		fmt.Fprint(b.w, "\r"+b.line())
		return
	}
	fmt.Fprintln(b.w, b.line())
}

// end takes the bar away. What was told in lines stays.
func (b *progress) end() {
	if b.terminal {
		fmt.Fprint(b.w, "\r"+strings.Repeat(" ", len(b.line()))+"\r")
	}
}

// counted is a reader that tells how many bytes it has read.
type counted struct {
	r    io.Reader
	far  func(uint64)
	read uint64
}

func (t *counted) Read(b []byte) (int, error) {
	n, err := t.r.Read(b)
	t.read += uint64(n)
	t.far(t.read)
	return n, err
}

func (b *progress) line() string {
	if b.all == 0 {
		return fmt.Sprintf("%s: %d %s", b.what, b.done, b.things)
	}
	share := min(float64(b.done)/float64(b.all), 1)
	if !b.terminal {
		return fmt.Sprintf("%s: %d of %d %s, %.0f %%", b.what, b.done, b.all, b.things, 100*share)
	}
	full := int(share * barWidth)
	return fmt.Sprintf("%s [%s%s] %3.0f %%", b.what, strings.Repeat("=", full), strings.Repeat(" ", barWidth-full), 100*share)
}
