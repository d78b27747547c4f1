package raftstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
)

// raftLog makes a logger for raft and its log that ends in l. Their Info is our
// Debug: what an operator would ask for tomorrow is told by this package. The same
// line about the same peer comes once in quietFor: raft says ten times a second
// that a node is gone. What a closing node's connections have to say is Debug.
func raftLog(l *slog.Logger) hclog.Logger {
	h := hclog.NewInterceptLogger(&hclog.LoggerOptions{Name: "raft", Output: io.Discard, Level: hclog.Trace})
	h.RegisterSink(&sinkTo{l: l, said: map[string]time.Time{}})
	return h
}

// quietFor is how long a line that was written is not written again.
const quietFor = 10 * time.Second

type sinkTo struct {
	l *slog.Logger

	mu   sync.Mutex
	said map[string]time.Time // lines and when they were last written
}

// repeats reports whether a line was written a moment ago, and notes that it is
// now if not.
func (s *sinkTo) repeats(msg string, args []any) bool {
	key := msg
	for i := 0; i+1 < len(args); i += 2 {
		if args[i] == "peer" || args[i] == "target" {
			key += fmt.Sprint(args[i+1])
		}
	}
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if now.Sub(s.said[key]) < quietFor {
		return true
	}
	if len(s.said) >= 256 {
		clear(s.said)
	}
	s.said[key] = now
	return false
}

// closing reports whether a line is about a connection that this node has closed.
func closing(args []any) bool {
	for _, a := range args {
		if err, ok := a.(error); ok && (errors.Is(err, net.ErrClosed) || strings.Contains(err.Error(), net.ErrClosed.Error())) {
			return true
		}
	}
	return false
}

// Accept passes one line on.
func (s *sinkTo) Accept(_ string, level hclog.Level, msg string, args ...any) {
	to := slog.LevelDebug
	switch level {
	case hclog.Warn:
		to = slog.LevelWarn
	case hclog.Error:
		to = slog.LevelError
	}
	if to > slog.LevelDebug && closing(args) {
		to = slog.LevelDebug
	}
	ctx := context.Background()
	if !s.l.Enabled(ctx, to) || to > slog.LevelDebug && s.repeats(msg, args) {
		return
	}
	for i := range args {
		if f, ok := args[i].(hclog.Format); ok && len(f) > 0 {
			args[i] = fmt.Sprintf(fmt.Sprint(f[0]), f[1:]...)
		}
	}
	s.l.Log(ctx, to, "raft: "+msg, args...)
}

// badgerLog makes Badger's lines ours, those that tell what it does one level lower
// than they call themselves.
type badgerLog struct{ l *slog.Logger }

func (b badgerLog) Errorf(f string, args ...any)   { b.line(slog.LevelError, f, args) }
func (b badgerLog) Warningf(f string, args ...any) { b.line(badgerWarning(f), f, args) }
func (b badgerLog) Infof(f string, args ...any)    { b.line(slog.LevelDebug, f, args) }
func (b badgerLog) Debugf(string, ...any)          {}

// badgerWarning is the level of a warning. That its cache of blocks is small is meant:
// the state is read once and is in memory from then on.
func badgerWarning(f string) slog.Level {
	if strings.HasSuffix(f, " might be too small. Metrics: %s\n") || strings.HasPrefix(f, "Cache life expectancy") {
		return slog.LevelDebug
	}
	return slog.LevelWarn
}

func (b badgerLog) line(level slog.Level, f string, args []any) {
	ctx := context.Background()
	if b.l.Enabled(ctx, level) {
		b.l.Log(ctx, level, "the state store says", "text", strings.TrimSpace(fmt.Sprintf(f, args...)))
	}
}
