package main

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/term"

	"sitegate/configs"
)

// logTarget is where the node's log goes. None of them holds the node up for longer than it
// takes to put a line into memory, but for stderr and a file that take nothing for long.
type logTarget struct {
	handler slog.Handler
	people  io.Writer    // who start it by hand, at a terminal; nil: nobody
	reopen  func() error // the file, which may have been put aside
	close   func()       // returns when what was said is written, or it is given up
	lost    atomic.Uint64
	desc    *prometheus.Desc
}

var _ prometheus.Collector = (*logTarget)(nil)

// openLog opens what the configuration says. stderr hears where that fails later on.
func openLog(c configs.Log, stderr io.Writer) (*logTarget, error) {
	t := &logTarget{reopen: func() error { return nil }, desc: prometheus.NewDesc("sitegate_log_lost_lines_total",
		"Lines of the log that its target did not take: the file could not be written, or the log server was away for too long.", nil, nil)}
	terminal := false
	if f, ok := stderr.(*os.File); ok {
		terminal = term.IsTerminal(int(f.Fd()))
	}
	if terminal {
		t.people = stderr
	}
	switch c.Target {
	case configs.LogFile:
		f, err := openLogFile(c.File, int64(c.FileMB)<<20, c.FileKeep, stderr, &t.lost)
		if err != nil {
			return nil, err
		}
		lines := newLogWriter(f)
		t.handler, t.reopen, t.close = c.Handler(lines, nil), f.reopen, func() { lines.close(); f.close() }
	case configs.LogSyslog:
		s, err := openSyslog(c, stderr, &t.lost)
		if err != nil {
			return nil, err
		}
		t.handler, t.close = s.handler(c), s.close
	default:
		lines := newLogWriter(stderr)
		t.handler, t.close = c.Handler(lines, nil), lines.close
		if terminal {
			t.people = lines
		}
	}
	return t, nil
}

// Describe tells what is measured.
func (t *logTarget) Describe(ch chan<- *prometheus.Desc) { ch <- t.desc }

// Collect measures it.
func (t *logTarget) Collect(ch chan<- prometheus.Metric) {
	ch <- prometheus.MustNewConstMetric(t.desc, prometheus.CounterValue, float64(t.lost.Load()))
}

// tell says something to whoever looks at the standard error, where the log cannot.
func tell(stderr io.Writer, format string, args ...any) {
	fmt.Fprintf(stderr, "sitegate: "+format+"\n", args...)
}
